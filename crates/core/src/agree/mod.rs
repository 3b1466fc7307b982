//! Agreement of one instance: vote, sign when all agree, else commit.
//!
//! An instance is one slot's duties of one kind, whatever the number of validators. `n` operators, of whom
//! `f = (n-1)/3` may be faulty; a quorum is `q = ceil(2n/3)`. Rounds count from 0, which is open (everybody
//! votes for what its own beacon nodes say), for *attest*; from 1, which is led, for *propose*, *aggregate* and
//! *contribute*. The leader of round `r` is `(slot + r) mod n`.
//!
//! Slashing safety does not rest on this module: the journal alone decides what is signed (rule 7, `journal`).
//! Agreement makes everybody sign the same thing, soon.
//!
//! ```text
//!            open round 0                     led round r >= 1
//!
//!   own value                      (r > first:  q x NEWROUND(r) -> leader)
//!       |                                             |
//!       v                                             v
//!     VOTE(0, h) ----------.           PROPOSAL(r, h) by the leader, justified
//!       |                  |                          |
//!       | n equal of the   | q equal                  v
//!       | first round      v                     VOTE(r, h)
//!       |              CERT(r, h) <--- q equal -------'  (first round: n equal decide as well)
//!       |                  |
//!       |                  v
//!       |             COMMIT(r, h)
//!       |                  | q equal
//!       v                  v                        timer ends, or split for good
//!   ================ decided: h ================         |
//!     DECIDED to all; value in hand, checked again       v
//!     -> serve, journal, sign -> PARTIAL            NEWROUND(r+1): best CERT, last VOTE
//! ```
//!
//! # Messages
//!
//! All are signed over cluster, generation, instance and type ([`types::wire`]). Links are reliable streams, so
//! nothing is sent twice, except that on reconnecting a node sends its own latest message of each type again.
//!
//! | message | carries |
//! |---|---|
//! | `VOTE(r, h)` | the value too where it is small (attest) |
//! | `CERT(r, h)` | the signatures of `q` equal votes of round `r` |
//! | `COMMIT(r, h)` | |
//! | `DECIDED(h)` | the signatures of `q` equal commits of one round, or of `n` equal votes of the first round |
//! | `NEWROUND(r)` | best certificate or none; last vote or none, for rounds >= 1 with the leader's signed proposal header |
//! | `PROPOSAL(r, h)` | the value, or none ("fetch"); `q` or more `NEWROUND(r)` of distinct authors, none in a led first round |
//! | `FETCH(h)`, `VALUE` | a missing value, by its hash |
//!
//! `PARTIAL` is the caller's; this machine only says when to repeat it.
//!
//! # Rules
//!
//! *Voting* (`vote`)
//! 1. One vote per round, ever, and only for a value in hand whose checks allow it. After sending `NEWROUND(r)`
//!    a node neither votes nor commits in a round below `r`.
//! 2. Round 0: vote when the own beacon nodes know the slot's head. Without one at the deadline: for a value
//!    with `f+1` votes (an honest node's beacon nodes answered it), else what the beacon nodes say now.
//! 3. Led first round: vote for the leader's first valid proposal.
//! 4. Later rounds: vote once round `r` was asked for or entered and the proposal's justification is valid
//!    (rule 9). A valid justification itself is `q` `NEWROUND(r)`, which pull and enter.
//!
//! *Committing and deciding* (`settle`)
//!
//! 5. A certificate of round `r` is relayed once and makes a node send `COMMIT(r)`, unless it has sent a
//!    `NEWROUND` above `r` or is only following (rule 11). The certificate of the highest round is kept and
//!    shown in `NEWROUND`. One of a higher round pulls to that round.
//! 6. A value is decided by `q` equal commits of one round, by `n` equal votes of the first round, by a valid
//!    `DECIDED`, or by `t` partials that combined and verified; late or early does not matter. Then the value is
//!    fetched if missing, checked again, and handed out once; the proof is sent to all.
//! 7. The journal alone decides what is signed: see `journal`. Nothing here waits for it.
//!
//! *Changing rounds* (`change`)
//!
//! 8. `NEWROUND(p+1)` is sent when the timer of the own round `p` ends, and in round 0 also when no value can
//!    reach `q` any more, counting the nodes heard from lately. `f+1` authors of `NEWROUND` at `r` or above pull
//!    to `r`. Holding `q` `NEWROUND(r)` enters `r` and starts its timer. A decided node takes part until `t`
//!    partials combine; afterwards it answers `NEWROUND` with `DECIDED` and `PARTIAL`. It starts no round by its
//!    own timer, though: its proof went to all at once, so nobody needs one, and a cluster that decides but lacks
//!    partials would otherwise change rounds as long as the instance is kept.
//! 9. The leader's choice, which every voter computes again from the justification (`choice`): the certificate
//!    of the highest round; if there is none, the hash with most last votes, *whatever their rounds*, on a tie
//!    the leader's pick among the tied; with no votes at all the leader's own value. A leader leaves out
//!    `NEWROUND`s whose value it cannot fetch or would not vote for, as long as `q` remain.
//! 10. The leader of `r` proposes once it holds `q` `NEWROUND(r)` and one shows a certificate of `r-1`, or all
//!     nodes heard from lately are in, or 100 ms have passed.
//!
//! *Restart, evidence, limits* (`receive`, `rounds`)
//!
//! 11. After a restart: no vote, commit, `NEWROUND` or proposal in instances that may have begun before it
//!     ([`Setup::follow_only`]); follow by rule 6. The same from the moment on in which a node loses its clock, or learns of
//!     a second process under its key ([`Input::Follow`]).
//! 12. Two votes, commits, proposals or `NEWROUND`s of one author for one round: both are evidence, the first
//!     counts, certificates that contain the other are accepted.
//! 13. All is bounded (below). Cheap checks come first; signatures were checked last, at the door.
//!
//! # Why it is safe
//!
//! No delay bound is used; at most `f` operators are faulty.
//!
//! - *One certificate per round.* Two have `2q - n > f` common voters, one of them honest, and it votes once.
//! - *One decided value, by commits.* `q` commits of `v` in round `k` come from `q` operators who held its
//!   certificate and had not yet asked for a higher round (rule 5). Any `q` `NEWROUND(r)` with `r > k` hold one
//!   of the honest among them, who shows that certificate or one of a later round. By induction over the rounds
//!   from `k` on, those are of `v` too; so rule 9 allows only `v`.
//! - *One decided value, by the fast path.* `n` equal first votes mean that `v` is the first vote of every honest
//!   operator, cast before any of its `NEWROUND`s (rule 1), and by induction over the rounds its every later vote
//!   too. Of `m >= q` `NEWROUND`s at most `f` are not by honest operators, and `m - f > f`: `v` has most last
//!   votes, and no certificate can be of anything else.
//!
//! Rule 9 must not prefer last votes of higher rounds. A faulty leader of round 1 can sign a header for any `x`,
//! justified or not, and claim to have voted for it: that one claim would outbid the votes of all honest
//! operators after one of them decided `v` by the fast path (a test of this crate plays it). The leader's
//! signature on the header keeps others from inventing votes; it does not keep the leader from it.
//!
//! # When it is live
//!
//! When messages arrive in bounded time and at most `f` operators are faulty (restarts counted), the first live
//! honest leader's round ends it. A duty is missed only with more faults, when time runs out, or when the checks
//! on the value fail at more than `n - q` honest nodes.
//!
//! # What was explored
//!
//! What the rules allow is answered by [`rules`], without messages and signatures. A model of this crate's tests
//! (`tests/model`) asks the same functions, and goes through every state of `n = 4`, `f = 1` with two values: one
//! certificate per round, one decided value, no group signature on two values, no duty lost for good. Plain tests go as far
//! as one changed round; three rounds are exhausted by `.ci/model`, with figures in `docs/evidence.md`. The same model
//! finds what is wrong with rules 5, 9 and 11 once one of them is broken ([`crate::mutants`]). Beyond it, `agree_random`
//! samples schedules of this machine itself.
//!
//! # What it costs
//!
//! | case | attest, delays to the decision | block |
//! |---|---|---|
//! | all alive, same view | 1: vote | 2: proposal, vote |
//! | up to `f` dead, same view | 2: vote, commit | 3; a leader known dead costs 50 ms |
//! | views split | the window, then `NEWROUND`, proposal, vote, commit | - |
//!
//! A partial is one delay more. Messages to each peer, all alive: `VOTE`, `CERT`, `COMMIT`, `DECIDED` of each
//! node, and the leader's `PROPOSAL`: 200 bytes, and `q` or `n` signatures of 65 bytes in `CERT` and `DECIDED`. A
//! changed round adds a `NEWROUND` of each node and a proposal that holds `q` of them.
//!
//! # Bounds
//!
//! Kept are the first round, the own, four below and two above it: at most 8 rounds. Each holds per operator one
//! vote, one commit, one `NEWROUND` (of at most `n + 2` signatures), and one proposal header: 8 n (n + 4) signed
//! statements, some 40 kB at n = 4 and 900 kB at n = 22. Beside them, per operator, one vote, commit and `NEWROUND`
//! that is too far ahead. Values: one per counted vote (small ones) or proposal that is kept, and while one is
//! under check one other candidate per operator.

