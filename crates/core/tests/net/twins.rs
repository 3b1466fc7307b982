//! The twins villain: two honest machines under one key, each with its own value, ears and audience. Whatever
//! two-faced play the rules allow an operator to look honest in, they play.

use super::{CLUSTER, Key, Lines, Villain, check, hash, value};
use symbolon_core::To;
use symbolon_core::agree::{Agree, Input, Output, Setup};
use types::wire::{self, Verified};
use types::{Machine as _, Millis, ShareIndex};

pub(crate) struct Face {
    agree: Agree,
    text: String,
    /// Whom it hears.
    ears: Vec<ShareIndex>,
    /// Who hears it.
    audience: Vec<ShareIndex>,
}

impl Face {
    pub(crate) fn new(setup: Setup, text: &str, ears: Vec<ShareIndex>, audience: Vec<ShareIndex>) -> Self {
        Self { agree: Agree::new(setup), text: text.to_owned(), ears, audience }
    }

    fn take(&mut self, me: ShareIndex, now: Millis, input: Input, lines: &mut Lines) {
        self.agree.handle(now, input);
        while let Some(output) = self.agree.poll() {
            match output {
                Output::Send { to, message } => {
                    let sealed = wire::seal(message, &CLUSTER, &Key(me));
                    let hears = |peer: &&ShareIndex| to == To::All || to == To::One(**peer);
                    let heard_by = self.audience.iter().filter(hears);
                    lines.extend(heard_by.map(|peer| (*peer, sealed.message().clone())));
                    if to == To::All {
                        self.take(me, now, Input::Message(sealed), lines);
                    }
                }
                Output::Check { hash, value } => {
                    let verdict = check(me, hash, &value);
                    self.take(me, now, Input::Checked { hash, verdict }, lines);
                }
                Output::NeedOwn { .. } | Output::NeedVote => {
                    let input = Input::Own { hash: hash(&self.text), value: value(&self.text) };
                    self.take(me, now, input, lines);
                }
                Output::FetchContents { .. }
                | Output::Decided { .. }
                | Output::ResendPartial { .. }
                | Output::Evidence { .. }
                | Output::Fault { .. } => {}
            }
        }
    }
}

pub(crate) struct Twins {
    pub(crate) me: ShareIndex,
    pub(crate) faces: [Face; 2],
    pub(crate) open: bool,
}

impl Villain for Twins {
    fn hear(&mut self, now: Millis, message: &Verified) -> Lines {
        let mut lines = Vec::new();
        for face in &mut self.faces {
            if face.ears.contains(&message.sender()) {
                face.take(self.me, now, Input::Message(message.clone()), &mut lines);
            }
        }
        lines
    }

    fn act(&mut self, now: Millis) -> Lines {
        let mut lines = Vec::new();
        for face in &mut self.faces {
            let input = match self.open {
                true => Input::Own { hash: hash(&face.text), value: value(&face.text) },
                false => Input::Tick,
            };
            face.take(self.me, now, input, &mut lines);
        }
        self.open = false;
        lines
    }
}
