//! What Prometheus sees. Labels are bounded: kinds, endings and operators' numbers only.

use crate::builder::{self, Fate};
use beacon::{Aside, NodeHealth};
use net::Route;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::sync::atomic::AtomicU64;
use symbolon_core::stop::Reason;
use symbolon_core::{Account, Outcome};
use types::ShareIndex;

/// Upper bounds of latency buckets, in seconds: from a local network to half a slot.
const LATENCY_BUCKETS: [f64; 12] = [0.01, 0.02, 0.04, 0.06, 0.08, 0.12, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    kind: &'static str,
    ending: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MessageLabels {
    message: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PeerLabels {
    peer: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BeaconLabels {
    /// Its place on the command line, from 0: its address may hold a password.
    node: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AsideLabels {
    node: u32,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BidLabels {
    /// Scheme, host and port: there are as many as the operator named.
    relay: String,
    fate: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TakenLabels {
    taken: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

/// All metrics of a node.
pub struct Metrics {
    registry: Registry,
    duties: Family<OutcomeLabels, Counter>,
    validators_due: Family<KindLabels, Counter>,
    validators_done: Family<KindLabels, Counter>,
    latency: Family<KindLabels, Histogram, fn() -> Histogram>,
    sent: Family<MessageLabels, Counter>,
    received: Family<MessageLabels, Counter>,
    refused: Family<PeerLabels, Counter>,
    faults: Family<PeerLabels, Counter>,
    peers_up: Family<PeerLabels, Gauge>,
    peers_relayed: Family<PeerLabels, Gauge>,
    relays_up: Gauge,
    signing_stopped: Family<ReasonLabels, Gauge>,
    clock_skew_slots: Gauge,
    doppelgangers: Counter,
    two_processes: Family<PeerLabels, Counter>,
    journal_rolled_back: Counter,
    unknown_routes: Counter,
    requests_shed: Counter,
    messages_dropped: Counter,
    partial_latency: Family<PeerLabels, Histogram, fn() -> Histogram>,
    partials_missing: Family<PeerLabels, Counter>,
    beacon_aside: Family<AsideLabels, Gauge>,
    beacon_lag_slots: Family<BeaconLabels, Gauge>,
    beacon_latency: Family<BeaconLabels, Gauge<f64, AtomicU64>>,
    builder_bids: Family<BidLabels, Counter>,
    builder_blocks: Family<TakenLabels, Counter>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("symbolon");
        let metrics = Self {
            duties: Family::default(),
            validators_due: Family::default(),
            validators_done: Family::default(),
            latency: Family::new_with_constructor(|| Histogram::new(LATENCY_BUCKETS)),
            sent: Family::default(),
            received: Family::default(),
            refused: Family::default(),
            faults: Family::default(),
            peers_up: Family::default(),
            peers_relayed: Family::default(),
            relays_up: Gauge::default(),
            signing_stopped: Family::default(),
            clock_skew_slots: Gauge::default(),
            doppelgangers: Counter::default(),
            two_processes: Family::default(),
            journal_rolled_back: Counter::default(),
            unknown_routes: Counter::default(),
            requests_shed: Counter::default(),
            messages_dropped: Counter::default(),
            partial_latency: Family::new_with_constructor(|| Histogram::new(LATENCY_BUCKETS)),
            partials_missing: Family::default(),
            beacon_aside: Family::default(),
            beacon_lag_slots: Family::default(),
            beacon_latency: Family::default(),
            builder_bids: Family::default(),
            builder_blocks: Family::default(),
            registry: Registry::default(),
        };
        registry.register("duties", "Duties that ended, by how", metrics.duties.clone());
        registry.register(
            "validators_due",
            "Validators due, over all duties",
            metrics.validators_due.clone(),
        );
        registry.register("validators_done", "Validators signed for", metrics.validators_done.clone());
        let help = "From the value at hand to the last group signature";
        registry.register_with_unit("duty_latency", help, Unit::Seconds, metrics.latency.clone());
        registry.register("frames_sent", "Messages sent to operators", metrics.sent.clone());
        registry.register("frames_received", "Messages of operators", metrics.received.clone());
        registry.register("frames_refused", "Frames that are no valid message", metrics.refused.clone());
        registry.register("faults", "Mistakes and evidence, by operator", metrics.faults.clone());
        registry.register("peer_up", "Whether an operator is connected", metrics.peers_up.clone());
        let help = "Whether an operator is connected through a relay";
        registry.register("peer_relayed", help, metrics.peers_relayed.clone());
        registry.register("relays_up", "Relays this node is reachable through", metrics.relays_up.clone());
        let help = "Requests of the validator client to routes this node does not serve";
        registry.register("unknown_routes", help, metrics.unknown_routes.clone());
        let help = "Requests of the validator client turned away because too many came at once";
        registry.register("requests_shed", help, metrics.requests_shed.clone());
        let help = "Messages of a validator client outside distributed mode, acknowledged and dropped";
        registry.register("messages_dropped", help, metrics.messages_dropped.clone());
        let help = "Relays asked for a bid, by what came of it";
        registry.register("builder_bids", help, metrics.builder_bids.clone());
        let help = "Signed blinded blocks handed to the relays, by whether one took it";
        registry.register("builder_blocks", help, metrics.builder_blocks.clone());
        metrics.register_operators(&mut registry);
        metrics.register_beacon_nodes(&mut registry);
        metrics.register_protection(&mut registry);
        Self { registry, ..metrics }
    }
}

impl Metrics {
    fn register_protection(&self, registry: &mut Registry) {
        let help = "Whether this node signs nothing, by why";
        registry.register("signing_stopped", help, self.signing_stopped.clone());
        let help = "Slots that the beacon nodes' clocks are ahead of this machine's";
        registry.register("clock_skew_slots", help, self.clock_skew_slots.clone());
        let help = "Validators that were live in an epoch in which nobody of the cluster signed for them";
        registry.register("doppelgangers", help, self.doppelgangers.clone());
        let help = "Times that an operator's node key was found in use by two live processes";
        registry.register("two_processes", help, self.two_processes.clone());
        let help = "Times that an operator showed a signature of this node that its journal had no row for";
        registry.register("journal_rolled_back", help, self.journal_rolled_back.clone());
    }

    /// In OpenMetrics' text form.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// A duty ended.
    pub fn outcome(&self, outcome: &Outcome) {
        let kind = outcome.instance.kind.name();
        let ending = outcome.ending.name();
        self.duties.get_or_create(&OutcomeLabels { kind, ending }).inc();
        self.validators_due.get_or_create(&KindLabels { kind }).inc_by(outcome.due as u64);
        self.validators_done.get_or_create(&KindLabels { kind }).inc_by(outcome.done as u64);
        if let Some(latency_ms) = outcome.latency_ms {
            self.latency.get_or_create(&KindLabels { kind }).observe(latency_ms as f64 / 1000.0);
        }
    }

    fn register_operators(&self, registry: &mut Registry) {
        let help = "From the decision of a duty to an operator's partial signatures, an epoch after the duty";
        registry.register_with_unit("partial_latency", help, Unit::Seconds, self.partial_latency.clone());
        let help = "Agreed duties of which an operator's partial signatures did not come within an epoch";
        registry.register("partials_missing", help, self.partials_missing.clone());
    }

    fn register_beacon_nodes(&self, registry: &mut Registry) {
        let help = "Whether a beacon node is set aside, by why";
        registry.register("beacon_node_aside", help, self.beacon_aside.clone());
        let help = "Slots that a beacon node's head was behind when it was asked last";
        registry.register("beacon_node_lag_slots", help, self.beacon_lag_slots.clone());
        let help = "Median time of a beacon node's last answers";
        registry.register_with_unit("beacon_node_latency", help, Unit::Seconds, self.beacon_latency.clone());
    }

    /// Nothing is added to a duty's account any more: how soon each operator's partials came, and whose did not.
    ///
    /// Steps on the way to a duty do not count, nor does what was never agreed on: there, nobody's partial is missing.
    pub fn closed(&self, account: &Account) {
        let Some(decided_at) = account.decided_at.filter(|_| !account.is_step() && account.due > 0) else {
            return;
        };
        for operator in account.missing() {
            self.partials_missing.get_or_create(&peer_label(operator)).inc();
        }
        for (operator, heard) in &account.operators {
            let Some((at, _)) = heard.partial else { continue };
            let seconds = at.since(decided_at).0 as f64 / 1000.0;
            self.partial_latency.get_or_create(&peer_label(*operator)).observe(seconds);
        }
    }

    /// How the beacon nodes are now, in the order of the command line.
    pub fn beacon_nodes(&self, nodes: &[NodeHealth]) {
        for (node, health) in (0..).zip(nodes) {
            for aside in Aside::ALL {
                let labels = AsideLabels { node, reason: aside.as_str() };
                self.beacon_aside.get_or_create(&labels).set(i64::from(health.aside == Some(aside)));
            }
            let lag_slots = i64::try_from(health.lag_slots).unwrap_or(i64::MAX);
            self.beacon_lag_slots.get_or_create(&BeaconLabels { node }).set(lag_slots);
            if let Some(latency_ms) = health.latency_ms {
                let seconds = latency_ms as f64 / 1000.0;
                self.beacon_latency.get_or_create(&BeaconLabels { node }).set(seconds);
            }
        }
    }

    /// A message went out.
    pub fn frame_sent(&self, message: &'static str) {
        self.sent.get_or_create(&MessageLabels { message }).inc();
    }

    /// A message came in.
    pub fn frame_received(&self, message: &'static str) {
        self.received.get_or_create(&MessageLabels { message }).inc();
    }

    /// A frame was no message.
    pub fn frame_refused(&self, peer: ShareIndex) {
        self.refused.get_or_create(&peer_label(peer)).inc();
    }

    /// An operator made a mistake.
    pub fn fault(&self, peer: ShareIndex) {
        self.faults.get_or_create(&peer_label(peer)).inc();
    }

    /// An operator's link came up, on this route, or went down.
    pub fn peer_up(&self, peer: ShareIndex, route: Option<Route>) {
        self.peers_up.get_or_create(&peer_label(peer)).set(i64::from(route.is_some()));
        let relayed = route == Some(Route::Relayed);
        self.peers_relayed.get_or_create(&peer_label(peer)).set(i64::from(relayed));
    }

    /// A relay took this node's reservation, or lost it.
    pub fn relay_up(&self, up: bool) {
        self.relays_up.inc_by(if up { 1 } else { -1 });
    }

    /// A relay was asked, or handed a block.
    pub fn builder(&self, noticed: builder::Noticed<'_>) {
        match noticed {
            builder::Noticed::Bid { relay, fate } => {
                let labels = BidLabels { relay: relay.to_owned(), fate: fate_label(fate) };
                self.builder_bids.get_or_create(&labels).inc();
            }
            builder::Noticed::Published { taken } => {
                self.builder_blocks.get_or_create(&TakenLabels { taken }).inc();
            }
        }
    }

    /// Signing was stopped for a reason, or that reason is gone.
    pub fn signing_stopped(&self, reason: &Reason, stopped: bool) {
        let reason = match reason {
            Reason::Slashed(_) => "slashed",
            Reason::Doppelganger(_) => "doppelganger",
            Reason::SecondInstance => "second_instance",
            Reason::Clock => "clock",
        };
        self.signing_stopped.get_or_create(&ReasonLabels { reason }).set(i64::from(stopped));
    }

    /// How far the own clock is behind the beacon nodes'.
    pub fn clock_skew(&self, slots: i64) {
        self.clock_skew_slots.set(slots);
    }

    /// Validators have doppelgangers.
    pub fn doppelgangers(&self, validators: usize) {
        self.doppelgangers.inc_by(validators as u64);
    }

    /// Two processes share an operator's node key.
    pub fn two_processes(&self, peer: ShareIndex) {
        self.two_processes.get_or_create(&peer_label(peer)).inc();
    }

    /// The journal was found older than what was signed.
    pub fn journal_rolled_back(&self) {
        self.journal_rolled_back.inc();
    }

    /// A request was turned away.
    pub fn request_shed(&self) {
        self.requests_shed.inc();
    }

    /// A message of the validator client was dropped.
    pub fn message_dropped(&self) {
        self.messages_dropped.inc();
    }

    /// The validator client asked for something that is not served.
    pub fn unknown_route(&self) {
        self.unknown_routes.inc();
    }
}

fn peer_label(peer: ShareIndex) -> PeerLabels {
    PeerLabels { peer: u32::from(peer.get()) }
}

const fn fate_label(fate: Fate) -> &'static str {
    match fate {
        Fate::Best => "best",
        Fate::Outbid => "outbid",
        Fate::NoBid => "none",
        Fate::Late => "late",
        Fate::Failed => "failed",
        Fate::TooLow => "too_low",
        Fate::Unfit => "unfit",
        Fate::Forged => "forged",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use symbolon_core::Heard;
    use types::wire::{Instance, Kind};
    use types::{ClusterSize, Generation, Millis, Slot};

    fn operator(number: u8) -> ShareIndex {
        ShareIndex::new(number).unwrap()
    }

    /// Decided at 1000 ms; operators 1 and 2 sent both partials, operator 3 one of two, operator 4 none.
    fn account(kind: Kind) -> Account {
        let instance = Instance::new(Generation(0), Slot(4), kind);
        let size = ClusterSize::new_safe(4, 3).unwrap();
        let mut account = Account::new(instance, size, operator(1), Millis(12_000));
        account.due = 2;
        account.decided_at = Some(Millis(1_000));
        for (number, ms, count) in [(1, 1_100, 2), (2, 1_300, 2), (3, 1_250, 1)] {
            let heard = Heard { partial: Some((Millis(ms), count)), ..Heard::default() };
            account.operators.insert(operator(number), heard);
        }
        account
    }

    fn lines(metrics: &Metrics, of: &str) -> Vec<String> {
        let text = metrics.text();
        text.lines().filter(|line| line.starts_with(of)).map(str::to_owned).collect()
    }

    #[test]
    fn whose_partials_were_missing_is_counted_and_how_soon_the_others_came() {
        let metrics = Metrics::default();
        metrics.closed(&account(Kind::Attest));
        metrics.closed(&account(Kind::Attest));
        let mut missing = lines(&metrics, "symbolon_partials_missing_total");
        missing.sort();
        assert_eq!(
            missing,
            [
                "symbolon_partials_missing_total{peer=\"3\"} 2",
                "symbolon_partials_missing_total{peer=\"4\"} 2"
            ]
        );
        assert_eq!(
            lines(&metrics, "symbolon_partial_latency_seconds_sum{peer=\"2\"}"),
            ["symbolon_partial_latency_seconds_sum{peer=\"2\"} 0.6"]
        );
        assert!(lines(&metrics, "symbolon_partial_latency_seconds_sum{peer=\"4\"}").is_empty());
    }

    #[test]
    fn a_step_and_what_was_never_agreed_on_count_for_nobody() {
        let metrics = Metrics::default();
        metrics.closed(&account(Kind::Selection));
        metrics.closed(&Account { decided_at: None, ..account(Kind::Attest) });
        assert!(lines(&metrics, "symbolon_partials_missing_total").is_empty());
        assert!(lines(&metrics, "symbolon_partial_latency_seconds_sum").is_empty());
    }
}
