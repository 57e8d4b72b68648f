//! Records made into schemes: every mistake is told, each with its path, and what is left unsaid gets
//! its default.
//!
//! Promise: a scheme that leaves the body unsigned, or whose fields contradict each other, does not
//! compile. Not here: what a scheme is made of (see `scheme`).

use std::time::Duration;

use http::HeaderName;

use super::SchemeError;
use super::encoding::{Encoding, SecretEncoding, TimeUnit};
use super::handshake::Handshake;
use super::key::Algorithm;
use super::record::{
    IdRecord, SchemeRecord, SecretRecord, SignatureRecord, TimestampRecord, TypeRecord,
};
use super::scheme::{
    Part, Place, Scheme, SecretForm, SignatureForm, SignedBody, Strip, Style, TimePlace, TimeRule,
};
use crate::units::parse_duration;

/// How far a timestamp may be from the clock unless configured; what Standard Webhooks and most vendors use.
const DEFAULT_TOLERANCE: Duration = Duration::from_secs(300);

impl Scheme {
    /// Compiles a record; what it leaves out gets the defaults.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn compile(record: &SchemeRecord) -> Result<Self, Vec<SchemeError>> {
        let mut faults = Faults::default();
        not_yet(record, &mut faults);
        let cloudevents = match given(record.envelope.as_ref()) {
            None => false,
            Some("cloudevents") => true,
            Some(other) => {
                faults.add(
                    "envelope",
                    format!("`{other}` is not known (known: cloudevents)"),
                );
                false
            }
        };
        let algorithm = algorithm(record.algorithm.as_deref(), &mut faults);
        let nothing = SignatureRecord::default();
        let signature = signature(
            record.signature.as_ref().unwrap_or(&nothing),
            algorithm,
            &mut faults,
        );
        let content = content(record, algorithm, &mut faults);
        let signed_body = one_of(
            "body",
            record.body.as_deref(),
            &[("wire", SignedBody::Wire), ("decoded", SignedBody::Decoded)],
            &mut faults,
        );
        let secret = secret(record.secret.as_ref(), &mut faults);
        let timestamp = record
            .timestamp
            .as_ref()
            .and_then(|record| timestamp(record, &mut faults));
        let id = record.id.as_ref().and_then(|id| id_place(id, &mut faults));
        let (event_type, default_type) = record
            .event_type
            .as_ref()
            .map_or((None, None), |record| type_rule(record, &mut faults));
        let handshakes = handshakes(record, &mut faults);
        parts_have_places(record, &content, &mut faults);
        if let Some(signature) = &signature {
            pair_can_hold_time(signature, timestamp.as_ref(), &mut faults);
            headers_differ(
                &signature.place,
                timestamp.as_ref(),
                id.as_ref(),
                event_type.as_ref(),
                &mut faults,
            );
        }
        match signature {
            Some(signature) if faults.0.is_empty() => Ok(Self {
                algorithm,
                content,
                signed_body,
                signature,
                secret,
                timestamp,
                id,
                event_type,
                default_type,
                cloudevents,
                handshakes,
            }),
            _ => Err(faults.0),
        }
    }
}

fn not_yet(record: &SchemeRecord, faults: &mut Faults) {
    for (path, there) in [
        ("body_unsigned", record.body_unsigned.is_some()),
        ("builtin", record.builtin.is_some()),
        ("form", record.form.is_some()),
    ] {
        if there {
            faults.add(path, "not supported yet");
        }
    }
}

/// Mistakes collected on the way.
#[derive(Default)]
pub(super) struct Faults(Vec<SchemeError>);

impl Faults {
    pub(super) fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(SchemeError {
            path: path.into(),
            message: message.into(),
        });
    }
}

