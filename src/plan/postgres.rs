//! The database that a store is in, where it is in one.

use std::time::Duration;

use crate::secret::Secret;
use crate::tls::Authorities;

/// A store in PostgreSQL, which several processes can share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresPlan {
    /// `postgres://USER:PASSWORD@HOST:PORT/DATABASE`; checked.
    pub url: Secret,
    /// Whose signature the server's certificate must have; `None` for whom the system trusts.
    pub ca: Option<Authorities>,
    /// Most connections at a time.
    pub pool: usize,
    /// After how long without a word from one process others take its work over.
    pub lease: Duration,
    /// How this process is called; `None` for the host's name.
    pub name: Option<String>,
}
