//! Who may claim how much in all: one root, and for each account a proof that a contract verifies.
//!
//! ```text
//! leaf  = keccak(keccak(abi.encode(address account, uint256 cumulative_wei)))
//! node  = keccak(the smaller child || the larger one)
//! tree  : a complete binary tree in an array; leaves sorted, the smallest at its end; children of i are 2i+1 and 2i+2
//! claim = cumulative - claimed
//! ```
//!
//! Amounts are cumulative: each tree holds all that an account has ever earned, so an old tree can be forgotten, nothing
//! is lost by not claiming, and nothing is paid twice. A leaf is hashed twice, so that no node can pass for a leaf.
//!
//! Source: `StandardMerkleTree` of OpenZeppelin's merkle-tree and `MerkleProof.sol`; cumulative trees as in Lido's CSM
//! `FeeDistributor`.

use crate::formulas::wide::{self, WideError};
use alloy_primitives::keccak256;
use std::collections::BTreeMap;
use thiserror::Error;
use types::{Address, Root, Wei};

/// Why claims or a tree of them are refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ClaimError {
    /// A tree of nothing has no root.
    #[error("nobody has anything to claim")]
    Empty,
    /// Less than before: whoever has claimed already would have been paid too much.
    #[error("{account} had {before} wei in all and has {after}: cumulative amounts never fall")]
    Falls {
        /// Whose.
        account: Address,
        /// Before.
        before: Wei,
        /// After.
        after: Wei,
    },
    /// More claimed than earned.
    #[error("{claimed} wei are claimed of {cumulative}")]
    ClaimedMore {
        /// Claimed so far.
        claimed: Wei,
        /// Earned so far.
        cumulative: Wei,
    },
    /// Numbers that do not fit.
    #[error(transparent)]
    Wide(#[from] WideError),
}

/// What accounts have earned in all, claimed or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    amounts: BTreeMap<Address, Wei>,
}

impl Claims {
    /// What an account has earned in all.
    pub fn cumulative(&self, account: Address) -> Wei {
        self.amounts.get(&account).copied().unwrap_or_default()
    }

    /// Accounts and what they have earned in all, in order.
    pub fn accounts(&self) -> impl Iterator<Item = (Address, Wei)> + '_ {
        self.amounts.iter().map(|(account, amount)| (*account, *amount))
    }

    /// Adds what a report gives an account.
    pub fn add(&mut self, account: Address, earned: Wei) -> Result<(), WideError> {
        let amount = wide::add(self.cumulative(account), earned)?;
        if amount != Wei::ZERO {
            self.amounts.insert(account, amount);
        }
        Ok(())
    }

    /// Whether these can follow `before`: nobody has less. Errors: the first that has.
    pub fn follow(&self, before: &Self) -> Result<(), ClaimError> {
        let less = |(account, before): (Address, Wei)| {
            let after = self.cumulative(account);
            (after < before).then_some(ClaimError::Falls { account, before, after })
        };
        before.accounts().find_map(less).map_or(Ok(()), Err)
    }
}

/// What is left to claim. Errors: more was claimed than there is.
pub fn claimable(cumulative: Wei, claimed: Wei) -> Result<Wei, ClaimError> {
    wide::sub(cumulative, claimed).map_err(|_| ClaimError::ClaimedMore { claimed, cumulative })
}

/// The hash of what an account has earned in all.
pub fn leaf_hash(account: Address, cumulative: Wei) -> Root {
    let mut words = [0; 64];
    words[12..32].copy_from_slice(&account.0);
    words[32..].copy_from_slice(&cumulative.0.to_be_bytes::<32>());
    Root(keccak256(keccak256(words)).0)
}

fn node_hash(one: Root, other: Root) -> Root {
    let (low, high) = if one <= other { (one, other) } else { (other, one) };
    Root(keccak256([low.0, high.0].concat()).0)
}

