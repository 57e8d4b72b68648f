//! Taking events in: all that wait go into one transaction, which is one statement unless some of them stand in lines.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use deadpool_postgres::Client;
use uuid::Uuid;

use super::Inner;
use super::group::Job;
use super::lines::Lines;
use super::link::{Failed, PATIENCE};
use super::rows::{self, Facts};
use crate::delivery::State;
use crate::id::DeliveryId;
use crate::store::record;
use crate::store::{Admission, Admitted, Claimed, Lease, Novelty, StoreError};

/// A request that waits to be taken in.
pub(super) type Request = Job<Admission, Admitted>;

/// Dedupe keys that count already win over new ones; an event whose key lost is not stored, nor are its deliveries. A lease
/// holds only if the instance owns the target as the database sees it.
const STORE: &str = "WITH k AS MATERIALIZED (SELECT * FROM unnest($3::bytea[], $4::bytea[], $5::uuid[], $6::bigint[]) \
        AS k(key, body, event, expires)), \
    s AS (INSERT INTO ingate.seen AS seen (key, body, event, expires_at) SELECT key, body, event, expires FROM k ORDER BY key \
        ON CONFLICT (key) DO UPDATE SET \
            body = CASE WHEN seen.expires_at <= $1 THEN excluded.body ELSE seen.body END, \
            event = CASE WHEN seen.expires_at <= $1 THEN excluded.event ELSE seen.event END, \
            expires_at = CASE WHEN seen.expires_at <= $1 THEN excluded.expires_at ELSE seen.expires_at END \
        RETURNING key, body, event), \
    lost AS MATERIALIZED (SELECT k.event AS mine, s.event AS theirs, s.body FROM k JOIN s ON s.key = k.key WHERE s.event <> k.event), \
    e AS (INSERT INTO ingate.event (id, source, received_at, facts, message, size, body) \
        SELECT id, source, received, facts::json, message, length(body), body \
        FROM unnest($7::uuid[], $8::text[], $9::bigint[], $10::text[], $11::bigint[], $12::bytea[]) \
            AS n(id, source, received, facts, message, body) \
        WHERE id NOT IN (SELECT mine FROM lost)), \
    d AS (INSERT INTO ingate.delivery (id, event, route, target, state, at, reason, attempts, started_at, order_key, skip, mark, \
            rank, ready, lease, holder) \
        SELECT id, event, route, target, state, at, reason, attempts, started, key, skip, mark::json, \
            CASE WHEN key IS NOT NULL THEN nextval('ingate.rank') END, key IS NULL, l.lease, CASE WHEN l.lease IS NOT NULL THEN $2::bigint END \
        FROM (SELECT * FROM unnest($13::uuid[], $14::uuid[], $15::text[], $16::text[], $17::smallint[], $18::bigint[], $19::smallint[], \
                $20::integer[], $21::bigint[], $22::bytea[], $23::boolean[], $24::text[], $25::bigint[]) WITH ORDINALITY \
            AS n(id, event, route, target, state, at, reason, attempts, started, key, skip, mark, lease, place) ORDER BY place) n, \
            LATERAL (SELECT CASE WHEN n.lease IS NOT NULL AND EXISTS (SELECT FROM ingate.owner o \
                WHERE o.task = 'target:' || n.target AND o.instance = $2::bigint) THEN n.lease END AS lease) l \
        WHERE event NOT IN (SELECT mine FROM lost) RETURNING id, lease) \
    SELECT ARRAY(SELECT mine FROM lost ORDER BY mine), ARRAY(SELECT theirs FROM lost ORDER BY mine), \
        ARRAY(SELECT body FROM lost ORDER BY mine), ARRAY(SELECT id FROM d WHERE lease IS NOT NULL)";

/// What came of a group.
struct Stored {
    /// Events that were there already: the new one's id, the old one's and the hash of its body.
    lost: HashMap<Uuid, (Uuid, Vec<u8>)>,
    /// Deliveries that are leased.
    leased: HashSet<Uuid>,
}

impl Inner {
    /// Takes a group in, and tells each what came of it.
    pub(super) async fn admit_group(self: Arc<Self>, group: Vec<Request>) {
        let (first, twins) = apart(group);
        let leases = self.lanes.lend(&self.me, first.iter().map(|job| &job.what));
        let stored = match Columns::new(&first, &leases) {
            Ok(columns) => self.store(&columns).await,
            Err(error) => Err(error),
        };
        match stored {
            Ok(stored) => {
                self.hand_over(&first, &leases, &stored);
                let mut answers = HashMap::new();
                for job in first {
                    let admitted = admitted(&job.what, &stored);
                    if let Some(key) = job.what.dedupe {
                        answers.insert(key.key, (admitted.event, key.body));
                    }
                    job.answer(Ok(admitted));
                }
                for twin in twins {
                    let known = twin.what.dedupe.and_then(|key| {
                        let (event, body) = answers.get(&key.key)?;
                        let novelty = novelty(*body == key.body);
                        let event = *event;
                        Some(Admitted { event, novelty })
                    });
                    let failed = || StoreError::Unavailable("its twin was not stored".to_owned());
                    twin.answer(known.ok_or_else(failed));
                }
            }
            Err(error) => {
                self.lanes
                    .take_back(first.iter().map(|job| &job.what), &leases);
                for job in first.into_iter().chain(twins) {
                    job.answer(Err(error.clone()));
                }
            }
        }
    }

