//! A person corrects a result: the old value stays, with who and why; somebody else verifies it where that is asked for.

use hub_core::Verdict;
use schemas::ChannelId;
use schemas::care::{HoldReason, Mapped, Observation};
use schemas::rounds::AmendResult;
use test_support::tenant;
use uuid::Uuid;
use worker_clinical::queries::{
    CriticalFilter, VerificationFilter, Versions, criticals, result_amendments, verifications,
};
use worker_clinical::{Autoverify, ClinicalWorker};

use super::support::{Ward, at, number, report, said};

fn refused(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Refused(refusal) => refusal.code,
        other => panic!("{other:?}"),
    }
}

fn potassium(value: &str, status: &str) -> Observation {
    Observation {
        unit: Some("mEq/L".into()),
        flags: vec!["H".into()],
        mapped: Some(Mapped {
            loinc: "2823-3".into(),
            display: None,
            ucum: Some("mmol/L".into()),
            factor: Some("1.0".into()),
        }),
        ..number("K", value, status)
    }
}

fn amend(report_id: Uuid, version: i16, value: &str) -> AmendResult {
    AmendResult {
        report_id,
        item: 1,
        version,
        value: value.into(),
        reason: "haemolysed, measured again".into(),
        actor: "dr.rao".into(),
    }
}

async fn report_id(ward: &Ward) -> Uuid {
    ward.reports().await[0].id
}

async fn item(ward: &Ward) -> i16 {
    ward.results(Versions::Current).await[0].item
}

/// L3
#[tokio::test]
async fn the_old_value_stays_and_the_report_is_a_new_version() {
    let ward = Ward::new().await;
    ward.apply_one(at(0, &report("F", vec![potassium("6.9", "F")])))
        .await;
    let id = report_id(&ward).await;
    let mut command = amend(id, 1, "4.2");
    command.item = item(&ward).await;
    let verdict = ward.apply_one(at(1, &command)).await;
    assert_eq!(said(&verdict), ["clinical.report.amended"]);
    assert_eq!(ward.history().await.len(), 2);
    let current = ward.results(Versions::Current).await.remove(0);
    assert_eq!(
        (
            current.value_text.as_deref(),
            current.status.as_deref(),
            current.flags.as_deref(),
            current.unit.as_deref(),
            current.ucum_value.as_deref()
        ),
        // in the unit that was shown; the flag was of the old value
        (Some("4.2"), Some("C"), None, Some("mmol/L"), Some("4.2"))
    );
    let filed = ward.reports().await.remove(0);
    assert_eq!((filed.version, filed.status.as_deref()), (2, Some("C")));
    let mut tx = ward.tx().await;
    let amendments = result_amendments(tx.conn(), id).await.unwrap();
    assert_eq!(
        (amendments[0].actor.as_str(), amendments[0].version),
        ("dr.rao", 2)
    );
    drop(tx);
    // the instrument repeats itself: nothing comes back
    let repeat = ward
        .apply_one(at(2, &report("F", vec![potassium("6.9", "F")])))
        .await;
    assert!(matches!(repeat, Verdict::Unchanged));
    assert_eq!(
        refused(&ward.apply_one(at(3, &command)).await),
        "clinical.result_stale"
    );
    command.version = 2;
    assert_eq!(
        refused(&ward.apply_one(at(4, &command)).await),
        "clinical.result_same"
    );
    command.value = "high".into();
    assert_eq!(
        refused(&ward.apply_one(at(5, &command)).await),
        "clinical.result_value"
    );
    assert_eq!(
        refused(&ward.apply_one(at(6, &amend(Uuid::now_v7(), 1, "1"))).await),
        "clinical.report_unknown"
    );
    command.item = 99;
    assert_eq!(
        refused(&ward.apply_one(at(7, &command)).await),
        "clinical.result_unknown"
    );
}

#[tokio::test]
async fn what_is_not_final_or_not_understood_is_not_corrected() {
    let ward = Ward::new().await;
    ward.apply_one(at(0, &report("P", vec![potassium("6.9", "P")])))
        .await;
    let id = report_id(&ward).await;
    let mut command = amend(id, 1, "4.2");
    command.item = item(&ward).await;
    assert_eq!(
        refused(&ward.apply_one(at(1, &command)).await),
        "clinical.result_preliminary_conflict"
    );
    let unknown = Observation {
        held: Some(HoldReason::UnknownCode),
        mapped: None,
        ..potassium("6.9", "F")
    };
    let mut other = report("F", vec![unknown]);
    other.filler_number = Some("2".into());
    ward.apply_one(at(2, &other)).await;
    let held = ward
        .reports()
        .await
        .into_iter()
        .find(|report| report.filler_number.as_deref() == Some("2"))
        .unwrap();
    let mut command = amend(held.id, 1, "4.2");
    command.item = item(&ward).await;
    assert_eq!(
        refused(&ward.apply_one(at(3, &command)).await),
        "clinical.result_held"
    );
}

#[tokio::test]
async fn a_correction_of_what_must_be_verified_waits_for_another_person_and_may_be_critical() {
    let ward = Ward {
        worker: ClinicalWorker::default()
            .with_autoverify(Autoverify::default())
            .with_verification([(tenant("demo"), ChannelId::new("lab").unwrap())]),
        ..Ward::new().await
    };
    ward.apply_one(at(0, &report("F", vec![potassium("4.1", "F")])))
        .await;
    let id = report_id(&ward).await;
    let mut command = amend(id, 1, "6.9");
    command.item = item(&ward).await;
    let verdict = ward.apply_one(at(1, &command)).await;
    let said = said(&verdict);
    assert!(
        said.contains(&"clinical.report.amended") && said.contains(&"clinical.critical.raised"),
        "{said:?}"
    );
    let mut tx = ward.tx().await;
    let filter = VerificationFilter {
        limit: 10,
        ..VerificationFilter::default()
    };
    let rows = verifications(tx.conn(), &filter).await.unwrap();
    let row = rows.iter().find(|row| row.result.version == 2).unwrap();
    assert_eq!(
        (
            row.result.verification.as_deref(),
            row.result.failed.as_deref(),
            &row.makers[..]
        ),
        (
            Some("needs_review"),
            Some("by_hand"),
            &["dr.rao".to_owned()][..]
        )
    );
    let filter = CriticalFilter {
        limit: 10,
        ..CriticalFilter::default()
    };
    assert_eq!(criticals(tx.conn(), &filter).await.unwrap().len(), 1);
}
