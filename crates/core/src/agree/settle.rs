//! Rules 5 and 6: certificates, commits, the decision, and what follows from it.

use super::rounds::quorum;
use super::rules::Tally;
use super::{Agree, Decision, Output, Stage, Verdict};
use crate::{Fault, To};
use types::wire::{Message, Quorum, Statement, Step};
use types::{Root, ShareIndex};

impl Agree {
    /// `q` equal votes are a certificate, `n` of the first round a decision (the fast path).
    pub(super) fn count_votes(&mut self, statement: Statement) {
        let Some(round) = self.rounds.get(statement.round) else { return };
        let votes = round.voters(&statement.hash).len();
        if self.book().is_certificate(votes) && !round.certified {
            let certificate = quorum(&round.votes, statement);
            self.on_certificate(&certificate);
        }
        self.try_fast_path(statement);
    }

    fn try_fast_path(&mut self, statement: Statement) {
        let Some(round) = self.rounds.get(statement.round) else { return };
        let equal = round.voters(&statement.hash).len();
        let tally = Tally::Votes { round: statement.round, equal };
        if self.book().is_decision(tally) && self.decision.is_none() {
            let proof = quorum(&round.votes, statement);
            self.on_decision(proof);
        }
    }

    /// `q` equal commits of one round are a decision.
    pub(super) fn count_commits(&mut self, statement: Statement) {
        let Some(round) = self.rounds.get(statement.round) else { return };
        let equal = round.commits.values().filter(|commit| commit.statement == statement).count();
        if self.book().is_decision(Tally::Commits { equal }) && self.decision.is_none() {
            let proof = quorum(&round.commits, statement);
            self.on_decision(proof);
        }
    }

    /// Rule 5. A valid certificate: kept if it is of the highest round yet, relayed once, committed unless a
    /// `NEWROUND` above its round was sent or this node only follows; and it pulls to its round.
    pub(super) fn on_certificate(&mut self, certificate: &Quorum) {
        let statement = certificate.statement;
        let round = statement.round;
        if self.best.as_ref().is_none_or(|best| best.statement.round < round) {
            self.best = Some(certificate.clone());
        }
        if round > self.round {
            self.enter(round);
        }
        if !self.is_kept(round) {
            return;
        }
        self.note_voters(certificate);
        if !std::mem::replace(&mut self.rounds.at(round).certified, true) {
            self.expired.remove(self.judge().leader(round));
            if !self.ended {
                self.broadcast(Message::Cert(certificate.clone()));
            }
            if self.standing().commits_in(round) {
                let commit = self.statement(Step::Commit, round, statement.hash, Root::ZERO);
                self.broadcast(Message::Commit(commit));
            }
        }
        self.try_fast_path(statement);
    }

    /// Rule 6: a valid proof decides, in whatever state this node is, and is passed on.
    pub(super) fn on_decision(&mut self, proof: Quorum) {
        self.note_voters(&proof);
        let statement = proof.statement;
        let known = self
            .decision
            .as_ref()
            .is_some_and(|decision| decision.proof.is_some() || decision.hash != statement.hash);
        if known {
            return;
        }
        let stage = self.decision.take().map_or(Stage::Missing, |decision| decision.stage);
        if !self.ended {
            self.broadcast(Message::Decided(proof.clone()));
        }
        self.decision =
            Some(Decision { hash: statement.hash, round: statement.round, proof: Some(proof), stage });
    }

    /// Rule 6: `t` partials that combine and verify decide too, and end this node's part.
    pub(super) fn on_combined(&mut self, hash: Root) {
        self.ended = true;
        if self.decision.is_none() {
            let round = self.frontier();
            self.decision = Some(Decision { hash, round, proof: None, stage: Stage::Missing });
        }
    }

    /// Rule 6: after the decision, gets the value and has it checked again.
    pub(super) fn settle(&mut self) {
        let Some(Decision { hash, stage: Stage::Missing, .. }) = self.decision else { return };
        if self.values.get(&hash).is_none() {
            return self.want(hash);
        }
        if let Some(value) = self.values.check_again(&hash) {
            self.outputs.push_back(Output::Check { hash, value });
        }
        self.set_stage(Stage::Checking);
    }

    /// Takes the answer to a check, whether asked for or not.
    pub(super) fn on_checked(&mut self, hash: Root, verdict: Verdict) {
        let answered = self.values.answer(hash, verdict);
        if let Some(liar) = answered.liar {
            self.fault(liar, Fault::BadValue);
        }
        if let Some(from) = answered.refused {
            self.fault(from, Fault::BadValue);
        }
        if let Some(value) = answered.next {
            self.outputs.push_back(Output::Check { hash, value });
        }
        self.announce(hash, verdict);
    }

    /// The decided value, in hand and through its second check, is handed out once.
    fn announce(&mut self, hash: Root, verdict: Verdict) {
        let Some(decision) = self.decision.as_mut().filter(|decision| decision.hash == hash) else { return };
        match (decision.stage, verdict) {
            (Stage::Missing | Stage::Checking, Verdict::WrongBytes) => decision.stage = Stage::Missing,
            (Stage::Checking, Verdict::Good | Verdict::OnlyHard | Verdict::NoContents) => {
                let Some(value) = self.values.get(&hash).cloned() else { return };
                decision.stage = Stage::Announced;
                let (proof, round) = (decision.proof.clone(), decision.round);
                self.outputs.push_back(Output::Decided { hash, value, proof, round });
            }
            // Refused: never handed out; a later answer of the checks may still allow it. Missing: the
            // answer is to the check before the decision, and the second one follows.
            (Stage::Checking, Verdict::Refused | Verdict::Forbidden)
            | (Stage::Missing | Stage::Announced, _) => {}
        }
    }

    fn set_stage(&mut self, stage: Stage) {
        if let Some(decision) = &mut self.decision {
            decision.stage = stage;
        }
    }

    /// Sends what is known of the decision to one peer: the proof if there is one, and the own partials.
    pub(super) fn resend_decision(&mut self, peer: ShareIndex) {
        let Some(decision) = &self.decision else { return };
        if let Some(proof) = decision.proof.clone() {
            self.send(To::One(peer), Message::Decided(proof));
        }
        self.outputs.push_back(Output::ResendPartial { to: peer });
    }
}
