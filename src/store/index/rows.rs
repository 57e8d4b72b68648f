//! Keys and values of the index. Keys begin with a letter for their kind and sort as they are listed.
//!
//! Promise: no value is over 2 KB; bodies are never in it. The rows are no contract: an index of
//! another [`VERSION`] is rebuilt from the journal.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::journal::Position;
use super::super::record::{
    self, StoredAttempt, StoredAudit, StoredDelivery, StoredEvent, StoredMark, StoredOrder,
    StoredPause, StoredPlan, StoredReplay, StoredState,
};
use crate::delivery::{Delivery, LastAttempt};
use crate::id::{
    AuditId, DeliveryId, Digest, EventId, ReplayId, RouteName, SourceName, TargetName,
};

/// The version of keys and rows.
pub const VERSION: u32 = 7;

/// Most bytes of a message id or type in a row; longer ones are read from the journal.
pub const INLINE_TEXT: usize = 400;

/// Most deliveries that an event's row names; the others stand in rows of [`MORE`].
pub const INLINE_DELIVERIES: usize = 48;

/// Deliveries that one row of [`MORE`] names; 16 bytes each.
pub const MORE_DELIVERIES: usize = 100;

/// Attempts of a delivery whose records are remembered, the latest; some 8 bytes each.
pub const KEPT_ATTEMPTS: usize = 64;

/// The one row of the configuration that came into force last: [`PlanRow`].
pub const PLAN: &[u8] = b"l";
/// The one row that says how far the index is.
pub const META: &[u8] = b"m";
/// Audit id -> [`AuditRow`].
pub const AUDIT: u8 = b'a';
/// Segment, audit id: audit entries whose record stands in the segment.
pub const AUDITED: u8 = b'b';
/// Delivery id -> [`DeliveryRow`].
pub const DELIVERY: u8 = b'd';
/// Event id -> [`EventRow`](IndexedEvent).
pub const EVENT: u8 = b'e';
/// Event id, number -> further deliveries of an event.
pub const MORE: u8 = b'f';
/// Segment -> [`SegmentRow`].
pub const SEGMENT: u8 = b'g';
/// Expiry, dedupe key -> [`KeyRow`]; of each dedupe key there is one row at most.
pub const KEY: u8 = b'k';
/// Target -> [`TargetRow`].
pub const TARGET: u8 = b'n';
/// Target, start, delivery id: pending deliveries by age.
pub const AGE: u8 = b'o';
/// Target, due, delivery id: pending deliveries by due time.
pub const DUE: u8 = b'q';
/// Event id: events that were purged and whose earlier records are not emptied yet.
pub const UNSCRUBBED: u8 = b'p';
/// Replay id -> [`ReplayRow`].
pub const REPLAY: u8 = b'r';
/// Segment, event id: events whose record stands in the segment.
pub const PLACED: u8 = b's';
/// Segment, replay id: replays whose last record stands in the segment.
pub const REPLAYED: u8 = b'u';
/// Target, order key, rank, delivery id: deliveries that hold up those behind them, in their order.
pub const LINE: u8 = b'w';
/// Target, reason, delivery id: dead deliveries.
pub const DEAD: u8 = b'x';
/// Target -> [`PauseRow`].
pub const PAUSE: u8 = b'z';

/// A position in the journal, as rows hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The segment.
    pub segment: u64,
    /// The offset in it.
    pub offset: u64,
}

impl From<Position> for Place {
    fn from(at: Position) -> Self {
        Self {
            segment: at.segment,
            offset: at.offset,
        }
    }
}

impl From<Place> for Position {
    fn from(at: Place) -> Self {
        Self {
            segment: at.segment,
            offset: at.offset,
        }
    }
}

