//! Observation: a value that staff measured or saw, entered; corrected or taken back. Values of one time are a round, of which
//! the worker makes the early warning score.

use hub_fhir::{read_correction, read_vital};
use schemas::rounds::{CorrectObservation, RecordObservations};
use serde_json::Value;
use uuid::Uuid;
use worker_clinical::queries;

use super::change::Change;
use super::{Desk, Made, compared, not_supported, refused, short};
use crate::auth::permission::{Permission as _, VitalsRead, VitalsRecord};
use crate::command::Written;
use crate::fhir::source::Found;
use crate::problem::Problem;
use crate::reads::chart::whose;

pub(super) async fn enter(desk: &Desk<'_>, json: &Value) -> Result<Made, Problem> {
    let asked = read_vital(json).map_err(refused)?;
    let (subject, visit_number) = desk
        .chart(&asked.subject, asked.encounter, VitalsRecord::NAME)
        .await?;
    let command = RecordObservations {
        keys: subject.all_keys(),
        visit_number,
        observed_at: asked.observed_at,
        values: vec![asked.value],
        scale: asked.oxygen_scale,
        birth_date: subject.birth_date.clone(),
        pregnant: asked.pregnant,
        subject: subject.identifier.clone(),
        actor: desk.actor(),
    };
    let answer = match desk.send(subject.aggregate(), &command).await? {
        Written::Pending(command) => return Ok(Made::Pending(command)),
        Written::Applied(answer) => answer.unwrap_or_default(),
    };
    let id = answer["observations"][0]
        .as_str()
        .ok_or_else(Problem::internal)?
        .to_owned();
    // the same value of the same term and time is the same observation
    Ok(if answer["created"] == false {
        Made::Stood(id)
    } else {
        Made::New(id)
    })
}

const VALUE: [&str; 2] = ["valueQuantity", "valueCodeableConcept"];

pub(super) async fn change(
    desk: &Desk<'_>,
    json: &Value,
    found: &Found,
) -> Result<Option<Written>, Problem> {
    if found.permission != VitalsRead::NAME {
        return Err(not_supported(
            "a result of the laboratory is amended over REST: /api/v1/reports/[id]/amend",
        ));
    }
    let change = Change::of(json, &found.resource)?;
    let free: [&[&str]; 2] = [&["status", "extension"], &VALUE];
    change.only(&free.concat())?;
    let (states, edits) = (change.differs(&["status"]), change.differs(&VALUE));
    let sent = &change.sent["status"];
    // that it is corrected is what the hub says of it then
    let fits = !states || sent == "entered-in-error" || (edits && sent == "corrected");
    if !fits {
        return Err(change.conflict(format!(
            "from {} the status can be changed to: entered-in-error",
            change.stands["status"].as_str().unwrap_or("unknown")
        )));
    }
    if sent == "entered-in-error" && edits {
        return Err(change.one_at_a_time());
    }
    if !states && !edits {
        return if change.differs(&["extension"]) {
            Err(not_supported("extensions are taken with a correction only"))
        } else {
            Ok(None)
        };
    }
    let asked = change.read(&free, &["code"], read_correction)?;
    let reason = short(desk.place("extension"), asked.reason)?.ok_or_else(|| {
        desk.wrong(
            "extension",
            format!("{} must say why, as its valueString", hub_fhir::REASON),
        )
    })?;
    let id: Uuid = found.resource.id.parse().map_err(|_| Problem::internal())?;
    let (aggregate, keys, version) = {
        let mut tx = desk.tx().await?;
        desk.opened(&mut tx, VitalsRecord::NAME, found.patient)
            .await?;
        let row = queries::current_vital(tx.conn(), id)
            .await?
            .ok_or_else(Problem::internal)?;
        compared(found, row.version)?;
        // what is on nobody's chart is on the worklist of measurements
        let subject = row
            .subject_key
            .ok_or_else(|| not_supported("it is on nobody's chart"))?;
        let keys = whose(&mut tx, subject).await?.1;
        (subject.to_string(), keys, i32::from(row.version))
    };
    let command = CorrectObservation {
        observation_id: id,
        keys: keys.into_keys().collect(),
        seen: Some(version),
        value: asked.value,
        reason,
        actor: desk.actor(),
    };
    desk.send(aggregate, &command).await.map(Some)
}
