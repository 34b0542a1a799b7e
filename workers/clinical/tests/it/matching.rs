//! Whose a result is, by the orders on its tube; and what closes an order.

use std::sync::Arc;

use hub_core::Verdict;
use hub_core::mappings::MappingStore;
use schemas::care::{HoldReason, Mapped, Observation, ResultReceived};
use schemas::commands::{CancelOrder, ClaimReport, SecondIdentifier};
use schemas::integration::ResultHeld;
use uuid::Uuid;
use worker_clinical::ClinicalWorker;
use worker_clinical::queries::{ResultRow, UnmatchedFilter, UnmatchedRow, Versions, unmatched};

use super::placing::{answer, place, tube};
use super::support::{Ward, at, number, patient, report, said};

/// A result of an analyzer that knows the tube and nothing else.
fn nameless(tube_number: Option<&str>, results: Vec<Observation>) -> ResultReceived {
    let mut body = report("F", results);
    body.subject = None;
    body.specimen = tube_number.map(tube);
    for result in &mut body.results {
        result.held = Some(HoldReason::NoPatient);
    }
    body
}

fn mapped(name: &str, value: &str, status: &str, loinc: &str) -> Observation {
    Observation {
        mapped: Some(Mapped {
            loinc: loinc.into(),
            display: None,
            ucum: Some("mg/dL".into()),
            factor: None,
        }),
        ..number(name, value, status)
    }
}

fn glucose(status: &str) -> Vec<Observation> {
    vec![mapped("580", "5", status, "2345-7")]
}

async fn waiting(ward: &Ward) -> Vec<UnmatchedRow> {
    let mut tx = ward.tx().await;
    let filter = UnmatchedFilter {
        state: Some("open".into()),
        limit: 100,
        ..UnmatchedFilter::default()
    };
    unmatched(tx.conn(), &filter).await.unwrap()
}

async fn reasons(ward: &Ward) -> Vec<String> {
    let mut reasons: Vec<String> = waiting(ward)
        .await
        .into_iter()
        .map(|row| row.reason)
        .collect();
    reasons.sort();
    reasons
}

async fn statuses(ward: &Ward) -> String {
    ward.text("select coalesce(string_agg(code || ' ' || status, ', ' order by code, status), '') from clinical.orders")
        .await
}

#[tokio::test]
async fn a_result_without_a_patient_goes_to_the_patient_of_the_order_and_closes_it() {
    let ward = Ward::new().await;
    ward.apply_one(at(0, &place(patient("1"), "2345-7", "S1")))
        .await;
    let verdict = ward
        .apply_one(at(1, &nameless(Some("S1"), glucose("F"))))
        .await;
    assert_eq!(
        said(&verdict),
        ["clinical.report.filed", "clinical.order.changed"]
    );
    let results = ward.results(Versions::Current).await;
    assert_eq!(results.len(), 1);
    assert_eq!(results[0].held, None);
    assert_eq!(statuses(&ward).await, "2345-7 completed");
    assert!(waiting(&ward).await.is_empty());
}

#[tokio::test]
async fn preliminary_results_and_other_tests_leave_an_order_open_and_the_final_one_closes_it() {
    let ward = Ward::new().await;
    ward.apply_one(at(0, &place(patient("1"), "2345-7", "S1")))
        .await;
    let mut preliminary = nameless(Some("S1"), glucose("P"));
    preliminary.status = Some("P".into());
    let mut other = nameless(Some("S1"), vec![mapped("21", "140", "F", "2951-2")]);
    other.filler_number = Some("2".into());
    ward.apply(&[at(1, &preliminary), at(1, &other)]).await;
    assert_eq!(statuses(&ward).await, "2345-7 active");
    ward.apply_one(at(2, &nameless(Some("S1"), glucose("F"))))
        .await;
    assert_eq!(statuses(&ward).await, "2345-7 completed");
    assert_eq!(ward.current().await, ["21=140 F", "580=5 F"]);
}

#[tokio::test]
async fn a_panel_is_done_when_all_that_the_tables_send_for_it_is_final() {
    let folder = tempfile_with(
        "[[order]]\nid = \"lipid\"\ncode = \"LIPID\"\nsystem = \"LN\"\nchannels = [\"lab\"]\ninstrument = [\"CHOL\", \"TRIG\"]\n",
    );
    let mut ward = Ward::new().await;
    let store = MappingStore::load(&folder).unwrap_or_else(|error| panic!("{error}"));
    std::fs::remove_dir_all(&folder).unwrap();
    ward.worker = ClinicalWorker::new(Arc::new(store));
    ward.apply_one(at(0, &place(patient("1"), "LIPID", "S1")))
        .await;
    ward.apply_one(at(
        1,
        &nameless(Some("S1"), vec![mapped("CHOL", "5", "F", "2093-3")]),
    ))
    .await;
    assert_eq!(statuses(&ward).await, "LIPID active");
    let mut second = nameless(Some("S1"), vec![mapped("TRIG", "2", "F", "2571-8")]);
    second.filler_number = Some("2".into());
    ward.apply_one(at(2, &second)).await;
    assert_eq!(statuses(&ward).await, "LIPID completed");
}

