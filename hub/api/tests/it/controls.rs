//! The QC worklist.

use schemas::care::Specimen;
use schemas::{ChannelId, care::ResultReceived};
use serde_json::json;

use super::house::House;
use super::samples::{code, coded};

pub(crate) fn control(value: &str, minute: u32) -> ResultReceived {
    ResultReceived {
        channel: ChannelId::new("lab").unwrap(),
        subject: None,
        visit_number: None,
        placer_number: None,
        filler_number: None,
        code: code("CHEM"),
        status: Some("F".to_owned()),
        observed_at: Some(format!("2026-03-01T12:{minute:02}:00Z")),
        issued_at: None,
        specimen: Some(Specimen {
            number: Some("QC1".to_owned()),
            role: Some("Q".to_owned()),
            ..Specimen::default()
        }),
        results: vec![coded("GLU", value)],
        notes: Vec::new(),
        occurred_at: None,
    }
}

#[tokio::test]
async fn a_control_out_of_its_limits_is_listed_and_decided_with_a_comment() {
    let house = House::new().await;
    let target = json!({
        "channel": "lab", "material": "QC1", "lot": "L1", "level": "1", "code": "GLU", "mean": "100", "sd": "2", "unit": "mg/dl"
    });
    house.post("/api/v1/qc/targets", &target).await.ok();
    let mut wrong = target.clone();
    wrong["sd"] = json!("0");
    assert_eq!(
        house.post("/api/v1/qc/targets", &wrong).await.problem(422),
        "clinical.control_target"
    );
    assert_eq!(
        house.get("/api/v1/qc/targets?channel=lab").await.items()[0]["mean"],
        "100"
    );

    for (value, minute) in [("101", 0), ("107", 1), ("104.5", 2)] {
        house.event(&control(value, minute)).await;
    }
    let list = house.get("/api/v1/worklists/qc").await;
    assert_eq!(list.items().len(), 2);
    let item = &list.items()[0];
    assert_eq!(
        (&item["verdict"], &item["rules"]),
        (&json!("rejected"), &json!(["1-2s", "1-3s"]))
    );
    assert_eq!(item["z"], 3.5);
    assert!(
        house.get("/api/v1/held").await.items().is_empty(),
        "a control asks nobody for a patient"
    );

    let reject = format!("/api/v1/worklists/qc/{}/reject", item["id"]);
    assert_eq!(
        house
            .post(&reject, &json!({ "comment": " " }))
            .await
            .problem(400),
        "request.invalid"
    );
    let body = json!({ "comment": "air bubble" });
    assert_eq!(
        house.post(&reject, &body).await.ok()["answer"]["state"],
        "rejected"
    );
    assert_eq!(
        house.post(&reject, &body).await.problem(409),
        "clinical.control_not_open"
    );
    let accept = format!("/api/v1/worklists/qc/{}/accept", list.items()[1]["id"]);
    house.post(&accept, &body).await.ok();
    assert!(house.get("/api/v1/worklists/qc").await.items().is_empty());
    let all = house.get("/api/v1/worklists/qc?state=all").await;
    assert_eq!(all.items().len(), 3);
    assert_eq!(
        house
            .post("/api/v1/worklists/qc/999/accept", &body)
            .await
            .problem(404),
        "clinical.control_unknown"
    );
}
