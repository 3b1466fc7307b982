//! What a node says when it says no; and whether that means "I have it already".
//!
//! Every operator of a cluster publishes the same signed block and the same attestations, and gossip may be faster
//! than all of them. Most nodes answer 200 or 202 to what they have already; some answer with an error:
//!
//! - Lodestar up to 1.46: 500 `BLOCK_ERROR_ALREADY_KNOWN` (issues 6397 and 9832 of its repository).
//! - Lighthouse: `duplicate block`, with 202 unless `--http-duplicate-block-status` says otherwise; before 4.4 it was
//!   400 with `BlockIsAlreadyKnown`, later `DuplicateFullyImported`.
//! - Lodestar for attestations: items that failed with `ATTESTATION_ERROR_ATTESTATION_ALREADY_KNOWN`.

use serde_json::Value;

/// Words of "I have it already", without punctuation and case.
const KNOWN: [&str; 3] = ["alreadyknown", "duplicateblock", "duplicatefullyimported"];

/// Words of refusals that speak of another block or vote by the same validator: those are never success.
const OTHER: [&str; 4] = ["equivoc", "slash", "repeatproposal", "notalreadyknown"];

/// An answer that says no.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    message: String,
    /// What was wrong with single items.
    failures: Vec<String>,
}

impl Refusal {
    /// Reads `{code, message, failures}`; else `{statusCode, error, message}` of older nodes; else takes it as text.
    pub(crate) fn read(body: &[u8]) -> Self {
        let json: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let message = ["message", "error"].iter().find_map(|field| json[field].as_str());
        let message = match message {
            Some(message) => message.to_owned(),
            None => String::from_utf8_lossy(body).trim().to_owned(),
        };
        let failures = json["failures"].as_array().into_iter().flatten();
        let failures = failures.map(|item| item["message"].as_str().unwrap_or_default().to_owned());
        Self { message, failures: failures.collect() }
    }

    /// Whether it says of all that was published that the node has it already.
    pub(crate) fn is_already_known(&self) -> bool {
        if self.failures.is_empty() {
            return says_known(&self.message);
        }
        self.failures.iter().all(|failure| says_known(failure))
    }

    /// In one text: the message, then what was wrong with the first items.
    pub(crate) fn text(&self) -> String {
        // More items say the same again, and the text is cut anyway.
        const FAILURES_SHOWN: usize = 3;
        let mut text = self.message.clone();
        for failure in self.failures.iter().take(FAILURES_SHOWN) {
            text.push_str("; ");
            text.push_str(failure);
        }
        text
    }
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
