//! Agreement of one instance. (placeholder for type checking)
#![allow(missing_docs)]
use crate::To;
use std::collections::BTreeSet;
use types::wire::{Instance, Message, Quorum, Signed, Value, Verified};
use types::{ClusterSize, Millis, Root, ShareIndex};
#[derive(Clone, Copy, Debug, Default)]
pub struct Timers {}
#[derive(Clone, Debug)]
pub struct Setup {
    pub instance: Instance,
    pub size: ClusterSize,
    pub me: ShareIndex,
    pub start: Millis,
    pub deadline: Millis,
    pub follow_only: bool,
    pub timers: Timers,
}
pub enum Input {
    Tick,
    Own { hash: Root, value: Value },
    Message(Verified),
    Checked { hash: Root, hard: bool, soft: bool },
    Heard(BTreeSet<ShareIndex>),
    Combined { hash: Root },
    Reconnected(ShareIndex),
}
pub enum Output {
    Send { to: To, message: Message },
    Check { hash: Root, value: Value },
    NeedOwn { round: u32 },
    NeedVote,
    Decided { hash: Root, value: Value, proof: Option<Quorum>, round: u32 },
    ResendPartial { to: ShareIndex },
    Evidence { author: ShareIndex, first: Signed, second: Signed },
    Fault { peer: ShareIndex, fault: crate::Fault },
}
#[derive(Debug)]
pub struct Agree {}
impl Agree {
    pub fn new(_: Setup) -> Self {
        Self {}
    }
}
impl types::Machine for Agree {
    type Input = Input;
    type Output = Output;
    fn handle(&mut self, _: Millis, _: Input) {}
    fn poll(&mut self) -> Option<Output> {
        None
    }
    fn wake_at(&self) -> Option<Millis> {
        None
    }
}
