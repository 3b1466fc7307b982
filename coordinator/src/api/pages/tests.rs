//! The pages over HTTP.

use super::*;
use crate::api::{now, router};
use crate::key::CoordinatorKey;
use crate::ledger::testbed::address;
use crate::pages::scenes::{HOSTILE, NOBODY, Scene};
use crate::test_keys::Wallet;
use crate::text::Label;
use axum::body::{Body, to_bytes};
use axum::http::{Request, response::Parts};
use futures::StreamExt as _;
use rand_core::OsRng;
use serde_json::json;
use std::collections::BTreeSet;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tower::ServiceExt as _;

/// The office of a scene, whose clock is this machine's.
struct Site {
    _folder: TempDir,
    scene: Scene,
    shared: Shared,
    router: Router,
    nonce: u64,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = CoordinatorKey::load_or_create(folder.path(), &mut OsRng).unwrap();
        let scene = Scene::until(now());
        let shared = Shared::new(Office::take_over(folder.path(), key, &scene.pool.log).unwrap());
        *shared.0.site.strips.write().unwrap() = scene.strips.clone();
        Self { _folder: folder, scene, router: router(shared.clone()), shared, nonce: 1 << 32 }
    }

    async fn ask(&self, request: Request<Body>) -> (Parts, String) {
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        (parts, String::from_utf8(to_bytes(body, 1 << 24).await.unwrap().to_vec()).unwrap())
    }

    async fn get(&self, path: &str) -> (Parts, String) {
        self.ask(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// A node of the cluster whose ceremony runs says how far it is.
    async fn word(&mut self, step: &str) {
        self.nonce += 1;
        let cluster = self.scene.ceremony;
        let state = self.scene.pool.state();
        let path = format!("/v1/ceremonies/{cluster}/presence");
        let body = json!({"step": step, "waiting_for": [2, 3], "done": false}).to_string();
        let (pool, chain) = (state.pool, state.charter.network.chain_id);
        let incoming = Wallet::new(121).incoming(pool, chain, ("PUT", &path), &body, self.nonce, now() + 60);
        self.shared.with(move |office| Ok(office.hear(now(), cluster, &incoming)?)).await.unwrap();
    }

    /// Somebody gives shares away: another entry of the log.
    async fn transfer(&mut self) {
        self.nonce += 1;
        let state = self.scene.pool.state();
        let body = json!({"to": address(73), "amount": {"shares": "1000"}}).to_string();
        let (pool, chain) = (state.pool, state.charter.network.chain_id);
        let what = ("POST", "/v1/shares/transfers");
        let incoming = Wallet::new(71).incoming(pool, chain, what, &body, self.nonce, now() + 60);
        self.shared.with(move |office| Ok(office.request(now(), &incoming)?)).await.unwrap();
    }
}

/// What links of a document lead to, on this site.
fn links(document: &str) -> BTreeSet<String> {
    let of = |name: &str| -> Vec<String> {
        document
            .split(name)
            .skip(1)
            .filter_map(|rest| Some(rest.split_once('"')?.0.replace("&amp;", "&")))
            .collect()
    };
    [of(" href=\""), of(" src=\"")].concat().into_iter().filter(|link| !link.starts_with('#')).collect()
}

#[tokio::test]
async fn every_page_is_served_guarded_and_every_link_leads_somewhere() {
    let site = Site::new();
    let mut links_seen = BTreeSet::new();
    let mut todo: Vec<String> = site.scene.places().iter().map(ToString::to_string).collect();
    while let Some(path) = todo.pop() {
        if !links_seen.insert(path.clone()) || path.starts_with("/v1/head") {
            continue;
        }
        assert!(path.starts_with('/'), "{path} leads away");
        let (parts, body) = site.get(&path).await;
        assert_eq!(parts.status, StatusCode::OK, "{path}: {body}");
        if path.starts_with("/v1/") {
            continue;
        }
        let header = |name: &str| parts.headers[name].to_str().unwrap();
        assert_eq!(header("content-security-policy"), pages::POLICY, "{path}");
        assert!(!pages::POLICY.contains("unsafe"));
        assert_eq!((header("x-content-type-options"), header("referrer-policy")), ("nosniff", "no-referrer"));
        if header("content-type").starts_with("text/html") {
            assert_eq!(header("cache-control"), "no-store");
            assert!(!body.contains(HOSTILE) && !body.contains("<script>"), "{path} does not escape");
            todo.extend(links(&body));
        }
        let (head, nothing) = site.ask(Request::head(&path).body(Body::empty()).unwrap()).await;
        assert_eq!((head.status, nothing.as_str()), (StatusCode::OK, ""), "{path}");
        assert_eq!(head.headers.get("content-type"), parts.headers.get("content-type"));
    }
    assert!(links_seen.len() > 40, "{links_seen:?}");
}

#[tokio::test]
async fn what_is_not_there_is_said_in_a_page_and_below_v1_in_json() {
    let site = Site::new();
    let (cluster, account) = (NOBODY.to_string(), address(250).to_string());
    for path in [
        "/nowhere",
        "/clusters/0x12",
        "/clusters/",
        &format!("/clusters/{cluster}"),
        &format!("/ceremonies/{cluster}"),
        &format!("/operators/{account}"),
        "/delegators/me",
        "/reports/99",
        "/reports/007",
        "/pages",
        "/find?what=nothing",
        "/find",
        "/events?page=/nowhere",
        "/%3Cscript%3Ealert(1)%3C/script%3E",
    ] {
        let (parts, body) = site.get(path).await;
        assert_eq!(parts.status, StatusCode::NOT_FOUND, "{path}");
        assert!(body.starts_with("<!DOCTYPE html>") && body.contains("Nothing is here"), "{path}: {body}");
        assert!(parts.headers.contains_key("content-security-policy"), "{path}");
        assert!(!body.contains("<script>"), "{path}");
    }
    for (method, path) in
        [("GET", "/v1/nowhere"), ("GET", "/v1"), ("POST", "/clusters"), ("POST", "/nowhere")]
    {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let (parts, body) = site.ask(request).await;
        assert!(parts.status.is_client_error(), "{method} {path}");
        assert!(serde_json::from_str::<serde_json::Value>(&body).unwrap()["message"].is_string(), "{path}");
    }
}

#[tokio::test]
async fn what_is_looked_for_is_found() {
    let site = Site::new();
    let [manager, delegator] = [102, 71].map(|byte| address(byte).to_string());
    let [cluster, asked] = [site.scene.cluster, site.scene.asked].map(|id| id.to_string());
    for (what, leads) in [
        (manager.as_str(), format!("/operators/{manager}")),
        (&delegator, format!("/delegators/{delegator}")),
        (&cluster, format!("/clusters/{cluster}")),
        (&asked, format!("/ceremonies/{asked}")),
        ("3", "/reports/3".to_owned()),
    ] {
        let (parts, _) = site.get(&format!("/find?what={what}")).await;
        assert_eq!(parts.status, StatusCode::SEE_OTHER, "{what}");
        assert_eq!(parts.headers["location"].to_str().unwrap(), leads);
    }
}

/// The next update of a page: its sections by id.
async fn update(stream: &mut axum::body::BodyDataStream) -> Option<BTreeMap<String, String>> {
    let next = tokio::time::timeout(Duration::from_secs(20), stream.next());
    let event = String::from_utf8(next.await.unwrap()?.unwrap().to_vec()).unwrap();
    let data = event.strip_prefix("event: sections\ndata: ").unwrap();
    Some(serde_json::from_str(data).unwrap())
}

async fn updates_of(site: &Site, page: &str) -> axum::body::BodyDataStream {
    let request = Request::get(format!("/events?page={page}")).body(Body::empty()).unwrap();
    let response = site.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    response.into_body().into_data_stream()
}

#[tokio::test]
async fn who_has_a_page_open_gets_what_has_changed_in_it_and_nothing_else() {
    let mut site = Site::new();
    let ceremony = format!("/ceremonies/{}", site.scene.ceremony);
    let mut stream = updates_of(&site, &ceremony).await;
    let all = update(&mut stream).await.unwrap();
    let (_, document) = site.get(&ceremony).await;
    for (id, section) in &all {
        assert!(document.contains(section.as_str()), "{id} is as it stands in the page");
    }
    site.word("round1").await;
    let changed = update(&mut stream).await.unwrap();
    assert!(changed["operators"].contains("round1 (2 of 8)"), "{changed:?}");
    assert!(!changed.contains_key("made"), "what is the same is not sent: {:?}", changed.keys());

    // Another page hears of the log.
    let mut pool = updates_of(&site, "/").await;
    update(&mut pool).await.unwrap();
    let entries = site.scene.pool.log.len();
    site.transfer().await;
    let changed = update(&mut pool).await.unwrap();
    assert!(changed["log"].contains(&(entries + 1).to_string()), "{changed:?}");

    site.shared.stop();
    assert_eq!(update(&mut stream).await, None, "a coordinator that stops waits for no reader");
    assert_eq!(update(&mut pool).await, None);
}

#[tokio::test]
async fn readers_who_take_no_updates_hold_nobody_up_and_the_next_is_told_to_come_later() {
    let mut site = Site::new();
    let mut slow = Vec::new();
    for _ in 0..LISTENERS_MAX {
        slow.push(updates_of(&site, "/").await);
    }
    let one_more = Request::get("/events?page=/").body(Body::empty()).unwrap();
    let refused = site.router.clone().oneshot(one_more).await.unwrap();
    // Updates have no end: only a refusal is read.
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], RETRY_AFTER_S);
    let body = to_bytes(refused.into_body(), 1 << 20).await.unwrap();
    assert!(String::from_utf8(body.to_vec()).unwrap().contains("complete without them"));
    // Nobody takes anything, and the office goes on.
    for _ in 0..5 {
        site.transfer().await;
    }
    assert_eq!(site.get("/").await.0.status, StatusCode::OK);
    assert_eq!(site.get("/v1/health").await.0.status, StatusCode::OK);
    slow.pop();
    drop(updates_of(&site, "/").await);
}

