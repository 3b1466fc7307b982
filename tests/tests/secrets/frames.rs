//! The same ceremony in one process, of machines alone: every frame as it stands before the wire encrypts it.

use crate::known::seed;
use crate::pool::Pool;
use dkg::ceremony::{Ceremony, Durable, Frame, Input, Output};
use std::collections::VecDeque;
use types::{Machine as _, Millis, ShareIndex};

/// What a ceremony has sent and stored.
pub(crate) struct Said {
    /// By sender and recipient.
    pub(crate) frames: Vec<(ShareIndex, ShareIndex, Frame)>,
    /// By owner.
    pub(crate) records: Vec<(ShareIndex, Frame)>,
    /// By owner: the public files.
    pub(crate) documents: Vec<(ShareIndex, Vec<u8>)>,
}

/// Runs the ceremony of a pool's definition with its keys and the known seeds, to the end.
pub(crate) fn run(pool: &Pool) -> Said {
    let operators = pool.operators();
    let begin = |me: &ShareIndex| {
        Ceremony::begin(pool.setup(*me), seed(*me), pool.operator(*me), pool.ready.clone()).unwrap()
    };
    let mut machines: Vec<_> = operators.iter().map(begin).collect();
    let pairs = operators.iter().flat_map(|me| operators.iter().map(move |peer| (*me, *peer)));
    let up = pairs.filter(|(me, peer)| me != peer).map(|(me, peer)| (me, Input::PeerUp(peer)));
    let mut queue: VecDeque<(ShareIndex, Input)> = up.collect();
    let mut said = Said { frames: Vec::new(), records: Vec::new(), documents: Vec::new() };
    let mut finished = 0;
    while let Some((at, input)) = queue.pop_front() {
        let machine = &mut machines[at.position()];
        machine.handle(Millis(1), input);
        while let Some(output) = machine.poll() {
            match output {
                Output::Send { to, frame } => {
                    said.frames.push((at, to, frame.clone()));
                    queue.push_back((to, Input::Message { from: at, frame }));
                }
                Output::Persist { durable, record } => {
                    said.records.push((at, record));
                    queue.push_back((at, Input::Stored(durable)));
                }
                Output::Files(outcome) => {
                    said.documents.extend(outcome.documents.into_iter().map(|file| (at, file.bytes)));
                    queue.push_back((at, Input::Stored(Durable::Files)));
                }
                Output::Finished { missing } => finished += usize::from(missing.is_empty()),
                Output::Progress { .. } => {}
                Output::Rejected { .. } | Output::Abort { .. } => panic!("{output:?}"),
            }
        }
    }
    assert_eq!(finished, operators.len(), "everybody is done");
    said
}
