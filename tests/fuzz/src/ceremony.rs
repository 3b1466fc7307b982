//! The ceremony: frames of peers, records of an unfinished one, and evidence.
//!
//! One run of three operators, all honest, is made once. Operator 1 is the reader: it is brought back from its records
//! to each step of that run and hears what the input says. Node keys sign with hashes that everybody can make, so that a
//! target can put signatures right; operator 2 is a villain in the seeds. Nobody can make evidence against the
//! operators 1 and 3 of what they have said, whatever is cut and joined.

use dkg::ceremony::evidence::{BadItem, Conflict, Said, Shown};
use dkg::ceremony::wire::{Signed, Statement};
use dkg::ceremony::{
    CEREMONY_VERSION, Cause, Ceremony, CeremonyKey, CeremonyPeers, Document, Evidence, Fault, Frame, Input,
    LockSignature, Output, SealedLock, SealedValidator, Sealing, Setup, Step, Verdict, judge,
};
use keys::frost::{CeremonySeed, PrivateShare, round1_len};
use sha2::{Digest as _, Sha256};
use ssz::{Decode as _, Encode as _};
use std::collections::VecDeque;
use std::sync::LazyLock;
use types::wire::{Sign, Verify};
use types::{
    ClusterSize, Machine as _, Millis, NodeSignature, PublicKey, Root, ShareIndex, Signature, SigningRoot,
    ValidatorNo,
};
use zeroize::Zeroizing;

const OPERATORS: u8 = 3;
const ME: u8 = 1;
const VILLAIN: u8 = 2;
const HONEST: [u8; 2] = [ME, 3];
/// Pieces of one input: more than anybody says in a step.
const PIECES_MAX: usize = 6;
/// Where the author stands in a frame: behind version and ceremony.
const AUTHOR_AT: usize = 1 + Root::LEN;
/// Bytes of a frame before its content.
const HEADER_LEN: usize = 1 + Signed::LEN + 2;

fn index(number: u8) -> ShareIndex {
    ShareIndex::new(number).expect("1 to 3 are indices")
}

fn sha(parts: &[&[u8]]) -> [u8; 32] {
    parts.iter().fold(Sha256::new(), |hasher, part| hasher.chain_update(part)).finalize().into()
}

/// A node key that everybody has.
#[derive(Clone, Copy)]
struct OpenKey(ShareIndex);

fn signature_of(author: ShareIndex, digest: &[u8]) -> NodeSignature {
    let halves = [sha(&[b"r", &[author.get()], digest]), sha(&[b"s", &[author.get()], digest])];
    NodeSignature(halves.concat().try_into().expect("two halves of 32 bytes"))
}

impl Verify for OpenKey {
    fn verify(&self, author: ShareIndex, digest: &[u8; 32], signature: &NodeSignature) -> bool {
        signature_of(author, digest) == *signature
    }
}

impl Sign for OpenKey {
    fn author(&self) -> ShareIndex {
        self.0
    }
    fn sign(&self, digest: &[u8; 32]) -> NodeSignature {
        signature_of(self.0, digest)
    }
}

impl CeremonyKey for OpenKey {
    fn sign_lock(&self, lock_hash: &Root) -> LockSignature {
        let signature = signature_of(self.0, &lock_hash.0);
        [signature.0.as_slice(), &[1]].concat().try_into().expect("64 bytes and one")
    }
}

impl CeremonyPeers for OpenKey {
    fn verify_lock(&self, author: ShareIndex, lock_hash: &Root, signature: &LockSignature) -> bool {
        *signature == OpenKey(author).sign_lock(lock_hash)
    }
}

/// A definition that hashes everything plainly; its key signs two messages.
struct Plain;

impl Sealing for Plain {
    fn messages(&self) -> usize {
        2
    }
    fn signing_roots(&self, validator: ValidatorNo, group: &PublicKey) -> Vec<SigningRoot> {
        let object = |message: u8| Root(sha(&[&validator.0.to_be_bytes(), &group.0, &[message]]));
        [0, 1].map(|message| SigningRoot::compute(object(message), Root([3; 32]))).to_vec()
    }
    fn lock_hash(&self, validators: &[SealedValidator]) -> Root {
        Root(sha(&[format!("{validators:?}").as_bytes()]))
    }
    fn documents(&self, lock: &SealedLock) -> Vec<Document> {
        vec![Document { name: "lock.json".into(), bytes: format!("{lock:?}").into_bytes() }]
    }
}

