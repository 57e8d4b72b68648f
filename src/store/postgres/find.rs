//! Looking for events and deliveries, newest or oldest first. The database narrows down by what it has an index for; the
//! rest of a filter is looked at here, a bounded number of rows at a time.

use std::collections::HashMap;

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::Inner;
use super::claims::columns;
use super::rows;
use crate::delivery::StateKind;
use crate::id::{DeliveryId, EventId};
use crate::store::record;
use crate::store::{
    DeliveryFilter, EventFilter, EventRow, Found, ListedDelivery, StoreError, Window,
};

/// Rows that one look at the database gives, at most.
const CHUNK: usize = 500;

/// In which order a look goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Newest first.
    Down,
    /// Oldest first.
    Up,
}

/// The conditions of a look, and the values that they name.
#[derive(Default)]
struct Conditions {
    text: Vec<String>,
    values: Vec<Box<dyn ToSql + Sync + Send>>,
}

impl Conditions {
    /// A condition with a value, for which `?` stands.
    fn with(&mut self, text: &str, value: impl ToSql + Sync + Send + 'static) {
        let place = self.value(value);
        self.text.push(text.replace('?', &place));
    }

    /// A value alone; gives what stands for it.
    fn value(&mut self, value: impl ToSql + Sync + Send + 'static) -> String {
        self.values.push(Box::new(value));
        format!("${}", self.values.len())
    }

    /// Only what is behind this, in the order of the look.
    fn past(&mut self, column: &str, past: Option<Uuid>, way: Way) {
        let than = match way {
            Way::Down => '<',
            Way::Up => '>',
        };
        if let Some(past) = past {
            self.with(&format!("{column} {than} ?"), past);
        }
    }

    /// Only from the one on, and below the other.
    fn between(&mut self, column: &str, from: Option<Uuid>, below: Option<Uuid>) {
        if let Some(from) = from {
            self.with(&format!("{column} >= ?"), from);
        }
        if let Some(below) = below {
            self.with(&format!("{column} < ?"), below);
        }
    }

    fn plain(&mut self, text: &str) {
        self.text.push(text.to_owned());
    }

    fn text(&self) -> String {
        match self.text.is_empty() {
            true => "true".to_owned(),
            false => self.text.join(" AND "),
        }
    }

    fn values(&self) -> Vec<&(dyn ToSql + Sync)> {
        let values = self.values.iter();
        values
            .map(|value| &**value as &(dyn ToSql + Sync))
            .collect()
    }
}

/// A look from chunk to chunk: what passes, and where it stands.
struct Walk<Passed> {
    rows: Vec<Passed>,
    /// The row that was looked at last, until all have been.
    rest: Option<Uuid>,
    limit: usize,
    budget: usize,
    ended: bool,
}

impl<Passed> Walk<Passed> {
    fn new<Id>(window: &Window<Id>, past: Option<Uuid>) -> Self {
        Self {
            rows: Vec::new(),
            rest: past,
            limit: window.limit,
            budget: window.budget.max(1),
            ended: false,
        }
    }

    /// How many rows the next chunk has; `None` if the look is over.
    fn chunk(&self) -> Option<usize> {
        let over = self.ended || self.budget == 0 || self.rows.len() >= self.limit;
        (!over).then(|| self.budget.min(CHUNK))
    }

    /// Looks at what was found of a chunk of this size, until there is enough.
    fn over(
        &mut self,
        found: &[Row],
        size: usize,
        mut passes: impl FnMut(Uuid, &Row) -> Result<Option<Passed>, StoreError>,
    ) -> Result<(), StoreError> {
        let mut left = found.iter();
        while self.rows.len() < self.limit
            && let Some(row) = left.next()
        {
            let id = rows::get(row, "id")?;
            self.rows.extend(passes(id, row)?);
            self.rest = Some(id);
            self.budget = self.budget.saturating_sub(1);
        }
        if found.len() < size && left.next().is_none() {
            (self.ended, self.rest) = (true, None);
        }
        Ok(())
    }
}

impl Inner {
    pub(super) async fn find_deliveries(
        &self,
        filter: &DeliveryFilter,
        window: Window<DeliveryId>,
        way: Way,
    ) -> Result<Found<ListedDelivery, DeliveryId>, StoreError> {
        let mut walk = Walk::new(&window, window.past.map(|id| rows::uuid(id.as_bytes())));
        while let Some(size) = walk.chunk() {
            let found = self.deliveries_chunk(filter, walk.rest, size, way).await?;
            walk.over(&found, size, |_, row| passes(filter, row))?;
        }
        Ok(Found {
            rows: walk.rows,
            rest: walk.rest.map(rows::delivery_id),
        })
    }

