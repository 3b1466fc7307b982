//! How long to wait for beacon nodes, and how much of what they say is read.

use std::time::Duration;
use types::ChainSpec;

/// Most beacon nodes of one operator: every one gets every submission, and three are already many.
pub const NODES_MAX: usize = 16;

/// Most bytes of an answer unless another limit is named: duties of one validator, votes and syncing take hundreds
/// of bytes, a network's configuration some 20 KiB.
pub const BODY_LEN_MAX: usize = 2 << 20;

/// Most bytes of a produced block: 2.7 MB blocks with dozens of blobs of 128 KiB, twice that as hex.
pub const BLOCK_LEN_MAX: usize = 64 << 20;

/// Most bytes of lists with an entry for each of our validators. An entry takes some 600 bytes with its record and
/// 350 as a duty, so some 50,000 validators fit.
pub const LIST_LEN_MAX: usize = 32 << 20;

/// Most keys of one question for validators: 100 kB to send and 600 kB to read, which a node makes in a tenth of a
/// second. Bodies of a megabyte are more than some servers take.
pub const KEYS_PER_REQUEST: usize = 1_000;

/// Most questions for validators at once: a node has other work, and 10,000 validators are known after five rounds.
pub const REQUESTS_AT_ONCE: usize = 2;

/// Most keys in the address of a `GET`: 102 bytes each, and many servers take 8 KiB of address.
pub const KEYS_PER_QUERY: usize = 64;

/// Most indices of one question to a node that finds all of them too long: 10 kB or so.
pub const INDICES_PER_REQUEST: usize = 1_000;

/// Most bytes of an answer that is passed on; blocks with their blobs are the longest that a validator client needs.
pub const FORWARD_LEN_MAX: usize = 64 << 20;

/// Most bytes of an answer that says no: a line, or one line an item of what was published. The rest is not read.
pub const REFUSAL_LEN_MAX: usize = 256 << 10;

/// Most characters of a node's own words in our errors: a line in a log.
pub const MESSAGE_LEN_MAX: usize = 512;

/// Most heads waiting for their reader; they are slots apart, so a full queue has no reader any more.
pub const HEADS_LEN_MAX: usize = 64;

/// Longest a node is waited for, whatever the numbers say.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// How long to wait: time-outs in basis points of the slot, each for one try at one node.
///
/// The defaults let a second node be asked while its answer is still of use, when the first one hangs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// To connect. 0.6 s of a slot of 12: a node is near, or it is no help.
    pub connect_bps: u64,
    /// To hear how far a node has synced, or whether it knows a block.
    pub probe_bps: u64,
    /// To hear what to attest. It is asked for at a third of the slot, and votes of slow operators come too late.
    pub attestation_bps: u64,
    /// To hear anything else that is asked in passing.
    pub query_bps: u64,
    /// To have a block made. Execution clients take a second; at a third of the slot the block should be known to all.
    pub block_bps: u64,
    /// To hear long lists: all our validators, all their duties.
    pub list_bps: u64,
    /// To publish. Nothing waits for slow nodes once one has taken it.
    pub submit_bps: u64,
    /// To pass on a request of the validator client, who has time-outs of its own.
    pub forward_bps: u64,
    /// How long the best node alone is asked; then the next is asked too, and the first good answer counts. Well nodes
    /// answer in a twentieth of a second; what is asked at a third of the slot still comes in time from a second node.
    pub hedge_bps: u64,
    /// The same for blocks and long lists: they cost a node real work, and take a well one up to a second.
    pub hedge_long_bps: u64,
    /// No second node is asked sooner, in ms: on a slot of a second, a hundredth of it is no time to call a node slow.
    pub hedge_floor_ms: u64,
    /// How long the other nodes' views of a slot are waited for once the first is there.
    pub view_bps: u64,
    /// The views are waited for at least so long, in ms: a beacon node next door needs some tens.
    pub view_floor_ms: u64,
    /// How many slots a node's head may be behind the best of the nodes'. A late block and an empty slot make two.
    pub lag_slots_max: u64,
    /// No time-out is shorter, in ms: slots of a second or two are those of a development chain on a busy machine.
    pub floor_ms: u64,
    /// How long a node that failed is set aside, in ms; doubled with each failure in a row.
    pub retry_ms: u64,
    /// The longest a node is set aside, in ms.
    pub retry_ms_max: u64,
    /// How long a failure counts against a node that answers again, in ms. A second node serves as well meanwhile, and
    /// one that hangs at every question costs a time-out once in so long, not once a slot.
    pub forgive_ms: u64,
    /// A stream of heads that is silent for so many slots is opened anew: the connection may have died unseen.
    pub stream_idle_slots: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_bps: 500,
            probe_bps: 500,
            attestation_bps: 1_250,
            query_bps: 2_500,
            block_bps: 2_500,
            list_bps: 10_000,
            submit_bps: 5_000,
            forward_bps: 10_000,
            hedge_bps: 300,
            hedge_long_bps: 1_250,
            hedge_floor_ms: 100,
            view_bps: 200,
            view_floor_ms: 50,
            lag_slots_max: 2,
            floor_ms: 500,
            retry_ms: 500,
            retry_ms_max: 60_000,
            forgive_ms: 300_000,
            stream_idle_slots: 4,
        }
    }
}

