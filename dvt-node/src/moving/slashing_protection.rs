//! `dvt-node slashing-protection`: the journal from and to EIP-3076 files, while the node does not run.

use crate::data_folder::{DataFolder, Reading};
use crate::journal::Journal;
use crate::moving::interchange::{FILE_LEN_MAX, Interchange, Rows};
use anyhow::{Context as _, ensure};
use cluster::folder;
use keys::files::{PUBLIC, sync_folder, write_new};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use symbolon_core::journal::{Promise, Row};
use types::{ChainSpec, Epoch, Millis, PublicKey, Slot, ValidatorNo};

/// Whole epochs in which keys without a history sign nothing.
///
/// Whatever signed with them before has then been silent for two epochs, or has been seen in the chain.
pub const WAIT_EPOCHS: u64 = 2;
/// A network whose keys are moved before it begins begins within this time.
const SOON: Millis = Millis(30 * 24 * 60 * 60 * 1000);

/// Which journal, which file.
#[derive(Clone, Debug)]
pub struct Config {
    /// The operator's data folder, as the ceremony made it.
    pub data_dir: PathBuf,
    /// The interchange file.
    pub file: PathBuf,
    /// How to read the folder.
    pub reading: Reading,
}

/// What an import did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// The file that was read.
    pub file: PathBuf,
    /// Validators that the file has records of, by group key.
    pub found: BTreeSet<PublicKey>,
    /// Those of them of which the file knew more than the journal.
    pub raised: BTreeSet<PublicKey>,
    /// Validators of the cluster that the file has no record of, in the lock's order.
    pub missing: Vec<PublicKey>,
    /// Keys of the file that are no validator's of this cluster: not its group key, not this operator's share of it,
    /// not this operator's validator client's.
    pub foreign: BTreeSet<PublicKey>,
    /// Why the validator client's keys could not be told from foreign ones, if so.
    pub client_keys_unknown: Option<String>,
    /// Whether the node still does not start, because validators that have signed before have no record.
    pub still_wanted: bool,
}

/// What a wait means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// Up to this slot they sign nothing.
    pub until: Slot,
    /// The validators of which the journal knew nothing.
    pub validators: Vec<PublicKey>,
}

/// What an export did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// The file that was written.
    pub file: PathBuf,
    /// Validators that it has a record of, by group key.
    pub validators: Vec<PublicKey>,
}

/// Raises the journal's watermarks to those of a file.
///
/// - Records count for a validator if they are under its group key, this operator's share of it, or the key that this
///   operator's validator client signs with. The last need the node's halves; where these do not open, the rest is
///   imported all the same, and the result says so.
/// - `now`: the time, to refuse records that lie far ahead.
/// - Errors: a folder, file or network that is not right, a running node, and a file that has nothing for this
///   cluster. Nothing was written then.
pub fn import(config: &Config, now: Millis) -> anyhow::Result<Imported> {
    let folder = DataFolder::read(&config.data_dir, &config.reading)?;
    let (group_keys, client_keys_unknown) = group_keys(&folder, &config.reading);
    let name = || config.file.display().to_string();
    let interchange = Interchange::parse(&read(&config.file)?).with_context(name)?;
    let group_key = |key| group_keys.get(&key).copied();
    let told = interchange.rows(&folder.spec, now, group_key).with_context(name)?;
    let hint = client_keys_unknown.as_ref().map(|why| format!("; its client's keys are unknown: {why}"));
    ensure!(
        !told.found.is_empty(),
        "{} has no record of this cluster's validators under their keys or this operator's, and {} other keys{}",
        config.file.display(),
        told.foreign.len(),
        hint.unwrap_or_default()
    );
    let mut journal = Journal::open(&config.data_dir.join(folder::JOURNAL), folder.cluster.id)?;
    let raised = journal.import(&told.rows)?;
    let validators: Vec<_> = folder.cluster.validators.iter().map(|one| one.public_key).collect();
    let missing = told.missing(&validators);
    if missing.is_empty() {
        history_is_here(&config.data_dir)?;
    }
    let still_wanted = config.data_dir.join(folder::HISTORY_WANTED).exists();
    let Rows { found, foreign, .. } = told;
    let file = config.file.clone();
    Ok(Imported { file, found, raised, missing, foreign, client_keys_unknown, still_wanted })
}

/// Keeps validators without a history silent for [`WAIT_EPOCHS`] whole epochs, by watermarks that lie ahead.
///
/// - `now`: the time, from which the wait is counted.
/// - Errors: a folder that is not right, a running node.
pub fn wait(data_dir: &Path, reading: &Reading, now: Millis) -> anyhow::Result<Waiting> {
    let folder = DataFolder::read(data_dir, reading)?;
    has_begun(&folder.spec, now)?;
    let mut journal = Journal::open(&data_dir.join(folder::JOURNAL), folder.cluster.id)?;
    let keys: Vec<PublicKey> = folder.cluster.validators.iter().map(|one| one.public_key).collect();
    let histories = keys.iter().zip(journal.histories(&keys));
    let unknown = histories.filter(|(_, history)| history.attestation.is_none());
    let validators: Vec<PublicKey> = unknown.map(|(key, _)| *key).collect();
    let (rows, until) = waiting(&folder.spec, now, &validators);
    journal.import(&rows)?;
    history_is_here(data_dir)?;
    Ok(Waiting { until, validators })
}

