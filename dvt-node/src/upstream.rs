//! The beacon nodes as the validator API reads them.

use crate::validator_api::{ForwardRequest, ForwardResponse, Upstream, UpstreamError, ValidatorEntry};
use beacon::{ApiError, Beacon};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use types::duty::AttesterDuty;
use types::{Epoch, PublicKey, ValidatorIndex};

/// All beacon nodes of this operator.
#[derive(Clone, Debug)]
pub struct BeaconNodes(pub Beacon);

/// In the status codes of a gateway.
fn refusal(error: ApiError) -> UpstreamError {
    let message = error.to_string();
    let status = match error {
        ApiError::Status { code, .. } => code,
        ApiError::Timeout => 504,
        ApiError::NoNode | ApiError::Connect(_) => 503,
        ApiError::Body(_) | ApiError::TooLong { .. } => 502,
        ApiError::Request(_) | ApiError::Partly { .. } => 400,
    };
    UpstreamError { status, message }
}

impl Upstream for BeaconNodes {
    async fn validators(&self, keys: &[PublicKey]) -> Result<Vec<ValidatorEntry>, UpstreamError> {
        let found = self.0.validators(keys).await.map_err(refusal)?;
        let entry = |info: beacon::ValidatorInfo| ValidatorEntry { index: info.index, pubkey: info.pubkey };
        Ok(found.into_iter().map(entry).collect())
    }

    async fn attester_duties(
        &self,
        epoch: Epoch,
        indices: &[ValidatorIndex],
    ) -> Result<Vec<AttesterDuty>, UpstreamError> {
        self.0.attester_duties(epoch, indices).await.map_err(refusal)
    }

    async fn forward(&self, request: ForwardRequest) -> Result<ForwardResponse, UpstreamError> {
        let ForwardRequest { method, path_and_query, headers, body } = request;
        let request = beacon::ForwardRequest { method, path_and_query, headers, body };
        let beacon::ForwardResponse { status, headers, body } =
            self.0.forward(request).await.map_err(refusal)?;
        Ok(ForwardResponse { status, headers, body })
    }

    async fn forward_stream(
        &self,
        path_and_query: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, UpstreamError>>, UpstreamError> {
        let stream = self.0.forward_stream(path_and_query).await.map_err(refusal)?;
        Ok(stream.map(|chunk| chunk.map_err(refusal)).boxed())
    }
}
