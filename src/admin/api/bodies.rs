//! Bodies: of an event as it came, of a delivery as its target gets it, or got it.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::Value;

use super::deliveries::delivery_id;
use super::events::event_id;
use crate::admin::Door;
use crate::admin::answer::{Answer, Code, Refusal, json, response};
use crate::admin::query;
use crate::admin::routes::Call;
use crate::admin::shapes::DeliveryBodyShape;
use crate::delivery::{Attempt, BodyFrom, State};
use crate::envelope::{self, Data};
use crate::event::{Event, EventParts};
use crate::id::{DeliveryId, Digest, TargetName};
use crate::plan::{CloudEvents, CloudEventsMode, Plan, Route, Target};
use crate::redact::{Echoes, REDACTED, Shown, View};
use crate::store::ListedDelivery;
use crate::studio::Made;

const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// Says that values are left out of a body.
const BODY_REDACTED: HeaderName = HeaderName::from_static("ingate-body-redacted");

/// The label of a body of which values are left out.
const VALUES: &str = "values";

/// `GET /api/v1/events/{id}/body`: byte for byte, or the JSON without what is hidden.
pub(in crate::admin) async fn of_event(door: Arc<Door>, call: Call) -> Answer {
    query::nothing(&call.query)?;
    let event = door.admin.store.event(event_id(&call)?).await?;
    let plan = door.admin.plan.get();
    let bytes = match plan.view(event.parts()).body {
        Shown::Whole => {
            return Ok(response(StatusCode::OK, OCTETS, event.parts().body.clone()));
        }
        Shown::Redacted(value) => Bytes::from(value.to_string()),
        Shown::Hidden(_) => return Err(hidden()),
    };
    let mut answer = response(StatusCode::OK, OCTETS, bytes);
    let values = HeaderValue::from_static(VALUES);
    answer.headers_mut().insert(BODY_REDACTED, values);
    Ok(answer)
}

fn hidden() -> Refusal {
    let words = "all of the body is hidden: by the source's `redact`, or because its source is not in the configuration";
    Refusal::new(StatusCode::FORBIDDEN, Code::Hidden, words)
}

/// `GET /api/v1/deliveries/{id}/body`: the frozen body where one is kept, else made again now.
pub(in crate::admin) async fn of_delivery(door: Arc<Door>, call: Call) -> Answer {
    query::nothing(&call.query)?;
    let id = delivery_id(&call)?;
    let store = &door.admin.store;
    let listed = store.listed(id).await?;
    let event = store.event(listed.delivery.event).await?;
    let attempts = store.attempts(id).await?;
    let plan = door.admin.plan.get();
    let view = plan.view(event.parts());
    if matches!(view.body, Shown::Hidden(_)) {
        return Err(hidden());
    }
    let route = plan.router.get(&listed.delivery.route).cloned();
    let frozen = store.frozen(id).await?;
    let target = plan.targets.get(&listed.delivery.target);
    let envelope = target.and_then(|target| Envelope::of(target, id));
    let renders = route
        .as_ref()
        .map(|route| route.template.is_some() || envelope.is_some());
    let from = from(&listed, frozen.is_some(), attempts.last(), renders);
    let from = from.ok_or_else(|| {
        Refusal::not_found(
            "no body is kept, and what would make it again is not in the configuration: its route, or the template of that",
        )
    })?;
    let mut shape = DeliveryBodyShape {
        delivery: id,
        event: event.id(),
        from,
        exact: None,
        template: plan
            .studio
            .of_route(&listed.delivery.route)
            .map(|file| file.file.clone()),
        template_hash: None,
        content_type: None,
        size_bytes: None,
        body_redacted: None,
        body: None,
        body_base64: None,
        error: None,
    };
    let sent = attempts.last().and_then(|last| last.sent?.body);
    match (from, frozen, route) {
        (BodyFrom::Frozen, Some(body), _) => {
            shape.template_hash = rendered_by(&attempts);
            let content_type = match envelope::is_structured(&body, id) {
                true => envelope::CONTENT_TYPE_TEXT,
                false => "application/json",
            };
            shape.content_type = Some(content_type.to_owned());
            shape.of_bytes(&body, sent);
            let blotted = blotted(&body, &view.echoes)?;
            if view.body != Shown::Whole {
                shape.body_redacted = Some(VALUES);
            }
            shape.body = Some(blotted);
        }
        (BodyFrom::Rendered, _, Some(route)) => {
            let wanted = Wanted {
                route,
                event,
                target: listed.delivery.target.clone(),
                envelope,
            };
            rendered(&door, &mut shape, plan, wanted, sent).await?;
        }
        _ => unchanged(&mut shape, &event, &view, sent),
    }
    Ok(json(StatusCode::OK, &shape))
}

