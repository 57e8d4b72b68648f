//! Events with their deliveries as JSON lines, oldest first, each event once.
//!
//! Two walks over one view of the journal: the first finds where each event's last record is and what became of
//! its deliveries (see `ledger` for the memory that this takes), the second reads one event at a time. Nothing else is
//! held, however many events there are. What cannot be read is left out and counted.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::super::copy::{Portion, Side};
use super::super::index::rows::Place;
use super::super::journal::JournalError;
use super::super::journal::view::View;
use super::super::record::{Content, StoredEvent, time};
use super::ledger::{EventEntry, Ledger};
use super::{CareError, Folder, decode, take_in};
use crate::delivery::{DeadReason, State, StateKind};
use crate::event::EventParts;
use crate::id::{DeliveryId, EventId, RouteName, SourceName, TargetName};
use crate::redact::{self, Shown};

/// What may be shown of an event.
pub type Viewer<'a> = dyn Fn(&EventParts) -> redact::View + 'a;

/// Which events are exported, and how.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Only of this source.
    pub source: Option<SourceName>,
    /// Only those that came in then or later.
    pub since: Option<Timestamp>,
    /// Only those that came in before.
    pub until: Option<Timestamp>,
    /// Only those with a delivery in this state.
    pub state: Option<StateKind>,
    /// Bodies are left out.
    pub no_bodies: bool,
}

/// What was exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    /// Lines.
    pub events: u64,
    /// Damaged places of the journal that were passed over.
    pub damaged: u64,
}

/// A time, as RFC 3339 in UTC.
struct Time(Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

/// A line.
#[derive(Serialize)]
struct Line<'a> {
    id: EventId,
    source: &'a SourceName,
    #[serde(rename = "type")]
    event_type: String,
    message_id: Option<String>,
    received_at: Time,
    hops: u32,
    headers: Vec<Header<'a>>,
    /// When its data was purged.
    #[serde(skip_serializing_if = "Option::is_none")]
    purged_at: Option<Time>,
    /// Why the body is not all of the body, as at the operator's door.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_redacted: Option<&'static str>,
    /// Where it is UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// Where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    deliveries: Vec<DeliveryLine<'a>>,
}

#[derive(Serialize)]
struct Header<'a> {
    name: &'a str,
    value: String,
}

/// A delivery of a line; named as at the operator's door.
#[derive(Serialize)]
struct DeliveryLine<'a> {
    id: DeliveryId,
    route: &'a RouteName,
    target: &'a TargetName,
    state: StateKind,
    reason: Option<DeadReason>,
    attempts_made: u32,
    started_at: Time,
    due_at: Option<Time>,
    ended_at: Option<Time>,
}

/// Writes the events that pass the filter.
///
/// # Errors
/// If the store cannot be read or the lines cannot be written.
pub fn export(
    folder: &Folder,
    filter: &EventFilter,
    viewer: &Viewer<'_>,
    out: &mut dyn Write,
) -> Result<Exported, CareError> {
    let view = folder.view()?;
    let (ledger, damaged) = take_in(&view)?;
    let mut exported = Exported { events: 0, damaged };
    for (id, at) in in_order(&ledger, filter) {
        let Some(entry) = ledger.events().get(&id) else {
            continue;
        };
        let Some((stored, purged_at)) = read_event(&view, at, id)? else {
            exported.damaged = exported.damaged.saturating_add(1);
            continue;
        };
        let parts = EventParts::from(stored);
        if !passes(&parts, filter) {
            continue;
        }
        let deliveries = entry.deliveries.iter().filter_map(|id| {
            let known = ledger.deliveries().get(id)?;
            let (route, target) = ledger.lane(known)?;
            let lane = (route, target);
            let state = State::from(known.state);
            let (attempts, started_at) = (known.attempts, known.started_at);
            Some(delivery_line(*id, lane, state, attempts, started_at))
        });
        write_line(&parts, purged_at, deliveries.collect(), filter, viewer, out)?;
        exported.events = exported.events.saturating_add(1);
    }
    out.flush().map_err(CareError::Write)?;
    Ok(exported)
}

/// The same of a store that is looked into from its other side: a database.
///
/// # Errors
/// If the store cannot be read or the lines cannot be written.
pub async fn export_side(
    side: &mut dyn Side,
    filter: &EventFilter,
    viewer: &Viewer<'_>,
    out: &mut dyn Write,
) -> Result<Exported, CareError> {
    let now = side.now().await?;
    let mut exported = Exported {
        events: 0,
        damaged: 0,
    };
    let mut after = None;
    loop {
        let read = side.events(after, now).await?;
        let Some(last) = read.last() else {
            break;
        };
        after = Some(last.id());
        for Portion { carried, purged_at } in read {
            let states = carried.deliveries.iter().map(|one| one.delivery.state);
            let is_wanted = filter.state.is_none_or(|wanted| {
                let mut kinds = states.map(|state| State::from(state).kind());
                kinds.any(|kind| kind == wanted)
            });
            let parts = EventParts::from(carried.event);
            if !is_wanted || !passes(&parts, filter) {
                continue;
            }
            let deliveries = carried.deliveries.iter().map(|one| {
                let it = &one.delivery;
                let lane = (&it.route, &it.target);
                let id = DeliveryId::from_bytes(it.id);
                delivery_line(id, lane, it.state.into(), it.attempts, it.started_at)
            });
            let purged_at = purged_at.map(time);
            write_line(&parts, purged_at, deliveries.collect(), filter, viewer, out)?;
            exported.events = exported.events.saturating_add(1);
        }
    }
    out.flush().map_err(CareError::Write)?;
    Ok(exported)
}

