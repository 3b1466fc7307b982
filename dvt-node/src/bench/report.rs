//! What `dvt-node bench signing` prints.

use serde::Serialize;
use serde::ser::SerializeMap as _;
use std::fmt;

/// A value for each contender.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Contenders<T> {
    /// (a): every signature verified alone by blst.
    #[serde(rename = "naive")]
    pub plain: T,
    /// (b).
    pub threshold_crypto: T,
    /// (c).
    pub ours: T,
}

impl<T> Contenders<T> {
    /// Something else of each.
    pub(super) fn map<U>(&self, of: impl Fn(&T) -> U) -> Contenders<U> {
        let Self { plain, threshold_crypto, ours } = self;
        Contenders { plain: of(plain), threshold_crypto: of(threshold_crypto), ours: of(ours) }
    }
}

/// Slots in which one operator sends only garbage, milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Caught {
    /// Nobody cheats.
    pub honest_ms: f64,
    /// The cheat's first slot.
    pub first_slot_ms: f64,
    /// A slot in which it is known.
    pub later_slot_ms: f64,
}

/// The result. Times are milliseconds of processor time.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Of the cluster.
    pub validators: u32,
    /// `n`.
    pub operators: usize,
    /// `t`.
    pub threshold: usize,
    /// Validators that attest in a slot.
    pub attesters: u32,
    /// The share of bad partials.
    pub bad: f64,
    /// Measurements of which the median is given.
    pub rounds: u32,
    /// Of all randomness.
    pub seed: u64,
    /// blst's verification of a parsed signature.
    pub bare_verify_ms: f64,
    /// What a verification costs (a), with reading the bytes.
    pub plain_verify_ms: f64,
    /// A slot's work.
    pub ms: Contenders<f64>,
    /// What of ours is the check of the client's halves: where the whole share lies with the client or the node there is
    /// none, and (a) verifies this operator's own partial in place of the half.
    pub halves_check_ms: f64,
    /// Ours when just enough partials are at hand, and those that combine worst.
    pub dearest_quorum_ms: f64,
    /// Miller loops in a slot.
    pub pairings: Contenders<usize>,
    /// Bytes of the heap in a slot, at most; `None` where the program's allocator does not count.
    pub memory: Contenders<Option<u64>>,
    /// One operator that sends only garbage.
    pub one_garbage_peer: Caught,
}

/// How many times `b` fits into `a`; 0 if nothing was measured.
fn ratio(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { 0.0 }
}

impl Report {
    /// (a) over (c).
    pub fn ratio(&self) -> f64 {
        ratio(self.ms.plain, self.ms.ours)
    }

    /// Ours without the check of the client's halves.
    pub fn without_halves_ms(&self) -> f64 {
        (self.ms.ours - self.halves_check_ms).max(0.0)
    }

    /// A verification of (a) over a bare one: beyond 1.2 it would be no fair opponent.
    pub fn plain_over_bare(&self) -> f64 {
        ratio(self.plain_verify_ms, self.bare_verify_ms)
    }
}

/// The keys of a line of JSON; numbers as they are.
impl Serialize for Report {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("validators", &self.validators)?;
        map.serialize_entry("operators", &self.operators)?;
        map.serialize_entry("threshold", &self.threshold)?;
        map.serialize_entry("attesters", &self.attesters)?;
        map.serialize_entry("bad", &self.bad)?;
        map.serialize_entry("rounds", &self.rounds)?;
        map.serialize_entry("seed", &self.seed)?;
        map.serialize_entry("naive_ms", &self.ms.plain)?;
        map.serialize_entry("threshold_crypto_ms", &self.ms.threshold_crypto)?;
        map.serialize_entry("ours_ms", &self.ms.ours)?;
        map.serialize_entry("ratio", &self.ratio())?;
        map.serialize_entry("ms_per_attester", &self.ms.map(|ms| ms / f64::from(self.attesters)))?;
        map.serialize_entry("ratios_to_naive", &self.ms.map(|ms| ratio(self.ms.plain, *ms)))?;
        map.serialize_entry("pairings", &self.pairings)?;
        map.serialize_entry("memory_bytes", &self.memory)?;
        map.serialize_entry("bare_verify_ms", &self.bare_verify_ms)?;
        map.serialize_entry("naive_verify_ms", &self.plain_verify_ms)?;
        map.serialize_entry("naive_verify_over_bare", &self.plain_over_bare())?;
        map.serialize_entry("halves_check_ms", &self.halves_check_ms)?;
        map.serialize_entry("without_halves_ms", &self.without_halves_ms())?;
        map.serialize_entry("without_halves_ratio", &ratio(self.ms.plain, self.without_halves_ms()))?;
        map.serialize_entry("dearest_quorum_ms", &self.dearest_quorum_ms)?;
        map.serialize_entry("dearest_quorum_ratio", &ratio(self.ms.plain, self.dearest_quorum_ms))?;
        map.serialize_entry("one_garbage_peer", &self.one_garbage_peer)?;
        map.end()
    }
}

