//! Control material.

use serde::Serialize;
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

/// One control result and what the rules made of it.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct ControlRow {
    pub id: i64,
    pub run_id: Uuid,
    pub channel: String,
    /// Sample number under which the instrument reports the material.
    pub material: Option<String>,
    pub lot: Option<String>,
    pub level: Option<String>,
    /// As sent.
    pub code: String,
    pub code_text: Option<String>,
    pub loinc: Option<String>,
    /// As sent.
    pub value_text: Option<String>,
    pub unit: Option<String>,
    pub mean_text: Option<String>,
    pub sd_text: Option<String>,
    pub z: Option<f64>,
    /// `in_control`, `warning`, `rejected`, `not_checked`.
    pub verdict: String,
    pub rules: Vec<String>,
    pub judged_by: String,
    /// `none` (nothing to decide), `open`, `accepted`, `rejected`.
    pub state: String,
    pub decided_by: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub decided_at: Option<OffsetDateTime>,
    pub comment: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub observed_at: OffsetDateTime,
}

/// Which control results; absent = all.
#[derive(Debug, Clone, Default)]
pub struct ControlFilter {
    pub state: Option<String>,
    pub verdict: Option<String>,
    pub channel: Option<String>,
    pub code: Option<String>,
    pub after: Option<i64>,
    pub limit: i64,
}

/// What a material should measure.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct TargetRow {
    pub channel: String,
    pub material: String,
    pub code: String,
    pub lot: String,
    pub level: String,
    pub mean_text: String,
    pub sd_text: String,
    pub unit: Option<String>,
    pub actor: String,
    #[serde(with = "time::serde::rfc3339")]
    pub changed_at: OffsetDateTime,
}

const COLUMNS: &str = "id, run_id, channel, material, lot, level, code, code_text, loinc, value_text, unit, mean_text, \
    sd_text, z, verdict, rules, judged_by, state, decided_by, decided_at, comment, observed_at";

/// Control results, oldest first.
///
/// # Errors
/// The database failed.
pub async fn controls(
    conn: &mut PgConnection,
    filter: &ControlFilter,
) -> Result<Vec<ControlRow>, sqlx::Error> {
    let query = format!(
        "select {COLUMNS} from clinical.qc_results where ($1::text is null or state = $1) \
         and ($2::text is null or verdict = $2) and ($3::text is null or channel = $3) \
         and ($4::text is null or code = $4) and id > $5 order by id limit $6"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(&filter.state)
        .bind(&filter.verdict)
        .bind(&filter.channel)
        .bind(&filter.code)
        .bind(filter.after.unwrap_or(0))
        .bind(filter.limit)
        .fetch_all(conn)
        .await
}

/// Targets of one channel or of all, at most 10,000.
///
/// # Errors
/// The database failed.
pub async fn control_targets(
    conn: &mut PgConnection,
    channel: Option<&str>,
) -> Result<Vec<TargetRow>, sqlx::Error> {
    sqlx::query_as(
        "select channel, material, code, lot, level, mean_text, sd_text, unit, actor, changed_at \
         from clinical.qc_targets where ($1::text is null or channel = $1) \
         order by channel, material, code limit 10000",
    )
    .bind(channel)
    .fetch_all(conn)
    .await
}
