//! What is due in shares: what the reserve pays, what operators owe it, and what a report does about it.

mod pool;

use alloy_primitives::U256;
use coordinator::formulas::ratio::BasisPoints;
use coordinator::formulas::shares::{DEAD_HOLDER, Shares};
use coordinator::formulas::wide;
use coordinator::ledger::pool::{
    Command, Corrupt, Event, OPERATORS_HOLDER, Payment, QUEUE_HOLDER, RESERVE_HOLDER, Refusal, Report,
    Reported, Rules, State, apply, decide,
};
use pool::{Book, account, bp, eth, reference};
use types::{Address, Epoch, Gwei, Wei};

/// A book with a reserve of 10 ETH beside 30 of others, all in the buffer.
fn with_reserve() -> Book {
    let mut book = Book::funded([("30", 0)]);
    book.bounds.positive_rebase_max_ppb = 1_000_000_000;
    let payment = Payment { reference: reference(book.steps), payer: account(5), eth: eth("10") };
    book.run(&Command::Endow(payment)).unwrap();
    assert_eq!(book.state.reserve(), eth("10"));
    book
}

fn forgive(book: &mut Book, amount: &str) {
    book.run(&Command::Forgive { holder: RESERVE_HOLDER, eth: eth(amount) }).unwrap();
}

