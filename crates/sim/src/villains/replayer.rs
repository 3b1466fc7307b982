//! Says again what it has heard, from whomever, whenever: old votes of others, old certificates, its own words of old slots.

use super::{Mischief, Parcel, Scene};
use symbolon_core::To;
use types::wire::Message;

/// It remembers as many messages; older ones give way at random, so that some are very old.
const REMEMBERED: usize = 256;

/// See above.
#[derive(Debug, Default)]
pub(crate) struct Replayer {
    heard: Vec<Vec<u8>>,
}

impl Mischief for Replayer {
    fn twist(&mut self, scene: &mut Scene<'_>, to: To, message: Message) -> Vec<Parcel> {
        let mut parcels = vec![Parcel::plain(to, message)];
        for _ in 0..scene.below(4).min(self.heard.len() as u64) {
            let old = self.heard[scene.below(self.heard.len() as u64) as usize].clone();
            let to = if scene.below(2) == 0 { To::All } else { To::One(scene.victim()) };
            parcels.push(Parcel::raw(to, old));
        }
        parcels
    }

    fn overhear(&mut self, scene: &mut Scene<'_>, frame: &[u8]) {
        if self.heard.len() < REMEMBERED {
            self.heard.push(frame.to_vec());
        } else if scene.below(4) == 0 {
            let place = scene.below(REMEMBERED as u64) as usize;
            self.heard[place] = frame.to_vec();
        }
    }
}
