//! Every operation is called: as somebody who may, as nobody, as somebody of another hospital, twice under one key. All tests
//! go through the operations of the OpenAPI document, so that a new one is under them without being named here.

use axum::body::{Body, Bytes};
use axum::http::{Request, header};
use serde_json::{Value, json};
use test_support::tenant;
use tower::ServiceExt as _;

use super::house::{Answer, House, PASSWORD};
use super::operations::{Operation, PUBLIC, faults, is_own_affair, operations};
use super::world::World;

/// Operations whose success needs more than one call; the test that shows it.
const SHOWN_BY: &[(&str, &str)] = &[
    ("POST /api/v1/auth/mfa", "second_factor"),
    ("POST /api/v1/auth/refresh", "security"),
    ("POST /api/v1/oauth/token", "clients"),
    ("POST /api/v1/me/password", "users"),
    ("POST /api/v1/me/totp", "second_factor"),
    ("POST /api/v1/me/totp/confirm", "second_factor"),
    ("POST /api/v1/me/totp/remove", "second_factor"),
    (
        "POST /api/v1/users/{id}/remove-second-factor",
        "second_factor",
    ),
    ("POST /api/v1/auth/passkey", "passkeys"),
    ("POST /api/v1/me/passkeys", "passkeys"),
    ("POST /api/v1/me/passkeys/{id}/rename", "passkeys"),
    ("POST /api/v1/me/passkeys/{id}/remove", "passkeys"),
    ("POST /api/v1/users/{id}/remove-passkeys", "passkeys"),
    ("POST /api/v1/auth/oidc/start", "sso"),
    ("POST /api/v1/auth/oidc/finish", "sso"),
    ("POST /api/v1/me/identities/start", "sso"),
    ("POST /api/v1/me/identities", "sso"),
    ("POST /api/v1/me/identities/{id}/remove", "sso"),
    ("POST /api/v1/users/{id}/identity-invitations", "sso"),
    ("POST /api/v1/users/{id}/remove-identities", "sso"),
    ("POST /api/v1/patients/{id}/unmerge", "care"),
    (
        "POST /api/v1/worklists/verification/{id}/reopen",
        "verification",
    ),
    ("POST /api/v1/worklists/verification/verify", "verification"),
    ("GET /api/v1/reports/{id}/attachments/{sha256}", "care"),
];

/// Operations on an id that answer somebody of another hospital otherwise than with 404, and why that tells him nothing.
const NOT_404: &[(&str, u16, &str)] = &[
    (
        "GET /api/v1/commands/{id}",
        200,
        "every id without an outcome is pending",
    ),
    (
        "PUT /api/v1/roles/{id}",
        412,
        "his own hospital has no such role",
    ),
    (
        "PUT /api/v1/number-series/{id}",
        412,
        "his own hospital has no such series",
    ),
    ("GET /api/v1/platform/tenants/{id}", 403, NOT_HIS),
    ("PATCH /api/v1/platform/tenants/{id}", 403, NOT_HIS),
    ("POST /api/v1/platform/tenants/{id}/state", 403, NOT_HIS),
    ("GET /api/v1/platform/plans/{id}", 403, NOT_HIS),
    ("PUT /api/v1/platform/plans/{id}", 403, NOT_HIS),
];

const NOT_HIS: &str = "whatever the id is: he does not run the installation";

fn request(
    operation: &Operation,
    path: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> Request<Body> {
    let mut request = Request::builder()
        .method(operation.method.as_str())
        .uri(path);
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    if ["PUT", "PATCH"].contains(&operation.method.as_str()) {
        request = request.header(header::IF_MATCH, "*");
    }
    match body {
        Some(body) => request
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))
            .unwrap(),
        None => request.body(Body::empty()).unwrap(),
    }
}

/// As `House::send`, but of an answer without end the first piece.
async fn send(house: &House, operation: &Operation, sent: Request<Body>) -> Answer {
    if !operation.path.ends_with("/stream") {
        return house.send(sent).await;
    }
    let response = house.router.clone().oneshot(sent).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = first(body).await;
    Answer {
        status: parts.status,
        headers: parts.headers,
        json: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        bytes,
    }
}

async fn first(body: Body) -> Bytes {
    use futures::StreamExt as _;
    let mut pieces = body.into_data_stream();
    pieces.next().await.map_or_else(Bytes::new, Result::unwrap)
}

