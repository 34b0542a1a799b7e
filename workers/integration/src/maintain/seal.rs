//! The audit trail's seal: a chain of digests, laid after the fact by one sealer at a time, so that writers never wait.
//!
//! Link n is `sha256(link n-1 || canonical JSON of the entry)`; the first follows 32 zero bytes. An entry that commits
//! late takes a later place: places follow the order of sealing, and inside one pass that of ids.

use hub_core::Tx;
use schemas::TenantId;
use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

/// Entries sealed or verified in one transaction.
pub(super) const CHUNK: i64 = 1_000;

/// How far below the last sealed entry a pass still looks: a transaction that got its id before and committed after is
/// found if fewer entries than this were written meanwhile. One that is missed shows as not sealed when all is verified.
pub(super) const LATE: i64 = 100_000;

/// What an audit entry says, in the one form that is digested. The order of fields is part of it.
#[derive(Serialize, sqlx::FromRow)]
pub(super) struct Entry {
    pub(super) id: i64,
    tenant_id: String,
    #[serde(serialize_with = "micros")]
    recorded_at: OffsetDateTime,
    actor: String,
    action: String,
    object: String,
    objects: Vec<Uuid>,
    reason: Option<String>,
    causes: Vec<Uuid>,
    /// As Postgres writes a jsonb: keys in its fixed order.
    detail: Option<String>,
}

fn micros<S: serde::Serializer>(time: &OffsetDateTime, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_i128(time.unix_timestamp_nanos() / 1_000)
}

impl Entry {
    pub(super) fn link(&self, previous: &[u8]) -> [u8; 32] {
        let text = serde_json::to_vec(self).expect("strings and numbers serialise");
        Sha256::new()
            .chain_update(previous)
            .chain_update(text)
            .finalize()
            .into()
    }
}

/// The same for a pass that comes every few seconds.
const NEAR: i64 = 2_000;

/// Lays links for all entries that have none; returns how many.
///
/// # Errors
/// The database is out of reach; what was sealed stays sealed.
pub async fn seal(pool: &PgPool, tenant: &TenantId) -> Result<u64, sqlx::Error> {
    seal_from(pool, tenant, LATE).await
}

/// As [`seal`], without a long look back: what a long transaction wrote late is left to the next [`seal`].
///
/// # Errors
/// As [`seal`].
pub async fn seal_newest(pool: &PgPool, tenant: &TenantId) -> Result<u64, sqlx::Error> {
    seal_from(pool, tenant, NEAR).await
}

async fn seal_from(pool: &PgPool, tenant: &TenantId, back: i64) -> Result<u64, sqlx::Error> {
    let mut sealed = 0;
    loop {
        let count = seal_chunk(pool, tenant, back).await?;
        sealed += count;
        if count == 0 {
            return Ok(sealed);
        }
    }
}

async fn seal_chunk(pool: &PgPool, tenant: &TenantId, back: i64) -> Result<u64, sqlx::Error> {
    let mut tx = Tx::begin(pool, tenant).await?;
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('audit.chain/' || $1, 0))")
        .bind(tenant.as_str())
        .execute(tx.conn())
        .await?;
    let last: Option<(i64, i64, Vec<u8>)> = sqlx::query_as(
        "select position, entry_id, digest from audit.chain order by tenant_id desc, position desc limit 1",
    )
    .fetch_optional(tx.conn())
    .await?;
    let (mut position, last_entry, mut digest) = last.unwrap_or((0, 0, vec![0; 32]));
    let entries: Vec<Entry> = sqlx::query_as(
        "select e.id, e.tenant_id, e.recorded_at, e.actor, e.action, e.object, e.objects, e.reason, e.causes,
                e.detail::text as detail
         from audit.entries e
         where e.id > $1 and not exists (select from audit.chain c where c.entry_id = e.id)
         order by e.id limit $2",
    )
    .bind(last_entry - back)
    .bind(CHUNK)
    .fetch_all(tx.conn())
    .await?;
    if entries.is_empty() {
        tx.rollback().await?;
        return Ok(0);
    }
    let (mut positions, mut ids, mut digests) = (Vec::new(), Vec::new(), Vec::new());
    for entry in &entries {
        position += 1;
        digest = entry.link(&digest).to_vec();
        positions.push(position);
        ids.push(entry.id);
        digests.push(digest.clone());
    }
    let done = sqlx::query(
        "insert into audit.chain (tenant_id, position, entry_id, digest)
         select $1, r.position, r.entry_id, r.digest
         from unnest($2::bigint[], $3::bigint[], $4::bytea[]) as r(position, entry_id, digest)",
    )
    .bind(tenant.as_str())
    .bind(positions)
    .bind(ids)
    .bind(digests)
    .execute(tx.conn())
    .await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}
