//! What of a batch is new: repeats fall away, what says something else becomes the next version.

use std::collections::HashMap;

use hub_core::Tx;
use time::OffsetDateTime;
use uuid::Uuid;

use super::incoming::Row;

/// What two messages must agree in to say the same.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Content {
    comparator: Option<String>,
    value_text: Option<String>,
    value_json: Option<serde_json::Value>,
    unit: Option<String>,
    status: Option<String>,
    named: Option<Uuid>,
}

impl Content {
    fn of(row: &Row) -> Self {
        Self {
            comparator: row.comparator.map(str::to_owned),
            value_text: row.value_text.clone(),
            value_json: row.value_json.clone(),
            unit: row.unit.clone(),
            status: row.status.clone(),
            named: row.named.as_ref().map(|(key, _)| *key),
        }
    }
}

#[derive(sqlx::FromRow)]
struct Stored {
    vital_key: Uuid,
    version: i16,
    current: bool,
    fact_at: OffsetDateTime,
    comparator: Option<String>,
    value_text: Option<String>,
    value_json: Option<serde_json::Value>,
    unit: Option<String>,
    status: Option<String>,
    named_key: Option<Uuid>,
    subject_key: Option<Uuid>,
    matched_by: Option<String>,
    item_id: Option<i64>,
}

/// A version on file that a newer one replaces.
#[derive(Debug, Clone, Copy)]
pub(super) struct Superseded {
    pub(super) key: Uuid,
    pub(super) version: i16,
    /// The item where it waits, if it does.
    pub(super) item: Option<i64>,
}

/// All versions of one measurement, on file and in this batch.
#[derive(Default)]
struct History {
    contents: Vec<Content>,
    last: i16,
    current: Option<Current>,
}

struct Current {
    version: i16,
    content: Content,
    fact_at: OffsetDateTime,
    /// Place among the new rows, when it is new itself.
    new: Option<usize>,
    claimed: Option<Uuid>,
    item: Option<i64>,
}

/// The rows to be written, and the versions on file that they replace.
pub(super) async fn settle(
    tx: &mut Tx<'_>,
    rows: Vec<Row>,
) -> Result<(Vec<Row>, Vec<Superseded>), sqlx::Error> {
    let mut keys: Vec<Uuid> = rows.iter().map(|row| row.key).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut histories = load(tx, &keys).await?;
    let mut kept: Vec<Row> = Vec::with_capacity(rows.len());
    let mut superseded = Vec::new();
    for mut row in rows {
        let history = histories.entry(row.key).or_default();
        let content = Content::of(&row);
        let late = history
            .current
            .as_ref()
            .is_some_and(|current| row.fact_at < current.fact_at);
        let said_before = match &history.current {
            Some(_) if late => history.contents.contains(&content),
            Some(current) => current.content == content,
            None => false,
        };
        if said_before {
            continue;
        }
        history.last += 1;
        row.version = history.last;
        history.contents.push(content.clone());
        if late {
            // an older word fills history and overrules nothing
            row.superseded_at = Some(OffsetDateTime::now_utc());
            kept.push(row);
            continue;
        }
        if let Some(old) = history.current.take() {
            row.inherited = old.claimed;
            match old.new {
                Some(place) => kept[place].superseded_at = Some(OffsetDateTime::now_utc()),
                None => superseded.push(Superseded {
                    key: row.key,
                    version: old.version,
                    item: old.item,
                }),
            }
        }
        history.current = Some(Current {
            version: row.version,
            content,
            fact_at: row.fact_at,
            new: Some(kept.len()),
            claimed: row.inherited,
            item: None,
        });
        kept.push(row);
    }
    Ok((kept, superseded))
}

async fn load(tx: &mut Tx<'_>, keys: &[Uuid]) -> Result<HashMap<Uuid, History>, sqlx::Error> {
    let stored: Vec<Stored> = sqlx::query_as(
        "select vital_key, version, superseded_at is null as current, fact_at, comparator, value_text, value_json, \
         unit, status, named_key, subject_key, matched_by, item_id from clinical.vitals \
         where vital_key = any($1) order by vital_key, version for update",
    )
    .bind(keys)
    .fetch_all(tx.conn())
    .await?;
    let mut histories: HashMap<Uuid, History> = HashMap::new();
    for row in stored {
        let history = histories.entry(row.vital_key).or_default();
        let content = Content {
            comparator: row.comparator,
            value_text: row.value_text,
            value_json: row.value_json,
            unit: row.unit,
            status: row.status,
            named: row.named_key,
        };
        history.contents.push(content.clone());
        history.last = history.last.max(row.version);
        if row.current {
            history.current = Some(Current {
                version: row.version,
                content,
                fact_at: row.fact_at,
                new: None,
                claimed: row
                    .subject_key
                    .filter(|_| row.matched_by.as_deref() == Some("claim")),
                item: row.item_id.filter(|_| row.subject_key.is_none()),
            });
        }
    }
    Ok(histories)
}
