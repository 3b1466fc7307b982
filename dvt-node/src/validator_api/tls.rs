//! TLS under the validator API's server: certificate, key, and the handshake.

use keys::secret_file::{self, ReadError};
use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Longest certificate chain or key file: a chain of a few certificates has some kilobytes.
const FILE_LEN_MAX: u64 = 256 << 10;

/// Why there is no TLS.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The certificate's file could not be read.
    #[error("cannot read {path}: {source}")]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The key's file could not be read, or is open to others than its owner.
    #[error(transparent)]
    Key(#[from] ReadError),
    /// A file is not what it should be.
    #[error("{path} is no {what} in PEM: {source}")]
    Pem {
        /// Which file.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
        /// Why it is not.
        source: pem::Error,
    },
    /// Certificate and key do not make a server.
    #[error("the certificate and key of the validator API make no TLS server: {0}")]
    Config(#[from] rustls::Error),
}

/// A server's certificate and key.
///
/// # Security
///
/// Printed without the key.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Reads PEM files. `certificate`: the server's own certificate first; `key`: a file that only its owner may read.
    ///
    /// - Errors: [`TlsError`].
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        Ok(Self(TlsAcceptor::from(Arc::new(server_config(certificate, key)?))))
    }

    /// Shakes hands. How long it may take is the caller's to say.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.0.accept(stream).await
    }
}

fn server_config(certificate: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let chain = read_certificates(certificate)?;
    let not_a_key = |source| TlsError::Pem { path: key.to_owned(), what: "private key", source };
    let bytes = secret_file::read_secret(key, FILE_LEN_MAX as usize)?;
    let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(not_a_key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::Certificate { path: path.to_owned(), source };
    let not_one = |source| TlsError::Pem { path: path.to_owned(), what: "certificate", source };
    if std::fs::metadata(path).map_err(failed)?.len() > FILE_LEN_MAX {
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, "longer than any certificate chain")));
    }
    let bytes = std::fs::read(path).map_err(failed)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&bytes).collect::<Result<_, _>>().map_err(not_one)?;
    if chain.is_empty() { Err(not_one(pem::Error::NoItemsFound)) } else { Ok(chain) }
}
