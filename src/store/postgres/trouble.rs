//! What an error of the database means for who asked: come again later, at once, or never.
//!
//! Promise: every error gets an answer, and none of them shows the URL. Not here: what is done about it.

use std::error::Error as _;
use std::io;

use deadpool_postgres::{HookError, PoolError, TimeoutType};
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::store::StoreError;

/// What kind of error it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The database cannot be reached, or can do nothing now (it starts, ends, has no room, is read-only): nothing is known
    /// of what was under way. Later it may go.
    Away,
    /// The transaction stood in the way of another and was undone: the same may go at once.
    Again,
    /// It lets us not in: another password, database or certificate is needed.
    Refused,
    /// What was asked or what was read is wrong; the same would fail again.
    Fault,
}

/// Errors of the library that come from a statement and its values, not from the connection, by how they begin: it
/// tells them by nothing else.
const OWN_FAULTS: [&str; 6] = [
    "error serializing parameter",
    "error deserializing column",
    "invalid column",
    "query returned an unexpected number",
    "expected ",
    "unexpected message",
];

/// What kind of error this is.
#[must_use]
pub fn trouble(error: &Error) -> Trouble {
    let Some(code) = error.code() else {
        return of_connection(error);
    };
    if [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        // An object was replaced by somebody between our look and our use of it.
        SqlState::LOCK_NOT_AVAILABLE,
    ]
    .contains(code)
    {
        return Trouble::Again;
    }
    if [
        // A standby, or a primary that has become one.
        SqlState::READ_ONLY_SQL_TRANSACTION,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        SqlState::IO_ERROR,
    ]
    .contains(code)
    {
        return Trouble::Away;
    }
    if [
        SqlState::INVALID_CATALOG_NAME,
        SqlState::INSUFFICIENT_PRIVILEGE,
    ]
    .contains(code)
    {
        return Trouble::Refused;
    }
    match code.code().get(..2) {
        // Connection, resources (memory, disk, connections), an operator (shutdown, cancelled, start), the system below.
        Some("08" | "53" | "57" | "58") => Trouble::Away,
        Some("28") => Trouble::Refused,
        _ => Trouble::Fault,
    }
}

fn of_connection(error: &Error) -> Trouble {
    let text = error.to_string();
    if OWN_FAULTS.iter().any(|begin| text.starts_with(begin)) {
        return Trouble::Fault;
    }
    if text.starts_with("authentication error") {
        return Trouble::Refused;
    }
    let broken = |cause: &(dyn std::error::Error + 'static)| {
        (cause.downcast_ref::<io::Error>())
            .and_then(io::Error::get_ref)
            .is_some_and(|inner| {
                matches!(
                    inner.downcast_ref(),
                    Some(rustls::Error::InvalidCertificate(_))
                )
            })
    };
    if error.source().is_some_and(broken) {
        return Trouble::Refused;
    }
    Trouble::Away
}

/// The same for an error of the pool.
#[must_use]
pub fn trouble_of_pool(error: &PoolError) -> Trouble {
    match error {
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
            trouble(error)
        }
        PoolError::PostCreateHook(HookError::Message(_)) => Trouble::Refused,
        PoolError::Timeout(_) | PoolError::Closed | PoolError::NoRuntimeSpecified => Trouble::Away,
    }
}

/// The error with its causes, in one line.
#[must_use]
pub fn in_words(error: &Error) -> String {
    if let Some(said) = error.as_db_error() {
        let detail = said.detail().map(|detail| format!(" ({detail})"));
        return format!("{}{}", said.message(), detail.unwrap_or_default());
    }
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        words.push_str(": ");
        words.push_str(&next.to_string());
        cause = next.source();
    }
    words
}

/// The same for an error of the pool.
#[must_use]
pub fn pool_in_words(error: &PoolError) -> String {
    match error {
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
            in_words(error)
        }
        PoolError::PostCreateHook(HookError::Message(words)) => words.to_string(),
        PoolError::Timeout(TimeoutType::Wait) => "all connections are in use".to_owned(),
        PoolError::Timeout(TimeoutType::Create | TimeoutType::Recycle) => {
            "it does not answer".to_owned()
        }
        PoolError::Closed => "its connections are closed".to_owned(),
        PoolError::NoRuntimeSpecified => "no runtime".to_owned(),
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let words = format!("the database: {}", in_words(&error));
        match trouble(&error) {
            Trouble::Away | Trouble::Again | Trouble::Refused => Self::Unavailable(words),
            Trouble::Fault => Self::Damaged(words),
        }
    }
}

impl From<PoolError> for StoreError {
    fn from(error: PoolError) -> Self {
        let words = format!("the database: {}", pool_in_words(&error));
        match trouble_of_pool(&error) {
            Trouble::Away | Trouble::Again | Trouble::Refused => Self::Unavailable(words),
            Trouble::Fault => Self::Damaged(words),
        }
    }
}