fn reported(book: &mut Book) -> Reported {
    match &book.report(0, 0, 0).unwrap()[..] {
        [Event::Reported(reported)] => reported.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_reserve_pays_with_its_shares_when_the_next_report_comes() {
    let mut book = with_reserve();
    let before = book.state.rate();
    forgive(&mut book, "3");
    forgive(&mut book, "1");
    assert_eq!((book.state.rate(), book.state.reserve()), (before, eth("6")), "due, and not taken");
    let told = reported(&mut book);
    let after = book.state.rate();
    assert_eq!((told.forgiven.len(), told.forgiven[0].shares), (1, Shares(eth("4").0)));
    assert_eq!(told.forgiven[0].eth, eth("4"));
    assert_eq!((after.pooled, after.shares), (before.pooled, Shares(before.shares.0 - eth("4").0)));
    assert_eq!(book.state.due().forgiven.get(&RESERVE_HOLDER), None);
    // 40 ETH are behind 36 of shares, for the others and for what the reserve has left.
    let nearly =
        |have: Wei, want: &str| have <= eth(want) && eth(want).0 - have.0 <= U256::from(2_000_000_000);
    assert!(nearly(book.balances([0])[0], "33.333333333333333334"), "{}", book.balances([0])[0]);
    assert!(nearly(book.state.reserve(), "6.666666666666666667"), "{}", book.state.reserve());
    assert_eq!(reported(&mut book).forgiven, []);
}

#[test]
fn what_is_burnt_stays_within_the_bound_and_the_rest_waits_as_rewards_do() {
    let mut book = with_reserve();
    book.bounds.positive_rebase_max_ppb = 50_000_000;
    forgive(&mut book, "4");
    book.rewards(eth("1"));
    let (mut burnt, mut frames) = (U256::ZERO, 0);
    while book.state.due().forgiven.contains_key(&RESERVE_HOLDER) {
        let before = book.state.rate();
        let told = reported(&mut book);
        burnt += told.forgiven[0].shares.0;
        frames += 1;
        let after = book.state.rate();
        // Not more than a twentieth, and as much as there is room for.
        let gain =
            |pooled: U256| pooled * before.shares.0 * U256::from(1000) / (before.pooled.0 * after.shares.0);
        assert!(gain(after.pooled.0) <= U256::from(1050));
        let last = !book.state.due().forgiven.contains_key(&RESERVE_HOLDER);
        assert!(last || (gain(after.pooled.0 + U256::from(wide::ETH_GWEI)) == U256::from(1050)), "{frames}");
        assert!(last || told.rewards == Wei::ZERO, "the loss first");
    }
    assert!(frames == 3 && burnt < eth("4").0, "at a higher rate it takes fewer shares: {burnt} in {frames}");
    let waits = book.state.books().rewards;
    assert!(waits < eth("1") || reported(&mut book).rewards > Wei::ZERO);
}

#[test]
fn what_the_reserve_does_not_have_stays_due() {
    let mut book = with_reserve();
    forgive(&mut book, "12");
    assert_eq!(book.state.reserve(), Wei::ZERO);
    let told = reported(&mut book);
    assert_eq!((told.forgiven[0].shares, told.forgiven[0].eth), (Shares(eth("10").0), eth("10")));
    assert_eq!(book.state.shares().shares(RESERVE_HOLDER), Shares::ZERO);
    assert_eq!(book.state.due().forgiven[&RESERVE_HOLDER], eth("2"));
    assert_eq!(reported(&mut book).forgiven, []);
    let payment = Payment { reference: reference(book.steps), payer: account(5), eth: eth("3") };
    book.run(&Command::Endow(payment)).unwrap();
    assert_eq!(reported(&mut book).forgiven[0].eth, eth("2"));
    assert!(book.state.reserve() > eth("1") && book.state.due().forgiven.is_empty());
}

#[test]
fn who_is_served_has_a_part_of_what_is_burnt_up_to_what_he_asked_for() {
    let run = |burns: bool| {
        let mut book = with_reserve();
        book.stake("32");
        book.report(32 * wide::ETH_GWEI, 32 * wide::ETH_GWEI, 0).unwrap();
        book.request(0, "4");
        // A loss of 2 ETH, which the reserve makes good in the same report.
        if burns {
            forgive(&mut book, "2");
        }
        book.bounds.cl_decrease_max = BasisPoints::WHOLE;
        book.report(30 * wide::ETH_GWEI, 0, 0).unwrap();
        (book.state.books().locked, book.balances([0])[0])
    };
    let ((alone, stayed), (helped, stays)) = (run(false), run(true));
    assert!(alone < eth("3.81") && helped > eth("3.99") && helped <= eth("4"), "{alone} {helped}");
    // Both have the same part of it, to some wei.
    let (one, other) = (helped.0 * stayed.0, stays.0 * alone.0);
    assert!(one.abs_diff(other) <= eth("100").0, "{helped} of {alone}, {stays} of {stayed}");
}

#[test]
fn operators_give_the_reserve_what_is_its_and_nobody_else_owes_shares() {
    let mut book = with_reserve();
    let rules = book.rules();
    let fees = coordinator::ledger::pool::Fees { operators: (bp(5000), OPERATORS_HOLDER), ..rules.fees };
    let mut state = book.state.clone();
    let report = |state: &mut State, rewards: u64| {
        let payment =
            Payment { reference: reference(900 + rewards as u32), payer: account(9), eth: gwei_wei(rewards) };
        for command in [Command::Rewards(payment), gaining(state)] {
            for event in decide(state, &Rules { fees, ..rules }, 1, &command).unwrap() {
                apply(state, &event).unwrap();
            }
        }
    };
    report(&mut state, 1);
    let had = state.shares().shares(OPERATORS_HOLDER);
    assert!(state.shares().balance(OPERATORS_HOLDER) > eth("0.4"), "half of a gain of an ETH");
    let reserve = state.shares().shares(RESERVE_HOLDER);
    let due = [
        Command::Restore { eth: eth("0.1") },
        Command::Forgive { holder: OPERATORS_HOLDER, eth: eth("0.2") },
    ];
    for command in due {
        for event in decide(&state, &rules, 1, &command).unwrap() {
            apply(&mut state, &event).unwrap();
        }
    }
    let rate = state.rate();
    let Event::Reported(told) = &decide(&state, &rules, 1, &still(&state)).unwrap()[0] else {
        panic!("a report")
    };
    apply(&mut state, &Event::Reported(told.clone())).unwrap();
    let moved = told.restored.unwrap();
    assert_eq!((moved.shares, moved.eth), (rate.shares_of(eth("0.1")).unwrap(), eth("0.1")));
    let burnt = told.forgiven[0];
    assert_eq!(burnt.from, OPERATORS_HOLDER);
    assert!(rate.eth_of(burnt.shares).unwrap() >= eth("0.2"), "rounded up for who stays");
    let left = state.shares().shares(OPERATORS_HOLDER);
    assert_eq!(left.0, had.0 - moved.shares.0 - burnt.shares.0);
    assert_eq!(state.shares().shares(RESERVE_HOLDER).0, reserve.0 + moved.shares.0);
    state.audit().unwrap();
    assert_eq!((state.due().restored, state.due().forgiven.len()), (Wei::ZERO, 0));
    // Burnt comes first; what the account does not have stays due.
    for command in
        [Command::Restore { eth: eth("0.3") }, Command::Forgive { holder: OPERATORS_HOLDER, eth: eth("0.1") }]
    {
        for event in decide(&state, &rules, 1, &command).unwrap() {
            apply(&mut state, &event).unwrap();
        }
    }
    for event in decide(&state, &rules, 1, &still(&state)).unwrap() {
        apply(&mut state, &event).unwrap();
    }
    assert_eq!(state.shares().shares(OPERATORS_HOLDER), Shares::ZERO);
    assert!(state.due().restored > eth("0.1") && state.due().forgiven.is_empty());
    for account in [account(0), QUEUE_HOLDER, DEAD_HOLDER, Address::ZERO] {
        let command = Command::Forgive { holder: account, eth: eth("1") };
        assert_eq!(book.run(&command), Err(Refusal::OwesNothing { account }));
        let event = Event::Forgiven { holder: account, eth: eth("1") };
        assert_eq!(apply(&mut state, &event), Err(Corrupt::Nobody { account }));
    }
    for none in
        [Command::Restore { eth: Wei::ZERO }, Command::Forgive { holder: RESERVE_HOLDER, eth: Wei::ZERO }]
    {
        assert_eq!(book.run(&none), Err(Refusal::NoAmount { eth: Wei::ZERO }));
    }
}

fn gwei_wei(eth: u64) -> Wei {
    wide::wei(Gwei(eth * wide::ETH_GWEI))
}

/// A report in which the consensus layer gains a gwei, so that rewards pay a fee.
fn gaining(state: &State) -> Command {
    let Command::Report(report) = still(state) else { panic!("a report") };
    Command::Report(Report { balance: Gwei(report.balance.0 + 1), ..report })
}

/// A report in which nothing happens.
fn still(state: &State) -> Command {
    let epoch = Epoch(state.reported().map_or(1, |last| last.0 + 1));
    let balance = Gwei((state.books().validators.0 / wide::GWEI_WEI).to());
    Command::Report(Report { epoch, at: 1, balance, arrived: Gwei(0), withdrawn: Gwei(0) })
}
