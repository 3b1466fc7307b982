//! One question for a bid: all relays are asked at once, each answer is checked, the best is taken.

use super::{Builder, Fate, Listed, Noticed};
use remote::RelayError;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::time::{Instant, timeout_at};
use types::{ChainSpec, Fork, PublicKey, RelayBid, Root, Slot, Wei};

/// What a beacon node asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The slot of the block.
    pub slot: Slot,
    /// The execution block to build on.
    pub parent_hash: Root,
    /// The proposer.
    pub validator: PublicKey,
}

/// Why a bid is not taken. Each names the broken rule.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Unfit {
    /// It names another relay's key than the one that was asked.
    #[error("it is of the relay {have}")]
    OtherRelay {
        /// The key in the bid.
        have: PublicKey,
    },
    /// Of another fork than the slot's.
    #[error("it is of {have}, the slot is of {want}")]
    OtherFork {
        /// The bid's fork.
        have: Fork,
        /// The slot's fork.
        want: Fork,
    },
    /// On another parent.
    #[error("it builds on {have}, asked for was {want}")]
    OtherParent {
        /// The bid's parent.
        have: Root,
        /// The parent asked for.
        want: Root,
    },
    /// For another time than the slot's start.
    #[error("its payload is of second {have}, the slot starts at {want}")]
    OtherSlot {
        /// The payload's time.
        have: u64,
        /// The slot's time.
        want: u64,
    },
    /// It pays nothing.
    #[error("it pays nothing")]
    NoValue,
    /// It pays less than the operator wants.
    #[error("it pays {have} wei, the minimum is {min}")]
    TooLow {
        /// The bid's value.
        have: Wei,
        /// The operator's minimum.
        min: Wei,
    },
    /// The relay has not signed it.
    #[error("its signature is not the relay's")]
    Forged,
}

impl Unfit {
    const fn fate(self) -> Fate {
        match self {
            Self::Forged => Fate::Forged,
            Self::NoValue | Self::TooLow { .. } => Fate::TooLow,
            Self::OtherRelay { .. }
            | Self::OtherFork { .. }
            | Self::OtherParent { .. }
            | Self::OtherSlot { .. } => Fate::Unfit,
        }
    }
}

/// Whether a bid answers the question: everything but the signature.
///
/// - `relay`: the key of the relay that was asked; `min`: what the operator wants at least.
/// - Errors: the first broken rule.
fn check(spec: &ChainSpec, asked: &Asked, relay: PublicKey, min: Wei, bid: &RelayBid) -> Result<(), Unfit> {
    if bid.relay != relay {
        return Err(Unfit::OtherRelay { have: bid.relay });
    }
    let want = spec.fork_at(spec.epoch_of(asked.slot)).fork;
    if bid.fork != want {
        return Err(Unfit::OtherFork { have: bid.fork, want });
    }
    if bid.parent_hash != asked.parent_hash {
        return Err(Unfit::OtherParent { have: bid.parent_hash, want: asked.parent_hash });
    }
    // Payloads count whole seconds, as `compute_timestamp_at_slot` does.
    let want = spec.slot_start(asked.slot).0 / 1000;
    if bid.timestamp_s != want {
        return Err(Unfit::OtherSlot { have: bid.timestamp_s, want });
    }
    if bid.value == Wei::ZERO {
        return Err(Unfit::NoValue);
    }
    if bid.value < min {
        return Err(Unfit::TooLow { have: bid.value, min });
    }
    Ok(())
}

/// What came of asking one relay.
enum Answer {
    Bid(RelayBid),
    NoBid,
    Failed(RelayError),
    Unfit(Unfit),
}

