//! The store over PostgreSQL against the contract.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::super::{PgOptions, PgStore};
use super::{Database, connection};
use crate::clock::ManualClock;
use crate::store::Store;
use crate::store::contract::{Bench, contract};

/// Options for a store in this database.
pub fn options(database: &Database) -> PgOptions {
    PgOptions {
        connection: connection(&database.url()),
        name: "test".to_owned(),
        lease: Duration::from_secs(10),
        retention: Duration::from_secs(7 * 24 * 3600),
        dead_retention: None,
    }
}

struct PgBench {
    database: Database,
    last: Mutex<Option<Arc<PgStore>>>,
}

#[async_trait]
impl Bench for PgBench {
    async fn open(&self, clock: Arc<ManualClock>) -> Arc<dyn Store> {
        let last = self.last.lock().unwrap().take();
        if let Some(last) = last {
            last.close().await;
        }
        let options = options(&self.database);
        let opened = PgStore::open(&options, Some(clock)).await;
        let store = Arc::new(opened.unwrap());
        *self.last.lock().unwrap() = Some(Arc::clone(&store));
        store
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_over_postgresql_keeps_the_contract() {
    let Some(server) = super::or_skip(super::Server::shared()) else {
        return;
    };
    contract(|| {
        Box::new(PgBench {
            database: server.database(),
            last: Mutex::new(None),
        })
    })
    .await;
}
