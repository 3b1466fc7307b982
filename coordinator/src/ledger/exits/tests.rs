//! Exits: rows M9, K10, K12 and K19, every stage, and random runs against a plain list.

use super::*;
use crate::canonical;
use crate::formulas::exits::{Candidate, Liquidity};
use crate::ledger::policy;
use alloy_primitives::U256;
use crypto::{G1, PublicKeyPoint, Scalar, hash_to_g2};
use proptest::prelude::*;
use types::{ChainSpec, ClusterId, ClusterSize, DomainType, Gwei, ShareIndex, SigningRoot, ValidatorStatus};

const ETH: u64 = 1_000_000_000;
const NOW: u64 = 1_000_000;
const TERMS: policy::Exits = policy::Exits { delayed_s: 100, delinquent_s: 400, cooldown_s: 500 };

fn cluster(no: u8) -> ClusterId {
    Root([no; 32])
}

/// The operator at a place of a cluster.
fn operator(no: u8, place: u8) -> OperatorId {
    Address([10 * no + place; 20])
}

fn place(number: u8) -> Place {
    Place(ShareIndex::new(number).unwrap())
}

/// A validator's share at a place: of a polynomial of degree 2 over its index; another one in each generation, with the
/// same value at 0.
fn share(validator: u64, generation: u32, place: u8) -> Scalar {
    let x = u64::from(place);
    Scalar::from(validator + (5 + u64::from(generation)) * x + 3 * x * x)
}

fn public(secret: Scalar) -> PublicKey {
    PublicKeyPoint::new(G1::generator() * secret).unwrap().bytes()
}

/// Facts that can be changed, and a state. Cluster 1 has validators from 100 on, cluster 2 from 200 on.
#[derive(Clone)]
struct World {
    state: State,
    spec: ChainSpec,
    finalized: Epoch,
    now: u64,
    validators: BTreeMap<ValidatorIndex, Validator>,
    clusters: BTreeMap<ClusterId, Cluster>,
    standings: BTreeMap<ClusterId, Standing>,
    queued: Wei,
    buffer: Wei,
    predicted: Wei,
}

fn eth(eth: u64) -> Wei {
    Wei(U256::from(eth) * U256::from(ETH) * U256::from(ETH))
}

impl World {
    fn new(validators: [u64; 2]) -> Self {
        let mut world = Self {
            state: State::default(),
            spec: ChainSpec::builtin("hoodi").unwrap(),
            finalized: Epoch(5_000),
            now: NOW,
            validators: BTreeMap::new(),
            clusters: BTreeMap::new(),
            standings: [1, 2].map(|no| (cluster(no), Standing::default())).into(),
            queued: Wei::ZERO,
            buffer: Wei::ZERO,
            predicted: Wei::ZERO,
        };
        for (no, many) in [1, 2].into_iter().zip(validators) {
            world.clusters.insert(
                cluster(no),
                Cluster {
                    size: ClusterSize::new_safe(4, 3).unwrap(),
                    generation: Generation(0),
                    operators: (1..=4).map(|place| operator(no, place)).collect(),
                },
            );
            for index in (0..many).map(|at| u64::from(no) * 100 + at) {
                world.validators.insert(ValidatorIndex(index), world.validator(no, index, 0));
            }
        }
        world
    }

    fn validator(&self, no: u8, index: u64, generation: u32) -> Validator {
        Validator {
            pubkey: public(Scalar::from(index)),
            cluster: cluster(no),
            activation: Epoch(10),
            balance: Gwei(32 * ETH),
            shares: (1..=4).map(|place| public(share(index, generation, place))).collect(),
        }
    }

    /// A cluster's keys are shared anew.
    fn reshare(&mut self, no: u8, generation: u32) {
        self.clusters.get_mut(&cluster(no)).unwrap().generation = Generation(generation);
        for index in self.validators.keys().copied().collect::<Vec<_>>() {
            if self.validators[&index].cluster == cluster(no) {
                self.validators.insert(index, self.validator(no, index.0, generation));
            }
        }
    }

