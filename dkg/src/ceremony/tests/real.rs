//! A ceremony of a real definition with real node keys: its files hold by the checks that any reader makes.

use super::world::{index, seed_of};
use crate::ceremony::definition::ReadyDefinition;
use crate::ceremony::{Ceremony, CeremonyKey as _, CeremonyPeers as _, Input, Outcome, Output};
use cluster::check::check_deposits;
use cluster::folder::LOCK;
use cluster::{Lock, Networks, NewAddresses, NewDefinition, deposit};
use keys::{NodeKey, NodeKeys, Operator};
use std::collections::VecDeque;
use types::{Gwei, Machine as _, Millis, Root, ShareIndex};

const OPERATORS: u8 = 4;

fn node_key(of: ShareIndex) -> NodeKey {
    NodeKey::from_bytes(&[of.get(); 32]).unwrap()
}

fn operators() -> Vec<ShareIndex> {
    (1..=OPERATORS).map(index).collect()
}

fn definition() -> ReadyDefinition {
    let networks = Networks::public();
    let address = NewAddresses {
        fee_recipient: "0x000000000000000000000000000000000000dEaD".to_owned(),
        withdrawal: "0x000000000000000000000000000000000000dEaD".to_owned(),
    };
    let new = NewDefinition {
        version: cluster::Version::V1_10,
        name: "four".to_owned(),
        operators: operators().into_iter().map(|of| node_key(of).enr().parse().unwrap()).collect(),
        threshold: 3,
        validators: vec![address; 2],
        network: networks.by_name("hoodi").unwrap().clone(),
        deposit_amounts: vec![Gwei(31_000_000_000), Gwei(1_000_000_000)],
        compounding: false,
        target_gas_limit: cluster::define::TARGET_GAS_LIMIT,
        uuid: uuid::Uuid::nil(),
        timestamp: time::OffsetDateTime::UNIX_EPOCH,
    };
    ReadyDefinition::new(new.define().unwrap(), &networks).unwrap()
}

fn operator(me: ShareIndex, definition: &ReadyDefinition) -> Operator {
    let peers = NodeKeys::new(&definition.node_keys()).unwrap();
    Operator::new(node_key(me), me, peers).unwrap()
}

fn run() -> Vec<Outcome> {
    let definition = definition();
    let begin = |me| {
        let setup = definition.setup(me, 0, Millis(60_000));
        Ceremony::begin(setup, seed_of(me), operator(me, &definition), definition.clone()).unwrap()
    };
    let mut machines: Vec<_> = operators().into_iter().map(begin).collect();
    let mut queue: VecDeque<(ShareIndex, Input)> = VecDeque::new();
    for me in operators() {
        queue
            .extend(operators().into_iter().filter(|peer| *peer != me).map(|peer| (me, Input::PeerUp(peer))));
    }
    let mut outcomes = Vec::new();
    while let Some((at, input)) = queue.pop_front() {
        let machine = &mut machines[at.position()];
        machine.handle(Millis(1), input);
        while let Some(output) = machine.poll() {
            match output {
                Output::Send { to, frame } => queue.push_back((to, Input::Message { from: at, frame })),
                Output::Persist { durable, .. } => queue.push_back((at, Input::Stored(durable))),
                Output::Files(outcome) => {
                    outcomes.push(outcome);
                    queue.push_back((at, Input::Stored(crate::ceremony::Durable::Files)));
                }
                Output::Finished { missing } => assert!(missing.is_empty()),
                Output::Progress { .. } => {}
                Output::Rejected { .. } | Output::Abort { .. } => panic!("{output:?}"),
            }
        }
    }
    outcomes
}

#[test]
fn lock_and_deposit_files_of_a_ceremony_hold_by_every_check() {
    let outcomes = run();
    assert_eq!(outcomes.len(), usize::from(OPERATORS));
    let documents = &outcomes[0].documents;
    let names: Vec<_> = documents.iter().map(|document| document.name.as_str()).collect();
    assert_eq!(names, ["deposit-data-1eth.json", "deposit-data-31eth.json", LOCK]);
    for other in &outcomes {
        assert_eq!(other.documents, *documents, "everybody writes the same files");
    }
    let networks = Networks::public();
    let (lock, deposits) = documents.split_last().unwrap();
    let lock = Lock::parse(&lock.bytes).unwrap();
    assert_eq!(lock.lock_hash(), outcomes[0].lock.lock_hash);
    let deposits = deposits.iter().flat_map(|document| deposit::parse_file(&document.bytes).unwrap());
    let deposits: Vec<_> = deposits.collect();
    assert_eq!(deposits.len(), 4);
    let checks = [lock.check(&networks), check_deposits(&deposits, &networks)].concat();
    assert!(checks.len() > 8);
    for check in checks {
        assert!(check.holds(), "{}: {}", check.name, check.detail);
    }
}

#[test]
fn a_node_signature_has_one_form_only() {
    let definition = definition();
    let (first, hash) = (operator(index(1), &definition), Root([7; 32]));
    let good = first.sign_lock(&hash);
    assert!(operator(index(2), &definition).verify_lock(index(1), &hash, &good));
    assert!(!first.verify_lock(index(2), &hash, &good));
    assert!(!first.verify_lock(index(1), &Root([8; 32]), &good));
    for v in (0..=255).filter(|v| *v != good[64]) {
        let mut other = good;
        other[64] = v;
        assert!(!first.verify_lock(index(1), &hash, &other), "v = {v}");
    }
}
