//! What must be done from time to time.

use hub_core::Tx;
use schemas::TenantId;
use sqlx::PgPool;

/// Deletes refresh tokens that were out of date `age` ago; no session lives that long, so none of them could be shown with
/// any effect. Returns how many.
///
/// # Errors
/// The database is out of reach.
pub async fn prune_refresh_tokens(
    pool: &PgPool,
    tenant: &TenantId,
    age: time::Duration,
) -> Result<u64, sqlx::Error> {
    let mut tx = Tx::begin(pool, tenant).await?;
    let done = sqlx::query("delete from users.refresh_tokens where expires_at < $1")
        .bind(time::OffsetDateTime::now_utc() - age)
        .execute(tx.conn())
        .await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}

/// Deletes marks of challenges that were out of date `age` ago: no answer to them is taken any more. Returns how many.
///
/// # Errors
/// The database is out of reach.
pub async fn prune_used_challenges(
    pool: &PgPool,
    tenant: &TenantId,
    age: time::Duration,
) -> Result<u64, sqlx::Error> {
    let mut tx = Tx::begin(pool, tenant).await?;
    let done = sqlx::query("delete from users.used_challenges where expires_at < $1")
        .bind(time::OffsetDateTime::now_utc() - age)
        .execute(tx.conn())
        .await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}
