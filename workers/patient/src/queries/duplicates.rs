//! Suggested duplicates, and the merges of a person.

use serde::Serialize;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// Two records that may be one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Duplicate {
    pub patient_id: Uuid,
    pub other_id: Uuid,
    /// 1 to 100.
    pub score: i16,
    /// `shared_identifier`, `same_abha`, `same_name_and_birth_date`, `same_mobile`.
    pub reasons: Vec<String>,
    /// `open`, `merged`, `dismissed`.
    pub state: String,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

/// Suggestions of one record (either side of the pair), or all open ones; keyset by the pair.
///
/// # Errors
/// The database is out of reach.
pub async fn duplicates(
    conn: &mut PgConnection,
    patient: Option<Uuid>,
    after: Option<(Uuid, Uuid)>,
    limit: i64,
) -> Result<Vec<Duplicate>, sqlx::Error> {
    let (after_patient, after_other) = after.unwrap_or((Uuid::nil(), Uuid::nil()));
    match patient {
        Some(id) => {
            sqlx::query_as(
                "select patient_id, other_id, score, reasons, state, created_at from patients.duplicate_candidates
                 where (patient_id = $1 or other_id = $1) and (patient_id, other_id) > ($2, $3)
                 order by patient_id, other_id limit $4",
            )
            .bind(id)
            .bind(after_patient)
            .bind(after_other)
            .bind(limit)
            .fetch_all(conn)
            .await
        }
        None => {
            sqlx::query_as(
                "select patient_id, other_id, score, reasons, state, created_at from patients.duplicate_candidates
                 where state = 'open' and (patient_id, other_id) > ($1, $2)
                 order by patient_id, other_id limit $3",
            )
            .bind(after_patient)
            .bind(after_other)
            .bind(limit)
            .fetch_all(conn)
            .await
        }
    }
}

/// One merge, standing or taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Merge {
    pub id: i64,
    pub survivor: Uuid,
    pub retired: Uuid,
    pub reason: Option<String>,
    /// A user, or the source that reported it (`/channel/<tenant>/<channel>`).
    pub actor: String,
    pub source_event: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    pub merged_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub unmerged_at: Option<OffsetDateTime>,
    pub unmerged_by: Option<String>,
    pub unmerge_reason: Option<String>,
}

/// Merges in which a record took part, oldest first.
///
/// # Errors
/// The database is out of reach.
pub async fn merges(conn: &mut PgConnection, patient: Uuid) -> Result<Vec<Merge>, sqlx::Error> {
    sqlx::query_as(
        "select id, survivor, retired, reason, actor, source_event, merged_at, unmerged_at, unmerged_by, unmerge_reason
         from patients.merges where survivor = $1 or retired = $1 order by id",
    )
    .bind(patient)
    .fetch_all(conn)
    .await
}
