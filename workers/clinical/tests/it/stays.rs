//! Stays that staff lead over REST, and how they meet what hospital systems report (specs/hms-modules.md §1.9).

use hub_core::Verdict;
use schemas::Patch;
use schemas::care::{EncounterAction, EncounterReported, Location};
use schemas::house::{
    DefineBed, DefineDepartment, DefineFacility, DefineWard, bed_id, department_id, facility_id,
    ward_id,
};
use schemas::patients::Identifier;
use schemas::stays::{Disposition, Gate, MoveEncounter, Payer, RequestAdmission, Step};
use uuid::Uuid;
use worker_clinical::queries;

use super::beds::adt;
use super::placing::answer;
use super::support::{Ward, at, key, patient, said};

mod beds;
mod gates;
mod late;
mod register;
mod reported;
mod visits;

/// A hospital with the wards A (of MED) and ICU (of SUR), each with the beds 1 and 2.
async fn house() -> Ward {
    let ward = Ward::new().await;
    let facility = facility(&ward);
    let mut batch = vec![at(
        0,
        &DefineFacility {
            code: "HOSP".into(),
            name: "General Hospital".into(),
            zone: "Asia/Kolkata".into(),
            retired: false,
            version: Some(0),
            actor: "admin".into(),
        },
    )];
    for (code, name) in [("MED", "Medicine"), ("SUR", "Surgery")] {
        batch.push(at(
            0,
            &DefineDepartment {
                facility_id: facility,
                code: code.into(),
                name: name.into(),
                retired: false,
                version: Some(0),
                actor: "admin".into(),
            },
        ));
    }
    for (code, department) in [("A", "MED"), ("ICU", "SUR")] {
        batch.push(at(
            0,
            &DefineWard {
                facility_id: facility,
                department_id: department_id(&ward.tenant, facility, department),
                code: code.into(),
                name: format!("Ward {code}"),
                class: None,
                retired: false,
                version: Some(0),
                actor: "admin".into(),
            },
        ));
        for bed in ["1", "2"] {
            batch.push(at(0, &define_bed(&ward, code, bed)));
        }
    }
    for verdict in ward.apply(&batch).await {
        assert_eq!(answer(&verdict)["version"], 1);
    }
    ward
}

fn define_bed(ward: &Ward, of: &str, code: &str) -> DefineBed {
    DefineBed {
        ward_id: ward_id(&ward.tenant, facility(ward), of),
        code: code.into(),
        room: None,
        retired: false,
        version: Some(0),
        actor: "admin".into(),
    }
}

fn facility(ward: &Ward) -> Uuid {
    facility_id(&ward.tenant, "HOSP")
}

fn bed(ward: &Ward, of: &str, code: &str) -> Uuid {
    bed_id(
        &ward.tenant,
        ward_id(&ward.tenant, facility(ward), of),
        "",
        code,
    )
}

/// A bed as ADT messages name it.
fn place(of: &str, code: &str) -> Location {
    Location {
        point_of_care: Some(of.into()),
        bed: Some(code.into()),
        facility: Some("HOSP".into()),
        ..Location::default()
    }
}

fn inpatient(action: EncounterAction, who: &str, place: Option<Location>) -> EncounterReported {
    EncounterReported {
        class: Patch::Set("I".into()),
        ..adt(action, who, place)
    }
}

/// Patient `who` is to be admitted; the id of his stay.
async fn request(ward: &Ward, who: &str, payer: Payer) -> Uuid {
    request_of(ward, patient(who), payer).await
}

async fn request_of(ward: &Ward, subject: Identifier, payer: Payer) -> Uuid {
    let encounter_id = Uuid::now_v7();
    let command = RequestAdmission {
        encounter_id,
        subject,
        visit_number: None,
        department_id: department_id(&ward.tenant, facility(ward), "MED"),
        ward_class: None,
        priority: None,
        reason: "pneumonia".into(),
        consultant: None,
        payer: Some(payer),
        medico_legal: false,
        at: None,
        late_reason: None,
        actor: "doctor".into(),
    };
    let verdict = ward.apply_one(at(0, &command)).await;
    assert_eq!(
        said(&verdict),
        [
            "clinical.encounter.changed",
            "adt.encounter.opened",
            "adt.admission.requested"
        ]
    );
    encounter_id
}

fn step(encounter_id: Uuid, step: Step) -> MoveEncounter {
    MoveEncounter {
        encounter_id,
        step,
        at: None,
        late_reason: None,
        version: None,
        family: vec![],
        actor: "nurse".into(),
    }
}

async fn go(ward: &Ward, minute: i64, encounter: Uuid, what: Step) -> Verdict {
    ward.apply_one(at(minute, &step(encounter, what))).await
}

/// A step that must be possible; the stage that it leads to.
async fn goes(ward: &Ward, minute: i64, encounter: Uuid, what: Step) -> String {
    let verdict = go(ward, minute, encounter, what).await;
    answer(&verdict)["stage"].as_str().unwrap().to_owned()
}

fn refused(verdict: &Verdict) -> (&'static str, String) {
    match verdict {
        Verdict::Refused(refusal) => (refusal.code, refusal.detail.clone()),
        other => panic!("{other:?}"),
    }
}

async fn admitted(ward: &Ward, minute: i64, who: &str, bed_id: Uuid) -> Uuid {
    let encounter = request(ward, who, Payer::Oneself).await;
    assert_eq!(
        goes(ward, minute, encounter, Step::Admit { bed_id }).await,
        "admitted"
    );
    encounter
}

async fn state(ward: &Ward, bed_id: Uuid) -> String {
    let mut tx = ward.tx().await;
    queries::bed(tx.conn(), bed_id)
        .await
        .unwrap()
        .unwrap()
        .state
}

async fn seen(ward: &Ward, encounter: Uuid) -> queries::EncounterRow {
    let mut tx = ward.tx().await;
    queries::encounter(tx.conn(), encounter)
        .await
        .unwrap()
        .unwrap()
        .0
}

/// The stay of patient `who` that ADT made.
async fn of_adt(ward: &Ward, who: &str) -> Uuid {
    let mut tx = ward.tx().await;
    queries::encounters_for_subjects(
        tx.conn(),
        &[key(who).0],
        &queries::EncounterFilter::default(),
        queries::Page::first(1),
    )
    .await
    .unwrap()[0]
        .id
}

/// Differences, oldest first, as `reason state`.
async fn differences(ward: &Ward) -> Vec<String> {
    let mut tx = ward.tx().await;
    let mut rows = queries::differences(tx.conn(), None, None, 100)
        .await
        .unwrap();
    rows.reverse();
    rows.iter()
        .map(|row| format!("{} {}", row.reason, row.state))
        .collect()
}

/// Who has the bed now: the visit on the ward's board.
async fn has(ward: &Ward, of: &str, bed_id: Uuid) -> Option<Uuid> {
    let mut tx = ward.tx().await;
    queries::board(tx.conn(), ward_id(&ward.tenant, facility(ward), of))
        .await
        .unwrap()
        .into_iter()
        .find(|row| row.bed_id == Some(bed_id))
        .unwrap()
        .encounter_id
}

fn leave(disposition: Option<Disposition>) -> Step {
    Step::Leave {
        disposition,
        cause_of_death: None,
        form: None,
        note: None,
    }
}

fn home() -> Step {
    Step::InitiateDischarge {
        disposition: Disposition::Home,
        expected_at: None,
    }
}

fn clear(gate: Gate) -> Step {
    Step::ClearGate {
        gate,
        note: None,
        despite: None,
    }
}
