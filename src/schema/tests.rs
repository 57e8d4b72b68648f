//! What is refused, what fits, and that no schema makes a check hang or overflow.

use super::*;
use serde_json::{Map, json};

#[test]
fn what_is_no_schema_is_refused_in_words() {
    for (text, wanted) in [
        ("{", "it is not JSON: EOF"),
        ("5", "it is no schema: 5 is not of types"),
        (
            r#"{"type": "objekt"}"#,
            "it is no schema: /type: \"objekt\"",
        ),
        (
            r#"{"minimum": "1"}"#,
            "it is no schema: /minimum: \"1\" is not of type",
        ),
        (
            r##"{"$ref": "#/$defs/none"}"##,
            "it is no schema: Pointer '/$defs/none'",
        ),
        (
            r#"{"$ref": "https://example.com/x.json"}"#,
            "it refers to \"https://example.com/x.json\", which is not in the file",
        ),
        (
            r#"{"properties": {"a": {"$ref": "other.json"}}}"#,
            "it refers to \"other.json\"",
        ),
        (
            r#"{"$ref": "file:///etc/hostname"}"#,
            "it refers to \"file:///etc/hostname\"",
        ),
        (
            r#"{"$schema": "https://example.com/my"}"#,
            "it is no schema: Unknown meta-schema",
        ),
        (
            r#"{"pattern": "(?=a)b"}"#,
            "/pattern: \"(?=a)b\" cannot be used as a pattern",
        ),
        (r#"{"pattern": "(a)\\1"}"#, "cannot be used as a pattern"),
        (
            r#"{"pattern": "((a{1000}){1000}){1000}"}"#,
            "cannot be used as a pattern",
        ),
    ] {
        let error = Schema::compile("s", text).expect_err(text).to_string();
        assert!(error.contains(wanted), "{text}: {error}");
    }
}

#[test]
fn outputs_fit_or_are_told_where_not() {
    let vendor = json!({
        "type": "object",
        "properties": {
            "phone": {"type": "string", "pattern": "^[0-9+ ]*$"},
            "items": {"type": "array", "items": {"$ref": "#/$defs/item"}},
            "enum": {"type": "string"},
        },
        "required": ["phone"],
        "additionalProperties": false,
        "$defs": {"item": {"type": "integer", "minimum": 0}},
    });
    let long = "x".repeat(1000);
    for (schema, output, wanted) in [
        (&vendor, json!({"phone": "+49 1", "items": [0, 1]}), &[][..]),
        (
            &vendor,
            json!({"phone": null}),
            &["/phone: null is not of type \"string\""],
        ),
        (
            &vendor,
            json!({"phone": "", "items": [1, -1, "a"]}),
            &[
                "/items/1: -1 is less than the minimum of 0",
                "/items/2: \"a\" is not of type \"integer\"",
            ],
        ),
        (
            &vendor,
            json!([long]),
            &["the array is not of type \"object\""],
        ),
        (
            &vendor,
            json!({"phone": long}),
            &["/phone: the text does not match"],
        ),
        (&vendor, json!({}), &["\"phone\" is a required property"]),
        (
            &vendor,
            json!({"phone": "", "a\nb": 1}),
            &["Additional properties are not allowed ('a b' was unexpected)"],
        ),
        (
            &vendor,
            json!({"phone": "", "enum": 1}),
            &["/enum: 1 is not of type"],
        ),
        // What is data stays as it is, and names that the author gives are no keywords.
        (
            &json!({"const": {"a": {}}, "enum": [{"a": {}}]}),
            json!({"a": {}}),
            &[],
        ),
        (
            &json!({"properties": {"const": {"type": "null"}, "properties": {"enum": [1]}}}),
            json!({"const": 1, "properties": 2}),
            &["/const: 1 is not of type", "/properties: 2 is not one of"],
        ),
        (&json!(true), json!(1), &[]),
        (&json!(false), json!(1), &["False schema does not allow 1"]),
        // Without `$schema` it is 2020-12, where a list of schemas stands under `prefixItems`.
        (
            &json!({"prefixItems": [{"type": "null"}]}),
            json!([1]),
            &["/0: 1 is not"],
        ),
        (
            &json!({"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "null"}]}),
            json!([1]),
            &["/0: 1 is not"],
        ),
        (
            &json!({"$schema": "http://json-schema.org/draft-04/schema#", "properties": {"a": {"type": "null"}}, "dependencies": {"a": ["b"]}}),
            json!({"a": null}),
            &["\"b\" is a required property"],
        ),
        // Numbers that no double holds are still numbers.
        (
            &json!({"items": {"type": "number", "maximum": 9}}),
            serde_json::from_str("[1e400, -1e400, 123456789012345678901234567890]").unwrap(),
            &[
                "/0: 1e+400 is greater than",
                "/2: 123456789012345678901234567890 is greater",
            ],
        ),
    ] {
        let compiled = Schema::compile("s", &schema.to_string()).unwrap();
        let told: Vec<String> = compiled
            .misfits(&output)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(told.len(), wanted.len(), "{schema} {output}: {told:?}");
        for (told, wanted) in told.iter().zip(wanted) {
            assert!(told.contains(wanted), "{schema}: {told:?}");
        }
        assert_eq!(
            compiled.check(&output).is_ok(),
            wanted.is_empty(),
            "{schema}"
        );
    }
}

#[test]
fn a_misfit_names_the_rule_and_is_short() {
    let schema =
        json!({"properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"type": "null"}}});
    let schema = Schema::compile("s", &schema.to_string()).unwrap();
    let found = schema.check(&json!({"a": 1})).unwrap_err();
    assert_eq!(
        (found.at.as_str(), found.rule.as_str()),
        ("/a", "/$defs/a/type")
    );
    let closed = Schema::compile("s", r#"{"additionalProperties": false}"#).unwrap();
    let many: Map<String, Value> = (0..1000).map(|n| (n.to_string(), json!(n))).collect();
    let found = closed.check(&Value::Object(many)).unwrap_err();
    assert!(found.message.len() < 300, "{found}");
    let numbers = Schema::compile("s", r#"{"items": {"type": "string"}}"#).unwrap();
    assert_eq!(numbers.misfits(&json!(vec![1; 1000])).len(), TOLD);
}

/// Arrays within arrays, a number inside.
fn nested(depth: usize) -> Value {
    (0..depth).fold(json!(1), |inner, _| json!([inner]))
}

#[test]
fn no_schema_makes_a_check_take_for_ever() {
    let one = json!({"type": "array", "items": {"$ref": "#"}});
    let other = json!({"type": "array", "minItems": 0, "items": {"$ref": "#"}});
    let chain: Map<String, Value> = (0..40)
        .map(|n| {
            let next = json!({"$ref": format!("#/$defs/a{}", n + 1)});
            (format!("a{n}"), json!({"allOf": [next, next]}))
        })
        .chain([("a40".to_owned(), json!({"type": "number"}))])
        .collect();
    for schema in [
        json!({"anyOf": [one, other]}),
        json!({"oneOf": [one, other]}),
        json!({"items": {"$ref": "#"}, "contains": {"$ref": "#"}, "type": "array"}),
        json!({"$schema": "http://json-schema.org/draft-07/schema#", "anyOf": [one, other]}),
        json!({"$defs": chain, "$ref": "#/$defs/a0"}),
        json!({"$ref": "#/$defs/const", "$defs": {"const": {"anyOf": [
            {"type": "array", "items": {"$ref": "#/$defs/const"}},
            {"type": "array", "minItems": 0, "items": {"$ref": "#/$defs/const"}},
        ]}}}),
        json!({"$dynamicAnchor": "n", "anyOf": [
            {"type": "array", "items": {"$dynamicRef": "#n"}},
            {"type": "array", "minItems": 0, "items": {"$dynamicRef": "#n"}},
        ]}),
        json!({"type": "array", "if": {"items": {"$ref": "#"}}, "else": {"items": {"$ref": "#"}}}),
        json!({"type": "array", "not": {"items": {"not": {"$ref": "#"}}}, "unevaluatedItems": {"$ref": "#"}}),
    ] {
        let compiled = Schema::compile("s", &schema.to_string()).unwrap();
        // What is told does not matter here; that anything is, does.
        assert!(compiled.check(&nested(100)).is_err(), "{schema}");
    }
    for schema in [json!({"$ref": "#"}), json!({"allOf": [{"$ref": "#"}]})] {
        let compiled = Schema::compile("s", &schema.to_string()).unwrap();
        assert_eq!(compiled.check(&nested(100)), Ok(()), "{schema}");
    }
    // Backtracking engines take for ever here.
    let pattern = Schema::compile("s", r#"{"pattern": "^(a+)+$"}"#).unwrap();
    let text = format!("{}b", "a".repeat(100_000));
    assert!(pattern.check(&json!(text)).is_err());
}

#[test]
fn long_chains_of_references_overflow_no_stack() {
    let chain = |last: Value| -> String {
        let mut defs: Map<String, Value> = (0..8_000)
            .map(|n| (n.to_string(), json!({"$ref": format!("#/$defs/{}", n + 1)})))
            .collect();
        defs.insert("8000".to_owned(), last);
        json!({"$defs": defs, "$ref": "#/$defs/0"}).to_string()
    };
    for (last, output) in [
        (json!({"type": "number"}), json!(1)),
        (json!({"items": {"$ref": "#"}}), nested(100)),
    ] {
        let text = chain(last);
        assert!(text.len() as u64 <= SCHEMA_BYTES);
        let schema = Schema::compile("s", &text).unwrap();
        let found = schema.check(&output).unwrap_err();
        assert!(found.message.contains("nests too deeply"), "{found:?}");
    }
    // As deep as is let through, by the ways that take most of the stack.
    for applied in ["allOf", "anyOf", "oneOf"] {
        let schema_of = |applied: &str, kinds: Value| {
            let inner = json!({"type": kinds, "items": {"$ref": "#"}});
            let schema = (0..6).fold(inner, |inner, _| json!({applied: [inner]}));
            Schema::compile("s", &schema.to_string()).unwrap()
        };
        let schema = schema_of(applied, json!(["array", "number"]));
        let depth = WITHIN / (schema.chain + 2) - 1;
        assert!(depth > 90, "{applied}");
        let arrays = schema_of(applied, json!("array"));
        let found = arrays.check(&nested(depth)).unwrap_err();
        assert!(!found.message.contains("nests too deeply"), "{found}");
        assert_eq!(schema.check(&nested(depth)), Ok(()), "{applied}");
        let nesting = schema.check(&nested(depth + 1)).unwrap_err();
        assert!(nesting.message.contains("nests too deeply"), "{nesting}");
    }
    let tree = r##"{"type": "object", "additionalProperties": {"$ref": "#"}}"##;
    let deep = (0..120).fold(json!({}), |inner, _| json!({"a": inner}));
    assert_eq!(Schema::compile("s", tree).unwrap().check(&deep), Ok(()));
}

#[test]
fn a_large_output_is_checked() {
    let schema = Schema::compile("s", r#"{"items": {"type": "integer"}}"#).unwrap();
    assert_eq!(schema.check(&json!(vec![1; 300_000])), Ok(()));
}
