//! Appointments over REST: whose clinic it is, what a desk sees, and what opens as a chart does.

use serde_json::{Value, json};

use super::house::House;
use super::operations::check;
use super::samples::person;

fn every_day() -> Vec<Value> {
    (1..=7)
        .map(|weekday| json!({ "weekday": weekday, "from": "08:00", "to": "20:00" }))
        .collect()
}

fn clinic(department: &str) -> Value {
    json!({
        "name": "OPD", "facility": "MAIN", "department": department, "practitioner": "D-7", "slot_minutes": 30,
        "horizon_days": 2, "hours": every_day(), "walk_ins": 3,
    })
}

/// A schedule and its free slots.
pub(crate) async fn schedule(house: &House, department: &str) -> (String, Vec<Value>) {
    let made = house.post("/api/v1/schedules", &clinic(department)).await;
    assert_eq!(made.status, 201, "{}", made.json);
    let id = made.json["schedule_id"].as_str().unwrap().to_owned();
    assert_eq!(made.header("location"), format!("/api/v1/schedules/{id}"));
    let slots = house
        .get(&format!(
            "/api/v1/slots?schedule_id={id}&free=true&limit=500"
        ))
        .await;
    (id, slots.items().clone())
}

pub(crate) async fn patient(house: &House, number: &str) -> String {
    house.event(&person(&house.tenant, number)).await;
    let found = house
        .get(&format!("/api/v1/patients?identifier={number}"))
        .await;
    found.items()[0]["id"].as_str().unwrap().to_owned()
}

pub(crate) async fn booked(house: &House, slot: &Value, patient: &str) -> Value {
    let body =
        json!({ "slot_id": slot["id"], "patient_id": patient, "reason": "a private matter" });
    let made = house.post("/api/v1/appointments", &body).await;
    assert_eq!(made.status, 201, "{}", made.json);
    made.json.clone()
}

