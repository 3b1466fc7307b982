//! Roots of lists: so that one item of a signed message can be shown without the others.
//!
//! `leaf = SHA-256(0 || item)`, `node = SHA-256(1 || left || right)`, an odd node rises as it is. The number of
//! items is known from elsewhere, so a proof is the list of siblings alone.

use sha2::{Digest, Sha256};
use types::Root;

fn leaf(item: &[u8]) -> Root {
    Root(Sha256::new().chain_update([0]).chain_update(item).finalize().into())
}

fn node(left: &Root, right: &Root) -> Root {
    Root(Sha256::new().chain_update([1]).chain_update(left.0).chain_update(right.0).finalize().into())
}

fn level_above(level: &[Root]) -> Vec<Root> {
    level.chunks(2).map(|pair| if let [left, right] = pair { node(left, right) } else { pair[0] }).collect()
}

/// The root of a body cut into items of `item_len` bytes; of no items, zero.
pub(super) fn root(body: &[u8], item_len: usize) -> Root {
    let mut level: Vec<_> = body.chunks(item_len.max(1)).map(leaf).collect();
    while level.len() > 1 {
        level = level_above(&level);
    }
    level.first().copied().unwrap_or_default()
}

/// The siblings that lead from item `index` to the [`root`], lowest first.
pub(super) fn proof(body: &[u8], item_len: usize, mut index: usize) -> Vec<Root> {
    let mut level: Vec<_> = body.chunks(item_len.max(1)).map(leaf).collect();
    let mut siblings = Vec::new();
    while level.len() > 1 {
        siblings.extend(level.get(index ^ 1));
        level = level_above(&level);
        index /= 2;
    }
    siblings
}

/// Whether `item` is the one at `index` of the `count` under `root`.
pub(super) fn proves(root: &Root, count: usize, index: usize, item: &[u8], proof: &[Root]) -> bool {
    if index >= count {
        return false;
    }
    let (mut at, mut width, mut hash) = (index, count, leaf(item));
    let mut siblings = proof.iter();
    while width > 1 {
        if at ^ 1 < width {
            let Some(sibling) = siblings.next() else { return false };
            hash = if at.is_multiple_of(2) { node(&hash, sibling) } else { node(sibling, &hash) };
        }
        at /= 2;
        width = width.div_ceil(2);
    }
    siblings.next().is_none() && hash == *root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_item_is_proved_at_its_own_place_only() {
        for count in 1..=9_usize {
            let body: Vec<u8> = (0..count * 3).map(|byte| byte as u8).collect();
            let root = root(&body, 3);
            for index in 0..count {
                let (item, proof) = (&body[index * 3..][..3], proof(&body, 3, index));
                for place in 0..=count {
                    assert_eq!(
                        proves(&root, count, place, item, &proof),
                        place == index,
                        "{index} of {count}"
                    );
                }
                assert!(!proves(&root, count, index, &[9, 9, 9], &proof));
                let longer = [proof.as_slice(), &[Root::ZERO]].concat();
                assert!(!proves(&root, count, index, item, &longer));
                assert!(proof.is_empty() || !proves(&root, count, index, item, &proof[1..]));
            }
        }
    }
}