#[tokio::test]
async fn a_head_that_was_signed_is_shown_with_who_has_seen_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let key = CoordinatorKey::load_or_create(folder.path(), &mut OsRng).unwrap();
    let charter = crate::ledger::charter::tests::charter();
    let charter = crate::ledger::charter::Charter { coordinator: key.address(), ..charter };
    let shared = Shared::new(Office::found(folder.path(), key, charter, now()).unwrap());
    let shown =
        async |shared: &Shared| shared.shown(Place::Overview).await.unwrap().0.unwrap().document("Meadow");
    assert!(shown(&shared).await.contains("No head was signed yet"));
    let signs = |office: &mut Office| {
        office.head()?;
        let finalized = json!({"epoch": "9", "root": NOBODY}).to_string();
        office.observe(now(), Label::new("finalized").unwrap(), finalized)?;
        let head = office.head()?;
        let chain = office.ledger()?.state().charter.network.chain_id;
        Ok(office.countersign(2, Wallet::new(21).sign(head.signed.head.digest(chain)))?)
    };
    let published = shared.with(signs).await.unwrap();
    let text = shown(&shared).await;
    for said in [
        published.signed.head.root.to_string(),
        published.signed.head.state.to_string(),
        published.signed.signature.to_string(),
        address(21).to_string(),
    ] {
        assert!(text.contains(&said), "{said}: {text}");
    }
}

