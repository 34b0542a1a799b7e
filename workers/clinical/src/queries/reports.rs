//! Reports.

use serde::Serialize;
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::cursor::{Cursor, Page};
use super::results::{ResultRow, results_of_report};

/// One report (one OBR).
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct ReportRow {
    pub id: Uuid,
    pub subject_key: Option<Uuid>,
    pub channel: String,
    pub visit_number: Option<String>,
    pub placer_number: Option<String>,
    pub filler_number: Option<String>,
    pub specimen_number: Option<String>,
    pub code: String,
    pub code_system: Option<String>,
    pub code_text: Option<String>,
    /// OBR-25 as sent.
    pub status: Option<String>,
    /// Lines joined by line feed.
    pub notes: Option<String>,
    pub version: i32,
    #[serde(with = "time::serde::rfc3339::option")]
    pub observed_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub issued_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    pub received_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
    /// Event that filed it first.
    pub source_event: Uuid,
    /// Final for readers: every result that needed verification is decided, or its source has verified it.
    pub released: bool,
    /// `open`, `released`, `rejected`; absent where no verification is needed.
    pub release_state: Option<String>,
    /// How often it was released.
    pub releases: Option<i32>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub released_at: Option<OffsetDateTime>,
}

impl ReportRow {
    /// Where the next page begins after this row.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor::row(self.received_at, self.id)
    }
}

/// Which reports; absent = all.
#[derive(Debug, Clone, Default)]
pub struct ReportFilter {
    pub code: Option<String>,
    /// OBR-25 as sent.
    pub status: Option<String>,
    /// Placer, filler or specimen number.
    pub number: Option<String>,
    /// Observed (or, where that is unknown, received) at or after.
    pub from: Option<OffsetDateTime>,
    /// Observed before.
    pub to: Option<OffsetDateTime>,
}

const COLUMNS: &str = "id, subject_key, channel, visit_number, placer_number, filler_number, specimen_number, code, \
    code_system, code_text, status, notes, version, observed_at, issued_at, received_at, updated_at, source_event, \
    coalesce(release.state = 'released', coalesce(status, 'F') not in ('P', 'R', 'S', 'I', 'O', 'N', 'M', 'A')) as released, \
    release.state as release_state, release.releases, release.released_at";

const FROM: &str = "clinical.reports left join clinical.report_releases as release on release.report_id = reports.id";

/// Reports of a patient, newest first.
///
/// # Errors
/// The database failed.
pub async fn reports_for_subjects(
    conn: &mut PgConnection,
    subjects: &[Uuid],
    filter: &ReportFilter,
    page: Page,
) -> Result<Vec<ReportRow>, sqlx::Error> {
    let start = page.start();
    let query = format!(
        "select page.* from unnest($1::uuid[]) as subject (key) cross join lateral ( \
             select {COLUMNS} from {FROM} \
             where subject_key = subject.key and (received_at, id) < ($2, $3) \
             and ($4::text is null or code = $4) and ($5::text is null or status = $5) \
             and ($6::text is null or $6 in (placer_number, filler_number, specimen_number)) \
             and ($7::timestamptz is null or coalesce(observed_at, received_at) >= $7) \
             and ($8::timestamptz is null or coalesce(observed_at, received_at) < $8) \
             order by received_at desc, id desc limit $9 \
         ) as page order by received_at desc, id desc limit $9"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(subjects)
        .bind(start.at)
        .bind(start.id)
        .bind(&filter.code)
        .bind(&filter.status)
        .bind(&filter.number)
        .bind(filter.from)
        .bind(filter.to)
        .bind(page.rows())
        .fetch_all(conn)
        .await
}

/// One report with its results in all versions, by item and version.
///
/// # Errors
/// The database failed.
pub async fn report(
    conn: &mut PgConnection,
    id: Uuid,
) -> Result<Option<(ReportRow, Vec<ResultRow>)>, sqlx::Error> {
    let query = format!("select {COLUMNS} from {FROM} where id = $1");
    let Some(row) = sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(id)
        .fetch_optional(&mut *conn)
        .await?
    else {
        return Ok(None);
    };
    Ok(Some((row, results_of_report(conn, id).await?)))
}

/// A correction that a person made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct AmendmentRow {
    pub item: i16,
    /// The version that it made.
    pub version: i16,
    pub actor: String,
    pub reason: String,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// Corrections by hand of one report, oldest first.
///
/// # Errors
/// The database failed.
pub async fn result_amendments(
    conn: &mut PgConnection,
    report: Uuid,
) -> Result<Vec<AmendmentRow>, sqlx::Error> {
    sqlx::query_as(
        "select item, version, actor, reason, at from clinical.result_amendments where report_id = $1 order by at, item",
    )
    .bind(report)
    .fetch_all(conn)
    .await
}
