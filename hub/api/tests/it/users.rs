//! Users and sessions: what administrators do, and what it does at once.

use axum::http::StatusCode;
use serde_json::{Value, json};
use test_support::tenant;

use super::backbone::Mood;
use super::house::{House, PASSWORD};

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

#[tokio::test]
async fn a_new_user_must_change_the_password_and_may_do_nothing_until_a_role_is_given() {
    let house = House::new().await;
    let made = house
        .post(
            "/api/v1/users",
            &json!({ "username": "asha", "display_name": "Asha Sharma" }),
        )
        .await;
    assert_eq!(made.status, StatusCode::CREATED);
    let id = text(&made.json, "id").to_owned();
    assert_eq!(made.header("location"), format!("/api/v1/users/{id}"));
    let one_time = text(&made.json, "one_time_password");
    let first = house
        .login(&json!({ "username": "asha", "password": one_time }))
        .await;
    assert_eq!(first.ok()["must_change_password"], true);
    let token = text(&first.json, "access_token").to_owned();
    house.grant(&id, &json!({ "role": "lab_technician" })).await;
    let refused = house.get_as(&token, "/api/v1/patients").await;
    assert_eq!(refused.problem(403), "auth.password_change");

    for (current, new, status, code) in [
        (
            "wrong",
            "blue kettle under the stairs",
            403,
            "auth.password",
        ),
        (one_time, "short", 422, "password.weak"),
        (one_time, "Welcome2Hospital2026", 422, "password.weak"),
        (one_time, one_time, 422, "password.weak"),
    ] {
        let change = json!({ "current_password": current, "new_password": new });
        let answer = house.post_as(&token, "/api/v1/me/password", &change).await;
        assert_eq!(answer.problem(status), code, "{new}");
    }
    let change = json!({ "current_password": one_time, "new_password": PASSWORD });
    house
        .post_as(&token, "/api/v1/me/password", &change)
        .await
        .ok();
    // the session that changed it goes on
    house.get_as(&token, "/api/v1/patients").await.ok();
    house
        .login(&json!({ "username": "asha", "password": one_time }))
        .await
        .problem(401);
    let me = house.get_as(&token, "/api/v1/me").await;
    let held: Vec<&str> = me.ok()["permissions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| text(one, "permission"))
        .collect();
    assert!(held.contains(&"worklists:read") && !held.contains(&"users:manage"));
    let users = house.get("/api/v1/users?name=sharma").await;
    assert_eq!(users.items()[0]["username"], "asha");
    assert!(!users.json.to_string().contains("argon2"));
}

#[tokio::test]
async fn a_name_is_given_once_and_holds_nothing_that_breaks_a_line_or_a_header() {
    let house = House::new().await;
    house.staff("asha").await;
    let again = json!({ "username": "asha", "display_name": "Another" });
    let answer = house.post("/api/v1/users", &again).await;
    assert_eq!(answer.problem(409), "users.username_exists");
    for name in [
        "a",
        "Asha",
        "asha sharma",
        "asha\r\nx-admin: 1",
        "asha\u{0}",
        "-asha",
        "client:asha",
        "आशा",
        "' or 1=1 --",
        "../../etc",
        "{\"$ne\":1}",
        "${jndi:ldap://x}",
    ] {
        let user = json!({ "username": name, "display_name": "X" });
        let answer = house.post("/api/v1/users", &user).await;
        assert_eq!(answer.problem(400), "request.invalid", "{name:?}");
    }
    for name in ["", "  ", "Asha\r\nSet-Cookie: x=1", "x\u{7}"] {
        let user = json!({ "username": "ravi", "display_name": name });
        let answer = house.post("/api/v1/users", &user).await;
        assert_eq!(answer.problem(400), "request.invalid", "{name:?}");
    }
    // what is odd but harmless comes back as it was sent
    let odd = "Robert'); drop table users;-- <script>";
    let user = json!({ "username": "ravi", "display_name": odd });
    let made = house.post("/api/v1/users", &user).await;
    let path = format!("/api/v1/users/{}", text(&made.json, "id"));
    assert_eq!(house.get(&path).await.ok()["display_name"], odd);
}

#[tokio::test]
async fn whoever_is_shut_out_is_out_at_once_and_comes_back_when_let_in() {
    let house = House::new().await;
    let (id, tokens) = house.staff("asha").await;
    let token = text(&tokens, "access_token");
    let path = format!("/api/v1/users/{id}/state");
    for state in ["locked", "disabled"] {
        let fresh = house.sign_in("asha", PASSWORD, None).await;
        house.get_as(&fresh, "/api/v1/me").await.ok();
        let change = json!({ "state": state, "reason": "lost badge" });
        house.post(&path, &change).await.ok();
        for gone in [token, &fresh] {
            let answer = house.get_as(gone, "/api/v1/me").await;
            assert_eq!(answer.problem(401), "auth.token");
        }
        let refused = house
            .login(&json!({ "username": "asha", "password": PASSWORD }))
            .await;
        assert_eq!(refused.problem(401), "auth.login");
        let refresh = json!({ "refresh_token": tokens["refresh_token"] });
        let refused = house.post("/api/v1/auth/refresh", &refresh).await;
        assert_eq!(refused.problem(401), "auth.refresh");
        let change = json!({ "state": "active", "reason": "badge found" });
        house.post(&path, &change).await.ok();
        // sessions that were ended stay so
        house.get_as(&fresh, "/api/v1/me").await.problem(401);
    }
    house.sign_in("asha", PASSWORD, None).await;
    // nobody shuts himself out
    let me = house.get("/api/v1/me").await.ok().clone();
    let own = format!("/api/v1/users/{}/state", text(&me, "id"));
    let answer = house
        .post(&own, &json!({ "state": "disabled", "reason": "x" }))
        .await;
    assert_eq!(answer.problem(403), "users.own_state_not_allowed");
}

#[tokio::test]
async fn an_administrator_forgives_failed_sign_ins() {
    let house = House::new().await;
    let (id, _) = house.staff("asha").await;
    for _ in 0..5 {
        let wrong = json!({ "username": "asha", "password": "wrong" });
        house.login(&wrong).await.problem(401);
    }
    let right = json!({ "username": "asha", "password": PASSWORD });
    assert_eq!(house.login(&right).await.problem(429), "auth.throttled");
    let path = format!("/api/v1/users/{id}/state");
    let change = json!({ "state": "active", "reason": "called from the ward" });
    house.post(&path, &change).await.ok();
    house.login(&right).await.ok();
}

#[tokio::test]
async fn a_reset_password_is_shown_once_and_ends_the_sessions() {
    let house = House::new().await;
    let (id, tokens) = house.staff("asha").await;
    let reset = house
        .post(&format!("/api/v1/users/{id}/reset-password"), &json!({}))
        .await;
    let one_time = text(reset.ok(), "one_time_password").to_owned();
    let token = text(&tokens, "access_token");
    house.get_as(token, "/api/v1/me").await.problem(401);
    let right = json!({ "username": "asha", "password": PASSWORD });
    house.login(&right).await.problem(401);
    let first = house
        .login(&json!({ "username": "asha", "password": one_time }))
        .await;
    assert_eq!(first.ok()["must_change_password"], true);
    let mut tx = house.database.tx(&house.tenant).await;
    sqlx::query("update users.users set one_time_until = now() - interval '1 minute' where username = 'asha'")
        .execute(tx.conn())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let late = json!({ "username": "asha", "password": one_time });
    assert_eq!(house.login(&late).await.problem(401), "auth.login");
    for (actor, action) in [("admin", "users.password.reset"), ("asha", "auth.login")] {
        let found = house
            .get(&format!(
                "/api/v1/audit?action={action}&actor={actor}&touched={id}"
            ))
            .await;
        assert!(!found.items().is_empty(), "{action}");
    }
}

#[tokio::test]
async fn a_change_of_what_was_not_seen_is_refused() {
    let house = House::new().await;
    let (id, _) = house.staff("asha").await;
    let path = format!("/api/v1/users/{id}");
    let seen = house.get(&path).await;
    let tag = seen.header("etag").to_owned();
    let send = |tag: String, name: &'static str| {
        let request = axum::http::Request::patch(&path)
            .header("authorization", format!("Bearer {}", house.token()))
            .header("content-type", "application/json")
            .header("if-match", tag)
            .body(axum::body::Body::from(
                json!({ "display_name": name }).to_string(),
            ))
            .unwrap();
        house.send(request)
    };
    send(tag.clone(), "Asha S.").await.ok();
    assert_eq!(send(tag, "Asha T.").await.problem(412), "users.stale");
    assert_eq!(
        send("\"x\"".to_owned(), "A").await.problem(400),
        "request.invalid"
    );
    assert_eq!(house.get(&path).await.ok()["display_name"], "Asha S.");
}

