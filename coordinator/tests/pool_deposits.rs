//! The book of deposits against a chain in a jar, together with the pool's book of money: each rule.

mod chain;
mod pool;

use chain::{ETH, FORK, World, cluster, key, offer, ours, root, signed, theirs};
use cluster::check::SharesError;
use coordinator::formulas::ratio::BasisPoints;
use coordinator::ledger::deposits::{
    Alarm, Charter, CharterError, Command, Corrupt, Event, KEYS_MAX, KeyError, KeyOffer, Limit, Look,
    NotSendable, Offered, Purpose, Refusal, SentDeposit, Split, SplitError, Stage, adopt, apply, calldata,
    decide,
};
use pool::{account, bp, eth};
use types::{ForkVersion, Gwei, Root, Signature, Slot, Wei};

/// A pool with so much ETH, and keys of cluster 1 that the chain was seen not to have.
fn ready(eth: &str, compounding: bool, secrets: &[u64]) -> World {
    let mut world = World::funded(eth, compounding);
    world.register(1, secrets);
    world.look().unwrap();
    world
}

#[test]
fn credentials_pay_to_an_address_or_are_refused() {
    for good in [ours(false), ours(true)] {
        assert_eq!(Charter::new(FORK, good).unwrap().credentials(), good);
    }
    let with = |at: usize, byte: u8| {
        let mut bytes = ours(false).0;
        bytes[at] = byte;
        Root(bytes)
    };
    assert_eq!(Charter::new(FORK, with(0, 0)), Err(CharterError::Kind { prefix: 0 }));
    assert_eq!(Charter::new(FORK, with(0, 3)), Err(CharterError::Kind { prefix: 3 }));
    let mut nobody = [0; 32];
    nobody[0] = 1;
    for bad in [with(5, 1), Root(nobody)] {
        assert_eq!(Charter::new(FORK, bad), Err(CharterError::NoAddress { credentials: bad }));
    }
}

#[test]
fn a_key_is_registered_only_if_everything_about_it_is_right_and_the_error_names_it() {
    let mut world = World::funded("100", false);
    world.register(1, &[1]);
    let good = offer(3, ours(false));
    let mut refuse = |bad: KeyOffer, why: KeyError| {
        let keys = vec![offer(2, ours(false)), bad.clone()];
        let refused = world.run(&Command::Register { cluster: cluster(1), keys });
        assert_eq!(refused, Err(Refusal::Key { at: 1, pubkey: bad.pubkey, why }));
        assert_eq!(world.state.validators().len(), 1, "none of the list");
    };
    refuse(offer(1, ours(false)), KeyError::Known);
    refuse(offer(2, ours(false)), KeyError::Known);
    // Good deposits, to somebody else; and to the pool, as another kind.
    refuse(offer(3, theirs()), KeyError::Credentials { have: theirs() });
    refuse(offer(3, ours(true)), KeyError::Credentials { have: ours(true) });
    let two = signed(3, ours(false), 2 * ETH);
    refuse(
        KeyOffer { predeposit: two, ..good.clone() },
        KeyError::Amount { have: Gwei(2 * ETH), want: Gwei(ETH) },
    );
    refuse(
        KeyOffer { rest: two, ..good.clone() },
        KeyError::Amount { have: Gwei(2 * ETH), want: Gwei(31 * ETH) },
    );
    let of_other = |amount: u64| signed(4, ours(false), amount * ETH);
    let unsigned = |offered: Offered, signature: Signature| Offered { signature, ..offered };
    let why = |eth: u64| KeyError::Signature { amount: Gwei(eth * ETH) };
    refuse(KeyOffer { predeposit: of_other(1), ..good.clone() }, why(1));
    refuse(KeyOffer { rest: of_other(31), ..good.clone() }, why(31));
    refuse(KeyOffer { rest: unsigned(good.rest, good.predeposit.signature), ..good.clone() }, why(31));
    refuse(KeyOffer { rest: unsigned(good.rest, Signature::INFINITY), ..good.clone() }, why(31));
    let few = KeyOffer { shares: good.shares[..3].to_vec(), ..good.clone() };
    refuse(few, KeyError::Shares(SharesError::Count { have: 3, want: 4 }));
    let index = types::ShareIndex::new(3).unwrap();
    let of_another = KeyOffer { shares: chain::shares(4), ..good.clone() };
    refuse(of_another, KeyError::Shares(SharesError::OtherKey { index }));
    let bytes = types::PublicKey([0xc0; 48]);
    let refused = world.run(&Command::Register {
        cluster: cluster(1),
        keys: vec![KeyOffer { pubkey: bytes, ..good.clone() }],
    });
    assert!(matches!(refused, Err(Refusal::Key { at: 0, why: KeyError::Point(_), .. })));
    // The same deposits under another network's fork.
    let other = Charter::new(ForkVersion([0, 0, 0, 2]), ours(false)).unwrap();
    let rules = coordinator::ledger::deposits::Rules { charter: other, ..world.rules() };
    let command = Command::Register { cluster: cluster(1), keys: vec![good.clone()] };
    let refused = decide(&world.state, &rules, &command);
    assert_eq!(refused, Err(Refusal::Key { at: 0, pubkey: good.pubkey, why: why(1) }));
    world.run(&command).unwrap();
    let nobody = Command::Register { cluster: cluster(9), keys: vec![offer(5, ours(false))] };
    assert_eq!(world.run(&nobody), Err(Refusal::NoCluster { cluster: cluster(9) }));
    let none = Command::Register { cluster: cluster(1), keys: Vec::new() };
    assert_eq!(world.run(&none), Err(Refusal::KeyCount { have: 0 }));
}

