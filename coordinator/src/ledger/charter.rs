//! What a pool is, for ever: the first entry of its log. The pool's id is the hash of it.

use super::policy::{DELAY_MAX_S, DELAY_MIN_S, Policy};
use super::quorum::Quorum;
use super::seat::Seat;
use crate::canonical;
use crate::formulas::allocation::Credentials;
use crate::text::Text;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use types::spec::SpecError;
use types::{Address, ChainSpec, Root, networks::NETWORKS};

/// Longest name of a pool, in bytes.
pub const NAME_LEN_MAX: usize = 64;
/// What a number of JSON holds exactly in every reader.
pub const CHAIN_ID_MAX: u64 = (1 << 53) - 1;

/// Why a pool cannot be founded so.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CharterError {
    /// Money sent to nobody, or a key that nobody has.
    #[error("the zero address is no {0}")]
    Zero(Seat),
    /// One principal with two powers.
    #[error("{address} is {one} and {other}; these are different principals with different keys")]
    TwoSeats {
        /// Who.
        address: Address,
        /// One power.
        one: Seat,
        /// The other.
        other: Seat,
    },
    /// Too short to notice, or too long to repair anything.
    #[error("a timelock of {have} s, where {DELAY_MIN_S} to {DELAY_MAX_S} are allowed")]
    Timelock {
        /// Seconds.
        have: u64,
    },
    /// No chain's number, or one that some readers of JSON would round.
    #[error("chain id {have}, where 1 to {CHAIN_ID_MAX} are allowed")]
    ChainId {
        /// The number.
        have: u64,
    },
    /// What is no network.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// Numbers of different networks.
    #[error("chain {chain_id} is {network}, of which {what} is told otherwise")]
    Network {
        /// The chain id that the charter names.
        chain_id: u64,
        /// Whose it is.
        network: &'static str,
        /// What differs first.
        what: &'static str,
    },
}

/// The charter. What is not in it is policy, and can be changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Charter {
    /// The pool's name.
    pub name: Text<NAME_LEN_MAX>,
    /// The network: its chain, which every wallet signs for; its time; its forks, as far as they are known. What comes after
    /// them is added by governance.
    pub network: ChainSpec,
    /// Where withdrawals go: never another place, for any validator of the pool.
    pub withdrawal_address: Address,
    /// The kind of withdrawal credentials. `0x00`, a key in somebody's hands, cannot be said.
    pub credentials: Credentials,
    /// Where the rewards of the execution layer go.
    pub fee_recipient: Address,
    /// Whose the pool's part of the fees is, in shares.
    pub treasury: Address,
    /// Who signs heads and observations, until governance changes it.
    pub coordinator: Address,
    /// Who governs, until governance changes it.
    pub governance: Quorum,
    /// Who guards deposits, until governance changes it. Any one of them stops deposits.
    pub guardians: Quorum,
    /// Seconds between the adoption of a change and its effect.
    pub timelock_s: u64,
    /// The policy, until governance changes it.
    pub policy: Policy,
}

impl Charter {
    /// The pool's id: the SHA-256 of the charter's canonical bytes.
    pub fn pool(&self) -> Root {
        canonical::hash(self)
    }

    /// Whether a pool can be founded so. Errors: the first rule that is broken.
    pub fn check(&self) -> Result<(), CharterError> {
        let money = [
            (Seat::Withdrawal, self.withdrawal_address),
            (Seat::FeeRecipient, self.fee_recipient),
            (Seat::Treasury, self.treasury),
        ];
        for (seat, address) in money.into_iter().chain([(Seat::Coordinator, self.coordinator)]) {
            if address == Address::ZERO {
                return Err(CharterError::Zero(seat));
            }
        }
        // All kinds of money may go to one address; whoever signs for the pool gets neither.
        let powers: Vec<_> = self.powers().collect();
        for (at, (one, address)) in powers.iter().enumerate() {
            let later = powers[at + 1..].iter().chain(&money);
            if let Some((other, _)) = later.copied().find(|(_, other)| other == address) {
                return Err(CharterError::TwoSeats { address: *address, one: *one, other });
            }
        }
        if !(DELAY_MIN_S..=DELAY_MAX_S).contains(&self.timelock_s) {
            return Err(CharterError::Timelock { have: self.timelock_s });
        }
        self.network()
    }

