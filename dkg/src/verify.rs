//! `dvt-dkg verify`: every rule that a cluster's files must obey, a line each.

use crate::{evidence_file, network};
use anyhow::{Context as _, ensure};
use clap::Args;
use cluster::check::{check_deposits, check_exit};
use cluster::{Check, ContractAnswers, ContractClaim, Definition, Lock, Networks, Verdict, deposit, exit};
use remote::execution::Execution;
use serde_json::{Value, json};
use std::fmt;
use std::path::{Path, PathBuf};
use types::PublicKey;

/// What `dvt-dkg verify` is told.
#[derive(Clone, Debug, Default, Args)]
pub struct VerifyArgs {
    /// A cluster lock.
    #[arg(long, conflicts_with = "definition")]
    pub lock: Option<PathBuf>,
    /// A cluster definition.
    #[arg(long)]
    pub definition: Option<PathBuf>,
    /// A deposit file; with --lock it must be of that lock. Repeat for more.
    #[arg(long, num_args = 1..)]
    pub deposit_data: Vec<PathBuf>,
    /// A voluntary exit of one of the lock's validators. Repeat for more.
    #[arg(long, num_args = 1.., requires = "lock", conflicts_with = "hashes_only")]
    pub exit: Vec<PathBuf>,
    /// Evidence of what an operator did wrong in a ceremony; judged by the definition. Repeat for more.
    #[arg(long, num_args = 1.., conflicts_with = "hashes_only")]
    pub evidence: Vec<PathBuf>,
    /// Verify hashes only: for files whose keys and signatures are made up.
    #[arg(long)]
    pub hashes_only: bool,
    /// Accept signatures that only a contract wallet could make valid.
    #[arg(long)]
    pub allow_contract_wallets: bool,
    /// An execution node's JSON-RPC: contract wallets are asked whether a signature is theirs (ERC-1271).
    #[arg(long, value_name = "URL", env = "SYMBOLON_EXECUTION_RPC", hide_env_values = true)]
    pub execution_rpc: Option<String>,
    /// A network that is not built in: a JSON file with its parameters.
    #[arg(long)]
    pub network_config: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// What was found out about some files.
#[derive(Clone, Debug)]
pub struct Verification {
    files: Vec<Verified>,
    allow_contract_wallets: bool,
}

/// What was found out about one file.
#[derive(Clone, Debug)]
struct Verified {
    file: PathBuf,
    version: Option<String>,
    checks: Vec<Check>,
}

/// A file that could be read as what it is said to be, or the check that says why not.
type Parsed<T> = Result<T, Check>;

/// A lock or a definition.
enum Agreed {
    Lock(Box<Lock>),
    Definition(Box<Definition>),
}

impl Agreed {
    fn definition(&self) -> &Definition {
        match self {
            Self::Lock(lock) => lock.definition(),
            Self::Definition(definition) => definition,
        }
    }
}

/// Reads and checks what the command line names.
///
/// - A file that is broken, however badly, is a finding; an error is a file that cannot be read at all, or an execution
///   node of another chain. One that does not answer leaves signatures unverified.
///
/// # Panics
/// Inside of an asynchronous runtime, if an execution node is asked.
pub fn verify(args: &VerifyArgs) -> anyhow::Result<Verification> {
    let agreed = args.lock.as_ref().or(args.definition.as_ref());
    ensure!(
        agreed.is_some() || !args.deposit_data.is_empty(),
        "nothing to verify: name a file by --lock, --definition or --deposit-data"
    );
    let networks = network::known(args.network_config.as_deref())?;
    let mut files = Vec::new();
    ensure!(
        agreed.is_some() || args.evidence.is_empty(),
        "evidence is judged by the definition of its ceremony: name it by --definition"
    );
    let mut lock = None;
    if let Some(path) = agreed {
        let parsed = read_agreed(path, args.lock.is_some())?;
        files.push(verify_agreed(path, &parsed, args, &networks)?);
        for path in &args.evidence {
            files.push(verify_evidence(path, parsed.as_ref().ok(), &networks)?);
        }
        lock = parsed.ok().and_then(|agreed| if let Agreed::Lock(lock) = agreed { Some(lock) } else { None });
    }
    for path in &args.deposit_data {
        files.push(verify_deposits(path, lock.as_deref(), args, &networks)?);
    }
    for path in &args.exit {
        files.push(verify_exit(path, lock.as_deref(), args)?);
    }
    Ok(Verification { files, allow_contract_wallets: args.allow_contract_wallets })
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn broken(name: &'static str, detail: impl ToString) -> Check {
    Check { name, verdict: Verdict::Broken, detail: detail.to_string() }
}

fn read_agreed(path: &Path, lock: bool) -> anyhow::Result<Parsed<Agreed>> {
    let bytes = read(path)?;
    Ok(if lock {
        let lock = Lock::parse(&bytes).map_err(|error| broken(error.rule(), error));
        lock.map(|lock| Agreed::Lock(Box::new(lock)))
    } else {
        let definition = Definition::parse(&bytes).map_err(|error| broken(error.rule(), error));
        definition.map(|definition| Agreed::Definition(Box::new(definition)))
    })
}

fn verify_agreed(
    path: &Path,
    parsed: &Parsed<Agreed>,
    args: &VerifyArgs,
    networks: &Networks,
) -> anyhow::Result<Verified> {
    let file = path.to_owned();
    let agreed = match parsed {
        Ok(agreed) => agreed,
        Err(check) => return Ok(Verified { file, version: None, checks: vec![check.clone()] }),
    };
    let definition = agreed.definition();
    let answers = match &args.execution_rpc {
        Some(url) if !args.hashes_only => ask_contracts(url, definition, networks)?,
        _ => ContractAnswers::default(),
    };
    let checks = match (agreed, args.hashes_only) {
        (Agreed::Lock(lock), true) => lock.check_hashes(),
        (Agreed::Lock(lock), false) => lock.check_with(networks, &answers),
        (Agreed::Definition(definition), true) => definition.check_hashes(),
        (Agreed::Definition(definition), false) => definition.check_with(networks, &answers),
    };
    Ok(Verified { file, version: Some(definition.version().to_string()), checks })
}

/// Asks the wallets' contracts about every signature that no key made.
fn ask_contracts(url: &str, definition: &Definition, networks: &Networks) -> anyhow::Result<ContractAnswers> {
    let mut answers = ContractAnswers::default();
    let claims = definition.contract_claims(networks);
    if claims.is_empty() {
        return Ok(answers);
    }
    let version = definition.fork_version();
    let network = networks.by_fork_version(version).context("claims are made on known networks only")?;
    let node = Execution::new(url)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let chain = match node.chain_id().await {
            Ok(chain) => chain,
            Err(error) => {
                let words = format!("the execution node at {}: {error}", node.label());
                claims.into_iter().for_each(|claim| answers.unanswered(claim, words.clone()));
                return Ok(answers);
            }
        };
        ensure!(
            chain == network.chain_id,
            "--execution-rpc is of chain {chain}, the wallets of {} are on chain {}",
            network.name,
            network.chain_id
        );
        for claim in claims {
            let ContractClaim { wallet, digest, signature, .. } = &claim;
            match node.is_valid_signature(*wallet, *digest, signature).await {
                Ok(valid) => answers.record(claim, valid),
                Err(error) => {
                    let words = format!("the execution node at {}: {error}", node.label());
                    answers.unanswered(claim, words);
                }
            }
        }
        Ok(answers)
    })
}

