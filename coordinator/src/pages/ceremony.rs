//! A cluster's ceremony.

use super::frame::{Page, Section};
use super::place::Place;
use super::show::{self, Mood, figures};
use super::table::Table;
use super::{Facts, formed};
use crate::board::{Notice, Place as Seat, Stage, Step};
use maud::{Markup, html};
use types::ClusterId;

/// Steps in which a ceremony goes well, in order.
const STEPS: [Step; 8] = [
    Step::Gather,
    Step::Round1,
    Step::Echo,
    Step::Round2,
    Step::Seal,
    Step::Lock,
    Step::Done,
    Step::Farewell,
];

pub(super) fn page(facts: &Facts<'_>, id: ClusterId) -> Result<Page, String> {
    let Some(notice) = (facts.notice)(id) else {
        return Err(format!("The pool has no cluster {id}, and asks for none."));
    };
    let is_cluster = facts.state.clusters.get(id).is_some();
    let below = html! {
        p { (show::whole(id)) }
        p { (stage(notice.stage)) }
        @if is_cluster { p { a href=(Place::Cluster(id)) { "The cluster" } } }
    };
    let page =
        Page::new(Place::Ceremony(id), format!("Ceremony {}", show::shortened(&id.to_string())), &below)
            .with(Section::new("operators", "Who is there", operators(facts, &notice)))
            .with(Section::new("made", "What is made", what(facts, &notice)))
            .with(Section::new("formed", "How the cluster was formed", formed::proof(facts, id)));
    Ok(page)
}

fn stage(stage: Stage) -> Markup {
    match stage {
        Stage::Asked => show::badge(Mood::Fair, "operators are asked"),
        Stage::Waiting => show::badge(Mood::Fair, "waiting for somebody"),
        Stage::Running => show::badge(Mood::Good, "running"),
        Stage::Delivered => show::badge(Mood::Quiet, "over: the pool has its lock"),
    }
}

fn operators(facts: &Facts<'_>, notice: &Notice<'_>) -> Markup {
    let mut table = Table::new("Operators of the ceremony")
        .numbers("Place")
        .words("Operator")
        .words("Accepted")
        .words("Step")
        .words("Waits for")
        .words("Heard");
    for seat in &notice.operators {
        let answer = if seat.accepted {
            show::badge(Mood::Good, "accepted")
        } else {
            show::badge(Mood::Fair, "has not answered")
        };
        table.row([
            html! { (seat.place) },
            show::operator(facts.state, seat.operator),
            answer,
            step(seat),
            html! { (waits_for(seat)) },
            html! { @match seat.present { Some(present) => (show::time(present.heard, facts.now)), None => "-" } },
        ]);
    }
    let missing: Vec<_> = notice.missing.iter().map(u8::to_string).collect();
    html! {
        @if notice.stage != Stage::Delivered {
            p {
                @if missing.is_empty() { "Everybody was heard of late." } @else { "Not heard of late: " (missing.join(", ")) "." }
            }
        }
        (table.html("Nobody is asked."))
        p.about { "What nodes say of themselves. It is not in the log; what comes of it is a lock that anybody can check." }
    }
}

/// The step, and how far that is.
fn step(seat: &Seat<'_>) -> Markup {
    let Some(present) = seat.present else { return show::badge(Mood::Bad, "missing") };
    let at = STEPS.iter().position(|step| *step == present.word.step);
    html! {
        @match (present.word.done, at) {
            (true, _) => (show::badge(Mood::Good, "done")),
            (false, Some(at)) => { (show::word(&present.word.step)) " (" (at + 1) " of " (STEPS.len()) ")" }
            (false, None) => (show::badge(Mood::Bad, "failed")),
        }
    }
}

fn waits_for(seat: &Seat<'_>) -> String {
    let Some(present) = seat.present else { return "-".to_owned() };
    let places: Vec<_> = present.word.waiting_for.iter().map(u8::to_string).collect();
    if places.is_empty() { "nobody".to_owned() } else { places.join(", ") }
}

fn what(facts: &Facts<'_>, notice: &Notice<'_>) -> Markup {
    let outline = facts.state.calls.outlines.get(&notice.cluster);
    let asked = facts.state.calls.answers.clusters.get(&notice.cluster);
    html! {
        (figures(&[
            ("Validators", html! { @if let Some(outline) = outline { (outline.keys) } @else { "-" } }),
            ("Sign", html! { (notice.threshold) " of " (notice.operators.len()) }),
            ("First deposit", show::gwei(notice.amounts[0])),
            ("The rest", show::gwei(notice.amounts[1])),
            ("Answers until", html! {
                @if let Some(asked) = asked { (show::time(asked.proposed.deadline, facts.now)) } @else { "-" }
            }),
        ]))
        dl.facts {
            div { dt { "Definition" } dd { (show::whole(notice.cluster)) } }
            div { dt { "Withdrawal credentials" } dd { (show::whole(notice.withdrawal_credentials)) } }
            div { dt { "Fee recipient" } dd { (show::whole(notice.fee_recipient)) } }
            @if let Some(lock) = notice.lock { div { dt { "Lock" } dd { (show::whole(lock)) } } }
        }
        p {
            "Before you accept, compare the hash: read " a href={ "/v1/ceremonies/" (notice.cluster) } { "the definition" }
            " and ask " code { "dvt-dkg verify --definition" } "."
        }
    }
}
