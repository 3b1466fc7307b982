//! `dvt-dkg split`: a dealer, for keys that exist already.
//!
//! One process has the whole keys, and makes of them what a ceremony would: a lock, and a data folder for each operator.
//! Whoever runs it could keep the keys, so it is for migration and tests; a new validator is made by a ceremony.

use crate::ceremony::{Halves, Outcome, ReadyDefinition, SealedLock, SealedValidator, Sealing as _};
use crate::define::one_each;
use crate::network;
use crate::outcome::Place;
use anyhow::{Context as _, bail, ensure};
use clap::Args;
use cluster::define::{NewAddresses, NewDefinition, TARGET_GAS_LIMIT};
use cluster::deposit::ETH;
use cluster::{Lock, Network, Networks, Version, folder};
use crypto::aggregate;
use keys::files::{PUBLIC, Staging, WriteError, write_new};
use keys::identity::{KEY_FILE, NodeKey};
use keys::keystores::{Passwords, read_folder};
use keys::secret_file::read_password;
use keys::shamir::deal;
use keys::{SecretShare, split as split_share};
use rand_core::OsRng;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use types::{ClusterSize, Gwei, PublicKey, ShareIndex, SigningRoot, ValidatorNo};

/// The network of a split that names none: keys that are worth money are split for a network on purpose.
const DEFAULT_NETWORK: &str = "hoodi";
/// Takes what a split that names no address does not say: nobody's. Refused where deposits are worth money.
const NOBODY: &str = "0x0000000000000000000000000000000000000000";

