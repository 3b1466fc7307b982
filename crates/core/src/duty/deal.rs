//! What every agreed duty is made of: agreement, signing, the client's waiting questions, the story.
//!
//! A duty of one kind knows its value, its checks and its answers; everything between is here, once.

use super::signing::Signing;
use super::{Desk, Purpose};
use crate::account::Obstacle;
use crate::agree::{self, Agree};
use crate::outcome::Story;
use crate::{Answer, Input, Output, Refusal, RequestId};
use types::machine::Machine as _;
use types::wire::{Instance, Item, Message, Value, Verified};
use types::{ChainSpec, Millis, Root, ShareIndex, Signature, Slot};

/// One agreed duty, whatever its kind.
#[derive(Debug)]
pub(crate) struct Deal {
    agree: Agree,
    pub(crate) signing: Signing,
    pub(crate) story: Story,
    /// The client's questions for the agreed value.
    waiting: Vec<RequestId>,
}

/// What agreement wants that only the duty itself can do.
#[derive(Debug)]
pub(crate) enum Turn {
    /// Run the checks on a value and answer with [`agree::Input::Checked`].
    Check {
        /// What the bytes are said to hash to.
        hash: Root,
        /// The bytes.
        value: Value,
    },
    /// A value of the own beacon nodes is needed.
    NeedOwn,
    /// What belongs to a value is to be asked for.
    FetchContents {
        /// Hash of the value.
        hash: Root,
        /// Whom.
        from: ShareIndex,
    },
    /// The decision.
    Decided {
        /// Hash of the value.
        hash: Root,
        /// The value.
        value: Value,
    },
}

/// What the result of a wish led to.
#[derive(Debug)]
pub(crate) enum Settled {
    /// The client may be answered differently now.
    Opened,
    /// Signatures that are new, over the value of this hash.
    Signatures {
        /// The value.
        hash: Root,
        /// Whose, and the validators' signatures.
        fresh: Vec<(Item, Signature)>,
    },
    /// Nothing to do.
    Nothing,
}

/// How an instance's agreement is set up.
pub(crate) fn agree_setup(
    desk: &Desk<'_>,
    instance: Instance,
    start: Millis,
    follow_only: bool,
) -> agree::Setup {
    agree::Setup {
        instance,
        size: desk.setup.size,
        me: desk.setup.me,
        start,
        deadline: desk.setup.spec.attestation_due(instance.slot),
        follow_only,
        timers: desk.setup.timers.clone(),
        rules: desk.setup.rules,
    }
}

impl Deal {
    /// Begins an agreement over the items due.
    pub(crate) fn new(desk: &Desk<'_>, setup: agree::Setup, due: impl IntoIterator<Item = Item>) -> Self {
        let instance = setup.instance;
        let mut story = Story::new(desk.setup, instance);
        if setup.follow_only {
            story.blocked(Obstacle::OnlyFollows);
        }
        Self {
            agree: Agree::new(setup),
            signing: Signing::new(instance, desk.setup.size.threshold(), due),
            story,
            waiting: Vec::new(),
        }
    }

    pub(crate) const fn instance(&self) -> Instance {
        self.story.instance()
    }

    const fn slot(&self) -> Slot {
        self.story.instance().slot
    }

    /// Tells agreement something; what it wants then comes with [`Deal::turn`].
    pub(crate) fn tell(&mut self, now: Millis, input: agree::Input) {
        self.agree.handle(now, input);
    }

    /// Takes an operator's message: partials here, everything else to agreement. `true` if it was partials.
    pub(crate) fn message(&mut self, desk: &mut Desk<'_>, verified: Verified) -> bool {
        let from = verified.sender();
        if let Message::Partial(partials) = verified.message() {
            self.signing.partials(desk, from, partials.clone());
            self.story.partials(desk.now, from, self.signing.sent_by(from));
            return true;
        }
        self.tell(desk.now, agree::Input::Message(verified));
        false
    }

