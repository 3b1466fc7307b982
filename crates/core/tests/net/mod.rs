//! A world for agreement machines alone: a virtual clock, a queue of messages, checks by prefix.
//!
//! A value's hash is its bytes, padded. Values that begin with `bad` fail the hard checks everywhere; those
//! that begin with `odd` and the digit of an operator fail the soft ones at that operator.
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod chaos;
pub(crate) mod twins;

use std::collections::{BTreeMap, BTreeSet};
use symbolon_core::To;
use symbolon_core::agree::{Agree, Input, Output, Setup, Timers, Verdict};
use symbolon_core::mutants::Rules;
use types::wire::{self, Instance, Kind, Message, Sign, Signed, Statement, Step, Value, Verified, Verify};
use types::{
    ClusterId, ClusterSize, Generation, Machine as _, Millis, NodeSignature, Root, ShareIndex, Slot,
};

pub(crate) const CLUSTER: ClusterId = Root([9; 32]);
/// When instances start, in milliseconds.
pub(crate) const START: u64 = 1_000;
/// The vote deadline of round 0.
pub(crate) const DEADLINE: u64 = START + 400;

pub(crate) fn index(number: usize) -> ShareIndex {
    ShareIndex::new(u8::try_from(number).unwrap()).unwrap()
}

pub(crate) fn value(text: &str) -> Value {
    text.as_bytes().to_vec().into()
}

pub(crate) fn hash(text: &str) -> Root {
    let mut root = Root([b'.'; 32]);
    root.0[..text.len()].copy_from_slice(text.as_bytes());
    root
}

pub(crate) fn check(node: ShareIndex, claimed: Root, bytes: &Value) -> Verdict {
    let Ok(text) = std::str::from_utf8(&bytes.0) else { return Verdict::WrongBytes };
    if text.len() > 32 || hash(text) != claimed {
        return Verdict::WrongBytes;
    }
    match text {
        _ if text.starts_with("bad") => Verdict::Refused,
        _ if text.starts_with(&format!("odd{node}")) => Verdict::OnlyHard,
        _ => Verdict::Good,
    }
}

/// A node key for tests: the signature names its author and repeats the digest.
pub(crate) struct Key(pub(crate) ShareIndex);

impl Verify for Key {
    fn verify(&self, author: ShareIndex, digest: &[u8; 32], signature: &NodeSignature) -> bool {
        signature.0[..32] == digest[..] && signature.0[32] == author.get()
    }
}

impl Sign for Key {
    fn author(&self) -> ShareIndex {
        self.0
    }
    fn sign(&self, digest: &[u8; 32]) -> NodeSignature {
        let mut signature = NodeSignature([self.0.get(); 64]);
        signature.0[..32].copy_from_slice(digest);
        signature
    }
}

/// Numbers that look random: Knuth's multiplier, high bits.
#[derive(Clone, Debug)]
pub(crate) struct Lcg(pub(crate) u64);

impl Lcg {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound.max(1)
    }
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len() as u64) as usize)
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Event {
    Deliver {
        from: ShareIndex,
        message: Message,
    },
    Partial {
        from: ShareIndex,
        hash: Root,
    },
    Input(Input),
    /// A villain's turn.
    Act,
}

/// What a villain says, and to whom.
pub(crate) type Lines = Vec<(ShareIndex, Message)>;

/// An operator that is not bound by the rules. It signs only with its own key.
pub(crate) trait Villain {
    fn hear(&mut self, now: Millis, message: &Verified) -> Lines;
    fn act(&mut self, now: Millis) -> Lines;
}

pub(crate) type Delay = Box<dyn FnMut(Millis, ShareIndex, ShareIndex, &Message) -> Option<u64>>;

/// What an honest node has said, and so may not contradict.
#[derive(Default)]
struct Promises {
    said: BTreeMap<(Step, u32), Statement>,
    asked: u32,
}

