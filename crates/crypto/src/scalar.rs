//! Public numbers modulo the group order `r`.
//!
//! Nothing here is constant-time or wiped: secret scalars live in `keys`.

use crate::raw;
use blst::{blst_fr, blst_scalar};
use std::fmt;
use std::ops::{Add, Mul, Neg, Sub};

/// A public number modulo `r`, the order of both groups.
///
/// # Security
/// Not for secrets: neither constant-time nor zeroized, and `Debug` prints it.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Scalar(blst_fr);

impl Scalar {
    /// 0.
    pub const ZERO: Self = Self(blst_fr { l: [0; 4] });

    /// From 32 big-endian bytes; `None` from `r` on.
    pub fn from_be_bytes(bytes: &[u8; 32]) -> Option<Self> {
        raw::fr::from_be_bytes(bytes).map(Self)
    }

    /// The 32 big-endian bytes of the number.
    pub fn to_be_bytes(self) -> [u8; 32] {
        let mut bytes = self.to_blst().b;
        bytes.reverse();
        bytes
    }

    /// `1 / self`; `None` for 0.
    pub fn inverse(self) -> Option<Self> {
        (self != Self::ZERO).then(|| Self(raw::fr::invert(&self.0)))
    }

    /// As blst takes it to multiply.
    pub(crate) fn to_blst(self) -> blst_scalar {
        raw::fr::to_scalar(&self.0)
    }
}

impl From<u64> for Scalar {
    fn from(value: u64) -> Self {
        Self(raw::fr::from_words(&[value, 0, 0, 0]))
    }
}

impl From<u128> for Scalar {
    fn from(value: u128) -> Self {
        // The cast keeps the low word, which is what is meant.
        Self(raw::fr::from_words(&[value as u64, (value >> 64) as u64, 0, 0]))
    }
}

impl From<i128> for Scalar {
    fn from(value: i128) -> Self {
        let size = Self::from(value.unsigned_abs());
        if value < 0 { -size } else { size }
    }
}

impl Add for Scalar {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(raw::fr::add(&self.0, &other.0))
    }
}

impl Sub for Scalar {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(raw::fr::subtract(&self.0, &other.0))
    }
}

impl Mul for Scalar {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        Self(raw::fr::multiply(&self.0, &other.0))
    }
}

impl Neg for Scalar {
    type Output = Self;
    fn neg(self) -> Self {
        Self::ZERO - self
    }
}

impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.to_be_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_numbers_keep_their_sign_and_size() {
        let big = (1i128 << 100) + 12_345;
        assert_eq!(Scalar::from(big) + Scalar::from(-big), Scalar::ZERO);
        assert_eq!(Scalar::from(7u64) * Scalar::from(-6i128), Scalar::from(-42i128));
        let bytes = Scalar::from(big).to_be_bytes();
        assert_eq!(&bytes[16..], big.to_be_bytes());
        assert_eq!(Scalar::from_be_bytes(&bytes), Some(Scalar::from(big)));
    }

    #[test]
    fn the_order_itself_is_not_a_number_below_it() {
        let mut order = (-Scalar::from(1u64)).to_be_bytes();
        order[31] += 1;
        assert_eq!(Scalar::from_be_bytes(&order), None);
        assert_eq!(Scalar::ZERO.inverse(), None);
        let third = Scalar::from(3u64).inverse().unwrap();
        assert_eq!(third * Scalar::from(3u64), Scalar::from(1u64));
    }
}