/// The tree over [`Claims`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimTree {
    /// The root first; leaves are the second half.
    nodes: Vec<Root>,
}

impl ClaimTree {
    /// Builds the tree. Errors: no claims. Cost: two hashes for each account, and one more for each but the first.
    pub fn new(claims: &Claims) -> Result<Self, ClaimError> {
        let mut leaves: Vec<Root> =
            claims.accounts().map(|(account, amount)| leaf_hash(account, amount)).collect();
        if leaves.is_empty() {
            return Err(ClaimError::Empty);
        }
        // The largest first, so that the smallest stands at the end.
        leaves.sort_unstable_by(|one, other| other.cmp(one));
        let inner = leaves.len() - 1;
        let mut nodes = vec![Root::ZERO; inner];
        nodes.append(&mut leaves);
        for at in (0..inner).rev() {
            nodes[at] = node_hash(nodes[2 * at + 1], nodes[2 * at + 2]);
        }
        Ok(Self { nodes })
    }

    /// The root.
    pub fn root(&self) -> Root {
        self.nodes[0]
    }

    /// The hashes that lead from an account's leaf to the root; `None` if the leaf is not in the tree.
    pub fn proof(&self, account: Address, cumulative: Wei) -> Option<Vec<Root>> {
        let leaves = self.nodes.len() / 2;
        let leaf = leaf_hash(account, cumulative);
        // Leaves are sorted, the largest first.
        let found = self.nodes[leaves..].binary_search_by(|node| leaf.cmp(node)).ok()?;
        let (mut at, mut proof) = (leaves + found, Vec::new());
        while at > 0 {
            proof.push(self.nodes[if at % 2 == 1 { at + 1 } else { at - 1 }]);
            at = (at - 1) / 2;
        }
        Some(proof)
    }
}

