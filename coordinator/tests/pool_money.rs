//! The pool's book of money: any sequence of commands, true and false, against a count of the ETH itself; and each rule.

mod pool;

use alloy_primitives::U256;
use coordinator::formulas::ratio::BasisPoints;
use coordinator::formulas::shares::{DEAD_HOLDER, DEAD_SHARES, Shares};
use coordinator::formulas::wide;
use coordinator::ledger::chain::Reference;
use coordinator::ledger::pool::{
    Amount, Command, Corrupt, Event, OPERATORS_HOLDER, Payment, PayoutReason, QUEUE_HOLDER, RESERVE_HOLDER,
    Refusal, Report, Rules, State, apply, decide,
};
use pool::{Book, account, bp, eth, gwei, reference, rules};
use proptest::prelude::*;
use std::collections::BTreeSet;
use types::{Address, Epoch, Gwei, Wei};

/// Something that is tried; numbers are parts of what there is, in thousandths.
#[derive(Clone, Copy, Debug)]
enum Try {
    Pay {
        payer: u8,
        wei: u128,
        again: bool,
    },
    Rewards(u64),
    Cover(u64),
    Transfer {
        owner: u8,
        to: u8,
        part: u16,
    },
    Request {
        owner: u8,
        part: u16,
    },
    Claim {
        owner: u8,
        request: u64,
    },
    PaidOut {
        payout: u64,
        honest: bool,
    },
    Plan(u16),
    Unplan(u16),
    Send(u16),
    Report {
        balance: u16,
        arrived: u16,
        withdrawn: u16,
        incident: bool,
        later: bool,
    },
    /// Out of what the books hold, or out of what they do not; to an account, or to the reserve.
    Give {
        from: u8,
        to: u8,
        part: u16,
    },
}

fn tries(losses: bool) -> impl Strategy<Value = Vec<Try>> {
    let part = || prop_oneof![0u16..1000, Just(1000u16), Just(1001u16)];
    let wei = prop_oneof![0u128..3_000_000_000, any::<u64>().prop_map(u128::from), 0..1u128 << 73];
    let balance = if losses { (700u16..1050).boxed() } else { (1000u16..1050).boxed() };
    let one = prop_oneof![
        4 => (0..4u8, wei, any::<bool>()).prop_map(|(payer, wei, again)| Try::Pay { payer, wei, again }),
        1 => any::<u64>().prop_map(Try::Rewards),
        1 => any::<u64>().prop_map(Try::Cover),
        1 => (0..4u8, 0..5u8, part()).prop_map(|(owner, to, part)| Try::Transfer { owner, to, part }),
        3 => (0..4u8, part()).prop_map(|(owner, part)| Try::Request { owner, part }),
        2 => (0..4u8, 0..6u64).prop_map(|(owner, request)| Try::Claim { owner, request }),
        2 => (0..6u64, any::<bool>()).prop_map(|(payout, honest)| Try::PaidOut { payout, honest }),
        2 => part().prop_map(Try::Plan),
        1 => part().prop_map(Try::Unplan),
        2 => part().prop_map(Try::Send),
        3 => (balance, part(), 0u16..500, prop::bool::weighted(0.2), prop::bool::weighted(0.9)).prop_map(
            |(balance, arrived, withdrawn, incident, later)| Try::Report { balance, arrived, withdrawn, incident, later }
        ),
        2 => (0..3u8, 0..6u8, part()).prop_map(|(from, to, part)| Try::Give { from, to, part }),
    ];
    prop::collection::vec(one, 1..80)
}

fn part_of(whole: U256, thousandths: u16) -> U256 {
    whole * U256::from(thousandths) / U256::from(1000)
}

fn gwei_of(whole: Wei, thousandths: u16) -> Gwei {
    Gwei((part_of(whole.0, thousandths) / wide::GWEI_WEI).to())
}

