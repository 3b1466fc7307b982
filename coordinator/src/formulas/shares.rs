//! Who owns which part of the pool: books in shares, balances in ETH.
//!
//! ```text
//! shares(eth)   = floor(eth    * total_shares / total_pooled)     deposit, transfer
//! eth(shares)   = floor(shares * total_pooled / total_shares)     balance, redemption
//! eth_up(shares) = ceil(...)                                      where the pool must not lose
//! ```
//!
//! Every rounding is in favour of the pool, that is of all who hold shares. So the balances together are never more than
//! the pool, and what they are less is [`SharePool::dust`]: below one wei for each account.
//!
//! Source: Lido's `StETH.sol` (`getSharesByPooledEth`, `getPooledEthByShares`); wstETH for shares as a unit that does not
//! rebase: one wrapped unit is one share.

use super::decimal;
use super::wide::{self, WideError};
use alloy_primitives::U256;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};
use thiserror::Error;
use types::{Address, Wei};

/// The account that nobody has a key for. It holds [`DEAD_SHARES`] for ever.
pub const DEAD_HOLDER: Address = Address([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xde, 0xad]);

/// Shares that the first deposit leaves to [`DEAD_HOLDER`]: a gwei's worth.
///
/// Who owned all shares could mint one of a wei, make it dear by a gift, and take what rounding cuts off the next
/// deposit. Now a gift goes to these first: to cut an ETH off a deposit costs 10^9 ETH.
pub const DEAD_SHARES: Shares = Shares(wide::GWEI_WEI);

/// A number of shares. Written as decimal text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shares(#[serde(with = "decimal")] pub U256);

impl Shares {
    /// None.
    pub const ZERO: Self = Self(U256::ZERO);
}

impl fmt::Display for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What all shares are worth together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// All shares.
    pub shares: Shares,
    /// All ETH of the pool, in wei.
    pub pooled: Wei,
}

impl Rate {
    /// The shares of an amount, rounded down. Errors: the pool is worth nothing; overflow.
    pub fn shares_of(self, eth: Wei) -> Result<Shares, WideError> {
        wide::mul_div_floor(eth.0, self.shares.0, self.pooled.0).map(Shares)
    }

    /// What shares are worth, rounded down. Errors: there are no shares; overflow.
    pub fn eth_of(self, shares: Shares) -> Result<Wei, WideError> {
        wide::mul_div_floor(shares.0, self.pooled.0, self.shares.0).map(Wei)
    }

    /// What shares are worth, rounded up. Errors: there are no shares; overflow.
    pub fn eth_of_up(self, shares: Shares) -> Result<Wei, WideError> {
        wide::mul_div_ceil(shares.0, self.pooled.0, self.shares.0).map(Wei)
    }

    /// What `unit` shares are worth, rounded down: with `unit` 10^27 the share rate of reports.
    pub fn per(self, unit: U256) -> Result<U256, WideError> {
        wide::mul_div_floor(self.pooled.0, unit, self.shares.0)
    }
}

/// Why a command of the ledger is refused. A refused command changes nothing.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ShareError {
    /// So little that it is no share.
    #[error("{eth} wei are less than one share")]
    LessThanAShare {
        /// The amount.
        eth: Wei,
    },
    /// A first deposit that leaves nothing to its depositor.
    #[error("a first deposit of {eth} wei is not more than the {dead} that stay with nobody")]
    FirstTooSmall {
        /// The amount.
        eth: Wei,
        /// What stays.
        dead: Shares,
    },
    /// More than the account has.
    #[error("{account} has {have} shares, {need} are asked for")]
    TooFew {
        /// Whose.
        account: Address,
        /// Shares it has.
        have: Shares,
        /// Shares asked for.
        need: Shares,
    },
    /// Nobody speaks for the dead holder.
    #[error("shares of the dead holder do not move")]
    Dead,
    /// Shares without a pool, or a pool without ETH: no price.
    #[error("{shares} shares of a pool of {pooled} wei have no price")]
    NoPrice {
        /// All shares.
        shares: Shares,
        /// All ETH.
        pooled: Wei,
    },
    /// Numbers that do not fit.
    #[error(transparent)]
    Wide(#[from] WideError),
}

