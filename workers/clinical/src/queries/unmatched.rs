//! Reports that are on nobody's chart.

use serde::Serialize;
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

/// One report that waits, or waited, for somebody to say whose it is.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct UnmatchedRow {
    pub report_id: Uuid,
    /// `no_specimen`, `unknown_specimen`, `no_open_order`, `patient_mismatch`.
    pub reason: String,
    pub channel: String,
    /// As sent.
    pub specimen_number: Option<String>,
    /// The patient that the message names, where an order names another.
    pub named_key: Option<Uuid>,
    /// `open`, `matched` (by an order), `claimed` (by a person), `discarded` (nobody's).
    pub state: String,
    pub subject_key: Option<Uuid>,
    pub resolved_by: Option<String>,
    /// Why it was discarded.
    pub comment: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub resolved_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub observed_at: Option<OffsetDateTime>,
    /// OBR-4.
    pub code: String,
    pub code_text: Option<String>,
    /// Codes of its results, as sent.
    pub tests: Vec<String>,
}

impl UnmatchedRow {
    /// Where the next page begins after this row.
    #[must_use]
    pub fn key(&self) -> (OffsetDateTime, Uuid) {
        (self.at, self.report_id)
    }
}

/// Which reports; absent = all.
#[derive(Debug, Clone, Default)]
pub struct UnmatchedFilter {
    pub state: Option<String>,
    pub reason: Option<String>,
    pub channel: Option<String>,
    pub after: Option<(OffsetDateTime, Uuid)>,
    pub limit: i64,
}

const SELECT: &str = "select item.report_id, item.reason, item.channel, item.specimen_number, item.named_key, item.state, \
    item.subject_key, item.resolved_by, item.comment, item.resolved_at, item.at, report.observed_at, report.code, report.code_text, \
    array(select distinct result.code from clinical.results as result \
    where result.report_id = item.report_id order by result.code) as tests \
    from clinical.unmatched_reports as item join clinical.reports as report on report.id = item.report_id";

/// Reports, oldest first: what waits longest is seen first.
///
/// # Errors
/// The database failed.
pub async fn unmatched(
    conn: &mut PgConnection,
    filter: &UnmatchedFilter,
) -> Result<Vec<UnmatchedRow>, sqlx::Error> {
    let query = format!(
        "{SELECT} where ($1::text is null or item.state = $1) and ($2::text is null or item.reason = $2) \
         and ($3::text is null or item.channel = $3) \
         and ($4::timestamptz is null or (item.at, item.report_id) > ($4, $5)) \
         order by item.at, item.report_id limit $6"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(&filter.state)
        .bind(&filter.reason)
        .bind(&filter.channel)
        .bind(filter.after.map(|(at, _)| at))
        .bind(filter.after.map(|(_, id)| id))
        .bind(filter.limit)
        .fetch_all(conn)
        .await
}

/// One of them.
///
/// # Errors
/// The database failed.
pub async fn unmatched_report(
    conn: &mut PgConnection,
    id: Uuid,
) -> Result<Option<UnmatchedRow>, sqlx::Error> {
    let query = format!("{SELECT} where item.report_id = $1");
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// How long reports of one channel have been on nobody's chart.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct UnmatchedAge {
    pub channel: String,
    /// How many are open.
    pub waiting: i64,
    /// When the oldest of them came.
    pub oldest: OffsetDateTime,
}

/// Of each channel that has any.
///
/// # Errors
/// The database failed.
pub async fn unmatched_ages(conn: &mut PgConnection) -> Result<Vec<UnmatchedAge>, sqlx::Error> {
    sqlx::query_as(
        "select channel, count(*) as waiting, min(at) as oldest from clinical.unmatched_reports \
         where state = 'open' group by channel order by channel",
    )
    .fetch_all(conn)
    .await
}
