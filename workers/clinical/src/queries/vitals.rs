//! What bedside devices measured, and what of it is on nobody's chart.

use serde::Serialize;
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::results::Versions;

/// One measurement in one version.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct VitalRow {
    /// The measurement's identity; the same through all versions.
    pub vital_key: Uuid,
    pub version: i16,
    /// False for versions that a later one replaced.
    pub current: bool,
    #[serde(with = "time::serde::rfc3339")]
    pub observed_at: OffsetDateTime,
    /// What the time was taken from: `observation`, `report`, `message`, `arrival`.
    pub timed_by: String,
    pub channel: String,
    pub subject_key: Option<Uuid>,
    /// `message`, `bed`, `claim`, `entry` (a person entered it).
    pub matched_by: Option<String>,
    /// The worklist's item where it waits or waited.
    pub item_id: Option<i64>,
    /// PV1-3.
    pub place: Option<serde_json::Value>,
    pub device: Option<String>,
    pub code: String,
    pub code_system: Option<String>,
    pub code_text: Option<String>,
    pub path: Option<String>,
    pub container: Option<String>,
    pub value_kind: String,
    pub comparator: Option<String>,
    /// A quantity's number is the decimal text that was sent.
    pub value_text: Option<String>,
    pub value_json: Option<serde_json::Value>,
    pub raw_value: Option<String>,
    pub unit: Option<String>,
    pub loinc: Option<String>,
    pub loinc_display: Option<String>,
    pub ucum: Option<String>,
    /// The value in `ucum`, decimal text.
    pub ucum_value: Option<String>,
    pub range_text: Option<String>,
    pub flags: Option<String>,
    /// OBX-11 as sent.
    pub status: Option<String>,
    /// OBX-17.
    pub method: Option<String>,
    /// OBX-20.
    pub site: Option<serde_json::Value>,
    /// `unknown_code`, `unknown_unit`.
    pub held: Option<String>,
    pub source_event: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    pub received_at: OffsetDateTime,
    /// Who entered this version, where a person did.
    pub entered_by: Option<String>,
    /// Why it is another than the version before.
    pub change_reason: Option<String>,
}

impl VitalRow {
    /// Where the next page begins after this row.
    #[must_use]
    pub fn key(&self) -> (OffsetDateTime, Uuid, i16) {
        (self.observed_at, self.vital_key, self.version)
    }
}

/// Which measurements; absent = all.
#[derive(Debug, Clone, Default)]
pub struct VitalFilter {
    /// As sent, or LOINC.
    pub code: Option<String>,
    pub held: Option<bool>,
    /// Observed at or after.
    pub from: Option<OffsetDateTime>,
    /// Observed before.
    pub to: Option<OffsetDateTime>,
    pub versions: Versions,
    pub after: Option<(OffsetDateTime, Uuid, i16)>,
    pub limit: i64,
}

const COLUMNS: &str = "vital_key, version, superseded_at is null as current, observed_at, timed_by, channel, subject_key, \
    matched_by, item_id, place, device, code, code_system, code_text, path, container, value_kind, comparator, value_text, \
    value_json, coalesce(raw_value, value_text) as raw_value, unit, loinc, loinc_display, ucum, \
    case when ucum is not null and value_kind = 'quantity' then coalesce(ucum_value, value_text) end as ucum_value, \
    range_text, flags, status, method, site, held, source_event, received_at, entered_by, change_reason";

