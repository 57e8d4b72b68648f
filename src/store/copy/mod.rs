//! Everything of one store into another: from the embedded one into a database, or back.
//!
//! Promise: what was copied is read again from where it went and must be the same, by kind and as a whole; until then that store
//! cannot be used by a daemon. What is broken off goes on where it was, as long as the source was not used meanwhile. Neither
//! store is in use by anybody else while it lasts. Not here: the two kinds of stores (see `folder`, and `postgres`).

mod folder;
mod tally;
#[cfg(test)]
mod tests;

use async_trait::async_trait;

pub use folder::FolderSide;
pub use tally::Tally;

use super::StoreError;
use super::record::{Carried, StoredAudit, StoredPause, StoredPlan, StoredReplay};
use crate::id::{AuditId, EventId};

/// The file in the folder of a store that is being copied to.
pub(super) const MARK: &str = "COPYING";

/// Most events that are read at a time.
pub(super) const MOST_EVENTS: usize = 200;

/// Bytes of bodies after which no more events are read at a time.
pub(super) const ENOUGH_BYTES: u64 = 16 << 20;

/// Audit entries that are read at a time; each has 2 KB at most.
pub(super) const MOST_AUDITS: usize = 500;

/// An event with all that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Portion {
    /// The event, its deliveries with what they sent and when, its dedupe key if that counts.
    pub(super) carried: Carried,
    /// When its data was purged.
    pub(super) purged_at: Option<i64>,
}

impl Portion {
    pub(super) fn id(&self) -> EventId {
        EventId::from_bytes(self.carried.event.id)
    }
}

/// What operators want kept. There are few of each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// The configuration that came into force last.
    pub(super) plan: Option<StoredPlan>,
    /// Targets that are paused.
    pub(super) pauses: Vec<StoredPause>,
    /// Replays.
    pub(super) replays: Vec<StoredReplay>,
}

/// A store that is copied from or to. Whoever has one has that store for itself.
#[async_trait]
pub trait Side: Send {
    /// Where it is, for people.
    fn place(&self) -> String;

    /// Now, by its own clock, in milliseconds since 1970.
    async fn now(&mut self) -> Result<i64, StoreError>;

    /// What tells this content from any other.
    async fn identity(&mut self) -> Result<String, StoreError>;

    /// How many events there are.
    async fn total(&mut self) -> Result<u64, StoreError>;

    /// The highest rank of a delivery in a line.
    async fn highest_rank(&mut self) -> Result<u64, StoreError>;

    /// The next events behind `after`, in the order of their ids, with the dedupe keys that count at `now`; none at the end.
    async fn events(
        &mut self,
        after: Option<EventId>,
        now: i64,
    ) -> Result<Vec<Portion>, StoreError>;

    /// What operators want kept, in any order.
    async fn kept(&mut self) -> Result<Kept, StoreError>;

    /// Entries of the audit log, newest first, older than `before`; none at the end.
    async fn audits(&mut self, before: Option<AuditId>) -> Result<Vec<StoredAudit>, StoreError>;

    /// The identity of what is being copied to here, if that has not ended.
    async fn mark(&mut self) -> Result<Option<String>, StoreError>;

    /// Notes that this is being copied to here, or that it has ended.
    async fn set_mark(&mut self, identity: Option<&str>) -> Result<(), StoreError>;

    /// All events up to this one are here, whole.
    async fn reached(&mut self) -> Result<Option<EventId>, StoreError>;

    /// Puts events in, which come in the order of their ids. On disk when it returns.
    async fn put_events(&mut self, events: Vec<Portion>) -> Result<(), StoreError>;

    /// Puts in what operators want kept, in the place of what is there.
    async fn put_kept(&mut self, kept: Kept) -> Result<(), StoreError>;

    /// Puts in entries of the audit log; those that are there already stay.
    async fn put_audits(&mut self, audits: Vec<StoredAudit>) -> Result<(), StoreError>;

    /// Does what remains when all was put in.
    async fn finish(&mut self) -> Result<(), StoreError>;

    /// Gives the store free.
    async fn close(self: Box<Self>);
}

/// Why nothing was copied, or not all.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The destination holds something.
    #[error(
        "{place} is not empty ({what}): everything is copied to where nothing is, or to where the same copy was broken off"
    )]
    NotEmpty {
        /// Where.
        place: String,
        /// What it holds.
        what: String,
    },
    /// Another copy was broken off there.
    #[error(
        "a copy to {place} was broken off, and it was not of what {from} holds now: begin anew with an empty one"
    )]
    Another {
        /// Where to.
        place: String,
        /// Where from.
        from: String,
    },
    /// A store could not be read or written.
    #[error("{place}: {error}")]
    Store {
        /// Which.
        place: String,
        /// Why.
        #[source]
        error: StoreError,
    },
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Whether all is there and is read again.
    pub checking: bool,
    /// Events that are done.
    pub done: u64,
    /// Events in all.
    pub total: u64,
}

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Events that were put in by this run; those before were there already.
    pub events: u64,
    /// What there is at the source.
    pub source: Tally,
    /// What was found at the destination afterwards.
    pub destination: Tally,
}

