//! The toy chain is strict: of everything that is signed, one wrong signature or root is refused and its twin taken.

use sim::chain::registry::{Deposit, Registry};
use sim::chain::{Chain, EXIT_EPOCHS, Genesis, Rejection, Slashing};
use sim::curve::{Curve as _, Symbolic};
use ssz::{Decode as _, Encode as _};
use types::aggregate::{Aggregate, SignedAggregate};
use types::attestation::{AttestationElectra, IndexedAttestation, SingleAttestation};
use types::block::body::{BeaconBlock, BodyElectra};
use types::block::{BlockShape, ProposedBlock};
use types::operations::{SignedVoluntaryExit, VoluntaryExit};
use types::selection::is_aggregator;
use types::sizes::Minimal;
use types::spec::{ForkEpoch, SlotTiming};
use types::sync::{SyncCommitteeContribution, SyncCommitteeMessage};
use types::{
    Address, ChainSpec, DomainType, Epoch, Fork, ForkVersion, Millis, Preset, Root, Signature, SigningRoot,
    Slot, ValidatorIndex, ValidatorNo,
};

/// The slot in which things happen.
const SLOT: Slot = Slot(1);

fn spec() -> ChainSpec {
    let fork = ForkEpoch { fork: Fork::Electra, version: ForkVersion([5, 0, 0, 1]), epoch: Epoch(0) };
    ChainSpec {
        name: "test".into(),
        preset: Preset::Minimal,
        genesis_time_ms: 1_000_000,
        slot_ms: 12_000,
        slots_per_epoch: 8,
        genesis_fork_version: ForkVersion::ZERO,
        genesis_validators_root: Root([7; 32]),
        forks: vec![fork],
        timing: SlotTiming::default(),
        chain_id: 1,
    }
}

fn chain(validators: u32) -> Chain {
    let validators = (0..validators).map(|number| Symbolic.group_key(ValidatorNo(number))).collect();
    Chain::new(Genesis { spec: spec(), validators, strangers: 0, seed: 5 })
}

fn sign(who: ValidatorIndex, root: &SigningRoot) -> Signature {
    Symbolic.sign(&Symbolic.group_key(ValidatorNo(who.0 as u32)), root)
}

fn due() -> Millis {
    spec().aggregate_due(SLOT)
}

/// Everybody of the slot's committee attests.
fn attest_all(chain: &mut Chain) {
    let head = chain.head();
    let data = chain.vote(SLOT, head).data(0);
    let root = SigningRoot::of(&spec(), DomainType::BeaconAttester, data.target.epoch, Root::of(&data));
    for who in chain.committee(SLOT) {
        let signature = sign(who, &root);
        let single = SingleAttestation { committee_index: 0, attester_index: who, data, signature };
        chain.attest(&Symbolic, due(), &single).unwrap();
    }
}

/// The head, voted for by everybody of the slot's sync committee.
fn vote_all(chain: &mut Chain) -> Root {
    let head = chain.head();
    for who in chain.sync_voters(SLOT) {
        chain.take_sync_message(&Symbolic, due(), &message(who, head)).unwrap();
    }
    head
}

fn message(who: ValidatorIndex, head: Root) -> SyncCommitteeMessage {
    let signature = sign(who, &SigningRoot::sync_message(&spec(), SLOT, head));
    SyncCommitteeMessage { slot: SLOT, beacon_block_root: head, validator_index: who, signature }
}

fn signed(
    who: ValidatorIndex,
    aggregate: Aggregate,
    proof: &SigningRoot,
    domain: DomainType,
) -> SignedAggregate {
    let selection_proof = sign(who, proof);
    let object = aggregate.proof_root(who, selection_proof);
    let signature = sign(who, &SigningRoot::of(&spec(), domain, Epoch(0), object));
    SignedAggregate { aggregator_index: who, aggregate, selection_proof, signature }
}

fn signed_aggregate(chain: &mut Chain, who: ValidatorIndex) -> SignedAggregate {
    let head = chain.head();
    let subject = Root::of(&chain.vote(SLOT, head).data(0));
    let aggregate = chain.aggregate(&Symbolic, SLOT, subject, due()).unwrap();
    let proof = SigningRoot::selection_proof(&spec(), SLOT);
    signed(who, aggregate, &proof, DomainType::AggregateAndProof)
}

