//! Lagrange coefficients as fractions of small integers.
//!
//! For shares at `x_i` in `1..=22` the value at `x` of the polynomial of degree below `t` through them is
//! `sum_i lambda_i f(x_i)`, with
//!
//! ```text
//! lambda_i = prod_{j != i} (x - x_j) / (x_i - x_j)
//! ```
//!
//! Over the integers these are fractions `N_i / D` with one common denominator `D`, the least common multiple of
//! their reduced denominators. Points are multiplied by the short `N_i`, and the sum once by `1 / D mod r`; for
//! `{1, 2, 3}` `N = 3, -3, 1` and `D = 1`, for `{1, 2, 4}` `N = 8, -6, 1` and `D = 3`.
//!
//! **Bounds.** All differences from one `x_i` to the other points of `1..=22` multiply to at most
//! `(i-1)! (22-i)!`, which divides `21!`; so every reduced denominator, and `D`, divides `21! < 2^66`. Numerators
//! before reduction are below `22! < 2^70`. `|N_i| = |lambda_i| D`, and `|lambda_i|` is at most the product of those
//! factors `|x - x_j| / |x_i - x_j|` that exceed 1, whatever the subset: below `2^35`. So `|N_i| < 2^101`, and
//! nothing here comes near the end of `i128`. The tests compute these bounds.
//!
//! **Choice.** Where more than `t` shares are at hand, `Quorums` looks for `t` of them with `D = 1`, which saves the
//! one full multiplication. Neighbours always have it: Newton's forward differences evaluate at any integer with
//! integers. Others may, as `{1, 3, 4}` does with `2, -2, 1`.
//!
//! Source: Shamir, *How to share a secret*, 1979.

use crate::scalar::Scalar;
use std::collections::BTreeMap;
use types::ShareIndex;

/// Quorums that are looked at for one that divides by nothing: all of 7 out of 10 (120) and of 9 out of 12 (220); at a third
/// of a microsecond each, all of them together cost less than the one multiplication that is saved.
const TRIES_MAX: usize = 512;

/// Where a shared polynomial is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum At {
    /// At 0: the validator's own key or signature.
    Group,
    /// At an operator's share.
    Share(ShareIndex),
}

impl At {
    fn x(self) -> i128 {
        match self {
            Self::Group => 0,
            Self::Share(index) => i128::from(index.get()),
        }
    }
}

/// `lambda_i = numerators[i] / denominator`, in the order of the indices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coefficients {
    numerators: Vec<i128>,
    denominator: u128,
}

impl Coefficients {
    /// The coefficients of shares at `indices`, for the value at `at`.
    ///
    /// - `indices`: distinct.
    /// - Cost: the square of their number in integer multiplications.
    ///
    /// # Panics
    /// When an index comes twice; [`mod@crate::combine`] has refused that before.
    pub fn new(indices: &[ShareIndex], at: At) -> Self {
        let fractions: Vec<_> = indices.iter().map(|index| fraction(*index, indices, at)).collect();
        let denominator = fractions.iter().fold(1, |all, (_, one)| all / gcd(all, *one) * one);
        let numerators = fractions.iter().map(|(numerator, one)| {
            let factor = i128::try_from(denominator / one).expect("the denominator divides 21!");
            numerator * factor
        });
        Self { numerators: numerators.collect(), denominator }
    }

    /// The integers that shares are multiplied by.
    pub fn numerators(&self) -> &[i128] {
        &self.numerators
    }

    /// `1 / D mod r`; `None` when there is nothing to divide by.
    pub fn division(&self) -> Option<Scalar> {
        // D divides 21!, r is a prime of 255 bits: the inverse exists.
        if self.denominator == 1 { None } else { Scalar::from(self.denominator).inverse() }
    }
}

/// Which of the shares at hand are combined; remembers, since a slot's validators mostly have the same at hand.
#[derive(Debug, Default)]
pub(crate) struct Quorums {
    chosen: BTreeMap<(Vec<ShareIndex>, usize), Quorum>,
}

/// Shares that are combined, and by what.
#[derive(Debug)]
pub(crate) struct Quorum {
    /// In order.
    pub(crate) indices: Vec<ShareIndex>,
    /// Of the group's value.
    pub(crate) coefficients: Coefficients,
}

impl Quorums {
    /// The `need` of the shares at hand that are combined with the least work; `None` if there are fewer.
    ///
    /// - `at_hand`: distinct, in any order; the choice does not depend on it.
    /// - Neighbours if there are, the lowest first, for their numerators are the shortest; otherwise the first quorum with
    ///   nothing to divide by, in the order of the indices; the lowest if there is none among [`TRIES_MAX`].
    pub(crate) fn choose(&mut self, mut at_hand: Vec<ShareIndex>, need: usize) -> Option<&Quorum> {
        at_hand.sort_unstable();
        if at_hand.len() < need {
            return None;
        }
        let chosen = self.chosen.entry((at_hand, need));
        Some(chosen.or_insert_with_key(|(at_hand, need)| {
            let indices = cheapest(at_hand, *need);
            Quorum { coefficients: Coefficients::new(&indices, At::Group), indices }
        }))
    }
}

