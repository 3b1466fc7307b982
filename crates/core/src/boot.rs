//! Whether two processes run with one node key: every process asks the others which it speaks with.
//!
//! ```text
//! link up, and every minute: CHALLENGE -> BOOT (id, the question's nonce) ... an id that comes back: two live processes
//!      -> OVERLAP to that peer -> the process that finds itself in it stops signing
//! ```
//!
//! A plain restart is `X` then `Y`, and `X` never again, for ids are drawn at the start. `X`, `Y`, `X` to fresh questions
//! takes two live processes; both signed answers are told to the operator of this node. The accused process believes
//! nobody's word: it stops only if an answer under its key, by another id, repeats a nonce that could not be made
//! before it had drawn its own ([`types::wire::Overlap`]). Such an answer exists from the second change on, once
//! for either process, and is sent whenever the one that it concerns has just answered. So no peer can stop a node by a lie, nor by what
//! it kept of the node's past.
//!
//! An id that was not heard before, where another was, is a restart ([`Said::Restarted`]): that process only follows for two
//! slots (rule 11), so nobody waits for what it would lead. A peer that lies about it is waited for less, and no more.
//!
//! Bound: [`BOOTS_MAX`] ids of each peer.

use crate::mutants::{Mutant, Rules};
use std::collections::{BTreeMap, VecDeque};
use types::wire::{Challenge, Instance, Message, Overlap, Question, Signed, Statement, Step};
use types::{Generation, Millis, Root, ShareIndex, Slot};

/// Between two questions to a linked peer.
const ASK_EVERY: Millis = Millis(60_000);

/// Two processes that fight for one link bring it up many times a second; they are found in three questions.
const ASK_GAP: Millis = Millis(1_000);

/// A peer's questions closer to each other than this are not answered: honest ones are [`ASK_GAP`] apart when they leave.
const ANSWER_GAP: Millis = Millis(500);

/// Ids remembered of a peer. Two processes that run beside each other are found with two; a process that crashes at
/// each start pushes the others out, and they come back with their next answers.
const BOOTS_MAX: usize = 8;

/// A process of a peer.
#[derive(Debug)]
struct Process {
    boot: Root,
    /// Its last answer.
    answer: Signed,
    /// Proves to it that another process holds its key.
    overlap: Option<Overlap>,
    /// Whether its return was told.
    told: bool,
}

/// What is known of a peer.
#[derive(Debug, Default)]
struct Peer {
    linked: bool,
    asked_at: Option<Millis>,
    ask_at: Option<Millis>,
    question: Option<Question>,
    answered_at: Option<Millis>,
    /// In the order in which they were last heard.
    processes: VecDeque<Process>,
}

/// What came of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// To be sent to the peer.
    Reply(Message),
    /// The peer's node key is used by two live processes.
    TwoProcesses {
        /// The last answer of the one.
        first: Signed,
        /// The answer of the other, which had answered before it too.
        second: Signed,
    },
    /// Another process runs with this node's key.
    SecondInstance,
    /// The peer was started again: a process answers that was not heard of, where another was before.
    Restarted,
}

/// The processes behind the operators' keys.
#[derive(Debug)]
pub(crate) struct Boots {
    me: ShareIndex,
    generation: Generation,
    /// The own id, once drawn: before that nothing is asked, answered or believed.
    boot: Option<Root>,
    count: u64,
    peers: BTreeMap<ShareIndex, Peer>,
    rules: Rules,
}

impl Boots {
    /// A node that has not drawn its id yet.
    pub(crate) fn new(me: ShareIndex, generation: Generation) -> Self {
        Self { me, generation, boot: None, count: 0, peers: BTreeMap::new(), rules: Rules::default() }
    }

    /// The same under these rules.
    pub(crate) fn under(self, rules: Rules) -> Self {
        Self { rules, ..self }
    }

    /// The id of this process: 32 bytes that nobody could guess, drawn since it started.
    pub(crate) fn born(&mut self, boot: Root) {
        self.boot.get_or_insert(boot);
    }

    /// A link came up or went down. What was asked on the old one is asked again on the new one.
    pub(crate) fn presence(&mut self, now: Millis, peer: ShareIndex, up: bool) {
        let known = self.peers.entry(peer).or_default();
        known.linked = up;
        known.question = None;
        let soonest = known.asked_at.map_or(now, |asked| asked.after(ASK_GAP).max(now));
        known.ask_at = up.then_some(soonest);
    }

