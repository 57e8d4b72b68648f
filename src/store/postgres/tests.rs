//! Connections and the schema, on a server of the tests' own.

mod cleaning;
mod connecting;
mod contract;
mod fleet;
mod migrating;

use super::server::{Database, Server, or_skip};
use super::{ConnectError, Connection};
use crate::secret::Secret;

/// A new database with a connection to it; `None`, with a word, where there is no server.
fn database() -> Option<(Database, Connection)> {
    let database = or_skip(Server::shared())?.database();
    let connection = connection(&database.url());
    Some((database, connection))
}

fn connection(url: &str) -> Connection {
    Connection {
        url: Secret::new(url),
        pool: 4,
        ca: None,
    }
}

async fn first(connection: &Connection) -> Result<deadpool_postgres::Client, ConnectError> {
    connection.first(&connection.pool()?).await
}
