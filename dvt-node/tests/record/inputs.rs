//! A cluster, and inputs of every kind for one of its nodes, with values by the draw.

use dvt_node::record::Start;
use dvt_node::record::start::Place;
use keys::{NodeKey, NodeKeys, Operator};
use ssz::Encode as _;
use std::collections::BTreeSet;
use symbolon_core::agree::Timers;
use symbolon_core::journal::{Harmless, History, LastAttestation, LastBlock, Permit};
use symbolon_core::mutants::Rules;
use symbolon_core::node::{Setup, Validator};
use symbolon_core::stop::Reason;
use symbolon_core::{
    Ask, Combined, DependentRoots, HalfAggregate, HalfAttestation, HalfSelection, HalfSyncMessage, Input,
    Output, RequestId, SignJob, Ticket,
};
use types::aggregate::{Aggregate, AggregateShape, SignedAggregate};
use types::approval::{
    Kept, KeptExit, KeptOf, KeptPartial, KeptStatement, RegistrationStatement, Standing, TakenExit,
};
use types::block::BlockShape;
use types::block::body::{BeaconBlock, BodyElectra};
use types::builder::{SignedValidatorRegistrationV1, ValidatorRegistrationV1};
use types::duty::{AttesterDuty, ProposerDuty, SyncDuty};
use types::offer::Offer;
use types::sizes::Minimal;
use types::sync::SyncCommitteeContribution;
use types::wire::{
    self, Instance, Item, Kind, Message, PartialSignature, Partials, Statement, Step, Verified, Vote,
};
use types::{
    Address, AttestationData, BeaconVote, ChainSpec, Checkpoint, ClusterId, ClusterSize, Epoch, Fork,
    Generation, Millis, Preset, PublicKey, Root, ShareIndex, Signature, SigningRoot, Slot, ValidatorIndex,
    ValidatorNo,
};

const CLUSTER: ClusterId = Root([0xc1; 32]);
const VALIDATORS: u32 = 3;
/// No drawn list is longer.
const LEN_MAX: u64 = 3;

/// The names of an enum's variants, and which of them a value is. A new variant does not compile without its name here,
/// and the test that draws all names fails until it is drawn.
macro_rules! kinds {
    ($all:ident, $of:ident, $name:ident { $($variant:ident),* $(,)? }) => {
        pub(crate) const $all: &[&str] = &[$(stringify!($variant)),*];
        pub(crate) fn $of(one: &$name) -> &'static str {
            match one {
                $($name::$variant { .. } => stringify!($variant),)*
            }
        }
    };
}

kinds! { INPUTS, input_kind, Input {
    Tick, Duties, Head, BeaconVote, Aggregates, Block, Contents, Header, Finalized, Recall, Peer, Presence, Ask,
    Journaled, Signed, Combined, GroupVerified, Submitted, Born, Stop, Resume, Liveness,
} }
kinds! { ASKS, ask_kind, Ask {
    Vote, Attestations, Block, SignedBlock, HeadRoot, SyncMessages, Selections, Aggregate, SignedAggregates, Approvals,
    Register, Exit,
} }
kinds! { REASONS, reason_kind, Reason { Slashed, Doppelganger, SecondInstance, Clock } }
kinds! { KEPT, kept_kind, Kept { Exits, Statements, Taken, Registered } }

