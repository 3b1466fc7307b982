//! n machines, links that reorder, disks that lose what was not synced. One seed, one order of events.

use crate::ceremony::plan::Plan;
use crate::ceremony::wire::{Part, frames, sign};
use crate::ceremony::{
    Cause, Ceremony, CeremonyKey, CeremonyPeers, Document, Durable, Frame, Input, LockSignature, Outcome,
    Output, Rejection, SealedLock, SealedValidator, Sealing, Setup, Step,
};
use keys::frost::CeremonySeed;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};
use types::wire::{Sign, Verify};
use types::{
    ClusterSize, Machine as _, Millis, NodeSignature, PublicKey, Root, ShareIndex, SigningRoot, ValidatorNo,
};
use zeroize::Zeroizing;

pub(crate) const DEADLINE: Millis = Millis(60_000);
pub(crate) const MESSAGES: usize = 3;

pub(crate) fn index(number: u8) -> ShareIndex {
    ShareIndex::new(number).unwrap()
}

fn sha(parts: &[&[u8]]) -> [u8; 32] {
    parts.iter().fold(Sha256::new(), |hasher, part| hasher.chain_update(part)).finalize().into()
}

/// A node key whose signatures are hashes that every test can make: as good as ECDSA where nobody cheats on it.
#[derive(Clone)]
pub(crate) struct TestKey(pub(crate) ShareIndex);

fn mac(author: ShareIndex, digest: &[u8]) -> NodeSignature {
    let halves = [sha(&[b"r", &[author.get()], digest]), sha(&[b"s", &[author.get()], digest])];
    NodeSignature(halves.concat().try_into().unwrap())
}

impl Verify for TestKey {
    fn verify(&self, author: ShareIndex, digest: &[u8; 32], signature: &NodeSignature) -> bool {
        mac(author, digest) == *signature
    }
}

impl Sign for TestKey {
    fn author(&self) -> ShareIndex {
        self.0
    }
    fn sign(&self, digest: &[u8; 32]) -> NodeSignature {
        mac(self.0, digest)
    }
}

impl CeremonyKey for TestKey {
    fn sign_lock(&self, lock_hash: &Root) -> LockSignature {
        [mac(self.0, &lock_hash.0).0.as_slice(), &[1]].concat().try_into().unwrap()
    }
}

impl CeremonyPeers for TestKey {
    fn verify_lock(&self, author: ShareIndex, lock_hash: &Root, signature: &LockSignature) -> bool {
        *signature == TestKey(author).sign_lock(lock_hash)
    }
}

/// A definition that hashes everything plainly.
#[derive(Clone)]
pub(crate) struct TestSealing;

impl Sealing for TestSealing {
    fn messages(&self) -> usize {
        MESSAGES
    }
    fn signing_roots(&self, validator: ValidatorNo, group: &PublicKey) -> Vec<SigningRoot> {
        let object = |message: u8| Root(sha(&[&validator.0.to_be_bytes(), &group.0, &[message]]));
        (0..MESSAGES as u8).map(|message| SigningRoot::compute(object(message), Root([3; 32]))).collect()
    }
    fn lock_hash(&self, validators: &[SealedValidator]) -> Root {
        Root(sha(&[format!("{validators:?}").as_bytes()]))
    }
    fn documents(&self, lock: &SealedLock) -> Vec<Document> {
        vec![Document { name: "lock.json".into(), bytes: format!("{lock:?}").into_bytes() }]
    }
}

/// How a node's part ended.
#[derive(Debug)]
pub(crate) enum End {
    Finished(Vec<ShareIndex>),
    Aborted { cause: Cause, lock_signed: bool },
}

pub(crate) struct Node {
    pub(crate) machine: Option<Ceremony<TestKey, TestSealing>>,
    pub(crate) disk: Vec<Frame>,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) end: Option<End>,
    pub(crate) rejected: Vec<(ShareIndex, Rejection)>,
    pub(crate) setup: Setup,
    pub(crate) printed: String,
}

