//! An operator.

use super::frame::{Page, Section};
use super::place::Place;
use super::show::{self, Mood, figures};
use super::table::Table;
use super::{Facts, ROWS_MAX, chart, clusters, digest, incidents, operators, overview};
use crate::formulas::wide;
use crate::ledger::bonds::LockReason;
use crate::ledger::operators::{AlarmCause, Announcement, Operator, OperatorId};
use maud::{Markup, html};
use types::{Address, Wei};

pub(super) fn page(facts: &Facts<'_>, address: Address) -> Result<Page, String> {
    let all = &facts.state.operators.operators;
    let by_name = all.get_key_value(&address);
    let found = by_name.or_else(|| all.iter().find(|(_, operator)| operator.manager == address));
    let Some((id, operator)) = found else {
        return Err(format!("{address} is no operator of this pool, and manages none."));
    };
    let late = facts.state.exits.is_delinquent(*id, facts.now);
    let setup = &operator.application.setup;
    let below = html! {
        p { (operators::standing(operator, late)) }
        @if let Some(reason) = &operator.paused_for { p { "Paused: " q { (reason) } } }
        (figures(&[
            ("Type", html! { (operator.application.operator_type) }),
            ("Country", html! { (setup.country) " " span.beside { "AS" (setup.hosting_as) } }),
            ("Execution client", html! { (setup.execution_client) }),
            ("Consensus client", html! { (setup.consensus_client) }),
            ("Validator client", html! { (setup.validator_client) }),
            ("Applied", show::time(operator.applied_at, facts.now)),
        ]))
        dl.facts {
            div { dt { "Name" } dd { (show::whole(id)) } }
            div { dt { "Manager" } dd { (show::whole(operator.manager)) } }
            div { dt { "Reward address" } dd {
                a href=(Place::Delegator(operator.reward)) { (show::whole(operator.reward)) }
            } }
            div { dt { "Node" } dd { (show::whole(operator.node_address())) } }
        }
    };
    let page = Page::new(Place::Operator(*id), operator.application.entity.as_str(), &below)
        .with(Section::new("announced", "Announcements and alarms", announced(facts, operator)))
        .with(Section::new("bond", "Bond", bond(facts, *id, operator)))
        .with(Section::new("clusters", "Clusters", clusters_of(facts, *id)))
        .with(Section::new("participation", "Participation", participation(facts, *id)))
        .with(Section::new("earned", "Earned and owed", earned(facts, *id, operator)))
        .with(Section::new("incidents", "Incidents", incidents_of(facts, *id)));
    Ok(page)
}

fn announced(facts: &Facts<'_>, operator: &Operator) -> Markup {
    html! {
        @for pending in operator.pending.values() {
            p {
                (show::badge(Mood::Fair, "announced")) " " (said(&pending.what)) ", "
                (show::time(pending.at, facts.now)) "; takes effect from " (show::time(pending.ready_at, facts.now)) " on."
            }
        }
        @if operator.alarms.is_empty() {
            p.none { "Nothing was announced." }
        } @else {
            ul.lines {
                @for alarm in operator.alarms.iter().rev() {
                    li { (show::time(alarm.at, facts.now)) ": " (cause(&alarm.cause)) }
                }
            }
        }
    }
}

fn said(what: &Announcement) -> Markup {
    html! {
        @match what {
            Announcement::Manager(address) => { "another manager, " (show::short(address)) }
            Announcement::Reward(address) => { "another reward address, " (show::short(address)) }
            Announcement::Leave => "that it leaves",
        }
    }
}

fn cause(cause: &AlarmCause) -> Markup {
    html! {
        @match cause {
            AlarmCause::Announced(what) => { "announced " (said(what)) }
            AlarmCause::CalledOff(kind) => { "called off: " (kind) }
            AlarmCause::Effected(what) => { "took effect: " (said(what)) }
            AlarmCause::ManagerReplaced(before) => { "governance put in another manager instead of " (show::short(before)) }
        }
    }
}

