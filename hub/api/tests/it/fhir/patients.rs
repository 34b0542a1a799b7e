//! Patients: registered with a warning of those who look alike, corrected, given one more identifier.

use schemas::Patch;
use schemas::patients::HumanName;
use serde_json::{Value, json};

use super::super::house::{Answer, House};
use super::super::samples::person;
use super::{outcome, patient_on, resource, send};

const HOSP: &str = "urn:hub:identifier:HOSP";

fn asha(identifier: Option<&str>) -> Value {
    let mut json = json!({
        "resourceType": "Patient", "gender": "female", "birthDate": "1980-05-17",
        "name": [{ "use": "official", "family": "Sharma", "given": ["Asha"] }],
        "telecom": [{ "system": "phone", "value": "+91 98450 12345", "use": "mobile" }]
    });
    if let Some(value) = identifier {
        json["identifier"] = json!([{ "system": HOSP, "value": value }]);
    }
    json
}

async fn create(house: &House, body: &Value) -> Answer {
    send(house, "POST", "/fhir/Patient", &[], body).await
}

/// Creates it; the resource as it stands then.
async fn created(house: &House, body: &Value) -> Value {
    let made = create(house, body).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.json);
    hub_fhir::check(&made.json).unwrap();
    let id = made.json["id"].as_str().unwrap();
    let place = format!("/fhir/Patient/{id}/_history/");
    assert!(made.header("location").contains(&place));
    made.json.clone()
}

/// Sends what stands with some members otherwise.
async fn changed(house: &House, stands: &Value, members: &[(&str, Value)]) -> Answer {
    let mut body = stands.clone();
    for (name, value) in members {
        body[*name] = value.clone();
        if value.is_null() {
            body.as_object_mut().unwrap().remove(*name);
        }
    }
    let path = format!("/fhir/Patient/{}", body["id"].as_str().unwrap());
    send(house, "PUT", &path, &[], &body).await
}

fn said(url: &str, words: &str) -> Value {
    json!([{ "url": format!("urn:hub:extension:{url}"), "valueString": words }])
}

#[tokio::test]
async fn a_patient_is_registered_once_and_who_looks_alike_is_named() {
    let house = House::new().await;
    let mut unnumbered = asha(None);
    assert_eq!(
        outcome(&create(&house, &unnumbered).await, 422),
        "fhir.content",
        "neither a number nor who gives one"
    );
    unnumbered["extension"] = said("facility", "SGM");
    let first = created(&house, &unnumbered).await;
    assert_eq!(first["identifier"][0]["value"], "SGM000001");
    assert_eq!(first["name"][0]["text"], "Asha Sharma");
    assert_eq!(first["telecom"][0]["use"], "mobile");
    let id = first["id"].as_str().unwrap();
    let found = house.get("/api/v1/patients?identifier=SGM000001").await;
    assert_eq!(found.items()[0]["id"], id);

    let mut second = asha(Some("2001"));
    let alike = create(&house, &second).await;
    assert_eq!(outcome(&alike, 409), "patients.likely_duplicate");
    let issues = alike.json["issue"].as_array().unwrap();
    assert_eq!(issues[0]["code"], "duplicate");
    let named = issues[1]["details"]["text"].as_str().unwrap();
    assert!(named.contains(&format!("Patient/{id}")), "{named}");
    assert!(named.contains("same_mobile"), "{named}");
    second["extension"] = said("not-a-duplicate", "twins");
    let second = created(&house, &second).await;
    assert_ne!(second["id"], id);
    let mut again = asha(Some("2001"));
    again["extension"] = said("not-a-duplicate", "twins");
    let again = create(&house, &again).await;
    assert_eq!(outcome(&again, 409), "patients.identifier_exists");
}