/// A delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryRow {
    /// Its event.
    pub event: EventId,
    /// Where the event's record is.
    pub event_at: Place,
    /// By which route.
    pub route: RouteName,
    /// To which target.
    pub target: TargetName,
    /// How often it has changed.
    pub revision: u32,
    /// Its state.
    pub state: StoredState,
    /// Its attempts since it was created or revived.
    pub attempts: u32,
    /// When it was created or last revived.
    pub started_at: i64,
    /// The record that holds its frozen body.
    pub frozen: Option<Place>,
    /// The records of its last attempts, oldest first; a carried record stands for all before it.
    pub log: Vec<Place>,
    /// Its place among others to its target.
    pub order: Option<StoredOrder>,
    /// Whether its event's data was purged; then it stays as it is.
    pub purged: bool,
    /// Its last attempt.
    pub last: Option<LastRow>,
    /// By what it was last taken up again. Few are.
    pub mark: Option<Box<StoredMark>>,
    /// Whether its target has ever answered 2xx to it.
    pub had_success: bool,
}

/// The last attempt of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRow {
    /// When it began.
    pub started_at: i64,
    /// Milliseconds that it took.
    pub took: u32,
    /// What came of it, see [`record::result_code`].
    pub code: u16,
    /// The beginning of the hash of the template that it was made with, if that is known.
    pub template: Option<[u8; 8]>,
}

impl LastRow {
    /// Whether the target has taken it.
    #[must_use]
    pub fn is_success(&self) -> bool {
        record::result(self.code).is_success()
    }
}

impl From<&StoredAttempt> for LastRow {
    fn from(attempt: &StoredAttempt) -> Self {
        Self {
            started_at: attempt.started_at,
            took: u32::try_from(attempt.took).unwrap_or(u32::MAX),
            code: record::result_code(&attempt.outcome),
            template: attempt
                .sent
                .and_then(|sent| sent.template.map(|hash| Digest::from_bytes(hash).short())),
        }
    }
}

impl From<LastRow> for LastAttempt {
    fn from(row: LastRow) -> Self {
        Self {
            started_at: record::time(row.started_at),
            took: Duration::from_millis(row.took.into()),
            result: record::result(row.code),
        }
    }
}

impl DeliveryRow {
    /// The row of a delivery whose event's record is at `event_at`.
    #[must_use]
    pub fn new(delivery: &StoredDelivery, event: EventId, event_at: Place) -> Self {
        Self {
            event,
            event_at,
            route: delivery.route.clone(),
            target: delivery.target.clone(),
            revision: delivery.revision,
            state: delivery.state,
            attempts: delivery.attempts,
            started_at: delivery.started_at,
            frozen: None,
            log: Vec::new(),
            order: delivery.order,
            purged: false,
            last: None,
            mark: delivery.mark.map(Box::new),
            had_success: delivery.had_success,
        }
    }

    /// Notes where an attempt's record is.
    pub fn logged(&mut self, at: Place) {
        self.log.push(at);
        let over = self.log.len().saturating_sub(KEPT_ATTEMPTS);
        self.log.drain(..over);
    }

    /// Notes what an attempt came to, by which it is in the state that it has now.
    pub fn attempted(&mut self, last: LastRow) {
        let has_it = matches!(self.state, StoredState::Delivered(_));
        self.had_success |= has_it || last.is_success();
        self.last = Some(last);
    }

    /// When it is due, if it is pending.
    #[must_use]
    pub fn due(&self) -> Option<i64> {
        match self.state {
            StoredState::Pending(due) => Some(due),
            _ => None,
        }
    }

    /// As the rest of the program sees it.
    #[must_use]
    pub fn delivery(&self, id: DeliveryId) -> Delivery {
        self.stored(id).delivery(self.event)
    }

