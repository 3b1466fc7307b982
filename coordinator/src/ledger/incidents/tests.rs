//! Incidents: rows K2, K3, K4 and R3, evidence of guilt, and random runs against sums kept slowly.

use super::*;
use crate::canonical;
use crate::formulas::losses::Party;
use crate::formulas::participation::Unearned;
use crate::formulas::slashing::{SLASHINGS_EPOCHS, initial};
use crate::ledger::bonds::Order;
use crate::ledger::operators::Reason;
use crate::ledger::policy;
use crate::ledger::reports::Evidence;
use crate::text::Text;
use alloy_primitives::U256;
use crypto::{G1, PublicKeyPoint, Scalar, hash_to_g2};
use proptest::prelude::*;
use types::operations::BeaconBlockHeader;
use types::{
    Address, AttestationData, ChainSpec, Checkpoint, ClusterSize, DomainType, PublicKey, Root, ShareIndex,
    Signature, SigningRoot, Slot, ValidatorIndex,
};

mod rules;

const ETH: u64 = 1_000_000_000;
const DAY: u64 = 86_400;
const RECIPIENT: Address = Address([0xfe; 20]);
const TERMS: policy::Losses = policy::Losses {
    cluster_stands: false,
    unearned: Unearned::ToReserve,
    missed_exit: Wei(U256::from_limbs([7, 0, 0, 0])),
    theft_extra: Wei(U256::from_limbs([9, 0, 0, 0])),
    objection_s: DAY,
};
/// The epoch in which operator 4 of a cluster gives its place to operator 5.
const CHANGE: u64 = 500;

fn operator(no: u8) -> OperatorId {
    Address([no; 20])
}

fn operators(numbers: &[u8]) -> BTreeSet<OperatorId> {
    numbers.iter().map(|no| operator(*no)).collect()
}

/// Validators 100 to 199 are of cluster 1, 200 to 299 of cluster 2, others of none.
fn cluster_of(index: ValidatorIndex) -> Option<ClusterId> {
    Some(index.0 / 100).filter(|no| (1..=2).contains(no)).map(|no| Root([no as u8; 32]))
}

fn cluster(no: u8) -> ClusterId {
    Root([no; 32])
}

fn members_at(cluster: ClusterId, epoch: Epoch) -> Option<BTreeSet<OperatorId>> {
    let last = if epoch.0 < CHANGE { 4 } else { 5 };
    (cluster.0[0] <= 2).then(|| operators(&[1, 2, 3, last].map(|no| no + 10 * (cluster.0[0] - 1))))
}

/// The share at a place: of a polynomial of degree 2, so three of four sign.
fn share(place: u8) -> Scalar {
    let x = u64::from(place);
    Scalar::from(11 + 5 * x + 3 * x * x)
}

fn holders_at(validator: ValidatorIndex, epoch: Epoch) -> Option<Holders> {
    let operators = members_at(cluster_of(validator)?, epoch)?;
    let key = |place: u8| PublicKeyPoint::new(G1::generator() * share(place)).unwrap().bytes();
    let shares: Vec<(OperatorId, PublicKey)> =
        operators.into_iter().zip(1..).map(|(who, place)| (who, key(place))).collect();
    Some(Holders { size: ClusterSize::new_safe(4, 3).unwrap(), shares })
}

fn evidence() -> Evidence {
    [(Text::new("/eth/v1/beacon/states/head/validators").unwrap(), Root([1; 32]))].into()
}

fn slashed(validator: u64, fault: u64) -> Slashing {
    let slashed = Epoch(fault + 1);
    Slashing {
        validator: ValidatorIndex(validator),
        fault: Epoch(fault),
        slashed,
        withdrawable: Epoch(slashed.0 + SLASHINGS_EPOCHS),
        effective: Gwei(32 * ETH),
        whistleblower: Gwei(0),
    }
}

fn stolen(validator: u64, no: u8, amount: u64) -> Fault {
    Fault::Theft(Theft {
        validator: ValidatorIndex(validator),
        slot: Slot(32 * 10),
        block_root: Root([no; 32]),
        paid_to: Address([0xbd; 20]),
        amount: Wei(U256::from(amount)),
    })
}

