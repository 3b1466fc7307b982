//! A pool of tests: wallets that send, a coordinator that sees, a clock that is told.

pub(crate) mod faults;
pub(crate) mod frame;
pub(crate) mod jar;
mod sums;

pub(crate) use sums::{balanced, consistent, kinds};

use super::calls::Chosen;
use super::charter::{Charter, tests::charter};
use super::deposits::Look;
use super::entry::{Observation, Sealed};
use super::governance::{Act, Motion};
use super::log::{AppendError, Ledger};
use super::state::State;
use crate::formation::accept;
use crate::test_keys::Wallet;
use crate::text::Label;
use jar::Jar;
use serde_json::{Value, json};
use types::{Address, ClusterId, Gwei, Root};

/// When tests begin, in Unix seconds.
pub(crate) const START: u64 = 1_800_000_000;
/// The epoch that has begun then.
pub(crate) const EPOCH: u64 = 150_485;
/// An operator's manager.
pub(crate) const MANAGER: u8 = 31;
/// The same operator's reward address.
pub(crate) const REWARD: u8 = 41;
/// Its node.
pub(crate) const NODE: u8 = 51;

/// A pool, the bytes of its log, and the time.
#[derive(Clone)]
pub(crate) struct Pool {
    pub(crate) ledger: Ledger,
    pub(crate) log: Vec<Vec<u8>>,
    pub(crate) now: u64,
    nonce: u64,
    salt: u8,
    coordinator: Wallet,
}

pub(crate) fn address(byte: u8) -> Address {
    Wallet::new(byte).address()
}

impl Pool {
    pub(crate) fn new() -> Self {
        Self::of(charter())
    }

    pub(crate) fn of(charter: Charter) -> Self {
        Self::since(charter, START)
    }

    pub(crate) fn since(charter: Charter, now: u64) -> Self {
        let (ledger, first) = Ledger::found(charter, now).unwrap();
        let coordinator = Wallet::new(1);
        Self { ledger, log: vec![first.bytes()], now, nonce: 0, salt: 0, coordinator }
    }

    pub(crate) fn state(&self) -> &State {
        self.ledger.state()
    }

