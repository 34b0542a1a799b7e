//! Held items, dead letters, channels, commands, incidents and the audit trail, through
//! `worker_integration::queries`.

use hub_core::Tx;
use uuid::Uuid;
use worker_integration::queries::{self, AuditSearch, DeadSearch, HeldSearch};

use super::verification::veiled;
use crate::auth::chart::Sight;
use crate::page::{Cursor, Limit, Page};
use crate::problem::Problem;
use crate::views::integration::{
    AuditEntry, Channel, CommandStatus, DeadLetter, HeldItem, Incident,
};

/// `search` carries the conditions; cursor and limit are put in here.
pub(crate) async fn held(
    tx: &mut Tx<'_>,
    sight: &Sight<'_>,
    mut search: HeldSearch,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<HeldItem>, Problem> {
    search.after = Cursor::key(cursor)?;
    search.limit = limit.rows();
    let rows = queries::held_items(tx.conn(), &search).await?;
    let rows = veiled(tx, sight, rows).await?;
    Ok(by_id(rows, limit, |row| row.id, HeldItem::of))
}

pub(crate) async fn held_item(
    tx: &mut Tx<'_>,
    sight: &Sight<'_>,
    id: i64,
) -> Result<Option<HeldItem>, Problem> {
    let row = queries::held_item(tx.conn(), id).await?;
    let rows = veiled(tx, sight, row.into_iter().collect()).await?;
    Ok(rows.into_iter().next().map(HeldItem::of))
}

pub(crate) async fn dead(
    tx: &mut Tx<'_>,
    mut search: DeadSearch,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<DeadLetter>, Problem> {
    search.before = Cursor::key(cursor)?;
    search.limit = limit.rows();
    let rows = queries::dead_letters(tx.conn(), &search).await?;
    Ok(by_id(rows, limit, |row| row.id, DeadLetter::of))
}

pub(crate) async fn dead_letter(tx: &mut Tx<'_>, id: i64) -> Result<Option<DeadLetter>, Problem> {
    let row = queries::dead_letter(tx.conn(), id).await?;
    Ok(row.map(DeadLetter::of))
}

pub(crate) async fn channels(tx: &mut Tx<'_>) -> Result<Vec<Channel>, Problem> {
    let rows = queries::channels(tx.conn()).await?;
    Ok(rows.into_iter().map(Channel::of).collect())
}

pub(crate) async fn channel(tx: &mut Tx<'_>, name: &str) -> Result<Option<Channel>, Problem> {
    let row = queries::channel(tx.conn(), name).await?;
    Ok(row.map(Channel::of))
}

/// A command has one owner, so one worker at most has decided it.
pub(crate) async fn command(tx: &mut Tx<'_>, id: Uuid) -> Result<CommandStatus, Problem> {
    let decided = queries::applied(tx.conn(), &[id]).await?.into_iter().next();
    Ok(CommandStatus::of(id, decided))
}

pub(crate) async fn audit(
    tx: &mut Tx<'_>,
    mut search: AuditSearch,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<AuditEntry>, Problem> {
    search.before = Cursor::key(cursor)?;
    search.limit = limit.rows();
    let rows = queries::audit(tx.conn(), &search).await?;
    Ok(by_id(rows, limit, |row| row.id, AuditEntry::of))
}

pub(crate) async fn incidents(
    tx: &mut Tx<'_>,
    open_only: bool,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Incident>, Problem> {
    let before = Cursor::key(cursor)?;
    let rows = queries::incidents(tx.conn(), open_only, before, limit.rows()).await?;
    Ok(by_id(rows, limit, |row| row.id, Incident::of))
}

/// Lists in the order of their ids continue after the last one shown.
fn by_id<R, T>(
    rows: Vec<R>,
    limit: Limit,
    id: impl Fn(&R) -> i64,
    view: impl FnMut(R) -> T,
) -> Page<T> {
    let next = rows.last().filter(|_| limit.is_full(rows.len())).map(id);
    Page::of(rows, next, view)
}