fn verify_deposits(
    path: &Path,
    lock: Option<&Lock>,
    args: &VerifyArgs,
    networks: &Networks,
) -> anyhow::Result<Verified> {
    let entries = match deposit::parse_file(&read(path)?) {
        Ok(entries) => entries,
        Err(error) => return Ok(one(path, broken("json", error))),
    };
    let mut checks = check_deposits(&entries, networks);
    if args.hashes_only {
        checks.retain(|check| check.name == "deposit_roots");
    }
    checks.extend(lock.map(|lock| lock.check_deposit_file(&entries)));
    Ok(Verified { file: path.to_owned(), version: None, checks })
}

fn verify_exit(path: &Path, lock: Option<&Lock>, args: &VerifyArgs) -> anyhow::Result<Verified> {
    let exit = match exit::parse_file(&read(path)?) {
        Ok(exit) => exit,
        Err(error) => return Ok(one(path, broken("json", error))),
    };
    let Some(lock) = lock else { return Ok(one(path, broken("exit_signature", "the lock cannot be read"))) };
    let spec = network::spec(lock.definition().fork_version(), args.network_config.as_deref())?;
    let keys: Vec<PublicKey> = lock.group_keys().collect();
    Ok(one(path, check_exit(&exit, &spec, &keys)))
}

