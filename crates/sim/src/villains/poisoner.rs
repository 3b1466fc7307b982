//! Puts values forward that would harm whoever signed them: targets far ahead, which would push journals beyond all duties
//! to come; sources far behind, which would surround earlier votes; heads and blocks that do not exist.

use super::{Mischief, Parcel, Scene};
use ssz::{Decode as _, Encode as _};
use symbolon_core::To;
use types::wire::{Message, Value};
use types::{BeaconVote, Checkpoint, Epoch, Root};

/// See above.
#[derive(Debug)]
pub(crate) struct Poisoner;

impl Mischief for Poisoner {
    fn twist(&mut self, scene: &mut Scene<'_>, to: To, mut message: Message) -> Vec<Parcel> {
        let (signed, value) = match &mut message {
            Message::Vote(vote) => (&mut vote.signed, &mut vote.value),
            Message::Proposal(proposal) => (&mut proposal.signed, &mut proposal.value),
            _ => return vec![Parcel::plain(to, message)],
        };
        let votes = value.iter().filter_map(|value| BeaconVote::from_ssz_bytes(&value.0).ok());
        let poisoned: Vec<_> = votes.map(|vote| poisoned(scene, vote)).collect();
        signed.statement.hash = match poisoned.first() {
            Some(vote) => Root::of(vote),
            // Blocks and aggregates: nobody can have the value.
            None => Root([scene.below(256) as u8; 32]),
        };
        *value = poisoned.iter().map(|vote| Value(vote.as_ssz_bytes().into())).collect();
        vec![Parcel::plain(to, message)]
    }
}

fn poisoned(scene: &mut Scene<'_>, vote: BeaconVote) -> BeaconVote {
    let far = 1 + scene.below(1_000);
    match scene.below(5) {
        0 => BeaconVote {
            target: Checkpoint { epoch: Epoch(vote.target.epoch.0 + far), ..vote.target },
            ..vote
        },
        1 => BeaconVote {
            source: Checkpoint { epoch: Epoch(vote.source.epoch.0 + far), ..vote.source },
            ..vote
        },
        2 => BeaconVote { source: Checkpoint::default(), ..vote },
        3 => BeaconVote { beacon_block_root: Root([far as u8; 32]), ..vote },
        _ => BeaconVote { target: Checkpoint { root: Root([far as u8; 32]), ..vote.target }, ..vote },
    }
}
