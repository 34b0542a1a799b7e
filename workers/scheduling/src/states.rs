//! Which step of an appointment may follow which: a table, and nothing beside it.

use hub_core::Refusal;
use schemas::scheduling::{AppointmentAction as Action, AppointmentState as State};

/// Action, from, to. What is not here is refused.
pub const TRANSITIONS: &[(Action, State, State)] = &[
    (Action::Book, State::Held, State::Booked),
    (Action::Confirm, State::Booked, State::Confirmed),
    (Action::Arrive, State::Booked, State::Arrived),
    (Action::Arrive, State::Confirmed, State::Arrived),
    (Action::Start, State::Arrived, State::InConsult),
    (Action::Finish, State::InConsult, State::Done),
    (Action::Cancel, State::Held, State::Cancelled),
    (Action::Cancel, State::Booked, State::Cancelled),
    (Action::Cancel, State::Confirmed, State::Cancelled),
    (Action::Cancel, State::Arrived, State::Cancelled),
    (Action::NoShow, State::Booked, State::NoShow),
    (Action::NoShow, State::Confirmed, State::NoShow),
    // there, called, and gone again
    (Action::NoShow, State::Arrived, State::NoShow),
    (Action::Reschedule, State::Booked, State::Booked),
    (Action::Reschedule, State::Confirmed, State::Booked),
    (Action::Reschedule, State::Arrived, State::Booked),
    (Action::Expire, State::Held, State::Expired),
];

/// States in which a place in the slot is the appointment's.
pub const HOLDING: &[State] = &[
    State::Held,
    State::Booked,
    State::Confirmed,
    State::Arrived,
    State::InConsult,
    State::Done,
];

/// Where an action leads.
///
/// # Errors
/// `appointments.state_conflict`, which names from, to and what is allowed instead.
pub fn next(action: Action, from: State) -> Result<State, Refusal> {
    TRANSITIONS
        .iter()
        .find(|(one, before, _)| *one == action && *before == from)
        .map(|(_, _, to)| *to)
        .ok_or_else(|| {
            let allowed: Vec<&str> = TRANSITIONS
                .iter()
                .filter(|(one, before, _)| *before == from && *one != Action::Expire)
                .map(|(one, _, _)| one.as_str())
                .collect();
            let to = TRANSITIONS
                .iter()
                .find(|(one, _, _)| *one == action)
                .map_or("nothing", |(_, _, to)| to.as_str());
            let allowed = if allowed.is_empty() {
                "nothing, it is over".to_owned()
            } else {
                allowed.join(", ")
            };
            Refusal::new(
                "appointments.state_conflict",
                format!(
                    "from {} to {to} is no step; allowed: {allowed}",
                    from.as_str()
                ),
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_action_and_state_either_stands_in_the_table_or_is_refused() {
        for action in Action::ALL {
            for from in State::ALL {
                let rows: Vec<State> = TRANSITIONS
                    .iter()
                    .filter(|(one, before, _)| one == action && before == from)
                    .map(|(_, _, to)| *to)
                    .collect();
                match next(*action, *from) {
                    Ok(to) => assert_eq!(rows, [to], "{action:?} {from:?}"),
                    Err(refusal) => {
                        assert!(rows.is_empty(), "{action:?} {from:?}");
                        assert_eq!(refusal.code, "appointments.state_conflict");
                        assert!(refusal.detail.contains(from.as_str()));
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_over_stays_over_and_every_state_can_be_reached() {
        for over in [State::Done, State::Cancelled, State::NoShow, State::Expired] {
            for action in Action::ALL {
                assert!(next(*action, over).is_err(), "{action:?} {over:?}");
            }
        }
        for state in State::ALL {
            let made = [State::Held, State::Booked].contains(state);
            assert!(
                made || TRANSITIONS.iter().any(|(_, _, to)| to == state),
                "{state:?}"
            );
        }
    }
}
