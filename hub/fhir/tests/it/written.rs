//! What staff write, read: nothing of it is lost, and what would be is refused by its place.

use hub_fhir::{
    ACCEPT_UNCHECKED, DEPARTMENT, EXPECTED_AT, Issue, MEDICO_LEGAL, OVERRIDE_REASON, OXYGEN_SCALE,
    PAYER, PREGNANT, REASON, Subject, VisitKind, WARD_CLASS, read_allergy, read_booking,
    read_condition, read_correction, read_document, read_drug, read_signing, read_visit,
    read_visit_change, read_vital,
};
use schemas::care::Practitioner;
use schemas::chart;
use schemas::rounds::EnteredValue;
use schemas::stays::{AdmissionPriority, Payer};
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

fn pulse() -> Value {
    json!({
        "resourceType": "Observation", "status": "final", "subject": patient(), "effectiveDateTime": "2026-03-01T12:00:00+05:30",
        "category": [{ "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs" }] }],
        "code": { "coding": [{ "system": "http://loinc.org", "code": "8867-4", "display": "Heart rate" }] },
        "valueQuantity": { "value": 72, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min" }
    })
}

fn entered(value: &str, ucum: Option<&str>) -> EnteredValue {
    EnteredValue {
        loinc: "8867-4".to_owned(),
        display: Some("Heart rate".to_owned()),
        value: value.to_owned(),
        ucum: ucum.map(str::to_owned),
    }
}

#[test]
fn a_vital_sign_is_one_value_of_one_term_at_one_time() {
    hub_fhir::check(&pulse()).unwrap();
    let read = read_vital(&pulse()).unwrap();
    assert_eq!(read.value, entered("72", Some("/min")));
    assert_eq!(read.observed_at, "2026-03-01T12:00:00+05:30");
    assert_eq!((read.oxygen_scale, read.pregnant), (None, None));
    let mut other = pulse();
    other["valueQuantity"]["value"] = json!(37.5);
    other["extension"] = json!([
        { "url": OXYGEN_SCALE, "valueInteger": 2 }, { "url": PREGNANT, "valueBoolean": false } ]);
    let read = read_vital(&other).unwrap();
    assert_eq!(read.value, entered("37.5", Some("/min")));
    assert_eq!((read.oxygen_scale, read.pregnant), (Some(2), Some(false)));
    let mut seen = pulse();
    seen.as_object_mut().unwrap().remove("valueQuantity");
    seen["valueCodeableConcept"] = status("A");
    assert_eq!(read_vital(&seen).unwrap().value, entered("A", None));
}

#[test]
fn a_correction_is_another_value_or_none_with_a_reason() {
    let reason = json!([{ "url": REASON, "valueString": "typed 170" }]);
    let mut right = pulse();
    for member in ["subject", "category", "effectiveDateTime"] {
        right.as_object_mut().unwrap().remove(member);
    }
    right["extension"] = reason;
    let read = read_correction(&right).unwrap();
    assert_eq!(read.value, Some(entered("72", Some("/min"))));
    assert_eq!(read.reason.as_deref(), Some("typed 170"));
    right["status"] = json!("entered-in-error");
    assert_eq!(read_correction(&right).unwrap().value, None);
}

fn visit() -> Value {
    json!({
        "resourceType": "Encounter", "status": "in-progress", "subject": patient(),
        "class": { "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB" },
        "identifier": [{ "type": status("VN"), "value": "V-7" }], "reasonCode": [{ "text": "fever" }],
        "participant": [{ "type": [status("ATND")], "individual": { "identifier": { "value": "D12" }, "display": "R. Rao" } }],
        "period": { "start": "2026-03-01T12:00:00Z" },
        "extension": [{ "url": DEPARTMENT, "valueString": id(91).to_string() }, { "url": PAYER, "valueString": "self" }]
    })
}

fn admission() -> Value {
    let mut json = visit();
    json["status"] = json!("planned");
    json["class"]["code"] = json!("IMP");
    json["priority"] = status("UR");
    json["extension"] = json!([{ "url": DEPARTMENT, "valueString": id(91).to_string() },
        { "url": WARD_CLASS, "valueString": "general" }, { "url": MEDICO_LEGAL, "valueBoolean": true }]);
    json
}

#[test]
fn a_visit_and_an_admission_are_read_whole() {
    hub_fhir::check(&visit()).unwrap();
    let read = read_visit(&visit()).unwrap();
    assert_eq!(
        (read.kind, read.department),
        (VisitKind::Outpatient, id(91))
    );
    assert_eq!(read.visit_number.as_deref(), Some("V-7"));
    assert_eq!(read.reason.as_deref(), Some("fever"));
    assert_eq!(read.at.as_deref(), Some("2026-03-01T12:00:00Z"));
    assert_eq!(read.payer, Some(Payer::Oneself));
    let rao = Practitioner {
        id: Some("D12".to_owned()),
        name: Some("R. Rao".to_owned()),
    };
    assert_eq!(read.attending, Some(rao));
    hub_fhir::check(&admission()).unwrap();
    let read = read_visit(&admission()).unwrap();
    assert_eq!(
        (read.kind, read.priority, read.medico_legal),
        (VisitKind::Admission, Some(AdmissionPriority::Urgent), true)
    );
    assert_eq!(read.ward_class.as_deref(), Some("general"));
}

