//! Words to the service manager, by the protocol that systemd has made: ready, reloading, stopping, alive.
//!
//! Promise: where no manager listens (`NOTIFY_SOCKET` is not set) nothing happens, and a manager that cannot be
//! reached stops nothing: it is a WARN. Not here: what is ready and what is alive (see `app`).

use std::future::Future;
use std::time::Duration;

use sd_notify::NotifyState;

/// The variable by which a manager says where it listens.
const SOCKET: &str = "NOTIFY_SOCKET";

/// How often more time is asked for while the start takes long.
const ASK_EVERY: Duration = Duration::from_secs(10);

/// How much more time is asked for. Several times the interval, so that a slow moment does not end the start.
const MORE_TIME: Duration = Duration::from_secs(60);

/// What closing may take after the drain: syncing the journal and writing out the index.
const CLOSING: Duration = Duration::from_secs(30);

/// The start is through.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The configuration is being read anew; [`ready`] ends it, whatever came of it. Carries the time, from which a
/// manager tells this reload from an earlier one.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        // Without the time a manager may take it for a failure; saying nothing is safe.
        Err(error) => tracing::warn!(%error, "the clock for the service manager cannot be read"),
    }
}

/// The end has begun, and the drain takes `drain` at most. The manager waits that long also where its own limit
/// is shorter; a longer one stays.
pub fn stopping(drain: Duration) {
    let within = microseconds(drain.saturating_add(CLOSING));
    tell(&[
        NotifyState::Stopping,
        NotifyState::ExtendTimeoutUsec(within),
    ]);
}

/// One line for people who ask the manager how it goes.
pub fn status(line: &str) {
    // A line end would begin another word of the protocol.
    let line = line.replace(['\n', '\r'], " ");
    tell(&[NotifyState::Status(&line)]);
}

/// Does `work`, which is a part of the start, and keeps the manager from ending a start that takes long.
pub async fn while_starting<T>(work: impl Future<Output = T>) -> T {
    if !is_managed() {
        return work.await;
    }
    let mut work = std::pin::pin!(work);
    let mut asking = tokio::time::interval(ASK_EVERY);
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = asking.tick() => tell(&[NotifyState::ExtendTimeoutUsec(microseconds(MORE_TIME))]),
        }
    }
}

/// Tells the manager's watchdog that we live, at half of the time that it allows, while `alive` says so. It is
/// asked where it runs, so who runs this on the runtime tells by it that the runtime turns. Returns at once
/// where there is no watchdog, else never.
pub async fn watchdog(alive: impl Fn() -> bool) {
    let allowed = sd_notify::watchdog_enabled().filter(|allowed| !allowed.is_zero());
    let (Some(allowed), true) = (allowed, is_managed()) else {
        return;
    };
    let mut beat = tokio::time::interval(allowed / 2);
    // After a pause one beat is enough.
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut lived = true;
    loop {
        beat.tick().await;
        let lives = alive();
        if lives {
            tell(&[NotifyState::Watchdog]);
        } else if lived {
            tracing::error!(
                "a part that must run has ended; the service manager is left to restart us"
            );
        }
        lived = lives;
    }
}

fn is_managed() -> bool {
    std::env::var_os(SOCKET).is_some_and(|socket| !socket.is_empty())
}

fn tell(words: &[NotifyState<'_>]) {
    if !is_managed() {
        return;
    }
    if let Err(error) = sd_notify::notify(words) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

/// As the protocol's library takes it; more than an hour and a bit is cut to that.
fn microseconds(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}
