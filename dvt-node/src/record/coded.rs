//! Bytes of what a record holds: tags and fields in a row, numbers in little-endian, lists behind their length.
//!
//! What has SSZ is written as SSZ. Nothing describes itself: a reader knows the order. Some things can only be read at
//! their [`Place`]: a message is [`Verified`] again with the cluster's node keys, and a permit that came back is the one
//! that the machine has just given.

use super::start::Place;
use ssz::{Decode, Encode};
use std::collections::BTreeSet;
use symbolon_core::Ticket;
use symbolon_core::journal::Permit;
use thiserror::Error;
use types::aggregate::{Aggregate, AggregateError, AggregateShape};
use types::offer::{Offer, OfferError};
use types::operators::SizeError;
use types::spec::SpecError;
use types::wire::{self, FrameError, Kind, Verified};
use types::{
    Address, AttestationData, BeaconVote, Checkpoint, Epoch, Fork, Generation, Millis, Preset, PublicKey,
    Root, ShareIndex, Signature, SigningRoot, Slot, ValidatorIndex, ValidatorNo,
};

/// Why an entry cannot be read. Each names the broken rule.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Misread {
    /// It ends too early.
    #[error("{want} bytes are expected, {have} are left")]
    Short {
        /// Bytes expected.
        want: usize,
        /// Bytes left.
        have: usize,
    },
    /// It goes on after its end.
    #[error("{have} bytes are left over")]
    Left {
        /// Bytes left.
        have: usize,
    },
    /// A byte that names nothing of the list it is of.
    #[error("{tag} is the number of no {what}")]
    Tag {
        /// Of which list.
        what: &'static str,
        /// The byte.
        tag: u8,
    },
    /// Not the SSZ of what is expected there.
    #[error("not the SSZ of {what}: {reason}")]
    Ssz {
        /// What is expected.
        what: &'static str,
        /// What the decoder says.
        reason: String,
    },
    /// A text that is not UTF-8.
    #[error("not a text")]
    Text,
    /// A set out of order, or with one thing twice.
    #[error("a set lists each of its things once, in order")]
    Order,
    /// An operator that the cluster does not have.
    #[error("{index} is the number of no operator of the cluster")]
    Operator {
        /// Its number.
        index: u8,
    },
    /// A validator that the cluster does not have.
    #[error("validator {validator} is none of the cluster's {validators}")]
    Validator {
        /// Its number.
        validator: ValidatorNo,
        /// How many the cluster has.
        validators: usize,
    },
    /// A message that nobody has sent.
    #[error("not a message of operator {sender}: {error}")]
    Frame {
        /// Who is said to have sent it.
        sender: ShareIndex,
        /// Why it is none.
        error: FrameError,
    },
    /// A result for which the machine has not asked.
    #[error("a signature under ticket {0}, for which the node asked none here")]
    NoPermit(u64),
    /// Something that only an entry after the first may hold.
    #[error("an input before the record's beginning")]
    NoPlace,
    /// Not the network that it was.
    #[error("the network: {0}")]
    Spec(#[from] SpecError),
    /// Not a cluster.
    #[error("the cluster: {0}")]
    Size(#[from] SizeError),
    /// Numbers of things that belong together differ.
    #[error("{have} {what}, {want} are expected")]
    Count {
        /// Of what.
        what: &'static str,
        /// How many there are.
        have: usize,
        /// How many belong there.
        want: usize,
    },
    /// Not the node keys of operators.
    #[error("the node keys: {0}")]
    NodeKeys(#[from] keys::identity::PeersError),
    /// Not an aggregate.
    #[error(transparent)]
    Aggregate(#[from] AggregateError),
    /// Not an offer of a block.
    #[error(transparent)]
    Offer(#[from] OfferError),
}

/// What is left of an entry, and where it is read.
#[derive(Debug)]
pub struct Reader<'a> {
    left: &'a [u8],
    place: Option<&'a mut Place>,
}

impl<'a> Reader<'a> {
    /// Reads all of an entry.
    pub fn whole<T: Coded>(entry: &'a [u8], place: Option<&'a mut Place>) -> Result<T, Misread> {
        let mut reader = Self { left: entry, place };
        let read = T::take(&mut reader)?;
        match reader.left.len() {
            0 => Ok(read),
            have => Err(Misread::Left { have }),
        }
    }

    pub(super) fn byte(&mut self) -> Result<u8, Misread> {
        self.bytes(1).map(|byte| byte[0])
    }

    pub(super) fn bytes(&mut self, want: usize) -> Result<&'a [u8], Misread> {
        let have = self.left.len();
        let Some((bytes, left)) = self.left.split_at_checked(want) else {
            return Err(Misread::Short { want, have });
        };
        self.left = left;
        Ok(bytes)
    }

    /// Bytes behind their length.
    pub(super) fn run(&mut self) -> Result<&'a [u8], Misread> {
        let len = u32::take(self)?;
        self.bytes(len as usize)
    }

    fn place(&mut self) -> Result<&mut Place, Misread> {
        self.place.as_deref_mut().ok_or(Misread::NoPlace)
    }
}

/// Has bytes in a record.
pub trait Coded: Sized {
    /// Writes it.
    fn put(&self, to: &mut Vec<u8>);
    /// Reads it.
    fn take(from: &mut Reader<'_>) -> Result<Self, Misread>;
}

/// The length of something that is in memory whole and comes off a wire or out of an API: bounded far below this.
pub(super) fn put_len(len: usize, to: &mut Vec<u8>) {
    u32::try_from(len).expect("nothing that a node is told is 4 GiB long").put(to);
}

pub(super) fn put_run(bytes: &[u8], to: &mut Vec<u8>) {
    put_len(bytes.len(), to);
    to.extend_from_slice(bytes);
}

pub(super) fn put_ssz<T: Encode>(value: &T, to: &mut Vec<u8>) {
    if !T::is_ssz_fixed_len() {
        put_len(value.ssz_bytes_len(), to);
    }
    value.ssz_append(to);
}

pub(super) fn take_ssz<T: Decode>(from: &mut Reader<'_>, what: &'static str) -> Result<T, Misread> {
    let bytes = if T::is_ssz_fixed_len() { from.bytes(T::ssz_fixed_len())? } else { from.run()? };
    T::from_ssz_bytes(bytes).map_err(|error| Misread::Ssz { what, reason: format!("{error:?}") })
}

/// What is written as its SSZ.
macro_rules! as_ssz {
    ($($name:ty),* $(,)?) => {$(
        impl $crate::record::coded::Coded for $name {
            fn put(&self, to: &mut Vec<u8>) {
                $crate::record::coded::put_ssz(self, to);
            }
            fn take(
                from: &mut $crate::record::coded::Reader<'_>,
            ) -> Result<Self, $crate::record::coded::Misread> {
                $crate::record::coded::take_ssz(from, stringify!($name))
            }
        }
    )*};
}

/// What is written field by field. All fields have to be named: a new one does not compile without.
macro_rules! fields {
    ($($name:ty { $($field:ident),* $(,)? })*) => {$(
        impl $crate::record::coded::Coded for $name {
            fn put(&self, to: &mut Vec<u8>) {
                let Self { $($field),* } = self;
                $($field.put(to);)*
            }
            fn take(
                from: &mut $crate::record::coded::Reader<'_>,
            ) -> Result<Self, $crate::record::coded::Misread> {
                Ok(Self { $($field: $crate::record::coded::Coded::take(from)?),* })
            }
        }
    )*};
}

/// What is written as a tag and the fields behind it. All variants have to be named: a new one does not compile without.
macro_rules! variants {
    ($name:ty, $what:literal {
        $($tag:literal => $variant:ident $(($inner:ident))? $({ $($field:ident),* $(,)? })?),* $(,)?
    }) => {
        impl $crate::record::coded::Coded for $name {
            fn put(&self, to: &mut Vec<u8>) {
                match self {
                    $(Self::$variant $(($inner))? $({ $($field),* })? => {
                        to.push($tag);
                        $($inner.put(to);)?
                        $($($field.put(to);)*)?
                    })*
                }
            }
            fn take(
                from: &mut $crate::record::coded::Reader<'_>,
            ) -> Result<Self, $crate::record::coded::Misread> {
                match from.byte()? {
                    $($tag => Ok(
                        Self::$variant
                        $(({ let $inner = $crate::record::coded::Coded::take(from)?; $inner }))?
                        $({ $($field: $crate::record::coded::Coded::take(from)?),* })?
                    ),)*
                    tag => Err($crate::record::coded::Misread::Tag { what: $what, tag }),
                }
            }
        }
    };
}

pub(super) use {as_ssz, fields, variants};

as_ssz! {
    bool, u8, u32, u64, Slot, Epoch, ValidatorIndex, Root, PublicKey, Signature, Address, Generation, Kind, Checkpoint,
    BeaconVote, AttestationData,
}

variants! { Preset, "preset" { 0 => Mainnet, 1 => Minimal, 2 => Gnosis } }
variants! { Fork, "fork" { 0 => Capella, 1 => Deneb, 2 => Electra, 3 => Fulu } }
variants! { AggregateShape, "shape of an aggregate" {
    0 => Attestation { preset, fork },
    1 => Contribution { preset },
} }

/// A count of operators.
impl Coded for usize {
    fn put(&self, to: &mut Vec<u8>) {
        put_len(*self, to);
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, Misread> {
        u32::take(from).map(|number| number as Self)
    }
}

impl Coded for Millis {
    fn put(&self, to: &mut Vec<u8>) {
        self.0.put(to);
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, Misread> {
        u64::take(from).map(Self)
    }
}

impl Coded for SigningRoot {
    fn put(&self, to: &mut Vec<u8>) {
        self.root().put(to);
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, Misread> {
        Root::take(from).map(Self::recorded)
    }
}

impl<const N: usize> Coded for [u8; N] {
    fn put(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(self);
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, Misread> {
        from.bytes(N).map(|bytes| bytes.try_into().expect("as many as were asked for"))
    }
}

impl Coded for String {
    fn put(&self, to: &mut Vec<u8>) {
        put_run(self.as_bytes(), to);
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, Misread> {
        str::from_utf8(from.run()?).map(str::to_owned).map_err(|_| Misread::Text)
    }
}

impl<T: Coded> Coded for Option<T> {
    fn put(&self, to: &mut Vec<u8>) {
        self.is_some().put(to);
        if let Some(value) = self {
            value.put(to);
        }
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, Misread> {
        bool::take(from)?.then(|| T::take(from)).transpose()
    }
}

impl<T: Coded> Coded for Vec<T> {
    fn put(&self, to: &mut Vec<u8>) {
        put_len(self.len(), to);
        self.iter().for_each(|one| one.put(to));
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, Misread> {
        // Collected one by one: a length that is not true costs no memory.
        (0..u32::take(from)?).map(|_| T::take(from)).collect()
    }
}

impl<T: Coded + Ord> Coded for BTreeSet<T> {
    fn put(&self, to: &mut Vec<u8>) {
        put_len(self.len(), to);
        self.iter().for_each(|one| one.put(to));
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, Misread> {
        let list = Vec::<T>::take(from)?;
        if list.is_sorted_by(|a, b| a < b) { Ok(list.into_iter().collect()) } else { Err(Misread::Order) }
    }
}

impl Coded for ShareIndex {
    fn put(&self, to: &mut Vec<u8>) {
        to.push(self.get());
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, Misread> {
        let index = from.byte()?;
        let operator = Self::new(index).ok_or(Misread::Operator { index })?;
        match &from.place {
            Some(place) if !place.size.contains(operator) => Err(Misread::Operator { index }),
            Some(_) | None => Ok(operator),
        }
    }
}

impl Coded for ValidatorNo {
    fn put(&self, to: &mut Vec<u8>) {
        self.0.put(to);
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, Misread> {
        let validator = Self(u32::take(from)?);
        let validators = from.place()?.validators;
        if (validator.0 as usize) < validators {
            Ok(validator)
        } else {
            Err(Misread::Validator { validator, validators })
        }
    }
}

impl Coded for Aggregate {
    fn put(&self, to: &mut Vec<u8>) {
        self.shape.put(to);
        put_run(&self.ssz.0, to);
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, Misread> {
        let shape = AggregateShape::take(from)?;
        Ok(shape.decode(from.run()?)?)
    }
}

impl Coded for Offer {
    fn put(&self, to: &mut Vec<u8>) {
        put_run(&self.to_value().0, to);
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, Misread> {
        let preset = from.place()?.preset;
        Ok(Self::from_value(preset, from.run()?)?)
    }
}

/// The frame in which it came. Read again through the wire's own door: nobody's word but its sender's is taken.
impl Coded for Verified {
    fn put(&self, to: &mut Vec<u8>) {
        self.sender().put(to);
        put_run(&self.message().to_frame(), to);
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, Misread> {
        let sender = ShareIndex::take(from)?;
        let message = wire::decode(from.run()?).map_err(|error| Misread::Frame { sender, error })?;
        let Place { size, cluster, keys, .. } = from.place()?;
        wire::verify(message, sender, *size, cluster, keys).map_err(|error| Misread::Frame { sender, error })
    }
}

/// The last one that was read says whose permits the results behind it use.
impl Coded for Ticket {
    fn put(&self, to: &mut Vec<u8>) {
        self.0.put(to);
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, Misread> {
        let ticket = Self(u64::take(from)?);
        from.place()?.ticket = Some(ticket);
        Ok(ticket)
    }
}

/// A signature, or a permit back. Permits have no bytes and are never made here: the machine that replays has given
/// its own, with [`symbolon_core::Output::Sign`].
impl Coded for Result<Signature, Permit> {
    fn put(&self, to: &mut Vec<u8>) {
        self.as_ref().ok().copied().put(to);
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, Misread> {
        let signature: Option<Signature> = Coded::take(from)?;
        let permit = from.place()?.next_permit()?;
        Ok(signature.ok_or(permit))
    }
}
