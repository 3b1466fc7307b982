//! The node's halves at rest: one encrypted file per generation.
//!
//! ```text
//! magic 8 | version 2 | kdf 1 | log2 n 1 | r 4 | p 4 | salt 32 | nonce 24 | cluster 32 | generation 4 | count 4
//!   | verifier 32 | SHA-256 of all that 32 | count times (group key 48, w 32), encrypted | tag 16
//! ```
//!
//! Numbers are little-endian. The cipher is XChaCha20-Poly1305 with the whole header as associated data. Key and
//! verifier are HKDF-SHA-256 of the password, or of scrypt of the password; the verifier tells a wrong password from
//! a damaged file, and gives a guesser nothing that the tag would not.

use crate::keystore::{normalize, same, scrypt_log_n};
use crate::secret_file::{self, ReadError, WriteError, read_secret, replace_secret, write_new_secret};
use crate::share::NodeHalf;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use rand_core::{CryptoRng, RngCore};
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::Path;
use thiserror::Error;
use types::{ClusterId, Generation, PublicKey, Root};
use zeroize::Zeroizing;

const MAGIC: &[u8; 8] = b"SYMBHALF";

/// The version written here, and the only one read.
const VERSION: u16 = 1;

/// More validators than any cluster has: bounds the file to 8 MB.
pub const HALVES_MAX: usize = 100_000;

/// Shortest password, in bytes after normalization, that needs no slow derivation: 32 random hex digits.
pub const RANDOM_PASSWORD_LEN_MIN: usize = 32;

const SALT_LEN: usize = 32;
const NONCE_LEN: usize = 24;
const TAG_LEN: usize = 16;
const ROW_LEN: usize = PublicKey::LEN + 32;
const SIGNED_LEN: usize = 8 + 2 + 1 + 1 + 4 + 4 + SALT_LEN + NONCE_LEN + 32 + 4 + 4 + 32;
const HEADER_LEN: usize = SIGNED_LEN + 32;
const FILE_LEN_MAX: usize = HEADER_LEN + HALVES_MAX * ROW_LEN + TAG_LEN;

const ENCRYPTION: &[u8] = b"symbolon node halves 1: encryption";
const VERIFIER: &[u8] = b"symbolon node halves 1: verifier";

/// How a password becomes a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// The password has at least 128 random bits and [`RANDOM_PASSWORD_LEN_MIN`] bytes: HKDF alone.
    RandomPassword,
    /// The password may be a person's: scrypt first.
    Scrypt {
        /// `log2` of scrypt's `n`.
        log_n: u8,
        /// Scrypt's `r`.
        r: u32,
        /// Scrypt's `p`.
        p: u32,
    },
}

impl Protection {
    /// For passwords that people choose: 128 MiB and about half a second (OWASP).
    pub const SCRYPT: Self = Self::Scrypt { log_n: 17, r: 8, p: 1 };
}

/// One validator's half.
#[derive(Debug)]
pub struct StoredHalf {
    /// The validator's group public key.
    pub group_key: PublicKey,
    /// This operator's node half.
    pub half: NodeHalf,
}

/// What the file holds.
#[derive(Debug)]
pub struct NodeStore {
    /// Whose shares.
    pub cluster: ClusterId,
    /// Of which sharing.
    pub generation: Generation,
    /// In the order of the lock; each group key once.
    pub halves: Vec<StoredHalf>,
}