    /// Those who sign for the pool.
    fn powers(&self) -> impl Iterator<Item = (Seat, Address)> + '_ {
        let governance = self.governance.keys().map(|key| (Seat::Governance, key));
        let guardians = self.guardians.keys().map(|key| (Seat::Guardian, key));
        [(Seat::Coordinator, self.coordinator)].into_iter().chain(governance).chain(guardians)
    }

    /// A public chain is the whole of it. Others are whatever their founders say.
    fn network(&self) -> Result<(), CharterError> {
        let told = &self.network;
        told.validate()?;
        let chain_id = told.chain_id;
        if chain_id == 0 || chain_id > CHAIN_ID_MAX {
            return Err(CharterError::ChainId { have: chain_id });
        }
        for network in NETWORKS {
            let known = ChainSpec::builtin(network).filter(|known| known.chain_id == chain_id);
            if let Some(what) = known.and_then(|known| difference(told, &known)) {
                return Err(CharterError::Network { chain_id, network, what });
            }
        }
        Ok(())
    }
}

/// In what a network is told otherwise than it is known. Either may know more forks: a log is older than the program that
/// replays it, or younger.
fn difference(told: &ChainSpec, known: &ChainSpec) -> Option<&'static str> {
    let same_forks = told.forks.iter().zip(&known.forks).all(|(one, other)| one == other);
    let parts = [
        ("the name", told.name == known.name),
        ("the preset", told.preset == known.preset),
        ("the genesis time", told.genesis_time_ms == known.genesis_time_ms),
        ("the length of a slot", told.slot_ms == known.slot_ms),
        ("the length of an epoch", told.slots_per_epoch == known.slots_per_epoch),
        ("the genesis fork version", told.genesis_fork_version == known.genesis_fork_version),
        ("the genesis validators root", told.genesis_validators_root == known.genesis_validators_root),
        ("a fork", same_forks),
    ];
    parts.into_iter().find(|(_, same)| !same).map(|(what, _)| what)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::ledger::policy;
    use crate::test_keys::Wallet;
    use types::ForkVersion;

    /// A pool on Hoodi: coordinator 1, governance 11 to 13 (two of three), guardians 21 and 22.
    pub(crate) fn charter() -> Charter {
        let keys = |bytes: &[u8]| bytes.iter().map(|byte| Wallet::new(*byte).address()).collect::<Vec<_>>();
        Charter {
            name: Text::new("Meadow").unwrap(),
            network: ChainSpec::builtin("hoodi").unwrap(),
            withdrawal_address: Address([0xaa; 20]),
            credentials: Credentials::Execution,
            fee_recipient: Address([0xbb; 20]),
            treasury: Wallet::new(81).address(),
            coordinator: Wallet::new(1).address(),
            governance: Quorum::new(&keys(&[11, 12, 13]), 2).unwrap(),
            guardians: Quorum::new(&keys(&[21, 22]), 2).unwrap(),
            timelock_s: 86_400,
            policy: policy::tests::lido(),
        }
    }

    #[test]
    fn the_id_names_every_word_of_the_charter() {
        let one = charter();
        assert_eq!(one.check(), Ok(()));
        let bytes = canonical::bytes(&one);
        assert_eq!(canonical::read::<Charter>(&bytes).unwrap().pool(), one.pool());
        let mut other = one.clone();
        other.timelock_s += 1;
        assert_ne!(one.pool(), other.pool());
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains(r#""credentials":"0x01""#));
        assert!(serde_json::from_str::<Charter>(&text.replace(r#""0x01""#, r#""0x00""#)).is_err(), "M4");
    }

    #[test]
    fn principals_are_different_and_money_goes_to_none_of_them() {
        let refused = |change: &dyn Fn(&mut Charter), want: CharterError| {
            let mut charter = charter();
            change(&mut charter);
            assert_eq!(charter.check(), Err(want));
        };
        let [coordinator, governor, guardian] = [1, 11, 21].map(|byte| Wallet::new(byte).address());
        let quorum = |key| Quorum::new(&[key], 1).unwrap();
        let two = |address, one, other| CharterError::TwoSeats { address, one, other };
        refused(
            &|charter| charter.governance = quorum(coordinator),
            two(coordinator, Seat::Coordinator, Seat::Governance),
        );
        refused(
            &|charter| charter.guardians = quorum(coordinator),
            two(coordinator, Seat::Coordinator, Seat::Guardian),
        );
        refused(
            &|charter| charter.guardians = quorum(governor),
            two(governor, Seat::Governance, Seat::Guardian),
        );
        refused(
            &|charter| charter.withdrawal_address = governor,
            two(governor, Seat::Governance, Seat::Withdrawal),
        );
        refused(
            &|charter| charter.fee_recipient = guardian,
            two(guardian, Seat::Guardian, Seat::FeeRecipient),
        );
        refused(
            &|charter| charter.withdrawal_address = coordinator,
            two(coordinator, Seat::Coordinator, Seat::Withdrawal),
        );
        refused(&|charter| charter.withdrawal_address = Address::ZERO, CharterError::Zero(Seat::Withdrawal));
        refused(&|charter| charter.fee_recipient = Address::ZERO, CharterError::Zero(Seat::FeeRecipient));
        refused(&|charter| charter.treasury = Address::ZERO, CharterError::Zero(Seat::Treasury));
        refused(&|charter| charter.treasury = governor, two(governor, Seat::Governance, Seat::Treasury));
        refused(&|charter| charter.coordinator = Address::ZERO, CharterError::Zero(Seat::Coordinator));
        let mut one_address = charter();
        one_address.fee_recipient = one_address.withdrawal_address;
        assert_eq!(one_address.check(), Ok(()));
    }

    #[test]
    fn a_timelock_can_be_noticed_and_a_public_chain_is_the_whole_of_it() {
        let mut pool = charter();
        for have in [0, 59, DELAY_MAX_S + 1] {
            pool.timelock_s = have;
            assert_eq!(pool.check(), Err(CharterError::Timelock { have }));
        }
        type Change = fn(&mut ChainSpec);
        let changes: [(&str, Change); 8] = [
            ("the name", |network| network.name.push('x')),
            ("the preset", |network| network.preset = types::spec::Preset::Minimal),
            ("the genesis time", |network| network.genesis_time_ms += 1),
            ("the length of a slot", |network| network.slot_ms += 1),
            ("the length of an epoch", |network| network.slots_per_epoch += 1),
            ("the genesis fork version", |network| network.genesis_fork_version = ForkVersion([0; 4])),
            ("the genesis validators root", |network| network.genesis_validators_root = Root::ZERO),
            ("a fork", |network| network.forks[0].version = ForkVersion([9; 4])),
        ];
        for (what, change) in changes {
            let mut pool = charter();
            change(&mut pool.network);
            let hoodi = CharterError::Network { chain_id: 560_048, network: "hoodi", what };
            assert_eq!(pool.check(), Err(hoodi));
            pool.network.chain_id = 1337;
            assert_eq!(pool.check(), Ok(()), "a chain of one's own");
        }
        let mut pool = charter();
        pool.network.forks.pop();
        assert_eq!(pool.check(), Ok(()), "a log that was founded before a fork was known");
        pool.network.forks.clear();
        assert_eq!(pool.check(), Err(CharterError::Spec(SpecError::NoForks)));
        let mut pool = charter();
        for have in [0, CHAIN_ID_MAX + 1] {
            pool.network.chain_id = have;
            assert_eq!(pool.check(), Err(CharterError::ChainId { have }));
        }
    }
}
