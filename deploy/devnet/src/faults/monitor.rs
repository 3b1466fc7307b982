//! What nodes say on their monitoring ports: whose partial signatures came, and which frames were refused.

use crate::operators::Operator;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// A node that has the time answers at once.
const ANSWER_MAX: Duration = Duration::from_millis(900);

/// The monitoring ports of a pool.
#[derive(Debug)]
pub struct Monitors {
    http: reqwest::Client,
    ports: BTreeMap<usize, u16>,
}

impl Monitors {
    /// Of these operators' nodes.
    pub fn new(operators: &[Operator]) -> reqwest::Result<Self> {
        let ports = operators.iter().map(|operator| (operator.number, operator.metrics_port)).collect();
        Ok(Self { http: crate::lodestar::http_client()?, ports })
    }

    async fn get(&self, operator: usize, path: &str) -> Option<String> {
        let url = format!("http://127.0.0.1:{}{path}", self.ports.get(&operator)?);
        let answer = self.http.get(url).timeout(ANSWER_MAX).send().await.ok()?;
        answer.error_for_status().ok()?.text().await.ok()
    }

    /// An operator's account of the attestations of a slot; `None` if its node does not answer, or has none.
    pub async fn attestations(&self, operator: usize, slot: u64) -> Option<Account> {
        let answer = self.get(operator, &format!("/symbolon/v1/duties/{slot}")).await?;
        Account::read(&serde_json::from_str(&answer).ok()?)
    }

    /// How many frames of a peer an operator's node has refused since its start.
    pub async fn refused(&self, operator: usize, peer: usize) -> Option<u64> {
        let name = format!("symbolon_frames_refused_total{{peer=\"{peer}\"}} ");
        let metrics = self.get(operator, "/metrics").await?;
        metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok())
    }
}

/// What a node says of the attestations of one slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// In a word.
    pub ending: String,
    /// Whose partial signatures did not come.
    pub missing: Vec<usize>,
    /// Whether the node itself has voted, and not only followed.
    pub voted: bool,
}

impl Account {
    fn read(slot: &Value) -> Option<Self> {
        let duties = slot["duties"].as_array()?;
        let duty = duties.iter().find(|duty| duty["kind"] == "attest")?;
        let missing = duty["missing"].as_array()?.iter().filter_map(Value::as_u64);
        let own = duty["operators"].as_array()?.iter().find(|one| one["is_me"] == true)?;
        Some(Self {
            ending: duty["ending"].as_str()?.to_owned(),
            missing: missing.filter_map(|number| usize::try_from(number).ok()).collect(),
            voted: !own["vote"].is_null(),
        })
    }

    /// Whether an operator, whose own account this is, has taken part in all of it.
    pub fn is_full(&self, own: usize) -> bool {
        self.ending == "done" && self.voted && !self.missing.contains(&own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn slot(vote: &Value, missing: &[u8]) -> Value {
        json!({ "slot": 9, "duties": [
            { "kind": "propose", "ending": "no_reveal", "missing": [1, 2], "operators": [] },
            { "kind": "attest", "ending": "done", "missing": missing, "operators": [
                { "operator": 1, "is_me": false, "vote": { "ms": 7 } },
                { "operator": 2, "is_me": true, "vote": vote },
            ] },
        ] })
    }

    #[test]
    fn who_only_followed_or_whose_partials_did_not_come_has_done_no_full_duty() {
        let full = |vote, missing: &[u8]| Account::read(&slot(&vote, missing)).unwrap().is_full(2);
        assert!(full(json!({ "ms": 7 }), &[]));
        assert!(full(json!({ "ms": 7 }), &[3]));
        assert!(!full(Value::Null, &[]));
        assert!(!full(json!({ "ms": 7 }), &[2]));
        assert_eq!(Account::read(&json!({ "slot": 9, "duties": [] })), None);
    }
}
