//! `dvt-node exit`: this operator approves that a validator leaves, or looks who does.

use super::{FolderArgs, NodeArgs, Site, ask, listed};
use crate::validator_api::approvals::{EXITS, ExitEntry, ExitList, Who};
use anyhow::{Context as _, bail, ensure};
use clap::Args;
use crypto::PublicKeyPoint;
use keys::secret_file::read_password;
use remote::flags::KeymanagerFlags;
use remote::{Keymanager, OwnNode};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use types::operations::{SignedVoluntaryExit, VoluntaryExit};
use types::{Epoch, Millis, PublicKey, Signature, SigningRoot, ValidatorIndex, ValidatorNo};

/// What `dvt-node exit` is told.
#[derive(Clone, Debug, Args)]
pub struct ExitArgs {
    /// The operator's folder.
    #[command(flatten)]
    pub folder: FolderArgs,
    /// The running node.
    #[command(flatten)]
    pub node: NodeArgs,
    /// Who leaves: the validator's key, or the one that the validator client has for it.
    #[arg(long, value_name = "PUBKEY", required_unless_present = "status")]
    pub validator: Option<PublicKey>,
    /// Not before this epoch. Without it, the one that most operators have approved; if there is none, the current one.
    #[arg(long, conflicts_with = "status")]
    pub epoch: Option<u64>,
    /// Have this validator client sign its half, by its keymanager API.
    #[arg(long, value_name = "URL", requires = "keymanager_token_file", conflicts_with = "keystores")]
    pub keymanager: Option<String>,
    /// The token of the keymanager API, in a file.
    #[arg(long, value_name = "FILE", requires = "keymanager")]
    pub keymanager_token_file: Option<PathBuf>,
    /// Let the token travel in clear to another host.
    #[arg(long, requires = "keymanager")]
    pub keymanager_plain_http: bool,
    /// Sign with the client's half in this folder of keystores and their passwords.
    #[arg(long, value_name = "DIR")]
    pub keystores: Option<PathBuf>,
    /// Approve nothing, only show who has.
    #[arg(long, conflicts_with_all = ["keymanager", "keystores"])]
    pub status: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// An exit and who approves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exit {
    /// Who leaves.
    pub pubkey: PublicKey,
    /// The exit.
    #[serde(flatten)]
    pub entry: ExitEntry,
}

/// The exits that operators approve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exits {
    /// Who approve.
    #[serde(flatten)]
    pub who: Who,
    /// What.
    pub exits: Vec<Exit>,
}

impl fmt::Display for Exits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Who { threshold, operator, .. } = self.who;
        if self.exits.is_empty() {
            return write!(f, "no operator approves an exit; {threshold} must, this is operator {operator}");
        }
        for (place, Exit { pubkey, entry }) in self.exits.iter().enumerate() {
            let line = if place == 0 { "" } else { "\n" };
            let ExitEntry { epoch, approved_by, signed, taken, .. } = entry;
            let state = match (taken, signed) {
                (true, _) => "a beacon node has taken it".to_owned(),
                (false, true) => "signed, and not taken by a beacon node yet".to_owned(),
                (false, false) => format!("{} of {threshold} operators", approved_by.len()),
            };
            let who = listed(approved_by.iter().copied());
            write!(f, "{line}{pubkey} from epoch {epoch} on: approved by {who}; {state}")?;
        }
        Ok(())
    }
}

/// Approves an exit, or only looks.
///
/// - Returns what is approved of this validator, or of all.
/// - Errors: a validator that is not ours or that the chain does not know, an epoch that has not begun, a half that is not
///   the client's, a node that is not running or refuses.
pub fn exit(args: &ExitArgs, now: Millis) -> anyhow::Result<Exits> {
    let site = args.folder.read()?;
    let node = args.node.connect()?;
    ask(async {
        let validator = args.validator.as_ref().map(|key| site.number(key)).transpose()?;
        if let Some(validator) = validator.filter(|_| !args.status) {
            approve(args, &site, &node, validator, now).await?;
        }
        status(&site, &node, validator).await
    })
}

async fn status(site: &Site, node: &OwnNode, validator: Option<ValidatorNo>) -> anyhow::Result<Exits> {
    let ExitList { who, exits } = list(node).await?;
    let wanted = exits.into_iter().filter(|entry| validator.is_none_or(|only| entry.validator == only));
    let exit = |entry: ExitEntry| Ok(Exit { pubkey: site.group_key(entry.validator)?, entry });
    Ok(Exits { who, exits: wanted.map(exit).collect::<anyhow::Result<_>>()? })
}

async fn list(node: &OwnNode) -> anyhow::Result<ExitList> {
    node.get(EXITS).await.with_context(|| format!("{}: is the node running?", node.label()))
}

