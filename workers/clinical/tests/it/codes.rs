//! Results that wait for a mapping, and mappings.

use std::time::Duration;

use hub_core::{Verdict, Worker};
use schemas::ChannelId;
use schemas::care::HoldReason;
use schemas::commands::MapCode;
use test_support::{command, event};
use worker_clinical::ClinicalWorker;
use worker_clinical::queries::Versions;

use super::support::{Ward, at, held, number, report, said, unique_ids};

fn map(name: &str) -> MapCode {
    MapCode {
        channel: ChannelId::new("lab").unwrap(),
        code_system: String::new(),
        code: name.into(),
        unit: None,
        loinc: "2345-7".into(),
        display: Some("Glucose".into()),
        ucum: Some("mg/dL".into()),
        factor: None,
        actor: "dr.rao".into(),
    }
}

fn answer(verdict: &Verdict) -> serde_json::Value {
    match verdict {
        Verdict::Applied {
            answer: Some(answer),
            ..
        } => answer.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_held_result_is_visible_and_one_mapping_releases_all_that_it_explains() {
    let ward = Ward::new().await;
    let mut second = report("F", vec![held("GLU", "6.20")]);
    second.observed_at = Some("2026-03-01T13:00:00Z".into());
    let verdicts = ward
        .apply(&[
            at(0, &report("F", vec![held("GLU", "5.10"), held("ZZZ", "1")])),
            at(1, &second),
        ])
        .await;
    assert_eq!(
        said(&verdicts[0]),
        [
            "clinical.report.filed",
            "lis.result.held",
            "lis.result.held"
        ]
    );
    assert!(unique_ids(&verdicts[0]));
    let rows = ward.results(Versions::Current).await;
    assert!(
        rows.iter()
            .all(|row| row.held.as_deref() == Some("unknown_code"))
    );
    assert_eq!(rows[1].raw_value.as_deref(), Some("5.10"));

    let mapping = command(&map("GLU"));
    let verdict = ward.apply_one(mapping).await;
    assert_eq!(answer(&verdict), serde_json::json!({"released": 2}));
    assert_eq!(said(&verdict), ["clinical.code.mapped"]);
    let rows = ward.results(Versions::Current).await;
    assert_eq!(
        rows.iter()
            .map(|row| (row.code.as_str(), row.held.as_deref(), row.loinc.as_deref()))
            .collect::<Vec<_>>(),
        [
            ("GLU", None, Some("2345-7")),
            ("GLU", None, Some("2345-7")),
            ("ZZZ", Some("unknown_code"), None)
        ]
    );
    assert_eq!(rows[0].ucum_value.as_deref(), Some("6.20"));
    assert_eq!(
        ward.text("select actor from audit.entries where action = 'clinical.code.map'")
            .await,
        "dr.rao"
    );
    // again: nothing is left to release
    assert_eq!(
        answer(&ward.apply_one(command(&map("GLU"))).await),
        serde_json::json!({"released": 0})
    );
}

#[tokio::test]
async fn a_mapping_applies_at_once_to_what_comes_after() {
    let ward = Ward::new().await;
    ward.apply_one(command(&map("GLU"))).await;
    let verdict = ward
        .apply_one(at(
            0,
            &report("F", vec![held("GLU", "5.1"), held("ZZZ", "1")]),
        ))
        .await;
    assert_eq!(said(&verdict), ["clinical.report.filed", "lis.result.held"]);
    let rows = ward.results(Versions::Current).await;
    assert_eq!(
        (rows[0].held.as_deref(), rows[0].loinc.as_deref()),
        (None, Some("2345-7"))
    );
    assert_eq!(rows[0].ucum.as_deref(), Some("mg/dL"));
}

#[tokio::test]
async fn a_factor_converts_exactly_and_only_numbers_of_its_unit() {
    let ward = Ward::new().await;
    let mut text = held("HGB", "n/a");
    text.value = schemas::care::Value::Text { text: "n/a".into() };
    let mut other_unit = held("HGB", "14.0");
    other_unit.unit = Some("g/dL".into());
    ward.apply_one(at(
        0,
        &report("F", vec![held("HGB", "140.50"), text, other_unit]),
    ))
    .await;
    let mapping = MapCode {
        unit: Some("mg/dL".into()),
        ucum: Some("g/dL".into()),
        factor: Some("0.001".into()),
        ..map("HGB")
    };
    assert_eq!(
        answer(&ward.apply_one(command(&mapping)).await),
        serde_json::json!({"released": 2})
    );
    let rows = ward.results(Versions::Current).await;
    assert_eq!(rows[0].ucum_value.as_deref(), Some("0.14050"));
    assert_eq!(rows[0].value_text.as_deref(), Some("140.50"));
    assert_eq!(
        (rows[1].held.as_deref(), rows[1].ucum_value.as_deref()),
        (None, None)
    );
    assert_eq!(rows[2].held.as_deref(), Some("unknown_code"));
}

#[tokio::test]
async fn a_mapping_that_would_have_to_guess_is_refused() {
    let ward = Ward::new().await;
    for bad in [
        MapCode {
            factor: Some("0.1".into()),
            ..map("GLU")
        },
        MapCode {
            factor: Some("ten".into()),
            unit: Some("g/L".into()),
            ..map("GLU")
        },
        MapCode {
            factor: Some("0.0".into()),
            unit: Some("g/L".into()),
            ..map("GLU")
        },
        MapCode {
            loinc: " ".into(),
            ..map("GLU")
        },
        // mistyped: the check digit of 2345 is 7
        MapCode {
            loinc: "2345-8".into(),
            ..map("GLU")
        },
        MapCode {
            ucum: Some("mg / dl".into()),
            ..map("GLU")
        },
        map(""),
    ] {
        assert!(matches!(
            ward.apply_one(command(&bad)).await,
            Verdict::Refused(_)
        ));
    }
    assert_eq!(
        ward.count("select count(*) from clinical.code_maps").await,
        0
    );
}

#[tokio::test]
async fn a_mapping_without_a_unit_never_guesses_the_unit() {
    let ward = Ward::new().await;
    let mut other = held("GLU", "5");
    other.unit = Some("mmol/L".into());
    let mut none = held("GLU", "6");
    none.unit = None;
    ward.apply_one(at(0, &report("F", vec![held("GLU", "100"), other, none])))
        .await;
    ward.apply_one(command(&map("GLU"))).await;
    let units: Vec<_> = ward
        .results(Versions::Current)
        .await
        .into_iter()
        .map(|row| (row.held, row.ucum))
        .collect();
    let mg = Some("mg/dL".to_owned());
    assert_eq!(units, [(None, mg.clone()), (None, None), (None, mg)]);
}

#[tokio::test]
async fn a_result_without_a_patient_gets_its_meaning_and_waits_on() {
    let ward = Ward::new().await;
    let mut one = held("GLU", "5");
    one.held = Some(HoldReason::NoPatient);
    let mut nameless = report("F", vec![one]);
    nameless.subject = None;
    ward.apply_one(at(0, &nameless)).await;
    assert_eq!(
        answer(&ward.apply_one(command(&map("GLU"))).await),
        serde_json::json!({"released": 0})
    );
    assert_eq!(
        ward.text("select held || ' ' || loinc from clinical.results")
            .await,
        "no_patient 2345-7"
    );
}

#[tokio::test]
async fn a_mapping_made_while_results_are_being_filed_leaves_none_behind() {
    let ward = Ward::new().await;
    // filing has read the mappings and not committed
    let mut filing = ward.tx().await;
    ClinicalWorker::default()
        .apply(&mut filing, &[at(0, &report("F", vec![held("GLU", "5")]))])
        .await
        .unwrap();
    let mut mapping = ward.tx().await;
    let mapped = tokio::spawn(async move {
        let verdicts = ClinicalWorker::default()
            .apply(&mut mapping, &[command(&map("GLU"))])
            .await
            .unwrap();
        mapping.commit().await.unwrap();
        answer(&verdicts[0])
    });
    // the command must be waiting before filing commits
    let waits = async {
        while ward
            .count("select count(*) from pg_locks where locktype = 'advisory' and not granted")
            .await
            == 0
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waits)
        .await
        .unwrap();
    filing.commit().await.unwrap();
    assert_eq!(mapped.await.unwrap(), serde_json::json!({"released": 1}));

    // and the other way round: the mapping is being made, filing waits and then applies it
    let mut mapping = ward.tx().await;
    ClinicalWorker::default()
        .apply(&mut mapping, &[command(&map("K"))])
        .await
        .unwrap();
    let mut filing = ward.tx().await;
    let mut later = report("F", vec![held("K", "4.1")]);
    later.filler_number = Some("2".into());
    let filed = tokio::spawn(async move {
        ClinicalWorker::default()
            .apply(&mut filing, &[event(&later)])
            .await
            .unwrap();
        filing.commit().await.unwrap();
    });
    mapping.commit().await.unwrap();
    filed.await.unwrap();
    assert_eq!(
        ward.count("select count(*) from clinical.results where held is not null")
            .await,
        0
    );
}

#[tokio::test]
async fn a_held_correction_is_held_again_and_released_with_its_history() {
    let ward = Ward::new().await;
    ward.apply_one(at(
        0,
        &report("F", vec![held("GLU", "5"), number("NA", "140", "F")]),
    ))
    .await;
    let mut corrected = held("GLU", "6");
    corrected.status = Some("C".into());
    let verdict = ward.apply_one(at(1, &report("C", vec![corrected]))).await;
    assert_eq!(
        said(&verdict),
        ["clinical.report.amended", "lis.result.held"]
    );
    assert_eq!(
        answer(&ward.apply_one(command(&map("GLU"))).await),
        serde_json::json!({"released": 2})
    );
    assert!(
        ward.results(Versions::All)
            .await
            .iter()
            .all(|row| row.held.is_none())
    );
}
