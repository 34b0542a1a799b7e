//! ServiceRequest, read.

use hub_fhir::{OrderRequest, Subject, Tube, read_order};
use serde_json::{Value, json};

use super::samples::{code, id};

fn request() -> Value {
    json!({
        "resourceType": "ServiceRequest", "status": "active", "intent": "order", "priority": "stat",
        "identifier": [{ "type": { "coding": [{ "code": "PLAC" }] }, "value": "ORD-9" }, { "value": "x" }],
        "code": { "coding": [{ "system": "http://loinc.org", "code": "2345-7", "display": "Glucose" }] },
        "subject": { "reference": format!("Patient/{}", id(1)) },
        "authoredOn": "2026-03-01T12:00:00Z",
        "requester": { "identifier": { "value": "D12" }, "display": "R. Rao" },
        "contained": [{ "resourceType": "Specimen", "id": "t", "accessionIdentifier": { "value": "A-1" },
            "type": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v2-0487", "code": "SER" }] } }],
        "specimen": [{ "reference": "#t" }, { "reference": format!("https://hub.example/fhir/Specimen/{}", id(6)) }],
        "note": [{ "text": "fasting" }]
    })
}

#[test]
fn an_order_is_read_whole() {
    hub_fhir::check(&request()).unwrap();
    assert_eq!(
        read_order(&request()),
        Ok(OrderRequest {
            subject: Subject::Patient(id(1)),
            code: code("2345-7", "Glucose", "LN"),
            placer_number: Some("ORD-9".to_owned()),
            priority: Some("stat".to_owned()),
            ordered_at: Some("2026-03-01T12:00:00Z".to_owned()),
            ordered_by: Some(schemas::care::Practitioner {
                id: Some("D12".to_owned()),
                name: Some("R. Rao".to_owned()),
            }),
            encounter: None,
            tubes: vec![
                Tube::New {
                    number: "A-1".to_owned(),
                    kind: Some(code("SER", "", "HL70487")),
                    collected_at: None,
                },
                Tube::Known(id(6)),
            ],
            notes: vec!["fasting".to_owned()],
        })
    );
    let mut named = request();
    named["subject"] =
        json!({ "identifier": { "system": "urn:hub:identifier:HOSP", "value": "12345" } });
    assert_eq!(
        read_order(&named).unwrap().subject,
        Subject::Identifier("HOSP|12345".to_owned())
    );
}

#[test]
fn what_would_be_lost_is_refused_by_its_name() {
    for (member, value, place) in [
        ("doNotPerform", json!(true), "ServiceRequest.doNotPerform"),
        (
            "modifierExtension",
            json!([{ "url": "x" }]),
            "ServiceRequest.modifierExtension",
        ),
        (
            "reasonCode",
            json!([{ "text": "pain" }]),
            "ServiceRequest.reasonCode",
        ),
        ("status", json!("draft"), "ServiceRequest.status"),
        ("intent", json!("plan"), "ServiceRequest.intent"),
        ("code", json!({ "text": "sugar" }), "ServiceRequest.code"),
        (
            "subject",
            json!({ "reference": "Group/1" }),
            "ServiceRequest.subject",
        ),
        (
            "specimen",
            json!([{ "reference": "#none" }]),
            "ServiceRequest.specimen[0]",
        ),
        (
            "encounter",
            json!({ "reference": "Encounter/x" }),
            "ServiceRequest.encounter",
        ),
        (
            "authoredOn",
            json!("2026-03-01"),
            "ServiceRequest.authoredOn",
        ),
        (
            "authoredOn",
            json!("9999-12-31T23:59:59-01:00"),
            "ServiceRequest.authoredOn",
        ),
        (
            "contained",
            json!([{ "resourceType": "Specimen", "id": "t", "accessionIdentifier": { "value": "A-1" },
                "collection": { "collectedDateTime": "9999-12-31T23:59:59-01:00" } }]),
            "ServiceRequest.specimen[0]",
        ),
    ] {
        let mut request = request();
        request[member] = value;
        let issues = read_order(&request).unwrap_err();
        assert_eq!(issues.len(), 1, "{member}");
        assert_eq!(issues[0].expression.as_deref(), Some(place));
    }
}
