//! Whose a measurement is, and what becomes of it when more is known.

use hub_core::Verdict;
use schemas::ChannelId;
use schemas::care::EncounterAction::*;
use schemas::care::HoldReason;
use schemas::commands::{MapCode, SecondIdentifier};
use schemas::devices::{ClaimVitals, DiscardVitals, VitalsObserved};
use test_support::{command, event};
use worker_clinical::queries::Versions;

use super::beds::{
    admitted, adt, chart, icu, items, latest, measures, monitor, moves, news, rate, rows, sent,
    show, text, waiting,
};
use super::support::{Ward, at, minutes, patient, said};

#[tokio::test]
async fn a_measurement_is_of_who_was_alone_in_the_bed_at_its_time() {
    let ward = Ward::new().await;
    admitted(&ward).await;
    measures(&ward, 10, "5", "80").await;
    moves(&ward, 20, &adt(Transferred, "1", Some(icu("6")))).await;
    moves(&ward, 30, &adt(Admitted, "2", Some(icu("5")))).await;
    // an older reading that a gateway sends late
    let late = monitor(Some(icu("5")), vec![rate("82", 15)]);
    ward.apply_one(sent(40, &late)).await;
    measures(&ward, 41, "5", "60").await;
    measures(&ward, 42, "6", "84").await;
    assert_eq!(
        chart(&ward, "1").await,
        ["10=80 bed", "15=82 bed", "42=84 bed"]
    );
    assert_eq!(chart(&ward, "2").await, ["41=60 bed"]);
    // between the two the bed was empty
    measures(&ward, 25, "5", "99").await;
    assert_eq!(waiting(&ward).await, ["bed_empty open 1"]);
}

#[tokio::test]
async fn a_bed_that_is_unknown_empty_shared_or_ambiguous_is_nobodys() {
    let ward = Ward::new().await;
    measures(&ward, 1, "5", "80").await;
    admitted(&ward).await;
    moves(&ward, 5, &adt(Discharged, "1", None)).await;
    measures(&ward, 6, "5", "80").await;
    measures(&ward, 7, "5", "81").await;
    moves(&ward, 10, &adt(Admitted, "2", Some(icu("7")))).await;
    moves(&ward, 11, &adt(Admitted, "3", Some(icu("7")))).await;
    measures(&ward, 12, "7", "70").await;
    for (who, room) in [("4", "204"), ("5", "205")] {
        let mut place = icu("B");
        place.room = Some(room.into());
        moves(&ward, 13, &adt(Admitted, who, Some(place))).await;
    }
    measures(&ward, 14, "B", "90").await;
    ward.apply_one(sent(15, &monitor(None, vec![rate("91", 15)])))
        .await;
    assert_eq!(
        waiting(&ward).await,
        [
            // the admission explained what was measured before it was known
            "bed_unknown explained 0",
            "bed_empty open 2",
            "two_patients open 1",
            "bed_ambiguous open 1",
            "no_bed open 1"
        ]
    );
    assert_eq!(chart(&ward, "1").await, ["1=80 bed"]);
    let mut exact = icu("B");
    exact.room = Some("205".into());
    ward.apply_one(sent(16, &monitor(Some(exact), vec![rate("92", 16)])))
        .await;
    assert_eq!(chart(&ward, "5").await, ["16=92 bed"]);
}

#[tokio::test]
async fn a_clock_that_runs_ahead_leads_to_nobody() {
    let ward = Ward::new().await;
    admitted(&ward).await;
    let ahead = time::OffsetDateTime::now_utc() + time::Duration::hours(1);
    let mut wrong = rate("80", 0);
    wrong.observed_at = Some(text(ahead));
    ward.apply_one(sent(5, &monitor(Some(icu("5")), vec![wrong])))
        .await;
    assert_eq!(waiting(&ward).await, ["clock open 1"]);
    assert!(chart(&ward, "1").await.is_empty());
}