/// Facts that can be changed, bonds as the book of bonds would keep them, and a state.
#[derive(Clone)]
struct World {
    state: State,
    spec: ChainSpec,
    finalized: Epoch,
    now: u64,
    terms: policy::Losses,
    bonds: BTreeMap<OperatorId, Wei>,
    debts: BTreeMap<OperatorId, Wei>,
    reserve: Wei,
    pooled: Wei,
    /// What came to the pool as cover.
    cover: Wei,
    missed: Option<MissedExit>,
}

impl World {
    fn new() -> Self {
        Self {
            state: State::default(),
            spec: ChainSpec::builtin("hoodi").unwrap(),
            finalized: Epoch(1_000),
            now: 1_000_000,
            terms: TERMS,
            bonds: BTreeMap::new(),
            debts: BTreeMap::new(),
            reserve: Wei::ZERO,
            pooled: wide::wei(Gwei(1000 * ETH)),
            cover: Wei::ZERO,
            missed: None,
        }
    }

    fn decide(&self, command: &Command) -> Result<Vec<Event>, Refusal> {
        let facts = Facts {
            finalized: self.finalized,
            spec: &self.spec,
            fee_recipient: RECIPIENT,
            terms: self.terms,
            cluster_of: &cluster_of,
            members: &members_at,
            holders: &holders_at,
            missed: &|_| self.missed.clone(),
            bond: &|operator| self.bonds.get(&operator).copied().unwrap_or_default(),
            reserve: self.reserve,
            pooled: self.pooled,
        };
        decide(&self.state, &facts, self.now, command)
    }

    fn act(&mut self, command: &Command) -> Result<Vec<Event>, Refusal> {
        let bytes = canonical::bytes(command);
        assert_eq!(canonical::read::<Command>(&bytes).unwrap(), *command);
        let events = self.decide(command)?;
        for event in &events {
            assert_eq!(canonical::read::<Event>(&canonical::bytes(event)).unwrap(), *event);
            apply(&mut self.state, event).unwrap();
            self.follow(event);
        }
        self.state.audit().unwrap();
        assert_eq!(canonical::read::<State>(&canonical::bytes(&self.state)).unwrap(), self.state);
        Ok(events)
    }

    /// What the books of bonds and money do with an event, in the plainest words.
    fn follow(&mut self, event: &Event) {
        for order in event.orders() {
            match order {
                Order::Penalise(who, amount) => {
                    let bond = self.bonds.entry(who).or_default();
                    let taken = (*bond).min(amount);
                    *bond = wide::sub(*bond, taken).unwrap();
                    let debt = self.debts.entry(who).or_default();
                    *debt = Wei(debt.0 + amount.0 - taken.0);
                }
                Order::Credit(who, amount) => {
                    let bond = self.bonds.entry(who).or_default();
                    *bond = wide::add(*bond, amount).unwrap();
                }
                Order::Back(..) | Order::Release(..) => panic!("incidents back nothing"),
            }
        }
        let Flow { to_pool, to_reserve, from_reserve } = event.flow();
        self.cover = wide::add(self.cover, to_pool).unwrap();
        self.reserve = wide::sub(wide::add(self.reserve, to_reserve).unwrap(), from_reserve).unwrap();
    }

    fn open(&mut self, fault: Fault) -> Result<Vec<Event>, Refusal> {
        let evidence = if matches!(fault, Fault::MissedExit(_)) { Evidence::new() } else { evidence() };
        self.act(&Command::Open { fault, evidence })
    }

    fn slash(&mut self, validator: u64, fault: u64) -> Vec<Event> {
        self.open(Fault::Slashing(slashed(validator, fault))).unwrap()
    }

    fn look(&mut self, incident: u64, epoch: u64, lost: u64) -> Result<Vec<Event>, Refusal> {
        self.act(&Command::Look { incident, epoch: Epoch(epoch), lost: Gwei(lost) })
    }

    fn settle(&mut self, incident: u64) -> Result<Vec<Event>, Refusal> {
        self.act(&Command::Settle { incident })
    }

    fn bond(&mut self, of: &[(u8, u64)]) {
        self.bonds = of.iter().map(|(no, eth)| (operator(*no), wide::wei(Gwei(eth * ETH)))).collect();
    }

    /// A slashing of an old fault, over, with a loss of so many ETH.
    fn over(&mut self, validator: u64, fault: u64, eth: u64) -> u64 {
        let incident = self.state.next();
        self.slash(validator, fault);
        self.finalized = Epoch(fault + 1 + SLASHINGS_EPOCHS);
        self.look(incident, self.finalized.0, eth * ETH).unwrap();
        incident
    }
}

