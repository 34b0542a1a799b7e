//! Reports on nobody's chart, and claiming them.

use schemas::ChannelId;
use schemas::care::{HoldReason, Observation, ResultReceived, Specimen};
use serde_json::{Value, json};

use super::house::House;
use super::samples::{code, coded, person};

pub(crate) fn nameless(number: &str) -> ResultReceived {
    ResultReceived {
        channel: ChannelId::new("lab").unwrap(),
        subject: None,
        visit_number: None,
        placer_number: None,
        filler_number: Some("7".to_owned()),
        code: code("CHEM"),
        status: Some("F".to_owned()),
        observed_at: Some("2026-03-01T12:00:00Z".to_owned()),
        issued_at: None,
        specimen: Some(Specimen {
            number: Some(number.to_owned()),
            ..Specimen::default()
        }),
        results: vec![Observation {
            held: Some(HoldReason::NoPatient),
            ..coded("GLU", "104")
        }],
        notes: Vec::new(),
        occurred_at: None,
    }
}

/// Discards an item of a worklist: with a reason, and once.
pub(crate) async fn discarded_once(house: &House, item: &str, why: &Value, not_open: &str) {
    let path = format!("{item}/discard");
    let silent = house.post(&path, &json!({ "reason": " " })).await;
    assert_eq!(silent.problem(400), "request.invalid");
    let done = house.post(&path, why).await;
    assert_eq!(done.ok()["answer"]["state"], "discarded");
    let again = house.post(&path, why).await;
    assert_eq!(again.problem(409), not_open);
}

#[tokio::test]
async fn a_report_is_claimed_with_two_identifiers_that_agree() {
    let house = House::new().await;
    house.event(&person(&house.tenant, "12345")).await;
    house.event(&nameless("A-9")).await;
    let list = house.get("/api/v1/worklists/unmatched").await;
    let item = &list.items()[0];
    assert_eq!(item["reason"], "unknown_specimen");
    assert_eq!(item["tests"], json!(["GLU"]));
    let claim = format!(
        "/api/v1/worklists/unmatched/{}/claim",
        item["report_id"].as_str().unwrap()
    );

    for (body, status, problem) in [
        (
            json!({ "patient_identifier": "12345" }),
            400,
            "request.invalid",
        ),
        (
            json!({ "patient_identifier": "12345", "birth_date": "1980-05-18" }),
            422,
            "unmatched.disagrees",
        ),
        (
            json!({ "patient_identifier": "12345", "birth_date": "1980-05-17", "name": "Somebody Else" }),
            422,
            "unmatched.disagrees",
        ),
        (
            json!({ "patient_identifier": "999", "birth_date": "1980-05-17" }),
            422,
            "unmatched.no_patient",
        ),
    ] {
        assert_eq!(
            house.post(&claim, &body).await.problem(status),
            problem,
            "{body}"
        );
    }
    let results = "/api/v1/results?patient_identifier=12345";
    assert!(house.get(results).await.items().is_empty());
    let body = json!({ "patient_identifier": "12345", "name": "Asha Sharma" });
    assert_eq!(
        house.post(&claim, &body).await.ok()["answer"]["state"],
        "claimed"
    );
    let filed = house.get(results).await.items()[0].clone();
    assert_eq!(filed["raw_value"], "104");
    assert!(filed.get("held").is_none());
    assert_eq!(
        house.post(&claim, &body).await.problem(409),
        "clinical.unmatched_not_open"
    );
    assert!(
        house
            .get("/api/v1/worklists/unmatched")
            .await
            .items()
            .is_empty()
    );
    let done = house.get("/api/v1/worklists/unmatched?state=claimed").await;
    assert_eq!(done.items()[0]["resolved_by"], "admin");
    assert_eq!(done.items()[0]["patient_id"], filed["patient_id"]);
    let unknown = "/api/v1/worklists/unmatched/018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c/claim";
    assert_eq!(
        house.post(unknown, &body).await.problem(404),
        "unmatched.unknown"
    );
}

#[tokio::test]
async fn a_report_that_is_nobodys_is_discarded_with_a_reason_and_can_be_claimed_after_all() {
    let house = House::new().await;
    house.event(&person(&house.tenant, "12345")).await;
    house.event(&nameless("A-9")).await;
    let list = house.get("/api/v1/worklists/unmatched").await;
    let item = format!(
        "/api/v1/worklists/unmatched/{}",
        list.items()[0]["report_id"].as_str().unwrap()
    );
    let why = json!({ "reason": "a control whose barcode was not read" });
    discarded_once(&house, &item, &why, "clinical.unmatched_not_open").await;
    let open = house.get("/api/v1/worklists/unmatched").await;
    assert!(open.items().is_empty());
    let gone = house
        .get("/api/v1/worklists/unmatched?state=discarded")
        .await;
    assert_eq!(gone.items()[0]["comment"], why["reason"]);
    assert_eq!(gone.items()[0]["resolved_by"], "admin");

    // an order for the tube does not bring back what somebody decided about; a person does
    let order = json!({
        "patient_identifier": "12345", "code": { "code": "2345-7", "system": "LN" }, "specimen": { "number": "A-9" }
    });
    let placed = house.post("/api/v1/orders", &order).await;
    assert_eq!(placed.status.as_u16(), 201, "{}", placed.json);
    let results = "/api/v1/results?patient_identifier=12345";
    assert!(house.get(results).await.items().is_empty());
    let claim = json!({ "patient_identifier": "12345", "birth_date": "1980-05-17" });
    let taken = house.post(&format!("{item}/claim"), &claim).await;
    assert_eq!(taken.ok()["answer"]["state"], "claimed");
    assert_eq!(house.get(results).await.items().len(), 1);
    let unknown = "/api/v1/worklists/unmatched/018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c/discard";
    assert_eq!(
        house.post(unknown, &why).await.problem(404),
        "unmatched.unknown"
    );
}

#[tokio::test]
async fn an_order_for_the_specimen_takes_a_report_off_the_list_and_pages_follow_each_other() {
    let house = House::new().await;
    house.event(&person(&house.tenant, "12345")).await;
    for number in ["A-1", "A-2", "A-3"] {
        house.event(&nameless(number)).await;
    }
    let first = house.get("/api/v1/worklists/unmatched?limit=2").await;
    assert_eq!(first.items().len(), 2);
    let next = first.json["next_cursor"].as_str().unwrap();
    let second = house
        .get(&format!(
            "/api/v1/worklists/unmatched?limit=2&cursor={next}"
        ))
        .await;
    assert_eq!(second.items().len(), 1);
    let order = json!({
        "patient_identifier": "12345", "code": { "code": "2345-7", "system": "LN" }, "specimen": { "number": "A-2" }
    });
    let placed = house.post("/api/v1/orders", &order).await;
    assert_eq!(placed.status.as_u16(), 201, "{}", placed.json);
    assert_eq!(
        house.get("/api/v1/worklists/unmatched").await.items().len(),
        2
    );
    assert_eq!(
        house
            .get("/api/v1/results?patient_identifier=12345")
            .await
            .items()
            .len(),
        1
    );
    let closed = house.get("/api/v1/orders?specimen=A-2").await;
    assert_eq!(closed.items()[0]["status"], "completed");
}
