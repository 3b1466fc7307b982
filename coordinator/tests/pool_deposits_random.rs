//! The book of deposits against a chain in a jar, together with the pool's book of money: any order of things.

mod chain;
mod pool;

use alloy_primitives::U256;
use chain::{ETH, World, cluster, key, offer, ours, root, signed, theirs};
use coordinator::formulas::wide;
use coordinator::ledger::deposits::{Command, Refusal, Stage};
use coordinator::ledger::pool::{Amount, Command as PoolCommand};
use pool::account;
use proptest::prelude::*;
use types::{Gwei, Wei};

/// Something that is tried.
#[derive(Clone, Copy, Debug)]
enum Try {
    Register {
        of: u8,
        secret: u64,
        honest: bool,
    },
    Pay(u32),
    Withdraw(u16),
    Plan,
    /// Plan, approve and send, as it should be.
    Fund,
    /// The same, but the first key's operators are first with credentials of their own.
    Steal,
    /// The queue is taken up, validators go on, and it is looked at and reported.
    Advance {
        exit: usize,
        slash: usize,
    },
    Approve {
        guardian: u8,
        batch: u64,
        at: u8,
    },
    Send {
        batch: u64,
        at: usize,
    },
    GiveUp {
        batch: u64,
        at: u8,
    },
    TakeUp(usize),
    GoOn {
        exit: usize,
        slash: usize,
    },
    /// Somebody deposits for a key: with its signature, or without.
    Stranger {
        secret: u64,
        to_pool: bool,
        is_signed: bool,
    },
    Look {
        finalized: bool,
    },
    Report,
    Stop(bool),
    Release(u64),
    Compensate(u64),
}

fn tries() -> impl Strategy<Value = Vec<Try>> {
    let batch = || 0..8u64;
    let one = prop_oneof![
        3 => (1..4u8, 1..9u64, prop::bool::weighted(0.8)).prop_map(|(of, secret, honest)| Try::Register { of, secret, honest }),
        2 => (1..200u32).prop_map(Try::Pay),
        1 => (1..300u16).prop_map(Try::Withdraw),
        2 => Just(Try::Plan),
        8 => Just(Try::Fund),
        1 => Just(Try::Steal),
        14 => (0..12usize, 0..20usize).prop_map(|(exit, slash)| Try::Advance { exit, slash }),
        3 => (49..53u8, batch(), 1..3u8).prop_map(|(guardian, batch, at)| Try::Approve { guardian, batch, at }),
        3 => (batch(), 0..3usize).prop_map(|(batch, at)| Try::Send { batch, at }),
        2 => (batch(), 1..3u8).prop_map(|(batch, at)| Try::GiveUp { batch, at }),
        4 => (0..6usize).prop_map(Try::TakeUp),
        4 => (0..8usize, 0..20usize).prop_map(|(exit, slash)| Try::GoOn { exit, slash }),
        1 => (1..9u64, any::<bool>(), any::<bool>()).prop_map(
            |(secret, to_pool, is_signed)| Try::Stranger { secret, to_pool, is_signed }
        ),
        6 => prop::bool::weighted(0.8).prop_map(|finalized| Try::Look { finalized }),
        3 => Just(Try::Report),
        2 => prop::bool::weighted(0.2).prop_map(Try::Stop),
        2 => (1..9u64).prop_map(Try::Release),
        1 => (1..9u64).prop_map(Try::Compensate),
    ];
    prop::collection::vec(one, 1..70)
}

fn try_one(world: &mut World, one: Try) -> Result<(), Refusal> {
    let command = match one {
        Try::Register { of, secret, honest } => {
            let credentials = if honest { ours(world.compounding) } else { theirs() };
            Command::Register { cluster: cluster(of), keys: vec![offer(secret, credentials)] }
        }
        Try::Plan => Command::Plan,
        Try::Approve { guardian, batch, at } => return world.approve(guardian, batch, root(at)).map(|_| ()),
        Try::Send { batch, at } => {
            let there = world.state.batches().get(&batch).and_then(|batch| batch.items.get(at));
            if there.is_some_and(|item| !item.sent) {
                world.send(batch, at)?;
            }
            return Ok(());
        }
        Try::GiveUp { batch, at } => Command::GiveUp { batch, deposit_root: root(at) },
        Try::Look { finalized } => Command::Look(world.chain.look(finalized)),
        Try::Release(secret) => Command::Release { pubkey: key(secret) },
        Try::Compensate(secret) => Command::Compensate { pubkey: key(secret) },
        Try::Pay(_)
        | Try::Withdraw(_)
        | Try::TakeUp(_)
        | Try::Fund
        | Try::Steal
        | Try::Advance { .. }
        | Try::GoOn { .. }
        | Try::Stranger { .. }
        | Try::Stop(_)
        | Try::Report => {
            outside(world, one);
            return Ok(());
        }
    };
    world.run(&command).map(|_| ())
}

