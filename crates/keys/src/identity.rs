//! An operator's secp256k1 node key: its file, its ENR, its signatures, and the keys of its peers.
//!
//! The same key is the node's libp2p identity. Signatures are over 32-byte digests, deterministic (RFC 6979), low `s`.

use crate::enr;
use crate::secret_file::{ReadError, WriteError, read_secret, write_new_secret};
use k256::ecdsa::signature::hazmat::PrehashVerifier;
use k256::ecdsa::{Signature, SigningKey, VerifyingKey};
use rand_core::{CryptoRng, RngCore};
use std::fmt;
use std::path::{Path, PathBuf};
use thiserror::Error;
use types::wire::{Sign, Verify};
use types::{NodeSignature, ShareIndex};
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// The key file's name in an operator's data folder, as in Obol's.
pub const KEY_FILE: &str = "charon-enr-private-key";

/// Hex digits of a key.
const KEY_DIGITS: usize = 64;

/// No key file is longer: 64 digits, and some white space of an editor.
const KEY_FILE_LEN_MAX: usize = 128;

/// Draws before a source of randomness is given up: one draw in 2^127 is unusable.
const DRAWS_MAX: usize = 8;

/// Why there is no node key.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A file holds no key.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: Box<Self>,
    },
    /// Not 64 hex digits.
    #[error("not a node key: 64 hex digits are expected")]
    NotHex,
    /// Zero, or not below the order of secp256k1.
    #[error("not a secp256k1 secret key")]
    NotAKey,
}

/// Why public keys are not those of a cluster's operators.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PeersError {
    /// More keys than any cluster has operators, or none.
    #[error("{have} node keys are not those of a cluster")]
    Count {
        /// Keys given.
        have: usize,
    },
    /// Not a compressed point of secp256k1.
    #[error("the node key of operator {0} is not a secp256k1 public key")]
    NotAKey(ShareIndex),
    /// Two operators with one key.
    #[error("operators {first} and {second} have the same node key")]
    Duplicate {
        /// The one.
        first: ShareIndex,
        /// The other.
        second: ShareIndex,
    },
    /// The own key is not the one at the own index.
    #[error("this node's key is not that of operator {0}")]
    NotOurs(ShareIndex),
}

/// An operator's node key.
///
/// # Security
/// One heap cell, wiped when dropped; never cloned; prints as `<redacted>`.
pub struct NodeKey(Box<SigningKey>);

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeKey(<redacted>)")
    }
}

impl ZeroizeOnDrop for NodeKey {}

impl NodeKey {
    /// A fresh key.
    ///
    /// - Panics if `rng` is broken: eight draws in a row unusable.
    pub fn generate(rng: &mut (impl RngCore + CryptoRng)) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        for _ in 0..DRAWS_MAX {
            rng.fill_bytes(bytes.as_mut_slice());
            if let Ok(key) = Self::from_bytes(&bytes) {
                return key;
            }
        }
        panic!("the source of randomness is broken: it drew {DRAWS_MAX} unusable keys in a row")
    }

    /// Reads 32 big-endian bytes.
    ///
    /// - Errors: [`KeyError::NotAKey`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        SigningKey::from_slice(bytes).map(|key| Self(Box::new(key))).map_err(|_| KeyError::NotAKey)
    }

    /// Reads the text of a key file: 64 hex digits, white space around them ignored.
    ///
    /// - Errors: [`KeyError::NotHex`], [`KeyError::NotAKey`].
    pub fn from_hex(text: &[u8]) -> Result<Self, KeyError> {
        let digits = text.trim_ascii();
        let mut bytes = Zeroizing::new([0; 32]);
        if digits.len() != KEY_DIGITS {
            return Err(KeyError::NotHex);
        }
        hex::decode_to_slice(digits, bytes.as_mut_slice()).map_err(|_| KeyError::NotHex)?;
        Self::from_bytes(&bytes)
    }

    /// Reads a key file.
    ///
    /// - Errors: [`KeyError`]; a file that others may read is refused.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let text = read_secret(path, KEY_FILE_LEN_MAX)?;
        let named = |error| KeyError::File { path: path.to_owned(), error: Box::new(error) };
        Self::from_hex(&text).map_err(named)
    }

    /// Makes a fresh key and its file, durable and for the owner only.
    ///
    /// - Errors: [`KeyError::Write`] if there is a file already: it is never overwritten.
    pub fn create_new(path: &Path, rng: &mut (impl RngCore + CryptoRng)) -> Result<Self, KeyError> {
        let key = Self::generate(rng);
        key.write_new(path)?;
        Ok(key)
    }

    /// Reads a key file, or makes a fresh key and its file where there is none.
    ///
    /// - Errors: [`KeyError`]; the folder must exist.
    pub fn load_or_create(path: &Path, rng: &mut (impl RngCore + CryptoRng)) -> Result<Self, KeyError> {
        match path.symlink_metadata() {
            Ok(_) => Self::load(path),
            Err(_) => Self::create_new(path, rng),
        }
    }

    /// Writes a key's file, durable and for the owner only.
    ///
    /// - Errors: [`WriteError`] if there is a file already: it is never overwritten.
    pub fn write_new(&self, path: &Path) -> Result<(), WriteError> {
        let mut digits = Zeroizing::new([0; KEY_DIGITS]);
        hex::encode_to_slice(self.secret_bytes(), digits.as_mut_slice()).expect("two digits for each byte");
        write_new_secret(path, digits.as_slice())
    }

    /// The public key: a compressed point.
    pub fn public(&self) -> [u8; 33] {
        let point = self.0.verifying_key().to_sec1_point(true);
        point.as_bytes().try_into().expect("a compressed point has 33 bytes")
    }

    /// The node record: `enr:...`, sequence number 0, no addresses; always the same for one key.
    pub fn enr(&self) -> String {
        enr::record(&self.public(), |digest| self.sign_prehash(digest).0)
    }

    /// Signs a digest: `r || s`.
    pub fn sign_prehash(&self, digest: &[u8; 32]) -> NodeSignature {
        let signed = self.sign_prehash_recoverable(digest);
        NodeSignature(signed[..64].try_into().expect("64 of 65 bytes"))
    }

    /// Signs a digest so that the key can be recovered: `r || s || v` with `v` 0 or 1, as in a lock's node signatures.
    pub fn sign_prehash_recoverable(&self, digest: &[u8; 32]) -> [u8; 65] {
        let (signature, recovery) = self.0.sign_prehash_recoverable(digest);
        let mut bytes = [0; 65];
        bytes[..64].copy_from_slice(&signature.to_bytes());
        bytes[64] = recovery.to_byte();
        bytes
    }

    /// 32 big-endian bytes, for the libp2p identity; wiped when dropped.
    pub fn secret_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes().into())
    }
}

