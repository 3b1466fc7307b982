//! The pool.

use super::chart;
use super::frame::{Page, Section};
use super::incidents;
use super::place::Place;
use super::show::{self, Mood, figures};
use super::table::Table;
use super::{Facts, ROWS_MAX};
use crate::formulas::ratio::Ratio;
use crate::ledger::deposits;
use crate::ledger::reports::{Axis, Figures};
use alloy_primitives::U256;
use maud::{Markup, html};
use types::Wei;

pub(super) fn page(facts: &Facts<'_>) -> Page {
    let charter = &facts.state.charter;
    let below = html! {
        p.about {
            "A delegated staking pool on " (charter.network.name) ". Its id is " (show::short(facts.state.pool)) "."
        }
        @if let Some(pause) = facts.state.governance.deposits_paused {
            p {
                (show::badge(Mood::Bad, "Deposits are stopped")) " by guardian " (show::short(pause.by)) ", "
                (show::time(pause.at, facts.now))
            }
        }
        @if facts.digest.entries() < facts.entries {
            p {
                (show::badge(Mood::Fair, "Reading the log")) " "
                (show::count(facts.digest.entries())) " of " (show::count(facts.entries))
                " entries are read: histories are not complete yet."
            }
        }
    };
    Page::new(Place::Overview, charter.name.as_str(), &below)
        .with(Section::new("value", "What it is worth", value(facts)))
        .with(Section::new("incidents", "Open incidents", open_incidents(facts)))
        .with(Section::new("validators", "Validators", validators(facts)))
        .with(Section::new("withdrawals", "Withdrawals and reserve", withdrawals(facts)))
        .with(Section::new("concentration", "Concentration", concentration(facts)))
        .with(Section::new("log", "The log", log(facts)))
}

fn value(facts: &Facts<'_>) -> Markup {
    let money = &facts.state.money;
    let newest = facts.digest.frames().next_back();
    let rate = newest.map_or_else(
        || html! { "not reported yet" },
        |frame| html! { (share_rate(frame.share_rate)) " ETH" },
    );
    let apr = super::reports::apr(facts.digest, 7);
    let apr = match apr {
        Some((points, frames)) => html! {
            (show::basis_points(points)) " "
            span.beside { "over " (frames) @if frames == 1 { " frame" } @else { " frames" } }
        },
        None => html! { "not known yet" },
    };
    let points: Vec<_> = facts.digest.frames().map(|frame| (frame.at, scaled(frame.share_rate))).collect();
    html! {
        (figures(&[
            ("A share is worth", rate),
            ("Yearly rate", apr),
            ("Pooled", show::balance(money.rate().pooled)),
            ("Clusters", html! {
                a href=(Place::Clusters) { (show::count(facts.state.clusters.clusters.len())) }
            }),
            ("Operators", html! {
                a href=(Place::Operators) { (show::count(facts.state.operators.operators.len())) }
            }),
        ]))
        @if let [(first, _), .., (last, _)] = points[..] {
            figure {
                (chart::line(&points, "What a share was worth, report by report"))
                figcaption {
                    "What a share was worth at " (points.len()) " reports, from " (show::time(first, facts.now))
                    " to " (show::time(last, facts.now)) ". " a href=(Place::Reports) { "All reports" }
                }
            }
        }
    }
}

/// What a share is worth, in ETH with eight digits behind the point.
pub(super) fn share_rate(rate: U256) -> String {
    // A rate is of 10^27 shares of 10^-18 each, in wei.
    show::decimal(rate / U256::from(10).pow(U256::from(19)), 8)
}

/// A rate as a number for a picture: in 10^-9 of a wei for a share.
pub(super) fn scaled(rate: U256) -> i128 {
    rate.try_into().unwrap_or(i128::MAX)
}

fn open_incidents(facts: &Facts<'_>) -> Markup {
    let open = facts.state.incidents.incidents();
    html! {
        (incidents::standing(facts, open.iter().take(5).map(|(number, one)| (*number, one)), "None is open, and nobody owes."))
        @if open.len() > 5 { p { a href=(Place::Incidents) { "All " (open.len()) } } }
    }
}

fn validators(facts: &Facts<'_>) -> Markup {
    let all = facts.sums.validators();
    let mut table = Table::new("Validators by stage").words("Stage").numbers("Validators").numbers("Part");
    for stage in deposits::Stage::ALL {
        let Some(count) = facts.sums.stages.get(&stage).copied() else { continue };
        let part = show::percent(U256::from(count), U256::from(all));
        table.row([stage_badge(stage), html! { (show::count(count)) }, html! { (part) }]);
    }
    let books = facts.state.money.books();
    html! {
        (table.html("The pool has no validators yet."))
        (figures(&[
            ("In validators", show::balance(books.validators)),
            ("On the way to them", show::balance(books.transient)),
            ("Planned", show::balance(books.planned)),
            ("In the buffer", show::balance(books.buffer)),
        ]))
        @if facts.sums.held > 0 {
            p { (show::badge(Mood::Bad, "Held")) " " (facts.sums.held) " get no more until governance has looked." }
        }
    }
}

