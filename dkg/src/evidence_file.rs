//! Evidence as a file: who did wrong, in words, and the proof, for whoever has the definition.
//!
//! Everything in it but the attempt and the proof follows from these two and the definition. So a file is checked by being
//! made again: what differs was altered.

use crate::ceremony::{Evidence, Fault, ReadyDefinition, Setup, Verdict as Judgement, judge};
use cluster::{Check, Definition, Networks, Verdict};
use keys::identity::NodeKeys;
use serde_json::{Value, json};
use ssz::{Decode as _, Encode as _};
use types::{Millis, Root, ShareIndex};

/// The form of the files written and read here.
const FORMAT: u64 = 1;
/// No evidence is longer: an accusation of a megabyte, in hex, with room for what is around it.
pub const EVIDENCE_FILE_LEN_MAX: usize = 4 << 20;

/// The file's name: the ceremony as in its folder of records, and the operator who did wrong.
pub fn name(ceremony_id: Root, culprit: ShareIndex) -> String {
    format!("evidence-{}-{culprit}.json", hex::encode(&ceremony_id.0[..4]))
}

/// An operator, so that people know who is meant: number, wallet if it has one, node record.
pub fn named(definition: &Definition, index: ShareIndex) -> String {
    let operator = definition.operators().get(index.position());
    let (wallet, enr) = operator.map_or((String::new(), ""), |one| (wallet(one), one.enr_text()));
    let wallet = if wallet.is_empty() { wallet } else { format!("wallet {wallet}, ") };
    format!("operator {index} ({wallet}{enr})")
}

fn wallet(operator: &cluster::definition::Operator) -> String {
    operator.address.as_str().to_owned()
}

/// The file of a fault.
///
/// - `setup`: of the ceremony in which it was made.
pub fn render(definition: &Definition, setup: &Setup, fault: &Fault) -> String {
    let file = value(definition, setup, fault);
    serde_json::to_string_pretty(&file).expect("text and numbers are JSON") + "\n"
}

fn value(definition: &Definition, setup: &Setup, fault: &Fault) -> Value {
    let operator = definition.operators().get(fault.culprit.position());
    json!({
        "format": FORMAT,
        "definition_hash": setup.definition_hash,
        "attempt": setup.attempt,
        "ceremony": setup.ceremony_id(),
        "operator": fault.culprit.get(),
        "enr": operator.map(cluster::definition::Operator::enr_text),
        "address": operator.map(wallet),
        "finding": fault.evidence.to_string(),
        "evidence": format!("0x{}", hex::encode(fault.evidence.as_ssz_bytes())),
    })
}

/// Checks a file by the definition alone: its form, that it is of a ceremony of this definition, that the evidence proves
/// a fault, and that everything it says beside is what follows.
pub fn check(bytes: &[u8], definition: &Definition, networks: &Networks) -> Vec<Check> {
    let mut checks = Vec::new();
    // The first rule that is broken is the last one that says anything.
    let broken = check_into(&mut checks, bytes, definition, networks).err();
    checks.extend(broken);
    checks
}

fn check_into(
    checks: &mut Vec<Check>,
    bytes: &[u8],
    definition: &Definition,
    networks: &Networks,
) -> Result<(), Check> {
    let (file, attempt, evidence) = parse(bytes).map_err(|words| broken("evidence_form", words))?;
    checks.push(holds("evidence_form", format!("format {FORMAT}")));
    let ready = ReadyDefinition::new(definition.clone(), networks)
        .map_err(|error| broken("evidence_definition", error.to_string()))?;
    let any = definition.size().ok().and_then(|size| size.indices().next());
    let any = any.ok_or_else(|| broken("evidence_definition", "no operators"))?;
    let setup = ready.setup(any, attempt, Millis(0));
    let of = [("definition_hash", json!(setup.definition_hash)), ("ceremony", json!(setup.ceremony_id()))];
    for (field, wanted) in of {
        if file[field] != wanted {
            let words =
                format!("{field} is {}, the definition and attempt {attempt} have {wanted}", file[field]);
            return Err(broken("evidence_definition", words));
        }
    }
    checks.push(holds("evidence_definition", format!("attempt {attempt} at it")));
    let culprit = proved(&ready, &setup, &evidence).map_err(|words| broken("evidence_proof", words))?;
    checks.push(holds("evidence_proof", evidence.to_string()));
    let told = value(definition, &setup, &Fault { culprit, evidence });
    if file != told {
        let differs = told.as_object().into_iter().flatten().find(|(field, value)| file[*field] != **value);
        let words = match differs {
            Some((field, _)) if field == "evidence" => {
                "the proof is written in another way than it should".to_owned()
            }
            Some((field, value)) => format!("{field} is {}, what is proved has {value}", file[field]),
            None => "it says more than it proves".to_owned(),
        };
        return Err(broken("evidence_operator", words));
    }
    checks.push(holds("evidence_operator", named(definition, culprit)));
    Ok(())
}

fn parse(bytes: &[u8]) -> Result<(Value, u32, Evidence), String> {
    if bytes.len() > EVIDENCE_FILE_LEN_MAX {
        return Err(format!("{} bytes, evidence has at most {EVIDENCE_FILE_LEN_MAX}", bytes.len()));
    }
    let file: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if file["format"] != FORMAT {
        return Err(format!("format {}, known is {FORMAT}", file["format"]));
    }
    let attempt = file["attempt"].as_u64().and_then(|attempt| u32::try_from(attempt).ok());
    let attempt = attempt.ok_or_else(|| format!("attempt {} is none", file["attempt"]))?;
    let digits = file["evidence"].as_str().and_then(|text| text.strip_prefix("0x"));
    let proof = digits.and_then(|digits| hex::decode(digits).ok()).ok_or("no evidence in hex")?;
    let evidence = Evidence::from_ssz_bytes(&proof).map_err(|_| "the evidence is no SSZ of one")?;
    Ok((file, attempt, evidence))
}

fn proved(ready: &ReadyDefinition, setup: &Setup, evidence: &Evidence) -> Result<ShareIndex, String> {
    let peers = NodeKeys::new(&ready.node_keys()).map_err(|error| error.to_string())?;
    match judge(setup, &peers, ready, evidence).map_err(|error| error.to_string())? {
        Judgement::Guilty(culprit) => Ok(culprit),
        Judgement::NotGuilty => Err("it proves nothing".to_owned()),
        Judgement::Unknown => {
            Err("a lock message is judged by all keys, which only those have who took part".to_owned())
        }
    }
}

fn holds(name: &'static str, detail: impl Into<String>) -> Check {
    Check { name, verdict: Verdict::Holds, detail: detail.into() }
}

fn broken(name: &'static str, detail: impl Into<String>) -> Check {
    Check { name, verdict: Verdict::Broken, detail: detail.into() }
}
