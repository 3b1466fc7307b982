//! Slashing-protection histories as other programs read and write them: EIP-3076, version 5. No files, no clock.
//!
//! A record is kept under the key that signed. A validator client behind this node signs with the key of its half, a
//! client of an earlier cluster with that of a share; the journal keeps everything under the validator's group key.
//! So [`Interchange::rows`] is told how keys translate.
//!
//! Of a record only watermarks enter the journal: the highest block slot, source and target. That is the minimal
//! strategy of EIP-3076, which never finds fault with a record: more history only raises what is refused. Signing
//! roots of a file stay in the file: a row of the journal is equal to a candidate only if this node computed its root.

use serde::de::{self, Deserializer, Unexpected, Visitor};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use symbolon_core::journal::{History, LastAttestation, LastBlock, Promise, Row};
use thiserror::Error;
use types::{ChainSpec, Epoch, Millis, PublicKey, Root, SigningRoot, Slot};

/// The version written here, and the only one read.
pub const FORMAT_VERSION: &str = "5";
/// Largest file: clients that keep 512 epochs before they prune write some 150 bytes an attestation, so this holds
/// 10,000 keys of theirs. Minimal files, one attestation a key, are a few megabytes.
pub const FILE_LEN_MAX: usize = 1 << 30;
/// How far a record may lie ahead of the own clock. Beacon nodes gave no duties to a client whose clock was wrong by
/// more; a record beyond would keep the validator silent until its epoch comes.
pub const AHEAD_MAX: Millis = Millis(24 * 60 * 60 * 1000);

/// Why a file is not read, or not taken. Nothing was taken.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum InterchangeError {
    /// Larger than any that a client writes.
    #[error("{have} bytes of slashing-protection interchange, at most {FILE_LEN_MAX} are read")]
    TooLarge {
        /// Its length.
        have: usize,
    },
    /// Not JSON of this shape; numbers that are not in quotes are named here too.
    #[error("not a slashing-protection interchange file: {0}")]
    Json(String),
    /// Another version of the format.
    #[error("interchange format version {have:?}, this program reads version {FORMAT_VERSION:?}")]
    Version {
        /// Its version.
        have: String,
    },
    /// Signed on another network: says nothing about this one.
    #[error("the records are of the network with genesis validators root {have}, this network's is {want}")]
    Network {
        /// The file's.
        have: Root,
        /// The network's.
        want: Root,
    },
    /// Further ahead than [`AHEAD_MAX`].
    #[error(
        "a record of {key} is of epoch {epoch}, and by this clock it is epoch {now}: \
         the validator would be silent until then"
    )]
    Future {
        /// Under which key of the file.
        key: PublicKey,
        /// The record's epoch: a block's, a source or a target.
        epoch: Epoch,
        /// The epoch by the clock that was told.
        now: Epoch,
    },
}

/// The content of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interchange {
    /// Names the network.
    pub genesis_validators_root: Root,
    /// In the file's order; one key may have several, which add up.
    pub records: Vec<Record>,
}

/// What was signed with a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The key that signed.
    #[serde(rename = "pubkey")]
    pub key: PublicKey,
    /// Blocks, in any order.
    #[serde(rename = "signed_blocks")]
    pub blocks: Vec<SignedBlock>,
    /// Attestations, in any order.
    #[serde(rename = "signed_attestations")]
    pub attestations: Vec<SignedAttestation>,
}

/// A block that was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedBlock {
    /// Its slot.
    #[serde(deserialize_with = "quoted")]
    pub slot: Slot,
    /// What was signed, if the writer knew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_root: Option<Root>,
}

/// An attestation that was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedAttestation {
    /// Its source epoch.
    #[serde(rename = "source_epoch", deserialize_with = "quoted")]
    pub source: Epoch,
    /// Its target epoch.
    #[serde(rename = "target_epoch", deserialize_with = "quoted")]
    pub target: Epoch,
    /// What was signed, if the writer knew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_root: Option<Root>,
}

#[derive(Serialize, Deserialize)]
struct Metadata {
    interchange_format_version: String,
    genesis_validators_root: Root,
}

/// The head of a file of any version: what else it holds is skipped.
#[derive(Deserialize)]
struct Head {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Body {
    data: Vec<Record>,
}

#[derive(Serialize)]
struct File<'a> {
    metadata: Metadata,
    data: Vec<&'a Record>,
}

/// What a file says about the validators of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// For the journal: at most one for blocks and one for attestations of each validator.
    pub rows: Vec<Row>,
    /// Validators that the file has a record of, by the keys that the translation gave.
    pub found: BTreeSet<PublicKey>,
    /// Keys of the file that the translation does not know.
    pub foreign: BTreeSet<PublicKey>,
}

impl Rows {
    /// Which of these validators the file has no record of, in their order.
    pub fn missing(&self, validators: &[PublicKey]) -> Vec<PublicKey> {
        validators.iter().filter(|key| !self.found.contains(key)).copied().collect()
    }
}

/// The highest of everything in some records; `None` where there is nothing.
#[derive(Clone, Copy, Default)]
struct Watermarks {
    block: Option<Slot>,
    attestation: Option<(Epoch, Epoch)>,
}

impl Interchange {
    /// Reads a file.
    ///
    /// - `bytes`: at most [`FILE_LEN_MAX`]; unknown fields are skipped.
    /// - Errors: [`InterchangeError`], with line and column where the JSON is at fault.
    /// - Cost: two passes; memory of some 60 bytes for each block and attestation, about the size of the text.
    /// - Source: EIP-3076, "JSON Schema"; numbers are decimals in quotes.
    pub fn parse(bytes: &[u8]) -> Result<Self, InterchangeError> {
        if bytes.len() > FILE_LEN_MAX {
            return Err(InterchangeError::TooLarge { have: bytes.len() });
        }
        let json = |error: serde_json::Error| InterchangeError::Json(error.to_string());
        let Head { metadata } = serde_json::from_slice(bytes).map_err(json)?;
        if metadata.interchange_format_version != FORMAT_VERSION {
            return Err(InterchangeError::Version { have: metadata.interchange_format_version });
        }
        let Body { data } = serde_json::from_slice(bytes).map_err(json)?;
        Ok(Self { genesis_validators_root: metadata.genesis_validators_root, records: data })
    }