#[tokio::test]
async fn a_patient_is_corrected_and_what_is_not_otherwise_stays() {
    let house = House::new().await;
    let mut body = asha(Some("2001"));
    body["maritalStatus"] = json!({ "coding": [{
        "system": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "code": "S" }] });
    let stands = created(&house, &body).await;
    let id = stands["id"].as_str().unwrap();
    let path = format!("/fhir/Patient/{id}");
    let same = changed(&house, &stands, &[]).await;
    assert_eq!(resource(&same), &stands, "nothing was asked for");

    let edits = [
        ("birthDate", json!("1980-05-18")),
        ("maritalStatus", Value::Null),
        (
            "address",
            json!([{ "line": ["12 MG Road"], "city": "Bengaluru" }]),
        ),
        ("extension", said("reason", "passport shown")),
    ];
    let edited = changed(&house, &stands, &edits).await;
    let now = resource(&edited);
    assert_eq!(now["birthDate"], "1980-05-18");
    assert_eq!(now["address"][0]["city"], "Bengaluru");
    assert!(now["maritalStatus"].is_null() && now["extension"].is_null());
    for member in ["name", "telecom", "gender", "identifier", "active"] {
        assert_eq!(now[member], stands[member], "{member}");
    }
    let rows = house
        .get("/api/v1/audit?action=patients.change&limit=10")
        .await;
    assert_eq!(rows.items()[0]["reason"], "passport shown");

    // it was changed since
    let tag = format!("W/\"{}\"", stands["meta"]["versionId"].as_str().unwrap());
    let stale = send(&house, "PUT", &path, &[("if-match", &tag)], &stands).await;
    assert_eq!(outcome(&stale, 412), "fhir.stale");

    let more = |stands: &Value, value: &str| {
        let mut list = stands["identifier"].clone();
        list.as_array_mut()
            .unwrap()
            .push(json!({ "system": HOSP, "value": value }));
        list
    };
    let both = [
        ("identifier", more(now, "2002")),
        ("gender", json!("other")),
    ];
    let refused = changed(&house, now, &both).await;
    assert_eq!(outcome(&refused, 422), "fhir.not_supported");
    let added = changed(&house, now, &[("identifier", more(now, "2002"))]).await;
    assert_eq!(resource(&added)["identifier"].as_array().unwrap().len(), 2);
    let fewer = [("identifier", now["identifier"].clone())];
    let fewer = changed(&house, &added.json, &fewer).await;
    assert_eq!(outcome(&fewer, 422), "fhir.not_supported");
    patient_on(&house, "1001", 1, "ICU").await;
    let theirs = [("identifier", more(&added.json, "1001"))];
    let theirs = changed(&house, &added.json, &theirs).await;
    assert_eq!(outcome(&theirs, 409), "patients.identifier_exists");
    for (member, value, code) in [
        ("name", Value::Null, "fhir.content"),
        ("birthDate", json!("2999-01-01"), "fhir.content"),
        ("active", json!(false), "fhir.not_supported"),
        ("extension", said("facility", "SGM"), "fhir.content"),
    ] {
        let refused = changed(&house, &added.json, &[(member, value)]).await;
        assert_eq!(outcome(&refused, 422), code, "{member}");
    }
}

