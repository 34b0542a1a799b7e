//! Encounters: visits opened, admissions asked for, what else is known of them, and their end.

use serde_json::{Value, json};

use super::super::appointments::patient;
use super::super::house::House;
use super::super::stays::{Places, places};
use super::charts::{changed, created, patient_of, status};
use super::{outcome, resource, send};

fn said(pairs: &[(&str, &str)]) -> Value {
    pairs
        .iter()
        .map(|(url, words)| {
            json!({ "url": format!("urn:hub:extension:{url}"), "valueString": words })
        })
        .collect()
}

fn class(code: &str) -> Value {
    json!({ "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": code })
}

fn visit(patient: &str, places: &Places) -> Value {
    json!({ "resourceType": "Encounter", "status": "in-progress", "class": class("AMB"), "subject": patient_of(patient),
        "reasonCode": [{ "text": "fever" }],
        "participant": [{ "type": [status("ATND")], "individual": { "identifier": { "value": "D12" }, "display": "R. Rao" } }],
        "extension": said(&[("department", &places.med), ("payer", "self")]) })
}

fn admission(patient: &str, places: &Places) -> Value {
    let mut json = visit(patient, places);
    json["status"] = json!("planned");
    json["class"] = class("IMP");
    json["priority"] = status("UR");
    json["extension"] = said(&[("department", &places.med), ("ward-class", "general")]);
    json
}

#[tokio::test]
async fn a_visit_is_opened_changed_and_ended_as_over_rest() {
    let house = House::new().await;
    let places = places(&house).await;
    let asha = patient(&house, "1001").await;
    let stands = created(&house, &visit(&asha, &places)).await;
    for member in ["status", "subject", "reasonCode", "extension"] {
        assert_eq!(stands[member], visit(&asha, &places)[member], "{member}");
    }
    assert_eq!(stands["class"]["code"], "AMB");
    assert_eq!(stands["participant"][0]["individual"]["display"], "R. Rao");
    let id = stands["id"].as_str().unwrap();
    let rest = format!("/api/v1/encounters/{id}");
    let read = house.get(&rest).await;
    assert_eq!(
        (&read.ok()["stage"], &read.json["token"]),
        (&json!("token"), &json!(1))
    );

    let same = changed(&house, &stands, &[]).await;
    assert_eq!(resource(&same), &stands, "nothing was asked for");
    let iyer = json!([{ "type": [status("ATND")], "individual": { "display": "S. Iyer" } }]);
    let more = said(&[("department", &places.med), ("payer", "insurer")]);
    let edited = [
        ("participant", iyer),
        ("serviceType", json!({ "text": "MED" })),
        ("reasonCode", Value::Null),
        ("extension", more),
    ];
    let edited = changed(&house, &stands, &edited).await;
    let now = resource(&edited);
    assert_eq!(now["participant"][0]["individual"]["display"], "S. Iyer");
    assert_eq!(now["serviceType"]["text"], "MED");
    assert!(now["reasonCode"].is_null());
    assert_eq!(now["extension"][1]["valueString"], "insurer");
    let stale = changed(&house, &stands, &[("serviceType", Value::Null)]).await;
    assert_eq!(outcome(&stale, 412), "fhir.stale");
    for (members, code) in [
        (vec![("extension", Value::Null)], "fhir.content"),
        (vec![("class", class("EMER"))], "fhir.not_supported"),
        (
            vec![("status", json!("finished")), ("serviceType", Value::Null)],
            "fhir.not_supported",
        ),
    ] {
        let refused = changed(&house, now, &members).await;
        assert_eq!(outcome(&refused, 422), code, "{members:?}");
    }
    let arrived = changed(&house, now, &[("status", json!("arrived"))]).await;
    assert_eq!(outcome(&arrived, 409), "fhir.status_conflict");
    // from the queue nobody is done
    let early = changed(&house, now, &[("status", json!("finished"))]).await;
    assert_eq!(outcome(&early, 409), "adt.stage_conflict");
    house
        .post(&format!("{rest}/start-consultation"), &json!({}))
        .await
        .ok();
    let path = format!("/fhir/Encounter/{id}");
    let before = house.get(&path).await.json;
    let done = changed(&house, &before, &[("status", json!("finished"))]).await;
    assert_eq!(resource(&done)["status"], "finished");
    assert_eq!(house.get(&rest).await.ok()["stage"], "done");
}