    fn decide(&self, command: &Command) -> Result<Vec<Event>, Refusal> {
        let whole = || {
            let staked = |(index, known): (&ValidatorIndex, &Validator)| Staked {
                candidate: Candidate { index: *index, cluster: known.cluster, balance: known.balance },
                activation: known.activation,
            };
            let (queued, buffer, predicted_rewards) = (self.queued, self.buffer, self.predicted);
            Ok(Whole {
                staked: self.validators.iter().map(staked).collect(),
                clusters: self.standings.clone(),
                over_share: BTreeMap::new(),
                liquidity: Liquidity { queued, buffer, predicted_rewards, exiting: Wei::ZERO },
            })
        };
        let facts = Facts {
            finalized: self.finalized,
            spec: &self.spec,
            terms: TERMS,
            validator: &|index| self.validators.get(&index).cloned(),
            cluster: &|id| self.clusters.get(&id).cloned(),
            whole: &whole,
        };
        decide(&self.state, &facts, self.now, command)
    }

    fn act(&mut self, command: &Command) -> Result<Vec<Event>, Refusal> {
        assert_eq!(canonical::read::<Command>(&canonical::bytes(command)).unwrap(), *command);
        let events = self.decide(command)?;
        for event in &events {
            assert_eq!(canonical::read::<Event>(&canonical::bytes(event)).unwrap(), *event);
            apply(&mut self.state, event).unwrap();
        }
        assert_eq!(canonical::read::<State>(&canonical::bytes(&self.state)).unwrap(), self.state);
        Ok(events)
    }

    fn plan(&mut self) -> Result<Vec<u64>, Refusal> {
        Ok(asked(&self.act(&Command::Plan)?))
    }

    fn ask(&mut self, validator: u64) {
        let validator = ValidatorIndex(validator);
        self.act(&Command::Ask { validator, why: Why::Governance }).unwrap();
    }

    /// What the operator at a place of a validator's cluster sends, of a sharing.
    fn partial(&self, validator: u64, at: u8, generation: u32) -> Command {
        let exit = &self.state.exits()[&ValidatorIndex(validator)];
        // Written out: EIP-7044, Capella's version for ever.
        let capella = self.spec.forks[0].version;
        let root = self.spec.genesis_validators_root;
        let domain = types::domain::compute_domain(DomainType::VoluntaryExit, capella, root);
        let message = VoluntaryExit { epoch: exit.asked.epoch, validator_index: ValidatorIndex(validator) };
        let root = SigningRoot::compute(Root::of(&message), domain);
        let signature = hash_to_g2(root.as_ref()) * share(validator, generation, at);
        Command::Partial {
            operator: operator((validator / 100) as u8, at),
            place: place(at),
            validator: ValidatorIndex(validator),
            generation: Generation(generation),
            signature: Signature(signature.compress()),
        }
    }

    fn sign(&mut self, validator: u64, at: u8) -> Result<Vec<Event>, Refusal> {
        let command = self.partial(validator, at, 0);
        self.act(&command)
    }

    fn look(&mut self, epoch: u64, seen: &[(u64, SeenExit)]) -> Result<Vec<Event>, Refusal> {
        let validators = seen.iter().map(|(index, seen)| (ValidatorIndex(*index), *seen)).collect();
        self.act(&Command::Look { epoch: Epoch(epoch), validators })
    }

    fn stage(&self, validator: u64) -> Stage {
        self.state.exits()[&ValidatorIndex(validator)].stage
    }
}

fn asked(events: &[Event]) -> Vec<u64> {
    let asked = |event: &Event| match event {
        Event::Asked(asked) => Some(asked.validator.0),
        _ => None,
    };
    events.iter().filter_map(asked).collect()
}

fn leaving(exit: u64) -> SeenExit {
    SeenExit {
        exit: Epoch(exit),
        withdrawable: Epoch(exit + 256),
        status: ValidatorStatus::ActiveExiting,
        slashed: false,
    }
}

