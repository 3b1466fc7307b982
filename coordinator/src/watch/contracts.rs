//! What the pool's contracts say: the events that become observations.
//!
//! ```text
//! vault     Paid(address indexed payer, uint256 amount)                       payment
//!           Bonded(address indexed operator, uint256 amount)                  bond-deposited
//!           Covered(address indexed payer, uint256 amount)                    cover
//!           PaidOut(uint256 indexed payout, address to, uint256 amount)       paid-out
//!           BondPaid(uint256 indexed claim, address to, uint256 amount)       bond-paid
//!           Collected(address indexed from, uint256 amount)                   rewards
//!           Reserved(address indexed payer, uint256 amount)                   reserve-paid
//!           ExitRequested(bytes pubkey, uint64 amount)                        exit-triggered, for the pool's keys
//! deposits  DepositEvent(bytes, bytes, bytes, bytes, bytes)                   sent, for the pool's keys
//! ```
//!
//! Every other log of theirs is read over. Whoever writes a vault emits these where ETH has moved, and nowhere else: the
//! ledger takes their word for it.
//!
//! Sources: Solidity's contract ABI, events; `deposit_contract.sol` of consensus-specs.

use super::said::Wrong;
use crate::ledger::State;
use crate::ledger::chain::Reference;
use crate::ledger::charter::Contracts;
use crate::ledger::{bonds, deposits, exits, pool};
use alloy_primitives::{B256, U256};
use alloy_sol_types::SolEvent;
use cluster::deposit::{DepositMessage, SignedDeposit};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use std::collections::BTreeSet;
use types::{Address, Gwei, PublicKey, Root, Signature, Slot, Wei};

pub(super) mod abi {
    alloy_sol_types::sol! {
        event Paid(address indexed payer, uint256 amount);
        event Bonded(address indexed operator, uint256 amount);
        event Covered(address indexed payer, uint256 amount);
        event PaidOut(uint256 indexed payout, address to, uint256 amount);
        event BondPaid(uint256 indexed claim, address to, uint256 amount);
        event Collected(address indexed from, uint256 amount);
        event Reserved(address indexed payer, uint256 amount);
        event ExitRequested(bytes pubkey, uint64 amount);
        event DepositEvent(bytes pubkey, bytes withdrawal_credentials, bytes amount, bytes signature, bytes index);
    }
}

/// A log of one of the pool's contracts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Log {
    /// Its place: what it counts once by.
    pub reference: Reference,
    /// The number of its block.
    pub block: u64,
    /// What it says.
    pub says: Says,
}

/// What a log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Says {
    /// A delegator paid.
    Paid(Address, Wei),
    /// Bond came in for an operator.
    Bonded(Address, Wei),
    /// Somebody paid for a loss.
    Covered(Address, Wei),
    /// The pool paid a payout.
    PaidOut(u64, Address, Wei),
    /// The pool paid a claim on a bond.
    BondPaid(u64, Address, Wei),
    /// What blocks paid the fee recipient came in.
    Collected(Address, Wei),
    /// Somebody paid for the reserve.
    Reserved(Address, Wei),
    /// The withdrawal address asked the chain for the exit of one of the pool's keys.
    ExitRequested(PublicKey),
    /// A deposit for one of the pool's keys, by the root of its data.
    Deposit(PublicKey, Root),
}

/// The first words of all these events: what is asked for.
pub fn topics() -> [Root; 9] {
    [
        abi::Paid::SIGNATURE_HASH,
        abi::Bonded::SIGNATURE_HASH,
        abi::Covered::SIGNATURE_HASH,
        abi::PaidOut::SIGNATURE_HASH,
        abi::BondPaid::SIGNATURE_HASH,
        abi::Collected::SIGNATURE_HASH,
        abi::Reserved::SIGNATURE_HASH,
        abi::ExitRequested::SIGNATURE_HASH,
        abi::DepositEvent::SIGNATURE_HASH,
    ]
    .map(|topic| Root(topic.0))
}

/// A number of JSON-RPC: `0x` and hex digits.
#[derive(Clone, Copy)]
pub(super) struct Quantity(pub(super) u64);

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits =
            text.strip_prefix("0x").filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let number = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        number.map(Self).ok_or_else(|| D::Error::custom(format!("{text:?} is no quantity of 64 bits")))
    }
}