impl Promises {
    /// Rule 1 and rule 12 from outside: one word per round and type, and no vote or commit below a `NEWROUND`.
    fn judge(&mut self, node: ShareIndex, message: &Message) {
        let statement = match message {
            Message::Vote(vote) => vote.signed.statement,
            Message::Commit(commit) => commit.statement,
            Message::NewRound(new_round) => new_round.signed.statement,
            Message::Proposal(proposal) => proposal.signed.statement,
            _ => return,
        };
        let key = (statement.step, statement.round);
        if let Some(first) = self.said.get(&key) {
            return assert_eq!(*first, statement, "{node} contradicts itself");
        }
        self.said.insert(key, statement);
        match statement.step {
            Step::NewRound => self.asked = self.asked.max(statement.round),
            Step::Vote | Step::Commit => assert!(statement.round >= self.asked, "{node} broke rule 1"),
            Step::Proposal | Step::Partial | Step::Boot => {}
        }
    }
}

pub(crate) struct World {
    pub(crate) size: ClusterSize,
    pub(crate) instance: Instance,
    pub(crate) now: Millis,
    pub(crate) nodes: BTreeMap<ShareIndex, Agree>,
    pub(crate) villains: BTreeMap<ShareIndex, Box<dyn Villain>>,
    /// One-way delay in milliseconds; `None` loses the message.
    pub(crate) delay: Delay,
    /// What each node's beacon nodes say when asked, and how long they take.
    pub(crate) own: BTreeMap<ShareIndex, (String, u64)>,
    /// Nodes whose hard checks refuse everything.
    pub(crate) refusing: BTreeMap<ShareIndex, Verdict>,
    /// Who lacks what belongs to which value.
    pub(crate) lacking: BTreeSet<(ShareIndex, Root)>,
    /// How long checks take at most; 0 for at once.
    pub(crate) check_ms: u64,
    /// Whether deciding nodes send partials, which combine at `t`.
    pub(crate) partials: bool,
    pub(crate) queue: BTreeMap<(Millis, u64), (ShareIndex, Event)>,
    pub(crate) sequence: u64,
    pub(crate) decided: BTreeMap<ShareIndex, (u64, Root)>,
    pub(crate) combined: BTreeMap<ShareIndex, u64>,
    promises: BTreeMap<ShareIndex, Promises>,
    halves: BTreeMap<(ShareIndex, Root), BTreeSet<ShareIndex>>,
    pub(crate) log: Vec<(Millis, ShareIndex, Output)>,
}

impl World {
    /// A cluster of `n` with every node alive and everybody heard from, delays of 50 ms.
    pub(crate) fn new(n: usize, kind: Kind, slot: u64) -> Self {
        let size = ClusterSize::new_safe(n, (2 * n).div_ceil(3)).unwrap();
        let instance = Instance::new(Generation(0), Slot(slot), kind);
        let mut world = Self {
            size,
            instance,
            now: Millis(0),
            nodes: BTreeMap::new(),
            villains: BTreeMap::new(),
            delay: Box::new(|_, _, _, _| Some(50)),
            own: size.indices().map(|node| (node, ("head".to_owned(), 0))).collect(),
            refusing: BTreeMap::new(),
            lacking: BTreeSet::new(),
            check_ms: 0,
            partials: false,
            promises: BTreeMap::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            decided: BTreeMap::new(),
            combined: BTreeMap::new(),
            halves: BTreeMap::new(),
            log: Vec::new(),
        };
        for node in size.indices() {
            world.add(node, false);
        }
        world
    }

    pub(crate) fn add(&mut self, node: ShareIndex, follow_only: bool) {
        self.nodes.insert(node, Agree::new(self.setup(node, follow_only)));
    }

    pub(crate) fn setup(&self, node: ShareIndex, follow_only: bool) -> Setup {
        Setup {
            instance: self.instance,
            size: self.size,
            me: node,
            start: Millis(START),
            deadline: Millis(DEADLINE),
            follow_only,
            timers: Timers::default(),
            rules: Rules::default(),
        }
    }

