//! What a cluster's definition is made of. Definitions repeat their addresses for every validator, so they are made again
//! from this wherever they are needed, and only their hash is kept.

use super::Refusal;
use crate::formulas::allocation::Credentials;
use crate::ledger::charter::Charter;
use crate::ledger::operators::{OperatorId, Record};
use crate::ledger::policy::DepositSplit;
use cluster::define::TARGET_GAS_LIMIT;
use cluster::text::AddressText;
use cluster::{Definition, NewAddresses, NewDefinition, Version};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use types::{Gwei, Root};

/// An operator of a cluster that is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Who.
    pub operator: OperatorId,
    /// Its node, as it is now.
    pub node: Record,
}

/// What a definition is made of, besides the charter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outline {
    /// The proposal that it is of.
    pub proposal: Root,
    /// Which of its clusters, from 0.
    pub place: u32,
    /// Unix seconds of the proposal.
    pub at: u64,
    /// Its operators; the first has share 1.
    pub members: Vec<Member>,
    /// How many of them sign.
    pub threshold: u8,
    /// Validators.
    pub keys: u32,
    /// What they may hold together.
    pub stake: Gwei,
    /// The deposits that are signed for each.
    pub deposit: DepositSplit,
}

impl Outline {
    /// Its operators, in order.
    pub fn operators(&self) -> Vec<OperatorId> {
        self.members.iter().map(|member| member.operator).collect()
    }

    /// The definition: the same for everybody who makes it. Wallets do not sign it; their answers are in the log.
    ///
    /// - Errors: no ceremony could run on it. Cost: some hashes for every validator.
    pub fn definition(&self, charter: &Charter) -> Result<Definition, Refusal> {
        let addresses = NewAddresses {
            fee_recipient: AddressText::from(charter.fee_recipient).as_str().to_owned(),
            withdrawal: AddressText::from(charter.withdrawal_address).as_str().to_owned(),
        };
        let made = |error: &dyn ToString| Refusal::Definition(error.to_string());
        let seconds = i64::try_from(self.at).unwrap_or(i64::MAX);
        let new = NewDefinition {
            version: Version::V1_10,
            name: self.name(charter),
            operators: self.members.iter().map(|member| member.node.enr().clone()).collect(),
            threshold: self.threshold.into(),
            validators: vec![addresses; self.keys as usize],
            network: (&charter.network).into(),
            deposit_amounts: vec![self.deposit.first, self.deposit.rest],
            compounding: charter.credentials == Credentials::Compounding,
            target_gas_limit: TARGET_GAS_LIMIT,
            uuid: self.uuid(charter),
            timestamp: OffsetDateTime::from_unix_timestamp(seconds).map_err(|error| made(&error))?,
        };
        new.define().map_err(|error| made(&error))
    }

    /// The pool's name, and enough of the proposal's to tell its clusters apart.
    fn name(&self, charter: &Charter) -> String {
        let proposal = self.proposal.to_string();
        let short: String = proposal.chars().skip(2).take(8).collect();
        format!("{} {short}-{}", charter.name, self.place)
    }

    /// Two clusters never have the same: no two proposals have one hash, and a pool's name is in it.
    fn uuid(&self, charter: &Charter) -> uuid::Uuid {
        let hash = Sha256::new()
            .chain_update(charter.pool())
            .chain_update(self.proposal)
            .chain_update(self.place.to_be_bytes())
            .finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }
}
