//! The states of a result's verification and the one function that moves between them.

/// Where the verification of one version of a result stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum State {
    /// On file; the instrument has not said its last word.
    Received,
    /// A check failed: a person decides.
    NeedsReview,
    /// Good; its report is not complete yet, and goes out whole.
    Verified,
    /// Must not be acted on.
    Rejected,
    /// May be acted on.
    Released,
}

/// What happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// The rules looked: all checks passed.
    Pass,
    /// The rules looked: it is not final.
    Wait,
    /// The rules looked: a check failed.
    Fail,
    /// The rules looked: another run of the sample counts.
    Drop,
    /// A person says it is good.
    Verify,
    /// A person says it is not.
    Reject,
    /// A person takes a rejection back.
    Reopen,
    /// It goes out.
    Release,
    /// Its specimen was rejected before it went out.
    Doubt,
}

impl State {
    pub(crate) const ALL: [Self; 5] = [
        Self::Received,
        Self::NeedsReview,
        Self::Verified,
        Self::Rejected,
        Self::Released,
    ];

    /// As stored and shown.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::NeedsReview => "needs_review",
            Self::Verified => "verified",
            Self::Rejected => "rejected",
            Self::Released => "released",
        }
    }

    /// From the column; its check constraint knows no other word.
    pub(crate) fn stored(text: &str) -> Self {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .unwrap_or(Self::NeedsReview)
    }

    /// Waits for somebody.
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::Received | Self::NeedsReview)
    }
}

/// The state after an action; `None`: it is not possible. A released version is never taken back: what corrects it is another
/// version.
pub(crate) fn transition(from: State, action: Action) -> Option<State> {
    match (from, action) {
        (State::Received | State::NeedsReview, Action::Pass | Action::Verify) => {
            Some(State::Verified)
        }
        (State::Received | State::NeedsReview, Action::Wait) => Some(State::Received),
        (State::Received | State::NeedsReview, Action::Fail) => Some(State::NeedsReview),
        (State::Received | State::NeedsReview | State::Verified, Action::Drop | Action::Reject) => {
            Some(State::Rejected)
        }
        (State::Rejected, Action::Reopen) => Some(State::NeedsReview),
        (State::Received | State::NeedsReview | State::Verified, Action::Doubt) => {
            Some(State::NeedsReview)
        }
        (State::Verified, Action::Release) => Some(State::Released),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Action::{Doubt, Drop, Fail, Pass, Reject, Release, Reopen, Verify, Wait};
    use super::State::{NeedsReview, Received, Rejected, Released, Verified};
    use super::*;

    #[test]
    fn every_state_answers_every_action() {
        #[rustfmt::skip]
        let table = [
            // from         Pass            Wait            Fail               Drop            Verify          Reject          Reopen             Release         Doubt
            (Received,    [Some(Verified), Some(Received), Some(NeedsReview), Some(Rejected), Some(Verified), Some(Rejected), None,              None,           Some(NeedsReview)]),
            (NeedsReview, [Some(Verified), Some(Received), Some(NeedsReview), Some(Rejected), Some(Verified), Some(Rejected), None,              None,           Some(NeedsReview)]),
            (Verified,    [None,           None,           None,              Some(Rejected), None,           Some(Rejected), None,              Some(Released), Some(NeedsReview)]),
            (Rejected,    [None,           None,           None,              None,           None,           None,           Some(NeedsReview), None,           None]),
            (Released,    [None,           None,           None,              None,           None,           None,           None,              None,           None]),
        ];
        let actions = [
            Pass, Wait, Fail, Drop, Verify, Reject, Reopen, Release, Doubt,
        ];
        assert_eq!(table.len(), State::ALL.len());
        for (from, after) in table {
            for (action, expected) in actions.into_iter().zip(after) {
                assert_eq!(transition(from, action), expected, "{from:?} {action:?}");
            }
        }
    }

    #[test]
    fn a_state_survives_its_column() {
        for state in State::ALL {
            assert_eq!(State::stored(state.as_str()), state);
        }
    }
}
