//! What a report of the chain does to the pool: new total, fee in new shares, and bounds that a report must keep to.
//!
//! ```text
//! principal = cl_before + deposited                 deposited: by amount, as the chain has taken it up
//! unified   = cl_after + withdrawn                  withdrawn: swept to the pool's address in this frame
//! rewards   = unified - principal + el_rewards
//! fee_shares = 0                                                              if unified <= principal
//!            = floor( rewards * fee * (shares - burnt) / ((pooled - locked + rewards) * 10000 - rewards * fee) )
//! pooled' = pooled + unified - principal + el_rewards - locked
//! shares' = shares + fee_shares - burnt
//! ```
//!
//! A fee is taken of a gain on the consensus layer only: in a frame that lost there, rewards of the execution layer are
//! free of it. New shares are rounded down, in favour of those who hold shares: the fee is worth at most its part of the
//! rewards. All amounts are wei.
//!
//! Source: Lido's `Accounting.sol` (`_calculateFees`) and LIP-12; there validators that appeared count 32 ETH each, which
//! compounding validators made wrong, so deposits are told by amount here. Bounds: `OracleReportSanityChecker.sol`.

use super::ratio::{BasisPoints, Ratio};
use super::shares::{Rate, Shares};
use super::wide::{self, WideError};
use alloy_primitives::{U256, U512};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use types::Wei;

/// The unit that a share rate is told in: what 10^27 shares are worth.
pub const SHARE_RATE_UNIT: U256 = U256::from_limbs([11_515_845_246_265_065_472, 54_210_108, 0, 0]);

/// Parts of a whole in [`Bounds::positive_rebase_max_ppb`]: Lido's precision for it.
const PPB: u64 = 1_000_000_000;

/// Between two reports: what was there, what the chain says now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Shares and ETH before.
    pub before: Rate,
    /// Balances of the pool's validators at the report before.
    pub cl_before: Wei,
    /// Deposits that the chain has taken up since.
    pub deposited: Wei,
    /// Balances of the pool's validators now.
    pub cl_after: Wei,
    /// What validators' withdrawals brought to the pool's address since.
    pub withdrawn: Wei,
    /// What blocks brought to the pool's fee recipient since.
    pub el_rewards: Wei,
    /// ETH set aside for withdrawal requests that this report serves.
    pub locked: Wei,
    /// Their shares.
    pub burnt: Shares,
    /// The fee of all rewards.
    pub fee: BasisPoints,
}

/// What a frame comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebase {
    /// Shares and ETH after.
    pub after: Rate,
    /// New shares, for operators and the treasury; they are counted in `after`.
    pub fee_shares: Shares,
    /// Gain of both layers, if the consensus layer gained.
    pub rewards: Wei,
    /// Loss on the consensus layer, if it lost.
    pub cl_loss: Wei,
}

/// What no honest report goes beyond. Data of the pool's policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// By how much a share may gain in one frame, in 10^-9 of its worth. Lido's for a day: 750000, which is 0.075 %.
    pub positive_rebase_max_ppb: u64,
    /// By how much the consensus layer may lose in one frame, of its principal.
    pub cl_decrease_max: BasisPoints,
}

/// Why a report is refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum RebaseError {
    /// More set aside than there is.
    #[error("{locked} wei are set aside of {have}")]
    LockedTooMuch {
        /// Set aside.
        locked: Wei,
        /// What the pool has after the frame.
        have: Wei,
    },
    /// Shares are burnt that do not exist, or all of them.
    #[error("{burnt} of {have} shares are burnt, some must stay")]
    BurntTooMany {
        /// Burnt.
        burnt: Shares,
        /// All shares before.
        have: Shares,
    },
    /// The whole gain would be fee, so that it has no price in shares.
    #[error("a fee of {fee} takes everything the pool is worth")]
    FeeTakesAll {
        /// The fee.
        fee: BasisPoints,
    },
    /// A share gains too much to be true.
    #[error("a share gains {gain_ppb} parts in 10^9, at most {max_ppb}")]
    GainsTooMuch {
        /// Gain, rounded up.
        gain_ppb: U256,
        /// The bound.
        max_ppb: u64,
    },
    /// The consensus layer loses too much to be believed without a person.
    #[error("the consensus layer lost {loss} wei of {principal}, at most {max}")]
    LosesTooMuch {
        /// Lost.
        loss: Wei,
        /// Of how much.
        principal: Wei,
        /// The bound.
        max: BasisPoints,
    },
    /// Numbers that do not fit.
    #[error(transparent)]
    Wide(#[from] WideError),
}

