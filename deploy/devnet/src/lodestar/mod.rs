//! A chain of real clients: one Lodestar 1.5.1 beacon node, Lodestar validator clients, Capella from genesis.
//!
//! - [`site`]: one run's folder and clock, and the command lines that belong to it.
//! - [`genesis`]: the genesis state, and keystores of ordinary validators.
//! - [`engine`]: the execution layer, as far as the beacon node asks for one.
//! - [`beacon_node`], [`validator_client`]: the processes.
//! - [`shim`]: between these clients of 2023 and software that speaks today's beacon API.
//! - [`judge`]: what the chain says about the duties of distributed validators.
//!
//! Nothing here knows the node it surrounds: a validator client talks to a [`shim`], a shim talks to the node, the
//! node to another shim, that one to the beacon node. Everything listens on 127.0.0.1 only.

pub mod beacon_node;
pub mod engine;
pub mod genesis;
pub mod judge;
pub mod shim;
pub mod site;
pub mod validator_client;

/// An HTTP client for addresses on this machine: no proxy, a short wait for the connection, none for the answer.
///
/// - Errors: reqwest's, when the client cannot be built.
pub(crate) fn http_client() -> reqwest::Result<reqwest::Client> {
    // reqwest wants a TLS provider even for plain HTTP; a second installation is refused, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().connect_timeout(CONNECT_TIMEOUT).build()
}

/// Long enough for a busy machine to accept on loopback, short enough to notice a dead process.
const CONNECT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(2);