fn steps(events: &[Event]) -> Vec<(Party, u64)> {
    let step = |event: &Event| match event {
        Event::Paid { step, .. } => Some((step.party, (step.amount.0 / wide::GWEI_WEI).to::<u64>() / ETH)),
        _ => None,
    };
    events.iter().filter_map(step).collect()
}

fn guilty(world: &World, incident: u64) -> BTreeSet<OperatorId> {
    world.state.incidents()[&incident].opened.guilty.clone()
}

#[test]
fn a_slashing_stops_cluster_and_queue_at_once_until_the_last_is_over() {
    let mut world = World::new();
    let events = world.slash(100, 900);
    assert_eq!(events[1..], [Event::Frozen(cluster(1)), Event::QueueHeld]);
    assert_eq!(world.slash(101, 900).len(), 1, "both are stopped already");
    assert_eq!(world.slash(200, 901)[1..], [Event::Frozen(cluster(2))]);
    assert!(world.state.is_frozen(cluster(1)) && world.state.holds_queue());
    world.finalized = Epoch(20_000);
    for incident in 0..3 {
        world.look(incident, 20_000, ETH).unwrap();
    }
    let after = |events: Vec<Event>| {
        events
            .into_iter()
            .skip_while(|event| !matches!(event, Event::Closed { .. }))
            .skip(1)
            .collect::<Vec<_>>()
    };
    assert_eq!(after(world.settle(0).unwrap()), []);
    assert_eq!(after(world.settle(2).unwrap()), [Event::Thawed(cluster(2))]);
    let reason = Reason::new("one of another chain").unwrap();
    let events = world.act(&Command::Dismiss { incident: 1, reason }).unwrap();
    assert_eq!(events[1..], [Event::Thawed(cluster(1)), Event::QueueReleased]);
    assert!(!world.state.is_frozen(cluster(1)) && !world.state.holds_queue());
    // What was dismissed can be seen again; what was settled cannot.
    assert!(matches!(world.open(Fault::Slashing(slashed(100, 900))), Err(Refusal::Known { .. })));
    assert!(world.open(Fault::Slashing(slashed(101, 900))).is_ok());
}

/// Row K3: left at epoch 500, fault at 490, known at 1000.
#[test]
fn who_was_there_at_the_fault_pays_and_not_who_is_there_now() {
    let mut world = World::new();
    world.bond(&[(1, 1), (2, 1), (3, 1), (4, 1), (5, 1)]);
    let (incident, known) = (0, Epoch(CHANGE + 500));
    let withdrawable = Epoch(known.0 + SLASHINGS_EPOCHS);
    let seen = Slashing { slashed: known, withdrawable, ..slashed(100, CHANGE - 10) };
    world.open(Fault::Slashing(seen)).unwrap();
    world.finalized = withdrawable;
    world.look(incident, withdrawable.0, 2 * ETH).unwrap();
    assert_eq!(guilty(&world, incident), operators(&[1, 2, 3, 4]));
    assert!(world.state.holds(operator(4)) == Some(0) && world.state.holds(operator(5)).is_none());
    world.settle(incident).unwrap();
    let left = |no| world.bonds[&operator(no)];
    assert_eq!((left(4), left(5)), (wide::wei(Gwei(ETH / 2)), wide::wei(Gwei(ETH))));
    assert_eq!(world.state.holds(operator(4)), None);
}

