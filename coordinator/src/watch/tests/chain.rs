//! A chain in a jar that answers as a beacon node does, and a round of watching it.

use super::super::*;
use crate::ledger::chain::Reference;
use crate::ledger::charter::tests::contracts;
use crate::ledger::deposits::{PendingDeposit, SeenValidator};
use crate::ledger::testbed::Pool;
use crate::ledger::testbed::jar::Jar;
use crate::ledger::{Sealed, State};
use crate::watch::contracts::abi;
use alloy_sol_types::SolEvent;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use types::operations::SignedVoluntaryExit;
use types::{Address, ChainSpec, Epoch, Gwei, Root, Slot, ValidatorIndex, ValidatorStatus};

const NEVER: &str = "18446744073709551615";
const ETH: u64 = 1_000_000_000;
/// All of the chain's stake.
pub(super) const STAKE: u64 = 35_000_000 * ETH;
/// What one ETH is paid for an epoch, before weights: 64 * 10^9 / isqrt(35 * 10^15).
const BASE: u64 = 342;

/// What a validator's attestation comes to: head, target, source, inactivity.
pub(super) type Attests = fn(u64, ValidatorIndex) -> [i64; 4];

/// What a slot's block pays a member of the sync committee.
pub(super) type Pays = fn(u64) -> i64;

/// What a node says to an exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    Yes,
    /// It thinks nothing of it.
    No,
    /// Nobody answers.
    Silence,
}

/// A block.
#[derive(Clone, Default)]
pub(super) struct Block {
    /// The number of its first withdrawal. Each block has two: the first is a stranger's.
    first: u64,
    pub(super) swept: Option<(ValidatorIndex, u64)>,
    pub(super) sync: BTreeMap<ValidatorIndex, i64>,
}

/// The chain, and a node that knows it up to some epoch.
#[derive(Clone)]
pub(super) struct Chain {
    pub(super) jar: Jar,
    /// As it was at the first slot of each of these epochs.
    pub(super) states: BTreeMap<u64, Jar>,
    pub(super) blocks: BTreeMap<u64, Block>,
    pub(super) rewards: BTreeMap<u64, BTreeMap<ValidatorIndex, [i64; 4]>>,
    /// From when on validators are active.
    pub(super) active: BTreeMap<ValidatorIndex, u64>,
    /// What the node says is finalized.
    pub(super) finalized: u64,
    /// Where the pool's withdrawals go.
    pub(super) address: Address,
    pub(super) attests: Attests,
    /// Who is in the sync committee, and what each block pays it.
    pub(super) member: Option<(ValidatorIndex, Pays)>,
    /// Questions that it does not answer.
    pub(super) deaf: Option<fn(&Question) -> bool>,
    /// Whether the execution node has other blocks than the beacon node.
    pub(super) forked: bool,
    clock: ChainSpec,
    /// Slots whose blocks it keeps back.
    pub(super) hidden: Option<u64>,
    /// Logs of the execution layer, each with the number of its block: that of its slot.
    pub(super) logs: Vec<(u64, Value)>,
    /// Whom blocks slash, by slot: who, and the epoch of the fault.
    pub(super) slashings: BTreeMap<u64, Vec<(ValidatorIndex, u64)>>,
    /// Exits that it was given, in order, and those that it takes.
    pub(super) exits: Vec<SignedVoluntaryExit>,
    pub(super) takes: fn(ValidatorIndex) -> Takes,
    /// What it was asked.
    pub(super) asked: Vec<Question>,
    /// What whoever watches it has counted of the log.
    counted: (usize, Tally),
}

impl Chain {
    pub(super) fn new() -> Self {
        Self {
            jar: Jar::new(),
            states: BTreeMap::new(),
            blocks: BTreeMap::new(),
            rewards: BTreeMap::new(),
            active: BTreeMap::new(),
            finalized: 0,
            address: Address([0xaa; 20]),
            attests: |_, _| [2_000, 4_000, 2_000, 0],
            member: None,
            deaf: None,
            forked: false,
            clock: ChainSpec::builtin("hoodi").unwrap(),
            hidden: None,
            logs: Vec::new(),
            slashings: BTreeMap::new(),
            exits: Vec::new(),
            takes: |_| Takes::Yes,
            asked: Vec::new(),
            counted: Default::default(),
        }
    }