/// The command that a try stands for here.
fn command(book: &Book, one: Try) -> Command {
    let state = &book.state;
    let payment =
        |eth: u64| Payment { reference: reference(book.steps), payer: account(9), eth: Wei(U256::from(eth)) };
    let part_of_shares = |owner: u8, part: u16| part_of(state.shares().shares(account(owner)).0, part);
    match one {
        Try::Pay { payer, wei, again } => {
            let reference = reference(if again { book.steps / 2 } else { book.steps });
            Command::Payment(Payment { reference, payer: account(payer), eth: Wei(U256::from(wei)) })
        }
        Try::Rewards(wei) => Command::Rewards(payment(wei)),
        Try::Cover(wei) => Command::Cover(payment(wei)),
        Try::Transfer { owner, to, part } => Command::Transfer {
            owner: account(owner),
            to: if to == 4 { QUEUE_HOLDER } else { account(to) },
            amount: Amount::Eth(Wei(part_of(state.shares().balance(account(owner)).0, part))),
        },
        Try::Request { owner, part } => {
            let amount = Amount::Shares(Shares(part_of_shares(owner, part)));
            Command::Request { owner: account(owner), amount }
        }
        Try::Claim { owner, request } => Command::Claim { owner: account(owner), request },
        Try::PaidOut { payout, honest } => {
            let due = state.payouts().get(&payout).map(|due| (due.to, due.eth)).unwrap_or_default();
            let eth = if honest { due.1 } else { Wei(due.1.0 + U256::ONE) };
            Command::PaidOut { payout, payment: reference(book.steps), to: due.0, eth }
        }
        Try::Give { from, to, part } => {
            let from = [OPERATORS_HOLDER, RESERVE_HOLDER, account(0)][usize::from(from)];
            let to = match to {
                4 => QUEUE_HOLDER,
                5 => RESERVE_HOLDER,
                no => account(no),
            };
            Command::Give { from, to, eth: Wei(part_of(state.shares().balance(from).0, part)) }
        }
        Try::Plan(part) => Command::Plan(gwei_of(state.books().buffer, part)),
        Try::Unplan(part) => Command::Unplan(gwei_of(state.books().planned, part)),
        Try::Send(part) => Command::Send(gwei_of(state.books().planned, part)),
        Try::Report { balance, arrived, withdrawn, later, .. } => {
            let arrived = gwei_of(state.books().transient, arrived);
            let staked = wide::add(state.books().validators, wide::wei(arrived)).unwrap();
            let unified = gwei_of(staked, balance);
            let withdrawn = Gwei(unified.0 * u64::from(withdrawn) / 1000);
            let epoch = Epoch(state.reported().map_or(1, |last| last.0 + u64::from(later)));
            let balance = Gwei(unified.0 - withdrawn.0);
            Command::Report(Report { epoch, at: book.now, balance, arrived, withdrawn })
        }
    }
}

fn try_one(book: &mut Book, one: Try) -> Result<Vec<Event>, Refusal> {
    let command = command(book, one);
    book.incident = matches!(one, Try::Report { incident: true, .. });
    book.run(&command)
}