/// A log as `eth_getLogs` writes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawLog {
    address: Address,
    topics: Vec<Root>,
    data: String,
    block_number: Quantity,
    transaction_hash: Root,
    log_index: Quantity,
    #[serde(default)]
    removed: bool,
}

/// Reads logs, in the chain's order.
///
/// - `range`: of the blocks that were asked for.
/// - Errors: a log of another block or contract; one that the chain has dropped; out of order; data that is not the event's.
pub(super) fn logs(
    raw: Vec<RawLog>,
    (from, to): (u64, u64),
    contracts: &Contracts,
    keys: &BTreeSet<PublicKey>,
) -> Result<Vec<Log>, Wrong> {
    let (mut logs, mut last) = (Vec::new(), None);
    for one in raw {
        let (block, index) = (one.block_number.0, one.log_index.0);
        let place = (block, index);
        if block < from || block > to || one.removed || last.is_some_and(|last| last >= place) {
            return Err(Wrong::Log { block, index });
        }
        last = Some(place);
        let index = u32::try_from(index).map_err(|_| Wrong::Log { block, index })?;
        let reference = Reference { hash: one.transaction_hash, index };
        let says = one.says(contracts, keys).ok_or(Wrong::Log { block, index: index.into() })?;
        logs.extend(says.map(|says| Log { reference, block, says }));
    }
    Ok(logs)
}

impl RawLog {
    /// What it says; `Some(None)` if that is not about the pool. `None` if it cannot be read, or is another contract's.
    fn says(&self, contracts: &Contracts, keys: &BTreeSet<PublicKey>) -> Option<Option<Says>> {
        let data = hex::decode(self.data.strip_prefix("0x")?).ok()?;
        let topic = B256::from(self.topics.first()?.0);
        if self.address == contracts.deposits {
            if topic != abi::DepositEvent::SIGNATURE_HASH {
                return Some(None);
            }
            return deposit(&self.decoded::<abi::DepositEvent>(&data)?, keys);
        }
        if self.address != contracts.vault {
            return None;
        }
        self.vault_says(topic, &data, keys)
    }

    /// What the vault says.
    fn vault_says(&self, topic: B256, data: &[u8], keys: &BTreeSet<PublicKey>) -> Option<Option<Says>> {
        let address = |address: alloy_primitives::Address| Address(address.into_array());
        let says = match topic {
            abi::Paid::SIGNATURE_HASH => {
                let event = self.decoded::<abi::Paid>(data)?;
                Says::Paid(address(event.payer), Wei(event.amount))
            }
            abi::Bonded::SIGNATURE_HASH => {
                let event = self.decoded::<abi::Bonded>(data)?;
                Says::Bonded(address(event.operator), Wei(event.amount))
            }
            abi::Covered::SIGNATURE_HASH => {
                let event = self.decoded::<abi::Covered>(data)?;
                Says::Covered(address(event.payer), Wei(event.amount))
            }
            abi::Collected::SIGNATURE_HASH => {
                let event = self.decoded::<abi::Collected>(data)?;
                Says::Collected(address(event.from), Wei(event.amount))
            }
            abi::Reserved::SIGNATURE_HASH => {
                let event = self.decoded::<abi::Reserved>(data)?;
                Says::Reserved(address(event.payer), Wei(event.amount))
            }
            abi::ExitRequested::SIGNATURE_HASH => {
                return Some(exit(&self.decoded::<abi::ExitRequested>(data)?, keys));
            }
            abi::PaidOut::SIGNATURE_HASH => {
                let event = self.decoded::<abi::PaidOut>(data)?;
                let Some(payout) = number(event.payout) else { return Some(None) };
                Says::PaidOut(payout, address(event.to), Wei(event.amount))
            }
            abi::BondPaid::SIGNATURE_HASH => {
                let event = self.decoded::<abi::BondPaid>(data)?;
                let Some(claim) = number(event.claim) else { return Some(None) };
                Says::BondPaid(claim, address(event.to), Wei(event.amount))
            }
            _ => return Some(None),
        };
        Some(Some(says))
    }

    fn decoded<E: SolEvent>(&self, data: &[u8]) -> Option<E> {
        E::decode_raw_log(self.topics.iter().map(|topic| B256::from(topic.0)), data).ok()
    }
}

/// Numbers of the pool have 64 bits.
fn number(number: U256) -> Option<u64> {
    u64::try_from(number).ok()
}

