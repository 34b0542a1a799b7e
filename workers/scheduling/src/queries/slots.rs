//! Slots and what is free in them. A hold that is over is free, whether its end was written or not.

use sqlx::PgConnection;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

/// A slot.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct SlotRow {
    pub id: Uuid,
    pub schedule_id: Uuid,
    pub schedule: String,
    pub practitioner: Option<String>,
    pub service: Option<String>,
    pub room: Option<String>,
    pub facility: Option<String>,
    pub department: Option<String>,
    pub day: Date,
    pub starts_at: OffsetDateTime,
    pub ends_at: OffsetDateTime,
    pub capacity: i16,
    pub free: i16,
    /// Places beyond the capacity that may still be given.
    pub overbook_left: i16,
    pub state: String,
    /// When it was made, or its schedule was last changed; what is booked in it does not move it.
    pub defined_at: OffsetDateTime,
}

const SLOT: &str = "select o.id, o.schedule_id, s.name as schedule, s.practitioner, s.service, s.room, s.facility, s.department,
    o.day, o.starts_at, o.ends_at, o.capacity, o.state, greatest(o.created_at, s.updated_at) as defined_at, (o.overbook - o.overbooked)::smallint as overbook_left,
    case when o.state = 'open' and o.ends_at > now() then (o.capacity - o.taken + over.count)::smallint else 0::smallint end as free
    from clinical.slots o join clinical.schedules s on s.id = o.schedule_id
    cross join lateral (select count(*) from clinical.appointments a
        where a.slot_id = o.id and a.state = 'held' and a.kind = 'slot' and a.held_until <= now()) over";

/// Which slots.
#[derive(Debug, Clone, Default)]
pub struct SlotFilter {
    pub schedule: Option<Uuid>,
    pub practitioner: Option<String>,
    pub service: Option<String>,
    pub facility: Option<String>,
    pub from: Option<OffsetDateTime>,
    pub to: Option<OffsetDateTime>,
    /// Only those with a free place. Withdrawn ones are never shown.
    pub free: bool,
    pub after: Option<(OffsetDateTime, Uuid)>,
    pub limit: i64,
}

/// One slot.
///
/// # Errors
/// The database is out of reach.
pub async fn slot(conn: &mut PgConnection, id: Uuid) -> Result<Option<SlotRow>, sqlx::Error> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!("{SLOT} where o.id = $1")))
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// Slots by their time.
///
/// # Errors
/// The database is out of reach.
pub async fn slots(
    conn: &mut PgConnection,
    filter: &SlotFilter,
) -> Result<Vec<SlotRow>, sqlx::Error> {
    let (after_time, after_id) = filter.after.unzip();
    sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "{SLOT} where o.state <> 'withdrawn' and ($1::uuid is null or o.schedule_id = $1)
           and ($2::text is null or s.practitioner = $2) and ($3::text is null or s.service = $3)
           and ($4::text is null or s.facility = $4)
           and ($5::timestamptz is null or o.starts_at >= $5) and ($6::timestamptz is null or o.starts_at < $6)
           and (not $7 or (o.state = 'open' and o.ends_at > now() and o.taken - over.count < o.capacity))
           and ($8::timestamptz is null or (o.starts_at, o.id) > ($8, $9))
         order by o.starts_at, o.id limit $10"
    )))
    .bind(filter.schedule)
    .bind(&filter.practitioner)
    .bind(&filter.service)
    .bind(&filter.facility)
    .bind(filter.from)
    .bind(filter.to)
    .bind(filter.free)
    .bind(after_time)
    .bind(after_id)
    .bind(filter.limit)
    .fetch_all(conn)
    .await
}

/// Free slots instead of this one: of the same schedule first, then of the same practitioner or service, the nearest in time
/// first, within thirty days.
///
/// # Errors
/// The database is out of reach.
pub async fn alternatives(
    conn: &mut PgConnection,
    instead_of: Uuid,
    limit: i64,
) -> Result<Vec<SlotRow>, sqlx::Error> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "with wanted as (
             select x.id, x.schedule_id, x.starts_at, y.practitioner, y.service
             from clinical.slots x join clinical.schedules y on y.id = x.schedule_id where x.id = $1)
         select f.* from ({SLOT} where o.state = 'open' and o.starts_at > now()
             and o.starts_at > (select starts_at - interval '30 days' from wanted)
             and o.starts_at < (select starts_at + interval '30 days' from wanted)
             and o.taken - over.count < o.capacity) f
         join wanted w on f.id <> w.id
              and (f.schedule_id = w.schedule_id or f.practitioner = w.practitioner or f.service = w.service)
         order by f.schedule_id <> w.schedule_id, abs(extract(epoch from f.starts_at - w.starts_at)), f.id limit $2"
    )))
    .bind(instead_of)
    .bind(limit)
    .fetch_all(conn)
    .await
}
