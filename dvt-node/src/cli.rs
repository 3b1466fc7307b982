//! The command line of `dvt-node`.

use crate::approve::exit::{ExitArgs, exit};
use crate::approve::registration::{self, SignArgs, StatusArgs};
use crate::bench::{self, Bench};
use crate::builder::BuilderFlags;
use crate::clock;
use crate::data_folder::Reading;
use crate::moving::export::{self, ExportArgs};
use crate::moving::import::{self, ImportArgs};
use crate::moving::resplit::{ResplitArgs, resplit};
use crate::moving::slashing_protection::{self, Config, wait};
use crate::record::RecordFlags;
use crate::record::replay::{self, ReplayArgs};
use crate::relay::{self, RelayArgs};
use crate::run::{self, RunConfig, TlsFiles};
use crate::stops::{OnDoppelganger, ResumeArgs, resume};
use anyhow::ensure;
use clap::{Args, Parser, Subcommand, ValueEnum};
use net::Multiaddr;
use serde::Serialize;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use types::Root;

/// One operator's node of a distributed validator cluster.
#[derive(Debug, Parser)]
#[command(name = "dvt-node", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the node between its beacon nodes and its validator client.
    ///
    /// Example: dvt-node run --data-dir /var/lib/symbolon --beacon-node http://127.0.0.1:5052
    Run(RunArgs),
    /// Move an operator of an Obol cluster in: lock, node key, keystores, and what was signed with them.
    ///
    /// Example: dvt-node import --obol .charon --data-dir /var/lib/symbolon --history slashing-protection.json
    Import(ImportArgs),
    /// Move this operator out, in the form of Obol's files. No node starts in the data folder afterwards.
    ///
    /// Joins both halves of every share. Example: dvt-node export --data-dir /var/lib/symbolon
    /// --keystores validator_keys --obol .charon
    Export(ExportArgs),
    /// Make new halves of every share: what was stolen of the old ones is worth nothing then.
    ///
    /// Example: dvt-node resplit --data-dir /var/lib/symbolon --keystores validator_keys --out new_validator_keys
    Resplit(ResplitArgs),
    /// Approve that a validator leaves, or show who does, beside the running node. When enough operators have approved
    /// one epoch, the exit is signed and handed in. An approval cannot be taken back.
    ///
    /// Example: dvt-node exit --data-dir /var/lib/symbolon --validator 0x93ab...
    /// --keymanager http://127.0.0.1:5062 --keymanager-token-file api-token.txt
    Exit(Box<ExitArgs>),
    /// Change whom blocks pay, beside the running node: when enough operators have approved a statement, it counts.
    #[command(subcommand)]
    Registration(Box<Registration>),
    /// Carry encrypted bytes between operators that cannot reach each other. Holds no share and reads no word of it.
    ///
    /// Example: dvt-node relay --data-dir /var/lib/symbolon-relay --allow-lock cluster-lock.json
    Relay(RelayArgs),
    /// Run what `run --record` has written through the same machine, and compare each of its wishes.
    ///
    /// Ends with success only if all are equal. Example: dvt-node replay record-3-1800000000000.symrec --slot 9000123
    Replay(ReplayArgs),
    /// Measure what this machine needs for a node's work.
    #[command(subcommand)]
    Bench(Bench),
    /// Show why this operator's node signs nothing, and let it sign again. The node must be stopped.
    ///
    /// Example: dvt-node resume --data-dir /var/lib/symbolon
    Resume(ResumeArgs),
    /// Bring the slashing-protection journal from and to other programs (EIP-3076), while the node is stopped.
    #[command(subcommand)]
    SlashingProtection(SlashingProtection),
}

#[derive(Debug, Subcommand)]
enum Registration {
    /// State whom blocks shall pay, or approve what another operator has stated. Cannot be taken back.
    ///
    /// Example: dvt-node registration sign --data-dir /var/lib/symbolon --keystores validator_keys
    /// --fee-recipient 0x86b8145c98e5bd25ba722645b15ed65f024a87ec
    Sign(SignArgs),
    /// Show which statements wait for approval, and what counts.
    ///
    /// Example: dvt-node registration status --json
    Status(StatusArgs),
}

