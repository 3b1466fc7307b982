//! A relay is asked by the builder API, in both formats and versions, and its address is shown to nobody.

mod common;

use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use common::{Fake, Seen, json, nobody, text};
use remote::limits::{BID_ANSWER_LEN_MAX, REGISTRATIONS_LEN_MAX};
use remote::{BlindedBlock, CallError, Relay, RelayError, SetupError, Taken};
use serde_json::json as value;
use ssz::Encode as _;
use std::time::Duration;
use types::block::body::{BeaconBlock, BlindedBodyElectra};
use types::block::{BlockShape, SignedBlockParts};
use types::builder::{
    BuilderBidElectra, SignedBuilderBid, SignedValidatorRegistrationV1, ValidatorRegistrationV1,
};
use types::sizes::Minimal;
use types::{Fork, Preset, PublicKey, RelayBid, Root, Signature, Slot};

/// Longer than any test takes: no test here is about time but one.
const WAIT: Duration = Duration::from_secs(60);
const KEY: PublicKey = PublicKey([0xa5; 48]);
const PARENT: Root = Root([0xb1; 32]);
const VALIDATOR: PublicKey = PublicKey([0xc1; 48]);

/// The relay of a fake's address.
fn relay(url: &str) -> Relay {
    Relay::new(&url.replace("http://", &format!("http://{KEY}@"))).unwrap()
}

fn bid(fork: Fork) -> RelayBid {
    let bid = BuilderBidElectra { pubkey: KEY, ..BuilderBidElectra::default() };
    let signed = SignedBuilderBid { message: bid, signature: Signature([7; 96]) };
    RelayBid::from_ssz(fork, &signed.as_ssz_bytes()).unwrap()
}

fn ssz(version: &'static str, body: &[u8]) -> Response {
    let mut response = (StatusCode::OK, body.to_vec()).into_response();
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/octet-stream"));
    headers.insert("eth-consensus-version", HeaderValue::from_static(version));
    response
}

async fn header(relay: &Relay) -> Result<Option<RelayBid>, RelayError> {
    relay.header(Slot(11), PARENT, VALIDATOR, WAIT).await
}

fn block(fork: Fork) -> BlindedBlock {
    let empty = BeaconBlock::<BlindedBodyElectra<Minimal>>::default().as_ssz_bytes();
    let block = BlockShape::blinded(Preset::Minimal, fork).decode(&empty).unwrap();
    BlindedBlock::new(Preset::Minimal, &SignedBlockParts { block, signature: Signature([8; 96]) }).unwrap()
}

#[tokio::test]
async fn a_bid_is_read_as_json_and_as_ssz_and_no_content_is_no_bid() {
    let of_json = Fake::start(|_| json(bid(Fork::Fulu).to_json())).await;
    assert_eq!(header(&relay(&of_json.url)).await, Ok(Some(bid(Fork::Fulu))));
    let seen = &of_json.seen()[0];
    assert_eq!(seen.path, format!("/eth/v1/builder/header/11/{PARENT}/{VALIDATOR}"));
    assert_eq!(seen.header("accept"), "application/octet-stream;q=1.0,application/json;q=0.9");

    let of_ssz = Fake::start(|_| ssz("electra", bid(Fork::Electra).ssz())).await;
    assert_eq!(header(&relay(&of_ssz.url)).await, Ok(Some(bid(Fork::Electra))));
    let none = Fake::of(204, "").await;
    assert_eq!(header(&relay(&none.url)).await, Ok(None));
}

#[tokio::test]
async fn an_answer_that_is_no_bid_is_named_as_such() {
    let answers: [fn(&Seen) -> Response; 6] = [
        |_| text(200, "<html>"),
        |_| json(value!({ "version": "fulu" })),
        |_| ssz("bellatrix", bid(Fork::Fulu).ssz()),
        |_| ssz("fulu", &bid(Fork::Fulu).ssz()[1..]),
        |_| {
            let mut response = json(bid(Fork::Fulu).to_json());
            response.headers_mut().insert("eth-consensus-version", HeaderValue::from_static("electra"));
            response
        },
        |_| {
            let mut response = text(200, "");
            response
                .headers_mut()
                .insert("content-type", HeaderValue::from_static("application/octet-stream"));
            response
        },
    ];
    for (number, answer) in answers.into_iter().enumerate() {
        let fake = Fake::start(answer).await;
        let error = header(&relay(&fake.url)).await.unwrap_err();
        assert!(matches!(error, RelayError::Body(_)) && !error.is_passing(), "{number}: {error}");
    }
    let fake = Fake::of(200, "x".repeat(BID_ANSWER_LEN_MAX + 1)).await;
    let too_long = RelayError::Call(CallError::TooLong { max: BID_ANSWER_LEN_MAX });
    assert_eq!(header(&relay(&fake.url)).await, Err(too_long));
}

