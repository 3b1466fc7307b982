//! What the monitoring port says, in JSON. Times are milliseconds from the slot's start, before it negative.

use super::Peer;
use crate::engine::Explanation;
use beacon::NodeHealth;
use serde_json::{Value, json};
use symbolon_core::node::ExitApproval;
use symbolon_core::{Account, Blame, Ending, Fault, Heard, verdict};
use types::{ChainSpec, Millis, PublicKey, Root, ShareIndex, Slot};

/// Bytes of a hash that are shown: enough to tell a slot's few values apart.
const HASH_LEN: usize = 4;

/// A slot in full.
pub(super) fn slot(spec: &ChainSpec, slot: Slot, accounts: &[Account]) -> Value {
    let start = spec.slot_start(slot);
    let duties: Vec<_> = accounts.iter().map(|account| in_full(account, accounts, start)).collect();
    json!({ "slot": slot.0, "starts_at_ms": start.0, "duties": duties })
}

/// Slots in short; those without a duty do not occur.
pub(super) fn slots(explanation: &Explanation) -> Value {
    let of_slots = explanation.accounts.chunk_by(|one, other| one.instance.slot == other.instance.slot);
    let slots: Vec<_> = of_slots
        .map(|accounts| {
            let duties: Vec<_> = accounts.iter().map(|account| in_short(account, accounts)).collect();
            json!({ "slot": accounts[0].instance.slot.0, "duties": duties })
        })
        .collect();
    let (oldest, newest) = explanation.kept.unzip();
    json!({ "oldest": oldest.map(|slot| slot.0), "newest": newest.map(|slot| slot.0), "slots": slots })
}

fn in_short(account: &Account, of_slot: &[Account]) -> Value {
    let ending = Ending::of(account);
    json!({
        "kind": account.instance.kind.name(),
        "due": account.due,
        "done": account.done,
        "ending": ending.name(),
        "headline": ending.headline(),
        "is_final": account.is_told,
        "blame": blame(&verdict(account, of_slot)),
        "missing": numbers(account.missing()),
    })
}

fn in_full(account: &Account, of_slot: &[Account], start: Millis) -> Value {
    let at = |time: Option<Millis>| time.map(|time| after(start, time));
    let obstacles: Vec<_> = account.obstacles.iter().map(|obstacle| obstacle.name()).collect();
    let operators: Vec<_> = account.size.indices().map(|operator| said(account, operator, start)).collect();
    let mut duty = in_short(account, of_slot);
    duty["refused"] = json!(account.refused);
    duty["obstacles"] = json!(obstacles);
    duty["round"] = json!(account.round);
    duty["times_ms"] = json!({
        "beacon_node_asked": at(account.wanted_at),
        "beacon_node_answered": at(account.own_at),
        "value": at(account.value_at),
        "client_asked": at(account.asked_at),
        "client_signed": at(account.half_at),
        "decided": at(account.decided_at),
        "combined": at(account.signed_at),
    });
    duty["submitted"] = json!(account.submitted);
    duty["taken"] = json!(account.taken);
    duty["operators"] = json!(operators);
    duty
}

fn said(account: &Account, operator: ShareIndex, start: Millis) -> Value {
    let Heard { vote, commit, new_round, proposal, partial, fault } =
        account.operators.get(&operator).cloned().unwrap_or_default();
    let ms = |time: Millis| after(start, time);
    json!({
        "operator": operator.get(),
        "is_me": operator == account.me,
        "present": account.is_present(operator),
        "vote": vote.map(|(at, round, hash)| json!({ "ms": ms(at), "round": round, "hash": short(hash) })),
        "commit": commit.map(|(at, hash)| json!({ "ms": ms(at), "hash": short(hash) })),
        "new_round": new_round.map(|(at, round)| json!({ "ms": ms(at), "round": round })),
        "proposal":
            proposal.map(|(at, round, hash)| json!({ "ms": ms(at), "round": round, "hash": short(hash) })),
        "partials": partial.map(|(at, count)| json!({ "ms": ms(at), "count": count })),
        "fault": fault.map(fault_name),
    })
}

fn blame(blame: &Blame) -> Value {
    let operators: Vec<_> = blame
        .others
        .iter()
        .map(|(operator, lack)| json!({ "operator": operator.get(), "lack": lack.name() }))
        .collect();
    json!({
        "was_it_me": blame.me.is_some(),
        "part": blame.me.map(symbolon_core::Part::name),
        "operators": operators,
        "sentence": blame.to_string(),
    })
}

const fn fault_name(fault: Fault) -> &'static str {
    match fault {
        Fault::BadPartial(_) => "bad_partial",
        Fault::BadValue => "bad_value",
        Fault::Unjustified => "unjustified",
    }
}

/// Exits that operators approve.
pub(super) fn exits(validators: &[PublicKey], exits: &[ExitApproval]) -> Value {
    let exit = |exit: &ExitApproval| {
        json!({
            "validator": exit.validator.0,
            "pubkey": validators.get(exit.validator.0 as usize),
            "epoch": exit.epoch.0,
            "approved_by": numbers(exit.operators.iter().copied()),
            "signed": exit.signed,
            "taken": exit.taken,
        })
    };
    json!({ "exits": exits.iter().map(exit).collect::<Vec<_>>() })
}

/// The other operators.
pub(super) fn peers(peers: &[Peer]) -> Value {
    let peer = |peer: &Peer| {
        json!({
            "operator": peer.operator.get(),
            "connected": peer.route.is_some(),
            "route": peer.route.map(|route| route.to_string()),
            "rtt_ms": peer.rtt.map(|rtt| rtt.as_secs_f64() * 1000.0),
        })
    };
    json!({ "peers": peers.iter().map(peer).collect::<Vec<_>>() })
}

/// The own beacon nodes; addresses without passwords, paths and queries.
pub(super) fn beacon_nodes(nodes: &[NodeHealth]) -> Value {
    let node = |(number, health): (usize, &NodeHealth)| {
        json!({
            "node": number,
            "address": health.label,
            "aside": health.aside.map(beacon::Aside::as_str),
            "lag_slots": health.lag_slots,
            "disagreements": health.disagreements,
            "latency_ms": health.latency_ms,
        })
    };
    json!({ "beacon_nodes": nodes.iter().enumerate().map(node).collect::<Vec<_>>() })
}

fn numbers(operators: impl IntoIterator<Item = ShareIndex>) -> Vec<u8> {
    operators.into_iter().map(ShareIndex::get).collect()
}

fn short(hash: Root) -> String {
    format!("0x{}", hex::encode(&hash.0[..HASH_LEN]))
}

/// From a slot's start to a time; both are milliseconds since 1970, far from the type's ends.
fn after(start: Millis, time: Millis) -> i64 {
    time.0.cast_signed().saturating_sub(start.0.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use types::{Epoch, ValidatorNo};

    #[test]
    fn an_exit_is_shown_with_how_far_it_has_come() {
        let exit = |signed, taken| ExitApproval {
            validator: ValidatorNo(0),
            epoch: Epoch(7),
            operators: BTreeSet::from([2, 4].map(|number| ShareIndex::new(number).unwrap())),
            signed,
            taken,
        };
        let key = PublicKey([5; 48]);
        let shown = exits(&[key], &[exit(false, false), exit(true, false), exit(true, true)]);
        let entry = |signed, taken| {
            json!({
                "validator": 0, "pubkey": key, "epoch": 7, "approved_by": [2, 4], "signed": signed, "taken": taken,
            })
        };
        assert_eq!(shown, json!({ "exits": [entry(false, false), entry(true, false), entry(true, true)] }));
    }
}
