//! What is taken and what it means, held against `serde_json`; what lookups find; what hostile texts cost.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

/// Both parsers say the same of this text.
fn agree(json: &[u8]) -> Result<(), TestCaseError> {
    let shown = String::from_utf8_lossy(json);
    let (ours, theirs) = (Document::parse(json), serde_json::from_slice::<Value>(json));
    match (&ours, &theirs) {
        (Ok(ours), Ok(theirs)) => {
            prop_assert_eq!(&ours.root().to_value(), theirs, "{}", shown);
            // equal objects may differ in order
            prop_assert_eq!(ours.root().to_string(), theirs.to_string(), "{}", shown);
            finds(ours.root(), theirs)
        }
        (Err(_), Err(_)) => Ok(()),
        _ => Err(TestCaseError::fail(format!(
            "{shown}: {ours:?}, but {theirs:?}"
        ))),
    }
}

/// Everything that is there is found by its position or name, and nothing else is.
fn finds(ours: Ref<'_>, theirs: &Value) -> Result<(), TestCaseError> {
    match (ours.kind(), theirs) {
        (Kind::Array(items), Value::Array(known)) => {
            prop_assert_eq!(items.len(), known.len());
            prop_assert!(items.get(items.len()).is_none());
            for (index, known) in known.iter().enumerate() {
                finds(items.get(index).unwrap(), known)?;
            }
        }
        (Kind::Object(members), Value::Object(known)) => {
            prop_assert_eq!(members.len(), known.len());
            for (name, value) in known {
                finds(members.get(name).unwrap(), value)?;
                let other = format!("{name}?");
                prop_assert_eq!(members.get(&other).is_some(), known.contains_key(&other));
            }
        }
        (Kind::Array(_) | Kind::Object(_), _) => prop_assert!(false, "{:?}", theirs),
        _ => {}
    }
    Ok(())
}

fn space() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(String::new()), 1 => "[ \n\r\t]{1,3}"]
}

/// The content of a string, written in odd ways and now and then wrongly.
fn characters() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => "[a-z ]{1,12}",
        2 => "[^\"\\\\\u{0}-\u{1f}]{1,3}",
        1 => r#"\\["\\/bfnrt]"#,
        1 => r"\\u00[0-9a-fA-F]{2}",
        1 => r"\\u[0-9a-cA-CfF][0-9a-fA-F]{3}",
        1 => r"\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}",
        1 => prop_oneof![
            r"\\ud[89a-f][0-9a-f]{2}",
            r"\\u[0-9a-g]{3}",
            r"\\[a-zA-Z0-9]",
            "[\u{0}-\u{1f}]",
        ].prop_filter("rare", |piece| piece.len() % 3 == 0),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

/// Few names, some of them written otherwise: many are equal.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-c]{0,2}",
        2 => "[a-f][0-9]{1,2}",
        1 => "(a|\\\\u006[1-3])b?",
        1 => characters(),
    ]
}

fn number() -> impl Strategy<Value = String> {
    "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,10})?([eE][+-]?[0-9]{1,4})?"
}

/// A JSON text, seldom a wrong one.
fn text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(vec!["null", "true", "false", "-0", "0"]).prop_map(str::to_owned),
        number(),
        characters().prop_map(|text| format!("\"{text}\"")),
    ];
    let leaf = (space(), leaf, space()).prop_map(|(a, leaf, b)| format!("{a}{leaf}{b}"));
    leaf.prop_recursive(5, 200, 40, |inner| {
        let member = (space(), name(), space(), inner.clone())
            .prop_map(|(a, name, b, value)| format!("{a}\"{name}\"{b}:{value}"));
        let array =
            prop::collection::vec(inner, 0..8).prop_map(|items| format!("[{}]", items.join(",")));
        let object = prop::collection::vec(member, 0..40)
            .prop_map(|members| format!("{{{}}}", members.join(",")));
        (space(), prop_oneof![array, object], space())
            .prop_map(|(a, text, b)| format!("{a}{text}{b}"))
    })
}

#[derive(Debug, Clone)]
enum Damage {
    Byte(u8),
    Insert(u8),
    Remove,
    Cut,
}

