//! The name, the unit and the help of every metric.

use jiff::Timestamp;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Unit;

use super::Metrics;
use super::process::Process;

impl Metrics {
    /// With all names and helps.
    pub(super) fn registered(mut self) -> Self {
        let started = Timestamp::now().as_duration().as_secs_f64();
        // The names of a process are everybody's, so they have no prefix.
        let process = Process { started };
        self.registry.register_collector(Box::new(process));
        self.register_paths();
        self.register_machinery();
        let registry = self.registry.sub_registry_with_prefix("ingate");
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
            "target_token_requests",
            "Requests for tokens that targets want, by whether one was had",
            self.target_token_requests.clone(),
        );
        registry.register(
            "target_running",
            "Attempts that are under way",
            self.target_running.clone(),
        );
        registry.register(
            "target_paused",
            "Whether the deliveries of a target wait until it is resumed (1) or not (0)",
            self.target_paused.clone(),
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
            "replay_deliveries",
            "What replays have gone through (revived, created, skipped, failed)",
            self.replay_deliveries.clone(),
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

    /// What was added for the way of an event: how long it takes, and where it ends.
    fn register_paths(&mut self) {
        let registry = self.registry.sub_registry_with_prefix("ingate");
        registry.register_with_unit(
            "accept_duration",
            "How long it took from the head of a request until its event was stored",
            Unit::Seconds,
            self.accept_duration.clone(),
        );
        registry.register(
            "verification_failures",
            "Requests that were not proven to come from their source, by why",
            self.verification_failures.clone(),
        );
        registry.register_with_unit(
            "attempt_duration",
            "How long an attempt took, rendering included",
            Unit::Seconds,
            self.attempt_duration.clone(),
        );
        registry.register_with_unit(
            "delivery_duration",
            "How long it took until a delivery had arrived, since its event was accepted or it was revived",
            Unit::Seconds,
            self.delivery_duration.clone(),
        );
        registry.register(
            "deliveries_dead",
            "Deliveries that became dead letters, by why",
            self.deliveries_dead.clone(),
        );
        registry.register(
            "dead_letters",
            "Deliveries that are dead letters now, by why",
            self.dead_letters.clone(),
        );
        registry.register(
            "template_failures",
            "Renders that gave nothing to send, by why",
            self.template_failures.clone(),
        );
    }

    /// What was added for the machinery: doors, store, traces, the build.
    fn register_machinery(&mut self) {
        let registry = self.registry.sub_registry_with_prefix("ingate");
        registry.register(
            "open_connections",
            "Connections that are open",
            self.connections.clone(),
        );
        registry.register(
            "connections_opened",
            "Connections that were taken",
            self.connections_opened.clone(),
        );
        registry.register(
            "store_sync_records",
            "Records of the journal in one sync",
            self.store_sync_records.clone(),
        );
        registry.register(
            "store_ready",
            "Whether the store takes events (1) or not (0)",
            self.store.ready.clone(),
        );
        for (name, help, gauge) in [
            ("store_journal", "Size of the journal", &self.store.journal),
            (
                "store_journal_limit",
                "Size of the journal beyond which nothing is accepted",
                &self.store.journal_limit,
            ),
            (
                "store_free",
                "Free space on the store's file system",
                &self.store.free,
            ),
            (
                "store_free_limit",
                "Free space below which nothing is accepted",
                &self.store.free_limit,
            ),
        ] {
            registry.register_with_unit(name, help, Unit::Bytes, gauge.clone());
        }
        registry.register(
            "store_unfolded_records",
            "Records of the journal that the index does not have yet",
            self.store.unfolded.clone(),
        );
        registry.register(
            "trace_spans",
            "Spans by what became of them",
            self.trace_spans.clone(),
        );
        registry.register(
            "instances",
            "Instances that share the store, this one included",
            self.instances.clone(),
        );
        registry.register(
            "instances_differing",
            "Instances that go by another configuration than the one that came into force last",
            self.instances_differing.clone(),
        );
        registry.register(
            "owned_targets",
            "Targets to which this instance makes the attempts",
            self.owned_targets.clone(),
        );
        registry.register(
            "config_generation",
            "How many configurations have come into force, the one at the start included",
            self.config_generation.clone(),
        );
        let version = env!("CARGO_PKG_VERSION");
        registry.register(
            "build",
            "What is running",
            Info::new(vec![("version", version)]),
        );
    }
}
