//! What the pieces cost that every event passes through: parse, verify, pattern, render, the journal, the store with its
//! fold, and a claim out of a backlog.
//!
//! The pieces of the store are measured from outside, over a real disk: their times contain what its threads do and
//! what `fdatasync` takes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

#[path = "relay/event.rs"]
#[allow(dead_code)]
mod event;

use std::cell::LazyCell;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use http::{HeaderMap, HeaderName, HeaderValue};
use ingate::clock::{Clock, SystemClock};
use ingate::config::{self, ProcessEnv};
use ingate::delivery::{Attempt, Delivery, Next, Outcome, State};
use ingate::event::{Event, EventParts};
use ingate::id::{DeliveryId, EventId, TargetName};
use ingate::json::Document;
use ingate::metrics::Metrics;
use ingate::pattern::{Pattern, PatternRecord, Subject};
use ingate::plan::Plan;
use ingate::signature::Inbound;
use ingate::store::journal::{Entry, Journal, JournalError, Kind, Options};
use ingate::store::{
    Admission, Claimed, DedupeKey, Health, LocalStore, Settlement, Store, StoreOptions,
};
use ingate::template::{NoPartials, RenderLimits, Scene, Template};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const TEMPLATE: &str = include_str!("relay/relay.json.liquid");
const LIMITS: RenderLimits = RenderLimits {
    output_bytes: 1 << 20,
};

/// Those who write at the same time.
const WRITERS: usize = 64;

/// Events of the index that is rebuilt.
const REBUILT: usize = 10_000;

/// Deliveries that wait while some are claimed.
const BACKLOG: usize = 20_000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    parse(&mut criterion);
    verify(&mut criterion);
    pattern(&mut criterion);
    render(&mut criterion);
    journal(&mut criterion);
    store(&mut criterion);
    rebuild(&mut criterion);
    claim(&mut criterion);
    criterion.final_summary();
}

/// A folder on the disk that is to be measured.
fn folder() -> TempDir {
    let parent = std::env::var_os("INGATE_BENCH_DIR").map(PathBuf::from);
    let parent = parent.unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")));
    std::fs::create_dir_all(&parent).unwrap();
    TempDir::with_prefix_in("hot-", parent).unwrap()
}

fn parse(criterion: &mut Criterion) {
    let body = event::body(1);
    let work = || Document::parse(black_box(body.as_bytes()));
    assert!(work().is_ok(), "it parses");
    criterion.bench_function("parse", |bench| bench.iter(work));
}

