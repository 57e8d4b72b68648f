//! The words inside a tag or an output: names, literals, signs.

use super::{Fault, NAME_BYTES, NUMBER_DIGITS, Span, TOKENS};

/// A word of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// A name, a keyword among them.
    Name(String),
    /// A number as it stands.
    Number(String),
    /// A string without its quotes.
    Str(String),
    /// `==`, `!=`, `<>`, `<`, `>`, `<=`, `>=`.
    Compare(&'static str),
    /// One of `. .. [ ] ( ) , : | =`.
    Sign(&'static str),
}

impl Token {
    /// What errors call it.
    pub fn describe(&self) -> String {
        match self {
            Self::Name(name) => format!("`{name}`"),
            Self::Number(text) => format!("the number `{text}`"),
            Self::Str(text) => format!("the string '{text}'"),
            Self::Compare(sign) | Self::Sign(sign) => format!("`{sign}`"),
        }
    }
}

const COMPARE: [&str; 7] = ["==", "!=", "<>", "<=", ">=", "<", ">"];
const SIGNS: [&str; 10] = ["..", ".", "[", "]", "(", ")", ",", ":", "|", "="];

/// Splits the part `span` of `text` into words.
///
/// # Errors
/// A character that means nothing, a string without its end, or too many words.
pub fn tokenize(text: &str, span: Span) -> Result<Vec<(Token, Span)>, Fault> {
    let mut tokens = Vec::new();
    let markup = span.of(text);
    let mut rest = markup;
    loop {
        rest = rest.trim_start();
        let start = span.start + (markup.len() - rest.len());
        let Some(first) = rest.chars().next() else {
            return Ok(tokens);
        };
        let (token, length) = next(rest, first, start)?;
        tokens.push((token, Span::new(start, start + length)));
        if tokens.len() > TOKENS {
            return Err(Fault::new(
                span,
                format!("this has more than {TOKENS} words"),
            ));
        }
        rest = rest.get(length..).unwrap_or("");
    }
}

/// The word that `rest` begins with, and its length in bytes.
fn next(rest: &str, first: char, start: usize) -> Result<(Token, usize), Fault> {
    if first == '"' || first == '\'' {
        return string(rest, first, start);
    }
    let signed = first == '-' && rest.chars().nth(1).is_some_and(|c| c.is_ascii_digit());
    if first.is_ascii_digit() || signed {
        return number(rest, start);
    }
    if first.is_ascii_alphabetic() || first == '_' {
        let length = name_length(rest);
        if length > NAME_BYTES {
            return Err(long_name(Span::new(start, start + length)));
        }
        let name = rest.get(..length).unwrap_or("");
        return Ok((Token::Name(name.to_owned()), length));
    }
    if let Some(sign) = COMPARE.iter().find(|sign| rest.starts_with(**sign)) {
        return Ok((Token::Compare(sign), sign.len()));
    }
    if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
        return Ok((Token::Sign(sign), sign.len()));
    }
    let fault = Fault::new(
        Span::new(start, start + first.len_utf8()),
        format!("`{first}` means nothing here"),
    );
    Err(match first {
        '&' => fault.help("write `and`"),
        '!' => fault.help("write `!=`, or use `unless`"),
        '+' | '-' | '*' | '/' | '%' => {
            fault.help("there are no operators for arithmetic; use filters: `a | plus: b`")
        }
        _ if first.is_alphanumeric() => fault.help(
            "names are made of a-z, A-Z, 0-9, `_` and `-`; reach any other member by `payload['name']`",
        ),
        _ => fault,
    })
}

fn string(rest: &str, quote: char, start: usize) -> Result<(Token, usize), Fault> {
    let content = rest.get(1..).unwrap_or("");
    match content.find(quote) {
        Some(end) => {
            let text = content.get(..end).unwrap_or("").to_owned();
            Ok((Token::Str(text), end + 2))
        }
        None => Err(Fault::new(
            Span::new(start, start + rest.len()),
            "this string has no end",
        )
        .help(format!(
            "close it with {quote}; a string cannot contain `}}}}` or `%}}`"
        ))),
    }
}

fn number(rest: &str, start: usize) -> Result<(Token, usize), Fault> {
    let sign = usize::from(rest.starts_with('-'));
    let digits = |from: usize| {
        let tail = rest.get(from..).unwrap_or("");
        tail.bytes().take_while(u8::is_ascii_digit).count()
    };
    let mut length = sign + digits(sign);
    if rest.get(length..).is_some_and(|tail| tail.starts_with('.')) {
        let fraction = digits(length + 1);
        if fraction > 0 {
            length += 1 + fraction;
        }
    }
    if length > NUMBER_DIGITS {
        return Err(Fault::new(
            Span::new(start, start + length),
            format!("this number has more than {NUMBER_DIGITS} digits"),
        ));
    }
    Ok((
        Token::Number(rest.get(..length).unwrap_or("").to_owned()),
        length,
    ))
}

/// The fault of a name that is too long.
pub fn long_name(span: Span) -> Fault {
    Fault::new(span, format!("this name is longer than {NAME_BYTES} bytes"))
}

/// How many bytes of `rest` are a name: letters of ASCII, digits, `_`, `-`, and one `?` at the end.
pub fn name_length(rest: &str) -> usize {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let length = rest.find(|c: char| !part(c)).unwrap_or(rest.len());
    let question = rest.get(length..).is_some_and(|tail| tail.starts_with('?'));
    length + usize::from(question && length > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let rows: &[(&str, &str)] = &[
            ("a.b[0]", "a . b [ 0 ]"),
            ("(1..5)", "( 1 .. 5 )"),
            ("(1.4..b.c)", "( 1.4 .. b . c )"),
            ("-1.5 a-b c?", "-1.5 a-b c?"),
            ("a<>b<=c", "a <> b <= c"),
            ("x | y: 'a b', c: \"d'\"", "x | y : 'a b' , c : 'd''"),
        ];
        for (text, expected) in rows {
            let tokens = tokenize(text, Span::new(0, text.len())).unwrap();
            let words: Vec<String> = tokens
                .into_iter()
                .map(|(token, _)| match token {
                    Token::Name(t) | Token::Number(t) => t,
                    Token::Str(t) => format!("'{t}'"),
                    Token::Compare(t) | Token::Sign(t) => t.to_owned(),
                })
                .collect();
            assert_eq!(words.join(" "), *expected, "{text}");
        }
    }

    #[test]
    fn wrong_words() {
        for text in [
            "'abc",
            "a & b",
            "!a",
            "-foo",
            "a + b",
            "§",
            &"9".repeat(101),
        ] {
            assert!(
                tokenize(text, Span::new(0, text.len())).is_err(),
                "{text} was taken"
            );
        }
    }
}
