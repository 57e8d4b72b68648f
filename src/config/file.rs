//! The configuration as it is written: serde shapes only. Their doc comments are the descriptions of the JSON
//! schema. Not here: defaults and what is right (see `compile`).

mod auth;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::pattern::{OneOrMany, PatternRecord};
use crate::retry::RetryRecord;
use crate::signature::SchemeRecord;

pub use self::auth::{ApiKeyFile, AuthFile, BasicFile, ClientAuthFile, OAuth2File};

/// The configuration of ingate. Relative paths are relative to the file.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(title = "ingate")]
pub struct File {
    /// Where the public door listens; 127.0.0.1:8080 unless given.
    #[schemars(extend("examples" = ["127.0.0.1:8080"]))]
    pub listen: Option<String>,
    /// The certificate of the public door; without one it speaks plain HTTP/1.1, with one HTTP/1.1 and HTTP/2 over TLS.
    pub tls: Option<TlsFile>,
    /// Addresses and networks of proxies in front of the public door that are believed when they say where a request comes from.
    #[schemars(extend("examples" = [["10.0.0.0/8", "::1"]]))]
    pub trusted_proxies: Option<Vec<String>>,
    /// The operator's door.
    pub admin: Option<AdminFile>,
    /// The store.
    pub store: Option<StoreFile>,
    /// The folder of the templates; ./templates unless given.
    pub templates: Option<String>,
    /// Whether every template must be proven to print valid JSON for every payload; false unless given.
    pub strict: Option<bool>,
    /// Limits.
    pub limits: Option<LimitsFile>,
    /// What becomes of events that no route takes; `keep` unless given.
    pub unmatched: Option<UnmatchedFile>,
    /// Constants that templates read as `vars.NAME`.
    pub vars: Option<BTreeMap<String, Value>>,
    /// The sources, by name: who sends.
    pub sources: Option<BTreeMap<String, SourceFile>>,
    /// The targets, by name: who receives.
    pub targets: Option<BTreeMap<String, TargetFile>>,
    /// The way out: which addresses targets may have, and a proxy.
    pub egress: Option<EgressFile>,
    /// What is told of the daemon's work to others.
    pub telemetry: Option<TelemetryFile>,
    /// The routes: which events go, through which template, to which targets. Every route that matches applies.
    pub routes: Option<Vec<RouteFile>>,
}

/// The operator's door.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Admin")]
pub struct AdminFile {
    /// Where it listens; 127.0.0.1:8081 unless given. Off loopback it needs a token or `tls.client_ca`.
    #[schemars(extend("examples" = ["127.0.0.1:8081"]))]
    pub listen: Option<String>,
    /// The bearer token that every call must carry.
    pub token: Option<SecretFile>,
    /// Host names by which it may be called, besides its own address and localhost.
    pub hosts: Option<Vec<String>>,
    /// Its certificate; without one it speaks plain HTTP/1.1, with one HTTP/1.1 and HTTP/2 over TLS.
    pub tls: Option<AdminTlsFile>,
    /// Whether templates and samples may be saved by it; false unless given.
    pub edit_templates: Option<bool>,
}

/// The certificate of a door.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Tls")]
pub struct TlsFile {
    /// A PEM file: the certificate, then the one that signed it, and so on.
    pub cert: String,
    /// The certificate's private key: a PEM file, or where such a secret comes from.
    pub key: KeyFile,
}

/// The certificate of the operator's door.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AdminTls")]
pub struct AdminTlsFile {
    /// A PEM file: the certificate, then the one that signed it, and so on.
    pub cert: String,
    /// The certificate's private key: a PEM file, or where such a secret comes from.
    pub key: KeyFile,
    /// A PEM file of authorities: clients must show a certificate that one of them has signed. A token is asked for besides where there is one.
    #[serde(default)]
    pub client_ca: Option<String>,
}

