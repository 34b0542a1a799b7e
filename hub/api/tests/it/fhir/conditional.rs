//! Conditional creates: nothing that fits, it is made; one, that is the answer; more, none is made.

use serde_json::{Value, json};

use super::super::appointments::patient;
use super::super::backbone::Mood;
use super::super::house::{Answer, House};
use super::charts::{created, patient_of};
use super::{outcome, resource, send};

const HOSP: &str = "urn:hub:identifier:HOSP";

fn person(family: &str, number: &str) -> Value {
    json!({ "resourceType": "Patient", "gender": "female", "birthDate": "1980-05-17",
        "identifier": [{ "system": HOSP, "value": number }], "name": [{ "family": family, "given": ["Asha"] }] })
}

fn condition(patient: &str, code: &str) -> Value {
    json!({ "resourceType": "Condition", "subject": patient_of(patient),
        "code": { "coding": [{ "system": "http://hl7.org/fhir/sid/icd-10", "code": code }], "text": "as coded" } })
}

async fn unless(house: &House, body: &Value, search: &str) -> Answer {
    let kind = body["resourceType"].as_str().unwrap();
    let path = format!("/fhir/{kind}");
    send(house, "POST", &path, &[("if-none-exist", search)], body).await
}

fn sent(house: &House) -> usize {
    house.backbone.commands.lock().unwrap().len()
}

#[tokio::test]
async fn what_fits_is_the_answer_and_several_are_none() {
    let house = House::new().await;
    let search = format!("identifier={HOSP}|2001");
    let made = unless(&house, &person("Sharma", "2001"), &search).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.json);
    let before = sent(&house);
    // the body may be another: it is not looked at
    let again = unless(&house, &person("Verma", "2001"), &search).await;
    assert_eq!(resource(&again), &made.json);
    let id = made.json["id"].as_str().unwrap();
    let place = format!("/fhir/Patient/{id}/_history/");
    assert!(again.header("location").contains(&place));
    assert_eq!(again.header("etag"), made.header("etag"));
    // as the address of a search, and as a client may write it
    let address = format!("Patient?{search}&gender=female");
    resource(&unless(&house, &person("Sharma", "2001"), &address).await);
    assert_eq!(sent(&house), before);

    let ravi = patient(&house, "1001").await;
    for code in ["E11.9", "I10"] {
        created(&house, &condition(&ravi, code)).await;
    }
    let before = sent(&house);
    let open = format!("patient={ravi}&clinical-status=active");
    let several = unless(&house, &condition(&ravi, "J45.9"), &open).await;
    assert_eq!(outcome(&several, 412), "fhir.several_fit");
    assert_eq!(several.json["issue"][0]["code"], "multiple-matches");
    assert_eq!(sent(&house), before);
    let asthma = format!("patient={ravi}&code=http://hl7.org/fhir/sid/icd-10|J45.9");
    let first = unless(&house, &condition(&ravi, "J45.9"), &asthma).await;
    assert_eq!(first.status.as_u16(), 201, "{}", first.json);
    let second = unless(&house, &condition(&ravi, "J45.9"), &asthma).await;
    assert_eq!(resource(&second)["id"], first.json["id"]);
}

#[tokio::test]
async fn a_condition_that_is_not_whole_creates_nothing() {
    let house = House::new().await;
    let before = sent(&house);
    for search in [
        "",
        "identifier=",
        "identifier=&name=Asha",
        "colour=red",
        "identifier=HOSP|1&_count=1",
        "_sort=name",
        "name:above=x",
    ] {
        let refused = unless(&house, &person("Sharma", "2001"), search).await;
        assert_eq!(outcome(&refused, 400), "request.invalid", "{search}");
    }
    // everybody's rows are not read for it
    let refused = unless(&house, &person("Sharma", "2001"), "gender=female").await;
    assert_eq!(outcome(&refused, 400), "fhir.too_costly");
    let asha = patient(&house, "1001").await;
    let refused = unless(&house, &condition(&asha, "E11.9"), "code=E11.9").await;
    assert_eq!(outcome(&refused, 400), "fhir.too_costly");
    assert_eq!(sent(&house), before);
}

#[tokio::test]
async fn an_entry_of_a_batch_has_its_condition_too() {
    let house = House::new().await;
    let entry = json!({ "request": { "method": "POST", "url": "Patient", "ifNoneExist": format!("identifier={HOSP}|2001") },
        "resource": person("Sharma", "2001") });
    let bundle = json!({ "resourceType": "Bundle", "type": "batch", "entry": [entry.clone(), entry.clone()] });
    let answer = send(&house, "POST", "/fhir", &[], &bundle).await;
    let said = |index: usize| resource(&answer)["entry"][index]["response"]["status"].clone();
    assert_eq!((said(0), said(1)), (json!("201 Created"), json!("200 OK")));
    let id = |index: usize| &answer.json["entry"][index]["resource"]["id"];
    assert_eq!(id(0), id(1));
    let alone = json!({ "resourceType": "Bundle", "type": "transaction", "entry": [entry] });
    let answer = send(&house, "POST", "/fhir", &[], &alone).await;
    assert_eq!(
        resource(&answer)["entry"][0]["response"]["status"],
        "200 OK"
    );
}

