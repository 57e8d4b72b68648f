//! The URL of a PostgreSQL database: read, checked, and what it says about TLS.
//!
//! Promise: no error shows any of it but the names of its options, so that no password gets into a log; TLS is never
//! spoken without proof of who is at the other end. Not here: connecting (see `store::postgres`), where the URL comes
//! from (see `config`).
//!
//! `sslmode` in the URL says how the way there is protected:
//!
//! | sslmode | what it does |
//! |---|---|
//! | `disable` | no TLS |
//! | `prefer` | TLS if the server offers it, else none |
//! | `require`, `verify-full` | TLS or no connection |
//!
//! Wherever TLS is spoken, the server's certificate must be signed by one of the given authorities (or, where none are
//! given, by one that the system trusts) and be for the host's name. So `require` is the same as `verify-full`. Where
//! the URL says nothing: `require` if authorities are given, no TLS towards this very machine, else `prefer`.

use std::fmt;
use std::net::IpAddr;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, SslNegotiation, TargetSessionAttrs};

use crate::secret::Secret;
use crate::tls::{self, Authorities, TlsError};

/// How a URL of a database begins.
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// The options that may stand behind the `?`.
const OPTIONS: [&str; 19] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "options",
    "password",
    "port",
    "sslmode",
    "sslnegotiation",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

/// The protocol's name in a handshake, which a server asks for where TLS comes first.
const PROTOCOL: &[u8] = b"postgresql";

/// What is wrong with the URL of a database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseError {
    /// It is not text.
    #[error("it is not UTF-8")]
    NotText,
    /// It is something else.
    #[error(
        "it does not begin with `postgres://`: the URL of a database is like `postgres://USER:PASSWORD@HOST:5432/DATABASE`"
    )]
    Scheme,
    /// It cannot be taken apart.
    #[error(
        "it is not like `postgres://USER:PASSWORD@HOST:5432/DATABASE` (in user and password, characters such as @ : / ? # % are written as %40 %3A %2F %3F %23 %25)"
    )]
    Form,
    /// It names no host.
    #[error("it names no host")]
    NoHost,
    /// An option has a value that it cannot have.
    #[error("its option `{0}` cannot have this value{1}")]
    Value(&'static str, &'static str),
    /// There is no such option.
    #[error("it has the option `{name}`, which is not known here{hint}")]
    Option {
        /// Its name.
        name: String,
        /// What would be right.
        hint: &'static str,
    },
    /// Authorities are given for a connection without TLS.
    #[error("it says `sslmode=disable`, and authorities are given as well: one of them has to go")]
    NoTls,
    /// What TLS needs is not there.
    #[error(
        "TLS towards the database: {0}; `ca: FILE` names whom to trust, `sslmode=disable` in the URL does without TLS"
    )]
    Tls(#[from] TlsError),
}

/// Which database, and how it is connected to.
#[derive(Clone)]
pub struct Database {
    config: Config,
    authorities: Option<Authorities>,
}

impl Database {
    /// Reads the URL. `authorities`: whose signature the server's certificate must have; `None` for whom the system trusts.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(url: &Secret, authorities: Option<&Authorities>) -> Result<Self, DatabaseError> {
        let url = std::str::from_utf8(url.expose()).map_err(|_| DatabaseError::NotText)?;
        let url = url.trim();
        let scheme = SCHEMES.iter().find(|scheme| url.starts_with(**scheme));
        let scheme = scheme.ok_or(DatabaseError::Scheme)?;
        let (base, query) = split(url, scheme.len());
        let mut mode = None;
        let mut kept: Vec<&str> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or(DatabaseError::Form)?;
            match name {
                "sslmode" => mode = Some(ssl_mode(value)?),
                name if OPTIONS.contains(&name) => kept.push(pair),
                name => return Err(unknown(name)),
            }
        }
        // Read without `sslmode`, since the library does not know all of its values.
        let rest = Secret::new(format!("{base}?{}", kept.join("&")));
        let rest = std::str::from_utf8(rest.expose()).map_err(|_| DatabaseError::NotText)?;
        let mut config: Config = rest.parse().map_err(|error| in_words(&error))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(DatabaseError::NoHost);
        }
        let mode = match (mode, authorities) {
            (Some(SslMode::Disable), Some(_)) => return Err(DatabaseError::NoTls),
            (_, Some(_)) => SslMode::Require,
            (Some(mode), None) => mode,
            (None, None) if is_here(&config) => SslMode::Disable,
            (None, None) => SslMode::Prefer,
        };
        config.ssl_mode(mode);
        // Of several hosts the one is meant that can be written to.
        if config.get_hosts().len().max(config.get_hostaddrs().len()) > 1
            && config.get_target_session_attrs() == TargetSessionAttrs::Any
        {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        Ok(Self {
            config,
            authorities: authorities.cloned(),
        })
    }

    /// Host, port, user and the rest, as the library takes them.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What TLS needs; `None` where none is spoken.
    ///
    /// # Errors
    /// If no authorities are given and the system trusts nobody.
    pub fn tls(&self) -> Result<Option<rustls::ClientConfig>, DatabaseError> {
        if self.config.get_ssl_mode() == SslMode::Disable {
            return Ok(None);
        }
        let mut tls = tls::client(self.authorities.as_ref(), None)?
            .config()
            .clone();
        if self.config.get_ssl_negotiation() == SslNegotiation::Direct {
            tls.alpn_protocols = vec![PROTOCOL.to_vec()];
        }
        Ok(Some(tls))
    }
}

