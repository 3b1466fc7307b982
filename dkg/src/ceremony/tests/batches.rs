//! Validators are worked on in batches; nothing that comes of a ceremony tells in which.

use super::world::*;
use crate::ceremony::evidence::{BadItem, Evidence};
use crate::ceremony::{Cause, Step};
use proptest::prelude::*;

const VALIDATORS: u32 = 5;
const HONEST: [u8; 3] = [1, 3, 4];

/// Whom an honest operator names and by which evidence, of a ceremony in which operator 2 and perhaps others change what they
/// say in a step; batches of `batch_len` validators. Accusations are lost, so everybody finds out alone.
fn blamed(
    step: Step,
    villains: &'static [u8],
    batch_len: usize,
    change: impl Fn(&mut Vec<u8>) + Clone + 'static,
) -> Vec<Vec<(u8, Evidence)>> {
    let mut world = World::new(4, 3, VALIDATORS, 3);
    world.batch_len = Some(batch_len);
    world.tamper = Box::new(move |from, _, frame| {
        if step_of(frame) == Step::Complaint {
            Vec::new()
        } else if villains.contains(&from.get()) && step_of(frame) == step {
            forged(&setup(4, 3, VALIDATORS, index(1)), frame, change.clone())
        } else {
            vec![frame.clone()]
        }
    });
    world.start_all();
    world.run();
    let honest = HONEST.into_iter().filter(|at| !villains.contains(at));
    honest
        .map(|at| match &world.nodes[index(at).position()].end {
            Some(End::Aborted { cause: Cause::Faults(faults), .. }) => {
                faults.iter().map(|fault| (fault.culprit.get(), fault.evidence.clone())).collect()
            }
            other => panic!("operator {at} named nobody: {other:?}"),
        })
        .collect()
}

/// The bytes of one validator, or of one partial signature, in what is said in a step.
const fn item_len(step: Step) -> usize {
    match step {
        Step::Round1 => 3 * 48 + 48 + 32,
        Step::Round2 => 32,
        Step::Seal => 96,
        _ => 0,
    }
}

#[test]
fn a_batch_in_which_one_item_is_bad_names_the_same_culprit() {
    for step in [Step::Round1, Step::Round2, Step::Seal] {
        let items = if step == Step::Seal { VALIDATORS as usize * MESSAGES } else { VALIDATORS as usize };
        for bad in [0, items / 2, items - 1] {
            let len = item_len(step);
            // The last byte of a proof or of a share; of a signature a byte of its x, which is then no point of the group.
            let wrong = move |content: &mut Vec<u8>| content[bad * len + len - 1] ^= 1;
            let alone = blamed(step, &[2], 1, wrong);
            let shown = |evidence: &Evidence| match evidence {
                Evidence::Item(BadItem { shown, .. }) => {
                    Some((shown.signed.statement.step, shown.index as usize))
                }
                _ => None,
            };
            for named in &alone {
                assert!(
                    matches!(&named[..], [(2, evidence)] if shown(evidence) == Some((step, bad))),
                    "{named:?}"
                );
            }
            for batch_len in [2, VALIDATORS as usize] {
                assert_eq!(
                    blamed(step, &[2], batch_len, wrong),
                    alone,
                    "{step}, item {bad}, batches of {batch_len}"
                );
            }
        }
    }
}

#[test]
fn of_two_liars_in_one_batch_both_are_named() {
    // Another's partial signature in the place of the last one: a point of the group, under no share of its author.
    let swapped = |content: &mut Vec<u8>| {
        let last = content.len() - 96;
        content.copy_within(0..96, last);
    };
    let alone = blamed(Step::Seal, &[2, 4], 1, swapped);
    let both = |named: &Vec<(u8, Evidence)>| named.iter().map(|(culprit, _)| *culprit).eq([2, 4]);
    assert!(alone.iter().all(both), "{alone:?}");
    assert_eq!(blamed(Step::Seal, &[2, 4], VALIDATORS as usize, swapped), alone);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn keys_and_files_do_not_depend_on_batches(batch_len in 1_usize..8, order: u64) {
        let locks = [batch_len, 64].map(|batch_len| {
            let mut world = World::new(3, 2, VALIDATORS, order);
            world.batch_len = Some(batch_len);
            world.start_all();
            world.run();
            world.lock(index(1)).clone()
        });
        prop_assert_eq!(&locks[0], &locks[1]);
    }
}
