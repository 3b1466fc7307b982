//! Hash tree roots as the cluster files build them: plain SSZ merkleization over SHA-256.
//!
//! They differ from the derives of `tree_hash` in one habit of the format: a byte string shorter than its
//! type is padded with zero bytes on the *left*, so an unset signature is 65 zero bytes and no missing leaf.
//! Lengths beyond a limit are bugs of the caller (the file's types bound them) and panic.

use sha2::{Digest, Sha256};
use types::Root;

/// Bytes of a leaf.
const CHUNK: usize = 32;

/// The SHA-256 of two nodes.
pub fn pair(left: Root, right: Root) -> Root {
    let mut hasher = Sha256::new();
    hasher.update(left.0);
    hasher.update(right.0);
    Root(hasher.finalize().into())
}

/// The Merkle root of `leaves`, padded with zero leaves up to the next power of two of `limit`.
///
/// - `limit`: leaves that the type allows; at least `leaves.len()`.
/// - Cost: one hash a node present, one a level absent.
pub fn merkle(leaves: &[Root], limit: usize) -> Root {
    assert!(leaves.len() <= limit, "{} leaves where the type allows {limit}", leaves.len());
    let depth = limit.max(1).next_power_of_two().trailing_zeros();
    let mut layer = leaves.to_vec();
    let mut zero = Root::ZERO;
    for _ in 0..depth {
        if layer.len() % 2 == 1 {
            layer.push(zero);
        }
        layer = layer.chunks_exact(2).map(|nodes| pair(nodes[0], nodes[1])).collect();
        zero = pair(zero, zero);
    }
    layer.first().copied().unwrap_or(zero)
}

/// The root of a container with these field roots.
pub fn container(fields: &[Root]) -> Root {
    merkle(fields, fields.len())
}

/// The root of a list of at most `limit` elements with these roots.
pub fn list(elements: &[Root], limit: usize) -> Root {
    mix_in_length(merkle(elements, limit), elements.len())
}

/// The root of `Bytes<len>`; shorter input is padded on the left.
pub fn fixed_bytes(bytes: &[u8], len: usize) -> Root {
    assert!(bytes.len() <= len, "{} bytes where the type has {len}", bytes.len());
    let mut padded = vec![0; len - bytes.len()];
    padded.extend_from_slice(bytes);
    merkle(&chunks(&padded), len.div_ceil(CHUNK))
}

/// The root of `ByteList[limit]`.
pub fn byte_list(bytes: &[u8], limit: usize) -> Root {
    mix_in_length(merkle(&chunks(bytes), limit.div_ceil(CHUNK)), bytes.len())
}

/// The root of `uint64`.
pub fn uint64(value: u64) -> Root {
    let mut leaf = [0; CHUNK];
    leaf[..8].copy_from_slice(&value.to_le_bytes());
    Root(leaf)
}

/// The root of `boolean`.
pub fn boolean(value: bool) -> Root {
    uint64(u64::from(value))
}

/// The root of `List[uint64, limit]`.
pub fn uint64_list(values: &[u64], limit: usize) -> Root {
    let packed: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    mix_in_length(merkle(&chunks(&packed), (8 * limit).div_ceil(CHUNK)), values.len())
}

/// The root of `List[Bytes65, limit]` over a concatenation: how v1.11 hashes signatures of contract wallets.
///
/// - `signatures`: a multiple of 65 bytes, none for an unset signature.
pub fn signature_list(signatures: &[u8], limit: usize) -> Root {
    assert!(signatures.len().is_multiple_of(65), "signatures are 65 bytes each");
    let roots: Vec<Root> = signatures.chunks_exact(65).map(|one| fixed_bytes(one, 65)).collect();
    list(&roots, limit)
}

fn mix_in_length(root: Root, len: usize) -> Root {
    pair(root, uint64(len as u64))
}

/// Cuts bytes into leaves, the last one padded on the right.
fn chunks(bytes: &[u8]) -> Vec<Root> {
    let leaf = |piece: &[u8]| {
        let mut leaf = [0; CHUNK];
        leaf[..piece.len()].copy_from_slice(piece);
        Root(leaf)
    };
    bytes.chunks(CHUNK).map(leaf).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use types::PublicKey;

    /// The definition of Merkle padding, read literally: every leaf is there.
    fn merkle_slow(leaves: &[Root], limit: usize) -> Root {
        let mut layer = leaves.to_vec();
        layer.resize(limit.max(1).next_power_of_two(), Root::ZERO);
        while layer.len() > 1 {
            layer = layer.chunks(2).map(|nodes| pair(nodes[0], nodes[1])).collect();
        }
        layer[0]
    }

    proptest! {
        #[test]
        fn sparse_padding_gives_the_root_of_full_padding(
            leaves in proptest::collection::vec(any::<[u8; 32]>().prop_map(Root), 0..20),
            spare in 0_usize..50,
        ) {
            let limit = leaves.len() + spare;
            prop_assert_eq!(merkle(&leaves, limit), merkle_slow(&leaves, limit));
        }

        #[test]
        fn full_byte_vectors_have_the_root_of_tree_hash(bytes in any::<[u8; 48]>()) {
            prop_assert_eq!(fixed_bytes(&bytes, 48), Root::of(&PublicKey(bytes)));
        }
    }

    #[test]
    fn short_byte_vectors_are_padded_on_the_left_and_lists_on_the_right() {
        assert_eq!(fixed_bytes(&[0xab, 0xcd], 32).0[30..], [0xab, 0xcd]);
        assert_eq!(fixed_bytes(&[], 20), Root::ZERO);
        assert_eq!(chunks(&[0xab])[0].0[0], 0xab);
    }
}
