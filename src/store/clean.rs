//! Cleaning: the oldest segment goes once nothing in it is needed; what still is, is written anew first.
//!
//! Promise: at no moment would a rebuild of the index give other answers. An event past retention with all its deliveries
//! done is let go; of any other, what remains is carried (see `record::Carried`), and that is synced and folded before
//! the old file goes. Dead letters end only by `dead_retention`, as if an operator had discarded them.
//! Entries of the audit log and replays that are over are let go past retention and written anew before; pauses and
//! replays that go on are always written anew. While a segment is cleaned, what is done in it stays done.
//!
//! A segment is cleaned when all its events are past retention and at most half of the deliveries in such segments are
//! open, so that writing anew gains at least as much as it costs; or, when the journal takes most
//! of `max_bytes`, if at most half of the segment's bytes would be carried or it is short.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, mpsc};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::StoreError;
use super::index::change::{Change, What};
use super::index::rows::{DeliveryRow, IndexedEvent, Place, SegmentRow};
use super::index::{Index, IndexError};
use super::journal::JournalError;
use super::local::Inner;
use super::record::{
    self, Carried, CarriedDelivery, Content, Operator, Purged, Raw, StoredKey, StoredState,
};
use super::rules::Wanted;
use crate::delivery::Delivery;
use crate::id::{DeliveryId, EventId};

/// Segments that one run removes at most; the next run goes on.
const SEGMENTS_A_RUN: usize = 16;

/// Events that are looked at before their records are waited for.
const CHUNK: usize = 200;

/// How often the events of a segment are gone through; those that were being changed come again.
const ROUNDS: usize = 10;

/// How long a round waits for outcomes to be recorded.
const ROUND_PAUSE: Duration = Duration::from_millis(150);

/// How long the fold may take to catch up; then the run ends.
const FOLD_PATIENCE: Duration = Duration::from_secs(30);

/// Attempts that are carried with a delivery, the last.
const CARRIED_ATTEMPTS: usize = 10;

/// Dead letters that one run looks at for their age.
const DEAD_A_RUN: usize = 20_000;

/// Milliseconds for which an expired dedupe key is still remembered: should the clock be set back, then the rebuild
/// and the running store agree on what was a duplicate.
const KEY_GRACE: i64 = 60 * 60 * 1000;

/// A segment of less than this part of a full one is short.
const SHORT: u64 = 16;

/// Bytes of a delivery in a carried record, roughly.
const DELIVERY_BYTES: u64 = 1024;

/// Runs until the store stops.
pub(super) fn run(inner: &Arc<Inner>, every: Duration) {
    let mut last = Instant::now();
    while !inner.stopping.load(Ordering::SeqCst) {
        std::thread::park_timeout(every.saturating_sub(last.elapsed()));
        if inner.stopping.load(Ordering::SeqCst) || last.elapsed() < every {
            continue;
        }
        last = Instant::now();
        match clean(inner) {
            Ok(0) | Err(StoreError::Unavailable(_)) => {}
            Ok(segments) => tracing::info!(segments, "old segments of the journal were let go"),
            Err(error) => tracing::error!(%error, "cleaning failed"),
        }
    }
}

/// Cleans what is to be cleaned now; gives how many segments were removed. Blocks.
pub(super) fn clean(inner: &Arc<Inner>) -> Result<usize, StoreError> {
    let _one = inner
        .cleaning
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    inner.state().usable()?;
    expire_keys(inner)?;
    expire_dead(inner)?;
    let mut removed = 0;
    while removed < SEGMENTS_A_RUN && clean_oldest(inner)? {
        removed += 1;
    }
    Ok(removed)
}

fn expire_keys(inner: &Inner) -> Result<(), StoreError> {
    let now = inner.due_now().saturating_sub(KEY_GRACE);
    loop {
        let mut more = false;
        let gate = inner.gate();
        let index = gate.index()?;
        index.write(|stage| {
            for key in index.expired(now, CHUNK)? {
                stage.remove_key(&key)?;
                more = true;
            }
            Ok(())
        })?;
        if !more {
            return Ok(());
        }
    }
}

