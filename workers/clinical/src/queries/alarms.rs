//! Alarms of bedside devices. Secondary notification only: the bedside is the alarm of record.

use serde::Serialize;
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

/// One alarm as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct AlarmRow {
    pub id: Uuid,
    pub channel: String,
    pub device: Option<String>,
    pub subject_key: Option<Uuid>,
    pub place: Option<serde_json::Value>,
    pub code: String,
    pub code_system: Option<String>,
    pub code_text: Option<String>,
    pub path: Option<String>,
    pub source: Option<String>,
    pub text: Option<String>,
    /// `SP`, `ST`, `SA`.
    pub kind: Option<String>,
    /// `PN`, `PL`, `PM`, `PH`.
    pub priority: Option<String>,
    /// As sent: `active`, `inactive`, `latched`.
    pub state: Option<String>,
    pub inactivation: Vec<String>,
    pub abnormality: Option<String>,
    pub measured: Option<serde_json::Value>,
    /// `active`, `latched`, `ended`.
    pub status: String,
    #[serde(with = "time::serde::rfc3339")]
    pub begun_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub ended_at: Option<OffsetDateTime>,
    /// The newest message about it.
    #[serde(with = "time::serde::rfc3339")]
    pub last_at: OffsetDateTime,
    /// Messages about it, repeats counted.
    pub messages: i32,
}

impl AlarmRow {
    /// Where the next page begins after this row.
    #[must_use]
    pub fn key(&self) -> (OffsetDateTime, Uuid) {
        (self.begun_at, self.id)
    }
}

/// One message that changed an alarm.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct AlarmEventRow {
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// `start`, `continue`, `update`, `end`, `point`.
    pub phase: String,
    pub state: Option<String>,
    pub inactivation: Vec<String>,
    pub priority: Option<String>,
    pub value: Option<String>,
    pub text: Option<String>,
    pub source_event: Uuid,
}

/// Which alarms; absent = all.
#[derive(Debug, Clone, Default)]
pub struct AlarmFilter {
    pub id: Option<Uuid>,
    /// `active`, `latched`, `ended`; `open` is the first two.
    pub status: Option<String>,
    pub subjects: Option<Vec<Uuid>>,
    pub channel: Option<String>,
    /// Begun at or after.
    pub from: Option<OffsetDateTime>,
    /// Begun before.
    pub to: Option<OffsetDateTime>,
    pub after: Option<(OffsetDateTime, Uuid)>,
    pub limit: i64,
}

/// Alarms, the one that began last first.
///
/// # Errors
/// The database failed.
pub async fn alarms(
    conn: &mut PgConnection,
    filter: &AlarmFilter,
) -> Result<Vec<AlarmRow>, sqlx::Error> {
    let statuses: Option<Vec<&str>> = filter.status.as_deref().map(|status| match status {
        "open" => vec!["active", "latched"],
        one => vec![one],
    });
    sqlx::query_as(
        "select id, channel, device, subject_key, place, code, code_system, code_text, path, source, text, kind, priority, \
         state, inactivation, abnormality, measured, status, begun_at, \
         case when status = 'ended' then ended_at end as ended_at, last_at, messages \
         from clinical.alarms where ($1::uuid is null or id = $1) and ($2::text[] is null or status = any($2)) \
         and ($3::uuid[] is null or subject_key = any($3)) and ($4::text is null or channel = $4) \
         and ($5::timestamptz is null or begun_at >= $5) and ($6::timestamptz is null or begun_at < $6) \
         and ($7::timestamptz is null or (begun_at, id) < ($7, $8)) order by begun_at desc, id desc limit $9",
    )
    .bind(filter.id)
    .bind(statuses)
    .bind(&filter.subjects)
    .bind(&filter.channel)
    .bind(filter.from)
    .bind(filter.to)
    .bind(filter.after.map(|(at, _)| at))
    .bind(filter.after.map(|(_, id)| id))
    .bind(filter.limit)
    .fetch_all(conn)
    .await
}

/// What became of an alarm, oldest first.
///
/// # Errors
/// The database failed.
pub async fn alarm_events(
    conn: &mut PgConnection,
    alarm: Uuid,
) -> Result<Vec<AlarmEventRow>, sqlx::Error> {
    sqlx::query_as(
        "select at, phase, state, inactivation, priority, value, text, source_event from clinical.alarm_events \
         where alarm_id = $1 order by at, id",
    )
    .bind(alarm)
    .fetch_all(conn)
    .await
}
