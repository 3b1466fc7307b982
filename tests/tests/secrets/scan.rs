//! Looks for secret scalars in bytes, in every form in which one would leave them there.
//!
//! | form | of |
//! |---|---|
//! | big-endian | EIP-2333 bytes: keystores, wire |
//! | little-endian | blst's scalar, and its four limbs as they lie in memory |
//! | Montgomery | blst's field element: `x * 2^256 mod r`, four limbs |
//! | hex | both byte orders, lower and upper case |
//! | base64 | both byte orders, standard and URL alphabet, at each of the three alignments |
//!
//! Every form is cut into halves, and half of one is a hit: the first bytes of a freed block are the allocator's.
//! Half a form has 126 bits or more, so nothing is hit by chance.

use crypto::Scalar;
use std::collections::{BTreeSet, HashMap};

/// Bytes that are looked up at a time.
const WINDOW: usize = 8;
/// No half form is shorter.
const PATTERN_LEN_MIN: usize = 16;
/// Only every so many positions are looked up: one of them lies in every pattern, with a window's room behind it.
const STRIDE: usize = PATTERN_LEN_MIN - WINDOW + 1;
/// Bits of the sieve before the table, as a power of two: some 20,000 of a million are set.
const SIEVE_BITS: u32 = 20;

/// A number below the group order, big-endian.
pub(crate) type Secret = [u8; 32];

/// One place where half of a secret stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hit {
    /// Which secret.
    pub(crate) name: String,
    /// In which form.
    pub(crate) form: &'static str,
    /// Where, in bytes.
    pub(crate) position: usize,
}

struct Pattern {
    name: usize,
    form: &'static str,
    bytes: Vec<u8>,
}

/// Secrets to look for.
#[derive(Default)]
pub(crate) struct Needles {
    names: Vec<String>,
    patterns: Vec<Pattern>,
    table: HashMap<u64, Vec<(usize, usize)>>,
    sieve: Vec<u64>,
}

impl Needles {
    /// All forms of these.
    pub(crate) fn new(secrets: impl IntoIterator<Item = (String, Secret)>) -> Self {
        let mut needles = Self { sieve: vec![0; 1 << (SIEVE_BITS - 6)], ..Self::default() };
        for (name, secret) in secrets {
            needles.names.push(name);
            for (form, bytes) in forms(&secret) {
                let (first, second) = bytes.split_at(bytes.len() / 2);
                needles.add(form, first);
                needles.add(form, second);
            }
        }
        needles
    }

    fn add(&mut self, form: &'static str, bytes: &[u8]) {
        assert!(bytes.len() >= PATTERN_LEN_MIN, "{form}: half of it has {} bytes", bytes.len());
        // Half of a small number, as some tests have for a key: zeros are everywhere, and the other half is looked for.
        if bytes.iter().all(|byte| *byte == 0) {
            return;
        }
        for offset in 0..STRIDE {
            let window = window(bytes, offset);
            let (word, bit) = sieve_place(window);
            self.sieve[word] |= bit;
            self.table.entry(window).or_default().push((self.patterns.len(), offset));
        }
        self.patterns.push(Pattern { name: self.names.len() - 1, form, bytes: bytes.to_vec() });
    }

    /// Everything that stands in these bytes.
    pub(crate) fn find(&self, haystack: &[u8]) -> BTreeSet<Hit> {
        let mut hits = BTreeSet::new();
        for (number, chunk) in haystack.chunks(STRIDE).enumerate() {
            let position = number * STRIDE;
            // Most memory is zero, and no window of a pattern is.
            if chunk == [0; STRIDE] || position + WINDOW > haystack.len() {
                continue;
            }
            let window = window(haystack, position);
            let (word, bit) = sieve_place(window);
            if self.sieve[word] & bit == 0 {
                continue;
            }
            for (pattern, offset) in self.table.get(&window).into_iter().flatten() {
                let pattern = &self.patterns[*pattern];
                let Some(start) = position.checked_sub(*offset) else { continue };
                if haystack[start..].starts_with(&pattern.bytes) {
                    let name = self.names[pattern.name].clone();
                    hits.insert(Hit { name, form: pattern.form, position: start });
                }
            }
        }
        hits
    }
}

fn window(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + WINDOW].try_into().expect("a window's length"))
}

fn sieve_place(window: u64) -> (usize, u64) {
    let place = window.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - SIEVE_BITS);
    ((place >> 6) as usize, 1 << (place & 63))
}

/// A secret in all forms, by name.
pub(crate) fn forms(secret: &Secret) -> Vec<(&'static str, Vec<u8>)> {
    let little = reversed(secret);
    let mut forms = vec![
        ("raw, big-endian", secret.to_vec()),
        ("raw, little-endian", little.to_vec()),
        ("raw, Montgomery", montgomery(secret).to_vec()),
        ("hex", hex::encode(secret).into_bytes()),
        ("hex, upper case", hex::encode_upper(secret).into_bytes()),
        ("hex, little-endian", hex::encode(little).into_bytes()),
        ("hex, little-endian, upper case", hex::encode_upper(little).into_bytes()),
    ];
    for shift in 0..3 {
        forms.push(("base64", base64_inside(secret, shift, STANDARD)));
        forms.push(("base64, URL", base64_inside(secret, shift, URL)));
        forms.push(("base64, little-endian", base64_inside(&little, shift, STANDARD)));
        forms.push(("base64, little-endian, URL", base64_inside(&little, shift, URL)));
    }
    forms
}

