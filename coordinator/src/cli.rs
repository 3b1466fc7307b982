//! The command line of `dvt-coordinator`.

mod observe;
mod report;

use crate::api::{self, Shared};
use crate::desk::Desk;
use crate::formulas::allocation::Credentials;
use crate::key::CoordinatorKey;
use crate::ledger::charter::{Charter, Contracts};
use crate::ledger::quorum::Quorum;
use crate::ledger::{Audit, Ledger, Replay, policy};
use crate::liveness;
use crate::lookout::{self, Nodes};
use crate::office::{LOG_FOLDER, Office, Published, verify_store};
use crate::store::LogStore;
use crate::text::Text;
use crate::verify;
use anyhow::{Context as _, bail};
use beacon::{Beacon, Limits};
use clap::{Args, Parser, Subcommand};
use rand_core::OsRng;
use remote::Execution;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use types::{Address, ChainSpec};

/// Longest charter or policy, in bytes: one with all the field's tables has ten thousand.
const DOCUMENT_LEN_MAX: u64 = 1 << 20;

/// The pool's office: it keeps the books of a delegated staking pool, and holds nothing that can hurt it.
#[derive(Debug, Parser)]
#[command(name = "dvt-coordinator", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make or show this coordinator's key; prints its address, for the charter.
    ///
    /// Example: dvt-coordinator identity --data-dir /var/lib/pool
    Identity(Folder),
    /// Draft a charter: what a pool is for ever, with a policy that governance may change.
    ///
    /// Read the draft before the pool is founded on it. Example: dvt-coordinator charter --name Meadow --network hoodi
    /// --coordinator 0xC... --withdrawal-address 0xA... --fee-recipient 0xB... --governance 0x1... 0x2... 0x3...
    /// --governance-needed 2 --guardian 0x4... 0x5... --guardians-needed 2 --policy lido --out charter.json
    Charter(CharterArgs),
    /// Found a pool: its charter becomes the first entry of a log.
    ///
    /// Example: dvt-coordinator found --data-dir /var/lib/pool --charter charter.json
    Found(FoundArgs),
    /// Serve the pool's log: write what wallets have signed, let everybody read.
    ///
    /// Put a server that speaks TLS in front of it. Example: dvt-coordinator serve --data-dir /var/lib/pool --listen
    /// 127.0.0.1:8080
    Serve(ServeArgs),
    /// What can be done with a log.
    #[command(subcommand)]
    Log(LogCommand),
    /// Say what only a person can: it is observed, and in the log.
    ///
    /// What the office sees for itself is nobody's to say. A refusal names the rule, and nothing is written. Example:
    /// dvt-coordinator observe theft --data-dir /var/lib/pool --body theft.json
    Observe(observe::ObserveArgs),
    /// Call for clusters: who they are is drawn by the randomness of a later epoch.
    ///
    /// Example: dvt-coordinator call --data-dir /var/lib/pool --clusters 3 --operators 4 --threshold 3 --validators 10
    Call(observe::CallArgs),
    /// What a log says of its reports.
    #[command(subcommand)]
    Report(report::ReportCommand),
}

#[derive(Debug, Subcommand)]
enum LogCommand {
    /// Replay a log from its first entry: decide everything anew, check every signature, compare with every head.
    ///
    /// Ends with success only if all of it holds; otherwise names the first entry that does not. Example: dvt-coordinator log
    /// verify --data-dir /var/lib/pool
    Verify(VerifyArgs),
    /// Write the log to a file, a line an entry: what `log verify --file` and `log take-over` read.
    ///
    /// The log of a coordinator that runs is at its `/v1/log`. Example: dvt-coordinator log export --data-dir /var/lib/pool --out
    /// pool.jsonl
    Export(ExportArgs),
    /// Begin where another coordinator has stopped, with its log, verified.
    ///
    /// This one signs heads and sees the chain once governance has made its key the pool's. Example: dvt-coordinator log
    /// take-over --data-dir /var/lib/pool --file pool.jsonl
    TakeOver(TakeOverArgs),
}

