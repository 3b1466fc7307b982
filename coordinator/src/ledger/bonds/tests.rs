//! Bonds: rows K1, K2, K3, K5 and M10, and the book against lists kept slowly.

use super::*;
use crate::formulas::bonds::LeverageError;
use crate::formulas::ratio::{BasisPoints, Ratio};
use crate::ledger::governance::Act;
use crate::ledger::log::AppendError;
use crate::ledger::operators::{Operator, Reason, Standing};
use crate::ledger::policy::{Policy, tests::lido};
use crate::ledger::state;
use crate::ledger::testbed::{MANAGER, NODE, Pool, REWARD, address};
use alloy_primitives::U256;
use proptest::prelude::*;
use serde_json::json;
use types::{ClusterSize, Gwei, Root};

const LOCK: u64 = 8192;

fn eth(text: &str) -> Wei {
    Wei::from_eth(text).unwrap()
}

fn cluster(byte: u8) -> ClusterId {
    Root([byte; 32])
}

fn keys(byte: u8, count: u32) -> Keys {
    Keys { cluster: cluster(byte), count }
}

fn reference(log_index: u32) -> Reference {
    Reference { hash: Root([1; 32]), index: log_index }
}

/// A book with some active operators, by name.
struct Book {
    state: State,
    policy: Policy,
    operators: BTreeMap<OperatorId, Operator>,
    finalized: u64,
    logs: u32,
}

impl Book {
    fn new(operators: &[u8]) -> Self {
        let mut pool = Pool::new();
        let application = pool.application(MANAGER, REWARD, NODE);
        pool.post(MANAGER, "/v1/operators", &application).unwrap();
        let mut operator = pool.state().operators.get(address(MANAGER)).unwrap().clone();
        operator.standing = Standing::Active;
        let operators = operators.iter().map(|byte| (Address([*byte; 20]), operator.clone())).collect();
        Self { state: State::default(), policy: lido(), operators, finalized: 1000, logs: 0 }
    }

