//! Each rule of a request, broken alone.

use super::*;
use crate::test_keys::Wallet;

const POOL: Root = Root([0x11; 32]);
const HOODI: u64 = 560_048;
const NOW: u64 = 1_800_000_000;

fn incoming(wallet: &Wallet) -> Incoming {
    wallet.incoming(POOL, HOODI, ("POST", "/v1/operators"), "{}", 7, NOW + 60)
}

fn check(incoming: &Incoming, now: u64, last: Option<u64>) -> Result<Address, RequestRefusal> {
    incoming.claims(POOL, HOODI)?;
    incoming.request.valid(incoming.request.recover(POOL, HOODI), now, BODY_LEN_MAX, |_| last.map(Nonce))
}

/// `Account.sign_message(..)` of Python's `eth-account` 0.14.0, key `0x0707…07`, the request of `messages::tests`.
#[test]
fn a_wallets_signature_gives_the_wallet() {
    let signature = "0xc732167380dfab32ea85fb1312cc45052e1f748a580ce1c348550563e2e6842239ba9140e4f876863ad04795b81abfb4\
                     95ca3cef0b4261983b1b52a8e0f009421c";
    let request = Request {
        method: "POST".to_owned(),
        path: "/v1/governance/proposals".to_owned(),
        body: r#"{"salt":"0x01"}"#.to_owned(),
        nonce: Nonce(7),
        expiry: NOW,
        signature: signature.parse().unwrap(),
    };
    let wallet: Address = "0x4a62316623ad457F02cDC5D997deD67a383EC569".parse().unwrap();
    assert_eq!(request.valid(request.recover(POOL, HOODI), NOW, BODY_LEN_MAX, |_| None), Ok(wallet));
    assert_eq!(Wallet::new(7).address(), wallet, "and the tests' keys are the same");
    let ours = Wallet::new(7).incoming(
        POOL,
        HOODI,
        ("POST", "/v1/governance/proposals"),
        r#"{"salt":"0x01"}"#,
        7,
        NOW,
    );
    assert_eq!(ours.request, request);
}

#[test]
fn a_request_is_valid_until_its_expiry_and_at_most_five_minutes() {
    let wallet = Wallet::new(1);
    let request = incoming(&wallet);
    let expiry = request.request.expiry;
    for now in [NOW, expiry - VALID_MAX_S, expiry] {
        assert_eq!(check(&request, now, None), Ok(wallet.address()), "{now}");
    }
    let now = expiry + 1;
    assert_eq!(check(&request, now, None), Err(RequestRefusal::Expired { expiry, now }));
    let now = expiry - VALID_MAX_S - 1;
    assert_eq!(check(&request, now, None), Err(RequestRefusal::TooFarAhead { expiry, now }));
    let forever = wallet.incoming(POOL, HOODI, ("POST", "/v1/operators"), "{}", 7, u64::MAX);
    assert_eq!(check(&forever, NOW, None), Err(RequestRefusal::TooFarAhead { expiry: u64::MAX, now: NOW }));
}

#[test]
fn a_nonce_counts_once_and_none_below_it_afterwards() {
    let wallet = Wallet::new(1);
    let request = incoming(&wallet);
    assert!(check(&request, NOW, Some(6)).is_ok());
    for last in [7, 8, u64::MAX] {
        let refusal =
            RequestRefusal::Replayed { signer: wallet.address(), nonce: Nonce(7), last: Nonce(last) };
        assert_eq!(check(&request, NOW, Some(last)), Err(refusal));
    }
}

#[test]
fn another_pool_and_another_chain_are_refused_by_name() {
    let (wallet, other) = (Wallet::new(1), Root([9; 32]));
    let elsewhere = wallet.incoming(other, HOODI, ("POST", "/v1/operators"), "{}", 7, NOW + 60);
    assert_eq!(check(&elsewhere, NOW, None), Err(RequestRefusal::WrongPool { have: other, want: POOL }));
    // It says that it is for this pool, but that is not what was signed.
    let lie = Incoming { pool: POOL, ..elsewhere };
    assert!(matches!(check(&lie, NOW, None), Err(RequestRefusal::UnknownSigner { .. })));
    let mainnet = wallet.incoming(POOL, 1, ("POST", "/v1/operators"), "{}", 7, NOW + 60);
    match check(&mainnet, NOW, None) {
        Err(RequestRefusal::UnknownSigner { claimed, recovered, chain_id }) => {
            assert_eq!((claimed, chain_id), (wallet.address(), HOODI));
            assert_ne!(recovered, claimed);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_part_of_a_request_is_signed() {
    let wallet = Wallet::new(1);
    let parts: [fn(&mut Request); 5] = [
        |request| request.method = "PUT".to_owned(),
        |request| request.path.push('x'),
        |request| request.body.push(' '),
        |request| request.nonce.0 += 1,
        |request| request.expiry += 1,
    ];
    for change in parts {
        let mut request = incoming(&wallet);
        change(&mut request.request);
        assert!(matches!(check(&request, NOW, None), Err(RequestRefusal::UnknownSigner { .. })));
    }
    let mut request = incoming(&wallet);
    request.signer = Wallet::new(2).address();
    let refusal = RequestRefusal::UnknownSigner {
        claimed: request.signer,
        recovered: wallet.address(),
        chain_id: HOODI,
    };
    assert_eq!(check(&request, NOW, None), Err(refusal));
}

#[test]
fn what_is_too_long_is_refused_before_anything_is_computed() {
    let wallet = Wallet::new(1);
    let long = "x".repeat(BODY_LEN_MAX + 1);
    let request = wallet.incoming(POOL, HOODI, ("POST", "/v1/operators"), &long, 7, NOW);
    let have = long.len();
    assert_eq!(check(&request, NOW, None), Err(RequestRefusal::BodyTooLong { have, most: BODY_LEN_MAX }));
    let long = "/".repeat(PATH_LEN_MAX + 1);
    let request = wallet.incoming(POOL, HOODI, ("POST", &long), "{}", 7, NOW);
    assert_eq!(check(&request, NOW, None), Err(RequestRefusal::PathTooLong { have: long.len() }));
}