proptest! {
    #[test]
    fn no_sequence_makes_or_loses_a_wei(tries in tries(true)) {
        let mut book = Book::default();
        for one in tries {
            let before = book.state.clone();
            // `run` counts the ETH itself, audits the state, and brings it through its text and back.
            if try_one(&mut book, one).is_err() {
                prop_assert_eq!(&before, &book.state, "a refused command changes nothing");
            }
            let state = &book.state;
            let balances = state.shares().accounts().map(|(account, _)| state.shares().balance(account));
            prop_assert!(wide::total(balances).unwrap() <= state.rate().pooled);
        }
    }

    /// The exact bound: without a loss nobody ever has less by what others do, not a wei; who moves shares has, with
    /// whom they go to, at most one wei less, and who requests at most one; a payment's shares are worth what it pooled
    /// less at most a share's worth (and at the first, less what stays with nobody).
    #[test]
    fn without_losses_nobody_loses_but_a_rounding_of_his_own(tries in tries(false)) {
        let mut book = Book::default();
        for one in tries {
            let before = book.worths();
            let first = book.state.rate().shares == Shares::ZERO;
            let Ok(events) = try_one(&mut book, one) else { continue };
            let after = book.worths();
            for no in 0..5u8 {
                let (then, now) = (before[usize::from(no)], after[usize::from(no)]);
                let acts = match one {
                    Try::Transfer { owner, to, .. } => no == owner || no == to,
                    Try::Request { owner, .. } => no == owner,
                    // A payout is gone from the books when it is paid.
                    Try::PaidOut { .. } => true,
                    _ => false,
                };
                prop_assert!(acts || now >= then, "{no} had {then}, has {now} after {one:?}");
            }
            let sum = |worths: [U256; 5]| worths.iter().fold(U256::ZERO, |sum, worth| sum + worth);
            match &events[0] {
                Event::Transferred { .. } | Event::Requested { .. } => {
                    prop_assert!(sum(after) + U256::ONE >= sum(before));
                }
                Event::Paid { pooled, refund, .. } => {
                    let got = sum(after) - sum(before);
                    let dead = if first && *pooled != Wei::ZERO { DEAD_SHARES.0 } else { U256::ZERO };
                    let share = book.state.rate().eth_of_up(Shares(U256::ONE)).unwrap_or_default();
                    prop_assert!(got <= pooled.0 + refund.0 + U256::from(5), "others gain by rounding only");
                    prop_assert!(got + dead + share.0 >= pooled.0 + refund.0);
                }
                _ => {}
            }
        }
    }

    /// Whatever a log says: it changes the state into one that audits, or is refused and changes nothing.
    #[test]
    fn events_of_another_state_never_break_this_one(one in tries(true), other in tries(true)) {
        let (mut book, mut events) = (Book::default(), Vec::new());
        for one in other {
            events.extend(try_one(&mut book, one).unwrap_or_default());
        }
        let mut book = Book::default();
        for one in one.into_iter().take(20) {
            let _ = try_one(&mut book, one);
        }
        let mut state = book.state;
        for event in events {
            let before = state.clone();
            match apply(&mut state, &event) {
                Ok(()) => {}
                Err(_) => prop_assert_eq!(&state, &before),
            }
            let text = serde_json::to_string(&event).unwrap();
            prop_assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
        }
    }
}

#[test]
fn lidos_example_ten_eth_become_fifteen() {
    let mut book = Book::default();
    let (alice, bob) = (account(0), account(1));
    // A keeper's wei and the dead shares are beside them, and gain the same part.
    book.pay(account(3), Wei(DEAD_SHARES.0 + U256::ONE));
    book.pay(alice, eth("2"));
    book.pay(bob, eth("8"));
    assert_eq!(book.balances([0, 1]), [eth("2"), eth("8")]);
    book.rewards(eth("5.000000000500000001"));
    book.bounds.positive_rebase_max_ppb = 600_000_000;
    book.report(0, 0, 0).unwrap();
    assert_eq!(book.balances([0, 1]), [eth("3"), eth("12")]);
}

#[test]
fn a_loss_is_everybodys_in_proportion_and_pays_no_fee() {
    let mut book = Book::funded([("10", 0), ("30", 1)]);
    book.stake("32");
    book.report(32 * wide::ETH_GWEI, 32 * wide::ETH_GWEI, 0).unwrap();
    let before = book.balances([0, 1]);
    let all = book.state.rate().shares;
    book.request(1, "10");
    book.bounds.cl_decrease_max = BasisPoints::WHOLE;
    book.incident = true;
    book.report(28 * wide::ETH_GWEI, 0, 0).unwrap();
    assert_eq!(book.state.rate().shares, all, "no new shares");
    let after = book.balances([0, 1]);
    // 4 of 40 ETH are gone: a tenth of everybody's, of what waits in the queue too.
    let tenth_less = |then: Wei| then.0 * U256::from(9) / U256::from(10);
    let near = |have: U256, want: U256| have.abs_diff(want) <= U256::from(2);
    assert!(near(after[0].0, tenth_less(before[0])), "{after:?}");
    assert!(near(after[1].0, tenth_less(Wei(before[1].0 - eth("10").0))));
    assert!(near(book.state.queued().unwrap().0, eth("9").0));
    // Nothing is served while the incident is open; then at the lower rate, and the loss is not made good by waiting.
    book.report(26 * wide::ETH_GWEI, 0, 2 * wide::ETH_GWEI).unwrap();
    assert!(book.state.books().buffer > book.state.queued().unwrap());
    assert_eq!(book.state.queue().waiting(), 1);
    book.incident = false;
    book.report(26 * wide::ETH_GWEI, 0, 0).unwrap();
    assert_eq!(book.state.queue().waiting(), 0);
    assert!(near(book.state.books().locked.0, eth("9").0));
}