#[tokio::test]
async fn a_patient_who_is_named_is_believed_unless_another_is_in_the_bed() {
    let ward = Ward::new().await;
    admitted(&ward).await;
    let named = |who: &str, minute: i64, bed: &str| VitalsObserved {
        subject: Some(patient(who)),
        ..monitor(Some(icu(bed)), vec![rate("80", minute)])
    };
    ward.apply_one(sent(1, &named("1", 1, "5"))).await;
    ward.apply_one(sent(2, &named("2", 2, "5"))).await;
    ward.apply_one(sent(3, &named("2", 3, "9"))).await;
    // the number without its authority, as monitors send it
    let mut bare = named("1", 4, "5");
    let subject = bare.subject.as_mut().unwrap();
    subject.system = "other".into();
    subject.key = schemas::IdentifierKey::of(&ward.tenant, "other", "1");
    ward.apply_one(sent(4, &bare)).await;
    assert_eq!(chart(&ward, "1").await, ["1=80 message", "4=80 message"]);
    assert_eq!(chart(&ward, "2").await, ["3=80 message"]);
    assert_eq!(waiting(&ward).await, ["patient_mismatch open 1"]);
    // a late movement says that it was patient 2 after all
    moves(&ward, 1, &adt(Transferred, "1", Some(icu("6")))).await;
    moves(&ward, 1, &adt(Admitted, "2", Some(icu("5")))).await;
    assert_eq!(chart(&ward, "2").await, ["2=80 message", "3=80 message"]);
}

#[tokio::test]
async fn a_repeat_has_no_second_effect_and_a_correction_makes_a_version() {
    let ward = Ward::new().await;
    admitted(&ward).await;
    measures(&ward, 10, "5", "80").await;
    assert!(matches!(
        measures(&ward, 10, "5", "80").await,
        Verdict::Unchanged
    ));
    let mut corrected = rate("85", 10);
    corrected.status = Some("C".into());
    let body = monitor(Some(icu("5")), vec![corrected]);
    ward.apply_one(sent(12, &body)).await;
    // the first value once more, late: it overrules nothing
    assert!(matches!(
        measures(&ward, 10, "5", "80").await,
        Verdict::Unchanged
    ));
    let twice = monitor(Some(icu("5")), vec![rate("70", 20), rate("70", 20)]);
    ward.apply(&[sent(20, &twice), sent(20, &twice)]).await;
    assert_eq!(chart(&ward, "1").await, ["10=85 bed", "20=70 bed"]);
    let all = rows(&ward, "1", Versions::All).await;
    assert_eq!(all.len(), 3);
    assert_eq!(
        all.iter()
            .map(|row| (row.version, row.current))
            .collect::<Vec<_>>(),
        [(1, false), (2, true), (1, true)]
    );
    assert_eq!(
        latest(&ward, "1").await[0].value_text.as_deref(),
        Some("70")
    );
    // what was taken back is no latest value
    let mut withdrawn = rate("70", 20);
    withdrawn.status = Some("W".into());
    ward.apply_one(sent(21, &monitor(Some(icu("5")), vec![withdrawn])))
        .await;
    assert_eq!(
        latest(&ward, "1").await[0].value_text.as_deref(),
        Some("85")
    );
}

#[tokio::test]
async fn two_probes_of_one_monitor_are_two_measurements() {
    let ward = Ward::new().await;
    admitted(&ward).await;
    let mut second = rate("38.5", 10);
    second.path = Some("1.2.2.147842".into());
    let body = monitor(Some(icu("5")), vec![rate("37.1", 10), second]);
    ward.apply_one(sent(10, &body)).await;
    assert_eq!(rows(&ward, "1", Versions::All).await.len(), 2);
}

