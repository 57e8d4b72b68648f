//! Where every path of a document stands, and its lines as messages may show them.
//!
//! Promise: no line that it hands out shows a secret.

use std::collections::HashMap;

use super::yaml::{Content, Mark, Node, item, member};

/// Most letters of a key of a secret, misspelt or not; the longest is `credential`.
const MOST_OF_A_WORD: usize = 12;

/// The places of all paths of a document, and its lines with secrets blotted out.
#[derive(Debug, Default)]
pub(super) struct Positions {
    places: HashMap<String, Place>,
    lines: Vec<String>,
}

#[derive(Debug)]
struct Place {
    /// The key, or what a list holds.
    key: Mark,
    /// The value if it is a scalar, else the key.
    value: Mark,
}

impl Positions {
    /// Of a document and its text.
    pub(super) fn of(root: &Node, text: &str) -> Self {
        let mut positions = Self {
            places: HashMap::new(),
            lines: text.lines().map(str::to_owned).collect(),
        };
        positions.walk(root, "", None, false);
        positions
    }

    /// Of a text that is no document: nothing is known of it, so what may be a secret is left out by its line.
    pub(super) fn unparsed(text: &str) -> Self {
        // How far the line is indented below which what is deeper may be a secret's further lines.
        let mut around = None;
        let lines = text.lines().map(|line| {
            let indent = line.len() - line.trim_start().len();
            if around.is_some_and(|outer| indent > outer || line.trim().is_empty()) {
                return blotted(line);
            }
            let secret = ["secret", "token", "value", "authorization", "key:"]
                .iter()
                .any(|word| line.to_lowercase().contains(word));
            around = secret.then_some(indent);
            if secret || has_credentials(line) {
                // Everything but the key is blotted; columns stay.
                let colon = line
                    .find(": ")
                    .or_else(|| line.strip_suffix(':').map(str::len));
                let (key, rest) = line.split_at(colon.map_or(0, |colon| colon + 1));
                format!("{key}{}", blotted(rest))
            } else {
                line.to_owned()
            }
        });
        Self {
            places: HashMap::new(),
            lines: lines.collect(),
        }
    }

    /// The place of a path, or of the nearest one around it that stands in the document.
    pub(super) fn find(&self, path: &str, key: bool) -> Option<Mark> {
        if let Some(place) = self.places.get(path) {
            return Some(if key { place.key } else { place.value });
        }
        let mut path = path;
        while let Some(end) = path.rfind(['.', '[']) {
            path = path.get(..end)?;
            if let Some(place) = self.places.get(path) {
                return Some(place.key);
            }
        }
        None
    }

    /// A line, from 1.
    pub(super) fn line(&self, line: usize) -> &str {
        line.checked_sub(1)
            .and_then(|index| self.lines.get(index))
            .map_or("", String::as_str)
    }

    fn walk(&mut self, node: &Node, path: &str, key: Option<Mark>, secret: bool) {
        let own = match &node.content {
            Content::Scalar(_) => node.mark,
            Content::List(_) => key.unwrap_or(node.mark),
            Content::Map(entries) => key.or(entries.first().map(|e| e.mark)).unwrap_or(node.mark),
        };
        if !path.is_empty() || !matches!(node.content, Content::Map(_)) {
            self.places.entry(path.to_owned()).or_insert(Place {
                key: key.unwrap_or(own),
                value: own,
            });
        }
        match &node.content {
            Content::Scalar(scalar) if secret || has_credentials(&scalar.text) => {
                self.blot(node.mark)
            }
            Content::Scalar(_) => {}
            Content::List(items) => {
                for (i, child) in items.iter().enumerate() {
                    self.walk(child, &item(path, i), None, secret);
                }
            }
            Content::Map(entries) => {
                for entry in entries {
                    if secret && !path.ends_with(".headers") && !is_word(&entry.key) {
                        self.blot(entry.mark);
                    }
                    let secret = holds_secret(path, &entry.key, secret);
                    self.walk(
                        &entry.value,
                        &member(path, &entry.key),
                        Some(entry.mark),
                        secret,
                    );
                }
            }
        }
    }

