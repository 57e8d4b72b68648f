//! Rows of the database as what they stand for, and back. The types and codes of the embedded store's records are used, so
//! that both stores keep the same of everything.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use crate::delivery::{Attempt, Delivery, LastAttempt, State, StateKind};
use crate::event::{Event, EventParts};
use crate::id::{DeliveryId, EventId};
use crate::order::{OnDead, Order, OrderKey};
use crate::store::record::{
    self, StoredAttempt, StoredMark, StoredOutcome, StoredReceipt, StoredSent,
};
use crate::store::{EventRow, ListedDelivery, Receipt, StoreError};

/// The columns of a delivery, of a table named `d`.
pub(super) const DELIVERY: &str = "d.id, d.event, d.route, d.target, d.state, d.at, d.reason, d.attempts, d.started_at, \
    d.order_key, d.skip, d.mark::text AS mark, d.lease, d.last_started, d.last_took, d.last_code, d.last_template, d.had_success";

/// The columns of an event, of a table named `e`, without its body.
pub(super) const EVENT: &str =
    "e.source, e.received_at, e.facts::text AS facts, e.size, e.purged_at";

/// What an event's row says in JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    #[serde(rename = "type")]
    pub(super) event_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) message_id: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) headers: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) hops: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) receipt: Option<StoredReceipt>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(hops: &u32) -> bool {
    *hops == 0
}

impl Facts {
    pub(super) fn new(event: &EventParts, receipt: Option<&Receipt>) -> Self {
        Self {
            event_type: event.event_type.clone(),
            message_id: event.message_id.clone(),
            headers: event.headers.clone(),
            hops: event.hops,
            receipt: receipt.map(Into::into),
        }
    }

    /// Without what the sender wrote, but for the type.
    pub(super) fn emptied(self) -> Self {
        Self {
            message_id: None,
            headers: Vec::new(),
            ..self
        }
    }
}

/// The hash by which a message id is looked for.
pub(super) fn message_hash(id: &str) -> i64 {
    xxh3_64(id.as_bytes()).cast_signed()
}

/// JSON for a column.
pub(super) fn json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Damaged(error.to_string()))
}

/// What a column of JSON says.
pub(super) fn parsed<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Damaged(error.to_string()))
}

/// A column.
pub(super) fn get<'a, T: tokio_postgres::types::FromSql<'a>>(
    row: &'a Row,
    column: &str,
) -> Result<T, StoreError> {
    row.try_get(column)
        .map_err(|error| StoreError::Damaged(error.to_string()))
}

/// A name out of a column.
pub(super) fn name<T: std::str::FromStr<Err: std::fmt::Display>>(
    row: &Row,
    column: &str,
) -> Result<T, StoreError> {
    let text: &str = get(row, column)?;
    text.parse()
        .map_err(|error| StoreError::Damaged(format!("`{text}`: {error}")))
}

pub(super) fn event_id(id: Uuid) -> EventId {
    EventId::from_bytes(*id.as_bytes())
}

pub(super) fn delivery_id(id: Uuid) -> DeliveryId {
    DeliveryId::from_bytes(*id.as_bytes())
}

/// Any of our ids as the database has it.
pub(super) fn uuid(bytes: &[u8; 16]) -> Uuid {
    Uuid::from_bytes(*bytes)
}

/// A count of the database, which is never negative.
pub(super) fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// The number of a state.
pub(super) fn state_code(state: StateKind) -> i16 {
    match state {
        StateKind::Pending => 0,
        StateKind::Delivered => 1,
        StateKind::Dead => 2,
        StateKind::Discarded => 3,
    }
}

/// A state as three columns: its number, its time, a reason.
pub(super) fn state_columns(state: &State) -> (i16, i64, Option<i16>) {
    let (at, reason) = match state {
        State::Pending { due } => (due, None),
        State::Delivered { at } | State::Discarded { at } => (at, None),
        State::Dead { at, reason } => (at, Some(i16::from(record::reason_code(*reason)))),
    };
    (state_code(state.kind()), record::millis(*at), reason)
}

/// The state of those columns.
pub(super) fn state(code: i16, at: i64, reason: Option<i16>) -> State {
    let at = record::time(at);
    match code {
        0 => State::Pending { due: at },
        1 => State::Delivered { at },
        2 => State::Dead {
            at,
            reason: record::reason(reason.and_then(|it| u8::try_from(it).ok()).unwrap_or(0)),
        },
        _ => State::Discarded { at },
    }
}

