//! What a wallet or a node signs to write to a pool's coordinator (EIP-712).
//!
//! ```text
//! domain   {name: "Symbolon Pool", version: "1", chainId}
//! Request  (string method,string path,bytes32 body,bytes32 pool,uint256 nonce,uint256 expiry)
//! ```
//!
//! It stands here and not with the coordinator, because nodes sign it too, and theirs are other programs.

use alloy_primitives::U256;
use alloy_sol_types::{Eip712Domain, SolStruct, eip712_domain};
use types::Root;

/// The message type. Its name and fields are hashed, so they follow EIP-712, not the house.
mod hashed {
    #![allow(missing_docs, unreachable_pub)]
    alloy_sol_types::sol! {
        struct Request {
            string method;
            string path;
            bytes32 body;
            bytes32 pool;
            uint256 nonce;
            uint256 expiry;
        }
    }
}

/// A wish to write, as it is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolRequest<'a> {
    /// The method of HTTP, in capitals.
    pub method: &'a str,
    /// The path, without host and query.
    pub path: &'a str,
    /// The exact bytes of the body; their Keccak-256 is what is signed.
    pub body: &'a [u8],
    /// The pool's id.
    pub pool: Root,
    /// Higher than any that this signer has used.
    pub nonce: u64,
    /// Unix seconds after which it is void.
    pub expiry: u64,
}

impl PoolRequest<'_> {
    /// The digest that is signed: `keccak256(0x1901 || domain separator || struct hash)`.
    ///
    /// - `chain_id`: of the execution layer on which the pool's money is.
    pub fn digest(&self, chain_id: u64) -> Root {
        let Self { method, path, body, pool, nonce, expiry } = *self;
        let message = hashed::Request {
            method: method.to_owned(),
            path: path.to_owned(),
            body: alloy_primitives::keccak256(body),
            pool: pool.0.into(),
            nonce: U256::from(nonce),
            expiry: U256::from(expiry),
        };
        Root(message.eip712_signing_hash(&domain(chain_id)).0)
    }
}

/// The domain of everything that is signed for a pool whose money is on this chain.
pub fn domain(chain_id: u64) -> Eip712Domain {
    eip712_domain! { name: "Symbolon Pool", version: "1", chain_id: chain_id, }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By another implementation: Python's `eth-account` 0.14.0, as in the coordinator's `request::messages`.
    #[test]
    fn a_digest_is_that_of_another_implementation() {
        let request = PoolRequest {
            method: "POST",
            path: "/v1/governance/proposals",
            body: br#"{"salt":"0x01"}"#,
            pool: Root([0x11; 32]),
            nonce: 7,
            expiry: 1_800_000_000,
        };
        let want = "0x6970c24db6d08fc986e052b86a569affff54bd5fb6b828bd4943cf6db414fbb5";
        assert_eq!(request.digest(560_048).to_string(), want);
    }
}
