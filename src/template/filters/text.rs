//! Filters on text that `liquid-lib` lacks or does otherwise than the Liquid documentation says.

use std::borrow::Cow;

use super::general::characters;
use super::{Arguments, FilterContext, FilterResult, give};
use crate::template::value::{Text, Value};

/// What `truncate` and `truncatewords` put where they cut.
const ELLIPSIS: &str = "...";

/// `{{ text | truncate: 20 }}`: at most so many characters, the ellipsis counted.
/// Our own: `liquid-lib` counts grapheme clusters, the documentation counts characters.
pub fn truncate<'a>(
    input: Value<'a>,
    args: &Arguments<'a>,
    cx: &FilterContext,
) -> FilterResult<'a> {
    /// What the documentation gives as the default.
    const DEFAULT_CHARACTERS: i64 = 50;
    if input.is_nil() {
        return Ok(Value::from(""));
    }
    let length = match args.get(0) {
        None => DEFAULT_CHARACTERS,
        Some(length) => give::integer(length)?,
    };
    let ellipsis = match args.get(1) {
        None => Cow::Borrowed(ELLIPSIS),
        Some(ellipsis) => give::text(ellipsis, cx)?,
    };
    let text = give::text(&input, cx)?;
    let length = usize::try_from(length).unwrap_or(0);
    if text.chars().count() <= length {
        return Ok(unchanged(input));
    }
    let kept = length.saturating_sub(ellipsis.chars().count());
    let mut out = give::Bounded::new(cx);
    out.push(characters(&text, 0, kept))?;
    out.push(&ellipsis)?;
    Ok(Value::text(out.finish()))
}

/// `{{ text | truncatewords: 3 }}`: at most so many words. White space behind the last of them counts as more text, as in
/// Liquid.
/// Our own: `liquid-lib` splits at single blanks only and keeps the blanks.
pub fn truncatewords<'a>(
    input: Value<'a>,
    args: &Arguments<'a>,
    cx: &FilterContext,
) -> FilterResult<'a> {
    /// What the documentation gives as the default.
    const DEFAULT_WORDS: i64 = 15;
    if input.is_nil() {
        return Ok(Value::from(""));
    }
    let most = match args.get(0) {
        None => DEFAULT_WORDS,
        Some(most) => give::integer(most)?,
    };
    let most = usize::try_from(most).unwrap_or(0).max(1);
    let ellipsis = match args.get(1) {
        None => Cow::Borrowed(ELLIPSIS),
        Some(ellipsis) => give::text(ellipsis, cx)?,
    };
    let text = give::text(&input, cx)?;
    let Some(last) = words(&text).nth(most - 1) else {
        return Ok(unchanged(input));
    };
    if text.ends_with(last) && words(&text).nth(most).is_none() {
        return Ok(unchanged(input));
    }
    let mut out = give::Bounded::new(cx);
    for (index, word) in words(&text).take(most).enumerate() {
        if index > 0 {
            out.push(" ")?;
        }
        out.push(word)?;
    }
    out.push(&ellipsis)?;
    Ok(Value::text(out.finish()))
}

/// `{{ text | replace_last: 'a', 'b' }}`. Our own: `liquid-lib` has none.
pub fn replace_last<'a>(
    input: Value<'a>,
    args: &Arguments<'a>,
    cx: &FilterContext,
) -> FilterResult<'a> {
    let replacement = give::optional_text(args.get(1), cx)?;
    replace_at_end(input, args, &replacement, cx)
}

/// `{{ text | remove_last: 'a' }}`. Our own: `liquid-lib` has none.
pub fn remove_last<'a>(
    input: Value<'a>,
    args: &Arguments<'a>,
    cx: &FilterContext,
) -> FilterResult<'a> {
    replace_at_end(input, args, "", cx)
}

fn replace_at_end<'a>(
    input: Value<'a>,
    args: &Arguments<'a>,
    replacement: &str,
    cx: &FilterContext,
) -> FilterResult<'a> {
    let text = give::text(&input, cx)?;
    let search = give::optional_text(args.get(0), cx)?;
    let Some((before, after)) = text.rsplit_once(&*search) else {
        return Ok(unchanged(input));
    };
    let mut out = give::Bounded::new(cx);
    for part in [before, replacement, after] {
        out.push(part)?;
    }
    Ok(Value::text(out.finish()))
}

/// The input as text; a string is given back without a copy.
fn unchanged(input: Value<'_>) -> Value<'_> {
    match input {
        Value::Str(_) => input,
        other => Value::text(other.to_text().into_owned()),
    }
}

/// `{{ 'a,b' | split: ',' }}` is `["a", "b"]`: a blank splits at white space, nothing splits into
/// characters, empty pieces at the end are dropped.
/// Our own: `liquid-lib` does none of the three, and its array would be copied.
pub fn split<'a>(input: Value<'a>, args: &Arguments<'a>, cx: &FilterContext) -> FilterResult<'a> {
    let pattern = give::optional_text(args.get(0), cx)?;
    let mut list = give::List::new(cx);
    match &input {
        // Pieces of what is borrowed are borrowed.
        Value::Str(Text::Borrowed(text)) => {
            for piece in pieces(text, &pattern) {
                list.push(Value::from(piece))?;
            }
        }
        other => {
            let text = give::text(other, cx)?;
            for piece in pieces(&text, &pattern) {
                list.push(Value::text(piece.to_owned()))?;
            }
        }
    }
    Ok(list.finish())
}

fn pieces<'t: 'p, 'p>(text: &'t str, pattern: &'p str) -> Box<dyn Iterator<Item = &'t str> + 'p> {
    match pattern {
        " " => Box::new(words(text)),
        "" => Box::new(text.char_indices().map(|(at, c)| {
            let (_, rest) = text.split_at(at);
            rest.split_at(c.len_utf8()).0
        })),
        _ => {
            // How far the last piece with something in it reaches; found from the start, since occurrences may overlap.
            let mut pieces = 0;
            for (index, piece) in text.split(pattern).enumerate() {
                if !piece.is_empty() {
                    pieces = index + 1;
                }
            }
            Box::new(text.split(pattern).take(pieces))
        }
    }
}

