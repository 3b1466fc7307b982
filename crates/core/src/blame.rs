//! "Was it me?": whose part of a duty was missing, read from its [`Account`].
//!
//! Blame is what this node saw. An operator that is named here may have spoken and not been heard; its own node's account
//! of the same slot is the other half of the answer.

use crate::account::{Account, Obstacle};
use crate::{Ending, Fault};
use std::collections::BTreeMap;
use std::fmt;
use types::wire::Kind;
use types::{Root, ShareIndex};

/// Which part of this operator's set-up failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Its beacon nodes.
    BeaconNode,
    /// Its validator client.
    Client,
    /// Its clock, or a host too busy to be in time.
    Clock,
    /// Its journal: refused, or not written.
    Journal,
    /// Its own links to the other operators.
    Network,
    /// It was started too late for the slot.
    Restart,
    /// A stop that is in force.
    Stop,
}

impl Part {
    /// In a word, for JSON and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BeaconNode => "beacon_node",
            Self::Client => "validator_client",
            Self::Clock => "clock",
            Self::Journal => "journal",
            Self::Network => "network",
            Self::Restart => "restart",
            Self::Stop => "stop",
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::BeaconNode => "its beacon nodes",
            Self::Client => "its validator client",
            Self::Clock => "its clock or its load, for it acted late",
            Self::Journal => "its slashing-protection journal",
            Self::Network => "its own network, for it reached nobody",
            Self::Restart => "it had just been started",
            Self::Stop => "a stop is in force",
        }
    }
}

/// What another operator did not give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lack {
    /// It was not connected.
    NotConnected,
    /// It did not vote.
    NoVote,
    /// It voted after the slot was over.
    LateVote,
    /// It voted for something else than most.
    OtherView,
    /// It did not propose when it was its turn.
    NoProposal,
    /// It voted, and did not commit.
    NoCommit,
    /// It offered a value that breaks a rule, or proved nothing.
    BadValue,
    /// It sent no partial signature, or not for every validator.
    NoPartial,
    /// Its partial signature does not verify.
    BadPartial,
}

impl Lack {
    /// In a word, for JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotConnected => "not_connected",
            Self::NoVote => "no_vote",
            Self::LateVote => "late_vote",
            Self::OtherView => "other_view",
            Self::NoProposal => "no_proposal",
            Self::NoCommit => "no_commit",
            Self::BadValue => "bad_value",
            Self::NoPartial => "no_partial",
            Self::BadPartial => "bad_partial",
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::NotConnected => "was not connected",
            Self::NoVote => "did not vote",
            Self::LateVote => "voted too late",
            Self::OtherView => "voted for something else than most",
            Self::NoProposal => "did not propose in its turn",
            Self::NoCommit => "did not commit",
            Self::BadValue => "offered what must not be signed",
            Self::NoPartial => "sent no partial signature, or too few",
            Self::BadPartial => "sent a partial signature that does not verify",
        }
    }
}

/// Whose part was missing. Nobody's, if both are empty: then all is done, or no operator in particular was to blame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blame {
    /// This operator's part, if one failed: it was me, if perhaps not only me.
    pub me: Option<Part>,
    /// Other operators, with what each did not give.
    pub others: BTreeMap<ShareIndex, Lack>,
}

impl Blame {
    /// Whether nobody's part was missing.
    pub fn is_nobody(&self) -> bool {
        self.me.is_none() && self.others.is_empty()
    }
}

impl fmt::Display for Blame {
    /// In a sentence or two, with full stops.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.me {
            None if self.others.is_empty() => return f.write_str("No single operator is to blame."),
            None => f.write_str("It was not this operator:")?,
            Some(part) if self.others.is_empty() => {
                return write!(f, "It was this operator: {}.", part.words());
            }
            Some(part) => write!(f, "It was this operator too: {};", part.words())?,
        }
        for (place, (operator, lack)) in self.others.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma} operator {operator} {}", lack.words())?;
        }
        f.write_str(".")
    }
}

/// Whose part of a duty was missing, as far as this node can tell.
///
/// - `of_slot`: all accounts of the same slot. A duty that stands on another step of the slot takes over that one's blame.
pub fn verdict(account: &Account, of_slot: &[Account]) -> Blame {
    let ending = Ending::of(account);
    let below = [(Ending::NoVote, Kind::Attest), (Ending::NoReveal, Kind::Randao)];
    let below = below.iter().find(|(stands_on_it, _)| *stands_on_it == ending);
    // Neither of these two stands on another, so this goes one step down and no further.
    let of = below.and_then(|(_, kind)| of_slot.iter().find(|other| other.instance.kind == *kind));
    let of = of.unwrap_or(account);
    let ending = Ending::of(of);
    Blame { me: my_part(of, ending), others: others_lack(of, ending) }
}

