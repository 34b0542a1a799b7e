//! Consents and requests about a person's data, of all records that are his.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// A consent.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ConsentRow {
    pub id: Uuid,
    pub patient_id: Uuid,
    pub purpose: String,
    pub notice_version: String,
    pub notice_language: String,
    pub given_by: String,
    pub given_at: OffsetDateTime,
    pub until: Option<OffsetDateTime>,
    pub recorded_by: String,
    pub withdrawn_at: Option<OffsetDateTime>,
    pub withdrawn_by: Option<String>,
    pub withdraw_reason: Option<String>,
}

/// A request.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct PrivacyRequestRow {
    pub id: Uuid,
    pub patient_id: Uuid,
    pub kind: String,
    pub detail: String,
    pub state: String,
    pub received_at: OffsetDateTime,
    pub due_at: OffsetDateTime,
    pub resolution: Option<String>,
    pub version: i32,
    pub opened_by: String,
    pub decided_by: Option<String>,
    pub decided_at: Option<OffsetDateTime>,
}

/// Which requests.
#[derive(Debug, Clone, Default)]
pub struct PrivacyRequestSearch<'a> {
    /// All records of one person; absent: everybody's.
    pub records: Option<&'a [Uuid]>,
    pub state: Option<&'a str>,
    /// Not decided, and due before this.
    pub due_before: Option<OffsetDateTime>,
    /// Keyset: after this one.
    pub after: Option<(OffsetDateTime, Uuid)>,
    pub limit: i64,
}

const CONSENT: &str = "select id, patient_id, purpose, notice_version, notice_language, given_by, given_at, until, recorded_by,
    withdrawn_at, withdrawn_by, withdraw_reason from patients.consents";

const REQUEST: &str = "select id, patient_id, kind, detail, state, received_at, due_at, resolution, version, opened_by,
    decided_by, decided_at from patients.privacy_requests";

/// Newest first.
///
/// # Errors
/// The database is out of reach.
pub async fn consents(
    conn: &mut PgConnection,
    records: &[Uuid],
) -> Result<Vec<ConsentRow>, sqlx::Error> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "{CONSENT} where patient_id = any($1) order by given_at desc, id"
    )))
    .bind(records)
    .fetch_all(conn)
    .await
}

/// One by its id.
///
/// # Errors
/// The database is out of reach.
pub async fn consent(conn: &mut PgConnection, id: Uuid) -> Result<Option<ConsentRow>, sqlx::Error> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!("{CONSENT} where id = $1")))
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// What is due first comes first.
///
/// # Errors
/// The database is out of reach.
pub async fn privacy_requests(
    conn: &mut PgConnection,
    search: &PrivacyRequestSearch<'_>,
) -> Result<Vec<PrivacyRequestRow>, sqlx::Error> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "{REQUEST} where ($1::uuid[] is null or patient_id = any($1)) and ($2::text is null or state = $2)
         and ($3::timestamptz is null or (state in ('received', 'in_progress') and due_at < $3))
         and ($4::timestamptz is null or (due_at, id) > ($4, $5)) order by due_at, id limit $6"
    )))
    .bind(search.records)
    .bind(search.state)
    .bind(search.due_before)
    .bind(search.after.map(|(at, _)| at))
    .bind(search.after.map(|(_, id)| id))
    .bind(search.limit)
    .fetch_all(conn)
    .await
}

/// One by its id.
///
/// # Errors
/// The database is out of reach.
pub async fn privacy_request(
    conn: &mut PgConnection,
    id: Uuid,
) -> Result<Option<PrivacyRequestRow>, sqlx::Error> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!("{REQUEST} where id = $1")))
        .bind(id)
        .fetch_optional(conn)
        .await
}
