//! The chaos villain: says anything it can sign, to anybody, made of whatever it has heard.

use super::{CLUSTER, Key, Lcg, Lines, Villain, hash, value};
use std::collections::BTreeMap;
use types::wire::{
    self, Instance, LastVote, Message, NewRound, Proposal, Quorum, QuorumSignature, Signed, Statement, Step,
    ValueAnswer, ValueId, Verified, Vote,
};
use types::{ClusterSize, Millis, Root, ShareIndex};

/// What it remembers of each sort: enough to mix, and bounded.
const HEARD_MAX: usize = 300;

pub(crate) struct Chaos {
    pub(crate) me: ShareIndex,
    pub(crate) size: ClusterSize,
    pub(crate) instance: Instance,
    pub(crate) rng: Lcg,
    /// Texts of values it plays with.
    pub(crate) texts: Vec<String>,
    words: Vec<Signed>,
    certificates: Vec<Quorum>,
    new_rounds: Vec<NewRound>,
    headers: Vec<Signed>,
    top: u32,
}

impl Chaos {
    pub(crate) fn new(
        me: ShareIndex,
        size: ClusterSize,
        instance: Instance,
        rng: Lcg,
        texts: Vec<String>,
    ) -> Self {
        let (words, certificates, new_rounds, headers) = (vec![], vec![], vec![], vec![]);
        Self { me, size, instance, rng, texts, words, certificates, new_rounds, headers, top: 1 }
    }

    fn text(&mut self) -> String {
        self.rng.pick(&self.texts.clone()).cloned().unwrap_or_default()
    }

    fn round(&mut self) -> u32 {
        self.rng.below(u64::from(self.top) + 3) as u32
    }

    fn sign(&self, step: Step, round: u32, hash: Root, extra: Root) -> Signed {
        let statement = Statement { instance: self.instance, step, round, hash, extra };
        wire::sign(statement, &CLUSTER, &Key(self.me))
    }

    fn vote(&mut self) -> Message {
        let (round, text) = (self.round(), self.text());
        let bytes = if self.rng.chance(10) { value("garbage") } else { value(&text) };
        let signed = self.sign(Step::Vote, round, hash(&text), Root::ZERO);
        self.words.push(signed);
        Message::Vote(Vote { signed, value: vec![bytes] })
    }

    /// Agrees with an honest statement that it heard.
    fn second(&mut self) -> Option<Message> {
        let words = self.words.clone();
        let Statement { step, round, hash, .. } = self.rng.pick(&words)?.statement;
        let signed = self.sign(step, round, hash, Root::ZERO);
        self.words.push(signed);
        Some(match step {
            Step::Vote => Message::Vote(Vote { signed, value: vec![] }),
            _ => Message::Commit(signed),
        })
    }

    fn commit(&mut self) -> Message {
        let (round, text) = (self.round(), self.text());
        Message::Commit(self.sign(Step::Commit, round, hash(&text), Root::ZERO))
    }

    /// All signatures held under one statement, its own added: often too few.
    fn quorum(&mut self, step: Step) -> Option<Quorum> {
        let words: Vec<_> = self.words.iter().filter(|word| word.statement.step == step).copied().collect();
        let statement = self.rng.pick(&words)?.statement;
        let mut signatures: BTreeMap<_, _> = words
            .iter()
            .filter(|word| word.statement == statement)
            .map(|word| (word.author, word.signature))
            .collect();
        let mine = self.sign(step, statement.round, statement.hash, Root::ZERO);
        signatures.insert(self.me, mine.signature);
        let mut signatures: Vec<_> =
            signatures.into_iter().map(|(author, signature)| QuorumSignature { author, signature }).collect();
        if self.rng.chance(10) {
            signatures.push(signatures[0]);
        }
        Some(Quorum { statement, signatures })
    }

    fn certificate(&mut self) -> Option<Quorum> {
        let held = self.certificates.clone();
        if self.rng.chance(50) { self.rng.pick(&held).cloned() } else { self.quorum(Step::Vote) }
    }

