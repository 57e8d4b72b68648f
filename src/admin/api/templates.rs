//! Templates and samples: read, tried, completed, saved.

use std::sync::Arc;

use http::header::{ETAG, IF_MATCH, IF_NONE_MATCH, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::admin::Door;
use crate::admin::answer::{Answer, Code, Refusal, json};
use crate::admin::query;
use crate::admin::routes::Call;
use crate::admin::shapes::{
    CompleteRequest, HeaderRequest, PageShape, RenderRequest, SampleRef, SampleRequest,
    SampleRowShape, SampleShape, TemplateRequest, TemplateSavedShape,
};
use crate::id::RouteName;
use crate::plan::Plan;
use crate::reload::{Expected, NewSample, Reloader, SaveError};
use crate::studio::{self, StudioError, Subject, Trial};

/// Most bytes of a template's text, as of its file.
const TEXT_BYTES: usize = 1 << 20;

/// Most bytes of a request that holds a text and a body: JSON escapes take room.
pub(in crate::admin) const REQUEST_BYTES: usize = 4 << 20;

/// `GET /api/v1/templates`: all templates in the folder, by name, on one page.
pub(in crate::admin) async fn templates(door: Arc<Door>, call: Call) -> Answer {
    query::nothing(&call.query)?;
    reloader(&door)?;
    let plan = door.admin.plan.get();
    let items = aside(move || studio::list(&plan)).await?;
    let next: Option<String> = None;
    Ok(json(StatusCode::OK, &PageShape { items, next }))
}

/// `GET /api/v1/templates/{id}`: one template, as it stands on disk.
pub(in crate::admin) async fn template(door: Arc<Door>, call: Call) -> Answer {
    query::nothing(&call.query)?;
    reloader(&door)?;
    let plan = door.admin.plan.get();
    let text = aside(move || studio::text(&plan, &call.id)).await??;
    let mut answer = json(StatusCode::OK, &text);
    answer.headers_mut().extend(tag(&text.row.etag));
    Ok(answer)
}

/// `PUT /api/v1/templates/{id}`: saves one template and puts it in force.
pub(in crate::admin) async fn save(door: Arc<Door>, call: Call) -> Answer {
    query::nothing(&call.query)?;
    let reloader = editing(&door)?;
    let request: TemplateRequest = call.json()?;
    let expected = expected(&call.headers)?;
    let saved = reloader
        .save_template(call.actor, &call.id, request.text, expected)
        .await;
    let saved = match saved {
        Ok(saved) => saved,
        Err(error) => return refused(error),
    };
    let shape = TemplateSavedShape {
        name: call.id,
        etag: saved.etag,
        reload: saved.report,
    };
    let mut answer = json(StatusCode::OK, &shape);
    answer.headers_mut().extend(tag(&shape.etag));
    Ok(answer)
}

/// `POST /api/v1/render`: tries a text on a sample.
pub(in crate::admin) async fn render(door: Arc<Door>, call: Call) -> Answer {
    query::nothing(&call.query)?;
    let request: RenderRequest = call.json()?;
    if request.text.len() > TEXT_BYTES {
        let message = format!("`text`: a template has at most {TEXT_BYTES} bytes");
        return Err(Refusal::bad_body(message));
    }
    if request.name.as_deref() == Some("") {
        return Err(Refusal::bad_body("`name`: a name is not empty"));
    }
    let trial = Trial {
        text: request.text,
        name: request.name,
        route: request.route,
        target: request.target,
        subject: subject(&door, request.sample).await?,
    };
    let plan = door.admin.plan.get();
    let rendered = door.studio.render(plan, trial).await?;
    Ok(json(StatusCode::OK, &rendered))
}

/// `POST /api/v1/complete`: what a template can name.
pub(in crate::admin) async fn complete(door: Arc<Door>, call: Call) -> Answer {
    query::nothing(&call.query)?;
    let request: CompleteRequest = call.json()?;
    let subject = subject(&door, request.sample).await?;
    let plan = door.admin.plan.get();
    let completion = door.studio.complete(plan, subject).await?;
    Ok(json(StatusCode::OK, &completion))
}

/// `GET /api/v1/samples?route=`: the samples of routes, in the order of the configuration, on one page.
pub(in crate::admin) async fn samples(door: Arc<Door>, call: Call) -> Answer {
    let route = query::samples(&call.query)?;
    let plan = door.admin.plan.get();
    let samples = plan.studio.samples.iter();
    let items = samples
        .filter(|sample| route.as_ref().is_none_or(|route| sample.route == *route))
        .map(SampleRowShape::new)
        .collect();
    let next: Option<String> = None;
    Ok(json(StatusCode::OK, &PageShape { items, next }))
}

/// `GET /api/v1/samples/{id}`: one sample with its text.
pub(in crate::admin) async fn sample(door: Arc<Door>, call: Call) -> Answer {
    query::nothing(&call.query)?;
    let plan = door.admin.plan.get();
    let sample = plan.studio.sample(&call.id);
    let sample = sample.ok_or_else(|| Refusal::not_found("there is no such sample"))?;
    Ok(json(StatusCode::OK, &SampleShape::new(sample)))
}

/// `POST /api/v1/samples`: saves a sample, or a test case, of a route.
pub(in crate::admin) async fn save_sample(door: Arc<Door>, call: Call) -> Answer {
    query::nothing(&call.query)?;
    let reloader = editing(&door)?;
    let request: SampleRequest = call.json()?;
    let route: RouteName = request
        .route
        .parse()
        .map_err(|error| Refusal::bad_body(format!("`route`: {error}")))?;
    // The names of files are as plain as those of routes.
    if let Err(error) = request.name.parse::<RouteName>() {
        return Err(Refusal::bad_body(format!("`name`: {error}")));
    }
    let new = NewSample {
        route: route.clone(),
        name: request.name.clone(),
        body: request.body,
        headers: headers(&request.headers.unwrap_or_default())?,
        expected: request.expected,
    };
    if let Err(error) = reloader.save_sample(call.actor, new).await {
        return refused(error);
    }
    let plan = door.admin.plan.get();
    let saved = saved_sample(&plan, &route, &request.name).ok_or_else(|| {
        Refusal::not_found("it was saved, and the configuration has changed since")
    })?;
    let mut answer = json(StatusCode::CREATED, &saved);
    let location = HeaderValue::from_str(&format!("/api/v1/samples/{}", saved.id()));
    if let Ok(location) = location {
        answer.headers_mut().insert(LOCATION, location);
    }
    Ok(answer)
}

fn saved_sample(plan: &Plan, route: &RouteName, name: &str) -> Option<SampleShape> {
    let cases = plan.studio.cases.get(route)?;
    let file = format!("{}/{name}.json", cases.name);
    let mut samples = plan.studio.samples.iter();
    let saved = samples.find(|sample| sample.route == *route && sample.name == file)?;
    Some(SampleShape::new(saved))
}

/// What a sample of a request refers to.
async fn subject(door: &Door, sample: SampleRef) -> Result<Subject, Refusal> {
    let SampleRef {
        event,
        sample,
        body,
        headers: written,
        source,
        event_type,
    } = sample;
    let of_body = written.is_some() || source.is_some() || event_type.is_some();
    match (event, sample, body) {
        (Some(id), None, None) if !of_body => {
            let id = id.parse();
            let id =
                id.map_err(|_| Refusal::bad_body("`sample.event`: an event's id is a UUID"))?;
            Ok(Subject::Event(door.admin.store.event(id).await?))
        }
        (None, Some(id), None) if !of_body => Ok(Subject::Sample(id)),
        (None, None, Some(body)) => Ok(Subject::Given {
            body,
            headers: headers(&written.unwrap_or_default())?,
            source,
            event_type,
        }),
        _ => Err(Refusal::bad_body(
            "`sample`: one of `event`, `sample` and `body`, the last with `headers`, `source` and `type`",
        )),
    }
}

fn headers(written: &[HeaderRequest]) -> Result<HeaderMap, Refusal> {
    let mut headers = HeaderMap::new();
    for HeaderRequest { name, value } in written {
        let wrong = |what: &str| Refusal::bad_body(format!("`headers`: {name:?} {what}"));
        let header = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| wrong("is not the name of a header"))?;
        let value = HeaderValue::from_bytes(value.as_bytes())
            .map_err(|_| wrong("has a line break or a control character in its value"))?;
        headers
            .try_append(header, value)
            .map_err(|_| Refusal::bad_body("`headers`: there are too many"))?;
    }
    Ok(headers)
}