#[test]
fn what_else_is_known_of_a_visit_is_read_beside_who_referred_the_patient() {
    let change = json!({
        "resourceType": "Encounter", "serviceType": { "text": "MED" },
        "participant": [{ "type": [status("REF")], "individual": { "display": "anybody" } },
                        { "type": [status("ATND")], "individual": { "display": "S. Iyer" } }],
        "extension": [{ "url": EXPECTED_AT, "valueDateTime": "2026-03-03T10:00:00Z" }, { "url": REASON, "valueString": "twice" }]
    });
    let read = read_visit_change(&change).unwrap();
    assert_eq!(read.attending.unwrap().name.as_deref(), Some("S. Iyer"));
    assert_eq!(read.service.as_deref(), Some("MED"));
    assert_eq!(read.expected_at.as_deref(), Some("2026-03-03T10:00:00Z"));
    assert_eq!((read.reason, read.why.as_deref()), (None, Some("twice")));
}

#[test]
fn of_what_staff_measure_and_open_nothing_is_lost_either() {
    refused(
        read_vital,
        &pulse(),
        &[
            ("status", json!("preliminary"), "Observation.status"),
            (
                "category",
                json!([status("laboratory")]),
                "Observation.category",
            ),
            (
                "code",
                json!({ "coding": [{ "code": "8867-4" }] }),
                "Observation.code",
            ),
            ("code", json!({ "text": "pulse" }), "Observation.code"),
            (
                "code",
                json!({ "coding": [{ "system": "http://loinc.org", "code": "8867-4", "display": "Heart rate" }], "text": "pulse" }),
                "Observation.code.text",
            ),
            (
                "effectiveDateTime",
                json!("2026-03-01"),
                "Observation.effectiveDateTime",
            ),
            (
                "effectiveDateTime",
                Value::Null,
                "Observation.effectiveDateTime",
            ),
            ("component", json!([]), "Observation.component"),
            (
                "performer",
                json!([{ "display": "x" }]),
                "Observation.performer",
            ),
            ("valueQuantity", Value::Null, "Observation.valueQuantity"),
            (
                "valueQuantity",
                json!({ "value": 72, "unit": "/min" }),
                "Observation.valueQuantity",
            ),
            (
                "valueQuantity",
                json!({ "value": 72, "comparator": ">", "system": "http://unitsofmeasure.org", "code": "/min" }),
                "Observation.valueQuantity.comparator",
            ),
            (
                "valueQuantity",
                json!({ "value": 72, "unit": "beats", "system": "http://unitsofmeasure.org", "code": "/min" }),
                "Observation.valueQuantity.code",
            ),
            (
                "extension",
                json!([{ "url": "x", "valueString": "y" }]),
                "Observation.extension[0]",
            ),
            (
                "extension",
                json!([{ "url": OXYGEN_SCALE, "valueString": "2" }]),
                "Observation.extension[0]",
            ),
        ],
    );
    refused(
        read_visit,
        &visit(),
        &[
            ("status", json!("planned"), "Encounter.status"),
            ("class", json!({ "code": "AMB" }), "Encounter.class"),
            ("priority", status("R"), "Encounter.priority"),
            (
                "serviceType",
                json!({ "text": "MED" }),
                "Encounter.serviceType",
            ),
            ("hospitalization", json!({}), "Encounter.hospitalization"),
            ("extension", json!([]), "Encounter.extension"),
            (
                "extension",
                json!([{ "url": DEPARTMENT, "valueString": id(91).to_string() }, { "url": WARD_CLASS, "valueString": "icu" }]),
                "Encounter.extension",
            ),
            (
                "extension",
                json!([{ "url": DEPARTMENT, "valueString": id(91).to_string() }, { "url": PAYER, "valueString": "aunt" }]),
                "Encounter.extension",
            ),
            (
                "identifier",
                json!([{ "system": "x", "value": "V-7" }]),
                "Encounter.identifier[0].system",
            ),
            (
                "identifier",
                json!([{ "type": status("MR"), "value": "V-7" }]),
                "Encounter.identifier[0].type",
            ),
            (
                "period",
                json!({ "end": "2026-03-01T12:00:00Z" }),
                "Encounter.period.end",
            ),
            (
                "period",
                json!({ "start": "2026-03" }),
                "Encounter.period.start",
            ),
            (
                "participant",
                json!([{ "type": [status("REF")], "individual": { "display": "x" } }]),
                "Encounter.participant[0].type",
            ),
            (
                "participant",
                json!([{ "individual": { "reference": "Practitioner/x" } }]),
                "Encounter.participant[0].individual.reference",
            ),
            (
                "reasonCode",
                json!([status("386661006")]),
                "Encounter.reasonCode.coding",
            ),
        ],
    );
    refused(
        read_visit,
        &admission(),
        &[
            ("reasonCode", Value::Null, "Encounter.reasonCode"),
            ("priority", status("XX"), "Encounter.priority"),
            ("status", json!("in-progress"), "Encounter.status"),
        ],
    );
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
