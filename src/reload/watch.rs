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

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout_at};

use super::Reloader;
use crate::config::{Input, Inputs};

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
    'load: loop {
        let now = Arc::clone(&inputs.borrow_and_update());
        let (sender, mut hints) = mpsc::channel(1);
        // It is made anew each time: a watch on a folder that was replaced sees the old one.
        let watcher = watcher(Ways::of(&now), sender);
        if let (Err(error), false) = (&watcher, told) {
            told = true;
            tracing::warn!(%error, every = ?LOOK_EVERY, "files cannot be watched and are looked at from time to time");
        }
        // What changed before the watch began was not told.
        while is_current(Arc::clone(&now)).await {
            tokio::select! {
                () = over(&mut shutdown) => return,
                // Somebody has asked for a reload, and it read other files.
                Ok(()) = inputs.changed() => {
                    inputs.mark_changed();
                    continue 'load;
                }
                Some(()) = hints.recv() => settle(&mut hints).await,
                () = sleep(LOOK_EVERY) => {}
            }
        }
        reloader.reload_changed().await;
        // Files that change all the time are not read all the time, and a load that broke down is not tried all the time.
        let broke_down = Arc::ptr_eq(&inputs.borrow(), &now);
        tokio::select! {
            () = over(&mut shutdown) => return,
            () = sleep(if broke_down { LOOK_EVERY } else { QUIET }) => {}
        }
    }
}

/// Returns once the end is asked for, or nobody is left to ask.
async fn over(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|stop| *stop).await;
}

/// Whether all is as the last load read it.
pub(super) async fn is_current(inputs: Arc<Inputs>) -> bool {
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

fn watcher(ways: Ways, hints: mpsc::Sender<()>) -> Result<RecommendedWatcher, notify::Error> {
    let Ways {
        folders,
        paths,
        listed,
    } = ways;
    // Whatever else lies in the folders, a log that is being written for one, is of no account.
    let is_ours = move |changed: &PathBuf| {
        let in_listed = changed
            .parent()
            .is_some_and(|folder| listed.contains(folder));
        in_listed || paths.iter().any(|path| path.starts_with(changed))
    };
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        let tells = event.is_ok_and(|event| {
            // Reading is told as well, and looking for changes is reading.
            let reads = matches!(event.kind, EventKind::Access(how) if how != AccessKind::Close(AccessMode::Write));
            !reads && (event.paths.is_empty() || event.paths.iter().any(&is_ours))
        });
        if tells {
            // One that waits is enough.
            let _ = hints.try_send(());
        }
    })?;
    for folder in &folders {
        // A folder may be gone by now; its parent tells when it comes back.
        if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
            tracing::debug!(%error, folder = %folder.display(), "a folder cannot be watched");
        }
    }
    Ok(watcher)
}

/// The ways to files.
#[derive(Debug, Default)]
struct Ways {
    /// The folders in which a change can change what stands at the end of a way.
    folders: BTreeSet<PathBuf>,
    /// What a change must be about: the paths, and all links on the way.
    paths: BTreeSet<PathBuf>,
    /// Folders of which it counts what is in them.
    listed: BTreeSet<PathBuf>,
}

impl Ways {
    fn of(inputs: &Inputs) -> Self {
        let mut ways = Self::default();
        for (path, input) in inputs {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            ways.add(&path);
            if let (Input::Listing { .. }, Ok(folder)) = (input, path.canonicalize()) {
                ways.folders.insert(folder.clone());
                ways.listed.insert(folder);
            }
        }
        ways
    }

    /// Adds the folder of a path, and the folders of all links on the way to it; of what is not there, the nearest
    /// that is.
    fn add(&mut self, path: &Path) {
        let mut path = path.to_owned();
        for _ in 0..MOST_LINKS {
            let Some((link, onward)) = first_link(&path) else {
                self.folders.extend(existing_parent(&path));
                self.paths.insert(path);
                return;
            };
            self.folders.extend(link.parent().map(Path::to_owned));
            self.paths.insert(link);
            path = onward;
        }
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
            let mut ways = Ways::default();
            ways.add(&at(path));
            let found = ways.folders;
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

    #[tokio::test]
    async fn a_change_is_told_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "a").unwrap();
        let (sender, mut hints) = mpsc::channel(1);
        let mut ways = Ways::default();
        ways.add(&path);
        let _watcher = watcher(ways, sender).unwrap();
        let other = dir.path().join("other");
        for _ in 0..20 {
            std::fs::read(&path).unwrap();
        }
        std::fs::write(&path, "b").unwrap();
        assert!(hints.recv().await.is_some());
        settle(&mut hints).await;
        for _ in 0..20 {
            std::fs::read(&path).unwrap();
            std::fs::write(&other, "x").unwrap();
        }
        let quiet = timeout_at(Instant::now() + QUIET, hints.recv()).await;
        assert!(quiet.is_err(), "reading, or another file, was told");
    }

    #[test]
    fn a_circle_of_links_ends() {
        let dir = tempfile::tempdir().unwrap();
        symlink("b", dir.path().join("a")).unwrap();
        symlink("a", dir.path().join("b")).unwrap();
        Ways::default().add(&dir.path().join("a"));
    }
}
