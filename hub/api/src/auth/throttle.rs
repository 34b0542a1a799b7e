//! The brake on guessing: failures per user name and address, in a table with a bound.
//!
//! Keyed by both, so that a stranger can't lock a user out from elsewhere.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures allowed within the window.
const FAILURES: u32 = 5;
/// How long failures count.
const WINDOW: Duration = Duration::from_secs(5 * 60);
/// Pairs remembered; about a megabyte.
const ENTRIES: usize = 10_000;

type Key = (String, Option<IpAddr>);

#[derive(Debug, Default)]
pub(crate) struct Throttle {
    tries: Mutex<HashMap<Key, Tries>>,
}

#[derive(Debug, Clone, Copy)]
struct Tries {
    count: u32,
    since: Instant,
}

impl Throttle {
    /// Counts a try before its password is looked at, so that many at once don't slip through.
    ///
    /// # Errors
    /// Seconds to wait.
    pub(crate) fn attempt(
        &self,
        user: &str,
        from: Option<IpAddr>,
        now: Instant,
    ) -> Result<(), u64> {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (user.to_lowercase(), from);
        if tries.len() >= ENTRIES && !tries.contains_key(&key) {
            tries.retain(|_, entry| now.duration_since(entry.since) < WINDOW);
            if tries.len() >= ENTRIES {
                let oldest = tries
                    .iter()
                    .min_by_key(|(_, entry)| entry.since)
                    .map(|(key, _)| key.clone());
                oldest.map(|key| tries.remove(&key));
            }
        }
        let entry = tries.entry(key).or_insert(Tries {
            count: 0,
            since: now,
        });
        let age = now.duration_since(entry.since);
        if age >= WINDOW {
            *entry = Tries {
                count: 0,
                since: now,
            };
        } else if entry.count >= FAILURES {
            return Err((WINDOW - age).as_secs().max(1));
        }
        entry.count += 1;
        Ok(())
    }

    /// Forgets the failures of a caller who proved himself.
    pub(crate) fn succeeded(&self, user: &str, from: Option<IpAddr>) {
        self.tries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&(user.to_lowercase(), from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_close_the_door_to_that_pair_alone_until_the_window_ends() {
        let throttle = Throttle::default();
        let now = Instant::now();
        let here = Some(IpAddr::from([10, 0, 0, 1]));
        for _ in 0..FAILURES {
            assert_eq!(throttle.attempt("admin", here, now), Ok(()));
        }
        assert!(throttle.attempt("Admin", here, now).is_err());
        assert_eq!(throttle.attempt("admin", None, now), Ok(()));
        assert_eq!(throttle.attempt("other", here, now), Ok(()));
        assert_eq!(throttle.attempt("admin", here, now + WINDOW), Ok(()));
    }

    #[test]
    fn the_table_has_a_bound() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for n in 0..ENTRIES + 50 {
            let _ = throttle.attempt(&n.to_string(), None, now);
        }
        assert_eq!(throttle.tries.lock().unwrap().len(), ENTRIES);
    }
}
