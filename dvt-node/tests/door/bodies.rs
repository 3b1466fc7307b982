//! Bodies that are not the API's: refused before the machine hears of them.

use crate::world::{ATTEST, attestation_root, honest_vote, instance, refused, single, taken, world};
use serde_json::json;
use types::Root;
use types::wire::Kind;

const POOL: &str = "/eth/v2/beacon/pool/attestations";
const BLOCKS: &str = "/eth/v2/beacon/blocks";
const JSON: &str = "application/json";
const SSZ: &str = "application/octet-stream";

#[tokio::test]
async fn a_body_that_is_not_the_apis_is_refused_beside_its_twin() {
    let world = world(ATTEST, Default::default());
    world.head();
    let vote = honest_vote();
    let value = ssz::Encode::as_ssz_bytes(&vote);
    world.peers_vote(instance(ATTEST, Kind::Attest), Root::of(&vote), Some(value.into()));
    let good = single(0, &vote, world.keys[0].half(1, &attestation_root(&vote)));
    let body = json!([good]).to_string();
    let without = |field: &str| {
        let mut item = good.clone();
        item.as_object_mut().unwrap().remove(field);
        json!([item]).to_string()
    };
    let truncated = body[..body.len() - 20].to_owned();
    let mut short = good.clone();
    short["signature"] = json!("0x5a");
    let before = (world.marks(), world.room().asked);
    for (path, kind, sent, code, words) in [
        (POOL, JSON, String::new(), 400, "the body is not JSON"),
        (POOL, JSON, "\u{0}\u{1}garbage".to_owned(), 400, "the body is not JSON"),
        (POOL, JSON, truncated, 400, "the body is not JSON"),
        (POOL, JSON, good.to_string(), 400, "the body is not a list"),
        (POOL, JSON, json!([null, 7, "x"]).to_string(), 400, "not a SingleAttestation"),
        (POOL, JSON, without("data"), 400, "not a SingleAttestation"),
        (POOL, JSON, without("signature"), 400, "not a SingleAttestation"),
        (POOL, JSON, json!([short]).to_string(), 400, "not a SingleAttestation"),
        (POOL, SSZ, body.clone(), 400, "not the SSZ"),
        (POOL, "text/plain", body.clone(), 415, "not text/plain"),
        (BLOCKS, JSON, "{".to_owned(), 400, "electra block"),
        (BLOCKS, JSON, body.clone(), 400, "electra block"),
        (BLOCKS, SSZ, "garbage".to_owned(), 400, "electra block"),
    ] {
        refused(&world.post(path, kind, sent).await, code, words);
        assert_eq!((world.marks(), world.room().asked), before, "{words}");
    }
    taken(&world.post(POOL, JSON, body).await);
    assert_eq!(world.partials_sent(Kind::Attest).len(), 1);
}
