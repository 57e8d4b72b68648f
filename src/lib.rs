//! ingate is a webhook relay: it receives webhooks, proves who sent them, puts them on disk before it answers,
//! reshapes them with Liquid templates into JSON that is always valid, signs the result and delivers it to one or
//! many targets until each has it.
//!
//! # The way of a webhook
//!
//! ```text
//! START cli::run -> config::load -> Plan -> app::build -> app::serve
//! IN    ingest -> intake::accept
//!         -> signature::verify -> Event::from_verified -> Router::route -> Store::admit  => 200
//! OUT   dispatch (per target: concurrency, rate, breaker)
//!         -> Template::render -> signature::sign -> Client::post
//!         -> Outcome -> Delivery::after -> Next::{Done, RetryAt, Bury} -> Store::settle
//! AGAIN admin, replay -> Store::revive_as, Store::add_deliveries
//! ANEW  reload -> config::load -> trial::run -> Current::replace
//! ```
//!
//! # The map
//!
//! A module names only modules of lower floors; a test reads this table and holds the code to it.
//!
//! | floor | module | what it is |
//! |---|---|---|
//! | 0 | [`id`] | names and ids |
//! | 0 | [`secret`] | bytes that are never shown |
//! | 0 | [`clock`] | where "now" comes from |
//! | 0 | [`decimal`] | numbers compared by their text |
//! | 0 | [`json`] | a JSON text parsed into one flat document |
//! | 0 | [`units`] | durations and sizes as people write them |
//! | 0 | [`certificate`] | what a certificate says |
//! | 0 | [`metrics`] | every metric |
//! | 0 | [`service`] | words to the service manager |
//! | 0 | [`excerpt`] | an error with its line and a caret |
//! | 0 | [`trace`] | trace context, read and written |
//! | 0 | [`cloudevents`] | CloudEvents in headers |
//! | 1 | [`tls`] | what doors show and whom clients trust |
//! | 1 | [`signature`] | schemes as data: verify and sign |
//! | 1 | [`pattern`] | which events a route takes |
//! | 1 | [`template`] | Liquid in, valid JSON out |
//! | 1 | [`proxies`] | which address a request comes from |
//! | 1 | [`schema`] | JSON Schemas of what templates print |
//! | 1 | [`retry`] | when a failed attempt is made again |
//! | 1 | [`egress`] | which addresses may be connected to |
//! | 1 | [`redact`] | what of a body is not shown |
//! | 2 | [`event`] | one verified inbound request |
//! | 2 | [`database`] | what the URL of a database says |
//! | 2 | [`order`] | which deliveries go one after another |
//! | 3 | [`client`] | HTTP towards others: connections by policy, small requests |
//! | 3 | [`delivery`] | one event on its way to one target |
//! | 3 | [`plan`] | the compiled configuration |
//! | 4 | [`config`] | from files to a plan, all errors at once |
//! | 4 | [`trial`] | tests of routes: samples rendered, compared, mutated |
//! | 4 | [`routing`] | which deliveries an event gets |
//! | 4 | [`envelope`] | payloads as the CloudEvents that targets ask for |
//! | 4 | [`store`] | where events and deliveries are kept: journal and index, or PostgreSQL |
//! | 4 | [`telemetry`] | spans, sent to a collector of traces |
//! | 4 | [`live`] | what goes on now and lately, in memory |
//! | 4 | [`listener`] | connections of both doors: TLS, HTTP/1.1, HTTP/2, their bounds |
//! | 5 | [`intake`] | the inbound story |
//! | 5 | [`dispatch`] | the outbound story, one task a target |
//! | 5 | [`fleet`] | instances on one store, and whose configuration differs |
//! | 5 | [`reload`] | a new plan in force, or the old one |
//! | 5 | [`replay`] | many deliveries again, as a job |
//! | 5 | [`studio`] | templates tried before they are in force |
//! | 6 | [`ingest`] | the public door: limits and status codes |
//! | 6 | [`admin`] | the operator's door |
//! | 7 | [`app`] | the only wiring |
//! | 8 | [`cli`] | one file a command |
//!
//! # The promises
//!
//! 1. Durable before 200. 2. Nothing dropped silently. 3. At least once, same id. 4. Valid JSON, always. 5. Frozen
//!    once tried. 6. Isolation. 7. Reload is all or nothing. 8. Only verified requests become events.
//!    The README says each in full.

pub mod admin;
pub mod app;
pub mod certificate;
pub mod cli;
pub mod client;
pub mod clock;
pub mod cloudevents;
pub mod config;
pub mod database;
pub mod decimal;
pub mod delivery;
pub mod dispatch;
pub mod egress;
pub mod envelope;
pub mod event;
pub mod excerpt;
pub mod fleet;
pub mod id;
pub mod ingest;
pub mod intake;
pub mod json;
pub mod listener;
pub mod live;
pub mod metrics;
pub mod order;
pub mod pattern;
pub mod plan;
pub mod proxies;
pub mod redact;
pub mod reload;
pub mod replay;
pub mod retry;
pub mod routing;
pub mod schema;
pub mod secret;
pub mod service;
pub mod signature;
pub mod store;
pub mod studio;
pub mod telemetry;
pub mod template;
pub mod tls;
pub mod trace;
pub mod trial;
pub mod units;
