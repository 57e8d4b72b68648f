//! The folder of templates: the files that routes and `include` / `render` name.
//!
//! Promise: a name never leads out of the folder, neither by `..` nor by a link.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::TemplateFile;
use super::context::Context;
use super::error::known;
use super::{Disk, FileKind, Files, read_text};
use crate::id::RouteName;
use crate::template::{PartialText, Partials, Proof, Template, TemplateError, Verdict};

/// Most bytes of a template file; the longest in use have some tens of KiB.
pub(super) const MAX_TEMPLATE_BYTES: u64 = 1 << 20;

/// What may be left out at the end of a template's name.
pub(super) const EXTENSION: &str = ".liquid";

/// Most files of the folder that are listed as known, and how deep they may lie.
const MAX_LISTED: usize = 1000;
const MAX_LISTED_DEPTH: usize = 8;

/// The folder of templates.
#[derive(Debug, Clone)]
pub struct TemplateFolder {
    root: PathBuf,
    files: Arc<dyn Files>,
}

impl TemplateFolder {
    /// The folder at `root`.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self::on(root, Arc::new(Disk))
    }

    /// The folder at `root` among these files.
    pub(super) fn on(root: PathBuf, files: Arc<dyn Files>) -> Self {
        Self { root, files }
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn files(&self) -> &dyn Files {
        &*self.files
    }

    /// The file of this name, exact or without `.liquid`; `None` if there is none in the folder.
    fn locate(&self, name: &str) -> Option<PathBuf> {
        let relative = Path::new(name);
        let inside = relative
            .components()
            .all(|c| matches!(c, Component::Normal(_)));
        if name.is_empty() || name.contains('\0') || !inside {
            return None;
        }
        let root = self.files.real(&self.root)?;
        [name.to_owned(), format!("{name}{EXTENSION}")]
            .iter()
            .map(|candidate| self.root.join(candidate))
            .find(|path| {
                self.files.kind(path) == Some(FileKind::File)
                    && self
                        .files
                        .real(path)
                        .is_some_and(|real| real.starts_with(&root))
            })
    }
}

impl TemplateFolder {
    /// The name of a file in the folder.
    fn name_of(&self, path: &Path) -> String {
        let name = path.strip_prefix(&self.root).unwrap_or(path);
        name.display().to_string()
    }
}

impl Partials for TemplateFolder {
    fn find(&self, name: &str) -> Option<PartialText> {
        let path = self.locate(name)?;
        let text = read_text(&*self.files, &path, MAX_TEMPLATE_BYTES).ok()?;
        Some(PartialText {
            path: path.display().to_string(),
            text: text.into(),
        })
    }

    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        self.list(&self.root, "", MAX_LISTED_DEPTH, &mut names);
        names.sort();
        names
    }
}

impl TemplateFolder {
    /// Adds the files of a folder, by their names from the root on.
    fn list(&self, folder: &Path, prefix: &str, depth: usize, names: &mut Vec<String>) {
        let Some(depth) = depth.checked_sub(1) else {
            return;
        };
        for name in self.files.names(folder) {
            if name.starts_with('.') || names.len() >= MAX_LISTED {
                continue;
            }
            let (path, name) = (folder.join(&name), format!("{prefix}{name}"));
            match self.files.kind(&path) {
                Some(FileKind::Folder) => self.list(&path, &format!("{name}/"), depth, names),
                _ => names.push(name),
            }
        }
    }
}

/// The templates that were compiled so far; each is compiled and proven once, its errors are told once.
#[derive(Debug)]
pub(super) struct Templates {
    folder: TemplateFolder,
    /// Whether all must be proven.
    strict: bool,
    /// Where in `used` each stands; `None` for those that do not compile.
    known: HashMap<PathBuf, Option<usize>>,
    pub(super) used: Vec<TemplateFile>,
}

impl Templates {
    pub(super) fn new(folder: TemplateFolder, strict: bool) -> Self {
        Self {
            folder,
            strict,
            known: HashMap::new(),
            used: Vec::new(),
        }
    }

