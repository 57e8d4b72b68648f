//! The house rules that a compiler does not check: the floors hold, every module is on the map, sources are
//! of a size that can be read, and nothing names the machine that it was written on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    with_ending(folder, Some("rs"))
}

/// The files below a folder; all of them, or those with this ending.
fn with_ending(folder: &Path, ending: Option<&str>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(with_ending(&path, ending));
        } else if ending.is_none_or(|ending| path.extension().is_some_and(|own| own == ending)) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The table in the header of `lib.rs`: module -> floor.
fn floors() -> BTreeMap<String, u32> {
    let text = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    text.lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("//! |")?.split('|').map(str::trim);
            let floor = cells.next()?.parse().ok()?;
            let module = cells.next()?.strip_prefix("[`")?.strip_suffix("`]")?;
            Some((module.to_owned(), floor))
        })
        .collect()
}

/// The module of the first level that a file belongs to; `None` for `lib.rs` and `main.rs`.
fn module_of(path: &Path) -> Option<String> {
    let inside = path.strip_prefix(root().join("src")).unwrap();
    let first = inside.components().next()?.as_os_str().to_str()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (!matches!(name, "lib" | "main")).then(|| name.to_owned())
}

/// The modules that a line of code names as `crate::module`.
fn named(line: &str) -> impl Iterator<Item = &str> {
    line.split("crate::").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !(c.is_ascii_lowercase() || c == '_'))?;
        let name = &rest[..end];
        (!name.is_empty()).then_some(name)
    })
}

#[test]
fn every_module_is_on_the_map() {
    let floors = floors();
    let text = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let declared: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    assert!(!declared.is_empty());
    for module in &declared {
        assert!(
            floors.contains_key(*module),
            "{module} has no row in the table of lib.rs"
        );
    }
    assert_eq!(
        declared.len(),
        floors.len(),
        "the table names modules that are not there"
    );
}

#[test]
fn dependencies_only_point_down() {
    let floors = floors();
    let mut wrong = Vec::new();
    for path in sources(&root().join("src")) {
        let Some(module) = module_of(&path) else {
            continue;
        };
        let own = floors[&module];
        for (number, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            for other in named(line.split("//").next().unwrap_or_default()) {
                let Some(&floor) = floors.get(other) else {
                    continue;
                };
                if other != module && floor >= own {
                    let place = path.strip_prefix(root()).unwrap().display();
                    wrong.push(format!(
                        "{place}:{}: {module} (floor {own}) names {other} (floor {floor})",
                        number + 1
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn grouped_imports_do_not_hide_a_floor() {
    // `use crate::{a, b}` would slip past the check above.
    for path in sources(&root().join("src")) {
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("use crate::{"), "{}", path.display());
    }
}

#[test]
fn every_source_begins_with_its_purpose() {
    for path in sources(&root().join("src")) {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//! "), "{} has no header", path.display());
    }
}

#[test]
fn a_render_keeps_its_state_in_itself() {
    let files = sources(&root().join("src"));
    assert!(!files.is_empty());
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        for word in ["thread_local!", "LocalKey", "static mut "] {
            assert!(!text.contains(word), "{} has {word}", path.display());
        }
    }
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    let mut files = sources(&root().join("src"));
    files.extend(sources(&root().join("tests")));
    files.push(root().join("README.md"));
    files.push(root().join("config.example.yaml"));
    files.push(root().join("CHANGELOG.md"));
    files.extend(with_ending(&root().join("deploy"), None));
    // Put together here, so that this file does not trip over itself.
    let forbidden = [["/ro", "ot/"].concat(), ["/wo", "rk/"].concat()];
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        for word in &forbidden {
            assert!(!text.contains(word), "{} contains {word}", path.display());
        }
    }
}
