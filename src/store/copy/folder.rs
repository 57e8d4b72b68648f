//! The embedded store as one side of a copy: read through its index, written as records of the journal.

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use async_trait::async_trait;

use super::{ENOUGH_BYTES, Kept, MARK, MOST_AUDITS, MOST_EVENTS, Portion, Side};
use crate::clock::SystemClock;
use crate::id::{AuditId, EventId};
use crate::metrics::Metrics;
use crate::store::clean::{append, remains};
use crate::store::journal::MAX_PAYLOAD;
use crate::store::local::{Inner, LocalStore, OpenError, StoreOptions};
use crate::store::record::{
    self, Attempted, Carried, Content, Moved, Operator, Purged, StoredAudit, StoredKey,
};
use crate::store::{Health, StoreError};

/// Records that may wait for the index; each takes some hundred bytes of memory meanwhile.
const LAG: u64 = 20_000;

/// How long the index may take to get this far.
const FOLD_PATIENCE: Duration = Duration::from_secs(300);

/// Bytes of bodies that are given to the journal at a time, unless one event has more of them.
const LOT_BYTES: usize = 16 << 20;

/// A record has this much for everything besides bodies and attempts of an event.
const ROOM: usize = 1 << 20;

/// The store in a folder, which nobody else has.
pub struct FolderSide {
    path: PathBuf,
    store: LocalStore,
}

impl FolderSide {
    /// Opens the store of a folder to copy from it.
    ///
    /// # Errors
    /// If there is none, or it cannot be opened.
    pub async fn source(path: &Path) -> Result<Self, OpenError> {
        if !LocalStore::is_in(path) {
            return Err(OpenError::Io {
                path: path.to_owned(),
                source: "there is no store in it".into(),
            });
        }
        Self::open(StoreOptions {
            path: path.to_owned(),
            ..StoreOptions::default()
        })
        .await
    }

    /// Opens or makes the store of a folder to copy to it from a store with this highest rank.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub async fn destination(path: &Path, highest_rank: u64) -> Result<Self, OpenError> {
        Self::open(StoreOptions {
            path: path.to_owned(),
            is_copy: true,
            // What comes later stands behind what is copied.
            begin_after: highest_rank,
            ..StoreOptions::default()
        })
        .await
    }

    async fn open(options: StoreOptions) -> Result<Self, OpenError> {
        let path = options.path.clone();
        let options = StoreOptions {
            // Nothing is let go meanwhile.
            clean_every: None,
            ..options
        };
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| OpenError::Io {
            path: path.clone(),
            source,
        };
        let opening =
            move || LocalStore::open(&options, Arc::new(SystemClock), Arc::new(Metrics::new()));
        let opened = tokio::task::spawn_blocking(opening).await;
        let store = opened.map_err(|error| failed(error.into()))??;
        match store.opened().await {
            Health::Ready => Ok(Self { path, store }),
            Health::Unavailable(why) => Err(failed(why.into())),
        }
    }

    /// Does this on a thread that may block.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Inner>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = Arc::clone(self.store.inner());
        let done = tokio::task::spawn_blocking(move || work(&inner)).await;
        done.map_err(|error| StoreError::Damaged(error.to_string()))?
    }

    async fn write(&self, contents: Vec<Content>, lag: u64) -> Result<(), StoreError> {
        self.run(move |inner| {
            let (ended, ends) = mpsc::channel();
            let (mut waiting, mut begun) = (0_usize, 0_usize);
            for content in contents {
                let size = frozen_bytes(&content);
                // Of an event with very large bodies each is waited for.
                if waiting > 0 && waiting + size > LOT_BYTES * 2 {
                    for end in ends.iter().take(begun) {
                        end?;
                    }
                    (waiting, begun) = (0, 0);
                }
                append(inner, content, &ended);
                waiting += size;
                begun += 1;
            }
            drop(ended);
            for end in ends {
                end?;
            }
            catch_up(inner, lag)
        })
        .await
    }
}

