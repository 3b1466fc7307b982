//! What happens when an epoch begins.

use super::{ACTIVATION, Account, DEPOSITS_MAX, INCREMENT, LOOKAHEAD, Registry, SLASHINGS_EPOCHS, whole};
use std::collections::BTreeMap;
use types::{Epoch, Gwei, PublicKey, Slot, ValidatorIndex};

/// `BASE_REWARD_FACTOR`.
const BASE_REWARD_FACTOR: u64 = 64;
/// `TIMELY_SOURCE_WEIGHT`, `TIMELY_TARGET_WEIGHT`, `TIMELY_HEAD_WEIGHT`.
const WEIGHTS: [u64; 3] = [14, 26, 14];
/// `WEIGHT_DENOMINATOR`.
const DENOMINATOR: u64 = 64;
/// `PROPORTIONAL_SLASHING_MULTIPLIER_BELLATRIX`.
const CORRELATION: u64 = 3;
/// `HYSTERESIS_QUOTIENT`, and how many of its parts down and up.
const HYSTERESIS: (u64, u64, u64) = (4, 1, 5);

/// What of an attestation was right: source, target, head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// The justified checkpoint: of any that a block has.
    pub source: bool,
    /// The epoch's first block.
    pub target: bool,
    /// The slot's block.
    pub head: bool,
}

impl Flags {
    fn each(self) -> [bool; 3] {
        [self.source, self.target, self.head]
    }
}

/// What an epoch's attestations brought: source, target, head, in gwei.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paid {
    /// To everybody who was to attest; less than nothing for what was missed.
    pub totals: BTreeMap<ValidatorIndex, [i64; 3]>,
    /// By effective balance, to who had done everything.
    pub ideal: BTreeMap<Gwei, [u64; 3]>,
}

impl Registry {
    /// An epoch begins. Returns the keys that became validators, in order.
    ///
    /// - `did`: what the chain has of a validator's attestation in the epoch before the last.
    /// - `finalized`: the last that is.
    pub(in crate::chain) fn begin(
        &mut self,
        epoch: Epoch,
        did: impl Fn(ValidatorIndex) -> Flags,
        finalized: Epoch,
        last_final_slot: Slot,
    ) -> Vec<PublicKey> {
        if let Some(of) = epoch.0.checked_sub(2).map(Epoch) {
            self.pay(of, did);
        }
        let current = Epoch(epoch.0.saturating_sub(1));
        self.activate(current, finalized);
        self.punish(current);
        let new = self.deposit_all(last_final_slot);
        self.weigh();
        self.remember(epoch);
        new
    }

    /// Rewards and penalties for an epoch (`process_rewards_and_penalties`).
    fn pay(&mut self, of: Epoch, did: impl Fn(ValidatorIndex) -> Flags) {
        let total = self.active(of).0;
        let base = |effective: u64| effective / INCREMENT * (INCREMENT * BASE_REWARD_FACTOR / total.isqrt());
        let eligible = |account: &Account| {
            let waits = account.withdrawable.is_none_or(|at| of.0 + 1 < at.0);
            account.is_active(of) || (account.slashed && waits)
        };
        let flags: Vec<[bool; 3]> = (0..)
            .zip(&self.accounts)
            .map(|(index, account)| match account.slashed {
                true => [false; 3],
                false => did(ValidatorIndex(index)).each(),
            })
            .collect();
        let mut took_part = [0_u64; 3];
        for (account, flags) in self.accounts.iter().zip(&flags).filter(|(one, _)| one.is_active(of)) {
            for (sum, _) in took_part.iter_mut().zip(flags).filter(|(_, did)| **did) {
                *sum += account.effective.0 / INCREMENT;
            }
        }
        let reward = |effective: u64, at: usize| {
            let all = u128::from(base(effective)) * u128::from(WEIGHTS[at]) * u128::from(took_part[at]);
            (all / u128::from(total / INCREMENT) / u128::from(DENOMINATOR)) as u64
        };
        let penalty = |effective: u64, at: usize| base(effective) * WEIGHTS[at] / DENOMINATOR;
        let mut paid = Paid::default();
        for ((index, account), flags) in
            (0..).zip(&self.accounts).zip(&flags).filter(|((_, one), _)| eligible(one))
        {
            let effective = account.effective.0;
            let part = |at: usize| match (flags[at], at) {
                (true, _) => reward(effective, at) as i64,
                // Nobody is punished for a wrong head.
                (false, 2) => 0,
                (false, _) => -(penalty(effective, at) as i64),
            };
            paid.totals.insert(ValidatorIndex(index), [part(0), part(1), part(2)]);
            paid.ideal.entry(account.effective).or_insert_with(|| [0, 1, 2].map(|at| reward(effective, at)));
        }
        for (who, parts) in &paid.totals {
            if let Some(account) = self.account_mut(*who) {
                let sum = account.balance.0.cast_signed() + parts.iter().sum::<i64>();
                account.balance = Gwei(sum.max(0).cast_unsigned());
            }
        }
        self.paid.insert(of, paid);
    }

