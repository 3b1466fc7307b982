//! What peers say: sorted into rounds, proofs and values. Nothing here votes, commits or asks for a round.

use super::rounds::{ROUNDS_AHEAD, ROUNDS_BEHIND, Word};
use super::{Agree, Output};
use crate::{Fault, To};
use types::wire::{
    Message, NewRound, Proposal, Quorum, Signed, Statement, Step, VOTE_VALUE_LEN_MAX, Value, ValueAnswer,
    ValueId, Verified, Vote,
};
use types::{Root, ShareIndex};

/// Answers with a value that one peer gets from one instance: its circles of fetching, and as many again after
/// reconnecting.
const VALUES_SERVED_MAX: u8 = 16;

impl Agree {
    /// Takes a message of this instance; those of others, and partials, are not for this machine.
    pub(super) fn receive(&mut self, message: Verified) {
        if message.message().instance() != self.setup.instance {
            return;
        }
        let sender = message.sender();
        self.heard.insert(sender);
        match message.into_message() {
            Message::Vote(vote) => self.on_vote(vote),
            Message::Cert(quorum) => match self.judge().certificate(&quorum) {
                true => self.on_certificate(&quorum),
                false => self.fault(sender, Fault::Unjustified),
            },
            Message::Commit(commit) => self.on_commit(commit),
            Message::Decided(quorum) => match self.judge().decision(&quorum) {
                true => self.on_decision(quorum),
                false => self.fault(sender, Fault::Unjustified),
            },
            Message::NewRound(new_round) => {
                let round = new_round.signed.statement.round;
                match self.judge().new_round(&new_round) {
                    true => self.on_new_round(new_round),
                    false => return self.fault(sender, Fault::Unjustified),
                }
                self.answer_late(sender, round);
            }
            Message::Proposal(proposal) => match self.judge().proposal(&proposal) {
                true => self.on_proposal(proposal),
                false => self.fault(sender, Fault::Unjustified),
            },
            Message::Fetch(id) => self.serve(sender, id),
            Message::Value(answer) => self.on_value(sender, answer),
            Message::Partial(_)
            | Message::Contents(_)
            | Message::Challenge(_)
            | Message::Boot(_)
            | Message::Overlap(_)
            | Message::Held(_)
            | Message::FetchContents(_) => {}
        }
    }

    fn on_vote(&mut self, vote: Vote) {
        let signed = vote.signed;
        let Statement { round, hash, .. } = signed.statement;
        if !self.is_word(&signed, Step::Vote) {
            return;
        }
        if self.is_ahead(round) {
            return self.set_aside(signed, Message::Vote(vote));
        }
        // A second word brings no value, so values are as few as counted votes.
        match self.rounds.at(round).vote(&signed) {
            Word::Second(first) => return self.evidence(first, signed),
            Word::First => {}
            Word::Known if self.rounds.at(round).voters(&hash).contains(signed.author) => {}
            Word::Known => return,
        }
        if let Some(value) = vote.value.into_iter().next().filter(|_| self.is_small()) {
            self.offer(hash, value, signed.author);
        }
        self.count_votes(signed.statement);
    }

    fn on_commit(&mut self, commit: Signed) {
        let round = commit.statement.round;
        if !self.is_word(&commit, Step::Commit) {
            return;
        }
        if self.is_ahead(round) {
            return self.set_aside(commit, Message::Commit(commit));
        }
        match self.rounds.at(round).commit(&commit) {
            Word::First => self.count_commits(commit.statement),
            Word::Second(first) => self.evidence(first, commit),
            Word::Known => {}
        }
    }

    /// Notes the voters of a valid certificate or of `n` first votes: they may have voted otherwise elsewhere
    /// (rule 12), and votes that came this way are votes.
    pub(super) fn note_voters(&mut self, quorum: &Quorum) {
        let statement = quorum.statement;
        if statement.step != Step::Vote || !self.is_kept(statement.round) {
            return;
        }
        for one in &quorum.signatures {
            let signed = Signed { author: one.author, statement, signature: one.signature };
            if let Word::Second(first) = self.rounds.at(statement.round).vote(&signed) {
                self.evidence(first, signed);
            }
        }
    }

    /// Takes a valid `NEWROUND`, from its author or out of a justification. Its certificate comes first, so
    /// that rule 5 can still commit before rule 8 pulls.
    fn on_new_round(&mut self, new_round: NewRound) {
        let signed = new_round.signed;
        let round = signed.statement.round;
        if let Some(best) = new_round.best.first() {
            self.on_certificate(best);
        }
        for header in &new_round.proposal {
            self.weigh_header(header);
        }
        let reached = self.reached.entry(signed.author).or_default();
        *reached = (*reached).max(round);
        if self.is_ahead(round) {
            return self.set_aside(signed, Message::NewRound(new_round));
        }
        if !self.is_kept(round) {
            return;
        }
        let (now, book) = (self.now, self.book());
        let kept = self.rounds.at(round);
        match kept.weigh(&signed) {
            Word::First => {
                kept.new_rounds.insert(signed.author, new_round);
                if book.is_entered(kept.new_rounds.len()) {
                    kept.quorum_at.get_or_insert(now);
                }
            }
            Word::Second(first) => self.evidence(first, signed),
            Word::Known => {}
        }
    }