#[tokio::test]
async fn sessions_are_listed_and_ended_one_by_one_or_all() {
    let house = House::new().await;
    let (id, tokens) = house.staff("asha").await;
    let here = text(&tokens, "access_token");
    let there = house
        .login(&json!({ "username": "asha", "password": PASSWORD }))
        .await
        .ok()
        .clone();
    let listed = house.get_as(here, "/api/v1/me/sessions").await;
    let other = listed
        .items()
        .iter()
        .find(|one| one["current"] == false)
        .unwrap();
    assert!(listed.items().iter().any(|one| one["current"] == true));
    // the newest of the others is the one from there
    let path = format!("/api/v1/me/sessions/{}/end", text(other, "id"));
    house.post_as(here, &path, &json!({})).await.ok();
    let there_token = text(&there, "access_token");
    assert_eq!(
        house.get_as(there_token, "/api/v1/me").await.problem(401),
        "auth.token"
    );
    let refresh = json!({ "refresh_token": there["refresh_token"] });
    let refused = house.post("/api/v1/auth/refresh", &refresh).await;
    assert_eq!(refused.problem(401), "auth.refresh");
    house.get_as(here, "/api/v1/me").await.ok();

    let (_, of_ravi) = house.staff("ravi").await;
    let ravi = text(&of_ravi, "access_token");
    let answer = house.post_as(ravi, &path, &json!({})).await;
    assert_eq!(answer.problem(404), "sessions.unknown", "not his session");

    let ended = house
        .post(
            &format!("/api/v1/users/{id}/end-sessions"),
            &json!({ "reason": "badge stolen" }),
        )
        .await;
    assert!(ended.ok()["answer"]["sessions_ended"].as_i64().unwrap() >= 1);
    house.get_as(here, "/api/v1/me").await.problem(401);
    let all = house.get(&format!("/api/v1/users/{id}/sessions")).await;
    assert!(all.items().iter().all(|one| one["ended_at"].is_string()));

    let out = house.post_as(ravi, "/api/v1/auth/logout", &json!({})).await;
    out.ok();
    house.get_as(ravi, "/api/v1/me").await.problem(401);
}

