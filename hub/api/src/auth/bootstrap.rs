//! The first administrator. The one place where this room writes state: `hub/cli` calls it at start,
//! before there is anyone who could send a command; no route leads here.

use hub_core::Tx;
use schemas::TenantId;
use sqlx::PgPool;
use uuid::Uuid;

use super::password::{self, HashError, MAX_PASSWORD};
use super::permission::ALL;
use super::secrets;

/// Name of the first administrator.
pub const ADMIN: &str = "admin";

/// Why there is no administrator.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    #[error("the database refused: {0}")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Hash(#[from] HashError),
    #[error("HUB_BOOTSTRAP_ADMIN_PASSWORD must have from 8 to {MAX_PASSWORD} bytes")]
    Length,
}

/// Makes the tenant's user `admin` when there is none.
///
/// A given password is used, and replaces the stored one when it differs. Without one a password is
/// made up and returned, to be printed once; it is stored nowhere but as a hash. `None`: nothing to print.
///
/// # Errors
/// [`BootstrapError`] when the database or the hash failed, or the password is too short.
pub async fn bootstrap_admin(
    pool: &PgPool,
    tenant: &TenantId,
    password: Option<String>,
) -> Result<Option<String>, BootstrapError> {
    if let Some(given) = &password
        && !(8..=MAX_PASSWORD).contains(&given.len())
    {
        return Err(BootstrapError::Length);
    }
    let stored = stored_hash(pool, tenant).await?;
    match (stored, password) {
        (Some(_), None) => Ok(None),
        (Some(hash), Some(given)) => {
            if !password::verify(given.clone(), Some(hash.clone())).await? {
                replace(pool, tenant, &hash, password::hash(given).await?).await?;
            }
            Ok(None)
        }
        (None, Some(given)) => {
            insert(pool, tenant, password::hash(given).await?).await?;
            Ok(None)
        }
        (None, None) => {
            let made = secrets::one_time_password();
            let inserted = insert(pool, tenant, password::hash(made.clone()).await?).await?;
            // another process may have been first: then its password is the one that holds
            Ok(inserted.then_some(made))
        }
    }
}

/// A password that somebody shall change at his first sign-in, and its argon2id hash.
///
/// # Errors
/// The hash failed.
pub async fn one_time_password() -> Result<(String, String), HashError> {
    let made = secrets::one_time_password();
    let hash = password::hash(made.clone()).await?;
    Ok((made, hash))
}

async fn stored_hash(pool: &PgPool, tenant: &TenantId) -> Result<Option<String>, sqlx::Error> {
    let mut tx = Tx::begin(pool, tenant).await?;
    let hash = sqlx::query_scalar("select password_hash from users.users where username = $1")
        .bind(ADMIN)
        .fetch_optional(tx.conn())
        .await?;
    tx.commit().await?;
    Ok(hash)
}

async fn insert(pool: &PgPool, tenant: &TenantId, hash: String) -> Result<bool, sqlx::Error> {
    let mut tx = Tx::begin(pool, tenant).await?;
    let done = sqlx::query(
        "insert into users.users (tenant_id, id, username, password_hash, permissions)
         values ($1, $2, $3, $4, array[$5])
         on conflict (tenant_id, username) do nothing",
    )
    .bind(tenant.as_str())
    .bind(Uuid::now_v7())
    .bind(ADMIN)
    .bind(hash)
    .bind(ALL)
    .execute(tx.conn())
    .await?;
    tx.commit().await?;
    Ok(done.rows_affected() == 1)
}

/// Guarded by the hash that was read: of two processes one wins, and both were given the same password.
async fn replace(
    pool: &PgPool,
    tenant: &TenantId,
    before: &str,
    hash: String,
) -> Result<(), sqlx::Error> {
    let mut tx = Tx::begin(pool, tenant).await?;
    sqlx::query(
        "update users.users set password_hash = $3 where username = $1 and password_hash = $2",
    )
    .bind(ADMIN)
    .bind(before)
    .bind(hash)
    .execute(tx.conn())
    .await?;
    tx.commit().await
}