#[test]
fn keys_of_a_lock_are_adopted_as_it_has_them_if_they_are_new_and_their_cluster_gets_stake() {
    let mut world = World::funded("100", false);
    world.register(1, &[1]);
    let good = offer(3, ours(false));
    let ask = |no: u8, keys: Vec<KeyOffer>| adopt(&world.state, &world.rules(), cluster(no), keys);
    for known in [1, 2] {
        let refused = ask(1, vec![offer(2, ours(false)), offer(known, ours(false))]);
        assert_eq!(refused, Err(Refusal::Key { at: 1, pubkey: key(known), why: KeyError::Known }));
    }
    assert_eq!(ask(9, vec![good.clone()]), Err(Refusal::NoCluster { cluster: cluster(9) }));
    // Whoever adopts has verified: nothing is computed here, and the amounts are those that were agreed, which the policy's
    // need not be any more. And there may be more of them than of one request.
    let unsigned = Offered { signature: Signature::INFINITY, amount: Gwei(30 * ETH), ..good.rest };
    let keys =
        (3..3 + 2 * KEYS_MAX as u64).map(|no| KeyOffer { pubkey: key(no), rest: unsigned, ..good.clone() });
    let keys: Vec<_> = keys.collect();
    assert_eq!(ask(1, keys.clone()), Ok(Event::Registered { cluster: cluster(1), keys }));
}

#[test]
fn amounts_that_make_no_validator_are_refused() {
    let split = |one: u64, two: u64| Split { predeposit: Gwei(one * ETH), rest: Gwei(two * ETH) };
    let check = |split: Split, compounding| split.check(&Charter::new(FORK, ours(compounding)).unwrap());
    assert_eq!(check(split(1, 31), false), Ok(()));
    assert_eq!(check(split(1, 255), true), Ok(()));
    assert!(matches!(check(split(1, 30), false), Err(SplitError::Amount(_))));
    assert!(matches!(check(split(0, 32), false), Err(SplitError::Amount(_))));
    let max = Gwei(32 * ETH);
    assert_eq!(check(split(2, 31), false), Err(SplitError::TooMuch { sum: 33 * ETH, max }));
    assert!(matches!(check(split(1000, 1049), true), Err(SplitError::TooMuch { .. })));
}

