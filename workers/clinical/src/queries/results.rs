//! Results with what their report says of them.

use serde::Serialize;
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::cursor::{Cursor, Page};

/// One result in one version.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct ResultRow {
    pub report_id: Uuid,
    /// The result's place in its report; the same through all versions.
    pub item: i16,
    pub version: i16,
    /// False for versions that a later one replaced.
    pub current: bool,
    pub code: String,
    pub code_system: Option<String>,
    pub code_text: Option<String>,
    /// OBX-3 second triplet, `{code, text, system}`.
    pub alternate: Option<serde_json::Value>,
    pub sub_id: Option<String>,
    /// OBX-2 as sent.
    pub value_type: Option<String>,
    /// `quantity`, `range`, `ratio`, `coded`, `text`, `date_time`, `attachment`, `absent`.
    pub value_kind: String,
    pub comparator: Option<String>,
    /// A quantity's number is the decimal text that was sent: `5.10`.
    pub value_text: Option<String>,
    pub value_json: Option<serde_json::Value>,
    /// OBX-5 as sent.
    pub raw_value: Option<String>,
    pub unit: Option<String>,
    pub loinc: Option<String>,
    pub loinc_display: Option<String>,
    pub ucum: Option<String>,
    /// The value in `ucum`, decimal text.
    pub ucum_value: Option<String>,
    pub range_text: Option<String>,
    pub range_low: Option<String>,
    pub range_high: Option<String>,
    /// OBX-8 as sent, repetitions joined by `~`.
    pub flags: Option<String>,
    /// OBX-11 as sent.
    pub status: Option<String>,
    pub device: Option<String>,
    pub notes: Option<String>,
    /// Why it waits for a person: `unknown_code`, `unknown_unit`, `no_patient`, `patient_mismatch`.
    pub held: Option<String>,
    /// OBX-14, else OBR-7.
    #[serde(with = "time::serde::rfc3339::option")]
    pub observed_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub superseded_at: Option<OffsetDateTime>,
    /// Event that brought this version.
    pub source_event: Uuid,
    pub subject_key: Option<Uuid>,
    pub channel: String,
    pub specimen_number: Option<String>,
    pub placer_number: Option<String>,
    pub filler_number: Option<String>,
    pub report_code: String,
    pub report_code_text: Option<String>,
    /// OBR-25 as sent.
    pub report_status: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub issued_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    pub received_at: OffsetDateTime,
    /// May be acted on: verified here, or final and from a channel whose source verifies.
    pub released: bool,
    /// Absent: its channel needs no verification here.
    pub verification_id: Option<i64>,
    /// `received`, `needs_review`, `verified`, `rejected`, `released`.
    pub verification: Option<String>,
    /// The first check that failed.
    pub failed: Option<String>,
    pub reason: Option<String>,
    /// A person, or `rules`.
    pub decided_by: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub decided_at: Option<OffsetDateTime>,
}

impl ResultRow {
    /// Where the next page begins after this row.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor {
            at: self.received_at,
            id: self.report_id,
            item: self.item,
            version: self.version,
        }
    }
}

/// Which versions of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Versions {
    #[default]
    Current,
    All,
}

/// Which results; absent = all.
#[derive(Debug, Clone, Default)]
pub struct ResultFilter {
    /// As sent, or LOINC.
    pub code: Option<String>,
    /// OBX-11 as sent.
    pub status: Option<String>,
    /// Waits for a person, or does not.
    pub held: Option<bool>,
    /// May be acted on, or not yet.
    pub released: Option<bool>,
    /// Observed (or, where that is unknown, received) at or after.
    pub from: Option<OffsetDateTime>,
    /// Observed before.
    pub to: Option<OffsetDateTime>,
    pub versions: Versions,
}

/// A quantity without a factor is its own value in `ucum`; a raw value that says what value_text says is not stored twice.
pub(super) const COLUMNS: &str = "result.report_id, result.item, result.version, result.superseded_at is null as current, \
    result.code, result.code_system, result.code_text, result.alternate, result.sub_id, result.value_type, \
    result.value_kind, result.comparator, result.value_text, result.value_json, \
    coalesce(result.raw_value, result.value_text) as raw_value, result.unit, result.loinc, result.loinc_display, \
    result.ucum, case when result.ucum is not null and result.value_kind = 'quantity' \
    then coalesce(result.ucum_value, result.value_text) end as ucum_value, result.range_text, result.range_low, \
    result.range_high, result.flags, result.status, result.device, result.notes, result.held, \
    coalesce(result.observed_at, report.observed_at) as observed_at, result.superseded_at, \
    coalesce(result.source_event, report.source_event) as source_event, report.subject_key, report.channel, \
    report.specimen_number, report.placer_number, report.filler_number, report.code as report_code, \
    report.code_text as report_code_text, report.status as report_status, report.issued_at, report.received_at, \
    coalesce(standing.state = 'released' and standing.current, \
    coalesce(result.status, report.status, 'F') not in ('P', 'R', 'S', 'I', 'O', 'N', 'M')) as released, \
    standing.id as verification_id, standing.state as verification, standing.failed, standing.reason, \
    standing.decided_by, standing.decided_at";

