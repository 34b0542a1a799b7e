//! Results: new, again, corrected, withdrawn, out of order.

use hub_core::{Tx, Verdict, Worker};
use schemas::care::{
    Attachment, Code, Comparator, Mapped, ReferenceRange, ResultReceived, Specimen, Value,
};
use serde_json::json;
use test_support::{TestDatabase, envelope, event, tenant};
use worker_clinical::ClinicalWorker;
use worker_clinical::queries::Versions;

use super::support::{Ward, at, code, key, number, patient, report, said, unique_ids};

#[tokio::test]
async fn the_same_oru_three_times_makes_one_result() {
    let ward = Ward::new().await;
    let envelope = event(&report("F", vec![number("GLU", "5.1", "F")]));
    assert_eq!(
        said(&ward.apply_one(envelope.clone()).await),
        ["clinical.report.filed"]
    );
    // the runner's inbox stops these; the worker does not need it
    let verdicts = ward.apply(&[envelope.clone(), envelope]).await;
    assert!(matches!(
        verdicts[..],
        [Verdict::Unchanged, Verdict::Unchanged]
    ));
    assert_eq!(ward.history().await, ["GLU=5.1 F*"]);
}

#[tokio::test]
async fn a_resent_result_under_a_new_control_id_files_nothing() {
    let ward = Ward::new().await;
    let body = report(
        "F",
        vec![number("GLU", "5.1", "F"), number("UREA", "30", "F")],
    );
    ward.apply_one(at(0, &body)).await;
    for minute in 1..4 {
        assert!(matches!(
            ward.apply_one(at(minute, &body)).await,
            Verdict::Unchanged
        ));
    }
    assert_eq!(ward.history().await, ["GLU=5.1 F*", "UREA=30 F*"]);
    assert_eq!(ward.reports().await[0].version, 1);
}

#[tokio::test]
async fn a_correction_keeps_the_old_value() {
    let ward = Ward::new().await;
    ward.apply_one(at(
        0,
        &report(
            "F",
            vec![number("GLU", "5.1", "F"), number("NA", "140", "F")],
        ),
    ))
    .await;
    let verdict = ward
        .apply_one(at(1, &report("C", vec![number("GLU", "6.1", "C")])))
        .await;
    assert_eq!(said(&verdict), ["clinical.report.amended"]);
    assert_eq!(ward.current().await, ["GLU=6.1 C", "NA=140 F"]);
    assert_eq!(
        ward.history().await,
        ["GLU=5.1 F", "GLU=6.1 C*", "NA=140 F*"]
    );
    let reports = ward.reports().await;
    assert_eq!(reports.len(), 1);
    assert_eq!(
        (reports[0].version, reports[0].status.as_deref()),
        (2, Some("C"))
    );
    let all = ward.results(Versions::All).await;
    assert!(all[0].superseded_at.is_some() && all[0].source_event != all[1].source_event);
}

#[tokio::test]
async fn a_correction_whose_time_was_corrected_too_finds_its_report() {
    let ward = Ward::new().await;
    ward.apply_one(at(0, &report("F", vec![number("GLU", "5.1", "F")])))
        .await;
    let mut correction = report("C", vec![number("GLU", "6.1", "C")]);
    correction.observed_at = Some("2026-03-01T11:30:00Z".into());
    ward.apply_one(at(1, &correction)).await;
    assert!(matches!(
        ward.apply_one(at(2, &correction)).await,
        Verdict::Unchanged
    ));
    assert_eq!(ward.reports().await.len(), 1);
    assert_eq!(ward.history().await, ["GLU=5.1 F", "GLU=6.1 C*"]);
}

#[tokio::test]
async fn preliminary_then_final_then_corrected_keeps_all_three() {
    let ward = Ward::new().await;
    for (minute, status, value) in [(0, "P", "5.0"), (1, "F", "5.1"), (2, "C", "5.2")] {
        ward.apply_one(at(
            minute,
            &report(status, vec![number("GLU", value, status)]),
        ))
        .await;
    }
    assert_eq!(
        ward.history().await,
        ["GLU=5.0 P", "GLU=5.1 F", "GLU=5.2 C*"]
    );
    assert_eq!(ward.reports().await[0].version, 3);
}

