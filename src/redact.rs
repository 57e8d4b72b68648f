//! What of a body is not shown: the values at JSON pointers, and their echoes in other texts. Pure.
//!
//! Promise: a value at one of the pointers is not in what is shown of a body, and not in a text that repeats it word for
//! word (as it is, or as JSON, HTML or a log would escape it; also where it is cut off); a body in which the pointers
//! mean nothing, because it is not JSON, is not shown at all. Beyond it are values that were changed before they were
//! repeated, those of less than four bytes or digits, which stand anywhere by chance, and of members of one name all but
//! the last, in which JSON has its value. Not here: what is sent (never redacted).

use serde_json::Value;

/// What stands in the place of a value.
pub const REDACTED: &str = "[redacted]";

/// Shortest string, in bytes, and shortest number, in digits, that is looked for in other texts.
const LEAST: usize = 4;

/// Most spellings of values that are looked for; where there are more, texts that may repeat them are not shown at all.
const MOST: usize = 4096;

/// So many bytes of the start of a longer value give it away as well: texts are cut off.
const START: usize = 12;

/// Where the values are that are not shown. The default: nowhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redaction {
    pointers: Vec<Vec<Step>>,
    /// The same as they are written.
    written: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// The member of this name, or the element of this number.
    Name(String),
    /// `*`: any of them.
    Any,
}

/// What is no pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PointerError {
    /// It does not begin as one.
    #[error("a JSON pointer begins with `/`, such as /data/ssn or /items/*/card")]
    Start,
    /// A tilde that escapes nothing.
    #[error("in a JSON pointer `~` stands only in `~0` (for ~) and `~1` (for /)")]
    Escape,
}

/// What may be shown of a body.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    /// All of it.
    Whole,
    /// This in its place.
    Redacted(Value),
    /// Nothing.
    Hidden(Hiding),
}

/// Why nothing of a body is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hiding {
    /// It is not JSON, so what is to be left out cannot be found.
    NotJson,
    /// Its source is not in the configuration any more, so what is to be left out is not known.
    SourceGone,
}

/// What may be shown of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// Of its body.
    pub body: Shown,
    /// Of texts that may repeat something of the body.
    pub echoes: Echoes,
}

/// What is blotted out in texts that may repeat something of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Echoes {
    /// These spellings of values, in the order of their letters; there may be none.
    Values(Vec<String>),
    /// The whole text.
    All,
}

impl View {
    /// Everything.
    #[must_use]
    pub fn whole() -> Self {
        Self {
            body: Shown::Whole,
            echoes: Echoes::Values(Vec::new()),
        }
    }

    /// Nothing.
    #[must_use]
    pub fn hidden(why: Hiding) -> Self {
        Self {
            body: Shown::Hidden(why),
            echoes: Echoes::All,
        }
    }

    /// A word that may come from the body: an id, a type. Listings, which have no body to look into, show them in any case.
    #[must_use]
    pub fn word(&self, text: &str) -> String {
        match &self.echoes {
            echoes @ Echoes::Values(_) => echoes.blot(text.to_owned()),
            Echoes::All => text.to_owned(),
        }
    }

    /// The value of a header; senders repeat what is in the body in headers, too.
    #[must_use]
    pub fn header(&self, value: &str) -> String {
        match self.body {
            // Where the pointers mean nothing, there is nothing to repeat.
            Shown::Hidden(Hiding::NotJson) => value.to_owned(),
            _ => self.echoes.blot(value.to_owned()),
        }
    }
}

impl Redaction {
    /// Reads pointers: RFC 6901, and `*` for any member or element.
    ///
    /// # Errors
    /// What is wrong, with the number of the pointer.
    pub fn compile(written: &[String]) -> Result<Self, Vec<(usize, PointerError)>> {
        let mut pointers = Vec::new();
        let mut errors = Vec::new();
        for (i, text) in written.iter().enumerate() {
            match steps(text) {
                Ok(steps) => pointers.push(steps),
                Err(error) => errors.push((i, error)),
            }
        }
        if errors.is_empty() {
            Ok(Self {
                pointers,
                written: written.to_vec(),
            })
        } else {
            Err(errors)
        }
    }

    /// The pointers as they are written.
    #[must_use]
    pub fn written(&self) -> &[String] {
        &self.written
    }

    /// Whether what stands at a JSON pointer, without `*`, is left out.
    #[must_use]
    pub fn covers(&self, pointer: &str) -> bool {
        let Ok(place) = steps(pointer) else {
            return false;
        };
        self.pointers.iter().any(|hidden| {
            let same = |(hidden, step): (&Step, &Step)| *hidden == Step::Any || hidden == step;
            hidden.len() <= place.len() && hidden.iter().zip(&place).all(same)
        })
    }

    /// What may be shown of a body.
    #[must_use]
    pub fn body(&self, body: &[u8]) -> Shown {
        self.view(body).body
    }

    /// What may be shown of an event with this body.
    #[must_use]
    pub fn view(&self, body: &[u8]) -> View {
        if self.pointers.is_empty() {
            return View::whole();
        }
        let Ok(mut value) = serde_json::from_slice(body) else {
            return View::hidden(Hiding::NotJson);
        };
        let mut taken = Vec::new();
        for pointer in &self.pointers {
            take(&mut value, pointer, &mut taken);
        }
        View {
            body: Shown::Redacted(value),
            echoes: Echoes::of(&taken),
        }
    }
}

impl Shown {
    /// Why this is not all of the body, in a word; `None` if it is.
    #[must_use]
    pub fn label(&self) -> Option<&'static str> {
        match self {
            Self::Whole => None,
            Self::Redacted(_) => Some("values"),
            Self::Hidden(Hiding::NotJson) => Some("not_json"),
            Self::Hidden(Hiding::SourceGone) => Some("source_gone"),
        }
    }
}

