//! Waiting on conditions. Nothing here sleeps for a guessed time: it looks again until it is so, or the deadline says
//! what was missing.

use std::time::{Duration, Instant};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(25);

/// Looks until `condition` gives something, and panics with `what` after `deadline`.
///
/// # Panics
/// When the deadline has passed.
pub async fn eventually<T, F>(what: &str, deadline: Duration, mut condition: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let began = Instant::now();
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(
            began.elapsed() < deadline,
            "not within {deadline:?}: {what}"
        );
        tokio::time::sleep(LOOK).await;
    }
}

/// The outcome of `work`, which must be there in time.
///
/// # Panics
/// When it is not.
pub async fn within<T>(what: &str, deadline: Duration, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(deadline, work).await.expect(what)
}
