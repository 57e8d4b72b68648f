//! The ways in which a sample is changed: what every place of it is replaced by, and the places.
//!
//! Not here: what a template makes of it (see `mutate`).

use std::fmt;

use serde_json::{Map, Number, Value, json};

use crate::template::{ShownPath, Step};

/// The length of the very long text: more than any field of a vendor holds.
const LONG: usize = 20_000;
/// Most bytes of a value that is shown.
const SHOWN: usize = 60;

/// What a place becomes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Change {
    /// It is not there.
    Removed,
    /// This.
    Set(Value),
    /// An array with its first item only.
    One,
    /// An array with its first item twice.
    Two,
    /// The other boolean.
    Other,
}

impl Change {
    /// Whether it puts one text in the place of another, neither of them blank: what a template must take as it comes.
    pub(super) fn keeps_text(&self, before: &Value) -> bool {
        let filled = |value: &Value| value.as_str().is_some_and(|text| !text.trim().is_empty());
        matches!(self, Self::Set(after) if filled(after)) && filled(before)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed => f.write_str("removed"),
            Self::Set(value) => {
                let text = value.to_string();
                match text.char_indices().nth(SHOWN) {
                    Some((cut, _)) => {
                        write!(
                            f,
                            "= {}... ({} bytes)",
                            text.get(..cut).unwrap_or(""),
                            text.len()
                        )
                    }
                    None => write!(f, "= {text}"),
                }
            }
            Self::One => f.write_str("with one item"),
            Self::Two => f.write_str("with two items that are the same"),
            Self::Other => f.write_str("the other way round"),
        }
    }
}

/// All changes, by the kind of the place. Each list begins with the removal, then what is nothing.
#[derive(Debug)]
pub(super) struct Menu {
    null: Vec<Change>,
    boolean: Vec<Change>,
    number: Vec<Change>,
    text: Vec<Change>,
    array: Vec<Change>,
    object: Vec<Change>,
}

/// Texts that break out of where they are printed, if anything does.
fn hostile() -> Vec<Value> {
    let mut texts: Vec<Value> = [
        "\"",
        "\\",
        "\\u00",
        "\\\"",
        "'",
        "a\nb\r\n\tc",
        "\u{0}\u{1}\u{8}\u{1b}\u{1f}\u{7f}",
        "\",\"admin\":true,\"x\":\"",
        "\"}, {\"",
        "}]",
        "{{ payload }}",
        "{% raw %}",
        "\u{2028}\u{2029}\u{feff}",
        "\u{1f469}\u{200d}\u{1f680}\u{e9}",
        "</script><!--",
        "null",
        "1e999",
        " a ",
        "%",
    ]
    .map(Value::from)
    .into();
    texts.push(Value::from("x".repeat(LONG)));
    texts
}

/// Numbers that are read wrongly, if any is.
fn numbers() -> Vec<Value> {
    let number = |text: &str| text.parse::<Number>().ok().map(Value::Number);
    [
        "0",
        "-0",
        "-1",
        "0.1",
        "1e400",
        "-1e-400",
        "123456789012345678901234567890",
        "18446744073709551616",
    ]
    .into_iter()
    .filter_map(number)
    .collect()
}

impl Menu {
    pub(super) fn new() -> Self {
        let kinds = [
            json!(true),
            json!(7),
            json!("other"),
            json!([]),
            json!({}),
            json!(["item"]),
            json!({"key": "value"}),
        ];
        let of = |empty: Value, own: Vec<Change>| {
            let mut changes = vec![
                Change::Removed,
                Change::Set(Value::Null),
                Change::Set(empty),
            ];
            for change in kinds.iter().cloned().map(Change::Set).chain(own) {
                if !changes.contains(&change) {
                    changes.push(change);
                }
            }
            changes
        };
        let set = |values: Vec<Value>| values.into_iter().map(Change::Set).collect();
        Self {
            null: of(json!(""), Vec::new()),
            boolean: of(json!(""), vec![Change::Other]),
            number: of(json!(0), set(numbers())),
            text: of(json!(""), set(hostile())),
            array: of(json!([]), vec![Change::One, Change::Two]),
            object: of(json!({}), Vec::new()),
        }
    }

