//! Rules 1 to 4: when this node votes, and for what.

use super::{Agree, Output, Verdict, Voted};
use types::Root;
use types::wire::{Message, Signed, Step, Vote};

impl Agree {
    /// Votes if a rule says so.
    pub(super) fn vote(&mut self) {
        let Some(round) = self.standing().votes_in() else { return };
        if round == 0 {
            return self.vote_openly();
        }
        // Rules 3 and 4. The proposal is its leader's first valid one, and its justification has entered this
        // round (or asked for it) already.
        let Some(proposal) = self.rounds.get(round).and_then(|kept| kept.proposal) else { return };
        match self.is_votable(&proposal.statement.hash) {
            true => self.cast(round, proposal.statement.hash, Some(proposal)),
            false => self.want(proposal.statement.hash),
        }
    }

    /// Rule 2: the own value; from the deadline on, whatever comes first of a value with `f+1` votes and the
    /// beacon nodes' late answer.
    fn vote_openly(&mut self) {
        if let Some(own) = self.own.filter(|own| self.is_votable(own)) {
            return self.cast(0, own, None);
        }
        if self.now < self.setup.deadline {
            return;
        }
        let vouched = self.vouched();
        if let Some(hash) = vouched.iter().find(|hash| self.is_votable(hash)) {
            return self.cast(0, *hash, None);
        }
        vouched.into_iter().for_each(|hash| self.want(hash));
        if !self.need_vote_said {
            self.need_vote_said = true;
            self.outputs.push_back(Output::NeedVote);
        }
    }

    /// Values with `f+1` votes of round 0, so that an honest node's beacon nodes answered them; most votes
    /// first, then by hash.
    fn vouched(&self) -> Vec<Root> {
        let Some(round) = self.rounds.get(0) else { return Vec::new() };
        let mut counted: Vec<_> = round
            .votes
            .values()
            .map(|vote| (std::cmp::Reverse(round.voters(&vote.statement.hash).len()), vote.statement.hash))
            .filter(|(votes, _)| self.book().is_vouched(votes.0))
            .collect();
        counted.sort_unstable();
        counted.dedup();
        counted.into_iter().map(|(_, hash)| hash).collect()
    }

    /// Whether the value is in hand and its checks let this node vote for it: the hard ones always, the soft
    /// ones unless `f+1` other nodes voted for it.
    pub(super) fn is_votable(&self, hash: &Root) -> bool {
        match self.values.verdict(hash) {
            Some(Verdict::Good) => true,
            Some(Verdict::OnlyHard | Verdict::NoContents) => {
                self.book().is_vouched(self.rounds.backers(hash).without(self.setup.me).len())
            }
            Some(Verdict::Refused | Verdict::Forbidden | Verdict::WrongBytes) | None => false,
        }
    }

    /// Whether the moment at which rule 2 gives up on the own value is still to come.
    pub(super) fn awaits_deadline(&self) -> bool {
        self.frontier() == 0 && self.judge().first_round() == 0 && self.voted.is_none() && !self.is_silent()
    }

    fn cast(&mut self, round: u32, hash: Root, header: Option<Signed>) {
        self.voted = Some(Voted { round, hash, header });
        let value = if self.is_small() { self.values.get(&hash).cloned() } else { None };
        let signed = self.statement(Step::Vote, round, hash, Root::ZERO);
        self.broadcast(Message::Vote(Vote { signed, value: value.into_iter().collect() }));
    }
}
