//! An operator moves in with Obol's files, is split, moves out, and at no time can two nodes sign with one share.

mod keymanager;
#[path = "../slashing_protection/operator.rs"]
mod operator;

use cluster::{Lock, Networks, folder};
use dvt_node::data_folder::{DataFolder, Reading, ensure_may_run, verified_mark};
use dvt_node::journal::Journal;
use dvt_node::moving::both_halves::BothHalvesArgs;
use dvt_node::moving::export::{ExportArgs, HISTORY, export};
use dvt_node::moving::import::{ImportArgs, Imported, import};
use dvt_node::moving::interchange::{Interchange, Record, SignedAttestation, SignedBlock};
use dvt_node::moving::resplit::{ResplitArgs, resplit};
use dvt_node::moving::slashing_protection::{Config, WAIT_EPOCHS, import as import_history, wait};
use keymanager::FakeClient;
use keys::SecretShare;
use keys::derive::derive_master;
use keys::identity::{KEY_FILE, NodeKey};
use keys::keystores::{Passwords, read_folder, write_folder};
use operator::{VALIDATORS, obol_folder};
use rand_core::OsRng;
use remote::flags::KeymanagerFlags;
use std::fs;
use std::path::{Path, PathBuf};
use symbolon_core::guard::{Verdict, judge};
use symbolon_core::journal::{History, Promise, Row};
use types::{ChainSpec, Epoch, Millis, PublicKey, Root, SigningRoot, Slot};

/// An operator's folder of Obol's, and a place beside it.
struct Site {
    root: tempfile::TempDir,
    lock: Lock,
}

fn spec() -> ChainSpec {
    ChainSpec::builtin("hoodi").unwrap()
}

const NOW_EPOCH: Epoch = Epoch(5_000);

/// In the middle of an epoch.
fn now() -> Millis {
    spec().slot_start(Slot(NOW_EPOCH.0 * 32 + 16))
}

impl Site {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let lock = obol_folder(&root.path().join("charon"));
        Self { root, lock }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The keys of operator 1's shares, validator by validator.
    fn shares(&self) -> Vec<PublicKey> {
        self.lock.cluster().unwrap().validators.iter().map(|one| one.public_shares[0]).collect()
    }

    fn groups(&self) -> Vec<PublicKey> {
        self.lock.group_keys().collect()
    }

    /// A client's export: each key has signed a block and an attestation.
    fn write_history(&self, keys: &[PublicKey]) -> PathBuf {
        let record = |key: &PublicKey| Record {
            key: *key,
            blocks: vec![SignedBlock { slot: Slot(900), signing_root: None }],
            attestations: vec![SignedAttestation {
                source: Epoch(27),
                target: Epoch(28),
                signing_root: None,
            }],
        };
        let genesis_validators_root = spec().genesis_validators_root;
        let history = Interchange { genesis_validators_root, records: keys.iter().map(record).collect() };
        let path = self.path(&format!("history-of-{}.json", keys.len()));
        fs::write(&path, history.to_json()).unwrap();
        path
    }

    fn import_args(&self) -> ImportArgs {
        ImportArgs {
            obol: self.path("charon"),
            data_dir: self.path("data"),
            history: Some(self.write_history(&self.shares())),
            ..ImportArgs::default()
        }
    }

    fn import(&self) -> Imported {
        import(&self.import_args(), now()).unwrap()
    }

    /// Refused, and nothing was written.
    fn refused(&self, args: &ImportArgs) -> String {
        let words = format!("{:#}", import(args, now()).unwrap_err());
        let left = fs::read_dir(&args.data_dir).map_or(0, |entries| entries.count());
        assert_eq!(left, 0, "something was written although: {words}");
        words
    }

    fn data(&self) -> DataFolder {
        DataFolder::read(&self.path("data"), &Reading::default()).unwrap()
    }

    fn histories(&self) -> Vec<History> {
        let path = self.path("data").join(folder::JOURNAL);
        Journal::open(&path, self.lock.lock_hash()).unwrap().histories(&self.groups())
    }

    fn export_args(&self) -> ExportArgs {
        ExportArgs {
            obol: self.path("out"),
            halves: self.halves(&self.path("charon").join(folder::KEYSTORES)),
            json: false,
        }
    }

