//! Scores, the tasks that follow from them, and orders of oxygen targets.

use serde::Serialize;
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

/// One score in one version.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct ScoreRow {
    pub id: Uuid,
    pub version: i16,
    pub current: bool,
    pub subject_key: Uuid,
    pub visit_number: Option<String>,
    pub pack: String,
    pub pack_version: String,
    /// `computed`, `incomplete`, `not_applicable`.
    pub state: String,
    pub total: Option<i16>,
    pub response: Option<String>,
    pub parts: serde_json::Value,
    pub missing: Vec<String>,
    pub checks: serde_json::Value,
    pub scale: i16,
    #[serde(with = "time::serde::rfc3339")]
    pub observed_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub next_due_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    pub computed_at: OffsetDateTime,
    pub entered_by: String,
}

const SCORE: &str = "id, version, superseded_at is null as current, subject_key, visit_number, pack, pack_version, state, \
    total, response, parts, missing, checks, scale, observed_at, next_due_at, computed_at, entered_by";

/// Current scores of a person, newest first.
///
/// # Errors
/// The database failed.
pub async fn scores_for_subjects(
    conn: &mut PgConnection,
    subjects: &[Uuid],
    after: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<ScoreRow>, sqlx::Error> {
    let query = format!(
        "select {SCORE} from clinical.scores where subject_key = any($1) and superseded_at is null \
         and ($2::timestamptz is null or (observed_at, id) < ($2, $3)) order by observed_at desc, id desc limit $4"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(subjects)
        .bind(after.map(|(at, _)| at))
        .bind(after.map(|(_, id)| id))
        .bind(limit)
        .fetch_all(conn)
        .await
}

/// All versions of a score, newest first; none when there is no such score.
///
/// # Errors
/// The database failed.
pub async fn score_versions(
    conn: &mut PgConnection,
    id: Uuid,
) -> Result<Vec<ScoreRow>, sqlx::Error> {
    let query = format!("select {SCORE} from clinical.scores where id = $1 order by version desc");
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(id)
        .fetch_all(conn)
        .await
}

/// One task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct TaskRow {
    pub id: Uuid,
    /// `deterioration`
    pub kind: String,
    pub subject_key: Uuid,
    pub visit_number: Option<String>,
    pub score_id: Option<Uuid>,
    /// The response of the rule pack that asked for it.
    pub trigger: String,
    /// How many scores asked for it.
    pub times: i32,
    /// `open`, `acknowledged`, `done`.
    pub state: String,
    #[serde(with = "time::serde::rfc3339")]
    pub raised_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub due_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub acknowledged_at: Option<OffsetDateTime>,
    pub acknowledged_by: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub done_at: Option<OffsetDateTime>,
    pub done_by: Option<String>,
    pub outcome: Option<String>,
}

/// Which tasks; absent = all.
#[derive(Debug, Clone, Default)]
pub struct TaskFilter {
    pub subjects: Option<Vec<Uuid>>,
    pub state: Option<String>,
    pub after: Option<(OffsetDateTime, Uuid)>,
    pub limit: i64,
}

const TASK: &str = "id, kind, subject_key, visit_number, score_id, trigger, times, state, raised_at, due_at, \
    acknowledged_at, acknowledged_by, done_at, done_by, outcome";

/// Tasks, the one that is due first in front.
///
/// # Errors
/// The database failed.
pub async fn tasks(
    conn: &mut PgConnection,
    filter: &TaskFilter,
) -> Result<Vec<TaskRow>, sqlx::Error> {
    let query = format!(
        "select {TASK} from clinical.tasks where ($1::uuid[] is null or subject_key = any($1)) \
         and ($2::text is null or state = $2) and ($3::timestamptz is null or (due_at, id) > ($3, $4)) \
         order by due_at, id limit $5"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(&filter.subjects)
        .bind(&filter.state)
        .bind(filter.after.map(|(at, _)| at))
        .bind(filter.after.map(|(_, id)| id))
        .bind(filter.limit)
        .fetch_all(conn)
        .await
}

/// One task by its id.
///
/// # Errors
/// The database failed.
pub async fn task(conn: &mut PgConnection, id: Uuid) -> Result<Option<TaskRow>, sqlx::Error> {
    let query = format!("select {TASK} from clinical.tasks where id = $1");
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// A doctor's order of an oxygen target, standing or ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct OxygenTarget {
    pub id: Uuid,
    pub subject_key: Uuid,
    pub scale: i16,
    pub reason: String,
    #[serde(with = "time::serde::rfc3339")]
    pub ordered_at: OffsetDateTime,
    pub ordered_by: String,
    #[serde(with = "time::serde::rfc3339::option")]
    pub ended_at: Option<OffsetDateTime>,
    pub ended_by: Option<String>,
    pub end_reason: Option<String>,
}

const TARGET: &str =
    "id, subject_key, scale, reason, ordered_at, ordered_by, ended_at, ended_by, end_reason";

/// Orders of a person, newest first.
///
/// # Errors
/// The database failed.
pub async fn oxygen_targets(
    conn: &mut PgConnection,
    subjects: &[Uuid],
) -> Result<Vec<OxygenTarget>, sqlx::Error> {
    let query = format!(
        "select {TARGET} from clinical.oxygen_targets where subject_key = any($1) order by ordered_at desc, id limit 100"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(subjects)
        .fetch_all(conn)
        .await
}

/// One order by its id.
///
/// # Errors
/// The database failed.
pub async fn oxygen_target(
    conn: &mut PgConnection,
    id: Uuid,
) -> Result<Option<OxygenTarget>, sqlx::Error> {
    let query = format!("select {TARGET} from clinical.oxygen_targets where id = $1");
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(id)
        .fetch_optional(conn)
        .await
}
