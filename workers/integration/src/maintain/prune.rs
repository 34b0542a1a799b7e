//! Partitions of the days to come, and the end of rows that have served.

use hub_core::Tx;
use schemas::TenantId;
use sqlx::PgPool;
use time::{Duration, OffsetDateTime};

/// Rows deleted in one transaction: short enough that no worker waits for it.
const CHUNK: i64 = 10_000;

/// Rows that were deleted.
pub type Pruned = u64;

/// Makes the ledger's partitions around today; returns how many were missing.
///
/// # Errors
/// The database is out of reach.
pub async fn ensure_partitions(
    pool: &PgPool,
    days_before: i32,
    days_after: i32,
) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar("select integration.ensure_partitions($1, $2)")
        .bind(days_before)
        .bind(days_after)
        .fetch_one(pool)
        .await
}

/// Deletes a tenant's inbox rows older than `age`. It must exceed the age of the streams: the inbox is what stops a
/// message that is replayed from them.
///
/// # Errors
/// The database is out of reach; what was deleted stays deleted.
pub async fn prune_inbox(
    pool: &PgPool,
    tenant: &TenantId,
    age: Duration,
) -> Result<Pruned, sqlx::Error> {
    in_chunks(
        pool,
        tenant,
        age,
        "delete from integration.inbox where ctid in
             (select i.ctid from integration.inbox i where i.applied_at < $1 limit $2)",
    )
    .await
}

/// Deletes a tenant's published outbox rows older than `age`. What is not published stays, however old.
///
/// # Errors
/// The database is out of reach; what was deleted stays deleted.
pub async fn prune_outbox(
    pool: &PgPool,
    tenant: &TenantId,
    age: Duration,
) -> Result<Pruned, sqlx::Error> {
    in_chunks(
        pool,
        tenant,
        age,
        "delete from integration.outbox where ctid in
             (select o.ctid from integration.outbox o where o.created_at < $1 and o.published_at is not null limit $2)",
    )
    .await
}

/// Deletes a tenant's answers to queries older than `age`; the query itself stays in the ledger.
///
/// # Errors
/// The database is out of reach; what was deleted stays deleted.
pub async fn prune_query_answers(
    pool: &PgPool,
    tenant: &TenantId,
    age: Duration,
) -> Result<Pruned, sqlx::Error> {
    in_chunks(
        pool,
        tenant,
        age,
        "delete from integration.query_answers where ctid in
             (select q.ctid from integration.query_answers q where q.at < $1 limit $2)",
    )
    .await
}

async fn in_chunks(
    pool: &PgPool,
    tenant: &TenantId,
    age: Duration,
    statement: &'static str,
) -> Result<Pruned, sqlx::Error> {
    let before = OffsetDateTime::now_utc() - age;
    let mut deleted = 0;
    loop {
        let mut tx = Tx::begin(pool, tenant).await?;
        let done = sqlx::query(statement)
            .bind(before)
            .bind(CHUNK)
            .execute(tx.conn())
            .await?;
        tx.commit().await?;
        deleted += done.rows_affected();
        if done.rows_affected() == 0 {
            return Ok(deleted);
        }
    }
}
