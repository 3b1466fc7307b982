//! The commands by which an operator approves an exit or a change of registrations, beside a node that is scripted.

mod node;
#[path = "../slashing_protection/operator.rs"]
mod operator;

use clap::Parser;
use cluster::folder;
use crypto::PublicKeyPoint;
use dvt_node::approve::exit::{ExitArgs, Exits, exit};
use dvt_node::approve::registration::{self, SignArgs, Signed, StatusArgs};
use dvt_node::moving::import::{ImportArgs, import};
use dvt_node::validator_api::approvals::StatementEntry;
use keys::SecretShare;
use keys::keystores::{Passwords, read_folder};
use node::{FIRST_INDEX, ScriptedNode, exit_entry};
use operator::{VALIDATORS, obol_folder};
use std::path::PathBuf;
use types::approval::{RegistrationStatement, registration_root};
use types::operations::{SignedVoluntaryExit, VoluntaryExit};
use types::{
    Address, ChainSpec, Epoch, Millis, PublicKey, Root, Signature, SigningRoot, Slot, ValidatorIndex,
    ValidatorNo,
};

const NOW_EPOCH: u64 = 5_000;
const RECIPIENT: Address = Address([0x42; 20]);

fn spec() -> ChainSpec {
    ChainSpec::builtin("hoodi").unwrap()
}

fn now() -> Millis {
    spec().slot_start(Slot(NOW_EPOCH * 32 + 16))
}

/// An operator that came with whole shares: they are its client's halves.
struct Site {
    root: tempfile::TempDir,
    groups: Vec<PublicKey>,
    secrets: Vec<SecretShare>,
    node: ScriptedNode,
}

#[derive(Debug, Parser)]
struct ExitLine {
    #[command(flatten)]
    args: ExitArgs,
}

#[derive(Debug, Parser)]
struct SignLine {
    #[command(flatten)]
    args: SignArgs,
}

#[derive(Debug, Parser)]
struct StatusLine {
    #[command(flatten)]
    args: StatusArgs,
}

impl Site {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let charon = root.path().join("charon");
        let lock = obol_folder(&charon);
        let moved = ImportArgs {
            obol: charon.clone(),
            data_dir: root.path().join("data"),
            no_history: true,
            ..ImportArgs::default()
        };
        import(&moved, now()).unwrap();
        let opened = read_folder(&charon.join(folder::KEYSTORES), &Passwords::Beside).unwrap();
        let secrets: Vec<_> = opened.into_iter().map(|one| one.secret).collect();
        let node = ScriptedNode::start(secrets.iter().map(SecretShare::public).collect());
        Self { root, groups: lock.group_keys().collect(), secrets, node }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn keystores(&self) -> PathBuf {
        self.path("charon").join(folder::KEYSTORES)
    }

    /// A command line for this operator and its node.
    fn line(&self, more: &[&str]) -> Vec<String> {
        let data = self.path("data");
        let mut line = vec!["dvt-node", "--data-dir", data.to_str().unwrap(), "--node", &self.node.url];
        line.extend(more);
        line.into_iter().map(str::to_owned).collect()
    }

    fn exit(&self, validator: &PublicKey, more: &[&str]) -> anyhow::Result<Exits> {
        let (key, keystores) = (validator.to_string(), self.keystores());
        let mut line = vec!["--validator", &key, "--keystores", keystores.to_str().unwrap()];
        line.extend(more);
        exit(&ExitLine::parse_from(self.line(&line)).args, now())
    }

    fn exit_refused(&self, validator: &PublicKey, more: &[&str], words: &str) {
        let error = format!("{:#}", self.exit(validator, more).unwrap_err());
        assert!(error.contains(words), "{error}");
        assert!(self.node.desk().handed_in.is_empty(), "nothing was approved");
    }

    fn sign(&self, more: &[&str]) -> anyhow::Result<Signed> {
        let keystores = self.keystores();
        let mut line = vec!["--keystores", keystores.to_str().unwrap()];
        line.extend(more);
        registration::sign(&SignLine::parse_from(self.line(&line)).args, now(), |_| {})
    }

