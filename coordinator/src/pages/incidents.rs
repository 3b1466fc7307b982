//! What went wrong, and who pays.

use super::Facts;
use super::digest::{Ending, INCIDENTS_MAX, Tale};
use super::frame::{Page, Section};
use super::place::Place;
use super::show::{self, Mood};
use super::table::Table;
use crate::ledger::incidents::{Fault, Incident, Stage};
use crate::ledger::operators::OperatorId;
use maud::{Markup, html};

pub(super) fn page(facts: &Facts<'_>) -> Page {
    let below = html! {
        p.about {
            "Slashings, stolen rewards of blocks, clusters that were down, exits that did not come. A loss is paid by the \
             guilty, by their cluster if the policy says so, by the reserve, by delegators, in this order."
        }
        @if facts.state.incidents.holds_queue() {
            p { (show::badge(Mood::Bad, "Withdrawals are held")) " A slashing is open." }
        }
    };
    let open = facts.state.incidents.incidents().iter().map(|(number, one)| (*number, one));
    Page::new(Place::Incidents, "Incidents", &below)
        .with(Section::new(
            "open",
            "Open, or owed for",
            standing(facts, open, "None is open, and nobody owes."),
        ))
        .with(Section::new("all", "All that the log told", all(facts)))
}

/// Incidents that the state has. `if_none`: what is said if there are none.
pub(super) fn standing<'a>(
    facts: &Facts<'_>,
    incidents: impl Iterator<Item = (u64, &'a Incident)>,
    if_none: &str,
) -> Markup {
    let mut table = Table::new("Incidents")
        .numbers("Number")
        .words("What")
        .words("Stands")
        .words("Cluster")
        .words("Guilty")
        .words("Opened");
    for (number, incident) in incidents {
        let opened = &incident.opened;
        table.row([
            html! { (number) },
            fault(&opened.fault),
            stands(facts, incident),
            show::cluster(opened.cluster),
            html! {
                @if !incident.proven { "not proven: " (opened.members.len()) " are responsible" }
                @else { (names(facts, opened.guilty.iter().copied())) }
            },
            show::time(opened.at, facts.now),
        ]);
    }
    table.html(if_none)
}

fn fault(fault: &Fault) -> Markup {
    html! {
        @match fault {
            Fault::Slashing(seen) => { "slashing of validator " (seen.validator) ", fault in epoch " (seen.fault) }
            Fault::Theft(seen) => {
                "block of slot " (seen.slot) " paid " (show::short(seen.paid_to)) ": " (show::balance(seen.amount))
            }
            Fault::Downtime(seen) => { "down from epoch " (seen.from) " to " (seen.until) ": " (show::gwei_reward(seen.cost)) }
            Fault::MissedExit(validator) => { "exit of validator " (validator) " did not come" }
        }
    }
}

fn stands(facts: &Facts<'_>, incident: &Incident) -> Markup {
    match &incident.stage {
        Stage::Open => html! {
            (show::badge(Mood::Bad, "open"))
            @if let Some((epoch, lost)) = incident.seen { " " (show::gwei(lost)) " lost by epoch " (epoch) }
        },
        Stage::Owed(debts) => html! {
            (show::badge(Mood::Fair, "paid, and owed for"))
            @for (operator, owed) in debts.debtors() {
                br; (show::operator(facts.state, operator)) " owes " (show::balance(owed))
            }
        },
    }
}

fn names(facts: &Facts<'_>, operators: impl Iterator<Item = OperatorId>) -> Markup {
    html! { @for (at, operator) in operators.enumerate() { @if at > 0 { br; } (show::operator(facts.state, operator)) } }
}

fn all(facts: &Facts<'_>) -> Markup {
    let mut table = Table::new("All incidents, the newest first")
        .numbers("Number")
        .words("What")
        .words("Ended")
        .words("Cluster")
        .words("Entry");
    for (number, tale) in facts.digest.incidents().iter().rev() {
        table.row([
            html! { (number) },
            fault(&tale.opened.fault),
            ended(facts, tale),
            show::cluster(tale.opened.cluster),
            html! { a href={ "/v1/log?from=" (tale.entry) "&count=1" } { (tale.entry) } },
        ]);
    }
    html! {
        (table.html("Nothing has gone wrong yet."))
        p.about { "At most the last " (INCIDENTS_MAX) "." }
    }
}

fn ended(facts: &Facts<'_>, tale: &Tale) -> Markup {
    let Some((at, ending)) = &tale.ended else { return show::badge(Mood::Bad, "open") };
    html! {
        @match ending {
            Ending::Settled(loss) => { (show::badge(Mood::Quiet, "paid")) " " (show::balance(*loss)) }
            Ending::Dismissed(reason) => { (show::badge(Mood::Quiet, "dismissed")) " " q { (reason) } }
        }
        ", " (show::time(*at, facts.now))
    }
}