/// Waits until no more than `lag` records are not in the index.
fn catch_up(inner: &Inner, lag: u64) -> Result<(), StoreError> {
    let is_near = |queued: u64, folded: u64| queued.saturating_sub(folded) <= lag;
    let state = inner.wait_for_fold(FOLD_PATIENCE, |state| is_near(state.queued.1, state.folded));
    state.usable()?;
    match is_near(state.queued.1, state.folded) {
        true => Ok(()),
        false => Err(StoreError::Unavailable(
            "the index does not keep up".to_owned(),
        )),
    }
}

/// The records that say this.
fn contents(portion: Portion) -> Vec<Content> {
    let Portion {
        mut carried,
        purged_at,
    } = portion;
    if let Some(at) = purged_at {
        return vec![Content::Purged(Purged {
            at,
            // There are no earlier ones.
            scrubbed: true,
            remains: carried,
        })];
    }
    let mut later = Vec::new();
    if bytes(&carried) > MAX_PAYLOAD - ROOM {
        // Each body that is to be sent again goes into a record of its own, with the last attempt.
        for one in &mut carried.deliveries {
            let Some(attempt) = one.log.last().filter(|_| one.frozen.is_some()).cloned() else {
                continue;
            };
            one.log.pop();
            let it = &one.delivery;
            later.push(Content::Attempted(Attempted {
                moved: Moved {
                    delivery: it.id,
                    revision: it.revision.saturating_add(1),
                    state: it.state,
                    attempts: it.attempts,
                    started_at: it.started_at,
                },
                attempt,
                frozen: one.frozen.take(),
            }));
        }
    }
    let mut all = vec![Content::Carried(carried)];
    all.append(&mut later);
    all
}

fn frozen_bytes(content: &Content) -> usize {
    match content {
        Content::Carried(it) | Content::Purged(Purged { remains: it, .. }) => bytes(it),
        Content::Attempted(it) => it.frozen.as_ref().map_or(0, |body| body.0.len()),
        _ => 0,
    }
}

fn bytes(carried: &Carried) -> usize {
    let frozen = carried
        .deliveries
        .iter()
        .filter_map(|one| one.frozen.as_ref());
    let frozen: usize = frozen.map(|body| body.0.len()).sum();
    carried.event.body.0.len().saturating_add(frozen)
}

fn read(inner: &Inner, after: Option<EventId>, now: i64) -> Result<Vec<Portion>, StoreError> {
    let mut portions = Vec::new();
    let mut bytes_read = 0_u64;
    let gate = inner.gate();
    let index = gate.index()?;
    let from = after.unwrap_or(EventId::from_bytes([0; 16]));
    for row in index.events_from(from) {
        let (id, event) = row?;
        if Some(id) == after {
            continue;
        }
        let mut rows = Vec::with_capacity(event.deliveries.len());
        for delivery in &event.deliveries {
            if let Some(mut row) = index.delivery(*delivery)? {
                // The store's own time may go before the clock.
                if row.due().is_some() {
                    row.state = (&inner.dated(row.delivery(*delivery)).state).into();
                }
                rows.push((*delivery, row));
            }
        }
        let key = match event.key {
            Some(key) => index.key(&key)?.map(|row| (key, row)),
            None => None,
        };
        let key = key
            .filter(|(_, row)| row.event == id)
            .map(|(key, row)| StoredKey {
                key,
                body: row.body,
                expires: record::millis(inner.by_clock(row.expires)),
            })
            .filter(|key| key.expires > now);
        let carried = remains(inner, &event, rows, key, usize::MAX)?;
        bytes_read = bytes_read.saturating_add(bytes(&carried) as u64);
        portions.push(Portion {
            carried,
            purged_at: event.purged_at,
        });
        if portions.len() >= MOST_EVENTS || bytes_read >= ENOUGH_BYTES {
            break;
        }
    }
    Ok(portions)
}

#[async_trait]
impl Side for FolderSide {
    fn place(&self) -> String {
        self.path.display().to_string()
    }

    async fn now(&mut self) -> Result<i64, StoreError> {
        Ok(self.store.inner().now())
    }

    async fn identity(&mut self) -> Result<String, StoreError> {
        let gate = self.store.inner().gate();
        let meta = gate.index()?.meta();
        Ok(format!(
            "folder, {} rows, {:032x}",
            meta.rows, meta.fingerprint
        ))
    }

