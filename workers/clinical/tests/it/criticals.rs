//! Critical values: raised once a version, called and read back, overdue.

use hub_core::Verdict;
use schemas::care::{Comparator, Mapped, Observation, Value};
use schemas::criticals::{AcknowledgeCritical, EscalateCriticals};
use worker_clinical::ClinicalWorker;
use worker_clinical::queries::{CriticalFilter, CriticalRow, any_critical_due, criticals};

use super::support::{Ward, at, number, report, said};

/// With the limits that come with the program.
async fn ward() -> Ward {
    Ward {
        worker: ClinicalWorker::default(),
        ..Ward::new().await
    }
}

fn potassium(value: &str, status: &str) -> Observation {
    Observation {
        unit: Some("mmol/L".into()),
        mapped: Some(Mapped {
            loinc: "2823-3".into(),
            display: None,
            ucum: Some("mmol/L".into()),
            factor: None,
        }),
        ..number("K", value, status)
    }
}

async fn raised(ward: &Ward) -> Vec<CriticalRow> {
    let mut tx = ward.tx().await;
    let filter = CriticalFilter {
        limit: 100,
        ..CriticalFilter::default()
    };
    criticals(tx.conn(), &filter).await.unwrap()
}

fn call(critical_id: i64) -> AcknowledgeCritical {
    AcknowledgeCritical {
        critical_id,
        told: "Sr. Mary, ICU".into(),
        read_back: "potassium 6.8".into(),
        comment: None,
        actor: "tech".into(),
    }
}

