//! A request that is sent again because its answer was lost.

use axum::http::StatusCode;
use hub_api::Noted;
use serde_json::{Value, json};
use test_support::tenant;

use super::backbone::Mood;
use super::house::{Answer, House};

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
    let digest = entry["digest"].take();
    let mut entry = state.clone();
    entry["digest"] = digest;
    *noted = Noted {
        value: entry.to_string().into_bytes().into(),
        revision: noted.revision + 1,
    };
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
