//! What operators agree on and tell each other, and blocks with what belongs to them: values, SSZ and JSON.
//!
//! Inputs begin with a byte that says in which shape the rest is read: operators know it from the slot, clients and
//! beacon nodes say it in a header.

use serde_json::Value;
use ssz::{BitVector, Decode, Encode};
use std::fmt::Debug;
use types::aggregate::{Aggregate, AggregateSet, AggregateShape, SignedAggregate};
use types::approval::{
    KeptExit, KeptOf, KeptPartial, KeptStatement, Notice, RegistrationStatement, Standing, TakenExit,
};
use types::attestation::{AggregateAndProof, Attestation, AttestationElectra, SignedAggregateAndProof};
use types::block::body::{BeaconBlock, Body, BodyCapella, BodyDeneb, BodyElectra};
use types::block::{BlockContents, BlockShape, ProposedBlock, RevealedPayload, SignedBlockContents};
use types::builder::{BuilderBidElectra, SignedBuilderBid, SignedValidatorRegistrationV1};
use types::offer::Offer;
use types::sizes::Minimal;
use types::sync::SyncCommitteeContribution;
use types::{
    Address, BeaconVote, Epoch, Fork, Generation, Millis, Preset, PublicKey, RelayBid, Root, ShareIndex,
    Signature, Slot, ValidatorIndex, ValidatorNo,
};

const PRESETS: [Preset; 3] = [Preset::Minimal, Preset::Mainnet, Preset::Gnosis];
const FORKS: [Fork; 4] = [Fork::Capella, Fork::Deneb, Fork::Electra, Fork::Fulu];
/// Set in a first byte: blinded, or JSON.
const BLINDED: u8 = 0x40;
const JSON: u8 = 0x80;

/// The shape that a first byte says: three presets, four forks, full or blinded.
fn shape_of(byte: u8) -> BlockShape {
    let low = usize::from(byte & !(BLINDED | JSON));
    BlockShape { preset: PRESETS[low % 3], fork: FORKS[low / 3 % 4], blinded: byte & BLINDED != 0 }
}

/// The byte of a shape, with [`JSON`] or without.
fn byte_of(shape: BlockShape, json: u8) -> u8 {
    let found = (0..BLINDED).find(|byte| shape_of(*byte) == BlockShape { blinded: false, ..shape });
    found.expect("every shape has a byte") | if shape.blinded { BLINDED } else { 0 } | json
}

/// A first byte, and the rest.
fn with(byte: u8, rest: impl AsRef<[u8]>) -> Vec<u8> {
    [&[byte], rest.as_ref()].concat()
}

pub(crate) fn offer(input: &[u8]) -> bool {
    let Some((byte, value)) = input.split_first() else { return false };
    let preset = PRESETS[usize::from(*byte) % 3];
    let Ok(offer) = Offer::from_value(preset, value) else { return false };
    assert_eq!(offer.to_value().0[..], *value, "one encoding");
    let again = Offer::new(offer.block().clone(), offer.bid().cloned()).expect("it was one");
    assert_eq!(again.hash(), offer.hash());
    assert_eq!(offer.bid().is_none(), offer.hash() == offer.block().root, "a bid changes what is agreed on");
    assert_eq!(ProposedBlock::from_value(preset, &offer.block().to_value().0).as_ref(), Ok(offer.block()));
    block(preset, offer.block());
    if let Some(bid) = offer.bid() {
        let _matched = bid.matches(offer.block());
    }
    true
}

/// A block in JSON is the same block, and so is its blinded form.
fn block(preset: Preset, block: &ProposedBlock) {
    let shape = block.shape(preset);
    assert_eq!(shape.decode(&block.ssz.0).as_ref(), Ok(block));
    let json = block.to_json(preset).expect("what was read in one form is written in the other");
    assert_eq!(ProposedBlock::from_json(shape, &json).as_ref(), Ok(block));
    let blinded = block.blind(preset).expect("of the preset that it was read in");
    assert_eq!((blinded.root, blinded.fee_recipient), (block.root, block.fee_recipient));
    let read = BlockShape { blinded: true, ..shape }.decode(&blinded.ssz.0);
    assert_eq!(read.as_ref(), Ok(&blinded), "what is agreed on is read as what it is");
}

