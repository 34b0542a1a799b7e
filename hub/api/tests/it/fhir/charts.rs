//! Conditions, allergies, prescriptions, notes and documents: read as staff wrote them, and written.

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

fn status(code: &str) -> Value {
    json!({ "coding": [{ "code": code }] })
}

fn patient_of(id: &str) -> Value {
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

fn drug(patient: &str) -> Value {
    json!({ "resourceType": "MedicationRequest", "status": "draft", "intent": "order", "subject": patient_of(patient),
        "medicationCodeableConcept": { "text": "Amoxicillin 500 mg capsule" },
        "dosageInstruction": [{
            "timing": { "code": { "text": "1-0-1" }, "repeat": { "boundsDuration": { "value": 5, "unit": "day", "code": "d" } } },
            "route": { "text": "oral" }, "doseAndRate": [{ "doseQuantity": { "value": 500, "unit": "mg" } }] }] })
}

/// Creates it; the resource as it stands then.
async fn created(house: &House, body: &Value) -> Value {
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
async fn changed(
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

fn letter(patient: &str, bytes: &[u8]) -> Value {
    json!({ "resourceType": "DocumentReference", "status": "current", "subject": patient_of(patient),
        "type": { "coding": [{ "system": "http://loinc.org", "code": "57133-1" }] },
        "content": [{ "attachment": { "contentType": "application/pdf", "title": "Letter", "data": STANDARD.encode(bytes) } }] })
}

#[tokio::test]
async fn a_document_is_filed_with_its_bytes_or_not_at_all() {
    let house = House::new().await;
    let patient = patient_on(&house, "1001", 1, "ICU").await;
    // larger than other requests may be
    let mut bytes = b"%PDF-1.7".to_vec();
    bytes.resize(6_000, b' ');
    let filed = created(&house, &letter(&patient, &bytes)).await;
    assert_eq!(filed["type"]["coding"][0]["code"], "referral");
    let file = &filed["content"][0]["attachment"];
    assert_eq!(
        (&file["title"], &file["size"]),
        (&json!("Letter"), &json!(6_000))
    );
    let url = file["url"].as_str().unwrap();
    let read = house.get(&url[url.find("/api").unwrap()..]).await;
    assert_eq!(&read.bytes[..], bytes);

    house.backbone.commands.lock().unwrap().clear();
    let kind = |code: &str| json!({ "coding": [{ "system": "urn:hub:code:hub-document-kind", "code": code }] });
    for (pointer, value, expected, code) in [
        ("/type", status("referral"), 422, "fhir.content"),
        (
            "/content/0/attachment/data",
            json!(STANDARD.encode("<html>")),
            400,
            "request.invalid",
        ),
        (
            "/content/0/attachment/data",
            json!("%%"),
            400,
            "fhir.structure",
        ),
        (
            "/content/0/attachment/contentType",
            json!("text/html"),
            400,
            "request.invalid",
        ),
        (
            "/subject",
            patient_of("018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c"),
            422,
            "fhir.no_patient",
        ),
    ] {
        let mut body = letter(&patient, b"%PDF-1.7");
        *body.pointer_mut(pointer).unwrap() = value;
        let refused = send(&house, "POST", "/fhir/DocumentReference", &[], &body).await;
        assert_eq!(outcome(&refused, expected), code, "{pointer}");
    }
    assert!(house.backbone.commands.lock().unwrap().is_empty());
    let mut unknown = letter(&patient, b"%PDF-1.7");
    unknown["type"] = kind("recipe");
    let refused = send(&house, "POST", "/fhir/DocumentReference", &[], &unknown).await;
    assert_eq!(outcome(&refused, 422), "clinical.entry_word");
    let token = house
        .user(&house.tenant, &["charts:read", "conditions:write"])
        .await;
    let refused = house
        .post_as(
            &token,
            "/fhir/DocumentReference",
            &letter(&patient, b"%PDF-1.7"),
        )
        .await;
    assert_eq!(outcome(&refused, 403), "auth.permission");
}