#[test]
fn the_money_goes_all_the_way_and_back() {
    let mut world = World::funded("64.5", false);
    world.register(1, &[1, 2, 3]);
    let secrets = [1, 2, 3];
    assert_eq!(world.run(&Command::Plan), Err(Refusal::NothingToPlan), "no state was looked at yet");
    world.look().unwrap();
    assert_eq!(world.plan_and_send(), [1, 1], "two of 32 ETH, half an ETH stays");
    assert_eq!(world.stages(&secrets), [Stage::Predeposited, Stage::Predeposited, Stage::Ready]);
    assert_eq!(
        world.run(&Command::Plan),
        Err(Refusal::NothingToPlan),
        "62.5 ETH are there, 62 are spoken for"
    );
    world.chain.take_up(1);
    world.look().unwrap();
    assert_eq!(world.stages(&secrets), [Stage::Proven, Stage::Predeposited, Stage::Ready]);
    assert_eq!(world.plan_and_send(), [31], "of the one that is proven");
    world.chain.take_up(9);
    world.look().unwrap();
    world.report().unwrap();
    assert_eq!(world.pool.state.books().validators, eth("33"));
    assert_eq!(world.plan_and_send(), [31]);
    world.chain.take_up(9);
    world.chain.go_on(None, None);
    world.look().unwrap();
    assert_eq!(world.stages(&secrets), [Stage::RestDeposited, Stage::RestDeposited, Stage::Ready]);
    world.chain.go_on(None, None);
    world.look().unwrap();
    world.report().unwrap();
    assert_eq!(world.stages(&secrets), [Stage::Active, Stage::Active, Stage::Ready]);
    assert_eq!(world.pool.state.books().validators, eth("64"));
    assert_eq!(world.pool.state.books().buffer, eth("0.5"));
    for want in [Stage::Exiting, Stage::Exited, Stage::Exited, Stage::Withdrawn] {
        world.chain.go_on(Some(0), None);
        world.look().unwrap();
        assert!(world.stages(&secrets).contains(&want));
    }
    world.report().unwrap();
    assert_eq!(world.pool.state.books().buffer, eth("32.5"));
    assert_eq!(world.pool.state.rate().pooled, eth("64.5"));
    assert_eq!(world.plan_and_send(), [1], "what came back makes the third");
}

#[test]
fn a_gwei_short_of_a_validator_begins_none() {
    let begins = |amount: &str| {
        let mut world = ready(amount, false, &[1, 2, 3]);
        world.plan_and_send().len()
    };
    assert_eq!(["31.999999999", "32", "63.999999999", "64.5"].map(begins), [0, 1, 1, 2]);
}

#[test]
fn new_validators_go_to_the_least_filled_cluster_within_its_limits() {
    let mut world = World::funded("160", false);
    world.register(1, &[1, 2, 3]);
    world.register(2, &[4, 5, 6]);
    world.register(3, &[7, 8, 9]);
    let stake_max = Gwei(63 * ETH);
    let size = world.clusters[&cluster(1)].size;
    world.clusters.insert(cluster(1), Limit { size, validators_max: 1, stake_max: Gwei(1000 * ETH) });
    world.clusters.insert(cluster(2), Limit { size, validators_max: 100, stake_max });
    world.look().unwrap();
    assert_eq!(world.plan_and_send(), [1; 5]);
    let of = |world: &World, no: u8| {
        let begun = world.state.validators().values().filter(|one| one.stage == Stage::Predeposited);
        begun.filter(|one| one.cluster == cluster(no)).count()
    };
    assert_eq!([1, 2, 3].map(|no| of(&world, no)), [1, 1, 3], "by number, by stake, and the rest");
    // A cluster that the rules no longer know gets nothing, not even the rest.
    world.clusters.remove(&cluster(3));
    world.chain.take_up(9);
    world.look().unwrap();
    assert_eq!(world.plan_and_send(), [31, 31]);
    assert_eq!([1, 2, 3].map(|no| of(&world, no)), [0, 0, 0]);
    assert_eq!(world.stages(&[7, 8, 9]), [Stage::Proven; 3]);
}

