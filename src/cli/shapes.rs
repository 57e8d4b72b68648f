//! What the operator's API answers, as far as commands show it to people. Fields that are not known are passed over,
//! and those that an older daemon does not have are taken for none.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

/// A time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At(pub(super) Timestamp);

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct EventRow {
    pub(super) id: String,
    pub(super) source: String,
    #[serde(rename = "type")]
    pub(super) event_type: String,
    pub(super) received_at: At,
    pub(super) size_bytes: u64,
    pub(super) purged_at: Option<At>,
    pub(super) deliveries: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) source: String,
    pub(super) message_id: Option<String>,
    #[serde(rename = "type")]
    pub(super) event_type: String,
    pub(super) received_at: At,
    pub(super) hops: u64,
    pub(super) headers: Vec<Header>,
    pub(super) size_bytes: u64,
    pub(super) verified: Option<Verification>,
    pub(super) routing: Option<Routing>,
    pub(super) deliveries: Vec<Delivery>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Header {
    pub(super) name: String,
    pub(super) value: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Verification {
    pub(super) scheme: String,
    pub(super) secret: u64,
    pub(super) skew_seconds: Option<i64>,
    pub(super) message_id_covered: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Routing {
    pub(super) generation: Option<u64>,
    pub(super) now: u64,
    pub(super) same: bool,
    pub(super) routes: Vec<RouteAnswer>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RouteAnswer {
    pub(super) route: String,
    pub(super) takes: bool,
    pub(super) field: Option<String>,
    pub(super) wanted: Option<String>,
    pub(super) found: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Delivery {
    pub(super) id: String,
    pub(super) event: String,
    #[serde(rename = "type", default)]
    pub(super) event_type: String,
    pub(super) route: String,
    pub(super) target: String,
    pub(super) state: String,
    pub(super) due_at: Option<At>,
    pub(super) waits_for: Option<String>,
    pub(super) ended_at: Option<At>,
    pub(super) reason: Option<String>,
    pub(super) attempts_made: u64,
    pub(super) last_attempt: Option<LastAttempt>,
    pub(super) replay: Option<ReplayMark>,
    /// Only where one delivery or one event is told.
    #[serde(default)]
    pub(super) attempts: Vec<Attempt>,
}

#[derive(Debug, Deserialize)]
pub(super) struct LastAttempt {
    pub(super) ok: bool,
    pub(super) result: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct ReplayMark {
    pub(super) job: Option<String>,
    pub(super) mode: String,
    pub(super) of: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Attempt {
    pub(super) number: u64,
    pub(super) started_at: At,
    pub(super) took_seconds: f64,
    pub(super) outcome: Outcome,
    pub(super) plan_generation: Option<u64>,
    pub(super) template_hash: Option<String>,
    pub(super) body_from: Option<String>,
}

/// Which fields are there depends on `kind`.
#[derive(Debug, Deserialize)]
pub(super) struct Outcome {
    pub(super) kind: String,
    pub(super) status: Option<u16>,
    pub(super) retry_after_seconds: Option<f64>,
    pub(super) snippet: Option<String>,
    pub(super) failure: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) detail: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct AttemptRow {
    pub(super) delivery: String,
    #[serde(rename = "type")]
    pub(super) event_type: String,
    pub(super) route: String,
    pub(super) target: String,
    pub(super) number: u64,
    pub(super) started_at: At,
    pub(super) took_seconds: f64,
    pub(super) ok: bool,
    pub(super) result: String,
    pub(super) state: String,
    pub(super) due_at: Option<At>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Lost {
    pub(super) missed: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct EventRetried {
    pub(super) deliveries: Vec<Delivery>,
}

#[derive(Debug, Deserialize)]
pub(super) struct DeliveryBody {
    pub(super) from: String,
    pub(super) exact: Option<bool>,
    pub(super) body_redacted: Option<String>,
    pub(super) body: Option<String>,
    pub(super) body_base64: Option<String>,
    pub(super) error: Option<Marker>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Marker {
    pub(super) file: String,
    pub(super) line: u64,
    pub(super) column: u64,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct DeadGroup {
    pub(super) target: String,
    pub(super) reason: String,
    pub(super) count: u64,
    pub(super) oldest_created_at: At,
    pub(super) newest_created_at: At,
    pub(super) detail: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ReplayPreview {
    pub(super) mode: String,
    pub(super) filter: serde_json::Map<String, serde_json::Value>,
    pub(super) count: u64,
    pub(super) complete: bool,
    pub(super) by_target: Vec<TargetCount>,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) events: Vec<EventRow>,
}

#[derive(Debug, Deserialize)]
pub(super) struct TargetCount {
    pub(super) target: String,
    pub(super) count: u64,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Replay {
    pub(super) id: String,
    pub(super) created_at: At,
    pub(super) created_by: String,
    pub(super) mode: String,
    pub(super) filter: serde_json::Map<String, serde_json::Value>,
    pub(super) rate: Option<String>,
    pub(super) state: String,
    pub(super) total: Option<u64>,
    pub(super) done: u64,
    pub(super) revived: u64,
    pub(super) created: u64,
    pub(super) skipped: u64,
    pub(super) failed: u64,
    pub(super) finished_at: Option<At>,
    pub(super) error: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) concurrency: u64,
    pub(super) rate: Option<String>,
    pub(super) order: bool,
    pub(super) breaker: Option<Breaker>,
    pub(super) running: u64,
    pub(super) pending: u64,
    pub(super) dead: u64,
    pub(super) oldest_pending_at: Option<At>,
    pub(super) timeout_seconds: Option<f64>,
    pub(super) paused: Option<Pause>,
    pub(super) sign: Option<Signing>,
    pub(super) auth: Option<Auth>,
    #[serde(default)]
    pub(super) routes: Vec<String>,
    #[serde(default)]
    pub(super) last_minute: OutCounts,
    pub(super) owner: Option<Owner>,
}

/// The instance that makes the attempts to a target.
#[derive(Debug, Deserialize)]
pub(super) struct Owner {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) this: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Breaker {
    pub(super) state: String,
    pub(super) since: Option<At>,
    pub(super) next_probe_at: Option<At>,
    pub(super) consecutive_failures: u64,
    pub(super) last_failure: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Pause {
    pub(super) since: At,
    pub(super) by: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Signing {
    pub(super) scheme: String,
    pub(super) secrets: Vec<SecretName>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Auth {
    pub(super) kind: String,
    pub(super) secret: SecretName,
}

#[derive(Debug, Deserialize)]
pub(super) struct SecretName {
    pub(super) from: String,
    pub(super) name: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Probe {
    pub(super) target: String,
    pub(super) reachable: bool,
    pub(super) took_seconds: f64,
    pub(super) failure: Option<String>,
    pub(super) detail: Option<String>,
    pub(super) hurried: bool,
    pub(super) owner: Option<Owner>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Fleet {
    pub(super) items: Vec<Instance>,
    pub(super) differs: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Instance {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) this: bool,
    pub(super) version: String,
    pub(super) started_at: At,
    pub(super) silent_seconds: f64,
    pub(super) plan: Option<InstancePlan>,
    pub(super) differs: bool,
    pub(super) targets: Vec<String>,
    pub(super) down: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct InstancePlan {
    pub(super) generation: u64,
    pub(super) fingerprint: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) scheme: String,
    pub(super) secrets: Vec<SecretName>,
    pub(super) routes: Vec<String>,
    pub(super) last_minute: InCounts,
    pub(super) failures: u64,
    pub(super) last_failure_at: Option<At>,
    pub(super) armed_until: Option<At>,
    pub(super) unconfirmed: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct FailedVerification {
    pub(super) at: At,
    pub(super) reason: String,
    pub(super) detail: String,
    pub(super) client: String,
    pub(super) method: String,
    pub(super) size_bytes: u64,
    pub(super) skew_seconds: Option<i64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Route {
    pub(super) name: String,
    pub(super) from: Vec<String>,
    #[serde(rename = "match")]
    pub(super) rules: Vec<Rule>,
    pub(super) template: Option<String>,
    pub(super) to: Vec<String>,
    pub(super) tests: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Rule {
    pub(super) field: String,
    pub(super) wanted: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Overview {
    pub(super) version: String,
    pub(super) now: At,
    pub(super) started_at: At,
    pub(super) ready: bool,
    pub(super) reasons: Vec<String>,
    pub(super) plan: PlanInForce,
    pub(super) last_reload: Option<LastReload>,
    #[serde(rename = "in")]
    pub(super) inbound: InCounts,
    #[serde(rename = "out")]
    pub(super) outbound: OutCounts,
    pub(super) pending: u64,
    pub(super) dead: u64,
    pub(super) oldest_pending_at: Option<At>,
    pub(super) replays_running: u64,
    pub(super) sources: Vec<Source>,
    pub(super) targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
pub(super) struct PlanInForce {
    pub(super) generation: u64,
    pub(super) since: At,
}

#[derive(Debug, Deserialize)]
pub(super) struct LastReload {
    pub(super) at: At,
    pub(super) applied: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct InCounts {
    pub(super) seconds: f64,
    pub(super) received: u64,
    pub(super) duplicates: u64,
    pub(super) unmatched: u64,
    pub(super) unverified: u64,
    pub(super) refused: u64,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct OutCounts {
    pub(super) seconds: f64,
    pub(super) succeeded: u64,
    pub(super) failed: u64,
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::Value;

    use super::super::contract;
    use super::super::examples::{EXAMPLES, example};
    use super::*;

    #[test]
    fn the_examples_fit_the_document() {
        for (schema, _) in EXAMPLES {
            contract::holds(schema, &example(schema));
        }
    }

    fn reads<T: DeserializeOwned>(schema: &str) {
        if let Err(error) = T::deserialize(example(schema)) {
            panic!("{schema}: {error}");
        }
    }

    #[test]
    fn the_examples_are_read() {
        reads::<EventRow>("EventRow");
        reads::<Event>("Event");
        reads::<Delivery>("Delivery");
        reads::<AttemptRow>("AttemptRow");
        reads::<Lost>("Lost");
        reads::<EventRetried>("EventRetried");
        reads::<DeliveryBody>("DeliveryBody");
        reads::<DeadGroup>("DeadGroup");
        reads::<ReplayPreview>("ReplayPreview");
        reads::<Replay>("Replay");
        reads::<Probe>("Probe");
        reads::<FailedVerification>("FailedVerification");
        reads::<Route>("Route");
        reads::<Overview>("Overview");
    }

    #[test]
    fn what_is_not_known_is_passed_over() {
        let mut row = example("EventRow");
        row["from_tomorrow"] = Value::from(1);
        assert!(EventRow::deserialize(row).is_ok());
    }
}
