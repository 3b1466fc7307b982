//! Four operators' machines, three of whom must approve, with signatures that can be read.

use std::collections::{BTreeMap, VecDeque};
use symbolon_core::agree::Timers;
use symbolon_core::journal::History;
use symbolon_core::mutants::Rules;
use symbolon_core::node::{Node, Setup, Validator};
use symbolon_core::{
    Answer, Ask, CombineJob, Combined, Fault, Input, Output, RequestId, SignJob, Submission, To,
};
use types::approval::{Kept, RegistrationStatement, Standing, registration_root};
use types::builder::SignedValidatorRegistrationV1;
use types::duty::AttesterDuty;
use types::operations::{SignedVoluntaryExit, VoluntaryExit};
use types::wire::{self, Message, Sign, Verify};
use types::{
    Address, ChainSpec, ClusterSize, Epoch, Generation, Machine as _, Millis, NodeSignature, PublicKey, Root,
    ShareIndex, Signature, SigningRoot, Slot, ValidatorIndex, ValidatorNo,
};

pub(crate) const OPERATORS: u8 = 4;
pub(crate) const VALIDATORS: u32 = 3;
pub(crate) const NOW_EPOCH: u64 = 100;
/// Whom blocks pay by the lock.
pub(crate) const LOCKED: Address = Address([0x10; 20]);
const CLUSTER: Root = Root([0xc1; 32]);

pub(crate) fn spec() -> ChainSpec {
    ChainSpec::builtin("hoodi").unwrap()
}

/// In the middle of [`NOW_EPOCH`].
pub(crate) fn start() -> Millis {
    spec().slot_start(spec().epoch_start(Epoch(NOW_EPOCH))).after(Millis(200_000))
}

pub(crate) fn operator(number: u8) -> ShareIndex {
    ShareIndex::new(number).unwrap()
}

pub(crate) fn key(validator: u32) -> PublicKey {
    PublicKey([1 + validator as u8; 48])
}

pub(crate) fn index(validator: u32) -> ValidatorIndex {
    ValidatorIndex(1000 + u64::from(validator))
}

/// A signature that says whose it is: a half's, a share's or the group's (`by` 0), of which validator, over what.
fn signature(what: u8, by: u8, validator: u32, root: &SigningRoot) -> Signature {
    let mut bytes = [what; 96];
    bytes[1] = by;
    bytes[2..6].copy_from_slice(&validator.to_be_bytes());
    bytes[6..38].copy_from_slice(root.as_ref());
    Signature(bytes)
}

pub(crate) fn half(by: u8, validator: u32, root: &SigningRoot) -> Signature {
    signature(1, by, validator, root)
}

pub(crate) fn partial(by: u8, validator: u32, root: &SigningRoot) -> Signature {
    signature(2, by, validator, root)
}

pub(crate) fn group(validator: u32, root: &SigningRoot) -> Signature {
    signature(3, 0, validator, root)
}

/// Node keys that sign with their names.
struct NodeKey(u8);

impl Verify for NodeKey {
    fn verify(&self, author: ShareIndex, digest: &[u8; 32], signature: &NodeSignature) -> bool {
        signature.0[0] == author.get() && signature.0[1..33] == digest[..]
    }
}

impl Sign for NodeKey {
    fn author(&self) -> ShareIndex {
        operator(self.0)
    }

    fn sign(&self, digest: &[u8; 32]) -> NodeSignature {
        let mut bytes = [0; 64];
        bytes[0] = self.0;
        bytes[1..33].copy_from_slice(digest);
        NodeSignature(bytes)
    }
}

