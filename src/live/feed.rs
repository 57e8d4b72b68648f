//! Events and attempts as they happen, for those who watch: the last ones in two rings, the next ones by a channel.
//!
//! Promise: who tells waits for nobody; a reader that is too slow is told how many it has missed, and goes on with what
//! is new; no attempt is told before its event, though it may end before whoever took the event in goes on. Not here: filters of readers, JSON (see `admin`).

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::broadcast;

use crate::delivery::{Attempt, AttemptResult, Delivery, Next, StateKind};
use crate::event::Event;
use crate::id::{DeliveryId, EventId, RouteName, SourceName, TargetName};

/// Attempts and events that are kept for who comes back, or asks for the last ones.
const ATTEMPTS: usize = 2000;
const EVENTS: usize = 1000;

/// What a reader may be behind before it misses some: some seconds at the highest rates.
const BEHIND: usize = 4096;

/// An event that was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventNews {
    /// Our id of it.
    pub id: EventId,
    /// The source that it came in by.
    pub source: SourceName,
    /// The sender's id of it.
    pub message_id: Option<String>,
    /// What happened, in the sender's words.
    pub event_type: String,
    /// When it came in.
    pub received_at: Timestamp,
    /// Bytes of its body.
    pub size: u64,
    /// Its deliveries, with route and target.
    pub deliveries: Vec<(DeliveryId, RouteName, TargetName)>,
}

impl EventNews {
    /// What is told of an event with these deliveries.
    #[must_use]
    pub fn of(event: &Event, deliveries: &[Delivery]) -> Self {
        let parts = event.parts();
        let short = |delivery: &Delivery| {
            let (route, target) = (delivery.route.clone(), delivery.target.clone());
            (delivery.id, route, target)
        };
        Self {
            id: parts.id,
            source: parts.source.clone(),
            message_id: parts.message_id.clone(),
            event_type: parts.event_type.clone(),
            received_at: parts.received_at,
            size: u64::try_from(parts.body.len()).unwrap_or(u64::MAX),
            deliveries: deliveries.iter().map(short).collect(),
        }
    }
}

/// An attempt that has ended and is recorded. Its words are with the delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptNews {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Its event.
    pub event: EventId,
    /// The source of the event.
    pub source: SourceName,
    /// The type of the event.
    pub event_type: String,
    /// By which route.
    pub route: RouteName,
    /// To which target.
    pub target: TargetName,
    /// Which of the delivery's attempts.
    pub number: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// What came of it.
    pub result: AttemptResult,
    /// What the delivery became.
    pub state: StateKind,
    /// When the next attempt is due, while it is pending.
    pub due_at: Option<Timestamp>,
}

impl AttemptNews {
    /// What is told of an attempt of this delivery of this event.
    #[must_use]
    pub fn of(event: &Event, delivery: &Delivery, attempt: &Attempt, next: Next) -> Self {
        let parts = event.parts();
        let (state, due_at) = match next {
            Next::Done => (StateKind::Delivered, None),
            Next::RetryAt(at) => (StateKind::Pending, Some(at)),
            Next::Bury(_) => (StateKind::Dead, None),
        };
        Self {
            delivery: delivery.id,
            event: delivery.event,
            source: parts.source.clone(),
            event_type: parts.event_type.clone(),
            route: delivery.route.clone(),
            target: delivery.target.clone(),
            number: attempt.number,
            started_at: attempt.started_at,
            took: attempt.took,
            result: AttemptResult::from(&attempt.outcome),
            state,
            due_at,
        }
    }
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// An event was stored.
    Event(EventNews),
    /// An attempt has ended.
    Attempt(AttemptNews),
}

/// What has happened, and where it stands in the feed.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place.
    pub place: Place,
    /// What.
    pub news: News,
}

/// A place in the feed of one life of the process. Written as `19bf0d1c2a0-42`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// When the process began, in milliseconds since 1970.
    life: u64,
    /// Counts from 1.
    number: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.life, self.number)
    }
}

