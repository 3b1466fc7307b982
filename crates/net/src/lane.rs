//! The two lanes of a connection: frames, which are small and urgent, and bulk, which may take its time.
//!
//! Each lane is a stream of its own with queues of its own. So a frame never waits behind a block's payload: neither in
//! this node nor in the transport, which lets the streams of a connection take turns.

use crate::config::Limits;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    Frames,
    Bulk,
}

impl Lane {
    pub(crate) const ALL: [Self; 2] = [Self::Frames, Self::Bulk];
}

/// One of something for each lane.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lanes<T> {
    pub(crate) frames: T,
    pub(crate) bulk: T,
}

impl<T> Lanes<T> {
    /// What `of` makes for each lane.
    pub(crate) fn each(mut of: impl FnMut(Lane) -> T) -> Self {
        Self { frames: of(Lane::Frames), bulk: of(Lane::Bulk) }
    }

    pub(crate) const fn of(&self, lane: Lane) -> &T {
        match lane {
            Lane::Frames => &self.frames,
            Lane::Bulk => &self.bulk,
        }
    }

    pub(crate) const fn of_mut(&mut self, lane: Lane) -> &mut T {
        match lane {
            Lane::Frames => &mut self.frames,
            Lane::Bulk => &mut self.bulk,
        }
    }
}

/// What a lane takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LaneLimits {
    /// Longest frame.
    pub(crate) len_max: usize,
    /// Frames that wait.
    pub(crate) frames_max: usize,
    /// Bytes that wait.
    pub(crate) bytes_max: usize,
}

impl Limits {
    pub(crate) const fn lane(&self, lane: Lane) -> LaneLimits {
        match lane {
            Lane::Frames => LaneLimits {
                len_max: self.frame_len_max,
                frames_max: self.queue_frames_max,
                bytes_max: self.queue_bytes_max,
            },
            Lane::Bulk => LaneLimits {
                len_max: self.bulk_len_max,
                frames_max: self.bulk_frames_max,
                bytes_max: self.bulk_bytes_max,
            },
        }
    }
}
