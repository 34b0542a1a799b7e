//! AllergyIntolerance: recorded, edited, brought into another state.

use hub_fhir::{AllergyRequest, read_allergy};
use schemas::chart::{self, Content, EntryAction, RecordAllergy};
use serde_json::Value;
use uuid::Uuid;

use super::change::Change;
use super::charts::{STATUS, Step, entry, send};
use super::{Desk, Made};
use crate::auth::permission::{AllergiesWrite, Permission as _};
use crate::command::Written;
use crate::fhir::source::{Found, content};
use crate::problem::Problem;

pub(super) async fn record(desk: &Desk<'_>, json: &Value) -> Result<Made, Problem> {
    let asked = read_allergy(json).map_err(|issues| desk.refused(issues))?;
    if !matches!(
        asked.verification.as_deref(),
        None | Some("confirmed" | "unconfirmed")
    ) {
        return Err(desk.wrong(
            "verificationStatus",
            "a new allergy is confirmed or unconfirmed",
        ));
    }
    if !matches!(asked.clinical_status.as_deref(), None | Some("active")) {
        return Err(desk.wrong("clinicalStatus", "a new allergy is active"));
    }
    let mut tx = desk.tx().await?;
    let subject = desk
        .patient(&mut tx, &asked.subject, AllergiesWrite::NAME)
        .await?;
    let visit_number = desk
        .visit(&mut tx, asked.encounter, subject.patient)
        .await?;
    drop(tx);
    let command = RecordAllergy {
        entry_id: Uuid::now_v7(),
        subject: subject.identifier.clone(),
        visit_number,
        allergy: asked.content,
        actor: desk.actor(),
    };
    let made = desk
        .make(subject.aggregate(), &command, ("id", command.entry_id))
        .await?;
    Ok(made.named(|id| id.to_string()))
}

const ALLERGY_CONTENT: [&str; 5] = [
    "code",
    "category",
    "reaction",
    "onsetDateTime",
    "onsetString",
];

pub(super) async fn change(
    desk: &Desk<'_>,
    json: &Value,
    found: &Found,
) -> Result<Option<Written>, Problem> {
    let change = Change::of(json, &found.resource)?;
    let mut free = vec!["note"];
    free.extend(ALLERGY_CONTENT);
    free.extend(STATUS);
    change.only(&free)?;
    free.extend(["patient", "encounter"]);
    let asked = read_allergy(&change.with_only(&free)).map_err(|issues| desk.refused(issues))?;
    let mut tx = desk.tx().await?;
    let row = entry(desk, &mut tx, found, AllergiesWrite::NAME).await?;
    drop(tx);
    let stored: chart::Allergy = content(&row)?;
    match step(&change, &row.state, &stored.certainty)? {
        Step::Nothing => Ok(None),
        Step::Act(action) => send(desk, &row, action, None, change.reason_in_notes()?).await,
        Step::Edit => {
            let content = Content::Allergy(edited(&change, stored, asked));
            send(desk, &row, EntryAction::Edit, Some(content), None).await
        }
    }
}

fn edited(
    change: &Change<'_>,
    mut content: chart::Allergy,
    asked: AllergyRequest,
) -> chart::Allergy {
    if change.differs(&["code"]) {
        content.substance = asked.content.substance;
    }
    if change.differs(&["category"]) {
        content.category = asked.content.category;
    }
    if change.differs(&["reaction"]) {
        content.reactions = asked.content.reactions;
        content.severity = asked.content.severity;
    }
    if change.differs(&["onsetDateTime", "onsetString"]) {
        content.since = asked.content.since;
    }
    if change.differs_in_code(&["verificationStatus"]) {
        content.certainty = asked.content.certainty;
    }
    if change.differs(&["note"]) {
        content.remark = asked.content.remark;
    }
    content
}

fn step(change: &Change<'_>, state: &str, certainty: &str) -> Result<Step, Problem> {
    let clinical = change.code_sent("clinicalStatus");
    let verification = change.code_sent("verificationStatus");
    let certain = matches!(verification, Some("confirmed" | "unconfirmed"));
    // how certain it is, is content, as long as nothing else is said of its state
    let same_state = !change.differs_in_code(&["clinicalStatus"])
        && (!change.differs_in_code(&["verificationStatus"]) || (certain && state == "active"));
    if same_state {
        let edits = change.differs(&ALLERGY_CONTENT)
            || change.differs(&["note"])
            || change.differs_in_code(&["verificationStatus"]);
        return Ok(if edits { Step::Edit } else { Step::Nothing });
    }
    if change.differs(&ALLERGY_CONTENT) {
        return Err(change.one_at_a_time());
    }
    let as_certain = verification == Some(certainty);
    let action = match (state, clinical, verification) {
        (_, _, Some("entered-in-error")) => EntryAction::Retract,
        (_, _, Some("refuted")) => EntryAction::Refute,
        ("active", Some("resolved"), _) if as_certain => EntryAction::Resolve,
        ("resolved" | "refuted", Some("active"), _) if as_certain => EntryAction::Reactivate,
        _ => {
            return Err(change.conflict(format!(
                "the allergy is {state} and {certainty}: it can become resolved, refuted or entered-in-error, or active and \
                 {certainty} again"
            )));
        }
    };
    Ok(Step::Act(action))
}
