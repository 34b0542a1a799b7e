//! Encounters and the places of one.

use serde::Serialize;
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::cursor::{Cursor, Page};

/// One encounter.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct EncounterRow {
    pub id: Uuid,
    pub subject_key: Uuid,
    pub visit_number: Option<String>,
    /// HL7 table 0004, as sent.
    pub class: Option<String>,
    /// `planned`, `in_progress`, `finished`, `cancelled`, `entered_in_error`, `unknown`.
    pub status: String,
    pub location: Option<serde_json::Value>,
    pub prior_location: Option<serde_json::Value>,
    pub attending: Option<serde_json::Value>,
    pub referring: Option<serde_json::Value>,
    pub service: Option<String>,
    pub disposition: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub started_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub ended_at: Option<OffsetDateTime>,
    pub version: i32,
    pub source_event: Uuid,
    /// Where it stands in its way through the house; null: too little was said of it.
    pub stage: Option<String>,
    pub department_id: Option<Uuid>,
    /// Date of the token, at its place.
    pub token_day: Option<String>,
    pub token: Option<i32>,
    pub reason: Option<String>,
    pub priority: Option<String>,
    pub payer: Option<String>,
    pub ward_class: Option<String>,
    pub medico_legal: Option<bool>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub expected_at: Option<OffsetDateTime>,
    pub ending: Option<serde_json::Value>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

impl EncounterRow {
    /// HL7 v3 `ActCode` of the class (specs/hl7-fhir.md §3.4); other letters of table 0004 have none.
    #[must_use]
    pub fn class_code(&self) -> Option<&'static str> {
        match self.class.as_deref()? {
            "E" => Some("EMER"),
            "I" => Some("IMP"),
            "O" => Some("AMB"),
            "P" => Some("PRENC"),
            _ => None,
        }
    }

    /// Where the next page begins after this row.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor::row(self.created_at, self.id)
    }
}

/// One place during an encounter.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct EncounterPlace {
    pub location: serde_json::Value,
    /// `active`, `completed`, `cancelled`.
    pub status: String,
    #[serde(with = "time::serde::rfc3339::option")]
    pub from_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub to_at: Option<OffsetDateTime>,
}

/// Which encounters; absent = all.
#[derive(Debug, Clone, Default)]
pub struct EncounterFilter {
    pub status: Option<String>,
    pub visit_number: Option<String>,
    /// Begun (or, where that is unknown, recorded) at or after.
    pub from: Option<OffsetDateTime>,
    /// Begun before.
    pub to: Option<OffsetDateTime>,
}

pub(super) const COLUMNS: &str = "id, subject_key, visit_number, class, status, location, prior_location, attending, referring, \
    service, disposition, started_at, ended_at, version, source_event, created_at, updated_at, stage, department_id, \
    token_day::text as token_day, token, reason, priority, payer, ward_class, medico_legal, expected_at, ending";

/// Encounters of a patient, newest first.
///
/// # Errors
/// The database failed.
pub async fn encounters_for_subjects(
    conn: &mut PgConnection,
    subjects: &[Uuid],
    filter: &EncounterFilter,
    page: Page,
) -> Result<Vec<EncounterRow>, sqlx::Error> {
    let start = page.start();
    let query = format!(
        "select page.* from unnest($1::uuid[]) as subject (key) cross join lateral ( \
             select {COLUMNS} from clinical.encounters \
             where subject_key = subject.key and (created_at, id) < ($2, $3) \
             and ($4::text is null or status = $4) and ($5::text is null or visit_number = $5) \
             and ($6::timestamptz is null or coalesce(started_at, created_at) >= $6) \
             and ($7::timestamptz is null or coalesce(started_at, created_at) < $7) \
             order by created_at desc, id desc limit $8 \
         ) as page order by created_at desc, id desc limit $8"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(subjects)
        .bind(start.at)
        .bind(start.id)
        .bind(&filter.status)
        .bind(&filter.visit_number)
        .bind(filter.from)
        .bind(filter.to)
        .bind(page.rows())
        .fetch_all(conn)
        .await
}

/// One encounter and its places, oldest first.
///
/// # Errors
/// The database failed.
pub async fn encounter(
    conn: &mut PgConnection,
    id: Uuid,
) -> Result<Option<(EncounterRow, Vec<EncounterPlace>)>, sqlx::Error> {
    let query = format!("select {COLUMNS} from clinical.encounters where id = $1");
    let Some(row) = sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(id)
        .fetch_optional(&mut *conn)
        .await?
    else {
        return Ok(None);
    };
    let places = sqlx::query_as(
        "select location, status, from_at, to_at from clinical.encounter_locations \
         where encounter_id = $1 order by from_at nulls first, id",
    )
    .bind(id)
    .fetch_all(conn)
    .await?;
    Ok(Some((row, places)))
}
