//! API clients.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ClientRow {
    pub id: Uuid,
    pub name: String,
    pub permissions: Vec<String>,
    /// Networks; empty: from anywhere.
    pub allowed_from: Vec<String>,
    pub rate_per_minute: i32,
    pub state: String,
    pub version: i32,
    pub created_by: String,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

const CLIENT: &str = "select id, name, permissions, allowed_from::text[] as allowed_from, rate_per_minute, state, version,
    created_by, created_at, updated_at from users.clients";

/// One client.
///
/// # Errors
/// The database is out of reach.
pub async fn client(conn: &mut PgConnection, id: Uuid) -> Result<Option<ClientRow>, sqlx::Error> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!("{CLIENT} where id = $1")))
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// Clients by name, after a name.
///
/// # Errors
/// The database is out of reach.
pub async fn clients(
    conn: &mut PgConnection,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<ClientRow>, sqlx::Error> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "{CLIENT} where ($1::text is null or name > $1) order by name limit $2"
    )))
    .bind(after)
    .bind(limit)
    .fetch_all(conn)
    .await
}

/// A secret's digest.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ClientSecret {
    pub id: Uuid,
    pub digest: Vec<u8>,
    pub created_at: OffsetDateTime,
    pub expires_at: Option<OffsetDateTime>,
}

/// Secrets that hold now, newest first.
///
/// # Errors
/// The database is out of reach.
pub async fn client_secrets(
    conn: &mut PgConnection,
    client: Uuid,
) -> Result<Vec<ClientSecret>, sqlx::Error> {
    sqlx::query_as(
        "select id, digest, created_at, expires_at from users.client_secrets
         where client_id = $1 and (expires_at is null or expires_at > now()) order by created_at desc, id",
    )
    .bind(client)
    .fetch_all(conn)
    .await
}
