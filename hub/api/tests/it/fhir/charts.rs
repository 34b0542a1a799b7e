//! Conditions and allergies, and what is common to all that staff write into charts: read as it was written, and written.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::backbone::Mood;
use super::super::house::House;
use super::{charted, matches, of_mode, outcome, patient_on, resource, send, written};

const KINDS: [&str; 4] = [
    "Condition",
    "AllergyIntolerance",
    "MedicationRequest",
    "DocumentReference",
];

pub(super) fn status(code: &str) -> Value {
    json!({ "coding": [{ "code": code }] })
}

pub(super) fn patient_of(id: &str) -> Value {
    json!({ "reference": format!("Patient/{id}") })
}

fn condition(patient: &str) -> Value {
    json!({ "resourceType": "Condition", "subject": patient_of(patient), "onsetDateTime": "2019-04",
        "code": { "coding": [{ "system": "http://hl7.org/fhir/sid/icd-10", "code": "E11.9" }], "text": "Sugar disease" } })
}

fn allergy(patient: &str) -> Value {
    json!({ "resourceType": "AllergyIntolerance", "patient": patient_of(patient), "category": ["medication"],
        "verificationStatus": status("confirmed"), "code": { "text": "Penicillin" },
        "reaction": [{ "manifestation": [{ "text": "rash" }], "severity": "severe" }] })
}

pub(super) fn drug(patient: &str) -> Value {
    json!({ "resourceType": "MedicationRequest", "status": "draft", "intent": "order", "subject": patient_of(patient),
        "medicationCodeableConcept": { "text": "Amoxicillin 500 mg capsule" },
        "dosageInstruction": [{
            "timing": { "code": { "text": "1-0-1" }, "repeat": { "boundsDuration": { "value": 5, "unit": "day", "code": "d" } } },
            "route": { "text": "oral" }, "doseAndRate": [{ "doseQuantity": { "value": 500, "unit": "mg" } }] }] })
}

/// Creates it; the resource as it stands then.
pub(super) async fn created(house: &House, body: &Value) -> Value {
    let kind = body["resourceType"].as_str().unwrap();
    let made = send(house, "POST", &format!("/fhir/{kind}"), &[], body).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.json);
    hub_fhir::check(&made.json).unwrap();
    let id = made.json["id"].as_str().unwrap();
    assert!(
        made.header("location")
            .contains(&format!("/fhir/{kind}/{id}/_history/"))
    );
    made.json.clone()
}

/// Sends what stands with some members otherwise.
pub(super) async fn changed(
    house: &House,
    stands: &Value,
    members: &[(&str, Value)],
) -> super::super::house::Answer {
    let mut body = stands.clone();
    for (name, value) in members {
        body[*name] = value.clone();
        if value.is_null() {
            body.as_object_mut().unwrap().remove(*name);
        }
    }
    let path = format!(
        "/fhir/{}/{}",
        body["resourceType"].as_str().unwrap(),
        body["id"].as_str().unwrap()
    );
    send(house, "PUT", &path, &[], &body).await
}

