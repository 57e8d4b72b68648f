//! Which of all configurations is in force: the store numbers them, by what they were made of.
//!
//! Promise: a plan has the same number after a restart with the same files. It has none as long as the store cannot say
//! it; nothing waits for that.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::config::{Input, Inputs};
use crate::id::Digest;
use crate::plan::{Current, Plan};
use crate::store::{Store, StoreError};

/// The pause before the store is asked again; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A hash of what a load read; `good` tells whether that is in force, and not what was kept of an older load.
#[must_use]
pub fn fingerprint(inputs: &Inputs, good: bool) -> Digest {
    let mut hash = Sha256::new();
    hash.update([u8::from(good)]);
    for (path, input) in inputs {
        hash.update(length(path));
        hash.update(path.as_os_str().as_encoded_bytes());
        match input {
            Input::Nothing => hash.update([0]),
            Input::Folder => hash.update([1]),
            Input::Listing { ending, names } => {
                hash.update([3]);
                for name in std::iter::once(ending).chain(names) {
                    hash.update(length(Path::new(name)));
                    hash.update(name);
                }
            }
            Input::File { fingerprint, .. } => {
                hash.update([2]);
                hash.update(fingerprint);
            }
        }
    }
    Digest::from_bytes(hash.finalize().into())
}

/// So that no two lists of paths look the same.
fn length(path: &Path) -> [u8; 8] {
    (path.as_os_str().len() as u64).to_be_bytes()
}

/// Puts a plan in force, numbered if the store can do that now, else as soon as it can.
pub(super) async fn put_in_force(
    current: &Current,
    plan: Arc<Plan>,
    store: &Arc<dyn Store>,
    fingerprint: Digest,
) {
    let numbered = try_now(&plan, &**store, fingerprint).await;
    current.replace(plan);
    if numbered.is_err() {
        tokio::spawn(keep_trying(current.clone(), Arc::clone(store), fingerprint));
    }
}

async fn try_now(plan: &Plan, store: &dyn Store, fingerprint: Digest) -> Result<(), StoreError> {
    let generation = store.generation(fingerprint).await?;
    // who was first has the same
    let _ = plan.fingerprint.set(fingerprint);
    let _ = plan.generation.set(generation);
    Ok(())
}

/// Goes on until the store has numbered the plan or another one is in force.
pub async fn keep_trying(current: Current, store: Arc<dyn Store>, fingerprint: Digest) {
    let plan = current.get();
    let mut pause = FIRST_PAUSE;
    while Arc::ptr_eq(&current.get(), &plan) {
        match try_now(&plan, &*store, fingerprint).await {
            Ok(()) => return,
            Err(error) => tracing::debug!(%error, "the configuration has no number yet"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::metrics::Metrics;
    use crate::store::{LocalStore, StoreOptions};

    #[test]
    fn a_fingerprint_is_of_all_that_was_read() {
        let of = |path: &str, byte| {
            let input = Input::File {
                fingerprint: [byte; 32],
                bytes: None,
            };
            Inputs::from([(path.into(), input)])
        };
        let first = fingerprint(&of("a", 1), true);
        assert_eq!(fingerprint(&of("a", 1), true), first);
        for (inputs, good) in [
            (of("a", 1), false),
            (of("a", 2), true),
            (of("b", 1), true),
            (Inputs::from([("a".into(), Input::Nothing)]), true),
            (Inputs::new(), true),
        ] {
            assert_ne!(fingerprint(&inputs, good), first, "{inputs:?}");
        }
    }

    #[tokio::test]
    async fn a_plan_is_numbered_once_the_store_can_say_it() {
        let temp = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            path: temp.path().join("store"),
            min_free_bytes: 0,
            ..StoreOptions::default()
        };
        let metrics = Arc::new(Metrics::new());
        let store = LocalStore::open(&options, Arc::new(SystemClock), metrics).unwrap();
        store.opened().await;
        let store: Arc<dyn Store> = Arc::new(store);
        let current = Current::new(Arc::new(Plan::bare()));
        assert_eq!(current.get().number(), None);
        keep_trying(current.clone(), Arc::clone(&store), Digest::of(b"a")).await;
        assert_eq!(current.get().number(), Some(1));
        for (fingerprint, number) in [(b"a", 1), (b"b", 2), (b"b", 2), (b"a", 3)] {
            let plan = Arc::new(Plan::bare());
            put_in_force(&current, plan, &store, Digest::of(fingerprint)).await;
            assert_eq!(current.get().number(), Some(number));
        }
        store.close().await;
        put_in_force(&current, Arc::new(Plan::bare()), &store, Digest::of(b"c")).await;
        assert_eq!(current.get().number(), None);
    }
}
