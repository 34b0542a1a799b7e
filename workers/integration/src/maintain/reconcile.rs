//! What the reconciler asks of the ledger, and where it says what it found.

use std::ops::RangeInclusive;

use schemas::TenantId;
use sqlx::PgConnection;

/// A stored record of RAW of which the ledger has rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct LedgerRecord {
    pub stream_seq: i64,
    /// Messages of the record that have a row.
    pub rows: i64,
}

/// A sequence of which the ledger of this tenant has no row.
pub type Unknown = i64;

/// Sequences of a range, both ends included, that have no row in the ledger of the connection's tenant.
///
/// RAW is one stream for all tenants: give the tenant's own sequences as range only when it is the only one, else meet
/// what each tenant does not know (a gap is what none knows), or compare [`ledger_records`] to the stream by subject.
///
/// # Errors
/// The database is out of reach.
pub async fn ledger_gaps(
    conn: &mut PgConnection,
    first_seq: i64,
    last_seq: i64,
) -> Result<Vec<Unknown>, sqlx::Error> {
    let known = ledger_records(conn, first_seq..=last_seq).await?;
    let mut known = known.iter().map(|record| record.stream_seq).peekable();
    Ok((first_seq..=last_seq)
        .filter(|seq| known.next_if(|next| next == seq).is_none())
        .collect())
}

/// Records of a range of which the ledger of the connection's tenant has rows, with how many, in order.
/// Sets for the rest of the transaction that a statement takes one core only.
///
/// # Errors
/// The database is out of reach.
pub async fn ledger_records(
    conn: &mut PgConnection,
    range: RangeInclusive<i64>,
) -> Result<Vec<LedgerRecord>, sqlx::Error> {
    sqlx::query("set local max_parallel_workers_per_gather = 0")
        .execute(&mut *conn)
        .await?;
    sqlx::query_as(
        "select stream_seq, count(distinct record_index) as rows from integration.messages
         where stream_seq between $1 and $2 group by stream_seq order by stream_seq",
    )
    .bind(range.start())
    .bind(range.end())
    .fetch_all(conn)
    .await
}

/// Raises an incident, or counts it once more if it is open. `dedup_key` tells incidents of a kind apart.
/// Returns true when it was not open before.
///
/// # Errors
/// The database is out of reach.
pub async fn raise_incident(
    conn: &mut PgConnection,
    tenant: &TenantId,
    kind: &str,
    dedup_key: &str,
    detail: &str,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "insert into integration.incidents as i (tenant_id, kind, dedup_key, detail) values ($1, $2, $3, $4)
         on conflict (tenant_id, kind, dedup_key) where resolved_at is null do update
             set count = i.count + 1, last_at = now(), detail = excluded.detail
         returning count = 1",
    )
    .bind(tenant.as_str())
    .bind(kind)
    .bind(dedup_key)
    .bind(detail)
    .fetch_one(conn)
    .await
}

/// Closes an open incident; false when there was none.
///
/// # Errors
/// The database is out of reach.
pub async fn resolve_incident(
    conn: &mut PgConnection,
    kind: &str,
    dedup_key: &str,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "update integration.incidents set resolved_at = now()
         where kind = $1 and dedup_key = $2 and resolved_at is null",
    )
    .bind(kind)
    .bind(dedup_key)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Closes every open incident of a kind that a fresh look did not find again; returns how many.
///
/// # Errors
/// The database is out of reach.
pub async fn resolve_incidents_except(
    conn: &mut PgConnection,
    kind: &str,
    still_there: &[String],
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query(
        "update integration.incidents set resolved_at = now()
         where kind = $1 and resolved_at is null and dedup_key <> all($2)",
    )
    .bind(kind)
    .bind(still_there)
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// The newest record of a channel that the ledger knows.
///
/// # Errors
/// The database is out of reach.
pub async fn newest_in_ledger(
    conn: &mut PgConnection,
    channel: &schemas::ChannelId,
) -> Result<Option<i64>, sqlx::Error> {
    // a ledger from before 0021 is looked through once more, until the channel's next message
    let newest: Option<Option<i64>> = sqlx::query_scalar(
        "select coalesce(c.last_seq, (select max(m.stream_seq) from integration.messages m where m.channel = c.channel))
         from integration.channels c where c.channel = $1",
    )
    .bind(channel.as_str())
    .fetch_optional(conn)
    .await?;
    Ok(newest.flatten())
}
