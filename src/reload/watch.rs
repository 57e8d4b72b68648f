//! Watching the files of the configuration: whatever replaces one of them is seen, each time.
//!
//! Folders are watched, not files, since files are replaced by renames: an editor's, a link that is swapped, the `..data` link
//! of a mounted volume. What the system tells is only a hint: what counts is whether the bytes differ from those
//! that the last load read, so nothing is loaded twice. Where the system tells nothing (network file
//! systems), looking from time to time finds it. Not here: what a reload does.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout_at};

use super::{Reloader, Trigger};
use crate::config::Inputs;

/// How long it must be quiet before a change is looked at: files are often written in several steps.
const QUIET: Duration = Duration::from_millis(250);

/// How long changes that do not end are waited for.
const RESTLESS: Duration = Duration::from_secs(2);

/// How often it is looked even though nothing was told.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Most links that are followed on the way to a file.
const MOST_LINKS: usize = 40;

/// Reloads whenever what the last load read has changed, until `shutdown` turns true.
pub(super) async fn run(reloader: Arc<Reloader>, mut shutdown: watch::Receiver<bool>) {
    let mut inputs = reloader.inputs.subscribe();
    let mut told = false;
    loop {
        let now = Arc::clone(&inputs.borrow_and_update());
        let (sender, mut hints) = mpsc::channel(1);
        // It is made anew each time: a watch on a folder that was replaced sees the old one.
        let watcher = watcher(&folders(&now), sender);
        if let (Err(error), false) = (&watcher, told) {
            told = true;
            tracing::warn!(%error, every = ?LOOK_EVERY, "files cannot be watched and are looked at from time to time");
        }
        // What changed before the watch began was not told.
        while is_current(Arc::clone(&now)).await {
            tokio::select! {
                () = over(&mut shutdown) => return,
                // A reload that somebody asked for read other files.
                _ = inputs.changed() => break,
                Some(()) = hints.recv() => settle(&mut hints).await,
                () = sleep(LOOK_EVERY) => {}
            }
        }
        if inputs.has_changed().unwrap_or(false) {
            continue;
        }
        reloader.reload(Trigger::Watch, false).await;
        // Files that change all the time are not read all the time.
        tokio::select! {
            () = over(&mut shutdown) => return,
            () = sleep(QUIET) => {}
        }
    }
}

/// Returns once the end is asked for, or nobody is left to ask.
async fn over(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|stop| *stop).await;
}

/// Whether all is as the last load read it.
async fn is_current(inputs: Arc<Inputs>) -> bool {
    let looked = move || {
        let mut inputs = inputs.iter();
        inputs.all(|(path, input)| input.is_current(path))
    };
    // If the looking itself breaks down, nothing is known to have changed.
    tokio::task::spawn_blocking(looked).await.unwrap_or(true)
}

/// Waits until no more is told for a while.
async fn settle(hints: &mut mpsc::Receiver<()>) {
    let end = Instant::now() + RESTLESS;
    loop {
        let quiet = (Instant::now() + QUIET).min(end);
        match timeout_at(quiet, hints.recv()).await {
            Ok(Some(())) if Instant::now() < end => {}
            _ => return,
        }
    }
}

fn watcher(
    folders: &BTreeSet<PathBuf>,
    hints: mpsc::Sender<()>,
) -> Result<RecommendedWatcher, notify::Error> {
    let mut watcher = notify::recommended_watcher(move |_| {
        // One that waits is enough.
        let _ = hints.try_send(());
    })?;
    for folder in folders {
        // A folder may be gone by now; its parent tells when it comes back.
        if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
            tracing::debug!(%error, folder = %folder.display(), "a folder cannot be watched");
        }
    }
    Ok(watcher)
}

/// The folders in which a change can change what stands at these paths.
fn folders(inputs: &Inputs) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::new();
    for path in inputs.keys() {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        add_folders(&absolute, &mut folders);
    }
    folders
}

/// The folder of a path, and the folders of all links on the way to it; of what is not there, the nearest that is.
fn add_folders(path: &Path, folders: &mut BTreeSet<PathBuf>) {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Some((link, onward)) = first_link(&path) else {
            folders.extend(existing_parent(&path));
            return;
        };
        folders.extend(link.parent().map(Path::to_owned));
        path = onward;
    }
}

/// The first link on the way to a path, and the path with that link followed.
fn first_link(path: &Path) -> Option<(PathBuf, PathBuf)> {
    let mut walked = PathBuf::new();
    let mut rest = path.components();
    while let Some(component) = rest.next() {
        if component == Component::ParentDir {
            walked.pop();
            continue;
        }
        walked.push(component);
        if let Ok(target) = std::fs::read_link(&walked) {
            let onward = walked.parent()?.join(target).join(rest.as_path());
            return Some((walked, onward));
        }
    }
    None
}

fn existing_parent(path: &Path) -> Option<PathBuf> {
    let mut parents = path.ancestors().skip(1);
    parents.find(|parent| parent.is_dir()).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn folders_of_links_are_watched_on_the_whole_way() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let at = |name: &str| root.join(name);
        std::fs::create_dir_all(at("mount/..1")).unwrap();
        std::fs::write(at("mount/..1/c.yaml"), "").unwrap();
        symlink("..1", at("mount/..data")).unwrap();
        symlink("..data/c.yaml", at("mount/c.yaml")).unwrap();
        symlink("mount", at("current")).unwrap();
        for (path, wanted) in [
            ("mount/..1/c.yaml", vec!["mount/..1"]),
            ("mount/c.yaml", vec!["mount", "mount/..1"]),
            ("current/c.yaml", vec!["", "mount", "mount/..1"]),
            ("mount/not/there/x", vec!["mount"]),
            ("current/../current/x", vec!["", "mount"]),
        ] {
            let mut found = BTreeSet::new();
            add_folders(&at(path), &mut found);
            let wanted: BTreeSet<PathBuf> = wanted
                .iter()
                .map(|name| {
                    if name.is_empty() {
                        root.clone()
                    } else {
                        at(name)
                    }
                })
                .collect();
            assert_eq!(found, wanted, "{path}");
        }
    }

    #[test]
    fn a_circle_of_links_ends() {
        let dir = tempfile::tempdir().unwrap();
        symlink("b", dir.path().join("a")).unwrap();
        symlink("a", dir.path().join("b")).unwrap();
        add_folders(&dir.path().join("a"), &mut BTreeSet::new());
    }
}
