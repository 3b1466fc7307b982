//! A look as it is observed: what the book has said already is not said again.
//!
//! ```text
//! known      by index, in columns: balance, what it counts for, how it does, its epochs      key and credentials are the book's
//! others     as a whole: new ones, and whatever has another key or credentials than the book
//! ```
//!
//! Nothing else is left out. A validator of the pool that is in neither list is not in the state.

use super::State;
use super::chain::{Look, PendingDeposit, SeenValidator};
use super::command::Balance;
use super::decide::Refusal;
use crate::ledger::columns::{self, ColumnError};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use types::{Epoch, Gwei, Slot, ValidatorIndex, ValidatorStatus};

/// A validator in a state of the chain, but for its key and its credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownValidator {
    /// What it has.
    pub balance: Gwei,
    /// What it counts for.
    pub effective_balance: Gwei,
    /// How it does.
    pub status: ValidatorStatus,
    /// Whether it was slashed; not every status tells.
    pub slashed: bool,
    /// From when on it has duties; nothing where the chain has `FAR_FUTURE_EPOCH`.
    pub activation: Option<Epoch>,
    /// From when on it has none any more; likewise.
    pub exit: Option<Epoch>,
    /// From when on its balance can be withdrawn; likewise.
    pub withdrawable: Option<Epoch>,
}

/// The body of a look's observation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObservedLook {
    /// The state's slot.
    pub slot: Slot,
    /// Whether it is final. Of one that is not, alarms only are heard.
    pub finalized: bool,
    /// Validators that have the index, the key and the credentials of one that the book has.
    #[serde(with = "known")]
    pub known: BTreeMap<ValidatorIndex, KnownValidator>,
    /// All other keys of the pool that are validators there.
    pub others: Vec<SeenValidator>,
    /// All deposits for the pool's keys that wait there.
    pub pending: Vec<PendingDeposit>,
}

impl State {
    /// How a look is observed: of what the book has, it says only what can have changed.
    pub fn observed(&self, look: Look) -> ObservedLook {
        let Look { slot, finalized, validators, pending } = look;
        let (mut known, mut others) = (BTreeMap::new(), Vec::new());
        for seen in validators {
            let has = |validator: &super::Validator| validator.credentials == Some(seen.credentials);
            let book = self.by_index(seen.index).filter(|(key, one)| *key == seen.pubkey && has(one));
            if book.is_some() && !known.contains_key(&seen.index) {
                known.insert(seen.index, KnownValidator::from(&seen));
            } else {
                others.push(seen);
            }
        }
        ObservedLook { slot, finalized, known, others, pending }
    }

    /// The look that was observed. Errors: an index that the book does not have. Cost: all validators that it names.
    pub fn looked_at(&self, observed: &ObservedLook) -> Result<Look, Refusal> {
        let ObservedLook { slot, finalized, known, others, pending } = observed;
        let of_book = known.iter().map(|(index, one)| {
            let found = self.by_index(*index);
            let found = found.and_then(|(pubkey, validator)| Some((pubkey, validator.credentials?)));
            let (pubkey, credentials) = found.ok_or(Refusal::NoIndex { index: *index })?;
            let KnownValidator {
                balance,
                effective_balance,
                status,
                slashed,
                activation,
                exit,
                withdrawable,
            } = *one;
            let index = *index;
            Ok(SeenValidator {
                pubkey,
                index,
                credentials,
                balance,
                effective_balance,
                status,
                slashed,
                activation,
                exit,
                withdrawable,
            })
        });
        let mut validators = of_book.collect::<Result<Vec<_>, Refusal>>()?;
        validators.extend(others);
        Ok(Look { slot: *slot, finalized: *finalized, validators, pending: pending.clone() })
    }
}

impl From<&SeenValidator> for KnownValidator {
    fn from(seen: &SeenValidator) -> Self {
        let SeenValidator {
            balance, effective_balance, status, slashed, activation, exit, withdrawable, ..
        } = *seen;
        Self { balance, effective_balance, status, slashed, activation, exit, withdrawable }
    }
}

