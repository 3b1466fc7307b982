//! Columns: what is said of each of many validators, in few bytes.
//!
//! ```text
//! "32*3 31 ."        32, 32, 32, 31, none; what stands several times in a row is said once, and how often
//! ```
//!
//! Observations and events that name all of the pool's validators are kept for ever, and read by everybody who verifies.
//! As objects they take some four hundred bytes a validator, most of them names of fields and what all have in common; as
//! columns, numbers as differences to what they are near to, some twenty. Nothing is left out: whoever reads an entry alone
//! reads the same numbers. A column has one spelling, and no more rows than a pool has validators.

use super::deposits::VALIDATORS_MAX;
use serde::Deserialize;
use serde::de::value::StrDeserializer;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use thiserror::Error;
use types::{Epoch, Gwei, ValidatorIndex, ValidatorStatus};

/// Why columns are not read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(super) enum ColumnError {
    /// Not what stands in such a column.
    #[error("`{0}` is nothing that stands in this column")]
    Cell(String),
    /// Longer than any.
    #[error("a column of more than {VALIDATORS_MAX} rows")]
    Rows,
    /// Not the one spelling.
    #[error("a column that is not spelled as it would be written")]
    Spelling,
    /// Columns of one table with different lengths.
    #[error("a column of {have} rows beside one of {want}")]
    Length {
        /// This one's.
        have: usize,
        /// The first one's.
        want: usize,
    },
    /// Validators that do not ascend.
    #[error("indices of validators that do not ascend")]
    Order,
    /// A number that the difference to another makes less than nothing, or more than 64 bits.
    #[error("a number below 0 or beyond 64 bits")]
    Range,
}

/// What stands in a column.
pub(super) trait Cell: Copy + PartialEq {
    /// Appends its one spelling: no space, and no `*`.
    fn spell(self, column: &mut String);
    /// Reads it, perhaps also from another spelling.
    fn read(text: &str) -> Option<Self>;
}

/// A number, or a difference of two.
impl Cell for i128 {
    fn spell(self, column: &mut String) {
        let spelled = match i64::try_from(self) {
            Ok(short) => write!(column, "{short}"),
            Err(_) => write!(column, "{self}"),
        };
        spelled.expect("text takes everything");
    }

    fn read(text: &str) -> Option<Self> {
        text.parse::<i64>().map(Self::from).or_else(|_| text.parse()).ok()
    }
}

/// A number where there is one.
impl Cell for Option<i128> {
    fn spell(self, column: &mut String) {
        match self {
            Some(number) => number.spell(column),
            None => column.push('.'),
        }
    }

    fn read(text: &str) -> Option<Self> {
        if text == "." { Some(None) } else { i128::read(text).map(Some) }
    }
}

/// `0` and `1`.
impl Cell for bool {
    fn spell(self, column: &mut String) {
        column.push(if self { '1' } else { '0' });
    }

    fn read(text: &str) -> Option<Self> {
        match text {
            "0" => Some(false),
            "1" => Some(true),
            _ => None,
        }
    }
}

impl Cell for ValidatorStatus {
    fn spell(self, column: &mut String) {
        column.push_str(self.as_str());
    }

    fn read(text: &str) -> Option<Self> {
        Self::deserialize(StrDeserializer::<serde::de::value::Error>::new(text)).ok()
    }
}

/// Writes a column.
pub(super) fn write<T: Cell>(cells: impl IntoIterator<Item = T>) -> String {
    let (mut column, mut cells) = (String::new(), cells.into_iter().peekable());
    while let Some(cell) = cells.next() {
        let mut times = 1_usize;
        while cells.next_if(|next| *next == cell).is_some() {
            times += 1;
        }
        if !column.is_empty() {
            column.push(' ');
        }
        cell.spell(&mut column);
        if times > 1 {
            write!(column, "*{times}").expect("text takes everything");
        }
    }
    column
}

/// Reads a column. Errors: a cell that is none; too many rows; another spelling than [`write`]'s.
pub(super) fn read<T: Cell>(column: &str) -> Result<Vec<T>, ColumnError> {
    let mut cells = Vec::new();
    for item in column.split(' ').filter(|_| !column.is_empty()) {
        let (text, times) = match item.split_once('*') {
            Some((text, times)) => (text, times.parse().map_err(|_| ColumnError::Spelling)?),
            None => (item, 1_usize),
        };
        let cell = T::read(text).ok_or_else(|| ColumnError::Cell(text.chars().take(32).collect()))?;
        if times > VALIDATORS_MAX - cells.len() {
            return Err(ColumnError::Rows);
        }
        cells.resize(cells.len() + times, cell);
    }
    if write(cells.iter().copied()) == column { Ok(cells) } else { Err(ColumnError::Spelling) }
}

