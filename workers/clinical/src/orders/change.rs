//! `clinical.order.change`: what else is known of an order, while it is open. How urgent it is may change until its results are there;
//! the rest stands on what went with the tube, and is fixed when that is collected.

use hub_core::{Refusal, Tx};
use schemas::Body;
use schemas::Patch;
use schemas::care::OrderChanged;
use schemas::commands::ChangeOrder;
use time::OffsetDateTime;
use uuid::Uuid;

use super::transition::OrderState;
use crate::batch::Batch;
use crate::{audit, body};

/// Carries out every command of the batch.
pub(super) async fn apply(tx: &mut Tx<'_>, batch: &mut Batch<'_>) -> Result<(), sqlx::Error> {
    for slot in batch.named(ChangeOrder::NAME) {
        let done = match body::decode::<ChangeOrder>(&batch.envelopes[slot]) {
            Ok(command) => one(tx, batch, slot, &command).await?,
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = done {
            batch.refuse(slot, refusal);
        }
    }
    Ok(())
}

/// What may change of it.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
struct Standing {
    status: String,
    version: i32,
    priority: Option<String>,
    notes: Option<String>,
    ordered_at: Option<OffsetDateTime>,
    ordered_by: Option<serde_json::Value>,
    subject_key: Option<Uuid>,
    /// A tube of it that stands was collected.
    collected: bool,
}

async fn one(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    command: &ChangeOrder,
) -> Result<Result<(), Refusal>, sqlx::Error> {
    let refuse = |code, words: &str| Ok(Err(Refusal::new(code, words)));
    let before: Option<Standing> = sqlx::query_as(
        "select ordered.status, ordered.version, ordered.priority, ordered.notes, ordered.ordered_at, ordered.ordered_by, \
         ordered.subject_key, \
         exists (select from clinical.order_specimens as link \
             join clinical.specimens as specimen on specimen.id = link.specimen_id \
             where link.order_id = ordered.id and specimen.rejected_at is null \
             and (specimen.collected_at is not null or specimen.received_at is not null)) as collected \
         from clinical.orders as ordered where ordered.id = $1 for update of ordered",
    )
    .bind(command.order_id)
    .fetch_optional(tx.conn())
    .await?;
    let Some(before) = before else {
        return refuse("clinical.order_unknown", "no order has this id");
    };
    if command
        .version
        .is_some_and(|version| version != before.version)
    {
        return refuse(
            "clinical.order_stale",
            "the order was changed meanwhile: read it again",
        );
    }
    if !OrderState::stored(&before.status).is_open() {
        return refuse(
            "clinical.order_closed",
            "the order is not open any more: it was completed or revoked",
        );
    }
    let of_the_tube =
        !command.notes.is_keep() || !command.ordered_at.is_keep() || !command.ordered_by.is_keep();
    if of_the_tube && before.collected {
        return refuse(
            "clinical.order_collected_conflict",
            "its specimen is collected: only the priority may change",
        );
    }
    let mut after = before.clone();
    command.priority.apply_to(&mut after.priority);
    match &command.notes {
        Patch::Keep => {}
        Patch::Clear => after.notes = None,
        Patch::Set(lines) => after.notes = body::lines(lines),
    }
    match &command.ordered_at {
        Patch::Keep => {}
        Patch::Clear => after.ordered_at = None,
        Patch::Set(text) => match body::time(Some(text.as_str()), "ordered_at") {
            Ok(at) => after.ordered_at = at,
            Err(refusal) => return Ok(Err(refusal)),
        },
    }
    match &command.ordered_by {
        Patch::Keep => {}
        Patch::Clear => after.ordered_by = None,
        Patch::Set(person) => after.ordered_by = serde_json::to_value(person).ok(),
    }
    let changed = after != before;
    let version = before.version + i32::from(changed);
    if changed {
        write(tx, batch, slot, command, &after).await?;
    }
    batch.answer(
        slot,
        serde_json::json!({ "order_id": command.order_id, "status": before.status, "version": version }),
    );
    Ok(Ok(()))
}

async fn write(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    command: &ChangeOrder,
    after: &Standing,
) -> Result<(), sqlx::Error> {
    let cause = batch.envelopes[slot].id;
    sqlx::query(
        "update clinical.orders set priority = $2, notes = $3, ordered_at = $4, ordered_by = $5, \
         version = version + 1, fact_at = greatest(fact_at, $6), updated_at = now() where id = $1",
    )
    .bind(command.order_id)
    .bind(&after.priority)
    .bind(&after.notes)
    .bind(after.ordered_at)
    .bind(&after.ordered_by)
    .bind(batch.envelopes[slot].occurred_at)
    .execute(tx.conn())
    .await?;
    batch.say(
        slot,
        &OrderChanged {
            order_id: command.order_id,
            status: after.status.clone(),
        },
    );
    let fields: Vec<&str> = [
        ("priority", command.priority.is_keep()),
        ("notes", command.notes.is_keep()),
        ("ordered_at", command.ordered_at.is_keep()),
        ("ordered_by", command.ordered_by.is_keep()),
    ]
    .into_iter()
    .filter(|(_, kept)| !kept)
    .map(|(field, _)| field)
    .collect();
    audit::about(
        tx,
        &command.actor,
        ChangeOrder::NAME,
        &format!("order:{}", command.order_id),
        &[cause],
        Some(serde_json::json!({ "fields": fields })),
        after.subject_key.as_slice(),
    )
    .await
}