fn signed_contribution(chain: &Chain, who: ValidatorIndex, head: Root) -> SignedAggregate {
    let contribution = chain.contribution(&Symbolic, (SLOT, 2), head, due()).unwrap();
    let proof = SigningRoot::sync_selection_proof(&spec(), SLOT, 2);
    signed(who, contribution, &proof, DomainType::ContributionAndProof)
}

/// Another container in place of the aggregate, signed by its aggregator all the same.
fn with_body(one: &SignedAggregate, ssz: Vec<u8>, domain: DomainType) -> SignedAggregate {
    let aggregate = one.aggregate.shape.decode(&ssz).unwrap();
    let object = aggregate.proof_root(one.aggregator_index, one.selection_proof);
    let signature = sign(one.aggregator_index, &SigningRoot::of(&spec(), domain, Epoch(0), object));
    SignedAggregate { aggregate, signature, ..one.clone() }
}

/// All are refused, each for its reason, and then the twin is taken.
fn refused_and_taken(chain: &mut Chain, twin: &SignedAggregate, rows: &[(SignedAggregate, Rejection)]) {
    for (bad, rejection) in rows {
        assert_eq!(chain.take_aggregate(&Symbolic, due(), bad).as_ref(), Err(rejection), "{bad:?}");
    }
    assert_eq!(chain.rejected().len(), rows.len());
    let late = spec().slot_point(SLOT.next(), 5_001);
    assert_eq!(chain.take_aggregate(&Symbolic, late, twin), Err(Rejection::Slot(SLOT)));
    assert_eq!(chain.take_aggregate(&Symbolic, due(), twin), Ok(()));
    assert_eq!(chain.take_aggregate(&Symbolic, due(), twin), Ok(()), "from the next operator too");
}

#[test]
fn an_aggregate_is_taken_with_three_right_signatures_only() {
    let mut chain = chain(32);
    attest_all(&mut chain);
    let who = chain.committee(SLOT)[1];
    let good = signed_aggregate(&mut chain, who);
    let stranger = (0..32).map(ValidatorIndex).find(|who| !chain.committee(SLOT).contains(who)).unwrap();
    let mut body = AttestationElectra::<Minimal>::from_ssz_bytes(&good.aggregate.ssz.0).unwrap();
    body.aggregation_bits.set(0, false).unwrap();
    let fewer = with_body(&good, body.as_ssz_bytes(), DomainType::AggregateAndProof);
    let rows = [
        (
            SignedAggregate { signature: good.selection_proof, ..good.clone() },
            Rejection::Signature("an aggregator"),
        ),
        (
            SignedAggregate { selection_proof: good.signature, ..good.clone() },
            Rejection::Signature("a selection proof"),
        ),
        (fewer, Rejection::Signature("an aggregate")),
        (signed_aggregate(&mut chain, stranger), Rejection::Field { field: "aggregator" }),
    ];
    refused_and_taken(&mut chain, &good, &rows);
    assert_eq!(chain.aggregated(SLOT, who), Some(good.selection_proof));
}

#[test]
fn a_proof_that_does_not_win_makes_no_aggregator() {
    let mut chain = chain(600);
    attest_all(&mut chain);
    let committee = chain.committee(SLOT);
    let root = SigningRoot::selection_proof(&spec(), SLOT);
    let wins = |who: &&ValidatorIndex| is_aggregator(committee.len() as u64, &sign(**who, &root));
    let winner = *committee.iter().find(wins).unwrap();
    let loser = *committee.iter().find(|who| !wins(who)).unwrap();
    let (good, bad) = (signed_aggregate(&mut chain, winner), signed_aggregate(&mut chain, loser));
    refused_and_taken(&mut chain, &good, &[(bad, Rejection::Field { field: "selection proof" })]);
}

