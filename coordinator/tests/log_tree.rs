//! The log's tree against the definition written down word for word, against vectors, and against forgers.

use coordinator::merkle::log_tree::{
    LogTree, LogTreeError, ProofError, empty_root, leaf_hash, verify_consistency, verify_inclusion,
};
use proptest::prelude::*;
use types::Root;

/// The definition of RFC 6962, word for word.
mod slow {
    use super::{Root, leaf_hash};
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
    let leaves =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
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
            assert!(verify_consistency(old, SIZE_MAX, &honest, before, after).is_err(), "{changed} {old}");
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
