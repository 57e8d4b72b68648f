//! CloudEvents 1.0 in headers: which headers are attributes, how their values are written, what makes a whole event.
//!
//! By the HTTP binding (read 2026-11-28): an attribute `NAME` is the header `ce-NAME`, percent-encoded; the data's media
//! type is the content type; the data is the body. Pure. Not here: the JSON envelope (`signature` takes it apart,
//! `envelope` makes it).

use std::borrow::Cow;

use jiff::Timestamp;

/// What the names of headers that carry attributes begin with.
pub const PREFIX: &str = "ce-";

/// The header without which headers are no CloudEvent.
pub const VERSION_HEADER: &str = "ce-specversion";

/// The version that is spoken.
pub const VERSION: &str = "1.0";

/// The media type of an event in one JSON envelope.
pub const STRUCTURED: &str = "application/cloudevents+json";

/// The attribute that HTTP carries as `content-type`.
pub const CONTENT_TYPE: &str = "datacontenttype";

/// Longest name of an attribute. The specification asks for 20 at most; this only bounds what is kept.
pub const MAX_NAME_BYTES: usize = 64;

/// Most attributes of an event; their headers count towards what every copy of the event carries.
pub const MAX_ATTRIBUTES: usize = 64;

/// Most bytes of all attributes as headers, the most that a request's head may have unless configured.
pub const MAX_BYTES: usize = 64 * 1024;

/// An attribute and its value as text.
pub type Attribute<'a> = (&'a str, Cow<'a, str>);

/// The attributes that these headers carry, in their order, decoded; `datacontenttype` is the content type. `None` if
/// there is no `ce-specversion`. Left out is what is no attribute: a bad name, a value that does not decode, the second
/// value of one name.
pub fn attributes<'h>(
    headers: impl IntoIterator<Item = (&'h str, &'h str)>,
) -> Option<Vec<Attribute<'h>>> {
    let mut found: Vec<Attribute<'h>> = Vec::new();
    for (header, written) in headers {
        let (name, value) = match header.strip_prefix(PREFIX) {
            Some(name) if is_name(name) && name != CONTENT_TYPE => (name, decode(written)),
            None if header == "content-type" => (CONTENT_TYPE, Some(Cow::Borrowed(written))),
            _ => continue,
        };
        let is_new = found.iter().all(|(known, _)| *known != name);
        if let Some(value) = value.filter(|_| is_new) {
            found.push((name, value));
        }
    }
    let is_event = found.iter().any(|(name, _)| *name == "specversion");
    is_event.then_some(found)
}