impl DeliveryBodyShape {
    /// Takes note of what is told of a body that is not to be shown.
    fn of_bytes(&mut self, body: &[u8], sent: Option<Digest>) {
        self.size_bytes = Some(body.len());
        self.exact = sent.map(|sent| sent == Digest::of(body));
    }
}

/// Where the body of a delivery comes from; `None` if it is not kept and what made it is gone. `renders` is whether its
/// route, if that is there, makes a body other than the event's.
fn from(
    listed: &ListedDelivery,
    is_frozen: bool,
    last: Option<&Attempt>,
    renders: Option<bool>,
) -> Option<BodyFrom> {
    if is_frozen {
        return Some(BodyFrom::Frozen);
    }
    let is_pending = matches!(listed.delivery.state, State::Pending { .. });
    if is_pending && listed.delivery.attempts > 0 {
        // Without a kept body the event's own bytes were sent, and are again.
        return Some(BodyFrom::Unchanged);
    }
    let last = last.and_then(|last| last.sent?.body_from);
    match (last.filter(|_| !is_pending), renders) {
        (Some(BodyFrom::Unchanged), _) | (None, Some(false)) => Some(BodyFrom::Unchanged),
        (_, Some(true)) => Some(BodyFrom::Rendered),
        (Some(_), Some(false)) | (_, None) => None,
    }
}

/// The template that has made the body that is kept.
fn rendered_by(attempts: &[Attempt]) -> Option<Digest> {
    let sent = attempts.iter().rev().filter_map(|attempt| attempt.sent);
    let mut rendered = sent.filter(|sent| sent.body_from == Some(BodyFrom::Rendered));
    rendered.next()?.template
}

/// The envelope that a target wants.
struct Envelope {
    settings: CloudEvents,
    delivery: DeliveryId,
}

impl Envelope {
    fn of(target: &Target, delivery: DeliveryId) -> Option<Self> {
        let settings = target.cloudevents.clone()?;
        let is_one = settings.mode == CloudEventsMode::Structured;
        is_one.then_some(Self { settings, delivery })
    }

    fn around(&self, parts: &EventParts, data: Data<'_>) -> Bytes {
        envelope::structured(&self.settings, self.delivery, parts, data)
    }

    /// The same with what may be shown of the event.
    fn shown_around(&self, parts: &EventParts, view: &View, data: Data<'_>) -> String {
        let mut parts = parts.clone();
        parts.event_type = view.word(&parts.event_type);
        for (_, value) in &mut parts.headers {
            *value = view.header(value);
        }
        String::from_utf8_lossy(&self.around(&parts, data)).into_owned()
    }
}

/// What a body is made of.
struct Wanted {
    route: Arc<Route>,
    event: Arc<Event>,
    target: TargetName,
    envelope: Option<Envelope>,
}

async fn rendered(
    door: &Door,
    shape: &mut DeliveryBodyShape,
    plan: Arc<Plan>,
    wanted: Wanted,
    sent: Option<Digest>,
) -> Result<(), Refusal> {
    let Wanted {
        route,
        event,
        target,
        envelope,
    } = wanted;
    let view = plan.view(event.parts());
    let Some(template) = route.template.clone() else {
        if let Some(envelope) = envelope {
            own_in_envelope(shape, &envelope, &event, &view, sent);
        }
        return Ok(());
    };
    shape.template_hash = Some(template.hash());
    let made = door
        .studio
        .body(plan, Arc::clone(&event), route, template, target);
    match made.await? {
        Made::Fault(marker) => shape.error = Some(marker),
        Made::Body {
            mut whole,
            mut shown,
            redacted,
        } => {
            let mut content_type = "application/json";
            if let Some(envelope) = envelope {
                let parts = event.parts();
                whole = envelope.around(parts, Data::rendered(&whole));
                shown = shown.map(|shown| {
                    envelope.shown_around(parts, &view, Data::rendered(shown.as_bytes()))
                });
                content_type = envelope::CONTENT_TYPE_TEXT;
            }
            shape.of_bytes(&whole, sent);
            shape.content_type = Some(content_type.to_owned());
            shape.body_redacted = redacted.then_some(VALUES);
            shape.body = Some(shown.ok_or_else(|| {
                let words = "what the template makes of this event cannot be shown without what is hidden in it";
                Refusal::new(StatusCode::FORBIDDEN, Code::Hidden, words)
            })?);
        }
    }
    Ok(())
}