fn cheapest(at_hand: &[ShareIndex], need: usize) -> Vec<ShareIndex> {
    let x = |index: &ShareIndex| usize::from(index.get());
    let neighbours = at_hand.windows(need.max(1)).find(|run| x(&run[0]) + need == x(&run[need - 1]) + 1);
    if let Some(run) = neighbours {
        return run.to_vec();
    }
    let whole = quorums(at_hand, need).take(TRIES_MAX).find(|quorum| divides_by_nothing(quorum));
    whole.unwrap_or_else(|| at_hand[..need].to_vec())
}

/// All subsets of `need` shares, in the order of the indices.
fn quorums(at_hand: &[ShareIndex], need: usize) -> impl Iterator<Item = Vec<ShareIndex>> {
    let mut next: Option<Vec<usize>> = (need <= at_hand.len()).then(|| (0..need).collect());
    std::iter::from_fn(move || {
        let places = next.take()?;
        let quorum = places.iter().map(|place| at_hand[*place]).collect();
        // The last place that can still move on, moves; those behind it follow at its heels.
        let free = |(no, place): (usize, &usize)| *place < at_hand.len() - need + no;
        if let Some(no) = places.iter().enumerate().rposition(free) {
            let heels = (places[no] + 1..).take(need - no);
            next = Some(places[..no].iter().copied().chain(heels).collect());
        }
        Some(quorum)
    })
}

/// Whether all coefficients for the group's value are integers.
fn divides_by_nothing(quorum: &[ShareIndex]) -> bool {
    quorum.iter().all(|index| {
        let (numerator, denominator) = products(*index, quorum, At::Group);
        numerator % denominator == 0
    })
}

/// One coefficient in lowest terms, the denominator positive.
fn fraction(index: ShareIndex, indices: &[ShareIndex], at: At) -> (i128, u128) {
    assert!(indices.iter().filter(|other| **other == index).count() == 1, "share {index} appears once");
    let (numerator, denominator) = products(index, indices, at);
    let sign = denominator.signum();
    let common = gcd(numerator.unsigned_abs(), denominator.unsigned_abs());
    let signed_common = i128::try_from(common).expect("a divisor of a denominator below 22!") * sign;
    (numerator / signed_common, denominator.unsigned_abs() / common)
}

/// Numerator and denominator of one coefficient, as the formula has them.
fn products(index: ShareIndex, indices: &[ShareIndex], at: At) -> (i128, i128) {
    let here = i128::from(index.get());
    let others = indices.iter().filter(|other| **other != index).map(|other| i128::from(other.get()));
    others.fold((1, 1), |(numerator, denominator), there| {
        (numerator * (at.x() - there), denominator * (here - there))
    })
}

