//! The life of an encounter.

use hub_core::Verdict;
use schemas::Patch;
use schemas::care::EncounterAction::{self, *};
use schemas::care::{EncounterReported, Location};
use worker_clinical::queries::{
    EncounterFilter, EncounterPlace, EncounterRow, Page, encounter, encounters_for_subjects,
};

use super::support::{Ward, at, key, minutes, patient, said};

fn adt(action: EncounterAction, ward: Option<&str>) -> EncounterReported {
    EncounterReported {
        action,
        subject: patient("1"),
        visit_number: Some("V1".into()),
        class: Patch::Keep,
        location: ward.map_or(Patch::Keep, |ward| {
            Patch::Set(Location {
                point_of_care: Some(ward.into()),
                ..Location::default()
            })
        }),
        prior_location: Patch::Keep,
        attending: Patch::Keep,
        referring: Patch::Keep,
        service: Patch::Keep,
        admitted_at: Patch::Keep,
        discharged_at: Patch::Keep,
        disposition: Patch::Keep,
        occurred_at: None,
    }
}

async fn seen(ward: &Ward) -> (EncounterRow, Vec<EncounterPlace>) {
    seen_of(ward, "1").await
}

async fn seen_of(ward: &Ward, who: &str) -> (EncounterRow, Vec<EncounterPlace>) {
    let mut tx = ward.tx().await;
    let rows = encounters_for_subjects(
        tx.conn(),
        &[key(who).0],
        &EncounterFilter::default(),
        Page::first(10),
    )
    .await
    .unwrap();
    assert_eq!(rows.len(), 1);
    encounter(tx.conn(), rows[0].id).await.unwrap().unwrap()
}

fn places(places: &[EncounterPlace]) -> Vec<String> {
    places
        .iter()
        .map(|place| {
            format!(
                "{} {}",
                place.location["point_of_care"].as_str().unwrap(),
                place.status
            )
        })
        .collect()
}

#[tokio::test]
async fn an_encounter_is_planned_admitted_moved_moved_back_discharged_and_taken_back() {
    let ward = Ward::new().await;
    let steps: [(EncounterAction, Option<&str>, &str, &[&str]); 7] = [
        (Preadmitted, Some("A"), "planned", &[]),
        (Admitted, Some("A"), "in_progress", &["A active"]),
        (
            Transferred,
            Some("B"),
            "in_progress",
            &["A completed", "B active"],
        ),
        (
            TransferCancelled,
            Some("A"),
            "in_progress",
            &["A active", "B cancelled"],
        ),
        (
            Discharged,
            None,
            "finished",
            &["A completed", "B cancelled"],
        ),
        (
            DischargeCancelled,
            None,
            "in_progress",
            &["A active", "B cancelled"],
        ),
        (
            AdmitCancelled,
            None,
            "cancelled",
            &["A cancelled", "B cancelled"],
        ),
    ];
    for (minute, (action, place, status, expected)) in steps.into_iter().enumerate() {
        let verdict = ward.apply_one(at(minute as i64, &adt(action, place))).await;
        assert_eq!(
            said(&verdict)[0],
            "clinical.encounter.changed",
            "{action:?}"
        );
        let (row, stay) = seen(&ward).await;
        assert_eq!(row.status, status, "{action:?}");
        assert_eq!(places(&stay), expected, "{action:?}");
        assert_eq!(row.ended_at.is_some(), status == "finished", "{action:?}");
    }
    assert_eq!(seen(&ward).await.0.started_at, Some(minutes(1)));
}

#[tokio::test]
async fn the_whole_life_in_one_batch_ends_the_same() {
    let ward = Ward::new().await;
    ward.apply(&[
        at(0, &adt(Admitted, Some("A"))),
        at(1, &adt(Transferred, Some("B"))),
        at(2, &adt(Discharged, None)),
        at(3, &adt(DischargeCancelled, None)),
    ])
    .await;
    let (row, stay) = seen(&ward).await;
    assert_eq!(row.status, "in_progress");
    assert_eq!(row.version, 4);
    assert_eq!(places(&stay), ["A completed", "B active"]);
}

