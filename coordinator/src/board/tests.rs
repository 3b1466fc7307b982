//! The board, told everything: nodes, their words, the time.

use super::*;
use crate::formation::accept;
use crate::ledger::calls::Chosen;
use crate::ledger::ceremonies::tests::{lock, value};
use crate::ledger::governance::Act;
use crate::ledger::policy::{DepositSplit, Policy};
use crate::ledger::testbed::{Pool, START, address};
use crate::request::SignatureError;
use crate::test_keys::Wallet;
use cluster::Definition;
use serde_json::json;

/// Nodes of the operators in places 1 to 4.
const NODES: [u8; 4] = [121, 122, 123, 124];

struct Hall {
    pool: Pool,
    cluster: ClusterId,
    board: Board,
    now: u64,
    nonce: u64,
}

impl Hall {
    fn new() -> Self {
        let mut pool = Pool::new();
        let team = pool.team();
        let cluster = pool.cluster(team, 1);
        Self { pool, cluster, board: Board::default(), now: START + 9_000_000, nonce: 0 }
    }

    fn signed(&mut self, node: u8, body: &str) -> Incoming {
        self.nonce += 1;
        let state = self.pool.state();
        let path = format!("/v1/ceremonies/{}/presence", self.cluster);
        let (pool, chain) = (state.pool, state.charter.network.chain_id);
        Wallet::new(node).incoming(pool, chain, ("PUT", &path), body, self.nonce, self.now + 60)
    }

    fn hear(&mut self, incoming: &Incoming) -> Result<(), WordRefusal> {
        self.board.hear(self.now, self.pool.state(), self.cluster, incoming)
    }

    fn say(&mut self, node: u8, step: &str, waiting_for: &[u8]) -> Result<(), WordRefusal> {
        let body = json!({"step": step, "waiting_for": waiting_for, "done": step == "done"});
        let incoming = self.signed(node, &body.to_string());
        self.hear(&incoming)
    }

    fn notice(&self) -> Notice<'_> {
        self.board.notice(self.now, self.pool.state(), self.cluster).unwrap()
    }
}

#[test]
fn everybody_sees_who_is_there_how_far_since_when_and_who_is_missing() {
    let mut hall = Hall::new();
    let notice = hall.notice();
    assert_eq!((notice.stage, &notice.missing[..]), (Stage::Waiting, &[1, 2, 3, 4][..]));
    assert!(notice.lock.is_none() && notice.operators.iter().all(|one| one.accepted));
    hall.say(122, "gather", &[1, 3, 4]).unwrap();
    let began = hall.now;
    hall.now += 60;
    hall.say(122, "gather", &[1, 4]).unwrap();
    hall.say(123, "gather", &[1, 4]).unwrap();
    let notice = hall.notice();
    assert_eq!((notice.stage, &notice.missing[..]), (Stage::Waiting, &[1, 4][..]));
    let present = notice.operators[1].present.unwrap();
    assert_eq!((present.since, present.heard), (began, hall.now), "the same step as before");
    assert_eq!((present.word.step, &present.word.waiting_for[..]), (Step::Gather, &[1, 4][..]));
    let places: Vec<_> = notice.operators.iter().map(|one| (one.place, one.operator, one.node)).collect();
    let wanted: Vec<_> = (1..=4).map(|place| (place, address(100 + place), address(120 + place))).collect();
    assert_eq!(places, wanted);
    for node in [121, 124] {
        hall.say(node, "gather", &[]).unwrap();
    }
    assert_eq!(hall.notice().stage, Stage::Running, "nobody is missing");
    hall.now += SILENCE_S + 1;
    hall.say(122, "round1", &[1]).unwrap();
    let notice = hall.notice();
    assert_eq!((notice.stage, &notice.missing[..]), (Stage::Running, &[1, 3, 4][..]), "somebody has begun");
    assert_eq!(notice.operators[1].present.unwrap().since, hall.now, "another step");
}