/// What `dvt-dkg split` is told.
#[derive(Clone, Debug, Args)]
pub struct SplitArgs {
    /// EIP-2335 keystores of whole keys, each beside its password in a .txt of the same name.
    #[arg(long)]
    pub keystore_dir: PathBuf,
    /// One password for all of them, instead.
    #[arg(long)]
    pub password_file: Option<PathBuf>,
    /// How many operators.
    #[arg(long)]
    pub operators: usize,
    /// How many of them must sign.
    #[arg(long)]
    pub threshold: usize,
    /// The folder to make: operator-1, operator-2, ... and the lock.
    #[arg(long)]
    pub out: PathBuf,
    /// The cluster's name.
    #[arg(long, default_value = "split")]
    pub name: String,
    /// A built-in network; hoodi unless one is named.
    #[arg(long)]
    pub network: Option<String>,
    /// A network that is not built in: a JSON file with its parameters.
    #[arg(long, conflicts_with = "network")]
    pub network_config: Option<PathBuf>,
    /// Where the validators' deposits are paid back to, in EIP-55 form; one for all or one each, by keystore.
    #[arg(long = "withdrawal-address")]
    pub withdrawal_addresses: Vec<String>,
    /// Takes priority fees; one for all or one each. Without it, fees go to nobody.
    #[arg(long = "fee-recipient-address")]
    pub fee_recipient_addresses: Vec<String>,
    /// The validators have withdrawal credentials 0x02.
    #[arg(long)]
    pub compounding: bool,
    /// Write deposit files of these amounts in whole ETH too, for keys that have no deposit yet.
    #[arg(long = "deposit-amount", num_args = 1..)]
    pub deposit_amounts: Vec<u64>,
    /// These keys have never signed: their operators need no slashing-protection history.
    #[arg(long)]
    pub new_keys: bool,
    /// The format of the lock.
    #[arg(long, default_value = "v1.10.0", value_parser = crate::define::parse_version)]
    pub format: Version,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// One key's shares, in order of operator.
type Dealt = Vec<(ShareIndex, SecretShare)>;

/// What a split made.
#[derive(Clone, Debug)]
pub struct Split {
    /// The lock's hash: the cluster's id.
    pub lock_hash: types::Root,
    /// The validators, in order of their keystores.
    pub validators: Vec<PublicKey>,
    /// One data folder an operator.
    pub folders: Vec<PathBuf>,
    /// What the dealer must know.
    pub warnings: Vec<String>,
}

/// Splits keys and writes everything, or nothing.
pub fn split(args: &SplitArgs) -> anyhow::Result<Split> {
    let exists = || WriteError::Exists(args.out.clone());
    ensure!(args.out.symlink_metadata().is_err(), exists());
    let size = ClusterSize::new_safe(args.operators, args.threshold)?;
    let passwords = match &args.password_file {
        Some(path) => Passwords::One(read_password(path)?),
        None => Passwords::Beside,
    };
    let keys = read_folder(&args.keystore_dir, &passwords)?;
    let keys: Vec<SecretShare> = keys.into_iter().map(|one| one.secret).collect();
    let (network, network_file) = match (&args.network, &args.network_config) {
        (None, None) => network::choose(Some(DEFAULT_NETWORK), None)?,
        (name, config) => network::choose(name.as_deref(), config.as_deref())?,
    };
    let staging = Staging::begin(&args.out)?;
    let lock_hash = deal_into(staging.path(), args, size, (&network, network_file), &keys)?;
    staging.finish()?;
    Ok(Split {
        lock_hash,
        validators: keys.iter().map(SecretShare::public).collect(),
        folders: size.indices().map(|index| args.out.join(folder_name(index))).collect(),
        warnings: warnings(args),
    })
}

fn folder_name(index: ShareIndex) -> String {
    format!("operator-{index}")
}

fn warnings(args: &SplitArgs) -> Vec<String> {
    let mut warnings = vec![
        "the whole keys were in this process: destroy every other copy of them, and stop every validator client \
         that has them, before a node of this cluster starts; the same key in two places gets slashed"
            .to_owned(),
    ];
    if args.network.is_none() && args.network_config.is_none() {
        warnings.push(format!("no --network: these are keys of {DEFAULT_NETWORK}"));
    }
    warnings.push(
        "the operators' nodes do not know each other's addresses: give each --peer ENR=MULTIADDR of the others, or \
         write peers.toml"
            .to_owned(),
    );
    if args.fee_recipient_addresses.is_empty() {
        warnings.push("no --fee-recipient-address: this cluster's fees would go to nobody".to_owned());
    }
    if !args.new_keys {
        warnings.push(
            "no node of this cluster starts before it has the keys' signing history: \
             dvt-node slashing-protection import --data-dir DIR --file FILE, with the old client's export"
                .to_owned(),
        );
    }
    warnings
}

/// Everything that a split writes, into a folder that nobody knows yet.
fn deal_into(
    folder: &Path,
    args: &SplitArgs,
    size: ClusterSize,
    (network, network_file): (&Network, Option<Vec<u8>>),
    keys: &[SecretShare],
) -> anyhow::Result<types::Root> {
    let mut nodes = Vec::new();
    for index in size.indices() {
        let data_dir = folder.join(folder_name(index));
        std::fs::create_dir(&data_dir).with_context(|| format!("cannot make {}", data_dir.display()))?;
        nodes.push(NodeKey::create_new(&data_dir.join(KEY_FILE), &mut OsRng)?);
    }
    let networks = Networks::public().with(network.clone());
    let definition = new_definition(args, network, &nodes, keys.len())?.define()?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    // Builders keep the newest registration of a key, and these keys may have some.
    let ready = ReadyDefinition::new(definition.clone(), &networks)?.registered_at(now);

    let dealt: Vec<Dealt> = keys.iter().map(|key| deal(key, size, &mut OsRng)).collect();
    let sealed = seal(&ready, keys, &dealt, &nodes)?;
    let documents = ready.documents(&sealed);
    let lock = documents.last().context("a lock is always written")?;
    let lock = Lock::parse(&lock.bytes)?;
    if let Some(check) = lock.check(&networks).into_iter().find(|check| !check.holds()) {
        bail!("the lock that was made does not hold: {}: {}", check.name, check.detail);
    }
    let mut halves: Vec<Vec<Halves>> = nodes.iter().map(|_| Vec::new()).collect();
    for (index, share) in dealt.into_iter().flatten() {
        let (vc, node) = split_share(share, &mut OsRng);
        halves[index.position()].push(Halves { vc, node });
    }
    for (index, halves) in size.indices().zip(halves) {
        let place = Place {
            data_dir: folder.join(folder_name(index)),
            password_file: None,
            definition: definition.to_json(),
            network: network_file.clone(),
            peers: String::new(),
            keymanager: None,
        };
        if !args.new_keys {
            write_new(&place.data_dir.join(folder::HISTORY_WANTED), folder::HISTORY_WANTED_WORDS, PUBLIC)?;
        }
        let mut documents = documents.clone();
        documents.retain(|one| one.name == folder::LOCK || !args.deposit_amounts.is_empty());
        place.write(Outcome { lock: sealed.clone(), documents, halves })?;
    }
    write_new(&folder.join(folder::LOCK), lock.to_json().as_bytes(), PUBLIC)?;
    Ok(sealed.lock_hash)
}

fn new_definition(
    args: &SplitArgs,
    network: &Network,
    nodes: &[NodeKey],
    validators: usize,
) -> anyhow::Result<NewDefinition> {
    let given = |given: &[String], flag| match given {
        [] => Ok(vec![NOBODY.to_owned(); validators]),
        given => one_each(given, validators, flag),
    };
    let withdrawals = given(&args.withdrawal_addresses, "--withdrawal-address")?;
    let fees = given(&args.fee_recipient_addresses, "--fee-recipient-address")?;
    ensure!(
        !network.holds_money() || !args.fee_recipient_addresses.is_empty(),
        "--fee-recipient-address is missing: on {} fees are worth money",
        network.name
    );
    let addresses = |(withdrawal, fee_recipient)| NewAddresses { fee_recipient, withdrawal };
    Ok(NewDefinition {
        version: args.format,
        name: args.name.clone(),
        operators: nodes.iter().map(|node| node.enr().parse()).collect::<Result<_, _>>()?,
        threshold: args.threshold,
        validators: withdrawals.into_iter().zip(fees).map(addresses).collect(),
        network: network.clone(),
        deposit_amounts: args.deposit_amounts.iter().map(|eth| Gwei(eth.saturating_mul(ETH.0))).collect(),
        compounding: args.compounding,
        target_gas_limit: TARGET_GAS_LIMIT,
        uuid: uuid::Uuid::new_v4(),
        timestamp: time::OffsetDateTime::from(SystemTime::now()).replace_nanosecond(0)?,
    })
}

/// What a ceremony's seal and lock steps would have made: signatures of whole keys are those that shares combine to.
fn seal(
    ready: &ReadyDefinition,
    keys: &[SecretShare],
    dealt: &[Dealt],
    nodes: &[NodeKey],
) -> anyhow::Result<SealedLock> {
    let sealed = |(number, (key, shares)): (u32, (&SecretShare, &Dealt))| {
        let group = key.public();
        let roots = ready.signing_roots(ValidatorNo(number), &group);
        SealedValidator {
            group,
            public_shares: shares.iter().map(|(_, share)| share.public()).collect(),
            signatures: roots.iter().map(|root| key.sign(root)).collect(),
        }
    };
    let validators: Vec<_> = (0..).zip(keys.iter().zip(dealt)).map(sealed).collect();
    let lock_hash = ready.lock_hash(&validators);
    let root = SigningRoot::lock_hash(lock_hash);
    let signed: Vec<_> = dealt.iter().flatten().map(|(_, share)| share.sign(&root)).collect();
    Ok(SealedLock {
        lock_hash,
        validators,
        signature_aggregate: aggregate(&signed)?,
        node_signatures: nodes.iter().map(|node| node.sign_prehash_recoverable(&lock_hash.0)).collect(),
    })
}
