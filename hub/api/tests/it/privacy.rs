//! Consents and requests of patients about their data.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::json;

use super::house::House;
use super::samples::coded;

async fn patient(house: &House) -> String {
    house.report("12345", 1, vec![coded("GLU", "104")]).await;
    house.get("/api/v1/patients").await.items()[0]["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn one_consent_stands_for_a_purpose_and_withdrawing_it_is_as_easy_as_giving_it() {
    let house = House::new().await;
    let patient = patient(&house).await;
    let path = format!("/api/v1/patients/{patient}/consents");
    let consent = json!({ "purpose": "research", "notice_version": "2026-1", "notice_language": "hi", "given_by": "patient" });
    let made = house.post(&path, &consent).await;
    assert_eq!(made.status, 201, "{}", made.json);
    let place = made.header("location").to_owned();
    assert_eq!(
        house.post(&path, &consent).await.problem(409),
        "consents.exists"
    );
    let other = json!({ "purpose": "messages", "notice_version": "2026-1", "notice_language": "ta-IN", "given_by": "guardian",
        "given_at": "2020-01-01T00:00:00Z", "until": "2021-01-01T00:00:00Z" });
    house.post(&path, &other).await;
    // one that has run out stands in nobody's way
    let again = house.post(&path, &json!({ "purpose": "messages", "notice_version": "2026-1", "notice_language": "ta", "given_by": "guardian" })).await;
    assert_eq!(again.status, 201, "{}", again.json);
    let states = |answer: &super::house::Answer| {
        let mut states: Vec<String> = answer
            .items()
            .iter()
            .map(|one| {
                format!(
                    "{} {}",
                    one["purpose"].as_str().unwrap(),
                    one["state"].as_str().unwrap()
                )
            })
            .collect();
        states.sort();
        states
    };
    assert_eq!(
        states(&house.get(&path).await),
        ["messages active", "messages expired", "research active"]
    );
    let withdraw = format!("{place}/withdraw");
    house.post(&withdraw, &json!({})).await.ok();
    house.post(&withdraw, &json!({})).await.ok();
    let seen = house.get(&place).await;
    assert_eq!(
        (&seen.ok()["state"], &seen.json["withdrawn_by"]),
        (&json!("withdrawn"), &json!("admin"))
    );
    assert_eq!(house.post(&path, &consent).await.status, 201, "given again");
    // what is not possible
    for (field, value, status) in [
        ("purpose", "Research!", 422),
        ("notice_language", "the language of the notice", 400),
        ("given_by", "neighbour", 400),
        ("until", "2001-01-01T00:00:00Z", 422),
    ] {
        let mut odd = consent.clone();
        odd[field] = json!(value);
        assert_eq!(house.post(&path, &odd).await.status, status, "{field}");
    }
    let nobody = "/api/v1/patients/018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c/consents";
    assert_eq!(
        house.post(nobody, &consent).await.problem(404),
        "patients.unknown"
    );
    let trail = house
        .get(&format!(
            "/api/v1/audit?patient={patient}&action=patients.consent.withdraw"
        ))
        .await;
    assert_eq!(trail.items().len(), 1);
}

#[tokio::test]
async fn a_request_has_a_due_date_by_its_kind_and_is_decided_once_with_a_word() {
    let house = House::new().await;
    let patient = patient(&house).await;
    let path = format!("/api/v1/patients/{patient}/privacy-requests");
    let mut places = Vec::new();
    for (kind, received) in [
        ("access", "2026-01-01T00:00:00Z"),
        ("grievance", "2026-01-01T00:00:00Z"),
    ] {
        let asked =
            json!({ "kind": kind, "detail": "what do you keep of me", "received_at": received });
        let made = house.post(&path, &asked).await;
        assert_eq!(made.status, 201, "{}", made.json);
        places.push(made.header("location").to_owned());
    }
    let due: Vec<String> = house
        .get(&path)
        .await
        .items()
        .iter()
        .map(|one| one["due_at"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(due, ["2026-01-31T00:00:00Z", "2026-04-01T00:00:00Z"]);
    let overdue = house.get("/api/v1/privacy-requests?overdue=true").await;
    assert_eq!(overdue.items().len(), 2);

    let step = format!("{}/state", places[0]);
    let decided = json!({ "state": "completed", "resolution": "a copy was handed over" });
    assert_eq!(
        house
            .post(&step, &json!({ "state": "completed" }))
            .await
            .problem(422),
        "privacy_requests.resolution"
    );
    house
        .post(&step, &json!({ "state": "in_progress" }))
        .await
        .ok();
    let stale = Request::post(&step)
        .header(header::AUTHORIZATION, format!("Bearer {}", house.token()))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::IF_MATCH, "\"1\"")
        .body(Body::from(decided.to_string()))
        .unwrap();
    assert_eq!(
        house.send(stale).await.problem(412),
        "privacy_requests.stale"
    );
    house.post(&step, &decided).await.ok();
    let seen = house.get(&places[0]).await;
    assert_eq!(
        (
            &seen.ok()["state"],
            &seen.json["overdue"],
            &seen.json["version"]
        ),
        (&json!("completed"), &json!(false), &json!(3))
    );
    let refused = house.post(&step, &json!({ "state": "in_progress" })).await;
    assert_eq!(refused.problem(409), "privacy_requests.state_conflict");
    assert!(
        refused.json["detail"]
            .as_str()
            .unwrap()
            .contains("allowed: none")
    );
    assert_eq!(
        house
            .get("/api/v1/privacy-requests?overdue=true")
            .await
            .items()
            .len(),
        1
    );
    assert_eq!(
        house
            .get("/api/v1/privacy-requests?state=completed")
            .await
            .items()
            .len(),
        1
    );
    house
        .get("/api/v1/privacy-requests?state=lost")
        .await
        .problem(400);
}
