//! Whether a target can be reached: the way to it, as an attempt would go, but without a request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tower_service::Service;

use super::client;
use crate::client::failure;
use crate::delivery::Failure;
use crate::plan::{EgressPlan, Target};

/// The longest that a probe takes, however long an attempt may: somebody waits for it.
const PROBE_TIMEOUT: Duration = Duration::from_secs(30);

/// Resolves a target's name, connects and shakes hands as an attempt would; the connection is closed again. Gives how
/// long that took.
///
/// # Errors
/// At which step it failed, and the error in words.
pub async fn probe(
    target: &Target,
    egress: &Arc<EgressPlan>,
) -> Result<Duration, (Failure, String)> {
    let within = target.timeout.min(PROBE_TIMEOUT);
    let began = Instant::now();
    let mut connector = client::connector(target, egress);
    let connecting = async {
        std::future::poll_fn(|cx| connector.poll_ready(cx)).await?;
        connector.call(target.url.clone()).await
    };
    match tokio::time::timeout(within, connecting).await {
        Ok(Ok(_connection)) => Ok(began.elapsed()),
        Ok(Err(error)) => {
            let (step, words) = failure::classify_connect(&*error);
            Err((client::failed_at(step), words))
        }
        Err(_) => Err((Failure::Timeout, format!("no connection within {within:?}"))),
    }
}