/// Whether the tree of `root` says that an account has earned this much in all.
pub fn verify(root: Root, account: Address, cumulative: Wei, proof: &[Root]) -> bool {
    proof.iter().fold(leaf_hash(account, cumulative), |hash, sibling| node_hash(hash, *sibling)) == root
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::U256;
    use proptest::prelude::*;

    fn claims(amounts: &BTreeMap<[u8; 20], u64>) -> Claims {
        let mut claims = Claims::default();
        for (account, amount) in amounts {
            claims.add(Address(*account), Wei(U256::from(*amount))).unwrap();
        }
        claims
    }

    fn some() -> impl Strategy<Value = BTreeMap<[u8; 20], u64>> {
        prop::collection::btree_map(any::<[u8; 20]>(), 1u64.., 1..40)
    }

    /// The tree's definition, by recursion over the array's places, leaves from the smallest.
    fn slow(leaves: &[Root], at: usize) -> Root {
        let count = leaves.len();
        if at >= count - 1 {
            return leaves[2 * count - 2 - at];
        }
        let mut pair = [slow(leaves, 2 * at + 1).0, slow(leaves, 2 * at + 2).0];
        pair.sort_unstable();
        Root(keccak256(pair.concat()).0)
    }

    #[test]
    fn the_reference_librarys_example_comes_out() {
        let accounts = [(Address([0x11; 20]), "5"), (Address([0x22; 20]), "2.5")];
        let accounts = accounts.map(|(account, eth)| (account, Wei::from_eth(eth).unwrap()));
        let mut claims = Claims::default();
        for (account, amount) in accounts {
            claims.add(account, amount).unwrap();
        }
        let tree = ClaimTree::new(&claims).unwrap();
        let hash = |text: &str| text.parse::<Root>().unwrap();
        assert_eq!(tree.root(), hash("0xd4dee0beab2d53f2cc83e567171bd2820e49898130a22622b10ead383e90bd77"));
        let siblings = [
            hash("0xb92c48e9d7abe27fd8dfd6b5dfdbfb1c9a463f80c712b66f3a5180a090cccafc"),
            hash("0xeb02c421cfa48976e66dfb29120745909ea3a0f843456c263cf8f1253483e283"),
        ];
        for ((account, amount), sibling) in accounts.into_iter().zip(siblings) {
            assert_eq!(tree.proof(account, amount), Some(vec![sibling]));
        }
    }

    proptest! {
        #[test]
        fn every_account_proves_its_amount_and_no_other(amounts in some(), off in 1u64..) {
            let claims = claims(&amounts);
            let tree = ClaimTree::new(&claims).unwrap();
            let mut leaves: Vec<_> =
                claims.accounts().map(|(account, amount)| leaf_hash(account, amount)).collect();
            leaves.sort_unstable();
            prop_assert_eq!(tree.root(), slow(&leaves, 0));
            for (account, amount) in claims.accounts() {
                let proof = tree.proof(account, amount).unwrap();
                prop_assert!(verify(tree.root(), account, amount, &proof));
                let more = Wei(amount.0 + U256::from(off));
                prop_assert!(!verify(tree.root(), account, more, &proof));
                prop_assert_eq!(tree.proof(account, more), None);
                prop_assert!(!verify(tree.root(), Address(account.0.map(|byte| !byte)), amount, &proof));
                for at in 0..proof.len() {
                    let mut other = proof.clone();
                    other[at].0[0] ^= 1;
                    prop_assert!(!verify(tree.root(), account, amount, &other));
                }
            }
        }

        #[test]
        fn what_is_claimed_over_many_reports_is_what_was_earned(
            account: [u8; 20], reports in prop::collection::vec((any::<u64>(), any::<bool>()), 1..20),
        ) {
            let account = Address(account);
            let (mut claims, mut claimed) = (Claims::default(), Wei::ZERO);
            for (earned, claims_now) in &reports {
                let before = claims.clone();
                claims.add(account, Wei(U256::from(*earned))).unwrap();
                prop_assert_eq!(claims.follow(&before), Ok(()));
                if *claims_now {
                    let paid = claimable(claims.cumulative(account), claimed).unwrap();
                    claimed = wide::add(claimed, paid).unwrap();
                }
            }
            let rest = claimable(claims.cumulative(account), claimed).unwrap();
            let earned = reports.iter().fold(U256::ZERO, |sum, (earned, _)| sum + U256::from(*earned));
            prop_assert_eq!(wide::add(claimed, rest), Ok(Wei(earned)));
        }
    }

    #[test]
    fn amounts_that_fall_and_trees_of_nothing_are_refused() {
        let (account, wei) = (Address([1; 20]), |amount: u64| Wei(U256::from(amount)));
        let (before, after) = (claims(&[([1; 20], 5)].into()), claims(&[([1; 20], 4)].into()));
        let falls = |after: Wei| Err(ClaimError::Falls { account, before: wei(5), after });
        assert_eq!(after.follow(&before), falls(wei(4)));
        assert_eq!(Claims::default().follow(&before), falls(Wei::ZERO));
        assert_eq!(ClaimTree::new(&Claims::default()), Err(ClaimError::Empty));
        assert_eq!(
            claimable(wei(4), wei(5)),
            Err(ClaimError::ClaimedMore { claimed: wei(5), cumulative: wei(4) })
        );
    }

    #[test]
    fn a_node_of_the_tree_does_not_pass_for_a_leaf() {
        let claims = claims(&(0..4).map(|no| ([no; 20], 7)).collect());
        let tree = ClaimTree::new(&claims).unwrap();
        // Who passes a node's two children off as address and amount gets a double hash, not the node.
        let (left, right) = (tree.nodes[3].min(tree.nodes[4]), tree.nodes[3].max(tree.nodes[4]));
        let mut account = [0; 20];
        account.copy_from_slice(&left.0[12..]);
        let amount = Wei(U256::from_be_bytes(right.0));
        assert!(!verify(tree.root(), Address(account), amount, &[tree.nodes[2]]));
        assert_eq!(node_hash(left, right), tree.nodes[1]);
    }
}
