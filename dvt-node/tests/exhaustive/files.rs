//! Files of the interchange format, written from what is said to have been signed. Shared with the fuzzer.

use dvt_node::moving::interchange::{Interchange, Record, SignedAttestation, SignedBlock};
use symbolon_core::journal::Promise;
use types::{PublicKey, Root};

/// What one key has signed, with signing roots where they are told.
pub(crate) fn json_of(
    genesis_validators_root: Root,
    key: PublicKey,
    records: &[(Promise, Option<Root>)],
) -> String {
    let mut record = Record { key, blocks: Vec::new(), attestations: Vec::new() };
    for &(promise, signing_root) in records {
        match promise {
            Promise::Block { slot } => record.blocks.push(SignedBlock { slot, signing_root }),
            Promise::Attestation { source, target } => {
                record.attestations.push(SignedAttestation { source, target, signing_root });
            }
        }
    }
    Interchange { genesis_validators_root, records: vec![record] }.to_json()
}
