//! A validator client in the jar: it asks for what its duties need and signs what it gets with its halves.
//!
//! It keeps no slashing database, so that the judges see what the node alone prevents.

use crate::curve::Symbolic;
use std::collections::BTreeMap;
use symbolon_core::{Answer, Ask, HalfAttestation, RequestId};
use types::duty::AttesterDuty;
use types::{ChainSpec, DomainType, Root, ShareIndex, SigningRoot, Slot, ValidatorNo};

/// What a request was for.
#[derive(Clone, Debug)]
enum Pending {
    Vote { slot: Slot },
    Block { slot: Slot, validator: ValidatorNo },
}

/// One operator's validator client.
#[derive(Debug)]
pub struct Client {
    operator: ShareIndex,
    next: u64,
    pending: BTreeMap<RequestId, Pending>,
}

impl Client {
    /// Holds the halves of one operator.
    pub fn new(operator: ShareIndex) -> Self {
        Self { operator, next: 0, pending: BTreeMap::new() }
    }

    fn request(&mut self, pending: Option<Pending>) -> RequestId {
        self.next += 1;
        let request = RequestId(self.next);
        self.pending.extend(pending.map(|pending| (request, pending)));
        request
    }

    /// Asks what to attest.
    pub fn attest(&mut self, slot: Slot) -> (RequestId, Ask) {
        (self.request(Some(Pending::Vote { slot })), Ask::Vote { slot })
    }

    /// Asks for a block to sign.
    pub fn propose(&mut self, spec: &ChainSpec, slot: Slot, validator: ValidatorNo) -> (RequestId, Ask) {
        let key = Symbolic.half_key(validator, self.operator);
        let randao_half = Symbolic.sign(&key, &SigningRoot::randao(spec, spec.epoch_of(slot)));
        (self.request(Some(Pending::Block { slot, validator })), Ask::Block { slot, randao_half })
    }

    /// Takes an answer; signs if it brings something to sign. `due`: the slot's attesters.
    pub fn answer(
        &mut self,
        spec: &ChainSpec,
        request: RequestId,
        answer: &Answer,
        due: impl Fn(Slot) -> Vec<(ValidatorNo, AttesterDuty)>,
    ) -> Option<(RequestId, Ask)> {
        match (self.pending.remove(&request)?, answer) {
            (Pending::Vote { slot }, Answer::Vote(vote)) => {
                let data = vote.data(0);
                let root =
                    SigningRoot::of(spec, DomainType::BeaconAttester, vote.target.epoch, Root::of(&data));
                let half = |(validator, _): (ValidatorNo, AttesterDuty)| {
                    let key = Symbolic.half_key(validator, self.operator);
                    HalfAttestation { validator, data, half: Symbolic.sign(&key, &root) }
                };
                let halves = due(slot).into_iter().map(half).collect();
                Some((self.request(None), Ask::Attestations { slot, halves }))
            }
            (Pending::Block { slot, validator }, Answer::Block(block)) => {
                let root = SigningRoot::of(spec, DomainType::BeaconProposer, spec.epoch_of(slot), block.root);
                let half = Symbolic.sign(&Symbolic.half_key(validator, self.operator), &root);
                Some((self.request(None), Ask::SignedBlock { slot, root: block.root, half }))
            }
            _ => None,
        }
    }
}
