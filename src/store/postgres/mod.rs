//! The store over PostgreSQL, for several processes on one database.

pub mod connect;
pub mod migrate;
#[cfg(test)]
#[path = "../../../tests/support/postgres.rs"]
mod server;
#[cfg(test)]
mod tests;
pub mod trouble;

pub use connect::{ConnectError, Connection};
pub use migrate::{MIGRATIONS, MigrateError, Migration, SchemaState};