/// How far a validator is.
pub(super) fn stage_badge(stage: deposits::Stage) -> Markup {
    use deposits::Stage;
    let mood = match stage {
        Stage::Active => Mood::Good,
        Stage::Slashed | Stage::Foreign => Mood::Bad,
        Stage::Exited | Stage::Withdrawn | Stage::Compensated => Mood::Quiet,
        Stage::Ready
        | Stage::PredepositPlanned
        | Stage::Predeposited
        | Stage::Proven
        | Stage::RestPlanned
        | Stage::RestDeposited
        | Stage::Exiting => Mood::Fair,
    };
    show::badge(mood, show::word(&stage))
}

fn withdrawals(facts: &Facts<'_>) -> Markup {
    let money = &facts.state.money;
    let queue = money.queue();
    let mut table = Table::new("Requests that wait, the next first")
        .words("Request")
        .words("Whose")
        .numbers("At most")
        .words("Made");
    for (number, request) in queue.open().take(10) {
        table.row([
            html! { (number) },
            show::account(request.owner),
            show::balance(request.eth),
            show::time(request.at, facts.now),
        ]);
    }
    let waiting = usize::try_from(queue.waiting()).unwrap_or(usize::MAX);
    html! {
        (figures(&[
            ("Requests that wait", html! { (show::count(waiting)) }),
            ("They would get", facts.sums.queued.map_or_else(|| html! { "-" }, show::balance)),
            ("Served, not claimed", html! { (show::count(facts.sums.claimable)) }),
            ("Set aside for them", show::balance(money.books().locked)),
            ("Reserve for losses", show::balance(money.reserve())),
        ]))
        @if facts.state.incidents.holds_queue() {
            p { (show::badge(Mood::Bad, "Held")) " No withdrawal is served while a slashing is open." }
        }
        (table.html("Nobody waits."))
        (show::more(waiting.min(10), waiting, "/v1/state/money"))
    }
}

fn concentration(facts: &Facts<'_>) -> Markup {
    let told = facts.state.reports.next().checked_sub(1).and_then(|frame| super::report::told(facts, frame));
    let Some(told) = told else { return html! { p.none { "The first report has not come yet." } } };
    html! {
        p {
            "How few hold how much of the pool's stake, at the last report. A coefficient is the fewest that together \
             have more than a third, more than a half, at least two thirds. An index (HHI) of 1 is a monopoly."
        }
        (figures_of(&told.reported.concentration))
    }
}

/// Nakamoto coefficients and indices, by dimension.
pub(super) fn figures_of(all: &std::collections::BTreeMap<Axis, Figures>) -> Markup {
    let mut table = Table::new("Concentration of stake")
        .words("By")
        .numbers("A third")
        .numbers("A half")
        .numbers("Two thirds")
        .numbers("HHI")
        .words("The largest");
    for (axis, figures) in all {
        table.row([
            html! { (dimension(*axis)) },
            html! { (figures.third) },
            html! { (figures.half) },
            html! { (figures.two_thirds) },
            html! { (hhi(figures.hhi)) },
            html! { (figures.largest) },
        ]);
    }
    table.html("The pool has no stake yet.")
}

/// By what stake is counted.
fn dimension(axis: Axis) -> &'static str {
    match axis {
        Axis::Entity => "entity",
        Axis::Country => "country",
        Axis::HostingAs => "hosting network",
        Axis::ExecutionClient => "execution client",
        Axis::ConsensusClient => "consensus client",
        Axis::ValidatorClient => "validator client",
    }
}

/// An index with four digits behind the point.
fn hhi(ratio: Ratio) -> String {
    ratio.floor_of(U256::from(10_000)).map_or_else(|_| "-".to_owned(), |parts| show::decimal(parts, 4))
}

fn log(facts: &Facts<'_>) -> Markup {
    let mut all = vec![
        ("Entries", html! { (show::count(facts.entries)) }),
        ("The last", show::time(facts.at, facts.now)),
        ("Finalized epoch", html! { (facts.state.chain.finalized.epoch) }),
    ];
    let Some((signed, by)) = facts.head else {
        return html! {
            (figures(&all))
            p.none { "No head was signed yet: who asks for " a href="/v1/head" { "/v1/head" } " gets one." }
        };
    };
    let head = &signed.head;
    all.push(("Head signed at", html! { (show::count(head.size)) " entries" }));
    html! {
        (figures(&all))
        dl.facts {
            div { dt { "Root of the log" } dd { (show::whole(head.root)) } }
            div { dt { "Root of the state" } dd { (show::whole(head.state)) } }
            div { dt { "Last entry" } dd { (show::whole(head.last)) } }
            div { dt { "Signature" } dd { (show::whole(signed.signature)) } }
        }
        p {
            "Signed by the coordinator, " (show::short(facts.state.governance.coordinator)) "."
            @if facts.entries > head.size {
                " " (show::count(facts.entries - head.size)) " entries have come since."
            }
        }
        h3 { "Countersigned by" }
        @if by.is_empty() { p.none { "Nobody yet." } } @else {
            ul.who {
                @for signer in by.iter().take(ROWS_MAX) { li { (who(facts, *signer)) } }
            }
        }
    }
}

/// An operator's manager, or a guardian.
fn who(facts: &Facts<'_>, signer: types::Address) -> Markup {
    let operators = &facts.state.operators.operators;
    match operators.iter().find(|(_, operator)| operator.manager == signer) {
        Some((id, _)) => show::operator(facts.state, *id),
        None => html! { (show::short(signer)) " (guardian)" },
    }
}

/// A sum that may not fit.
pub(super) fn sum(wei: Option<Wei>) -> Markup {
    wei.map_or_else(|| html! { "-" }, show::balance)
}
