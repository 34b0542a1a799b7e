//! What the API answers to a stranger and to a request that can't be.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Rest, shared};

#[tokio::test]
async fn errors_are_problem_documents_and_nobody_comes_in_without_a_token() {
    let world = shared().await;
    let stranger = Rest::new(world.hub.api());
    for path in [
        "/api/v1/patients",
        "/api/v1/results?patient_identifier=1",
        "/api/v1/messages",
        "/api/v1/held",
        "/api/v1/dead-letters",
        "/api/v1/channels",
        "/api/v1/audit",
    ] {
        let response = stranger.response(Method::GET, path, None, &[]).await;
        assert_eq!(response.status(), 401, "{path}");
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json",
            "{path}"
        );
    }
    let (status, problem) = stranger
        .post(
            "/api/v1/auth/login",
            &json!({"username": "admin", "password": "wrong"}),
        )
        .await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (401, Some("auth.login"))
    );
    let rest = world.hub.sign_in().await;
    for (path, status) in [
        ("/api/v1/messages?limit=0", 400),
        ("/api/v1/messages/no-uuid", 404),
        ("/api/v1/nothing", 404),
        ("/api/v1/patients/018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", 404),
        ("/api/v1/results", 400),
        ("/api/v1/messages?control_id=a%00b", 400),
    ] {
        let response = rest.response(Method::GET, path, None, &[]).await;
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json",
            "{path}"
        );
        let code = response.status().as_u16();
        let body: Value = response.json().await.unwrap();
        assert_eq!(code, status, "{path}: {body}");
        for member in [
            "type", "title", "status", "detail", "instance", "code", "trace_id",
        ] {
            assert!(!body[member].is_null(), "{path} has no {member}: {body}");
        }
    }
    let document = rest.get("/api/openapi.json").await;
    assert!(document["paths"].as_object().unwrap().len() >= 25);
    assert_eq!(
        rest.response(Method::GET, "/api/docs", None, &[])
            .await
            .status(),
        200
    );
}
