//! New heads, as the beacon nodes announce them.

use crate::client::{Beacon, Inner};
use crate::error::ApiError;
use crate::health::Aside;
use crate::json::HeadEvent;
use crate::limits::HEADS_LEN_MAX;
use crate::node::{Call, Node};
use crate::sse::{Event, Parser};
use crate::views::Views;
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
    /// Block that the duties of its epoch stand on, if the node says it.
    pub previous_duty_dependent_root: Option<Root>,
    /// Block that the duties of the next epoch stand on, if the node says it.
    pub current_duty_dependent_root: Option<Root>,
    /// Whether its payload is not verified yet: nobody may vote for it.
    pub execution_optimistic: bool,
}

/// What the readers of all nodes share: the way to the listener, and what it has heard already.
struct Ears {
    heads: mpsc::Sender<Head>,
    /// The last heads told, oldest first; at most [`HEADS_LEN_MAX`].
    told: Mutex<VecDeque<(Slot, Root)>>,
}

impl Beacon {
    /// Every new head of every node, each block once: the first node to have it announces it.
    ///
    /// - Runs one task a node on the current runtime, until the receiver is dropped. A stream that ends, breaks or is
    ///   silent for too long is opened anew after a back-off, longer each time if it brought nothing.
    /// - A listener that is [`HEADS_LEN_MAX`] heads behind loses the newest.
    /// - What nodes of another network announce is not told, see [`Beacon::check_network`].
    /// - A head that is not verified, or of a node that is set aside, is told only while no other node that is well
    ///   listens to the chain: that one's word counts, and it will say the same if it is so.
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
    /// Tells a head that has not been told. Who hears of it finds no older views of its slot.
    fn tell(&self, head: Head, views: &Views) {
        {
            // Plain values: a panic elsewhere leaves no half-written state.
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            if told.contains(&(head.slot, head.block)) {
                return;
            }
            if told.len() == HEADS_LEN_MAX {
                told.pop_front();
            }
            told.push_back((head.slot, head.block));
        }
        views.clear();
        if self.heads.try_send(head).is_err() {
            tracing::debug!(slot = head.slot.0, "a head was told to nobody");
        }
    }
}

impl Inner {
    /// Whether a node's word on a head counts.
    fn counts(&self, node: &Arc<Node>, head: &Head) -> bool {
        let now = self.now();
        let aside = node.health().aside(now);
        match aside {
            // It may have been found out while its stream was open.
            Some(Aside::Foreign) => false,
            None if !head.execution_optimistic => true,
            _ => {
                let mut others = self.nodes.iter().filter(|other| !Arc::ptr_eq(other, node));
                !others.any(|other| other.health().announces(now))
            }
        }
    }
}

/// Reads a node's streams one after the other until nobody listens.
async fn follow(inner: Arc<Inner>, node: Arc<Node>, ears: Arc<Ears>) {
    let mut failures = 0;
    loop {
        let mut heard = false;
        let outcome = tokio::select! {
            outcome = listen(&inner, &node, &ears, &mut heard) => Some(outcome),
            () = ears.heads.closed() => None,
        };
        node.health().set_streams(false);
        let Some(outcome) = outcome else { return };
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
async fn listen(inner: &Inner, node: &Arc<Node>, ears: &Ears, heard: &mut bool) -> Result<(), ApiError> {
    let call = inner.get("/eth/v1/events?topics=head");
    let call = Call { headers: HeaderMap::from_iter([(ACCEPT, EVENT_STREAM)]), ..call };
    let mut response = node.open(&call).await?;
    node.health().set_streams(true);
    let mut parser = Parser::default();
    let idle = inner.limits.stream_idle(&inner.spec);
    loop {
        let chunk = tokio::time::timeout(idle, node.chunk(&mut response)).await;
        let Some(chunk) = chunk.map_err(|_| ApiError::Timeout)?? else { return Ok(()) };
        for event in parser.feed(&chunk).map_err(|error| node.wrong(&error.to_string()))? {
            if let Some(head) = read_head(node, &event) {
                *heard = true;
                if inner.counts(node, &head) {
                    ears.tell(head, &inner.views);
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
        Ok(event) => Some(Head {
            slot: event.slot,
            block: event.block,
            previous_duty_dependent_root: event.previous_duty_dependent_root,
            current_duty_dependent_root: event.current_duty_dependent_root,
            execution_optimistic: event.execution_optimistic,
        }),
        Err(error) => {
            let error = node.wrong(&error.to_string());
            tracing::debug!(node = node.label(), %error, "an event of topic head is read over");
            None
        }
    }
}
