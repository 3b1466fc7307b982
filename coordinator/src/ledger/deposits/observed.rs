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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::charter::tests::charter;
    use crate::ledger::deposits::{Look, SeenValidator};
    use crate::ledger::log::AppendError;
    use crate::ledger::state::Refusal as Refused;
    use crate::ledger::testbed::Pool;
    use proptest::prelude::*;
    use serde_json::json;
    use types::{PublicKey, Root};

    fn read<T: Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
        crate::canonical::read(&crate::canonical::bytes(value)).unwrap()
    }

    #[test]
    fn what_is_observed_is_looked_at_and_only_what_the_book_has_is_not_said_again() {
        let (pool, jar, _) = Pool::staked(charter(), 3);
        let (deposits, look) = (&pool.state().deposits, jar.look());
        let observed = read(&deposits.observed(look.clone()));
        assert_eq!((observed.known.len(), observed.others.len()), (3, 0));
        let by_index = |look: Look| {
            let of = |seen: &SeenValidator| (seen.index, *seen);
            (
                look.slot,
                look.finalized,
                look.validators.iter().map(of).collect::<BTreeMap<_, _>>(),
                look.pending,
            )
        };
        assert_eq!(deposits.looked_at(&observed).map(by_index), Ok(by_index(look.clone())));
        let changes: [fn(&mut SeenValidator); 3] = [
            |seen| seen.credentials = Root([9; 32]),
            |seen| seen.pubkey = PublicKey([9; 48]),
            |seen| seen.index = ValidatorIndex(9_999),
        ];
        for (at, change) in changes.into_iter().enumerate() {
            let mut other = look.clone();
            change(&mut other.validators[0]);
            let observed = read(&deposits.observed(other.clone()));
            assert_eq!((observed.known.len(), observed.others.len()), (2, 1), "{at}");
            assert_eq!(deposits.looked_at(&observed).map(by_index), Ok(by_index(other)), "{at}");
        }
        // Twice is told twice, for the book to refuse.
        let mut twice = look.clone();
        twice.validators.push(look.validators[0]);
        assert_eq!(deposits.looked_at(&deposits.observed(twice)).unwrap().validators.len(), 4);
    }

    #[test]
    fn an_index_that_the_book_does_not_have_is_refused() {
        let (mut pool, jar, _) = Pool::staked(charter(), 1);
        let mut observed = pool.state().deposits.observed(jar.look());
        let (_, one) = observed.known.pop_first().unwrap();
        observed.known.insert(ValidatorIndex(9_999), one);
        let before = pool.state().clone();
        let refused = pool.see("look", &json!(observed)).unwrap_err();
        let no_index = Refusal::NoIndex { index: ValidatorIndex(9_999) };
        assert_eq!(refused, AppendError::Refused(Refused::from(no_index)));
        assert_eq!(pool.state(), &before);
    }

    /// So many validators that attest, or all leave.
    fn many(count: u64, leave: bool) -> ObservedLook {
        let one = |no: u64| {
            let exit = Epoch(150_000 + no * 7_919 % 3_000);
            let known = KnownValidator {
                balance: Gwei(32_000_000_000 + no * 7_919 % 1_000_000),
                effective_balance: Gwei(32_000_000_000),
                status: if leave { ValidatorStatus::ActiveExiting } else { ValidatorStatus::ActiveOngoing },
                slashed: false,
                activation: Some(Epoch(100_000 + no / 8)),
                exit: leave.then_some(exit),
                withdrawable: leave.then_some(Epoch(exit.0 + 256)),
            };
            (ValidatorIndex(1_000_000 + no + no / 3), known)
        };
        let (slot, finalized) = (Slot(32), true);
        ObservedLook {
            slot,
            finalized,
            known: (0..count).map(one).collect(),
            others: Vec::new(),
            pending: Vec::new(),
        }
    }

    #[test]
    fn a_validator_takes_some_ten_bytes_of_a_look_and_twenty_when_all_leave() {
        for (leave, most) in [(false, 13), (true, 26)] {
            let bytes = crate::canonical::bytes(&many(10_000, leave)).len();
            assert!(bytes < most * 10_000, "{bytes} bytes of 10,000 validators, leaving: {leave}");
        }
    }

    #[test]
    fn a_column_that_lacks_a_row_is_refused_whichever_it_is() {
        let look = json!(many(3, true));
        for column in look["known"].as_object().unwrap().keys() {
            let mut cut = look.clone();
            let text = cut["known"][column].as_str().unwrap().to_owned();
            let shorter = text.rsplit_once(['*', ' ']).map_or("", |(head, _)| head);
            cut["known"][column] = json!(shorter);
            assert!(
                serde_json::from_value::<ObservedLook>(cut).is_err(),
                "{column}: {shorter:?} for {text:?}"
            );
        }
    }

    fn status() -> impl Strategy<Value = ValidatorStatus> {
        use ValidatorStatus::*;
        prop::sample::select(vec![
            PendingQueued,
            ActiveOngoing,
            ActiveSlashed,
            ExitedUnslashed,
            WithdrawalDone,
        ])
    }

    prop_compose! {
        fn known_validator()(
            balance: u64, effective: u64, status in status(), slashed: bool,
            epochs in prop::array::uniform3(prop::option::of(prop_oneof![any::<u64>(), 0..9_u64])),
        ) -> KnownValidator {
            let [activation, exit, withdrawable] = epochs.map(|epoch| epoch.map(Epoch));
            let (balance, effective_balance) = (Gwei(balance), Gwei(effective));
            KnownValidator { balance, effective_balance, status, slashed, activation, exit, withdrawable }
        }
    }

    proptest! {
        #[test]
        fn every_look_is_read_as_it_was_written(
            known in prop::collection::btree_map(any::<u64>().prop_map(ValidatorIndex), known_validator(), 0..12),
        ) {
            let look = ObservedLook { known, ..many(0, false) };
            prop_assert_eq!(read(&look), look.clone());
            let balance = |one: &KnownValidator| Balance { balance: one.balance, effective: one.effective_balance };
            let balances = look.known.iter().map(|(index, one)| (*index, balance(one))).collect();
            let event = crate::ledger::deposits::Event::Balances(balances);
            prop_assert_eq!(read(&event), event);
        }
    }
}