#[test]
fn compounding_validators_are_filled_to_the_gwei_before_new_ones_begin() {
    let mut world = ready("100", true, &[1, 2]);
    assert_eq!(world.plan_and_send(), [1], "the other 68 ETH will go to the same");
    assert_eq!(world.run(&Command::Plan), Err(Refusal::NothingToPlan));
    world.chain.take_up(9);
    world.look().unwrap();
    assert_eq!(world.plan_and_send(), [31]);
    world.chain.take_up(9);
    for _ in 0..2 {
        world.chain.go_on(None, None);
        world.look().unwrap();
    }
    let limit =
        Limit { size: world.clusters[&cluster(1)].size, validators_max: 9, stake_max: Gwei(40 * ETH) };
    let mut small = world.clone();
    small.clusters = [(cluster(1), limit)].into();
    assert_eq!(small.plan_and_send(), [8], "to the cluster's limit");
    assert_eq!(world.plan_and_send(), [68]);
    world.chain.take_up(9);
    world.look().unwrap();
    world.report().unwrap();
    assert_eq!(world.pool.state.books().validators, eth("100"));
    // To 2048 ETH, exactly; the next one begins with what is left.
    world.pool.pay(account(1), eth("1979.999999999"));
    let events = world.run(&Command::Plan).unwrap();
    let Event::Batched { items, .. } = &events[0] else { panic!("{events:?}") };
    let planned: Vec<_> = items.iter().map(|item| (item.purpose, item.amount.0)).collect();
    assert_eq!(planned, [(Purpose::TopUp, 1948 * ETH)], "31.999999999 ETH begin nothing");
    world.pool.pay(account(1), eth("0.000000001"));
    assert_eq!(world.plan_and_send(), [1]);
}

#[test]
fn a_validator_with_other_credentials_gets_nothing_more_and_its_loss_is_counted_until_it_is_paid() {
    let mut world = ready("64", false, &[1]);
    world.run(&Command::Plan).unwrap();
    for guardian in [50, 51] {
        world.approve(guardian, 0, root(1)).unwrap();
    }
    // Enough operators together sign a deposit of their own, and are first.
    let stolen = signed(1, theirs(), ETH);
    world.chain.deposit(key(1), theirs(), stolen.amount, stolen.signature);
    world.send(0, 0).unwrap();
    let events = world.look().unwrap();
    assert!(events.contains(&Event::Alarmed { pubkey: key(1), alarm: Alarm::Rival }));
    world.chain.take_up(9);
    let events = world.look().unwrap();
    assert!(events.contains(&Event::Foreign { pubkey: key(1), lost: Gwei(ETH) }), "{events:?}");
    assert_eq!(world.state.validators()[&key(1)].lost, Gwei(ETH));
    assert_eq!(world.run(&Command::Plan), Err(Refusal::NothingToPlan));
    world.report().unwrap();
    assert_eq!((world.pool.state.flows().lost, world.pool.state.books().transient), (eth("1"), Wei::ZERO));
    assert_eq!(world.state.balance(), Gwei(0), "a stranger's balance is not the pool's");
    // Its operators' guarantee pays.
    world.pool.cover(eth("1"));
    world.report().unwrap();
    world.run(&Command::Compensate { pubkey: key(1) }).unwrap();
    assert_eq!(world.stages(&[1]), [Stage::Compensated]);
    assert_eq!(world.pool.state.rate().pooled, eth("64"));
    let again = world.run(&Command::Compensate { pubkey: key(1) });
    assert_eq!(again, Err(Refusal::NothingLost { pubkey: key(1), stage: Stage::Compensated }));
}

#[test]
fn only_a_finalized_state_proves_and_only_exact_credentials_do() {
    let mut world = ready("32", false, &[1]);
    world.plan_and_send();
    world.chain.take_up(9);
    let early = world.run(&Command::Look(world.chain.look(false))).unwrap();
    assert_eq!((early, world.stages(&[1])), (Vec::new(), vec![Stage::Predeposited]));
    let mut look = world.chain.look(true);
    look.validators[0].credentials.0[31] ^= 1;
    let mut other = world.clone();
    let early = other.run(&Command::Look(Look { finalized: false, ..look.clone() }));
    assert_eq!(early, Ok(vec![Event::Alarmed { pubkey: key(1), alarm: Alarm::OtherCredentials }]));
    other.run(&Command::Look(look)).unwrap();
    assert_eq!(other.stages(&[1]), [Stage::Foreign]);
    world.look().unwrap();
    assert_eq!(world.stages(&[1]), [Stage::Proven]);
}