/// What a beacon node produces and a peer sends on; signed, what a client publishes, and a beacon node to its builder.
pub(crate) fn block_contents(input: &[u8]) -> bool {
    let Some((&byte, bytes)) = input.split_first() else { return false };
    let shape = shape_of(byte);
    let json = (byte & JSON != 0).then(|| serde_json::from_slice::<Value>(bytes));
    let (contents, signed) = match json {
        Some(Err(_)) => return false,
        Some(Ok(json)) => {
            (BlockContents::from_json(shape, &json).ok(), SignedBlockContents::from_json(shape, &json).ok())
        }
        None => {
            let read = (
                BlockContents::from_ssz(shape, bytes).ok(),
                SignedBlockContents::from_ssz(shape, bytes).ok(),
            );
            read.0.iter().for_each(|contents| assert_eq!(contents.to_ssz(), bytes, "one encoding"));
            read.1.iter().for_each(|signed| assert_eq!(signed.to_ssz(), bytes, "one encoding"));
            read
        }
    };
    if let Some(contents) = &contents {
        block(shape.preset, &contents.block);
        assert_eq!(BlockContents::from_ssz(shape, &contents.to_ssz()).as_ref(), Ok(contents));
        let json = contents.to_json(shape.preset).expect("it was read in this preset");
        assert_eq!(BlockContents::from_json(shape, &json).as_ref(), Ok(contents));
        let whole = contents.belongs_to(&contents.block).is_ok();
        let complete = contents.sidecars.len() == contents.block.blob_count;
        assert_eq!(whole, !shape.blinded && complete);
    }
    if let Some(contents) = &signed {
        block(shape.preset, &contents.signed.block);
        assert_eq!(SignedBlockContents::from_ssz(shape, &contents.to_ssz()).as_ref(), Ok(contents));
        let json = contents.to_json(shape.preset).expect("it was read in this preset");
        assert_eq!(SignedBlockContents::from_json(shape, &json).as_ref(), Ok(contents));
    }
    contents.is_some() || signed.is_some()
}

/// A relay's answer to a signed block.
pub(crate) fn revealed_payload(input: &[u8]) -> bool {
    let Some((&byte, bytes)) = input.split_first() else { return false };
    let BlockShape { preset, fork, .. } = shape_of(byte);
    let Ok(json) = serde_json::from_slice(bytes) else { return false };
    let Ok(payload) = RevealedPayload::from_json(preset, fork, &json) else { return false };
    let blinded = unsigned(preset, fork).blind(preset).expect("it was made in this preset");
    let joined = BlockContents::unblind(&blinded, &payload);
    assert_eq!(
        joined.is_ok(),
        payload.belongs_to(&blinded).is_ok(),
        "what belongs to a block is joined with it"
    );
    if let Ok(contents) = joined {
        assert_eq!(contents.block.root, blinded.root);
        assert_eq!(contents.block.blind(preset).as_ref(), Ok(&blinded), "and nothing else was changed");
        assert!(contents.belongs_to(&blinded).is_ok());
    }
    true
}

/// The shape of aggregates that a byte says.
fn aggregate_shape(byte: u8) -> AggregateShape {
    let BlockShape { preset, fork, .. } = shape_of(byte);
    if byte & BLINDED != 0 {
        AggregateShape::Contribution { preset }
    } else {
        AggregateShape::Attestation { preset, fork }
    }
}

