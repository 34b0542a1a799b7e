//! A person wants it measured again: the instrument is told through an order of its own, where one leads to it.

use hub_core::mappings::Mappings;
use hub_core::{Refusal, Tx};
use schemas::verification::RerunResult;
use schemas::{Body, ChannelId};
use serde_json::json;
use uuid::Uuid;

use super::decide::{self, Item};
use crate::audit;
use crate::batch::Batch;
use crate::orders::again::{self, Again};

pub(super) async fn ask(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    command: &RerunResult,
    maps: &Mappings,
) -> Result<(), sqlx::Error> {
    let id = command.item.verification_id;
    let rows = decide::lock(tx, &[id]).await?;
    if let Some(item) = rows.get(&id).filter(|item| is_repeat(item, command)) {
        batch.answer(slot, answer(id, item.revision, item.rerun_order));
        return Ok(());
    }
    let item = match decide::seen(rows.get(&id), command.item) {
        Ok(item) if item.state().is_open() => item,
        Ok(item) => {
            let detail = format!("it is {} already", item.state().as_str());
            let refusal = Refusal::new("clinical.verification_not_open", detail);
            batch.refuse(slot, refusal);
            return Ok(());
        }
        Err(refusal) => {
            batch.refuse(slot, refusal);
            return Ok(());
        }
    };
    let order = order(tx, batch, slot, maps, item).await?;
    sqlx::query(
        "update clinical.verifications set rerun_by = $2, rerun_at = now(), rerun_order = $3, revision = revision + 1 \
         where id = $1",
    )
    .bind(id)
    .bind(&command.actor)
    .bind(order)
    .execute(tx.conn())
    .await?;
    let comment = command
        .comment
        .as_deref()
        .map(str::trim)
        .unwrap_or_default();
    if !comment.is_empty() {
        decide::note(tx, &[id], &command.actor, comment).await?;
    }
    batch.answer(slot, answer(id, item.revision + 1, order));
    audit::about(
        tx,
        &command.actor,
        RerunResult::NAME,
        &format!("verification:{id}"),
        &[batch.envelopes[slot].id],
        Some(json!({ "order": order, "comment": command.comment })),
        item.subject_key.as_slice(),
    )
    .await
}

/// `order_id` is absent where the instrument must be told by hand.
fn answer(id: i64, revision: i32, order: Option<Uuid>) -> serde_json::Value {
    json!({ "id": id, "revision": revision, "order_id": order })
}

fn is_repeat(item: &Item, command: &RerunResult) -> bool {
    item.rerun_by.as_deref() == Some(command.actor.as_str())
        && command.item.revision + 1 == item.revision
}

async fn order(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    maps: &Mappings,
    item: &Item,
) -> Result<Option<Uuid>, sqlx::Error> {
    let (Some(subject), Some(number), Ok(channel)) = (
        item.subject_key,
        item.specimen_number.as_deref(),
        ChannelId::new(item.channel.as_str()),
    ) else {
        return Ok(None);
    };
    let wanted = Again {
        subject,
        number,
        channel: &channel,
        code: &item.code,
        loinc: item.loinc.as_deref(),
        asked_by: format!("{}/{}", item.id, item.revision),
    };
    again::again(tx, batch, slot, maps, &wanted).await
}