impl Echoes {
    fn of(taken: &[Value]) -> Self {
        let mut words = Vec::new();
        for value in taken {
            spell(value, &mut words);
        }
        words.sort_unstable();
        words.dedup();
        if words.len() > MOST {
            return Self::All;
        }
        Self::Values(words)
    }

    /// A text without what it repeats.
    #[must_use]
    pub fn blot(&self, text: String) -> String {
        match self {
            Self::All if text.is_empty() => text,
            Self::All => REDACTED.to_owned(),
            Self::Values(words) if words.is_empty() => text,
            Self::Values(words) => blotted(&text, words),
        }
    }
}

fn steps(text: &str) -> Result<Vec<Step>, PointerError> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let rest = text.strip_prefix('/').ok_or(PointerError::Start)?;
    rest.split('/')
        .map(|token| {
            if token == "*" {
                return Ok(Step::Any);
            }
            let mut escapes = token.split('~').skip(1);
            if !escapes.all(|after| after.starts_with(['0', '1'])) {
                return Err(PointerError::Escape);
            }
            Ok(Step::Name(token.replace("~1", "/").replace("~0", "~")))
        })
        .collect()
}

/// Puts [`REDACTED`] where the pointer points, and what stood there into `taken`.
fn take(value: &mut Value, pointer: &[Step], taken: &mut Vec<Value>) {
    let Some((step, rest)) = pointer.split_first() else {
        // What is taken already is no value of the body.
        if value != REDACTED {
            taken.push(std::mem::replace(value, Value::from(REDACTED)));
        }
        return;
    };
    match (value, step) {
        (Value::Object(members), Step::Any) => {
            members
                .values_mut()
                .for_each(|child| take(child, rest, taken));
        }
        (Value::Object(members), Step::Name(name)) => {
            if let Some(child) = members.get_mut(name) {
                take(child, rest, taken);
            }
        }
        (Value::Array(items), Step::Any) => {
            items.iter_mut().for_each(|child| take(child, rest, taken));
        }
        (Value::Array(items), Step::Name(name)) => {
            if let Some(child) = index(name).and_then(|index| items.get_mut(index)) {
                take(child, rest, taken);
            }
        }
        _ => {}
    }
}

/// The number of an element as RFC 6901 writes it: without zeros in front.
fn index(name: &str) -> Option<usize> {
    let plain = name.bytes().all(|byte| byte.is_ascii_digit());
    let first = name.len() == 1 || !name.starts_with('0');
    (plain && first).then(|| name.parse().ok())?
}

/// Every way in which a value, or what it holds, is likely to be written.
fn spell(value: &Value, words: &mut Vec<String>) {
    match value {
        Value::String(text) if text.len() >= LEAST && text != REDACTED => {
            let json = inside(&value.to_string());
            let ascii = ascii(text);
            let slashes = |text: &str| text.replace('/', "\\/");
            words.extend([slashes(&json), slashes(&ascii), html(text)]);
            words.extend([json, ascii, inside(&format!("{text:?}")), text.clone()]);
        }
        Value::Number(number) => {
            let text = number.to_string();
            let digits = |text: &str| text.bytes().filter(u8::is_ascii_digit).count();
            // As it was sent, and as one writes it who has read it: 1e4 is 10000, 1234.50 is 1234.5.
            let plain = text.parse().ok().filter(|value: &f64| value.is_finite());
            let forms = plain
                .map(|value| value.to_string())
                .into_iter()
                .chain([text]);
            words.extend(forms.filter(|text| digits(text) >= LEAST));
        }
        Value::Array(items) => items.iter().for_each(|item| spell(item, words)),
        Value::Object(members) => members.values().for_each(|member| spell(member, words)),
        Value::String(_) | Value::Bool(_) | Value::Null => {}
    }
}

/// What stands between the quotes.
fn inside(quoted: &str) -> String {
    let inner = quoted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    inner.unwrap_or(quoted).to_owned()
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// The text inside a JSON string of ASCII only.
fn ascii(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out
}

/// The text without the words, which are in order. All matches are found before any is taken out, so that none hides
/// another that it overlaps.
fn blotted(text: &str, words: &[String]) -> String {
    // A character that was cut in two at the end has become a mark.
    let end = text.trim_end_matches(char::REPLACEMENT_CHARACTER).len();
    let mut spans: Vec<(usize, usize)> = Vec::new();
    for (at, first) in text.char_indices() {
        let after = text.get(at..).unwrap_or_default();
        let from = words.partition_point(|word| word.chars().next() < Some(first));
        let alike = words.get(from..).unwrap_or_default().iter();
        let given_away = alike
            .take_while(|word| word.starts_with(first))
            .filter_map(|word| {
                let same = common(after, word);
                let whole = same == word.len() || same >= START;
                (whole || (same >= LEAST && at + same >= end)).then_some(same)
            });
        let Some(longest) = given_away.max() else {
            continue;
        };
        match spans.last_mut() {
            Some((_, until)) if at < *until => *until = (*until).max(at + longest),
            _ => spans.push((at, at + longest)),
        }
    }
    let mut out = String::new();
    let mut done = 0;
    for (from, until) in spans {
        out.push_str(text.get(done..from).unwrap_or_default());
        out.push_str(REDACTED);
        done = until;
    }
    out.push_str(text.get(done..).unwrap_or_default());
    out
}

/// How many bytes two texts have in common at their start, whole characters only.
fn common(a: &str, b: &str) -> usize {
    let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b);
    same.map(|(c, _)| c.len_utf8()).sum()
}

#[cfg(test)]
mod tests;