/// A pool's ledger: shares by account, and what they are worth together.
///
/// Any command either happens as a whole or is refused and changes nothing. What is read back from text is a ledger that
/// commands could have made, or refused: accounts with nothing, or shares that are nobody's, are not read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct SharePool {
    rate: Rate,
    balances: BTreeMap<Address, Shares>,
}

/// A ledger as it was read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    rate: Rate,
    balances: BTreeMap<Address, Shares>,
}

/// Why a stored ledger is not read.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
enum StoredError {
    #[error("an account of no shares")]
    Empty,
    #[error("accounts have other shares together than {all}")]
    Sum { all: Shares },
    #[error("the dead holder has {have} shares")]
    Dead { have: Shares },
}

impl TryFrom<Stored> for SharePool {
    type Error = StoredError;

    fn try_from(Stored { rate, balances }: Stored) -> Result<Self, StoredError> {
        let all = rate.shares;
        if balances.values().any(|shares| *shares == Shares::ZERO) {
            return Err(StoredError::Empty);
        }
        let sum = balances.values().try_fold(U256::ZERO, |sum, shares| sum.checked_add(shares.0));
        if sum != Some(all.0) || (all == Shares::ZERO && rate.pooled != Wei::ZERO) {
            return Err(StoredError::Sum { all });
        }
        let have = balances.get(&DEAD_HOLDER).copied().unwrap_or_default();
        if all != Shares::ZERO && have < DEAD_SHARES {
            return Err(StoredError::Dead { have });
        }
        Ok(Self { rate, balances })
    }
}

impl SharePool {
    /// All shares, and all ETH of the pool.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// An account's shares.
    pub fn shares(&self, account: Address) -> Shares {
        self.balances.get(&account).copied().unwrap_or_default()
    }

