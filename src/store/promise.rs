//! An answer that any number of tasks wait for.
//!
//! Promise: it is given once, and all who wait are woken; who comes later has it at once. If whoever owed it is gone, nobody
//! waits in vain. One is made for each admission, so it is one allocation and one lock, where a channel that can be
//! watched has many.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// Who owes an answer.
pub struct Promise<T>(Arc<Mutex<State<T>>>);

/// An answer to come; `None` if whoever owed it is gone. Clones wait for the same one.
pub struct Promised<T>(Arc<Mutex<State<T>>>);

enum State<T> {
    /// Who waits: nearly always one.
    Owed(Option<Waker>, Vec<Waker>),
    Given(T),
    Broken,
}

/// An answer that is owed.
pub fn promise<T>() -> (Promise<T>, Promised<T>) {
    let state = Arc::new(Mutex::new(State::Owed(None, Vec::new())));
    (Promise(Arc::clone(&state)), Promised(state))
}

impl<T> Promise<T> {
    /// Gives the answer.
    pub fn keep(self, answer: T) {
        settle(&self.0, State::Given(answer));
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        settle(&self.0, State::Broken);
    }
}

fn settle<T>(state: &Mutex<State<T>>, end: State<T>) {
    let waiting = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *state {
            State::Owed(first, more) => {
                let waiting = (first.take(), mem::take(more));
                *state = end;
                waiting
            }
            State::Given(_) | State::Broken => return,
        }
    };
    waiting.0.into_iter().chain(waiting.1).for_each(Waker::wake);
}

impl<T: Clone> Future for Promised<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waker = context.waker();
        match &mut *state {
            State::Given(answer) => return Poll::Ready(Some(answer.clone())),
            State::Broken => return Poll::Ready(None),
            State::Owed(first @ None, _) => *first = Some(waker.clone()),
            State::Owed(Some(first), more) => {
                let mut all = std::iter::once(&*first).chain(&*more);
                if !all.any(|known| known.will_wake(waker)) {
                    more.push(waker.clone());
                }
            }
        }
        Poll::Pending
    }
}

impl<T> Clone for Promised<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Promised<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Promised")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_who_wait_get_it_and_who_comes_later_as_well() {
        let (promise, promised) = promise();
        let waiting: Vec<_> = (0..5).map(|_| tokio::spawn(promised.clone())).collect();
        // whether they wait already or not, none of them misses it
        tokio::task::yield_now().await;
        promise.keep(7);
        for one in waiting {
            assert_eq!(one.await.unwrap(), Some(7));
        }
        assert_eq!(promised.clone().await, Some(7));
        assert_eq!(promised.await, Some(7));
    }

    #[tokio::test]
    async fn if_nobody_owes_it_any_more_none_waits_in_vain() {
        let (promise, promised) = promise::<u8>();
        let waiting: Vec<_> = (0..3).map(|_| tokio::spawn(promised.clone())).collect();
        tokio::task::yield_now().await;
        drop(promise);
        for one in waiting {
            assert_eq!(one.await.unwrap(), None);
        }
        assert_eq!(promised.await, None);
    }

    #[test]
    fn who_asks_again_is_woken_once_and_who_is_gone_does_no_harm() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        struct Count(AtomicUsize);
        impl std::task::Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let counts: Vec<_> = (0..3).map(|_| Arc::new(Count(0.into()))).collect();
        let (promise, promised) = promise();
        for count in &counts {
            let waker = Waker::from(Arc::clone(count));
            let mut again = promised.clone();
            for _ in 0..3 {
                let polled = Pin::new(&mut again).poll(&mut Context::from_waker(&waker));
                assert_eq!(polled, Poll::Pending);
            }
        }
        promise.keep("yes");
        let woken: Vec<_> = counts
            .iter()
            .map(|it| it.0.load(Ordering::SeqCst))
            .collect();
        assert_eq!(woken, [1, 1, 1]);
    }
}
