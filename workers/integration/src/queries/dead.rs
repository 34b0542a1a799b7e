//! Dead letters.

use serde::Serialize;
use sqlx::{PgConnection, QueryBuilder};
use time::OffsetDateTime;
use uuid::Uuid;

/// One dead letter; the original is in `stream` at `stream_seq`, place `record_index`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct DeadLetter {
    pub id: i64,
    /// `edge`, `translate`, `work`, `deliver`.
    pub stage: String,
    pub refused_by: String,
    /// Stable code.
    pub reason: String,
    pub detail: String,
    pub event_id: Option<Uuid>,
    pub event_type: Option<String>,
    pub raw_id: Option<Uuid>,
    pub channel: Option<String>,
    pub stream: String,
    pub stream_seq: i64,
    pub record_index: i16,
    pub attempts: i32,
    #[serde(with = "time::serde::rfc3339")]
    pub first_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub last_at: OffsetDateTime,
    /// `open`, `replayed`, `resent`, `discarded`.
    pub state: String,
    /// Raw id of the linked child.
    pub child: Option<Uuid>,
    pub resolved_by: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub resolved_at: Option<OffsetDateTime>,
    pub resolution: Option<String>,
}

/// What to look for; all given conditions hold.
#[derive(Debug, Clone, Default)]
pub struct DeadSearch {
    pub state: Option<String>,
    pub channel: Option<String>,
    pub reason: Option<String>,
    pub refused_by: Option<String>,
    /// Keyset: below this id.
    pub before: Option<i64>,
    pub limit: i64,
}

const COLUMNS: &str = "select id, stage, refused_by, reason, detail, event_id, event_type, raw_id, channel, stream, stream_seq,
        record_index, attempts, first_at, last_at, state, child, resolved_by, resolved_at, resolution
    from integration.dead_letters ";

/// Newest first.
///
/// # Errors
/// The database is out of reach.
pub async fn dead_letters(
    conn: &mut PgConnection,
    search: &DeadSearch,
) -> Result<Vec<DeadLetter>, sqlx::Error> {
    let mut query = QueryBuilder::new(COLUMNS);
    query.push("where true");
    let texts = [
        (" and state = ", &search.state),
        (" and channel = ", &search.channel),
        (" and reason = ", &search.reason),
        (" and refused_by = ", &search.refused_by),
    ];
    for (condition, value) in texts {
        if let Some(value) = value {
            query.push(condition).push_bind(value);
        }
    }
    if let Some(before) = search.before {
        query.push(" and id < ").push_bind(before);
    }
    query
        .push(" order by id desc limit ")
        .push_bind(search.limit);
    query.build_query_as().fetch_all(conn).await
}

/// One dead letter.
///
/// # Errors
/// The database is out of reach.
pub async fn dead_letter(
    conn: &mut PgConnection,
    id: i64,
) -> Result<Option<DeadLetter>, sqlx::Error> {
    let mut query = QueryBuilder::new(COLUMNS);
    query.push("where id = ").push_bind(id);
    query.build_query_as().fetch_optional(conn).await
}

/// Dead letters that come from one raw message, oldest first.
pub(super) async fn dead_letters_of_raw(
    conn: &mut PgConnection,
    raw_id: Uuid,
) -> Result<Vec<DeadLetter>, sqlx::Error> {
    let mut query = QueryBuilder::new(COLUMNS);
    query
        .push("where raw_id = ")
        .push_bind(raw_id)
        .push(" order by id limit 100");
    query.build_query_as().fetch_all(conn).await
}
