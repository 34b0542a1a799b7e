//! The next state of an appointment, and what else changes with it: its place, its token, its offer.

use hub_core::Verdict;
use schemas::scheduling::{
    AdvanceAppointment, AppointmentAction as Action, AppointmentCancelled, AppointmentCheckedIn,
    AppointmentMissed, AppointmentState as State, AppointmentStateChanged,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::appointment::{self, Appointment};
use crate::states;
use crate::turn::{Stop, Turn, refuse};
use crate::{places, queues, trail, waitlist};

pub(crate) async fn advance(
    mut turn: Turn<'_, '_>,
    command: &AdvanceAppointment,
) -> Result<Verdict, Stop> {
    if matches!(command.action, Action::Reschedule | Action::Expire) {
        return refuse(
            "appointments.action",
            "this is not done so: a reschedule has a command of its own, and time expires holds",
        );
    }
    let before = appointment::lock(&mut turn, command.appointment_id, None).await?;
    appointment::fresh(&before, command.version)?;
    let after = apply(
        &mut turn,
        &before,
        command.action,
        command.reason.as_deref(),
    )
    .await?;
    note(&mut turn, &after, command.action, command.reason.as_deref()).await?;
    let answer = answer(&after.0, after.1);
    Ok(turn.done(answer))
}

/// What the caller of a write on one appointment is told.
pub(crate) fn answer(appointment: &Appointment, token: Option<i32>) -> Value {
    let mut answer = json!({
        "appointment_id": appointment.id, "state": appointment.state(), "version": appointment.version,
        "schedule_id": appointment.schedule_id, "slot_id": appointment.slot_id,
        "starts_at": crate::turn::rfc3339(appointment.starts_at),
    });
    if let Some(until) = appointment.held_until {
        answer["held_until"] = json!(crate::turn::rfc3339(until));
    }
    if let Some(token) = token {
        answer["token"] = json!(token);
    }
    answer
}

async fn note(
    turn: &mut Turn<'_, '_>,
    (after, token): &(Appointment, Option<i32>),
    action: Action,
    reason: Option<&str>,
) -> Result<(), Stop> {
    trail::note(
        turn,
        &format!("scheduling.appointment.{}", action.as_str()),
        &format!("appointment {}", after.id),
        &[after.id, after.schedule_id],
        reason,
        json!({ "state": after.state(), "version": after.version, "token": token }),
    )
    .await
}

/// The step itself; the appointment and its slot are locked. With the token that it got or has.
pub(crate) async fn apply(
    turn: &mut Turn<'_, '_>,
    before: &Appointment,
    action: Action,
    reason: Option<&str>,
) -> Result<(Appointment, Option<i32>), Stop> {
    let to = states::next(action, before.state())?;
    if action == Action::NoShow && before.starts_at > turn.now {
        return refuse(
            "appointments.early_conflict",
            "it has not begun yet: who does not come can't be known before",
        );
    }
    if action == Action::Book && before.held_until.is_some_and(|until| until <= turn.now) {
        return refuse(
            "appointments.hold_over_conflict",
            "the time for which the place was held is over",
        );
    }
    let after = appointment::set_state(turn, before, action, to, reason).await?;
    let mut token = None;
    match action {
        Action::Book => waitlist::settle(turn, after.id, "accepted").await?,
        Action::Arrive => {
            let (queue, number) = queues::check_in(turn, &after).await?;
            token = Some(number);
            turn.say(
                after.schedule_id,
                &AppointmentCheckedIn {
                    appointment: after.facts(),
                    queue_id: queue,
                    token: number,
                },
            );
        }
        Action::Start => token = queues::set_token(turn, after.id, "in_consult").await?,
        Action::Finish => token = queues::set_token(turn, after.id, "done").await?,
        Action::Cancel | Action::NoShow | Action::Expire => {
            queues::set_token(turn, after.id, "gone").await?;
            let outcome = if action == Action::Expire {
                "expired"
            } else {
                "declined"
            };
            // the list has its entry back before the place goes on, and is not asked about this slot again
            waitlist::settle(turn, after.id, outcome).await?;
            if let Some(slot) = after.slot_id {
                places::release(turn, slot, &before.kind).await?;
            }
        }
        Action::Confirm | Action::Reschedule => {}
    }
    say(turn, before, &after, action);
    Ok((after, token))
}

fn say(turn: &mut Turn<'_, '_>, before: &Appointment, after: &Appointment, action: Action) {
    let by = turn.actor.clone();
    let appointment = after.facts();
    match action {
        Action::Arrive => {}
        Action::Cancel => turn.say(after.schedule_id, &AppointmentCancelled { appointment, by }),
        Action::NoShow => turn.say(after.schedule_id, &AppointmentMissed { appointment, by }),
        _ => turn.say(
            after.schedule_id,
            &AppointmentStateChanged {
                appointment,
                from: before.state(),
                to: after.state(),
            },
        ),
    }
}

/// Ends what is over in a slot, which is locked: holds, and offers of the waiting list. How many.
pub(crate) async fn expire_in(turn: &mut Turn<'_, '_>, slot: Uuid) -> Result<u32, Stop> {
    let now = turn.now;
    let mut ended = 0;
    let over: Vec<Uuid> = sqlx::query_scalar(
        "select id from clinical.appointments where slot_id = $1 and state = 'held' and held_until <= $2 order by held_until, id",
    )
    .bind(slot)
    .bind(now)
    .fetch_all(turn.conn())
    .await?;
    for id in over {
        let before = appointment::lock(turn, id, None).await?;
        if before.state() == State::Held && before.held_until.is_some_and(|until| until <= now) {
            apply(turn, &before, Action::Expire, None).await?;
            ended += 1;
        }
    }
    Ok(ended)
}
