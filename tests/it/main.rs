//! Stories over real sockets, real files and real signatures; one module a story.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs
)]

mod answers;
mod bad_requests;
mod breaker;
mod care;
mod cli;
mod cli_operator;
mod cloudevents;
mod config;
#[path = "../../src/admin/contract.rs"]
#[allow(dead_code)]
mod contract;
mod cookbook;
#[path = "../support/cut.rs"]
mod cut;
mod dashboards;
mod databases;
mod delivery;
mod delivery_rules;
mod doors;
mod egress;
mod every_preset;
mod faults;
mod filters;
mod fleet;
mod fuzzed;
mod handovers;
mod hostile;
mod http2;
mod lifecycle;
mod liquid_suite;
mod live;
mod man;
mod needles;
mod numbered;
mod operator;
mod order;
mod packaging;
#[path = "../support/postgres.rs"]
mod postgres;
mod presets;
mod process;
mod promises;
mod random;
mod readme;
mod redact;
mod register;
mod reload;
mod replays;
mod rotation;
mod route_tests;
mod samples;
mod secrecy;
mod service;
mod shared_store;
mod signature_vectors;
mod silence;
mod source_answers;
mod stand;
mod studio;
mod support;
mod target_auth;
mod telemetry;
mod terminal;
mod tls;
mod trace;
mod vendors;
mod ways;
mod wire;
