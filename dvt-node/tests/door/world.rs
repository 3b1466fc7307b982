//! One operator's node behind its validator API, alone with its chain; the other three operators are the test.
//!
//! Real machine, real router, real curves, real frames. Wishes are granted at once, and everything that leaves the
//! node is written down.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use beacon::{Aside, NodeHealth};
use bytes::Bytes;
use crypto::hashed::RecentRoots;
use crypto::scalar::Scalar;
use crypto::signature::PublicKeyPoint;
use crypto::slot::{Job, settle};
use dvt_node::engine::Explanation;
use dvt_node::monitor::{self, Monitor, Peer, Witness};
use dvt_node::record::{Recorded, Start, Tape};
use dvt_node::validator_api::{
    Api, Duties, ForwardRequest, ForwardResponse, Seat, Upstream, UpstreamError, ValidatorEntry, router,
};
use futures::stream::BoxStream;
use keys::{NodeKey, NodeKeys, NodeSigner, Operator, SecretShare, VcHalf, split};
use rand_core::OsRng;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use symbolon_core::agree::Timers;
use symbolon_core::journal::{History, Row};
use symbolon_core::mutants::Rules;
use symbolon_core::node::{ExitApproval, Setup, Validator};
use symbolon_core::{
    Answer, Ask, CombineJob, Combined, Fault, Input, Output, RequestId, SignJob, Submission, To,
};
use tokio::sync::oneshot;
use tower::ServiceExt as _;
use types::approval::Kept;
use types::duty::{AttesterDuty, ProposerDuty};
use types::offer::Offer;
use types::spec::{ForkEpoch, SlotTiming};
use types::wire::{self, Instance, Kind, Message, PartialSignature, Partials, Signed, Statement, Step, Vote};
use types::{
    Address, BeaconVote, ChainSpec, Checkpoint, ClusterSize, DomainType, Epoch, Fork, ForkVersion,
    Generation, Machine as _, Millis, Preset, PublicKey, Root, ShareIndex, Signature, SigningRoot, Slot,
    Threshold, ValidatorIndex, ValidatorNo,
};

/// Both validators attest here.
pub(crate) const ATTEST: Slot = Slot(41);
/// The first validator proposes here, and operator 4 leads the first round.
pub(crate) const PEER_LEADS: Slot = Slot(42);
/// The first validator proposes here, and this operator leads the first round.
pub(crate) const WE_LEAD: Slot = Slot(43);
/// Epoch of all three.
pub(crate) const EPOCH: Epoch = Epoch(5);
/// Head of the chain.
pub(crate) const HEAD: Root = Root([0x4e; 32]);
/// Whom the cluster's blocks pay.
pub(crate) const FEE_RECIPIENT: Address = Address([0xfe; 20]);

const CLUSTER: Root = Root([0xc1; 32]);
const OPERATORS: u8 = 4;
const THRESHOLD: u8 = 3;
const VALIDATORS: u32 = 2;
/// This operator.
const ME: u8 = 1;

pub(crate) fn spec() -> ChainSpec {
    ChainSpec {
        name: "door".into(),
        preset: Preset::Minimal,
        genesis_time_ms: 1_000_000,
        slot_ms: 12_000,
        slots_per_epoch: 8,
        genesis_fork_version: ForkVersion([0, 0, 0, 0x51]),
        genesis_validators_root: Root([0x67; 32]),
        forks: [(Fork::Capella, 3), (Fork::Deneb, 4), (Fork::Electra, 5)]
            .map(|(fork, number)| ForkEpoch {
                fork,
                version: ForkVersion([number, 0, 0, 0x51]),
                epoch: Epoch(0),
            })
            .to_vec(),
        timing: SlotTiming::default(),
        chain_id: 0x51,
    }
}

pub(crate) const fn operator(number: u8) -> ShareIndex {
    ShareIndex::new(number).unwrap()
}

pub(crate) const fn index(validator: u32) -> ValidatorIndex {
    ValidatorIndex(10 + validator as u64)
}

/// What an honest beacon node says in [`ATTEST`].
pub(crate) fn honest_vote() -> BeaconVote {
    let at = |epoch| Checkpoint { epoch: Epoch(epoch), root: Root([epoch as u8; 32]) };
    BeaconVote { slot: ATTEST, index: 0, beacon_block_root: HEAD, source: at(3), target: at(5) }
}

pub(crate) fn attestation_root(vote: &BeaconVote) -> SigningRoot {
    SigningRoot::of(&spec(), DomainType::BeaconAttester, vote.target.epoch, Root::of(&vote.data(0)))
}