#[test]
fn an_exit_goes_through_every_stage() {
    let mut world = World::new([2, 0]);
    world.ask(100);
    let exit = world.state.exits()[&ValidatorIndex(100)].asked;
    assert_eq!((exit.epoch, exit.deadline, exit.why), (Epoch(5_000), NOW + 400, Why::Governance));
    assert_eq!(world.stage(100), Stage::Requested);
    assert_eq!(world.sign(100, 2).unwrap().len(), 1);
    assert_eq!(world.stage(100), Stage::Collecting);
    world.sign(100, 4).unwrap();
    assert!(world.state.to_broadcast().next().is_none());
    assert_eq!(world.sign(100, 1).unwrap().len(), 2);
    assert_eq!(world.stage(100), Stage::Signed);
    // What comes out is what any tool of the field takes.
    let signed = world.state.to_broadcast().next().unwrap();
    let check =
        cluster::check::check_exit(&signed, &world.spec, &[world.validators[&ValidatorIndex(100)].pubkey]);
    assert!(check.holds(), "{check:?}");
    let refused = Err(Refusal::Stage { validator: ValidatorIndex(100), stage: Stage::Signed });
    assert_eq!(world.sign(100, 3), refused, "nothing more is needed");
    world.act(&Command::Broadcast { validator: ValidatorIndex(100) }).unwrap();
    assert_eq!((world.stage(100), world.state.to_broadcast().count()), (Stage::Broadcast, 1));
    world.look(4_900, &[(100, leaving(4_950))]).unwrap();
    assert_eq!((world.stage(100), world.state.to_broadcast().count()), (Stage::Seen, 0));
    world.look(4_949, &[(100, leaving(4_950))]).unwrap();
    assert_eq!(world.stage(100), Stage::Seen);
    world.look(4_950, &[(100, leaving(4_950))]).unwrap();
    assert_eq!(world.stage(100), Stage::Exited);
    let done = SeenExit { status: ValidatorStatus::WithdrawalDone, ..leaving(4_950) };
    world.look(5_000, &[(100, done)]).unwrap();
    assert_eq!(world.stage(100), Stage::Withdrawn);
    world.finalized = Epoch(5_001);
    assert_eq!(world.look(5_001, &[(100, done)]), Ok(Vec::new()), "nothing more happens");
}

#[test]
fn a_bad_partial_is_refused_by_name_and_clears_nothing() {
    let mut world = World::new([2, 1]);
    world.ask(100);
    world.ask(101);
    world.sign(100, 1).unwrap();
    world.sign(100, 2).unwrap();
    let before = world.state.clone();
    let Command::Partial { signature: of_another_exit, .. } = world.partial(101, 3, 0) else {
        panic!("a partial")
    };
    let Command::Partial { signature: of_another, .. } = world.partial(100, 4, 0) else {
        panic!("a partial")
    };
    for bad in [of_another_exit, of_another, Signature([7; 96]), Signature::INFINITY] {
        let Command::Partial { operator, place, validator, generation, .. } = world.partial(100, 3, 0) else {
            panic!("a partial")
        };
        let command = Command::Partial { operator, place, validator, generation, signature: bad };
        assert_eq!(world.act(&command), Err(Refusal::BadPartial { operator, place }));
    }
    assert_eq!(world.state, before);
    world.sign(100, 3).unwrap();
    assert_eq!(world.stage(100), Stage::Signed);
}

#[test]
fn shares_of_two_generations_never_combine() {
    let mut world = World::new([1, 0]);
    world.ask(100);
    world.sign(100, 1).unwrap();
    world.sign(100, 2).unwrap();
    world.reshare(1, 1);
    let want = Generation(1);
    assert_eq!(world.sign(100, 3), Err(Refusal::Generation { have: Generation(0), want }));
    for at in [3, 1] {
        let command = world.partial(100, at, 1);
        assert_eq!(world.act(&command).unwrap().len(), 1);
    }
    assert_eq!(world.state.exits()[&ValidatorIndex(100)].partials.len(), 2, "the older two are gone");
    let command = world.partial(100, 2, 1);
    assert_eq!(world.act(&command).unwrap().len(), 2);
    assert!(world.state.to_broadcast().next().is_some());
}

#[test]
fn shares_that_are_not_of_the_key_sign_nothing() {
    let mut world = World::new([1, 0]);
    world.ask(100);
    world.validators.get_mut(&ValidatorIndex(100)).unwrap().pubkey = public(Scalar::from(7u64));
    world.sign(100, 1).unwrap();
    world.sign(100, 2).unwrap();
    assert_eq!(world.sign(100, 3), Err(Refusal::OtherKey { validator: ValidatorIndex(100) }));
}

