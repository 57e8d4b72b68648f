//! Which events and deliveries are looked for, and how far one look goes. Plain data.
//!
//! Promise: all that a filter names must hold; an empty one passes everything. Not here: how they are found (see
//! `find`).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::delivery::{DeadReason, Delivery, LastAttempt, State, StateKind};
use crate::id::{DeliveryId, Digest, EventId, ReplayId, RouteName, SourceName, TargetName};
use crate::pattern::TypeGlob;

/// Which events a listing shows. `route`, `target` and `state` are of deliveries: an event passes if one of its
/// deliveries passes all of them that are given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only this one.
    pub event: Option<EventId>,
    /// Only of this source.
    pub source: Option<SourceName>,
    /// Only of a type that this matches.
    pub event_type: Option<TypeGlob>,
    /// Only with this id of the sender's.
    pub message_id: Option<String>,
    /// Only with a delivery by this route.
    pub route: Option<RouteName>,
    /// Only with a delivery to this target.
    pub target: Option<TargetName>,
    /// Only with a delivery of this state.
    pub state: Option<StateKind>,
    /// Only those without any delivery (true), or with one (false).
    pub unmatched: Option<bool>,
    /// Only those whose id was made at this time or later, to the millisecond.
    pub since: Option<Timestamp>,
    /// Only those whose id was made before this time.
    pub until: Option<Timestamp>,
}

/// Which deliveries a listing shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// Only of one of these states; empty for any.
    pub states: BTreeSet<StateKind>,
    /// Only to this target.
    pub target: Option<TargetName>,
    /// Only by this route.
    pub route: Option<RouteName>,
    /// Only dead ones of this reason.
    pub reason: Option<DeadReason>,
    /// Only of this event.
    pub event: Option<EventId>,
    /// Only of events of this source.
    pub source: Option<SourceName>,
    /// Only of events of a type that this matches.
    pub event_type: Option<TypeGlob>,
    /// Only of events with this id of the sender's.
    pub message_id: Option<String>,
    /// Only those that this replay took up last.
    pub replay: Option<ReplayId>,
    /// Routes with the hash of the template that they have now: only those that died rendering, by one of these routes,
    /// and whose last attempt was by another template or by one that is not known.
    pub stale: Option<BTreeMap<RouteName, Digest>>,
    /// Only those whose id was made at this time or later, to the millisecond.
    pub since: Option<Timestamp>,
    /// Only those whose id was made before this time.
    pub until: Option<Timestamp>,
}

impl EventFilter {
    /// Whether an event passes, as far as it alone tells.
    #[must_use]
    pub fn takes(
        &self,
        source: &SourceName,
        event_type: &str,
        message_id: Option<&str>,
        deliveries: usize,
    ) -> bool {
        takes_event(
            (&self.source, &self.event_type, &self.message_id),
            (source, event_type, message_id),
        ) && self
            .unmatched
            .is_none_or(|wanted| wanted == (deliveries == 0))
    }

    /// Whether it asks for a delivery.
    #[must_use]
    pub fn asks_for_delivery(&self) -> bool {
        self.route.is_some() || self.target.is_some() || self.state.is_some()
    }

    /// Whether a delivery is one that it asks for.
    #[must_use]
    pub fn takes_delivery(&self, delivery: &Delivery) -> bool {
        is(&self.route, &delivery.route)
            && is(&self.target, &delivery.target)
            && is(&self.state, &delivery.state.kind())
    }
}