#[test]
fn what_waits_does_not_earn_and_what_it_would_have_earned_is_the_others() {
    let mut book = Book::funded([("10", 0), ("10", 1)]);
    book.request(0, "5");
    book.rewards(eth("2"));
    book.bounds.positive_rebase_max_ppb = 200_000_000;
    book.report(0, 0, 0).unwrap();
    assert!(eth("5").0 - book.state.books().locked.0 <= U256::ONE);
    let [one, other] = book.balances([0, 1]);
    // 17 ETH for those who stay: 15 ETH's worth of shares.
    assert!(one > eth("5.66") && one < eth("5.67") && other > eth("11.33") && other < eth("11.34"));
}

#[test]
fn who_is_served_pays_the_fee_like_who_stays() {
    let mut book = Book::funded([("40", 0), ("10", 1)]);
    book.stake("32");
    book.report(32 * wide::ETH_GWEI, 32 * wide::ETH_GWEI, 0).unwrap();
    // After a loss, both what waits and what stays are worth less than at the request, and gain by the same report.
    book.request(0, "15");
    book.bounds.cl_decrease_max = BasisPoints::WHOLE;
    book.incident = true;
    book.report(22 * wide::ETH_GWEI, 0, 0).unwrap();
    let [waits, stays] = [book.state.queued().unwrap(), book.balances([1])[0]];
    book.incident = false;
    book.report(24 * wide::ETH_GWEI, 0, 0).unwrap();
    let [served, stayed] = [book.state.books().locked, book.balances([1])[0]];
    assert!(served > waits && stayed > stays);
    // In proportion: served / waits is stayed / stays, to some wei of some ETH.
    let (one, other) = (served.0 * stays.0, stayed.0 * waits.0);
    assert!(one.abs_diff(other) <= eth("100").0, "{served} of {waits}, {stayed} of {stays}");
}

#[test]
fn all_withdraw_at_once_and_are_served_in_order_as_exits_bring_eth() {
    let mut book = Book::funded([("20", 0), ("30", 1), ("46", 2)]);
    book.stake("64");
    book.report(64 * wide::ETH_GWEI, 64 * wide::ETH_GWEI, 0).unwrap();
    let worths = [0, 1, 2].map(|no| book.state.shares().balance(account(no)));
    for no in [2, 0, 1] {
        let amount = Amount::Shares(book.state.shares().shares(account(no)));
        book.run(&Command::Request { owner: account(no), amount }).unwrap();
    }
    // 96 ETH are asked for, 32 are there: exits are asked for the rest, and for no more.
    let queued = book.state.queued().unwrap();
    assert_eq!(queued, wide::total(worths).unwrap());
    assert_eq!(book.state.exit_demand(Wei::ZERO, Wei::ZERO), Ok(wide::sub(queued, eth("32")).unwrap()));
    assert_eq!(book.state.exit_demand(Wei::ZERO, eth("64")), Ok(Wei::ZERO));
    let rules = book.rules();
    assert_eq!(book.state.depositable(&rules), Ok(Wei::ZERO), "who leaves comes before new validators");
    // The first waits for 46 ETH; those behind it wait too, though 20 are there.
    let mut served = Vec::new();
    for (left, withdrawn) in [(64, 0), (32, 32), (0, 32)] {
        book.report(left * wide::ETH_GWEI, 0, withdrawn * wide::ETH_GWEI).unwrap();
        served.push(book.state.queue().claimable().count());
    }
    assert_eq!(served, [0, 1, 3]);
    for (request, no) in [(0u64, 2u8), (1, 0), (2, 1)] {
        let due = book.state.queue().request(request).unwrap().eth;
        assert_eq!(due, worths[usize::from(no)], "the rate of the request");
        let claim = Command::Claim { owner: account(no), request };
        let events = book.run(&claim).unwrap();
        let Event::Claimed { payout, .. } = events[0] else { panic!("{events:?}") };
        assert_eq!(book.run(&claim), Err(Refusal::NoRequest { request }), "once");
        assert_eq!(book.state.payouts()[&payout].why, PayoutReason::Claim(request));
        book.paid_out(payout).unwrap();
        assert_eq!(book.paid_out(payout), Err(Refusal::NoPayout { payout }));
    }
    assert_eq!(book.state.flows().left, queued);
    // The dead shares' ETH, and a few wei of rounding, are all that is left.
    assert!(book.state.rate().pooled.0 - DEAD_SHARES.0 <= U256::from(3));
}

