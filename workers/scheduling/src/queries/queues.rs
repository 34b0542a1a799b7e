//! Queues of a schedule and day.

use sqlx::PgConnection;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::Places;

/// A queue.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct QueueRow {
    pub id: Uuid,
    pub schedule_id: Uuid,
    pub schedule: String,
    pub practitioner_name: Option<String>,
    pub room: Option<String>,
    pub facility: Option<String>,
    pub department: Option<String>,
    pub day: Date,
    pub waiting: i64,
    /// Booked and not there yet.
    pub expected: i64,
    pub last_number: i32,
    pub walk_ins: i32,
    pub walk_in_limit: i16,
    pub delay_minutes: i32,
}

const QUEUE: &str = "select q.id, q.schedule_id, s.name as schedule, s.practitioner_name, s.room, s.facility, s.department, q.day,
    (select count(*) from clinical.tokens t where t.queue_id = q.id and t.state in ('waiting', 'called')) as waiting,
    (select count(*) from clinical.appointments a where a.schedule_id = q.schedule_id and a.day = q.day
        and a.state in ('booked', 'confirmed')) as expected,
    q.last_number, q.walk_ins, s.walk_ins as walk_in_limit, q.delay_minutes
    from clinical.queues q join clinical.schedules s on s.id = q.schedule_id";

/// Which queues.
#[derive(Debug, Clone, Default)]
pub struct QueueFilter {
    pub schedule: Option<Uuid>,
    pub practitioner: Option<String>,
    /// Absent: today, where the schedule is.
    pub day: Option<Date>,
    pub places: Option<Places>,
    pub after: Option<Uuid>,
    pub limit: i64,
}

/// One queue.
///
/// # Errors
/// The database is out of reach.
pub async fn queue(conn: &mut PgConnection, id: Uuid) -> Result<Option<QueueRow>, sqlx::Error> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!("{QUEUE} where q.id = $1")))
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// Queues of a day.
///
/// # Errors
/// The database is out of reach.
pub async fn queues(
    conn: &mut PgConnection,
    filter: &QueueFilter,
) -> Result<Vec<QueueRow>, sqlx::Error> {
    let (facilities, departments) = Places::split(filter.places.as_ref());
    sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "{QUEUE} where q.day = coalesce($1::date, (now() at time zone s.zone)::date)
           and ($2::uuid is null or q.schedule_id = $2) and ($3::text is null or s.practitioner = $3)
           and ($4::text[] is null or exists (select from unnest($4, $5::text[]) as p(facility, department)
                where p.facility = s.facility and (p.department = '' or p.department = s.department)))
           and ($6::uuid is null or q.id > $6)
         order by q.id limit $7"
    )))
    .bind(filter.day)
    .bind(filter.schedule)
    .bind(&filter.practitioner)
    .bind(facilities)
    .bind(departments)
    .bind(filter.after)
    .bind(filter.limit)
    .fetch_all(conn)
    .await
}

/// A number of a queue.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct TokenRow {
    pub number: i32,
    pub state: String,
    pub appointment_id: Uuid,
    pub subject_key: Uuid,
    pub kind: String,
    pub starts_at: OffsetDateTime,
    pub calls: i16,
    pub room: Option<String>,
    pub given_at: OffsetDateTime,
    pub called_at: Option<OffsetDateTime>,
    pub ended_at: Option<OffsetDateTime>,
}

/// The numbers of a queue, lowest first.
///
/// # Errors
/// The database is out of reach.
pub async fn tokens(conn: &mut PgConnection, queue: Uuid) -> Result<Vec<TokenRow>, sqlx::Error> {
    sqlx::query_as(
        "select t.number, t.state, t.appointment_id, a.subject_key, a.kind, a.starts_at, t.calls, t.room, t.given_at, t.called_at,
                t.ended_at
         from clinical.tokens t join clinical.appointments a on a.id = t.appointment_id
         where t.queue_id = $1 order by t.number",
    )
    .bind(queue)
    .fetch_all(conn)
    .await
}
