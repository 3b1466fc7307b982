//! The network file of the handbook is one.

use types::{ChainSpec, Fork, ForkVersion};

#[test]
fn the_handbooks_network_file_is_read_as_it_says() {
    let page = include_str!("../../../docs/moving.md");
    let json = page.split("```json").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let spec = ChainSpec::from_config_json(json.as_bytes()).unwrap();
    assert_eq!(spec.genesis_fork_version, ForkVersion([0x10, 0, 0, 0x38]));
    assert_eq!(spec.forks.last().map(|row| row.fork), Some(Fork::Fulu));
    assert_eq!(spec.chain_id, 7_042_905_162);
}