/// Row K4.
#[test]
fn a_loss_runs_from_the_guilty_over_their_cluster_and_the_reserve_to_delegators() {
    let run = |stands: bool| {
        let mut world = World::new();
        world.bond(&[(1, 1), (2, 2), (3, 3), (4, 4)]);
        (world.terms.cluster_stands, world.reserve) = (stands, wide::wei(Gwei(5 * ETH)));
        let incident = world.over(100, 450, 20);
        world.prove(incident, &[1, 2, 3], &[1, 2, 4]).unwrap();
        let events = world.settle(incident).unwrap();
        (steps(&events), world)
    };
    let who = |no| operator(no);
    let (alone, world) = run(false);
    let want = [
        (Party::Faulty(who(1)), 1),
        (Party::Faulty(who(2)), 2),
        (Party::Reserve, 5),
        (Party::Delegators, 12),
    ];
    assert_eq!(alone, want);
    assert_eq!(world.cover, wide::wei(Gwei(8 * ETH)));
    let (together, mut world) = run(true);
    let want = [
        (Party::Faulty(who(1)), 1),
        (Party::Faulty(who(2)), 2),
        (Party::Cluster(who(3)), 3),
        (Party::Cluster(who(4)), 4),
        (Party::Reserve, 5),
        (Party::Delegators, 5),
    ];
    assert_eq!(together, want);
    // Row K2: what others paid is owed, and what is owed is what the book of bonds says.
    let owed = wide::wei(Gwei(17 * ETH / 2));
    assert_eq!(world.state.debts().unwrap(), [(who(1), owed), (who(2), owed)].into());
    assert_eq!(
        world.state.debts().unwrap(),
        world.debts.into_iter().filter(|(_, debt)| *debt != Wei::ZERO).collect()
    );
    world.debts = BTreeMap::new();
    // Delegators are paid back first, then the reserve, then the bonds of the others.
    let pay = |world: &mut World, no: u8, half_eth: u64| {
        let amount = wide::wei(Gwei(half_eth * ETH / 2));
        world.act(&Command::Repay { operator: who(no), amount }).unwrap();
        let bonds = [3, 4].map(|no| world.bonds[&who(no)]);
        [world.cover, world.reserve, wide::total(bonds).unwrap()]
            .map(|wei| (wei.0 / wide::GWEI_WEI).to::<u64>() * 2 / ETH)
    };
    assert_eq!(pay(&mut world, 1, 8), [30 + 8, 0, 0]);
    assert_eq!(pay(&mut world, 2, 8), [40, 6, 0]);
    assert_eq!(pay(&mut world, 2, 9), [40, 10, 5]);
    assert!(world.state.incidents().contains_key(&0));
    assert_eq!(pay(&mut world, 1, 9), [40, 10, 14]);
    assert!(world.state.incidents().is_empty(), "all is paid back");
}

#[test]
fn a_slashing_is_settled_when_its_last_penalty_is_seen() {
    let mut world = World::new();
    world.slash(100, 900);
    let withdrawable = 901 + SLASHINGS_EPOCHS;
    let not_final = |seen: Option<u64>| {
        let seen = seen.map(Epoch);
        Err(Refusal::NotFinal { withdrawable: Epoch(withdrawable), seen })
    };
    assert_eq!(world.settle(0), not_final(None));
    let least = initial(Gwei(32 * ETH)).0;
    assert!(matches!(world.look(0, 950, least - 1), Err(Refusal::LostTooLittle { .. })));
    assert!(matches!(world.look(0, 900, least), Err(Refusal::LookEpoch { .. })), "before it was slashed");
    world.look(0, 950, least + 5).unwrap();
    assert!(matches!(world.look(0, 950, least + 5), Err(Refusal::LookEpoch { .. })), "twice");
    assert!(
        matches!(world.look(0, 960, least + 4), Err(Refusal::LostTooLittle { .. })),
        "losses do not fall"
    );
    assert!(matches!(world.look(0, 1001, ETH), Err(Refusal::LookEpoch { .. })), "not final");
    assert_eq!(world.settle(0), not_final(Some(950)));
    world.finalized = Epoch(withdrawable);
    assert_eq!(world.settle(0), not_final(Some(950)), "finalized, but nobody has looked");
    world.look(0, withdrawable, ETH).unwrap();
    let events = world.settle(0).unwrap();
    assert_eq!(steps(&events), [(Party::Delegators, 1)]);
    assert_eq!(world.state.owed(operator(1)), Ok(wide::wei(Gwei(ETH / 4))));
    assert_eq!(world.settle(0), Err(Refusal::NotOpen { incident: 0 }));
}