    /// Nodes that were never there, and that the others know to be away.
    pub(crate) fn kill(&mut self, dead: &[usize]) {
        for node in dead {
            self.nodes.remove(&index(*node));
        }
        let alive: BTreeSet<_> = self.nodes.keys().chain(self.villains.keys()).copied().collect();
        for node in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.at(0, node, Event::Input(Input::Heard(alive.clone())));
        }
    }

    pub(crate) fn leader(&self, round: u32) -> ShareIndex {
        self.instance.leader(round, self.size)
    }

    pub(crate) fn at(&mut self, time: u64, node: ShareIndex, event: Event) {
        self.sequence += 1;
        self.queue.insert((Millis(time).max(self.now), self.sequence), (node, event));
    }

    /// Gives a node its own value at a time after the start.
    pub(crate) fn own_at(&mut self, after: u64, node: usize, text: &str) {
        self.own.insert(index(node), (text.to_owned(), 0));
        let input = Input::Own { hash: hash(text), value: value(text) };
        self.at(START + after, index(node), Event::Input(input));
    }

    /// Runs until a time, which it then is.
    pub(crate) fn run(&mut self, until: u64) {
        loop {
            let alarm = self.nodes.values().filter_map(Agree::wake_at).min();
            let first = self.queue.first_key_value().map(|(key, _)| key.0);
            let Some(time) = alarm.into_iter().chain(first).min().filter(|time| time.0 <= until) else {
                break;
            };
            self.now = self.now.max(time);
            match self.queue.first_entry().filter(|entry| entry.key().0 == time) {
                Some(entry) => {
                    let (node, event) = entry.remove();
                    self.happen(node, event);
                }
                None => self.wake(),
            }
        }
        self.now = self.now.max(Millis(until));
    }

    /// Wakes whoever wanted to be woken by now. Nobody may want it again at once.
    fn wake(&mut self) {
        let due = |agree: &Agree, now| agree.wake_at().is_some_and(|wake| wake <= now);
        let woken: Vec<_> =
            self.nodes.iter().filter(|(_, agree)| due(agree, self.now)).map(|(node, _)| *node).collect();
        for node in woken {
            self.input(node, Input::Tick);
            assert!(!due(&self.nodes[&node], self.now), "{node} woken for nothing at {}", self.now);
        }
    }

    fn happen(&mut self, node: ShareIndex, event: Event) {
        match event {
            Event::Input(input) => self.input(node, input),
            Event::Deliver { from, message } => {
                let verified = wire::verify(message, from, self.size, &CLUSTER, &Key(node)).unwrap();
                if let Some(villain) = self.villains.get_mut(&node) {
                    let lines = villain.hear(self.now, &verified);
                    self.say(node, lines);
                }
                self.input(node, Input::Message(verified));
            }
            Event::Partial { from, hash } => {
                let halves = self.halves.entry((node, hash)).or_default();
                halves.insert(from);
                if halves.len() == self.size.threshold() && self.nodes.contains_key(&node) {
                    self.combined.insert(node, self.now.0 - START);
                    self.input(node, Input::Combined { hash });
                }
            }
            Event::Act => {
                if let Some(villain) = self.villains.get_mut(&node) {
                    let lines = villain.act(self.now);
                    self.say(node, lines);
                }
            }
        }
    }

    fn say(&mut self, villain: ShareIndex, lines: Lines) {
        for (to, message) in lines {
            self.post(villain, to, message);
        }
    }

    pub(crate) fn input(&mut self, node: ShareIndex, input: Input) {
        let Some(agree) = self.nodes.get_mut(&node) else { return };
        agree.handle(self.now, input);
        self.drain(node);
    }

    fn drain(&mut self, node: ShareIndex) {
        while let Some(output) = self.nodes.get_mut(&node).and_then(|agree| agree.poll()) {
            self.log.push((self.now, node, output.clone()));
            self.grant(node, output);
        }
    }

    fn grant(&mut self, node: ShareIndex, output: Output) {
        match output {
            Output::Send { to, message } => self.send(node, to, message),
            Output::Check { hash, value } => {
                let verdict = match check(node, hash, &value) {
                    Verdict::Good if self.lacking.contains(&(node, hash)) => Verdict::NoContents,
                    verdict => verdict,
                };
                let verdict = self.refusing.get(&node).copied().unwrap_or(verdict);
                let answer = Input::Checked { hash, verdict };
                match self.check_ms {
                    0 => self.input(node, answer),
                    took => self.at(self.now.0 + took, node, Event::Input(answer)),
                }
            }
            Output::FetchContents { hash, from } => {
                let has = self.nodes.contains_key(&from) && !self.lacking.contains(&(from, hash));
                if has && self.lacking.remove(&(node, hash)) {
                    let come = Input::Checked { hash, verdict: Verdict::Good };
                    self.at(self.now.0 + 100, node, Event::Input(come));
                }
            }
            Output::NeedOwn { .. } | Output::NeedVote => {
                let (text, took) = self.own[&node].clone();
                let input = Input::Own { hash: hash(&text), value: value(&text) };
                self.at(self.now.0 + took, node, Event::Input(input));
            }
            Output::Decided { hash, .. } => {
                assert!(self.decided.insert(node, (self.now.0 - START, hash)).is_none(), "decided twice");
                if self.partials {
                    self.at(self.now.0, node, Event::Partial { from: node, hash });
                    for peer in self.size.others(node) {
                        self.post_partial(node, peer, hash);
                    }
                }
            }
            Output::ResendPartial { to } => {
                if let Some((_, hash)) = self.decided.get(&node).filter(|_| self.partials) {
                    self.post_partial(node, to, *hash);
                }
            }
            Output::Evidence { author, first, second } => {
                assert!(
                    first.author == author && second.author == author && first.statement != second.statement
                );
                assert!(signature_holds(&first) && signature_holds(&second), "evidence must be signed");
            }
            Output::Fault { .. } => {}
        }
    }

    fn send(&mut self, node: ShareIndex, to: To, message: Message) {
        let sealed = wire::seal(message, &CLUSTER, &Key(node));
        self.promises.entry(node).or_default().judge(node, sealed.message());
        let frame = sealed.message().to_frame();
        assert_eq!(wire::decode(&frame).as_ref(), Ok(sealed.message()), "honest messages are well shaped");
        let peers: Vec<_> = match to {
            To::All => self.size.others(node).collect(),
            To::One(peer) => vec![peer],
        };
        for peer in peers {
            self.post(node, peer, sealed.message().clone());
        }
        if to == To::All {
            self.input(node, Input::Message(sealed));
        }
    }

    fn post(&mut self, from: ShareIndex, to: ShareIndex, message: Message) {
        let there = self.nodes.contains_key(&to) || self.villains.contains_key(&to);
        if let Some(delay) = (self.delay)(self.now, from, to, &message).filter(|_| there) {
            self.at(self.now.0 + delay, to, Event::Deliver { from, message });
        }
    }

    /// Partials travel like the decision they come with.
    fn post_partial(&mut self, from: ShareIndex, to: ShareIndex, hash: Root) {
        let statement = Statement {
            instance: self.instance,
            step: Step::Partial,
            round: 0,
            hash,
            extra: wire::Partials::extra(&[]),
        };
        let message =
            Message::Partial(wire::Partials { signed: statement.unsigned(from), partials: Vec::new() });
        if let Some(delay) = (self.delay)(self.now, from, to, &message) {
            self.at(self.now.0 + delay, to, Event::Partial { from, hash });
        }
    }

    pub(crate) fn statement(&self, step: Step, round: u32, hash: Root, extra: Root) -> Statement {
        Statement { instance: self.instance, step, round, hash, extra }
    }

    /// Signed by any operator: for villains and hand-made messages.
    pub(crate) fn signed(
        &self,
        author: ShareIndex,
        step: Step,
        round: u32,
        hash: Root,
        extra: Root,
    ) -> Signed {
        wire::sign(self.statement(step, round, hash, extra), &CLUSTER, &Key(author))
    }

    /// Times after the start at which nodes decided, in order.
    pub(crate) fn times(&self) -> Vec<u64> {
        let mut times: Vec<_> = self.decided.values().map(|(time, _)| *time).collect();
        times.sort_unstable();
        times
    }

    /// The one value that all honest nodes decided.
    pub(crate) fn agreed(&self) -> Root {
        let values: BTreeSet<_> = self.decided.values().map(|(_, hash)| *hash).collect();
        assert_eq!(values.len(), 1, "decided differently: {:?}", self.decided);
        assert_eq!(self.decided.len(), self.nodes.len(), "undecided: {:?} of {:?}", self.decided, self.now);
        values.into_iter().next().unwrap()
    }

    /// Messages sent so far that fit.
    pub(crate) fn sent(&self, fits: impl Fn(ShareIndex, &Message) -> bool) -> usize {
        let send = |(_, node, output): &&(Millis, ShareIndex, Output)| matches!(output, Output::Send { message, .. } if fits(*node, message));
        self.log.iter().filter(send).count()
    }
}

pub(crate) fn signature_holds(signed: &Signed) -> bool {
    Key(signed.author).verify(signed.author, &signed.statement.digest(&CLUSTER), &signed.signature)
}
