//! All clusters.

use super::frame::{Page, Section};
use super::place::Place;
use super::show::{self, Mood};
use super::table::Table;
use super::{Facts, ROWS_MAX};
use crate::formation::accept;
use crate::ledger::clusters::Stage;
use crate::ledger::deposits;
use maud::{Markup, html};
use types::ClusterId;

pub(super) fn page(facts: &Facts<'_>) -> Page {
    let below = html! {
        p.about { "Operators that hold validators together: so many of each must sign, and no one of them has a key." }
    };
    Page::new(Place::Clusters, "Clusters", &below)
        .with(Section::new("asked", "Asked for", asked(facts)))
        .with(Section::new("all", "Clusters", all(facts)))
}

/// Clusters whose operators have not all answered.
fn asked(facts: &Facts<'_>) -> Markup {
    let mut table =
        Table::new("Clusters that are asked for").words("Cluster").numbers("Accepted").words("Answers until");
    let answers = facts.state.calls.answers.clusters.iter();
    for (id, asked) in answers.filter(|(_, asked)| asked.stage == accept::Stage::Open).take(ROWS_MAX) {
        table.row([
            html! { a href=(Place::Ceremony(*id)) { (show::short(id)) } },
            html! { (asked.accepted.len()) " of " (asked.proposed.operators.len()) },
            show::time(asked.proposed.deadline, facts.now),
        ]);
    }
    let call = facts.state.calls.open.as_ref().map(|call| call.terms());
    html! {
        @if let Some(terms) = call {
            p {
                (terms.demand) " clusters of " (terms.rules.operators) " are called for; the randomness of epoch "
                (terms.seed_epoch) " decides who is in them."
            }
        }
        (table.html("No operator is asked for an answer."))
    }
}

fn all(facts: &Facts<'_>) -> Markup {
    let mut table = Table::new("All clusters")
        .words("Cluster")
        .words("Stage")
        .numbers("Sign")
        .numbers("Active")
        .numbers("Validators")
        .numbers("Balance");
    let clusters = &facts.state.clusters.clusters;
    for (id, cluster) in clusters.iter().take(ROWS_MAX) {
        let of = facts.sums.of.get(id).cloned().unwrap_or_default();
        let threshold = cluster.members.last().map_or(0, |members| members.threshold);
        table.row([
            show::cluster(*id),
            stage(facts, *id, cluster.stage),
            html! { (threshold) " of " (cluster.operators().len()) },
            html! { (show::count(of.stages.get(&deposits::Stage::Active).copied().unwrap_or_default())) },
            html! { (show::count(of.stages.values().sum::<u64>())) },
            show::gwei(of.balance),
        ]);
    }
    html! {
        (table.html("The pool has no clusters yet."))
        (show::more(clusters.len().min(ROWS_MAX), clusters.len(), "/v1/state/clusters"))
    }
}

/// How far a cluster is, and whether it is frozen.
pub(super) fn stage(facts: &Facts<'_>, id: ClusterId, stage: Stage) -> Markup {
    let mood = match stage {
        Stage::Accepted | Stage::Keyed | Stage::Exiting => Mood::Fair,
        Stage::Active => Mood::Good,
        Stage::Closed => Mood::Quiet,
    };
    html! {
        (show::badge(mood, show::word(&stage)))
        @if facts.state.incidents.is_frozen(id) { " " (show::badge(Mood::Bad, "frozen")) }
    }
}
