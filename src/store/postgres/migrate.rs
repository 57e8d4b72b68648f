//! The schema of the database: its versions, and how one becomes the next.
//!
//! Promise: of several processes that start at once one migrates and the others wait for it; a version is there as a
//! whole or not at all; a database that a newer program has migrated is left alone.

use std::fmt;

use tokio_postgres::{Client, GenericClient};

use super::trouble::{Trouble, in_words, trouble};

/// One step of the schema.
#[derive(Debug, PartialEq, Eq)]
pub struct Migration {
    /// Its number, from 1.
    pub version: i32,
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub sql: &'static str,
}

/// All steps, in their order. One that was released is never changed: what it made is out there.
pub const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "first",
    sql: include_str!("migrations/0001_first.sql"),
}];

/// Whether there is a table of ours. It is asked of the catalogue's rows, which are seen as they stand when this begins; what looks
/// names up, as `to_regclass` does, may not have heard yet of what was made while the lock was waited for.
const THERE: &str = "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname = 'ingate' AND c.relname = $1::text)";

/// Held by who migrates, to the end of each transaction: "ingate" in ASCII, then a 1.
const LOCK: i64 = 0x0069_6e67_6174_6501;

/// How a schema stands to this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaState {
    /// There is none.
    None,
    /// It lacks steps.
    Older {
        /// The last step that it has.
        version: i32,
    },
    /// It is the one that this program works with.
    Same,
    /// A newer program has made it.
    Newer {
        /// Its last step.
        version: i32,
        /// The name of that.
        name: String,
    },
}

impl SchemaState {
    /// The last step that is there; 0 if there is none.
    #[must_use]
    pub fn version(&self) -> i32 {
        match self {
            Self::None => 0,
            Self::Older { version } | Self::Newer { version, .. } => *version,
            Self::Same => latest(),
        }
    }

    /// The steps that are still to be taken, in their order.
    #[must_use]
    pub fn pending(&self) -> &'static [Migration] {
        let done = match self {
            Self::None => 0,
            Self::Older { version } => *version,
            Self::Same | Self::Newer { .. } => return &[],
        };
        let from = MIGRATIONS.partition_point(|step| step.version <= done);
        MIGRATIONS.get(from..).unwrap_or_default()
    }
}

/// In words: `there is no schema`, `version 1, and 2 is wanted`.
impl fmt::Display for SchemaState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("there is no schema"),
            Self::Older { version } => write!(f, "version {version}, and {} is wanted", latest()),
            Self::Same => write!(f, "version {}", latest()),
            Self::Newer { version, name } => {
                write!(f, "version {version} ({name}), and {} is known", latest())
            }
        }
    }
}

/// Why a schema could not be read or migrated.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A newer program has made it.
    #[error(
        "the schema of the database has version {version} ({name}), and this program knows no version after {}: use the program that made it, or a newer one",
        latest()
    )]
    Newer {
        /// Its last step.
        version: i32,
        /// The name of that.
        name: String,
    },
    /// It has other steps than this program.
    #[error(
        "the schema of the database has a version {version} called {found}, which this program calls {known}: it was made by a program of another kind"
    )]
    Foreign {
        /// The step.
        version: i32,
        /// How it is called there.
        found: String,
        /// How it is called here.
        known: &'static str,
    },
    /// A copy to it was broken off.
    #[error("a copy to the database was broken off: `ingate store copy` goes on with it")]
    HalfCopied,
    /// A step could not be taken; nothing of it is there.
    #[error("step {version} ({name}) of the schema could not be taken: {why}")]
    Step {
        /// Its number.
        version: i32,
        /// Its name.
        name: &'static str,
        /// Why.
        why: String,
        /// Whether the database is only away.
        away: bool,
    },
    /// The database did not answer, or not as it should.
    #[error("the schema of the database could not be read: {why}")]
    Database {
        /// Why.
        why: String,
        /// Whether it is only away.
        away: bool,
    },
}

impl MigrateError {
    /// Whether the same may go later.
    #[must_use]
    pub fn is_away(&self) -> bool {
        matches!(
            self,
            Self::Database { away: true, .. } | Self::Step { away: true, .. }
        )
    }
}

impl From<tokio_postgres::Error> for MigrateError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database {
            why: in_words(&error),
            away: is_away(&error),
        }
    }
}

/// Whether the same may go later.
fn is_away(error: &tokio_postgres::Error) -> bool {
    matches!(trouble(error), Trouble::Away | Trouble::Again)
}

fn latest() -> i32 {
    MIGRATIONS.last().map_or(0, |step| step.version)
}

/// How the schema of the database stands; changes nothing.
///
/// # Errors
/// If it cannot be read, or is of another kind.
pub async fn state(client: &Client) -> Result<SchemaState, MigrateError> {
    read(client).await
}

