//! What is kept of approvals: the data folder's `approvals/` and `registrations.json`.
//!
//! ```text
//! approvals/exits-<operator>.ssz, statements-<operator>.ssz, taken.ssz     a version byte, then SSZ
//! registrations.json                                                       the registrations that count, as JSON
//! ```
//!
//! Files are written whole by a thread of their own, each in the place of the one before it; of several waiting for one
//! place, the last. Nothing waits for them: what a power cut takes away, peers say again, or the operator approves again.
//! So a file that cannot be read is said in the log and does not keep the node from starting. Registrations are believed
//! only with their group's signature.

use crate::data_folder::DataFolder;
use anyhow::Context as _;
use cluster::folder;
use keys::files::{self, SECRET};
use ssz::{Decode, Encode};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use thiserror::Error;
use types::approval::{Kept, KeptExit, KeptOf, KeptStatement, Standing, TakenExit, registration_root};
use types::builder::{SignedValidatorRegistrationV1, ValidatorRegistrationV1};
use types::{ChainSpec, ClusterSize, Millis, PublicKey, ShareIndex};

/// The first byte of files of this version.
const VERSION: u8 = 1;

/// No file is longer: 10,000 registrations in JSON are some 6 MB, an operator's approvals of all kinds less.
const FILE_LEN_MAX: u64 = 32 << 20;

/// Why a file is not believed.
#[derive(Debug, Error)]
enum ArchiveError {
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error("is of {len} bytes, at most {FILE_LEN_MAX} are read")]
    Length { len: u64 },
    #[error("is of version {0:?}, this node reads {VERSION}")]
    Version(Option<u8>),
    #[error("is not what was written here: {0}")]
    Content(String),
}

/// The way to the thread that writes.
#[derive(Debug)]
pub struct Archive(mpsc::Sender<Kept>);

impl Archive {
    /// Reads what is kept, and starts the thread that keeps more.
    ///
    /// - Returns what the machine is to recall, in this order: the ceremony's registrations, those since, and approvals.
    /// - Errors: no folder can be made, no thread started.
    /// - Cost: a pairing for each registration since the ceremony.
    pub fn open(data: &DataFolder) -> anyhow::Result<(Self, Vec<Kept>)> {
        let keys: Vec<_> = data.cluster.validators.iter().map(|one| one.public_key).collect();
        let writer = Writer::read(&data.path, &data.spec, &keys)?;
        let mut recalled = vec![Kept::Registered(of_lock(data))];
        recalled.extend(writer.recalled(data.size));
        let (sender, receiver) = mpsc::channel();
        let thread = std::thread::Builder::new().name("archive".to_owned());
        thread.spawn(move || writer.run(&receiver)).context("cannot start the archive's thread")?;
        Ok((Self(sender), recalled))
    }

    /// Has something kept.
    pub fn keep(&self, kept: Kept) {
        if self.0.send(kept).is_err() {
            tracing::error!("the archive's thread is gone: approvals are not kept for the next start");
        }
    }
}

/// What the ceremony signed: a lock that holds has it verified.
fn of_lock(data: &DataFolder) -> Vec<Standing> {
    let standing = |validator: &cluster::lock::ClusterValidator| {
        let signed = validator.registration?;
        let message = ValidatorRegistrationV1 {
            fee_recipient: signed.message.fee_recipient,
            gas_limit: signed.message.gas_limit,
            timestamp: signed.message.timestamp_s,
            pubkey: signed.message.public_key,
        };
        let newest = SignedValidatorRegistrationV1 { message, signature: signed.signature };
        Some(Standing { newest, learned: Millis(0), previous: None })
    };
    data.cluster.validators.iter().filter_map(standing).collect()
}

/// The thread's own.
struct Writer {
    approvals: PathBuf,
    registrations: PathBuf,
    registered: BTreeMap<PublicKey, Standing>,
}

impl Writer {
    /// - `keys`: of the cluster's validators.
    fn read(data_dir: &Path, spec: &ChainSpec, keys: &[PublicKey]) -> anyhow::Result<Self> {
        let approvals = data_dir.join(folder::APPROVALS);
        std::fs::create_dir_all(&approvals)
            .with_context(|| format!("cannot make the folder {}", approvals.display()))?;
        let registrations = data_dir.join(folder::REGISTRATIONS);
        let standing = said(&registrations, read_registrations(&registrations)).unwrap_or_default();
        let good = standing.into_iter().filter(|one| is_signed(spec, keys, one));
        let registered = good.map(|one| (one.newest.message.pubkey, one)).collect();
        Ok(Self { approvals, registrations, registered })
    }

