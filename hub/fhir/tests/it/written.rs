//! What staff write, read: nothing of it is lost, and what would be is refused by its place.

use hub_fhir::{
    ACCEPT_UNCHECKED, Issue, OVERRIDE_REASON, Subject, read_allergy, read_booking, read_condition,
    read_document, read_drug, read_signing,
};
use schemas::chart;
use serde_json::{Value, json};
use time::macros::datetime;

use super::samples::{code, id};

fn status(code: &str) -> Value {
    json!({ "coding": [{ "code": code }] })
}

fn patient() -> Value {
    json!({ "reference": format!("Patient/{}", id(1)) })
}

fn condition() -> Value {
    json!({
        "resourceType": "Condition", "clinicalStatus": status("active"), "verificationStatus": status("confirmed"),
        "category": [status("problem-list-item")], "subject": patient(),
        "code": { "coding": [{ "system": "http://hl7.org/fhir/sid/icd-10", "code": "E11.9", "display": "Type 2 diabetes" }],
                  "text": "Sugar disease" },
        "onsetDateTime": "2019-04", "note": [{ "text": "diet" }]
    })
}

fn allergy() -> Value {
    json!({
        "resourceType": "AllergyIntolerance", "verificationStatus": status("confirmed"), "clinicalStatus": status("active"),
        "category": ["medication"], "patient": patient(), "code": { "text": "Penicillin" }, "onsetString": "as a child",
        "reaction": [{ "manifestation": [{ "text": "rash" }], "severity": "severe" }]
    })
}

fn drug() -> Value {
    json!({
        "resourceType": "MedicationRequest", "status": "draft", "intent": "order", "subject": patient(),
        "medicationCodeableConcept": { "text": "Amoxicillin 500 mg capsule" },
        "dosageInstruction": [{
            "timing": { "code": { "text": "1-0-1" }, "repeat": { "boundsDuration": { "value": 1, "unit": "week", "code": "wk" } } },
            "route": { "text": "oral" }, "doseAndRate": [{ "doseQuantity": { "value": 500, "unit": "mg", "code": "mg" } }]
        }]
    })
}

fn booking() -> Value {
    json!({
        "resourceType": "Appointment", "status": "booked", "slot": [{ "reference": format!("Slot/{}", id(26)) }],
        "start": "2026-03-01T12:00:00Z", "end": "2026-03-01T12:15:00Z", "reasonCode": [{ "text": "cough" }],
        "participant": [{ "actor": patient(), "status": "accepted" }]
    })
}

#[test]
fn a_condition_keeps_code_name_and_words_apart() {
    hub_fhir::check(&condition()).unwrap();
    let read = read_condition(&condition()).unwrap();
    assert_eq!(read.subject, Subject::Patient(id(1)));
    assert_eq!(
        read.content,
        chart::Condition {
            code: Some(code("E11.9", "Type 2 diabetes", "I10")),
            text: "Sugar disease".to_owned(),
            since: Some("2019-04".to_owned()),
            until: None,
            remark: Some("diet".to_owned()),
            code_check: None,
        }
    );
    assert_eq!(read.verification.as_deref(), Some("confirmed"));
    assert_eq!(read.clinical_status.as_deref(), Some("active"));
}

#[test]
fn an_allergy_is_read_whole() {
    hub_fhir::check(&allergy()).unwrap();
    let read = read_allergy(&allergy()).unwrap();
    assert_eq!(
        read.content,
        chart::Allergy {
            substance: code("", "Penicillin", ""),
            category: "drug".to_owned(),
            reactions: vec!["rash".to_owned()],
            severity: "severe".to_owned(),
            certainty: "confirmed".to_owned(),
            since: Some("as a child".to_owned()),
            remark: None,
        }
    );
}

#[test]
fn a_drug_is_read_with_dose_frequency_and_days() {
    hub_fhir::check(&drug()).unwrap();
    let read = read_drug(&drug()).unwrap();
    assert_eq!(read.status, "draft");
    assert_eq!(
        read.line,
        chart::PrescriptionLine {
            drug: code("", "Amoxicillin 500 mg capsule", ""),
            dose: Some("500 mg".to_owned()),
            route: Some("oral".to_owned()),
            frequency: "1-0-1".to_owned(),
            days: Some(7),
            as_needed: false,
            quantity: None,
            remark: None,
        }
    );
    let signing = json!({ "extension": [
        { "url": ACCEPT_UNCHECKED, "valueBoolean": true }, { "url": OVERRIDE_REASON, "valueString": "desensitised" } ] });
    assert_eq!(
        read_signing(&signing),
        Ok((true, Some("desensitised".to_owned())))
    );
    assert!(read_signing(&json!({ "extension": [{ "url": "x" }] })).is_err());
}

#[test]
fn a_booking_names_a_slot_and_a_patient() {
    hub_fhir::check(&booking()).unwrap();
    let read = read_booking(&booking()).unwrap();
    assert_eq!((read.slot, read.hold), (id(26), false));
    assert_eq!(read.start, Some(datetime!(2026-03-01 12:00 UTC)));
    assert_eq!(read.reason.as_deref(), Some("cough"));
    let mut held = booking();
    held["status"] = json!("pending");
    held["slot"] = json!([{ "identifier": { "value": id(26).to_string() } }]);
    assert!(read_booking(&held).unwrap().hold);
}

/// Changes one member and looks where the one complaint points.
#[track_caller]
fn refused<T: std::fmt::Debug>(
    read: fn(&Value) -> Result<T, Vec<Issue>>,
    good: &Value,
    cases: &[(&str, Value, &str)],
) {
    for (member, value, place) in cases {
        let mut json = good.clone();
        json[*member] = value.clone();
        let issues = read(&json).unwrap_err();
        assert!(
            issues
                .iter()
                .any(|issue| issue.expression.as_deref() == Some(*place)),
            "{member}: {issues:?}"
        );
    }
}

