//! Sign-in, tokens, the first administrator.

use hub_api::bootstrap_admin;
use serde_json::json;
use test_support::tenant;

use super::backbone::Mood;
use super::house::{House, PASSWORD};

#[tokio::test]
async fn a_password_changes_into_a_token_and_leaves_an_audit_row() {
    let house = House::new().await;
    let answer = house
        .login(&json!({ "username": "admin", "password": PASSWORD }))
        .await;
    assert_eq!(answer.ok()["token_type"], "Bearer");
    assert_eq!(answer.json["expires_in"], 900);
    assert_eq!(answer.header("cache-control"), "no-store");
    let audit = house.get("/api/v1/audit?action=auth.login").await;
    assert_eq!(audit.items()[0]["actor"], "admin");
}

#[tokio::test]
async fn a_wrong_password_an_unknown_user_and_an_unknown_tenant_look_alike() {
    let house = House::new().await;
    for body in [
        json!({ "username": "admin", "password": "wrong" }),
        json!({ "username": "nobody", "password": PASSWORD }),
        json!({ "username": "admin", "password": PASSWORD, "tenant": "other" }),
        json!({ "username": "admin", "password": PASSWORD, "tenant": "not a tenant" }),
    ] {
        let answer = house.login(&body).await;
        assert_eq!(answer.problem(401), "auth.login", "{body}");
        assert_eq!(answer.json["detail"], "user name and password do not fit");
    }
}

#[tokio::test]
async fn five_failures_close_the_door_also_for_the_right_password() {
    let house = House::new().await;
    for _ in 0..5 {
        let answer = house
            .login(&json!({ "username": "admin", "password": "wrong" }))
            .await;
        answer.problem(401);
    }
    let answer = house
        .login(&json!({ "username": "admin", "password": PASSWORD }))
        .await;
    assert_eq!(answer.problem(429), "auth.throttled");
    assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
}

#[tokio::test]
async fn a_locked_user_does_not_come_in() {
    let house = House::new().await;
    let mut tx = house.database.tx(&house.tenant).await;
    sqlx::query("update users.users set state = 'locked'")
        .execute(tx.conn())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let answer = house
        .login(&json!({ "username": "admin", "password": PASSWORD }))
        .await;
    assert_eq!(answer.problem(401), "auth.login");
}

#[tokio::test]
async fn an_operator_signs_in_while_nats_is_down() {
    let house = House::new().await;
    house.backbone.be(Mood::Down);
    house.sign_in("admin", PASSWORD, None).await;
}

#[tokio::test]
async fn the_first_administrator_gets_a_password_once() {
    let house = House::new().await;
    let other = tenant("other");
    let pool = house.database.pool();
    let made = bootstrap_admin(pool, &other, None).await.unwrap().unwrap();
    assert_eq!(made.len(), 20);
    assert_eq!(bootstrap_admin(pool, &other, None).await.unwrap(), None);
    house.sign_in("admin", &made, Some("other")).await;

    let given = Some("another password".to_owned());
    assert_eq!(bootstrap_admin(pool, &other, given).await.unwrap(), None);
    house
        .sign_in("admin", "another password", Some("other"))
        .await;
    let answer = house
        .login(&json!({ "username": "admin", "password": made, "tenant": "other" }))
        .await;
    answer.problem(401);
    let short = Some("short".to_owned());
    assert!(bootstrap_admin(pool, &other, short).await.is_err());
}

#[tokio::test]
async fn a_request_without_a_good_token_is_refused() {
    let house = House::new().await;
    let none = house
        .send(
            axum::http::Request::get("/api/v1/patients")
                .body(axum::body::Body::empty())
                .unwrap(),
        )
        .await;
    assert_eq!(none.problem(401), "auth.token");
    assert_eq!(none.header("www-authenticate"), "Bearer realm=\"hub\"");
    for token in ["", "x", "eyJhbGciOiJub25lIn0.e30."] {
        let answer = house.get_as(token, "/api/v1/patients").await;
        assert_eq!(answer.problem(401), "auth.token", "{token}");
    }
}
