//! EIP-2335 keystores, version 4: read with scrypt or PBKDF2, written with PBKDF2.

use crate::share::{ScalarError, SecretShare, VcHalf};
use aes::Aes128;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use rand_core::{CryptoRng, RngCore};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use thiserror::Error;
use types::PublicKey;
use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;
use zeroize::Zeroizing;

/// The version of EIP-2335.
const VERSION: u32 = 4;

/// No keystore file is longer: real ones have about 900 bytes and a description.
pub const KEYSTORE_LEN_MAX: usize = 64 << 10;

/// PBKDF2 rounds of the EIP's example, of every tool of the field, and the default here.
pub const PBKDF2_ROUNDS: u32 = 262_144;

/// PBKDF2 rounds beside a password of [`RANDOM_PASSWORD_LEN`] random bytes, which nobody guesses however cheap a guess is.
///
/// The fewest that NIST SP 800-132 allows: clients take one round and more, libraries in FIPS mode refuse less than these.
pub const PBKDF2_ROUNDS_OF_RANDOM: u32 = 1_000;

/// Random bytes of a password that no person has to remember; it is written as twice as many hex digits.
pub const RANDOM_PASSWORD_LEN: usize = 32;

/// Most PBKDF2 rounds taken from a file: 64 times the default, less than a minute of work.
pub const PBKDF2_ROUNDS_MAX: u32 = 1 << 24;

/// Most memory of each of scrypt's two arrays (`128 n r` and `128 p r`), in bytes: twice that of the EIP's example.
pub const SCRYPT_MEMORY_MAX: u64 = 512 << 20;

/// Most work that scrypt may do for a file, in bytes mixed (`128 n r p`): eight times the EIP's example.
pub const SCRYPT_WORK_MAX: u64 = 2 << 30;

/// Bytes derived: half for AES, half for the checksum.
const DERIVED_LEN: usize = 32;

/// Bytes of a BLS secret key.
const SECRET_LEN: usize = 32;

/// Longest salt taken from a file, in bytes: twice the block of SHA-256.
const SALT_LEN_MAX: usize = 128;

/// Where the field's tools say a validator's signing key lies; a share lies nowhere, and readers want something.
pub const SIGNING_KEY_PATH: &str = "m/12381/3600/0/0/0";

/// Why text is not a keystore that can be opened here.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ParseError {
    /// Longer than [`KEYSTORE_LEN_MAX`].
    #[error("a keystore of {len} bytes, at most {KEYSTORE_LEN_MAX} are read")]
    TooLong {
        /// Its length.
        len: usize,
    },
    /// Not the JSON of EIP-2335.
    #[error("not a keystore: {0}")]
    Json(String),
    /// Another version.
    #[error("keystore version {0}, only {VERSION} is known")]
    Version(u32),
    /// A function that EIP-2335 does not have, or one with the parameters of another.
    #[error("unknown {role} function {name:?}")]
    Function {
        /// What it is for.
        role: &'static str,
        /// Its name in the file.
        name: String,
    },
    /// A length or cost that no honest file has.
    #[error("{0}")]
    Parameter(&'static str),
}

/// Why a keystore does not decrypt.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DecryptError {
    /// The checksum differs. Damage to the ciphertext looks the same.
    #[error("wrong password")]
    WrongPassword,
    /// The password is right, and what it protects is no BLS key.
    #[error("the keystore holds no BLS key: {0}")]
    NotAKey(ScalarError),
    /// The password is right, and the key is not the one the file names.
    #[error("the keystore says it holds {stated}, but it holds {actual}")]
    OtherKey {
        /// What the file says.
        stated: PublicKey,
        /// What is in it.
        actual: PublicKey,
    },
}

/// A secret that may lie in a keystore: a whole key or a validator client's half, never a node's half.
pub trait KeystoreSecret: sealed::Sealed {
    /// Its public key, written beside it in clear.
    fn public_key(&self) -> PublicKey;
    /// 32 big-endian bytes.
    fn secret_bytes(&self) -> Zeroizing<Box<[u8]>>;
}

/// What [`Keystore::encrypt`] writes around the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptOptions {
    /// PBKDF2 rounds. Fewer than [`PBKDF2_ROUNDS`] only beside a random password, or in tests.
    pub rounds: u32,
    /// EIP-2334 path, [`SIGNING_KEY_PATH`] unless told.
    pub path: String,
    /// Free text, empty unless told.
    pub description: String,
}

impl EncryptOptions {
    /// For a password of [`RANDOM_PASSWORD_LEN`] random bytes.
    pub fn of_random_password() -> Self {
        Self { rounds: PBKDF2_ROUNDS_OF_RANDOM, ..Self::default() }
    }
}

