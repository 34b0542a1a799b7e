//! Encounter: a visit begins, an admission is asked for; what else is known of one, and its end or cancellation where that is
//! one step. Who gives beds and lets patients go works over REST: those steps have no element of FHIR.

use hub_core::Tx;
use hub_fhir::{Subject, VisitChange, VisitKind, VisitRequest, read_visit, read_visit_change};
use schemas::Patch;
use schemas::patients::Identifier;
use schemas::stays::{
    ChangeEncounter, MoveEncounter, OpenEncounter, RequestAdmission, Step, VisitClass,
};
use serde_json::Value;
use uuid::Uuid;
use worker_clinical::queries::{self, EncounterRow};

use super::change::Change;
use super::{Desk, Made, compared, not_supported, refused, short};
use crate::auth::permission::{EncountersManage, Permission as _, StaysManage};
use crate::command::Written;
use crate::fhir::source::{Found, organization};
use crate::problem::Problem;
use crate::reads::chart;
use crate::routes::house::code;
use crate::routes::stays::{may_open, no_patient, patient, visit_number};

pub(super) async fn open(desk: &Desk<'_>, json: &Value) -> Result<Made, Problem> {
    let asked = read_visit(json).map_err(refused)?;
    if asked
        .organization
        .is_some_and(|id| id != organization(&desk.who.tenant))
    {
        return Err(desk.wrong(
            "serviceProvider",
            "must be the Organization of this server, or none",
        ));
    }
    let reason = short(desk.place("reasonCode"), asked.reason.clone())?;
    let number = visit_number(asked.visit_number.clone())
        .map_err(|problem| at(desk, "identifier", problem))?;
    let subject = {
        let mut tx = desk.tx().await?;
        may_open(&mut tx, desk.who, asked.department).await?;
        subject(&mut tx, &asked.subject).await?
    };
    let encounter_id = Uuid::now_v7();
    let made = ("encounter_id", encounter_id);
    let aggregate = subject.key.0.to_string();
    let VisitRequest {
        kind,
        department,
        attending,
        priority,
        payer,
        ward_class,
        medico_legal,
        at: begins,
        late_reason,
        ..
    } = asked;
    let class = match kind {
        VisitKind::Outpatient => VisitClass::Outpatient,
        VisitKind::Emergency => VisitClass::Emergency,
        VisitKind::Admission => {
            let ward_class = ward_class
                .map(|class| code("ward_class", &class))
                .transpose()
                .map_err(|problem| at(desk, "extension", problem))?;
            let command = RequestAdmission {
                encounter_id,
                subject,
                visit_number: number,
                department_id: department,
                ward_class,
                priority,
                reason: reason.unwrap_or_default(),
                consultant: attending,
                payer,
                medico_legal,
                at: begins,
                late_reason,
                actor: desk.actor(),
            };
            return desk.make(aggregate, &command, made).await;
        }
    };
    let command = OpenEncounter {
        encounter_id,
        subject,
        visit_number: number,
        department_id: department,
        class,
        practitioner: attending,
        reason,
        payer,
        at: begins,
        late_reason,
        actor: desk.actor(),
    };
    desk.make(aggregate, &command, made).await
}

/// A refusal of REST, at the place that the value has here.
fn at(desk: &Desk<'_>, member: &str, mut problem: Problem) -> Problem {
    for one in &mut problem.fields {
        one.field = desk.place(member);
    }
    problem
}

async fn subject(tx: &mut Tx<'_>, asked: &Subject) -> Result<Identifier, Problem> {
    match asked {
        Subject::Identifier(text) => patient(tx, text).await,
        Subject::Patient(id) => chart::subject(tx, *id)
            .await?
            .map(|subject| subject.identifier)
            .ok_or_else(no_patient),
    }
}

const FREE: [&str; 5] = [
    "status",
    "extension",
    "participant",
    "serviceType",
    "reasonCode",
];

pub(super) async fn change(
    desk: &Desk<'_>,
    json: &Value,
    found: &Found,
) -> Result<Option<Written>, Problem> {
    let change = Change::of(json, &found.resource)?;
    let free: [&[&str]; 1] = [&FREE];
    let asked = change.read(&free, &[], read_visit_change)?;
    let stands = read_visit_change(&change.before(&FREE)).map_err(|_| Problem::internal())?;
    if referrers(change.sent) != referrers(&change.stands) {
        return Err(not_supported(
            "who referred the patient is a source's word: leave it as it is",
        ));
    }
    if (&asked.department, &asked.ward_class) != (&stands.department, &stands.ward_class) {
        return Err(desk.wrong(
            "extension",
            "department and kind of ward can't be changed: leave them as they are",
        ));
    }
    let states = change.differs(&["status"]);
    let why = short(desk.place("extension"), asked.why.clone())?;
    let edits = VisitChange {
        why: None,
        ..asked.clone()
    } != stands;
    match (states, edits) {
        (false, false) if why.is_some() => {
            Err(not_supported("a reason is taken with a cancellation only"))
        }
        (false, false) => Ok(None),
        (true, true) => Err(change.one_at_a_time()),
        (false, true) => {
            if why.is_some() {
                return Err(desk.wrong("extension", "the hub keeps no reason of such a change"));
            }
            edit(desk, found, asked, &stands).await
        }
        (true, false) => step(desk, &change, found, why).await,
    }
}

