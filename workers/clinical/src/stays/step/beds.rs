//! Steps that give a bed, or let it go.

use hub_core::{Refusal, Tx};
use schemas::care::{EncounterAction, Location};
use schemas::house::BedState;
use uuid::Uuid;

use super::{Outcome, Says, Walk};
use crate::batch::Batch;
use crate::stays::assignments::{self, Freed};
use crate::stays::bed_state::{self, By};
use crate::stays::differences;
use crate::stays::stage::{Move, Stage};

impl Walk<'_> {
    pub(super) async fn reserve(
        &self,
        tx: &mut Tx<'_>,
        batch: &mut Batch<'_>,
        bed: Uuid,
    ) -> Outcome {
        let to = match self.next(Move::Reserve) {
            Ok(to) => to,
            Err(refusal) => return Ok(Err(refusal)),
        };
        self.let_go(tx, batch).await?;
        let Some(place) = place_of(tx, bed).await? else {
            return Ok(Err(no_bed()));
        };
        let source = batch.envelopes[self.slot].id;
        if !assignments::reserve(
            tx,
            self.encounter.id,
            self.encounter.subject_key,
            bed,
            self.at,
            source,
        )
        .await?
        {
            return Ok(Err(taken(tx, bed, "reserved").await?));
        }
        if let Err(refusal) = bed_state::change(
            tx,
            batch,
            self.slot,
            By::Reservation,
            bed,
            BedState::Reserved,
        )
        .await?
        {
            return Ok(Err(refusal));
        }
        // the ward that is to have him may look at his chart; he is in no bed yet
        let says = Says {
            location: Some(Location {
                bed: None,
                room: None,
                ..place
            }),
            ..Says::only(self.desk(to))
        };
        self.say(tx, batch, says).await
    }

    pub(super) async fn release(&self, tx: &mut Tx<'_>, batch: &mut Batch<'_>) -> Outcome {
        let to = match self.next(Move::Release) {
            Ok(to) => to,
            Err(refusal) => return Ok(Err(refusal)),
        };
        self.let_go(tx, batch).await?;
        self.say(tx, batch, Says::only(self.desk(to))).await
    }

    /// Beds that were kept for him are free again.
    pub(super) async fn let_go(
        &self,
        tx: &mut Tx<'_>,
        batch: &mut Batch<'_>,
    ) -> Result<(), sqlx::Error> {
        let kept = assignments::release(tx, self.encounter.id, self.at).await?;
        for bed in kept.iter().copied() {
            let _ = bed_state::change(tx, batch, self.slot, By::Reservation, bed, BedState::Vacant)
                .await?;
        }
        let freed = Freed {
            beds: kept.into_iter().collect(),
            ..Freed::default()
        };
        let conflicts = assignments::hand_on(tx, batch, self.slot, freed).await?;
        differences::held(tx, batch, &conflicts).await
    }

    pub(super) async fn admit(&self, tx: &mut Tx<'_>, batch: &mut Batch<'_>, bed: Uuid) -> Outcome {
        let to = match self.next(Move::Admit) {
            Ok(to) => to,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Some(refusal) = self.elsewhere(tx).await? {
            return Ok(Err(refusal));
        }
        self.take_bed(tx, batch, EncounterAction::Admitted, bed, to)
            .await
    }

    pub(super) async fn transfer(
        &self,
        tx: &mut Tx<'_>,
        batch: &mut Batch<'_>,
        bed: Uuid,
    ) -> Outcome {
        let to = match self.next(Move::Transfer) {
            Ok(to) => to,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let same: bool = sqlx::query_scalar(
            "select exists (select from clinical.bed_assignments where encounter_id = $1 and bed_id = $2 \
             and kind = 'occupied' and not void and upper_inf(period))",
        )
        .bind(self.encounter.id)
        .bind(bed)
        .fetch_one(tx.conn())
        .await?;
        if same {
            return Ok(Err(Refusal::new(
                "adt.bed_same",
                "the patient is in this bed",
            )));
        }
        self.take_bed(tx, batch, EncounterAction::Transferred, bed, to)
            .await
    }

    pub(super) async fn take_bed(
        &self,
        tx: &mut Tx<'_>,
        batch: &mut Batch<'_>,
        action: EncounterAction,
        bed: Uuid,
        to: Stage,
    ) -> Outcome {
        let Some(place) = place_of(tx, bed).await? else {
            return Ok(Err(no_bed()));
        };
        if let Some(refusal) = self.too_early(tx).await? {
            return Ok(Err(refusal));
        }
        let says = Says {
            location: Some(place),
            ..Says::fact(action, self.desk(to))
        };
        self.say(tx, batch, says).await
    }

    /// The patient is in the house already, under whichever of his numbers and whoever said so. The constraint on beds stops a second
    /// bed under one number; this stops one under another number. Who admits one person waits for his turn.
    pub(super) async fn elsewhere(&self, tx: &mut Tx<'_>) -> Result<Option<Refusal>, sqlx::Error> {
        let mut family = self.command.family.clone();
        family.push(self.encounter.subject_key);
        let person = family.iter().min().copied().unwrap_or_default();
        sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 14))")
            .bind(person.to_string())
            .execute(tx.conn())
            .await?;
        let other: Option<Uuid> = sqlx::query_scalar(
            "select id from clinical.encounters where subject_key = any($1) and id <> $2 and status = 'in_progress' \
             and stage in ('admitted', 'discharge_initiated', 'cleared') order by created_at limit 1",
        )
        .bind(&family)
        .bind(self.encounter.id)
        .fetch_optional(tx.conn())
        .await?;
        Ok(other.map(|other| {
            Refusal::new(
                "adt.already_admitted",
                format!(
                    "the patient is admitted: /api/v1/encounters/{other}; from: {}; to: admitted; allowed: transfer there, or leave",
                    self.from.map_or("unknown", Stage::as_str)
                ),
            )
        }))
    }

    /// Places follow each other in time: nothing is put before what was said last.
    pub(super) async fn too_early(&self, tx: &mut Tx<'_>) -> Result<Option<Refusal>, sqlx::Error> {
        let early: bool = sqlx::query_scalar(
            "select exists (select from clinical.bed_movements where encounter_key = $1 and at >= $2 \
             and (action <> 'updated' or place ->> 'bed' is not null))",
        )
        .bind(self.encounter.encounter_key)
        .bind(self.at)
        .fetch_one(tx.conn())
        .await?;
        Ok(early.then(|| {
            Refusal::new(
                "adt.time_conflict",
                "`at` is not after the last movement of this stay",
            )
        }))
    }
}