    /// The chain goes on to an epoch without blocks, and all up to it is final.
    pub(super) fn finalize(&mut self, epoch: u64) {
        self.jar.slot = epoch * 32;
        self.states.insert(epoch, self.jar.clone());
        self.finalized = epoch;
    }

    /// The chain goes on slot by slot: validators attest, blocks withdraw. All up to the epoch is final then.
    pub(super) fn live(&mut self, to: u64) {
        for slot in self.jar.slot + 1..=to * 32 {
            self.jar.slot = slot;
            if slot % 32 == 0 {
                self.pay(slot / 32);
            }
            // Every seventh slot is empty, and so are some boundaries.
            if slot % 7 != 0 {
                self.block(slot);
            }
            if slot % 32 == 0 {
                self.states.insert(slot / 32, self.jar.clone());
            }
        }
        self.finalized = to;
    }

    /// A contract says something in the block of now.
    pub(super) fn says(&mut self, contract: Address, event: &impl SolEvent) -> Reference {
        let index = self.logs.len();
        let hash = Root([8; 32]);
        let said = event.encode_log_data();
        let topics: Vec<_> = said.topics().iter().map(|topic| Root(topic.0)).collect();
        let log = json!({
            "address": contract, "topics": topics, "data": format!("0x{}", hex::encode(&said.data)),
            "blockNumber": format!("0x{:x}", self.jar.slot), "blockHash": number_hash(self.jar.slot),
            "transactionHash": hash, "transactionIndex": "0x0", "logIndex": format!("0x{index:x}"),
            "removed": false,
        });
        self.logs.push((self.jar.slot, log));
        Reference { hash, index: index.try_into().unwrap() }
    }

    /// What of a batch was not sent is sent.
    pub(super) fn send(&mut self, pool: &Pool, batch: u64) {
        let items = pool.state().deposits.batches()[&batch].items.clone();
        for item in items.into_iter().filter(|item| !item.sent) {
            self.jar.deposit(item.pubkey, pool.ours(), item.amount, item.signature);
            let event = abi::DepositEvent {
                pubkey: item.pubkey.0.to_vec().into(),
                withdrawal_credentials: pool.ours().0.to_vec().into(),
                amount: item.amount.0.to_le_bytes().to_vec().into(),
                signature: item.signature.0.to_vec().into(),
                index: vec![0; 8].into(),
            };
            self.says(contracts().deposits, &event);
        }
    }

    /// At an epoch's beginning the one before the last is paid for.
    fn pay(&mut self, epoch: u64) {
        for seen in self.jar.validators.values_mut().filter(|seen| seen.status.is_active()) {
            let from = *self.active.entry(seen.index).or_insert(epoch);
            if epoch < from + 2 {
                continue;
            }
            let paid = (self.attests)(epoch - 2, seen.index);
            self.rewards.entry(epoch - 2).or_default().insert(seen.index, paid);
            seen.balance.0 = seen.balance.0.strict_add_signed(paid.into_iter().sum());
        }
    }

    fn block(&mut self, slot: u64) {
        let mut block = Block { first: slot * 2, ..Block::default() };
        let last = self.blocks.last_key_value().map(|(_, block)| block.first + 2);
        block.first = last.unwrap_or(block.first);
        // What is above 32 ETH is withdrawn now and then; and all, in the end.
        let rich = |seen: &&mut SeenValidator| {
            slot % 500 == 1 && seen.status.is_active() && seen.balance.0 > 32 * ETH
        };
        if let Some(seen) = self.jar.validators.values_mut().find(rich) {
            let more = seen.balance.0 - 32 * ETH;
            seen.balance = Gwei(32 * ETH);
            block.swept = Some((seen.index, more));
        }
        if let Some((member, pays)) = self.member
            && let Some(seen) = self.jar.validators.values_mut().find(|seen| seen.index == member)
        {
            seen.balance.0 = seen.balance.0.strict_add_signed(pays(slot));
            block.sync.insert(member, pays(slot));
        }
        self.blocks.insert(slot, block);
    }

