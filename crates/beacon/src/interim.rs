//! Questions for aggregates.

use crate::client::Beacon;
use crate::error::ApiError;
use crate::json::Data;
use crate::node::{Node, Reply};
use serde_json::Value;
use types::{Fork, Root, Slot};

impl Beacon {
    /// A committee's aggregate.
    pub async fn aggregate_attestation(
        &self,
        fork: Fork,
        slot: Slot,
        data_root: Root,
        committee_index: u64,
    ) -> Result<(Fork, Value), ApiError> {
        let path = format!(
            "/eth/v2/validator/aggregate_attestation?attestation_data_root={data_root}&slot={slot}&committee_index={committee_index}"
        );
        let read = |node: &Node, reply: Reply| Ok(reply.json::<Data<Value>>(node)?.data);
        Ok((fork, self.0.ask_quick(self.0.get(path), read).await?))
    }

    /// A subcommittee's contribution.
    pub async fn sync_contribution(
        &self,
        slot: Slot,
        subcommittee_index: u64,
        block_root: Root,
    ) -> Result<Value, ApiError> {
        let path = format!(
            "/eth/v1/validator/sync_committee_contribution?slot={slot}&subcommittee_index={subcommittee_index}&beacon_block_root={block_root}"
        );
        let read = |node: &Node, reply: Reply| Ok(reply.json::<Data<Value>>(node)?.data);
        self.0.ask_quick(self.0.get(path), read).await
    }
}
