//! `dvt-dkg run`: drives the machine of [`crate::ceremony`] over libp2p and disk.
//!
//! ```text
//! net task --events--> [ machine's thread: handle, poll, write, sleep until wake_at ] --frames--> net
//! ```
//!
//! The machine has a thread of its own, because a step may compute for seconds and the links must go on answering.

use crate::board::{Approved, BoardTerms, Delivery, Desk, Reporter};
use crate::ceremony::{
    CEREMONY_VERSION, Cause, Ceremony, Durable, Frame, Input, Output, ReadyDefinition, Setup, Step,
};
use crate::ending::{Ending, NoKeys};
use crate::network;
use crate::outcome::Place;
use crate::progress::Progress;
use crate::state::{self, State};
use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use cluster::definition::Definition;
use cluster::enr::Enr;
use cluster::{Lock, folder};
use keys::frost::CeremonySeed;
use keys::identity::{KEY_FILE, NodeKey, NodeKeys, Operator};
use net::{Identity, Multiaddr, PeerSpec, Protocol, peers_file};
use rand_core::{OsRng, RngCore as _};
use remote::keymanager::Keymanager;
use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use types::{ClusterSize, Machine as _, Millis, Root, ShareIndex};
use zeroize::Zeroizing;

/// How often frames that found a full queue are tried again.
const RETRY: Duration = Duration::from_millis(20);
/// How long an operator that knows of a fault stays to tell those who do not: longer than a broken link takes to come back.
const TELLING: Millis = Millis(30_000);
/// How long an operator stays when all have their files, for one that was killed before it knew: longer than a supervisor
/// takes to start it again. One that comes later waits until its deadline, and keeps its records till then.
const FAREWELL: Millis = Millis(60_000);

/// Where a definition comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// A pool's board, which gets the lock too. Only the definition that is approved is taken.
    Board(BoardTerms),
}

/// What `dvt-dkg run` is told.
#[derive(Clone, Debug)]
pub struct RunConfig {
    /// Where the definition is that this operator approves.
    pub definition: Source,
    /// Only this definition: its hash.
    pub approve: Option<Root>,
    /// The operator's data folder.
    pub data_dir: PathBuf,
    /// Where the other operators connect.
    pub listen: Vec<Multiaddr>,
    /// Relays to be reached through, each with its `/p2p/`.
    pub relays: Vec<Multiaddr>,
    /// Addresses of the others: ENR and address.
    pub peers: Vec<(String, Multiaddr)>,
    /// A network that is not built in.
    pub network_config: Option<PathBuf>,
    /// The operator's own password for the node's halves.
    pub password_file: Option<PathBuf>,
    /// The validator client that takes its halves, instead of files.
    pub keymanager: Option<Arc<Keymanager>>,
    /// How long to wait for everybody.
    pub deadline: Duration,
    /// Which try at this definition.
    pub attempt: u32,
    /// Show nothing while it runs.
    pub quiet: bool,
}

/// What came of a ceremony.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The lock's hash: the cluster's id.
    pub lock_hash: Root,
    /// The definition's hash.
    pub definition_hash: Root,
    /// Validators made.
    pub validators: u32,
    /// Operators that have not said that their files are on disk.
    pub missing: Vec<ShareIndex>,
    /// An earlier run has made them, and this one has done nothing.
    pub already: bool,
    /// What this run took.
    pub took: Took,
    /// What became of the lock at the board, if there is one.
    pub delivery: Option<Delivery>,
}

/// What a run took.
#[derive(Clone, Debug, Default)]
pub struct Took {
    /// How long from this operator's word in each step to its word in the next one, in order: its own computation, and
    /// waiting for the others. The lock's ends when the files are on disk.
    pub steps: Vec<(Step, Millis)>,
    /// Bytes of frames handed to the wire.
    pub sent_bytes: u64,
}

/// What is found before anybody is spoken to.
enum Found {
    Ready(Box<Prepared>),
    Made(Finished),
}

/// Everything that was read before anybody is spoken to.
struct Prepared {
    config: RunConfig,
    definition: Definition,
    ready: ReadyDefinition,
    setup: Setup,
    place: Place,
    publics: Vec<[u8; 33]>,
    state: State,
    records: Vec<Zeroizing<Vec<u8>>>,
    _lock: File,
}

