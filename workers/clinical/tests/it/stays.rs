//! Stays that staff lead over REST, and how they meet what hospital systems report (specs/hms-modules.md §1.9).

use hub_core::Verdict;
use schemas::care::EncounterAction::{self, *};
use schemas::care::{EncounterReported, Location, OrderControl};
use schemas::house::{
    BedState, DefineBed, DefineDepartment, DefineFacility, DefineWard, SetBedState, bed_id,
    department_id, facility_id, ward_id,
};
use schemas::patients::Identifier;
use schemas::stays::{
    ChangeEncounter, Disposition, Gate, MoveEncounter, OpenEncounter, Payer, RequestAdmission,
    ResolveDifference, Step, VisitClass,
};
use schemas::{Body, Patch};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;
use worker_clinical::queries;

use super::beds::adt;
use super::placing::answer;
use super::support::{Ward, at, key, minutes, order, patient, said};

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

#[tokio::test]
async fn a_stay_of_staff_is_the_same_row_as_one_of_a_hospital_system() {
    let ward = house().await;
    let stay = admitted(&ward, 5, "1", bed(&ward, "A", "1")).await;
    let verdict = ward
        .apply_one(at(5, &inpatient(Admitted, "2", Some(place("A", "2")))))
        .await;
    for name in [
        "adt.encounter.opened",
        "adt.patient.admitted",
        "adt.bed.assigned",
        "adt.bed.state_changed",
    ] {
        assert!(said(&verdict).contains(&name), "{name}");
    }
    let other = of_adt(&ward, "2").await;
    let mut tx = ward.tx().await;
    for (id, code) in [(stay, "1"), (other, "2")] {
        let (row, places) = queries::encounter(tx.conn(), id).await.unwrap().unwrap();
        assert_eq!(row.class.as_deref(), Some("I"));
        assert_eq!(
            (row.status.as_str(), row.stage.as_deref()),
            ("in_progress", Some("admitted"))
        );
        assert_eq!(row.started_at, Some(minutes(5)));
        assert_eq!(row.location.unwrap()["bed"], code);
        assert_eq!(places.len(), 1);
        assert_eq!(places[0].status, "active");
        let beds = queries::stays_in_beds(tx.conn(), id, None).await.unwrap();
        assert_eq!(beds.len(), 1);
        assert_eq!(beds[0].bed_id, Some(bed(&ward, "A", code)));
        assert!(beds[0].open);
        assert_eq!(beds[0].zone, "Asia/Kolkata");
    }
    drop(tx);
    for code in ["1", "2"] {
        assert_eq!(state(&ward, bed(&ward, "A", code)).await, "occupied");
    }
    // and either goes on with the steps of staff, and with ADT
    assert_eq!(goes(&ward, 9, other, home()).await, "discharge_initiated");
    let visit = seen(&ward, stay).await.visit_number.unwrap();
    let mut gone = inpatient(Discharged, "1", None);
    gone.visit_number = Some(visit);
    ward.apply_one(at(20, &gone)).await;
    assert_eq!(seen(&ward, stay).await.stage.as_deref(), Some("left"));
    assert_eq!(state(&ward, bed(&ward, "A", "1")).await, "cleaning");
}

