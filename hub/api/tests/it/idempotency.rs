//! A request that is sent again because its answer was lost.

use axum::http::StatusCode;
use hub_api::Noted;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use test_support::tenant;

use super::appointments;
use super::backbone::Mood;
use super::house::{Answer, House};
use super::samples::coded;

async fn post(house: &House, token: &str, path: &str, key: &str, body: &Value) -> Answer {
    house
        .write_with(token, "POST", path, body, &[("idempotency-key", key)])
        .await
}

fn user(name: &str) -> Value {
    json!({ "username": name, "display_name": "Somebody Else" })
}

#[tokio::test]
async fn the_answer_of_the_first_time_comes_again_also_what_is_shown_once() {
    let house = House::new().await;
    let make = |body: Value| {
        let house = &house;
        async move { post(house, house.token(), "/api/v1/users", "k1", &body).await }
    };
    let first = make(user("asha")).await;
    assert_eq!(first.status, StatusCode::CREATED);
    assert!(first.json["one_time_password"].is_string());
    let again = make(user("asha")).await;
    assert_eq!((again.status, &again.bytes), (first.status, &first.bytes));
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(house.backbone.commands.lock().unwrap().len(), 1);
    assert_eq!(make(user("ravi")).await.problem(422), "idempotency.reused");
    // without the key it is what it is: a name that is taken
    let plain = house.post("/api/v1/users", &user("asha")).await;
    assert_eq!(plain.problem(409), "users.username_exists");
    // what lies in the store names nothing
    let password = first.json["one_time_password"].as_str().unwrap();
    for (key, noted) in house.backbone.notes.lock().unwrap().iter() {
        let stored = String::from_utf8_lossy(&noted.value);
        assert!(
            !stored.contains(password) && !stored.contains("asha"),
            "{stored}"
        );
        assert!(key.starts_with("demo."), "{key}");
    }
}

#[tokio::test]
async fn a_key_is_one_callers_and_one_routes() {
    let house = House::new().await;
    let first = post(&house, house.token(), "/api/v1/users", "k", &user("asha")).await;
    assert_eq!(first.status, StatusCode::CREATED);
    // another person, another hospital, another route: other requests
    let other = house.user(&house.tenant, &["users:manage"]).await;
    let answer = post(&house, &other, "/api/v1/users", "k", &user("asha")).await;
    assert_eq!(answer.problem(409), "users.username_exists");
    let stranger = house.user(&tenant("other"), &["*"]).await;
    let answer = post(&house, &stranger, "/api/v1/users", "k", &user("asha")).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_ne!(answer.json["id"], first.json["id"]);
    let path = format!(
        "/api/v1/users/{}/reset-password",
        first.json["id"].as_str().unwrap()
    );
    let reset = post(&house, house.token(), &path, "k", &user("asha")).await;
    reset.ok();
    assert!(reset.header("idempotent-replayed").is_empty());
}

#[tokio::test]
async fn who_has_lost_the_right_is_not_told_the_answer_again() {
    let house = House::new().await;
    let token = house.user(&house.tenant, &["users:manage"]).await;
    let first = post(&house, &token, "/api/v1/users", "k", &user("asha")).await;
    assert_eq!(first.status, StatusCode::CREATED);
    let token = house.user(&house.tenant, &["users:read"]).await;
    // a change through this process is noticed at once
    house.post("/api/v1/users", &user("other")).await;
    let again = post(&house, &token, "/api/v1/users", "k", &user("asha")).await;
    assert_eq!(again.problem(403), "auth.permission");
}

#[tokio::test]
async fn what_was_refused_before_anything_was_asked_leaves_the_key_free() {
    let house = House::new().await;
    let wrong = json!({ "username": "A", "display_name": "X" });
    let answer = post(&house, house.token(), "/api/v1/users", "k", &wrong).await;
    assert_eq!(answer.problem(400), "request.invalid");
    let answer = post(&house, house.token(), "/api/v1/users", "k", &user("asha")).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    // what a worker refused is an answer
    let taken = post(&house, house.token(), "/api/v1/users", "k2", &user("asha")).await;
    assert_eq!(taken.problem(409), "users.username_exists");
    let again = post(&house, house.token(), "/api/v1/users", "k2", &user("asha")).await;
    assert_eq!(again.problem(409), "users.username_exists");
    assert_eq!(again.header("idempotent-replayed"), "true");
    for key in ["", "a b", "\"\""] {
        let answer = post(&house, house.token(), "/api/v1/users", key, &user("x1")).await;
        assert_eq!(answer.problem(400), "request.invalid", "{key:?}");
        assert_eq!(answer.json["errors"][0]["field"], "Idempotency-Key");
    }
}