    /// Takes a valid proposal. Its justification is `q` `NEWROUND`s like any others, so it pulls and enters
    /// (rule 8) whoever had not heard of them; and afterwards its round is not ahead.
    fn on_proposal(&mut self, proposal: Proposal) {
        let signed = proposal.signed;
        let Statement { round, hash, .. } = signed.statement;
        for new_round in proposal.justification {
            self.on_new_round(new_round);
        }
        self.catch_up();
        if !self.is_kept(round) {
            return;
        }
        let kept = self.rounds.at(round);
        match kept.weigh(&signed) {
            Word::First => kept.proposal = Some(signed),
            Word::Second(first) => return self.evidence(first, signed),
            // The value is bound by its hash alone: the same statement may bring it later.
            Word::Known if kept.proposal.is_some_and(|first| first.statement == signed.statement) => {}
            Word::Known => return,
        }
        if let Some(value) = proposal.value.into_iter().next() {
            self.offer(hash, value, signed.author);
        }
    }

    fn weigh_header(&mut self, header: &Signed) {
        let round = header.statement.round;
        if self.is_kept(round)
            && let Word::Second(first) = self.rounds.at(round).weigh(header)
        {
            self.evidence(first, *header);
        }
    }

    fn on_value(&mut self, sender: ShareIndex, answer: ValueAnswer) {
        if self.values.is_asked(&answer.id.hash, sender) {
            self.offer(answer.id.hash, answer.value, sender);
        }
    }

    /// Answers `FETCH`, with values whose hash was checked.
    fn serve(&mut self, peer: ShareIndex, id: ValueId) {
        let Some(value) = self.values.get(&id.hash) else { return };
        let answer = ValueAnswer { id, value: value.clone() };
        let served = self.served.entry(peer).or_default();
        if peer == self.setup.me || *served >= VALUES_SERVED_MAX {
            return;
        }
        *served += 1;
        self.send(To::One(peer), Message::Value(answer));
    }

    /// Rule 8: after `t` partials combined, `NEWROUND` is answered with `DECIDED` and `PARTIAL`. Once per
    /// peer and round.
    fn answer_late(&mut self, peer: ShareIndex, round: u32) {
        if !self.ended || peer == self.setup.me {
            return;
        }
        let answered = self.answered.entry(peer).or_default();
        if *answered < round {
            *answered = round;
            self.resend_decision(peer);
        }
    }

    /// Takes bytes said to hash to `hash`, and has them checked.
    pub(super) fn offer(&mut self, hash: Root, value: Value, from: ShareIndex) {
        if self.is_small() && value.0.len() > VOTE_VALUE_LEN_MAX {
            return self.fault(from, Fault::BadValue);
        }
        if let Some(value) = self.values.offer(hash, value, from) {
            self.outputs.push_back(Output::Check { hash, value });
        }
    }

    /// Keeps one message per author and type that is too far ahead, the farthest (rule 13).
    fn set_aside(&mut self, signed: Signed, message: Message) {
        let Statement { round, step, .. } = signed.statement;
        match self.ahead.get(&(signed.author, step)) {
            Some((farthest, _)) if *farthest >= round => {}
            _ => {
                self.ahead.insert((signed.author, step), (round, message));
            }
        }
    }

    /// Takes up a message that is no longer too far ahead. `false` if there is none.
    pub(super) fn take_up(&mut self) -> bool {
        let near = self.ahead.iter().find(|(_, (round, _))| !self.is_ahead(*round));
        let Some(key) = near.map(|(key, _)| *key) else { return false };
        match self.ahead.remove(&key).map(|(_, message)| message) {
            Some(Message::Vote(vote)) => self.on_vote(vote),
            Some(Message::Commit(commit)) => self.on_commit(commit),
            Some(Message::NewRound(new_round)) => self.on_new_round(new_round),
            _ => unreachable!("only these three are set aside"),
        }
        true
    }

    /// Whether a vote or commit is one, of this instance's rounds, and not too old to be counted.
    fn is_word(&self, signed: &Signed, step: Step) -> bool {
        let statement = signed.statement;
        statement.step == step
            && statement.extra == Root::ZERO
            && self.setup.size.contains(signed.author)
            && statement.round >= self.judge().first_round()
            && (self.is_kept(statement.round) || self.is_ahead(statement.round))
    }

    fn is_ahead(&self, round: u32) -> bool {
        round > self.frontier().saturating_add(ROUNDS_AHEAD)
    }

    /// Whether a round is among those kept: the first, and those from a little below the own one to a little
    /// above it.
    pub(super) fn is_kept(&self, round: u32) -> bool {
        let first = self.judge().first_round();
        round == first || (round > first && round >= self.lowest_kept() && !self.is_ahead(round))
    }

    pub(super) fn lowest_kept(&self) -> u32 {
        self.frontier().saturating_sub(ROUNDS_BEHIND)
    }
}
