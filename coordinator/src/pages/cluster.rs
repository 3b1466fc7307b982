//! A cluster.

use super::frame::{Page, Section};
use super::place::Place;
use super::show::{self, Mood, figures};
use super::strip::{self, EPOCHS_MAX};
use super::table::Table;
use super::{Facts, ROWS_MAX, chart, clusters, formed, incidents, overview};
use crate::ledger::clusters::Cluster;
use crate::ledger::exits;
use crate::ledger::exits::{Exit, Lateness};
use maud::{Markup, html};
use types::{ClusterId, Millis};

pub(super) fn page(facts: &Facts<'_>, id: ClusterId) -> Result<Page, String> {
    let Some(cluster) = facts.state.clusters.get(id) else {
        return Err(format!("The pool has no cluster {id}."));
    };
    let of = facts.sums.of.get(&id).cloned().unwrap_or_default();
    let threshold = cluster.members.last().map_or(0, |members| members.threshold);
    let below = html! {
        p { (show::whole(id)) }
        p { (clusters::stage(facts, id, cluster.stage)) }
        (figures(&[
            ("Sign", html! { (threshold) " of " (cluster.operators().len()) }),
            ("Validators", html! { (show::count(of.stages.values().sum::<u64>())) " of " (cluster.keys) }),
            ("Balance", show::gwei(of.balance)),
            ("May hold", show::gwei(cluster.stake)),
            ("Strikes", html! { (facts.state.reports.strikes(id)) }),
        ]))
        p { a href=(Place::Ceremony(id)) { "Its ceremony" } }
    };
    let page = Page::new(Place::Cluster(id), format!("Cluster {}", show::shortened(&id.to_string())), &below)
        .with(Section::new("duty", "On duty", duty(facts, id)))
        .with(Section::new("operators", "Operators", operators(facts, cluster)))
        .with(Section::new("validators", "Validators", validators(facts, id)))
        .with(Section::new("exits", "Exits", exits_of(facts, id, cluster)))
        .with(Section::new("incidents", "Incidents", incidents_of(facts, id)))
        .with(Section::new("formed", "How it was formed", formed::proof(facts, id)));
    Ok(page)
}

/// What the chain says, not what nodes say of themselves.
fn duty(facts: &Facts<'_>, id: ClusterId) -> Markup {
    if !facts.strips.watched() {
        return html! {
            p.none { "Nothing is watched: this coordinator was started without a beacon node (--beacon-node)." }
        };
    }
    let now = Millis(facts.now.saturating_mul(1_000));
    let cells = facts.strips.cells(id, strip::last(facts.state, now));
    let known = cells.iter().filter_map(|(_, cell)| *cell).filter(|cell| cell.live + cell.dark > 0);
    let (mut full, mut part, mut none) = (0, 0, 0);
    for cell in known {
        match (cell.live, cell.dark) {
            (_, 0) => full += 1,
            (0, _) => none += 1,
            _ => part += 1,
        }
    }
    let unknown = cells.len() - full - part - none;
    let words = format!(
        "{full} epochs with all validators live, {part} with some, {none} with none, {unknown} unknown"
    );
    html! {
        figure {
            (chart::strip(&cells, &words))
            figcaption {
                "The last " (EPOCHS_MAX) " epochs, the newest at the right: " (words) "."
                @if let Some((epoch, cell)) = cells.iter().rev().find(|(_, cell)| cell.is_some()) {
                    " Epoch " (epoch) ": " strong { (chart::said(*cell)) } "."
                }
            }
        }
        p.about {
            "Live, and no evidence: a beacon node is asked once an epoch which validators it saw do anything. It is not in \
             the log and forgotten when the coordinator stops; what counts is in the " a href=(Place::Reports) { "reports" } "."
        }
        details {
            summary { "Epoch by epoch" }
            ol.epochs reversed {
                @for (epoch, cell) in cells.iter().rev() { li { "Epoch " (epoch) ": " (chart::said(*cell)) } }
            }
        }
    }
}

