//! The templates in the folder: as they stand on disk, and what of them is in force. The shapes are those of the API.
//!
//! Not here: which names lead to a template (see `config`), saving one (see `reload`).

use std::collections::BTreeSet;

use serde::Serialize;

use super::StudioError;
use crate::config::{Place, TemplateFolder};
use crate::id::Digest;
use crate::plan::{Plan, TemplateFile};
use crate::template::Verdict;

/// A template, without its text.
#[derive(Debug, Serialize)]
pub struct TemplateRow {
    /// The name of its file in the folder.
    pub name: String,
    /// The SHA-256 of the file, in hex.
    pub etag: String,
    /// How many bytes the file has.
    pub size_bytes: usize,
    /// The routes that name it; none for a partial.
    pub routes: Vec<String>,
    /// The hash of the template in force, with its partials.
    pub hash: Option<Digest>,
    /// Whether the text on disk is the one in force.
    pub in_force: Option<bool>,
    /// Of the one in force.
    pub verdict: Option<&'static str>,
}

/// A template with its text.
#[derive(Debug, Serialize)]
pub struct TemplateText {
    /// All but the text.
    #[serde(flatten)]
    pub row: TemplateRow,
    /// As it stands on disk.
    pub text: String,
    /// The text in force where that is another one.
    pub deployed_text: Option<String>,
}

/// All templates in the folder, by name; what cannot be read is left out.
#[must_use]
pub fn list(plan: &Plan) -> Vec<TemplateRow> {
    let folder = TemplateFolder::new(plan.studio.folder.clone());
    let mut names: BTreeSet<String> = folder.templates().into_iter().collect();
    // A route may name a file that does not end like a template.
    names.extend(plan.studio.templates.iter().map(|file| file.file.clone()));
    let read = |name: String| {
        let place = place(plan, &folder, &name).ok()?;
        let text = folder.read(&place).ok()?;
        Some(row(name.clone(), &text, plan.studio.template(&name)))
    };
    names.into_iter().filter_map(read).collect()
}

/// The template of this name.
///
/// # Errors
/// If there is none, or it cannot be read.
pub fn text(plan: &Plan, name: &str) -> Result<TemplateText, StudioError> {
    let folder = TemplateFolder::new(plan.studio.folder.clone());
    let place = place(plan, &folder, name)?;
    let bytes = folder.read(&place).map_err(StudioError::Unreadable)?;
    let known = plan.studio.template(name);
    let row = row(name.to_owned(), &bytes, known);
    let text = String::from_utf8(bytes)
        .map_err(|_| StudioError::Unreadable("the template is not UTF-8".to_owned()))?;
    let other = known.filter(|_| row.in_force == Some(false));
    Ok(TemplateText {
        row,
        text,
        deployed_text: other.map(|file| file.template.text().to_owned()),
    })
}

fn place(plan: &Plan, folder: &TemplateFolder, name: &str) -> Result<Place, StudioError> {
    let named = plan.studio.template(name).is_some();
    folder
        .place(name, named)
        .filter(|place| place.exists)
        .ok_or(StudioError::NoSuch("template of this name"))
}

fn row(name: String, bytes: &[u8], known: Option<&TemplateFile>) -> TemplateRow {
    TemplateRow {
        name,
        etag: Digest::of(bytes).to_string(),
        size_bytes: bytes.len(),
        routes: known
            .map(|file| file.routes.iter().map(ToString::to_string).collect())
            .unwrap_or_default(),
        hash: known.map(|file| file.template.hash()),
        in_force: known.map(|file| file.template.text().as_bytes() == bytes),
        verdict: known.map(|file| verdict(file.proof.verdict)),
    }
}

/// A verdict as the API writes it.
pub(super) fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Proven => "proven",
        Verdict::ProvenWithRepairs => "proven_with_repairs",
        Verdict::CheckedAtRunTime => "checked_at_run_time",
        Verdict::NeverValid => "never_valid",
    }
}
