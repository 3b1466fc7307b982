//! Who pays for a loss, in which order, and who owes it afterwards.
//!
//! ```text
//! bonds of the faulty operators -> bonds of the others of their cluster, if the policy says so -> reserve -> delegators
//! ```
//!
//! Each tier pays until the loss is paid or the tier is empty. Inside a tier the bonds pay in proportion to what they are;
//! the wei that rounding leaves over are paid by the first of them in order of their addresses. So the steps are the loss,
//! to the wei.
//!
//! What others paid for the faulty is their debt, in equal parts (a fault is a fault, whatever the bond). It is paid first
//! from their later rewards, and goes back in the opposite order: delegators, reserve, cluster. Amounts are wei.
//!
//! Sources: Lido's CSM (penalties recovered from later rewards), Rocket Pool's `debt`.

use super::wide::{self, WideError};
use alloy_primitives::U256;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;
use types::{Address, Wei};

/// A loss, and what stands before the delegators.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// How much.
    pub amount: Wei,
    /// Who was in the cluster when the fault was made and made it, with their bonds. Empty where it is nobody's fault.
    pub faulty: BTreeMap<Address, Wei>,
    /// The bonds of the cluster's others; empty unless the policy lets them stand for it.
    pub cluster: BTreeMap<Address, Wei>,
    /// The reserve.
    pub reserve: Wei,
    /// What delegators have in the pool: all that is left to pay.
    pub delegated: Wei,
}

/// Who pays, or is paid back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    /// A faulty operator, from its bond.
    Faulty(Address),
    /// Another operator of its cluster, from its bond.
    Cluster(Address),
    /// The reserve.
    Reserve,
    /// All delegators, by their shares.
    Delegators,
}

/// A movement of a waterfall; never of nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Whose.
    pub party: Party,
    /// How much.
    pub amount: Wei,
}

/// What the faulty owe to whom. What is owed is always what is due to the creditors, to the wei.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Debts {
    debtors: BTreeMap<Address, Wei>,
    /// In the order in which they are paid back.
    creditors: Vec<Step>,
}

/// What becomes of a reward of an operator that may owe something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repayment {
    /// What it keeps.
    pub kept: Wei,
    /// What goes to creditors.
    pub paid: Vec<Step>,
}

/// Why a loss is refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum LossError {
    /// More than the pool and all that stands before it.
    #[error("a loss of {amount} wei, and {have} are there to pay it")]
    MoreThanAll {
        /// The loss.
        amount: Wei,
        /// All tiers together.
        have: Wei,
    },
    /// An operator that is faulty and stands for the faulty.
    #[error("{operator} is among the faulty and among the others")]
    Twice {
        /// Which.
        operator: Address,
    },
    /// Numbers that do not fit.
    #[error(transparent)]
    Wide(#[from] WideError),
}

impl Loss {
    /// Who pays what, in order, and who owes it. The steps together are the loss.
    ///
    /// Errors: a loss of more than there is; an operator on both sides.
    pub fn waterfall(&self) -> Result<(Vec<Step>, Debts), LossError> {
        if let Some(operator) = self.faulty.keys().find(|operator| self.cluster.contains_key(operator)) {
            return Err(LossError::Twice { operator: *operator });
        }
        let tiers = self.faulty.values().chain(self.cluster.values()).copied();
        let have = wide::total(tiers.chain([self.reserve, self.delegated]))?;
        if self.amount > have {
            return Err(LossError::MoreThanAll { amount: self.amount, have });
        }
        let mut left = self.amount;
        let mut steps = draw(&mut left, &self.faulty, Party::Faulty)?;
        let (own, owed) = (steps.len(), left);
        steps.extend(draw(&mut left, &self.cluster, Party::Cluster)?);
        for (party, tier) in [(Party::Reserve, self.reserve), (Party::Delegators, self.delegated)] {
            let amount = left.min(tier);
            left = wide::sub(left, amount)?;
            steps.extend((amount != Wei::ZERO).then_some(Step { party, amount }));
        }
        let creditors = if self.faulty.is_empty() { &[] } else { &steps[own..] };
        let debts = Debts {
            debtors: equal_parts(owed, self.faulty.keys().copied()),
            creditors: creditors.iter().rev().copied().collect(),
        };
        Ok((steps, debts))
    }
}