#[test]
fn other_faults_wait_for_objections_and_cost_what_they_took_and_more() {
    let mut world = World::new();
    world.open(stolen(100, 7, 500)).unwrap();
    assert!(!world.state.is_frozen(cluster(1)) && !world.state.holds_queue());
    world
        .open(Fault::Downtime(Downtime {
            cluster: cluster(2),
            from: Epoch(600),
            until: Epoch(700),
            cost: Gwei(3),
        }))
        .unwrap();
    world.now += DAY - 1;
    for incident in 0..2 {
        let from = 1_000_000 + DAY;
        assert_eq!(world.settle(incident), Err(Refusal::TooEarly { from, now: from - 1 }));
    }
    world.now += 1;
    let loss = |events: Vec<Event>| {
        events.iter().find_map(|event| match event {
            Event::Closed { loss, .. } => Some(*loss),
            _ => None,
        })
    };
    assert_eq!(loss(world.settle(0).unwrap()), Some(Wei(TERMS.theft_extra.0 + U256::from(500))));
    assert_eq!(loss(world.settle(1).unwrap()), Some(wide::wei(Gwei(3))));
    // Of a missed exit those pay whose signature is missing, of those who were there.
    world.missed = Some(MissedExit { epoch: Epoch(900), deadline: world.now, missing: operators(&[2, 9]) });
    world.open(Fault::MissedExit(ValidatorIndex(120))).unwrap();
    assert_eq!(guilty(&world, 2), operators(&[2]));
    world.now += DAY;
    assert_eq!(loss(world.settle(2).unwrap()), Some(TERMS.missed_exit));
}

fn vote(source: u64, target: u64, head: u8) -> AttestationData {
    let checkpoint = |epoch| Checkpoint { epoch: Epoch(epoch), root: Root([9; 32]) };
    AttestationData {
        slot: Slot(target * 32),
        index: 0,
        beacon_block_root: Root([head; 32]),
        source: checkpoint(source),
        target: checkpoint(target),
    }
}

fn header(slot: u64, proposer: u64, body: u8) -> BeaconBlockHeader {
    BeaconBlockHeader {
        slot: Slot(slot),
        proposer_index: ValidatorIndex(proposer),
        body_root: Root([body; 32]),
        ..BeaconBlockHeader::default()
    }
}

fn partial(place: u8, root: &SigningRoot) -> (Place, Signature) {
    let signature = Signature((hash_to_g2(root.as_ref()) * share(place)).compress());
    (Place(ShareIndex::new(place).unwrap()), signature)
}

impl World {
    fn conflict(&self, messages: Messages, places: [&[u8]; 2]) -> Conflict {
        let roots = match &messages {
            Messages::Votes(votes) => votes.map(|vote| {
                SigningRoot::of(&self.spec, DomainType::BeaconAttester, vote.target.epoch, Root::of(&vote))
            }),
            Messages::Blocks(blocks) => blocks.map(|block| {
                let epoch = self.spec.epoch_of(block.slot);
                SigningRoot::of(&self.spec, DomainType::BeaconProposer, epoch, Root::of(&block))
            }),
        };
        let signed = |at: usize| places[at].iter().map(|place| partial(*place, &roots[at])).collect();
        Conflict { messages, partials: [signed(0), signed(1)] }
    }

    /// Two votes for the fault's epoch, signed by operators at these places.
    fn prove(&mut self, incident: u64, first: &[u8], second: &[u8]) -> Result<Vec<Event>, Refusal> {
        let epoch = self.state.incidents()[&incident].opened.epoch.0;
        let votes = [1, 2].map(|head| vote(epoch - 1, epoch, head));
        let conflict = Box::new(self.conflict(Messages::Votes(votes), [first, second]));
        self.act(&Command::Prove { incident, conflict })
    }
}

#[test]
fn who_signed_both_is_guilty_and_nobody_else() {
    let mut world = World::new();
    world.slash(100, 450);
    assert_eq!(guilty(&world, 0), operators(&[1, 2, 3, 4]), "until something is proven");
    world.prove(0, &[1, 2, 3], &[2, 3, 4]).unwrap();
    assert_eq!(guilty(&world, 0), operators(&[2, 3]), "2t - n of four with threshold three");
    assert_eq!(world.prove(0, &[1, 2, 3], &[2, 3, 4]), Err(Refusal::NothingNew));
    world.prove(0, &[1, 2, 3, 4], &[1, 2, 3]).unwrap();
    assert_eq!(guilty(&world, 0), operators(&[1, 2, 3]), "more evidence names more");
    assert_eq!(world.prove(0, &[1, 2, 3], &[2, 3, 4]), Err(Refusal::NothingNew));
}

