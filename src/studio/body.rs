//! What a route makes of a stored event for one of its targets, by the template in force.
//!
//! Promise: what is shown of it was rendered from what may be shown of the event.

use std::sync::Arc;

use bytes::Bytes;

use super::StudioError;
use super::render::{Marker, of_error};
use super::subject::Subject;
use crate::config::TemplateFolder;
use crate::event::Event;
use crate::id::TargetName;
use crate::plan::{OutputSchema, Plan, Route};
use crate::redact::Shown;
use crate::template::{Payload, Scene, Template};

/// What came of it.
#[derive(Debug)]
pub enum Made {
    /// A body.
    Body {
        /// All of it, as it would be sent.
        whole: Bytes,
        /// What may be shown of it; `None` if nothing may.
        shown: Option<String>,
        /// Whether values are hidden in what may be shown.
        redacted: bool,
    },
    /// It does not render, or not to what the route's schema wants.
    Fault(Marker),
}

/// Renders it. May take some seconds.
pub(super) fn body(
    plan: &Plan,
    event: &Arc<Event>,
    route: &Route,
    template: &Template,
    target: &TargetName,
) -> Result<Made, StudioError> {
    let file = plan.studio.of_route(&route.name);
    let fault = |message: String| {
        Made::Fault(Marker {
            file: file.map_or_else(|| route.name.to_string(), |file| file.file.clone()),
            line: 1,
            column: 1,
            length: 0,
            message,
            help: None,
            cause: "template",
        })
    };
    let view = plan.view(event.parts());
    if let Shown::Hidden(why) = view.body {
        return Err(StudioError::Hidden(why));
    }
    let Some(payload) = event.json() else {
        let words = "the body is not JSON and the route has a template";
        return Ok(fault(words.to_owned()));
    };
    let scene = |event: &Event, id: &str, payload: Payload<'_>, work: &dyn Fn(&Scene<'_>) -> _| {
        work(&Scene {
            payload,
            event: event.facts(id),
            headers: &event.parts().headers,
            route: route.name.as_str(),
            target: target.as_str(),
            vars: &plan.vars,
        })
    };
    let render = |scene: &Scene<'_>| template.render(scene, plan.render);
    let id = event.id().to_string();
    let whole = match scene(event, &id, payload.into(), &render) {
        Ok(rendered) => Bytes::from(rendered.body),
        Err(error) => {
            let folder = TemplateFolder::new(plan.studio.folder.clone());
            let mut marker = of_error(&folder, &error);
            // A template's message may repeat what it was given.
            marker.message = view.echoes.blot(marker.message);
            return Ok(Made::Fault(marker));
        }
    };
    if let Some(OutputSchema {
        schema,
        at_run_time: true,
    }) = &route.schema
    {
        let checked = match serde_json::from_slice(&whole) {
            Ok(output) => schema.check(&output).map_err(|misfit| misfit.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(misfit) = checked {
            let words = format!("the output does not fit {}: {misfit}", schema.name());
            return Ok(fault(view.echoes.blot(words)));
        }
    }
    let redacted = view.body != Shown::Whole;
    let shown = if redacted {
        let ready = Subject::Event(Arc::clone(event)).ready(plan)?;
        let rendered = scene(&ready.event, &id, (&ready.payload).into(), &render).ok();
        rendered.and_then(|rendered| String::from_utf8(rendered.body).ok())
    } else {
        String::from_utf8(whole.to_vec()).ok()
    };
    Ok(Made::Body {
        whole,
        shown,
        redacted,
    })
}