fn my_part(account: &Account, ending: Ending) -> Option<Part> {
    match ending {
        Ending::Done | Ending::TooFewPartials | Ending::NoVote | Ending::NoReveal => None,
        Ending::Partly => part_of_partials(account),
        Ending::NotTaken | Ending::PartlyTaken | Ending::NoValue => Some(Part::BeaconNode),
        Ending::ClientSilent
        | Ending::ClientLate
        | Ending::ClientNoHalf
        | Ending::ClientBadHalf
        | Ending::NotDistributed => Some(Part::Client),
        Ending::Refused | Ending::JournalFailed => Some(Part::Journal),
        Ending::Stopped => Some(Part::Stop),
        Ending::OnlyFollowed => Some(Part::Restart),
        Ending::TooFewPresent => {
            let alone = account.size.others(account.me).all(|other| !account.is_present(other));
            alone.then_some(Part::Network)
        }
        Ending::ValueRefused => others_lack(account, ending).is_empty().then_some(Part::BeaconNode),
        Ending::ViewsSplit => other_view(account, account.me).then_some(Part::BeaconNode),
        Ending::LeaderSilent => account.silent_leaders().contains(&account.me).then_some(Part::BeaconNode),
        Ending::AgreedLate | Ending::TooFewVotes | Ending::NotAgreed => part_of_vote(account),
    }
}

/// Why this operator's partials are fewer than were due, if they are.
fn part_of_partials(account: &Account) -> Option<Part> {
    if account.partials(account.me) >= account.due {
        None
    } else if account.refused > 0 {
        Some(Part::Journal)
    } else {
        Some(Part::Client)
    }
}

/// Why this operator's vote did not help, if it did not.
fn part_of_vote(account: &Account) -> Option<Part> {
    match account.vote(account.me) {
        Some((at, _, _)) if at >= account.over_at => Some(Part::Clock),
        Some(_) => None,
        None if account.obstacles.contains(&Obstacle::OnlyFollows) => Some(Part::Restart),
        // It had nothing to vote for, or its beacon nodes' word did not allow the vote.
        None => Some(Part::BeaconNode),
    }
}

fn others_lack(account: &Account, ending: Ending) -> BTreeMap<ShareIndex, Lack> {
    let lack: fn(&Account, ShareIndex) -> Option<Lack> = match ending {
        Ending::Done | Ending::NotTaken | Ending::PartlyTaken | Ending::NoVote | Ending::NoReveal => {
            return BTreeMap::new();
        }
        Ending::Partly
        | Ending::TooFewPartials
        | Ending::ClientSilent
        | Ending::ClientLate
        | Ending::ClientNoHalf
        | Ending::ClientBadHalf
        | Ending::JournalFailed => partial_lack,
        Ending::Refused if account.is_agreed() => partial_lack,
        Ending::Refused | Ending::Stopped | Ending::NotDistributed => return BTreeMap::new(),
        Ending::TooFewPresent => |_, _| None,
        Ending::ValueRefused => value_lack,
        Ending::ViewsSplit => |account, other| {
            let no_vote = vote_lack(account, other);
            no_vote.or_else(|| other_view(account, other).then_some(Lack::OtherView))
        },
        Ending::LeaderSilent => {
            |account, other| account.silent_leaders().contains(&other).then_some(Lack::NoProposal)
        }
        Ending::AgreedLate | Ending::OnlyFollowed | Ending::NoValue | Ending::TooFewVotes => vote_lack,
        Ending::NotAgreed => commit_lack,
    };
    let of = |other: ShareIndex| {
        let lack = if account.is_present(other) {
            lack(account, other)
        } else if ending == Ending::ValueRefused {
            None
        } else {
            Some(Lack::NotConnected)
        };
        Some((other, lack?))
    };
    account.size.others(account.me).filter_map(of).collect()
}

fn partial_lack(account: &Account, other: ShareIndex) -> Option<Lack> {
    let fault = account.operators.get(&other).and_then(|heard| heard.fault);
    if matches!(fault, Some(Fault::BadPartial(_))) {
        return Some(Lack::BadPartial);
    }
    (account.partials(other) < account.due).then_some(Lack::NoPartial)
}

fn value_lack(account: &Account, other: ShareIndex) -> Option<Lack> {
    match account.operators.get(&other)?.fault? {
        Fault::BadValue | Fault::Unjustified => Some(Lack::BadValue),
        Fault::BadPartial(_) => None,
    }
}

fn vote_lack(account: &Account, other: ShareIndex) -> Option<Lack> {
    match account.vote(other) {
        None => Some(Lack::NoVote),
        Some((at, _, _)) => (at >= account.over_at).then_some(Lack::LateVote),
    }
}

fn commit_lack(account: &Account, other: ShareIndex) -> Option<Lack> {
    let committed = account.operators.get(&other).is_some_and(|heard| heard.commit.is_some());
    vote_lack(account, other).or((!committed).then_some(Lack::NoCommit))
}

/// Whether an operator voted unlike the greatest group of those who agree; nobody did, if two groups are as great.
fn other_view(account: &Account, operator: ShareIndex) -> bool {
    let votes = account.votes();
    let most = votes.values().max().copied().unwrap_or(0);
    let greatest: Vec<Root> =
        votes.iter().filter(|(_, count)| **count == most).map(|(hash, _)| *hash).collect();
    let [greatest] = greatest[..] else { return false };
    account.vote(operator).is_some_and(|(_, _, hash)| hash != greatest)
}