#[tokio::test]
async fn what_staff_wrote_is_read_found_and_told_with_where_it_came_from() {
    let house = House::new().await;
    let patient = patient_on(&house, "1001", 1, "ICU").await;
    charted(&house, &patient).await;
    let pdf = json!({ "title": "Letter", "document_kind": "referral", "media_type": "application/pdf",
        "content_base64": STANDARD.encode(b"%PDF-1.7") });
    written(&house, &patient, "documents", &pdf).await;
    for kind in KINDS {
        let list = format!(
            "/fhir/{kind}?patient={patient}&_include={kind}:patient&_revinclude=Provenance:target"
        );
        let found = house.get(&list).await;
        let all = matches(&found);
        assert_eq!(
            all.len(),
            if kind == "DocumentReference" { 2 } else { 1 },
            "{kind}"
        );
        let included = of_mode(&found, "include");
        let of_kind = |kind: &str| {
            included
                .iter()
                .filter(|one| one["resourceType"] == kind)
                .count()
        };
        assert_eq!((of_kind("Patient"), of_kind("Provenance")), (1, all.len()));
        for one in all {
            let path = format!("/fhir/{kind}/{}", one["id"].as_str().unwrap());
            assert_eq!(resource(&house.get(&path).await), one);
            let history = house.get(&format!("{path}/_history")).await;
            assert_eq!(resource(&history)["total"], 1);
            assert_eq!(history.json["entry"][0]["request"]["method"], "POST");
            let version = one["meta"]["versionId"].as_str().unwrap();
            let vread = house.get(&format!("{path}/_history/{version}")).await;
            assert_eq!(resource(&vread), one);
        }
        // sorted, counted, page by page
        let pages = format!("/fhir/{kind}?patient={patient}&_sort=-_lastUpdated&_count=1");
        assert_eq!(matches(&house.get(&pages).await).len(), 1);
        let none = format!("/fhir/{kind}?patient={patient}&_lastUpdated=lt2020");
        assert!(matches(&house.get(&none).await).is_empty());
        let everybody = house.get(&format!("/fhir/{kind}?status=active")).await;
        assert_eq!(outcome(&everybody, 400), "fhir.too_costly");
    }
    for (query, count) in [
        ("Condition?code=http://hl7.org/fhir/sid/icd-10|E11.9", 1),
        ("Condition?code=I10", 0),
        (
            "Condition?clinical-status=active&category=problem-list-item",
            1,
        ),
        ("Condition?verification-status=confirmed", 0),
        ("AllergyIntolerance?category=medication", 1),
        ("AllergyIntolerance?date=ge2999", 0),
        ("MedicationRequest?status=draft&intent=order", 1),
        ("DocumentReference?category=note", 1),
        ("DocumentReference?type=http://loinc.org|57133-1", 1),
        ("DocumentReference?contenttype=application/pdf", 1),
    ] {
        let found = house.get(&format!("/fhir/{query}&patient={patient}")).await;
        assert_eq!(matches(&found).len(), count, "{query}");
    }
    let condition = house
        .get(&format!("/fhir/Condition?patient={patient}"))
        .await;
    let encounter = &matches(&condition)[0]["encounter"]["reference"];
    resource(
        &house
            .get(&format!("/fhir/{}", encounter.as_str().unwrap()))
            .await,
    );
    let notes = house
        .get(&format!(
            "/fhir/DocumentReference?patient={patient}&category=note"
        ))
        .await;
    let words = &matches(&notes)[0]["content"][0]["attachment"];
    assert_eq!(words["data"], STANDARD.encode("Better today."));
    let files = house
        .get(&format!(
            "/fhir/DocumentReference?patient={patient}&category=document"
        ))
        .await;
    let url = matches(&files)[0]["content"][0]["attachment"]["url"]
        .as_str()
        .unwrap();
    let bytes = house.get(&url[url.find("/api").unwrap()..]).await;
    assert_eq!(&bytes.bytes[..], b"%PDF-1.7");
    let everything = house
        .get(&format!("/fhir/Patient/{patient}/$everything"))
        .await;
    for kind in KINDS {
        assert!(
            matches(&everything)
                .iter()
                .any(|one| one["resourceType"] == kind),
            "{kind}"
        );
    }
}

