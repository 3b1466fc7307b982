//! What a node says when it says no; and whether that means "I have it already".
//!
//! Every operator of a cluster publishes the same signed block and the same attestations, and gossip may be faster
//! than all of them. Most nodes answer 200 or 202 to what they have already; some answer with an error:
//!
//! - Lodestar up to 1.46: 500 `BLOCK_ERROR_ALREADY_KNOWN` (issues 6397 and 9832 of its repository).
//! - Lighthouse: `duplicate block`, with 202 unless `--http-duplicate-block-status` says otherwise; before 4.4 it was
//!   400 with `BlockIsAlreadyKnown`, later `DuplicateFullyImported`.
//! - Lodestar for attestations: items that failed with `ATTESTATION_ERROR_ATTESTATION_ALREADY_KNOWN`; for aggregates
//!   and contributions `..._AGGREGATOR_ALREADY_KNOWN`, for sync messages `..._SYNC_COMMITTEE_MESSAGE_KNOWN`, for exits
//!   `VOLUNTARY_EXIT_ERROR_ALREADY_EXISTS`.
//! - Lighthouse for lists: `PriorAttestationKnown`, `AttestationSupersetKnown`, `SyncContributionSupersetKnown`,
//!   `PriorSyncCommitteeMessageKnown`, where it does not answer 200.
//!
//! A list may be taken in part: 400 names the items that were refused, and the others were taken.

use serde_json::Value;
use std::collections::BTreeMap;

/// Words of "I have it already", without punctuation and case.
const KNOWN: [&str; 7] = [
    "alreadyknown",
    "duplicateblock",
    "duplicatefullyimported",
    "messageknown",
    "supersetknown",
    "priorattestationknown",
    "exiterroralreadyexists",
];

/// Words of refusals that speak of another block or vote by the same validator: those are never success.
const OTHER: [&str; 4] = ["equivoc", "slash", "repeatproposal", "notalreadyknown"];

/// An answer that says no.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    message: String,
    /// What was wrong with single items: the place in the list, if it is told, and words.
    failures: Vec<(Option<u64>, String)>,
}

impl Refusal {
    /// Reads `{code, message, failures}`; else `{statusCode, error, message}` of older nodes; else takes it as text.
    pub fn read(body: &[u8]) -> Self {
        let json: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let message = ["message", "error"].iter().find_map(|field| json[field].as_str());
        let message = match message {
            Some(message) => message.to_owned(),
            None => String::from_utf8_lossy(body).trim().to_owned(),
        };
        let failures = json["failures"].as_array().into_iter().flatten();
        let failure =
            |item: &Value| (place(&item["index"]), item["message"].as_str().unwrap_or_default().to_owned());
        Self { message, failures: failures.map(failure).collect() }
    }

    /// Whether it says of all that was published that the node has it already.
    pub fn is_already_known(&self) -> bool {
        if self.failures.is_empty() {
            return says_known(&self.message);
        }
        self.failures.iter().all(|(_, failure)| says_known(failure))
    }

    /// Which of a list of `count` items were refused, and why; `None` unless that is told of some and others were taken
    /// or are known.
    pub fn refused_items(&self, count: usize) -> Option<BTreeMap<u64, String>> {
        let mut refused = BTreeMap::new();
        for (place, failure) in &self.failures {
            let place = (*place)?;
            if usize::try_from(place).ok()? >= count {
                return None;
            }
            if !says_known(failure) {
                refused.insert(place, failure.clone());
            }
        }
        (!self.failures.is_empty() && refused.len() < count).then_some(refused)
    }

    /// In one text: the message, then what was wrong with the first items.
    pub fn text(&self) -> String {
        // More items say the same again, and the text is cut anyway.
        const FAILURES_SHOWN: usize = 3;
        let mut text = self.message.clone();
        for (_, failure) in self.failures.iter().take(FAILURES_SHOWN) {
            text.push_str("; ");
            text.push_str(failure);
        }
        text
    }
}

/// A place in a list: a number, or one in quotes as the API writes others.
fn place(json: &Value) -> Option<u64> {
    json.as_u64().or_else(|| json.as_str()?.parse().ok())
}

