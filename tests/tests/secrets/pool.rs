//! Four operators: their folders, keys, seeds and addresses; and what they would type.

use crate::known::{OfValidator, of_validator, seed};
use crate::process::Process;
use crate::tap::Tap;
use cluster::network::Networks;
use cluster::{Definition, folder};
use dkg::ceremony::{CEREMONY_VERSION, ReadyDefinition, Setup};
use dkg::define::{DefineConfig, define};
use dkg::state::State;
use keys::identity::{KEY_FILE, NodeKey, NodeKeys, Operator};
use rand_core::OsRng;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use types::{Millis, ShareIndex, ValidatorNo};

pub(crate) const OPERATORS: usize = 4;
pub(crate) const VALIDATORS: usize = 2;
/// A port that nobody serves: the node starts without its beacon node.
const NO_BEACON_NODE: &str = "http://127.0.0.1:9";

pub(crate) struct Pool {
    /// Everything lies below.
    pub(crate) root: tempfile::TempDir,
    /// By operator: the data folder.
    pub(crate) dirs: Vec<PathBuf>,
    /// By operator: where the validator client's host keeps what it was given.
    pub(crate) client_dirs: Vec<PathBuf>,
    /// By operator: the wire to it.
    pub(crate) taps: Vec<Tap>,
    pub(crate) ready: ReadyDefinition,
    behind: Vec<SocketAddr>,
    enrs: Vec<String>,
    definition: PathBuf,
}

impl Pool {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let at =
            |name: &str| (1..=OPERATORS).map(|number| root.path().join(format!("{name}{number}"))).collect();
        let (dirs, client_dirs): (Vec<PathBuf>, Vec<PathBuf>) = (at("operator"), at("client"));
        let enrs: Vec<_> = dirs.iter().map(make_operator).collect();
        client_dirs.iter().for_each(|dir| std::fs::create_dir(dir).unwrap());
        let behind = free_addresses(OPERATORS);
        let taps = behind.iter().map(|address| Tap::before(*address)).collect();
        let definition = root.path().join("definition.json");
        let ready = make_definition(enrs.clone(), definition.clone());
        Self { root, dirs, client_dirs, taps, ready, behind, enrs, definition }
    }

    pub(crate) fn setup(&self, me: ShareIndex) -> Setup {
        self.ready.setup(me, 0, Millis(u64::MAX))
    }

    pub(crate) fn operator(&self, me: ShareIndex) -> Operator {
        let key = NodeKey::load(&self.dirs[me.position()].join(KEY_FILE)).unwrap();
        Operator::new(key, me, NodeKeys::new(&self.ready.node_keys()).unwrap()).unwrap()
    }

    pub(crate) fn operators(&self) -> Vec<ShareIndex> {
        self.setup(ShareIndex::new(1).unwrap()).size.indices().collect()
    }

    /// What the ceremony will make.
    pub(crate) fn secrets(&self) -> Vec<OfValidator> {
        let setup = self.setup(ShareIndex::new(1).unwrap());
        (0..VALIDATORS as u32).map(|number| of_validator(&setup, ValidatorNo(number))).collect()
    }

    /// Leaves the folder of a ceremony that was begun with the known seed and stopped right after.
    pub(crate) fn plant_seed(&self, me: ShareIndex) {
        let id = self.setup(me).ceremony_id();
        let path = self.dirs[me.position()].join(folder::ceremony(id));
        let record = [&[CEREMONY_VERSION, 0][..], &id.0, seed(me).expose()].concat();
        State::open(path).unwrap().0.append(&record).unwrap();
    }

    pub(crate) fn start_ceremony(&self, me: ShareIndex) -> Process {
        let mut arguments = vec!["run".to_owned()];
        arguments.push(format!("--definition={}", self.definition.display()));
        arguments.push("--deadline=150".to_owned());
        self.start(me, "dvt-dkg", arguments)
    }

    pub(crate) fn start_node(&self, me: ShareIndex) -> Process {
        let mut arguments = vec!["run".to_owned(), format!("--beacon-node={NO_BEACON_NODE}")];
        arguments.push("--validator-api=127.0.0.1:0".to_owned());
        self.start(me, "dvt-node", arguments)
    }

    fn start(&self, me: ShareIndex, role: &str, mut arguments: Vec<String>) -> Process {
        let at = me.position();
        arguments.push(format!("--data-dir={}", self.dirs[at].display()));
        arguments.push(format!("--listen=/ip4/127.0.0.1/tcp/{}", self.behind[at].port()));
        for other in (0..OPERATORS).filter(|other| *other != at) {
            let (enr, port) = (&self.enrs[other], self.taps[other].address.port());
            arguments.push(format!("--peer={enr}=/ip4/127.0.0.1/tcp/{port}"));
        }
        Process::start(self.root.path(), &format!("{role} {me}"), role, &arguments)
    }
}

fn make_operator(dir: &PathBuf) -> String {
    std::fs::create_dir(dir).unwrap();
    NodeKey::create_new(&dir.join(KEY_FILE), &mut OsRng).unwrap().enr()
}

fn free_addresses(count: usize) -> Vec<SocketAddr> {
    let listeners: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap()).collect()
}

fn make_definition(operators: Vec<String>, out: PathBuf) -> ReadyDefinition {
    let config = DefineConfig {
        version: cluster::Version::V1_10,
        name: "secrets".into(),
        threshold: 3,
        operators,
        validators: VALIDATORS,
        withdrawal_addresses: vec!["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed".into()],
        fee_recipient_addresses: vec!["0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359".into()],
        network: Some("hoodi".into()),
        network_config: None,
        compounding: false,
        deposit_amounts: vec![1, 31],
        out: out.clone(),
    };
    define(&config).unwrap();
    let definition = Definition::parse(&std::fs::read(out).unwrap()).unwrap();
    ReadyDefinition::new(definition, &Networks::public()).unwrap()
}
