//! Globs over dot-separated segments: `*` within or for one segment, `**` for any number of segments.
//!
//! Both levels match greedily and go back to the last star only, so no glob is exponential.

/// Longest glob in bytes; types are short words.
const MAX_GLOB_BYTES: usize = 256;

/// A parsed glob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob(Vec<Segment>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// `**`
    Any,
    /// A segment whose parts are parted by `*`; at least one part.
    One(Vec<char>),
}

impl Glob {
    /// Reads a glob; the error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("an empty glob matches no type".to_owned());
        }
        if text.len() > MAX_GLOB_BYTES {
            return Err(format!(
                "a glob has at most {MAX_GLOB_BYTES} bytes, this one has {}",
                text.len()
            ));
        }
        let mut segments = Vec::new();
        for segment in text.split('.') {
            if segment == "**" {
                segments.push(Segment::Any);
            } else if segment.contains("**") {
                return Err(format!(
                    "`**` stands for whole segments, as in `a.**`; `{segment}` mixes it with other characters"
                ));
            } else {
                segments.push(Segment::One(segment.chars().collect()));
            }
        }
        Ok(Self(segments))
    }

    /// Whether the glob matches the whole of `text`.
    pub(super) fn matches(&self, text: &str) -> bool {
        let words: Vec<&str> = text.split('.').collect();
        greedy(
            &self.0,
            &words,
            |segment| *segment == Segment::Any,
            |segment, word| match segment {
                Segment::Any => true,
                Segment::One(pattern) => segment_matches(pattern, word),
            },
        )
    }
}

fn segment_matches(pattern: &[char], word: &str) -> bool {
    let word: Vec<char> = word.chars().collect();
    greedy(pattern, &word, |p| *p == '*', |p, c| p == c)
}

/// Whether `pattern` matches all of `items`, where a star matches any run of them. Only the last star is ever
/// taken back: what an earlier one could gain by taking more, the last one gains as well.
fn greedy<P, T>(
    pattern: &[P],
    items: &[T],
    is_star: impl Fn(&P) -> bool,
    fits: impl Fn(&P, &T) -> bool,
) -> bool {
    let (mut p, mut i) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while let Some(item) = items.get(i) {
        match pattern.get(p) {
            Some(part) if is_star(part) => {
                last_star = Some((p + 1, i));
                p += 1;
            }
            Some(part) if fits(part, item) => {
                p += 1;
                i += 1;
            }
            _ => match last_star {
                Some((after, taken)) => {
                    last_star = Some((after, taken + 1));
                    p = after;
                    i = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(is_star)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn globs() {
        for (glob, text, wanted) in [
            ("vendor.update", "vendor.update", true),
            ("vendor.update", "vendor.updated", false),
            ("vendor.*", "vendor.update", true),
            ("vendor.*", "vendor", false),
            ("vendor.*", "vendor.compliance.update", false),
            ("vendor.**", "vendor.compliance.update", true),
            ("vendor.**", "vendor", true),
            ("vendor.**", "vendors.x", false),
            ("**", "anything.at.all", true),
            ("**", "", true),
            ("*", "InvoicePaid", true),
            ("*", "invoice.paid", false),
            ("**.update", "vendor.compliance.update", true),
            ("**.update", "update", true),
            ("**.update", "update.x", false),
            ("a.**.z", "a.z", true),
            ("a.**.z", "a.b.c.z", true),
            ("a.**.m.**.z", "a.b.m.c.z", true),
            ("a.**.m.**.z", "a.b.c.z", false),
            ("invoice_*", "invoice_paid", true),
            ("invoice_*", "invoice_", true),
            ("invoice_*", "invoice_paid.late", false),
            ("*_paid", "invoice_paid", true),
            ("a*b*c.d", "aXbYc.d", true),
            ("a*b*c.d", "aXcYb.d", false),
            ("*é*", "caféteria", true),
        ] {
            assert_eq!(
                Glob::parse(glob).unwrap().matches(text),
                wanted,
                "{glob} on {text}"
            );
        }
        for wrong in ["", "a.***", "a**", &"a".repeat(MAX_GLOB_BYTES + 1)] {
            assert!(Glob::parse(wrong).is_err(), "{wrong}");
        }
    }

    /// The same by trying everything; exponential, but plainly right.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => {
                naive(rest, text) || text.split_first().is_some_and(|(_, t)| naive(pattern, t))
            }
            (Some((p, rest)), Some((t, text))) => p == t && naive(rest, text),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn the_greedy_match_is_right(pattern in "[ab*]{1,8}", text in "[ab]{0,10}") {
            let chars: Vec<char> = pattern.chars().collect();
            prop_assert_eq!(segment_matches(&chars, &text), naive(pattern.as_bytes(), text.as_bytes()));
        }
    }

    #[test]
    fn many_stars_do_not_blow_up() {
        let glob = Glob::parse(&["**.a"; 40].join(".")).unwrap();
        assert!(!glob.matches(&format!("{}b", "a.".repeat(5000))));
        let stars: Vec<char> = "*a".repeat(100).chars().collect();
        assert!(!segment_matches(
            &stars,
            &"a".repeat(20_000).replace("aaaaaaaaaa", "aaaaaaaaab")
        ));
    }
}