fn referrers(encounter: &Value) -> Vec<&Value> {
    encounter["participant"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|one| one["type"][0]["coding"][0]["code"] == "REF")
        .collect()
}

/// The encounter that was compared, its chart opened, and all keys of its patient.
async fn known(
    desk: &Desk<'_>,
    found: &Found,
    permission: &'static str,
) -> Result<(EncounterRow, Vec<Uuid>), Problem> {
    let id: Uuid = found.resource.id.parse().map_err(|_| Problem::internal())?;
    let mut tx = desk.tx().await?;
    desk.opened(&mut tx, permission, found.patient).await?;
    let (row, _) = queries::encounter(tx.conn(), id)
        .await?
        .ok_or_else(Problem::internal)?;
    compared(found, row.version)?;
    let (_, keys) = chart::whose(&mut tx, row.subject_key).await?;
    Ok((row, keys.into_keys().collect()))
}

/// What is otherwise is set, or, where it is gone, deleted.
async fn edit(
    desk: &Desk<'_>,
    found: &Found,
    asked: VisitChange,
    stands: &VisitChange,
) -> Result<Option<Written>, Problem> {
    fn patch<T: PartialEq>(asked: Option<T>, stands: Option<&T>) -> Patch<T> {
        if asked.as_ref() == stands {
            Patch::Keep
        } else {
            asked.map_or(Patch::Clear, Patch::Set)
        }
    }
    let (row, _) = known(desk, found, EncountersManage::NAME).await?;
    let medico_legal =
        (asked.medico_legal != stands.medico_legal).then(|| asked.medico_legal.unwrap_or_default());
    let command = ChangeEncounter {
        encounter_id: row.id,
        attending: patch(asked.attending, stands.attending.as_ref()),
        service: patch(
            short(desk.place("serviceType"), asked.service)?,
            stands.service.as_ref(),
        ),
        reason: patch(
            short(desk.place("reasonCode"), asked.reason)?,
            stands.reason.as_ref(),
        ),
        payer: patch(asked.payer, stands.payer.as_ref()),
        expected_at: patch(asked.expected_at, stands.expected_at.as_ref()),
        medico_legal,
        version: Some(row.version),
        actor: desk.actor(),
    };
    desk.send(row.subject_key.to_string(), &command)
        .await
        .map(Some)
}

/// A step that the status says.
async fn step(
    desk: &Desk<'_>,
    change: &Change<'_>,
    found: &Found,
    why: Option<String>,
) -> Result<Option<Written>, Problem> {
    let class = change.stands["class"]["code"].as_str().unwrap_or_default();
    let (step, permission) = match (change.sent["status"].as_str(), why) {
        (Some("finished"), None) if matches!(class, "AMB" | "EMER") => {
            (Step::Finish, EncountersManage::NAME)
        }
        (Some("finished"), None) => {
            return Err(not_supported(format!(
                "a stay ends as its patient leaves, with the gates before it: /api/v1/encounters/{}/leave",
                found.resource.id
            )));
        }
        (Some("finished"), Some(_)) => {
            return Err(not_supported("a reason is taken with a cancellation only"));
        }
        (Some("cancelled"), Some(reason)) => (Step::Cancel { reason }, StaysManage::NAME),
        (Some("cancelled"), None) => {
            return Err(desk.wrong(
                "extension",
                format!("{} must say why, as its valueString", hub_fhir::REASON),
            ));
        }
        _ => {
            return Err(change.conflict(format!(
                "from {} the status can be changed to: finished (a visit), cancelled; other steps are taken over REST",
                change.stands["status"].as_str().unwrap_or("unknown")
            )));
        }
    };
    let (row, family) = known(desk, found, permission).await?;
    let command = MoveEncounter {
        encounter_id: row.id,
        step,
        at: None,
        late_reason: None,
        version: Some(row.version),
        family,
        actor: desk.actor(),
    };
    desk.send(row.subject_key.to_string(), &command)
        .await
        .map(Some)
}
