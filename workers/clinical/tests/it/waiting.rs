//! Reports that wait on nobody's chart, by channel and age; and codes of two specimens, which are two questions.

use schemas::ChannelId;
use schemas::care::{HoldReason, Observation};
use schemas::commands::MapCode;
use test_support::command;
use worker_clinical::queries::{Versions, unmatched_ages};

use super::placing::tube;
use super::support::{Ward, at, held, number, report};

#[tokio::test]
async fn the_oldest_of_each_channel_is_known() {
    let ward = Ward::new().await;
    let ages = async |ward: &Ward| {
        let mut tx = ward.tx().await;
        unmatched_ages(tx.conn()).await.unwrap()
    };
    assert_eq!(ages(&ward).await, []);
    let nameless = |tube_number: &str| {
        let result = Observation {
            held: Some(HoldReason::NoPatient),
            ..number("GLU", "98", "F")
        };
        let mut body = report("F", vec![result]);
        body.subject = None;
        body.filler_number = None;
        body.specimen = Some(tube(tube_number));
        body
    };
    ward.apply_one(at(0, &nameless("T1"))).await;
    ward.apply_one(at(1, &nameless("T2"))).await;
    let found = ages(&ward).await;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].channel.as_str(), found[0].waiting), ("lab", 2));
    let first: time::OffsetDateTime = {
        let mut tx = ward.tx().await;
        sqlx::query_scalar("select at from clinical.unmatched_reports order by at limit 1")
            .fetch_one(tx.conn())
            .await
            .unwrap()
    };
    assert_eq!(found[0].oldest, first);
}

#[tokio::test]
async fn a_mapping_of_urine_releases_nothing_of_serum() {
    let ward = Ward::new().await;
    let mut urine = held("GLU", "98");
    urine.code.system = Some("@UR".into());
    ward.apply_one(at(0, &report("F", vec![held("GLU", "5.1"), urine])))
        .await;
    let mapping = MapCode {
        channel: ChannelId::new("lab").unwrap(),
        code_system: "@UR".into(),
        code: "GLU".into(),
        unit: Some("mg/dL".into()),
        loinc: "5792-7".into(),
        display: None,
        ucum: Some("mg/dL".into()),
        factor: None,
        actor: "dr.rao".into(),
    };
    ward.apply_one(command(&mapping)).await;
    let rows = ward.results(Versions::Current).await;
    let found: Vec<(Option<&str>, Option<&str>)> = rows
        .iter()
        .map(|row| (row.loinc.as_deref(), row.held.as_deref()))
        .collect();
    assert_eq!(
        found,
        [(None, Some("unknown_code")), (Some("5792-7"), None)]
    );
}
