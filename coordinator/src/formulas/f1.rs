//! Rewards of those who delegate to one cluster, with slashes in the middle: Cosmos' F1, without iterating over them.
//!
//! ```text
//! R(X) = R(X-1) + rewards_X / stake_X                          per wei of stake, in 10^-27, rounded down
//! reward of a delegation from A to B, slashed at P1..PN:
//!   stake * (R(P1)-R(A)); stake = floor(stake * kept(P1)); ... + stake * (R(B)-R(PN))       rounded down, once
//! ```
//!
//! `kept` is one minus the fraction slashed. A period ends with each reward and each slash; a change of stake pays out and
//! starts again at the newest ratio. Everything is rounded down, so all claims together are never more than what came in;
//! [`F1::dust`] is the difference, and it stays for the reserve. Amounts are wei.
//!
//! Source: "F1 Fee Distribution" (Ojha, Goes), and `x/distribution` of cosmos-sdk; there reference counts delete old
//! periods, here a delegation carries the ratio it began with, and only slashes are remembered.

use super::ratio::Ratio;
use super::wide::{self, WideError};
use alloy_primitives::U256;
use std::collections::BTreeMap;
use thiserror::Error;
use types::{Address, Wei};

/// The unit of ratios: 10^27. A period's rounding loses less than a wei while less than 10^27 wei (10^9 ETH) is delegated.
pub const RATIO_UNIT: U256 = super::rebase::SHARE_RATE_UNIT;

/// A slash, as delegations that lived through it need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlashPoint {
    /// The cumulative ratio when it happened, in [`RATIO_UNIT`].
    pub ratio: U256,
    /// What it left of each stake.
    pub kept: Ratio,
}

/// What a delegation has earned, and what slashes have left of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Earned {
    /// Its reward.
    pub reward: Wei,
    /// Its stake now.
    pub stake: Wei,
}

/// Why a change is refused. A refused change changes nothing.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum F1Error {
    /// Ratios only grow.
    #[error("a cumulative ratio went from {from} to {to}")]
    RatioFell {
        /// Before.
        from: U256,
        /// After.
        to: U256,
    },
    /// A slash that adds.
    #[error("a slash cannot keep {kept} of a stake")]
    KeepsMoreThanAll {
        /// What it would keep.
        kept: Ratio,
    },
    /// Less stake than asked for.
    #[error("{account} has delegated {have} wei, {need} are asked for")]
    TooLittle {
        /// Whose.
        account: Address,
        /// Stake now.
        have: Wei,
        /// Asked for.
        need: Wei,
    },
    /// Numbers that do not fit.
    #[error(transparent)]
    Wide(#[from] WideError),
}

/// What a stake earns between two cumulative ratios, `slashes` in their order between them.
///
/// Rounded down once, at the end; the stake is rounded down at each slash. Errors: ratios that fall, a slash that adds.
pub fn earned(stake: Wei, from: U256, slashes: &[SlashPoint], to: U256) -> Result<Earned, F1Error> {
    let (mut stake, mut at, mut units) = (stake.0, from, U256::ZERO);
    let mut earn = |stake: U256, from: U256, to: U256| {
        let gain = to.checked_sub(from).ok_or(F1Error::RatioFell { from, to })?;
        units = wide::sum(units, wide::times(stake, gain)?)?;
        Ok::<(), F1Error>(())
    };
    for slash in slashes {
        earn(stake, at, slash.ratio)?;
        (stake, at) = (kept_of(stake, slash.kept)?, slash.ratio);
    }
    earn(stake, at, to)?;
    Ok(Earned { reward: Wei(units / RATIO_UNIT), stake: Wei(stake) })
}

fn kept_of(stake: U256, kept: Ratio) -> Result<U256, F1Error> {
    if kept > Ratio::ONE {
        return Err(F1Error::KeepsMoreThanAll { kept });
    }
    Ok(kept.floor_of(stake)?)
}

/// A delegation: its stake, and where it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Delegation {
    stake: Wei,
    ratio: U256,
    /// How many slashes had happened.
    slashes: usize,
}

/// The delegations to one cluster.
///
/// Cost: a reward or a slash is constant, whatever the number of delegations; a claim is linear in the slashes since it
/// began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct F1 {
    ratio: U256,
    /// At least the sum of all stakes: it is rounded down as one, they one by one.
    stake: Wei,
    slashes: Vec<SlashPoint>,
    delegations: BTreeMap<Address, Delegation>,
    /// Rewards that came in and were not paid out.
    held: Wei,
}

impl F1 {
    /// All stake, a few wei more than that of the delegations after slashes.
    pub fn stake(&self) -> Wei {
        self.stake
    }

    /// The cumulative ratio, in [`RATIO_UNIT`].
    pub fn ratio(&self) -> U256 {
        self.ratio
    }

    /// Rewards that came in and were not paid out.
    pub fn held(&self) -> Wei {
        self.held
    }