#[tokio::test]
async fn an_office_that_has_panicked_says_so_in_a_page() {
    let site = Site::new();
    let panicked = site.shared.with(|_| -> Result<(), ApiError> { panic!("on purpose") }).await;
    assert!(panicked.is_err());
    let (parts, body) = site.get("/").await;
    assert_eq!(parts.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(body.contains("This cannot be shown now") && body.contains("start it again"), "{body}");
}

/// Serves the scene to a program that reads it, where there is one: `.ci/pages` names it, with its arguments before those that
/// say what to read. A line `change` of it changes the pool. Without one the site is read here, over the same socket.
#[tokio::test]
async fn the_site_is_read_from_outside() {
    let mut site = Site::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let served = axum::serve(listener, site.router.clone());
    tokio::spawn(async move { served.await.unwrap() });
    let paths: Vec<_> = site.scene.places().iter().map(ToString::to_string).collect();
    let live = format!("/ceremonies/{}", site.scene.ceremony);
    let Ok(program) = std::env::var("SYMBOLON_PAGES_READER") else {
        for path in &paths {
            let address = base.strip_prefix("http://").unwrap();
            let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
            tokio::io::AsyncWriteExt::write_all(&mut socket, request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            tokio::io::AsyncReadExt::read_to_string(&mut socket, &mut answer).await.unwrap();
            assert!(
                answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("</html>"),
                "{path}: {answer}"
            );
        }
        return;
    };
    let mut words = program.split_whitespace();
    let mut reader = tokio::process::Command::new(words.next().unwrap());
    let (screenshots, rest) = (words.next_back().unwrap().to_owned(), words);
    reader.args(rest).arg(&base).arg(screenshots).arg(live).args(paths);
    let mut reader = reader.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(reader.stdout.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line == "change" {
            site.word("round2").await;
        }
    }
    assert!(reader.wait().await.unwrap().success(), "the reader says what is wrong");
}
