//! What the rules look at beyond a result: those before it, the controls of its analyte, the first of a configuration.

use schemas::ChannelId;
use schemas::care::{ResultReceived, Specimen};
use schemas::controls::DefineControl;
use worker_clinical::queries::affected_by_control;
use worker_clinical::{Approval, Autoverify};

use super::super::support::at;
use super::{FREE, glucose, lab, measured, pack, rows, states, verify};

#[tokio::test]
async fn delta_looks_at_the_last_released_result_of_another_sample() {
    let rows_more = "delta = [{ days = 3, percent = \"20\" }]\n";
    let ward = lab(pack(FREE, rows_more)).await;
    let other = |tube: &str, minute: i64, value: &str| {
        let mut body = measured(minute, vec![glucose(value)]);
        body.specimen.as_mut().unwrap().number = Some(tube.into());
        body
    };
    for (minute, tube, value) in [(0, "T1", "100"), (1, "T2", "150"), (2, "T3", "110")] {
        ward.apply_one(at(minute, &other(tube, minute, value)))
            .await;
    }
    assert_eq!(
        states(&ward).await,
        ["100 released -", "150 needs_review delta", "110 released -"],
        "the one that waits is nothing to compare with"
    );
}

fn control(minute: i64, value: &str) -> ResultReceived {
    let mut body = measured(minute, vec![glucose(value)]);
    body.subject = None;
    body.specimen = Some(Specimen {
        number: Some("QC1".into()),
        role: Some("Q".into()),
        ..Specimen::default()
    });
    body
}

#[tokio::test]
async fn a_bad_control_stops_its_analyte_until_a_good_one_and_lists_the_results_in_doubt() {
    let text = "version = \"t1\"\nqc_hours = 24\nfirst = 0\nneeds_order = false\n[[analyte]]\nloinc = \"2345-7\"\n\
                ucum = \"mg/dL\"\nrange = { low = \"60\", high = \"300\" }\n";
    let pack = Autoverify::parse(text).unwrap();
    let approval = Approval {
        version: "t1".into(),
        sha256: pack.digest().into(),
        by: "Dr. Rao".into(),
        at: "2026-02-01".into(),
        off: false,
        channels_off: Vec::new(),
    };
    let ward = lab(pack.approved(&approval)).await;
    let target = DefineControl {
        channel: ChannelId::new("lab").unwrap(),
        material: "QC1".into(),
        lot: "L1".into(),
        level: "1".into(),
        code: "GLU".into(),
        mean: "100".into(),
        sd: "2".into(),
        unit: Some("mg/dL".into()),
        actor: "chief".into(),
    };
    let patient_at = |minute: i64, value: &str| {
        let mut body = measured(minute, vec![glucose(value)]);
        body.specimen.as_mut().unwrap().number = Some(format!("T{minute}"));
        body
    };
    ward.apply_one(at(0, &patient_at(0, "90"))).await;
    ward.apply_one(at(0, &target)).await;
    ward.apply_one(at(1, &control(1, "101"))).await;
    ward.apply_one(at(2, &patient_at(2, "92"))).await;
    ward.apply_one(at(3, &control(3, "107"))).await;
    ward.apply_one(at(4, &patient_at(4, "94"))).await;
    ward.apply_one(at(5, &control(5, "100"))).await;
    ward.apply_one(at(6, &patient_at(6, "96"))).await;
    assert_eq!(
        states(&ward).await,
        [
            "90 needs_review control",
            "92 released -",
            "94 needs_review control",
            "96 released -"
        ]
    );
    let mut tx = ward.tx().await;
    let bad: i64 =
        sqlx::query_scalar("select id from clinical.qc_results where verdict = 'rejected'")
            .fetch_one(tx.conn())
            .await
            .unwrap();
    let affected = affected_by_control(tx.conn(), bad, None, 10)
        .await
        .unwrap()
        .unwrap();
    let values: Vec<_> = affected
        .iter()
        .map(|row| row.result.value_text.as_deref().unwrap())
        .collect();
    assert_eq!(
        values,
        ["92", "94"],
        "also what was released before it was known"
    );
    assert!(
        affected_by_control(tx.conn(), 999, None, 10)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn the_first_of_a_configuration_are_verified_by_people() {
    let ward = lab(pack("first = 2\nneeds_order = false", "")).await;
    for nth in 0..3 {
        let mut body = measured(nth, vec![glucose("100")]);
        body.specimen.as_mut().unwrap().number = Some(format!("T{nth}"));
        ward.apply_one(at(nth, &body)).await;
        let row = rows(&ward).await.pop().unwrap();
        if nth < 2 {
            assert_eq!(row.result.failed.as_deref(), Some("first"));
            ward.apply_one(verify(&row)).await;
        } else {
            assert_eq!(row.result.decided_by.as_deref(), Some("rules"));
        }
    }
}