/// Validators as columns.
mod known {
    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Columns {
        index: String,
        effective_balance: String,
        /// Beside the effective balance.
        balance: String,
        status: String,
        slashed: String,
        activation: String,
        exit: String,
        withdrawable: String,
    }

    pub(super) fn serialize<S: Serializer>(
        known: &BTreeMap<ValidatorIndex, KnownValidator>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let all = || known.values();
        let columns = Columns {
            index: columns::write_indices(known.keys()),
            effective_balance: columns::write_numbers(all().map(|one| one.effective_balance.0)),
            balance: columns::write_beside(all().map(|one| (one.balance, one.effective_balance))),
            status: columns::write(all().map(|one| one.status)),
            slashed: columns::write(all().map(|one| one.slashed)),
            activation: columns::write_epochs(all().map(|one| one.activation)),
            exit: columns::write_epochs(all().map(|one| one.exit)),
            withdrawable: columns::write_epochs(all().map(|one| one.withdrawable)),
        };
        columns.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<ValidatorIndex, KnownValidator>, D::Error> {
        read(&Columns::deserialize(deserializer)?).map_err(D::Error::custom)
    }

    fn read(columns: &Columns) -> Result<BTreeMap<ValidatorIndex, KnownValidator>, ColumnError> {
        let indices = columns::read_indices(&columns.index)?;
        let len = indices.len();
        let effective = columns::read_numbers(&columns.effective_balance, len)?;
        let effective: Vec<Gwei> = effective.into_iter().map(Gwei).collect();
        let balance = columns::read_amounts(&columns.balance, &effective)?;
        let status = columns::read_beside::<ValidatorStatus>(&columns.status, len)?;
        let slashed = columns::read_beside::<bool>(&columns.slashed, len)?;
        let epochs = |column| columns::read_epochs(column, len);
        let [activation, exit, withdrawable] =
            [epochs(&columns.activation)?, epochs(&columns.exit)?, epochs(&columns.withdrawable)?];
        // All columns have as many rows.
        let row = |(at, index)| {
            let known = KnownValidator {
                balance: balance[at],
                effective_balance: effective[at],
                status: status[at],
                slashed: slashed[at],
                activation: activation[at],
                exit: exit[at],
                withdrawable: withdrawable[at],
            };
            (index, known)
        };
        Ok(indices.into_iter().enumerate().map(row).collect())
    }
}

/// Balances as columns.
pub(super) mod balances {
    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Columns {
        index: String,
        effective: String,
        /// Beside the effective balance.
        balance: String,
    }

    pub(in crate::ledger::deposits) fn serialize<S: Serializer>(
        balances: &BTreeMap<ValidatorIndex, Balance>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let all = || balances.values();
        let columns = Columns {
            index: columns::write_indices(balances.keys()),
            effective: columns::write_numbers(all().map(|one| one.effective.0)),
            balance: columns::write_beside(all().map(|one| (one.balance, one.effective))),
        };
        columns.serialize(serializer)
    }

    pub(in crate::ledger::deposits) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<ValidatorIndex, Balance>, D::Error> {
        read(&Columns::deserialize(deserializer)?).map_err(D::Error::custom)
    }

    fn read(columns: &Columns) -> Result<BTreeMap<ValidatorIndex, Balance>, ColumnError> {
        let indices = columns::read_indices(&columns.index)?;
        let effective = columns::read_numbers(&columns.effective, indices.len())?;
        let effective: Vec<Gwei> = effective.into_iter().map(Gwei).collect();
        let balances = columns::read_amounts(&columns.balance, &effective)?;
        let rows = balances.into_iter().zip(effective);
        let rows = rows.map(|(balance, effective)| Balance { balance, effective });
        Ok(indices.into_iter().zip(rows).collect())
    }
}