#[tokio::test]
async fn ip3_a_bed_is_the_patients_until_he_has_physically_left() {
    let ward = house().await;
    let bed_id = bed(&ward, "A", "1");
    let stay = admitted(&ward, 1, "1", bed_id).await;
    assert_eq!(goes(&ward, 10, stay, home()).await, "discharge_initiated");
    assert_eq!(state(&ward, bed_id).await, "occupied");
    // going home needs all gates
    let (code, detail) = refused(&go(&ward, 11, stay, leave(None)).await);
    assert_eq!(code, "adt.gates_conflict");
    for part in [
        "clinical, pharmacy, billing",
        "from: discharge_initiated",
        "allowed: ",
    ] {
        assert!(detail.contains(part), "{detail}");
    }
    assert!(!detail.contains("tpa"), "he pays himself: {detail}");
    assert_eq!(
        goes(&ward, 12, stay, clear(Gate::Clinical)).await,
        "discharge_initiated"
    );
    assert_eq!(
        goes(&ward, 13, stay, clear(Gate::Pharmacy)).await,
        "discharge_initiated"
    );
    assert_eq!(
        refused(&go(&ward, 13, stay, clear(Gate::Pharmacy)).await).0,
        "adt.gate_closed"
    );
    let verdict = go(&ward, 14, stay, clear(Gate::Billing)).await;
    assert_eq!(
        said(&verdict),
        [
            "clinical.encounter.changed",
            "adt.encounter.staged",
            "adt.discharge.gate_cleared"
        ]
    );
    assert_eq!(seen(&ward, stay).await.stage.as_deref(), Some("cleared"));
    assert_eq!(
        state(&ward, bed_id).await,
        "occupied",
        "cleared is not gone"
    );
    let other = request(&ward, "2", Payer::Oneself).await;
    assert_eq!(
        refused(&go(&ward, 15, other, Step::Admit { bed_id }).await).0,
        "adt.bed_conflict"
    );
    let verdict = go(&ward, 20, stay, leave(None)).await;
    for name in [
        "adt.patient.left",
        "adt.bed.state_changed",
        "adt.bed.assigned",
    ] {
        assert!(said(&verdict).contains(&name), "{name}");
    }
    assert_eq!(state(&ward, bed_id).await, "cleaning");
    let row = seen(&ward, stay).await;
    assert_eq!(
        (row.status.as_str(), row.disposition.as_deref()),
        ("finished", Some("home"))
    );
    assert_eq!(row.ended_at, Some(minutes(20)));
    // not ready for the next before housekeeping says so
    assert_eq!(
        refused(&go(&ward, 21, other, Step::Admit { bed_id }).await).0,
        "adt.bed_conflict"
    );
    let clean = SetBedState {
        bed_id,
        to: BedState::Vacant,
        reason: None,
        version: None,
        actor: "housekeeping".into(),
    };
    ward.apply_one(at(22, &clean)).await;
    assert_eq!(
        goes(&ward, 23, other, Step::Admit { bed_id }).await,
        "admitted"
    );
    assert_eq!(goes(&ward, 24, stay, Step::Close).await, "closed");
}

#[tokio::test]
async fn ip4_open_orders_stand_before_the_clinical_gate_and_cancelled_ones_do_not() {
    let ward = house().await;
    let stay = admitted(&ward, 1, "1", bed(&ward, "A", "1")).await;
    let mut open = order(OrderControl::New, "O1");
    open.visit_number = seen(&ward, stay).await.visit_number;
    let mut cancelled = open.clone();
    cancelled.placer_number = Some("O2".into());
    let mut of_an_older_visit = open.clone();
    of_an_older_visit.placer_number = Some("O3".into());
    of_an_older_visit.visit_number = Some("V-OLD".into());
    ward.apply(&[at(2, &open), at(2, &cancelled), at(2, &of_an_older_visit)])
        .await;
    cancelled.control = OrderControl::Cancelled;
    ward.apply_one(at(3, &cancelled)).await;
    goes(&ward, 4, stay, home()).await;
    let mut tx = ward.tx().await;
    let before = queries::blocking(tx.conn(), stay).await.unwrap();
    drop(tx);
    assert_eq!(before.len(), 1, "{before:?}");
    let (code, detail) = refused(&go(&ward, 5, stay, clear(Gate::Clinical)).await);
    assert_eq!(code, "adt.gate_conflict");
    assert!(
        detail.contains(&format!("/api/v1/orders/{}", before[0].order_id)),
        "{detail}"
    );
    // with a reason on record it is the doctor's to say
    let despite = Step::ClearGate {
        gate: Gate::Clinical,
        note: None,
        despite: Some("result follows by post".into()),
    };
    goes(&ward, 6, stay, despite).await;
    assert_eq!(
        ward.count(
            "select count(*) from audit.entries where action = 'adt.encounter.move' and detail::text like '%by post%'"
        )
        .await,
        1
    );
}