    /// A wallet writes.
    pub(crate) fn send(
        &mut self,
        wallet: u8,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Result<Sealed, AppendError> {
        self.nonce += 1;
        let (pool, chain) = (self.state().pool, self.state().charter.network.chain_id);
        let body = body.to_string();
        let expiry = self.now + 60;
        let incoming = Wallet::new(wallet).incoming(pool, chain, (method, path), &body, self.nonce, expiry);
        let sealed = self.ledger.request(self.now, &incoming)?;
        self.log.push(sealed.bytes());
        Ok(sealed)
    }

    pub(crate) fn post(&mut self, wallet: u8, path: &str, body: &Value) -> Result<Sealed, AppendError> {
        self.send(wallet, "POST", path, body)
    }

    /// To something of the operator of [`MANAGER`].
    pub(crate) fn operate(
        &mut self,
        wallet: u8,
        method: &str,
        rest: &str,
        body: &Value,
    ) -> Result<Sealed, AppendError> {
        self.send(wallet, method, &format!("/v1/operators/{}/{rest}", address(MANAGER)), body)
    }

    /// The coordinator has another key.
    pub(crate) fn coordinator(&mut self, byte: u8) {
        self.coordinator = Wallet::new(byte);
    }

    /// The coordinator sees something.
    pub(crate) fn see(&mut self, kind: &str, body: &Value) -> Result<Sealed, AppendError> {
        let (kind, body) = (Label::new(kind).unwrap(), body.to_string());
        let signature = self.coordinator.sign(self.ledger.position(self.now).digest(&kind, &body));
        let sealed = self.ledger.observe(self.now, Observation { kind, body, signature })?;
        self.log.push(sealed.bytes());
        Ok(sealed)
    }

    /// An epoch is final. It has begun by then.
    pub(crate) fn finalize(&mut self, epoch: u64) {
        self.now = self.now.max(self.time_of(32 * epoch));
        let root = Root([7; 32]);
        self.see("finalized", &json!({"epoch": epoch.to_string(), "root": root})).unwrap();
    }

    /// Bond of the operator of [`MANAGER`] comes in.
    pub(crate) fn deposit(&mut self, eth: &str, log_index: u32) -> Result<Sealed, AppendError> {
        self.deposit_for(address(MANAGER), eth, log_index)
    }

    pub(crate) fn deposit_for(
        &mut self,
        operator: Address,
        eth: &str,
        log_index: u32,
    ) -> Result<Sealed, AppendError> {
        let amount = types::Wei::from_eth(eth).unwrap();
        let reference = json!({"hash": Root([9; 32]), "index": log_index});
        let body = json!({"operator": operator, "amount": amount, "reference": reference});
        self.see("bond-deposited", &body)
    }

    /// What a payment is named by.
    pub(crate) fn reference(index: u32) -> Value {
        json!({"hash": Root([8; 32]), "index": index})
    }

    /// ETH comes to the pool.
    pub(crate) fn arrive(
        &mut self,
        kind: &str,
        payer: u8,
        eth: &str,
        index: u32,
    ) -> Result<Sealed, AppendError> {
        let eth = types::Wei::from_eth(eth).unwrap();
        let body = json!({"reference": Self::reference(index), "payer": address(payer), "eth": eth});
        self.see(kind, &body)
    }

    /// A delegator pays.
    pub(crate) fn pay(&mut self, payer: u8, eth: &str, index: u32) -> Result<Sealed, AppendError> {
        self.arrive("payment", payer, eth, index)
    }

    /// The chain as it is in the jar is final, if it was not, and is looked at.
    pub(crate) fn look(&mut self, jar: &Jar) -> Result<Sealed, AppendError> {
        if jar.epoch() > self.state().chain.finalized.epoch {
            self.finalize(jar.epoch().0);
        }
        self.see_look(jar.look())
    }

    /// The coordinator tells of a look.
    pub(crate) fn see_look(&mut self, look: Look) -> Result<Sealed, AppendError> {
        let observed = self.state().deposits.observed(look);
        self.see("look", &serde_json::to_value(observed).unwrap())
    }

    /// Both guardians have checked a batch.
    pub(crate) fn approve(&mut self, batch: u64) -> Result<(), AppendError> {
        let keys_hash = self.state().deposits.batches().get(&batch).map(|batch| batch.keys_hash());
        let body = json!({"deposit_root": Root([1; 32]), "keys_hash": keys_hash.unwrap_or_default()});
        for guardian in [21, 22] {
            self.post(guardian, &format!("/v1/deposits/batches/{batch}/approvals"), &body)?;
        }
        Ok(())
    }

    /// What of a batch was not sent is sent, and seen.
    pub(crate) fn send_batch(&mut self, jar: &mut Jar, batch: u64) -> Result<(), AppendError> {
        let items = self.state().deposits.batches().get(&batch).map(|batch| batch.items.clone());
        for item in items.unwrap_or_default().into_iter().filter(|item| !item.sent) {
            jar.deposit(item.pubkey, self.ours(), item.amount, item.signature);
            let body = json!({
                "pubkey": item.pubkey, "data_root": item.data_root, "slot": jar.slot.to_string(),
                "tx": Root([9; 32]),
            });
            self.see("sent", &body)?;
            jar.ours(item.pubkey);
        }
        Ok(())
    }

    /// Four operators that get stake: managers 101 to 104.
    pub(crate) fn team(&mut self) -> Vec<Address> {
        let managers = [101, 102, 103, 104];
        for (index, manager) in (100..).zip(managers) {
            let application = self.application(manager, manager + 10, manager + 20);
            self.post(manager, "/v1/operators", &application).unwrap();
            self.govern(Act::VetOperator { operator: address(manager) }).unwrap();
            self.deposit_for(address(manager), "20", index).unwrap();
            let path = format!("/v1/operators/{}/activate", address(manager));
            self.post(manager, &path, &json!({})).unwrap();
        }
        managers.map(address).to_vec()
    }

    /// A cluster of the team, for so many validators of 32 ETH.
    pub(crate) fn cluster(&mut self, operators: Vec<Address>, keys: u32) -> ClusterId {
        let stake = Gwei(u64::from(keys) * 32_000_000_000);
        let chosen = Chosen { operators, threshold: 3, keys, stake };
        self.choose(&chosen).unwrap()
    }

    /// Governance chooses a cluster, and all who are asked accept. Returns its id.
    pub(crate) fn choose(&mut self, chosen: &Chosen) -> Result<ClusterId, AppendError> {
        self.govern(Act::ChooseCluster(chosen.clone()))?;
        let open = |asked: &&accept::Asked| asked.stage == accept::Stage::Open;
        let asked = self.state().calls.answers.clusters.values().find(open).unwrap();
        let cluster = asked.proposed.definition;
        self.accept(cluster)?;
        Ok(cluster)
    }

    /// What is called for: clusters of four with one validator of 32 ETH.
    pub(crate) fn wanted(clusters: u32, seed_epoch: u64) -> Value {
        json!({
            "clusters": clusters, "operators": 4, "threshold": 3, "keys": 1, "stake": "32000000000",
            "seed_epoch": seed_epoch.to_string(), "intra_operator": false, "delegation": "public",
        })
    }

    /// Clusters are called for, and the seed comes. Returns those that are asked for.
    pub(crate) fn drawn(&mut self, clusters: u32, seed_epoch: u64) -> Vec<ClusterId> {
        self.see("call", &Self::wanted(clusters, seed_epoch)).unwrap();
        self.finalize(seed_epoch + 1);
        let mix = Root([0x5e; 32]);
        self.see("seed", &json!({"epoch": seed_epoch.to_string(), "mix": mix})).unwrap();
        let of = self.state().calls.proposal.as_ref().unwrap().hash();
        let asked =
            self.state().calls.answers.clusters.values().filter(|asked| asked.proposed.proposal == of);
        asked.map(|asked| asked.proposed.definition).collect()
    }

    /// Everybody who is asked for a cluster accepts.
    pub(crate) fn accept(&mut self, cluster: ClusterId) -> Result<(), AppendError> {
        let operators = self.state().calls.answers.clusters[&cluster].proposed.operators.clone();
        for operator in operators {
            let wallet = (1..=u8::MAX).find(|byte| address(*byte) == operator).unwrap();
            self.post(wallet, &format!("/v1/clusters/{cluster}/accept"), &json!({}))?;
        }
        Ok(())
    }

    /// An act with a salt that no other has.
    pub(crate) fn motion(&mut self, act: Act) -> Motion {
        self.salt += 1;
        Motion { act, salt: Root([self.salt; 32]) }
    }

    pub(crate) fn propose(&mut self, wallet: u8, motion: &Motion) -> Result<Sealed, AppendError> {
        self.post(wallet, "/v1/governance/proposals", &serde_json::to_value(motion).unwrap())
    }

    pub(crate) fn execute(&mut self, wallet: u8, motion: &Motion) -> Result<Sealed, AppendError> {
        self.post(wallet, &format!("/v1/governance/proposals/{}/execute", motion.id()), &json!({}))
    }

    /// Two keys of governance agree.
    pub(crate) fn adopt(&mut self, act: Act) -> Motion {
        let motion = self.motion(act);
        let keys = self.state().governance.keys.clone();
        let key = |byte: &u8| keys.has(address(*byte));
        let voters: Vec<_> = (10..20).filter(key).take(keys.needed().into()).collect();
        for voter in voters {
            self.propose(voter, &motion).unwrap();
        }
        motion
    }

    /// Governance agrees, time passes, and a stranger has it done.
    pub(crate) fn govern(&mut self, act: Act) -> Result<Sealed, AppendError> {
        let motion = self.adopt(act);
        self.now += self.state().governance.timelock_s;
        self.execute(99, &motion)
    }

    /// Governance agrees, if it can, and has it done, if it can.
    pub(crate) fn try_govern(&mut self, act: Act) -> Result<(), AppendError> {
        let motion = self.motion(act);
        for voter in [11, 12] {
            self.propose(voter, &motion)?;
        }
        if motion.act.waits() {
            self.now += self.state().governance.timelock_s;
            self.execute(99, &motion)?;
        }
        Ok(())
    }

    /// What somebody says who wishes to be an operator.
    pub(crate) fn application(&self, manager: u8, reward: u8, node: u8) -> Value {
        let (pool, chain_id) = (self.state().pool, self.state().charter.network.chain_id);
        let node = Wallet::new(node);
        let (entity, setup) = (format!("Reiter {manager}"), unlike(manager));
        json!({
            "entity": entity, "setup": setup, "operator_type": "csm-default",
            "reward": address(reward), "enr": node.enr().as_str(),
            "node_signature": node.binding(pool, chain_id, address(manager)),
        })
    }

    /// An operator that gets stake, with a bond of so many ETH.
    pub(crate) fn active(&mut self, eth: &str) {
        let application = self.application(MANAGER, REWARD, NODE);
        self.post(MANAGER, "/v1/operators", &application).unwrap();
        self.govern(Act::VetOperator { operator: address(MANAGER) }).unwrap();
        self.deposit(eth, 0).unwrap();
        self.operate(MANAGER, "POST", "activate", &json!({})).unwrap();
    }
}

/// What a manager runs: no two of six managers in a row have anything in common.
pub(crate) fn unlike(manager: u8) -> Value {
    let of = |names: [&'static str; 6]| names[usize::from(manager) % 6];
    json!({
        "country": of(["DE", "FI", "CL", "JP", "ZA", "NZ"]), "hosting_as": 24_940 + u32::from(manager),
        "execution_client": of(["geth", "reth", "nethermind", "besu", "erigon", "ethrex"]),
        "consensus_client": of(["lodestar", "lighthouse", "teku", "nimbus", "prysm", "grandine"]),
        "validator_client": of(["lodestar", "lighthouse", "teku", "nimbus", "prysm", "vouch"]),
    })
}

pub(crate) fn setup(execution_client: &str) -> Value {
    json!({
        "country": "DE", "hosting_as": 24940, "execution_client": execution_client,
        "consensus_client": "lodestar", "validator_client": "lodestar",
    })
}
