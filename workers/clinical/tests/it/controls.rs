//! Control material: apart from patients, judged, decided.

use hub_core::Verdict;
use schemas::ChannelId;
use schemas::care::{Comparator, ResultReceived, Specimen, Value};
use schemas::controls::{ControlDecision, DecideControl, DefineControl};
use worker_clinical::queries::{ControlFilter, ControlRow, Versions, control_targets, controls};

use super::placing::place;
use super::support::{Ward, at, number, patient, report, said};

fn target(material: &str, level: &str) -> DefineControl {
    DefineControl {
        channel: ChannelId::new("lab").unwrap(),
        material: material.into(),
        lot: "L1".into(),
        level: level.into(),
        code: "GLU".into(),
        mean: "100".into(),
        sd: "2".into(),
        unit: Some("mg/dL".into()),
        actor: "chief".into(),
    }
}

/// The control's report, so many minutes after noon.
fn run(material: &str, minute: i64, value: &str) -> ResultReceived {
    let mut body = report("F", vec![number("GLU", value, "F")]);
    body.specimen = Some(Specimen {
        number: Some(material.into()),
        role: Some("Q".into()),
        ..Specimen::default()
    });
    body.observed_at = Some(format!(
        "2026-03-01T{:02}:{:02}:00Z",
        12 + minute / 60,
        minute % 60
    ));
    body
}

async fn filed(ward: &Ward) -> Vec<ControlRow> {
    let mut tx = ward.tx().await;
    let filter = ControlFilter {
        limit: 100,
        ..ControlFilter::default()
    };
    controls(tx.conn(), &filter).await.unwrap()
}

async fn verdicts(ward: &Ward) -> Vec<String> {
    filed(ward)
        .await
        .into_iter()
        .map(|row| format!("{} {} {}", row.verdict, row.rules.join(","), row.state))
        .collect()
}

#[tokio::test]
async fn a_control_never_reaches_a_patient_even_when_its_message_names_one() {
    let ward = Ward::new().await;
    ward.apply(&[
        at(0, &place(patient("1"), "GLU", "QC1")),
        at(0, &target("QC1", "1")),
    ])
    .await;
    let verdict = ward.apply_one(at(1, &run("QC1", 0, "101"))).await;
    assert_eq!(said(&verdict), ["clinical.control.recorded"]);
    assert!(ward.results(Versions::Current).await.is_empty());
    assert_eq!(ward.count("select count(*) from clinical.reports").await, 0);
    assert_eq!(
        ward.text("select status from clinical.orders").await,
        "active"
    );
    let row = filed(&ward).await.remove(0);
    assert_eq!(row.z, Some(0.5));
    assert_eq!(
        (row.lot.as_deref(), row.mean_text.as_deref()),
        (Some("L1"), Some("100"))
    );
    // the same run again is one run; with another value it is another
    assert!(matches!(
        ward.apply_one(at(2, &run("QC1", 0, "101"))).await,
        Verdict::Unchanged
    ));
    ward.apply_one(at(3, &run("QC1", 0, "102"))).await;
    assert_eq!(filed(&ward).await.len(), 2);
}

#[tokio::test]
async fn calibration_and_electronic_control_are_nobodys_either() {
    let ward = Ward::new().await;
    for (minute, role) in [(1, "C"), (2, "V"), (3, "E")] {
        let mut body = run("CAL1", minute, "101");
        let specimen = body.specimen.as_mut().unwrap();
        specimen.role = Some(role.into());
        let verdict = ward.apply_one(at(minute, &body)).await;
        assert_eq!(said(&verdict), ["clinical.control.recorded"], "{role}");
    }
    assert_eq!(ward.count("select count(*) from clinical.reports").await, 0);
    assert_eq!(
        ward.count("select count(*) from clinical.unmatched_reports")
            .await,
        0
    );
}