/// What happens on the chain, and in the pool's own book.
fn outside(world: &mut World, one: Try) {
    match one {
        Try::Pay(eth) => world.pool.pay(account(0), Wei::from_eth(&eth.to_string()).unwrap()),
        Try::Withdraw(thousandths) => {
            let balance = world.pool.state.shares().balance(account(0)).0;
            let part = balance * U256::from(thousandths) / U256::from(1000);
            let amount = Amount::Eth(Wei(part));
            let owner = account(0);
            let _ = world.pool.run(&PoolCommand::Request { owner, amount });
        }
        Try::Stop(stopped) => world.stopped = stopped,
        Try::TakeUp(many) => world.chain.take_up(many),
        Try::Fund => {
            world.plan_and_send();
        }
        Try::Steal => {
            let ready = |secret: &u64| world.state.validators().get(&key(*secret)).map(|one| one.stage);
            let secret = (1..9).find(|secret| ready(secret) == Some(Stage::Ready)).unwrap_or(1);
            let stolen = signed(secret, theirs(), ETH);
            // It is in a block before the pool's, and nobody has looked since.
            world.chain.deposit(key(secret), theirs(), stolen.amount, stolen.signature);
            world.plan_and_send();
        }
        Try::Advance { exit, slash } => {
            world.chain.take_up(usize::MAX);
            world.chain.go_on(Some(exit), Some(slash));
            let _ = world.look();
            let _ = world.report();
        }
        Try::GoOn { exit, slash } => world.chain.go_on(Some(exit), Some(slash)),
        Try::Stranger { secret, to_pool, is_signed } => {
            let credentials = if to_pool { ours(world.compounding) } else { theirs() };
            let deposit = signed(if is_signed { secret } else { 77 }, credentials, ETH);
            world.chain.deposit(key(secret), credentials, deposit.amount, deposit.signature);
        }
        Try::Report => {
            // Reports are of what was looked at.
            let _ = world.look();
            let _ = world.report();
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Any order of things on the chain and off it: the books audit and agree after each (`World::run`), what is refused
    /// changes nothing, the rest is sent only to who was proven, and what was sent is where the chain has it.
    #[test]
    fn money_is_only_where_the_chain_has_it(compounding: bool, tries in tries()) {
        let mut world = World::funded("100", compounding);
        world.register(1, &[1, 2]);
        world.register(2, &[3]);
        for one in tries {
            let before = world.clone();
            if try_one(&mut world, one).is_err() {
                prop_assert_eq!(&before.state, &world.state, "a refused command changes nothing");
                prop_assert_eq!(&before.pool.state, &world.pool.state);
            }
            for (pubkey, validator) in world.state.validators() {
                let was = before.state.validators().get(pubkey);
                let stage = was.map(|was| was.stage);
                if validator.stage == Stage::RestPlanned {
                    prop_assert!(matches!(stage, Some(Stage::Proven | Stage::RestPlanned)));
                }
                if validator.stage == Stage::Proven && stage == Some(Stage::Predeposited) {
                    let by = matches!(one, Try::Look { finalized: true } | Try::Report | Try::Advance { .. });
                    prop_assert!(by, "only a finalized state proves");
                    prop_assert_eq!(validator.credentials, Some(ours(compounding)));
                }
                let both = validator.predeposit.amount.0 + validator.rest.amount.0;
                prop_assert!(!matches!(validator.stage, Stage::Foreign) || validator.in_flight().0 <= both);
            }
        }
        // Whatever waits is taken up, and told: nothing is in flight any more, and no wei is missing.
        world.chain.take_up(usize::MAX);
        world.look().unwrap();
        prop_assert_eq!(world.state.in_flight(), Gwei(0));
        world.report().unwrap();
        let books = world.pool.state.books();
        prop_assert_eq!(books.transient, wide::wei(world.state.in_flight()));
        prop_assert_eq!(books.validators, wide::wei(world.state.balance()));
        // What the chain has for the pool is what was sent to it, what it gained, and not what it lost: to the gwei.
        let (balance, swept) = world.chain.of_pool(world.state.validators().keys().copied());
        let flows = world.pool.state.flows();
        let told = wide::add(wide::wei(Gwei(world.sent)), flows.gained).unwrap();
        let has = wide::add(wide::wei(Gwei(balance + swept)), flows.lost).unwrap();
        prop_assert_eq!(told, has);
    }
}
