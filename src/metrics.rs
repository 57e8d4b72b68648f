//! Every metric, its name and its handle, in one struct that is passed along and never global.
//!
//! Label values come from the configuration and from closed lists, never from a request, so the number
//! of series is bounded.

mod known;
mod labels;
mod process;
mod register;

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use self::known::Known;
use self::labels::{
    ByDoor, ByResult, ByRoute, BySource, ByTarget, Dropped, RouteReason, SourceResult,
    TargetReason, TargetResult, TargetState, by,
};

/// The states of a breaker, as the label `state` has them.
pub const BREAKER_STATES: [&str; 3] = ["closed", "open", "half_open"];

/// How long a request may take until it is accepted: 0.25 ms to 8 s, since a sync of the disk is in it.
const ACCEPT_BUCKETS: (f64, f64, u16) = (0.00025, 2.0, 16);

/// How long an attempt may take: 1 ms to 131 s, as targets are from next door to slow.
const ATTEMPT_BUCKETS: (f64, f64, u16) = (0.001, 2.0, 18);

/// How long it may take until an event is delivered: 4 ms to 3 days, as retries go on for days.
const DELIVERY_BUCKETS: (f64, f64, u16) = (0.004, 4.0, 14);

/// How many records there may be in a sync: 1 to 4096.
const RECORD_BUCKETS: (f64, f64, u16) = (1.0, 2.0, 13);

/// A family of histograms.
type Histograms<S> = Family<S, Histogram, fn() -> Histogram>;

fn histogram((start, factor, length): (f64, f64, u16)) -> Histogram {
    Histogram::new(exponential_buckets(start, factor, length))
}

/// What became of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanFate {
    /// The collector has it.
    Sent,
    /// There was no room for it.
    NoRoom,
    /// The collector does not want it.
    Refused,
    /// The collector could not be reached in time.
    Unsent,
}

impl SpanFate {
    const ALL: [Self; 4] = [Self::Sent, Self::NoRoom, Self::Refused, Self::Unsent];

    fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::NoRoom => "no_room",
            Self::Refused => "refused",
            Self::Unsent => "unsent",
        }
    }
}

/// How a store stands, as its gauges tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreGauges {
    /// Whether it takes events.
    pub ready: bool,
    /// Bytes of its journal.
    pub journal_bytes: u64,
    /// Most bytes of journal.
    pub journal_limit_bytes: u64,
    /// Bytes that are free on its file system, where that says so.
    pub free_bytes: Option<u64>,
    /// Bytes that must stay free.
    pub free_limit_bytes: u64,
    /// Records of the journal that the index does not have yet.
    pub unfolded_records: u64,
}

/// All metrics of one daemon.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    known: KnownHandles,
    inbound_requests: Family<SourceResult, Counter>,
    accept_duration: Histograms<BySource>,
    verification_failures: Family<Dropped, Counter>,
    events_dropped: Family<Dropped, Counter>,
    delivery_attempts: Family<TargetResult, Counter>,
    target_token_requests: Family<TargetResult, Counter>,
    attempt_duration: Histograms<ByTarget>,
    delivery_duration: Histograms<ByTarget>,
    deliveries_dead: Family<TargetReason, Counter>,
    dead_letters: Family<TargetReason, Gauge>,
    dead_letters_told: Mutex<BTreeSet<(String, &'static str)>>,
    target_running: Family<ByTarget, Gauge>,
    target_paused: Family<ByTarget, Gauge>,
    breaker_state: Family<TargetState, Gauge>,
    breaker_opened: Family<ByTarget, Counter>,
    template_repairs: Family<ByRoute, Counter>,
    template_failures: Family<RouteReason, Counter>,
    replay_deliveries: Family<ByResult, Counter>,
    queue_depth: Family<TargetState, Gauge>,
    queue_oldest_age: Family<ByTarget, Gauge<f64, AtomicU64>>,
    connections: Family<ByDoor, Gauge>,
    connections_opened: Family<ByDoor, Counter>,
    tls_handshake_failures: Family<ByDoor, Counter>,
    tls_certificate_expiry: Family<ByDoor, Gauge>,
    answers_delayed: Counter,
    store_sync_duration: Histogram,
    store_sync_records: Histogram,
    store_quarantined: Counter,
    store: StoreFamily,
    trace_spans: Family<ByResult, Counter>,
    config_reloads: Family<ByResult, Counter>,
    config_last_reload_successful: Gauge,
    config_last_reload_success: Gauge<f64, AtomicU64>,
    config_generation: Gauge,
    instances: Gauge,
    instances_differing: Gauge,
    owned_targets: Gauge,
}