fn verify(criterion: &mut Criterion) {
    let plan = plan();
    let source = &plan.sources["bench"];
    let requests = event::Requests::sign(1, 1);
    let request = requests.get(0);
    let (head, body) = request.split_at(request.len() - event::BODY_BYTES);
    let mut headers = HeaderMap::new();
    for line in std::str::from_utf8(head).unwrap().lines().skip(1) {
        if let Some((name, value)) = line.split_once(": ") {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
    }
    let body = Bytes::copy_from_slice(body);
    let now = Timestamp::now();
    let inbound = Inbound::post(&headers, &body);
    let work = || source.checks.verify(black_box(&inbound), now);
    assert!(work().is_ok(), "it verifies");
    criterion.bench_function("verify", |bench| bench.iter(work));
}

fn plan() -> Plan {
    let folder = folder();
    let config = folder.path().join("config.yaml");
    let text = format!(
        "sources: {{bench: {{preset: standard-webhooks, secrets: [{{value: {}}}]}}}}\n",
        event::SECRET
    );
    std::fs::write(&config, text).unwrap();
    match config::load(&config, &ProcessEnv) {
        Ok(compiled) => compiled.plan,
        Err(errors) => panic!("the configuration does not compile: {errors}"),
    }
}

fn pattern(criterion: &mut Criterion) {
    let record: PatternRecord = serde_json::from_value(json!({
        "type": ["invoice.*", "order.*"],
        "headers": {"content-type": {"prefix": "application/json"}},
        "body": {"data.status": ["paid", "open"], "data.amount": {"gte": 100}, "data.lines.sku": {"prefix": "SKU-7"}},
    }))
    .unwrap();
    let pattern = Pattern::compile(&record).unwrap();
    let event = sample(1);
    let subject = Subject {
        event_type: &event.parts().event_type,
        headers: &event.parts().headers,
        body: event.json(),
    };
    assert!(pattern.matches(&subject).is_ok(), "it matches");
    criterion.bench_function("pattern", |bench| {
        bench.iter(|| pattern.matches(black_box(&subject)));
    });
}

fn render(criterion: &mut Criterion) {
    let template = Template::compile("relay.json.liquid", TEMPLATE, &NoPartials).unwrap();
    let event = sample(1);
    let id = event.id().to_string();
    let vars: Map<String, Value> = json!({"region": "eu"}).as_object().unwrap().clone();
    let scene = Scene {
        payload: event.json().unwrap().into(),
        event: event.facts(&id),
        headers: &event.parts().headers,
        route: "orders",
        target: "t1",
        vars: &vars,
    };
    assert_eq!(template.render(&scene, LIMITS).unwrap().repairs, []);
    criterion.bench_function("render", |bench| {
        bench.iter(|| template.render(black_box(&scene), LIMITS));
    });
}

/// An event as it comes out of intake.
fn sample(seq: usize) -> Event {
    Event::from_stored(EventParts {
        id: EventId::generate(),
        source: "bench".parse().unwrap(),
        message_id: Some(format!("msg_{seq:012}")),
        event_type: "order.paid".to_owned(),
        headers: [
            ("content-type", "application/json"),
            ("user-agent", "bench/1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec(),
        body: Bytes::from(event::body(seq)),
        received_at: SystemClock.now(),
        hops: 0,
    })
}

/// Records of 2 KB, 64 always under way: the next is appended as soon as one is on disk.
fn journal(criterion: &mut Criterion) {
    let folder = folder();
    let options = Options {
        segment_bytes: 64 << 20,
        group_bytes: 8 << 20,
        waiting: 16_384,
        waiting_bytes: 64 << 20,
        lazy_sync: Duration::from_millis(100),
        begin_after: 0,
        spare_after: 1 << 20,
        most_bytes: u64::MAX,
        keep_free: 0,
    };
    let metrics = Arc::new(Metrics::new());
    let (journal, _) = Journal::open(folder.path(), options, metrics).unwrap();
    let mut group = criterion.benchmark_group("journal");
    group.throughput(Throughput::Elements(1)).sample_size(20);
    group.bench_function("append, 64 writers", |bench| {
        bench.iter_custom(|count| {
            let (done, finished) = channel();
            let start = Instant::now();
            let mut begun = 0;
            while begun < count.min(WRITERS as u64) {
                append(&journal, &done);
                begun += 1;
            }
            for _ in 0..count {
                finished.recv().unwrap().unwrap();
                if begun < count {
                    append(&journal, &done);
                    begun += 1;
                }
            }
            start.elapsed()
        });
    });
    group.finish();
    journal.close();
}

fn append(journal: &Journal, done: &Sender<Result<(), JournalError>>) {
    let done = done.clone();
    journal.append(Entry {
        version: 1,
        kind: Kind::Accepted,
        payload: vec![b'x'; 2048],
        urgent: true,
        done: Box::new(move |appended| {
            let _ = done.send(appended.map(drop));
        }),
    });
}

/// A store in a folder of its own.
struct Place {
    runtime: Runtime,
    store: Arc<LocalStore>,
    target: TargetName,
    seq: AtomicUsize,
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = folder();
        let runtime = Runtime::new().unwrap();
        let store = Arc::new(open(folder.path()));
        Self {
            runtime,
            store,
            target: "t1".parse().unwrap(),
            seq: AtomicUsize::new(0),
            folder,
        }
    }

    /// Admits so many events with a delivery each, from 64 tasks.
    fn admit(&self, count: usize) {
        self.admit_all(self.admissions(count));
    }

    /// So many of them, divided among 64.
    fn admissions(&self, count: usize) -> Vec<Vec<Admission>> {
        let mut shares: Vec<Vec<Admission>> = (0..WRITERS).map(|_| Vec::new()).collect();
        for at in 0..count {
            shares[at % WRITERS].push(self.admission());
        }
        shares
    }

    fn admit_all(&self, shares: Vec<Vec<Admission>>) {
        let writers: Vec<_> = shares
            .into_iter()
            .map(|share| {
                let store = Arc::clone(&self.store);
                self.runtime.spawn(async move {
                    for admission in share {
                        store.admit(admission).await.unwrap();
                    }
                })
            })
            .collect();
        self.runtime.block_on(async {
            for writer in writers {
                writer.await.unwrap();
            }
        });
    }

    fn admission(&self) -> Admission {
        let seq = self.seq.fetch_add(1, Ordering::Relaxed);
        let event = sample(seq);
        let now = event.parts().received_at;
        let mut key = [0; 32];
        // as spread as a hash is
        let spread = (seq as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        key[..8].copy_from_slice(&spread.to_be_bytes());
        Admission {
            deliveries: vec![Delivery {
                id: DeliveryId::generate(),
                event: event.id(),
                route: "orders".parse().unwrap(),
                target: self.target.clone(),
                state: State::Pending { due: now },
                attempts: 0,
                started_at: now,
                order: None,
                mark: None,
            }],
            event: Arc::new(event),
            dedupe: Some(DedupeKey {
                key,
                body: key,
                window: Duration::from_secs(48 * 3600),
            }),
            receipt: None,
        }
    }

    /// Claims what is due, 64 at most.
    fn claim(&self) -> Vec<Claimed> {
        let claims = self.store.claim(&self.target, WRITERS);
        self.runtime.block_on(claims).unwrap().taken
    }

    /// Says that the target has them.
    fn settle(&self, claimed: Vec<Claimed>) {
        for claimed in claimed {
            let settled = self.store.settle(claimed.lease, delivered());
            self.runtime.block_on(settled).unwrap();
        }
    }
}

fn open(folder: &Path) -> LocalStore {
    let options = StoreOptions {
        path: folder.join("data"),
        ..StoreOptions::default()
    };
    let (clock, metrics) = (Arc::new(SystemClock), Arc::new(Metrics::new()));
    LocalStore::open(&options, clock, metrics).unwrap()
}

fn delivered() -> Settlement {
    Settlement {
        attempt: Attempt {
            number: 1,
            started_at: SystemClock.now(),
            took: Duration::from_millis(3),
            outcome: Outcome::Answered {
                status: 200,
                retry_after: None,
                snippet: String::new(),
            },
            sent: None,
        },
        next: Next::Done,
        frozen: None,
    }
}

/// The whole way of an event through the store: 64 admit at a time, while one claims and settles. The fold runs
/// beside it and holds it up once it is behind.
fn store(criterion: &mut Criterion) {
    let place = LazyCell::new(Place::new);
    let mut group = criterion.benchmark_group("store");
    group.throughput(Throughput::Elements(1)).sample_size(20);
    group.bench_function("admit, claim, settle", |bench| {
        bench.iter_custom(|count| {
            let count = usize::try_from(count).unwrap();
            let admissions = place.admissions(count);
            let settling = place.settle_in_background(count);
            let start = Instant::now();
            place.admit_all(admissions);
            place.runtime.block_on(settling).unwrap();
            start.elapsed()
        });
    });
    group.finish();
}

impl Place {
    fn settle_in_background(&self, count: usize) -> tokio::task::JoinHandle<()> {
        let (store, target) = (Arc::clone(&self.store), self.target.clone());
        self.runtime.spawn(async move {
            let arrivals = store.arrivals(&target);
            let mut settled = 0;
            while settled < count {
                let mut arrived = std::pin::pin!(arrivals.notified());
                arrived.as_mut().enable();
                let claims = store.claim(&target, WRITERS).await.unwrap();
                if claims.taken.is_empty() {
                    arrived.await;
                }
                for claimed in claims.taken {
                    store.settle(claimed.lease, delivered()).await.unwrap();
                    settled += 1;
                }
            }
        })
    }
}

/// The fold alone, as far as it can be had from outside: the index is taken away and made anew from the journal.
fn rebuild(criterion: &mut Criterion) {
    let place = LazyCell::new(|| {
        let place = Place::new();
        place.admit(REBUILT);
        let mut waiting = REBUILT;
        while waiting > 0 {
            let claimed = place.claim();
            waiting -= claimed.len();
            place.settle(claimed);
        }
        place.runtime.block_on(place.store.close());
        place
    });
    let mut group = criterion.benchmark_group("fold");
    group
        .throughput(Throughput::Elements(2 * REBUILT as u64))
        .sample_size(10);
    group.bench_function("20,000 records, reading them included", |bench| {
        bench.iter_custom(|count| {
            let (folder, runtime) = (place.folder.path(), &place.runtime);
            let mut spent = Duration::ZERO;
            for _ in 0..count {
                std::fs::remove_dir_all(folder.join("data/index")).unwrap();
                let start = Instant::now();
                let store = open(folder);
                assert_eq!(runtime.block_on(store.opened()), Health::Ready);
                spent += start.elapsed();
                runtime.block_on(store.close());
            }
            spent
        });
    });
    group.finish();
}

/// 64 claimed out of 20,000 that wait; what a delivery costs is a 64th.
fn claim(criterion: &mut Criterion) {
    let place = LazyCell::new(|| {
        let place = Place::new();
        place.admit(BACKLOG);
        place
    });
    let mut group = criterion.benchmark_group("store");
    group.throughput(Throughput::Elements(WRITERS as u64));
    group.sample_size(20);
    group.bench_function("claim 64 of a backlog", |bench| {
        LazyCell::force(&place);
        bench.iter_custom(|count| {
            let mut spent = Duration::ZERO;
            for _ in 0..count {
                let start = Instant::now();
                let claimed = place.claim();
                spent += start.elapsed();
                assert_eq!(claimed.len(), WRITERS);
                place.settle(claimed);
                place.admit(WRITERS);
            }
            spent
        });
    });
    group.finish();
}
