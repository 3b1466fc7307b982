//! The server: methods, bodies, headers and streams over real sockets.

use super::*;
use axum::{Json, routing::any};
use futures::channel::mpsc;
use serde_json::{Value, json};

/// A server that answers every request with what it received.
async fn echo() -> (String, JoinHandle<io::Result<()>>) {
    let answer = async |request: Request| {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await.unwrap();
        let header = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        let headers = [("eth-consensus-version", "capella"), ("x-private", "1")];
        let seen = json!({
            "method": parts.method.as_str(), "target": parts.uri.to_string(), "accept": header("accept"),
            "version": header("eth-consensus-version"), "body": String::from_utf8_lossy(&body),
        });
        (headers, Json(seen))
    };
    serve(Router::new().fallback(any(answer))).await
}

async fn serve(router: Router) -> (String, JoinHandle<io::Result<()>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (url, tokio::spawn(axum::serve(listener, router).into_future()))
}

#[tokio::test]
async fn two_shims_back_to_back_give_the_old_node_what_the_old_client_said() {
    let (upstream, _server) = echo().await;
    let node = Shim::for_old_node(&upstream).await.unwrap();
    let client = Shim::for_old_client(&node.url()).await.unwrap();
    let http = http_client().unwrap();
    let body = r#"[{"aggregation_bits":"0x06"}]"#;
    let post = http.post(format!("{}/eth/v1/beacon/pool/attestations", client.url()));
    // A stream as body is sent in chunks, without a length.
    let chunks = reqwest::Body::wrap_stream(stream::iter([io::Result::Ok(body)]));
    let reply = post.header("content-type", "application/json").body(chunks).send().await.unwrap();
    assert_eq!(reply.headers().get("x-private"), None, "only the API's own headers pass");
    let seen: Value = reply.json().await.unwrap();
    assert_eq!(
        (&seen["method"], &seen["target"]),
        (&json!("POST"), &json!("/eth/v1/beacon/pool/attestations"))
    );
    assert_eq!((&seen["body"], &seen["accept"]), (&json!(body), &json!("application/json")));
    assert_eq!(seen["version"], Value::Null, "the old node has no such header");
}

#[tokio::test]
async fn a_refusal_never_reaches_upstream() {
    let shim = Shim::for_old_node("http://127.0.0.1:1").await.unwrap();
    let post =
        http_client().unwrap().post(format!("{}/eth/v1/validator/sync_committee_selections", shim.url()));
    let reply = post.json(&json!([])).send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::NOT_IMPLEMENTED);
}

#[tokio::test]
async fn a_dead_upstream_is_a_bad_gateway() {
    let shim = Shim::for_old_client("http://127.0.0.1:1").await.unwrap();
    let reply =
        http_client().unwrap().get(format!("{}/eth/v1/node/version", shim.url())).send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn events_pass_one_by_one_and_the_head_does_not_wait_for_them() {
    let (events, receiver) = mpsc::unbounded::<io::Result<Bytes>>();
    let receiver = Arc::new(Mutex::new(Some(receiver)));
    let answer = async move || {
        let receiver = receiver.lock().unwrap().take().unwrap();
        ([("content-type", "text/event-stream")], Body::from_stream(receiver))
    };
    let (upstream, _server) = serve(Router::new().fallback(any(answer))).await;
    let node = Shim::for_old_node(&upstream).await.unwrap();
    let client = Shim::for_old_client(&node.url()).await.unwrap();
    let get = http_client().unwrap().get(format!("{}/eth/v1/events?topics=head", client.url()));
    // Nothing has been sent upstream, and yet the reply begins.
    let mut reply = get.send().await.unwrap();
    assert_eq!(reply.headers()["content-type"], "text/event-stream");
    for event in ["event: head\ndata: {\"slot\":\"1\"}\n\n", "event: head\ndata: {\"slot\":\"2\"}\n\n"] {
        events.unbounded_send(Ok(Bytes::from(event))).unwrap();
        let mut heard = String::new();
        while !heard.ends_with(event) {
            let part = reply.chunk().await.unwrap().expect("the stream goes on");
            heard.push_str(std::str::from_utf8(&part).unwrap());
        }
    }
}

#[tokio::test]
async fn an_oversized_body_is_refused() {
    let (upstream, _server) = echo().await;
    let shim = Shim::for_old_client(&upstream).await.unwrap();
    let post = http_client().unwrap().post(format!("{}/eth/v1/beacon/blocks", shim.url()));
    let reply = post.body(vec![b' '; BODY_BYTES_MAX + 1]).send().await;
    // The refusal may cut the upload short, which the client sees as a broken connection.
    assert!(reply.is_err() || reply.is_ok_and(|reply| reply.status() == StatusCode::PAYLOAD_TOO_LARGE));
}
