//! What is said in the log, and how often.

use crate::objects::{aggregated, contributed};
use crate::world::{World, index, world};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use symbolon_core::{Answer, Refusal};
use tracing::{Event, Level, Metadata, Subscriber, span};

/// Counts warnings.
#[derive(Clone, Default)]
struct Log(Arc<AtomicUsize>);

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// A client outside distributed mode does its duties of a slot, and keeps working.
async fn aggregate(world: &World) {
    for _ in 0..3 {
        world.answer(Answer::Refused(Refusal::NotDistributed));
    }
    let root = types::Root::ZERO;
    let query = format!("attestation_data_root={root}&slot=65&committee_index=0");
    world.get(&format!("/eth/v2/validator/aggregate_attestation?{query}")).await.ok();
    world.post("/eth/v2/validator/aggregate_and_proofs", json!([aggregated(index(0), 0)])).await.taken();
    world.post("/eth/v1/validator/contribution_and_proofs", json!([contributed(index(0), 0)])).await.taken();
}

#[tokio::test]
async fn a_client_outside_distributed_mode_is_said_once_in_the_log() {
    let log = Log::default();
    let _here = tracing::subscriber::set_default(log.clone());
    // Whoever comes first to a line of the log decides for all threads whether it is of interest, and another test has no
    // subscriber. Once it was passed, it is asked anew here.
    aggregate(&world()).await;
    tracing::callsite::rebuild_interest_cache();
    log.0.store(0, Ordering::Relaxed);
    let world = world();
    world.post("/eth/v2/validator/aggregate_and_proofs", json!([aggregated(index(0), 0)])).await.taken();
    assert_eq!(log.0.load(Ordering::Relaxed), 0, "nothing was dropped");
    for _ in 0..3 {
        aggregate(&world).await;
    }
    assert_eq!(log.0.load(Ordering::Relaxed), 1);
}