/// A field's text; an empty one is as good as none.
pub(super) fn given(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

/// Finds a word among the known ones; without a word it is the first of them.
fn one_of<T: Copy>(
    path: &str,
    word: Option<&str>,
    known: &[(&str, T); 2],
    faults: &mut Faults,
) -> T {
    let [first, second] = known;
    match word {
        None => first.1,
        Some(word) if word == first.0 => first.1,
        Some(word) if word == second.0 => second.1,
        Some(word) => {
            faults.add(
                path,
                format!("`{word}` is not known (known: {}, {})", first.0, second.0),
            );
            first.1
        }
    }
}

fn algorithm(word: Option<&str>, faults: &mut Faults) -> Algorithm {
    let Some(word) = word else {
        return Algorithm::HmacSha256;
    };
    let found = Algorithm::ALL.into_iter().find(|a| a.name() == word);
    found.unwrap_or_else(|| {
        let known = Algorithm::ALL.map(Algorithm::name).join(", ");
        faults.add(
            "algorithm",
            format!("`{word}` is not known (known: {known})"),
        );
        Algorithm::HmacSha256
    })
}

fn content(record: &SchemeRecord, algorithm: Algorithm, faults: &mut Faults) -> Vec<Part> {
    if algorithm == Algorithm::Token {
        if record.content.is_some() {
            faults.add("content", "a token signs nothing, so there is no content");
        }
        return Vec::new();
    }
    let Some(text) = &record.content else {
        return vec![Part::Body];
    };
    match parse_content(text) {
        Ok(parts) => {
            if !parts.contains(&Part::Body) {
                faults.add(
                    "content",
                    "`{body}` is missing, so anybody could change the body",
                );
            }
            parts
        }
        Err(message) => {
            faults.add("content", message);
            Vec::new()
        }
    }
}

fn parse_content(text: &str) -> Result<Vec<Part>, String> {
    split_placeholders(text)?
        .into_iter()
        .map(|piece| match piece {
            Piece::Literal(text) => Ok(Part::Literal(text.to_owned())),
            Piece::Placeholder("id") => Ok(Part::Id),
            Piece::Placeholder("timestamp") => Ok(Part::Timestamp),
            Piece::Placeholder("body") => Ok(Part::Body),
            Piece::Placeholder("url") => Ok(Part::Url),
            Piece::Placeholder("method") => Ok(Part::Method),
            Piece::Placeholder(other) => Err(format!(
                "`{{{other}}}` is not known (known: {{id}}, {{timestamp}}, {{body}}, {{url}}, {{method}})"
            )),
        })
        .collect()
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

fn parts_have_places(record: &SchemeRecord, content: &[Part], faults: &mut Faults) {
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
            if given(id.header.as_ref())
                .or(given(id.json.as_ref()))
                .is_some() => {}
        _ => faults.add(
            "content",
            "`{id}` is signed, but `id` does not say where it stands",
        ),
    }
}

fn signature(
    record: &SignatureRecord,
    algorithm: Algorithm,
    faults: &mut Faults,
) -> Option<SignatureForm> {
    let place = place(
        "signature",
        record.header.as_ref(),
        record.json.as_ref(),
        faults,
    );
    if place.is_none()
        && given(record.header.as_ref())
            .or(given(record.json.as_ref()))
            .is_none()
    {
        faults.add(
            "signature",
            "it does not say where the signature stands (`header` or `json`)",
        );
    }
    let encoding = one_of(
        "signature.encoding",
        record.encoding.as_deref(),
        &[("hex", Encoding::Hex), ("base64", Encoding::Base64)],
        faults,
    );
    let list = given(record.list.as_ref()).map(str::to_owned);
    let style = style(record, encoding, faults);
    if algorithm == Algorithm::Token {
        if record.encoding.is_some() {
            faults.add("signature.encoding", "a token is compared as it stands");
        }
        if list.is_some() || matches!(style, Style::Pairs { .. }) {
            faults.add(
                "signature.list",
                "a token stands alone, at most after a prefix",
            );
        }
    }
    if let Some(list) = &list {
        if list.chars().any(|c| encoding.writes(c)) {
            faults.add(
                "signature.list",
                format!("`{list}` can stand within a {} signature", encoding.name()),
            );
        }
        if given(record.pair.as_ref()) == Some(list) {
            faults.add("signature.pair", "`list` and `pair` are the same separator");
        }
    }
    Some(SignatureForm {
        place: place?,
        list,
        style,
        encoding,
    })
}

fn style(record: &SignatureRecord, encoding: Encoding, faults: &mut Faults) -> Style {
    let pair = given(record.pair.as_ref());
    let prefix = given(record.prefix.as_ref());
    if prefix.is_none() && record.prefix_optional.is_some() {
        faults.add("signature.prefix_optional", "there is no `prefix`");
    }
    let Some(separator) = pair else {
        for (path, there) in [
            ("signature.keys", record.keys.is_some()),
            ("signature.bare", record.bare.is_some()),
        ] {
            if there {
                faults.add(path, "it goes with `pair`, which is not given");
            }
        }
        return prefix.map_or(Style::Plain, |text| Style::Prefix {
            text: text.to_owned(),
            optional: record.prefix_optional.unwrap_or(false),
        });
    };
    if prefix.is_some() {
        faults.add(
            "signature.prefix",
            "a signature has a prefix or is a pair, not both",
        );
    }
    let keys = record.keys.clone().unwrap_or_default();
    if keys.is_empty() || keys.iter().any(String::is_empty) {
        faults.add(
            "signature.keys",
            "the keys of the pairs that hold signatures are needed, such as [v1]",
        );
    }
    let bare = record.bare.unwrap_or(false);
    if bare && separator.chars().any(|c| encoding.writes(c)) {
        faults.add(
            "signature.bare",
            format!("with `{separator}` between key and value, a bare value looks like a pair"),
        );
    }
    Style::Pairs {
        separator: separator.to_owned(),
        keys,
        bare,
    }
}

fn secret(record: Option<&SecretRecord>, faults: &mut Faults) -> SecretForm {
    let nothing = SecretRecord::default();
    let record = record.unwrap_or(&nothing);
    let strip = match (given(record.prefix.as_ref()), given(record.after.as_ref())) {
        (None, None) => Strip::Nothing,
        (Some(prefix), None) => Strip::Prefix(prefix.to_owned()),
        (None, Some(marker)) => Strip::After(marker.to_owned()),
        (Some(_), Some(marker)) => {
            faults.add("secret.after", "give `prefix` or `after`, not both");
            Strip::After(marker.to_owned())
        }
    };
    let encoding = match record.encoding.as_deref() {
        None | Some("utf8") => SecretEncoding::Utf8,
        Some("base64") => SecretEncoding::Base64,
        Some("hex") => SecretEncoding::Hex,
        Some(word) => {
            faults.add(
                "secret.encoding",
                format!("`{word}` is not known (known: utf8, base64, hex)"),
            );
            SecretEncoding::Utf8
        }
    };
    SecretForm { strip, encoding }
}

fn timestamp(record: &TimestampRecord, faults: &mut Faults) -> Option<TimeRule> {
    let unit = match record.unit.as_deref() {
        None | Some("s") => TimeUnit::Seconds,
        Some("ms") => TimeUnit::Millis,
        Some("rfc3339") => TimeUnit::Rfc3339,
        Some(word) => {
            faults.add(
                "timestamp.unit",
                format!("`{word}` is not known (known: s, ms, rfc3339)"),
            );
            TimeUnit::Seconds
        }
    };
    let tolerance = match record.tolerance.as_deref().map(parse_duration) {
        None => DEFAULT_TOLERANCE,
        Some(Ok(tolerance)) => tolerance,
        Some(Err(error)) => {
            faults.add("timestamp.tolerance", error.to_string());
            DEFAULT_TOLERANCE
        }
    };
    let pair = given(record.pair.as_ref());
    let other = given(record.header.as_ref()).or(given(record.json.as_ref()));
    let place = match (pair, other) {
        (Some(_), Some(_)) => {
            faults.add("timestamp.pair", "give one of `header`, `json` and `pair`");
            return None;
        }
        (Some(key), None) => TimePlace::Pair(key.to_owned()),
        (None, None) => {
            faults.add(
                "timestamp",
                "it does not say where the timestamp stands (`header`, `json` or `pair`)",
            );
            return None;
        }
        (None, Some(_)) => TimePlace::At(place(
            "timestamp",
            record.header.as_ref(),
            record.json.as_ref(),
            faults,
        )?),
    };
    Some(TimeRule {
        place,
        unit,
        tolerance,
    })
}

fn id_place(record: &IdRecord, faults: &mut Faults) -> Option<Place> {
    if let Some(word) = record.otherwise.as_deref()
        && word != "body_sha256"
    {
        faults.add(
            "id.else",
            format!("`{word}` is not known (known: body_sha256)"),
        );
    }
    place("id", record.header.as_ref(), record.json.as_ref(), faults)
}

fn type_rule(record: &TypeRecord, faults: &mut Faults) -> (Option<Place>, Option<String>) {
    for (path, text) in [
        ("type.const", &record.constant),
        ("type.else", &record.otherwise),
    ] {
        if let Some(text) = text
            && !super::verify::is_plain(text)
        {
            faults.add(path, "it must be a short text without control characters");
        }
    }
    let place = place("type", record.header.as_ref(), record.json.as_ref(), faults);
    if record.constant.is_some() && (place.is_some() || record.otherwise.is_some()) {
        faults.add(
            "type.const",
            "every event has this type, so `header`, `json` and `else` have no say",
        );
    }
    let default = record.constant.clone().or_else(|| record.otherwise.clone());
    (place, default)
}

/// The place that `header` or `json` names, if one of them does.
fn place(
    path: &str,
    header: Option<&String>,
    json: Option<&String>,
    faults: &mut Faults,
) -> Option<Place> {
    match (given(header), given(json)) {
        (None, None) => None,
        (Some(_), Some(_)) => {
            faults.add(format!("{path}.json"), "give `header` or `json`, not both");
            None
        }
        (Some(name), None) => match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) => Some(Place::Header(name)),
            Err(_) => {
                faults.add(
                    format!("{path}.header"),
                    format!("`{name}` is not the name of a header"),
                );
                None
            }
        },
        (None, Some(pointer)) => {
            if !is_pointer(pointer) {
                faults.add(format!("{path}.json"), not_a_pointer(pointer));
                return None;
            }
            Some(Place::Json(pointer.to_owned()))
        }
    }
}

