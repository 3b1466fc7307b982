//! The machine: takes events, keeps the order of steps, says each thing once it may be said.

use super::evidence::{Conflict, Evidence, Fault, Said, conflicts};
use super::inbox::{Inbox, Whole};
use super::judge::{Accusation, Judge};
use super::plan::{COMPLAINT_LEN_MAX, Plan, SHOWN_LEN_MAX, Setup, SetupError};
use super::record::{self, Durable, RecordError};
use super::seal::{CeremonyKey, Sealing};
use super::wire::{Frame, Part, Rejection, Signed, Statement, frames, shape_of, sign};
use super::work::{Heard, Work};
use super::{Cause, Coming, Effort, Input, Output, Step};
use keys::frost::CeremonySeed;
use ssz::Encode as _;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use thiserror::Error;
use types::{Machine, Millis, Root, ShareIndex};
use zeroize::Zeroizing;

/// Why a ceremony cannot go on from its records.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ResumeError {
    /// The setup makes no ceremony.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The records are not this ceremony's.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// One operator's part in a ceremony. Built by [`Ceremony::begin`] or [`Ceremony::resume`], driven as a [`Machine`].
pub struct Ceremony<N, S> {
    plan: Plan,
    seed: CeremonySeed,
    node: N,
    sealing: S,
    work: Work,
    inbox: Inbox,
    /// What is being collected.
    step: Step,
    /// What must be stored before anything goes on.
    awaiting: Option<Durable>,
    own: BTreeMap<Step, Own>,
    up: BTreeSet<ShareIndex>,
    rejected: BTreeMap<ShareIndex, Rejection>,
    outputs: VecDeque<Output>,
    ended: bool,
    /// Who is proved to have done wrong.
    at_fault: BTreeSet<ShareIndex>,
}

/// What this operator says in a step.
struct Own {
    whole: Whole,
    frames: Sendings,
}

enum Sendings {
    All(Vec<Frame>),
    Each(BTreeMap<ShareIndex, Vec<Frame>>),
}

impl<N: CeremonyKey, S: Sealing> Ceremony<N, S> {
    /// A ceremony from its start. Its first wish is to have the seed stored; nothing is said before.
    ///
    /// - `seed`: 32 fresh random bytes, never used before.
    /// - Errors: [`SetupError`].
    pub fn begin(setup: Setup, seed: CeremonySeed, node: N, sealing: S) -> Result<Self, SetupError> {
        let mut ceremony = Self::new(setup, seed, node, sealing)?;
        let record = record::of_seed(&ceremony.plan, &ceremony.seed);
        ceremony.persist(Durable::Seed, record);
        Ok(ceremony)
    }

    /// A ceremony from what it had stored, in order. It says again what it said.
    ///
    /// - Setup, node key and sealing: the same as before; the deadline may be another.
    /// - Errors: [`ResumeError`]. Records that were torn off at the end must be left out by the caller.
    /// - Cost: that of the steps which are recorded.
    pub fn resume(
        setup: Setup,
        node: N,
        sealing: S,
        records: &[impl AsRef<[u8]>],
    ) -> Result<Self, ResumeError> {
        let plan = Plan::new(setup.clone(), sealing.messages())?;
        let (first, rest) = records.split_first().ok_or(RecordError::NoSeed)?;
        let seed = record::read_seed(&plan, first.as_ref())?;
        let mut ceremony = Self::new(setup, seed, node, sealing)?;
        ceremony.enter(Step::Gather);
        if !rest.is_empty() {
            ceremony.enter(Step::Round1);
        }
        for (number, bytes) in rest.iter().enumerate() {
            ceremony.replay(number + 1, bytes.as_ref())?;
        }
        Ok(ceremony)
    }

    fn new(setup: Setup, seed: CeremonySeed, node: N, sealing: S) -> Result<Self, SetupError> {
        let plan = Plan::new(setup, sealing.messages())?;
        if node.author() != plan.me() {
            return Err(SetupError::NodeKey(node.author()));
        }
        Ok(Self {
            plan,
            seed,
            node,
            sealing,
            work: Work::default(),
            inbox: Inbox::default(),
            step: Step::Gather,
            awaiting: None,
            own: BTreeMap::new(),
            up: BTreeSet::new(),
            rejected: BTreeMap::new(),
            outputs: VecDeque::new(),
            ended: false,
            at_fault: BTreeSet::new(),
        })
    }