impl Limits {
    /// `bps` basis points of a slot, but not less than the floor and not for ever.
    pub(crate) fn wait(&self, spec: &ChainSpec, bps: u64) -> Duration {
        self.part(spec, bps, self.floor_ms)
    }

    /// How long a node is asked alone. `bps`: one of the two numbers for it.
    pub(crate) fn hedge(&self, spec: &ChainSpec, bps: u64) -> Duration {
        self.part(spec, bps, self.hedge_floor_ms)
    }

    /// How long other views are waited for.
    pub(crate) fn view(&self, spec: &ChainSpec) -> Duration {
        self.part(spec, self.view_bps, self.view_floor_ms)
    }

    fn part(&self, spec: &ChainSpec, bps: u64, floor_ms: u64) -> Duration {
        let ms = spec.slot_ms.saturating_mul(bps) / 10_000;
        Duration::from_millis(ms.max(floor_ms)).min(WAIT_MAX)
    }

    /// How long a stream may be silent.
    pub(crate) fn stream_idle(&self, spec: &ChainSpec) -> Duration {
        let ms = spec.slot_ms.saturating_mul(self.stream_idle_slots);
        Duration::from_millis(ms.max(self.floor_ms)).min(WAIT_MAX)
    }

    /// How long to leave a node alone after so many failures in a row, in ms.
    pub(crate) fn back_off_ms(&self, failures: u32) -> u64 {
        let doublings = failures.saturating_sub(1).min(32);
        self.retry_ms.saturating_mul(1 << doublings).min(self.retry_ms_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_outs_follow_the_slot_down_to_the_floor() {
        let mut spec = ChainSpec::builtin("hoodi").unwrap();
        let limits = Limits::default();
        assert_eq!(limits.wait(&spec, 2_500), Duration::from_secs(3));
        spec.slot_ms = 1_000;
        assert_eq!(limits.wait(&spec, 2_500), Duration::from_millis(500));
        spec.slot_ms = u64::MAX;
        assert_eq!(limits.wait(&spec, 2_500), WAIT_MAX);
        spec.slot_ms = 12_000;
        assert_eq!(limits.hedge(&spec, limits.hedge_bps), Duration::from_millis(360));
        assert_eq!(limits.view(&spec), Duration::from_millis(240));
        spec.slot_ms = 1_000;
        assert_eq!(limits.hedge(&spec, limits.hedge_bps), Duration::from_millis(100));
        assert_eq!(limits.view(&spec), Duration::from_millis(50));
    }

    #[test]
    fn each_failure_doubles_the_wait_up_to_its_end() {
        let limits = Limits::default();
        let waits: Vec<u64> = [0, 1, 2, 3, 8, 9, u32::MAX].map(|n| limits.back_off_ms(n)).to_vec();
        assert_eq!(waits, [500, 500, 1_000, 2_000, 60_000, 60_000, 60_000]);
    }
}
