//! Critical values.

use serde::Serialize;
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

/// One critical value, and whether somebody was called.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct CriticalRow {
    pub id: i64,
    pub report_id: Uuid,
    pub item: i16,
    pub version: i16,
    /// False: a later version replaced the result.
    pub current: bool,
    pub subject_key: Option<Uuid>,
    pub channel: String,
    pub specimen_number: Option<String>,
    pub loinc: String,
    pub loinc_display: Option<String>,
    pub comparator: Option<String>,
    /// In `ucum`, decimal text.
    pub value: Option<String>,
    pub ucum: String,
    /// `low`, `high`
    pub side: String,
    pub limit_text: String,
    pub judged_by: String,
    /// `open`, `acknowledged`
    pub state: String,
    pub told: Option<String>,
    pub read_back: Option<String>,
    pub comment: Option<String>,
    pub acknowledged_by: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub acknowledged_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    pub raised_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub due_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub overdue_at: Option<OffsetDateTime>,
}

/// Which critical values; absent = all.
#[derive(Debug, Clone, Default)]
pub struct CriticalFilter {
    pub state: Option<String>,
    /// Marked overdue, or not.
    pub overdue: Option<bool>,
    pub after: Option<i64>,
    pub limit: i64,
}

/// Critical values, oldest first.
///
/// # Errors
/// The database failed.
pub async fn criticals(
    conn: &mut PgConnection,
    filter: &CriticalFilter,
) -> Result<Vec<CriticalRow>, sqlx::Error> {
    sqlx::query_as(
        "select critical.id, critical.report_id, critical.item, critical.version, \
         result.superseded_at is null as current, report.subject_key, report.channel, report.specimen_number, \
         critical.loinc, result.loinc_display, result.comparator, \
         coalesce(result.ucum_value, result.value_text) as value, critical.ucum, critical.side, critical.limit_text, \
         critical.judged_by, critical.state, critical.told, critical.read_back, critical.comment, \
         critical.acknowledged_by, critical.acknowledged_at, critical.raised_at, critical.due_at, critical.overdue_at \
         from clinical.criticals as critical join clinical.reports as report on report.id = critical.report_id \
         join clinical.results as result on result.report_id = critical.report_id and result.item = critical.item \
         and result.version = critical.version \
         where ($1::text is null or critical.state = $1) \
         and ($2::boolean is null or (critical.overdue_at is not null) = $2) and critical.id > $3 \
         order by critical.id limit $4",
    )
    .bind(&filter.state)
    .bind(filter.overdue)
    .bind(filter.after.unwrap_or(0))
    .bind(filter.limit)
    .fetch_all(conn)
    .await
}

/// Whose critical values these are; `None`: nobody's yet.
///
/// # Errors
/// The database failed.
pub async fn subjects_of_criticals(
    conn: &mut PgConnection,
    ids: &[i64],
) -> Result<Vec<Option<Uuid>>, sqlx::Error> {
    sqlx::query_scalar(
        "select report.subject_key from clinical.criticals as critical \
         join clinical.reports as report on report.id = critical.report_id where critical.id = any($1)",
    )
    .bind(ids)
    .fetch_all(conn)
    .await
}

/// True when a critical value is due and not marked yet.
///
/// # Errors
/// The database failed.
pub async fn any_critical_due(conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select exists (select from clinical.criticals where state = 'open' and overdue_at is null and due_at < now())",
    )
    .fetch_one(conn)
    .await
}
