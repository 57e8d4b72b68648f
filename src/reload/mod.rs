//! Reload: read everything, compile it, run the tests that routes declare, and put the new plan in force in one step;
//! or keep the old one and say why.
//!
//! Promise: there is one way to a new plan, whoever asks for it, and nothing of what is refused takes effect. What stands in the
//! queue, what was seen, and connections to targets stay. Each plan that came into force is kept for the next start.
//! Not here: who asks (signals: `cli::run`; the operator: `admin`), what the parts do with a new plan.

mod number;
mod save;
mod watch;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use serde::Serialize;
use tokio::sync::{Mutex, watch as channel};

use crate::clock::Clock;
use crate::config::{
    self, Compiled, ConfigErrors, Diagnostic, EnvSecret, Inputs, ProcessEnv, Severity,
};
use crate::metrics::Metrics;
use crate::plan::{Current, Plan};
use crate::service;
use crate::store::{AuditNote, Store};
use crate::trial::{self, TestOutcome};

pub use number::{fingerprint, keep_trying as number};
pub use save::{Expected, NewSample, SaveError, Saved};

/// Who asked for a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// SIGHUP.
    Signal,
    /// A file that the last load read has changed.
    Watch,
    /// Somebody at the operator's door.
    Operator(String),
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal => f.write_str("signal"),
            Self::Watch => f.write_str("watch"),
            Self::Operator(who) => f.write_str(who),
        }
    }
}

/// Why a configuration does not come into force.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It does not compile.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// Tests that routes declare fail.
    #[error("{}", told(.0))]
    Tests(Vec<TestOutcome>),
}

fn told(failed: &[TestOutcome]) -> String {
    let failed: Vec<String> = failed.iter().map(in_words).collect();
    failed.join("\n")
}

/// What a failed test says.
fn in_words(failed: &TestOutcome) -> String {
    let (route, event) = (&failed.route, failed.event.display());
    let mut text = format!("the test of route {route} with {event} fails");
    for problem in failed.problems() {
        // What is told in several lines belongs together.
        let told = problem.to_string().replace('\n', "\n    ");
        text.push_str(&format!("\n  {told}"));
    }
    text
}

/// What a load came to, and what it read on the way.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration, or why it cannot be used.
    pub outcome: Result<Compiled, Refused>,
    /// What was read, as far as it got.
    pub inputs: Inputs,
}

/// Reads, compiles and tries a configuration. May take a second: proofs and tests are work.
#[must_use]
pub fn load(config: &Path, skip_tests: bool) -> Loaded {
    let (compiled, inputs) = config::load_noted(config, &ProcessEnv);
    tried(compiled, inputs, skip_tests)
}

/// The same of the configuration as it would be if these files held these bytes.
fn load_changed(config: &Path, changes: BTreeMap<PathBuf, Vec<u8>>, skip_tests: bool) -> Loaded {
    let (compiled, inputs) = config::load_changed(config, &ProcessEnv, changes);
    tried(compiled, inputs, skip_tests)
}

fn tried(compiled: Result<Compiled, ConfigErrors>, inputs: Inputs, skip_tests: bool) -> Loaded {
    let outcome = compiled.map_err(Refused::Config).and_then(|compiled| {
        let mut failed = match skip_tests {
            true => Vec::new(),
            false => trial::run(&compiled.plan, &compiled.tests),
        };
        failed.retain(|outcome| !outcome.passed());
        if failed.is_empty() {
            Ok(compiled)
        } else {
            Err(Refused::Tests(failed))
        }
    });
    Loaded { outcome, inputs }
}

/// What became of a reload.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// When.
    pub at: String,
    /// Who asked for it.
    pub trigger: String,
    /// Whether the new configuration is in force; if not, the old one is.
    pub applied: bool,
    /// Whether the tests of routes were left out.
    pub tests_skipped: bool,
    /// What is wrong with the configuration.
    pub errors: Vec<Diagnostic>,
    /// Tests of routes that fail, each with what differs.
    pub failed_tests: Vec<String>,
    /// What is worth a look.
    pub warnings: Vec<Diagnostic>,
    /// Settings that were changed and come into force at the next start only.
    pub needs_restart: Vec<String>,
    /// Secrets from the environment: a process keeps the variables that it was started with.
    pub env_secrets: Vec<EnvSecret>,
    /// All of it in words.
    pub text: String,
}

/// Replaces the plan in force.
pub struct Reloader {
    config: PathBuf,
    plan: Current,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    /// One reload at a time.
    one: Mutex<()>,
    /// What the last load read.
    inputs: channel::Sender<Arc<Inputs>>,
    /// What came of the last reload.
    last: std::sync::Mutex<Option<Last>>,
}

