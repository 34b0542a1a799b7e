//! How often a program may ask: a bucket for each, which fills at its rate and holds what comes in six seconds.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use uuid::Uuid;

/// Clients remembered; far more than a hub has.
const ENTRIES: usize = 10_000;

#[derive(Debug, Default)]
pub(crate) struct Rates {
    buckets: Mutex<HashMap<Uuid, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Rates {
    /// Takes one request of a client that has `per_minute`.
    ///
    /// # Errors
    /// Seconds to wait.
    pub(crate) fn take(&self, client: Uuid, per_minute: u32, now: Instant) -> Result<(), u64> {
        let per_second = f64::from(per_minute.max(1)) / 60.0;
        let full = (f64::from(per_minute) / 10.0).max(1.0);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= ENTRIES {
            buckets.clear();
        }
        let bucket = buckets.entry(client).or_insert(Bucket {
            tokens: full,
            at: now,
        });
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.tokens = (bucket.tokens + passed * per_second).min(full);
        bucket.at = now;
        if bucket.tokens < 1.0 {
            let wait = (1.0 - bucket.tokens) / per_second;
            // at most a minute: the rate is one a minute or more
            return Err((wait.ceil() as u64).clamp(1, 60));
        }
        bucket.tokens -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_client_has_its_rate_and_no_more_and_others_have_theirs() {
        let rates = Rates::default();
        let now = Instant::now();
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        for _ in 0..6 {
            assert_eq!(rates.take(one, 60, now), Ok(()));
        }
        assert_eq!(rates.take(one, 60, now), Err(1));
        assert_eq!(rates.take(other, 60, now), Ok(()));
        assert_eq!(rates.take(one, 60, now + Duration::from_secs(1)), Ok(()));
        assert!(rates.take(one, 60, now + Duration::from_secs(1)).is_err());
        assert_eq!(rates.take(Uuid::from_u128(3), 1, now), Ok(()));
        assert_eq!(rates.take(Uuid::from_u128(3), 1, now), Err(60));
    }
}
