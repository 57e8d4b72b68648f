//! Dotted paths into JSON that reach into arrays.

use crate::json::{Kind, Ref};

/// Most segments of a path; JSON that is parsed is not nested deeper than about four times this.
const MAX_SEGMENTS: usize = 32;

/// A parsed path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(Vec<Segment>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Segment {
    key: String,
    /// The segment as a position in an array.
    index: Option<usize>,
}

impl Path {
    /// Reads `data.items.0.sku`, `data['a.b'].c`, `items[0]`; the error says what is wrong.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut segments = Vec::new();
        let mut rest = text;
        loop {
            let (segment, after) = if let Some(inner) = rest.strip_prefix('[') {
                bracketed(inner)?
            } else {
                let end = rest.find(['.', '[']).unwrap_or(rest.len());
                let (key, after) = rest.split_at(end);
                if key.is_empty() {
                    return Err("a path is keys with dots between them, such as `data.items.sku`; here a key is empty".to_owned());
                }
                (Segment::plain(key), after)
            };
            segments.push(segment);
            if after.is_empty() {
                break;
            }
            rest = match after.strip_prefix('.') {
                Some(rest) => rest,
                None if after.starts_with('[') => after,
                None => return Err("after `]` comes a dot, another `[` or nothing".to_owned()),
            };
        }
        if segments.len() > MAX_SEGMENTS {
            return Err(format!(
                "a path has at most {MAX_SEGMENTS} keys, this one has {}",
                segments.len()
            ));
        }
        Ok(Self(segments))
    }

    /// Every value that the path reaches; of an array also its elements, after the array itself.
    #[must_use]
    pub fn reach<'a>(&self, root: Ref<'a>) -> Vec<Ref<'a>> {
        let mut here = vec![root];
        let mut next = Vec::new();
        for segment in &self.0 {
            for value in here.drain(..) {
                match (value.kind(), segment.index) {
                    (Kind::Array(items), Some(index)) => next.extend(items.get(index)),
                    _ => spread(value, &mut |value| next.extend(value.get(&segment.key))),
                }
            }
            std::mem::swap(&mut here, &mut next);
        }
        for value in here {
            spread(value, &mut |value| next.push(value));
        }
        next
    }
}

impl Segment {
    fn plain(key: &str) -> Self {
        let digits = !key.is_empty() && key.bytes().all(|b| b.is_ascii_digit());
        Self {
            key: key.to_owned(),
            index: digits.then(|| key.parse().ok()).flatten(),
        }
    }
}

/// The segment in brackets whose text begins with `inner`, and what follows it.
fn bracketed(inner: &str) -> Result<(Segment, &str), String> {
    const FORM: &str = "brackets hold a quoted key or a position: `['a.b']`, `[0]`";
    for quote in ['\'', '"'] {
        if let Some(quoted) = inner.strip_prefix(quote) {
            let (key, after) = quoted.split_once(quote).ok_or(FORM)?;
            let after = after.strip_prefix(']').ok_or(FORM)?;
            let segment = Segment {
                key: key.to_owned(),
                index: None,
            };
            return Ok((segment, after));
        }
    }
    let (digits, after) = inner.split_once(']').ok_or(FORM)?;
    let segment = Segment::plain(digits);
    if segment.index.is_none() {
        return Err(FORM.to_owned());
    }
    Ok((segment, after))
}

/// Visits the value, and if it is an array its elements, and theirs. Recurses no deeper than JSON nests.
fn spread<'a>(value: Ref<'a>, visit: &mut impl FnMut(Ref<'a>)) {
    visit(value);
    if let Kind::Array(items) = value.kind() {
        items.iter().for_each(|item| spread(item, visit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Document;
    use serde_json::{Value, json};

    #[test]
    fn paths_reach() {
        let root = json!({"a": [{"b": 1}, [{"b": 2}], 7], "c.d": {"e": []}, "0": {"b": 3}});
        for (path, wanted) in [
            ("a.b", json!([1, 2])),
            ("a.0.b", json!([1])),
            ("a[1].b", json!([2])),
            ("a.2", json!([7])),
            ("a.3", json!([])),
            ("a.2.x", json!([])),
            ("['c.d'].e", json!([[]])),
            ("0.b", json!([3])),
            ("['0']['b']", json!([3])),
            ("x.y.z", json!([])),
        ] {
            let document = Document::from(&root);
            let reached = Path::parse(path).unwrap().reach(document.root());
            let got: Value = reached.into_iter().map(Ref::to_value).collect();
            assert_eq!(got, wanted, "{path}");
        }
        for wrong in [
            "", ".", "a.", ".a", "a..b", "a[", "a[x]", "a['x", "a['x'", "a['x']b", "[]",
        ] {
            assert!(Path::parse(wrong).is_err(), "{wrong:?}");
        }
        assert!(Path::parse(&["a"; MAX_SEGMENTS + 1].join(".")).is_err());
    }
}