#[test]
fn what_is_to_be_signed_and_what_came_of_it_is_read_from_the_books() {
    let mut hall = Hall::new();
    let definition = hall.pool.state().definition(hall.cluster).unwrap();
    // The policy of later changes nothing of what was asked for.
    let mut terms = hall.pool.state().policy.terms().clone();
    terms.deposit = DepositSplit { first: Gwei(2_000_000_000), rest: Gwei(30_000_000_000) };
    hall.pool.govern(Act::ChangePolicy(Box::new(Policy::new(terms).unwrap()))).unwrap();
    let notice = hall.notice();
    assert_eq!(notice.definition, definition.to_json());
    let ours = hall.pool.ours();
    assert_eq!((notice.withdrawal_credentials, notice.threshold), (ours, 3));
    assert_eq!(notice.amounts, [Gwei(1_000_000_000), Gwei(31_000_000_000)]);
    let lock = lock(&definition);
    hall.pool.post(121, &format!("/v1/clusters/{}/lock", hall.cluster), &value(&lock)).unwrap();
    let notice = hall.notice();
    assert_eq!((notice.stage, notice.lock), (Stage::Delivered, Some(lock.lock_hash())));
    assert!(hall.board.notice(0, hall.pool.state(), Root([7; 32])).is_none(), "no such cluster");
}

#[test]
fn what_is_asked_is_read_before_it_is_accepted_and_nobody_speaks_before_all_have() {
    let mut hall = Hall::new();
    let team = [101, 102, 103, 104].map(address).to_vec();
    let chosen = Chosen { operators: team, threshold: 3, keys: 2, stake: Gwei(64_000_000_000) };
    hall.pool.govern(Act::ChooseCluster(chosen)).unwrap();
    let open = |asked: &&accept::Asked| asked.stage == accept::Stage::Open;
    let asked = hall.pool.state().calls.answers.clusters.values().find(open).unwrap();
    hall.cluster = asked.proposed.definition;
    hall.now = hall.pool.now;
    let accepted = |hall: &Hall| hall.notice().operators.iter().map(|one| one.accepted).collect::<Vec<_>>();
    let path = |hall: &Hall, rest: &str| format!("/v1/clusters/{}/{rest}", hall.cluster);
    for manager in [103, 101] {
        let notice = hall.notice();
        assert_eq!((notice.stage, notice.lock), (Stage::Asked, None));
        let read = Definition::parse(notice.definition.as_bytes()).unwrap();
        assert_eq!(read.definition_hash(), hall.cluster);
        assert_eq!(hall.say(121, "gather", &[]), Err(WordRefusal::NoCluster(hall.cluster)));
        hall.pool.post(manager, &path(&hall, "accept"), &json!({})).unwrap();
    }
    assert_eq!(accepted(&hall), [true, false, true, false]);
    for manager in [102, 104] {
        hall.pool.post(manager, &path(&hall, "accept"), &json!({})).unwrap();
    }
    assert_eq!((hall.notice().stage, accepted(&hall)), (Stage::Waiting, vec![true; 4]));
    hall.say(121, "gather", &[]).unwrap();
    // What has fallen is not read any more.
    let now = hall.pool.state().epoch_at(hall.pool.now).max(hall.pool.state().chain.finalized.epoch);
    let [other] = hall.pool.drawn(1, now.0 + 1)[..] else { panic!("one") };
    assert_eq!(hall.board.notice(hall.now, hall.pool.state(), other).unwrap().stage, Stage::Asked);
    hall.pool.post(103, &format!("/v1/clusters/{other}/decline"), &json!({})).unwrap();
    assert!(hall.board.notice(hall.now, hall.pool.state(), other).is_none());
}

#[test]
fn who_is_silent_is_forgotten_and_not_a_second_earlier() {
    let mut hall = Hall::new();
    hall.say(121, "gather", &[2]).unwrap();
    hall.now += SILENCE_S;
    assert_eq!(hall.notice().missing, [2, 3, 4]);
    hall.now += 1;
    assert_eq!(hall.notice().missing, [1, 2, 3, 4], "also when nobody has spoken since");
    assert_eq!(hall.board.present.len(), 1);
    hall.say(122, "gather", &[1]).unwrap();
    assert_eq!(hall.board.present.len(), 1, "a word makes room");
}