/// TLS towards a target.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "TargetTls")]
pub struct TargetTlsFile {
    /// A PEM file of authorities that are trusted instead of the system's.
    pub ca: Option<String>,
    /// A PEM file: the client certificate that is shown to the target, then the one that signed it, and so on.
    pub cert: Option<String>,
    /// The client certificate's private key: a PEM file, or where such a secret comes from.
    pub key: Option<KeyFile>,
}

/// A private key.
#[derive(Debug, Clone)]
pub enum KeyFile {
    /// A PEM file.
    File(String),
    /// From a secret.
    Secret(SecretFile),
}

/// The store.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Store")]
pub struct StoreFile {
    /// Its folder; ./data unless given. With `postgres`, what this machine keeps for itself: the last good configuration.
    pub path: Option<String>,
    /// How long events that are done are kept; 7d unless given.
    #[schemars(extend("examples" = ["7d"]))]
    pub retention: Option<String>,
    /// How long dead letters are kept: a duration, or `never` for never letting them go, which is the default.
    #[schemars(extend("examples" = ["90d"]))]
    pub dead_retention: Option<String>,
    /// Most bytes of journal on disk, beyond which nothing is accepted; 10GiB unless given.
    pub max_bytes: Option<SizeFile>,
    /// Bytes that must stay free on the file system; 256MiB unless given.
    pub min_free: Option<SizeFile>,
    /// Memory that the index may use as its cache; 32MiB unless given.
    pub cache: Option<SizeFile>,
    /// A PostgreSQL that several instances share, in place of the embedded store.
    pub postgres: Option<PostgresFile>,
}

/// A store in PostgreSQL, 15 or later.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Postgres")]
pub struct PostgresFile {
    /// The database, as `postgres://USER:PASSWORD@HOST:5432/DATABASE`. `?sslmode=` says how the way there is protected: `disable`, `prefer` or `require` (the same as `verify-full`).
    pub url: Option<SecretFile>,
    /// Most connections of this instance; 8 unless given.
    pub pool: Option<u32>,
    /// A PEM file of authorities that are trusted instead of the system's. Where it is given, there is no connection without TLS.
    pub ca: Option<String>,
    /// After how long without a word from an instance others take its work over; 10s unless given. The same for all instances.
    #[schemars(extend("examples" = ["10s"]))]
    pub lease: Option<String>,
    /// How this instance is called; the host's name unless given.
    pub name: Option<String>,
}

/// Limits.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Limits")]
pub struct LimitsFile {
    /// Most bytes of a request's body, over the wire and decoded; 1MiB unless given.
    pub body: Option<SizeFile>,
    /// Most bytes of a request's head; 64KiB unless given.
    pub headers: Option<SizeFile>,
    /// Within this time a request's head must be there; 10s unless given.
    #[schemars(extend("examples" = ["10s"]))]
    pub header_timeout: Option<String>,
    /// Within this time a request's whole body must be there; 30s unless given.
    #[schemars(extend("examples" = ["30s"]))]
    pub body_timeout: Option<String>,
    /// Most bytes that a template may render; 4MiB unless given.
    pub output: Option<SizeFile>,
    /// Most open connections at the public door; 4096 unless given.
    pub connections: Option<u32>,
    /// Most bytes of bodies that are in memory at a time, over all requests; those beyond are answered 503. 32MiB unless given.
    pub in_flight: Option<SizeFile>,
    /// How many verifications of one address (of one /64 in IPv6) may fail in a minute before their answers are slowed; 10 unless given.
    pub failures: Option<u32>,
    /// How many relays an event may have passed through; 8 unless given.
    pub hops: Option<u32>,
    /// How long attempts under way may take to end when the daemon is told to stop; 20s unless given.
    #[schemars(extend("examples" = ["20s"]))]
    pub drain: Option<String>,
}

/// What becomes of events that no route takes.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Unmatched")]
pub enum UnmatchedFile {
    /// They are kept as long as others.
    Keep,
    /// They are counted and forgotten.
    Drop,
}

