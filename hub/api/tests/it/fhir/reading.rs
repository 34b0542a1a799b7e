//! One resource: read, read as it was, and not read again.

use schemas::ChannelId;
use schemas::care::{Observation, ResultReceived, Specimen};
use serde_json::json;

use super::super::house::House;
use super::super::samples::{code, coded, identifier};
use super::{get_with, matches, order, outcome, patient_on, pulse, resource};

#[tokio::test]
async fn each_type_is_read_by_its_id_and_is_fhir() {
    let house = House::new().await;
    let patient = patient_on(&house, "1001", 1, "ICU").await;
    pulse(&house, "1001", "72", "2026-03-01T09:00:00Z").await;
    let order = order(&house, "1001", "T-9").await;
    let mut seen = Vec::new();
    for kind in [
        "Encounter",
        "ServiceRequest",
        "Specimen",
        "DiagnosticReport",
        "Observation",
    ] {
        let found = house.get(&format!("/fhir/{kind}?patient={patient}")).await;
        let all = matches(&found);
        assert!(!all.is_empty(), "{kind}");
        for one in all {
            let path = format!("/fhir/{kind}/{}", one["id"].as_str().unwrap());
            let read = house.get(&path).await;
            assert_eq!(resource(&read), one, "a search shows what a read shows");
            assert_eq!(one["subject"]["reference"], format!("Patient/{patient}"));
            let version = one["meta"]["versionId"].as_str().unwrap();
            assert_eq!(read.header("etag"), format!("W/\"{version}\""));
            seen.push(path);
        }
    }
    for (kind, count) in [("Organization", 1), ("Location", 1), ("Practitioner", 1)] {
        let found = house.get(&format!("/fhir/{kind}")).await;
        let all = matches(&found);
        assert_eq!(all.len(), count, "{kind}");
        seen.push(format!("/fhir/{kind}/{}", all[0]["id"].as_str().unwrap()));
    }
    let trail = house.get("/fhir/AuditEvent?_count=3").await;
    let event = matches(&trail)[0]["id"].as_str().unwrap().to_owned();
    seen.extend([
        format!("/fhir/AuditEvent/{event}"),
        format!("/fhir/Patient/{patient}"),
    ]);
    assert_eq!(seen.len(), 1 + 1 + 2 + 1 + 3 + 3 + 2);
    for path in &seen {
        let read = house.get(path).await;
        resource(&read);
        let history = house.get(&format!("{path}/_history")).await;
        let bundle = resource(&history);
        assert_eq!(
            (bundle["type"].as_str(), bundle["total"].as_u64()),
            (Some("history"), Some(1))
        );
        let version = read.json["meta"]["versionId"].as_str().unwrap();
        let vread = house.get(&format!("{path}/_history/{version}")).await;
        assert_eq!(resource(&vread), &read.json);
        let old = house.get(&format!("{path}/_history/0")).await;
        assert_eq!(outcome(&old, 404), "fhir.unknown_version");
    }
    // they refer to each other
    let request = house.get(&format!("/fhir/ServiceRequest/{order}")).await;
    let tube = request.json["specimen"][0]["reference"].as_str().unwrap();
    let tube = house.get(&format!("/fhir/{tube}")).await;
    assert_eq!(
        tube.json["request"][0]["reference"],
        format!("ServiceRequest/{order}")
    );
    assert_eq!(tube.json["accessionIdentifier"]["value"], "T-9");
    let encounter = request.json["encounter"]["reference"].as_str().unwrap();
    let encounter = house.get(&format!("/fhir/{encounter}")).await;
    let bed = encounter.json["location"][0]["location"]["reference"]
        .as_str()
        .unwrap();
    let bed = house.get(&format!("/fhir/{bed}")).await;
    assert_eq!(resource(&bed)["name"], "MAIN, ICU, bed 4");
}

#[tokio::test]
async fn a_number_keeps_the_digits_that_were_sent() {
    let house = House::new().await;
    let patient = patient_on(&house, "1001", 1, "ICU").await;
    let found = house
        .get(&format!("/fhir/Observation?patient={patient}&code=2345-7"))
        .await;
    let text = String::from_utf8(found.bytes.to_vec()).unwrap();
    assert!(text.contains("\"value\":104.50"), "{text}");
    let batch = json!({ "resourceType": "Bundle", "type": "batch", "entry": [
        { "request": { "method": "GET", "url": format!("Observation?patient={patient}&code=2345-7") } }] });
    let answer = house.post("/fhir", &batch).await;
    let text = String::from_utf8(answer.bytes.to_vec()).unwrap();
    assert!(text.contains("\"value\":104.50"), "{text}");
}