mod authors;
mod change;
mod choice;
mod interface;
mod proof;
mod receive;
mod rounds;
pub mod rules;
mod settle;
mod timers;
mod values;
mod vote;

pub use interface::{Input, Output, Setup, Verdict};
pub use timers::Timers;

use crate::{Fault, To};
use authors::Authors;
use proof::Judge;
use rounds::Rounds;
use rules::{Rulebook, Standing};
use std::collections::{BTreeMap, VecDeque};
use types::wire::{Instance, Message, Quorum, Signed, Statement, Step, Value, ValueId};
use types::{Machine, Millis, Root, ShareIndex};
use values::{Peers, Values};

/// This node's last vote.
#[derive(Clone, Copy, Debug)]
struct Voted {
    round: u32,
    hash: Root,
    /// The proposal it answered, in a led round.
    header: Option<Signed>,
}

/// How far the decided value has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not in hand.
    Missing,
    /// In hand; the checks after the decision have not passed.
    Checking,
    /// Handed out.
    Announced,
}

#[derive(Debug)]
struct Decision {
    hash: Root,
    round: u32,
    proof: Option<Quorum>,
    stage: Stage,
}

/// The agreement machine of one instance at one operator.
#[derive(Debug)]
pub struct Agree {
    setup: Setup,
    now: Millis,
    /// The round this node is in, and since when.
    round: u32,
    since: Millis,
    /// The highest `NEWROUND` sent, or that would have been sent; 0 for none.
    asked: u32,
    /// The highest round proposed in; 0 for none.
    proposed: u32,
    voted: Option<Voted>,
    best: Option<Quorum>,
    own: Option<Root>,
    need_vote_said: bool,
    need_own_said: u32,
    heard: Authors,
    /// Leaders whose last round expired here.
    expired: Authors,
    /// The highest `NEWROUND` of each author.
    reached: BTreeMap<ShareIndex, u32>,
    rounds: Rounds,
    /// One message per author and type that is too far ahead, with its round.
    ahead: BTreeMap<(ShareIndex, Step), (u32, Message)>,
    values: Values,
    /// Values missed since the last event.
    wanted: Vec<Root>,
    /// Values in hand that this node might vote for, had it what belongs to them.
    lacking: Vec<Root>,
    decision: Option<Decision>,
    /// Whether `t` partials have combined.
    ended: bool,
    /// The own latest message of each type, for peers that reconnect.
    sent: BTreeMap<&'static str, Message>,
    /// The highest round in which each peer's late `NEWROUND` was answered.
    answered: BTreeMap<ShareIndex, u32>,
    /// Values sent to each peer.
    served: BTreeMap<ShareIndex, u8>,
    outputs: VecDeque<Output>,
}

