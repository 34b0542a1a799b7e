//! How often one may ask, from where, and which pages of other origins may.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hub_api::Rates;
use serde_json::json;

use super::house::{Answer, House};
use super::samples::person;

async fn from(house: &House, peer: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::get("/api/v1/me");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::empty()).unwrap();
    let peer: SocketAddr = format!("{peer}:4711").parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(peer));
    house.send(request).await
}

#[tokio::test]
async fn an_address_that_asks_too_often_waits_and_can_not_pretend_to_be_another() {
    let rates = Rates {
        per_address: 30,
        ..Rates::default()
    };
    let house = House::with(|state| {
        state
            .with_rates(rates)
            .behind_proxies(&["10.0.0.0/8".to_owned()])
    })
    .await;
    for left in [2, 1, 0] {
        let answer = from(&house, "203.0.113.9", &[]).await;
        assert_eq!(answer.problem(401), "auth.token");
        assert_eq!(answer.header("ratelimit-policy"), "\"address\";q=3;w=6");
        let said = answer.header("ratelimit");
        assert!(
            said.starts_with(&format!("\"address\";r={left};t=")),
            "{said}"
        );
    }
    let answer = from(&house, "203.0.113.9", &[]).await;
    assert_eq!(answer.problem(429), "rate.address");
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    // a stranger's header is not believed, a proxy's is
    for forged in ["198.51.100.1", "198.51.100.2"] {
        let answer = from(&house, "203.0.113.9", &[("x-forwarded-for", forged)]).await;
        assert_eq!(answer.problem(429), "rate.address");
    }
    for client in ["198.51.100.1", "198.51.100.2"] {
        for _ in 0..3 {
            let answer = from(&house, "10.0.0.2", &[("x-forwarded-for", client)]).await;
            assert_eq!(answer.problem(401), "auth.token");
        }
        let answer = from(&house, "10.0.0.2", &[("x-forwarded-for", client)]).await;
        assert_eq!(answer.problem(429), "rate.address");
    }
}

#[tokio::test]
async fn what_anybody_may_read_is_counted_with_his_address() {
    let rates = Rates {
        per_address: 30,
        ..Rates::default()
    };
    let house = House::with(|state| state.with_rates(rates)).await;
    let ask = |path: &str, peer: &str| {
        let mut request = Request::get(path).body(Body::empty()).unwrap();
        let peer: SocketAddr = format!("{peer}:4711").parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        house.send(request)
    };
    for (path, peer, status) in [
        ("/metrics", "203.0.113.1", 200),
        ("/api/openapi.json", "203.0.113.2", 200),
        ("/api/docs", "203.0.113.3", 200),
        ("/nowhere", "203.0.113.4", 404),
    ] {
        for _ in 0..3 {
            let answer = ask(path, peer).await;
            assert_eq!(answer.status.as_u16(), status, "{path}");
            assert_eq!(answer.header("ratelimit-policy"), "\"address\";q=3;w=6");
        }
        let refused = ask(path, peer).await;
        assert_eq!(refused.problem(429), "rate.address", "{path}");
        assert!(!refused.header("retry-after").is_empty(), "{path}");
    }
    // the same bucket for all of them, and none for a supervisor
    for _ in 0..10 {
        let alive = ask("/healthz", "203.0.113.1").await;
        assert_eq!(alive.status.as_u16(), 200);
    }
    let refused = ask("/api/docs", "203.0.113.1").await;
    assert_eq!(refused.problem(429), "rate.address");
}

#[tokio::test]
async fn a_user_and_a_hospital_have_their_rates() {
    let rates = Rates {
        per_user: 50,
        per_tenant: 100,
        per_address: 0,
    };
    let house = House::with(|state| state.with_rates(rates)).await;
    let nurse = house.user(&house.tenant, &["channels:read"]).await;
    let ask = |token: String| {
        let house = &house;
        async move { house.get_as(&token, "/api/v1/channels").await }
    };
    for _ in 0..5 {
        let answer = ask(nurse.clone()).await;
        answer.ok();
        assert!(answer.header("ratelimit").starts_with("\"user\";r="));
    }
    let refused = ask(nurse.clone()).await;
    assert_eq!(refused.problem(429), "rate.user");
    // the others of the hospital go on, until it has had what it may
    let mut hospital = 0;
    loop {
        let answer = ask(house.token().to_owned()).await;
        if answer.status.as_u16() == 429 {
            break;
        }
        hospital += 1;
    }
    assert!((1..=6).contains(&hospital), "{hospital}");
    // signing in is not asked of a hospital
    house
        .login(&json!({ "username": "admin", "password": super::house::PASSWORD }))
        .await
        .ok();
}

fn preflight(origin: &str) -> Request<Body> {
    Request::options("/api/v1/users")
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "authorization,idempotency-key",
        )
        .body(Body::empty())
        .unwrap()
}