#[test]
fn a_contribution_is_taken_with_three_right_signatures_only() {
    let mut chain = chain(32);
    let head = vote_all(&mut chain);
    let members = chain.subcommittee(SLOT, 2);
    let good = signed_contribution(&chain, members[3], head);
    let stranger = (0..32).map(ValidatorIndex).find(|who| !members.contains(who)).unwrap();
    let mut body = SyncCommitteeContribution::<Minimal>::from_ssz_bytes(&good.aggregate.ssz.0).unwrap();
    body.aggregation_bits.set(0, false).unwrap();
    let fewer = with_body(&good, body.as_ssz_bytes(), DomainType::ContributionAndProof);
    let rows = [
        (
            SignedAggregate { signature: good.selection_proof, ..good.clone() },
            Rejection::Signature("an aggregator"),
        ),
        (
            SignedAggregate { selection_proof: good.signature, ..good.clone() },
            Rejection::Signature("a sync selection proof"),
        ),
        (fewer, Rejection::Signature("a contribution")),
        (signed_contribution(&chain, stranger, head), Rejection::Field { field: "aggregator" }),
    ];
    refused_and_taken(&mut chain, &good, &rows);
    assert_eq!(chain.contributed(SLOT, members[3], 2), Some(good.selection_proof));
}

#[test]
fn a_sync_message_is_a_members_vote_for_a_known_block() {
    let mut chain = chain(64);
    let (head, voters) = (chain.head(), chain.sync_voters(SLOT));
    let stranger = (0..64).map(ValidatorIndex).find(|who| !voters.contains(who)).unwrap();
    let good = message(voters[0], head);
    let rows = [
        (
            SyncCommitteeMessage { signature: Signature([1; 96]), ..good },
            Rejection::Signature("a sync committee member"),
        ),
        (message(voters[0], Root([9; 32])), Rejection::Field { field: "head" }),
        (message(stranger, head), Rejection::Field { field: "member" }),
        (SyncCommitteeMessage { slot: SLOT.next(), ..good }, Rejection::Slot(SLOT.next())),
    ];
    for (bad, rejection) in rows {
        assert_eq!(chain.take_sync_message(&Symbolic, due(), &bad), Err(rejection));
    }
    assert_eq!(chain.take_sync_message(&Symbolic, due(), &good), Ok(()));
}

fn exit(who: ValidatorIndex, epoch: u64) -> SignedVoluntaryExit {
    let message = VoluntaryExit { epoch: Epoch(epoch), validator_index: who };
    SignedVoluntaryExit { message, signature: sign(who, &SigningRoot::voluntary_exit(&spec(), &message)) }
}

/// A block of the slot after, changed by somebody and signed by its proposer.
fn block(chain: &Chain, change: impl FnOnce(&mut BodyElectra<Minimal>)) -> (ProposedBlock, Signature) {
    let slot = SLOT.next();
    let proposer = chain.proposer(slot);
    let randao = sign(proposer, &SigningRoot::randao(&spec(), Epoch(0)));
    let made = chain.produce(&Symbolic, slot, chain.head(), randao, Root::ZERO, Address::ZERO);
    let mut block = BeaconBlock::<BodyElectra<Minimal>>::from_ssz_bytes(&made.ssz.0).unwrap();
    change(&mut block.body);
    let block = BlockShape::full(Preset::Minimal, Fork::Electra).decode(&block.as_ssz_bytes()).unwrap();
    let root = SigningRoot::of(&spec(), DomainType::BeaconProposer, Epoch(0), block.root);
    let signature = sign(proposer, &root);
    (block, signature)
}