impl Agree {
    /// A machine at the beginning of its instance. It does nothing before its first input.
    pub fn new(setup: Setup) -> Self {
        Self {
            now: Millis(0),
            round: setup.instance.kind.first_round(),
            since: setup.start,
            asked: 0,
            proposed: 0,
            voted: None,
            best: None,
            own: None,
            need_vote_said: false,
            need_own_said: 0,
            heard: setup.size.indices().collect(),
            expired: Authors::default(),
            reached: BTreeMap::new(),
            rounds: Rounds::default(),
            ahead: BTreeMap::new(),
            values: Values::default(),
            wanted: Vec::new(),
            lacking: Vec::new(),
            decision: None,
            ended: false,
            sent: BTreeMap::new(),
            answered: BTreeMap::new(),
            served: BTreeMap::new(),
            outputs: VecDeque::new(),
            setup,
        }
    }

    /// Which agreement this is.
    pub fn instance(&self) -> Instance {
        self.setup.instance
    }

    /// The round this node is in or has asked for: for metrics.
    pub fn frontier(&self) -> u32 {
        self.standing().frontier()
    }

    /// What the rules for this node's own words look at.
    fn standing(&self) -> Standing {
        Standing {
            round: self.round,
            asked: self.asked,
            voted: self.voted.map(|voted| voted.round),
            proposed: self.proposed,
            decided: self.decision.is_some(),
            silent: self.is_silent(),
        }
    }

    /// Does whatever the rules allow now. Each step only looks at what is known, so their order decides
    /// nothing but who comes first: a vote that is due is cast before the round is left.
    fn advance(&mut self) {
        self.wanted.clear();
        self.catch_up();
        self.propose();
        self.vote();
        self.expire();
        self.settle();
        self.fetch();
        self.fetch_contents();
    }

    fn on_own(&mut self, hash: Root, value: Value) {
        self.own = Some(hash);
        self.offer(hash, value, self.setup.me);
    }

    /// The own latest message of each type again, and what is known of the decision.
    fn on_reconnected(&mut self, peer: ShareIndex) {
        if peer == self.setup.me {
            return;
        }
        let to = To::One(peer);
        self.outputs.extend(self.sent.values().map(|message| Output::Send { to, message: message.clone() }));
        self.resend_decision(peer);
        self.values.fetch_afresh();
    }

