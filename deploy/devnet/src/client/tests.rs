//! The client and the toy chain against each other, with whole keys, over HTTP and in real time.

use super::*;
use crate::beacon_api::{BeaconNode, Head, Server};
use crate::curve::Bls;
use crate::network;
use keys::derive::derive_master;
use sim::chain::{Chain, Genesis};

/// Longest the run may take; it ends with the head that it waits for.
const RUN_TIME_MAX: Duration = Duration::from_secs(120);

fn halves(count: u8) -> BTreeMap<PublicKey, VcHalf> {
    let half = |seed| derive_master(&[seed; 32]).unwrap().into_imported_half();
    (1..=count).map(half).map(|half| (half.public(), half)).collect()
}

async fn server(validators: Vec<PublicKey>, genesis_time_s: u64) -> Server {
    let spec = network::spec(genesis_time_s, 1);
    let curve = Bls::new(&validators).unwrap();
    let chain = Chain::new(Genesis { spec, validators, seed: 7 });
    Server::start(BeaconNode::new(chain, curve)).await.unwrap()
}

async fn until_head(node: &BeaconNode, slot: Slot) -> Head {
    let mut heads = node.heads();
    loop {
        let head = heads.recv().await.unwrap();
        if head.slot >= slot {
            return head;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_with_whole_keys_does_every_duty_and_nothing_is_refused() {
    let halves = halves(8);
    let genesis = clock::now().0 / 1000 + 3;
    let server = server(halves.keys().copied().collect(), genesis).await;
    let client = Client::connect(&server.url(), halves, Address([0xfe; 20])).await.unwrap();
    assert_eq!(client.genesis(), Millis(genesis * 1000));
    let serving = tokio::spawn(client.serve());
    // Past the first epoch, so that duties are looked ahead for.
    let last = Slot(10);
    let end = until_head(server.node(), last.next());
    tokio::time::timeout(RUN_TIME_MAX, end).await.expect("the chain grows");
    serving.abort();
    let missed: Vec<_> =
        (1..=last.0).map(Slot).filter(|slot| !server.node().look(|chain| done(chain, *slot))).collect();
    assert_eq!(missed, []);
    let tally = server.node().tally();
    assert_eq!((tally.rejected, tally.slashable), (vec![], 0));
}

fn done(chain: &Chain, slot: Slot) -> bool {
    chain.has_block(slot) && chain.committee(slot).into_iter().all(|who| chain.attested(slot, who).is_some())
}

#[tokio::test]
async fn a_client_signs_no_second_attestation_for_a_target() {
    let halves = halves(1);
    let key = *halves.keys().next().unwrap();
    // A genesis in the past: the chain is at some slot already.
    let server = server(vec![key], clock::now().0 / 1000 - 5).await;
    let client = Client::connect(&server.url(), halves, Address::ZERO).await.unwrap();
    let duty = server.node().look(|chain| chain.attesters(Epoch(0)).remove(0));
    let data = AttestationData::default();
    let first = client.sign_attestation(&duty, &data).unwrap();
    assert_eq!(client.sign_attestation(&duty, &data), Some(first));
    let other = AttestationData { beacon_block_root: Root([1; 32]), ..data };
    assert_eq!(client.sign_attestation(&duty, &other), None);
}