#[derive(Debug, Subcommand)]
enum SlashingProtection {
    /// Add what was signed elsewhere to the journal.
    ///
    /// Counts what is under validators' keys, this operator's shares, or the keys of its validator client.
    ///
    /// Example: dvt-node slashing-protection import --data-dir /var/lib/symbolon --file history.json
    Import(InterchangeArgs),
    /// Write the journal to a new file. Do not start this node again once another has taken over.
    ///
    /// Example: dvt-node slashing-protection export --data-dir /var/lib/symbolon --file history.json
    Export(InterchangeArgs),
    /// Go without a history: validators of which the journal knows nothing sign nothing for two whole epochs.
    ///
    /// Example: dvt-node slashing-protection wait --data-dir /var/lib/symbolon
    Wait(WaitArgs),
}

/// How logs look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The operator's data folder, as the ceremony made it.
    #[arg(long, env = "SYMBOLON_DATA_DIR")]
    data_dir: PathBuf,
    /// A beacon node's URL; the best first. Repeat for more.
    #[arg(
        long = "beacon-node",
        required = true,
        env = "SYMBOLON_BEACON_NODES",
        hide_env_values = true,
        value_delimiter = ','
    )]
    beacon_nodes: Vec<String>,
    /// Where the validator client connects.
    #[arg(long, default_value = "127.0.0.1:3600")]
    validator_api: SocketAddr,
    /// Serve the validator client over TLS, with this certificate chain (PEM).
    #[arg(long, value_name = "FILE", requires = "validator_api_tls_key")]
    validator_api_tls_cert: Option<PathBuf>,
    /// The private key of that certificate (PEM), readable by its owner only.
    #[arg(long, value_name = "FILE", requires = "validator_api_tls_cert")]
    validator_api_tls_key: Option<PathBuf>,
    /// Serve only who shows the bearer token in this file, readable by its owner only.
    #[arg(long, value_name = "FILE")]
    validator_api_token_file: Option<PathBuf>,
    /// Where the other operators connect, as a multiaddress. Repeat for more.
    #[arg(long, default_value = "/ip4/0.0.0.0/tcp/3610")]
    listen: Vec<Multiaddr>,
    /// A relay to be reached through, and to reach others through, as it prints its address. Repeat for more.
    #[arg(long = "relay", value_name = "MULTIADDR")]
    relays: Vec<Multiaddr>,
    /// Where metrics are served, and what became of each duty: docs/outcomes.md.
    #[arg(long)]
    metrics: Option<SocketAddr>,
    /// An operator's address beside those of peers.toml: ENR=MULTIADDR. Repeat for more.
    #[arg(long = "peer", value_parser = net::peers_file::parse_flag)]
    peers: Vec<(String, Multiaddr)>,
    /// A network that is not built in: a JSON file with its parameters.
    #[arg(long)]
    network_config: Option<PathBuf>,
    /// The password of the node's halves; without it, the file that the ceremony made.
    #[arg(long)]
    password_file: Option<PathBuf>,
    /// Accept that the validator client's keystores lie in the data folder too.
    #[arg(long)]
    same_host: bool,
    /// The words in blocks that this operator leads, at most 32 bytes.
    #[arg(long, default_value = "symbolon", value_parser = parse_graffiti)]
    graffiti: Root,
    /// What to do when a validator acts on the chain though nobody of this cluster signed for it.
    #[arg(long, value_enum, default_value = "stop")]
    doppelganger: OnDoppelganger,
    #[command(flatten)]
    builder: BuilderFlags,
    #[command(flatten)]
    record: RecordFlags,
    /// How logs look.
    #[arg(long, value_enum, default_value = "human")]
    log_format: LogFormat,
}