/// The same of a table whose first column has so many rows. Errors: also another length.
pub(super) fn read_beside<T: Cell>(column: &str, want: usize) -> Result<Vec<T>, ColumnError> {
    let cells = read(column)?;
    let have = cells.len();
    if have == want { Ok(cells) } else { Err(ColumnError::Length { have, want }) }
}

/// Numbers as differences to the one before, the first to 0.
pub(super) fn steps(numbers: impl IntoIterator<Item = u64>) -> impl Iterator<Item = i128> {
    numbers.into_iter().scan(0, |before, number| {
        let step = i128::from(number) - *before;
        *before = number.into();
        Some(step)
    })
}

/// Numbers from such differences.
pub(super) fn walked(steps: Vec<i128>) -> Result<Vec<u64>, ColumnError> {
    let mut at = 0_i128;
    let walk = |step: i128| {
        at = at.checked_add(step).ok_or(ColumnError::Range)?;
        u64::try_from(at).map_err(|_| ColumnError::Range)
    };
    steps.into_iter().map(walk).collect()
}

/// The column of a table's validators: their indices, ascending.
pub(super) fn write_indices<'a>(indices: impl IntoIterator<Item = &'a ValidatorIndex>) -> String {
    write(steps(indices.into_iter().map(|index| index.0)))
}

/// Reads it. Errors: also indices that do not ascend.
pub(super) fn read_indices(column: &str) -> Result<Vec<ValidatorIndex>, ColumnError> {
    let indices = walked(read(column)?)?;
    if indices.is_sorted_by(|one, next| one < next) {
        Ok(indices.into_iter().map(ValidatorIndex).collect())
    } else {
        Err(ColumnError::Order)
    }
}

/// A column of amounts that are near to others: the differences.
pub(super) fn write_beside(amounts: impl IntoIterator<Item = (Gwei, Gwei)>) -> String {
    write(amounts.into_iter().map(|(amount, other)| i128::from(amount.0) - i128::from(other.0)))
}

/// Reads it, beside those others.
pub(super) fn read_amounts(column: &str, others: &[Gwei]) -> Result<Vec<Gwei>, ColumnError> {
    let differences = read_beside::<i128>(column, others.len())?;
    let amount = |(difference, other): (i128, &Gwei)| {
        let amount = difference.checked_add(other.0.into()).and_then(|amount| u64::try_from(amount).ok());
        amount.map(Gwei).ok_or(ColumnError::Range)
    };
    differences.into_iter().zip(others).map(amount).collect()
}

/// A column of numbers that are near to nothing.
pub(super) fn write_numbers(numbers: impl IntoIterator<Item = u64>) -> String {
    write(numbers.into_iter().map(i128::from))
}

/// Reads it.
pub(super) fn read_numbers(column: &str, want: usize) -> Result<Vec<u64>, ColumnError> {
    let numbers = read_beside::<i128>(column, want)?;
    numbers.into_iter().map(|number| u64::try_from(number).map_err(|_| ColumnError::Range)).collect()
}

/// A column of epochs: each as the difference to the one of the row before that has one, the first to 0.
pub(super) fn write_epochs(epochs: impl IntoIterator<Item = Option<Epoch>>) -> String {
    let mut before = 0;
    let mut step = move |epoch: Epoch| {
        let step = i128::from(epoch.0) - before;
        before = epoch.0.into();
        step
    };
    write(epochs.into_iter().map(move |epoch| epoch.map(&mut step)))
}

/// Reads it.
pub(super) fn read_epochs(column: &str, want: usize) -> Result<Vec<Option<Epoch>>, ColumnError> {
    let mut at = 0_i128;
    let mut walk = |step: i128| {
        at = at.checked_add(step).ok_or(ColumnError::Range)?;
        u64::try_from(at).map(Epoch).map_err(|_| ColumnError::Range)
    };
    let steps = read_beside::<Option<i128>>(column, want)?;
    steps.into_iter().map(|step| step.map(&mut walk).transpose()).collect()
}

