//! How long it took after each kill until messages were taken again, and until they had effect again.

use std::time::{Duration, Instant};

use super::sender::Acknowledged;
use super::stand::Victim;

/// One kill.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kill {
    pub(crate) victim: Victim,
    pub(crate) at: Instant,
}

/// Where the workers stood at a moment: the sum of each one's positions.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    pub(crate) at: Instant,
    pub(crate) applied: Vec<u64>,
}

/// Times after one kill. A second kill before the recovery is part of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recovery {
    /// First AA for bytes that were written after the kill.
    pub(crate) accepted: Option<Duration>,
    /// When every worker had applied something anew.
    pub(crate) applied: Option<Duration>,
}

/// Times after a kill, out of all acknowledgements and looks (both in the order of time).
pub(crate) fn after(kill: Kill, acknowledged: &[Acknowledged], looks: &[Look]) -> Recovery {
    let accepted = acknowledged
        .iter()
        .filter(|one| one.written > kill.at)
        .map(|one| one.at - kill.at)
        .min();
    let before = looks.iter().rev().find(|look| look.at <= kill.at);
    let applied = before.and_then(|before| {
        let anew = |look: &&Look| {
            look.at > kill.at
                && look.applied.len() == before.applied.len()
                && look
                    .applied
                    .iter()
                    .zip(&before.applied)
                    .all(|(now, then)| now > then)
        };
        Some(looks.iter().find(anew)?.at - kill.at)
    });
    Recovery { accepted, applied }
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
        };
        let acknowledged = [(90, 101), (150, 400), (160, 390)];
        let acknowledged = acknowledged.map(|(written, answered)| Acknowledged {
            written: at(written),
            at: at(answered),
        });
        let looks = [(50, [5, 5]), (120, [6, 5]), (500, [6, 5]), (700, [7, 8])];
        let looks = looks.map(|(ms, applied)| Look {
            at: at(ms),
            applied: applied.to_vec(),
        });
        let recovery = after(kill, &acknowledged, &looks);
        assert_eq!(recovery.accepted, Some(Duration::from_millis(290)));
        assert_eq!(recovery.applied, Some(Duration::from_millis(600)));
    }
}
