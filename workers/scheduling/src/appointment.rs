//! One appointment as it stands: locked, changed, its step put on record.

use schemas::IdentifierKey;
use schemas::scheduling::{
    AppointmentAction as Action, AppointmentFacts, AppointmentState as State, Mode,
};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use crate::places;
use crate::turn::{Stop, Turn, refuse, rfc3339};

/// A row of `clinical.appointments`.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct Appointment {
    pub(crate) id: Uuid,
    pub(crate) schedule_id: Uuid,
    pub(crate) slot_id: Option<Uuid>,
    pub(crate) subject_key: Uuid,
    pub(crate) kind: String,
    state: String,
    mode: String,
    pub(crate) day: Date,
    pub(crate) starts_at: OffsetDateTime,
    pub(crate) held_until: Option<OffsetDateTime>,
    pub(crate) version: i32,
}

impl Appointment {
    /// The check of the table allows no other word.
    pub(crate) fn state(&self) -> State {
        State::parse(&self.state).unwrap_or(State::Expired)
    }

    pub(crate) fn facts(&self) -> AppointmentFacts {
        AppointmentFacts {
            appointment_id: self.id,
            schedule_id: self.schedule_id,
            slot_id: self.slot_id,
            subject_key: IdentifierKey(self.subject_key),
            starts_at: rfc3339(self.starts_at),
            mode: Mode::parse(&self.mode).unwrap_or(Mode::InPerson),
            state: self.state(),
            version: self.version,
        }
    }
}

/// The appointment, locked, with its slot (and another one) locked before it: everybody locks slots first, in the order of
/// their ids.
pub(crate) async fn lock(
    turn: &mut Turn<'_, '_>,
    id: Uuid,
    also: Option<Uuid>,
) -> Result<Appointment, Stop> {
    loop {
        let slot: Option<Option<Uuid>> =
            sqlx::query_scalar("select slot_id from clinical.appointments where id = $1")
                .bind(id)
                .fetch_optional(turn.conn())
                .await?;
        let Some(slot) = slot else {
            return refuse("appointments.unknown", "no appointment has this id");
        };
        places::lock(turn, slot.into_iter().chain(also)).await?;
        let found: Appointment =
            sqlx::query_as("select * from clinical.appointments where id = $1 for update")
                .bind(id)
                .fetch_one(turn.conn())
                .await?;
        // else somebody moved it before we had the locks
        if found.slot_id == slot {
            return Ok(found);
        }
    }
}

/// The caller saw this version.
pub(crate) fn fresh(appointment: &Appointment, seen: Option<i32>) -> Result<(), Stop> {
    if seen.is_some_and(|seen| seen != appointment.version) {
        return refuse(
            "appointments.stale",
            "somebody changed it meanwhile: read it again",
        );
    }
    Ok(())
}

/// Moves it to another state; it leaves a step.
pub(crate) async fn set_state(
    turn: &mut Turn<'_, '_>,
    before: &Appointment,
    action: Action,
    to: State,
    reason: Option<&str>,
) -> Result<Appointment, Stop> {
    let ends = matches!(to, State::Cancelled | State::NoShow | State::Expired);
    let after: Appointment = sqlx::query_as(
        "update clinical.appointments
         set state = $2, held_until = null, version = version + 1, updated_at = now(),
             end_reason = case when $3 then $4 else end_reason end,
             attention = case when $3 then null else attention end
         where id = $1 returning *",
    )
    .bind(before.id)
    .bind(to.as_str())
    .bind(ends)
    .bind(reason)
    .fetch_one(turn.conn())
    .await?;
    step(turn, Some(before), &after, action, reason).await?;
    Ok(after)
}

/// Puts a step on record.
pub(crate) async fn step(
    turn: &mut Turn<'_, '_>,
    before: Option<&Appointment>,
    after: &Appointment,
    action: Action,
    reason: Option<&str>,
) -> Result<(), Stop> {
    let (tenant, actor, cause) = (turn.tenant(), turn.actor.clone(), turn.cause.id);
    sqlx::query(
        "insert into clinical.appointment_steps (tenant_id, appointment_id, action, from_state, to_state, from_slot, to_slot,
             actor, reason, source_event, at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, clock_timestamp())",
    )
    .bind(tenant)
    .bind(after.id)
    .bind(action.as_str())
    .bind(before.map(|before| before.state().as_str()))
    .bind(after.state().as_str())
    .bind(before.and_then(|before| before.slot_id))
    .bind(after.slot_id)
    .bind(actor)
    .bind(reason)
    .bind(cause)
    .execute(turn.conn())
    .await?;
    Ok(())
}