/// One of several ways in which senders of a source may prove themselves: `preset`, `scheme` or both.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Way")]
pub struct WayFile {
    /// The name of a signature preset.
    pub preset: Option<String>,
    /// The signature scheme: whole, or changes to the preset.
    pub scheme: Option<SchemeRecord>,
    /// The secrets, newest first; all are accepted.
    pub secrets: Option<Vec<SecretFile>>,
    /// What challenges carry as their token, where that is not one of the secrets.
    pub tokens: Option<Vec<SecretFile>>,
}

/// An inbound endpoint: `preset`, `scheme` or both, or several ways under `any` or `all`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Source")]
pub struct SourceFile {
    /// The name of a signature preset.
    pub preset: Option<String>,
    /// The signature scheme: whole, or changes to the preset.
    pub scheme: Option<SchemeRecord>,
    /// The secrets, newest first; all are accepted.
    pub secrets: Option<Vec<SecretFile>>,
    /// What challenges carry as their token, where that is not one of the secrets.
    pub tokens: Option<Vec<SecretFile>>,
    /// The file in which secrets are kept that challenges hand over, one a line, newest first; the daemon writes it, and it need not be there yet. For schemes with such a challenge.
    pub captured: Option<String>,
    /// Several ways instead of one, of which any is enough; in this order.
    pub any: Option<Vec<WayFile>>,
    /// Several ways instead of one, all of which must prove a request; the first says what its id and type are.
    pub all: Option<Vec<WayFile>>,
    /// Addresses and networks that may send (behind `trusted_proxies`, the client's); all unless given.
    #[schemars(extend("examples" = [["192.0.2.0/24", "2001:db8::1"]]))]
    pub allow: Option<Vec<String>>,
    /// The path that it listens on; /in/NAME unless given.
    pub path: Option<String>,
    /// The public URL that senders call; for schemes that sign it.
    pub url: Option<String>,
    /// What good requests are answered with: status 200 and the id of the event as JSON unless given.
    pub answer: Option<AnswerFile>,
    /// What counts as the same event: by id for 48h where the signature covers the id, else by body for 15m, unless given.
    pub dedupe: Option<DedupeFile>,
    /// Whether the trace of a request (`traceparent`) is continued towards the targets; false unless given.
    pub trust_trace: Option<bool>,
    /// JSON pointers into the body, `*` for any member or element: what stands there is never shown.
    pub redact: Option<Vec<String>>,
}

/// What good requests (accepted, duplicates and those that no route takes) are answered with. Errors are not changed by it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Answer")]
pub struct AnswerFile {
    /// From 200 to 299; 200 unless given.
    #[schemars(extend("examples" = [204]))]
    pub status: Option<u16>,
    /// A text of at most 1 KiB, which may be empty; the id of the event as JSON unless given, and none with 204 and 205.
    #[schemars(extend("examples" = ["[accepted]"]))]
    pub body: Option<String>,
    /// What the body is of; application/json for a JSON object or array and text/plain for all else unless given.
    #[schemars(extend("examples" = ["text/plain"]))]
    pub content_type: Option<String>,
}

/// The way out.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Egress")]
pub struct EgressFile {
    /// Whether targets may have private addresses; `allow` unless given. Link-local and cloud metadata addresses are always refused.
    pub private: Option<PrivateFile>,
    /// Networks that are exempt from `private: deny`.
    pub allow: Option<Vec<String>>,
    /// The proxy that targets are connected to through (CONNECT): an http URL with a port.
    #[schemars(extend("examples" = ["http://proxy.example.com:3128"]))]
    pub proxy: Option<String>,
    /// What the proxy gets as Proxy-Authorization.
    pub proxy_authorization: Option<SecretFile>,
    /// Hosts that are connected to directly: names, `.suffix`, and networks for URLs with an address.
    pub no_proxy: Option<Vec<String>>,
}