pub(crate) fn block_root(root: Root) -> SigningRoot {
    SigningRoot::of(&spec(), DomainType::BeaconProposer, EPOCH, root)
}

/// The relay on the cluster's list.
pub(crate) const RELAY: u8 = 7;

fn relay(number: u8) -> SecretShare {
    secret(&Scalar::from(0x5e1a_0000 + u64::from(number)).to_be_bytes())
}

/// A relay's key. Of these only [`RELAY`]'s is on the list.
pub(crate) fn relay_key(number: u8) -> PublicKey {
    relay(number).public()
}

/// A relay's signature.
pub(crate) fn by_relay(number: u8, root: &SigningRoot) -> Signature {
    relay(number).sign(root)
}

/// All keys of one validator; the tests play every operator but the first, so they hold everything.
pub(crate) struct Keys {
    group: [u8; 32],
    shares: Vec<[u8; 32]>,
    halves: Vec<VcHalf>,
}

fn secret(bytes: &[u8; 32]) -> SecretShare {
    SecretShare::from_be_bytes(bytes).unwrap()
}

impl Keys {
    /// Shamir shares of a key that depends on the validator only, and the node half of this operator.
    fn deal(validator: u32) -> (Self, keys::NodeHalf) {
        let coefficient =
            |place: u64| Scalar::from(0x1234_5678_9abc * (u64::from(validator) * 8 + place + 1));
        let share = |x: u64| {
            let x = Scalar::from(x);
            coefficient(0) + coefficient(1) * x + coefficient(2) * x * x
        };
        let shares: Vec<_> = (1..=u64::from(OPERATORS)).map(|x| share(x).to_be_bytes()).collect();
        let (halves, mut node): (Vec<_>, Vec<_>) =
            shares.iter().map(|share| split(secret(share), &mut OsRng)).unzip();
        (Self { group: share(0).to_be_bytes(), shares, halves }, node.remove(0))
    }

    pub(crate) fn group_key(&self) -> PublicKey {
        secret(&self.group).public()
    }

    /// Everything that no frame may hold: the key, the shares, the clients' halves.
    pub(crate) fn secrets(&self) -> Vec<(String, [u8; 32])> {
        let halves = self.halves.iter().map(|half| <[u8; 32]>::try_from(&half.to_be_bytes()[..]).unwrap());
        let all = [self.group].into_iter().chain(self.shares.iter().copied()).chain(halves);
        all.enumerate().map(|(place, secret)| (format!("secret {place}"), secret)).collect()
    }

    /// By the whole key, which nobody has.
    pub(crate) fn group(&self, root: &SigningRoot) -> Signature {
        secret(&self.group).sign(root)
    }

    /// By an operator's whole share.
    pub(crate) fn share(&self, by: u8, root: &SigningRoot) -> Signature {
        secret(&self.shares[usize::from(by) - 1]).sign(root)
    }

    /// By an operator's validator client alone.
    pub(crate) fn half(&self, by: u8, root: &SigningRoot) -> Signature {
        self.halves[usize::from(by) - 1].sign(root)
    }
}

/// What has left the node so far, and what could have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marks {
    frames: usize,
    rows: usize,
    signed: usize,
    submitted: usize,
}

/// The node and all that was written down about it.
pub(crate) struct Room {
    node: Recorded,
    now: Millis,
    operators: Vec<Operator>,
    signer: NodeSigner,
    roots: RecentRoots,
    points: Vec<(PublicKeyPoint, Vec<PublicKeyPoint>)>,
    /// What the own beacon node says; `None` if it has nothing.
    pub(crate) vote: Option<BeaconVote>,
    pub(crate) block: Option<Offer>,
    pub(crate) frames: Vec<Message>,
    pub(crate) rows: Vec<Row>,
    pub(crate) signed: usize,
    pub(crate) submitted: Vec<Submission>,
    pub(crate) faults: Vec<(ShareIndex, Fault)>,
    pub(crate) asked: u64,
    /// Whether the own beacon node was asked for a block.
    pub(crate) block_asked: bool,
    /// Who has shown that another process runs with this node's key.
    pub(crate) second_instance: Option<ShareIndex>,
    /// Up to which slot the node signs nothing, as it was shown that its journal was rolled back.
    pub(crate) rolled_back: Option<Slot>,
    replies: BTreeMap<RequestId, oneshot::Sender<Answer>>,
    own: VecDeque<wire::Verified>,
    results: VecDeque<Input>,
}

