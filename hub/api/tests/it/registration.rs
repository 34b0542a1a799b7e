//! Registration over REST: a desk, identifiers, and a merge that is seen before it is made.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::json;

use super::charts::{Chart, allergy};
use super::house::House;

#[tokio::test]
async fn a_merge_is_seen_before_it_is_made() {
    let chart = Chart::new().await;
    chart.made("allergies", &allergy("latex")).await;
    let second = json!({
        "identifiers": [{ "value": "777" }],
        "demographics": { "name": { "family": "Other", "given": ["Usha"] }, "birth_date": "1950-01-01", "sex": "male" } });
    let made = chart.house.post("/api/v1/patients", &second).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.json);
    let retired = made.json["answer"]["id"].as_str().unwrap();
    let none = format!("/api/v1/patients/{retired}/allergies/none-known");
    chart.house.post(&none, &json!({})).await.ok();
    let preview = chart
        .house
        .get(&chart.of(&format!("merge-preview?retired={retired}")))
        .await;
    assert_eq!(preview.ok()["possible"], true);
    assert_eq!(preview.json["charts"]["survivor"]["entries"], 1);
    assert_eq!(preview.json["identifiers"], 2);
    let warnings = preview.json["warnings"].to_string();
    assert!(
        warnings.contains("no_known_allergies_against_allergies"),
        "{warnings}"
    );
    let fields = preview.json["differences"].to_string();
    assert!(fields.contains("birth_date"), "{fields}");
    let merge = json!({ "retired": retired, "reason": "same person" });
    chart.house.post(&chart.of("merge"), &merge).await.ok();
    let after = chart
        .house
        .get(&chart.of(&format!("merge-preview?retired={retired}")))
        .await;
    assert_eq!(
        (&after.ok()["possible"], &after.json["refusal"]),
        (&json!(false), &json!("patients.already_merged"))
    );
    // the allergy counts more than the statement of the other record
    let list = chart.house.get(&chart.of("allergies")).await;
    assert_eq!(list.ok()["status"], "listed");
    let through_the_other = format!("/api/v1/patients/{retired}/allergies");
    assert_eq!(
        chart.house.get(&through_the_other).await.ok()["status"],
        "listed"
    );
}

#[tokio::test]
async fn a_desk_registers_with_a_warning_and_numbers_of_its_own() {
    let house = House::new().await;
    let asha = |mobile: &str| {
        json!({ "facility": "SGM", "demographics": {
            "name": { "family": "Sharma", "given": ["Asha"] }, "birth_date": "1980-05-17", "mobile": mobile } })
    };
    let first = house
        .post("/api/v1/patients", &asha("+91 98450 12345"))
        .await;
    assert_eq!(first.status.as_u16(), 201, "{}", first.json);
    let id = first.json["answer"]["id"].clone();
    assert_eq!(
        first.json["answer"]["identifier"],
        json!({ "system": "SGM", "value": "SGM000001" })
    );
    let path = first.header("location").to_owned();
    let patient = house.get(&path).await;
    assert_eq!(patient.ok()["telecoms"][0]["value"], "+91 98450 12345");

    let mut again = asha("9000000009");
    let refused = house.post("/api/v1/patients", &again).await;
    assert_eq!(refused.problem(409), "patients.likely_duplicate");
    assert_eq!(
        refused.json["lookalikes"],
        json!([{ "patient_id": id, "score": 70, "reasons": ["same_name_and_birth_date"] }])
    );
    again["force"] = json!("two women, both at the desk");
    let forced = house.post("/api/v1/patients", &again).await;
    assert_eq!(forced.status.as_u16(), 201);
    assert_eq!(forced.json["answer"]["possible_duplicates"], json!([id]));

    // an age is kept as a year
    let aged =
        json!({ "facility": "SGM", "demographics": { "name": { "given": ["Ravi"] }, "age": 40 } });
    let aged = house.post("/api/v1/patients", &aged).await;
    let born = house.get(aged.header("location")).await.ok()["birth_date"].clone();
    assert_eq!(born.as_str().unwrap().len(), 4);

    // If-Match, null deletes
    let patch = |tag: &'static str| {
        let body = json!({ "demographics": { "birth_date": null } });
        Request::patch(path.clone())
            .header(header::AUTHORIZATION, format!("Bearer {}", house.token()))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::IF_MATCH, tag)
            .body(Body::from(body.to_string()))
            .unwrap()
    };
    assert_eq!(
        house.send(patch("\"9\"")).await.problem(412),
        "patients.stale"
    );
    assert_eq!(
        house.send(patch("\"1\"")).await.ok()["answer"]["changed"],
        json!(["birth_date"])
    );
    assert!(house.get(&path).await.ok()["birth_date"].is_null());
    for wrong in [
        json!({ "demographics": { "birth_date": "2999-01-01" } }),
        json!({ "demographics": { "sex": "F" } }),
        json!({ "demographics": { "name": { "given": [] } } }),
        json!({ "demographics": { "age": 40, "birth_date": "1980" } }),
    ] {
        let answer = house.write_as(house.token(), "PATCH", &path, &wrong).await;
        assert_eq!(answer.problem(400), "request.invalid", "{wrong}");
    }
    let rule = json!({ "prefix": "N", "width": 3, "next": 5 });
    house
        .write_as(house.token(), "PUT", "/api/v1/number-series/NORTH", &rule)
        .await
        .ok();
    let series = house.get("/api/v1/number-series").await;
    assert_eq!(series.items().len(), 2);
}

#[tokio::test]
async fn identifiers_are_added_and_ended() {
    let chart = Chart::new().await;
    let add = json!({ "system": "OLD", "value": "77" });
    chart.house.post(&chart.of("identifiers"), &add).await.ok();
    assert_eq!(
        chart
            .house
            .post(&chart.of("identifiers"), &add)
            .await
            .problem(409),
        "patients.identifier_exists"
    );
    let end = json!({ "identifier": add, "reason": "typed wrong" });
    let path = chart.of("identifiers/end");
    chart.house.post(&path, &end).await.ok();
    assert_eq!(
        chart.house.post(&path, &end).await.problem(409),
        "patients.identifier_closed"
    );
    let patient = chart
        .house
        .get(&format!("/api/v1/patients/{}", chart.patient))
        .await;
    let ended = patient.ok()["identifiers"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["ended_at"].is_string())
        .count();
    assert_eq!(ended, 1);
    // it still finds the patient
    let found = chart
        .house
        .get("/api/v1/patients?identifier=OLD%7C77")
        .await;
    assert_eq!(found.items().len(), 1);
}