    /// What can become of a place; the sample as a whole cannot be removed.
    pub(super) fn of(&self, value: &Value, whole: bool) -> &[Change] {
        let changes = match value {
            Value::Null => &self.null,
            Value::Bool(_) => &self.boolean,
            Value::Number(_) => &self.number,
            Value::String(_) => &self.text,
            Value::Array(_) => &self.array,
            Value::Object(_) => &self.object,
        };
        changes.get(usize::from(whole)..).unwrap_or(&[])
    }
}

/// The places of a value, itself first, each behind the one that holds it.
#[derive(Debug)]
pub(super) struct Places<'v> {
    places: Vec<Place<'v>>,
}

#[derive(Debug)]
struct Place<'v> {
    /// The place that holds it; its own number for the whole.
    parent: usize,
    key: Key<'v>,
    value: &'v Value,
}

#[derive(Debug, Clone, Copy)]
enum Key<'v> {
    Whole,
    Member(&'v str),
    Item(usize),
}

impl<'v> Places<'v> {
    pub(super) fn of(value: &'v Value) -> Self {
        let mut places = vec![Place {
            parent: 0,
            key: Key::Whole,
            value,
        }];
        let mut at = 0;
        while let Some(place) = places.get(at) {
            match place.value {
                Value::Object(members) => {
                    places.extend(members.iter().map(|(name, value)| Place {
                        parent: at,
                        key: Key::Member(name),
                        value,
                    }))
                }
                Value::Array(items) => {
                    places.extend(items.iter().enumerate().map(|(index, value)| Place {
                        parent: at,
                        key: Key::Item(index),
                        value,
                    }));
                }
                _ => {}
            }
            at += 1;
        }
        Self { places }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// What stands at a place.
    pub(super) fn value(&self, place: usize) -> Option<&'v Value> {
        self.places.get(place).map(|place| place.value)
    }

    /// The way to a place, from the whole on.
    fn way(&self, place: usize) -> Vec<Key<'v>> {
        let mut way = Vec::new();
        let mut at = place;
        while let Some(Place { parent, key, .. }) = self.places.get(at)
            && !matches!(key, Key::Whole)
        {
            way.push(*key);
            at = *parent;
        }
        way.reverse();
        way
    }

    /// The path of a place, for people; `each` shows no numbers of items.
    pub(super) fn shown(&self, place: usize, each: bool) -> String {
        let step = |key: Key<'_>| match key {
            Key::Member(name) => Some(Step::Member(name.to_owned())),
            Key::Item(_) if each => Some(Step::Each),
            Key::Item(index) => Some(Step::Index(i64::try_from(index).ok()?)),
            Key::Whole => None,
        };
        let steps: Vec<Step> = self.way(place).into_iter().filter_map(step).collect();
        ShownPath(&steps).to_string()
    }

    /// Changes the same place of a copy of the value; `None` if it is not there any more.
    pub(super) fn apply(&self, place: usize, change: &Change, copy: &mut Value) -> Option<()> {
        let way = self.way(place);
        let Some((last, before)) = way.split_last() else {
            return alter(copy, change);
        };
        let mut at = copy;
        for key in before {
            at = inside(at, *key)?;
        }
        match (change, at, last) {
            (Change::Removed, Value::Object(members), Key::Member(name)) => {
                members.shift_remove(*name).map(drop)
            }
            (Change::Removed, Value::Array(items), Key::Item(index)) => {
                (*index < items.len()).then(|| drop(items.remove(*index)))
            }
            (Change::Removed, ..) => None,
            (change, at, last) => alter(inside(at, *last)?, change),
        }
    }
}

fn inside<'c>(value: &'c mut Value, key: Key<'_>) -> Option<&'c mut Value> {
    match (value, key) {
        (Value::Object(members), Key::Member(name)) => members.get_mut(name),
        (Value::Array(items), Key::Item(index)) => items.get_mut(index),
        _ => None,
    }
}

