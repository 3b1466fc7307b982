//! What a log says of its reports: what each was told, with the answers of a beacon node that it was read from, and what it
//! came to. Whoever has a beacon node asks it the same, and compares.

use super::entry::{Cause, Entry, Sealed};
use super::log::{Corrupt, Ledger, Replay, Why};
use super::reports::{self, Report, Reported};
use super::routes;
use super::state::{Event, Sighting};
use serde::Serialize;

/// A report of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    /// The number of its entry.
    pub entry: u64,
    /// What the coordinator told, and where it read it.
    pub report: Report,
    /// What that came to.
    pub reported: Reported,
}

/// The report that an entry is, if it is one. That its numbers follow is not looked at again: the log was verified.
pub fn told(entry: &Entry) -> Option<Told> {
    let Cause::Observation(seen) = &entry.cause else { return None };
    let Ok(Sighting::Report(report)) = routes::sighting(&seen.kind, &seen.body) else { return None };
    let reported = entry.events.iter().find_map(|event| match event {
        Event::Reports(event) => match &**event {
            reports::Event::Reported(reported) => Some((**reported).clone()),
            _ => None,
        },
        _ => None,
    });
    Some(Told { entry: entry.seq, report: *report, reported: reported? })
}

/// Replays a log from its stored bytes; gives the ledger, and all its reports.
///
/// Errors: the first entry that is not what it should be. Cost: that of a replay; all reports are held.
pub fn replay<B: AsRef<[u8]>>(log: impl IntoIterator<Item = B>) -> Result<(Ledger, Vec<Told>), Corrupt> {
    let (mut replay, mut all) = (Replay::default(), Vec::new());
    for (seq, stored) in (0..).zip(log) {
        replay.next(stored.as_ref())?;
        let sealed = Sealed::read(stored.as_ref()).map_err(|why| Corrupt { seq, why: Why::Bytes(why) })?;
        all.extend(told(&sealed.entry));
    }
    Ok((replay.done()?, all))
}