/// The value of an attribute.
#[must_use]
pub fn find<'a>(attributes: &'a [Attribute<'_>], name: &str) -> Option<&'a str> {
    let (_, value) = attributes.iter().find(|(known, _)| *known == name)?;
    Some(value)
}

/// Whether these are the attributes of a CloudEvent as the specification wants them.
#[must_use]
pub fn is_whole(attributes: &[Attribute<'_>]) -> bool {
    let required = ["id", "source", "type"];
    find(attributes, "specversion") == Some(VERSION)
        && required.iter().all(|name| find(attributes, name).is_some())
        && attributes.len() <= MAX_ATTRIBUTES
        && attributes.iter().all(|(name, value)| {
            is_name(name)
                && is_text(value)
                && match *name {
                    "id" | "source" | "type" | "subject" | "dataschema" => !value.is_empty(),
                    "time" => is_time(value),
                    CONTENT_TYPE => is_media_type(value),
                    _ => true,
                }
        })
}

/// Whether this can be the name of an attribute: `a` to `z` and digits. `data` and `data_base64` are the data's own.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        && name != "data"
}

/// Whether this can be the value of an attribute: no control characters, nothing that Unicode calls a noncharacter.
#[must_use]
pub fn is_text(value: &str) -> bool {
    let is_noncharacter = |c: char| {
        let code = u32::from(c);
        (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe
    };
    !value.chars().any(|c| c.is_control() || is_noncharacter(c))
}

/// Whether this is a time as RFC 3339 writes it.
#[must_use]
pub fn is_time(value: &str) -> bool {
    value.parse::<Timestamp>().is_ok()
}

/// Whether this can stand as a content type: a slash in what a header can carry.
#[must_use]
pub fn is_media_type(value: &str) -> bool {
    value.contains('/') && value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Whether a content type, its parameters aside, is this media type.
#[must_use]
pub fn is_type(content_type: &str, media_type: &str) -> bool {
    essence(content_type).eq_ignore_ascii_case(media_type)
}

/// Whether a content type declares JSON: `*/json` or `*/*+json`.
#[must_use]
pub fn declares_json(content_type: &str) -> bool {
    let essence = essence(content_type).to_ascii_lowercase();
    let subtype = essence.split_once('/').map(|(_, subtype)| subtype);
    subtype.is_some_and(|subtype| subtype == "json" || subtype.ends_with("+json"))
}

fn essence(content_type: &str) -> &str {
    let end = content_type.find(';').unwrap_or(content_type.len());
    content_type.get(..end).unwrap_or_default().trim()
}

/// A value as a header carries it: all but the printable characters of ASCII is percent-encoded, and so are the space,
/// the quote and the percent sign.
#[must_use]
pub fn encode(value: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'%');
    if value.bytes().all(is_plain) {
        return Cow::Borrowed(value);
    }
    let mut encoded = String::with_capacity(value.len() * 3);
    for byte in value.bytes() {
        if is_plain(byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            for half in [byte >> 4, byte & 0xf] {
                let digit = char::from_digit(u32::from(half), 16).unwrap_or('0');
                encoded.push(digit.to_ascii_uppercase());
            }
        }
    }
    Cow::Owned(encoded)
}

/// What a header's value says: quotes around it undone, then one round of percent-decoding. A percent sign that begins
/// no code stands for itself, since older senders did not encode it. `None` if codes make no UTF-8.
#[must_use]
pub fn decode(written: &str) -> Option<Cow<'_, str>> {
    let text = unquoted(written);
    if !text.contains('%') {
        return Some(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = match (first, after) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match code {
            Some((high, low)) => {
                bytes.push((high << 4) | low);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

/// A value without the double quotes around it, and without the backslashes that they call for.
fn unquoted(written: &str) -> Cow<'_, str> {
    let inner = written
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let Some(inner) = inner else {
        return Cow::Borrowed(written);
    };
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut text = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.extend(characters.next()),
            other => text.push(other),
        }
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_written_as_the_binding_says() {
        // The first is the binding's own example.
        let rows = [
            ("Euro \u{20ac} \u{1f600}", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
            ("", ""),
            ("plain-text_!~/?", "plain-text_!~/?"),
            ("100% \"sure\"", "100%25%20%22sure%22"),
            ("a\nb\u{7f}", "a%0Ab%7F"),
        ];
        for (value, written) in rows {
            assert_eq!(encode(value), written);
            assert_eq!(decode(written).as_deref(), Some(value), "{written}");
        }
    }

    #[test]
    fn values_are_read_as_liberally_as_the_binding_says() {
        let rows = [
            ("%e2%82%ac", Some("\u{20ac}")),
            ("%41%2D", Some("A-")),
            ("%2541", Some("%41")),
            ("100%", Some("100%")),
            ("%4", Some("%4")),
            ("%zz", Some("%zz")),
            ("\"a b\"", Some("a b")),
            ("\"a \\\"b\\\\ %20\"", Some("a \"b\\  ")),
            ("\"", Some("\"")),
            ("\"\"", Some("")),
            ("%C0%A0", None),
            ("%ff", None),
            ("%ED%A0%80", None),
        ];
        for (written, value) in rows {
            assert_eq!(decode(written).as_deref(), value, "{written}");
        }
    }

    proptest! {
        #[test]
        fn any_text_survives_a_header(value in any::<String>()) {
            let written = encode(&value);
            prop_assert!(written.bytes().all(|byte| byte.is_ascii_graphic()));
            let read = decode(&written);
            prop_assert_eq!(read.as_deref(), Some(value.as_str()));
        }

        #[test]
        fn nothing_that_is_read_panics(written in any::<String>()) {
            let _ = decode(&written);
        }
    }

    #[test]
    fn attributes_are_the_headers_with_the_prefix() {
        let headers = [
            ("ce-specversion", "1.0"),
            ("content-type", "text/plain"),
            ("ce-id", "a%20b"),
            ("ce-id", "second"),
            ("ce-bad_name", "x"),
            ("ce-data", "x"),
            ("ce-", "x"),
            ("ce-datacontenttype", "text/html"),
            ("ce-broken", "%ff"),
            ("x-ce-id", "x"),
        ];
        let found = attributes(headers).unwrap();
        let wanted = [
            ("specversion", Cow::Borrowed("1.0")),
            ("datacontenttype", Cow::Borrowed("text/plain")),
            ("id", Cow::Borrowed("a b")),
        ];
        assert_eq!(found, wanted);
        assert_eq!(attributes([("ce-id", "1"), ("content-type", "a/b")]), None);
    }

    #[test]
    fn a_whole_event_has_what_the_specification_wants() {
        let good = [
            ("specversion", "1.0"),
            ("id", "1"),
            ("source", "/s"),
            ("type", "t"),
        ];
        let with = |more: &[(&'static str, &'static str)]| {
            let replaced = |name: &str| more.iter().any(|(known, _)| *known == name);
            let kept = good.iter().filter(|(name, _)| !replaced(name));
            let all = kept.chain(more);
            is_whole(
                &all.map(|(name, value)| (*name, Cow::Borrowed(*value)))
                    .collect::<Vec<_>>(),
            )
        };
        for more in [
            ("subject", "s"),
            ("time", "2018-04-05T17:31:00Z"),
            ("time", "2018-04-05t19:31:00.25+02:00"),
            ("datacontenttype", "application/json; charset=utf-8"),
            ("com1example", ""),
        ] {
            assert!(with(&[more]), "{more:?}");
        }
        assert!(with(&[]));
        for more in [
            ("specversion", "0.3"),
            ("specversion", "1.0.2"),
            ("id", ""),
            ("source", ""),
            ("type", ""),
            ("type", "a\u{9}b"),
            ("subject", ""),
            ("subject", "\u{ffff}"),
            ("subject", "\u{85}"),
            ("dataschema", ""),
            ("time", "yesterday"),
            ("time", "2023-04-10 14:31:05 UTC"),
            ("datacontenttype", "json"),
            ("datacontenttype", "a/\u{e9}"),
            ("Subject", "s"),
            ("data", "x"),
            ("data_base64", "x"),
        ] {
            assert!(!with(&[more]), "{more:?}");
        }
        assert!(!is_whole(&[("specversion", Cow::Borrowed("1.0"))]));
    }

    #[test]
    fn media_types_are_told_apart_without_their_parameters() {
        for (text, structured, json) in [
            ("application/cloudevents+json", true, true),
            ("Application/CloudEvents+JSON ; charset=UTF-8", true, true),
            ("application/cloudevents-batch+json", false, true),
            ("application/cloudevents+jsonx", false, false),
            ("application/json;x=y", false, true),
            ("text/JSON", false, true),
            ("json", false, false),
            ("application/xml", false, false),
            ("", false, false),
        ] {
            assert_eq!(is_type(text, STRUCTURED), structured, "{text}");
            assert_eq!(declares_json(text), json, "{text}");
        }
    }
}
