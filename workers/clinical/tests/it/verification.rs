//! Verification: what the rules pass, what people decide, what goes out.

use hub_core::{Envelope, Verdict};
use schemas::ChannelId;
use schemas::care::{Mapped, Observation, ResultReceived, Specimen};
use schemas::commands::MapCode;
use schemas::controls::DefineControl;
use schemas::verification::{DecideResults, Decision, Seen};
use test_support::tenant;
use worker_clinical::queries::{
    ResultFilter, VerificationFilter, VerificationRow, VerificationState, affected_by_control,
    report, verifications,
};
use worker_clinical::{Approval, Autoverify};

use super::placing::place;
use super::support::{Ward, at, code, key, number, patient, report as received, said};

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

/// Pages of a long worklist: `cargo test -p worker-clinical --test it pages_of -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "measures; needs a quiet machine and half a minute"]
async fn pages_of_a_worklist_of_100_000_results_take_milliseconds() {
    let ward = lab(pack(FREE, "")).await;
    let mut tx = ward.tx().await;
    for statement in [
        "insert into clinical.reports (tenant_id, id, report_key, subject_key, source_event, received_at, fact_at, channel, code, specimen_number) \
         select 'demo', md5('r' || n)::uuid, md5('k' || n)::uuid, md5('s' || n % 5000)::uuid, md5('e' || n)::uuid, now(), now(), \
         'lab' || n % 20, 'CHEM', 'T' || n from generate_series(1, 100000) as n",
        "insert into clinical.results (tenant_id, report_id, item, version, code, value_kind, value_text, loinc, ucum, status) \
         select 'demo', md5('r' || n)::uuid, 0, 1, 'GLU', 'quantity', '412', '2345-7', 'mg/dL', 'F' from generate_series(1, 100000) as n",
        "insert into clinical.verifications (tenant_id, report_id, item, version, channel, code, loinc, ucum, subject_key, specimen_number, \
         measured_at, state, failed, reason, pack, decided_by, decided_at, released_at) \
         select 'demo', md5('r' || n)::uuid, 0, 1, 'lab' || n % 20, 'GLU', '2345-7', 'mg/dL', md5('s' || n % 5000)::uuid, 'T' || n, now(), \
         case when n % 3 = 0 then 'released' else 'needs_review' end, 'range', 'x', 't1', case when n % 3 = 0 then 'rules' end, \
         case when n % 3 = 0 then now() end, case when n % 3 = 0 then now() end from generate_series(1, 100000) as n",
    ] {
        sqlx::query(statement).execute(tx.conn()).await.unwrap();
    }
    tx.commit().await.unwrap();
    let subject: uuid::Uuid = {
        let mut tx = ward.tx().await;
        sqlx::query_scalar("select md5('s1234')::uuid")
            .fetch_one(tx.conn())
            .await
            .unwrap()
    };
    let open = VerificationFilter {
        limit: 50,
        ..VerificationFilter::default()
    };
    for (name, filter) in [
        ("first page", open.clone()),
        (
            "deep page",
            VerificationFilter {
                after: Some(90_000),
                ..open.clone()
            },
        ),
        (
            "channel",
            VerificationFilter {
                channel: Some("lab7".into()),
                ..open.clone()
            },
        ),
        (
            "patient",
            VerificationFilter {
                subjects: Some(vec![subject]),
                ..open.clone()
            },
        ),
        (
            "specimen",
            VerificationFilter {
                specimen: Some("T77777".into()),
                ..open.clone()
            },
        ),
        (
            "released",
            VerificationFilter {
                state: VerificationState::One("released".into()),
                ..open.clone()
            },
        ),
    ] {
        let mut tx = ward.tx().await;
        verifications(tx.conn(), &filter).await.unwrap();
        let began = std::time::Instant::now();
        let found = verifications(tx.conn(), &filter).await.unwrap();
        println!("{name}: {} rows in {:?}", found.len(), began.elapsed());
        assert!(!found.is_empty(), "{name}");
        assert!(
            began.elapsed() < std::time::Duration::from_millis(100),
            "{name}: {:?}",
            began.elapsed()
        );
    }
}