fn duties(keys: &[PublicKey]) -> (Vec<AttesterDuty>, Vec<ProposerDuty>) {
    let attest = |(number, key): (u32, &PublicKey)| AttesterDuty {
        pubkey: *key,
        validator_index: index(number),
        committee_index: 0,
        committee_length: 8,
        committees_at_slot: 1,
        validator_committee_index: number.into(),
        slot: ATTEST,
    };
    let propose = |slot| ProposerDuty { pubkey: keys[0], validator_index: index(0), slot };
    ((0..).zip(keys).map(attest).collect(), [PEER_LEADS, WE_LEAD].map(propose).into())
}

impl Room {
    /// Whether the node takes a message at all.
    pub(crate) fn wants(&self, message: &Message) -> bool {
        self.node.node().wants(message)
    }

    /// What an operator's node key signs.
    pub(crate) fn sign_as(&self, by: u8, statement: Statement) -> Signed {
        wire::sign(statement, &CLUSTER, &self.operators[usize::from(by) - 1])
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.results.push_back(input);
        loop {
            while let Some(output) = self.node.poll() {
                self.grant(output);
            }
            let own = self.own.pop_front().map(Input::Peer);
            let Some(input) = own.or_else(|| self.results.pop_front()) else { return };
            self.node.handle(self.now, input);
        }
    }

    fn grant(&mut self, output: Output) {
        match output {
            Output::FetchDuties { epoch } => {
                let keys: Vec<_> = self.points.iter().map(|(group, _)| group.bytes()).collect();
                let (attesters, proposers) = if epoch == EPOCH { duties(&keys) } else { Default::default() };
                let (attesters, proposers) = (Some(attesters), Some(proposers));
                self.results.push_back(Input::Duties { epoch, attesters, proposers, sync: Some(Vec::new()) });
            }
            Output::FetchVote { slot } => {
                self.results.push_back(Input::BeaconVote { slot, votes: self.vote.into_iter().collect() });
            }
            Output::FetchBlock { slot, .. } => {
                self.block_asked = true;
                self.results.push_back(Input::Block { slot, offer: self.block.clone() });
            }
            Output::FetchAggregates { kind, slot, .. } => {
                self.results.push_back(Input::Aggregates { kind, slot, aggregates: Vec::new() });
            }
            Output::Subscribe { .. } | Output::SendContents { .. } | Output::FetchLiveness { .. } => {}
            Output::FetchHeader { root } => {
                self.results.push_back(Input::Header { root, known: root == HEAD });
            }
            Output::Send { to, message } => {
                let sealed = wire::seal(message, &CLUSTER, &self.operators[usize::from(ME) - 1]);
                self.frames.push(sealed.message().clone());
                if to == To::All {
                    self.own.push_back(sealed);
                }
            }
            Output::Journal { ticket, rows } => {
                self.rows.extend(rows);
                self.results.push_back(Input::Journaled { ticket, durable: true });
            }
            Output::Sign { ticket, jobs } => {
                let results = self.sign(jobs);
                self.results.push_back(Input::Signed { ticket, results });
            }
            Output::Combine { ticket, jobs } => {
                let results = jobs.iter().map(|job| self.combine(job)).collect();
                self.results.push_back(Input::Combined { ticket, results });
            }
            Output::VerifyGroup { ticket, key, root, signature } => {
                let key = PublicKeyPoint::parse(&key).unwrap();
                let valid = crypto::signature::verify(&key, root.as_ref(), &signature);
                self.results.push_back(Input::GroupVerified { ticket, valid });
            }
            Output::Submit { ticket, submission } => {
                self.submitted.push(submission);
                self.results.push_back(Input::Submitted { ticket, taken: true });
            }
            Output::Reply { request, answer } => {
                let _ = self.replies.remove(&request).unwrap().send(answer);
            }
            Output::Fault { peer, fault, .. } => self.faults.push((peer, fault)),
            Output::Evidence { author, .. } => {
                panic!("operator {author} is played honestly or badly, not double")
            }
            Output::SecondInstance { shown_by } => self.second_instance = Some(shown_by),
            Output::RolledBack { until, .. } => self.rolled_back = Some(until),
            Output::Doppelgangers { .. } | Output::TwoProcesses { .. } => {}
            Output::Outcome(_) | Output::Closed(_) | Output::Keep(_) => {}
        }
    }