#[test]
fn a_block_brings_sync_votes_and_exits_that_are_right_or_is_refused() {
    let mut chain = chain(32);
    let head = vote_all(&mut chain);
    let who = chain.subcommittee(SLOT, 2)[0];
    let contribution = signed_contribution(&chain, who, head);
    chain.take_aggregate(&Symbolic, due(), &contribution).unwrap();
    let leaver = ValidatorIndex(4);
    let bad_exit = SignedVoluntaryExit { signature: Signature([1; 96]), ..exit(leaver, 0) };
    for (bad, rejection) in [
        (bad_exit, Rejection::Signature("an exit")),
        (exit(leaver, 1), Rejection::Field { field: "exit epoch" }),
    ] {
        assert_eq!(chain.take_exit(&Symbolic, due(), &bad), Err(rejection));
    }
    chain.take_exit(&Symbolic, due(), &exit(leaver, 0)).unwrap();

    let now = spec().slot_start(SLOT.next());
    type Change = fn(&mut BodyElectra<Minimal>);
    let changes: [(Change, Rejection); 4] = [
        (
            |body| body.sync_aggregate.sync_committee_bits.set(0, true).unwrap(),
            Rejection::Signature("a sync aggregate"),
        ),
        (
            |body| body.sync_aggregate.sync_committee_bits = Default::default(),
            Rejection::Field { field: "empty sync aggregate" },
        ),
        (|body| body.voluntary_exits[0].signature = Signature([2; 96]), Rejection::Signature("an exit")),
        (|body| body.voluntary_exits[0].message.epoch = Epoch(3), Rejection::Field { field: "exit epoch" }),
    ];
    for (change, rejection) in changes {
        let (block, signature) = block(&chain, change);
        assert_eq!(chain.propose(&Symbolic, now, &block, &signature), Err(rejection));
    }
    let (good, signature) = block(&chain, |_| {});
    assert_eq!(chain.propose(&Symbolic, now, &good, &signature), Ok(()));
    assert_eq!(chain.exit_epoch(leaver), Some(Epoch(EXIT_EPOCHS)));
    assert_eq!(chain.take_exit(&Symbolic, now, &exit(leaver, 0)), Err(Rejection::Known));
    let voted = |who| chain.sync_voted(SLOT, who);
    let (of_third, others): (Vec<_>, Vec<_>) =
        chain.sync_voters(SLOT).into_iter().enumerate().partition(|(seat, _)| seat / 8 == 2);
    let elsewhere: Vec<_> = others.into_iter().map(|(_, who)| who).collect();
    assert!(elsewhere.iter().all(|who| voted(*who) == Some(false)), "nobody contributed there");
    let only_there = of_third.iter().filter(|(_, who)| !elsewhere.contains(who));
    assert!(only_there.clone().count() > 0 && only_there.clone().all(|(_, who)| voted(*who) == Some(true)));
}

#[test]
fn a_member_with_two_seats_signs_twice() {
    let root = SigningRoot::sync_message(&spec(), SLOT, Root::ZERO);
    let key = Symbolic.group_key(ValidatorNo(0));
    let one = Symbolic.sign(&key, &root);
    let twice = Symbolic.aggregate(&[one, one]).unwrap();
    assert!(Symbolic.verify_aggregate(&[key, key], &root, &twice));
    assert!(!Symbolic.verify_aggregate(&[key], &root, &twice));
    let other = Symbolic.group_key(ValidatorNo(1));
    assert!(!Symbolic.verify_aggregate(&[other, other], &root, &twice), "two seats of another do not cancel");
}

#[test]
fn after_an_epoch_without_blocks_the_next_one_is_made_without_what_is_too_old() {
    for (empty, carried) in [(8, true), (9, false)] {
        let mut chain = chain(32);
        attest_all(&mut chain);
        let slot = Slot(SLOT.0 + empty);
        let epoch = spec().epoch_of(slot);
        let proposer = chain.proposer(slot);
        let randao = sign(proposer, &SigningRoot::randao(&spec(), epoch));
        let made = chain.produce(&Symbolic, slot, chain.head(), randao, Root::ZERO, Address::ZERO);
        let block = BeaconBlock::<BodyElectra<Minimal>>::from_ssz_bytes(&made.ssz.0).unwrap();
        assert_eq!(!block.body.attestations.is_empty(), carried);
        let root = SigningRoot::of(&spec(), DomainType::BeaconProposer, epoch, made.root);
        let now = spec().slot_start(slot);
        assert_eq!(chain.propose(&Symbolic, now, &made, &sign(proposer, &root)), Ok(()));
    }
}

/// A chain on which everybody has so much ETH.
fn rich(validators: u32, eth: u64) -> Chain {
    let account =
        |number| (Symbolic.group_key(ValidatorNo(number)), Root([1; 32]), types::Gwei(eth * 1_000_000_000));
    Chain::with_registry(spec(), Registry::new((0..validators).map(account)), 0, 5)
}