impl DeliveryFilter {
    /// Whether a delivery passes, as far as it alone tells; `template` is that of its last attempt.
    #[must_use]
    pub fn takes(&self, delivery: &Delivery, template: Option<[u8; 8]>) -> bool {
        let reason = match delivery.state {
            State::Dead { reason, .. } => Some(reason),
            _ => None,
        };
        (self.states.is_empty() || self.states.contains(&delivery.state.kind()))
            && is(&self.target, &delivery.target)
            && is(&self.route, &delivery.route)
            && is(&self.event, &delivery.event)
            && self.reason.is_none_or(|wanted| reason == Some(wanted))
            && self
                .replay
                .is_none_or(|wanted| delivery.mark.and_then(|mark| mark.job) == Some(wanted))
            && self.stale.as_ref().is_none_or(|routes| {
                let now = routes.get(&delivery.route).map(Digest::short);
                reason == Some(DeadReason::Render) && now.is_some() && now != template
            })
    }

    /// Whether its event says whether a delivery passes.
    #[must_use]
    pub fn asks_for_event(&self) -> bool {
        self.source.is_some() || self.event_type.is_some() || self.message_id.is_some()
    }

    /// Whether deliveries of an event pass, as far as that tells.
    #[must_use]
    pub fn takes_event(
        &self,
        source: &SourceName,
        event_type: &str,
        message_id: Option<&str>,
    ) -> bool {
        takes_event(
            (&self.source, &self.event_type, &self.message_id),
            (source, event_type, message_id),
        )
    }

    /// All of one state.
    #[must_use]
    pub fn of_state(state: StateKind) -> Self {
        Self {
            states: BTreeSet::from([state]),
            ..Self::default()
        }
    }
}

type WantedOfEvent<'a> = (
    &'a Option<SourceName>,
    &'a Option<TypeGlob>,
    &'a Option<String>,
);

fn takes_event(
    (source, event_type, message_id): WantedOfEvent<'_>,
    found: (&SourceName, &str, Option<&str>),
) -> bool {
    is(source, found.0)
        && event_type.as_ref().is_none_or(|it| it.matches(found.1))
        && message_id.as_deref().is_none_or(|it| found.2 == Some(it))
}

/// Whether it is what is wanted, if anything is.
pub(super) fn is<T: PartialEq>(wanted: &Option<T>, found: &T) -> bool {
    wanted.as_ref().is_none_or(|wanted| wanted == found)
}

/// How far one look goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window<Id> {
    /// Only rows behind this one, in the order of the listing; [`Found::rest`] of the look before.
    pub past: Option<Id>,
    /// Most rows that are given.
    pub limit: usize,
    /// Most rows that are looked at, those that do not pass included; at least one is.
    pub budget: usize,
}

impl<Id> Window<Id> {
    /// The first `limit` rows, however many have to be looked at for them.
    #[must_use]
    pub fn first(limit: usize) -> Self {
        Self {
            past: None,
            limit,
            budget: usize::MAX,
        }
    }
}

/// What one look has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<Row, Id> {
    /// What passes the filter, in the order of the listing. May be fewer than were asked for, even none, though more follow.
    pub rows: Vec<Row>,
    /// The row that was looked at last: from behind it on the rest is found. `None` if there is none, as far as is known.
    pub rest: Option<Id>,
}

/// A delivery as listings show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedDelivery {
    /// The delivery.
    pub delivery: Delivery,
    /// The source of its event.
    pub source: SourceName,
    /// The type of its event.
    pub event_type: String,
    /// Its last attempt; `None` if none was made, or it is not known any more.
    pub last: Option<LastAttempt>,
    /// Whether its target has ever answered 2xx to it. Rendered anew it needs another id then
    /// ([`Delivery::again`]).
    pub had_success: bool,
}

impl<Row, Id> Found<Row, Id> {
    /// The same rows as something else.
    #[must_use]
    pub fn map<Other>(self, other: impl FnMut(Row) -> Other) -> Found<Other, Id> {
        Found {
            rows: self.rows.into_iter().map(other).collect(),
            rest: self.rest,
        }
    }
}

impl Found<ListedDelivery, DeliveryId> {
    /// The deliveries without what is listed with them.
    #[must_use]
    pub fn deliveries(self) -> Vec<Delivery> {
        self.rows.into_iter().map(|row| row.delivery).collect()
    }
}
