//! A node comes back with an older journal than it signed by: four nodes, of which one is restored from a backup.
//!
//! Two validators vote once each in an epoch; then a new branch moves the first one's duty behind the second one's slot. The
//! restored node has no row for the first one's vote, and the others have.

use super::*;

/// The first validator's vote is signed by all. The branch changes; the last operator's node is ended and comes back with
/// this disk, and then the slot comes in which both validators are due.
fn come_back(cluster: &mut Cluster, disk: impl FnOnce(&Operator) -> BTreeMap<PublicKey, History>) {
    cluster.decide(slot(1));
    (1..=4).for_each(|number| assert_eq!(cluster.attest(number, slot(1), &[0]), Some(Answer::Accepted)));
    assert!(cluster.signed(RESTORED, 0, slot(1)));
    let disk = disk(&cluster.operators[&RESTORED]);
    cluster.duties = vec![due(0, slot(5)), due(1, slot(5))];
    cluster.restore(RESTORED, disk);
    cluster.now = spec().slot_start(slot(2));
    cluster.start(RESTORED);
}

fn empty(_: &Operator) -> BTreeMap<PublicKey, History> {
    BTreeMap::new()
}

/// A statement of the restored operator, as another one would show it.
fn statement(slot: Slot, kind: Kind, author: usize) -> Signed {
    let instance = Instance::new(Generation(0), slot, kind);
    let hash = Root([3; 32]);
    let statement = Statement { instance, step: Step::Partial, round: 0, hash, extra: Root::ZERO };
    wire::sign(statement, &CLUSTER, &Key(index(author)))
}

fn imported(key: PublicKey, source: u64, target: u64) -> Row {
    let promise = Promise::Attestation { source: Epoch(source), target: Epoch(target) };
    Row { key, slot: spec().epoch_start(Epoch(target)), promise, root: None }
}

#[test]
fn without_what_others_hold_a_restored_node_signs_a_second_vote_for_one_target() {
    // It is lost on the way, or the restored node takes no notice of it.
    for (deaf, rules) in [(true, Rules::default()), (false, Rules::without(Mutant::HeldIgnored))] {
        let mut cluster = Cluster::new();
        (cluster.deaf, cluster.rules) = (deaf, rules);
        come_back(&mut cluster, empty);
        cluster.decide(slot(5));
        assert_eq!(cluster.attest(RESTORED, slot(5), &[0, 1]), Some(Answer::Accepted));
        assert!(cluster.signed(RESTORED, 0, slot(1)) && cluster.signed(RESTORED, 0, slot(5)));
        assert_eq!(cluster.alarms(RESTORED), []);
    }
}

#[test]
fn shown_what_it_signed_a_restored_node_signs_nothing_more_for_that_target_and_alarms_once() {
    let mut cluster = Cluster::new();
    come_back(&mut cluster, empty);
    // Three have shown the same; the first of them was enough.
    assert_eq!(cluster.alarms(RESTORED), [slot(3)]);
    cluster.decide(slot(5));
    let Some(Answer::PartlyRefused(refused)) = cluster.attest(RESTORED, slot(5), &[0, 1]) else { panic!() };
    // What could be slashed for everybody due is not even agreed to here.
    let nothing = |number| (number, Refusal::NothingAgreed(slot(5)));
    assert_eq!(refused, [nothing(0), nothing(1)]);
    assert!(!cluster.signed(RESTORED, 0, slot(5)) && !cluster.signed(RESTORED, 1, slot(5)));
    (1..=3).for_each(|number| drop(cluster.attest(number, slot(5), &[1])));
    assert!((1..=3).all(|number| cluster.signed(number, 1, slot(5))), "the others go on without it");
}

