//! The pure mind of a duty: agree, guard, journal, collect. It sees only `types`.
//!
//! One machine, [`node::Node`], lives in each operator's daemon and in the simulator. Everything it cannot do
//! itself is an [`Output`]; everything that happens is an [`Input`]. In the order of one attestation:
//!
//! ```text
//! Tick -> FetchDuties -> Duties -> FetchVote -> BeaconVote -> Send(VOTE) -> Peer(VOTE)... -> decided
//!      -> Journal -> Journaled -> Reply to the validator client -> Ask::Attestations (its halves)
//!      -> Sign (consumes a Permit) -> Signed -> Send(DECIDED, PARTIAL) -> Peer(PARTIAL)...
//!      -> Combine -> Combined -> Submit -> Submitted -> Outcome
//! ```
//!
//! No curve, no clock, no socket, no disk, no thread, no random number: see `clippy.toml` and the manifest.

mod account;
pub mod agree;
pub mod approve;
mod blame;
mod boot;
pub mod collect;
mod doppelganger;
mod duty;
mod ending;
pub mod guard;
mod halves;
mod held;
pub mod journal;
pub mod mutants;
pub mod node;
mod outcome;
pub mod quarantine;
mod registry;
pub mod schedule;
pub mod stop;
mod unscheduled;
pub mod words;

pub use halves::{HalfAggregate, HalfAttestation, HalfSelection, HalfSyncMessage};

pub use account::{Account, Heard, Obstacle};
pub use blame::{Blame, Lack, Part, verdict};
pub use ending::Ending;
pub use outcome::Outcome;

use approve::{Approvals, NotApproved};
use journal::{Permit, Row};
use std::collections::BTreeSet;
use types::aggregate::{Aggregate, SignedAggregate};
use types::approval::{Kept, RegistrationStatement};
use types::block::ProposedBlock;
use types::duty::{AttesterDuty, ProposerDuty, SyncDuty};
use types::offer::Offer;
use types::operations::SignedVoluntaryExit;
use types::sync::SyncCommitteeMessage;
use types::wire::{Instance, Kind, Message, Signed, Verified};
use types::{
    AttestationData, BeaconVote, Checkpoint, Epoch, PublicKey, Root, ShareIndex, Signature, SigningRoot,
    Slot, ValidatorIndex, ValidatorNo,
};

/// Names a question of the validator client, so that its answer finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Names a wish whose result comes back later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Whom a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// Every operator, this one included: the shell hands the sealed message back as [`Input::Peer`] at once,
    /// before any other input.
    All,
    /// One other operator.
    One(ShareIndex),
}

/// What the validator client wants. Keys and committees are already mapped to validators by the shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The vote to attest with (`attestation_data`). Answered when it is agreed and journaled.
    Vote {
        /// For which slot.
        slot: Slot,
    },
    /// Attestations of one slot, signed with the client's halves.
    Attestations {
        /// Their slot.
        slot: Slot,
        /// At most one for each validator.
        halves: Vec<HalfAttestation>,
    },
    /// A block to sign (`blocks/{slot}`), with the half of the RANDAO reveal.
    Block {
        /// For which slot.
        slot: Slot,
        /// By the client's half of the proposer's share.
        randao_half: Signature,
    },
    /// A block signed with the client's half.
    SignedBlock {
        /// Its slot.
        slot: Slot,
        /// Hash tree root of its message.
        root: Root,
        /// By the client's half of the proposer's share.
        half: Signature,
    },
    /// The head that the cluster votes for in a slot (`blocks/head/root`): what sync committee members sign.
    HeadRoot {
        /// Which slot.
        slot: Slot,
    },
    /// Votes of sync committee members, signed with the client's halves.
    SyncMessages {
        /// Their slot.
        slot: Slot,
        /// At most one for each validator.
        halves: Vec<HalfSyncMessage>,
    },
    /// Selection proofs of a slot, by the client's halves: answered with the validators' own.
    Selections {
        /// [`Kind::Selection`] or [`Kind::SyncSelection`].
        kind: Kind,
        /// Their slot: this one, or one of up to two epochs ahead.
        slot: Slot,
        /// At most one for each item.
        halves: Vec<HalfSelection>,
    },
    /// An aggregate to sign (`aggregate_attestation`, `sync_committee_contribution`).
    Aggregate {
        /// [`Kind::Aggregate`] or [`Kind::Contribute`].
        kind: Kind,
        /// Its slot.
        slot: Slot,
        /// Which committee or subcommittee.
        place: u64,
        /// What it is about: root of the attestation data, or of the block.
        subject: Root,
    },
    /// Aggregates of one slot, signed with the client's halves.
    SignedAggregates {
        /// [`Kind::Aggregate`] or [`Kind::Contribute`].
        kind: Kind,
        /// Their slot.
        slot: Slot,
        /// Each with its aggregator.
        halves: Vec<HalfAggregate>,
    },
    /// What is approved, or waits for it.
    Approvals,
    /// A change of registrations, signed with the client's halves: this operator's approval.
    Register {
        /// Whose blocks shall pay whom.
        statement: RegistrationStatement,
        /// One for each of its validators, over the registration that follows.
        halves: Vec<Signature>,
    },
    /// A voluntary exit, signed with the client's half: this operator's approval.
    Exit {
        /// Who leaves.
        validator: ValidatorNo,
        /// The validator's index on the chain.
        index: ValidatorIndex,
        /// Not before this epoch.
        epoch: Epoch,
        /// By the client's half of the validator's share.
        half: Signature,
    },
}

