//! The command line of `devnet`, and of the processes that it runs itself as.

use crate::client::Client;
use crate::client::selections::Selecting;
use crate::exits::Exit;
use crate::faults::flags::FaultFlags;
use crate::faults::flood;
use crate::front::BeaconFault;
use crate::life::{self, LifeOrders};
use crate::pool::{Kill, Orders};
use crate::report::Report;
use crate::strict_chain::StrictOrders;
use crate::{lodestar_chain, network, sim_chain, strict_chain};
use anyhow::{Context as _, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use keys::keystores::{Passwords, read_folder};
use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;
use types::{Address, Fork};

/// A whole pool on one machine: a key ceremony, nodes, validator clients and a chain.
///
/// Example: devnet --slots 24 --kill 2@8
#[derive(Debug, Parser)]
#[command(name = "devnet", version)]
struct Cli {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    pool: PoolArgs,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// One of the devnet's own processes.
    #[command(hide = true)]
    Process {
        #[command(subcommand)]
        process: ProcessRole,
    },
}

#[derive(Debug, Subcommand)]
enum ProcessRole {
    /// `dvt-dkg`.
    #[command(disable_help_flag = true)]
    Dkg {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// `dvt-node`.
    #[command(disable_help_flag = true)]
    Node {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// `dvt-coordinator`.
    #[command(disable_help_flag = true)]
    Coordinator {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// A plain validator client.
    Client(ClientArgs),
    /// Garbage under an operator's node key.
    Flood(FloodArgs),
}

#[derive(Debug, Args)]
struct ClientArgs {
    /// Keystores and their passwords.
    #[arg(long)]
    keystores: PathBuf,
    /// The one beacon API it knows.
    #[arg(long)]
    url: String,
    /// Whom its blocks should pay.
    #[arg(long)]
    fee_recipient: Address,
    /// When it has its selection proofs combined; never outside distributed mode.
    #[arg(long, value_enum, default_value = "in-slot")]
    selections: Selecting,
}

#[derive(Debug, Args)]
struct FloodArgs {
    /// The operator's data folder.
    #[arg(long)]
    data_dir: PathBuf,
    /// Where the others look for the operator.
    #[arg(long)]
    listen: net::Multiaddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ChainKind {
    /// The toy chain in this process, with Electra's shapes.
    Sim,
    /// A strict beacon node at current forks.
    Strict,
    /// A real Lodestar beacon node and real validator clients, at Capella.
    Lodestar,
}

/// Forks that the strict chain may begin at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum GenesisFork {
    /// One attestation root per slot.
    Electra,
    /// Data availability sampling.
    Fulu,
}

/// A pool's life takes hundreds of epochs: they are as short as nodes can keep up with.
const LIFE_SECONDS_PER_SLOT: u64 = 1;
const LIFE_SLOTS_PER_EPOCH: u64 = 4;

/// Validators of the strict chain: with the minimal preset, two committees of four in every slot.
const STRICT_VALIDATORS: usize = 64;

#[derive(Debug, Args)]
struct PoolArgs {
    /// How many operators.
    #[arg(long, default_value_t = 4)]
    operators: usize,
    /// How many must sign.
    #[arg(long, default_value_t = 3)]
    threshold: usize,
    /// How many distributed validators.
    #[arg(long, default_value_t = 8)]
    validators: usize,
    /// Which chain.
    #[arg(long, value_enum, default_value = "sim")]
    chain: ChainKind,
    /// Which fork the strict chain begins at.
    #[arg(long, value_enum, default_value = "electra")]
    fork: GenesisFork,
    /// Validators of the strict chain that are not the cluster's; as many as make 64 together unless given.
    #[arg(long)]
    ordinary: Option<usize>,
    /// On the strict chain, ask every route of the beacon API of operator 1's node and of the beacon node, and compare.
    #[arg(long)]
    oracle: bool,
    /// How many slots to judge.
    #[arg(long, default_value_t = 24)]
    slots: u64,
    /// Length of a slot.
    #[arg(long, default_value_t = 2)]
    seconds_per_slot: u64,
    /// Slots of an epoch of the toy chain; mainnet has 32, in each of which so many fewer validators attest.
    #[arg(long, default_value_t = network::SLOTS_PER_EPOCH, value_parser = clap::value_parser!(u64).range(2..=64))]
    slots_per_epoch: u64,
    /// Validators of others on the toy chain: they sit in sync committees, where otherwise only the cluster's do, and do
    /// nothing. A real network has a million.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=1 << 40))]
    strangers: u64,
    /// Kill an operator's node (SIGKILL) when a slot begins: OPERATOR@SLOT. Repeat for more.
    #[arg(long = "kill")]
    kills: Vec<Kill>,
    /// Beacon nodes of each operator.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=4))]
    beacon_nodes: u8,
    /// Let an operator's first beacon node fail when a slot begins: OPERATOR:FAULT@SLOT, with killed, hung or lying.
    /// Repeat for more.
    #[arg(long = "beacon-fault")]
    beacon_faults: Vec<BeaconFault>,
    /// On the strict chain, give each node builders' blocks of a relay, which bids in every other slot.
    #[arg(long)]
    builder: bool,
    /// On the strict chain, let a validator of the cluster exit: VALIDATOR@SLOT, from 0; operators approve one after
    /// the other. Repeat for more.
    #[arg(long = "exit")]
    exits: Vec<Exit>,
    /// Run the pool's coordinator too.
    #[arg(long)]
    pool: bool,
    /// Import an Obol cluster (node0, node1, ... and the lock) instead of holding a ceremony, and export it in the end.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["operators", "threshold", "validators"])]
    import: Option<PathBuf>,
    /// Where all files of the run go; a new temporary folder unless given.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Where a chain's Node packages are installed, or will be.
    #[arg(long)]
    lodestar_dir: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    faults: FaultFlags,
}

impl PoolArgs {
    fn strict(&self) -> StrictOrders {
        let fork = match self.fork {
            GenesisFork::Electra => Fork::Electra,
            GenesisFork::Fulu => Fork::Fulu,
        };
        let rest = STRICT_VALIDATORS.saturating_sub(self.validators);
        StrictOrders {
            fork,
            ordinary: self.ordinary.unwrap_or(rest),
            oracle: self.oracle,
            builder: self.builder,
            exits: self.exits.clone(),
        }
    }
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
    if cli.role.is_some() {
        // A pool that is killed takes its processes along. The kernel's refusal would only leave an orphan.
        let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    }
    match cli.role {
        Some(Role::Process { process: ProcessRole::Dkg { args } }) => dkg::cli::run(named("dvt-dkg", args)),
        Some(Role::Process { process: ProcessRole::Node { args } }) => {
            dvt_node::cli::run(named("dvt-node", args))
        }
        Some(Role::Process { process: ProcessRole::Coordinator { args } }) => {
            coordinator::cli::run(named("dvt-coordinator", args))
        }
        Some(Role::Process { process: ProcessRole::Client(args) }) => end(run_client(args)),
        Some(Role::Process { process: ProcessRole::Flood(args) }) => end(run_flood(args)),
        None => end(run_pool(cli.pool)),
    }
}

fn named(name: &str, args: Vec<OsString>) -> impl Iterator<Item = OsString> + use<> {
    [OsString::from(name)].into_iter().chain(args)
}

fn end(result: anyhow::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

#[expect(clippy::print_stderr, reason = "the one sentence that a person sees when a command fails")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("devnet: {error:#}");
    ExitCode::FAILURE
}

fn start_logs() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // Fails only where a host program has its own logs already.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}

fn run_client(args: ClientArgs) -> anyhow::Result<ExitCode> {
    start_logs();
    let keystores = read_folder(&args.keystores, &Passwords::Beside)?;
    let halves =
        keystores.into_iter().map(|one| (one.secret.public(), one.secret.into_imported_half())).collect();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        Client::connect(&args.url, halves, args.fee_recipient, args.selections).await?.serve().await;
        Ok(ExitCode::SUCCESS)
    })
}

fn run_flood(args: FloodArgs) -> anyhow::Result<ExitCode> {
    start_logs();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(flood::run(&args.data_dir, args.listen))?;
    Ok(ExitCode::SUCCESS)
}

fn run_pool(args: PoolArgs) -> anyhow::Result<ExitCode> {
    if args.faults.any() && args.chain != ChainKind::Sim {
        bail!("faults of nodes and lines happen on the toy chain");
    }
    if args.import.is_none() {
        args.faults.check(args.operators, args.slots)?;
    }
    if args.oracle && (args.chain != ChainKind::Strict || args.slots < strict_chain::ORACLE_SLOT) {
        bail!("--oracle needs --chain strict and at least {} slots", strict_chain::ORACLE_SLOT);
    }
    if args.import.is_some() && args.chain != ChainKind::Sim {
        bail!("--import runs on the toy chain: the genesis of another would have to know the cluster's keys");
    }
    if let Some(kill) = args.kills.iter().find(|kill| !(1..=args.operators).contains(&kill.operator)) {
        bail!("--kill {}@{}: there is no operator {}", kill.operator, kill.slot, kill.operator);
    }
    if let Some(fault) =
        args.beacon_faults.iter().find(|fault| !(1..=args.operators).contains(&fault.operator))
    {
        bail!("--beacon-fault: there is no operator {}", fault.operator);
    }
    if (args.builder || !args.exits.is_empty()) && args.chain != ChainKind::Strict {
        bail!("--builder and --exit need --chain strict");
    }
    if args.slots_per_epoch != network::SLOTS_PER_EPOCH && args.chain != ChainKind::Sim {
        bail!("--slots-per-epoch is for the toy chain: the preset of the others has 8");
    }
    if args.strangers > 0 && args.chain != ChainKind::Sim {
        bail!("--strangers is for the toy chain; the strict one has --ordinary");
    }
    if !args.beacon_faults.is_empty() && args.chain == ChainKind::Lodestar {
        bail!("--beacon-fault runs on the toy chain and on the strict one");
    }
    start_logs();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if args.pool {
        return runtime.block_on(live(&args));
    }
    let report = runtime.block_on(async {
        tokio::select! {
            report = play(&args) => report,
            _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        }
    })?;
    let mut out = std::io::stdout();
    if args.json {
        writeln!(out, "{}", report.json())?;
    } else {
        writeln!(out, "{}", report.text())?;
    }
    Ok(if report.ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A pool's whole life. Errors: the first of its steps that did not come.
async fn live(args: &PoolArgs) -> anyhow::Result<ExitCode> {
    let temporary = tempfile::Builder::new().prefix("symbolon-devnet-").tempdir()?;
    let run_dir = args.data_dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let (seconds_per_slot, slots_per_epoch) = (LIFE_SECONDS_PER_SLOT, LIFE_SLOTS_PER_EPOCH);
    let orders = LifeOrders { run_dir, seconds_per_slot, slots_per_epoch };
    let lived = tokio::select! {
        lived = life::run(&orders) => lived?,
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
    };
    let mut out = std::io::stdout();
    if args.json {
        writeln!(out, "{}", serde_json::Value::Object(lived))?;
    } else {
        for (step, seen) in &lived {
            writeln!(out, "{step}: {seen}")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn play(args: &PoolArgs) -> anyhow::Result<Report> {
    let temporary = tempfile::Builder::new().prefix("symbolon-devnet-").tempdir()?;
    let run_dir = args.data_dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&run_dir).with_context(|| format!("cannot make {}", run_dir.display()))?;
    let orders = Orders {
        operators: args.operators,
        threshold: args.threshold,
        validators: args.validators,
        slots: args.slots,
        seconds_per_slot: args.seconds_per_slot,
        slots_per_epoch: args.slots_per_epoch,
        strangers: args.strangers,
        kills: args.kills.clone(),
        beacon_nodes: usize::from(args.beacon_nodes),
        beacon_faults: args.beacon_faults.clone(),
        faults: args.faults.clone(),
        import: args.import.clone(),
        run_dir,
        lodestar_dir: args.lodestar_dir.clone(),
    };
    let report = match args.chain {
        ChainKind::Sim => sim_chain::run(&orders).await,
        ChainKind::Lodestar => lodestar_chain::run(&orders).await,
        ChainKind::Strict => strict_chain::run(&orders, args.strict()).await,
    };
    if report.as_ref().map_or(true, |report| !report.ok()) && args.data_dir.is_none() {
        let kept = temporary.keep();
        tracing::warn!(folder = %kept.display(), "the run's files are kept");
    }
    report
}
