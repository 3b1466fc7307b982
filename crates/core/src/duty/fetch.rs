//! Whether the own beacon nodes have been asked for a value: each duty asks once, and again while they have none.

use types::Millis;

/// Between two questions when the beacon nodes had nothing: several tries within the shortest slot, or a led round.
const RETRY: Millis = Millis(200);

/// How far a question has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fetch {
    /// Nobody needs a value from here.
    #[default]
    Idle,
    /// Needed, but something that the question names is not there yet.
    Needed,
    /// Asked; the answer will come.
    Asked,
    /// There was no answer: ask again then.
    Again(Millis),
    /// Answered.
    Done,
}

impl Fetch {
    /// There was no answer. `until`: then it is of no use any more.
    pub(crate) fn failed(&mut self, now: Millis, until: Millis) {
        let again = now.after(RETRY);
        *self = if again < until { Self::Again(again) } else { Self::Done };
    }

    /// Whether it is time to ask again: then it is needed.
    pub(crate) fn retry(&mut self, now: Millis) -> bool {
        let due = matches!(self, Self::Again(at) if now >= *at);
        if due {
            *self = Self::Needed;
        }
        due
    }

    /// When it is time to ask again.
    pub(crate) const fn wake_at(self) -> Option<Millis> {
        match self {
            Self::Again(at) => Some(at),
            Self::Idle | Self::Needed | Self::Asked | Self::Done => None,
        }
    }
}
