//! Which schedules have something to do by the clock.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::tend::DUE;

/// What time it is: of the database, so that all processes have one clock.
///
/// # Errors
/// The database is out of reach.
pub async fn clock(conn: &mut PgConnection) -> Result<OffsetDateTime, sqlx::Error> {
    sqlx::query_scalar("select clock_timestamp()")
        .fetch_one(conn)
        .await
}

/// Schedules with holds or offers that are over, with people whose time on the list is over, with reminders that are due,
/// or without the slots of a day that has come into their horizon.
///
/// # Errors
/// The database is out of reach.
pub async fn due(conn: &mut PgConnection, at: OffsetDateTime) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
        "select schedule_id from clinical.appointments where state = 'held' and held_until <= $1
         union
         select schedule_id from clinical.waitlist where state = 'waiting' and to_at <= $1
         union
         select id from clinical.schedules
         where state = 'active' and coalesce(generated_until < ($1 at time zone zone)::date + horizon_days, true)
         union
         select a.schedule_id {DUE}"
    )))
    .bind(at)
    .fetch_all(conn)
    .await
}