/// The text is no place in a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no place in the stream")]
pub struct NoPlace;

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let (life, number) = text.split_once('-').ok_or(NoPlace)?;
        let plain = |text: &str, digit: fn(&u8) -> bool| {
            !text.is_empty() && text.as_bytes().iter().all(digit)
        };
        let hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
        if !plain(life, hex) || !plain(number, u8::is_ascii_digit) {
            return Err(NoPlace);
        }
        Ok(Self {
            life: u64::from_str_radix(life, 16).map_err(|_| NoPlace)?,
            number: number.parse().map_err(|_| NoPlace)?,
        })
    }
}

/// The feed.
#[derive(Debug)]
pub struct Feed {
    life: u64,
    rings: Mutex<Rings>,
    next: broadcast::Sender<Arc<Entry>>,
}

#[derive(Debug, Default)]
struct Rings {
    /// The number of the last entry; 0 before the first.
    last: u64,
    events: VecDeque<Arc<Entry>>,
    attempts: VecDeque<Arc<Entry>>,
    /// Events that are announced, and what was told of their attempts meanwhile.
    announced: HashMap<EventId, Vec<AttemptNews>>,
}

/// An event that is about to be stored. Until it is told, or this is dropped, what is told of its attempts waits.
#[derive(Debug)]
pub struct Announced<'a> {
    feed: &'a Feed,
    event: EventId,
}

impl Announced<'_> {
    /// The event is stored.
    pub fn tell(self, news: EventNews) {
        self.feed.tell(News::Event(news));
    }
}

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        let mut rings = self.feed.lock();
        for attempt in rings.announced.remove(&self.event).unwrap_or_default() {
            self.feed.put(&mut rings, News::Attempt(attempt));
        }
    }
}

impl Feed {
    /// A feed of a process that began now.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            life: u64::try_from(now.as_millisecond()).unwrap_or_default(),
            rings: Mutex::default(),
            next: broadcast::Sender::new(BEHIND),
        }
    }

    /// Announces an event that is about to be stored.
    #[must_use]
    pub fn announce(&self, event: EventId) -> Announced<'_> {
        self.lock().announced.insert(event, Vec::new());
        Announced { feed: self, event }
    }

    /// Tells what has happened.
    pub fn tell(&self, news: News) {
        let mut rings = self.lock();
        if let News::Attempt(attempt) = &news
            && let Some(held) = rings.announced.get_mut(&attempt.event)
        {
            held.push(attempt.clone());
            return;
        }
        self.put(&mut rings, news);
    }

    fn put(&self, rings: &mut Rings, news: News) {
        let is_event = matches!(news, News::Event(_));
        rings.last += 1;
        let place = Place {
            life: self.life,
            number: rings.last,
        };
        let entry = Arc::new(Entry { place, news });
        let (ring, most) = if is_event {
            (&mut rings.events, EVENTS)
        } else {
            (&mut rings.attempts, ATTEMPTS)
        };
        if ring.len() >= most {
            ring.pop_front();
        }
        ring.push_back(Arc::clone(&entry));
        // Under the lock, so that readers get it in the order of the numbers. An error says that nobody reads.
        let _ = self.next.send(entry);
    }

    /// A reader of what comes next, or of what comes behind this place, as far as it is still there.
    #[must_use]
    pub fn read(&self, behind: Option<Place>) -> Reader {
        let rings = self.lock();
        let next = self.next.subscribe();
        let (missed, backlog) =
            behind.map_or((None, VecDeque::new()), |place| self.backlog(&rings, place));
        Reader {
            missed,
            backlog,
            next,
        }
    }

    /// What came behind a place: what is gone of it, and what is left.
    fn backlog(&self, rings: &Rings, place: Place) -> (Option<Missed>, VecDeque<Arc<Entry>>) {
        let same_life = place.life == self.life;
        let number = if same_life { place.number } else { 0 };
        let behind = |entry: &&Arc<Entry>| entry.place.number > number;
        let kept = rings.events.iter().chain(&rings.attempts).filter(behind);
        let mut kept: Vec<Arc<Entry>> = kept.map(Arc::clone).collect();
        kept.sort_unstable_by_key(|entry| entry.place.number);
        let all = rings.last.saturating_sub(number);
        let gone = all.saturating_sub(u64::try_from(kept.len()).unwrap_or(u64::MAX));
        let missed = if same_life {
            (gone > 0).then_some(Missed(Some(gone)))
        } else {
            // How many there were in another life, nobody knows.
            Some(Missed(None))
        };
        (missed, kept.into())
    }

    /// The last attempts that pass, newest first, at most so many, of those before a place; and the place of the last
    /// of them, if there are more.
    #[must_use]
    pub fn attempts(
        &self,
        before: Option<Place>,
        limit: usize,
        passes: impl Fn(&AttemptNews) -> bool,
    ) -> (Vec<Arc<Entry>>, Option<Place>) {
        let is_before = |entry: &Entry| {
            before.is_none_or(|place| place.life == self.life && entry.place.number < place.number)
        };
        let fits = |entry: &&Arc<Entry>| {
            let passes = matches!(&entry.news, News::Attempt(attempt) if passes(attempt));
            passes && is_before(entry)
        };
        let mut found: Vec<Arc<Entry>> = {
            let rings = self.lock();
            let newest_first = rings.attempts.iter().rev();
            newest_first
                .filter(fits)
                .take(limit.saturating_add(1))
                .map(Arc::clone)
                .collect()
        };
        let more = found.len() > limit;
        found.truncate(limit);
        let rest = found.last().filter(|_| more).map(|entry| entry.place);
        (found, rest)
    }

    fn lock(&self) -> MutexGuard<'_, Rings> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many a reader has missed; `None` if that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Missed(Option<u64>);