    /// As records hold it.
    #[must_use]
    pub fn stored(&self, id: DeliveryId) -> StoredDelivery {
        StoredDelivery {
            id: *id.as_bytes(),
            route: self.route.clone(),
            target: self.target.clone(),
            revision: self.revision,
            state: self.state,
            attempts: self.attempts,
            started_at: self.started_at,
            order: self.order,
            mark: self.mark.as_deref().copied(),
            had_success: self.had_success,
        }
    }
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexedEvent {
    /// Where its record is.
    pub at: Place,
    /// Where it came in.
    pub source: SourceName,
    /// The sender's id, at most [`INLINE_TEXT`] bytes of it.
    pub message_id: Option<String>,
    /// Its type, at most [`INLINE_TEXT`] bytes of it.
    pub event_type: String,
    /// Whether either is cut off here.
    pub cut: bool,
    /// When it came in.
    pub received_at: i64,
    /// Bytes of its body.
    pub size: u64,
    /// Its deliveries.
    pub deliveries: Vec<DeliveryId>,
    /// How many more there are in rows of [`MORE`].
    pub more: u32,
    /// Its dedupe key.
    pub key: Option<[u8; 32]>,
    /// When its data was purged.
    pub purged_at: Option<i64>,
    /// Whether deliveries were added to it later.
    pub added: bool,
}

impl IndexedEvent {
    /// The row of an event whose record is at `at`; names all deliveries (see [`Self::split`]).
    #[must_use]
    pub fn new(
        event: &StoredEvent,
        deliveries: Vec<DeliveryId>,
        key: Option<[u8; 32]>,
        at: Place,
    ) -> Self {
        let (event_type, type_cut) = record::cut(&event.event_type, INLINE_TEXT);
        let message_id = event
            .message_id
            .as_deref()
            .map(|text| record::cut(text, INLINE_TEXT));
        let id_cut = message_id.as_ref().is_some_and(|(_, cut)| *cut);
        Self {
            at,
            source: event.source.clone(),
            message_id: message_id.map(|(text, _)| text.into_owned()),
            event_type: event_type.into_owned(),
            cut: type_cut || id_cut,
            received_at: event.received_at,
            size: event.body.0.len() as u64,
            deliveries,
            more: 0,
            key,
            purged_at: None,
            added: false,
        }
    }

    /// Takes out the deliveries that do not fit into one row, in lots for rows of [`MORE`].
    #[must_use]
    pub fn split(mut self) -> (Self, Vec<Vec<DeliveryId>>) {
        let fit = self.deliveries.len().min(INLINE_DELIVERIES);
        let rest = self.deliveries.split_off(fit);
        self.more = u32::try_from(rest.len()).unwrap_or(u32::MAX);
        let lots = rest.chunks(MORE_DELIVERIES).map(<[_]>::to_vec).collect();
        (self, lots)
    }
}

/// A dedupe key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRow {
    /// The event that it stands for.
    pub event: EventId,
    /// The hash of its body.
    pub body: [u8; 32],
    /// Until when it counts.
    pub expires: i64,
}

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// Where its record is.
    pub at: Place,
    /// The entry.
    pub audit: StoredAudit,
}

/// That a target is paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseRow {
    /// Where its record is.
    pub at: Place,
    /// The pause.
    pub pause: StoredPause,
}

/// A replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayRow {
    /// Where its last record is.
    pub at: Place,
    /// The replay.
    pub replay: StoredReplay,
}

/// The configuration that came into force last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRow {
    /// Where its record is.
    pub at: Place,
    /// The configuration.
    pub plan: StoredPlan,
}

/// What is in a segment of the journal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentRow {
    /// Events whose record stands in it.
    pub events: u64,
    /// Their deliveries.
    pub deliveries: u64,
    /// Those of them that are pending or dead.
    pub open: u64,
    /// Bytes of its audit entries and replays, roughly.
    pub operator_bytes: u64,
    /// When the youngest of events and audit entries came in, or the last of its replays was changed.
    pub newest: i64,
}

/// How many reasons there are; their codes count from 1.
pub const REASONS: usize = 7;

/// The counts of a target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetRow {
    /// Pending deliveries.
    pub pending: u64,
    /// Dead ones by their reason's code, less one.
    pub dead: [u64; REASONS],
}

impl TargetRow {
    /// Counts a delivery in this state in or out.
    pub fn count(&mut self, state: StoredState, add: bool) {
        let slot = match state {
            StoredState::Pending(_) => Some(&mut self.pending),
            StoredState::Dead(_, code) => self.dead.get_mut(usize::from(code).saturating_sub(1)),
            _ => None,
        };
        if let Some(slot) = slot {
            *slot = if add {
                slot.saturating_add(1)
            } else {
                slot.saturating_sub(1)
            };
        }
    }

