//! Held items: what waits for a person.

use serde::Serialize;
use sqlx::{PgConnection, QueryBuilder};
use time::OffsetDateTime;
use uuid::Uuid;

/// One question, and how much waits behind it. `sample_value` is patient data: for the person who decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct HeldItem {
    pub id: i64,
    /// `unknown_code`, `unknown_unit`, `no_patient`.
    pub reason: String,
    pub channel: String,
    pub code_system: String,
    pub code: String,
    pub unit: String,
    pub code_text: Option<String>,
    pub sample_value: Option<String>,
    pub sample_report: Option<Uuid>,
    pub waiting: i32,
    #[serde(with = "time::serde::rfc3339")]
    pub first_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub last_at: OffsetDateTime,
    /// `open`, `resolved`.
    pub state: String,
    pub resolution: Option<String>,
    pub resolved_by: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub resolved_at: Option<OffsetDateTime>,
}

/// What to look for; all given conditions hold.
#[derive(Debug, Clone, Default)]
pub struct HeldSearch {
    pub state: Option<String>,
    pub reason: Option<String>,
    pub channel: Option<String>,
    pub code: Option<String>,
    /// Keyset: above this id.
    pub after: Option<i64>,
    pub limit: i64,
}

const COLUMNS: &str = "select id, reason, channel, code_system, code, unit, code_text, sample_value, sample_report, waiting,
        first_at, last_at, state, resolution, resolved_by, resolved_at
    from integration.held_items ";

/// Oldest first: who waits longest is seen first.
///
/// # Errors
/// The database is out of reach.
pub async fn held_items(
    conn: &mut PgConnection,
    search: &HeldSearch,
) -> Result<Vec<HeldItem>, sqlx::Error> {
    let mut query = QueryBuilder::new(COLUMNS);
    query.push("where true");
    let texts = [
        (" and state = ", &search.state),
        (" and reason = ", &search.reason),
        (" and channel = ", &search.channel),
        (" and code = ", &search.code),
    ];
    for (condition, value) in texts {
        if let Some(value) = value {
            query.push(condition).push_bind(value);
        }
    }
    if let Some(after) = search.after {
        query.push(" and id > ").push_bind(after);
    }
    query.push(" order by id limit ").push_bind(search.limit);
    query.build_query_as().fetch_all(conn).await
}

/// One held item.
///
/// # Errors
/// The database is out of reach.
pub async fn held_item(conn: &mut PgConnection, id: i64) -> Result<Option<HeldItem>, sqlx::Error> {
    let mut query = QueryBuilder::new(COLUMNS);
    query.push("where id = ").push_bind(id);
    query.build_query_as().fetch_optional(conn).await
}
