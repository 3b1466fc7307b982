//! Keys that are dealt to operators come back from any quorum of them, and from nobody else.

#[path = "../../crates/cluster/tests/common/mod.rs"]
mod common;

use cluster::{Version, folder};
use dkg::combine::{CombineArgs, combine};
use dkg::split::{Split, SplitArgs, split};
use dkg::verify::{VerifyArgs, verify};
use keys::SecretShare;
use keys::derive::derive_master;
use keys::keystores::{Passwords, read_folder, write_folder};
use keys::store::NodeStore;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use types::{Generation, PublicKey};

const ADDRESS: &str = "0x86B8145c98e5BD25BA722645b15eD65f024a87EC";

fn whole(count: u8) -> Vec<SecretShare> {
    (1..=count).map(|seed| derive_master(&[seed; 32]).unwrap()).collect()
}

fn publics(keys: &[SecretShare]) -> Vec<PublicKey> {
    keys.iter().map(SecretShare::public).collect()
}

fn keystores(root: &Path, count: u8) -> PathBuf {
    let path = root.join("whole-keys");
    write_folder(&path, &whole(count)).unwrap();
    path
}

fn split_args(root: &Path, keystores: &Path) -> SplitArgs {
    SplitArgs {
        keystore_dir: keystores.to_owned(),
        password_file: None,
        operators: 4,
        threshold: 3,
        out: root.join("cluster"),
        name: "split".into(),
        network: Some("hoodi".into()),
        network_config: None,
        withdrawal_addresses: vec![ADDRESS.into()],
        fee_recipient_addresses: vec![ADDRESS.into()],
        compounding: false,
        deposit_amounts: Vec::new(),
        new_keys: false,
        format: Version::V1_11,
        json: false,
    }
}

fn combine_args(folders: &[&PathBuf], out: PathBuf) -> CombineArgs {
    CombineArgs {
        data_dirs: folders.iter().map(|folder| (*folder).clone()).collect(),
        keystores: Vec::new(),
        password_files: Vec::new(),
        lock: None,
        out,
        json: false,
    }
}

#[test]
fn what_is_split_verifies_and_every_quorum_gives_it_back() {
    let root = tempfile::tempdir().unwrap();
    let args = split_args(root.path(), &keystores(root.path(), 2));
    let Split { folders, validators, .. } = split(&args).unwrap();
    assert_eq!(validators, publics(&whole(2)));
    for folder in &folders {
        let lock = Some(folder.join(folder::LOCK));
        assert!(verify(&VerifyArgs { lock, ..VerifyArgs::default() }).unwrap().ok());
        assert!(folder.join(folder::HISTORY_WANTED).exists(), "keys that have signed need their history");
        assert!(
            !folder.join("deposit-data.json").exists(),
            "keys that have a deposit get no file for another"
        );
        // The client's keystores are halves: no share, no key.
        let client = read_folder(&folder.join(folder::KEYSTORES), &Passwords::Beside).unwrap();
        assert!(client.iter().all(|half| !validators.contains(&half.secret.public())));
    }
    for left_out in 0..4 {
        let quorum: Vec<&PathBuf> =
            folders.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, folder)| folder).collect();
        let out = root.path().join(format!("back-{left_out}"));
        let combined = combine(&combine_args(&quorum, out.clone())).unwrap();
        assert_eq!(combined.validators, validators);
        assert!(
            quorum.iter().all(|folder| folder.join(folder::EXPORTED).exists()),
            "no node starts there again"
        );
        let back = read_folder(&out, &Passwords::Beside).unwrap();
        assert_eq!(back.iter().map(|one| one.secret.public()).collect::<Vec<_>>(), validators);
    }
}

