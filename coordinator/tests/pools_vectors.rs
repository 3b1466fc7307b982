//! The pool's golden numbers: `pools/pools_vectors.json` in `$SYMBOLON_VECTORS`, else in `shared/vectors` beside the
//! workspace. Absent is a printed skip. Every entry of the file must be known here, and come out.
//!
//! Numbers are read as text, so none is rounded on its way here: whole numbers of any size, and decimals as exact
//! fractions. A quotient that the file could only give as a double is compared to a double's precision.

use alloy_primitives::U256;
use coordinator::formulas::allocation::{self, Bucket};
use coordinator::formulas::bonds::{self, BondCurve};
use coordinator::formulas::commission::SATURN_1;
use coordinator::formulas::exits;
use coordinator::formulas::f1::{self, Earned, RATIO_UNIT, SlashPoint};
use coordinator::formulas::ratio::{BasisPoints, Ratio};
use coordinator::formulas::rebase::{Frame, Rebase};
use coordinator::formulas::saturation::{PoolSplit, PoolStake, Saturation};
use coordinator::formulas::shares::{DEAD_SHARES, Rate, SharePool, Shares};
use coordinator::formulas::{slashing, wide};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use types::{Address, Gwei, Wei};

/// A number as it is written, quoted or not.
#[derive(Deserialize)]
#[serde(transparent)]
struct Number(Box<RawValue>);

impl Number {
    fn text(&self) -> &str {
        self.0.get().trim_matches('"')
    }

    fn u256(&self) -> U256 {
        self.text().parse().unwrap_or_else(|_| panic!("{} is no whole number", self.text()))
    }

    fn u64(&self) -> u64 {
        self.text().parse().unwrap_or_else(|_| panic!("{} is no whole number", self.text()))
    }

    fn wei(&self) -> Wei {
        Wei(self.u256())
    }

    /// An exact fraction: `3/10`, `0.25`, and `8.7e-05` too.
    fn ratio(&self) -> Ratio {
        let (mantissa, exponent) = self.text().split_once("e-").unwrap_or((self.text(), "0"));
        let mantissa: Ratio = mantissa.parse().unwrap_or_else(|_| panic!("{} is no fraction", self.text()));
        let scale = U256::from(10).pow(exponent.parse().unwrap());
        Ratio::new(mantissa.num(), mantissa.den() * scale).unwrap()
    }

