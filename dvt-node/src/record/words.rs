//! Inputs and wishes in a line each, as the jar's transcripts have them. What a transcript shows of other operators is
//! here what this one has heard of them.

use symbolon_core::words::describe;
use symbolon_core::{Answer, Ask, Input, Output, Submission, To};
use types::aggregate::AggregateShape;
use types::approval::Kept;
use types::wire::Kind;
use types::{Root, ShareIndex, Slot};

fn short(root: &Root) -> String {
    root.to_string()[2..10].to_owned()
}

/// What a node has wished for.
pub(super) fn of_output(output: &Output) -> String {
    match output {
        Output::Send { to, message } => describe(message, *to),
        Output::Submit { submission, .. } => of_submission(submission),
        Output::Reply { answer, .. } => of_answer(answer),
        Output::Journal { rows, .. } => {
            let slot = rows.first().map(|row| row.slot).unwrap_or_default();
            format!("promises {} rows to its journal, of slot {slot} first", rows.len())
        }
        Output::Sign { jobs, .. } => format!("has {} halves checked and completed", jobs.len()),
        Output::Combine { jobs, .. } => {
            format!("has the partial signatures of {} validators combined", jobs.len())
        }
        Output::VerifyGroup { root, .. } => format!("has a signature over {} checked", short(&root.root())),
        Output::SendContents { to: To::All, instance, root } => {
            format!("{instance}: sends the contents of {}", short(root))
        }
        Output::SendContents { to: To::One(peer), instance, root } => {
            format!("{instance}: sends the contents of {} to #{peer}", short(root))
        }
        Output::Evidence { author, .. } => format!("has evidence against #{author}"),
        Output::Fault { peer, fault, .. } => format!("blames #{peer}: {fault:?}"),
        Output::Outcome(outcome) => format!("{}: {:?}", outcome.instance, outcome.ending),
        Output::Closed(account) => {
            format!("{}: closes with {} of {}", account.instance, account.done, account.due)
        }
        Output::Doppelgangers { epoch, validators } => {
            format!("has seen {} validators sign elsewhere in epoch {epoch}", validators.len())
        }
        Output::SecondInstance { shown_by } => format!("is shown its second process by #{shown_by}"),
        Output::RolledBack { shown_by, until, .. } => {
            format!("is shown by #{shown_by} that its journal is too old: silent up to {until}")
        }
        Output::TwoProcesses { peer, .. } => format!("has seen two processes of #{peer}"),
        Output::Keep(kept) => format!("keeps {}", of_kept(kept)),
        Output::FetchDuties { epoch } => format!("asks its beacon nodes for the duties of epoch {epoch}"),
        Output::FetchVote { slot } => {
            format!("{}: asks its beacon nodes what to vote for", at(Kind::Attest, *slot))
        }
        Output::FetchBlock { slot, .. } => {
            format!("{}: asks its beacon nodes for a block", at(Kind::Propose, *slot))
        }
        Output::FetchAggregates { kind, slot, wanted } => {
            format!("{}: asks its beacon nodes for {} aggregates", at(*kind, *slot), wanted.len())
        }
        Output::Subscribe { duty } => {
            format!("{}: follows committee {}", at(Kind::Aggregate, duty.slot), duty.committee_index)
        }
        Output::FetchHeader { root } => format!("asks its beacon nodes whether they know {}", short(root)),
        Output::FetchLiveness { epoch } => format!("asks its beacon nodes who was live in epoch {epoch}"),
    }
}

/// As an instance shows itself.
fn at(kind: Kind, slot: Slot) -> String {
    format!("{kind}@{slot}")
}

fn of_submission(submission: &Submission) -> String {
    let (kind, slot) = match submission {
        Submission::Attestations(list) => (Kind::Attest, list.first().map(|one| one.data.slot)),
        Submission::SyncMessages(list) => (Kind::SyncMessage, list.first().map(|one| one.slot)),
        Submission::Aggregates(list) => match list.first().map(|one| &one.aggregate) {
            Some(one) if matches!(one.shape, AggregateShape::Contribution { .. }) => {
                (Kind::Contribute, Some(one.slot))
            }
            one => (Kind::Aggregate, one.map(|one| one.slot)),
        },
        Submission::Exit(exit) => return format!("submits an exit from epoch {} on", exit.message.epoch),
        Submission::Block { offer, .. } => {
            return format!("{}: submits the block", at(Kind::Propose, offer.block().slot));
        }
    };
    format!("{}: submits the signature", at(kind, slot.unwrap_or_default()))
}

fn of_answer(answer: &Answer) -> String {
    let what = match answer {
        Answer::Refused(refusal) => return format!("refuses its client: {refusal}"),
        Answer::PartlyRefused(refusals) => match refusals.first() {
            Some((_, refusal)) => format!("{} parts are refused, the first: {refusal}", refusals.len()),
            None => "no part is refused".to_owned(),
        },
        Answer::Vote(vote) => format!("the vote {}", short(&Root::of(vote))),
        Answer::Block(block) => format!("the block {}", short(&block.root)),
        Answer::HeadRoot(root) => format!("the head {}", short(root)),
        Answer::Selections(proofs) => format!("{} selection proofs", proofs.len()),
        Answer::Aggregate(aggregate) => format!("an aggregate of place {}", aggregate.place),
        Answer::Approvals(approvals) => format!("{} exits that are approved", approvals.exits.len()),
        Answer::Accepted => "accepted".to_owned(),
    };
    format!("answers its client: {what}")
}