    fn replay(&mut self, number: usize, bytes: &[u8]) -> Result<(), RecordError> {
        if self.awaiting == Some(Durable::Files) {
            // A record beyond the lock's is written when they are on disk.
            self.stored(Durable::Files);
        }
        let step = self.step;
        if self.ended || self.awaiting.is_some() || !step.is_recorded() {
            return Err(RecordError::Damaged { number });
        }
        for whole in record::read_step(&self.plan, &self.node, number, step, bytes)? {
            self.inbox.put(whole);
        }
        self.complete().map_err(|_| RecordError::Wrong { step })?;
        self.inbox.forget(step);
        self.after_stored(step);
        Ok(())
    }

    /// Smaller parts than [`super::plan::PART_LEN`], before anything is said.
    #[cfg(test)]
    pub(super) fn set_part_len(&mut self, part_len: usize) {
        self.plan.part_len = part_len;
    }

    /// Smaller batches than [`super::plan::BATCH_LEN`], before anything is computed.
    #[cfg(test)]
    pub(super) fn set_batch_len(&mut self, batch_len: usize) {
        self.plan.batch_len = batch_len;
    }

    /// How far the computation of a step is, for another thread to look at.
    pub fn effort(&self) -> Arc<Effort> {
        Arc::clone(&self.plan.effort)
    }

    /// The ceremony's id: names its folder of records.
    pub fn id(&self) -> Root {
        self.plan.ceremony
    }

    /// After the end: who may still need what this operator has to say. As long as it stays, it says it to whoever comes.
    ///
    /// - After an end by proved faults: who has not accused anybody yet, those at fault left out.
    /// - After [`Output::Finished`] with nobody missing: who has not said [`Step::Farewell`], and so may not know of it.
    pub fn unaware(&self) -> Vec<ShareIndex> {
        let Some(last) = self.last_words() else { return Vec::new() };
        let unaware =
            |peer: &ShareIndex| self.inbox.signed(*peer, last).is_none() && !self.at_fault.contains(peer);
        self.plan.others().filter(unaware).collect()
    }

    fn last_words(&self) -> Option<Step> {
        [Step::Complaint, Step::Farewell].into_iter().find(|step| self.own.contains_key(step))
    }

    fn persist(&mut self, durable: Durable, record: Frame) {
        self.awaiting = Some(durable);
        self.outputs.push_back(Output::Persist { durable, record });
    }

    // ---- saying

    fn enter(&mut self, step: Step) {
        self.step = step;
        let own = match step {
            Step::Round2 => self.say_each(step),
            _ => self.say_all(step),
        };
        self.say(step, own);
        self.progress();
    }

    fn say(&mut self, step: Step, own: Own) {
        self.own.insert(step, own);
        for peer in self.up.clone() {
            self.send(step, peer);
        }
    }

    fn say_all(&mut self, step: Step) -> Own {
        let with = (&self.node, &self.sealing);
        let content = self.work.content(&self.plan, &self.seed, with, step, None);
        let signed = sign(&self.plan, &self.node, step, 0, &content);
        let frames = Sendings::All(frames(&self.plan, &signed, &content));
        Own { whole: whole(&self.plan, signed, content), frames }
    }

    fn say_each(&mut self, step: Step) -> Own {
        let mut each = BTreeMap::new();
        for peer in self.plan.others() {
            let with = (&self.node, &self.sealing);
            let content = self.work.content(&self.plan, &self.seed, with, step, Some(peer));
            let signed = sign(&self.plan, &self.node, step, peer.get(), &content);
            each.insert(peer, frames(&self.plan, &signed, &content));
        }
        let me = self.plan.me();
        let content = self.work.content(&self.plan, &self.seed, (&self.node, &self.sealing), step, Some(me));
        let signed = sign(&self.plan, &self.node, step, me.get(), &content);
        Own { whole: whole(&self.plan, signed, content), frames: Sendings::Each(each) }
    }

