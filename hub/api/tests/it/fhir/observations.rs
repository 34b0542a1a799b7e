//! Observations that staff enter: values of a round, and what is made of them; corrected and taken back.

use serde_json::{Value, json};

use super::super::backbone::Mood;
use super::super::house::House;
use super::charts::{changed, created, patient_of};
use super::{matches, outcome, patient_on, pulse, resource, send};

const AT: &str = "2026-03-02T08:30:00Z";

fn entered(patient: &str, loinc: &str, name: &str, value: f64, ucum: &str) -> Value {
    json!({ "resourceType": "Observation", "status": "final", "subject": patient_of(patient), "effectiveDateTime": AT,
        "category": [{ "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs" }] }],
        "code": { "coding": [{ "system": "http://loinc.org", "code": loinc, "display": name }] },
        "valueQuantity": { "value": value, "system": "http://unitsofmeasure.org", "code": ucum } })
}

fn rate(patient: &str, value: f64) -> Value {
    entered(patient, "8867-4", "Heart rate", value, "/min")
}

fn said(url: &str, member: &str, value: Value) -> Value {
    let mut extension = json!({ "url": format!("urn:hub:extension:{url}") });
    extension[member] = value;
    json!([extension])
}

async fn post(house: &House, body: &Value) -> super::super::house::Answer {
    send(house, "POST", "/fhir/Observation", &[], body).await
}

#[tokio::test]
async fn values_of_one_time_are_a_round_with_a_score() {
    let house = House::new().await;
    let patient = patient_on(&house, "1001", 1, "ICU").await;
    let visits = house
        .get(&format!("/fhir/Encounter?patient={patient}"))
        .await;
    let visit = format!("Encounter/{}", matches(&visits)[0]["id"].as_str().unwrap());
    let mut alert = entered(&patient, "80288-4", "Level of consciousness", 0.0, "1");
    alert.as_object_mut().unwrap().remove("valueQuantity");
    alert["valueCodeableConcept"] = json!({ "coding": [{ "code": "A" }] });
    let mut round = vec![
        entered(&patient, "9279-1", "Respiratory rate", 16.0, "/min"),
        entered(&patient, "59408-5", "Oxygen saturation", 97.0, "%"),
        entered(&patient, "3151-8", "Oxygen flow", 0.0, "L/min"),
        entered(&patient, "8480-6", "Systolic pressure", 120.0, "mm[Hg]"),
        entered(&patient, "8310-5", "Temperature", 37.5, "Cel"),
        alert,
        rate(&patient, 72.0),
    ];
    for one in &mut round {
        one["encounter"] = json!({ "reference": visit });
        one["extension"] = said("pregnant", "valueBoolean", json!(false));
    }
    for one in &round {
        let made = created(&house, one).await;
        for member in ["status", "category", "subject", "effectiveDateTime"] {
            let (made, sent) = (&made[member], &one[member]);
            if member == "category" {
                assert_eq!(made[0]["coding"][0]["code"], sent[0]["coding"][0]["code"]);
            } else {
                assert_eq!(made, sent, "{member}");
            }
        }
        assert_eq!(made["code"]["coding"][0], one["code"]["coding"][0]);
        let rest = format!("/api/v1/observations/{}", made["id"].as_str().unwrap());
        assert_eq!(house.get(&rest).await.ok()["matched_by"], "entry");
    }
    let scores = house
        .get(&format!("/api/v1/patients/{patient}/scores"))
        .await;
    assert_eq!(scores.items().len(), 1, "one round");
    let score = &scores.items()[0];
    assert_eq!(
        (&score["state"], &score["total"]),
        (&json!("computed"), &json!(0))
    );
    assert_eq!(score["visit_number"], "V-1");
    assert_eq!(score["checks"]["pregnancy"], "no");
    let found = house
        .get(&format!(
            "/fhir/Observation?patient={patient}&category=vital-signs&date={}",
            &AT[..10]
        ))
        .await;
    assert_eq!(matches(&found).len(), round.len());

    // the same again is the same; another value must be a correction
    let again = post(&house, &rate(&patient, 72.0)).await;
    assert_eq!(resource(&again)["valueQuantity"]["value"], 72.0);
    let other = post(&house, &rate(&patient, 170.0)).await;
    assert_eq!(outcome(&other, 409), "clinical.observation_exists");
    let mut later = entered(&patient, "8310-5", "Temperature", 375.0, "Cel");
    later["effectiveDateTime"] = json!("2026-03-02T09:30:00Z");
    let implausible = post(&house, &later).await;
    assert_eq!(
        outcome(&implausible, 422),
        "clinical.observation_implausible"
    );
    let mut second = rate(&patient, 80.0);
    second["effectiveDateTime"] = json!("2026-03-02T09:30:00Z");
    second["extension"] = said("oxygen-scale", "valueInteger", json!(2));
    let unordered = post(&house, &second).await;
    assert_eq!(
        outcome(&unordered, 422),
        "clinical.oxygen_scale_not_ordered"
    );
}

