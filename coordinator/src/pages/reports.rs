//! All reports.

use super::digest::{Digest, FRAMES_MAX};
use super::frame::{Page, Section};
use super::overview::{scaled, share_rate};
use super::place::Place;
use super::show;
use super::table::Table;
use super::{Facts, chart};
use alloy_primitives::U256;
use maud::{Markup, html};

/// Reports that the list shows, and that the lines of operators go back.
const SHOWN: usize = 60;
/// Operators whose participation is drawn: those with most to do in the last report.
const OPERATORS: usize = 24;

pub(super) fn page(facts: &Facts<'_>) -> Page {
    let epochs = facts.state.policy.terms().reports.frame_epochs;
    let below = html! {
        p.about {
            "Each frame of " (epochs) " epochs the coordinator tells what the chain brought, and the log says whose it is. \
             Anybody with a beacon node can make a report again."
        }
    };
    Page::new(Place::Reports, "Reports", &below)
        .with(Section::new("rate", "What a share is worth", rate(facts)))
        .with(Section::new("apr", "Yearly rate", yearly(facts)))
        .with(Section::new("participation", "Participation by operator", participation(facts)))
        .with(Section::new("all", "Reports", all(facts)))
}

/// The yearly rate over the last frames, at most so many; and over how many.
pub(super) fn apr(digest: &Digest, frames: usize) -> Option<(i64, usize)> {
    let mut newest = digest.frames().rev();
    let last = newest.next()?;
    let (over, first) = (1..=frames).zip(newest).last()?;
    Some((last.apr_since(first)?, over))
}

fn rate(facts: &Facts<'_>) -> Markup {
    let points: Vec<_> = facts.digest.frames().map(|frame| (frame.at, scaled(frame.share_rate))).collect();
    let rates = || facts.digest.frames().map(|frame| frame.share_rate);
    let (Some(low), Some(high), Some(last)) = (rates().min(), rates().max(), rates().next_back()) else {
        return html! { p.none { "The first report has not come yet." } };
    };
    html! {
        figure {
            (chart::line(&points, "What a share was worth, report by report"))
            figcaption {
                "Now " strong { (share_rate(last)) " ETH" } "; the lowest " (share_rate(low)) ", the highest "
                (share_rate(high)) ", of the last " (points.len()) " reports"
                @if points.len() == FRAMES_MAX { " (more are in the log)" } "."
            }
        }
    }
}

fn yearly(facts: &Facts<'_>) -> Markup {
    let frames: Vec<_> = facts.digest.frames().collect();
    let points: Vec<_> = frames
        .windows(2)
        .filter_map(|pair| Some((pair[1].at, i128::from(pair[1].apr_since(pair[0])?))))
        .collect();
    if points.is_empty() {
        return html! { p.none { "Two reports are needed to know one." } };
    }
    let over = |frames| apr(facts.digest, frames);
    html! {
        figure {
            (chart::line(&points, "Yearly rate, report by report"))
            figcaption {
                @for (at, frames) in [1, 7, 30].into_iter().enumerate() {
                    @if let Some((points, over)) = over(frames).filter(|(_, over)| *over == frames || at == 0) {
                        @if at > 0 { "; " }
                        strong { (show::basis_points(points)) } " over " (over) @if over == 1 { " frame" } @else { " frames" }
                    }
                }
                ". A year at the pace of these frames, after all fees; nothing is compounded, and nothing is promised."
            }
        }
    }
}

fn participation(facts: &Facts<'_>) -> Markup {
    let frames: Vec<_> = facts.digest.frames().rev().take(SHOWN).collect();
    let Some(newest) = frames.first() else {
        return html! { p.none { "The first report has not come yet." } };
    };
    let mut table = Table::new("Participation by operator, at the last report")
        .words("Operator")
        .numbers("Last")
        .words("Before");
    for (id, one) in newest.operators.iter().take(OPERATORS) {
        let points: Vec<_> = frames
            .iter()
            .rev()
            .filter_map(|frame| Some((frame.at, frame.operators.get(id)?.participation?.into())))
            .collect();
        table.row([
            show::operator(facts.state, *id),
            html! { @match one.participation { Some(points) => (show::basis_points(points.into())), None => "-" } },
            html! {
                @if points.len() > 1 { (chart::parts(&points, "Participation, report by report")) }
                @let worst = points.iter().map(|point: &(u64, i128)| point.1).min();
                @if let Some(worst) = worst.and_then(|worst| i64::try_from(worst).ok()) {
                    span.beside { "worst of " (points.len()) ": " (show::basis_points(worst)) }
                }
            },
        ]);
    }
    html! {
        (table.html("No cluster had duties yet."))
        (show::more(newest.operators.len().min(OPERATORS), newest.operators.len(), &Place::Report(newest.frame).to_string()))
    }
}

fn all(facts: &Facts<'_>) -> Markup {
    let mut table = Table::new("Reports, the newest first")
        .numbers("Report")
        .words("Of")
        .numbers("A share")
        .numbers("Pooled")
        .numbers("Brought")
        .numbers("Duties");
    for frame in facts.digest.frames().rev().take(SHOWN) {
        let duties = show::percent(U256::from(frame.duties.made), U256::from(frame.duties.due));
        table.row([
            html! { a href=(Place::Report(frame.frame)) { (frame.frame) } },
            show::time(frame.at, facts.now),
            html! { (share_rate(frame.share_rate)) },
            show::balance(frame.pooled),
            super::report::net(frame.result),
            html! { (duties) },
        ]);
    }
    let told = usize::try_from(facts.state.reports.next()).unwrap_or(usize::MAX);
    html! {
        (table.html("The first report has not come yet."))
        @if told > SHOWN { p.more { "Earlier ones, down to " a href=(Place::Report(0)) { "the first" } ", are found by their number." } }
    }
}