#[tokio::test]
async fn pages_of_other_origins_may_call_only_where_the_configuration_names_them() {
    let house = House::new().await;
    let answer = house.send(preflight("https://app.example")).await;
    assert!(answer.header("access-control-allow-origin").is_empty());
    let origins = ["https://app.example".to_owned()];
    let house = House::with(|state| state.with_cors_origins(&origins)).await;
    let answer = house.send(preflight("https://app.example")).await;
    assert_eq!(answer.status.as_u16(), 200);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        "https://app.example"
    );
    assert!(
        answer
            .header("access-control-allow-headers")
            .contains("idempotency-key")
    );
    assert!(answer.header("access-control-allow-credentials").is_empty());
    let answer = house.send(preflight("https://evil.example")).await;
    assert!(answer.header("access-control-allow-origin").is_empty());
    // an error is read by the page too
    let answer = from(&house, "203.0.113.9", &[("origin", "https://app.example")]).await;
    assert_eq!(answer.problem(401), "auth.token");
    assert_eq!(
        answer.header("access-control-allow-origin"),
        "https://app.example"
    );
    assert!(
        answer
            .header("access-control-expose-headers")
            .contains("etag")
    );
}

/// What holds around `/api/v1` holds around `/fhir`, in FHIR's words.
#[tokio::test]
async fn the_facade_is_under_the_same_rates_sizes_origins_and_keys() {
    let rates = Rates {
        per_user: 100,
        per_address: 0,
        per_tenant: 0,
    };
    let origins = ["https://app.example".to_owned()];
    let house = House::with(|state| state.with_rates(rates).with_cors_origins(&origins)).await;
    let post = |key: &'static str, body: String| {
        let request = Request::post("/fhir/ServiceRequest")
            .header("authorization", format!("Bearer {}", house.token()))
            .header("content-type", "application/fhir+json")
            .header("idempotency-key", key)
            .header("origin", "https://app.example")
            .body(Body::from(body))
            .unwrap();
        house.send(request)
    };
    house.event(&person(&house.tenant, "1001")).await;
    let order = json!({ "resourceType": "ServiceRequest", "status": "active", "intent": "order",
        "code": { "coding": [{ "code": "GLU" }] },
        "subject": { "identifier": { "system": "urn:hub:identifier:HOSP", "value": "1001" } } });
    let placed = post("one", order.to_string()).await;
    assert_eq!(placed.status.as_u16(), 201, "{}", placed.json);
    assert_eq!(
        placed.header("access-control-allow-origin"),
        "https://app.example"
    );
    assert!(placed.header("ratelimit").starts_with("\"user\";r="));
    let commands = || house.backbone.commands.lock().unwrap().len();
    let sent = commands();
    let again = post("one", order.to_string()).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.bytes, placed.bytes);
    assert_eq!(again.header("location"), placed.header("location"));
    assert_eq!(commands(), sent);
    // what comes in a bundle has come as often as it has entries
    let entries = vec![json!({ "request": { "method": "GET", "url": "Patient" } }); 60];
    let bundle = json!({ "resourceType": "Bundle", "type": "batch", "entry": entries });
    let crowd = house.user(&house.tenant, &["patients:read"]).await;
    let answer = house.post_as(&crowd, "/fhir", &bundle).await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.json);
    let said = |status: &str| {
        let entries = answer.json["entry"].as_array().unwrap().iter();
        entries
            .filter(|entry| entry["response"]["status"].as_str().unwrap() == status)
            .count()
    };
    assert!((10..60).contains(&said("200 OK")), "{}", answer.json);
    assert_eq!(said("200 OK") + said("429 Too Many Requests"), 60);
    // a search by POST reads anew
    for _ in 0..2 {
        let search = Request::post("/fhir/Patient/_search")
            .header("authorization", format!("Bearer {}", house.token()))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("idempotency-key", "search")
            .body(Body::from("identifier=1001"))
            .unwrap();
        let found = house.send(search).await;
        assert_eq!(found.status.as_u16(), 200, "{}", found.json);
        assert_eq!(found.header("idempotent-replayed"), "");
    }
    let large = format!("{{\"x\":\"{}\"}}", "x".repeat(5_000));
    let refused = post("large", large).await;
    assert_eq!(refused.status.as_u16(), 413, "{}", refused.json);
    let refused = loop {
        let answer = house.get("/fhir/Patient").await;
        assert_eq!(answer.header("content-type"), "application/fhir+json");
        assert_eq!(answer.header("cache-control"), "no-store");
        if answer.status.as_u16() != 200 {
            break answer;
        }
    };
    assert_eq!(refused.status.as_u16(), 429, "{}", refused.json);
    assert_eq!(refused.json["resourceType"], "OperationOutcome");
    assert_eq!(refused.json["issue"][0]["code"], "throttled");
    assert!(!refused.header("retry-after").is_empty());
}
