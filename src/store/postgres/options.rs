//! What a configuration says of the store, as the store takes it.

use super::{Connection, PgOptions};
use crate::plan::StorePlan;

impl PgOptions {
    /// Those of this plan; `None` if its store is no database.
    #[must_use]
    pub fn of(plan: &StorePlan) -> Option<Self> {
        let database = plan.postgres.as_ref()?;
        Some(Self {
            connection: Connection {
                url: database.url.clone(),
                pool: database.pool,
                ca: database.ca.clone(),
            },
            name: database.name.clone().unwrap_or_else(host),
            lease: database.lease,
            retention: plan.retention,
            dead_retention: plan.dead_retention,
        })
    }
}

/// The name of this machine.
fn host() -> String {
    let system = rustix::system::uname();
    system.nodename().to_string_lossy().into_owned()
}
