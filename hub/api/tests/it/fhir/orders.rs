//! Orders placed and revoked with a ServiceRequest.

use serde_json::{Value, json};

use super::super::backbone::Mood;
use super::super::house::House;
use super::{outcome, patient_on, resource, send};

fn request(subject: &Value) -> Value {
    json!({
        "resourceType": "ServiceRequest", "status": "active", "intent": "order", "priority": "stat",
        "identifier": [{ "type": { "coding": [{ "code": "PLAC" }] }, "value": "ORD-9" }],
        "code": { "coding": [{ "system": "http://loinc.org", "code": "2345-7", "display": "Glucose" }] },
        "subject": subject,
        "contained": [{ "resourceType": "Specimen", "id": "t", "accessionIdentifier": { "value": "T-1" } }],
        "specimen": [{ "reference": "#t" }],
        "authoredOn": "2026-03-01T12:00:00Z",
        "note": [{ "text": "fasting" }]
    })
}

#[tokio::test]
async fn an_order_is_placed_read_back_and_revoked() {
    let house = House::new().await;
    let patient = patient_on(&house, "1001", 1, "ICU").await;
    let body = request(&json!({ "reference": format!("Patient/{patient}") }));
    let placed = send(&house, "POST", "/fhir/ServiceRequest", &[], &body).await;
    assert_eq!(placed.status.as_u16(), 201, "{}", placed.json);
    hub_fhir::check(&placed.json).unwrap();
    let id = placed.json["id"].as_str().unwrap().to_owned();
    let version = placed.json["meta"]["versionId"].as_str().unwrap();
    assert!(
        placed
            .header("location")
            .ends_with(&format!("/fhir/ServiceRequest/{id}/_history/{version}"))
    );
    assert_eq!(placed.header("etag"), format!("W/\"{version}\""));
    for member in ["status", "intent", "priority", "subject", "note"] {
        assert_eq!(placed.json[member], body[member], "{member}");
    }
    assert_eq!(placed.json["code"]["coding"], body["code"]["coding"]);
    assert_eq!(placed.json["identifier"][0]["value"], "ORD-9");
    assert_eq!(placed.json["specimen"].as_array().unwrap().len(), 1);
    // REST shows the same order, and its sender's repeat finds it
    assert_eq!(
        house.get(&format!("/api/v1/orders/{id}")).await.ok()["priority"],
        "stat"
    );
    let again = send(
        &house,
        "POST",
        "/fhir/ServiceRequest",
        &[("prefer", "return=minimal")],
        &body,
    )
    .await;
    assert_eq!(again.status.as_u16(), 200);
    assert!(again.bytes.is_empty() && again.header("location").contains(&id));

    let path = format!("/fhir/ServiceRequest/{id}");
    let stands = house.get(&path).await.json;
    let mut revoked = stands.clone();
    revoked["status"] = json!("revoked");
    let stale = send(&house, "PUT", &path, &[("if-match", "W/\"0\"")], &revoked).await;
    assert_eq!(outcome(&stale, 412), "fhir.stale");
    for (member, value, status, code) in [
        ("priority", json!("routine"), 422, "fhir.not_supported"),
        ("status", json!("completed"), 409, "fhir.status_conflict"),
        ("id", json!("x"), 400, "request.invalid"),
        (
            "note",
            json!([{ "text": "fasting" }, { "text": "more" }]),
            422,
            "fhir.not_supported",
        ),
    ] {
        let mut other = stands.clone();
        other[member] = value;
        let refused = send(&house, "PUT", &path, &[], &other).await;
        assert_eq!(outcome(&refused, status), code, "{member}");
    }
    let same = send(&house, "PUT", &path, &[], &stands).await;
    assert_eq!(resource(&same)["status"], "active");
    let tag = format!("W/\"{}\"", stands["meta"]["versionId"].as_str().unwrap());
    let done = send(&house, "PUT", &path, &[("if-match", &tag)], &revoked).await;
    assert_eq!(resource(&done)["status"], "revoked");
    assert_ne!(done.header("etag"), tag);
    let old = send(&house, "PUT", &path, &[], &stands).await;
    assert_eq!(outcome(&old, 412), "fhir.stale");
    let mut again = house.get(&path).await.json;
    again["status"] = json!("active");
    let again = send(&house, "PUT", &path, &[], &again).await;
    assert_eq!(outcome(&again, 409), "fhir.status_conflict");
}