fn operators(facts: &Facts<'_>, cluster: &Cluster) -> Markup {
    let late = facts.state.exits.delinquent(facts.now);
    let newest = facts.digest.frames().next_back();
    let mut table = Table::new("Operators of the cluster")
        .numbers("Place")
        .words("Operator")
        .words("Consensus")
        .words("Execution")
        .words("Country")
        .numbers("Participation")
        .words("Standing");
    for (place, id) in (1..).zip(cluster.operators()) {
        let Some(operator) = facts.state.operators.get(*id) else { continue };
        let setup = &operator.application.setup;
        let part = newest.and_then(|frame| frame.operators.get(id)).and_then(|one| one.participation);
        table.row([
            html! { (place) },
            show::operator(facts.state, *id),
            html! { (setup.consensus_client) },
            html! { (setup.execution_client) },
            html! { (setup.country) },
            html! { @match part { Some(points) => (show::basis_points(points.into())), None => "-" } },
            super::operators::standing(operator, late.contains(id)),
        ]);
    }
    table.html("It has no operators.")
}

fn validators(facts: &Facts<'_>, id: ClusterId) -> Markup {
    let all = facts.state.deposits.validators();
    let mut table = Table::new("Validators of the cluster")
        .words("Key")
        .numbers("Index")
        .words("Stage")
        .numbers("Balance")
        .numbers("Effective")
        .words("Alarms");
    let its = || all.iter().filter(|(_, validator)| validator.cluster == id);
    for (pubkey, validator) in its().take(ROWS_MAX) {
        table.row([
            show::short(pubkey),
            html! { @match validator.index { Some(index) => (index), None => "-" } },
            overview::stage_badge(validator.stage),
            show::gwei(validator.balance),
            show::gwei(validator.effective),
            html! {
                @for alarm in &validator.alarms { (show::badge(Mood::Bad, show::word(alarm))) " " }
                @if validator.alarms.is_empty() { "none" }
            },
        ]);
    }
    let count = its().count();
    html! {
        (table.html("It has no keys yet."))
        (show::more(count.min(ROWS_MAX), count, "/v1/state/deposits"))
    }
}

fn exits_of(facts: &Facts<'_>, id: ClusterId, cluster: &Cluster) -> Markup {
    let threshold = cluster.members.last().map_or(0, |members| members.threshold);
    let mut table = Table::new("Exits that were asked for")
        .numbers("Validator")
        .words("Why")
        .words("Stage")
        .words("Signed by")
        .words("Due");
    let all = facts.state.exits.exits();
    for (index, exit) in all.iter().filter(|(_, exit)| exit.asked.cluster == id).take(ROWS_MAX) {
        table.row([
            html! { (index) },
            html! { (show::word(&exit.asked.why)) },
            html! { (show::badge(exit_mood(exit), show::word(&exit.stage))) },
            html! {
                (exit.partials.len()) " of " (threshold)
                @for place in exit.partials.keys() {
                    @if let Some(signer) = cluster.operators().get(place.0.position()) {
                        br; (show::operator(facts.state, *signer))
                    }
                }
                @for late in &exit.missing {
                    br; (show::badge(Mood::Bad, "late")) " " (show::operator(facts.state, *late))
                }
            },
            html! {
                @if exit.stage < exits::Stage::Seen { (show::time(exit.asked.deadline, facts.now)) } @else { "seen" }
            },
        ]);
    }
    table.html("No exit was asked for.")
}

fn exit_mood(exit: &Exit) -> Mood {
    match (exit.stage, exit.lateness) {
        (exits::Stage::Exited | exits::Stage::Withdrawn, _) => Mood::Quiet,
        (_, Lateness::Delinquent) => Mood::Bad,
        (_, Lateness::Delayed | Lateness::InTime) => Mood::Fair,
    }
}

fn incidents_of(facts: &Facts<'_>, id: ClusterId) -> Markup {
    let all = facts.state.incidents.incidents();
    let its = all.iter().filter(|(_, one)| one.opened.cluster == id).map(|(number, one)| (*number, one));
    incidents::standing(facts, its, "None is open, and nobody owes for one.")
}