#[tokio::test]
async fn an_a03_first_makes_a_finished_encounter_and_the_late_a01_its_beginning() {
    let ward = Ward::new().await;
    let mut gone = adt(Discharged, Some("B"));
    gone.disposition = Patch::Set("01".into());
    ward.apply_one(at(10, &gone)).await;
    let mut admitted = adt(Admitted, Some("A"));
    admitted.class = Patch::Set("I".into());
    ward.apply_one(at(0, &admitted)).await;
    let (row, stay) = seen(&ward).await;
    assert_eq!(row.status, "finished");
    assert_eq!(
        (row.started_at, row.ended_at),
        (Some(minutes(0)), Some(minutes(10)))
    );
    assert_eq!(row.class_code(), Some("IMP"));
    assert_eq!(places(&stay), ["A completed", "B completed"]);
    assert_eq!(row.location.unwrap()["point_of_care"], "B");
}

#[tokio::test]
async fn an_update_changes_what_is_valued_and_never_the_status_by_itself() {
    let ward = Ward::new().await;
    let mut admitted = adt(Admitted, Some("A"));
    admitted.service = Patch::Set("CAR".into());
    admitted.class = Patch::Set("I".into());
    ward.apply_one(at(0, &admitted)).await;
    let mut update = adt(Updated, None);
    update.service = Patch::Clear;
    ward.apply_one(at(1, &update)).await;
    let (row, _) = seen(&ward).await;
    assert_eq!(
        (row.status.as_str(), row.service, row.class.as_deref()),
        ("in_progress", None, Some("I"))
    );
    assert!(matches!(
        ward.apply_one(at(2, &update)).await,
        Verdict::Unchanged
    ));

    update.discharged_at = Patch::Set("2026-03-01T12:30:00Z".into());
    ward.apply_one(at(3, &update)).await;
    let (row, stay) = seen(&ward).await;
    assert_eq!(
        (row.status.as_str(), row.ended_at),
        ("finished", Some(minutes(30)))
    );
    assert_eq!(places(&stay), ["A completed"]);
}

#[tokio::test]
async fn what_is_delivered_out_of_order_overrules_nothing() {
    let ward = Ward::new().await;
    ward.apply_one(at(0, &adt(Admitted, Some("A")))).await;
    ward.apply_one(at(10, &adt(Transferred, Some("C")))).await;
    ward.apply_one(at(5, &adt(Transferred, Some("B")))).await;
    let (row, stay) = seen(&ward).await;
    assert_eq!(row.location.unwrap()["point_of_care"], "C");
    assert_eq!(places(&stay), ["A completed", "B completed", "C active"]);
    ward.apply_one(at(3, &adt(AdmitCancelled, None))).await;
    assert_eq!(seen(&ward).await.0.status, "in_progress");
}

/// `A 0..5 completed`, in minutes.
fn stays(places: &[EncounterPlace]) -> Vec<String> {
    let minute = |at: Option<time::OffsetDateTime>| {
        at.map_or(String::new(), |at| {
            (at - minutes(0)).whole_minutes().to_string()
        })
    };
    places
        .iter()
        .map(|place| {
            format!(
                "{} {}..{} {}",
                place.location["point_of_care"].as_str().unwrap(),
                minute(place.from_at),
                minute(place.to_at),
                place.status
            )
        })
        .collect()
}

