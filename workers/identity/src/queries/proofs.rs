//! Passkeys, and people whom an identity provider vouches for.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// A passkey that stands.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct PasskeyRow {
    pub id: Uuid,
    pub user_id: Uuid,
    pub name: String,
    pub credential_id: Vec<u8>,
    pub public_key: Vec<u8>,
    pub state: Vec<u8>,
    pub transports: i16,
    pub synced: bool,
    pub created_at: OffsetDateTime,
    pub last_used_at: Option<OffsetDateTime>,
}

/// Passkeys of a user, oldest first; there are few.
///
/// # Errors
/// The database is out of reach.
pub async fn passkeys(conn: &mut PgConnection, user: Uuid) -> Result<Vec<PasskeyRow>, sqlx::Error> {
    sqlx::query_as(
        "select id, user_id, name, credential_id, public_key, state, transports, synced, created_at, last_used_at
         from users.passkeys where user_id = $1 and ended_at is null order by created_at, id",
    )
    .bind(user)
    .fetch_all(conn)
    .await
}

/// The passkey with this credential id.
///
/// # Errors
/// The database is out of reach.
pub async fn passkey(
    conn: &mut PgConnection,
    credential_id: &[u8],
) -> Result<Option<PasskeyRow>, sqlx::Error> {
    sqlx::query_as(
        "select id, user_id, name, credential_id, public_key, state, transports, synced, created_at, last_used_at
         from users.passkeys where credential_id = $1 and ended_at is null",
    )
    .bind(credential_id)
    .fetch_optional(conn)
    .await
}

/// A person at an identity provider, linked to a user.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct SubjectRow {
    pub id: Uuid,
    pub user_id: Uuid,
    pub provider: String,
    pub issuer: String,
    pub subject: String,
    pub linked: String,
    pub linked_by: String,
    pub created_at: OffsetDateTime,
    pub last_used_at: Option<OffsetDateTime>,
}

/// Links of a user that stand, oldest first.
///
/// # Errors
/// The database is out of reach.
pub async fn subjects(conn: &mut PgConnection, user: Uuid) -> Result<Vec<SubjectRow>, sqlx::Error> {
    sqlx::query_as(
        "select id, user_id, provider, issuer, subject, linked, linked_by, created_at, last_used_at
         from users.subjects where user_id = $1 and ended_at is null order by created_at, id",
    )
    .bind(user)
    .fetch_all(conn)
    .await
}

/// The link of this person.
///
/// # Errors
/// The database is out of reach.
pub async fn subject(
    conn: &mut PgConnection,
    issuer: &str,
    subject: &str,
) -> Result<Option<SubjectRow>, sqlx::Error> {
    sqlx::query_as(
        "select id, user_id, provider, issuer, subject, linked, linked_by, created_at, last_used_at
         from users.subjects where issuer = $1 and subject = $2 and ended_at is null",
    )
    .bind(issuer)
    .bind(subject)
    .fetch_optional(conn)
    .await
}

/// The user whom an invitation is for, while it is good.
///
/// # Errors
/// The database is out of reach.
pub async fn invited(
    conn: &mut PgConnection,
    digest: &[u8],
    provider: &str,
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "select user_id from users.invitations
         where digest = $1 and provider = $2 and used_at is null and expires_at > now()",
    )
    .bind(digest)
    .bind(provider)
    .fetch_optional(conn)
    .await
}
