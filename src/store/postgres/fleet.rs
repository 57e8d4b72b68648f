//! The instances that share a database: each tells the others that it lives, and they agree on who makes the attempts to which target.
//!
//! Promise: a target has one owner at a time. An owner is one as long as the others rely on it: the database says when that ends,
//! and the owner's own monotonic clock ends it earlier (see `me`). Clocks of instances are never compared.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_postgres::Row;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Inner;
use super::lanes::Hold;
use super::link::Failed;
use super::rows;
use crate::id::{Digest, TargetName};
use crate::store::record;
use crate::store::{Instance, StoreError, Task};

/// The longest time between two heartbeats; a lease has three of them at least.
const BEAT: Duration = Duration::from_secs(1);

/// How often the database is asked for what others have taken in for our targets.
const POLL: Duration = Duration::from_millis(50);

/// The same while nobody else takes anything in.
const POLL_ALONE: Duration = Duration::from_secs(1);

/// The first pause after a heartbeat that failed; it doubles up to the time between two.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now";

const REGISTER: &str = "INSERT INTO ingate.instance (name, version, started_at, heard_at, expires_at, plan, fingerprint, targets) \
    VALUES ($1, $2, (extract(epoch FROM clock_timestamp()) * 1000)::bigint, clock_timestamp(), \
        clock_timestamp() + make_interval(secs => $3), $4, $5, $6) \
    RETURNING id, {NOW}";

const BEAT_ONCE: &str = "UPDATE ingate.instance SET heard_at = clock_timestamp(), \
        expires_at = clock_timestamp() + make_interval(secs => $2), targets = $3 WHERE id = $1 RETURNING {NOW}";

const INSTANCES: &str = "SELECT id, name, version, started_at, plan, fingerprint, targets, expires_at < clock_timestamp() AS expired, \
        extract(epoch FROM clock_timestamp() - heard_at)::float8 AS silent FROM ingate.instance ORDER BY id";

const OWNERS: &str =
    "SELECT task, instance, down FROM ingate.owner WHERE instance IS NOT NULL ORDER BY task";

/// Frees all that an instance had which was not heard of for too long. If it is heard of meanwhile, nothing happens.
const BURY: &str = "WITH x AS (DELETE FROM ingate.instance WHERE id = $1 AND expires_at < clock_timestamp() RETURNING id), \
    o AS (UPDATE ingate.owner SET instance = NULL FROM x WHERE instance = x.id), \
    d AS (UPDATE ingate.delivery SET lease = NULL, holder = NULL FROM x WHERE holder = x.id AND lease IS NOT NULL) \
    SELECT id FROM x";

/// Frees what was leased to instances that are gone: one may have leased something while it was buried.
const ORPHANS: &str = "UPDATE ingate.delivery d SET lease = NULL, holder = NULL \
    WHERE lease IS NOT NULL AND holder <> $1 AND NOT EXISTS (SELECT FROM ingate.instance i WHERE i.id = d.holder)";

const TAKE: &str = "INSERT INTO ingate.owner AS o (task, instance) \
    SELECT $1, $2::bigint WHERE EXISTS (SELECT FROM ingate.instance WHERE id = $2) \
    ON CONFLICT (task) DO UPDATE SET instance = excluded.instance \
        WHERE o.instance IS NULL OR o.instance = excluded.instance OR NOT EXISTS (SELECT FROM ingate.instance i WHERE i.id = o.instance) \
    RETURNING down";

const GIVE_UP: &str = "UPDATE ingate.owner SET instance = NULL WHERE task = $1 AND instance = $2";

const SET_DOWN: &str = "UPDATE ingate.owner SET down = $3 WHERE task = $1 AND instance = $2";

const LEAVE: &str = "WITH d AS (UPDATE ingate.delivery SET lease = NULL, holder = NULL WHERE holder = $1 AND lease IS NOT NULL), \
    o AS (UPDATE ingate.owner SET instance = NULL WHERE instance = $1) \
    DELETE FROM ingate.instance WHERE id = $1";

const ARRIVED: &str = "SELECT t FROM unnest($1::text[]) AS t WHERE EXISTS (SELECT FROM ingate.delivery \
    WHERE target = t AND state = 0 AND ready AND lease IS NULL AND at <= $2)";

