//! Records made into schemes: every mistake is told, each with its path, and what is left unsaid gets
//! its default.
//!
//! Promise: a scheme that leaves the body unsigned without saying so, or whose fields contradict each
//! other, does not compile. Not here: what a scheme is made of (see `scheme`).

mod content;
mod handshake;
mod place;
mod signature;

use std::time::Duration;

use self::content::{content, parts_have_places};
use self::handshake::handshakes;
use self::place::{Written, place, places_differ};
use self::signature::{pair_can_hold_time, signature};
use super::SchemeError;
use super::builtin::{Builtin, sns};
use super::encoding::{SecretEncoding, TimeUnit};
use super::key::Algorithm;
use super::record::{
    FormRecord, IdRecord, SchemeRecord, SecretRecord, SignatureRecord, TimestampRecord, TypeRecord,
};
use super::scheme::{
    FormRule, Place, Scheme, SecretForm, SignatureForm, SignedBody, Strip, TimePlace, TimeRule,
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
        let algorithm = algorithm(record.algorithm.as_deref(), &mut faults);
        let signature = signature_form(record, algorithm, &mut faults);
        let builtin = builtin(record, algorithm, &mut faults);
        let content = content(record, algorithm, &mut faults);
        let signed_body = one_of(
            "body",
            record.body.as_deref(),
            &[("wire", SignedBody::Wire), ("decoded", SignedBody::Decoded)],
            &mut faults,
        );
        let secret = secret(record.secret.as_ref(), algorithm, &mut faults);
        let timestamp = record
            .timestamp
            .as_ref()
            .and_then(|record| timestamp(record, &mut faults));
        let id = record.id.as_ref().and_then(|id| id_place(id, &mut faults));
        let (event_type, default_type) = record
            .event_type
            .as_ref()
            .map_or((None, None), |record| type_rule(record, &mut faults));
        let cloudevents = is_cloudevents(record, &mut faults);
        let handshakes = handshakes(record, algorithm, &mut faults);
        parts_have_places(record, &content, &mut faults);
        if let Some(signature) = &signature {
            pair_can_hold_time(signature, timestamp.as_ref(), &mut faults);
        }
        places_differ(
            signature.as_ref().map(|form| &form.place),
            timestamp.as_ref(),
            id.as_ref(),
            event_type.as_ref(),
            &mut faults,
        );
        if !faults.0.is_empty() {
            return Err(faults.0);
        }
        Ok(Self {
            algorithm,
            content,
            builtin,
            signed_body,
            signature,
            secret,
            timestamp,
            id,
            event_type,
            default_type,
            form: record.form.as_ref().map(form_rule),
            cloudevents,
            handshakes,
        })
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
fn given(text: Option<&String>) -> Option<&str> {
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

/// What has code of its own, and what then has no say.
fn builtin(record: &SchemeRecord, algorithm: Algorithm, faults: &mut Faults) -> Option<Builtin> {
    let is_sns = record.builtin.as_deref() == Some("sns");
    for (path, there) in [
        ("topics", record.topics.is_some()),
        (
            "confirm_subscriptions",
            record.confirm_subscriptions.is_some(),
        ),
    ] {
        if there && !is_sns {
            faults.add(path, "it goes with `builtin: sns`");
        }
    }
    let builtin = match record.builtin.as_deref()? {
        "twilio" => Builtin::Twilio,
        "sns" => Builtin::Sns(sns::Rule {
            topics: record.topics.clone().unwrap_or_default(),
            confirm: record.confirm_subscriptions.unwrap_or(false),
        }),
        word => {
            faults.add(
                "builtin",
                format!("`{word}` is not known (known: twilio, sns)"),
            );
            return None;
        }
    };
    for (path, there) in [
        ("content", record.content.is_some()),
        ("body_unsigned", record.body_unsigned.is_some()),
        ("body", record.body.is_some()),
    ] {
        if there {
            faults.add(path, "with `builtin`, its own code says what is signed");
        }
    }
    if is_sns {
        for (path, there) in [
            ("algorithm", record.algorithm.is_some()),
            ("signature", record.signature.is_some()),
            ("secret", record.secret.is_some()),
            ("form", record.form.is_some()),
            ("envelope", record.envelope.is_some()),
            ("handshake", record.handshake.is_some()),
        ] {
            if there {
                faults.add(path, "with `builtin: sns`, this is as SNS has it");
            }
        }
    } else if !algorithm.is_hmac() {
        faults.add(
            "algorithm",
            "`builtin: twilio` goes with an HMAC, such as hmac-sha1",
        );
    }
    Some(builtin)
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

fn signature_form(
    record: &SchemeRecord,
    algorithm: Algorithm,
    faults: &mut Faults,
) -> Option<SignatureForm> {
    if record.builtin.as_deref() == Some("sns") {
        return None;
    }
    if algorithm == Algorithm::Address {
        for (path, there) in [
            ("signature", record.signature.is_some()),
            ("secret", record.secret.is_some()),
        ] {
            if there {
                faults.add(path, "only the sender's address counts, so there is none");
            }
        }
        return None;
    }
    let nothing = SignatureRecord::default();
    let written = record.signature.as_ref().unwrap_or(&nothing);
    signature(written, algorithm, faults)
}

fn secret(record: Option<&SecretRecord>, algorithm: Algorithm, faults: &mut Faults) -> SecretForm {
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
        // nobody writes DER as it stands
        None if algorithm == Algorithm::EcdsaP256 => SecretEncoding::Base64,
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
    let written = Written {
        header: record.header.as_ref(),
        json: record.json.as_ref(),
        query: record.query.as_ref(),
    };
    let place = match given(record.pair.as_ref()) {
        Some(_) if !written.is_empty() => {
            faults.add(
                "timestamp.pair",
                "give one of `header`, `json`, `query` and `pair`",
            );
            return None;
        }
        Some(key) => TimePlace::Pair(key.to_owned()),
        None if written.is_empty() => {
            faults.add(
                "timestamp",
                "it does not say where the timestamp stands (`header`, `json`, `query` or `pair`)",
            );
            return None;
        }
        None => TimePlace::At(place("timestamp", written, faults)?),
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
    let written = Written {
        header: record.header.as_ref(),
        json: record.json.as_ref(),
        query: record.query.as_ref(),
    };
    place("id", written, faults)
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
    let written = Written {
        header: record.header.as_ref(),
        json: record.json.as_ref(),
        query: record.query.as_ref(),
    };
    let place = place("type", written, faults);
    if record.constant.is_some() && (!written.is_empty() || record.otherwise.is_some()) {
        faults.add(
            "type.const",
            "every event has this type, so `header`, `json`, `query` and `else` have no say",
        );
    }
    let default = record.constant.clone().or_else(|| record.otherwise.clone());
    (place, default)
}

fn is_cloudevents(record: &SchemeRecord, faults: &mut Faults) -> bool {
    match given(record.envelope.as_ref()) {
        None => false,
        Some("cloudevents") => true,
        Some(other) => {
            faults.add(
                "envelope",
                format!("`{other}` is not known (known: cloudevents)"),
            );
            false
        }
    }
}

fn form_rule(record: &FormRecord) -> FormRule {
    FormRule {
        json: given(record.json.as_ref()).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests;
