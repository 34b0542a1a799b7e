//! How many requests of its plan a hospital makes in a minute, counted as its bucket is: in each process. Whoever runs the
//! installation is told of one that comes near, before requests are refused.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use schemas::TenantId;
use worker_identity::tenants::is_near;

use super::{Left, Refused};

const MINUTE: Duration = Duration::from_secs(60);
/// How often one hospital is told of.
const TOLD_EVERY: Duration = Duration::from_secs(3600);

/// Requests of hospitals whose plan has a limit; one entry for each.
#[derive(Debug, Default)]
pub(super) struct Usage(Mutex<HashMap<TenantId, Asked>>);

#[derive(Debug, Clone, Copy)]
struct Asked {
    /// When the minute began that is counted.
    began: Instant,
    count: u32,
    /// Of the minute before.
    before: u32,
    told: Option<Instant>,
}

impl Asked {
    fn at(began: Instant) -> Self {
        Self {
            began,
            count: 0,
            before: 0,
            told: None,
        }
    }

    fn turn(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.began);
        if passed < MINUTE {
            return;
        }
        self.before = if passed < 2 * MINUTE { self.count } else { 0 };
        self.count = 0;
        // minutes follow each other without a gap while there are requests
        self.began = if passed < 2 * MINUTE {
            self.began + MINUTE
        } else {
            now
        };
    }

    /// Within the last sixty seconds: those of the minute before as if they had come evenly.
    fn within_a_minute(&self, now: Instant) -> u32 {
        let passed = now.saturating_duration_since(self.began).as_secs_f64();
        let left = (1.0 - passed / MINUTE.as_secs_f64()).clamp(0.0, 1.0);
        self.count
            .saturating_add((f64::from(self.before) * left) as u32)
    }
}

impl Usage {
    /// Counts a request that was taken. True once an hour when it or the bucket comes near its end.
    pub(super) fn count(
        &self,
        tenant: &TenantId,
        per_minute: u32,
        taken: &Result<Left, Refused>,
        now: Instant,
    ) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = all.entry(tenant.clone()).or_insert_with(|| Asked::at(now));
        asked.turn(now);
        let near = match taken {
            Ok(left) => {
                asked.count = asked.count.saturating_add(1);
                left.is_near_its_end() || is_near(asked.within_a_minute(now), per_minute)
            }
            Err(_) => true,
        };
        let lately = asked
            .told
            .is_some_and(|told| now.saturating_duration_since(told) < TOLD_EVERY);
        if !near || lately {
            return false;
        }
        asked.told = Some(now);
        true
    }

    /// Requests of the last minute.
    pub(super) fn of(&self, tenant: &TenantId, now: Instant) -> u32 {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get_mut(tenant).map_or(0, |asked| {
            asked.turn(now);
            asked.within_a_minute(now)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(remaining: u32) -> Result<Left, Refused> {
        Ok(Left {
            policy: "plan",
            size: 10,
            remaining,
            reset: 1,
        })
    }

    #[test]
    fn a_hospital_that_comes_near_its_limit_is_told_of_once_an_hour() {
        let (usage, tenant) = (Usage::default(), TenantId::new("demo").unwrap());
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let count = |seconds| usage.count(&tenant, 100, &left(9), at(seconds));
        for _ in 0..79 {
            assert!(!count(1));
        }
        assert!(count(2), "the 80th of 100");
        assert!(!count(3));
        assert_eq!(usage.of(&tenant, at(3)), 81);
        // half of the minute before counts in the middle of this one
        assert_eq!(usage.of(&tenant, at(91)), 40);
        assert_eq!(usage.of(&tenant, at(600)), 0);
        assert!(!usage.count(&tenant, 100, &left(2), at(3000)), "lately");
        assert!(
            !usage.count(&tenant, 100, &left(3), at(3700)),
            "far from it"
        );
        assert!(
            usage.count(&tenant, 100, &left(2), at(3701)),
            "a fifth of the bucket is left"
        );
        let refused = Err(Refused {
            left: left(0).unwrap(),
            wait: 1,
        });
        assert!(!usage.count(&tenant, 100, &refused, at(3702)));
        assert!(usage.count(&tenant, 100, &refused, at(8000)));
        let other = TenantId::new("other").unwrap();
        assert!(usage.count(&other, 100, &refused, at(8000)));
        assert_eq!(
            usage.of(&other, at(8000)),
            0,
            "what is refused uses nothing"
        );
    }
}