    /// A period ends with its reward. With nobody to have it, it is dust.
    pub fn reward(&mut self, amount: Wei) -> Result<(), F1Error> {
        let held = wide::add(self.held, amount)?;
        if self.stake != Wei::ZERO {
            let gain = wide::mul_div_floor(amount.0, RATIO_UNIT, self.stake.0)?;
            self.ratio = wide::sum(self.ratio, gain)?;
        }
        self.held = held;
        Ok(())
    }

    /// A period ends with a slash that leaves `kept` of every stake; gives what it took, rounded up.
    ///
    /// Errors: it would add.
    pub fn slash(&mut self, kept: Ratio) -> Result<Wei, F1Error> {
        let left = Wei(kept_of(self.stake.0, kept)?);
        let lost = wide::sub(self.stake, left)?;
        self.stake = left;
        self.slashes.push(SlashPoint { ratio: self.ratio, kept });
        Ok(lost)
    }

    /// What an account has earned and not been paid, and its stake now; nothing for one that has not delegated.
    pub fn earned(&self, account: Address) -> Result<Earned, F1Error> {
        let Some(delegation) = self.delegations.get(&account) else { return Ok(Earned::default()) };
        earned(delegation.stake, delegation.ratio, &self.slashes[delegation.slashes..], self.ratio)
    }

    /// Adds stake; gives the reward until now, which is paid out.
    pub fn delegate(&mut self, account: Address, amount: Wei) -> Result<Wei, F1Error> {
        let Earned { reward, stake } = self.earned(account)?;
        let total = wide::add(self.stake, amount)?;
        let held = wide::sub(self.held, reward)?;
        self.begin(account, wide::add(stake, amount)?);
        (self.stake, self.held) = (total, held);
        Ok(reward)
    }

    /// Takes stake away; gives the reward until now, which is paid out. Errors: more than slashes have left.
    pub fn undelegate(&mut self, account: Address, amount: Wei) -> Result<Wei, F1Error> {
        let Earned { reward, stake } = self.earned(account)?;
        let left = stake.0.checked_sub(amount.0);
        let left = left.ok_or(F1Error::TooLittle { account, have: stake, need: amount })?;
        let (total, held) = (wide::sub(self.stake, amount)?, wide::sub(self.held, reward)?);
        self.begin(account, Wei(left));
        (self.stake, self.held) = (total, held);
        Ok(reward)
    }

    /// Pays an account's reward out.
    pub fn claim(&mut self, account: Address) -> Result<Wei, F1Error> {
        self.delegate(account, Wei::ZERO)
    }

    /// What is held beyond all claims: the reserve's, once all have claimed. Cost: all delegations.
    pub fn dust(&self) -> Result<Wei, F1Error> {
        let mut dust = self.held;
        for account in self.delegations.keys() {
            dust = wide::sub(dust, self.earned(*account)?.reward)?;
        }
        Ok(dust)
    }