/// Whether targets may have private addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Private")]
pub enum PrivateFile {
    /// They may.
    Allow,
    /// They may not.
    Deny,
}

/// What is told of the daemon's work to others.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Telemetry")]
pub struct TelemetryFile {
    /// Where traces are sent; none are made unless given.
    pub otlp: Option<OtlpFile>,
}

/// A collector of traces that speaks OTLP over HTTP, with JSON.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Otlp")]
pub struct OtlpFile {
    /// Its http or https URL; `/v1/traces` is put behind it. It is called directly, whatever `egress` says.
    #[schemars(extend("examples" = ["http://127.0.0.1:4318"]))]
    pub endpoint: String,
    /// Headers that it gets: a text, or where a secret comes from.
    #[serde(default)]
    pub headers: Option<BTreeMap<String, HeaderFile>>,
    /// The share of traces that is recorded, from 0 to 1; all of them unless given. A trace that a trusted sender has begun is
    /// recorded if the sender records it.
    #[serde(default)]
    #[schemars(extend("examples" = [0.1]))]
    pub sample: Option<f64>,
    /// The name of this service in traces; `ingate` unless given.
    #[serde(default)]
    pub service_name: Option<String>,
}

/// An outbound endpoint.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Target")]
pub struct TargetFile {
    /// Where requests go: an http or https URL.
    pub url: String,
    /// How requests are signed; not at all unless given.
    #[serde(default)]
    pub sign: Option<SignFile>,
    /// How the target is told who we are: `basic`, `bearer`, `api_key` or `oauth2`; not at all unless given.
    #[serde(default)]
    pub auth: Option<AuthFile>,
    /// Headers that every request gets: a text, or where a secret comes from.
    #[serde(default)]
    pub headers: Option<BTreeMap<String, HeaderFile>>,
    /// Which CloudEvents its payloads become; they are sent as they are unless given.
    #[serde(default)]
    pub cloudevents: Option<CloudEventsFile>,
    /// When failed attempts are made again; `standard` unless given.
    #[serde(default)]
    pub retry: Option<RetryRecord>,
    /// How long one attempt may take; 15s unless given.
    #[serde(default)]
    #[schemars(extend("examples" = ["15s"]))]
    pub timeout: Option<String>,
    /// Most attempts at a time; 8 unless given.
    #[serde(default)]
    pub concurrency: Option<u32>,
    /// Most attempts in a second, minute or hour, evenly spaced; as many as there are unless given.
    #[serde(default)]
    #[schemars(extend("examples" = ["50/s"]))]
    pub rate: Option<String>,
    /// When the target is taken to be down, so that its deliveries wait and one at a time probes it; after 10 failures in a row or
    /// half of at least 20 attempts within 30s unless given.
    #[serde(default)]
    pub breaker: Option<BreakerFile>,
    /// A path into the body, as in a pattern: deliveries of events with the same value there go strictly one after another,
    /// in the order in which the events came in. In no order unless given.
    #[serde(default)]
    #[schemars(extend("examples" = ["data.customer.id"]))]
    pub order_by: Option<String>,
    /// What a dead delivery does to those behind it in the order: `hold` (they wait until it is discarded or retried), which is
    /// the default, or `skip`.
    #[serde(default)]
    pub on_dead: Option<OnDeadFile>,
    /// Whom to trust and what to show where the URL is https.
    #[serde(default)]
    pub tls: Option<TargetTlsFile>,
}

/// When a target is taken to be down.
#[derive(Debug, Clone)]
pub enum BreakerFile {
    /// Never.
    Off,
    /// After failures: no whole answer, or a status of 5xx, 429 or 408.
    On(BreakerOptions),
}

/// After which failures a target is taken to be down: whichever comes first.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BreakerOptions {
    /// After so many in a row; 10 unless given.
    pub failures: Option<u32>,
    /// After this share of the attempts within the window, more than 0 and at most 1; 0.5 unless given.
    pub ratio: Option<f64>,
    /// How many attempts there must be within the window for the share to count; 20 unless given.
    pub requests: Option<u32>,
    /// The window of the share; 30s unless given.
    #[schemars(extend("examples" = ["30s"]))]
    pub window: Option<String>,
}