#[test]
fn what_buys_no_shares_is_owed_back_to_the_wei() {
    let mut book = Book::default();
    let refunds = |book: &Book| book.state.books().refunds;
    // Not more than what stays with nobody.
    book.pay(account(0), Wei(DEAD_SHARES.0));
    assert_eq!((refunds(&book), book.state.rate().shares), (Wei(DEAD_SHARES.0), Shares::ZERO));
    book.paid_out(0).unwrap();
    book.pay(account(0), eth("5"));
    // Half of it is beyond the limit on the pool's size.
    book.intake_room = gwei("1");
    book.pay(account(1), eth("2"));
    assert_eq!((book.balances([1])[0], refunds(&book)), (eth("1"), eth("1")));
    book.intake_room = Gwei(0);
    book.pay(account(1), eth("2"));
    assert_eq!((book.balances([1])[0], refunds(&book)), (eth("1"), eth("3")));
    book.intake_room = gwei("1000");
    // Below a share: at a rate above one, a wei is none.
    book.rewards(eth("1.2"));
    book.bounds.positive_rebase_max_ppb = 250_000_000;
    book.report(0, 0, 0).unwrap();
    book.payment_min = Wei::ZERO;
    book.pay(account(1), Wei(U256::ONE));
    assert_eq!(refunds(&book), Wei(eth("3").0 + U256::ONE));
    book.pay(account(1), Wei(U256::from(2)));
    assert_eq!(refunds(&book), Wei(eth("3").0 + U256::ONE), "two wei are a share");
    // Below the least payment, and of somebody whom a closed pool does not name.
    book.payment_min = eth("0.01");
    book.pay(account(1), eth("0.009"));
    book.named = Some(BTreeSet::from([account(0)]));
    book.pay(account(1), eth("1"));
    assert_eq!(refunds(&book), Wei(eth("4.009").0 + U256::ONE));
    let give = Command::Transfer { owner: account(0), to: account(1), amount: Amount::Eth(eth("1")) };
    assert_eq!(book.run(&give), Err(Refusal::NotNamed { account: account(1) }));
    book.pay(account(0), eth("1"));
    assert_eq!(refunds(&book), Wei(eth("4.009").0 + U256::ONE));
}

#[test]
fn a_payment_counts_once_whatever_it_is_said_to_be() {
    let mut book = Book::default();
    let payment = Payment { reference: reference(7), payer: account(0), eth: eth("3") };
    book.run(&Command::Payment(payment)).unwrap();
    let counted = Refusal::Counted { reference: reference(7) };
    for command in [Command::Payment(payment), Command::Rewards(payment), Command::Cover(payment)] {
        assert_eq!(book.run(&command), Err(counted));
    }
    let other = Payment { reference: Reference { index: 1, ..reference(7) }, ..payment };
    book.run(&Command::Cover(other)).unwrap();
    let none = Payment { reference: reference(8), eth: Wei::ZERO, ..payment };
    assert_eq!(book.run(&Command::Payment(none)), Err(Refusal::NoAmount { eth: Wei::ZERO }));
}

#[test]
fn rewards_beyond_the_bound_wait_for_the_next_report() {
    let mut book = Book::funded([("100", 0)]);
    book.fee = BasisPoints::ZERO;
    book.bounds.positive_rebase_max_ppb = 10_000_000;
    book.rewards(eth("1.5"));
    book.report(0, 0, 0).unwrap();
    let counted = wide::sub(eth("1.5"), book.state.books().rewards).unwrap();
    assert_eq!(counted, eth("1"), "a hundredth of 100 ETH, to the wei");
    book.report(0, 0, 0).unwrap();
    assert_eq!(book.state.books().rewards, Wei::ZERO);
}

#[test]
fn cover_is_for_all_and_pays_no_fee_and_is_no_gain() {
    let mut book = Book::funded([("50", 0), ("50", 1)]);
    book.bounds.positive_rebase_max_ppb = 0;
    book.cover(eth("10"));
    assert_eq!(book.balances([0])[0].0.abs_diff(eth("50").0), U256::from(1_000_000_000));
    let shares = book.state.rate().shares;
    book.report(0, 0, 0).unwrap();
    assert_eq!(book.state.rate().shares, shares);
    assert_eq!(book.state.rate().pooled, eth("110"));
}

