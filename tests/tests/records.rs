//! A recorded slot becomes a scenario: what `dvt-node replay --slot` prints is the setting of a world in the jar.

#[allow(dead_code, reason = "shared with the test that draws every kind of input")]
#[path = "../../dvt-node/tests/record/inputs.rs"]
mod inputs;

use dvt_node::record::Entry;
use dvt_node::record::coded::Coded as _;
use dvt_node::record::file::RECORD_VERSION;
use dvt_node::record::replay::replay;
use inputs::{Cluster, Draw};
use sha2::{Digest as _, Sha256};
use sim::scenario::{RULE, Scenario};
use symbolon_core::Input;
use types::{Machine as _, Root, Slot};

/// A file of these entries, by the text at the head of `dvt_node::record::file` and not by its code.
fn file(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut file = [b"symbrec".as_slice(), &[RECORD_VERSION]].concat();
    let mut check = Sha256::digest(&file);
    for body in entries {
        check = Sha256::new().chain_update(check).chain_update(body).finalize();
        let len = u32::try_from(body.len()).unwrap();
        file.extend([&len.to_le_bytes(), body.as_slice(), &check[..8]].concat());
    }
    file
}

#[test]
fn a_recorded_slot_is_the_setting_of_a_world_in_the_jar() {
    let Cluster { mut start, .. } = Cluster::draw(&mut Draw(3));
    let slot = Slot(9_000_123);
    let at = start.setup.spec.slot_start(slot);
    start.setup.started = at;
    let mut entries = vec![Vec::new(); 2];
    start.put(&mut entries[0]);
    let head = || Input::Head { slot, root: Root([7; 32]), dependent: None };
    Entry::Input { at, input: head() }.put(&mut entries[1]);
    let replayed = replay(&file(&entries)[..], Some(slot)).unwrap();
    assert!(replayed.is_equal() && replayed.end.is_none());
    let story = replayed.story.unwrap();
    let line = format!("\n     0 ms  #{}  attest@9000123: sees the head 07070707\n", start.setup.me);
    assert!(story.ends_with(&line), "{story}");

    let scenario: Scenario = story.parse().unwrap();
    let judged = "judges: nothing slashable, nothing against a journal, nothing missed\n";
    assert!(scenario.transcript().ends_with(judged));
    let (setting, _) = story.split_once(&format!("{RULE}\n")).unwrap();
    let worse = setting.replace("validators 3", "validators none");
    assert!(worse.parse::<Scenario>().is_err(), "the control");
}

#[test]
fn a_slot_of_which_nothing_was_heard_has_an_empty_story() {
    let Cluster { start, .. } = Cluster::draw(&mut Draw(4));
    assert!(start.node().poll().is_none());
    let mut entry = Vec::new();
    start.put(&mut entry);
    let story = replay(&file(&[entry])[..], Some(Slot(5))).unwrap().story.unwrap();
    assert!(story.contains("has seen it: nothing.\n") && story.ends_with("----\n"), "{story}");
}