async fn read(client: &impl GenericClient) -> Result<SchemaState, MigrateError> {
    if !client
        .query_one(THERE, &[&"migration"])
        .await?
        .try_get::<_, bool>(0)?
    {
        return Ok(SchemaState::None);
    }
    let steps = "SELECT version, name FROM ingate.migration ORDER BY version";
    let mut last = None;
    for row in client.query(steps, &[]).await? {
        let (version, name): (i32, String) = (row.try_get(0)?, row.try_get(1)?);
        let known = MIGRATIONS.iter().find(|step| step.version == version);
        if let Some(known) = known
            && known.name != name
        {
            return Err(MigrateError::Foreign {
                version,
                found: name,
                known: known.name,
            });
        }
        last = Some((version, name));
    }
    Ok(match last {
        None => SchemaState::None,
        Some((version, _)) if version < latest() => SchemaState::Older { version },
        Some((version, name)) if version > latest() => SchemaState::Newer { version, name },
        Some(_) => SchemaState::Same,
    })
}

/// Takes the steps that the schema lacks, each in a transaction of its own; waits for another who does so. Gives those that
/// it has taken itself.
///
/// # Errors
/// If the schema is newer or of another kind, or a step fails; then the steps before it stay. If a copy to the database was broken
/// off, so that not all is there that should be.
pub async fn migrate(client: &mut Client) -> Result<Vec<&'static Migration>, MigrateError> {
    if copy_under_way(client).await?.is_some() {
        return Err(MigrateError::HalfCopied);
    }
    migrate_for_copy(client).await
}

/// The same for who copies to it.
pub(super) async fn migrate_for_copy(
    client: &mut Client,
) -> Result<Vec<&'static Migration>, MigrateError> {
    let mut taken = Vec::new();
    while let Some(step) = take_next(client).await? {
        tracing::info!(
            version = step.version,
            name = step.name,
            "the schema of the database has a new version"
        );
        taken.push(step);
    }
    Ok(taken)
}

/// Takes the next step that is lacking, if there is one.
async fn take_next(client: &mut Client) -> Result<Option<&'static Migration>, MigrateError> {
    let transaction = client.transaction().await?;
    // Steps may rewrite tables, and others wait for that.
    transaction
        .batch_execute("SET LOCAL statement_timeout = 0; SET LOCAL synchronous_commit = on")
        .await?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
        .await?;
    let state = read(&transaction).await?;
    if let SchemaState::Newer { version, name } = state {
        return Err(MigrateError::Newer { version, name });
    }
    let Some(step) = state.pending().first() else {
        return Ok(None);
    };
    let failed = |error: tokio_postgres::Error| MigrateError::Step {
        version: step.version,
        name: step.name,
        why: in_words(&error),
        away: is_away(&error),
    };
    if state == SchemaState::None {
        transaction.batch_execute(GROUND).await.map_err(failed)?;
    }
    transaction.batch_execute(step.sql).await.map_err(failed)?;
    let note = "INSERT INTO ingate.migration (version, name) VALUES ($1, $2)";
    transaction
        .execute(note, &[&step.version, &step.name])
        .await
        .map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(Some(step))
}

/// What is being copied to the database, if that has not ended.
pub(super) async fn copy_under_way(
    client: &Client,
) -> Result<Option<String>, tokio_postgres::Error> {
    if !client
        .query_one(THERE, &[&"copying"])
        .await?
        .try_get::<_, bool>(0)?
    {
        return Ok(None);
    }
    let row = client
        .query_opt("SELECT source FROM ingate.copying", &[])
        .await?;
    row.map(|row| row.try_get(0)).transpose()
}

/// Notes what is being copied to the database, or that it has ended. There is a table for it only meanwhile.
pub(super) async fn note_copy(
    client: &Client,
    source: Option<&str>,
) -> Result<(), tokio_postgres::Error> {
    client
        .batch_execute("DROP TABLE IF EXISTS ingate.copying")
        .await?;
    let Some(source) = source else {
        return Ok(());
    };
    // A table that is made of it holds it from the first moment on; it takes no parameters.
    let quoted = source.replace('\'', "''");
    let make = format!("CREATE TABLE ingate.copying AS SELECT '{quoted}'::text AS source");
    client.batch_execute(&make).await
}

/// What the first step stands on. The schema may be there already, made by who may make schemas, for a user that may not.
const GROUND: &str = "
DO $$ BEGIN
    IF to_regnamespace('ingate') IS NULL THEN CREATE SCHEMA ingate; END IF;
END $$;
CREATE TABLE IF NOT EXISTS ingate.migration (
    version integer PRIMARY KEY,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_numbered_without_gaps_and_each_has_its_file() {
        for (i, step) in MIGRATIONS.iter().enumerate() {
            assert_eq!(usize::try_from(step.version), Ok(i + 1), "{}", step.name);
            let file = format!("migrations/{:04}_{}.sql", step.version, step.name);
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("src/store/postgres")
                .join(file);
            assert_eq!(
                std::fs::read_to_string(&path).ok().as_deref(),
                Some(step.sql)
            );
        }
    }

    #[test]
    fn what_is_lacking_follows_from_what_is_there() {
        let numbers = |state: &SchemaState| -> Vec<i32> {
            state.pending().iter().map(|step| step.version).collect()
        };
        let all: Vec<i32> = (1..=latest()).collect();
        assert_eq!(numbers(&SchemaState::None), all);
        assert_eq!(numbers(&SchemaState::Older { version: 0 }), all);
        assert!(numbers(&SchemaState::Same).is_empty());
        let newer = SchemaState::Newer {
            version: latest() + 1,
            name: "later".to_owned(),
        };
        assert!(numbers(&newer).is_empty());
    }
}
