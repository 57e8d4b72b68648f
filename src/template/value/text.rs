//! Text of values. A clone costs nothing, however long the text is: values are cloned wherever they are looked at.

use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

/// Text: borrowed from the scene or the template, or made during the render and shared from then on.
#[derive(Debug, Clone)]
pub enum Text<'a> {
    /// As it stands in the payload or the template.
    Borrowed(&'a str),
    /// Made by a filter or a tag.
    Made(Rc<str>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Made(text) => text,
        }
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self::Borrowed(text)
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self::Made(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::value::Value;

    /// Values are cloned in loops: what a clone costs would be nowhere counted.
    #[test]
    fn clones_share_their_text() {
        let made = Value::array(vec![Value::text("x".repeat(10_000))]);
        let at = |value: &Value<'_>| match value.dot("first") {
            Value::Str(text) => text.as_ptr(),
            other => panic!("{other:?}"),
        };
        assert_eq!(at(&made), at(&made.clone()));
        let text = Text::from("a".to_owned());
        assert_eq!(text.as_ptr(), text.clone().as_ptr());
    }
}
