//! Taking a place, and taking another one instead.

use hub_core::Verdict;
use schemas::IdentifierKey;
use schemas::scheduling::{
    AppointmentAction as Action, AppointmentBooked, AppointmentRescheduled,
    AppointmentState as State, BookAppointment, ChangeAppointment, RescheduleAppointment,
};
use serde_json::json;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::advance::answer;
use crate::appointment::{self, Appointment};
use crate::places::{self, Slot};
use crate::turn::{Stop, Turn, refuse, rfc3339};
use crate::{queues, states, trail};

/// The key that was given, and all others of the person.
pub(crate) fn keys(given: IdentifierKey, person: &[IdentifierKey]) -> Vec<Uuid> {
    let mut keys: Vec<Uuid> = person.iter().map(|key| key.0).collect();
    keys.push(given.0);
    keys
}

pub(crate) async fn book(
    mut turn: Turn<'_, '_>,
    command: &BookAppointment,
) -> Result<Verdict, Stop> {
    places::lock(&mut turn, [command.slot_id]).await?;
    let slot = places::open(&mut turn, command.slot_id).await?;
    let person = keys(command.subject_key, &command.person_keys);
    places::not_twice(&mut turn, slot.id, &person).await?;
    let kind = places::take(&mut turn, &slot, command.overbook).await?;
    let held_until = command
        .hold
        .then(|| hold_until(turn.now, slot.hold_seconds, slot.ends_at));
    let new = New {
        id: command.appointment_id,
        subject: command.subject_key.0,
        kind,
        held_until,
        mode: command.mode.as_str(),
        reason: command.reason.as_deref(),
        note: command.note.as_deref(),
    };
    let made = insert(&mut turn, &slot, &new).await?;
    turn.say(
        made.schedule_id,
        &AppointmentBooked {
            appointment: made.facts(),
        },
    );
    trail::note(
        &mut turn,
        "scheduling.appointment.book",
        &format!("appointment {}", made.id),
        &[made.id, made.schedule_id],
        None,
        json!({ "slot_id": slot.id, "starts_at": rfc3339(slot.starts_at), "state": made.state(), "kind": kind }),
    )
    .await?;
    let answer = answer(&made, None);
    Ok(turn.done(answer))
}

/// Nobody holds a slot beyond its end.
pub(crate) fn hold_until(now: OffsetDateTime, seconds: i32, end: OffsetDateTime) -> OffsetDateTime {
    (now + Duration::seconds(i64::from(seconds))).min(end)
}

/// What a new appointment in a slot is made of.
pub(crate) struct New<'a> {
    pub(crate) id: Uuid,
    pub(crate) subject: Uuid,
    pub(crate) kind: &'a str,
    pub(crate) held_until: Option<OffsetDateTime>,
    pub(crate) mode: &'a str,
    pub(crate) reason: Option<&'a str>,
    pub(crate) note: Option<&'a str>,
}

/// Writes it; the place is taken already.
pub(crate) async fn insert(
    turn: &mut Turn<'_, '_>,
    slot: &Slot,
    new: &New<'_>,
) -> Result<Appointment, Stop> {
    let (tenant, actor, now) = (turn.tenant(), turn.actor.clone(), turn.now);
    let state = if new.held_until.is_some() {
        State::Held
    } else {
        State::Booked
    };
    let made: Appointment = sqlx::query_as(
        "insert into clinical.appointments (tenant_id, id, schedule_id, slot_id, subject_key, kind, state, mode, day, starts_at,
             ends_at, held_until, placed_at, reason, note, created_by)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) returning *",
    )
    .bind(tenant)
    .bind(new.id)
    .bind(slot.schedule_id)
    .bind(slot.id)
    .bind(new.subject)
    .bind(new.kind)
    .bind(state.as_str())
    .bind(new.mode)
    .bind(slot.day)
    .bind(slot.starts_at)
    .bind(slot.ends_at)
    .bind(new.held_until)
    .bind(now)
    .bind(new.reason)
    .bind(new.note)
    .bind(actor)
    .fetch_one(turn.conn())
    .await?;
    appointment::step(turn, None, &made, Action::Book, None).await?;
    Ok(made)
}

