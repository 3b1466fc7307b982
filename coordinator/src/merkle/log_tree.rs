//! A log that can only grow: its root, proofs that an entry is in it, proofs that it was only added to.
//!
//! ```text
//! MTH({})   = SHA-256()
//! MTH({d})  = SHA-256(0x00 || d)                              a leaf
//! MTH(D[n]) = SHA-256(0x01 || MTH(D[0:k]) || MTH(D[k:n]))     a node; k: the largest power of two below n
//! ```
//!
//! The tree keeps the hash of every complete subtree, twice as many as there are entries. So appending costs `O(log n)`
//! hashes, and so do the root of any earlier size and the proofs between any two of them (`O(log^2 n)` hashes at most).
//!
//! Source: RFC 9162, sections 2.1.1 to 2.1.4 (the tree is that of RFC 6962).

use sha2::{Digest, Sha256};
use thiserror::Error;
use types::Root;

/// Why a tree has no such root or proof.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum LogTreeError {
    /// A size that the log has not reached.
    #[error("a tree of {size} entries, the log has {have}")]
    BeyondLog {
        /// Asked for.
        size: u64,
        /// Entries that there are.
        have: u64,
    },
    /// An entry that is not in a tree of that size.
    #[error("entry {index} of a tree of {size}")]
    BeyondTree {
        /// The entry's number, from 0.
        index: u64,
        /// Entries of the tree.
        size: u64,
    },
    /// An older tree that is larger.
    #[error("from {old} entries to {new}: a log only grows")]
    Shrinks {
        /// Entries before.
        old: u64,
        /// Entries after.
        new: u64,
    },
}

/// Why a proof does not convince.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ProofError {
    /// What it should prove cannot be.
    #[error(transparent)]
    Tree(#[from] LogTreeError),
    /// Not the number of hashes that these sizes ask for.
    #[error("a proof of {have} hashes is too long or too short")]
    Length {
        /// Hashes found.
        have: usize,
    },
    /// It leads to another root.
    #[error("the proof leads to root {have} instead of {want}")]
    Root {
        /// Where it leads.
        have: Root,
        /// The root that was published.
        want: Root,
    },
}

/// The root of the empty log.
pub fn empty_root() -> Root {
    Root(Sha256::digest([]).into())
}

/// The hash of an entry.
pub fn leaf_hash(entry: &[u8]) -> Root {
    Root(Sha256::new().chain_update([0]).chain_update(entry).finalize().into())
}

fn node_hash(left: Root, right: Root) -> Root {
    Root(Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into())
}

/// The tree of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogTree {
    /// At `[height][i]` the hash of the `i`-th complete subtree of `2^height` entries.
    levels: Vec<Vec<Root>>,
}

