//! Events that are copied to the database, as columns.

use deadpool_postgres::Transaction;
use uuid::Uuid;

use super::super::rows::{self, Facts};
use crate::store::StoreError;
use crate::store::copy::Portion;
use crate::store::index::rows::LastRow;
use crate::store::record::CarriedDelivery;

const PUT_EVENTS: &str = "INSERT INTO ingate.event (id, source, received_at, facts, message, size, body, purged_at) \
    SELECT id, source, received, facts::json, message, size, body, purged FROM \
        unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::bytea[], $8::bigint[]) \
        AS n(id, source, received, facts, message, size, body, purged)";

const PUT_DELIVERIES: &str = "INSERT INTO ingate.delivery (id, event, route, target, state, at, reason, attempts, started_at, seq, \
        order_key, skip, rank, ready, mark, frozen, last_started, last_took, last_code, last_template, had_success) \
    SELECT id, event, route, target, state, at, reason, attempts, started, seq, key, skip, rank, key IS NULL, mark::json, frozen, \
        last_started, last_took, last_code, last_template, success \
    FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::smallint[], $6::bigint[], $7::smallint[], $8::integer[], $9::bigint[], \
        $10::integer[], $11::bytea[], $12::boolean[], $13::bigint[], $14::text[], $15::bytea[], $16::bigint[], $17::bigint[], $18::integer[], \
        $19::bytea[], $20::boolean[]) \
        AS n(id, event, route, target, state, at, reason, attempts, started, seq, key, skip, rank, mark, frozen, last_started, last_took, \
            last_code, last_template, success)";

const PUT_ATTEMPTS: &str = "INSERT INTO ingate.attempt (event, delivery, seq, number, started_at, took, outcome, sent) \
    SELECT event, delivery, seq, number, started, took, outcome::json, sent::json FROM \
        unnest($1::uuid[], $2::uuid[], $3::integer[], $4::integer[], $5::bigint[], $6::bigint[], $7::text[], $8::text[]) \
        AS n(event, delivery, seq, number, started, took, outcome, sent)";

const PUT_KEYS: &str = "INSERT INTO ingate.seen (key, body, event, expires_at) \
    SELECT key, body, event, expires FROM unnest($1::bytea[], $2::bytea[], $3::uuid[], $4::bigint[]) AS n(key, body, event, expires) \
    ORDER BY key";

/// Events as columns.
#[derive(Default)]
pub(super) struct Lot<'a> {
    events: Vec<Uuid>,
    sources: Vec<&'a str>,
    received: Vec<i64>,
    facts: Vec<String>,
    messages: Vec<Option<i64>>,
    sizes: Vec<i64>,
    bodies: Vec<&'a [u8]>,
    purged: Vec<Option<i64>>,
    keys: Vec<&'a [u8]>,
    key_bodies: Vec<&'a [u8]>,
    key_events: Vec<Uuid>,
    key_expires: Vec<i64>,
    deliveries: Deliveries<'a>,
    attempts: Attempts,
}

impl<'a> Lot<'a> {
    pub(super) fn new(portions: &'a [Portion]) -> Result<Self, StoreError> {
        let mut lot = Self::default();
        for Portion { carried, purged_at } in portions {
            let event = &carried.event;
            let id = rows::uuid(&event.id);
            lot.events.push(id);
            lot.sources.push(event.source.as_str());
            lot.received.push(event.received_at);
            lot.facts.push(rows::json(&Facts {
                event_type: event.event_type.clone(),
                message_id: event.message_id.clone(),
                headers: event.headers.clone(),
                hops: event.hops,
                receipt: carried.receipt.clone(),
            })?);
            let message = event.message_id.as_deref();
            lot.messages.push(message.map(rows::message_hash));
            lot.sizes.push(length(event.body.0.len()));
            lot.bodies.push(&event.body.0);
            lot.purged.push(*purged_at);
            if let Some(key) = &carried.key {
                lot.keys.push(&key.key);
                lot.key_bodies.push(&key.body);
                lot.key_events.push(id);
                lot.key_expires.push(key.expires);
            }
            for one in &carried.deliveries {
                lot.deliveries.add(id, one)?;
                lot.attempts.add(id, one)?;
            }
        }
        Ok(lot)
    }

    /// Puts them into the database.
    pub(super) async fn put(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        transaction
            .execute(
                PUT_EVENTS,
                &[
                    &self.events,
                    &self.sources,
                    &self.received,
                    &self.facts,
                    &self.messages,
                    &self.sizes,
                    &self.bodies,
                    &self.purged,
                ],
            )
            .await?;
        self.deliveries.put(transaction).await?;
        self.attempts.put(transaction).await?;
        transaction
            .execute(
                PUT_KEYS,
                &[
                    &self.keys,
                    &self.key_bodies,
                    &self.key_events,
                    &self.key_expires,
                ],
            )
            .await?;
        Ok(())
    }
}

