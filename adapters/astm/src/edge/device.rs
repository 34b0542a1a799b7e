//! What outlives a connection: the orders that wait for an instrument, and which of them it has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use schemas::ChannelId;
use schemas::worklist::{SpecimenStanding, TestAction, WorklistAnswer, WorklistTest};
use uuid::Uuid;

use super::House;
use crate::link::{Fate, Outgoing};
use crate::settings::AstmSettings;

/// More messages do not wait for one instrument: the oldest is dropped, and said.
const MOST_WAITING: usize = 64;
/// More orders are not remembered as sent; the oldest ids go first. A forgotten one is sent once more, which replaces it.
const MOST_REMEMBERED: usize = 20_000;

/// An order, or its cancellation.
type Task = (Uuid, bool);

fn task(test: &WorklistTest) -> Task {
    (test.order, test.action == TestAction::Cancel)
}

/// The tasks that a message with this worklist carries.
fn tasks(worklist: &WorklistAnswer) -> Vec<Task> {
    worklist
        .specimens
        .iter()
        .flat_map(|s| &s.tests)
        .filter(|test| !test.instrument_codes.is_empty())
        .map(task)
        .collect()
}

/// One channel's instruments, beyond their connections.
pub struct Device {
    pub(super) channel: ChannelId,
    pub(super) settings: AstmSettings,
    pub(super) house: Arc<dyn House>,
    ids: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Not sent when the connection ended, by instrument.
    waiting: BTreeMap<String, Vec<Outgoing>>,
    /// On a line now: which tasks a message carries.
    under_way: BTreeMap<u64, Vec<Task>>,
    /// Taken by an instrument since the start of the channel.
    sent: BTreeSet<Task>,
    /// Said to have no name.
    unnamed: BTreeSet<Uuid>,
}

impl Device {
    /// A channel that has sent nothing yet.
    #[must_use]
    pub fn new(channel: ChannelId, settings: AstmSettings, house: Arc<dyn House>) -> Self {
        Self {
            channel,
            settings,
            house,
            ids: AtomicU64::new(1),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // every change is one assignment: a panic elsewhere leaves nothing half done
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn outgoing(&self, records: Vec<Vec<u8>>) -> Outgoing {
        Outgoing::new(self.ids.fetch_add(1, Ordering::Relaxed), records)
    }

    /// Takes what waits for an instrument.
    pub(super) fn take_waiting(&self, instrument: &str) -> Vec<Outgoing> {
        self.state().waiting.remove(instrument).unwrap_or_default()
    }

    /// Keeps what could not be sent.
    pub(super) fn keep_waiting(&self, instrument: &str, messages: Vec<Outgoing>) {
        if messages.is_empty() {
            return;
        }
        let mut state = self.state();
        let waiting = state.waiting.entry(instrument.to_owned()).or_default();
        waiting.extend(messages);
        let over = waiting.len().saturating_sub(MOST_WAITING);
        let dropped: Vec<u64> = waiting.drain(..over).map(|m| m.id).collect();
        for id in &dropped {
            state.under_way.remove(id);
        }
        drop(state);
        if over > 0 {
            tracing::error!(channel = %self.channel, messages = over, "an instrument does not come back for its orders; the oldest are dropped");
        }
    }

    /// Of everything pending, what no instrument has and no line is sending; it is reserved under the id that comes with
    /// it until [`Device::release`], so that two lines do not send the same.
    pub(super) fn claim(&self, mut worklist: WorklistAnswer) -> (u64, WorklistAnswer) {
        let reserved = self.ids.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state();
        let busy: BTreeSet<Task> = state.under_way.values().flatten().copied().collect();
        for specimen in &mut worklist.specimens {
            specimen.tests.retain(|test| {
                let task = task(test);
                !state.sent.contains(&task) && !busy.contains(&task)
            });
        }
        worklist
            .specimens
            .retain(|s| s.standing == SpecimenStanding::Pending && !s.tests.is_empty());
        state.under_way.insert(reserved, tasks(&worklist));
        (reserved, worklist)
    }

    /// What was reserved is on its way by messages of its own, or not at all.
    pub(super) fn release(&self, reserved: u64) {
        self.state().under_way.remove(&reserved);
    }

    /// A message with these orders is on its way.
    pub(super) fn on_its_way(&self, id: u64, worklist: &WorklistAnswer) {
        self.state().under_way.insert(id, tasks(worklist));
    }

    /// Ordered tests that the tables can't name for this instrument and of which nobody was told yet.
    pub(super) fn newly_unnamed(&self, worklist: &WorklistAnswer) -> usize {
        let mut state = self.state();
        let unnamed = worklist
            .specimens
            .iter()
            .flat_map(|s| &s.tests)
            .filter(|test| test.instrument_codes.is_empty())
            .filter(|test| state.unnamed.insert(test.order))
            .count();
        while state.unnamed.len() > MOST_REMEMBERED {
            state.unnamed.pop_first();
        }
        unnamed
    }

    /// What became of a message: orders that were taken are not sent again.
    pub(super) fn came_to(&self, id: u64, fate: Fate) {
        let mut state = self.state();
        let Some(tasks) = state.under_way.remove(&id) else {
            return;
        };
        if fate == Fate::Delivered {
            for (order, cancel) in tasks {
                state.sent.insert((order, cancel));
                // an order that is placed again after its cancellation is news
                state.sent.remove(&(order, !cancel));
            }
            while state.sent.len() > MOST_REMEMBERED {
                state.sent.pop_first();
            }
        }
    }
}
