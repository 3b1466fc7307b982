//! How a duty ended: the closed list, and the one function that reads it from an [`Account`].
//!
//! Every ending has a name for metrics, a headline for logs and a paragraph for operators ([`words`]); the paragraphs are
//! the text of `docs/outcomes.md`.

mod words;

use crate::account::{Account, Obstacle};

/// The closed list of endings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ending {
    /// Every signature due is made, and a beacon node took it.
    Done,
    /// Some of the signatures due are made.
    Partly,
    /// Signed, but no beacon node took it.
    NotTaken,
    /// Signed, but the beacon nodes took only a part.
    PartlyTaken,
    /// Agreed and signed here, but too few others sent good partials.
    TooFewPartials,
    /// Agreed, but our validator client never asked for the value and handed in no half.
    ClientSilent,
    /// Agreed, but our validator client asked only after the slot was over, and handed in no half.
    ClientLate,
    /// Agreed, and our validator client asked in time, but handed in no half.
    ClientNoHalf,
    /// Agreed, but what our validator client handed in did not fit.
    ClientBadHalf,
    /// The validator client aggregates by itself, outside distributed mode: what it signed cannot be combined.
    NotDistributed,
    /// Agreed, but only after the slot was over.
    AgreedLate,
    /// The journal refused every validator.
    Refused,
    /// The journal could not be written.
    JournalFailed,
    /// A stop is in force at this node: it signs nothing.
    Stopped,
    /// This node was started too late for the slot, and the others did not agree without it.
    OnlyFollowed,
    /// What this duty stands on, the slot's vote, was not agreed on.
    NoVote,
    /// Too few operators asked for a block in time, so there was no RANDAO reveal to make one with.
    NoReveal,
    /// Too few operators were connected to agree on anything.
    TooFewPresent,
    /// The own beacon nodes had no value in time.
    NoValue,
    /// What was offered breaks a rule that is never waived.
    ValueRefused,
    /// The beacon nodes' views differed, and no view had a quorum.
    ViewsSplit,
    /// The leaders of the rounds proposed nothing.
    LeaderSilent,
    /// Fewer operators than a quorum voted.
    TooFewVotes,
    /// A quorum voted, but what follows from that did not get around in time.
    NotAgreed,
}

impl Ending {
    /// All of them: the good one, then from the duty's end backwards to its beginning.
    pub const ALL: [Self; 24] = [
        Self::Done,
        Self::Partly,
        Self::NotTaken,
        Self::PartlyTaken,
        Self::TooFewPartials,
        Self::ClientSilent,
        Self::ClientLate,
        Self::ClientNoHalf,
        Self::ClientBadHalf,
        Self::NotDistributed,
        Self::AgreedLate,
        Self::Refused,
        Self::JournalFailed,
        Self::Stopped,
        Self::OnlyFollowed,
        Self::NoVote,
        Self::NoReveal,
        Self::TooFewPresent,
        Self::NoValue,
        Self::ValueRefused,
        Self::ViewsSplit,
        Self::LeaderSilent,
        Self::TooFewVotes,
        Self::NotAgreed,
    ];

    /// How a duty with this account ended, or would end if nothing more came. The first of the list that fits, from
    /// what came last to what came first: only what the later steps lacked is of interest.
    pub fn of(account: &Account) -> Self {
        let has = |obstacle| account.obstacles.contains(&obstacle);
        // Whether or not the others have done it without this operator.
        if has(Obstacle::NotDistributed) {
            return Self::NotDistributed;
        }
        if account.done > 0 {
            return signed(account);
        }
        if account.due == 0 && account.is_agreed() {
            return Self::Done;
        }
        if has(Obstacle::Stopped) {
            return Self::Stopped;
        }
        if account.is_agreed() { agreed(account) } else { not_agreed(account) }
    }
}

/// Something is signed.
fn signed(account: &Account) -> Ending {
    if !account.is_step() && account.taken == 0 {
        Ending::NotTaken
    } else if account.done < account.due {
        Ending::Partly
    } else if account.taken < account.submitted {
        Ending::PartlyTaken
    } else {
        Ending::Done
    }
}

/// Agreed, or nothing to agree on, and nothing is signed.
fn agreed(account: &Account) -> Ending {
    let has = |obstacle| account.obstacles.contains(&obstacle);
    let is_late = |at: types::Millis| at >= account.over_at;
    if has(Obstacle::JournalFailed) {
        return Ending::JournalFailed;
    }
    if account.refused > 0 && account.refused == account.due {
        return Ending::Refused;
    }
    if account.partials(account.me) > 0 {
        return Ending::TooFewPartials;
    }
    if has(Obstacle::BadHalf) {
        return Ending::ClientBadHalf;
    }
    if account.half_at.is_some() {
        return Ending::TooFewPartials;
    }
    if account.decided_at.is_some_and(is_late) {
        return Ending::AgreedLate;
    }
    match account.asked_at {
        None => Ending::ClientSilent,
        Some(at) if is_late(at) => Ending::ClientLate,
        Some(_) => Ending::ClientNoHalf,
    }
}

/// Nothing was agreed on. What this node lacked comes first, then what the others did.
fn not_agreed(account: &Account) -> Ending {
    let has = |obstacle| account.obstacles.contains(&obstacle);
    let quorum = account.size.quorum();
    let present = account.size.indices().filter(|operator| account.is_present(*operator)).count();
    if has(Obstacle::ValueSlashable) {
        return Ending::Refused;
    }
    if has(Obstacle::OnlyFollows) {
        return Ending::OnlyFollowed;
    }
    if has(Obstacle::NoVote) {
        return Ending::NoVote;
    }
    if present < quorum {
        return Ending::TooFewPresent;
    }
    if has(Obstacle::NoReveal) && account.value_at.is_none() {
        return Ending::NoReveal;
    }
    if account.wanted_at.is_some() && account.own_at.is_none() {
        return Ending::NoValue;
    }
    if has(Obstacle::ValueRefused) {
        return Ending::ValueRefused;
    }
    let votes = account.votes();
    let all: usize = votes.values().sum();
    let most = votes.values().max().copied().unwrap_or(0);
    let is_led = account.instance.kind.first_round() > 0;
    let proposed = account.operators.values().any(|heard| heard.proposal.is_some());
    if is_led && !proposed && all < quorum {
        Ending::LeaderSilent
    } else if all < quorum {
        Ending::TooFewVotes
    } else if most < quorum && !is_led {
        Ending::ViewsSplit
    } else {
        Ending::NotAgreed
    }
}
