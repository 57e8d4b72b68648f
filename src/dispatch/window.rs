//! How many attempts ended of late, and how many of them failed. Pure: `now` is an argument.
//!
//! Takes the same little room however many there are.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Parts of the window that are forgotten one at a time; what the ratio looks at is between nine tenths of the
/// window and all of it.
const BUCKETS: u32 = 10;

/// How many attempts ended within the window, and how many of them failed.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Oldest first; at most [`BUCKETS`] and one.
    buckets: VecDeque<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    since: Instant,
    failed: u32,
    all: u32,
}

impl Window {
    /// Counts one; gives back how many have failed within the window, and how many there were.
    pub(super) fn note(&mut self, failed: bool, window: Duration, now: Instant) -> (u32, u32) {
        let age = |bucket: &Bucket| now.saturating_duration_since(bucket.since);
        while self.buckets.front().is_some_and(|b| age(b) >= window) {
            self.buckets.pop_front();
        }
        if self
            .buckets
            .back()
            .is_none_or(|b| age(b) >= window / BUCKETS)
        {
            self.buckets.push_back(Bucket {
                since: now,
                failed: 0,
                all: 0,
            });
        }
        if let Some(bucket) = self.buckets.back_mut() {
            bucket.all = bucket.all.saturating_add(1);
            bucket.failed = bucket.failed.saturating_add(u32::from(failed));
        }
        self.buckets.iter().fold((0, 0), |(failed, all), bucket| {
            let failed = bucket.failed.saturating_add(failed);
            (failed, bucket.all.saturating_add(all))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_takes_little_room() {
        const WINDOW: Duration = Duration::from_secs(3);
        let mut window = Window::default();
        let mut now = Instant::now();
        for _ in 0..10_000 {
            now += Duration::from_millis(37);
            let (_, all) = window.note(true, WINDOW, now);
            assert!(all <= 82, "{all} within 3 s");
            assert!(window.buckets.len() <= BUCKETS as usize + 1);
        }
        assert!(window.note(true, WINDOW, now).1 >= 72);
    }
}