fn setup(me: ShareIndex) -> Setup {
    let size = ClusterSize::new(usize::from(OPERATORS), 2).expect("2 of 3");
    let definition_hash = Root([0xde; 32]);
    Setup { definition_hash, attempt: 0, size, me, validators: 1, deadline: Millis(60_000) }
}

type Machine = Ceremony<OpenKey, Plain>;

/// What the honest run left: the reader's records, and every frame that was sent to the reader.
struct Run {
    records: Vec<Frame>,
    frames: Vec<Frame>,
}

static RUN: LazyLock<Run> = LazyLock::new(run);

fn run() -> Run {
    let begin = |number: u8| {
        let seed = CeremonySeed::new(Zeroizing::new([number ^ 0xa5; 32]));
        Ceremony::begin(setup(index(number)), seed, OpenKey(index(number)), Plain).expect("a good setup")
    };
    let mut machines: Vec<Machine> = (1..=OPERATORS).map(begin).collect();
    let mut run = Run { records: Vec::new(), frames: Vec::new() };
    let mut inputs = VecDeque::new();
    for to in 1..=OPERATORS {
        let others = (1..=OPERATORS).filter(|from| *from != to);
        inputs.extend(others.map(|from| (to, Input::PeerUp(index(from)))));
    }
    loop {
        for (number, machine) in (1..).zip(&mut machines) {
            while let Some(output) = machine.poll() {
                match output {
                    Output::Send { to, frame } => {
                        if to.get() == ME {
                            run.frames.push(frame.clone());
                        }
                        inputs.push_back((to.get(), Input::Message { from: index(number), frame }));
                    }
                    Output::Persist { durable, record } => {
                        if number == ME {
                            run.records.push(record);
                        }
                        inputs.push_back((number, Input::Stored(durable)));
                    }
                    Output::Files(_) => {
                        inputs.push_back((number, Input::Stored(dkg::ceremony::Durable::Files)));
                    }
                    Output::Progress { .. } | Output::Finished { .. } => {}
                    Output::Rejected { .. } | Output::Abort { .. } => panic!("an honest run: {output:?}"),
                }
            }
        }
        let Some((to, input)) = inputs.pop_front() else { return run };
        machines[usize::from(to) - 1].handle(Millis(1), input);
    }
}

/// The reader, from its records.
fn reader(records: &[impl AsRef<[u8]>]) -> Option<Machine> {
    let me = index(ME);
    let mut machine = Ceremony::resume(setup(me), OpenKey(me), Plain, records).ok()?;
    for peer in 2..=OPERATORS {
        machine.handle(Millis(1), Input::PeerUp(index(peer)));
    }
    Some(machine)
}

/// The reader before the step of this number.
fn reader_at(step: u8) -> Machine {
    let count = usize::from(step) % RUN.records.len() + 1;
    let records: Vec<&[u8]> = RUN.records[..count].iter().map(|record| record.0.as_slice()).collect();
    reader(&records).expect("records of the run itself")
}

/// Pieces behind lengths of two bytes, little-endian.
fn pieces(mut left: &[u8]) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    while let Some((len, rest)) = left.split_first_chunk().filter(|_| pieces.len() < PIECES_MAX) {
        let (piece, rest) = rest.split_at(usize::from(u16::from_le_bytes(*len)).min(rest.len()));
        pieces.push(piece.to_vec());
        left = rest;
    }
    pieces
}

fn joined(step: u8, pieces: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut bytes = vec![step];
    for piece in pieces.iter().map(AsRef::as_ref) {
        bytes.extend(u16::try_from(piece.len()).expect("a piece is short").to_le_bytes());
        bytes.extend(piece);
    }
    bytes
}

/// Once as the frames are; once with the statements of all of them put right, so that their contents are read.
pub(crate) fn ceremony_frame(input: &[u8]) -> bool {
    let Some((step, frames)) = input.split_first() else { return false };
    let frames = pieces(frames);
    // What nobody can take for a frame is refused alike in every step, and the first is the cheapest to come to.
    let step = if frames.iter().any(|frame| signed_of(frame).is_some()) { step } else { &0 };
    let named = tell(*step, &frames);
    assert!(!named.iter().any(|culprit| HONEST.contains(culprit)), "an honest operator is named: {named:?}");
    let named = tell(*step, &frames.iter().map(|frame| put_right(frame)).collect::<Vec<_>>());
    assert!(!named.contains(&ME), "operators name themselves");
    !frames.is_empty()
}

