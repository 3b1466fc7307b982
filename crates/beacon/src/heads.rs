//! New heads, as the beacon nodes announce them.

use crate::client::{Beacon, Inner};
use crate::error::ApiError;
use crate::json::HeadEvent;
use crate::limits::HEADS_LEN_MAX;
use crate::node::{Call, Node};
use crate::sse::{Event, Parser};
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use types::{Root, Slot};

pub(crate) const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

/// A block that became a beacon node's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Head {
    /// Its slot.
    pub slot: Slot,
    /// The block.
    pub block: Root,
}

/// What the readers of all nodes share: the way to the listener, and what it has heard already.
struct Ears {
    heads: mpsc::Sender<Head>,
    /// The last heads told, oldest first; at most [`HEADS_LEN_MAX`].
    told: Mutex<VecDeque<Head>>,
}

impl Beacon {
    /// Every new head of every node, each block once: the first node to have it announces it.
    ///
    /// - Runs one task a node on the current runtime, until the receiver is dropped. A stream that ends, breaks or is
    ///   silent for too long is opened anew after a back-off, longer each time if it brought nothing.
    /// - A listener that is [`HEADS_LEN_MAX`] heads behind loses the newest.
    /// - What nodes of another network announce is not told, see [`Beacon::check_network`].
    /// - A node that returns to a block it has announced before says nothing new, and nothing is told.
    /// - Panics outside of a tokio runtime.
    pub fn heads(&self) -> mpsc::Receiver<Head> {
        let (heads, listener) = mpsc::channel(HEADS_LEN_MAX);
        let ears = Arc::new(Ears { heads, told: Mutex::new(VecDeque::new()) });
        for node in &self.0.nodes {
            tokio::spawn(follow(Arc::clone(&self.0), Arc::clone(node), Arc::clone(&ears)));
        }
        listener
    }
}

impl Ears {
    /// Tells a head that has not been told.
    fn tell(&self, head: Head) {
        {
            // Plain values: a panic elsewhere leaves no half-written state.
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            if told.contains(&head) {
                return;
            }
            if told.len() == HEADS_LEN_MAX {
                told.pop_front();
            }
            told.push_back(head);
        }
        if self.heads.try_send(head).is_err() {
            tracing::debug!(slot = head.slot.0, "a head was told to nobody");
        }
    }
}

/// Reads a node's streams one after the other until nobody listens.
async fn follow(inner: Arc<Inner>, node: Arc<Node>, ears: Arc<Ears>) {
    let mut failures = 0;
    loop {
        let mut heard = false;
        let outcome = tokio::select! {
            outcome = listen(&inner, &node, &ears, &mut heard) => outcome,
            () = ears.heads.closed() => return,
        };
        failures = if heard { 1 } else { failures + 1 };
        let wait = Duration::from_millis(inner.limits.back_off_ms(failures));
        match outcome {
            Ok(()) => tracing::debug!(node = node.label(), ?wait, "the stream of heads ended"),
            Err(error) => tracing::debug!(node = node.label(), ?wait, %error, "the stream of heads broke"),
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = ears.heads.closed() => return,
        }
    }
}

/// Reads one stream to its end. `heard`: whether it brought a head.
async fn listen(inner: &Inner, node: &Node, ears: &Ears, heard: &mut bool) -> Result<(), ApiError> {
    let call = inner.get("/eth/v1/events?topics=head");
    let call = Call { headers: HeaderMap::from_iter([(ACCEPT, EVENT_STREAM)]), ..call };
    let mut response = node.open(&call).await?;
    let mut parser = Parser::default();
    let idle = inner.limits.stream_idle(&inner.spec);
    loop {
        let chunk = tokio::time::timeout(idle, node.chunk(&mut response)).await;
        let Some(chunk) = chunk.map_err(|_| ApiError::Timeout)?? else { return Ok(()) };
        for event in parser.feed(&chunk).map_err(|error| node.wrong(&error.to_string()))? {
            if let Some(head) = read_head(node, &event) {
                *heard = true;
                // It may have been found out while its stream was open.
                if !node.health().is_foreign() {
                    ears.tell(head);
                }
            }
        }
    }
}

/// The head in an event; `None` for other topics, and for what is not the shape.
fn read_head(node: &Node, event: &Event) -> Option<Head> {
    if event.name != "head" {
        return None;
    }
    match serde_json::from_str::<HeadEvent>(&event.data) {
        Ok(HeadEvent { slot, block, .. }) => Some(Head { slot, block }),
        Err(error) => {
            let error = node.wrong(&error.to_string());
            tracing::debug!(node = node.label(), %error, "an event of topic head is read over");
            None
        }
    }
}
