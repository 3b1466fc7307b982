//! Messages in words, for transcripts: of worlds in the jar, and of recorded nodes.

use crate::To;
use types::Root;
use types::wire::Message;

/// A message in words: which agreement's, and what it says; hashes by their first four bytes. One line, for transcripts.
///
/// - `to`: where it goes to one operator only, that one is named.
pub fn describe(message: &Message, to: To) -> String {
    let short = |root: &Root| root.to_string()[2..10].to_owned();
    let instance = message.instance();
    let what = match message {
        Message::Vote(vote) => {
            format!("votes {} in round {}", short(&vote.signed.statement.hash), vote.signed.statement.round)
        }
        Message::Cert(quorum) => {
            format!(
                "relays a certificate for {} of round {}",
                short(&quorum.statement.hash),
                quorum.statement.round
            )
        }
        Message::Commit(signed) => {
            format!("commits {} in round {}", short(&signed.statement.hash), signed.statement.round)
        }
        Message::Decided(quorum) => format!("shows that {} is decided", short(&quorum.statement.hash)),
        Message::NewRound(new_round) => format!("asks for round {}", new_round.signed.statement.round),
        Message::Proposal(proposal) => {
            let statement = proposal.signed.statement;
            format!("proposes {} in round {}", short(&statement.hash), statement.round)
        }
        Message::Partial(partials) => format!("sends {} partial signatures", partials.partials.len()),
        Message::Contents(answer) => format!("sends the contents of {}", short(&answer.id.hash)),
        Message::Challenge(_) => "asks which process speaks".into(),
        Message::Boot(signed) => format!("speaks as process {}", short(&signed.statement.hash)),
        Message::Overlap(overlap) => format!("shows process {}", short(&overlap.other.statement.hash)),
        Message::Held(signed) => format!("shows that it holds partials of {}", signed.author),
        Message::Fetch(id) => format!("asks for the value {}", short(&id.hash)),
        Message::FetchContents(id) => format!("asks for the contents of {}", short(&id.hash)),
        Message::Value(answer) => format!("sends the value {}", short(&answer.id.hash)),
    };
    match to {
        To::All => format!("{instance}: {what}"),
        To::One(peer) => format!("{instance}: {what} to #{peer}"),
    }
}
