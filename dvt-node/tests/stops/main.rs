//! Why signing is stopped: on the disk before core is told, across restarts, until the operator resumes.

mod beacon_node;
mod clock;
#[path = "../slashing_protection/operator.rs"]
mod operator;

use beacon_node::BeaconNode;
use cluster::folder::SIGNING_STOPPED;
use dvt_node::chain_side::{ChainSide, Seat};
use dvt_node::cli;
use dvt_node::contents::Contents;
use dvt_node::engine::{Door, Event};
use dvt_node::metrics::Metrics;
use dvt_node::stops::{Marker, OnDoppelganger, ResumeArgs, Stops, resume, watch_slashed};
use operator::Operator;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::process::ExitCode;
use std::sync::Arc;
use symbolon_core::stop::Reason;
use symbolon_core::{Input, Output};
use types::{Address, Epoch, PublicKey, Root, ValidatorNo};

fn set(numbers: &[u32]) -> BTreeSet<ValidatorNo> {
    numbers.iter().map(|number| ValidatorNo(*number)).collect()
}

fn keys(operator: &Operator) -> Vec<PublicKey> {
    operator.validators.iter().map(|keys| keys.group).collect()
}

/// As at a node's start, with what its core is told.
fn start(operator: &Operator, on_doppelganger: OnDoppelganger) -> (Arc<Stops>, Vec<Reason>, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::default());
    let stops = Stops::open(&operator.path(""), keys(operator), on_doppelganger, metrics.clone()).unwrap();
    let told = stops.at_start().into_iter().map(reason).collect();
    (Arc::new(stops), told, metrics)
}

fn reason(input: Input) -> Reason {
    match input {
        Input::Stop(reason) => reason,
        other => panic!("not a stop: {other:?}"),
    }
}

fn args(operator: &Operator, show: bool) -> ResumeArgs {
    ResumeArgs { data_dir: operator.path(""), show, ..ResumeArgs::default() }
}

#[test]
fn every_reason_outlives_the_process_until_its_operator_resumes() {
    let operator = Operator::new();
    let (stops, told, metrics) = start(&operator, OnDoppelganger::Stop);
    assert_eq!(told, []);
    assert_eq!(stops.slashed(&set(&[1])).map(reason), Some(Reason::Slashed(set(&[1]))));
    assert_eq!(stops.doppelgangers(&set(&[0])).map(reason), Some(Reason::Doppelganger(set(&[0]))));
    assert_eq!(stops.second_instance().map(reason), Some(Reason::SecondInstance));
    for name in ["slashed", "doppelganger", "second_instance"] {
        let line = format!("symbolon_signing_stopped{{reason=\"{name}\"}} 1");
        assert!(metrics.text().contains(&line), "{}", metrics.text());
    }
    let all = [Reason::Slashed(set(&[1])), Reason::Doppelganger(set(&[0])), Reason::SecondInstance];
    assert_eq!(start(&operator, OnDoppelganger::Stop).1, all);
    let resumed = resume(&args(&operator, false)).unwrap();
    assert!(!resumed.stopped && resumed.found.is_stopped());
    assert_eq!(start(&operator, OnDoppelganger::Stop).1, []);
}

#[test]
fn a_slashed_validator_is_news_once_and_never_again_after_it_was_acknowledged() {
    let operator = Operator::new();
    let (stops, ..) = start(&operator, OnDoppelganger::Stop);
    assert!(stops.slashed(&set(&[])).is_none());
    assert!(!operator.path(SIGNING_STOPPED).exists());
    assert!(stops.slashed(&set(&[1])).is_some());
    assert!(stops.slashed(&set(&[1])).is_none());
    resume(&args(&operator, false)).unwrap();
    let (stops, told, _) = start(&operator, OnDoppelganger::Stop);
    assert_eq!(told, []);
    assert!(stops.slashed(&set(&[1])).is_none(), "acknowledged");
    // The other validator is not: its slashing stops the node, and names it alone.
    assert_eq!(stops.slashed(&set(&[0, 1])).map(reason), Some(Reason::Slashed(set(&[0]))));
}

#[test]
fn a_doppelganger_that_was_cleared_stops_again_when_it_comes_back_and_only_warns_if_so_told() {
    let operator = Operator::new();
    let (stops, _, metrics) = start(&operator, OnDoppelganger::Warn);
    assert!(stops.doppelgangers(&set(&[0, 1])).is_none());
    assert!(metrics.text().contains("symbolon_doppelgangers_total 2"), "{}", metrics.text());
    assert!(!operator.path(SIGNING_STOPPED).exists());
    let (stops, ..) = start(&operator, OnDoppelganger::Stop);
    assert!(stops.doppelgangers(&set(&[0])).is_some());
    resume(&args(&operator, false)).unwrap();
    let (stops, ..) = start(&operator, OnDoppelganger::Stop);
    assert!(stops.doppelgangers(&set(&[0])).is_some());
}