/// What the validator client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The agreed vote.
    Vote(BeaconVote),
    /// The agreed block, in its blinded form.
    Block(ProposedBlock),
    /// The agreed head.
    HeadRoot(Root),
    /// Selection proofs of the validators, by position in the request; those that are missing did not combine in time,
    /// or were refused.
    Selections(Vec<(usize, Signature)>),
    /// The agreed aggregate.
    Aggregate(Aggregate),
    /// What is approved, or waits for it.
    Approvals(Box<Approvals>),
    /// Taken. For lists: every one of them.
    Accepted,
    /// Some parts of a request were refused, by position, the others taken. A block has one part.
    PartlyRefused(Vec<(usize, Refusal)>),
    /// Refused.
    Refused(Refusal),
}

/// Why the validator client's wish or signature is refused. Each names the broken rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It names a validator that is not due in this slot, or the same one twice.
    #[error("validator {0} is not due in this slot, or occurs twice")]
    NotDue(ValidatorNo),
    /// Nothing of ours is due there.
    #[error("no duty of this cluster's validators in slot {0}")]
    NoDuty(Slot),
    /// Nothing has been agreed on for that slot, so there is nothing this half could complete.
    #[error("nothing was agreed on for slot {0}: a half of a share alone is never completed")]
    NothingAgreed(Slot),
    /// What was signed is not what was agreed.
    #[error("signed {signed}, but the cluster agreed on {agreed}")]
    NotAgreed {
        /// Hash tree root of what was signed.
        signed: Root,
        /// Hash tree root of what was agreed.
        agreed: Root,
    },
    /// The journal forbids it.
    #[error("the slashing-protection journal forbids it: {0}")]
    Slashable(guard::Rule),
    /// The signature is not by the client's half of this share.
    #[error("the signature is not by this operator's validator-client key for validator {0}")]
    BadHalf(ValidatorNo),
    /// The journal could not be written.
    #[error("the slashing-protection journal could not be written: nothing is signed")]
    JournalFailed,
    /// It was promised before it came out that the journal lacks rows up to a slot.
    #[error(
        "the slashing-protection journal was older than what this operator had signed: nothing is signed up to slot {until}"
    )]
    RolledBack {
        /// The last slot for which nothing is signed.
        until: Slot,
    },
    /// The node is stopped.
    #[error("this node signs nothing: {0}")]
    Stopped(stop::Reason),
    /// The cluster did not agree in time.
    #[error("the cluster did not agree in time for slot {0}")]
    TooLate(Slot),
    /// Too few operators' clients asked for these selection proofs.
    #[error("too few operators asked for the selection proofs of slot {0} yet")]
    TooFewSelections(Slot),
    /// The client aggregates by a selection proof of its own half: it is not in distributed mode.
    #[error(
        "the validator client is not in distributed mode: its selection proof is of its own half of the share, so \
         its aggregates cannot be combined; start it with its flag for distributed validators"
    )]
    NotDistributed,
    /// The agreed set has no aggregate there.
    #[error("no aggregate of committee {place} was agreed on for slot {slot}")]
    NoAggregate {
        /// Which slot.
        slot: Slot,
        /// Which committee or subcommittee.
        place: u64,
    },
    /// The selection proof is not the validator's.
    #[error("the selection proof of validator {0} is not the one that the operators' halves combine to")]
    WrongProof(ValidatorNo),
    /// An exit under another index than the chain's.
    #[error("validator {validator} has index {known} on the chain, not {named}")]
    WrongIndex {
        /// Which validator.
        validator: ValidatorNo,
        /// What the chain says.
        known: ValidatorIndex,
        /// What the exit says.
        named: ValidatorIndex,
    },
    /// This operator cannot approve that.
    #[error(transparent)]
    NotApproved(#[from] NotApproved),
}