#[tokio::test]
async fn ip5_of_two_who_want_one_bed_at_once_one_is_refused() {
    let ward = house().await;
    let bed_id = bed(&ward, "A", "1");
    let one = request(&ward, "1", Payer::Oneself).await;
    let two = request(&ward, "2", Payer::Oneself).await;
    // in two transactions that do not see each other
    let (mut first, mut second) = (ward.tx().await, ward.tx().await);
    use hub_core::Worker as _;
    let batch = [at(5, &step(one, Step::Admit { bed_id }))];
    let verdict = ward.worker.apply(&mut first, &batch).await.unwrap();
    assert!(matches!(verdict[0], Verdict::Applied { .. }));
    let batch = [at(5, &step(two, Step::Admit { bed_id }))];
    let (verdict, ()) = tokio::join!(ward.worker.apply(&mut second, &batch), async {
        // the second waits for the first: there is nothing to see of it before
        tokio::task::yield_now().await;
        first.commit().await.unwrap();
    });
    let (code, detail) = refused(&verdict.unwrap()[0]);
    second.commit().await.unwrap();
    assert_eq!(code, "adt.bed_conflict");
    for part in ["from: occupied", "to: occupied", "allowed: "] {
        assert!(detail.contains(part), "{detail}");
    }
    assert_eq!(has(&ward, "A", bed_id).await, Some(one));
    // what was refused left no trace
    let row = seen(&ward, two).await;
    assert_eq!((row.stage.as_deref(), row.version), (Some("requested"), 1));
    let mut tx = ward.tx().await;
    assert!(
        queries::stays_in_beds(tx.conn(), two, None)
            .await
            .unwrap()
            .is_empty()
    );
    drop(tx);
    // and in one batch
    let three = request(&ward, "3", Payer::Oneself).await;
    let bed_id = bed(&ward, "A", "2");
    let verdicts = ward
        .apply(&[
            at(6, &step(two, Step::Admit { bed_id })),
            at(6, &step(three, Step::Admit { bed_id })),
        ])
        .await;
    assert!(matches!(verdicts[0], Verdict::Applied { .. }));
    assert_eq!(refused(&verdicts[1]).0, "adt.bed_conflict");
}

#[tokio::test]
async fn ip6_transfers_of_a_day_leave_neither_gap_nor_overlap() {
    let ward = house().await;
    let beds = [("A", "1"), ("ICU", "1"), ("A", "2")].map(|(of, code)| bed(&ward, of, code));
    let stay = admitted(&ward, 0, "1", beds[0]).await;
    for (minute, bed_id) in [(60, beds[1]), (120, beds[2])] {
        let to = Step::Transfer {
            bed_id,
            reason: None,
        };
        assert_eq!(goes(&ward, minute, stay, to).await, "admitted");
    }
    let rows: Vec<(Uuid, OffsetDateTime, Option<OffsetDateTime>)> = {
        let mut tx = ward.tx().await;
        sqlx::query_as(
            "select bed_id, lower(period), upper(period) from clinical.bed_assignments where not void order by 2",
        )
        .fetch_all(tx.conn())
        .await
        .unwrap()
    };
    assert_eq!(
        rows,
        [
            (beds[0], minutes(0), Some(minutes(60))),
            (beds[1], minutes(60), Some(minutes(120))),
            (beds[2], minutes(120), None),
        ]
    );
    assert_eq!(state(&ward, beds[0]).await, "cleaning");
    assert_eq!(state(&ward, beds[2]).await, "occupied");
    let back = |bed_id| Step::Transfer {
        bed_id,
        reason: None,
    };
    assert_eq!(
        refused(&go(&ward, 130, stay, back(beds[2])).await).0,
        "adt.bed_same"
    );
    // nothing is put before what was said last
    assert_eq!(
        refused(&go(&ward, 110, stay, back(bed(&ward, "ICU", "2"))).await).0,
        "adt.time_conflict"
    );
}