#[tokio::test]
async fn what_the_hub_would_not_keep_is_refused_by_its_place_and_nothing_is_placed() {
    let house = House::new().await;
    let patient = patient_on(&house, "1001", 1, "ICU").await;
    patient_on(&house, "1002", 2, "ICU").await;
    let subject = json!({ "reference": format!("Patient/{patient}") });
    for (member, value, status, code, place) in [
        (
            "doNotPerform",
            json!(true),
            422,
            "fhir.order",
            "ServiceRequest.doNotPerform",
        ),
        (
            "status",
            json!("draft"),
            422,
            "fhir.order",
            "ServiceRequest.status",
        ),
        (
            "colour",
            json!("red"),
            400,
            "fhir.structure",
            "ServiceRequest.colour",
        ),
        (
            "authoredOn",
            json!("yesterday"),
            400,
            "fhir.structure",
            "ServiceRequest",
        ),
        (
            "encounter",
            json!({ "reference": "Encounter/018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c" }),
            422,
            "fhir.no_encounter",
            "ServiceRequest.encounter",
        ),
        (
            "specimen",
            json!([{ "reference": "Specimen/018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c" }]),
            422,
            "orders.no_specimen",
            "",
        ),
        (
            "subject",
            json!({ "reference": "Patient/018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c" }),
            422,
            "orders.no_patient",
            "",
        ),
        (
            "subject",
            json!({ "identifier": { "value": "nobody" } }),
            422,
            "orders.no_patient",
            "",
        ),
        (
            "code",
            json!({ "coding": [{ "code": "x".repeat(60) }] }),
            400,
            "request.invalid",
            "ServiceRequest.code",
        ),
    ] {
        let mut body = request(&subject);
        body[member] = value;
        let refused = send(&house, "POST", "/fhir/ServiceRequest", &[], &body).await;
        assert_eq!(outcome(&refused, status), code, "{member}");
        let said = refused.json["issue"][0]["expression"][0]
            .as_str()
            .unwrap_or_default();
        assert_eq!(said, place, "{member}");
    }
    let conditional = send(
        &house,
        "POST",
        "/fhir/ServiceRequest",
        &[("if-none-exist", "x=y")],
        &request(&subject),
    )
    .await;
    assert_eq!(outcome(&conditional, 400), "request.invalid");
    assert!(house.backbone.commands.lock().unwrap().is_empty());

    send(
        &house,
        "POST",
        "/fhir/ServiceRequest",
        &[],
        &request(&subject),
    )
    .await;
    let other = request(&json!({ "identifier": { "value": "1002" } }));
    let taken = send(&house, "POST", "/fhir/ServiceRequest", &[], &other).await;
    assert_eq!(outcome(&taken, 409), "clinical.specimen_in_use");
    assert_eq!(taken.json["issue"][0]["code"], "conflict");
}

#[tokio::test]
async fn a_worker_that_is_busy_is_not_waited_for_and_a_bus_that_is_away_takes_nothing() {
    let house = House::new().await;
    let patient = patient_on(&house, "1001", 1, "ICU").await;
    let body = request(&json!({ "reference": format!("Patient/{patient}") }));
    house.backbone.be(Mood::Busy);
    let pending = send(&house, "POST", "/fhir/ServiceRequest", &[], &body).await;
    assert_eq!(pending.status.as_u16(), 202);
    assert_eq!(pending.json["resourceType"], "OperationOutcome");
    assert!(pending.header("location").starts_with("/api/v1/commands/"));
    house.backbone.be(Mood::Down);
    let away = send(&house, "POST", "/fhir/ServiceRequest", &[], &body).await;
    assert_eq!(outcome(&away, 503), "backbone.unavailable");
    assert_eq!(away.json["issue"][0]["code"], "transient");
    assert_eq!(away.header("retry-after"), "2");
}