#[test]
fn a_running_node_is_shown_and_not_resumed() {
    let operator = Operator::new();
    let running = operator.journal();
    let (stops, ..) = start(&operator, OnDoppelganger::Stop);
    stops.slashed(&set(&[0]));
    let error = resume(&args(&operator, false)).unwrap_err();
    assert!(format!("{error:#}").contains("in use by another process"), "{error:#}");
    let shown = resume(&args(&operator, true)).unwrap();
    assert!(shown.stopped);
    assert!(shown.to_string().contains(&keys(&operator)[0].to_string()), "{shown}");
    assert!(Marker::read(&operator.path("")).unwrap().is_stopped());
    drop(running);
    let words = ["dvt-node", "resume", "--json", "--data-dir"].map(OsString::from);
    let run = || cli::run(words.clone().into_iter().chain([operator.path("").into()]));
    assert_eq!(run(), ExitCode::SUCCESS);
    assert!(!Marker::read(&operator.path("")).unwrap().is_stopped());
    assert_eq!(run(), ExitCode::SUCCESS, "nothing stops it any more, and that is said");
}

#[test]
fn a_file_that_cannot_be_read_starts_no_node() {
    let operator = Operator::new();
    for text in ["", "{", r#"{"slashd": {}}"#, r#"{"slashed": {"0x12": 1}}"#] {
        fs::write(operator.path(SIGNING_STOPPED), text).unwrap();
        let metrics = Arc::new(Metrics::default());
        let opened = Stops::open(&operator.path(""), keys(&operator), OnDoppelganger::Stop, metrics);
        let error = format!("{:#}", opened.unwrap_err());
        assert!(error.contains(SIGNING_STOPPED), "{error}");
    }
}

fn chain(operator: &Operator, node: &BeaconNode) -> Arc<ChainSide> {
    let spec = Arc::new(operator.spec());
    let beacon = beacon::Beacon::new(vec![node.url()], spec.clone(), beacon::Limits::default()).unwrap();
    let seat = |key: &PublicKey| Seat { group_key: *key, fee_recipient: Address([0; 20]) };
    let seats = keys(operator).iter().map(seat).collect();
    ChainSide::new(beacon, spec, seats, Arc::new(Contents::default()), Root::ZERO, None)
}

#[tokio::test]
async fn a_validator_that_a_beacon_node_calls_slashed_is_on_the_disk_when_core_hears_of_it() {
    let operator = Operator::new();
    let node = BeaconNode::start(&keys(&operator)).await;
    node.answer("/eth/v1/beacon/states/head/validators", &["active_ongoing", "withdrawal_possible"], 1);
    let (stops, ..) = start(&operator, OnDoppelganger::Stop);
    let (door, mut events) = Door::new();
    let watching = watch_slashed(chain(&operator, &node), Arc::new(operator.spec()), stops, door);
    let told = tokio::select! {
        event = events.recv() => event.unwrap(),
        () = watching => unreachable!("it watches for ever"),
    };
    let marker = Marker::read(&operator.path("")).unwrap();
    assert_eq!(marker.slashed.keys().collect::<Vec<_>>(), [&keys(&operator)[1]]);
    let Event::Input(input) = told else { panic!("{told:?}") };
    assert_eq!(reason(input), Reason::Slashed(set(&[1])));
}

#[tokio::test]
async fn liveness_is_told_by_validator_and_not_at_all_while_no_beacon_node_answers() {
    let operator = Operator::new();
    let node = BeaconNode::start(&keys(&operator)).await;
    let chain = chain(&operator, &node);
    let ask = async || match chain.answer(Output::FetchLiveness { epoch: Epoch(7) }).await {
        Input::Liveness { epoch: Epoch(7), live } => live,
        other => panic!("{other:?}"),
    };
    assert_eq!(ask().await, None);
    node.answer("/eth/v1/beacon/states/head/validators", &["active_ongoing", "active_ongoing"], 9);
    assert_eq!(ask().await, None, "indices alone say nothing");
    for live in [[false, false], [true, false], [false, true]] {
        node.live(Epoch(7), live);
        let wanted: Vec<u32> = (0..2).filter(|number| live[*number as usize]).collect();
        assert_eq!(ask().await, Some(set(&wanted)));
    }
}