/// What came of a reload, in short.
#[derive(Debug, Clone, Serialize)]
pub struct Last {
    /// When.
    pub at: String,
    /// Who asked.
    pub trigger: String,
    /// Whether it came into force.
    pub applied: bool,
    /// What came of it, in words.
    pub text: String,
}

/// What a reloader works on.
pub struct Parts {
    /// The plan in force.
    pub plan: Current,
    /// Where it is noted who changed what.
    pub store: Arc<dyn Store>,
    /// What times are read from.
    pub clock: Arc<dyn Clock>,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
}

impl Reloader {
    /// A reloader of this file, of which the load at the start read `inputs`. `good` tells whether that load is what
    /// is in force; otherwise an older configuration is.
    #[must_use]
    pub fn new(config: PathBuf, inputs: Inputs, good: bool, parts: Parts) -> Self {
        let Parts {
            plan,
            store,
            clock,
            metrics,
        } = parts;
        metrics.config_loaded(good, clock.now());
        Self {
            config,
            plan,
            store,
            clock,
            metrics,
            one: Mutex::default(),
            inputs: channel::Sender::new(Arc::new(inputs)),
            last: std::sync::Mutex::default(),
        }
    }

    /// What came of the last reload; `None` if there was none since the start.
    #[must_use]
    pub fn last(&self) -> Option<Last> {
        self.last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Reloads, and says what became of it.
    pub async fn reload(&self, trigger: Trigger, skip_tests: bool) -> Report {
        let _one = self.one.lock().await;
        self.reload_alone(&trigger, skip_tests).await
    }

    /// Reloads if a file has changed since the last load, whoever had that made.
    async fn reload_changed(&self) {
        let _one = self.one.lock().await;
        let inputs = Arc::clone(&self.inputs.borrow());
        if !watch::is_current(inputs).await {
            self.reload_alone(&Trigger::Watch, false).await;
        }
    }

    async fn reload_alone(&self, trigger: &Trigger, skip_tests: bool) -> Report {
        service::reloading();
        let config = self.config.clone();
        let loaded = tokio::task::spawn_blocking(move || load(&config, skip_tests)).await;
        let report = match loaded {
            Ok(loaded) => self.take(trigger, skip_tests, loaded).await,
            Err(error) => {
                let mut report = self.empty_report(trigger, skip_tests);
                report.text = format!("loading the configuration broke down: {error}");
                self.finish(trigger, &report).await;
                report
            }
        };
        service::ready();
        report
    }

    /// Puts what was loaded in force, or says why not.
    async fn take(&self, trigger: &Trigger, skip_tests: bool, loaded: Loaded) -> Report {
        let mut report = self.empty_report(trigger, skip_tests);
        let Loaded { outcome, inputs } = loaded;
        self.inputs.send_replace(Arc::new(inputs));
        match outcome {
            Ok(compiled) => self.apply(compiled, &mut report).await,
            Err(refused) => refuse(&refused, &mut report),
        }
        self.finish(trigger, &report).await;
        report
    }

    fn empty_report(&self, trigger: &Trigger, skip_tests: bool) -> Report {
        Report {
            at: self.clock.now().to_string(),
            trigger: trigger.to_string(),
            applied: false,
            tests_skipped: skip_tests,
            errors: Vec::new(),
            failed_tests: Vec::new(),
            warnings: Vec::new(),
            needs_restart: Vec::new(),
            env_secrets: Vec::new(),
            text: String::new(),
        }
    }

    /// Tells what became of a reload, and keeps a good one.
    async fn finish(&self, trigger: &Trigger, report: &Report) {
        self.metrics.config_loaded(report.applied, self.clock.now());
        let last = Last {
            at: report.at.clone(),
            trigger: report.trigger.clone(),
            applied: report.applied,
            text: report.text.clone(),
        };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
        self.tell(report);
        if report.applied {
            self.keep().await;
        }
        self.note(trigger, report).await;
    }

    /// Keeps what is in force for a start with broken files.
    pub async fn keep(&self) {
        let (store, config) = (self.plan.get().store.path.clone(), self.config.clone());
        let (inputs, now) = (Arc::clone(&self.inputs.borrow()), self.clock.now());
        let kept = move || config::keep(&store, &config, &inputs, now);
        match tokio::task::spawn_blocking(kept).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%error, cause, "a start with broken files would find no good configuration");
            }
            Err(error) => tracing::error!(%error, "keeping the configuration broke down"),
        }
    }

    /// Reloads whenever a file changes, until `shutdown` turns true.
    pub async fn watch(self: Arc<Self>, shutdown: channel::Receiver<bool>) {
        watch::run(self, shutdown).await;
    }

    async fn apply(&self, compiled: Compiled, report: &mut Report) {
        let Compiled {
            mut plan,
            warnings,
            env_secrets,
            ..
        } = compiled;
        let old = self.plan.get();
        if let Some(why) = inadmissible(&old, &plan) {
            report.text = why;
            return;
        }
        let needs_restart = keep_fixed(&old, &mut plan);
        report.needs_restart = needs_restart;
        let fingerprint = number::fingerprint(&self.inputs.borrow(), true);
        number::put_in_force(&self.plan, Arc::new(plan), &self.store, fingerprint).await;
        report.applied = true;
        report.warnings = warnings;
        report.env_secrets = env_secrets;
        let mut text = vec!["the new configuration is in force".to_owned()];
        text.extend(report.warnings.iter().map(ToString::to_string));
        for setting in &report.needs_restart {
            text.push(format!("{setting} has changed and needs a restart"));
        }
        for EnvSecret { path, variable } in &report.env_secrets {
            text.push(format!(
                "{path} stays as it is until a restart, since {variable} is of the environment"
            ));
        }
        report.text = text.join("\n");
    }

    fn tell(&self, report: &Report) {
        let (trigger, config) = (&report.trigger, self.config.display());
        if report.applied {
            let (needs_restart, skipped) = (report.needs_restart.join(", "), report.tests_skipped);
            tracing::info!(%config, trigger, needs_restart, tests_skipped = skipped, "the new configuration is in force");
        } else {
            tracing::error!(
                %config, trigger, "the configuration is refused and the old one stays in force, see below"
            );
            tracing::error!("{}", report.text);
        }
    }

    /// Notes in the store who asked and what came of it.
    async fn note(&self, trigger: &Trigger, report: &Report) {
        let action = match report.tests_skipped {
            true => "reload_skip_tests",
            false => "reload",
        };
        let noted = self.store.audit(AuditNote {
            actor: trigger.to_string(),
            action: action.to_owned(),
            subject: self.config.display().to_string(),
            ok: report.applied,
            detail: report.text.clone(),
        });
        if let Err(error) = noted.await {
            tracing::warn!(%error, "a reload could not be noted in the store");
        }
    }
}