/// The block of a slot, with every attestation of the slot before; whoever is in `idle` does not attest.
fn go_on(chain: &mut Chain, slot: Slot, idle: &[u64]) -> BeaconBlock<BodyElectra<Minimal>> {
    let now = spec().slot_start(slot);
    let before = Slot(slot.0 - 1);
    if before > Slot(0) {
        let head = chain.head();
        let data = chain.vote(before, head).data(0);
        let root = SigningRoot::of(&spec(), DomainType::BeaconAttester, data.target.epoch, Root::of(&data));
        for who in chain.committee(before).into_iter().filter(|who| !idle.contains(&who.0)) {
            let signature = sign(who, &root);
            let single = SingleAttestation { committee_index: 0, attester_index: who, data, signature };
            chain.attest(&Symbolic, now, &single).unwrap();
        }
    }
    chain.begin(slot);
    let (proposer, epoch) = (chain.proposer(slot), spec().epoch_of(slot));
    let randao = sign(proposer, &SigningRoot::randao(&spec(), epoch));
    let made = chain.produce(&Symbolic, slot, chain.head(), randao, Root::ZERO, Address::ZERO);
    let root = SigningRoot::of(&spec(), DomainType::BeaconProposer, epoch, made.root);
    chain.propose(&Symbolic, now, &made, &sign(proposer, &root)).unwrap();
    BeaconBlock::from_ssz_bytes(&made.ssz.0).unwrap()
}

#[test]
fn on_a_chain_with_balances_deposits_become_validators_that_are_due_and_withdrawals_are_in_blocks() {
    let mut chain = rich(16, 33);
    let newcomer = Symbolic.group_key(ValidatorNo(16));
    chain.deposit(Deposit {
        pubkey: newcomer,
        credentials: Root([1; 32]),
        amount: types::Gwei(32_000_000_000),
        signature: Signature([1; 96]),
        is_signed: true,
        slot: Slot(2),
    });
    let (mut number, mut hash, mut withdrawn) = (0, Root::ZERO, 0);
    for slot in (1..8 * 20).map(Slot) {
        let block = go_on(&mut chain, slot, &[]);
        let payload = &block.body.execution_payload;
        assert_eq!((payload.block_number, payload.parent_hash), (number + 1, hash));
        (number, hash) = (payload.block_number, payload.block_hash);
        assert_eq!(chain.executed(&chain.head()), Some((number, hash)));
        for withdrawal in &payload.withdrawals {
            assert_eq!(withdrawal.index, withdrawn);
            withdrawn += 1;
        }
    }
    assert!(chain.finalized().epoch >= Epoch(16), "{:?}", chain.finalized());
    // Everybody's 33rd ETH, and what they earned on top.
    assert!(withdrawn > 16);
    let index = chain.index_of(&newcomer).unwrap();
    let account = *chain.registry().unwrap().account(index).unwrap();
    let activation = account.activation.unwrap();
    let due = |epoch| chain.attesters(epoch).iter().any(|duty| duty.validator_index == index);
    assert!(due(activation) && !due(Epoch(activation.0 - 1)));
    assert!(account.balance.0 >= 32_000_000_000);
    // A state is that of its slot: what came after does not change it.
    let registry = chain.registry().unwrap();
    let (then, waiting) = registry.at(Epoch(1)).unwrap();
    assert_eq!((then.len(), waiting.len()), (16, 1));
    assert_eq!(registry.at(Epoch(19)).unwrap().0.len(), 17);
}

#[test]
fn votes_count_by_balance() {
    // Four of 2048 ETH are more than two thirds of all, whatever twelve of 32 do.
    let account = |number: u32| {
        let (kind, eth) = if number < 4 { (2, 2_048) } else { (1, 32) };
        let credentials = Root([kind; 32]);
        (Symbolic.group_key(ValidatorNo(number)), credentials, types::Gwei(eth * 1_000_000_000))
    };
    let make = || Chain::with_registry(spec(), Registry::new((0..16).map(account)), 0, 5);
    for (idle, is_final) in [((4..16).collect::<Vec<_>>(), true), (vec![0, 1], false)] {
        let mut chain = make();
        for slot in (1..8 * 6).map(Slot) {
            go_on(&mut chain, slot, &idle);
        }
        assert_eq!(chain.finalized().epoch > Epoch(0), is_final, "{idle:?}");
    }
}