fn verify_evidence(path: &Path, agreed: Option<&Agreed>, networks: &Networks) -> anyhow::Result<Verified> {
    let bytes = read(path)?;
    let Some(agreed) = agreed else {
        return Ok(one(path, broken("evidence_definition", "the definition cannot be read")));
    };
    let checks = evidence_file::check(&bytes, agreed.definition(), networks);
    Ok(Verified { file: path.to_owned(), version: None, checks })
}

fn one(path: &Path, check: Check) -> Verified {
    Verified { file: path.to_owned(), version: None, checks: vec![check] }
}

impl Verification {
    /// Whether everything that was checked holds, or is a contract's signature and those are accepted.
    pub fn ok(&self) -> bool {
        self.failed().next().is_none()
    }

    /// The first check that does not hold, in words: what a command that fails says.
    pub fn complaint(&self) -> Option<String> {
        let (file, check) = self.failed().next()?;
        let advice = match check.verdict {
            Verdict::Unverified => "; --execution-rpc URL asks one, --allow-contract-wallets goes without",
            Verdict::Holds | Verdict::Broken => "",
        };
        Some(format!("{}: {}: {}{advice}", file.display(), check.name, check.detail))
    }

    fn failed(&self) -> impl Iterator<Item = (&Path, &Check)> {
        let each =
            self.files.iter().flat_map(|one| one.checks.iter().map(|check| (one.file.as_path(), check)));
        each.filter(|(_, check)| !self.accepts(check))
    }

    fn accepts(&self, check: &Check) -> bool {
        match check.verdict {
            Verdict::Holds => true,
            Verdict::Unverified => self.allow_contract_wallets,
            Verdict::Broken => false,
        }
    }

    /// For machines: `ok`, `file` and `version` of the first file, and every check with its file.
    pub fn json(&self) -> Value {
        let check = |file: &Path, check: &Check| {
            json!({
                "name": check.name, "ok": self.accepts(check), "verdict": word(check.verdict).to_lowercase(),
                "detail": check.detail, "file": file.display().to_string(),
            })
        };
        let checks = self.files.iter().flat_map(|one| one.checks.iter().map(|found| check(&one.file, found)));
        let first = self.files.first();
        json!({
            "ok": self.ok(),
            "file": first.map(|one| one.file.display().to_string()),
            "version": first.and_then(|one| one.version.as_deref()),
            "checks": checks.collect::<Vec<_>>(),
        })
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "ok",
        Verdict::Unverified => "unverified",
        Verdict::Broken => "FAILED",
    }
}

impl fmt::Display for Verification {
    /// A head for each file, a verdict a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Verified { file, version, checks }) in self.files.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            let version = version.as_ref().map(|version| format!(" ({version})")).unwrap_or_default();
            write!(f, "{}{version}", file.display())?;
            for Check { name, verdict, detail } in checks {
                write!(f, "\n  {:<10}  {name:<22}  {detail}", word(*verdict))?;
            }
        }
        Ok(())
    }
}
