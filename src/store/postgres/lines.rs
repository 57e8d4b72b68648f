//! Lines: deliveries to one target with one order key, one after another. Only the first of a line is `ready`; who changes who
//! stands where locks the line's row, then the deliveries.
//!
//! Why two statements in a row settle who is first: a statement sees what was there when it began. Somebody may have claimed the
//! first one meanwhile; the second statement sees that, and by then the row is locked, so that nobody can any more.

use deadpool_postgres::Client;

use super::link::Failed;

/// Lines, by target and key.
#[derive(Debug, Default)]
pub(super) struct Lines {
    targets: Vec<String>,
    keys: Vec<Vec<u8>>,
}

/// Takes the rows of lines, in the order in which everybody takes them.
const LOCK: &str = "INSERT INTO ingate.line (target, key) \
    SELECT DISTINCT t, k FROM unnest($1::text[], $2::bytea[]) AS l(t, k) ORDER BY t, k \
    ON CONFLICT (target, key) DO UPDATE SET target = excluded.target";

/// Makes the first of each line ready, and nobody else. One that is claimed stays first until it is settled.
const ARRANGE: &str = "WITH l AS (SELECT DISTINCT t, k FROM unnest($1::text[], $2::bytea[]) AS l(t, k)), \
    f AS MATERIALIZED (SELECT l.t, l.k, COALESCE( \
        (SELECT d.id FROM ingate.delivery d WHERE d.target = l.t AND d.order_key = l.k AND d.order_key IS NOT NULL \
            AND (d.ready OR d.lease IS NOT NULL) AND d.lease IS NOT NULL LIMIT 1), \
        (SELECT d.id FROM ingate.delivery d WHERE d.target = l.t AND d.order_key = l.k AND d.order_key IS NOT NULL \
            AND (d.state = 0 OR (d.state = 2 AND NOT d.skip)) ORDER BY d.rank LIMIT 1)) AS id FROM l), \
    back AS (UPDATE ingate.delivery d SET ready = false FROM f \
        WHERE d.target = f.t AND d.order_key = f.k AND d.order_key IS NOT NULL AND (d.ready OR d.lease IS NOT NULL) \
            AND d.ready AND d.id IS DISTINCT FROM f.id) \
    UPDATE ingate.delivery d SET ready = true FROM f WHERE d.id = f.id AND d.state = 0 AND NOT d.ready";

impl Lines {
    pub(super) fn add(&mut self, target: &str, key: &[u8]) {
        self.targets.push(target.to_owned());
        self.keys.push(key.to_vec());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Locks them until the end of the transaction.
    pub(super) async fn lock(&self, client: &Client) -> Result<(), Failed> {
        if !self.is_empty() {
            let statement = client.prepare_cached(LOCK).await?;
            client
                .execute(&statement, &[&self.targets, &self.keys])
                .await?;
        }
        Ok(())
    }

    /// Sees to it that the first of each is ready. They must be locked.
    pub(super) async fn arrange(&self, client: &Client) -> Result<(), Failed> {
        if !self.is_empty() {
            let statement = client.prepare_cached(ARRANGE).await?;
            for _ in 0..2 {
                client
                    .execute(&statement, &[&self.targets, &self.keys])
                    .await?;
            }
        }
        Ok(())
    }
}