    fn resplit_args(&self, from: &Path, out: &str) -> ResplitArgs {
        ResplitArgs { halves: self.halves(from), out: self.path(out), json: false }
    }

    fn halves(&self, keystores: &Path) -> BothHalvesArgs {
        let (data_dir, keystores) = (self.path("data"), keystores.to_owned());
        BothHalvesArgs { data_dir, keystores, ..BothHalvesArgs::default() }
    }
}

fn allowed(history: &History, promise: Promise) -> bool {
    let root = SigningRoot::compute(Root([9; 32]), Root::ZERO);
    judge(history, promise, root) == Verdict::Fresh
}

fn vote(target: u64) -> Promise {
    Promise::Attestation { source: Epoch(target.saturating_sub(1)), target: Epoch(target) }
}

#[test]
fn an_operator_moves_in_with_what_was_signed_before() {
    let site = Site::new();
    let imported = site.import();
    assert_eq!((imported.operator, imported.validators, imported.with_history), (1, VALIDATORS, VALIDATORS));
    assert_eq!(imported.waits_until, None);
    let old = "the newest record";
    assert!(
        imported.warnings.iter().any(|words| words.contains(old)),
        "it ends long ago: {:?}",
        imported.warnings
    );
    ensure_may_run(&site.path("data")).unwrap();
    // The node's half is nothing yet: the client's keystores, which stay where they are, hold whole shares.
    let curve = site.data().curve(&Reading::default()).unwrap();
    assert_eq!(curve.unsplit(), VALIDATORS);
    assert!(!site.path("data").join(folder::KEYSTORES).exists());
    for history in site.histories() {
        assert!(
            !allowed(&history, vote(28)) && allowed(&history, vote(29)),
            "the share's history is the validator's"
        );
        assert!(!allowed(&history, Promise::Block { slot: Slot(900) }));
        assert!(allowed(&history, Promise::Block { slot: Slot(901) }));
    }
}

#[test]
fn without_a_history_nothing_moves_in_unless_it_waits() {
    let site = Site::new();
    let none = ImportArgs { history: None, ..site.import_args() };
    assert!(site.refused(&none).contains("--no-history"));
    let half = ImportArgs { history: Some(site.write_history(&site.shares()[1..])), ..site.import_args() };
    assert!(site.refused(&half).contains(&site.groups()[0].to_string()), "the one that lacks it is named");

    // An empty record says nothing: a client that has lost its database writes just that.
    let empty = site.path("empty.json");
    let record = |key: PublicKey| Record { key, blocks: vec![], attestations: vec![] };
    let records = site.shares().into_iter().map(record).collect();
    let genesis_validators_root = spec().genesis_validators_root;
    fs::write(&empty, Interchange { genesis_validators_root, records }.to_json()).unwrap();
    let refused = site.refused(&ImportArgs { history: Some(empty), ..site.import_args() });
    assert!(refused.contains("--no-history"), "{refused}");

    let imported = import(&ImportArgs { no_history: true, ..none }, now()).unwrap();
    let first = Epoch(NOW_EPOCH.0 + WAIT_EPOCHS + 1);
    assert_eq!(imported.waits_until, Some(Slot(spec().epoch_start(first).0 - 1)));
    for history in site.histories() {
        assert!(!allowed(&history, vote(first.0 - 1)) && allowed(&history, vote(first.0)));
        let slot = spec().epoch_start(first);
        assert!(!allowed(&history, Promise::Block { slot: Slot(slot.0 - 1) }));
        assert!(allowed(&history, Promise::Block { slot }));
    }
}

#[test]
fn only_the_validators_without_a_record_wait() {
    let site = Site::new();
    let history = Some(site.write_history(&site.shares()[..1]));
    let imported = import(&ImportArgs { history, no_history: true, ..site.import_args() }, now()).unwrap();
    assert_eq!(imported.with_history, 1);
    let [with, without] = site.histories().try_into().unwrap();
    assert!(allowed(&with, vote(NOW_EPOCH.0)) && !allowed(&without, vote(NOW_EPOCH.0)));
}

