//! MedicationRequest: a prescription of one drug, drafted, edited, signed, dispensed elsewhere, ended.

use hub_fhir::{read_drug, read_signing};
use schemas::chart::{
    self, Content, DraftPrescription, EntryAction, PrescriptionLine, SignPrescription,
};
use serde_json::{Value, json};
use uuid::Uuid;
use worker_clinical::queries::ChartRow;

use super::change::Change;
use super::charts::{entry, send};
use super::{Desk, Made, not_supported, refused, short};
use crate::auth::permission::{Permission as _, PrescriptionsWrite};
use crate::command::Written;
use crate::fhir::source::{Found, content};
use crate::problem::Problem;
use crate::reads::chart::whose;

pub(super) async fn draft(desk: &Desk<'_>, json: &Value) -> Result<Made, Problem> {
    let asked = read_drug(json).map_err(refused)?;
    if asked.status != "draft" {
        return Err(desk.wrong(
            "status",
            "a new prescription is a draft: it is signed by an update, which runs the checks",
        ));
    }
    let (subject, visit_number) = desk
        .chart(&asked.subject, asked.encounter, PrescriptionsWrite::NAME)
        .await?;
    let command = DraftPrescription {
        entry_id: Uuid::now_v7(),
        subject: subject.identifier.clone(),
        visit_number,
        prescription: chart::Prescription {
            lines: vec![asked.line],
            remark: None,
            signature: None,
            checks: Vec::new(),
        },
        actor: desk.actor(),
    };
    let made = desk
        .make(subject.aggregate(), &command, ("id", command.entry_id))
        .await?;
    Ok(match made {
        // its one line
        Made::New(id) => Made::New(format!("{id}.1")),
        made => made,
    })
}

const CONTENT: [&str; 3] = ["medicationCodeableConcept", "dosageInstruction", "note"];

pub(super) async fn change(
    desk: &Desk<'_>,
    json: &Value,
    found: &Found,
) -> Result<Option<Written>, Problem> {
    let change = Change::of(json, &found.resource)?;
    let mut free = vec!["status", "statusReason", "extension"];
    free.extend(CONTENT);
    change.only(&free)?;
    let row = entry(desk, found, PrescriptionsWrite::NAME).await?;
    let stored: chart::Prescription = content(&row)?;
    let stated = change.differs(&["status"]);
    let edited = change.differs(&CONTENT);
    if !stated && !edited {
        return if change.differs(&["statusReason", "extension"]) {
            Err(not_supported(
                "statusReason and extensions are taken with a change of the status only",
            ))
        } else {
            Ok(None)
        };
    }
    let [line] = stored.lines.as_slice() else {
        return Err(not_supported(format!(
            "it is one of {} drugs of a prescription, which is changed as a whole: /api/v1/prescriptions/{}",
            stored.lines.len(),
            row.id
        )));
    };
    if stated && edited {
        return Err(change.one_at_a_time());
    }
    if edited {
        let line = edited_line(&change, &stored, line.clone())?;
        let content = Content::Prescription(chart::Prescription {
            lines: vec![line],
            remark: stored.remark,
            signature: None,
            checks: Vec::new(),
        });
        return send(desk, &row, EntryAction::Edit, Some(content), None).await;
    }
    if change.sent["status"] == "active" && change.stands["status"] == "draft" {
        return sign(desk, &change, &row).await;
    }
    if change.differs(&["extension"]) {
        return Err(not_supported("the extensions go with the signing only"));
    }
    let action = match change.sent["status"].as_str() {
        Some("completed") => EntryAction::Dispense,
        Some("cancelled") => EntryAction::Cancel,
        Some("stopped") => EntryAction::Stop,
        Some("entered-in-error") => EntryAction::Retract,
        _ => {
            return Err(change.conflict(format!(
                "from {} the status can be changed to: active (a draft), completed, cancelled, stopped, entered-in-error",
                change.stands["status"].as_str().unwrap_or("unknown")
            )));
        }
    };
    let reason = change.reason_in("statusReason")?;
    send(desk, &row, action, None, reason).await
}

/// What is not otherwise stays as it is stored: the text of a dosage is the hub's own, and is not read back.
fn edited_line(
    change: &Change<'_>,
    stored: &chart::Prescription,
    mut line: PrescriptionLine,
) -> Result<PrescriptionLine, Problem> {
    let mut taken = vec!["status", "intent", "subject", "encounter"];
    taken.extend(CONTENT);
    let mut sent = change.with_only(&taken);
    let dosage = change.differs(&["dosageInstruction"]);
    if !dosage {
        sent["dosageInstruction"] = json!([{ "text": line.frequency }]);
    }
    let asked = read_drug(&sent).map_err(refused)?.line;
    if change.differs(&["medicationCodeableConcept"]) {
        line.drug = asked.drug;
    }
    if dosage {
        line.dose = asked.dose;
        line.route = asked.route;
        line.frequency = asked.frequency;
        line.days = asked.days;
        line.as_needed = asked.as_needed;
    }
    if change.differs(&["note"]) {
        if stored.remark.is_some() {
            return Err(not_supported(
                "the note holds a remark about the whole prescription, which is changed over REST",
            ));
        }
        line.remark = asked.remark;
    }
    Ok(line)
}

/// The checks run now, as over REST; what could not be checked is said, and is signed only by who says that he looked himself.
async fn sign(
    desk: &Desk<'_>,
    change: &Change<'_>,
    row: &ChartRow,
) -> Result<Option<Written>, Problem> {
    let (accept_unchecked, reason) = read_signing(change.sent).map_err(refused)?;
    let keys = {
        let mut tx = desk.tx().await?;
        whose(&mut tx, row.subject_key).await?.1
    };
    let command = SignPrescription {
        entry_id: row.id,
        seen: Some(row.version),
        keys: keys.into_keys().collect(),
        accept_unchecked,
        override_reason: short(desk.place("extension"), reason)?,
        actor: desk.actor(),
    };
    desk.send(row.subject_key.to_string(), &command)
        .await
        .map(Some)
}