#[tokio::test]
async fn a_preliminary_result_after_the_final_one_is_kept_and_the_final_one_stays() {
    let ward = Ward::new().await;
    ward.apply_one(at(0, &report("F", vec![number("GLU", "5.1", "F")])))
        .await;
    let late = report("P", vec![number("GLU", "5.0", "P")]);
    ward.apply_one(at(1, &late)).await;
    assert_eq!(ward.current().await, ["GLU=5.1 F"]);
    assert_eq!(ward.history().await, ["GLU=5.1 F*", "GLU=5.0 P"]);
    assert_eq!(ward.reports().await[0].status.as_deref(), Some("F"));
    assert!(matches!(
        ward.apply_one(at(2, &late)).await,
        Verdict::Unchanged
    ));
}

#[tokio::test]
async fn a_final_result_delivered_after_its_correction_does_not_overrule_it() {
    let ward = Ward::new().await;
    ward.apply_one(at(5, &report("C", vec![number("GLU", "6.1", "C")])))
        .await;
    ward.apply_one(at(0, &report("F", vec![number("GLU", "5.1", "F")])))
        .await;
    assert_eq!(ward.current().await, ["GLU=6.1 C"]);
    assert_eq!(ward.history().await.len(), 2);
    assert_eq!(ward.reports().await[0].status.as_deref(), Some("C"));
}

#[tokio::test]
async fn a_cancelled_result_has_no_value_and_what_was_there_is_kept() {
    let ward = Ward::new().await;
    ward.apply_one(at(0, &report("F", vec![number("GLU", "5.1", "F")])))
        .await;
    ward.apply_one(at(1, &report("X", vec![number("GLU", "haemolysed", "X")])))
        .await;
    assert_eq!(ward.history().await, ["GLU=5.1 F", "GLU=- X*"]);
    let current = ward.results(Versions::Current).await.remove(0);
    assert_eq!(current.value_kind, "absent");
    assert_eq!(current.raw_value.as_deref(), Some("haemolysed"));
}

#[tokio::test]
async fn a_withdrawn_result_is_a_version_of_its_own() {
    let ward = Ward::new().await;
    for (minute, status) in [(0, "F"), (1, "W"), (2, "D")] {
        ward.apply_one(at(minute, &report("C", vec![number("GLU", "5.1", status)])))
            .await;
    }
    assert_eq!(
        ward.history().await,
        ["GLU=5.1 F", "GLU=5.1 W", "GLU=5.1 D*"]
    );
}

#[tokio::test]
async fn results_that_come_later_are_added_and_the_same_code_twice_stays_two() {
    let ward = Ward::new().await;
    ward.apply_one(at(
        0,
        &report("P", vec![number("GLU", "5", "F"), number("GLU", "7", "F")]),
    ))
    .await;
    let verdict = ward
        .apply_one(at(
            1,
            &report(
                "F",
                vec![
                    number("GLU", "5", "F"),
                    number("GLU", "8", "C"),
                    number("NA", "140", "F"),
                ],
            ),
        ))
        .await;
    assert_eq!(said(&verdict), ["clinical.report.amended"]);
    assert_eq!(
        ward.history().await,
        ["GLU=5 F*", "GLU=7 F", "GLU=8 C*", "NA=140 F*"]
    );
}

#[tokio::test]
async fn two_events_of_one_report_in_one_batch_are_applied_in_order() {
    let ward = Ward::new().await;
    let mut other = report("F", vec![number("K", "4.1", "F")]);
    other.subject = Some(patient("2"));
    let mut moved = report("C", vec![number("GLU", "6.1", "C")]);
    moved.observed_at = Some("2026-03-01T11:30:00Z".into());
    let verdicts = ward
        .apply(&[
            at(0, &report("P", vec![number("GLU", "5.0", "P")])),
            at(1, &other),
            at(1, &report("F", vec![number("GLU", "5.1", "F")])),
            at(2, &moved),
            at(3, &report("F", vec![number("GLU", "5.1", "F")])),
        ])
        .await;
    assert_eq!(
        verdicts.iter().map(said).collect::<Vec<_>>(),
        [
            vec!["clinical.report.filed"],
            vec!["clinical.report.filed"],
            vec!["clinical.report.amended"],
            vec!["clinical.report.amended"],
            vec![]
        ]
    );
    assert_eq!(
        ward.history().await,
        ["GLU=5.0 P", "GLU=5.1 F", "GLU=6.1 C*"]
    );
    assert_eq!(
        ward.count("select count(*) from audit.entries where action = 'clinical.apply'")
            .await,
        1
    );
    assert_eq!(
        ward.text("select object from audit.entries").await,
        "reports:4"
    );
}

