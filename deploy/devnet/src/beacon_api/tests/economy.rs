//! A chain with balances over HTTP, read by who reads it in earnest: the pool's office.

use super::*;
use cluster::deposit::withdrawal_credentials;
use cluster::{DepositMessage, SignedDeposit};
use coordinator::watch::question::{Question, Scope};
use coordinator::watch::said::Said;
use sim::chain::registry::Registry;
use types::{Epoch, Gwei, Millis, PublicKey, ValidatorStatus};

const ETH: u64 = 1_000_000_000;
/// Slots that have passed: five epochs of eight.
const PASSED: u64 = 41;
const OURS: Address = Address([0xaa; 20]);

struct Rich {
    server: Server,
    http: Client,
    halves: Vec<VcHalf>,
}

impl Rich {
    /// Eight validators of 33 ETH who have done everything for five epochs.
    async fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let halves: Vec<_> = (1..=8)
            .map(|seed| derive_master(&[seed; 32]).unwrap())
            .map(SecretShare::into_imported_half)
            .collect();
        let keys: Vec<_> = halves.iter().map(VcHalf::public).collect();
        let genesis = clock::now().0 / 1000 - PASSED * SECONDS_PER_SLOT - SECONDS_PER_SLOT / 2;
        let spec = network::spec(genesis, SECONDS_PER_SLOT);
        let credentials = withdrawal_credentials(OURS, false);
        let accounts = keys.iter().map(|key| (*key, credentials, Gwei(33 * ETH)));
        let chain = Chain::with_registry(spec, Registry::new(accounts), 1 << 20, 1);
        let server = Server::start(BeaconNode::new(chain, Bls::new(&keys).unwrap())).await.unwrap();
        let rich = Self { server, http: Client::builder().no_proxy().build().unwrap(), halves };
        (1..PASSED).map(Slot).for_each(|slot| rich.go_on(slot));
        rich
    }

    fn spec(&self) -> &ChainSpec {
        self.server.node().spec()
    }

    fn sign(&self, who: ValidatorIndex, root: &SigningRoot) -> Signature {
        self.halves[who.0 as usize].sign(root)
    }

    /// The block of a slot in the past, with the votes of the slot before.
    fn go_on(&self, slot: Slot) {
        let (node, spec) = (self.server.node(), self.spec());
        let curve = Bls::new(&self.halves.iter().map(VcHalf::public).collect::<Vec<_>>()).unwrap();
        let now: Millis = spec.slot_start(slot);
        let mut world = node.world();
        let chain = &mut world.chain;
        let before = Slot(slot.0 - 1);
        if before > Slot(0) {
            let head = chain.head();
            let data = chain.vote(before, head).data(0);
            let root = SigningRoot::of(spec, DomainType::BeaconAttester, data.target.epoch, Root::of(&data));
            for attester_index in chain.committee(before) {
                let signature = self.sign(attester_index, &root);
                let single = SingleAttestation { committee_index: 0, attester_index, data, signature };
                chain.attest(&curve, now, &single).unwrap();
            }
        }
        chain.begin(slot);
        let (proposer, epoch) = (chain.proposer(slot), spec.epoch_of(slot));
        let randao = self.sign(proposer, &SigningRoot::randao(spec, epoch));
        let block = chain.produce(&curve, slot, chain.head(), randao, Root::ZERO, Address::ZERO);
        drop(world);
        let root = SigningRoot::of(spec, DomainType::BeaconProposer, epoch, block.root);
        let contents = BlockContents { block, sidecars: Default::default() };
        let signed = contents.sign(self.sign(proposer, &root));
        let json = signed.to_json(Preset::Minimal).unwrap();
        node.publish(&signed.signed, json["signed_block"].clone()).unwrap();
    }

    /// What is answered: code and bytes.
    async fn ask(&self, question: &Question) -> (StatusCode, Vec<u8>) {
        let url = format!("{}{}", self.server.url(), question.path());
        let request = match question.body() {
            Some(body) => self.http.post(url).header("Content-Type", "application/json").body(body),
            None => self.http.get(url),
        };
        let response = request.send().await.unwrap();
        (response.status(), response.bytes().await.unwrap().to_vec())
    }

    async fn said(&self, scope: &Scope, question: Question) -> Said {
        let (code, bytes) = self.ask(&question).await;
        assert_eq!(code, StatusCode::OK, "{}: {}", question.path(), String::from_utf8_lossy(&bytes));
        question.read(scope, &mut &bytes[..]).unwrap()
    }
}