/// Where it is, for people and logs: `HOST:PORT/DATABASE`; never with a password.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ports = self.config.get_ports();
        let port = |i: usize| ports.get(i).or(ports.first()).copied().unwrap_or(5432);
        let hosts = self.config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        });
        let named: Vec<String> = match self.config.get_hosts() {
            [] => (self.config.get_hostaddrs().iter().map(IpAddr::to_string)).collect(),
            _ => hosts.collect(),
        };
        for (i, host) in named.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{host}:{}", port(i))?;
        }
        let name = self.config.get_dbname().or(self.config.get_user());
        write!(f, "/{}", name.unwrap_or_default())
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({self})")
    }
}

/// The parts before and behind the `?`; one that stands in a password is none.
fn split(url: &str, scheme: usize) -> (&str, &str) {
    let behind = url.get(scheme..).unwrap_or_default();
    let credentials = behind.find('@').unwrap_or(0);
    let mark = behind.get(credentials..).and_then(|rest| rest.find('?'));
    match mark.and_then(|at| url.split_at_checked(scheme + credentials + at)) {
        Some((base, query)) => (base, query.trim_start_matches('?')),
        None => (url, ""),
    }
}

fn ssl_mode(value: &str) -> Result<SslMode, DatabaseError> {
    match value {
        "disable" => Ok(SslMode::Disable),
        "prefer" => Ok(SslMode::Prefer),
        "require" | "verify-full" => Ok(SslMode::Require),
        _ => Err(DatabaseError::Value(
            "sslmode",
            ": `disable`, `prefer`, `require` and `verify-full` are known",
        )),
    }
}

fn unknown(name: &str) -> DatabaseError {
    let hint = match name {
        "sslrootcert" => "; `ca: FILE` beside the URL says whom to trust",
        "sslcert" | "sslkey" => "; a password is what the database is shown",
        _ => "",
    };
    // A name is short and plain; what is not could be a part of something else.
    let plain = name.len() <= 32 && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    DatabaseError::Option {
        name: if plain {
            name.to_owned()
        } else {
            "?".to_owned()
        },
        hint,
    }
}

/// Of what the library says only what cannot hold a part of the URL.
fn in_words(error: &tokio_postgres::Error) -> DatabaseError {
    let said = std::error::Error::source(error).map(ToString::to_string);
    let said = said.unwrap_or_default();
    let named = said
        .strip_prefix("invalid value for option `")
        .and_then(|rest| rest.strip_suffix('`'))
        .and_then(|name| OPTIONS.iter().find(|option| **option == name));
    match named {
        Some(name) => DatabaseError::Value(name, ""),
        None => DatabaseError::Form,
    }
}

