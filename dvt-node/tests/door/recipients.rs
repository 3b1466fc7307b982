//! Whom a leader's block may pay once the operators have approved another fee recipient.

use crate::blocks::{block, propose};
use crate::world::{FEE_RECIPIENT, PEER_LEADS, World, operator, spec, world};
use symbolon_core::Fault;
use types::approval::{Kept, Standing};
use types::builder::{SignedValidatorRegistrationV1, ValidatorRegistrationV1};
use types::{Address, Millis, PublicKey};

/// What the operators have approved.
const APPROVED: Address = Address([0xaa; 20]);
/// What they had approved before.
const BEFORE: Address = Address([0xbb; 20]);

fn registered(pubkey: PublicKey, learned: Millis, previous: Address) -> Kept {
    let (gas_limit, timestamp) = (60_000_000, 1_000);
    let message = ValidatorRegistrationV1 { fee_recipient: APPROVED, gas_limit, timestamp, pubkey };
    let newest = SignedValidatorRegistrationV1 { message, ..Default::default() };
    Kept::Registered(vec![Standing { newest, learned, previous: Some(previous) }])
}

/// Whether a node that has learned the change then stands for a block that pays this address.
fn stands_for(learned: Option<Millis>, address: Address) -> bool {
    let world: World = world(PEER_LEADS, Default::default());
    if let Some(learned) = learned {
        world.recall(registered(world.keys[0].group_key(), learned, BEFORE));
    }
    let block = block(&world, PEER_LEADS, address);
    propose(&world, 4, &block);
    world.contents(PEER_LEADS, block.root);
    let stood = world.stood_for(&block.root);
    let blamed = world.room().faults == [(operator(4), Fault::BadValue)];
    assert_ne!(stood, blamed, "a bad value is its leader's fault");
    stood
}

#[tokio::test]
async fn a_leaders_block_pays_what_counts_or_for_two_epochs_what_counted_before() {
    let now = spec().slot_start(PEER_LEADS);
    let two_epochs = 2 * spec().slots_per_epoch * spec().slot_ms;
    let lately = Some(Millis(now.0 - two_epochs + 1_000));
    let long_ago = Some(Millis(now.0 - two_epochs - 1_000));
    for (learned, address, good) in [
        (None, FEE_RECIPIENT, true),
        (None, APPROVED, false),
        (lately, APPROVED, true),
        (lately, BEFORE, true),
        (lately, FEE_RECIPIENT, false),
        (long_ago, APPROVED, true),
        (long_ago, BEFORE, false),
    ] {
        assert_eq!(stands_for(learned, address), good, "learned {learned:?}, pays {address}");
    }
}