#[test]
fn fees_are_of_gains_only_and_split_to_the_last_share() {
    let mut book = Book::funded([("64", 0)]);
    book.stake("32");
    book.bounds.positive_rebase_max_ppb = 10_000_000;
    book.report(32 * wide::ETH_GWEI, 32 * wide::ETH_GWEI, 0).unwrap();
    let collectors = [OPERATORS_HOLDER, account(21), RESERVE_HOLDER];
    let have = |book: &Book| collectors.map(|account| book.state.shares().shares(account).0);
    assert_eq!(have(&book), [U256::ZERO; 3], "a deposit is no gain");
    let before = book.state.rate().shares.0;
    book.report(32 * wide::ETH_GWEI + wide::ETH_GWEI / 10, 0, 0).unwrap();
    let minted = book.state.rate().shares.0 - before;
    let [operators, treasury, reserve] = have(&book);
    assert_eq!(operators + treasury + reserve, minted);
    assert_eq!(operators, minted * U256::from(500) / U256::from(1000));
    assert_eq!(reserve, minted * U256::from(100) / U256::from(1000));
    let fee = book.state.rate().eth_of(Shares(minted)).unwrap();
    assert!(eth("0.01").0 - fee.0 <= U256::from(2), "a tenth of 0.1 ETH: {fee}");
}

#[test]
fn the_books_give_away_what_they_hold_and_nothing_else() {
    let mut book = Book::funded([("64", 0)]);
    book.stake("32");
    book.report(32 * wide::ETH_GWEI, 32 * wide::ETH_GWEI, 0).unwrap();
    book.report(32 * wide::ETH_GWEI + wide::ETH_GWEI / 10, 0, 0).unwrap();
    let give = |from, to, eth| Command::Give { from, to, eth };
    let (one, wei) = (account(1), Wei(U256::from(1000)));
    for other in [account(0), QUEUE_HOLDER, DEAD_HOLDER, OPERATORS_HOLDER] {
        let refused = book.run(&give(other, OPERATORS_HOLDER, wei));
        assert_eq!(refused, Err(Refusal::NotHeld { account: other }));
        let shares = Shares(U256::ONE);
        let event = Event::Given { from: other, to: OPERATORS_HOLDER, shares };
        let corrupt = apply(&mut book.state.clone(), &event);
        assert_eq!(corrupt, Err(Corrupt::Nobody { account: other }));
    }
    for nobody in [QUEUE_HOLDER, DEAD_HOLDER, Address::ZERO] {
        let refused = Err(Refusal::Nobody { account: nobody });
        assert_eq!(book.run(&give(OPERATORS_HOLDER, nobody, wei)), refused);
        let event = Event::Given { from: OPERATORS_HOLDER, to: nobody, shares: Shares(U256::ONE) };
        let corrupt = apply(&mut book.state.clone(), &event);
        assert_eq!(corrupt, Err(Corrupt::Nobody { account: nobody }));
    }
    assert_eq!(book.run(&give(RESERVE_HOLDER, one, Wei::ZERO)), Err(Refusal::NoShares));
    // Worth no more than it is said to be, and a pool that is closed to an account can owe it something.
    book.named = Some(BTreeSet::new());
    book.run(&give(OPERATORS_HOLDER, one, wei)).unwrap();
    let [got] = book.balances([1]);
    assert!(got <= wei && got.0 + U256::from(2) >= wei.0, "{got}");
    // Asked for more than there is, all of it.
    let all = book.state.shares().shares(RESERVE_HOLDER);
    let given = book.run(&give(RESERVE_HOLDER, OPERATORS_HOLDER, eth("1"))).unwrap();
    let (from, to) = (RESERVE_HOLDER, OPERATORS_HOLDER);
    assert_eq!(given, [Event::Given { from, to, shares: all }]);
    assert_eq!(book.run(&give(RESERVE_HOLDER, one, wei)), Err(Refusal::NoShares));
}

