//! Every text in `scenarios/` is a world and its transcript: they must agree to the letter.
//!
//! `UPDATE_SCENARIOS=1 cargo test -p tests --test scenarios` writes the transcripts anew; do that on purpose only.

use sim::scenario::{RULE, Scenario};
use std::path::Path;

#[test]
fn every_scenario_goes_as_its_transcript_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let scenario: Scenario = text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (setting, transcript) = text.split_once(&format!("{RULE}\n")).unwrap();
        let actual = scenario.transcript();
        if std::env::var_os("UPDATE_SCENARIOS").is_some() {
            std::fs::write(&path, format!("{setting}{RULE}\n{actual}")).unwrap();
        } else {
            assert_eq!(transcript, actual, "{}", path.display());
        }
        seen += 1;
    }
    assert!(seen >= 5, "{seen} scenarios in {}", folder.display());
}