/// A set that is agreed on, aggregates of a beacon node, signed ones of a client: whichever the bytes are.
pub(crate) fn aggregates(input: &[u8]) -> bool {
    let Some((&byte, bytes)) = input.split_first() else { return false };
    let shape = aggregate_shape(byte);
    if byte & JSON != 0 {
        let Ok(json) = serde_json::from_slice::<Value>(bytes) else { return false };
        let (one, signed) = (shape.from_json(&json), shape.signed_from_json(&json));
        one.iter().for_each(aggregate);
        signed.iter().for_each(signed_aggregate);
        return one.is_ok() || signed.is_ok();
    }
    let set = AggregateSet::from_value(shape, bytes);
    if let Ok(set) = &set {
        assert_eq!(set.to_value().0[..], *bytes, "one encoding");
        assert_eq!(AggregateSet::of(set.aggregates().iter().cloned()).as_ref(), Ok(set));
        set.aggregates().iter().for_each(aggregate);
        assert!(set.aggregates().iter().all(|one| set.at(one.place) == Some(one)));
    }
    let signed = shape.signed_list_from_ssz(bytes);
    signed.iter().flatten().for_each(signed_aggregate);
    let one = shape.decode(bytes);
    one.iter().for_each(|one| assert_eq!(one.ssz.0[..], *bytes, "one encoding"));
    one.iter().for_each(aggregate);
    set.is_ok() || signed.is_ok() || one.is_ok()
}

fn aggregate(one: &Aggregate) {
    assert_eq!(one.shape.decode(&one.ssz.0).as_ref(), Ok(one));
    assert_eq!(one.shape.from_json(&one.to_json()).as_ref(), Ok(one));
    let root = |index| one.proof_root(ValidatorIndex(index), Signature::ZERO);
    assert_ne!(root(0), root(1), "another aggregator signs something else");
}

fn signed_aggregate(one: &SignedAggregate) {
    aggregate(&one.aggregate);
    assert_eq!(one.aggregate.shape.signed_from_json(&one.to_json()).as_ref(), Ok(one));
}

/// What is told and kept of approvals; the first byte says which of them.
pub(crate) fn approvals(input: &[u8]) -> bool {
    let Some((byte, bytes)) = input.split_first() else { return false };
    match byte {
        0 => notice(bytes),
        1 => one_encoding::<KeptOf<KeptExit>>(bytes),
        2 => one_encoding::<KeptOf<KeptStatement>>(bytes),
        3 => one_encoding::<Vec<TakenExit>>(bytes),
        4 => {
            let Ok(standing) = serde_json::from_slice::<Vec<Standing>>(bytes) else { return false };
            let text = serde_json::to_vec(&standing).expect("plain structs serialize into memory");
            assert_eq!(serde_json::from_slice::<Vec<Standing>>(&text).ok(), Some(standing));
            true
        }
        5 => {
            let Ok(statement) = serde_json::from_slice::<RegistrationStatement>(bytes) else { return false };
            check(&statement);
            let text = serde_json::to_vec(&statement).expect("plain structs serialize into memory");
            assert_eq!(serde_json::from_slice::<RegistrationStatement>(&text).ok(), Some(statement));
            true
        }
        6 => one_encoding::<BeaconVote>(bytes),
        _ => false,
    }
}

/// Values come with their hash, so that of the bytes is right.
fn notice(bytes: &[u8]) -> bool {
    let Ok(notice) = Notice::from_ssz_bytes(bytes) else { return false };
    let value = notice.to_value();
    assert_eq!(Notice::from_value(&Root::ZERO, &value), None, "under another's name");
    let taken = Notice::from_value(&notice.hash(), &value);
    assert_eq!(taken, (value.0.len() <= types::approval::NOTICE_LEN_MAX).then(|| notice.clone()));
    assert_eq!(value.0[..], *bytes, "one encoding");
    if let Notice::Statement(statement) = &notice {
        assert_eq!(statement.hash(), notice.hash());
        check(statement);
    }
    true
}

/// Whoever may approve a statement can make a registration for each of its validators.
fn check(statement: &RegistrationStatement) {
    const VALIDATORS: usize = 3;
    if statement.check(VALIDATORS).is_ok() {
        assert!((1..=VALIDATORS).contains(&statement.validators.len()));
        assert_ne!(statement.fee_recipient, Address::ZERO);
    }
    let _stated = statement.stated();
}

fn one_encoding<T: Encode + Decode + PartialEq + Debug>(bytes: &[u8]) -> bool {
    let Ok(read) = T::from_ssz_bytes(bytes) else { return false };
    assert_eq!(read.as_ssz_bytes(), bytes, "one encoding");
    true
}