#[test]
fn what_would_be_lost_is_refused_by_its_place() {
    refused(
        read_condition,
        &condition(),
        &[
            ("severity", status("severe"), "Condition.severity"),
            (
                "recordedDate",
                json!("2026-01-01"),
                "Condition.recordedDate",
            ),
            (
                "category",
                json!([status("encounter-diagnosis")]),
                "Condition.category",
            ),
            ("code", json!({}), "Condition.code"),
            (
                "code",
                json!({ "coding": [{ "code": "A" }, { "code": "B" }] }),
                "Condition.code.coding",
            ),
            (
                "subject",
                json!({ "reference": "Group/1" }),
                "Condition.subject",
            ),
            (
                "note",
                json!([{ "text": "x", "time": "2026-01-01T00:00:00Z" }]),
                "Condition.note[0].time",
            ),
        ],
    );
    refused(
        read_allergy,
        &allergy(),
        &[
            (
                "criticality",
                json!("high"),
                "AllergyIntolerance.criticality",
            ),
            (
                "category",
                json!(["biologic"]),
                "AllergyIntolerance.category",
            ),
            (
                "reaction",
                json!([{ "manifestation": [status("247472004")] }]),
                "AllergyIntolerance.reaction[0].manifestation.coding",
            ),
            (
                "reaction",
                json!([{ "manifestation": [{ "text": "a" }], "severity": "mild" },
                       { "manifestation": [{ "text": "b" }], "severity": "severe" }]),
                "AllergyIntolerance.reaction",
            ),
        ],
    );
    refused(
        read_drug,
        &drug(),
        &[
            (
                "substitution",
                json!({ "allowedBoolean": false }),
                "MedicationRequest.substitution",
            ),
            ("intent", json!("plan"), "MedicationRequest.intent"),
            (
                "dosageInstruction",
                json!([{ "text": "a" }, { "text": "b" }]),
                "MedicationRequest.dosageInstruction",
            ),
            (
                "dosageInstruction",
                json!([{ "text": "a", "maxDosePerPeriod": {} }]),
                "MedicationRequest.dosageInstruction[0].maxDosePerPeriod",
            ),
            (
                "dosageInstruction",
                json!([{}]),
                "MedicationRequest.dosageInstruction[0]",
            ),
            (
                "dosageInstruction",
                json!([{ "text": "a", "timing": { "repeat": { "boundsDuration": { "value": 2, "code": "mo" } } } }]),
                "MedicationRequest.dosageInstruction[0].timing.repeat.boundsDuration",
            ),
        ],
    );
    refused(
        read_booking,
        &booking(),
        &[
            ("status", json!("arrived"), "Appointment.status"),
            ("slot", Value::Null, "Appointment.slot"),
            ("priority", json!(1), "Appointment.priority"),
            (
                "participant",
                json!([{ "actor": { "reference": "Practitioner/x" }, "status": "accepted" }]),
                "Appointment.participant",
            ),
        ],
    );
}

fn letter() -> Value {
    json!({
        "resourceType": "DocumentReference", "status": "current", "subject": patient(), "description": "Referral letter",
        "type": { "coding": [
            { "system": "urn:hub:code:hub-document-kind", "code": "referral" },
            { "system": "http://loinc.org", "code": "57133-1", "display": "Referral note" }
        ] },
        "context": { "encounter": [{ "reference": format!("Encounter/{}", id(3)) }] },
        "content": [{ "attachment": { "contentType": "application/pdf", "data": "JVBERi0xLjcK", "title": "Referral letter" } }]
    })
}

#[test]
fn a_document_is_read_with_its_bytes() {
    hub_fhir::check(&letter()).unwrap();
    let read = read_document(&letter()).unwrap();
    assert_eq!(
        (&read.subject, read.encounter),
        (&Subject::Patient(id(1)), Some(id(3)))
    );
    assert_eq!(
        read.kinds,
        [
            code("referral", "", "hub-document-kind"),
            code("57133-1", "", "LN")
        ]
    );
    assert_eq!(
        (
            read.title.as_str(),
            read.media_type.as_str(),
            read.data.as_str()
        ),
        ("Referral letter", "application/pdf", "JVBERi0xLjcK")
    );
    for (pointer, value, place) in [
        ("/status", json!("superseded"), "DocumentReference.status"),
        (
            "/author",
            json!([{ "display": "x" }]),
            "DocumentReference.author",
        ),
        (
            "/category",
            json!([status("note")]),
            "DocumentReference.category",
        ),
        (
            "/type",
            json!({ "text": "letter" }),
            "DocumentReference.type",
        ),
        (
            "/description",
            json!("Another"),
            "DocumentReference.description",
        ),
        (
            "/context/event",
            json!([status("x")]),
            "DocumentReference.context.event",
        ),
        (
            "/context/encounter/0/reference",
            json!("Encounter/x"),
            "DocumentReference.context.encounter",
        ),
        (
            "/content/0/attachment/url",
            json!("https://evil.example/x"),
            "DocumentReference.content[0].attachment.url",
        ),
        (
            "/content/0/attachment/data",
            json!(""),
            "DocumentReference.content[0].attachment.data",
        ),
    ] {
        let mut json = letter();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        match json.pointer_mut(pointer) {
            Some(member) => *member = value,
            None => json.pointer_mut(parent).unwrap()[name] = value,
        }
        let issues = read_document(&json).unwrap_err();
        assert!(
            issues
                .iter()
                .any(|issue| issue.expression.as_deref() == Some(place)),
            "{pointer}: {issues:?}"
        );
    }
}
