//! The demo's own folder: a configuration, the shipped templates, a secret of each vendor, the store.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::super::{Exit, Failure};
use super::io;
use crate::config::{self, Compiled, ProcessEnv};

const CONFIG: &str = include_str!("config.yaml");

const TEMPLATES: [(&str, &str); 5] = [
    (
        "wreno-vendor.json.liquid",
        include_str!("../../../templates/wreno-vendor.json.liquid"),
    ),
    (
        "compliancely-search.json.liquid",
        include_str!("../../../templates/compliancely-search.json.liquid"),
    ),
    (
        "wismolabs-order.json.liquid",
        include_str!("../../../templates/wismolabs-order.json.liquid"),
    ),
    (
        "wundaflow-workflow.json.liquid",
        include_str!("../../../templates/wundaflow-workflow.json.liquid"),
    ),
    (
        "wingspan-invoice.json.liquid",
        include_str!("../../../templates/wingspan-invoice.json.liquid"),
    ),
];

/// The vendors, whose samples are those of their presets, each with a secret that protects nothing.
pub(super) const VENDORS: [(&str, &str); 5] = [
    ("wreno", "whsec_ZGVtby13cmVuby1zZWNyZXQtMDAwMQ=="),
    ("compliancely", "demo-compliancely-secret-0001"),
    ("wismolabs", "whsec_ZGVtby13aXNtb2xhYnMtc2VjcmV0LTAwMDE="),
    ("wundaflow", "whsec_ZGVtby13dW5kYWZsb3ctc2VjcmV0LTAwMDE="),
    ("wingspan", "demo-wingspan-shared-secret"),
];

const TARGET_SECRET: &str = "whsec_ZGVtby10YXJnZXQtc2VjcmV0LTAwMDE=";

/// The demo's own folder, removed when it ends.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes it, with templates and secrets.
    pub(super) fn make() -> Result<Self, Failure> {
        let name = format!("ingate-demo-{}", uuid::Uuid::now_v7());
        let folder = Self(std::env::temp_dir().join(name));
        // Nobody else on the machine has to see it.
        let mut private = DirBuilder::new();
        private.recursive(true).mode(0o700);
        for name in ["secrets", "templates"] {
            private.create(folder.0.join(name)).map_err(io)?;
        }
        let write = |path: String, text: &str| std::fs::write(folder.0.join(path), text);
        for (name, text) in TEMPLATES {
            write(format!("templates/{name}"), text).map_err(io)?;
        }
        for (source, secret) in VENDORS {
            write(format!("secrets/{source}"), secret).map_err(io)?;
        }
        write("secrets/erp".to_owned(), TARGET_SECRET).map_err(io)?;
        Ok(folder)
    }

    /// Writes the configuration with these addresses.
    pub(super) fn fill(&self, public: &str, admin: &str, target: &str) -> Result<(), Failure> {
        let text = CONFIG
            .replace("{PUBLIC}", public)
            .replace("{ADMIN}", admin)
            .replace("{TARGET}", target);
        std::fs::write(self.0.join("config.yaml"), text).map_err(io)
    }

    pub(super) fn load(&self) -> Result<Compiled, Failure> {
        config::load(&self.0.join("config.yaml"), &ProcessEnv)
            .map_err(|errors| Failure::new(Exit::Config, errors.to_string()))
    }

    /// A path in it, as it can be pasted into a shell.
    pub(super) fn pasted(&self, name: &str) -> String {
        pasted(&self.0.join(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own cleaning of its temporary folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A path as it can be pasted into a shell.
pub(super) fn pasted(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if path.chars().all(plain) {
        path
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_template_is_in_the_demo() {
        let shipped = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("templates"))
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
            .filter(|name| name.ends_with(".liquid"));
        for name in shipped {
            assert!(TEMPLATES.iter().any(|(known, _)| *known == name), "{name}");
        }
    }

    #[test]
    fn paths_can_be_pasted() {
        for (path, wanted) in [
            ("/tmp/a-b_c.d/e", "/tmp/a-b_c.d/e"),
            ("/tmp/my files/x", "'/tmp/my files/x'"),
            ("/tmp/it's", r"'/tmp/it'\''s'"),
        ] {
            assert_eq!(pasted(Path::new(path)), wanted);
        }
    }

    #[test]
    fn nothing_of_the_folder_is_left() {
        let folder = Folder::make().unwrap();
        let path = folder.0.clone();
        assert!(path.join("secrets/wreno").is_file());
        drop(folder);
        assert!(!path.exists());
    }
}
