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

    /// The hashes of all entries, in order ([`leaf_hash`]).
    pub fn leaves(&self) -> &[Root] {
        self.levels.first().map_or(&[], Vec::as_slice)
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
