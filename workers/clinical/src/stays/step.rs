//! Steps of encounters over REST (`adt.encounter.move`), and changes of what else is known (`adt.encounter.change`).

use hub_core::{Envelope, Refusal, Tx};
use schemas::care::{EncounterAction, EncounterReported, Location};
use schemas::patients::Identifier;
use schemas::stays::{ChangeEncounter, MoveEncounter, Step};
use schemas::{Body, IdentifierKey, Patch};
use serde_json::json;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::open::fact;
use super::stage::{self, Move, Stage};
use crate::batch::Batch;
use crate::encounters::{self, Desk, Encounter, Reported};
use crate::{audit, body};

mod beds;
mod change;
mod discharge;

/// A clock of the ward may run ahead by so much.
const AHEAD: Duration = Duration::minutes(5);
/// What lies further back is told with the reason why only now (specs/hms-modules.md §0.8).
const LATE: Duration = Duration::hours(24);
/// Further back nothing is told: a stay that is carried over into the hub may have begun years ago, not in the days of the founder.
const OLDEST: Duration = Duration::days(3_653);

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
                Ok(command) => change::apply(tx, batch, slot, &command).await?,
                Err(refusal) => batch.refuse(slot, refusal),
            }
        }
    }
    Ok(())
}

/// When it happened: as said, else when it was asked for. To the microsecond, as the database keeps it.
pub(super) fn moment(
    envelope: &Envelope,
    said: Option<&str>,
    late_reason: Option<&str>,
) -> Result<OffsetDateTime, Refusal> {
    moment_or(
        envelope,
        said,
        late_reason,
        ("adt.time_ahead", "adt.time_late"),
    )
}

/// The same with the codes of its refusals: ahead, late.
pub(crate) fn moment_or(
    envelope: &Envelope,
    said: Option<&str>,
    late_reason: Option<&str>,
    (ahead, late): (&'static str, &'static str),
) -> Result<OffsetDateTime, Refusal> {
    let at = body::time(said, "at")?.unwrap_or(envelope.occurred_at);
    if at > envelope.occurred_at + AHEAD {
        return Err(Refusal::new(
            ahead,
            "`at` lies in the future: say it when it has happened",
        ));
    }
    if at < envelope.occurred_at - OLDEST {
        return Err(Refusal::new(late, "`at` lies more than ten years back"));
    }
    if at < envelope.occurred_at - LATE && late_reason.is_none_or(|reason| reason.trim().is_empty())
    {
        return Err(Refusal::new(
            late,
            "`at` lies more than a day back: `late_reason` says why it is told only now",
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
    let at = match moment(
        &batch.envelopes[slot],
        command.at.as_deref(),
        command.late_reason.as_deref(),
    ) {
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
    let mut detail = json!({
        "from": walk.from.map(Stage::as_str), "to": after.and_then(|after| after.stage), "step": command.step,
    });
    if let (Some(at), Some(reason)) = (&command.at, &command.late_reason) {
        detail["at"] = json!(at);
        detail["late_reason"] = json!(reason);
    }
    audit::entry(
        tx,
        &command.actor,
        MoveEncounter::NAME,
        &format!("encounter:{}", command.encounter_id),
        &[batch.envelopes[slot].id],
        Some(detail),
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