    fn blot(&mut self, mark: Mark) {
        for line in mark.line..=mark.end_line {
            let from = if line == mark.line {
                mark.column - 1
            } else {
                0
            };
            let to = if line == mark.end_line {
                mark.end_column.saturating_sub(1)
            } else {
                usize::MAX
            };
            if let Some(text) = line
                .checked_sub(1)
                .and_then(|index| self.lines.get_mut(index))
            {
                *text = text
                    .chars()
                    .enumerate()
                    .map(|(i, c)| {
                        if (from..to).contains(&i) && !c.is_whitespace() {
                            '*'
                        } else {
                            c
                        }
                    })
                    .collect();
            }
        }
    }
}

/// Words in keys under which secrets stand, or were meant to.
const SECRET_WORDS: [&str; 4] = ["secret", "tok", "passw", "authori"];

/// Whether what stands under this key of the mapping at `path` is a secret: what is not said to be the name of a place where one is found.
/// Keys that are nearly right count, too: a secret under `secret` or `tokn` is one all the same.
pub(super) fn holds_secret(path: &str, key: &str, around: bool) -> bool {
    // Names and constants are the author's own, and a scheme says where secrets are, not what they are.
    let names = ["sources", "targets"].contains(&path);
    let plain =
        names || path.contains(".scheme") || path.starts_with("vars") || path.starts_with("routes");
    let lower = key.to_ascii_lowercase();
    match key {
        // A text in the place of a mapping may be the secret; what is said openly has keys of its own.
        "auth" if path.starts_with("targets.") => true,
        "username" | "header" | "query" | "token_url" | "client_id" | "client_auth" | "scopes"
        | "params" | "tls"
            if in_auth(path) =>
        {
            false
        }
        // So may a text in the place of the database's mapping be its URL, with a password in it.
        "postgres" if path == "store" => true,
        _ if path == "store.postgres" => !["pool", "ca", "lease", "name"].contains(&key),
        "secrets" => true,
        "headers" => path.starts_with("targets.") || path.starts_with("telemetry."),
        "env" | "file" | "credential" => false,
        "value" if !plain => true,
        _ if !plain && SECRET_WORDS.iter().any(|word| lower.contains(word)) => true,
        _ => around || path.ends_with("tls.key"),
    }
}

/// A path as messages may show it: with a space forgotten (`{value:TEXT}`) a secret becomes a key, so within a secret only
/// words are shown.
pub(super) fn shown(path: &str) -> &str {
    let after = |found: usize, end: char| {
        let rest = path.get(found..)?;
        Some(found + rest.find(end)?)
    };
    let inside = [
        path.find("secrets[")
            .or_else(|| path.find("tokens["))
            .and_then(|at| after(at, ']'))
            .map(|at| at + 1),
        path.find(".headers.").and_then(|at| after(at + 9, '.')),
        path.starts_with("admin.token")
            .then_some("admin.token".len()),
        path.starts_with("egress.proxy_authorization")
            .then_some("egress.proxy_authorization".len()),
        path.starts_with("store.postgres.url")
            .then_some("store.postgres.url".len()),
        path.find("tls.key").map(|at| at + "tls.key".len()),
    ];
    if let Some(known) = known_in_auth(path) {
        return known;
    }
    let inside = inside.into_iter().flatten().min();
    match inside.and_then(|at| path.split_at_checked(at)) {
        Some((outside, inner)) if !inner.strip_prefix('.').is_none_or(is_word) => outside,
        _ => path,
    }
}

/// Whether this is `auth` of a target, or within.
fn in_auth(path: &str) -> bool {
    path.starts_with("targets.") && (path.ends_with(".auth") || path.contains(".auth."))
}

/// As far as a path within `auth` is of keys of ours.
fn known_in_auth(path: &str) -> Option<&str> {
    let start = path.find(".auth.").filter(|_| in_auth(path))? + ".auth".len();
    let (outside, inside) = path.split_at_checked(start)?;
    let mut end = outside.len();
    for part in inside.split('.').skip(1) {
        let name = part.split('[').next().unwrap_or_default();
        if !is_word(name) {
            return path.get(..end);
        }
        end += 1 + part.len();
        // These have names of their own below.
        if matches!(name, "params" | "tls") {
            break;
        }
    }
    None
}