#[tokio::test]
async fn a_value_is_corrected_with_a_reason_and_taken_back() {
    let house = House::new().await;
    let patient = patient_on(&house, "1001", 1, "ICU").await;
    let stands = created(&house, &rate(&patient, 170.0)).await;
    let right = json!({ "value": 70, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min" });
    let refused = changed(&house, &stands, &[("valueQuantity", right.clone())]).await;
    assert_eq!(outcome(&refused, 422), "fhir.content");
    assert_eq!(
        refused.json["issue"][0]["expression"][0],
        "Observation.extension"
    );
    let why = || said("reason", "valueString", json!("typed 170 for 70"));
    let moved = [
        ("effectiveDateTime", json!("2026-03-02T09:30:00Z")),
        ("extension", why()),
    ];
    let refused = changed(&house, &stands, &moved).await;
    assert_eq!(outcome(&refused, 422), "fhir.not_supported");
    assert_eq!(
        refused.json["issue"][0]["expression"][0],
        "Observation.effectiveDateTime"
    );
    let right = [("valueQuantity", right), ("extension", why())];
    let corrected = changed(&house, &stands, &right).await;
    assert_eq!(resource(&corrected)["valueQuantity"]["value"], 70);
    assert_eq!(corrected.json["status"], "corrected");
    assert_eq!(corrected.json["code"], stands["code"]);
    let stale = changed(&house, &stands, &right).await;
    assert_eq!(outcome(&stale, 412), "fhir.stale");
    let back = [
        ("status", json!("entered-in-error")),
        (
            "extension",
            said("reason", "valueString", json!("another patient's")),
        ),
    ];
    let gone = changed(&house, &corrected.json, &back).await;
    assert_eq!(resource(&gone)["status"], "entered-in-error");
    let id = stands["id"].as_str().unwrap();
    let history = house.get(&format!("/fhir/Observation/{id}/_history")).await;
    assert_eq!(resource(&history)["total"], 3);
    let again = [("status", json!("final")), ("extension", why())];
    let again = changed(&house, &gone.json, &again).await;
    assert_eq!(outcome(&again, 409), "fhir.status_conflict");

    // what others measured is theirs
    pulse(&house, "1001", "72", "2026-03-02T10:00:00Z").await;
    for (category, status, code) in [
        ("vital-signs", 409, "clinical.observation_device_conflict"),
        ("laboratory", 422, "fhir.not_supported"),
    ] {
        let path = format!("/fhir/Observation?patient={patient}&category={category}&status=final");
        let found = house.get(&path).await;
        let other = matches(&found)[0].clone();
        let value = json!({ "value": 1, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min" });
        let refused = changed(
            &house,
            &other,
            &[("valueQuantity", value), ("extension", why())],
        )
        .await;
        assert_eq!(outcome(&refused, status), code, "{category}");
    }
}

#[tokio::test]
async fn what_would_not_be_kept_is_refused_by_its_place_and_nothing_is_entered() {
    let house = House::new().await;
    let patient = patient_on(&house, "1001", 1, "ICU").await;
    house.backbone.commands.lock().unwrap().clear();
    let nobody = "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c";
    for (member, value, code, place) in [
        (
            "performer",
            json!([{ "display": "x" }]),
            "fhir.content",
            "Observation.performer",
        ),
        (
            "component",
            json!([{ "code": { "text": "x" } }]),
            "fhir.content",
            "Observation.component",
        ),
        (
            "status",
            json!("preliminary"),
            "fhir.content",
            "Observation.status",
        ),
        (
            "category",
            json!([{ "coding": [{ "code": "laboratory" }] }]),
            "fhir.content",
            "Observation.category",
        ),
        (
            "encounter",
            json!({ "reference": format!("Encounter/{nobody}") }),
            "fhir.no_encounter",
            "Observation.encounter",
        ),
        ("subject", patient_of(nobody), "fhir.no_patient", ""),
    ] {
        let mut body = rate(&patient, 72.0);
        body[member] = value;
        let refused = post(&house, &body).await;
        assert_eq!(outcome(&refused, 422), code, "{member}");
        let said = refused.json["issue"][0]["expression"][0]
            .as_str()
            .unwrap_or_default();
        assert_eq!(said, place, "{member}");
    }
    assert!(house.backbone.commands.lock().unwrap().is_empty());
    let token = house.user(&house.tenant, &["vitals:read"]).await;
    let refused = house
        .post_as(&token, "/fhir/Observation", &rate(&patient, 72.0))
        .await;
    assert_eq!(outcome(&refused, 403), "auth.permission");
    house.backbone.be(Mood::Busy);
    let pending = post(&house, &rate(&patient, 72.0)).await;
    assert_eq!(pending.status.as_u16(), 202);
}
