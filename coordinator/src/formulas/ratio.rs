//! Exact fractions: parameters of a policy, yields, shares of a total. Nothing here is rounded before it is applied.

use super::wide::{self, WideError};
use alloy_primitives::U256;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{cmp::Ordering, fmt, str::FromStr};
use thiserror::Error;

/// Basis points of a whole.
const WHOLE_BP: u16 = 10_000;
/// 10^77 is the largest power of ten in 256 bits.
const DIGITS_MAX: usize = 77;

/// Why something is not a fraction.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum RatioError {
    /// A fraction of nothing.
    #[error("{num} over zero is no fraction")]
    ZeroDenominator {
        /// What stands above.
        num: U256,
    },
    /// Not digits, with a point or a slash between them.
    #[error("not a fraction: digits, with a point or a slash between them")]
    NotDecimal,
    /// More digits than 256 bits can hold.
    #[error("more digits than 256 bits can hold")]
    TooLong,
    /// More than a whole where a part was asked for.
    #[error("{have} basis points are more than 10000")]
    MoreThanWhole {
        /// Basis points found.
        have: u16,
    },
}

/// A fraction that is not negative. Fractions of one value are equal, however they are written: `1/2` is `50/100`.
#[derive(Clone, Copy, Debug)]
pub struct Ratio {
    num: U256,
    den: U256,
}

impl Ratio {
    /// Nothing.
    pub const ZERO: Self = Self { num: U256::ZERO, den: U256::ONE };
    /// All of it.
    pub const ONE: Self = Self { num: U256::ONE, den: U256::ONE };

    /// `num / den`. Errors: `den` is zero.
    pub fn new(num: U256, den: U256) -> Result<Self, RatioError> {
        if den.is_zero() { Err(RatioError::ZeroDenominator { num }) } else { Ok(Self { num, den }) }
    }

    /// `num / den`, of small numbers. Errors: `den` is zero.
    pub fn of(num: u64, den: u64) -> Result<Self, RatioError> {
        Self::new(U256::from(num), U256::from(den))
    }

    /// What stands above the line.
    pub fn num(self) -> U256 {
        self.num
    }

    /// What stands below it; never zero.
    pub fn den(self) -> U256 {
        self.den
    }

    /// This part of `whole`, rounded down. Errors: more than 256 bits.
    pub fn floor_of(self, whole: U256) -> Result<U256, WideError> {
        wide::mul_div_floor(whole, self.num, self.den)
    }

    /// This part of `whole`, rounded up. Errors: more than 256 bits.
    pub fn ceil_of(self, whole: U256) -> Result<U256, WideError> {
        wide::mul_div_ceil(whole, self.num, self.den)
    }

    /// What is missing to a whole: `1 - r`; nothing where `r` is more than a whole.
    pub fn complement(self) -> Self {
        Self { num: self.den.saturating_sub(self.num), den: self.den }
    }
}

impl PartialEq for Ratio {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ratio {}

impl PartialOrd for Ratio {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ratio {
    fn cmp(&self, other: &Self) -> Ordering {
        wide::product(self.num, other.den).cmp(&wide::product(other.num, self.den))
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.num, self.den)
    }
}

impl FromStr for Ratio {
    type Err = RatioError;

    /// Reads `3/10`, `0.3` or `3`, exactly.
    fn from_str(text: &str) -> Result<Self, RatioError> {
        if let Some((num, den)) = text.split_once('/') {
            return Self::new(digits(num)?, digits(den)?);
        }
        let (whole, parts) = text.split_once('.').unwrap_or((text, ""));
        if text.ends_with('.') || whole.is_empty() {
            return Err(RatioError::NotDecimal);
        }
        let num = digits(&format!("{whole}{parts}"))?;
        if parts.len() > DIGITS_MAX {
            return Err(RatioError::TooLong);
        }
        Self::new(num, U256::from(10).pow(U256::from(parts.len())))
    }
}

fn digits(text: &str) -> Result<U256, RatioError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(RatioError::NotDecimal);
    }
    U256::from_str_radix(text, 10).map_err(|_| RatioError::TooLong)
}

