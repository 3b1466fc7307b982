//! Approvals of one kind: who approves what of which validator, and what can be combined.
//!
//! Of each operator one approval counts for each validator, the one with the greatest topic: an epoch, or when something
//! was stated. So the room that approvals take is bounded by operators times validators, whatever anybody sends, and two
//! nodes that have heard the same approvals in any order know the same.

use crate::{CombineJob, Combined};
use std::collections::{BTreeMap, BTreeSet};
use types::{ShareIndex, Signature, SigningRoot, ValidatorNo};

#[derive(Debug)]
struct Approval<T> {
    topic: T,
    partial: Signature,
    /// Whether it was found not to verify.
    bad: bool,
}

#[derive(Debug)]
struct Seat<T> {
    operators: BTreeMap<ShareIndex, Approval<T>>,
    /// What was last combined, of whom: another job needs another operator.
    tried: Option<(T, BTreeSet<ShareIndex>)>,
    combining: bool,
    signed: Option<(T, Signature)>,
}

impl<T> Default for Seat<T> {
    fn default() -> Self {
        Self { operators: BTreeMap::new(), tried: None, combining: false, signed: None }
    }
}

impl<T: Copy + Ord> Seat<T> {
    /// The greatest topic that enough operators approve, with their partials; what is signed already is not.
    fn full(&self, threshold: usize) -> Option<(T, Vec<(ShareIndex, Signature)>)> {
        let mut by_topic: BTreeMap<T, Vec<(ShareIndex, Signature)>> = BTreeMap::new();
        for (operator, approval) in self.operators.iter().filter(|(_, approval)| !approval.bad) {
            by_topic.entry(approval.topic).or_default().push((*operator, approval.partial));
        }
        let fresh = |topic: &T| self.signed.is_none_or(|(signed, _)| *topic > signed);
        by_topic.into_iter().rev().find(|(topic, partials)| partials.len() >= threshold && fresh(topic))
    }
}

/// Who approves what.
#[derive(Debug)]
pub(crate) struct Tally<T> {
    threshold: usize,
    seats: BTreeMap<ValidatorNo, Seat<T>>,
}

impl<T: Copy + Ord> Tally<T> {
    pub(crate) const fn new(threshold: usize) -> Self {
        Self { threshold, seats: BTreeMap::new() }
    }

    /// Takes an approval; `false` if this operator's is that one already, or a greater one.
    pub(crate) fn add(
        &mut self,
        operator: ShareIndex,
        validator: ValidatorNo,
        topic: T,
        partial: Signature,
    ) -> bool {
        let seat = self.seats.entry(validator).or_default();
        if seat.operators.get(&operator).is_some_and(|approval| approval.topic >= topic) {
            return false;
        }
        seat.operators.insert(operator, Approval { topic, partial, bad: false });
        true
    }

    /// What an operator approves for a validator.
    pub(crate) fn topic(&self, operator: ShareIndex, validator: ValidatorNo) -> Option<T> {
        Some(self.seats.get(&validator)?.operators.get(&operator)?.topic)
    }

    /// All approvals of an operator.
    pub(crate) fn of(&self, operator: ShareIndex) -> impl Iterator<Item = (ValidatorNo, T, Signature)> {
        self.seats.iter().filter_map(move |(validator, seat)| {
            let approval = seat.operators.get(&operator)?;
            Some((*validator, approval.topic, approval.partial))
        })
    }

    /// Who approves what with a partial that is not known to be bad, greatest topic first; and whether it is signed.
    pub(crate) fn listed(&self) -> Vec<(ValidatorNo, T, BTreeSet<ShareIndex>, bool)> {
        let mut listed = Vec::new();
        for (validator, seat) in &self.seats {
            let mut by_topic: BTreeMap<T, BTreeSet<ShareIndex>> = BTreeMap::new();
            for (operator, approval) in seat.operators.iter().filter(|(_, approval)| !approval.bad) {
                by_topic.entry(approval.topic).or_default().insert(*operator);
            }
            for (topic, operators) in by_topic.into_iter().rev() {
                let signed = seat.signed.is_some_and(|(signed, _)| signed == topic);
                listed.push((*validator, topic, operators, signed));
            }
        }
        listed
    }

    /// Validators for which anything is approved.
    pub(crate) fn validators(&self) -> Vec<ValidatorNo> {
        self.seats.keys().copied().collect()
    }

    /// Every topic that somebody approves.
    pub(crate) fn topics(&self) -> BTreeSet<T> {
        self.seats.values().flat_map(|seat| seat.operators.values()).map(|approval| approval.topic).collect()
    }

    /// What can be combined now of these validators. `root`: what the partials are over, once that is known.
    pub(crate) fn ready(
        &mut self,
        validators: impl IntoIterator<Item = ValidatorNo>,
        root: impl Fn(ValidatorNo, T) -> Option<SigningRoot>,
    ) -> Vec<(T, CombineJob)> {
        let threshold = self.threshold;
        let mut jobs = Vec::new();
        for validator in validators {
            let Some(seat) = self.seats.get_mut(&validator).filter(|seat| !seat.combining) else { continue };
            let Some((topic, partials)) = seat.full(threshold) else { continue };
            let Some(root) = root(validator, topic) else { continue };
            let tried = (topic, partials.iter().map(|(operator, _)| *operator).collect());
            if seat.tried.as_ref() == Some(&tried) {
                continue;
            }
            seat.tried = Some(tried);
            seat.combining = true;
            jobs.push((topic, CombineJob { validator, root, partials }));
        }
        jobs
    }