/// The blocks that duties stand on, as a beacon node tells them with a head: others mean other duties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DependentRoots {
    /// Attester duties of the head's epoch stand on it.
    pub previous: Root,
    /// Proposer duties of the head's epoch stand on it, and attester duties of the next.
    pub current: Root,
}

/// What can happen to a node.
#[derive(Debug)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// The answer to [`Output::FetchDuties`]; what is missing will be asked for again.
    Duties {
        /// Epoch asked for.
        epoch: Epoch,
        /// Attestations of the epoch, if the beacon nodes told them.
        attesters: Option<Vec<AttesterDuty>>,
        /// Blocks of the epoch, if the beacon nodes told them.
        proposers: Option<Vec<ProposerDuty>>,
        /// Sync committee members of the epoch, if the beacon nodes told them.
        sync: Option<Vec<SyncDuty>>,
    },
    /// The beacon node has a new head.
    Head {
        /// Its slot.
        slot: Slot,
        /// Its root.
        root: Root,
        /// What duties stand on, if the beacon node says.
        dependent: Option<DependentRoots>,
    },
    /// The answer to [`Output::FetchVote`].
    BeaconVote {
        /// Slot asked for.
        slot: Slot,
        /// What to attest: the best beacon node's first, then others that differ from it. Empty if none had one.
        votes: Vec<BeaconVote>,
    },
    /// The answer to [`Output::FetchAggregates`].
    Aggregates {
        /// Which kind was asked for.
        kind: Kind,
        /// Slot asked for.
        slot: Slot,
        /// Those that the beacon nodes had.
        aggregates: Vec<Aggregate>,
    },
    /// The answer to [`Output::FetchBlock`]; `None` if no beacon node made one.
    Block {
        /// Slot asked for.
        slot: Slot,
        /// The block, in its blinded form, with the relay's bid where a builder made the payload.
        offer: Option<Offer>,
    },
    /// The payload and blobs of a block are at hand here: from the own beacon node or from another operator.
    Contents {
        /// The block's slot.
        slot: Slot,
        /// The block.
        root: Root,
    },
    /// The answer to [`Output::FetchHeader`].
    Header {
        /// Root asked for.
        root: Root,
        /// Whether a beacon node knows this block.
        known: bool,
    },
    /// The beacon node's finalized checkpoint.
    Finalized(Checkpoint),
    /// What [`Output::Keep`] has left on the disk, and the ceremony's registrations: after a start and what stops the
    /// node, before anything of the chain or of operators.
    Recall(Kept),
    /// A message of an operator, this one included.
    Peer(Verified),
    /// A connection to an operator came up or went down.
    Presence {
        /// Whose.
        peer: ShareIndex,
        /// Whether it is up.
        up: bool,
    },
    /// The validator client wants something.
    Ask {
        /// To be named in the answer.
        request: RequestId,
        /// What it wants.
        ask: Ask,
    },
    /// Rows are durable, or could not be made so.
    Journaled {
        /// Of [`Output::Journal`].
        ticket: Ticket,
        /// Whether every row is on the disk.
        durable: bool,
    },
    /// Halves were checked and completed.
    Signed {
        /// Of [`Output::Sign`].
        ticket: Ticket,
        /// In the order of the jobs: a partial signature, or the permit back because the half was bad.
        results: Vec<Result<Signature, Permit>>,
    },
    /// Partial signatures were combined and checked.
    Combined {
        /// Of [`Output::Combine`].
        ticket: Ticket,
        /// In the order of the jobs.
        results: Vec<Combined>,
    },
    /// A group signature that somebody else combined was checked.
    GroupVerified {
        /// Of [`Output::VerifyGroup`].
        ticket: Ticket,
        /// Whether it is that key's.
        valid: bool,
    },
    /// The beacon nodes took or refused a submission.
    Submitted {
        /// Of [`Output::Submit`].
        ticket: Ticket,
        /// Whether at least one took it.
        taken: bool,
    },
    /// The id of this process, 32 bytes from the system's randomness; once. Before it nobody is asked which process
    /// speaks, nor told.
    Born {
        /// The id.
        boot: Root,
    },
    /// From now on nothing is signed. What has to outlive this process is durable already.
    Stop(stop::Reason),
    /// This reason to sign nothing is gone, for the validators that it names.
    Resume(stop::Reason),
    /// The answer to [`Output::FetchLiveness`].
    Liveness {
        /// Epoch asked for.
        epoch: Epoch,
        /// Validators that were live in it; `None` if no beacon node says.
        live: Option<BTreeSet<ValidatorNo>>,
    },
}

