//! All operators.

use super::frame::{Page, Section};
use super::place::Place;
use super::show::{self, Mood};
use super::table::Table;
use super::{Facts, ROWS_MAX};
use crate::ledger::operators::{Operator, Standing};
use maud::{Markup, html};

pub(super) fn page(facts: &Facts<'_>) -> Page {
    let below = html! {
        p.about { "Who runs the nodes. What stands here of clients and countries operators say of themselves." }
    };
    Page::new(Place::Operators, "Operators", &below).with(Section::new("all", "Operators", all(facts)))
}

fn all(facts: &Facts<'_>) -> Markup {
    let operators = &facts.state.operators.operators;
    let late = facts.state.exits.delinquent(facts.now);
    let newest = facts.digest.frames().next_back();
    let mut table = Table::new("All operators")
        .words("Operator")
        .words("Standing")
        .words("Type")
        .words("Country")
        .numbers("Bond")
        .numbers("Stake")
        .numbers("Participation");
    for (id, operator) in operators.iter().take(ROWS_MAX) {
        let part = newest.and_then(|frame| frame.operators.get(id)).and_then(|one| one.participation);
        let bond = facts.state.bonds.accounts.get(id).map(|account| account.bond).unwrap_or_default();
        table.row([
            show::operator(facts.state, *id),
            standing(operator, late.contains(id)),
            html! { (operator.application.operator_type) },
            html! { (operator.application.setup.country) },
            show::balance(bond),
            show::gwei(facts.state.clusters.stake_of(*id)),
            html! { @match part { Some(points) => (show::basis_points(points.into())), None => "-" } },
        ]);
    }
    html! {
        (table.html("Nobody has applied yet."))
        (show::more(operators.len().min(ROWS_MAX), operators.len(), "/v1/state/operators"))
    }
}

/// Where an operator stands.
///
/// - `late`: whether it is delinquent with an exit.
pub(super) fn standing(operator: &Operator, late: bool) -> Markup {
    let mood = match operator.standing {
        Standing::Active => Mood::Good,
        Standing::Applied | Standing::Vetted | Standing::Exiting => Mood::Fair,
        Standing::Left => Mood::Quiet,
    };
    html! {
        (show::badge(mood, show::word(&operator.standing)))
        @if operator.paused() { " " (show::badge(Mood::Bad, "paused")) }
        @if late { " " (show::badge(Mood::Bad, "delinquent")) }
        @if !operator.pending.is_empty() { " " (show::badge(Mood::Fair, "announced a change")) }
    }
}