    async fn store(&self, columns: &Columns<'_>) -> Result<Stored, StoreError> {
        let (now, me) = (record::millis(self.clock.now()), self.me.id());
        let lent = self.link.lend().await?;
        let client: &Client = &lent;
        if columns.lines.is_empty() {
            let insert = || columns.insert(client, now, me);
            return lent.persist(PATIENCE, insert).await;
        }
        lent.transaction(|| async {
            columns.lines.lock(client).await?;
            let stored = columns.insert(client, now, me).await?;
            columns.lines.arrange(client).await?;
            Ok(stored)
        })
        .await
    }

    /// Puts what is leased where the lanes take it from, and wakes those that have something to look for.
    fn hand_over(&self, group: &[Request], leases: &HashMap<DeliveryId, i64>, stored: &Stored) {
        for job in group {
            let Admission {
                event, deliveries, ..
            } = &job.what;
            if stored.lost.contains_key(&rows::uuid(event.id().as_bytes())) {
                for delivery in deliveries {
                    self.lanes.not_lent(delivery, leases);
                }
                continue;
            }
            for delivery in deliveries {
                let leased = leases.get(&delivery.id).filter(|_| {
                    let id = rows::uuid(delivery.id.as_bytes());
                    stored.leased.contains(&id)
                });
                match leased {
                    Some(token) => self.lanes.arrived(Claimed {
                        lease: Lease {
                            delivery: delivery.id,
                            token: token.cast_unsigned(),
                        },
                        delivery: delivery.clone(),
                        event: Arc::clone(event),
                        frozen: None,
                    }),
                    None => {
                        self.lanes.not_lent(delivery, leases);
                        if matches!(delivery.state, State::Pending { .. }) {
                            self.lanes.look(&delivery.target);
                        }
                    }
                }
            }
        }
    }
}

/// The first of each dedupe key, and those that come again within the group.
fn apart(group: Vec<Request>) -> (Vec<Request>, Vec<Request>) {
    let mut keys = HashSet::new();
    group.into_iter().partition(|job| match job.what.dedupe {
        Some(key) => keys.insert(key.key),
        None => true,
    })
}

fn admitted(admission: &Admission, stored: &Stored) -> Admitted {
    let id = admission.event.id();
    match stored.lost.get(&rows::uuid(id.as_bytes())) {
        None => Admitted {
            event: id,
            novelty: Novelty::New,
        },
        Some((theirs, body)) => Admitted {
            event: rows::event_id(*theirs),
            novelty: novelty(admission.dedupe.is_some_and(|key| *body == key.body)),
        },
    }
}

fn novelty(same_body: bool) -> Novelty {
    match same_body {
        true => Novelty::Duplicate,
        false => Novelty::Conflicting,
    }
}

/// A group as columns.
#[derive(Default)]
struct Columns<'a> {
    keys: Vec<&'a [u8]>,
    key_bodies: Vec<&'a [u8]>,
    key_events: Vec<Uuid>,
    key_windows: Vec<i64>,
    events: Vec<Uuid>,
    sources: Vec<&'a str>,
    received: Vec<i64>,
    facts: Vec<String>,
    messages: Vec<Option<i64>>,
    bodies: Vec<&'a [u8]>,
    deliveries: super::deliveries::Columns<'a>,
    lines: Lines,
}

impl<'a> Columns<'a> {
    fn new(group: &'a [Request], leases: &HashMap<DeliveryId, i64>) -> Result<Self, StoreError> {
        let mut to = Self::default();
        for job in group {
            let Admission {
                event,
                deliveries,
                dedupe,
                receipt,
            } = &job.what;
            let parts = event.parts();
            if let Some(key) = dedupe {
                to.keys.push(&key.key);
                to.key_bodies.push(&key.body);
                to.key_events.push(rows::uuid(parts.id.as_bytes()));
                to.key_windows.push(record::span(key.window));
            }
            to.events.push(rows::uuid(parts.id.as_bytes()));
            to.sources.push(parts.source.as_str());
            to.received.push(record::millis(parts.received_at));
            to.facts
                .push(rows::json(&Facts::new(parts, receipt.as_ref()))?);
            to.messages
                .push(parts.message_id.as_deref().map(rows::message_hash));
            to.bodies.push(&parts.body);
            for delivery in deliveries {
                let lease = leases.get(&delivery.id).copied();
                to.deliveries.add(delivery, lease, &mut to.lines)?;
            }
        }
        Ok(to)
    }

    async fn insert(&self, client: &Client, now: i64, me: i64) -> Result<Stored, Failed> {
        let until = |window: &i64| now.saturating_add(*window);
        let expires: Vec<i64> = self.key_windows.iter().map(until).collect();
        let it = &self.deliveries;
        let statement = client.prepare_cached(STORE).await?;
        let row = client
            .query_one(
                &statement,
                &[
                    &now,
                    &me,
                    &self.keys,
                    &self.key_bodies,
                    &self.key_events,
                    &expires,
                    &self.events,
                    &self.sources,
                    &self.received,
                    &self.facts,
                    &self.messages,
                    &self.bodies,
                    &it.ids,
                    &it.events,
                    &it.routes,
                    &it.targets,
                    &it.states,
                    &it.at,
                    &it.reasons,
                    &it.attempts,
                    &it.started,
                    &it.keys,
                    &it.skips,
                    &it.marks,
                    &it.leases,
                ],
            )
            .await?;
        let (mine, theirs): (Vec<Uuid>, Vec<Uuid>) = (row.try_get(0)?, row.try_get(1)?);
        let bodies: Vec<Vec<u8>> = row.try_get(2)?;
        let leased: Vec<Uuid> = row.try_get(3)?;
        let lost = mine.into_iter().zip(theirs.into_iter().zip(bodies));
        Ok(Stored {
            lost: lost.collect(),
            leased: leased.into_iter().collect(),
        })
    }
}
