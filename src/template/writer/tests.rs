//! The context table of the writer, its repairs and its errors.

use serde_json::{Value as Json, json};

use super::scan::is_json_number;
use super::*;

/// Literal text, and JSON text that stands for a value.
enum Piece<'t> {
    L(&'t str),
    V(&'t str),
    J(&'t str),
}
use Piece::{J, L, V};

fn write(pieces: &[Piece<'_>]) -> Result<(String, Vec<&'static str>), String> {
    let mut writer = Writer::new(1 << 16);
    for piece in pieces {
        let (text, printed) = match piece {
            L(text) => (text, None),
            V(text) => (text, Some(Printed::Plain)),
            J(text) => (text, Some(Printed::Json)),
        };
        let origin = Origin {
            file: 0,
            span: Span::new(0, text.len()),
        };
        let done = match printed {
            None => writer.write_literal(text, origin),
            Some(printed) => {
                let json: Json = serde_json::from_str(text).unwrap();
                writer.write_value(&Value::from(&json), printed, origin)
            }
        };
        done.map_err(|fault| fault.message)?;
    }
    let (text, repairs) = writer
        .finish(Span::new(0, 0))
        .map_err(|fault| fault.message)?;
    serde_json::from_str::<Json>(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    Ok((text, repairs.into_iter().map(|r| r.what).collect()))
}

/// Every place × every kind of value; `!` is an error.
#[test]
fn context_table() {
    let kinds = [
        r#""a\"b""#,
        "1.50",
        "true",
        "null",
        "[1,\"x\"]",
        "{\"k\":1}",
    ];
    let rows: &[(&str, &str, [&str; 6])] = &[
        (
            "",
            "",
            [
                r#""a\"b""#,
                "1.50",
                "true",
                "null",
                "[1,\"x\"]",
                "{\"k\":1}",
            ],
        ),
        (
            "[",
            "]",
            [
                r#"["a\"b"]"#,
                "[1.50]",
                "[true]",
                "[null]",
                "[[1,\"x\"]]",
                "[{\"k\":1}]",
            ],
        ),
        (
            "[0, ",
            "]",
            [
                r#"[0,"a\"b"]"#,
                "[0,1.50]",
                "[0,true]",
                "[0,null]",
                "[0,[1,\"x\"]]",
                "[0,{\"k\":1}]",
            ],
        ),
        (
            "{\"a\": ",
            "}",
            [
                r#"{"a":"a\"b"}"#,
                "{\"a\":1.50}",
                "{\"a\":true}",
                "{\"a\":null}",
                "{\"a\":[1,\"x\"]}",
                "{\"a\":{\"k\":1}}",
            ],
        ),
        (
            "\"<",
            ">\"",
            [
                r#""<a\"b>""#,
                "\"<1.50>\"",
                "\"<true>\"",
                "\"<>\"",
                r#""<[1,\"x\"]>""#,
                r#""<{\"k\":1}>""#,
            ],
        ),
        (
            "{",
            ": 0}",
            [
                r#"{"a\"b":0}"#,
                "{\"1.50\":0}",
                "{\"true\":0}",
                "!",
                "!",
                "!",
            ],
        ),
        (
            "{\"z\": 1, ",
            ": 0}",
            [
                r#"{"z":1,"a\"b":0}"#,
                "{\"z\":1,\"1.50\":0}",
                "{\"z\":1,\"true\":0}",
                "!",
                "!",
                "!",
            ],
        ),
        (
            "{\"<",
            ">\": 0}",
            [
                r#"{"<a\"b>":0}"#,
                "{\"<1.50>\":0}",
                "{\"<true>\":0}",
                "{\"<>\":0}",
                r#"{"<[1,\"x\"]>":0}"#,
                r#"{"<{\"k\":1}>":0}"#,
            ],
        ),
        ("[0 ", "]", ["!"; 6]),
        ("[\"a\"", "]", ["!"; 6]),
        ("{\"a\"", ": 1}", ["!"; 6]),
        ("{\"a\": 1 ", "}", ["!"; 6]),
        ("1", "", ["!"; 6]),
        ("[1.", "]", ["!"; 6]),
        ("[tr", "ue]", ["!"; 6]),
        ("\"\\", "n\"", ["!"; 6]),
        ("\"\\u00", "41\"", ["!"; 6]),
        ("\"\\ud83d", "\\ude00\"", ["!"; 6]),
        ("{} ", "", ["!"; 6]),
    ];
    for (before, after, expected) in rows {
        for (kind, expected) in kinds.iter().zip(expected) {
            let written = write(&[L(before), V(kind), L(after)]);
            let name = format!("{before}{{{{ {kind} }}}}{after}");
            match written {
                Ok((text, repairs)) => {
                    assert_eq!(text, *expected, "{name}");
                    assert!(repairs.is_empty(), "{name}: {repairs:?}");
                }
                Err(error) => assert_eq!(*expected, "!", "{name}: {error}"),
            }
        }
    }
}

#[test]
fn repairs() {
    let rows: &[(&str, &str, &[&str])] = &[
        (
            "[1,2,]",
            "[1,2]",
            &["trailing comma dropped: the array's length depends on the payload"],
        ),
        (
            "[,1]",
            "[1]",
            &["leading comma dropped: the array's length depends on the payload"],
        ),
        (
            "[,]",
            "[]",
            &["leading comma dropped: the array's length depends on the payload"],
        ),
        (
            "[1,,2]",
            "[1,2]",
            &["doubled comma dropped: the array's length depends on the payload"],
        ),
        ("{\"a\":1,}", "{\"a\":1}", &["trailing comma dropped"]),
        ("{,\"a\":1}", "{\"a\":1}", &["leading comma dropped"]),
        (
            "{\"a\":1,,\"b\":2}",
            "{\"a\":1,\"b\":2}",
            &["doubled comma dropped"],
        ),
        (
            "{\"a\":}",
            "{\"a\":null}",
            &["value missing after a colon: null"],
        ),
        (
            "{\"a\": , \"b\":1}",
            "{\"a\":null,\"b\":1}",
            &["value missing after a colon: null"],
        ),
        (
            "{\"a\": ,}",
            "{\"a\":null}",
            &[
                "value missing after a colon: null",
                "trailing comma dropped",
            ],
        ),
        (
            "\"a\n\tb\u{1}\"",
            "\"a\\n\\tb\\u0001\"",
            &[
                "raw control character in a string escaped",
                "raw control character in a string escaped",
                "raw control character in a string escaped",
            ],
        ),
        ("[ 1 , 2 ]", "[1,2]", &[]),
    ];
    for (text, expected, repairs) in rows {
        let (written, mended) = write(&[L(text)]).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(written, *expected, "{text}");
        assert_eq!(mended, *repairs, "{text}");
    }
}

#[test]
fn no_comma_is_ever_inserted() {
    for text in [
        "[1 2]",
        "{\"a\":1 \"b\":2}",
        "[{} {}]",
        "[\"a\" \"b\"]",
        "{} {}",
        "1 2",
    ] {
        assert!(write(&[L(text)]).is_err(), "{text}");
    }
}

#[test]
fn tokens_may_come_in_pieces() {
    let rows: &[(&[Piece<'_>], &str)] = &[
        (&[L("tr"), L("ue")], "true"),
        (&[L("[fal"), L("se,nu"), L("ll]")], "[false,null]"),
        (
            &[L("-"), L("1"), L("."), L("5e"), L("+"), L("7 ")],
            "-1.5e+7",
        ),
        (
            &[L("\""), V("\"a\""), L("-"), V("1"), L("\\"), L("n\"")],
            "\"a-1\\n\"",
        ),
        (
            &[L("\"\\ud8"), L("3d\\ude"), L("00\"")],
            "\"\\ud83d\\ude00\"",
        ),
        (&[L("{\"a"), V("1"), L("\":"), V("2"), L("}")], "{\"a1\":2}"),
    ];
    for (pieces, expected) in rows {
        assert_eq!(write(pieces).unwrap().0, *expected);
    }
}

#[test]
fn what_json_is_not() {
    let rows = [
        "",
        "  ",
        "[",
        "{",
        "[1",
        "{\"a\"",
        "{\"a\":",
        "\"a",
        "tru",
        "1.",
        "-",
        "01",
        "+1",
        ".5",
        "1e",
        "nul1",
        "'a'",
        "{a:1}",
        "{1:1}",
        "[1}",
        "{\"a\":1]",
        "[{\"a\":1]]",
        "]",
        ",",
        ":",
        "{\"a\",1}",
        "[1,2}",
        "{\"a\":1,]",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\ud83d\"",
        "\"\\ud83dx\"",
        "\"\\ud83d\\n\"",
        "\"\\ude00\"",
        "NaN",
        "Infinity",
        "/* a */1",
        "[1:2]",
        "{\"a\"::1}",
        "truefalse",
        "true,",
        "\u{feff}1",
        "\u{a0}1",
    ];
    for text in rows {
        assert!(write(&[L(text)]).is_err(), "{text:?} was taken");
        assert!(
            serde_json::from_str::<Json>(text).is_err(),
            "{text:?} is JSON"
        );
    }
}

#[test]
fn duplicate_keys_are_refused() {
    let rows: &[&[Piece<'_>]] = &[
        &[L("{\"a\":1,\"a\":2}")],
        &[L("{\"a\":1,\"\\u0061\":2}")],
        &[L("{"), V("\"a\""), L(":1,\"a\":2}")],
        &[L("{\"a\":1,"), V("\"a\""), L(":2}")],
        &[L("{\"a"), V("1"), L("\":1,\"a1\":2}")],
        &[L("{\"\\\"\":1,"), V("\"\\\"\""), L(":2}")],
    ];
    for pieces in rows {
        let error = write(pieces).unwrap_err();
        assert!(error.contains("comes twice"), "{error}");
    }
    let distinct = "{\"a\":{\"a\":1,\"b\":{\"a\":1}},\"b\":[{\"a\":1},{\"a\":2}]}";
    assert_eq!(write(&[L(distinct)]).unwrap().0, distinct);
    let many = |last: &str| {
        let members: Vec<String> = (0..100).map(|n| format!("\"k{n}\":{n}")).collect();
        format!("{{{},\"{last}\":0}}", members.join(","))
    };
    assert!(write(&[L(&many("k100"))]).is_ok());
    assert!(write(&[L(&many("k7"))]).is_err());
    assert!(write(&[L(&many("k99"))]).is_err());
}

#[test]
fn a_final_json_filter_changes_nothing_where_a_value_stands() {
    let rows: &[(&[Piece<'_>], &str)] = &[
        (&[J("\"a\"")], "\"a\""),
        (&[L("[1,"), J("[1,\"x\"]"), L("]")], "[1,[1,\"x\"]]"),
        (&[L("{"), J("\"k\""), L(":1}")], "{\"k\":1}"),
        (&[L("\""), J("\"a\""), L("\"")], "\"\\\"a\\\"\""),
        (&[L("\""), J("null"), L("\"")], "\"null\""),
    ];
    for (pieces, expected) in rows {
        assert_eq!(write(pieces).unwrap().0, *expected);
    }
}

#[test]
fn hostile_text_stays_in_its_place() {
    let hostile = [
        "\",\"admin\":true,\"x\":\"",
        "\\",
        "\\\"",
        "\"",
        "\n\r\t\u{0}\u{1f}",
        "\u{2028}",
        "}",
        "]",
        ",",
        ":",
        "{{ x }}",
        "\u{fffd}",
        "\\u0022",
        "true",
        "",
    ];
    for text in hostile {
        let value = serde_json::to_string(text).unwrap();
        let (inside, _) = write(&[
            L("{\"name\": \"<"),
            V(&value),
            L(">\", \"b\": "),
            V(&value),
            L("}"),
        ])
        .unwrap();
        let parsed: Json = serde_json::from_str(&inside).unwrap();
        assert_eq!(
            parsed,
            json!({"name": format!("<{text}>"), "b": text}),
            "{text:?}"
        );
        let (key, _) = write(&[L("{"), V(&value), L(": 1}")]).unwrap();
        let parsed: Json = serde_json::from_str(&key).unwrap();
        assert_eq!(parsed, json!({text: 1}), "{text:?}");
    }
}

#[test]
fn numbers_keep_their_text() {
    for number in [
        "18446744073709551615",
        "1.0",
        "0.1",
        "123456789012345678901234567890",
        "1e+400",
        "0.10",
        "-0.0",
    ] {
        assert_eq!(write(&[V(number)]).unwrap().0, number);
        assert_eq!(
            write(&[L("\""), V(number), L("\"")]).unwrap().0,
            format!("\"{number}\"")
        );
    }
    for text in ["", "1.", "01", "Infinity", "1e", "0x1", "1 ", "--1"] {
        assert!(!is_json_number(text), "{text:?}");
    }
}

#[test]
fn limits() {
    let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    assert!(write(&[L(&deep(DEPTH))]).is_ok());
    assert!(write(&[L(&deep(DEPTH + 1))]).is_err());
    let value = deep(DEPTH - 1);
    assert!(write(&[L("["), V(&value), L("]")]).is_ok());
    assert!(write(&[L("[["), V(&value), L("]]")]).is_err());
    assert!(write(&[L("\""), V(&value), L("\"")]).is_ok());

    let origin = Origin {
        file: 0,
        span: Span::new(0, 1),
    };
    for (literal, value) in [
        ("[", "1234567890"),
        ("\"", "1234567890"),
        ("{", "1234567890"),
    ] {
        let mut writer = Writer::new(8);
        writer.write_literal(literal, origin).unwrap();
        let fault = writer
            .write_value(&Value::from(value), Printed::Plain, origin)
            .unwrap_err();
        assert!(fault.message.contains("larger than 8 bytes"), "{fault:?}");
    }
}

#[test]
fn a_place_is_reported_once_and_not_more_than_a_hundred() {
    let at = |start: usize, text: &str| Origin {
        file: 0,
        span: Span::new(start, start + text.len()),
    };
    let finish = |mut writer: Writer| {
        writer.write_literal("]", at(0, "]")).unwrap();
        writer.finish(Span::new(0, 0)).unwrap().1
    };
    let round = "[1,],";
    let mut writer = Writer::new(1 << 16);
    writer.write_literal("[", at(0, "[")).unwrap();
    for _ in 0..50 {
        writer.write_literal(round, at(7, round)).unwrap();
    }
    let places: Vec<usize> = finish(writer).iter().map(|m| m.origin.span.start).collect();
    assert_eq!(places, [9, 11], "the inner comma, and the last outer one");

    let mut writer = Writer::new(1 << 16);
    writer.write_literal("[", at(0, "[")).unwrap();
    for start in 0..300 {
        writer.write_literal(round, at(10 * start, round)).unwrap();
    }
    assert_eq!(finish(writer).len(), REPAIRS);
}

#[test]
fn errors_say_what_stands_where() {
    let rows: &[(&[Piece<'_>], &str)] = &[
        (
            &[L("[0 "), V("null")],
            "nil cannot be printed after a value, where `,` or an end is due",
        ),
        (
            &[L("{\"a\""), V("1")],
            "a number cannot be printed after a key, where its colon is due",
        ),
        (
            &[L("\"\\"), V("true")],
            "a boolean cannot be printed inside an escape",
        ),
        (
            &[L("[1."), V("\"a\"")],
            "a string cannot be printed inside a number",
        ),
        (
            &[L("[-"), V("1")],
            "a number cannot be printed inside a number",
        ),
        (
            &[L("[tr"), V("\"ue\"")],
            "a string cannot be printed inside a word of JSON",
        ),
        (
            &[L("{} "), V("[]")],
            "an array cannot be printed after the end of the JSON value",
        ),
        (&[L("{"), V("{\"k\":1}")], "a key cannot be an object"),
        (&[L("{"), V("null")], "a key cannot be nil"),
        (&[L("{'a'")], "'\\'' cannot stand where a key starts"),
        (
            &[L("[1 2]")],
            "'2' cannot stand after a value, where `,` or an end is due",
        ),
        (&[L("[nul1")], "`l` is due here, found '1'"),
        (&[L("[01]")], "'1' cannot stand in a number of JSON"),
        (&[L("\"\\x\"")], "`\\x` is no escape of JSON"),
        (
            &[L("{\"a\": 1, \"a\"")],
            "the key \"a\" comes twice in one object",
        ),
        (
            &[L("{\"a\": 1")],
            "the output ends before the `}` of an object",
        ),
        (&[L("\"a")], "the output ends inside a string"),
        (&[], "nothing was printed; a JSON value is due"),
    ];
    for (pieces, message) in rows {
        assert_eq!(write(pieces).unwrap_err(), *message);
    }
}
