//! How long to wait for servers, and how much of what they say is read.

use std::time::Duration;

/// To connect. These servers are near, and nobody's duty waits for them.
pub const CONNECT_WAIT: Duration = Duration::from_secs(10);

/// For the whole of a question that costs the server a look-up, or the run of a contract: execution nodes stop those
/// after seconds.
pub const ASK_WAIT: Duration = Duration::from_secs(30);

/// For a question about thousands of blocks, which a node looks through one by one.
pub const LOOK_WAIT: Duration = Duration::from_secs(120);

/// Added for each keystore of a request. Opening one takes a key derivation of a second or so, on a slow host several;
/// some clients open one after the other, and then write it to disk.
pub const KEYSTORE_WAIT: Duration = Duration::from_secs(10);

/// Most keystores of one request: some 50 KiB, below every client's limit on bodies, and a minute of key derivations
/// that a proxy in between may still sit through.
pub const BATCH_LEN_MAX: usize = 50;

/// Most bytes of a keymanager's list. An entry takes some 200 bytes, so some 80,000 keys fit.
pub const LIST_LEN_MAX: usize = 16 << 20;

/// Most bytes of the answer to a batch: a status each, and where it failed a message, with a stack trace at worst.
pub const PUSHED_LEN_MAX: usize = 1 << 20;

/// Most bytes of a JSON-RPC answer. Those asked for take a hundred; what a contract returns instead is its own idea.
pub const RPC_LEN_MAX: usize = 256 << 10;

/// Most registrations of one request to a relay: some 300 KiB. Relays check a signature for each before they answer.
pub const REGISTRATIONS_LEN_MAX: usize = 500;

/// Most bytes of a relay's bid: hex and the names of fields make JSON three times as long as SSZ.
pub const BID_ANSWER_LEN_MAX: usize = 3 * types::bid::BID_LEN_MAX;

/// Most bytes of what a relay reveals: a block of 2.7 MB with dozens of blobs of 128 KiB, twice that as hex.
pub const REVEALED_LEN_MAX: usize = 64 << 20;

/// Most bytes of an answer that has nothing to say but yes.
pub const YES_LEN_MAX: usize = 64 << 10;

/// Most bytes that are read of an answer that says no.
pub const REFUSAL_LEN_MAX: usize = 64 << 10;

/// Most characters of a server's own words in our errors: a line in a log.
pub const MESSAGE_LEN_MAX: usize = 512;

/// Most bytes of what the operator's own node says: 10,000 registrations are some 6 MB in JSON.
pub const NODE_LEN_MAX: usize = 16 << 20;

/// Most bytes of a board's notice: the definition of 2,000 validators is some 500 KiB as a text in JSON.
pub const NOTICE_LEN_MAX: usize = 4 << 20;

/// For a lock to be sent, verified and answered: one of 2,000 validators is 4.5 MB, and takes a coordinator seconds.
pub const DELIVER_WAIT: Duration = Duration::from_secs(120);

/// Most bytes of what a pool says to a lock: all keys of 2,000 validators with their deposits and shares are some 2 MB.
pub const DELIVERED_LEN_MAX: usize = 8 << 20;