#[tokio::test]
async fn an_office_reads_states_blocks_and_rewards_of_a_chain_with_balances() {
    let rich = Rich::new().await;
    let keys: Vec<PublicKey> = rich.halves.iter().map(VcHalf::public).collect();
    let indices: Vec<_> = (0..8).map(ValidatorIndex).collect();
    let scope = Scope {
        address: OURS,
        keys: keys.iter().copied().collect(),
        indices: indices.iter().copied().collect(),
        ..Scope::default()
    };
    let Said::Finality(finalized) = rich.said(&scope, Question::Finality).await else { panic!() };
    assert_eq!(finalized.epoch, Epoch(3));
    let slot = Slot(24);
    let Said::Validators(found) = rich.said(&scope, Question::Validators { slot, keys: keys.clone() }).await
    else {
        panic!()
    };
    assert_eq!(found.len(), 8);
    let one = &found[&keys[3]];
    assert_eq!((one.status, one.effective_balance), (ValidatorStatus::ActiveOngoing, Gwei(32 * ETH)));
    assert_eq!((one.activation, one.exit), (Some(Epoch(0)), None));
    let Said::Active(active) = rich.said(&scope, Question::Active { slot }).await else { panic!() };
    assert_eq!(active, Gwei(8 * 32 * ETH));

    // A deposit is in the states after it.
    let message = DepositMessage {
        public_key: rich.halves[0].public(),
        withdrawal_credentials: withdrawal_credentials(OURS, false),
        amount: Gwei(ETH),
    };
    rich.server.node().deposit(&SignedDeposit { message, signature: Signature([1; 96]) });
    assert_eq!(rich.said(&scope, Question::Pending { slot }).await, Said::Pending(Vec::new()));
    let (code, body) =
        (rich.http.get(format!("{}/eth/v1/beacon/states/head/pending_deposits", rich.server.url())))
            .send()
            .await
            .map(|answer| (answer.status(), answer.json::<Value>()))
            .unwrap();
    let body = body.await.unwrap();
    assert_eq!((code, body["data"][0]["slot"].as_str()), (StatusCode::OK, Some("40")));

    // Everybody's 33rd ETH has gone, in the order of the validators, four in a block.
    let Said::Block(block) = rich.said(&scope, Question::Block { slot: Slot(1) }).await else { panic!() };
    assert_eq!(block.withdrawals, Some((0, 3)));
    assert_eq!(block.swept.keys().copied().collect::<Vec<_>>(), indices[..4]);
    let Said::Root(root) = rich.said(&scope, Question::Root { slot: Slot(24) }).await else { panic!() };
    let Said::Payload(payload) = rich.said(&scope, Question::Payload { root }).await else { panic!() };
    assert_eq!(payload.number, 24);
    let asked = Question::Attestations { epoch: Epoch(1), indices: indices.clone() };
    let Said::Attestations(paid) = rich.said(&scope, asked).await else { panic!() };
    assert_eq!(paid.totals.len(), 8);
    assert!(paid.totals.values().all(|total| total.head > 0 && total.target > 0 && total.source > 0));
    assert_eq!(paid.ideal.map(|(effective, _)| effective), Some(Gwei(32 * ETH)));
    let Said::Members(members) = rich.said(&scope, Question::Members { slot }).await else { panic!() };
    assert!(members.is_empty(), "strangers have all seats");
    let Said::Sync(sync) =
        rich.said(&scope, Question::Sync { slot: Slot(9), indices: indices.clone() }).await
    else {
        panic!()
    };
    assert!(sync.is_empty());

    // What is not kept, or is not yet, is refused with words.
    let refused = [
        (Question::Validators { slot: Slot(25), keys: keys.clone() }, "begins no epoch"),
        (Question::Pending { slot: Slot(800) }, "not at epoch 100"),
        (Question::Attestations { epoch: Epoch(5), indices }, "not paid yet"),
        (Question::Block { slot: Slot(70) }, "has no block"),
    ];
    for (question, words) in refused {
        let (code, body) = rich.ask(&question).await;
        let body = String::from_utf8(body).unwrap();
        assert!(code == StatusCode::NOT_FOUND && body.contains(words), "{code} {body}");
    }
}

#[tokio::test]
async fn two_contradicting_votes_are_taken_once_and_slash_in_the_next_block() {
    let rich = Rich::new().await;
    let node = rich.server.node();
    let vote = {
        let mut world = node.world();
        let head = world.chain.head();
        world.chain.vote(Slot(40), head).data(0)
    };
    let other = AttestationData { beacon_block_root: Root([1; 32]), ..vote };
    let indexed = |data: AttestationData, by: u64| {
        let root =
            SigningRoot::of(rich.spec(), DomainType::BeaconAttester, data.target.epoch, Root::of(&data));
        json!({ "attesting_indices": ["2"], "data": data, "signature": rich.sign(ValidatorIndex(by), &root) })
    };
    let post = async |two: Value| {
        let url = format!("{}/eth/v2/beacon/pool/attester_slashings", rich.server.url());
        let body = json!({ "attestation_1": indexed(vote, 2), "attestation_2": two });
        let request = rich.http.post(url).header("Eth-Consensus-Version", "electra").json(&body);
        request.send().await.unwrap().status()
    };
    assert_eq!(post(indexed(vote, 2)).await, StatusCode::BAD_REQUEST, "twice the same");
    assert_eq!(post(indexed(other, 3)).await, StatusCode::BAD_REQUEST, "another's signature");
    assert_eq!(post(indexed(other, 2)).await, StatusCode::OK);
    rich.go_on(Slot(PASSED));
    let url = format!("{}/eth/v1/beacon/states/head/validators/2", rich.server.url());
    let body: Value = rich.http.get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(body["data"]["status"], "active_slashed");
    assert_eq!(body["data"]["validator"]["slashed"], true);
}