#[tokio::test]
async fn a_condition_is_recorded_edited_confirmed_and_taken_back() {
    let house = House::new().await;
    let patient = patient_on(&house, "1001", 1, "ICU").await;
    let stands = created(&house, &condition(&patient)).await;
    assert_eq!(
        stands["verificationStatus"]["coding"][0]["code"],
        "provisional"
    );
    assert_eq!(stands["onsetDateTime"], "2019-04");
    let id = stands["id"].as_str().unwrap();
    let rest = house.get(&format!("/api/v1/conditions/{id}")).await;
    assert_eq!(rest.ok()["content"]["text"], "Sugar disease");

    let same = changed(&house, &stands, &[]).await;
    assert_eq!(resource(&same), &stands, "nothing was asked for");
    let edited = changed(&house, &stands, &[("note", json!([{ "text": "diet" }]))]).await;
    assert_eq!(resource(&edited)["note"][0]["text"], "diet");
    // it was changed since
    let path = format!("/fhir/Condition/{id}");
    let tag = format!("W/\"{}\"", stands["meta"]["versionId"].as_str().unwrap());
    let stale = send(&house, "PUT", &path, &[("if-match", &tag)], &stands).await;
    assert_eq!(outcome(&stale, 412), "fhir.stale");
    let both = [
        ("verificationStatus", status("confirmed")),
        ("code", json!({ "text": "Something else" })),
    ];
    let refused = changed(&house, &edited.json, &both).await;
    assert_eq!(outcome(&refused, 422), "fhir.not_supported");
    let moved = [(
        "subject",
        patient_of("018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c"),
    )];
    let refused = changed(&house, &edited.json, &moved).await;
    assert_eq!(outcome(&refused, 422), "fhir.not_supported");
    assert_eq!(
        refused.json["issue"][0]["expression"][0],
        "Condition.subject"
    );

    let confirmed = [("verificationStatus", status("confirmed"))];
    let confirmed = changed(&house, &edited.json, &confirmed).await;
    assert_eq!(
        resource(&confirmed)["verificationStatus"]["coding"][0]["code"],
        "confirmed"
    );
    let over = [
        ("clinicalStatus", status("resolved")),
        ("abatementDateTime", json!("2026-01")),
    ];
    let over = changed(&house, &confirmed.json, &over).await;
    assert_eq!(
        resource(&over)["clinicalStatus"]["coding"][0]["code"],
        "resolved"
    );
    let error = [
        ("verificationStatus", status("entered-in-error")),
        ("clinicalStatus", Value::Null),
    ];
    let no_reason = changed(&house, &over.json, &error).await;
    assert_eq!(outcome(&no_reason, 422), "clinical.reason_needed");
    let mut with_reason = error.to_vec();
    with_reason.push((
        "note",
        json!([{ "text": "diet" }, { "text": "another patient's" }]),
    ));
    let gone = changed(&house, &over.json, &with_reason).await;
    assert_eq!(
        resource(&gone)["verificationStatus"]["coding"][0]["code"],
        "entered-in-error"
    );
    let history = house.get(&format!("{path}/_history")).await;
    assert_eq!(resource(&history)["total"], 5);
    let again = changed(&house, &gone.json, &[("note", Value::Null)]).await;
    assert_eq!(outcome(&again, 409), "clinical.state_conflict");
}

#[tokio::test]
async fn an_allergy_is_recorded_once_and_refuted_with_a_reason() {
    let house = House::new().await;
    let patient = patient_on(&house, "1001", 1, "ICU").await;
    let stands = created(&house, &allergy(&patient)).await;
    for member in ["category", "reaction"] {
        assert_eq!(stands[member], allergy(&patient)[member], "{member}");
    }
    let again = send(
        &house,
        "POST",
        "/fhir/AllergyIntolerance",
        &[],
        &allergy(&patient),
    )
    .await;
    assert_eq!(outcome(&again, 409), "clinical.allergy_exists");
    let less = [("verificationStatus", status("unconfirmed"))];
    let less = changed(&house, &stands, &less).await;
    assert_eq!(
        resource(&less)["verificationStatus"]["coding"][0]["code"],
        "unconfirmed"
    );
    let refuted = [
        ("verificationStatus", status("refuted")),
        ("clinicalStatus", status("inactive")),
        ("note", json!([{ "text": "tolerated amoxicillin" }])),
    ];
    let refuted = changed(&house, &less.json, &refuted).await;
    assert_eq!(
        resource(&refuted)["clinicalStatus"]["coding"][0]["code"],
        "inactive"
    );
    let id = stands["id"].as_str().unwrap();
    let rest = house.get(&format!("/api/v1/allergies/{id}")).await;
    assert_eq!(rest.ok()["reason"], "tolerated amoxicillin");
    assert_eq!(rest.json["content"]["certainty"], "unconfirmed");
    let back = [
        ("verificationStatus", status("unconfirmed")),
        ("clinicalStatus", status("active")),
    ];
    let back = changed(&house, &refuted.json, &back).await;
    assert_eq!(
        resource(&back)["clinicalStatus"]["coding"][0]["code"],
        "active"
    );
}