    /// The questions that are due.
    pub(crate) fn ask(&mut self, now: Millis, slot: Slot) -> Vec<(ShareIndex, Message)> {
        let Some(asker) = self.boot else { return Vec::new() };
        let mut questions = Vec::new();
        for (index, peer) in &mut self.peers {
            if peer.ask_at.is_none_or(|at| now < at) {
                continue;
            }
            let last = peer.processes.back().map_or(Root::ZERO, |process| process.boot);
            let question = Question { asker, count: self.count, last };
            self.count += 1;
            peer.question = Some(question);
            peer.asked_at = Some(now);
            peer.ask_at = Some(now.after(ASK_EVERY));
            let challenge = Challenge::new(self.generation, slot, &question);
            questions.push((*index, Message::Challenge(challenge)));
        }
        questions
    }

    /// When the next question is due.
    pub(crate) fn wake_at(&self) -> Option<Millis> {
        self.boot?;
        self.peers.values().filter_map(|peer| peer.ask_at).min()
    }

    /// Takes a peer's message; those that are not of this machine say nothing.
    pub(crate) fn hear(&mut self, now: Millis, from: ShareIndex, message: &Message) -> Vec<Said> {
        let Some(boot) = self.boot.filter(|_| from != self.me) else { return Vec::new() };
        match message {
            Message::Challenge(challenge) => self.challenged(now, from, boot, challenge),
            Message::Boot(signed) => self.answered(from, signed),
            Message::Overlap(overlap) => {
                let to_this = overlap.question.last == boot || self.rules.break_with(Mutant::RestartIsTwin);
                if to_this && overlap.other.author == self.me {
                    vec![Said::SecondInstance]
                } else {
                    Vec::new()
                }
            }
            Message::Vote(_)
            | Message::Cert(_)
            | Message::Commit(_)
            | Message::Decided(_)
            | Message::NewRound(_)
            | Message::Proposal(_)
            | Message::Partial(_)
            | Message::Fetch(_)
            | Message::Value(_)
            | Message::Contents(_)
            | Message::Held(_)
            | Message::FetchContents(_) => Vec::new(),
        }
    }

    fn challenged(&mut self, now: Millis, from: ShareIndex, boot: Root, challenge: &Challenge) -> Vec<Said> {
        let peer = self.peers.entry(from).or_default();
        if peer.answered_at.is_some_and(|last| now < last.after(ANSWER_GAP)) {
            return Vec::new();
        }
        peer.answered_at = Some(now);
        let instance: Instance = challenge.instance;
        let statement =
            Statement { instance, step: Step::Boot, round: 0, hash: boot, extra: challenge.nonce };
        vec![Said::Reply(Message::Boot(statement.unsigned(self.me)))]
    }

    fn answered(&mut self, from: ShareIndex, signed: &Signed) -> Vec<Said> {
        let Some(peer) = self.peers.get_mut(&from) else { return Vec::new() };
        let fits = |question: &Question| question.nonce() == signed.statement.extra;
        // An answer counts once; one to an older question was on its way for too long to say who lives.
        let Some(question) = peer.question.take_if(|question| fits(question)) else { return Vec::new() };
        let boot = signed.statement.hash;
        let last = peer.processes.back_mut().filter(|last| last.boot != boot);
        let before = last.map(|last| {
            last.overlap = Some(Overlap { question, other: *signed });
            last.answer
        });
        let twin = before.is_some() && self.rules.break_with(Mutant::RestartIsTwin);
        let returned = peer.heard(boot, signed) || twin;
        let process = peer.processes.back_mut().expect("just heard");
        if twin {
            process.overlap = Some(Overlap { question, other: *signed });
        }
        let mut said = Vec::new();
        match before {
            Some(first) if returned && !process.told => {
                process.told = true;
                said.push(Said::TwoProcesses { first, second: *signed });
            }
            Some(_) if !returned => said.push(Said::Restarted),
            Some(_) | None => {}
        }
        said.extend(process.overlap.map(|overlap| Said::Reply(Message::Overlap(overlap))));
        said
    }
}

