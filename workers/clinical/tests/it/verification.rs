//! Verification: what the rules pass, what people decide, what goes out.

use hub_core::{Envelope, Verdict};
use schemas::ChannelId;
use schemas::care::{Comparator, Mapped, Observation, ResultReceived, Specimen, Value};
use schemas::commands::{ClaimReport, MapCode, SecondIdentifier};
use schemas::controls::DefineControl;
use schemas::verification::{CommentResult, DecideResults, Decision, RerunResult, Seen};
use test_support::tenant;
use worker_clinical::queries::{
    ResultFilter, VerificationFilter, VerificationRow, VerificationState, affected_by_control,
    report, verification_comments, verification_runs, verifications,
};
use worker_clinical::{Approval, Autoverify};

use super::placing::place;
use super::support::{Ward, at, code, key, number, patient, report as received, said};

/// Glucose may be verified by the machine, approved.
fn pack(more: &str, rows: &str) -> Autoverify {
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

const FREE: &str = "first = 0\nneeds_order = false";

async fn lab(pack: Autoverify) -> Ward {
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

fn glucose(value: &str) -> Observation {
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
fn measured(minute: i64, results: Vec<Observation>) -> ResultReceived {
    let mut body = received("F", results);
    body.filler_number = None;
    body.observed_at = Some(format!("2026-03-01T12:{minute:02}:00Z"));
    body.specimen = Some(Specimen {
        number: Some("T1".into()),
        ..Specimen::default()
    });
    body
}

async fn rows(ward: &Ward) -> Vec<VerificationRow> {
    let mut tx = ward.tx().await;
    let filter = VerificationFilter {
        state: VerificationState::All,
        limit: 500,
        ..VerificationFilter::default()
    };
    verifications(tx.conn(), &filter).await.unwrap()
}

/// As `value state check`.
async fn states(ward: &Ward) -> Vec<String> {
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

fn seen(row: &VerificationRow) -> Seen {
    Seen {
        verification_id: row.id,
        revision: row.revision,
    }
}

fn decide(items: Vec<Seen>, decision: Decision, comment: Option<&str>, actor: &str) -> Envelope {
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

fn verify(row: &VerificationRow) -> Envelope {
    decide(vec![seen(row)], Decision::Verify, None, "dr.rao")
}

fn refused(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Refused(refusal) => refusal.code,
        other => panic!("{other:?}"),
    }
}

fn answer(verdict: &Verdict) -> &serde_json::Value {
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
async fn a_decision_is_of_what_was_seen_and_its_repeat_changes_nothing() {
    let ward = lab(pack(FREE, "")).await;
    ward.apply_one(at(0, &measured(0, vec![glucose("412")])))
        .await;
    let row = rows(&ward).await.remove(0);
    let stale = Seen {
        revision: row.revision + 1,
        ..seen(&row)
    };
    let unknown = Seen {
        verification_id: 999,
        revision: 1,
    };
    for (items, decision, comment, expected) in [
        (
            vec![stale],
            Decision::Verify,
            None,
            "clinical.verification_stale",
        ),
        (
            vec![unknown],
            Decision::Verify,
            None,
            "clinical.verification_unknown",
        ),
        (
            vec![seen(&row)],
            Decision::Reject,
            None,
            "clinical.verification_comment",
        ),
        (
            vec![seen(&row)],
            Decision::Reject,
            Some(" "),
            "clinical.verification_comment",
        ),
        (
            vec![seen(&row)],
            Decision::Reopen,
            Some("x"),
            "clinical.verification_not_open",
        ),
        (
            vec![],
            Decision::Verify,
            None,
            "clinical.verification_items",
        ),
        (
            vec![seen(&row); 2],
            Decision::Verify,
            None,
            "clinical.verification_items",
        ),
    ] {
        let verdict = ward
            .apply_one(decide(items, decision, comment, "dr.rao"))
            .await;
        assert_eq!(refused(&verdict), expected);
    }
    let first = ward.apply_one(verify(&row)).await;
    let again = ward.apply_one(verify(&row)).await;
    assert_eq!(answer(&first), answer(&again));
    assert_eq!(said(&first), ["clinical.report.released"]);
    assert!(said(&again).is_empty());
    let other = decide(vec![seen(&row)], Decision::Verify, None, "dr.sen");
    assert_eq!(
        refused(&ward.apply_one(other).await),
        "clinical.verification_stale"
    );
    let now = rows(&ward).await.remove(0);
    let late = decide(vec![seen(&now)], Decision::Reject, Some("oh"), "dr.rao");
    assert_eq!(
        refused(&ward.apply_one(late).await),
        "clinical.verification_not_open",
        "what was released is corrected by another version only"
    );
}

#[tokio::test]
async fn of_several_each_has_its_own_outcome() {
    let ward = lab(pack(FREE, "")).await;
    let mut body = measured(0, vec![glucose("412"), glucose("413"), glucose("414")]);
    body.results[1].code = code("B");
    body.results[2].code = code("C");
    ward.apply_one(at(0, &body)).await;
    let three = rows(&ward).await;
    let mut items: Vec<Seen> = three.iter().map(seen).collect();
    items[1].revision += 7;
    let verdict = ward
        .apply_one(decide(items, Decision::Verify, None, "dr.rao"))
        .await;
    let answer = answer(&verdict);
    let outcomes: Vec<&str> = answer["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["applied", "refused", "applied"]);
    assert_eq!(answer["items"][1]["code"], "clinical.verification_stale");
    assert_eq!(
        states(&ward).await,
        [
            "412 released range",
            "413 needs_review range",
            "414 released range"
        ]
    );
}

#[tokio::test]
async fn two_runs_of_one_test_are_not_verified_together() {
    let ward = lab(pack(FREE, "")).await;
    for (minute, value) in [(0, "412"), (9, "450")] {
        ward.apply_one(at(minute, &measured(minute, vec![glucose(value)])))
            .await;
    }
    let first = rows(&ward).await.remove(0);
    assert_eq!(first.result.failed.as_deref(), Some("run"));
    let reopen = decide(
        vec![seen(&first)],
        Decision::Reopen,
        Some("the dilution was wrong"),
        "dr.rao",
    );
    ward.apply_one(reopen).await;
    let both: Vec<Seen> = rows(&ward).await.iter().map(seen).collect();
    let verdict = ward
        .apply_one(decide(both, Decision::Verify, None, "dr.rao"))
        .await;
    let items = &answer(&verdict)["items"];
    assert_eq!(items[0]["state"], "released");
    assert_eq!(items[1]["code"], "clinical.verification_conflict");
    assert_eq!(
        states(&ward).await,
        ["412 released run", "450 rejected run"],
        "and the other no longer counts"
    );
}

#[tokio::test]
async fn a_rejected_result_settles_its_report_and_can_be_opened_again() {
    let ward = lab(pack(FREE, "")).await;
    let mut body = measured(0, vec![glucose("412"), glucose("100")]);
    body.results[1].code = code("B");
    ward.apply_one(at(0, &body)).await;
    let row = rows(&ward).await.remove(0);
    let reject = decide(
        vec![seen(&row)],
        Decision::Reject,
        Some("drip arm"),
        "dr.rao",
    );
    let verdict = ward.apply_one(reject).await;
    assert_eq!(said(&verdict), ["clinical.report.released"]);
    let row = rows(&ward).await.remove(0);
    assert_eq!(row.result.verification.as_deref(), Some("rejected"));
    let reopen = decide(
        vec![seen(&row)],
        Decision::Reopen,
        Some("wrong one"),
        "dr.rao",
    );
    let verdict = ward.apply_one(reopen).await;
    assert_eq!(said(&verdict), ["clinical.report.reopened"]);
    let mut tx = ward.tx().await;
    let comments = verification_comments(tx.conn(), row.id).await.unwrap();
    assert_eq!(
        comments
            .iter()
            .map(|one| one.comment.as_str())
            .collect::<Vec<_>>(),
        ["drip arm", "wrong one"]
    );
    drop(tx);
    let remark = CommentResult {
        verification_id: row.id,
        comment: "asked the ward".into(),
        actor: "tech".into(),
    };
    ward.apply_one(at(60, &remark)).await;
    let before = rows(&ward).await.remove(0);
    assert_eq!(before.result.decided_by, None);
    ward.apply_one(verify(&before)).await;
    assert_eq!(states(&ward).await[0], "412 released range");
}

#[tokio::test]
async fn two_persons_where_the_pack_asks_for_them_and_a_blocking_flag_needs_a_reason() {
    let ward = lab(pack(&format!("{FREE}\nsecond_person = true"), "")).await;
    let mut body = measured(0, vec![glucose("100")]);
    body.subject = None;
    body.results[0].flags = vec!["CLOT".into()];
    body.results[0].held = Some(schemas::care::HoldReason::NoPatient);
    ward.apply_one(at(0, &body)).await;
    assert_eq!(states(&ward).await, ["100 needs_review patient"]);
    let row = rows(&ward).await.remove(0);
    assert_eq!(
        refused(&ward.apply_one(verify(&row)).await),
        "clinical.verification_held"
    );
    let claim = ClaimReport {
        report_id: row.result.report_id,
        subject: patient("1"),
        second: SecondIdentifier::Name,
        actor: "tech".into(),
    };
    ward.apply_one(at(1, &claim)).await;
    assert_eq!(states(&ward).await, ["100 needs_review flags"]);
    let row = rows(&ward).await.remove(0);
    assert!(row.blocked);
    assert_eq!(row.makers, ["tech"]);
    let own = decide(vec![seen(&row)], Decision::Verify, Some("fine"), "tech");
    assert_eq!(
        refused(&ward.apply_one(own).await),
        "clinical.verification_not_allowed"
    );
    assert_eq!(
        refused(&ward.apply_one(verify(&row)).await),
        "clinical.verification_comment"
    );
    let other = decide(
        vec![seen(&row)],
        Decision::Verify,
        Some("clot removed"),
        "dr.rao",
    );
    ward.apply_one(other).await;
    assert_eq!(states(&ward).await, ["100 released flags"]);
    assert_eq!(
        ward.text("select detail->>'against_a_blocking_flag' from audit.entries where action = 'clinical.result.decide'").await,
        format!("[{}]", row.id)
    );
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

#[tokio::test]
async fn all_runs_are_kept_and_the_last_counts() {
    let ward = lab(pack(FREE, "")).await;
    let mut first = measured(0, vec![glucose("412")]);
    first.results[0].value = Value::Quantity {
        comparator: Some(Comparator::Greater),
        number: "412".into(),
    };
    ward.apply_one(at(0, &first)).await;
    assert_eq!(states(&ward).await, ["412 needs_review number"]);
    ward.apply_one(at(1, &measured(9, vec![glucose("250")])))
        .await;
    assert_eq!(states(&ward).await, ["412 rejected run", "250 released -"]);
    // a third one after a release is a correction for a person, who then replaces what went out
    ward.apply_one(at(2, &measured(12, vec![glucose("255")])))
        .await;
    assert_eq!(
        states(&ward).await,
        [
            "412 rejected run",
            "250 released -",
            "255 needs_review correction"
        ]
    );
    let third = rows(&ward).await.pop().unwrap();
    ward.apply_one(verify(&third)).await;
    let shown = ward.results(Default::default()).await;
    let released: Vec<_> = shown
        .iter()
        .filter(|one| one.released)
        .map(|one| one.value_text.as_deref().unwrap())
        .collect();
    assert_eq!(released, ["255"]);
    let mut tx = ward.tx().await;
    let runs = verification_runs(tx.conn(), third.id).await.unwrap();
    let values: Vec<_> = runs
        .iter()
        .map(|row| {
            format!(
                "{}{}",
                row.result.comparator.as_deref().unwrap_or_default(),
                row.result.value_text.as_deref().unwrap()
            )
        })
        .collect();
    assert_eq!(values, [">412", "250", "255"], "with what came with them");
}

#[tokio::test]
async fn the_first_run_without_alarm_counts_where_the_device_says_so() {
    let more = "[[channel]]\nid = \"lab\"\nruns = \"first_without_alarm\"\n";
    let ward = lab(pack(FREE, more)).await;
    let mut clot = measured(0, vec![glucose("80")]);
    clot.results[0].flags = vec!["CLOT".into()];
    ward.apply_one(at(0, &clot)).await;
    ward.apply_one(at(1, &measured(5, vec![glucose("100")])))
        .await;
    ward.apply_one(at(2, &measured(9, vec![glucose("120")])))
        .await;
    assert_eq!(
        states(&ward).await,
        ["80 rejected run", "100 released -", "120 rejected run"]
    );
    // in one report too: a version that would replace the first without alarm does not
    ward.apply_one(at(3, &measured(5, vec![glucose("130")])))
        .await;
    let all = ward.results(worker_clinical::queries::Versions::All).await;
    let current: Vec<_> = all
        .iter()
        .filter(|row| row.current)
        .map(|row| row.value_text.as_deref().unwrap())
        .collect();
    assert!(
        current.contains(&"100") && !current.contains(&"130"),
        "{current:?}"
    );
    assert_eq!(all.len(), 4, "and is kept");
}

#[tokio::test]
async fn runs_in_one_message_are_runs_and_an_interpretation_goes_the_way_of_its_number() {
    let more = "[[channel]]\nid = \"lab\"\ninterpretations = [\"I\"]\n";
    let ward = lab(pack(FREE, more)).await;
    let line = |kind: &str, result: Observation| Observation {
        sub_id: Some(kind.into()),
        ..result
    };
    let reading = Observation {
        value: Value::Text {
            text: "Normal".into(),
        },
        value_type: None,
        ..glucose("Normal")
    };
    let body = measured(
        0,
        vec![
            line("F", glucose("100")),
            line("I", reading.clone()),
            line("F", glucose("102")),
        ],
    );
    ward.apply_one(at(0, &body)).await;
    assert_eq!(
        states(&ward).await,
        ["100 rejected run", "Normal rejected run", "102 released -"]
    );
    let mut other = measured(1, vec![line("F", glucose("412")), line("I", reading)]);
    other.specimen.as_mut().unwrap().number = Some("T2".into());
    ward.apply_one(at(1, &other)).await;
    assert_eq!(
        states(&ward).await[3..],
        ["412 needs_review range", "Normal needs_review range"]
    );
}

#[tokio::test]
async fn a_rerun_is_an_order_for_that_instrument_and_its_result_takes_the_place_of_the_first() {
    let ward = lab(pack(FREE, "")).await;
    ward.apply_one(at(0, &place(patient("1"), "GLU", "T1")))
        .await;
    ward.apply_one(at(1, &measured(0, vec![glucose("412")])))
        .await;
    assert_eq!(
        ward.text("select status from clinical.orders").await,
        "completed"
    );
    let row = rows(&ward).await.remove(0);
    let ask = at(
        2,
        &RerunResult {
            item: seen(&row),
            comment: Some("dilute".into()),
            actor: "tech".into(),
        },
    );
    let verdict = ward.apply_one(ask.clone()).await;
    // without tables nothing leads to what the instrument calls it: it is started by hand
    assert_eq!(answer(&verdict)["order_id"], serde_json::Value::Null);
    assert_eq!(answer(&verdict), answer(&ward.apply_one(ask).await));
    let row = rows(&ward).await.remove(0);
    assert_eq!(row.rerun_by.as_deref(), Some("tech"));
    ward.apply_one(at(3, &measured(20, vec![glucose("290")])))
        .await;
    assert_eq!(states(&ward).await, ["412 rejected run", "290 released -"]);
}

#[tokio::test]
async fn a_rerun_reaches_the_instrument_that_the_tables_know_a_name_for() {
    let plain = lab(pack(FREE, "")).await;
    let folder = std::env::temp_dir().join(format!("rerun-tables-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("tables")).unwrap();
    std::fs::write(
        folder.join("tables/lab.toml"),
        "[[code]]\nid = \"glu\"\ncode = \"GLU\"\nchannels = [\"lab\"]\nloinc = \"2345-7\"\n",
    )
    .unwrap();
    let store = hub_core::mappings::MappingStore::load(&folder).unwrap();
    let ward = Ward {
        worker: worker_clinical::ClinicalWorker::new(std::sync::Arc::new(store))
            .with_autoverify(pack(FREE, ""))
            .with_verification([(tenant("demo"), ChannelId::new("lab").unwrap())]),
        ..plain
    };
    ward.apply_one(at(0, &measured(0, vec![glucose("412")])))
        .await;
    let row = rows(&ward).await.remove(0);
    let ask = RerunResult {
        item: seen(&row),
        comment: None,
        actor: "tech".into(),
    };
    let verdict = ward.apply_one(at(1, &ask)).await;
    let order = answer(&verdict)["order_id"].as_str().unwrap().to_owned();
    let mut tx = ward.tx().await;
    let pending = worker_clinical::queries::pending_on(tx.conn(), "lab", &["T1".to_owned()])
        .await
        .unwrap();
    assert_eq!(
        pending
            .iter()
            .map(|test| (test.order_id.to_string(), test.code.as_str()))
            .collect::<Vec<_>>(),
        [(order, "2345-7")]
    );
    let elsewhere = worker_clinical::queries::pending_on(tx.conn(), "other", &["T1".to_owned()])
        .await
        .unwrap();
    assert!(elsewhere.is_empty());
    drop(tx);
    // its result closes it
    ward.apply_one(at(2, &measured(9, vec![glucose("290")])))
        .await;
    assert_eq!(
        ward.text("select status from clinical.orders").await,
        "completed"
    );
    std::fs::remove_dir_all(folder).unwrap();
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