#[test]
fn a_key_that_is_known_before_the_pools_deposit_is_not_used() {
    for (credentials, signature_of, taken_up, stage) in [
        (theirs(), 1, false, Stage::Foreign),
        (ours(false), 1, false, Stage::Foreign),
        (theirs(), 1, true, Stage::Foreign),
        // Anybody can send a deposit that the key has not signed: the chain drops it.
        (theirs(), 2, false, Stage::Ready),
        (theirs(), 2, true, Stage::Ready),
    ] {
        let mut world = World::funded("64", false);
        world.register(1, &[1]);
        let deposit = signed(signature_of, credentials, ETH);
        world.chain.deposit(key(1), credentials, deposit.amount, deposit.signature);
        if taken_up {
            world.chain.take_up(9);
        }
        world.look().unwrap();
        assert_eq!(world.stages(&[1]), [stage], "{credentials} {signature_of} {taken_up}");
        assert_eq!(world.run(&Command::Plan).is_ok(), stage == Stage::Ready);
        assert_eq!(world.state.validators()[&key(1)].lost, Gwei(0));
    }
}

#[test]
fn a_batch_with_a_key_that_turns_out_foreign_is_not_sent_and_can_be_given_up() {
    let mut world = ready("64", false, &[1, 2]);
    world.run(&Command::Plan).unwrap();
    for guardian in [50, 51] {
        world.approve(guardian, 0, root(1)).unwrap();
    }
    let stolen = signed(1, theirs(), ETH);
    world.chain.deposit(key(1), theirs(), stolen.amount, stolen.signature);
    world.look().unwrap();
    let rules = world.rules();
    let refused = calldata(&world.state, &rules, 0, root(1));
    assert_eq!(refused, Err(NotSendable::Held { pubkey: key(1), stage: Stage::Foreign }));
    let give_up = |deposit_root| Command::GiveUp { batch: 0, deposit_root };
    assert_eq!(world.run(&give_up(root(1))), Err(Refusal::StillSendable { batch: 0 }));
    // The deposit above has changed the contract's root.
    let mut sent_anyway = world.clone();
    world.run(&give_up(root(2))).unwrap();
    assert_eq!(world.stages(&[1, 2]), [Stage::Foreign, Stage::Ready]);
    assert_eq!((world.state.planned(), world.pool.state.books().buffer), (Gwei(0), eth("64")));
    assert_eq!(world.plan_and_send(), [1]);
    // Whoever sent it all the same has lost it, and the books know.
    sent_anyway.send(0, usize::from(sent_anyway.state.batches()[&0].items[0].pubkey != key(1))).unwrap();
    assert_eq!(sent_anyway.state.validators()[&key(1)].lost, Gwei(ETH));
    assert_eq!(sent_anyway.state.in_flight(), Gwei(0));
    sent_anyway.look().unwrap();
    sent_anyway.report().unwrap();
    assert_eq!(sent_anyway.pool.state.flows().lost, eth("1"));
}

#[test]
fn a_batch_is_sendable_only_as_exactly_what_enough_guardians_signed() {
    let mut world = ready("64", false, &[1, 2]);
    world.run(&Command::Plan).unwrap();
    let sendable = |world: &World, deposit_root| calldata(&world.state, &world.rules(), 0, deposit_root);
    let few = |have| Err(NotSendable::TooFew { have, need: 2 });
    assert_eq!(sendable(&world, root(1)), few(0));
    assert_eq!(world.approve(40, 0, root(1)), Err(Refusal::NoGuardian { who: account(40) }));
    world.approve(50, 0, root(1)).unwrap();
    let again = Refusal::Approved { guardian: account(50), batch: 0 };
    assert_eq!(world.approve(50, 0, root(1)), Err(again), "one guardian counts once");
    // Another root, another batch, other keys: none adds to it.
    world.approve(51, 0, root(2)).unwrap();
    assert_eq!((sendable(&world, root(1)), sendable(&world, root(2))), (few(1), few(1)));
    assert_eq!(world.approve(52, 1, root(1)), Err(Refusal::NoBatch { batch: 1 }));
    let (guardian, want) = (account(52), world.state.batches()[&0].keys_hash());
    let other = Command::Approve { guardian, batch: 0, deposit_root: root(1), keys_hash: root(3) };
    assert_eq!(world.run(&other), Err(Refusal::OtherKeys { have: root(3), want }));
    world.approve(52, 0, root(1)).unwrap();
    let calls = sendable(&world, root(1)).unwrap();
    assert_eq!(calls.len(), 2);
    for (call, secret) in calls.iter().zip([1, 2]) {
        let want = signed(secret, ours(false), ETH);
        assert_eq!((call.pubkey, call.withdrawal_credentials), (key(secret), ours(false)));
        assert_eq!((call.amount, call.signature), (want.amount, want.signature));
        let data = world.charter().deposit(call.pubkey, call.amount, call.signature);
        assert_eq!(call.deposit_data_root, data.data_root());
    }
    assert_eq!(sendable(&world, root(2)), few(1));
    // Whatever stops deposits stops everything.
    world.stopped = true;
    assert_eq!(sendable(&world, root(1)), Err(NotSendable::Stopped));
    assert_eq!(world.run(&Command::Plan), Err(Refusal::Stopped));
    world.stopped = false;
    // Who is no guardian any more does not count.
    world.guardians.remove(&account(52));
    assert_eq!(sendable(&world, root(1)), few(1));
    world.needed = 0;
    assert_eq!(sendable(&world, root(9)), Err(NotSendable::TooFew { have: 0, need: 1 }), "never without one");
}

