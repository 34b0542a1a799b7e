//! What staff wrote into charts, as it is now and as it was. What is sealed is opened here.

use hub_core::Tx;
use hub_core::db::{is_transient, lost_key};
use serde::Serialize;
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::chart::words;

/// One entry as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct ChartRow {
    pub id: Uuid,
    /// `allergy`, `condition`, `note`, `prescription`, `document`.
    pub kind: String,
    pub subject_key: Uuid,
    pub state: String,
    pub code_system: Option<String>,
    pub code: Option<String>,
    pub title: Option<String>,
    /// The canonical type of the kind (`schemas::chart`).
    pub body: serde_json::Value,
    pub visit_number: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub occurred_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub recorded_at: OffsetDateTime,
    pub recorded_by: String,
    pub version: i32,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
    pub updated_by: String,
    pub reason: Option<String>,
    /// The command that made this version.
    pub source_event: Uuid,
    /// It is sealed and can't be opened: damaged, moved, or its key is lost. Its words are left out then.
    #[sqlx(default)]
    pub unreadable: bool,
}

/// Which entries; absent = all.
#[derive(Debug, Clone, Default)]
pub struct ChartFilter {
    /// Code of the substance, of ICD-10; kind of note or document.
    pub code: Option<String>,
    pub state: Option<String>,
    /// Recorded at or after.
    pub from: Option<OffsetDateTime>,
    /// Recorded before.
    pub to: Option<OffsetDateTime>,
    pub after: Option<(OffsetDateTime, Uuid)>,
    pub limit: i64,
}

const COLUMNS: &str = "id, kind, subject_key, state, code_system, code, title, body, visit_number, occurred_at, recorded_at, \
    recorded_by, version, updated_at, updated_by, reason, source_event";

/// Entries of one kind in a person's chart, newest first.
///
/// # Errors
/// The database failed, or a sealed one does not open.
pub async fn chart_entries(
    tx: &mut Tx<'_>,
    kind: &str,
    subjects: &[Uuid],
    filter: &ChartFilter,
) -> Result<Vec<ChartRow>, sqlx::Error> {
    let mut rows = found(tx, kind, subjects, filter).await?;
    open(tx, &mut rows).await?;
    Ok(rows)
}

/// The same; one that is damaged or whose key is lost is marked ([`ChartRow::unreadable`]) and closes no other.
///
/// # Errors
/// The database failed, or a key can't be had now.
pub async fn chart_entries_marked(
    tx: &mut Tx<'_>,
    kind: &str,
    subjects: &[Uuid],
    filter: &ChartFilter,
) -> Result<Vec<ChartRow>, sqlx::Error> {
    let mut rows = found(tx, kind, subjects, filter).await?;
    let Some(keys) = words::keys_of(rows.iter().map(|row| &row.body)) else {
        return Ok(rows);
    };
    let opener = tx.opener(keys).await?;
    for row in &mut rows {
        match words::open_entry(&opener, row.id, &mut row.title, &mut row.body) {
            Err(error) if is_transient(&error) && lost_key(&error).is_none() => return Err(error),
            Err(_) => {
                row.unreadable = true;
                row.body = serde_json::Value::Null;
            }
            Ok(()) => {}
        }
    }
    Ok(rows)
}