    fn state(&self, slot: Slot) -> Option<&Jar> {
        assert_eq!(slot.0 % 32, 0, "only first slots of epochs are looked at");
        let known = slot.0 / 32 <= self.finalized;
        self.states.range(..=slot.0 / 32).next_back().map(|(_, jar)| jar).filter(|_| known)
    }

    /// The bytes of an answer; `None` for what the node does not know.
    pub(super) fn answer(&mut self, question: &Question) -> Option<String> {
        self.asked.push(question.clone());
        if self.deaf.is_some_and(|deaf| deaf(question)) {
            return None;
        }
        let data = match question {
            Question::Finality => {
                json!({"finalized": {"epoch": self.finalized.to_string(), "root": root(self.finalized)}})
            }
            Question::Validators { slot, keys } => {
                let state = self.state(*slot)?;
                let found = keys.iter().filter_map(|key| state.validators.get(key));
                found.map(Self::validator).collect()
            }
            Question::Pending { slot } => self.state(*slot)?.queue().iter().map(deposit).collect(),
            Question::Active { .. } => json!([
                {"status": "active_ongoing", "validator": {"effective_balance": (STAKE - 1).to_string()}},
                {"status": "active_exiting", "validator": {"effective_balance": "1"}},
            ]),
            Question::Root { slot } => {
                let lived = self.blocks.first_key_value().is_some_and(|(first, _)| *first <= slot.0);
                let is_there = self.blocks.contains_key(&slot.0) || !lived && slot.0 % 32 == 0;
                let header = json!({"message": {"slot": slot}});
                let root = root(slot.0.div_ceil(32));
                is_there.then(|| json!({"root": root, "canonical": true, "header": header}))?
            }
            Question::Block { slot } => {
                let block = self.blocks.get(&slot.0).filter(|_| self.hidden != Some(slot.0))?;
                let payload = self.payload(slot.0, self.withdrawals(block));
                json!({"message": {"slot": slot, "body": {"execution_payload": payload}}})
            }
            Question::Payload { root } => self.checkpoint(root)?,
            Question::Executed { number } => {
                let at = self.clock.slot_start(Slot(*number)).0 / 1_000;
                let hash = number_hash(*number + u64::from(self.forked));
                let [number, at] = [*number, at].map(|number| format!("0x{number:x}"));
                return Some(json!({"number": number, "hash": hash, "timestamp": at}).to_string());
            }
            Question::Logs { from, to, .. } => {
                let its = self.logs.iter().filter(|(block, _)| (*from..=*to).contains(block));
                return Some(its.map(|(_, log)| log.clone()).collect::<Value>().to_string());
            }
            Question::Attestations { epoch, indices } => self.attestations(epoch.0, indices),
            Question::Members { .. } => {
                let member = self.member.map_or(ValidatorIndex(1), |(member, _)| member);
                json!({"validators": ["1", "2", member], "validator_aggregates": []})
            }
            Question::Slashed { slot, indices } => {
                let state = self.state(*slot)?;
                let slashed = state.validators.values().filter(|seen| seen.slashed);
                slashed.filter(|seen| indices.contains(&seen.index)).map(Self::validator).collect()
            }
            Question::Slashings { slot } => self.slasher(slot)?,
            Question::Randao { slot, epoch } => {
                let has = self.state(*slot).is_some() && epoch.0 <= slot.0 / 32;
                has.then(|| json!({"randao": mix(epoch.0)}))?
            }
            Question::Sync { slot, indices } => {
                let sync = &self.blocks.get(&slot.0)?.sync;
                assert!(indices.iter().eq(sync.keys()));
                let entry = |(index, reward): (&ValidatorIndex, &i64)| json!({"validator_index": index, "reward": reward.to_string()});
                sync.iter().map(entry).collect()
            }
        };
        Some(json!({"execution_optimistic": false, "finalized": true, "data": data}).to_string())
    }

    /// A checkpoint's block, by its root.
    fn checkpoint(&self, root: &Root) -> Option<Value> {
        let epoch = u64::from_be_bytes(root.0[..8].try_into().unwrap());
        let slot = self.states.contains_key(&epoch).then_some(epoch * 32)?;
        let block = self.blocks.range(..=slot).next_back().map_or(slot, |(slot, _)| *slot);
        let payload = self.payload(block, json!([]));
        Some(json!({"message": {"slot": block.to_string(), "body": {"execution_payload": payload}}}))
    }

