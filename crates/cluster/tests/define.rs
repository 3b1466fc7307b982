//! Definitions made here: what is refused, and what comes out.

use cluster::{
    Definition, Enr, Network, Networks, NewAddresses, NewDefinition, NodeKey, NotReady,
    define::{DefineError, TARGET_GAS_LIMIT},
    deposit::AmountError,
};
use k256::ecdsa::{Signature, SigningKey, signature::hazmat::PrehashSigner};
use time::OffsetDateTime;
use types::{ForkVersion, Gwei, NodeSignature};
use uuid::Uuid;

const ADDRESS: &str = "0x86B8145c98e5BD25BA722645b15eD65f024a87EC";

fn enr(seed: u8) -> Enr {
    let signer = SigningKey::from_slice(&[seed; 32]).unwrap();
    let key = NodeKey::from(signer.verifying_key());
    let signature: Signature = signer.sign_prehash(&Enr::digest(&key).0).unwrap();
    Enr::assemble(&key, &NodeSignature(signature.to_bytes().into())).unwrap()
}

fn addresses(fee_recipient: &str, withdrawal: &str) -> NewAddresses {
    NewAddresses { fee_recipient: fee_recipient.to_owned(), withdrawal: withdrawal.to_owned() }
}

fn good() -> NewDefinition {
    NewDefinition {
        version: cluster::Version::V1_10,
        name: "seven <hills> & more".to_owned(),
        operators: (1..=4).map(enr).collect(),
        threshold: 3,
        validators: vec![addresses(ADDRESS, ADDRESS); 2],
        network: Networks::public().by_name("hoodi").unwrap().clone(),
        deposit_amounts: vec![Gwei(1_000_000_000), Gwei(31_000_000_000)],
        compounding: false,
        target_gas_limit: TARGET_GAS_LIMIT,
        uuid: Uuid::from_u128(0x6da0_c05b_143a_4081_9f67_a7bc_8b4c_484c),
        timestamp: OffsetDateTime::from_unix_timestamp_nanos(1_767_323_045_600_000_000).unwrap(),
    }
}

fn refused(edit: impl FnOnce(&mut NewDefinition)) -> DefineError {
    let mut new = good();
    edit(&mut new);
    new.define().unwrap_err()
}

#[test]
fn a_new_definition_is_v1_10_whose_checks_hold_and_which_reads_as_it_was_made() {
    let definition = good().define().unwrap();
    let file = definition.to_json();
    assert_eq!(Definition::parse(file.as_bytes()).unwrap(), definition);
    assert!(definition.check(&Networks::public()).iter().all(|check| check.holds()));
    assert_eq!(definition.ready(&Networks::public()).unwrap().name, "hoodi");
    for line in [
        r#" "name": "seven \u003chills\u003e \u0026 more","#,
        r#" "uuid": "6DA0C05B-143A-4081-9F67-A7BC8B4C484C","#,
        r#" "version": "v1.10.0","#,
        r#" "timestamp": "2026-01-02T03:04:05Z","#,
        r#" "num_validators": 2,"#,
        r#" "dkg_algorithm": "default","#,
        r#" "fork_version": "0x10000910","#,
        r#" "consensus_protocol": "","#,
        r#" "target_gas_limit": 60000000,"#,
        r#" "compounding": false,"#,
    ] {
        assert!(file.lines().any(|have| have == line), "{line} in {file}");
    }
}

#[test]
fn amounts_left_to_the_default_are_null_and_stand_for_one_and_thirty_two_eth() {
    let mut new = good();
    new.deposit_amounts.clear();
    let definition = new.define().unwrap();
    assert!(definition.to_json().contains("\"deposit_amounts\": null,"));
    assert_eq!(definition.deposit_amounts(), [Gwei(1_000_000_000), Gwei(32_000_000_000)]);
    let mut new = good();
    new.deposit_amounts = vec![Gwei(16_000_000_000); 2];
    assert_eq!(new.define().unwrap().deposit_amounts(), [Gwei(16_000_000_000)]);
}