fn reversed(secret: &Secret) -> Secret {
    let mut bytes = *secret;
    bytes.reverse();
    bytes
}

/// `x * 2^256 mod r`, little-endian.
fn montgomery(secret: &Secret) -> Secret {
    let two_to_64 = Scalar::from(1_u128 << 64);
    let radix = two_to_64 * two_to_64 * two_to_64 * two_to_64;
    let scalar = Scalar::from_be_bytes(secret).expect("a secret is below the group order");
    reversed(&(scalar * radix).to_be_bytes())
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The letters that say nothing but these bytes, where `shift` bytes of a group of three stand before them.
fn base64_inside(bytes: &[u8], shift: usize, alphabet: &[u8; 64]) -> Vec<u8> {
    let padded: Vec<u8> = std::iter::repeat_n(0, shift).chain(bytes.iter().copied()).collect();
    let letters = base64(&padded, alphabet);
    letters[(shift * 8).div_ceil(6)..padded.len() * 8 / 6].to_vec()
}

/// Without padding.
pub(crate) fn base64(bytes: &[u8], alphabet: &[u8; 64]) -> Vec<u8> {
    let bit = |at: usize| bytes.get(at / 8).map_or(0, |byte| usize::from(byte >> (7 - at % 8) & 1));
    let letter = |at: usize| alphabet[(0..6).fold(0, |index, next| index << 1 | bit(at * 6 + next))];
    (0..(bytes.len() * 8).div_ceil(6)).map(letter).collect()
}

/// As in mail and in JSON Web Keys, without padding.
pub(crate) fn base64_standard(bytes: &[u8]) -> Vec<u8> {
    base64(bytes, STANDARD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECRET: Secret = [
        0x1b, 0x02, 0xf3, 0x44, 0xa5, 0x06, 0x97, 0x88, 0x1d, 0x2e, 0x3f, 0x40, 0x51, 0x62, 0x73, 0x84, 0x95,
        0xa6, 0xb7, 0xc8, 0xd9, 0xea, 0xfb, 0x0c, 0x1e, 0x2d, 0x3c, 0x4b, 0x5a, 0x69, 0x78, 0x87,
    ];

    fn needles() -> Needles {
        let others = (1..50).map(|number| (format!("other {number}"), [number; 32]));
        Needles::new(others.chain([("planted".to_owned(), SECRET)]))
    }

    #[test]
    fn base64_is_that_of_rfc_4648() {
        let words = ["", "f", "fo", "foo", "foob", "fooba", "foobar"];
        let letters = ["", "Zg", "Zm8", "Zm9v", "Zm9vYg", "Zm9vYmE", "Zm9vYmFy"];
        for (word, letters) in words.iter().zip(letters) {
            assert_eq!(base64_standard(word.as_bytes()), letters.as_bytes());
        }
        assert_eq!(base64(&[0xfb, 0xff], URL), b"-_8");
    }

    #[test]
    fn a_montgomery_form_is_what_the_scalar_type_holds_in_memory() {
        // One is the radix itself: the constant of every implementation of this field.
        let mut one = [0; 32];
        one[31] = 1;
        let radix = "feffffff0100000002480300fab78458f54fbcecef4f8c996f05c5ac59b12418";
        assert_eq!(hex::encode(montgomery(&one)), radix);
    }

    proptest! {
        #[test]
        fn every_half_of_every_form_is_found_wherever_it_stands(
            before in prop::collection::vec(any::<u8>(), 0..40),
            after in prop::collection::vec(any::<u8>(), 0..40),
            pick in any::<prop::sample::Index>(),
            second in any::<bool>(),
        ) {
            let forms = forms(&SECRET);
            let (form, bytes) = &forms[pick.index(forms.len())];
            let (start, end) = bytes.split_at(bytes.len() / 2);
            let half = if second { end } else { start };
            let haystack = [&before[..], half, &after].concat();
            let hits = needles().find(&haystack);
            prop_assert!(hits.iter().any(|hit| hit.name == "planted" && hit.position == before.len()), "{form}");
            let mut spoiled = haystack;
            for byte in &mut spoiled[before.len()..].iter_mut().take(half.len()).step_by(8) {
                *byte ^= 1;
            }
            prop_assert_eq!(needles().find(&spoiled).len(), 0);
        }

        #[test]
        fn a_secret_inside_base64_of_more_is_found(
            before in prop::collection::vec(any::<u8>(), 0..7),
            after in prop::collection::vec(any::<u8>(), 0..7),
        ) {
            let letters = base64_standard(&[&before[..], &SECRET, &after].concat());
            prop_assert!(!needles().find(&letters).is_empty());
        }
    }
}
