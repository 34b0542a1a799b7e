//! What people decide about unmatched measurements: whose they are, or that they are nobody's.

use std::collections::BTreeSet;

use hub_core::{Refusal, Tx};
use schemas::Body;
use schemas::devices::{ClaimVitals, DiscardVitals};

use super::{items, period};
use crate::batch::Batch;
use crate::{audit, body};

pub(super) async fn apply(tx: &mut Tx<'_>, batch: &mut Batch<'_>) -> Result<(), sqlx::Error> {
    for slot in batch.named(ClaimVitals::NAME) {
        match body::decode::<ClaimVitals>(&batch.envelopes[slot]) {
            Ok(command) => claim(tx, batch, slot, &command).await?,
            Err(refusal) => batch.refuse(slot, refusal),
        }
    }
    for slot in batch.named(DiscardVitals::NAME) {
        match body::decode::<DiscardVitals>(&batch.envelopes[slot]) {
            Ok(command) => discard(tx, batch, slot, &command).await?,
            Err(refusal) => batch.refuse(slot, refusal),
        }
    }
    Ok(())
}

/// The item, locked; a refusal when nothing is to be decided about it.
async fn open(tx: &mut Tx<'_>, item: i64) -> Result<Result<(), Refusal>, sqlx::Error> {
    let state: Option<String> =
        sqlx::query_scalar("select state from clinical.unmatched_vitals where id = $1 for update")
            .bind(item)
            .fetch_optional(tx.conn())
            .await?;
    Ok(match state.as_deref() {
        Some("open") => Ok(()),
        Some(_) => Err(Refusal::new(
            "clinical.vitals_not_open",
            "these measurements were decided about before",
        )),
        None => Err(Refusal::new(
            "clinical.vitals_unknown",
            "no unmatched measurements have this id",
        )),
    })
}

async fn claim(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    command: &ClaimVitals,
) -> Result<(), sqlx::Error> {
    let [from, to] = match period(command.from.as_deref(), command.to.as_deref()) {
        Ok(period) => period,
        Err(refusal) => {
            batch.refuse(slot, refusal);
            return Ok(());
        }
    };
    if let Err(refusal) = open(tx, command.item_id).await? {
        batch.refuse(slot, refusal);
        return Ok(());
    }
    let claimed = sqlx::query(
        "update clinical.vitals set subject_key = $2, matched_by = 'claim' \
         where item_id = $1 and subject_key is null and superseded_at is null \
         and ($3::timestamptz is null or observed_at >= $3) and ($4::timestamptz is null or observed_at < $4)",
    )
    .bind(command.item_id)
    .bind(command.subject.key.0)
    .bind(from)
    .bind(to)
    .execute(tx.conn())
    .await?
    .rows_affected();
    if claimed == 0 {
        batch.refuse(
            slot,
            Refusal::new(
                "clinical.vitals_none",
                "no measurement of the item lies in that period",
            ),
        );
        return Ok(());
    }
    items::recount(
        tx,
        &BTreeSet::from([command.item_id]),
        "claimed",
        &command.actor,
    )
    .await?;
    let (state, waiting): (String, i32) =
        sqlx::query_as("select state, waiting from clinical.unmatched_vitals where id = $1")
            .bind(command.item_id)
            .fetch_one(tx.conn())
            .await?;
    batch.changes.vitals += usize::try_from(claimed).unwrap_or(usize::MAX);
    batch.answer(
        slot,
        serde_json::json!({ "item_id": command.item_id, "state": state, "claimed": claimed, "waiting": waiting }),
    );
    audit::entry(
        tx,
        &command.actor,
        ClaimVitals::NAME,
        &format!("vitals:{}", command.item_id),
        &[batch.envelopes[slot].id],
        Some(serde_json::json!({
            "second": command.second, "subject": command.subject.key, "from": command.from, "to": command.to,
            "claimed": claimed,
        })),
    )
    .await
}

async fn discard(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    command: &DiscardVitals,
) -> Result<(), sqlx::Error> {
    if let Err(refusal) = open(tx, command.item_id).await? {
        batch.refuse(slot, refusal);
        return Ok(());
    }
    sqlx::query(
        "update clinical.unmatched_vitals set state = 'discarded', comment = $2, resolved_by = $3, resolved_at = now() \
         where id = $1",
    )
    .bind(command.item_id)
    .bind(&command.reason)
    .bind(&command.actor)
    .execute(tx.conn())
    .await?;
    batch.answer(
        slot,
        serde_json::json!({ "item_id": command.item_id, "state": "discarded" }),
    );
    audit::entry(
        tx,
        &command.actor,
        DiscardVitals::NAME,
        &format!("vitals:{}", command.item_id),
        &[batch.envelopes[slot].id],
        Some(serde_json::json!({ "reason": command.reason })),
    )
    .await
}