#[tokio::test]
async fn a_transfer_that_arrives_late_takes_back_what_was_filed_on_a_stale_bed() {
    let ward = Ward::new().await;
    admitted(&ward).await;
    for minute in [10, 20, 30] {
        measures(&ward, minute, "5", &minute.to_string()).await;
    }
    assert_eq!(chart(&ward, "1").await.len(), 3);
    // both reported half an hour late
    moves(&ward, 15, &adt(Transferred, "1", Some(icu("6")))).await;
    assert_eq!(chart(&ward, "1").await, ["10=10 bed"]);
    assert_eq!(waiting(&ward).await, ["bed_empty open 2"]);
    moves(&ward, 25, &adt(Admitted, "2", Some(icu("5")))).await;
    assert_eq!(chart(&ward, "2").await, ["30=30 bed"]);
    assert_eq!(waiting(&ward).await, ["bed_empty open 1"]);
    // what the chart of patient 1 showed stays on file
    let all: Vec<String> = rows(&ward, "1", Versions::All)
        .await
        .iter()
        .map(|row| format!("{} {}", show(row), row.current))
        .collect();
    assert_eq!(
        all,
        ["10=10 bed true", "20=20 bed false", "30=30 bed false"]
    );
    // the transfer never was
    moves(&ward, 40, &adt(TransferCancelled, "1", Some(icu("5")))).await;
    assert_eq!(chart(&ward, "1").await, ["10=10 bed", "20=20 bed"]);
    // two patients from 25 on: the one at 30 waits for a person
    assert!(chart(&ward, "2").await.is_empty());
    assert_eq!(
        waiting(&ward).await,
        ["bed_empty explained 0", "two_patients open 1"]
    );
}

#[tokio::test]
async fn movements_end_in_the_same_stays_whatever_arrives_first() {
    let script = [
        (0, adt(Admitted, "1", Some(icu("5")))),
        (10, adt(Transferred, "1", Some(icu("6")))),
        (12, adt(TransferCancelled, "1", Some(icu("5")))),
        (20, adt(Transferred, "1", Some(icu("7")))),
        (30, adt(Discharged, "1", None)),
    ];
    let orders: [[usize; 5]; 3] = [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]];
    for order in orders {
        let ward = Ward::new().await;
        for minute in [5, 11, 15, 25, 35] {
            for bed in ["5", "6", "7"] {
                measures(&ward, minute, bed, bed).await;
            }
        }
        for place in order {
            let (minute, body) = &script[place];
            moves(&ward, *minute, body).await;
        }
        assert_eq!(
            chart(&ward, "1").await,
            ["5=5 bed", "11=5 bed", "15=5 bed", "25=7 bed"],
            "{order:?}"
        );
    }
}

#[tokio::test]
async fn an_admission_that_never_was_leaves_nothing_on_the_chart() {
    let ward = Ward::new().await;
    admitted(&ward).await;
    measures(&ward, 10, "5", "80").await;
    moves(&ward, 20, &adt(AdmitCancelled, "1", Some(icu("5")))).await;
    assert!(chart(&ward, "1").await.is_empty());
    assert_eq!(waiting(&ward).await, ["bed_empty open 1"]);
}

#[tokio::test]
async fn movements_that_say_nothing_new_of_a_bed_say_nothing() {
    let ward = Ward::new().await;
    let verdict = ward
        .apply_one(at(0, &adt(Admitted, "1", Some(icu("5")))))
        .await;
    assert_eq!(
        said(&verdict),
        ["clinical.encounter.changed", "clinical.bed.changed"]
    );
    let verdict = ward
        .apply_one(at(5, &adt(Updated, "1", Some(icu("5")))))
        .await;
    assert!(news(&verdict).is_empty());
}