#[test]
fn who_signs_twice_is_slashed_by_a_block_and_only_for_that() {
    let mut chain = rich(16, 32);
    for slot in (1..12).map(Slot) {
        go_on(&mut chain, slot, &[]);
    }
    let (now, who) = (spec().slot_start(Slot(12)), ValidatorIndex(5));
    let head = chain.head();
    let vote = chain.vote(Slot(11), head).data(0);
    let other = types::AttestationData { beacon_block_root: chain.origin(), ..vote };
    let indexed = |data: types::AttestationData, by: ValidatorIndex| {
        let root = SigningRoot::of(&spec(), DomainType::BeaconAttester, data.target.epoch, Root::of(&data));
        let signature = Symbolic.aggregate(&[sign(by, &root)]).unwrap();
        IndexedAttestation { attesting_indices: vec![who].try_into().unwrap(), data, signature }
    };
    let slashing = |one, two| Slashing { attestation_1: one, attestation_2: two };
    let (first, second) = (indexed(vote, who), indexed(other, who));
    let same = chain.take_slashing(&Symbolic, now, &slashing(first.clone(), first.clone()));
    assert_eq!(same, Err(Rejection::Field { field: "slashing" }));
    let forged = slashing(first.clone(), indexed(other, ValidatorIndex(6)));
    let forged = chain.take_slashing(&Symbolic, now, &forged);
    assert_eq!(forged, Err(Rejection::Signature("a slashing")));
    let good = slashing(first, second);
    chain.take_slashing(&Symbolic, now, &good).unwrap();
    let block = go_on(&mut chain, Slot(12), &[]);
    assert_eq!(block.body.attester_slashings.len(), 1);
    let account = *chain.registry().unwrap().account(who).unwrap();
    assert!(account.slashed);
    assert_eq!(chain.exit_epoch(who), account.exit);
    let again = chain.take_slashing(&Symbolic, spec().slot_start(Slot(13)), &good);
    assert_eq!(again, Err(Rejection::Field { field: "slashed" }));
    let block = go_on(&mut chain, Slot(13), &[]);
    assert!(block.body.attester_slashings.is_empty(), "once");
    // Too young to leave by itself.
    let young = chain.take_exit(&Symbolic, spec().slot_start(Slot(14)), &exit(ValidatorIndex(7), 0));
    assert_eq!(young, Err(Rejection::Field { field: "exiting validator" }));
}

#[test]
fn a_block_with_another_payload_than_the_chains_is_refused() {
    let mut chain = rich(16, 33);
    let slot = Slot(1);
    let (proposer, epoch, now) = (chain.proposer(slot), Epoch(0), spec().slot_start(slot));
    let randao = sign(proposer, &SigningRoot::randao(&spec(), epoch));
    let made = chain.produce(&Symbolic, slot, chain.head(), randao, Root::ZERO, Address([9; 20]));
    let mut block = BeaconBlock::<BodyElectra<Minimal>>::from_ssz_bytes(&made.ssz.0).unwrap();
    assert_eq!(block.body.execution_payload.withdrawals.len(), 4);
    block.body.execution_payload.withdrawals[0].amount.0 += 1;
    let shape = BlockShape::full(Preset::Minimal, Fork::Electra);
    let greedy = shape.decode(&block.as_ssz_bytes()).unwrap();
    let signed = |block: &ProposedBlock| {
        sign(proposer, &SigningRoot::of(&spec(), DomainType::BeaconProposer, epoch, block.root))
    };
    let refused = chain.propose(&Symbolic, now, &greedy, &signed(&greedy));
    assert_eq!(refused, Err(Rejection::Field { field: "execution payload" }));
    chain.propose(&Symbolic, now, &made, &signed(&made)).unwrap();
}