fn refuse(refused: &Refused, report: &mut Report) {
    match refused {
        Refused::Config(errors) => {
            let all = errors.diagnostics().iter().cloned();
            (report.errors, report.warnings) = all.partition(|one| one.severity == Severity::Error);
        }
        Refused::Tests(failed) => {
            report.failed_tests = failed.iter().map(in_words).collect();
        }
    }
    report.text = refused.to_string();
}

/// Why a plan cannot come in the place of another while the daemon runs, though a start would take it.
fn inadmissible(old: &Plan, new: &Plan) -> Option<String> {
    // The address is one of those that only a restart changes.
    let listen = old.admin.listen;
    if !new.admin.may_listen_on(listen) {
        return Some(format!(
            "the operator's door listens on {listen} until a restart, where it needs `admin.token` or `admin.tls.client_ca`"
        ));
    }
    let gone = vanished(old, new)?;
    Some(format!(
        "the new configuration has no {gone}, and the one in force has: it is taken for a file that was cut short (a restart takes it)"
    ))
}

/// What a whole configuration does not lose at once, but a file that is being written does.
fn vanished(old: &Plan, new: &Plan) -> Option<&'static str> {
    if new.sources.is_empty() && !old.sources.is_empty() {
        return Some("sources");
    }
    let lost = new.router.routes().is_empty() && !old.router.routes().is_empty();
    lost.then_some("routes")
}

/// Leaves in the new plan what only a start can change, and names what differs.
fn keep_fixed(old: &Plan, new: &mut Plan) -> Vec<String> {
    let mut differs = Vec::new();
    let mut fixed = |name: &str, same: bool| {
        if !same {
            differs.push(name.to_owned());
        }
    };
    fixed("listen", old.listen == new.listen);
    fixed("admin.listen", old.admin.listen == new.admin.listen);
    let (a, b) = (&old.store, &new.store);
    fixed("store.path", a.path == b.path);
    fixed("store.retention", a.retention == b.retention);
    fixed("store.dead_retention", a.dead_retention == b.dead_retention);
    fixed("store.max_bytes", a.max_bytes == b.max_bytes);
    fixed("store.min_free", a.min_free_bytes == b.min_free_bytes);
    fixed("store.cache", a.cache_bytes == b.cache_bytes);
    fixed("store.postgres", a.postgres == b.postgres);
    new.listen = old.listen;
    new.admin.listen = old.admin.listen;
    new.store = old.store.clone();
    differs
}