#[tokio::test]
async fn a_bed_is_kept_for_one_patient_and_let_go() {
    let ward = house().await;
    let (first, second) = (bed(&ward, "A", "1"), bed(&ward, "A", "2"));
    let one = request(&ward, "1", Payer::Oneself).await;
    let two = request(&ward, "2", Payer::Oneself).await;
    let keep = |bed_id| Step::Reserve { bed_id };
    assert_eq!(goes(&ward, 1, one, keep(first)).await, "bed_reserved");
    assert_eq!(state(&ward, first).await, "reserved");
    assert_eq!(
        refused(&go(&ward, 2, two, keep(first)).await).0,
        "adt.bed_conflict"
    );
    let (code, detail) = refused(&go(&ward, 2, two, Step::Admit { bed_id: first }).await);
    assert_eq!(code, "adt.bed_conflict");
    assert!(detail.contains("from: reserved"), "{detail}");
    // another one instead
    assert_eq!(goes(&ward, 3, one, keep(second)).await, "bed_reserved");
    assert_eq!(state(&ward, first).await, "vacant");
    assert_eq!(goes(&ward, 4, one, Step::Release).await, "requested");
    assert_eq!(state(&ward, second).await, "vacant");
    goes(&ward, 5, one, keep(second)).await;
    assert_eq!(
        goes(&ward, 6, one, Step::Admit { bed_id: second }).await,
        "admitted"
    );
    assert_eq!(state(&ward, second).await, "occupied");
    goes(&ward, 7, two, keep(first)).await;
    let cancel = Step::Cancel {
        reason: "went elsewhere".into(),
    };
    assert_eq!(goes(&ward, 8, two, cancel).await, "cancelled");
    assert_eq!(state(&ward, first).await, "vacant");
}

/// specs/hms-modules.md §0.8
#[tokio::test]
async fn what_is_told_late_is_told_with_its_reason_and_not_of_the_founder_s_days() {
    let ward = house().await;
    let stay = request(&ward, "1", Payer::Oneself).await;
    // of two stays that were asked for at noon, three days later
    let day = 24 * 60;
    let now = 3 * day;
    let admit = |back: i64, late_reason: Option<&str>| MoveEncounter {
        at: Some(minutes(now - back).format(&Rfc3339).unwrap()),
        late_reason: late_reason.map(str::to_owned),
        ..step(
            stay,
            Step::Admit {
                bed_id: bed(&ward, "A", "1"),
            },
        )
    };
    for (back, reason) in [
        (day + 1, None),
        (day + 1, Some("  ")),
        (4_000 * day, Some("carried over")),
    ] {
        let refusal = refused(&ward.apply_one(at(now, &admit(back, reason))).await);
        assert_eq!(refusal.0, "adt.time_late", "{back} {reason:?}");
    }
    let founder = MoveEncounter {
        at: Some("0001-01-01T00:00:00Z".into()),
        ..admit(0, Some("carried over"))
    };
    let refusal = refused(&ward.apply_one(at(now, &founder)).await);
    assert_eq!(refusal.0, "clinical.time");
    let told = ward
        .apply_one(at(now, &admit(day + 1, Some("the network was down"))))
        .await;
    assert_eq!(answer(&told)["stage"], "admitted");
    let mut tx = ward.tx().await;
    let kept: Option<String> = sqlx::query_scalar(
        "select detail ->> 'late_reason' from audit.entries where action = $1 and object = $2",
    )
    .bind(MoveEncounter::NAME)
    .bind(format!("encounter:{stay}"))
    .fetch_one(tx.conn())
    .await
    .unwrap();
    assert_eq!(kept.as_deref(), Some("the network was down"));
    drop(tx);
    // within the day nobody is asked why
    let other = request(&ward, "2", Payer::Oneself).await;
    let in_time = MoveEncounter {
        encounter_id: other,
        step: Step::Admit {
            bed_id: bed(&ward, "A", "2"),
        },
        ..admit(day - 1, None)
    };
    assert_eq!(
        answer(&ward.apply_one(at(now, &in_time)).await)["stage"],
        "admitted"
    );
    // a visit and a request for admission likewise
    let visit = OpenEncounter {
        encounter_id: Uuid::now_v7(),
        subject: patient("3"),
        visit_number: None,
        department_id: department_id(&ward.tenant, facility(&ward), "MED"),
        class: VisitClass::Outpatient,
        practitioner: None,
        reason: None,
        payer: None,
        at: Some(minutes(now - 2 * day).format(&Rfc3339).unwrap()),
        late_reason: None,
        actor: "desk".into(),
    };
    assert_eq!(
        refused(&ward.apply_one(at(now, &visit)).await).0,
        "adt.time_late"
    );
}

