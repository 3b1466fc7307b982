//! How the nodes are: their network and their progress.

use crate::ask::{Checked, rule};
use crate::client::Beacon;
use crate::error::ApiError;
use crate::health::NodeHealth;
use crate::json::{Data, Genesis, SyncStatus};
use crate::limits::Limits;
use crate::node::Node;
use futures::StreamExt;
use std::pin::pin;
use std::sync::Arc;
use types::Slot;

/// What a probe of all nodes found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The best node's progress: one that follows the head before others, then the highest head.
    pub best: SyncStatus,
    /// How many slots the nodes' clocks (head and distance to it) are ahead of the own one; negative: behind. Of
    /// several nodes the one in the middle counts, of two the one nearer to ours. `None` if no node tells.
    pub clock_skew_slots: Option<i64>,
}

impl Beacon {
    /// Asks every node for its genesis, and asks those of another network no more. Call it about once an epoch: a node
    /// may be swapped for another one under its address, or back.
    ///
    /// - Returns each node's label and `Ok`, or `Body` with the difference to our network's parameters; a node that
    ///   cannot be asked keeps its place. What changes is in the log.
    pub async fn check_network(&self) -> Vec<(String, Result<(), ApiError>)> {
        self.check_networks_of(&self.0.nodes).await
    }

    async fn check_networks_of<'a>(
        &self,
        nodes: impl IntoIterator<Item = &'a Arc<Node>>,
    ) -> Vec<(String, Result<(), ApiError>)> {
        let call = self.0.get("/eth/v1/beacon/genesis");
        let nodes: Vec<_> = nodes.into_iter().cloned().collect();
        let mut answers = pin!(self.0.ask_all(&nodes, &call));
        let mut outcomes = Vec::new();
        while let Some((node, answer)) = answers.next().await {
            let genesis = answer.and_then(|reply| node.success(reply)?.json::<Data<Genesis>>(node));
            let outcome = genesis.and_then(|genesis| {
                let checked = self.check_genesis(&genesis.data);
                note_network(node, &checked);
                checked.map_err(|difference| node.wrong(&difference))
            });
            outcomes.push((node.label().to_owned(), outcome));
        }
        outcomes
    }

    fn check_genesis(&self, genesis: &Genesis) -> Checked {
        let spec = &self.0.spec;
        let root = genesis.genesis_validators_root;
        rule(root == spec.genesis_validators_root, || {
            format!("another network: genesis_validators_root {root}, ours {}", spec.genesis_validators_root)
        })?;
        let version = genesis.genesis_fork_version;
        rule(version == spec.genesis_fork_version, || {
            format!("another network: genesis_fork_version {version}, ours {}", spec.genesis_fork_version)
        })?;
        let (time, ours) = (genesis.genesis_time, spec.genesis_time_ms / 1_000);
        rule(time == ours, || format!("another network: genesis_time {time}, ours {ours}"))
    }

    /// How far the best node has synced: one that follows the head before others, then the highest head.
    ///
    /// Asks all nodes as [`Beacon::probe`] does, without a clock: a head ahead of what most nodes say of the time is
    /// not believed.
    pub async fn syncing(&self) -> Result<SyncStatus, ApiError> {
        Ok(self.probe_by(|| None).await?.best)
    }

    /// Asks all nodes how they are, and sets aside those that lag, are optimistic or have lost their execution client.
    /// Call it about once a slot: it is how a node is found well again.
    ///
    /// - A node that has failed since it said of which network it is, is asked that first: it may have come back as
    ///   another one. What a node of another network says counts for nothing.
    /// - `own_slot`: the slot by the own clock, asked before the question and after each answer.
    /// - Errors: if no node answers.
    pub async fn probe(&self, own_slot: impl Fn() -> Slot) -> Result<Probe, ApiError> {
        self.probe_by(|| Some(own_slot())).await
    }

    /// How each node is, in the operator's order, as far as it is known by now.
    pub fn health(&self) -> Vec<NodeHealth> {
        let now = self.0.now();
        self.0.nodes.iter().map(|node| node.health().report(node.label(), now)).collect()
    }

    async fn probe_by(&self, own_slot: impl Fn() -> Option<Slot>) -> Result<Probe, ApiError> {
        let inner = &self.0;
        let call = inner.probe("/eth/v1/node/syncing");
        let (start, asked) = (inner.now(), own_slot());
        let mut answers = pin!(inner.ask_all(inner.in_order(), &call));
        let mut heard = Vec::new();
        let mut told = ApiError::NoNode;
        while let Some((node, answer)) = answers.next().await {
            match answer.and_then(|reply| node.success(reply)?.json::<Data<SyncStatus>>(node)) {
                Ok(Data { data: status }) => {
                    let latency_ms = inner.now().since(start).0;
                    heard.push(Heard { node, status, latency_ms, asked, answered: own_slot() });
                }
                Err(error) => {
                    inner.note_error(node, &error);
                    told = told.or(error);
                }
            }
        }
        let unchecked = heard.iter().map(|one| one.node).filter(|node| node.health().is_unchecked());
        self.check_networks_of(unchecked).await;
        heard.retain(|one| !one.node.health().is_foreign());
        heard.iter().for_each(|one| inner.note_heard(one.node));
        let horizon = horizon(&heard);
        note_progress(&heard, horizon, &inner.limits);
        let rank = |status: &SyncStatus| (status.is_ready(), status.head_slot <= horizon, status.head_slot);
        let best = heard.iter().map(|one| one.status).max_by_key(rank).ok_or(told)?;
        Ok(Probe { best, clock_skew_slots: middle(heard.iter().filter_map(Heard::skew_slots).collect()) })
    }
}

