//! Verification: what the rules pass, what people decide, what goes out.

use hub_core::{Envelope, Verdict};
use schemas::ChannelId;
use schemas::care::{Mapped, Observation, ResultReceived, Specimen};
use schemas::commands::MapCode;
use schemas::verification::{DecideResults, Decision, Seen};
use test_support::tenant;
use worker_clinical::queries::{
    ResultFilter, VerificationFilter, VerificationRow, VerificationState, report, verifications,
};
use worker_clinical::{Approval, Autoverify};

use super::placing::place;
use super::support::{Ward, at, code, key, number, patient, report as received, said};

mod pages;
mod series;

/// Glucose may be verified by the machine, approved.
pub(crate) fn pack(more: &str, rows: &str) -> Autoverify {
    let text = format!(
        "version = \"t1\"\nqc_hours = 24\n{more}\n[[flag]]\ntext = [\"N\", \"H\"]\naction = \"none\"\n\
         [[flag]]\ntext = [\"CLOT\"]\naction = \"block\"\n\
         [[analyte]]\nloinc = \"2345-7\"\nucum = \"mg/dL\"\nrange = {{ low = \"60\", high = \"300\" }}\nqc = false\n{rows}"
    );
    let pack = Autoverify::parse(&text).unwrap();
    let approval = Approval {
        version: pack.version().to_owned(),
        sha256: pack.digest().to_owned(),
        by: "Dr. Rao".to_owned(),
        at: "2026-02-01".to_owned(),
        off: false,
        channels_off: Vec::new(),
    };
    pack.approved(&approval)
}

pub(crate) const FREE: &str = "first = 0\nneeds_order = false";

pub(crate) async fn lab(pack: Autoverify) -> Ward {
    let plain = Ward::new().await;
    Ward {
        worker: plain
            .worker
            .clone()
            .with_autoverify(pack)
            .with_verification([(tenant("demo"), ChannelId::new("lab").unwrap())]),
        ..plain
    }
}

pub(crate) fn glucose(value: &str) -> Observation {
    Observation {
        mapped: Some(Mapped {
            loinc: "2345-7".into(),
            display: None,
            ucum: Some("mg/dL".into()),
            factor: None,
        }),
        ..number("GLU", value, "F")
    }
}

/// A report of tube T1, observed so many minutes after noon.
pub(crate) fn measured(minute: i64, results: Vec<Observation>) -> ResultReceived {
    let mut body = received("F", results);
    body.filler_number = None;
    body.observed_at = Some(format!("2026-03-01T12:{minute:02}:00Z"));
    body.specimen = Some(Specimen {
        number: Some("T1".into()),
        ..Specimen::default()
    });
    body
}

pub(crate) async fn rows(ward: &Ward) -> Vec<VerificationRow> {
    let mut tx = ward.tx().await;
    let filter = VerificationFilter {
        state: VerificationState::All,
        limit: 500,
        ..VerificationFilter::default()
    };
    verifications(tx.conn(), &filter).await.unwrap()
}

/// As `value state check`.
pub(crate) async fn states(ward: &Ward) -> Vec<String> {
    rows(ward)
        .await
        .iter()
        .map(|row| {
            format!(
                "{} {} {}",
                row.result.value_text.as_deref().unwrap_or("-"),
                row.result.verification.as_deref().unwrap(),
                row.result.failed.as_deref().unwrap_or("-")
            )
        })
        .collect()
}

pub(crate) fn seen(row: &VerificationRow) -> Seen {
    Seen {
        verification_id: row.id,
        revision: row.revision,
    }
}

pub(crate) fn decide(
    items: Vec<Seen>,
    decision: Decision,
    comment: Option<&str>,
    actor: &str,
) -> Envelope {
    at(
        50,
        &DecideResults {
            items,
            decision,
            comment: comment.map(str::to_owned),
            item_by_item: false,
            actor: actor.into(),
        },
    )
}

pub(crate) fn verify(row: &VerificationRow) -> Envelope {
    decide(vec![seen(row)], Decision::Verify, None, "dr.rao")
}