#[tokio::test]
async fn a_patient_is_admitted_once_by_whichever_of_his_numbers() {
    let ward = house().await;
    let first = admitted(&ward, 1, "1", bed(&ward, "A", "1")).await;
    let admit = Step::Admit {
        bed_id: bed(&ward, "A", "2"),
    };
    let again = request(&ward, "1", Payer::Oneself).await;
    let (code, detail) = refused(&go(&ward, 2, again, admit.clone()).await);
    assert_eq!(code, "adt.already_admitted");
    assert!(detail.contains(&first.to_string()), "{detail}");
    // by another number of the same person
    let other = request(&ward, "1-OLD", Payer::Oneself).await;
    let command = MoveEncounter {
        family: vec![key("1").0, key("1-OLD").0],
        ..step(other, admit)
    };
    assert_eq!(
        refused(&ward.apply_one(at(3, &command)).await).0,
        "adt.already_admitted"
    );
}

#[tokio::test]
async fn out_patients_have_tokens_of_their_department_and_go_from_token_to_done() {
    let ward = house().await;
    let open = |who: &str| OpenEncounter {
        encounter_id: Uuid::now_v7(),
        subject: patient(who),
        visit_number: None,
        department_id: department_id(&ward.tenant, facility(&ward), "MED"),
        class: VisitClass::Outpatient,
        practitioner: None,
        reason: None,
        payer: None,
        at: None,
        late_reason: None,
        actor: "desk".into(),
    };
    let commands: Vec<OpenEncounter> = ["1", "2", "3"].map(open).into();
    let batch: Vec<_> = commands.iter().map(|command| at(0, command)).collect();
    let tokens: Vec<i64> = ward
        .apply(&batch)
        .await
        .iter()
        .map(|verdict| answer(verdict)["token"].as_i64().unwrap())
        .collect();
    assert_eq!(tokens, [1, 2, 3]);
    let [one, two, three] = [0, 1, 2].map(|n| commands[n].encounter_id);
    assert_eq!(goes(&ward, 1, one, Step::Call).await, "called");
    assert_eq!(
        goes(&ward, 2, one, Step::StartConsultation).await,
        "in_consult"
    );
    assert_eq!(goes(&ward, 3, one, Step::Finish).await, "done");
    assert_eq!(seen(&ward, one).await.status, "finished");
    assert_eq!(goes(&ward, 3, two, Step::NoShow).await, "no_show");
    assert_eq!(seen(&ward, two).await.status, "cancelled");
    assert_eq!(goes(&ward, 4, two, Step::Requeue).await, "token");
    assert_eq!(seen(&ward, two).await.status, "in_progress");
    let (code, detail) = refused(&go(&ward, 5, three, Step::Finish).await);
    assert_eq!(code, "adt.stage_conflict");
    assert!(
        detail
            .contains("from: token; to: done; allowed: call, start_consultation, no_show, cancel"),
        "{detail}"
    );
    let mut tx = ward.tx().await;
    let day = time::macros::date!(2026 - 03 - 01);
    let department = department_id(&ward.tenant, facility(&ward), "MED");
    let queue = queries::queue(tx.conn(), department, Some(day), 1, 10)
        .await
        .unwrap();
    assert_eq!(
        queue.iter().map(|row| row.token).collect::<Vec<_>>(),
        [Some(2), Some(3)]
    );
}

#[tokio::test]
async fn an_adt_transfer_into_an_occupied_bed_is_listed_and_followed_when_the_bed_is_free() {
    let ward = house().await;
    let bed_id = bed(&ward, "A", "1");
    let stay = admitted(&ward, 1, "1", bed_id).await;
    let verdict = ward
        .apply_one(at(10, &inpatient(Admitted, "2", Some(place("A", "1")))))
        .await;
    assert!(said(&verdict).contains(&"adt.difference.found"));
    assert_eq!(differences(&ward).await, ["bed_occupied open"]);
    // the hospital system's word stands on the encounter; the register keeps its patient
    let other = of_adt(&ward, "2").await;
    assert_eq!(seen(&ward, other).await.location.unwrap()["bed"], "1");
    assert_eq!(has(&ward, "A", bed_id).await, Some(stay));
    let elsewhere = {
        let mut tx = ward.tx().await;
        queries::in_ward_elsewhere(tx.conn(), "HOSP", "A")
            .await
            .unwrap()
    };
    assert_eq!(elsewhere.len(), 1);
    assert_eq!(elsewhere[0].encounter_id, Some(other));
    // said again it is the same item
    ward.apply_one(at(11, &inpatient(Updated, "2", Some(place("A", "1")))))
        .await;
    assert_eq!(differences(&ward).await, ["bed_occupied open"]);
    goes(
        &ward,
        20,
        stay,
        Step::Transfer {
            bed_id: bed(&ward, "ICU", "1"),
            reason: None,
        },
    )
    .await;
    // his from when it was free
    assert_eq!(has(&ward, "A", bed_id).await, Some(other));
    assert_eq!(state(&ward, bed_id).await, "occupied");
    assert_eq!(differences(&ward).await, ["bed_occupied settled"]);
    assert_eq!(
        ward.text("select string_agg(to_char(lower(period) at time zone 'UTC', 'HH24:MI-') || coalesce(to_char(upper(period) at time zone 'UTC', 'HH24:MI'), ''), ' ' order by period) \
            from clinical.bed_assignments where not void and bed_id in (select bed_id from clinical.adt_differences)")
            .await,
        "12:01-12:20 12:20-"
    );
    ward.apply_one(at(30, &inpatient(Discharged, "2", None)))
        .await;
    assert_eq!(has(&ward, "A", bed_id).await, None);
    assert_eq!(state(&ward, bed_id).await, "cleaning");
}