#[tokio::test]
async fn a_late_transfer_ends_the_place_before_and_nobody_is_in_two_places() {
    let mut served = adt(Updated, Some("A"));
    served.service = Patch::Set("CAR".into());
    // what comes in this order, and where the patient was
    type Told<'a> = &'a [(i64, EncounterReported)];
    let table: [(Told<'_>, &[&str]); 11] = [
        (
            &[
                (0, adt(Admitted, Some("A"))),
                (10, adt(Transferred, Some("C"))),
                (5, adt(Transferred, Some("B"))),
            ],
            &["A 0..5 completed", "B 5..10 completed", "C 10.. active"],
        ),
        // after the discharge
        (
            &[
                (0, adt(Admitted, Some("A"))),
                (20, adt(Discharged, None)),
                (5, adt(Transferred, Some("B"))),
            ],
            &["A 0..5 completed", "B 5..20 completed"],
        ),
        // a newer word has the patient where he was: he went and came back
        (
            &[
                (0, adt(Admitted, Some("A"))),
                (10, served),
                (5, adt(Transferred, Some("B"))),
            ],
            &["A 0..5 completed", "B 5..10 completed", "A 10.. active"],
        ),
        // the place after is known from a later word only, and began earlier
        (
            &[
                (0, adt(Admitted, Some("A"))),
                (10, adt(Transferred, Some("B"))),
                (5, adt(Updated, Some("B"))),
            ],
            &["A 0..5 completed", "B 5.. active"],
        ),
        // nothing new: the patient was there
        (
            &[
                (0, adt(Admitted, Some("A"))),
                (10, adt(Transferred, Some("B"))),
                (5, adt(Updated, Some("A"))),
            ],
            &["A 0..10 completed", "B 10.. active"],
        ),
        // told again under another id
        (
            &[
                (0, adt(Admitted, Some("A"))),
                (10, adt(Transferred, Some("C"))),
                (5, adt(Transferred, Some("B"))),
                (5, adt(Transferred, Some("B"))),
            ],
            &["A 0..5 completed", "B 5..10 completed", "C 10.. active"],
        ),
        // a plan that comes late, from before the admission and from after it: nobody was there
        (
            &[
                (5, adt(Admitted, Some("A"))),
                (0, adt(Preadmitted, Some("P"))),
            ],
            &["A 5.. active"],
        ),
        (
            &[
                (0, adt(Admitted, Some("A"))),
                (10, adt(Transferred, Some("B"))),
                (5, adt(Preadmitted, Some("P"))),
                (15, adt(Preadmitted, Some("P"))),
            ],
            &["A 0..10 completed", "B 10.. active"],
        ),
        // after the discharge
        (
            &[
                (0, adt(Admitted, Some("A"))),
                (20, adt(Discharged, Some("A"))),
                (5, adt(Preadmitted, Some("P"))),
            ],
            &["A 0..20 completed"],
        ),
        // an admission that was none, and was made again before its cancellation arrived
        (
            &[
                (10, adt(Admitted, Some("A"))),
                (5, adt(AdmitCancelled, Some("P"))),
            ],
            &["A 10.. active"],
        ),
        // a discharge that was taken back before it arrived: the stay went on
        (
            &[
                (0, adt(Admitted, Some("A"))),
                (10, adt(DischargeCancelled, Some("A"))),
                (5, adt(Discharged, Some("B"))),
            ],
            &["A 0.. active"],
        ),
    ];
    for (told, expected) in table {
        let ward = Ward::new().await;
        for (minute, body) in told {
            ward.apply_one(at(*minute, body)).await;
        }
        let one_by_one = stays(&seen(&ward).await.1);
        assert_eq!(one_by_one, expected);
        let ward = Ward::new().await;
        let batch: Vec<_> = told
            .iter()
            .map(|(minute, body)| at(*minute, body))
            .collect();
        ward.apply(&batch).await;
        assert_eq!(stays(&seen(&ward).await.1), expected, "in one batch");
    }
}

#[tokio::test]
async fn a_plan_for_what_has_begun_only_fills_what_nobody_said() {
    let ward = Ward::new().await;
    let mut admitted = adt(Admitted, Some("A"));
    admitted.class = Patch::Set("I".into());
    ward.apply_one(at(5, &admitted)).await;
    let mut plan = adt(Preadmitted, Some("P"));
    plan.class = Patch::Set("P".into());
    plan.service = Patch::Set("CAR".into());
    for minute in [0, 10] {
        ward.apply_one(at(minute, &plan)).await;
        let (row, stay) = seen(&ward).await;
        assert_eq!(
            (row.status.as_str(), row.class.as_deref(), row.service),
            ("in_progress", Some("I"), Some("CAR".into()))
        );
        assert_eq!(row.location.unwrap()["point_of_care"], "A");
        assert_eq!(row.started_at, Some(minutes(5)));
        assert_eq!(stays(&stay), ["A 5.. active"]);
    }
    // and it was no news of the status: what comes after is no late word
    ward.apply_one(at(7, &adt(Transferred, Some("B")))).await;
    let (row, stay) = seen(&ward).await;
    assert_eq!(stays(&stay), ["A 5..7 completed", "B 7.. active"]);
    assert_eq!(row.location.unwrap()["point_of_care"], "B");
}

#[tokio::test]
async fn a_repeated_admission_changes_nothing() {
    let ward = Ward::new().await;
    let body = adt(Admitted, Some("A"));
    let verdicts = ward.apply(&[at(0, &body), at(0, &body)]).await;
    assert!(matches!(verdicts[1], Verdict::Unchanged));
    assert!(matches!(
        ward.apply_one(at(1, &body)).await,
        Verdict::Unchanged
    ));
    assert_eq!(seen(&ward).await.0.version, 1);
}

#[tokio::test]
async fn without_a_visit_number_patient_and_admit_time_are_the_key() {
    let ward = Ward::new().await;
    let mut body = adt(Admitted, None);
    body.visit_number = None;
    body.admitted_at = Patch::Set("2026-03-01T12:00:00Z".into());
    ward.apply_one(at(0, &body)).await;
    body.action = Discharged;
    ward.apply_one(at(1, &body)).await;
    assert_eq!(seen(&ward).await.0.status, "finished");
}

/// Every order in which these may arrive.
fn orders<T: Clone>(all: &[T]) -> Vec<Vec<T>> {
    if all.len() < 2 {
        return vec![all.to_vec()];
    }
    (0..all.len())
        .flat_map(|n| {
            let mut rest = all.to_vec();
            let first = rest.remove(n);
            orders(&rest).into_iter().map(move |mut tail| {
                tail.insert(0, first.clone());
                tail
            })
        })
        .collect()
}

#[tokio::test]
async fn a_cancelled_transfer_leaves_no_past_place_whatever_comes_first() {
    type Told<'a> = &'a [(i64, EncounterReported)];
    // what happened, and where the patient was, apart from what was taken back
    let table: [(Told<'_>, &[&str], &str); 4] = [
        (
            &[
                (0, adt(Admitted, Some("A"))),
                (5, adt(Transferred, Some("B"))),
                (10, adt(TransferCancelled, Some("A"))),
            ],
            &["A 0.. active"],
            "A",
        ),
        // the cancellation does not say where he is
        (
            &[
                (0, adt(Admitted, Some("A"))),
                (5, adt(Transferred, Some("B"))),
                (10, adt(TransferCancelled, None)),
            ],
            &["A 0.. active"],
            "A",
        ),
        // moved again afterwards
        (
            &[
                (0, adt(Admitted, Some("A"))),
                (5, adt(Transferred, Some("B"))),
                (10, adt(TransferCancelled, Some("A"))),
                (20, adt(Transferred, Some("C"))),
            ],
            &["A 0..20 completed", "C 20.. active"],
            "C",
        ),
        // of two transfers the second was none, and he has left since
        (
            &[
                (0, adt(Admitted, Some("A"))),
                (5, adt(Transferred, Some("B"))),
                (7, adt(Transferred, Some("C"))),
                (10, adt(TransferCancelled, Some("B"))),
                (30, adt(Discharged, Some("B"))),
            ],
            &["A 0..5 completed", "B 5..30 completed"],
            "B",
        ),
    ];
    // each arrival is another patient's
    let ward = Ward::new().await;
    let mut patients = 0;
    for (told, expected, location) in table {
        for arrival in orders(told) {
            let minutes: Vec<i64> = arrival.iter().map(|(minute, _)| *minute).collect();
            for how in ["one by one", "in one batch"] {
                patients += 1;
                let who = patients.to_string();
                let said = arrival.iter().map(|(minute, body)| {
                    let mut body = body.clone();
                    body.subject = patient(&who);
                    body.visit_number = Some(format!("V{who}"));
                    at(*minute, &body)
                });
                if how == "in one batch" {
                    ward.apply(&said.collect::<Vec<_>>()).await;
                } else {
                    for one in said {
                        ward.apply_one(one).await;
                    }
                }
                let (row, all) = seen_of(&ward, &who).await;
                let mut been = stays(&all);
                been.retain(|place| !place.ends_with("cancelled"));
                assert_eq!(been, expected, "{minutes:?} {how}");
                let now = row.location.expect("he is somewhere");
                assert_eq!(now["point_of_care"], location, "{minutes:?} {how}");
            }
        }
    }
}
