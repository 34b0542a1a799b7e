//! Where a hospital system's word and the house's own register differ. The word is filed all the same (it may be right); the
//! difference is listed, told, and settled by itself when its cause is gone. Nothing is dropped, nothing guessed.

use std::collections::BTreeSet;

use hub_core::{Refusal, Tx};
use schemas::Body;
use schemas::stays::{DifferenceFound, ResolveDifference};
use serde_json::Value;
use uuid::Uuid;

use super::assignments::Conflict;
use crate::batch::Batch;
use crate::{audit, body};

/// What differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A bed that the register does not have.
    BedUnknown,
    /// Another patient has it, or it is kept for another.
    BedOccupied,
    /// It was being cleaned, or out of use.
    BedNotReady,
    /// The patient is in another bed of the register.
    SecondBed,
    /// The patient is in the house already, on a stay that staff lead.
    SecondAdmission,
    /// The patient left with gates open.
    LeftWithGates,
    /// An update names another place than where staff have put the patient.
    MovedElsewhere,
    /// An admission that staff lead was cancelled.
    CancelledElsewhere,
}

impl Reason {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::BedUnknown => "bed_unknown",
            Self::BedOccupied => "bed_occupied",
            Self::BedNotReady => "bed_not_ready",
            Self::SecondBed => "second_bed",
            Self::SecondAdmission => "second_admission",
            Self::LeftWithGates => "left_with_gates",
            Self::MovedElsewhere => "moved_elsewhere",
            Self::CancelledElsewhere => "cancelled_elsewhere",
        }
    }
}

/// One difference.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) slot: usize,
    pub(crate) reason: Reason,
    /// Nil: about no one encounter.
    pub(crate) encounter_key: Uuid,
    pub(crate) encounter_id: Option<Uuid>,
    /// Nil: about no one bed.
    pub(crate) bed_key: Uuid,
    pub(crate) bed_id: Option<Uuid>,
    pub(crate) place: Option<Value>,
}

/// Lists what a hospital system's word led to.
pub(crate) async fn held(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    conflicts: &[Conflict],
) -> Result<(), sqlx::Error> {
    for conflict in conflicts {
        found(tx, batch, &conflict.found).await?;
    }
    Ok(())
}

/// Lists one, unless it is listed.
pub(crate) async fn found(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    one: &Found,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().clone();
    let id: Option<i64> = sqlx::query_scalar(
        "insert into clinical.adt_differences (tenant_id, reason, encounter_key, bed_key, encounter_id, bed_id, place, \
         source_event) values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing returning id",
    )
    .bind(tenant.as_str())
    .bind(one.reason.as_str())
    .bind(one.encounter_key)
    .bind(one.bed_key)
    .bind(one.encounter_id)
    .bind(one.bed_id)
    .bind(&one.place)
    .bind(batch.envelopes[one.slot].id)
    .fetch_optional(tx.conn())
    .await?;
    if let Some(difference_id) = id {
        batch.say(
            one.slot,
            &DifferenceFound {
                difference_id,
                reason: one.reason.as_str().to_owned(),
                encounter_id: one.encounter_id,
                bed_id: one.bed_id,
            },
        );
    }
    Ok(())
}

/// Of these encounters nothing differs any more but what was found now.
pub(crate) async fn settle_others(
    tx: &mut Tx<'_>,
    encounters: &BTreeSet<Uuid>,
    found: &[Conflict],
) -> Result<(), sqlx::Error> {
    let (keys, beds): (Vec<Uuid>, Vec<Uuid>) = found
        .iter()
        .map(|conflict| (conflict.found.encounter_key, conflict.found.bed_key))
        .unzip();
    sqlx::query(
        "update clinical.adt_differences set state = 'settled', resolved_at = now() \
         where state = 'open' and reason in ('bed_occupied', 'second_bed') and encounter_key = any($1) \
         and not exists (select from unnest($2::uuid[], $3::uuid[]) as still (encounter_key, bed_key) \
         where still.encounter_key = adt_differences.encounter_key and still.bed_key = adt_differences.bed_key)",
    )
    .bind(encounters.iter().copied().collect::<Vec<_>>())
    .bind(keys)
    .bind(beds)
    .execute(tx.conn())
    .await
    .map(drop)
}