/// Values by a seed, always the same for the same (SplitMix64).
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.number() as u8)
    }

    fn list<T>(&mut self, one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let len = self.below(LEN_MAX + 1);
        self.many(len, one)
    }

    fn many<T>(&mut self, len: u64, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..len).map(|_| one(self)).collect()
    }

    fn maybe<T>(&mut self, one: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.coin().then(|| one(self))
    }

    fn root(&mut self) -> Root {
        Root(self.bytes())
    }
    fn signature(&mut self) -> Signature {
        Signature(self.bytes())
    }
    fn key(&mut self) -> PublicKey {
        PublicKey(self.bytes())
    }
    fn address(&mut self) -> Address {
        Address(self.bytes())
    }
    fn slot(&mut self) -> Slot {
        Slot(self.number())
    }
    fn epoch(&mut self) -> Epoch {
        Epoch(self.number())
    }
    fn index(&mut self) -> ValidatorIndex {
        ValidatorIndex(self.number())
    }
    fn ticket(&mut self) -> Ticket {
        Ticket(self.number())
    }
    fn kind(&mut self) -> Kind {
        Kind::ALL[self.below(Kind::ALL.len() as u64) as usize]
    }
    fn validator(&mut self) -> ValidatorNo {
        ValidatorNo(self.below(VALIDATORS.into()) as u32)
    }
    fn operator(&mut self) -> ShareIndex {
        operator(1 + self.below(4) as u8)
    }
    fn item(&mut self) -> Item {
        Item { validator: self.validator(), part: self.number() as u8 }
    }
    fn checkpoint(&mut self) -> Checkpoint {
        Checkpoint { epoch: self.epoch(), root: self.root() }
    }
    fn vote(&mut self) -> BeaconVote {
        BeaconVote {
            slot: self.slot(),
            index: self.number(),
            beacon_block_root: self.root(),
            source: self.checkpoint(),
            target: self.checkpoint(),
        }
    }
    fn data(&mut self) -> AttestationData {
        let place = self.number();
        self.vote().data(place)
    }
    fn some_validators(&mut self) -> BTreeSet<ValidatorNo> {
        self.list(Self::validator).into_iter().collect()
    }

    fn contribution(&mut self) -> Aggregate {
        let body = SyncCommitteeContribution::<Minimal> {
            slot: self.slot(),
            beacon_block_root: self.root(),
            subcommittee_index: self.below(4),
            signature: self.signature(),
            ..SyncCommitteeContribution::default()
        };
        AggregateShape::Contribution { preset: Preset::Minimal }.decode(&body.as_ssz_bytes()).unwrap()
    }

    fn offer(&mut self) -> Offer {
        let body = BodyElectra::<Minimal> { randao_reveal: self.signature(), ..BodyElectra::default() };
        let block = BeaconBlock {
            slot: self.slot(),
            proposer_index: self.index(),
            parent_root: self.root(),
            state_root: self.root(),
            body,
        };
        let block = BlockShape::full(Preset::Minimal, Fork::Electra).decode(&block.as_ssz_bytes()).unwrap();
        Offer::new(block.blind(Preset::Minimal).unwrap(), None).unwrap()
    }

    fn statement(&mut self) -> RegistrationStatement {
        RegistrationStatement {
            validators: self.some_validators().into_iter().collect(),
            fee_recipient: self.address(),
            gas_limit: self.number(),
            timestamp_s: self.number(),
        }
    }

    fn signed_registration(&mut self) -> SignedValidatorRegistrationV1 {
        let message = ValidatorRegistrationV1 {
            fee_recipient: self.address(),
            gas_limit: self.number(),
            timestamp: self.number(),
            pubkey: self.key(),
        };
        SignedValidatorRegistrationV1 { message, signature: self.signature() }
    }

    fn kept_of<T: ssz::Encode + ssz::Decode>(&mut self, one: impl FnMut(&mut Self) -> T) -> KeptOf<T> {
        KeptOf {
            generation: Generation(self.number() as u32),
            operator: self.operator(),
            approvals: self.list(one),
        }
    }

    pub(crate) fn kept(&mut self, number: usize) -> Kept {
        match number {
            0 => Kept::Exits(self.kept_of(|draw| KeptExit {
                validator: draw.validator(),
                epoch: draw.epoch(),
                partial: draw.signature(),
            })),
            1 => Kept::Statements(self.kept_of(|draw| {
                let partial =
                    |draw: &mut Self| KeptPartial { validator: draw.validator(), partial: draw.signature() };
                KeptStatement { statement: draw.statement(), partials: draw.list(partial) }
            })),
            2 => {
                Kept::Taken(self.list(|draw| TakenExit { validator: draw.validator(), epoch: draw.epoch() }))
            }
            3 => Kept::Registered(self.list(|draw| Standing {
                newest: draw.signed_registration(),
                learned: Millis(draw.number()),
                previous: draw.maybe(Self::address),
            })),
            _ => panic!("there is no such thing"),
        }
    }

    pub(crate) fn reason(&mut self, number: usize) -> Reason {
        match number {
            0 => Reason::Slashed(self.some_validators()),
            1 => Reason::Doppelganger(self.some_validators()),
            2 => Reason::SecondInstance,
            3 => Reason::Clock,
            _ => panic!("there is no such reason"),
        }
    }

    pub(crate) fn ask(&mut self, number: usize) -> Ask {
        let (slot, kind) = (self.slot(), self.kind());
        match number {
            0 => Ask::Vote { slot },
            1 => {
                let one = |draw: &mut Self| HalfAttestation {
                    validator: draw.validator(),
                    data: draw.data(),
                    half: draw.signature(),
                };
                Ask::Attestations { slot, halves: self.list(one) }
            }
            2 => Ask::Block { slot, randao_half: self.signature() },
            3 => Ask::SignedBlock { slot, root: self.root(), half: self.signature() },
            4 => Ask::HeadRoot { slot },
            5 => {
                let one = |draw: &mut Self| HalfSyncMessage {
                    validator: draw.validator(),
                    beacon_block_root: draw.root(),
                    half: draw.signature(),
                };
                Ask::SyncMessages { slot, halves: self.list(one) }
            }
            6 => {
                let one = |draw: &mut Self| HalfSelection { item: draw.item(), half: draw.signature() };
                Ask::Selections { kind, slot, halves: self.list(one) }
            }
            7 => Ask::Aggregate { kind, slot, place: self.number(), subject: self.root() },
            8 => {
                let one = |draw: &mut Self| {
                    let signed = SignedAggregate {
                        aggregator_index: draw.index(),
                        aggregate: draw.contribution(),
                        selection_proof: draw.signature(),
                        signature: draw.signature(),
                    };
                    HalfAggregate { item: draw.item(), signed }
                };
                Ask::SignedAggregates { kind, slot, halves: self.list(one) }
            }
            9 => Ask::Approvals,
            10 => Ask::Register { statement: self.statement(), halves: self.list(Self::signature) },
            11 => Ask::Exit {
                validator: self.validator(),
                index: self.index(),
                epoch: self.epoch(),
                half: self.signature(),
            },
            _ => panic!("there is no such question"),
        }
    }

    fn message(&mut self) -> Message {
        let instance = Instance::new(Generation(0), self.slot(), Kind::Attest);
        let (hash, me) = (self.root(), operator(1));
        let say = |step, extra| Statement { instance, step, round: 0, hash, extra }.unsigned(me);
        match self.below(3) {
            0 => {
                let value = self.vote().as_ssz_bytes().into();
                Message::Vote(Vote { signed: say(Step::Vote, Root::ZERO), value: vec![value] })
            }
            1 => Message::Commit(say(Step::Commit, Root::ZERO)),
            _ => {
                let partials: Vec<_> = (0..VALIDATORS)
                    .map(|number| PartialSignature {
                        item: ValidatorNo(number).into(),
                        signature: self.signature(),
                    })
                    .collect();
                let signed = say(Step::Partial, Partials::extra(&partials));
                Message::Partial(Partials { signed, partials })
            }
        }
    }

    fn duties(&mut self) -> Input {
        let attester = |draw: &mut Self| AttesterDuty {
            pubkey: draw.key(),
            validator_index: draw.index(),
            committee_index: draw.number(),
            committee_length: draw.number(),
            committees_at_slot: draw.number(),
            validator_committee_index: draw.number(),
            slot: draw.slot(),
        };
        let proposer = |draw: &mut Self| ProposerDuty {
            slot: draw.slot(),
            validator_index: draw.index(),
            pubkey: draw.key(),
        };
        let sync = |draw: &mut Self| SyncDuty {
            pubkey: draw.key(),
            validator_index: draw.index(),
            validator_sync_committee_indices: draw.list(Self::number),
        };
        Input::Duties {
            epoch: self.epoch(),
            attesters: self.maybe(|draw| draw.list(attester)),
            proposers: self.maybe(|draw| draw.list(proposer)),
            sync: self.maybe(|draw| draw.list(sync)),
        }
    }
}

