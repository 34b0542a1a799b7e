//! What is told of an encounter's way through the house, whoever moved it; and where a hospital system moved what staff lead.

use schemas::care::{Location, Practitioner};
use schemas::stays::{
    AdmissionRequested, EncounterOpened, EncounterStaged, PatientAdmitted, PatientLeft, Payer,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::stored::Encounter;
use super::{Reported, Stage};
use crate::batch::Batch;
use crate::stays::differences::{Found, Reason};

/// Says every change of stage.
pub(super) fn stages(
    batch: &mut Batch<'_>,
    one: &Reported<'_>,
    before: Option<&Encounter>,
    after: &Encounter,
) {
    let was = before.and_then(stage_of);
    let Some(stage) = stage_of(after) else { return };
    let at = one.at.format(&Rfc3339).unwrap_or_default();
    if before.is_none() {
        batch.say(
            one.slot,
            &EncounterOpened {
                encounter_id: after.id,
                class: after.class.clone().unwrap_or_default(),
                stage: stage.as_str().to_owned(),
                practitioner: read::<Practitioner>(after.attending.as_ref()),
                payer: after
                    .payer
                    .as_ref()
                    .and_then(|payer| serde_json::from_value::<Payer>(Value::from(&**payer)).ok()),
            },
        );
    } else if was == Some(stage) {
        return;
    } else {
        batch.say(
            one.slot,
            &EncounterStaged {
                encounter_id: after.id,
                from: was.map(|stage| stage.as_str().to_owned()),
                to: stage.as_str().to_owned(),
                at: at.clone(),
            },
        );
    }
    match stage {
        Stage::Requested if was != Some(Stage::BedReserved) => batch.say(
            one.slot,
            &AdmissionRequested {
                encounter_id: after.id,
                ward_class: after.ward_class.clone(),
                priority: after.priority.clone(),
            },
        ),
        Stage::Admitted if !matches!(was, Some(Stage::DischargeInitiated | Stage::Cleared)) => {
            batch.say(
                one.slot,
                &PatientAdmitted {
                    encounter_id: after.id,
                    at,
                    place: read::<Location>(after.location.as_ref()),
                    consultant: read::<Practitioner>(after.attending.as_ref()),
                    medico_legal: after.medico_legal.unwrap_or_default(),
                },
            );
        }
        Stage::Left => batch.say(
            one.slot,
            &PatientLeft {
                encounter_id: after.id,
                at,
                disposition: after.disposition.clone(),
            },
        ),
        _ => {}
    }
}

/// A hospital system ended what staff had not finished. It stands, and is listed.
pub(super) fn contradiction(
    one: &Reported<'_>,
    before: Option<&Encounter>,
    after: &Encounter,
) -> Option<Found> {
    let was = before.filter(|before| before.desk && one.desk.is_none())?;
    let reason = match (stage_of(was)?, stage_of(after)?) {
        (Stage::Admitted | Stage::DischargeInitiated, Stage::Left) => Reason::LeftWithGates,
        (
            Stage::Requested
            | Stage::BedReserved
            | Stage::Admitted
            | Stage::DischargeInitiated
            | Stage::Cleared,
            Stage::Cancelled,
        ) => Reason::CancelledElsewhere,
        _ => return None,
    };
    Some(Found {
        slot: one.slot,
        reason,
        encounter_key: after.encounter_key,
        encounter_id: Some(after.id),
        bed_key: Uuid::nil(),
        bed_id: None,
        place: None,
    })
}

/// Came into the house by this message, or left it.
pub(super) fn in_house(before: Option<&Encounter>, after: &Encounter) -> Option<InHouse> {
    let in_bed = |encounter: &Encounter| {
        matches!(
            stage_of(encounter),
            Some(Stage::Admitted | Stage::DischargeInitiated | Stage::Cleared)
        )
    };
    match (before.is_some_and(in_bed), in_bed(after)) {
        (false, true) => Some(InHouse::Came),
        (true, false) => Some(InHouse::Went),
        _ => None,
    }
}

/// See [`in_house`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InHouse {
    Came,
    Went,
}

fn stage_of(encounter: &Encounter) -> Option<Stage> {
    encounter.stage.as_deref().and_then(Stage::stored)
}

fn read<T: DeserializeOwned>(value: Option<&Value>) -> Option<T> {
    serde_json::from_value(value?.clone()).ok()
}