/// Runs a ceremony to its end, and delivers the lock where the definition came from.
pub async fn run(config: RunConfig) -> anyhow::Result<Finished> {
    match config.definition.clone() {
        Source::File(path) => make(config, Approved::File(path), None).await,
        Source::Board(terms) => make_at_board(config, terms).await,
    }
}

async fn make_at_board(config: RunConfig, terms: BoardTerms) -> anyhow::Result<Finished> {
    let BoardTerms { board, patience } = terms;
    let data_dir = config.data_dir.clone();
    let hash = config.approve.context("of a board only a definition is taken whose hash is approved")?;
    let approved = Approved::at_board(&board, hash, &data_dir).await?;
    let desk = Arc::new(Desk::new(board, &data_dir, hash)?);
    let mut finished = make(config, approved, Some(desk.clone())).await?;
    finished.delivery = Some(desk.hand_in(&data_dir, &finished.missing, patience).await);
    Ok(finished)
}

async fn make(config: RunConfig, approved: Approved, desk: Option<Arc<Desk>>) -> anyhow::Result<Finished> {
    if let Some(client) = &config.keymanager {
        // Better now than after the keys are made.
        let asked = client.list().await;
        asked.with_context(|| format!("the validator client at {} does not answer", client.label()))?;
    }
    let prepared = match tokio::task::spawn_blocking(move || prepare(config, &approved)).await?? {
        Found::Ready(prepared) => *prepared,
        Found::Made(finished) => return Ok(finished),
    };
    let Prepared { config, definition, ready, setup, place, publics, state, records, _lock: lock } = prepared;
    let key = NodeKey::load(&config.data_dir.join(KEY_FILE))?;
    let (wire, mut events) = start_wire(&config, &key, &publics, &setup)?;
    let operator = Operator::new(key, setup.me, NodeKeys::new(&publics)?)?;
    let (inputs, inbox) = channel();
    let links = inputs.clone();
    let hearing = tokio::spawn(async move {
        while let Some(event) = events.next().await {
            let input = match event {
                net::Event::Up { peer, .. } => Input::PeerUp(peer),
                net::Event::Down { peer, .. } => Input::PeerDown(peer),
                net::Event::Frame { peer, frame } => {
                    Input::Message { from: peer, frame: Frame::from(frame.to_vec()) }
                }
                // No ceremony sends bulk; a peer that does is not heard.
                net::Event::Bulk { .. }
                | net::Event::RelayUp { .. }
                | net::Event::RelayDown { .. }
                | net::Event::RelayUnreachable { .. }
                | net::Event::Listening(_)
                | net::Event::Unreachable { .. }
                | net::Event::Stranger { .. } => continue,
            };
            if links.send(input).is_err() {
                return;
            }
        }
    });
    let mut progress = Progress::new(setup.size, config.quiet);
    if let Some(desk) = desk {
        let voice = progress.voice();
        progress.report_by(Reporter::start(desk, voice));
    }
    let sending = wire.clone();
    let driving = std::thread::Builder::new().name("ceremony".into()).spawn(move || {
        let machine = start(ready, setup.clone(), operator, &records)?;
        progress.watch(machine.effort());
        drop(records);
        let hands = Hands { definition, place, progress, wire: sending };
        let driver = Driver::new(machine, setup, state, hands);
        driver.run(&inbox, &inputs)
    })?;
    let result = tokio::task::spawn_blocking(move || driving.join()).await?;
    wire.shutdown().await;
    hearing.abort();
    drop(lock);
    match result {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn now() -> Millis {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}

fn prepare(config: RunConfig, source: &Approved) -> anyhow::Result<Found> {
    let (path, definition) = (source.path(), source.read()?);
    let (networks, network_file) = network::known_with_file(config.network_config.as_deref())?;
    let ready =
        ReadyDefinition::new(definition.clone(), &networks).with_context(|| path.display().to_string())?;
    let definition_hash = definition.definition_hash();
    if let Some(approved) = config.approve {
        ensure!(
            approved == definition_hash,
            "{} has definition hash {definition_hash}, approved was {approved}",
            path.display()
        );
    }
    let lock = only_process_in(&config.data_dir)?;
    source.keep()?;
    let key = NodeKey::load(&config.data_dir.join(KEY_FILE))?;
    let publics = ready.node_keys();
    let me = NodeKeys::new(&publics)?.index_of(&key.public());
    let me = me.context("the node key in the data folder is none of the definition's operators'")?;
    let deadline = now().after(Millis(u64::try_from(config.deadline.as_millis()).unwrap_or(u64::MAX / 2)));
    let setup = ready.setup(me, config.attempt, deadline);
    let place = Place {
        data_dir: config.data_dir.clone(),
        password_file: config.password_file.clone(),
        definition: definition.to_json(),
        network: network_file,
        peers: peers_text(&config)?,
        keymanager: config.keymanager.clone(),
    };
    let folder = config.data_dir.join(folder::ceremony(setup.ceremony_id()));
    place.tidy()?;
    state::sweep(&folder)?;
    if let Some(over) = state::over(&folder)? {
        return Err(NoKeys::again(over, config.attempt).into());
    }
    if !folder.exists()
        && let Some(path) = place.occupied()
    {
        let made = made_already(&config.data_dir, &setup).map(Found::Made);
        return made.with_context(|| format!("{} exists already: nothing is overwritten", path.display()));
    }
    let (state, records) = State::open(folder)?;
    let prepared = Prepared { config, definition, ready, setup, place, publics, state, records, _lock: lock };
    Ok(Found::Ready(Box::new(prepared)))
}

fn only_process_in(data_dir: &Path) -> anyhow::Result<File> {
    let lock = File::open(data_dir)
        .with_context(|| format!("cannot open the data folder {}", data_dir.display()))?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .ok()
        .with_context(|| format!("another process works in {}", data_dir.display()))?;
    Ok(lock)
}

/// What an earlier run has made of this definition: the lock is written last, so where it lies everything does, and the
/// records are gone once everybody has confirmed.
fn made_already(data_dir: &Path, setup: &Setup) -> Option<Finished> {
    let lock = Lock::parse(&std::fs::read(data_dir.join(folder::LOCK)).ok()?).ok()?;
    let definition_hash = lock.definition().definition_hash();
    (definition_hash == setup.definition_hash).then(|| Finished {
        lock_hash: lock.lock_hash(),
        definition_hash,
        validators: setup.validators,
        missing: Vec::new(),
        already: true,
        took: Took::default(),
        delivery: None,
    })
}

fn peers_text(config: &RunConfig) -> anyhow::Result<String> {
    let mut entries = Vec::new();
    for (enr, address) in &config.peers {
        peers_file::add(&mut entries, enr.clone(), address.clone())?;
    }
    Ok(peers_file::render(&entries))
}

fn start_wire(
    config: &RunConfig,
    key: &NodeKey,
    publics: &[[u8; 33]],
    setup: &Setup,
) -> anyhow::Result<(net::Handle, net::Events)> {
    let mut peers: Vec<_> = publics
        .iter()
        .map(|public_key| PeerSpec { public_key: *public_key, addresses: Vec::new() })
        .collect();
    for (enr, address) in &config.peers {
        let enr = Enr::parse(enr).with_context(|| format!("--peer {enr}"))?;
        let seat = peers.iter_mut().find(|peer| peer.public_key == *enr.key().as_bytes());
        let seat =
            seat.with_context(|| format!("--peer {} is no operator of this definition", enr.as_str()))?;
        seat.addresses.push(address.clone());
    }
    let wire = net::Config {
        identity: Identity::from_secret(key.secret_bytes())?,
        peers,
        me: setup.me,
        listen: config.listen.clone(),
        relays: config.relays.clone(),
        // One wire for all definitions, so that two operators with different ones can tell each other.
        protocol: Protocol::new("dkg", u32::from(CEREMONY_VERSION), Root::ZERO)?,
        limits: net::Limits::default(),
    };
    Ok(net::start(wire)?)
}

fn start(
    ready: ReadyDefinition,
    setup: Setup,
    operator: Operator,
    records: &[Zeroizing<Vec<u8>>],
) -> anyhow::Result<Ceremony<Operator, ReadyDefinition>> {
    if !records.is_empty() {
        let records: Vec<&[u8]> = records.iter().map(|record| record.as_slice()).collect();
        return Ceremony::resume(setup, operator, ready, &records)
            .context("the unfinished ceremony in the data folder cannot be resumed");
    }
    let mut seed = Zeroizing::new([0; 32]);
    OsRng.fill_bytes(&mut *seed);
    Ok(Ceremony::begin(setup, CeremonySeed::new(seed), operator, ready)?)
}

/// How a ceremony ended.
enum End {
    Finished(Finished),
    Aborted { cause: Cause, lock_signed: bool },
}

/// What the machine acts by, beside its records.
struct Hands {
    definition: Definition,
    place: Place,
    progress: Progress,
    wire: net::Handle,
}

/// The machine with its hands: disk and wire.
struct Driver {
    machine: Ceremony<Operator, ReadyDefinition>,
    setup: Setup,
    state: State,
    hands: Hands,
    /// Frames that found a full queue, in order.
    backlog: VecDeque<(ShareIndex, Frame)>,
    /// Who has a link.
    linked: BTreeSet<ShareIndex>,
    /// The step under way, and since when.
    step: (Step, Millis),
    /// What the steps before it took, and bytes handed to the wire.
    took: Took,
}

impl Driver {
    fn new(machine: Ceremony<Operator, ReadyDefinition>, setup: Setup, state: State, hands: Hands) -> Self {
        let (backlog, linked) = (VecDeque::new(), BTreeSet::new());
        let step = (Step::Gather, now());
        Self { machine, setup, state, hands, backlog, linked, step, took: Took::default() }
    }

    fn run(mut self, inbox: &Receiver<Input>, inputs: &Sender<Input>) -> anyhow::Result<Finished> {
        let mut lock_hash = None;
        self.machine.handle(now(), Input::Tick);
        loop {
            while let Some(output) = self.machine.poll() {
                if let Some(end) = self.grant(output, inputs, &mut lock_hash)? {
                    return match end {
                        End::Finished(finished) => self.finished(inbox, finished),
                        End::Aborted { cause, lock_signed } => {
                            Err(self.aborted(inbox, &cause, lock_signed).into())
                        }
                    };
                }
            }
            self.flush();
            let input = self.next(inbox, self.patience())?;
            self.machine.handle(now(), input);
        }
    }

    fn enter(&mut self, step: Step) {
        self.took.steps.push((self.step.0, now().since(self.step.1)));
        self.step = (step, now());
    }

    fn took(&self) -> Took {
        let mut took = self.took.clone();
        took.steps.push((self.step.0, now().since(self.step.1)));
        took
    }

    /// What happens next: after `patience` a tick.
    fn next(&mut self, inbox: &Receiver<Input>, patience: Duration) -> anyhow::Result<Input> {
        let input = match inbox.recv_timeout(patience) {
            Ok(input) => input,
            Err(RecvTimeoutError::Timeout) => Input::Tick,
            Err(RecvTimeoutError::Disconnected) => bail!("the wire has ended"),
        };
        match &input {
            Input::PeerUp(peer) => self.linked.insert(*peer),
            Input::PeerDown(peer) => self.linked.remove(peer),
            Input::Tick | Input::Message { .. } | Input::Stored(_) => false,
        };
        Ok(input)
    }

    fn patience(&self) -> Duration {
        if !self.backlog.is_empty() {
            return RETRY;
        }
        let wake = self.machine.wake_at().unwrap_or(self.setup.deadline);
        Duration::from_millis(wake.since(now()).0.clamp(1, 1_000))
    }

    /// Grants one wish; returns the end if this was it.
    fn grant(
        &mut self,
        output: Output,
        inputs: &Sender<Input>,
        lock_hash: &mut Option<Root>,
    ) -> anyhow::Result<Option<End>> {
        match output {
            Output::Send { to, frame } => self.backlog.push_back((to, frame)),
            Output::Persist { durable, record } => {
                self.state.append(&record.0)?;
                // The loop itself holds the other end.
                let _ = inputs.send(Input::Stored(durable));
            }
            Output::Progress { step, done, coming } => {
                if step != self.step.0 {
                    self.enter(step);
                }
                self.hands.progress.show(step, &done, &coming);
            }
            Output::Rejected { from, why } => {
                self.hands.wire.refused(from);
                self.hands.progress.say(&format!("operator {from} sent {why}"));
            }
            Output::Files(outcome) => {
                *lock_hash = Some(outcome.lock.lock_hash);
                self.hands.place.write(outcome)?;
                let _ = inputs.send(Input::Stored(Durable::Files));
            }
            Output::Finished { missing } => {
                let lock_hash = lock_hash.context("a ceremony finishes after its files are written")?;
                return Ok(Some(End::Finished(Finished {
                    lock_hash,
                    definition_hash: self.setup.definition_hash,
                    validators: self.setup.validators,
                    missing,
                    already: false,
                    took: self.took(),
                    delivery: None,
                })));
            }
            Output::Abort { cause, lock_signed } => return Ok(Some(End::Aborted { cause, lock_signed })),
        }
        Ok(None)
    }

    /// Hands frames to the wire, in order; what finds a full queue waits, what has no link is said again later.
    fn flush(&mut self) {
        let mut waiting = VecDeque::new();
        let mut full = Vec::new();
        for (to, frame) in std::mem::take(&mut self.backlog) {
            if full.contains(&to) {
                waiting.push_back((to, frame));
                continue;
            }
            match self.hands.wire.send(to, Bytes::copy_from_slice(&frame.0)) {
                Ok(()) => self.took.sent_bytes += frame.0.len() as u64,
                Err(net::SendError::QueueFull(_)) => {
                    full.push(to);
                    waiting.push_back((to, frame));
                }
                Err(_) => {}
            }
        }
        self.backlog = waiting;
    }

    /// The last words must leave before the process does.
    fn drain(&mut self) {
        self.hands.progress.finish();
        let patience = now().after(Millis(5_000));
        while !self.backlog.is_empty() && now() < patience {
            self.flush();
            std::thread::sleep(RETRY);
        }
    }

    fn finished(mut self, inbox: &Receiver<Input>, finished: Finished) -> anyhow::Result<Finished> {
        if finished.missing.is_empty() {
            self.tell(inbox, Step::Farewell, FAREWELL);
        }
        self.drain();
        if finished.missing.is_empty() {
            self.state.erase().context("the keys are made, but the ceremony's seed could not be erased")?;
        }
        Ok(finished)
    }

    fn aborted(mut self, inbox: &Receiver<Input>, cause: &Cause, lock_signed: bool) -> NoKeys {
        let ending = Ending {
            definition: &self.hands.definition,
            setup: &self.setup,
            data_dir: &self.hands.place.data_dir,
            linked: &self.linked,
            waited: now().since(self.step.1),
            lock_signed,
        };
        let told = ending.tell(cause);
        self.tell(inbox, Step::Complaint, TELLING);
        self.drain();
        told.settle(&self.state)
    }

    /// After the end: stays until nobody is unaware of it any more who should not be, or until `patience` is over.
    fn tell(&mut self, inbox: &Receiver<Input>, step: Step, patience: Millis) {
        let until = now().after(patience);
        loop {
            let unaware = self.machine.unaware();
            if unaware.is_empty() || now() >= until {
                return;
            }
            let aware: Vec<_> = self.setup.size.indices().filter(|one| !unaware.contains(one)).collect();
            self.hands.progress.show(step, &aware, &[]);
            self.flush();
            let rest = Duration::from_millis(until.since(now()).0.clamp(1, 1_000));
            let patience = if self.backlog.is_empty() { rest } else { RETRY };
            let Ok(input) = self.next(inbox, patience) else { return };
            self.machine.handle(now(), input);
            while let Some(output) = self.machine.poll() {
                if let Output::Send { to, frame } = output {
                    self.backlog.push_back((to, frame));
                }
            }
        }
    }
}

/// In words, what this operator is about to take part in.
pub fn summary(definition: &Definition, network: &str, size: ClusterSize) -> String {
    format!(
        "{:?}: {} validators of {} operators, any {} sign, on {network}; definition hash {}",
        definition.name(),
        definition.validators().len(),
        size.operators(),
        size.threshold(),
        definition.definition_hash()
    )
}