#[tokio::test]
async fn a_reused_order_number_at_another_time_is_another_report() {
    let ward = Ward::new().await;
    let mut second = report("F", vec![number("GLU", "9.9", "F")]);
    second.observed_at = Some("2026-03-01T13:00:00Z".into());
    ward.apply(&[
        at(0, &report("F", vec![number("GLU", "5.1", "F")])),
        at(60, &second),
    ])
    .await;
    assert_eq!(ward.reports().await.len(), 2);
    assert_eq!(ward.current().await.len(), 2);
}

#[tokio::test]
async fn tenants_never_meet() {
    let database = TestDatabase::new().await;
    let body = report("F", vec![number("GLU", "5.1", "F")]);
    for name in ["north", "south"] {
        let tenant = tenant(name);
        let mut tx = Tx::begin(database.pool(), &tenant).await.unwrap();
        let verdicts = ClinicalWorker::default()
            .apply(&mut tx, &[envelope(&tenant, "/channel/x/lab", &body)])
            .await
            .unwrap();
        assert_eq!(said(&verdicts[0]), ["clinical.report.filed"]);
        tx.commit().await.unwrap();
    }
    for name in ["north", "south", "nobody"] {
        let mut tx = Tx::begin(database.pool(), &tenant(name)).await.unwrap();
        let count: i64 = sqlx::query_scalar("select count(*) from clinical.results")
            .fetch_one(tx.conn())
            .await
            .unwrap();
        assert_eq!(count, i64::from(name != "nobody"), "{name}");
    }
}

#[tokio::test]
async fn every_digit_survives() {
    let ward = Ward::new().await;
    let mut converted = number("HGB", "140.50", "F");
    converted.mapped = Some(Mapped {
        loinc: "718-7".into(),
        display: None,
        ucum: Some("g/dL".into()),
        factor: Some("0.1".into()),
    });
    let mut long = number("BIG", "12345678901234567890.0012300", "F");
    long.range = Some(ReferenceRange {
        text: "4.10-5.90".into(),
        low: Some("4.10".into()),
        high: Some("5.90".into()),
    });
    ward.apply_one(at(
        0,
        &report("F", vec![number("PH", "5.10", "F"), converted, long]),
    ))
    .await;
    let rows = ward.results(Versions::Current).await;
    assert_eq!(rows[0].value_text.as_deref(), Some("5.10"));
    assert_eq!(rows[0].raw_value.as_deref(), Some("5.10"));
    assert_eq!(rows[1].value_text.as_deref(), Some("140.50"));
    assert_eq!(rows[1].ucum_value.as_deref(), Some("14.050"));
    assert_eq!(
        rows[2].value_text.as_deref(),
        Some("12345678901234567890.0012300")
    );
    assert_eq!(rows[2].range_low.as_deref(), Some("4.10"));
}