async fn found(
    tx: &mut Tx<'_>,
    kind: &str,
    subjects: &[Uuid],
    filter: &ChartFilter,
) -> Result<Vec<ChartRow>, sqlx::Error> {
    let query = format!(
        "select {COLUMNS} from clinical.chart_entries where subject_key = any($1) and kind = $2 \
         and ($3::text is null or lower(code) = lower($3)) and ($4::text is null or state = $4) \
         and ($5::timestamptz is null or recorded_at >= $5) and ($6::timestamptz is null or recorded_at < $6) \
         and ($7::timestamptz is null or (recorded_at, id) < ($7, $8)) \
         order by recorded_at desc, id desc limit $9"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(subjects)
        .bind(kind)
        .bind(&filter.code)
        .bind(&filter.state)
        .bind(filter.from)
        .bind(filter.to)
        .bind(filter.after.map(|(at, _)| at))
        .bind(filter.after.map(|(_, id)| id))
        .bind(filter.limit)
        .fetch_all(tx.conn())
        .await
}

async fn open(tx: &mut Tx<'_>, rows: &mut [ChartRow]) -> Result<(), sqlx::Error> {
    let Some(keys) = words::keys_of(rows.iter().map(|row| &row.body)) else {
        return Ok(());
    };
    let opener = tx.opener(keys).await?;
    for row in rows {
        words::open_entry(&opener, row.id, &mut row.title, &mut row.body)?;
    }
    Ok(())
}

/// One entry.
///
/// # Errors
/// The database failed, or it is sealed and does not open.
pub async fn chart_entry(tx: &mut Tx<'_>, id: Uuid) -> Result<Option<ChartRow>, sqlx::Error> {
    let query = format!("select {COLUMNS} from clinical.chart_entries where id = $1");
    let mut row: Option<ChartRow> = sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(id)
        .fetch_optional(tx.conn())
        .await?;
    open(tx, row.as_mut_slice()).await?;
    Ok(row)
}

/// One version of an entry.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct ChartVersion {
    pub version: i32,
    pub action: String,
    pub state: String,
    pub body: serde_json::Value,
    pub actor: String,
    pub reason: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The command that made it.
    pub source_event: Uuid,
}

/// All versions of an entry, oldest first.
///
/// # Errors
/// The database failed, or a sealed one does not open.
pub async fn chart_history(tx: &mut Tx<'_>, id: Uuid) -> Result<Vec<ChartVersion>, sqlx::Error> {
    let mut rows: Vec<ChartVersion> = sqlx::query_as(
        "select version, action, state, body, actor, reason, at, source_event from clinical.chart_history \
         where entry_id = $1 order by version",
    )
    .bind(id)
    .fetch_all(tx.conn())
    .await?;
    if let Some(keys) = words::keys_of(rows.iter().map(|row| &row.body)) {
        let opener = tx.opener(keys).await?;
        for row in &mut rows {
            words::open_version(&opener, id, row.version, &mut row.body)?;
        }
    }
    Ok(rows)
}

/// That somebody asked and no allergies were known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct NoKnownAllergies {
    pub id: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    pub stated_at: OffsetDateTime,
    pub stated_by: String,
}

/// The statement that stands, if one does. An active allergy counts more, whichever identifier it is under.
///
/// # Errors
/// The database failed.
pub async fn no_known_allergies(
    conn: &mut PgConnection,
    subjects: &[Uuid],
) -> Result<Option<NoKnownAllergies>, sqlx::Error> {
    sqlx::query_as(
        "select id, stated_at, stated_by from clinical.no_known_allergies \
         where subject_key = any($1) and ended_at is null order by stated_at desc limit 1",
    )
    .bind(subjects)
    .fetch_optional(conn)
    .await
}

/// How much stands in a chart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, FromRow)]
pub struct ChartCounts {
    pub encounters: i64,
    pub orders: i64,
    pub reports: i64,
    pub vitals: i64,
    pub entries: i64,
    pub scores: i64,
}

/// Counts what stands in a person's chart; of measurements at most ten thousand.
///
/// # Errors
/// The database failed.
pub async fn chart_counts(
    conn: &mut PgConnection,
    subjects: &[Uuid],
) -> Result<ChartCounts, sqlx::Error> {
    sqlx::query_as(
        "select (select count(*) from clinical.encounters where subject_key = any($1)) as encounters, \
         (select count(*) from clinical.orders where subject_key = any($1)) as orders, \
         (select count(*) from clinical.reports where subject_key = any($1)) as reports, \
         (select count(*) from (select from clinical.vitals where subject_key = any($1) and superseded_at is null \
             limit 10000) as counted) as vitals, \
         (select count(*) from clinical.chart_entries where subject_key = any($1)) as entries, \
         (select count(*) from clinical.scores where subject_key = any($1) and superseded_at is null) as scores",
    )
    .bind(subjects)
    .fetch_one(conn)
    .await
}