    fn sign(&mut self, jobs: Vec<SignJob>) -> Vec<Result<Signature, symbolon_core::journal::Permit>> {
        let results = self.signer.complete(jobs, &self.roots);
        self.signed += results.iter().filter(|result| result.is_ok()).count();
        results.into_iter().map(|result| result.map(|partial| partial.bytes())).collect()
    }

    fn combine(&self, job: &CombineJob) -> Combined {
        let (group_key, public_shares) = &self.points[job.validator.0 as usize];
        let (root, threshold, partials) = (job.root, Threshold(THRESHOLD), &job.partials[..]);
        let job = Job { root, group_key, public_shares, threshold, partials, own: None };
        let settled = settle(&[job], &self.roots, [7; 32]).0.remove(0);
        Combined { signature: settled.signature, culprits: settled.culprits }
    }
}

/// The router's way to the node.
#[derive(Clone)]
struct Way(Arc<Mutex<Room>>);

impl Duties for Way {
    async fn ask(&self, ask: Ask) -> Option<Answer> {
        let (reply, answer) = oneshot::channel();
        {
            let mut room = self.0.lock().unwrap();
            room.asked += 1;
            let request = RequestId(room.asked);
            room.replies.insert(request, reply);
            room.input(Input::Ask { request, ask });
        }
        answer.await.ok()
    }
}

impl Witness for Way {
    async fn explain(&self, slots: RangeInclusive<Slot>) -> Option<Explanation> {
        Some(Explanation::of(self.0.lock().unwrap().node.node_mut(), &slots))
    }

    async fn exits(&self) -> Option<Vec<ExitApproval>> {
        Some(self.0.lock().unwrap().node.node().exits())
    }
}

/// A beacon node that knows the validators.
struct Chain(Vec<PublicKey>);

impl Upstream for Chain {
    async fn validators(&self, keys: &[PublicKey]) -> Result<Vec<ValidatorEntry>, UpstreamError> {
        let entries = (0..).zip(&self.0).filter(|(_, key)| keys.contains(key));
        Ok(entries.map(|(number, key)| ValidatorEntry { index: index(number), pubkey: *key }).collect())
    }

    async fn attester_duties(
        &self,
        _: Epoch,
        _: &[ValidatorIndex],
    ) -> Result<Vec<AttesterDuty>, UpstreamError> {
        Ok(duties(&self.0).0)
    }

    async fn forward(&self, _: ForwardRequest) -> Result<ForwardResponse, UpstreamError> {
        Err(UpstreamError { status: 503, message: "nothing is passed on here".to_owned() })
    }