    /// A block that slashes somebody.
    fn slasher(&self, slot: &Slot) -> Option<Value> {
        let its = self.slashings.get(&slot.0)?;
        let voters: Value = its.iter().map(|(index, epoch)| slashing(*index, *epoch)).collect();
        let body = json!({"proposer_slashings": [], "attester_slashings": voters});
        Some(json!({"message": {"slot": slot, "body": body}}))
    }

    fn payload(&self, slot: u64, withdrawals: Value) -> Value {
        let (number, hash) = (slot.to_string(), number_hash(slot));
        json!({"block_number": number, "block_hash": hash, "withdrawals": withdrawals})
    }

    fn withdrawals(&self, block: &Block) -> Value {
        let one = |number: u64, index: ValidatorIndex, address: Address, amount: u64| {
            json!({
                "index": number.to_string(), "validator_index": index, "address": address,
                "amount": amount.to_string(),
            })
        };
        let stranger = Address([0x66; 20]);
        let other = block.swept.map_or_else(
            // A validator of the pool never withdraws to another address: what does is none.
            || one(block.first + 1, ValidatorIndex(1_000), stranger, 7),
            |(index, amount)| one(block.first + 1, index, self.address, amount),
        );
        json!([one(block.first, ValidatorIndex(3), stranger, 5), other])
    }

    fn attestations(&self, epoch: u64, indices: &[ValidatorIndex]) -> Value {
        let nothing = BTreeMap::new();
        let rewards = self.rewards.get(&epoch).unwrap_or(&nothing);
        let total = |index: &ValidatorIndex| {
            let [head, target, source, inactivity] =
                rewards.get(index).copied().unwrap_or_default().map(|one| one.to_string());
            json!({
                "validator_index": index, "head": head, "target": target, "source": source,
                "inactivity": inactivity,
            })
        };
        let ideal = |eth: u64| {
            // Nine of ten have the right target.
            let target = eth * BASE * 26 / 64 * 9 / 10;
            json!({"effective_balance": (eth * ETH).to_string(), "target": target.to_string(), "head": "0"})
        };
        let totals: Value = indices.iter().map(total).collect();
        json!({"ideal_rewards": [ideal(1), ideal(32), ideal(31)], "total_rewards": totals})
    }

    fn validator(seen: &SeenValidator) -> Value {
        let epoch = |event: Option<Epoch>| event.map_or(NEVER.to_owned(), |epoch| epoch.to_string());
        json!({
            "index": seen.index, "balance": seen.balance, "status": seen.status,
            "validator": {
                "pubkey": seen.pubkey, "withdrawal_credentials": seen.credentials,
                "effective_balance": seen.effective_balance, "slashed": seen.slashed,
                "activation_epoch": epoch(seen.activation), "exit_epoch": epoch(seen.exit),
                "withdrawable_epoch": epoch(seen.withdrawable),
            },
        })
    }

    /// A validator is slashed: it loses so much, and is active still.
    pub(super) fn slash(&mut self, index: ValidatorIndex, loss: u64) {
        let epoch = self.jar.epoch();
        let seen = self.jar.validators.values_mut().find(|seen| seen.index == index).unwrap();
        (seen.exit, seen.withdrawable) = (Some(Epoch(epoch.0 + 1_000)), Some(Epoch(epoch.0 + 8_192)));
        (seen.slashed, seen.status) = (true, ValidatorStatus::ActiveSlashed);
        seen.balance.0 -= loss;
    }
}

/// The root of an epoch's checkpoint.
pub(super) fn root(epoch: u64) -> Root {
    let mut root = Root([5; 32]);
    root.0[..8].copy_from_slice(&epoch.to_be_bytes());
    root
}

/// The evidence that a validator voted for an epoch twice, as a block has it.
fn slashing(index: ValidatorIndex, epoch: u64) -> Value {
    let vote = |other: &str| {
        json!({
            "attesting_indices": ["3", index, other],
            "data": {"target": {"epoch": epoch.to_string(), "root": root(epoch)}},
        })
    };
    json!({"attestation_1": vote("4"), "attestation_2": vote("5")})
}

