//! What goes wrong, and evidence of it.

use super::Pool;
use super::jar::partial;
use crate::ledger::incidents::{Conflict, Fault, Messages, Place, Slashing, Theft};
use serde_json::{Value, json};
use types::{
    Address, AttestationData, Checkpoint, DomainType, Epoch, Gwei, Root, ShareIndex, SigningRoot, Slot,
    ValidatorIndex, Wei,
};

/// The kind and the body of what the coordinator says of a fault.
pub(crate) fn told(kind: Fault) -> (&'static str, Value) {
    let evidence = json!({"/eth/v1/beacon/states/head/validators": Root([1; 32])});
    let (name, fault) = match kind {
        Fault::Slashing(fault) => ("slashing", serde_json::to_value(fault)),
        Fault::Theft(fault) => ("theft", serde_json::to_value(fault)),
        Fault::Downtime(fault) => ("downtime", serde_json::to_value(fault)),
        Fault::MissedExit(_) => panic!("nobody tells of it"),
    };
    (name, json!({"fault": fault.unwrap(), "evidence": evidence}))
}

/// A validator that was slashed the epoch after its fault.
pub(crate) fn slashing(validator: ValidatorIndex, fault: u64) -> Fault {
    Fault::Slashing(Slashing {
        validator,
        fault: Epoch(fault),
        slashed: Epoch(fault + 1),
        withdrawable: Epoch(fault + 1 + 8192),
        effective: Gwei(32_000_000_000),
        whistleblower: Gwei(0),
    })
}

/// A block of this number that paid somebody else.
pub(crate) fn theft(validator: ValidatorIndex, epoch: u64, amount: Wei, no: u8) -> Fault {
    Fault::Theft(Theft {
        validator,
        slot: Slot(32 * epoch + 3),
        block_root: Root([no; 32]),
        paid_to: Address([0xbd; 20]),
        amount,
    })
}

/// Two votes of a key for one target, signed by operators at these places.
pub(crate) fn conflict(pool: &Pool, secret: u64, epoch: u64, places: [&[u8]; 2]) -> Value {
    let checkpoint = |epoch| Checkpoint { epoch: Epoch(epoch), root: Root([9; 32]) };
    let votes = [1, 2].map(|head| AttestationData {
        slot: Slot(epoch * 32),
        index: 0,
        beacon_block_root: Root([head; 32]),
        source: checkpoint(epoch - 1),
        target: checkpoint(epoch),
    });
    let sign = |vote: &AttestationData, places: &[u8]| {
        let network = &pool.state().network;
        let root = SigningRoot::of(network, DomainType::BeaconAttester, Epoch(epoch), Root::of(vote));
        let place = |place: &u8| Place(ShareIndex::new(*place).unwrap());
        places.iter().map(|at| (place(at), partial(&root, secret, *at))).collect()
    };
    let partials = [sign(&votes[0], places[0]), sign(&votes[1], places[1])];
    serde_json::to_value(Conflict { messages: Messages::Votes(votes), partials }).unwrap()
}