    /// Whether a fraction is this decimal, or the decimal is what a double of 53 bits makes of the fraction.
    fn is_about(&self, exact: Ratio) -> bool {
        let decimal = self.ratio();
        let (a, b) = (exact.num() * decimal.den(), decimal.num() * exact.den());
        a.abs_diff(b) << 52 <= a
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vectors {
    cardano_max_pool: Vec<MaxPool>,
    cardano_split: CardanoSplit,
    steth_basic: StethBasic,
    steth_rounding: Vec<StethRounding>,
    lido_fee_mint: FeeMint,
    lido_negative_rebase: NegativeRebase,
    min_first: Vec<MinFirst>,
    f1: F1,
    rocketpool_total_bond_after_n: BTreeMap<u32, Number>,
    rocketpool_total_bond_saturn2: BTreeMap<u32, Number>,
    rocketpool_split_1eth_reward: RewardSplit,
    electra_slashing: Vec<Slashing>,
    eip7002_fee_wei: BTreeMap<u64, Number>,
    leverage: Vec<Leverage>,
}

/// The file; `None`, and a printed line, when it is absent.
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
fn vectors() -> Option<Vectors> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let beside = above.map(|folder| folder.join("shared/vectors")).find(|folder| folder.is_dir());
    let root = std::env::var_os("SYMBOLON_VECTORS").map(PathBuf::from).or(beside).unwrap_or_default();
    let path = root.join("pools/pools_vectors.json");
    if !path.is_file() {
        eprintln!("skip: no vectors at {}", path.display());
        return None;
    }
    let text = fs::read_to_string(&path).unwrap();
    Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

fn eth(ratio: Ratio) -> Wei {
    let wei = U256::from(10).pow(U256::from(18));
    assert_eq!((wei * ratio.num()) % ratio.den(), U256::ZERO, "{ratio} ETH are whole wei");
    Wei(ratio.floor_of(wei).unwrap())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MaxPool {
    k: u32,
    a0: Number,
    #[serde(rename = "R")]
    pot: Number,
    total: Number,
    pool_stake: Number,
    pledge: Number,
    saturation: Number,
    max_pool: Number,
    #[serde(rename = "max_pool_L100")]
    max_pool_capped: Number,
    per_stake_unit_1e12: Option<Number>,
}

#[test]
fn cardanos_curve() {
    let Some(vectors) = vectors() else { return };
    assert!(!vectors.cardano_max_pool.is_empty());
    for case in vectors.cardano_max_pool {
        let policy =
            Saturation { pools_wanted: case.k, pledge_influence: case.a0.ratio(), leverage_max: None };
        let capped = Saturation { leverage_max: Some(Ratio::of(100, 1).unwrap()), ..policy };
        let (stake, pledge) = (case.pool_stake.u256(), case.pledge.u256());
        let pool = PoolStake { stake, pledge, own: pledge, total: case.total.u256() };
        let reward = policy.max_pool(case.pot.wei(), &pool).unwrap();
        assert_eq!(reward, case.max_pool.wei());
        assert_eq!(capped.max_pool(case.pot.wei(), &pool), Ok(case.max_pool_capped.wei()));
        assert_eq!(policy.of(&pool), Ok(case.saturation.ratio()));
        let unit = U256::from(10).pow(U256::from(12));
        let yields = wide::mul_div_floor(reward.0, unit, stake).ok();
        assert_eq!(yields, case.per_stake_unit_1e12.map(|number| number.u256()));
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CardanoSplit {
    f: Number,
    cost: Number,
    margin: Number,
    owner_stake: Number,
    pool_stake: Number,
    leader: Number,
    member_1e9: Number,
}

#[test]
fn cardanos_split() {
    let Some(Vectors { cardano_split: case, .. }) = vectors() else { return };
    let split = PoolSplit {
        reward: case.f.wei(),
        cost: case.cost.wei(),
        margin: case.margin.ratio(),
        stake: case.pool_stake.u256(),
    };
    assert_eq!(split.leader(case.owner_stake.u256()), Ok(case.leader.wei()));
    assert_eq!(split.member(U256::from(1_000_000_000)), Ok(case.member_1e9.wei()));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StethBasic {
    total_shares: Number,
    total_pooled: Number,
    alice: Number,
    bob: Number,
    after_15: [Number; 2],
}

/// Alice and Bob deposit while a share is a wei, so that they get the vector's shares; then the pool gains, as its
/// reports say. A keeper and the dead holder have their gwei beside them.
#[test]
fn steth_balances_follow_the_pool() {
    let Some(Vectors { steth_basic: case, .. }) = vectors() else { return };
    let (alice, bob, keeper) = (Address([1; 20]), Address([2; 20]), Address([3; 20]));
    let rate = Rate { shares: Shares(case.total_shares.u256()), pooled: case.total_pooled.wei() };
    let [of_alice, of_bob] = [&case.alice, &case.bob].map(|balance| rate.shares_of(balance.wei()).unwrap());
    assert_eq!(of_alice.0 + of_bob.0, rate.shares.0, "they have all of it");
    let mut pool = SharePool::default();
    let beside = DEAD_SHARES.0 + U256::ONE;
    pool.deposit(keeper, Wei(beside)).unwrap();
    for (account, shares) in [(alice, of_alice), (bob, of_bob)] {
        assert_eq!(pool.deposit(account, Wei(shares.0)), Ok(shares));
    }
    for [of_alice, of_bob] in [[case.alice.wei(), case.bob.wei()], case.after_15.each_ref().map(Number::wei)]
    {
        let theirs = Rate { shares: rate.shares, pooled: wide::add(of_alice, of_bob).unwrap() };
        let pooled = wide::add(theirs.pooled, theirs.eth_of_up(Shares(beside)).unwrap()).unwrap();
        pool.rebase(pooled, keeper, Shares::ZERO).unwrap();
        assert_eq!((pool.balance(alice), pool.balance(bob)), (of_alice, of_bob));
        assert_eq!(theirs.eth_of(pool.shares(alice)), Ok(of_alice));
        assert_eq!(theirs.eth_of(pool.shares(bob)), Ok(of_bob));
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StethRounding {
    deposit: Number,
    shares: Number,
    balance_down: Number,
    balance_up: Number,
}

#[test]
fn steth_rounds_for_the_pool() {
    let Some(vectors) = vectors() else { return };
    assert!(!vectors.steth_rounding.is_empty());
    // The vectors' rate: 1.2 ETH for a share.
    let mut pool = SharePool::default();
    let (first, depositor) = (Address([1; 20]), Address([2; 20]));
    pool.deposit(first, Wei::from_eth("1000000").unwrap()).unwrap();
    pool.rebase(Wei::from_eth("1200000").unwrap(), first, Shares::ZERO).unwrap();
    let rate = pool.rate();
    for case in vectors.steth_rounding {
        let shares = rate.shares_of(case.deposit.wei()).unwrap();
        assert_eq!(shares.0, case.shares.u256());
        assert_eq!(rate.eth_of(shares), Ok(case.balance_down.wei()));
        assert_eq!(rate.eth_of_up(shares), Ok(case.balance_up.wei()));
        let mut pool = pool.clone();
        let deposited = pool.deposit(depositor, case.deposit.wei());
        if shares == Shares::ZERO {
            assert!(deposited.is_err(), "less than a share is refused");
        } else {
            assert_eq!(deposited, Ok(shares));
            assert!(pool.balance(depositor) >= case.balance_down.wei());
            assert!(pool.balance(depositor) <= case.balance_up.wei());
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FeeMint {
    #[serde(rename = "preTS")]
    shares: Number,
    #[serde(rename = "preTP")]
    pooled: Number,
    rewards: Number,
    fee_bp: u16,
    fee_shares: Number,
    fee_value: Number,
    expected_fee: Number,
    share_rate_1e27: Number,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NegativeRebase {
    rewards: Number,
    fee_shares: Number,
    share_rate_1e27: Number,
}

/// A frame on the pool of the vectors whose validators have all of its ETH.
fn settled(case: &FeeMint, cl_after: U256) -> Rebase {
    let before = Rate { shares: Shares(case.shares.u256()), pooled: case.pooled.wei() };
    let fee = BasisPoints::new(case.fee_bp).unwrap();
    let frame = Frame { before, cl_before: before.pooled, cl_after: Wei(cl_after), fee, ..Frame::default() };
    frame.settle().unwrap()
}

#[test]
fn lidos_fee_is_minted_of_gains_and_never_of_losses() {
    let Some(Vectors { lido_fee_mint: gain, lido_negative_rebase: loss, .. }) = vectors() else { return };
    let rebase = settled(&gain, gain.pooled.u256() + gain.rewards.u256());
    assert_eq!(rebase.rewards, gain.rewards.wei());
    assert_eq!(rebase.fee_shares.0, gain.fee_shares.u256());
    assert_eq!(rebase.after.eth_of(rebase.fee_shares), Ok(gain.fee_value.wei()));
    assert_eq!(rebase.share_rate(), Ok(gain.share_rate_1e27.u256()));
    let due = BasisPoints::new(gain.fee_bp).unwrap().floor_of(gain.rewards.u256());
    assert_eq!(due, gain.expected_fee.u256());

    let lost: U256 = loss.rewards.text().strip_prefix('-').expect("it is a loss").parse().unwrap();
    let rebase = settled(&gain, gain.pooled.u256() - lost);
    assert_eq!(rebase.fee_shares.0, loss.fee_shares.u256());
    assert_eq!(rebase.cl_loss, Wei(lost));
    assert_eq!(rebase.share_rate(), Ok(loss.share_rate_1e27.u256()));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MinFirst {
    buckets: Vec<u64>,
    capacities: Vec<u64>,
    n: u64,
    result: (u64, Vec<u64>),
}

#[test]
fn lidos_min_first() {
    let Some(vectors) = vectors() else { return };
    assert!(!vectors.min_first.is_empty());
    for case in vectors.min_first {
        assert_eq!(case.buckets.len(), case.capacities.len());
        let bucket = |(filled, capacity): (&u64, &u64)| Bucket { filled: *filled, capacity: *capacity };
        let buckets: Vec<_> = case.buckets.iter().zip(&case.capacities).map(bucket).collect();
        let allocation = allocation::min_first(&buckets, case.n);
        assert_eq!((allocation.allocated, allocation.filled), case.result);
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct F1 {
    stake: Number,
    #[serde(rename = "R")]
    ratios: Vec<Number>,
    slash: BTreeMap<usize, String>,
    reward: Number,
    stake_after: Number,
}

/// Stake in ETH, by the formula alone and by a ledger that is told rewards and slashes.
#[test]
fn f1_with_a_slash_in_the_middle() {
    let Some(Vectors { f1: case, .. }) = vectors() else { return };
    let stake = eth(case.stake.ratio());
    let want = Earned { reward: eth(case.reward.ratio()), stake: eth(case.stake_after.ratio()) };
    let ratios: Vec<U256> =
        case.ratios.iter().map(|ratio| ratio.ratio().floor_of(RATIO_UNIT).unwrap()).collect();
    let kept = |text: &String| text.strip_prefix("keep ").expect("a slash keeps").parse::<Ratio>().unwrap();
    let slashes: BTreeMap<usize, Ratio> = case.slash.iter().map(|(at, text)| (*at, kept(text))).collect();
    let points: Vec<_> =
        slashes.iter().map(|(at, kept)| SlashPoint { ratio: ratios[*at], kept: *kept }).collect();
    let (first, last) = (ratios[0], *ratios.last().unwrap());
    assert_eq!(f1::earned(stake, first, &points, last), Ok(want));

    let account = Address([1; 20]);
    let mut pool = f1::F1::default();
    pool.delegate(account, stake).unwrap();
    for at in 1..ratios.len() {
        let reward = wide::mul_div_floor(ratios[at] - ratios[at - 1], pool.stake().0, RATIO_UNIT).unwrap();
        pool.reward(Wei(reward)).unwrap();
        assert_eq!(pool.ratio(), ratios[at]);
        if let Some(kept) = slashes.get(&at) {
            pool.slash(*kept).unwrap();
        }
    }
    assert_eq!(pool.earned(account), Ok(want));
    assert_eq!(pool.dust(), Ok(Wei::ZERO));
}

#[test]
fn rocket_pools_bonds() {
    let Some(vectors) = vectors() else { return };
    let (first, second) = (vectors.rocketpool_total_bond_after_n, vectors.rocketpool_total_bond_saturn2);
    for (name, bonds) in [("rocketpool-saturn-1", first), ("rocketpool-saturn-2", second)] {
        let curve = BondCurve::named(name).unwrap();
        assert!(!bonds.is_empty());
        for (keys, bond) in bonds {
            assert_eq!(curve.required(keys), eth(bond.ratio()), "{name}, {keys} keys");
            assert_eq!(curve.keys_covered(eth(bond.ratio())), keys);
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RewardSplit {
    bonded: Number,
    borrowed: Number,
    reth: Number,
    voter: Number,
    surplus: Number,
    node: Number,
}

#[test]
fn rocket_pools_split() {
    let Some(Vectors { rocketpool_split_1eth_reward: case, .. }) = vectors() else { return };
    let [bonded, borrowed] = [&case.bonded, &case.borrowed].map(|eth| Gwei(eth.u64() * wide::ETH_GWEI));
    let split = SATURN_1.split(Wei::from_eth("1").unwrap(), bonded, borrowed).unwrap();
    let want = [&case.reth, &case.voter, &case.surplus, &case.node].map(|part| eth(part.ratio()));
    assert_eq!([split.lenders, split.voter, split.surplus, split.node], want);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Slashing {
    validators: u64,
    eb_eth: u64,
    initial_eth_each: Number,
    correlation_eth_each: Number,
    total_eth: Number,
}

#[test]
fn electras_penalties() {
    let Some(vectors) = vectors() else { return };
    assert!(!vectors.electra_slashing.is_empty());
    // What the vectors were computed for.
    let total = Gwei(35_000_000 * wide::ETH_GWEI);
    for case in vectors.electra_slashing {
        let balance = Gwei(case.eb_eth * wide::ETH_GWEI);
        let slashed = Gwei(case.validators * balance.0);
        assert_eq!(wide::wei(slashing::initial(balance)), eth(case.initial_eth_each.ratio()));
        let correlation = slashing::correlation(balance, slashed, total).unwrap();
        assert_eq!(wide::wei(correlation), eth(case.correlation_eth_each.ratio()));
        let cluster = vec![balance; case.validators as usize];
        let all = slashing::largest_cluster(&[vec![balance], cluster], total).unwrap();
        let milli_eth = (all.0 + 500_000) / 1_000_000;
        assert_eq!(
            Ratio::of(milli_eth, 1000).unwrap(),
            case.total_eth.ratio(),
            "{} validators",
            case.validators
        );
    }
}

#[test]
fn the_fee_of_withdrawal_requests() {
    let Some(vectors) = vectors() else { return };
    assert!(!vectors.eip7002_fee_wei.is_empty());
    for (excess, fee) in vectors.eip7002_fee_wei {
        assert_eq!(exits::request_fee(excess), Ok(fee.wei()), "excess {excess}");
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Leverage {
    bond_milli: Number,
    delegated_milli: Number,
    leverage: Number,
    loss_if_10pct_slash_milli: Number,
    bond_covers_10pct: Number,
}

#[test]
fn leverage_of_a_bond() {
    let Some(vectors) = vectors() else { return };
    assert!(!vectors.leverage.is_empty());
    for case in vectors.leverage {
        let bond = case.bond_milli.wei();
        let stake = wide::add(bond, case.delegated_milli.wei()).unwrap();
        let leverage = bonds::leverage(bond, stake).unwrap();
        assert!(case.leverage.is_about(leverage), "{} is not {leverage}", case.leverage.text());
        assert_eq!(bonds::coalition_leverage(&[bond, stake], 1, stake), Ok(leverage));
        let loss = Ratio::of(1, 10).unwrap().floor_of(stake.0).unwrap();
        assert_eq!(Ratio::new(loss, U256::ONE).unwrap(), case.loss_if_10pct_slash_milli.ratio());
        assert_eq!(bonds::covered(bond, Wei(loss)), case.bond_covers_10pct.ratio());
    }
}