    /// The registrations that count, then what operators have approved.
    fn recalled(&self, size: ClusterSize) -> Vec<Kept> {
        let mut kept = vec![Kept::Registered(self.registered.values().copied().collect())];
        kept.extend(self.load::<Vec<TakenExit>>("taken").map(Kept::Taken));
        for operator in size.indices() {
            let exits = self.load::<KeptOf<KeptExit>>(&name("exits", operator));
            kept.extend(exits.filter(|of| of.operator == operator).map(Kept::Exits));
            let statements = self.load::<KeptOf<KeptStatement>>(&name("statements", operator));
            kept.extend(statements.filter(|of| of.operator == operator).map(Kept::Statements));
        }
        kept
    }

    fn load<T: Decode>(&self, name: &str) -> Option<T> {
        let path = self.path(name);
        said(&path, read_ssz(&path))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.approvals.join(format!("{name}.ssz"))
    }

    fn run(mut self, kept: &mpsc::Receiver<Kept>) {
        while let Ok(first) = kept.recv() {
            let mut files = BTreeMap::new();
            for one in std::iter::once(first).chain(kept.try_iter()) {
                let (path, bytes) = self.file(one);
                files.insert(path, bytes);
            }
            for (path, bytes) in files {
                if let Err(error) = files::replace(&path, &bytes, SECRET) {
                    tracing::error!(%error, "approvals are not kept for the next start");
                }
            }
        }
    }

    fn file(&mut self, kept: Kept) -> (PathBuf, Vec<u8>) {
        match kept {
            Kept::Exits(of) => (self.path(&name("exits", of.operator)), to_ssz(&of)),
            Kept::Statements(of) => (self.path(&name("statements", of.operator)), to_ssz(&of)),
            Kept::Taken(taken) => (self.path("taken"), to_ssz(&taken)),
            Kept::Registered(standing) => {
                let by_key = standing.into_iter().map(|one| (one.newest.message.pubkey, one));
                self.registered.extend(by_key);
                let all: Vec<_> = self.registered.values().collect();
                let json = serde_json::to_vec_pretty(&all).expect("plain structs serialize into memory");
                (self.registrations.clone(), json)
            }
        }
    }
}

fn name(what: &str, operator: ShareIndex) -> String {
    format!("{what}-{operator}")
}

fn to_ssz(value: &impl Encode) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    value.ssz_append(&mut bytes);
    bytes
}

fn read_file(path: &Path) -> Result<Option<Vec<u8>>, ArchiveError> {
    let len = match std::fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if len > FILE_LEN_MAX {
        return Err(ArchiveError::Length { len });
    }
    Ok(Some(std::fs::read(path)?))
}

fn read_ssz<T: Decode>(path: &Path) -> Result<Option<T>, ArchiveError> {
    let Some(bytes) = read_file(path)? else { return Ok(None) };
    let body = match bytes.split_first() {
        Some((&VERSION, body)) => body,
        other => return Err(ArchiveError::Version(other.map(|(version, _)| *version))),
    };
    let value = T::from_ssz_bytes(body).map_err(|error| ArchiveError::Content(format!("{error:?}")))?;
    Ok(Some(value))
}

fn read_registrations(path: &Path) -> Result<Option<Vec<Standing>>, ArchiveError> {
    let Some(bytes) = read_file(path)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| ArchiveError::Content(error.to_string()))
}

fn said<T>(path: &Path, read: Result<Option<T>, ArchiveError>) -> Option<T> {
    read.unwrap_or_else(|error| {
        tracing::error!(path = %path.display(), %error, "approvals are lost; others say theirs again");
        None
    })
}

fn is_signed(spec: &ChainSpec, keys: &[PublicKey], standing: &Standing) -> bool {
    let SignedValidatorRegistrationV1 { message, signature } = &standing.newest;
    let root = registration_root(spec, message);
    let good = keys.contains(&message.pubkey) && crypto::verify_root(&message.pubkey, &root, signature);
    if !good {
        tracing::error!(key = %message.pubkey, "a kept registration is not signed by its validator's group");
    }
    good
}