#[tokio::test]
async fn a_monitor_makes_one_item_and_a_person_claims_a_period_of_it() {
    let ward = Ward::new().await;
    for minute in 0..6 {
        measures(&ward, minute, "9", &(60 + minute).to_string()).await;
    }
    assert_eq!(waiting(&ward).await, ["bed_unknown open 6"]);
    let id = items(&ward).await[0].id;
    let claim = |from: Option<i64>, to: Option<i64>| ClaimVitals {
        item_id: id,
        subject: patient("1"),
        second: SecondIdentifier::BirthDate,
        from: from.map(|minute| text(minutes(minute))),
        to: to.map(|minute| text(minutes(minute))),
        actor: "sr.mary".into(),
    };
    let refused = |verdict: Verdict| match verdict {
        Verdict::Refused(refusal) => refusal.code,
        other => panic!("{other:?}"),
    };
    let nothing = ward.apply_one(command(&claim(Some(50), None))).await;
    assert_eq!(refused(nothing), "clinical.vitals_none");
    ward.apply_one(command(&claim(Some(2), Some(4)))).await;
    assert_eq!(chart(&ward, "1").await, ["2=62 claim", "3=63 claim"]);
    assert_eq!(waiting(&ward).await, ["bed_unknown open 4"]);
    // a correction of what was claimed stays with the patient
    let mut corrected = rate("99", 2);
    corrected.status = Some("C".into());
    ward.apply_one(sent(10, &monitor(Some(icu("9")), vec![corrected])))
        .await;
    assert_eq!(chart(&ward, "1").await[0], "2=99 claim");
    // and no news of the bed takes it away
    moves(&ward, 0, &adt(Admitted, "2", Some(icu("9")))).await;
    assert_eq!(chart(&ward, "1").await.len(), 2);
    assert_eq!(chart(&ward, "2").await.len(), 4);
    assert_eq!(waiting(&ward).await, ["bed_unknown explained 0"]);
    let late = ward.apply_one(command(&claim(None, None))).await;
    assert_eq!(refused(late), "clinical.vitals_not_open");
    let mut unknown = claim(None, None);
    unknown.item_id = 999;
    let verdict = ward.apply_one(command(&unknown)).await;
    assert_eq!(refused(verdict), "clinical.vitals_unknown");
}

#[tokio::test]
async fn what_is_discarded_stays_on_file_and_on_nobodys_chart() {
    let ward = Ward::new().await;
    measures(&ward, 1, "9", "60").await;
    let discard = DiscardVitals {
        item_id: items(&ward).await[0].id,
        reason: "simulator".into(),
        actor: "sr.mary".into(),
    };
    ward.apply_one(command(&discard)).await;
    moves(&ward, 0, &adt(Admitted, "1", Some(icu("9")))).await;
    assert!(chart(&ward, "1").await.is_empty());
    assert_eq!(waiting(&ward).await, ["bed_unknown discarded 1"]);
    assert_eq!(ward.count("select count(*) from clinical.vitals").await, 1);
    // what comes after it is new
    measures(&ward, 2, "9", "61").await;
    assert_eq!(chart(&ward, "1").await, ["2=61 bed"]);
}

#[tokio::test]
async fn an_unknown_code_is_asked_about_once_and_one_mapping_explains_all() {
    let ward = Ward::new().await;
    admitted(&ward).await;
    let unknown = |minute: i64| {
        let mut one = rate("2.1", minute);
        one.code = super::support::code("150488");
        one.unit = None;
        one.mapped = None;
        one.held = Some(HoldReason::UnknownCode);
        monitor(Some(icu("5")), vec![one])
    };
    let first = ward.apply_one(sent(1, &unknown(1))).await;
    assert_eq!(said(&first), ["lis.result.held"]);
    let second = ward.apply_one(sent(2, &unknown(2))).await;
    assert!(said(&second).is_empty());
    let held = |row: &worker_clinical::queries::VitalRow| (row.held.clone(), row.loinc.clone());
    assert_eq!(
        held(&rows(&ward, "1", Versions::Current).await[1]),
        (Some("unknown_code".into()), None)
    );
    let map = MapCode {
        channel: ChannelId::new("icu").unwrap(),
        code_system: String::new(),
        code: "150488".into(),
        unit: None,
        loinc: "61006-3".into(),
        display: None,
        ucum: None,
        factor: None,
        actor: "dr.rao".into(),
    };
    let verdict = ward.apply_one(event(&map)).await;
    let Verdict::Applied {
        answer: Some(answer),
        ..
    } = verdict
    else {
        panic!()
    };
    assert_eq!(answer["released"], 2);
    ward.apply_one(sent(3, &unknown(3))).await;
    for row in rows(&ward, "1", Versions::Current).await {
        assert_eq!(held(&row), (None, Some("61006-3".into())));
    }
    // they are not among laboratory results
    assert_eq!(ward.count("select count(*) from clinical.results").await, 0);
}
