//! Values as a person can read and tell apart: JSON text with every character that cannot be seen written as its
//! escape, long ones cut. What is printed is plain: nothing of a payload reaches the terminal's own language.

use serde_json::Value;

/// Most characters of a value that are shown.
pub(super) const SHOWN: usize = 120;
/// Characters that are kept before the first difference.
const BEFORE: usize = 40;

/// A value as JSON on one line, uncut.
pub(super) fn json(value: &Value) -> String {
    visible(&value.to_string())
}

/// JSON text in which what cannot be seen is escaped, so that it stays the same JSON.
pub(super) fn visible(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        if is_unseen(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                shown.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Whether a character cannot be seen as itself: controls, spaces other than the usual one, what joins or turns others.
fn is_unseen(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    c.is_control()
        || c.is_whitespace()
        || matches!(c,
            '\u{ad}' | '\u{300}'..='\u{36f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Whether two texts are the same but for white space and what cannot be seen.
pub(super) fn look_alike(a: &str, b: &str) -> bool {
    let seen = |c: &char| *c != ' ' && !is_unseen(*c);
    a != b && a.chars().filter(seen).eq(b.chars().filter(seen))
}

/// A text of at most [`SHOWN`] characters.
pub(super) fn cut(text: &str) -> String {
    window(text, 0)
}

/// Two texts, each cut to what is around their first difference.
pub(super) fn cut_both(a: &str, b: &str) -> (String, String) {
    let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    let start = |text: &str| match text.chars().nth(SHOWN) {
        Some(_) => same.saturating_sub(BEFORE),
        None => 0,
    };
    (window(a, start(a)), window(b, start(b)))
}

fn window(text: &str, start: usize) -> String {
    let mut rest = text.chars().skip(start);
    let mut shown = String::new();
    if start > 0 {
        shown.push('…');
    }
    shown.extend(rest.by_ref().take(SHOWN));
    if rest.next().is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_cannot_be_seen_is_escaped() {
        for (text, wanted) in [
            ("Köln \u{1f600}", "\"Köln \u{1f600}\""),
            ("a\tb\u{1b}[2J\u{7f}", r#""a\tb\u001b[2J\u007f""#),
            ("a\u{a0}b\u{200b}\u{202e}", r#""a\u00a0b\u200b\u202e""#),
            ("e\u{301}\u{e0041}", r#""e\u0301\udb40\udc41""#),
            ("\u{9b}\u{feff}", r#""\u009b\ufeff""#),
        ] {
            let shown = json(&json!(text));
            assert_eq!(shown, wanted);
            let again: Value = serde_json::from_str(&shown).unwrap();
            assert_eq!(again, json!(text), "it stays the same JSON");
        }
    }

    #[test]
    fn texts_that_look_alike_are_known() {
        for (a, b, wanted) in [
            ("a b", "a  b", true),
            ("a b", "a\u{a0}b", true),
            ("ab", "a\u{200b}b\n", true),
            ("ab", "ab", false),
            ("ab", "aB", false),
        ] {
            assert_eq!(look_alike(a, b), wanted, "{a:?} {b:?}");
        }
    }

    #[test]
    fn long_texts_are_cut_around_their_first_difference() {
        let long = "x".repeat(500);
        let (a, b) = cut_both(&format!("{long}1{long}"), &format!("{long}2{long}"));
        assert_eq!(a.chars().count(), SHOWN + 2);
        let at = |text: &str, c| text.chars().position(|found| found == c);
        assert_eq!(
            (at(&a, '1'), at(&b, '2')),
            (Some(BEFORE + 1), Some(BEFORE + 1))
        );
        assert_eq!(cut_both("abc", "abd"), ("abc".to_owned(), "abd".to_owned()));
        let (a, b) = cut_both(&long, "y");
        assert_eq!((a.chars().count(), b.as_str()), (SHOWN + 1, "y"));
        // One text is the beginning of the other.
        let (a, b) = cut_both(&long, &long[..200]);
        assert!(a.len() > b.len(), "{a} {b}");
    }
}
