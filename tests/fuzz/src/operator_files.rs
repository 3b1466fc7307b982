//! What an operator's own programs find on disk and on their command lines.

use dvt_node::journal::{rows, seal};
use dvt_node::stops::Marker;
use dvt_node::validator_api::{Tls, Token};
use keys::secret_file::read_password;
use secrecy::ExposeSecret as _;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::LazyLock;
use symbolon_core::journal::{History, LastAttestation, LastBlock, Promise, Row};
use tempfile::TempDir;
use types::{Epoch, Millis, PublicKey, Root, SigningRoot, Slot};

/// Words of one command line: more are repetitions.
const WORDS_MAX: usize = 32;
/// A validator's key; which point it is does not matter here.
const KEY: PublicKey = PublicKey([7; 48]);

/// Small files, each by the program's own way to read it: the first byte says which.
pub(crate) fn operator_file(input: &[u8]) -> bool {
    let Some((kind, bytes)) = input.split_first() else { return false };
    match kind {
        0 => password(bytes),
        1 => Token::read(&written("token", bytes)).is_ok(),
        2 => marker(bytes),
        3 => over(bytes),
        4 => {
            let path = written("tls", bytes);
            Tls::read(&path, &path).is_ok()
        }
        _ => false,
    }
}

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder of its own"));

/// A file for its owner only, with these bytes.
fn written(name: &str, bytes: &[u8]) -> PathBuf {
    // Tests run at the same time, in threads.
    let thread: String =
        format!("{:?}", std::thread::current().id()).chars().filter(char::is_ascii_digit).collect();
    let folder = FOLDER.path().join(thread);
    fs::create_dir_all(&folder).expect("a folder in a folder of its own");
    let path = folder.join(name);
    let mut options = OpenOptions::new();
    let file = options.create(true).truncate(true).write(true).mode(0o600).open(&path);
    file.and_then(|mut file| file.write_all(bytes)).expect("a small file can be written");
    path
}

fn password(bytes: &[u8]) -> bool {
    let Ok(password) = read_password(&written("password", bytes)) else { return false };
    let text = password.expose_secret();
    assert!(!text.is_empty() && bytes.starts_with(text.as_bytes()) && !text.ends_with(['\r', '\n']));
    true
}

/// Why signing is stopped: what a node writes again is what it has read, and to resume stops nothing.
fn marker(bytes: &[u8]) -> bool {
    let path = written(cluster::folder::SIGNING_STOPPED, bytes);
    let folder = path.parent().expect("a file has a folder");
    let Ok(marker) = Marker::read(folder) else { return false };
    let text = serde_json::to_vec(&marker).expect("maps with keys of text are JSON");
    assert_eq!(serde_json::from_slice::<Marker>(&text).ok().as_ref(), Some(&marker));
    let resumed = marker.resumed();
    assert!(!resumed.is_stopped());
    assert!(marker.slashed.keys().all(|key| resumed.acknowledged.contains(key)), "and forgets no slashing");
    true
}

/// The mark of a ceremony's attempt that must not be begun again.
fn over(bytes: &[u8]) -> bool {
    let path = written("over", bytes);
    let folder = path.parent().expect("a file has a folder");
    // Everything in the folder of an attempt but its mark is erased.
    match dkg::state::over(folder) {
        Ok(Some(over)) => {
            let mark = serde_json::json!({ "ended": over.words, "exit_status": over.exit_status });
            written("over", mark.to_string().as_bytes());
            assert_eq!(dkg::state::over(folder).expect("what was written is read"), Some(over));
            true
        }
        Ok(None) => panic!("a mark that is there is not seen: the attempt would be begun again"),
        Err(_) => false,
    }
}

/// A row of the journal's database, or a record of its seal; the first byte says which.
pub(crate) fn journal_bytes(input: &[u8]) -> bool {
    match input.split_first() {
        Some((0, bytes)) => row(bytes),
        Some((1, bytes)) => bytes.try_into().is_ok_and(|bytes: [u8; seal::RECORD_LEN]| sealed(bytes)),
        _ => false,
    }
}

/// A key of 49 bytes, then a value. What is read is written as the same bytes, and a value never touches the other kind.
fn row(bytes: &[u8]) -> bool {
    let Some((key, value)) = bytes.split_at_checked(PublicKey::LEN + 1) else { return false };
    let (key_read, kind) = rows::split_key(key).expect("it has the length of one");
    let mut history = History::default();
    if rows::read(&mut history, kind, value).is_none() {
        assert_eq!(history, History::default(), "what is not read changes nothing");
        return false;
    }
    let found: Vec<_> = rows::all(key_read, &history).collect();
    assert_eq!(found, [(key.to_vec(), value.to_vec())], "one encoding");
    true
}

