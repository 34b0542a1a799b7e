//! Where a specimen stands, and which steps are possible from there (specs/hms-modules.md §1.10).

use hub_core::Refusal;
use time::OffsetDateTime;

/// Told by the times that are known of it, whoever said them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It has a number.
    Accessioned,
    Collected,
    Received,
    Rejected,
}

/// What happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    Collect,
    Receive,
    Reject,
}

use Move::{Collect, Receive, Reject};
use State::{Accessioned, Collected, Received, Rejected};

/// From, step, to; what stands in no row is refused. A laboratory receives and rejects what nobody scanned at the bedside, too; what
/// it rejected stays so, and another tube takes its place.
const TRANSITIONS: &[(State, Move, State)] = &[
    (Accessioned, Collect, Collected),
    (Accessioned, Receive, Received),
    (Accessioned, Reject, Rejected),
    (Collected, Receive, Received),
    (Collected, Reject, Rejected),
    (Received, Reject, Rejected),
];

impl State {
    #[cfg(test)]
    const ALL: [Self; 4] = [Accessioned, Collected, Received, Rejected];

    /// The same as the SQL of [`crate::queries`] says.
    pub(crate) fn of(
        collected_at: Option<OffsetDateTime>,
        received_at: Option<OffsetDateTime>,
        rejected_at: Option<OffsetDateTime>,
    ) -> Self {
        match (collected_at, received_at, rejected_at) {
            (_, _, Some(_)) => Rejected,
            (_, Some(_), None) => Received,
            (Some(_), None, None) => Collected,
            (None, None, None) => Accessioned,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Accessioned => "accessioned",
            Collected => "collected",
            Received => "received",
            Rejected => "rejected",
        }
    }
}

impl Move {
    #[cfg(test)]
    const ALL: [Self; 3] = [Collect, Receive, Reject];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Collect => "collect",
            Receive => "receive",
            Reject => "reject",
        }
    }
}

/// The state after a step.
///
/// # Errors
/// A refusal that names from, step and what is allowed.
pub(crate) fn next(from: State, step: Move) -> Result<State, Refusal> {
    let found = TRANSITIONS
        .iter()
        .find(|(state, one, _)| *state == from && *one == step);
    if let Some((_, _, to)) = found {
        return Ok(*to);
    }
    let allowed = steps(from.as_str());
    Err(Refusal::new(
        "clinical.specimen_conflict",
        format!(
            "a specimen that is {} can't be brought on by `{}`; allowed: {}",
            from.as_str(),
            step.as_str(),
            if allowed.is_empty() {
                "nothing".to_owned()
            } else {
                allowed.join(", ")
            }
        ),
    ))
}

/// Steps that are possible from a state, by its word.
pub(crate) fn steps(from: &str) -> Vec<&'static str> {
    TRANSITIONS
        .iter()
        .filter(|(state, _, _)| state.as_str() == from)
        .map(|(_, step, _)| step.as_str())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_answers_every_step() {
        #[rustfmt::skip]
        let table = [
            // from         Collect          Receive         Reject
            (Accessioned, [Some(Collected), Some(Received), Some(Rejected)]),
            (Collected,   [None,            Some(Received), Some(Rejected)]),
            (Received,    [None,            None,           Some(Rejected)]),
            (Rejected,    [None,            None,           None]),
        ];
        assert_eq!(table.map(|(from, _)| from), State::ALL);
        for (from, after) in table {
            for (step, expected) in Move::ALL.into_iter().zip(after) {
                let to = next(from, step);
                assert_eq!(to.clone().ok(), expected, "{from:?} {step:?}");
                if let Err(refusal) = to {
                    let names = [from.as_str(), step.as_str(), "allowed"];
                    assert!(
                        names.iter().all(|name| refusal.detail.contains(name)),
                        "{refusal}"
                    );
                }
            }
        }
        assert_eq!(steps("collected"), ["receive", "reject"]);
        assert!(steps("rejected").is_empty());
    }

    #[test]
    fn the_last_time_that_is_known_tells_where_it_stands() {
        let at = Some(time::macros::datetime!(2026-03-01 12:00 UTC));
        for (times, state) in [
            ([None, None, None], Accessioned),
            ([at, None, None], Collected),
            ([None, at, None], Received),
            ([at, at, None], Received),
            ([at, at, at], Rejected),
            ([None, None, at], Rejected),
        ] {
            assert_eq!(State::of(times[0], times[1], times[2]), state, "{times:?}");
        }
    }
}
