//! Which orders are on their way to an instrument or were taken by it, between the wire and the state.
//!
//! The state (`clinical.order_sendings`) knows what was told once the facts are applied; until then this book keeps two
//! looks or two lines of a channel from telling the same twice. It is memory only, and may be lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use schemas::worklist::{
    SpecimenStanding, TestAction, WorklistAnswer, WorklistSpecimen, WorklistTest,
};
use uuid::Uuid;

/// More orders are not remembered; the oldest ids go first. By then the state has known them for long.
const MOST_REMEMBERED: usize = 20_000;

/// An order, and whether it is taken back.
type Task = (Uuid, bool);

fn task(test: &WorklistTest) -> Task {
    (test.order, test.action == TestAction::Cancel)
}

fn tasks(specimens: &[WorklistSpecimen]) -> Vec<Task> {
    specimens
        .iter()
        .flat_map(|specimen| &specimen.tests)
        .filter(|test| !test.instrument_codes.is_empty())
        .map(task)
        .collect()
}

/// The book of one channel.
#[derive(Debug, Default)]
pub struct SendingBook {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// Which tasks a message carries, by its number.
    under_way: BTreeMap<u64, Vec<Task>>,
    settled: BTreeSet<Task>,
    /// Said to have no name.
    unnamed: BTreeSet<Uuid>,
}

impl SendingBook {
    fn state(&self) -> MutexGuard<'_, State> {
        // every change is one assignment: a panic elsewhere leaves nothing half done
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for a message.
    pub fn number(&self) -> u64 {
        let mut state = self.state();
        state.next += 1;
        state.next
    }

    /// Of everything pending, what nobody took and no line is sending. It is reserved under the number that comes with it
    /// until [`SendingBook::release`].
    pub fn claim(&self, mut worklist: WorklistAnswer) -> (u64, WorklistAnswer) {
        let mut state = self.state();
        let busy: BTreeSet<Task> = state.under_way.values().flatten().copied().collect();
        for specimen in &mut worklist.specimens {
            specimen.tests.retain(|test| {
                let task = task(test);
                !state.settled.contains(&task) && !busy.contains(&task)
            });
        }
        worklist.specimens.retain(|specimen| {
            specimen.standing == SpecimenStanding::Pending && !specimen.tests.is_empty()
        });
        state.next += 1;
        let reserved = state.next;
        state.under_way.insert(reserved, tasks(&worklist.specimens));
        (reserved, worklist)
    }

    /// What was reserved is on its way by messages of its own, or not at all.
    pub fn release(&self, number: u64) {
        self.state().under_way.remove(&number);
    }

    /// A message with these orders is on its way.
    pub fn on_its_way(&self, number: u64, specimens: &[WorklistSpecimen]) {
        self.state().under_way.insert(number, tasks(specimens));
    }

    /// What became of a message: orders that were settled are not told again.
    pub fn came_to(&self, number: u64, settled: bool) {
        let mut state = self.state();
        let Some(tasks) = state.under_way.remove(&number) else {
            return;
        };
        if !settled {
            return;
        }
        for (order, cancel) in tasks {
            state.settled.insert((order, cancel));
            // an order that is placed again after its cancellation is news
            state.settled.remove(&(order, !cancel));
        }
        while state.settled.len() > MOST_REMEMBERED {
            state.settled.pop_first();
        }
    }

    /// How many ordered tests the tables can't name for this instrument and nobody was told of yet.
    pub fn newly_unnamed(&self, worklist: &WorklistAnswer) -> usize {
        let mut state = self.state();
        let unnamed = worklist
            .specimens
            .iter()
            .flat_map(|specimen| &specimen.tests)
            .filter(|test| test.instrument_codes.is_empty())
            .filter(|test| state.unnamed.insert(test.order))
            .count();
        while state.unnamed.len() > MOST_REMEMBERED {
            state.unnamed.pop_first();
        }
        unnamed
    }
}