fn refused(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Refused(refusal) => refusal.code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_final_value_beyond_its_limit_is_raised_once_and_one_on_it_is_not() {
    let ward = ward().await;
    let body = report("F", vec![potassium("6.8", "F"), number("GLU", "900", "F")]);
    let verdict = ward.apply_one(at(0, &body)).await;
    assert_eq!(
        said(&verdict),
        ["clinical.report.filed", "clinical.critical.raised"]
    );
    assert!(matches!(
        ward.apply_one(at(1, &body)).await,
        Verdict::Unchanged
    ));
    let row = raised(&ward).await.remove(0);
    assert_eq!(
        (
            row.side.as_str(),
            row.limit_text.as_str(),
            row.value.as_deref()
        ),
        ("high", "6.2", Some("6.8"))
    );
    assert_eq!(row.judged_by, "2026.2");

    let mut other = report("F", vec![potassium("6.2", "F"), potassium("7.1", "P")]);
    other.filler_number = Some("2".into());
    ward.apply_one(at(2, &other)).await;
    assert_eq!(
        raised(&ward).await.len(),
        1,
        "on the limit, or not final yet"
    );
}

#[tokio::test]
async fn a_value_that_is_only_known_to_lie_beyond_its_limit_is_raised() {
    let ward = ward().await;
    let of = |sign: Comparator, value: &str| {
        let mut result = potassium(value, "F");
        result.value = Value::Quantity {
            comparator: Some(sign),
            number: value.into(),
        };
        result
    };
    for (n, (sign, value, side)) in [
        (Comparator::Less, "2.8", Some("low")),
        (Comparator::LessOrEqual, "2.8", Some("low")),
        (Comparator::Less, "2.5", Some("low")),
        (Comparator::Greater, "6.2", Some("high")),
        (Comparator::GreaterOrEqual, "6.20", Some("high")),
        (Comparator::Greater, "2.8", None),
        (Comparator::Less, "6.2", None),
        (Comparator::Less, "3.0", None),
        (Comparator::Greater, "6.0", None),
    ]
    .into_iter()
    .enumerate()
    {
        let before = raised(&ward).await.len();
        let mut body = report("F", vec![of(sign, value)]);
        body.filler_number = Some(format!("C{n}"));
        ward.apply_one(at(i64::try_from(n).unwrap(), &body)).await;
        let rows = raised(&ward).await;
        let found: Vec<&str> = rows[before..].iter().map(|row| row.side.as_str()).collect();
        assert_eq!(found, Vec::from_iter(side), "{}{value}", sign.as_str());
    }
}

#[tokio::test]
async fn potassium_of_whole_blood_has_the_limits_of_potassium() {
    let ward = ward().await;
    let mut gas = potassium("6.8", "F");
    gas.mapped.as_mut().unwrap().loinc = "6298-4".into();
    ward.apply_one(at(0, &report("F", vec![gas]))).await;
    assert_eq!(raised(&ward).await.len(), 1);
}

#[tokio::test]
async fn a_correction_that_is_critical_too_opens_a_new_item() {
    let ward = ward().await;
    ward.apply_one(at(0, &report("F", vec![potassium("6.8", "F")])))
        .await;
    ward.apply_one(at(1, &call(raised(&ward).await[0].id)))
        .await;
    let verdict = ward
        .apply_one(at(2, &report("C", vec![potassium("7.0", "C")])))
        .await;
    assert_eq!(
        said(&verdict),
        ["clinical.report.amended", "clinical.critical.raised"]
    );
    let rows = raised(&ward).await;
    assert_eq!(
        rows.iter()
            .map(|row| (row.version, row.current, row.state.as_str()))
            .collect::<Vec<_>>(),
        [(1, false, "acknowledged"), (2, true, "open")]
    );
}

#[tokio::test]
async fn a_call_needs_who_was_told_and_what_was_read_back_and_is_made_once() {
    let ward = ward().await;
    ward.apply_one(at(0, &report("F", vec![potassium("2.1", "F")])))
        .await;
    let good = call(raised(&ward).await[0].id);
    for (told, read_back) in [("", "2.1"), ("Sr. Mary", " ")] {
        let bad = AcknowledgeCritical {
            told: told.into(),
            read_back: read_back.into(),
            ..good.clone()
        };
        assert_eq!(
            refused(&ward.apply_one(at(1, &bad)).await),
            "clinical.critical_incomplete"
        );
    }
    ward.apply_one(at(2, &good)).await;
    assert_eq!(
        refused(&ward.apply_one(at(3, &good)).await),
        "clinical.critical_closed"
    );
    assert_eq!(
        refused(&ward.apply_one(at(3, &call(0))).await),
        "clinical.critical_unknown"
    );
    assert_eq!(
        ward.count("select count(*) from audit.entries where action = 'clinical.critical.acknowledge' and actor = 'tech'").await,
        1
    );
}

#[tokio::test]
async fn what_nobody_was_called_about_in_time_is_overdue_once() {
    let ward = ward().await;
    ward.apply_one(at(0, &report("F", vec![potassium("6.8", "F")])))
        .await;
    let due = |at: &str| EscalateCriticals { at: at.into() };
    let early = ward.apply_one(at(1, &due("2020-01-01T00:00:00Z"))).await;
    assert!(matches!(early, Verdict::Unchanged));
    let late = ward.apply_one(at(2, &due("2199-01-01T00:00:00Z"))).await;
    assert_eq!(said(&late), ["clinical.critical.overdue"]);
    let again = ward.apply_one(at(3, &due("2199-01-01T00:00:00Z"))).await;
    assert!(matches!(again, Verdict::Unchanged));
    let mut tx = ward.tx().await;
    assert!(!any_critical_due(tx.conn()).await.unwrap());
}

#[tokio::test]
async fn a_result_that_gets_its_meaning_later_is_critical_then() {
    let ward = ward().await;
    let unknown = Observation {
        held: Some(schemas::care::HoldReason::UnknownCode),
        mapped: None,
        ..potassium("6.8", "F")
    };
    ward.apply_one(at(0, &report("F", vec![unknown]))).await;
    assert!(raised(&ward).await.is_empty());
    let map = schemas::commands::MapCode {
        channel: schemas::ChannelId::new("lab").unwrap(),
        code_system: String::new(),
        code: "K".into(),
        unit: Some("mmol/L".into()),
        loinc: "2823-3".into(),
        display: None,
        ucum: Some("mmol/L".into()),
        factor: None,
        actor: "chief".into(),
    };
    let verdict = ward.apply_one(at(1, &map)).await;
    assert_eq!(
        said(&verdict),
        ["clinical.code.mapped", "clinical.critical.raised"]
    );
    assert_eq!(raised(&ward).await.len(), 1);
}
