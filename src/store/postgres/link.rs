//! The way to the database: a connection lent for one thing, and whether the database can be reached now.
//!
//! Promise: once a connection has failed, whoever asks is told at once until the heartbeat has come through again; nobody waits
//! longer than [`PATIENCE`].

use std::future::Future;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::{Client, Object, Pool, PoolError, TimeoutType};
use tokio::sync::Notify;

use super::trouble::{Trouble, in_words, pool_in_words, trouble};
use crate::store::StoreError;

/// The longest that a statement is waited for. At the door that is what a vendor waits for its 503.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How often what lost against another transaction is tried again; each try has let another one through.
const TRIES: usize = 5;

/// The pool, and whether the database can be reached.
pub(super) struct Link {
    pool: Pool,
    /// Why it cannot be reached; `None` while it can.
    away: Mutex<Option<String>>,
    /// Told when it was just lost, so that it is looked at once whether that was one connection or all of it.
    pub(super) doubted: Notify,
}

impl Link {
    pub(super) fn new(pool: Pool) -> Self {
        Self {
            pool,
            away: Mutex::new(None),
            doubted: Notify::new(),
        }
    }

    /// Says no while it cannot be reached.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match &*self.lock() {
            Some(why) => Err(unavailable(why)),
            None => Ok(()),
        }
    }

    /// It was reached.
    pub(super) fn reached(&self) {
        let was = self.lock().take();
        if was.is_some() {
            tracing::info!("the database can be reached again");
        }
    }

    /// A connection, if the database can be reached.
    pub(super) async fn lend(&self) -> Result<Lent<'_>, StoreError> {
        self.check()?;
        self.lend_anyway(PATIENCE).await
    }

    /// A connection, also while it is taken to be away.
    pub(super) async fn lend_anyway(&self, patience: Duration) -> Result<Lent<'_>, StoreError> {
        let client = match tokio::time::timeout(patience, self.pool.get()).await {
            Ok(Ok(client)) => client,
            Ok(Err(PoolError::Timeout(TimeoutType::Wait))) => {
                let why = "all connections to the database are busy";
                return Err(StoreError::Unavailable(why.to_owned()));
            }
            Ok(Err(error)) => return Err(self.lost(pool_in_words(&error))),
            Err(_) => return Err(self.lost("it does not answer".to_owned())),
        };
        Ok(Lent {
            link: self,
            client: Some(client),
            in_doubt: AtomicBool::new(false),
        })
    }

    /// Closes all connections.
    pub(super) fn close(&self) {
        self.pool.close();
    }

    fn lost(&self, why: String) -> StoreError {
        let error = unavailable(&why);
        let mut away = self.lock();
        if away.is_none() {
            tracing::warn!(%why, "the database cannot be reached");
            self.doubted.notify_one();
        }
        *away = Some(why);
        error
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection of the pool. One that is not known to be idle at the end is closed rather than given back.
pub(super) struct Lent<'a> {
    link: &'a Link,
    client: Option<Client>,
    in_doubt: AtomicBool,
}

impl Lent<'_> {
    /// Does this with the connection, within [`PATIENCE`].
    pub(super) async fn run<T>(
        &self,
        work: impl Future<Output = Result<T, Failed>>,
    ) -> Result<T, StoreError> {
        let tried = self.try_within(PATIENCE, work).await;
        tried.map_err(|error| self.told(error))
    }

    /// The same again and again while it only loses against other transactions; its errors are for who asked.
    pub(super) async fn persist<T, Fut>(
        &self,
        patience: Duration,
        mut work: impl FnMut() -> Fut,
    ) -> Result<T, StoreError>
    where
        Fut: Future<Output = Result<T, Failed>>,
    {
        let mut tries = 1;
        loop {
            match self.try_within(patience, work()).await {
                Err(error) if error.may_pass_again() && tries < TRIES => tries += 1,
                other => return other.map_err(|error| self.told(error)),
            }
        }
    }

    /// The same in a transaction, which is undone where the work fails.
    pub(super) async fn transaction<T, Fut>(
        &self,
        work: impl FnMut() -> Fut,
    ) -> Result<T, StoreError>
    where
        Fut: Future<Output = Result<T, Failed>>,
    {
        self.transaction_within(PATIENCE, work).await
    }

    /// The same within another time.
    pub(super) async fn transaction_within<T, Fut>(
        &self,
        patience: Duration,
        mut work: impl FnMut() -> Fut,
    ) -> Result<T, StoreError>
    where
        Fut: Future<Output = Result<T, Failed>>,
    {
        let client = self.client();
        self.persist(patience, || {
            let work = work();
            async move {
                client.batch_execute("BEGIN").await?;
                let done = work.await;
                let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
                client.batch_execute(end).await?;
                done
            }
        })
        .await
    }

    /// Does this with the connection; what failed is not judged.
    pub(super) async fn try_within<T>(
        &self,
        patience: Duration,
        work: impl Future<Output = Result<T, Failed>>,
    ) -> Result<T, Failed> {
        self.in_doubt.store(true, Ordering::Relaxed);
        let Ok(done) = tokio::time::timeout(patience, work).await else {
            return Err(Failed::Silent);
        };
        let lost = matches!(&done, Err(Failed::Sql(error)) if is_away(error));
        self.in_doubt.store(lost, Ordering::Relaxed);
        done
    }

    /// What an error means for who asked; that the database is away is noted.
    pub(super) fn told(&self, error: Failed) -> StoreError {
        match error {
            Failed::Store(error) => error,
            Failed::Silent => self.link.lost("it does not answer".to_owned()),
            Failed::Sql(error) if is_away(&error) => self.link.lost(in_words(&error)),
            Failed::Sql(error) => error.into(),
        }
    }

    fn client(&self) -> &Client {
        // it is there until this is dropped
        #[expect(clippy::expect_used, reason = "only `drop` takes it")]
        self.client.as_ref().expect("a connection")
    }
}

impl Deref for Lent<'_> {
    type Target = Client;

    fn deref(&self) -> &Client {
        self.client()
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(client) = self.client.take()
            && self.in_doubt.load(Ordering::Relaxed)
        {
            drop(Object::take(client));
        }
    }
}

/// Why something with a connection failed.
#[derive(Debug)]
pub(super) enum Failed {
    /// The database said so, or did not answer.
    Sql(tokio_postgres::Error),
    /// Nothing came for too long.
    Silent,
    /// What was found forbids it.
    Store(StoreError),
}

impl From<tokio_postgres::Error> for Failed {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Failed {
    /// Whether it lost against another transaction, so that the same again may pass.
    pub(super) fn may_pass_again(&self) -> bool {
        matches!(self, Self::Sql(error) if trouble(error) == Trouble::Again)
    }
}

fn unavailable(why: &str) -> StoreError {
    StoreError::Unavailable(format!("the database cannot be reached: {why}"))
}

/// Whether the database, or the way to it, is gone; else it has refused this one thing.
fn is_away(error: &tokio_postgres::Error) -> bool {
    matches!(trouble(error), Trouble::Away | Trouble::Refused)
}
