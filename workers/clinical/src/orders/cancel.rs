//! `clinical.order.cancel`: a person revokes an order that is still open.

use hub_core::{Refusal, Tx};
use schemas::Body;
use schemas::care::OrderChanged;
use schemas::commands::CancelOrder;
use time::OffsetDateTime;
use uuid::Uuid;

use super::transition::OrderState;
use crate::batch::Batch;
use crate::specimens::rejected::{self, Ended};
use crate::{audit, body, tubes};

/// Carries out every command of the batch.
pub(super) async fn apply(tx: &mut Tx<'_>, batch: &mut Batch<'_>) -> Result<(), sqlx::Error> {
    for slot in batch.named(CancelOrder::NAME) {
        match body::decode::<CancelOrder>(&batch.envelopes[slot]) {
            Ok(command) => one(tx, batch, slot, command).await?,
            Err(refusal) => batch.refuse(slot, refusal),
        }
    }
    Ok(())
}

async fn one(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    command: CancelOrder,
) -> Result<(), sqlx::Error> {
    let id = command.order_id;
    let at = batch.envelopes[slot].occurred_at;
    let Some(subject) = revoked(tx, id, at).await? else {
        let known: bool =
            sqlx::query_scalar("select exists (select from clinical.orders where id = $1)")
                .bind(id)
                .fetch_one(tx.conn())
                .await?;
        let refusal = if known {
            Refusal::new(
                "clinical.order_closed",
                "the order is not open any more: it was completed or revoked",
            )
        } else {
            Refusal::new("clinical.order_unknown", "no order has this id")
        };
        batch.refuse(slot, refusal);
        return Ok(());
    };
    tubes::settle(tx, &[id]).await?;
    if let Some(subject) = subject {
        rejected::no_longer_awaited(tx, subject, &command.actor, Ended::Cancelled).await?;
    }
    let status = OrderState::Revoked.as_str();
    batch.say(
        slot,
        &OrderChanged {
            order_id: id,
            status: status.to_owned(),
        },
    );
    batch.answer(
        slot,
        serde_json::json!({ "order_id": id, "status": status }),
    );
    audit::about(
        tx,
        &command.actor,
        CancelOrder::NAME,
        &format!("order:{id}"),
        &[batch.envelopes[slot].id],
        Some(serde_json::json!({ "reason": command.reason })),
        subject.as_slice(),
    )
    .await
}

/// A guarded update: of two who cancel, or of one who cancels and a result that completes, one has his way. Whose the order is;
/// `None`: it was not open.
async fn revoked(
    tx: &mut Tx<'_>,
    id: Uuid,
    at: OffsetDateTime,
) -> Result<Option<Option<Uuid>>, sqlx::Error> {
    sqlx::query_scalar(
        "update clinical.orders set status = 'revoked', held = null, version = version + 1, \
         fact_at = greatest(fact_at, $2), updated_at = now() \
         where id = $1 and status in ('active', 'on_hold', 'cancel_requested', 'unknown') returning subject_key",
    )
    .bind(id)
    .bind(at)
    .fetch_optional(tx.conn())
    .await
}