/// A record, and the same with its check put right.
fn sealed(bytes: [u8; seal::RECORD_LEN]) -> bool {
    let (batches, digest) = bytes.split_first_chunk::<8>().expect("it is longer");
    let digest = seal::Digest(digest[..32].try_into().expect("it is longer"));
    let tip = seal::Tip { batches: u64::from_le_bytes(*batches), digest };
    let right = seal::record(&tip);
    assert_eq!(seal::parse(&right), Some(tip));
    assert_eq!(seal::parse(&bytes), (bytes == right).then_some(tip), "no other check is taken");
    bytes == right
}

/// A program, then its words, a line each. Whatever they are, they are taken or refused with words.
pub(crate) fn command_line(input: &[u8]) -> bool {
    let Some((program, words)) = input.split_first() else { return false };
    let words = words.split(|byte| *byte == b'\n').take(WORDS_MAX);
    let words = words.map(|word| OsString::from_vec(word.to_vec()));
    let args = [OsString::from("program")].into_iter().chain(words);
    let checked = match program % 2 {
        0 => dvt_node::cli::check(args),
        _ => dkg::cli::check(args),
    };
    checked.as_ref().err().iter().for_each(|error| assert!(!error.to_string().is_empty()));
    checked.is_ok()
}

/// A file of each kind.
pub(crate) fn operator_files() -> Vec<Vec<u8>> {
    let marker = Marker {
        slashed: BTreeMap::from([(KEY, 5)]),
        second_instance: Some(Millis(7).0),
        ..Marker::default()
    };
    let marker = serde_json::to_vec(&marker).expect("maps with keys of text are JSON");
    let over = br#"{"ended":"operator 2: a bad share","exit_status":3}"#;
    [
        &b"\x00correct horse\r\n"[..],
        b"\x01abc-._~+/=\n",
        &[&[2][..], &marker].concat(),
        &[&[3][..], over].concat(),
        &[&[4][..], tls().as_bytes()].concat(),
    ]
    .map(<[u8]>::to_vec)
    .to_vec()
}

/// Rows of an own and of an imported promise of each kind, and a seal.
pub(crate) fn all_journal_bytes() -> Vec<Vec<u8>> {
    let root = SigningRoot::recorded(Root([9; 32]));
    let (slot, source, target) = (Slot(70), Epoch(1), Epoch(2));
    let mut inputs = Vec::new();
    for root in [Some(root), None] {
        let vote = Promise::Attestation { source, target };
        let last = LastAttestation { slot, source, target, root, source_max: Epoch(3), target_max: Epoch(4) };
        let history = History { block: Some(LastBlock { slot, root }), attestation: Some(last) };
        let mut raised = history;
        raised.append(&Row { key: KEY, slot, promise: vote, root });
        for (history, promise) in [(history, Promise::Block { slot }), (history, vote), (raised, vote)] {
            let (key, value) = rows::write(KEY, &history, promise).expect("it holds both kinds");
            inputs.push([&[0], key.as_slice(), &value].concat());
        }
    }
    let record = seal::record(&seal::Tip { batches: 41, digest: seal::Digest([3; 32]) });
    inputs.push([&[1], record.as_slice()].concat());
    inputs
}

/// Every program's commands with the flags whose values are more than words.
pub(crate) fn command_lines() -> Vec<Vec<u8>> {
    let lines = [
        "\0run --data-dir d --beacon-node http://127.0.0.1:5052 --validator-api 127.0.0.1:3600 --graffiti words \
         --listen /ip4/0.0.0.0/tcp/3610 --doppelganger stop --log-format json",
        "\0import --obol .charon --data-dir d --history h.json",
        "\0export --data-dir d --keystores k --obol .charon",
        "\0resume --data-dir d --json",
        "\0slashing-protection import --data-dir d --file h.json",
        "\0slashing-protection wait --data-dir d",
        "\x01verify --lock cluster-lock.json --execution-rpc http://127.0.0.1:8545",
        "\x01verify --definition d.json --evidence a.json b.json --json",
    ];
    lines.map(|line| line.replace(' ', "\n").into_bytes()).to_vec()
}

/// A certificate that signs itself, with its key.
fn tls() -> String {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
    let made = made.expect("a name and a fresh key make a certificate");
    format!("{}{}", made.cert.pem(), made.signing_key.serialize_pem())
}
