//! What a validator client has signed, in memory: it never signs what could be slashed with it.
//!
//! The minimal conditions of EIP-3076: slots of blocks and targets of attestations only grow, sources never shrink.

use std::collections::BTreeMap;
use thiserror::Error;
use types::{AttestationData, Epoch, PublicKey, Root, Slot};

/// Why something is not signed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Slashable {
    /// A block of this slot or a later one is signed.
    #[error("a block of slot {signed} is signed, slot {slot} is not signed after it")]
    Block {
        /// What was to be signed.
        slot: Slot,
        /// The newest that is signed.
        signed: Slot,
    },
    /// Another attestation of this target or a later one is signed.
    #[error("an attestation of target {signed} is signed, target {target} is not signed after it")]
    Target {
        /// What was to be signed.
        target: Epoch,
        /// The newest that is signed.
        signed: Epoch,
    },
    /// The source is older than one that is signed.
    #[error("an attestation of source {signed} is signed, source {source_epoch} is not signed after it")]
    Source {
        /// What was to be signed.
        source_epoch: Epoch,
        /// The newest that is signed.
        signed: Epoch,
    },
}

/// The newest things each key signed.
#[derive(Debug, Default)]
pub struct Record {
    blocks: BTreeMap<PublicKey, (Slot, Root)>,
    attestations: BTreeMap<PublicKey, AttestationData>,
}

impl Record {
    /// Notes a block before it is signed. The same block may be signed again.
    pub fn block(&mut self, key: PublicKey, slot: Slot, root: Root) -> Result<(), Slashable> {
        match self.blocks.get(&key) {
            Some(last) if *last == (slot, root) => return Ok(()),
            Some((signed, _)) if *signed >= slot => return Err(Slashable::Block { slot, signed: *signed }),
            _ => {}
        }
        self.blocks.insert(key, (slot, root));
        Ok(())
    }

    /// Notes an attestation before it is signed. The same one may be signed again.
    pub fn attestation(&mut self, key: PublicKey, data: &AttestationData) -> Result<(), Slashable> {
        if let Some(last) = self.attestations.get(&key) {
            if last == data {
                return Ok(());
            }
            let (target, signed) = (data.target.epoch, last.target.epoch);
            if target <= signed {
                return Err(Slashable::Target { target, signed });
            }
            let (source_epoch, signed) = (data.source.epoch, last.source.epoch);
            if source_epoch < signed {
                return Err(Slashable::Source { source_epoch, signed });
            }
        }
        self.attestations.insert(key, *data);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::Checkpoint;

    const KEY: PublicKey = PublicKey([1; 48]);

    fn data(source: u64, target: u64, head: u8) -> AttestationData {
        let checkpoint = |epoch| Checkpoint { epoch: Epoch(epoch), root: Root::ZERO };
        AttestationData {
            beacon_block_root: Root([head; 32]),
            source: checkpoint(source),
            target: checkpoint(target),
            ..AttestationData::default()
        }
    }

    #[test]
    fn an_attestation_is_signed_again_only_if_it_is_the_same() {
        let mut record = Record::default();
        assert_eq!(record.attestation(KEY, &data(1, 2, 0)), Ok(()));
        assert_eq!(record.attestation(KEY, &data(1, 2, 0)), Ok(()));
        let error = Slashable::Target { target: Epoch(2), signed: Epoch(2) };
        assert_eq!(record.attestation(KEY, &data(1, 2, 1)), Err(error));
        assert_eq!(record.attestation(PublicKey([2; 48]), &data(1, 2, 1)), Ok(()), "another key");
    }

    #[test]
    fn votes_that_surround_or_are_surrounded_are_not_signed() {
        let mut record = Record::default();
        assert_eq!(record.attestation(KEY, &data(2, 4, 0)), Ok(()));
        let surrounded = Slashable::Target { target: Epoch(3), signed: Epoch(4) };
        assert_eq!(record.attestation(KEY, &data(2, 3, 0)), Err(surrounded));
        let surrounding = Slashable::Source { source_epoch: Epoch(1), signed: Epoch(2) };
        assert_eq!(record.attestation(KEY, &data(1, 5, 0)), Err(surrounding));
        assert_eq!(record.attestation(KEY, &data(2, 5, 0)), Ok(()));
    }

    #[test]
    fn one_block_of_a_slot_is_signed_and_none_before_it() {
        let mut record = Record::default();
        let block = |record: &mut Record, slot, root| record.block(KEY, Slot(slot), Root([root; 32]));
        assert_eq!(block(&mut record, 5, 1), Ok(()));
        assert_eq!(block(&mut record, 5, 1), Ok(()));
        assert_eq!(block(&mut record, 5, 2), Err(Slashable::Block { slot: Slot(5), signed: Slot(5) }));
        assert_eq!(block(&mut record, 4, 1), Err(Slashable::Block { slot: Slot(4), signed: Slot(5) }));
        assert_eq!(block(&mut record, 6, 1), Ok(()));
    }
}
