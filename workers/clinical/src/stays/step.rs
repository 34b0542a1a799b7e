//! Steps of encounters over REST (`adt.encounter.move`), and changes of what else is known (`adt.encounter.change`).

use hub_core::{Envelope, Refusal, Tx};
use schemas::care::{EncounterAction, EncounterReported, Location};
use schemas::patients::Identifier;
use schemas::stays::{
    ChangeEncounter, DischargeInitiated, Disposition, Gate, GateCleared, MoveEncounter, Step,
};
use schemas::{Body, IdentifierKey, Patch};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::assignments::{self, Freed};
use super::bed_state::{self, By};
use super::open::{fact, word};
use super::stage::{self, Move, Stage};
use super::{differences, gates};
use crate::batch::Batch;
use crate::encounters::{self, Desk, Encounter, Reported};
use crate::{audit, body};
use schemas::house::BedState;

/// A clock of the ward may run ahead by so much.
const AHEAD: Duration = Duration::minutes(5);

/// Carries out every command of the batch about encounters that exist.
pub(super) async fn apply(tx: &mut Tx<'_>, batch: &mut Batch<'_>) -> Result<(), sqlx::Error> {
    for slot in batch.named_either(MoveEncounter::NAME, ChangeEncounter::NAME) {
        if batch.envelopes[slot].name == MoveEncounter::NAME {
            match body::decode::<MoveEncounter>(&batch.envelopes[slot]) {
                Ok(command) => moved(tx, batch, slot, &command).await?,
                Err(refusal) => batch.refuse(slot, refusal),
            }
        } else {
            match body::decode::<ChangeEncounter>(&batch.envelopes[slot]) {
                Ok(command) => changed(tx, batch, slot, &command).await?,
                Err(refusal) => batch.refuse(slot, refusal),
            }
        }
    }
    Ok(())
}

/// When it happened: as said, else when it was asked for. To the microsecond, as the database keeps it.
pub(super) fn moment(envelope: &Envelope, said: Option<&str>) -> Result<OffsetDateTime, Refusal> {
    let at = body::time(said, "at")?.unwrap_or(envelope.occurred_at);
    if at > envelope.occurred_at + AHEAD {
        return Err(Refusal::new(
            "adt.time_ahead",
            "`at` lies in the future: say it when it has happened",
        ));
    }
    Ok(at
        .replace_nanosecond(at.nanosecond() / 1_000 * 1_000)
        .unwrap_or(at))
}

/// One step on its way.
struct Walk<'c> {
    slot: usize,
    command: &'c MoveEncounter,
    encounter: Encounter,
    from: Option<Stage>,
    at: OffsetDateTime,
}

/// What a step says: of the encounter as hospital systems do, and as staff do.
struct Says {
    action: EncounterAction,
    location: Option<Location>,
    disposition: Option<String>,
    left: bool,
    desk: Desk,
}

impl Says {
    fn only(desk: Desk) -> Self {
        Self {
            action: EncounterAction::Updated,
            location: None,
            disposition: None,
            left: false,
            desk,
        }
    }

    fn fact(action: EncounterAction, desk: Desk) -> Self {
        Self {
            action,
            ..Self::only(desk)
        }
    }
}

async fn moved(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    command: &MoveEncounter,
) -> Result<(), sqlx::Error> {
    let at = match moment(&batch.envelopes[slot], command.at.as_deref()) {
        Ok(at) => at,
        Err(refusal) => {
            batch.refuse(slot, refusal);
            return Ok(());
        }
    };
    let encounter = match standing(tx, command.encounter_id, command.version).await? {
        Ok(encounter) => encounter,
        Err(refusal) => {
            batch.refuse(slot, refusal);
            return Ok(());
        }
    };
    let walk = Walk {
        slot,
        command,
        from: encounter.stage.as_deref().and_then(Stage::stored),
        encounter,
        at,
    };
    let counted = batch.changes.encounters;
    super::begin(tx).await?;
    let outcome = walk.go(tx, batch).await?;
    if !super::end(tx, batch, slot, outcome).await? {
        batch.changes.encounters = counted;
        return Ok(());
    }
    let after = encounters::by_id(tx, command.encounter_id).await?;
    batch.answer(
        slot,
        json!({
            "encounter_id": command.encounter_id,
            "stage": after.as_ref().and_then(|after| after.stage.clone()),
            "status": after.as_ref().map(|after| after.status.clone()),
            "version": after.as_ref().map(|after| after.version),
        }),
    );
    audit::entry(
        tx,
        &command.actor,
        MoveEncounter::NAME,
        &format!("encounter:{}", command.encounter_id),
        &[batch.envelopes[slot].id],
        Some(json!({
            "from": walk.from.map(Stage::as_str), "to": after.and_then(|after| after.stage), "step": command.step,
        })),
    )
    .await
}

