//! What an execution node and a wallet's contract can say, and what is made of it.

mod common;

use common::{Fake, json, nobody, text};
use remote::limits::RPC_LEN_MAX;
use remote::{CallError, Execution, RpcError};
use serde_json::{Value, json as value};
use types::{Address, Root};

const WALLET: Address = Address([0x77; 20]);
const DIGEST: Root = Root([0xd1; 32]);
const SIGNATURE: [u8; 65] = [0x5a; 65];

fn yes() -> String {
    format!("0x1626ba7e{}", "0".repeat(56))
}

/// A node that answers every question with these members.
async fn node(members: Value) -> Fake {
    Fake::start(move |seen| {
        let mut answer = value!({"jsonrpc": "2.0", "id": seen.json()["id"]});
        answer.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        json(answer)
    })
    .await
}

async fn judge(fake: &Fake) -> Result<bool, RpcError> {
    Execution::new(&fake.url).unwrap().is_valid_signature(WALLET, DIGEST, &SIGNATURE).await
}

#[tokio::test]
async fn a_contract_that_gives_the_magic_word_has_signed() {
    let fake = node(value!({"result": yes()})).await;
    assert_eq!(judge(&fake).await, Ok(true));
    let [seen] = &fake.seen()[..] else { panic!("one request") };
    let body = seen.json();
    assert_eq!((seen.path.as_str(), seen.header("content-type")), ("/", "application/json"));
    assert_eq!((&body["jsonrpc"], &body["method"]), (&value!("2.0"), &value!("eth_call")));
    assert_eq!((&body["params"][0]["to"], &body["params"][1]), (&value!(WALLET), &value!("latest")));
    let data = body["params"][0]["data"].as_str().unwrap();
    assert!(data.starts_with(&format!("0x1626ba7e{}", hex::encode(DIGEST))), "{data}");
    assert_eq!(data.len(), 2 + 2 * (4 + 6 * 32));
}

#[tokio::test]
async fn any_other_word_and_no_contract_is_a_no() {
    let other = format!("0xffffffff{}", "0".repeat(56));
    for result in
        [other, yes().replace("7e0", "7e1"), format!("{}00", yes()), "0x1626ba7e".into(), "0x".into()]
    {
        let fake = node(value!({"result": result})).await;
        assert_eq!(judge(&fake).await, Ok(false), "{result}");
    }
}

#[tokio::test]
async fn a_revert_is_a_no() {
    for error in [
        value!({"code": 3, "message": "execution reverted: GS026", "data": "0x08c379a0"}),
        value!({"code": -32000, "message": "execution reverted"}),
        value!({"code": -32015, "message": "VM execution error.", "data": "Reverted 0x"}),
    ] {
        let fake = node(value!({"error": error})).await;
        assert_eq!(judge(&fake).await, Ok(false), "{error}");
    }
}

#[tokio::test]
async fn a_node_that_cannot_say_is_an_error_and_not_a_no() {
    let limit = value!({"code": -32005, "message": "limit\nexceeded", "data": {"see": "https://el.example"}});
    let fake = node(value!({"error": limit})).await;
    let message = "limit exceeded".to_owned();
    assert_eq!(judge(&fake).await, Err(RpcError::Refused { code: -32_005, message: message.clone() }));
    let chain_id = Execution::new(&fake.url).unwrap().chain_id().await;
    assert_eq!(chain_id, Err(RpcError::Refused { code: -32_005, message }));

    let fake = Fake::of(429, "slow down").await;
    let message = "slow down".to_owned();
    assert_eq!(judge(&fake).await, Err(RpcError::Call(CallError::Status { code: 429, message })));
    let nobody = Execution::new(&nobody().await).unwrap().chain_id().await;
    assert!(matches!(nobody, Err(RpcError::Call(CallError::Connect(_)))), "{nobody:?}");
}

#[tokio::test]
async fn a_body_that_is_not_of_the_api_is_refused() {
    for body in ["", "<html>", "true", r#"{"id":1}"#, r#"{"id":1,"result":7}"#, r#"{"id":1,"result":"yes"}"#]
    {
        let fake = Fake::of(200, body).await;
        assert!(matches!(judge(&fake).await, Err(RpcError::Body(_))), "{body}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_long_is_not_read() {
    let fake = node(value!({"result": format!("0x{}", "00".repeat(RPC_LEN_MAX / 2))})).await;
    assert_eq!(judge(&fake).await, Err(RpcError::Call(CallError::TooLong { max: RPC_LEN_MAX })));
}

#[tokio::test]
async fn a_chain_id_is_a_quantity() {
    let fake = node(value!({"result": "0x88bb0"})).await;
    assert_eq!(Execution::new(&fake.url).unwrap().chain_id().await, Ok(560_048));
    let body = fake.seen()[0].json();
    assert_eq!((&body["method"], &body["params"]), (&value!("eth_chainId"), &value!([])));
    for wrong in ["1", "0x", "0x01", "0xzz", "0x10000000000000000"] {
        let fake = node(value!({"result": wrong})).await;
        let error = Execution::new(&fake.url).unwrap().chain_id().await;
        let rule = format!("the chain id `{wrong}` is no quantity of 64 bits");
        assert_eq!(error, Err(RpcError::Body(rule)));
    }
}

#[tokio::test]
async fn user_password_and_key_of_the_address_are_sent_and_not_shown() {
    let fake = Fake::start(|seen| text(500, format!("not for {}", seen.path))).await;
    let url = fake.url.replace("http://", "http://someone:pass-word@");
    let execution = Execution::new(&format!("{url}/key-123/")).unwrap();
    let error = execution.chain_id().await.unwrap_err();
    let [seen] = &fake.seen()[..] else { panic!("one request") };
    // `someone:pass-word` in base64.
    assert_eq!(seen.header("authorization"), "Basic c29tZW9uZTpwYXNzLXdvcmQ=");
    assert_eq!(seen.path, "/key-123/");
    let message = "not for /<redacted>/".to_owned();
    assert_eq!(error, RpcError::Call(CallError::Status { code: 500, message }));
    assert_eq!(format!("{execution:?}"), format!("Execution {{ server: {} }}", fake.url));
    assert_eq!(execution.label(), fake.url);
}

#[tokio::test]
async fn a_look_gives_the_result_whole_and_null_is_none() {
    let logs = value!([{"logIndex": "0x0"}, {"logIndex": "0x1"}]);
    let fake = node(value!({"result": logs})).await;
    let look = |fake: &Fake, len_max| {
        let execution = Execution::new(&fake.url).unwrap();
        async move { execution.look("eth_getLogs", value!([{"fromBlock": "0x1"}]), len_max).await }
    };
    assert_eq!(look(&fake, 1 << 20).await, Ok(logs));
    let [seen] = &fake.seen()[..] else { panic!("one request") };
    let body = seen.json();
    assert_eq!((&body["method"], &body["params"]), (&value!("eth_getLogs"), &value!([{"fromBlock": "0x1"}])));
    let long = look(&fake, 16).await;
    assert!(matches!(long, Err(RpcError::Call(CallError::TooLong { .. }))), "{long:?}");
    let none = look(&node(value!({"result": null})).await, 1 << 20).await;
    assert_eq!(none, Err(RpcError::Body("neither result nor error".to_owned())));
    let fake = node(value!({"error": {"code": -32_005, "message": "range too large"}})).await;
    let refused = RpcError::Refused { code: -32_005, message: "range too large".to_owned() };
    assert_eq!(look(&fake, 1 << 20).await, Err(refused));
}