/// Keys of `auth` that are no words.
const KEYS_OF_AUTH: [&str; 6] = [
    "api_key",
    "client_auth",
    "client_id",
    "client_secret",
    "oauth2",
    "token_url",
];

/// Whether this looks like one of our keys, or one that is misspelt.
fn is_word(key: &str) -> bool {
    let short = key.len() <= MOST_OF_A_WORD;
    short && key.bytes().all(|byte| byte.is_ascii_lowercase()) || KEYS_OF_AUTH.contains(&key)
}

/// Whether the text is a URL with a user or password in it, or a key where its file's name is wanted.
pub(super) fn has_credentials(text: &str) -> bool {
    text.contains("PRIVATE KEY-----")
        || text
            .split_once("://")
            .and_then(|(_, rest)| rest.split('/').next())
            .is_some_and(|authority| authority.contains('@'))
}

fn blotted(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_whitespace() { c } else { '*' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::yaml::parse;
    use super::*;

    fn place(text: &str, path: &str, key: bool) -> Option<(usize, usize, usize)> {
        let root = parse(text).unwrap().root;
        let mark = Positions::of(&root, text).find(path, key)?;
        Some((mark.line, mark.column, mark.length))
    }

    #[test]
    fn paths_have_places() {
        let text = "a: 1\nb:\n  - {x: 'é y', z: [1, 22]}\n  - name: n\n    to: erp\n\"c d\": |\n  long\n  text\n";
        for (path, key, wanted) in [
            ("a", false, Some((1, 4, 1))),
            ("a", true, Some((1, 1, 1))),
            ("b", false, Some((2, 1, 1))),
            ("b[0].x", false, Some((3, 9, 5))),
            ("b[0].z[1]", false, Some((3, 23, 2))),
            ("b[1]", false, Some((4, 5, 4))),
            ("b[1].to", false, Some((5, 9, 3))),
            ("b[1].to[0].deeper", false, Some((5, 5, 2))),
            ("c d", true, Some((6, 1, 5))),
            ("gone", false, None),
        ] {
            assert_eq!(place(text, path, key), wanted, "{path}");
        }
    }

    #[test]
    fn secrets_are_blotted_out() {
        let text = "sources:\n  a:\n    secrets: [{value: hunter2}, {env: NAME}]\ntargets:\n  t:\n    headers: {authorization: 'Bearer abc'}\nroutes:\n  - match: {headers: {x: eu}}\n    a: |\n      b\nadmin:\n  token:\n    value: |\n      one\n      two\n";
        let root = parse(text).unwrap().root;
        let positions = Positions::of(&root, text);
        for (line, wanted) in [
            (3, "    secrets: [{value: *******}, {env: NAME}]"),
            (6, "    headers: {authorization: ******* ****}"),
            (14, "      ***"),
            (15, "      ***"),
        ] {
            assert_eq!(positions.line(line), wanted);
        }
        let broken = Positions::unparsed("a: 1\n  value: \"abc\n  url: http://u:p@h/\n");
        assert_eq!(broken.line(2), "  value: ****");
        assert_eq!(broken.line(3), "  url: *************");
        let text = "a:\n  - value:\n      \"hunter2\" x\n\n    more\n  - b: 1\n  - {value:hunter2";
        let broken = Positions::unparsed(text);
        for (line, wanted) in [
            (2, "  - value:"),
            (3, "      ********* *"),
            (5, "    ****"),
            (6, "  - b: 1"),
            (7, "  * **************"),
        ] {
            assert_eq!(broken.line(line), wanted);
        }
    }

    #[test]
    fn of_auth_only_the_secrets_are_blotted_out() {
        let text = "targets:\n  t:\n    auth:\n      bearer: hunter2\n      oauth2: {token_url: u, client_id: i, client_secret: hunter2, params: {audience: a}}\n      basic: {username: n, password: {value:hunter2}}\n      api_key: {header: h, value: {env: NAME, value: hunter2}}\n  u: {auth: {basic: hunter2}}\n  v: {auth: hunter2}\n";
        let root = parse(text).unwrap().root;
        let positions = Positions::of(&root, text);
        for (line, wanted) in [
            (4, "      bearer: *******"),
            (
                5,
                "      oauth2: {token_url: u, client_id: i, client_secret: *******, params: {audience: a}}",
            ),
            (6, "      basic: {username: n, password: {**************}"),
            (
                7,
                "      api_key: {header: h, value: {env: NAME, value: *******}}",
            ),
            (8, "  u: {auth: {basic: *******}}"),
            (9, "  v: {auth: *******}"),
        ] {
            assert_eq!(positions.line(line), wanted);
        }
    }

    #[test]
    fn a_secret_that_became_a_key_is_not_shown() {
        let text = "sources: {s: {secrets: [{value:hunter2}, {vlaue: hunter2}], secret: hunter2}}\n\
                    targets: {t: {headers: {x-longer-than-a-word: {value:hunter2}}}}\n\
                    p: {scheme: {secret: {prefix: shown}}}\n\
                    tls: {cert: shown, key: {value: hunter2}}\n\
                    q: {tls: {cert: shown, key: shown}}\n";
        let root = parse(text).unwrap().root;
        let positions = Positions::of(&root, text);
        for (line, wanted) in [
            (
                1,
                "sources: {s: {secrets: [{**************, {vlaue: *******}], secret: *******}}",
            ),
            (
                2,
                "targets: {t: {headers: {x-longer-than-a-word: {**************}}}",
            ),
            (3, "p: {scheme: {secret: {prefix: shown}}}"),
            (4, "tls: {cert: shown, key: {value: *******}}"),
            (5, "q: {tls: {cert: shown, key: shown}}"),
        ] {
            assert_eq!(positions.line(line), wanted);
        }
        for (path, wanted) in [
            ("", ""),
            ("sources.s.secrets", "sources.s.secrets"),
            ("sources.s.secrets[0]", "sources.s.secrets[0]"),
            ("sources.s.secrets[0].vlaue", "sources.s.secrets[0].vlaue"),
            ("sources.s.secrets[0].value:hunter2", "sources.s.secrets[0]"),
            ("sources.s.secrets[0].value.Hunter2", "sources.s.secrets[0]"),
            ("admin.token", "admin.token"),
            ("admin.token.value:hunter2", "admin.token"),
            (
                "egress.proxy_authorization.value:hunter2",
                "egress.proxy_authorization",
            ),
            ("admin.tls.key.value:hunter2", "admin.tls.key"),
            (
                "targets.t.auth.bearer.value:hunter2",
                "targets.t.auth.bearer",
            ),
            (
                "targets.t.auth.basic.password.value:hunter2",
                "targets.t.auth.basic.password",
            ),
            (
                "targets.t.auth.oauth2.client_secret.value:hunter2",
                "targets.t.auth.oauth2.client_secret",
            ),
            (
                "targets.t.auth.oauth2.client_secret.env",
                "targets.t.auth.oauth2.client_secret.env",
            ),
            (
                "targets.t.auth.api_key.value.value:hunter2",
                "targets.t.auth.api_key.value",
            ),
            ("targets.t.auth.bearer:hunter2", "targets.t.auth"),
            ("targets.t.auth.basic.Hunter2", "targets.t.auth.basic"),
            (
                "targets.t.auth.oauth2.params.X-y",
                "targets.t.auth.oauth2.params.X-y",
            ),
            (
                "targets.t.headers.x-longer-than-a-word",
                "targets.t.headers.x-longer-than-a-word",
            ),
            (
                "targets.t.headers.x-a.value:hunter2",
                "targets.t.headers.x-a",
            ),
            (
                "telemetry.otlp.headers.x-a.value:hunter2",
                "telemetry.otlp.headers.x-a",
            ),
        ] {
            assert_eq!(shown(path), wanted);
        }
    }
}