/// The node keys of a cluster's operators, parsed once.
#[derive(Clone, Debug)]
pub struct NodeKeys(Vec<VerifyingKey>);

impl NodeKeys {
    /// Takes compressed public keys in the order of operators.
    ///
    /// - Errors: [`PeersError`]; one key twice is refused, it would count twice.
    pub fn new(keys: &[[u8; 33]]) -> Result<Self, PeersError> {
        let indices: Vec<ShareIndex> = (1..=u8::MAX).map_while(ShareIndex::new).take(keys.len()).collect();
        if keys.is_empty() || indices.len() != keys.len() {
            return Err(PeersError::Count { have: keys.len() });
        }
        for (position, key) in keys.iter().enumerate() {
            if let Some(earlier) = keys[..position].iter().position(|other| other == key) {
                return Err(PeersError::Duplicate { first: indices[earlier], second: indices[position] });
            }
        }
        let parse = |(key, index): (&[u8; 33], &ShareIndex)| {
            VerifyingKey::from_sec1_bytes(key).map_err(|_| PeersError::NotAKey(*index))
        };
        keys.iter().zip(&indices).map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// Whose key this is, if it is an operator's.
    pub fn index_of(&self, public: &[u8; 33]) -> Option<ShareIndex> {
        let position = VerifyingKey::from_sec1_bytes(public).ok().and_then(|key| self.position(&key))?;
        ShareIndex::new(u8::try_from(position + 1).ok()?)
    }

    fn position(&self, key: &VerifyingKey) -> Option<usize> {
        self.0.iter().position(|other| other == key)
    }
}

impl Verify for NodeKeys {
    /// High `s` is refused: a statement has one valid signature per key that signs as RFC 6979 says.
    fn verify(&self, author: ShareIndex, digest: &[u8; 32], signature: &NodeSignature) -> bool {
        let Some(key) = self.0.get(author.position()) else { return false };
        let Ok(signature) = Signature::from_slice(signature.as_ref()) else { return false };
        signature.normalize_s() == signature && key.verify_prehash(digest, &signature).is_ok()
    }
}

/// This operator among its peers: signs as itself, verifies everybody.
#[derive(Debug)]
pub struct Operator {
    key: NodeKey,
    index: ShareIndex,
    peers: NodeKeys,
}

impl Operator {
    /// Puts the own key beside the cluster's.
    ///
    /// - `peers`: all operators, this one included.
    /// - Errors: [`PeersError::NotOurs`] if `index` is another's.
    pub fn new(key: NodeKey, index: ShareIndex, peers: NodeKeys) -> Result<Self, PeersError> {
        if peers.position(key.0.verifying_key()) != Some(index.position()) {
            return Err(PeersError::NotOurs(index));
        }
        Ok(Self { key, index, peers })
    }

    /// The own key.
    pub const fn key(&self) -> &NodeKey {
        &self.key
    }

    /// Everybody's public keys.
    pub const fn peers(&self) -> &NodeKeys {
        &self.peers
    }
}

impl Verify for Operator {
    fn verify(&self, author: ShareIndex, digest: &[u8; 32], signature: &NodeSignature) -> bool {
        self.peers.verify(author, digest, signature)
    }
}

impl Sign for Operator {
    fn author(&self) -> ShareIndex {
        self.index
    }

    fn sign(&self, digest: &[u8; 32]) -> NodeSignature {
        self.key.sign_prehash(digest)
    }
}