    fn begin(&mut self, account: Address, stake: Wei) {
        if stake == Wei::ZERO {
            self.delegations.remove(&account);
        } else {
            let begun = Delegation { stake, ratio: self.ratio, slashes: self.slashes.len() };
            self.delegations.insert(account, begun);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ACCOUNTS: u8 = 4;

    #[derive(Clone, Copy, Debug)]
    enum Event {
        Reward(u64),
        /// Thousandths kept.
        Slash(u16),
        Delegate(u8, u64),
        /// Thousandths of the stake.
        Undelegate(u8, u16),
        Claim(u8),
    }

    fn account(no: u8) -> Address {
        Address([no; 20])
    }

    fn event() -> impl Strategy<Value = Event> {
        let amount = || prop_oneof![0u64..50, any::<u64>()];
        prop_oneof![
            3 => amount().prop_map(Event::Reward),
            1 => (0u16..=1000).prop_map(Event::Slash),
            2 => (0..ACCOUNTS, amount()).prop_map(|(a, x)| Event::Delegate(a, x)),
            1 => (0..ACCOUNTS, 0u16..=1000).prop_map(|(a, x)| Event::Undelegate(a, x)),
            1 => (0..ACCOUNTS).prop_map(Event::Claim),
        ]
    }

    /// The obvious version: each event goes over all delegations, in exact fractions of `10^27` wei.
    #[derive(Default)]
    struct Slow {
        stakes: BTreeMap<u8, U256>,
        /// Rewards, in 10^-27 wei.
        units: BTreeMap<u8, U256>,
    }

    impl Slow {
        fn reward(&mut self, amount: u64, total: U256) {
            for (account, stake) in &self.stakes {
                if !total.is_zero() {
                    let part = U256::from(amount) * RATIO_UNIT / total * *stake;
                    *self.units.entry(*account).or_default() += part;
                }
            }
        }

        fn slash(&mut self, kept: u16) {
            for stake in self.stakes.values_mut() {
                *stake = *stake * U256::from(kept) / U256::from(1000);
            }
        }

        fn pay(&mut self, account: u8) -> U256 {
            self.units.remove(&account).unwrap_or_default() / RATIO_UNIT
        }
    }

    proptest! {
        #[test]
        fn it_pays_what_going_over_all_delegations_pays(events in prop::collection::vec(event(), 1..60)) {
            let (mut pool, mut slow) = (F1::default(), Slow::default());
            let (mut came, mut paid) = (U256::ZERO, U256::ZERO);
            for event in events {
                match event {
                    Event::Reward(amount) => {
                        slow.reward(amount, pool.stake().0);
                        came += U256::from(amount);
                        pool.reward(Wei(U256::from(amount))).unwrap();
                    }
                    Event::Slash(kept) => {
                        slow.slash(kept);
                        let before = pool.stake();
                        let lost = pool.slash(Ratio::of(kept.into(), 1000).unwrap()).unwrap();
                        prop_assert_eq!(pool.stake().0 + lost.0, before.0);
                    }
                    Event::Delegate(no, amount) => {
                        let reward = pool.delegate(account(no), Wei(U256::from(amount))).unwrap();
                        prop_assert_eq!(reward.0, slow.pay(no));
                        *slow.stakes.entry(no).or_default() += U256::from(amount);
                        paid += reward.0;
                    }
                    Event::Undelegate(no, part) => {
                        let stake = pool.earned(account(no)).unwrap().stake;
                        let amount = stake.0 * U256::from(part) / U256::from(1000);
                        let reward = pool.undelegate(account(no), Wei(amount)).unwrap();
                        prop_assert_eq!(reward.0, slow.pay(no));
                        *slow.stakes.entry(no).or_default() -= amount;
                        paid += reward.0;
                    }
                    Event::Claim(no) => {
                        let reward = pool.claim(account(no)).unwrap();
                        prop_assert_eq!(reward.0, slow.pay(no));
                        paid += reward.0;
                    }
                }
                let stakes = slow
                    .stakes
                    .iter()
                    .map(|(no, stake)| (pool.earned(account(*no)).unwrap().stake.0, *stake));
                prop_assert!(stakes.clone().all(|(have, want)| have == want));
                prop_assert!(stakes.fold(U256::ZERO, |sum, (have, _)| sum + have) <= pool.stake().0);
                prop_assert_eq!(pool.held().0, came - paid);
                prop_assert!(pool.dust().unwrap() <= pool.held());
            }
        }

        #[test]
        fn without_slashes_only_dust_stays(
            rewards in prop::collection::vec(any::<u64>(), 1..20),
            stakes in prop::collection::vec(1u64.., 1..4),
        ) {
            let mut pool = F1::default();
            for (no, stake) in (0..).zip(&stakes) {
                pool.delegate(account(no), Wei(U256::from(*stake))).unwrap();
            }
            for reward in &rewards {
                pool.reward(Wei(U256::from(*reward))).unwrap();
            }
            // Less than a wei for each period, less than a wei for each claim.
            prop_assert!(pool.dust().unwrap().0 <= U256::from(rewards.len() + stakes.len()));
        }
    }

    #[test]
    fn a_slash_lowers_later_rewards_and_not_earlier_ones() {
        let (one, other) = (account(1), account(2));
        let wei = |amount: u64| Wei(U256::from(amount));
        let mut pool = F1::default();
        pool.delegate(one, wei(1000)).unwrap();
        pool.reward(wei(100)).unwrap();
        assert_eq!(pool.slash(Ratio::of(1, 2).unwrap()), Ok(wei(500)));
        // Came after the slash: nothing of it, nothing of the reward before.
        pool.delegate(other, wei(500)).unwrap();
        pool.reward(wei(100)).unwrap();
        assert_eq!(pool.earned(one), Ok(Earned { reward: wei(150), stake: wei(500) }));
        assert_eq!(pool.earned(other), Ok(Earned { reward: wei(50), stake: wei(500) }));
        let refused = pool.undelegate(one, wei(501));
        assert_eq!(refused, Err(F1Error::TooLittle { account: one, have: wei(500), need: wei(501) }));
        assert_eq!(pool.undelegate(one, wei(500)), Ok(wei(150)));
        assert_eq!(pool.claim(other), Ok(wei(50)));
        assert_eq!((pool.held(), pool.stake()), (Wei::ZERO, wei(500)));
    }

    #[test]
    fn slashes_that_add_and_ratios_that_fall_are_refused() {
        let kept = Ratio::of(1001, 1000).unwrap();
        assert_eq!(F1::default().slash(kept), Err(F1Error::KeepsMoreThanAll { kept }));
        let (from, to) = (U256::from(2), U256::ONE);
        assert_eq!(earned(Wei(U256::ONE), from, &[], to), Err(F1Error::RatioFell { from, to }));
    }

    #[test]
    fn a_reward_for_nobody_is_dust() {
        let mut pool = F1::default();
        pool.reward(Wei(U256::from(7))).unwrap();
        pool.delegate(account(1), Wei(U256::ONE)).unwrap();
        assert_eq!(pool.earned(account(1)).unwrap().reward, Wei::ZERO);
        assert_eq!(pool.dust(), Ok(Wei(U256::from(7))));
    }
}
