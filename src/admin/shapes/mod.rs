//! What the API's answers look like, by subject. Times are RFC 3339 in UTC, durations are numbers of seconds, ids
//! are UUIDs, states and reasons are in snake case. Each is a schema of the document.

mod deliveries;
mod events;
mod fleet;
mod live;
mod overview;
mod replays;
mod routes;
mod routing;
mod sources;
mod targets;
mod templates;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

pub(super) use self::deliveries::{
    DeadGroupShape, DeliveryBodyShape, DeliveryShape, DeliveryWithAttempts,
};
pub(super) use self::events::{EventRetriedShape, EventRowShape, EventShape, PurgedShape};
pub(super) use self::fleet::{FleetCountShape, FleetShape, InstanceShape, OwnerShape};
pub(super) use self::live::{AttemptRowShape, InShape, LostShape, OutShape, SeriesShape};
pub(super) use self::overview::{OverviewShape, PlanShape};
pub(super) use self::replays::{
    EventRetryShape, ReplayPreviewShape, ReplayRequestShape, ReplayShape,
};
pub(super) use self::routes::RouteShape;
pub(super) use self::routing::RoutingShape;
pub(super) use self::sources::{ArmShape, FailedShape, SourceShape};
pub(super) use self::targets::{ProbeShape, TargetShape, TargetState};
pub(super) use self::templates::{
    CompleteRequest, HeaderRequest, RenderRequest, SampleRef, SampleRequest, SampleRowShape,
    SampleShape, TemplateRequest, TemplateSavedShape,
};
use crate::id::AuditId;
use crate::store::AuditEntry;

/// A time, as RFC 3339 in UTC.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time(pub(super) Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

/// A page of a listing, newest first.
#[derive(Debug, Serialize)]
pub(super) struct PageShape<Item, Id> {
    /// The rows.
    pub(super) items: Vec<Item>,
    /// What to pass as `before` for the next page; null if this is the last one.
    pub(super) next: Option<Id>,
}

impl<Item> PageShape<Item, ()> {
    /// All there is, on one page.
    pub(super) fn whole(items: Vec<Item>) -> Self {
        Self { items, next: None }
    }
}

/// What somebody changed.
#[derive(Debug, Serialize)]
pub(super) struct AuditShape {
    /// Its id.
    pub(super) id: AuditId,
    /// When.
    at: Time,
    /// Who.
    actor: String,
    /// What was done.
    action: String,
    /// To what.
    subject: String,
    /// Whether it was done; otherwise it was refused or failed.
    ok: bool,
    /// What came of it, in words.
    detail: String,
}

impl From<AuditEntry> for AuditShape {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry { id, at, note } = entry;
        Self {
            id,
            at: Time(at),
            actor: note.actor,
            action: note.action,
            subject: note.subject,
            ok: note.ok,
            detail: note.detail,
        }
    }
}

/// Whether the daemon takes events.
#[derive(Debug, Serialize)]
pub(super) struct ReadyShape {
    /// Whether it does.
    pub(super) ready: bool,
    /// Why it does not; empty if it does.
    pub(super) reasons: Vec<String>,
}

/// That the daemon is alive.
#[derive(Debug, Serialize)]
pub(super) struct LiveShape {
    /// Always true.
    pub(super) live: bool,
}

/// An error.
#[derive(Debug, Serialize)]
pub(super) struct ErrorShape<'a> {
    /// The error.
    pub(super) error: ErrorBody<'a>,
}

/// What an error says.
#[derive(Debug, Serialize)]
pub(super) struct ErrorBody<'a> {
    /// A closed list, for programs.
    pub(super) code: &'a str,
    /// For people.
    pub(super) message: &'a str,
}
