//! `peers.toml`, and `--peer ENR=MULTIADDR`: where the operators of a cluster are found.
//!
//! ```toml
//! [[peer]]
//! enr = "enr:-..."
//! addresses = ["/ip4/192.0.2.7/tcp/9000", "/dns4/node.example/udp/9000/quic-v1"]
//! ```
//!
//! Node records stay text here; whose key a record holds is `cluster`'s to say. Nothing here opens a file.

use crate::config::{ADDRESSES_MAX, AddressError, check_address};
use libp2p::Multiaddr;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use types::operators::OPERATORS_MAX;

/// Longest file that is read: 22 operators with 16 addresses each need some 30 KiB.
pub const FILE_LEN_MAX: usize = 64 << 10;
/// Longest node record as text: EIP-778 allows 300 bytes, base64 makes 400 letters of them, `enr:` four more.
pub const ENR_LEN_MAX: usize = 404;

/// One operator's node record and where to dial it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerEntry {
    /// `enr:...`, as text.
    pub enr: String,
    /// At most [`ADDRESSES_MAX`].
    pub addresses: Vec<Multiaddr>,
}

/// Why text is no `peers.toml`.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PeersError {
    /// Longer than [`FILE_LEN_MAX`].
    #[error("peers file of {have} bytes, at most {FILE_LEN_MAX} are read")]
    Long {
        /// Its length.
        have: usize,
    },
    /// Not TOML, or not of this shape.
    #[error("peers file: {0}")]
    Shape(String),
    /// More peers than any cluster has.
    #[error("peers file names {have} peers, a cluster has at most {OPERATORS_MAX}")]
    Many {
        /// Peers named.
        have: usize,
    },
    /// One record twice.
    #[error("peers file names {enr} twice")]
    Twice {
        /// Which.
        enr: String,
    },
    /// An entry is wrong.
    #[error("peer {no} of the peers file: {source}")]
    Entry {
        /// Counted from 1.
        no: usize,
        /// What is wrong.
        source: EntryError,
    },
}

/// Why a record and an address do not make a peer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EntryError {
    /// There is no `=`.
    #[error("expected ENR=MULTIADDR, as in enr:-IS4Q...=/ip4/192.0.2.7/tcp/9000")]
    NoAddress,
    /// Not the form of a node record.
    #[error("a node record is \"enr:\" and at most 400 letters of URL-safe base64")]
    Enr,
    /// Not a multiaddr at all.
    #[error("{text:?} is not a multiaddr: {reason}")]
    Multiaddr {
        /// What was given.
        text: String,
        /// Why.
        reason: String,
    },
    /// A multiaddr, but of no use.
    #[error(transparent)]
    Address(#[from] AddressError),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PeersFile {
    #[serde(default, rename = "peer")]
    peers: Vec<PeerEntry>,
}

/// Reads a `peers.toml`. An empty file names nobody. Unknown keys are refused, since they are typing errors.
pub fn parse(text: &str) -> Result<Vec<PeerEntry>, PeersError> {
    if text.len() > FILE_LEN_MAX {
        return Err(PeersError::Long { have: text.len() });
    }
    let file: PeersFile = toml::from_str(text).map_err(|e| PeersError::Shape(e.to_string()))?;
    if file.peers.len() > usize::from(OPERATORS_MAX) {
        return Err(PeersError::Many { have: file.peers.len() });
    }
    for (at, entry) in file.peers.iter().enumerate() {
        check(entry).map_err(|source| PeersError::Entry { no: at + 1, source })?;
        if file.peers[..at].iter().any(|other| other.enr == entry.enr) {
            return Err(PeersError::Twice { enr: entry.enr.clone() });
        }
    }
    Ok(file.peers)
}

/// Writes a `peers.toml` that [`parse`] reads back as the same entries.
pub fn render(peers: &[PeerEntry]) -> String {
    let mut text = String::from("# Where the operators of this cluster are found.\n");
    for peer in peers {
        let addresses: Vec<String> = peer.addresses.iter().map(|a| quote(&a.to_string())).collect();
        text.push_str("\n[[peer]]\n");
        text.push_str(&format!("enr = {}\n", quote(&peer.enr)));
        text.push_str(&format!("addresses = [{}]\n", addresses.join(", ")));
    }
    text
}

/// Reads the value of `--peer`: a node record, `=`, and an address of it.
pub fn parse_flag(text: &str) -> Result<(String, Multiaddr), EntryError> {
    // A record is base64 without padding, so its own letters never hold the sign.
    let (enr, address) = text.split_once('=').ok_or(EntryError::NoAddress)?;
    check_enr(enr)?;
    let parsed: Multiaddr = address.parse().map_err(|e: libp2p::multiaddr::Error| EntryError::Multiaddr {
        text: address.chars().take(ENR_LEN_MAX).collect(),
        reason: e.to_string(),
    })?;
    check_address(&parsed)?;
    Ok((enr.to_owned(), parsed))
}

/// Adds an address, as `--peer` does: first in line, since what is typed now is newer than what is in the file.
///
/// Errors: [`AddressError::Many`] when that record has [`ADDRESSES_MAX`] others.
pub fn add(peers: &mut Vec<PeerEntry>, enr: String, address: Multiaddr) -> Result<(), AddressError> {
    let Some(entry) = peers.iter_mut().find(|entry| entry.enr == enr) else {
        peers.push(PeerEntry { enr, addresses: vec![address] });
        return Ok(());
    };
    entry.addresses.retain(|known| *known != address);
    if entry.addresses.len() >= ADDRESSES_MAX {
        return Err(AddressError::Many);
    }
    entry.addresses.insert(0, address);
    Ok(())
}