impl LogTree {
    /// Entries of the log.
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }

    /// Adds an entry; gives its number, from 0. Cost: at most one hash for each doubling of the log.
    pub fn append(&mut self, entry: &[u8]) -> u64 {
        self.append_hash(leaf_hash(entry))
    }

    /// Adds an entry of which only the hash is at hand ([`leaf_hash`]).
    pub fn append_hash(&mut self, leaf: Root) -> u64 {
        let index = self.size();
        let mut hash = leaf;
        for height in 0.. {
            if self.levels.len() == height {
                self.levels.push(Vec::new());
            }
            let level = &mut self.levels[height];
            level.push(hash);
            let [.., left, right] = level[..] else { break };
            if level.len() % 2 == 1 {
                break;
            }
            hash = node_hash(left, right);
        }
        index
    }

    /// The root of the whole log.
    pub fn root(&self) -> Root {
        self.hash_of(0, self.size())
    }

    /// The root that the log had with `size` entries. Errors: it has not that many.
    pub fn root_at(&self, size: u64) -> Result<Root, LogTreeError> {
        self.reached(size)?;
        Ok(self.hash_of(0, size))
    }

    /// The hashes that lead from entry `index` to the root of the first `size` entries.
    ///
    /// Errors: the log has not that many; the entry is not among them.
    pub fn inclusion_proof(&self, index: u64, size: u64) -> Result<Vec<Root>, LogTreeError> {
        self.reached(size)?;
        if index >= size {
            return Err(LogTreeError::BeyondTree { index, size });
        }
        let (mut proof, mut first, mut end) = (Vec::new(), 0, size);
        while end - first > 1 {
            let middle = first + largest_power_below(end - first);
            if index < middle {
                proof.push(self.hash_of(middle, end));
                end = middle;
            } else {
                proof.push(self.hash_of(first, middle));
                first = middle;
            }
        }
        proof.reverse();
        Ok(proof)
    }

    /// The hashes that show that the first `new` entries begin with the first `old`. Empty where `old` is 0 or `new`.
    ///
    /// Errors: the log has not that many; `old` is more than `new`.
    pub fn consistency_proof(&self, old: u64, new: u64) -> Result<Vec<Root>, LogTreeError> {
        self.reached(new)?;
        if old > new {
            return Err(LogTreeError::Shrinks { old, new });
        }
        if old == 0 || old == new {
            return Ok(Vec::new());
        }
        let (mut proof, mut first, mut end) = (Vec::new(), 0, new);
        // `end` comes down to `old`, which ends some complete subtree; if that is not all of the old tree, it is told.
        while end != old {
            let middle = first + largest_power_below(end - first);
            if old <= middle {
                proof.push(self.hash_of(middle, end));
                end = middle;
            } else {
                proof.push(self.hash_of(first, middle));
                first = middle;
            }
        }
        if first != 0 {
            proof.push(self.hash_of(first, end));
        }
        proof.reverse();
        Ok(proof)
    }

    fn reached(&self, size: u64) -> Result<(), LogTreeError> {
        let have = self.size();
        if size > have { Err(LogTreeError::BeyondLog { size, have }) } else { Ok(()) }
    }

    /// `MTH(D[first:end])` of a range that splitting as the definition says leads to: `first` is a multiple of the largest
    /// power of two in it. `end` is at most the size.
    fn hash_of(&self, first: u64, end: u64) -> Root {
        let count = end - first;
        if count == 0 {
            return empty_root();
        }
        if count.is_power_of_two() {
            let height = count.trailing_zeros();
            return self.levels[height as usize][(first >> height) as usize];
        }
        let middle = first + largest_power_below(count);
        node_hash(self.hash_of(first, middle), self.hash_of(middle, end))
    }
}