    /// The next thing that only the duty can do; grants everything else that agreement wants.
    pub(crate) fn turn(&mut self, desk: &mut Desk<'_>) -> Option<Turn> {
        while let Some(output) = self.agree.poll() {
            match output {
                agree::Output::Send { to, message } => desk.wish(Output::Send { to, message }),
                agree::Output::ResendPartial { to } => self.signing.resend(desk, to),
                agree::Output::Evidence { author, first, second } => {
                    desk.wish(Output::Evidence { author, first, second });
                }
                agree::Output::Fault { peer, fault } => {
                    self.story.fault(peer, fault);
                    desk.wish(Output::Fault { peer, instance: self.instance(), fault });
                }
                agree::Output::Check { hash, value } => return Some(Turn::Check { hash, value }),
                agree::Output::FetchContents { hash, from } => {
                    return Some(Turn::FetchContents { hash, from });
                }
                agree::Output::NeedOwn { .. } | agree::Output::NeedVote => return Some(Turn::NeedOwn),
                agree::Output::Decided { hash, value, round, .. } => {
                    self.story.decided(desk.now, Some(round));
                    return Some(Turn::Decided { hash, value });
                }
            }
        }
        None
    }

    /// Takes the result of a wish.
    pub(crate) fn result(&mut self, desk: &mut Desk<'_>, purpose: Purpose, input: Input) -> Settled {
        match (purpose, input) {
            (Purpose::Journal, Input::Journaled { ticket, durable }) => {
                self.signing.journaled(desk, ticket, durable);
                if !durable {
                    self.story.blocked(Obstacle::JournalFailed);
                }
                Settled::Opened
            }
            (Purpose::Sign { items, request }, Input::Signed { results, .. }) => {
                self.story.completed(&results);
                self.signing.signed(desk, &items, request, results);
                Settled::Nothing
            }
            (Purpose::Combine { items, hash }, Input::Combined { results, .. }) => {
                self.story.combined(&items, &results);
                let fresh = self.signing.combined(desk, &items, &results);
                if fresh.is_empty() { Settled::Nothing } else { Settled::Signatures { hash, fresh } }
            }
            (Purpose::Submit, Input::Submitted { taken, .. }) => {
                self.story.submitted(taken);
                Settled::Nothing
            }
            _ => Settled::Nothing,
        }
    }

    /// Hands signatures over the value of `hash` to the beacon nodes: this node's part in agreement is over.
    pub(crate) fn submit(&mut self, desk: &mut Desk<'_>, hash: Root, submission: crate::Submission) {
        let ticket = desk.tickets.issue(self.instance(), Purpose::Submit);
        desk.wish(Output::Submit { ticket, submission });
        self.story.signed_at(desk.now);
        self.tell(desk.now, agree::Input::Combined { hash });
    }

    /// The client asks for the agreed value.
    pub(crate) fn wait(&mut self, request: RequestId) {
        self.waiting.push(request);
    }

    /// Whether the client waits for an answer.
    pub(crate) fn is_waited_for(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Why the client gets nothing, if that is certain.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        let refused = || self.signing.all_refused().filter(|_| self.signing.is_promised());
        self.signing.closed().or_else(refused)
    }

    /// Answers everybody who waits.
    pub(crate) fn answer(&mut self, desk: &mut Desk<'_>, answer: &Answer) {
        for request in self.waiting.drain(..) {
            desk.wish(Output::Reply { request, answer: answer.clone() });
        }
    }

    /// The node was stopped: whoever waits is told why, and agreement goes on without this node's word if that is so.
    pub(crate) fn stopped(&mut self, desk: &mut Desk<'_>) {
        if let Some(refusal) = desk.journal.forbids(self.instance()) {
            if let Refusal::RolledBack { .. } = refusal {
                self.signing.close(refusal.clone());
            }
            self.answer(desk, &Answer::Refused(refusal));
        }
        if desk.journal.stops().is_silent() {
            self.tell(desk.now, agree::Input::Follow);
        }
    }

    /// Whoever waits still when the slot is over is told so.
    pub(crate) fn tick(&mut self, desk: &mut Desk<'_>) {
        if desk.now >= desk.setup.spec.slot_start(self.slot().next()) {
            let refusal = Refusal::TooLate(self.slot());
            self.answer(desk, &Answer::Refused(refusal.clone()));
            self.signing.refuse_early(desk, &refusal);
        }
        self.tell(desk.now, agree::Input::Tick);
        self.signing.combine(desk);
    }

    /// When to tick.
    pub(crate) fn wake_at(&self, spec: &ChainSpec) -> Option<Millis> {
        let waited_for = self.is_waited_for() || self.signing.has_early();
        let late = waited_for.then(|| spec.slot_start(self.slot().next()));
        [self.agree.wake_at(), self.signing.wake_at(), late].into_iter().flatten().min()
    }
}