/// An answer is one that is described, in the form that is described.
#[track_caller]
fn fits(operation: &Operation, answer: &Answer) {
    let status = answer.status.as_u16();
    let name = operation.name();
    let described = operation
        .answer(status)
        .unwrap_or_else(|| panic!("{name}: {status} is not described: {}", answer.json));
    let kind = answer.header("content-type").split(';').next().unwrap();
    let Some(content) = described["content"]
        .as_object()
        .filter(|content| !content.is_empty())
    else {
        assert!(
            answer.bytes.is_empty(),
            "{name} {status}: a body is not described"
        );
        return;
    };
    let content = content
        .get(kind)
        .unwrap_or_else(|| panic!("{name} {status}: {kind:?} is not described"));
    if kind.ends_with("json") {
        let faults = faults(&content["schema"], &answer.json);
        assert!(
            faults.is_empty(),
            "{name} {status}: {faults:?}\n{}",
            answer.json
        );
    }
}

/// Reads first: what is read must be there still.
fn in_order() -> Vec<Operation> {
    let mut all = operations();
    all.sort_by_key(|operation| (operation.method != "GET", operation.path.clone()));
    all
}

#[tokio::test]
async fn every_operation_answers_as_it_is_described() {
    let mut world = World::new().await;
    let mut token = world.house.token().to_owned();
    let (mut called, mut done, mut missing) = (0, 0, Vec::new());
    for operation in in_order() {
        let path = world.path(&operation) + &world.query(&operation);
        let body = world.body(&operation);
        let mut answer = send(
            &world.house,
            &operation,
            request(
                &operation,
                &path,
                Some(&world.token(&operation, &token)),
                body.as_ref(),
            ),
        )
        .await;
        if answer.status.as_u16() == 401 && !PUBLIC.contains(&operation.path.as_str()) {
            // one before it has ended the session
            token = world.house.sign_in("admin", PASSWORD, None).await;
            let again = request(&operation, &path, Some(&token), body.as_ref());
            answer = send(&world.house, &operation, again).await;
        }
        called += 1;
        fits(&operation, &answer);
        let name = operation.name();
        if answer.status.is_success() {
            done += 1;
        } else if !SHOWN_BY.iter().any(|(other, _)| *other == name) {
            missing.push(format!("{name}: {} {}", answer.status, answer.json));
        }
    }
    println!(
        "{called} operations called, {done} of them with success, {} elsewhere",
        SHOWN_BY.len()
    );
    assert!(
        missing.is_empty(),
        "something to do for these in world.rs, or a test in SHOWN_BY:\n{}",
        missing.join("\n")
    );
}

