//! Channels, incidents, and how much waits.

use serde::Serialize;
use sqlx::PgConnection;
use time::OffsetDateTime;

/// One channel as it was last reported and as it is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, sqlx::FromRow)]
pub struct Channel {
    pub channel: String,
    pub kind: String,
    /// `running`, `paused`, `stopped`.
    pub desired: String,
    /// `stopped`, `listening`, `connected`, `lost`, `failed`, `unknown`.
    pub link: String,
    pub connections: i32,
    pub address: String,
    pub error: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub link_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_message_at: Option<OffsetDateTime>,
    /// Seconds since the last message.
    pub last_message_age: Option<f64>,
    pub messages: i64,
    pub changed_by: Option<String>,
    /// Held items and dead letters that are open.
    pub held: i64,
    pub dead: i64,
}

/// All channels of the tenant, by name.
///
/// # Errors
/// The database is out of reach.
pub async fn channels(conn: &mut PgConnection) -> Result<Vec<Channel>, sqlx::Error> {
    by_name(conn, None).await
}

/// One channel; `None` when it never reported, received or was set.
///
/// # Errors
/// The database is out of reach.
pub async fn channel(conn: &mut PgConnection, name: &str) -> Result<Option<Channel>, sqlx::Error> {
    Ok(by_name(conn, Some(name)).await?.pop())
}

async fn by_name(conn: &mut PgConnection, name: Option<&str>) -> Result<Vec<Channel>, sqlx::Error> {
    sqlx::query_as(
        "with held as (
             select channel, count(*) as open from integration.held_items where state = 'open' group by channel
         ), dead as (
             select channel, count(*) as open from integration.dead_letters where state = 'open' group by channel
         )
         select c.channel, c.kind, c.desired, c.link, c.connections, c.address, c.error, c.link_at, c.last_message_at,
                extract(epoch from now() - c.last_message_at)::float8 as last_message_age, c.messages, c.changed_by,
                coalesce(held.open, 0) as held, coalesce(dead.open, 0) as dead
         from integration.channels c
         left join held on held.channel = c.channel
         left join dead on dead.channel = c.channel
         where $1::text is null or c.channel = $1
         order by c.channel",
    )
    .bind(name)
    .fetch_all(conn)
    .await
}

/// What is wrong with the backbone itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Incident {
    pub id: i64,
    pub kind: String,
    pub dedup_key: String,
    pub detail: String,
    pub count: i32,
    #[serde(with = "time::serde::rfc3339")]
    pub first_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub last_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub resolved_at: Option<OffsetDateTime>,
    pub acknowledged_by: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub acknowledged_at: Option<OffsetDateTime>,
    pub note: Option<String>,
    /// Nobody had seen it in time.
    #[serde(with = "time::serde::rfc3339::option")]
    pub escalated_at: Option<OffsetDateTime>,
}

/// Incidents, newest first; `before` is the keyset.
///
/// # Errors
/// The database is out of reach.
pub async fn incidents(
    conn: &mut PgConnection,
    open_only: bool,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Incident>, sqlx::Error> {
    sqlx::query_as(
        "select id, kind, dedup_key, detail, count, first_at, last_at, resolved_at, acknowledged_by, acknowledged_at, note,
                escalated_at
         from integration.incidents
         where (not $1 or resolved_at is null) and id < coalesce($2, 9223372036854775807)
         order by id desc limit $3",
    )
    .bind(open_only)
    .bind(before)
    .bind(limit)
    .fetch_all(conn)
    .await
}

/// Is there an incident that is open since before this time, that nobody has seen, and that was not escalated yet?
///
/// # Errors
/// The database is out of reach.
pub async fn any_incident_due(
    conn: &mut PgConnection,
    opened_before: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select exists (
             select from integration.incidents
             where resolved_at is null and acknowledged_at is null and escalated_at is null and first_at < $1)",
    )
    .bind(opened_before)
    .fetch_one(conn)
    .await
}

/// How much waits, and for how long (seconds; absent when nothing waits).
#[derive(Debug, Clone, PartialEq, Serialize, sqlx::FromRow)]
pub struct Backlog {
    /// Questions that a person must decide.
    pub held_items: i64,
    /// Results behind them.
    pub held_waiting: i64,
    pub oldest_held_age: Option<f64>,
    pub dead_letters: i64,
    pub oldest_dead_age: Option<f64>,
    /// Records that the relay has not published.
    pub unpublished: i64,
    pub oldest_unpublished_age: Option<f64>,
    pub incidents: i64,
}

/// What waits for a person or for the relay.
///
/// # Errors
/// The database is out of reach.
pub async fn backlog(conn: &mut PgConnection) -> Result<Backlog, sqlx::Error> {
    sqlx::query_as(
        "select h.items as held_items, h.waiting as held_waiting, h.age as oldest_held_age,
                d.letters as dead_letters, d.age as oldest_dead_age,
                o.records as unpublished, o.age as oldest_unpublished_age, i.incidents
         from (select count(*) as items, coalesce(sum(waiting), 0)::bigint as waiting,
                      extract(epoch from now() - min(first_at))::float8 as age
               from integration.held_items where state = 'open') h,
              (select count(*) as letters, extract(epoch from now() - min(first_at))::float8 as age
               from integration.dead_letters where state = 'open') d,
              (select count(*) as records, extract(epoch from now() - min(created_at))::float8 as age
               from integration.outbox where published_at is null) o,
              (select count(*) as incidents from integration.incidents where resolved_at is null) i",
    )
    .fetch_one(conn)
    .await
}
