//! Where stays of staff meet what hospital systems report: the same rows, and a list of differences.

use schemas::Patch;
use schemas::care::EncounterAction::*;
use schemas::care::EncounterReported;
use schemas::stays::{Disposition, ResolveDifference, Step};
use worker_clinical::queries;

use super::super::support::{Ward, at, minutes, said};
use super::{
    admitted, bed, define_bed, differences, goes, has, home, house, inpatient, leave, of_adt,
    place, refused, seen, state,
};

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
