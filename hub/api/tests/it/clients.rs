//! API clients: the token endpoint, scopes, secrets that overlap, addresses, rates.

use std::net::{Ipv4Addr, SocketAddr};

use axum::Extension;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::house::{Answer, House};

struct Program {
    id: String,
    name: String,
    secret: String,
}

async fn program(house: &House, body: &Value) -> Program {
    let made = house.post("/api/v1/clients", body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
    let text = |name: &str| made.json[name].as_str().unwrap().to_owned();
    Program {
        id: text("id"),
        name: text("client_id"),
        secret: text("client_secret"),
    }
}

async fn ask(house: &House, form: &[(&str, &str)]) -> Answer {
    let body = form
        .iter()
        .fold(
            form_urlencoded::Serializer::new(String::new()),
            |mut form, (name, value)| {
                form.append_pair(name, value);
                form
            },
        )
        .finish();
    house
        .send(
            Request::post("/oauth/token")
                .header("content-type", "application/x-www-form-urlencoded")
                .body(Body::from(body))
                .unwrap(),
        )
        .await
}

async fn token(house: &House, program: &Program, secret: &str) -> Answer {
    ask(
        house,
        &[
            ("grant_type", "client_credentials"),
            ("client_id", &program.name),
            ("client_secret", secret),
        ],
    )
    .await
}

#[tokio::test]
async fn a_program_gets_a_token_for_what_it_may_do_and_no_more() {
    let house = House::new().await;
    let board = program(
        &house,
        &json!({ "name": "ward-board", "permissions": ["channels:read", "held:read"] }),
    )
    .await;
    let answer = token(&house, &board, &board.secret).await;
    assert_eq!(answer.ok()["token_type"], "Bearer");
    assert_eq!(answer.json["scope"], "channels:read held:read");
    let access = answer.json["access_token"].as_str().unwrap();
    house.get_as(access, "/api/v1/channels").await.ok();
    let refused = house.get_as(access, "/api/v1/patients").await;
    assert_eq!(refused.problem(403), "auth.permission");
    // people's affairs are none of a program's
    let refused = house.post_as(access, "/api/v1/me/totp", &json!({})).await;
    assert_eq!(refused.problem(403), "auth.person");

    let narrow = ask(
        &house,
        &[
            ("grant_type", "client_credentials"),
            ("client_id", &board.name),
            ("client_secret", &board.secret),
            ("scope", "held:read"),
        ],
    )
    .await;
    assert_eq!(narrow.ok()["scope"], "held:read");
    let access = narrow.json["access_token"].as_str().unwrap();
    house.get_as(access, "/api/v1/held").await.ok();
    house.get_as(access, "/api/v1/channels").await.problem(403);

    // by HTTP Basic, as RFC 6749 §2.3.1 prefers
    let basic = STANDARD.encode(format!("{}:{}", board.name, board.secret));
    let answer = house
        .send(
            Request::post("/api/v1/oauth/token")
                .header("content-type", "application/x-www-form-urlencoded")
                .header("authorization", format!("Basic {basic}"))
                .body(Body::from("grant_type=client_credentials"))
                .unwrap(),
        )
        .await;
    answer.ok();
    // what it does carries its name
    let manager = program(
        &house,
        &json!({ "name": "provisioner", "permissions": ["clients:manage", "held:read"] }),
    )
    .await;
    let access = token(&house, &manager, &manager.secret).await;
    let access = access.ok()["access_token"].as_str().unwrap().to_owned();
    let change = json!({ "name": "xy", "permissions": ["held:read"] });
    let made = house.post_as(&access, "/api/v1/clients", &change).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
    let rows = house
        .get("/api/v1/audit?action=auth.client.create&actor=client:provisioner")
        .await;
    assert_eq!(rows.items().len(), 1);
}

#[tokio::test]
async fn what_is_no_request_of_the_standard_is_refused_in_its_words() {
    let house = House::new().await;
    let board = program(
        &house,
        &json!({ "name": "ward-board", "permissions": ["channels:read"] }),
    )
    .await;
    let good = [
        ("grant_type", "client_credentials"),
        ("client_id", board.name.as_str()),
        ("client_secret", board.secret.as_str()),
    ];
    for (form, status, error) in [
        (
            vec![("grant_type", "password")],
            400,
            "unsupported_grant_type",
        ),
        (vec![], 400, "unsupported_grant_type"),
        (vec![good[0]], 401, "invalid_client"),
        (vec![good[0], good[1]], 401, "invalid_client"),
        (
            vec![good[0], good[1], ("client_secret", "hs.wrong")],
            401,
            "invalid_client",
        ),
        (
            vec![
                good[0],
                ("client_id", "demo.00000000000000000000000000000000"),
                good[2],
            ],
            401,
            "invalid_client",
        ),
        (
            vec![good[0], ("client_id", "x' or 1=1"), good[2]],
            401,
            "invalid_client",
        ),
        (
            vec![good[0], good[1], good[2], ("scope", "audit:read")],
            400,
            "invalid_scope",
        ),
        (
            vec![good[0], good[0], good[1], good[2]],
            400,
            "invalid_request",
        ),
    ] {
        let answer = ask(&house, &form).await;
        assert!(answer.problem(status).starts_with("oauth."), "{form:?}");
        assert_eq!(answer.json["error"], error, "{form:?}");
    }
    let long = "x".repeat(5_000);
    let answer = ask(&house, &[("grant_type", &long)]).await;
    assert_eq!(answer.problem(413), "request.too_large");
    let as_json = house
        .post(
            "/oauth/token",
            &json!({ "grant_type": "client_credentials" }),
        )
        .await;
    assert_eq!(as_json.json["error"], "invalid_request");
}

#[tokio::test]
async fn secrets_overlap_while_they_are_exchanged_and_end_at_once_when_one_was_stolen() {
    let house = House::new().await;
    let board = program(
        &house,
        &json!({ "name": "ward-board", "permissions": ["channels:read"] }),
    )
    .await;
    let path = format!("/api/v1/clients/{}/rotate-secret", board.id);
    let next = house.post(&path, &json!({ "overlap_hours": 1 })).await;
    let next = next.ok()["client_secret"].as_str().unwrap().to_owned();
    token(&house, &board, &board.secret).await.ok();
    token(&house, &board, &next).await.ok();
    let read = house.get(&format!("/api/v1/clients/{}", board.id)).await;
    assert_eq!(read.ok()["secrets"].as_array().unwrap().len(), 2);
    assert!(!read.json.to_string().contains(&next));
    let third = house.post(&path, &json!({ "overlap_hours": 0 })).await;
    let third = third.ok()["client_secret"].as_str().unwrap().to_owned();
    for old in [&board.secret, &next] {
        assert_eq!(
            token(&house, &board, old).await.problem(401),
            "oauth.invalid_client"
        );
    }
    let access = token(&house, &board, &third).await;
    let access = access.ok()["access_token"].as_str().unwrap().to_owned();
    house.get_as(&access, "/api/v1/channels").await.ok();
    // disabled: tokens that are about too
    let change = json!({ "disabled": true });
    let path = format!("/api/v1/clients/{}", board.id);
    house
        .write_as(house.token(), "PATCH", &path, &change)
        .await
        .ok();
    assert_eq!(
        house.get_as(&access, "/api/v1/channels").await.problem(401),
        "auth.token"
    );
    token(&house, &board, &third).await.problem(401);
}

#[tokio::test]
async fn a_program_comes_from_its_addresses_only() {
    let house = House::new().await;
    let board = program(
        &house,
        &json!({ "name": "ward-board", "permissions": ["channels:read"], "allowed_from": ["10.1.2.3/16"] }),
    )
    .await;
    // an address that nobody told is none of the allowed ones
    token(&house, &board, &board.secret).await.problem(401);
    let from = |address: [u8; 4], request: Request<Body>| {
        let peer = SocketAddr::from((Ipv4Addr::from(address), 40_000));
        house
            .router
            .clone()
            .layer(Extension(ConnectInfo(peer)))
            .oneshot(request)
    };
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}",
        board.name, board.secret
    );
    let request = || {
        Request::post("/oauth/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("x-forwarded-for", "10.1.9.9")
            .body(Body::from(form.clone()))
            .unwrap()
    };
    let refused = from([10, 2, 0, 1], request()).await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let answer = from([10, 1, 9, 9], request()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let bytes = axum::body::to_bytes(answer.into_body(), usize::MAX)
        .await
        .unwrap();
    let tokens: Value = serde_json::from_slice(&bytes).unwrap();
    let use_it = || {
        Request::get("/api/v1/channels")
            .header(
                "authorization",
                format!("Bearer {}", tokens["access_token"].as_str().unwrap()),
            )
            .body(Body::empty())
            .unwrap()
    };
    let inside = from([10, 1, 0, 7], use_it()).await.unwrap();
    assert_eq!(inside.status(), StatusCode::OK);
    let outside = from([192, 168, 0, 7], use_it()).await.unwrap();
    assert_eq!(outside.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_program_that_asks_too_often_is_told_when_to_come_again() {
    let house = House::new().await;
    let board = program(
        &house,
        &json!({ "name": "ward-board", "permissions": ["channels:read"], "rate_per_minute": 30 }),
    )
    .await;
    let access = token(&house, &board, &board.secret).await;
    let access = access.ok()["access_token"].as_str().unwrap().to_owned();
    let mut refused = None;
    for _ in 0..6 {
        let answer = house.get_as(&access, "/api/v1/channels").await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            refused = Some(answer);
            break;
        }
        answer.ok();
    }
    let refused = refused.unwrap();
    assert_eq!(refused.problem(429), "auth.rate");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    // others are not held up
    house.get("/api/v1/channels").await.ok();
}

#[tokio::test]
async fn what_is_no_client_is_refused_with_the_member_at_fault() {
    let house = House::new().await;
    let good = json!({ "name": "board", "permissions": ["channels:read"] });
    for (field, value) in [
        ("name", json!("Board 1")),
        ("name", json!("x\r\ny")),
        ("permissions", json!(["everything"])),
        ("permissions", json!([])),
        ("allowed_from", json!(["10.0.0.0/40"])),
        ("rate_per_minute", json!(0)),
        ("rate_per_minute", json!(1_000_000)),
    ] {
        let mut body = good.clone();
        body[field] = value;
        let answer = house.post("/api/v1/clients", &body).await;
        assert_eq!(answer.problem(400), "request.invalid");
        assert_eq!(answer.json["errors"][0]["field"], field);
    }
    program(&house, &good).await;
    let answer = house.post("/api/v1/clients", &good).await;
    assert_eq!(answer.problem(409), "clients.name_exists");
    let listed = house.get("/api/v1/clients?limit=1").await;
    assert_eq!(listed.items()[0]["name"], "board");
}
