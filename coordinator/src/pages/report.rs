//! A report.

use super::frame::{Page, Section};
use super::place::Place;
use super::show::{self, Mood, figures};
use super::table::Table;
use super::{Facts, ROWS_MAX, overview};
use crate::ledger::frames::{self, Told};
use crate::ledger::reports::{Net, Reported};
use alloy_primitives::U256;
use maud::{Markup, html};

/// What the log has of a report; nothing if there is none, or it is not read yet.
pub(super) fn told(facts: &Facts<'_>, frame: u64) -> Option<Told> {
    frames::told(&(facts.entry)(facts.digest.report(frame)?)?)
}

pub(super) fn page(facts: &Facts<'_>, frame: u64) -> Result<Page, String> {
    let told = told(facts, frame).ok_or_else(|| format!("There is no report {frame}."))?;
    let reported = &told.reported;
    let below = html! {
        p { "Of epoch " (reported.epoch) ", slot " (reported.slot) ", " (show::time(reported.at, facts.now)) }
        (figures(&[
            ("Brought", net(reported.result)),
            ("A share is worth", html! { (overview::share_rate(reported.share_rate)) " ETH" }),
            ("Pooled", show::balance(reported.after.pooled)),
            ("In validators", show::gwei(reported.balance)),
        ]))
        p {
            @if let Some(before) = frame.checked_sub(1) { a href=(Place::Report(before)) { "The one before" } " · " }
            @if frame + 1 < facts.state.reports.next() { a href=(Place::Report(frame + 1)) { "The next" } }
        }
    };
    let page = Page::new(Place::Report(frame), format!("Report {frame}"), &below)
        .with(Section::new("result", "Where it comes from", categories(reported)))
        .with(Section::new("parts", "Whose it is", parts(reported)))
        .with(Section::new("clusters", "Clusters", clusters(reported)))
        .with(Section::new("operators", "Operators", operators(facts, reported)))
        .with(Section::new("concentration", "Concentration", overview::figures_of(&reported.concentration)))
        .with(Section::new("verify", "How to verify it", verify(&told)));
    Ok(page)
}

/// An amount with its sign.
pub(super) fn net(net: Net) -> Markup {
    html! {
        @match net {
            Net::Gain(gain) => { "+" (show::reward(gain)) }
            Net::Loss(loss) => { "\u{2212}" (show::reward(loss)) }
        }
    }
}

fn categories(reported: &Reported) -> Markup {
    let of = &reported.categories;
    let lost = reported.lost;
    html! {
        (figures(&[
            ("Earned by duties", show::gwei_reward(of.rewards)),
            ("Of blocks", show::reward(reported.el_rewards)),
            ("Lost by missed duties", show::gwei_reward(of.missed)),
            ("Leaked", show::gwei_reward(of.leaked)),
            ("Slashed", show::gwei_reward(of.slashed)),
            ("Deposits lost", show::gwei_reward(lost)),
            ("Deposits arrived", show::gwei(reported.arrived)),
            ("Withdrawn", show::gwei(reported.withdrawn)),
        ]))
    }
}

fn parts(reported: &Reported) -> Markup {
    let parts = &reported.parts;
    html! {
        (figures(&[
            ("Delegators", net(parts.delegators)),
            ("Operators", show::reward(parts.operators)),
            ("Operators' debts", show::reward(parts.debts)),
            ("Treasury", show::reward(parts.pool)),
            ("Reserve", show::reward(parts.reserve)),
        ]))
        @if let Some(stress) = &reported.stress {
            p {
                "If the costliest cluster, " (show::cluster(stress.cluster)) ", were slashed as a whole and nobody paid for \
                 it, " (show::gwei(stress.loss)) " would be lost and a share be worth "
                (overview::share_rate(stress.share_rate)) " ETH."
            }
        }
    }
}

fn clusters(reported: &Reported) -> Markup {
    let mut table = Table::new("Clusters in this frame")
        .words("Cluster")
        .numbers("Duties")
        .numbers("Effectiveness")
        .numbers("Stake")
        .numbers("Could earn")
        .words("Marks");
    for (id, one) in reported.clusters.iter().take(ROWS_MAX) {
        let ten = U256::from(10_000);
        let effective = one.effectiveness().and_then(|ratio| ratio.floor_of(ten).ok());
        table.row([
            show::cluster(*id),
            html! { (show::percent(U256::from(one.duties.made), U256::from(one.duties.due))) },
            html! { @match effective { Some(part) => (show::percent(part, ten)), None => "-" } },
            show::gwei(one.stake),
            show::reward(one.reward),
            html! {
                @if one.strike { (show::badge(Mood::Bad, "strike")) " " }
                @if reported.ejected.contains(id) { (show::badge(Mood::Bad, "ejected")) }
                @if !one.strike && !reported.ejected.contains(id) { "none" }
            },
        ]);
    }
    table.html("No cluster had validators.")
}

fn operators(facts: &Facts<'_>, reported: &Reported) -> Markup {
    let mut table = Table::new("Operators in this frame")
        .words("Operator")
        .words("Cluster")
        .numbers("Participation")
        .numbers("Earned");
    let all = reported.clusters.iter().flat_map(|(id, one)| one.parts.iter().map(move |part| (id, part)));
    for (cluster, part) in all.clone().take(ROWS_MAX) {
        let ten = U256::from(10_000);
        let did = part.participation.floor_of(ten).ok();
        table.row([
            show::operator(facts.state, part.operator),
            show::cluster(*cluster),
            html! { @match did { Some(did) => (show::percent(did, ten)), None => "-" } },
            show::reward(part.earned),
        ]);
    }
    let count = all.count();
    html! {
        (table.html("No operator had duties."))
        @if count > ROWS_MAX { p.more { (count - ROWS_MAX) " more are in the entry of the log." } }
    }
}

fn verify(told: &Told) -> Markup {
    let reported = &told.reported;
    html! {
        dl.facts {
            div { dt { "Root of all claims" } dd {
                @match reported.claims { Some(root) => (show::whole(root)), None => "nobody has earned anything yet" }
            } }
            div { dt { "Block of the state" } dd { (show::whole(reported.block_root)) } }
            div { dt { "Evidence" } dd { (show::whole(reported.evidence)) } }
            div { dt { "Entry of the log" } dd { a href={ "/v1/log?from=" (told.entry) "&count=1" } { (told.entry) } } }
        }
        p {
            "The entry names the answers of a beacon node (" (told.report.evidence.len()) ") that the report was read from, \
             each with its hash. Make it again from a node of your own, and compare the two to the byte:"
        }
        pre { "curl -s $POOL/v1/log > pool.jsonl\ndvt-coordinator report verify --file pool.jsonl \\\n  --beacon-node http://127.0.0.1:5052 --frame "
            (reported.frame) }
        p.about { "A log of more than a thousand entries comes in parts (" code { "?from=" } "). The claims' root is of a tree of what each reward \
            address has ever earned; who replays the log has all of its leaves." }
    }
}
