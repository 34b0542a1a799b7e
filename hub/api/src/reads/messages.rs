//! The ledger and a message's lineage, through `worker_integration::queries`.

use hub_core::Tx;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::page::{Cursor, Limit, Page};
use crate::problem::Problem;
use crate::views::messages::{Lineage, Message, MessageDetail};

#[derive(Debug, Default)]
pub(crate) struct MessageFilter {
    pub(crate) patient_number: Option<String>,
    pub(crate) accession: Option<String>,
    pub(crate) order_number: Option<String>,
    pub(crate) control_id: Option<String>,
    pub(crate) visit_number: Option<String>,
    pub(crate) bill_number: Option<String>,
    pub(crate) channel: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) outcome: Option<String>,
    pub(crate) from: Option<OffsetDateTime>,
    pub(crate) to: Option<OffsetDateTime>,
    /// Any of the numbers, or the id.
    pub(crate) any: Option<String>,
}

pub(crate) async fn search(
    _tx: &mut Tx<'_>,
    _f: &MessageFilter,
    _c: Option<&Cursor>,
    _l: Limit,
) -> Result<Page<Message>, Problem> {
    Ok(Page::whole(Vec::new()))
}
pub(crate) async fn one(_tx: &mut Tx<'_>, _id: Uuid) -> Result<Option<MessageDetail>, Problem> {
    Ok(None)
}
pub(crate) async fn lineage(_tx: &mut Tx<'_>, m: MessageDetail) -> Result<Lineage, Problem> {
    Ok(Lineage {
        message: m.message,
        events: Vec::new(),
        effects: Vec::new(),
        outgoing: Vec::new(),
        dead_letters: Vec::new(),
        children: Vec::new(),
    })
}
