//! "No allergies are known": a statement of its own, because that nobody was asked is something else.

use hub_core::{Refusal, Tx};
use schemas::IdentifierKey;
use schemas::chart::{AllergyRecorded, EndNoAllergies, StateNoAllergies};
use uuid::Uuid;

use super::Outcome;
use crate::audit;
use crate::batch::Batch;

/// States it; refused while an allergy stands, under whichever of the patient's identifiers.
pub(super) async fn state(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    command: StateNoAllergies,
) -> Outcome {
    let mut keys = command.keys.clone();
    keys.push(command.subject.key.0);
    let standing: Option<Uuid> = sqlx::query_scalar(
        "select id from clinical.chart_entries where kind = 'allergy' and state = 'active' and subject_key = any($1) \
         order by recorded_at limit 1",
    )
    .bind(&keys)
    .fetch_optional(tx.conn())
    .await?;
    if let Some(id) = standing {
        return Ok(Err(Refusal::new(
            "clinical.allergies_conflict",
            format!("an allergy stands on the list, {id}: resolve or refute it first"),
        )));
    }
    let tenant = tx.tenant().clone();
    let event = batch.envelopes[slot].id;
    let new: Option<Uuid> = sqlx::query_scalar(
        "insert into clinical.no_known_allergies (tenant_id, id, subject_key, stated_by, source_event) \
         values ($1, $2, $3, $4, $5) on conflict (subject_key) where ended_at is null do nothing returning id",
    )
    .bind(tenant.as_str())
    .bind(command.statement_id)
    .bind(command.subject.key.0)
    .bind(&command.actor)
    .bind(event)
    .fetch_optional(tx.conn())
    .await?;
    let Some(id) = new else {
        // it holds already: asked again, answered the same
        batch.answer(slot, serde_json::json!({ "state": "none_known" }));
        return Ok(Ok(()));
    };
    batch.say(
        slot,
        &super::allergy(id, command.subject.key, "none_known", None),
    );
    batch.answer(slot, serde_json::json!({ "id": id, "state": "none_known" }));
    audit::entry(
        tx,
        &command.actor,
        "clinical.allergy.state_none",
        &format!("no_known_allergies:{id}"),
        &[event],
        None,
    )
    .await?;
    Ok(Ok(()))
}

/// Ends what stands under these keys; the statements that ended.
pub(super) async fn end(
    tx: &mut Tx<'_>,
    keys: &[Uuid],
    actor: &str,
    reason: &str,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "update clinical.no_known_allergies set ended_at = now(), ended_by = $2, end_reason = $3 \
         where subject_key = any($1) and ended_at is null returning id",
    )
    .bind(keys)
    .bind(actor)
    .bind(reason)
    .fetch_all(tx.conn())
    .await
}

pub(super) fn ended(statement: Uuid, subject: IdentifierKey) -> AllergyRecorded {
    super::allergy(statement, subject, "none_known_ended", None)
}

/// A person takes it back.
pub(super) async fn end_by_person(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    command: EndNoAllergies,
) -> Outcome {
    let ended = end(tx, &command.keys, &command.actor, &command.reason).await?;
    let Some(first) = ended.first().copied() else {
        return Ok(Err(Refusal::new(
            "clinical.none_known_not_open",
            "nothing of the kind is stated",
        )));
    };
    let subject = IdentifierKey(command.keys.first().copied().unwrap_or_default());
    let event = batch.envelopes[slot].id;
    for statement in ended {
        batch.say(slot, &self::ended(statement, subject));
    }
    batch.answer(
        slot,
        serde_json::json!({ "id": first, "state": "none_known_ended" }),
    );
    audit::entry(
        tx,
        &command.actor,
        "clinical.allergy.end_none",
        &format!("no_known_allergies:{first}"),
        &[event],
        Some(serde_json::json!({ "reason": command.reason })),
    )
    .await?;
    Ok(Ok(()))
}