/// The same appointment at another time. It is in the old slot until the new one is its own.
pub(crate) async fn reschedule(
    mut turn: Turn<'_, '_>,
    command: &RescheduleAppointment,
) -> Result<Verdict, Stop> {
    let before =
        appointment::lock(&mut turn, command.appointment_id, Some(command.slot_id)).await?;
    appointment::fresh(&before, command.version)?;
    let to = states::next(Action::Reschedule, before.state())?;
    let Some(old) = before.slot_id else {
        return refuse(
            "appointments.walk_in_conflict",
            "who walked in has no slot: cancel it and book one",
        );
    };
    let slot = places::open(&mut turn, command.slot_id).await?;
    let person = keys(IdentifierKey(before.subject_key), &command.person_keys);
    places::not_twice(&mut turn, slot.id, &person).await?;
    let kind = places::take(&mut turn, &slot, command.overbook).await?;
    let now = turn.now;
    let after: Appointment = sqlx::query_as(
        "update clinical.appointments
         set schedule_id = $2, slot_id = $3, kind = $4, state = $5, day = $6, starts_at = $7, ends_at = $8, placed_at = $9,
             attention = null, exception_id = null, version = version + 1, updated_at = now()
         where id = $1 returning *",
    )
    .bind(before.id)
    .bind(slot.schedule_id)
    .bind(slot.id)
    .bind(kind)
    .bind(to.as_str())
    .bind(slot.day)
    .bind(slot.starts_at)
    .bind(slot.ends_at)
    .bind(now)
    .fetch_one(turn.conn())
    .await?;
    let reason = command.reason.as_deref();
    appointment::step(&mut turn, Some(&before), &after, Action::Reschedule, reason).await?;
    queues::set_token(&mut turn, before.id, "gone").await?;
    places::release(&mut turn, old, &before.kind).await?;
    turn.say(
        after.schedule_id,
        &AppointmentRescheduled {
            appointment: after.facts(),
            old_slot: old,
            old_schedule: before.schedule_id,
            old_starts_at: rfc3339(before.starts_at),
        },
    );
    trail::note(
        &mut turn,
        "scheduling.appointment.reschedule",
        &format!("appointment {}", after.id),
        &[after.id, after.schedule_id],
        reason,
        json!({
            "from_slot": old, "from": rfc3339(before.starts_at), "to_slot": slot.id, "to": rfc3339(slot.starts_at),
            "version": after.version,
        }),
    )
    .await?;
    let answer = answer(&after, None);
    Ok(turn.done(answer))
}

pub(crate) async fn change(
    mut turn: Turn<'_, '_>,
    command: &ChangeAppointment,
) -> Result<Verdict, Stop> {
    let before = appointment::lock(&mut turn, command.appointment_id, None).await?;
    appointment::fresh(&before, command.version)?;
    if matches!(
        before.state(),
        State::Cancelled | State::NoShow | State::Expired
    ) {
        return refuse(
            "appointments.state_conflict",
            format!(
                "it is {}: nothing of it is changed any more",
                before.state().as_str()
            ),
        );
    }
    let after: Appointment = sqlx::query_as(
        "update clinical.appointments
         set mode = coalesce($2, mode), reason = coalesce($3, reason), note = coalesce($4, note), version = version + 1,
             updated_at = now()
         where id = $1 returning *",
    )
    .bind(before.id)
    .bind(command.mode.map(schemas::scheduling::Mode::as_str))
    .bind(&command.reason)
    .bind(&command.note)
    .fetch_one(turn.conn())
    .await?;
    trail::note(
        &mut turn,
        "scheduling.appointment.change",
        &format!("appointment {}", after.id),
        &[after.id, after.schedule_id],
        None,
        json!({
            "mode": command.mode, "reason": command.reason.is_some(), "note": command.note.is_some(), "version": after.version,
        }),
    )
    .await?;
    let answer = answer(&after, None);
    Ok(turn.done(answer))
}