    async fn forward_stream(
        &self,
        _: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, UpstreamError>>, UpstreamError> {
        Err(UpstreamError { status: 503, message: "nothing is passed on here".to_owned() })
    }
}

/// A node just before its slot.
pub(crate) struct World {
    app: Router,
    room: Arc<Mutex<Room>>,
    pub(crate) keys: Vec<Keys>,
}

fn operators() -> Vec<Operator> {
    let keys: Vec<_> = (0..OPERATORS).map(|_| NodeKey::generate(&mut OsRng)).collect();
    let public: Vec<_> = keys.iter().map(NodeKey::public).collect();
    let seat = |(number, key)| Operator::new(key, operator(number), NodeKeys::new(&public).unwrap()).unwrap();
    (1..).zip(keys).map(seat).collect()
}

fn size() -> ClusterSize {
    ClusterSize::new_safe(OPERATORS.into(), THRESHOLD.into()).unwrap()
}

/// A node in a slot, whose journal holds these promises, one per validator. Its beacon node says
/// [`honest_vote`] and has no block yet.
pub(crate) fn world(slot: Slot, histories: [History; VALIDATORS as usize]) -> World {
    recorded_world(slot, histories, |_| None)
}

/// The same, with a tape that hears what the node hears.
pub(crate) fn recorded_world(
    slot: Slot,
    histories: [History; VALIDATORS as usize],
    tape: impl FnOnce(&Start) -> Option<Tape>,
) -> World {
    let (keys, halves): (Vec<_>, Vec<_>) = (0..VALIDATORS).map(Keys::deal).unzip();
    let public = |bytes| secret(bytes).public();
    let point = |bytes| PublicKeyPoint::parse(&public(bytes)).unwrap();
    let points = keys.iter().map(|keys| (point(&keys.group), keys.shares.iter().map(point).collect()));
    let seats = halves.into_iter().zip(&keys).map(|(half, keys)| (half, public(&keys.shares[0])));
    let started = spec().slot_start(Slot(slot.0 - 2));
    let validator = |keys: &Keys| Validator { group_key: keys.group_key(), fee_recipient: FEE_RECIPIENT };
    let setup = Setup {
        size: size(),
        me: operator(ME),
        generation: Generation(0),
        spec: spec(),
        validators: keys.iter().map(validator).collect(),
        relays: [relay_key(RELAY)].into(),
        timers: Timers::default(),
        rules: Rules::default(),
        started,
    };
    let operators = operators();
    let start = Start {
        version: "door".to_owned(),
        cluster: CLUSTER,
        node_keys: operators.iter().map(|operator| operator.key().public()).collect(),
        setup,
        histories: histories.into(),
    };
    let room = Room {
        node: Recorded::new(start.node(), tape(&start)),
        now: started,
        operators,
        signer: NodeSigner::new(seats).unwrap(),
        roots: RecentRoots::default(),
        points: points.collect(),
        vote: Some(honest_vote()),
        block: None,
        frames: Vec::new(),
        rows: Vec::new(),
        signed: 0,
        submitted: Vec::new(),
        faults: Vec::new(),
        asked: 0,
        block_asked: false,
        second_instance: None,
        rolled_back: None,
        replies: BTreeMap::new(),
        own: VecDeque::new(),
        results: VecDeque::new(),
    };
    let room = Arc::new(Mutex::new(room));
    let clock = room.clone();
    let api = Api {
        seats: (0..).zip(&keys).map(|(number, keys)| seat(ValidatorNo(number), keys)).collect(),
        upstream: Chain(keys.iter().map(Keys::group_key).collect()),
        spec: Arc::new(spec()),
        duties: Way(room.clone()),
        contents: Box::new(|_| None),
        notice: Box::new(|_| {}),
        now: Box::new(move || clock.lock().unwrap().now),
    };
    let world = World { app: router(api), room, keys };
    world.room().input(Input::Tick);
    for peer in 2..=OPERATORS {
        world.room().input(Input::Presence { peer: operator(peer), up: true });
    }
    world.at(spec().slot_start(slot).after(Millis(100)));
    world
}

fn seat(number: ValidatorNo, keys: &Keys) -> Seat {
    let share_key = secret(&keys.shares[0]).public();
    Seat { number, group_key: keys.group_key(), client_key: keys.halves[0].public(), share_key }
}

impl World {
    pub(crate) fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap()
    }

    pub(crate) fn marks(&self) -> Marks {
        let room = self.room();
        let (frames, rows) = (room.frames.len(), room.rows.len());
        Marks { frames, rows, signed: room.signed, submitted: room.submitted.len() }
    }

    /// The monitoring port of a node with one beacon node, which lags, and operator 2 connected through a relay.
    pub(crate) fn monitor(&self) -> Router {
        let peer = |operator, route| Peer { operator, route, rtt: Some(Duration::from_micros(1_500)) };
        let lagging = NodeHealth {
            label: "http://127.0.0.1:5052".to_owned(),
            aside: Some(Aside::Lagging),
            lag_slots: 3,
            disagreements: 0,
            latency_ms: Some(8),
        };
        monitor::router(Monitor {
            witness: Way(self.room.clone()),
            spec: Arc::new(spec()),
            validators: self.keys.iter().map(Keys::group_key).collect(),
            metrics: Arc::default(),
            peers: Box::new(move || {
                vec![peer(operator(2), Some(net::Route::Relayed)), peer(operator(3), None)]
            }),
            beacon_nodes: Box::new(move || vec![lagging.clone()]),
        })
    }

    /// Lets time pass.
    pub(crate) fn at(&self, now: Millis) {
        let mut room = self.room();
        room.now = now;
        room.input(Input::Tick);
    }

    /// The own beacon node has the slot's head.
    pub(crate) fn head(&self) {
        self.room().input(Input::Head { slot: ATTEST, root: HEAD, dependent: None });
    }

    /// An operator says something: sealed, framed, and through the node's door for frames.
    pub(crate) fn hear(&self, from: u8, message: Message) {
        let mut room = self.room();
        let sealed = wire::seal(message, &CLUSTER, &room.operators[usize::from(from) - 1]);
        let message = wire::decode(&sealed.message().to_frame()).unwrap();
        assert!(room.node.node().wants(&message));
        let me = &room.operators[usize::from(ME) - 1];
        let verified = wire::verify(message, operator(from), size(), &CLUSTER, me).unwrap();
        room.input(Input::Peer(verified));
    }