#[tokio::test]
async fn results_are_judged_against_their_level_and_the_other_levels_of_the_run() {
    let ward = Ward::new().await;
    ward.apply(&[at(0, &target("QC1", "1")), at(0, &target("QC2", "2"))])
        .await;
    for (material, minute, value) in [
        ("QC1", 0, "101"),
        ("QC1", 1, "105"),
        ("QC1", 2, "105"),
        ("QC2", 3, "95.5"),
        ("QC2", 200, "104.5"),
    ] {
        ward.apply_one(at(minute, &run(material, minute, value)))
            .await;
    }
    assert_eq!(
        verdicts(&ward).await,
        [
            "in_control  none",
            "warning 1-2s open",
            "rejected 1-2s,2-2s open",
            "rejected 1-2s,R-4s open",
            "warning 1-2s open",
        ]
    );
}

#[tokio::test]
async fn what_can_not_be_judged_says_so() {
    let ward = Ward::new().await;
    ward.apply_one(at(0, &target("QC1", "1"))).await;
    let mut unit = run("QC1", 1, "5");
    unit.results[0].unit = Some("mmol/L".into());
    let mut more = run("QC1", 2, "5");
    more.results[0].value = Value::Quantity {
        comparator: Some(Comparator::Greater),
        number: "500".into(),
    };
    for body in [&run("QC9", 0, "100"), &unit, &more] {
        ward.apply_one(at(1, body)).await;
    }
    assert_eq!(
        verdicts(&ward).await,
        [
            "not_checked no_target open",
            "not_checked other_unit open",
            "not_checked no_number open"
        ]
    );
}

#[tokio::test]
async fn a_rejected_result_stays_visible_and_does_not_count_in_its_series() {
    let ward = Ward::new().await;
    ward.apply_one(at(0, &target("QC1", "1"))).await;
    ward.apply_one(at(1, &run("QC1", 0, "105"))).await;
    let id = filed(&ward).await[0].id;
    let decision = DecideControl {
        control_id: id,
        decision: ControlDecision::Rejected,
        comment: "air bubble".into(),
        actor: "tech".into(),
    };
    ward.apply_one(at(2, &decision)).await;
    ward.apply_one(at(3, &run("QC1", 5, "105"))).await;
    assert_eq!(
        verdicts(&ward).await,
        ["warning 1-2s rejected", "warning 1-2s open"]
    );
    for (control_id, code) in [
        (id, "clinical.control_not_open"),
        (0, "clinical.control_unknown"),
    ] {
        let again = DecideControl {
            control_id,
            ..decision.clone()
        };
        match ward.apply_one(at(4, &again)).await {
            Verdict::Refused(refusal) => assert_eq!(refusal.code, code),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        ward.count("select count(*) from audit.entries where action like 'clinical.control.%' and actor in ('tech', 'chief')").await,
        2
    );
}

#[tokio::test]
async fn a_new_lot_begins_its_own_series_and_a_target_without_numbers_is_refused() {
    let ward = Ward::new().await;
    ward.apply_one(at(0, &target("QC1", "1"))).await;
    ward.apply_one(at(1, &run("QC1", 0, "105"))).await;
    let mut new = target("QC1", "1");
    new.lot = "L2".into();
    ward.apply_one(at(2, &new)).await;
    ward.apply_one(at(3, &run("QC1", 5, "105"))).await;
    assert_eq!(verdicts(&ward).await[1], "warning 1-2s open");
    for (mean, sd) in [("x", "1"), ("1", "0"), ("1", "-1"), ("1", "")] {
        let wrong = DefineControl {
            mean: mean.into(),
            sd: sd.into(),
            ..new.clone()
        };
        assert!(
            matches!(ward.apply_one(at(4, &wrong)).await, Verdict::Refused(_)),
            "{mean} {sd}"
        );
    }
    let mut tx = ward.tx().await;
    let targets = control_targets(tx.conn(), Some("lab")).await.unwrap();
    assert_eq!((targets.len(), targets[0].lot.as_str()), (1, "L2"));
}
