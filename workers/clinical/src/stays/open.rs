//! New encounters over REST: out-patients with their token, and requests for admission.

use hub_core::{Refusal, Tx};
use schemas::care::{EncounterAction, EncounterReported, Location};
use schemas::patients::Identifier;
use schemas::stays::{AdmissionPriority, OpenEncounter, Payer, RequestAdmission, VisitClass};
use schemas::{Body, Patch};
use serde_json::json;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::stage::Stage;
use crate::batch::Batch;
use crate::encounters::{Desk, Reported, encounter_key};
use crate::{audit, body};

/// Carries out every command of the batch that begins an encounter.
pub(super) async fn apply(tx: &mut Tx<'_>, batch: &mut Batch<'_>) -> Result<(), sqlx::Error> {
    for slot in batch.named(OpenEncounter::NAME) {
        match body::decode::<OpenEncounter>(&batch.envelopes[slot]) {
            Ok(command) => visit(tx, batch, slot, command).await?,
            Err(refusal) => batch.refuse(slot, refusal),
        }
    }
    for slot in batch.named(RequestAdmission::NAME) {
        match body::decode::<RequestAdmission>(&batch.envelopes[slot]) {
            Ok(command) => admission(tx, batch, slot, command).await?,
            Err(refusal) => batch.refuse(slot, refusal),
        }
    }
    Ok(())
}

/// The department, as encounters name it.
#[derive(sqlx::FromRow)]
struct Department {
    code: String,
    facility: String,
    /// The day at the place.
    day: Date,
}

async fn visit(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    command: OpenEncounter,
) -> Result<(), sqlx::Error> {
    let when = (command.at.as_deref(), command.late_reason.as_deref());
    let Some((at, department)) =
        when_and_where(tx, batch, slot, when, command.department_id).await?
    else {
        return Ok(());
    };
    let visit_number = number(command.visit_number, command.encounter_id);
    let said = EncounterReported {
        class: Patch::Set(
            match command.class {
                VisitClass::Outpatient => "O",
                VisitClass::Emergency => "E",
            }
            .to_owned(),
        ),
        location: Patch::Set(place(&department)),
        attending: command.practitioner.into(),
        ..fact(EncounterAction::Registered, command.subject, &visit_number)
    };
    if exists(tx, batch, slot, &said).await? {
        return Ok(());
    }
    let token = token(tx, command.department_id, department.day).await?;
    let desk = Desk {
        encounter_id: command.encounter_id,
        stage: Some(Stage::Token),
        department_id: Some(command.department_id),
        token: Some((department.day, token)),
        reason: command.reason.into(),
        payer: command.payer.map(|payer| word(&payer)).into(),
        ..Desk::default()
    };
    opened(tx, batch, slot, at, said, desk).await?;
    batch.answer(
        slot,
        json!({
            "encounter_id": command.encounter_id, "visit_number": visit_number, "stage": Stage::Token.as_str(),
            "token": token, "version": 1,
        }),
    );
    trail(
        tx,
        batch,
        slot,
        &command.actor,
        OpenEncounter::NAME,
        command.encounter_id,
        late(command.at.as_deref(), command.late_reason.as_deref()),
    )
    .await
}

async fn admission(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    command: RequestAdmission,
) -> Result<(), sqlx::Error> {
    let when = (command.at.as_deref(), command.late_reason.as_deref());
    let Some((at, department)) =
        when_and_where(tx, batch, slot, when, command.department_id).await?
    else {
        return Ok(());
    };
    let visit_number = number(command.visit_number, command.encounter_id);
    let said = EncounterReported {
        class: Patch::Set("I".to_owned()),
        location: Patch::Set(place(&department)),
        attending: command.consultant.into(),
        ..fact(EncounterAction::Preadmitted, command.subject, &visit_number)
    };
    if exists(tx, batch, slot, &said).await? {
        return Ok(());
    }
    let desk = Desk {
        encounter_id: command.encounter_id,
        stage: Some(Stage::Requested),
        department_id: Some(command.department_id),
        reason: Patch::Set(command.reason),
        priority: command
            .priority
            .map(|priority: AdmissionPriority| word(&priority))
            .into(),
        payer: command.payer.map(|payer: Payer| word(&payer)).into(),
        ward_class: command.ward_class.into(),
        medico_legal: command.medico_legal.then_some(true),
        ..Desk::default()
    };
    opened(tx, batch, slot, at, said, desk).await?;
    batch.answer(
        slot,
        json!({
            "encounter_id": command.encounter_id, "visit_number": visit_number,
            "stage": Stage::Requested.as_str(), "version": 1,
        }),
    );
    trail(
        tx,
        batch,
        slot,
        &command.actor,
        RequestAdmission::NAME,
        command.encounter_id,
        late(command.at.as_deref(), command.late_reason.as_deref()),
    )
    .await
}