    fn sign_refused(&self, more: &[&str], words: &str) {
        let error = format!("{:#}", self.sign(more).unwrap_err());
        assert!(error.contains(words), "{error}");
        assert!(self.node.desk().approved.is_empty(), "nothing was approved");
    }
}

fn verifies(key: &PublicKey, root: &SigningRoot, signature: &Signature) -> bool {
    crypto::signature::verify(&PublicKeyPoint::parse(key).unwrap(), root.as_ref(), signature)
}

#[test]
fn an_exit_is_handed_to_the_node_with_the_clients_half() {
    let site = Site::new();
    let shown = site.exit(&site.groups[1], &[]).unwrap();
    let handed_in = site.node.desk().handed_in.clone();
    let message = VoluntaryExit { epoch: Epoch(NOW_EPOCH), validator_index: ValidatorIndex(FIRST_INDEX + 1) };
    assert_eq!(handed_in.iter().map(|exit| exit.message).collect::<Vec<_>>(), [message]);
    let root = SigningRoot::voluntary_exit(&spec(), &message);
    assert!(verifies(&site.secrets[1].public(), &root, &handed_in[0].signature));
    assert_eq!(shown.exits.len(), 1);
    assert_eq!((shown.exits[0].pubkey, shown.exits[0].entry.epoch), (site.groups[1], Epoch(NOW_EPOCH)));
    assert!(shown.to_string().contains("approved by 1; 1 of 3 operators"), "{shown}");
}

#[test]
fn without_an_epoch_the_one_that_most_have_approved_is_taken() {
    let site = Site::new();
    site.node.desk().exits = vec![
        exit_entry(0, NOW_EPOCH - 1, &[2]),
        exit_entry(0, NOW_EPOCH - 3, &[3, 4]),
        exit_entry(1, NOW_EPOCH - 2, &[2, 3, 4]),
        exit_entry(0, NOW_EPOCH + 9, &[2, 3, 4]),
    ];
    site.exit(&site.groups[0], &[]).unwrap();
    site.exit(&site.secrets[1].public(), &[]).unwrap();
    site.exit(&site.groups[0], &["--epoch", "17"]).unwrap();
    let epochs: Vec<_> = site.node.desk().handed_in.iter().map(|exit| exit.message.epoch.0).collect();
    assert_eq!(epochs, [NOW_EPOCH - 3, NOW_EPOCH - 2, 17]);
}

#[test]
fn an_own_approval_of_a_later_epoch_is_not_gone_back_on() {
    let site = Site::new();
    site.node.desk().exits = vec![exit_entry(0, NOW_EPOCH - 1, &[1]), exit_entry(0, NOW_EPOCH - 3, &[3, 4])];
    site.exit(&site.groups[0], &[]).unwrap();
    assert_eq!(site.node.desk().handed_in[0].message.epoch, Epoch(NOW_EPOCH - 1));
}

#[test]
fn what_cannot_be_an_exit_is_refused_before_anything_is_signed() {
    let site = Site::new();
    let ours = site.groups[0];
    site.exit_refused(&PublicKey([9; 48]), &[], "no validator of this cluster");
    let ahead = (NOW_EPOCH + 1).to_string();
    site.exit_refused(&ours, &["--epoch", &ahead], "has not begun");
    site.node.desk().known.clear();
    site.exit_refused(&ours, &[], "is it on the chain?");
    let nobody = format!("http://{}", free_address());
    let line = site.line(&["--validator", &ours.to_string(), "--keystores", "x", "--node"]);
    // The last address on the line is the one that is asked.
    let line = line.into_iter().filter(|word| *word != site.node.url).collect::<Vec<_>>();
    let at = line.iter().position(|word| word == "--node").unwrap();
    let line: Vec<_> = line[..at].iter().chain(&line[at + 1..]).cloned().chain([nobody]).collect();
    let error = exit(&ExitLine::parse_from(line).args, now()).unwrap_err();
    assert!(format!("{error:#}").contains("is the node running?"), "{error:#}");
}