#[derive(Debug, Args)]
struct InterchangeArgs {
    /// The operator's data folder, as the ceremony made it.
    #[arg(long, env = "SYMBOLON_DATA_DIR")]
    data_dir: PathBuf,
    /// The interchange file.
    #[arg(long)]
    file: PathBuf,
    /// A network that is not built in: a JSON file with its parameters.
    #[arg(long)]
    network_config: Option<PathBuf>,
    /// The password of the node's halves, which tell the client's keys; without it, the file that the ceremony made.
    #[arg(long)]
    password_file: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct WaitArgs {
    /// The operator's data folder.
    #[arg(long, env = "SYMBOLON_DATA_DIR")]
    data_dir: PathBuf,
    /// A network that is not built in: a JSON file with its parameters.
    #[arg(long)]
    network_config: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl InterchangeArgs {
    fn config(&self) -> Config {
        let reading = Reading::of_command(&self.network_config, &self.password_file);
        Config { data_dir: self.data_dir.clone(), file: self.file.clone(), reading }
    }
}

fn parse_graffiti(text: &str) -> Result<Root, String> {
    let mut bytes = [0; 32];
    let room = bytes.get_mut(..text.len()).ok_or("longer than 32 bytes")?;
    room.copy_from_slice(text.as_bytes());
    Ok(Root(bytes))
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
        Command::Run(args) => {
            start_logs(args.log_format);
            run_node(args)
        }
        Command::Import(args) => {
            import::import(&args, clock::now()).and_then(|imported| print(&imported, args.json))
        }
        Command::Export(args) => export::export(&args).and_then(|exported| print(&exported, args.json)),
        Command::Replay(args) => run_replay(&args),
        Command::Bench(Bench::Signing(args)) => {
            bench::signing(&args).and_then(|report| print(&report, args.json))
        }
        Command::Resume(args) => resume(&args).and_then(|resumed| print(&resumed, args.json)),
        Command::Resplit(args) => resplit(&args).and_then(|done| print(&done, args.json)),
        Command::Exit(args) => exit(&args, clock::now()).and_then(|exits| print(&exits, args.json)),
        Command::Registration(command) => run_registration(&command),
        Command::Relay(args) => {
            start_logs(LogFormat::Human);
            until_signal(|stop| relay::run(args, stop))
        }
        Command::SlashingProtection(SlashingProtection::Wait(args)) => {
            let reading = Reading::of_command(&args.network_config, &None);
            wait(&args.data_dir, &reading, clock::now()).and_then(|waiting| print(&waiting, args.json))
        }
        Command::SlashingProtection(SlashingProtection::Import(args)) => {
            slashing_protection::import(&args.config(), clock::now())
                .and_then(|imported| print(&imported, args.json))
        }
        Command::SlashingProtection(SlashingProtection::Export(args)) => {
            slashing_protection::export(&args.config()).and_then(|exported| print(&exported, args.json))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn run_replay(args: &ReplayArgs) -> anyhow::Result<()> {
    let replayed = replay::run(args)?;
    print(&replayed, args.json)?;
    ensure!(replayed.is_equal(), "this machine does not do what was recorded");
    Ok(())
}

fn run_registration(command: &Registration) -> anyhow::Result<()> {
    match command {
        Registration::Sign(args) => {
            let signed = registration::sign(args, clock::now(), |words| {
                if !args.json {
                    // Said again when it is done; a closed output is nobody's loss.
                    let _ = writeln!(std::io::stdout(), "signing: {words}");
                }
            })?;
            print(&signed, args.json)
        }
        Registration::Status(args) => registration::status(args).and_then(|status| print(&status, args.json)),
    }
}

#[expect(clippy::print_stderr, reason = "the one sentence that an operator sees when a command fails")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("dvt-node: {error:#}");
    ExitCode::FAILURE
}

/// Prints a result: words for people, one line of JSON for programs.
fn print(result: &(impl Display + Serialize), json: bool) -> anyhow::Result<()> {
    let text = if json { serde_json::to_string(result)? } else { result.to_string() };
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

fn start_logs(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Fails only where a host program has its own logs already.
    let _ = match format {
        LogFormat::Human => logs.try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    };
}

fn run_node(args: RunArgs) -> anyhow::Result<()> {
    let config = RunConfig {
        data_dir: args.data_dir,
        reading: Reading {
            network_config: args.network_config,
            password_file: args.password_file,
            same_host: args.same_host,
        },
        beacon_nodes: args.beacon_nodes,
        validator_api: args.validator_api,
        validator_api_tls: args
            .validator_api_tls_cert
            .zip(args.validator_api_tls_key)
            .map(|(certificate, key)| TlsFiles { certificate, key }),
        validator_api_token: args.validator_api_token_file,
        listen: args.listen,
        relays: args.relays,
        metrics: args.metrics,
        peers: args.peers,
        graffiti: args.graffiti,
        builder: args.builder.config(),
        on_doppelganger: args.doppelganger,
        record: args.record.config(),
    };
    until_signal(|stop| run::run(config, stop))
}

/// Runs a daemon until the process is asked to end.
fn until_signal<W: Future<Output = anyhow::Result<()>>>(
    daemon: impl FnOnce(CancellationToken) -> W,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        tokio::spawn(stop_on_signal(stop.clone()));
        daemon(stop).await
    })
}

async fn stop_on_signal(stop: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    stop.cancel();
}
