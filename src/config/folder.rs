//! The folder of templates as authors see it: which templates there are, their bytes, and where one of a name stands or
//! would stand.
//!
//! Promise: no name leads out of the folder, neither by `..` nor by a link, and none to what is no template.
//! Not here: how routes and partials name templates (see `templates`), writing them (see `reload`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::Changed;
use super::templates::{EXTENSION, MAX_TEMPLATE_BYTES, TemplateFolder};
use super::{Disk, FileKind, Purpose};
use crate::template::Partials;

/// Most bytes of a template's name; a path on disk can hold no more than some thousand.
const NAME_BYTES: usize = 500;

/// Where a template stands or would stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its file, all links followed.
    pub path: PathBuf,
    /// Whether there is such a file.
    pub exists: bool,
}

/// Whether this can be the name of a template: segments between slashes, none empty or hidden, `.liquid` at the end.
#[must_use]
pub fn is_template_name(name: &str) -> bool {
    is_plain(name)
        && name
            .strip_suffix(EXTENSION)
            .is_some_and(|stem| !stem.is_empty() && !stem.ends_with('/'))
}

/// Whether a name leads into the folder by plain steps.
fn is_plain(name: &str) -> bool {
    let segment = |segment: &str| !segment.is_empty() && !segment.starts_with('.');
    name.len() <= NAME_BYTES && !name.chars().any(char::is_control) && name.split('/').all(segment)
}

impl TemplateFolder {
    /// Most bytes of a template.
    pub const MAX_BYTES: u64 = MAX_TEMPLATE_BYTES;

    /// The folder at `root` as it would be if these files, by their paths with all links followed, held these bytes.
    #[must_use]
    pub fn changed(root: PathBuf, changes: BTreeMap<PathBuf, Vec<u8>>) -> Self {
        Self::on(root, Arc::new(Changed::new(Arc::new(Disk), changes)))
    }

    /// The names of the templates in the folder, sorted; of very many the first ones.
    #[must_use]
    pub fn templates(&self) -> Vec<String> {
        let mut names = self.names();
        names.retain(|name| is_template_name(name) && self.inside(&self.root().join(name)));
        names
    }

    /// Where the template of exactly this name stands or would stand. `None` if the name leads elsewhere, or into a folder
    /// that is not there. `named` tells whether a route names it: then it need not end like a template.
    #[must_use]
    pub fn place(&self, name: &str, named: bool) -> Option<Place> {
        if !(is_template_name(name) || named && is_plain(name)) {
            return None;
        }
        let path = self.root().join(name);
        match self.files().kind(&path) {
            Some(FileKind::Folder) => None,
            Some(FileKind::File) => {
                let path = self.real_inside(&path)?;
                Some(Place { path, exists: true })
            }
            // A link that leads nowhere is in the way.
            None if path.symlink_metadata().is_ok() => None,
            None => {
                let parent = self.real_inside(path.parent()?)?;
                let is_folder = self.files().kind(&parent) == Some(FileKind::Folder);
                let path = parent.join(path.file_name()?);
                is_folder.then_some(Place {
                    path,
                    exists: false,
                })
            }
        }
    }

    /// The bytes of a template.
    ///
    /// # Errors
    /// Why it cannot be read, in words.
    pub fn read(&self, place: &Place) -> Result<Vec<u8>, String> {
        self.files()
            .read(&place.path, MAX_TEMPLATE_BYTES, Purpose::Open)
    }

    fn inside(&self, path: &Path) -> bool {
        self.files().kind(path) == Some(FileKind::File) && self.real_inside(path).is_some()
    }

    /// The path with links followed, if that is in the folder.
    fn real_inside(&self, path: &Path) -> Option<PathBuf> {
        let root = self.files().real(self.root())?;
        let real = self.files().real(path)?;
        real.starts_with(root).then_some(real)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn names_are_plain() {
        for (name, wanted) in [
            ("a.liquid", true),
            ("a.json.liquid", true),
            ("parts/a b.liquid", true),
            (".liquid", false),
            ("parts/.liquid", false),
            ("a.json", false),
            ("", false),
            ("/a.liquid", false),
            ("a//b.liquid", false),
            ("./a.liquid", false),
            ("a/./b.liquid", false),
            ("../a.liquid", false),
            ("a/../b.liquid", false),
            (".hidden.liquid", false),
            (".git/a.liquid", false),
            ("a.liquid/", false),
            ("a\n.liquid", false),
            ("a\0.liquid", false),
        ] {
            assert_eq!(is_template_name(name), wanted, "{name:?}");
        }
        assert!(!is_template_name(&format!("{}.liquid", "a".repeat(600))));
    }

    #[test]
    fn places_stay_in_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("templates");
        std::fs::create_dir_all(root.join("parts")).unwrap();
        std::fs::create_dir(dir.path().join("outside")).unwrap();
        for name in ["templates/a.liquid", "templates/exact", "secret.liquid"] {
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        symlink(dir.path().join("secret.liquid"), root.join("out.liquid")).unwrap();
        symlink(dir.path().join("outside"), root.join("away")).unwrap();
        symlink("a.liquid", root.join("in.liquid")).unwrap();
        symlink("nowhere", root.join("dangling.liquid")).unwrap();
        let folder = TemplateFolder::new(root.clone());
        let real = root.canonicalize().unwrap();
        for (name, named, wanted) in [
            ("a.liquid", false, Some(("a.liquid", true))),
            ("in.liquid", false, Some(("a.liquid", true))),
            ("new.liquid", false, Some(("new.liquid", false))),
            ("parts/new.liquid", false, Some(("parts/new.liquid", false))),
            ("exact", true, Some(("exact", true))),
            ("exact", false, None),
            ("out.liquid", false, None),
            ("away/new.liquid", false, None),
            ("dangling.liquid", false, None),
            ("no/new.liquid", false, None),
            ("parts", true, None),
            ("../secret.liquid", true, None),
        ] {
            let found = folder.place(name, named);
            let found = found.as_ref().map(|place| {
                let path = place.path.strip_prefix(&real).unwrap();
                (path.to_str().unwrap(), place.exists)
            });
            assert_eq!(found, wanted, "{name}");
        }
        assert_eq!(folder.templates(), ["a.liquid", "in.liquid"]);
        let place = folder.place("in.liquid", false).unwrap();
        assert_eq!(folder.read(&place).unwrap(), b"templates/a.liquid");
    }
}