/// One half to check and complete.
#[derive(Debug)]
pub struct SignJob {
    /// The right to sign: validator and root.
    pub permit: Permit,
    /// The validator client's half signature over that root.
    pub half: Signature,
}

/// One validator's partial signatures to combine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CombineJob {
    /// Whose.
    pub validator: ValidatorNo,
    /// Over what.
    pub root: SigningRoot,
    /// At least `t`, distinct operators, unverified, in any order.
    pub partials: Vec<(ShareIndex, Signature)>,
}

/// What came of a [`CombineJob`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Combined {
    /// The validator's signature, if `t` of the partials were good.
    pub signature: Option<Signature>,
    /// Operators whose partials do not verify.
    pub culprits: Vec<ShareIndex>,
}

/// What goes to the beacon nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Submission {
    /// Attestations of a slot.
    Attestations(Vec<SignedAttestation>),
    /// Votes of sync committee members.
    SyncMessages(Vec<SyncCommitteeMessage>),
    /// Aggregates, or contributions, of a slot.
    Aggregates(Vec<SignedAggregate>),
    /// An exit.
    Exit(SignedVoluntaryExit),
    /// A block.
    Block {
        /// The block, in its blinded form, with the relay's bid where a builder made the payload.
        offer: Box<Offer>,
        /// By the validator.
        signature: Signature,
    },
}

/// An attestation with the validator's signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedAttestation {
    /// Where it belongs.
    pub duty: AttesterDuty,
    /// What was signed.
    pub data: AttestationData,
    /// By the validator.
    pub signature: Signature,
}

