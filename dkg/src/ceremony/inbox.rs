//! What was heard: one message per author and step, put together from its parts.

use super::Step;
use super::merkle;
use super::plan::{Plan, Shape};
use super::wire::{Part, Rejection, Signed};
use std::collections::BTreeMap;
use types::ShareIndex;
use zeroize::Zeroizing;

/// A message whose content is complete and has the root that was signed.
#[derive(Clone)]
pub(super) struct Whole {
    pub(super) signed: Signed,
    pub(super) content: Zeroizing<Vec<u8>>,
    pub(super) shape: Shape,
}

impl Whole {
    /// `None` if the content is not what was signed.
    pub(super) fn new(signed: Signed, content: Zeroizing<Vec<u8>>, shape: Shape) -> Option<Self> {
        let as_signed =
            content.len() == shape.len() && merkle::root(&content, shape.item_len) == signed.statement.root;
        as_signed.then_some(Self { signed, content, shape })
    }

    pub(super) fn item(&self, index: usize) -> &[u8] {
        &self.content[index * self.shape.item_len..][..self.shape.item_len]
    }

    pub(super) fn items(&self) -> impl Iterator<Item = &[u8]> {
        self.content.chunks_exact(self.shape.item_len)
    }
}

struct Gathering {
    signed: Signed,
    content: Zeroizing<Vec<u8>>,
    shape: Shape,
    missing: Vec<bool>,
}

enum Incoming {
    Parts(Gathering),
    Whole(Whole),
    /// Used up; the statement stays, to tell a repetition from a contradiction.
    Spent(Signed),
}

/// Bounded: at most one message for each author and step, each of the length its step has.
#[derive(Default)]
pub(super) struct Inbox(BTreeMap<(ShareIndex, Step), Incoming>);

impl Inbox {
    /// The statement that an author's message of a step stands under, complete or not.
    pub(super) fn signed(&self, author: ShareIndex, step: Step) -> Option<&Signed> {
        Some(match self.0.get(&(author, step))? {
            Incoming::Parts(gathering) => &gathering.signed,
            Incoming::Whole(whole) => &whole.signed,
            Incoming::Spent(signed) => signed,
        })
    }

    pub(super) fn whole(&self, author: ShareIndex, step: Step) -> Option<&Whole> {
        match self.0.get(&(author, step))? {
            Incoming::Whole(whole) => Some(whole),
            Incoming::Parts(_) | Incoming::Spent(_) => None,
        }
    }

    pub(super) fn is_complete(&self, author: ShareIndex, step: Step) -> bool {
        matches!(self.0.get(&(author, step)), Some(Incoming::Whole(_) | Incoming::Spent(_)))
    }

    /// How many parts of a message are here, and of how many; `None` if it is whole or nothing of it is.
    pub(super) fn parts(&self, author: ShareIndex, step: Step) -> Option<(usize, usize)> {
        match self.0.get(&(author, step))? {
            Incoming::Parts(gathering) => {
                let missing = gathering.missing.iter().filter(|missing| **missing).count();
                Some((gathering.missing.len() - missing, gathering.missing.len()))
            }
            Incoming::Whole(_) | Incoming::Spent(_) => None,
        }
    }

    /// Takes a part of a message whose statement was checked, of the shape its step has.
    ///
    /// - Returns whether more of the message is here than before.
    /// - Errors: the part is not one of this message, or the content is not what was signed; it is forgotten then.
    pub(super) fn take(&mut self, plan: &Plan, part: &Part<'_>, shape: Shape) -> Result<bool, Rejection> {
        let key = (part.signed.statement.author, part.signed.statement.step);
        let count = shape.len().div_ceil(plan.part_len);
        let start = part.number * plan.part_len;
        let len = shape.len().saturating_sub(start).min(plan.part_len);
        if part.number >= count || part.bytes.len() != len {
            return Err(Rejection::Malformed("not a part of its message"));
        }
        let incoming = self.0.entry(key).or_insert_with(|| {
            let content = Zeroizing::new(vec![0; shape.len()]);
            Incoming::Parts(Gathering { signed: part.signed, content, shape, missing: vec![true; count] })
        });
        let Incoming::Parts(gathering) = incoming else { return Ok(false) };
        gathering.content[start..][..len].copy_from_slice(part.bytes);
        let is_new = std::mem::replace(&mut gathering.missing[part.number], false);
        if gathering.missing.contains(&true) {
            return Ok(is_new);
        }
        let content = std::mem::take(&mut gathering.content);
        let whole = Whole::new(gathering.signed, content, gathering.shape);
        match whole {
            Some(whole) => {
                *incoming = Incoming::Whole(whole);
                Ok(true)
            }
            None => {
                self.0.remove(&key);
                Err(Rejection::Content)
            }
        }
    }

    pub(super) fn put(&mut self, whole: Whole) {
        let key = (whole.signed.statement.author, whole.signed.statement.step);
        self.0.insert(key, Incoming::Whole(whole));
    }

    /// Forgets a step's contents, which are used up.
    pub(super) fn forget(&mut self, step: Step) {
        for incoming in self.0.iter_mut().filter(|((_, of), _)| *of == step).map(|(_, incoming)| incoming) {
            if let Incoming::Whole(whole) = incoming {
                *incoming = Incoming::Spent(whole.signed);
            }
        }
    }
}
