//! A pool's board: what is asked, what is sent, and what it may answer.

mod common;

use bytes::Bytes;
use common::{Fake, json, nobody, text};
use remote::board::{Board, BoardError, Notice, Receipt, SignedRequest, lock_path, presence_path};
use remote::error::CallError;
use remote::limits::NOTICE_LEN_MAX;
use serde_json::json;
use types::{Address, Root};

const CLUSTER: Root = Root([0xc1; 32]);

fn board(fake: &Fake) -> Board {
    Board::new(&fake.url).unwrap()
}

fn signed(path: String) -> SignedRequest {
    SignedRequest {
        path,
        body: Bytes::from_static(br#"{"a":1}"#),
        pool: Root([1; 32]),
        signer: Address([2; 20]),
        nonce: 7,
        expiry: 1_800_000_000,
        signature: [0x1b; 65],
    }
}

#[tokio::test]
async fn a_notice_is_read_and_what_is_new_in_it_is_no_error() {
    let fake = Fake::start(|_| {
        json(json!({
            "pool": Root([1; 32]), "chain_id": 560_048, "cluster": CLUSTER, "stage": "waiting",
            "definition": "{}", "operators": [], "missing": [2, 3], "lock": null, "weather": "fine",
        }))
    })
    .await;
    let notice = board(&fake).notice(CLUSTER).await.unwrap();
    let want = Notice { pool: Root([1; 32]), chain_id: 560_048, definition: "{}".to_owned() };
    assert_eq!(notice, want);
    assert_eq!(fake.seen()[0].path, format!("/v1/ceremonies/{CLUSTER}"));
}

#[tokio::test]
async fn what_is_signed_is_sent_to_the_byte_with_what_it_is_checked_by() {
    let fake = Fake::start(|seen| text(if seen.method == "PUT" { 204 } else { 201 }, "")).await;
    board(&fake).say(&signed(presence_path(CLUSTER))).await.unwrap();
    assert_eq!(board(&fake).deliver(&signed(lock_path(CLUSTER))).await, Ok(Receipt::Taken));
    let seen = fake.seen();
    let methods = [seen[0].method.as_str(), seen[1].method.as_str()];
    assert_eq!(methods, [Board::SAY, Board::DELIVER]);
    assert_eq!(seen[0].path, format!("/v1/ceremonies/{CLUSTER}/presence"));
    assert_eq!(seen[1].path, format!("/v1/clusters/{CLUSTER}/lock"));
    for seen in seen {
        assert_eq!(&seen.body[..], br#"{"a":1}"#);
        assert_eq!(seen.header("x-pool"), Root([1; 32]).to_string());
        assert_eq!(seen.header("x-signer").parse(), Ok(Address([2; 20])));
        assert_eq!((seen.header("x-nonce"), seen.header("x-expiry")), ("7", "1800000000"));
        assert_eq!(seen.header("x-signature"), format!("0x{}", "1b".repeat(65)));
    }
    let had = Fake::of(200, r#"{"code":200,"message":"the pool has this lock"}"#).await;
    assert_eq!(board(&had).deliver(&signed(lock_path(CLUSTER))).await, Ok(Receipt::Had));
}

#[tokio::test]
async fn a_refusal_keeps_its_words_and_says_whether_it_passes() {
    for (code, passes) in
        [(400, false), (403, false), (404, false), (409, false), (408, true), (429, true), (503, true)]
    {
        let fake = Fake::of(code, r#"{"code":0,"message":"not so"}"#).await;
        let error = board(&fake).deliver(&signed(lock_path(CLUSTER))).await.unwrap_err();
        assert_eq!(error, BoardError::Refused { code, message: "not so".to_owned() });
        assert_eq!(error.passes(), passes, "{code}");
    }
    let nobody = Board::new(&nobody().await).unwrap();
    let error = nobody.notice(CLUSTER).await.unwrap_err();
    assert!(matches!(error, BoardError::Call(CallError::Connect(_))) && error.passes(), "{error}");
    let nothing = json!({"pool": Root([1; 32]), "chain_id": 1, "definition": null}).to_string();
    for body in ["", "[]", r#"{"pool":"0x01"}"#, &nothing] {
        let error = board(&Fake::of(200, body.to_owned()).await).notice(CLUSTER).await.unwrap_err();
        assert!(matches!(error, BoardError::Body(_)) && !error.passes(), "{error}");
    }
    let long = Fake::of(200, " ".repeat(NOTICE_LEN_MAX + 1)).await;
    let error = board(&long).notice(CLUSTER).await.unwrap_err();
    assert_eq!(error, BoardError::Call(CallError::TooLong { max: NOTICE_LEN_MAX }));
}

#[tokio::test]
async fn a_password_in_the_address_is_sent_and_not_shown() {
    let fake = Fake::start(|seen| text(404, format!("no {}", seen.path))).await;
    let url = fake.url.replace("http://", "http://someone:pass-word@");
    let board = Board::new(&format!("{url}/key-4711")).unwrap();
    let error = board.notice(CLUSTER).await.unwrap_err().to_string();
    assert!(error.contains("<redacted>") && !error.contains("key-4711"), "{error}");
    assert!(!format!("{board:?} {}", board.label()).contains("pass-word"));
    assert!(fake.seen()[0].header("authorization").starts_with("Basic "));
    assert!(fake.seen()[0].path.starts_with("/key-4711/v1/ceremonies/"));
}