impl Default for EncryptOptions {
    fn default() -> Self {
        Self { rounds: PBKDF2_ROUNDS, path: SIGNING_KEY_PATH.to_owned(), description: String::new() }
    }
}

/// A keystore that is well-formed and within the limits. Holds no secret in clear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Document")]
#[serde(try_from = "Document")]
pub struct Keystore {
    kdf: Kdf,
    checksum: [u8; 32],
    iv: [u8; 16],
    ciphertext: [u8; SECRET_LEN],
    /// Free text.
    pub description: String,
    /// The public key that the file names, if it names one.
    pub pubkey: Option<PublicKey>,
    /// EIP-2334 path; empty if there is none.
    pub path: String,
    /// Its identifier.
    pub uuid: String,
}

impl Keystore {
    /// Reads a keystore file.
    ///
    /// - Errors: [`ParseError`]; costs and lengths beyond the limits of this module are refused here.
    pub fn parse(json: &[u8]) -> Result<Self, ParseError> {
        if json.len() > KEYSTORE_LEN_MAX {
            return Err(ParseError::TooLong { len: json.len() });
        }
        let document: Document =
            serde_json::from_slice(json).map_err(|error| ParseError::Json(error.to_string()))?;
        document.try_into()
    }

    /// Decrypts to a whole key: a share of an imported cluster, or any validator's key.
    ///
    /// - Errors: [`DecryptError`]; [`DecryptError::WrongPassword`] tells nothing more.
    /// - Cost: what the file asks for, bounded by this module's limits.
    pub fn decrypt(&self, password: &SecretString) -> Result<SecretShare, DecryptError> {
        let key = self.derive(password);
        if !same(&checksum_of(&key, &self.ciphertext), &self.checksum) {
            return Err(DecryptError::WrongPassword);
        }
        let mut secret = Zeroizing::new(self.ciphertext);
        crypt(&key, &self.iv, secret.as_mut_slice());
        let share = SecretShare::from_be_bytes(secret.as_slice()).map_err(DecryptError::NotAKey)?;
        let actual = share.public();
        match self.pubkey {
            Some(stated) if stated != actual => Err(DecryptError::OtherKey { stated, actual }),
            _ => Ok(share),
        }
    }

    /// Decrypts to a validator client's half.
    ///
    /// - Errors, cost: as of [`Keystore::decrypt`].
    pub fn decrypt_half(&self, password: &SecretString) -> Result<VcHalf, DecryptError> {
        self.decrypt(password).map(SecretShare::into_imported_half)
    }

    /// Encrypts a secret with PBKDF2 and AES-128-CTR.
    ///
    /// - `rng`: gives salt, initialization vector and identifier. One stream must not meet two secrets.
    /// - Cost: `options.rounds` HMACs, about 0.1 s for the default.
    pub fn encrypt(
        secret: &impl KeystoreSecret,
        password: &SecretString,
        options: EncryptOptions,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Self {
        let mut salt = vec![0; DERIVED_LEN];
        let (mut iv, mut id) = ([0; 16], [0; 16]);
        rng.fill_bytes(&mut salt);
        rng.fill_bytes(&mut iv);
        rng.fill_bytes(&mut id);
        let kdf = Kdf::Pbkdf2 { rounds: options.rounds.clamp(1, PBKDF2_ROUNDS_MAX), salt };
        let mut keystore = Self {
            kdf,
            checksum: [0; 32],
            iv,
            ciphertext: [0; SECRET_LEN],
            description: options.description,
            pubkey: Some(secret.public_key()),
            path: options.path,
            uuid: uuid::Builder::from_random_bytes(id).into_uuid().to_string(),
        };
        let key = keystore.derive(password);
        let mut buffer = secret.secret_bytes();
        crypt(&key, &iv, &mut buffer);
        keystore.ciphertext.copy_from_slice(&buffer);
        keystore.checksum = checksum_of(&key, &keystore.ciphertext);
        keystore
    }

    /// Memory that its derivation takes, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        match self.kdf {
            Kdf::Pbkdf2 { .. } => 0,
            Kdf::Scrypt { log_n, r, p, .. } => ((1 << log_n) + u64::from(p)) * 128 * u64::from(r),
        }
    }

    /// The file's text: one-space indent, fields in the order of EIP-2335, no line end at the end.
    pub fn to_json(&self) -> String {
        let mut text = Vec::new();
        let format = serde_json::ser::PrettyFormatter::with_indent(b" ");
        let mut serializer = serde_json::Serializer::with_formatter(&mut text, format);
        self.serialize(&mut serializer).expect("a document of strings and numbers is JSON");
        String::from_utf8(text).expect("serde_json writes UTF-8")
    }

    fn derive(&self, password: &SecretString) -> Zeroizing<[u8; DERIVED_LEN]> {
        let password = normalize(password);
        let mut key = Zeroizing::new([0; DERIVED_LEN]);
        match &self.kdf {
            Kdf::Pbkdf2 { rounds, salt } => {
                pbkdf2::pbkdf2_hmac::<Sha256>(&password, salt, *rounds, key.as_mut_slice());
            }
            Kdf::Scrypt { log_n, r, p, salt } => {
                let params =
                    scrypt::Params::new(*log_n, *r, *p).expect("checked against the limits on reading");
                scrypt::scrypt(&password, salt, &params, key.as_mut_slice())
                    .expect("32 bytes are a length that scrypt has");
            }
        }
        key
    }
}

