//! The brake on guessing: tries per user name and address, per address, and per user name, in a table with a bound.
//!
//! Five failures close the door to a pair of user and address only, so that a stranger can't lock a user out from
//! elsewhere. Many addresses together close it to the user name; whoever shows a token of an earlier session of that user
//! goes by another door, which strangers can't close.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use uuid::Uuid;

use crate::problem::Problem;

/// Failures of one pair allowed within the window.
const OF_PAIR: u32 = 5;
/// Of one address, whoever it tries to be: a ward behind one address has more than one who mistypes.
const OF_ADDRESS: u32 = 60;
/// Of one user name, from all addresses together.
const OF_USER: u32 = 50;
/// Of one known session.
const OF_SESSION: u32 = 10;
/// How long failures count.
const WINDOW: Duration = Duration::from_secs(5 * 60);
/// Entries remembered; about a megabyte.
const ENTRIES: usize = 10_000;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Pair(String, Option<IpAddr>),
    Address(IpAddr),
    User(String),
    Session(Uuid),
}

impl Key {
    fn allowed(&self) -> u32 {
        match self {
            Self::Pair(..) => OF_PAIR,
            Self::Address(_) => OF_ADDRESS,
            Self::User(_) => OF_USER,
            Self::Session(_) => OF_SESSION,
        }
    }
}

/// Who tries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Try<'a> {
    /// Tenant and user name.
    pub(crate) user: &'a str,
    pub(crate) from: Option<IpAddr>,
    /// An earlier session of that very user, proved.
    pub(crate) known: Option<Uuid>,
}

impl Try<'_> {
    fn keys(&self) -> Vec<Key> {
        if let Some(session) = self.known {
            return vec![Key::Session(session)];
        }
        let user = self.user.to_lowercase();
        let mut keys = vec![Key::Pair(user.clone(), self.from), Key::User(user)];
        keys.extend(self.from.map(Key::Address));
        keys
    }
}

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
    pub(crate) fn attempt(&self, who: Try<'_>, now: Instant) -> Result<(), u64> {
        let keys = who.keys();
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = keys.iter().find_map(|key| {
            let entry = tries.get(key)?;
            let age = now.duration_since(entry.since);
            (age < WINDOW && entry.count >= key.allowed()).then(|| (WINDOW - age).as_secs().max(1))
        });
        if let Some(seconds) = closed {
            return Err(seconds);
        }
        for key in keys {
            make_room(&mut tries, &key, now);
            let entry = tries.entry(key).or_insert(Tries {
                count: 0,
                since: now,
            });
            if now.duration_since(entry.since) >= WINDOW {
                *entry = Tries {
                    count: 0,
                    since: now,
                };
            }
            entry.count += 1;
        }
        Ok(())
    }

    /// Forgets the failures of a caller who proved himself; his try is no failure of his address or name.
    pub(crate) fn succeeded(&self, who: Try<'_>) {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        for key in who.keys() {
            match key {
                Key::Pair(..) | Key::Session(_) => {
                    tries.remove(&key);
                }
                Key::Address(_) | Key::User(_) => {
                    if let Some(entry) = tries.get_mut(&key) {
                        entry.count = entry.count.saturating_sub(1);
                    }
                }
            }
        }
    }

    /// An administrator opens the door again.
    pub(crate) fn forgive(&self, user: &str) {
        let user = user.to_lowercase();
        self.tries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|key, _| match key {
                Key::Pair(name, _) | Key::User(name) => *name != user,
                Key::Address(_) | Key::Session(_) => true,
            });
    }
}

fn make_room(tries: &mut HashMap<Key, Tries>, key: &Key, now: Instant) {
    if tries.len() < ENTRIES || tries.contains_key(key) {
        return;
    }
    tries.retain(|_, entry| now.duration_since(entry.since) < WINDOW);
    if tries.len() >= ENTRIES {
        let oldest = tries
            .iter()
            .min_by_key(|(_, entry)| entry.since)
            .map(|(key, _)| key.clone());
        oldest.map(|key| tries.remove(&key));
    }
}

/// 429, with the seconds to wait.
pub(crate) fn throttled(seconds: u64) -> Problem {
    let mut problem = Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "auth.throttled",
        format!("too many failures; try again in {seconds} seconds"),
    );
    problem.retry_after = Some(seconds);
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(user: &str, from: Option<IpAddr>) -> Try<'_> {
        Try {
            user,
            from,
            known: None,
        }
    }

    #[test]
    fn five_failures_close_the_door_to_that_pair_alone_until_the_window_ends() {
        let throttle = Throttle::default();
        let now = Instant::now();
        let here = Some(IpAddr::from([10, 0, 0, 1]));
        for _ in 0..OF_PAIR {
            assert_eq!(throttle.attempt(by("admin", here), now), Ok(()));
        }
        assert!(throttle.attempt(by("Admin", here), now).is_err());
        assert_eq!(throttle.attempt(by("admin", None), now), Ok(()));
        assert_eq!(throttle.attempt(by("other", here), now), Ok(()));
        assert_eq!(throttle.attempt(by("admin", here), now + WINDOW), Ok(()));
    }

    #[test]
    fn many_addresses_close_the_door_to_a_name_but_not_to_who_was_in_before() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for n in 0..u8::try_from(OF_USER).unwrap() {
            let from = Some(IpAddr::from([10, 0, 1, n]));
            assert_eq!(throttle.attempt(by("admin", from), now), Ok(()));
        }
        let elsewhere = Some(IpAddr::from([10, 0, 2, 1]));
        assert!(throttle.attempt(by("admin", elsewhere), now).is_err());
        let known = Try {
            known: Some(Uuid::nil()),
            ..by("admin", elsewhere)
        };
        assert_eq!(throttle.attempt(known, now), Ok(()));
        assert_eq!(throttle.attempt(by("other", elsewhere), now), Ok(()));
        throttle.forgive("Admin");
        assert_eq!(throttle.attempt(by("admin", elsewhere), now), Ok(()));
    }

    #[test]
    fn an_address_that_tries_many_names_is_stopped_and_one_that_succeeds_is_not() {
        let throttle = Throttle::default();
        let now = Instant::now();
        let here = Some(IpAddr::from([10, 0, 0, 1]));
        for n in 0..OF_ADDRESS * 3 {
            let user = format!("nurse-{n}");
            assert_eq!(throttle.attempt(by(&user, here), now), Ok(()), "{n}");
            throttle.succeeded(by(&user, here));
        }
        for n in 0..OF_ADDRESS {
            let user = n.to_string();
            assert_eq!(throttle.attempt(by(&user, here), now), Ok(()), "{n}");
        }
        assert!(throttle.attempt(by("one more", here), now).is_err());
    }

    #[test]
    fn the_table_has_a_bound() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for n in 0..ENTRIES + 50 {
            let _ = throttle.attempt(by(&n.to_string(), None), now);
        }
        assert_eq!(throttle.tries.lock().unwrap().len(), ENTRIES);
    }
}