/// The events whose deliveries pass the filter, oldest first: ids sort by the time of their making.
fn in_order(ledger: &Ledger, filter: &EventFilter) -> Vec<(EventId, Place)> {
    let is_wanted = |event: &EventEntry| {
        filter.state.is_none_or(|wanted| {
            let mut states = event.deliveries.iter();
            states.any(|id| {
                let known = ledger.deliveries().get(id);
                known.is_some_and(|known| State::from(known.state).kind() == wanted)
            })
        })
    };
    let mut events: Vec<_> = ledger
        .events()
        .iter()
        .filter(|(_, event)| is_wanted(event))
        .map(|(id, event)| (*id, event.at))
        .collect();
    events.sort_unstable_by_key(|(id, _)| *id);
    events
}

fn passes(parts: &EventParts, filter: &EventFilter) -> bool {
    let wanted = filter.source.as_ref();
    wanted.is_none_or(|source| *source == parts.source)
        && filter.since.is_none_or(|since| parts.received_at >= since)
        && filter.until.is_none_or(|until| parts.received_at < until)
}

/// The event whose record is here, and when it was purged; `None` if it cannot be read.
fn read_event(
    view: &View,
    at: Place,
    id: EventId,
) -> Result<Option<(StoredEvent, Option<Timestamp>)>, CareError> {
    let record = match view.read(at.into()) {
        Ok(record) => record,
        Err(JournalError::NoRecord(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut purged_at = None;
    let event = match decode(view, &record)? {
        Some(Content::Accepted(it)) => Some(it.event),
        Some(Content::Carried(it)) => Some(it.event),
        Some(Content::Purged(it)) => {
            purged_at = Some(time(it.at));
            Some(it.remains.event)
        }
        _ => None,
    };
    let event = event.filter(|event| event.id == *id.as_bytes());
    Ok(event.map(|event| (event, purged_at)))
}

fn write_line(
    parts: &EventParts,
    purged_at: Option<Timestamp>,
    deliveries: Vec<DeliveryLine<'_>>,
    filter: &EventFilter,
    viewer: &Viewer<'_>,
    out: &mut dyn Write,
) -> Result<(), CareError> {
    let view = viewer(parts);
    let shown = match &view.body {
        _ if filter.no_bodies || purged_at.is_some() => None,
        Shown::Whole => Some(parts.body.to_vec()),
        Shown::Redacted(json) => Some(json.to_string().into_bytes()),
        Shown::Hidden(_) => None,
    };
    let (body, body_base64) = match shown.map(String::from_utf8) {
        None => (None, None),
        Some(Ok(text)) => (Some(text), None),
        Some(Err(bytes)) => (None, Some(STANDARD.encode(bytes.as_bytes()))),
    };
    let headers = parts.headers.iter().map(|(name, value)| Header {
        name,
        value: view.header(value),
    });
    let line = Line {
        id: parts.id,
        source: &parts.source,
        event_type: view.word(&parts.event_type),
        message_id: parts.message_id.as_deref().map(|id| view.word(id)),
        received_at: Time(parts.received_at),
        hops: parts.hops,
        headers: headers.collect(),
        purged_at: purged_at.map(Time),
        body_redacted: view.body.label(),
        body,
        body_base64,
        deliveries,
    };
    serde_json::to_writer(&mut *out, &line)
        .map_err(std::io::Error::from)
        .and_then(|()| out.write_all(b"\n"))
        .map_err(CareError::Write)
}

fn delivery_line<'a>(
    id: DeliveryId,
    (route, target): (&'a RouteName, &'a TargetName),
    state: State,
    attempts_made: u32,
    started_at: i64,
) -> DeliveryLine<'a> {
    let (due_at, ended_at, reason) = match &state {
        State::Pending { due } => (Some(*due), None, None),
        State::Delivered { at } | State::Discarded { at } => (None, Some(*at), None),
        State::Dead { at, reason } => (None, Some(*at), Some(*reason)),
    };
    DeliveryLine {
        id,
        route,
        target,
        state: state.kind(),
        reason,
        attempts_made,
        started_at: Time(time(started_at)),
        due_at: due_at.map(Time),
        ended_at: ended_at.map(Time),
    }
}
