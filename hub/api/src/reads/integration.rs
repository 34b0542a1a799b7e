//! Held items, dead letters, channels, commands, incidents and the audit trail, through
//! `worker_integration::queries`.

use hub_core::Tx;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::page::{Cursor, Limit, Page};
use crate::problem::Problem;
use crate::views::integration::{
    AuditEntry, Channel, CommandStatus, DeadLetter, HeldItem, Incident,
};

#[derive(Debug, Default)]
pub(crate) struct HeldFilter {
    pub(crate) state: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) channel: Option<String>,
}

#[derive(Debug, Default)]
pub(crate) struct DeadFilter {
    pub(crate) state: Option<String>,
    pub(crate) stage: Option<String>,
    pub(crate) channel: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) message: Option<Uuid>,
}

#[derive(Debug, Default)]
pub(crate) struct AuditFilter {
    pub(crate) object: Option<String>,
    pub(crate) actor: Option<String>,
    pub(crate) action: Option<String>,
    pub(crate) from: Option<OffsetDateTime>,
    pub(crate) to: Option<OffsetDateTime>,
}

pub(crate) async fn held(
    _tx: &mut Tx<'_>,
    _f: &HeldFilter,
    _c: Option<&Cursor>,
    _l: Limit,
) -> Result<Page<HeldItem>, Problem> {
    Ok(Page::whole(Vec::new()))
}
pub(crate) async fn held_item(_tx: &mut Tx<'_>, _id: i64) -> Result<Option<HeldItem>, Problem> {
    Ok(None)
}
pub(crate) async fn dead(
    _tx: &mut Tx<'_>,
    _f: &DeadFilter,
    _c: Option<&Cursor>,
    _l: Limit,
) -> Result<Page<DeadLetter>, Problem> {
    Ok(Page::whole(Vec::new()))
}
pub(crate) async fn dead_letter(_tx: &mut Tx<'_>, _id: i64) -> Result<Option<DeadLetter>, Problem> {
    Ok(None)
}
pub(crate) async fn channels(_tx: &mut Tx<'_>) -> Result<Vec<Channel>, Problem> {
    Ok(Vec::new())
}
pub(crate) async fn command(_tx: &mut Tx<'_>, id: Uuid) -> Result<CommandStatus, Problem> {
    Ok(CommandStatus {
        command_id: id,
        state: "pending".to_owned(),
        worker: None,
        decided_at: None,
        answer: None,
    })
}
pub(crate) async fn audit(
    _tx: &mut Tx<'_>,
    _f: &AuditFilter,
    _c: Option<&Cursor>,
    _l: Limit,
) -> Result<Page<AuditEntry>, Problem> {
    Ok(Page::whole(Vec::new()))
}
pub(crate) async fn incidents(
    _tx: &mut Tx<'_>,
    _s: Option<&str>,
    _c: Option<&Cursor>,
    _l: Limit,
) -> Result<Page<Incident>, Problem> {
    Ok(Page::whole(Vec::new()))
}
