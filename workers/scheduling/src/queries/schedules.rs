//! Schedules, their hours and exceptions.

use sqlx::PgConnection;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

/// A schedule.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ScheduleRow {
    pub id: Uuid,
    pub name: String,
    pub facility: Option<String>,
    pub department: Option<String>,
    pub practitioner: Option<String>,
    pub practitioner_name: Option<String>,
    pub room: Option<String>,
    pub service: Option<String>,
    pub zone: String,
    pub slot_minutes: i16,
    pub capacity: i16,
    pub overbook: i16,
    pub walk_ins: i16,
    pub horizon_days: i16,
    pub hold_seconds: i32,
    pub offer_seconds: i32,
    pub reminder_minutes: Vec<i32>,
    pub state: String,
    pub template: i32,
    pub generated_until: Option<Date>,
    pub version: i32,
    pub created_by: String,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

/// Which schedules.
#[derive(Debug, Clone, Default)]
pub struct ScheduleFilter {
    pub practitioner: Option<String>,
    pub service: Option<String>,
    pub room: Option<String>,
    pub facility: Option<String>,
    pub department: Option<String>,
    pub state: Option<String>,
    pub after: Option<Uuid>,
    pub limit: i64,
}

/// One schedule.
///
/// # Errors
/// The database is out of reach.
pub async fn schedule(
    conn: &mut PgConnection,
    id: Uuid,
) -> Result<Option<ScheduleRow>, sqlx::Error> {
    sqlx::query_as("select * from clinical.schedules where id = $1")
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// Schedules in the order in which they were made.
///
/// # Errors
/// The database is out of reach.
pub async fn schedules(
    conn: &mut PgConnection,
    filter: &ScheduleFilter,
) -> Result<Vec<ScheduleRow>, sqlx::Error> {
    sqlx::query_as(
        "select * from clinical.schedules
         where ($1::text is null or practitioner = $1) and ($2::text is null or service = $2) and ($3::text is null or room = $3)
           and ($4::text is null or facility = $4) and ($5::text is null or department = $5)
           and ($6::text is null or state = $6) and ($7::uuid is null or id > $7)
         order by id limit $8",
    )
    .bind(&filter.practitioner)
    .bind(&filter.service)
    .bind(&filter.room)
    .bind(&filter.facility)
    .bind(&filter.department)
    .bind(&filter.state)
    .bind(filter.after)
    .bind(filter.limit)
    .fetch_all(conn)
    .await
}

/// Weekly hours of a schedule.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct HoursRow {
    pub schedule_id: Uuid,
    pub weekday: i16,
    /// `08:00`
    pub from_time: String,
    pub to_time: String,
}

/// The weekly hours that hold now, of several schedules.
///
/// # Errors
/// The database is out of reach.
pub async fn hours(
    conn: &mut PgConnection,
    schedules: &[Uuid],
) -> Result<Vec<HoursRow>, sqlx::Error> {
    sqlx::query_as(
        "select h.schedule_id, h.weekday, to_char(h.from_time, 'HH24:MI') as from_time, to_char(h.to_time, 'HH24:MI') as to_time
         from clinical.schedule_hours h join clinical.schedules s on s.id = h.schedule_id and s.template = h.template
         where h.schedule_id = any($1) order by h.weekday, h.from_time",
    )
    .bind(schedules)
    .fetch_all(conn)
    .await
}

/// Leave or extra hours.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ExceptionRow {
    pub id: Uuid,
    pub schedule_id: Uuid,
    pub kind: String,
    pub first_day: Date,
    pub last_day: Date,
    pub from_time: Option<String>,
    pub to_time: Option<String>,
    pub reason: String,
    pub created_by: String,
    pub created_at: OffsetDateTime,
    pub ended_at: Option<OffsetDateTime>,
    pub ended_by: Option<String>,
    /// Appointments that it still leaves without a time.
    pub affected: i64,
}

const EXCEPTION: &str = "select e.id, e.schedule_id, e.kind, e.first_day, e.last_day, to_char(e.from_time, 'HH24:MI') as from_time,
    to_char(e.to_time, 'HH24:MI') as to_time, e.reason, e.created_by, e.created_at, e.ended_at, e.ended_by,
    (select count(*) from clinical.appointments a where a.schedule_id = e.schedule_id and a.exception_id = e.id) as affected
    from clinical.schedule_exceptions e";

/// One exception.
///
/// # Errors
/// The database is out of reach.
pub async fn exception(
    conn: &mut PgConnection,
    id: Uuid,
) -> Result<Option<ExceptionRow>, sqlx::Error> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!("{EXCEPTION} where e.id = $1")))
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// Exceptions of a schedule that end on a day or later, ended ones too; at most 500.
///
/// # Errors
/// The database is out of reach.
pub async fn exceptions(
    conn: &mut PgConnection,
    schedule: Uuid,
    from: Option<Date>,
) -> Result<Vec<ExceptionRow>, sqlx::Error> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "{EXCEPTION} where e.schedule_id = $1 and ($2::date is null or e.last_day >= $2) order by e.first_day, e.id limit 500"
    )))
    .bind(schedule)
    .bind(from)
    .fetch_all(conn)
    .await
}
