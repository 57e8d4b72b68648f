//! Templates and samples: what requests hold, and what `studio` does not shape itself.

use http::HeaderMap;
use serde::{Deserialize, Serialize};

use crate::plan::RouteSample;
use crate::reload::Report;

/// A template to be saved.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct TemplateRequest {
    /// The whole file.
    pub(in crate::admin) text: String,
}

/// A template that was saved.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct TemplateSavedShape {
    /// Its name.
    pub(in crate::admin) name: String,
    /// Of the file as it is now.
    pub(in crate::admin) etag: String,
    /// What came of putting it in force.
    pub(in crate::admin) reload: Report,
}

/// A text to be tried.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct RenderRequest {
    /// The text.
    pub(in crate::admin) text: String,
    /// The template that it is a version of.
    pub(in crate::admin) name: Option<String>,
    /// What `route` is.
    pub(in crate::admin) route: Option<String>,
    /// What `target` is.
    pub(in crate::admin) target: Option<String>,
    /// What it is tried on.
    pub(in crate::admin) sample: SampleRef,
}

/// What to complete over.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct CompleteRequest {
    /// What is looked into.
    pub(in crate::admin) sample: SampleRef,
}

/// What to try on: one of `event`, `sample` and `body`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct SampleRef {
    /// A stored event.
    pub(in crate::admin) event: Option<String>,
    /// A saved sample.
    pub(in crate::admin) sample: Option<String>,
    /// A body.
    pub(in crate::admin) body: Option<String>,
    /// Its headers.
    pub(in crate::admin) headers: Option<Vec<HeaderRequest>>,
    /// By which source it comes in.
    pub(in crate::admin) source: Option<String>,
    /// Its type where the body does not tell it.
    #[serde(rename = "type")]
    pub(in crate::admin) event_type: Option<String>,
}

/// A header.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct HeaderRequest {
    /// Its name, in any case.
    pub(in crate::admin) name: String,
    /// Its value.
    pub(in crate::admin) value: String,
}

/// A sample to be saved.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct SampleRequest {
    /// The route.
    pub(in crate::admin) route: String,
    /// The name of its files, without an ending.
    pub(in crate::admin) name: String,
    /// JSON text.
    pub(in crate::admin) body: String,
    /// The headers.
    pub(in crate::admin) headers: Option<Vec<HeaderRequest>>,
    /// The JSON that must come out, as text.
    pub(in crate::admin) expected: Option<String>,
}

/// A sample, without its text.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct SampleRowShape {
    /// The same as long as route and file are.
    id: String,
    /// The route.
    route: String,
    /// The file of the body, as the configuration names it.
    name: String,
    /// How many bytes the body has.
    size_bytes: usize,
    /// Whether it says what must come out.
    test: bool,
}

impl SampleRowShape {
    pub(in crate::admin) fn new(sample: &RouteSample) -> Self {
        Self {
            id: sample.id.clone(),
            route: sample.route.to_string(),
            name: sample.name.clone(),
            size_bytes: sample.body.len(),
            test: sample.test,
        }
    }
}

/// A sample with its text.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct SampleShape {
    /// All but the text.
    #[serde(flatten)]
    row: SampleRowShape,
    /// The text of the file.
    body: String,
    /// The headers.
    headers: Vec<SampleHeader>,
    /// The JSON that must come out, as text.
    expected: Option<String>,
}

#[derive(Debug, Serialize)]
struct SampleHeader {
    name: String,
    value: String,
}

impl SampleShape {
    pub(in crate::admin) fn new(sample: &RouteSample) -> Self {
        let text = |bytes: &bytes::Bytes| String::from_utf8_lossy(bytes).into_owned();
        Self {
            row: SampleRowShape::new(sample),
            body: text(&sample.body),
            headers: listed(&sample.headers),
            expected: sample.expected.as_ref().map(text),
        }
    }

    pub(in crate::admin) fn id(&self) -> &str {
        &self.row.id
    }
}

fn listed(headers: &HeaderMap) -> Vec<SampleHeader> {
    let lines = headers.iter().map(|(name, value)| SampleHeader {
        name: name.as_str().to_owned(),
        value: String::from_utf8_lossy(value.as_bytes()).into_owned(),
    });
    lines.collect()
}
