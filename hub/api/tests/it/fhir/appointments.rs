//! Appointments: found by their patient, booked in a slot, confirmed, moved and called off.

use serde_json::{Value, json};

use super::super::appointments::{booked, patient, schedule};
use super::super::house::{Answer, House};
use super::{matches, next, of_mode, outcome, resource, send};

fn booking(slot: &Value, patient: &str) -> Value {
    json!({ "resourceType": "Appointment", "status": "booked",
        "slot": [{ "reference": format!("Slot/{}", slot["id"].as_str().unwrap()) }],
        "start": slot["starts_at"], "end": slot["ends_at"], "reasonCode": [{ "text": "cough" }],
        "participant": [{ "actor": { "reference": format!("Patient/{patient}") }, "status": "accepted" }] })
}

async fn changed(house: &House, stands: &Value, members: &[(&str, Value)]) -> Answer {
    let mut body = stands.clone();
    for (name, value) in members {
        body[*name] = value.clone();
    }
    let path = format!("/fhir/Appointment/{}", body["id"].as_str().unwrap());
    send(house, "PUT", &path, &[], &body).await
}

#[tokio::test]
async fn a_slot_is_booked_and_the_appointment_lives_as_it_does_over_rest() {
    let house = House::new().await;
    let (_, slots) = schedule(&house, "OPD").await;
    let asha = patient(&house, "1001").await;
    let made = send(
        &house,
        "POST",
        "/fhir/Appointment",
        &[],
        &booking(&slots[0], &asha),
    )
    .await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.json);
    hub_fhir::check(&made.json).unwrap();
    let id = made.json["id"].as_str().unwrap();
    let rest = house.get(&format!("/api/v1/appointments/{id}")).await;
    assert_eq!(rest.ok()["reason"], "cough");
    assert_eq!(
        made.json["participant"][0]["actor"]["reference"],
        format!("Patient/{asha}")
    );
    assert_eq!(
        made.json["participant"][1]["actor"]["identifier"]["value"],
        "D-7"
    );
    let stands = made.json.clone();

    let found = house
        .get(&format!(
            "/fhir/Appointment?patient={asha}&status=booked&_include=Appointment:patient"
        ))
        .await;
    assert_eq!(matches(&found).len(), 1);
    let day = &stands["start"].as_str().unwrap()[..10];
    let that_day = house
        .get(&format!("/fhir/Appointment?patient={asha}&date={day}"))
        .await;
    assert_eq!(matches(&that_day).len(), 1);
    let later = house
        .get(&format!("/fhir/Appointment?patient={asha}&date=ge2999"))
        .await;
    assert!(matches(&later).is_empty());
    let all = house.get("/fhir/Appointment?status=booked").await;
    assert_eq!(outcome(&all, 400), "fhir.too_costly");

    let mut people = stands["participant"].clone();
    people[0]["status"] = json!("accepted");
    let confirmed = changed(&house, &stands, &[("participant", people)]).await;
    assert_eq!(resource(&confirmed)["status"], "booked");
    let rest = house.get(&format!("/api/v1/appointments/{id}")).await;
    assert_eq!(rest.ok()["state"], "confirmed");
    let about = [("comment", json!("brings old films"))];
    let about = changed(&house, &confirmed.json, &about).await;
    assert_eq!(resource(&about)["comment"], "brings old films");
    let other = json!([{ "reference": format!("Slot/{}", slots[1]["id"].as_str().unwrap()) }]);
    let moved = changed(&house, &about.json, &[("slot", other)]).await;
    let slot = resource(&moved)["slot"][0]["reference"].as_str().unwrap();
    assert_eq!(
        slot.strip_prefix("Slot/").unwrap(),
        slots[1]["id"].as_str().unwrap()
    );
    let why = json!({ "text": "patient is travelling" });
    let cancel = [("status", json!("cancelled"))];
    let refused = changed(&house, &moved.json, &cancel).await;
    assert_eq!(outcome(&refused, 422), "fhir.content");
    let cancel = [("status", json!("cancelled")), ("cancelationReason", why)];
    let cancelled = changed(&house, &moved.json, &cancel).await;
    assert_eq!(resource(&cancelled)["status"], "cancelled");
    assert_eq!(
        cancelled.json["cancelationReason"]["text"],
        "patient is travelling"
    );
    let back = changed(&house, &cancelled.json, &[("status", json!("booked"))]).await;
    assert_eq!(outcome(&back, 409), "fhir.status_conflict");
}

#[tokio::test]
async fn a_place_is_held_and_booked_and_nobody_has_it_twice() {
    let house = House::new().await;
    let (_, slots) = schedule(&house, "OPD").await;
    let asha = patient(&house, "1001").await;
    let ravi = patient(&house, "1002").await;
    let mut hold = booking(&slots[0], &asha);
    hold["status"] = json!("pending");
    let held = send(&house, "POST", "/fhir/Appointment", &[], &hold).await;
    assert_eq!(held.status.as_u16(), 201, "{}", held.json);
    assert_eq!(held.json["status"], "pending");
    let full = send(
        &house,
        "POST",
        "/fhir/Appointment",
        &[],
        &booking(&slots[0], &ravi),
    )
    .await;
    assert_eq!(outcome(&full, 409), "slots.full_conflict");
    let instead = full.json["issue"][1]["details"]["text"].as_str().unwrap();
    assert!(instead.starts_with("Slot/"), "{instead}");
    let is_booked = changed(&house, &held.json, &[("status", json!("booked"))]).await;
    assert_eq!(resource(&is_booked)["status"], "booked");
    for (member, value, status, code) in [
        ("start", json!("2020-01-01T00:00:00Z"), 422, "fhir.content"),
        (
            "slot",
            json!([{ "reference": "Slot/018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c" }]),
            404,
            "slots.unknown",
        ),
        (
            "participant",
            json!([{ "actor": { "reference": "Patient/018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c" }, "status": "accepted" }]),
            422,
            "appointments.no_patient",
        ),
        ("priority", json!(1), 422, "fhir.content"),
    ] {
        let mut body = booking(&slots[1], &ravi);
        body[member] = value;
        let refused = send(&house, "POST", "/fhir/Appointment", &[], &body).await;
        assert_eq!(outcome(&refused, status), code, "{member}");
    }
}