/// An empty block of slot 65.
fn unsigned(preset: Preset, fork: Fork) -> ProposedBlock {
    let read = |ssz: Vec<u8>| BlockShape::full(preset, fork).decode(&ssz).expect("written by its container");
    match (fork, preset) {
        (Fork::Capella, Preset::Minimal) => read(ssz::<BodyCapella<Minimal>>()),
        (Fork::Deneb, Preset::Minimal) => read(ssz::<BodyDeneb<Minimal>>()),
        (Fork::Electra | Fork::Fulu, Preset::Minimal) => read(ssz::<BodyElectra<Minimal>>()),
        (Fork::Capella, Preset::Mainnet) => read(ssz::<BodyCapella<types::sizes::Mainnet>>()),
        (Fork::Deneb, Preset::Mainnet) => read(ssz::<BodyDeneb<types::sizes::Mainnet>>()),
        (Fork::Electra | Fork::Fulu, Preset::Mainnet) => read(ssz::<BodyElectra<types::sizes::Mainnet>>()),
        (Fork::Capella, Preset::Gnosis) => read(ssz::<BodyCapella<types::sizes::Gnosis>>()),
        (Fork::Deneb, Preset::Gnosis) => read(ssz::<BodyDeneb<types::sizes::Gnosis>>()),
        (Fork::Electra | Fork::Fulu, Preset::Gnosis) => read(ssz::<BodyElectra<types::sizes::Gnosis>>()),
    }
}

fn ssz<B: Body>() -> Vec<u8> {
    let block = BeaconBlock::<B> { slot: Slot(65), parent_root: Root([4; 32]), ..BeaconBlock::default() };
    block.as_ssz_bytes()
}

/// Offers without a bid and with one, of each fork.
pub(crate) fn offers() -> Vec<Vec<u8>> {
    let bid = SignedBuilderBid::<BuilderBidElectra> { signature: Signature([9; 96]), ..Default::default() };
    let bid = RelayBid::from_ssz(Fork::Electra, &bid.as_ssz_bytes()).expect("written by its container");
    let offer = |(fork, bid): (Fork, Option<RelayBid>)| {
        let block = unsigned(Preset::Minimal, fork).blind(Preset::Minimal).expect("of this preset");
        with(0, Offer::new(block, bid).expect("it is blinded").to_value().0)
    };
    let plain = FORKS.map(|fork| (fork, None));
    plain.into_iter().chain([(Fork::Electra, Some(bid))]).map(offer).collect()
}

/// Full and blinded, signed and not, SSZ and JSON, of every fork; and of mainnet's preset.
pub(crate) fn all_block_contents() -> Vec<Vec<u8>> {
    let presets = [(Preset::Minimal, FORKS.as_slice()), (Preset::Mainnet, &[Fork::Fulu])];
    let shapes =
        presets.into_iter().flat_map(|(preset, forks)| forks.iter().map(move |fork| (preset, *fork)));
    shapes.flat_map(|(preset, fork)| contents_of(preset, fork)).collect()
}

fn contents_of(preset: Preset, fork: Fork) -> Vec<Vec<u8>> {
    let full = unsigned(preset, fork);
    let blinded = full.blind(preset).expect("of this preset");
    let inputs = [full, blinded].map(|block| {
        let shape = block.shape(preset);
        let contents = BlockContents { block, sidecars: types::block::Sidecars::default() };
        let signed = contents.clone().sign(Signature([0x5a; 96]));
        let json = [contents.to_json(preset), signed.to_json(preset)]
            .map(|json| with(byte_of(shape, JSON), json.expect("of this preset").to_string()));
        [[contents.to_ssz(), signed.to_ssz()].map(|ssz| with(byte_of(shape, 0), ssz)), json].concat()
    });
    inputs.concat()
}