    async fn total(&mut self) -> Result<u64, StoreError> {
        self.run(|inner| {
            let gate = inner.gate();
            let index = gate.index()?;
            let mut total = 0_u64;
            for segment in index.segments()? {
                total = total.saturating_add(index.segment(segment)?.events);
            }
            Ok(total)
        })
        .await
    }

    async fn highest_rank(&mut self) -> Result<u64, StoreError> {
        // Ranks are numbers of records.
        Ok(self.store.inner().gate().index()?.meta().sequence)
    }

    async fn events(
        &mut self,
        after: Option<EventId>,
        now: i64,
    ) -> Result<Vec<Portion>, StoreError> {
        self.run(move |inner| read(inner, after, now)).await
    }

    async fn kept(&mut self) -> Result<Kept, StoreError> {
        self.run(|inner| {
            let gate = inner.gate();
            let index = gate.index()?;
            let mut replays = Vec::new();
            for row in index.replays(None) {
                replays.push(row?.1.replay);
            }
            let pauses = index.pauses()?.into_iter().map(|row| row.pause);
            Ok(Kept {
                plan: index.plan()?.map(|row| row.plan),
                pauses: pauses.collect(),
                replays,
            })
        })
        .await
    }

    async fn audits(&mut self, before: Option<AuditId>) -> Result<Vec<StoredAudit>, StoreError> {
        self.run(move |inner| {
            let gate = inner.gate();
            let found = gate.index()?.audits(before).take(MOST_AUDITS);
            let entries = found.map(|row| Ok(row?.1.audit));
            entries.collect()
        })
        .await
    }

    async fn mark(&mut self) -> Result<Option<String>, StoreError> {
        match std::fs::read_to_string(self.path.join(MARK)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::Damaged(format!("{MARK}: {error}"))),
        }
    }

    async fn set_mark(&mut self, identity: Option<&str>) -> Result<(), StoreError> {
        let path = self.path.join(MARK);
        let marked = match identity {
            Some(identity) => write_durably(&path, identity),
            None => std::fs::remove_file(&path),
        };
        let synced = marked.and_then(|()| std::fs::File::open(&self.path)?.sync_all());
        synced.map_err(|error| StoreError::Unavailable(format!("{}: {error}", path.display())))
    }

    async fn reached(&mut self) -> Result<Option<EventId>, StoreError> {
        self.run(|inner| {
            let gate = inner.gate();
            // Of the last one a part may be missing, and it may be written twice.
            let whole = gate.index()?.events(None).nth(1);
            Ok(whole.transpose()?.map(|(id, _)| id))
        })
        .await
    }

    async fn put_events(&mut self, events: Vec<Portion>) -> Result<(), StoreError> {
        // The journal bounds the bytes of what waits to be written.
        let (mut lot, mut lot_bytes) = (Vec::new(), 0);
        for portion in events {
            let size = bytes(&portion.carried);
            if lot_bytes > 0 && lot_bytes + size > LOT_BYTES {
                self.write(std::mem::take(&mut lot), LAG).await?;
                lot_bytes = 0;
            }
            lot.append(&mut contents(portion));
            lot_bytes += size;
        }
        self.write(lot, LAG).await
    }

    async fn put_kept(&mut self, kept: Kept) -> Result<(), StoreError> {
        let plan = kept.plan.into_iter().map(Operator::Plan);
        let pauses = kept.pauses.into_iter().map(Operator::Pause);
        let replays = kept.replays.into_iter().map(Operator::Replay);
        let all = plan.chain(pauses).chain(replays).map(Content::Operator);
        self.write(all.collect(), LAG).await
    }

    async fn put_audits(&mut self, audits: Vec<StoredAudit>) -> Result<(), StoreError> {
        let all = audits.into_iter().map(Operator::Audit);
        self.write(all.map(Content::Operator).collect(), LAG).await
    }

    async fn finish(&mut self) -> Result<(), StoreError> {
        self.write(Vec::new(), 0).await
    }

    async fn close(self: Box<Self>) {
        use crate::store::Store;
        self.store.close().await;
    }
}

fn write_durably(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    let mut file = std::fs::File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
