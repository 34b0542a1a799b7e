//! Which list each device of a channel took last: what need not be sent again, and what changes are counted from.
//!
//! Kept while the process runs. Who is not in it, or whose device says another time, is given the complete list.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use time::OffsetDateTime;

use super::entries::Entries;
use super::lists::List;

/// Devices of a channel; one that gives itself a new name each time does not fill the memory.
const MOST_DEVICES: usize = 1_000;

/// Lists by device.
#[derive(Debug, Default)]
pub struct Given(Mutex<BTreeMap<(String, List), Last>>);

/// A list that a device took.
#[derive(Debug, Clone)]
pub(super) struct Last {
    pub(super) entries: Entries,
    /// EOT.update_dttm.
    pub(super) at: OffsetDateTime,
}

impl Given {
    fn all(&self) -> MutexGuard<'_, BTreeMap<(String, List), Last>> {
        // every change is one insert
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn last(&self, device: &str, list: List) -> Option<Last> {
        self.all().get(&(device.to_owned(), list)).cloned()
    }

    pub(super) fn keep(&self, device: &str, list: List, last: Last) {
        let mut all = self.all();
        let key = (device.to_owned(), list);
        if all.len() >= MOST_DEVICES * 2 && !all.contains_key(&key) {
            all.pop_first();
        }
        all.insert(key, last);
    }

    pub(super) fn forget(&self, device: &str, list: List) {
        self.all().remove(&(device.to_owned(), list));
    }
}