fn gcd(a: u128, b: u128) -> u128 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use types::operators::OPERATORS_MAX;

    fn share(index: u8) -> ShareIndex {
        ShareIndex::new(index).unwrap()
    }

    fn scalar(value: i128) -> Scalar {
        Scalar::from(value)
    }

    /// The textbook's formula, in the field.
    fn slow(indices: &[ShareIndex], at: At) -> Vec<Scalar> {
        let x = |index: ShareIndex| i128::from(index.get());
        let one = |i: ShareIndex| {
            indices.iter().filter(|j| **j != i).fold(scalar(1), |product, j| {
                product * scalar(at.x() - x(*j)) * scalar(x(i) - x(*j)).inverse().unwrap()
            })
        };
        indices.iter().map(|i| one(*i)).collect()
    }

    fn fast(indices: &[ShareIndex], at: At) -> Vec<Scalar> {
        let coefficients = Coefficients::new(indices, at);
        let division = coefficients.division().unwrap_or(scalar(1));
        coefficients.numerators().iter().map(|numerator| scalar(*numerator) * division).collect()
    }

    fn factorial(n: u128) -> u128 {
        (1..=n).product()
    }

    #[test]
    fn every_subset_of_ten_has_the_coefficients_of_the_textbook() {
        for mask in 1u32..1 << 10 {
            let indices: Vec<_> = (1..=10).filter(|i| mask >> (i - 1) & 1 == 1).map(share).collect();
            assert_eq!(fast(&indices, At::Group), slow(&indices, At::Group), "{indices:?}");
        }
    }

    #[test]
    fn first_shares_have_binomials_and_nothing_to_divide_by() {
        let coefficients = Coefficients::new(&[1, 2, 3].map(share), At::Group);
        assert_eq!(coefficients, Coefficients { numerators: vec![3, -3, 1], denominator: 1 });
        let coefficients = Coefficients::new(&[1, 2, 4].map(share), At::Group);
        assert_eq!(coefficients, Coefficients { numerators: vec![8, -6, 1], denominator: 3 });
        let all: Vec<_> = (1..=OPERATORS_MAX).map(share).collect();
        assert_eq!(Coefficients::new(&all, At::Group).division(), None);
    }

    fn chosen(at_hand: &[u8], need: usize) -> Vec<u8> {
        let at_hand = at_hand.iter().copied().map(share).collect();
        Quorums::default().choose(at_hand, need).unwrap().indices.iter().map(|index| index.get()).collect()
    }

    #[test]
    fn neighbours_divide_by_nothing_wherever_they_stand() {
        for need in 1..=OPERATORS_MAX {
            for first in 1..=OPERATORS_MAX - need + 1 {
                let run: Vec<_> = (first..first + need).map(share).collect();
                assert_eq!(Coefficients::new(&run, At::Group).division(), None, "{run:?}");
            }
        }
    }

    #[test]
    fn a_quorum_that_divides_by_nothing_is_chosen_if_there_is_one() {
        assert_eq!(chosen(&[4, 2, 1, 3], 3), [1, 2, 3]);
        assert_eq!(chosen(&[4, 2, 3], 3), [2, 3, 4]);
        assert_eq!(chosen(&[1, 4, 3], 3), [1, 3, 4]);
        assert_eq!(chosen(&[1, 2, 4], 3), [1, 2, 4], "nobody is waited for");
        assert_eq!(chosen(&[1, 2, 4, 5, 6], 3), [4, 5, 6]);
        assert_eq!(chosen(&[5], 1), [5]);
        assert!(Quorums::default().choose(vec![share(1)], 2).is_none());
    }

    #[test]
    fn every_quorum_of_ten_is_looked_at_once() {
        let at_hand: Vec<_> = (1..=10).map(share).collect();
        for need in 1..=10 {
            let all: Vec<_> = quorums(&at_hand, need).collect();
            let of_size = (1u32..1 << 10).filter(|mask| mask.count_ones() as usize == need).count();
            assert_eq!(all.len(), of_size);
            assert!(all.is_sorted_by(|a, b| a < b) && all.iter().all(|quorum| quorum.len() == need));
        }
        assert_eq!(quorums(&at_hand[..2], 3).count(), 0);
    }

    /// The bounds of the module's head, for every subset of the 22 places and every place to evaluate at.
    #[test]
    fn no_subset_of_22_comes_near_the_end_of_i128() {
        let n = i128::from(OPERATORS_MAX);
        let denominator_max = factorial(21);
        assert!(denominator_max < 1 << 66 && factorial(22) < 1 << 70);
        let mut worst = 0.0f64;
        for i in 1..=n {
            let differences: u128 = (1..=n).filter(|j| *j != i).map(|j| (i - j).unsigned_abs()).product();
            assert_eq!(denominator_max % differences, 0, "differences from {i} divide 21!");
            for x in 0..=n {
                let factors =
                    (1..=n).filter(|j| *j != i).map(|j| (x - j).abs() as f64 / (i - j).abs() as f64);
                worst = worst.max(factors.map(|factor| factor.max(1.0)).product());
            }
        }
        assert!(worst < 2f64.powi(35), "2^{}", worst.log2());
        let bits = worst.log2() + (denominator_max as f64).log2();
        assert!(bits < 101.0, "2^{bits}");
    }

    proptest! {
        #[test]
        fn what_is_chosen_is_at_hand_and_divides_if_all_do(mask in 1u32..1 << 12, need in 1usize..12) {
            let at_hand: Vec<_> = (1..=12).filter(|i| mask >> (i - 1) & 1 == 1).map(share).collect();
            let whole = |quorum: &[ShareIndex]| Coefficients::new(quorum, At::Group).division().is_none();
            let mut choice = Quorums::default();
            match choice.choose(at_hand.clone(), need) {
                None => prop_assert!(at_hand.len() < need),
                Some(Quorum { indices: chosen, coefficients }) => {
                    prop_assert_eq!(coefficients, &Coefficients::new(chosen, At::Group));
                    prop_assert!(chosen.len() == need && chosen.iter().all(|index| at_hand.contains(index)));
                    prop_assert!(whole(chosen) || quorums(&at_hand, need).take(TRIES_MAX).all(|one| !whole(&one)));
                }
            }
        }

        #[test]
        fn any_subset_evaluates_as_the_textbook_says(mask in 1u32..1 << 22, x in 0u8..=22) {
            let indices: Vec<_> = (1..=22).filter(|i| mask >> (i - 1) & 1 == 1).map(share).collect();
            let at = ShareIndex::new(x).map_or(At::Group, At::Share);
            prop_assert_eq!(fast(&indices, at), slow(&indices, at));
            let coefficients = Coefficients::new(&indices, at);
            prop_assert_eq!(factorial(21) % coefficients.denominator, 0);
            prop_assert!(coefficients.numerators.iter().all(|numerator| numerator.unsigned_abs() < 1 << 101));
        }
    }
}
