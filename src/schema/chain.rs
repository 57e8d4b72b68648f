//! How many subschemas a schema can apply to one value within each other: what its stack grows by at each level of an
//! output. Recursive; to be called where there is room for a chain of references as long as the text can hold.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// The longest way from a subschema to others that apply to the same value.
pub(super) fn longest(schema: &Value) -> usize {
    let mut known = Known {
        root: schema,
        named: HashMap::new(),
        lengths: HashMap::new(),
    };
    known.name(schema);
    known.within(schema)
}

struct Known<'a> {
    root: &'a Value,
    /// By anchor and by id.
    named: HashMap<&'a str, &'a Value>,
    /// By the address of the object; 0 while it is under way, which ends what leads in a circle.
    lengths: HashMap<*const Map<String, Value>, usize>,
}

impl<'a> Known<'a> {
    fn name(&mut self, schema: &'a Value) {
        match schema {
            Value::Array(items) => items.iter().for_each(|item| self.name(item)),
            Value::Object(members) => {
                for (name, value) in members {
                    let names = ["$id", "id", "$anchor", "$dynamicAnchor"];
                    if let (true, Value::String(text)) = (names.contains(&name.as_str()), value) {
                        self.named.insert(text, schema);
                    }
                    self.name(value);
                }
            }
            _ => {}
        }
    }

    /// The longest way from this or anything below it.
    fn within(&mut self, schema: &'a Value) -> usize {
        let below = match schema {
            Value::Array(items) => items.iter().map(|item| self.within(item)).max(),
            Value::Object(members) => members.values().map(|value| self.within(value)).max(),
            _ => None,
        };
        below.unwrap_or(0).max(self.from(schema))
    }

    fn from(&mut self, schema: &'a Value) -> usize {
        let Value::Object(members) = schema else {
            return 0;
        };
        let address = std::ptr::from_ref(members);
        if let Some(length) = self.lengths.get(&address) {
            return *length;
        }
        self.lengths.insert(address, 0);
        let mut longest = 0;
        for (name, value) in members {
            let next = match (name.as_str(), value) {
                ("$ref" | "$dynamicRef" | "$recursiveRef", Value::String(to)) => {
                    self.target(to).map_or(1, |target| self.from(target))
                }
                ("allOf" | "anyOf" | "oneOf", Value::Array(choices)) => {
                    let lengths = choices.iter().map(|choice| self.from(choice));
                    lengths.max().unwrap_or(0)
                }
                ("not" | "if" | "then" | "else", value) => self.from(value),
                ("dependentSchemas" | "dependencies", Value::Object(schemas)) => {
                    let lengths = schemas.values().map(|schema| self.from(schema));
                    lengths.max().unwrap_or(0)
                }
                _ => 0,
            };
            longest = longest.max(next);
        }
        self.lengths.insert(address, longest + 1);
        longest + 1
    }

    /// What a reference means, as far as that can be told without putting URIs together.
    fn target(&self, reference: &str) -> Option<&'a Value> {
        let fragment = reference.strip_prefix('#').unwrap_or(reference);
        let named = || self.named.get(fragment).or(self.named.get(reference));
        self.root.pointer(fragment).or_else(|| named().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ways_are_counted() {
        for (schema, wanted) in [
            (json!(true), 0),
            (json!({"type": "string"}), 1),
            (json!({"allOf": [{"not": {}}, {}]}), 3),
            (json!({"$ref": "#"}), 1),
            (
                json!({"properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {}}}),
                3,
            ),
            (json!({"items": {"items": {"items": {}}}}), 1),
            (json!({"$ref": "#name"}), 2),
            (
                json!({"$ref": "#name", "$defs": {"a": {"$anchor": "name", "$ref": "b"}, "b": {"$id": "b"}}}),
                3,
            ),
        ] {
            assert_eq!(longest(&schema), wanted, "{schema}");
        }
    }
}
