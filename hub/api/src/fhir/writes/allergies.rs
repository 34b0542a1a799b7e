//! AllergyIntolerance: recorded, edited, brought into another state.

use hub_fhir::{AllergyRequest, read_allergy};
use schemas::chart::{self, Content, EntryAction, RecordAllergy};
use serde_json::Value;
use uuid::Uuid;

use super::change::Change;
use super::charts::{STATUS, Step, entry, take};
use super::{Desk, Made, refused};
use crate::auth::permission::{AllergiesWrite, Permission as _};
use crate::command::Written;
use crate::fhir::source::{Found, content};
use crate::problem::Problem;

pub(super) async fn record(desk: &Desk<'_>, json: &Value) -> Result<Made, Problem> {
    let asked = read_allergy(json).map_err(refused)?;
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
    let (subject, visit_number) = desk
        .chart(&asked.subject, asked.encounter, AllergiesWrite::NAME)
        .await?;
    let command = RecordAllergy {
        entry_id: Uuid::now_v7(),
        subject: subject.identifier.clone(),
        visit_number,
        allergy: asked.content,
        actor: desk.actor(),
    };
    desk.make(subject.aggregate(), &command, ("id", command.entry_id))
        .await
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
    let free: [&[&str]; 3] = [&["note"], &ALLERGY_CONTENT, &STATUS];
    let asked = change.read(&free, &["patient", "encounter"], read_allergy)?;
    let row = entry(desk, found, AllergiesWrite::NAME).await?;
    let stored: chart::Allergy = content(&row)?;
    let step = step(&change, &row.state, &stored.certainty)?;
    take(desk, &change, &row, step, || {
        Content::Allergy(edited(&change, stored, asked))
    })
    .await
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