#[tokio::test]
async fn an_unknown_bed_is_taken_as_text_listed_once_and_known_when_it_is_defined() {
    let ward = house().await;
    ward.apply_one(at(1, &inpatient(Admitted, "1", Some(place("A", "9")))))
        .await;
    ward.apply_one(at(2, &inpatient(Admitted, "2", Some(place("A", "9")))))
        .await;
    assert_eq!(differences(&ward).await, ["bed_unknown open"]);
    let stay = of_adt(&ward, "1").await;
    assert_eq!(seen(&ward, stay).await.location.unwrap()["bed"], "9");
    ward.apply_one(at(3, &inpatient(Transferred, "2", Some(place("A", "2")))))
        .await;
    ward.apply_one(at(4, &define_bed(&ward, "A", "9"))).await;
    assert_eq!(differences(&ward).await, ["bed_unknown settled"]);
    assert_eq!(has(&ward, "A", bed(&ward, "A", "9")).await, Some(stay));
    assert_eq!(state(&ward, bed(&ward, "A", "9")).await, "occupied");
}

#[tokio::test]
async fn without_a_register_of_beds_nothing_is_compared() {
    let ward = Ward::new().await;
    ward.apply_one(at(1, &inpatient(Admitted, "1", Some(place("A", "9")))))
        .await;
    ward.apply_one(at(2, &inpatient(Admitted, "2", Some(place("A", "9")))))
        .await;
    assert!(differences(&ward).await.is_empty());
}

#[tokio::test]
async fn an_update_moves_nobody_whom_staff_have_moved_and_a_transfer_does() {
    let ward = house().await;
    let stay = admitted(&ward, 1, "1", bed(&ward, "A", "1")).await;
    let visit = seen(&ward, stay).await.visit_number;
    let of_his = |action, place| EncounterReported {
        visit_number: visit.clone(),
        ..inpatient(action, "1", Some(place))
    };
    ward.apply_one(at(5, &of_his(Updated, place("A", "1"))))
        .await;
    assert!(differences(&ward).await.is_empty());
    ward.apply_one(at(6, &of_his(Updated, place("ICU", "2"))))
        .await;
    assert_eq!(differences(&ward).await, ["moved_elsewhere open"]);
    assert_eq!(has(&ward, "A", bed(&ward, "A", "1")).await, Some(stay));
    assert_eq!(seen(&ward, stay).await.location.unwrap()["bed"], "1");
    ward.apply_one(at(7, &of_his(Transferred, place("ICU", "2"))))
        .await;
    assert_eq!(has(&ward, "ICU", bed(&ward, "ICU", "2")).await, Some(stay));
    assert_eq!(has(&ward, "A", bed(&ward, "A", "1")).await, None);
    // an A03 with gates open ends the stay, and is listed
    let gone = EncounterReported {
        visit_number: visit.clone(),
        ..inpatient(Discharged, "1", None)
    };
    ward.apply_one(at(9, &gone)).await;
    assert_eq!(
        differences(&ward).await,
        ["moved_elsewhere open", "left_with_gates open"]
    );
    let id = {
        let mut tx = ward.tx().await;
        queries::differences(tx.conn(), Some("open"), None, 1)
            .await
            .unwrap()[0]
            .id
    };
    let resolve = ResolveDifference {
        difference_id: id,
        comment: "went home by ambulance".into(),
        actor: "desk".into(),
    };
    ward.apply_one(at(10, &resolve)).await;
    assert_eq!(
        refused(&ward.apply_one(at(11, &resolve)).await).0,
        "adt.difference_resolved"
    );
}