#[tokio::test]
async fn what_failed_may_be_tried_again_and_asks_under_the_same_id() {
    let house = House::new().await;
    house.backbone.be(Mood::Panicking);
    let answer = post(&house, house.token(), "/api/v1/users", "k", &user("asha")).await;
    assert_eq!(answer.problem(500), "internal");
    house.backbone.be(Mood::Busy);
    let answer = post(&house, house.token(), "/api/v1/users", "k", &user("asha")).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    let pending = answer.header("location").to_owned();
    // that it is on its way is an answer too; its outcome is asked for there
    house.backbone.be(Mood::Willing);
    let again = post(&house, house.token(), "/api/v1/users", "k", &user("asha")).await;
    assert_eq!(again.status, StatusCode::ACCEPTED);
    assert_eq!(again.header("location"), pending);
    house.backbone.be(Mood::Down);
    let answer = post(&house, house.token(), "/api/v1/users", "k3", &user("ravi")).await;
    assert_eq!(answer.problem(503), "backbone.unavailable");
    let other = post(&house, house.token(), "/api/v1/users", "k", &user("ravi")).await;
    assert_eq!(other.problem(503), "backbone.unavailable");
}

/// The state of an entry as it lies in the store.
fn set_state(house: &House, state: &Value) {
    let mut notes = house.backbone.notes.lock().unwrap();
    let noted = notes.values_mut().next().unwrap();
    let mut entry: Value = serde_json::from_slice(&noted.value).unwrap();
    let of_body = entry["digest"].take();
    let mut entry = state.clone();
    entry["digest"] = of_body;
    set_entry(noted, &entry);
}

