//! Every metric, its name and its handle, in one struct that is passed along and never global.
//!
//! Label values come from the configuration and from closed lists, never from a request, so the number
//! of series is bounded.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// The states of a breaker, as the label `state` has them.
pub const BREAKER_STATES: [&str; 3] = ["closed", "open", "half_open"];

/// All metrics of one daemon.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    inbound_requests: Family<SourceResult, Counter>,
    events_dropped: Family<Dropped, Counter>,
    delivery_attempts: Family<TargetResult, Counter>,
    target_running: Family<ByTarget, Gauge>,
    breaker_state: Family<TargetState, Gauge>,
    breaker_opened: Family<ByTarget, Counter>,
    template_repairs: Family<ByRoute, Counter>,
    queue_depth: Family<TargetState, Gauge>,
    queue_oldest_age: Family<ByTarget, Gauge<f64, AtomicU64>>,
    tls_handshake_failures: Family<ByDoor, Counter>,
    tls_certificate_expiry: Family<ByDoor, Gauge>,
    answers_delayed: Counter,
    store_sync_duration: Histogram,
    store_quarantined: Counter,
    config_reloads: Family<ByResult, Counter>,
    config_last_reload_successful: Gauge,
    config_last_reload_success: Gauge<f64, AtomicU64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByDoor {
    door: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceResult {
    source: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Dropped {
    source: String,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetResult {
    target: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByResult {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByRoute {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetState {
    target: String,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByTarget {
    target: String,
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
            registry: Registry::with_prefix("ingate"),
            inbound_requests: Family::default(),
            events_dropped: Family::default(),
            delivery_attempts: Family::default(),
            target_running: Family::default(),
            breaker_state: Family::default(),
            breaker_opened: Family::default(),
            template_repairs: Family::default(),
            queue_depth: Family::default(),
            queue_oldest_age: Family::default(),
            tls_handshake_failures: Family::default(),
            tls_certificate_expiry: Family::default(),
            answers_delayed: Counter::default(),
            // 0.1 ms to 3.3 s
            store_sync_duration: Histogram::new(exponential_buckets(0.0001, 2.0, 16)),
            store_quarantined: Counter::default(),
            config_reloads: Family::default(),
            config_last_reload_successful: Gauge::default(),
            config_last_reload_success: Gauge::default(),
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        registry.register(
            "inbound_requests",
            "Requests at the public door by what became of them",
            self.inbound_requests.clone(),
        );
        registry.register(
            "events_dropped",
            "Verified events that a setting dropped (duplicate, conflicting, unmatched)",
            self.events_dropped.clone(),
        );
        registry.register(
            "delivery_attempts",
            "Attempts by what came of them",
            self.delivery_attempts.clone(),
        );
        registry.register(
            "target_running",
            "Attempts that are under way",
            self.target_running.clone(),
        );
        registry.register(
            "breaker_state",
            "The state of a target's breaker: 1 for the one that it is in, 0 for the others",
            self.breaker_state.clone(),
        );
        registry.register(
            "breaker_opened",
            "How often a target's breaker has opened",
            self.breaker_opened.clone(),
        );
        registry.register(
            "template_repairs",
            "Renders in which the JSON writer mended something",
            self.template_repairs.clone(),
        );
        registry.register(
            "queue_depth",
            "Deliveries that are pending or dead",
            self.queue_depth.clone(),
        );
        registry.register_with_unit(
            "queue_oldest_age",
            "Age of the oldest pending delivery",
            Unit::Seconds,
            self.queue_oldest_age.clone(),
        );
        registry.register(
            "tls_handshake_failures",
            "TLS handshakes that failed or did not end in time",
            self.tls_handshake_failures.clone(),
        );
        registry.register_with_unit(
            "tls_certificate_expiry_timestamp",
            "When the certificate that a door shows ends, since the epoch",
            Unit::Seconds,
            self.tls_certificate_expiry.clone(),
        );
        registry.register(
            "answers_delayed",
            "Answers to failed verifications that were delayed",
            self.answers_delayed.clone(),
        );
        registry.register_with_unit(
            "store_sync_duration",
            "How long a sync of the journal took",
            Unit::Seconds,
            self.store_sync_duration.clone(),
        );
        registry.register(
            "store_quarantined",
            "Damaged runs of the journal that were set aside",
            self.store_quarantined.clone(),
        );
        registry.register(
            "config_reloads",
            "Loads of the configuration, the one at the start included, by what came of them",
            self.config_reloads.clone(),
        );
        registry.register(
            "config_last_reload_successful",
            "Whether the last load of the configuration is the one in force (1) or an older one still is (0)",
            self.config_last_reload_successful.clone(),
        );
        registry.register_with_unit(
            "config_last_reload_success_timestamp",
            "When a configuration came into force last, in seconds since 1970",
            Unit::Seconds,
            self.config_last_reload_success.clone(),
        );
        self
    }

    /// Counts a request at the public door. `source` is a configured name, or empty where no source has the path.
    pub fn inbound_request(&self, source: &str, result: &'static str) {
        let labels = SourceResult {
            source: source.to_owned(),
            result,
        };
        self.inbound_requests.get_or_create(&labels).inc();
    }

    /// Counts a verified event that was not stored, and why.
    pub fn event_dropped(&self, source: &str, reason: &'static str) {
        let labels = Dropped {
            source: source.to_owned(),
            reason,
        };
        self.events_dropped.get_or_create(&labels).inc();
    }

    /// Counts an attempt.
    pub fn delivery_attempt(&self, target: &str, result: &'static str) {
        let labels = TargetResult {
            target: target.to_owned(),
            result,
        };
        self.delivery_attempts.get_or_create(&labels).inc();
    }

    /// Sets how many attempts of a target are under way.
    pub fn set_target_running(&self, target: &str, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.target_running.get_or_create(&by(target)).set(count);
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
        self.set_breaker_state(target, None);
        self.breaker_opened.remove(&by(target));
    }

    /// Counts a render in which something was mended.
    pub fn template_repaired(&self, route: &str) {
        let labels = ByRoute {
            route: route.to_owned(),
        };
        self.template_repairs.get_or_create(&labels).inc();
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

    /// Notes how long a sync of the journal took.
    pub fn store_synced(&self, took: Duration) {
        self.store_sync_duration.observe(took.as_secs_f64());
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

fn by(target: &str) -> ByTarget {
    ByTarget {
        target: target.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_documented() {
        let metrics = Metrics::new();
        metrics.inbound_request("wreno", "accepted");
        metrics.delivery_attempt("erp", "2xx");
        metrics.set_queue_depth("erp", "pending", 3);
        metrics.set_queue_oldest_age("erp", Duration::from_millis(1500));
        metrics.store_synced(Duration::from_millis(2));
        let text = metrics.encode();
        for line in [
            "ingate_inbound_requests_total{source=\"wreno\",result=\"accepted\"} 1",
            "ingate_delivery_attempts_total{target=\"erp\",result=\"2xx\"} 1",
            "ingate_queue_depth{target=\"erp\",state=\"pending\"} 3",
            "ingate_queue_oldest_age_seconds{target=\"erp\"} 1.5",
            "ingate_store_sync_duration_seconds_count 1",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn a_target_that_is_gone_leaves_no_series() {
        let metrics = Metrics::new();
        metrics.set_target_running("erp", 2);
        metrics.set_breaker_state("erp", Some("open"));
        metrics.breaker_opened("erp");
        let text = metrics.encode();
        for line in [
            "ingate_target_running{target=\"erp\"} 2",
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
}
