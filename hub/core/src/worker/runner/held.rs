//! What waits for something transient: of one lane what one tenant has, in its order. Other tenants' records of that lane go on:
//! order is kept for a patient, and no patient is of two tenants.
//!
//! While something of a lane waits, its position stays before that; what was applied beyond it is read again by whoever begins at
//! the position, and the inbox stops it. So what waits may also be let go of when there is no room for it: it is read again.

use std::collections::{BTreeMap, VecDeque};

use schemas::TenantId;
use tokio::time::Instant;

use crate::retry::Pauses;
use crate::worker::lanes::{Owned, SOURCES};
use crate::worker::sources::{Arrived, BATCH};
use crate::worker::transaction::Advance;

/// Messages that may wait in memory, of all that waits; what comes beyond is let go of and read again later.
const LIMIT: usize = 8 * BATCH;

/// Of which lane, and whose; a record whose subject names no tenant is nobody's.
pub(super) type Whose = (u16, Option<TenantId>);

struct Row {
    waiting: VecDeque<Arrived>,
    /// The first that was let go of, by source. All that come after it are too, or they would overtake it.
    let_go: [Option<u64>; SOURCES.len()],
    next_try: Instant,
    pauses: Pauses,
}

impl Row {
    fn lets_go(&self) -> bool {
        self.let_go.iter().any(Option::is_some)
    }

    /// The first of a source that waits or was let go of.
    fn first(&self, source: usize) -> Option<u64> {
        let waiting = self
            .waiting
            .iter()
            .filter(|arrived| arrived.source == source)
            .map(|arrived| arrived.seq);
        waiting.chain(self.let_go[source]).min()
    }
}

/// All that a worker of this process holds.
#[derive(Default)]
pub(super) struct Held {
    rows: BTreeMap<Whose, Row>,
    /// Applied up to this, by lane and source, where something before it waited.
    beyond: BTreeMap<(u16, usize), u64>,
}

fn whose(arrived: &Arrived) -> Whose {
    (arrived.lane, arrived.tenant.clone())
}

