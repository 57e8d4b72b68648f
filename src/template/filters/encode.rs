//! Encodings that `liquid-lib` lacks or does otherwise than the Liquid documentation says.

use std::borrow::Cow;

use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD, URL_SAFE};

use super::{Arguments, FilterContext, FilterError, FilterResult, give};
use crate::template::value::Value;

/// What is read as URL-safe comes with and without padding.
const STANDARD_LAX: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// `{{ text | base64_encode }}`, RFC 4648 section 4, with padding.
pub fn base64_encode<'a>(
    input: Value<'a>,
    _: &Arguments<'a>,
    cx: &FilterContext,
) -> FilterResult<'a> {
    encode(&STANDARD, &input, cx)
}

/// `{{ text | base64_decode }}`; the bytes have to be UTF-8.
pub fn base64_decode<'a>(
    input: Value<'a>,
    _: &Arguments<'a>,
    cx: &FilterContext,
) -> FilterResult<'a> {
    decode(&STANDARD, &input, cx, |text| text)
}

/// `{{ text | base64_url_safe_encode }}`, RFC 4648 section 5, with padding.
pub fn base64_url_safe_encode<'a>(
    input: Value<'a>,
    _: &Arguments<'a>,
    cx: &FilterContext,
) -> FilterResult<'a> {
    encode(&URL_SAFE, &input, cx)
}

/// `{{ text | base64_url_safe_decode }}`; the bytes have to be UTF-8. The other alphabet is read, too, as in Liquid.
pub fn base64_url_safe_decode<'a>(
    input: Value<'a>,
    _: &Arguments<'a>,
    cx: &FilterContext,
) -> FilterResult<'a> {
    decode(&STANDARD_LAX, &input, cx, |text| {
        match text.contains(['-', '_']) {
            true => Cow::Owned(text.replace('-', "+").replace('_', "/")),
            false => text,
        }
    })
}

/// `{{ text | escape_once }}`: escapes for HTML and leaves alone what is an entity already.
/// Our own: `liquid-lib` knows five entities only and would turn `&nbsp;` into `&amp;nbsp;`.
pub fn escape_once<'a>(
    input: Value<'a>,
    _: &Arguments<'a>,
    cx: &FilterContext,
) -> FilterResult<'a> {
    let text = give::text(&input, cx)?;
    let mut out = give::Bounded::new(cx);
    let mut rest = &*text;
    while let Some(at) = rest.find(['<', '>', '"', '\'', '&']) {
        let (plain, special) = rest.split_at(at);
        let (character, after) = special.split_at(1);
        out.push(plain)?;
        out.push(match character {
            "<" => "&lt;",
            ">" => "&gt;",
            "\"" => "&quot;",
            "'" => "&#39;",
            _ if is_entity(after) => "&",
            _ => "&amp;",
        })?;
        rest = after;
    }
    out.push(rest)?;
    Ok(Value::text(out.finish()))
}

/// `{{ text | newline_to_br }}`: `<br />` before each line's end, which becomes `\n`.
/// Our own: `liquid-lib` leaves the carriage return of `\r\n` in front of the tag.
pub fn newline_to_br<'a>(
    input: Value<'a>,
    _: &Arguments<'a>,
    cx: &FilterContext,
) -> FilterResult<'a> {
    let text = give::text(&input, cx)?;
    let mut out = give::Bounded::new(cx);
    let mut rest = &*text;
    while let Some((line, after)) = rest.split_once('\n') {
        out.push(line.strip_suffix('\r').unwrap_or(line))?;
        out.push("<br />\n")?;
        rest = after;
    }
    out.push(rest)?;
    Ok(Value::text(out.finish()))
}

/// Whether what follows an ampersand makes it an entity: `name;` or `#digits;`.
fn is_entity(after: &str) -> bool {
    let (digits, name) = match after.strip_prefix('#') {
        Some(rest) => (true, rest),
        None => (false, after),
    };
    let end = name.find(|c: char| match digits {
        true => !c.is_ascii_digit(),
        false => !c.is_ascii_alphabetic(),
    });
    end.is_some_and(|end| end > 0 && name.split_at(end).1.starts_with(';'))
}

fn encode<'a>(
    engine: &impl base64::Engine,
    input: &Value<'a>,
    cx: &FilterContext,
) -> FilterResult<'a> {
    let text = give::text(input, cx)?;
    let length = base64::encoded_len(text.len(), true).unwrap_or(usize::MAX);
    if length > cx.value_bytes {
        return Err(FilterError::too_long(cx));
    }
    Ok(Value::text(engine.encode(text.as_bytes())))
}

/// `respell` turns what is read into the alphabet of the engine.
fn decode<'a>(
    engine: &impl base64::Engine,
    input: &Value<'a>,
    cx: &FilterContext,
    respell: fn(Cow<'_, str>) -> Cow<'_, str>,
) -> FilterResult<'a> {
    let text = give::text(input, cx)?;
    if text.len() / 4 * 3 > cx.value_bytes {
        return Err(FilterError::too_long(cx));
    }
    let bytes = engine
        .decode(respell(text).as_bytes())
        .map_err(|error| FilterError::new(format!("not base64: {error}")))?;
    String::from_utf8(bytes)
        .map(Value::text)
        .map_err(|_| FilterError::new("the decoded bytes are not UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use crate::template::filters::testing::check;

    #[test]
    fn base64() {
        check(&[
            ("base64_encode", "\"_#/.\"", "[]", "\"XyMvLg==\""),
            ("base64_encode", "\"???>\"", "[]", "\"Pz8/Pg==\""),
            ("base64_encode", "null", "[]", "\"\""),
            ("base64_encode", "5", "[]", "\"NQ==\""),
            ("base64_decode", "\"XyMvLg==\"", "[]", "\"_#/.\""),
            ("base64_decode", "null", "[]", "\"\""),
            ("base64_decode", "5", "[]", "error: not base64"),
            ("base64_decode", "\"Pz8_Pg==\"", "[]", "error: not base64"),
            (
                "base64_decode",
                "\"/w==\"",
                "[]",
                "error: the decoded bytes are not UTF-8",
            ),
            ("base64_url_safe_encode", "\"???>\"", "[]", "\"Pz8_Pg==\""),
            ("base64_url_safe_decode", "\"Pz8_Pg==\"", "[]", "\"???>\""),
            ("base64_url_safe_decode", "\"Pz8_Pg\"", "[]", "\"???>\""),
            ("base64_url_safe_decode", "null", "[]", "\"\""),
            ("base64_url_safe_decode", "5", "[]", "error: not base64"),
        ]);
    }

    #[test]
    fn html() {
        check(&[
            (
                "escape_once",
                "\"1 < 2 &amp; 3\"",
                "[]",
                "\"1 &lt; 2 &amp; 3\"",
            ),
            (
                "escape_once",
                "\"&nbsp;&#8364;&x&#;&\"",
                "[]",
                "\"&nbsp;&#8364;&amp;x&amp;#;&amp;\"",
            ),
            ("escape_once", "\"'é'\"", "[]", "\"&#39;é&#39;\""),
            ("escape_once", "5", "[]", "\"5\""),
            (
                "newline_to_br",
                "\"a\\nb\\r\\nc\"",
                "[]",
                "\"a<br />\\nb<br />\\nc\"",
            ),
            ("newline_to_br", "\"a\\n\"", "[]", "\"a<br />\\n\""),
            ("newline_to_br", "null", "[]", "\"\""),
        ]);
    }
}