#[test]
fn the_reserve_and_the_queue_come_before_deposits() {
    let mut book = Book::funded([("100", 0)]);
    book.reserve = bp(1000);
    let free = |book: &Book| book.state.depositable(&book.rules()).unwrap();
    assert_eq!(free(&book), eth("90"));
    book.request(0, "15");
    assert_eq!(free(&book), eth("75"));
    let free = free(&book);
    let wanted = eth("75.000000001");
    let refused = book.run(&Command::Plan(gwei("75.000000001")));
    assert_eq!(refused, Err(Refusal::NotFree { wanted, free }));
    book.run(&Command::Plan(gwei("75"))).unwrap();
    assert_eq!(
        book.run(&Command::Plan(Gwei(1))),
        Err(Refusal::NotFree { wanted: eth("0.000000001"), free: Wei::ZERO })
    );
    // What is planned can be given up, what is sent cannot.
    book.run(&Command::Send(gwei("32"))).unwrap();
    let wanted = eth("44");
    let planned = eth("43");
    assert_eq!(book.run(&Command::Unplan(gwei("44"))), Err(Refusal::NotPlanned { wanted, planned }));
    book.run(&Command::Unplan(gwei("43"))).unwrap();
    assert_eq!((book.state.books().planned, book.state.books().transient), (Wei::ZERO, eth("32")));
}

#[test]
fn each_rule_on_requests_and_transfers_refuses_what_breaks_only_it() {
    let mut book = Book::funded([("100", 0), ("1", 1)]);
    let (owner, other) = (account(0), account(1));
    let request = |amount: &str| Command::Request { owner, amount: Amount::Eth(eth(amount)) };
    book.request_max = eth("50");
    book.request_min = eth("0.1");
    let (min, max) = (book.request_min, book.request_max);
    assert_eq!(book.run(&request("0.09")), Err(Refusal::RequestSize { eth: eth("0.09"), min, max }));
    assert_eq!(book.run(&request("51")), Err(Refusal::RequestSize { eth: eth("51"), min, max }));
    assert!(matches!(book.run(&request("101")), Err(Refusal::Shares(_))));
    book.run(&request("50")).unwrap();
    // What is in the queue is no longer its owner's.
    let give = Command::Transfer { owner, to: other, amount: Amount::Eth(eth("60")) };
    assert!(matches!(book.run(&give), Err(Refusal::Shares(_))));
    assert_eq!(book.run(&Command::Claim { owner, request: 0 }), Err(Refusal::NotServed { request: 0 }));
    // Too young: the report's state is older than the request.
    book.request_age_min_s = 3600;
    book.report(0, 0, 0).unwrap();
    assert_eq!(book.state.queue().waiting(), 1);
    book.request_age_min_s = 0;
    book.report(0, 0, 0).unwrap();
    assert_eq!(
        book.run(&Command::Claim { owner: other, request: 0 }),
        Err(Refusal::NotOwner { request: 0, owner: other })
    );
    assert_eq!(book.run(&Command::Claim { owner, request: 1 }), Err(Refusal::NoRequest { request: 1 }));
    for nobody in [QUEUE_HOLDER, DEAD_HOLDER, Address::ZERO] {
        let amount = Amount::Shares(Shares(U256::ONE));
        let refused = Err(Refusal::Nobody { account: nobody });
        assert_eq!(book.run(&Command::Transfer { owner, to: nobody, amount }), refused);
        assert_eq!(book.run(&Command::Transfer { owner: nobody, to: owner, amount }), refused);
        assert_eq!(book.run(&Command::Request { owner: nobody, amount }), refused);
    }
    let nothing = Command::Transfer { owner, to: other, amount: Amount::Shares(Shares::ZERO) };
    assert_eq!(book.run(&nothing), Err(Refusal::NoShares));
}

