//! How amounts, times and names are shown.

use super::place::Place;
use crate::formulas::wide;
use crate::ledger::State;
use crate::ledger::operators::OperatorId;
use alloy_primitives::U256;
use maud::{Markup, html};
use std::fmt::Display;
use time::OffsetDateTime;
use types::{Address, ClusterId, Gwei, Wei};

/// Digits of an ETH behind the point.
const ETH_DIGITS: usize = 18;
/// Digits behind the point of what lies somewhere.
const BALANCE: usize = 4;
/// Digits behind the point of what a frame brings.
const REWARD: usize = 6;

/// What lies somewhere, in ETH, rounded to four digits.
pub(super) fn balance(wei: Wei) -> Markup {
    amount(wei, BALANCE)
}

/// What a frame brings, in ETH, rounded to six digits.
pub(super) fn reward(wei: Wei) -> Markup {
    amount(wei, REWARD)
}

/// What lies somewhere, of gwei.
pub(super) fn gwei(gwei: Gwei) -> Markup {
    balance(wide::wei(gwei))
}

/// What a frame brings, of gwei.
pub(super) fn gwei_reward(gwei: Gwei) -> Markup {
    reward(wide::wei(gwei))
}

fn amount(wei: Wei, digits: usize) -> Markup {
    html! { span.eth title={ (wei) " wei" } { (eth_text(wei, digits)) " ETH" } }
}

/// An amount with so many digits behind the point, rounded to the nearest; what is too little for the last digit says so.
pub(super) fn eth_text(wei: Wei, digits: usize) -> String {
    if wei == Wei::ZERO {
        return "0".to_owned();
    }
    let unit = U256::from(10).pow(U256::from(ETH_DIGITS - digits));
    let units = wei.0.saturating_add(unit / U256::from(2)) / unit;
    let text = decimal(units, digits);
    if units.is_zero() { format!("< {}", decimal(U256::ONE, digits)) } else { text }
}

/// A number of `10^-digits` parts, with its point, and spaces between thousands.
pub(super) fn decimal(parts: U256, digits: usize) -> String {
    let (whole, rest) = parts.div_rem(U256::from(10).pow(U256::from(digits)));
    if digits == 0 { count(whole) } else { format!("{}.{:0>digits$}", count(whole), rest.to_string()) }
}

/// A number with thin spaces between thousands.
pub(super) fn count(number: impl Display) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A part of a whole in percent with two digits behind the point, rounded down; a dash where there is no whole.
pub(super) fn percent(part: U256, whole: U256) -> String {
    match part.checked_mul(U256::from(10_000)).and_then(|parts| parts.checked_div(whole)) {
        Some(parts) => format!("{} %", decimal(parts, 2)),
        None => "-".to_owned(),
    }
}

/// Hundredths of a percent, with a sign where it is a loss.
pub(super) fn basis_points(points: i64) -> String {
    let sign = if points < 0 { "\u{2212}" } else { "" };
    format!("{sign}{} %", decimal(U256::from(points.unsigned_abs()), 2))
}

/// A point in time, in Unix seconds: when, and how long ago or ahead.
pub(super) fn time(at: u64, now: u64) -> Markup {
    let Some(utc) = utc(at) else { return html! { (at) } };
    let (year, month, day) = (utc.year(), utc.month(), utc.day());
    let (hour, minute, second) = utc.to_hms();
    let machine = format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z", u8::from(month));
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months[usize::from(u8::from(month)) - 1];
    html! {
        time datetime=(machine) title=(machine) {
            (day) " " (month) " " (year) ", " (format!("{hour:02}:{minute:02}")) " UTC"
        }
        " " span.ago { "(" (ago(at, now)) ")" }
    }
}

fn utc(at: u64) -> Option<OffsetDateTime> {
    // Years of four digits; what is later is shown as a number.
    let end = 253_402_300_800;
    i64::try_from(at).ok().filter(|at| *at < end).and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok())
}

/// How long ago, or how far ahead, in the largest unit that fits.
pub(super) fn ago(at: u64, now: u64) -> String {
    let length = duration(now.abs_diff(at));
    match at.cmp(&now) {
        _ if now.abs_diff(at) < 60 => "just now".to_owned(),
        std::cmp::Ordering::Greater => format!("in {length}"),
        _ => format!("{length} ago"),
    }
}

/// A length of time in seconds, in the largest unit that fits.
pub(super) fn duration(seconds: u64) -> String {
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let (unit, name) = units.into_iter().find(|(unit, _)| seconds >= *unit).unwrap_or((1, "second"));
    let number = seconds / unit;
    format!("{} {name}{}", count(number), if number == 1 { "" } else { "s" })
}

/// The first and the last digits of a hash, an address or a key; all of it in the title.
pub(super) fn short(hash: impl Display) -> Markup {
    let all = hash.to_string();
    html! { code title=(all) { (shortened(&all)) } }
}

/// The same as text.
pub(super) fn shortened(all: &str) -> String {
    match (all.get(..8), all.get(all.len().saturating_sub(6)..)) {
        (Some(first), Some(last)) if all.len() > 18 => format!("{first}…{last}"),
        _ => all.to_owned(),
    }
}

/// All of a hash.
pub(super) fn whole(hash: impl Display) -> Markup {
    html! { code.whole { (hash) } }
}

/// A cluster, by its id.
pub(super) fn cluster(id: ClusterId) -> Markup {
    html! { a href=(Place::Cluster(id)) { (short(id)) } }
}

/// An operator, by who stands behind it. Two entities could look alike, so the address is beside.
pub(super) fn operator(state: &State, id: OperatorId) -> Markup {
    html! {
        a href=(Place::Operator(id)) {
            @match state.operators.get(id) {
                Some(operator) => { (operator.application.entity) " " span.beside { (short(id)) } }
                None => { (short(id)) }
            }
        }
    }
}

/// Somebody who may have shares.
pub(super) fn account(address: Address) -> Markup {
    html! { a href=(Place::Delegator(address)) { (short(address)) } }
}

/// A word of a closed list, as people write it.
pub(super) fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text.replace('_', " "),
        Ok(serde_json::Value::Object(map)) => {
            map.keys().next().cloned().unwrap_or_default().replace('_', " ")
        }
        _ => String::new(),
    }
}

/// How something stands: the colour is beside the word, never instead of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// As it should be.
    Good,
    /// On its way.
    Fair,
    /// Somebody should look.
    Bad,
    /// Over, or neither.
    Quiet,
}

/// A word with its mood.
pub(super) fn badge(mood: Mood, text: impl Display) -> Markup {
    let class = match mood {
        Mood::Good => "badge good",
        Mood::Fair => "badge fair",
        Mood::Bad => "badge bad",
        Mood::Quiet => "badge quiet",
    };
    html! { span class=(class) { (text) } }
}

/// Names with values: the figures of a section.
pub(super) fn figures(figures: &[(&str, Markup)]) -> Markup {
    html! {
        dl.figures {
            @for (name, value) in figures { div { dt { (name) } dd { (value) } } }
        }
    }
}

/// What a list leaves out; nothing if it leaves out nothing.
pub(super) fn more(shown: usize, all: usize, path: &str) -> Markup {
    html! {
        @if all > shown {
            p.more { (count(all - shown)) " more are in " a href=(path) { (path) } "." }
        }
    }
}