/// Which CloudEvents the payloads of a target become.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "CloudEvents")]
pub struct CloudEventsFile {
    /// Where the attributes stand: `structured` (in one JSON envelope with the data) or `binary` (in headers).
    pub mode: CloudEventsModeFile,
    /// Their `source`; that of an incoming CloudEvent, else `/in/SOURCE` unless given.
    #[serde(default)]
    #[schemars(extend("examples" = ["https://relay.example.com/shop"]))]
    pub source: Option<String>,
    /// Their `type`; that of the event unless given.
    #[serde(default, rename = "type")]
    pub event_type: Option<String>,
}

/// Where the attributes of a CloudEvent stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "CloudEventsMode")]
pub enum CloudEventsModeFile {
    /// In one JSON envelope with the data.
    Structured,
    /// In headers; the data is the body.
    Binary,
}

/// What a dead delivery does to those behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "OnDead")]
pub enum OnDeadFile {
    /// They wait until it is discarded or retried.
    Hold,
    /// They go on without it.
    Skip,
}

/// How requests are signed: `preset`, `scheme` or both.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Sign")]
pub struct SignFile {
    /// The name of a signature preset.
    pub preset: Option<String>,
    /// The signature scheme: whole, or changes to the preset.
    pub scheme: Option<SchemeRecord>,
    /// The secrets, newest first; each adds a signature where the scheme can carry several.
    pub secrets: Option<Vec<SecretFile>>,
}

/// Which events go, through which template, to which targets.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Route")]
pub struct RouteFile {
    /// Its name.
    pub name: String,
    /// From which source, or sources.
    pub from: OneOrMany,
    /// Which of their events; all unless given.
    #[serde(rename = "match", default)]
    pub pattern: Option<PatternRecord>,
    /// A file under `templates`; without one the body goes on unchanged.
    #[serde(default)]
    pub template: Option<String>,
    /// What the template's output must look like: the file of a JSON Schema. `ingate check` holds it against the samples.
    #[serde(default)]
    pub schema: Option<SchemaFile>,
    /// To which target, or targets.
    pub to: OneOrMany,
    /// Events and what the template must make of them.
    #[serde(default)]
    pub tests: Option<Vec<TestFile>>,
    /// A folder of more: `NAME.json` is an event, `NAME.out.json` what the template must make of it, `NAME.headers.json` its headers.
    #[serde(default)]
    pub cases: Option<String>,
    /// Whether deliveries that died rendering are taken up again by themselves once the template has changed; `manual` unless given.
    #[serde(default)]
    pub revive: Option<ReviveFile>,
}

/// Whether deliveries that died rendering are taken up again by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Revive")]
pub enum ReviveFile {
    /// They wait until somebody takes them up again.
    Manual,
    /// They are, once the template has changed.
    Auto,
}

/// The JSON Schema of an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaFile {
    /// Where it is.
    pub file: String,
    /// Whether every output is held against it.
    pub at_run_time: bool,
}

/// The same as a mapping.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SchemaOptions {
    /// The file of the schema.
    pub file: String,
    /// Whether every output is held against it, too: what does not fit is not sent, the delivery is parked. False unless given.
    #[serde(default)]
    pub at_run_time: Option<bool>,
}

/// An event and what the template must make of it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Test")]
pub struct TestFile {
    /// The file of the event's body.
    pub event: String,
    /// The file of the JSON that must come out.
    pub expect: String,
    /// Headers that the event comes with, where type, id or template depend on them; none unless given.
    #[serde(default)]
    pub headers: Option<BTreeMap<String, String>>,
}