#[tokio::test]
async fn what_can_not_be_kept_or_is_not_allowed_is_refused_and_nothing_is_written() {
    let house = House::new().await;
    let patient = patient_on(&house, "1001", 1, "ICU").await;
    house.backbone.commands.lock().unwrap().clear();
    let nobody = "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c";
    for (body, member, value, code) in [
        (
            condition(&patient),
            "severity",
            status("severe"),
            "fhir.content",
        ),
        (
            condition(&patient),
            "verificationStatus",
            status("refuted"),
            "fhir.content",
        ),
        (
            condition(&patient),
            "clinicalStatus",
            status("remission"),
            "fhir.content",
        ),
        (
            condition(&patient),
            "subject",
            patient_of(nobody),
            "fhir.no_patient",
        ),
        (
            condition(&patient),
            "encounter",
            json!({ "reference": format!("Encounter/{nobody}") }),
            "fhir.no_encounter",
        ),
        (
            allergy(&patient),
            "clinicalStatus",
            status("resolved"),
            "fhir.content",
        ),
        (drug(&patient), "status", json!("active"), "fhir.content"),
    ] {
        let mut body = body;
        body[member] = value;
        let path = format!("/fhir/{}", body["resourceType"].as_str().unwrap());
        let refused = send(&house, "POST", &path, &[], &body).await;
        assert_eq!(outcome(&refused, 422), code, "{path} {member}");
    }
    assert!(house.backbone.commands.lock().unwrap().is_empty());
    let token = house
        .user(&house.tenant, &["charts:read", "allergies:write"])
        .await;
    let refused = house
        .post_as(&token, "/fhir/Condition", &condition(&patient))
        .await;
    assert_eq!(outcome(&refused, 403), "auth.permission");
    house.backbone.be(Mood::Busy);
    let pending = send(&house, "POST", "/fhir/Condition", &[], &condition(&patient)).await;
    assert_eq!(pending.status.as_u16(), 202);
    house.backbone.be(Mood::Down);
    let away = send(&house, "POST", "/fhir/Condition", &[], &condition(&patient)).await;
    assert_eq!(outcome(&away, 503), "backbone.unavailable");
}

#[tokio::test]
async fn who_looked_at_a_chart_is_on_record_also_who_changed_it() {
    let house = House::new().await;
    let patient = patient_on(&house, "1001", 1, "ICU").await;
    let stands = created(&house, &condition(&patient)).await;
    let path = format!("/fhir/Condition/{}", stands["id"].as_str().unwrap());
    let note = [("note", json!([{ "text": "diet" }]))];
    resource(&changed(&house, &stands, &note).await);
    let seen = async |object: &str| {
        let rows = house
            .get(&format!("/api/v1/audit?patient={patient}&limit=500"))
            .await;
        rows.items()
            .iter()
            .filter(|row| row["object"] == object)
            .count()
    };
    assert_eq!(seen(&path).await, 1);
    matches(
        &house
            .get(&format!("/fhir/Condition?patient={patient}"))
            .await,
    );
    assert_eq!(seen("/fhir/Condition").await, 1);
}