/// What is counted for each request or attempt.
#[derive(Debug, Default)]
struct KnownHandles {
    requests: Known<Counter>,
    accepts: Known<Histogram>,
    attempts: Known<Counter>,
    attempt_durations: Known<Histogram>,
    delivery_durations: Known<Histogram>,
}

/// The gauges of the store.
#[derive(Debug, Default)]
struct StoreFamily {
    ready: Gauge,
    journal: Gauge,
    journal_limit: Gauge,
    free: Gauge,
    free_limit: Gauge,
    unfolded: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All metrics at zero.
    #[must_use]
    pub fn new() -> Self {
        let metrics = Self {
            registry: Registry::default(),
            known: KnownHandles::default(),
            inbound_requests: Family::default(),
            accept_duration: Family::new_with_constructor(|| histogram(ACCEPT_BUCKETS)),
            verification_failures: Family::default(),
            events_dropped: Family::default(),
            delivery_attempts: Family::default(),
            target_token_requests: Family::default(),
            attempt_duration: Family::new_with_constructor(|| histogram(ATTEMPT_BUCKETS)),
            delivery_duration: Family::new_with_constructor(|| histogram(DELIVERY_BUCKETS)),
            deliveries_dead: Family::default(),
            dead_letters: Family::default(),
            dead_letters_told: Mutex::default(),
            target_running: Family::default(),
            target_paused: Family::default(),
            breaker_state: Family::default(),
            breaker_opened: Family::default(),
            template_repairs: Family::default(),
            template_failures: Family::default(),
            replay_deliveries: Family::default(),
            queue_depth: Family::default(),
            queue_oldest_age: Family::default(),
            connections: Family::default(),
            connections_opened: Family::default(),
            tls_handshake_failures: Family::default(),
            tls_certificate_expiry: Family::default(),
            answers_delayed: Counter::default(),
            // 0.1 ms to 3.3 s
            store_sync_duration: Histogram::new(exponential_buckets(0.0001, 2.0, 16)),
            store_sync_records: histogram(RECORD_BUCKETS),
            store_quarantined: Counter::default(),
            store: StoreFamily::default(),
            trace_spans: Family::default(),
            config_reloads: Family::default(),
            config_last_reload_successful: Gauge::default(),
            config_last_reload_success: Gauge::default(),
            config_generation: Gauge::default(),
            instances: Gauge::default(),
            instances_differing: Gauge::default(),
            owned_targets: Gauge::default(),
        };
        metrics.registered()
    }

    /// Counts a request at the public door. `source` is a configured name, or empty where no source has the path.
    pub fn inbound_request(&self, source: &str, result: &'static str) {
        let counter = self.known.requests.get(source, result, || {
            let source = source.to_owned();
            let labels = SourceResult { source, result };
            self.inbound_requests.get_or_create_owned(&labels)
        });
        counter.inc();
    }

    /// Notes how long it took until an event of a source was accepted.
    pub fn event_accepted(&self, source: &str, took: Duration) {
        let histogram = self.known.accepts.get(source, "", || {
            let source = source.to_owned();
            self.accept_duration
                .get_or_create_owned(&BySource { source })
        });
        histogram.observe(took.as_secs_f64());
    }

    /// Counts a request of which it is not proven that it comes from its source.
    pub fn verification_failed(&self, source: &str, reason: &'static str) {
        let labels = Dropped {
            source: source.to_owned(),
            reason,
        };
        self.verification_failures.get_or_create(&labels).inc();
    }