    fn send(&mut self, step: Step, to: ShareIndex) {
        let frames = match self.own.get(&step).map(|own| &own.frames) {
            Some(Sendings::All(frames)) => frames.as_slice(),
            Some(Sendings::Each(each)) => each.get(&to).map_or(&[][..], Vec::as_slice),
            None => &[],
        };
        self.outputs.extend(frames.iter().map(|frame| Output::Send { to, frame: frame.clone() }));
    }

    fn progress(&mut self) {
        let step = self.step;
        let done = self.plan.size().indices().filter(|index| self.has(*index, step)).collect();
        let coming = self.plan.others().filter_map(|from| {
            let (parts, of) = self.inbox.parts(from, step)?;
            Some(Coming { from, parts, of })
        });
        let coming = coming.collect();
        self.outputs.push_back(Output::Progress { step, done, coming });
    }

    fn has(&self, author: ShareIndex, step: Step) -> bool {
        if author == self.plan.me() {
            self.own.contains_key(&step)
        } else {
            self.inbox.is_complete(author, step)
        }
    }

    // ---- hearing

    fn hear(&mut self, from: ShareIndex, frame: &[u8]) {
        match self.take(from, frame) {
            Ok(()) => {}
            Err(Refused::Rejected(why)) => {
                self.rejected.insert(from, why.clone());
                self.outputs.push_back(Output::Rejected { from, why });
            }
            Err(Refused::Fault(evidence)) => self.abort(vec![Fault { culprit: from, evidence: *evidence }]),
        }
    }

    fn take(&mut self, from: ShareIndex, frame: &[u8]) -> Result<(), Refused> {
        let mut part = Part::parse(frame)?;
        self.check_header(from, &part)?;
        let step = part.signed.statement.step;
        let known = self.inbox.signed(from, step).copied();
        if known != Some(part.signed) && !part.signed.is_signed(&self.node) {
            return Err(Rejection::Signature.into());
        }
        if let Some(known) = known {
            if conflicts(&known, &part.signed) {
                let conflict = Conflict { first: known, second: part.signed };
                return Err(Refused::Fault(Evidence::Conflict(conflict).into()));
            }
            if known.statement != part.signed.statement {
                return Ok(()); // A second complaint: the first one counts.
            }
            part.signed = known;
        }
        let shape = shape_of(&self.plan, &part.signed.statement);
        let shape = shape.ok_or(Refused::Fault(Evidence::Length(part.signed).into()))?;
        let more = self.inbox.take(&self.plan, &part, shape)?;
        if more && step == self.step {
            self.progress();
        }
        Ok(())
    }

    fn check_header(&self, from: ShareIndex, part: &Part<'_>) -> Result<(), Rejection> {
        let Statement { ceremony, author, step, to, .. } = part.signed.statement;
        let wanted = if step == Step::Round2 { self.plan.me().get() } else { 0 };
        if from == self.plan.me() || author != from || to != wanted {
            return Err(Rejection::Misdirected { author, to });
        }
        if ceremony == self.plan.ceremony {
            return Ok(());
        }
        Err(self.other_ceremony(part))
    }

    /// Says in what a peer's ceremony differs, where it tells.
    fn other_ceremony(&self, part: &Part<'_>) -> Rejection {
        let theirs = part.signed.statement.ceremony;
        let hello = self.plan.hello();
        if part.signed.statement.step != Step::Gather || part.bytes.len() != hello.len() {
            return Rejection::OtherCeremony { theirs };
        }
        let (definition, attempt) = part.bytes.split_at(Root::LEN);
        let definition = Root(definition.try_into().expect("split at its length"));
        let attempt = u32::from_le_bytes(attempt.try_into().expect("what is left of a hello"));
        let setup = &self.plan.setup;
        if definition != setup.definition_hash {
            return Rejection::OtherDefinition { theirs: definition, ours: setup.definition_hash };
        }
        Rejection::OtherAttempt { theirs: attempt, ours: setup.attempt }
    }

    // ---- going on

    fn advance(&mut self) {
        while !self.ended && self.awaiting.is_none() {
            self.judge_complaints();
            let all_here = self.plan.others().all(|peer| self.has(peer, self.step));
            if self.ended || !all_here {
                return;
            }
            if self.step == Step::Done && !self.unconfirmed().is_empty() {
                return self.finish();
            }
            match self.complete() {
                Ok(()) => self.after_complete(),
                Err(cause) => self.end(cause),
            }
        }
        self.judge_complaints();
    }

