//! Which process is there: a question to a node key, its answer, and the proof that two processes hold one key.
//!
//! Every process draws an id when it starts, its *boot*, and tells it to whoever asks. What it is asked to repeat
//! is bound to the boot that the asker heard last ([`Question`]). So an answer of boot `X` to a question bound to boot `Y`
//! was signed after `Y` had drawn its id, for nobody knew that before. To `Y`, while it lives, this proves that another
//! process holds its key: the process before it was dead when `Y` drew its id. To anybody else it proves nothing, since
//! `Y` may have died before `X` was started. Nobody but a holder of the node key can make such an answer.

use super::{Instance, Kind, Signed, hash_parts};
use crate::bytes::Root;
use crate::operators::Generation;
use crate::units::Slot;
use ssz_derive::{Decode, Encode};

/// What a challenge is made from. No two are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Question {
    /// The asker's boot.
    pub asker: Root,
    /// How many questions that boot had asked before.
    pub count: u64,
    /// The boot that the asker heard last from whom it asks; zero if none.
    pub last: Root,
}

impl Question {
    /// What the answer has to repeat.
    pub fn nonce(&self) -> Root {
        hash_parts(&[b"symbolon boot", &self.asker.0, &self.count.to_le_bytes(), &self.last.0])
    }
}

/// `CHALLENGE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Challenge {
    /// The asker's slot, so that a frame from long ago is not answered; of [`Challenge::KIND`].
    pub instance: Instance,
    /// To be repeated in the answer.
    pub nonce: Root,
}

impl Challenge {
    /// The kind in the instances of these messages. It means nothing there: they are of no duty.
    pub const KIND: Kind = Kind::Attest;

    /// A question in a slot.
    pub fn new(generation: Generation, slot: Slot, question: &Question) -> Self {
        Self { instance: Instance::new(generation, slot, Self::KIND), nonce: question.nonce() }
    }
}

/// `OVERLAP`: another process than the question's `last` has answered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Overlap {
    /// The question. Its `last` is the process to which this is a proof, as long as it lives.
    pub question: Question,
    /// The other process's answer: its `extra` is the question's nonce.
    pub other: Signed,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{FrameError, Message, Step, decode};
    use crate::{ShareIndex, wire::Statement};

    const QUESTION: Question = Question { asker: Root([1; 32]), count: 7, last: Root([2; 32]) };

    fn answer(boot: u8, nonce: Root) -> Statement {
        let instance = Instance::new(Generation(0), Slot(9), Challenge::KIND);
        Statement { instance, step: Step::Boot, round: 0, hash: Root([boot; 32]), extra: nonce }
    }

    fn shape(message: &Message) -> Option<FrameError> {
        decode(&message.to_frame()).err()
    }

    #[test]
    fn no_two_questions_have_one_nonce() {
        let others = [
            Question { asker: Root([3; 32]), ..QUESTION },
            Question { count: 8, ..QUESTION },
            Question { last: Root([3; 32]), ..QUESTION },
        ];
        assert!(others.iter().all(|other| other.nonce() != QUESTION.nonce()));
    }

    #[test]
    fn a_boot_or_an_overlap_of_another_shape_is_refused() {
        let author = ShareIndex::new(1).unwrap();
        let right = answer(3, QUESTION.nonce());
        let boot = |statement: Statement| Message::Boot(statement.unsigned(author));
        let overlap = |statement: Statement| {
            Message::Overlap(Overlap { question: QUESTION, other: statement.unsigned(author) })
        };
        assert_eq!((shape(&boot(right)), shape(&overlap(right))), (None, None));
        let duty = Instance { kind: Kind::Propose, ..right.instance };
        let wrong = [
            Statement { step: Step::Commit, ..right },
            Statement { round: 1, ..right },
            Statement { instance: duty, ..right },
        ];
        for statement in wrong {
            assert!(matches!(shape(&boot(statement)), Some(FrameError::Shape(_))), "{statement:?}");
            assert!(matches!(shape(&overlap(statement)), Some(FrameError::Shape(_))), "{statement:?}");
        }
        for statement in [answer(2, QUESTION.nonce()), answer(3, Root([9; 32]))] {
            assert!(shape(&boot(statement)).is_none(), "says nothing of an overlap");
            assert!(matches!(shape(&overlap(statement)), Some(FrameError::Shape(_))), "{statement:?}");
        }
        let challenge = Challenge { instance: duty, nonce: QUESTION.nonce() };
        assert!(matches!(shape(&Message::Challenge(challenge)), Some(FrameError::Shape(_))));
    }
}
