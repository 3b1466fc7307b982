//! Integers of 256 bits whose products are not cut: `a * b / c` goes through 512 bits.
//!
//! Every rounding in this crate is one of the two functions here, so that each caller says which way it goes.

use alloy_primitives::{U256, U512};
use thiserror::Error;
use types::{Gwei, Wei};

/// Wei of a gwei.
pub const GWEI_WEI: U256 = U256::from_limbs([1_000_000_000, 0, 0, 0]);
/// Gwei of an ETH.
pub const ETH_GWEI: u64 = 1_000_000_000;

/// Why integers cannot be put together.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum WideError {
    /// A division by zero.
    #[error("{a} times {b} is divided by zero")]
    DivisionByZero {
        /// One factor.
        a: U256,
        /// The other.
        b: U256,
    },
    /// A product that is too large, after the division if there is one.
    #[error("{a} times {b} needs more than 256 bits")]
    ProductOverflow {
        /// One factor.
        a: U256,
        /// The other.
        b: U256,
    },
    /// A sum that is too large.
    #[error("{a} plus {b} needs more than 256 bits")]
    SumOverflow {
        /// One term.
        a: U256,
        /// The other.
        b: U256,
    },
    /// A difference below zero.
    #[error("{a} minus {b} is below zero")]
    BelowZero {
        /// What there is.
        a: U256,
        /// What is taken.
        b: U256,
    },
}

/// `a * b / c`, rounded down. Errors: `c` is zero; the result has more than 256 bits.
pub fn mul_div_floor(a: U256, b: U256, c: U256) -> Result<U256, WideError> {
    mul_div(a, b, c).map(|(quotient, _)| quotient)
}

/// `a * b / c`, rounded up. Errors: `c` is zero; the result has more than 256 bits.
pub fn mul_div_ceil(a: U256, b: U256, c: U256) -> Result<U256, WideError> {
    let (quotient, exact) = mul_div(a, b, c)?;
    if exact {
        return Ok(quotient);
    }
    quotient.checked_add(U256::ONE).ok_or(WideError::ProductOverflow { a, b })
}

/// The quotient rounded down, and whether nothing was left over.
fn mul_div(a: U256, b: U256, c: U256) -> Result<(U256, bool), WideError> {
    if c.is_zero() {
        return Err(WideError::DivisionByZero { a, b });
    }
    let (quotient, rest) = product(a, b).div_rem(U512::from(c));
    let quotient = narrow(quotient).ok_or(WideError::ProductOverflow { a, b })?;
    Ok((quotient, rest.is_zero()))
}

/// `a * b`, which always fits.
pub fn product(a: U256, b: U256) -> U512 {
    a.widening_mul(b)
}

/// The same number in 256 bits, if it has no more.
pub fn narrow(wide: U512) -> Option<U256> {
    U256::checked_from_limbs_slice(wide.as_limbs())
}

/// `a * b`. Errors: more than 256 bits.
pub fn times(a: U256, b: U256) -> Result<U256, WideError> {
    a.checked_mul(b).ok_or(WideError::ProductOverflow { a, b })
}

/// `a + b`, or an error that names both.
pub fn sum(a: U256, b: U256) -> Result<U256, WideError> {
    a.checked_add(b).ok_or(WideError::SumOverflow { a, b })
}

/// `a - b`, or an error that names both.
pub fn difference(a: U256, b: U256) -> Result<U256, WideError> {
    a.checked_sub(b).ok_or(WideError::BelowZero { a, b })
}

/// Two amounts together.
pub fn add(a: Wei, b: Wei) -> Result<Wei, WideError> {
    sum(a.0, b.0).map(Wei)
}

/// What is left of an amount.
pub fn sub(a: Wei, b: Wei) -> Result<Wei, WideError> {
    difference(a.0, b.0).map(Wei)
}

/// All amounts together.
pub fn total(amounts: impl IntoIterator<Item = Wei>) -> Result<Wei, WideError> {
    amounts.into_iter().try_fold(Wei::ZERO, add)
}

/// The same amount in wei: 94 bits at most, so it always fits.
pub fn wei(gwei: Gwei) -> Wei {
    Wei(U256::from(gwei.0) * GWEI_WEI)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Any 256 bits, small numbers as often as large ones.
    fn any_u256() -> impl Strategy<Value = U256> {
        (any::<[u64; 4]>(), 0usize..=256)
            .prop_map(|(limbs, shift)| U256::from_limbs(limbs).wrapping_shr(shift))
    }

    proptest! {
        #[test]
        fn quotient_and_rest_give_the_product_back(a in any_u256(), b in any_u256(), c in any_u256()) {
            let Ok(floor) = mul_div_floor(a, b, c) else {
                // Refused only for a reason: no divisor, or a quotient of more than 256 bits.
                prop_assert!(c.is_zero() || product(a, b) >> 256 >= U512::from(c));
                return Ok(());
            };
            let back = product(floor, c);
            prop_assert!(back <= product(a, b));
            prop_assert!(product(a, b) - back < U512::from(c));
            if let Ok(ceil) = mul_div_ceil(a, b, c) {
                prop_assert_eq!(ceil - floor, U256::from(u8::from(back != product(a, b))));
            }
        }

        #[test]
        fn small_products_are_those_of_machine_integers(a: u64, b: u64, c in 1u64..) {
            let exact = u128::from(a) * u128::from(b);
            let [a, b, wide_c] = [a, b, c].map(U256::from);
            prop_assert_eq!(mul_div_floor(a, b, wide_c), Ok(U256::from(exact / u128::from(c))));
            prop_assert_eq!(mul_div_ceil(a, b, wide_c), Ok(U256::from(exact.div_ceil(u128::from(c)))));
        }
    }

    #[test]
    fn the_largest_product_divides_back_and_one_more_is_refused() {
        let max = U256::MAX;
        assert_eq!(mul_div_floor(max, max, max), Ok(max));
        let (a, b) = (max, U256::from(2));
        assert_eq!(mul_div_floor(a, b, U256::ONE), Err(WideError::ProductOverflow { a, b }));
        assert_eq!(mul_div_ceil(a, b, U256::ZERO), Err(WideError::DivisionByZero { a, b }));
        // Rounded down it fits, rounded up it does not.
        let (a, c) = (max, U256::from(3));
        let b = c + U256::ONE;
        assert!(mul_div_floor(a, c, c).is_ok() && mul_div_floor(a, b, c).is_err());
        assert_eq!(add(Wei(max), Wei(U256::ONE)), Err(WideError::SumOverflow { a: max, b: U256::ONE }));
        let (a, b) = (U256::ONE, U256::from(2));
        assert_eq!(sub(Wei(a), Wei(b)), Err(WideError::BelowZero { a, b }));
    }

    #[test]
    fn a_gwei_is_a_thousand_million_wei() {
        assert_eq!(wei(Gwei(32 * ETH_GWEI)).to_string(), "32000000000000000000");
        assert_eq!(wei(Gwei(u64::MAX)).0 / GWEI_WEI, U256::from(u64::MAX));
    }
}
