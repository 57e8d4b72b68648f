//! Scalars: variables of the environment put in, numbers read with all their digits.

use serde_json::Number;

use super::Env;
use super::shape::Finding;
use super::yaml::{Content, Node, item, member};

/// Puts variables of the environment into plain scalars: `${NAME}` and `${NAME:-default}`.
pub(super) fn expand(node: &mut Node, path: &str, env: &dyn Env, out: &mut Vec<Finding>) {
    match &mut node.content {
        Content::Scalar(scalar) if scalar.plain && scalar.text.contains("${") => {
            match expanded(&scalar.text, env) {
                Ok(text) => {
                    scalar.text = text;
                    scalar.expanded = true;
                }
                Err(message) => out.push(Finding {
                    path: path.to_owned(),
                    key: false,
                    message,
                    help: Some("text in quotes is taken as it is".to_owned()),
                }),
            }
        }
        Content::Scalar(_) => {}
        Content::List(items) => {
            for (i, child) in items.iter_mut().enumerate() {
                expand(child, &item(path, i), env, out);
            }
        }
        Content::Map(entries) => {
            for entry in entries.iter_mut() {
                expand(&mut entry.value, &member(path, &entry.key), env, out);
            }
        }
    }
}

fn expanded(text: &str, env: &dyn Env) -> Result<String, String> {
    let mut done = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        done.push_str(before);
        let (inside, after) = after
            .split_once('}')
            .ok_or_else(|| format!("`${{` without `}}` in `{text}`"))?;
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        let good = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && name.chars().next().is_some_and(|c| !c.is_ascii_digit());
        if !good {
            return Err(format!(
                "`{name}` is not the name of a variable; `${{NAME}}` and `${{NAME:-default}}` are"
            ));
        }
        match (env.var(name), default) {
            (Some(value), None) => done.push_str(&value),
            (Some(value), Some(_)) if !value.is_empty() => done.push_str(&value),
            (_, Some(default)) => done.push_str(default),
            (None, None) => return Err(format!("the environment variable {name} is not set")),
        }
        rest = after;
    }
    done.push_str(rest);
    Ok(done)
}

/// A number of YAML's core schema, its digits kept; no infinities, which JSON cannot carry.
pub(super) fn number(text: &str) -> Option<Number> {
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            return u64::from_str_radix(digits, radix).ok().map(Number::from);
        }
    }
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => unsigned.split_at(at),
        None => (unsigned, ""),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}{exponent}")
        .parse()
        .ok()
}