    /// The template of this name, for a route.
    pub(super) fn get(
        &mut self,
        cx: &mut Context<'_>,
        at: &str,
        name: &str,
        route: Option<&RouteName>,
    ) -> Option<Arc<Template>> {
        let Some(path) = self.folder.locate(name) else {
            let names = self.folder.names();
            let folder = self.folder.root.display();
            let (known, help) = known(name, names.iter().map(String::as_str));
            cx.report.error_help(
                at,
                format!("no template named {name:?} in {folder} {known}"),
                help,
            );
            return None;
        };
        let index = match self.known.get(&path) {
            Some(index) => *index,
            None => {
                let index = self.compile(cx, at, &path).map(|(template, proof)| {
                    self.used.push(TemplateFile {
                        name: name.to_owned(),
                        file: self.folder.name_of(&path),
                        path: path.clone(),
                        routes: Vec::new(),
                        template,
                        proof,
                    });
                    self.used.len() - 1
                });
                self.known.insert(path, index);
                index
            }
        };
        let used = self.used.get_mut(index?)?;
        used.routes.extend(route.cloned());
        Some(Arc::clone(&used.template))
    }

    fn compile(
        &self,
        cx: &mut Context<'_>,
        at: &str,
        path: &Path,
    ) -> Option<(Arc<Template>, Proof)> {
        let shown = path.display().to_string();
        let text = match read_text(&*cx.files, path, MAX_TEMPLATE_BYTES) {
            Ok(text) => text,
            Err(why) => {
                cx.report
                    .error(at, format!("the template {shown} cannot be read: {why}"));
                return None;
            }
        };
        match Template::compile(&shown, &text, &self.folder) {
            Ok(template) => {
                let proof = template.prove();
                for objection in objections(&proof, self.strict) {
                    cx.report.template(at, &objection);
                }
                Some((Arc::new(template), proof))
            }
            Err(error) => {
                cx.report.template(at, &error);
                None
            }
        }
    }
}

/// Why a template must not run: it is never valid, or `strict` wants it proven and it is not.
fn objections(proof: &Proof, strict: bool) -> Vec<TemplateError> {
    match proof.verdict {
        Verdict::Proven => Vec::new(),
        Verdict::NeverValid => proof
            .findings
            .first()
            .map(|finding| TemplateError {
                message: format!("never valid: {}", finding.error.message),
                ..finding.error.clone()
            })
            .into_iter()
            .collect(),
        Verdict::ProvenWithRepairs | Verdict::CheckedAtRunTime if strict => {
            let findings = proof.findings.iter().map(|finding| TemplateError {
                message: format!("not proven: {}", finding.error.message),
                help: finding.told_way().or(finding.error.help.clone()),
                ..finding.error.clone()
            });
            let repairs = proof.repairs.iter().map(|repair| TemplateError {
                message: format!("needs mending for some payloads: {}", repair.message),
                ..repair.clone()
            });
            findings.chain(repairs).collect()
        }
        Verdict::ProvenWithRepairs | Verdict::CheckedAtRunTime => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("templates");
        std::fs::create_dir_all(root.join("parts")).unwrap();
        std::fs::write(root.join("a.json.liquid"), "A").unwrap();
        std::fs::write(root.join("parts/b.liquid"), "B").unwrap();
        std::fs::write(root.join("exact"), "E").unwrap();
        std::fs::write(dir.path().join("secret.liquid"), "S").unwrap();
        std::os::unix::fs::symlink(dir.path().join("secret.liquid"), root.join("link.liquid"))
            .unwrap();
        let folder = TemplateFolder::new(root.clone());
        for (name, wanted) in [
            ("a.json.liquid", Some("A")),
            ("a.json", Some("A")),
            ("a", None),
            ("exact", Some("E")),
            ("parts/b", Some("B")),
            ("parts", None),
            ("link", None),
            ("../secret", None),
            ("parts/../../secret", None),
            ("./a.json", None),
            ("/etc/hostname", None),
            ("", None),
        ] {
            let text = folder.find(name).map(|found| found.text.to_string());
            assert_eq!(text.as_deref(), wanted, "{name:?}");
        }
        assert_eq!(
            folder.names(),
            ["a.json.liquid", "exact", "link.liquid", "parts/b.liquid"]
        );
        assert!(
            TemplateFolder::new(dir.path().join("none"))
                .names()
                .is_empty()
        );
    }
}