/// An operator's machine and what it has wished for.
pub(crate) struct Person {
    pub(crate) node: Node,
    /// Its own messages, handed back before anything else.
    own: VecDeque<Input>,
    results: VecDeque<Input>,
    pub(crate) answers: Vec<Answer>,
    pub(crate) exits: Vec<SignedVoluntaryExit>,
    pub(crate) faults: Vec<(ShareIndex, Fault)>,
    /// Its disk, by what takes whose place.
    pub(crate) disk: BTreeMap<String, Kept>,
    /// Registrations it was told to use.
    pub(crate) registered: Vec<Standing>,
    pub(crate) verified: usize,
    /// Whether its beacon node takes exits.
    pub(crate) takes: bool,
    /// Whether its partials come out wrong.
    pub(crate) forges: bool,
}

/// The cluster. Nothing is delayed; who is parted from others hears and says nothing.
pub(crate) struct World {
    pub(crate) now: Millis,
    pub(crate) persons: BTreeMap<u8, Person>,
    pub(crate) away: Vec<u8>,
    wire: VecDeque<(u8, u8, Message)>,
    asked: u64,
}

fn node(me: u8, now: Millis) -> Node {
    let validator = |number| Validator { group_key: key(number), fee_recipient: LOCKED };
    let setup = Setup {
        size: ClusterSize::new_safe(OPERATORS.into(), 3).unwrap(),
        me: operator(me),
        generation: Generation(0),
        spec: spec(),
        validators: (0..VALIDATORS).map(validator).collect(),
        relays: [].into(),
        timers: Timers::default(),
        rules: Rules::default(),
        started: now,
    };
    Node::new(setup, vec![History::default(); VALIDATORS as usize])
}

fn person(me: u8, now: Millis) -> Person {
    Person {
        node: node(me, now),
        own: VecDeque::new(),
        results: VecDeque::new(),
        answers: Vec::new(),
        exits: Vec::new(),
        faults: Vec::new(),
        disk: BTreeMap::new(),
        registered: Vec::new(),
        verified: 0,
        takes: true,
        forges: false,
    }
}

impl World {
    /// Everybody is connected; the chain's indices are known.
    pub(crate) fn new() -> Self {
        let mut world = Self::unindexed();
        for me in 1..=OPERATORS {
            world.indices(me);
        }
        world
    }

    /// The same before any beacon node has told indices.
    pub(crate) fn unindexed() -> Self {
        let now = start();
        let persons = (1..=OPERATORS).map(|me| (me, person(me, now))).collect();
        let mut world = Self { now, persons, away: Vec::new(), wire: VecDeque::new(), asked: 0 };
        for me in 1..=OPERATORS {
            for peer in (1..=OPERATORS).filter(|peer| *peer != me) {
                world.input(me, Input::Presence { peer: operator(peer), up: true });
            }
        }
        world
    }

    pub(crate) fn indices(&mut self, me: u8) {
        // The last slot of the epoch, which no test comes to.
        let slot = Slot(spec().epoch_start(Epoch(NOW_EPOCH + 1)).0 - 1);
        let duty = |number: u32| AttesterDuty {
            pubkey: key(number),
            validator_index: index(number),
            committee_index: 0,
            committee_length: 8,
            committees_at_slot: 1,
            validator_committee_index: number.into(),
            slot,
        };
        let attesters = Some((0..VALIDATORS).map(duty).collect());
        let (proposers, sync) = (Some(Vec::new()), Some(Vec::new()));
        self.input(me, Input::Duties { epoch: Epoch(NOW_EPOCH), attesters, proposers, sync });
    }

    pub(crate) fn person(&self, me: u8) -> &Person {
        &self.persons[&me]
    }

    pub(crate) fn input(&mut self, me: u8, input: Input) {
        self.handle(me, input);
        while let Some((from, to, message)) = self.wire.pop_front() {
            self.hear(from, to, message);
        }
    }

    /// A frame arrives, through the same door as in production.
    fn hear(&mut self, from: u8, to: u8, message: Message) {
        let frame = wire::seal(message, &CLUSTER, &NodeKey(from)).into_message().to_frame();
        let message = wire::decode(&frame).unwrap();
        if self.person(to).node.wants(&message) {
            let size = ClusterSize::new_safe(OPERATORS.into(), 3).unwrap();
            let verified = wire::verify(message, operator(from), size, &CLUSTER, &NodeKey(to)).unwrap();
            self.handle(to, Input::Peer(verified));
        }
    }