/// The event's own bytes in an envelope.
fn own_in_envelope(
    shape: &mut DeliveryBodyShape,
    envelope: &Envelope,
    event: &Event,
    view: &View,
    sent: Option<Digest>,
) {
    let (parts, own) = (event.parts(), Data::of_event(event));
    shape.of_bytes(&envelope.around(parts, own), sent);
    shape.content_type = Some(envelope::CONTENT_TYPE_TEXT.to_owned());
    shape.body = Some(match &view.body {
        Shown::Redacted(value) => {
            shape.body_redacted = Some(VALUES);
            let text = value.to_string();
            let body = text.as_bytes();
            envelope.shown_around(parts, view, Data { body, ..own })
        }
        _ => envelope.shown_around(parts, view, own),
    });
}

/// The event's own bytes, as they are sent.
fn unchanged(shape: &mut DeliveryBodyShape, event: &Event, view: &View, sent: Option<Digest>) {
    shape.from = BodyFrom::Unchanged;
    let body = &event.parts().body;
    shape.of_bytes(body, sent);
    shape.content_type = Some(match event.content_type() {
        _ if event.goes_on_as_json() => "application/json".to_owned(),
        Some(value) => view.header(value),
        None => "application/octet-stream".to_owned(),
    });
    match &view.body {
        Shown::Redacted(value) => {
            shape.body_redacted = Some(VALUES);
            shape.body = Some(value.to_string());
        }
        _ => match std::str::from_utf8(body) {
            Ok(text) => shape.body = Some(text.to_owned()),
            Err(_) => shape.body_base64 = Some(STANDARD.encode(body)),
        },
    }
}

/// A rendered body without what repeats something hidden: its texts, keys and numbers one by one.
fn blotted(body: &[u8], echoes: &Echoes) -> Result<String, Refusal> {
    let words = match echoes {
        Echoes::All => return Err(hidden()),
        Echoes::Values(words) => words,
    };
    if words.is_empty() {
        return Ok(String::from_utf8_lossy(body).into_owned());
    }
    // What a template has rendered is JSON.
    let value: Value = serde_json::from_slice(body).map_err(|_| hidden())?;
    Ok(blot(value, echoes).to_string())
}

fn blot(value: Value, echoes: &Echoes) -> Value {
    match value {
        Value::String(text) => Value::String(echoes.blot(text)),
        Value::Number(number) => {
            let text = number.to_string();
            match echoes.blot(text.clone()) == text {
                true => Value::Number(number),
                false => Value::from(REDACTED),
            }
        }
        Value::Array(items) => items.into_iter().map(|item| blot(item, echoes)).collect(),
        Value::Object(members) => {
            let blotted = |(name, value)| (echoes.blot(name), blot(value, echoes));
            Value::Object(members.into_iter().map(blotted).collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_something_hidden_is_blotted_out_of_a_kept_body() {
        let echoes = Echoes::Values(vec!["123456".to_owned(), "hidden".to_owned()]);
        let body = br#"{"a":"is hidden here","hidden":1,"n":123456,"m":12.50,"x":[null,true,"y"]}"#;
        let shown = blotted(body, &echoes).unwrap();
        let wanted = r#"{"a":"is [redacted] here","[redacted]":1,"n":"[redacted]","m":12.50,"x":[null,true,"y"]}"#;
        assert_eq!(shown, wanted);
        assert_eq!(blotted(b"{ }", &Echoes::Values(Vec::new())).unwrap(), "{ }");
        assert!(blotted(b"{}", &Echoes::All).is_err());
    }
}