impl Held {
    /// How many rows wait.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn next_try(&self) -> Option<Instant> {
        self.rows.values().map(|row| row.next_try).min()
    }

    pub(super) fn due(&self, now: Instant) -> Vec<Whose> {
        self.rows
            .iter()
            .filter(|(_, row)| row.next_try <= now)
            .map(|(whose, _)| whose.clone())
            .collect()
    }

    /// Puts a record behind those that wait; gives it back when none of its row does.
    pub(super) fn behind(&mut self, arrived: Arrived) -> Option<Arrived> {
        let full = self.waiting() + arrived.messages.len().max(1) > LIMIT;
        let Some(row) = self.rows.get_mut(&whose(&arrived)) else {
            return Some(arrived);
        };
        if full || row.lets_go() {
            let first = &mut row.let_go[arrived.source];
            *first = Some(first.map_or(arrived.seq, |before| before.min(arrived.seq)));
        } else {
            row.waiting.push_back(arrived);
        }
        None
    }

    fn waiting(&self) -> usize {
        self.rows
            .values()
            .flat_map(|row| &row.waiting)
            .map(|arrived| arrived.messages.len().max(1))
            .sum()
    }

    /// Holds a record's row from this record on; it is the first of it.
    pub(super) fn hold(&mut self, arrived: Arrived) {
        let row = self.rows.entry(whose(&arrived)).or_insert_with(|| Row {
            waiting: VecDeque::new(),
            let_go: [None; SOURCES.len()],
            next_try: Instant::now(),
            pauses: Pauses::for_backbone(),
        });
        row.waiting.push_front(arrived);
        row.next_try = Instant::now() + row.pauses.next_pause();
    }

    /// Takes the first of a row out; the rest stays.
    pub(super) fn first(&mut self, whose: &Whose) -> Option<Arrived> {
        self.rows.get_mut(whose)?.waiting.pop_front()
    }

    /// Nothing of a row waits any more. False when some of it was let go of: the streams are to be read again.
    pub(super) fn free(&mut self, whose: &Whose) -> bool {
        self.rows.remove(whose).is_none_or(|row| !row.lets_go())
    }

    /// Where its lane stands once this record is applied: before all of the lane that waits.
    pub(super) fn advance(&self, arrived: &Arrived, lanes: &Owned) -> Option<Advance> {
        let Arrived {
            source, lane, seq, ..
        } = *arrived;
        let grant = lanes.get(&lane)?;
        let beyond = self.beyond.get(&(lane, source)).copied().unwrap_or(0);
        let first = self
            .rows
            .iter()
            .filter(|((of, _), _)| *of == lane)
            .filter_map(|(_, row)| row.first(source))
            .min()
            .unwrap_or(u64::MAX);
        Some(Advance {
            source,
            lane,
            seq: seq
                .max(beyond)
                .min(first.saturating_sub(1))
                .max(grant.applied[source]),
            epoch: grant.epoch,
        })
    }

    /// It is committed.
    pub(super) fn applied(&mut self, arrived: &Arrived) {
        if self.rows.is_empty() {
            self.beyond.clear();
            return;
        }
        let beyond = self
            .beyond
            .entry((arrived.lane, arrived.source))
            .or_default();
        *beyond = (*beyond).max(arrived.seq);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::lanes::Grant;

    fn arrived(tenant: &str, seq: u64) -> Arrived {
        Arrived {
            source: 0,
            lane: 3,
            tenant: Some(TenantId::new(tenant).unwrap()),
            seq,
            messages: Vec::new(),
        }
    }

    fn lanes(applied: u64) -> Owned {
        let grant = Grant {
            epoch: 1,
            applied: [applied, 0, 0],
        };
        Owned::from([(3, grant)])
    }

    fn position(held: &Held, arrived: &Arrived) -> u64 {
        held.advance(arrived, &lanes(9)).unwrap().seq
    }

    #[test]
    fn others_of_a_lane_go_on_and_its_position_stays_before_what_waits() {
        let mut held = Held::default();
        assert_eq!(position(&held, &arrived("one", 10)), 10);
        held.hold(arrived("one", 10));
        let other = arrived("two", 11);
        let other = held.behind(other).expect("another tenant's goes on");
        assert_eq!(position(&held, &other), 9, "or the first would be lost");
        held.applied(&other);
        assert!(held.behind(arrived("one", 12)).is_none());
        let other = held.behind(arrived("two", 13)).unwrap();
        held.applied(&other);

        let whose = (3, Some(TenantId::new("one").unwrap()));
        let first = held.first(&whose).unwrap();
        assert_eq!(
            (first.seq, position(&held, &first)),
            (10, 11),
            "up to what waits"
        );
        held.applied(&first);
        let second = held.first(&whose).unwrap();
        assert_eq!(
            (second.seq, position(&held, &second)),
            (12, 13),
            "all of it"
        );
        held.applied(&second);
        assert!(held.first(&whose).is_none() && held.free(&whose));
        assert_eq!((held.len(), held.next_try()), (0, None));
    }

    #[test]
    fn what_there_is_no_room_for_is_let_go_of_and_all_after_it_and_read_again() {
        let mut held = Held::default();
        held.hold(arrived("one", 10));
        let whose = (3, Some(TenantId::new("one").unwrap()));
        let last = 10 + LIMIT as u64 + 5;
        for seq in 11..=last {
            assert!(held.behind(arrived("one", seq)).is_none());
        }
        assert_eq!(held.waiting(), LIMIT);
        let mut seen = Vec::new();
        while let Some(first) = held.first(&whose) {
            seen.push(first.seq);
            // there is room again, but it would overtake
            assert!(held.behind(arrived("one", last + 1)).is_none());
            assert!(position(&held, &first) < 10 + LIMIT as u64);
            held.applied(&first);
        }
        let kept: Vec<u64> = (10..10 + LIMIT as u64).collect();
        assert_eq!(seen, kept);
        assert_eq!(
            position(&held, &arrived("two", last + 2)),
            9 + LIMIT as u64,
            "before what was let go of"
        );
        assert!(!held.free(&whose), "the streams are to be read again");
    }
}
