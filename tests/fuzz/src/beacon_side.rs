//! What beacon nodes say: answers in JSON, refusals, and their streams of events.

use beacon::json::{
    BlockHeader, BlockRoot, CommitteeSelection, CommitteeSubscription, Data, Duties, ErrorBody,
    FinalityCheckpoints, Genesis, HeadEvent, Liveness, OfState, PoolAttestations, ProducedBlockReply,
    ProposerPreparation, SyncSelection, SyncStatus, SyncSubscription, ValidatorInfo, ValidatorsRequest,
    Version, Versioned, fork_from_str, indices_from_json, read,
};
use beacon::known::Refusal;
use beacon::sse::{DATA_LEN_MAX, Event, LINE_LEN_MAX, Parser};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::fmt::Debug;
use types::attestation::{Attestation, SingleAttestation};
use types::duty::{AttesterDuty, ProposerDuty, SyncDuty};
use types::operations::SignedBeaconBlockHeader;
use types::sync::SyncCommitteeMessage;
use types::{AttestationData, Checkpoint, Epoch, Fork, PublicKey, Root, Signature, Slot, ValidatorIndex};

/// Reads a shape; what is written of it is read as the same.
type Shape = fn(&[u8]) -> bool;

/// Every shape of an answer, and of what the validator API takes in the same form. The first byte of an input names one.
const SHAPES: [Shape; 23] = [
    twice::<Duties<AttesterDuty>>,
    twice::<Duties<ProposerDuty>>,
    twice::<Duties<SyncDuty>>,
    twice::<Data<AttestationData>>,
    twice::<Data<Genesis>>,
    twice::<Data<Version>>,
    twice::<Data<SyncStatus>>,
    twice::<OfState<FinalityCheckpoints>>,
    twice::<OfState<BlockRoot>>,
    twice::<OfState<BlockHeader>>,
    twice::<Versioned<Value>>,
    twice::<ProducedBlockReply>,
    twice::<ErrorBody>,
    twice::<ValidatorsRequest>,
    twice::<Vec<ProposerPreparation>>,
    twice::<Vec<CommitteeSubscription>>,
    twice::<Vec<SyncSubscription>>,
    twice::<Vec<CommitteeSelection>>,
    twice::<Vec<SyncSelection>>,
    twice::<Data<Vec<Liveness>>>,
    twice::<Vec<SyncCommitteeMessage>>,
    validators,
    attestations,
];

fn twice<T: DeserializeOwned + Serialize + PartialEq + Debug>(input: &[u8]) -> bool {
    let Ok(value) = read::<T>(input) else { return false };
    let text = serde_json::to_vec(&value).expect("our shapes serialize into memory");
    assert_eq!(read::<T>(&text).ok().as_ref(), Some(&value), "what was written is read");
    true
}

fn validators(input: &[u8]) -> bool {
    let Ok(Data { data }) = read::<Data<Vec<ValidatorInfo>>>(input) else { return false };
    for info in &data {
        let record = json!({ "pubkey": info.pubkey, "slashed": info.slashed });
        let entry = json!({ "index": info.index, "status": info.status, "validator": record });
        assert_eq!(serde_json::from_value::<ValidatorInfo>(entry).ok().as_ref(), Some(info));
        assert!(!info.status.is_slashed() || info.is_slashed());
        assert_eq!(json!(info.status), info.status.as_str());
    }
    !data.is_empty()
}

/// Attestations in the form of each fork, and indices.
fn attestations(input: &[u8]) -> bool {
    let Ok(json) = read::<Value>(input) else { return false };
    let mut taken = indices_from_json(&json).is_ok();
    for fork in [Fork::Deneb, Fork::Electra] {
        assert_eq!(fork_from_str(&fork.to_string()), Some(fork));
        if let Ok(read) = PoolAttestations::from_json(fork, &json) {
            let again = PoolAttestations::from_json(fork, &json!(read));
            assert_eq!(again.ok(), Some(read));
            taken = true;
        }
    }
    taken
}

pub(crate) fn beacon_answer(input: &[u8]) -> bool {
    let Some((byte, text)) = input.split_first() else { return false };
    SHAPES.get(usize::from(*byte)).is_some_and(|shape| shape(text))
}

/// A refusal of something that was published: whatever it says, items that are told refused are of the list.
pub(crate) fn refusal(input: &[u8]) -> bool {
    let refusal = Refusal::read(input);
    for count in [0, 1, 3] {
        let Some(refused) = refusal.refused_items(count) else { continue };
        assert!(refused.len() < count, "at least one was taken");
        assert!(refused.keys().all(|place| *place < count as u64));
        assert!(!refusal.is_already_known() || refused.is_empty(), "what is known is not refused");
    }
    let _words = refusal.text();
    !input.is_empty()
}

/// Where a stream is cut does not matter, and nothing longer than the limits comes out.
pub(crate) fn event_stream(input: &[u8]) -> bool {
    let Some((&cut, stream)) = input.split_first() else { return false };
    let whole = Parser::default().feed(stream);
    let len = usize::from(cut) % 16 + 1;
    let mut parser = Parser::default();
    let mut events = Vec::new();
    let mut cut_short = None;
    for chunk in stream.chunks(len) {
        match parser.feed(chunk) {
            Ok(more) => events.extend(more),
            Err(error) => {
                cut_short = Some(error);
                break;
            }
        }
    }
    match (&whole, cut_short) {
        (Ok(whole), None) => assert_eq!(*whole, events),
        (Err(one), Some(other)) => assert_eq!(*one, other),
        (one, other) => panic!("{one:?} in one piece, {other:?} in pieces of {len}"),
    }
    let found = events.iter().any(head);
    assert!(
        events.iter().all(|event| event.data.len() <= DATA_LEN_MAX && event.name.len() <= 3 * LINE_LEN_MAX)
    );
    assert!(events.iter().all(|event| !event.name.contains(['\n', '\r']) && !event.data.contains('\r')));
    found
}

