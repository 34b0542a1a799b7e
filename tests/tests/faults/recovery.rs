//! How long it took after each kill until messages were taken again, and until they had effect again.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use uuid::Uuid;

use super::evidence::{Evidence, Micros};
use super::sender::Acknowledged;
use super::stand::Victim;

/// One kill.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kill {
    pub(crate) victim: Victim,
    pub(crate) at: Instant,
    /// The same moment by the clock that the stores go by.
    pub(crate) clock: Micros,
}

impl Kill {
    pub(crate) fn now(victim: Victim) -> Self {
        let clock = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            victim,
            at: Instant::now(),
            clock: clock.map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(0)),
        }
    }
}

/// Times after one kill. A second kill before the recovery is part of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recovery {
    /// First AA for bytes that were written after the kill.
    pub(crate) accepted: Option<Duration>,
    /// First effect, on an encounter or a report, of a message that arrived after the kill.
    pub(crate) applied: Option<Duration>,
}

/// One message that arrived and had its effect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effect {
    received_at: Micros,
    applied_at: Micros,
}

/// Every message's effect on an encounter or a report.
pub(crate) fn effects(found: &Evidence) -> Vec<Effect> {
    found
        .ledger
        .iter()
        .filter_map(|row| {
            // the second event of each message; ids: design.md §4.3
            let event = Uuid::new_v5(&row.raw_id, &1_u32.to_be_bytes());
            let applied_at = *found.inbox.get(&("clinical".to_owned(), event))?;
            Some(Effect {
                received_at: row.received_at,
                applied_at,
            })
        })
        .collect()
}

/// Times after a kill, out of all acknowledgements and effects.
pub(crate) fn after(kill: Kill, acknowledged: &[Acknowledged], effects: &[Effect]) -> Recovery {
    Recovery {
        accepted: acknowledged
            .iter()
            .filter(|one| one.written > kill.at)
            .map(|one| one.at - kill.at)
            .min(),
        applied: effects
            .iter()
            .filter(|one| one.received_at > kill.clock)
            .map(|one| Duration::from_micros((one.applied_at - kill.clock).unsigned_abs()))
            .min(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_on_its_way_before_the_kill_is_no_recovery() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let kill = Kill {
            victim: Victim::Hub,
            at: at(100),
            clock: 100_000,
        };
        let acknowledged = [(90, 101), (150, 400), (160, 390)];
        let acknowledged = acknowledged.map(|(written, answered)| Acknowledged {
            written: at(written),
            at: at(answered),
        });
        let effects = [(90, 110), (120, 700), (130, 800)];
        let effects = effects.map(|(received, applied)| Effect {
            received_at: received * 1000,
            applied_at: applied * 1000,
        });
        let recovery = after(kill, &acknowledged, &effects);
        assert_eq!(recovery.accepted, Some(Duration::from_millis(290)));
        assert_eq!(recovery.applied, Some(Duration::from_millis(600)));
    }
}