pub(crate) fn operator(number: u8) -> ShareIndex {
    ShareIndex::new(number).unwrap()
}

/// Four operators, three validators, and node keys that everybody may know.
pub(crate) struct Cluster {
    pub(crate) start: Start,
    operators: Vec<Operator>,
}

impl Cluster {
    pub(crate) fn draw(draw: &mut Draw) -> Self {
        let keys: Vec<_> = (1..=4).map(|seed| NodeKey::from_bytes(&[seed; 32]).unwrap()).collect();
        let node_keys: Vec<_> = keys.iter().map(NodeKey::public).collect();
        let seat =
            |(number, key)| Operator::new(key, operator(number), NodeKeys::new(&node_keys).unwrap()).unwrap();
        let operators = (1..).zip(keys).map(seat).collect();
        let validator = |draw: &mut Draw| Validator { group_key: draw.key(), fee_recipient: draw.address() };
        let history = |draw: &mut Draw| History {
            block: draw.maybe(|draw| LastBlock { slot: draw.slot(), root: draw.maybe(signing_root) }),
            attestation: draw.maybe(|draw| LastAttestation {
                slot: draw.slot(),
                source: draw.epoch(),
                target: draw.epoch(),
                root: draw.maybe(signing_root),
                source_max: draw.epoch(),
                target_max: draw.epoch(),
            }),
        };
        let setup = Setup {
            size: ClusterSize::new(4, 3).unwrap(),
            me: draw.operator(),
            generation: Generation(draw.number() as u32),
            spec: ChainSpec { preset: Preset::Minimal, ..ChainSpec::builtin("hoodi").unwrap() },
            validators: draw.many(VALIDATORS.into(), validator),
            relays: draw.list(Draw::key).into_iter().collect(),
            timers: Timers { collect: Millis(draw.number()), ..Timers::default() },
            rules: Rules::default(),
            started: Millis(draw.number()),
        };
        let histories = draw.many(VALIDATORS.into(), history);
        let start = Start { version: "1.2.3".to_owned(), cluster: CLUSTER, node_keys, setup, histories };
        Self { start, operators }
    }