/// Why halves are not sealed.
#[derive(Debug, Error)]
pub enum SealError {
    /// More than [`HALVES_MAX`].
    #[error("{have} halves, at most {HALVES_MAX} fit one store")]
    TooMany {
        /// Halves given.
        have: usize,
    },
    /// One validator twice.
    #[error("two halves for validator {0}")]
    Duplicate(PublicKey),
    /// Too short for [`Protection::RandomPassword`], or empty.
    #[error(
        "this password is too short to be used without scrypt: {RANDOM_PASSWORD_LEN_MIN} random characters are needed"
    )]
    ShortPassword,
    /// Scrypt's parameters are out of bounds.
    #[error("scrypt parameters out of bounds")]
    Cost,
    /// The file was not written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Why a store does not open.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The file was not read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Something else than a store.
    #[error("not a store of node halves")]
    NotAStore,
    /// Another version of the format.
    #[error("a store of version {0}, this build reads version {VERSION}")]
    Version(u16),
    /// The file ends early.
    #[error("the store ends after {have} of {want} bytes")]
    Truncated {
        /// Bytes found.
        have: usize,
        /// Bytes wanted.
        want: usize,
    },
    /// Not the password it was sealed with; the file itself is whole as far as can be seen.
    #[error("wrong password")]
    WrongPassword,
    /// Bytes have changed since it was sealed. Restore a backup.
    #[error("the store is damaged: {0}")]
    Corrupted(&'static str),
}

/// Why a store was not replaced.
#[derive(Debug, Error)]
pub enum ReplaceError {
    /// The older one does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The newer one is not written.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The older one is of other validators, another generation or another cluster.
    #[error("the store that is there holds other halves")]
    OtherHalves,
    /// The newer one is in place, but a power cut might bring the older one back.
    #[error("{0}")]
    NotSynced(String),
}

impl NodeStore {
    /// The file's name: generations lie side by side, none overwrites another.
    pub fn file_name(generation: Generation) -> String {
        format!("node-halves-{}.bin", generation.0)
    }

