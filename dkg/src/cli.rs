//! The command line of `dvt-dkg`.

use crate::board::{BoardTerms, Delivery, deliver_folder};
use crate::combine::{CombineArgs, Combined, combine};
use crate::define::{DefineConfig, Defined, define};
use crate::ending::NoKeys;
use crate::run::{Finished, RunConfig, Source, run as run_ceremony, summary};
use crate::split::{Split, SplitArgs, split};
use crate::verify::{VerifyArgs, verify};
use anyhow::{Context as _, bail};
use clap::{Args, Parser, Subcommand};
use cluster::{Version, folder};
use keys::identity::{KEY_FILE, NodeKey};
use keys::secret_file::read_password;
use net::Multiaddr;
use rand_core::OsRng;
use remote::board::Board;
use remote::flags::KeymanagerFlags;
use serde_json::json;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use types::Root;

/// How long it is tried to deliver a lock to a board that does not answer: longer than a coordinator takes to be started again.
const PATIENCE: Duration = Duration::from_secs(60);

/// The key ceremony of a distributed validator cluster.
#[derive(Debug, Parser)]
#[command(name = "dvt-dkg", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make or show this operator's node key; prints its ENR.
    ///
    /// Example: dvt-dkg identity --data-dir /var/lib/symbolon
    Identity(IdentityArgs),
    /// Write a definition: who the operators are, and what they make.
    ///
    /// Example: dvt-dkg define --name pool-7 --operator-enr enr:-... --operator-enr enr:-... --threshold 3
    /// --validators 8 --withdrawal-address 0x... --fee-recipient-address 0x... --network hoodi --out definition.json
    Define(DefineArgs),
    /// Take part in a ceremony; start it again after a crash to go on.
    ///
    /// Exit status 0: the keys are made, now or by an earlier run. 3: an operator has done wrong; it is named, and the
    /// evidence kept for dvt-dkg verify --evidence. 4: somebody was waited for until the deadline; start again to go on.
    /// 1: anything else. Example: dvt-dkg run --definition definition.json --data-dir /var/lib/symbolon
    /// --peer enr:-...=/dns/op2.example/tcp/3610
    Run(RunArgs),
    /// Deliver the lock of a ceremony to a pool: for when its board could not be reached at the end.
    ///
    /// The pool has it then, from this operator or another. Example: dvt-dkg deliver --board https://pool.example --data-dir
    /// /var/lib/symbolon
    Deliver(DeliverArgs),
    /// Check files of a cluster, whoever made them: one verdict for each rule.
    ///
    /// Exit status 0 only if everything that was checked holds. Example: dvt-dkg verify --lock cluster-lock.json
    /// --deposit-data deposit-data.json
    Verify(VerifyArgs),
    /// Deal keys that exist already to operators: for migration and tests. New validators are made by a ceremony.
    ///
    /// Example: dvt-dkg split --keystore-dir keys --operators 4 --threshold 3 --network hoodi
    /// --withdrawal-address 0x... --fee-recipient-address 0x... --out cluster
    Split(SplitArgs),
    /// Put a cluster's keys together again, from both halves of a quorum of operators.
    ///
    /// Example: dvt-dkg combine --data-dir op1 op2 op3 --keystores keys1 keys2 keys3 --out whole-keys
    Combine(CombineArgs),
}

