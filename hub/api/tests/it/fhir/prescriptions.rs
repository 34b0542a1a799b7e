//! Drugs: read line by line, drafted, signed, ended.

use serde_json::{Value, json};

use super::super::house::House;
use super::charts::{changed, created, drug};
use super::{matches, outcome, patient_on, resource, written};

#[tokio::test]
async fn a_prescription_of_several_drugs_is_walked_line_by_line_and_changed_as_a_whole() {
    let house = House::new().await;
    let patient = patient_on(&house, "1001", 1, "ICU").await;
    let lines = |names: &[&str]| {
        let lines: Vec<Value> = names
            .iter()
            .map(|name| json!({ "drug": { "text": name }, "frequency": "1-0-1" }))
            .collect();
        json!({ "lines": lines })
    };
    let id = written(&house, &patient, "prescriptions", &lines(&["A", "B", "C"])).await;
    written(&house, &patient, "prescriptions", &lines(&["D", "E"])).await;
    let mut next = Some(format!(
        "/fhir/MedicationRequest?patient={patient}&_count=2"
    ));
    let mut names = Vec::new();
    while let Some(page) = next {
        let found = house.get(&page).await;
        for one in matches(&found) {
            let name = &one["medicationCodeableConcept"]["text"];
            names.push(name.as_str().unwrap().to_owned());
        }
        next = super::next(&found);
    }
    assert_eq!(names, ["D", "E", "A", "B", "C"]);
    let path = format!("/fhir/MedicationRequest/{id}.2");
    let line = house.get(&path).await;
    assert_eq!(resource(&line)["groupIdentifier"]["value"], id.as_str());
    for none in [
        id.clone(),
        format!("{id}.4"),
        format!("{id}.0"),
        format!("{id}.01"),
    ] {
        let read = house.get(&format!("/fhir/MedicationRequest/{none}")).await;
        assert_eq!(outcome(&read, 404), "fhir.unknown", "{none}");
    }
    let refused = changed(&house, &line.json, &[("status", json!("cancelled"))]).await;
    assert_eq!(outcome(&refused, 422), "fhir.not_supported");
    // the draft loses a line: the line is gone, and what it was is not
    let edit = house
        .write_as(
            house.token(),
            "PATCH",
            &format!("/api/v1/prescriptions/{id}"),
            &lines(&["A"]),
        )
        .await;
    edit.ok();
    assert_eq!(outcome(&house.get(&path).await, 404), "fhir.unknown");
    let first = house
        .get(&format!("/fhir/MedicationRequest/{id}.1/_history"))
        .await;
    assert_eq!(resource(&first)["total"], 2);
}

#[tokio::test]
async fn a_drug_is_drafted_and_signed_only_by_who_looked_at_what_was_not_checked() {
    let house = House::new().await;
    let patient = patient_on(&house, "1001", 1, "ICU").await;
    let draft = created(&house, &drug(&patient)).await;
    let dosage = &draft["dosageInstruction"][0];
    assert_eq!(dosage["text"], "500 mg, 1-0-1, oral, 5 days");
    assert_eq!(dosage["doseAndRate"][0]["doseQuantity"]["value"], 500);
    assert_eq!(draft["dispenseRequest"]["quantity"]["value"], 10);
    let mut longer = draft["dosageInstruction"].clone();
    longer[0]["timing"]["repeat"]["boundsDuration"]["value"] = json!(7);
    let refused = changed(&house, &draft, &[("dosageInstruction", longer.clone())]).await;
    assert_eq!(
        outcome(&refused, 422),
        "fhir.content",
        "the words would say otherwise"
    );
    longer[0].as_object_mut().unwrap().remove("text");
    let edited = changed(&house, &draft, &[("dosageInstruction", longer)]).await;
    assert_eq!(
        resource(&edited)["dispenseRequest"]["quantity"]["value"],
        14
    );
    let active = ("status", json!("active"));
    let unchecked = changed(&house, &edited.json, std::slice::from_ref(&active)).await;
    assert_eq!(outcome(&unchecked, 409), "rx.unchecked_conflict");
    let accepts = (
        "extension",
        json!([{ "url": "urn:hub:extension:accept-unchecked", "valueBoolean": true }]),
    );
    let signed = changed(&house, &edited.json, &[active, accepts]).await;
    assert_eq!(resource(&signed)["status"], "active");
    let edit = [("medicationCodeableConcept", json!({ "text": "Another" }))];
    let refused = changed(&house, &signed.json, &edit).await;
    assert_eq!(outcome(&refused, 409), "clinical.state_conflict");
    let stop = [
        ("status", json!("cancelled")),
        ("statusReason", json!({ "text": "rash" })),
    ];
    let ended = changed(&house, &signed.json, &stop).await;
    assert_eq!(resource(&ended)["statusReason"]["text"], "rash");
    let back = changed(&house, &ended.json, &[("status", json!("draft"))]).await;
    assert_eq!(outcome(&back, 409), "fhir.status_conflict");
}
