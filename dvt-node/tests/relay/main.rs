//! `dvt-node relay` from its flags to its metrics: whom it serves, whom it refuses, what it needs and leaves behind.

#[path = "../slashing_protection/operator.rs"]
mod operator;

use cluster::folder;
use dvt_node::relay::{RelayArgs, run};
use keys::identity::{KEY_FILE, NodeKey};
use net::{Event, Identity, Multiaddr, PeerSpec, Protocol, Route};
use operator::{define, obol_folder};
use rand_core::OsRng;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use types::{Root, ShareIndex};

/// Turns a hang into a failure.
const HANG: Duration = Duration::from_secs(120);

/// A port of the loopback that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn listen_on(port: u16) -> Multiaddr {
    format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()
}

fn args(folder: &Path) -> RelayArgs {
    RelayArgs {
        data_dir: folder.join("relay"),
        listen: vec![listen_on(free_port())],
        allow_locks: Vec::new(),
        allow_enrs: Vec::new(),
        metrics: None,
    }
}

struct Running {
    address: Multiaddr,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    async fn start(args: RelayArgs) -> Self {
        let (listen, key_file) = (args.listen[0].clone(), args.data_dir.join(KEY_FILE));
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(args, stop.clone()));
        let key = within(async {
            loop {
                match NodeKey::load(&key_file) {
                    Ok(key) => break key,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        })
        .await;
        let id = Identity::from_secret(key.secret_bytes()).unwrap().peer_id();
        let address = format!("{listen}/p2p/{id}").parse().unwrap();
        Self { address, stop, task }
    }

    async fn stop(self) {
        self.stop.cancel();
        within(self.task).await.unwrap().unwrap();
    }
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANG, work).await.expect("it hangs")
}

/// Operator `me` of a wire of these keys, who knows the relay and nobody's address.
fn node(keys: &[&NodeKey], me: usize, relay: &Multiaddr) -> (net::Handle, net::Events) {
    let spec = |key: &&NodeKey| PeerSpec { public_key: key.public(), addresses: Vec::new() };
    let config = net::Config {
        identity: Identity::from_secret(keys[me].secret_bytes()).unwrap(),
        peers: keys.iter().map(spec).collect(),
        me: ShareIndex::new(u8::try_from(me + 1).unwrap()).unwrap(),
        listen: Vec::new(),
        relays: vec![relay.clone()],
        protocol: Protocol::new("node", 1, Root([3; 32])).unwrap(),
        limits: net::Limits::default(),
    };
    net::start(config).unwrap()
}

/// Waits until so many peers are linked through the relay, and names them.
async fn linked(events: &mut net::Events, count: usize) -> Vec<u8> {
    let mut up = Vec::new();
    while up.len() < count {
        match within(events.next()).await.unwrap() {
            Event::Up { peer, route } => {
                assert_eq!(route, Route::Relayed);
                up.push(peer.get());
            }
            Event::Down { peer, reason } => panic!("{peer} fell: {reason}"),
            _ => {}
        }
    }
    up.sort_unstable();
    up
}

async fn metrics(address: SocketAddr) -> String {
    let mut server = TcpStream::connect(address).await.unwrap();
    server.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    server.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn operators_of_a_lock_a_definition_and_a_record_are_served_and_nobody_else() {
    let root = tempfile::tempdir().unwrap();
    let charon = root.path().join("charon");
    obol_folder(&charon);
    let of_lock = NodeKey::load(&charon.join(KEY_FILE)).unwrap();
    let of_definition: Vec<NodeKey> = (0..4).map(|_| NodeKey::generate(&mut OsRng)).collect();
    let definition = root.path().join("cluster-definition.json");
    fs::write(&definition, define(&of_definition).to_json()).unwrap();
    let (of_record, of_nobody) = (NodeKey::generate(&mut OsRng), NodeKey::generate(&mut OsRng));
    let metrics_at: SocketAddr = format!("127.0.0.1:{}", free_port()).parse().unwrap();
    let args = RelayArgs {
        allow_locks: vec![charon.join(folder::LOCK), definition],
        allow_enrs: vec![of_record.enr()],
        metrics: Some(metrics_at),
        ..args(root.path())
    };
    let data_dir = args.data_dir.clone();
    let relay = Running::start(args).await;

    let keys = [&of_lock, &of_definition[2], &of_record, &of_nobody];
    let mut nodes: Vec<_> = (0..4).map(|me| node(&keys, me, &relay.address)).collect();
    for (me, (_, events)) in (1..=3).zip(&mut nodes) {
        let others: Vec<u8> = (1..=3).filter(|other| *other != me).collect();
        assert_eq!(linked(events, 2).await, others);
    }
    let refused = within(async {
        loop {
            let text = metrics(metrics_at).await;
            if !text.contains("symbolon_relay_strangers_total 0\n") {
                break text;
            }
        }
    });
    let text = refused.await;
    assert!(text.contains("symbolon_relay_connected 3\n"), "{text}");
    assert!(text.contains("symbolon_relay_reservations_total 3\n"), "{text}");
    let (nobody, _) = &nodes[3];
    assert!((1..=3).all(|peer| !nobody.is_up(ShareIndex::new(peer).unwrap())));

    relay.stop().await;
    let left: Vec<_> = fs::read_dir(&data_dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [KEY_FILE], "a node key, and nothing else");
}

#[tokio::test]
async fn a_relay_keeps_its_name() {
    let root = tempfile::tempdir().unwrap();
    let allow_enrs = vec![NodeKey::generate(&mut OsRng).enr()];
    let first = Running::start(RelayArgs { allow_enrs: allow_enrs.clone(), ..args(root.path()) }).await;
    let name = |address: &Multiaddr| address.iter().last().unwrap().to_string();
    let before = name(&first.address);
    first.stop().await;
    let second = Running::start(RelayArgs { allow_enrs, ..args(root.path()) }).await;
    assert_eq!(name(&second.address), before);
    second.stop().await;
}

async fn refused(args: RelayArgs) -> String {
    let error = within(run(args, CancellationToken::new())).await.unwrap_err();
    format!("{error:#}")
}

#[tokio::test]
async fn an_operators_folder_is_no_relays() {
    let root = tempfile::tempdir().unwrap();
    let charon = root.path().join("charon");
    obol_folder(&charon);
    let allow_locks = vec![charon.join(folder::LOCK)];
    let words = refused(RelayArgs { data_dir: charon, allow_locks, ..args(root.path()) }).await;
    assert!(words.contains("a relay has a key of its own"), "{words}");
}

#[tokio::test]
async fn a_spoilt_file_names_nobody() {
    let root = tempfile::tempdir().unwrap();
    let charon = root.path().join("charon");
    let lock = obol_folder(&charon);
    let file = root.path().join("lock.json");
    let allow = || RelayArgs { allow_locks: vec![file.clone()], ..args(root.path()) };

    let other = NodeKey::generate(&mut OsRng).enr();
    let enr = lock.definition().operators()[1].enr_text().to_owned();
    fs::write(&file, lock.to_json().replace(&enr, &other)).unwrap();
    let words = refused(allow()).await;
    assert!(words.contains("is not what it says") && words.contains("lock_hash"), "{words}");

    fs::write(&file, "{}").unwrap();
    let words = refused(allow()).await;
    assert!(words.contains("no cluster lock") && words.contains("no definition"), "{words}");
    assert!(!root.path().join("relay").exists(), "nothing is made for a relay that serves nobody");

    let words = refused(RelayArgs { allow_enrs: vec!["enr:-nonsense".into()], ..args(root.path()) }).await;
    assert!(words.contains("--allow-enr enr:-nonsense"), "{words}");
}