/// The place of a bed, as encounters and hospital systems name it.
async fn place_of(tx: &mut Tx<'_>, bed: Uuid) -> Result<Option<Location>, sqlx::Error> {
    let names: Option<(String, String, String, String)> = sqlx::query_as(
        "select ward.code, bed.room, bed.code, facility.code from clinical.ward_beds bed \
         join clinical.wards ward on ward.id = bed.ward_id join clinical.facilities facility on facility.id = ward.facility_id \
         where bed.id = $1 and not bed.retired",
    )
    .bind(bed)
    .fetch_optional(tx.conn())
    .await?;
    Ok(names.map(|(ward, room, bed, facility)| Location {
        point_of_care: Some(ward),
        room: Some(room).filter(|room| !room.is_empty()),
        bed: Some(bed),
        facility: Some(facility),
    }))
}

/// The constraint refused: what the bed is.
async fn taken(tx: &mut Tx<'_>, bed: Uuid, to: &str) -> Result<Refusal, sqlx::Error> {
    let state: Option<String> =
        sqlx::query_scalar("select state from clinical.ward_beds where id = $1")
            .bind(bed)
            .fetch_optional(tx.conn())
            .await?;
    Ok(Refusal::new(
        "adt.bed_conflict",
        format!(
            "the bed is not free; from: {}; to: {to}; allowed: another bed",
            state.unwrap_or_default()
        ),
    ))
}

fn no_bed() -> Refusal {
    Refusal::new("adt.bed_unknown", "no bed in use has this id")
}