/// Where a secret comes from: exactly one of these.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Secret")]
pub struct SecretFile {
    /// The name of an environment variable.
    pub env: Option<String>,
    /// A file; one line feed at its end is not part of the secret.
    pub file: Option<String>,
    /// The name of a credential: a file in the folder that $CREDENTIALS_DIRECTORY names.
    pub credential: Option<String>,
    /// The secret itself; better kept out of the file.
    pub value: Option<String>,
}

impl fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretFile")
            .field("env", &self.env)
            .field("file", &self.file)
            .field("credential", &self.credential)
            .field("value", &self.value.as_ref().map(|_| "***"))
            .finish()
    }
}

/// A size in bytes, as a text with a unit or a plain count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizeFile(pub String);

/// The value of a header that requests get.
#[derive(Debug, Clone)]
pub enum HeaderFile {
    /// A text.
    Text(String),
    /// From a secret.
    Secret(SecretFile),
}

/// What counts as the same event.
#[derive(Debug, Clone, Default)]
pub enum DedupeFile {
    /// Nothing: every request is an event of its own.
    #[default]
    Off,
    /// By some key for some time.
    Window(DedupeWindow),
}

/// By what requests count as the same event, and for how long.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DedupeWindow {
    /// By the id that the signature covers, or by the body.
    pub by: Option<DedupeByFile>,
    /// For how long; 48h by id and 15m by body unless given.
    #[serde(rename = "for")]
    #[schemars(extend("examples" = ["48h"]))]
    pub window: Option<String>,
}

/// By what requests count as the same event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "DedupeBy")]
pub enum DedupeByFile {
    /// The message id; the signature must cover it.
    Id,
    /// The bytes of the body.
    Body,
    /// Nothing.
    Off,
}

impl Serialize for SizeFile {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SizeFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct SizeVisitor;
        impl Visitor<'_> for SizeVisitor {
            type Value = SizeFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as 64KiB, or a count of bytes")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<SizeFile, E> {
                Ok(SizeFile(text.to_owned()))
            }

            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<SizeFile, E> {
                Ok(SizeFile(bytes.to_string()))
            }
        }
        from.deserialize_any(SizeVisitor)
    }
}

impl JsonSchema for SizeFile {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["string", "integer"], "minimum": 0, "examples": ["64KiB"]})
    }
}

impl Serialize for HeaderFile {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => to.serialize_str(text),
            Self::Secret(secret) => secret.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for HeaderFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct HeaderVisitor;
        impl<'de> Visitor<'de> for HeaderVisitor {
            type Value = HeaderFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or where a secret comes from, such as {env: NAME}")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<HeaderFile, E> {
                Ok(HeaderFile::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<HeaderFile, A::Error> {
                SecretFile::deserialize(de::value::MapAccessDeserializer::new(map))
                    .map(HeaderFile::Secret)
            }
        }
        from.deserialize_any(HeaderVisitor)
    }
}

impl JsonSchema for HeaderFile {
    fn schema_name() -> Cow<'static, str> {
        "Header".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let secret = generator.subschema_for::<SecretFile>();
        json_schema!({
            "description": "A text, or where a secret comes from.",
            "anyOf": [{"type": "string"}, secret],
        })
    }
}

impl Serialize for KeyFile {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::File(path) => to.serialize_str(path),
            Self::Secret(secret) => secret.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for KeyFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = KeyFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a file, or where a secret comes from, such as {credential: NAME}")
            }

            fn visit_str<E: de::Error>(self, path: &str) -> Result<KeyFile, E> {
                Ok(KeyFile::File(path.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<KeyFile, A::Error> {
                SecretFile::deserialize(de::value::MapAccessDeserializer::new(map))
                    .map(KeyFile::Secret)
            }
        }
        from.deserialize_any(KeyVisitor)
    }
}

impl JsonSchema for KeyFile {
    fn schema_name() -> Cow<'static, str> {
        "Key".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let secret = generator.subschema_for::<SecretFile>();
        json_schema!({
            "description": "A PEM file, or where a secret comes from.",
            "anyOf": [{"type": "string"}, secret],
        })
    }
}

