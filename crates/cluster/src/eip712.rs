//! What creator and operators of a cluster sign with their wallets (EIP-712).
//!
//! Values are *strings*: a config hash is signed as its lower-case `0x…` text.

use alloy_sol_types::{Eip712Domain, SolStruct, eip712_domain};
use types::Root;

/// The message types. Their names and fields are hashed, so they follow the format, not the house.
mod messages {
    #![allow(missing_docs, non_snake_case, unreachable_pub)]
    alloy_sol_types::sol! {
        struct CreatorConfigHash { string creator_config_hash; }
        struct OperatorConfigHash { string operator_config_hash; }
        struct ENR { string enr; }
    }
}

/// One message of a cluster's making.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// The creator vouches for the configuration with this hash.
    CreatorConfigHash(Root),
    /// An operator agrees to the configuration with this hash.
    OperatorConfigHash(Root),
    /// An operator owns the node with this record, verbatim.
    Enr(&'a str),
}

impl Message<'_> {
    /// The digest a wallet signs: `keccak256(0x1901 || domain separator || struct hash)`.
    ///
    /// - `chain_id`: of the execution layer that belongs to the cluster's fork version.
    pub fn digest(self, chain_id: u64) -> Root {
        let domain = domain(chain_id);
        let hash = match self {
            Self::CreatorConfigHash(hash) => {
                messages::CreatorConfigHash { creator_config_hash: hash.to_string() }
                    .eip712_signing_hash(&domain)
            }
            Self::OperatorConfigHash(hash) => {
                messages::OperatorConfigHash { operator_config_hash: hash.to_string() }
                    .eip712_signing_hash(&domain)
            }
            Self::Enr(enr) => messages::ENR { enr: enr.to_owned() }.eip712_signing_hash(&domain),
        };
        Root(hash.0)
    }
}

/// The domain separator of a chain.
pub fn domain_separator(chain_id: u64) -> Root {
    Root(domain(chain_id).separator().0)
}

fn domain(chain_id: u64) -> Eip712Domain {
    eip712_domain! { name: "Obol", version: "1", chain_id: chain_id, }
}
