//! The command-line flags that name a validator client: the same for every program that hands keystores over.

use crate::error::SetupError;
use crate::keymanager::{Keymanager, Plain};
use clap::Args;
use secrecy::SecretString;
use std::path::{Path, PathBuf};

/// The validator client that takes keystores, if one is named.
#[derive(Clone, Debug, Default, Args)]
pub struct KeymanagerFlags {
    /// Hand the keystores to this validator client by its keymanager API, instead of leaving them as files.
    #[arg(long, value_name = "URL", requires = "keymanager_token_file")]
    pub keymanager: Option<String>,
    /// The token of the keymanager API, in a file.
    #[arg(long, value_name = "FILE", requires = "keymanager")]
    pub keymanager_token_file: Option<PathBuf>,
    /// Let keystores, passwords and the token travel in clear to another host.
    #[arg(long, requires = "keymanager")]
    pub keymanager_plain_http: bool,
}

impl KeymanagerFlags {
    /// The client that was named; `None` if none was. Does not speak to it yet.
    ///
    /// - `read`: reads the token's file.
    /// - Errors: those of reading, and of [`Keymanager::new`].
    pub fn client<E: From<SetupError>>(
        &self,
        read: impl FnOnce(&Path) -> Result<SecretString, E>,
    ) -> Result<Option<Keymanager>, E> {
        // The command line lets neither stand without the other.
        let (Some(url), Some(file)) = (&self.keymanager, &self.keymanager_token_file) else {
            return Ok(None);
        };
        let plain = if self.keymanager_plain_http { Plain::Allowed } else { Plain::LoopbackOnly };
        Ok(Some(Keymanager::new(url, read(file)?, plain)?))
    }
}