#[derive(Debug, Args)]
struct Folder {
    /// The coordinator's folder.
    #[arg(long)]
    data_dir: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct CharterArgs {
    /// The pool's name.
    #[arg(long)]
    name: String,
    /// A network that is built in.
    #[arg(long, required_unless_present = "network_config")]
    network: Option<String>,
    /// A network that is not built in: a JSON file with its parameters.
    #[arg(long, conflicts_with = "network")]
    network_config: Option<PathBuf>,
    /// The coordinator's key, as `identity` prints it.
    #[arg(long)]
    coordinator: Address,
    /// Where all withdrawals go, for ever.
    #[arg(long)]
    withdrawal_address: Address,
    /// Validators that may hold up to 2048 ETH (credentials 0x02).
    #[arg(long)]
    compounding: bool,
    /// Where the rewards of the execution layer go.
    #[arg(long)]
    fee_recipient: Address,
    /// Whose the pool's part of the fees is, in shares.
    #[arg(long)]
    treasury: Address,
    /// The keys that govern.
    #[arg(long, num_args = 1.., required = true)]
    governance: Vec<Address>,
    /// How many of them must agree.
    #[arg(long)]
    governance_needed: u8,
    /// The keys that guard deposits; each of them can stop them.
    #[arg(long = "guardian", num_args = 1.., required = true)]
    guardians: Vec<Address>,
    /// How many of them must sign a batch of deposits.
    #[arg(long)]
    guardians_needed: u8,
    /// The pool's contract, whose events say what was paid.
    #[arg(long, requires = "deposit_contract")]
    vault: Option<Address>,
    /// The chain's deposit contract.
    #[arg(long, requires = "vault")]
    deposit_contract: Option<Address>,
    /// The number of the block in which the vault was made: what was before is not listened to.
    #[arg(long, default_value_t = 0)]
    vault_since: u64,
    /// Between the adoption of a change and its effect.
    #[arg(long, default_value_t = 3 * 86_400)]
    timelock_s: u64,
    /// The policy to begin with: `lido`, `rocketpool`, `squad`, or a file.
    #[arg(long, default_value = "lido")]
    policy: String,
    /// The file to make. It is never written over another.
    #[arg(long)]
    out: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct FoundArgs {
    #[command(flatten)]
    folder: Folder,
    /// The charter: JSON, as `charter` drafts it.
    #[arg(long)]
    charter: PathBuf,
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// The coordinator's folder.
    #[arg(long)]
    data_dir: PathBuf,
    /// Where to serve.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// A beacon node to watch the chain with. Repeat for more: the next is asked when one fails.
    ///
    /// Without one nothing is seen of the chain, and what depends on it is refused.
    #[arg(long)]
    beacon_node: Vec<String>,
    /// An execution node, to listen to the pool's contracts with.
    #[arg(long, requires = "beacon_node")]
    execution_node: Option<String>,
}

#[derive(Debug, Args)]
struct VerifyArgs {
    /// The coordinator's folder; nothing may run in it.
    #[arg(long, conflicts_with = "file", required_unless_present = "file")]
    data_dir: Option<PathBuf>,
    /// An exported log instead.
    #[arg(long)]
    file: Option<PathBuf>,
    /// With a file: a head that was published, as `/v1/head` has it. Repeat for more.
    #[arg(long, requires = "file")]
    head: Vec<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ExportArgs {
    /// The coordinator's folder; nothing may run in it.
    #[arg(long)]
    data_dir: PathBuf,
    /// The file to make. It is never written over another.
    #[arg(long)]
    out: PathBuf,
}

#[derive(Debug, Args)]
struct TakeOverArgs {
    #[command(flatten)]
    folder: Folder,
    /// The exported log.
    #[arg(long)]
    file: PathBuf,
}

/// Runs the program. What is wrong goes to standard error, as one line.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output with success.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    match execute(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "dvt-coordinator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Identity(folder) => {
            let address = key_of(&folder.data_dir)?.address();
            print(folder.json, &json!({ "address": address }), &address.to_string())
        }
        Command::Charter(args) => draft(&args),
        Command::Found(args) => found(&args),
        Command::Serve(args) => serve(&args),
        Command::Log(LogCommand::Verify(args)) => verify_log(&args),
        Command::Log(LogCommand::Export(args)) => export(&args),
        Command::Log(LogCommand::TakeOver(args)) => take_over(&args),
        Command::Observe(args) => observe::observe(&args),
        Command::Call(args) => observe::call(&args),
        Command::Report(command) => report::run(&command),
    }
}