    /// All dead ones.
    #[must_use]
    pub fn all_dead(&self) -> u64 {
        self.dead.iter().sum()
    }
}

/// How far the index is, and what its rows must add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaRow {
    /// The version of keys and rows.
    pub version: u32,
    /// The last record that is folded in.
    pub at: Place,
    /// Its number; 0 if there is none.
    pub sequence: u64,
    /// How many rows there are, this one not counted.
    pub rows: u64,
    /// The wrapping sum of the hashes of all rows, this one not counted.
    pub fingerprint: u128,
    /// Bytes of all keys and values.
    pub bytes: u64,
    /// The latest time at which anything in the journal was accepted.
    pub latest: i64,
}

impl Default for MetaRow {
    fn default() -> Self {
        Self {
            version: VERSION,
            at: Place {
                segment: 0,
                offset: 0,
            },
            sequence: 0,
            rows: 0,
            fingerprint: 0,
            bytes: 0,
            latest: i64::MIN,
        }
    }
}

/// Times sort as unsigned numbers after this.
fn sortable(time: i64) -> [u8; 8] {
    (time.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

fn unsortable(bytes: [u8; 8]) -> i64 {
    (u64::from_be_bytes(bytes) ^ (1 << 63)).cast_signed()
}

/// A key of a letter and bytes.
#[must_use]
pub fn key(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(64);
    key.push(kind);
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

/// The key of a delivery.
#[must_use]
pub fn delivery_key(id: DeliveryId) -> Vec<u8> {
    key(DELIVERY, &[id.as_bytes()])
}

/// The key of an event.
#[must_use]
pub fn event_key(id: EventId) -> Vec<u8> {
    key(EVENT, &[id.as_bytes()])
}

/// The key of an audit entry.
#[must_use]
pub fn audit_key(id: AuditId) -> Vec<u8> {
    key(AUDIT, &[id.as_bytes()])
}

/// The key of a replay.
#[must_use]
pub fn replay_key(id: ReplayId) -> Vec<u8> {
    key(REPLAY, &[id.as_bytes()])
}

/// What the keys of a segment's replays begin with.
#[must_use]
pub fn replayed_prefix(segment: u64) -> Vec<u8> {
    key(REPLAYED, &[&segment.to_be_bytes()])
}

/// The key of a replay in its segment.
#[must_use]
pub fn replayed_key(segment: u64, id: ReplayId) -> Vec<u8> {
    key(REPLAYED, &[&segment.to_be_bytes(), id.as_bytes()])
}

/// The key of a paused target.
#[must_use]
pub fn pause_key(target: &TargetName) -> Vec<u8> {
    key(PAUSE, &[target.as_str().as_bytes()])
}

/// What the keys of a segment's audit entries begin with.
#[must_use]
pub fn audited_prefix(segment: u64) -> Vec<u8> {
    key(AUDITED, &[&segment.to_be_bytes()])
}

/// The key of an audit entry in its segment.
#[must_use]
pub fn audited_key(segment: u64, id: AuditId) -> Vec<u8> {
    key(AUDITED, &[&segment.to_be_bytes(), id.as_bytes()])
}

/// The key of a row of further deliveries.
#[must_use]
pub fn more_key(id: EventId, number: usize) -> Vec<u8> {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    key(MORE, &[id.as_bytes(), &number.to_be_bytes()])
}

/// The key of a segment.
#[must_use]
pub fn segment_key(segment: u64) -> Vec<u8> {
    key(SEGMENT, &[&segment.to_be_bytes()])
}

/// The key of an event whose records are not emptied yet.
#[must_use]
pub fn unscrubbed_key(id: EventId) -> Vec<u8> {
    key(UNSCRUBBED, &[id.as_bytes()])
}

/// What the keys of a segment's events begin with.
#[must_use]
pub fn placed_prefix(segment: u64) -> Vec<u8> {
    key(PLACED, &[&segment.to_be_bytes()])
}

/// The key of an event in its segment.
#[must_use]
pub fn placed_key(segment: u64, id: EventId) -> Vec<u8> {
    key(PLACED, &[&segment.to_be_bytes(), id.as_bytes()])
}

/// What the keys of a target's timed rows ([`DUE`], [`AGE`]) begin with; names hold no zero byte.
#[must_use]
pub fn timed_prefix(kind: u8, target: &TargetName) -> Vec<u8> {
    key(kind, &[target.as_str().as_bytes(), &[0]])
}

/// The key of a pending delivery by time.
#[must_use]
pub fn timed_key(kind: u8, target: &TargetName, time: i64, id: DeliveryId) -> Vec<u8> {
    let target = target.as_str().as_bytes();
    key(kind, &[target, &[0], &sortable(time), id.as_bytes()])
}

/// What the keys of the deliveries with one order key begin with.
#[must_use]
pub fn line_prefix(target: &TargetName, order: &[u8; 16]) -> Vec<u8> {
    key(LINE, &[target.as_str().as_bytes(), &[0], order])
}

/// The key of a delivery in its line.
#[must_use]
pub fn line_key(target: &TargetName, order: StoredOrder, id: DeliveryId) -> Vec<u8> {
    let rank = order.rank.to_be_bytes();
    let target = target.as_str().as_bytes();
    key(LINE, &[target, &[0], &order.key, &rank, id.as_bytes()])
}

/// Rank and delivery at the end of a key of [`LINE`].
#[must_use]
pub fn line_parts(key: &[u8]) -> Option<(u64, DeliveryId)> {
    let (rest, id) = key.split_last_chunk::<16>()?;
    let (_, rank) = rest.split_last_chunk::<8>()?;
    Some((u64::from_be_bytes(*rank), DeliveryId::from_bytes(*id)))
}

/// Time and delivery at the end of a key of [`DUE`] or [`AGE`].
#[must_use]
pub fn timed_parts(key: &[u8]) -> Option<(i64, DeliveryId)> {
    let (rest, id) = key.split_last_chunk::<16>()?;
    let (_, time) = rest.split_last_chunk::<8>()?;
    Some((unsortable(*time), DeliveryId::from_bytes(*id)))
}

/// What the keys of a target's dead deliveries of one reason begin with.
#[must_use]
pub fn dead_prefix(target: &TargetName, code: u8) -> Vec<u8> {
    key(DEAD, &[target.as_str().as_bytes(), &[0], &[code]])
}

/// The key of a dead delivery.
#[must_use]
pub fn dead_key(target: &TargetName, code: u8, id: DeliveryId) -> Vec<u8> {
    let target = target.as_str().as_bytes();
    key(DEAD, &[target, &[0], &[code], id.as_bytes()])
}

/// The key of a dedupe key's row.
#[must_use]
pub fn dedupe_key(expires: i64, dedupe: &[u8; 32]) -> Vec<u8> {
    key(KEY, &[&sortable(expires), dedupe])
}

/// Expiry and dedupe key of a key of [`KEY`].
#[must_use]
pub fn dedupe_parts(key: &[u8]) -> Option<(i64, [u8; 32])> {
    let (rest, dedupe) = key.split_last_chunk::<32>()?;
    let (kind, time) = rest.split_last_chunk::<8>()?;
    (kind == [KEY]).then(|| (unsortable(*time), *dedupe))
}

/// The delivery at the end of a key.
#[must_use]
pub fn last_delivery(key: &[u8]) -> Option<DeliveryId> {
    let (_, id) = key.split_last_chunk::<16>()?;
    Some(DeliveryId::from_bytes(*id))
}

/// The audit entry at the end of a key.
#[must_use]
pub fn last_audit(key: &[u8]) -> Option<AuditId> {
    let (_, id) = key.split_last_chunk::<16>()?;
    Some(AuditId::from_bytes(*id))
}

/// The replay at the end of a key.
#[must_use]
pub fn last_replay(key: &[u8]) -> Option<ReplayId> {
    let (_, id) = key.split_last_chunk::<16>()?;
    Some(ReplayId::from_bytes(*id))
}

/// The event at the end of a key.
#[must_use]
pub fn last_event(key: &[u8]) -> Option<EventId> {
    let (_, id) = key.split_last_chunk::<16>()?;
    Some(EventId::from_bytes(*id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timed_keys_sort_by_time_and_then_by_id() {
        let target: TargetName = "erp".parse().unwrap();
        let id = |n| DeliveryId::from_bytes([n; 16]);
        let rows = [
            (i64::MIN, 9),
            (-5, 1),
            (0, 3),
            (7, 1),
            (7, 2),
            (i64::MAX, 0),
        ];
        let keys: Vec<_> = rows
            .iter()
            .map(|(time, n)| timed_key(DUE, &target, *time, id(*n)))
            .collect();
        assert!(keys.is_sorted());
        for ((time, n), key) in rows.iter().zip(&keys) {
            assert_eq!(timed_parts(key), Some((*time, id(*n))));
            assert!(key.starts_with(&timed_prefix(DUE, &target)));
        }
    }

    #[test]
    fn the_largest_rows_stay_under_two_kilobytes() {
        let name = "n".repeat(64);
        let event = StoredEvent {
            id: [255; 16],
            source: name.parse().unwrap(),
            message_id: Some("m".repeat(5000)),
            event_type: "t".repeat(5000),
            headers: Vec::new(),
            received_at: i64::MAX,
            hops: u32::MAX,
            body: record::Raw(bytes::Bytes::new()),
        };
        let at = Place {
            segment: u64::MAX,
            offset: u64::MAX,
        };
        let ids = vec![DeliveryId::from_bytes([255; 16]); 400];
        let (row, more) = IndexedEvent::new(&event, ids, Some([255; 32]), at).split();
        assert!(row.cut);
        assert_eq!(more.iter().map(Vec::len).sum::<usize>(), 352);
        let mut largest = vec![postcard::to_stdvec(&row).unwrap()];
        largest.extend(more.iter().map(|lot| postcard::to_stdvec(lot).unwrap()));
        let mut delivery = DeliveryRow::new(
            &StoredDelivery {
                id: [255; 16],
                route: name.parse().unwrap(),
                target: name.parse().unwrap(),
                revision: u32::MAX,
                state: StoredState::Dead(i64::MAX, 7),
                attempts: u32::MAX,
                started_at: i64::MAX,
                mark: None,
                had_success: true,
                order: Some(StoredOrder {
                    key: [255; 16],
                    skip: true,
                    rank: u64::MAX,
                }),
            },
            EventId::from_bytes([255; 16]),
            at,
        );
        delivery.frozen = Some(at);
        (0..200).for_each(|_| delivery.logged(at));
        assert_eq!(delivery.log.len(), KEPT_ATTEMPTS);
        delivery.last = Some(LastRow {
            started_at: i64::MAX,
            took: u32::MAX,
            code: u16::MAX,
            template: Some([255; 8]),
        });
        delivery.mark = Some(Box::new(StoredMark {
            job: Some([255; 16]),
            mode: 255,
            of: Some([255; 16]),
        }));
        largest.push(postcard::to_stdvec(&delivery).unwrap());
        let text = || "w".repeat(5000);
        let note = crate::store::AuditNote {
            actor: text(),
            action: text(),
            subject: text(),
            ok: true,
            detail: text(),
        };
        let audit = StoredAudit::new(AuditId::generate(), jiff::Timestamp::MAX, &note);
        largest.push(postcard::to_stdvec(&AuditRow { at, audit }).unwrap());
        let replay = StoredReplay {
            id: [255; 16],
            at: i64::MAX,
            created_at: i64::MAX,
            created_by: "w".repeat(256),
            mode: 255,
            filter: "f".repeat(crate::store::MAX_FILTER_BYTES),
            rate: Some("1000000/s".to_owned()),
            phase: 255,
            total: Some(u64::MAX),
            counts: [u64::MAX; 5],
            cursor: Some([255; 16]),
            finished_at: Some(i64::MAX),
            error: Some("e".repeat(256)),
        };
        largest.push(postcard::to_stdvec(&ReplayRow { at, replay }).unwrap());
        for row in largest {
            assert!(row.len() <= 2048, "{} bytes", row.len());
        }
    }
}