    /// Counts a verified event that was not stored, and why.
    pub fn event_dropped(&self, source: &str, reason: &'static str) {
        let labels = Dropped {
            source: source.to_owned(),
            reason,
        };
        self.events_dropped.get_or_create(&labels).inc();
    }

    /// Counts an attempt, and how long it took.
    pub fn delivery_attempt(&self, target: &str, result: &'static str, took: Duration) {
        let counter = self.known.attempts.get(target, result, || {
            let target = target.to_owned();
            let labels = TargetResult { target, result };
            self.delivery_attempts.get_or_create_owned(&labels)
        });
        counter.inc();
        let histogram = self.known.attempt_durations.get(target, "", || {
            self.attempt_duration.get_or_create_owned(&by(target))
        });
        histogram.observe(took.as_secs_f64());
    }

    /// Counts a request for a token that a target wants, and whether one was had.
    pub fn token_requested(&self, target: &str, ok: bool) {
        let labels = TargetResult {
            target: target.to_owned(),
            result: if ok { "ok" } else { "failed" },
        };
        self.target_token_requests.get_or_create(&labels).inc();
    }

    /// Notes how long it took until a delivery had arrived.
    pub fn delivered(&self, target: &str, took: Duration) {
        let histogram = self.known.delivery_durations.get(target, "", || {
            self.delivery_duration.get_or_create_owned(&by(target))
        });
        histogram.observe(took.as_secs_f64());
    }

    /// Counts a delivery that has become a dead letter.
    pub fn delivery_died(&self, target: &str, reason: &'static str) {
        let labels = TargetReason {
            target: target.to_owned(),
            reason,
        };
        self.deliveries_dead.get_or_create(&labels).inc();
    }