impl Frame {
    /// Computes what the frame comes to. Errors: more is set aside or burnt than there is; numbers that do not fit.
    pub fn settle(&self) -> Result<Rebase, RebaseError> {
        let principal = wide::add(self.cl_before, self.deposited)?;
        let unified = wide::add(self.cl_after, self.withdrawn)?;
        let gained = unified > principal;
        let rewards =
            if gained { wide::add(wide::sub(unified, principal)?, self.el_rewards)? } else { Wei::ZERO };
        let cl_loss = if gained { Wei::ZERO } else { wide::sub(principal, unified)? };
        let have = wide::add(wide::add(self.before.pooled, unified)?, self.el_rewards)?;
        let have = wide::sub(have, principal)?;
        if self.locked > have {
            return Err(RebaseError::LockedTooMuch { locked: self.locked, have });
        }
        let pooled = wide::sub(have, self.locked)?;
        let staying = Shares(self.before.shares.0.saturating_sub(self.burnt.0));
        if staying == Shares::ZERO {
            return Err(RebaseError::BurntTooMany { burnt: self.burnt, have: self.before.shares });
        }
        let fee_shares = self.fee_shares(rewards, pooled, staying)?;
        let shares = Shares(wide::sum(staying.0, fee_shares.0)?);
        Ok(Rebase { after: Rate { shares, pooled }, fee_shares, rewards, cl_loss })
    }

    /// `pooled` is the pool after the frame, so `pooled - locked + rewards` of the formula in a frame that gained.
    fn fee_shares(&self, rewards: Wei, pooled: Wei, staying: Shares) -> Result<Shares, RebaseError> {
        let fee = wide::product(rewards.0, U256::from(self.fee.get()));
        if fee.is_zero() {
            return Ok(Shares::ZERO);
        }
        let whole = wide::product(pooled.0, U256::from(BasisPoints::WHOLE.get()));
        let rest = whole.checked_sub(fee).filter(|rest| !rest.is_zero());
        let rest = rest.ok_or(RebaseError::FeeTakesAll { fee: self.fee })?;
        let overflow = WideError::ProductOverflow { a: rewards.0, b: staying.0 };
        let minted = fee.checked_mul(U512::from(staying.0)).ok_or(overflow)? / rest;
        Ok(Shares(wide::narrow(minted).ok_or(overflow)?))
    }
}

impl Rebase {
    /// Whether an honest report can come to this. Errors: a share gains more, or the consensus layer loses more, than
    /// the bounds say.
    pub fn within(&self, frame: &Frame, bounds: &Bounds) -> Result<(), RebaseError> {
        let principal = wide::add(frame.cl_before, frame.deposited)?;
        if self.cl_loss.0 > bounds.cl_decrease_max.floor_of(principal.0) {
            let (loss, max) = (self.cl_loss, bounds.cl_decrease_max);
            return Err(RebaseError::LosesTooMuch { loss, principal, max });
        }
        let gain_ppb = gain_ppb(frame.before, self.after)?;
        if gain_ppb > U256::from(bounds.positive_rebase_max_ppb) {
            let max_ppb = bounds.positive_rebase_max_ppb;
            return Err(RebaseError::GainsTooMuch { gain_ppb, max_ppb });
        }
        Ok(())
    }

    /// What [`SHARE_RATE_UNIT`] shares are worth after the frame, rounded down.
    pub fn share_rate(&self) -> Result<U256, WideError> {
        self.after.per(SHARE_RATE_UNIT)
    }
}