impl fmt::Display for Keystore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json())
    }
}

/// The bytes of a password as EIP-2335 has them: NFKD, without the control codes C0, C1 and Delete.
pub(crate) fn normalize(password: &SecretString) -> Zeroizing<Vec<u8>> {
    let control = |c: &char| matches!(u32::from(*c), 0x00..=0x1f | 0x7f..=0x9f);
    // NFKD makes one character at most 18; reserving first keeps the vector from leaving copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(18 * 4 * password.expose_secret().len()));
    let mut utf8 = Zeroizing::new([0; 4]);
    for c in password.expose_secret().nfkd().filter(|c| !control(c)) {
        bytes.extend_from_slice(c.encode_utf8(utf8.as_mut_slice()).as_bytes());
    }
    bytes
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kdf {
    Pbkdf2 { rounds: u32, salt: Vec<u8> },
    Scrypt { log_n: u8, r: u32, p: u32, salt: Vec<u8> },
}

/// The file as it is written.
#[derive(Serialize, Deserialize)]
struct Document {
    crypto: Crypto,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    pubkey: Option<String>,
    #[serde(default)]
    path: String,
    uuid: String,
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct Crypto {
    kdf: Module<KdfParams>,
    checksum: Module<Empty>,
    cipher: Module<CipherParams>,
}

#[derive(Serialize, Deserialize)]
struct Module<P> {
    function: String,
    params: P,
    message: String,
}

#[derive(Serialize, Deserialize)]
struct Empty {}

#[derive(Serialize, Deserialize)]
struct CipherParams {
    iv: String,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum KdfParams {
    Pbkdf2 { dklen: u32, c: u32, prf: String, salt: String },
    Scrypt { dklen: u32, n: u64, p: u32, r: u32, salt: String },
}

impl TryFrom<Document> for Keystore {
    type Error = ParseError;

    fn try_from(document: Document) -> Result<Self, ParseError> {
        if document.version != VERSION {
            return Err(ParseError::Version(document.version));
        }
        let Crypto { kdf, checksum, cipher } = document.crypto;
        expect_function("checksum", checksum.function, "sha256")?;
        expect_function("cipher", cipher.function, "aes-128-ctr")?;
        let stated = document.pubkey.filter(|key| !key.is_empty());
        let pubkey =
            stated.map(|key| array(&key, "pubkey is not 48 bytes of hex").map(PublicKey)).transpose()?;
        Ok(Self {
            kdf: kdf_of(kdf)?,
            checksum: array(&checksum.message, "checksum is not 32 bytes of hex")?,
            iv: array(&cipher.params.iv, "iv is not 16 bytes of hex")?,
            ciphertext: array(&cipher.message, "the encrypted secret is not 32 bytes of hex")?,
            description: document.description.unwrap_or_default(),
            pubkey,
            path: document.path,
            uuid: checked_uuid(document.uuid)?,
        })
    }
}

impl From<Keystore> for Document {
    fn from(keystore: Keystore) -> Self {
        let module = |function: &str, message: String| (function.to_owned(), message);
        let (function, message) = module("sha256", hex::encode(keystore.checksum));
        let checksum = Module { function, params: Empty {}, message };
        let (function, message) = module("aes-128-ctr", hex::encode(keystore.ciphertext));
        let cipher = Module { function, params: CipherParams { iv: hex::encode(keystore.iv) }, message };
        let dklen = DERIVED_LEN as u32;
        let (function, params) = match keystore.kdf {
            Kdf::Pbkdf2 { rounds, salt } => {
                let prf = "hmac-sha256".to_owned();
                ("pbkdf2", KdfParams::Pbkdf2 { dklen, c: rounds, prf, salt: hex::encode(salt) })
            }
            Kdf::Scrypt { log_n, r, p, salt } => {
                ("scrypt", KdfParams::Scrypt { dklen, n: 1 << log_n, p, r, salt: hex::encode(salt) })
            }
        };
        Self {
            crypto: Crypto {
                kdf: Module { function: function.to_owned(), params, message: String::new() },
                checksum,
                cipher,
            },
            description: Some(keystore.description),
            pubkey: keystore.pubkey.map(|key| hex::encode(key.0)),
            path: keystore.path,
            uuid: keystore.uuid,
            version: VERSION,
        }
    }
}

impl KeystoreSecret for SecretShare {
    fn public_key(&self) -> PublicKey {
        self.public()
    }
    fn secret_bytes(&self) -> Zeroizing<Box<[u8]>> {
        self.to_be_bytes()
    }
}

impl KeystoreSecret for VcHalf {
    fn public_key(&self) -> PublicKey {
        self.public()
    }
    fn secret_bytes(&self) -> Zeroizing<Box<[u8]>> {
        self.to_be_bytes()
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::SecretShare {}
    impl Sealed for super::VcHalf {}
}

fn kdf_of(module: Module<KdfParams>) -> Result<Kdf, ParseError> {
    match (module.function.as_str(), module.params) {
        ("pbkdf2", KdfParams::Pbkdf2 { dklen, c, prf, salt }) => {
            check(dklen == DERIVED_LEN as u32, "dklen is not 32")?;
            expect_function("pseudo-random", prf, "hmac-sha256")?;
            check((1..=PBKDF2_ROUNDS_MAX).contains(&c), "pbkdf2 asks for no rounds, or too many")?;
            Ok(Kdf::Pbkdf2 { rounds: c, salt: salt_of(&salt)? })
        }
        ("scrypt", KdfParams::Scrypt { dklen, n, p, r, salt }) => {
            check(dklen == DERIVED_LEN as u32, "dklen is not 32")?;
            let log_n = scrypt_log_n(n, r, p)?;
            Ok(Kdf::Scrypt { log_n, r, p, salt: salt_of(&salt)? })
        }
        _ => Err(ParseError::Function { role: "key derivation", name: module.function }),
    }
}

/// `log2 n`, if the parameters are those of scrypt and within the limits.
pub(crate) fn scrypt_log_n(n: u64, r: u32, p: u32) -> Result<u8, ParseError> {
    check(n >= 2 && n.is_power_of_two() && r >= 1 && p >= 1, "scrypt parameters make no sense")?;
    let block = 128 * u64::from(r);
    let memory = block.checked_mul(n.max(p.into()));
    let work = block.checked_mul(n).and_then(|bytes| bytes.checked_mul(p.into()));
    check(memory.is_some_and(|bytes| bytes <= SCRYPT_MEMORY_MAX), "scrypt asks for too much memory")?;
    check(work.is_some_and(|bytes| bytes <= SCRYPT_WORK_MAX), "scrypt asks for too much work")?;
    Ok(u8::try_from(n.trailing_zeros()).expect("a u64 has at most 64 bits"))
}

fn salt_of(text: &str) -> Result<Vec<u8>, ParseError> {
    check(text.len() <= 2 * SALT_LEN_MAX, "salt is too long")?;
    hex::decode(text).map_err(|_| ParseError::Parameter("salt is not hex"))
}

fn checked_uuid(text: String) -> Result<String, ParseError> {
    let known = Uuid::parse_str(&text).is_ok();
    check(known, "uuid is not an identifier of 16 bytes")?;
    Ok(text)
}

fn expect_function(role: &'static str, name: String, expected: &str) -> Result<(), ParseError> {
    if name == expected { Ok(()) } else { Err(ParseError::Function { role, name }) }
}

fn check(holds: bool, rule: &'static str) -> Result<(), ParseError> {
    if holds { Ok(()) } else { Err(ParseError::Parameter(rule)) }
}

fn array<const N: usize>(text: &str, rule: &'static str) -> Result<[u8; N], ParseError> {
    types::bytes::hex_array(text).map_err(|_| ParseError::Parameter(rule))
}

/// `sha256(key[16..32] || ciphertext)`.
fn checksum_of(key: &[u8; DERIVED_LEN], ciphertext: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(&key[16..]).chain_update(ciphertext).finalize().into()
}

/// Encrypts or decrypts in place: a counter mode is its own inverse.
fn crypt(key: &[u8; DERIVED_LEN], iv: &[u8; 16], buffer: &mut [u8]) {
    let mut cipher = Ctr128BE::<Aes128>::new_from_slices(&key[..16], iv).expect("16 and 16 bytes");
    cipher.apply_keystream(buffer);
}

/// Equality in time that depends on nothing.
pub(crate) fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.iter().zip(b).fold(0, |bits, (a, b)| bits | (a ^ b)) == 0
}