#[tokio::test]
async fn a_second_admission_by_a_hospital_system_is_listed_until_one_of_the_stays_is_over() {
    let ward = house().await;
    let stay = admitted(&ward, 1, "1", bed(&ward, "A", "1")).await;
    let mut second = inpatient(Admitted, "1", None);
    second.visit_number = Some("V-SECOND".into());
    let verdict = ward.apply_one(at(5, &second)).await;
    assert!(said(&verdict).contains(&"adt.difference.found"));
    assert_eq!(differences(&ward).await, ["second_admission open"]);
    // in a bed of its own too: the patient can't be in both
    second.action = Transferred;
    second.location = Patch::Set(place("ICU", "1"));
    ward.apply_one(at(6, &second)).await;
    assert_eq!(
        differences(&ward).await,
        ["second_admission open", "second_bed open"]
    );
    assert_eq!(has(&ward, "ICU", bed(&ward, "ICU", "1")).await, None);
    let lama = leave(Some(Disposition::Lama));
    assert_eq!(goes(&ward, 9, stay, lama).await, "left");
    assert_eq!(
        differences(&ward).await,
        ["second_admission settled", "second_bed settled"]
    );
    assert!(has(&ward, "ICU", bed(&ward, "ICU", "1")).await.is_some());
}

#[tokio::test]
async fn who_dies_or_goes_against_advice_leaves_his_bed_and_the_gates_behind() {
    let ward = house().await;
    let bed_id = bed(&ward, "A", "1");
    let stay = admitted(&ward, 1, "1", bed_id).await;
    assert_eq!(
        refused(&go(&ward, 2, stay, leave(None)).await).0,
        "adt.stage_conflict"
    );
    assert_eq!(
        refused(&go(&ward, 2, stay, leave(Some(Disposition::Death))).await).0,
        "adt.cause_of_death"
    );
    let dead = Step::Leave {
        disposition: Some(Disposition::Death),
        cause_of_death: Some("septic shock".into()),
        form: Some("MCCD-1".into()),
        note: None,
    };
    assert_eq!(goes(&ward, 3, stay, dead).await, "left");
    assert_eq!(state(&ward, bed_id).await, "cleaning");
    let row = seen(&ward, stay).await;
    assert_eq!(row.disposition.as_deref(), Some("death"));
    assert_eq!(row.ending.unwrap()["form"], "MCCD-1");
    let (code, detail) = refused(&go(&ward, 4, stay, Step::Close).await);
    assert_eq!(code, "adt.gates_conflict");
    assert!(detail.contains("clinical, pharmacy, billing"), "{detail}");
    for gate in [Gate::Clinical, Gate::Pharmacy, Gate::Billing] {
        assert_eq!(goes(&ward, 5, stay, clear(gate)).await, "left");
    }
    assert_eq!(goes(&ward, 6, stay, Step::Close).await, "closed");
}

