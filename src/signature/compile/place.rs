//! Places in a request: a header, a JSON pointer, a query parameter.

use http::HeaderName;

use super::{Faults, given};
use crate::signature::scheme::{Place, SignaturePlace, TimePlace, TimeRule};

/// A place as it is written.
#[derive(Clone, Copy, Default)]
pub(super) struct Written<'a> {
    pub(super) header: Option<&'a String>,
    pub(super) json: Option<&'a String>,
    pub(super) query: Option<&'a String>,
}

impl Written<'_> {
    pub(super) fn is_empty(self) -> bool {
        [self.header, self.json, self.query]
            .into_iter()
            .all(|place| given(place).is_none())
    }
}

/// The place that is written, if one is.
pub(super) fn place(path: &str, written: Written<'_>, faults: &mut Faults) -> Option<Place> {
    match (
        given(written.header),
        given(written.json),
        given(written.query),
    ) {
        (None, None, None) => None,
        (Some(name), None, None) => match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) => Some(Place::Header(name)),
            Err(_) => {
                faults.add(
                    inside(path, "header"),
                    format!("`{name}` is not the name of a header"),
                );
                None
            }
        },
        (None, Some(pointer), None) => {
            if !is_pointer(pointer) {
                faults.add(inside(path, "json"), not_a_pointer(pointer));
                return None;
            }
            Some(Place::Json(pointer.to_owned()))
        }
        (None, None, Some(name)) => Some(Place::Query(name.to_owned())),
        (_, json, query) => {
            let field = match (json, query) {
                (_, Some(_)) => "query",
                _ => "json",
            };
            faults.add(
                format!("{path}.{field}"),
                "give one of `header`, `json` and `query`",
            );
            None
        }
    }
}

/// The content is one text; what is wrong within it has no path of its own.
fn inside(path: &str, field: &str) -> String {
    if path == "content" {
        return path.to_owned();
    }
    format!("{path}.{field}")
}

pub(super) fn is_pointer(text: &str) -> bool {
    text.is_empty() || text.starts_with('/')
}

pub(super) fn not_a_pointer(text: &str) -> String {
    format!("`{text}` is not a JSON pointer, such as /data/id")
}

/// No header and no query parameter can say two things.
pub(super) fn places_differ(
    signature: Option<&SignaturePlace>,
    timestamp: Option<&TimeRule>,
    id: Option<&Place>,
    event_type: Option<&Place>,
    faults: &mut Faults,
) {
    let signature = match signature {
        Some(SignaturePlace::At(place)) => Some(place),
        _ => None,
    };
    let time = match timestamp.map(|rule| &rule.place) {
        Some(TimePlace::At(place)) => Some(place),
        _ => None,
    };
    let mut seen: Vec<(&str, &Place)> = Vec::new();
    for (path, place) in [
        ("signature", signature),
        ("timestamp", time),
        ("id", id),
        ("type", event_type),
    ] {
        let (field, name) = match place {
            Some(Place::Header(name)) => ("header", name.as_str()),
            Some(Place::Query(name)) => ("query", name.as_str()),
            Some(Place::Json(_)) | None => continue,
        };
        if let Some((other, _)) = seen.iter().find(|(_, known)| Some(*known) == place) {
            faults.add(
                format!("{path}.{field}"),
                format!("`{name}` is already `{other}.{field}`"),
            );
        }
        seen.extend(place.map(|place| (path, place)));
    }
}
