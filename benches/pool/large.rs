//! A large pool: as it would be after years, made of the events that would have led there. Keys and signatures are none, since
//! nothing here looks at them.

use super::{FOUNDED, address};
use coordinator::canonical;
use coordinator::key::CoordinatorKey;
use coordinator::ledger::clusters::Admission;
use coordinator::ledger::deposits::{
    Event as Deposits, InFlight, Item, KeyOffer, Look, Offered, Purpose, SeenValidator, SentDeposit, Stage,
};
use coordinator::ledger::operators::{self, Standing, What};
use coordinator::ledger::reports::{self, Duties, Network, Report, SeenCluster};
use coordinator::ledger::{Event, Head, Sighting, SignedHead, State, bonds, chain, clusters, pool};
use coordinator::office::{Office, Published};
use coordinator::store::LogStore;
use coordinator::text::Text;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use types::{
    Address, ClusterId, Epoch, Gwei, PublicKey, Root, Signature, Slot, ValidatorIndex, ValidatorStatus, Wei,
};

/// A record that EIP-778 has as its example.
const RECORD: &str = "enr:-IS4QHCYrYZbAKWCBRlAy5zzaDZXJBGkcnh4MHcBFZntXNFrdvJjX04jRzjzCBOonrkTfj499SZuOh8R33Ls8RRcy5wBgmlkgnY0gmlwhH8AAAGJc2VjcDI1NmsxoQPKY0yuDUmstAHYpMa2_oxVtw0RW_QAdpzBQA8yWM0xOIN1ZHCCdl8";
/// The epoch of the first report. Its time is after the pool was founded.
const FIRST: u64 = 151_000;
/// Operators of a cluster, and how many sign.
const SEATS: u32 = 4;
const ETH: u64 = 1_000_000_000;
/// All stake of the chain.
const STAKE: Gwei = Gwei(35_000_000 * ETH);

/// How large.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) validators: u32,
    pub(crate) delegators: u32,
    pub(crate) clusters: u32,
    pub(crate) operators: u32,
}

fn root(kind: u8, no: u32) -> Root {
    let mut root = Root([kind; 32]);
    root.0[..4].copy_from_slice(&no.to_be_bytes());
    root
}

