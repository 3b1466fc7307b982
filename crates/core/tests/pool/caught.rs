//! An operator has sent a bad partial signature and is left out of combinations for a while: as long as others are enough,
//! and no longer than others may take.

use super::*;

/// Who was caught.
const CAUGHT: usize = 4;
/// For whom the others wait instead.
const SLOW: usize = 3;
/// A twelfth of a slot.
const PATIENCE: Millis = Millis(1000);

/// The last operator's partial is bad in the first slot, and named. From then on its partials are good. In the slot that comes
/// then it attests with two others, before the slow one.
fn caught() -> Cluster {
    let mut cluster = Cluster::new();
    cluster.bad.insert(index(CAUGHT));
    cluster.decide(slot(1));
    for number in [1, 2, CAUGHT, SLOW] {
        assert_eq!(cluster.attest(number, slot(1), &[0]), Some(Answer::Accepted));
    }
    assert_eq!(cluster.of_first(), [vec![1, 2, 4], vec![1, 2, 3]], "tried, and done without");
    cluster.bad.clear();
    cluster.combined.clear();
    cluster.decide(slot(5));
    for number in [1, 2, CAUGHT] {
        assert_eq!(cluster.attest(number, slot(5), &[1]), Some(Answer::Accepted));
    }
    assert_eq!(
        cluster.of_first(),
        Vec::<Vec<u8>>::new(),
        "the third of those who were never caught may still send"
    );
    cluster
}

impl Cluster {
    /// What the first operator's node has combined.
    fn of_first(&self) -> Vec<Vec<u8>> {
        self.combined.iter().filter(|(number, _)| *number == 1).map(|(_, of)| of.clone()).collect()
    }

    /// Time passes for the first operator, whose node is woken when it wants to be.
    fn wait(&mut self, until: Millis) {
        while let Some(at) = self.operators[&1].node.as_ref().unwrap().wake_at().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.input(1, Input::Tick);
        }
        self.now = until;
    }
}

#[test]
fn its_partial_is_left_out_when_others_are_enough() {
    let mut cluster = caught();
    cluster.wait(cluster.now.after(Millis(PATIENCE.0 - 1)));
    assert_eq!(cluster.attest(SLOW, slot(5), &[1]), Some(Answer::Accepted));
    assert_eq!(cluster.of_first(), [vec![1, 2, 3]]);
}

#[test]
fn its_partial_is_taken_when_another_takes_too_long() {
    let mut cluster = caught();
    let since = cluster.now;
    cluster.wait(since.after(Millis(PATIENCE.0 - 1)));
    assert_eq!(cluster.of_first(), Vec::<Vec<u8>>::new());
    cluster.wait(since.after(PATIENCE));
    assert_eq!(cluster.of_first(), [vec![1, 2, 4]]);
}

#[test]
fn its_partial_is_taken_when_another_is_gone() {
    let mut cluster = caught();
    cluster.link(SLOW, false);
    assert_eq!(cluster.of_first(), [vec![1, 2, 4]]);
}