#[tokio::test]
async fn what_a_source_said_and_fhir_does_not_show_stays_and_an_hour_of_birth_goes_with_its_day() {
    let house = House::new().await;
    let mut reported = person(&house.tenant, "1001");
    reported.birth_date = Patch::Set("1980-05-17T04:10:00+05:30".to_owned());
    reported.mother_maiden_name = Patch::Set("Iyer".to_owned());
    // FHIR has no word for an alias
    reported.other_names = vec![HumanName {
        family: Some("Rao".to_owned()),
        use_code: Some("A".to_owned()),
        ..HumanName::default()
    }];
    house.event(&reported).await;
    let found = house.get("/api/v1/patients?identifier=1001").await;
    let id = found.items()[0]["id"].as_str().unwrap().to_owned();
    let rest = format!("/api/v1/patients/{id}");
    let stands = house.get(&format!("/fhir/Patient/{id}")).await;
    let mut names = resource(&stands)["name"].clone();
    assert!(stands.json["_birthDate"].is_object(), "{}", stands.json);

    names[0]["family"] = json!("Sharma-Rao");
    let as_read = changed(&house, &stands.json, &[("name", names.clone())]).await;
    assert_eq!(
        outcome(&as_read, 422),
        "fhir.content",
        "the text is of the old parts"
    );
    names[0].as_object_mut().unwrap().remove("text");
    let renamed = [
        ("name", names),
        ("deceasedDateTime", json!("2026-03-01T12:00:00Z")),
    ];
    let renamed = changed(&house, &stands.json, &renamed).await;
    assert_eq!(resource(&renamed)["name"][0]["text"], "Asha Sharma-Rao");
    let kept = house.get(&rest).await;
    assert_eq!(kept.ok()["other_names"][0]["use_code"], "A");
    assert_eq!(kept.json["birth_date"], "1980-05-17T04:10:00+05:30");
    assert_eq!(kept.json["mother_maiden_name"], "Iyer");
    assert_eq!(kept.json["deceased"], "2026-03-01T12:00:00Z");

    for members in [
        vec![("birthDate", json!("1980-05-18"))],
        vec![("_birthDate", Value::Null)],
    ] {
        let refused = changed(&house, &renamed.json, &members).await;
        assert_eq!(outcome(&refused, 422), "fhir.content", "{members:?}");
        assert_eq!(
            refused.json["issue"][0]["expression"][0],
            "Patient._birthDate"
        );
    }
    let corrected = [
        ("birthDate", json!("1980-05-18")),
        ("_birthDate", Value::Null),
        ("deceasedDateTime", Value::Null),
        ("extension", Value::Null),
    ];
    let corrected = changed(&house, &renamed.json, &corrected).await;
    assert_eq!(resource(&corrected)["birthDate"], "1980-05-18");
    let kept = house.get(&rest).await;
    assert_eq!(kept.ok()["birth_date"], "1980-05-18");
    for gone in ["deceased", "mother_maiden_name"] {
        assert!(kept.json[gone].is_null(), "{gone}: {}", kept.json);
    }
}

#[tokio::test]
async fn a_merged_record_is_not_changed_and_who_may_not_write_writes_nothing() {
    let house = House::new().await;
    let stays = patient_on(&house, "1001", 1, "ICU").await;
    let goes = patient_on(&house, "1002", 2, "ICU").await;
    let merge = json!({ "retired": goes, "reason": "registered twice" });
    house
        .post(&format!("/api/v1/patients/{stays}/merge"), &merge)
        .await
        .ok();
    let retired = house.get(&format!("/fhir/Patient/{goes}")).await;
    let refused = changed(&house, resource(&retired), &[("gender", json!("other"))]).await;
    assert_eq!(outcome(&refused, 409), "patients.merged_conflict");
    // what stands shows the other's number too: one more beside both
    let standing = house.get(&format!("/fhir/Patient/{stays}")).await;
    let mut list = resource(&standing)["identifier"].clone();
    list.as_array_mut()
        .unwrap()
        .push(json!({ "system": HOSP, "value": "3001" }));
    let added = changed(&house, &standing.json, &[("identifier", list)]).await;
    let values: Vec<_> = resource(&added)["identifier"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["value"].as_str().unwrap())
        .collect();
    assert_eq!(values.len(), 3, "{values:?}");
    assert!(values.contains(&"3001"));

    let reader = house.user(&house.tenant, &["patients:read"]).await;
    house.backbone.commands.lock().unwrap().clear();
    let refused = house
        .post_as(&reader, "/fhir/Patient", &asha(Some("4001")))
        .await;
    assert_eq!(outcome(&refused, 403), "auth.permission");
    for (member, value) in [
        ("active", json!(false)),
        ("photo", json!([{ "title": "x" }])),
        ("name", json!([{ "text": "Asha" }])),
        ("birthDate", json!("2999")),
        (
            "managingOrganization",
            json!({ "reference": format!("Organization/{stays}") }),
        ),
        ("extension", said("reason", "x")),
    ] {
        let mut body = asha(Some("4001"));
        body[member] = value;
        assert_eq!(
            outcome(&create(&house, &body).await, 422),
            "fhir.content",
            "{member}"
        );
    }
    assert!(house.backbone.commands.lock().unwrap().is_empty());
}
