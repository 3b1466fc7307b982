//! A cluster's validators as columns: the form in which a report is observed.

use super::command::SeenValidator;
use crate::ledger::columns::{self, ColumnError};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use types::{Gwei, ValidatorIndex, ValidatorStatus};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Columns {
    index: String,
    status: String,
    slashed: String,
    effective: String,
    /// Beside the effective balance.
    balance: String,
    arrived: String,
    swept: String,
    increments: String,
    attested: String,
    missed: String,
    leaked: String,
    penalised: String,
}

pub(super) fn serialize<S: Serializer>(
    validators: &BTreeMap<ValidatorIndex, SeenValidator>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let all = || validators.values();
    let amounts = |of: fn(&SeenValidator) -> Gwei| columns::write_numbers(all().map(|one| of(one).0));
    let columns = Columns {
        index: columns::write_indices(validators.keys()),
        status: columns::write(all().map(|one| one.status)),
        slashed: columns::write(all().map(|one| one.slashed)),
        effective: amounts(|one| one.effective),
        balance: columns::write_beside(all().map(|one| (one.balance, one.effective))),
        arrived: amounts(|one| one.arrived),
        swept: amounts(|one| one.swept),
        increments: columns::write_numbers(all().map(|one| one.increments)),
        attested: amounts(|one| one.attested),
        missed: amounts(|one| one.missed),
        leaked: amounts(|one| one.leaked),
        penalised: amounts(|one| one.penalised),
    };
    columns.serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<ValidatorIndex, SeenValidator>, D::Error> {
    read(&Columns::deserialize(deserializer)?).map_err(D::Error::custom)
}

fn read(columns: &Columns) -> Result<BTreeMap<ValidatorIndex, SeenValidator>, ColumnError> {
    let indices = columns::read_indices(&columns.index)?;
    let len = indices.len();
    let amounts = |column: &str| -> Result<Vec<Gwei>, ColumnError> {
        Ok(columns::read_numbers(column, len)?.into_iter().map(Gwei).collect())
    };
    let status = columns::read_beside::<ValidatorStatus>(&columns.status, len)?;
    let slashed = columns::read_beside::<bool>(&columns.slashed, len)?;
    let effective = amounts(&columns.effective)?;
    let balance = columns::read_amounts(&columns.balance, &effective)?;
    let (arrived, swept) = (amounts(&columns.arrived)?, amounts(&columns.swept)?);
    let increments = columns::read_numbers(&columns.increments, len)?;
    let (attested, missed) = (amounts(&columns.attested)?, amounts(&columns.missed)?);
    let (leaked, penalised) = (amounts(&columns.leaked)?, amounts(&columns.penalised)?);
    // All columns have as many rows.
    let row = |(at, index)| {
        let seen = SeenValidator {
            status: status[at],
            slashed: slashed[at],
            balance: balance[at],
            effective: effective[at],
            arrived: arrived[at],
            swept: swept[at],
            increments: increments[at],
            attested: attested[at],
            missed: missed[at],
            leaked: leaked[at],
            penalised: penalised[at],
        };
        (index, seen)
    };
    Ok(indices.into_iter().enumerate().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::reports::{Duties, SeenCluster};
    use proptest::prelude::*;
    use serde_json::json;

    prop_compose! {
        fn seen()(
            status in prop::sample::select(vec![ValidatorStatus::ActiveOngoing, ValidatorStatus::ExitedSlashed]),
            slashed: bool,
            increments: u64,
            amounts in prop::array::uniform8(prop_oneof![any::<u64>(), 0..2_u64].prop_map(Gwei)),
        ) -> SeenValidator {
            let [balance, effective, arrived, swept, attested, missed, leaked, penalised] = amounts;
            SeenValidator {
                status, slashed, balance, effective, arrived, swept, increments, attested, missed, leaked, penalised,
            }
        }
    }

    proptest! {
        #[test]
        fn every_cluster_is_read_as_it_was_written_and_no_column_can_be_short(
            validators in prop::collection::btree_map(any::<u64>().prop_map(ValidatorIndex), seen(), 1..8),
        ) {
            let cluster = SeenCluster { duties: Duties { made: 1, due: 2 }, validators };
            let bytes = crate::canonical::bytes(&cluster);
            prop_assert_eq!(crate::canonical::read(&bytes), Ok(cluster.clone()));
            let whole = json!(cluster);
            for column in whole["validators"].as_object().unwrap().keys() {
                let mut short = whole.clone();
                short["validators"][column] = json!("");
                prop_assert!(serde_json::from_value::<SeenCluster>(short).is_err(), "{}", column);
            }
        }
    }
}
