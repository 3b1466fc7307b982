//! How a cluster came to be: every rule with its numbers, as the draw has them.

use super::Facts;
use super::show::{self, Mood, figures};
use super::table::Table;
use crate::formation::Rule;
use crate::formation::{Proposal, ProposedCluster};
use crate::ledger::calls;
use crate::ledger::calls::Outline;
use crate::ledger::state::Event;
use alloy_primitives::U256;
use maud::{Markup, html};
use types::{Address, ClusterId, Wei};

/// The proof of a cluster, if its outline is there.
pub(super) fn proof(facts: &Facts<'_>, id: ClusterId) -> Markup {
    let Some(outline) = facts.state.calls.outlines.get(&id) else {
        return html! { p.none { "It was not asked for: there is no proof." } };
    };
    let entry = facts.digest.proposal(outline.proposal);
    let Some((entry, proposal)) = entry.and_then(|entry| Some((entry, proposal(facts, entry)?))) else {
        return html! {
            p {
                "It was not drawn: governance chose it. The same rules had to hold when its operators were asked, "
                (show::time(outline.at, facts.now)) "; who replays the log checks them again."
            }
        };
    };
    let cluster = usize::try_from(outline.place).ok().and_then(|place| proposal.clusters.get(place));
    match cluster {
        Some(cluster) => drawn(facts, outline, entry, &proposal, cluster),
        None => html! { p.none { "The proposal has no such cluster." } },
    }
}

/// The proposal that an entry has.
fn proposal(facts: &Facts<'_>, entry: u64) -> Option<Proposal> {
    let events = (facts.entry)(entry)?.events;
    events.into_iter().find_map(|event| match event {
        Event::Calls(event) => match *event {
            calls::Event::Proposed(proposal) => Some(proposal),
            _ => None,
        },
        _ => None,
    })
}

fn drawn(
    facts: &Facts<'_>,
    outline: &Outline,
    entry: u64,
    proposal: &Proposal,
    cluster: &ProposedCluster,
) -> Markup {
    let mut table = Table::new("Rules that it keeps")
        .words("Rule")
        .words("Of")
        .numbers("Found")
        .numbers("Allowed")
        .words("Holds");
    for check in &cluster.checks {
        table.row([
            html! { (check.rule) },
            subject(facts, &check.subject),
            number(check.rule, check.have),
            number(check.rule, check.limit),
            if check.holds() { show::badge(Mood::Good, "yes") } else { show::badge(Mood::Bad, "no") },
        ]);
    }
    html! {
        p {
            "Drawn by lot: the chain's randomness of epoch " (proposal.seed.epoch) " decided, which nobody had when the \
             call was made. Whoever has the log draws the same again."
        }
        (figures(&[
            ("Number in the draw", html! { (outline.place) }),
            ("Left without a seat", html! { (proposal.left.len()) }),
            ("Entry of the log", html! { a href={ "/v1/log?from=" (entry) "&count=1" } { (entry) } }),
        ]))
        dl.facts {
            div { dt { "Call" } dd { (show::whole(proposal.commitment)) } }
            div { dt { "Randomness" } dd { (show::whole(proposal.seed.mix)) } }
            div { dt { "Proposal" } dd { (show::whole(outline.proposal)) } }
        }
        details {
            summary { "All " (cluster.checks.len()) " rules, with their numbers" }
            (table.html("No rule was asked for."))
        }
    }
}

/// About whom or what: an operator by its name.
fn subject(facts: &Facts<'_>, subject: &str) -> Markup {
    match subject.parse::<Address>() {
        Ok(operator) => show::operator(facts.state, operator),
        Err(_) if subject.is_empty() => html! { "the cluster" },
        Err(_) => html! { (subject) },
    }
}

/// In the rule's unit.
fn number(rule: Rule, number: U256) -> Markup {
    match rule {
        Rule::StakeCap | Rule::EntitySaturation | Rule::ClusterSaturation => {
            let wei = number.checked_mul(crate::formulas::wide::GWEI_WEI).unwrap_or(U256::MAX);
            show::balance(Wei(wei))
        }
        Rule::Leverage | Rule::Bond => show::balance(Wei(number)),
        Rule::OperatorOnce
        | Rule::EntityOnce
        | Rule::OneEntity
        | Rule::Safety(_)
        | Rule::Liveness(_)
        | Rule::Clusters => html! { (show::count(number)) },
    }
}