#[test]
fn each_wrong_decision_is_refused_by_its_rule() {
    let not_ready = |error| match error {
        DefineError::NotReady(rule) => rule,
        other => panic!("{other}"),
    };
    assert_eq!(not_ready(refused(|new| new.name.clear())), NotReady::NoName);
    assert_eq!(not_ready(refused(|new| new.validators.clear())), NotReady::NoValidators);
    let same = refused(|new| new.operators[2] = new.operators[0].clone());
    assert_eq!(not_ready(same), NotReady::SameNode { first: 1, second: 3 });
    assert!(matches!(refused(|new| new.threshold = 2), DefineError::Size(_)));
    assert!(matches!(refused(|new| new.operators.truncate(2)), DefineError::Size(_)));
    assert!(matches!(refused(|new| new.name = "x".repeat(257)), DefineError::Text { what: "name", .. }));
    let amounts = refused(|new| new.deposit_amounts.truncate(1));
    assert!(matches!(amounts, DefineError::Amounts(AmountError::Sum { gwei: 1_000_000_000 })));
    assert!(matches!(
        refused(|new| new.validators[0].withdrawal = "0x12".to_owned()),
        DefineError::Text { what: "withdrawal address", .. }
    ));
    assert!(matches!(
        refused(|new| new.validators = vec![addresses(ADDRESS, ADDRESS); 65537]),
        DefineError::Definition(_)
    ));
}

#[test]
fn a_withdrawal_address_needs_its_checksum_and_a_fee_recipient_must_not_contradict_it() {
    let lower = ADDRESS.to_lowercase();
    let mistyped = ADDRESS.replace("86B8", "86b8");
    for withdrawal in [lower.as_str(), mistyped.as_str(), "", &ADDRESS[2..]] {
        let error = refused(|new| new.validators[1] = addresses(ADDRESS, withdrawal));
        assert!(
            matches!(error, DefineError::NotReady(NotReady::WithdrawalAddress { validator: 1, .. })),
            "{withdrawal:?}: {error}"
        );
    }
    for fees in ["", &mistyped] {
        let error = refused(|new| new.validators[0] = addresses(fees, ADDRESS));
        assert!(matches!(error, DefineError::NotReady(NotReady::FeeRecipient { validator: 0, .. })));
    }
    let mut new = good();
    new.validators[0] = addresses(&lower, ADDRESS);
    assert!(new.define().is_ok());
}

#[test]
fn a_zero_withdrawal_address_is_refused_where_deposits_are_money() {
    let zero = format!("0x{}", "00".repeat(20));
    let mut new = good();
    new.validators[0] = addresses(ADDRESS, &zero);
    assert!(new.clone().define().is_ok());
    new.network = Networks::public().by_name("mainnet").unwrap().clone();
    let error = new.define().unwrap_err();
    assert!(matches!(error, DefineError::NotReady(NotReady::ZeroWithdrawal { validator: 0 })));
}

#[test]
fn a_network_of_ones_own_is_known_only_to_those_who_add_it() {
    let mut new = good();
    new.network = Network {
        name: "devnet".to_owned(),
        fork_version: ForkVersion([0x10, 0, 0, 0x38]),
        chain_id: 3_151_908,
        genesis_time_s: 1_700_000_000,
    };
    let network = new.network.clone();
    let definition = new.define().unwrap();
    let unknown = definition.ready(&Networks::public()).unwrap_err();
    assert_eq!(unknown, NotReady::UnknownNetwork(network.fork_version));
    assert_eq!(definition.ready(&Networks::public().with(network.clone())), Ok(&network));
}

#[test]
fn an_operator_that_joins_changes_the_definition_hash_and_not_the_config_hash() {
    let mut definition = good().define().unwrap();
    let before = (definition.config_hash(), definition.definition_hash());
    let operator = cluster::definition::Operator::unsigned(enr(9));
    definition.set_operator(3, operator.clone()).unwrap();
    assert_eq!(definition.config_hash(), before.0);
    assert_ne!(definition.definition_hash(), before.1);
    assert!(definition.check_hashes().iter().all(|check| check.holds()));
    assert!(definition.set_operator(4, operator).is_err());
}
