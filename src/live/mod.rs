//! What goes on now and lately, for operators: a feed of events and attempts, series for charts, what failed
//! verification. In memory, bounded, and begun anew with the process.
//!
//! Promise: who tells never waits for who reads, and pays for a short lock and a small allocation; nothing of a body and
//! no value of a header is kept. Not here: what is stored (see `store`), metrics (see `metrics`).

mod armed;
mod feed;
mod refused;
mod series;
mod subscriptions;
mod tally;

use jiff::Timestamp;

pub use self::armed::{Armed, MAX_ARMED};
pub use self::feed::{Announced, AttemptNews, Entry, EventNews, Feed, Heard, News, Place, Reader};
pub use self::refused::{Failed, Failures, Refused};
pub use self::series::{Columns, STEP_TICKS, Series, Waiting, Which, Window};
pub use self::subscriptions::{Subscriptions, Unconfirmed};
pub use self::tally::{InTotals, Inbound, OutTotals, Tallies};

/// All of it.
#[derive(Debug)]
pub struct Live {
    /// When it began, as the process did.
    pub started_at: Timestamp,
    /// Events and attempts as they happen.
    pub feed: Feed,
    /// Counters, for what is shown here alone.
    pub tallies: Tallies,
    /// How it went lately.
    pub series: Series,
    /// What failed verification.
    pub refused: Refused,
    /// Sources that wait for a secret.
    pub armed: Armed,
    /// Subscriptions that wait to be confirmed.
    pub subscriptions: Subscriptions,
}

impl Live {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            started_at: now,
            feed: Feed::new(now),
            tallies: Tallies::default(),
            series: Series::new(now),
            refused: Refused::default(),
            armed: Armed::default(),
            subscriptions: Subscriptions::default(),
        }
    }
}

impl Default for Live {
    fn default() -> Self {
        Self::new(Timestamp::now())
    }
}
