//! What Prometheus sees. Labels are bounded: kinds, endings and operators' numbers only.

use crate::builder::{self, Fate};
use net::Route;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::fmt;
use symbolon_core::stop::Reason;
use symbolon_core::{Ending, Outcome};
use types::ShareIndex;

/// Upper bounds of latency buckets, in seconds: from a local network to half a slot.
const LATENCY_BUCKETS: [f64; 12] = [0.01, 0.02, 0.04, 0.06, 0.08, 0.12, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    kind: &'static str,
    ending: EndingLabel,
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

/// [`Ending`] in the words of the label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
enum EndingLabel {
    Done,
    Partly,
    NoValue,
    NotAgreed,
    Refused,
    NotDistributed,
    ClientSilent,
    TooFewPartials,
    NotTaken,
}

impl From<Ending> for EndingLabel {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Done => Self::Done,
            Ending::Partly => Self::Partly,
            Ending::NoValue => Self::NoValue,
            Ending::NotAgreed => Self::NotAgreed,
            Ending::Refused => Self::Refused,
            Ending::NotDistributed => Self::NotDistributed,
            Ending::ClientSilent => Self::ClientSilent,
            Ending::TooFewPartials => Self::TooFewPartials,
            Ending::NotTaken => Self::NotTaken,
        }
    }
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
    unknown_routes: Counter,
    requests_shed: Counter,
    messages_dropped: Counter,
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
            unknown_routes: Counter::default(),
            requests_shed: Counter::default(),
            messages_dropped: Counter::default(),
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
        registry.register_with_unit(
            "duty_latency",
            help,
            prometheus_client::registry::Unit::Seconds,
            metrics.latency.clone(),
        );
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
        let ending = outcome.ending.into();
        self.duties.get_or_create(&OutcomeLabels { kind, ending }).inc();
        self.validators_due.get_or_create(&KindLabels { kind }).inc_by(outcome.due as u64);
        self.validators_done.get_or_create(&KindLabels { kind }).inc_by(outcome.done as u64);
        if let Some(latency_ms) = outcome.latency_ms {
            self.latency.get_or_create(&KindLabels { kind }).observe(latency_ms as f64 / 1000.0);
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
