//! What follows a record's beginning: inputs, what the machine answered, and why the record ends.

use super::coded::{Coded, as_ssz, fields, variants};
use sha2::{Digest as _, Sha256};
use std::fmt::{self, Write as _};
use symbolon_core::stop::Reason;
use symbolon_core::{
    Ask, Combined, DependentRoots, HalfAggregate, HalfAttestation, HalfSelection, HalfSyncMessage, Input,
    Output, RequestId,
};
use types::aggregate::SignedAggregate;
use types::approval::{
    Kept, KeptExit, KeptOf, KeptPartial, KeptStatement, RegistrationStatement, Standing, TakenExit,
};
use types::builder::SignedValidatorRegistrationV1;
use types::duty::{AttesterDuty, ProposerDuty, SyncDuty};
use types::wire::Item;
use types::{Millis, Root};

/// No words about one wish are longer, in bytes: a line of a terminal, and what the longest refusals say.
const WORDS_LEN_MAX: usize = 240;

/// One entry of a record.
#[derive(Debug)]
pub enum Entry {
    /// The machine is told something. Written before it is: what kills a node is the last thing in its record.
    Input {
        /// When, by the node's clock.
        at: Millis,
        /// What.
        input: Input,
    },
    /// What the machine has wished for since the last such entry.
    Trace(Trace),
    /// The last entry.
    End(End),
}

/// What a machine has wished for since it was last asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// In order.
    pub outputs: Vec<Seen>,
    /// Hash of all wishes since the record's beginning.
    pub hash: Root,
}

/// One wish, as a record keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// First bytes of the hash of all that it says.
    pub digest: [u8; 8],
    /// The gist of it.
    pub words: String,
}

/// Why a record ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The node was stopped.
    Stopped,
    /// The record is as long as it may be. The node went on.
    Full,
    /// The disk was too slow for it. The node went on.
    Behind,
    /// The machine, or the loop around it, panicked.
    Panicked,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopped => "the node was stopped",
            Self::Full => "the record was as long as it may be; the node went on without",
            Self::Behind => "the disk was too slow for it; the node went on without",
            Self::Panicked => "the node's loop panicked",
        })
    }
}

variants! { Entry, "entry" { 1 => Input { at, input }, 2 => Trace(trace), 3 => End(end) } }
variants! { End, "end" { 0 => Stopped, 1 => Full, 2 => Behind, 3 => Panicked } }

/// An [`Entry::Input`], of an input that is still to be used.
pub(super) fn put_input(at: Millis, input: &Input, to: &mut Vec<u8>) {
    to.push(1);
    at.put(to);
    input.put(to);
}

/// The hash of all wishes so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chain(Root);

impl Chain {
    /// Takes a wish: hashes its whole text, and keeps the gist.
    ///
    /// - `words`: what is kept of it for people.
    /// - Cost: some milliseconds for each megabyte of text; the largest wish is an epoch's of a thousand validators, some
    ///   hundred kilobytes.
    pub fn take(&mut self, output: &Output, words: String) -> Seen {
        let digest = text_hash(output);
        let mut hasher = Sha256::new();
        hasher.update(self.0.0);
        hasher.update(digest.0);
        self.0 = Root(hasher.finalize().into());
        let digest = *digest.0.first_chunk().expect("32 bytes begin with 8");
        Seen { digest, words: cut(words) }
    }

    /// The hash.
    pub const fn hash(&self) -> Root {
        self.0
    }
}

/// Cuts words to their limit, between two letters.
fn cut(mut words: String) -> String {
    words.truncate(words.floor_char_boundary(WORDS_LEN_MAX));
    words
}

/// SHA-256 of the text of a wish: all of its fields, but of values on their way only the lengths; those are in it by the
/// hashes that operators agree on.
fn text_hash(output: &Output) -> Root {
    struct Hashed(Sha256);
    impl fmt::Write for Hashed {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.update(text);
            Ok(())
        }
    }
    let mut hashed = Hashed(Sha256::new());
    write!(hashed, "{output:?}").expect("a hasher takes everything");
    Root(hashed.0.finalize().into())
}

fields! {
    Trace { outputs, hash }
    Seen { digest, words }
    DependentRoots { previous, current }
    Combined { signature, culprits }
    HalfAttestation { validator, data, half }
    HalfSyncMessage { validator, beacon_block_root, half }
    HalfSelection { item, half }
    HalfAggregate { item, signed }
    Item { validator, part }
    SignedAggregate { aggregator_index, aggregate, selection_proof, signature }
    KeptOf<KeptExit> { generation, operator, approvals }
    KeptOf<KeptStatement> { generation, operator, approvals }
    KeptStatement { statement, partials }
    Standing { newest, learned, previous }
}

as_ssz! {
    AttesterDuty, ProposerDuty, SyncDuty, RegistrationStatement, SignedValidatorRegistrationV1, KeptExit, KeptPartial,
    TakenExit,
}

impl Coded for RequestId {
    fn put(&self, to: &mut Vec<u8>) {
        self.0.put(to);
    }
    fn take(from: &mut super::coded::Reader<'_>) -> Result<Self, super::coded::Misread> {
        u64::take(from).map(Self)
    }
}

variants! { Reason, "reason to stop" {
    0 => Slashed(validators),
    1 => Doppelganger(validators),
    2 => SecondInstance,
    3 => Clock,
} }

variants! { Kept, "thing that is kept" {
    0 => Exits(approvals),
    1 => Statements(approvals),
    2 => Taken(exits),
    3 => Registered(standing),
} }

variants! { Ask, "question" {
    0 => Vote { slot },
    1 => Attestations { slot, halves },
    2 => Block { slot, randao_half },
    3 => SignedBlock { slot, root, half },
    4 => HeadRoot { slot },
    5 => SyncMessages { slot, halves },
    6 => Selections { kind, slot, halves },
    7 => Aggregate { kind, slot, place, subject },
    8 => SignedAggregates { kind, slot, halves },
    9 => Approvals,
    10 => Register { statement, halves },
    11 => Exit { validator, index, epoch, half },
} }

variants! { Input, "input" {
    0 => Tick,
    1 => Duties { epoch, attesters, proposers, sync },
    2 => Head { slot, root, dependent },
    3 => BeaconVote { slot, votes },
    4 => Aggregates { kind, slot, aggregates },
    5 => Block { slot, offer },
    6 => Contents { slot, root },
    7 => Header { root, known },
    8 => Finalized(checkpoint),
    9 => Recall(kept),
    10 => Peer(message),
    11 => Presence { peer, up },
    12 => Ask { request, ask },
    13 => Journaled { ticket, durable },
    14 => Signed { ticket, results },
    15 => Combined { ticket, results },
    16 => GroupVerified { ticket, valid },
    17 => Submitted { ticket, taken },
    18 => Born { boot },
    19 => Stop(reason),
    20 => Resume(reason),
    21 => Liveness { epoch, live },
} }
