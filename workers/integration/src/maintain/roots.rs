//! The signed roots: for each tenant and day (UTC) the place and digest where the chain stood when the day was over.
//!
//! A chain of plain digests can be laid anew by who may write all of the database; what he can't do is to sign. A root that
//! is also kept elsewhere shows in addition that nothing was cut off.

use hub_core::Tx;
use schemas::TenantId;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use time::macros::format_description;
use time::{Date, OffsetDateTime, Time};

/// How long after midnight a day is closed: a sealing pass that began before it has ended.
const AFTER_MIDNIGHT: time::Duration = time::Duration::minutes(5);

/// Where the chain stood, and who says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    pub tenant: String,
    /// `2026-01-31`, UTC.
    pub day: String,
    pub first_position: i64,
    pub last_position: i64,
    /// Of the link at `last_position`, hex.
    pub digest: String,
    /// Which key signed it.
    pub kid: String,
    /// Ed25519 (RFC 8032) over [`Root::text`], hex.
    pub signature: String,
}

impl Root {
    /// What is signed.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "sangam audit root v1\n{}\n{}\n{}\n{}\n{}\n",
            self.tenant, self.day, self.first_position, self.last_position, self.digest
        )
    }
}

/// Signs with the installation's key.
pub trait Signer {
    fn kid(&self) -> &str;
    fn sign(&self, text: &[u8]) -> Vec<u8>;
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

pub(super) fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    if !hex.len().is_multiple_of(2) {
        return None;
    }
    hex.as_bytes()
        .chunks_exact(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect()
}

pub(super) fn day_text(day: Date) -> String {
    day.format(format_description!("[year]-[month]-[day]"))
        .unwrap_or_default()
}

#[derive(sqlx::FromRow)]
struct Row {
    tenant_id: String,
    day: Date,
    first_position: i64,
    last_position: i64,
    digest: Vec<u8>,
    kid: String,
    signature: Vec<u8>,
}

impl Row {
    fn root(self) -> Root {
        Root {
            tenant: self.tenant_id,
            day: day_text(self.day),
            first_position: self.first_position,
            last_position: self.last_position,
            digest: hex(&self.digest),
            kid: self.kid,
            signature: hex(&self.signature),
        }
    }
}

/// The roots of these days, oldest first.
///
/// # Errors
/// The database is out of reach.
pub async fn roots(
    pool: &PgPool,
    tenant: &TenantId,
    from: Option<Date>,
    to: Option<Date>,
) -> Result<Vec<Root>, sqlx::Error> {
    let mut tx = Tx::begin(pool, tenant).await?;
    let rows: Vec<Row> = sqlx::query_as(
        "select tenant_id, day, first_position, last_position, digest, kid, signature from audit.roots
         where ($1::date is null or day >= $1) and ($2::date is null or day <= $2) order by day",
    )
    .bind(from)
    .bind(to)
    .fetch_all(tx.conn())
    .await?;
    tx.rollback().await?;
    Ok(rows.into_iter().map(Row::root).collect())
}

/// Signs every day that is over at `now` and has links and no root; returns how many.
///
/// # Errors
/// The database is out of reach.
pub async fn sign_roots(
    pool: &PgPool,
    tenant: &TenantId,
    signer: &(dyn Signer + Sync),
    now: OffsetDateTime,
) -> Result<usize, sqlx::Error> {
    let open = (now - AFTER_MIDNIGHT).date();
    let mut tx = Tx::begin(pool, tenant).await?;
    // after whoever seals now: what he began before midnight belongs to the day before
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('audit.chain/' || $1, 0))")
        .bind(tenant.as_str())
        .execute(tx.conn())
        .await?;
    let before: i64 = sqlx::query_scalar("select coalesce(max(last_position), 0) from audit.roots")
        .fetch_one(tx.conn())
        .await?;
    let days: Vec<(Date, i64)> = sqlx::query_as(
        "select (sealed_at at time zone 'UTC')::date as day, max(position) from audit.chain
         where position > $1 and sealed_at < $2 group by 1 order by 1",
    )
    .bind(before)
    .bind(open.with_time(Time::MIDNIGHT).assume_utc())
    .fetch_all(tx.conn())
    .await?;
    let mut first = before + 1;
    let mut signed = 0;
    for (day, last) in days {
        // a pass that waited at midnight may have laid its links behind those of the next day
        if last < first {
            continue;
        }
        let Some(root) = signed_root(&mut tx, day, first, last, signer).await? else {
            continue;
        };
        signed += usize::try_from(
            sqlx::query(
                "insert into audit.roots (tenant_id, day, first_position, last_position, digest, kid, signature)
                 values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing",
            )
            .bind(tenant.as_str())
            .bind(day)
            .bind(first)
            .bind(last)
            .bind(bytes_of(&root.digest))
            .bind(&root.kid)
            .bind(bytes_of(&root.signature))
            .execute(tx.conn())
            .await?
            .rows_affected(),
        )
        .unwrap_or(0);
        first = last + 1;
    }
    tx.commit().await?;
    Ok(signed)
}

/// A root of this moment, for who stores one elsewhere before the day is over; it is not kept here. `None`: nothing is sealed.
///
/// # Errors
/// The database is out of reach.
pub async fn current_root(
    pool: &PgPool,
    tenant: &TenantId,
    signer: &(dyn Signer + Sync),
    now: OffsetDateTime,
) -> Result<Option<Root>, sqlx::Error> {
    let mut tx = Tx::begin(pool, tenant).await?;
    let before: i64 = sqlx::query_scalar("select coalesce(max(last_position), 0) from audit.roots")
        .fetch_one(tx.conn())
        .await?;
    let last: i64 = sqlx::query_scalar("select coalesce(max(position), 0) from audit.chain")
        .fetch_one(tx.conn())
        .await?;
    let root = if last > before {
        signed_root(&mut tx, now.date(), before + 1, last, signer).await?
    } else {
        None
    };
    tx.rollback().await?;
    Ok(root)
}

async fn signed_root(
    tx: &mut Tx<'_>,
    day: Date,
    first: i64,
    last: i64,
    signer: &(dyn Signer + Sync),
) -> Result<Option<Root>, sqlx::Error> {
    let digest: Option<Vec<u8>> =
        sqlx::query_scalar("select digest from audit.chain where position = $1")
            .bind(last)
            .fetch_optional(tx.conn())
            .await?;
    Ok(digest.map(|digest| {
        let mut root = Root {
            tenant: tx.tenant().to_string(),
            day: day_text(day),
            first_position: first,
            last_position: last,
            digest: hex(&digest),
            kid: signer.kid().to_owned(),
            signature: String::new(),
        };
        root.signature = hex(&signer.sign(root.text().as_bytes()));
        root
    }))
}
