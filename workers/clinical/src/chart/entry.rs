//! Entries and their history in Postgres.

use hub_core::{Envelope, Refusal, Tx};
use schemas::IdentifierKey;
use schemas::chart::Content;
use sqlx::types::Json;
use uuid::Uuid;

use super::content::{described, from_stored, kind_of, to_stored};
use super::states::{Act, Kind};
use super::words;

/// An entry as it is now.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: Uuid,
    pub(crate) kind: Kind,
    pub(crate) subject: IdentifierKey,
    pub(crate) state: String,
    pub(crate) content: Content,
    pub(crate) recorded_by: String,
    pub(crate) version: i32,
    pub(crate) updated_by: String,
    pub(crate) reason: Option<String>,
}

/// One that is to be.
pub(crate) struct New {
    pub(crate) id: Uuid,
    pub(crate) subject: IdentifierKey,
    pub(crate) state: &'static str,
    pub(crate) content: Content,
    pub(crate) visit_number: Option<String>,
    pub(crate) actor: String,
}

fn exists() -> Refusal {
    Refusal::new(
        "clinical.allergy_exists",
        "this substance stands on the patient's list already: change that entry",
    )
}

pub(crate) async fn insert(
    tx: &mut Tx<'_>,
    envelope: &Envelope,
    new: New,
) -> Result<Result<Entry, Refusal>, sqlx::Error> {
    let tenant = tx.tenant().clone();
    let kind = kind_of(&new.content);
    let about = described(&new.content);
    let stored = to_stored(&new.content);
    let (title, body) = words::entry(tx, kind, new.id, about.title, &stored).await?;
    // the constraint is the rule; an id that stands already is another command's, and fails
    let done = sqlx::query(
        "insert into clinical.chart_entries (tenant_id, id, kind, subject_key, state, code_system, code, title, body, \
         visit_number, occurred_at, recorded_by, updated_by, source_event) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, $13) \
         on conflict (subject_key, coalesce(code_system, ''), lower(code)) where kind = 'allergy' and state = 'active' \
         do nothing",
    )
    .bind(tenant.as_str())
    .bind(new.id)
    .bind(kind.as_str())
    .bind(new.subject.0)
    .bind(new.state)
    .bind(&about.system)
    .bind(&about.code)
    .bind(&title)
    .bind(Json(&*body))
    .bind(&new.visit_number)
    .bind(envelope.occurred_at)
    .bind(&new.actor)
    .bind(envelope.id)
    .execute(tx.conn())
    .await?;
    if done.rows_affected() == 0 {
        return Ok(Err(exists()));
    }
    let entry = Entry {
        id: new.id,
        kind,
        subject: new.subject,
        state: new.state.to_owned(),
        content: new.content,
        recorded_by: new.actor.clone(),
        version: 1,
        updated_by: new.actor,
        reason: None,
    };
    remember(tx, envelope, &entry, "record", &stored).await?;
    Ok(Ok(entry))
}

#[derive(sqlx::FromRow)]
struct Row {
    kind: String,
    subject_key: Uuid,
    state: String,
    body: Json<serde_json::Value>,
    recorded_by: String,
    version: i32,
}

/// The entry, locked; a refusal when it is not there or another one than was seen.
pub(crate) async fn open(
    tx: &mut Tx<'_>,
    id: Uuid,
    seen: Option<i32>,
) -> Result<Result<Entry, Refusal>, sqlx::Error> {
    let row: Option<Row> = sqlx::query_as(
        "select kind, subject_key, state, body, recorded_by, version from clinical.chart_entries where id = $1 for update",
    )
    .bind(id)
    .fetch_optional(tx.conn())
    .await?;
    let Some(row) = row else {
        return Ok(Err(Refusal::new(
            "clinical.entry_unknown",
            "no entry has this id",
        )));
    };
    if seen.is_some_and(|seen| seen != row.version) {
        return Ok(Err(Refusal::new(
            "clinical.entry_stale",
            format!("it was changed since: it is version {} now", row.version),
        )));
    }
    let mut body = row.body.0;
    if let Some(keys) = words::keys_of(std::iter::once(&body)) {
        let opener = tx.opener(keys).await?;
        words::open_entry(&opener, id, &mut None, &mut body)?;
    }
    let Some(content) = from_stored(&row.kind, &body) else {
        return Err(sqlx::Error::Decode(
            "the body of a chart entry is not of its kind".into(),
        ));
    };
    Ok(Ok(Entry {
        id,
        kind: kind_of(&content),
        subject: IdentifierKey(row.subject_key),
        state: row.state,
        content,
        recorded_by: row.recorded_by,
        version: row.version,
        updated_by: String::new(),
        reason: None,
    }))
}

/// Writes the next version of an entry that [`open`] locked.
pub(crate) async fn update(
    tx: &mut Tx<'_>,
    envelope: &Envelope,
    entry: &mut Entry,
    act: Act,
) -> Result<Result<(), Refusal>, sqlx::Error> {
    entry.version += 1;
    let about = described(&entry.content);
    let stored = to_stored(&entry.content);
    let (title, body) = words::entry(tx, entry.kind, entry.id, about.title, &stored).await?;
    // a savepoint, because an edit or a return to `active` may meet the rule of one substance once
    let mut savepoint = sqlx::Connection::begin(tx.conn()).await?;
    let done = sqlx::query(
        "update clinical.chart_entries set state = $2, code_system = $3, code = $4, title = $5, body = $6, version = $7, \
         updated_at = now(), updated_by = $8, reason = $9, source_event = $10 where id = $1",
    )
    .bind(entry.id)
    .bind(&entry.state)
    .bind(&about.system)
    .bind(&about.code)
    .bind(&title)
    .bind(Json(&*body))
    .bind(entry.version)
    .bind(&entry.updated_by)
    .bind(&entry.reason)
    .bind(envelope.id)
    .execute(&mut *savepoint)
    .await;
    match done {
        Ok(_) => savepoint.commit().await?,
        Err(error) if is_unique(&error) => {
            savepoint.rollback().await?;
            return Ok(Err(exists()));
        }
        Err(error) => return Err(error),
    }
    remember(tx, envelope, entry, act.as_str(), &stored).await?;
    Ok(Ok(()))
}

fn is_unique(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

async fn remember(
    tx: &mut Tx<'_>,
    envelope: &Envelope,
    entry: &Entry,
    action: &str,
    stored: &serde_json::Value,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().clone();
    let body = words::version(tx, entry.kind, entry.id, entry.version, stored).await?;
    sqlx::query(
        "insert into clinical.chart_history (tenant_id, entry_id, version, action, state, body, actor, reason, source_event) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(tenant.as_str())
    .bind(entry.id)
    .bind(entry.version)
    .bind(action)
    .bind(&entry.state)
    .bind(Json(&*body))
    .bind(&entry.updated_by)
    .bind(&entry.reason)
    .bind(envelope.id)
    .execute(tx.conn())
    .await?;
    Ok(())
}