/// What a node can wish for.
#[derive(Debug)]
pub enum Output {
    /// Ask the beacon nodes for an epoch's duties.
    FetchDuties {
        /// Which epoch.
        epoch: Epoch,
    },
    /// Ask the beacon nodes what to attest in a slot.
    FetchVote {
        /// Which slot.
        slot: Slot,
    },
    /// Ask the beacon nodes for a block.
    FetchBlock {
        /// Which slot.
        slot: Slot,
        /// The group's RANDAO reveal.
        randao: Signature,
    },
    /// Ask the beacon nodes for aggregates.
    FetchAggregates {
        /// [`Kind::Aggregate`] or [`Kind::Contribute`].
        kind: Kind,
        /// Which slot.
        slot: Slot,
        /// Committee or subcommittee, and what it is about.
        wanted: Vec<(u64, Root)>,
    },
    /// Ask the beacon nodes to follow a committee whose aggregator is ours.
    Subscribe {
        /// The aggregator's duty.
        duty: AttesterDuty,
    },
    /// Send the payload and blobs of a block behind all other messages: the own block's to every other operator, and those
    /// at hand to one that asks for them.
    SendContents {
        /// To whom.
        to: To,
        /// Which agreement's.
        instance: Instance,
        /// The block.
        root: Root,
    },
    /// Ask the beacon nodes whether they know a block.
    FetchHeader {
        /// Its root.
        root: Root,
    },
    /// Seal (sign) and send a message.
    Send {
        /// To whom.
        to: To,
        /// Own statements in it are not signed yet: [`types::wire::seal`].
        message: Message,
    },
    /// Write rows and make them durable, with one sync.
    Journal {
        /// To be named in the result.
        ticket: Ticket,
        /// What to write.
        rows: Vec<Row>,
    },
    /// Check the halves and add the node's.
    Sign {
        /// To be named in the result.
        ticket: Ticket,
        /// What to sign.
        jobs: Vec<SignJob>,
    },
    /// Combine partial signatures and check the results.
    Combine {
        /// To be named in the result.
        ticket: Ticket,
        /// What to combine.
        jobs: Vec<CombineJob>,
    },
    /// Check a signature of a validator that somebody else combined, or of a relay.
    VerifyGroup {
        /// To be named in the result.
        ticket: Ticket,
        /// Under which key.
        key: PublicKey,
        /// Over what.
        root: SigningRoot,
        /// The signature.
        signature: Signature,
    },
    /// Send to all beacon nodes.
    Submit {
        /// To be named in the result.
        ticket: Ticket,
        /// What.
        submission: Submission,
    },
    /// Answer the validator client.
    Reply {
        /// Its question.
        request: RequestId,
        /// The answer.
        answer: Answer,
    },
    /// An operator said two different things in one place. Keep both, name it.
    Evidence {
        /// Who.
        author: ShareIndex,
        /// What it said first.
        first: Signed,
        /// What it said then.
        second: Signed,
    },
    /// An operator's mistake that is no proof against it: a bad partial, a bad value.
    Fault {
        /// Who.
        peer: ShareIndex,
        /// Where.
        instance: Instance,
        /// What.
        fault: Fault,
    },
    /// How a duty ended.
    Outcome(Outcome),
    /// Everything about a duty that is forgotten now. Once for each duty and step that was due, an epoch after its slot.
    Closed(Account),
    /// Ask the beacon nodes which of our validators were live in an epoch.
    FetchLiveness {
        /// Which epoch.
        epoch: Epoch,
    },
    /// Validators that were live in an epoch though nobody in this cluster signed for them. If the operator wants
    /// it, make that durable and answer with [`Input::Stop`].
    Doppelgangers {
        /// Which epoch.
        epoch: Epoch,
        /// Whose keys are in use elsewhere.
        validators: BTreeSet<ValidatorNo>,
    },
    /// Another process runs with this node's key. The machine has stopped already; make that durable.
    SecondInstance {
        /// Who showed the proof.
        shown_by: ShareIndex,
    },
    /// An operator has shown a signature of this node that the journal has no row for: it was rolled back, or somebody else
    /// holds the node key. The rows that make up for it go to [`Output::Journal`]; this is for the node's operator.
    RolledBack {
        /// Who showed it.
        shown_by: ShareIndex,
        /// This node's statement.
        proof: Signed,
        /// Up to here nothing is signed.
        until: Slot,
    },
    /// An operator's node key is used by two live processes.
    TwoProcesses {
        /// Whose.
        peer: ShareIndex,
        /// An answer of the one.
        first: Signed,
        /// An answer of the other, which had answered before that too.
        second: Signed,
    },
    /// Keep this for the next start. Nothing waits for it: what is lost is said again by others, or by this operator.
    /// Registrations that count go to the beacon nodes and relays too.
    Keep(Kept),
}

/// An operator's mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Its partial signature does not verify.
    BadPartial(ValidatorNo),
    /// Its value breaks a hard check.
    BadValue,
    /// Its certificate, decision, `NEWROUND` or proposal does not prove what it has to.
    Unjustified,
}
