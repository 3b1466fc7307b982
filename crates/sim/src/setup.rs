//! What a world is made from.

use crate::client::Selecting;
use crate::clock::Clock;
use crate::network::{Delay, Weather};
use crate::villains::Habit;
use std::collections::BTreeSet;
use symbolon_core::mutants::Rules;
use types::spec::{ForkEpoch, SlotTiming};
use types::{ChainSpec, ClusterSize, Epoch, Fork, ForkVersion, Millis, Preset, Root, ShareIndex};

/// What a world is made from.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Operators and threshold.
    pub size: ClusterSize,
    /// Distributed validators: indices `0..validators` of the chain.
    pub validators: u32,
    /// Validators run by the world itself, which never miss: the indices after.
    pub ordinary: u32,
    /// Decides everything that is not said here.
    pub seed: u64,
    /// Length of a slot.
    pub slot_ms: u64,
    /// One-way delays between operators.
    pub delay: Delay,
    /// What else befalls messages between operators.
    pub weather: Weather,
    /// Each operator's clock; missing ones: right.
    pub clocks: Vec<Clock>,
    /// How long a sync takes.
    pub sync: Millis,
    /// One per operator.
    pub habits: Vec<Habit>,
    /// How long each operator's beacon node takes to learn of a block; missing ones: at once.
    pub head_delays: Vec<Millis>,
    /// Which side of a split each honest operator stands on when equivocators are about; missing ones: left.
    pub right: BTreeSet<ShareIndex>,
    /// Whether honest operators of the two sides are kept from hearing each other.
    pub parted: bool,
    /// Whether equivocators show both faces to everybody.
    pub loud: bool,
    /// How late the beacon node of an equivocator's second face is; by a slot unless said.
    pub late: Option<Millis>,
    /// When each operator's client asks for selection proofs; missing ones: in the slot.
    pub selecting: Vec<Selecting>,
    /// Whether clients vote for the head that the event stream tells them, before they could ask for the agreed one.
    pub eager: bool,
    /// Whether processes draw ids and ask each other for them.
    pub born: bool,
    /// Whether attestations and blocks are all there is: no aggregates and no sync committee, for worlds whose point is
    /// another one.
    pub plain: bool,
    /// Rules of the machines: all, but in tests of judges.
    pub rules: Rules,
    /// What is wrong with the shells around the machines: nothing, but in tests of judges.
    #[cfg(feature = "mutants")]
    pub flaw: Option<Flaw>,
}

/// What is wrong with the shells around the machines. Without the feature `mutants` nothing can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The journal says that rows are durable before they are.
    AcksBeforeSync,
    /// What partial signatures combine to is not checked.
    CombinesBlindly,
    /// A machine that wants to be woken earlier than it did before is not.
    WakesLate,
    /// Where one operator hands in an exit, the clients of all do.
    ApprovesUnasked,
    /// The world panics when a duty has ended.
    Panics,
}

impl Setup {
    /// All honest, one-way delays of 20 ms, no processing time, slots of 12 s.
    pub fn new(operators: usize, threshold: usize, validators: u32) -> Self {
        let size = ClusterSize::new(operators, threshold).expect("a cluster's size");
        Self {
            size,
            validators,
            ordinary: 0,
            seed: 0,
            slot_ms: 12_000,
            delay: Delay::fixed(20),
            weather: Weather::default(),
            clocks: Vec::new(),
            sync: Millis(0),
            habits: vec![Habit::Honest; operators],
            head_delays: Vec::new(),
            right: BTreeSet::new(),
            parted: false,
            loud: false,
            late: None,
            selecting: Vec::new(),
            eager: false,
            born: false,
            plain: false,
            rules: Rules::default(),
            #[cfg(feature = "mutants")]
            flaw: None,
        }
    }

    /// Whether the shells have this flaw.
    #[cfg(feature = "mutants")]
    pub(crate) fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// The shells have no flaw.
    #[cfg(not(feature = "mutants"))]
    #[expect(clippy::unused_self, reason = "the same question as with the feature")]
    pub(crate) const fn has(&self, _flaw: Flaw) -> bool {
        false
    }

    /// The jar's network.
    pub(crate) fn spec(&self) -> ChainSpec {
        ChainSpec {
            name: "jar".into(),
            preset: Preset::Minimal,
            genesis_time_ms: 1_000_000,
            slot_ms: self.slot_ms,
            slots_per_epoch: 8,
            genesis_fork_version: ForkVersion([0, 0, 0, 0x51]),
            genesis_validators_root: Root([0x67; 32]),
            forks: vec![ForkEpoch {
                fork: Fork::Electra,
                version: ForkVersion([5, 0, 0, 0x51]),
                epoch: Epoch(0),
            }],
            timing: SlotTiming::default(),
            chain_id: 0x51,
        }
    }
}
