//! Beds: defined, and what is said of empty ones.

use hub_core::{Refusal, Tx};
use schemas::Body;
use schemas::care::Location;
use schemas::devices::Bed;
use schemas::house::{DefineBed, SetBedState};
use serde_json::json;
use uuid::Uuid;

use super::{Defined, not_written};
use crate::audit;
use crate::batch::Batch;
use crate::stays::assignments::{self, Voice};
use crate::stays::bed_state::{self, By};
use crate::stays::differences;

pub(super) async fn bed(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    id: Uuid,
    command: &DefineBed,
) -> Result<Defined, sqlx::Error> {
    let names: Option<(String, String)> = sqlx::query_as(
        "select ward.code, facility.code from clinical.wards ward \
         join clinical.facilities facility on facility.id = ward.facility_id where ward.id = $1 and ward.state = 'active'",
    )
    .bind(command.ward_id)
    .fetch_optional(tx.conn())
    .await?;
    let Some((ward, facility)) = names else {
        return Ok(Err(Refusal::new(
            "adt.ward_unknown",
            "no active ward has this id",
        )));
    };
    let place = Location {
        point_of_care: Some(ward),
        room: command.room.clone(),
        bed: Some(command.code.clone()),
        facility: Some(facility),
    };
    let Some(bed) = Bed::of(&place) else {
        return Ok(Err(Refusal::new("adt.code", "the bed has no code")));
    };
    let tenant = tx.tenant().clone();
    let key = bed.key(&tenant);
    let written: Option<i32> = sqlx::query_scalar(
        "insert into clinical.ward_beds (tenant_id, id, ward_id, code, room, bed_key, retired, updated_by) \
         select $1, $2, $3, $4, $5, $6, $7, $8 where $9 is null or $9 = 0 or exists (select from clinical.ward_beds where id = $2) \
         on conflict (id) do update set retired = excluded.retired, updated_by = excluded.updated_by, updated_at = now(), \
         version = ward_beds.version + 1 where ($9 is null or ward_beds.version = $9) \
         and (not excluded.retired or ward_beds.state not in ('occupied', 'reserved')) returning version",
    )
    .bind(tenant.as_str())
    .bind(id)
    .bind(command.ward_id)
    .bind(&command.code)
    .bind(command.room.as_deref().unwrap_or_default())
    .bind(key)
    .bind(command.retired)
    .bind(&command.actor)
    .bind(command.version)
    .fetch_optional(tx.conn())
    .await?;
    let Some(version) = written else {
        let taken: Option<String> = sqlx::query_scalar(
            "select state from clinical.ward_beds where id = $1 and state in ('occupied', 'reserved')",
        )
        .bind(id)
        .fetch_optional(tx.conn())
        .await?;
        return Ok(Err(match taken {
            Some(state) if command.retired => Refusal::new(
                "adt.bed_conflict",
                format!(
                    "a bed in use is not retired; from: {state}; to: retired; allowed: nothing"
                ),
            ),
            _ => not_written(command.version, "bed"),
        }));
    };
    if version == 1 {
        arrive(tx, batch, slot, key).await?;
    }
    Ok(Ok(version))
}

/// A hospital system may have put somebody into the bed before the register had it.
async fn arrive(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    bed_key: Uuid,
) -> Result<(), sqlx::Error> {
    differences::settle_bed(tx, bed_key).await?;
    let inside: Vec<Uuid> = sqlx::query_scalar(
        "select distinct encounter_key from clinical.bed_stays where bed_key = $1 and not void and to_at is null",
    )
    .bind(bed_key)
    .fetch_all(tx.conn())
    .await?;
    let causes = inside.into_iter().map(|key| (key, slot)).collect();
    let conflicts = assignments::follow(tx, batch, causes, Voice::System).await?;
    differences::held(tx, batch, &conflicts).await
}

pub(super) async fn set_state(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    command: &SetBedState,
) -> Result<(), sqlx::Error> {
    let id = command.bed_id;
    if let Some(version) = command.version {
        let stands: Option<i32> =
            sqlx::query_scalar("select version from clinical.ward_beds where id = $1 for update")
                .bind(id)
                .fetch_optional(tx.conn())
                .await?;
        if stands.is_some_and(|stands| stands != version) {
            batch.refuse(slot, not_written(Some(version), "bed"));
            return Ok(());
        }
    }
    let from = match bed_state::change(tx, batch, slot, By::Person, id, command.to).await? {
        Ok(from) => from,
        Err(refusal) => {
            batch.refuse(slot, refusal);
            return Ok(());
        }
    };
    sqlx::query("update clinical.ward_beds set state_reason = $2, updated_by = $3 where id = $1")
        .bind(id)
        .bind(&command.reason)
        .bind(&command.actor)
        .execute(tx.conn())
        .await?;
    batch.answer(slot, json!({ "bed_id": id, "state": command.to.as_str() }));
    audit::entry(
        tx,
        &command.actor,
        SetBedState::NAME,
        &format!("bed:{id}"),
        &[batch.envelopes[slot].id],
        Some(json!({ "from": from.as_str(), "to": command.to.as_str(), "reason": command.reason })),
    )
    .await
}
