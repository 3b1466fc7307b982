//! Whole ceremonies over real sockets and disks.

#[path = "../../dvt-node/tests/moving/keymanager.rs"]
mod keymanager;
mod pool;

use cluster::folder;
use cluster::lock::Lock;
use cluster::network::Networks;
use dkg::run::{RunConfig, run};
use keymanager::FakeClient;
use keys::identity::{KEY_FILE, NodeKey};
use keys::secret_file::read_password;
use keys::store::NodeStore;
use pool::{check_halves, pool};
use rand_core::OsRng;
use remote::keymanager::{Keymanager, Plain};
use secrecy::SecretString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use types::Generation;

#[tokio::test(flavor = "multi_thread")]
async fn four_operators_make_a_cluster_whose_every_check_holds() {
    let pool = pool(4);
    let definition = pool.define("four", 2);
    let results = pool.run_all(&definition).await;
    let hashes: Vec<_> = results.into_iter().map(|result| result.unwrap().lock_hash).collect();
    assert!(hashes.iter().all(|hash| *hash == hashes[0]));
    let mut locks = Vec::new();
    for (position, dir) in pool.dirs.iter().enumerate() {
        let bytes = std::fs::read(dir.join(folder::LOCK)).unwrap();
        let lock = Lock::parse(&bytes).unwrap();
        let failed: Vec<_> =
            lock.check(&Networks::public()).into_iter().filter(|check| !check.holds()).collect();
        assert!(failed.is_empty(), "{failed:?}");
        check_halves(dir, &lock, position);
        for name in ["deposit-data-1eth.json", "deposit-data-31eth.json", folder::DEFINITION, folder::PEERS] {
            assert!(dir.join(name).exists(), "{name}");
        }
        let left: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        let stray = |name: &std::ffi::OsString| {
            let name = name.to_string_lossy();
            name.starts_with("ceremony-") || name.ends_with(".tmp")
        };
        assert!(!left.iter().any(stray), "{left:?}");
        locks.push(bytes);
    }
    assert!(locks.iter().all(|bytes| *bytes == locks[0]), "one lock, byte for byte");

    let before = std::fs::read(pool.dirs[0].join(folder::LOCK)).unwrap();
    let again = run(pool.config(0, &definition)).await.unwrap();
    assert!(again.already && again.lock_hash == hashes[0]);
    let other = pool.define("another", 2);
    let refused = format!("{:#}", run(pool.config(0, &other)).await.unwrap_err());
    assert!(refused.contains("exists already: nothing is overwritten"), "{refused}");
    assert_eq!(std::fs::read(pool.dirs[0].join(folder::LOCK)).unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_that_know_only_a_relay_make_a_cluster() {
    let pool = pool(4);
    let definition = pool.define("four", 1);
    let key = |dir: &PathBuf| NodeKey::load(&dir.join(KEY_FILE)).unwrap().public();
    let secret = NodeKey::generate(&mut OsRng).secret_bytes();
    let (relay, mut events) = net::relay::start(net::relay::Config {
        identity: net::Identity::from_secret(secret).unwrap(),
        operators: pool.dirs.iter().map(key).collect(),
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
    })
    .unwrap();
    let Some(net::relay::Event::Listening(address)) = events.next().await else { panic!("it listens first") };
    let config = |position| RunConfig {
        listen: Vec::new(),
        relays: vec![address.clone()],
        peers: Vec::new(),
        ..pool.config(position, &definition)
    };
    let runs: Vec<_> = (0..4).map(|position| tokio::spawn(run(config(position)))).collect();
    let mut hashes = Vec::new();
    for run in runs {
        hashes.push(run.await.unwrap().unwrap().lock_hash);
    }
    assert!(hashes.iter().all(|hash| *hash == hashes[0]));
    assert!(relay.counts().circuits_opened >= 6, "a circuit for each pair: {:?}", relay.counts());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_definition_at_one_operator_makes_no_keys_anywhere() {
    let pool = pool(3);
    let (one, other) = (pool.define("one", 1), pool.define("other", 1));
    let runs = (0..3).map(|position| {
        let definition = if position == 2 { &other } else { &one };
        tokio::spawn(run(RunConfig { deadline: Duration::from_secs(6), ..pool.config(position, definition) }))
    });
    for (position, run) in runs.collect::<Vec<_>>().into_iter().enumerate() {
        let error = run.await.unwrap().unwrap_err().to_string();
        let named = if position == 2 { "operator 1" } else { "operator 3" };
        assert!(error.contains(named), "{error}");
        assert!(error.contains("another ceremony") || error.contains("definition"), "{error}");
        assert!(!pool.dirs[position].join(folder::LOCK).exists());
    }
}

#[tokio::test]
async fn a_missing_peer_a_wrong_network_and_a_stranger_are_told_in_words() {
    let pool = pool(3);
    let definition = pool.define("three", 1);
    let config = RunConfig { deadline: Duration::from_millis(1500), ..pool.config(0, &definition) };
    let error = run(config).await.unwrap_err().to_string();
    assert!(
        error.contains("silence in gather")
            && error.contains("operator 2 (")
            && error.contains("operator 3 ("),
        "{error}"
    );

    let wrong = RunConfig { approve: Some(types::Root([1; 32])), ..pool.config(1, &definition) };
    let error = run(wrong).await.unwrap_err().to_string();
    assert!(error.contains("approved was 0x0101"), "{error}");

    let stranger = pool.root.join("stranger");
    std::fs::create_dir(&stranger).unwrap();
    NodeKey::create_new(&stranger.join(KEY_FILE), &mut OsRng).unwrap();
    let error = run(RunConfig { data_dir: stranger, ..pool.config(1, &definition) }).await.unwrap_err();
    assert!(error.to_string().contains("none of the definition's operators"), "{error}");

    let text = std::fs::read_to_string(&definition).unwrap().replace("0x10000910", "0x99999999");
    let foreign = pool.root.join("foreign.json");
    std::fs::write(&foreign, text).unwrap();
    let error = format!("{:#}", run(pool.config(1, &foreign)).await.unwrap_err());
    assert!(error.contains("no known network"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_client_takes_its_halves_instead_of_files_and_one_that_refuses_is_asked_again() {
    let pool = pool(3);
    let definition = pool.define("keymanager", 2);
    let config = |client: &FakeClient| {
        let token = SecretString::from("token");
        let keymanager = Keymanager::new(&client.url, token, Plain::LoopbackOnly).unwrap();
        RunConfig { keymanager: Some(Arc::new(keymanager)), ..pool.config(0, &definition) }
    };
    let others: Vec<_> = (1..3).map(|at| tokio::spawn(run(pool.config(at, &definition)))).collect();
    // A client that does not know the token is found out before there are keys.
    let stranger = FakeClient::start("another token", Ok("imported"));
    let error = format!("{:#}", run(config(&stranger)).await.unwrap_err());
    assert!(error.contains("does not answer") && error.contains("token"), "{error}");
    let refusing = FakeClient::start("token", Err("disk full"));
    let error = format!("{:#}", run(config(&refusing)).await.unwrap_err());
    assert!(error.contains("disk full") && error.contains("start again"), "{error}");
    assert!(!pool.dirs[0].join(folder::LOCK).exists(), "the lock is the last file");

    let client = FakeClient::start("token", Ok("imported"));
    let finished = run(config(&client)).await.unwrap();
    for other in others {
        let other = other.await.unwrap().unwrap();
        assert_eq!((other.lock_hash, other.missing), (finished.lock_hash, vec![]));
    }
    let dir = &pool.dirs[0];
    assert!(!dir.join(folder::KEYSTORES).exists(), "no half is left beside the node's");
    let lock = Lock::parse(&std::fs::read(dir.join(folder::LOCK)).unwrap()).unwrap();
    let shares = lock.cluster().unwrap().validators.into_iter().map(|validator| validator.public_shares[0]);
    let password = read_password(&dir.join(folder::NODE_PASSWORD)).unwrap();
    let store = NodeStore::load(&dir.join(NodeStore::file_name(Generation(0))), &password).unwrap();
    let halves = store.halves.into_iter().map(|stored| stored.half);
    let wanted: Vec<_> = halves.zip(shares).map(|(half, share)| half.vc_key(&share).unwrap()).collect();
    assert_eq!(client.taken().keys, wanted);
    check_halves(&pool.dirs[1], &lock, 1);
}
