//! `adt.encounter.change`: what else is known of an encounter. Where it stands changes by steps only.

use hub_core::Tx;
use schemas::care::{EncounterAction, EncounterReported};
use schemas::stays::ChangeEncounter;
use schemas::{Body, Patch};
use serde_json::json;

use super::{standing, subject};
use crate::batch::Batch;
use crate::encounters::{self, Desk, Reported};
use crate::stays::open::{fact, word};
use crate::{audit, body};

pub(super) async fn apply(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    command: &ChangeEncounter,
) -> Result<(), sqlx::Error> {
    let encounter = match standing(tx, command.encounter_id, command.version).await? {
        Ok(encounter) => encounter,
        Err(refusal) => {
            batch.refuse(slot, refusal);
            return Ok(());
        }
    };
    let expected_at = match &command.expected_at {
        Patch::Keep => Patch::Keep,
        Patch::Clear => Patch::Clear,
        Patch::Set(text) => match body::time(Some(text), "expected_at") {
            Ok(at) => at.into(),
            Err(refusal) => {
                batch.refuse(slot, refusal);
                return Ok(());
            }
        },
    };
    let envelope = &batch.envelopes[slot];
    let said = EncounterReported {
        class: encounter.class.clone().into(),
        attending: command.attending.clone(),
        service: command.service.clone(),
        ..fact(
            EncounterAction::Updated,
            subject(tx, &encounter).await?,
            encounter.visit_number.as_deref().unwrap_or_default(),
        )
    };
    let fact = Reported {
        slot,
        envelope,
        key: encounter.encounter_key,
        said,
        at: envelope.occurred_at,
        admitted_at: Patch::Keep,
        discharged_at: Patch::Keep,
        desk: Some(Desk {
            encounter_id: encounter.id,
            reason: command.reason.clone(),
            payer: match &command.payer {
                Patch::Keep => Patch::Keep,
                Patch::Clear => Patch::Clear,
                Patch::Set(payer) => Patch::Set(word(payer)),
            },
            medico_legal: command.medico_legal,
            expected_at,
            ..Desk::default()
        }),
    };
    encounters::file(tx, batch, &[fact]).await?;
    let version = encounters::by_id(tx, command.encounter_id)
        .await?
        .map(|after| after.version);
    batch.answer(
        slot,
        json!({ "encounter_id": command.encounter_id, "version": version }),
    );
    audit::entry(
        tx,
        &command.actor,
        ChangeEncounter::NAME,
        &format!("encounter:{}", command.encounter_id),
        &[batch.envelopes[slot].id],
        None,
    )
    .await
}
