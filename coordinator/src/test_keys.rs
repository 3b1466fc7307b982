//! Keys of tests: wallets and nodes that sign.

use crate::request::{Incoming, Message, Nonce, Request, WalletSignature};
use cluster::{Enr, k1::NodeKey};
use k256::ecdsa::{Signature, SigningKey, signature::hazmat::PrehashSigner};
use types::{Address, NodeSignature, Root};

/// A wallet, or a node, whose secret key is one byte 32 times.
#[derive(Clone)]
pub(crate) struct Wallet(SigningKey);

impl Wallet {
    pub(crate) fn new(byte: u8) -> Self {
        Self(SigningKey::from_slice(&[byte; 32]).unwrap())
    }

    pub(crate) fn address(&self) -> Address {
        cluster::k1::address(self.0.verifying_key())
    }

    pub(crate) fn sign(&self, digest: Root) -> WalletSignature {
        let (signature, id) = self.0.sign_prehash_recoverable(&digest.0);
        assert_eq!(signature.normalize_s(), signature);
        let mut bytes = [0; 65];
        bytes[..64].copy_from_slice(&signature.to_bytes());
        bytes[64] = 27 + u8::from(id.is_y_odd());
        WalletSignature::new(bytes).unwrap()
    }

    pub(crate) fn incoming(
        &self,
        pool: Root,
        chain_id: u64,
        (method, path): (&str, &str),
        body: &str,
        nonce: u64,
        expiry: u64,
    ) -> Incoming {
        let message = Message::Request { method, path, body: body.as_bytes(), pool, nonce, expiry };
        let request = Request {
            method: method.to_owned(),
            path: path.to_owned(),
            body: body.to_owned(),
            nonce: Nonce(nonce),
            expiry,
            signature: self.sign(message.digest(chain_id)),
        };
        Incoming { pool, signer: self.address(), request }
    }

    fn sign_as_node(&self, digest: Root) -> NodeSignature {
        let signature: Signature = self.0.sign_prehash(&digest.0).unwrap();
        NodeSignature(signature.to_bytes().into())
    }

    /// This key's node record.
    pub(crate) fn enr(&self) -> Enr {
        let key = NodeKey::from(self.0.verifying_key());
        Enr::assemble(&key, &self.sign_as_node(Enr::digest(&key))).unwrap()
    }

    /// This node's word that it works for a manager.
    pub(crate) fn binding(&self, pool: Root, chain_id: u64, manager: Address) -> NodeSignature {
        let enr = self.enr();
        self.sign_as_node(Message::NodeBinding { pool, manager, enr: enr.as_str() }.digest(chain_id))
    }
}
