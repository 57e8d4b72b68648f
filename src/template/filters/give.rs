//! What filters take and give: coercions of inputs and arguments as Liquid does them, and builders
//! that refuse to grow beyond the bound.

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;

use super::{FilterContext, FilterError};
use crate::template::number::Number;
use crate::template::value::{Text, Value, range_len};

/// The value as text.
pub fn text<'v>(value: &'v Value<'_>, cx: &FilterContext) -> Result<Cow<'v, str>, FilterError> {
    match value {
        Value::Array(_) | Value::Object(_) => {
            let mut out = Bounded::new(cx);
            out.text(value)?;
            Ok(Cow::Owned(out.finish()))
        }
        _ => Ok(value.to_text()),
    }
}

/// The argument as text; nothing if it is nil or was not given.
pub fn optional_text<'v>(
    value: Option<&'v Value<'_>>,
    cx: &FilterContext,
) -> Result<Cow<'v, str>, FilterError> {
    value.map_or(Ok(Cow::Borrowed("")), |value| text(value, cx))
}

/// The number that arithmetic takes the value for: numbers as they are, strings as
/// [`Number::from_text`] reads them, 0 for anything else.
pub fn number<'v>(value: &'v Value<'_>) -> Number<'v> {
    match value {
        Value::Number(number) => number.clone(),
        Value::Str(text) => Number::from_text(text),
        _ => Number::Int(0),
    }
}

/// A count or a position: a whole number or a string that is one (a plus sign may stand in front), clamped to what fits.
pub fn integer(value: &Value<'_>) -> Result<i64, FilterError> {
    let wrong = || {
        FilterError::new(format!(
            "a whole number is needed here, not {}",
            show(value)
        ))
    };
    match value {
        Value::Number(number) if number.is_integer() => Ok(clamp(number)),
        Value::Str(text) => {
            let text = text.trim();
            let unsigned = text.strip_prefix('+').filter(|rest| !rest.starts_with('-'));
            match Number::parse_literal(unsigned.unwrap_or(text)) {
                Some(number) if number.is_integer() => Ok(clamp(&number)),
                _ => Err(wrong()),
            }
        }
        _ => Err(wrong()),
    }
}

fn clamp(number: &Number<'_>) -> i64 {
    let beyond = if number < &Number::Int(0) {
        i64::MIN
    } else {
        i64::MAX
    };
    number.to_i64().unwrap_or(beyond)
}

/// The value for an error message, shortened.
pub fn show(value: &Value<'_>) -> String {
    /// Enough to recognise a value by.
    const SHOWN_CHARACTERS: usize = 40;
    match value {
        Value::Number(number) => number.to_string().chars().take(SHOWN_CHARACTERS).collect(),
        Value::Str(text) if text.chars().count() <= SHOWN_CHARACTERS => format!("`{text}`"),
        _ => value.kind().to_owned(),
    }
}

/// What array filters run through: nothing for nil, the flattened items of an array, the numbers of
/// a range, and any other value as the only item.
pub fn items<'a>(value: Value<'a>, cx: &FilterContext) -> Result<Vec<Value<'a>>, FilterError> {
    let mut list = List::new(cx);
    match value {
        Value::Nil => {}
        Value::Array(_) => list.flatten(value)?,
        Value::Range(first, last) => {
            // Asked before the loop: the range may be endless.
            if range_len(first, last) > list.room / ITEM_BYTES {
                return Err(FilterError::too_long(cx));
            }
            for n in first..=last {
                list.push(Value::int(n))?;
            }
        }
        other => list.push(other)?,
    }
    Ok(list.finish_vec())
}

/// What an item takes, apart from text of its own.
const ITEM_BYTES: usize = size_of::<Value<'_>>();

/// What a text of its own takes besides its bytes.
const TEXT_BYTES: usize = 32;

/// An array under construction. Text that was made counts with its items, which keep it.
pub struct List<'a, 'c> {
    items: Vec<Value<'a>>,
    room: usize,
    cx: &'c FilterContext,
}

impl<'a, 'c> List<'a, 'c> {
    /// An empty one.
    pub fn new(cx: &'c FilterContext) -> Self {
        Self {
            items: Vec::new(),
            room: cx.value_bytes,
            cx,
        }
    }

    /// Adds an item.
    pub fn push(&mut self, item: Value<'a>) -> Result<(), FilterError> {
        let owned = match &item {
            Value::Str(Text::Made(text)) => {
                // What others hold, too, was counted when it was made.
                if Rc::strong_count(text) == 1 {
                    let made = (TEXT_BYTES + text.len()) as u64;
                    self.cx.made.set(self.cx.made.get().saturating_add(made));
                }
                text.len()
            }
            _ => 0,
        };
        self.room = self
            .room
            .checked_sub(ITEM_BYTES + owned)
            .ok_or_else(|| FilterError::too_long(self.cx))?;
        self.items.push(item);
        Ok(())
    }

    /// Adds the items of an array and of the arrays in it; any other value as it is.
    pub fn flatten(&mut self, value: Value<'a>) -> Result<(), FilterError> {
        match value {
            Value::Array(items) => {
                self.cx.spend_items(items.len())?;
                items.iter().try_for_each(|item| self.flatten(item))
            }
            other => self.push(other),
        }
    }

    /// The array.
    pub fn finish(self) -> Value<'a> {
        Value::array(self.items)
    }

    fn finish_vec(self) -> Vec<Value<'a>> {
        self.items
    }
}

/// A text under construction.
pub struct Bounded<'c> {
    text: String,
    cx: &'c FilterContext,
}

impl<'c> Bounded<'c> {
    /// An empty one.
    pub fn new(cx: &'c FilterContext) -> Self {
        Self {
            text: String::new(),
            cx,
        }
    }

    /// Adds text.
    pub fn push(&mut self, text: &str) -> Result<(), FilterError> {
        fmt::Write::write_str(self, text).map_err(|_| FilterError::too_long(self.cx))
    }

    /// Adds what the value shows.
    pub fn text(&mut self, value: &Value<'_>) -> Result<(), FilterError> {
        value
            .write_text(self)
            .map_err(|_| FilterError::too_long(self.cx))
    }

    /// Adds the value as JSON.
    pub fn json(&mut self, value: &Value<'_>) -> Result<(), FilterError> {
        value
            .write_json(self)
            .map_err(|_| FilterError::too_long(self.cx))
    }

    /// The text.
    pub fn finish(self) -> String {
        self.text
    }
}

impl fmt::Write for Bounded<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.text.len().saturating_add(text.len()) > self.cx.value_bytes {
            return Err(fmt::Error);
        }
        // An empty piece counts, too: an array may hold millions.
        if self.cx.spend(text.len().max(1) as u64).is_err() {
            return Err(fmt::Error);
        }
        self.text.push_str(text);
        Ok(())
    }
}