    /// Who may begin (`process_registry_updates`).
    fn activate(&mut self, current: Epoch, finalized: Epoch) {
        for account in &mut self.accounts {
            if account.eligible.is_none() && account.effective.0 >= ACTIVATION {
                account.eligible = Some(current.next());
            }
            if account.activation.is_none() && account.eligible.is_some_and(|at| at <= finalized) {
                account.activation = Some(Epoch(current.0 + 1 + LOOKAHEAD));
            }
        }
    }

    /// What slashings cost when so many are slashed at a time (`process_slashings`).
    fn punish(&mut self, current: Epoch) {
        let (total, half) = (self.active(current).0, SLASHINGS_EPOCHS / 2);
        let first = Epoch(current.0.saturating_sub(SLASHINGS_EPOCHS - 1));
        let slashed: u64 = self.slashings.range(first..).map(|(_, slashed)| slashed).sum();
        let by_increment = slashed.saturating_mul(CORRELATION).min(total) / (total / INCREMENT);
        for account in &mut self.accounts {
            if account.slashed && account.withdrawable == Some(Epoch(current.0 + half)) {
                let penalty = by_increment * (account.effective.0 / INCREMENT);
                account.balance = Gwei(account.balance.0.saturating_sub(penalty));
            }
        }
    }

    /// Deposits whose blocks are final (`process_pending_deposits`).
    fn deposit_all(&mut self, last_final_slot: Slot) -> Vec<PublicKey> {
        let mut new = Vec::new();
        for _ in 0..DEPOSITS_MAX {
            let Some(deposit) = self.pending.pop_front_if(|one| one.slot <= last_final_slot) else { break };
            if let Some(known) = self.accounts.iter_mut().find(|one| one.pubkey == deposit.pubkey) {
                known.balance = Gwei(known.balance.0 + deposit.amount.0);
            } else if deposit.is_signed {
                self.accounts.push(Account {
                    pubkey: deposit.pubkey,
                    credentials: deposit.credentials,
                    balance: deposit.amount,
                    effective: Gwei(0),
                    slashed: false,
                    eligible: None,
                    activation: None,
                    exit: None,
                    withdrawable: None,
                });
                new.push(deposit.pubkey);
            }
        }
        new
    }

    /// What everybody counts for from now on (`process_effective_balance_updates`).
    fn weigh(&mut self) {
        let (quotient, down, up) = HYSTERESIS;
        let step = INCREMENT / quotient;
        for account in &mut self.accounts {
            let (balance, effective) = (account.balance.0, account.effective.0);
            if balance + down * step < effective || effective + up * step < balance {
                account.effective = Gwei(whole(balance).min(account.effective_max()));
            }
        }
    }
}