fn head(event: &Event) -> bool {
    event.name == "head" && twice::<HeadEvent>(event.data.as_bytes())
}

/// One answer of each shape, with the byte that names it.
pub(crate) fn beacon_answers() -> Vec<Vec<u8>> {
    let (root, key) = (Root([1; 32]), PublicKey([2; 48]));
    let attester = AttesterDuty { pubkey: key, validator_index: ValidatorIndex(7), ..an_attester() };
    let checkpoint = Checkpoint { epoch: Epoch(3), root };
    let header = BlockHeader { root, canonical: true, header: SignedBeaconBlockHeader::default() };
    let duties = |data: Value| json!({ "dependent_root": root, "execution_optimistic": false, "data": data });
    let of_state = |data: Value| json!({ "execution_optimistic": false, "finalized": true, "data": data });
    let proof = Signature([9; 96]);
    let answers = [
        duties(json!([attester])),
        duties(json!([{ "pubkey": key, "validator_index": "7", "slot": "65" }])),
        duties(
            json!([{ "pubkey": key, "validator_index": "7", "validator_sync_committee_indices": ["3", "17"] }]),
        ),
        json!({ "data": AttestationData { slot: Slot(65), target: checkpoint, ..Default::default() } }),
        json!({ "data": { "genesis_time": "1742213400", "genesis_validators_root": root, "genesis_fork_version": "0x10000910" } }),
        json!({ "data": { "version": "Lighthouse/v8.0.0" } }),
        json!({ "data": { "head_slot": "65", "sync_distance": "0", "is_syncing": false, "el_offline": false } }),
        of_state(
            json!({ "previous_justified": checkpoint, "current_justified": checkpoint, "finalized": checkpoint }),
        ),
        of_state(json!({ "root": root })),
        of_state(json!(header)),
        json!({ "version": "electra", "data": { "slot": "65" } }),
        json!({ "version": "fulu", "execution_payload_blinded": false, "execution_payload_value": "17", "data": {} }),
        json!({ "code": 400, "message": "some failed", "failures": [{ "index": 1, "message": "late" }] }),
        json!({ "ids": ["7", key], "statuses": ["active"] }),
        json!([{ "validator_index": "7", "fee_recipient": format!("0x{}", "fe".repeat(20)) }]),
        json!([{ "validator_index": "7", "committee_index": "1", "committees_at_slot": "4", "slot": "65", "is_aggregator": true }]),
        json!([{ "validator_index": "7", "sync_committee_indices": ["3", "17"], "until_epoch": "9" }]),
        json!([{ "validator_index": "7", "slot": "65", "selection_proof": proof }]),
        json!([{ "validator_index": "7", "slot": "65", "subcommittee_index": "1", "selection_proof": proof }]),
        json!({ "data": [{ "index": "7", "is_live": true }] }),
        json!([SyncCommitteeMessage { slot: Slot(65), signature: proof, ..Default::default() }]),
        json!({ "data": [a_validator(key)] }),
        json!([SingleAttestation::default()]),
    ];
    let of_old_form = json!([Attestation::default()]);
    let last = SHAPES.len() - 1;
    let named = answers.into_iter().enumerate().chain([(last, of_old_form), (last, json!(["7", "8"]))]);
    named.map(|(shape, json)| [&[shape as u8], json.to_string().as_bytes()].concat()).collect()
}

fn an_attester() -> AttesterDuty {
    let json = json!({
        "pubkey": PublicKey::ZERO, "validator_index": "0", "committee_index": "1", "committee_length": "128",
        "committees_at_slot": "4", "validator_committee_index": "3", "slot": "65",
    });
    serde_json::from_value(json).expect("a duty as the API writes it")
}

fn a_validator(key: PublicKey) -> Value {
    json!({
        "index": "7", "balance": "32000000000", "status": "active_slashed",
        "validator": { "pubkey": key, "slashed": true, "activation_epoch": "7" },
    })
}

/// What nodes say that do not take something, or not all of it.
pub(crate) fn refusals() -> Vec<Vec<u8>> {
    [
        r#"{"code":400,"message":"some failed","failures":[{"index":0,"message":"ATTESTATION_ERROR_ATTESTATION_ALREADY_KNOWN"},{"index":"1","message":"late"}]}"#,
        r#"{"statusCode":404,"error":"Not Found","message":"Route GET:/x not found"}"#,
        r#"{"code":500,"message":"BLOCK_ERROR_ALREADY_KNOWN"}"#,
        "502 Bad Gateway",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

/// A head among comments and other events, in each way to end a line.
pub(crate) fn event_streams() -> Vec<Vec<u8>> {
    let head = HeadEvent {
        slot: Slot(65),
        block: Root([1; 32]),
        state: Root([2; 32]),
        epoch_transition: false,
        previous_duty_dependent_root: Some(Root([3; 32])),
        current_duty_dependent_root: None,
        execution_optimistic: false,
    };
    let data = json!(head);
    ["\n", "\r\n", "\r"]
        .map(|end| {
            let lines = [":comment", "id: 4", "event: block", "data: {", "data:}", "", "event: head"];
            let text = format!("{}{end}data: {data}{end}{end}", lines.join(end));
            [b"\x04\xef\xbb\xbf", text.as_bytes()].concat()
        })
        .to_vec()
}
