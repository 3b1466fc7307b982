//! That something has changed, for whoever waits for it.

use crate::office::Office;

/// What there was when something changed last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Entries of the log.
    entries: u64,
    /// Words of nodes that the board has taken.
    words: u64,
    /// Epochs of which a beacon node has said who was on duty.
    epochs: u64,
    /// There will be no more.
    over: bool,
}

impl News {
    pub(super) fn of(office: &Office) -> Self {
        let mut news = Self::default();
        news.follow(office);
        news
    }

    /// Takes what an office has. Whether that is news.
    pub(super) fn follow(&mut self, office: &Office) -> bool {
        let now = Self { entries: office.entries_len(), words: office.words(), ..*self };
        std::mem::replace(self, now) != now
    }

    /// An epoch was answered.
    pub(super) fn answered(&mut self) {
        self.epochs += 1;
    }

    pub(super) fn end(&mut self) {
        self.over = true;
    }

    /// Whether the coordinator stops.
    pub fn is_over(&self) -> bool {
        self.over
    }
}