    /// What the node's disk remembers.
    pub(crate) fn recall(&self, kept: Kept) {
        self.room().input(Input::Recall(kept));
    }

    /// The payload of a block has come.
    pub(crate) fn contents(&self, slot: Slot, root: Root) {
        self.room().input(Input::Contents { slot, root });
    }

    /// The other operators vote for this in the first round.
    pub(crate) fn peers_vote(&self, instance: Instance, hash: Root, value: Option<wire::Value>) {
        for from in 2..=OPERATORS {
            let round = instance.kind.first_round();
            let statement = Statement { instance, step: Step::Vote, round, hash, extra: Root::ZERO };
            let value = value.clone().into_iter().collect();
            self.hear(from, Message::Vote(Vote { signed: statement.unsigned(operator(from)), value }));
        }
    }

    /// The other operators vote, and then commit: with or without this node, it is decided.
    pub(crate) fn peers_decide(&self, instance: Instance, hash: Root, value: Option<wire::Value>) {
        self.peers_vote(instance, hash, value);
        for from in 2..=OPERATORS {
            let round = instance.kind.first_round();
            let statement = Statement { instance, step: Step::Commit, round, hash, extra: Root::ZERO };
            self.hear(from, Message::Commit(statement.unsigned(operator(from))));
        }
    }

    /// An operator sends a partial signature of the first validator.
    pub(crate) fn partial(&self, from: u8, instance: Instance, hash: Root, signature: Signature) {
        self.partials(from, instance, hash, &[signature]);
    }

    /// An operator sends a partial signature of each of the first validators.
    pub(crate) fn partials(&self, from: u8, instance: Instance, hash: Root, signatures: &[Signature]) {
        let of = |(validator, signature): (u32, &Signature)| PartialSignature {
            item: ValidatorNo(validator).into(),
            signature: *signature,
        };
        let partials: Vec<_> = (0..).zip(signatures).map(of).collect();
        let extra = Partials::extra(&partials);
        let statement = Statement { instance, step: Step::Partial, round: 0, hash, extra };
        self.hear(from, Message::Partial(Partials { signed: statement.unsigned(operator(from)), partials }));
    }

    /// Partials of a kind that this node has sent.
    pub(crate) fn partials_sent(&self, kind: Kind) -> Vec<PartialSignature> {
        let room = self.room();
        let sent = room.frames.iter().filter_map(|message| match message {
            Message::Partial(sent) if message.instance().kind == kind => Some(sent.partials.clone()),
            _ => None,
        });
        sent.flatten().collect()
    }

    /// Whether this node has voted for a value, or proposed it.
    pub(crate) fn stood_for(&self, hash: &Root) -> bool {
        self.room().frames.iter().any(|message| match message {
            Message::Vote(vote) => vote.signed.statement.hash == *hash,
            Message::Proposal(proposal) => proposal.signed.statement.hash == *hash,
            _ => false,
        })
    }

    /// Status and body.
    pub(crate) async fn call(&self, request: Request<Body>) -> (u16, Value) {
        call(self.app.clone(), request).await
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.call(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, kind: &str, body: impl Into<Body>) -> (u16, Value) {
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, kind)
            .header("eth-consensus-version", "electra")
            .body(body.into());
        self.call(request.unwrap()).await
    }

    /// The client hands in one attestation.
    pub(crate) async fn attest(&self, validator: u32, vote: &BeaconVote, half: Signature) -> (u16, Value) {
        let body = json!([single(validator, vote, half)]).to_string();
        self.post("/eth/v2/beacon/pool/attestations", "application/json", body).await
    }
}

/// Status and body.
pub(crate) async fn call(app: Router, request: Request<Body>) -> (u16, Value) {
    let response = app.oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let json = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
    (status, json)
}

pub(crate) fn single(validator: u32, vote: &BeaconVote, half: Signature) -> Value {
    json!({
        "committee_index": "0", "attester_index": index(validator), "data": vote.data(0), "signature": half,
    })
}

pub(crate) fn instance(slot: Slot, kind: Kind) -> Instance {
    Instance::new(Generation(0), slot, kind)
}

/// A refusal in the API's form that says these words.
pub(crate) fn refused((status, json): &(u16, Value), code: u16, words: &str) {
    assert_eq!((*status, &json["code"]), (code, &json!(code)), "{json}");
    assert!(json["message"].as_str().unwrap().contains(words), "{json} does not say {words}");
}

pub(crate) fn taken(got: &(u16, Value)) {
    assert_eq!(*got, (200, Value::Null));
}
