//! The handlers, one an endpoint, by subject, and what several of them need. Each is a row of the table in
//! [`super::routes`].

pub(super) mod bodies;
pub(super) mod configuration;
pub(super) mod deliveries;
pub(super) mod events;
pub(super) mod fleet;
pub(super) mod health;
pub(super) mod live;
pub(super) mod overview;
pub(super) mod replays;
pub(super) mod sources;
pub(super) mod targets;
pub(super) mod templates;

use std::collections::BTreeMap;

use http::{Response, StatusCode};
use serde::Serialize;

use super::Door;
use super::answer::json;
use super::shapes::PageShape;
use crate::id::TargetName;
use crate::listener;
use crate::store::{AuditNote, Depth, Found, StoreError};

/// Notes in the store who had what done. It is on disk before the operator hears that it was done.
async fn note<T>(
    door: &Door,
    actor: String,
    action: &str,
    subject: &impl ToString,
    done: &Result<T, StoreError>,
) -> Result<(), StoreError> {
    let detail = done
        .as_ref()
        .err()
        .map_or(String::new(), ToString::to_string);
    audit(
        door,
        actor,
        action,
        subject.to_string(),
        done.is_ok(),
        detail,
    )
    .await
}

/// The same with words of its own.
async fn audit(
    door: &Door,
    actor: String,
    action: &str,
    subject: String,
    ok: bool,
    detail: String,
) -> Result<(), StoreError> {
    let noted = door.admin.store.audit(AuditNote {
        actor,
        action: action.to_owned(),
        subject,
        ok,
        detail,
    });
    match noted.await {
        // What was refused is answered as such even if that cannot be noted.
        Err(error) if ok => Err(error),
        _ => Ok(()),
    }
}

async fn depths(door: &Door) -> Result<BTreeMap<TargetName, Depth>, StoreError> {
    let depths = door.admin.store.depths().await?.into_iter();
    Ok(depths.map(|depth| (depth.target.clone(), depth)).collect())
}

/// A page of what was found.
fn page<Row: Serialize, Id: Serialize>(found: Found<Row, Id>) -> Response<listener::Answer> {
    let page = PageShape {
        items: found.rows,
        next: found.rest,
    };
    json(StatusCode::OK, &page)
}

/// A page of at most `limit` of `rows`, of which there is one more if another page follows.
fn page_of<Row: Serialize, Id: Serialize>(
    mut rows: Vec<Row>,
    limit: usize,
    id: impl Fn(&Row) -> Id,
) -> Response<listener::Answer> {
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(id);
    json(StatusCode::OK, &PageShape { items: rows, next })
}
