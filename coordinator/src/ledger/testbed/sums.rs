//! What must be so of all books together, counted slowly from the log.

use super::Pool;
use crate::formulas::wide;
use crate::ledger::bonds::Event as Bond;
use crate::ledger::pool::{self, OPERATORS_HOLDER};
use crate::ledger::seat::Seat;
use crate::ledger::state::{Event, State};
use crate::ledger::{Sealed, deposits, exits};
use serde_json::Value;
use types::{Address, Wei};

/// Book and kind of what followed.
pub(crate) fn kinds(sealed: &Sealed) -> Vec<String> {
    let only = |map: &Value| map.as_object().and_then(|map| map.keys().next().cloned());
    let kind = |event: &Value| {
        let book = only(event)?;
        let what = &event[&book];
        Some(format!("{book}/{}", only(what).or_else(|| what.as_str().map(str::to_owned))?))
    };
    let events = serde_json::to_value(&sealed.entry.events).unwrap();
    events.as_array().unwrap().iter().filter_map(kind).collect()
}

/// What is so after every entry.
pub(crate) fn consistent(state: &State) {
    state.money.audit().unwrap();
    state.deposits.audit().unwrap();
    state.incidents.audit().unwrap();
    for (id, operator) in &state.operators.operators {
        for address in [*id, operator.manager, operator.reward] {
            assert_eq!(state.operators.seat(address), seat(state, address), "the index has who {address} is");
        }
    }
    let books = state.money.books();
    assert_eq!(books.planned, wide::wei(state.deposits.planned()), "both books plan the same");
    assert!(wide::wei(state.deposits.in_flight()) <= books.transient, "both books have sent the same");
    assert_eq!(Ok(books.validators), state.reports.balance(), "both books have reported the same");
    let shares = state.money.shares();
    let balances = shares.accounts().map(|(account, _)| shares.balance(account));
    let all = wide::total(balances).unwrap();
    assert!(all <= state.money.rate().pooled, "no balance is more than there is");
    for validator in state.deposits.validators().values() {
        let exit = validator.index.and_then(|index| state.exits.exits().get(&index));
        let [one, other] = [
            exit.is_some_and(|exit| exit.stage == exits::Stage::Withdrawn),
            validator.stage == deposits::Stage::Withdrawn,
        ];
        assert_eq!(one, other, "both books say who is withdrawn");
    }
    for (operator, account) in &state.bonds.accounts {
        assert_eq!(Ok(account.debt), state.incidents.owed(*operator), "both books say what is owed");
        assert!(account.debt == Wei::ZERO || account.bond == Wei::ZERO, "who owes has an empty bond");
    }
}

/// What an address is to operators, by asking all of them.
fn seat(state: &State, address: Address) -> Option<Seat> {
    let all = || state.operators.operators.iter();
    let manager = all().find(|(_, operator)| operator.manager == address);
    let reward = all().find(|(_, operator)| operator.reward == address);
    let founder = state.operators.get(address).map(|_| Seat::Founder(address));
    let manager = manager.map(|(id, _)| Seat::Manager(*id));
    manager.or(reward.map(|(id, _)| Seat::Reward(*id))).or(founder)
}

/// What is due from the operators' account to delegators and reserve, when an event says so.
fn of_rewards(event: &pool::Event) -> Wei {
    match event {
        pool::Event::Forgiven { holder, eth } if *holder == OPERATORS_HOLDER => *eth,
        pool::Event::Restored { eth } => *eth,
        _ => Wei::ZERO,
    }
}

/// What bonds got, and what left them, is what they are; and what left them for losses, and what rewards paid of debts, is
/// what pool and reserve get.
pub(crate) fn balanced(pool: &Pool) {
    consistent(pool.state());
    let [mut came, mut claimed, mut lost, mut back, mut rewards] = [Wei::ZERO; 5];
    let add = |sum: &mut Wei, amount: Wei| *sum = wide::add(*sum, amount).unwrap();
    for stored in &pool.log {
        for event in Sealed::read(stored).unwrap().entry.events {
            match event {
                Event::Bonds(Bond::Deposited { seen, repaid }) => {
                    add(&mut came, seen.amount);
                    add(&mut lost, repaid);
                }
                Event::Bonds(Bond::Credited { amount, repaid, .. }) => {
                    add(&mut back, amount);
                    add(&mut lost, repaid);
                }
                Event::Bonds(Bond::Penalised { taken, .. }) => add(&mut lost, taken),
                Event::Bonds(Bond::Claimed { claim, .. }) => add(&mut claimed, claim.amount),
                Event::Money(event) => add(&mut rewards, of_rewards(&event)),
                _ => {}
            }
        }
    }
    let accounts = pool.state().bonds.accounts.values().map(|account| account.bond);
    let have = wide::total(accounts.chain([claimed, lost])).unwrap();
    assert_eq!(have, wide::add(came, back).unwrap(), "no wei of bond is made or lost");
    let moved = pool.state().incidents.moved();
    let gone = wide::add(wide::sub(lost, back).unwrap(), rewards).unwrap();
    let got = wide::sub(wide::add(moved.to_pool, moved.to_reserve).unwrap(), moved.from_reserve).unwrap();
    assert_eq!(gone, got, "what bonds and rewards paid is what pool and reserve get");
}