fn check(entry: &PeerEntry) -> Result<(), EntryError> {
    check_enr(&entry.enr)?;
    if entry.addresses.len() > ADDRESSES_MAX {
        return Err(AddressError::Many.into());
    }
    entry.addresses.iter().try_for_each(|address| Ok(check_address(address).map(|_| ())?))
}

fn check_enr(enr: &str) -> Result<(), EntryError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    match enr.strip_prefix("enr:") {
        Some(rest) if !rest.is_empty() && enr.len() <= ENR_LEN_MAX && rest.bytes().all(allowed) => Ok(()),
        _ => Err(EntryError::Enr),
    }
}

fn quote(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ENR: &str = "enr:-IS4QHCYrYZbAKWCBRlAy5zzaDZXJBGkcnh4MHcBFZntXNFrdvJjX04jRzjz";

    fn entry(no: usize) -> PeerEntry {
        let addresses = ["/ip4/192.0.2.7/tcp/9000", "/dns4/node.example/udp/9000/quic-v1"];
        PeerEntry { enr: format!("{ENR}{no}"), addresses: addresses.map(|a| a.parse().unwrap()).to_vec() }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let peers: Vec<PeerEntry> = (0..22).map(entry).collect();
        assert_eq!(parse(&render(&peers)), Ok(peers));
        assert_eq!(parse(&render(&[])), Ok(Vec::new()));
        assert_eq!(parse(""), Ok(Vec::new()));
        let silent = [PeerEntry { addresses: Vec::new(), ..entry(0) }];
        assert_eq!(parse(&render(&silent)), Ok(silent.to_vec()));
    }

    #[test]
    fn a_file_looks_as_documented() {
        let text = render(&[entry(1)]);
        let expected = format!(
            "# Where the operators of this cluster are found.\n\n[[peer]]\nenr = \"{ENR}1\"\n\
             addresses = [\"/ip4/192.0.2.7/tcp/9000\", \"/dns4/node.example/udp/9000/quic-v1\"]\n"
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn wrong_files_name_what_is_wrong() {
        let one = render(&[entry(1)]);
        assert!(matches!(parse("[[peer]]"), Err(PeersError::Shape(_))));
        assert!(matches!(parse("peer = 7"), Err(PeersError::Shape(_))));
        assert!(matches!(parse(&one.replace("addresses", "adresses")), Err(PeersError::Shape(_))));
        assert!(matches!(parse(&one.replace("/ip4", "ip4")), Err(PeersError::Shape(_))));
        let source = EntryError::Enr;
        assert_eq!(parse(&one.replace("enr:", "enode:")), Err(PeersError::Entry { no: 1, source }));
        let form = parse(&one.replace("/quic-v1", "")).unwrap_err();
        assert!(form.to_string().contains("peer 1 of the peers file: /dns4/node.example/udp/9000 is no"));
        let twice = parse(&format!("{one}{one}"));
        assert_eq!(twice, Err(PeersError::Twice { enr: format!("{ENR}1") }));
        let many: Vec<PeerEntry> = (0..23).map(entry).collect();
        assert_eq!(parse(&render(&many)), Err(PeersError::Many { have: 23 }));
        let long = "#".repeat(FILE_LEN_MAX + 1);
        assert_eq!(parse(&long), Err(PeersError::Long { have: FILE_LEN_MAX + 1 }));
        let addresses = vec![entry(0).addresses[0].clone(); ADDRESSES_MAX + 1];
        let source = EntryError::Address(AddressError::Many);
        let crowded = render(&[PeerEntry { addresses, ..entry(0) }]);
        assert_eq!(parse(&crowded), Err(PeersError::Entry { no: 1, source }));
    }

    #[test]
    fn a_flag_is_a_record_and_an_address() {
        let address: Multiaddr = "/ip4/192.0.2.7/tcp/9000".parse().unwrap();
        assert_eq!(parse_flag(&format!("{ENR}={address}")), Ok((ENR.to_owned(), address)));
        assert_eq!(parse_flag(ENR), Err(EntryError::NoAddress));
        assert_eq!(parse_flag("=/ip4/192.0.2.7/tcp/9000"), Err(EntryError::Enr));
        assert_eq!(parse_flag("enr:=/ip4/192.0.2.7/tcp/9000"), Err(EntryError::Enr));
        let long = format!("enr:{}=/ip4/192.0.2.7/tcp/9000", "a".repeat(ENR_LEN_MAX - 3));
        assert_eq!(parse_flag(&long), Err(EntryError::Enr));
        assert!(matches!(parse_flag(&format!("{ENR}=192.0.2.7:9000")), Err(EntryError::Multiaddr { .. })));
        assert!(matches!(parse_flag(&format!("{ENR}=/ip4/192.0.2.7")), Err(EntryError::Address(_))));
    }

    #[test]
    fn an_added_address_comes_first_and_once() {
        let mut peers = vec![entry(1)];
        let known = entry(1).addresses[1].clone();
        add(&mut peers, entry(1).enr, known.clone()).unwrap();
        assert_eq!(peers[0].addresses, [known.clone(), entry(1).addresses[0].clone()]);
        add(&mut peers, entry(2).enr, known.clone()).unwrap();
        assert_eq!(peers[1], PeerEntry { addresses: vec![known], ..entry(2) });
        for port in 1..=14 {
            add(&mut peers, entry(1).enr, format!("/ip4/192.0.2.7/tcp/{port}").parse().unwrap()).unwrap();
        }
        let full = add(&mut peers, entry(1).enr, "/ip4/192.0.2.7/tcp/15".parse().unwrap());
        assert_eq!((full, peers[0].addresses.len()), (Err(AddressError::Many), ADDRESSES_MAX));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,200}") {
            let _ = parse(&text);
            let _ = parse_flag(&text);
            let _ = parse_flag(&format!("{ENR}={text}"));
        }
    }
}