#[tokio::test]
async fn what_may_be_tried_again_is_told_from_what_is_no() {
    assert!(header(&relay(&nobody().await)).await.unwrap_err().is_passing());
    for (code, passing) in [(500, true), (502, true), (400, false), (404, false), (429, false)] {
        let fake = Fake::of(code, r#"{"code": 1, "message": "words"}"#).await;
        let error = header(&relay(&fake.url)).await.unwrap_err();
        assert_eq!(error, RelayError::Call(CallError::Status { code, message: "words".to_owned() }));
        assert_eq!(error.is_passing(), passing, "{code}");
    }
}

#[tokio::test]
async fn a_relay_that_does_not_answer_is_waited_for_as_long_as_was_said() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = relay(&format!("http://{}", listener.local_addr().unwrap()));
    let wait = Duration::from_millis(50);
    let answer = silent.header(Slot(11), PARENT, VALIDATOR, wait).await;
    assert_eq!(answer, Err(RelayError::Call(CallError::Timeout { wait_ms: 50 })));
}

#[tokio::test]
async fn registrations_go_in_batches_and_the_first_refused_ends_it() {
    let fake = Fake::of(200, "").await;
    let message = ValidatorRegistrationV1 { pubkey: VALIDATOR, ..ValidatorRegistrationV1::default() };
    let one = SignedValidatorRegistrationV1 { message, signature: Signature([9; 96]) };
    let all = vec![one; REGISTRATIONS_LEN_MAX + 1];
    assert_eq!(relay(&fake.url).register_validators(&all, WAIT).await, Ok(()));
    let seen = fake.seen();
    let lens: Vec<_> = seen.iter().map(|seen| seen.json().as_array().unwrap().len()).collect();
    assert_eq!(lens, [REGISTRATIONS_LEN_MAX, 1]);
    assert_eq!(seen[0].path, "/eth/v1/builder/validators");
    assert_eq!(seen[1].json()[0], serde_json::to_value(one).unwrap());

    let fake = Fake::of(400, "no").await;
    assert!(relay(&fake.url).register_validators(&all, WAIT).await.is_err());
    assert_eq!(fake.seen().len(), 1);
    let fake = Fake::of(200, "").await;
    assert_eq!(relay(&fake.url).register_validators(&[], WAIT).await, Ok(()));
    assert!(fake.seen().is_empty());
}

#[tokio::test]
async fn a_signed_block_goes_by_the_second_version_and_by_the_first_where_that_is_unknown() {
    let fake = Fake::of(202, "").await;
    let taken = relay(&fake.url).submit_blinded_block(&block(Fork::Electra), WAIT).await;
    assert_eq!(taken, Ok(Taken::Published));
    let seen = &fake.seen()[0];
    assert_eq!(seen.path, "/eth/v2/builder/blinded_blocks");
    assert_eq!(seen.header("eth-consensus-version"), "electra");
    assert_eq!(seen.json()["signature"], Signature([8; 96]).to_string());

    let old = |seen: &Seen| {
        if seen.path.starts_with("/eth/v2/") { text(404, "") } else { text(200, "payload") }
    };
    let fake = Fake::start(old).await;
    let taken = relay(&fake.url).submit_blinded_block(&block(Fork::Electra), WAIT).await;
    assert_eq!(taken, Ok(Taken::Revealed("payload".into())));
    let fake = Fake::start(old).await;
    let taken = relay(&fake.url).submit_blinded_block(&block(Fork::Fulu), WAIT).await;
    assert!(taken.is_err(), "there is no first version from Fulu on");
    assert_eq!(fake.seen().len(), 1);
    let fake = Fake::of(400, "unknown block").await;
    assert!(relay(&fake.url).submit_blinded_block(&block(Fork::Electra), WAIT).await.is_err());
    assert_eq!(fake.seen().len(), 1, "a no is no reason to ask in another way");
}

#[tokio::test]
async fn the_key_is_not_sent_and_the_rest_of_the_address_is_not_shown() {
    let fake = Fake::start(|seen| text(500, format!("no {}", seen.path))).await;
    let address = fake.url.replace("http://", &format!("http://{KEY}@"));
    let relay = Relay::new(&format!("{address}/path-1/?id=token-2")).unwrap();
    assert_eq!(relay.key(), KEY);
    let error = relay.status(WAIT).await.unwrap_err();
    let seen = &fake.seen()[0];
    assert_eq!(seen.path, "/path-1/eth/v1/builder/status?id=token-2");
    assert!(seen.headers.get("authorization").is_none());
    for shown in [error.to_string(), format!("{error:?}"), format!("{relay:?}"), relay.label().to_owned()] {
        assert!(!shown.contains("path-1") && !shown.contains("token-2"), "{shown}");
    }
    assert_eq!(relay.label(), fake.url);
}

#[test]
fn an_address_without_the_relays_key_or_with_a_password_is_refused_without_showing_it() {
    let long = format!("https://{KEY}00@relay.example");
    for (address, want) in [
        ("https://relay.example", SetupError::NoRelayKey),
        ("https://user@relay.example", SetupError::NoRelayKey),
        (&long, SetupError::NoRelayKey),
        (&format!("https://{KEY}:secret-1@relay.example"), SetupError::RelayPassword),
    ] {
        let error = Relay::new(address).unwrap_err();
        assert_eq!(error, want);
        assert!(!error.to_string().contains("secret-1"));
    }
    for address in ["", "relay.example", &format!("ftp://{KEY}@relay.example")] {
        assert!(matches!(Relay::new(address), Err(SetupError::Url { .. })), "{address}");
    }
}