fn bond(facts: &Facts<'_>, id: OperatorId, operator: &Operator) -> Markup {
    let account = facts.state.bonds.account(id);
    let finalized = facts.state.chain.finalized.epoch;
    let curve = facts.state.policy.operator_type(&operator.application.operator_type).map(|kind| &kind.bond);
    let mut table =
        Table::new("What the bond backs").words("For").words("Kind").numbers("Amount").words("Until");
    for (cluster, amount) in curve.map(|curve| account.backing(curve)).unwrap_or_default() {
        table.row([
            show::cluster(cluster),
            html! { "keys" },
            show::balance(amount),
            html! { "it is closed" },
        ]);
    }
    for (service, amount) in &account.services {
        table.row([html! { (service) }, html! { "service" }, show::balance(*amount), html! { "it is left" }]);
    }
    for lock in account.locks.iter().filter(|lock| lock.until > finalized) {
        let what = match &lock.reason {
            LockReason::Left(cluster) => show::cluster(*cluster),
            LockReason::Quit(service) => html! { (service) },
        };
        table.row([what, html! { "locked" }, show::balance(lock.amount), html! { "epoch " (lock.until) }]);
    }
    let backed = curve.map(|curve| curve.required(account.key_count()));
    html! {
        (figures(&[
            ("Bond", show::balance(account.bond)),
            ("Backs keys", overview::sum(backed)),
            ("Services may take", overview::sum(account.exposed().ok())),
            ("Locked", overview::sum(account.locked(finalized).ok())),
            ("Owed", show::balance(account.debt)),
            ("Free", overview::sum(facts.state.free_bond(id))),
        ]))
        (table.html("It backs nothing."))
    }
}

fn clusters_of(facts: &Facts<'_>, id: OperatorId) -> Markup {
    let mut table = Table::new("Clusters that it is in")
        .words("Cluster")
        .words("Stage")
        .numbers("Place")
        .numbers("Its part");
    let all = facts.state.clusters.clusters.iter();
    let its = all.filter_map(|(cluster, one)| {
        let place = one.operators().iter().position(|operator| *operator == id)?;
        Some((cluster, one, place + 1))
    });
    for (cluster, one, place) in its.take(ROWS_MAX) {
        table.row([
            show::cluster(*cluster),
            clusters::stage(facts, *cluster, one.stage),
            html! { (place) },
            show::gwei(one.part()),
        ]);
    }
    table.html("It is in no cluster.")
}

fn participation(facts: &Facts<'_>, id: OperatorId) -> Markup {
    let frames = facts.digest.frames().filter_map(|frame| Some((frame, frame.operators.get(&id)?)));
    let told: Vec<_> = frames.collect();
    let points: Vec<_> =
        told.iter().filter_map(|(frame, one)| Some((frame.at, one.participation?.into()))).collect();
    let mut table = Table::new("Participation, report by report")
        .numbers("Report")
        .words("Of")
        .numbers("Participation")
        .numbers("Can claim")
        .numbers("Paid debts");
    for (frame, one) in told.iter().rev().take(10) {
        let part = one.participation;
        table.row([
            html! { a href=(Place::Report(frame.frame)) { (frame.frame) } },
            show::time(frame.at, facts.now),
            html! {
                @if let Some(points) = part { (show::basis_points(points.into())) (chart::bar(points.into())) }
                @else { "-" }
            },
            show::reward(one.kept),
            show::reward(one.repaid),
        ]);
    }
    html! {
        @if points.len() > 1 {
            figure {
                (chart::parts(&points, "Participation, report by report"))
                figcaption { "What it did of what was due, as the others of its clusters say, at " (points.len()) " reports." }
            }
        }
        (table.html("No report has told of it yet."))
    }
}

fn earned(facts: &Facts<'_>, id: OperatorId, operator: &Operator) -> Markup {
    let [kept, repaid] = digest::earned(facts.digest, id);
    let owed = facts.state.incidents.owed(id).ok();
    let frames = facts.digest.frames().len();
    html! {
        (figures(&[
            ("Earned", show::reward(wide::add(kept, repaid).unwrap_or(kept))),
            ("Of it, paid debts", show::reward(repaid)),
            ("Not claimed", show::reward(facts.state.reports.claimable(operator.reward))),
            ("Owes", overview::sum(owed)),
            ("Late with exits", html! { (facts.state.exits.strikes(id)) " times" }),
        ]))
        p.about {
            "Earned is of the last " (frames) " reports; what is not claimed is of the present reward address, whoever's \
             it was before."
        }
        @if owed.is_some_and(|owed| owed != Wei::ZERO) {
            p { "What comes into its bond, or would be its rewards, pays what it owes first." }
        }
    }
}

fn incidents_of(facts: &Facts<'_>, id: OperatorId) -> Markup {
    let all = facts.state.incidents.incidents();
    let its =
        all.iter().filter(|(_, one)| one.opened.members.contains(&id)).map(|(number, one)| (*number, one));
    incidents::standing(facts, its, "It is part of none that is open, or that somebody owes for.")
}
