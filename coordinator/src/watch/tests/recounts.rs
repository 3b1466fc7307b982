//! Reports that are made again from a log and a chain.

use super::super::recount::{Recount, Told, difference};
use super::super::step::report_body;
use super::super::*;
use super::chain::Chain;
use super::frames::{BEGUN, answers};
use crate::ledger::testbed::Pool;
use types::Epoch;

/// The reports of a log, each with what a chain makes of it now.
fn recounted(pool: &Pool, chain: &mut Chain) -> Vec<(Told, Result<Option<String>, FrameError>)> {
    let (mut log, mut reports) = (Recount::default(), Vec::new());
    for entry in &pool.log {
        if let Some(told) = log.told(entry) {
            let state = log.state().unwrap();
            let known = answers(state, chain, told.frame);
            let again = frame::fold(state, log.tally(), told.frame, &known);
            let differs = again.map(|report| difference(&told.body, &report_body(&report)));
            reports.push((told, differs));
        }
        log.take(entry).unwrap();
    }
    assert_eq!(log.state(), Some(pool.state()));
    reports
}

#[test]
fn a_report_comes_to_the_same_again_and_another_chain_shows() {
    let (pool, mut chain) = BEGUN.clone();
    let reports = recounted(&pool, &mut chain);
    let told: Vec<_> =
        reports.iter().map(|(told, differs)| (told.no, told.frame.to, differs.clone())).collect();
    assert_eq!(told, [(0, Epoch(4_500), Ok(None)), (1, Epoch(4_725), Ok(None))]);
    // A block in which a validator of the pool withdrew has another amount.
    let block = chain.blocks.values_mut().find(|block| block.swept.is_some()).unwrap();
    let (index, amount) = block.swept.unwrap();
    block.swept = Some((index, amount + 1));
    let reports = recounted(&pool, &mut chain);
    assert_eq!(reports[0].1, Ok(None));
    let differs = reports[1].1.clone().unwrap().unwrap();
    assert!(differs.contains("/validators/1000/swept: the log has"), "{differs}");
}

#[test]
fn the_first_difference_is_named_by_its_place() {
    let have = r#"{"a":{"b":["1","2"],"c":"3"},"d":null}"#;
    let differs = |want: &str| difference(have, want).unwrap();
    assert_eq!(difference(have, have), None);
    assert_eq!(differs(&have.replace(r#""3""#, r#""4""#)), r#"/a/c: the log has "3", the chain says "4""#);
    assert_eq!(
        differs(&have.replace(r#""2""#, r#""5""#)),
        r#"/a/b: the log has ["1","2"], the chain says ["1","5"]"#
    );
    assert_eq!(differs(&have.replace(r#","c":"3""#, "")), r#"/a/c: the log has "3", the chain says null"#);
    assert_eq!(
        differs(&have.replace(r#"{"b""#, r#"{"aa":1,"b""#)),
        "/a/aa: the log has null, the chain says 1"
    );
    assert_eq!(differs(&have.replace(r#","d":null"#, "")), "the same is written otherwise from byte 28 on");
}
