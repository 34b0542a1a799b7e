//! How instruments' queries were answered.

use serde::Serialize;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// The answer to one arrival of a query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct QueryAnswer {
    pub raw_id: Uuid,
    pub stream_seq: i64,
    pub record_index: i16,
    /// `found`, `nothing`, `unknown`, `failed`, `refused`, `withdrawn`, `undelivered`.
    pub outcome: String,
    pub specimens: i32,
    pub tests: i32,
    pub took_ms: i32,
    pub reason: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// The answers to these bytes, oldest first.
///
/// # Errors
/// The database is out of reach.
pub async fn query_answers(
    conn: &mut PgConnection,
    raw_id: Uuid,
) -> Result<Vec<QueryAnswer>, sqlx::Error> {
    sqlx::query_as(
        "select raw_id, stream_seq, record_index, outcome, specimens, tests, took_ms, reason, at
         from integration.query_answers where raw_id = $1 order by at, stream_seq, record_index limit 100",
    )
    .bind(raw_id)
    .fetch_all(conn)
    .await
}