fn damages() -> impl Strategy<Value = Vec<(usize, Damage)>> {
    let byte = || {
        prop_oneof![
            any::<u8>(),
            prop::sample::select(b"{}[]\",:\\ue-+.01 \n".to_vec())
        ]
    };
    let damage = prop_oneof![
        4 => byte().prop_map(Damage::Byte),
        4 => byte().prop_map(Damage::Insert),
        4 => Just(Damage::Remove),
        1 => Just(Damage::Cut),
    ];
    prop::collection::vec((any::<usize>(), damage), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn it_reads_what_serde_json_reads(text in text()) {
        agree(text.as_bytes())?;
    }

    #[test]
    fn it_refuses_what_serde_json_refuses(text in text(), damages in damages()) {
        let mut bytes = text.into_bytes();
        for (at, damage) in damages {
            let at = at % (bytes.len() + 1);
            match damage {
                Damage::Insert(byte) => bytes.insert(at, byte),
                Damage::Cut => bytes.truncate(at),
                Damage::Byte(byte) if at < bytes.len() => bytes[at] = byte,
                Damage::Remove if at < bytes.len() => drop(bytes.remove(at)),
                Damage::Byte(_) | Damage::Remove => {}
            }
        }
        agree(&bytes)?;
    }

    #[test]
    fn bytes_of_any_kind_are_judged_alike(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
        agree(&bytes)?;
    }
}

#[test]
fn the_verdicts_of_a_table() {
    use JsonError::{Control, Deep, End, Escape, Unexpected, Utf8};
    let nested = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat();
    let rows: Vec<(Vec<u8>, Option<JsonError>)> = [
        ("0", None),
        ("-0", None),
        ("-0.0e-0", None),
        ("1E5", None),
        ("1e05", None),
        (" \r\n\t[ ] ", None),
        ("{ }", None),
        (r#"{"a":1,"a":2}"#, None),
        (r#""\"\\\/\b\f\n\r\t\u0000\uFFFF\ud83d\uDE00""#, None),
        ("\"\u{7f}\u{2028}é😀\"", None),
        ("", Some(End)),
        ("  ", Some(End)),
        ("\u{feff}1", Some(Unexpected(0))),
        ("\u{a0}1", Some(Unexpected(0))),
        ("\u{b}1", Some(Unexpected(0))),
        ("1 2", Some(Unexpected(2))),
        ("1\0", Some(Unexpected(1))),
        ("01", Some(Unexpected(1))),
        ("-01", Some(Unexpected(2))),
        ("+1", Some(Unexpected(0))),
        ("-", Some(End)),
        ("-a", Some(Unexpected(1))),
        ("1.", Some(End)),
        (".5", Some(Unexpected(0))),
        ("1.e5", Some(Unexpected(2))),
        ("1e", Some(End)),
        ("1e+", Some(End)),
        ("1e+-1", Some(Unexpected(3))),
        ("NaN", Some(Unexpected(0))),
        ("nul", Some(Unexpected(0))),
        ("nulll", Some(Unexpected(4))),
        ("TRUE", Some(Unexpected(0))),
        ("[1,]", Some(Unexpected(3))),
        ("[,1]", Some(Unexpected(1))),
        ("[1 2]", Some(Unexpected(3))),
        ("[1", Some(End)),
        ("[}", Some(Unexpected(1))),
        ("]", Some(Unexpected(0))),
        (r#"{"a":1,}"#, Some(Unexpected(7))),
        (r#"{"a" 1}"#, Some(Unexpected(5))),
        (r#"{"a":}"#, Some(Unexpected(5))),
        (r#"{"a"}"#, Some(Unexpected(4))),
        ("{a:1}", Some(Unexpected(1))),
        ("{1:1}", Some(Unexpected(1))),
        (r#"{"a":1"#, Some(End)),
        ("// no\n1", Some(Unexpected(0))),
        ("'a'", Some(Unexpected(0))),
        ("\"a", Some(End)),
        ("\"a\\", Some(End)),
        ("\"a\nb\"", Some(Control(2))),
        ("\"longer than eight\tbytes\"", Some(Control(18))),
        ("\"\\n\u{1f}\"", Some(Control(3))),
        (r#""\x""#, Some(Escape(2))),
        (r#""\u12""#, Some(Escape(5))),
        (r#""\u+123""#, Some(Escape(3))),
        (r#""\ud83d""#, Some(Escape(2))),
        (r#""\ud83dx""#, Some(Escape(2))),
        (r#""\ud83d\n""#, Some(Escape(2))),
        (r#""\ud83d\ud83d""#, Some(Escape(2))),
        (r#""\ude00\ud83d""#, Some(Escape(2))),
    ]
    .into_iter()
    .map(|(text, wanted)| (text.as_bytes().to_vec(), wanted))
    .chain([
        (nested(MAX_DEPTH).into_bytes(), None),
        (nested(MAX_DEPTH + 1).into_bytes(), Some(Deep(MAX_DEPTH))),
        (nested(200).into_bytes(), Some(Deep(MAX_DEPTH))),
        (vec![b'['; 10 << 20], Some(Deep(MAX_DEPTH))),
        (br#"{"a":"#.repeat(2 << 20), Some(Deep(5 * MAX_DEPTH))),
        (vec![b'9'; 1 << 20], None),
        (b"\"\xff\"".to_vec(), Some(Utf8(1))),
        (b"\"\xed\xa0\x80\"".to_vec(), Some(Utf8(1))),
        (b"\"\xc3\\u00a9\"".to_vec(), Some(Utf8(1))),
        (b"\"\xc0\xaf\"".to_vec(), Some(Utf8(1))),
        (b"[1]\xff".to_vec(), Some(Utf8(3))),
        (b"\xef\xbb\xbf{}".to_vec(), Some(Unexpected(0))),
    ])
    .collect();
    for (json, wanted) in rows {
        let shown = String::from_utf8_lossy(&json[..json.len().min(40)]).into_owned();
        assert_eq!(Document::parse(&json).err(), wanted, "{shown}");
        agree(&json).unwrap_or_else(|error| panic!("{shown}: {error}"));
    }
}

#[test]
fn numbers_keep_their_text() {
    for (written, wanted) in [
        ("0", "0"),
        ("-0", "-0"),
        ("1.10", "1.10"),
        ("1e5", "1e+5"),
        ("1E5", "1e+5"),
        ("1E+5", "1e+5"),
        ("1E-05", "1e-05"),
        ("-1.50e+9", "-1.50e+9"),
        (
            "123456789012345678901234567890",
            "123456789012345678901234567890",
        ),
    ] {
        let document = Document::parse(written.as_bytes()).unwrap();
        match document.root().kind() {
            Kind::Number(text) => assert_eq!(text, wanted, "{written}"),
            other => panic!("{written}: {other:?}"),
        }
    }
}

/// The one thing that is not as `serde_json` has it, which takes these for a number and for an error.
#[test]
fn a_name_that_is_private_to_serde_json_is_a_name() {
    for text in [
        r#"{"$serde_json::private::Number":"1"}"#,
        r#"{"$serde_json::private::Number":true,"a":1}"#,
    ] {
        let document = Document::parse(text.as_bytes()).unwrap();
        assert_eq!(document.root().to_string(), text);
    }
}

#[test]
fn pointers_lead_where_they_lead_in_serde_json() {
    let value = serde_json::json!({
        "a": {"b": [10, {"c": null}], "": 1, "x/y": 2, "m~n": 3, "~1": 4}, "": {"": 5}, "0": 6
    });
    let document = Document::from(&value);
    for pointer in [
        "", "/", "//", "/a", "/a/", "/a/b", "/a/b/0", "/a/b/1/c", "/a/b/2", "/a/b/00", "/a/b/01",
        "/a/b/+1", "/a/b/-1", "/a/b/", "/a/b/-", "/a/x~1y", "/a/m~0n", "/a/~01", "/a/~2", "/0",
        "a", "a/b", "x/a", "/a/b/0/x", "/none",
    ] {
        let found = document.root().pointer(pointer).map(Ref::to_value);
        assert_eq!(found.as_ref(), value.pointer(pointer), "{pointer:?}");
    }
}

/// A body of a mebibyte may take milliseconds, never seconds.
#[test]
fn hostile_bodies_are_parsed_in_time() {
    const SIZE: usize = 1 << 20;
    let object = |member: &dyn Fn(usize) -> String| {
        let mut text = String::from("{");
        for n in 0.. {
            text.push_str(&member(n));
            if text.len() > SIZE {
                break;
            }
            text.push(',');
        }
        text + "}"
    };
    let prefix = "x".repeat(1000);
    let rows = [
        ("many members", object(&|n| format!("\"{n}\":1"))),
        ("one name", object(&|_| "\"a\":1".to_owned())),
        ("few names", object(&|n| format!("\"{}\":1", n % 100))),
        ("every name twice", object(&|n| format!("\"{}\":1", n / 2))),
        (
            "long prefixes",
            object(&|n| format!("\"{prefix}{n:06}\":1")),
        ),
        (
            "names going down",
            object(&|n| format!("\"{:09}\":1", 999_999_999 - n)),
        ),
        (
            "objects as large as few is",
            object(&|n| {
                let members: Vec<_> = (0..FEW_MEMBERS)
                    .map(|m| format!("\"{prefix}{m:02}\":0"))
                    .collect();
                format!("\"{n}\":{{{}}}", members.join(","))
            }),
        ),
        ("escapes", format!("\"{}\"", "\\u00e9".repeat(SIZE / 6))),
        ("exponents", format!("[{}0]", "1E1,".repeat(SIZE / 4))),
        ("items", format!("[{}0]", "0,".repeat(SIZE / 2))),
    ];
    for (name, text) in rows {
        let begun = Instant::now();
        let document = Document::parse(text.as_bytes()).unwrap();
        if let Kind::Object(members) = document.root().kind() {
            assert!(members.iter().all(|(name, _)| members.get(name).is_some()));
        }
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(3), "{name}: {took:?}");
        agree(text.as_bytes()).unwrap();
    }
}