#[test]
fn each_rule_on_reports_refuses_what_breaks_only_it() {
    let mut book = Book::default();
    assert_eq!(book.report(0, 0, 0), Err(Refusal::NobodyHasShares));
    book.pay(account(0), eth("64"));
    book.stake("32");
    let (arrived, transient) = (eth("33"), eth("32"));
    let refused = book.report(33 * wide::ETH_GWEI, 33 * wide::ETH_GWEI, 0);
    assert_eq!(refused, Err(Refusal::ArrivedTooMuch { arrived, transient }));
    book.report(32 * wide::ETH_GWEI, 32 * wide::ETH_GWEI, 0).unwrap();
    let last = book.state.reported().unwrap();
    let again = Report { epoch: last, at: 0, balance: gwei("32"), arrived: Gwei(0), withdrawn: Gwei(0) };
    assert_eq!(book.run(&Command::Report(again)), Err(Refusal::NotLater { last, epoch: last }));
    assert!(
        matches!(book.report(40 * wide::ETH_GWEI, 0, 0), Err(Refusal::Report(_))),
        "a gain beyond the bounds"
    );
    assert!(matches!(book.report(20 * wide::ETH_GWEI, 0, 0), Err(Refusal::Report(_))), "a loss beyond them");
    book.fee = bp(9600);
    assert_eq!(book.report(32 * wide::ETH_GWEI, 0, 0), Err(Refusal::FeeOfMoreThanAll { sum_bp: 10_100 }));
}

#[test]
fn a_pool_that_lost_everything_serves_nobody_until_something_comes_back() {
    let mut book = Book::funded([("32", 0)]);
    book.stake("32");
    book.report(32 * wide::ETH_GWEI, 32 * wide::ETH_GWEI, 0).unwrap();
    book.request(0, "1");
    book.bounds.cl_decrease_max = BasisPoints::WHOLE;
    book.report(0, 0, 0).unwrap();
    assert_eq!((book.state.rate().pooled, book.state.queue().waiting()), (Wei::ZERO, 1));
    book.pay(account(1), eth("1"));
    assert_eq!(book.state.books().refunds, eth("1"), "shares of a pool of nothing have no price");
    book.cover(eth("16"));
    book.report(0, 0, 0).unwrap();
    assert_eq!(book.state.queue().waiting(), 0);
    assert!(eth("0.5").0 - book.state.books().locked.0 <= U256::from(2));
}

#[test]
fn events_that_were_never_decided_are_refused() {
    let mut book = Book::funded([("10", 0)]);
    let refuse = |state: &State, event: Event| {
        let mut state = state.clone();
        apply(&mut state, &event).unwrap_err()
    };
    let paid = |pooled: &str, shares: Wei, refund: &str| Event::Paid {
        reference: reference(99),
        payer: account(0),
        pooled: eth(pooled),
        shares: Shares(shares.0),
        refund: eth(refund),
    };
    assert!(matches!(refuse(&book.state, paid("1", eth("2"), "0")), Corrupt::Bought { .. }));
    let transfer = Event::Transferred { from: QUEUE_HOLDER, to: account(0), shares: Shares(U256::ONE) };
    assert_eq!(refuse(&book.state, transfer), Corrupt::Nobody { account: QUEUE_HOLDER });
    let requested = |request| Event::Requested {
        request,
        owner: account(0),
        shares: Shares(U256::ONE),
        eth: Wei(U256::ONE),
        at: 0,
    };
    assert_eq!(refuse(&book.state, requested(1)), Corrupt::Number { have: 1, next: 0 });
    assert!(matches!(refuse(&book.state, Event::Sent(gwei("1"))), Corrupt::Wide(_)));
    book.request(0, "2");
    let events = decide(&book.state, &book.rules(), book.now, &book.next_report(0, 0, 0)).unwrap();
    let [Event::Reported(good)] = &events[..] else { panic!("{events:?}") };
    let mut more = good.clone();
    more.served[0].eth = Wei(more.served[0].eth.0 + U256::from(2));
    assert_eq!(refuse(&book.state, Event::Reported(more)), Corrupt::Serves { request: 0 });
    let mut other = good.clone();
    other.after.pooled = Wei(other.after.pooled.0 - U256::ONE);
    assert!(matches!(refuse(&book.state, Event::Reported(other)), Corrupt::Unbalanced(_)));
    let mut minted = good.clone();
    minted.fees[0].1 = Shares(U256::ONE);
    assert!(matches!(refuse(&book.state, Event::Reported(minted)), Corrupt::Bought { .. }));
}

#[test]
fn the_rules_of_the_tests_are_those_of_the_commands() {
    let fees = rules().fees;
    let sum: u16 = [fees.operators, fees.treasury, fees.reserve].iter().map(|(part, _)| part.get()).sum();
    assert_eq!(sum, 1000, "a tenth, as the tests say");
    let Rules { named, incident_open, .. } = rules();
    assert!(named.is_none() && !incident_open);
}