/// Discards dead letters that are past `dead_retention`.
fn expire_dead(inner: &Arc<Inner>) -> Result<(), StoreError> {
    let Some(kept) = inner.options.dead_retention else {
        return Ok(());
    };
    let oldest = inner.now().saturating_sub(record::span(kept));
    let mut from = None;
    for _ in 0..DEAD_A_RUN.div_ceil(CHUNK) {
        let (dead, rest) = inner.gate().index()?.dead_from(from, CHUNK)?;
        let mut ended: Vec<oneshot::Receiver<Result<Delivery, StoreError>>> = Vec::new();
        for id in dead {
            let state = inner.delivery_row(id).map(|(row, _)| row.state);
            if matches!(state, Ok(StoredState::Dead(at, _)) if at <= oldest) {
                tracing::info!(delivery = %id, "a dead letter is past dead_retention");
                // one that cannot be changed now comes again in the next run
                ended.extend(inner.begin_change(id, Wanted::Discard));
            }
        }
        for end in ended {
            let _ = end.blocking_recv();
        }
        from = rest;
        if from.is_none() {
            break;
        }
    }
    Ok(())
}

/// Cleans the oldest segment if that is worth it; whether it was removed.
fn clean_oldest(inner: &Arc<Inner>) -> Result<bool, StoreError> {
    if !catch_up(inner) {
        return Ok(false);
    }
    let segments = inner.journal.segments();
    let [(oldest, bytes), .., (open, _)] = segments.as_slice() else {
        return Ok(false);
    };
    let all_known = {
        let state = inner.state();
        *oldest < state.opened || state.queued.0.segment > *oldest
    };
    if oldest == open || !all_known || !is_worth(inner, *oldest, *bytes, &segments)? {
        return Ok(false);
    }
    inner.state().cleaning = Some(*oldest);
    let removed = empty(inner, *oldest).and_then(|emptied| {
        if emptied {
            remove(inner, *oldest)?;
        }
        Ok(emptied)
    });
    inner.state().cleaning = None;
    removed
}

/// Waits until all that is on disk now is folded.
fn catch_up(inner: &Inner) -> bool {
    let wanted = inner.state().queued.1;
    let state = inner.wait_for_fold(FOLD_PATIENCE, |state| state.folded >= wanted);
    state.folded >= wanted
}

fn is_worth(
    inner: &Inner,
    oldest: u64,
    bytes: u64,
    segments: &[(u64, u64)],
) -> Result<bool, StoreError> {
    let past_before = inner
        .now()
        .saturating_sub(record::span(inner.options.retention));
    let gate = inner.gate();
    let index = gate.index()?;
    let row = index.segment(oldest)?;
    if row.events == 0 && row.operator_bytes <= bytes / 2 {
        return Ok(true);
    }
    if row.newest <= past_before {
        if is_mostly_done(&row) {
            return Ok(true);
        }
        let mut all = SegmentRow::default();
        for (number, _) in segments {
            let row = index.segment(*number)?;
            if row.newest <= past_before {
                all.deliveries = all.deliveries.saturating_add(row.deliveries);
                all.open = all.open.saturating_add(row.open);
            }
        }
        return Ok(is_mostly_done(&all));
    }
    let used: u64 = segments.iter().map(|(_, bytes)| bytes).sum();
    if used < inner.options.max_bytes / 4 * 3 {
        return Ok(false);
    }
    drop(gate);
    // a short one, as a start or a purge leaves it, costs little and must not stand in the way of the others
    if bytes <= inner.options.segment_bytes / SHORT {
        return Ok(true);
    }
    Ok(carried_bytes(inner, oldest, past_before)? <= bytes / 2)
}

fn is_mostly_done(row: &SegmentRow) -> bool {
    row.open <= row.deliveries / 2
}

/// Bytes that carrying the segment would write, roughly.
fn carried_bytes(inner: &Inner, segment: u64, past_before: i64) -> Result<u64, StoreError> {
    let mut bytes = inner.gate().index()?.segment(segment)?.operator_bytes;
    let mut after = None;
    loop {
        let gate = inner.gate();
        let index = gate.index()?;
        let events = index.placed(segment, after, CHUNK)?;
        let Some(last) = events.last() else {
            return Ok(bytes);
        };
        after = Some(*last);
        for id in &events {
            let Some(event) = index.event(*id)? else {
                continue;
            };
            let mut needed = event.received_at > past_before;
            for delivery in &event.deliveries {
                let row = index.delivery(*delivery)?;
                needed |= row.is_some_and(|row| row.state.is_open());
            }
            if needed {
                let rest = DELIVERY_BYTES.saturating_mul(event.deliveries.len() as u64);
                bytes = bytes.saturating_add(event.size).saturating_add(rest);
            }
        }
    }
}