/// What a reader hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// This has happened.
    Entry(Arc<Entry>),
    /// So many have happened that it does not get to hear of; `None` if it is not known how many.
    Lost(Option<u64>),
}

/// Who reads the feed.
#[derive(Debug)]
pub struct Reader {
    missed: Option<Missed>,
    backlog: VecDeque<Arc<Entry>>,
    next: broadcast::Receiver<Arc<Entry>>,
}

impl Reader {
    /// What comes next; `None` once the feed is gone. May be given up and asked for again.
    pub async fn next(&mut self) -> Option<Heard> {
        if let Some(Missed(count)) = self.missed.take() {
            return Some(Heard::Lost(count));
        }
        if let Some(entry) = self.backlog.pop_front() {
            return Some(Heard::Entry(entry));
        }
        match self.next.recv().await {
            Ok(entry) => Some(Heard::Entry(entry)),
            Err(broadcast::error::RecvError::Lagged(count)) => Some(Heard::Lost(Some(count))),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::Failure;

    fn event() -> News {
        News::Event(EventNews {
            id: EventId::generate(),
            source: "wreno".parse().unwrap(),
            message_id: None,
            event_type: "x".to_owned(),
            received_at: Timestamp::UNIX_EPOCH,
            size: 1,
            deliveries: Vec::new(),
        })
    }

    fn attempt(number: u32) -> News {
        News::Attempt(AttemptNews {
            delivery: DeliveryId::generate(),
            event: EventId::generate(),
            source: "wreno".parse().unwrap(),
            event_type: "x".to_owned(),
            route: "all".parse().unwrap(),
            target: "erp".parse().unwrap(),
            number,
            started_at: Timestamp::UNIX_EPOCH,
            took: Duration::ZERO,
            result: AttemptResult::Failed(Failure::Dns),
            state: StateKind::Dead,
            due_at: None,
        })
    }

    #[test]
    fn no_attempt_is_told_before_its_event() {
        let (feed, other) = (feed(), attempt(9));
        let News::Event(stored) = event() else {
            panic!("not an event");
        };
        let of = |id, number| match attempt(number) {
            News::Attempt(attempt) => News::Attempt(AttemptNews {
                event: id,
                ..attempt
            }),
            News::Event(_) => panic!("an event"),
        };
        let (id, refused) = (stored.id, EventId::generate());
        let announced = feed.announce(id);
        feed.tell(of(id, 1));
        feed.tell(other.clone());
        announced.tell(stored.clone());
        feed.tell(of(id, 2));
        // One that is never told holds nothing back for ever.
        let dropped = feed.announce(refused);
        feed.tell(of(refused, 3));
        drop(dropped);
        let told: Vec<News> = feed
            .read(Some(place("1234-0")))
            .backlog
            .iter()
            .map(|entry| entry.news.clone())
            .collect();
        let wanted = [
            other,
            News::Event(stored),
            of(id, 1),
            of(id, 2),
            of(refused, 3),
        ];
        let key = |news: &News| match news {
            News::Event(event) => (event.id, 0),
            News::Attempt(attempt) => (attempt.event, attempt.number),
        };
        let keys = |news: &[News]| news.iter().map(key).collect::<Vec<_>>();
        assert_eq!(keys(&told), keys(&wanted));
        assert!(feed.lock().announced.is_empty());
    }

    fn feed() -> Feed {
        Feed::new(Timestamp::from_millisecond(0x1234).unwrap())
    }

    fn place(text: &str) -> Place {
        text.parse().unwrap()
    }

    async fn heard(reader: &mut Reader) -> String {
        match reader.next().await.unwrap() {
            Heard::Entry(entry) => entry.place.to_string(),
            Heard::Lost(count) => format!("lost {count:?}"),
        }
    }

    #[tokio::test]
    async fn a_reader_that_comes_back_hears_what_it_has_missed_once() {
        let feed = feed();
        for number in 0..3 {
            feed.tell(event());
            feed.tell(attempt(number));
        }
        let mut fresh = feed.read(None);
        let mut back = feed.read(Some(place("1234-4")));
        let mut of_another_life = feed.read(Some(place("1233-4")));
        feed.tell(event());
        assert_eq!(heard(&mut fresh).await, "1234-7");
        for wanted in ["1234-5", "1234-6", "1234-7"] {
            assert_eq!(heard(&mut back).await, wanted);
        }
        assert_eq!(heard(&mut of_another_life).await, "lost None");
        for number in 1..=7 {
            assert_eq!(heard(&mut of_another_life).await, format!("1234-{number}"));
        }
    }

    #[tokio::test]
    async fn a_reader_that_is_too_slow_is_told_how_many_it_has_missed() {
        let feed = feed();
        feed.tell(event());
        let mut slow = feed.read(None);
        for _ in 0..BEHIND + 10 {
            feed.tell(event());
        }
        assert_eq!(heard(&mut slow).await, "lost Some(10)");
        assert_eq!(heard(&mut slow).await, "1234-12");
        // The ring has the last ones only.
        let mut back = feed.read(Some(place("1234-1")));
        let gone = BEHIND + 10 - EVENTS;
        assert_eq!(heard(&mut back).await, format!("lost Some({gone})"));
        assert_eq!(heard(&mut back).await, format!("1234-{}", gone + 2));
    }

    #[test]
    fn the_last_attempts_are_paged() {
        let feed = feed();
        for number in 0..5 {
            feed.tell(attempt(number));
            feed.tell(event());
        }
        let places = |(entries, rest): (Vec<Arc<Entry>>, Option<Place>)| {
            let places: Vec<String> = entries
                .iter()
                .map(|entry| entry.place.to_string())
                .collect();
            (places.join(" "), rest.map(|place| place.to_string()))
        };
        let (page, rest) = places(feed.attempts(None, 2, |_| true));
        assert_eq!(
            (page.as_str(), rest.as_deref()),
            ("1234-9 1234-7", Some("1234-7"))
        );
        let (page, rest) = places(feed.attempts(Some(place("1234-7")), 5, |_| true));
        assert_eq!((page.as_str(), rest), ("1234-5 1234-3 1234-1", None));
        let (page, _) = places(feed.attempts(None, 5, |attempt| attempt.number == 3));
        assert_eq!(page, "1234-7");
        let (page, rest) = places(feed.attempts(Some(place("1-7")), 5, |_| true));
        assert_eq!((page.as_str(), rest), ("", None));
        for number in 0..3000 {
            feed.tell(attempt(number));
        }
        assert_eq!(feed.attempts(None, 5000, |_| true).0.len(), ATTEMPTS);
    }

    #[test]
    fn places_are_read_as_they_are_written() {
        for text in ["1234-1", "0-0", "19bf0d1c2a0-42"] {
            assert_eq!(place(text).to_string(), text);
        }
        for text in [
            "", "-", "1-", "-1", "1", "x-1", "1-x", "+1-1", "1-+1", "1F-1", "1-1-1",
        ] {
            assert_eq!(text.parse::<Place>(), Err(NoPlace), "{text}");
        }
    }
}