fn set_entry(noted: &mut Noted, entry: &Value) {
    *noted = Noted {
        value: entry.to_string().into_bytes().into(),
        revision: noted.revision + 1,
    };
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A body's digest in entries of the release before: without a key, after its length.
fn digest_without_key(body: &Value) -> String {
    let text = body.to_string();
    let mut whole = (text.len() as u64).to_be_bytes().to_vec();
    whole.extend_from_slice(text.as_bytes());
    hex(digest(&SHA256, &whole).as_ref())
}

/// A body may hold a password that few guesses find.
#[tokio::test]
async fn what_is_kept_of_a_body_confirms_no_guess() {
    let house = House::new().await;
    let body = user("asha");
    let made = post(&house, house.token(), "/api/v1/users", "k", &body).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let plain = hex(digest(&SHA256, body.to_string().as_bytes()).as_ref());
    for noted in house.backbone.notes.lock().unwrap().values() {
        let stored = String::from_utf8_lossy(&noted.value);
        assert!(!stored.contains(&digest_without_key(&body)) && !stored.contains(&plain));
    }
}

#[tokio::test]
async fn an_entry_of_before_an_update_is_its_bodys_still() {
    let house = House::new().await;
    let (body, other) = (user("asha"), user("ravi"));
    let make = |body: &Value| {
        let (house, body) = (&house, body.clone());
        async move { post(house, house.token(), "/api/v1/users", "k", &body).await }
    };
    // refused before anything is asked: an entry that says nothing
    make(&json!({ "username": "A", "display_name": "X" })).await;
    let set = |of_body: &str, state: &Value| {
        let mut notes = house.backbone.notes.lock().unwrap();
        let mut entry = state.clone();
        entry["digest"] = json!(of_body);
        set_entry(notes.values_mut().next().unwrap(), &entry);
    };
    let runs = json!({ "state": "running", "until": 4_102_444_800_000_i64 });
    let before = digest_without_key(&body);
    set(&before, &runs);
    assert_eq!(make(&body).await.problem(409), "idempotency.in_flight");
    assert_eq!(make(&other).await.problem(422), "idempotency.reused");
    // its process died in the update, and had asked for nothing yet
    set(&before, &json!({ "state": "running", "until": 1 }));
    assert_eq!(make(&body).await.status, StatusCode::CREATED);
    let again = make(&body).await;
    assert_eq!(again.status, StatusCode::CREATED);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(make(&other).await.problem(422), "idempotency.reused");
    assert_eq!(house.backbone.commands.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn under_another_secret_a_key_is_neither_run_again_nor_called_another_bodys() {
    let house = House::new().await;
    let body = user("asha");
    let make = || post(&house, house.token(), "/api/v1/users", "k", &body);
    assert_eq!(make().await.status, StatusCode::CREATED);
    for (state, code) in [
        (
            json!({ "state": "running", "until": 4_102_444_800_000_i64 }),
            "idempotency.in_flight",
        ),
        (
            json!({ "state": "running", "until": 1 }),
            "idempotency.answer_gone",
        ),
        (
            json!({ "state": "answered", "sealed": "" }),
            "idempotency.answer_gone",
        ),
        (json!({ "state": "free" }), "idempotency.answer_gone"),
    ] {
        let mut entry = state.clone();
        entry["digest"] = json!(format!("0011223344556677.{}", "0".repeat(64)));
        set_entry(
            house
                .backbone
                .notes
                .lock()
                .unwrap()
                .values_mut()
                .next()
                .unwrap(),
            &entry,
        );
        assert_eq!(make().await.problem(409), code, "{state}");
    }
    assert_eq!(house.backbone.commands.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_process_that_died_before_it_answered_has_done_it_once() {
    let house = House::new().await;
    let body = user("asha");
    let make = || post(&house, house.token(), "/api/v1/users", "k", &body);
    assert_eq!(make().await.status, StatusCode::CREATED);
    // it runs still, in another process
    set_state(
        &house,
        &json!({ "state": "running", "until": 4_102_444_800_000_i64 }),
    );
    let answer = make().await;
    assert_eq!(answer.problem(409), "idempotency.in_flight");
    assert!(!answer.header("retry-after").is_empty());
    // it died
    set_state(&house, &json!({ "state": "running", "until": 1 }));
    let answer = make().await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.json);
    let outcome = house.get(answer.header("location")).await;
    assert_eq!(outcome.ok()["state"], "applied");
    assert_eq!(
        house.backbone.commands.lock().unwrap().len(),
        1,
        "asked once"
    );
    let users = house.get("/api/v1/users?name=asha").await;
    assert_eq!(users.items().len(), 1);
}

#[tokio::test]
async fn of_two_at_the_same_moment_one_does_it() {
    let house = House::new().await;
    let body = user("asha");
    let make = || post(&house, house.token(), "/api/v1/users", "k", &body);
    let (one, other) = tokio::join!(make(), make());
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    // the second came while the first ran, or after it
    assert!(
        statuses == [201, 409] || statuses == [201, 201],
        "{statuses:?}"
    );
    assert_eq!(house.backbone.commands.lock().unwrap().len(), 1);
}

/// What is shown of a patient is shown as things are now, and each time it is on record.
#[tokio::test]
async fn a_bundle_that_reads_is_answered_anew_to_who_may_see_it_now() {
    let house = House::new().await;
    house.report("12345", 1, vec![coded("GLU", "104")]).await;
    let patient = house.get("/api/v1/patients?identifier=12345").await.items()[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let read = |url: String| json!({ "request": { "method": "GET", "url": url } });
    let search =
        json!({ "request": { "method": "POST", "url": "Patient/_search?identifier=12345" } });
    let bundle = json!({ "resourceType": "Bundle", "type": "batch",
        "entry": [read(format!("Patient/{patient}")), search] });
    let token = house.user(&house.tenant, &["patients:read"]).await;
    for times in 1..3 {
        let answer = post(&house, &token, "/fhir", "k", &bundle).await;
        assert_eq!(
            answer.ok()["entry"][0]["resource"]["id"],
            patient.as_str(),
            "{}",
            answer.json
        );
        assert!(answer.header("idempotent-replayed").is_empty());
        let looks = house
            .get(&format!("/api/v1/audit?patient={patient}&actor=nurse"))
            .await;
        assert_eq!(looks.items().len(), times * 2, "{}", looks.json);
    }
    let token = house.user(&house.tenant, &["users:read"]).await;
    house.post("/api/v1/users", &user("other")).await;
    let answer = post(&house, &token, "/fhir", "k", &bundle).await;
    assert_eq!(
        answer.ok()["entry"][0]["response"]["status"],
        "403 Forbidden"
    );
    assert!(answer.json["entry"][0].get("resource").is_none());
}

fn order(tube: &str) -> Value {
    json!({ "resourceType": "ServiceRequest", "status": "active", "intent": "order",
        "code": { "coding": [{ "code": "GLU" }] },
        "subject": { "identifier": { "system": "urn:hub:identifier:HOSP", "value": "12345" } },
        "contained": [{ "resourceType": "Specimen", "id": "t", "accessionIdentifier": { "value": tube } }],
        "specimen": [{ "reference": "#t" }] })
}

#[tokio::test]
async fn a_bundle_that_writes_is_carried_out_once_and_its_answer_is_not_kept() {
    let house = House::new().await;
    house.report("12345", 1, vec![coded("GLU", "104")]).await;
    let write = json!({ "request": { "method": "POST", "url": "ServiceRequest" }, "resource": order("T-1") });
    let read = json!({ "request": { "method": "GET", "url": "Patient?identifier=12345" } });
    let bundle = json!({ "resourceType": "Bundle", "type": "batch", "entry": [write, read] });
    let send = || post(&house, house.token(), "/fhir/", "k", &bundle);
    let first = send().await;
    assert_eq!(
        first.ok()["entry"][0]["response"]["status"],
        "201 Created",
        "{}",
        first.json
    );
    let commands = house.backbone.commands.lock().unwrap().len();
    let again = send().await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.json);
    assert_eq!(
        again.json["issue"][0]["details"]["coding"][0]["code"],
        "idempotency.answer_gone"
    );
    assert_eq!(house.backbone.commands.lock().unwrap().len(), commands);
    let mut other = bundle.clone();
    other["entry"][1] = other["entry"][0].clone();
    let reused = post(&house, house.token(), "/fhir/", "k", &other).await;
    assert_eq!(reused.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn who_has_lost_the_right_to_create_over_fhir_is_not_told_the_answer_again() {
    let house = House::new().await;
    house.report("12345", 1, vec![coded("GLU", "104")]).await;
    let may = ["orders:place", "orders:read", "patients:read"];
    let token = house.user(&house.tenant, &may).await;
    let path = "/fhir/ServiceRequest";
    let first = post(&house, &token, path, "k", &order("T-1")).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.json);
    let again = post(&house, &token, path, "k", &order("T-1")).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    let token = house
        .user(&house.tenant, &["orders:read", "patients:read"])
        .await;
    house.post("/api/v1/users", &user("other")).await;
    let again = post(&house, &token, path, "k", &order("T-1")).await;
    assert_eq!(again.status, StatusCode::FORBIDDEN, "{}", again.json);
    assert!(again.header("idempotent-replayed").is_empty());
}

/// AP1 and the warning of the desk, sent again: as useful as the first time.
#[tokio::test]
async fn a_refusal_comes_again_with_all_that_it_said() {
    let house = House::new().await;
    let (asha, ravi) = (
        appointments::patient(&house, "1001").await,
        appointments::patient(&house, "1002").await,
    );
    let (_, slots) = appointments::schedule(&house, "OPD").await;
    appointments::booked(&house, &slots[3], &asha).await;
    let full = json!({ "slot_id": slots[3]["id"], "patient_id": ravi });
    let person = json!({ "facility": "SGM", "demographics": {
        "name": { "family": "Iyer", "given": ["Meena"] }, "birth_date": "1950-01-01" } });
    let made = house.post("/api/v1/patients", &person).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
    for (path, body, code, member) in [
        (
            "/api/v1/appointments",
            full,
            "slots.full_conflict",
            "alternatives",
        ),
        (
            "/api/v1/patients",
            person,
            "patients.likely_duplicate",
            "lookalikes",
        ),
    ] {
        let first = post(&house, house.token(), path, "k", &body).await;
        assert_eq!(first.problem(409), code);
        assert!(!first.json[member].as_array().unwrap().is_empty());
        let again = post(&house, house.token(), path, "k", &body).await;
        assert_eq!(again.problem(409), code);
        assert_eq!(again.header("idempotent-replayed"), "true");
        assert_eq!(again.json[member], first.json[member]);
    }
}