fn says_known(message: &str) -> bool {
    let letters: String = message.chars().filter(char::is_ascii_alphanumeric).collect();
    let letters = letters.to_ascii_lowercase();
    KNOWN.iter().any(|word| letters.contains(word)) && !OTHER.iter().any(|word| letters.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_words_for_the_same_block_mean_that_it_is_known() {
        let known = [
            "BLOCK_ERROR_ALREADY_KNOWN",
            "duplicate block",
            "BAD_REQUEST: BlockIsAlreadyKnown(0xab)",
            "DuplicateFullyImported(0xab)",
            "Block already known",
            "ATTESTATION_ERROR_AGGREGATOR_ALREADY_KNOWN",
            "SYNC_COMMITTEE_ERROR_SYNC_COMMITTEE_AGGREGATOR_ALREADY_KNOWN",
            "SYNC_COMMITTEE_ERROR_SYNC_COMMITTEE_MESSAGE_KNOWN",
            "Verification: PriorSyncCommitteeMessageKnown { validator_index: 1, slot: Slot(2) }",
            "SyncContributionSupersetKnown(0xab)",
            "AttestationSupersetKnown(0xab)",
            "PriorAttestationKnown { validator_index: 3, epoch: Epoch(4) }",
            "VOLUNTARY_EXIT_ERROR_ALREADY_EXISTS",
        ];
        let other = [
            "",
            "BLOCK_ERROR_REPEAT_PROPOSAL",
            "Slashable: another block of this proposer is already known",
            "equivocating block, first one already known",
            "parent unknown",
            "block is not already known",
            "RepeatProposal { proposer: 3 }",
            "duplicate request",
            "VOLUNTARY_EXIT_ERROR_EARLY_EPOCH",
            "SYNC_COMMITTEE_ERROR_UNKNOWN_BEACON_BLOCK_ROOT",
            "validator index is unknown",
        ];
        known.iter().for_each(|text| assert!(says_known(text), "{text}"));
        other.iter().for_each(|text| assert!(!says_known(text), "{text}"));
    }

    #[test]
    fn a_list_is_known_if_every_failed_item_is() {
        let body = |second: &str| {
            let failures = json!([{"index": 0, "message": "ALREADY_KNOWN"}, {"index": 3, "message": second}]);
            json!({"code": 400, "message": "already known", "failures": failures}).to_string()
        };
        assert!(
            Refusal::read(body("ATTESTATION_ERROR_ATTESTATION_ALREADY_KNOWN").as_bytes()).is_already_known()
        );
        let late = Refusal::read(body("PAST_SLOT").as_bytes());
        assert!(!late.is_already_known());
        assert_eq!(late.text(), "already known; ALREADY_KNOWN; PAST_SLOT");
    }

    #[test]
    fn a_list_is_taken_but_for_the_items_that_are_named() {
        let refused = |failures: Value, count| {
            let body = json!({"code": 400, "message": "some failed", "failures": failures}).to_string();
            let refused = Refusal::read(body.as_bytes()).refused_items(count);
            refused.map(|items| items.into_keys().collect::<Vec<u64>>())
        };
        let late = |index: Value| json!({"index": index, "message": "late"});
        let known = json!({"index": 0, "message": "already known"});
        assert_eq!(refused(json!([late(json!(1))]), 3), Some(vec![1]));
        assert_eq!(refused(json!([late(json!("1")), late(json!("1"))]), 3), Some(vec![1]));
        assert_eq!(refused(json!([known, late(json!(2))]), 3), Some(vec![2]));
        assert_eq!(refused(json!([known]), 3), Some(vec![]));
        assert_eq!(refused(json!([late(json!(0)), late(json!(1))]), 2), None, "all were refused");
        assert_eq!(refused(json!([late(json!(3))]), 3), None, "no item of the list");
        assert_eq!(refused(json!([late(json!(null))]), 3), None, "no place");
        assert_eq!(refused(json!([]), 3), None);
    }

    #[test]
    fn words_are_found_in_every_form_of_refusal() {
        let old = r#"{"statusCode":404,"error":"Not Found","message":"Route GET:/x not found"}"#;
        for (body, text) in [
            (r#"{"code":503,"message":"syncing"}"#, "syncing"),
            (old, "Route GET:/x not found"),
            (r#"{"error":"unauthorized"}"#, "unauthorized"),
            ("  502 Bad Gateway\n", "502 Bad Gateway"),
            ("[1]", "[1]"),
            ("", ""),
        ] {
            assert_eq!(Refusal::read(body.as_bytes()).text(), text);
        }
    }
}
