//! New deliveries as columns, and how they get into the database beside an event that is there.

use deadpool_postgres::Client;
use uuid::Uuid;

use super::lines::Lines;
use super::link::Failed;
use super::rows;
use crate::delivery::Delivery;
use crate::order::OnDead;
use crate::store::StoreError;
use crate::store::record::{self, StoredMark};

const INSERT: &str = "INSERT INTO ingate.delivery (id, event, route, target, state, at, reason, attempts, started_at, order_key, skip, \
        mark, rank, ready) \
    SELECT id, event, route, target, state, at, reason, attempts, started, key, skip, mark::json, \
        CASE WHEN key IS NOT NULL THEN nextval('ingate.rank') END, key IS NULL \
    FROM (SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::smallint[], $6::bigint[], $7::smallint[], \
        $8::integer[], $9::bigint[], $10::bytea[], $11::boolean[], $12::text[]) WITH ORDINALITY \
        AS n(id, event, route, target, state, at, reason, attempts, started, key, skip, mark, place) ORDER BY place) n";

/// New deliveries as columns.
#[derive(Default)]
pub(super) struct Columns<'a> {
    pub(super) ids: Vec<Uuid>,
    pub(super) events: Vec<Uuid>,
    pub(super) routes: Vec<&'a str>,
    pub(super) targets: Vec<&'a str>,
    pub(super) states: Vec<i16>,
    pub(super) at: Vec<i64>,
    pub(super) reasons: Vec<Option<i16>>,
    pub(super) attempts: Vec<i32>,
    pub(super) started: Vec<i64>,
    pub(super) keys: Vec<Option<&'a [u8]>>,
    pub(super) skips: Vec<bool>,
    pub(super) marks: Vec<Option<String>>,
    pub(super) leases: Vec<Option<i64>>,
}

impl<'a> Columns<'a> {
    /// Adds one; its line, if it stands in one, goes to `lines`.
    pub(super) fn add(
        &mut self,
        delivery: &'a Delivery,
        lease: Option<i64>,
        lines: &mut Lines,
    ) -> Result<(), StoreError> {
        let (state, at, reason) = rows::state_columns(&delivery.state);
        self.ids.push(rows::uuid(delivery.id.as_bytes()));
        self.events.push(rows::uuid(delivery.event.as_bytes()));
        self.routes.push(delivery.route.as_str());
        self.targets.push(delivery.target.as_str());
        self.states.push(state);
        self.at.push(at);
        self.reasons.push(reason);
        self.attempts
            .push(i32::try_from(delivery.attempts).unwrap_or(i32::MAX));
        self.started.push(record::millis(delivery.started_at));
        let order = delivery.order.as_ref();
        self.keys
            .push(order.map(|order| order.key.as_bytes().as_slice()));
        self.skips
            .push(order.is_some_and(|order| order.on_dead == OnDead::Skip));
        let mark = delivery.mark.map(StoredMark::from);
        self.marks.push(mark.as_ref().map(rows::json).transpose()?);
        self.leases.push(lease);
        if let Some(order) = order {
            lines.add(delivery.target.as_str(), order.key.as_bytes());
        }
        Ok(())
    }

    /// Puts them into the database. Those in lines are not ready yet.
    pub(super) async fn insert(&self, client: &Client) -> Result<(), Failed> {
        let statement = client.prepare_cached(INSERT).await?;
        client
            .execute(
                &statement,
                &[
                    &self.ids,
                    &self.events,
                    &self.routes,
                    &self.targets,
                    &self.states,
                    &self.at,
                    &self.reasons,
                    &self.attempts,
                    &self.started,
                    &self.keys,
                    &self.skips,
                    &self.marks,
                ],
            )
            .await?;
        Ok(())
    }
}