/// Keys in no order of their numbers.
fn key(no: u32) -> PublicKey {
    let mut key = PublicKey([0xb5; 48]);
    key.0[..8].copy_from_slice(&u64::from(no).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    key
}

/// The chain has strangers between the pool's validators.
fn index(no: u32) -> ValidatorIndex {
    ValidatorIndex(1_000_000 + u64::from(no) + u64::from(no / 3))
}

/// The time at which a frame's boundary is told.
fn time(state: &State, epoch: Epoch) -> u64 {
    state.network.slot_start(state.network.epoch_start(epoch)).0 / 1_000 + 1_200
}

/// What a validator has after so many frames.
fn balance(no: u32, frames: u64) -> Gwei {
    let no = u64::from(no);
    Gwei(32 * ETH + frames * 2_400_000 + (no * 7_919 + frames * 104_729) % 1_000_000)
}

fn take(state: &mut State, event: Event) {
    state.apply(&event).unwrap();
}

fn sees(state: &mut State, at: u64, sighting: &Sighting) {
    for event in state.see(at, sighting).unwrap() {
        take(state, event);
    }
}

fn deposits(state: &mut State, event: Deposits) {
    take(state, Event::Deposits(Box::new(event)));
}

fn money(state: &mut State, event: pool::Event) {
    take(state, Event::Money(Box::new(event)));
}

/// A pool whose validators all have duties, before its first report.
fn begun(mut state: State, size: Size) -> State {
    let at = time(&state, Epoch(FIRST)) - 10_000;
    sees(
        &mut state,
        at,
        &Sighting::Finalized(chain::Finalized { epoch: Epoch(FIRST - 60), root: root(7, 0) }),
    );
    sees(&mut state, at, &Sighting::Stake(chain::Stake { epoch: Epoch(FIRST - 60), active: STAKE }));
    let eth = Wei::from_eth(&(u64::from(size.validators) * 34 / u64::from(size.delegators) + 1).to_string())
        .unwrap();
    for no in 0..size.delegators {
        let reference = chain::Reference { hash: root(0x77, no / 200), index: no % 200 };
        let payment = pool::Payment { reference, payer: address(0x22, no), eth };
        sees(&mut state, at, &Sighting::Money(pool::Seen::Payment(payment)));
    }
    (0..size.operators).for_each(|no| operator(&mut state, no));
    (0..size.clusters).for_each(|no| cluster(&mut state, size, no));
    (0..2).for_each(|step| send(&mut state, size, step));
    state
}

fn operator(state: &mut State, no: u32) {
    let country = ["DE", "FI", "CL", "JP", "ZA", "NZ"][no as usize % 6];
    let application = json!({
        "entity": format!("Reiter {no}"), "operator_type": "csm-default", "reward": address(0x32, no),
        "setup": {
            "country": country, "hosting_as": 1_000 + no % 40,
            "execution_client": "geth", "consensus_client": "lodestar", "validator_client": "vouch",
        },
        "enr": RECORD, "node_signature": format!("0x{}", "11".repeat(64)),
    });
    let operator = address(0x31, no);
    let application = Box::new(serde_json::from_value(application).unwrap());
    for what in [What::Applied { at: FOUNDED, application }, What::Stands(Standing::Active)] {
        take(state, Event::Operators(operators::Event { operator, what }));
    }
    let reference = chain::Reference { hash: root(0x66, no), index: 0 };
    let seen = bonds::Deposited { operator, amount: Wei::from_eth("1000").unwrap(), reference };
    take(state, Event::Bonds(bonds::Event::Deposited { seen, repaid: Wei::ZERO }));
}

fn cluster(state: &mut State, size: Size, no: u32) {
    let (id, keys) = (root(0xc1, no), size.validators / size.clusters);
    let operators: Vec<Address> =
        (0..SEATS).map(|seat| address(0x31, (no + seat * size.operators / SEATS) % size.operators)).collect();
    let stake = Gwei(u64::from(keys) * 32 * ETH);
    let admission = Admission { cluster: id, operators: operators.clone(), threshold: 3, keys, stake };
    take(
        state,
        Event::Clusters(Box::new(clusters::Event::Accepted { admission, from: Epoch(FIRST - 1_000) })),
    );
    for operator in operators {
        let keys = bonds::Keys { cluster: id, count: keys };
        take(state, Event::Bonds(bonds::Event::Backed { operator, keys }));
    }
    for stage in [clusters::Stage::Keyed, clusters::Stage::Active] {
        take(state, Event::Clusters(Box::new(clusters::Event::Stands { cluster: id, stage })));
    }
    let offered = |amount| Offered { credentials: root(1, 0), amount, signature: Signature([0x5a; 96]) };
    let offer = |no| KeyOffer {
        pubkey: key(no),
        predeposit: offered(Gwei(ETH)),
        rest: offered(Gwei(31 * ETH)),
        shares: (0..SEATS).map(|seat| key(no + (seat + 1) * size.validators)).collect(),
    };
    let keys = (no * keys..(no + 1) * keys).map(offer).collect();
    deposits(state, Deposits::Registered { cluster: id, keys });
}

/// All first deposits, or all rests, are sent and arrive.
fn send(state: &mut State, size: Size, step: u8) {
    let amount = [Gwei(ETH), Gwei(31 * ETH)][usize::from(step)];
    let purpose = [Purpose::Predeposit, Purpose::Rest][usize::from(step)];
    let (credentials, slot) = (state.credentials(), Slot(32 * (FIRST - 500)));
    let all: Vec<u32> = (0..size.validators).collect();
    for (batch, numbers) in (u64::from(step) * size.validators.div_ceil(128) as u64..).zip(all.chunks(128)) {
        let item = |no: &u32| {
            let (signature, data_root) = (Signature([0x5a; 96]), root(0xda, *no));
            Item { pubkey: key(*no), purpose, amount, signature, data_root, sent: false }
        };
        deposits(state, Deposits::Batched { batch, items: numbers.iter().map(item).collect() });
        let gwei = Gwei(amount.0 * numbers.len() as u64);
        money(state, pool::Event::Planned(gwei));
        money(state, pool::Event::Sent(gwei));
        for no in numbers {
            let (pubkey, data_root) = (key(*no), root(0xda, *no));
            let deposit = SentDeposit { pubkey, data_root, slot, tx: root(0x7e, *no) };
            deposits(state, Deposits::Sent { deposit, amount, lost: false });
            let InFlight { amount, slot } = InFlight { amount, slot };
            deposits(state, Deposits::Arrived { pubkey, amount, slot });
            if step == 0 {
                deposits(state, Deposits::Known { pubkey, index: index(*no), credentials });
                deposits(state, Deposits::Proven { pubkey });
            } else {
                deposits(
                    state,
                    Deposits::Activates { pubkey, epoch: Epoch(FIRST - 400 + u64::from(no / 1_000)) },
                );
                deposits(state, Deposits::Lived { pubkey, stage: Stage::Active });
            }
        }
    }
}

/// A frame of a large pool, as its coordinator tells of it.
pub(crate) struct Frame {
    pub(crate) at: u64,
    pub(crate) finalized: String,
    pub(crate) look: String,
    pub(crate) report: String,
}

impl Frame {
    /// The next. Everybody has done everything.
    pub(crate) fn next(state: &State, size: Size) -> Self {
        let (look, report) = frame(state, size);
        let epoch = state.network.epoch_of(report.slot);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self {
            at: time(state, epoch),
            finalized: json!({"epoch": Epoch(epoch.0 + 2), "root": root(7, 0)}).to_string(),
            look: text(canonical::bytes(&state.deposits.observed(look))),
            report: text(canonical::bytes(&report)),
        }
    }
}

fn frame(state: &State, size: Size) -> (Look, Report) {
    let frames = state.reports.next();
    let epochs = u64::from(state.policy.terms().reports.frame_epochs);
    let slot = state.network.epoch_start(Epoch(FIRST + frames * epochs));
    let credentials = state.credentials();
    let (mut validators, mut told) = (Vec::new(), BTreeMap::<ClusterId, SeenCluster>::new());
    for no in 0..size.validators {
        let known = &state.deposits.validators()[&key(no)];
        // A day's sweep reaches a ninth of them.
        let swept = if frames > 0 && (u64::from(no) + frames).is_multiple_of(9) { 300_000 } else { 0 };
        let (is, effective) = (Gwei(balance(no, frames).0 - swept), Gwei(32 * ETH));
        validators.push(SeenValidator {
            pubkey: key(no),
            index: index(no),
            credentials,
            balance: is,
            effective_balance: effective,
            status: ValidatorStatus::ActiveOngoing,
            slashed: false,
            activation: known.activation,
            exit: None,
            withdrawable: None,
        });
        let one = reports::SeenValidator {
            status: ValidatorStatus::ActiveOngoing,
            slashed: false,
            balance: is,
            effective,
            arrived: if frames == 0 { effective } else { Gwei(0) },
            swept: Gwei(swept),
            increments: if frames == 0 { 0 } else { 32 * epochs },
            attested: if frames == 0 { Gwei(0) } else { Gwei(900_000 + u64::from(no) * 31 % 90_000) },
            missed: Gwei(if no.is_multiple_of(20) { 9_000 } else { 0 }),
            leaked: Gwei(0),
            penalised: Gwei(0),
        };
        let cluster = told.entry(known.cluster).or_default();
        let due = cluster.duties.due + if frames == 0 { 0 } else { epochs };
        cluster.duties = Duties { made: due, due };
        cluster.validators.insert(index(no), one);
    }
    let evidence = (0..700).map(|no| {
        let name = format!("/eth/v2/beacon/blocks/{}..{}", slot.0 + no * 32, slot.0 + no * 32 + 31);
        (Text::new(name).unwrap(), root(3, no as u32))
    });
    let report = Report {
        frame: frames,
        slot,
        block_root: root(7, 0),
        network: Network { stake: STAKE, stake_min: STAKE, duties: Duties { made: 99, due: 100 } },
        lost: Gwei(0),
        clusters: told,
        evidence: evidence.collect(),
    };
    (Look { slot, finalized: true, validators, pending: Vec::new() }, report)
}

/// A large pool that has reported once.
pub(crate) fn reported(state: State, size: Size) -> State {
    let mut state = begun(state, size);
    let (look, report) = frame(&state, size);
    let epoch = state.network.epoch_of(look.slot);
    let at = time(&state, epoch);
    sees(
        &mut state,
        at,
        &Sighting::Finalized(chain::Finalized { epoch: Epoch(epoch.0 + 2), root: root(7, 0) }),
    );
    let look = state.deposits.observed(look);
    sees(&mut state, at, &Sighting::Look(Box::new(look)));
    sees(&mut state, at, &Sighting::Report(Box::new(report)));
    state
}

/// An office of a large pool that has reported once: its log has one entry, and a snapshot that says what would have followed.
pub(crate) fn office(folder: &Path, size: Size) -> Office {
    let office = super::founded(folder);
    let (head, leaves) = (office.ledger().unwrap().head(), office.ledger().unwrap().tree().leaves().to_vec());
    let state = reported(office.ledger().unwrap().state().clone(), size);
    drop(office);
    let key = CoordinatorKey::load(folder).unwrap();
    let head = Head { state: state.root(), ..head };
    let signature = key.sign(head.digest(state.charter.network.chain_id));
    let published = Published { signed: SignedHead { head, signature }, countersigned: BTreeMap::new() };
    let mut snapshot = canonical::bytes(&head);
    snapshot.push(b'\n');
    leaves.iter().for_each(|leaf| snapshot.extend(leaf.0));
    snapshot.extend(canonical::bytes(&state));
    let mut store = LogStore::open(&folder.join(coordinator::office::LOG_FOLDER)).unwrap();
    store.keep_head(1, &canonical::bytes(&published)).unwrap();
    store.keep_snapshot(&snapshot).unwrap();
    drop((store, snapshot, state));
    Office::open(folder, key).unwrap()
}
