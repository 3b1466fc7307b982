//! Keystores go to a validator client in order and in batches, and every way in which it may not have them is named.

mod common;

use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use common::{Fake, Seen, json, nobody, text};
use remote::limits::{BATCH_LEN_MAX, LIST_LEN_MAX, MESSAGE_LEN_MAX};
use remote::{CallError, Keymanager, KeymanagerError, Outcome, Plain, Push, SetupError, Status};
use secrecy::SecretString;
use serde_json::{Value, json as value};
use std::collections::BTreeSet;
use std::sync::Mutex;
use types::PublicKey;

const TOKEN: &str = "api-token-0x1234";
const PASSWORD: &str = "correct \"horse\"";
const PROTECTION: &str = r#"{"metadata": {}, "data": []}"#;

fn key(number: usize) -> PublicKey {
    let mut key = [0xaa; 48];
    key[..8].copy_from_slice(&(number as u64).to_be_bytes());
    PublicKey(key)
}

/// Keystores of fakes are their key's text.
fn keystore(number: usize) -> String {
    key(number).to_string()
}

fn keymanager(url: &str, token: &str) -> Keymanager {
    Keymanager::new(url, SecretString::from(token), Plain::LoopbackOnly).unwrap()
}

/// A client that has some keys, takes others, and lists what it has but for one.
async fn client(has: &[PublicKey], hidden: Option<PublicKey>) -> Fake {
    let keys = Mutex::new(has.iter().copied().collect::<BTreeSet<_>>());
    Fake::start(move |seen| {
        let mut keys = keys.lock().unwrap();
        if seen.header("authorization") != format!("Bearer {TOKEN}") {
            return text(401, format!("{{\"message\": \"not {}\"}}", seen.header("authorization")));
        }
        if seen.method == Method::GET {
            let listed = keys.iter().filter(|key| Some(**key) != hidden);
            let listed = listed.map(|key| value!({"validating_pubkey": key, "readonly": false}));
            return json(value!({"data": listed.collect::<Vec<_>>()}));
        }
        let take = |text: Value| match keys.insert(text.as_str().unwrap().parse().unwrap()) {
            true => value!({"status": "imported", "message": ""}),
            false => value!({"status": "duplicate"}),
        };
        let taken: Vec<_> = seen.json()["keystores"].as_array().unwrap().iter().cloned().map(take).collect();
        json(value!({"data": taken}))
    })
    .await
}

/// Pushes the first `len` keystores, all with one password.
async fn push(
    keymanager: &Keymanager,
    len: usize,
    protection: Option<&str>,
) -> Result<Vec<Outcome>, KeymanagerError> {
    let password = SecretString::from(PASSWORD);
    let texts: Vec<String> = (0..len).map(keystore).collect();
    let push = |(number, json)| Push { key: key(number), json, password: &password };
    let keystores: Vec<Push<'_>> = texts.iter().map(String::as_str).enumerate().map(push).collect();
    keymanager.push(&keystores, protection).await
}

/// What the client says of two keystores, and what comes of it.
async fn after(answer: Response) -> KeymanagerError {
    let answer = Mutex::new(Some(answer));
    let fake =
        Fake::start(move |_| answer.lock().unwrap().take().expect("nothing is asked after an error")).await;
    push(&keymanager(&fake.url, TOKEN), 2, None).await.unwrap_err()
}