#[tokio::test]
async fn an_insurer_has_a_gate_and_what_was_seen_must_stand() {
    let ward = house().await;
    let stay = request(&ward, "1", Payer::Insurer).await;
    let admit = Step::Admit {
        bed_id: bed(&ward, "A", "1"),
    };
    let stale = MoveEncounter {
        version: Some(7),
        ..step(stay, admit.clone())
    };
    assert_eq!(
        refused(&ward.apply_one(at(1, &stale)).await).0,
        "adt.encounter_stale"
    );
    goes(&ward, 1, stay, admit).await;
    let change = ChangeEncounter {
        encounter_id: stay,
        attending: Patch::Keep,
        service: Patch::Set("CAR".into()),
        reason: Patch::Keep,
        payer: Patch::Keep,
        expected_at: Patch::Set(minutes(600).format(&Rfc3339).unwrap()),
        medico_legal: Some(true),
        version: Some(2),
        actor: "desk".into(),
    };
    let verdict = ward.apply_one(at(2, &change)).await;
    assert_eq!(answer(&verdict)["version"], 3);
    let row = seen(&ward, stay).await;
    assert_eq!(row.service.as_deref(), Some("CAR"));
    assert_eq!(
        (row.expected_at, row.medico_legal),
        (Some(minutes(600)), Some(true))
    );
    assert_eq!(row.stage.as_deref(), Some("admitted"));
    goes(&ward, 3, stay, home()).await;
    let mut tx = ward.tx().await;
    let gates = queries::gates(tx.conn(), stay).await.unwrap();
    assert_eq!(
        gates
            .iter()
            .map(|gate| (gate.gate.as_str(), gate.state.as_str()))
            .collect::<Vec<_>>(),
        [
            ("clinical", "open"),
            ("pharmacy", "open"),
            ("billing", "open"),
            ("tpa", "open")
        ]
    );
    drop(tx);
    // taken back, he stays as he was; and the next time all must be cleared anew
    goes(&ward, 4, stay, clear(Gate::Tpa)).await;
    let back = Step::CancelDischarge {
        reason: "fever".into(),
    };
    assert_eq!(goes(&ward, 5, stay, back).await, "admitted");
    goes(&ward, 6, stay, home()).await;
    let open = ward
        .count("select count(*) from clinical.discharge_gates where state = 'open'")
        .await;
    assert_eq!(open, 4);
}

#[tokio::test]
async fn a_grant_of_a_department_holds_in_all_its_wards_and_of_a_ward_in_it_alone() {
    let ward = house().await;
    admitted(&ward, 1, "1", bed(&ward, "ICU", "1")).await;
    let mut tx = ward.tx().await;
    for (facility, department, holds) in [
        ("HOSP", "", true),
        ("HOSP", "SUR", true),
        ("HOSP", "ICU", true),
        ("HOSP", "MED", false),
        ("HOSP", "A", false),
        ("ELSE", "", false),
        ("ELSE", "SUR", false),
    ] {
        let found = queries::is_in_care_at(
            tx.conn(),
            &[key("1").0],
            &[facility.to_owned()],
            &[department.to_owned()],
        )
        .await
        .unwrap();
        assert_eq!(found, holds, "{facility} {department}");
    }
}

#[tokio::test]
async fn the_house_keeps_its_codes_and_retires_only_what_is_not_in_use() {
    let ward = house().await;
    let again = define_bed(&ward, "A", "1");
    assert_eq!(
        refused(&ward.apply_one(at(1, &again)).await).0,
        "adt.place_exists"
    );
    let clash = DefineWard {
        facility_id: facility(&ward),
        department_id: department_id(&ward.tenant, facility(&ward), "MED"),
        code: "sur".into(),
        name: "x".into(),
        class: None,
        retired: false,
        version: Some(0),
        actor: "admin".into(),
    };
    assert_eq!(
        refused(&ward.apply_one(at(1, &clash)).await).0,
        "adt.code_in_use"
    );
    let retire = |version| DefineBed {
        retired: true,
        version: Some(version),
        ..define_bed(&ward, "A", "1")
    };
    assert_eq!(
        refused(&ward.apply_one(at(1, &retire(9))).await).0,
        "adt.place_stale"
    );
    admitted(&ward, 1, "1", bed(&ward, "A", "1")).await;
    let version = {
        let mut tx = ward.tx().await;
        queries::bed(tx.conn(), bed(&ward, "A", "1"))
            .await
            .unwrap()
            .unwrap()
            .version
    };
    let (code, detail) = refused(&ward.apply_one(at(2, &retire(version))).await);
    assert_eq!(code, "adt.bed_conflict");
    assert!(detail.contains("from: occupied; to: retired"), "{detail}");
    let zone = DefineFacility {
        code: "TWO".into(),
        name: "x".into(),
        zone: "Moon/Sea".into(),
        retired: false,
        version: Some(0),
        actor: "admin".into(),
    };
    assert_eq!(refused(&ward.apply_one(at(3, &zone)).await).0, "adt.zone");
    assert_eq!(
        ward.count("select count(*) from audit.entries where action = 'adt.bed.define'")
            .await,
        4
    );
    assert_eq!(DefineBed::NAME, "adt.bed.define");
}