    /// Accounts that have shares, in order.
    pub fn accounts(&self) -> impl Iterator<Item = (Address, Shares)> + '_ {
        self.balances.iter().map(|(account, shares)| (*account, *shares))
    }

    /// What an account's shares are worth, rounded down.
    pub fn balance(&self, account: Address) -> Wei {
        self.rate.eth_of(self.shares(account)).unwrap_or_default()
    }

    /// What the balances are less than the pool: below one wei for each account. Cost: all accounts.
    pub fn dust(&self) -> Wei {
        let whole = |sum: U256, account: &Address| sum + self.balance(*account).0;
        Wei(self.rate.pooled.0 - self.balances.keys().fold(U256::ZERO, whole))
    }

    /// What a deposit would get, without taking it. Errors: those of [`Self::deposit`].
    pub fn quote(&self, eth: Wei) -> Result<Shares, ShareError> {
        if self.rate.shares == Shares::ZERO {
            let first = eth.0.checked_sub(DEAD_SHARES.0).filter(|rest| !rest.is_zero());
            return first.map(Shares).ok_or(ShareError::FirstTooSmall { eth, dead: DEAD_SHARES });
        }
        self.priced()?;
        self.shares_for(eth)
    }

    /// Takes ETH for shares, which are given back. The first deposit is one share for a wei, and leaves [`DEAD_SHARES`]
    /// to the dead holder.
    ///
    /// Errors: less than a share; a first deposit of no more than [`DEAD_SHARES`]; a pool that lost everything.
    pub fn deposit(&mut self, account: Address, eth: Wei) -> Result<Shares, ShareError> {
        let pooled = wide::add(self.rate.pooled, eth)?;
        let shares = self.quote(eth)?;
        if self.rate.shares == Shares::ZERO {
            self.rate = Rate { shares: Shares(eth.0), pooled };
            self.credit(DEAD_HOLDER, DEAD_SHARES);
        } else {
            self.rate = Rate { shares: Shares(wide::sum(self.rate.shares.0, shares.0)?), pooled };
        }
        self.credit(account, shares);
        Ok(shares)
    }

    /// Moves the shares of an amount, rounded down: what arrives can be a wei or two less than `eth`, never more.
    pub fn transfer(&mut self, from: Address, to: Address, eth: Wei) -> Result<Shares, ShareError> {
        self.priced()?;
        let shares = self.shares_for(eth)?;
        self.transfer_shares(from, to, shares)?;
        Ok(shares)
    }

    /// Moves shares.
    pub fn transfer_shares(&mut self, from: Address, to: Address, shares: Shares) -> Result<(), ShareError> {
        self.debit(from, shares)?;
        self.credit(to, shares);
        Ok(())
    }

    /// Destroys shares; their ETH stays, for all others.
    pub fn burn(&mut self, account: Address, shares: Shares) -> Result<(), ShareError> {
        self.debit(account, shares)?;
        self.rate.shares.0 -= shares.0;
        Ok(())
    }

    /// Destroys shares and lets their ETH go, rounded down; gives how much.
    pub fn redeem(&mut self, account: Address, shares: Shares) -> Result<Wei, ShareError> {
        self.priced()?;
        let eth = self.rate.eth_of(shares)?;
        self.burn(account, shares)?;
        self.rate.pooled.0 -= eth.0;
        Ok(eth)
    }

    /// What a report says: the pool's ETH is now `pooled`, and `fee` new shares are `collector`'s.
    /// [`super::rebase::Frame::settle`] computes both. A pool that lost everything can get something back.
    ///
    /// Errors: nobody has shares; overflow.
    pub fn rebase(&mut self, pooled: Wei, collector: Address, fee: Shares) -> Result<(), ShareError> {
        if self.rate.shares == Shares::ZERO {
            return Err(ShareError::NoPrice { shares: Shares::ZERO, pooled });
        }
        let shares = Shares(wide::sum(self.rate.shares.0, fee.0)?);
        self.rate = Rate { shares, pooled };
        self.credit(collector, fee);
        Ok(())
    }

    fn priced(&self) -> Result<(), ShareError> {
        let Rate { shares, pooled } = self.rate;
        let priced = shares != Shares::ZERO && pooled != Wei::ZERO;
        if priced { Ok(()) } else { Err(ShareError::NoPrice { shares, pooled }) }
    }

    fn shares_for(&self, eth: Wei) -> Result<Shares, ShareError> {
        let shares = self.rate.shares_of(eth)?;
        if shares == Shares::ZERO { Err(ShareError::LessThanAShare { eth }) } else { Ok(shares) }
    }

    fn debit(&mut self, account: Address, need: Shares) -> Result<(), ShareError> {
        if account == DEAD_HOLDER {
            return Err(ShareError::Dead);
        }
        let have = self.shares(account);
        let rest = have.0.checked_sub(need.0).ok_or(ShareError::TooFew { account, have, need })?;
        if rest.is_zero() {
            self.balances.remove(&account);
        } else {
            self.balances.insert(account, Shares(rest));
        }
        Ok(())
    }

    /// The sum of all shares fits, so that of one account does.
    fn credit(&mut self, account: Address, shares: Shares) {
        if shares != Shares::ZERO {
            self.balances.entry(account).or_default().0 += shares.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ACCOUNTS: u8 = 5;

    #[derive(Clone, Copy, Debug)]
    enum Command {
        Deposit(u8, u128),
        Transfer(u8, u8, u128),
        TransferShares(u8, u8, u128),
        Burn(u8, u64),
        Redeem(u8, u128),
        /// In thousandths of what is there, with a fee in shares.
        Rebase(u16, u64),
    }

    fn account(no: u8) -> Address {
        Address([no + 1; 20])
    }

    fn command() -> impl Strategy<Value = Command> {
        let who = || 0..ACCOUNTS;
        let amount = || prop_oneof![0u128..100, any::<u64>().prop_map(u128::from), 0u128..1 << 90];
        prop_oneof![
            (who(), amount()).prop_map(|(a, x)| Command::Deposit(a, x)),
            (who(), who(), amount()).prop_map(|(a, b, x)| Command::Transfer(a, b, x)),
            (who(), who(), amount()).prop_map(|(a, b, x)| Command::TransferShares(a, b, x)),
            (who(), any::<u64>()).prop_map(|(a, x)| Command::Burn(a, x)),
            (who(), amount()).prop_map(|(a, x)| Command::Redeem(a, x)),
            (900u16..1200, any::<u64>()).prop_map(|(a, x)| Command::Rebase(a, x)),
        ]
    }

    /// Runs a command; gives what came into the pool and what left it, in wei.
    fn run(pool: &mut SharePool, command: Command) -> Result<(U256, U256), ShareError> {
        let none = U256::ZERO;
        match command {
            Command::Deposit(a, x) => {
                pool.deposit(account(a), Wei(U256::from(x))).map(|_| (U256::from(x), none))
            }
            Command::Transfer(a, b, x) => {
                pool.transfer(account(a), account(b), Wei(U256::from(x))).map(|_| (none, none))
            }
            Command::TransferShares(a, b, x) => {
                pool.transfer_shares(account(a), account(b), Shares(U256::from(x))).map(|()| (none, none))
            }
            Command::Burn(a, x) => pool.burn(account(a), Shares(U256::from(x))).map(|()| (none, none)),
            Command::Redeem(a, x) => pool.redeem(account(a), Shares(U256::from(x))).map(|eth| (none, eth.0)),
            Command::Rebase(thousandths, fee) => {
                let before = pool.rate().pooled.0;
                let after = before * U256::from(thousandths) / U256::from(1000);
                pool.rebase(Wei(after), account(0), Shares(U256::from(fee)))
                    .map(|()| (after.saturating_sub(before), before.saturating_sub(after)))
            }
        }
    }

    proptest! {
        #[test]
        fn no_sequence_of_commands_makes_or_loses_a_wei(commands in prop::collection::vec(command(), 1..60)) {
            let mut pool = SharePool::default();
            let (mut came, mut left) = (U256::ZERO, U256::ZERO);
            for command in commands {
                let before = pool.clone();
                match run(&mut pool, command) {
                    Ok((more, less)) => (came, left) = (came + more, left + less),
                    Err(_) => prop_assert_eq!(&pool, &before, "a refused command changes nothing"),
                }
                prop_assert_eq!(pool.rate().pooled.0, came - left);
                let shares = pool.accounts().fold(U256::ZERO, |sum, (_, shares)| sum + shares.0);
                prop_assert_eq!(shares, pool.rate().shares.0);
                prop_assert!(pool.dust().0 <= U256::from(pool.accounts().count()));
                let dead = if pool.rate().shares == Shares::ZERO { Shares::ZERO } else { DEAD_SHARES };
                prop_assert_eq!(pool.shares(DEAD_HOLDER), dead);
                let text = serde_json::to_string(&pool).unwrap();
                prop_assert_eq!(&serde_json::from_str::<SharePool>(&text).unwrap(), &pool);
            }
        }

        #[test]
        fn only_a_report_lowers_what_a_share_is_worth(commands in prop::collection::vec(command(), 1..60)) {
            let mut pool = SharePool::default();
            for command in commands {
                let before = pool.rate();
                if run(&mut pool, command).is_ok()
                    && !matches!(command, Command::Rebase(..))
                    && before != Rate::default()
                {
                    let after = pool.rate();
                    let (now, then) = (
                        wide::product(after.pooled.0, before.shares.0),
                        wide::product(before.pooled.0, after.shares.0),
                    );
                    prop_assert!(now >= then, "{before:?} became {after:?}");
                }
            }
        }

        #[test]
        fn wrapping_and_unwrapping_loses_less_than_a_share_and_a_wei(
            shares in 1u128..1 << 100, pooled in 1u128..1 << 100, eth in 0u128..1 << 90,
        ) {
            let rate = Rate { shares: Shares(U256::from(shares)), pooled: Wei(U256::from(pooled)) };
            let eth = Wei(U256::from(eth));
            let wrapped = rate.shares_of(eth).unwrap();
            let back = rate.eth_of(wrapped).unwrap();
            prop_assert!(back <= eth);
            let price = rate.eth_of_up(Shares(U256::ONE)).unwrap();
            prop_assert!(eth.0 - back.0 <= price.0);
            prop_assert!(rate.eth_of_up(wrapped).unwrap().0 - back.0 <= U256::ONE);
        }
    }

    #[test]
    fn the_first_deposit_leaves_shares_with_nobody_for_ever() {
        let mut pool = SharePool::default();
        let eth = Wei(DEAD_SHARES.0);
        assert_eq!(pool.deposit(account(0), eth), Err(ShareError::FirstTooSmall { eth, dead: DEAD_SHARES }));
        let one_more = Wei(eth.0 + U256::ONE);
        assert_eq!(pool.deposit(account(0), one_more), Ok(Shares(U256::ONE)));
        assert_eq!(pool.transfer_shares(DEAD_HOLDER, account(0), Shares(U256::ONE)), Err(ShareError::Dead));
        assert_eq!(pool.redeem(DEAD_HOLDER, DEAD_SHARES), Err(ShareError::Dead));
        assert_eq!(pool.redeem(account(0), Shares(U256::ONE)), Ok(Wei(U256::ONE)));
        assert_eq!(pool.rate().shares, DEAD_SHARES);
    }

    #[test]
    fn a_gift_by_the_first_depositor_costs_more_than_it_takes() {
        let (thief, victim) = (account(0), account(1));
        let mut pool = SharePool::default();
        pool.deposit(thief, Wei(DEAD_SHARES.0 + U256::ONE)).unwrap();
        // A gift of 1000 ETH, then a victim's ETH.
        let gift = Wei::from_eth("1000").unwrap();
        let pooled = wide::add(pool.rate().pooled, gift).unwrap();
        pool.rebase(pooled, thief, Shares::ZERO).unwrap();
        let eth = Wei::from_eth("1").unwrap();
        pool.deposit(victim, eth).unwrap();
        let lost = eth.0 - pool.balance(victim).0;
        assert!(
            lost < U256::from(2_000_000_000_000u64),
            "the victim loses at most two shares' worth: {lost}"
        );
        assert!(pool.balance(thief).0 < U256::from(2_000_000_000_000u64), "the gift is gone");
    }

    #[test]
    fn a_stored_ledger_that_no_command_could_have_made_is_not_read() {
        let mut pool = SharePool::default();
        pool.deposit(account(0), Wei(DEAD_SHARES.0 + U256::from(5))).unwrap();
        let text = serde_json::to_string(&pool).unwrap();
        assert!(serde_json::from_str::<SharePool>(&text).is_ok());
        let dead = format!("\"{DEAD_HOLDER}\"");
        for (good, bad) in [
            (r#":"5""#, r#":"6""#),
            (r#":"5""#, r#":"0""#),
            (r#":"5""#, r#":"05""#),
            (dead.as_str(), r#""0x0202020202020202020202020202020202020202""#),
            (r#""balances""#, r#""balance""#),
        ] {
            assert!(text.contains(good), "{text}");
            assert!(serde_json::from_str::<SharePool>(&text.replace(good, bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pool_that_lost_everything_has_no_price() {
        let mut pool = SharePool::default();
        pool.deposit(account(0), Wei::from_eth("1").unwrap()).unwrap();
        pool.rebase(Wei::ZERO, account(0), Shares::ZERO).unwrap();
        let shares = pool.rate().shares;
        assert_eq!(
            pool.deposit(account(1), Wei(U256::ONE)),
            Err(ShareError::NoPrice { shares, pooled: Wei::ZERO })
        );
        assert_eq!(pool.balance(account(0)), Wei::ZERO);
    }
}
