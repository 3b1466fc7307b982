//! What can go wrong at one operator, and at which step of a duty.
//!
//! A fault strikes when its operator's node is about to take a step for the first time from some slot on; that is where
//! bugs live, and a clock would seldom hit it. Villains are no faults: they go wrong all the time ([`crate::villains`]).

use std::fmt;
use std::str::FromStr;
use types::{Millis, ShareIndex, Slot};

/// Names of a closed list, for texts.
macro_rules! named {
    ($list:ident, $what:literal, $($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        #[doc = $what]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $list { $($(#[$doc])* $name,)* }

        impl $list {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// In one word.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }

        impl fmt::Display for $list {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl FromStr for $list {
            type Err = &'static str;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|one| one.name() == text).ok_or("no such word")
            }
        }
    };
}

named! { Step, "A step of a duty at one operator, in the order of one attestation.",
    /// A slot begins at its validator client.
    Begin = "begin",
    /// The node asks its beacon nodes for a value.
    Fetch = "fetch",
    /// It proposes a value.
    Propose = "propose",
    /// It votes.
    Vote = "vote",
    /// It commits.
    Commit = "commit",
    /// It writes what it will sign into the journal.
    Journal = "journal",
    /// That is durable, and the node is about to learn it.
    Synced = "synced",
    /// It answers its client with what is agreed.
    Answer = "answer",
    /// It completes its client's halves.
    Sign = "sign",
    /// It sends partial signatures.
    Partial = "partial",
    /// It combines partial signatures.
    Combine = "combine",
    /// It hands a signature to its beacon nodes.
    Submit = "submit",
}

named! { What, "What goes wrong.",
    /// The machine loses power: of what was not synced a part is there; it starts again when the fault is over.
    Crash = "crash",
    /// The link to the next operator breaks.
    Reset = "reset",
    /// All links break.
    Cut = "cut",
    /// What it sends and what is sent to it is held up until the fault is over.
    Stall = "stall",
    /// Its clock jumps ahead by as much, and stays there.
    Ahead = "ahead",
    /// Its clock jumps back by as much, and stays there.
    Behind = "behind",
    /// Its beacon node answers nothing, takes nothing and tells nothing.
    BeaconDead = "beacon-dead",
    /// Its beacon node learns of everything late.
    BeaconLate = "beacon-late",
    /// Its beacon node follows another branch, with an older justified checkpoint.
    BeaconFork = "beacon-fork",
    /// Its beacon node makes blocks that pay somebody else.
    BeaconStray = "beacon-stray",
    /// Its beacon node refuses every other submission.
    BeaconPicky = "beacon-picky",
    /// Its disk fails every write.
    DiskFails = "disk-fails",
    /// Its disk takes long for every write.
    DiskSlow = "disk-slow",
    /// Its validator client asks nothing.
    ClientSilent = "client-silent",
    /// Its validator client asks a slot late.
    ClientLate = "client-late",
    /// Its validator client asks a slot late and signs nothing.
    ClientAsleep = "client-asleep",
    /// Its validator client asks and signs nothing.
    ClientIdle = "client-idle",
    /// Its validator client signs with another key.
    ClientBad = "client-bad",
    /// Its validator client signs for every other validator only.
    ClientHalf = "client-half",
    /// Its operator imports a record that reaches two epochs ahead, and starts the node again.
    Record = "record",
    /// Its operator stops it; it goes on when the fault is over.
    Stop = "stop",
}

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// At which operator.
    pub who: ShareIndex,
    /// What.
    pub what: What,
    /// How long it lasts, in milliseconds.
    pub lasts: Millis,
    /// When its node is about to take this step,
    pub step: Step,
    /// for the first time from this slot on.
    pub from: Slot,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { who, what, lasts, step, from } = self;
        write!(f, "{who} {what} {} {step} {from}", lasts.0)
    }
}

impl FromStr for Fault {
    type Err = &'static str;

    /// `2 crash 4000 sign 5`: operator 2, for 4 s, when it is about to complete halves from slot 5 on.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words: Vec<_> = text.split_whitespace().collect();
        let &[who, what, lasts, step, from] = &words[..] else {
            return Err("a fault has an operator, what, how long in milliseconds, a step, and a slot");
        };
        let who = who.parse().ok().and_then(ShareIndex::new).ok_or("not an operator")?;
        let lasts = Millis(lasts.parse().map_err(|_| "not a number of milliseconds")?);
        let from = Slot(from.parse().map_err(|_| "not a slot")?);
        Ok(Self { who, what: what.parse()?, lasts, step: step.parse()?, from })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_and_anything_else_is_refused() {
        for text in ["2 crash 4000 sign 5", "4 beacon-fork 1 begin 0"] {
            assert_eq!(text.parse::<Fault>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "2 crash 4000 sign",
            "0 crash 1 sign 5",
            "2 crush 1 sign 5",
            "2 crash 1 sing 5",
            "2 crash x sign 5",
        ] {
            text.parse::<Fault>().unwrap_err();
        }
    }
}