/// Tells the reader frames; whom it names. All that it shows for it holds for whoever was not there, or takes more.
fn tell(step: u8, frames: &[Vec<u8>]) -> Vec<u8> {
    let mut machine = reader_at(step);
    let mut named = heard(&mut machine);
    for frame in frames {
        let from = frame.get(AUTHOR_AT).copied().filter(|from| (2..=OPERATORS).contains(from));
        let from = index(from.unwrap_or(VILLAIN));
        machine.handle(Millis(2), Input::Message { from, frame: frame.clone().into() });
        named.extend(heard(&mut machine));
    }
    machine.handle(Millis(60_000), Input::Tick);
    named.extend(heard(&mut machine));
    named
}

/// Grants every wish; gives whom the machine names.
fn heard(machine: &mut Machine) -> Vec<u8> {
    let mut named = Vec::new();
    while let Some(output) = machine.poll() {
        match output {
            Output::Persist { durable, .. } => machine.handle(Millis(2), Input::Stored(durable)),
            Output::Files(_) => {
                machine.handle(Millis(2), Input::Stored(dkg::ceremony::Durable::Files));
            }
            Output::Abort { cause: Cause::Faults(faults), .. } => {
                assert!(!faults.is_empty(), "an end by faults has one");
                faults.iter().for_each(shown);
                named.extend(faults.iter().map(|fault| fault.culprit.get()));
            }
            Output::Abort { .. }
            | Output::Send { .. }
            | Output::Progress { .. }
            | Output::Rejected { .. }
            | Output::Finished { .. } => {}
        }
    }
    named
}

/// What an operator is named for is judged alike by a stranger, or is more than a stranger can know.
fn shown(Fault { culprit, evidence }: &Fault) {
    let read = Evidence::from_ssz_bytes(&evidence.as_ssz_bytes()).expect("what was written is read");
    assert_eq!(read, *evidence);
    let found = judge(&setup(index(3)), &OpenKey(index(3)), &Plain, evidence).expect("a good setup");
    assert!(
        matches!(found, Verdict::Unknown | Verdict::Guilty(_)),
        "{evidence} against {culprit}: {found:?}"
    );
    assert!(found == Verdict::Unknown || found == Verdict::Guilty(*culprit), "{found:?} for {culprit}");
}

/// Bytes of an item of a step.
fn item_len(step: Step, content: &[u8]) -> usize {
    match step {
        Step::Gather => Root::LEN + size_of::<u32>(),
        Step::Round1 => round1_len(setup(index(ME)).size),
        Step::Echo => Root::LEN + NodeSignature::LEN,
        Step::Round2 => PrivateShare::LEN,
        Step::Seal => Signature::LEN,
        Step::Lock => Root::LEN + Signature::LEN + size_of::<LockSignature>(),
        Step::Done | Step::Farewell => Root::LEN,
        Step::Complaint => content.len(),
    }
}

/// A list's root, and of its items' proofs the one at `at`: written a second time, from the text of the ceremony.
fn root_of(content: &[u8], item_len: usize, mut at: usize) -> (Root, Vec<Root>) {
    let mut level: Vec<_> = content.chunks(item_len.max(1)).map(|item| Root(sha(&[&[0], item]))).collect();
    let mut proof = Vec::new();
    while level.len() > 1 {
        proof.extend(level.get(at ^ 1));
        at /= 2;
        let above = level.chunks(2).map(|pair| match pair {
            [left, right] => Root(sha(&[&[1], &left.0, &right.0])),
            _ => pair[0],
        });
        level = above.collect();
    }
    (level.first().copied().unwrap_or_default(), proof)
}

/// What an operator says.
fn said(author: u8, step: Step, to: u8, content: Vec<u8>) -> Said {
    let author = index(author);
    let (root, _) = root_of(&content, item_len(step, &content), 0);
    let ceremony = setup(author).ceremony_id();
    let length = u32::try_from(content.len()).expect("contents are short");
    let statement = Statement { ceremony, author, step, to, length, root };
    Said { signed: resigned(Signed { statement, signature: NodeSignature([0; 64]) }), content }
}

fn resigned(signed: Signed) -> Signed {
    Signed { signature: signature_of(signed.statement.author, &signed.statement.digest()), ..signed }
}

fn frame_of(said: &Said) -> Vec<u8> {
    [&[CEREMONY_VERSION], said.signed.as_ssz_bytes().as_slice(), &[0, 0], &said.content].concat()
}

/// A frame's statement, if the frame is of this version and long enough for one.
fn signed_of(frame: &[u8]) -> Option<Signed> {
    let (version, rest) = frame.split_first()?;
    let statement = rest.get(..Signed::LEN).filter(|_| *version == CEREMONY_VERSION)?;
    Signed::from_ssz_bytes(statement).ok()
}