impl Serialize for Ratio {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Ratio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A part of a whole in steps of a ten-thousandth: fees, limits, shares. Never more than a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct BasisPoints(u16);

impl BasisPoints {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// All of it.
    pub const WHOLE: Self = Self(WHOLE_BP);

    /// Errors: more than 10 000.
    pub const fn new(bp: u16) -> Result<Self, RatioError> {
        if bp > WHOLE_BP { Err(RatioError::MoreThanWhole { have: bp }) } else { Ok(Self(bp)) }
    }

    /// How many.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// As a fraction.
    pub fn ratio(self) -> Ratio {
        Ratio { num: U256::from(self.0), den: U256::from(WHOLE_BP) }
    }

    /// This part of `whole`, rounded down. It cannot overflow: the part is not more than the whole.
    pub fn floor_of(self, whole: U256) -> U256 {
        self.ratio().floor_of(whole).expect("a part is not more than the whole")
    }
}

impl TryFrom<u16> for BasisPoints {
    type Error = RatioError;
    fn try_from(bp: u16) -> Result<Self, RatioError> {
        Self::new(bp)
    }
}

impl From<BasisPoints> for u16 {
    fn from(bp: BasisPoints) -> Self {
        bp.0
    }
}

impl fmt::Display for BasisPoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bp", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_value_has_many_spellings() {
        let parse = |text: &str| text.parse::<Ratio>();
        for (one, other) in
            [("1/2", "0.5"), ("0.7525", "301/400"), ("3", "9/3"), ("0", "0/7"), ("007.50", "15/2")]
        {
            assert_eq!(parse(one).unwrap(), parse(other).unwrap());
        }
        for no in ["", "/", "1/", "/2", ".5", "5.", "-1", "+1", "1e3", "1/2/3", "1.2.3", "1.5/2", " 1"] {
            assert_eq!(parse(no), Err(RatioError::NotDecimal), "{no:?}");
        }
        assert_eq!(parse("1/0"), Err(RatioError::ZeroDenominator { num: U256::ONE }));
        assert_eq!(parse(&"9".repeat(78)), Err(RatioError::TooLong));
        assert_eq!(parse(&format!("0.{}1", "0".repeat(77))), Err(RatioError::TooLong));
    }

    #[test]
    fn basis_points_end_at_a_whole_also_when_read() {
        assert_eq!(BasisPoints::new(10_000), Ok(BasisPoints::WHOLE));
        assert_eq!(BasisPoints::new(10_001), Err(RatioError::MoreThanWhole { have: 10_001 }));
        assert!(serde_json::from_str::<BasisPoints>("10001").is_err());
        assert_eq!(serde_json::from_str::<BasisPoints>("250").unwrap().get(), 250);
        assert_eq!(BasisPoints::WHOLE.floor_of(U256::MAX), U256::MAX);
    }

    proptest! {
        #[test]
        fn order_is_that_of_cross_products(a: u64, b in 1u64.., c: u64, d in 1u64..) {
            let (one, other) = (Ratio::of(a, b).unwrap(), Ratio::of(c, d).unwrap());
            let products = (u128::from(a) * u128::from(d), u128::from(c) * u128::from(b));
            prop_assert_eq!(one.cmp(&other), products.0.cmp(&products.1));
        }

        #[test]
        fn text_gives_the_same_fraction_back(a: u64, b in 1u64..) {
            let ratio = Ratio::of(a, b).unwrap();
            let json = serde_json::to_string(&ratio).unwrap();
            prop_assert_eq!(serde_json::from_str::<Ratio>(&json).unwrap(), ratio);
        }

        #[test]
        fn a_part_and_its_complement_make_the_whole(bp in 0u16..=10_000, whole: u64) {
            let (part, whole) = (BasisPoints::new(bp).unwrap().ratio(), U256::from(whole));
            let split = part.floor_of(whole).unwrap() + part.complement().ceil_of(whole).unwrap();
            prop_assert_eq!(split, whole);
        }
    }
}