/// Row M9: all want to leave; exits are asked for exactly as needed, and again only for what is still missing.
#[test]
fn exits_are_asked_for_exactly_as_withdrawals_need_them() {
    let mut world = World::new([3, 3]);
    (world.queued, world.buffer, world.predicted) = (eth(100), eth(3), eth(1));
    // 96 ETH: three validators. Stakes are kept even, the lowest index first.
    assert_eq!(world.plan(), Ok(vec![100, 200, 101]));
    assert_eq!(world.plan(), Err(Refusal::NothingToAsk), "they are on their way");
    world.queued = eth(101);
    assert_eq!(world.plan(), Ok(vec![201]));
    world.queued = eth(1_000);
    assert_eq!(world.plan(), Ok(vec![102, 202]), "all that there are");
    assert_eq!(world.plan(), Err(Refusal::NothingToAsk));
}

#[test]
fn a_cluster_that_ends_is_asked_for_without_demand_and_what_it_brings_counts() {
    let mut world = World::new([2, 2]);
    world.standings.get_mut(&cluster(1)).unwrap().ends = Some(Why::Strikes);
    world.validators.get_mut(&ValidatorIndex(101)).unwrap().activation = Epoch(5_000 - 255);
    world.queued = eth(33);
    assert_eq!(world.plan(), Ok(vec![100, 200]), "32 come from the one that ends, 101 is young");
    let why = |index| world.state.exits()[&ValidatorIndex(index)].asked.why;
    assert_eq!((why(100), why(200)), (Why::Strikes, Why::Demand));
    world.finalized = Epoch(5_001);
    world.queued = eth(0);
    assert_eq!(world.plan(), Ok(vec![101]));
    assert_eq!(world.plan(), Err(Refusal::NothingToAsk));
}

#[test]
fn what_is_withdrawn_counts_in_the_buffer_and_no_longer_as_exiting() {
    let mut world = World::new([3, 0]);
    world.queued = eth(32);
    assert_eq!(world.plan(), Ok(vec![100]));
    let done = SeenExit { status: ValidatorStatus::WithdrawalDone, ..leaving(4_000) };
    world.look(4_500, &[(100, done)]).unwrap();
    assert_eq!(world.stage(100), Stage::Withdrawn, "all stages in one look");
    assert_eq!(world.plan(), Ok(vec![101]), "its ETH should be in the buffer, and is not");
    world.buffer = eth(32);
    assert_eq!(world.plan(), Err(Refusal::NothingToAsk));
}

#[test]
fn the_late_are_asked_last_and_the_young_not_at_all() {
    let mut world = World::new([3, 2]);
    world.validators.get_mut(&ValidatorIndex(200)).unwrap().activation = Epoch(5_000 - 255);
    world.ask(100);
    world.now += 100;
    world.act(&Command::Review).unwrap();
    world.queued = eth(32 + 1);
    assert_eq!(world.plan(), Ok(vec![201]), "cluster 1 is late; 200 is young");
    world.queued = eth(32 + 32 + 1);
    assert_eq!(world.plan(), Ok(vec![101]));
}

#[test]
fn who_does_not_sign_is_delinquent_and_who_does_is_not() {
    let mut world = World::new([1, 0]);
    world.ask(100);
    world.sign(100, 1).unwrap();
    world.sign(100, 2).unwrap();
    world.now = NOW + 99;
    assert_eq!(world.act(&Command::Review), Err(Refusal::NobodyLate));
    world.now = NOW + 100;
    let validator = ValidatorIndex(100);
    assert_eq!(world.act(&Command::Review).unwrap(), [Event::Delayed { validator }]);
    assert_eq!(world.act(&Command::Review), Err(Refusal::NobodyLate));
    assert!(world.state.missed(validator).is_none());
    world.now = NOW + 400;
    let missing: BTreeSet<_> = [operator(1, 3), operator(1, 4)].into();
    let event = Event::Delinquent { validator, missing: missing.clone() };
    assert_eq!(world.act(&Command::Review).unwrap(), [event]);
    let delinquent = |world: &World, at| world.state.is_delinquent(operator(1, at), world.now);
    assert_eq!([1, 2, 3, 4].map(|at| delinquent(&world, at)), [false, false, true, true]);
    assert_eq!([1, 3].map(|at| world.state.strikes(operator(1, at))), [0, 1]);
    let missed = world.state.missed(validator).unwrap();
    assert_eq!((missed.missing, missed.deadline, missed.epoch), (missing, NOW + 400, Epoch(5_000)));
    // It comes, and they stay so for the cooldown.
    world.sign(100, 3).unwrap();
    assert!(delinquent(&world, 3));
    world.now = NOW + 1_000;
    world.look(5_000, &[(100, leaving(5_100))]).unwrap();
    world.now = NOW + 1_499;
    assert!(delinquent(&world, 3) && delinquent(&world, 4) && !delinquent(&world, 1));
    world.now = NOW + 1_500;
    assert!(!delinquent(&world, 3) && !delinquent(&world, 4));
}