/// By how much a share is worth more, in 10^-9, rounded up; zero for a loss, and where there was no price before.
fn gain_ppb(before: Rate, after: Rate) -> Result<U256, WideError> {
    let (a, b) = (before.pooled.0, after.pooled.0);
    let (now, then) = (wide::product(b, before.shares.0), wide::product(a, after.shares.0));
    let Some(gain) = now.checked_sub(then).filter(|_| !then.is_zero()) else { return Ok(U256::ZERO) };
    let overflow = WideError::ProductOverflow { a, b };
    let scaled = gain.checked_mul(U512::from(PPB)).ok_or(overflow)?;
    wide::narrow(scaled.div_ceil(then)).ok_or(overflow)
}

/// A module's part of the fee: of the fee of all modules together, what its active stake is of all.
///
/// ```text
/// part = floor(fee_shares * active / total)
/// ```
///
/// Rounded down; what the modules' parts leave over is the treasury's. Source: Lido's `StakingRouter.sol`.
pub fn module_part(fee_shares: Shares, active: Ratio) -> Result<Shares, WideError> {
    active.floor_of(fee_shares.0).map(Shares)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn eth(text: &str) -> Wei {
        Wei::from_eth(text).unwrap()
    }

    fn frame(cl_after: &str) -> Frame {
        Frame {
            before: Rate { shares: Shares(eth("8000000").0), pooled: eth("9600000") },
            cl_before: eth("9000000"),
            cl_after: eth(cl_after),
            fee: BasisPoints::new(1000).unwrap(),
            ..Frame::default()
        }
    }

    const BOUNDS: Bounds = Bounds {
        positive_rebase_max_ppb: 750_000,
        cl_decrease_max: match BasisPoints::new(360) {
            Ok(bp) => bp,
            Err(_) => BasisPoints::ZERO,
        },
    };

    #[test]
    fn the_unit_of_share_rates_is_ten_to_the_27th() {
        assert_eq!(SHARE_RATE_UNIT, U256::from(10).pow(U256::from(27)));
    }

    #[test]
    fn deposits_are_no_rewards_however_large() {
        let mut frame = frame("9002048");
        frame.deposited = eth("2048");
        let rebase = frame.settle().unwrap();
        assert_eq!((rebase.fee_shares, rebase.rewards, rebase.cl_loss), (Shares::ZERO, Wei::ZERO, Wei::ZERO));
        assert_eq!(rebase.after, frame.before);
    }

    #[test]
    fn a_loss_on_the_consensus_layer_frees_the_other_layers_rewards_of_the_fee() {
        let mut frame = frame("8999999.5");
        frame.el_rewards = eth("100");
        let rebase = frame.settle().unwrap();
        assert_eq!(rebase.fee_shares, Shares::ZERO);
        assert_eq!(rebase.after.pooled, eth("9600099.5"));
        assert_eq!(rebase.cl_loss, eth("0.5"));
    }

    #[test]
    fn bounds_are_kept_to_the_wei() {
        // 3.6 % of 9 million ETH.
        let at = frame("8676000");
        assert_eq!(at.settle().unwrap().within(&at, &BOUNDS), Ok(()));
        let below = frame("8675999.999999999999999999");
        let error = below.settle().unwrap().within(&below, &BOUNDS).unwrap_err();
        assert!(matches!(error, RebaseError::LosesTooMuch { .. }), "{error}");
        // 0.075 % of 9.6 million ETH, without a fee.
        let free = |cl: &str| Frame { fee: BasisPoints::ZERO, ..frame(cl) };
        let at = free("9007200");
        assert_eq!(at.settle().unwrap().within(&at, &BOUNDS), Ok(()));
        let above = free("9007200.000000000000000001");
        let error = above.settle().unwrap().within(&above, &BOUNDS).unwrap_err();
        assert_eq!(error, RebaseError::GainsTooMuch { gain_ppb: U256::from(750_001), max_ppb: 750_000 });
    }

    #[test]
    fn what_is_set_aside_or_burnt_is_there() {
        let mut frame = frame("9000000");
        frame.locked = eth("9600000.000000000000000001");
        assert!(matches!(frame.settle(), Err(RebaseError::LockedTooMuch { .. })));
        frame.locked = Wei::ZERO;
        frame.burnt = frame.before.shares;
        assert!(matches!(frame.settle(), Err(RebaseError::BurntTooMany { .. })));
    }

    prop_compose! {
        fn any_frame()(
            shares in 1u128..1 << 90, pooled in 1u128..1 << 90, cl in 0u128..1 << 89, deposited in 0u128..1 << 80,
            after in 0u128..1 << 90, withdrawn in 0u128..1 << 80, el in 0u128..1 << 80, fee in 0u16..=10_000,
        ) -> Frame {
            let wei = |amount: u128| Wei(U256::from(amount));
            Frame {
                before: Rate { shares: Shares(U256::from(shares)), pooled: wei(pooled + cl) },
                cl_before: wei(cl), deposited: wei(deposited), cl_after: wei(after), withdrawn: wei(withdrawn),
                el_rewards: wei(el), fee: BasisPoints::new(fee).unwrap(), ..Frame::default()
            }
        }
    }

    proptest! {
        #[test]
        fn the_fee_is_worth_its_part_of_the_rewards_less_than_a_share_and_a_wei(frame in any_frame()) {
            let Ok(rebase) = frame.settle() else { return Ok(()) };
            let worth = rebase.after.eth_of(rebase.fee_shares).unwrap();
            let due = frame.fee.floor_of(rebase.rewards.0);
            prop_assert!(worth.0 <= due);
            let share = rebase.after.eth_of_up(Shares(U256::ONE)).unwrap();
            prop_assert!(due - worth.0 <= share.0 + U256::ONE);
        }

        #[test]
        fn every_wei_of_the_frame_is_in_the_pool(frame in any_frame()) {
            let Ok(rebase) = frame.settle() else { return Ok(()) };
            let came = frame.before.pooled.0 + frame.cl_after.0 + frame.withdrawn.0 + frame.el_rewards.0;
            let gone = rebase.after.pooled.0 + frame.cl_before.0 + frame.deposited.0;
            prop_assert_eq!(came, gone);
            prop_assert!(rebase.rewards == Wei::ZERO || rebase.cl_loss == Wei::ZERO);
        }

        #[test]
        fn a_frame_that_gains_nothing_mints_nothing(frame in any_frame()) {
            let frame = Frame { cl_after: Wei::ZERO, withdrawn: Wei::ZERO, ..frame };
            let Ok(rebase) = frame.settle() else { return Ok(()) };
            prop_assert_eq!(rebase.fee_shares, Shares::ZERO);
            prop_assert_eq!(rebase.after.shares, frame.before.shares);
        }

        #[test]
        fn serving_withdrawals_at_the_rate_or_below_takes_nothing_from_those_who_stay(
            frame in any_frame(), part in 0u64..1000, less in 0u64..1000,
        ) {
            let Rate { shares, pooled } = frame.before;
            let burnt = Shares(shares.0 * U256::from(part) / U256::from(1000));
            let locked = Wei(frame.before.eth_of(burnt).unwrap().0.saturating_sub(U256::from(less)));
            let frame = Frame { before: frame.before, burnt, locked, ..Frame::default() };
            let after = frame.settle().unwrap().after;
            prop_assert_eq!((after.shares.0, after.pooled.0), (shares.0 - burnt.0, pooled.0 - locked.0));
            prop_assert!(wide::product(after.pooled.0, shares.0) >= wide::product(pooled.0, after.shares.0));
        }

        #[test]
        fn the_parts_of_modules_are_never_more_than_the_fee(
            fee: u64,
            active in prop::collection::vec(0u64..1 << 40, 1..8),
        ) {
            let total = active.iter().sum::<u64>().max(1);
            let fee = Shares(U256::from(fee));
            let parts =
                active.iter().map(|active| module_part(fee, Ratio::of(*active, total).unwrap()).unwrap().0);
            let paid = parts.fold(U256::ZERO, |sum, part| sum + part);
            prop_assert!(paid <= fee.0);
            prop_assert!(active.iter().all(|active| *active == 0) || fee.0 - paid < U256::from(active.len()));
        }

        #[test]
        fn a_gain_never_lowers_what_a_share_is_worth(frame in any_frame()) {
            let Ok(rebase) = frame.settle() else { return Ok(()) };
            if rebase.rewards != Wei::ZERO {
                let (now, then) = (rebase.after, frame.before);
                prop_assert!(
                    wide::product(now.pooled.0, then.shares.0) >= wide::product(then.pooled.0, now.shares.0)
                );
            }
        }
    }
}