    /// Takes the result of a job. Returns the signature if it is new.
    pub(crate) fn combined(
        &mut self,
        validator: ValidatorNo,
        topic: T,
        result: &Combined,
    ) -> Option<Signature> {
        let seat = self.seats.get_mut(&validator)?;
        seat.combining = false;
        for culprit in &result.culprits {
            // One that has approved something else meanwhile has another chance.
            if let Some(approval) = seat.operators.get_mut(culprit).filter(|approval| approval.topic == topic)
            {
                approval.bad = true;
            }
        }
        let signature = result.signature.filter(|_| seat.signed.is_none_or(|(signed, _)| topic > signed))?;
        seat.signed = Some((topic, signature));
        Some(signature)
    }

    /// The result of a job is of no use any more.
    pub(crate) fn abandon(&mut self, validator: ValidatorNo) {
        if let Some(seat) = self.seats.get_mut(&validator) {
            seat.combining = false;
        }
    }

    /// What is signed for a validator.
    pub(crate) fn signed(&self, validator: ValidatorNo) -> Option<(T, Signature)> {
        self.seats.get(&validator)?.signed
    }

    /// Forgets approvals for a validator of which `over` says that they are of no use any more.
    pub(crate) fn forget(&mut self, validator: ValidatorNo, over: impl Fn(T) -> bool) {
        if let Some(seat) = self.seats.get_mut(&validator) {
            seat.operators.retain(|_, approval| !over(approval.topic));
        }
    }

    /// Of an operator only its greatest `most` topics are kept.
    pub(crate) fn keep_newest(&mut self, operator: ShareIndex, most: usize) {
        let topics: BTreeSet<T> = self.of(operator).map(|(_, topic, _)| topic).collect();
        let Some(oldest) = topics.into_iter().rev().nth(most.saturating_sub(1)) else { return };
        for seat in self.seats.values_mut() {
            seat.operators.retain(|by, approval| *by != operator || approval.topic >= oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::Root;

    const FIRST: ValidatorNo = ValidatorNo(0);

    fn index(number: u8) -> ShareIndex {
        ShareIndex::new(number).unwrap()
    }

    fn root(_: ValidatorNo, topic: u64) -> Option<SigningRoot> {
        Some(SigningRoot::compute(Root([topic as u8; 32]), Root::ZERO))
    }

    fn add(tally: &mut Tally<u64>, operator: u8, topic: u64) -> bool {
        tally.add(index(operator), FIRST, topic, Signature([operator; 96]))
    }

    fn jobs(tally: &mut Tally<u64>) -> Vec<(u64, Vec<u8>)> {
        let jobs = tally.ready([FIRST], root).into_iter();
        let who = |job: CombineJob| job.partials.iter().map(|(operator, _)| operator.get()).collect();
        jobs.map(|(topic, job)| (topic, who(job))).collect()
    }

    #[test]
    fn one_fewer_than_needed_never_combines_and_topics_do_not_mix() {
        let mut tally = Tally::new(3);
        for (operator, topic) in [(1, 5), (2, 5), (3, 6), (4, 7)] {
            assert!(add(&mut tally, operator, topic));
            assert_eq!(jobs(&mut tally), [], "{operator}");
        }
        assert!(add(&mut tally, 4, 8) && !add(&mut tally, 4, 5), "an approval goes up only");
        assert_eq!(jobs(&mut tally), []);
        for operator in [1, 2] {
            assert!(add(&mut tally, operator, 6));
        }
        assert_eq!(jobs(&mut tally), [(6, vec![1, 2, 3])]);
        assert_eq!(jobs(&mut tally), [], "one job at a time");
    }

    #[test]
    fn a_bad_partial_is_left_out_and_another_operator_makes_up_for_it() {
        let mut tally = Tally::new(2);
        add(&mut tally, 1, 5);
        add(&mut tally, 2, 5);
        assert_eq!(jobs(&mut tally), [(5, vec![1, 2])]);
        assert_eq!(tally.combined(FIRST, 5, &Combined { signature: None, culprits: vec![index(2)] }), None);
        assert_eq!(jobs(&mut tally), []);
        assert!(!add(&mut tally, 2, 5), "the same again is not looked at");
        add(&mut tally, 3, 5);
        assert_eq!(jobs(&mut tally), [(5, vec![1, 3])]);
        let good = Combined { signature: Some(Signature([9; 96])), culprits: vec![] };
        assert_eq!(tally.combined(FIRST, 5, &good), Some(Signature([9; 96])));
        add(&mut tally, 4, 5);
        assert_eq!(jobs(&mut tally), [], "signed is signed");
    }

    #[test]
    fn an_operator_takes_no_more_room_than_its_newest_topics() {
        let mut tally = Tally::new(2);
        for number in 0..9 {
            tally.add(index(1), ValidatorNo(number), u64::from(number), Signature::ZERO);
        }
        add(&mut tally, 2, 0);
        tally.keep_newest(index(1), 3);
        assert_eq!(tally.topics(), BTreeSet::from([0, 6, 7, 8]), "operator 2 keeps its own");
        tally.forget(ValidatorNo(8), |topic| topic <= 8);
        assert_eq!(tally.of(index(1)).map(|(_, topic, _)| topic).collect::<Vec<_>>(), [6, 7]);
    }
}
