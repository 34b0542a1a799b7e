//! Where a hospital system's word and the house's register differ.

use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

/// One difference.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct DifferenceRow {
    pub id: i64,
    pub reason: String,
    pub encounter_id: Option<Uuid>,
    pub bed_id: Option<Uuid>,
    /// As the hospital system names it.
    pub place: Option<serde_json::Value>,
    pub source_event: Uuid,
    pub at: OffsetDateTime,
    /// `open`, `settled`, `resolved`.
    pub state: String,
    pub resolved_by: Option<String>,
    pub resolved_at: Option<OffsetDateTime>,
    pub comment: Option<String>,
}

/// Newest first; `state` absent: all; before the id `before`.
///
/// # Errors
/// The database failed.
pub async fn differences(
    conn: &mut PgConnection,
    state: Option<&str>,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<DifferenceRow>, sqlx::Error> {
    sqlx::query_as(
        "select id, reason, encounter_id, bed_id, place, source_event, at, state, resolved_by, resolved_at, comment \
         from clinical.adt_differences where ($1::text is null or state = $1) and ($2::bigint is null or id < $2) \
         order by id desc limit $3",
    )
    .bind(state)
    .bind(before)
    .bind(limit)
    .fetch_all(conn)
    .await
}