    /// Sets how many dead letters there are of each target and reason; those that are not named any more have none.
    pub fn set_dead_letters(&self, groups: impl IntoIterator<Item = (String, &'static str, u64)>) {
        let told = self.dead_letters_told.lock();
        let mut told = told.unwrap_or_else(PoisonError::into_inner);
        let mut gone = told.clone();
        for (target, reason, count) in groups {
            let key = (target, reason);
            gone.remove(&key);
            told.insert(key.clone());
            self.set_dead(key, count);
        }
        for key in gone {
            self.set_dead(key, 0);
        }
    }

    fn set_dead(&self, (target, reason): (String, &'static str), count: u64) {
        let labels = TargetReason { target, reason };
        self.dead_letters.get_or_create(&labels).set(whole(count));
    }

    /// Sets how many attempts of a target are under way.
    pub fn set_target_running(&self, target: &str, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.target_running.get_or_create(&by(target)).set(count);
    }

    /// Sets whether a target is paused.
    pub fn set_target_paused(&self, target: &str, paused: bool) {
        let gauge = self.target_paused.get_or_create(&by(target));
        gauge.set(i64::from(paused));
    }

    /// Sets which of [`BREAKER_STATES`] a target's breaker is in; `None` where it has none. How often it has opened
    /// is told from then on, 0 at first.
    pub fn set_breaker_state(&self, target: &str, state: Option<&'static str>) {
        for known in BREAKER_STATES {
            let labels = TargetState {
                target: target.to_owned(),
                state: known,
            };
            match state {
                Some(state) => {
                    let gauge = self.breaker_state.get_or_create(&labels);
                    gauge.set(i64::from(state == known));
                }
                None => {
                    self.breaker_state.remove(&labels);
                }
            }
        }
        if state.is_some() {
            drop(self.breaker_opened.get_or_create(&by(target)));
        }
    }

    /// Counts that a target's breaker has opened.
    pub fn breaker_opened(&self, target: &str) {
        self.breaker_opened.get_or_create(&by(target)).inc();
    }

    /// Tells nothing more of the attempts and the breaker of a target that is gone.
    pub fn forget_target(&self, target: &str) {
        self.target_running.remove(&by(target));
        self.target_paused.remove(&by(target));
        self.set_breaker_state(target, None);
        self.breaker_opened.remove(&by(target));
    }

    /// Replays have gone through so many with this result.
    pub fn replayed(&self, result: &'static str, count: u64) {
        let labels = ByResult { result };
        self.replay_deliveries.get_or_create(&labels).inc_by(count);
    }

    /// Counts a render in which something was mended.
    pub fn template_repaired(&self, route: &str) {
        let labels = ByRoute {
            route: route.to_owned(),
        };
        self.template_repairs.get_or_create(&labels).inc();
    }

    /// Counts a render that gave nothing to send.
    pub fn template_failed(&self, route: &str, reason: &'static str) {
        let labels = RouteReason {
            route: route.to_owned(),
            reason,
        };
        self.template_failures.get_or_create(&labels).inc();
    }

    /// Sets how many deliveries of a target stand in a state.
    pub fn set_queue_depth(&self, target: &str, state: &'static str, count: u64) {
        let labels = TargetState {
            target: target.to_owned(),
            state,
        };
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.queue_depth.get_or_create(&labels).set(count);
    }

    /// Sets how old the oldest pending delivery of a target is.
    pub fn set_queue_oldest_age(&self, target: &str, age: Duration) {
        let gauge = self.queue_oldest_age.get_or_create(&by(target));
        gauge.set(age.as_secs_f64());
    }

    /// Counts a connection to a door, which is open until the guard is dropped.
    #[must_use]
    pub fn connection(&self, door: &'static str) -> OpenConnection {
        let labels = ByDoor { door };
        self.connections_opened.get_or_create(&labels).inc();
        let open = self.connections.get_or_create_owned(&labels);
        open.inc();
        OpenConnection(open)
    }

    /// Counts a TLS handshake that failed at a door.
    pub fn tls_handshake_failed(&self, door: &'static str) {
        let labels = ByDoor { door };
        self.tls_handshake_failures.get_or_create(&labels).inc();
    }

    /// Sets when the certificate that a door shows ends, in seconds since the epoch; `None` where it shows none.
    pub fn set_tls_certificate_expiry(&self, door: &'static str, seconds: Option<i64>) {
        let labels = ByDoor { door };
        match seconds {
            Some(seconds) => {
                let gauge = self.tls_certificate_expiry.get_or_create(&labels);
                gauge.set(seconds);
            }
            None => {
                self.tls_certificate_expiry.remove(&labels);
            }
        }
    }

    /// Counts an answer to a failed verification that was delayed.
    pub fn answer_delayed(&self) {
        self.answers_delayed.inc();
    }

    /// Notes how long a sync of the journal took, and how many records were in it.
    pub fn store_synced(&self, took: Duration, records: usize) {
        self.store_sync_duration.observe(took.as_secs_f64());
        let records = u32::try_from(records).unwrap_or(u32::MAX);
        self.store_sync_records.observe(records.into());
    }

    /// Sets how the store stands.
    pub fn set_store(&self, now: StoreGauges) {
        let store = &self.store;
        store.ready.set(i64::from(now.ready));
        store.journal.set(whole(now.journal_bytes));
        store.journal_limit.set(whole(now.journal_limit_bytes));
        if let Some(free) = now.free_bytes {
            store.free.set(whole(free));
        }
        store.free_limit.set(whole(now.free_limit_bytes));
        store.unfolded.set(whole(now.unfolded_records));
    }

    /// Sets how many instances share the store, how many of them go by another configuration than the one that came into
    /// force last, and to how many targets this one makes the attempts.
    pub fn set_fleet(&self, instances: usize, differing: usize, owned: usize) {
        for (gauge, count) in [
            (&self.instances, instances),
            (&self.instances_differing, differing),
            (&self.owned_targets, owned),
        ] {
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Counts spans by what became of them. Once there are any, all of that is told.
    pub fn spans(&self, fate: SpanFate, count: u64) {
        for known in SpanFate::ALL {
            let result = known.as_str();
            let counter = self.trace_spans.get_or_create(&ByResult { result });
            if known == fate {
                counter.inc_by(count);
            }
        }
    }

    /// Counts damaged runs of the journal that were set aside.
    pub fn store_quarantined(&self, runs: u64) {
        self.store_quarantined.inc_by(runs);
    }

    /// Notes whether a load of the configuration came into force.
    pub fn config_loaded(&self, good: bool, now: Timestamp) {
        let result = if good { "applied" } else { "refused" };
        let labels = ByResult { result };
        self.config_reloads.get_or_create(&labels).inc();
        self.config_last_reload_successful.set(i64::from(good));
        if good {
            self.config_generation.inc();
            self.config_last_reload_success
                .set(now.as_duration().as_secs_f64());
        }
    }

    /// All metrics in the OpenMetrics text format.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

/// An open connection, for as long as it is there.
#[derive(Debug)]
pub struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_documented() {
        let metrics = Metrics::new();
        metrics.inbound_request("wreno", "accepted");
        metrics.delivery_attempt("erp", "2xx", Duration::from_millis(3));
        metrics.set_queue_depth("erp", "pending", 3);
        metrics.set_queue_oldest_age("erp", Duration::from_millis(1500));
        metrics.store_synced(Duration::from_millis(2), 7);
        let text = metrics.encode();
        for line in [
            "ingate_inbound_requests_total{source=\"wreno\",result=\"accepted\"} 1",
            "ingate_delivery_attempts_total{target=\"erp\",result=\"2xx\"} 1",
            "ingate_queue_depth{target=\"erp\",state=\"pending\"} 3",
            "ingate_queue_oldest_age_seconds{target=\"erp\"} 1.5",
            "ingate_store_sync_duration_seconds_count 1",
            "ingate_store_sync_records_sum 7.0",
            "ingate_attempt_duration_seconds_count{target=\"erp\"} 1",
            "# TYPE process_start_time_seconds gauge",
            "# UNIT process_start_time_seconds seconds",
            concat!(
                "ingate_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"} 1"
            ),
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn a_target_that_is_gone_leaves_no_series() {
        let metrics = Metrics::new();
        metrics.set_target_running("erp", 2);
        metrics.set_target_paused("erp", true);
        metrics.set_breaker_state("erp", Some("open"));
        metrics.breaker_opened("erp");
        let text = metrics.encode();
        for line in [
            "ingate_target_running{target=\"erp\"} 2",
            "ingate_target_paused{target=\"erp\"} 1",
            "ingate_breaker_state{target=\"erp\",state=\"closed\"} 0",
            "ingate_breaker_state{target=\"erp\",state=\"open\"} 1",
            "ingate_breaker_state{target=\"erp\",state=\"half_open\"} 0",
            "ingate_breaker_opened_total{target=\"erp\"} 1",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        metrics.forget_target("erp");
        assert!(!metrics.encode().contains("\"erp\""));
    }

    #[test]
    fn dead_letters_that_are_gone_are_none() {
        let metrics = Metrics::new();
        metrics.set_dead_letters([("erp".to_owned(), "gone", 3), ("crm".to_owned(), "sign", 1)]);
        metrics.set_dead_letters([("crm".to_owned(), "sign", 2)]);
        let text = metrics.encode();
        for line in [
            "ingate_dead_letters{target=\"erp\",reason=\"gone\"} 0",
            "ingate_dead_letters{target=\"crm\",reason=\"sign\"} 2",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn a_connection_is_open_until_it_is_dropped() {
        let metrics = Metrics::new();
        let one = metrics.connection("public");
        let two = metrics.connection("public");
        drop(one);
        let line = "ingate_open_connections{door=\"public\"} ";
        assert!(metrics.encode().contains(&format!("{line}1")));
        drop(two);
        let text = metrics.encode();
        assert!(text.contains(&format!("{line}0")));
        assert!(text.contains("ingate_connections_opened_total{door=\"public\"} 2"));
    }
}