/// Carries what is needed of a segment; whether nothing is left in it that is.
fn empty(inner: &Arc<Inner>, segment: u64) -> Result<bool, StoreError> {
    for _ in 0..ROUNDS {
        let mut busy = false;
        let mut carried = carry_audits(inner, segment)?;
        let kept_from = inner
            .now()
            .saturating_sub(record::span(inner.options.retention));
        carried |= inner.carry_operators(segment, kept_from)?;
        let mut after = None;
        loop {
            let events = inner.gate().index()?.placed(segment, after, CHUNK)?;
            let Some(last) = events.last() else {
                break;
            };
            after = Some(*last);
            let (ended, ends) = mpsc::channel();
            for id in events {
                match carry(inner, id, &ended)? {
                    Carry::LetGo => {}
                    Carry::Busy => busy = true,
                    Carry::Begun => carried = true,
                }
            }
            drop(ended);
            for end in ends {
                end?;
            }
        }
        if !catch_up(inner) {
            return Ok(false);
        }
        if !busy && !carried {
            return Ok(inner.gate().index()?.segment(segment)?.open == 0);
        }
        if busy {
            std::thread::park_timeout(ROUND_PAUSE);
        }
        inner.state().usable()?;
    }
    Ok(false)
}

/// Writes anew the audit entries of a segment that are younger than retention; whether there were any.
fn carry_audits(inner: &Arc<Inner>, segment: u64) -> Result<bool, StoreError> {
    let past_before = inner
        .now()
        .saturating_sub(record::span(inner.options.retention));
    let mut carried = false;
    let mut after = None;
    loop {
        let audits = inner.gate().index()?.audited(segment, after, CHUNK)?;
        let Some(last) = audits.last() else {
            return Ok(carried);
        };
        after = Some(last.audit.id());
        let (ended, ends) = mpsc::channel();
        for row in audits {
            if row.audit.at > past_before {
                carried = true;
                append(inner, Content::Operator(Operator::Audit(row.audit)), &ended);
            }
        }
        drop(ended);
        for end in ends {
            end?;
        }
    }
}

/// What becomes of an event in a segment that is cleaned.
enum Carry {
    /// Nothing of it is needed.
    LetGo,
    /// It is being changed; it comes again.
    Busy,
    /// It is being written anew.
    Begun,
}

fn carry(
    inner: &Arc<Inner>,
    id: EventId,
    ended: &mpsc::Sender<Result<(), JournalError>>,
) -> Result<Carry, StoreError> {
    let now = inner.now();
    let past_before = now.saturating_sub(record::span(inner.options.retention));
    // from here to the append no other record of these deliveries gets into the journal
    let _order = inner.order();
    let (event, key, rows) = {
        if inner.state().is_changing(id) {
            return Ok(Carry::Busy);
        }
        let gate = inner.gate();
        let index = gate.index()?;
        let Some(event) = index.event(id)? else {
            return Ok(Carry::LetGo);
        };
        let key = match event.key {
            Some(key) => index.key(&key)?.map(|row| (key, row)),
            None => None,
        };
        let mut rows = Vec::new();
        for delivery in &event.deliveries {
            rows.extend(index.delivery(*delivery)?.map(|row| (*delivery, row)));
        }
        let state = inner.state();
        for (id, row) in &mut rows {
            if let Some(entry) = state.entries.get(id) {
                if entry.changing || entry.writing > 0 {
                    return Ok(Carry::Busy);
                }
                *row = entry.row.clone();
            }
        }
        (event, key, rows)
    };
    let is_past = event.received_at <= past_before;
    let key = key
        .filter(|(_, row)| row.event == id && row.expires > now)
        .map(|(key, row)| StoredKey {
            key,
            body: row.body,
            expires: row.expires,
        });
    let needed = |row: &DeliveryRow| row.state.is_open() || !is_past;
    if is_past && key.is_none() && !rows.iter().any(|(_, row)| needed(row)) {
        return Ok(Carry::LetGo);
    }
    let rows = rows.into_iter().filter(|(_, row)| needed(row)).collect();
    let remains = remains(inner, &event, rows, key, CARRIED_ATTEMPTS)?;
    let content = match event.purged_at {
        Some(at) => Content::Purged(Purged {
            at,
            scrubbed: !inner.gate().index()?.is_unscrubbed(id)?,
            remains,
        }),
        None => Content::Carried(remains),
    };
    append(inner, content, ended);
    Ok(Carry::Begun)
}