/// An epoch's RANDAO mix.
pub(super) fn mix(epoch: u64) -> Root {
    let mut mix = Root([4; 32]);
    mix.0[..8].copy_from_slice(&epoch.to_be_bytes());
    mix
}

/// The hash of the execution layer's block of a number.
pub(super) fn number_hash(number: u64) -> Root {
    let mut hash = Root([6; 32]);
    hash.0[..8].copy_from_slice(&number.to_be_bytes());
    hash
}

fn deposit(pending: &PendingDeposit) -> Value {
    json!({
        "pubkey": pending.pubkey, "withdrawal_credentials": pending.credentials,
        "amount": pending.amount, "signature": pending.signature, "slot": pending.slot,
    })
}

/// What a round came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Round {
    /// Kinds that were observed, in order.
    pub(super) observed: Vec<&'static str>,
    /// What was set aside.
    pub(super) aside: BTreeMap<Task, String>,
    /// Logs that do not count, and why.
    pub(super) refused: Vec<String>,
}

/// Asks all of these, if the node answers. `false` if it does not.
pub(super) fn ask(state: &State, chain: &mut Chain, questions: Vec<Question>, known: &mut Known) -> bool {
    assert!(!questions.is_empty());
    let scope = Scope::of(state);
    for question in questions {
        assert!(!known.answers.contains_key(&question), "{question:?} was answered");
        let said = match chain.answer(&question) {
            Some(answer) => question.read(&scope, &mut answer.as_bytes()).unwrap(),
            None if question.may_be_absent() => Said::Nothing,
            None => return false,
        };
        known.answers.insert(question, said);
    }
    true
}

/// What the log says up to now.
pub(super) fn tally<'a>(pool: &Pool, chain: &'a mut Chain) -> &'a Tally {
    let (counted, tally) = &mut chain.counted;
    for entry in &pool.log[*counted..] {
        tally.take(&Sealed::read(entry).unwrap().entry);
    }
    *counted = pool.log.len();
    tally
}

fn publish(chain: &mut Chain, exits: Vec<SignedVoluntaryExit>, known: &mut Known) {
    for exit in exits {
        let index = exit.message.validator_index;
        let takes = (chain.takes)(index);
        if takes == Takes::Silence {
            known.set_aside.insert(Task::Publish, "no answer".to_owned());
            return;
        }
        chain.exits.push(exit);
        known.published.insert(index, takes == Takes::Yes);
    }
}

/// Watches until there is nothing to do, after a start.
pub(super) fn round(pool: &mut Pool, chain: &mut Chain) -> Round {
    further(pool, chain, &mut Known::default())
}

/// Watches until there is nothing to do, in the round after another.
pub(super) fn further(pool: &mut Pool, chain: &mut Chain, known: &mut Known) -> Round {
    *known = std::mem::take(known).again(BTreeMap::new());
    let (mut observed, mut refused) = (Vec::new(), Vec::new());
    for _ in 0..200 {
        match next(pool.state(), tally(pool, chain), pool.now, known) {
            Step::Rest => return Round { observed, aside: known.set_aside.clone(), refused },
            Step::SetAside(task, why) => drop(known.set_aside.insert(task, why)),
            Step::Ask(task, questions) => {
                if !ask(pool.state(), chain, questions, known) {
                    known.set_aside.insert(task, "no answer".to_owned());
                }
            }
            Step::Tell(reference, kind, body) => {
                match pool.see(kind, &serde_json::from_str(&body).unwrap()) {
                    Ok(_) => observed.push(kind),
                    Err(refusal) => {
                        refused.push(refusal.to_string());
                        known.refused.insert(reference);
                    }
                }
            }
            Step::Refuse(reference, why) => {
                refused.push(why);
                known.refused.insert(reference);
            }
            Step::Publish(exits) => publish(chain, exits, known),
            Step::Observe(task, kind, body) => match pool.see(kind, &serde_json::from_str(&body).unwrap()) {
                Ok(_) => {
                    observed.push(kind);
                    known.done(task);
                }
                Err(refusal) => drop(known.set_aside.insert(task, refusal.to_string())),
            },
        }
    }
    panic!("a round has no end: {observed:?}, {:?}", known.set_aside);
}