#[tokio::test]
async fn who_works_in_the_clinic_sees_and_books_there_and_nowhere_else() {
    let house = House::new().await;
    let (_, slots) = schedule(&house, "OPD").await;
    let (_, others) = schedule(&house, "PSYCH").await;
    let asha = patient(&house, "1001").await;
    let here = booked(&house, &slots[0], &asha).await;
    let there = booked(&house, &others[0], &asha).await;
    let (user, tokens) = house.staff("asha").await;
    house
        .grant(
            &user,
            &json!({ "role": "front_desk", "facility": "MAIN", "department": "OPD" }),
        )
        .await;
    let token = tokens["access_token"].as_str().unwrap();
    let path = |made: &Value| {
        format!(
            "/fhir/Appointment/{}",
            made["appointment_id"].as_str().unwrap()
        )
    };
    resource(&house.get_as(token, &path(&here)).await);
    let refused = house.get_as(token, &path(&there)).await;
    assert_eq!(outcome(&refused, 403), "auth.relationship");
    let refused = house
        .post_as(token, "/fhir/Appointment", &booking(&others[1], &asha))
        .await;
    assert_eq!(outcome(&refused, 403), "auth.scope");
    let mine = house
        .post_as(token, "/fhir/Appointment", &booking(&slots[1], &asha))
        .await;
    assert_eq!(mine.status.as_u16(), 201, "{}", mine.json);
}

#[tokio::test]
async fn a_client_finds_a_free_slot_books_it_and_follows_the_reference_back() {
    let house = House::new().await;
    let (schedule, slots) = schedule(&house, "OPD").await;
    let asha = patient(&house, "1001").await;
    let found = house
        .get("/fhir/Schedule?actor:identifier=D-7&active=true")
        .await;
    let all = matches(&found);
    assert_eq!(all.len(), 1);
    assert_eq!(all[0]["id"], schedule.as_str());
    assert_eq!(all[0]["actor"][0]["identifier"]["value"], "D-7");
    let none = house.get("/fhir/Schedule?actor:identifier=D-8").await;
    assert!(matches(&none).is_empty());

    let from = slots[0]["starts_at"].as_str().unwrap();
    let search = format!(
        "/fhir/Slot?schedule=Schedule/{schedule}&start=ge{from}&status=free&_count=3&_include=Slot:schedule"
    );
    let free = house.get(&search).await;
    assert_eq!(matches(&free).len(), 3);
    assert_eq!(of_mode(&free, "include").len(), 1);
    assert_eq!(matches(&free)[0]["id"], slots[0]["id"]);
    let mut pages = 1;
    let mut seen = matches(&free).len();
    let mut address = next(&free);
    while let Some(path) = address {
        let page = house.get(&path).await;
        seen += matches(&page).len();
        pages += 1;
        address = next(&page);
    }
    assert_eq!((seen, pages > 1), (slots.len(), true));

    let made = send(
        &house,
        "POST",
        "/fhir/Appointment",
        &[],
        &booking(&slots[0], &asha),
    )
    .await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.json);
    let reference = made.json["slot"][0]["reference"].as_str().unwrap();
    let slot = house.get(&format!("/fhir/{reference}")).await;
    assert_eq!(resource(&slot)["status"], "busy");
    assert_eq!(slot.json["start"], made.json["start"]);
    let of = slot.json["schedule"]["reference"].as_str().unwrap();
    assert_eq!(
        resource(&house.get(&format!("/fhir/{of}")).await)["comment"],
        "OPD"
    );
    let free = house.get(&search).await;
    assert_eq!(matches(&free)[0]["id"], slots[1]["id"]);
    let id = slots[0]["id"].as_str().unwrap();
    let mine = format!("/fhir/Appointment?patient={asha}&slot={id}&_include=Appointment:slot");
    let mine = house.get(&mine).await;
    assert_eq!(matches(&mine).len(), 1);
    assert_eq!(of_mode(&mine, "include")[0]["resourceType"], "Slot");

    for (query, found) in [
        (format!("schedule={schedule}&start=ge{from}&status=busy"), 1),
        (format!("schedule={schedule}&start=ge2999"), 0),
        ("schedule=x".to_owned(), 0),
        ("start=ge2999&status=free".to_owned(), 0),
    ] {
        let page = house.get(&format!("/fhir/Slot?{query}")).await;
        assert_eq!(matches(&page).len(), found, "{query}");
    }
    let all = house.get("/fhir/Slot?status=free").await;
    assert_eq!(outcome(&all, 400), "fhir.too_costly");
    let token = house.user(&house.tenant, &["patients:read"]).await;
    for path in ["/fhir/Schedule".to_owned(), format!("/fhir/{reference}")] {
        let refused = house.get_as(&token, &path).await;
        assert_eq!(outcome(&refused, 403), "auth.permission", "{path}");
    }
}