#[tokio::test]
async fn what_is_shown_elsewhere_is_an_operation_and_its_test_is_there() {
    let names: Vec<String> = operations().iter().map(Operation::name).collect();
    for (name, test) in SHOWN_BY {
        assert!(names.iter().any(|one| one == name), "{name}");
        let file = format!("{}/tests/it/{test}.rs", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(file).unwrap();
        let last = name
            .rsplit('/')
            .find(|part| !part.starts_with('{'))
            .unwrap();
        assert!(text.contains(last), "{test}.rs says nothing of {name}");
    }
}

#[tokio::test]
async fn nobody_gets_anything_without_a_token_that_holds() {
    let house = House::new().await;
    let mut refused = 0;
    for operation in operations() {
        if operation.permission().is_none() && !is_own_affair(&operation) {
            assert!(
                PUBLIC.contains(&operation.path.as_str()),
                "{}",
                operation.name()
            );
            continue;
        }
        let path = operation
            .path
            .replace("{id}", "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c")
            .replace("{sha256}", "00");
        for token in [None, Some("eyJhbGciOiJub25lIn0.e30."), Some("x")] {
            let sent = request(&operation, &path, token, operation.example().as_ref());
            let answer = send(&house, &operation, sent).await;
            assert_eq!(answer.problem(401), "auth.token", "{}", operation.name());
            assert!(answer.header("www-authenticate").starts_with("Bearer"));
            fits(&operation, &answer);
        }
        refused += 1;
    }
    println!("{refused} operations refuse who has no token");
}

#[tokio::test]
async fn whoever_lacks_the_permission_is_refused_and_told_which() {
    let house = House::new().await;
    let nobody = house.user(&house.tenant, &[]).await;
    let mut refused = 0;
    for operation in operations() {
        let Some(permission) = operation.permission() else {
            continue;
        };
        let path = operation
            .path
            .replace("{id}", "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c")
            .replace("{sha256}", "00");
        let sent = request(
            &operation,
            &path,
            Some(&nobody),
            operation.example().as_ref(),
        );
        let answer = send(&house, &operation, sent).await;
        assert_eq!(
            answer.problem(403),
            "auth.permission",
            "{}",
            operation.name()
        );
        assert_eq!(
            answer.json["permission"],
            permission,
            "{}",
            operation.name()
        );
        fits(&operation, &answer);
        refused += 1;
    }
    println!("{refused} operations refuse who lacks their permission");
}

/// T1 of the specification: another hospital's ids are no ids, whatever is asked of them.
#[tokio::test]
async fn what_is_another_hospitals_is_not_there() {
    let mut world = World::new().await;
    let stranger = world.house.user(&tenant("other"), &["*"]).await;
    world.house.backbone.commands.lock().unwrap().clear();
    let (mut tried, mut wrong) = (0, Vec::new());
    for operation in in_order() {
        if !operation.path.contains('{') {
            continue;
        }
        let name = operation.name();
        let path = world.path(&operation) + &world.query(&operation);
        let body = world.body(&operation);
        let sent = request(&operation, &path, Some(&stranger), body.as_ref());
        let answer = send(&world.house, &operation, sent).await;
        fits(&operation, &answer);
        tried += 1;
        let expected = NOT_404
            .iter()
            .find(|(other, _, _)| *other == name)
            .map_or(404, |(_, status, _)| *status);
        if answer.status.as_u16() != expected {
            wrong.push(format!("{name}: {} {}", answer.status, answer.json));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for command in world.house.backbone.commands.lock().unwrap().iter() {
        assert_eq!(command.tenant, tenant("other"), "{}", command.name);
    }
    println!("{tried} operations with an id know none of another hospital");
}

/// Writing permissions that hold in a suspended tenant: emergencies, and the look at them afterwards.
const ALSO_SUSPENDED: [&str; 2] = ["glass:break", "glass:review"];

/// T3 of the specification: a suspended customer reads all it has, under whatever permission, and nothing else is done for it.
#[tokio::test]
async fn a_suspended_tenant_reads_everything_and_writes_nothing() {
    let mut world = World::new().await;
    let own = [(world.house.tenant.clone(), "Demo".to_owned())];
    worker_identity::tenants::ensure(world.house.database.pool(), &own)
        .await
        .unwrap();
    let suspend = json!({ "state": "suspended", "reason": "three invoices unpaid" });
    let path = "/api/v1/platform/tenants/demo/state";
    let root = world.platform().to_owned();
    world.house.post_as(&root, path, &suspend).await.ok();
    let token = world.house.token().to_owned();
    let (mut read, mut refused, mut wrong) = (0, 0, Vec::new());
    for operation in in_order() {
        let name = operation.name();
        let Some(permission) = operation.permission().map(str::to_owned) else {
            continue;
        };
        if operation.path.starts_with("/api/v1/platform/") {
            continue;
        }
        let path = world.path(&operation) + &world.query(&operation);
        let body = world.body(&operation);
        let sent = request(&operation, &path, Some(&token), body.as_ref());
        let answer = send(&world.house, &operation, sent).await;
        fits(&operation, &answer);
        let is_refused = answer.json["code"] == "tenant.suspended";
        let reads = operation.method == "GET"
            || permission.ends_with(":read")
            || ALSO_SUSPENDED.contains(&permission.as_str());
        if is_refused == reads {
            wrong.push(format!("{name}: {} {}", answer.status, answer.json));
        }
        if is_refused {
            refused += 1;
        } else {
            read += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{read} operations read in a suspended tenant, {refused} that write are refused");
}

#[tokio::test]
async fn whatever_is_sent_that_can_not_be_read_is_a_described_problem() {
    let mut world = World::new().await;
    let token = world.house.token().to_owned();
    let deep = "[".repeat(2_000);
    for operation in in_order() {
        let name = operation.name();
        let path = world.path(&operation);
        let odd = format!("{path}?no_such_parameter=1");
        let token = world.token(&operation, &token);
        let sent = request(&operation, &odd, Some(&token), None);
        let answer = send(&world.house, &operation, sent).await;
        assert_eq!(answer.problem(400), "request.invalid", "{name}");
        assert_eq!(
            answer.json["errors"][0]["field"], "no_such_parameter",
            "{name}"
        );
        fits(&operation, &answer);
        let is_json = operation
            .what
            .pointer("/requestBody/content/application~1json")
            .is_some();
        if !is_json {
            continue;
        }
        let large = "x".repeat(40_000);
        for (kind, body, status) in [
            ("text/plain", "{}", 415),
            ("application/json", "{", 400),
            ("application/json", "[]", 400),
            ("application/json", "null", 400),
            ("application/json", r#"{"no_such_member":1}"#, 400),
            ("application/json", deep.as_str(), 400),
            ("application/json", large.as_str(), 413),
        ] {
            let mut sent = Request::builder()
                .method(operation.method.as_str())
                .uri(&path)
                .header(header::AUTHORIZATION, format!("Bearer {token}"))
                .header(header::CONTENT_TYPE, kind);
            if ["PUT", "PATCH"].contains(&operation.method.as_str()) {
                sent = sent.header(header::IF_MATCH, "*");
            }
            let answer = world
                .house
                .send(sent.body(Body::from(body.to_owned())).unwrap())
                .await;
            assert_eq!(
                answer.status.as_u16(),
                status,
                "{name} {body:.40} {}",
                answer.json
            );
            fits(&operation, &answer);
        }
    }
}

#[tokio::test]
async fn every_update_wants_the_version_that_was_seen() {
    let mut world = World::new().await;
    let token = world.house.token().to_owned();
    let mut updates = 0;
    for operation in in_order() {
        if !["PUT", "PATCH"].contains(&operation.method.as_str()) {
            continue;
        }
        let name = operation.name();
        assert!(operation.takes("If-Match"), "{name}");
        let token = world.token(&operation, &token);
        let path = world.path(&operation);
        let body = world.body(&operation).unwrap();
        let send = |seen: Option<String>| {
            let (house, method, path, body) = (&world.house, &operation.method, &path, &body);
            let token = token.clone();
            async move {
                let seen = seen.as_deref().map(|tag| ("if-match", tag));
                house
                    .write_with(&token, method, path, body, seen.as_slice())
                    .await
            }
        };
        let answer = send(None).await;
        assert_eq!(answer.problem(428), "request.if_match", "{name}");
        fits(&operation, &answer);
        let answer = send(Some("\"not one\"".to_owned())).await;
        assert_eq!(answer.problem(400), "request.invalid", "{name}");
        let read = world.house.get_as(&token, &path).await;
        let tag = read.header("etag").to_owned();
        assert!(!tag.is_empty(), "{name}: reading it gives no ETag");
        let stale = send(Some("\"999\"".to_owned())).await;
        assert!(stale.problem(412).ends_with("stale"), "{name}");
        fits(&operation, &stale);
        send(Some(tag.clone())).await.ok();
        let again = send(Some(tag.clone())).await;
        assert!(again.problem(412).ends_with("stale"), "{name}");
        let read = world.house.get_as(&token, &path).await;
        assert_ne!(read.header("etag"), tag, "{name}");
        updates += 1;
    }
    println!("{updates} updates want the version that was seen");
}

#[tokio::test]
async fn every_post_does_its_work_once_under_a_key() {
    let mut world = World::new().await;
    let token = world.house.token().to_owned();
    let (mut posts, mut replayed) = (0, 0);
    for operation in in_order() {
        let ends_the_session = ["/auth/logout", "/me/sessions/{id}/end", "/me/password"]
            .iter()
            .any(|path| operation.path.ends_with(path));
        if operation.method != "POST" || ends_the_session {
            continue;
        }
        let name = operation.name();
        let public = PUBLIC.contains(&operation.path.as_str());
        assert_eq!(operation.takes("Idempotency-Key"), !public, "{name}");
        if public {
            continue;
        }
        posts += 1;
        let token = world.token(&operation, &token);
        let path = world.path(&operation);
        let body = world.body(&operation).unwrap_or_else(|| json!({}));
        let key = format!("key-of-{posts}");
        let send = |key: String, body: Value| {
            let (house, path, token) = (&world.house, &path, &token);
            async move {
                let headers = [("idempotency-key", key.as_str())];
                house.write_with(token, "POST", path, &body, &headers).await
            }
        };
        let first = send(key.clone(), body.clone()).await;
        let commands = world.house.backbone.commands.lock().unwrap().len();
        let again = send(key.clone(), body.clone()).await;
        assert_eq!(
            first.status, again.status,
            "{name}: {} {}",
            first.json, again.json
        );
        if first.header("idempotent-replayed").is_empty()
            && again.header("idempotent-replayed") == "true"
        {
            replayed += 1;
            assert_eq!(
                world.house.backbone.commands.lock().unwrap().len(),
                commands,
                "{name} asked twice"
            );
            if first.status.is_success() {
                assert_eq!(first.bytes, again.bytes, "{name}");
            } else {
                assert_eq!(first.json["code"], again.json["code"], "{name}");
            }
            for header in ["location", "etag", "content-type"] {
                assert_eq!(first.header(header), again.header(header), "{name}");
            }
            let mut other = body.clone();
            other["another_member"] = json!(1);
            let reused = send(key, other).await;
            assert_eq!(reused.problem(422), "idempotency.reused", "{name}");
            fits(&operation, &reused);
        } else {
            assert!(first.status.is_client_error(), "{name}: {}", first.status);
        }
    }
    println!("{posts} operations take a key; {replayed} were answered again from it");
    assert!(replayed * 2 > posts, "most do something here");
}
