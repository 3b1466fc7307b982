//! Rule 9 as a question to a state: what can be justified as the proposal of a round?

use super::cluster::Cluster;
use super::state::{Best, Life, NODES, ROUNDS_MAX, State, VALUES, Value, Values};
use symbolon_core::agree::rules::Shown;

impl Cluster {
    /// What some `q` or more `NEWROUND(round)` that have been sent let its leader propose, whichever of them the leader
    /// took: what has not arrived yet may be left out, and what a Byzantine node claims is made up on the spot.
    ///
    /// Every question with the same words is asked once.
    pub(crate) fn justified(&self, state: &State, round: u32) -> Values {
        if !self.is_entered(state, round) {
            return Values::default();
        }
        let question = self.question(state, round);
        if let Some(answer) = self.answers.read().expect("no writer panics").get(&question) {
            return *answer;
        }
        let mut answer = Values::default();
        let claims = self.claims(state, round);
        self.gather(&claims, &mut Vec::with_capacity(NODES), &mut answer);
        self.answers.write().expect("no writer panics").insert(question, answer);
        answer
    }

    /// All that the answer depends on, in one number.
    fn question(&self, state: &State, round: u32) -> u128 {
        let code =
            |claim: Option<(u32, Value)>| claim.map_or(0, |(round, value)| round * 2 + value as u32 + 1);
        let mut question = u128::from(round) << 3 | u128::from(state.restarted.unwrap_or(7));
        for life in &state.lives {
            let bits = life.shown(round).map_or(0, |shown| 256 | code(shown.best) << 4 | code(shown.last));
            question = question << 9 | u128::from(bits);
        }
        if self.byzantine.is_some() {
            for (earlier, value) in self.earlier(round) {
                let certified = self.is_certified(state, earlier, value);
                let signed = self.is_proposed(state, earlier, value);
                question = question << 2 | u128::from(certified) << 1 | u128::from(signed);
            }
        }
        question
    }

    /// Rounds below `round`, each with both values.
    fn earlier(&self, round: u32) -> impl Iterator<Item = (u32, Value)> + use<> {
        (self.book.first_round()..round).flat_map(|earlier| VALUES.map(|value| (earlier, value)))
    }

    /// Whether the leader of a round has signed a proposal of this value, or can at any time.
    fn is_proposed(&self, state: &State, round: u32, value: Value) -> bool {
        let leader = self.leader(round);
        let said = |life: &Life| life.proposals.get(round) == Some(value);
        self.is_byzantine(leader) || state.lives_of(leader).any(said)
    }

    /// For every author what its `NEWROUND(round)` may show.
    fn claims(&self, state: &State, round: u32) -> [Vec<Shown<Value>>; NODES] {
        std::array::from_fn(|node| {
            if self.is_byzantine(node) {
                return self.inventions(state, round);
            }
            state.lives_of(node).filter_map(|life| life.shown(round)).collect()
        })
    }

    /// All that a Byzantine node can show: any certificate that can be made, any vote of round 0, and any vote of a
    /// led round for what its leader has signed.
    fn inventions(&self, state: &State, round: u32) -> Vec<Shown<Value>> {
        let certificates = self.earlier(round).filter(|(earlier, value)| {
            self.book.may_show(round, *earlier) && self.is_certified(state, *earlier, *value)
        });
        let votes: Vec<_> = self
            .earlier(round)
            .filter(|(earlier, value)| {
                let header = *earlier > 0 && self.is_proposed(state, *earlier, *value);
                self.book.may_claim(round, *earlier, header)
            })
            .map(Some)
            .chain([None])
            .collect();
        let bests = certificates.map(Some).chain([None]);
        bests.flat_map(|best| votes.iter().map(move |last| Shown { best, last: *last })).collect()
    }

    /// Tries every set of authors, and for each of them everything it may show.
    fn gather(&self, claims: &[Vec<Shown<Value>>], taken: &mut Vec<Shown<Value>>, allowed: &mut Values) {
        let Some((first, rest)) = claims.split_first() else {
            for value in VALUES {
                if self.book.justifies(taken.iter().copied(), &value) {
                    allowed.insert(value);
                }
            }
            return;
        };
        self.gather(rest, taken, allowed);
        for shown in first {
            taken.push(*shown);
            self.gather(rest, taken, allowed);
            taken.pop();
        }
    }
}

const _: () = assert!(ROUNDS_MAX * 2 + 2 < 16, "a claim has four bits in a question");
const _: () = assert!(size_of::<Best>() == 1);