fn reloader(door: &Door) -> Result<&Arc<Reloader>, Refusal> {
    door.admin.reloader.as_ref().ok_or_else(|| {
        Refusal::new(
            StatusCode::CONFLICT,
            Code::NoConfigurationFile,
            "this daemon was started without a configuration file",
        )
    })
}

/// The reloader, where saving is allowed.
fn editing(door: &Door) -> Result<&Arc<Reloader>, Refusal> {
    match door.admin.plan.get().admin.edit_templates {
        true => reloader(door),
        false => Err(Refusal::new(
            StatusCode::FORBIDDEN,
            Code::EditingOff,
            SaveError::Off.to_string(),
        )),
    }
}

/// What a save wants to find: exactly one of the two headers, exactly once.
fn expected(headers: &HeaderMap) -> Result<Expected, Refusal> {
    let values = |name| -> Vec<&HeaderValue> { headers.get_all(name).iter().collect() };
    match (&values(IF_MATCH)[..], &values(IF_NONE_MATCH)[..]) {
        ([], []) => Err(Refusal::new(
            StatusCode::PRECONDITION_REQUIRED,
            Code::PreconditionNeeded,
            "this needs `If-Match` with the `etag` that was read, or `If-None-Match: *` for a new file",
        )),
        ([tag], []) => {
            let hash = tag.to_str().ok().and_then(|tag| {
                let hash = tag.strip_prefix('"')?.strip_suffix('"')?;
                let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
                (hash.len() == 64 && hash.bytes().all(digit)).then(|| hash.to_owned())
            });
            hash.map(Expected::Hash).ok_or_else(|| {
                Refusal::bad_body("`If-Match` is the `etag` that was read, in quotes")
            })
        }
        ([], [value]) if *value == "*" => Ok(Expected::Absent),
        _ => Err(Refusal::bad_body(
            "there is one `If-Match`, or one `If-None-Match: *` in its place",
        )),
    }
}

