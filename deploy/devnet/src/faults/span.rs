//! `OPERATORS@A..B`: whom something happens to, and when.

/// From the beginning of one slot to the beginning of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first slot.
    pub from: u64,
    /// The first slot after it.
    pub to: u64,
}

impl Span {
    /// Whether a slot is in it, or among the `after` slots behind it.
    pub const fn has(&self, slot: u64, after: u64) -> bool {
        self.from <= slot && slot < self.to.saturating_add(after)
    }
}

/// Takes `WHAT@A..B` apart; `None` if it has not that form, or ends before it begins.
pub(super) fn split(text: &str) -> Option<(&str, Span)> {
    let (what, span) = text.split_once('@')?;
    let (from, to) = span.split_once("..")?;
    let span = Span { from: from.parse().ok()?, to: to.parse().ok()? };
    (span.from < span.to).then_some((what, span))
}

/// Operators, divided by commas, each once.
pub(super) fn operators(text: &str) -> Option<Vec<usize>> {
    let operators: Vec<usize> = text.split(',').map(|one| one.parse().ok()).collect::<Option<_>>()?;
    let twice = |(at, one): (usize, &usize)| operators[..at].contains(one);
    (!operators.iter().enumerate().any(twice)).then_some(operators)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_ends_before_its_second_slot() {
        let (what, span) = split("3,4@8..14").unwrap();
        assert_eq!((what, span), ("3,4", Span { from: 8, to: 14 }));
        assert_eq!([7, 8, 13, 14].map(|slot| span.has(slot, 0)), [false, true, true, false]);
        assert_eq!([13, 15, 16].map(|slot| span.has(slot, 2)), [true, true, false]);
        for wrong in ["3", "3@8", "3@8..8", "3@9..8", "3@8..x", "8..9"] {
            assert_eq!(split(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn operators_are_numbers_and_none_is_named_twice() {
        assert_eq!(operators("3,4"), Some(vec![3, 4]));
        for wrong in ["", "3,", "x", "3,4,3"] {
            assert_eq!(operators(wrong), None, "{wrong}");
        }
    }
}
