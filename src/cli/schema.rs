//! `ingate schema`

use super::{Exit, Outcome, print};
use crate::config;

pub(super) fn run() -> Outcome {
    print(&format!("{:#}", config::schema()))?;
    Ok(Exit::Done)
}
