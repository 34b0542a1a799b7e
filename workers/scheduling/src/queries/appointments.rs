//! Appointments and what became of them.

use sqlx::PgConnection;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::Places;

/// An appointment, with what its schedule says of the place.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct AppointmentRow {
    pub id: Uuid,
    pub schedule_id: Uuid,
    pub slot_id: Option<Uuid>,
    pub subject_key: Uuid,
    pub kind: String,
    pub state: String,
    pub mode: String,
    pub day: Date,
    pub starts_at: OffsetDateTime,
    pub ends_at: OffsetDateTime,
    pub held_until: Option<OffsetDateTime>,
    pub reason: Option<String>,
    pub note: Option<String>,
    pub end_reason: Option<String>,
    pub attention: Option<String>,
    pub exception_id: Option<Uuid>,
    pub version: i32,
    pub created_by: String,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
    pub schedule: String,
    pub practitioner: Option<String>,
    pub practitioner_name: Option<String>,
    pub service: Option<String>,
    pub room: Option<String>,
    pub facility: Option<String>,
    pub department: Option<String>,
    /// The live token, else the last one.
    pub token: Option<i32>,
    pub queue_id: Option<Uuid>,
}

const APPOINTMENT: &str = "select a.*, s.name as schedule, s.practitioner, s.practitioner_name, s.service, s.room, s.facility,
    s.department, t.number as token, t.queue_id
    from clinical.appointments a join clinical.schedules s on s.id = a.schedule_id
    left join lateral (select number, queue_id from clinical.tokens k
        where k.appointment_id = a.id and (k.state <> 'gone' or a.state in ('cancelled', 'no_show'))
        order by k.given_at desc limit 1) t on true";

/// Which appointments.
#[derive(Debug, Clone, Default)]
pub struct AppointmentFilter {
    /// Keys of one person's identifiers.
    pub subjects: Option<Vec<Uuid>>,
    pub schedule: Option<Uuid>,
    pub practitioner: Option<String>,
    pub service: Option<String>,
    pub states: Option<Vec<String>>,
    pub day: Option<Date>,
    pub from: Option<OffsetDateTime>,
    pub to: Option<OffsetDateTime>,
    /// Only those that somebody must look at.
    pub attention: bool,
    /// Only those that this exception leaves without a time.
    pub exception: Option<Uuid>,
    pub places: Option<Places>,
    pub after: Option<(OffsetDateTime, Uuid)>,
    pub limit: i64,
}

/// One appointment.
///
/// # Errors
/// The database is out of reach.
pub async fn appointment(
    conn: &mut PgConnection,
    id: Uuid,
) -> Result<Option<AppointmentRow>, sqlx::Error> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "{APPOINTMENT} where a.id = $1"
    )))
    .bind(id)
    .fetch_optional(conn)
    .await
}

/// Appointments by their time.
///
/// # Errors
/// The database is out of reach.
pub async fn appointments(
    conn: &mut PgConnection,
    filter: &AppointmentFilter,
) -> Result<Vec<AppointmentRow>, sqlx::Error> {
    let (facilities, departments) = Places::split(filter.places.as_ref());
    let (after_time, after_id) = filter.after.unzip();
    sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "{APPOINTMENT} where ($1::uuid[] is null or a.subject_key = any($1)) and ($2::uuid is null or a.schedule_id = $2)
           and ($3::text is null or s.practitioner = $3) and ($4::text is null or s.service = $4)
           and ($5::text[] is null or a.state = any($5)) and ($6::date is null or a.day = $6)
           and ($7::timestamptz is null or a.starts_at >= $7) and ($8::timestamptz is null or a.starts_at < $8)
           and (not $9 or a.attention is not null) and ($10::uuid is null or a.exception_id = $10)
           and ($11::text[] is null or exists (select from unnest($11, $12::text[]) as p(facility, department)
                where p.facility = s.facility and (p.department = '' or p.department = s.department)))
           and ($13::timestamptz is null or (a.starts_at, a.id) > ($13, $14))
         order by a.starts_at, a.id limit $15"
    )))
    .bind(&filter.subjects)
    .bind(filter.schedule)
    .bind(&filter.practitioner)
    .bind(&filter.service)
    .bind(&filter.states)
    .bind(filter.day)
    .bind(filter.from)
    .bind(filter.to)
    .bind(filter.attention)
    .bind(filter.exception)
    .bind(facilities)
    .bind(departments)
    .bind(after_time)
    .bind(after_id)
    .bind(filter.limit)
    .fetch_all(conn)
    .await
}

/// A step of an appointment.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct StepRow {
    pub action: String,
    pub from_state: Option<String>,
    pub to_state: String,
    pub from_slot: Option<Uuid>,
    pub to_slot: Option<Uuid>,
    pub actor: String,
    pub reason: Option<String>,
    pub at: OffsetDateTime,
}

/// The steps of an appointment, oldest first.
///
/// # Errors
/// The database is out of reach.
pub async fn steps(conn: &mut PgConnection, id: Uuid) -> Result<Vec<StepRow>, sqlx::Error> {
    sqlx::query_as(
        "select action, from_state, to_state, from_slot, to_slot, actor, reason, at
         from clinical.appointment_steps s where s.appointment_id = $1 order by s.id",
    )
    .bind(id)
    .fetch_all(conn)
    .await
}

/// A reminder that was said to be due.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ReminderRow {
    pub minutes_before: i32,
    pub starts_at: OffsetDateTime,
    pub said_at: OffsetDateTime,
}

/// Reminders of an appointment, oldest first.
///
/// # Errors
/// The database is out of reach.
pub async fn reminders(conn: &mut PgConnection, id: Uuid) -> Result<Vec<ReminderRow>, sqlx::Error> {
    sqlx::query_as(
        "select minutes_before, starts_at, said_at from clinical.appointment_reminders where appointment_id = $1 order by said_at",
    )
    .bind(id)
    .fetch_all(conn)
    .await
}
