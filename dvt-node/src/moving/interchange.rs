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
    /// Of which of these validators the file does not say what they have attested, in their order.
    ///
    /// An empty record is no history: a client that has lost its own writes just that.
    pub fn missing(&self, validators: &[PublicKey]) -> Vec<PublicKey> {
        let known: BTreeSet<_> = self.attested().map(|(key, _)| key).collect();
        validators.iter().filter(|key| !known.contains(key)).copied().collect()
    }

    /// The newest target of each validator that has attested.
    pub fn attested(&self) -> impl Iterator<Item = (PublicKey, Epoch)> {
        self.rows.iter().filter_map(|row| match row.promise {
            Promise::Attestation { target, .. } => Some((row.key, target)),
            Promise::Block { .. } => None,
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use symbolon_core::guard::{Verdict, judge};

    const KEY: PublicKey = PublicKey([1; 48]);
    const OTHER: PublicKey = PublicKey([2; 48]);

    fn spec() -> ChainSpec {
        ChainSpec::builtin("hoodi").unwrap()
    }

    fn attestation(source: u64, target: u64) -> SignedAttestation {
        SignedAttestation { source: Epoch(source), target: Epoch(target), signing_root: None }
    }

    fn block(slot: u64) -> SignedBlock {
        SignedBlock { slot: Slot(slot), signing_root: None }
    }

    fn file(records: Vec<Record>) -> Interchange {
        Interchange { genesis_validators_root: spec().genesis_validators_root, records }
    }

    fn record(key: PublicKey, blocks: &[u64], attestations: &[(u64, u64)]) -> Record {
        let attestations = attestations.iter().map(|(source, target)| attestation(*source, *target));
        let blocks = blocks.iter().map(|slot| block(*slot));
        Record { key, blocks: blocks.collect(), attestations: attestations.collect() }
    }

    /// After all of the test's epochs, and before the end of time.
    fn late() -> Millis {
        spec().slot_start(Slot(1 << 20))
    }

    fn rows(file: &Interchange) -> Rows {
        file.rows(&spec(), late(), Some).unwrap()
    }

    fn history(rows: &[Row]) -> History {
        let mut history = History::default();
        rows.iter().for_each(|row| history.append(row));
        history
    }

    const GOLDEN: &str = r#"{
  "metadata": {
    "interchange_format_version": "5",
    "genesis_validators_root": "0x0505050505050505050505050505050505050505050505050505050505050505"
  },
  "data": [
    {
      "pubkey": "0x010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101",
      "signed_blocks": [
        {
          "slot": "7"
        }
      ],
      "signed_attestations": []
    },
    {
      "pubkey": "0x020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202",
      "signed_blocks": [],
      "signed_attestations": [
        {
          "source_epoch": "3",
          "target_epoch": "18446744073709551615",
          "signing_root": "0xabababababababababababababababababababababababababababababababab"
        }
      ]
    }
  ]
}
"#;

    #[test]
    fn what_is_written_is_golden_and_reads_back() {
        let signed = SignedAttestation { signing_root: Some(Root([0xab; 32])), ..attestation(3, u64::MAX) };
        let with_root = Record { attestations: vec![signed], ..record(OTHER, &[], &[]) };
        let mut file = file(vec![with_root, record(KEY, &[7], &[])]);
        file.genesis_validators_root = Root([5; 32]);
        assert_eq!(file.to_json(), GOLDEN);
        file.records.reverse();
        assert_eq!(Interchange::parse(GOLDEN.as_bytes()), Ok(file));
    }

    #[test]
    fn unknown_fields_are_skipped() {
        let more = GOLDEN.replace(r#""slot""#, r#""seen": {"by": [1, null]}, "slot""#);
        let more = more.replace(r#""metadata""#, r#""written_by": "a client", "metadata""#);
        assert_eq!(Interchange::parse(more.as_bytes()), Interchange::parse(GOLDEN.as_bytes()));
    }

    #[test]
    fn what_is_no_decimal_of_64_bits_in_quotes_is_refused_with_its_place() {
        for wrong in [
            "7",
            "7.0",
            r#""+7""#,
            r#""-7""#,
            r#""0x7""#,
            r#""""#,
            r#"" 7""#,
            "null",
            r#""18446744073709551616""#,
        ] {
            let text = GOLDEN.replace(r#""slot": "7""#, &format!(r#""slot": {wrong}"#));
            let Err(InterchangeError::Json(said)) = Interchange::parse(text.as_bytes()) else {
                panic!("{wrong} was read");
            };
            assert!(said.contains("expected a decimal number of 64 bits in quotes at line 11"), "{said}");
        }
    }

    #[test]
    fn other_versions_shapes_and_sizes_are_refused_by_name() {
        let version =
            GOLDEN.replace(r#""interchange_format_version": "5""#, r#""interchange_format_version": "4""#);
        let version = version.replace("signed_blocks", "blocks_of_version_4");
        let refused = InterchangeError::Version { have: "4".to_owned() };
        assert_eq!(Interchange::parse(version.as_bytes()), Err(refused));
        for (from, to) in
            [("signed_blocks", "blocks"), ("0x01", "0x"), ("\"data\"", "\"date\""), ("]\n}", "")]
        {
            let text = GOLDEN.replace(from, to);
            assert!(matches!(Interchange::parse(text.as_bytes()), Err(InterchangeError::Json(_))), "{from}");
        }
        let have = FILE_LEN_MAX + 1;
        assert_eq!(Interchange::parse(&vec![0; have]), Err(InterchangeError::TooLarge { have }));
    }

    #[test]
    fn records_of_several_keys_and_places_add_up_under_their_validator() {
        let (share, foreign) = (PublicKey([3; 48]), PublicKey([4; 48]));
        let records = vec![
            record(KEY, &[40, 90], &[(2, 9)]),
            record(foreign, &[1_000_000], &[]),
            record(share, &[70], &[(5, 6)]),
            record(KEY, &[80], &[]),
        ];
        let group_key = |key| (key != foreign).then_some(KEY);
        let told = file(records).rows(&spec(), late(), group_key).unwrap();
        let row = |slot, promise| Row { key: KEY, slot: Slot(slot), promise, root: None };
        let vote = Promise::Attestation { source: Epoch(5), target: Epoch(9) };
        assert_eq!(told.rows, [row(90, Promise::Block { slot: Slot(90) }), row(9 * 32, vote)]);
        assert_eq!((told.found.clone(), told.foreign.clone()), ([KEY].into(), [foreign].into()));
        assert_eq!(told.missing(&[OTHER, KEY]), [OTHER]);
    }

    #[test]
    fn another_network_is_refused() {
        let have = Root([9; 32]);
        let other = Interchange { genesis_validators_root: have, records: Vec::new() };
        let want = spec().genesis_validators_root;
        assert_eq!(other.rows(&spec(), late(), Some), Err(InterchangeError::Network { have, want }));
    }

    #[test]
    fn what_lies_more_than_a_day_ahead_is_refused_for_our_keys_alone() {
        let now = spec().slot_start(Slot(32 * 1000));
        let last = 1000 + AHEAD_MAX.0 / (32 * spec().slot_ms);
        let refused = |epoch| Err(InterchangeError::Future { key: KEY, epoch, now: Epoch(1000) });
        for (ahead, at_most) in [
            (record(KEY, &[], &[(0, last + 1)]), record(KEY, &[], &[(0, last)])),
            (record(KEY, &[], &[(last + 1, 0)]), record(KEY, &[], &[(last, 0)])),
            (record(KEY, &[32 * (last + 1)], &[]), record(KEY, &[32 * last + 31], &[])),
        ] {
            assert!(file(vec![at_most]).rows(&spec(), now, Some).is_ok());
            let ahead = file(vec![ahead]);
            assert_eq!(ahead.rows(&spec(), now, Some), refused(Epoch(last + 1)));
            assert!(ahead.rows(&spec(), now, |_| None).is_ok());
        }
        let end = file(vec![record(KEY, &[u64::MAX], &[(u64::MAX, u64::MAX)])]);
        assert_eq!(end.rows(&spec(), now, Some), refused(Epoch(u64::MAX)));
    }

    #[test]
    fn an_export_is_one_record_at_the_watermarks_with_a_root_only_if_that_was_signed() {
        let root = SigningRoot::compute(Root([7; 32]), Root::ZERO);
        let row = |source, target| {
            let promise = Promise::Attestation { source: Epoch(source), target: Epoch(target) };
            Row { key: KEY, slot: Slot(0), promise, root: Some(root) }
        };
        let export = |rows: &[Row]| {
            Interchange::export(&[(KEY, history(rows)), (OTHER, History::default())], Root::ZERO).records
        };
        let [record] = &export(&[row(2, 3), row(5, 9)])[..] else { panic!("one key was promised for") };
        assert_eq!(record.key, KEY);
        let signed = SignedAttestation { signing_root: Some(root.root()), ..attestation(5, 9) };
        assert_eq!(record.attestations, [signed]);
        assert_eq!(export(&[row(5, 9), row(2, 3)])[0].attestations, [attestation(5, 9)]);
    }

    fn any_promise() -> impl Strategy<Value = Promise> {
        let block = (0u64..6).prop_map(|slot| Promise::Block { slot: Slot(slot) });
        let vote = (0u64..6, 0u64..6);
        let vote = vote.prop_map(|(s, t)| Promise::Attestation { source: Epoch(s), target: Epoch(t) });
        prop_oneof![block, vote]
    }

    fn root(byte: u8) -> SigningRoot {
        SigningRoot::compute(Root([byte; 32]), Root::ZERO)
    }

    fn any_rows() -> impl Strategy<Value = Vec<Row>> {
        let root = prop::option::of((0u8..3).prop_map(root));
        let row =
            (any_promise(), root).prop_map(|(promise, root)| Row { key: KEY, slot: Slot(0), promise, root });
        prop::collection::vec(row, 0..12)
    }

    proptest! {
        #[test]
        fn what_an_export_lets_pass_elsewhere_is_what_is_fresh_here(rows_before in any_rows(), promise in any_promise(), byte in 0u8..3) {
            let original = history(&rows_before);
            let export = Interchange::export(&[(KEY, original)], spec().genesis_validators_root);
            let there = Interchange::parse(export.to_json().as_bytes()).unwrap();
            let verdict = judge(&history(&rows(&there).rows), promise, root(byte));
            let fresh = judge(&original, promise, root(byte)) == Verdict::Fresh;
            prop_assert_eq!(verdict == Verdict::Fresh, fresh);
            prop_assert_ne!(verdict, Verdict::Again);
        }

        #[test]
        fn rows_of_a_file_bind_as_all_of_its_records_one_by_one(all in any_rows(), promise in any_promise()) {
            let mut file = file(Vec::new());
            for row in &all {
                let signing_root = row.root.as_ref().map(SigningRoot::root);
                file.records.push(match row.promise {
                    Promise::Block { slot } => {
                        Record { blocks: vec![SignedBlock { slot, signing_root }], ..record(KEY, &[], &[]) }
                    }
                    Promise::Attestation { source, target } => {
                        let one = SignedAttestation { source, target, signing_root };
                        Record { attestations: vec![one], ..record(KEY, &[], &[]) }
                    }
                });
            }
            let one_by_one = judge(&history(&all), promise, root(9));
            prop_assert_eq!(judge(&history(&rows(&file).rows), promise, root(9)), one_by_one);
        }
    }
}