/// The encounter, if it stands as the caller saw it.
async fn standing(
    tx: &mut Tx<'_>,
    id: Uuid,
    version: Option<i32>,
) -> Result<Result<Encounter, Refusal>, sqlx::Error> {
    let Some(encounter) = encounters::by_id(tx, id).await? else {
        return Ok(Err(Refusal::new(
            "adt.encounter_unknown",
            "no encounter has this id",
        )));
    };
    if version.is_some_and(|version| version != encounter.version) {
        return Ok(Err(Refusal::new(
            "adt.encounter_stale",
            "the encounter was changed meanwhile: read it again",
        )));
    }
    Ok(Ok(encounter))
}

type Outcome = Result<Result<(), Refusal>, sqlx::Error>;

impl Walk<'_> {
    fn desk(&self, to: Stage) -> Desk {
        Desk {
            encounter_id: self.encounter.id,
            stage: Some(to),
            ..Desk::default()
        }
    }

    fn next(&self, step: Move) -> Result<Stage, Refusal> {
        stage::next(self.from, step)
    }

    async fn go(&self, tx: &mut Tx<'_>, batch: &mut Batch<'_>) -> Outcome {
        match &self.command.step {
            Step::Call => self.plain(tx, batch, Move::Call).await,
            Step::StartConsultation => self.plain(tx, batch, Move::StartConsultation).await,
            Step::Requeue => self.requeue(tx, batch).await,
            Step::Finish => {
                self.ended(tx, batch, Move::Finish, EncounterAction::Discharged)
                    .await
            }
            Step::NoShow => {
                self.ended(tx, batch, Move::NoShow, EncounterAction::AdmitCancelled)
                    .await
            }
            Step::Cancel { reason } => self.cancel(tx, batch, reason).await,
            Step::Reserve { bed_id } => self.reserve(tx, batch, *bed_id).await,
            Step::Release => self.release(tx, batch).await,
            Step::Admit { bed_id } => self.admit(tx, batch, *bed_id).await,
            Step::Transfer { bed_id, .. } => self.transfer(tx, batch, *bed_id).await,
            Step::InitiateDischarge {
                disposition,
                expected_at,
            } => {
                self.initiate(tx, batch, *disposition, expected_at.as_deref())
                    .await
            }
            Step::CancelDischarge { .. } => self.plain(tx, batch, Move::CancelDischarge).await,
            Step::ClearGate {
                gate,
                note,
                despite,
            } => {
                self.clear(tx, batch, *gate, note.as_deref(), despite.as_deref())
                    .await
            }
            Step::Leave { .. } => self.leave(tx, batch).await,
            Step::Close => self.close(tx, batch).await,
        }
    }

    /// A step that only staff know of.
    async fn plain(&self, tx: &mut Tx<'_>, batch: &mut Batch<'_>, step: Move) -> Outcome {
        match self.next(step) {
            Ok(to) => self.say(tx, batch, Says::only(self.desk(to))).await,
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// Who was thought absent is here after all, or who was called waits again.
    async fn requeue(&self, tx: &mut Tx<'_>, batch: &mut Batch<'_>) -> Outcome {
        let to = match self.next(Move::Requeue) {
            Ok(to) => to,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let says = if self.from == Some(Stage::NoShow) {
            Says::fact(EncounterAction::Registered, self.desk(to))
        } else {
            Says::only(self.desk(to))
        };
        self.say(tx, batch, says).await
    }

    async fn ended(
        &self,
        tx: &mut Tx<'_>,
        batch: &mut Batch<'_>,
        step: Move,
        action: EncounterAction,
    ) -> Outcome {
        let to = match self.next(step) {
            Ok(to) => to,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let left = action == EncounterAction::Discharged;
        self.say(
            tx,
            batch,
            Says {
                left,
                ..Says::fact(action, self.desk(to))
            },
        )
        .await
    }

    async fn cancel(&self, tx: &mut Tx<'_>, batch: &mut Batch<'_>, reason: &str) -> Outcome {
        let to = match self.next(Move::Cancel) {
            Ok(to) => to,
            Err(refusal) => return Ok(Err(refusal)),
        };
        self.let_go(tx, batch).await?;
        let desk = Desk {
            ending: Patch::Set(json!({ "cancelled": reason })),
            ..self.desk(to)
        };
        self.say(tx, batch, Says::fact(EncounterAction::AdmitCancelled, desk))
            .await
    }

    async fn reserve(&self, tx: &mut Tx<'_>, batch: &mut Batch<'_>, bed: Uuid) -> Outcome {
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

    async fn release(&self, tx: &mut Tx<'_>, batch: &mut Batch<'_>) -> Outcome {
        let to = match self.next(Move::Release) {
            Ok(to) => to,
            Err(refusal) => return Ok(Err(refusal)),
        };
        self.let_go(tx, batch).await?;
        self.say(tx, batch, Says::only(self.desk(to))).await
    }

    /// Beds that were kept for him are free again.
    async fn let_go(&self, tx: &mut Tx<'_>, batch: &mut Batch<'_>) -> Result<(), sqlx::Error> {
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

    async fn admit(&self, tx: &mut Tx<'_>, batch: &mut Batch<'_>, bed: Uuid) -> Outcome {
        let to = match self.next(Move::Admit) {
            Ok(to) => to,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Some(refusal) = self.elsewhere(tx).await? {
            return Ok(Err(refusal));
        }
        self.into_bed(tx, batch, EncounterAction::Admitted, bed, to)
            .await
    }

    async fn transfer(&self, tx: &mut Tx<'_>, batch: &mut Batch<'_>, bed: Uuid) -> Outcome {
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
        self.into_bed(tx, batch, EncounterAction::Transferred, bed, to)
            .await
    }

    async fn into_bed(
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

    async fn initiate(
        &self,
        tx: &mut Tx<'_>,
        batch: &mut Batch<'_>,
        disposition: Disposition,
        expected_at: Option<&str>,
    ) -> Outcome {
        let to = match self.next(Move::InitiateDischarge) {
            Ok(to) => to,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let expected = match body::time(expected_at, "expected_at") {
            Ok(expected) => expected,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let needed = gates::put_up(tx, &self.encounter).await?;
        let desk = Desk {
            expected_at: expected.into(),
            ending: Patch::Set(json!({ "disposition": disposition.as_str() })),
            ..self.desk(to)
        };
        let said = self.say(tx, batch, Says::only(desk)).await?;
        batch.say(
            self.slot,
            &DischargeInitiated {
                encounter_id: self.encounter.id,
                disposition,
                expected_at: expected_at.map(str::to_owned),
                gates: needed,
            },
        );
        Ok(said)
    }

    async fn clear(
        &self,
        tx: &mut Tx<'_>,
        batch: &mut Batch<'_>,
        gate: Gate,
        note: Option<&str>,
        despite: Option<&str>,
    ) -> Outcome {
        let open: Vec<Gate> = gates::standing(tx, self.encounter.id)
            .await?
            .into_iter()
            .filter(|(_, state)| state == "open")
            .map(|(gate, _)| gate)
            .collect();
        let left: Vec<Gate> = open.iter().copied().filter(|one| *one != gate).collect();
        let step = if left.is_empty() {
            Move::ClearLastGate
        } else {
            Move::ClearGate
        };
        let to = match self.next(step) {
            Ok(to) => to,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if gate == Gate::Clinical && despite.is_none() {
            let blocking = gates::blocking(tx.conn(), self.encounter.id).await?;
            if !blocking.is_empty() {
                let links: Vec<String> = blocking
                    .iter()
                    .take(20)
                    .map(|one| format!("/api/v1/orders/{}", one.order_id))
                    .collect();
                return Ok(Err(Refusal::new(
                    "adt.gate_conflict",
                    format!(
                        "{} open orders stand before the clinical gate: {}",
                        blocking.len(),
                        links.join(", ")
                    ),
                )));
            }
        }
        if !gates::clear(
            tx,
            self.encounter.id,
            gate,
            &self.command.actor,
            despite.or(note),
        )
        .await?
        {
            return Ok(Err(Refusal::new(
                "adt.gate_closed",
                format!("the gate {} is not open", gate.as_str()),
            )));
        }
        let said = self.say(tx, batch, Says::only(self.desk(to))).await?;
        batch.say(
            self.slot,
            &GateCleared {
                encounter_id: self.encounter.id,
                gate,
                by: self.command.actor.clone(),
                open: left,
            },
        );
        Ok(said)
    }

    async fn leave(&self, tx: &mut Tx<'_>, batch: &mut Batch<'_>) -> Outcome {
        let Step::Leave {
            disposition,
            cause_of_death,
            form,
            note,
        } = &self.command.step
        else {
            return Ok(Ok(()));
        };
        let initiated = self
            .encounter
            .ending
            .as_ref()
            .and_then(|ending| serde_json::from_value(ending["disposition"].clone()).ok());
        let disposition = disposition.or(initiated).unwrap_or(Disposition::Home);
        let step = if disposition == Disposition::Home {
            Move::Leave
        } else {
            Move::LeaveUncleared
        };
        let to = match self.next(step) {
            Ok(to) => to,
            Err(refusal) => return Ok(Err(self.gated(tx, refusal).await?)),
        };
        if disposition == Disposition::Death && cause_of_death.is_none() {
            return Ok(Err(Refusal::new(
                "adt.cause_of_death",
                "a death needs `cause_of_death`",
            )));
        }
        if let Some(refusal) = self.too_early(tx).await? {
            return Ok(Err(refusal));
        }
        // who goes without them leaves them behind: they stand before the closing of the stay
        if gates::standing(tx, self.encounter.id).await?.is_empty() {
            gates::put_up(tx, &self.encounter).await?;
        }
        let mut ending = json!({ "disposition": disposition.as_str() });
        for (name, value) in [
            ("cause_of_death", cause_of_death),
            ("form", form),
            ("note", note),
        ] {
            if let Some(value) = value {
                ending[name] = Value::from(value.as_str());
            }
        }
        let desk = Desk {
            ending: Patch::Set(ending),
            ..self.desk(to)
        };
        self.say(
            tx,
            batch,
            Says {
                disposition: Some(disposition.as_str().to_owned()),
                left: true,
                ..Says::fact(EncounterAction::Discharged, desk)
            },
        )
        .await
    }

    async fn close(&self, tx: &mut Tx<'_>, batch: &mut Batch<'_>) -> Outcome {
        let to = match self.next(Move::Close) {
            Ok(to) => to,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Some(refusal) = self.open_gates(tx).await? {
            return Ok(Err(refusal));
        }
        self.say(tx, batch, Says::only(self.desk(to))).await
    }

    /// Refused for its stage; where gates are why, each is named.
    async fn gated(&self, tx: &mut Tx<'_>, refusal: Refusal) -> Result<Refusal, sqlx::Error> {
        if self.from != Some(Stage::DischargeInitiated) {
            return Ok(refusal);
        }
        Ok(self.open_gates(tx).await?.unwrap_or(refusal))
    }

    async fn open_gates(&self, tx: &mut Tx<'_>) -> Result<Option<Refusal>, sqlx::Error> {
        let open: Vec<&'static str> = gates::standing(tx, self.encounter.id)
            .await?
            .iter()
            .filter(|(_, state)| state == "open")
            .map(|(gate, _)| gate.as_str())
            .collect();
        Ok((!open.is_empty()).then(|| {
            Refusal::new(
                "adt.gates_conflict",
                format!(
                    "gates are open: {}; see /api/v1/encounters/{}/gates; from: {}; allowed: {}",
                    open.join(", "),
                    self.encounter.id,
                    self.from.map_or("unknown", Stage::as_str),
                    stage::steps(self.from).join(", ")
                ),
            )
        }))
    }

    /// The patient is in the house already, under whichever of his numbers and whoever said so. The constraint on beds stops a second
    /// bed under one number; this stops one under another number. Who admits one person waits for his turn.
    async fn elsewhere(&self, tx: &mut Tx<'_>) -> Result<Option<Refusal>, sqlx::Error> {
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
    async fn too_early(&self, tx: &mut Tx<'_>) -> Result<Option<Refusal>, sqlx::Error> {
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

    /// Says it, and lets the register of beds follow.
    async fn say(&self, tx: &mut Tx<'_>, batch: &mut Batch<'_>, says: Says) -> Outcome {
        let envelope = &batch.envelopes[self.slot];
        let began = matches!(
            says.action,
            EncounterAction::Admitted | EncounterAction::Registered
        );
        let said = EncounterReported {
            class: self.encounter.class.clone().into(),
            location: says.location.into(),
            disposition: says.disposition.into(),
            ..fact(
                says.action,
                subject(tx, &self.encounter).await?,
                self.encounter.visit_number.as_deref().unwrap_or_default(),
            )
        };
        let fact = Reported {
            slot: self.slot,
            envelope,
            key: self.encounter.encounter_key,
            said,
            at: self.at,
            admitted_at: (began && self.encounter.started_at.is_none())
                .then_some(self.at)
                .into(),
            discharged_at: says.left.then_some(self.at).into(),
            desk: Some(says.desk),
        };
        super::file(tx, batch, fact).await
    }
}

/// The patient as the encounter names him. The value is what monitors name him by.
async fn subject(tx: &mut Tx<'_>, encounter: &Encounter) -> Result<Identifier, sqlx::Error> {
    let value = match &encounter.subject_value {
        Some(value) => Some(value.clone()),
        // an encounter from before the column was
        None => {
            sqlx::query_scalar(
                "select subject_value from clinical.bed_movements where encounter_key = $1 order by id limit 1",
            )
            .bind(encounter.encounter_key)
            .fetch_optional(tx.conn())
            .await?
        }
    };
    Ok(Identifier {
        key: IdentifierKey(encounter.subject_key),
        system: String::new(),
        value: value.unwrap_or_default(),
        kind: None,
    })
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

async fn changed(
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