/// The rows that keep validators silent: their watermarks lie [`WAIT_EPOCHS`] whole epochs ahead.
///
/// - Whatever was signed before `now` has an earlier source than the row has, so no vote after the wait surrounds it.
/// - Returns the last slot in which they sign nothing, too.
pub fn waiting(spec: &ChainSpec, now: Millis, keys: &[PublicKey]) -> (Vec<Row>, Slot) {
    let epoch = spec.epoch_of(spec.slot_at(now).unwrap_or_default());
    let target = Epoch(epoch.0.saturating_add(WAIT_EPOCHS));
    let until = Slot(spec.epoch_start(target).0.saturating_add(spec.slots_per_epoch - 1));
    let row = |key: &PublicKey, promise| Row { key: *key, slot: until, promise, root: None };
    let rows = keys.iter().flat_map(|key| {
        let vote = Promise::Attestation { source: Epoch(epoch.0.saturating_sub(1)), target };
        [row(key, Promise::Block { slot: until }), row(key, vote)]
    });
    (rows.collect(), until)
}

/// Whether the network has begun, so that anything can have been signed.
///
/// - Errors: a clock that is long before the network's beginning. A wait that is counted from it would be over at once.
pub fn has_begun(spec: &ChainSpec, now: Millis) -> anyhow::Result<bool> {
    ensure!(
        now.after(SOON) >= Millis(spec.genesis_time_ms),
        "by this clock {} begins in more than 30 days: is the clock right?",
        spec.name
    );
    Ok(spec.slot_at(now).is_some())
}

/// From here on a node may start, as far as its history is concerned.
fn history_is_here(data_dir: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(data_dir.join(folder::HISTORY_WANTED)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => Ok(removed.and_then(|()| sync_folder(data_dir))?),
    }
}

/// Writes what the journal holds to a new file, under the validators' group keys.
///
/// - Errors: a folder that is not right or has no journal, a running node, a file that is there already. Nothing was
///   written then.
pub fn export(config: &Config) -> anyhow::Result<Exported> {
    let folder = DataFolder::read(&config.data_dir, &config.reading)?;
    let path = config.data_dir.join(folder::JOURNAL);
    // Opening would make an empty one, and its export would look as if nothing had ever been signed.
    ensure!(path.exists(), "{} does not exist: no node has run on this folder", path.display());
    let journal = Journal::open(&path, folder.cluster.id)?;
    let interchange = Interchange::export(&journal.histories_all(), folder.spec.genesis_validators_root);
    write_new(&config.file, interchange.to_json().as_bytes(), PUBLIC)?;
    let validators = interchange.records.iter().map(|record| record.key).collect();
    Ok(Exported { file: config.file.clone(), validators })
}

/// The validator of each key that this operator may have signed with; and why its client's keys are not among them.
fn group_keys(folder: &DataFolder, reading: &Reading) -> (BTreeMap<PublicKey, PublicKey>, Option<String>) {
    let mut known = BTreeMap::new();
    for validator in &folder.cluster.validators {
        known.insert(validator.public_key, validator.public_key);
        known.insert(validator.public_shares[folder.me.position()], validator.public_key);
    }
    let curve = match folder.curve(reading) {
        Ok(curve) => curve,
        Err(error) => return (known, Some(format!("{error:#}"))),
    };
    for (number, validator) in (0..).map(ValidatorNo).zip(&folder.cluster.validators) {
        known.extend(curve.client_key(number).map(|key| (key, validator.public_key)));
    }
    (known, None)
}

/// The bytes of an interchange file.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let name = || format!("cannot read {}", path.display());
    let file = File::open(path).with_context(name)?;
    let mut bytes = Vec::new();
    // One byte more than is taken, so that a file that is too large is refused and not cut.
    file.take(FILE_LEN_MAX as u64 + 1).read_to_end(&mut bytes).with_context(name)?;
    Ok(bytes)
}

impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (found, raised) = (self.found.len(), self.raised.len());
        let file = self.file.display();
        write!(f, "imported {file}: records of {found} validators, {raised} of them new to the journal")?;
        if let Some(why) = &self.client_keys_unknown {
            write!(
                f,
                "\nthe validator client's keys are unknown, records under them count as foreign: {why}"
            )?;
        }
        for key in &self.missing {
            write!(f, "\nno record of validator {key}")?;
        }
        for key in &self.foreign {
            write!(f, "\nnot of this cluster or operator: {key}")?;
        }
        if self.still_wanted {
            write!(
                f,
                "\nthe node does not start before these have theirs: slashing-protection wait goes without"
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { until, validators } = self;
        write!(
            f,
            "{} validators without a history sign nothing up to and including slot {until}",
            validators.len()
        )
    }
}

impl fmt::Display for Exported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, file) = (self.validators.len(), self.file.display());
        write!(f, "exported the last promises for {count} validators to {file}; later ones are not in it")
    }
}