/// The verification of a result's version, where it needs one.
pub(super) const STANDING: &str = "left join clinical.verifications as standing on standing.report_id = result.report_id \
    and standing.item = result.item and standing.version = result.version";

const ORDER: &str = "received_at desc, report_id desc, item, version";

/// The part that lists share: `$2..$5` cursor, `$6..$11` and `$13` filter, `$12` limit. The first condition of the cursor walks the
/// index, the second finds the place inside its report.
fn listed(condition: &str) -> String {
    format!(
        "select {COLUMNS} from clinical.reports as report \
         join clinical.results as result on result.report_id = report.id {STANDING} \
         where {condition} and (report.received_at, report.id) <= ($2, $3) \
         and ((report.received_at, report.id) < ($2, $3) or (result.item, result.version) > ($4, $5)) \
         and ($6::text is null or result.code = $6 or result.loinc = $6) \
         and ($7::text is null or result.status = $7) \
         and ($8::boolean is null or (result.held is not null) = $8) \
         and ($9::timestamptz is null \
             or coalesce(result.observed_at, report.observed_at, report.received_at) >= $9) \
         and ($10::timestamptz is null \
             or coalesce(result.observed_at, report.observed_at, report.received_at) < $10) \
         and ($11 or result.superseded_at is null) \
         and ($13::boolean is null or coalesce(standing.state = 'released' and standing.current, \
             coalesce(result.status, report.status, 'F') not in ('P', 'R', 'S', 'I', 'O', 'N', 'M')) = $13) \
         order by report.received_at desc, report.id desc, result.item, result.version limit $12"
    )
}

macro_rules! fetch {
    ($conn:expr, $query:expr, $scope:expr, $filter:expr, $page:expr) => {{
        let start = $page.start();
        sqlx::query_as(sqlx::AssertSqlSafe($query))
            .bind($scope)
            .bind(start.at)
            .bind(start.id)
            .bind(start.item)
            .bind(start.version)
            .bind(&$filter.code)
            .bind(&$filter.status)
            .bind($filter.held)
            .bind($filter.from)
            .bind($filter.to)
            .bind($filter.versions == Versions::All)
            .bind($page.rows())
            .bind($filter.released)
            .fetch_all($conn)
            .await
    }};
}

/// Results of a patient: newest report first, inside a report in the order sent.
///
/// # Errors
/// The database failed.
pub async fn results_for_subjects(
    conn: &mut PgConnection,
    subjects: &[Uuid],
    filter: &ResultFilter,
    page: Page,
) -> Result<Vec<ResultRow>, sqlx::Error> {
    let listed = listed("report.subject_key = subject.key");
    let query = format!(
        "select page.* from unnest($1::uuid[]) as subject (key) cross join lateral ({listed}) as page \
         order by {ORDER} limit $12"
    );
    fetch!(conn, query, subjects, filter, page)
}

/// Results of the specimens with this number, whoever the patient is.
///
/// # Errors
/// The database failed.
pub async fn results_for_specimen(
    conn: &mut PgConnection,
    number: &str,
    filter: &ResultFilter,
    page: Page,
) -> Result<Vec<ResultRow>, sqlx::Error> {
    fetch!(
        conn,
        listed("report.specimen_number = $1"),
        number,
        filter,
        page
    )
}

/// All results of one report in all versions.
///
/// # Errors
/// The database failed.
pub async fn results_of_report(
    conn: &mut PgConnection,
    report: Uuid,
) -> Result<Vec<ResultRow>, sqlx::Error> {
    let query = format!(
        "select {COLUMNS} from clinical.results as result \
         join clinical.reports as report on report.id = result.report_id {STANDING} \
         where result.report_id = $1 order by result.item, result.version"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(report)
        .fetch_all(conn)
        .await
}

/// All versions of one result, oldest first.
///
/// # Errors
/// The database failed.
pub async fn versions_of_result(
    conn: &mut PgConnection,
    report: Uuid,
    item: i16,
) -> Result<Vec<ResultRow>, sqlx::Error> {
    let query = format!(
        "select {COLUMNS} from clinical.results as result \
         join clinical.reports as report on report.id = result.report_id {STANDING} \
         where result.report_id = $1 and result.item = $2 order by result.version"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(report)
        .bind(item)
        .fetch_all(conn)
        .await
}