#[test]
fn what_was_shown_is_on_the_disk_and_outlives_the_next_restart_among_strangers_to_it() {
    let mut cluster = Cluster::new();
    come_back(&mut cluster, empty);
    let disk = cluster.operators[&RESTORED].disk.clone();
    for key in KEYS {
        let History { block, attestation } = disk[&key];
        assert_eq!((block.unwrap().slot, block.unwrap().root), (slot(3), None));
        let last = attestation.unwrap();
        assert_eq!((last.source_max, last.target_max, last.root), (Epoch(EPOCH - 1), Epoch(EPOCH), None));
    }
    cluster.deaf = true;
    cluster.restore(RESTORED, disk);
    cluster.start(RESTORED);
    cluster.decide(slot(5));
    assert!(matches!(cluster.attest(RESTORED, slot(5), &[0, 1]), Some(Answer::PartlyRefused(_))));
    assert!(!cluster.signed(RESTORED, 0, slot(5)));
}

#[test]
fn a_node_with_its_whole_journal_is_shown_the_same_and_goes_on() {
    let mut cluster = Cluster::new();
    come_back(&mut cluster, |operator| operator.disk.clone());
    assert_eq!(cluster.alarms(RESTORED), []);
    cluster.decide(slot(5));
    let answer = cluster.attest(RESTORED, slot(5), &[0, 1]);
    assert!(matches!(&answer, Some(Answer::PartlyRefused(refused)) if refused.len() == 1), "{answer:?}");
    assert!(!cluster.signed(RESTORED, 0, slot(5)), "its row forbids it");
    assert!(cluster.signed(RESTORED, 1, slot(5)));
}

#[test]
fn in_the_next_epoch_a_restored_node_signs_again() {
    let mut cluster = Cluster::new();
    come_back(&mut cluster, empty);
    let disk = &cluster.operators[&RESTORED].disk;
    let mut journal = Journal::new(KEYS.to_vec(), KEYS.map(|key| disk[&key]).to_vec());
    for (source, target, passes) in
        [(EPOCH - 1, EPOCH, false), (EPOCH - 2, EPOCH + 1, false), (EPOCH, EPOCH + 1, true)]
    {
        let promise = Promise::Attestation { source: Epoch(source), target: Epoch(target) };
        let slot = spec().epoch_start(Epoch(target));
        let root = SigningRoot::recorded(Root([8; 32]));
        let candidate = symbolon_core::journal::Candidate { validator: ValidatorNo(0), slot, promise, root };
        assert_eq!(
            journal.promise(Ticket(1), &[candidate]).rows.len(),
            usize::from(passes),
            "{source}..{target}"
        );
    }
}

#[test]
fn what_was_promised_before_it_came_out_is_not_signed_any_more() {
    for slow in [false, true] {
        let mut cluster = Cluster::new();
        cluster.deaf = true;
        come_back(&mut cluster, empty);
        if slow {
            cluster.operators.get_mut(&RESTORED).unwrap().slow = Some(VecDeque::new());
        }
        cluster.decide(slot(5));
        cluster.deaf = false;
        let proof = Message::Held(statement(slot(1), Kind::Attest, RESTORED));
        let shown = wire::seal(proof, &CLUSTER, &Key(index(2)));
        assert!(cluster.operators[&RESTORED].node.as_ref().unwrap().wants(shown.message()));
        cluster.input(RESTORED, Input::Peer(shown));
        assert_eq!(cluster.alarms(RESTORED), [slot(6)], "everything that has begun");
        for (ticket, _) in cluster.operators.get_mut(&RESTORED).unwrap().slow.take().into_iter().flatten() {
            cluster.input(RESTORED, Input::Journaled { ticket, durable: true });
        }
        let until = slot(6);
        let refusal = Refusal::RolledBack { until };
        assert_eq!(
            cluster.ask(RESTORED, Ask::Vote { slot: slot(5) }),
            Some(Answer::Refused(refusal.clone()))
        );
        let refused = vec![(0, refusal.clone()), (1, refusal)];
        assert_eq!(cluster.attest(RESTORED, slot(5), &[0, 1]), Some(Answer::PartlyRefused(refused)));
        assert!(!cluster.signed(RESTORED, 0, slot(5)) && !cluster.signed(RESTORED, 1, slot(5)));
    }
}

