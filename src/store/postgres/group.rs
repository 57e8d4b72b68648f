//! Work that waits is done in groups: what comes in while one is under way is the next one. No timers, no added wait.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::store::StoreError;

/// Most jobs that wait; beyond them the store says so at once.
const QUEUE: usize = 4096;

/// Most jobs of a group.
const MOST: usize = 256;

/// Most bytes of a group, roughly; at least one job is taken.
const MOST_BYTES: usize = 8 << 20;

/// A job, and who waits for what comes of it.
pub(super) struct Job<In, Out> {
    pub(super) what: In,
    bytes: usize,
    answer: oneshot::Sender<Result<Out, StoreError>>,
}

impl<In, Out> Job<In, Out> {
    /// Tells who waits. Nobody may be waiting any more.
    pub(super) fn answer(self, result: Result<Out, StoreError>) {
        let _ = self.answer.send(result);
    }
}

/// A queue of jobs, and those who do them.
pub(super) struct Group<In, Out> {
    queue: mpsc::Sender<Job<In, Out>>,
}

impl<In: Send + 'static, Out: Send + 'static> Group<In, Out> {
    /// Starts so many workers; each does one group at a time with `run`. They end when the queue is dropped and empty.
    pub(super) fn start<F, Fut>(workers: usize, run: F) -> (Self, Vec<JoinHandle<()>>)
    where
        F: Fn(Vec<Job<In, Out>>) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let waiting = Arc::new(Mutex::new(waiting));
        let workers = (0..workers).map(|_| {
            let (waiting, run) = (Arc::clone(&waiting), run.clone());
            tokio::spawn(async move {
                while let Some(group) = next(&waiting).await {
                    run(group).await;
                }
            })
        });
        let workers = workers.collect();
        (Self { queue }, workers)
    }

    /// Puts a job into the queue; what comes of it is there when it is done, whether anybody waits or not.
    pub(super) async fn ask(&self, what: In, bytes: usize) -> Result<Out, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job = Job {
            what,
            bytes,
            answer,
        };
        self.queue.try_send(job).map_err(|error| {
            StoreError::Unavailable(match error {
                mpsc::error::TrySendError::Full(_) => {
                    format!("{QUEUE} others wait for the database already")
                }
                mpsc::error::TrySendError::Closed(_) => "stopped".to_owned(),
            })
        })?;
        let stopped = |_| StoreError::Unavailable("stopped".to_owned());
        answered.await.map_err(stopped)?
    }
}

/// All that wait, within bounds; `None` when nobody can come any more.
async fn next<In, Out>(waiting: &Mutex<mpsc::Receiver<Job<In, Out>>>) -> Option<Vec<Job<In, Out>>> {
    let mut waiting = waiting.lock().await;
    let first = waiting.recv().await?;
    let mut bytes = first.bytes;
    let mut group = vec![first];
    while group.len() < MOST && bytes < MOST_BYTES {
        let Ok(job) = waiting.try_recv() else { break };
        bytes = bytes.saturating_add(job.bytes);
        group.push(job);
    }
    Some(group)
}