#[test]
fn two_blocks_of_one_slot_are_evidence_too() {
    let mut world = World::new();
    world.slash(130, 450);
    let blocks = |proposer, slots: [u64; 2]| {
        Messages::Blocks([header(slots[0], proposer, 1), header(slots[1], proposer, 2)])
    };
    let slot = 450 * 32 + 3;
    let mut prove = |messages| {
        let conflict = Box::new(world.conflict(messages, [&[1, 2, 4], &[1, 3, 4]]));
        world.act(&Command::Prove { incident: 0, conflict })
    };
    assert_eq!(prove(blocks(130, [slot, slot + 1])), Err(ConflictError::NoConflict.into()));
    let other = ConflictError::OtherProposer { have: ValidatorIndex(131), want: ValidatorIndex(130) };
    assert_eq!(prove(blocks(131, [slot; 2])), Err(other.into()));
    prove(blocks(130, [slot; 2])).unwrap();
    assert_eq!(guilty(&world, 0), operators(&[1, 4]));
}

#[test]
fn votes_contradict_for_one_target_or_around_each_other() {
    let rows = [
        (vote(1, 5, 1), vote(1, 5, 1), false),
        (vote(1, 5, 1), vote(1, 5, 2), true),
        (vote(1, 5, 1), vote(2, 5, 1), true),
        (vote(1, 5, 1), vote(1, 6, 1), false),
        (vote(1, 6, 1), vote(2, 5, 1), true),
        (vote(1, 6, 1), vote(1, 5, 1), false),
        (vote(2, 6, 1), vote(1, 5, 1), false),
    ];
    for (one, other, want) in rows {
        assert_eq!(Messages::Votes([one, other]).contradict(), want, "{one:?} {other:?}");
        assert_eq!(Messages::Votes([other, one]).contradict(), want, "{other:?} {one:?}");
    }
}

#[test]
fn evidence_that_is_none_names_its_fault_and_nobody() {
    let mut world = World::new();
    world.slash(100, 450);
    let votes = || Messages::Votes([vote(449, 450, 1), vote(449, 450, 2)]);
    let good = world.conflict(votes(), [&[1, 2, 3], &[2, 3, 4]]);
    let mut refuse = |change: &dyn Fn(&mut Conflict)| {
        let mut conflict = good.clone();
        change(&mut conflict);
        match world.act(&Command::Prove { incident: 0, conflict: Box::new(conflict) }) {
            Err(Refusal::Conflict(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let place = |no| Place(ShareIndex::new(no).unwrap());
    // Somebody is accused with another's signature; with one over something else.
    let stolen = refuse(&|conflict| {
        let signature = conflict.partials[0][&place(1)];
        conflict.partials[0].insert(place(4), signature);
    });
    assert_eq!(stolen, ConflictError::BadPartial { operator: operator(4), place: place(4), message: 0 });
    let swapped = refuse(&|conflict| {
        let signature = conflict.partials[0][&place(2)];
        conflict.partials[1].insert(place(2), signature);
    });
    assert_eq!(swapped, ConflictError::BadPartial { operator: operator(2), place: place(2), message: 1 });
    let few = refuse(&|conflict| conflict.partials[1].retain(|at, _| *at != place(2)));
    assert_eq!(few, ConflictError::TooFew { message: 1, have: 2, need: 3 });
    let nobody = refuse(&|conflict| conflict.partials[1].extend([(place(5), Signature([1; 96]))]));
    assert_eq!(nobody, ConflictError::NoPlace { place: place(5) });
    let same = refuse(&|conflict| conflict.messages = Messages::Votes([vote(449, 450, 1); 2]));
    assert_eq!(same, ConflictError::NoConflict);
    let other =
        refuse(&|conflict| conflict.messages = Messages::Votes([vote(448, 449, 1), vote(448, 449, 2)]));
    assert_eq!(other, ConflictError::OtherEpoch { have: Epoch(449), want: Epoch(450) });
}

#[test]
fn a_vote_around_another_names_who_held_a_share_in_both_epochs() {
    let mut world = World::new();
    world.slash(100, CHANGE + 10);
    // Operator 4 signed the earlier one at place 4, operator 5 the later one at the same place.
    let votes = Messages::Votes([vote(CHANGE - 5, CHANGE - 4, 1), vote(CHANGE - 6, CHANGE + 10, 1)]);
    let conflict = Box::new(world.conflict(votes, [&[2, 3, 4], &[2, 3, 4]]));
    world.act(&Command::Prove { incident: 0, conflict }).unwrap();
    assert_eq!(guilty(&world, 0), operators(&[2, 3]));
}