/// Whether nobody can stand in between: sockets of this machine and its own addresses.
fn is_here(config: &Config) -> bool {
    let own = |host: &Host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) if name.eq_ignore_ascii_case("localhost") => true,
        Host::Tcp(name) => name
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback()),
    };
    match config.get_hostaddrs() {
        [] => config.get_hosts().iter().all(own),
        addresses => addresses.iter().all(IpAddr::is_loopback),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Database, DatabaseError> {
        Database::parse(&Secret::new(url), None)
    }

    #[test]
    fn a_url_says_where_the_database_is_and_how_it_is_protected() {
        for (url, place, mode) in [
            (
                "postgres://me:pw@db.internal/relay",
                "db.internal:5432/relay",
                SslMode::Prefer,
            ),
            ("postgresql://me@db:6000", "db:6000/me", SslMode::Prefer),
            (
                "postgres://me:pw@127.0.0.1:5433/relay",
                "127.0.0.1:5433/relay",
                SslMode::Disable,
            ),
            (
                "postgres://me@localhost/relay",
                "localhost:5432/relay",
                SslMode::Disable,
            ),
            (
                "postgres://me@[::1]:7/relay",
                "::1:7/relay",
                SslMode::Disable,
            ),
            (
                "postgres:///relay?host=/run/postgresql&user=me",
                "/run/postgresql:5432/relay",
                SslMode::Disable,
            ),
            (
                "postgres://me@a:1,b:2/relay",
                "a:1,b:2/relay",
                SslMode::Prefer,
            ),
            (
                "postgres://me@db/relay?sslmode=disable",
                "db:5432/relay",
                SslMode::Disable,
            ),
            (
                "postgres://me@localhost/relay?sslmode=prefer",
                "localhost:5432/relay",
                SslMode::Prefer,
            ),
            (
                "postgres://me@localhost/relay?sslmode=require&connect_timeout=3",
                "localhost:5432/relay",
                SslMode::Require,
            ),
            (
                "postgres://me:a?sslmode=x@db/relay?sslmode=verify-full",
                "db:5432/relay",
                SslMode::Require,
            ),
        ] {
            let database = parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!(database.to_string(), place, "{url}");
            assert_eq!(database.config().get_ssl_mode(), mode, "{url}");
            assert!(!format!("{database:?}").contains("pw"), "{url}");
        }
        let several = parse("postgres://me@a,b/relay").unwrap();
        assert_eq!(
            several.config().get_target_session_attrs(),
            TargetSessionAttrs::ReadWrite
        );
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for (url, words) in [
            (
                "mysql://me:hunter2@db/x",
                "does not begin with `postgres://`",
            ),
            (
                "host=db password=hunter2",
                "does not begin with `postgres://`",
            ),
            ("postgres:///hunter2", "names no host"),
            (
                "postgres://me:hunter2@db:http/x",
                "`port` cannot have this value",
            ),
            (
                "postgres://me:hunter2@db/x?sslmode=verify-ca",
                "`verify-full` are known",
            ),
            ("postgres://me:hunter2@db/x?sslrootcert=/x", "`ca: FILE`"),
            ("postgres://me:hunter2@db/x?sslcert=/x", "a password"),
            (
                "postgres://me:hunter2@db/x?fancy=hunter2",
                "the option `fancy`",
            ),
            ("postgres://me:x?hunter2=y", "the option `?`"),
            ("postgres://me:x/hunter2", "`port` cannot have this value"),
            ("postgres://me:hunter2@db/x?fancy", "is not like"),
            (
                "postgres://me:hunter2@db/x?connect_timeout=soon",
                "`connect_timeout`",
            ),
        ] {
            let error = parse(url).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(words), "{url}: {error}");
            assert!(!error.contains("hunter2"), "{url}: {error}");
        }
        let not_text = Database::parse(&Secret::new([b'p', 0xff]), None);
        assert_eq!(not_text.map(|_| ()), Err(DatabaseError::NotText));
    }

    #[test]
    fn authorities_make_tls_a_must() {
        let own = rcgen::generate_simple_self_signed(vec!["db".to_owned()]).unwrap();
        let authorities = Authorities::from_pem(own.cert.pem().as_bytes()).unwrap();
        let parse = |url: &str| Database::parse(&Secret::new(url), Some(&authorities));
        for url in [
            "postgres://me@localhost/x",
            "postgres://me@db/x?sslmode=prefer",
        ] {
            let database = parse(url).unwrap();
            assert_eq!(database.config().get_ssl_mode(), SslMode::Require, "{url}");
            assert!(database.tls().unwrap().is_some(), "{url}");
        }
        let refused = parse("postgres://me@db/x?sslmode=disable").map(|_| ());
        assert_eq!(refused, Err(DatabaseError::NoTls));
        let plain = Database::parse(&Secret::new("postgres://me@localhost/x"), None).unwrap();
        assert!(plain.tls().unwrap().is_none());
        let direct = parse("postgres://me@db/x?sslnegotiation=direct").unwrap();
        assert_eq!(direct.tls().unwrap().unwrap().alpn_protocols, [PROTOCOL]);
    }
}