/// Words between what Ruby takes for white space: that of ASCII, the vertical tab among it.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_ascii_whitespace() || c == '\u{b}')
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use crate::template::filters::testing::check;

    #[test]
    fn truncation() {
        check(&[
            (
                "truncate",
                "\"Ground control to Major Tom.\"",
                "[20]",
                "\"Ground control to...\"",
            ),
            (
                "truncate",
                "\"Ground control to Major Tom.\"",
                "[25, \", and so on\"]",
                "\"Ground control, and so on\"",
            ),
            (
                "truncate",
                "\"Ground control to Major Tom.\"",
                "[20, null]",
                "\"Ground control to Ma\"",
            ),
            (
                "truncate",
                "\"Ground control\"",
                "[\"10\"]",
                "\"Ground ...\"",
            ),
            ("truncate", "\"äöüäöü\"", "[5]", "\"äö...\""),
            ("truncate", "\"äöü\"", "[3]", "\"äöü\""),
            ("truncate", "\"hello\"", "[0]", "\"...\""),
            ("truncate", "\"hello\"", "[-5]", "\"...\""),
            (
                "truncate",
                "\"hello\"",
                "[99999999999999999999]",
                "\"hello\"",
            ),
            ("truncate", "1234567890", "[5]", "\"12...\""),
            ("truncate", "null", "[5]", "\"\""),
            (
                "truncate",
                "\"hello\"",
                "[null]",
                "error: a whole number is needed here",
            ),
            ("truncatewords", "\"one two \"", "[2]", "\"one two...\""),
            ("truncatewords", "\"one two \"", "[3]", "\"one two \""),
            ("truncatewords", "\" two two\"", "[2]", "\" two two\""),
            (
                "truncatewords",
                "\"    one    two three    four  \"",
                "[2]",
                "\"one two...\"",
            ),
            (
                "truncatewords",
                "\"one two three\"",
                "[3]",
                "\"one two three\"",
            ),
            (
                "truncatewords",
                "\"one  two\\tthree\\nfour\"",
                "[3]",
                "\"one two three...\"",
            ),
            (
                "truncatewords",
                "\"one two three\"",
                "[2, \"--\"]",
                "\"one two--\"",
            ),
            ("truncatewords", "\"one two three\"", "[0]", "\"one...\""),
            (
                "truncatewords",
                "\"one two three\"",
                "[99999999999999999999]",
                "\"one two three\"",
            ),
            ("truncatewords", "null", "[5]", "\"\""),
            (
                "truncatewords",
                "\"one two\"",
                "[null]",
                "error: a whole number is needed here",
            ),
        ]);
    }

    #[test]
    fn replacing_from_the_end() {
        check(&[
            (
                "replace_last",
                "\"hello5\"",
                "[5, \"your\"]",
                "\"helloyour\"",
            ),
            (
                "replace_last",
                "\"my my\"",
                "[\"my\", \"our\"]",
                "\"my our\"",
            ),
            (
                "replace_last",
                "\"Take my protein\"",
                "[null, \"#\"]",
                "\"Take my protein#\"",
            ),
            ("replace_last", "\"abc\"", "[\"x\", \"y\"]", "\"abc\""),
            ("replace_last", "null", "[\"x\", \"y\"]", "\"\""),
            (
                "remove_last",
                "\"the rain and rain\"",
                "[\"rain\"]",
                "\"the rain and \"",
            ),
            ("remove_last", "\"hello\"", "[5]", "\"hello\""),
            ("remove_last", "\"hello\"", "[null]", "\"hello\""),
            ("remove_last", "null", "[\"rain\"]", "\"\""),
        ]);
    }

    #[test]
    fn splitting() {
        check(&[
            ("split", "\"a,b\"", "[\",\"]", "[\"a\",\"b\"]"),
            ("split", "\"a,,b,,\"", "[\",\"]", "[\"a\",\"\",\"b\"]"),
            ("split", "\",a\"", "[\",\"]", "[\"\",\"a\"]"),
            ("split", "\",\"", "[\",\"]", "[]"),
            ("split", "\"\"", "[\",\"]", "[]"),
            ("split", "\"aaa\"", "[\"aa\"]", "[\"\",\"a\"]"),
            ("split", "\"aaaa\"", "[\"aa\"]", "[]"),
            ("split", "\"a\\u000bb\"", "[\" \"]", "[\"a\",\"b\"]"),
            ("split", "\"abc\"", "[\",\"]", "[\"abc\"]"),
            ("split", "\" a  b\\nc \"", "[\" \"]", "[\"a\",\"b\",\"c\"]"),
            ("split", "\"häß\"", "[null]", "[\"h\",\"ä\",\"ß\"]"),
            ("split", "\"a, b\"", "[\", \"]", "[\"a\",\"b\"]"),
            ("split", "\"hello th1ere\"", "[1]", "[\"hello th\",\"ere\"]"),
            ("split", "\"Hello there\"", "[false]", "[\"Hello there\"]"),
            ("split", "56", "[\" \"]", "[\"56\"]"),
            ("split", "null", "[\",\"]", "[]"),
        ]);
        let many = format!("{:?}", "x".repeat(60_000));
        check(&[(
            "split",
            &many,
            "[\"\"]",
            "error: the result takes more than",
        )]);
    }
}