/// What a carried record says of an event, with at most so many attempts of each delivery, the last.
pub(super) fn remains(
    inner: &Inner,
    event: &IndexedEvent,
    rows: Vec<(DeliveryId, DeliveryRow)>,
    key: Option<StoredKey>,
    attempts: usize,
) -> Result<Carried, StoreError> {
    let mut deliveries = Vec::with_capacity(rows.len());
    for (id, row) in rows {
        let delivered = matches!(row.state, StoredState::Delivered(_));
        let frozen = match row.frozen.filter(|_| !delivered) {
            Some(at) => Some(Raw(inner.read_frozen(at, id)?)),
            None => None,
        };
        let from = row.log.len().saturating_sub(attempts);
        let mut log = inner.read_log(id, row.log.get(from..).unwrap_or_default())?;
        let over = log.len().saturating_sub(attempts);
        log.drain(..over);
        deliveries.push(CarriedDelivery {
            delivery: row.stored(id),
            frozen,
            log,
        });
    }
    let event_row = event;
    let (event, receipt) = match inner.read_content(event.at)? {
        Content::Accepted(it) => (it.event, it.receipt),
        Content::Carried(it) | Content::Purged(Purged { remains: it, .. }) => {
            (it.event, it.receipt)
        }
        _ => return Err(StoreError::Damaged("no event where one was".to_owned())),
    };
    Ok(Carried {
        event,
        deliveries,
        key,
        receipt,
        added: event_row.added,
    })
}

pub(super) fn append(
    inner: &Arc<Inner>,
    content: Content,
    ended: &mpsc::Sender<Result<(), JournalError>>,
) {
    let nowhere = Place {
        segment: 0,
        offset: 0,
    };
    let mut what = What::new(&content, nowhere);
    let ended = ended.clone();
    let done = Arc::clone(inner);
    inner.append(content, true, move |result| {
        let result = result.map(|appended| {
            let at = Place::from(appended.position);
            what.place(at, appended.sequence);
            done.space.written(0, appended.bytes);
            done.state().queue(Change {
                at,
                sequence: appended.sequence,
                what,
            });
            done.work.notify_all();
        });
        // the cleaner may have given up
        let _ = ended.send(result);
    });
}

/// Removes a segment in which nothing is needed, and then the rows of what stood in it.
fn remove(inner: &Inner, segment: u64) -> Result<(), StoreError> {
    let next = segment.saturating_add(1);
    {
        let gate = inner.gate();
        gate.index()?.write(|stage| {
            stage.advance(Place {
                segment: next,
                offset: 0,
            });
            Ok(())
        })?;
    }
    inner.state().floor = next;
    if let Err(error) = inner.journal.remove_segment(segment) {
        inner.state().floor = segment;
        return Err(error.into());
    }
    // the gate is let go in between: while somebody waits to have it alone, nobody is admitted
    while purge_some(inner.gate().index()?, segment)? {}
    inner.space.changed();
    Ok(())
}

/// Takes some rows of events and audit entries out of the index whose record stood in a segment that is gone; whether there may
/// be more.
pub(super) fn purge_some(index: &Index, segment: u64) -> Result<bool, IndexError> {
    let events = index.placed(segment, None, CHUNK)?;
    let audits = index.audited(segment, None, CHUNK)?;
    let replays = index.replayed(segment)?;
    if events.is_empty() && audits.is_empty() && replays.is_empty() {
        index.write(|stage| stage.remove_segment(segment))?;
        return Ok(false);
    }
    index.write(|stage| {
        for row in &replays {
            stage.remove_replay(row.replay.id())?;
        }
        for row in &audits {
            stage.remove_audit(row.audit.id())?;
        }
        for id in &events {
            stage.remove_event(*id)?;
        }
        Ok(())
    })?;
    Ok(true)
}
