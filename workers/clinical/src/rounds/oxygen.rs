//! The order that saturation is to be kept at 88 to 92 %: the second scale counts with it, and never without.

use hub_core::{Refusal, Tx};
use schemas::rounds::{EndOxygenTarget, OrderOxygenTarget};
use uuid::Uuid;

use super::Outcome;
use crate::audit;
use crate::batch::Batch;

/// The scale that counts, if the caller may mean it.
pub(super) async fn scale(
    tx: &mut Tx<'_>,
    keys: &[Uuid],
    asked: Option<i16>,
) -> Result<Result<i16, Refusal>, sqlx::Error> {
    let ordered: bool = sqlx::query_scalar(
        "select exists (select from clinical.oxygen_targets where subject_key = any($1) and ended_at is null)",
    )
    .bind(keys)
    .fetch_one(tx.conn())
    .await?;
    Ok(match (asked, ordered) {
        (None | Some(1), false) => Ok(1),
        (None | Some(2), true) => Ok(2),
        (Some(2), false) => Err(Refusal::new(
            "clinical.oxygen_scale_not_ordered",
            "the second oxygen scale needs a doctor's order: saturation from 88 to 92 %",
        )),
        (Some(1), true) => Err(Refusal::new(
            "clinical.oxygen_scale_conflict",
            "a doctor ordered saturation from 88 to 92 %: the second scale counts until the order is ended",
        )),
        (Some(_), _) => Err(Refusal::new(
            "clinical.oxygen_scale",
            "the oxygen scale is 1 or 2",
        )),
    })
}

pub(super) async fn order(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    command: &OrderOxygenTarget,
) -> Outcome {
    if command.reason.trim().is_empty() {
        return Ok(Err(Refusal::new(
            "clinical.reason_needed",
            "the order needs a reason",
        )));
    }
    let exists = || {
        Refusal::new(
            "clinical.oxygen_target_exists",
            "such an order stands already",
        )
    };
    let elsewhere: bool = sqlx::query_scalar(
        "select exists (select from clinical.oxygen_targets where subject_key = any($1) and ended_at is null)",
    )
    .bind(&command.keys)
    .fetch_one(tx.conn())
    .await?;
    if elsewhere {
        return Ok(Err(exists()));
    }
    let tenant = tx.tenant().clone();
    let event = batch.envelopes[slot].id;
    let done = sqlx::query(
        "insert into clinical.oxygen_targets (tenant_id, id, subject_key, scale, reason, ordered_by, source_event) \
         values ($1, $2, $3, 2, $4, $5, $6) on conflict (subject_key) where ended_at is null do nothing",
    )
    .bind(tenant.as_str())
    .bind(command.target_id)
    .bind(command.subject.key.0)
    .bind(&command.reason)
    .bind(&command.actor)
    .bind(event)
    .execute(tx.conn())
    .await?;
    if done.rows_affected() == 0 {
        return Ok(Err(exists()));
    }
    batch.answer(
        slot,
        serde_json::json!({ "id": command.target_id, "scale": 2 }),
    );
    audit::entry(
        tx,
        &command.actor,
        "clinical.oxygen_target.order",
        &format!("oxygen_target:{}", command.target_id),
        &[event],
        Some(serde_json::json!({ "reason": command.reason })),
    )
    .await?;
    Ok(Ok(()))
}

pub(super) async fn end(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    command: &EndOxygenTarget,
) -> Outcome {
    if command.reason.trim().is_empty() {
        return Ok(Err(Refusal::new(
            "clinical.reason_needed",
            "ending the order needs a reason",
        )));
    }
    let done = sqlx::query(
        "update clinical.oxygen_targets set ended_at = now(), ended_by = $2, end_reason = $3 \
         where id = $1 and ended_at is null",
    )
    .bind(command.target_id)
    .bind(&command.actor)
    .bind(&command.reason)
    .execute(tx.conn())
    .await?;
    if done.rows_affected() == 0 {
        let known: bool =
            sqlx::query_scalar("select exists (select from clinical.oxygen_targets where id = $1)")
                .bind(command.target_id)
                .fetch_one(tx.conn())
                .await?;
        return Ok(Err(if known {
            Refusal::new(
                "clinical.oxygen_target_closed",
                "the order was ended before",
            )
        } else {
            Refusal::new("clinical.oxygen_target_unknown", "no order has this id")
        }));
    }
    batch.answer(slot, serde_json::json!({ "id": command.target_id }));
    audit::entry(
        tx,
        &command.actor,
        "clinical.oxygen_target.end",
        &format!("oxygen_target:{}", command.target_id),
        &[batch.envelopes[slot].id],
        Some(serde_json::json!({ "reason": command.reason })),
    )
    .await?;
    Ok(Ok(()))
}
