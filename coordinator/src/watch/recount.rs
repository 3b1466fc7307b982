//! Reports of a log, each with all that it was made of but the chain: so that anybody can make it again.

use super::frame::Frame;
use super::tally::Tally;
use crate::ledger::log::Replay;
use crate::ledger::reports::Report;
use crate::ledger::{Cause, Corrupt, Sealed, State};
use serde_json::{Value, json};
use types::Slot;

/// A log that is read entry by entry, up to each of its reports.
#[derive(Clone, Debug, Default)]
pub struct Recount {
    replay: Replay,
    tally: Tally,
    reports: u64,
}

/// A report that is the next entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its number, from 0.
    pub no: u64,
    /// Of which frame.
    pub frame: Frame,
    /// The observation's body, to the byte.
    pub body: String,
}

impl Recount {
    /// The report that an entry is, if it is the next; what is known of the log before it is what it was made on.
    pub fn told(&self, stored: &[u8]) -> Option<Told> {
        let Ok(Sealed { entry, .. }) = serde_json::from_slice::<Sealed>(stored) else { return None };
        let Cause::Observation(observation) = entry.cause else { return None };
        if observation.kind.as_str() != "report" {
            return None;
        }
        let body: Value = serde_json::from_str(&observation.body).ok()?;
        let slot: Slot = serde_json::from_value(body.get("slot")?.clone()).ok()?;
        let state = self.state()?;
        let frame = Frame::to(state, state.network.epoch_of(slot));
        Some(Told { no: self.reports, frame, body: observation.body })
    }

    /// The state before the next entry; `None` before the first.
    pub fn state(&self) -> Option<&State> {
        self.replay.ledger().map(|ledger| ledger.state())
    }

    /// What the log says up to the next entry.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Reads the next entry. Errors: it is not what it should be.
    pub fn take(&mut self, stored: &[u8]) -> Result<(), Corrupt> {
        let told = self.told(stored).is_some();
        self.replay.next(stored)?;
        if let Ok(sealed) = serde_json::from_slice::<Sealed>(stored) {
            self.tally.take(&sealed.entry);
        }
        self.reports += u64::from(told);
        Ok(())
    }
}

/// Where two bodies differ first, in words; `None` if they are the same to the byte.
///
/// - `have`: the log's; `want`: what the chain makes of it.
pub fn difference(have: &str, want: &str) -> Option<String> {
    if have == want {
        return None;
    }
    let read = |text| match serde_json::from_str::<Report>(text) {
        Ok(report) => spread(&report),
        Err(_) => serde_json::from_str(text).unwrap_or_default(),
    };
    let differs = first(String::new(), &read(have), &read(want));
    Some(differs.unwrap_or_else(|| {
        let at = have.bytes().zip(want.bytes()).position(|(one, other)| one != other);
        format!("the same is written otherwise from byte {} on", at.unwrap_or(have.len().min(want.len())))
    }))
}

/// A report with its columns read, so that what differs is a number of a validator.
fn spread(report: &Report) -> Value {
    let mut all = json!(report);
    for (id, cluster) in &report.clusters {
        let validators = cluster.validators.iter().map(|(index, seen)| (index.to_string(), json!(seen)));
        all["clusters"][id.to_string()]["validators"] = validators.collect();
    }
    all
}

fn first(path: String, have: &Value, want: &Value) -> Option<String> {
    match (have, want) {
        (Value::Object(one), Value::Object(other)) => {
            let names = one.keys().chain(other.keys().filter(|name| !one.contains_key(*name)));
            let null = &Value::Null;
            let pair = |name: &String| (one.get(name).unwrap_or(null), other.get(name).unwrap_or(null));
            // A map's order is that of its keys, so what is in one alone has its place too.
            let mut names: Vec<_> = names.collect();
            names.sort();
            names.into_iter().find_map(|name| first(format!("{path}/{name}"), pair(name).0, pair(name).1))
        }
        (one, other) if one == other => None,
        (one, other) => Some(format!("{path}: the log has {one}, the chain says {other}")),
    }
}
