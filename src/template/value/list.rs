//! Arrays, objects and what loops run through. Nothing of JSON is copied; order is kept.

use std::rc::Rc;

use serde_json::{Map, Value as Json};

use super::{Text, Value};
use crate::json::{Items, Members};

/// Up to so many members, comparing their names is faster than hashing the one that is looked for.
const FEW_MEMBERS: usize = 8;

/// An array: borrowed from JSON, or made by filters.
#[derive(Debug, Clone)]
pub enum Array<'a> {
    /// Straight from the body of an event.
    Parsed(Items<'a>),
    /// From JSON that was made: constants of the configuration, payloads of tests.
    Json(&'a [Json]),
    /// Made during the render.
    Made(Rc<Vec<Value<'a>>>),
}

/// An object: borrowed from JSON, or made during the render. Members keep their order.
#[derive(Debug, Clone)]
pub enum Object<'a> {
    /// Straight from the body of an event.
    Parsed(Members<'a>),
    /// From JSON that was made: constants of the configuration, payloads of tests.
    Json(&'a Map<String, Json>),
    /// Made during the render: `event`, `headers`, `forloop` and the like.
    Made(Rc<Vec<(Text<'a>, Value<'a>)>>),
}

impl<'a> Array<'a> {
    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Parsed(items) => items.len(),
            Self::Json(items) => items.len(),
            Self::Made(items) => items.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The item at `index`, from 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Value<'a>> {
        match self {
            Self::Parsed(items) => items.get(index).map(Value::from),
            Self::Json(items) => items.get(index).map(Value::from),
            Self::Made(items) => items.get(index).cloned(),
        }
    }

    /// All items in order.
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

impl<'a> Object<'a> {
    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Parsed(members) => members.len(),
            Self::Json(members) => members.len(),
            Self::Made(members) => members.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The member of this name.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        match self {
            Self::Parsed(members) => members.get(key).map(Value::from),
            Self::Json(members) if members.len() <= FEW_MEMBERS => members
                .iter()
                .find(|(name, _)| *name == key)
                .map(|(_, value)| Value::from(value)),
            Self::Json(members) => members.get(key).map(Value::from),
            Self::Made(members) => members
                .iter()
                .find(|(name, _)| **name == *key)
                .map(|(_, value)| value.clone()),
        }
    }

    /// What looking for a member is counted as, in bytes: objects that were made are searched from the start.
    #[must_use]
    pub fn search_bytes(&self, key: &str) -> u64 {
        let names = match self {
            Self::Parsed(_) | Self::Json(_) => 1,
            Self::Made(members) => members.len(),
        };
        names.saturating_add(key.len()) as u64
    }

    /// All members in order.
    pub fn iter(&self) -> impl Iterator<Item = (Text<'a>, Value<'a>)> + '_ {
        let (parsed, json, made) = match self {
            Self::Parsed(members) => (Some(members.iter()), None, None),
            Self::Json(members) => (None, Some(members.iter()), None),
            Self::Made(members) => (None, None, Some(members.iter())),
        };
        let parsed = parsed.into_iter().flatten();
        let parsed = parsed.map(|(key, value)| (Text::Borrowed(key), Value::from(value)));
        let json = json.into_iter().flatten();
        let json = json.map(|(key, value)| (Text::Borrowed(key), Value::from(value)));
        parsed
            .chain(json)
            .chain(made.into_iter().flatten().cloned())
    }

    /// The members as an array of pairs `[key, value]`, which is what loops and array filters see.
    #[must_use]
    pub fn pairs(&self) -> Array<'a> {
        let pairs = self
            .iter()
            .map(|(key, value)| Value::array(vec![Value::Str(key), value]));
        Array::Made(Rc::new(pairs.collect()))
    }
}

/// What a loop runs through: an array, the pairs of an object, one string, or a lazy range.
#[derive(Debug, Clone)]
pub enum Sequence<'a> {
    /// Items that are there.
    Array(Array<'a>),
    /// Whole numbers, both ends included; nothing if the first is greater.
    Range(i64, i64),
}

impl<'a> Sequence<'a> {
    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Array(items) => items.len(),
            Self::Range(first, last) => range_len(*first, *last),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The item at `index`, from 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Value<'a>> {
        match self {
            Self::Array(items) => items.get(index),
            Self::Range(first, last) if index < range_len(*first, *last) => {
                first.checked_add_unsigned(index as u64).map(Value::int)
            }
            Self::Range(..) => None,
        }
    }

    /// All items in order; a range stays lazy.
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

/// How many numbers a range holds; saturates.
#[must_use]
pub fn range_len(first: i64, last: i64) -> usize {
    if first > last {
        return 0;
    }
    usize::try_from(last.abs_diff(first)).map_or(usize::MAX, |n| n.saturating_add(1))
}

/// An index from the front, or from the end if it is negative.
pub(super) fn position(index: i64, len: usize) -> Option<usize> {
    if index >= 0 {
        usize::try_from(index).ok()
    } else {
        len.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)
    }
}