    fn act(
        &mut self,
        decide: impl FnOnce(&State, &Facts<'_>) -> Result<Vec<Event>, Refusal>,
    ) -> Result<Vec<Event>, Refusal> {
        let operators = &self.operators;
        let facts = Facts {
            policy: &self.policy,
            finalized: Epoch(self.finalized),
            operator: &|id| operators.get(&id),
            held: &|_| None,
        };
        let events = decide(&self.state, &facts)?;
        for event in &events {
            self.state.apply(event).unwrap();
        }
        Ok(events)
    }

    fn order(&mut self, order: Order) -> Result<Vec<Event>, Refusal> {
        self.act(|state, facts| state.order(facts, &order))
    }

    fn wish(&mut self, command: &Command) -> Result<Vec<Event>, Refusal> {
        self.act(|state, facts| state.decide(facts, command))
    }

    fn deposit(&mut self, operator: OperatorId, amount: Wei) {
        let seen = Sighting::Deposited(Deposited { operator, amount, reference: reference(self.logs) });
        self.logs += 1;
        self.act(|state, facts| state.see(facts, &seen)).unwrap();
    }

    fn free(&self, operator: OperatorId) -> Wei {
        let curve = &self.policy.operator_type(&Label::new("csm-default").unwrap()).unwrap().bond;
        self.state.account(operator).free(curve, Epoch(self.finalized)).unwrap()
    }
}

const ONE: OperatorId = Address([1; 20]);

/// K5: the unique-stake rule.
#[test]
fn a_unit_of_bond_that_backs_something_backs_nothing_else() {
    let mut book = Book::new(&[1]);
    book.deposit(ONE, eth("5"));
    // Three keys of the curve 2.4, 1.3, 1.3 are exactly 5 ETH.
    book.order(Order::Back(ONE, keys(7, 2))).unwrap();
    book.order(Order::Back(ONE, keys(8, 1))).unwrap();
    assert_eq!(book.free(ONE), Wei::ZERO);
    let held = Held {
        free: Wei::ZERO,
        bond: eth("5"),
        required: eth("5"),
        exposed: Wei::ZERO,
        locked: Wei::ZERO,
        debt: Wei::ZERO,
    };
    let full = Refusal::NotFree { need: eth("1.3"), held: Box::new(held) };
    assert_eq!(book.order(Order::Back(ONE, keys(9, 1))), Err(full));
    let oracle = Label::new("oracle").unwrap();
    let served = book.wish(&Command::Serve(ONE, oracle.clone(), Wei(U256::ONE)));
    assert!(matches!(served, Err(Refusal::NotFree { .. })));
    // And the other way round.
    book.deposit(ONE, eth("1.3"));
    book.wish(&Command::Serve(ONE, oracle.clone(), eth("1.3"))).unwrap();
    assert!(matches!(book.order(Order::Back(ONE, keys(9, 1))), Err(Refusal::NotFree { .. })));
    let curve = BondCurve::named("csm-default").unwrap();
    let account = book.state.account(ONE);
    let backing = account.backing(&curve);
    assert_eq!(backing, [(cluster(7), eth("3.7")), (cluster(8), eth("1.3"))]);
    assert_eq!(wide::total(backing.into_iter().map(|(_, amount)| amount)), Ok(curve.required(3)));
}

/// K5: what falls when a service does.
#[test]
fn services_take_a_part_of_a_bond_and_a_bounded_sum_of_all() {
    let mut book = Book::new(&[1, 2, 3]);
    let two = Address([2; 20]);
    let oracle = Label::new("oracle").unwrap();
    for operator in [ONE, two] {
        book.deposit(operator, eth("2000"));
    }
    book.order(Order::Back(ONE, keys(7, 1))).unwrap();
    book.order(Order::Back(two, keys(7, 1))).unwrap();
    book.order(Order::Back(two, keys(8, 1))).unwrap();
    let half = Refusal::TooExposed { have: eth("1000.1"), most: eth("1000") };
    assert_eq!(book.wish(&Command::Serve(ONE, oracle.clone(), eth("1000.1"))), Err(half));
    book.wish(&Command::Serve(ONE, oracle.clone(), eth("600"))).unwrap();
    let sum = Refusal::Correlated { service: oracle.clone(), have: eth("1000.1"), most: eth("1000") };
    assert_eq!(book.wish(&Command::Serve(two, oracle.clone(), eth("400.1"))), Err(sum));
    book.wish(&Command::Serve(two, oracle.clone(), eth("400"))).unwrap();
    let hit = book.state.hit_by(&oracle);
    assert_eq!(hit, [(cluster(7), [ONE, two].into()), (cluster(8), [two].into())].into());
    assert!(book.state.hit_by(&Label::new("bridge").unwrap()).is_empty());
    // What is left stays for as long as the service's faults may come to light.
    let before = book.free(ONE);
    book.wish(&Command::Quit(ONE, oracle.clone())).unwrap();
    assert_eq!(book.free(ONE), before);
    book.finalized += LOCK;
    assert_eq!(book.free(ONE), wide::add(before, eth("600")).unwrap());
    let not = Refusal::NotServed { operator: ONE, service: oracle.clone() };
    assert_eq!(book.wish(&Command::Quit(ONE, oracle)), Err(not));
}

/// M10, K3.
#[test]
fn who_leaves_a_cluster_gets_nothing_back_before_the_window_and_pays_for_old_faults() {
    let mut book = Book::new(&[1]);
    book.deposit(ONE, eth("3.7"));
    book.order(Order::Back(ONE, keys(7, 1))).unwrap();
    book.order(Order::Back(ONE, keys(8, 1))).unwrap();
    let left = book.finalized + 5;
    book.order(Order::Release(ONE, keys(7, 1), Epoch(left))).unwrap();
    assert_eq!(book.free(ONE), Wei::ZERO, "leaving frees nothing at once, nor more than there is");
    book.finalized = left + LOCK - 1;
    let early = book.wish(&Command::Withdraw(ONE, Wei(U256::ONE)));
    assert!(matches!(early, Err(Refusal::NotFree { .. })));
    // Within the window an old fault comes to light: the locked bond pays.
    book.order(Order::Penalise(ONE, eth("1"))).unwrap();
    assert_eq!(book.state.account(ONE).bond, eth("2.7"));
    book.finalized += 1;
    assert_eq!(book.free(ONE), eth("0.3"));
    let claimed = book.wish(&Command::Withdraw(ONE, eth("0.3"))).unwrap();
    let claim = Claim { operator: ONE, to: address(REWARD), amount: eth("0.3") };
    assert_eq!(claimed, [Event::Claimed { number: 0, claim }]);
    assert!(book.wish(&Command::Withdraw(ONE, Wei(U256::ONE))).is_err());
    // Locks that are over go when the next comes.
    book.order(Order::Release(ONE, keys(8, 1), Epoch(book.finalized))).unwrap();
    assert_eq!(book.state.account(ONE).locks.len(), 1);
    let less = Refusal::Keys { cluster: cluster(8), have: 0, less: 1 };
    assert_eq!(book.order(Order::Release(ONE, keys(8, 1), Epoch(0))), Err(less));
}

/// K2.
#[test]
fn a_penalty_beyond_the_bond_is_owed_and_what_comes_in_pays_it_first() {
    let mut book = Book::new(&[1]);
    book.deposit(ONE, eth("2"));
    let penalised = book.order(Order::Penalise(ONE, eth("5"))).unwrap();
    assert_eq!(penalised, [Event::Penalised { operator: ONE, taken: eth("2"), owed: eth("3") }]);
    book.order(Order::Credit(ONE, eth("1"))).unwrap();
    let account = book.state.account(ONE);
    assert_eq!((account.bond, account.debt), (Wei::ZERO, eth("2")));
    book.deposit(ONE, eth("2.5"));
    let account = book.state.account(ONE);
    assert_eq!((account.bond, account.debt), (eth("0.5"), Wei::ZERO));
    assert_eq!(book.order(Order::Credit(ONE, Wei::ZERO)), Err(Refusal::Nothing));
}

/// K1.
#[test]
fn leverage_is_that_of_the_worst_coalition_that_can_sign() {
    let operators: Vec<u8> = (1..=4).collect();
    let mut book = Book::new(&operators);
    let mut terms = lido().terms().clone();
    let mut kind = terms.operator_types[0].clone();
    kind.bond =
        BondCurve::new(vec![crate::formulas::bonds::BondStep { from_key: 1, per_key: Gwei(1_000_000_000) }])
            .unwrap()
            .into();
    terms.operator_types[0] = kind.clone();
    book.policy = Policy::new(terms).unwrap();
    let ids: Vec<_> = operators.iter().map(|byte| Address([*byte; 20])).collect();
    for id in &ids {
        book.deposit(*id, eth("4"));
        book.order(Order::Back(*id, keys(7, 1))).unwrap();
    }
    let members = ids.iter().map(|id| (*id, &*kind.bond)).collect();
    let size = ClusterSize::new_safe(4, 3).unwrap();
    let coalition = Coalition { cluster: cluster(7), members, size, stake: Gwei(32_000_000_000) };
    // 1 ETH of each backs this cluster, whatever else they have: 32 / 3.
    assert_eq!(book.state.leverage(&coalition), Ok(Ratio::of(32, 3).unwrap()));
    // 9 ETH of others with 1 of one's own is ten times.
    let alone = Coalition { stake: Gwei(30_000_000_000), ..coalition.clone() };
    assert_eq!(book.state.leverage(&alone), Ok(Ratio::of(10, 1).unwrap()));
    let elsewhere = Coalition { cluster: cluster(9), ..coalition };
    assert!(matches!(book.state.leverage(&elsewhere), Err(LeverageError::NoBond { .. })));
}

#[test]
fn what_was_seen_counts_once_and_only_for_those_who_are_there() {
    let mut book = Book::new(&[1]);
    book.deposit(ONE, eth("1"));
    let seen = Deposited { operator: ONE, amount: eth("1"), reference: reference(0) };
    let see = |book: &mut Book, seen| book.act(|state, facts| state.see(facts, &seen));
    assert_eq!(see(&mut book, Sighting::Deposited(seen)), Err(Refusal::SeenBefore(reference(0))));
    let stranger = Deposited { operator: Address([9; 20]), reference: reference(5), ..seen };
    let unknown = Refusal::Unknown(Address([9; 20]));
    assert_eq!(see(&mut book, Sighting::Deposited(stranger)), Err(unknown));
    // It was not counted, so it can be once the operator is there.
    assert!(see(&mut book, Sighting::Deposited(Deposited { operator: ONE, ..stranger })).is_ok());
    book.wish(&Command::Withdraw(ONE, eth("1"))).unwrap();
    let paid = |claim, log| Sighting::Paid(Paid { claim, reference: reference(log) });
    assert_eq!(see(&mut book, paid(1, 8)), Err(Refusal::NoClaim(1)));
    assert_eq!(see(&mut book, paid(0, 0)), Err(Refusal::SeenBefore(reference(0))));
    see(&mut book, paid(0, 8)).unwrap();
    assert_eq!(see(&mut book, paid(0, 9)), Err(Refusal::NoClaim(0)), "a claim is paid once");
}

#[test]
fn where_an_operator_stands_says_what_its_bond_may_do() {
    let mut book = Book::new(&[1]);
    book.deposit(ONE, eth("100"));
    let oracle = Label::new("oracle").unwrap();
    for standing in [Standing::Applied, Standing::Vetted, Standing::Exiting, Standing::Left] {
        book.operators.get_mut(&ONE).unwrap().standing = standing;
        let refused = Err(Refusal::Standing { operator: ONE, standing });
        assert_eq!(book.order(Order::Back(ONE, keys(7, 1))), refused);
        if standing != Standing::Vetted {
            assert_eq!(book.wish(&Command::Serve(ONE, oracle.clone(), eth("1"))), refused);
        }
        assert!(book.wish(&Command::Withdraw(ONE, eth("1"))).is_ok(), "{standing:?}");
    }
    for standing in [Standing::Vetted, Standing::Active, Standing::Exiting] {
        let operator = book.operators.get_mut(&ONE).unwrap();
        operator.standing = standing;
        operator.paused_for = Some(Reason::new("why").unwrap());
        let paused = Err(Refusal::Paused(ONE));
        assert_eq!(book.order(Order::Back(ONE, keys(7, 1))), paused);
        assert_eq!(book.wish(&Command::Serve(ONE, oracle.clone(), eth("1"))), paused);
        assert_eq!(book.wish(&Command::Withdraw(ONE, eth("1"))), paused);
    }
    book.operators.get_mut(&ONE).unwrap().paused_for = None;
    book.operators.get_mut(&ONE).unwrap().standing = Standing::Active;
    for byte in 0..32 {
        book.order(Order::Back(ONE, keys(byte, 1))).unwrap();
    }
    let many = Refusal::Clusters { operator: ONE, have: 32, most: 32 };
    assert_eq!(book.order(Order::Back(ONE, keys(99, 1))), Err(many));
    assert!(book.order(Order::Back(ONE, keys(5, 1))).is_ok(), "more keys of a cluster it is in");
    assert_eq!(book.order(Order::Back(ONE, keys(5, 0))), Err(Refusal::Nothing));
}

#[test]
fn a_claim_is_the_reward_addresss_whoever_asks_and_a_pause_stops_it() {
    let mut pool = Pool::new();
    pool.active("5");
    let withdraw = json!({"amount": eth("1")});
    for wallet in [11, 21, 1, 99] {
        let refused = pool.operate(wallet, "POST", "bond/withdrawals", &withdraw).unwrap_err();
        assert!(matches!(refused, AppendError::Refused(state::Refusal::Role { .. })), "{wallet}");
    }
    for (number, wallet) in [(0, MANAGER), (1, REWARD)] {
        pool.operate(wallet, "POST", "bond/withdrawals", &withdraw).unwrap();
        let claim = Claim { operator: address(MANAGER), to: address(REWARD), amount: eth("1") };
        assert_eq!(pool.state().bonds.claims[&number], claim);
    }
    assert_eq!(pool.state().free_bond(address(MANAGER)), Some(eth("3")));
    let reason = Reason::new("fees went elsewhere").unwrap();
    pool.adopt(Act::PauseOperator { operator: address(MANAGER), reason });
    let refused = pool.operate(MANAGER, "POST", "bond/withdrawals", &withdraw).unwrap_err();
    assert!(matches!(refused, AppendError::Refused(state::Refusal::Bonds(Refusal::Paused(_)))));
}

/// What may be tried: which, of which operator and cluster, with how much.
#[derive(Clone, Copy, Debug)]
struct Try {
    what: u8,
    operator: u8,
    cluster: u8,
    amount: u64,
}

fn tries() -> impl Strategy<Value = Vec<Try>> {
    let one = (0u8..8, 1u8..3, 0u8..3, 1u64..4_000).prop_map(|(what, operator, cluster, milli)| Try {
        what,
        operator,
        cluster,
        amount: milli * 1_000_000_000_000_000,
    });
    prop::collection::vec(one, 1..80)
}

proptest! {
    /// Against sums over a list of all that happened.
    #[test]
    fn no_wei_is_made_lost_or_free_twice(tries in tries()) {
        let mut book = Book::new(&[1, 2]);
        let mut moved: BTreeMap<OperatorId, (u128, u128)> = BTreeMap::new();
        let curve = BondCurve::named("csm-default").unwrap();
        let oracle = Label::new("oracle").unwrap();
        for Try { what, operator, cluster, amount } in tries {
            let (id, wei, count) = (Address([operator; 20]), Wei(U256::from(amount)), 1 + (amount % 3) as u32);
            let free = book.free(id);
            let epoch = Epoch(book.finalized);
            let sums = moved.entry(id).or_default();
            let done = match what {
                0 => {
                    book.deposit(id, wei);
                    Ok(Vec::new())
                }
                1 => book.order(Order::Credit(id, wei)),
                2 => book.order(Order::Penalise(id, wei)),
                3 => book.order(Order::Back(id, keys(cluster, count))),
                4 => book.order(Order::Release(id, keys(cluster, count), epoch)),
                5 => book.wish(&Command::Withdraw(id, wei)),
                6 => book.wish(&Command::Serve(id, oracle.clone(), wei)),
                _ => {
                    book.finalized += LOCK / 2;
                    book.wish(&Command::Quit(id, oracle.clone()))
                }
            };
            if done.is_ok() {
                match what {
                    0 | 1 => sums.0 += u128::from(amount),
                    2 | 5 => sums.1 += u128::from(amount),
                    _ => {}
                }
            }
            let account = book.state.account(id);
            // What came in and what went out is what there is: bond, less what is owed.
            prop_assert_eq!(
                account.bond.0 + U256::from(sums.1),
                account.debt.0 + U256::from(sums.0),
            );
            prop_assert!(account.bond == Wei::ZERO || account.debt == Wei::ZERO);
            // Whatever is held, free is the rest of the bond.
            let held = wide::total([
                curve.required(account.key_count()),
                account.exposed().unwrap(),
                account.locked(Epoch(book.finalized)).unwrap(),
                account.debt,
            ]).unwrap();
            prop_assert_eq!(book.free(id).0, account.bond.0.saturating_sub(held.0));
            match what {
                // Only what was free is taken, backed or exposed; leaving frees nothing.
                5 => prop_assert_eq!(done.is_ok(), wei <= free),
                6 if done.is_ok() => prop_assert_eq!(book.free(id).0 + wei.0, free.0),
                3 if done.is_ok() => prop_assert!(book.free(id) <= free),
                4 => prop_assert_eq!(book.free(id), free),
                _ => {}
            }
            let of_bond = BasisPoints::new(5000).unwrap().floor_of(account.bond.0);
            prop_assert!(what != 6 || done.is_err() || account.exposed().unwrap().0 <= of_bond);
        }
        let bytes = crate::canonical::bytes(&book.state);
        prop_assert_eq!(crate::canonical::read::<State>(&bytes), Ok(book.state));
    }
}
