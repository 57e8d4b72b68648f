//! Opens the store that the configuration names: a folder of this machine, or a database that several share.
//!
//! A database that is away at the start is waited for: another instance may serve meanwhile, and a start that failed would only
//! be tried again by whoever watches over us. What waiting does not mend ends the start.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::AppError;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::plan::StorePlan;
use crate::service;
use crate::store::Store;
use crate::store::local::{LocalStore, StoreOptions};
use crate::store::postgres::{PgOpenError, PgOptions, PgStore};

/// The pause before a database that is away is tried again; it doubles each time, and a part of it is left to chance, so that a
/// fleet does not come back all at once.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A store, and the clock that all who use it go by.
pub(super) struct Opened {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
}

/// Opens the store. `clock` is that of this machine; a database goes by its own.
pub(super) async fn open(
    plan: &StorePlan,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
) -> Result<Opened, AppError> {
    let Some(options) = PgOptions::of(plan) else {
        let store = local(plan, Arc::clone(&clock), metrics).await?;
        return Ok(Opened { store, clock });
    };
    let folder = plan.path.clone();
    let kept = tokio::task::spawn_blocking(move || make_folder(&folder));
    kept.await.map_err(AppError::StoreBroke)?;
    let store = Arc::new(shared(&options).await?);
    let clock = store.clock();
    Ok(Opened { store, clock })
}

/// On a thread that may block: reading the journal may take a while.
async fn local(
    plan: &StorePlan,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
) -> Result<Arc<dyn Store>, AppError> {
    let options = StoreOptions::from(plan);
    let opened = tokio::task::spawn_blocking(move || LocalStore::open(&options, clock, metrics));
    let store = opened
        .await
        .map_err(AppError::StoreBroke)?
        .map_err(AppError::Store)?;
    Ok(Arc::new(store))
}

async fn shared(options: &PgOptions) -> Result<PgStore, AppError> {
    let place = options.connection.place();
    let mut pause = FIRST_PAUSE;
    loop {
        match PgStore::open(options, None).await {
            Ok(store) => {
                tracing::info!(
                    database = place,
                    instance = options.name,
                    "the store is open"
                );
                return Ok(store);
            }
            Err(error) if may_pass(&error) => {
                tracing::warn!(%error, "the start waits for the database");
                service::status(&format!("waiting for the database {place}"));
            }
            Err(error) => return Err(AppError::Database(error)),
        }
        tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Whether the same may go later.
fn may_pass(error: &PgOpenError) -> bool {
    match error {
        PgOpenError::Connect(error) => error.is_away(),
        PgOpenError::Migrate(error) => error.is_away(),
        PgOpenError::Store(error) => matches!(error, crate::store::StoreError::Unavailable(_)),
    }
}

/// Makes the folder for what this machine keeps for itself. Without it the daemon runs as well; it is told when something is to
/// be kept there.
fn make_folder(folder: &Path) {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    if let Err(error) = made {
        let folder = folder.display();
        tracing::warn!(%folder, %error, "the folder for the last good configuration cannot be made");
    }
    if LocalStore::is_in(folder) {
        let folder = folder.display();
        tracing::warn!(
            %folder,
            "there is an embedded store, which is not used: `ingate store copy` moves what is in it to the database, or it can be removed"
        );
    }
}