impl Peer {
    /// Puts a process last. Whether it had been heard before.
    fn heard(&mut self, boot: Root, answer: &Signed) -> bool {
        let place = self.processes.iter().position(|process| process.boot == boot);
        let known = place.and_then(|place| self.processes.remove(place));
        let returned = known.is_some();
        if self.processes.len() == BOOTS_MAX {
            self.processes.pop_front();
        }
        let mut process = known.unwrap_or(Process { boot, answer: *answer, overlap: None, told: false });
        process.answer = *answer;
        self.processes.push_back(process);
        returned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: Root = Root([0xaa; 32]);
    const Y: Root = Root([0xbb; 32]);

    fn index(number: u8) -> ShareIndex {
        ShareIndex::new(number).unwrap()
    }

    /// Operator 1 asks operator 2, whose processes are asked one by one.
    struct Pair {
        now: Millis,
        asker: Boots,
    }

    fn process(operator: u8, boot: Root) -> Boots {
        let mut boots = Boots::new(index(operator), Generation(0));
        boots.born(boot);
        boots
    }

    impl Pair {
        fn new() -> Self {
            Self { now: Millis(0), asker: process(1, Root([1; 32])) }
        }

        /// A process of operator 2 takes the link and is asked; what comes of its answer.
        fn meet(&mut self, answerer: &mut Boots) -> Vec<Said> {
            self.asker.presence(self.now, index(2), false);
            self.asker.presence(self.now, index(2), true);
            self.now = self.asker.wake_at().unwrap();
            self.ask(answerer)
        }

        fn ask(&mut self, answerer: &mut Boots) -> Vec<Said> {
            let asked = self.asker.ask(self.now, Slot(5));
            let [(to, challenge)] = &asked[..] else { panic!("{asked:?}") };
            assert_eq!(*to, index(2));
            let answer = answerer.hear(self.now, index(1), challenge);
            let [Said::Reply(boot)] = &answer[..] else { panic!("{answer:?}") };
            self.asker.hear(self.now, index(2), boot)
        }
    }

    fn overlap(said: &[Said]) -> Option<&Message> {
        said.iter().find_map(|one| match one {
            Said::Reply(message @ Message::Overlap(_)) => Some(message),
            _ => None,
        })
    }

    fn two_processes(said: &[Said]) -> bool {
        said.iter().any(|one| matches!(one, Said::TwoProcesses { .. }))
    }

    #[test]
    fn a_restart_is_no_second_process_however_often() {
        let mut pair = Pair::new();
        for start in 1..=20_u8 {
            let mut alive = process(2, Root([start; 32]));
            let said = pair.meet(&mut alive);
            assert!(if start == 1 { said.is_empty() } else { said[0] == Said::Restarted });
            assert!(!two_processes(&said));
            pair.now = pair.asker.wake_at().unwrap();
            assert_eq!(pair.ask(&mut alive), [], "the same once more");
        }
        assert_eq!(pair.asker.peers[&index(2)].processes.len(), BOOTS_MAX);
    }

    #[test]
    fn a_process_that_comes_back_is_told_and_both_find_themselves_accused() {
        let mut pair = Pair::new();
        let (mut x, mut y) = (process(2, X), process(2, Y));
        assert_eq!(pair.meet(&mut x), []);
        assert_eq!(pair.meet(&mut y)[0], Said::Restarted, "so far");
        let back = pair.meet(&mut x);
        let [Said::TwoProcesses { first, second }, Said::Reply(to_x)] = &back[..] else { panic!("{back:?}") };
        assert_eq!((first.statement.hash, second.statement.hash), (Y, X));
        assert_eq!(x.hear(pair.now, index(1), to_x), [Said::SecondInstance]);
        assert_eq!(y.hear(pair.now, index(1), to_x), [], "this one is no proof to the other");
        let back = pair.meet(&mut y);
        assert!(two_processes(&back), "the other has come back as well");
        let to_y = overlap(&back).unwrap();
        assert_eq!(y.hear(pair.now, index(1), to_y), [Said::SecondInstance]);
        for alive in [&mut x, &mut y] {
            let again = pair.meet(alive);
            assert!(!two_processes(&again), "each return is told once: {again:?}");
            assert!(overlap(&again).is_some());
        }
    }

    #[test]
    fn a_peer_cannot_stop_a_node_with_what_its_past_has_signed() {
        let mut pair = Pair::new();
        let (mut past, mut present) = (process(2, X), process(2, Y));
        let mut answers = Vec::new();
        let question = |count, last| Question { asker: Root([1; 32]), count, last };
        for count in 0..3 {
            pair.now = pair.now.after(ANSWER_GAP);
            let question = question(count, X);
            let challenge = Message::Challenge(Challenge::new(Generation(0), Slot(5), &question));
            let said = past.hear(pair.now, index(1), &challenge);
            let [Said::Reply(Message::Boot(answer))] = &said[..] else { panic!("{said:?}") };
            answers.push((question, *answer));
        }
        for (asked, other) in answers {
            // What was asked, and what the liar would have liked to ask.
            for question in [asked, question(asked.count, Y)] {
                let accusation = Message::Overlap(Overlap { question, other });
                let sound =
                    question.nonce() == other.statement.extra && question.last != other.statement.hash;
                assert!(!sound || present.hear(pair.now, index(1), &accusation).is_empty());
                let frame = accusation.to_frame();
                assert!(types::wire::decode(&frame).is_err(), "nor is it let in at the door");
            }
        }
    }

    #[test]
    fn an_accusation_of_another_operator_or_by_oneself_stops_nobody() {
        let mut pair = Pair::new();
        let (mut x, mut y) = (process(2, X), process(2, Y));
        pair.meet(&mut x);
        pair.meet(&mut y);
        let back = pair.meet(&mut x);
        let to_x = overlap(&back).unwrap();
        assert_eq!(process(3, X).hear(pair.now, index(1), to_x), []);
        assert_eq!(x.hear(pair.now, index(2), to_x), []);
        assert_eq!(x.hear(pair.now, index(3), to_x), [Said::SecondInstance], "whoever brings it");
    }

    #[test]
    fn an_answer_counts_once_and_only_to_the_last_question() {
        let mut pair = Pair::new();
        let (mut x, mut y) = (process(2, X), process(2, Y));
        pair.meet(&mut x);
        pair.now = pair.asker.wake_at().unwrap();
        let asked = pair.asker.ask(pair.now, Slot(5));
        let said = y.hear(pair.now, index(1), &asked[0].1);
        let [Said::Reply(late)] = &said[..] else { panic!("{said:?}") };
        // The link breaks before the answer comes; the next one belongs to the first process again.
        assert_eq!(pair.meet(&mut x), []);
        assert_eq!(pair.asker.hear(pair.now, index(2), late), []);
        assert_eq!(pair.meet(&mut x), []);
        assert_eq!(pair.asker.peers[&index(2)].processes.len(), 1, "it is nobody's answer");
    }

    #[test]
    fn questions_are_spaced_and_a_flood_of_them_is_not_answered() {
        let mut pair = Pair::new();
        let mut x = process(2, X);
        pair.meet(&mut x);
        let first = pair.now;
        pair.meet(&mut x);
        assert_eq!(pair.now, first.after(ASK_GAP));
        assert_eq!(pair.asker.wake_at(), Some(pair.now.after(ASK_EVERY)));
        assert!(pair.asker.ask(pair.now, Slot(5)).is_empty());
        let question = Question { asker: X, count: 0, last: Root::ZERO };
        let challenge = Message::Challenge(Challenge::new(Generation(0), Slot(5), &question));
        let mut answers = 0;
        for passed in 0..1_000 {
            answers += x.hear(first.after(Millis(10_000 + passed)), index(1), &challenge).len();
        }
        assert_eq!(answers, 2);
        pair.asker.presence(pair.now, index(2), false);
        assert_eq!(pair.asker.wake_at(), None, "who is not linked is not asked");
    }

    #[test]
    fn before_the_id_is_drawn_nothing_is_said() {
        let mut asker = Boots::new(index(1), Generation(0));
        asker.presence(Millis(0), index(2), true);
        assert_eq!((asker.wake_at(), asker.ask(Millis(9), Slot(0))), (None, vec![]));
        asker.born(X);
        asker.born(Y);
        assert_eq!(asker.boot, Some(X), "a process has one id");
        assert_eq!(asker.wake_at(), Some(Millis(0)));
    }
}