fn tag(etag: &str) -> Option<(HeaderName, HeaderValue)> {
    let value = HeaderValue::from_str(&format!("\"{etag}\"")).ok()?;
    Some((ETAG, value))
}

/// What is answered when nothing was saved.
fn refused(error: SaveError) -> Answer {
    let (status, code) = match &error {
        SaveError::Refused(report) => return Ok(json(StatusCode::UNPROCESSABLE_ENTITY, report)),
        SaveError::Off => (StatusCode::FORBIDDEN, Code::EditingOff),
        SaveError::Name | SaveError::Route => (StatusCode::NOT_FOUND, Code::NotFound),
        SaveError::NoCases => (StatusCode::CONFLICT, Code::NoCases),
        SaveError::Exists => (StatusCode::CONFLICT, Code::Exists),
        SaveError::Changed(_) => (StatusCode::PRECONDITION_FAILED, Code::Changed),
        SaveError::Form(_) => (StatusCode::BAD_REQUEST, Code::BadBody),
        SaveError::Disk(_) => (StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable),
    };
    Err(Refusal::new(status, code, error.to_string()))
}

impl From<StudioError> for Refusal {
    fn from(error: StudioError) -> Self {
        let message = error.to_string();
        match error {
            StudioError::Busy => Self::busy(&message),
            StudioError::NoSuch(_) => Self::not_found(&message),
            StudioError::Hidden(_) => Self::new(StatusCode::FORBIDDEN, Code::Hidden, message),
            StudioError::NotJson(_) => Self::bad_body(message),
            StudioError::Unreadable(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, message)
            }
            StudioError::BrokeDown => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Damaged, message)
            }
        }
    }
}

/// Reads files where that holds nothing up.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StudioError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| StudioError::BrokeDown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_found_is_told_exactly_once() {
        let hash = "0123456789abcdef".repeat(4);
        let right = format!("\"{hash}\"");
        let of = |lines: &[(HeaderName, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(name.clone(), value.parse().unwrap());
            }
            expected(&headers).map_err(|refusal| refusal.status().as_u16())
        };
        assert_eq!(of(&[]), Err(428));
        assert_eq!(of(&[(IF_MATCH, &right)]), Ok(Expected::Hash(hash.clone())));
        assert_eq!(of(&[(IF_NONE_MATCH, "*")]), Ok(Expected::Absent));
        let weak = format!("W/{right}");
        let two = format!("{right}, {right}");
        let capitals = right.to_uppercase();
        for value in [weak.as_str(), &two, &hash, &capitals, "*", "\"\"", ""] {
            assert_eq!(of(&[(IF_MATCH, value)]), Err(400), "{value}");
        }
        assert_eq!(of(&[(IF_NONE_MATCH, &right)]), Err(400));
        assert_eq!(of(&[(IF_MATCH, &right), (IF_MATCH, &right)]), Err(400));
        assert_eq!(of(&[(IF_MATCH, &right), (IF_NONE_MATCH, "*")]), Err(400));
    }
}
