//! Pictures of numbers, drawn with whole numbers, each with its numbers in words beside it.

use super::strip::Cell;
use maud::{Markup, html};
use types::Epoch;

/// The picture's own units; it is stretched to the width that there is.
const WIDTH: i128 = 1_000;
const HEIGHT: i128 = 200;
/// Room above and below a line, so that its ends are seen.
const MARGIN: i128 = 8;

/// A line through points in time, from the lowest to the highest of their numbers.
///
/// - `points`: Unix seconds, rising, and a number each. With fewer than two there is no line.
/// - `label`: what it is, in words.
pub(super) fn line(points: &[(u64, i128)], label: &str) -> Markup {
    let numbers = || points.iter().map(|point| point.1);
    let (low, high) = (numbers().min().unwrap_or_default(), numbers().max().unwrap_or_default());
    line_within(points, low, high, label)
}

/// A line through ten-thousandths, from none to all.
pub(super) fn parts(points: &[(u64, i128)], label: &str) -> Markup {
    line_within(points, 0, 10_000, label)
}

fn line_within(points: &[(u64, i128)], low: i128, high: i128, label: &str) -> Markup {
    let [(from, _), .., (to, _)] = points else { return html! {} };
    let span = (i128::from(to.saturating_sub(*from))).max(1);
    let x = |at: u64| i128::from(at.saturating_sub(*from)).saturating_mul(WIDTH) / span;
    let room = HEIGHT - 2 * MARGIN;
    let range = high.saturating_sub(low);
    let y = |value: i128| match value.saturating_sub(low).saturating_mul(room).checked_div(range) {
        Some(above) => HEIGHT - MARGIN - above,
        // All are the same: a line through the middle.
        None => HEIGHT / 2,
    };
    let path: Vec<_> = points.iter().map(|(at, value)| format!("{},{}", x(*at), y(*value))).collect();
    // Where the numbers change their sign, nothing is.
    let zero = (low < 0 && high > 0).then(|| y(0));
    html! {
        svg.line viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(label) {
            @if let Some(zero) = zero { line.zero x1="0" x2=(WIDTH) y1=(zero) y2=(zero) {} }
            polyline points=(path.join(" ")) {}
        }
    }
}

/// A bar that is so many ten-thousandths full.
pub(super) fn bar(basis_points: u64) -> Markup {
    let full = basis_points.min(10_000);
    html! {
        svg.bar viewBox="0 0 10000 100" preserveAspectRatio="none" aria-hidden="true" {
            rect.all width="10000" height="100" {}
            rect.part width=(full) height="100" {}
        }
    }
}

/// A cell for each epoch, as high as the part of validators that were seen; a low line where it is not known.
pub(super) fn strip(cells: &[(Epoch, Option<Cell>)], label: &str) -> Markup {
    let (step, width, height) = (10, 8, 40);
    html! {
        svg.strip viewBox={ "0 0 " (step * cells.len()) " " (height) } preserveAspectRatio="none" role="img"
            aria-label=(label)
        {
            @for (at, (epoch, cell)) in cells.iter().enumerate() {
                @let (class, high) = look(*cell, height);
                rect class=(class) x=(at * step) y=(height - high) width=(width) height=(high) {
                    title { "Epoch " (epoch) ": " (said(*cell)) }
                }
            }
        }
    }
}

fn look(cell: Option<Cell>, height: u64) -> (&'static str, u64) {
    let Some(Cell { live, dark, .. }) = cell.filter(|cell| cell.live + cell.dark > 0) else {
        return ("unknown", 4);
    };
    let all = u64::from(live) + u64::from(dark);
    // Who was not seen at all still has a mark.
    let high = (height * u64::from(live) / all).max(6);
    (
        if dark == 0 {
            "full"
        } else if live == 0 {
            "none"
        } else {
            "part"
        },
        high,
    )
}

/// What a cell says.
pub(super) fn said(cell: Option<Cell>) -> String {
    match cell {
        Some(Cell { live, dark, unknown: 0 }) => format!("{live} of {} live", live + dark),
        Some(Cell { live, dark, unknown }) if live + dark > 0 => {
            format!("{live} of {} live, {unknown} unknown", live + dark + unknown)
        }
        Some(_) | None => "unknown".to_owned(),
    }
}
