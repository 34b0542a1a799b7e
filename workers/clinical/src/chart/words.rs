//! How the words of notes and documents lie in Postgres: sealed, where `[encryption] columns` is on.
//!
//! Sealed are `body` and `title` of an entry and `body` of each of its versions, addenda with them. What charts are searched and
//! listed by stays open: kind, state, kind of note or document, times, who wrote it; and the reason of a retraction, which the
//! audit trail has too. Allergies, conditions and prescriptions stay open: their words are looked for, and others are told them.
//! A row from before is read as it is.

use std::borrow::Cow;

use hub_core::Tx;
use hub_core::vault::columns::{is_sealed, key_of};
use hub_core::vault::{Opener, Place};
use serde_json::Value;
use uuid::Uuid;

use super::states::Kind;

const ENTRIES: &str = "clinical.chart_entries";
const HISTORY: &str = "clinical.chart_history";

fn is_chosen(kind: Kind) -> bool {
    match kind {
        Kind::Note | Kind::Document => true,
        Kind::Allergy | Kind::Condition | Kind::Prescription => false,
    }
}

fn of_entry(id: &str) -> Place<'_> {
    Place {
        table: ENTRIES,
        column: "body",
        row: id,
    }
}

fn of_version(row: &str) -> Place<'_> {
    Place {
        table: HISTORY,
        column: "body",
        row,
    }
}

fn named(id: Uuid, version: i32) -> String {
    format!("{id}/{version}")
}

/// `title` and `body` as the row of an entry has them. What is sealed has its title inside.
pub(super) async fn entry<'b>(
    tx: &mut Tx<'_>,
    kind: Kind,
    id: Uuid,
    title: Option<String>,
    body: &'b Value,
) -> Result<(Option<String>, Cow<'b, Value>), sqlx::Error> {
    let id = id.to_string();
    let sealed = sealed(tx, kind, of_entry(&id), body).await?;
    Ok(match sealed {
        Some(sealed) => (None, Cow::Owned(sealed)),
        None => (title, Cow::Borrowed(body)),
    })
}

/// `body` as the row of one version has it.
pub(super) async fn version<'b>(
    tx: &mut Tx<'_>,
    kind: Kind,
    id: Uuid,
    version: i32,
    body: &'b Value,
) -> Result<Cow<'b, Value>, sqlx::Error> {
    let row = named(id, version);
    let sealed = sealed(tx, kind, of_version(&row), body).await?;
    Ok(sealed.map_or(Cow::Borrowed(body), Cow::Owned))
}

async fn sealed(
    tx: &mut Tx<'_>,
    kind: Kind,
    place: Place<'_>,
    body: &Value,
) -> Result<Option<Value>, sqlx::Error> {
    if !is_chosen(kind) || !tx.seals() {
        return Ok(None);
    }
    let plain = body.to_string();
    let sealed = tx.seal(place, plain.as_bytes()).await?;
    Ok(sealed.map(Value::String))
}

/// A body is an object, so a text is a sealed one.
fn text_of(body: &Value) -> Option<&str> {
    body.as_str().filter(|text| is_sealed(text))
}

/// Which keys are needed to open these; `None` when nothing is sealed.
pub(crate) fn keys_of<'b>(bodies: impl Iterator<Item = &'b Value>) -> Option<Vec<i32>> {
    let mut keys = None;
    for text in bodies.filter_map(text_of) {
        keys.get_or_insert_with(Vec::new).extend(key_of(text));
    }
    if let Some(keys) = &mut keys {
        keys.sort_unstable();
        keys.dedup();
    }
    keys
}

/// Opens the row of an entry.
pub(crate) fn open_entry(
    opener: &Opener,
    id: Uuid,
    title: &mut Option<String>,
    body: &mut Value,
) -> Result<(), sqlx::Error> {
    if open(opener, of_entry(&id.to_string()), body)? {
        *title = body["title"].as_str().map(str::to_owned);
    }
    Ok(())
}

/// Opens the row of one version of an entry.
pub(crate) fn open_version(
    opener: &Opener,
    id: Uuid,
    version: i32,
    body: &mut Value,
) -> Result<(), sqlx::Error> {
    open(opener, of_version(&named(id, version)), body).map(drop)
}

fn open(opener: &Opener, place: Place<'_>, body: &mut Value) -> Result<bool, sqlx::Error> {
    let Some(text) = text_of(body) else {
        return Ok(false);
    };
    let plain = opener.open(place, text)?;
    *body = serde_json::from_slice(&plain).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(true)
}

/// Opens a row of any table as `to_jsonb` gives it, for who takes all of a tenant's rows with him. False when nothing in it is
/// sealed.
///
/// # Errors
/// It does not open, or the row is none of its table.
pub fn open_exported(opener: &Opener, table: &str, row: &mut Value) -> Result<bool, sqlx::Error> {
    if ![ENTRIES, HISTORY].contains(&table) || text_of(&row["body"]).is_none() {
        return Ok(false);
    }
    let odd = || sqlx::Error::Decode("an entry's row has no id".into());
    let id = |member: &str| {
        let text = row[member].as_str().ok_or_else(odd)?;
        text.parse::<Uuid>().map_err(|_| odd())
    };
    let mut body = row["body"].clone();
    if table == ENTRIES {
        let mut title = None;
        open_entry(opener, id("id")?, &mut title, &mut body)?;
        row["title"] = title.into();
    } else {
        let version: Option<i32> = row["version"].as_i64().and_then(|one| one.try_into().ok());
        open_version(opener, id("entry_id")?, version.ok_or_else(odd)?, &mut body)?;
    }
    row["body"] = body;
    Ok(true)
}