/// The fleet as the last heartbeat found it.
#[derive(Debug, Default)]
pub(super) struct View {
    /// The targets of each instance that lives.
    live: BTreeMap<i64, BTreeSet<String>>,
    /// Those that the others do not rely on any more.
    expired: Vec<i64>,
    /// Who does what.
    owners: BTreeMap<String, i64>,
}

/// What an instance is to do about it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Orders {
    bury: Vec<i64>,
    take: Vec<TargetName>,
    leave: Vec<TargetName>,
}

impl View {
    /// Whether others live.
    fn is_shared(&self) -> bool {
        self.live.len() > 1
    }

    /// Which of those who have this target, or of us, is to make the attempts to it. All find the same one, and each gets its share.
    fn preferred(&self, target: &str, me: i64) -> i64 {
        let has = |(id, targets): (&i64, &BTreeSet<String>)| {
            (*id == me || targets.contains(target)).then_some(*id)
        };
        let rank = |id: &i64| xxh3_64_with_seed(target.as_bytes(), id.cast_unsigned());
        let candidates = self.live.iter().filter_map(has);
        candidates.max_by_key(rank).unwrap_or(me)
    }

    /// Whether this target is nobody's, and we are the one to take it.
    fn should_take(&self, target: &TargetName, me: i64) -> bool {
        let task = Task::Target(target.clone()).to_string();
        let owner = self.owners.get(&task);
        let is_free = owner.is_none_or(|owner| *owner == me || !self.live.contains_key(owner));
        is_free && self.preferred(target.as_str(), me) == me
    }

    /// Whether this target is this instance's.
    fn owns(&self, me: i64, target: &TargetName) -> bool {
        let task = Task::Target(target.clone()).to_string();
        self.owners.get(&task) == Some(&me)
    }

    /// What is to be done; `held` are the targets that we own, `wanted` those that we have.
    fn orders(&self, me: i64, wanted: &[TargetName], held: &[TargetName]) -> Orders {
        let take = wanted.iter().filter(|target| !held.contains(target));
        let take = take.filter(|target| self.should_take(target, me));
        let leave = held
            .iter()
            .filter(|target| !wanted.contains(target) || self.preferred(target.as_str(), me) != me);
        // The answer that would have told us that these are ours was lost, and another is to have them.
        let unknown = wanted.iter().filter(|target| {
            let ours = !held.contains(target) && self.owns(me, target);
            ours && self.preferred(target.as_str(), me) != me
        });
        let leave = leave.chain(unknown);
        Orders {
            bury: self.expired.clone(),
            take: take.cloned().collect(),
            leave: leave.cloned().collect(),
        }
    }

    fn new(instances: &[Row], owners: &[Row]) -> Result<Self, StoreError> {
        let mut view = Self::default();
        for row in instances {
            let id = rows::get(row, "id")?;
            let targets: Vec<String> = rows::get(row, "targets")?;
            match rows::get(row, "expired")? {
                true => view.expired.push(id),
                false => {
                    view.live.insert(id, targets.into_iter().collect());
                }
            }
        }
        for row in owners {
            view.owners
                .insert(rows::get(row, "task")?, rows::get(row, "instance")?);
        }
        Ok(view)
    }
}