/// Amounts by validator, as columns, for serde: `#[serde(with = "columns::amounts")]`.
pub(super) mod amounts {
    use super::*;
    use serde::de::Error as _;
    use serde::{Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Columns {
        index: String,
        amount: String,
    }

    pub(in crate::ledger) fn serialize<S: Serializer>(
        amounts: &BTreeMap<ValidatorIndex, Gwei>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let amount = write(steps(amounts.values().map(|amount| amount.0)));
        Columns { index: write_indices(amounts.keys()), amount }.serialize(serializer)
    }

    pub(in crate::ledger) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<ValidatorIndex, Gwei>, D::Error> {
        let columns = Columns::deserialize(deserializer)?;
        let table = || {
            let indices = read_indices(&columns.index)?;
            let amounts = walked(read_beside(&columns.amount, indices.len())?)?;
            Ok(indices.into_iter().zip(amounts.into_iter().map(Gwei)).collect())
        };
        table().map_err(|error: ColumnError| D::Error::custom(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_stands_in_a_row_is_said_once() {
        assert_eq!(write([32, 32, 32, 31, -7].map(i128::from)), "32*3 31 -7");
        assert_eq!(write([None, None, Some(0), None].map(|one: Option<i128>| one)), ".*2 0 .");
        assert_eq!(write([true, false, false]), "1 0*2");
        let statuses = [ValidatorStatus::ActiveOngoing; 100_000];
        assert_eq!(write(statuses), "active_ongoing*100000");
        assert_eq!(write(Vec::<i128>::new()), "");
        assert_eq!(read::<i128>(""), Ok(Vec::new()));
        assert_eq!(read("active_ongoing*100000"), Ok(statuses.to_vec()));
    }

    #[test]
    fn a_column_has_one_spelling() {
        for other in [
            " ", "1 ", " 1", "1  2", "01", "+1", "-0", "1*1", "1*0", "1*01", "1*+2", "1 1", "1*2 1", "1**2",
            "1*", "*2", "1*2*3", "1*-1", "1\t2",
        ] {
            assert!(read::<i128>(other).is_err(), "{other:?}: {:?}", read::<i128>(other));
        }
        assert_eq!(read::<i128>("7 x"), Err(ColumnError::Cell("x".to_owned())));
        assert_eq!(read::<bool>("2"), Err(ColumnError::Cell("2".to_owned())));
        assert_eq!(read::<i128>("."), Err(ColumnError::Cell(".".to_owned())));
        assert_eq!(read::<ValidatorStatus>("gone"), Err(ColumnError::Cell("gone".to_owned())));
    }

    #[test]
    fn few_bytes_do_not_make_many_rows() {
        assert_eq!(read::<i128>(&format!("1*{VALIDATORS_MAX}")).map(|rows| rows.len()), Ok(VALIDATORS_MAX));
        for long in
            [format!("1*{}", VALIDATORS_MAX + 1), format!("1 2*{VALIDATORS_MAX}"), format!("1*{}", u64::MAX)]
        {
            assert_eq!(read::<i128>(&long), Err(ColumnError::Rows), "{long}");
        }
        assert_eq!(read::<i128>("1*99999999999999999999"), Err(ColumnError::Spelling));
        assert_eq!(read_beside::<i128>("1*3", 2), Err(ColumnError::Length { have: 3, want: 2 }));
    }

    #[test]
    fn indices_ascend_and_numbers_stay_in_their_range() {
        let indices = [3, 4, 5, 9].map(ValidatorIndex);
        assert_eq!(write_indices(&indices), "3 1*2 4");
        assert_eq!(read_indices("3 1*2 4"), Ok(indices.to_vec()));
        assert_eq!(read_indices("3 0"), Err(ColumnError::Order));
        assert_eq!(read_indices("3 -1"), Err(ColumnError::Order));
        assert_eq!(read_indices("-1"), Err(ColumnError::Range));
        assert_eq!(read_indices("18446744073709551615 1"), Err(ColumnError::Range));
        assert_eq!(read_numbers("-1", 1), Err(ColumnError::Range));
        assert_eq!(read_amounts("-6", &[Gwei(5)]), Err(ColumnError::Range));
        assert_eq!(read_amounts("-5 1", &[Gwei(5)]), Err(ColumnError::Length { have: 2, want: 1 }));
        let most = i128::MAX.to_string();
        assert_eq!(read_amounts(&most, &[Gwei(5)]), Err(ColumnError::Range));
        assert_eq!(read_indices(&format!("1 {most}")), Err(ColumnError::Range));
        assert_eq!(read_epochs(&format!("1 {most}"), 2), Err(ColumnError::Range));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            numbers in prop::collection::vec(prop_oneof![any::<u64>(), 0..3_u64], 0..40),
            epochs in prop::collection::vec(prop::option::of(prop_oneof![any::<u64>(), 5..7_u64].prop_map(Epoch)), 0..40),
            amounts in prop::collection::btree_map(any::<u64>().prop_map(ValidatorIndex), any::<u64>().prop_map(Gwei), 0..40),
        ) {
            prop_assert_eq!(read_numbers(&write_numbers(numbers.iter().copied()), numbers.len()), Ok(numbers.clone()));
            prop_assert_eq!(read_epochs(&write_epochs(epochs.iter().copied()), epochs.len()), Ok(epochs));
            let others: Vec<Gwei> = numbers.iter().rev().copied().map(Gwei).collect();
            let pairs = numbers.iter().copied().map(Gwei).zip(others.iter().copied());
            let want = numbers.iter().copied().map(Gwei).collect();
            prop_assert_eq!(read_amounts(&write_beside(pairs), &others), Ok(want));
            let mut json = Vec::new();
            amounts::serialize(&amounts, &mut serde_json::Serializer::new(&mut json)).unwrap();
            let again = amounts::deserialize(&mut serde_json::Deserializer::from_slice(&json)).unwrap();
            prop_assert_eq!(again, amounts);
        }
    }
}