impl Serialize for Caught {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("honest_ms", &self.honest_ms)?;
        map.serialize_entry("first_slot_ms", &self.first_slot_ms)?;
        map.serialize_entry("later_slot_ms", &self.later_slot_ms)?;
        map.serialize_entry("first_over_honest", &ratio(self.first_slot_ms, self.honest_ms))?;
        map.serialize_entry("later_over_honest", &ratio(self.later_slot_ms, self.honest_ms))?;
        map.end()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { validators, operators, threshold, attesters, bad, rounds, .. } = self;
        writeln!(
            f,
            "{validators} validators, {threshold} of {operators} operators: {attesters} attesters in a slot, {:.1} % of \
             partials bad",
            bad * 100.0
        )?;
        writeln!(f, "one core, processor time, median of {rounds}\n")?;
        writeln!(
            f,
            "{:<28}{:>11}{:>15}{:>9}{:>10}{:>11}",
            "", "ms a slot", "ms a validator", "ratio", "pairings", "heap KiB"
        )?;
        self.row(f, "(a) each alone, blst", |of| of.plain, |of| of.plain, |of| of.plain)?;
        self.row(
            f,
            "(b) threshold_crypto",
            |of| of.threshold_crypto,
            |of| of.threshold_crypto,
            |of| of.threshold_crypto,
        )?;
        self.row(f, "(c) ours", |of| of.ours, |of| of.ours, |of| of.ours)?;
        let variants = [
            ("(c) without client's halves", self.without_halves_ms()),
            ("(c) dearest quorum", self.dearest_quorum_ms),
        ];
        for (name, ms) in variants {
            let (each, slower) = (ms / f64::from(*attesters), ratio(self.ms.plain, ms));
            writeln!(f, "{name:<28}{ms:>11.2}{each:>15.3}{slower:>9.1}")?;
        }
        writeln!(f)?;
        writeln!(
            f,
            "a verification: blst alone {:.3} ms, in (a) {:.3} ms, ratio {:.2} (at most 1.2)",
            self.bare_verify_ms,
            self.plain_verify_ms,
            self.plain_over_bare()
        )?;
        let Caught { honest_ms, first_slot_ms, later_slot_ms } = self.one_garbage_peer;
        write!(
            f,
            "one peer sends garbage: honest {honest_ms:.2} ms, first slot {first_slot_ms:.2} ms ({:.2} times), later \
             {later_slot_ms:.2} ms ({:.2} times)",
            ratio(first_slot_ms, honest_ms),
            ratio(later_slot_ms, honest_ms)
        )
    }
}

impl Report {
    fn row(
        &self,
        f: &mut fmt::Formatter<'_>,
        name: &str,
        ms: impl Fn(&Contenders<f64>) -> f64,
        pairings: impl Fn(&Contenders<usize>) -> usize,
        memory: impl Fn(&Contenders<Option<u64>>) -> Option<u64>,
    ) -> fmt::Result {
        let (ms, pairings) = (ms(&self.ms), pairings(&self.pairings));
        let each = ms / f64::from(self.attesters);
        let memory =
            memory(&self.memory).map_or_else(|| "-".into(), |bytes| bytes.div_ceil(1024).to_string());
        writeln!(
            f,
            "{name:<28}{ms:>11.2}{each:>15.3}{:>9.1}{pairings:>10}{memory:>11}",
            ratio(self.ms.plain, ms)
        )
    }
}