    fn heard(&self) -> Heard<'_> {
        let step = self.step;
        self.plan.others().filter_map(|peer| Some((peer, self.inbox.whole(peer, step)?))).collect()
    }

    fn complete(&mut self) -> Result<(), Cause> {
        let step = self.step;
        let others = self.plan.others();
        let heard: Heard<'_> =
            others.filter_map(|peer| Some((peer, self.inbox.whole(peer, step)?))).collect();
        let own = &self.own.get(&step).expect("a step is entered by saying one's own word").whole;
        let with = (&self.node, &self.sealing);
        let done = self.work.complete(&self.plan, &self.seed, with, step, own, &heard);
        done.map_err(|_| {
            let faults = self.work.faults(&self.plan, &self.seed, &self.node, step, &heard);
            if faults.is_empty() { Cause::ZeroKey } else { Cause::Faults(in_order(faults)) }
        })
    }

    fn after_complete(&mut self) {
        let step = self.step;
        if step.is_recorded() {
            let heard: Vec<_> = self.heard().into_values().collect();
            let record = record::of_step(&self.plan, step, &heard);
            self.persist(Durable::Heard(step), record);
            self.inbox.forget(step);
        } else {
            self.enter(step.next().expect("the last step does not come here"));
        }
    }

    /// Who has not confirmed the lock's hash.
    fn unconfirmed(&self) -> Vec<ShareIndex> {
        let heard = self.heard();
        let wrong = self.work.faults(&self.plan, &self.seed, &self.node, self.step, &heard);
        let confirmed =
            |peer: &ShareIndex| heard.contains_key(peer) && !wrong.iter().any(|fault| fault.culprit == *peer);
        self.plan.others().filter(|peer| !confirmed(peer)).collect()
    }

    /// Ends the ceremony with keys, though not everybody may have confirmed.
    fn finish(&mut self) {
        let missing = self.unconfirmed();
        self.ended = true;
        self.outputs.push_back(Output::Finished { missing });
    }

    /// Ends the ceremony with keys on everybody's disk, which this operator knows for good: it needs nobody any more.
    fn part(&mut self) {
        self.ended = true;
        self.outputs.push_back(Output::Finished { missing: Vec::new() });
        let own = self.say_all(Step::Farewell);
        self.say(Step::Farewell, own);
    }

    fn stored(&mut self, durable: Durable) {
        if self.awaiting != Some(durable) {
            return; // Told twice, or of a run before.
        }
        self.awaiting = None;
        match durable {
            Durable::Seed => self.enter(Step::Gather),
            Durable::Heard(step) => self.after_stored(step),
            Durable::Files => self.enter(Step::Done),
        }
    }

    fn after_stored(&mut self, step: Step) {
        if step == Step::Done {
            return self.part();
        }
        if step != Step::Lock {
            return self.enter(step.next().expect("recorded steps before the last have a next one"));
        }
        let outcome = self.work.outcome(&self.plan, &self.seed, &self.sealing);
        self.awaiting = Some(Durable::Files);
        self.outputs.push_back(Output::Files(outcome.expect("the lock was completed just before, once")));
    }

    // ---- ending

    fn judge_complaints(&mut self) {
        if self.ended || self.is_made() {
            return;
        }
        let (plan, sealing) = (&self.plan, &self.sealing);
        let judge = Judge { plan, peers: &self.node, sealing, work: Some(&self.work) };
        let mut faults = Vec::new();
        for peer in self.plan.others() {
            let Some(whole) = self.inbox.whole(peer, Step::Complaint) else { continue };
            match judge.accusation(&whole.content) {
                Accusation::Holds(proved) => faults.extend(proved),
                // One that cannot be shown to others is as good as none: its author gains nothing by it.
                Accusation::False if whole.content.len() > SHOWN_LEN_MAX => {}
                Accusation::False => {
                    let (signed, content) = (whole.signed, whole.content.to_vec());
                    let evidence = Evidence::FalseAccusation(Said { signed, content });
                    faults.push(Fault { culprit: peer, evidence });
                }
                Accusation::Unknown => {}
            }
        }
        if !faults.is_empty() {
            self.abort(faults);
        }
    }

    /// Ends the ceremony by proved faults; once the keys are made and proved, nothing that is said undoes them.
    fn abort(&mut self, faults: Vec<Fault>) {
        if !self.is_made() {
            self.end(Cause::Faults(in_order(faults)));
        }
    }

    /// Whether the lock is complete: all that is left is to have it on everybody's disk.
    fn is_made(&self) -> bool {
        self.step == Step::Done || self.awaiting == Some(Durable::Files)
    }

    fn end(&mut self, cause: Cause) {
        if self.ended {
            return;
        }
        self.ended = true;
        if let Cause::Faults(faults) = &cause {
            self.at_fault = faults.iter().map(|fault| fault.culprit).collect();
            self.complain(faults);
        }
        let lock_signed = self.own.contains_key(&Step::Lock);
        self.outputs.push_back(Output::Abort { cause, lock_signed });
    }

    /// Shows the evidence to all, as much of it as fits.
    fn complain(&mut self, faults: &[Fault]) {
        let mut evidence: Vec<_> = faults.iter().map(|fault| fault.evidence.clone()).collect();
        while evidence.as_ssz_bytes().len() > COMPLAINT_LEN_MAX {
            evidence.pop();
        }
        if evidence.is_empty() {
            return;
        }
        let content = Zeroizing::new(evidence.as_ssz_bytes());
        let signed = sign(&self.plan, &self.node, Step::Complaint, 0, &content);
        let frames = Sendings::All(frames(&self.plan, &signed, &content));
        self.say(Step::Complaint, Own { whole: whole(&self.plan, signed, content), frames });
    }

    /// The deadline has passed. What was heard in the step under way is checked first: a fault says more than silence.
    fn give_up(&mut self) {
        if self.awaiting.is_some() {
            return; // For our own disk: what comes of it is decided when it answers.
        }
        if self.step == Step::Done {
            return self.finish();
        }
        let faults = self.work.faults(&self.plan, &self.seed, &self.node, self.step, &self.heard());
        if !faults.is_empty() {
            return self.abort(faults);
        }
        let silent = self.plan.others().filter(|peer| !self.has(*peer, self.step));
        let operators = silent.map(|peer| (peer, self.rejected.get(&peer).cloned())).collect();
        self.end(Cause::Silence { step: self.step, operators });
    }
}

