//! How the demo lays out what it shows: a word on the left, what belongs to it beside or below.
//!
//! Plain text; on a terminal, unless `NO_COLOR` is set, headings are bold and headers dim.

use std::io::IsTerminal;

use http::HeaderMap;
use serde_json::Value;

/// Column in which everything but the words on the left stands.
const MARGIN: usize = 12;

pub(super) struct Page {
    styled: bool,
}

impl Page {
    /// For stdout as it is.
    pub(super) fn of_stdout() -> Self {
        let wanted = |name: &str, plain: fn(&str) -> bool| {
            !std::env::var(name).is_ok_and(|value| plain(&value))
        };
        Self {
            styled: std::io::stdout().is_terminal()
                && wanted("NO_COLOR", |value| !value.is_empty())
                && wanted("TERM", |value| value == "dumb"),
        }
    }

    /// A heading.
    pub(super) fn bold(&self, text: &str) -> String {
        self.style("1", text)
    }

    /// A word and what it says.
    pub(super) fn row(&self, word: &str, text: &str) -> String {
        let word = self.bold(&format!("{word:<MARGIN$}"));
        format!("{word}{text}").trim_end().to_owned()
    }

    /// Headers of these names, each on a line.
    pub(super) fn headers(&self, headers: &HeaderMap, names: &[&str]) -> String {
        let lines: Vec<String> = names
            .iter()
            .filter_map(|name| {
                let value = headers.get(*name)?.to_str().unwrap_or("?");
                let line = self.style("2", &format!("{name}: {value}"));
                Some(format!("{:MARGIN$}{line}", ""))
            })
            .collect();
        lines.join("\n")
    }

    /// JSON over several lines; what is not JSON as it is.
    pub(super) fn json(&self, bytes: &[u8]) -> String {
        let text = match serde_json::from_slice::<Value>(bytes) {
            Ok(value) => format!("{value:#}"),
            Err(_) => String::from_utf8_lossy(bytes).into_owned(),
        };
        let lines: Vec<String> = text
            .lines()
            .map(|line| format!("{:MARGIN$}{line}", ""))
            .collect();
        lines.join("\n")
    }

    fn style(&self, code: &str, text: &str) -> String {
        if self.styled {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn styles_are_for_terminals_only() {
        let headers = HeaderMap::from_iter([(http::header::HOST, "a".parse().unwrap())]);
        let plain = Page { styled: false };
        assert_eq!(plain.row("routed", "a -> b"), "routed      a -> b");
        assert_eq!(plain.row("rendered", ""), "rendered");
        assert_eq!(
            plain.headers(&headers, &["x", "host"]),
            "            host: a"
        );
        assert_eq!(
            plain.json(b"{\"a\":1}"),
            "            {\n              \"a\": 1\n            }"
        );
        assert_eq!(plain.json(b"a\nb"), "            a\n            b");
        let styled = Page { styled: true };
        assert_eq!(styled.bold("a"), "\x1b[1ma\x1b[0m");
    }
}