fn tempfile_with(rows: &str) -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("clinical-{}", Uuid::now_v7()));
    std::fs::create_dir_all(folder.join("tables")).unwrap();
    std::fs::write(folder.join("tables/rows.toml"), rows).unwrap();
    folder
}

#[tokio::test]
async fn what_no_order_explains_waits_with_its_reason_on_nobodys_chart() {
    let ward = Ward::new().await;
    let placed = ward
        .apply_one(at(0, &place(patient("1"), "2345-7", "S2")))
        .await;
    let cancel = CancelOrder {
        order_id: answer(&placed)["order_id"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap(),
        reason: "twice".into(),
        actor: "nurse".into(),
    };
    ward.apply_one(at(1, &cancel)).await;
    ward.apply(&[
        at(2, &nameless(None, glucose("F"))),
        at(2, &nameless(Some("S1"), glucose("F"))),
        at(2, &nameless(Some("S2"), glucose("F"))),
    ])
    .await;
    assert_eq!(
        reasons(&ward).await,
        ["no_open_order", "no_specimen", "unknown_specimen"]
    );
    assert_eq!(
        ward.count("select count(*) from clinical.reports where subject_key is not null")
            .await,
        0
    );
    assert_eq!(
        ward.count("select count(*) from clinical.results where held = 'no_patient'")
            .await,
        3
    );
    // a repeat is no second item
    ward.apply_one(at(3, &nameless(Some("S1"), glucose("F"))))
        .await;
    assert_eq!(waiting(&ward).await.len(), 3);
}

#[tokio::test]
async fn a_result_that_names_another_patient_than_the_order_is_on_no_chart_and_closes_nothing() {
    let ward = Ward::new().await;
    ward.apply_one(at(0, &place(patient("2"), "2345-7", "S1")))
        .await;
    let mut named = report("F", glucose("F"));
    named.specimen = Some(tube("S1"));
    let verdict = ward.apply_one(at(1, &named)).await;
    assert_eq!(said(&verdict), ["clinical.report.filed"]);
    assert!(ward.results(Versions::Current).await.is_empty());
    assert_eq!(reasons(&ward).await, ["patient_mismatch"]);
    assert_eq!(statuses(&ward).await, "2345-7 active");
    assert_eq!(
        ward.text("select held from clinical.results").await,
        "patient_mismatch"
    );
    // without orders on the tube the message's word stands
    let mut elsewhere = named.clone();
    elsewhere.specimen = Some(tube("S5"));
    elsewhere.filler_number = Some("9".into());
    ward.apply_one(at(2, &elsewhere)).await;
    assert_eq!(ward.results(Versions::Current).await.len(), 1);
}

#[tokio::test]
async fn an_order_that_comes_after_the_result_releases_it_and_is_closed_by_it() {
    let ward = Ward::new().await;
    let mut unknown = nameless(Some("S1"), glucose("F"));
    unknown.results.push(Observation {
        held: Some(HoldReason::NoPatient),
        ..number("XYZ", "1", "F")
    });
    ward.apply_one(at(0, &unknown)).await;
    assert_eq!(reasons(&ward).await, ["unknown_specimen"]);
    let verdict = ward
        .apply_one(at(1, &place(patient("1"), "2345-7", "S1")))
        .await;
    assert_eq!(
        said(&verdict),
        [
            "clinical.order.changed",
            "clinical.report.matched",
            "clinical.order.changed"
        ]
    );
    let results = ward.results(Versions::Current).await;
    let held: Vec<Option<&str>> = results.iter().map(|row| row.held.as_deref()).collect();
    assert_eq!(held, [None, Some("unknown_code")]);
    assert_eq!(statuses(&ward).await, "2345-7 completed");
    assert!(waiting(&ward).await.is_empty());
}

#[tokio::test]
async fn a_result_without_patient_whose_code_is_unknown_asks_for_the_code_too() {
    let ward = Ward::new().await;
    let body = nameless(Some("S1"), vec![number("XYZ", "1", "F")]);
    let verdict = ward.apply_one(at(0, &body)).await;
    assert_eq!(said(&verdict), ["clinical.report.filed", "lis.result.held"]);
    let Verdict::Applied { outgoing, .. } = verdict else {
        panic!()
    };
    let held: serde_json::Value = serde_json::from_slice(&outgoing[1].body).unwrap();
    assert_eq!(held["reason"], "unknown_code");
}

#[tokio::test]
async fn a_result_whose_code_is_known_waits_for_its_unit_whenever_its_patient_is_known() {
    let folder = tempfile_with(
        "[[unit]]\nucum = \"g/dL\"\nraw = [\"g/dl\"]\n[[code]]\nid = \"hgb\"\ncode = \"HGB\"\nloinc = \"718-7\"\nucum = \"g/dL\"\n",
    );
    let store = MappingStore::load(&folder).unwrap_or_else(|error| panic!("{error}"));
    std::fs::remove_dir_all(&folder).unwrap();
    let mut ward = Ward::new().await;
    ward.worker = ClinicalWorker::new(Arc::new(store));
    let unknown = || {
        let without_unit = |name| Observation {
            unit: Some("furlong".into()),
            held: Some(HoldReason::NoPatient),
            ..number(name, "12", "F")
        };
        vec![without_unit("HGB"), without_unit("XYZ")]
    };
    let asked = ["unknown_unit", "unknown_code"];
    let held = |rows: &[ResultRow]| -> Vec<String> {
        rows.iter().filter_map(|row| row.held.clone()).collect()
    };
    // nobody knows whose it is: the questions are asked all the same
    let early = nameless(Some("S1"), unknown());
    let verdict = ward.apply_one(at(0, &early)).await;
    let Verdict::Applied { outgoing, .. } = verdict else {
        panic!()
    };
    let questions: Vec<String> = outgoing[1..]
        .iter()
        .map(|one| serde_json::from_slice::<ResultHeld>(&one.body).unwrap())
        .map(|one| one.reason.as_str().to_owned())
        .collect();
    assert_eq!(questions, asked);
    // an order comes; then a tube that was ordered before; then somebody claims one
    ward.apply_one(at(1, &place(patient("1"), "718-7", "S1")))
        .await;
    assert_eq!(held(&ward.results(Versions::Current).await), asked);
    ward.apply_one(at(2, &place(patient("1"), "718-7", "S2")))
        .await;
    let mut late = nameless(Some("S2"), unknown());
    late.filler_number = Some("2".into());
    ward.apply_one(at(3, &late)).await;
    let mut claimed = nameless(Some("S3"), unknown());
    claimed.filler_number = Some("3".into());
    ward.apply_one(at(4, &claimed)).await;
    let claim = ClaimReport {
        report_id: waiting(&ward).await.remove(0).report_id,
        subject: patient("1"),
        second: SecondIdentifier::BirthDate,
        actor: "user:mina".into(),
    };
    ward.apply_one(at(5, &claim)).await;
    let all = held(&ward.results(Versions::Current).await);
    assert_eq!(all, [asked, asked, asked].concat());
}

#[tokio::test]
async fn a_rerun_and_a_correction_after_the_order_was_done_find_its_patient() {
    let ward = Ward::new().await;
    ward.apply_one(at(0, &place(patient("1"), "2345-7", "S1")))
        .await;
    ward.apply_one(at(1, &nameless(Some("S1"), glucose("F"))))
        .await;
    let mut corrected = nameless(Some("S1"), vec![mapped("580", "6", "C", "2345-7")]);
    corrected.status = Some("C".into());
    ward.apply_one(at(2, &corrected)).await;
    assert_eq!(ward.history().await, ["580=5 F", "580=6 C*"]);
    let mut rerun = nameless(Some("S1"), glucose("F"));
    rerun.observed_at = Some("2026-03-01T13:00:00Z".into());
    ward.apply_one(at(3, &rerun)).await;
    assert_eq!(ward.results(Versions::Current).await.len(), 2);
    assert!(waiting(&ward).await.is_empty());
}

#[tokio::test]
async fn a_test_ordered_again_on_a_tube_is_not_closed_by_the_result_of_the_first() {
    let ward = Ward::new().await;
    ward.apply_one(at(0, &place(patient("1"), "2345-7", "S1")))
        .await;
    ward.apply_one(at(1, &nameless(Some("S1"), glucose("F"))))
        .await;
    ward.apply_one(at(2, &place(patient("1"), "2345-7", "S1")))
        .await;
    assert_eq!(statuses(&ward).await, "2345-7 active, 2345-7 completed");
}

#[tokio::test]
async fn a_claim_puts_a_report_on_a_chart_once_and_leaves_its_trail() {
    let ward = Ward::new().await;
    ward.apply_one(at(0, &nameless(None, glucose("F")))).await;
    let claim = ClaimReport {
        report_id: waiting(&ward).await[0].report_id,
        subject: patient("1"),
        second: SecondIdentifier::BirthDate,
        actor: "nurse".into(),
    };
    let verdict = ward.apply_one(at(1, &claim)).await;
    assert_eq!(said(&verdict), ["clinical.report.matched"]);
    assert_eq!(ward.results(Versions::Current).await[0].held, None);
    for (id, expected) in [
        (claim.report_id, "clinical.unmatched_not_open"),
        (Uuid::nil(), "clinical.unmatched_unknown"),
    ] {
        let again = ClaimReport {
            report_id: id,
            ..claim.clone()
        };
        match ward.apply_one(at(2, &again)).await {
            Verdict::Refused(refusal) => assert_eq!(refusal.code, expected),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        ward.count("select count(*) from audit.entries where action = 'clinical.report.claim' and actor = 'nurse'").await,
        1
    );
    // what comes of it later is known to be his, although it names nobody
    let mut corrected = nameless(None, vec![mapped("580", "6", "C", "2345-7")]);
    corrected.status = Some("C".into());
    ward.apply_one(at(3, &corrected)).await;
    let results = ward.results(Versions::Current).await;
    assert_eq!((results.len(), results[0].held.as_deref()), (1, None));
}