/// Takes from a tier's bonds, in proportion, until nothing is left or they are empty.
fn draw(
    left: &mut Wei,
    bonds: &BTreeMap<Address, Wei>,
    party: fn(Address) -> Party,
) -> Result<Vec<Step>, WideError> {
    let tier = wide::total(bonds.values().copied())?;
    if tier == Wei::ZERO {
        return Ok(Vec::new());
    }
    let due = (*left).min(tier);
    let mut parts = Vec::new();
    for (operator, bond) in bonds {
        parts.push((*operator, *bond, wide::mul_div_floor(due.0, bond.0, tier.0)?));
    }
    // Less than one wei for each bond that was rounded, and each of those has a wei left.
    let mut over = parts.iter().fold(due.0, |over, (_, _, part)| over - *part);
    for (_, bond, part) in &mut parts {
        if !over.is_zero() && *part < bond.0 {
            (*part, over) = (*part + U256::ONE, over - U256::ONE);
        }
    }
    *left = wide::sub(*left, due)?;
    let step = |(operator, _, part): (Address, Wei, U256)| Step { party: party(operator), amount: Wei(part) };
    Ok(parts.into_iter().map(step).filter(|step| step.amount != Wei::ZERO).collect())
}

/// An amount in parts that differ by a wei at most, the first ones larger; parts of nothing are left out.
fn equal_parts(amount: Wei, among: impl ExactSizeIterator<Item = Address>) -> BTreeMap<Address, Wei> {
    let count = U256::from(among.len());
    if count.is_zero() {
        return BTreeMap::new();
    }
    let (part, over) = amount.0.div_rem(count);
    let numbered = (0usize..).zip(among);
    let parts =
        numbered.map(|(at, operator)| (operator, Wei(part + U256::from(u8::from(U256::from(at) < over)))));
    parts.filter(|(_, part)| *part != Wei::ZERO).collect()
}

impl Debts {
    /// What an operator owes.
    pub fn owed(&self, operator: Address) -> Wei {
        self.debtors.get(&operator).copied().unwrap_or_default()
    }

    /// What is due to creditors, in the order in which they are paid back.
    pub fn due(&self) -> &[Step] {
        &self.creditors
    }

