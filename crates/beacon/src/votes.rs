//! What there is to sign in a slot, but for blocks.

use crate::ask::{Checked, rule};
use crate::client::Beacon;
use crate::error::ApiError;
use crate::json::BlockRoot;
use types::{AttestationData, Epoch, Root, Slot};

fn check_attestation_data(data: &AttestationData, slot: Slot, epoch: Epoch) -> Checked {
    rule(data.slot == slot, || format!("attestation data of slot {}, asked for {slot}", data.slot))?;
    rule(data.index == 0, || format!("attestation data of committee {}, asked for 0", data.index))?;
    rule(data.target.epoch == epoch, || {
        format!("target of epoch {}, the slot is of epoch {epoch}", data.target.epoch)
    })?;
    rule(data.source.epoch <= epoch, || {
        format!("source of epoch {} after the target's {epoch}", data.source.epoch)
    })
}

impl Beacon {
    /// What to attest in a slot, for committee 0: from Electra on for all committees.
    ///
    /// - Errors: `Body` also for another slot, another committee, a target that is not the slot's epoch, and a source
    ///   after it.
    pub async fn attestation_data(&self, slot: Slot) -> Result<AttestationData, ApiError> {
        let call = self.0.get(format!("/eth/v1/validator/attestation_data?slot={slot}&committee_index=0"));
        let call = self.0.within(self.0.limits.attestation_bps, call);
        let epoch = self.0.spec.epoch_of(slot);
        self.0.ask_data(call, |data| check_attestation_data(data, slot, epoch)).await
    }

    /// The head's block root: what members of a sync committee sign.
    pub async fn head_root(&self) -> Result<Root, ApiError> {
        let call = self.0.get("/eth/v1/beacon/blocks/head/root");
        let call = self.0.within(self.0.limits.attestation_bps, call);
        let root: BlockRoot = self.0.ask_data(call, |_| Ok(())).await?;
        Ok(root.root)
    }
}
