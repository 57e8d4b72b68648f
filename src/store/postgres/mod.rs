//! The store over PostgreSQL, for several processes on one database.

pub mod connect;
pub mod migrate;
pub mod trouble;

pub use connect::{ConnectError, Connection};
pub use migrate::{MIGRATIONS, MigrateError, Migration, SchemaState};