#[test]
fn a_deposit_that_nobody_approved_counts_and_is_an_alarm() {
    let mut world = ready("32", false, &[1]);
    world.run(&Command::Plan).unwrap();
    world.approve(50, 0, root(1)).unwrap();
    let events = world.send(0, 0).unwrap();
    assert_eq!(events[1], Event::Alarmed { pubkey: key(1), alarm: Alarm::Unapproved });
    let deposit = SentDeposit { pubkey: key(1), data_root: root(4), slot: Slot(9), tx: root(9) };
    let refused = world.run(&Command::Sent(deposit));
    assert_eq!(refused, Err(Refusal::NotPlanned { pubkey: key(1), data_root: root(4) }));
    world.chain.take_up(9);
    world.look().unwrap();
    assert_eq!(world.stages(&[1]), [Stage::Proven]);
    assert_eq!(world.run(&Command::Plan), Err(Refusal::NothingToPlan), "held");
    world.run(&Command::Release { pubkey: key(1) }).unwrap();
    assert_eq!(world.run(&Command::Release { pubkey: key(1) }), Err(Refusal::NotHeld { pubkey: key(1) }));
    assert_eq!(world.plan_and_send(), [31]);
}

#[test]
fn an_alarm_holds_a_batch_that_is_approved() {
    let mut world = ready("32", false, &[1]);
    world.plan_and_send();
    world.chain.take_up(9);
    world.look().unwrap();
    world.run(&Command::Plan).unwrap();
    for guardian in [50, 51] {
        world.approve(guardian, 1, root(1)).unwrap();
    }
    let sendable =
        |world: &World| calldata(&world.state, &world.rules(), 1, root(1)).map(|calls| calls.len());
    assert_eq!(sendable(&world), Ok(1));
    let mut look = world.chain.look(false);
    look.validators[0].credentials = theirs();
    world.run(&Command::Look(look)).unwrap();
    assert_eq!(sendable(&world), Err(NotSendable::Held { pubkey: key(1), stage: Stage::RestPlanned }));
}

#[test]
fn a_state_from_before_a_deposit_says_nothing_of_it() {
    let mut world = ready("32", false, &[1]);
    world.chain.go_on(None, None);
    let before = world.chain.look(true);
    world.plan_and_send();
    let events = world.run(&Command::Look(before)).unwrap();
    assert_eq!(events.len(), 1, "neither arrived nor gone: {events:?}");
    world.chain.take_up(9);
    let before = world.chain.look(true);
    world.run(&Command::Look(before)).unwrap();
    world.chain.go_on(None, None);
    let before = world.chain.look(true);
    assert_eq!(world.plan_and_send(), [31]);
    world.run(&Command::Look(before)).unwrap();
    assert_eq!(world.state.in_flight(), Gwei(31 * ETH));
    assert_eq!(world.state.arrived(eth("30")), None, "books that do not belong together");
}

/// A pool of one active validator.
fn active() -> World {
    let mut world = ready("32", false, &[1, 2]);
    for _ in 0..2 {
        world.plan_and_send();
        world.chain.take_up(9);
        world.look().unwrap();
    }
    for _ in 0..2 {
        world.chain.go_on(None, None);
        world.look().unwrap();
    }
    assert_eq!(world.stages(&[1, 2]), [Stage::Active, Stage::Ready]);
    world
}