#[test]
fn a_review_that_comes_late_says_both_and_a_signed_exit_makes_nobody_late() {
    let mut world = World::new([2, 0]);
    world.ask(100);
    world.ask(101);
    (1..=3).for_each(|at| drop(world.sign(101, at).unwrap()));
    world.now = NOW + 10_000;
    let events = world.act(&Command::Review).unwrap();
    assert!(matches!(events[..], [Event::Delayed { .. }, Event::Delinquent { .. }]), "{events:?}");
    assert!(world.state.missed(ValidatorIndex(101)).is_none());
}

/// Row K10 and K19: the operators alone, and the withdrawal address alone.
#[test]
fn an_exit_that_nobody_asked_for_is_found_on_the_chain() {
    let mut world = World::new([2, 0]);
    let slashed = SeenExit { slashed: true, status: ValidatorStatus::ActiveSlashed, ..leaving(6_000) };
    let events = world.look(4_000, &[(100, leaving(6_000)), (101, slashed)]).unwrap();
    assert_eq!(asked(&events), [100, 101]);
    let why = |index| world.state.exits()[&ValidatorIndex(index)].asked.why;
    assert_eq!((why(100), why(101)), (Why::Own, Why::Slashed));
    assert_eq!((world.stage(100), world.stage(101)), (Stage::Seen, Stage::Seen));
    world.now += 10_000;
    assert_eq!(world.act(&Command::Review), Err(Refusal::NobodyLate));
}

#[test]
fn the_withdrawal_addresss_request_counts_only_when_the_chain_has_the_exit() {
    let mut world = World::new([1, 0]);
    world.ask(100);
    let pubkey = world.state.exits()[&ValidatorIndex(100)].asked.pubkey;
    let call = call(&pubkey, 17).unwrap();
    assert_eq!((call.to, call.fee), (PREDEPLOY, Wei(U256::from(2))));
    assert_eq!((&call.data[..48], &call.data[48..]), (&pubkey.0[..], &[0; 8][..]));
    let triggered = Command::Triggered { validator: ValidatorIndex(100), tx: Root([1; 32]) };
    world.act(&triggered).unwrap();
    assert_eq!(world.act(&triggered), Err(Refusal::Triggered { tx: Root([1; 32]) }));
    assert_eq!(world.stage(100), Stage::Requested, "it may have been ignored");
    world.sign(100, 1).unwrap();
    world.look(5_000, &[(100, leaving(5_100))]).unwrap();
    assert_eq!(world.stage(100), Stage::Seen);
    let late = Command::Triggered { validator: ValidatorIndex(100), tx: Root([2; 32]) };
    assert!(matches!(world.act(&late), Err(Refusal::Stage { stage: Stage::Seen, .. })));
    assert!(matches!(world.sign(100, 2), Err(Refusal::Stage { stage: Stage::Seen, .. })));
}

type Row = (fn(&mut World) -> Command, fn(&Refusal) -> bool);

/// A partial of whoever sent it, said to be of another place.
fn elsewhere(partial: Command, at: u8) -> Command {
    let Command::Partial { validator, generation, signature, operator, .. } = partial else {
        panic!("a partial")
    };
    Command::Partial { operator, place: place(at), validator, generation, signature }
}

macro_rules! row {
    ($command:expr, $refusal:pat) => {
        ($command, |refusal| matches!(refusal, $refusal))
    };
}

const fn wants(validator: u64, why: Why) -> Command {
    Command::Ask { validator: ValidatorIndex(validator), why }
}

fn told(epoch: u64, index: u64, seen: SeenExit) -> Command {
    Command::Look { epoch: Epoch(epoch), validators: [(ValidatorIndex(index), seen)].into() }
}