async fn clerk(house: &House, name: &str, department: Option<&str>) -> String {
    let (id, tokens) = house.staff(name).await;
    let mut grant = json!({ "role": "front_desk" });
    if let Some(department) = department {
        grant["facility"] = json!("MAIN");
        grant["department"] = json!(department);
    }
    house.grant(&id, &grant).await;
    tokens["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_clerk_of_one_department_books_there_and_sees_who_is_booked_there_and_nowhere_else() {
    let house = House::new().await;
    let (own, slots) = schedule(&house, "OPD").await;
    let (other, others) = schedule(&house, "PSYCH").await;
    let asha = patient(&house, "1001").await;
    let there = booked(&house, &others[0], &asha).await;
    let token = clerk(&house, "asha", Some("OPD")).await;

    let body =
        json!({ "slot_id": slots[0]["id"], "patient_identifier": "1001", "reason": "cough" });
    let mine = house.post_as(&token, "/api/v1/appointments", &body).await;
    assert_eq!(mine.status, 201, "{}", mine.json);
    let elsewhere = json!({ "slot_id": others[1]["id"], "patient_identifier": "1001" });
    let refused = house
        .post_as(&token, "/api/v1/appointments", &elsewhere)
        .await;
    assert_eq!(refused.problem(403), "auth.scope");
    let list = house.get_as(&token, "/api/v1/appointments").await;
    assert_eq!(list.items().len(), 1);
    assert_eq!(list.items()[0]["schedule_id"], own.as_str());
    assert_eq!(list.items()[0]["patient_id"], asha.as_str());
    let all = house.get("/api/v1/appointments").await;
    assert_eq!(all.items().len(), 2);
    // what it is about stands in no list of a desk
    assert!(all.items().iter().all(|one| one.get("reason").is_none()));
    let id = mine.json["appointment_id"].as_str().unwrap();
    let read = house
        .get_as(&token, &format!("/api/v1/appointments/{id}"))
        .await;
    assert_eq!(read.ok()["reason"], "cough");
    assert_eq!(read.header("etag"), "\"1\"");

    let there = there["appointment_id"].as_str().unwrap();
    let path = format!("/api/v1/appointments/{there}");
    assert_eq!(
        house.get_as(&token, &path).await.problem(403),
        "auth.relationship"
    );
    let cancel = json!({ "reason": "no" });
    let refused = house
        .post_as(&token, &format!("{path}/cancel"), &cancel)
        .await;
    assert_eq!(refused.problem(403), "auth.scope");
    let chart = format!("/api/v1/appointments?patient_id={asha}");
    assert_eq!(
        house.get_as(&token, &chart).await.problem(403),
        "auth.relationship"
    );
    let of_the_day = format!(
        "/api/v1/queues?schedule_id={other}&day={}",
        others[0]["day"].as_str().unwrap()
    );
    let queues = house.get(&of_the_day).await;
    let queue = queues.items()[0]["id"].as_str().unwrap().to_owned();
    assert!(house.get_as(&token, &of_the_day).await.items().is_empty());
    let refused = house
        .get_as(&token, &format!("/api/v1/queues/{queue}"))
        .await;
    assert_eq!(refused.problem(403), "auth.scope");
    let refused = house
        .post_as(&token, "/api/v1/schedules", &clinic("PSYCH"))
        .await;
    assert_eq!(refused.problem(403), "auth.scope");
}

#[tokio::test]
async fn where_a_relationship_is_demanded_a_patients_list_opens_as_his_chart_does() {
    let house = House::with(|state| state.with_care_relationship(true)).await;
    let (_, slots) = schedule(&house, "OPD").await;
    let asha = patient(&house, "1001").await;
    let made = booked(&house, &slots[0], &asha).await;
    let token = clerk(&house, "asha", None).await;
    for path in [
        format!("/api/v1/appointments?patient_id={asha}"),
        format!(
            "/api/v1/appointments/{}",
            made["appointment_id"].as_str().unwrap()
        ),
    ] {
        let refused = house.get_as(&token, &path).await;
        assert_eq!(refused.problem(403), "auth.relationship", "{path}");
        house.get(&path).await.ok();
    }
    // the day's list of the clinic is the desk's work
    let list = house.get_as(&token, "/api/v1/appointments").await;
    assert_eq!(list.items().len(), 1);
}

#[tokio::test]
async fn a_full_slot_names_free_ones_and_an_appointment_goes_its_way_with_its_version() {
    let house = House::new().await;
    let (schedule, slots) = schedule(&house, "OPD").await;
    let (asha, ravi) = (patient(&house, "1001").await, patient(&house, "1002").await);
    let made = booked(&house, &slots[3], &asha).await;
    let body = json!({ "slot_id": slots[3]["id"], "patient_id": ravi });
    let full = house.post("/api/v1/appointments", &body).await;
    assert_eq!(full.problem(409), "slots.full_conflict");
    let others = full.json["alternatives"].as_array().unwrap();
    assert_eq!(others.len(), 5);
    let nearest = [&slots[2]["id"], &slots[4]["id"]];
    assert!(nearest.contains(&&others[0]["slot_id"]));

    let id = made["appointment_id"].as_str().unwrap();
    let path = format!("/api/v1/appointments/{id}");
    let confirmed = house.post(&format!("{path}/confirm"), &json!({})).await;
    assert_eq!(confirmed.ok()["version"], 2);
    assert_eq!(confirmed.header("etag"), "\"2\"");
    let again = house.post(&format!("{path}/confirm"), &json!({})).await;
    assert_eq!(again.problem(409), "appointments.state_conflict");
    let change = house
        .write_as(house.token(), "PATCH", &path, &json!({ "mode": "video" }))
        .await;
    assert_eq!(change.ok()["version"], 3);
    let moved = house
        .post(
            &format!("{path}/reschedule"),
            &json!({ "slot_id": slots[5]["id"] }),
        )
        .await;
    assert_eq!(moved.ok()["state"], "booked");
    let taken = house.post("/api/v1/appointments", &body).await;
    assert_eq!(taken.status, 201, "the old place is free: {}", taken.json);
    let back = house
        .post(
            &format!("{path}/reschedule"),
            &json!({ "slot_id": slots[3]["id"] }),
        )
        .await;
    assert_eq!(back.problem(409), "slots.full_conflict");
    assert!(back.json["alternatives"].is_array());

    let entry = json!({
        "schedule_id": schedule, "patient_id": asha, "from": slots[3]["starts_at"], "to": slots[3]["ends_at"],
    });
    let entry = house.post("/api/v1/waitlist", &entry).await;
    assert_eq!(entry.status, 201, "{}", entry.json);
    let entry = entry.json["entry_id"].as_str().unwrap();
    let cancelled = house
        .post(
            &format!(
                "/api/v1/appointments/{}/cancel",
                taken.json["appointment_id"].as_str().unwrap()
            ),
            &json!({ "reason": "called off" }),
        )
        .await;
    assert_eq!(cancelled.ok()["state"], "cancelled");
    let offered = house.get(&format!("/api/v1/waitlist/{entry}")).await;
    assert_eq!(offered.ok()["state"], "offered");
    assert_eq!(offered.ok()["slot_id"], slots[3]["id"]);
    let list = house
        .get(&format!("/api/v1/waitlist?schedule_id={schedule}"))
        .await;
    assert_eq!(list.items()[0]["rank"], 1);
    let accepted = house
        .post(&format!("/api/v1/waitlist/{entry}/accept"), &json!({}))
        .await;
    assert_eq!(accepted.ok()["state"], "booked");
}

#[tokio::test]
async fn leave_lists_whom_it_affects_and_ends() {
    let house = House::new().await;
    let (schedule, slots) = schedule(&house, "OPD").await;
    let asha = patient(&house, "1001").await;
    let last = slots.last().unwrap();
    let made = booked(&house, last, &asha).await;
    let leave = json!({ "kind": "leave", "first_day": last["day"], "last_day": last["day"], "reason": "conference" });
    let path = format!("/api/v1/schedules/{schedule}/exceptions");
    let told = house.post(&path, &leave).await;
    assert_eq!(told.status, 201, "{}", told.json);
    assert_eq!(told.json["affected"], json!([made["appointment_id"]]));
    let exception = told.json["exception_id"].as_str().unwrap();
    let listed = house.get(&path).await;
    assert_eq!(listed.items()[0]["affected"], 1);
    let affected = house
        .get(&format!("/api/v1/appointments?exception_id={exception}"))
        .await;
    assert_eq!(affected.items()[0]["attention"], "leave");
    let end = format!("/api/v1/schedule-exceptions/{exception}/end");
    let ended = house.post(&end, &json!({})).await;
    assert_eq!(ended.ok()["exception_id"], exception);
    let twice = house.post(&end, &json!({})).await;
    assert_eq!(twice.ok()["slots"]["added"], 0);
    let affected = house
        .get(&format!("/api/v1/appointments?exception_id={exception}"))
        .await;
    assert!(affected.items().is_empty());
}

#[tokio::test]
async fn what_is_wrong_with_a_request_names_the_field_and_what_is_not_there_is_404() {
    let house = House::new().await;
    let (schedule, slots) = schedule(&house, "OPD").await;
    let nobody = "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c";
    let with = |name: &str, value: Value| {
        let mut clinic = clinic("OPD");
        clinic[name] = value;
        clinic
    };
    for (name, value, field) in [
        ("slot_minutes", json!(0), "slot_minutes"),
        ("capacity", json!(501), "capacity"),
        ("reminder_minutes", json!([60, 60]), "reminder_minutes"),
        (
            "hours",
            json!([{ "weekday": 8, "from": "08:00", "to": "09:00" }]),
            "hours.weekday",
        ),
        (
            "hours",
            json!([{ "weekday": 1, "from": "8:00", "to": "09:00" }]),
            "hours[0].from",
        ),
        ("practitioner", Value::Null, "practitioner"),
        ("name", json!(" "), "name"),
    ] {
        let refused = house
            .post("/api/v1/schedules", &with(name, value.clone()))
            .await;
        assert_eq!(refused.problem(400), "request.invalid", "{name} {value}");
        assert_eq!(
            refused.json["errors"][0]["field"], field,
            "{}",
            refused.json
        );
    }
    let zone = house
        .post("/api/v1/schedules", &with("zone", json!("IST")))
        .await;
    assert_eq!(zone.problem(422), "schedules.zone");
    let both =
        json!({ "slot_id": slots[0]["id"], "patient_id": nobody, "patient_identifier": "1" });
    assert_eq!(
        house.post("/api/v1/appointments", &both).await.problem(400),
        "request.invalid"
    );
    for body in [
        json!({ "slot_id": slots[0]["id"], "patient_id": nobody }),
        json!({ "slot_id": slots[0]["id"], "patient_identifier": "none" }),
    ] {
        assert_eq!(
            house.post("/api/v1/appointments", &body).await.problem(422),
            "appointments.no_patient"
        );
    }
    for (path, code) in [
        ("schedules", "schedules.unknown"),
        ("slots", "slots.unknown"),
        ("appointments", "appointments.unknown"),
        ("waitlist", "waitlist.unknown"),
        ("queues", "queues.unknown"),
    ] {
        let refused = house.get(&format!("/api/v1/{path}/{nobody}")).await;
        assert_eq!(refused.problem(404), code);
    }
    let state = house.get("/api/v1/appointments?state=waiting").await;
    assert_eq!(state.problem(400), "request.invalid");
    let path = format!("/api/v1/schedules/{schedule}");
    let read = house.get(&path).await;
    assert_eq!(read.ok()["hours"].as_array().unwrap().len(), 7);
    let mut ids = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = house
            .get(&format!(
                "/api/v1/slots?schedule_id={schedule}&limit=7{cursor}"
            ))
            .await;
        ids.extend(page.items().iter().map(|slot| slot["id"].to_string()));
        match page.ok()["next_cursor"].as_str() {
            None => break,
            Some(next) => cursor = format!("&cursor={next}"),
        }
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((count, ids.len()), (slots.len(), slots.len()));
}

#[tokio::test]
async fn walk_ins_are_called_by_their_number() {
    let house = House::new().await;
    let mut clinic = clinic("OPD");
    clinic["zone"] = json!("UTC");
    clinic["hours"] = json!(
        (1..=7)
            .map(|weekday| json!({ "weekday": weekday, "from": "00:00", "to": "24:00" }))
            .collect::<Vec<_>>()
    );
    let made = house.post("/api/v1/schedules", &clinic).await;
    let schedule = made.json["schedule_id"].as_str().unwrap().to_owned();
    let asha = patient(&house, "1001").await;
    let walk_in = house
        .post(
            &format!("/api/v1/schedules/{schedule}/walk-ins"),
            &json!({ "patient_id": asha }),
        )
        .await;
    assert_eq!(walk_in.status, 201, "{}", walk_in.json);
    assert_eq!(walk_in.json["token"], 1);
    let queue = walk_in.json["queue_id"].as_str().unwrap();
    let path = format!("/api/v1/queues/{queue}");
    let read = house.get(&path).await;
    assert_eq!(read.ok()["tokens"][0]["patient_id"], asha.as_str());
    let called = house
        .post(&format!("{path}/next"), &json!({ "room": "4" }))
        .await;
    assert_eq!(
        (&called.ok()["token"], &called.ok()["room"]),
        (&json!(1), &json!("4"))
    );
    let nobody = house.post(&format!("{path}/next"), &json!({})).await;
    assert_eq!(nobody.problem(409), "queues.empty_conflict");
    let delayed = house
        .post(
            &format!("{path}/delay"),
            &json!({ "minutes": 20, "reason": "emergency" }),
        )
        .await;
    assert_eq!(delayed.ok()["answer"]["appointments"], 1);
    let list = house
        .get(&format!("/api/v1/appointments?patient_id={asha}"))
        .await;
    assert_eq!(list.items()[0]["token"], 1);
}

#[tokio::test]
async fn what_is_answered_about_appointments_fits_what_is_described() {
    let house = House::new().await;
    let (schedule, slots) = schedule(&house, "OPD").await;
    let asha = patient(&house, "1001").await;
    let made = booked(&house, &slots[3], &asha).await;
    check("AppointmentWritten", &made);
    let id = made["appointment_id"].as_str().unwrap();
    let leave = json!({ "kind": "leave", "first_day": slots[3]["day"], "last_day": slots[3]["day"], "reason": "ill" });
    let path = format!("/api/v1/schedules/{schedule}/exceptions");
    check("ScheduleWritten", &house.post(&path, &leave).await.json);
    let entry = json!({
        "schedule_id": schedule, "patient_id": asha, "from": slots[0]["starts_at"], "to": "2999-01-01T00:00:00Z",
    });
    let entry = house.post("/api/v1/waitlist", &entry).await.json;
    check("WaitlistWritten", &entry);
    let entry = entry["entry_id"].as_str().unwrap();
    let queues = format!("/api/v1/queues?day={}", slots[3]["day"].as_str().unwrap());
    let queue = house.get(&queues).await.items()[0]["id"].clone();
    let queue = queue.as_str().unwrap();
    let slot = slots[3]["id"].as_str().unwrap();
    for (path, schema) in [
        ("/api/v1/schedules".to_owned(), "Page_Schedule"),
        (format!("/api/v1/schedules/{schedule}"), "Schedule"),
        (path, "Page_ScheduleException"),
        (format!("/api/v1/slots?schedule_id={schedule}"), "Page_Slot"),
        (format!("/api/v1/slots/{slot}"), "Slot"),
        ("/api/v1/appointments".to_owned(), "Page_Appointment"),
        (
            format!("/api/v1/appointments?patient_id={asha}"),
            "Page_Appointment",
        ),
        (format!("/api/v1/appointments/{id}"), "AppointmentDetail"),
        ("/api/v1/waitlist".to_owned(), "Page_WaitlistEntry"),
        (format!("/api/v1/waitlist/{entry}"), "WaitlistEntry"),
        (queues, "Page_Queue"),
        (format!("/api/v1/queues/{queue}"), "QueueDetail"),
    ] {
        check(schema, house.get(&path).await.ok());
    }
    let full = json!({ "slot_id": slot, "patient_id": asha });
    let problem = house.post("/api/v1/appointments", &full).await;
    check("Problem", &problem.json);
}
