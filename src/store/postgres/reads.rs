//! Single look-ups and counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::Inner;
use super::claims::columns;
use super::rows;
use crate::delivery::{Attempt, Delivery};
use crate::event::Event;
use crate::id::{DeliveryId, EventId};
use crate::store::record;
use crate::store::{DeadGroup, Depth, EventRow, ListedDelivery, Receipt, StoreError};

const ONE_EVENT: &str = "SELECT e.id, {EVENT}, e.body FROM ingate.event e WHERE e.id = $1";

const ONE_ROW: &str = "SELECT e.id, {EVENT}, ARRAY(SELECT d.id FROM ingate.delivery d WHERE d.event = e.id ORDER BY d.id) AS deliveries \
    FROM ingate.event e WHERE e.id = $1";

const ONE_DELIVERY: &str = "SELECT {DELIVERY}, {EVENT}, d.frozen FROM ingate.delivery d JOIN ingate.event e ON e.id = d.event WHERE d.id = $1";

const ATTEMPTS: &str = "SELECT a.number, a.started_at, a.took, a.outcome::text AS outcome, a.sent::text AS sent \
    FROM ingate.attempt a WHERE a.event = $1 AND a.delivery = $2 ORDER BY a.seq";

const PENDING: &str = "SELECT target, count(*) AS count, min(started_at) AS oldest FROM ingate.delivery WHERE state = 0 GROUP BY target";

const DEAD: &str =
    "SELECT target, count(*) AS count FROM ingate.delivery WHERE state = 2 GROUP BY target";

/// The database knows no least uuid; as text they sort alike.
const GROUPS: &str = "SELECT target, reason, count(*) AS count, min(id::text COLLATE \"C\")::uuid AS oldest, \
    max(id::text COLLATE \"C\")::uuid AS newest FROM ingate.delivery WHERE state = 2 GROUP BY target, reason \
    ORDER BY target COLLATE \"C\", reason";

impl Inner {
    pub(super) async fn rows(
        &self,
        statement: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, StoreError> {
        let lent = self.link.lend().await?;
        lent.run(async {
            let statement = lent.prepare_cached(statement).await?;
            Ok(lent.query(&statement, values).await?)
        })
        .await
    }

    /// The only row.
    pub(super) async fn row(
        &self,
        statement: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, StoreError> {
        let rows = self.rows(statement, values).await?;
        rows.into_iter().next().ok_or(StoreError::NotFound)
    }

    pub(super) async fn event(&self, id: EventId) -> Result<Arc<Event>, StoreError> {
        let row = self
            .row(&columns(ONE_EVENT), &[&rows::uuid(id.as_bytes())])
            .await?;
        let purged: Option<i64> = rows::get(&row, "purged_at")?;
        match purged {
            Some(_) => Err(StoreError::Purged),
            None => rows::event(&row, "id"),
        }
    }

    pub(super) async fn event_row(&self, id: EventId) -> Result<EventRow, StoreError> {
        let row = self
            .row(&columns(ONE_ROW), &[&rows::uuid(id.as_bytes())])
            .await?;
        let ids: Vec<uuid::Uuid> = rows::get(&row, "deliveries")?;
        rows::event_row(&row, ids.into_iter().map(rows::delivery_id).collect())
    }

    pub(super) async fn receipt(&self, id: EventId) -> Result<Option<Receipt>, StoreError> {
        let statement = "SELECT e.facts::text AS facts FROM ingate.event e WHERE e.id = $1";
        let row = self.row(statement, &[&rows::uuid(id.as_bytes())]).await?;
        Ok(rows::facts(&row)?.receipt.map(Into::into))
    }

    async fn delivery_row(&self, id: DeliveryId) -> Result<Row, StoreError> {
        self.row(&columns(ONE_DELIVERY), &[&rows::uuid(id.as_bytes())])
            .await
    }

    pub(super) async fn delivery(&self, id: DeliveryId) -> Result<Delivery, StoreError> {
        rows::delivery(&self.delivery_row(id).await?)
    }

    pub(super) async fn listed(&self, id: DeliveryId) -> Result<ListedDelivery, StoreError> {
        rows::listed(&self.delivery_row(id).await?)
    }

    pub(super) async fn frozen(&self, id: DeliveryId) -> Result<Option<Bytes>, StoreError> {
        let row = self.delivery_row(id).await?;
        let purged: Option<i64> = rows::get(&row, "purged_at")?;
        if purged.is_some() {
            return Err(StoreError::Purged);
        }
        let frozen: Option<&[u8]> = rows::get(&row, "frozen")?;
        Ok(frozen.map(Bytes::copy_from_slice))
    }

    pub(super) async fn attempts(&self, id: DeliveryId) -> Result<Vec<Attempt>, StoreError> {
        // its event tells in which day they stand
        let event = self.delivery(id).await?.event;
        let (event, id) = (rows::uuid(event.as_bytes()), rows::uuid(id.as_bytes()));
        let found = self.rows(ATTEMPTS, &[&event, &id]).await?;
        found.iter().map(rows::attempt).collect()
    }

    pub(super) async fn depths(&self) -> Result<Vec<Depth>, StoreError> {
        let mut depths = BTreeMap::new();
        for row in self.rows(PENDING, &[]).await? {
            let depth = Depth {
                target: rows::name(&row, "target")?,
                pending: rows::count(rows::get(&row, "count")?),
                dead: 0,
                oldest_pending: rows::get::<Option<i64>>(&row, "oldest")?.map(record::time),
            };
            depths.insert(depth.target.clone(), depth);
        }
        for row in self.rows(DEAD, &[]).await? {
            let target: crate::id::TargetName = rows::name(&row, "target")?;
            let depth = depths.entry(target.clone()).or_insert(Depth {
                target,
                pending: 0,
                dead: 0,
                oldest_pending: None,
            });
            depth.dead = rows::count(rows::get(&row, "count")?);
        }
        Ok(depths.into_values().collect())
    }

    pub(super) async fn dead_groups(&self) -> Result<Vec<DeadGroup>, StoreError> {
        let found = self.rows(GROUPS, &[]).await?;
        let group = |row: &Row| {
            let reason: Option<i16> = rows::get(row, "reason")?;
            let code = reason.and_then(|it| u8::try_from(it).ok()).unwrap_or(0);
            Ok(DeadGroup {
                target: rows::name(row, "target")?,
                reason: record::reason(code),
                count: rows::count(rows::get(row, "count")?),
                oldest: rows::delivery_id(rows::get(row, "oldest")?),
                newest: rows::delivery_id(rows::get(row, "newest")?),
            })
        };
        found.iter().map(group).collect()
    }
}