impl<N: CeremonyKey, S: Sealing> Machine for Ceremony<N, S> {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Millis, input: Input) {
        match input {
            Input::PeerUp(peer) if self.plan.others().any(|other| other == peer) => {
                self.up.insert(peer);
                let said: Vec<_> = self.own.keys().copied().collect();
                for step in said {
                    self.send(step, peer);
                }
            }
            Input::PeerDown(peer) => {
                self.up.remove(&peer);
            }
            Input::Message { from, frame } if !self.ended => self.hear(from, &frame.0),
            // Only who has said its last words counts any more, and nothing that is wrong.
            Input::Message { from, frame } if self.last_words().is_some() => {
                let _ = self.take(from, &frame.0);
            }
            Input::Stored(durable) if !self.ended => self.stored(durable),
            Input::Tick | Input::PeerUp(_) | Input::Message { .. } | Input::Stored(_) => {}
        }
        self.advance();
        if !self.ended && now >= self.plan.setup.deadline {
            self.give_up();
        }
    }

    fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn wake_at(&self) -> Option<Millis> {
        (!self.ended && self.awaiting.is_none()).then_some(self.plan.setup.deadline)
    }
}

/// Why a frame is not taken.
enum Refused {
    Rejected(Rejection),
    Fault(Box<Evidence>),
}

impl From<Rejection> for Refused {
    fn from(why: Rejection) -> Self {
        Self::Rejected(why)
    }
}

fn whole(plan: &Plan, signed: Signed, content: Zeroizing<Vec<u8>>) -> Whole {
    let shape = shape_of(plan, &signed.statement).expect("we say what has its step's length");
    Whole::new(signed, content, shape).expect("we sign what we say")
}

/// One fault for each culprit, in order.
fn in_order(faults: Vec<Fault>) -> Vec<Fault> {
    let mut by_culprit = BTreeMap::new();
    for fault in faults {
        by_culprit.entry(fault.culprit).or_insert(fault);
    }
    by_culprit.into_values().collect()
}