fn alter(at: &mut Value, change: &Change) -> Option<()> {
    match (change, at) {
        (Change::Set(value), at) => *at = value.clone(),
        (Change::One, Value::Array(items)) => items.truncate(1),
        (Change::Two, Value::Array(items)) => {
            let first = items.first()?.clone();
            *items = vec![first.clone(), first];
        }
        (Change::Other, Value::Bool(boolean)) => *boolean = !*boolean,
        _ => return None,
    }
    Some(())
}

/// Whether two values have the same skeleton: kinds, keys and lengths.
pub(super) fn same_skeleton(one: &Value, other: &Value) -> bool {
    let members = |one: &Map<String, Value>, other: &Map<String, Value>| {
        one.len() == other.len()
            && one
                .iter()
                .zip(other)
                .all(|((a, one), (b, other))| a == b && same_skeleton(one, other))
    };
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => members(one, other),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(a, b)| same_skeleton(a, b))
        }
        (Value::Null, Value::Null)
        | (Value::Bool(_), Value::Bool(_))
        | (Value::Number(_), Value::Number(_))
        | (Value::String(_), Value::String(_)) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_found_and_changed_alone() {
        let value = json!({"a": [1, {"b": "x"}], "c d": null});
        let places = Places::of(&value);
        let shown: Vec<String> = (0..places.len())
            .map(|at| places.shown(at, false))
            .collect();
        let wanted = [
            "payload",
            "payload.a",
            "payload[\"c d\"]",
            "payload.a[0]",
            "payload.a[1]",
            "payload.a[1].b",
        ];
        assert_eq!(shown, wanted);
        assert_eq!(places.shown(5, true), "payload.a[].b");
        for (place, change, wanted) in [
            (0, Change::Set(json!(1)), json!(1)),
            (1, Change::Removed, json!({"c d": null})),
            (1, Change::One, json!({"a": [1], "c d": null})),
            (1, Change::Two, json!({"a": [1, 1], "c d": null})),
            (2, Change::Removed, json!({"a": [1, {"b": "x"}]})),
            (3, Change::Removed, json!({"a": [{"b": "x"}], "c d": null})),
            (
                5,
                Change::Set(json!([])),
                json!({"a": [1, {"b": []}], "c d": null}),
            ),
        ] {
            let mut copy = value.clone();
            assert_eq!(
                places.apply(place, &change, &mut copy),
                Some(()),
                "{place} {change}"
            );
            assert_eq!(copy, wanted, "{place} {change}");
        }
        let mut gone = json!({"a": 1});
        assert_eq!(places.apply(5, &Change::Removed, &mut gone), None);
        assert_eq!(places.apply(1, &Change::Two, &mut gone), None);
    }

    #[test]
    fn every_kind_has_changes_of_its_own_and_none_twice() {
        let menu = Menu::new();
        for value in [
            json!(null),
            json!(true),
            json!(1),
            json!("a"),
            json!([1]),
            json!({"a": 1}),
        ] {
            let changes = menu.of(&value, false);
            assert!(
                changes.contains(&Change::Removed) && changes.contains(&Change::Set(json!([]))),
                "{value}"
            );
            for (at, change) in changes.iter().enumerate() {
                assert!(!changes[..at].contains(change), "{value}: {change}");
            }
            assert!(!menu.of(&value, true).contains(&Change::Removed), "{value}");
        }
        assert_eq!(numbers().len(), 8);
        assert!(menu.of(&json!("a"), false).len() > 25);
    }

    #[test]
    fn skeletons() {
        for (one, other, same) in [
            (json!({"a": ["x"]}), json!({"a": ["y"]}), true),
            (json!({"a": 1}), json!({"b": 1}), false),
            (json!({"a": 1}), json!({"a": "1"}), false),
            (json!([1]), json!([1, 2]), false),
            (json!(true), json!(false), true),
        ] {
            assert_eq!(same_skeleton(&one, &other), same, "{one} {other}");
        }
    }
}