#[test]
fn the_contracts_flags_alone_make_a_cluster() {
    let root = tempfile::tempdir().unwrap();
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let (keys, out) = (text(keystores(root.path(), 1)), text(root.path().join("out")));
    let line =
        ["dvt-dkg", "split", "--keystore-dir", &keys, "--operators", "4", "--threshold", "3", "--out", &out];
    assert_eq!(dkg::cli::run(line.map(std::ffi::OsString::from)), ExitCode::SUCCESS);
    let folders: Vec<String> = (2..=4).map(|number| format!("{out}/operator-{number}")).collect();
    let back = text(root.path().join("back"));
    let mut line = vec!["dvt-dkg", "combine", "--out", &back, "--data-dir"];
    line.extend(folders.iter().map(String::as_str));
    assert_eq!(dkg::cli::run(line.into_iter().map(std::ffi::OsString::from)), ExitCode::SUCCESS);
    let found = read_folder(Path::new(&back), &Passwords::Beside).unwrap();
    assert_eq!(found[0].secret.public(), whole(1)[0].public());
}

#[test]
fn fewer_than_a_quorum_one_operator_twice_and_strangers_give_nothing_back() {
    let root = tempfile::tempdir().unwrap();
    let keys = keystores(root.path(), 1);
    let Split { folders, .. } = split(&split_args(root.path(), &keys)).unwrap();
    let out = root.path().join("back");
    let refused = |args: CombineArgs| {
        let words = format!("{:#}", combine(&args).unwrap_err());
        assert!(!out.exists(), "{words}: something was written");
        words
    };
    let [one, two, three, four] = [0, 1, 2, 3].map(|at| &folders[at]);
    let few = refused(combine_args(&[one, two], out.clone()));
    assert!(few.contains("it takes 3"), "{few}");
    let twice = refused(combine_args(&[one, two, one], out.clone()));
    assert!(twice.contains("both operator 1's"), "{twice}");
    // The halves of different operators do not fit each other.
    let mut crossed = combine_args(&[one, two, three], out.clone());
    crossed.keystores = [two, one, three].map(|folder| folder.join(folder::KEYSTORES)).to_vec();
    let crossed = refused(crossed);
    assert!(crossed.contains("no operator's two halves"), "{crossed}");
    // Another cluster of the same key.
    let other = SplitArgs { out: root.path().join("other"), ..split_args(root.path(), &keys) };
    let other = split(&other).unwrap().folders;
    let strangers = refused(combine_args(&[one, two, &other[2]], out.clone()));
    assert!(strangers.contains("of another cluster"), "{strangers}");
    std::fs::create_dir(&out).unwrap();
    let exists = combine(&combine_args(&[one, two, four], out.clone())).unwrap_err();
    assert!(exists.to_string().contains("nothing is overwritten"), "{exists}");
}