    /// An operator that is no machine says something.
    pub(crate) fn say(&mut self, from: u8, to: u8, message: Message) {
        self.wire.push_back((from, to, message));
        while let Some((from, to, message)) = self.wire.pop_front() {
            self.hear(from, to, message);
        }
    }

    fn handle(&mut self, me: u8, input: Input) {
        let now = self.now;
        self.persons.get_mut(&me).unwrap().results.push_back(input);
        loop {
            let person = self.persons.get_mut(&me).unwrap();
            let Some(input) = person.own.pop_front().or_else(|| person.results.pop_front()) else { return };
            person.node.handle(now, input);
            while let Some(output) = self.persons.get_mut(&me).unwrap().node.poll() {
                self.grant(me, output);
            }
        }
    }

    fn grant(&mut self, me: u8, output: Output) {
        if let Output::Send { to, message } = output {
            return self.send(me, to, message);
        }
        let person = self.persons.get_mut(&me).unwrap();
        match output {
            Output::Sign { ticket, jobs } => {
                let results = jobs.into_iter().map(|job| complete(me, person.forges, job)).collect();
                person.results.push_back(Input::Signed { ticket, results });
            }
            Output::Combine { ticket, jobs } => {
                let results = jobs.iter().map(combine).collect();
                person.results.push_back(Input::Combined { ticket, results });
            }
            Output::VerifyGroup { ticket, key: of, root, signature } => {
                person.verified += 1;
                let validator = (0..VALIDATORS).find(|number| key(*number) == of).unwrap();
                let valid = signature == group(validator, &root);
                person.results.push_back(Input::GroupVerified { ticket, valid });
            }
            Output::Submit { ticket, submission } => {
                if let Submission::Exit(exit) = submission {
                    person.exits.push(exit);
                }
                person.results.push_back(Input::Submitted { ticket, taken: person.takes });
            }
            Output::Reply { answer, .. } => person.answers.push(answer),
            Output::Fault { peer, fault, .. } => person.faults.push((peer, fault)),
            Output::Keep(kept) => person.keep(kept),
            _ => {}
        }
    }

    fn send(&mut self, me: u8, to: To, message: Message) {
        if to == To::All {
            // Handed back at once, as the shell does.
            let sealed = wire::seal(message.clone(), &CLUSTER, &NodeKey(me));
            self.persons.get_mut(&me).unwrap().own.push_back(Input::Peer(sealed));
        }
        for peer in (1..=OPERATORS).filter(|peer| *peer != me) {
            let meant = to == To::All || to == To::One(operator(peer));
            if meant && !self.away.contains(&me) && !self.away.contains(&peer) {
                self.wire.push_back((me, peer, message.clone()));
            }
        }
    }

    pub(crate) fn ask(&mut self, me: u8, ask: Ask) -> Answer {
        self.asked += 1;
        let before = self.person(me).answers.len();
        self.input(me, Input::Ask { request: RequestId(self.asked), ask });
        assert_eq!(self.person(me).answers.len(), before + 1, "every question has one answer");
        self.person(me).answers[before].clone()
    }

    pub(crate) fn exit(&mut self, me: u8, validator: u32, epoch: u64) -> Answer {
        let root = exit_root(validator, epoch);
        let (index, half) = (index(validator), half(me, validator, &root));
        self.ask(me, Ask::Exit { validator: ValidatorNo(validator), index, epoch: Epoch(epoch), half })
    }

    pub(crate) fn register(&mut self, me: u8, statement: &RegistrationStatement) -> Answer {
        let half = |validator: &ValidatorNo| half(me, validator.0, &statement_root(statement, validator.0));
        let halves = statement.validators.iter().map(half).collect();
        self.ask(me, Ask::Register { statement: statement.clone(), halves })
    }

