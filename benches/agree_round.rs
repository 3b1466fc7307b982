//! What does agreement cost? All nodes of a cluster in memory, from their own votes to the last decision.
//!
//! Node signatures are not counted: a key here copies the digest. Making the machines is.

use criterion::{Criterion, criterion_group, criterion_main};
use std::collections::VecDeque;
use std::hint::black_box;
use symbolon_core::To;
use symbolon_core::agree::{Agree, Input, Output, Setup, Timers, Verdict};
use symbolon_core::mutants::Rules;
use types::wire::{self, Instance, Kind, Sign, Value, Verified, Verify};
use types::{
    ClusterId, ClusterSize, Generation, Machine as _, Millis, NodeSignature, Root, ShareIndex, Slot,
};

const CLUSTER: ClusterId = Root([9; 32]);
const START: Millis = Millis(1_000);
/// Bytes of a vote.
const VOTE_LEN: usize = 128;

/// A key whose signatures cost nothing.
struct Free(ShareIndex);

impl Verify for Free {
    fn verify(&self, _author: ShareIndex, _digest: &[u8; 32], _signature: &NodeSignature) -> bool {
        // Messages are handed over as their author sealed them.
        true
    }
}

impl Sign for Free {
    fn author(&self) -> ShareIndex {
        self.0
    }
    fn sign(&self, digest: &[u8; 32]) -> NodeSignature {
        let mut signature = NodeSignature([self.0.get(); 64]);
        signature.0[..32].copy_from_slice(digest);
        signature
    }
}

struct World {
    size: ClusterSize,
    nodes: Vec<Agree>,
    /// On their way, and to whom.
    wire: VecDeque<(ShareIndex, Verified)>,
    decided: usize,
}

impl World {
    fn new(n: usize, kind: Kind) -> Self {
        let size = ClusterSize::new_safe(n, (2 * n).div_ceil(3)).expect("a safe cluster");
        let agree = |me| {
            Agree::new(Setup {
                instance: Instance::new(Generation(0), Slot(8), kind),
                size,
                me,
                start: START,
                deadline: Millis(START.0 + 400),
                follow_only: false,
                timers: Timers::default(),
                rules: Rules::default(),
            })
        };
        Self { size, nodes: size.indices().map(agree).collect(), wire: VecDeque::new(), decided: 0 }
    }

    fn tell(&mut self, node: ShareIndex, input: Input) {
        self.nodes[node.position()].handle(START, input);
        while let Some(output) = self.nodes[node.position()].poll() {
            match output {
                Output::Send { to, message } => {
                    let sealed = wire::seal(message, &CLUSTER, &Free(node));
                    match to {
                        To::All => {
                            let others = self.size.others(node).map(|peer| (peer, sealed.clone()));
                            self.wire.extend(others);
                            self.tell(node, Input::Message(sealed));
                        }
                        To::One(peer) => self.wire.push_back((peer, sealed)),
                    }
                }
                Output::Check { hash, .. } => {
                    self.tell(node, Input::Checked { hash, verdict: Verdict::Good });
                }
                Output::NeedOwn { .. } | Output::NeedVote => self.tell(node, own()),
                Output::Decided { .. } => self.decided += 1,
                Output::FetchContents { .. }
                | Output::ResendPartial { .. }
                | Output::Evidence { .. }
                | Output::Fault { .. } => {}
            }
        }
    }

    /// To the last node's decision.
    fn run(mut self, kind: Kind) -> usize {
        for node in self.size.indices() {
            self.tell(node, if kind == Kind::Attest { own() } else { Input::Tick });
        }
        while self.decided < self.nodes.len()
            && let Some((to, message)) = self.wire.pop_front()
        {
            self.tell(to, Input::Message(message));
        }
        self.decided
    }
}

fn own() -> Input {
    Input::Own { hash: Root([5; 32]), value: Value::from(vec![5; VOTE_LEN]) }
}

fn agree_round(c: &mut Criterion) {
    for n in [4, 7, 10, 22] {
        for (name, kind) in [("attest", Kind::Attest), ("propose", Kind::Propose)] {
            c.bench_function(&format!("agree::decide/kind={name},n={n}"), |b| {
                b.iter(|| assert_eq!(World::new(black_box(n), kind).run(kind), n, "everybody decides"));
            });
        }
    }
}

criterion_group!(benches, agree_round);
criterion_main!(benches);
