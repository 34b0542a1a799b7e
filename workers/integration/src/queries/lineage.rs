//! From a raw message to its events, what they did, and what was said because of them.

use serde::Serialize;
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::dead::{DeadLetter, dead_letters_of_raw};
use super::messages::{Message, children, messages_of_raw};

/// What follows from an arrival is said soon after; the outbox is looked through by time (it has no index on causes).
/// Replays that come later are found from their own arrival.
const FOLLOWS_WITHIN: Duration = Duration::days(2);

/// An event made from the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Derived {
    pub event_id: Uuid,
    /// `adt.encounter.reported` …
    pub name: String,
}

/// What a worker made of an event.
#[derive(Debug, Clone, PartialEq, Serialize, sqlx::FromRow)]
pub struct Applied {
    pub event_id: Uuid,
    pub worker: String,
    /// `applied`, `unchanged`, `refused`, `held`.
    pub outcome: String,
    #[serde(with = "time::serde::rfc3339")]
    pub applied_at: OffsetDateTime,
    /// Answer to a command.
    pub answer: Option<serde_json::Value>,
}

/// A stored record of messages that followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Said {
    pub id: i64,
    pub subject: String,
    /// Messages that caused what the record carries.
    pub causes: Vec<Uuid>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Absent while the relay has not published it.
    #[serde(with = "time::serde::rfc3339::option")]
    pub published_at: Option<OffsetDateTime>,
}

/// Everything known of what became of one raw message.
#[derive(Debug, Clone, Serialize)]
pub struct Lineage {
    /// Every arrival of the same bytes.
    pub arrivals: Vec<Message>,
    /// Edited resends and forced replays of it.
    pub children: Vec<Message>,
    pub events: Vec<Derived>,
    pub applied: Vec<Applied>,
    pub dead: Vec<DeadLetter>,
    pub said: Vec<Said>,
}

/// The lineage of a raw message; `None` when the ledger does not know it.
///
/// # Errors
/// The database is out of reach.
pub async fn lineage(
    conn: &mut PgConnection,
    raw_id: Uuid,
) -> Result<Option<Lineage>, sqlx::Error> {
    let arrivals = messages_of_raw(conn, raw_id).await?;
    let Some(first) = arrivals.first() else {
        return Ok(None);
    };
    let since = first.received_at;
    let events: Vec<Derived> = (0..)
        .zip(&first.events)
        .map(|(place, name)| Derived {
            event_id: schemas::event_id(raw_id, place),
            name: name.clone(),
        })
        .collect();
    let ids: Vec<Uuid> = events.iter().map(|event| event.event_id).collect();
    Ok(Some(Lineage {
        children: children(conn, raw_id).await?,
        applied: applied(conn, &ids).await?,
        dead: dead_letters_of_raw(conn, raw_id).await?,
        said: said(conn, &ids, since).await?,
        arrivals,
        events,
    }))
}

/// What workers made of these events or commands.
///
/// # Errors
/// The database is out of reach.
pub async fn applied(
    conn: &mut PgConnection,
    events: &[Uuid],
) -> Result<Vec<Applied>, sqlx::Error> {
    sqlx::query_as(
        "select event_id, worker, outcome, applied_at, answer from integration.inbox
         where event_id = any($1) order by applied_at, worker",
    )
    .bind(events)
    .fetch_all(conn)
    .await
}

/// What was said because of these events, within two days of `since`.
///
/// # Errors
/// The database is out of reach.
pub async fn said(
    conn: &mut PgConnection,
    events: &[Uuid],
    since: OffsetDateTime,
) -> Result<Vec<Said>, sqlx::Error> {
    sqlx::query_as(
        "select id, subject, causes, created_at, published_at from integration.outbox
         where created_at >= $2 and created_at < $3 and causes && $1 order by id limit 100",
    )
    .bind(events)
    .bind(since - Duration::minutes(5)) // clocks of edge and Postgres differ
    .bind(since + FOLLOWS_WITHIN)
    .fetch_all(conn)
    .await
}