fn print(as_json: bool, json: &serde_json::Value, text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    if as_json {
        writeln!(out, "{json}")?
    } else {
        writeln!(out, "{text}")?
    }
    Ok(())
}

fn key_of(folder: &Path) -> anyhow::Result<CoordinatorKey> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(CoordinatorKey::load_or_create(folder, &mut OsRng)?)
}

fn draft(args: &CharterArgs) -> anyhow::Result<()> {
    let network = match &args.network_config {
        Some(path) => read_json(path, "network")?,
        None => {
            let name = args.network.as_deref().unwrap_or_default();
            ChainSpec::builtin(name).with_context(|| format!("{name} is not built in"))?
        }
    };
    let policy = match policy::preset(&args.policy) {
        Some(policy) => policy,
        None => read_json(Path::new(&args.policy), "policy")?,
    };
    let charter = Charter {
        name: Text::new(&args.name)?,
        network,
        withdrawal_address: args.withdrawal_address,
        credentials: if args.compounding { Credentials::Compounding } else { Credentials::Execution },
        fee_recipient: args.fee_recipient,
        treasury: args.treasury,
        coordinator: args.coordinator,
        governance: Quorum::new(&args.governance, args.governance_needed)?,
        guardians: Quorum::new(&args.guardians, args.guardians_needed)?,
        contracts: args.vault.zip(args.deposit_contract).map(|(vault, deposits)| Contracts {
            vault,
            deposits,
            since: args.vault_since,
        }),
        timelock_s: args.timelock_s,
        policy,
    };
    charter.check()?;
    let path = args.out.display();
    let open = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&args.out);
    let mut file = open.with_context(|| format!("cannot make {path}"))?;
    let text = serde_json::to_string_pretty(&charter)?;
    writeln!(file, "{text}")
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write {path}"))?;
    let pool = charter.pool();
    print(args.json, &json!({ "pool": pool }), &format!("pool {pool}"))
}

/// Reads a document of governance. `what`: in a word.
fn read_json<T: DeserializeOwned>(path: &Path, what: &str) -> anyhow::Result<T> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("cannot read {shown}"))?;
    if file.metadata()?.len() > DOCUMENT_LEN_MAX {
        bail!("{shown} has more than {DOCUMENT_LEN_MAX} bytes: it is no {what}");
    }
    serde_json::from_reader(BufReader::new(file)).with_context(|| format!("{shown} is no {what}"))
}

fn found(args: &FoundArgs) -> anyhow::Result<()> {
    let charter: Charter = read_json(&args.charter, "charter")?;
    let key = key_of(&args.folder.data_dir)?;
    let office = Office::found(&args.folder.data_dir, key, charter, api::now())?;
    told(args.folder.json, office.ledger()?)
}

/// How long a log is, and what it leads to.
fn told(as_json: bool, ledger: &Ledger) -> anyhow::Result<()> {
    let head = ledger.head();
    let text = format!("pool {}\nentries {}\nroot {}\nstate {}", head.pool, head.size, head.root, head.state);
    print(as_json, &json!(head), &text)
}