#[tokio::test]
async fn what_a_client_has_it_is_not_sent_again() {
    let house = House::new().await;
    let patient = patient_on(&house, "1001", 1, "ICU").await;
    let path = format!("/fhir/Patient/{patient}");
    let read = house.get(&path).await;
    let (tag, modified) = (
        read.header("etag").to_owned(),
        read.header("last-modified").to_owned(),
    );
    for (name, value, status) in [
        ("if-none-match", tag.as_str(), 304),
        ("if-none-match", "W/\"x\", *", 304),
        ("if-none-match", "W/\"x\"", 200),
        ("if-modified-since", modified.as_str(), 304),
        ("if-modified-since", "Sun, 01 Mar 2020 12:00:00 GMT", 200),
        ("if-modified-since", "yesterday", 200),
    ] {
        let again = get_with(&house, &path, &[(name, value)]).await;
        assert_eq!(again.status.as_u16(), status, "{name}: {value}");
        assert_eq!(again.header("etag"), tag);
        assert_eq!(again.bytes.is_empty(), status == 304);
    }
    // a mapping or a merge may change what a result says and not its time: only the tag tells
    let found = house
        .get(&format!("/fhir/Observation?patient={patient}"))
        .await;
    let id = matches(&found)[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/fhir/Observation/{id}");
    let read = house.get(&path).await;
    let again = get_with(
        &house,
        &path,
        &[("if-modified-since", read.header("last-modified"))],
    )
    .await;
    assert_eq!(again.status.as_u16(), 200);
}

/// What the laboratory sends of the report that `patient_on` filed first.
fn correction(house: &House, result: Observation) -> ResultReceived {
    ResultReceived {
        channel: ChannelId::new("lab").unwrap(),
        subject: Some(identifier(&house.tenant, "1001")),
        visit_number: Some("V-1".to_owned()),
        placer_number: None,
        filler_number: Some("LAB-1".to_owned()),
        code: code("CHEM"),
        status: Some("C".to_owned()),
        observed_at: Some("2026-03-01T12:00:00Z".to_owned()),
        issued_at: None,
        specimen: Some(Specimen {
            number: Some("A-1".to_owned()),
            ..Specimen::default()
        }),
        results: vec![result],
        notes: Vec::new(),
        occurred_at: None,
    }
}

#[tokio::test]
async fn a_corrected_result_keeps_the_version_before() {
    let house = House::new().await;
    let patient = patient_on(&house, "1001", 1, "ICU").await;
    let mut corrected = coded("GLU", "99");
    corrected.status = Some("C".to_owned());
    house.event(&correction(&house, corrected)).await;
    let found = house
        .get(&format!("/fhir/Observation?patient={patient}&code=2345-7"))
        .await;
    let now = matches(&found);
    assert_eq!(now.len(), 1);
    assert_eq!(
        (&now[0]["status"], &now[0]["valueQuantity"]["value"]),
        (&json!("corrected"), &json!(99))
    );
    let path = format!("/fhir/Observation/{}", now[0]["id"].as_str().unwrap());
    let history = house.get(&format!("{path}/_history")).await;
    let entries = resource(&history)["entry"].as_array().unwrap();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0]["resource"]["valueQuantity"]["value"], 99);
    assert_eq!(entries[1]["resource"]["valueQuantity"]["value"], 104.5);
    assert_eq!(entries[1]["request"]["method"], "POST");
    let old = entries[1]["resource"]["meta"]["versionId"]
        .as_str()
        .unwrap();
    let vread = house.get(&format!("{path}/_history/{old}")).await;
    assert_eq!(resource(&vread)["status"], "final");
}

#[tokio::test]
async fn a_merged_record_leads_to_the_one_that_stands() {
    let house = House::new().await;
    let stays = patient_on(&house, "1001", 1, "ICU").await;
    let goes = patient_on(&house, "1002", 2, "ICU").await;
    let merge = json!({ "retired": goes, "reason": "registered twice" });
    house
        .post(&format!("/api/v1/patients/{stays}/merge"), &merge)
        .await
        .ok();
    let retired = house.get(&format!("/fhir/Patient/{goes}")).await;
    let link = &resource(&retired)["link"][0];
    assert_eq!(
        (&link["type"], &retired.json["active"]),
        (&json!("replaced-by"), &json!(false))
    );
    assert_eq!(link["other"]["reference"], format!("Patient/{stays}"));
    let standing = house.get(&format!("/fhir/Patient/{stays}")).await;
    assert_eq!(resource(&standing)["link"][0]["type"], "replaces");
    assert_eq!(standing.json["identifier"][1]["use"], "old");
    // by whichever record he is asked for, all of his is found, as his who stands
    for asked in [&stays, &goes] {
        let found = house
            .get(&format!("/fhir/Observation?patient={asked}"))
            .await;
        let all = matches(&found);
        assert_eq!(all.len(), 4);
        assert!(
            all.iter()
                .all(|one| one["subject"]["reference"] == format!("Patient/{stays}"))
        );
    }
    let found = house.get("/fhir/Patient?identifier=HOSP|1002").await;
    assert_eq!(matches(&found)[0]["id"], stays.as_str());
}

#[tokio::test]
async fn what_is_not_there_is_said_in_fhir_s_words() {
    let house = House::new().await;
    let nobody = "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c";
    for (path, code) in [
        (format!("/fhir/Patient/{nobody}"), "fhir.unknown"),
        ("/fhir/Patient/x".to_owned(), "fhir.unknown"),
        ("/fhir/Patient/'%3B--".to_owned(), "fhir.unknown"),
        (format!("/fhir/Observation/{nobody}.1"), "fhir.unknown"),
        (format!("/fhir/Observation/{nobody}.01"), "fhir.unknown"),
        ("/fhir/AuditEvent/+1".to_owned(), "fhir.unknown"),
        (
            "/fhir/AuditEvent/999999999999999999999".to_owned(),
            "fhir.unknown",
        ),
        (format!("/fhir/Provenance/Patient.{nobody}"), "fhir.unknown"),
        ("/fhir/Provenance/Provenance.x".to_owned(), "fhir.unknown"),
        (format!("/fhir/Patient/{nobody}/_history"), "fhir.unknown"),
        (
            format!("/fhir/Patient/{nobody}/$everything"),
            "fhir.unknown",
        ),
        ("/fhir/Teapot".to_owned(), "fhir.unknown_type"),
        ("/fhir/Patient/x/y/z".to_owned(), "fhir.unknown_type"),
        ("/fhir/Patient/%FF".to_owned(), "request.no_route"),
    ] {
        assert_eq!(outcome(&house.get(&path).await, 404), code, "{path}");
    }
}
