//! Rules that can be broken on purpose, so that tests can show that their judges would notice.
//!
//! Production has [`Rules::default`], which breaks none; a broken rule can only be made with the feature `mutants`, which is
//! only ever a feature of a dev-dependency. Without it [`Rules`] is empty, and each question is answered at compile time.

/// One rule, broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mutant {
    /// The guard lets a vote surround an earlier one, and be surrounded.
    SurroundAllowed,
    /// `q - 1` equal votes are a certificate (rule 5).
    SmallCertificate,
    /// A leader, and who checks its proposal, look at last votes only, and not at certificates (rule 9).
    CertificatesIgnored,
    /// Without a certificate, only last votes of the highest round that occurs count (rule 9 as ADR 0003 first had it).
    LaterVotesFirst,
    /// A restarted node speaks where it may have spoken before (rule 11).
    VotesAfterRestart,
    /// A node takes no notice of what peers hold under its own signature.
    HeldIgnored,
    /// No duty is ever forgotten.
    NothingForgotten,
    /// A partial signature that comes when its signature is there already is reported as a bad one.
    LateIsBad,
    /// Who says the same twice has said two things.
    RepeatIsEvidence,
    /// A process that was not heard of before is a second one beside the first, for who asks and for who is accused.
    RestartIsTwin,
    /// Whatever is held under this node's signature proves that its journal is too old.
    HeldBelieved,
    /// Epochs in which too little was heard are judged for doppelgangers, too.
    UnwatchedJudged,
}

/// Which rules are in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    #[cfg(feature = "mutants")]
    broken: Option<Mutant>,
}

impl Rules {
    /// All rules but one.
    #[cfg(feature = "mutants")]
    pub const fn without(mutant: Mutant) -> Self {
        Self { broken: Some(mutant) }
    }

    /// Whether this rule is broken.
    #[cfg(feature = "mutants")]
    pub(crate) fn break_with(self, mutant: Mutant) -> bool {
        self.broken == Some(mutant)
    }

    /// No rule is ever broken.
    #[cfg(not(feature = "mutants"))]
    #[expect(clippy::unused_self, reason = "the same question as with the feature")]
    pub(crate) const fn break_with(self, _mutant: Mutant) -> bool {
        false
    }
}