const ROWS: [Row; 17] = [
    row!(|_| wants(100, Why::Governance), Refusal::Known { .. }),
    row!(|_| wants(101, Why::Own), Refusal::NoReason { why: Why::Own }),
    row!(|_| wants(101, Why::Demand), Refusal::NoReason { .. }),
    row!(|_| wants(300, Why::Strikes), Refusal::NotOurs { .. }),
    row!(
        |world| {
            world.validators.get_mut(&ValidatorIndex(101)).unwrap().activation = Epoch(4_745);
            wants(101, Why::Strikes)
        },
        Refusal::Young { .. }
    ),
    row!(|_| Command::Plan, Refusal::NothingToAsk),
    row!(
        |_| Command::Broadcast { validator: ValidatorIndex(100) },
        Refusal::Stage { stage: Stage::Requested, .. }
    ),
    row!(|_| Command::Broadcast { validator: ValidatorIndex(101) }, Refusal::NotAsked { .. }),
    row!(
        |world| {
            world.sign(100, 1).unwrap();
            world.partial(100, 1, 0)
        },
        Refusal::Twice { .. }
    ),
    row!(|world| elsewhere(world.partial(100, 1, 0), 2), Refusal::NotThere { .. }),
    row!(|world| elsewhere(world.partial(100, 1, 0), 9), Refusal::NotThere { .. }),
    row!(
        |world| {
            world.clusters.remove(&cluster(1));
            world.partial(100, 1, 0)
        },
        Refusal::UnknownCluster { .. }
    ),
    row!(|_| told(5_001, 100, leaving(5_100)), Refusal::LookEpoch { .. }),
    row!(
        |_| told(4_000, 100, SeenExit { exit: Epoch(u64::MAX), withdrawable: Epoch(u64::MAX), ..leaving(0) }),
        Refusal::NoExit { .. }
    ),
    row!(
        |_| told(4_000, 100, SeenExit { withdrawable: Epoch(5_099), ..leaving(5_100) }),
        Refusal::NoExit { .. }
    ),
    row!(
        |world| {
            world.look(4_000, &[(100, leaving(5_100))]).unwrap();
            told(4_001, 100, leaving(5_101))
        },
        Refusal::NoExit { .. }
    ),
    row!(|_| told(4_000, 300, leaving(5_100)), Refusal::NotOurs { .. }),
];

#[test]
fn each_rule_refuses_what_breaks_it() {
    for (at, (command, expected)) in ROWS.into_iter().enumerate() {
        let mut world = World::new([2, 0]);
        world.ask(100);
        let command = command(&mut world);
        let refusal = world.decide(&command).expect_err("a rule is broken");
        assert!(expected(&refusal), "row {at}: {refusal}");
    }
}

#[test]
fn an_event_that_does_not_fit_changes_nothing() {
    let mut world = World::new([2, 0]);
    world.ask(100);
    world.sign(100, 1).unwrap();
    let (validator, other) = (ValidatorIndex(100), ValidatorIndex(101));
    let exit = &world.state.exits()[&validator];
    let (asked, signature) = (exit.asked, exit.partials[&place(1)]);
    let contributed = |validator, generation| Event::Contributed {
        validator,
        generation: Generation(generation),
        place: place(1),
        signature,
    };
    for event in [
        Event::Asked(asked),
        contributed(validator, 0),
        contributed(other, 0),
        Event::Signed { validator: other, signature },
        Event::Broadcast { validator },
        Event::Exited { validator },
        Event::Withdrawn { validator },
        Event::Delinquent { validator, missing: BTreeSet::new() },
        Event::Delayed { validator: other },
    ] {
        let mut state = world.state.clone();
        assert!(apply(&mut state, &event).is_err(), "{event:?}");
        assert_eq!(state, world.state, "{event:?}");
    }
    // An older sharing's after a newer one's.
    world.reshare(1, 2);
    let command = world.partial(100, 2, 2);
    world.act(&command).unwrap();
    assert_eq!(apply(&mut world.state, &contributed(validator, 1)), Err(Corrupt::Partial { validator }));
}