fn of_kept(kept: &Kept) -> String {
    match kept {
        Kept::Exits(of) => format!("{} exits that #{} approves", of.approvals.len(), of.operator),
        Kept::Statements(of) => format!("{} statements that #{} approves", of.approvals.len(), of.operator),
        Kept::Taken(exits) => format!("{} exits that are taken", exits.len()),
        Kept::Registered(standing) => format!("{} registrations that count", standing.len()),
    }
}

/// What a node was told, and by which operator: another one for its messages, this one for all else.
pub(super) fn of_input(me: ShareIndex, input: &Input) -> (ShareIndex, String) {
    let words = match input {
        Input::Peer(message) => return (message.sender(), describe(message.message(), To::All)),
        Input::Tick => "looks at the clock".to_owned(),
        Input::Duties { epoch, attesters, proposers, sync } => {
            let count = |len: Option<usize>| len.map_or_else(|| "unknown".to_owned(), |len| len.to_string());
            format!(
                "is told the duties of epoch {epoch}: attesters {}, proposers {}, sync committee {}",
                count(attesters.as_ref().map(Vec::len)),
                count(proposers.as_ref().map(Vec::len)),
                count(sync.as_ref().map(Vec::len))
            )
        }
        Input::Head { slot, root, .. } => {
            format!("{}: sees the head {}", at(Kind::Attest, *slot), short(root))
        }
        Input::BeaconVote { slot, votes } => {
            let votes: Vec<_> = votes.iter().map(|vote| short(&Root::of(vote))).collect();
            format!("{}: may vote for [{}]", at(Kind::Attest, *slot), votes.join(", "))
        }
        Input::Aggregates { kind, slot, aggregates } => {
            format!("{}: is given {} aggregates", at(*kind, *slot), aggregates.len())
        }
        Input::Block { slot, offer } => match offer {
            Some(offer) => {
                format!("{}: is given the block {}", at(Kind::Propose, *slot), short(&offer.block().root))
            }
            None => format!("{}: is given no block", at(Kind::Propose, *slot)),
        },
        Input::Contents { slot, root } => {
            format!("{}: has the contents of {}", at(Kind::Propose, *slot), short(root))
        }
        Input::Header { root, known: true } => format!("knows {}", short(root)),
        Input::Header { root, known: false } => format!("does not know {}", short(root)),
        Input::Finalized(checkpoint) => format!("is told that epoch {} is final", checkpoint.epoch),
        Input::Recall(kept) => format!("remembers {}", of_kept(kept)),
        Input::Presence { peer, up: true } => format!("is linked to #{peer}"),
        Input::Presence { peer, up: false } => format!("has lost #{peer}"),
        Input::Ask { ask, .. } => of_ask(ask),
        Input::Journaled { durable: true, .. } => "has its rows on the disk".to_owned(),
        Input::Journaled { durable: false, .. } => "could not write its rows".to_owned(),
        Input::Signed { results, .. } => {
            let good = results.iter().filter(|result| result.is_ok()).count();
            format!("has {good} of {} halves completed", results.len())
        }
        Input::Combined { results, .. } => {
            let good = results.iter().filter(|one| one.signature.is_some()).count();
            format!("has {good} of {} signatures combined", results.len())
        }
        Input::GroupVerified { valid: true, .. } => "is told that the signature is good".to_owned(),
        Input::GroupVerified { valid: false, .. } => "is told that the signature is bad".to_owned(),
        Input::Submitted { taken: true, .. } => "has it taken by a beacon node".to_owned(),
        Input::Submitted { taken: false, .. } => "has it taken by no beacon node".to_owned(),
        Input::Born { boot } => format!("is process {}", short(boot)),
        Input::Stop(reason) => format!("signs nothing any more: {reason}"),
        Input::Resume(reason) => format!("may sign again, this is over: {reason}"),
        Input::Liveness { epoch, live: Some(live) } => {
            format!("is told that {} were live in epoch {epoch}", live.len())
        }
        Input::Liveness { epoch, live: None } => format!("is not told who was live in epoch {epoch}"),
    };
    (me, words)
}

fn of_ask(ask: &Ask) -> String {
    match ask {
        Ask::Vote { slot } => format!("{}: its client asks what to vote for", at(Kind::Attest, *slot)),
        Ask::Attestations { slot, halves } => {
            format!("{}: its client hands in {} halves", at(Kind::Attest, *slot), halves.len())
        }
        Ask::Block { slot, .. } => format!("{}: its client asks for a block", at(Kind::Propose, *slot)),
        Ask::SignedBlock { slot, root, .. } => {
            format!("{}: its client hands in its half over {}", at(Kind::Propose, *slot), short(root))
        }
        Ask::HeadRoot { slot } => format!("{}: its client asks for the head", at(Kind::SyncMessage, *slot)),
        Ask::SyncMessages { slot, halves } => {
            format!("{}: its client hands in {} halves", at(Kind::SyncMessage, *slot), halves.len())
        }
        Ask::Selections { kind, slot, halves } => {
            format!("{}: its client hands in {} halves", at(*kind, *slot), halves.len())
        }
        Ask::Aggregate { kind, slot, place, .. } => {
            format!("{}: its client asks for the aggregate of place {place}", at(*kind, *slot))
        }
        Ask::SignedAggregates { kind, slot, halves } => {
            format!("{}: its client hands in {} halves", at(*kind, *slot), halves.len())
        }
        Ask::Approvals => "its client asks what is approved".to_owned(),
        Ask::Register { statement, .. } => {
            format!(
                "its operator approves that {} validators' blocks pay {}",
                statement.validators.len(),
                statement.fee_recipient
            )
        }
        Ask::Exit { validator, epoch, .. } => {
            format!("its operator approves that validator {validator} leaves from epoch {epoch} on")
        }
    }
}