/// Of these encounters, which admit somebody who is in the house on a stay that staff lead?
pub(crate) async fn admitted_twice(
    tx: &mut Tx<'_>,
    encounters: &[Uuid],
) -> Result<Vec<Uuid>, sqlx::Error> {
    if encounters.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_scalar(
        "select one.id from clinical.encounters one where one.id = any($1) and exists ( \
         select from clinical.encounters other where other.subject_key = one.subject_key and other.id <> one.id and other.desk \
         and other.stage in ('admitted', 'discharge_initiated', 'cleared'))",
    )
    .bind(encounters)
    .fetch_all(tx.conn())
    .await
}

/// These people are not in the house twice any more: one of the stays is over.
pub(crate) async fn settle_admissions(tx: &mut Tx<'_>, people: &[Uuid]) -> Result<(), sqlx::Error> {
    if people.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "update clinical.adt_differences difference set state = 'settled', resolved_at = now() \
         from clinical.encounters encounter where encounter.id = difference.encounter_id and difference.state = 'open' \
         and difference.reason = 'second_admission' and encounter.subject_key = any($1)",
    )
    .bind(people)
    .execute(tx.conn())
    .await
    .map(drop)
}

/// A bed is in the register now.
pub(crate) async fn settle_bed(tx: &mut Tx<'_>, bed_key: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update clinical.adt_differences set state = 'settled', resolved_at = now() \
         where state = 'open' and reason = 'bed_unknown' and bed_key = $1",
    )
    .bind(bed_key)
    .execute(tx.conn())
    .await
    .map(drop)
}

/// Encounters that want one of these beds and did not get it, or whose patient was in another one that he left; the oldest first.
pub(crate) async fn waiting_for(
    tx: &mut Tx<'_>,
    beds: &BTreeSet<Uuid>,
    people: &BTreeSet<Uuid>,
) -> Result<Vec<Uuid>, sqlx::Error> {
    if beds.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_scalar(
        "select difference.encounter_key from clinical.adt_differences difference \
         where difference.state = 'open' and ((difference.reason = 'bed_occupied' and difference.bed_id = any($1)) \
         or (difference.reason = 'second_bed' and exists (select from clinical.encounters encounter \
         where encounter.id = difference.encounter_id and encounter.subject_key = any($2)))) order by difference.id",
    )
    .bind(beds.iter().copied().collect::<Vec<_>>())
    .bind(people.iter().copied().collect::<Vec<_>>())
    .fetch_all(tx.conn())
    .await
}

/// Carries out every `adt.difference.resolve` of the batch.
pub(super) async fn resolve(tx: &mut Tx<'_>, batch: &mut Batch<'_>) -> Result<(), sqlx::Error> {
    for slot in batch.named(ResolveDifference::NAME) {
        let command = match body::decode::<ResolveDifference>(&batch.envelopes[slot]) {
            Ok(command) => command,
            Err(refusal) => {
                batch.refuse(slot, refusal);
                continue;
            }
        };
        let id = command.difference_id;
        let state: Option<String> = sqlx::query_scalar(
            "select state from clinical.adt_differences where id = $1 for update",
        )
        .bind(id)
        .fetch_optional(tx.conn())
        .await?;
        match state.as_deref() {
            None => {
                batch.refuse(
                    slot,
                    Refusal::new("adt.difference_unknown", "no difference has this id"),
                );
                continue;
            }
            Some("open") => {}
            Some(_) => {
                batch.refuse(
                    slot,
                    Refusal::new("adt.difference_resolved", "it is not open any more"),
                );
                continue;
            }
        }
        sqlx::query(
            "update clinical.adt_differences set state = 'resolved', resolved_at = now(), resolved_by = $2, comment = $3 \
             where id = $1",
        )
        .bind(id)
        .bind(&command.actor)
        .bind(&command.comment)
        .execute(tx.conn())
        .await?;
        batch.answer(
            slot,
            serde_json::json!({ "difference_id": id, "state": "resolved" }),
        );
        audit::entry(
            tx,
            &command.actor,
            ResolveDifference::NAME,
            &format!("adt_difference:{id}"),
            &[batch.envelopes[slot].id],
            Some(serde_json::json!({ "comment": command.comment })),
        )
        .await?;
    }
    Ok(())
}