#[test]
fn a_clock_that_is_far_off_is_refused_and_before_the_beginning_nothing_was_signed() {
    let site = Site::new();
    let none = ImportArgs { history: None, no_history: true, ..site.import_args() };
    let error = format!("{:#}", import(&none, Millis(0)).unwrap_err());
    assert!(error.contains("is the clock right?"), "a wait from 1970 would be over at once: {error}");
    let eve = Millis(spec().genesis_time_ms - 1000);
    let imported = import(&ImportArgs { no_history: false, ..none }, eve).unwrap();
    assert_eq!(imported.waits_until, None);
}

#[test]
fn no_vote_after_a_wait_surrounds_one_from_before_it() {
    let site = Site::new();
    import(&ImportArgs { history: None, no_history: true, ..site.import_args() }, now()).unwrap();
    let target = Epoch(NOW_EPOCH.0 + WAIT_EPOCHS + 1);
    for history in site.histories() {
        // Before the import: at the latest from the epoch before to this one.
        let surrounding = Promise::Attestation { source: Epoch(NOW_EPOCH.0 - 2), target };
        assert!(!allowed(&history, surrounding));
        assert!(allowed(&history, Promise::Attestation { source: Epoch(NOW_EPOCH.0 - 1), target }));
    }
}

#[test]
fn what_an_interrupted_import_left_aside_is_in_nobodys_way() {
    let site = Site::new();
    let aside = site.path("data").join(".import.tmp");
    fs::create_dir_all(&aside).unwrap();
    fs::write(aside.join(KEY_FILE), "half").unwrap();
    site.import();
    assert!(!aside.exists());
    site.data();
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_written() {
    let site = Site::new();
    let good = site.import_args();
    let swap = |with: &[SecretShare], words: &str| {
        let other = tempfile::tempdir().unwrap();
        let keystores = other.path().join("keys");
        write_folder(&keystores, with).unwrap();
        let refused = site.refused(&ImportArgs { keystores: Some(keystores), ..good.clone() });
        assert!(refused.contains(words), "{refused}");
    };
    let own = || -> Vec<SecretShare> {
        let opened = read_folder(&site.path("charon").join(folder::KEYSTORES), &Passwords::Beside).unwrap();
        opened.into_iter().map(|one| one.secret).collect()
    };
    swap(&own()[..1], "no keystore holds operator 1's share of validator 1");
    let stranger: Vec<_> = own().into_iter().chain([derive_master(&[5; 32]).unwrap()]).collect();
    swap(&stranger, "which is no share of operator 1");

    let other = site.path("other");
    fs::create_dir(&other).unwrap();
    NodeKey::create_new(&other.join(KEY_FILE), &mut OsRng).unwrap();
    let lock = Some(site.path("charon").join(folder::LOCK));
    let refused = site.refused(&ImportArgs { obol: other, lock: lock.clone(), ..good.clone() });
    assert!(refused.contains("the key of no operator"), "{refused}");

    let text = fs::read_to_string(lock.as_ref().unwrap()).unwrap();
    let broken = site.path("broken.json");
    fs::write(&broken, text.replace("\"history\"", "\"hystory\"")).unwrap();
    let refused = site.refused(&ImportArgs { lock: Some(broken), ..good.clone() });
    assert!(refused.contains("config_hash"), "{refused}");

    let foreign = site.path("foreign.json");
    let text = fs::read_to_string(good.history.as_ref().unwrap()).unwrap();
    let root = spec().genesis_validators_root.to_string();
    fs::write(&foreign, text.replace(&root, &Root([7; 32]).to_string())).unwrap();
    let refused = site.refused(&ImportArgs { history: Some(foreign), ..good });
    assert!(refused.contains("genesis validators root"), "{refused}");
}

#[test]
fn an_operator_is_imported_once_into_an_empty_folder() {
    let site = Site::new();
    fs::create_dir(site.path("data")).unwrap();
    site.import();
    let again = import(&site.import_args(), now()).unwrap_err();
    assert!(again.to_string().contains("exists already"), "{again}");
}

#[test]
fn a_client_takes_the_keystores_and_their_history_or_nothing_is_written() {
    let site = Site::new();
    let token = site.path("token");
    keys::secret_file::write_new_secret(&token, b"api-token-0x01\n").unwrap();
    let to = |client: &FakeClient| ImportArgs {
        keymanager: KeymanagerFlags {
            keymanager: Some(client.url.clone()),
            keymanager_token_file: Some(token.clone()),
            keymanager_plain_http: false,
        },
        ..site.import_args()
    };
    let refusing = FakeClient::start("api-token-0x01", Err("disk full"));
    assert!(site.refused(&to(&refusing)).contains("disk full"));
    let strict = FakeClient::start("another token", Ok("imported"));
    assert!(site.refused(&to(&strict)).contains("token"));

    let client = FakeClient::start("api-token-0x01", Ok("imported"));
    let imported = import(&to(&client), now()).unwrap();
    assert!(client.url.ends_with(imported.keymanager.as_ref().unwrap().trim_start_matches("http://")));
    let taken = client.taken();
    assert_eq!(taken.keys, site.shares());
    assert_eq!(taken.history, Some(fs::read_to_string(site.path("history-of-2.json")).unwrap()));
}

#[test]
fn an_operator_moves_out_with_whole_shares_and_everything_that_was_signed() {
    let site = Site::new();
    site.import();
    let done = export(&site.export_args()).unwrap();
    assert_eq!(done.validators, VALIDATORS);
    let out = site.path("out");
    let lock = Lock::parse(&fs::read(out.join(folder::LOCK)).unwrap()).unwrap();
    assert!(lock.check(&Networks::public()).iter().all(|check| check.holds()));
    assert_eq!(fs::read(out.join(KEY_FILE)).unwrap(), fs::read(site.path("charon").join(KEY_FILE)).unwrap());
    let shares = read_folder(&out.join(folder::KEYSTORES), &Passwords::Beside).unwrap();
    assert_eq!(shares.iter().map(|one| one.secret.public()).collect::<Vec<_>>(), site.shares());
    let history = Interchange::parse(&fs::read(out.join(HISTORY)).unwrap()).unwrap();
    let mut keys: Vec<_> = history.records.iter().map(|record| record.key).collect();
    keys.sort();
    let mut wanted = site.shares();
    wanted.sort();
    assert_eq!(keys, wanted);
    assert!(history.records.iter().all(|record| record.attestations[0].target == Epoch(28)));
    for amount in ["deposit-data-1eth.json", "deposit-data.json"] {
        assert!(out.join(amount).exists(), "{amount}");
    }

    // Two nodes with one share get validators slashed: ours does not start any more.
    let error = ensure_may_run(&site.path("data")).unwrap_err();
    assert!(error.to_string().contains("exported"), "{error}");
    // What is signed from now on is not in this journal: a second export would lack it.
    let again = export(&ExportArgs { obol: site.path("again"), ..site.export_args() }).unwrap_err();
    assert!(again.to_string().contains("exported already"), "{again}");
    // And what went out comes in again, with its history.
    let back = ImportArgs {
        obol: out.clone(),
        data_dir: site.path("back"),
        history: Some(out.join(HISTORY)),
        ..ImportArgs::default()
    };
    assert_eq!(import(&back, now()).unwrap().with_history, VALIDATORS);
    ensure_may_run(&site.path("back")).unwrap();
}

#[test]
fn an_export_that_was_interrupted_is_finished_and_one_without_a_history_is_none() {
    let site = Site::new();
    site.import();
    let data = site.path("data");
    let refused = |words: &str| {
        let error = format!("{:#}", export(&site.export_args()).unwrap_err());
        assert!(error.contains(words), "{error}");
        assert!(!site.path("out").exists());
    };
    fs::write(data.join(folder::HISTORY_WANTED), folder::HISTORY_WANTED_WORDS).unwrap();
    refused("nobody here knows");
    fs::remove_file(data.join(folder::HISTORY_WANTED)).unwrap();
    fs::rename(data.join(folder::JOURNAL), site.path("elsewhere")).unwrap();
    refused("does not exist");
    assert!(!data.join(folder::JOURNAL).exists(), "an empty journal would say that nothing was signed");
    fs::rename(site.path("elsewhere"), data.join(folder::JOURNAL)).unwrap();

    // Killed between the mark and the end: nothing has left yet, no node starts, and the command goes on.
    fs::create_dir(site.path(".out.tmp")).unwrap();
    fs::write(data.join(folder::EXPORTED), folder::EXPORTED_WORDS).unwrap();
    ensure_may_run(&data).unwrap_err();
    assert_eq!(export(&site.export_args()).unwrap().validators, VALIDATORS);
    assert!(!site.path(".out.tmp").exists());
}

#[test]
fn an_export_needs_both_halves_a_stopped_node_and_a_name_that_is_free() {
    let site = Site::new();
    site.import();
    let refused = |args: &ExportArgs, words: &str| {
        let error = format!("{:#}", export(args).unwrap_err());
        assert!(error.contains(words), "{error}");
        ensure_may_run(&site.path("data")).expect("the node is as it was");
    };
    let stranger = site.path("stranger");
    write_folder(&stranger, &[derive_master(&[5; 32]).unwrap()]).unwrap();
    refused(
        &ExportArgs { halves: site.halves(&stranger), ..site.export_args() },
        "lacks the client's half of validator 0",
    );
    let running = Journal::open(&site.path("data").join(folder::JOURNAL), site.lock.lock_hash()).unwrap();
    refused(&site.export_args(), "in use by another process");
    drop(running);
    assert!(!site.path("out").exists());
    fs::create_dir(site.path("out")).unwrap();
    refused(&site.export_args(), "nothing is overwritten");
}

#[test]
fn new_halves_make_the_same_share_and_old_ones_fit_them_no_more() {
    let site = Site::new();
    site.import();
    let old = site.path("charon").join(folder::KEYSTORES);
    resplit(&site.resplit_args(&old, "new")).unwrap();
    let curve = site.data().curve(&Reading::default()).unwrap();
    assert_eq!(curve.unsplit(), 0, "an imported operator is split now");
    let client: Vec<_> = (0..).map(types::ValidatorNo).map_while(|number| curve.client_key(number)).collect();
    let new = read_folder(&site.path("new"), &Passwords::Beside).unwrap();
    assert_eq!(new.iter().map(|one| one.secret.public()).collect::<Vec<_>>(), client);
    assert!(client.iter().all(|key| !site.shares().contains(key)), "no keystore holds a share");

    // The old keystores are of no use to this store, whoever has them.
    let error = format!("{:#}", resplit(&site.resplit_args(&old, "newer")).unwrap_err());
    assert!(error.contains("lacks the client's half of validator 0"), "{error}");
    assert!(!site.path("newer").exists());
    // With the new ones it goes on, and in the end the share is what it was.
    resplit(&site.resplit_args(&site.path("new"), "newer")).unwrap();
    let moved = ExportArgs { halves: site.halves(&site.path("newer")), ..site.export_args() };
    export(&moved).unwrap();
    let shares = read_folder(&site.path("out").join(folder::KEYSTORES), &Passwords::Beside).unwrap();
    assert_eq!(shares.iter().map(|one| one.secret.public()).collect::<Vec<_>>(), site.shares());
}

#[test]
fn a_resplit_that_was_interrupted_says_which_keystores_fit() {
    let site = Site::new();
    site.import();
    let old = site.path("charon").join(folder::KEYSTORES);
    let store = site.path("data").join("node-halves-0.bin");
    let before = fs::read(&store).unwrap();
    resplit(&site.resplit_args(&old, "new")).unwrap();
    let after = fs::read(&store).unwrap();
    // The client's own protection is by key: it gets a history of its new ones.
    let history = Interchange::parse(&fs::read(site.path("new").join(HISTORY)).unwrap()).unwrap();
    let new = read_folder(&site.path("new"), &Passwords::Beside).unwrap();
    assert!(new.iter().all(|one| history.records.iter().any(|record| record.key == one.secret.public())));

    // Killed before the node's halves were replaced: the new folder fits nothing.
    fs::write(&store, &before).unwrap();
    let error = format!("{:#}", resplit(&site.resplit_args(&old, "new")).unwrap_err());
    assert!(
        error.contains("does not fit the node's halves") && error.contains("remove the former"),
        "{error}"
    );
    // Killed after: it is done, and said to be.
    fs::write(&store, &after).unwrap();
    assert_eq!(resplit(&site.resplit_args(&old, "new")).unwrap().validators, VALIDATORS);
    assert_eq!(fs::read(&store).unwrap(), after);
}

#[test]
fn no_halves_are_made_beside_a_running_node_or_over_others() {
    let site = Site::new();
    site.import();
    let old = site.path("charon").join(folder::KEYSTORES);
    let before = fs::read(site.path("data").join("node-halves-0.bin")).unwrap();
    let running = Journal::open(&site.path("data").join(folder::JOURNAL), site.lock.lock_hash()).unwrap();
    let error = format!("{:#}", resplit(&site.resplit_args(&old, "new")).unwrap_err());
    assert!(error.contains("in use by another process"), "{error}");
    drop(running);
    fs::create_dir(site.path("new")).unwrap();
    let error = format!("{:#}", resplit(&site.resplit_args(&old, "new")).unwrap_err());
    assert!(error.contains("remove the former"), "{error}");
    assert_eq!(fs::read(site.path("data").join("node-halves-0.bin")).unwrap(), before);
}

#[test]
fn keys_that_were_dealt_start_only_with_their_history_or_after_a_wait() {
    let site = Site::new();
    site.import();
    let data_dir = site.path("data");
    let marker = data_dir.join(folder::HISTORY_WANTED);
    let refused = || ensure_may_run(&data_dir).unwrap_err().to_string();
    let history = |keys: &[PublicKey]| {
        let file = site.write_history(keys);
        import_history(&Config { data_dir: data_dir.clone(), file, reading: Reading::default() }, now())
            .unwrap()
    };
    fs::write(&marker, folder::HISTORY_WANTED_WORDS).unwrap();
    assert!(refused().contains("slashing-protection import"));
    assert!(history(&site.groups()[..1]).still_wanted, "one of two is not enough");
    assert!(refused().contains("slashing-protection import"));
    assert!(!history(&site.groups()).still_wanted);
    ensure_may_run(&data_dir).unwrap();

    fs::write(&marker, folder::HISTORY_WANTED_WORDS).unwrap();
    let waiting = wait(&data_dir, &Reading::default(), now()).unwrap();
    assert_eq!(waiting.validators, [], "the journal knows what all have signed");
    ensure_may_run(&data_dir).unwrap();
}

#[test]
fn a_wait_silences_only_what_the_journal_does_not_know() {
    let fresh = operator::Operator::new();
    let keys: Vec<_> = fresh.validators.iter().map(|keys| keys.group).collect();
    let row = Row { key: keys[0], slot: Slot(900), promise: vote(28), root: None };
    fresh.promise(&[row]);
    let waiting = wait(&fresh.path(""), &Reading::default(), now()).unwrap();
    assert_eq!(waiting.validators, keys[1..]);
    let [known, unknown] = fresh.journal().histories(&keys).try_into().unwrap();
    assert!(allowed(&known, vote(29)));
    assert!(!allowed(&unknown, vote(NOW_EPOCH.0 + WAIT_EPOCHS)));
    assert!(allowed(&unknown, vote(NOW_EPOCH.0 + WAIT_EPOCHS + 1)));
}

#[test]
fn a_lock_that_was_verified_is_not_verified_again_and_another_one_is() {
    let site = Site::new();
    site.import();
    let (lock, mark) = (site.path("data").join(folder::LOCK), site.path("data").join(folder::LOCK_VERIFIED));
    let good = fs::read_to_string(&lock).unwrap();
    assert!(!mark.exists());
    site.data().remember_verified();
    assert_eq!(fs::read_to_string(&mark).unwrap(), verified_mark(good.as_bytes(), &spec()));
    // Another lock: the sum of the shares' signatures is of another message.
    let at = good.find("\"signature_aggregate\"").unwrap();
    let end = at + good[at..].find([',', '}']).unwrap();
    let last = at + good[at..end].rfind('"').unwrap() - 1;
    let other = if &good[last..=last] == "0" { "1" } else { "0" };
    let broken = format!("{}{other}{}", &good[..last], &good[last + 1..]);
    fs::remove_file(&lock).unwrap();
    fs::write(&lock, &broken).unwrap();
    let refused = DataFolder::read(&site.path("data"), &Reading::default()).unwrap_err();
    assert!(format!("{refused:#}").contains("not valid"), "{refused:#}");
    // Only a mark of these very bytes spares the work.
    fs::remove_file(&mark).unwrap();
    fs::write(&mark, verified_mark(broken.as_bytes(), &spec())).unwrap();
    site.data().remember_verified();
}
