//! The chain's first state, and keystores of ordinary validators.

use super::{
    engine::GENESIS_BLOCK_HASH,
    site::{PRESET, ScriptError, Site},
};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use types::{
    ChainSpec, Epoch, Fork, ForkVersion, Preset, PublicKey, Root,
    spec::{ForkEpoch, SlotTiming},
};

const GENESIS: (&str, &str) = ("genesis.mjs", include_str!("../../lodestar/genesis.mjs"));
const KEYS: (&str, &str) = ("keys.mjs", include_str!("../../lodestar/keys.mjs"));

/// Execution chain id of the `dev` network.
const CHAIN_ID: u64 = 1337;

/// A validator that is active from genesis on, with 32 ETH.
#[derive(Clone, Debug, Serialize)]
pub struct GenesisValidator {
    /// Its key. No deposit signature is needed.
    pub pubkey: PublicKey,
    /// Its withdrawal credentials, first byte included.
    pub withdrawal_credentials: Root,
}

impl GenesisValidator {
    /// A validator whose withdrawals go to a made-up execution address.
    pub fn ordinary(pubkey: PublicKey) -> Self {
        let mut credentials = [0xab; 32];
        credentials[..12].copy_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        Self { pubkey, withdrawal_credentials: Root(credentials) }
    }
}

/// The chain's first state on disk, and what its nodes have to know.
#[derive(Clone, Debug)]
pub struct Genesis {
    /// The state, SSZ.
    pub file: PathBuf,
    /// The chain's parameters: Capella from epoch 0 on, and no fork after it.
    pub spec: ChainSpec,
}

/// Keystores in a folder, all under one password.
#[derive(Clone, Debug)]
pub struct Keystores {
    /// Holds `keystore-0.json` and so on, nothing else.
    pub dir: PathBuf,
    /// File with the password.
    pub password_file: PathBuf,
    /// Their public keys, in the order of the files.
    pub pubkeys: Vec<PublicKey>,
}

#[derive(Serialize)]
struct GenesisOrder<'a> {
    libs: &'a Path,
    out: &'a Path,
    preset: &'a str,
    genesis_time: u64,
    eth1_block_hash: &'a str,
    validators: &'a [GenesisValidator],
}

#[derive(Deserialize)]
struct GenesisReply {
    slots_per_epoch: u64,
    genesis_validators_root: Root,
    genesis_fork_version: ForkVersion,
    capella_fork_version: ForkVersion,
}

#[derive(Serialize)]
struct KeysOrder<'a> {
    libs: &'a Path,
    out: &'a Path,
    seed: &'a str,
    password: &'a str,
    count: usize,
}

#[derive(Deserialize)]
struct KeysReply {
    pubkeys: Vec<PublicKey>,
}

impl Site {
    /// Writes the state of a chain that starts in Capella at `time_s`, Unix seconds.
    ///
    /// - `validators`: in the order of their indices.
    /// - Errors: see [`ScriptError`].
    /// - Cost: well below a second for a hundred validators.
    pub async fn write_genesis(
        &self,
        time_s: u64,
        validators: &[GenesisValidator],
    ) -> Result<Genesis, ScriptError> {
        let file = self.run().join("genesis.ssz");
        let order = GenesisOrder {
            libs: self.libraries(),
            out: &file,
            preset: PRESET,
            genesis_time: time_s,
            eth1_block_hash: GENESIS_BLOCK_HASH,
            validators,
        };
        let reply: GenesisReply = self.script(GENESIS, &order).await?;
        let fork = ForkEpoch { fork: Fork::Capella, version: reply.capella_fork_version, epoch: Epoch(0) };
        let spec = ChainSpec {
            name: "devnet".into(),
            preset: Preset::Minimal,
            genesis_time_ms: time_s * 1000,
            slot_ms: self.slot_s() * 1000,
            slots_per_epoch: reply.slots_per_epoch,
            genesis_fork_version: reply.genesis_fork_version,
            genesis_validators_root: reply.genesis_validators_root,
            forks: vec![fork],
            timing: SlotTiming::default(),
            chain_id: CHAIN_ID,
        };
        Ok(Genesis { file, spec })
    }

    /// Writes `count` keystores into the folder `name` of the run; the same `seed` gives the same keys.
    ///
    /// - Errors: see [`ScriptError`].
    /// - Cost: about a millisecond a key.
    ///
    /// # Security
    ///
    /// Keys from a seed that anybody can read in the run's folder: for chains without value.
    pub async fn write_keystores(
        &self,
        name: &str,
        seed: &str,
        count: usize,
    ) -> Result<Keystores, ScriptError> {
        let dir = self.run().join(name);
        let password = "devnet";
        let password_file = self.write(&format!("{name}.password.txt"), password)?;
        let order = KeysOrder { libs: self.libraries(), out: &dir, seed, password, count };
        let KeysReply { pubkeys } = self.script(KEYS, &order).await?;
        Ok(Keystores { dir, password_file, pubkeys })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_credentials_name_an_execution_address() {
        let validator = GenesisValidator::ordinary(PublicKey::ZERO);
        let credentials = validator.withdrawal_credentials.to_string();
        assert_eq!(credentials, format!("0x01{}{}", "00".repeat(11), "ab".repeat(20)));
    }
}