pub(super) fn is_pointer(text: &str) -> bool {
    text.is_empty() || text.starts_with('/')
}

pub(super) fn not_a_pointer(text: &str) -> String {
    format!("`{text}` is not a JSON pointer, such as /data/id")
}

fn pair_can_hold_time(
    signature: &SignatureForm,
    timestamp: Option<&TimeRule>,
    faults: &mut Faults,
) {
    let Some(TimeRule {
        place: TimePlace::Pair(key),
        ..
    }) = timestamp
    else {
        return;
    };
    match &signature.style {
        Style::Pairs { keys, .. } if keys.contains(key) => {
            faults.add("timestamp.pair", format!("`{key}` is a signature's key"));
        }
        Style::Pairs { .. } if signature.list.is_some() => {}
        _ => faults.add(
            "timestamp.pair",
            "the signature is no list of pairs (`signature.list` and `signature.pair`)",
        ),
    }
}

/// No header can say two things.
fn headers_differ(
    signature: &Place,
    timestamp: Option<&TimeRule>,
    id: Option<&Place>,
    event_type: Option<&Place>,
    faults: &mut Faults,
) {
    let time = match timestamp.map(|rule| &rule.place) {
        Some(TimePlace::At(place)) => Some(place),
        _ => None,
    };
    let mut seen: Vec<(&str, &HeaderName)> = Vec::new();
    for (path, place) in [
        ("signature", Some(signature)),
        ("timestamp", time),
        ("id", id),
        ("type", event_type),
    ] {
        let Some(Place::Header(name)) = place else {
            continue;
        };
        if let Some((other, _)) = seen.iter().find(|(_, known)| *known == name) {
            faults.add(
                format!("{path}.header"),
                format!("`{name}` is already `{other}.header`"),
            );
        }
        seen.push((path, name));
    }
}

fn handshakes(record: &SchemeRecord, faults: &mut Faults) -> Vec<Handshake> {
    record
        .handshake
        .iter()
        .flatten()
        .enumerate()
        .filter_map(|(at, record)| Handshake::compile(record, &format!("handshake[{at}]"), faults))
        .collect()
}

#[cfg(test)]
mod tests;