    /// Writes a file: two spaces an indent, records by key, numbers in quotes, hex in lower case.
    pub fn to_json(&self) -> String {
        let mut data: Vec<_> = self.records.iter().collect();
        data.sort_by_key(|record| record.key);
        let metadata = Metadata {
            interchange_format_version: FORMAT_VERSION.to_owned(),
            genesis_validators_root: self.genesis_validators_root,
        };
        let mut text = serde_json::to_string_pretty(&File { metadata, data })
            .expect("strings, lists and numbers in quotes are always JSON");
        text.push('\n');
        text
    }

    /// Translates the records into rows of the journal, under the validators' group keys.
    ///
    /// - `spec`: the network of the cluster; a file of another one is refused.
    /// - `now`: the time of the import, to refuse what lies ahead by more than [`AHEAD_MAX`].
    /// - `group_key`: the validator that a key of the file signs for, `None` for keys that are not ours. Several keys
    ///   may sign for one validator: their records add up.
    /// - Errors: [`InterchangeError::Network`], [`InterchangeError::Future`]; records of foreign keys are not judged.
    /// - Source: EIP-3076, "Conditions", the minimal strategy.
    pub fn rows(
        &self,
        spec: &ChainSpec,
        now: Millis,
        group_key: impl Fn(PublicKey) -> Option<PublicKey>,
    ) -> Result<Rows, InterchangeError> {
        let (have, want) = (self.genesis_validators_root, spec.genesis_validators_root);
        if have != want {
            return Err(InterchangeError::Network { have, want });
        }
        let epoch_at = |time| spec.epoch_of(spec.slot_at(time).unwrap_or_default());
        let (now, latest) = (epoch_at(now), epoch_at(now.after(AHEAD_MAX)));
        let mut foreign = BTreeSet::new();
        let mut by_validator: BTreeMap<PublicKey, Watermarks> = BTreeMap::new();
        for record in &self.records {
            let Some(validator) = group_key(record.key) else {
                foreign.insert(record.key);
                continue;
            };
            if let Some(epoch) = record.epoch_max(spec).filter(|epoch| *epoch > latest) {
                return Err(InterchangeError::Future { key: record.key, epoch, now });
            }
            by_validator.entry(validator).or_default().raise(record);
        }
        let rows = by_validator.iter().flat_map(|(key, marks)| marks.rows(*key, spec)).collect();
        Ok(Rows { rows, found: by_validator.into_keys().collect(), foreign })
    }

    /// What the journal holds, for another program.
    ///
    /// - `histories`: by group key; those without any promise are left out.
    /// - One block and one attestation a key, at the watermarks: an importer that keeps full histories takes what lies
    ///   between two records for unsigned, and the journal does not know what lay between. The signing root is there
    ///   if the last promise is itself at the watermarks.
    pub fn export(histories: &[(PublicKey, History)], genesis_validators_root: Root) -> Self {
        let record = |(key, history): &(PublicKey, History)| Record {
            key: *key,
            blocks: history.block.iter().map(export_block).collect(),
            attestations: history.attestation.iter().map(export_attestation).collect(),
        };
        let promised = histories.iter().filter(|(_, history)| *history != History::default());
        Self { genesis_validators_root, records: promised.map(record).collect() }
    }
}

impl Record {
    /// The latest epoch that the record is about.
    fn epoch_max(&self, spec: &ChainSpec) -> Option<Epoch> {
        let blocks = self.blocks.iter().map(|block| spec.epoch_of(block.slot));
        let attestations = self.attestations.iter().map(|one| one.source.max(one.target));
        blocks.chain(attestations).max()
    }
}

impl Watermarks {
    fn raise(&mut self, record: &Record) {
        self.block = self.block.max(record.blocks.iter().map(|block| block.slot).max());
        for one in &record.attestations {
            let (source, target) = self.attestation.unwrap_or((one.source, one.target));
            self.attestation = Some((source.max(one.source), target.max(one.target)));
        }
    }

    fn rows(self, key: PublicKey, spec: &ChainSpec) -> impl Iterator<Item = Row> {
        let block = self.block.map(|slot| Row { key, slot, promise: Promise::Block { slot }, root: None });
        let attestation = self.attestation.map(|(source, target)| {
            let promise = Promise::Attestation { source, target };
            Row { key, slot: spec.epoch_start(target), promise, root: None }
        });
        block.into_iter().chain(attestation)
    }
}

fn export_block(last: &LastBlock) -> SignedBlock {
    SignedBlock { slot: last.slot, signing_root: last.root.as_ref().map(SigningRoot::root) }
}

fn export_attestation(last: &LastAttestation) -> SignedAttestation {
    let &LastAttestation { source, target, root, source_max, target_max, .. } = last;
    let root = root.filter(|_| (source, target) == (source_max, target_max));
    let signing_root = root.as_ref().map(SigningRoot::root);
    SignedAttestation { source: source_max, target: target_max, signing_root }
}

/// Decimals in quotes and nothing else: a reader that took bare ones for floats would lose their last digits.
fn quoted<'de, T: From<u64>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_str(Quoted).map(T::from)
}

struct Quoted;

impl Visitor<'_> for Quoted {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a decimal number of 64 bits in quotes")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| digits);
        number.ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}