fn free_address() -> std::net::SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn another_operators_keystores_are_no_halves_of_this_one() {
    let (site, other) = (Site::new(), tempfile::tempdir().unwrap());
    let keystores = other.path().join("keys");
    let stranger = keys::derive::derive_master(&[5; 32]).unwrap();
    keys::keystores::write_folder(&keystores, &[stranger]).unwrap();
    let ours = site.groups[0].to_string();
    let line = ["--validator", &ours, "--keystores", keystores.to_str().unwrap()];
    let error = exit(&ExitLine::parse_from(site.line(&line)).args, now()).unwrap_err();
    assert!(error.to_string().contains("lacks the client's half of validator 0"), "{error:#}");
    let error = exit(&ExitLine::parse_from(site.line(&["--validator", &ours])).args, now()).unwrap_err();
    assert!(error.to_string().contains("--keymanager or its --keystores"), "{error:#}");
    assert!(site.node.desk().handed_in.is_empty());
}

#[test]
fn a_client_signs_by_its_keymanager_and_what_it_signs_is_checked() {
    let site = Site::new();
    let token = site.path("token");
    keys::secret_file::write_new_secret(&token, b"api-token-0x01\n").unwrap();
    let (ours, client) = (site.groups[0].to_string(), site.secrets[0].public());
    let ask = || {
        let (url, token) = (&site.node.url, token.to_str().unwrap());
        let line = ["--validator", &ours, "--keymanager", url, "--keymanager-token-file", token];
        exit(&ExitLine::parse_from(site.line(&line)).args, now())
    };
    let exit_of = |epoch: u64, by: usize| {
        let message = VoluntaryExit { epoch: Epoch(epoch), validator_index: ValidatorIndex(FIRST_INDEX) };
        let signature = site.secrets[by].sign(&SigningRoot::voluntary_exit(&spec(), &message));
        SignedVoluntaryExit { message, signature }
    };
    for (signed, words) in [
        (None, "no such key"),
        (Some(exit_of(NOW_EPOCH - 1, 0)), "has signed the exit of index 1000 from epoch 4999 on"),
        (Some(exit_of(NOW_EPOCH, 1)), "is not by its half"),
    ] {
        site.node.desk().signed = signed;
        let error = format!("{:#}", ask().unwrap_err());
        assert!(error.contains(words) && !error.contains("api-token"), "{error}");
        assert!(site.node.desk().handed_in.is_empty());
    }
    site.node.desk().signed = Some(exit_of(NOW_EPOCH, 0));
    ask().unwrap();
    let desk = site.node.desk();
    assert_eq!(desk.handed_in, [exit_of(NOW_EPOCH, 0)]);
    assert!(desk.keymanager_asked.iter().all(|asked| *asked == format!("{client}?epoch={NOW_EPOCH}")));
}

#[test]
fn a_node_that_wants_a_token_is_shown_it_and_its_refusals_are_told() {
    let site = Site::new();
    site.node.desk().token = Some("node-token-1".to_owned());
    site.exit_refused(&site.groups[0], &[], "--validator-api-token-file");
    let file = site.path("node-token");
    keys::secret_file::write_new_secret(&file, b"node-token-1").unwrap();
    let shown = ["--validator-api-token-file", file.to_str().unwrap()];
    site.node.desk().refusal = Some("validator 0 has index 7 on the chain");
    site.exit_refused(&site.groups[0], &shown, "validator 0 has index 7 on the chain");
    site.node.desk().refusal = None;
    site.exit(&site.groups[0], &shown).unwrap();
}

#[test]
fn the_status_of_exits_approves_nothing() {
    let site = Site::new();
    site.node.desk().exits = vec![exit_entry(0, 7, &[2, 3]), exit_entry(1, 8, &[])];
    let look = |more: &[&str]| exit(&ExitLine::parse_from(site.line(more)).args, now()).unwrap();
    let all = look(&["--status"]);
    assert_eq!(all.exits.iter().map(|exit| exit.pubkey).collect::<Vec<_>>(), site.groups);
    assert!(all.to_string().contains("from epoch 7 on: approved by 2, 3; 2 of 3 operators"), "{all}");
    let one = look(&["--status", "--validator", &site.groups[1].to_string()]);
    assert_eq!(one.exits.len(), 1);
    let json = serde_json::to_value(&one).unwrap();
    assert_eq!((&json["threshold"], &json["exits"][0]["epoch"]), (&3.into(), &"8".into()));
    assert!(site.node.desk().handed_in.is_empty());
}