#[tokio::test]
async fn keystores_go_in_order_and_in_batches_and_protection_before_all_others() {
    let fake = client(&[], None).await;
    let len = 2 * BATCH_LEN_MAX + 1;
    let outcomes = push(&keymanager(&fake.url, TOKEN), len, Some(PROTECTION)).await.unwrap();
    let want: Vec<_> =
        (0..len).map(|number| Outcome { key: key(number), status: Status::Imported }).collect();
    assert_eq!(outcomes, want);

    let seen = fake.seen();
    let asked: Vec<(&str, &str)> =
        seen.iter().map(|seen| (seen.method.as_str(), seen.path.as_str())).collect();
    let path = "/eth/v1/keystores";
    assert_eq!(asked, [("POST", path), ("POST", path), ("POST", path), ("GET", path)]);
    let bodies: Vec<Value> = seen[..3].iter().map(Seen::json).collect();
    let sent = |body: &Value| body["keystores"].as_array().unwrap().clone();
    assert_eq!(
        bodies.iter().map(|body| sent(body).len()).collect::<Vec<_>>(),
        [BATCH_LEN_MAX, BATCH_LEN_MAX, 1]
    );
    assert_eq!(bodies.iter().flat_map(sent).collect::<Vec<_>>(), (0..len).map(keystore).collect::<Vec<_>>());
    for body in &bodies {
        assert_eq!(body["passwords"], value!(vec![PASSWORD; sent(body).len()]));
    }
    assert_eq!(bodies[0]["slashing_protection"], PROTECTION);
    assert!(bodies[1..].iter().all(|body| body.get("slashing_protection").is_none()));
    assert_eq!(seen[0].header("content-type"), "application/json");
}

#[tokio::test]
async fn no_keystores_are_no_request() {
    let fake = client(&[], None).await;
    assert_eq!(push(&keymanager(&fake.url, TOKEN), 0, Some(PROTECTION)).await, Ok(vec![]));
    assert!(fake.seen().is_empty());
}

#[tokio::test]
async fn a_key_that_the_client_has_already_is_well() {
    let fake = client(&[key(1)], None).await;
    let keymanager = keymanager(&fake.url, TOKEN);
    assert_eq!(keymanager.list().await.unwrap(), BTreeSet::from([key(1)]));
    let outcomes = push(&keymanager, 2, None).await.unwrap();
    assert_eq!(
        outcomes.iter().map(|outcome| outcome.status).collect::<Vec<_>>(),
        [Status::Imported, Status::Duplicate]
    );
    let again = push(&keymanager, 2, None).await.unwrap();
    assert!(again.iter().all(|outcome| outcome.status == Status::Duplicate));
    assert_eq!(keymanager.list().await.unwrap(), BTreeSet::from([key(0), key(1)]));
}

#[tokio::test]
async fn a_keystore_that_is_refused_is_named_with_the_clients_words() {
    let words = format!("line\n{PASSWORD} and {TOKEN} {}", "x".repeat(2 * MESSAGE_LEN_MAX));
    for status in ["error", "maybe"] {
        let second = value!({"status": status, "message": words});
        let error = after(json(value!({"data": [{"status": "imported"}, second]}))).await;
        let KeymanagerError::Refused { key: named, message } = error else { panic!("{error}") };
        assert_eq!(named, key(1));
        assert!(message.contains("line <redacted> and <redacted> xxx"), "{message}");
        assert_eq!(message.contains("unknown status `maybe`"), status == "maybe");
        assert_eq!(message.chars().count(), MESSAGE_LEN_MAX);
    }
}

#[tokio::test]
async fn statuses_that_do_not_match_the_keystores_are_refused() {
    for have in [0, 1, 3] {
        let data = vec![value!({"status": "imported"}); have];
        let error = after(json(value!({"data": data}))).await;
        assert_eq!(error, KeymanagerError::Count { have, want: 2, first: key(0) });
    }
}

#[tokio::test]
async fn a_client_that_says_imported_and_does_not_list_the_key_is_found_out() {
    let fake = client(&[], Some(key(1))).await;
    let error = push(&keymanager(&fake.url, TOKEN), 3, None).await;
    assert_eq!(error, Err(KeymanagerError::Missing { key: key(1) }));
}

#[tokio::test]
async fn a_wrong_token_is_told_apart_from_other_refusals() {
    let fake = client(&[], None).await;
    let keymanager = keymanager(&fake.url, "another-token");
    assert_eq!(keymanager.list().await, Err(KeymanagerError::TokenRefused { code: 401 }));
    assert_eq!(push(&keymanager, 1, None).await, Err(KeymanagerError::TokenRefused { code: 401 }));
    assert_eq!(after(text(403, TOKEN)).await, KeymanagerError::TokenRefused { code: 403 });
    let message = "no keymanager for <redacted>".to_owned();
    let error = after(text(404, format!("no keymanager for {PASSWORD}"))).await;
    assert_eq!(error, KeymanagerError::Call(CallError::Status { code: 404, message }));
}