pub(crate) fn refused(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Refused(refusal) => refusal.code,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn answer(verdict: &Verdict) -> &serde_json::Value {
    match verdict {
        Verdict::Applied {
            answer: Some(answer),
            ..
        } => answer,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_passes_is_released_with_its_report_and_what_fails_waits_with_the_check_that_failed() {
    let ward = lab(pack(FREE, "")).await;
    let verdict = ward
        .apply_one(at(0, &measured(0, vec![glucose("100")])))
        .await;
    assert_eq!(
        said(&verdict),
        ["clinical.report.filed", "clinical.report.released"]
    );
    let mut high = measured(5, vec![glucose("412"), glucose("90")]);
    high.specimen.as_mut().unwrap().number = Some("T2".into());
    high.results[1].code = code("GLU2");
    let verdict = ward.apply_one(at(1, &high)).await;
    assert_eq!(
        said(&verdict),
        ["clinical.report.filed"],
        "one result waits"
    );
    assert_eq!(
        states(&ward).await,
        ["100 released -", "412 needs_review range", "90 released -"]
    );
    let rows = rows(&ward).await;
    assert_eq!(rows[0].result.decided_by.as_deref(), Some("rules"));
    assert_eq!(
        (rows[0].pack.as_str(), rows[0].approved_by.as_deref()),
        ("t1", Some("Dr. Rao"))
    );

    // visible at once, with its state
    let results = ward.results(Default::default()).await;
    assert_eq!(results.len(), 3);
    assert_eq!(results.iter().filter(|one| one.released).count(), 2);

    let verdict = ward.apply_one(verify(&rows[1])).await;
    assert_eq!(said(&verdict), ["clinical.report.released"]);
    let mut tx = ward.tx().await;
    let (report, _) = report(tx.conn(), rows[1].result.report_id)
        .await
        .unwrap()
        .unwrap();
    assert!(report.released);
    assert_eq!(
        (report.release_state.as_deref(), report.releases),
        (Some("released"), Some(1))
    );
    assert_eq!(
        ward.count("select count(*) from audit.entries where action = 'clinical.result.decide' and actor = 'dr.rao'").await,
        1
    );
}

#[tokio::test]
async fn a_channel_whose_source_verifies_has_no_rows_and_its_final_results_count_as_released() {
    let ward = lab(pack(FREE, "")).await;
    let mut body = measured(0, vec![glucose("100"), number("GLU3", "1", "P")]);
    body.channel = ChannelId::new("his").unwrap();
    ward.apply_one(at(0, &body)).await;
    assert!(rows(&ward).await.is_empty());
    let results = ward.results(Default::default()).await;
    assert_eq!(
        results
            .iter()
            .map(|one| (one.released, one.verification.is_some()))
            .collect::<Vec<_>>(),
        [(true, false), (false, false)]
    );
    let mut tx = ward.tx().await;
    let filter = ResultFilter {
        released: Some(false),
        ..ResultFilter::default()
    };
    let waiting = worker_clinical::queries::results_for_subjects(
        tx.conn(),
        &[key("1").0],
        &filter,
        worker_clinical::queries::Page::first(10),
    )
    .await
    .unwrap();
    assert_eq!(waiting.len(), 1);
}

#[tokio::test]
async fn the_pack_of_the_program_is_a_draft_and_verifies_nothing() {
    let ward = lab(Autoverify::default()).await;
    ward.apply_one(at(0, &place(patient("1"), "GLU", "T1")))
        .await;
    ward.apply_one(at(1, &measured(0, vec![glucose("100")])))
        .await;
    // it has no control, so it stops there; what has all else stops at the draft
    assert_eq!(states(&ward).await, ["100 needs_review control"]);
    let draft = lab(Autoverify::parse(
        "version = \"d\"\nfirst = 0\nqc_hours = 1\n[[analyte]]\nloinc = \"2345-7\"\nucum = \"mg/dL\"\n\
         range = { low = \"1\" }\nqc = false\n",
    )
    .unwrap())
    .await;
    draft
        .apply_one(at(0, &place(patient("1"), "GLU", "T1")))
        .await;
    draft
        .apply_one(at(1, &measured(0, vec![glucose("100")])))
        .await;
    assert_eq!(states(&draft).await, ["100 needs_review on"]);
    assert_eq!(rows(&draft).await[0].approved_by, None);
}

#[tokio::test]
async fn a_preliminary_result_is_received_and_its_final_version_is_looked_at() {
    let ward = lab(pack(FREE, "")).await;
    let early = |status: &str| {
        let mut body = measured(0, vec![glucose("100")]);
        body.status = Some(status.into());
        body.results[0].status = Some(status.into());
        body
    };
    ward.apply_one(at(0, &early("P"))).await;
    assert_eq!(states(&ward).await, ["100 received final"]);
    ward.apply_one(at(1, &early("F"))).await;
    assert_eq!(
        states(&ward).await,
        ["100 received final", "100 released -"]
    );
    let rows = rows(&ward).await;
    assert!(!rows[0].counts && rows[1].counts);
    assert_eq!(
        refused(&ward.apply_one(verify(&rows[0])).await),
        "clinical.verification_not_open"
    );
}

#[tokio::test]
async fn a_correction_of_a_released_result_opens_its_report_again_and_is_never_passed_by_the_rules()
{
    let ward = lab(pack(FREE, "")).await;
    ward.apply_one(at(0, &measured(0, vec![glucose("100")])))
        .await;
    let mut corrected = measured(0, vec![glucose("110")]);
    corrected.status = Some("C".into());
    corrected.results[0].status = Some("C".into());
    let verdict = ward.apply_one(at(1, &corrected)).await;
    assert_eq!(
        said(&verdict),
        ["clinical.report.amended", "clinical.report.reopened"]
    );
    assert_eq!(
        states(&ward).await,
        ["100 released -", "110 needs_review correction"]
    );
    let row = rows(&ward).await.remove(1);
    assert!(row.corrects_released);
    let shown = ward.results(Default::default()).await;
    assert!(
        !shown[0].released,
        "the old value no longer counts, the new one not yet"
    );
    let verdict = ward.apply_one(verify(&row)).await;
    let Verdict::Applied { outgoing, .. } = &verdict else {
        panic!("{verdict:?}")
    };
    let body: serde_json::Value = serde_json::from_slice(&outgoing[0].body).unwrap();
    assert_eq!(
        (&body["release"], &body["released"]),
        (&2.into(), &1.into())
    );
    // the same message again says nothing new
    assert!(matches!(
        ward.apply_one(at(2, &corrected)).await,
        Verdict::Unchanged
    ));
}

#[tokio::test]
async fn what_gets_its_meaning_or_its_order_later_is_looked_at_again() {
    let ward = lab(pack("first = 0", "")).await;
    let unknown = Observation {
        held: Some(schemas::care::HoldReason::UnknownCode),
        mapped: None,
        ..glucose("100")
    };
    ward.apply_one(at(0, &measured(0, vec![unknown]))).await;
    assert_eq!(states(&ward).await, ["100 needs_review order"]);
    ward.apply_one(at(1, &place(patient("1"), "GLU", "T1")))
        .await;
    assert_eq!(states(&ward).await, ["100 needs_review meaning"]);
    let map = MapCode {
        channel: ChannelId::new("lab").unwrap(),
        code_system: String::new(),
        code: "GLU".into(),
        unit: Some("mg/dL".into()),
        loinc: "2345-7".into(),
        display: None,
        ucum: Some("mg/dL".into()),
        factor: None,
        actor: "chief".into(),
    };
    let verdict = ward.apply_one(at(2, &map)).await;
    assert_eq!(
        said(&verdict),
        ["clinical.code.mapped", "clinical.report.released"]
    );
    assert_eq!(states(&ward).await, ["100 released -"]);
}

#[tokio::test]
async fn reports_go_out_whole_where_the_pack_says_so() {
    let ward = lab(pack(&format!("{FREE}\nrelease = \"report\""), "")).await;
    let mut body = measured(0, vec![glucose("412"), glucose("100")]);
    body.results[1].code = code("B");
    ward.apply_one(at(0, &body)).await;
    assert_eq!(
        states(&ward).await,
        ["412 needs_review range", "100 verified -"]
    );
    let row = rows(&ward).await.remove(0);
    let verdict = ward.apply_one(verify(&row)).await;
    assert_eq!(said(&verdict), ["clinical.report.released"]);
    assert_eq!(
        states(&ward).await,
        ["412 released range", "100 released -"]
    );
}
