//! How often one address, one caller and one tenant may ask: a bucket for each, which fills at its rate and holds what comes in
//! six seconds. Counted in each process; the memory is bounded whatever strangers invent.

mod plan;

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue, StatusCode};
use schemas::TenantId;
use uuid::Uuid;

use crate::problem::Problem;

/// Keys remembered by one table: some megabytes.
const ENTRIES: usize = 20_000;
/// A bucket holds what comes in this many seconds.
const WINDOW: u32 = 6;
/// How often a table that is full of keys is looked through.
const SWEEP: Duration = Duration::from_secs(1);

/// Requests a minute; 0 is no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    pub per_address: u32,
    pub per_user: u32,
    pub per_tenant: u32,
}

impl Default for Rates {
    /// As `[api]` of the configuration: far above what people do, below what one broken program does.
    fn default() -> Self {
        Self {
            per_address: 60_000,
            per_user: 30_000,
            per_tenant: 120_000,
        }
    }
}

/// All buckets of a process.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    addresses: Table<IpAddr>,
    callers: Table<Uuid>,
    tenants: Table<TenantId>,
    plans: Table<TenantId>,
    usage: plan::Usage,
}

impl Limits {
    /// One request from an address, before anything else is known of it.
    pub(crate) fn address(&self, from: IpAddr, per_minute: u32) -> Result<Left, Refused> {
        self.addresses
            .take(network_of(from), "address", per_minute, Instant::now())
    }

    /// One request of a user or an API client.
    pub(crate) fn caller(
        &self,
        id: Uuid,
        policy: &'static str,
        per_minute: u32,
    ) -> Result<Left, Refused> {
        self.callers.take(id, policy, per_minute, Instant::now())
    }

    /// One request of a tenant.
    pub(crate) fn tenant(&self, tenant: &TenantId, per_minute: u32) -> Result<Left, Refused> {
        self.tenants
            .take(tenant.clone(), "tenant", per_minute, Instant::now())
    }

    /// One request of a tenant, as its plan has it. Nothing a minute is next to nothing, not everything.
    pub(crate) fn plan(&self, tenant: &TenantId, per_minute: u32) -> Result<Left, Refused> {
        let (per_minute, now) = (per_minute.max(1), Instant::now());
        let taken = self.plans.take(tenant.clone(), "plan", per_minute, now);
        if self.usage.count(tenant, per_minute, &taken, now) {
            let limit = "api_per_minute";
            let used = self.usage.of(tenant, now);
            tracing::warn!(%tenant, limit, used, most = per_minute, "a tenant is near a limit of its plan: four fifths are used");
            metrics::counter!("hub_plan_limits_near_total", "limit" => limit).increment(1);
        }
        taken
    }

    /// Requests that a tenant whose plan limits them made within the last minute, in this process.
    pub(crate) fn asked(&self, tenant: &TenantId) -> u32 {
        self.usage.of(tenant, Instant::now())
    }
}

/// Whoever has an IPv6 address has 2^64 of them.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

/// What is left of a bucket after a request. `RateLimit` of draft-ietf-httpapi-ratelimit-headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    policy: &'static str,
    size: u32,
    remaining: u32,
    /// Seconds until the bucket is full again.
    reset: u32,
}

impl Left {
    /// The one that will refuse first.
    pub(crate) fn tighter(self, other: Self) -> Self {
        let part = |one: &Self| f64::from(one.remaining) / f64::from(one.size.max(1));
        if part(&other) < part(&self) {
            other
        } else {
            self
        }
    }

    /// A fifth of it is left, or less.
    fn is_near_its_end(&self) -> bool {
        u64::from(self.remaining) * 5 <= u64::from(self.size)
    }

    /// A bucket that nothing is counted in.
    fn unbounded(policy: &'static str) -> Self {
        Self {
            policy,
            size: 0,
            remaining: u32::MAX,
            reset: 0,
        }
    }

    pub(crate) fn write(self, headers: &mut HeaderMap) {
        if self.size == 0 {
            return;
        }
        let Self {
            policy,
            size,
            remaining,
            reset,
        } = self;
        let texts = [
            (
                "ratelimit-policy",
                format!("\"{policy}\";q={size};w={WINDOW}"),
            ),
            ("ratelimit", format!("\"{policy}\";r={remaining};t={reset}")),
        ];
        for (name, text) in texts {
            if let Ok(value) = HeaderValue::from_str(&text) {
                headers.insert(name, value);
            }
        }
    }
}

/// One request too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) left: Left,
    /// Seconds to wait.
    pub(crate) wait: u64,
}