fn verify_log(args: &VerifyArgs) -> anyhow::Result<()> {
    let ledger = match (&args.data_dir, &args.file) {
        (Some(folder), _) => verify_store(&LogStore::open(&folder.join(LOG_FOLDER))?)?,
        (None, Some(file)) => {
            let head = |path: &PathBuf| -> anyhow::Result<_> {
                let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
                let read = serde_json::from_slice::<Published>(&text);
                Ok(read.with_context(|| format!("{} is no head", path.display()))?.signed)
            };
            let heads: Vec<_> = args.head.iter().map(head).collect::<anyhow::Result<_>>()?;
            verify::finish(Audit::new(Replay::default(), &heads), None, lines(file)?)?
        }
        (None, None) => bail!("a folder or a file is needed"),
    };
    told(args.json, &ledger)
}

/// The entries of an exported log.
fn lines(path: &Path) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Vec<u8>>> + Send> {
    let cannot = format!("cannot read {}", path.display());
    let file = File::open(path).with_context(|| cannot.clone())?;
    Ok(BufReader::new(file).split(b'\n').map(move |line| line.with_context(|| cannot.clone())))
}

fn export(args: &ExportArgs) -> anyhow::Result<()> {
    let store = LogStore::open(&args.data_dir.join(LOG_FOLDER))?;
    verify_store(&store)?;
    let path = args.out.display();
    let open = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&args.out);
    let mut file = open.with_context(|| format!("cannot make {path}"))?;
    for entry in store.entries_from(0) {
        file.write_all(&entry?)
            .and_then(|()| file.write_all(b"\n"))
            .with_context(|| format!("cannot write {path}"))?;
    }
    file.sync_all().with_context(|| format!("cannot write {path}"))
}

fn take_over(args: &TakeOverArgs) -> anyhow::Result<()> {
    let log: Vec<_> = lines(&args.file)?.collect::<anyhow::Result<_>>()?;
    let key = key_of(&args.folder.data_dir)?;
    let office = Office::take_over(&args.folder.data_dir, key, &log)?;
    told(args.folder.json, office.ledger()?)
}

fn serve(args: &ServeArgs) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let key = CoordinatorKey::load(&args.data_dir)?;
    let office = Office::open(&args.data_dir, key)?;
    let (pool, entries) = (office.ledger()?.state().pool, office.ledger()?.tree().size());
    let nodes = match &args.beacon_node[..] {
        [] => None,
        urls => {
            let network = Arc::new(office.ledger()?.state().charter.network.clone());
            let execution = args.execution_node.as_deref().map(Execution::new).transpose()?;
            Some(Nodes { beacon: Beacon::new(urls, network, Limits::default())?, execution })
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(args.listen).await;
        let listener = listener.with_context(|| format!("cannot listen on {}", args.listen))?;
        tracing::info!(%pool, entries, address = %listener.local_addr()?, "in office");
        let office = Shared::new(office);
        let mut beside = vec![tokio::spawn(api::follow(office.clone()))];
        if let Some(nodes) = nodes {
            beside.push(tokio::spawn(liveness::run(office.clone(), nodes.beacon.clone())));
            beside.push(tokio::spawn(lookout::run(office.clone(), nodes)));
        }
        match Desk::open(&args.data_dir) {
            Ok(desk) => beside.push(tokio::spawn(desk.serve(office.clone()))),
            Err(error) => {
                tracing::warn!(%error, "there is no socket: nothing can be said to this office while it serves");
            }
        }
        let served = axum::serve(listener, api::router(office.clone()));
        // Who has a page open would hold the server up.
        let stopped = stopped_with(office.clone());
        served.with_graceful_shutdown(stopped).await.context("the server has failed")?;
        for task in beside {
            task.abort();
            // It ends with an error because it was told to end; the desk's socket is gone then.
            let _ = task.await;
        }
        if let Err(error) = office.with(|office| Ok(office.close()?)).await {
            tracing::warn!("no snapshot is kept: {error}");
        }
        Ok(())
    })
}

/// Until this program is asked to stop; who waits for news hears of it.
async fn stopped_with(office: Shared) {
    stopped().await;
    office.stop();
}

/// Until this program is asked to stop.
async fn stopped() {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .expect("a process may listen to its signals");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
