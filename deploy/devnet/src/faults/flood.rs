//! A flood of garbage by somebody who holds an operator's node key: the handshake is right, every frame is not.
//!
//! Frames are of all sizes and come as fast as they are taken: nothing, noise, and what the others have said, with some
//! bytes changed and as it was. A program of its own, in the place of the operator's node.

use anyhow::Context as _;
use bytes::Bytes;
use cluster::enr::Enr;
use cluster::folder;
use cluster::lock::{Cluster, Lock};
use keys::identity::{KEY_FILE, NodeKey};
use net::{Config, Event, Identity, Limits, Multiaddr, PeerSpec, Protocol, peers_file};
use rand_core::{OsRng, RngCore as _};
use std::collections::VecDeque;
use std::path::Path;
use types::ShareIndex;

/// What was heard and is said again: some slots of it.
const HEARD_MAX: usize = 256;
/// Noise is drawn once; frames are pieces of it.
const NOISE_LEN: usize = 1 << 20;
/// Of so many frames one is of up to a megabyte, the others of up to a kilobyte: small ones are more work each.
const LONG_EVERY: u32 = 64;
/// The longest of the others.
const SHORT_LEN_MAX: usize = 1 << 10;

/// Floods every other operator of a cluster until the process is killed.
///
/// - `data_dir`: of the operator whose key it has. `listen`: where the others look for it.
pub async fn run(data_dir: &Path, listen: Multiaddr) -> anyhow::Result<()> {
    let lock = Lock::parse(&std::fs::read(data_dir.join(folder::LOCK))?)?;
    let cluster = lock.cluster()?;
    let (handle, mut events) = net::start(wire(data_dir, &cluster, listen)?)?;
    let mut noise = vec![0; NOISE_LEN];
    OsRng.fill_bytes(&mut noise);
    let (noise, mut heard) = (Bytes::from(noise), VecDeque::new());
    loop {
        for peer in (1..).map_while(ShareIndex::new).take(cluster.nodes.len()) {
            // Refused where the peer does not take as fast; then it is the next one's turn.
            while handle.send(peer, frame(&noise, &heard)).is_ok() {}
        }
        // Gives the wire a turn, and hears what there is to hear.
        tokio::select! {
            biased;
            event = events.next() => match event.context("the wire has ended")? {
                Event::Frame { frame, .. } => {
                    heard.truncate(HEARD_MAX - 1);
                    heard.push_front(frame);
                }
                Event::Up { peer, .. } => tracing::info!(%peer, "flooding"),
                Event::Down { peer, reason } => tracing::info!(%peer, %reason, "thrown out"),
                Event::Bulk { .. }
                | Event::Listening(_)
                | Event::Unreachable { .. }
                | Event::Stranger { .. }
                | Event::RelayUp { .. }
                | Event::RelayDown { .. }
                | Event::RelayUnreachable { .. } => {}
            },
            () = tokio::task::yield_now() => {}
        }
    }
}

fn wire(data_dir: &Path, cluster: &Cluster, listen: Multiaddr) -> anyhow::Result<Config> {
    let key = NodeKey::load(&data_dir.join(KEY_FILE))?;
    let identity = Identity::from_secret(key.secret_bytes())?;
    let entries = peers_file::parse(&std::fs::read_to_string(data_dir.join(folder::PEERS))?)?;
    let known = entries.iter().map(|entry| Ok((Enr::parse(&entry.enr)?, &entry.addresses)));
    let known: Vec<_> = known.collect::<anyhow::Result<_>>()?;
    let peers = cluster.nodes.iter().map(|node| {
        let entry = known.iter().find(|(enr, _)| enr.key() == *node);
        let addresses = entry.map(|(_, addresses)| (*addresses).clone()).unwrap_or_default();
        PeerSpec { public_key: *node.as_bytes(), addresses }
    });
    let me = (1..).zip(&cluster.nodes).find(|(_, node)| *node.as_bytes() == identity.public_key());
    let (me, _) = me.context("the node key is of no operator of this cluster")?;
    Ok(Config {
        identity,
        peers: peers.collect(),
        me: ShareIndex::new(me).context("a lock has at most 22 operators")?,
        listen: vec![listen],
        relays: Vec::new(),
        protocol: Protocol::new("node", u32::from(types::wire::WIRE_VERSION), cluster.id)?,
        limits: Limits::default(),
    })
}

/// The next frame.
fn frame(noise: &Bytes, heard: &VecDeque<Bytes>) -> Bytes {
    let draw = OsRng.next_u32();
    let at = draw as usize % heard.len().max(1);
    match (draw >> 16) % 4 {
        0 if !heard.is_empty() => heard[at].clone(),
        1 if !heard.is_empty() => changed(&heard[at]),
        _ => {
            let longest = if draw.is_multiple_of(LONG_EVERY) { noise.len() } else { SHORT_LEN_MAX };
            let len = OsRng.next_u32() as usize % longest;
            let from = OsRng.next_u32() as usize % (noise.len() - len);
            noise.slice(from..from + len)
        }
    }
}

/// What was said, with one byte changed.
fn changed(frame: &Bytes) -> Bytes {
    let mut frame = frame.to_vec();
    let at = OsRng.next_u32() as usize % frame.len().max(1);
    if let Some(byte) = frame.get_mut(at) {
        *byte ^= 1 << (OsRng.next_u32() % 8);
    }
    frame.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_noise_of_all_sizes_and_what_was_heard_whole_and_changed() {
        let noise = Bytes::from(vec![7; NOISE_LEN]);
        let word = Bytes::from_static(b"a word of an operator");
        let heard = VecDeque::from([word.clone()]);
        let frames: Vec<Bytes> = (0..4000).map(|_| frame(&noise, &heard)).collect();
        let near = |frame: &&Bytes| frame.len() == word.len() && **frame != word && frame[0] != 7;
        assert!(frames.iter().filter(|frame| **frame == word).count() > 100);
        assert!(frames.iter().filter(near).count() > 100);
        assert!(frames.iter().any(|frame| frame.len() > SHORT_LEN_MAX * 100));
        assert!(frames.iter().filter(|frame| frame.len() < SHORT_LEN_MAX).count() > 1000);
        assert!(frames.iter().all(|frame| frame.len() <= types::wire::FRAME_LEN_MAX));
    }
}
