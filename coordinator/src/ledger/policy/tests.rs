//! Each rule of a policy broken alone; the field's tables load.

use super::*;
use crate::canonical;
use crate::formulas::bonds::BondCurve;
use serde_json::{Value, json};
use types::{Address, Wei, operators::SizeError};

/// A policy that tests share: Lido's operator types.
pub(crate) fn lido() -> Policy {
    serde_json::from_str(LIDO).unwrap()
}

fn with(pointer: &str, value: Value) -> Result<Policy, PolicyError> {
    let mut document: Value = serde_json::from_str(LIDO).unwrap();
    *document.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = value;
    Policy::new(serde_json::from_value(document).unwrap())
}

#[test]
fn the_fields_tables_are_policies_and_their_canonical_bytes_carry_the_steps() {
    for text in [LIDO, ROCKETPOOL, SQUAD] {
        let policy: Policy = serde_json::from_str(text).unwrap();
        let bytes = canonical::bytes(&policy);
        assert_eq!(canonical::read::<Policy>(&bytes), Ok(policy));
    }
    let label = |name: &str| Label::new(name).unwrap();
    for name in ["csm-default", "csm-ics", "csm-idvtc", "csm-0x02", "cmv2-pto"] {
        let bond = lido().operator_type(&label(name)).unwrap().bond.clone();
        assert_eq!(*bond, BondCurve::named(name).unwrap());
    }
    let text = String::from_utf8(canonical::bytes(&lido())).unwrap();
    assert!(text.contains(r#""name":"csm-idvtc","bond":[{"from_key":1,"per_key":"1500000000"}"#), "{text}");
    let rocketpool: Policy = serde_json::from_str(ROCKETPOOL).unwrap();
    let saturn = &rocketpool.operator_type(&label("saturn-2")).unwrap().bond;
    assert_eq!(saturn.required(3), Wei::from_eth("9.5").unwrap());
}

#[test]
fn the_fields_commissions_fall_with_the_keys() {
    let of = |name: &str, key| {
        lido().operator_type(&Label::new(name).unwrap()).unwrap().commission.of_key(key).get()
    };
    assert_eq!([1, 64, 65, 1000].map(|key| of("csm-idvtc", key)), [350, 350, 200, 200]);
    assert_eq!([0, 1, 16, 17].map(|key| of("csm-ics", key)), [600, 600, 600, 350]);
    let steps = |keys: &[u32]| {
        let step = |key: &u32| CommissionStep { from_key: *key, part: BasisPoints::ZERO };
        Commission::new(keys.iter().map(step).collect())
    };
    assert!(steps(&[1, 2]).is_ok());
    for no in [&[][..], &[2], &[1, 1], &[1, 5, 4], &[1, 2, 3, 4, 5, 6, 7, 8, 9]] {
        assert!(steps(no).is_err(), "{no:?}");
    }
}

#[test]
fn each_rule_refuses_the_policy_that_breaks_only_it() {
    assert!(with("/announcement_s", json!(60)).is_ok());
    let bp = |number| BasisPoints::new(number).unwrap();
    let name = Label::new("csm-default").unwrap();
    let unsafe_size = SizeError::Unsafe { threshold: 2, operators: 4, common: 0 };
    let mut twice: Value = serde_json::from_str(LIDO).unwrap();
    let twice = twice.pointer_mut("/operator_types").unwrap().take();
    let twice = json!([twice[0], twice[1], twice[0]]);
    let free = json!([{"from_key": 1, "per_key": "0"}]);
    let caps = OperatorCaps { stake: Gwei(0), clusters: 32 };
    let below_one = "99/100".parse().unwrap();
    let cases = [
        ("/sizes", json!([]), PolicyError::Sizes { have: 0 }),
        ("/sizes/0/threshold", json!(2), PolicyError::Size { operators: 4, threshold: 2, why: unsafe_size }),
        (
            "/sizes/1",
            json!({"operators": 4, "threshold": 3}),
            PolicyError::SizeTwice { operators: 4, threshold: 3 },
        ),
        ("/operator_caps/stake", json!("0"), PolicyError::Caps(caps)),
        ("/operator_types", json!([]), PolicyError::OperatorTypes { have: 0 }),
        ("/operator_types", twice, PolicyError::OperatorTypeTwice { name: name.clone() }),
        ("/operator_types/0/bond", free, PolicyError::PublicWithoutBond { name }),
        ("/fees/pool", json!(9401), PolicyError::Fees { sum_bp: 10_001 }),
        ("/saturation/pools_wanted", json!(0), PolicyError::NoPools),
        ("/saturation/leverage_max", json!("99/100"), PolicyError::LeverageBelowOne { cap: below_one }),
        ("/leverage_max", json!("99/100"), PolicyError::LeverageBelowOne { cap: below_one }),
        ("/diversity/country", json!({"safety": false, "liveness": false}), PolicyError::IdleDiversity),
        ("/reports/frame_epochs", json!(0), PolicyError::Frame { have: 0 }),
        ("/reports/frame_epochs", json!(20_251), PolicyError::Frame { have: 20_251 }),
        ("/reports/bounds/positive_rebase_max_ppb", json!(0), PolicyError::Bounds { positive_ppb: 0 }),
        ("/self_limit/warn", json!(2201), PolicyError::SelfLimit { warn: bp(2201), stop: bp(2200) }),
        ("/announcement_s", json!(59), PolicyError::Announcement { have: 59 }),
        ("/formation/answer_s", json!(59), PolicyError::Answer { have: 59 }),
        ("/formation/answer_s", json!(2_592_001), PolicyError::Answer { have: 2_592_001 }),
        ("/announcement_s", json!(7_776_001), PolicyError::Announcement { have: 7_776_001 }),
        ("/bond_lock_epochs", json!(8191), PolicyError::BondLock { have: 8191 }),
        ("/bond_lock_epochs", json!(164_251), PolicyError::BondLock { have: 164_251 }),
        (
            "/deposit/rest",
            json!("32000000000"),
            PolicyError::Deposit { first: Gwei(1_000_000_000), rest: Gwei(32_000_000_000) },
        ),
        (
            "/deposit",
            json!({"first": "0", "rest": "32000000000"}),
            PolicyError::Deposit { first: Gwei(0), rest: Gwei(32_000_000_000) },
        ),
        (
            "/exits/delayed_s",
            json!(345_600),
            PolicyError::Exits { delayed_s: 345_600, delinquent_s: 345_600 },
        ),
        ("/strikes/max", json!(7), PolicyError::Strikes { max: 7, frames: 6 }),
        ("/strikes/max", json!(0), PolicyError::Strikes { max: 0, frames: 6 }),
        ("/reserves/liquid", json!(10_000), PolicyError::Reserve { have: BasisPoints::WHOLE }),
    ];
    refuses(&cases);
}

#[test]
fn who_may_delegate_and_how_much_at_a_time_makes_sense() {
    let name = Label::new("csm-default").unwrap();
    let requests = |min, max, age_s| {
        let [min, max] = [min, max].map(|eth| Wei::from_eth(eth).unwrap());
        PolicyError::Requests { min, max, age_s }
    };
    refuses(&[
        ("/operator_types/0/public_delegation", json!(false), PolicyError::OpenToAll { name }),
        ("/delegations/named", json!([Address::ZERO]), PolicyError::Named { have: 1 }),
        ("/delegations/request_min", json!("0"), requests("0", "1000", 7680)),
        (
            "/delegations/request_max",
            json!("99"),
            requests("0.0000000000000001", "0.000000000000000099", 7680),
        ),
        (
            "/delegations/request_age_min_s",
            json!(7_776_001),
            requests("0.0000000000000001", "1000", 7_776_001),
        ),
    ]);
}

fn refuses(cases: &[(&str, Value, PolicyError)]) {
    for (pointer, value, want) in cases {
        assert_eq!(with(pointer, value.clone()), Err(want.clone()), "{pointer}: {value}");
        let mut document: Value = serde_json::from_str(LIDO).unwrap();
        *document.pointer_mut(pointer).unwrap() = value.clone();
        assert!(serde_json::from_value::<Policy>(document).is_err(), "{pointer} is checked when read");
    }
}

#[test]
fn a_document_has_no_field_that_nobody_reads() {
    let pointers = ["", "/sizes/0", "/operator_types/0", "/saturation", "/reports/bounds", "/self_limit"];
    for pointer in pointers {
        let mut document: Value = serde_json::from_str(LIDO).unwrap();
        let object = document.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
        object.insert("surprise".to_owned(), json!(1));
        assert!(serde_json::from_value::<Policy>(document).is_err(), "{pointer}");
    }
    for (pointer, value) in [("/operator_types/0/bond", json!("csm-gold")), ("/fees/pool", json!(10_001))] {
        let mut document: Value = serde_json::from_str(LIDO).unwrap();
        *document.pointer_mut(pointer).unwrap() = value;
        assert!(serde_json::from_value::<Policy>(document).is_err(), "{pointer}");
    }
}

#[test]
fn of_safety_and_liveness_the_tighter_one_binds() {
    let both = Diversity { safety: true, liveness: true };
    for size in lido().sizes() {
        let (n, t) = (size.operators(), size.threshold());
        assert_eq!(both.limit(size), n - t, "with n = 3f + 1 and t = 2f + 1 it is liveness");
        assert_eq!(Diversity { liveness: false, ..both }.limit(size), t - 1);
        assert_eq!(Diversity { safety: false, ..both }.limit(size), n - t);
    }
    assert_eq!(lido().sizes().count(), 4);
}