    /// An operator dies, and comes back with what is on its disk.
    pub(crate) fn restart(&mut self, me: u8) {
        let disk = std::mem::take(&mut self.persons.get_mut(&me).unwrap().disk);
        self.persons.insert(me, person(me, self.now));
        let (first, then): (Vec<_>, Vec<_>) =
            disk.values().cloned().partition(|kept| matches!(kept, Kept::Registered(_) | Kept::Taken(_)));
        self.persons.get_mut(&me).unwrap().disk = disk;
        for kept in first.into_iter().chain(then) {
            self.input(me, Input::Recall(kept));
        }
    }

    /// An operator's connections come up again.
    pub(crate) fn reconnect(&mut self, me: u8) {
        self.away.retain(|away| *away != me);
        for peer in (1..=OPERATORS).filter(|peer| *peer != me) {
            for (one, other) in [(me, peer), (peer, me)] {
                self.input(one, Input::Presence { peer: operator(other), up: false });
                self.input(one, Input::Presence { peer: operator(other), up: true });
            }
        }
    }
}

impl Person {
    fn keep(&mut self, kept: Kept) {
        let name = match &kept {
            Kept::Exits(of) => format!("exits of {}", of.operator),
            Kept::Statements(of) => format!("statements of {}", of.operator),
            Kept::Taken(_) => "taken".to_owned(),
            Kept::Registered(standing) => {
                self.registered.extend(standing);
                for one in standing {
                    let name = format!("registration {}", one.newest.message.pubkey);
                    self.disk.insert(name, Kept::Registered(vec![*one]));
                }
                return;
            }
        };
        self.disk.insert(name, kept);
    }

    /// What the newest registrations of all validators pay, by this operator.
    pub(crate) fn pays(&self) -> Vec<(u32, Address)> {
        let registered = self.node.approvals().registered.into_iter();
        registered.map(|(validator, one)| (validator.0, one.newest.message.fee_recipient)).collect()
    }
}

fn complete(me: u8, forges: bool, job: SignJob) -> Result<Signature, symbolon_core::journal::Permit> {
    let (validator, root) = (job.permit.validator().0, job.permit.root());
    match job.half == half(me, validator, &root) {
        true if forges => Ok(Signature::ZERO),
        true => Ok(partial(me, validator, &root)),
        false => Err(job.permit),
    }
}

fn combine(job: &CombineJob) -> Combined {
    let validator = job.validator.0;
    let is_good =
        |(by, signature): &&(ShareIndex, Signature)| *signature == partial(by.get(), validator, &job.root);
    let good = job.partials.iter().filter(is_good).count();
    let culprits = job.partials.iter().filter(|one| !is_good(one)).map(|(by, _)| *by).collect();
    Combined { signature: (good >= 3).then(|| group(validator, &job.root)), culprits }
}

pub(crate) fn exit_root(validator: u32, epoch: u64) -> SigningRoot {
    let exit = VoluntaryExit { epoch: Epoch(epoch), validator_index: index(validator) };
    SigningRoot::voluntary_exit(&spec(), &exit)
}

pub(crate) fn statement_root(statement: &RegistrationStatement, validator: u32) -> SigningRoot {
    registration_root(&spec(), &statement.registration(key(validator)))
}

/// A statement of these validators, so many seconds after the start.
pub(crate) fn statement(validators: &[u32], recipient: u8, after_s: i64) -> RegistrationStatement {
    RegistrationStatement {
        validators: validators.iter().map(|number| ValidatorNo(*number)).collect(),
        fee_recipient: Address([recipient; 20]),
        gas_limit: 60_000_000,
        timestamp_s: (start().0 / 1000).saturating_add_signed(after_s),
    }
}

/// A statement's registration with the group's signature.
pub(crate) fn complete_registration(
    statement: &RegistrationStatement,
    validator: u32,
) -> SignedValidatorRegistrationV1 {
    let message = statement.registration(key(validator));
    let signature = group(validator, &statement_root(statement, validator));
    SignedValidatorRegistrationV1 { message, signature }
}
