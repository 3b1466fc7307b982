//! The house's order, as far as a machine can see it: floors, doors, words, sizes, papers.
//!
//! Each rule is a function from the tree's text to findings; a finding names file and line in one sentence. The rules
//! read text only and link nothing, so this runs in a blink. [`planted`] shows that every one of them can fail.

mod floors;
mod papers;
mod planted;
mod tree;
mod words;

use tree::{Finding, Tree};

fn must_be_clean(rule: fn(&Tree) -> Vec<Finding>) {
    let findings = rule(&Tree::of_workspace());
    let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

#[test]
fn every_crate_has_its_row_on_the_map_and_imports_what_the_row_allows() {
    must_be_clean(floors::imports);
}

#[test]
fn libraries_with_a_door_are_linked_there_only() {
    must_be_clean(floors::doors);
}

#[test]
fn core_links_next_to_nothing_and_the_coordinator_never_links_keys() {
    must_be_clean(floors::absences);
}

#[test]
fn there_is_one_dependency_table_with_a_reason_on_every_line() {
    must_be_clean(floors::one_table);
}

#[test]
fn nothing_is_left_open_in_the_code() {
    must_be_clean(words::left_open);
}

#[test]
fn tests_and_simulator_wait_for_events_and_not_by_the_clock() {
    must_be_clean(words::sleeps);
}

#[test]
fn pure_rooms_have_no_clock_no_chance_and_no_visible_hash_order() {
    must_be_clean(words::impurities);
}

#[test]
fn sled_is_imported_in_one_file() {
    must_be_clean(words::sled);
}

#[test]
fn files_have_one_caption_and_at_most_700_lines() {
    must_be_clean(words::lengths);
}

#[test]
fn core_crypto_and_ceremony_are_documented() {
    must_be_clean(words::documentation);
}

#[test]
fn no_file_names_a_path_of_the_machine_it_was_written_on() {
    must_be_clean(words::machine_paths);
}

#[test]
fn packages_name_no_registry() {
    must_be_clean(words::registries);
}

#[test]
fn the_map_is_short_and_every_decision_is_in_the_index() {
    must_be_clean(papers::sizes);
    must_be_clean(papers::decisions);
}

#[test]
fn links_between_papers_lead_somewhere() {
    must_be_clean(papers::links);
}
