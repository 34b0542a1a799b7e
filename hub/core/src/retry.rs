//! Retry with growing, jittered pauses. The only place that touches the `backoff` crate, which is
//! unmaintained (RUSTSEC-2025-0012, acknowledged in deny.toml); `backon` can replace it here alone.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;
use tokio_util::sync::CancellationToken;

/// Pauses between tries: from `first`, growing by half each time, at most `longest`, each spread by a
/// third up or down so that many waiters do not come back together.
#[derive(Debug)]
pub struct Pauses {
    inner: ExponentialBackoff,
    tries: u32,
}

impl Pauses {
    /// Pauses without an end; the caller decides when to give up.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        let inner = ExponentialBackoff {
            current_interval: first,
            initial_interval: first,
            randomization_factor: 0.33,
            multiplier: 1.5,
            max_interval: longest,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        Self { inner, tries: 0 }
    }

    /// For links to servers of our own: 50 ms growing to 2 s.
    #[must_use]
    pub fn for_backbone() -> Self {
        Self::new(Duration::from_millis(50), Duration::from_secs(2))
    }

    /// Tries so far.
    #[must_use]
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// The next pause.
    pub fn next_pause(&mut self) -> Duration {
        self.tries = self.tries.saturating_add(1);
        self.inner.next_backoff().unwrap_or(self.inner.max_interval)
    }

    /// Begins again after a success.
    pub fn reset(&mut self) {
        self.tries = 0;
        self.inner.reset();
    }

    /// Waits the next pause; false when `stop` came first.
    pub async fn wait(&mut self, stop: &CancellationToken) -> bool {
        let pause = self.next_pause();
        tokio::select! {
            () = stop.cancelled() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit_and_begin_again() {
        let mut pauses = Pauses::new(Duration::from_millis(10), Duration::from_millis(100));
        let all: Vec<_> = (0..20).map(|_| pauses.next_pause()).collect();
        assert!(all[0] <= Duration::from_millis(14));
        assert!(all.iter().all(|pause| *pause <= Duration::from_millis(134)));
        assert!(all[19] >= Duration::from_millis(66));
        pauses.reset();
        assert!(pauses.next_pause() <= Duration::from_millis(14));
    }
}
