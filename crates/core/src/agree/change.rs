//! Rules 8 to 10: asking for a round, being pulled to it, entering it, and leading it.

use super::rules::Choice;
use super::{Agree, Output, Verdict};
use types::wire::{LastVote, Message, NewRound, Proposal, Step};
use types::{Millis, Root};

/// What a leader does about its proposal now.
enum Pick {
    /// Propose this.
    Propose(Root),
    /// The value is missing or unchecked: ask for it and wait.
    Await(Root),
    /// Its own value is wanted.
    Own,
}

impl Agree {
    /// Rule 8, first half: `f+1` authors of `NEWROUND` at `r` or above pull to `r`, and `q` of `r` enter it.
    /// Messages that were too far ahead before are taken up on the way.
    pub(super) fn catch_up(&mut self) {
        loop {
            let pulled = self.book().pulled_to(self.reached.values().copied());
            if pulled > self.frontier() {
                self.ask(pulled);
            }
            if !self.take_up() {
                break;
            }
        }
        let entered = self.rounds.get(self.asked).is_some_and(|round| round.quorum_at.is_some());
        if self.asked > self.round && entered {
            self.enter(self.asked);
        }
    }

    /// Makes `round` the own one and starts its timer.
    pub(super) fn enter(&mut self, round: u32) {
        self.round = round;
        self.since = self.now;
        self.forget();
    }

    /// Rule 8, second half: the timer of the own round ended, or round 0 is split for good.
    pub(super) fn expire(&mut self) {
        let (Some(next), Some(end)) = (self.standing().asks_next(), self.round_end()) else { return };
        let expired = end <= self.now;
        if !expired && !self.is_split() {
            return;
        }
        if self.round > 0 {
            self.expired.insert(self.judge().leader(self.round));
        }
        self.ask(next);
    }

    /// Whether no value can reach `q` votes of round 0 any more, even if all who were heard from lately and
    /// have not voted vote for the same. With fewer than `q` nodes alive no other round can be entered
    /// either, so there is nothing to hurry for.
    fn is_split(&self) -> bool {
        let Some(round) = self.rounds.get(0).filter(|_| self.round == 0) else { return false };
        let voted = round.votes.keys().copied().collect::<super::authors::Authors>();
        let alive = self.alive().union(voted).len();
        let quorum = self.setup.size.quorum();
        !round.certified && alive >= quorum && round.most_votes() + alive - voted.len() < quorum
    }

    /// Sends `NEWROUND(round)`: from here on this node neither votes nor commits below it (rule 1).
    fn ask(&mut self, round: u32) {
        self.asked = round;
        self.forget();
        if self.is_silent() {
            return;
        }
        let best: Vec<_> = self.best.iter().cloned().collect();
        let last: Vec<_> =
            self.voted.iter().map(|voted| LastVote { round: voted.round, hash: voted.hash }).collect();
        let proposal: Vec<_> = self.voted.iter().filter_map(|voted| voted.header).collect();
        let extra = NewRound::extra(&best, &last, &proposal);
        let signed = self.statement(Step::NewRound, round, Root::ZERO, extra);
        self.broadcast(Message::NewRound(NewRound { signed, best, last, proposal }));
    }

    /// Rules 3 and 10: proposes if this node leads the round it is in and all it needs is there.
    pub(super) fn propose(&mut self) {
        let Some(round) = self.standing().proposes_in() else { return };
        if self.judge().leader(round) != self.setup.me || self.now < self.setup.start {
            return;
        }
        let mut justification = self.justification(round);
        if !self.book().opens(round) && !self.is_collected(round, justification.len()) {
            if self.judge().choice(justification.iter().copied()) == Choice::Free {
                self.need_own(round);
            }
            return;
        }
        match self.pick(&mut justification) {
            Pick::Propose(hash) => {
                let justification = justification.into_iter().cloned().collect();
                self.send_proposal(round, hash, justification);
            }
            Pick::Await(hash) => self.want(hash),
            Pick::Own => self.need_own(round),
        }
    }

    /// The `NEWROUND`s held for a round, in order of author.
    fn justification(&self, round: u32) -> Vec<&NewRound> {
        self.rounds.get(round).map(|kept| kept.new_rounds.values().collect()).unwrap_or_default()
    }