/// The largest power of two below `count`, which is at least 2.
fn largest_power_below(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

/// Checks that the entry of `leaf` is number `index` of the log that had root `root` with `size` entries.
pub fn verify_inclusion(
    leaf: Root,
    index: u64,
    size: u64,
    proof: &[Root],
    root: Root,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(LogTreeError::BeyondTree { index, size }.into());
    }
    let wrong_length = ProofError::Length { have: proof.len() };
    let (mut node, mut last, mut hash) = (index, size - 1, leaf);
    for sibling in proof {
        if last == 0 {
            return Err(wrong_length);
        }
        if is_right(node) || node == last {
            hash = node_hash(*sibling, hash);
            (node, last) = up_from_edge(node, last);
        } else {
            hash = node_hash(hash, *sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last != 0 { Err(wrong_length) } else { is_root(hash, root) }
}

/// Checks that the log of root `new_root` with `new` entries begins with that of root `old_root` with `old`.
pub fn verify_consistency(
    old: u64,
    new: u64,
    proof: &[Root],
    old_root: Root,
    new_root: Root,
) -> Result<(), ProofError> {
    if old > new {
        return Err(LogTreeError::Shrinks { old, new }.into());
    }
    let wrong_length = ProofError::Length { have: proof.len() };
    if old == 0 || old == new {
        is_root(old_root, if old == 0 { empty_root() } else { new_root })?;
        return if proof.is_empty() { Ok(()) } else { Err(wrong_length) };
    }
    // A complete old tree is a node of the new one, so its root is not repeated in the proof.
    let (first, rest) = match proof {
        _ if old.is_power_of_two() => (old_root, proof),
        [first, rest @ ..] => (*first, rest),
        [] => return Err(wrong_length),
    };
    let zeros = (old - 1).trailing_ones();
    let (mut node, mut last) = ((old - 1) >> zeros, (new - 1) >> zeros);
    let (mut old_hash, mut new_hash) = (first, first);
    for sibling in rest {
        if last == 0 {
            return Err(wrong_length);
        }
        if is_right(node) || node == last {
            (old_hash, new_hash) = (node_hash(*sibling, old_hash), node_hash(*sibling, new_hash));
            (node, last) = up_from_edge(node, last);
        } else {
            new_hash = node_hash(new_hash, *sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last != 0 {
        return Err(wrong_length);
    }
    is_root(old_hash, old_root)?;
    is_root(new_hash, new_root)
}

fn is_right(node: u64) -> bool {
    node & 1 == 1
}

/// On the tree's right edge a node without a sibling is its own parent: up to where it is a right child.
fn up_from_edge(node: u64, last: u64) -> (u64, u64) {
    let up = if node == 0 { 0 } else { node.trailing_zeros() };
    (node >> up, last >> up)
}

fn is_root(have: Root, want: Root) -> Result<(), ProofError> {
    if have == want { Ok(()) } else { Err(ProofError::Root { have, want }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition of RFC 6962, word for word.
    mod slow {
        use super::super::{Root, leaf_hash};
        use sha2::{Digest, Sha256};

        pub(super) fn mth(entries: &[Vec<u8>]) -> Root {
            match entries {
                [] => Root(Sha256::digest([]).into()),
                [entry] => leaf_hash(entry),
                _ => {
                    let (left, right) = entries.split_at(k(entries.len()));
                    let bytes = [&[1][..], &mth(left).0, &mth(right).0].concat();
                    Root(Sha256::digest(bytes).into())
                }
            }
        }

        fn k(n: usize) -> usize {
            let mut k = 1;
            while k * 2 < n {
                k *= 2;
            }
            k
        }

        pub(super) fn path(m: usize, entries: &[Vec<u8>]) -> Vec<Root> {
            if entries.len() == 1 {
                return Vec::new();
            }
            let (left, right) = entries.split_at(k(entries.len()));
            let (mut path, other) =
                if m < left.len() { (path(m, left), right) } else { (path(m - left.len(), right), left) };
            path.push(mth(other));
            path
        }

        pub(super) fn subproof(m: usize, entries: &[Vec<u8>], known: bool) -> Vec<Root> {
            if m == entries.len() {
                return if known { Vec::new() } else { vec![mth(entries)] };
            }
            let (left, right) = entries.split_at(k(entries.len()));
            let (mut proof, other) = if m <= left.len() {
                (subproof(m, left, known), right)
            } else {
                (subproof(m - left.len(), right, false), left)
            };
            proof.push(mth(other));
            proof
        }
    }

    fn entries(count: u64) -> Vec<Vec<u8>> {
        (0..count).map(|no| format!("entry {no}").into_bytes()).collect()
    }

    fn tree_of(entries: &[Vec<u8>]) -> LogTree {
        let mut tree = LogTree::default();
        for (no, entry) in (0..).zip(entries) {
            assert_eq!(tree.append(entry), no);
        }
        tree
    }

    /// Sizes around several powers of two.
    const SIZE_MAX: u64 = 35;

    #[test]
    fn roots_and_proofs_of_every_size_are_those_of_the_definition_and_verify() {
        let entries = entries(SIZE_MAX);
        let tree = tree_of(&entries);
        for size in 0..=SIZE_MAX {
            let first = &entries[..size as usize];
            let root = tree.root_at(size).unwrap();
            assert_eq!(root, slow::mth(first));
            for index in 0..size {
                let proof = tree.inclusion_proof(index, size).unwrap();
                assert_eq!(proof, slow::path(index as usize, first));
                verify_inclusion(leaf_hash(&entries[index as usize]), index, size, &proof, root).unwrap();
            }
            for old in 1..=size {
                let proof = tree.consistency_proof(old, size).unwrap();
                assert_eq!(proof, slow::subproof(old as usize, first, true), "{old} {size}");
                verify_consistency(old, size, &proof, tree.root_at(old).unwrap(), root).unwrap();
            }
            assert_eq!(tree.consistency_proof(0, size), Ok(Vec::new()));
            verify_consistency(0, size, &[], empty_root(), root).unwrap();
        }
    }

    #[test]
    fn the_reference_implementations_vectors_come_out() {
        let leaves = [
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        ];
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut tree = LogTree::default();
        assert_eq!(tree.root(), roots[0].parse().unwrap());
        for (leaf, root) in leaves.iter().zip(&roots[1..]) {
            tree.append(&hex::decode(leaf).unwrap());
            assert_eq!(tree.root(), root.parse().unwrap());
        }
        let hashes = |proof: &[&str]| proof.iter().map(|hash| hash.parse().unwrap()).collect::<Vec<Root>>();
        let from_six = hashes(&[
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ]);
        assert_eq!(tree.consistency_proof(6, 8), Ok(from_six));
        let of_first = hashes(&[
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ]);
        assert_eq!(tree.inclusion_proof(0, 8), Ok(of_first));
    }

    #[test]
    fn a_changed_proof_leaf_place_or_root_convinces_nobody() {
        let entries = entries(SIZE_MAX);
        let tree = tree_of(&entries);
        let twist = |root: Root| Root(root.0.map(|byte| !byte));
        for (index, size) in [(0, 1), (0, 2), (4, 5), (6, 7), (3, 8), (20, 21), (31, 35), (34, 35)] {
            let (leaf, root) = (leaf_hash(&entries[index as usize]), tree.root_at(size).unwrap());
            let proof = tree.inclusion_proof(index, size).unwrap();
            for at in 0..proof.len() {
                let mut other = proof.clone();
                other[at] = twist(other[at]);
                assert!(verify_inclusion(leaf, index, size, &other, root).is_err());
                other.remove(at);
                assert!(verify_inclusion(leaf, index, size, &other, root).is_err());
            }
            let longer = [&proof[..], &[root]].concat();
            let error = verify_inclusion(leaf, index, size, &longer, root).unwrap_err();
            assert_eq!(error, ProofError::Length { have: longer.len() });
            assert!(verify_inclusion(twist(leaf), index, size, &proof, root).is_err());
            assert!(verify_inclusion(leaf, index, size, &proof, twist(root)).is_err());
            for other in (0..size).filter(|other| *other != index) {
                assert!(verify_inclusion(leaf, other, size, &proof, root).is_err());
            }
        }
    }

    #[test]
    fn a_log_that_was_changed_is_not_consistent_with_what_it_was() {
        let entries = entries(SIZE_MAX);
        let tree = tree_of(&entries);
        for changed in 0..SIZE_MAX {
            let mut other = entries.clone();
            other[changed as usize] = b"another".to_vec();
            let other = tree_of(&other);
            for old in changed + 1..=SIZE_MAX {
                let proof = other.consistency_proof(old, SIZE_MAX).unwrap();
                let (before, after) = (tree.root_at(old).unwrap(), other.root());
                assert!(verify_consistency(old, SIZE_MAX, &proof, before, after).is_err(), "{changed} {old}");
                let honest = tree.consistency_proof(old, SIZE_MAX).unwrap();
                assert!(
                    verify_consistency(old, SIZE_MAX, &honest, before, after).is_err(),
                    "{changed} {old}"
                );
            }
        }
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        let tree = tree_of(&entries(4));
        let beyond = LogTreeError::BeyondLog { size: 5, have: 4 };
        assert_eq!(tree.root_at(5), Err(beyond));
        assert_eq!(tree.inclusion_proof(0, 5), Err(beyond));
        assert_eq!(tree.inclusion_proof(3, 3), Err(LogTreeError::BeyondTree { index: 3, size: 3 }));
        assert_eq!(tree.consistency_proof(4, 3), Err(LogTreeError::Shrinks { old: 4, new: 3 }));
        let root = tree.root();
        assert!(verify_inclusion(root, 0, 0, &[], root).is_err());
        assert!(verify_consistency(4, 3, &[], root, root).is_err());
        assert!(verify_consistency(0, 4, &[], root, root).is_err(), "nothing before has the empty root");
        assert!(verify_consistency(4, 4, &[root], root, root).is_err());
        assert!(verify_consistency(3, 4, &[], root, root).is_err());
    }

    proptest! {
        #[test]
        fn no_proof_makes_the_verifier_panic(
            index: u64, size: u64, old: u64, hashes in prop::collection::vec(any::<[u8; 32]>(), 0..70),
        ) {
            let proof: Vec<_> = hashes.into_iter().map(Root).collect();
            let root = empty_root();
            prop_assert!(verify_inclusion(root, index, size, &proof, root).is_err());
            prop_assert!(verify_consistency(old.max(1), size, &proof, leaf_hash(b"old"), root).is_err());
        }

        #[test]
        fn long_logs_verify_too(size in 1u64..3000, index: u64, old: u64) {
            let (index, old) = (index % size, old % (size + 1));
            let entries = entries(size);
            let tree = tree_of(&entries);
            let proof = tree.inclusion_proof(index, size).unwrap();
            prop_assert!(proof.len() <= 12);
            prop_assert_eq!(
                verify_inclusion(leaf_hash(&entries[index as usize]), index, size, &proof, tree.root()),
                Ok(())
            );
            let proof = tree.consistency_proof(old, size).unwrap();
            prop_assert!(proof.len() <= 13);
            prop_assert_eq!(
                verify_consistency(old, size, &proof, tree.root_at(old).unwrap(), tree.root()),
                Ok(())
            );
        }
    }
}