#[tokio::test]
async fn an_admission_is_asked_for_and_cancelled_with_a_reason() {
    let house = House::new().await;
    let places = places(&house).await;
    let asha = patient(&house, "1001").await;
    let stands = created(&house, &admission(&asha, &places)).await;
    assert_eq!(stands["status"], "planned");
    assert_eq!(stands["class"]["code"], "IMP");
    assert_eq!(stands["priority"]["coding"][0]["code"], "UR");
    assert_eq!(stands["extension"][1]["valueString"], "general");
    let id = stands["id"].as_str().unwrap();
    let rest = house.get(&format!("/api/v1/encounters/{id}")).await;
    assert_eq!(rest.ok()["stage"], "requested");
    let ended = changed(&house, &stands, &[("status", json!("finished"))]).await;
    assert_eq!(outcome(&ended, 422), "fhir.not_supported");
    let no_reason = changed(&house, &stands, &[("status", json!("cancelled"))]).await;
    assert_eq!(outcome(&no_reason, 422), "fhir.content");
    let mut why = stands["extension"].clone();
    why.as_array_mut()
        .unwrap()
        .push(said(&[("reason", "asked for twice")])[0].clone());
    let cancel = [("status", json!("cancelled")), ("extension", why)];
    let cancelled = changed(&house, &stands, &cancel).await;
    assert_eq!(resource(&cancelled)["status"], "cancelled");
}

#[tokio::test]
async fn what_rest_refuses_is_refused_here_with_its_code() {
    let house = House::new().await;
    let places = places(&house).await;
    let asha = patient(&house, "1001").await;
    let mut numbered = visit(&asha, &places);
    numbered["identifier"] = json!([{ "type": status("VN"), "value": "V-77" }]);
    let first = created(&house, &numbered).await;
    assert_eq!(first["identifier"][0]["value"], "V-77");
    let twice = send(&house, "POST", "/fhir/Encounter", &[], &numbered).await;
    assert_eq!(outcome(&twice, 409), "adt.visit_exists");
    // under its number it is made once, whoever asks
    let search = [("if-none-exist", "identifier=V-77")];
    let known = send(&house, "POST", "/fhir/Encounter", &search, &numbered).await;
    assert_eq!(resource(&known)["id"], first["id"]);

    house.backbone.commands.lock().unwrap().clear();
    let nobody = "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c";
    for (member, value, status, code, place) in [
        (
            "hospitalization",
            json!({ "reAdmission": { "text": "x" } }),
            422,
            "fhir.content",
            "Encounter.hospitalization",
        ),
        (
            "extension",
            said(&[("payer", "self")]),
            422,
            "fhir.content",
            "Encounter.extension",
        ),
        (
            "extension",
            said(&[("department", nobody)]),
            404,
            "departments.unknown",
            "",
        ),
        (
            "subject",
            patient_of(nobody),
            422,
            "encounters.no_patient",
            "",
        ),
        (
            "identifier",
            json!([{ "value": "x".repeat(60) }]),
            400,
            "request.invalid",
            "Encounter.identifier",
        ),
        (
            "period",
            json!({ "start": "2199-01-01T00:00:00Z" }),
            422,
            "adt.time_ahead",
            "",
        ),
    ] {
        let mut body = visit(&asha, &places);
        body[member] = value;
        let refused = send(&house, "POST", "/fhir/Encounter", &[], &body).await;
        assert_eq!(outcome(&refused, status), code, "{member}");
        let said = refused.json["issue"][0]["expression"][0]
            .as_str()
            .unwrap_or_default();
        assert_eq!(said, place, "{member}");
    }
    assert_eq!(house.backbone.commands.lock().unwrap().len(), 1, "the last");

    // who may not open encounters, or not there
    let token = house.user(&house.tenant, &["encounters:read"]).await;
    let refused = house
        .post_as(&token, "/fhir/Encounter", &visit(&asha, &places))
        .await;
    assert_eq!(outcome(&refused, 403), "auth.permission");
    let (user, tokens) = house.staff("asha").await;
    let grant = json!({ "role": "front_desk", "facility": "MAIN", "department": "SUR" });
    house.grant(&user, &grant).await;
    let token = tokens["access_token"].as_str().unwrap();
    let refused = house
        .post_as(token, "/fhir/Encounter", &visit(&asha, &places))
        .await;
    assert_eq!(outcome(&refused, 403), "auth.scope");
}
