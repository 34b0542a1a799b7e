//! Several runs of one test on one sample: reruns and dilutions. All are kept; the rule of the device says which counts. Pure.

use std::cmp::Reverse;

use time::OffsetDateTime;

use super::pack::Runs;

/// One run, as far as the rule looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) measured_at: OffsetDateTime,
    /// Which was filed first, where the times do not tell.
    pub(super) filed: usize,
    /// The instrument flagged it, or it has no value.
    pub(super) alarm: bool,
}

/// Place of the run that counts; `None` only of none. Where every run has an alarm the last counts, and its flags have it
/// reviewed.
pub(super) fn counting(rule: Runs, runs: &[Run]) -> Option<usize> {
    let when = |place: &usize| (runs[*place].measured_at, runs[*place].filed);
    let last = (0..runs.len()).max_by_key(when);
    match rule {
        Runs::Last => last,
        Runs::FirstWithoutAlarm => (0..runs.len())
            .filter(|place| !runs[*place].alarm)
            .max_by_key(|place| Reverse(when(place)))
            .or(last),
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn the_rule_of_the_device_says_which_run_counts() {
        let run = |minute: i64, filed, alarm| Run {
            measured_at: datetime!(2026-03-01 12:00 UTC) + time::Duration::minutes(minute),
            filed,
            alarm,
        };
        for (rule, runs, expected) in [
            (Runs::Last, vec![], None),
            (Runs::Last, vec![run(0, 0, false)], Some(0)),
            (Runs::Last, vec![run(0, 0, false), run(5, 1, true)], Some(1)),
            // filed in another order than measured
            (
                Runs::Last,
                vec![run(5, 0, false), run(0, 1, false)],
                Some(0),
            ),
            (
                Runs::Last,
                vec![run(0, 0, false), run(0, 1, false)],
                Some(1),
            ),
            (
                Runs::FirstWithoutAlarm,
                vec![run(0, 0, true), run(5, 1, false), run(9, 2, false)],
                Some(1),
            ),
            (
                Runs::FirstWithoutAlarm,
                vec![run(9, 0, false), run(5, 1, false)],
                Some(1),
            ),
            (
                Runs::FirstWithoutAlarm,
                vec![run(0, 0, true), run(5, 1, true)],
                Some(1),
            ),
        ] {
            assert_eq!(counting(rule, &runs), expected, "{rule:?} {runs:?}");
        }
    }
}
