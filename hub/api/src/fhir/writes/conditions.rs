//! Condition: recorded, edited, brought into another state.

use hub_fhir::{ConditionRequest, read_condition};
use schemas::chart::{self, Content, EntryAction, RecordCondition};
use serde_json::Value;
use uuid::Uuid;

use super::change::Change;
use super::charts::{STATUS, Step, entry, take};
use super::{Desk, Made, refused};
use crate::auth::permission::{ConditionsWrite, Permission as _};
use crate::command::Written;
use crate::fhir::source::{Found, content};
use crate::problem::Problem;

pub(super) async fn record(desk: &Desk<'_>, json: &Value) -> Result<Made, Problem> {
    let asked = read_condition(json).map_err(refused)?;
    let confirmed = match asked.verification.as_deref() {
        None | Some("provisional") => false,
        Some("confirmed") => true,
        Some(_) => {
            return Err(desk.wrong(
                "verificationStatus",
                "a new condition is provisional or confirmed",
            ));
        }
    };
    // what has an end is over: then, and only then, it may say so
    let fits = match asked.clinical_status.as_deref() {
        None => true,
        Some("active") => asked.content.until.is_none(),
        Some("resolved") => asked.content.until.is_some(),
        Some(_) => false,
    };
    if !fits {
        return Err(desk.wrong(
            "clinicalStatus",
            "a new condition is active, or, with an abatement, resolved",
        ));
    }
    let (subject, visit_number) = desk
        .chart(&asked.subject, asked.encounter, ConditionsWrite::NAME)
        .await?;
    let command = RecordCondition {
        entry_id: Uuid::now_v7(),
        subject: subject.identifier.clone(),
        visit_number,
        condition: asked.content,
        confirmed,
        actor: desk.actor(),
    };
    desk.make(subject.aggregate(), &command, ("id", command.entry_id))
        .await
}

const CONDITION_CONTENT: [&str; 3] = ["code", "onsetDateTime", "onsetString"];
const ABATEMENT: [&str; 2] = ["abatementDateTime", "abatementString"];

pub(super) async fn change(
    desk: &Desk<'_>,
    json: &Value,
    found: &Found,
) -> Result<Option<Written>, Problem> {
    let change = Change::of(json, &found.resource)?;
    let free: [&[&str]; 4] = [&["note"], &CONDITION_CONTENT, &ABATEMENT, &STATUS];
    let beside = ["subject", "encounter", "category"];
    let asked = change.read(&free, &beside, read_condition)?;
    let row = entry(desk, found, ConditionsWrite::NAME).await?;
    let stored: chart::Condition = content(&row)?;
    let step = step(&change, &row.state)?;
    take(desk, &change, &row, step, || {
        Content::Condition(edited(&change, stored, asked))
    })
    .await
}

/// What is not otherwise stays as it is stored, which may be more than FHIR shows.
fn edited(
    change: &Change<'_>,
    mut content: chart::Condition,
    asked: ConditionRequest,
) -> chart::Condition {
    if change.differs(&["code"]) {
        content.code = asked.content.code;
        content.text = asked.content.text;
    }
    if change.differs(&["onsetDateTime", "onsetString"]) {
        content.since = asked.content.since;
    }
    if change.differs(&ABATEMENT) {
        content.until = asked.content.until;
    }
    if change.differs(&["note"]) {
        content.remark = asked.content.remark;
    }
    content
}