/// Also keeps the worker's borrowed mirror of the types in step with them: every field is filled and looked for.
#[tokio::test]
async fn every_form_of_value_and_every_field_is_kept() {
    let ward = Ward::new().await;
    let value = |name: &str, value| schemas::care::Observation {
        value,
        raw_value: None,
        unit: None,
        ..number(name, "0", "F")
    };
    let mut full = number("FULL", "0.5", "F");
    full.value = Value::Quantity {
        comparator: Some(Comparator::Less),
        number: "0.5".into(),
    };
    full.raw_value = Some("<0.5".into());
    full.code.text = Some("Full \"quoted\" नाम".into());
    full.code.system = Some("99X".into());
    full.alternate = Some(Code {
        code: "A".into(),
        text: Some("Alt".into()),
        system: Some("LN".into()),
    });
    full.sub_id = Some("1.2".into());
    full.flags = vec!["H".into(), "A".into()];
    full.observed_at = Some("2026-03-01T11:00:00+05:30".into());
    full.device = Some("D1".into());
    full.notes = vec!["one".into(), "two\u{0}".into()];
    let body = ResultReceived {
        visit_number: Some("V1".into()),
        placer_number: Some("P1".into()),
        issued_at: Some("2026-03-01T12:30:00Z".into()),
        specimen: Some(Specimen {
            number: Some("S1".into()),
            kind: Some(code("BLD")),
            collected_at: Some("2026-03-01T10:00:00Z".into()),
            ..Specimen::default()
        }),
        notes: vec!["report note".into()],
        ..report(
            "F",
            vec![
                full,
                value(
                    "RANGE",
                    Value::Range {
                        low: "2".into(),
                        high: "5".into(),
                    },
                ),
                value(
                    "RATIO",
                    Value::Ratio {
                        numerator: "1".into(),
                        denominator: "128".into(),
                    },
                ),
                value(
                    "CODED",
                    Value::Coded {
                        codes: vec![code("POS")],
                    },
                ),
                value(
                    "TEXT",
                    Value::Text {
                        text: "no growth".into(),
                    },
                ),
                value(
                    "DATE",
                    Value::DateTime {
                        value: "2026-03".into(),
                    },
                ),
                value(
                    "FILE",
                    Value::Attachment {
                        attachment: Attachment {
                            sha256: "00".into(),
                            bytes: 3,
                            media_type: "application/pdf".into(),
                            label: None,
                        },
                    },
                ),
                value(
                    "NONE",
                    Value::Absent {
                        reason: "not measured".into(),
                    },
                ),
            ],
        )
    };
    ward.apply_one(at(0, &body)).await;
    assert!(matches!(
        ward.apply_one(at(1, &body)).await,
        Verdict::Unchanged
    ));

    let rows = ward.results(Versions::Current).await;
    let full = serde_json::to_value(&rows[0]).unwrap();
    for (field, expected) in [
        ("code_text", json!("Full \"quoted\" नाम")),
        ("code_system", json!("99X")),
        (
            "alternate",
            json!({"code": "A", "text": "Alt", "system": "LN"}),
        ),
        ("sub_id", json!("1.2")),
        ("comparator", json!("<")),
        ("value_text", json!("0.5")),
        ("raw_value", json!("<0.5")),
        ("flags", json!("H~A")),
        ("observed_at", json!("2026-03-01T05:30:00Z")),
        ("issued_at", json!("2026-03-01T12:30:00Z")),
        ("device", json!("D1")),
        ("notes", json!("one\ntwo\u{fffd}")),
        ("specimen_number", json!("S1")),
        ("placer_number", json!("P1")),
        ("report_status", json!("F")),
    ] {
        assert_eq!(full[field], expected, "{field}");
    }
    assert_eq!(
        rows.iter()
            .map(|row| (row.value_kind.as_str(), row.value_text.as_deref()))
            .collect::<Vec<_>>(),
        [
            ("quantity", Some("0.5")),
            ("range", Some("2-5")),
            ("ratio", Some("1:128")),
            ("coded", None),
            ("text", Some("no growth")),
            ("date_time", Some("2026-03")),
            ("attachment", None),
            ("absent", None),
        ]
    );
    assert_eq!(rows[3].value_json, Some(json!([{"code": "POS"}])));
    assert_eq!(rows[6].value_json.as_ref().unwrap()["bytes"], 3);
    assert_eq!(rows[7].value_json, Some(json!({"reason": "not measured"})));
    let filed = &ward.reports().await[0];
    assert_eq!(filed.visit_number.as_deref(), Some("V1"));
    assert_eq!(filed.notes.as_deref(), Some("report note"));
    assert_eq!(
        ward.count("select count(*) from clinical.specimens").await,
        1
    );
}

#[tokio::test]
async fn a_body_or_a_time_that_cannot_be_read_is_refused_and_the_rest_is_filed() {
    let ward = Ward::new().await;
    let mut bad_time = report("F", vec![number("GLU", "1", "F")]);
    bad_time.observed_at = Some("yesterday".into());
    let mut junk = event(&report("F", vec![]));
    junk.body = bytes::Bytes::from_static(b"{");
    let verdicts = ward
        .apply(&[
            at(0, &bad_time),
            junk,
            at(0, &report("F", vec![number("GLU", "5.1", "F")])),
        ])
        .await;
    assert!(matches!(&verdicts[0], Verdict::Refused(refusal) if refusal.code == "clinical.time"));
    assert!(matches!(&verdicts[1], Verdict::Refused(refusal) if refusal.code == "envelope.body"));
    assert!(unique_ids(&verdicts[2]));
    assert_eq!(ward.current().await, ["GLU=5.1 F"]);
    assert_eq!(ward.reports().await[0].subject_key, Some(key("1").0));
}