pub(crate) enum Event {
    Deliver { from: ShareIndex, to: ShareIndex, frame: Frame },
    Store { at: ShareIndex, durable: Durable, record: Option<Frame> },
}

/// Changes what a villain sends: all frames to send in place of this one.
pub(crate) type Tamper = Box<dyn FnMut(ShareIndex, ShareIndex, &Frame) -> Vec<Frame>>;

pub(crate) struct World {
    pub(crate) nodes: Vec<Node>,
    pub(crate) events: Vec<Event>,
    pub(crate) happened: usize,
    pub(crate) tamper: Tamper,
    rng: ChaCha20Rng,
    pub(crate) part_len: Option<usize>,
    pub(crate) batch_len: Option<usize>,
}

pub(crate) fn setup(n: usize, t: usize, validators: u32, me: ShareIndex) -> Setup {
    Setup {
        definition_hash: Root([0xde; 32]),
        attempt: 0,
        size: ClusterSize::new(n, t).unwrap(),
        me,
        validators,
        deadline: DEADLINE,
    }
}

pub(crate) fn seed_of(me: ShareIndex) -> CeremonySeed {
    CeremonySeed::new(Zeroizing::new([me.get() ^ 0xa5; 32]))
}

impl World {
    pub(crate) fn new(n: usize, t: usize, validators: u32, order: u64) -> Self {
        let size = ClusterSize::new(n, t).unwrap();
        let nodes = size.indices().map(|me| Node {
            machine: None,
            disk: Vec::new(),
            outcome: None,
            end: None,
            rejected: Vec::new(),
            setup: setup(n, t, validators, me),
            printed: String::new(),
        });
        Self {
            nodes: nodes.collect(),
            events: Vec::new(),
            happened: 0,
            tamper: Box::new(|_, _, frame| vec![frame.clone()]),
            rng: ChaCha20Rng::seed_from_u64(order),
            part_len: None,
            batch_len: None,
        }
    }

    pub(crate) fn indices(&self) -> Vec<ShareIndex> {
        (1..=self.nodes.len() as u8).map(index).collect()
    }

    fn below(&mut self, limit: usize) -> usize {
        self.rng.next_u32() as usize % limit
    }

    /// Starts or restarts a node from its disk, and links it with all that run.
    pub(crate) fn start(&mut self, at: ShareIndex) {
        let node = &mut self.nodes[at.position()];
        let (setup, key) = (node.setup.clone(), TestKey(at));
        let records: Vec<&[u8]> = node.disk.iter().map(|record| record.0.as_slice()).collect();
        let mut machine = if records.is_empty() {
            Ceremony::begin(setup, seed_of(at), key, TestSealing).unwrap()
        } else {
            Ceremony::resume(setup, key, TestSealing, &records).unwrap()
        };
        if let Some(part_len) = self.part_len {
            machine.set_part_len(part_len);
        }
        if let Some(batch_len) = self.batch_len {
            machine.set_batch_len(batch_len);
        }
        node.machine = Some(machine);
        self.drain(at);
        for peer in self.indices() {
            if peer != at && self.nodes[peer.position()].machine.is_some() {
                self.handle(at, Input::PeerUp(peer));
                self.handle(peer, Input::PeerUp(at));
            }
        }
    }

    /// Kills a node: what was under way to and from it is lost, what it wanted stored is kept or not.
    pub(crate) fn kill(&mut self, at: ShareIndex) {
        let keep = self.below(2) == 1;
        self.kill_keeping(at, keep);
    }

    /// The same, with the crash before or after the record got its name: in part a record is never there.
    pub(crate) fn kill_keeping(&mut self, at: ShareIndex, keep: bool) {
        self.nodes[at.position()].machine = None;
        for event in std::mem::take(&mut self.events) {
            match event {
                Event::Deliver { from, to, .. } if from == at || to == at => {}
                Event::Store { at: of, record, .. } if of == at => {
                    self.nodes[at.position()].disk.extend(record.filter(|_| keep));
                }
                other => self.events.push(other),
            }
        }
        for peer in self.indices() {
            self.handle(peer, Input::PeerDown(at));
        }
    }

