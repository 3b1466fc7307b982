//! Keeps to itself what others wait for: as a leader it tells one peer every other proposal, and everybody else none, and
//! one peer every other payload, and nobody the rest; it shows no certificates, answers no questions for values or
//! payloads, and sends every other partial signature to one peer only.

use super::{Mischief, Parcel, Scene};
use symbolon_core::To;
use types::wire::Message;

/// See above.
#[derive(Debug)]
pub(crate) struct Withholder;

impl Mischief for Withholder {
    fn twist(&mut self, scene: &mut Scene<'_>, to: To, message: Message) -> Vec<Parcel> {
        let confides = match &message {
            Message::Proposal(_) => scene.below(2) == 0,
            Message::Partial(_) => scene.below(2) == 0,
            Message::Cert(_) | Message::Decided(_) | Message::Value(_) | Message::Contents(_) => {
                return Vec::new();
            }
            Message::Vote(_)
            | Message::Commit(_)
            | Message::NewRound(_)
            | Message::Fetch(_)
            | Message::Challenge(_)
            | Message::Boot(_)
            | Message::Overlap(_)
            | Message::Held(_)
            | Message::FetchContents(_) => false,
        };
        let to = if confides { To::One(scene.victim()) } else { to };
        vec![Parcel::plain(to, message)]
    }

    fn confides_contents(&mut self, scene: &mut Scene<'_>, to: To) -> Option<To> {
        let confides = to == To::All && scene.below(2) == 0;
        confides.then(|| To::One(scene.victim()))
    }
}