    fn new_round(&mut self, round: u32) -> NewRound {
        let best = if self.rng.chance(30) { self.certificate() } else { None };
        let mut last = None;
        let mut header = None;
        if self.rng.chance(70) {
            let heard = self.headers.clone();
            let claimed = self.rng.below(u64::from(round.max(1))) as u32;
            if self.instance.leader(claimed, self.size) == self.me && claimed > 0 {
                let text = self.text();
                header = Some(self.sign(Step::Proposal, claimed, hash(&text), Proposal::extra(&[])));
            } else if claimed > 0 {
                header = self.rng.pick(&heard).copied();
            }
            let text = self.text();
            let (round, hash) = header
                .map_or((0, hash(&text)), |header: Signed| (header.statement.round, header.statement.hash));
            last = Some(LastVote { round, hash });
        }
        let (best, last): (Vec<_>, Vec<_>) = (best.into_iter().collect(), last.into_iter().collect());
        let proposal: Vec<_> = header.into_iter().collect();
        let extra = NewRound::extra(&best, &last, &proposal);
        let signed = self.sign(Step::NewRound, round, Root::ZERO, extra);
        NewRound { signed, best, last, proposal }
    }

    /// A proposal of any round from any of the `NEWROUND`s held: mostly unjustified.
    fn proposal(&mut self) -> Message {
        let n = self.size.operators() as u32;
        let mine: Vec<_> =
            (1..self.top + n).filter(|round| self.instance.leader(*round, self.size) == self.me).collect();
        let round = self.rng.pick(&mine).copied().unwrap_or(1);
        let mut shown = BTreeMap::new();
        if round > self.instance.kind.first_round() {
            let own = self.new_round(round);
            shown.insert(self.me, own);
            for new_round in self.new_rounds.clone() {
                if new_round.signed.statement.round == round && self.rng.chance(70) {
                    shown.insert(new_round.signed.author, new_round);
                }
            }
        }
        let justification: Vec<_> = shown.into_values().collect();
        let votes: Vec<_> = justification.iter().flat_map(|one| &one.last).map(|last| last.hash).collect();
        let text = self.text();
        let hash = self.rng.pick(&votes).copied().filter(|_| text.len() == 1).unwrap_or(hash(&text));
        let value = if self.rng.chance(50) { vec![value(&text)] } else { vec![] };
        let signed = self.sign(Step::Proposal, round, hash, Proposal::extra(&justification));
        Message::Proposal(Proposal { signed, value, justification })
    }

    fn line(&mut self) -> Option<Message> {
        Some(match self.rng.below(10) {
            0 | 1 => self.vote(),
            2 | 3 => self.second()?,
            4 => self.commit(),
            5 => Message::Cert(self.certificate()?),
            6 => {
                let round = self.round();
                Message::NewRound(self.new_round(round))
            }
            7 => self.proposal(),
            8 => {
                let step = if self.rng.chance(50) { Step::Commit } else { Step::Vote };
                Message::Decided(self.quorum(step)?)
            }
            _ => {
                let text = self.text();
                let id = ValueId { instance: self.instance, hash: hash(&text) };
                let told = if self.rng.chance(50) { text } else { "garbage".to_owned() };
                match self.rng.chance(30) {
                    true => Message::Fetch(id),
                    false => Message::Value(ValueAnswer { id, value: value(&told) }),
                }
            }
        })
    }
}

impl Villain for Chaos {
    fn hear(&mut self, _: Millis, message: &Verified) -> Lines {
        let round = match message.message() {
            Message::Vote(vote) => {
                self.words.push(vote.signed);
                vote.signed.statement.round
            }
            Message::Commit(commit) => {
                self.words.push(*commit);
                commit.statement.round
            }
            Message::Cert(quorum) => {
                self.certificates.push(quorum.clone());
                quorum.statement.round
            }
            Message::NewRound(new_round) => {
                self.headers.extend(&new_round.proposal);
                self.new_rounds.push(new_round.clone());
                new_round.signed.statement.round
            }
            Message::Proposal(proposal) => {
                self.headers.push(proposal.signed);
                proposal.signed.statement.round
            }
            Message::Decided(_)
            | Message::Partial(_)
            | Message::Fetch(_)
            | Message::Value(_)
            | Message::Contents(_)
            | Message::Challenge(_)
            | Message::Boot(_)
            | Message::Overlap(_)
            | Message::Held(_)
            | Message::FetchContents(_) => 0,
        };
        self.top = self.top.max(round);
        self.words.truncate(HEARD_MAX);
        self.certificates.truncate(HEARD_MAX);
        self.new_rounds.truncate(HEARD_MAX);
        self.headers.truncate(HEARD_MAX);
        Vec::new()
    }

    fn act(&mut self, _: Millis) -> Lines {
        let mut lines = Vec::new();
        for _ in 0..=self.rng.below(4) {
            let Some(message) = self.line() else { continue };
            let share = 20 + self.rng.below(80);
            for peer in self.size.others(self.me) {
                if self.rng.chance(share) {
                    lines.push((peer, message.clone()));
                }
            }
        }
        lines
    }
}
