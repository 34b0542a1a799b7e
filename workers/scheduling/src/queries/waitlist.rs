//! Who waits for a place.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Places;

/// Somebody on a waiting list, with the offer that stands.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct WaitlistRow {
    pub id: Uuid,
    pub number: i64,
    pub schedule_id: Uuid,
    pub schedule: String,
    pub facility: Option<String>,
    pub department: Option<String>,
    pub subject_key: Uuid,
    pub priority: i16,
    /// Among those who wait for the same schedule; none when it is over.
    pub rank: Option<i64>,
    pub from_at: OffsetDateTime,
    pub to_at: OffsetDateTime,
    pub mode: String,
    pub note: Option<String>,
    pub state: String,
    pub version: i32,
    pub created_by: String,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
    /// Of the offer that stands, else of the one that was taken.
    pub appointment_id: Option<Uuid>,
    pub slot_id: Option<Uuid>,
    pub expires_at: Option<OffsetDateTime>,
}

const ENTRY: &str = "select w.id, w.number, w.schedule_id, s.name as schedule, s.facility, s.department, w.subject_key, w.priority,
    case when w.state in ('waiting', 'offered') then (select count(*) + 1 from clinical.waitlist b
        where b.schedule_id = w.schedule_id and b.state in ('waiting', 'offered')
          and (b.priority > w.priority or (b.priority = w.priority and b.number < w.number))) end as rank,
    w.from_at, w.to_at, w.mode, w.note, w.state, w.version, w.created_by, w.created_at, w.updated_at,
    o.appointment_id, o.slot_id, case when o.outcome is null then o.expires_at end as expires_at
    from clinical.waitlist w join clinical.schedules s on s.id = w.schedule_id
    left join clinical.waitlist_offers o on o.entry_id = w.id and (o.outcome is null or o.outcome = 'accepted')";

/// Which entries.
#[derive(Debug, Clone, Default)]
pub struct WaitlistFilter {
    pub schedule: Option<Uuid>,
    pub subjects: Option<Vec<Uuid>>,
    pub states: Option<Vec<String>>,
    pub places: Option<Places>,
    pub after: Option<i64>,
    pub limit: i64,
}

/// One entry.
///
/// # Errors
/// The database is out of reach.
pub async fn waitlist_entry(
    conn: &mut PgConnection,
    id: Uuid,
) -> Result<Option<WaitlistRow>, sqlx::Error> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!("{ENTRY} where w.id = $1")))
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// Entries in the order in which they came; `rank` tells in which they are served.
///
/// # Errors
/// The database is out of reach.
pub async fn waitlist(
    conn: &mut PgConnection,
    filter: &WaitlistFilter,
) -> Result<Vec<WaitlistRow>, sqlx::Error> {
    let (facilities, departments) = Places::split(filter.places.as_ref());
    sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "{ENTRY} where ($1::uuid is null or w.schedule_id = $1) and ($2::uuid[] is null or w.subject_key = any($2))
           and ($3::text[] is null or w.state = any($3))
           and ($4::text[] is null or exists (select from unnest($4, $5::text[]) as p(facility, department)
                where p.facility = s.facility and (p.department = '' or p.department = s.department)))
           and ($6::bigint is null or w.number > $6)
         order by w.number limit $7"
    )))
    .bind(filter.schedule)
    .bind(&filter.subjects)
    .bind(&filter.states)
    .bind(facilities)
    .bind(departments)
    .bind(filter.after)
    .bind(filter.limit)
    .fetch_all(conn)
    .await
}
