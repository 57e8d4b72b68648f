//! Replays: said what they would be, begun, looked at, ended.

use std::sync::Arc;

use http::header::LOCATION;
use http::{HeaderValue, StatusCode};

use super::{audit, page_of};
use crate::admin::Door;
use crate::admin::answer::{Answer, Code, Refusal, json};
use crate::admin::query;
use crate::admin::routes::Call;
use crate::admin::shapes::{ReplayPreviewShape, ReplayRequestShape, ReplayShape};
use crate::id::ReplayId;
use crate::replay::{ReplayError, Wanted};
use crate::units::parse_rate;

/// `GET /api/v1/replays?limit=&before=`: newest first.
pub(in crate::admin) async fn replays(door: Arc<Door>, call: Call) -> Answer {
    let asked = query::replays(&call.query)?;
    let replays = &door.admin.replays;
    let rows = replays.list(asked.before, asked.limit + 1).await?;
    let rows = rows.into_iter().map(ReplayShape::from).collect();
    Ok(page_of(rows, asked.limit, |row: &ReplayShape| row.id))
}

/// `POST /api/v1/replays`: begins one, or says what it would be.
pub(in crate::admin) async fn start(door: Arc<Door>, call: Call) -> Answer {
    query::nothing(&call.query)?;
    let asked: ReplayRequestShape = call.json()?;
    let rate = match &asked.rate {
        None => None,
        Some(text) => {
            let rate = parse_rate(text);
            Some(rate.map_err(|error| Refusal::bad_body(format!("`rate`: {error}")))?)
        }
    };
    let wanted = Wanted {
        mode: asked.mode,
        filter: asked.filter,
        rate,
    };
    let replays = &door.admin.replays;
    if asked.dry_run {
        let preview = replays.preview(wanted).await?;
        let shape = ReplayPreviewShape::new(preview, &door.admin.plan.get());
        return Ok(json(StatusCode::OK, &shape));
    }
    let filter = serde_json::to_string(&wanted.filter).unwrap_or_default();
    let mode = wanted.mode.as_str();
    let started = replays.start(wanted, &call.actor).await;
    let subject = match &started {
        Ok(replay) => replay.id.to_string(),
        Err(_) => String::new(),
    };
    let detail = match &started {
        Ok(_) => format!("{mode} {filter}"),
        Err(error) => format!("{mode} {filter}: {error}"),
    };
    let ok = started.is_ok();
    audit(&door, call.actor, "replay", subject, ok, detail).await?;
    let started = started?;
    let location = HeaderValue::from_str(&format!("/api/v1/replays/{}", started.id));
    let mut answer = json(StatusCode::CREATED, &ReplayShape::from(started));
    if let Ok(location) = location {
        answer.headers_mut().insert(LOCATION, location);
    }
    Ok(answer)
}

/// `GET /api/v1/replays/{id}`: how far it is.
pub(in crate::admin) async fn replay(door: Arc<Door>, call: Call) -> Answer {
    query::nothing(&call.query)?;
    let id = replay_id(&call)?;
    let replay = door
        .admin
        .replays
        .get(id)
        .await
        .map_err(ReplayError::from)?;
    Ok(json(StatusCode::OK, &ReplayShape::from(replay)))
}

/// `POST /api/v1/replays/{id}/cancel`: ends it; what it has taken up stays pending.
pub(in crate::admin) async fn cancel(door: Arc<Door>, call: Call) -> Answer {
    query::nothing(&call.query)?;
    let id = replay_id(&call)?;
    let ended = door.admin.replays.cancel(id).await;
    let detail = ended.as_ref().err().map(ToString::to_string);
    let (ok, detail) = (ended.is_ok(), detail.unwrap_or_default());
    let subject = id.to_string();
    audit(&door, call.actor, "replay_cancel", subject, ok, detail).await?;
    Ok(json(StatusCode::OK, &ReplayShape::from(ended?)))
}

fn replay_id(call: &Call) -> Result<ReplayId, Refusal> {
    let id = call.id.parse();
    id.map_err(|_| Refusal::not_found("a replay's id is a UUID"))
}

impl From<ReplayError> for Refusal {
    fn from(error: ReplayError) -> Self {
        use crate::store::StoreError;
        let message = error.to_string();
        match error {
            ReplayError::Busy => Self::new(StatusCode::CONFLICT, Code::Busy, message),
            ReplayError::Filter(_) => Self::bad_body(format!("`filter`: {message}")),
            ReplayError::Ended(_) => Self::new(StatusCode::CONFLICT, Code::WrongState, message),
            ReplayError::Store(StoreError::NotFound) => Self::not_found("there is no such replay"),
            ReplayError::Store(error) => error.into(),
        }
    }
}