fn step(change: &Change<'_>, state: &str) -> Result<Step, Problem> {
    let clinical = change.code_sent("clinicalStatus");
    let verification = change.code_sent("verificationStatus");
    if change.differs(&ABATEMENT) {
        let over = ABATEMENT.iter().any(|name| !change.sent[*name].is_null());
        // with an end it is over, without one it is not: con-4
        let fits = match clinical {
            None => true,
            Some("resolved") => over,
            Some("active") => !over,
            Some(_) => false,
        };
        if !fits || change.differs_in_code(&["verificationStatus"]) {
            return Err(change.conflict(
                "with an abatement the clinicalStatus is resolved, without one active; the verificationStatus stays",
            ));
        }
        return Ok(Step::Edit);
    }
    if !change.differs_in_code(&STATUS) {
        let edits = change.differs(&CONDITION_CONTENT) || change.differs(&["note"]);
        return Ok(if edits { Step::Edit } else { Step::Nothing });
    }
    if change.differs(&CONDITION_CONTENT) {
        return Err(change.one_at_a_time());
    }
    let action = match (state, clinical, verification) {
        (_, _, Some("entered-in-error")) => EntryAction::Retract,
        (_, _, Some("refuted")) => EntryAction::Refute,
        (_, Some("resolved"), _) => EntryAction::Resolve,
        ("provisional", None | Some("active"), Some("confirmed")) => EntryAction::Confirm,
        ("refuted", None | Some("active"), Some("provisional"))
        | ("resolved", None | Some("active"), None | Some("confirmed")) => EntryAction::Reactivate,
        _ => {
            return Err(change.conflict(format!(
                "the condition is {state}: its states are provisional, confirmed, resolved, refuted and entered-in-error, and what \
                 is refuted becomes provisional again, what is resolved confirmed"
            )));
        }
    };
    Ok(Step::Act(action))
}

#[cfg(test)]
mod tests {
    use hub_fhir::{Condition, Meta, Resource};
    use serde_json::json;

    use super::*;

    fn condition(clinical: &str, verification: Option<&str>) -> Resource {
        Condition {
            id: Uuid::nil(),
            meta: Meta::new(1, time::OffsetDateTime::UNIX_EPOCH),
            patient: None,
            encounter: None,
            code: None,
            text: Some("Hypertension".to_owned()),
            clinical_status: Some(clinical.to_owned()),
            verification: verification.map(str::to_owned),
            category: None,
            onset: None,
            abated: None,
            recorded_at: None,
            recorded_by: None,
            notes: Vec::new(),
        }
        .resource()
    }

    fn coded(code: &str) -> Value {
        json!({ "coding": [{ "code": code }] })
    }

    #[test]
    fn each_change_of_a_condition_is_one_step_or_refused() {
        let stands = condition("active", Some("provisional"));
        let before = stands.json().clone();
        let came_to = |members: &[(&str, Value)]| {
            let mut sent = before.clone();
            for (name, value) in members {
                sent[*name] = value.clone();
            }
            let change = Change::of(&sent, &stands).unwrap();
            step(&change, "provisional").map_err(|problem| problem.code.into_owned())
        };
        let none = Value::Null;
        let conflict = Err("fhir.status_conflict".to_owned());
        for (members, expected) in [
            (vec![], Ok(Step::Nothing)),
            (
                vec![("code", json!({ "text": "High blood pressure" }))],
                Ok(Step::Edit),
            ),
            (vec![("note", json!([{ "text": "diet" }]))], Ok(Step::Edit)),
            (
                vec![("verificationStatus", coded("confirmed"))],
                Ok(Step::Act(EntryAction::Confirm)),
            ),
            (
                vec![
                    ("verificationStatus", coded("refuted")),
                    ("clinicalStatus", coded("inactive")),
                ],
                Ok(Step::Act(EntryAction::Refute)),
            ),
            (
                vec![
                    ("verificationStatus", coded("entered-in-error")),
                    ("clinicalStatus", none.clone()),
                ],
                Ok(Step::Act(EntryAction::Retract)),
            ),
            (
                vec![("clinicalStatus", coded("resolved"))],
                Ok(Step::Act(EntryAction::Resolve)),
            ),
            (
                vec![
                    ("clinicalStatus", coded("resolved")),
                    ("abatementDateTime", json!("2026-01")),
                ],
                Ok(Step::Edit),
            ),
            (
                vec![("abatementDateTime", json!("2026-01"))],
                conflict.clone(),
            ),
            (vec![("clinicalStatus", coded("remission"))], conflict),
            (
                vec![
                    ("clinicalStatus", coded("resolved")),
                    ("code", json!({ "text": "x" })),
                ],
                Err("fhir.not_supported".to_owned()),
            ),
        ] {
            assert_eq!(came_to(&members), expected, "{members:?}");
        }
    }
}