#[test]
fn a_statement_is_signed_with_the_half_of_every_validator() {
    let site = Site::new();
    let signed = site.sign(&["--fee-recipient", &RECIPIENT.to_string()]).unwrap();
    let approval = site.node.desk().approved[0].clone();
    let statement = &approval.statement;
    assert_eq!(statement.validators, (0..VALIDATORS as u32).map(ValidatorNo).collect::<Vec<_>>());
    assert_eq!((statement.fee_recipient, statement.gas_limit), (RECIPIENT, 60_000_000));
    assert_eq!(statement.timestamp_s, now().0 / 1000);
    for (place, half) in approval.halves.iter().enumerate() {
        let root = registration_root(&spec(), &statement.registration(site.groups[place]));
        assert!(verifies(&site.secrets[place].public(), &root, half));
    }
    assert_eq!((signed.id, signed.complete), (statement.hash(), false));
    assert!(signed.to_string().contains(&format!("--approve {}", signed.id)), "{signed}");
    // The others approve it by its name.
    let again = site.sign(&["--approve", &signed.id.to_string()]).unwrap();
    assert_eq!(again.statement, approval.statement);
    assert_eq!(site.node.desk().approved[1], approval);
    let line = ["dvt-node", "--node", &site.node.url].map(str::to_owned);
    let status = registration::status(&StatusLine::parse_from(line).args).unwrap();
    assert!(status.to_string().contains(&format!("id {}, approved by 1; 3 operators must", signed.id)));
}

#[test]
fn a_statement_of_one_validator_leaves_the_others_alone() {
    let site = Site::new();
    let (recipient, key) = (RECIPIENT.to_string(), site.groups[1].to_string());
    let line = ["--fee-recipient", &recipient, "--validator", &key, "--gas-limit", "45000000"];
    site.sign(&line).unwrap();
    let approval = site.node.desk().approved[0].clone();
    assert_eq!(
        (approval.statement.validators, approval.statement.gas_limit),
        (vec![ValidatorNo(1)], 45_000_000)
    );
    assert_eq!(approval.halves.len(), 1);
}

#[test]
fn what_nobody_should_approve_is_refused_before_anything_is_signed() {
    let site = Site::new();
    let zero = Address::ZERO.to_string();
    site.sign_refused(&["--fee-recipient", &zero], "fee recipient is zero");
    let recipient = RECIPIENT.to_string();
    site.sign_refused(&["--fee-recipient", &recipient, "--gas-limit", "6000000000"], "gas limit");
    let unknown = Root([7; 32]).to_string();
    site.sign_refused(&["--approve", &unknown], "waits for approval");

    // A node that tells something else than what the id says gets no half for it.
    let statement = RegistrationStatement {
        validators: vec![ValidatorNo(0)],
        fee_recipient: RECIPIENT,
        gas_limit: 60_000_000,
        timestamp_s: now().0 / 1000,
    };
    let id = statement.hash();
    let swapped = RegistrationStatement { fee_recipient: Address([0x66; 20]), ..statement.clone() };
    let entry = |statement| StatementEntry { id, statement, approved_by: [(2, 1)].into() };
    let tell = |statement| site.node.desk().list.as_mut().unwrap().statements = vec![entry(statement)];
    tell(swapped);
    site.sign_refused(&["--approve", &id.to_string()], "does not hash to");
    tell(statement);
    let other = Address([0x43; 20]).to_string();
    site.sign_refused(&["--approve", &id.to_string(), "--fee-recipient", &other], "nothing is signed");
    site.node.desk().refusal = Some("not newer");
    site.sign_refused(&["--approve", &id.to_string()], "not newer");
}