#[tokio::test]
async fn an_answer_that_is_not_of_the_api_is_refused_without_the_secrets_in_it() {
    for body in ["", "<html>", "{}", r#"{"data": [1]}"#, r#"{"data": "correct \"horse\""}"#] {
        let error = after(text(200, body)).await;
        assert!(matches!(error, KeymanagerError::Body(_)), "{error}");
        assert!(!error.to_string().contains("horse"), "{error}");
        let fake = Fake::of(200, body).await;
        let error = keymanager(&fake.url, TOKEN).list().await.unwrap_err();
        assert!(matches!(error, KeymanagerError::Body(_)), "{error}");
    }
}

#[tokio::test]
async fn a_list_that_is_too_long_is_not_read() {
    let fake = Fake::of(200, " ".repeat(LIST_LEN_MAX + 1)).await;
    let error = keymanager(&fake.url, TOKEN).list().await;
    assert_eq!(error, Err(KeymanagerError::Call(CallError::TooLong { max: LIST_LEN_MAX })));
}

#[tokio::test]
async fn nobody_there_is_no_connection() {
    let error = push(&keymanager(&nobody().await, TOKEN), 1, None).await.unwrap_err();
    assert!(matches!(error, KeymanagerError::Call(CallError::Connect(_))), "{error}");
}

#[tokio::test]
async fn passwords_do_not_follow_a_redirect() {
    let other = client(&[], None).await;
    let location = format!("{}/eth/v1/keystores", other.url);
    let redirect = (StatusCode::TEMPORARY_REDIRECT, [("location", location)]).into_response();
    let error = after(redirect).await;
    assert!(matches!(error, KeymanagerError::Call(CallError::Status { code: 307, .. })), "{error}");
    assert!(other.seen().is_empty());
}

#[test]
fn plain_http_to_another_machine_is_refused_unless_it_is_allowed() {
    let new = |url, plain| Keymanager::new(url, SecretString::from(TOKEN), plain);
    let error = new("http://vc.example:7500/x?key-123", Plain::LoopbackOnly).unwrap_err();
    assert_eq!(error, SetupError::PlainHttp { host: "vc.example".to_owned() });
    assert!(error.to_string().contains("--keymanager-plain-http"), "{error}");
    assert!(!error.to_string().contains("key-123"), "{error}");
    assert!(new("http://vc.example:7500", Plain::Allowed).is_ok());
    assert!(new("http://localhost:7500", Plain::LoopbackOnly).is_ok());
}

#[test]
fn what_cannot_be_sent_is_refused_at_once_and_not_shown() {
    let new = |url, token: &str| Keymanager::new(url, SecretString::from(token), Plain::Allowed);
    let url = "http://localhost:7500";
    for token in ["", "secret-token\n", "secret-token\u{1f511}"] {
        let error = new(url, token).unwrap_err();
        assert_eq!(error, SetupError::Token);
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
    let error = new("http://secret:secret@localhost:7500", TOKEN).unwrap_err();
    assert_eq!(error, SetupError::UserInUrl);
    assert!(!format!("{error} {error:?}").contains("secret"));
}

#[test]
fn debug_shows_neither_token_nor_password() {
    let keymanager = keymanager("http://localhost:7500/key-123", TOKEN);
    assert_eq!(
        format!("{keymanager:?}"),
        "Keymanager { server: http://localhost:7500, token: \"<redacted>\" }"
    );
    assert_eq!(keymanager.label(), "http://localhost:7500");
    let password = SecretString::from(PASSWORD);
    let push = Push { key: key(1), json: "keystore", password: &password };
    let shown = format!("{push:?}");
    assert!(shown.contains(&key(1).to_string()) && !shown.contains("horse"), "{shown}");
}
