//! TLS and the bearer token in front of the routes.

use crate::world::{World, world};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use dvt_node::server::{Served, serve};
use dvt_node::validator_api::{Tls, TlsError, Token, TokenError, guarded};
use keys::secret_file::write_new_secret;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const TOKEN: &str = "c29tZSBsZXR0ZXJz-._~+/=";
const CONNECTIONS_MAX: usize = 8;
const GENESIS: &str = "/eth/v1/beacon/genesis";

fn token(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("token");
    write_new_secret(&path, text.as_bytes()).unwrap();
    path
}

fn behind_token() -> World {
    let folder = tempfile::tempdir().unwrap();
    let token = Token::read(&token(folder.path(), &format!("{TOKEN}\n"))).unwrap();
    let mut world = world();
    world.app = guarded(world.app, token);
    world
}

#[tokio::test]
async fn who_shows_the_token_is_served_and_everybody_else_is_told_what_is_missing() {
    let world = behind_token();
    let wrong = [
        None,
        Some(String::new()),
        Some(TOKEN.to_owned()),
        Some(format!("Basic {TOKEN}")),
        Some("Bearer ".to_owned()),
        Some(format!("Bearer {TOKEN}x")),
        Some(format!("Bearer {}", &TOKEN[..TOKEN.len() - 1])),
        Some(format!("Bearer {}", TOKEN.replace('c', "d"))),
        Some(format!("Bearer  {TOKEN}")),
    ];
    for path in [GENESIS, "/", "/eth/v1/events?topics=head", "/eth/v1/validator/attestation_data?slot=65"] {
        for shown in &wrong {
            let request = shown
                .iter()
                .fold(Request::get(path), |request, shown| request.header(header::AUTHORIZATION, shown));
            let got = world.call(request.body(Body::empty()).unwrap()).await;
            assert_eq!(got.headers[header::WWW_AUTHENTICATE], "Bearer");
            let json = got.refused(401, "--validator-api-token-file");
            assert!(!json.to_string().contains(TOKEN));
        }
    }
    assert!(world.asks().is_empty() && world.forwarded().is_empty());
    for scheme in ["Bearer", "bearer"] {
        let request = Request::get(GENESIS).header(header::AUTHORIZATION, format!("{scheme} {TOKEN}"));
        world.call(request.body(Body::empty()).unwrap()).await.ok();
    }
}

#[test]
fn a_token_is_a_line_that_only_its_owner_may_read_and_a_header_can_carry() {
    for bad in ["two words", "two\nlines", "smörgås", "quote\""] {
        let folder = tempfile::tempdir().unwrap();
        let error = Token::read(&token(folder.path(), bad)).unwrap_err();
        assert!(matches!(error, TokenError::NotAToken { .. }), "{bad}: {error}");
        assert!(!error.to_string().contains(bad));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = token(folder.path(), TOKEN);
    assert_eq!(format!("{:?}", Token::read(&path).unwrap()), "<redacted>");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(Token::read(&path).unwrap_err().to_string().contains("chmod 600"));
}

/// A certificate of `localhost` and its key, as files.
fn certificate() -> (TempDir, PathBuf, PathBuf, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| folder.path().join(name));
    fs::write(&certificate, made.cert.pem()).unwrap();
    write_new_secret(&key, made.signing_key.serialize_pem().as_bytes()).unwrap();
    (folder, certificate, key, made.cert.pem())
}

/// The server over TLS, and the certificate to trust.
async fn over_tls(app: Router) -> (SocketAddr, String) {
    let (_folder, certificate, key, pem) = certificate();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tls = Some(Tls::read(&certificate, &key).unwrap());
    let served = Served { what: "test", connections_max: CONNECTIONS_MAX, tls, routes: app };
    tokio::spawn(serve(listener, served, CancellationToken::new()));
    (address, pem)
}

fn client(pem: &str, address: SocketAddr) -> reqwest::Client {
    // Fails where another test of this process was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let trusted = reqwest::Certificate::from_pem(pem.as_bytes()).unwrap();
    let builder = reqwest::Client::builder().tls_certs_only([trusted]).resolve("localhost", address);
    builder.build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_handshake_has_its_time_from_the_first_byte_to_the_last() {
    let (address, _) = over_tls(world().app).await;
    // The head of a record that does not come.
    for half in [&b""[..], &[0x16, 3, 1, 2, 0]] {
        let begun = Instant::now();
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(half).await.unwrap();
        let mut said = Vec::new();
        client.read_to_end(&mut said).await.unwrap();
        assert_eq!((begun.elapsed().as_secs(), said.len()), (10, 0), "{half:?}");
    }
}

#[tokio::test]
async fn the_api_is_served_over_tls_to_who_trusts_its_certificate() {
    let world = world();
    let (address, pem) = over_tls(world.app.clone()).await;
    let url = format!("https://localhost:{}{GENESIS}", address.port());
    // These hold their connections without a word; the others are served all the same.
    let silent = 0..2 * CONNECTIONS_MAX;
    let silent: Vec<_> = futures::future::join_all(silent.map(|_| TcpStream::connect(address))).await;
    let got = client(&pem, address).get(&url).send().await.unwrap();
    assert_eq!((got.status().as_u16(), got.version()), (200, reqwest::Version::HTTP_2));
    assert!(got.text().await.unwrap().contains(GENESIS));
    drop(silent);

    let (_, _, _, other) = certificate();
    let error = client(&other, address).get(&url).send().await.unwrap_err();
    assert!(error.is_connect(), "{error}");
    // Who does not speak TLS is not served.
    let mut plain = TcpStream::connect(address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut plain, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // The connection may be reset after the alert.
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"));
    client(&pem, address).get(&url).send().await.unwrap().error_for_status().unwrap();
}

#[test]
fn files_that_make_no_server_are_said_which() {
    let (folder, certificate, key, _) = certificate();
    let empty = folder.path().join("empty");
    write_new_secret(&empty, b"no PEM at all").unwrap();
    let missing = folder.path().join("missing");
    let read = |certificate: &Path, key: &Path| Tls::read(certificate, key).unwrap_err();
    assert!(matches!(read(&missing, &key), TlsError::Certificate { path, .. } if path == missing));
    assert!(matches!(read(&empty, &key), TlsError::Pem { what: "certificate", path, .. } if path == empty));
    assert!(
        matches!(read(&certificate, &empty), TlsError::Pem { what: "private key", path, .. } if path == empty)
    );
    assert!(matches!(read(&certificate, &missing), TlsError::Key(_)));
    let (_other, _, other_key, _) = self::certificate();
    assert!(matches!(read(&certificate, &other_key), TlsError::Config(_)), "a key of another certificate");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(read(&certificate, &key).to_string().contains("chmod 600"));
}
