//! Bad habits, one per file. A villain holds its own keys only.
//!
//! Most run an honest node and twist what it says (`Mischief`); equivocators and split brains run two, amnesiacs restore
//! old disks, mutes run none.

pub mod amnesiac;
pub mod equivocator;
pub mod forger;
pub mod laggard;
pub mod liar;
pub mod mute;
pub mod poisoner;
pub mod replayer;
pub mod split_brain;
pub mod withholder;

use rand_chacha::ChaCha8Rng;
use rand_core::RngCore as _;
use std::fmt;
use std::str::FromStr;
use symbolon_core::To;
use types::wire::Message;
use types::{ClusterSize, Millis, ShareIndex};

/// How an operator behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Habit {
    /// Follows the protocol.
    Honest,
    /// Says nothing.
    Mute,
    /// Shows each half of the others another face.
    Equivocator,
    /// Says everything late.
    Laggard,
    /// Forges partial signatures, commits and certificates.
    Forger,
    /// Says again what it has heard.
    Replayer,
    /// Restores old disks.
    Amnesiac,
    /// Runs two processes with one key.
    SplitBrain,
    /// Keeps to itself what others wait for.
    Withholder,
    /// Puts values forward that would harm whoever signed them.
    Poisoner,
    /// Denies in a change of rounds what it has voted for.
    Liar,
}

impl Habit {
    /// All of them, the good one first.
    pub const ALL: [Self; 11] = [
        Self::Honest,
        Self::Mute,
        Self::Equivocator,
        Self::Laggard,
        Self::Forger,
        Self::Replayer,
        Self::Amnesiac,
        Self::SplitBrain,
        Self::Withholder,
        Self::Poisoner,
        Self::Liar,
    ];

    /// In one word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Honest => "honest",
            Self::Mute => "mute",
            Self::Equivocator => "equivocator",
            Self::Laggard => "laggard",
            Self::Forger => "forger",
            Self::Replayer => "replayer",
            Self::Amnesiac => "amnesiac",
            Self::SplitBrain => "split-brain",
            Self::Withholder => "withholder",
            Self::Poisoner => "poisoner",
            Self::Liar => "liar",
        }
    }

    /// What it makes of its messages, if it twists them.
    pub(crate) fn mischief(self) -> Option<Box<dyn Mischief>> {
        match self {
            Self::Honest | Self::Mute | Self::Equivocator | Self::Amnesiac | Self::SplitBrain => None,
            Self::Laggard => Some(Box::new(laggard::Laggard)),
            Self::Forger => Some(Box::new(forger::Forger)),
            Self::Replayer => Some(Box::<replayer::Replayer>::default()),
            Self::Withholder => Some(Box::new(withholder::Withholder)),
            Self::Poisoner => Some(Box::new(poisoner::Poisoner)),
            Self::Liar => Some(Box::<liar::Liar>::default()),
        }
    }
}

impl FromStr for Habit {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|habit| habit.name() == text).ok_or("no such habit")
    }
}

/// What a villain knows when it speaks.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    /// Of the cluster.
    pub(crate) size: ClusterSize,
    /// Who it is.
    pub(crate) me: ShareIndex,
    /// Its whims.
    pub(crate) rng: &'a mut ChaCha8Rng,
}

impl Scene<'_> {
    /// A draw below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.rng.next_u64() % end
    }

    /// One of the others.
    pub(crate) fn victim(&mut self) -> ShareIndex {
        let me = self.me;
        let others: Vec<_> = self.size.indices().filter(|index| *index != me).collect();
        others[self.below(others.len() as u64) as usize]
    }
}

/// What is said.
#[derive(Clone, Debug)]
pub(crate) enum Words {
    /// To be signed by the villain where the statement is its own.
    Own(Message),
    /// As it is.
    Raw(Vec<u8>),
}

/// Something that a villain sends.
#[derive(Clone, Debug)]
pub(crate) struct Parcel {
    pub(crate) to: To,
    pub(crate) words: Words,
    /// So much later than the node in it wanted to.
    pub(crate) late: Millis,
}

impl Parcel {
    /// As the node in it wanted.
    pub(crate) const fn plain(to: To, message: Message) -> Self {
        Self { to, words: Words::Own(message), late: Millis(0) }
    }

    /// Bytes, at once.
    pub(crate) const fn raw(to: To, frame: Vec<u8>) -> Self {
        Self { to, words: Words::Raw(frame), late: Millis(0) }
    }
}

/// What a villain makes of its node's messages.
pub(crate) trait Mischief: fmt::Debug {
    /// What it sends instead.
    fn twist(&mut self, scene: &mut Scene<'_>, to: To, message: Message) -> Vec<Parcel>;

    /// Something was said to it.
    fn overhear(&mut self, _scene: &mut Scene<'_>, _frame: &[u8]) {}

    /// To whom it sends a payload instead, if to anybody.
    fn confides_contents(&mut self, _scene: &mut Scene<'_>, to: To) -> Option<To> {
        Some(to)
    }
}

/// The operators with a habit.
pub fn with_habit(habits: &[Habit], habit: Habit) -> Vec<ShareIndex> {
    let numbered = habits.iter().zip(1..);
    numbered.filter(|(one, _)| **one == habit).filter_map(|(_, index)| ShareIndex::new(index)).collect()
}