#[test]
fn what_was_told_or_is_nobodys_changes_nothing_and_what_contradicts_is_an_alarm_once() {
    let mut world = active();
    assert_eq!(world.run(&Command::Look(world.chain.look(true))), Ok(Vec::new()), "the same state again");
    let (slot, good) = (world.chain.slot, world.chain.look(true));
    let tell = |change: &dyn Fn(&mut Look), alarm: Option<Alarm>| {
        let mut world = world.clone();
        for later in 1..3 {
            let mut look = good.clone();
            look.slot = Slot(slot + later);
            change(&mut look);
            let before = world.state.validators().clone();
            let events = world.run(&Command::Look(look)).unwrap();
            let mut want = vec![Event::Looked { slot: Slot(slot + later) }];
            want.extend(alarm.filter(|_| later == 1).map(|alarm| Event::Alarmed { pubkey: key(1), alarm }));
            assert_eq!(events, want);
            let mut after = world.state.validators().clone();
            after.iter_mut().for_each(|(_, validator)| validator.alarms.clear());
            assert_eq!(before.keys().count(), after.keys().count());
            assert_eq!(before[&key(1)].stage, after[&key(1)].stage);
        }
    };
    tell(&|_| {}, None);
    tell(&|look| look.validators[0].index.0 += 1, Some(Alarm::Index));
    tell(&|look| look.validators[0].credentials = theirs(), Some(Alarm::CredentialsChanged));
    tell(&|look| look.validators.clear(), Some(Alarm::Vanished));
    let pending = types::ValidatorStatus::PendingQueued;
    let waits = |look: &mut Look| {
        (look.validators[0].status, look.validators[0].activation) = (pending, None);
    };
    tell(&waits, Some(Alarm::Backwards));
    tell(&|look| look.validators[0].activation = Some(types::Epoch(0)), Some(Alarm::Backwards));
    let stranger = |look: &mut Look| {
        let one = look.validators[0];
        let index = types::ValidatorIndex(5);
        look.validators.push(coordinator::ledger::deposits::SeenValidator { pubkey: key(99), index, ..one });
    };
    tell(&stranger, None);
    // The index of another: that one is not known by it.
    let mut look = good.clone();
    look.slot = Slot(slot + 1);
    let one = look.validators[0];
    look.validators = vec![coordinator::ledger::deposits::SeenValidator { pubkey: key(2), ..one }];
    let events = world.clone().run(&Command::Look(look)).unwrap();
    assert!(events.contains(&Event::Alarmed { pubkey: key(2), alarm: Alarm::Index }));
    let mut twice = good.clone();
    twice.validators.push(good.validators[0]);
    let index = good.validators[0].index;
    assert_eq!(world.run(&Command::Look(twice)), Err(Refusal::Twice { pubkey: key(1), index }));
}

#[test]
fn a_status_is_what_the_epochs_make_it() {
    use types::{Epoch, ValidatorStatus as Status};
    let world = active();
    let (slot, now) = (Slot(world.chain.slot + 1), (world.chain.slot + 1) / 32);
    let one = world.chain.look(true).validators[0];
    let fits = |status, [activation, exit, withdrawable]: [Option<u64>; 3]| {
        let [activation, exit, withdrawable] = [activation, exit, withdrawable].map(|at| at.map(Epoch));
        let seen =
            coordinator::ledger::deposits::SeenValidator { status, activation, exit, withdrawable, ..one };
        let look = Look { slot, finalized: true, validators: vec![seen], pending: Vec::new() };
        let refused = decide(&world.state, &world.rules(), &Command::Look(look)).err();
        assert!(refused.is_none() || refused == Some(Refusal::Contradiction { pubkey: key(1) }));
        refused.is_none()
    };
    let (past, later) = (Some(now), Some(now + 1));
    let is = |status: Status| {
        let rows = [
            [None, None, None],
            [later, None, None],
            [past, None, None],
            [past, later, later],
            [past, past, later],
            [past, past, past],
        ];
        rows.map(|row| fits(status, row))
    };
    assert_eq!(is(Status::PendingInitialized), [true, false, false, false, false, false]);
    assert_eq!(is(Status::PendingQueued), [true, true, false, false, false, false]);
    assert_eq!(is(Status::ActiveOngoing), [false, false, true, false, false, false]);
    assert_eq!(is(Status::ActiveExiting), [false, false, false, true, false, false]);
    assert_eq!(is(Status::ActiveSlashed), is(Status::ActiveExiting));
    assert_eq!(is(Status::ExitedUnslashed), [false, false, false, false, true, false]);
    assert_eq!(is(Status::ExitedSlashed), is(Status::ExitedUnslashed));
    assert_eq!(is(Status::WithdrawalPossible), [false, false, false, false, false, true]);
    assert_eq!(is(Status::WithdrawalDone), is(Status::WithdrawalPossible));
    for half in [[past, later, None], [past, None, later], [None, later, later]] {
        assert!(!fits(Status::ActiveExiting, half), "{half:?}");
    }
    assert!(!fits(Status::ActiveExiting, [past, Some(now + 2), later]), "free before it has left");
}