    /// Where entries of its node are read, with the permits that a result may give back.
    pub(crate) fn place(&self, input: &Input) -> Place {
        let mut place = Place::of(&self.start).unwrap();
        if let Input::Signed { ticket, results } = input {
            let slots = (0..results.len() as u64).map(Slot);
            let job = |slot| SignJob { permit: self.permit(slot), half: Signature::ZERO };
            place.grant(Output::Sign { ticket: *ticket, jobs: slots.map(job).collect() });
        }
        place
    }

    /// A permit that bears no risk, another one for each slot.
    fn permit(&self, slot: Slot) -> Permit {
        Permit::harmless(&self.start.setup.spec, ValidatorNo(0), Harmless::Selection(slot))
    }

    fn said(&self, draw: &mut Draw) -> Verified {
        let message = draw.message();
        wire::seal(message, &CLUSTER, &self.operators[draw.below(4) as usize])
    }

    fn signed(&self, draw: &mut Draw) -> Input {
        let slots = (0..=draw.below(LEN_MAX)).map(Slot);
        let result = |slot| if draw.coin() { Ok(draw.signature()) } else { Err(self.permit(slot)) };
        let results = slots.map(result).collect();
        Input::Signed { ticket: draw.ticket(), results }
    }

    /// An input of the kind at this place of [`INPUTS`].
    pub(crate) fn input(&self, number: usize, draw: &mut Draw) -> Input {
        let (slot, root, kind, ticket, epoch) =
            (draw.slot(), draw.root(), draw.kind(), draw.ticket(), draw.epoch());
        match number {
            0 => Input::Tick,
            1 => draw.duties(),
            2 => {
                let dependent =
                    |draw: &mut Draw| DependentRoots { previous: draw.root(), current: draw.root() };
                Input::Head { slot, root, dependent: draw.maybe(dependent) }
            }
            3 => Input::BeaconVote { slot, votes: draw.list(Draw::vote) },
            4 => Input::Aggregates { kind, slot, aggregates: draw.list(Draw::contribution) },
            5 => Input::Block { slot, offer: draw.maybe(Draw::offer) },
            6 => Input::Contents { slot, root },
            7 => Input::Header { root, known: draw.coin() },
            8 => Input::Finalized(draw.checkpoint()),
            9 => Input::Recall(pick(draw, KEPT, Draw::kept)),
            10 => Input::Peer(self.said(draw)),
            11 => Input::Presence { peer: draw.operator(), up: draw.coin() },
            12 => Input::Ask { request: RequestId(draw.number()), ask: pick(draw, ASKS, Draw::ask) },
            13 => Input::Journaled { ticket, durable: draw.coin() },
            14 => self.signed(draw),
            15 => {
                let one = |draw: &mut Draw| Combined {
                    signature: draw.maybe(Draw::signature),
                    culprits: draw.list(Draw::operator),
                };
                Input::Combined { ticket, results: draw.list(one) }
            }
            16 => Input::GroupVerified { ticket, valid: draw.coin() },
            17 => Input::Submitted { ticket, taken: draw.coin() },
            18 => Input::Born { boot: root },
            19 => Input::Stop(pick(draw, REASONS, Draw::reason)),
            20 => Input::Resume(pick(draw, REASONS, Draw::reason)),
            21 => Input::Liveness { epoch, live: draw.maybe(Draw::some_validators) },
            _ => panic!("there is no such input"),
        }
    }
}

fn pick<T>(draw: &mut Draw, of: &[&str], one: impl FnOnce(&mut Draw, usize) -> T) -> T {
    let number = draw.below(of.len() as u64) as usize;
    one(draw, number)
}

fn signing_root(draw: &mut Draw) -> SigningRoot {
    SigningRoot::recorded(draw.root())
}
