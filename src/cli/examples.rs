//! For tests: answers of the operator's API. A test holds them against its document.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// The example of this schema.
pub(super) fn example(schema: &str) -> Value {
    let found = EXAMPLES.iter().find(|(name, _)| *name == schema);
    let (_, text) = found.unwrap_or_else(|| panic!("there is no example of {schema}"));
    serde_json::from_str(text).unwrap()
}

/// The example of this schema as what it is.
pub(super) fn read<T: DeserializeOwned>(schema: &str) -> T {
    T::deserialize(example(schema)).unwrap()
}

pub(super) const EXAMPLES: [(&str, &str); 17] = [
    (
        "EventRow",
        r#"{
"id": "019b8d99-6900-7000-8000-000000000001",
"source": "wreno",
"message_id": "msg_1",
"type": "vendor.updated",
"received_at": "2026-01-05T10:00:00Z",
"size_bytes": 532,
"purged_at": null,
"deliveries": ["019b8d99-6900-7000-8000-000000000002", "019b8d99-6900-7000-8000-000000000003"]
}"#,
    ),
    (
        "Event",
        r#"{
"id": "019b8d99-6900-7000-8000-000000000001",
"source": "wreno",
"message_id": "msg_1",
"type": "vendor.updated",
"received_at": "2026-01-05T10:00:00Z",
"size_bytes": 532,
"deliveries": [{"id": "019b8d99-6900-7000-8000-000000000002", "event": "019b8d99-6900-7000-8000-000000000001", "source": "wreno", "type": "vendor.updated", "route": "vendor-updates", "target": "erp", "state": "pending", "due_at": "2026-01-05T10:05:05Z", "waits_for": null, "ended_at": null, "reason": null, "attempts_made": 2, "started_at": "2026-01-05T10:00:00Z", "last_attempt": {"started_at": "2026-01-05T10:00:05Z", "took_seconds": 0.012, "ok": false, "status": 503, "result": "status 503"}, "replay": null, "attempts": [{"number": 1, "started_at": "2026-01-05T10:00:00.1Z", "took_seconds": 0.012, "outcome": {"kind": "failed", "failure": "timeout", "detail": "no answer within 15 s"}, "plan_generation": 12, "template_hash": "3f2a000000000000000000000000000000000000000000000000000000000000", "body_from": "rendered", "body_sha256": "3f2a000000000000000000000000000000000000000000000000000000000000"}, {"number": 2, "started_at": "2026-01-05T10:00:05Z", "took_seconds": 0.012, "outcome": {"kind": "answered", "status": 503, "retry_after_seconds": 300, "snippet": "try \u001b[31mlater"}, "plan_generation": 12, "template_hash": "3f2a000000000000000000000000000000000000000000000000000000000000", "body_from": "frozen", "body_sha256": "3f2a000000000000000000000000000000000000000000000000000000000000"}]}, {"id": "019b8d99-6900-7000-8000-000000000003", "event": "019b8d99-6900-7000-8000-000000000001", "source": "wreno", "type": "vendor.updated", "route": "vendor-updates", "target": "audit", "state": "dead", "due_at": null, "waits_for": null, "ended_at": "2026-01-05T10:00:01Z", "reason": "render", "attempts_made": 1, "started_at": "2026-01-05T10:00:00Z", "last_attempt": {"started_at": "2026-01-05T10:00:05Z", "took_seconds": 0.012, "ok": false, "status": null, "result": "render"}, "replay": {"job": "019b8d99-6900-7000-8000-000000000009", "mode": "rerender", "of": null}, "attempts": [{"number": 1, "started_at": "2026-01-05T10:00:00.2Z", "took_seconds": 0.012, "outcome": {"kind": "unsendable", "reason": "render", "detail": "vendor.json.liquid:3:14: there is no filter `oops`"}, "plan_generation": null, "template_hash": null, "body_from": null, "body_sha256": null}]}],
"hops": 1,
"headers": [{"name": "content-type", "value": "application/json"}, {"name": "webhook-id", "value": "msg_1"}],
"body": {"data": {"status": "new"}},
"verified": {"scheme": "standard-webhooks", "secret": 0, "skew_seconds": -2, "message_id_covered": true},
"routing": {"generation": 12, "now": 14, "same": false, "routes": [{"route": "vendor-updates", "takes": true, "why": null, "field": null, "wanted": null, "found": null}, {"route": "suspended", "takes": false, "why": "pattern", "field": "body.data.status", "wanted": "suspended", "found": "new"}, {"route": "orders", "takes": false, "why": "source", "field": null, "wanted": null, "found": null}]}
}"#,
    ),
    (
        "Delivery",
        r#"{
"id": "019b8d99-6900-7000-8000-000000000002",
"event": "019b8d99-6900-7000-8000-000000000001",
"source": "wreno",
"type": "vendor.updated",
"route": "vendor-updates",
"target": "erp",
"state": "pending",
"due_at": "2026-01-05T10:05:05Z",
"waits_for": null,
"ended_at": null,
"reason": null,
"attempts_made": 2,
"started_at": "2026-01-05T10:00:00Z",
"last_attempt": {"started_at": "2026-01-05T10:00:05Z", "took_seconds": 0.012, "ok": false, "status": 503, "result": "status 503"},
"replay": null
}"#,
    ),
    (
        "AttemptRow",
        r#"{
"id": "19b8d996900-7",
"delivery": "019b8d99-6900-7000-8000-000000000002",
"event": "019b8d99-6900-7000-8000-000000000001",
"source": "wreno",
"type": "vendor.updated",
"route": "vendor-updates",
"target": "erp",
"number": 2,
"started_at": "2026-01-05T10:00:05Z",
"took_seconds": 0.012,
"ok": false,
"status": 503,
"result": "status 503",
"state": "pending",
"due_at": "2026-01-05T10:05:05Z"
}"#,
    ),
    (
        "Lost",
        r#"{
"missed": 12
}"#,
    ),
    (
        "EventRetried",
        r#"{
"event": "019b8d99-6900-7000-8000-000000000001",
"deliveries": [{"id": "019b8d99-6900-7000-8000-000000000002", "event": "019b8d99-6900-7000-8000-000000000001", "source": "wreno", "type": "vendor.updated", "route": "vendor-updates", "target": "erp", "state": "pending", "due_at": "2026-01-05T10:05:05Z", "waits_for": null, "ended_at": null, "reason": null, "attempts_made": 2, "started_at": "2026-01-05T10:00:00Z", "last_attempt": {"started_at": "2026-01-05T10:00:05Z", "took_seconds": 0.012, "ok": false, "status": 503, "result": "status 503"}, "replay": null}]
}"#,
    ),
    (
        "DeliveryBody",
        r#"{
"delivery": "019b8d99-6900-7000-8000-000000000002",
"event": "019b8d99-6900-7000-8000-000000000001",
"from": "rendered",
"exact": false,
"template": "vendor.json.liquid",
"template_hash": "3f2a000000000000000000000000000000000000000000000000000000000000",
"content_type": "application/json",
"size_bytes": 9,
"body_redacted": null,
"body": "{\"a\":1}",
"body_base64": null,
"error": null
}"#,
    ),
    (
        "DeadGroup",
        r#"{
"target": "erp",
"reason": "render",
"count": 100,
"oldest_created_at": "2026-01-05T09:00:00Z",
"newest_created_at": "2026-01-05T10:00:00Z",
"newest": "019b8d99-6900-7000-8000-000000000003",
"detail": "vendor.json.liquid:3:14: there is no filter `oops`"
}"#,
    ),
    (
        "ReplayPreview",
        r#"{
"dry_run": true,
"mode": "rerender",
"filter": {"target": "erp", "reason": "render", "states": ["dead"], "until": "2026-01-05T10:00:00Z"},
"count": 120,
"complete": true,
"by_target": [{"target": "erp", "count": 100}, {"target": "audit", "count": 20}],
"deliveries": [{"id": "019b8d99-6900-7000-8000-000000000003", "event": "019b8d99-6900-7000-8000-000000000001", "source": "wreno", "type": "vendor.updated", "route": "vendor-updates", "target": "audit", "state": "dead", "due_at": null, "waits_for": null, "ended_at": "2026-01-05T10:00:01Z", "reason": "render", "attempts_made": 1, "started_at": "2026-01-05T10:00:00Z", "last_attempt": {"started_at": "2026-01-05T10:00:05Z", "took_seconds": 0.012, "ok": false, "status": null, "result": "render"}, "replay": {"job": "019b8d99-6900-7000-8000-000000000009", "mode": "rerender", "of": null}}],
"events": []
}"#,
    ),
    (
        "Replay",
        r#"{
"id": "019b8d99-6900-7000-8000-000000000009",
"created_at": "2026-01-05T10:00:00Z",
"created_by": "operator from 127.0.0.1",
"mode": "rerender",
"filter": {"target": "erp", "reason": "render", "states": ["dead"], "until": "2026-01-05T10:00:00Z"},
"rate": "50/s",
"state": "running",
"total": 1000,
"done": 450,
"revived": 440,
"created": 5,
"skipped": 4,
"failed": 1,
"finished_at": null,
"error": null
}"#,
    ),
    (
        "Target",
        r#"{
"name": "erp",
"url": "http://127.0.0.1:9000/hooks",
"concurrency": 8,
"rate": null,
"order": false,
"breaker": {"state": "closed", "since": "2026-01-05T09:00:00Z", "next_probe_at": null, "consecutive_failures": 0, "last_failure": null},
"running": 2,
"pending": 40,
"dead": 3,
"oldest_pending_at": "2026-01-05T09:58:20Z",
"timeout_seconds": 15,
"paused": null,
"sign": {"scheme": "standard-webhooks", "secrets": [{"from": "env", "name": "WRENO_SECRET"}, {"from": "value", "name": null}]}, "auth": {"kind": "oauth2", "secret": {"from": "file", "name": "secrets/erp"}},
"routes": ["vendor-updates"],
"last_minute": {"seconds": 60, "succeeded": 120, "failed": 6}, "owner": null
}"#,
    ),
    (
        "Fleet",
        r#"{
"items": [
{"id": 41, "name": "relay-a", "this": false, "version": "0.1.0", "started_at": "2026-01-05T08:00:00Z", "silent_seconds": 2.4, "plan": {"generation": 13, "fingerprint": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}, "differs": true, "targets": ["crm", "erp"], "down": ["crm"]},
{"id": 42, "name": "relay-b", "this": true, "version": "0.1.0", "started_at": "2026-01-05T09:00:00Z", "silent_seconds": 0.1, "plan": {"generation": 14, "fingerprint": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"}, "differs": false, "targets": ["audit"], "down": []},
{"id": 43, "name": "relay-c", "this": false, "version": "0.2.0", "started_at": "2026-01-05T09:59:00Z", "silent_seconds": 1.0, "plan": null, "differs": false, "targets": [], "down": []}
],
"next": null,
"shared": true,
"differs": true
}"#,
    ),
    (
        "Probe",
        r#"{
"target": "crm",
"at": "2026-01-05T10:00:00Z",
"reachable": false,
"took_seconds": 0.003,
"failure": "connect",
"detail": "connection refused",
"hurried": false,
"owner": null
}"#,
    ),
    (
        "Source",
        r#"{
"name": "wreno",
"path": "/in/wreno",
"scheme": "wreno",
"secrets": [{"from": "env", "name": "WRENO_SECRET"}, {"from": "value", "name": null}],
"dedupe": {"by": "id", "for_seconds": 86400},
"redact": [],
"routes": ["vendor-updates"],
"last_minute": {"seconds": 60, "received": 600, "duplicates": 3, "unmatched": 0, "unverified": 6, "refused": 0},
"failures": 7,
"last_failure_at": "2026-01-05T09:59:00Z",
"armed_until": null,
"unconfirmed": []
}"#,
    ),
    (
        "FailedVerification",
        r#"{
"at": "2026-01-05T09:59:00Z",
"reason": "timestamp_out_of_tolerance",
"detail": "the timestamp is 420 s old",
"client": "203.0.113.7",
"method": "POST",
"size_bytes": 300,
"skew_seconds": -420,
"headers": ["content-type", "webhook-id"]
}"#,
    ),
    (
        "Route",
        r#"{
"name": "vendor-updates",
"from": ["wreno"],
"match": [{"field": "type", "wanted": "vendor.*"}, {"field": "body.data.status", "wanted": "active, suspended"}],
"template": "vendor.json.liquid",
"template_hash": "3f2a000000000000000000000000000000000000000000000000000000000000",
"schema": null,
"to": ["erp", "audit"],
"tests": 2,
"cases": false,
"revive": "manual"
}"#,
    ),
    (
        "Overview",
        r#"{
"version": "0.1.0",
"now": "2026-01-05T10:00:00Z",
"started_at": "2026-01-05T08:00:00Z",
"ready": true,
"reasons": [],
"edit_templates": false,
"plan": {"generation": 14, "since": "2026-01-05T09:30:00Z"},
"last_reload": {"at": "2026-01-05T09:50:00Z", "trigger": "watch", "applied": false, "text": "broken"},
"in": {"seconds": 60, "received": 600, "duplicates": 3, "unmatched": 0, "unverified": 6, "refused": 0},
"out": {"seconds": 60, "succeeded": 120, "failed": 6},
"pending": 45,
"dead": 3,
"oldest_pending_at": "2026-01-05T09:58:20Z",
"replays_running": 1, "fleet": {"instances": 3, "differing": 1},
"sources": [{"name": "wreno", "path": "/in/wreno", "scheme": "wreno", "secrets": [{"from": "env", "name": "WRENO_SECRET"}, {"from": "value", "name": null}], "dedupe": {"by": "id", "for_seconds": 86400}, "redact": [], "routes": ["vendor-updates"], "last_minute": {"seconds": 60, "received": 600, "duplicates": 3, "unmatched": 0, "unverified": 6, "refused": 0}, "failures": 7, "last_failure_at": "2026-01-05T09:59:00Z", "armed_until": null, "unconfirmed": []}],
"targets": [{"name": "erp", "url": "http://127.0.0.1:9000/hooks", "concurrency": 8, "rate": null, "order": false, "breaker": {"state": "closed", "since": "2026-01-05T09:00:00Z", "next_probe_at": null, "consecutive_failures": 0, "last_failure": null}, "running": 2, "pending": 40, "dead": 3, "oldest_pending_at": "2026-01-05T09:58:20Z", "timeout_seconds": 15, "paused": null, "sign": {"scheme": "standard-webhooks", "secrets": [{"from": "env", "name": "WRENO_SECRET"}, {"from": "value", "name": null}]}, "auth": {"kind": "oauth2", "secret": {"from": "file", "name": "secrets/erp"}}, "routes": ["vendor-updates"], "last_minute": {"seconds": 60, "succeeded": 120, "failed": 6}, "owner": null}, {"name": "audit", "url": "http://127.0.0.1:9000/hooks", "concurrency": 8, "rate": null, "order": false, "breaker": {"state": "closed", "since": "2026-01-05T09:00:00Z", "next_probe_at": null, "consecutive_failures": 0, "last_failure": null}, "running": 0, "pending": 40, "dead": 0, "oldest_pending_at": "2026-01-05T09:58:20Z", "timeout_seconds": 15, "paused": {"since": "2026-01-05T09:00:00Z", "by": "operator from 127.0.0.1"}, "sign": {"scheme": "standard-webhooks", "secrets": [{"from": "env", "name": "WRENO_SECRET"}, {"from": "value", "name": null}]}, "auth": {"kind": "oauth2", "secret": {"from": "file", "name": "secrets/erp"}}, "routes": ["vendor-updates"], "last_minute": {"seconds": 60, "succeeded": 120, "failed": 6}, "owner": null}, {"name": "crm", "url": "http://127.0.0.1:9000/hooks", "concurrency": 8, "rate": null, "order": false, "breaker": {"state": "open", "since": "2026-01-05T09:59:00Z", "next_probe_at": "2026-01-05T10:00:30Z", "consecutive_failures": 7, "last_failure": "status 503"}, "running": 2, "pending": 5, "dead": 0, "oldest_pending_at": "2026-01-05T09:58:20Z", "timeout_seconds": 15, "paused": null, "sign": {"scheme": "standard-webhooks", "secrets": [{"from": "env", "name": "WRENO_SECRET"}, {"from": "value", "name": null}]}, "auth": {"kind": "oauth2", "secret": {"from": "file", "name": "secrets/erp"}}, "routes": ["vendor-updates"], "last_minute": {"seconds": 60, "succeeded": 120, "failed": 6}, "owner": {"id": 41, "name": "relay-a", "this": false}}]
}"#,
    ),
];
