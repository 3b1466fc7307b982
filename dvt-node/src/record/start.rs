//! How a record begins: all that a machine is built from, and the place at which what follows is read.

use super::coded::{Coded, Misread, Reader, fields, put_run};
use keys::identity::NodeKeys;
use std::collections::{BTreeMap, VecDeque};
use symbolon_core::agree::Timers;
use symbolon_core::journal::{History, LastAttestation, LastBlock, Permit};
use symbolon_core::mutants::Rules;
use symbolon_core::node::{Node, Setup, Validator};
use symbolon_core::{Output, Ticket};
use types::{ChainSpec, ClusterId, ClusterSize, Generation, Millis, Preset, ShareIndex};

/// What a recorded node was built from. No secrets: the machine has none.
#[derive(Clone, Debug)]
pub struct Start {
    /// Version of the program that has recorded.
    pub version: String,
    /// Which cluster.
    pub cluster: ClusterId,
    /// Everybody's public node keys, in the order of operators.
    pub node_keys: Vec<[u8; 33]>,
    /// The machine's setting. All rules were in force.
    pub setup: Setup,
    /// What the journal held, in the lock's order.
    pub histories: Vec<History>,
}

impl Start {
    /// The machine, as it was then.
    pub fn node(&self) -> Node {
        Node::new(self.setup.clone(), self.histories.clone())
    }
}

fields! {
    Validator { group_key, fee_recipient }
    Timers {
        open_grace, block_time, round_base, round_step, silent_leader, expired_leader, collect, fetch_retry,
        contents_retry,
    }
    LastBlock { slot, root }
    LastAttestation { slot, source, target, root, source_max, target_max }
    History { block, attestation }
    Start { version, cluster, node_keys, setup, histories }
}

impl Coded for ClusterSize {
    fn put(&self, to: &mut Vec<u8>) {
        (self.operators(), self.threshold()).put(to);
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, Misread> {
        let (operators, threshold) = Coded::take(from)?;
        Ok(Self::new(operators, threshold)?)
    }
}

impl<A: Coded, B: Coded> Coded for (A, B) {
    fn put(&self, to: &mut Vec<u8>) {
        self.0.put(to);
        self.1.put(to);
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, Misread> {
        Ok((A::take(from)?, B::take(from)?))
    }
}

/// The network's JSON, as a network file has it.
impl Coded for ChainSpec {
    fn put(&self, to: &mut Vec<u8>) {
        put_run(&serde_json::to_vec(self).expect("a plain struct serializes into memory"), to);
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, Misread> {
        Ok(Self::from_config_json(from.run()?)?)
    }
}

impl Coded for Setup {
    fn put(&self, to: &mut Vec<u8>) {
        let Self { size, me, generation, spec, validators, relays, timers, rules: _, started } = self;
        size.put(to);
        me.put(to);
        generation.put(to);
        spec.put(to);
        validators.put(to);
        relays.put(to);
        timers.put(to);
        started.put(to);
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, Misread> {
        Ok(Self {
            size: ClusterSize::take(from)?,
            me: ShareIndex::take(from)?,
            generation: Generation::take(from)?,
            spec: ChainSpec::take(from)?,
            validators: Vec::take(from)?,
            relays: Coded::take(from)?,
            timers: Timers::take(from)?,
            rules: Rules::default(),
            started: Millis::take(from)?,
        })
    }
}

/// Where entries are read: whose they are, and which permits are out.
#[derive(Debug)]
pub struct Place {
    pub(super) preset: Preset,
    pub(super) size: ClusterSize,
    pub(super) validators: usize,
    pub(super) cluster: ClusterId,
    pub(super) keys: NodeKeys,
    pub(super) ticket: Option<Ticket>,
    permits: BTreeMap<Ticket, VecDeque<Permit>>,
}

impl Place {
    /// The place of a record that begins so.
    ///
    /// - Errors: `Count`, `Operator` and `NodeKeys`, where what it says of the cluster does not fit together.
    pub fn of(start: &Start) -> Result<Self, Misread> {
        let Start { cluster, node_keys, setup, histories, .. } = start;
        let count = |what, have, want| match have == want {
            true => Ok(()),
            false => Err(Misread::Count { what, have, want }),
        };
        count("histories", histories.len(), setup.validators.len())?;
        count("node keys", node_keys.len(), setup.size.operators())?;
        if !setup.size.contains(setup.me) {
            return Err(Misread::Operator { index: setup.me.get() });
        }
        Ok(Self {
            preset: setup.spec.preset,
            size: setup.size,
            validators: setup.validators.len(),
            cluster: *cluster,
            keys: NodeKeys::new(node_keys)?,
            ticket: None,
            permits: BTreeMap::new(),
        })
    }

    /// Takes what the machine wishes for. Of wishes to sign it keeps the permits, which a result may give back.
    pub fn grant(&mut self, output: Output) {
        if let Output::Sign { ticket, jobs } = output {
            self.permits.insert(ticket, jobs.into_iter().map(|job| job.permit).collect());
        }
    }

    /// The next permit of the ticket that was read last.
    pub(super) fn next_permit(&mut self) -> Result<Permit, Misread> {
        let ticket = self.ticket.ok_or(Misread::NoPermit(0))?;
        let waiting = self.permits.get_mut(&ticket).ok_or(Misread::NoPermit(ticket.0))?;
        let permit = waiting.pop_front();
        if waiting.is_empty() {
            self.permits.remove(&ticket);
        }
        permit.ok_or(Misread::NoPermit(ticket.0))
    }
}
