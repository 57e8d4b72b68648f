//! The signed content: literal text and placeholders.

use super::place::{Written, place};
use super::{Faults, given};
use crate::signature::key::Algorithm;
use crate::signature::record::SchemeRecord;
use crate::signature::scheme::{Part, Place};

/// What placeholders there are, for messages.
const KNOWN: &str =
    "{id}, {timestamp}, {body}, {url}, {method}, {header:NAME}, {json:/POINTER}, {query:NAME}";

pub(super) fn content(
    record: &SchemeRecord,
    algorithm: Algorithm,
    faults: &mut Faults,
) -> Vec<Part> {
    if record.builtin.is_some() {
        return Vec::new();
    }
    let unsigned = record.body_unsigned == Some(true);
    if matches!(algorithm, Algorithm::Token | Algorithm::Address) {
        for (path, there) in [
            ("content", record.content.is_some()),
            ("body_unsigned", unsigned),
        ] {
            if there {
                let what = match algorithm {
                    Algorithm::Token => "a token signs nothing",
                    _ => "an address signs nothing",
                };
                faults.add(path, format!("{what}, so there is no content"));
            }
        }
        return Vec::new();
    }
    let parts = match &record.content {
        None => vec![Part::Body],
        Some(text) => match parse(text, faults) {
            Ok(parts) => parts,
            Err(message) => {
                faults.add("content", message);
                return Vec::new();
            }
        },
    };
    let signs_body = parts.contains(&Part::Body);
    if parts.iter().all(|part| matches!(part, Part::Literal(_))) {
        faults.add("content", "nothing of the request is signed");
    } else if !signs_body && !unsigned {
        faults.add(
            "content",
            "`{body}` is missing, so anybody could change the body (`body_unsigned: true` says that one knows)",
        );
    }
    if signs_body && unsigned {
        faults.add("body_unsigned", "the content has `{body}`, so it is signed");
    }
    parts
}

fn parse(text: &str, faults: &mut Faults) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    for piece in split_placeholders(text)? {
        parts.push(match piece {
            Piece::Literal(text) => Part::Literal(text.to_owned()),
            Piece::Placeholder("id") => Part::Id,
            Piece::Placeholder("timestamp") => Part::Timestamp,
            Piece::Placeholder("body") => Part::Body,
            Piece::Placeholder("url") => Part::Url,
            Piece::Placeholder("method") => Part::Method,
            Piece::Placeholder(other) => match at(other, faults) {
                Some(Some(place)) => Part::At(place),
                // told already
                Some(None) => continue,
                None => return Err(format!("`{{{other}}}` is not known (known: {KNOWN})")),
            },
        });
    }
    Ok(parts)
}

/// The place that `header:NAME`, `json:/POINTER` or `query:NAME` names; `Some(None)` if it is none, which is told.
fn at(placeholder: &str, faults: &mut Faults) -> Option<Option<Place>> {
    let (kind, name) = placeholder.split_once(':')?;
    let name = Some(name.to_owned()).filter(|name| !name.is_empty())?;
    let mut written = Written::default();
    match kind {
        "header" => written.header = Some(&name),
        "json" => written.json = Some(&name),
        "query" => written.query = Some(&name),
        _ => return None,
    }
    Some(place("content", written, faults))
}

/// A text with `{placeholders}`, taken apart.
#[derive(Debug, PartialEq)]
pub(super) enum Piece<'a> {
    Literal(&'a str),
    Placeholder(&'a str),
}

pub(super) fn split_placeholders(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (literal, tail) = rest.split_once('{').unwrap_or((rest, ""));
        if literal.contains('}') {
            return Err("a `}` without its `{`".to_owned());
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        if literal.len() == rest.len() {
            break;
        }
        let (name, after) = tail
            .split_once('}')
            .ok_or_else(|| "a `{` without its `}`".to_owned())?;
        pieces.push(Piece::Placeholder(name));
        rest = after;
    }
    Ok(pieces)
}

/// What is signed by name must be somewhere.
pub(super) fn parts_have_places(record: &SchemeRecord, content: &[Part], faults: &mut Faults) {
    if content.contains(&Part::Timestamp) && record.timestamp.is_none() {
        faults.add(
            "content",
            "`{timestamp}` is signed, but `timestamp` does not say where it stands",
        );
    }
    if !content.contains(&Part::Id) {
        return;
    }
    match &record.id {
        Some(id) if id.otherwise.is_some() => faults.add(
            "id.else",
            "`{id}` is signed, so there is no event without an id",
        ),
        Some(id)
            if [&id.header, &id.json, &id.query]
                .into_iter()
                .any(|place| given(place.as_ref()).is_some()) => {}
        _ => faults.add(
            "content",
            "`{id}` is signed, but `id` does not say where it stands",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is written is taken apart without loss, or refused in words.
        #[test]
        fn placeholders_are_taken_apart_without_loss(text in "[{}a-z:/|.]{0,24}|\\PC{0,24}") {
            if let Ok(pieces) = split_placeholders(&text) {
                let again: String = pieces
                    .iter()
                    .map(|piece| match piece {
                        Piece::Literal(text) => (*text).to_owned(),
                        Piece::Placeholder(name) => format!("{{{name}}}"),
                    })
                    .collect();
                prop_assert_eq!(again, text);
            }
        }
    }
}