/// The same frame as its author would have sent it; what is too short or names nobody stays as it is.
fn put_right(frame: &[u8]) -> Vec<u8> {
    let ours = |signed: &Signed| (1..=OPERATORS).contains(&signed.statement.author.get());
    match (signed_of(frame).filter(ours), frame.get(HEADER_LEN..)) {
        (Some(Signed { statement, .. }), Some(content)) => {
            let to = if statement.step == Step::Round2 { ME } else { 0 };
            frame_of(&said(statement.author.get(), statement.step, to, content.to_vec()))
        }
        _ => frame.to_vec(),
    }
}

/// What a node finds on its disk when it starts again.
pub(crate) fn ceremony_record(input: &[u8]) -> bool {
    let Some((_, records)) = input.split_first() else { return false };
    let records = pieces(records);
    let Some(mut machine) = reader(&records) else { return false };
    let words = |machine: &mut Machine| {
        let outputs: Vec<_> = std::iter::from_fn(|| machine.poll()).collect();
        let frames = outputs.iter().filter_map(|output| match output {
            Output::Send { to, frame } => Some((*to, frame.clone())),
            _ => None,
        });
        frames.collect::<Vec<_>>()
    };
    let mut again = reader(&records).expect("the same records");
    assert!(words(&mut machine) == words(&mut again), "a node that comes back says the same again");
    machine.handle(Millis(60_000), Input::Tick);
    let named = heard(&mut machine);
    assert!(!named.contains(&ME), "operators name themselves");
    true
}

/// A proof of a fault, once as it is and once with every statement in it signed.
pub(crate) fn evidence(input: &[u8]) -> bool {
    let Ok(evidence) = Evidence::from_ssz_bytes(input) else { return false };
    let again = Evidence::from_ssz_bytes(&evidence.as_ssz_bytes()).expect("what was written is read");
    assert_eq!(again, evidence);
    let judge = |evidence: &Evidence| {
        judge(&setup(index(3)), &OpenKey(index(3)), &Plain, evidence).expect("a good setup")
    };
    if let Verdict::Guilty(culprit) = judge(&evidence) {
        assert!(!HONEST.contains(&culprit.get()), "{evidence} against an honest operator");
    }
    if let Verdict::Guilty(culprit) = judge(&all_signed(evidence)) {
        assert!(culprit.get() <= OPERATORS, "{culprit} is nobody here");
    }
    true
}

fn all_signed(evidence: Evidence) -> Evidence {
    let shown = |shown: Shown| Shown { signed: resigned(shown.signed), ..shown };
    let said = |said: Said| Said { signed: resigned(said.signed), ..said };
    match evidence {
        Evidence::Conflict(Conflict { first, second }) => {
            Evidence::Conflict(Conflict { first: resigned(first), second: resigned(second) })
        }
        Evidence::Length(signed) => Evidence::Length(resigned(signed)),
        Evidence::Item(BadItem { shown: item, round1, echo }) => Evidence::Item(BadItem {
            shown: shown(item),
            round1: round1.into_iter().map(shown).collect(),
            echo: echo.into_iter().map(said).collect(),
        }),
        Evidence::FalseAccusation(accusation) => Evidence::FalseAccusation(said(accusation)),
    }
}

/// The frames that the reader heard, in the step of each; then the villain's.
pub(crate) fn ceremony_frames() -> Vec<Vec<u8>> {
    const STEPS: [Step; 9] = [
        Step::Gather,
        Step::Round1,
        Step::Echo,
        Step::Round2,
        Step::Seal,
        Step::Lock,
        Step::Done,
        Step::Farewell,
        Step::Complaint,
    ];
    let step_of = |frame: &Frame| {
        let signed = Signed::from_ssz_bytes(&frame.0[1..][..Signed::LEN]).expect("a frame of the run");
        signed.statement.step
    };
    let heard = |step| -> Vec<Vec<u8>> {
        let frames = RUN.frames.iter().filter(|frame| step_of(frame) == step);
        frames.map(|frame| frame.0.to_vec()).collect()
    };
    let mut inputs = Vec::new();
    for (number, step) in (0_u8..).zip(STEPS) {
        // What belongs to step k is heard by a reader with k records, the seed's included; round 1 after the greetings.
        let before = number.saturating_sub(1);
        let greetings = if step == Step::Round1 { heard(Step::Gather) } else { Vec::new() };
        let words = heard(step);
        if !words.is_empty() {
            inputs.push(joined(before, &[greetings.clone(), words].concat()));
        }
        let to = if step == Step::Round2 { ME } else { 0 };
        let lies = [vec![number; 32], vec![number; item_len(step, &[0; 64])]];
        inputs.extend(lies.map(|content| {
            let lie = frame_of(&said(VILLAIN, step, to, content));
            joined(before, &[greetings.clone(), vec![lie]].concat())
        }));
    }
    let accusation = said(VILLAIN, Step::Complaint, 0, vec![conflict()].as_ssz_bytes());
    inputs.push(joined(2, &[frame_of(&accusation)]));
    inputs
}