/// Tells a node's health of which network it is, and the log if that changes.
fn note_network(node: &Node, checked: &Checked) {
    let changed = node.health().set_foreign(checked.is_err());
    match checked {
        Err(difference) if changed => {
            let difference = node.scrub(difference);
            tracing::error!(node = node.label(), difference, "a beacon node of another network is not asked");
        }
        Ok(()) if changed => {
            tracing::warn!(node = node.label(), "the beacon node is of our network again");
        }
        Ok(()) | Err(_) => {}
    }
}

/// One node's answer to a probe.
struct Heard<'a> {
    node: &'a Arc<Node>,
    status: SyncStatus,
    latency_ms: u64,
    /// The slot by the own clock when it was asked, if the own clock counts.
    asked: Option<Slot>,
    /// The same when it had answered.
    answered: Option<Slot>,
}

impl Heard<'_> {
    /// The slot by the node's clock.
    fn clock(&self) -> Slot {
        Slot(self.status.head_slot.0.saturating_add(self.status.sync_distance))
    }

    /// How many slots the node's clock is ahead of the own one, if it tells.
    ///
    /// Some nodes say a distance of 0 whenever they think that they have synced, after empty slots too: then the head
    /// is where their clock is at least.
    fn skew_slots(&self) -> Option<i64> {
        let (clock, asked, answered) = (self.clock(), self.asked?, self.answered?);
        let slots = |later: Slot, earlier: Slot| i64::try_from(later.0 - earlier.0).unwrap_or(i64::MAX);
        if clock > answered {
            return Some(slots(clock, answered));
        }
        if clock >= asked {
            return Some(0);
        }
        (self.status.sync_distance > 0).then(|| -slots(asked, clock))
    }
}

/// The last slot of which there may be a head: by the own clock, else by the node in the middle, the earlier of two.
fn horizon(heard: &[Heard<'_>]) -> Slot {
    if let Some(own) = heard.iter().filter_map(|one| one.answered).max() {
        // Blocks come a little early where clocks differ a little.
        return own.next();
    }
    let mut clocks: Vec<Slot> = heard.iter().map(Heard::clock).collect();
    clocks.sort_unstable();
    clocks.get(clocks.len().saturating_sub(1) / 2).map_or(Slot(0), |clock| clock.next())
}

/// Tells each node's health what it said, beside what the others said.
fn note_progress(heard: &[Heard<'_>], horizon: Slot, limits: &Limits) {
    let ready = || heard.iter().filter(|one| one.status.is_ready());
    let heads = ready().map(|one| one.status.head_slot).filter(|head| *head <= horizon);
    let best = heads.max().unwrap_or_default();
    let lag_slots = |one: &Heard<'_>| {
        let behind_best = best.0.saturating_sub(one.status.head_slot.0);
        behind_best.max(one.status.sync_distance)
    };
    let least = ready().map(lag_slots).min().unwrap_or_default();
    for one in heard {
        one.node.health().probed(one.latency_ms, &one.status, lag_slots(one), least, limits);
    }
}

/// The number in the middle; of two the one nearer to zero.
fn middle(mut numbers: Vec<i64>) -> Option<i64> {
    numbers.sort_unstable();
    let last = numbers.len().checked_sub(1)?;
    [numbers[last / 2], numbers[last.div_ceil(2)]].into_iter().min_by_key(|number| number.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::middle;

    #[test]
    fn the_middle_of_several_clocks_counts_and_of_two_the_nearer() {
        assert_eq!(middle(vec![]), None);
        assert_eq!(middle(vec![7]), Some(7));
        assert_eq!(middle(vec![7, 0]), Some(0));
        assert_eq!(middle(vec![-7, -2]), Some(-2));
        assert_eq!(middle(vec![7, 7, 0]), Some(7));
        assert_eq!(middle(vec![i64::MIN, -1, 0, 9]), Some(0));
    }
}