/// A step of a random run.
#[derive(Clone, Copy, Debug)]
enum Step {
    Ask(u64),
    Sign(u64, u8),
    Broadcast(u64),
    Look(u64),
    Wait(u64),
    Review,
    Plan(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0u64..4).prop_map(Step::Ask),
        8 => (0u64..4, 1u8..5).prop_map(|(at, place)| Step::Sign(at, place)),
        1 => (0u64..4).prop_map(Step::Broadcast),
        1 => (0u64..4).prop_map(Step::Look),
        2 => (1u64..200).prop_map(Step::Wait),
        2 => Just(Step::Review),
        1 => (0u64..5).prop_map(Step::Plan),
    ]
}

/// What a plain list knows of a validator.
#[derive(Clone, Debug, Default)]
struct Plain {
    asked: Option<u64>,
    signed: BTreeSet<u8>,
    seen: bool,
    broadcast: bool,
    struck: BTreeSet<u8>,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn random_runs_are_what_a_plain_list_says(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new([2, 2]);
        let index = |at: u64| [100, 101, 200, 201][at as usize];
        let mut plain: [Plain; 4] = Default::default();
        for step in steps {
            match step {
                Step::Ask(at) => {
                    let fine = world.act(&wants(index(at), Why::Strikes)).is_ok();
                    let one = &mut plain[at as usize];
                    prop_assert_eq!(fine, one.asked.is_none());
                    one.asked = one.asked.or(Some(world.now));
                }
                Step::Sign(at, by) => {
                    let one = &mut plain[at as usize];
                    let open = one.asked.is_some() && !one.seen && one.signed.len() < 3;
                    if one.asked.is_some() {
                        prop_assert_eq!(world.sign(index(at), by).is_ok(), open && !one.signed.contains(&by));
                    }
                    one.signed.extend(open.then_some(by));
                }
                Step::Broadcast(at) => {
                    let one = &mut plain[at as usize];
                    let fine = world.act(&Command::Broadcast { validator: ValidatorIndex(index(at)) }).is_ok();
                    prop_assert_eq!(fine, one.signed.len() == 3 && !one.seen && !one.broadcast);
                    one.broadcast |= fine;
                }
                Step::Look(at) => {
                    world.look(1_000, &[(index(at), leaving(9_000))]).unwrap();
                    let one = &mut plain[at as usize];
                    (one.asked, one.seen) = (one.asked.or(Some(world.now)), true);
                }
                Step::Wait(seconds) => world.now += seconds,
                Step::Review => {
                    let _ = world.act(&Command::Review);
                    for one in plain.iter_mut().filter(|one| !one.seen && one.signed.len() < 3) {
                        if one.struck.is_empty() && one.asked.is_some_and(|asked| world.now >= asked + 400) {
                            one.struck = (1..=4).filter(|by| !one.signed.contains(by)).collect();
                        }
                    }
                }
                Step::Plan(validators) => {
                    world.queued = eth(32 * validators);
                    let exiting = plain.iter().filter(|one| one.asked.is_some()).count() as u64;
                    let asked = world.plan().unwrap_or_default();
                    prop_assert_eq!(asked.len() as u64, validators.saturating_sub(exiting).min(4 - exiting));
                    for at in 0..4 {
                        if asked.contains(&index(at)) {
                            plain[at as usize].asked = Some(world.now);
                        }
                    }
                }
            }
            for (at, one) in (0u64..).zip(&plain) {
                let exit = world.state.exits().get(&ValidatorIndex(index(at)));
                prop_assert_eq!(exit.is_some(), one.asked.is_some());
                let Some(exit) = exit else { continue };
                let by: BTreeSet<u8> = exit.partials.keys().map(|place| place.0.get()).collect();
                prop_assert_eq!((&by, exit.signature.is_some()), (&one.signed, one.signed.len() == 3));
                prop_assert_eq!(exit.stage >= Stage::Seen, one.seen);
                let no = (index(at) / 100) as u8;
                let missing: BTreeSet<_> = one.struck.iter().map(|by| operator(no, *by)).collect();
                prop_assert_eq!(&exit.missing, &missing);
            }
            for (no, by) in (1u8..=2).flat_map(|no| (1u8..=4).map(move |by| (no, by))) {
                let own = &plain[usize::from(2 * (no - 1))..][..2];
                let strikes = own.iter().filter(|one| one.struck.contains(&by)).count();
                prop_assert_eq!(world.state.strikes(operator(no, by)) as usize, strikes);
            }
        }
    }
}