impl Refused {
    pub(crate) fn problem(self) -> Problem {
        let (code, whose) = match self.left.policy {
            "address" => ("rate.address", "this address asks"),
            "tenant" => ("rate.tenant", "this hospital asks"),
            "plan" => ("limit.api_per_minute", "for its plan this hospital asks"),
            "user" => ("rate.user", "you ask"),
            _ => ("auth.rate", "this client asks"),
        };
        let mut problem = Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            code,
            format!("{whose} too often; try again in {} seconds", self.wait),
        );
        problem.retry_after = Some(self.wait);
        problem
    }
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

/// Buckets by key. When it is full of keys, those that say nothing any more (full again) go; while it is still full, strangers
/// share one bucket, so that inventing keys gives nobody a fresh one and takes nobody his.
#[derive(Debug)]
struct Table<K>(Mutex<Buckets<K>>);

#[derive(Debug)]
struct Buckets<K> {
    known: HashMap<K, Bucket>,
    strangers: Option<Bucket>,
    /// When the full ones were last thrown out: looking through all for every stranger would be what he wants.
    swept: Option<Instant>,
}

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self(Mutex::new(Buckets {
            known: HashMap::new(),
            strangers: None,
            swept: None,
        }))
    }
}

impl<K: Eq + Hash> Table<K> {
    fn take(
        &self,
        key: K,
        policy: &'static str,
        per_minute: u32,
        now: Instant,
    ) -> Result<Left, Refused> {
        if per_minute == 0 {
            return Ok(Left::unbounded(policy));
        }
        let per_second = f64::from(per_minute) / 60.0;
        let size = (per_minute / (60 / WINDOW)).max(1);
        let full = Bucket {
            tokens: f64::from(size),
            at: now,
        };
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let table = &mut *table;
        let crowded =
            |known: &HashMap<K, Bucket>| known.len() >= ENTRIES && !known.contains_key(&key);
        let swept = table
            .swept
            .is_some_and(|at| now.saturating_duration_since(at) < SWEEP);
        if crowded(&table.known) && !swept {
            table.swept = Some(now);
            table.known.retain(|_, bucket| {
                let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
                bucket.tokens + passed * per_second < f64::from(size)
            });
        }
        let bucket = if crowded(&table.known) {
            table.strangers.get_or_insert(full)
        } else {
            table.known.entry(key).or_insert(full)
        };
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.tokens = (bucket.tokens + passed * per_second).min(f64::from(size));
        bucket.at = now;
        let fits = bucket.tokens >= 1.0;
        if fits {
            bucket.tokens -= 1.0;
        }
        let seconds = |tokens: f64| (tokens.max(0.0) / per_second).ceil() as u32;
        let left = Left {
            policy,
            size,
            remaining: bucket.tokens as u32,
            reset: seconds(f64::from(size) - bucket.tokens),
        };
        if fits {
            return Ok(left);
        }
        // at most a minute: the rate is one a minute or more
        Err(Refused {
            left,
            wait: u64::from(seconds(1.0 - bucket.tokens).clamp(1, 60)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_its_rate_and_no_more_and_others_have_theirs() {
        let table = Table::default();
        let now = Instant::now();
        let take = |key: u32, rate, at| table.take(key, "client", rate, at).map_err(|no| no.wait);
        for left in (0..6).rev() {
            assert_eq!(take(1, 60, now).unwrap().remaining, left);
        }
        assert_eq!(take(1, 60, now), Err(1));
        assert!(take(2, 60, now).is_ok());
        assert!(take(1, 60, now + Duration::from_secs(1)).is_ok());
        assert!(take(1, 60, now + Duration::from_secs(1)).is_err());
        assert!(take(3, 1, now).is_ok());
        assert_eq!(take(3, 1, now), Err(60));
        for _ in 0..100 {
            assert!(take(4, 0, now).is_ok(), "0 is no bound");
        }
    }

    #[test]
    fn inventing_keys_neither_grows_memory_nor_frees_who_was_refused() {
        let table = Table::default();
        let now = Instant::now();
        while table.take(0_u32, "address", 60, now).is_ok() {}
        for key in 1..2 * u32::try_from(ENTRIES).unwrap() {
            let _ = table.take(key, "address", 60, now);
        }
        assert!(table.0.lock().unwrap().known.len() <= ENTRIES);
        assert!(table.take(0, "address", 60, now).is_err());
        // and when all have been quiet for a while there is room again
        let later = now + Duration::from_secs(10);
        assert!(table.take(u32::MAX, "address", 60, later).is_ok());
        assert!(table.0.lock().unwrap().known.len() < 10);
    }

    #[test]
    fn an_ipv6_neighbourhood_is_one_and_a_mapped_address_is_ipv4() {
        let network = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:10.0.0.7"), network("10.0.0.7"));
    }
}
