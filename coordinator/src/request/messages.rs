//! What wallets and nodes sign for a pool (EIP-712), as digests.
//!
//! ```text
//! domain       {name: "Symbolon Pool", version: "1", chainId}
//! Request      (string method,string path,bytes32 body,bytes32 pool,uint256 nonce,uint256 expiry)
//! Observation  (bytes32 pool,uint256 seq,bytes32 prev,uint256 at,string kind,bytes32 body)
//! Head         (bytes32 pool,uint256 size,bytes32 root,bytes32 last,bytes32 state,uint256 at)
//! NodeBinding  (bytes32 pool,address manager,string enr)
//! ```
//!
//! `body` is the Keccak-256 of the exact bytes of a body. Domain and `Request` are [`cluster::pool_request`]'s: nodes sign
//! requests in programs that have no coordinator.

use alloy_sol_types::SolStruct;
use cluster::PoolRequest;
use cluster::pool_request::domain;
use types::{Address, Root};

/// The message types. Their names and fields are hashed, so they follow EIP-712, not the house.
mod hashed {
    #![allow(missing_docs, unreachable_pub)]
    alloy_sol_types::sol! {
        struct Observation {
            bytes32 pool;
            uint256 seq;
            bytes32 prev;
            uint256 at;
            string kind;
            bytes32 body;
        }
        struct Head {
            bytes32 pool;
            uint256 size;
            bytes32 root;
            bytes32 last;
            bytes32 state;
            uint256 at;
        }
        struct NodeBinding {
            bytes32 pool;
            address manager;
            string enr;
        }
    }
}

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Somebody wishes to write.
    Request {
        /// The method of HTTP.
        method: &'a str,
        /// The path, without host and query.
        path: &'a str,
        /// The exact bytes of the body.
        body: &'a [u8],
        /// The pool's id.
        pool: Root,
        /// Higher than any that this signer has used.
        nonce: u64,
        /// Unix seconds after which it is void.
        expiry: u64,
    },
    /// The coordinator has seen something.
    Observation {
        /// The pool's id.
        pool: Root,
        /// The number of the entry that it becomes.
        seq: u64,
        /// The hash of the entry before.
        prev: Root,
        /// Unix seconds.
        at: u64,
        /// What kind of thing.
        kind: &'a str,
        /// The exact bytes that describe it.
        body: &'a [u8],
    },
    /// A log had this size and these hashes.
    Head {
        /// The pool's id.
        pool: Root,
        /// Entries.
        size: u64,
        /// The root of the tree over them.
        root: Root,
        /// The hash of the last.
        last: Root,
        /// The hash of the state that they lead to.
        state: Root,
        /// Unix seconds of the last entry.
        at: u64,
    },
    /// A node works for the operator with this manager.
    NodeBinding {
        /// The pool's id.
        pool: Root,
        /// The manager's address.
        manager: Address,
        /// The node's record, verbatim.
        enr: &'a str,
    },
}

impl Message<'_> {
    /// The digest that is signed: `keccak256(0x1901 || domain separator || struct hash)`.
    ///
    /// - `chain_id`: of the execution layer on which the pool's money is.
    pub fn digest(&self, chain_id: u64) -> Root {
        let domain = domain(chain_id);
        let hash = match *self {
            Self::Request { method, path, body, pool, nonce, expiry } => {
                return PoolRequest { method, path, body, pool, nonce, expiry }.digest(chain_id);
            }
            Self::Observation { pool, seq, prev, at, kind, body } => hashed::Observation {
                pool: pool.0.into(),
                seq: word(seq),
                prev: prev.0.into(),
                at: word(at),
                kind: kind.to_owned(),
                body: alloy_primitives::keccak256(body),
            }
            .eip712_signing_hash(&domain),
            Self::Head { pool, size, root, last, state, at } => hashed::Head {
                pool: pool.0.into(),
                size: word(size),
                root: root.0.into(),
                last: last.0.into(),
                state: state.0.into(),
                at: word(at),
            }
            .eip712_signing_hash(&domain),
            Self::NodeBinding { pool, manager, enr } => {
                hashed::NodeBinding { pool: pool.0.into(), manager: manager.0.into(), enr: enr.to_owned() }
                    .eip712_signing_hash(&domain)
            }
        };
        Root(hash.0)
    }
}

fn word(number: u64) -> alloy_primitives::U256 {
    alloy_primitives::U256::from(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOODI: u64 = 560_048;
    const POOL: Root = Root([0x11; 32]);

    /// Digests by another implementation: Python's `eth-account` 0.14.0,
    ///
    /// ```text
    /// encode_typed_data(full_message={types, primaryType, domain, message}) and sign_message(..).message_hash
    /// ```
    ///
    /// with the types of this file's head, `body` given as `eth_utils.keccak(bytes)`, and the values below.
    #[test]
    fn digests_are_those_of_another_implementation() {
        let request = Message::Request {
            method: "POST",
            path: "/v1/governance/proposals",
            body: br#"{"salt":"0x01"}"#,
            pool: POOL,
            nonce: 7,
            expiry: 1_800_000_000,
        };
        let observation = Message::Observation {
            pool: POOL,
            seq: 5,
            prev: Root([0x22; 32]),
            at: 1_800_000_000,
            kind: "finalized",
            body: b"{}",
        };
        let head = Message::Head {
            pool: POOL,
            size: 5,
            root: Root([0x22; 32]),
            last: Root([0x33; 32]),
            state: Root([0x44; 32]),
            at: 1_800_000_000,
        };
        let binding = Message::NodeBinding { pool: POOL, manager: Address([0x55; 20]), enr: "enr:-x" };
        for (message, want) in [
            (request, "0x6970c24db6d08fc986e052b86a569affff54bd5fb6b828bd4943cf6db414fbb5"),
            (observation, "0x21b018024c51d12ef0d7cc79e20f56e5f80161f98f867f969b739a4217ce28f8"),
            (head, "0x71ffc1ffbc0861b94ebcdd6d8c92b71f6b3940f20ce160d0e026064d6f685e5b"),
            (binding, "0x66817e5e2a56fd3e3d1648cc29a30c63d0d248a6000bdddb27aaf8cb7e828932"),
        ] {
            assert_eq!(message.digest(HOODI).to_string(), want, "{message:?}");
            assert_ne!(message.digest(1).to_string(), want, "another chain");
        }
    }
}