#[cfg(test)]
mod tests {
    use super::*;
    use keys::derive::derive_master;
    use types::approval::{KeptPartial, RegistrationStatement};
    use types::{Address, Epoch, Generation, Signature, ValidatorNo};

    fn spec() -> ChainSpec {
        ChainSpec::builtin("hoodi").unwrap()
    }

    fn size() -> ClusterSize {
        ClusterSize::new_safe(4, 3).unwrap()
    }

    fn statement() -> RegistrationStatement {
        RegistrationStatement {
            validators: vec![ValidatorNo(0)],
            fee_recipient: Address([7; 20]),
            gas_limit: 60_000_000,
            timestamp_s: 1_800_000_000,
        }
    }

    /// The first validator's key, and what its group has signed; or what it has not.
    fn registered(signed: bool) -> (PublicKey, Standing) {
        let secret = derive_master(&[5; 32]).unwrap();
        let message = statement().registration(secret.public());
        let root = registration_root(&spec(), &message);
        let signature = if signed { secret.sign(&root) } else { Signature([7; 96]) };
        let newest = SignedValidatorRegistrationV1 { message, signature };
        let standing = Standing { newest, learned: Millis(5), previous: Some(Address([1; 20])) };
        (secret.public(), standing)
    }

    fn of<T: Encode + Decode>(operator: u8, approval: T) -> KeptOf<T> {
        let operator = ShareIndex::new(operator).unwrap();
        KeptOf { generation: Generation(0), operator, approvals: vec![approval] }
    }

    fn exit(operator: u8, epoch: u64) -> Kept {
        let (validator, epoch, partial) = (ValidatorNo(0), Epoch(epoch), Signature([operator; 96]));
        Kept::Exits(of(operator, KeptExit { validator, epoch, partial }))
    }

    /// Keeps all of these, one after the other.
    fn keep(folder: &Path, keys: &[PublicKey], kept: Vec<Kept>) {
        let (sender, receiver) = mpsc::channel();
        kept.into_iter().for_each(|one| sender.send(one).unwrap());
        drop(sender);
        Writer::read(folder, &spec(), keys).unwrap().run(&receiver);
    }

    #[test]
    fn what_is_kept_is_recalled_and_the_last_of_each_sort_counts() {
        let folder = tempfile::tempdir().unwrap();
        let (key, standing) = registered(true);
        let partial = KeptPartial { validator: ValidatorNo(0), partial: Signature([2; 96]) };
        let said = KeptStatement { statement: statement(), partials: vec![partial] };
        let taken = Kept::Taken(vec![TakenExit { validator: ValidatorNo(1), epoch: Epoch(9) }]);
        let statements = Kept::Statements(of(2, said));
        let registered = Kept::Registered(vec![standing]);
        let first = vec![exit(1, 7), exit(3, 8), taken.clone(), statements.clone(), registered.clone()];
        keep(folder.path(), &[key], first);
        keep(folder.path(), &[key], vec![exit(1, 9)]);
        let recalled = Writer::read(folder.path(), &spec(), &[key]).unwrap().recalled(size());
        assert_eq!(recalled, [registered, taken, exit(1, 9), statements, exit(3, 8)]);
    }

    #[test]
    fn what_cannot_be_read_or_is_not_signed_is_left_out_and_the_rest_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (key, forged) = registered(false);
        keep(folder.path(), &[key], vec![exit(1, 7), exit(2, 7), exit(3, 7), Kept::Registered(vec![forged])]);
        let approvals = folder.path().join(folder::APPROVALS);
        for (name, bytes) in
            [("exits-1.ssz", &b"\x02"[..]), ("exits-2.ssz", b"\x01rubbish"), ("taken.ssz", b"")]
        {
            files::replace(&approvals.join(name), bytes, SECRET).unwrap();
        }
        let recalled = Writer::read(folder.path(), &spec(), &[key]).unwrap().recalled(size());
        assert_eq!(recalled, [Kept::Registered(vec![]), exit(3, 7)]);
        // Another's approvals under an operator's name are nobody's.
        std::fs::rename(approvals.join("exits-3.ssz"), approvals.join("exits-4.ssz")).unwrap();
        let recalled = Writer::read(folder.path(), &spec(), &[key]).unwrap().recalled(size());
        assert_eq!(recalled, [Kept::Registered(vec![])]);
    }
}
