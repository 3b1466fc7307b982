//! Somebody's shares.

use super::digest::{MOVES_MAX, Move};
use super::frame::{Page, Section};
use super::place::Place;
use super::show::{self, Mood, figures};
use super::table::Table;
use super::{Facts, ROWS_MAX};
use crate::formulas::shares::Shares;
use crate::ledger::pool::PayoutReason;
use maud::{Markup, html};
use types::{Address, Wei};

pub(super) fn page(facts: &Facts<'_>, address: Address) -> Page {
    let shares = facts.state.money.shares();
    let seat = facts.state.seat(address);
    let below = html! {
        p { (show::whole(address)) }
        @if let Some(seat) = seat { p { "It is " (seat) "." } }
        (figures(&[
            ("Worth", show::balance(shares.balance(address))),
            ("Shares", amount(shares.shares(address))),
            ("Earned, not claimed", show::reward(facts.state.reports.claimable(address))),
        ]))
    };
    Page::new(Place::Delegator(address), format!("Account {}", show::shortened(&address.to_string())), &below)
        .with(Section::new("queue", "Requests", requests(facts, address)))
        .with(Section::new("payouts", "To be paid", payouts(facts, address)))
        .with(Section::new("history", "History", history(facts, address)))
}

/// Shares are of 10^-18, as ETH is of wei.
fn amount(shares: Shares) -> Markup {
    html! { span.eth title=(shares) { (show::eth_text(Wei(shares.0), 4)) } }
}

/// Cost: all requests.
fn requests(facts: &Facts<'_>, address: Address) -> Markup {
    let queue = facts.state.money.queue();
    let mut table = Table::new("Requests")
        .numbers("Request")
        .words("Stands")
        .numbers("ETH")
        .numbers("Shares")
        .words("Made");
    let its = queue.claimable().chain(queue.open()).filter(|(_, request)| request.owner == address);
    for (number, request) in its.take(ROWS_MAX) {
        let stands = if queue.is_served(number) {
            show::badge(Mood::Good, "served, can be claimed")
        } else {
            show::badge(Mood::Fair, "waits, gets at most this")
        };
        table.row([
            html! { (number) },
            stands,
            show::balance(request.eth),
            amount(request.shares),
            show::time(request.at, facts.now),
        ]);
    }
    table.html("It has asked for nothing that is not paid.")
}

fn payouts(facts: &Facts<'_>, address: Address) -> Markup {
    let mut table = Table::new("To be paid").numbers("Payout").words("For").numbers("Amount");
    let its = facts.state.money.payouts().iter().filter(|(_, payout)| payout.to == address);
    for (number, payout) in its.take(ROWS_MAX) {
        let why = match payout.why {
            PayoutReason::Claim(request) => html! { "request " (request) },
            PayoutReason::Refund(reference) => html! { "back, of payment " (show::short(reference.hash)) },
        };
        table.row([html! { (number) }, why, show::balance(payout.eth)]);
    }
    table.html("Nothing is to be paid to it.")
}

fn history(facts: &Facts<'_>, address: Address) -> Markup {
    let mut table =
        Table::new("What the log has of it, the newest first").numbers("Entry").words("When").words("What");
    for moved in facts.digest.moves(address).rev() {
        table.row([
            html! { a href={ "/v1/log?from=" (moved.entry) "&count=1" } { (moved.entry) } },
            show::time(moved.at, facts.now),
            said(&moved.what),
        ]);
    }
    html! {
        (table.html("The log has nothing of it."))
        p.about { "At most the last " (MOVES_MAX) ". Reports change what shares are worth, and are not listed here." }
    }
}

fn said(what: &Move) -> Markup {
    html! {
        @match *what {
            Move::Bought { eth, shares, refund } => {
                "paid " (show::balance(eth)) " for " (amount(shares)) " shares"
                @if refund != Wei::ZERO { "; " (show::balance(refund)) " are owed back" }
            }
            Move::Gave { to, shares } => { "gave " (amount(shares)) " shares to " (show::account(to)) }
            Move::Got { from, shares } => { "got " (amount(shares)) " shares from " (show::account(from)) }
            Move::Asked { request, shares, eth } => {
                "asked for ETH, request " (request) ": " (amount(shares)) " shares, at most " (show::balance(eth))
            }
            Move::Served { request, eth } => { "request " (request) " was served: " (show::balance(eth)) }
            Move::Claimed { request } => { "claimed request " (request) }
            Move::PaidOut { payout } => { "payout " (payout) " was seen on the chain" }
            Move::BondClaimed { eth } => { "asked for bond back: " (show::balance(eth)) }
            Move::Earned { eth } => { "took what it had earned, in shares: " (show::reward(eth)) }
        }
    }
}