#[test]
fn a_cluster_that_runs_gives_no_key_back() {
    let root = tempfile::tempdir().unwrap();
    let Split { folders, .. } = split(&split_args(root.path(), &keystores(root.path(), 1))).unwrap();
    let journal = folders[1].join(folder::JOURNAL);
    std::fs::create_dir(&journal).unwrap();
    // As a node locks it.
    let lock = std::fs::File::create(journal.join("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let quorum: Vec<&PathBuf> = folders[..3].iter().collect();
    let out = root.path().join("back");
    let error = format!("{:#}", combine(&combine_args(&quorum, out.clone())).unwrap_err());
    assert!(error.contains("a node runs in"), "{error}");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::Unlock).unwrap();
    let twice = [&folders[1], &folders[0], &folders[1]];
    let error = format!("{:#}", combine(&combine_args(&twice, out.clone())).unwrap_err());
    assert!(error.contains("both operator 2's"), "its own lock is not another's: {error}");
    assert!(!out.exists() && !folders[0].join(folder::EXPORTED).exists());
    drop(lock);
    combine(&combine_args(&quorum, out)).unwrap();
}

#[test]
fn a_split_that_is_refused_leaves_nothing_behind() {
    let root = tempfile::tempdir().unwrap();
    let keys = keystores(root.path(), 1);
    let good = split_args(root.path(), &keys);
    let refused = |args: SplitArgs| {
        let words = format!("{:#}", split(&args).unwrap_err());
        let left: Vec<_> =
            std::fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["whole-keys"], "{words}");
        words
    };
    let unsafe_size = refused(SplitArgs { threshold: 2, ..good.clone() });
    assert!(unsafe_size.contains("unsafe"), "{unsafe_size}");
    let on_mainnet =
        SplitArgs { network: Some("mainnet".into()), fee_recipient_addresses: vec![], ..good.clone() };
    let fees = refused(on_mainnet);
    assert!(fees.contains("--fee-recipient-address"), "{fees}");
    let on_mainnet =
        SplitArgs { network: Some("mainnet".into()), withdrawal_addresses: vec![], ..good.clone() };
    let withdrawal = refused(on_mainnet);
    assert!(withdrawal.contains("withdrawal address"), "{withdrawal}");
    let typo = SplitArgs { withdrawal_addresses: vec![ADDRESS.to_lowercase()], ..good.clone() };
    let typo = refused(typo);
    assert!(typo.contains("EIP-55"), "{typo}");
    let nowhere = SplitArgs { network: Some("olympic".into()), ..good };
    assert!(refused(nowhere).contains("unknown network"));
}

#[test]
fn new_keys_get_deposit_files_and_need_no_history() {
    let root = tempfile::tempdir().unwrap();
    let args = SplitArgs {
        deposit_amounts: vec![1, 31],
        new_keys: true,
        format: Version::V1_10,
        ..split_args(root.path(), &keystores(root.path(), 2))
    };
    let Split { folders, .. } = split(&args).unwrap();
    for folder in &folders {
        assert!(!folder.join(folder::HISTORY_WANTED).exists());
        let files = ["deposit-data-1eth.json", "deposit-data-31eth.json"].map(|name| folder.join(name));
        let lock = Some(folder.join(folder::LOCK));
        let found =
            verify(&VerifyArgs { lock, deposit_data: files.to_vec(), ..VerifyArgs::default() }).unwrap();
        assert!(found.ok(), "{found}");
    }
}

#[test]
fn obols_own_folders_give_their_keys_back() {
    let Some(vectors) = common::folder() else { return };
    let cluster = vectors.join("synthetic/synthetic-v1.11-hoodi");
    let root = tempfile::tempdir().unwrap();
    let private = common::json(cluster.join("private.json"));
    let nodes: Vec<PathBuf> = [3, 0, 2].iter().map(|node| cluster.join(format!("node{node}"))).collect();
    let args = CombineArgs {
        lock: Some(cluster.join(folder::LOCK)),
        ..combine_args(&nodes.iter().collect::<Vec<_>>(), root.path().join("back"))
    };
    let combined = combine(&args).unwrap();
    assert_eq!(combined.operators.iter().map(|index| index.get()).collect::<Vec<_>>(), [4, 1, 3]);
    let back = read_folder(&args.out, &Passwords::Beside).unwrap();
    for (one, validator) in back.iter().zip(private["validators"].as_array().unwrap()) {
        assert_eq!(hex::encode(&*one.secret.to_be_bytes()), common::text(validator, "group_secret"));
    }
}

#[test]
fn a_store_without_its_password_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let Split { folders, .. } = split(&split_args(root.path(), &keystores(root.path(), 1))).unwrap();
    let store = folders[0].join(NodeStore::file_name(Generation(0)));
    assert!(store.exists());
    std::fs::remove_file(folders[0].join(folder::NODE_PASSWORD)).unwrap();
    let quorum: Vec<&PathBuf> = folders[..3].iter().collect();
    let error = combine(&combine_args(&quorum, root.path().join("back"))).unwrap_err();
    assert!(format!("{error:#}").contains(folder::NODE_PASSWORD), "{error:#}");
}