/// The payloads of empty blocks, as relays reveal them.
pub(crate) fn revealed_payloads() -> Vec<Vec<u8>> {
    let reveal = |fork| {
        let json = unsigned(Preset::Minimal, fork).to_json(Preset::Minimal).expect("of this preset");
        let payload = json["body"]["execution_payload"].clone();
        let bundle = serde_json::json!({ "commitments": [], "proofs": [], "blobs": [] });
        let whole = serde_json::json!({ "execution_payload": payload, "blobs_bundle": bundle });
        let data = if fork == Fork::Capella { payload } else { whole };
        with(byte_of(BlockShape::full(Preset::Minimal, fork), 0), data.to_string())
    };
    FORKS.map(reveal).to_vec()
}

/// A set, an aggregate and a list of signed ones, in every form that is read.
pub(crate) fn all_aggregates() -> Vec<Vec<u8>> {
    let electra = |committee| {
        let mut committee_bits = BitVector::new();
        committee_bits.set(committee, true).expect("a place of the committees' bits");
        AttestationElectra::<Minimal> {
            committee_bits,
            signature: Signature([0x5a; 96]),
            ..Default::default()
        }
    };
    let proof = |aggregate| SignedAggregateAndProof {
        message: AggregateAndProof { aggregator_index: ValidatorIndex(10), aggregate, ..Default::default() },
        signature: Signature([7; 96]),
    };
    let of = |fork| byte_of(BlockShape::full(Preset::Minimal, fork), 0);
    let (old, new) = (of(Fork::Deneb), of(Fork::Electra));
    let sync = new | BLINDED;
    let old_one = Attestation { signature: Signature([0x5a; 96]), ..Default::default() }.as_ssz_bytes();
    let sync_one = SyncCommitteeContribution::<Minimal> { subcommittee_index: 2, ..Default::default() };
    let mut inputs = vec![with(new, vec![proof(electra(0)), proof(electra(2))].as_ssz_bytes())];
    let signed_json = serde_json::to_vec(&proof(electra(1))).expect("plain structs serialize into memory");
    inputs.push(with(new | JSON, signed_json));
    let ones = [(old, old_one), (new, electra(1).as_ssz_bytes()), (sync, sync_one.as_ssz_bytes())];
    for (byte, ssz) in ones {
        let one = aggregate_shape(byte).decode(&ssz).expect("written by its container");
        inputs.push(with(byte | JSON, one.to_json().to_string()));
        inputs.push(with(byte, AggregateSet::of([one]).expect("one is few").to_value().0));
        inputs.push(with(byte, ssz));
    }
    inputs
}

/// One of everything that is told or kept.
pub(crate) fn all_approvals() -> Vec<Vec<u8>> {
    let statement = RegistrationStatement {
        validators: vec![ValidatorNo(0), ValidatorNo(2)],
        fee_recipient: Address([7; 20]),
        gas_limit: 60_000_000,
        timestamp_s: 1_800_000_000,
    };
    let message = statement.registration(PublicKey([8; 48]));
    let signed = SignedValidatorRegistrationV1 { message, signature: Signature([7; 96]) };
    let standing = Standing { newest: signed, learned: Millis(5), previous: Some(Address([1; 20])) };
    let operator = ShareIndex::new(2).expect("2 is an index");
    let partial = KeptPartial { validator: ValidatorNo(0), partial: Signature([2; 96]) };
    let said = KeptStatement { statement: statement.clone(), partials: vec![partial] };
    let exit = KeptExit { validator: ValidatorNo(1), epoch: Epoch(9), partial: Signature([3; 96]) };
    let generation = Generation(0);
    let json = |value: &dyn Fn() -> serde_json::Result<Vec<u8>>| value().expect("plain structs serialize");
    vec![
        with(0, Notice::Statement(statement.clone()).to_value().0),
        with(0, Notice::Complete(vec![signed]).to_value().0),
        with(1, KeptOf { generation, operator, approvals: vec![exit] }.as_ssz_bytes()),
        with(2, KeptOf { generation, operator, approvals: vec![said] }.as_ssz_bytes()),
        with(3, vec![TakenExit { validator: ValidatorNo(1), epoch: Epoch(9) }].as_ssz_bytes()),
        with(4, json(&|| serde_json::to_vec(&[standing]))),
        with(5, json(&|| serde_json::to_vec(&statement))),
        with(6, BeaconVote::default().as_ssz_bytes()),
    ]
}
