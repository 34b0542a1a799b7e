//! Ids of what carries a number that a person reads off a paper: order, visit, specimen.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Cursor, Page};

/// Orders with this placer or filler number, newest first.
///
/// # Errors
/// The database is out of reach.
pub async fn orders_by_number(
    conn: &mut PgConnection,
    number: &str,
    page: Page,
) -> Result<Vec<Uuid>, sqlx::Error> {
    // two walks of two indexes: an `or` over both would read the table
    ids(
        conn,
        "with numbered as (
             select id, created_at from clinical.orders where placer_number = $1
             union
             select id, created_at from clinical.orders where filler_number = $1
         )
         select id from numbered where $2::timestamptz is null or (created_at, id) < ($2, $3)
         order by created_at desc, id desc limit $4",
        number,
        page,
    )
    .await
}

/// Encounters with this visit number, newest first.
///
/// # Errors
/// The database is out of reach.
pub async fn encounters_by_visit(
    conn: &mut PgConnection,
    visit: &str,
    page: Page,
) -> Result<Vec<Uuid>, sqlx::Error> {
    ids(
        conn,
        "select id from clinical.encounters
         where visit_number = $1 and ($2::timestamptz is null or (created_at, id) < ($2, $3))
         order by created_at desc, id desc limit $4",
        visit,
        page,
    )
    .await
}

/// Reports on this specimen, newest first.
///
/// # Errors
/// The database is out of reach.
pub async fn reports_by_specimen(
    conn: &mut PgConnection,
    specimen: &str,
    page: Page,
) -> Result<Vec<Uuid>, sqlx::Error> {
    ids(
        conn,
        "select id from clinical.reports
         where specimen_number = $1 and ($2::timestamptz is null or (received_at, id) < ($2, $3))
         order by received_at desc, id desc limit $4",
        specimen,
        page,
    )
    .await
}

async fn ids(
    conn: &mut PgConnection,
    statement: &'static str,
    number: &str,
    page: Page,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let Page { limit, after } = page;
    sqlx::query_scalar(statement)
        .bind(number)
        .bind(after.map(|Cursor { at, .. }| at))
        .bind(after.map(|Cursor { id, .. }| id))
        .bind(i64::from(limit))
        .fetch_all(conn)
        .await
}