#[tokio::test]
async fn who_may_not_see_what_fits_makes_no_second_one() {
    let house = House::new().await;
    let asha = patient(&house, "1001").await;
    created(&house, &condition(&asha, "E11.9")).await;
    // may write and not read
    let token = house.user(&house.tenant, &["conditions:write"]).await;
    let before = sent(&house);
    let search = format!("patient={asha}&code=E11.9");
    let path = "/fhir/Condition";
    let request = axum::http::Request::post(path)
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/fhir+json")
        .header("if-none-exist", &search)
        .body(axum::body::Body::from(
            condition(&asha, "E11.9").to_string(),
        ))
        .unwrap();
    let refused = house.send(request).await;
    assert_eq!(outcome(&refused, 403), "auth.permission");
    assert_eq!(sent(&house), before);
}

#[tokio::test]
async fn of_many_at_once_one_is_made() {
    let house = House::new().await;
    let asha = patient(&house, "1001").await;
    let (body, search) = (
        condition(&asha, "J45.9"),
        format!("patient={asha}&code=J45.9"),
    );
    let answers = futures::future::join_all((0..8).map(|_| unless(&house, &body, &search))).await;
    let mut made = 0;
    for answer in &answers {
        match answer.status.as_u16() {
            201 => made += 1,
            200 => {}
            _ => {
                assert_eq!(outcome(answer, 409), "fhir.create_in_flight");
                assert_eq!(answer.header("retry-after"), "1");
            }
        }
    }
    assert_eq!(made, 1);
    let found = house
        .get(&format!("/fhir/Condition?patient={asha}&_summary=count"))
        .await;
    assert_eq!(resource(&found)["total"], 1);
    // who was told to ask again finds it
    resource(&unless(&house, &body, &search).await);
}

#[tokio::test]
async fn a_constraint_s_refusal_is_answered_with_what_stands_if_it_fits() {
    let house = House::new().await;
    let asha = patient(&house, "1001").await;
    let allergy = json!({ "resourceType": "AllergyIntolerance", "patient": patient_of(&asha), "category": ["medication"],
        "code": { "coding": [{ "system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "7980" }], "text": "Penicillin G" } });
    let stands = created(&house, &allergy).await;
    // it is not what the condition asks for, so the refusal is the answer
    let search = format!("patient={asha}&code=1191");
    let refused = unless(&house, &allergy, &search).await;
    assert_eq!(outcome(&refused, 409), "clinical.allergy_exists");
    let search = format!("patient={asha}&code=7980");
    let found = unless(&house, &allergy, &search).await;
    assert_eq!(resource(&found)["id"], stands["id"]);
}

#[tokio::test]
async fn a_command_without_an_outcome_keeps_its_condition() {
    let house = House::new().await;
    let asha = patient(&house, "1001").await;
    let (body, search) = (
        condition(&asha, "J45.9"),
        format!("patient={asha}&code=J45.9"),
    );
    house.backbone.be(Mood::Busy);
    let pending = unless(&house, &body, &search).await;
    assert_eq!(pending.status.as_u16(), 202, "{}", pending.json);
    house.backbone.be(Mood::Willing);
    let before = sent(&house);
    for search in [&search, &format!("code=J45.9&patient={asha}")] {
        let waits = unless(&house, &body, search).await;
        assert_eq!(outcome(&waits, 409), "fhir.create_in_flight", "{search}");
    }
    assert_eq!(sent(&house), before);
    // the worker comes to it
    let command = house.backbone.commands.lock().unwrap().pop().unwrap();
    house.backbone.carry_out(command).await;
    let found = unless(&house, &body, &search).await;
    assert_eq!(
        resource(&found)["code"]["coding"][0]["code"],
        "J45.9",
        "made by the first"
    );
    assert_eq!(sent(&house), before - 1);
}

/// The entry of these conditions as who has not the secret could work it out.
fn guessed(house: &House, parts: &[&str]) -> String {
    use std::fmt::Write as _;

    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut name = format!("{}.unless-", house.tenant);
    for byte in context.finish().as_ref() {
        write!(name, "{byte:02x}").unwrap();
    }
    name
}

#[tokio::test]
async fn the_entry_of_a_condition_does_not_tell_whose_number_it_asks_for() {
    let house = House::new().await;
    let number = format!("{HOSP}|2001");
    let search = format!("identifier={number}");
    let made = unless(&house, &person("Sharma", "2001"), &search).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.json);
    let mut names: Vec<String> = {
        let notes = house.backbone.notes.lock().unwrap();
        notes.keys().cloned().collect()
    };
    names.retain(|name| name.contains(".unless-"));
    assert_eq!(names.len(), 1, "{names:?}");
    let parts = ["Patient", "identifier", number.as_str()];
    assert_ne!(names[0], guessed(&house, &parts));
    assert!(!names[0].contains("2001"));
}

#[tokio::test]
async fn a_claim_of_before_an_update_holds() {
    let house = House::new().await;
    let number = format!("{HOSP}|2001");
    let name = guessed(&house, &["Patient", "identifier", number.as_str()]);
    let entry = json!({ "state": "running", "until": i64::MAX });
    let entry = hub_api::Noted {
        value: entry.to_string().into(),
        revision: 1,
    };
    let notes = &house.backbone.notes;
    notes.lock().unwrap().insert(name.clone(), entry);
    let search = format!("identifier={number}");
    let before = sent(&house);
    let waits = unless(&house, &person("Sharma", "2001"), &search).await;
    assert_eq!(outcome(&waits, 409), "fhir.create_in_flight");
    assert_eq!(sent(&house), before);
    // it let go
    let entry = hub_api::Noted {
        value: json!({ "state": "free" }).to_string().into(),
        revision: 2,
    };
    notes.lock().unwrap().insert(name, entry);
    let made = unless(&house, &person("Sharma", "2001"), &search).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.json);
}
