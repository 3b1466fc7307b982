//! A wallet's signature, in the one form that is taken.

use cluster::k1;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, str::FromStr};
use thiserror::Error;
use types::{Address, Root, bytes::hex_array};

/// Half the order of secp256k1, rounded down: the largest low `s` (EIP-2).
const S_MAX: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x5d,
    0x57, 0x6e, 0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
];

/// Why bytes are no signature of a wallet.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SignatureError {
    /// Not 65 bytes of hex.
    #[error("a signature is 65 bytes, as 130 digits of hex after 0x")]
    Form,
    /// The second form of a signature, which anybody can make of the first.
    #[error("the signature has a high s; wallets make the low one")]
    HighS,
    /// A recovery byte of another kind.
    #[error("recovery byte {v}, where 27 or 28 is wanted; libraries that write 0 or 1 add 27")]
    RecoveryByte {
        /// The byte.
        v: u8,
    },
    /// No key could have made it.
    #[error("no key can have made this signature")]
    NoKey,
}

/// `r || s || v`, `s` low, `v` 27 or 28: of one message and one key there is one such signature that a wallet makes.
///
/// It is a wallet's own key that signs. A contract wallet (EIP-1271) has none; it cannot write to a coordinator, because
/// whoever replays the log has no chain to ask.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct WalletSignature([u8; 65]);

impl WalletSignature {
    /// Errors: a high `s`; a recovery byte that is not 27 or 28.
    pub fn new(bytes: [u8; 65]) -> Result<Self, SignatureError> {
        if bytes[32..64] > S_MAX[..] {
            return Err(SignatureError::HighS);
        }
        match bytes[64] {
            27 | 28 => Ok(Self(bytes)),
            v => Err(SignatureError::RecoveryByte { v }),
        }
    }

    /// The address whose key made this over `digest`.
    ///
    /// - Nearly any signature gives *some* address: the caller says which one it must be.
    /// - Errors: [`SignatureError::NoKey`] if `r` or `s` is no number of the curve.
    /// - Cost: one double scalar multiplication.
    pub fn signer(&self, digest: Root) -> Result<Address, SignatureError> {
        k1::recover(digest, &self.0).map(|key| k1::address(&key)).map_err(|_| SignatureError::NoKey)
    }
}

impl fmt::Display for WalletSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl fmt::Debug for WalletSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for WalletSignature {
    type Err = SignatureError;
    fn from_str(text: &str) -> Result<Self, SignatureError> {
        hex_array(text).map_err(|_| SignatureError::Form).and_then(Self::new)
    }
}

impl Serialize for WalletSignature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WalletSignature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k256::{SecretKey, elliptic_curve::scalar::IsHigh};

    #[test]
    fn the_largest_low_s_is_half_the_order() {
        let low = SecretKey::from_slice(&S_MAX).unwrap();
        assert!(!bool::from(low.to_nonzero_scalar().is_high()));
        let mut next = S_MAX;
        next[31] += 1;
        assert!(bool::from(SecretKey::from_slice(&next).unwrap().to_nonzero_scalar().is_high()));
        let with_s = |s: [u8; 32]| {
            let mut bytes = [27; 65];
            bytes[32..64].copy_from_slice(&s);
            WalletSignature::new(bytes)
        };
        assert!(with_s(S_MAX).is_ok());
        assert_eq!(with_s(next), Err(SignatureError::HighS));
    }

    #[test]
    fn only_one_form_is_taken() {
        let mut bytes = [1; 65];
        for v in 0..=255 {
            bytes[64] = v;
            let want = if [27, 28].contains(&v) { Ok(()) } else { Err(SignatureError::RecoveryByte { v }) };
            assert_eq!(WalletSignature::new(bytes).map(|_| ()), want);
        }
        assert_eq!("0x00".parse::<WalletSignature>(), Err(SignatureError::Form));
        let mut zero = [0; 65];
        zero[64] = 27;
        let zero = WalletSignature::new(zero).unwrap();
        assert_eq!(zero.signer(Root::ZERO), Err(SignatureError::NoKey));
    }
}