impl Builder {
    /// The best bid for a block, kept in [`Builder::bids`]; `None` where no relay has a good one in time.
    ///
    /// - The highest value wins, and of equals the one that is earlier in the list.
    /// - Cost: at most the operator's time-out; one pairing check for each bid, on the blocking pool.
    pub async fn best_bid(&self, asked: Asked) -> Option<RelayBid> {
        let asks = self.relays.iter().map(|listed| self.ask(listed.clone(), asked));
        let answers = gather(asks, self.config.header_wait).await;
        let bids = self.relays.iter().zip(answers).filter_map(|(listed, answer)| self.sort(listed, answer));
        let bids: Vec<(&str, RelayBid)> = bids.collect();
        let (_, best) = bids.iter().rev().max_by_key(|(_, bid)| bid.value)?;
        let same = |bid: &RelayBid| bid.payload_header_root == best.payload_header_root;
        let relays = bids.iter().filter(|(_, bid)| same(bid)).map(|(_, bid)| bid.relay).collect();
        for (relay, bid) in &bids {
            let fate = if bid.relay == best.relay { Fate::Best } else { Fate::Outbid };
            (self.notice)(Noticed::Bid { relay, fate });
        }
        self.bids.keep(asked.slot, best.clone(), relays);
        Some(best.clone())
    }

    async fn ask(&self, listed: Arc<Listed>, asked: Asked) -> Answer {
        let Asked { slot, parent_hash, validator } = asked;
        let bid = match listed.relay.header(slot, parent_hash, validator, self.config.header_wait).await {
            Ok(Some(bid)) => bid,
            Ok(None) => return Answer::NoBid,
            Err(error) => return Answer::Failed(error),
        };
        if let Err(unfit) = check(&self.spec, &asked, listed.relay.key(), self.config.min_bid, &bid) {
            return Answer::Unfit(unfit);
        }
        let root = bid.signing_root(&self.spec);
        let signature = bid.signature;
        let verify = move || crypto::verify(&listed.key, root.as_ref(), &signature);
        match tokio::task::spawn_blocking(verify).await {
            Ok(true) => Answer::Bid(bid),
            Ok(false) | Err(_) => Answer::Unfit(Unfit::Forged),
        }
    }

    /// Counts and logs what is no good bid, and gives back what is one.
    fn sort<'a>(&self, listed: &'a Listed, answer: Option<Answer>) -> Option<(&'a str, RelayBid)> {
        let relay = listed.relay.label();
        let fate = match answer {
            Some(Answer::Bid(bid)) => return Some((relay, bid)),
            Some(Answer::NoBid) => Fate::NoBid,
            Some(Answer::Unfit(unfit)) => {
                match unfit.fate() {
                    Fate::TooLow => tracing::info!(relay, %unfit, "a bid is not taken"),
                    _ => tracing::warn!(relay, %unfit, "a bid is not taken"),
                }
                unfit.fate()
            }
            Some(Answer::Failed(error)) => {
                let late = matches!(error, RelayError::Call(remote::CallError::Timeout { .. }));
                tracing::info!(relay, %error, "a relay gave no bid");
                if late { Fate::Late } else { Fate::Failed }
            }
            None => {
                tracing::info!(relay, "a relay was too slow");
                Fate::Late
            }
        };
        (self.notice)(Noticed::Bid { relay, fate });
        None
    }
}

/// Asks all at once, and waits for all of them, but no longer than `wait`: `None` for who has not answered by then.
async fn gather<T>(
    asks: impl IntoIterator<Item = impl Future<Output = T>>,
    wait: Duration,
) -> Vec<Option<T>> {
    let deadline = Instant::now() + wait;
    let asks = asks.into_iter().map(|ask| async move { timeout_at(deadline, ask).await.ok() });
    futures::future::join_all(asks).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_is_slow_is_left_out_and_holds_nobody_up_for_longer_than_was_said() {
        let answer = |at: Option<u8>| async move {
            match at {
                Some(at) => at,
                None => std::future::pending().await,
            }
        };
        let wait = Duration::from_millis(20);
        let started = Instant::now();
        assert_eq!(gather([Some(1), None, Some(3)].map(answer), wait).await, [Some(1), None, Some(3)]);
        assert!(started.elapsed() >= wait, "the slow one had its time");
        let for_ever = Duration::from_secs(1 << 20);
        assert_eq!(gather([Some(1), Some(2)].map(answer), for_ever).await, [Some(1), Some(2)]);
    }
}