/// All records of the run, the first ones, and one alone.
pub(crate) fn ceremony_records() -> Vec<Vec<u8>> {
    let records: Vec<Vec<u8>> = RUN.records.iter().map(|record| record.0.to_vec()).collect();
    (1..=records.len().min(PIECES_MAX)).map(|count| joined(0, &records[..count])).collect()
}

/// The villain's two words for round 1.
fn conflict() -> Evidence {
    let word = |byte| said(VILLAIN, Step::Round1, 0, vec![byte; round1_len(setup(index(ME)).size)]).signed;
    Evidence::Conflict(Conflict { first: word(1), second: word(2) })
}

fn shown_of(said: &Said, at: usize) -> Shown {
    let len = item_len(said.signed.statement.step, &said.content);
    let (_, proof) = root_of(&said.content, len, at);
    let item = said.content[at * len..][..len].to_vec();
    Shown { signed: said.signed, index: u32::try_from(at).expect("few items"), item, proof }
}

/// A fault of each kind, and accusations of what is none.
pub(crate) fn evidences() -> Vec<Vec<u8>> {
    let length = said(VILLAIN, Step::Done, 0, vec![7; 33]).signed;
    let bad = |step, to, content: Vec<u8>, at, round1| {
        let shown = shown_of(&said(VILLAIN, step, to, content), at);
        Evidence::Item(BadItem { shown, round1, echo: Vec::new() })
    };
    let dealt = RUN.frames.iter().find_map(|frame| {
        let signed = Signed::from_ssz_bytes(&frame.0[1..][..Signed::LEN]).expect("a frame of the run");
        let of = (signed.statement.author.get(), signed.statement.step);
        let content = frame.0[HEADER_LEN..].to_vec();
        (of == (VILLAIN, Step::Round1)).then_some(Said { signed, content })
    });
    let dealt = dealt.expect("operator 2 has said its round 1");
    let no_fault = Evidence::Conflict(Conflict { first: dealt.signed, second: dealt.signed });
    let false_one = said(VILLAIN, Step::Complaint, 0, vec![no_fault.clone()].as_ssz_bytes());
    [
        conflict(),
        Evidence::Length(length),
        bad(Step::Round2, ME, vec![1; 32], 0, vec![shown_of(&dealt, 0)]),
        bad(Step::Round1, 0, vec![9; round1_len(setup(index(ME)).size)], 0, Vec::new()),
        bad(Step::Echo, 0, vec![5; 3 * (Root::LEN + NodeSignature::LEN)], 1, Vec::new()),
        bad(Step::Gather, 0, vec![5; 36], 0, Vec::new()),
        no_fault,
        Evidence::FalseAccusation(false_one),
    ]
    .iter()
    .map(|evidence| evidence.as_ssz_bytes())
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_villain_of_the_seeds_is_found_and_what_is_no_fault_is_not() {
        let judge = |bytes: &Vec<u8>| {
            let evidence = Evidence::from_ssz_bytes(bytes).unwrap();
            judge(&setup(index(3)), &OpenKey(index(3)), &Plain, &evidence).unwrap()
        };
        let found: Vec<_> = evidences().iter().map(judge).collect();
        let guilty = Verdict::Guilty(index(VILLAIN));
        let not = Verdict::NotGuilty;
        assert_eq!(found, [guilty, guilty, guilty, guilty, guilty, guilty, not, guilty]);
    }

    #[test]
    fn the_run_has_a_record_of_every_step_and_its_frames_are_as_good_when_put_right() {
        assert_eq!(RUN.records.len(), 7, "the seed and six steps");
        for frame in &RUN.frames {
            assert_eq!(put_right(&frame.0), frame.0.to_vec());
        }
    }

    #[test]
    fn frames_of_the_villain_name_it() {
        let named: Vec<_> =
            ceremony_frames().iter().flat_map(|input| tell(input[0], &pieces(&input[1..]))).collect();
        assert!(named.len() > 3 && named.iter().all(|culprit| *culprit == VILLAIN), "{named:?}");
    }
}