async fn approve(
    args: &ExitArgs,
    site: &Site,
    node: &OwnNode,
    validator: ValidatorNo,
    now: Millis,
) -> anyhow::Result<()> {
    let source = HalfSource::of(args)?;
    let list = list(node).await?;
    let epoch = epoch_of(args.epoch.map(Epoch), site, &list, validator, now)?;
    let validator_index = index_of(site, node, validator).await?;
    let message = VoluntaryExit { epoch, validator_index };
    let signature = source.sign(site, validator, &message).await?;
    ensure_half(site, validator, &message, &signature)?;
    let exit = SignedVoluntaryExit { message, signature };
    let taken = node.post("/eth/v1/beacon/pool/voluntary_exits", &exit).await;
    taken.with_context(|| format!("{}: the exit is not approved", node.label()))
}

/// The epoch that was asked for, or that most operators have approved, or the current one.
fn epoch_of(
    asked: Option<Epoch>,
    site: &Site,
    list: &ExitList,
    validator: ValidatorNo,
    now: Millis,
) -> anyhow::Result<Epoch> {
    let spec = &site.data.spec;
    let slot = spec.slot_at(now).context("the chain has not begun: is the clock right?")?;
    let current = spec.epoch_of(slot);
    if let Some(epoch) = asked {
        ensure!(
            epoch <= current,
            "epoch {epoch} has not begun: it is epoch {current}, and nobody approves ahead"
        );
        return Ok(epoch);
    }
    let pending = list.exits.iter().filter(|entry| entry.validator == validator && entry.epoch <= current);
    let most = pending.max_by_key(|entry| (entry.approved_by.len(), entry.epoch));
    // An own approval of a later epoch is not taken back, so that one it is.
    let own =
        |entry: &&ExitEntry| entry.validator == validator && entry.approved_by.contains(&list.who.operator);
    let own = list.exits.iter().find(own).map(|entry| entry.epoch);
    Ok(most.map(|entry| entry.epoch).max(own).unwrap_or(current))
}

/// What the chain calls the validator, as the node is told: under the client's key.
async fn index_of(site: &Site, node: &OwnNode, validator: ValidatorNo) -> anyhow::Result<ValidatorIndex> {
    #[derive(Deserialize)]
    struct Entry {
        index: ValidatorIndex,
    }
    let key = site.client_keys[validator.0 as usize];
    let path = format!("/eth/v1/beacon/states/head/validators/{key}");
    let entry: Entry = node.get(&path).await.with_context(|| {
        format!("{}: the index of validator {validator} is not known: is it on the chain?", node.label())
    })?;
    Ok(entry.index)
}

/// Who signs the client's half.
enum HalfSource {
    Keymanager(Keymanager),
    Keystores(PathBuf),
}

impl HalfSource {
    fn of(args: &ExitArgs) -> anyhow::Result<Self> {
        if let Some(folder) = &args.keystores {
            return Ok(Self::Keystores(folder.clone()));
        }
        let flags = KeymanagerFlags {
            keymanager: args.keymanager.clone(),
            keymanager_token_file: args.keymanager_token_file.clone(),
            keymanager_plain_http: args.keymanager_plain_http,
        };
        match flags.client(|path| anyhow::Ok(read_password(path)?))? {
            Some(client) => Ok(Self::Keymanager(client)),
            None => bail!(
                "half of the signature is the validator client's: name its --keymanager or its --keystores, or use the \
                 client's own command for exits"
            ),
        }
    }

    async fn sign(
        &self,
        site: &Site,
        validator: ValidatorNo,
        message: &VoluntaryExit,
    ) -> anyhow::Result<Signature> {
        match self {
            Self::Keystores(folder) => {
                let halves = site.halves(folder, &[validator])?;
                let root = SigningRoot::voluntary_exit(&site.data.spec, message);
                Ok(halves.first().context("one half was asked for")?.sign(&root))
            }
            Self::Keymanager(client) => {
                let key = site.client_keys[validator.0 as usize];
                let signed = client.voluntary_exit(&key, message.epoch).await;
                let signed = signed.with_context(|| client.label().to_owned())?;
                ensure!(
                    signed.message == *message,
                    "{}: the client has signed the exit of index {} from epoch {} on, not of index {} from epoch {} on",
                    client.label(),
                    signed.message.validator_index,
                    signed.message.epoch,
                    message.validator_index,
                    message.epoch
                );
                Ok(signed.signature)
            }
        }
    }
}

/// The half is the client's, over this exit: the node would refuse another one too, in fewer words.
fn ensure_half(
    site: &Site,
    validator: ValidatorNo,
    message: &VoluntaryExit,
    half: &Signature,
) -> anyhow::Result<()> {
    let key = site.client_keys[validator.0 as usize];
    let root = SigningRoot::voluntary_exit(&site.data.spec, message);
    let good = crypto::signature::verify(&PublicKeyPoint::parse(&key)?, root.as_ref(), half);
    ensure!(
        good,
        "what the validator client has signed is not by its half {key} over this exit: is it of the same network, and \
         signs it exits as from Deneb on (EIP-7044)?"
    );
    Ok(())
}
