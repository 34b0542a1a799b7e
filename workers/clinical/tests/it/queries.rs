//! Pages and filters.

use schemas::care::Specimen;
use worker_clinical::queries::{
    Page, ReportFilter, ResultFilter, Versions, report as read_report, reports_for_subjects,
    results_for_specimen, results_for_subjects,
};

use super::support::{Ward, at, held, key, minutes, number, patient, report, shown};

async fn filled() -> Ward {
    let ward = Ward::new().await;
    let mut batch = Vec::new();
    for n in 0..7u8 {
        let mut body = report(
            "F",
            vec![
                number("GLU", &n.to_string(), "F"),
                held("ZZZ", &n.to_string()),
            ],
        );
        body.filler_number = Some(format!("F{n}"));
        body.observed_at = Some(format!("2026-03-01T12:0{n}:00Z"));
        // two numbers of one person
        body.subject = Some(patient(if n % 2 == 0 { "1" } else { "2" }));
        body.specimen = Some(Specimen {
            number: Some("S1".into()),
            ..Specimen::default()
        });
        batch.push(at(i64::from(n), &body));
    }
    ward.apply(&batch).await;
    ward
}

#[tokio::test]
async fn pages_of_results_cover_everything_once_newest_first() {
    let ward = filled().await;
    let subjects = [key("1").0, key("2").0];
    let mut tx = ward.tx().await;
    let filter = ResultFilter::default();
    let all = results_for_subjects(tx.conn(), &subjects, &filter, Page::first(500))
        .await
        .unwrap();
    assert_eq!(all.len(), 14);
    assert!(
        all.windows(2)
            .all(|pair| pair[0].received_at >= pair[1].received_at)
    );
    let mut paged = Vec::new();
    let mut page = Page::first(3);
    loop {
        let rows = results_for_subjects(tx.conn(), &subjects, &filter, page)
            .await
            .unwrap();
        let Some(last) = rows.last() else { break };
        page.after = Some(last.cursor().to_string().parse().unwrap());
        paged.extend(rows);
    }
    assert_eq!(shown(&paged), shown(&all));
}

#[tokio::test]
async fn results_are_filtered_by_code_hold_time_and_specimen() {
    let ward = filled().await;
    let subjects = [key("1").0, key("2").0];
    let mut tx = ward.tx().await;
    for (filter, expected) in [
        (
            ResultFilter {
                code: Some("GLU".into()),
                ..ResultFilter::default()
            },
            7,
        ),
        (
            ResultFilter {
                held: Some(true),
                ..ResultFilter::default()
            },
            7,
        ),
        (
            ResultFilter {
                held: Some(false),
                ..ResultFilter::default()
            },
            7,
        ),
        (
            ResultFilter {
                status: Some("P".into()),
                ..ResultFilter::default()
            },
            0,
        ),
        (
            ResultFilter {
                from: Some(minutes(2)),
                to: Some(minutes(4)),
                versions: Versions::All,
                ..ResultFilter::default()
            },
            4,
        ),
    ] {
        let rows = results_for_subjects(tx.conn(), &subjects, &filter, Page::first(100))
            .await
            .unwrap();
        assert_eq!(rows.len(), expected, "{filter:?}");
        let rows = results_for_specimen(tx.conn(), "S1", &filter, Page::first(100))
            .await
            .unwrap();
        assert_eq!(rows.len(), expected, "{filter:?} by specimen");
    }
}

#[tokio::test]
async fn a_report_is_read_with_its_results_and_reports_by_number() {
    let ward = filled().await;
    let mut tx = ward.tx().await;
    let filter = ReportFilter {
        number: Some("F4".into()),
        ..ReportFilter::default()
    };
    let found = reports_for_subjects(tx.conn(), &[key("1").0], &filter, Page::first(10))
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
    let (report, results) = read_report(tx.conn(), found[0].id).await.unwrap().unwrap();
    assert_eq!(report, found[0]);
    assert_eq!(shown(&results), ["GLU=4 F", "ZZZ=4 F"]);
    assert!(
        read_report(tx.conn(), uuid::Uuid::nil())
            .await
            .unwrap()
            .is_none()
    );
}
