//! Whom each validator's blocks pay: the newest registration that its group has signed.
//!
//! A registration with the group's signature proves itself, so whoever shows it is believed; of two the one with the later
//! timestamp counts, at every node alike. Where there is none, the lock's fee recipient does.

use crate::approve::PREVIOUS_EPOCHS;
use crate::node::Validator;
use std::collections::BTreeMap;
use types::approval::Standing;
use types::builder::SignedValidatorRegistrationV1;
use types::{Address, ChainSpec, Millis, PublicKey, ValidatorNo};

/// The registrations that count.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    numbers: BTreeMap<PublicKey, ValidatorNo>,
    /// Of the lock, in its order.
    recipients: Vec<Address>,
    standing: BTreeMap<ValidatorNo, Standing>,
}

impl Registry {
    /// For validators in the lock's order, without registrations.
    pub(crate) fn new(validators: &[Validator]) -> Self {
        let numbers = (0..).zip(validators).map(|(number, one)| (one.group_key, ValidatorNo(number)));
        let recipients = validators.iter().map(|one| one.fee_recipient).collect();
        Self { numbers: numbers.collect(), recipients, standing: BTreeMap::new() }
    }

    /// The validator of a key.
    pub(crate) fn number(&self, key: &PublicKey) -> Option<ValidatorNo> {
        self.numbers.get(key).copied()
    }

    /// When the registration that counts was stated, in Unix seconds; `None` without one.
    pub(crate) fn stated_s(&self, validator: ValidatorNo) -> Option<u64> {
        self.standing.get(&validator).map(|standing| standing.newest.message.timestamp)
    }

    /// Whether a registration stated then would take the place of the one that counts.
    pub(crate) fn is_newer(&self, validator: ValidatorNo, timestamp_s: u64) -> bool {
        self.stated_s(validator).is_none_or(|current| timestamp_s > current)
    }

    /// All that count.
    pub(crate) fn all(&self) -> impl Iterator<Item = (ValidatorNo, &Standing)> {
        self.standing.iter().map(|(validator, standing)| (*validator, standing))
    }

    /// What the disk remembers, or the lock says: believed as it is, if it is newer.
    pub(crate) fn recall(&mut self, standing: Standing) {
        let Some(validator) = self.number(&standing.newest.message.pubkey) else { return };
        if self.is_newer(validator, standing.newest.message.timestamp) {
            self.standing.insert(validator, standing);
        }
    }

    /// Takes a registration whose signature is good, learned now. Returns what counts from now on, if that is it.
    pub(crate) fn learn(
        &mut self,
        spec: &ChainSpec,
        signed: SignedValidatorRegistrationV1,
        now: Millis,
    ) -> Option<Standing> {
        let validator = self.number(&signed.message.pubkey)?;
        if !self.is_newer(validator, signed.message.timestamp) {
            return None;
        }
        let before = self.standing.get(&validator);
        let recipient =
            before.map_or(self.recipients[validator.0 as usize], |one| one.newest.message.fee_recipient);
        // One that changes the gas limit only leaves the fee recipient before it as it was.
        let previous = if recipient == signed.message.fee_recipient {
            before.filter(|one| is_recent(spec, one, now)).and_then(|one| one.previous)
        } else {
            Some(recipient)
        };
        let standing = Standing { newest: signed, learned: now, previous };
        self.standing.insert(validator, standing);
        Some(standing)
    }

    /// H4: whether a validator's block may pay this address now.
    pub(crate) fn may_pay(
        &self,
        spec: &ChainSpec,
        validator: ValidatorNo,
        address: Address,
        now: Millis,
    ) -> bool {
        let Some(standing) = self.standing.get(&validator) else {
            return self.recipients[validator.0 as usize] == address;
        };
        standing.newest.message.fee_recipient == address
            || (standing.previous == Some(address) && is_recent(spec, standing, now))
    }
}

/// Whether blocks may still pay the fee recipient before this one.
fn is_recent(spec: &ChainSpec, standing: &Standing, now: Millis) -> bool {
    let patience = PREVIOUS_EPOCHS.saturating_mul(spec.slots_per_epoch).saturating_mul(spec.slot_ms);
    now < standing.learned.after(Millis(patience))
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::builder::ValidatorRegistrationV1;

    const FIRST: ValidatorNo = ValidatorNo(0);

    fn signed(recipient: u8, timestamp: u64) -> SignedValidatorRegistrationV1 {
        let fee_recipient = Address([recipient; 20]);
        let message = ValidatorRegistrationV1 {
            fee_recipient,
            timestamp,
            gas_limit: 60_000_000,
            pubkey: PublicKey([1; 48]),
        };
        SignedValidatorRegistrationV1 { message, ..Default::default() }
    }

    fn registry() -> Registry {
        Registry::new(&[Validator { group_key: PublicKey([1; 48]), fee_recipient: Address([7; 20]) }])
    }

    #[test]
    fn the_newest_counts_and_the_one_before_it_for_two_epochs() {
        let spec = ChainSpec::builtin("hoodi").unwrap();
        let mut registry = registry();
        let pays = |registry: &Registry, recipient, now| {
            registry.may_pay(&spec, FIRST, Address([recipient; 20]), Millis(now))
        };
        assert!(pays(&registry, 7, 0) && !pays(&registry, 8, 0));
        registry.learn(&spec, signed(8, 100), Millis(1000)).unwrap();
        let two_epochs = 2 * 32 * 12_000;
        assert!(pays(&registry, 8, 1000) && pays(&registry, 7, 1000 + two_epochs - 1));
        assert!(!pays(&registry, 7, 1000 + two_epochs) && pays(&registry, 8, 1000 + two_epochs));
        for late in [signed(9, 100), signed(9, 99)] {
            assert_eq!(registry.learn(&spec, late, Millis(2000)), None, "not newer");
        }
        registry.learn(&spec, signed(9, 101), Millis(2000)).unwrap();
        assert!(pays(&registry, 9, 2000) && pays(&registry, 8, 2000) && !pays(&registry, 7, 2000));
    }

    #[test]
    fn a_change_of_the_gas_limit_alone_cuts_no_leaders_time_short() {
        let spec = ChainSpec::builtin("hoodi").unwrap();
        let mut registry = registry();
        registry.learn(&spec, signed(8, 100), Millis(1000)).unwrap();
        registry.learn(&spec, signed(8, 101), Millis(2000)).unwrap();
        assert!(registry.may_pay(&spec, FIRST, Address([7; 20]), Millis(3000)));
    }

    #[test]
    fn what_the_disk_remembers_goes_on_counting() {
        let spec = ChainSpec::builtin("hoodi").unwrap();
        let mut registry = registry();
        let previous = Some(Address([7; 20]));
        registry.recall(Standing { newest: signed(8, 100), learned: Millis(1000), previous });
        registry.recall(Standing { newest: signed(9, 99), learned: Millis(0), previous: None });
        assert!(registry.may_pay(&spec, FIRST, Address([8; 20]), Millis(5000)));
        assert!(registry.may_pay(&spec, FIRST, Address([7; 20]), Millis(5000)), "within its two epochs");
        assert_eq!(registry.stated_s(FIRST), Some(100));
    }
}
