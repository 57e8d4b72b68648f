//! What came of attempts: all that wait go into one transaction. It does not wait for the database's disk; what a crash of the database
//! takes back is attempted again, as after a crash of the embedded store.

use std::collections::HashSet;
use std::sync::Arc;

use deadpool_postgres::Client;
use uuid::Uuid;

use super::Inner;
use super::claims::was_recorded;
use super::group::Job;
use super::lines::Lines;
use super::link::{Failed, PATIENCE};
use super::rows;
use crate::delivery::Next;
use crate::id::TargetName;
use crate::order::OrderKey;
use crate::store::record::{self, StoredAttempt};
use crate::store::{Lease, Settled, Settlement, StoreError, rules};

/// An attempt that waits to be recorded.
pub(super) type Report = Job<Reported, Settled>;

/// An attempt, and the line that its delivery stands in.
pub(super) struct Reported {
    pub(super) lease: Lease,
    pub(super) settlement: Settlement,
    pub(super) line: Option<(TargetName, OrderKey)>,
}

/// Whose lease is gone is passed over; whoever waits for it is fenced. Losing the last moments of this costs a repeated attempt, so nobody
/// waits for the disk: the setting counts for the transaction of the statement, which looks at it when it commits.
const RECORD: &str = "WITH u AS (UPDATE ingate.delivery d SET state = n.state, at = n.at, reason = n.reason, attempts = d.attempts + 1, \
        seq = d.seq + 1, lease = NULL, holder = NULL, ready = d.order_key IS NULL OR n.state = 0, \
        frozen = CASE WHEN n.state = 1 THEN NULL ELSE COALESCE(d.frozen, n.frozen) END, \
        last_started = n.started, last_took = n.took, last_code = n.code, last_template = n.template, \
        had_success = d.had_success OR n.state = 1 OR n.code BETWEEN 200 AND 299 \
    FROM unnest($1::uuid[], $2::bigint[], $3::smallint[], $4::bigint[], $5::smallint[], $6::bigint[], $7::bigint[], $8::integer[], \
            $9::bytea[], $10::integer[], $11::text[], $12::text[], $13::bytea[]) \
        AS n(id, lease, state, at, reason, started, took, code, template, number, outcome, sent, frozen) \
    WHERE d.id = n.id AND d.lease = n.lease \
    RETURNING d.id, d.event, d.seq, n.lease, n.number, n.started, n.took, n.outcome, n.sent), \
    a AS (INSERT INTO ingate.attempt (event, delivery, seq, lease, number, started_at, took, outcome, sent) \
        SELECT event, id, seq, lease, number, started, took, outcome::json, sent::json FROM u) \
    SELECT id, lease FROM u, (SELECT set_config('synchronous_commit', 'off', true)) AS not_waiting";

impl Inner {
    /// Records a group, and tells each whether it counted.
    pub(super) async fn settle_group(self: Arc<Self>, group: Vec<Report>) {
        let recorded = match Columns::new(&group, self.now()) {
            Ok(columns) => self.record(&columns).await,
            Err(error) => Err(error),
        };
        match recorded {
            Ok(recorded) => {
                for job in group {
                    let settled = match recorded.contains(&job.what.lease) {
                        true => Settled::Recorded,
                        false => Settled::Fenced,
                    };
                    self.settled(&job.what);
                    job.answer(Ok(settled));
                }
            }
            Err(error) => {
                for job in group {
                    job.answer(Err(error.clone()));
                }
            }
        }
    }

    async fn record(&self, columns: &Columns) -> Result<HashSet<Lease>, StoreError> {
        let lent = self.link.lend().await?;
        let record = || columns.record(&lent);
        match columns.lines.is_empty() {
            true => lent.persist(PATIENCE, record).await,
            false => lent.transaction(record).await,
        }
    }

    /// Takes note of it in memory: the lease is gone, and what follows may be due.
    fn settled(&self, reported: &Reported) {
        let Some(target) = self.ended(reported.lease) else {
            return;
        };
        match reported.settlement.next {
            _ if reported.line.is_some() => self.lanes.look(&target),
            Next::RetryAt(due) if due <= self.clock.now() => self.lanes.look(&target),
            Next::RetryAt(due) => self.lanes.due(&target, due),
            Next::Done | Next::Bury(_) => {}
        }
    }
}

/// A group as columns.
#[derive(Default)]
struct Columns {
    leases: Vec<Lease>,
    ids: Vec<Uuid>,
    tokens: Vec<i64>,
    states: Vec<i16>,
    at: Vec<i64>,
    reasons: Vec<Option<i16>>,
    started: Vec<i64>,
    took: Vec<i64>,
    codes: Vec<i32>,
    templates: Vec<Option<Vec<u8>>>,
    numbers: Vec<i32>,
    outcomes: Vec<String>,
    sent: Vec<Option<String>>,
    frozen: Vec<Option<Vec<u8>>>,
    lines: Lines,
}

impl Columns {
    fn new(group: &[Report], now: i64) -> Result<Self, StoreError> {
        let mut to = Self::default();
        for job in group {
            let Reported {
                lease,
                settlement,
                line,
            } = &job.what;
            let next = rules::after(settlement.next, now, 0);
            let (state, at, reason) = rows::state_columns(&next.into());
            let attempt = StoredAttempt::from(&settlement.attempt);
            let (outcome, sent) = rows::attempt_columns(&attempt)?;
            let template = attempt.sent.as_ref().and_then(|sent| sent.template);
            to.leases.push(*lease);
            to.ids.push(rows::uuid(lease.delivery.as_bytes()));
            to.tokens.push(lease.token.cast_signed());
            to.states.push(state);
            to.at.push(at);
            to.reasons.push(reason);
            to.started.push(attempt.started_at);
            to.took
                .push(i64::try_from(attempt.took).unwrap_or(i64::MAX));
            to.codes.push(record::result_code(&attempt.outcome).into());
            to.templates
                .push(template.and_then(|hash| hash.first_chunk::<8>().map(|it| it.to_vec())));
            to.numbers
                .push(i32::try_from(attempt.number).unwrap_or(i32::MAX));
            to.outcomes.push(outcome);
            to.sent.push(sent);
            let frozen = settlement.frozen.as_ref().map(|body| body.to_vec());
            to.frozen.push(frozen);
            if let Some((target, key)) = line {
                to.lines.add(target.as_str(), key.as_bytes());
            }
        }
        Ok(to)
    }

    async fn record(&self, client: &Client) -> Result<HashSet<Lease>, Failed> {
        self.lines.lock(client).await?;
        let statement = client.prepare_cached(RECORD).await?;
        let rows = client
            .query(
                &statement,
                &[
                    &self.ids,
                    &self.tokens,
                    &self.states,
                    &self.at,
                    &self.reasons,
                    &self.started,
                    &self.took,
                    &self.codes,
                    &self.templates,
                    &self.numbers,
                    &self.outcomes,
                    &self.sent,
                    &self.frozen,
                ],
            )
            .await?;
        let mut recorded = HashSet::new();
        for row in &rows {
            let token: i64 = rows::get(row, "lease")?;
            recorded.insert(Lease {
                delivery: rows::delivery_id(rows::get(row, "id")?),
                token: token.cast_unsigned(),
            });
        }
        // One whose answer was lost on the way comes again, and counted the first time.
        for lease in &self.leases {
            if !recorded.contains(lease) && was_recorded(client, *lease).await? {
                recorded.insert(*lease);
            }
        }
        self.lines.arrange(client).await?;
        Ok(recorded)
    }
}