impl Serialize for SchemaFile {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.at_run_time {
            false => to.serialize_str(&self.file),
            true => SchemaOptions {
                file: self.file.clone(),
                at_run_time: Some(true),
            }
            .serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for SchemaFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct SchemaVisitor;
        impl<'de> Visitor<'de> for SchemaVisitor {
            type Value = SchemaFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the file of a JSON Schema, or {file: NAME, at_run_time: true}")
            }

            fn visit_str<E: de::Error>(self, file: &str) -> Result<SchemaFile, E> {
                Ok(SchemaFile {
                    file: file.to_owned(),
                    at_run_time: false,
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SchemaFile, A::Error> {
                let options =
                    SchemaOptions::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(SchemaFile {
                    file: options.file,
                    at_run_time: options.at_run_time.unwrap_or(false),
                })
            }
        }
        from.deserialize_any(SchemaVisitor)
    }
}

impl JsonSchema for SchemaFile {
    fn schema_name() -> Cow<'static, str> {
        "Schema".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let options = generator.subschema_for::<SchemaOptions>();
        json_schema!({
            "description": "The JSON Schema of an output: its file, or the file and when it is used.",
            "anyOf": [{"type": "string"}, options],
        })
    }
}

impl Serialize for DedupeFile {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => to.serialize_str("off"),
            Self::Window(window) => window.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for DedupeFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct DedupeVisitor;
        impl<'de> Visitor<'de> for DedupeVisitor {
            type Value = DedupeFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the word off, or {by: id, for: 48h}")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<DedupeFile, E> {
                match text {
                    "off" => Ok(DedupeFile::Off),
                    other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<DedupeFile, A::Error> {
                DedupeWindow::deserialize(de::value::MapAccessDeserializer::new(map))
                    .map(DedupeFile::Window)
            }
        }
        from.deserialize_any(DedupeVisitor)
    }
}

impl JsonSchema for DedupeFile {
    fn schema_name() -> Cow<'static, str> {
        "Dedupe".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let window = generator.subschema_for::<DedupeWindow>();
        json_schema!({
            "description": "What counts as the same event.",
            "anyOf": [{"type": "string", "enum": ["off"]}, window],
        })
    }
}

impl Serialize for BreakerFile {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => to.serialize_str("off"),
            Self::On(options) => options.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for BreakerFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct BreakerVisitor;
        impl<'de> Visitor<'de> for BreakerVisitor {
            type Value = BreakerFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "the word off, or {failures: 10, ratio: 0.5, requests: 20, window: 30s}",
                )
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<BreakerFile, E> {
                match text {
                    "off" => Ok(BreakerFile::Off),
                    other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<BreakerFile, A::Error> {
                BreakerOptions::deserialize(de::value::MapAccessDeserializer::new(map))
                    .map(BreakerFile::On)
            }
        }
        from.deserialize_any(BreakerVisitor)
    }
}

impl JsonSchema for BreakerFile {
    fn schema_name() -> Cow<'static, str> {
        "Breaker".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let options = generator.subschema_for::<BreakerOptions>();
        json_schema!({
            "description": "When a target is taken to be down: never, or after failures (no whole answer, 5xx, 429, 408).",
            "anyOf": [{"type": "string", "enum": ["off"]}, options],
        })
    }
}

/// The JSON schema of the configuration; objects are closed unless they are maps.
#[must_use]
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(File).to_value();
    close(&mut schema);
    schema
}

/// Says `additionalProperties: false` of every object whose properties are listed, and takes out `default: null`.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            let listed = members.get("properties").is_some_and(Value::is_object);
            if listed && !members.contains_key("additionalProperties") {
                members.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
            // That a key may be left out is plain; it need not be said with every one.
            if members.get("default").is_some_and(Value::is_null) {
                members.remove("default");
            }
            members.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}