#[derive(Debug, Args)]
struct IdentityArgs {
    /// The operator's data folder; made if absent.
    #[arg(long)]
    data_dir: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct DefineArgs {
    /// The format of the definition, and of the lock that is made of it.
    #[arg(long, default_value = "v1.10.0", value_parser = crate::define::parse_version)]
    format: Version,
    /// The cluster's name.
    #[arg(long)]
    name: String,
    /// An operator's ENR, in the order of operators. Repeat for each.
    #[arg(long = "operator-enr", required = true, num_args = 1..)]
    operators: Vec<String>,
    /// How many operators must sign.
    #[arg(long)]
    threshold: usize,
    /// How many validators to make.
    #[arg(long)]
    validators: usize,
    /// Takes withdrawals, in EIP-55 form; one for all validators or one each.
    #[arg(long = "withdrawal-address", required = true)]
    withdrawal_addresses: Vec<String>,
    /// Takes priority fees; one for all validators or one each.
    #[arg(long = "fee-recipient-address", required = true)]
    fee_recipient_addresses: Vec<String>,
    /// A built-in network.
    #[arg(long)]
    network: Option<String>,
    /// A network that is not built in: a JSON file with its parameters.
    #[arg(long, conflicts_with = "network")]
    network_config: Option<PathBuf>,
    /// Withdrawal credentials 0x02, balances up to 2048 ETH.
    #[arg(long)]
    compounding: bool,
    /// Deposits to sign, in whole ETH; the pool's flow of DESIGN is 1 and 31. Repeat for each.
    #[arg(long = "deposit-amount", num_args = 1..)]
    deposit_amounts: Vec<u64>,
    /// The file to write; nothing is overwritten.
    #[arg(long)]
    out: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The definition that this operator approves.
    #[arg(long, required_unless_present = "board", conflicts_with = "board")]
    definition: Option<PathBuf>,
    /// The pool's board instead: it hands out the definition, shows who is missing, and gets the lock.
    #[arg(long, value_name = "URL", requires = "approve")]
    board: Option<String>,
    /// Go on only if the definition has this hash.
    #[arg(long)]
    approve: Option<Root>,
    /// The operator's data folder, with its node key.
    #[arg(long)]
    data_dir: PathBuf,
    /// Where the other operators connect, as a multiaddress. Repeat for more.
    #[arg(long, default_value = "/ip4/0.0.0.0/tcp/3610")]
    listen: Vec<Multiaddr>,
    /// A relay to be reached through, and to reach others through, as it prints its address. Repeat for more.
    #[arg(long = "relay", value_name = "MULTIADDR")]
    relays: Vec<Multiaddr>,
    /// Another operator's address: ENR=MULTIADDR. Repeat for each.
    #[arg(long = "peer", value_parser = net::peers_file::parse_flag)]
    peers: Vec<(String, Multiaddr)>,
    /// A network that is not built in: a JSON file with its parameters.
    #[arg(long)]
    network_config: Option<PathBuf>,
    /// The password for the node's halves; without it a random one is made.
    #[arg(long)]
    password_file: Option<PathBuf>,
    #[command(flatten)]
    keymanager: KeymanagerFlags,
    /// How long to wait for everybody, in seconds.
    #[arg(long, default_value_t = 86_400)]
    deadline: u64,
    /// Which try at this definition, after one that ended with a culprit.
    #[arg(long, default_value_t = 0)]
    attempt: u32,
    /// Print JSON, and no progress.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct DeliverArgs {
    /// The pool's board.
    #[arg(long, value_name = "URL")]
    board: String,
    /// The operator's data folder, with its node key and the lock.
    #[arg(long)]
    data_dir: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Whether a command line, program name first, says something that could be run.
///
/// - Errors: what [`run()`] prints, `--help` included.
pub fn check(args: impl IntoIterator<Item = OsString>) -> Result<(), clap::Error> {
    Cli::try_parse_from(args).map(|_| ())
}

/// Parses a command line, program name first, and runs it to its end.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // To standard output for --help, to standard error else; a closed one is nobody's loss.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    let done = match cli.command {
        Command::Identity(args) => identity(&args),
        Command::Define(args) => run_define(args),
        Command::Run(args) => run_run(args),
        Command::Deliver(args) => run_deliver(&args),
        Command::Verify(args) => run_verify(&args),
        Command::Split(args) => run_split(&args),
        Command::Combine(args) => run_combine(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

#[expect(clippy::print_stderr, reason = "the one sentence that an operator sees when a command fails")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("dvt-dkg: {error:#}");
    error.downcast_ref::<NoKeys>().map_or(ExitCode::FAILURE, |no_keys| ExitCode::from(no_keys.exit_status()))
}

fn print(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

fn identity(args: &IdentityArgs) -> anyhow::Result<()> {
    let path = args.data_dir.join(KEY_FILE);
    std::fs::create_dir_all(&args.data_dir)
        .with_context(|| format!("cannot make {}", args.data_dir.display()))?;
    let key = NodeKey::load_or_create(&path, &mut OsRng)?;
    if args.json {
        return print(&json!({ "enr": key.enr(), "file": path.display().to_string() }).to_string());
    }
    print(&key.enr())
}

fn run_define(args: DefineArgs) -> anyhow::Result<()> {
    let config = DefineConfig {
        version: args.format,
        name: args.name,
        operators: args.operators,
        threshold: args.threshold,
        validators: args.validators,
        withdrawal_addresses: args.withdrawal_addresses,
        fee_recipient_addresses: args.fee_recipient_addresses,
        network: args.network,
        network_config: args.network_config,
        compounding: args.compounding,
        deposit_amounts: args.deposit_amounts,
        out: args.out.clone(),
    };
    let Defined { definition, network, warning } = define(&config)?;
    if args.json {
        let hash = definition.definition_hash();
        let line = json!({
            "file": args.out.display().to_string(), "definition_hash": hash,
            "config_hash": definition.config_hash(), "warning": warning,
        });
        return print(&line.to_string());
    }
    if let Some(warning) = warning {
        print(&format!("warning: {warning}"))?;
    }
    print(&summary(&definition, &network, definition.size()?))
}

fn run_run(args: RunArgs) -> anyhow::Result<()> {
    let definition = source(args.definition, args.board.as_deref())?;
    let config = RunConfig {
        definition,
        approve: args.approve,
        data_dir: args.data_dir.clone(),
        listen: args.listen,
        relays: args.relays,
        peers: args.peers,
        network_config: args.network_config,
        password_file: args.password_file,
        keymanager: args.keymanager.client(|path| anyhow::Ok(read_password(path)?))?.map(Arc::new),
        deadline: Duration::from_secs(args.deadline),
        attempt: args.attempt,
        quiet: args.json,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let finished = runtime.block_on(run_ceremony(config))?;
    report(&args.data_dir, &finished, args.json)
}

fn source(file: Option<PathBuf>, board: Option<&str>) -> anyhow::Result<Source> {
    match (file, board) {
        (Some(file), None) => Ok(Source::File(file)),
        (None, Some(url)) => {
            let board = Board::new(url).context("--board")?;
            Ok(Source::Board(BoardTerms { board: Arc::new(board), patience: PATIENCE }))
        }
        _ => bail!("either --definition or --board names the definition"),
    }
}

fn run_deliver(args: &DeliverArgs) -> anyhow::Result<()> {
    let board = Board::new(&args.board).context("--board")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (lock_hash, delivery) = runtime.block_on(deliver_folder(Arc::new(board), &args.data_dir))?;
    if args.json {
        return print(&json!({ "lock_hash": lock_hash, "delivery": delivery.to_string() }).to_string());
    }
    print(&format!("cluster {lock_hash}: {delivery}"))
}

fn run_verify(args: &VerifyArgs) -> anyhow::Result<()> {
    let verification = verify(args)?;
    if args.json {
        print(&verification.json().to_string())?;
    } else {
        print(&verification.to_string())?;
    }
    match verification.complaint() {
        Some(complaint) => bail!(complaint),
        None => Ok(()),
    }
}

#[expect(clippy::print_stderr, reason = "a warning must be seen beside whatever takes standard output")]
fn warn(words: &str) {
    eprintln!("dvt-dkg: WARNING: {words}");
}

fn run_split(args: &SplitArgs) -> anyhow::Result<()> {
    let Split { lock_hash, validators, folders, warnings } = split(args)?;
    warnings.iter().for_each(|words| warn(words));
    if args.json {
        let folders: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
        let line = json!({
            "lock_hash": lock_hash, "validators": validators, "folders": folders, "warnings": warnings,
        });
        return print(&line.to_string());
    }
    print(&format!("{} keys dealt to {} operators; cluster {lock_hash}", validators.len(), folders.len()))?;
    folders.iter().try_for_each(|folder| print(&folder.display().to_string()))
}

fn run_combine(args: &CombineArgs) -> anyhow::Result<()> {
    let Combined { validators, operators } = combine(args)?;
    warn(
        "the whole keys are in these keystores now: no node may run with shares of them any more, and whatever signs with \
         them needs the histories of all these operators first (dvt-node slashing-protection export of each)",
    );
    if args.json {
        let operators: Vec<u8> = operators.iter().map(|index| index.get()).collect();
        let line = json!({ "validators": validators, "operators": operators, "out": args.out.display().to_string() });
        return print(&line.to_string());
    }
    validators
        .iter()
        .enumerate()
        .try_for_each(|(number, key)| print(&format!("keystore-{number}.json {key}")))
}

fn report(data_dir: &Path, finished: &Finished, as_json: bool) -> anyhow::Result<()> {
    let Finished { lock_hash, definition_hash, validators, missing, already, took, delivery } = finished;
    let missing: Vec<u8> = missing.iter().map(|index| index.get()).collect();
    if as_json {
        let steps: Vec<_> =
            took.steps.iter().map(|(step, ms)| json!({ "step": step.to_string(), "ms": ms.0 })).collect();
        let line = json!({
            "lock_hash": lock_hash, "definition_hash": definition_hash, "validators": validators,
            "unconfirmed": missing, "already": already, "data_dir": data_dir.display().to_string(),
            "steps": steps, "sent_bytes": took.sent_bytes,
            "delivery": delivery.as_ref().map(Delivery::to_string),
        });
        return print(&line.to_string());
    }
    let made = if *already { "were made here already, and nothing was done" } else { "made" };
    print(&format!("{validators} validators {made}; cluster {lock_hash}"))?;
    print(&format!("files in {}", data_dir.display()))?;
    if data_dir.join(folder::KEYSTORES).exists() {
        print("move validator_keys to the validator client's host, and back up both places apart")?;
    } else {
        print("the validator client has its halves; back up its keystores and this folder apart")?;
    }
    if !missing.is_empty() {
        let list = missing.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
        print(&format!(
            "operators {list} have not confirmed their files; the ceremony's records are kept for them"
        ))?;
    }
    delivery.iter().try_for_each(|delivery| print(&delivery.to_string()))
}