#[test]
fn a_slashed_validator_is_seen_early_and_stays_slashed_until_it_is_withdrawn() {
    let mut world = active();
    world.report().unwrap();
    world.chain.go_on(None, Some(0));
    let early = world.run(&Command::Look(world.chain.look(false))).unwrap();
    assert_eq!(early, [Event::Alarmed { pubkey: key(1), alarm: Alarm::Slashed }]);
    for want in [Stage::Slashed, Stage::Slashed, Stage::Slashed, Stage::Withdrawn] {
        world.look().unwrap();
        assert_eq!(world.stages(&[1])[0], want);
        world.chain.go_on(None, None);
    }
    world.report().unwrap();
    assert_eq!(world.pool.state.flows().lost, eth("0.0078125"));
}

#[test]
fn events_that_were_never_decided_are_refused_and_change_nothing() {
    let world = active();
    let pubkey = key(1);
    let item = coordinator::ledger::deposits::Item {
        pubkey: key(2),
        purpose: Purpose::Predeposit,
        amount: Gwei(ETH),
        signature: Signature::ZERO,
        data_root: root(1),
        sent: false,
    };
    let refuse = |event: Event| {
        let mut state = world.state.clone();
        let error = apply(&mut state, &event).unwrap_err();
        assert_eq!(state, world.state);
        error
    };
    let keys = vec![offer(7, ours(false)), offer(1, ours(false))];
    assert_eq!(refuse(Event::Registered { cluster: cluster(1), keys }), Corrupt::Registered { pubkey });
    let batch = world.state.batches().len() as u64;
    assert!(matches!(refuse(Event::Batched { batch: batch + 9, items: vec![item] }), Corrupt::Batch { .. }));
    assert!(matches!(refuse(Event::Batched { batch: 2, items: vec![item, item] }), Corrupt::Planned { .. }));
    assert!(matches!(refuse(Event::GivenUp { batch: 9, unsent: Gwei(0) }), Corrupt::Batch { .. }));
    assert!(matches!(refuse(Event::Proven { pubkey }), Corrupt::Stage { .. }));
    assert!(matches!(refuse(Event::Lived { pubkey, stage: Stage::Proven }), Corrupt::Stage { .. }));
    assert!(matches!(refuse(Event::Lived { pubkey: key(2), stage: Stage::Active }), Corrupt::Stage { .. }));
    assert!(matches!(refuse(Event::Foreign { pubkey, lost: Gwei(0) }), Corrupt::Stage { .. }));
    let arrived = Event::Arrived { pubkey, amount: Gwei(ETH), slot: Slot(1) };
    assert_eq!(refuse(arrived), Corrupt::NotInFlight { pubkey, amount: Gwei(ETH) });
    assert_eq!(refuse(Event::Proven { pubkey: key(50) }), Corrupt::Unknown { pubkey: key(50) });
    assert_eq!(refuse(Event::Looked { slot: Slot(1) }), Corrupt::Looked);
}

#[test]
fn the_reserve_is_kept_back_from_batches() {
    let mut world = World::funded("40", false);
    world.pool.reserve = bp(2500);
    world.register(1, &[1]);
    world.look().unwrap();
    assert_eq!(world.run(&Command::Plan), Err(Refusal::NothingToPlan), "10 of 40 ETH stay");
    world.pool.reserve = BasisPoints::ZERO;
    assert_eq!(world.plan_and_send(), [1]);
}