    async fn deliveries_chunk(
        &self,
        filter: &DeliveryFilter,
        past: Option<Uuid>,
        size: usize,
        way: Way,
    ) -> Result<Vec<Row>, StoreError> {
        let mut only = Conditions::default();
        let first = |time| rows::uuid(DeliveryId::first_at(time).as_bytes());
        only.past("d.id", past, way);
        only.between("d.id", filter.since.map(first), filter.until.map(first));
        if let Some(event) = filter.event {
            only.with("d.event = ?", rows::uuid(event.as_bytes()));
        }
        let mut states = filter.states.iter();
        if let (Some(state), None) = (states.next(), states.next())
            && matches!(state, StateKind::Pending | StateKind::Dead)
        {
            // as the indexes say it
            only.plain(&format!("d.state = {}", rows::state_code(*state)));
            if let Some(target) = &filter.target {
                only.with("d.target = ?", target.as_str().to_owned());
            }
            if let (Some(reason), StateKind::Dead) = (filter.reason, state) {
                only.with("d.reason = ?", i16::from(record::reason_code(reason)));
            }
        }
        let (order, size) = (
            order(way),
            only.value(i64::try_from(size).unwrap_or(i64::MAX)),
        );
        let text = format!(
            "SELECT {{DELIVERY}}, {{EVENT}} FROM (SELECT * FROM ingate.delivery d WHERE {} ORDER BY d.id {order} LIMIT {size}) d \
             JOIN ingate.event e ON e.id = d.event ORDER BY d.id {order}",
            only.text()
        );
        self.rows(&columns(&text), &only.values()).await
    }

    pub(super) async fn find_events(
        &self,
        filter: &EventFilter,
        window: Window<EventId>,
        way: Way,
    ) -> Result<Found<EventRow, EventId>, StoreError> {
        let mut walk = Walk::new(&window, window.past.map(|id| rows::uuid(id.as_bytes())));
        while let Some(size) = walk.chunk() {
            let found = self.events_chunk(filter, walk.rest, size, way).await?;
            let deliveries = self.deliveries_of(&found).await?;
            walk.over(&found, size, |id, row| {
                let of_it = deliveries.get(&id).map_or(&[][..], Vec::as_slice);
                event_passes(filter, row, of_it)
            })?;
        }
        Ok(Found {
            rows: walk.rows,
            rest: walk.rest.map(rows::event_id),
        })
    }

    async fn events_chunk(
        &self,
        filter: &EventFilter,
        past: Option<Uuid>,
        size: usize,
        way: Way,
    ) -> Result<Vec<Row>, StoreError> {
        let mut only = Conditions::default();
        let first = |time| rows::uuid(EventId::first_at(time).as_bytes());
        only.past("e.id", past, way);
        only.between("e.id", filter.since.map(first), filter.until.map(first));
        if let Some(event) = filter.event {
            only.with("e.id = ?", rows::uuid(event.as_bytes()));
        }
        if let Some(id) = &filter.message_id {
            only.with("e.message = ?", rows::message_hash(id));
        }
        let (order, size) = (
            order(way),
            only.value(i64::try_from(size).unwrap_or(i64::MAX)),
        );
        let text = format!(
            "SELECT e.id, {{EVENT}} FROM ingate.event e WHERE {} ORDER BY e.id {order} LIMIT {size}",
            only.text()
        );
        self.rows(&columns(&text), &only.values()).await
    }

    /// The deliveries of these events, in the order of their ids.
    async fn deliveries_of(&self, events: &[Row]) -> Result<HashMap<Uuid, Vec<Row>>, StoreError> {
        let ids = events.iter().map(|row| rows::get(row, "id"));
        let ids: Vec<Uuid> = ids.collect::<Result<_, _>>()?;
        let statement =
            "SELECT {DELIVERY} FROM ingate.delivery d WHERE d.event = ANY($1) ORDER BY d.id";
        let mut all: HashMap<Uuid, Vec<Row>> = HashMap::new();
        for row in self.rows(&columns(statement), &[&ids]).await? {
            all.entry(rows::get(&row, "event")?).or_default().push(row);
        }
        Ok(all)
    }
}

fn order(way: Way) -> &'static str {
    match way {
        Way::Down => "DESC",
        Way::Up => "ASC",
    }
}

fn passes(filter: &DeliveryFilter, row: &Row) -> Result<Option<ListedDelivery>, StoreError> {
    let listed = rows::listed(row)?;
    let passes = filter.takes(&listed.delivery, rows::last_template(row)?) && {
        let facts = rows::facts(row)?;
        let message_id = facts.message_id.as_deref();
        filter.takes_event(&listed.source, &facts.event_type, message_id)
    };
    Ok(passes.then_some(listed))
}

fn event_passes(
    filter: &EventFilter,
    row: &Row,
    deliveries: &[Row],
) -> Result<Option<EventRow>, StoreError> {
    let mut asked = !filter.asks_for_delivery();
    let mut ids = Vec::with_capacity(deliveries.len());
    for row in deliveries {
        let delivery = rows::delivery(row)?;
        asked |= filter.takes_delivery(&delivery);
        ids.push(delivery.id);
    }
    let event = rows::event_row(row, ids)?;
    let message_id = event.message_id.as_deref();
    let count = event.deliveries.len();
    let takes = filter.takes(&event.source, &event.event_type, message_id, count);
    Ok((asked && takes).then_some(event))
}
