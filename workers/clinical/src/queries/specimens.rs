//! Specimens with whose they are and which orders they are for.

use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::orders::SpecimenRow;

/// One specimen and what is known of it beside itself.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct KeptSpecimen {
    #[sqlx(flatten)]
    pub specimen: SpecimenRow,
    pub orders: Vec<Uuid>,
    pub source_event: Uuid,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

const COLUMNS: &str = "specimen.id, specimen.number, specimen.filler_number, specimen.subject_key, specimen.kind, \
    specimen.body_site, specimen.role, specimen.container, specimen.condition, specimen.collected_at, \
    specimen.received_at, specimen.source_event, specimen.created_at, specimen.updated_at, \
    array(select link.order_id from clinical.order_specimens as link where link.specimen_id = specimen.id \
        order by link.order_id) as orders";

/// Specimens by their ids.
///
/// # Errors
/// The database failed.
pub async fn specimens(
    conn: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<KeptSpecimen>, sqlx::Error> {
    let query = format!(
        "select {COLUMNS} from clinical.specimens as specimen where specimen.id = any($1) order by specimen.id"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(ids)
        .fetch_all(conn)
        .await
}

/// Specimens with one of these numbers, newest first, at most 100: analyzers use small numbers again.
///
/// # Errors
/// The database failed.
pub async fn specimens_numbered(
    conn: &mut PgConnection,
    numbers: &[String],
) -> Result<Vec<KeptSpecimen>, sqlx::Error> {
    let query = format!(
        "select {COLUMNS} from clinical.specimens as specimen where specimen.number = any($1) \
         order by specimen.id desc limit 100"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(numbers)
        .fetch_all(conn)
        .await
}

/// Specimens of a patient, newest first: those that his orders are for, and those that his reports name. Specimens have no
/// index by patient; both walks are as long as his chart.
///
/// # Errors
/// The database failed.
pub async fn specimens_for_subjects(
    conn: &mut PgConnection,
    subjects: &[Uuid],
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<KeptSpecimen>, sqlx::Error> {
    let query = format!(
        "with named as ( \
             select link.specimen_id as id from clinical.orders as ordered \
             join clinical.order_specimens as link on link.order_id = ordered.id where ordered.subject_key = any($1) \
             union \
             select specimen.id from clinical.reports as report \
             join clinical.specimens as specimen on specimen.number = report.specimen_number \
             and specimen.subject_key = report.subject_key where report.subject_key = any($1)) \
         select {COLUMNS} from named join clinical.specimens as specimen on specimen.id = named.id \
         where specimen.subject_key = any($1) and ($2::uuid is null or specimen.id < $2) \
         order by specimen.id desc limit $3"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(subjects)
        .bind(after)
        .bind(limit)
        .fetch_all(conn)
        .await
}
