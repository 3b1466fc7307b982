//! Forges: partial signatures that do not verify, for one validator or for all; commits in another operator's name; and
//! certificates and decisions that nobody signed.

use super::{Mischief, Parcel, Scene, Words};
use symbolon_core::To;
use types::wire::{Message, Partials, Quorum, QuorumSignature, Statement, Step};
use types::{Millis, NodeSignature, Root};

/// See above.
#[derive(Debug)]
pub(crate) struct Forger;

impl Mischief for Forger {
    fn twist(&mut self, scene: &mut Scene<'_>, to: To, message: Message) -> Vec<Parcel> {
        let mut parcels = forged(scene, &message).map_or_else(Vec::new, |frame| vec![Parcel::raw(to, frame)]);
        let message = match message {
            Message::Partial(partials) => Message::Partial(spoiled(scene, partials)),
            other => other,
        };
        parcels.push(Parcel { to, words: Words::Own(message), late: Millis(0) });
        parcels
    }
}

/// Some of the signatures are another's, or nobody's.
fn spoiled(scene: &mut Scene<'_>, mut partials: Partials) -> Partials {
    let all = scene.below(2) == 0;
    let count = partials.partials.len();
    let first = scene.below(count.max(1) as u64) as usize;
    for number in (0..count).filter(|number| all || *number == first) {
        let other = partials.partials[(number + 1) % count].signature;
        let own = &mut partials.partials[number].signature;
        if other == *own || scene.below(2) == 0 {
            own.0[40] ^= 1;
        } else {
            *own = other;
        }
    }
    partials.signed.statement.extra = Partials::extra(&partials.partials);
    partials
}

/// A frame whose signatures are made up.
fn forged(scene: &mut Scene<'_>, message: &Message) -> Option<Vec<u8>> {
    let victim = scene.victim();
    let statement = match message {
        Message::Vote(vote) => vote.signed.statement,
        Message::Commit(signed) => signed.statement,
        _ => return None,
    };
    let hash = Root([scene.below(256) as u8; 32]);
    let statement = |step| Statement { step, hash, ..statement };
    let signatures = || {
        let authors = scene.size.indices().take(scene.size.quorum());
        authors.map(|author| QuorumSignature { author, signature: NodeSignature([7; 64]) }).collect()
    };
    let message = match hash.0[0] % 3 {
        0 => Message::Commit(statement(Step::Commit).unsigned(victim)),
        1 => Message::Cert(Quorum { statement: statement(Step::Vote), signatures: signatures() }),
        _ => Message::Decided(Quorum { statement: statement(Step::Commit), signatures: signatures() }),
    };
    Some(message.to_frame())
}