impl Copied {
    /// Whether both hold the same.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.source == self.destination
    }
}

/// Copies everything, and reads it again. The destination can be used by a daemon if it is complete.
///
/// # Errors
/// See [`CopyError`]; the same again goes on where it was.
pub async fn copy(
    from: &mut dyn Side,
    to: &mut dyn Side,
    tell: &mut (dyn FnMut(Progress) + Send),
) -> Result<Copied, CopyError> {
    let (from_place, to_place) = (from.place(), to.place());
    let at_source = |error| CopyError::Store {
        place: from_place.clone(),
        error,
    };
    let at_destination = |error| CopyError::Store {
        place: to_place.clone(),
        error,
    };
    begin(from, to).await?;
    let now = from.now().await.map_err(at_source)?;
    let total = from.total().await.map_err(at_source)?;
    let reached = to.reached().await.map_err(at_destination)?;
    let mut source = Tally::default();
    let (mut after, mut put) = (None, 0_u64);
    loop {
        let read = from.events(after, now).await.map_err(at_source)?;
        let Some(last) = read.last() else {
            break;
        };
        after = Some(last.id());
        for portion in &read {
            source.event(portion).map_err(at_source)?;
        }
        let new = read.into_iter().filter(|it| Some(it.id()) > reached);
        let new: Vec<Portion> = new.collect();
        if !new.is_empty() {
            put = put.saturating_add(new.len() as u64);
            to.put_events(new).await.map_err(at_destination)?;
        }
        let done = source.events;
        tell(Progress {
            checking: false,
            done,
            total,
        });
    }
    let kept = from.kept().await.map_err(at_source)?;
    source.kept(&kept).map_err(at_source)?;
    to.put_kept(kept).await.map_err(at_destination)?;
    let mut before = None;
    loop {
        let audits = from.audits(before).await.map_err(at_source)?;
        let Some(last) = audits.last() else {
            break;
        };
        before = Some(last.id());
        source.audits(&audits).map_err(at_source)?;
        to.put_audits(audits).await.map_err(at_destination)?;
    }
    to.finish().await.map_err(at_destination)?;
    let destination = tally(to, now, total, tell).await.map_err(at_destination)?;
    let copied = Copied {
        events: put,
        source,
        destination,
    };
    if copied.is_complete() {
        to.set_mark(None).await.map_err(at_destination)?;
    }
    Ok(copied)
}

/// Sees to it that the destination is empty, or is where the same was broken off.
async fn begin(from: &mut dyn Side, to: &mut dyn Side) -> Result<(), CopyError> {
    let (from_place, place) = (from.place(), to.place());
    let identity = from.identity().await;
    let identity = identity.map_err(|error| CopyError::Store {
        place: from_place.clone(),
        error,
    })?;
    let failed = |error| CopyError::Store {
        place: place.clone(),
        error,
    };
    match to.mark().await.map_err(failed)? {
        Some(mark) if mark == identity => return Ok(()),
        Some(_) => {
            return Err(CopyError::Another {
                place,
                from: from_place,
            });
        }
        None => {}
    }
    let events = to.total().await.map_err(failed)?;
    let kept = to.kept().await.map_err(failed)?;
    let audits = to.audits(None).await.map_err(failed)?;
    let what = match () {
        () if events > 0 => format!("{events} events"),
        () if !kept.pauses.is_empty() => "pauses".to_owned(),
        () if !kept.replays.is_empty() => "replays".to_owned(),
        () if kept.plan.is_some() => "the number of a configuration".to_owned(),
        () if !audits.is_empty() => "entries of the audit log".to_owned(),
        () => return to.set_mark(Some(&identity)).await.map_err(failed),
    };
    Err(CopyError::NotEmpty { place, what })
}

/// Counts what a store holds.
async fn tally(
    side: &mut dyn Side,
    now: i64,
    total: u64,
    tell: &mut (dyn FnMut(Progress) + Send),
) -> Result<Tally, StoreError> {
    let mut tally = Tally::default();
    let mut after = None;
    loop {
        let read = side.events(after, now).await?;
        let Some(last) = read.last() else {
            break;
        };
        after = Some(last.id());
        for portion in &read {
            tally.event(portion)?;
        }
        let done = tally.events;
        tell(Progress {
            checking: true,
            done,
            total,
        });
    }
    tally.kept(&side.kept().await?)?;
    let mut before = None;
    loop {
        let audits = side.audits(before).await?;
        let Some(last) = audits.last() else {
            break;
        };
        before = Some(last.id());
        tally.audits(&audits)?;
    }
    Ok(tally)
}
