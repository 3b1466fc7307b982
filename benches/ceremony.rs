//! What does a ceremony cost? All machines of a real definition in memory, from gathering to the last farewell.

use cluster::{Networks, NewAddresses, NewDefinition};
use criterion::{Criterion, criterion_group, criterion_main};
use dkg::ceremony::definition::ReadyDefinition;
use dkg::ceremony::{Ceremony, Durable, Input, Output};
use keys::frost::CeremonySeed;
use keys::{NodeKey, NodeKeys, Operator};
use std::collections::VecDeque;
use types::{Gwei, Machine as _, Millis, ShareIndex};
use zeroize::Zeroizing;

fn index(number: u8) -> ShareIndex {
    ShareIndex::new(number).expect("an operator's number")
}

fn node_key(of: ShareIndex) -> NodeKey {
    NodeKey::from_bytes(&[of.get(); 32]).expect("a key")
}

fn definition(operators: &[ShareIndex], threshold: u64, validators: usize) -> ReadyDefinition {
    let networks = Networks::public();
    let address = NewAddresses {
        fee_recipient: "0x000000000000000000000000000000000000dEaD".to_owned(),
        withdrawal: "0x000000000000000000000000000000000000dEaD".to_owned(),
    };
    let enr = |of: &ShareIndex| node_key(*of).enr().parse().expect("an own record");
    let new = NewDefinition {
        version: cluster::Version::V1_10,
        name: "benched".to_owned(),
        operators: operators.iter().map(enr).collect(),
        threshold: usize::try_from(threshold).expect("few"),
        validators: vec![address; validators],
        network: networks.by_name("hoodi").expect("a public network").clone(),
        deposit_amounts: vec![Gwei(31_000_000_000), Gwei(1_000_000_000)],
        compounding: false,
        target_gas_limit: cluster::define::TARGET_GAS_LIMIT,
        uuid: uuid::Uuid::nil(),
        timestamp: time::OffsetDateTime::UNIX_EPOCH,
    };
    ReadyDefinition::new(new.define().expect("a definition"), &networks).expect("a fit definition")
}

/// Runs everybody's part on one thread; how many finished.
fn run(operators: &[ShareIndex], definition: &ReadyDefinition) -> usize {
    let begin = |me: &ShareIndex| {
        let setup = definition.setup(*me, 0, Millis(60_000));
        let peers = NodeKeys::new(&definition.node_keys()).expect("distinct keys");
        let operator = Operator::new(node_key(*me), *me, peers).expect("one of them");
        let seed = CeremonySeed::new(Zeroizing::new([me.get() ^ 0xa5; 32]));
        Ceremony::begin(setup, seed, operator, definition.clone()).expect("a fit setup")
    };
    let mut machines: Vec<_> = operators.iter().map(begin).collect();
    let mut queue: VecDeque<(ShareIndex, Input)> = VecDeque::new();
    for me in operators {
        let others = operators.iter().filter(|peer| *peer != me);
        queue.extend(others.map(|peer| (*me, Input::PeerUp(*peer))));
    }
    let mut finished = 0;
    while let Some((at, input)) = queue.pop_front() {
        let machine = &mut machines[at.position()];
        machine.handle(Millis(1), input);
        while let Some(output) = machine.poll() {
            match output {
                Output::Send { to, frame } => queue.push_back((to, Input::Message { from: at, frame })),
                Output::Persist { durable, .. } => queue.push_back((at, Input::Stored(durable))),
                Output::Files(_) => queue.push_back((at, Input::Stored(Durable::Files))),
                Output::Finished { .. } => finished += 1,
                Output::Progress { .. } => {}
                Output::Rejected { .. } | Output::Abort { .. } => panic!("an honest ceremony: {output:?}"),
            }
        }
    }
    finished
}

fn ceremony(c: &mut Criterion) {
    let mut group = c.benchmark_group("ceremony::run");
    group.sample_size(10);
    for (t, n, validators) in [(3, 4, 1), (3, 4, 10), (7, 10, 10)] {
        let operators: Vec<_> = (1..=n).map(index).collect();
        let definition = definition(&operators, t, validators);
        group.bench_function(format!("t={t},n={n},validators={validators}"), |b| {
            b.iter(|| assert_eq!(run(&operators, &definition), operators.len(), "everybody finishes"));
        });
    }
    group.finish();
}

criterion_group!(benches, ceremony);
criterion_main!(benches);
