//! The formulas of a pool. Each says its source, its units, and who keeps what rounding leaves over.
//!
//! - [`wide`], [`ratio`]: integers and fractions that lose nothing on the way; [`decimal`]: how they are written.
//! - [`shares`]: who owns which part of the pool; [`rebase`]: what a report of the chain does to it.
//! - [`f1`]: rewards of those who delegate to one cluster; [`saturation`]: what a pool's size does to its reward.
//! - [`commission`], [`participation`]: how a reward is split, and between operators by what they did.
//! - [`bonds`]: what operators put up; [`slashing`]: what a fault costs; [`losses`]: who pays for it.
//! - [`allocation`]: where new stake goes; [`exits`]: whose stake comes back.
//! - [`concentration`]: how few hold how much; [`rewards`]: what the chain would have paid.

pub mod allocation;
pub mod bonds;
pub mod commission;
pub mod concentration;
pub mod decimal;
pub mod exits;
pub mod f1;
pub mod losses;
pub mod participation;
pub mod ratio;
pub mod rebase;
pub mod rewards;
pub mod saturation;
pub mod shares;
pub mod slashing;
pub mod wide;
