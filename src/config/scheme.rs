//! Signature schemes of sources and targets: a preset, a record, or changes to a preset.

use super::context::Context;
use super::error::nearest;
use super::yaml::member;
use crate::signature::{Scheme, SchemeRecord};

/// What a scheme is called: its preset, changed or not, or `custom`.
pub(super) fn name(preset: Option<&str>) -> String {
    preset.unwrap_or("custom").to_owned()
}

/// What is said of a preset that there is not: what is wrong, and what to do.
#[must_use]
pub fn unknown_preset(name: &str) -> (String, String) {
    let near = nearest(name, &SchemeRecord::preset_names());
    let help = match near {
        Some(near) => format!("did you mean `{near}`? `ingate vendors` lists all"),
        None => "`ingate vendors` lists those that there are".to_owned(),
    };
    (format!("no signature preset named {name:?}"), help)
}

/// Compiles what stands under `preset` and `scheme` at a path.
pub(super) fn compile(
    cx: &mut Context<'_>,
    path: &str,
    preset: Option<&str>,
    scheme: Option<&SchemeRecord>,
) -> Option<Scheme> {
    let record = match (preset, scheme) {
        (None, None) => {
            cx.report.key_error(
                path,
                "either `preset` or `scheme` is needed",
                Some("such as `preset: standard-webhooks`".to_owned()),
            );
            return None;
        }
        (None, Some(own)) => own.clone(),
        (Some(name), own) => {
            let Some(preset) = SchemeRecord::preset(name) else {
                let (message, help) = unknown_preset(name);
                cx.report
                    .error_help(&member(path, "preset"), message, Some(help));
                return None;
            };
            match own {
                Some(changes) => changes.clone().over(preset),
                None => preset,
            }
        }
    };
    match Scheme::compile(&record) {
        Ok(scheme) => Some(scheme),
        Err(errors) => {
            let base = member(path, if scheme.is_some() { "scheme" } else { "preset" });
            for error in errors {
                let at = if error.path.is_empty() {
                    base.clone()
                } else {
                    member(&base, &error.path)
                };
                cx.report.error(&at, error.message);
            }
            None
        }
    }
}