    pub(crate) fn start_all(&mut self) {
        self.indices().into_iter().for_each(|at| self.start(at));
    }

    pub(crate) fn handle(&mut self, at: ShareIndex, input: Input) {
        self.handle_at(at, Millis(1), input);
    }

    pub(crate) fn handle_at(&mut self, at: ShareIndex, now: Millis, input: Input) {
        if let Some(machine) = &mut self.nodes[at.position()].machine {
            machine.handle(now, input);
            self.drain(at);
        }
    }

    fn drain(&mut self, at: ShareIndex) {
        let node = &mut self.nodes[at.position()];
        let Some(machine) = &mut node.machine else { return };
        let mut sent = Vec::new();
        while let Some(output) = machine.poll() {
            node.printed += &format!("{output:?}\n");
            match output {
                Output::Send { to, frame } => sent.push((to, frame)),
                Output::Persist { durable, record } => {
                    self.events.push(Event::Store { at, durable, record: Some(record) });
                }
                Output::Progress { .. } => {}
                Output::Rejected { from, why } => node.rejected.push((from, why)),
                Output::Files(outcome) => {
                    node.outcome = Some(outcome);
                    self.events.push(Event::Store { at, durable: Durable::Files, record: None });
                }
                Output::Finished { missing } => {
                    assert!(node.end.replace(End::Finished(missing)).is_none(), "one end");
                }
                Output::Abort { cause, lock_signed } => {
                    assert!(node.end.replace(End::Aborted { cause, lock_signed }).is_none(), "one end");
                }
            }
        }
        for (to, frame) in sent {
            for frame in (self.tamper)(at, to, &frame) {
                self.events.push(Event::Deliver { from: at, to, frame });
            }
        }
    }

    /// One random event; `false` if there is none.
    pub(crate) fn step(&mut self) -> bool {
        if self.events.is_empty() {
            return false;
        }
        let pick = self.below(self.events.len());
        self.happened += 1;
        match self.events.swap_remove(pick) {
            Event::Deliver { from, to, frame } => self.handle(to, Input::Message { from, frame }),
            Event::Store { at, durable, record } => {
                self.nodes[at.position()].disk.extend(record);
                self.handle(at, Input::Stored(durable));
            }
        }
        true
    }

    pub(crate) fn run(&mut self) {
        while self.step() {}
    }

    /// Lets the deadline pass for everybody.
    pub(crate) fn deadline(&mut self) {
        for at in self.indices() {
            self.handle_at(at, DEADLINE, Input::Tick);
        }
        self.run();
    }

    pub(crate) fn lock(&self, at: ShareIndex) -> &SealedLock {
        &self.nodes[at.position()].outcome.as_ref().expect("an outcome").lock
    }

    /// Who is named by each of these nodes.
    pub(crate) fn named_by(&self, at: ShareIndex) -> Vec<ShareIndex> {
        match &self.nodes[at.position()].end {
            Some(End::Aborted { cause: Cause::Faults(faults), .. }) => {
                faults.iter().map(|fault| fault.culprit).collect()
            }
            other => panic!("operator {at} named nobody: {other:?}"),
        }
    }
}

/// What a frame carries.
pub(crate) fn step_of(frame: &Frame) -> Step {
    Part::parse(&frame.0).unwrap().signed.statement.step
}

/// The frame with its content changed, signed again by its author.
pub(crate) fn forged(setup: &Setup, frame: &Frame, change: impl FnOnce(&mut Vec<u8>)) -> Vec<Frame> {
    let part = Part::parse(&frame.0).unwrap();
    let statement = part.signed.statement;
    let mut content = part.bytes.to_vec();
    change(&mut content);
    let plan = Plan::new(Setup { me: statement.author, ..setup.clone() }, MESSAGES).unwrap();
    let signed = sign(&plan, &TestKey(statement.author), statement.step, statement.to, &content);
    frames(&plan, &signed, &content)
}
