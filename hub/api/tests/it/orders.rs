//! Placing, finding and cancelling orders.

use schemas::patients::Assertion;
use schemas::sending::{OrderSent, SendingAnswer, SendingOccasion, SentOrder};
use schemas::worklist::TestAction;
use schemas::{ChannelId, IdentifierKey};
use serde_json::json;

use super::house::House;
use super::samples::person;

async fn house_with(patients: &[&str]) -> House {
    let house = House::new().await;
    for patient in patients {
        house.event(&person(&house.tenant, patient)).await;
    }
    house
}

pub(crate) fn order(patient: &str, number: &str) -> serde_json::Value {
    json!({
        "patient_identifier": patient,
        "code": { "code": "2345-7", "system": "LN", "text": "Glucose" },
        "specimen": { "number": number, "kind": { "code": "SER" } },
        "priority": "stat",
    })
}

#[tokio::test]
async fn an_order_is_placed_found_by_its_specimen_and_cancelled() {
    let house = house_with(&["12345"]).await;
    let placed = house
        .post("/api/v1/orders", &order("12345^^^HOSP^MR", "A-1"))
        .await;
    assert_eq!(placed.status.as_u16(), 201, "{}", placed.json);
    let id = placed.json["id"].as_str().unwrap().to_owned();
    assert_eq!(placed.header("location"), format!("/api/v1/orders/{id}"));
    assert_eq!(placed.json["status"], "active");

    let detail = house.get(&format!("/api/v1/orders/{id}")).await;
    assert_eq!(detail.ok()["specimens"][0]["number"], "A-1");
    assert_eq!(detail.json["priority"], "stat");
    assert!(detail.json["patient_id"].is_string());
    let found = house.get("/api/v1/orders?specimen=A-1&status=active").await;
    assert_eq!(found.items().len(), 1);
    let none = house
        .get("/api/v1/orders?specimen=A-1&status=completed")
        .await;
    assert!(none.items().is_empty());

    let cancel = format!("/api/v1/orders/{id}/cancel");
    let body = json!({ "reason": "ordered twice" });
    assert_eq!(
        house.post(&cancel, &body).await.ok()["answer"]["status"],
        "revoked"
    );
    assert_eq!(
        house.post(&cancel, &body).await.problem(409),
        "clinical.order_closed"
    );
    let unknown = "/api/v1/orders/018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c/cancel";
    assert_eq!(
        house.post(unknown, &body).await.problem(404),
        "orders.unknown"
    );
}

#[tokio::test]
async fn what_instruments_were_told_is_shown_with_the_order_and_in_lists() {
    let house = house_with(&["12345"]).await;
    let placed = house.post("/api/v1/orders", &order("12345", "A-1")).await;
    let id = placed.json["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/orders/{id}");
    assert!(house.get(&path).await.ok()["sent"].is_null(), "nothing yet");
    let sent = OrderSent {
        channel: ChannelId::new("chemistry").unwrap(),
        specimen: "A-1".into(),
        occasion: SendingOccasion::Query,
        control_id: Some("M1".into()),
        at: "2026-01-31T08:30:00Z".into(),
        orders: vec![SentOrder {
            order: id.parse().unwrap(),
            action: TestAction::Perform,
            answer: SendingAnswer::Refused,
            reason: Some("UA: no reagent".into()),
        }],
    };
    house.event(&sent).await;
    let detail = house.get(&path).await;
    assert_eq!(
        detail.ok()["sent"],
        json!([{
            "channel": "chemistry", "action": "perform", "answer": "refused", "reason": "UA: no reagent",
            "occasion": "query", "control_id": "M1", "times": 1, "first_at": "2026-01-31T08:30:00Z",
            "at": "2026-01-31T08:30:00Z"
        }])
    );
    let list = house.get("/api/v1/orders?specimen=A-1").await;
    assert_eq!(list.items()[0]["sent"], detail.json["sent"]);
}

#[tokio::test]
async fn an_order_sent_again_under_its_number_is_answered_with_the_one_that_stands() {
    let house = house_with(&["12345"]).await;
    let mut body = order("12345", "A-1");
    body["placer_number"] = json!("ORD-9");
    let first = house.post("/api/v1/orders", &body).await;
    assert_eq!(first.status.as_u16(), 201);
    let again = house.post("/api/v1/orders", &body).await;
    assert_eq!(again.ok()["id"], first.json["id"]);
    assert_eq!(again.json["created"], false);
    body["specimen"]["number"] = json!("A-2");
    let other = house.post("/api/v1/orders", &body).await;
    assert_eq!(other.problem(409), "clinical.order_exists");
}

#[tokio::test]
async fn a_number_means_who_is_registered_with_it_and_not_who_was_only_mentioned() {
    let house = House::new().await;
    let of_system = |system: &str, assertion| {
        let mut reported = person(&house.tenant, "12345");
        reported.assertion = assertion;
        reported.identifiers[0].key = IdentifierKey::of(&house.tenant, system, "12345");
        reported.identifiers[0].system = system.to_owned();
        reported
    };
    // an analyzer was first, and named no system
    house.event(&of_system("mrn", Assertion::Mentioned)).await;
    house.event(&of_system("HOSP", Assertion::Asserted)).await;
    let placed = house.post("/api/v1/orders", &order("12345", "A-1")).await;
    assert_eq!(placed.status.as_u16(), 201, "{}", placed.json);
    let listed = house.get("/api/v1/patients?mrn=12345").await;
    let registered = listed.items().iter().find(|one| {
        one["identifiers"]
            .as_array()
            .is_some_and(|all| all.iter().any(|each| each["system"] == "HOSP"))
    });
    let detail = house
        .get(&format!(
            "/api/v1/orders/{}",
            placed.json["id"].as_str().unwrap()
        ))
        .await;
    assert_eq!(
        detail.ok()["patient_id"],
        registered.expect("is found")["id"]
    );

    house.event(&of_system("CLINIC", Assertion::Asserted)).await;
    let two = house.post("/api/v1/orders", &order("12345", "A-2")).await;
    assert_eq!(two.problem(409), "orders.ambiguous_patient");
}

#[tokio::test]
async fn a_number_of_another_patient_an_unknown_patient_and_an_unknown_target_are_refused() {
    let house = house_with(&["1", "2"]).await;
    house.post("/api/v1/orders", &order("1", "A-1")).await;
    let other = house.post("/api/v1/orders", &order("2", "A-1")).await;
    assert_eq!(other.problem(409), "clinical.specimen_in_use");
    let nobody = house.post("/api/v1/orders", &order("3", "A-3")).await;
    assert_eq!(nobody.problem(422), "orders.no_patient");
    let mut body = order("1", "A-4");
    body["targets"] = json!(["nowhere"]);
    let target = house.post("/api/v1/orders", &body).await;
    assert_eq!(target.problem(400), "request.invalid");
    assert_eq!(target.json["errors"][0]["field"], "targets");
    for (field, wrong) in [
        ("priority", json!("soon")),
        ("code", json!({ "code": " " })),
        ("specimen", json!({ "number": "" })),
    ] {
        let mut body = order("1", "A-4");
        body[field] = wrong;
        let answer = house.post("/api/v1/orders", &body).await;
        assert_eq!(answer.problem(400), "request.invalid", "{field}");
    }
}