#[test]
fn a_word_counts_once_and_none_that_it_overtook_also_when_it_is_forgotten() {
    let mut hall = Hall::new();
    let body = json!({"step": "gather", "waiting_for": [], "done": false}).to_string();
    let early = hall.signed(121, &body);
    let late = hall.signed(121, &body);
    hall.hear(&late).unwrap();
    let replayed = |hall: &mut Hall, incoming: &Incoming| {
        let refused = hall.hear(incoming);
        assert!(matches!(refused, Err(WordRefusal::Request(RequestRefusal::Replayed { .. }))), "{refused:?}");
    };
    replayed(&mut hall, &late);
    replayed(&mut hall, &early);
    // The longest that a request may be valid, said as late as it may be.
    let (pool, chain) = (hall.pool.state().pool, hall.pool.state().charter.network.chain_id);
    let path = late.request.path.clone();
    let longest =
        Wallet::new(121).incoming(pool, chain, ("PUT", &path), &body, 1_000, hall.now + VALID_MAX_S);
    hall.hear(&longest).unwrap();
    hall.now += SILENCE_S + 1;
    let refused = hall.hear(&longest);
    assert!(matches!(refused, Err(WordRefusal::Request(RequestRefusal::Expired { .. }))), "{refused:?}");
}

#[test]
fn only_a_node_of_the_cluster_speaks_and_only_what_a_node_says() {
    let mut hall = Hall::new();
    for stranger in [101, 111, 51, 99] {
        assert_eq!(hall.say(stranger, "gather", &[]), Err(WordRefusal::Stranger(address(stranger))));
    }
    for waiting_for in [&[0][..], &[5], &[2, 2], &[3, 2]] {
        let want = WordRefusal::Places { waiting_for: waiting_for.to_vec(), operators: 4 };
        assert_eq!(hall.say(121, "gather", waiting_for), Err(want));
    }
    for body in ["", "{}", r#"{"step":"lunch","waiting_for":[],"done":false}"#] {
        let incoming = hall.signed(121, body);
        assert!(matches!(hall.hear(&incoming), Err(WordRefusal::Body(_))), "{body}");
    }
    let long = hall.signed(121, &" ".repeat(WORD_LEN_MAX + 1));
    let want = RequestRefusal::BodyTooLong { have: WORD_LEN_MAX + 1, most: WORD_LEN_MAX };
    assert_eq!(hall.hear(&long), Err(want.into()));
    let mut changed = hall.signed(121, r#"{"step":"gather","waiting_for":[],"done":false}"#);
    changed.request.body = changed.request.body.replace("gather", "farewell");
    assert!(matches!(
        hall.hear(&changed),
        Err(WordRefusal::Request(
            RequestRefusal::UnknownSigner { .. } | RequestRefusal::Signature(SignatureError::NoKey)
        ))
    ));
    let cluster = Root([7; 32]);
    let incoming = hall.signed(121, "{}");
    let refused = hall.board.hear(hall.now, hall.pool.state(), cluster, &incoming);
    assert_eq!(refused, Err(WordRefusal::NoCluster(cluster)));
    assert!(hall.board.present.is_empty(), "and nothing is remembered of it");
}

#[test]
fn the_board_is_bounded_and_who_is_on_it_stays() {
    let mut hall = Hall::new();
    let word = Word { step: Step::Gather, waiting_for: Vec::new(), done: false };
    let one = Present { word, since: hall.now, heard: hall.now, nonce: Nonce(0) };
    hall.say(NODES[0], "gather", &[]).unwrap();
    for number in 1..PRESENT_MAX as u64 {
        let mut cluster = Root::ZERO;
        cluster.0[..8].copy_from_slice(&number.to_be_bytes());
        hall.board.present.insert((cluster, 1), one.clone());
    }
    assert_eq!(hall.say(NODES[1], "gather", &[]), Err(WordRefusal::Full));
    hall.say(NODES[0], "round1", &[]).unwrap();
    assert_eq!(hall.board.present.len(), PRESENT_MAX);
}