/// A delivery.
pub(super) fn delivery(row: &Row) -> Result<Delivery, StoreError> {
    let key: Option<&[u8]> = get(row, "order_key")?;
    let skip: bool = get(row, "skip")?;
    let key = key.and_then(|key| <[u8; 16]>::try_from(key).ok());
    let order = key.map(|key| Order {
        key: OrderKey::from_bytes(key),
        on_dead: if skip { OnDead::Skip } else { OnDead::Hold },
    });
    let mark: Option<&str> = get(row, "mark")?;
    let mark = mark.map(parsed::<StoredMark>).transpose()?;
    let attempts: i32 = get(row, "attempts")?;
    Ok(Delivery {
        id: delivery_id(get(row, "id")?),
        event: event_id(get(row, "event")?),
        route: name(row, "route")?,
        target: name(row, "target")?,
        state: state(get(row, "state")?, get(row, "at")?, get(row, "reason")?),
        attempts: u32::try_from(attempts).unwrap_or(0),
        started_at: record::time(get(row, "started_at")?),
        order,
        mark: mark.map(Into::into),
    })
}

/// The hash of the template of the last attempt, as far as it is kept.
pub(super) fn last_template(row: &Row) -> Result<Option<[u8; 8]>, StoreError> {
    let template: Option<&[u8]> = get(row, "last_template")?;
    Ok(template.and_then(|bytes| bytes.try_into().ok()))
}

/// A delivery as listings show it, of a row that has its event's columns as well.
pub(super) fn listed(row: &Row) -> Result<ListedDelivery, StoreError> {
    let started: Option<i64> = get(row, "last_started")?;
    let took: Option<i64> = get(row, "last_took")?;
    let code: Option<i32> = get(row, "last_code")?;
    let last = started
        .zip(took)
        .zip(code)
        .map(|((started, took), code)| LastAttempt {
            started_at: record::time(started),
            took: Duration::from_millis(count(took)),
            result: record::result(u16::try_from(code).unwrap_or(0)),
        });
    Ok(ListedDelivery {
        delivery: delivery(row)?,
        source: name(row, "source")?,
        event_type: facts(row)?.event_type,
        last,
        had_success: get(row, "had_success")?,
    })
}

pub(super) fn facts(row: &Row) -> Result<Facts, StoreError> {
    parsed(get(row, "facts")?)
}

/// An event, of a row that has its body, and its id as this column.
pub(super) fn event(row: &Row, id: &str) -> Result<Arc<Event>, StoreError> {
    let facts = facts(row)?;
    let body: &[u8] = get(row, "body")?;
    Ok(Arc::new(Event::from_stored(EventParts {
        id: event_id(get(row, id)?),
        source: name(row, "source")?,
        message_id: facts.message_id,
        event_type: facts.event_type,
        headers: facts.headers,
        body: Bytes::copy_from_slice(body),
        received_at: record::time(get(row, "received_at")?),
        hops: facts.hops,
    })))
}

/// An event as listings show it.
pub(super) fn event_row(row: &Row, deliveries: Vec<DeliveryId>) -> Result<EventRow, StoreError> {
    let facts = facts(row)?;
    let purged: Option<i64> = get(row, "purged_at")?;
    Ok(EventRow {
        id: event_id(get(row, "id")?),
        source: name(row, "source")?,
        message_id: facts.message_id,
        event_type: facts.event_type,
        received_at: record::time(get(row, "received_at")?),
        size: count(get(row, "size")?),
        deliveries,
        purged_at: purged.map(record::time),
    })
}

/// The columns of an attempt that hold words: what came of it, and what was sent.
pub(super) fn attempt_columns(
    attempt: &StoredAttempt,
) -> Result<(String, Option<String>), StoreError> {
    let sent = attempt.sent.as_ref().map(json).transpose()?;
    Ok((json(&attempt.outcome)?, sent))
}

/// An attempt.
pub(super) fn stored_attempt(row: &Row) -> Result<StoredAttempt, StoreError> {
    let number: i32 = get(row, "number")?;
    let sent: Option<&str> = get(row, "sent")?;
    Ok(StoredAttempt {
        number: u32::try_from(number).unwrap_or(0),
        started_at: get(row, "started_at")?,
        took: count(get(row, "took")?),
        outcome: parsed::<StoredOutcome>(get(row, "outcome")?)?,
        sent: sent.map(parsed::<StoredSent>).transpose()?,
    })
}

/// The same as the rest of the program has it.
pub(super) fn attempt(row: &Row) -> Result<Attempt, StoreError> {
    stored_attempt(row).map(Into::into)
}
