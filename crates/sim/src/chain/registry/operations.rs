//! What blocks bring: deposits, exits, slashings, withdrawals.

use super::{
    ACTIVATION, Account, Deposit, LOOKAHEAD, Registry, SLASHINGS_EPOCHS, WITHDRAWABILITY_DELAY,
    WITHDRAWALS_MAX,
};
use types::payload::Withdrawal;
use types::{Epoch, Gwei, ValidatorIndex};

/// `MIN_SLASHING_PENALTY_QUOTIENT_ELECTRA`.
const PENALTY_QUOTIENT: u64 = 4_096;

impl Registry {
    /// A deposit joins the queue.
    pub(in crate::chain) fn deposit(&mut self, deposit: Deposit) {
        self.pending.push_back(deposit);
    }

    /// A validator leaves, if it has not begun to. Returns the epoch from which it has no duties.
    pub(in crate::chain) fn exit(&mut self, who: ValidatorIndex, now: Epoch) -> Option<Epoch> {
        let account = self.account_mut(who)?;
        leave(account, now);
        account.exit
    }

    /// A validator is slashed. Returns the epoch from which it has no duties; `None` if it was before, or is gone.
    pub(in crate::chain) fn slash(&mut self, who: ValidatorIndex, now: Epoch) -> Option<Epoch> {
        let account = self.account_mut(who)?;
        if !account.is_slashable(now) {
            return None;
        }
        leave(account, now);
        account.slashed = true;
        account.withdrawable = account.withdrawable.max(Some(Epoch(now.0 + SLASHINGS_EPOCHS)));
        let (effective, exit) = (account.effective.0, account.exit);
        account.balance = Gwei(account.balance.0.saturating_sub(effective / PENALTY_QUOTIENT));
        *self.slashings.entry(now).or_default() += effective;
        exit
    }

    /// What a block of an epoch pays out (`get_expected_withdrawals`).
    pub(in crate::chain) fn withdrawals(&self, epoch: Epoch) -> Vec<Withdrawal> {
        let count = self.accounts.len() as u64;
        let order = (0..count).map(|step| (self.next_swept + step) % count);
        let due = order.filter_map(|index| {
            let account = self.account(ValidatorIndex(index))?;
            let address = account.address()?;
            Some((ValidatorIndex(index), address, account.payable(epoch)?))
        });
        let numbered = (self.next_withdrawal..).zip(due.take(WITHDRAWALS_MAX));
        numbered
            .map(|(index, (validator_index, address, amount))| Withdrawal {
                index,
                validator_index,
                address,
                amount,
            })
            .collect()
    }

    /// These are paid.
    pub(in crate::chain) fn withdraw(&mut self, withdrawals: &[Withdrawal]) {
        for paid in withdrawals {
            if let Some(account) = self.account_mut(paid.validator_index) {
                account.balance = Gwei(account.balance.0.saturating_sub(paid.amount.0));
            }
            self.next_withdrawal = paid.index + 1;
        }
        let count = self.accounts.len() as u64;
        if let (Some(last), true) = (withdrawals.last(), withdrawals.len() == WITHDRAWALS_MAX) {
            self.next_swept = (last.validator_index.0 + 1) % count.max(1);
        }
    }
}

impl Account {
    /// Whether it can be slashed (`is_slashable_validator`).
    pub(in crate::chain) fn is_slashable(&self, now: Epoch) -> bool {
        let begun = self.activation.is_some_and(|at| at <= now);
        !self.slashed && begun && self.withdrawable.is_none_or(|at| now < at)
    }

    /// What of it a sweep takes: all, once it is gone; else what is more than counts.
    fn payable(&self, epoch: Epoch) -> Option<Gwei> {
        if self.withdrawable.is_some_and(|at| at <= epoch) {
            return Some(self.balance).filter(|balance| balance.0 > 0);
        }
        let most = self.effective_max().max(ACTIVATION);
        let full = self.effective.0 == most;
        self.balance.0.checked_sub(most).filter(|more| full && *more > 0).map(Gwei)
    }
}

/// `initiate_validator_exit`, without a queue.
fn leave(account: &mut Account, now: Epoch) {
    if account.exit.is_none() {
        let exit = Epoch(now.0 + 1 + LOOKAHEAD);
        account.exit = Some(exit);
        account.withdrawable = Some(Epoch(exit.0 + WITHDRAWABILITY_DELAY));
    }
}