fn length(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn small_count(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[derive(Default)]
struct Deliveries<'a> {
    ids: Vec<Uuid>,
    events: Vec<Uuid>,
    routes: Vec<&'a str>,
    targets: Vec<&'a str>,
    states: Vec<i16>,
    at: Vec<i64>,
    reasons: Vec<Option<i16>>,
    attempts: Vec<i32>,
    started: Vec<i64>,
    seqs: Vec<i32>,
    keys: Vec<Option<&'a [u8]>>,
    skips: Vec<bool>,
    ranks: Vec<Option<i64>>,
    marks: Vec<Option<String>>,
    frozen: Vec<Option<&'a [u8]>>,
    last_started: Vec<Option<i64>>,
    last_took: Vec<Option<i64>>,
    last_codes: Vec<Option<i32>>,
    last_templates: Vec<Option<Vec<u8>>>,
    successes: Vec<bool>,
}

impl<'a> Deliveries<'a> {
    fn add(&mut self, event: Uuid, one: &'a CarriedDelivery) -> Result<(), StoreError> {
        let it = &one.delivery;
        let (state, at, reason) = rows::state_columns(&it.state.into());
        self.ids.push(rows::uuid(&it.id));
        self.events.push(event);
        self.routes.push(it.route.as_str());
        self.targets.push(it.target.as_str());
        self.states.push(state);
        self.at.push(at);
        self.reasons.push(reason);
        self.attempts
            .push(i32::try_from(it.attempts).unwrap_or(i32::MAX));
        self.started.push(it.started_at);
        self.seqs.push(small_count(one.log.len()));
        let order = it.order.as_ref();
        self.keys.push(order.map(|order| order.key.as_slice()));
        self.skips.push(order.is_some_and(|order| order.skip));
        let rank = order.map(|order| i64::try_from(order.rank).unwrap_or(i64::MAX));
        self.ranks.push(rank);
        self.marks
            .push(it.mark.as_ref().map(rows::json).transpose()?);
        self.frozen.push(one.frozen.as_ref().map(|body| &*body.0));
        let last = one.log.last().map(LastRow::from);
        self.last_started.push(last.map(|last| last.started_at));
        self.last_took.push(last.map(|last| i64::from(last.took)));
        self.last_codes.push(last.map(|last| i32::from(last.code)));
        self.last_templates
            .push(last.and_then(|last| last.template.map(|hash| hash.to_vec())));
        self.successes.push(it.had_success);
        Ok(())
    }

    async fn put(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        transaction
            .execute(
                PUT_DELIVERIES,
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
                    &self.seqs,
                    &self.keys,
                    &self.skips,
                    &self.ranks,
                    &self.marks,
                    &self.frozen,
                    &self.last_started,
                    &self.last_took,
                    &self.last_codes,
                    &self.last_templates,
                    &self.successes,
                ],
            )
            .await?;
        Ok(())
    }
}

#[derive(Default)]
struct Attempts {
    events: Vec<Uuid>,
    deliveries: Vec<Uuid>,
    seqs: Vec<i32>,
    numbers: Vec<i32>,
    started: Vec<i64>,
    took: Vec<i64>,
    outcomes: Vec<String>,
    sent: Vec<Option<String>>,
}

impl Attempts {
    fn add(&mut self, event: Uuid, one: &CarriedDelivery) -> Result<(), StoreError> {
        for (i, attempt) in one.log.iter().enumerate() {
            let (outcome, sent) = rows::attempt_columns(attempt)?;
            self.events.push(event);
            self.deliveries.push(rows::uuid(&one.delivery.id));
            self.seqs.push(small_count(i).saturating_add(1));
            self.numbers
                .push(i32::try_from(attempt.number).unwrap_or(i32::MAX));
            self.started.push(attempt.started_at);
            self.took
                .push(i64::try_from(attempt.took).unwrap_or(i64::MAX));
            self.outcomes.push(outcome);
            self.sent.push(sent);
        }
        Ok(())
    }

    async fn put(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        transaction
            .execute(
                PUT_ATTEMPTS,
                &[
                    &self.events,
                    &self.deliveries,
                    &self.seqs,
                    &self.numbers,
                    &self.started,
                    &self.took,
                    &self.outcomes,
                    &self.sent,
                ],
            )
            .await?;
        Ok(())
    }
}
