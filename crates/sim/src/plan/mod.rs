//! A whole run as a text: what world it is, what goes wrong in it, and what is judged.
//!
//! ```text
//! operators 4
//! threshold 3
//! validators 5
//! seed 17
//! delay 1 80
//! habit 2 forger
//! fault 3 crash 4000 sign 5
//! slots 13
//! within
//! ```
//!
//! - `draw`: plans from seeds. `text`: plans as texts, and texts as plans. `run`: a plan's run, judged; the least part of
//!   a plan that still breaks a rule.

mod draw;
mod run;
mod text;

pub use run::{Run, minimize};

use crate::fault::Fault;
use crate::setup::Setup;
use crate::villains::Habit;
use crate::world::World;
use std::collections::BTreeSet;
use types::ShareIndex;

/// How many operators are faulty, and so what is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bound {
    /// At most `f`: nothing unsafe, and no duty missed.
    Within,
    /// More, of whom at most `f` are villains: nothing unsafe, and no duty missed any more once the faults are over.
    Beyond,
}

/// A run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The world.
    pub setup: Setup,
    /// What goes wrong in it.
    pub faults: Vec<Fault>,
    /// What is judged.
    pub bound: Bound,
    /// So many slots; where more than `f` operators are faulty, and some more for recovery.
    pub slots: u64,
}

/// Slots of a plan that does not say otherwise.
const SLOTS: u64 = 13;

impl Plan {
    /// The world with its faults, before it runs.
    pub fn world(&self) -> World {
        let mut world = World::new(self.setup.clone());
        self.faults.iter().for_each(|fault| world.expect(*fault));
        world
    }

    /// Operators of whom something is not as it should be.
    pub fn faulty(&self) -> BTreeSet<ShareIndex> {
        let villains = self.setup.size.indices().zip(&self.setup.habits);
        let villains = villains.filter(|(_, habit)| **habit != Habit::Honest).map(|(index, _)| index);
        villains.chain(self.faults.iter().map(|fault| fault.who)).collect()
    }
}