/// Since when, and in which department; refused where one of them can't be.
async fn when_and_where(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    (at, late_reason): (Option<&str>, Option<&str>),
    department_id: Uuid,
) -> Result<Option<(OffsetDateTime, Department)>, sqlx::Error> {
    let found = match super::step::moment(&batch.envelopes[slot], at, late_reason) {
        Ok(at) => department(tx, department_id, at)
            .await?
            .map(|department| (at, department))
            .ok_or_else(no_department),
        Err(refusal) => Err(refusal),
    };
    match found {
        Ok(found) => Ok(Some(found)),
        Err(refusal) => {
            batch.refuse(slot, refusal);
            Ok(None)
        }
    }
}

async fn opened(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    at: OffsetDateTime,
    said: EncounterReported,
    desk: Desk,
) -> Result<(), sqlx::Error> {
    let envelope = &batch.envelopes[slot];
    let fact = Reported {
        slot,
        envelope,
        key: encounter_key(envelope, &said, None),
        said,
        at,
        admitted_at: Patch::Keep,
        discharged_at: Patch::Keep,
        desk: Some(desk),
    };
    // a new encounter is in no bed: nothing of the register is in its way
    super::file(tx, batch, fact).await.map(drop)
}

/// The last token of the day is moved on by one: of two at once each gets his own.
async fn token(tx: &mut Tx<'_>, department: Uuid, day: Date) -> Result<i32, sqlx::Error> {
    let tenant = tx.tenant().clone();
    sqlx::query_scalar(
        "insert into clinical.token_counters (tenant_id, department_id, day, last) values ($1, $2, $3, 1) \
         on conflict (department_id, day) do update set last = token_counters.last + 1 returning last",
    )
    .bind(tenant.as_str())
    .bind(department)
    .bind(day)
    .fetch_one(tx.conn())
    .await
}

async fn department(
    tx: &mut Tx<'_>,
    id: Uuid,
    at: OffsetDateTime,
) -> Result<Option<Department>, sqlx::Error> {
    sqlx::query_as(
        "select department.code, facility.code as facility, ($2 at time zone facility.zone)::date as day \
         from clinical.departments department join clinical.facilities facility on facility.id = department.facility_id \
         where department.id = $1 and department.state = 'active'",
    )
    .bind(id)
    .bind(at)
    .fetch_optional(tx.conn())
    .await
}

/// A visit number that is somebody's already is refused: it would make two visits one.
async fn exists(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    said: &EncounterReported,
) -> Result<bool, sqlx::Error> {
    let key = encounter_key(&batch.envelopes[slot], said, None);
    let exists: bool = sqlx::query_scalar(
        "select exists (select from clinical.encounters where encounter_key = $1)",
    )
    .bind(key)
    .fetch_one(tx.conn())
    .await?;
    if exists {
        batch.refuse(
            slot,
            Refusal::new("adt.visit_exists", "an encounter has this visit number"),
        );
    }
    Ok(exists)
}

fn place(department: &Department) -> Location {
    Location {
        point_of_care: Some(department.code.clone()),
        facility: Some(department.facility.clone()),
        ..Location::default()
    }
}

/// The hospital's number of the visit, or one of ours: 48 random bits of the encounter's id.
fn number(given: Option<String>, id: Uuid) -> String {
    given.unwrap_or_else(|| format!("HV{:012X}", id.as_u128() & 0xffff_ffff_ffff))
}

/// A fact of which nothing more is said.
pub(super) fn fact(
    action: EncounterAction,
    subject: Identifier,
    visit_number: &str,
) -> EncounterReported {
    EncounterReported {
        action,
        subject,
        visit_number: Some(visit_number.to_owned()),
        class: Patch::Keep,
        location: Patch::Keep,
        prior_location: Patch::Keep,
        attending: Patch::Keep,
        referring: Patch::Keep,
        service: Patch::Keep,
        admitted_at: Patch::Keep,
        discharged_at: Patch::Keep,
        disposition: Patch::Keep,
        occurred_at: None,
    }
}

/// The word of an enum, as its schema has it.
pub(super) fn word<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|word| word.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn no_department() -> Refusal {
    Refusal::new("adt.department_unknown", "no active department has this id")
}

/// What the trail says of something that is told late.
fn late(at: Option<&str>, reason: Option<&str>) -> Option<serde_json::Value> {
    Some(json!({ "at": at?, "late_reason": reason? }))
}

async fn trail(
    tx: &mut Tx<'_>,
    batch: &Batch<'_>,
    slot: usize,
    actor: &str,
    action: &str,
    encounter: Uuid,
    detail: Option<serde_json::Value>,
) -> Result<(), sqlx::Error> {
    audit::entry(
        tx,
        actor,
        action,
        &format!("encounter:{encounter}"),
        &[batch.envelopes[slot].id],
        detail,
    )
    .await
}