    /// Who owes, and how much.
    pub fn debtors(&self) -> impl Iterator<Item = (Address, Wei)> + '_ {
        self.debtors.iter().map(|(operator, owed)| (*operator, *owed))
    }

    /// All that is owed. Errors: it is not what is due, or too much; so a stored one is not believed unseen.
    pub fn total(&self) -> Result<Wei, WideError> {
        let owed = wide::total(self.debtors.values().copied())?;
        let due = wide::total(self.creditors.iter().map(|due| due.amount))?;
        wide::sub(owed, due)?;
        wide::sub(due, owed)?;
        Ok(owed)
    }

    /// Whether everything is paid back.
    pub fn settled(&self) -> bool {
        self.debtors.is_empty()
    }

    /// Takes what an operator owes from its reward, and gives it to the creditors.
    pub fn repay(&mut self, operator: Address, reward: Wei) -> Result<Repayment, WideError> {
        let owed = self.owed(operator);
        let mut left = owed.min(reward);
        let kept = wide::sub(reward, left)?;
        let rest = wide::sub(owed, left)?;
        if rest == Wei::ZERO {
            self.debtors.remove(&operator);
        } else {
            self.debtors.insert(operator, rest);
        }
        let mut paid = Vec::new();
        for due in &mut self.creditors {
            let amount = left.min(due.amount);
            (left, due.amount) = (wide::sub(left, amount)?, wide::sub(due.amount, amount)?);
            paid.extend((amount != Wei::ZERO).then_some(Step { party: due.party, amount }));
        }
        self.creditors.retain(|due| due.amount != Wei::ZERO);
        Ok(Repayment { kept, paid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn operator(no: u8) -> Address {
        Address([no; 20])
    }

    fn wei(amount: u64) -> Wei {
        Wei(U256::from(amount))
    }

    fn bonds(first: u8, amounts: &[u64]) -> BTreeMap<Address, Wei> {
        (first..).zip(amounts).map(|(no, amount)| (operator(no), wei(*amount))).collect()
    }

    fn sum(steps: &[Step]) -> Wei {
        wide::total(steps.iter().map(|step| step.amount)).unwrap()
    }

    fn amount() -> impl Strategy<Value = u64> {
        prop_oneof![0u64..10, 0u64..u64::MAX / 16]
    }

    prop_compose! {
        /// A loss that can be paid.
        fn loss()(
            faulty in prop::collection::vec(amount(), 0..4), cluster in prop::collection::vec(amount(), 0..4),
            reserve in amount(), delegated in amount(), part in 0u64..=1000, off in 0u64..5,
        ) -> Loss {
            let have: u64 = faulty.iter().chain(&cluster).sum::<u64>() + reserve + delegated;
            let amount = (have / 1000 * part + off).min(have);
            Loss {
                amount: wei(amount), faulty: bonds(1, &faulty), cluster: bonds(100, &cluster),
                reserve: wei(reserve), delegated: wei(delegated),
            }
        }
    }

    proptest! {
        #[test]
        fn the_steps_are_the_loss_to_the_wei_and_nobody_pays_more_than_it_has(loss in loss()) {
            let (steps, debts) = loss.waterfall().unwrap();
            prop_assert_eq!(sum(&steps), loss.amount);
            for step in &steps {
                let has = match step.party {
                    Party::Faulty(who) => loss.faulty[&who],
                    Party::Cluster(who) => loss.cluster[&who],
                    Party::Reserve => loss.reserve,
                    Party::Delegators => loss.delegated,
                };
                prop_assert!(step.amount != Wei::ZERO && step.amount <= has);
            }
            let owed = wide::total(debts.debtors.values().copied()).unwrap();
            prop_assert_eq!(owed, sum(debts.due()));
        }

        #[test]
        fn a_tier_pays_only_when_those_before_it_are_empty(loss in loss()) {
            let (steps, _) = loss.waterfall().unwrap();
            let tier = |party: Party| match party {
                Party::Faulty(_) => 0,
                Party::Cluster(_) => 1,
                Party::Reserve => 2,
                Party::Delegators => 3,
            };
            let of = |bonds: &BTreeMap<Address, Wei>| wide::total(bonds.values().copied()).unwrap();
            let full = [of(&loss.faulty), of(&loss.cluster), loss.reserve, loss.delegated];
            let mut paid = [Wei::ZERO; 4];
            for step in &steps {
                let at = tier(step.party);
                prop_assert_eq!(&paid[..at], &full[..at]);
                paid[at] = wide::add(paid[at], step.amount).unwrap();
            }
        }

        #[test]
        fn bonds_of_a_tier_pay_in_proportion_to_a_wei(loss in loss()) {
            let (steps, _) = loss.waterfall().unwrap();
            let tier = wide::total(loss.faulty.values().copied()).unwrap();
            let due = loss.amount.min(tier);
            for (who, bond) in loss.faulty.iter().filter(|_| tier != Wei::ZERO) {
                let paid = steps
                    .iter()
                    .find(|step| step.party == Party::Faulty(*who))
                    .map_or(U256::ZERO, |step| step.amount.0);
                let share = wide::mul_div_floor(due.0, bond.0, tier.0).unwrap();
                prop_assert!(paid >= share && paid - share <= U256::ONE);
            }
        }

        #[test]
        fn debts_are_paid_first_and_come_back_to_who_paid(
            loss in loss(),
            rewards in prop::collection::vec((1u8..5, amount()), 0..20),
        ) {
            let (_, mut debts) = loss.waterfall().unwrap();
            let lent = debts.due().to_vec();
            let mut back: BTreeMap<Party, Wei> = BTreeMap::new();
            for (no, reward) in rewards {
                let owed = debts.owed(operator(no));
                let repayment = debts.repay(operator(no), wei(reward)).unwrap();
                prop_assert_eq!(wide::add(repayment.kept, sum(&repayment.paid)).unwrap(), wei(reward));
                prop_assert!(repayment.kept == Wei::ZERO || debts.owed(operator(no)) == Wei::ZERO);
                prop_assert_eq!(sum(&repayment.paid), owed.min(wei(reward)));
                prop_assert_eq!(wide::total(debts.debtors.values().copied()).unwrap(), sum(debts.due()));
                for step in repayment.paid {
                    let so_far = back.entry(step.party).or_default();
                    *so_far = wide::add(*so_far, step.amount).unwrap();
                }
            }
            for step in lent {
                let due = debts
                    .due()
                    .iter()
                    .find(|due| due.party == step.party)
                    .map_or(Wei::ZERO, |due| due.amount);
                let got = back.get(&step.party).copied().unwrap_or_default();
                prop_assert_eq!(wide::add(due, got).unwrap(), step.amount);
            }
        }
    }

    #[test]
    fn a_loss_runs_down_the_tiers_and_comes_back_up() {
        let loss = Loss {
            amount: wei(1000),
            faulty: bonds(1, &[100, 50]),
            cluster: bonds(3, &[200]),
            reserve: wei(300),
            delegated: wei(5000),
        };
        let (steps, mut debts) = loss.waterfall().unwrap();
        let step = |party, amount| Step { party, amount: wei(amount) };
        let want = [
            step(Party::Faulty(operator(1)), 100),
            step(Party::Faulty(operator(2)), 50),
            step(Party::Cluster(operator(3)), 200),
            step(Party::Reserve, 300),
            step(Party::Delegators, 350),
        ];
        assert_eq!(steps, want);
        assert_eq!((debts.owed(operator(1)), debts.owed(operator(2))), (wei(425), wei(425)));
        let first = debts.repay(operator(1), wei(400)).unwrap();
        assert_eq!(
            first,
            Repayment { kept: Wei::ZERO, paid: vec![step(Party::Delegators, 350), step(Party::Reserve, 50)] }
        );
        let second = debts.repay(operator(1), wei(100)).unwrap();
        assert_eq!(second, Repayment { kept: wei(75), paid: vec![step(Party::Reserve, 25)] });
        assert!(!debts.settled());
        debts.repay(operator(2), wei(425)).unwrap();
        assert!(debts.settled() && debts.due().is_empty());
    }

    #[test]
    fn a_loss_that_is_nobodys_fault_leaves_no_debt() {
        let loss = Loss { amount: wei(7), reserve: wei(5), delegated: wei(9), ..Loss::default() };
        let (steps, debts) = loss.waterfall().unwrap();
        assert_eq!(sum(&steps), wei(7));
        assert!(debts.settled() && debts.due().is_empty());
    }

    #[test]
    fn losses_that_cannot_be_are_refused() {
        let loss = Loss { amount: wei(10), reserve: wei(5), delegated: wei(4), ..Loss::default() };
        assert_eq!(loss.waterfall(), Err(LossError::MoreThanAll { amount: wei(10), have: wei(9) }));
        let twice = Loss { faulty: bonds(1, &[1]), cluster: bonds(1, &[1]), ..Loss::default() };
        assert_eq!(twice.waterfall(), Err(LossError::Twice { operator: operator(1) }));
    }
}
