//! Rows as the database holds them: one value for each key and kind.
//!
//! ```text
//! key     public key (48) | kind (1)      kind 0: blocks, 1: attestations
//! value   SSZ of the last row, and of the watermarks of all before; a signing root if it is known
//! ```

use ssz::{Decode as _, Encode as _};
use ssz_derive::{Decode, Encode};
use symbolon_core::journal::{History, LastAttestation, LastBlock, Promise};
use types::{Epoch, PublicKey, Root, SigningRoot, Slot};

pub(super) const KIND_BLOCK: u8 = 0;
const KIND_ATTESTATION: u8 = 1;

#[derive(Encode, Decode)]
struct BlockRow {
    slot: Slot,
    root: Vec<Root>,
}

#[derive(Encode, Decode)]
struct AttestationRow {
    slot: Slot,
    source: Epoch,
    target: Epoch,
    source_max: Epoch,
    target_max: Epoch,
    root: Vec<Root>,
}

/// Key and value of what a history holds of the kind of `promise`; nothing if it holds nothing of that kind.
pub fn write(key: PublicKey, history: &History, promise: Promise) -> Option<(Vec<u8>, Vec<u8>)> {
    let (kind, value) = match promise {
        Promise::Block { .. } => (KIND_BLOCK, history.block.map(write_block)),
        Promise::Attestation { .. } => (KIND_ATTESTATION, history.attestation.map(write_attestation)),
    };
    Some((join_key(key, kind), value?))
}

/// Keys and values of all that a history holds, in the order of the keys.
pub fn all(key: PublicKey, history: &History) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    let values = [history.block.map(write_block), history.attestation.map(write_attestation)];
    let kinds = [KIND_BLOCK, KIND_ATTESTATION].into_iter().zip(values);
    kinds.filter_map(move |(kind, value)| Some((join_key(key, kind), value?)))
}

fn join_key(key: PublicKey, kind: u8) -> Vec<u8> {
    [key.0.as_slice(), &[kind]].concat()
}

/// Whose row a key of the database names, and of which kind; `None` for what is no such key.
pub fn split_key(key: &[u8]) -> Option<(PublicKey, u8)> {
    let (kind, key) = key.split_last()?;
    Some((PublicKey(key.try_into().ok()?), *kind))
}

/// Reads a value into the history of its key; `None`, and nothing is changed, for what [`write()`] does not write.
pub fn read(history: &mut History, kind: u8, value: &[u8]) -> Option<()> {
    let one = |roots: Vec<Root>| match roots[..] {
        [] => Some(None),
        [root] => Some(Some(SigningRoot::recorded(root))),
        _ => None,
    };
    match kind {
        KIND_BLOCK => {
            let BlockRow { slot, root } = BlockRow::from_ssz_bytes(value).ok()?;
            history.block = Some(LastBlock { slot, root: one(root)? });
        }
        KIND_ATTESTATION => {
            let row = AttestationRow::from_ssz_bytes(value).ok()?;
            let AttestationRow { slot, source, target, source_max, target_max, root } = row;
            let root = one(root)?;
            history.attestation =
                Some(LastAttestation { slot, source, target, root, source_max, target_max });
        }
        _ => return None,
    }
    Some(())
}

fn write_block(last: LastBlock) -> Vec<u8> {
    BlockRow { slot: last.slot, root: last.root.iter().map(SigningRoot::root).collect() }.as_ssz_bytes()
}

fn write_attestation(last: LastAttestation) -> Vec<u8> {
    let LastAttestation { slot, source, target, root, source_max, target_max } = last;
    let root = root.iter().map(SigningRoot::root).collect();
    AttestationRow { slot, source, target, source_max, target_max, root }.as_ssz_bytes()
}