    /// Rule 10: `q` `NEWROUND`s, and either one shows a certificate of the round before, or all nodes heard
    /// from lately are in, or the wait for more is over.
    fn is_collected(&self, round: u32, held: usize) -> bool {
        let Some(kept) = self.rounds.get(round).filter(|_| self.book().is_entered(held)) else {
            return false;
        };
        let fresh = |new_round: &NewRound| {
            new_round.best.iter().any(|best| best.statement.round.saturating_add(1) == round)
        };
        let in_already = kept.new_rounds.keys().copied().collect();
        kept.new_rounds.values().any(fresh)
            || self.alive().within(in_already)
            || self.collect_over(round).is_some_and(|over| over <= self.now)
    }

    fn collect_over(&self, round: u32) -> Option<Millis> {
        let held_since = self.rounds.get(round).and_then(|kept| kept.quorum_at);
        held_since.map(|since| since.after(self.setup.timers.collect))
    }

    /// When a leader's wait for more `NEWROUND`s is over.
    pub(super) fn collect_end(&self) -> Option<Millis> {
        let round = self.frontier();
        let waits = self.judge().leader(round) == self.setup.me && self.proposed < round && !self.is_silent();
        self.collect_over(round).filter(|_| waits)
    }

    /// Rule 9, the leader's side: leaves out `NEWROUND`s whose value it cannot get or would not vote for
    /// itself, as long as `q` remain. If they do not, it proposes what the rule says all the same: others may
    /// hold the value, and find it good.
    fn pick(&self, justification: &mut Vec<&NewRound>) -> Pick {
        let everybody = justification.clone();
        loop {
            let hash = match self.judge().choice(justification.iter().copied()) {
                Choice::Free => return self.pick_own(),
                Choice::Only(hash) => hash,
                Choice::Among(tied) => {
                    let mine = self.voted.map(|voted| voted.hash).filter(|hash| tied.contains(hash));
                    let open = |hash: &&Root| !self.is_hopeless(hash);
                    let best = mine.iter().chain(&tied).find(|hash| self.is_votable(hash));
                    match best.or_else(|| tied.iter().find(open)).or(tied.first()) {
                        Some(hash) => *hash,
                        None => return Pick::Own,
                    }
                }
            };
            if !self.is_hopeless(&hash) {
                return if self.is_votable(&hash) { Pick::Propose(hash) } else { Pick::Await(hash) };
            }
            justification.retain(|new_round| !names(new_round, &hash));
            if !self.book().is_entered(justification.len()) {
                *justification = everybody;
                return match self.judge().choice(justification.iter().copied()) {
                    Choice::Only(forced) => Pick::Propose(forced),
                    Choice::Among(tied) => tied.first().map_or(Pick::Own, |hash| Pick::Propose(*hash)),
                    Choice::Free => self.pick_own(),
                };
            }
        }
    }

    fn pick_own(&self) -> Pick {
        match self.own {
            Some(own) if self.is_votable(&own) => Pick::Propose(own),
            Some(_) | None => Pick::Own,
        }
    }

    /// Whether waiting for this value is in vain: its checks failed, or all who voted for it were asked.
    fn is_hopeless(&self, hash: &Root) -> bool {
        match self.values.verdict(hash) {
            Some(Verdict::Good) => false,
            Some(Verdict::OnlyHard | Verdict::NoContents) => !self.is_votable(hash),
            Some(Verdict::Refused | Verdict::Forbidden | Verdict::WrongBytes) => true,
            None => self.values.is_in_vain(hash, self.rounds.backers(hash).without(self.setup.me)),
        }
    }

    fn need_own(&mut self, round: u32) {
        let wanted = self.own.is_none_or(|own| !self.values.is_offered(&own));
        if wanted && self.need_own_said < round {
            self.need_own_said = round;
            self.outputs.push_back(Output::NeedOwn { round });
        }
    }

    /// Values travel once: a large one that was proposed before is named, and fetched by whoever lacks it.
    fn send_proposal(&mut self, round: u32, hash: Root, justification: Vec<NewRound>) {
        self.proposed = round;
        let travelled = !self.is_small() && justification.iter().any(|new_round| names(new_round, &hash));
        let value = if travelled { None } else { self.values.get(&hash).cloned() };
        let extra = Proposal::extra(&justification);
        let signed = self.statement(Step::Proposal, round, hash, extra);
        self.broadcast(Message::Proposal(Proposal {
            signed,
            value: value.into_iter().collect(),
            justification,
        }));
    }
}

/// Whether a `NEWROUND` brings this value into the choice.
fn names(new_round: &NewRound, hash: &Root) -> bool {
    new_round.best.iter().any(|best| best.statement.hash == *hash)
        || new_round.last.iter().any(|last| last.hash == *hash)
}
