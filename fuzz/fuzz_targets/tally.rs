//! Sums of what was seen, told now and then: libFuzzer counts executions only.

use std::sync::Mutex;

use super::checks::Figures;

/// Templates between two lines.
const OFTEN: u64 = 20_000;

static SUM: Mutex<Option<Figures>> = Mutex::new(None);

/// Adds the figures of one execution.
pub fn add(figures: &Figures) {
    let Ok(mut sum) = SUM.lock() else { return };
    let sum = sum.get_or_insert_default();
    let before = sum.templates / OFTEN;
    sum.add(figures);
    if sum.templates / OFTEN > before {
        eprintln!("{sum}");
    }
}