    /// Notes that a value is missed; what is in hand or under check is not.
    fn want(&mut self, hash: Root) {
        if !self.values.is_offered(&hash) && !self.wanted.contains(&hash) {
            self.wanted.push(hash);
        }
    }

    /// Asks for what is missed, one peer after the other.
    fn fetch(&mut self) {
        for &hash in &self.wanted {
            let peers = self.holders(&hash);
            if let Some(peer) = self.values.fetch(hash, self.now, self.setup.timers.fetch_retry, peers) {
                let message = Message::Fetch(ValueId { instance: self.setup.instance, hash });
                self.outputs.push_back(Output::Send { to: To::One(peer), message });
            }
        }
    }

    /// Rule 9 forces later leaders to propose what was voted for, so a vote must be possible even if its leader told few
    /// what belongs to the value and is gone. In the first round it is still on its way.
    fn fetch_contents(&mut self) {
        self.lacking.clear();
        if self.decision.is_some() || self.is_silent() || self.frontier() <= self.judge().first_round() {
            return;
        }
        self.lacking.extend(self.values.without_contents());
        for &hash in &self.lacking {
            let peers = self.holders(&hash);
            if let Some(from) = self.values.fetch(hash, self.now, self.setup.timers.contents_retry, peers) {
                self.outputs.push_back(Output::FetchContents { hash, from });
            }
        }
    }

    /// Whom to ask for a value or what belongs to it: who voted for it had both.
    fn holders(&self, hash: &Root) -> Peers {
        Peers {
            voters: self.rounds.backers(hash),
            heard: self.heard,
            others: self.setup.size.others(self.setup.me).collect(),
        }
    }

    /// Drops old rounds, and the values that nothing names any more.
    fn forget(&mut self) {
        self.rounds.forget(self.judge().first_round(), self.lowest_kept());
        let own = [
            self.own,
            self.voted.map(|voted| voted.hash),
            self.best.as_ref().map(|best| best.statement.hash),
            self.decision.as_ref().map(|decision| decision.hash),
        ];
        let rounds = &self.rounds;
        self.values.retain(|hash| own.contains(&Some(*hash)) || rounds.name(hash));
    }

    fn judge(&self) -> Judge {
        Judge { instance: self.setup.instance, size: self.setup.size, book: self.book() }
    }

    fn book(&self) -> Rulebook {
        Rulebook::new(self.setup.size, self.setup.instance.kind, self.setup.rules)
    }

    /// Whether this node only follows: after a restart (rule 11), or because its part is over.
    fn is_silent(&self) -> bool {
        self.setup.follow_only || self.ended
    }

    /// Whether values are small enough to ride in votes.
    fn is_small(&self) -> bool {
        self.setup.instance.kind == types::wire::Kind::Attest
    }

    /// Who was heard from lately, this node included.
    fn alive(&self) -> Authors {
        let mut alive = self.heard;
        alive.insert(self.setup.me);
        alive
    }

    fn leader_is_heard(&self, round: u32) -> bool {
        let proposed = self.rounds.get(round).is_some_and(|kept| kept.proposal.is_some());
        proposed || self.alive().contains(self.judge().leader(round))
    }

    fn statement(&self, step: Step, round: u32, hash: Root, extra: Root) -> Signed {
        let instance = self.setup.instance;
        Statement { instance, step, round, hash, extra }.unsigned(self.setup.me)
    }

    fn send(&mut self, to: To, message: Message) {
        self.outputs.push_back(Output::Send { to, message });
    }

    /// Sends to all. The decision is remembered as such; of all else the latest of each type.
    fn broadcast(&mut self, message: Message) {
        if !matches!(message, Message::Decided(_)) {
            self.sent.insert(message.name(), message.clone());
        }
        self.send(To::All, message);
    }

    fn evidence(&mut self, first: Signed, second: Signed) {
        self.outputs.push_back(Output::Evidence { author: first.author, first, second });
    }

    fn fault(&mut self, peer: ShareIndex, fault: Fault) {
        if peer != self.setup.me {
            self.outputs.push_back(Output::Fault { peer, fault });
        }
    }
}

impl Machine for Agree {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Millis, input: Input) {
        self.now = self.now.max(now);
        match input {
            Input::Tick => {}
            Input::Own { hash, value } => self.on_own(hash, value),
            Input::Message(message) => self.receive(message),
            Input::Checked { hash, verdict } => self.on_checked(hash, verdict),
            Input::Heard(heard) => self.heard = heard.into_iter().collect(),
            Input::Combined { hash } => self.on_combined(hash),
            Input::Reconnected(peer) => self.on_reconnected(peer),
            Input::Follow => self.setup.follow_only = true,
        }
        self.advance();
    }

    fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn wake_at(&self) -> Option<Millis> {
        self.next_wake()
    }
}