impl Inner {
    /// Tells the others that we live, until the store is closed, and does what that brings.
    pub(super) async fn keep_beating(self: Arc<Self>) {
        let every = (self.me.lease() / 3).min(BEAT);
        let mut pause = FIRST_PAUSE;
        let mut closing = self.closing.subscribe();
        loop {
            let wait = match self.beat().await {
                Ok(()) => {
                    pause = FIRST_PAUSE;
                    every
                }
                Err(error) => {
                    tracing::debug!(%error, "a heartbeat has failed");
                    let wait = pause.mul_f64(0.5 + fastrand::f64());
                    pause = (pause * 2).min(every.max(FIRST_PAUSE));
                    wait
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.beat_now.notified() => {}
                () = self.link.doubted.notified() => {}
                _ = closing.wait_for(|closing| *closing) => return,
            }
            #[cfg(test)]
            if self.silent.load(std::sync::atomic::Ordering::SeqCst) {
                let _ = closing.wait_for(|closing| *closing).await;
                return;
            }
        }
    }

    /// One heartbeat.
    pub(super) async fn beat(&self) -> Result<(), StoreError> {
        let sent = Instant::now();
        let patience = (self.me.lease() / 2).min(super::link::PATIENCE);
        let wanted = self.lanes.wanted();
        let held_before = self.lanes.held();
        let lent = self.link.lend_anyway(patience).await?;
        let names: Vec<&str> = wanted.iter().map(TargetName::as_str).collect();
        let (me, lease) = (self.me.id(), self.me.lease().as_secs_f64());
        let work = async {
            let beat = BEAT_ONCE.replace("{NOW}", NOW);
            let beat = lent.prepare_cached(&beat).await?;
            let row = lent.query_opt(&beat, &[&me, &lease, &names]).await?;
            let Some(row) = row else {
                return Ok(None);
            };
            let instances = lent.prepare_cached(INSTANCES).await?;
            let owners = lent.prepare_cached(OWNERS).await?;
            let (instances, owners) =
                tokio::join!(lent.query(&instances, &[]), lent.query(&owners, &[]));
            let view = View::new(&instances?, &owners?)?;
            Ok::<_, Failed>(Some((row.try_get::<_, i64>("now")?, view)))
        };
        let beaten = lent.try_within(patience, work).await;
        let Some((now, view)) = beaten.map_err(|error| lent.told(error))? else {
            drop(lent);
            return self.begin_anew().await;
        };
        drop(lent);
        self.set_clock(now, sent);
        let lapsed = !self.me.holds();
        self.me.renewed(sent);
        self.link.reached();
        if lapsed {
            self.lanes.wake_all();
        }
        // What we held all the while and the database says is not ours, we have lost without a word.
        for target in held_before {
            if !view.owns(me, &target) {
                self.lanes.lose(&target);
            }
        }
        // What came to be ours meanwhile is wanted: held is looked at first.
        let held = self.lanes.held();
        let orders = view.orders(me, &self.lanes.wanted(), &held);
        *self.view_lock() = view;
        self.obey(orders).await
    }

    async fn obey(&self, orders: Orders) -> Result<(), StoreError> {
        for id in orders.bury {
            let buried = self.rows(BURY, &[&id]).await?;
            if !buried.is_empty() {
                tracing::warn!(
                    instance = id,
                    "an instance was not heard of for too long; others take over what it did"
                );
            }
        }
        self.rows(ORPHANS, &[&self.me.id()]).await?;
        for target in orders.leave {
            self.leave(&target).await?;
        }
        for target in orders.take {
            self.take_target(&target).await?;
        }
        for (target, down) in self.take_downs() {
            let task = Task::Target(target.clone()).to_string();
            let told = self.rows(SET_DOWN, &[&task, &self.me.id(), &down]).await;
            if let Err(error) = told {
                self.put_down(&target, down);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Gives a target up, once nothing of it is out.
    async fn leave(&self, target: &TargetName) -> Result<(), StoreError> {
        self.lanes.set_hold(target, Hold::Leaving);
        let (leases, busy) = self.lanes.leave(target);
        if !leases.is_empty() {
            self.release_all(&leases).await?;
        }
        if busy {
            return Ok(());
        }
        let task = Task::Target(target.clone()).to_string();
        self.rows(GIVE_UP, &[&task, &self.me.id()]).await?;
        self.lanes.set_hold(target, Hold::Not);
        tracing::info!(target_name = %target, "attempts to a target are made by another instance");
        Ok(())
    }

    /// The others had given up on us. Whatever we had is theirs; we begin anew.
    async fn begin_anew(&self) -> Result<(), StoreError> {
        tracing::warn!(
            "the other instances have not heard of this one for too long; what it did is free for them"
        );
        self.lanes.lose_all();
        self.tasks_lock().clear();
        self.register().await?;
        self.beat_now.notify_one();
        Ok(())
    }

    /// Makes us known.
    pub(super) async fn register(&self) -> Result<(), StoreError> {
        let sent = Instant::now();
        let lent = self.link.lend_anyway(super::link::PATIENCE).await?;
        let wanted = self.lanes.wanted();
        let names: Vec<&str> = wanted.iter().map(TargetName::as_str).collect();
        let lease = self.me.lease().as_secs_f64();
        let plan = *self.plan_lock();
        let (number, hash) = (
            plan.map(|(number, _)| number),
            plan.map(|(_, hash)| hash.as_bytes().to_vec()),
        );
        let work = async {
            let register = lent.prepare_cached(&REGISTER.replace("{NOW}", NOW)).await?;
            let version = env!("CARGO_PKG_VERSION");
            let name = self.options.name.as_str();
            Ok(lent
                .query_one(
                    &register,
                    &[&name, &version, &lease, &number, &hash, &names],
                )
                .await?)
        };
        let row = lent.try_within(super::link::PATIENCE, work).await;
        let row = row.map_err(|error| lent.told(error))?;
        self.me.renumber(rows::get(&row, "id")?);
        self.set_clock(rows::get(&row, "now")?, sent);
        self.me.renewed(sent);
        Ok(())
    }

    /// Makes a target ours if it is nobody's; whether it is.
    async fn take_target(&self, target: &TargetName) -> Result<bool, StoreError> {
        let task = Task::Target(target.clone()).to_string();
        let taken = self.take_task(&task).await?;
        if let Some(down) = taken {
            tracing::info!(target_name = %target, "attempts to a target are made here");
            self.lanes.set_hold(target, Hold::Ours { told_down: down });
        }
        Ok(taken.is_some())
    }

    /// The same at once, where it should be ours.
    pub(super) async fn take_up(&self, target: &TargetName) -> Result<bool, StoreError> {
        let should = self.view_lock().should_take(target, self.me.id());
        Ok(should && self.take_target(target).await?)
    }

    /// Makes a task ours if it is nobody's; `None` if it is another's, else whether its owner before took its target to be down.
    pub(super) async fn take_task(&self, task: &str) -> Result<Option<bool>, StoreError> {
        let row = self.rows(TAKE, &[&task, &self.me.id()]).await?;
        row.first().map(|row| rows::get(row, "down")).transpose()
    }

    pub(super) async fn own(&self, task: &Task) -> Result<bool, StoreError> {
        self.usable()?;
        if !self.me.holds() {
            return Ok(false);
        }
        let name = task.to_string();
        if self.tasks_lock().contains(&name) {
            return Ok(true);
        }
        let taken = self.take_task(&name).await?.is_some();
        if taken {
            self.tasks_lock().insert(name);
        }
        Ok(taken)
    }

    pub(super) async fn disown(&self, task: &Task) -> Result<(), StoreError> {
        let name = task.to_string();
        self.tasks_lock().remove(&name);
        self.rows(GIVE_UP, &[&name, &self.me.id()]).await?;
        Ok(())
    }

    /// Gives everything back at the end.
    pub(super) async fn depart(&self) -> Result<(), StoreError> {
        self.rows(LEAVE, &[&self.me.id()]).await?;
        Ok(())
    }

    /// Looks for what others have taken in for our targets, until the store is closed.
    pub(super) async fn keep_looking(self: Arc<Self>) {
        let mut closing = self.closing.subscribe();
        loop {
            let shared = self.view_lock().is_shared();
            let wait = if shared { POLL } else { POLL_ALONE };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = closing.wait_for(|closing| *closing) => return,
            }
            let quiet = self.lanes.quiet();
            if quiet.is_empty() || self.link.check().is_err() {
                continue;
            }
            let names: Vec<&str> = quiet.iter().map(TargetName::as_str).collect();
            let Ok(arrived) = self.rows(ARRIVED, &[&names, &self.now()]).await else {
                continue;
            };
            for row in &arrived {
                if let Ok(target) = rows::name(row, "t") {
                    self.lanes.look(&target);
                }
            }
        }
    }

    pub(super) async fn fleet(&self) -> Result<Vec<Instance>, StoreError> {
        let instances = self.rows(INSTANCES, &[]).await?;
        let owners = self.rows(OWNERS, &[]).await?;
        let me = self.me.id();
        let mut fleet = Vec::with_capacity(instances.len());
        for row in &instances {
            let id: i64 = rows::get(row, "id")?;
            let mut instance = Instance {
                id: rows::count(id),
                name: rows::get(row, "name")?,
                this: id == me,
                version: rows::get(row, "version")?,
                started_at: record::time(rows::get(row, "started_at")?),
                silent: Duration::try_from_secs_f64(rows::get(row, "silent")?).unwrap_or_default(),
                plan: plan(row)?,
                owns: Vec::new(),
                down: Vec::new(),
            };
            for owner in &owners {
                let task: &str = rows::get(owner, "task")?;
                let target = task.strip_prefix("target:").map(str::parse::<TargetName>);
                let Some(Ok(target)) = target else { continue };
                if rows::get::<i64>(owner, "instance")? == id {
                    if rows::get(owner, "down")? {
                        instance.down.push(target.clone());
                    }
                    instance.owns.push(target);
                }
            }
            fleet.push(instance);
        }
        Ok(fleet)
    }
}

fn plan(row: &Row) -> Result<Option<(u64, Digest)>, StoreError> {
    let number: Option<i64> = rows::get(row, "plan")?;
    let hash: Option<&[u8]> = rows::get(row, "fingerprint")?;
    let hash = hash.and_then(|hash| <[u8; 32]>::try_from(hash).ok());
    Ok(number.map(rows::count).zip(hash.map(Digest::from_bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(all: &[&str]) -> Vec<TargetName> {
        all.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn view(live: &[(i64, &[&str])], owners: &[(&str, i64)]) -> View {
        let targets = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect();
        View {
            live: live.iter().map(|(id, all)| (*id, targets(all))).collect(),
            expired: Vec::new(),
            owners: owners
                .iter()
                .map(|(target, id)| (format!("target:{target}"), *id))
                .collect(),
        }
    }

    #[test]
    fn every_target_has_one_taker_and_all_have_some() {
        let all: Vec<String> = (0..300).map(|n| format!("t{n}")).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let live = [(1, &all[..]), (2, &all[..]), (3, &all[..])];
        let view = view(&live, &[]);
        let wanted = names(&all);
        let mut taken = Vec::new();
        for me in [1, 2, 3] {
            let orders = view.orders(me, &wanted, &[]);
            assert!(orders.take.len() > 50, "{me} gets {}", orders.take.len());
            taken.extend(orders.take);
        }
        taken.sort();
        let mut wanted = wanted;
        wanted.sort();
        assert_eq!(taken, wanted);
    }

    #[test]
    fn what_another_should_have_is_left_and_what_it_has_is_not_taken() {
        let both: (&[&str], &[&str]) = (&["a", "b", "c", "d"], &["a", "b", "c", "d"]);
        let of = view(&[(1, both.0), (2, both.1)], &[]);
        let all = names(both.0);
        let (one, two) = (of.orders(1, &all, &all), of.orders(2, &all, &all));
        assert_eq!(one.take, []);
        assert_eq!(one.leave.len() + two.leave.len(), 4, "each is left by one");
        // a live owner keeps what it has until it leaves it
        let owned = view(
            &[(1, both.0), (2, both.1)],
            &[("a", 2), ("b", 2), ("c", 2), ("d", 2)],
        );
        assert_eq!(owned.orders(1, &all, &[]).take, []);
        // one that is gone does not
        let gone = view(&[(1, both.0)], &[("a", 2)]);
        assert_eq!(gone.orders(1, &all, &[]).take, all);
        // what is ours without our knowledge is taken, or left to who is to have it
        let mine = view(
            &[(1, both.0), (2, both.1)],
            &[("a", 1), ("b", 1), ("c", 1), ("d", 1)],
        );
        let orders = mine.orders(1, &all, &[]);
        assert_eq!(orders.take.len() + orders.leave.len(), 4);
        assert_eq!(orders.leave, one.leave);
        // who does not have a target is not waited for
        let other = view(&[(1, both.0), (2, &[])], &[]);
        assert_eq!(other.orders(1, &all, &[]).take, all);
        assert_eq!(other.orders(1, &[], &all).leave, all);
    }
}