/// T1: ids of another tenant are no ids.
#[tokio::test]
async fn ids_of_another_tenant_lead_nowhere() {
    let house = House::new().await;
    let (user, tokens) = house.staff("asha").await;
    let grant = house.grant(&user, &json!({ "role": "nurse" })).await;
    let program = json!({ "name": "board", "permissions": ["channels:read"] });
    let client = house.post("/api/v1/clients", &program).await;
    let client = text(&client.json, "id").to_owned();
    let sessions = house
        .get_as(text(&tokens, "access_token"), "/api/v1/me/sessions")
        .await;
    let session = text(&sessions.items()[0], "id").to_owned();

    let other = tenant("other");
    let stranger = house.user(&other, &["*"]).await;
    for path in [
        format!("/api/v1/users/{user}"),
        format!("/api/v1/users/{user}/grants"),
        format!("/api/v1/users/{user}/sessions"),
        format!("/api/v1/clients/{client}"),
    ] {
        let answer = house.get_as(&stranger, &path).await;
        assert!(answer.problem(404).ends_with(".unknown"), "{path}");
    }
    for (path, body) in [
        (
            format!("/api/v1/users/{user}/grants"),
            json!({ "role": "nurse" }),
        ),
        (
            format!("/api/v1/grants/{grant}/end"),
            json!({ "reason": "x" }),
        ),
        (
            format!("/api/v1/users/{user}/state"),
            json!({ "state": "locked", "reason": "x" }),
        ),
        (format!("/api/v1/users/{user}/reset-password"), json!({})),
        (
            format!("/api/v1/users/{user}/end-sessions"),
            json!({ "reason": "x" }),
        ),
        (
            format!("/api/v1/users/{user}/remove-second-factor"),
            json!({ "reason": "x" }),
        ),
        (format!("/api/v1/me/sessions/{session}/end"), json!({})),
        (format!("/api/v1/clients/{client}/rotate-secret"), json!({})),
    ] {
        let answer = house.post_as(&stranger, &path, &body).await;
        assert!(answer.problem(404).ends_with(".unknown"), "{path}");
    }
    let answer = house
        .write_as(
            &stranger,
            "PATCH",
            &format!("/api/v1/users/{user}"),
            &json!({ "display_name": "X" }),
        )
        .await;
    assert_eq!(answer.problem(404), "users.unknown");
    let names = house.get_as(&stranger, "/api/v1/users").await;
    assert!(!names.json.to_string().contains("asha"));
    // and a name may be taken in both
    let user = json!({ "username": "asha", "display_name": "Another Asha" });
    let made = house.post_as(&stranger, "/api/v1/users", &user).await;
    assert_eq!(made.status, StatusCode::CREATED);
}

#[tokio::test]
async fn what_is_written_while_the_worker_is_busy_is_accepted_and_shows_no_secret() {
    let house = House::new().await;
    house.backbone.be(Mood::Busy);
    let user = json!({ "username": "asha", "display_name": "Asha" });
    let answer = house.post("/api/v1/users", &user).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert!(!answer.json.to_string().contains("password"));
    assert!(answer.header("location").starts_with("/api/v1/commands/"));
}