#[test]
fn a_process_that_slept_in_a_snapshot_is_shown_what_came_after_it() {
    let mut cluster = Cluster::new();
    cluster.decide(slot(1));
    // It never restarted: its memory and its disk are of one time, and its own clock is as late.
    let proof = Message::Held(statement(slot(4), Kind::Attest, RESTORED));
    cluster.input(RESTORED, Input::Peer(wire::seal(proof, &CLUSTER, &Key(index(2)))));
    assert_eq!(cluster.alarms(RESTORED), [slot(4)]);
}

#[test]
fn no_peer_can_make_a_journal_rise_by_what_its_node_did_not_sign_or_by_old_words_twice() {
    let mut cluster = Cluster::new();
    come_back(&mut cluster, |operator| operator.disk.clone());
    let node = cluster.operators[&RESTORED].node.as_ref().unwrap();
    let wants = |signed| node.wants(&Message::Held(signed));
    assert!(!wants(statement(slot(3), Kind::Attest, 2)), "another operator's");
    assert!(!wants(statement(slot(1), Kind::Attest, RESTORED)), "there is a row");
    assert!(!wants(statement(Slot(0), Kind::Attest, RESTORED)));
    assert!(
        wants(statement(slot(2), Kind::Attest, RESTORED))
            && wants(statement(Slot(1), Kind::Propose, RESTORED))
    );
    let mut forged = statement(slot(3), Kind::Attest, RESTORED);
    forged.signature.0[0] ^= 1;
    let size = ClusterSize::new_safe(4, 3).unwrap();
    let at_the_door = wire::verify(Message::Held(forged), index(2), size, &CLUSTER, &Key(index(RESTORED)));
    assert_eq!(at_the_door, Err(wire::FrameError::Signature(index(RESTORED))));
    // One that has risen covers whatever is older, today and in later epochs.
    let mut cluster = Cluster::new();
    come_back(&mut cluster, empty);
    cluster.now = spec().slot_start(slot(40));
    for shown in [slot(1), slot(3), Slot(7)] {
        for kind in [Kind::Attest, Kind::Propose] {
            let proof = Message::Held(statement(shown, kind, RESTORED));
            cluster.input(RESTORED, Input::Peer(wire::seal(proof, &CLUSTER, &Key(index(2)))));
        }
    }
    assert_eq!(cluster.alarms(RESTORED), [slot(3)]);
}

#[test]
fn a_journal_that_only_imports_fill_rises_once_if_they_are_older_and_never_if_they_are_not() {
    for (target, rises) in [(EPOCH - 1, true), (EPOCH, false)] {
        let mut cluster = Cluster::new();
        let file: BTreeMap<_, _> = KEYS
            .into_iter()
            .map(|key| {
                let mut history = History::default();
                history.append(&imported(key, target - 1, target));
                (key, history)
            })
            .collect();
        come_back(&mut cluster, |_| file);
        assert_eq!(cluster.alarms(RESTORED).len(), usize::from(rises), "{target}");
    }
}

#[test]
fn one_statement_of_each_kind_is_kept_and_the_newest_is_shown_first_of_all() {
    let mut cluster = Cluster::new();
    come_back(&mut cluster, |operator| operator.disk.clone());
    cluster.decide(slot(5));
    cluster.attest(RESTORED, slot(5), &[1]);
    let node = cluster.operators.get_mut(&1).unwrap().node.as_mut().unwrap();
    for up in [false, true] {
        node.handle(cluster.now, Input::Presence { peer: index(RESTORED), up });
    }
    let mut sent = Vec::new();
    while let Some(output) = node.poll() {
        if let Output::Send { to: To::One(peer), message } = output {
            sent.push((peer, message));
        }
    }
    let shown = |(_, message): &&(ShareIndex, Message)| matches!(message, Message::Held(_));
    assert_eq!(sent.iter().filter(shown).count(), 1);
    let (peer, first) = &sent[0];
    let Message::Held(signed) = first else { panic!("{first:?}") };
    assert_eq!(
        (*peer, signed.author, signed.statement.instance.slot),
        (index(RESTORED), index(RESTORED), slot(5))
    );
}
