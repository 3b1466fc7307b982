//! Questions about the chain's past whose answers the caller reads itself: no duty waits for them.

use crate::client::{Beacon, Inner, JSON};
use crate::error::ApiError;
use crate::node::{Call, Node, Reply};
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use std::future;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Chunks of a long answer that wait for who reads it: some hundred kilobytes.
const CHUNKS_WAITING: usize = 16;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// From `/eth/` on.
    pub path_and_query: String,
    /// JSON to `POST`; without it the question is a `GET`.
    pub body: Option<String>,
    /// Most bytes of a good answer.
    pub len_max: usize,
    /// For everything from connecting to the last byte, at one node.
    pub wait: Duration,
}

impl Beacon {
    /// Asks one node after the other, until one gives an answer that `read` makes something of.
    ///
    /// - `read`: from the answer's bytes; an error names the broken rule, and the next node is asked.
    /// - A second node is asked only when the first has failed: this work costs a node much, and nobody waits.
    /// - Errors: `Status` of 404 only if a node says so and none answers well; else as all questions.
    pub async fn look<T>(
        &self,
        question: &Question,
        read: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<T, ApiError> {
        let read = |node: Arc<Node>, reply: Reply| {
            future::ready(read(&reply.body).map_err(|broken| node.wrong(&broken)))
        };
        self.0.ask(self.0.to_look(question), read).await
    }

    /// [`Beacon::look`] for answers that are too long to be kept: `read` gets the bytes as they come, on a thread of its
    /// own.
    ///
    /// - Errors: as [`Beacon::look`]; an answer that breaks in the middle is the node's failure, whatever `read` said of it.
    pub async fn look_long<T, R>(&self, question: &Question, read: R) -> Result<T, ApiError>
    where
        T: Send + 'static,
        R: Fn(&mut dyn Read) -> Result<T, String> + Clone + Send + 'static,
    {
        let call = self.0.to_look(question);
        let one = |node: Arc<Node>| {
            let read = read.clone();
            let (call, wait) = (&call, question.wait);
            async move {
                let answer = read_long(&node, call, read);
                tokio::time::timeout(wait, answer).await.unwrap_or(Err(ApiError::Timeout))
            }
        };
        self.0.ask_each(&call, one).await
    }
}

/// Lets `read` read an answer while it comes.
async fn read_long<T: Send + 'static>(
    node: &Node,
    call: &Call,
    read: impl FnOnce(&mut dyn Read) -> Result<T, String> + Send + 'static,
) -> Result<T, ApiError> {
    let mut response = node.open(call).await?;
    let (sender, receiver) = mpsc::channel(CHUNKS_WAITING);
    let reading = tokio::task::spawn_blocking(move || read(&mut Chunks { receiver, chunk: Bytes::new() }));
    let mut left = call.len_max;
    let mut broken = None;
    loop {
        match node.chunk(&mut response).await {
            Ok(Some(chunk)) if chunk.len() > left => broken = Some(ApiError::TooLong { max: call.len_max }),
            Ok(Some(chunk)) => {
                left -= chunk.len();
                // Who reads has stopped: it says why below.
                if sender.send(chunk).await.is_ok() {
                    continue;
                }
            }
            Ok(None) => {}
            Err(error) => broken = Some(error),
        }
        break;
    }
    drop(sender);
    let read = reading.await.map_err(|_| node.wrong("what reads it has stopped"))?;
    match broken {
        Some(error) => Err(error),
        None => read.map_err(|rule| node.wrong(&rule)),
    }
}

/// Chunks of an answer, as something to read from. It ends where they end, for whatever reason.
struct Chunks {
    receiver: mpsc::Receiver<Bytes>,
    chunk: Bytes,
}

impl Read for Chunks {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.receiver.blocking_recv() {
                Some(chunk) => self.chunk = chunk,
                None => return Ok(0),
            }
        }
        let len = into.len().min(self.chunk.len());
        into[..len].copy_from_slice(&self.chunk.split_to(len));
        Ok(len)
    }
}

impl Inner {
    fn to_look(&self, question: &Question) -> Call {
        let Question { path_and_query, body, len_max, wait } = question;
        let mut call =
            Call { wait: *wait, hedge: *wait, len_max: *len_max, ..self.get(path_and_query.clone()) };
        if let Some(body) = body {
            call.method = Method::POST;
            call.headers.extend(HeaderMap::from_iter([(CONTENT_TYPE, JSON)]));
            call.body = Some(Bytes::from(body.clone()));
        }
        call
    }
}