/// A request for a whole exit of one of these keys. One for a part of a balance is none.
fn exit(event: &abi::ExitRequested, keys: &BTreeSet<PublicKey>) -> Option<Says> {
    let pubkey = PublicKey(event.pubkey.as_ref().try_into().ok()?);
    (event.amount == 0 && keys.contains(&pubkey)).then_some(Says::ExitRequested(pubkey))
}

fn deposit(event: &abi::DepositEvent, keys: &BTreeSet<PublicKey>) -> Option<Option<Says>> {
    let public_key = PublicKey(event.pubkey.as_ref().try_into().ok()?);
    let message = DepositMessage {
        public_key,
        withdrawal_credentials: Root(event.withdrawal_credentials.as_ref().try_into().ok()?),
        // The deposit contract writes little-endian.
        amount: Gwei(u64::from_le_bytes(event.amount.as_ref().try_into().ok()?)),
    };
    let signature = Signature(event.signature.as_ref().try_into().ok()?);
    let data_root = SignedDeposit { message, signature }.data_root();
    Some(keys.contains(&public_key).then_some(Says::Deposit(public_key, data_root)))
}

impl Log {
    /// The observation of it: kind and body.
    ///
    /// - `slot`: of its block.
    /// - Errors: it is about a validator that the chain is not known to have.
    pub fn observation(&self, state: &State, slot: Slot) -> Result<(&'static str, Vec<u8>), String> {
        use crate::canonical::bytes;
        let reference = self.reference;
        Ok(match self.says {
            Says::Paid(payer, eth) => ("payment", bytes(&pool::Payment { reference, payer, eth })),
            Says::Covered(payer, eth) => ("cover", bytes(&pool::Payment { reference, payer, eth })),
            Says::Bonded(operator, amount) => {
                ("bond-deposited", bytes(&bonds::Deposited { operator, amount, reference }))
            }
            Says::PaidOut(payout, to, eth) => {
                ("paid-out", bytes(&pool::SeenPayout { payout, payment: reference, to, eth }))
            }
            Says::BondPaid(claim, _, _) => ("bond-paid", bytes(&bonds::Paid { claim, reference })),
            Says::Deposit(pubkey, data_root) => {
                let tx = reference.hash;
                ("sent", bytes(&deposits::SentDeposit { pubkey, data_root, slot, tx }))
            }
            Says::Collected(payer, eth) => ("rewards", bytes(&pool::Payment { reference, payer, eth })),
            Says::Reserved(payer, eth) => ("reserve-paid", bytes(&pool::Payment { reference, payer, eth })),
            Says::ExitRequested(pubkey) => {
                let known = state.deposits.validators().get(&pubkey).and_then(|known| known.index);
                let validator = known.ok_or_else(|| format!("the chain has no validator {pubkey} yet"))?;
                ("exit-triggered", bytes(&exits::Triggered { validator, tx: reference.hash }))
            }
        })
    }

    /// Whether it needs no telling: it was counted, or is a deposit that no batch waits for, because a stranger made it or it
    /// was told.
    pub fn is_told(&self, state: &State) -> bool {
        if let Says::Deposit(pubkey, data_root) = self.says {
            let validator = state.deposits.validators().get(&pubkey);
            let batch = validator.and_then(|validator| state.deposits.batches().get(&validator.planned?));
            let mut items = batch.map_or(&[][..], |batch| &batch.items).iter();
            return !items.any(|item| !item.sent && item.pubkey == pubkey && item.data_root == data_root);
        }
        if let Says::ExitRequested(pubkey) = self.says {
            let index = state.deposits.validators().get(&pubkey).and_then(|validator| validator.index);
            let exit = index.and_then(|index| state.exits.exits().get(&index));
            return exit.is_some_and(|exit| exit.triggers.contains(&self.reference.hash));
        }
        state.money.counted(self.reference) || state.bonds.seen.contains(&self.reference)
    }

    /// What is wrong with it though the ledger would take it: a claim was paid to somebody else, or another amount.
    pub fn wrong(&self, state: &State) -> Option<String> {
        let Says::BondPaid(number, to, amount) = self.says else { return None };
        let claim = state.bonds.claims.get(&number)?;
        let same = claim.to == to && claim.amount == amount;
        (!same).then(|| {
            format!("claim {number} is of {} wei to {}, paid were {amount} to {to}", claim.amount, claim.to)
        })
    }
}
