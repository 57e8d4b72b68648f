//! Where the signature stands and how it is written.

use super::place::{Written, place};
use super::{Faults, given, one_of};
use crate::signature::encoding::Encoding;
use crate::signature::key::Algorithm;
use crate::signature::record::SignatureRecord;
use crate::signature::scheme::{Place, SignatureForm, SignaturePlace, Style, TimePlace, TimeRule};

/// The segment of a pointer that stands for every item or member.
const EVERY: &str = "*";

pub(super) fn signature(
    record: &SignatureRecord,
    algorithm: Algorithm,
    faults: &mut Faults,
) -> Option<SignatureForm> {
    let written = Written {
        header: record.header.as_ref(),
        json: record.json.as_ref(),
        query: record.query.as_ref(),
    };
    let place = place("signature", written, faults);
    if written.is_empty() {
        faults.add(
            "signature",
            "it does not say where the signature stands (`header`, `json` or `query`)",
        );
    }
    let place = place.and_then(|place| each(place, algorithm, faults));
    let encoding = encoding(record, algorithm, faults);
    let list = given(record.list.as_ref()).map(str::to_owned);
    let style = style(record, encoding, faults);
    if algorithm == Algorithm::Token && (list.is_some() || matches!(style, Style::Pairs { .. })) {
        faults.add(
            "signature.list",
            "a token stands alone, at most after a prefix",
        );
    }
    if let Some(list) = &list {
        if encoding != Encoding::Plain && list.chars().any(|c| encoding.writes(c)) {
            faults.add(
                "signature.list",
                format!("`{list}` can stand within a {} signature", encoding.name()),
            );
        }
        separators_are_apart(record, list, faults);
    }
    if let (Some(pair), Some(keys)) = (given(record.pair.as_ref()), &record.keys)
        && let Some(key) = keys.iter().find(|key| key.contains(pair))
    {
        let message = format!("`{key}` holds `{pair}`, which ends a key");
        faults.add("signature.keys", message);
    }
    Some(SignatureForm {
        place: place?,
        list,
        style,
        encoding,
    })
}

fn each(place: Place, algorithm: Algorithm, faults: &mut Faults) -> Option<SignaturePlace> {
    match place {
        Place::Json(pointer) if pointer.split('/').any(|segment| segment == EVERY) => {
            if algorithm != Algorithm::Token {
                faults.add(
                    "signature.json",
                    "only a token can stand at several places (`*`)",
                );
                return None;
            }
            Some(SignaturePlace::Each(pointer))
        }
        place => Some(SignaturePlace::At(place)),
    }
}

fn encoding(record: &SignatureRecord, algorithm: Algorithm, faults: &mut Faults) -> Encoding {
    let word = record.encoding.as_deref();
    if algorithm != Algorithm::Token {
        return one_of(
            "signature.encoding",
            word,
            &[("hex", Encoding::Hex), ("base64", Encoding::Base64)],
            faults,
        );
    }
    match word {
        None => Encoding::Plain,
        Some("base64") => Encoding::Base64,
        Some(_) => {
            faults.add(
                "signature.encoding",
                "a token is compared as it stands, unless this is base64",
            );
            Encoding::Plain
        }
    }
}

/// What separates signatures stands in no part of one, or they could not be told apart again.
fn separators_are_apart(record: &SignatureRecord, list: &str, faults: &mut Faults) {
    let keys = record
        .keys
        .iter()
        .flatten()
        .map(|key| ("keys", key.as_str()));
    let others = [("pair", &record.pair), ("prefix", &record.prefix)];
    let others = others
        .into_iter()
        .filter_map(|(field, text)| Some((field, given(text.as_ref())?)));
    for (field, text) in keys.chain(others).filter(|(_, text)| text.contains(list)) {
        let message = format!("`{text}` holds `{list}`, which separates signatures (`list`)");
        faults.add(format!("signature.{field}"), message);
    }
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

pub(super) fn pair_can_hold_time(
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