/// Measurements of a patient, newest first.
///
/// # Errors
/// The database failed.
pub async fn vitals_for_subjects(
    conn: &mut PgConnection,
    subjects: &[Uuid],
    filter: &VitalFilter,
) -> Result<Vec<VitalRow>, sqlx::Error> {
    let query = format!(
        "select page.* from unnest($1::uuid[]) as subject (key) cross join lateral ( \
             select {COLUMNS} from clinical.vitals where subject_key = subject.key \
             and ($2::timestamptz is null or (observed_at, vital_key, version) < ($2, $3, $4)) \
             and ($5::text is null or code = $5 or loinc = $5) \
             and ($6::boolean is null or (held is not null) = $6) \
             and ($7::timestamptz is null or observed_at >= $7) and ($8::timestamptz is null or observed_at < $8) \
             and ($9 or superseded_at is null) \
             order by observed_at desc, vital_key desc, version desc limit $10 \
         ) as page order by observed_at desc, vital_key desc, version desc limit $10"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(subjects)
        .bind(filter.after.map(|(at, _, _)| at))
        .bind(filter.after.map(|(_, key, _)| key))
        .bind(filter.after.map(|(_, _, version)| version))
        .bind(&filter.code)
        .bind(filter.held)
        .bind(filter.from)
        .bind(filter.to)
        .bind(filter.versions == Versions::All)
        .bind(filter.limit)
        .fetch_all(conn)
        .await
}

/// All versions of one measurement, oldest first.
///
/// # Errors
/// The database failed.
pub async fn vital(conn: &mut PgConnection, key: Uuid) -> Result<Vec<VitalRow>, sqlx::Error> {
    let query =
        format!("select {COLUMNS} from clinical.vitals where vital_key = $1 order by version");
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(key)
        .fetch_all(conn)
        .await
}

/// The current version of one measurement.
///
/// # Errors
/// The database failed.
pub async fn current_vital(
    conn: &mut PgConnection,
    id: Uuid,
) -> Result<Option<VitalRow>, sqlx::Error> {
    let query = format!(
        "select {COLUMNS} from clinical.vitals where vital_key = $1 and superseded_at is null"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// The newest value of each term, by LOINC or, where none is known, by the code as sent; what was taken back does not count.
///
/// # Errors
/// The database failed.
pub async fn latest_vitals(
    conn: &mut PgConnection,
    subjects: &[Uuid],
    since: Option<OffsetDateTime>,
) -> Result<Vec<VitalRow>, sqlx::Error> {
    let query = format!(
        "select distinct on (coalesce(loinc, code_system || ' ' || code, code)) {COLUMNS} from clinical.vitals \
         where subject_key = any($1) and superseded_at is null and value_kind <> 'absent' \
         and coalesce(status, '') not in ('D', 'W', 'X') and ($2::timestamptz is null or observed_at >= $2) \
         order by coalesce(loinc, code_system || ' ' || code, code), observed_at desc, vital_key"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(subjects)
        .bind(since)
        .fetch_all(conn)
        .await
}

/// Measurements of one origin that wait, or waited, for somebody to say whose they are.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct UnmatchedVitalsRow {
    pub id: i64,
    /// `no_bed`, `bed_unknown`, `bed_ambiguous`, `bed_empty`, `two_patients`, `patient_mismatch`, `clock`.
    pub reason: String,
    pub channel: String,
    /// The lane of a command about it.
    pub origin_key: Uuid,
    /// PV1-3 as it was read.
    pub place: Option<serde_json::Value>,
    pub device: Option<String>,
    pub named_key: Option<Uuid>,
    #[serde(with = "time::serde::rfc3339")]
    pub first_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub last_at: OffsetDateTime,
    pub waiting: i32,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// `open`, `explained` (by movements), `claimed`, `discarded`.
    pub state: String,
    pub resolved_by: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub resolved_at: Option<OffsetDateTime>,
    pub comment: Option<String>,
}

/// Which items; absent = all.
#[derive(Debug, Clone, Default)]
pub struct UnmatchedVitalsFilter {
    pub id: Option<i64>,
    pub state: Option<String>,
    pub reason: Option<String>,
    pub channel: Option<String>,
    pub after: Option<i64>,
    pub limit: i64,
}

/// Items, oldest first.
///
/// # Errors
/// The database failed.
pub async fn unmatched_vitals(
    conn: &mut PgConnection,
    filter: &UnmatchedVitalsFilter,
) -> Result<Vec<UnmatchedVitalsRow>, sqlx::Error> {
    sqlx::query_as(
        "select id, reason, channel, origin_key, place, device, named_key, first_at, last_at, waiting, at, state, \
         resolved_by, resolved_at, comment from clinical.unmatched_vitals \
         where ($1::bigint is null or id = $1) and ($2::text is null or state = $2) and ($3::text is null or reason = $3) \
         and ($4::text is null or channel = $4) and id > $5 order by id limit $6",
    )
    .bind(filter.id)
    .bind(&filter.state)
    .bind(&filter.reason)
    .bind(&filter.channel)
    .bind(filter.after.unwrap_or(0))
    .bind(filter.limit)
    .fetch_all(conn)
    .await
}

/// Measurements that stand in an item and are still nobody's, newest first.
///
/// # Errors
/// The database failed.
pub async fn vitals_of_item(
    conn: &mut PgConnection,
    item: i64,
    after: Option<(OffsetDateTime, Uuid, i16)>,
    limit: i64,
) -> Result<Vec<VitalRow>, sqlx::Error> {
    let query = format!(
        "select {COLUMNS} from clinical.vitals where item_id = $1 and subject_key is null and superseded_at is null \
         and ($2::timestamptz is null or (observed_at, vital_key, version) < ($2, $3, $4)) \
         order by observed_at desc, vital_key desc, version desc limit $5"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(item)
        .bind(after.map(|(at, _, _)| at))
        .bind(after.map(|(_, key, _)| key))
        .bind(after.map(|(_, _, version)| version))
        .bind(limit)
        .fetch_all(conn)
        .await
}
