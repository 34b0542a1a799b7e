//! Reads that no worker exports yet. Each statement belongs into the `queries` of the worker that owns the
//! table and is to move there; until then they stand here together, and they only find ids.

use hub_core::Tx;
use uuid::Uuid;
use worker_clinical::queries::{Cursor, Page};

use super::patients::Keys;

/// The standing record of each identifier key (owner: workers/patient).
pub(super) async fn patients_of_keys(tx: &mut Tx<'_>, keys: &[Uuid]) -> Result<Keys, sqlx::Error> {
    if keys.is_empty() {
        return Ok(Keys::new());
    }
    let found: Vec<(Uuid, Option<Uuid>)> = sqlx::query_as(
        "select key, patients.standing(patient_id) from patients.identifiers where key = any($1)",
    )
    .bind(keys)
    .fetch_all(tx.conn())
    .await?;
    Ok(found.into_iter().collect())
}

/// Orders with this placer or filler number, newest first (owner: workers/clinical).
pub(super) async fn orders_by_number(
    tx: &mut Tx<'_>,
    number: &str,
    page: Page,
) -> Result<Vec<Uuid>, sqlx::Error> {
    // two walks of two indexes: an `or` over both would read the table
    ids(
        tx,
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

/// Encounters with this visit number, newest first (owner: workers/clinical).
pub(super) async fn encounters_by_visit(
    tx: &mut Tx<'_>,
    visit: &str,
    page: Page,
) -> Result<Vec<Uuid>, sqlx::Error> {
    ids(
        tx,
        "select id from clinical.encounters
         where visit_number = $1 and ($2::timestamptz is null or (created_at, id) < ($2, $3))
         order by created_at desc, id desc limit $4",
        visit,
        page,
    )
    .await
}

/// Reports on this specimen, newest first (owner: workers/clinical).
pub(super) async fn reports_by_specimen(
    tx: &mut Tx<'_>,
    specimen: &str,
    page: Page,
) -> Result<Vec<Uuid>, sqlx::Error> {
    ids(
        tx,
        "select id from clinical.reports
         where specimen_number = $1 and ($2::timestamptz is null or (received_at, id) < ($2, $3))
         order by received_at desc, id desc limit $4",
        specimen,
        page,
    )
    .await
}

async fn ids(
    tx: &mut Tx<'_>,
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
        .fetch_all(tx.conn())
        .await
}
