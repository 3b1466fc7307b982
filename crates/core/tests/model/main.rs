//! The agreement's rules, exhausted.

mod cluster;
mod leader;
mod recovery;
mod state;

use cluster::{Cluster, Restart};
use stateright::{Checker as _, Model as _};
use symbolon_core::mutants::Rules;
use types::wire::Kind;

fn exhaust(cluster: Cluster) {
    let t = std::process::Command::new("date").arg("+%s").output();
    let checker = cluster.checker().threads(2).spawn_dfs().join();
    println!("{} of {} depth {}", checker.unique_state_count(), checker.state_count(), checker.max_depth());
    checker.assert_properties();
    let _ = t;
}

#[test]
fn a1() { exhaust(Cluster::new(Kind::Attest, 1, Rules::default())); }
#[test]
fn a1b0() { exhaust(Cluster::new(Kind::Attest, 1, Rules::default()).with_byzantine(0)); }
#[test]
fn a1b1() { exhaust(Cluster::new(Kind::Attest, 1, Rules::default()).with_byzantine(1)); }
#[test]
fn a1r() { exhaust(Cluster::new(Kind::Attest, 1, Rules::default()).with_restart(Restart::PROPER)); }
#[test]
fn a2b1() { exhaust(Cluster::new(Kind::Attest, 2, Rules::default()).with_byzantine(1)); }
#[test]
fn a2b2() { exhaust(Cluster::new(Kind::Attest, 2, Rules::default()).with_byzantine(2)); }
#[test]
fn a2b0() { exhaust(Cluster::new(Kind::Attest, 2, Rules::default()).with_byzantine(0)); }
#[test]
fn a2() { exhaust(Cluster::new(Kind::Attest, 2, Rules::default())); }
#[test]
fn p2() { exhaust(Cluster::new(Kind::Propose, 2, Rules::default())); }
#[test]
fn p3() { exhaust(Cluster::new(Kind::Propose, 3, Rules::default())); }
#[test]
fn p2b1() { exhaust(Cluster::new(Kind::Propose, 2, Rules::default()).with_byzantine(1)); }
#[test]
fn p3b1() { exhaust(Cluster::new(Kind::Propose, 3, Rules::default()).with_byzantine(1)); }

#[test]
fn p2r() { exhaust(Cluster::new(Kind::Propose, 2, Rules::default()).with_restart(Restart::PROPER)); }
#[test]
fn p3r() { exhaust(Cluster::new(Kind::Propose, 3, Rules::default()).with_restart(Restart::PROPER)); }
#[test]
fn a2r() { exhaust(Cluster::new(Kind::Attest, 2, Rules::default()).with_restart(Restart::PROPER)); }
#[test]
fn a1b1r() { exhaust(Cluster::new(Kind::Attest, 1, Rules::default()).with_byzantine(1).with_restart(Restart::PROPER)); }
#[test]
fn a2b1r() { exhaust(Cluster::new(Kind::Attest, 2, Rules::default()).with_byzantine(1).with_restart(Restart::PROPER)); }
#[test]
fn a2b0r() { exhaust(Cluster::new(Kind::Attest, 2, Rules::default()).with_byzantine(0).with_restart(Restart::PROPER)); }