    /// Encrypts to the bytes of a file.
    ///
    /// - `rng`: gives salt and nonce. One stream must not meet two contents.
    /// - Errors: [`SealError`].
    /// - Cost: what `protection` asks for.
    pub fn seal(
        &self,
        password: &SecretString,
        protection: Protection,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Vec<u8>, SealError> {
        self.check()?;
        let (mut salt, mut nonce) = ([0; SALT_LEN], [0; NONCE_LEN]);
        rng.fill_bytes(&mut salt);
        rng.fill_bytes(&mut nonce);
        let keys = Keys::derive(password, protection, &salt)?;
        let count = u32::try_from(self.halves.len()).expect("at most HALVES_MAX");
        let header = Header {
            protection,
            salt,
            nonce,
            cluster: self.cluster,
            generation: self.generation,
            count,
            verifier: keys.verifier,
        };
        let header = header.to_bytes();
        let mut rows = self.rows();
        let tag = keys
            .cipher()
            .encrypt_inout_detached(&XNonce::from(nonce), &header, rows.as_mut_slice().into())
            .expect("8 MB are far below the cipher's limit");
        Ok([&header, rows.as_slice(), tag.as_slice()].concat())
    }

    /// Decrypts the bytes of a file.
    ///
    /// - Errors: [`OpenError`], which tells a wrong password, damage, truncation and another version apart.
    /// - Cost: what the header asks for, bounded as in [`crate::keystore`].
    pub fn unseal(bytes: &[u8], password: &SecretString) -> Result<Self, OpenError> {
        let (header, body) = Header::parse(bytes)?;
        let keys = Keys::derive(password, header.protection, &header.salt).map_err(|error| match error {
            SealError::Cost => OpenError::Corrupted("scrypt parameters out of bounds"),
            _ => OpenError::WrongPassword,
        })?;
        if !same(&keys.verifier, &header.verifier) {
            return Err(OpenError::WrongPassword);
        }
        let (rows, tag) = body.split_at(body.len() - TAG_LEN);
        let mut rows = Zeroizing::new(rows.to_vec());
        let tag = Tag::try_from(tag).expect("split off with its length");
        keys.cipher()
            .decrypt_inout_detached(
                &XNonce::from(header.nonce),
                &bytes[..HEADER_LEN],
                rows.as_mut_slice().into(),
                &tag,
            )
            .map_err(|_| OpenError::Corrupted("its tag does not verify"))?;
        let halves = rows.chunks_exact(ROW_LEN).map(parse_row).collect::<Option<Vec<_>>>();
        let halves = halves.ok_or(OpenError::Corrupted("a half is not below the group order"))?;
        let store = Self { cluster: header.cluster, generation: header.generation, halves };
        store.check().map_err(|_| OpenError::Corrupted("a validator is listed twice"))?;
        Ok(store)
    }

    /// Seals to a new file: durable, for the owner only, never over another.
    ///
    /// - Errors: [`SealError`].
    pub fn write_new(
        &self,
        path: &Path,
        password: &SecretString,
        protection: Protection,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<(), SealError> {
        let bytes = self.seal(password, protection, rng)?;
        Ok(write_new_secret(path, &bytes)?)
    }

    /// Seals in the place of an older file of the same halves, protected as that one is.
    ///
    /// - `password`: must open the older file, so that both are never under different ones.
    /// - Errors: [`ReplaceError`]; but for [`ReplaceError::NotSynced`] the older file is as it was.
    pub fn replace(
        &self,
        path: &Path,
        password: &SecretString,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<(), ReplaceError> {
        let bytes = read_secret(path, FILE_LEN_MAX).map_err(OpenError::from)?;
        let old = Self::unseal(&bytes, password)?;
        let keys = |store: &Self| store.halves.iter().map(|stored| stored.group_key).collect::<Vec<_>>();
        if (old.cluster, old.generation, keys(&old)) != (self.cluster, self.generation, keys(self)) {
            return Err(ReplaceError::OtherHalves);
        }
        let (header, _) = Header::parse(&bytes)?;
        let sealed = self.seal(password, header.protection, rng)?;
        replace_secret(path, &sealed).map_err(|error| match error {
            secret_file::ReplaceError::Before(error) => SealError::Write(error).into(),
            after @ secret_file::ReplaceError::After { .. } => ReplaceError::NotSynced(after.to_string()),
        })
    }

    /// Opens a file.
    ///
    /// - Errors: [`OpenError`]; a file that others may read is refused.
    pub fn load(path: &Path, password: &SecretString) -> Result<Self, OpenError> {
        Self::unseal(&read_secret(path, FILE_LEN_MAX)?, password)
    }

    fn check(&self) -> Result<(), SealError> {
        if self.halves.len() > HALVES_MAX {
            return Err(SealError::TooMany { have: self.halves.len() });
        }
        let mut seen = BTreeSet::new();
        match self.halves.iter().find(|stored| !seen.insert(stored.group_key)) {
            Some(again) => Err(SealError::Duplicate(again.group_key)),
            None => Ok(()),
        }
    }

    fn rows(&self) -> Zeroizing<Vec<u8>> {
        let mut rows = Zeroizing::new(Vec::with_capacity(self.halves.len() * ROW_LEN));
        for stored in &self.halves {
            rows.extend_from_slice(stored.group_key.as_ref());
            rows.extend_from_slice(&stored.half.to_stored());
        }
        rows
    }
}

fn parse_row(row: &[u8]) -> Option<StoredHalf> {
    let (key, half) = row.split_at(PublicKey::LEN);
    Some(StoredHalf { group_key: PublicKey(key.try_into().ok()?), half: NodeHalf::from_stored(half)? })
}

/// What a password gives.
struct Keys {
    encryption: Zeroizing<[u8; 32]>,
    verifier: [u8; 32],
}

impl Keys {
    fn derive(
        password: &SecretString,
        protection: Protection,
        salt: &[u8; SALT_LEN],
    ) -> Result<Self, SealError> {
        let password = normalize(password);
        let mut stretched = Zeroizing::new([0; 32]);
        let material: &[u8] = match protection {
            Protection::RandomPassword if password.len() < RANDOM_PASSWORD_LEN_MIN => {
                return Err(SealError::ShortPassword);
            }
            Protection::RandomPassword => &password,
            Protection::Scrypt { .. } if password.is_empty() => return Err(SealError::ShortPassword),
            Protection::Scrypt { log_n, r, p } => {
                let n = 1u64.checked_shl(log_n.into()).ok_or(SealError::Cost)?;
                let log_n = scrypt_log_n(n, r, p).map_err(|_| SealError::Cost)?;
                let params = scrypt::Params::new(log_n, r, p).map_err(|_| SealError::Cost)?;
                scrypt::scrypt(&password, salt, &params, stretched.as_mut_slice())
                    .expect("32 bytes are a length that scrypt has");
                stretched.as_slice()
            }
        };
        let hkdf = Hkdf::<Sha256>::new(Some(salt), material);
        let mut keys = Self { encryption: Zeroizing::new([0; 32]), verifier: [0; 32] };
        hkdf.expand(ENCRYPTION, keys.encryption.as_mut_slice()).expect("32 bytes are below 255 blocks");
        hkdf.expand(VERIFIER, &mut keys.verifier).expect("32 bytes are below 255 blocks");
        Ok(keys)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new_from_slice(self.encryption.as_slice()).expect("32 bytes are a key")
    }
}

struct Header {
    protection: Protection,
    salt: [u8; SALT_LEN],
    nonce: [u8; NONCE_LEN],
    cluster: ClusterId,
    generation: Generation,
    count: u32,
    verifier: [u8; 32],
}

impl Header {
    fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let (kdf, log_n, r, p) = match self.protection {
            Protection::RandomPassword => (1, 0, 0, 0),
            Protection::Scrypt { log_n, r, p } => (2, log_n, r, p),
        };
        let signed = [
            MAGIC.as_slice(),
            &VERSION.to_le_bytes(),
            &[kdf, log_n],
            &r.to_le_bytes(),
            &p.to_le_bytes(),
            &self.salt,
            &self.nonce,
            self.cluster.as_ref(),
            &self.generation.0.to_le_bytes(),
            &self.count.to_le_bytes(),
            &self.verifier,
        ]
        .concat();
        let hash = Sha256::digest(&signed);
        [signed.as_slice(), hash.as_slice()].concat().try_into().expect("the lengths sum to HEADER_LEN")
    }

    /// The header, and the encrypted rows with their tag: whole, and of the length the header says.
    fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), OpenError> {
        let known = bytes.len().min(MAGIC.len());
        if bytes[..known] != MAGIC[..known] {
            return Err(OpenError::NotAStore);
        }
        let truncated = |want| OpenError::Truncated { have: bytes.len(), want };
        let mut fields = Fields(bytes.get(MAGIC.len()..).unwrap_or_default());
        let version = u16::from_le_bytes(fields.take().ok_or_else(|| truncated(HEADER_LEN))?);
        if version != VERSION {
            return Err(OpenError::Version(version));
        }
        let (header, body) = bytes.split_at_checked(HEADER_LEN).ok_or_else(|| truncated(HEADER_LEN))?;
        let (signed, hash) = header.split_at(SIGNED_LEN);
        if Sha256::digest(signed).as_slice() != hash {
            return Err(OpenError::Corrupted("its header has changed"));
        }
        let header = Self::read(&mut fields).ok_or(OpenError::Corrupted("its header makes no sense"))?;
        let count = usize::try_from(header.count).ok().filter(|count| *count <= HALVES_MAX);
        let count = count.ok_or(OpenError::Corrupted("it claims too many halves"))?;
        let want = HEADER_LEN + count * ROW_LEN + TAG_LEN;
        match bytes.len() {
            have if have < want => Err(truncated(want)),
            have if have > want => Err(OpenError::Corrupted("bytes follow its end")),
            _ => Ok((header, body)),
        }
    }

    /// Everything after the version.
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let [kdf, log_n] = fields.take()?;
        let (r, p) = (u32::from_le_bytes(fields.take()?), u32::from_le_bytes(fields.take()?));
        let protection = match (kdf, log_n, r, p) {
            (1, 0, 0, 0) => Protection::RandomPassword,
            (2, log_n, r, p) => Protection::Scrypt { log_n, r, p },
            _ => return None,
        };
        Some(Self {
            protection,
            salt: fields.take()?,
            nonce: fields.take()?,
            cluster: Root(fields.take()?),
            generation: Generation(u32::from_le_bytes(fields.take()?)),
            count: u32::from_le_bytes(fields.take()?),
            verifier: fields.take()?,
        })
    }
}

/// Fixed-length fields, one after the other.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }
}
