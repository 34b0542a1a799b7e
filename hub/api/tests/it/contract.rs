//! The OpenAPI document is whole, and the server does what it says.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};

use super::house::House;
use super::samples::{coded, uncoded};

struct Operation {
    path: String,
    method: String,
    what: Value,
}

impl Operation {
    fn permission(&self) -> Option<&str> {
        self.what
            .pointer("/security/0/bearer/0")
            .and_then(Value::as_str)
    }

    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// What nobody needs a token for.
const PUBLIC: [&str; 5] = [
    "/api/v1/auth/login",
    "/api/v1/auth/mfa",
    "/api/v1/auth/refresh",
    "/api/v1/auth/jwks.json",
    "/api/v1/oauth/token",
];

/// What everybody may do who is signed in, and nobody else.
fn is_own_affair(operation: &Operation) -> bool {
    let own = operation.path == "/api/v1/me"
        || operation.path.starts_with("/api/v1/me/")
        || operation.path == "/api/v1/auth/logout";
    own && operation.what.pointer("/security/0/bearer") == Some(&json!([]))
}

fn document() -> Value {
    serde_json::to_value(hub_api::openapi()).unwrap()
}

fn operations() -> Vec<Operation> {
    let document = document();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, what) in item.as_object().unwrap() {
            operations.push(Operation {
                path: path.clone(),
                method: method.to_uppercase(),
                what: what.clone(),
            });
        }
    }
    operations.retain(|operation| operation.path.starts_with("/api/v1/"));
    operations
}

#[test]
fn every_operation_has_a_summary_an_example_its_errors_and_a_permission() {
    let operations = operations();
    let mut ids = Vec::new();
    for operation in &operations {
        let name = operation.name();
        let what = &operation.what;
        for text in ["summary", "description", "operationId"] {
            assert!(
                what[text].as_str().is_some_and(|text| !text.is_empty()),
                "{name}: {text}"
            );
        }
        ids.push(what["operationId"].to_string());
        assert_eq!(what["tags"].as_array().unwrap().len(), 1, "{name}");
        let description = what["description"].as_str().unwrap();
        match operation.permission() {
            Some(permission) => {
                assert!(
                    hub_api::PERMISSIONS.contains(&permission),
                    "{name}: {permission}"
                );
                assert!(description.contains(&format!("`{permission}`")), "{name}");
            }
            None => assert!(
                PUBLIC.contains(&operation.path.as_str()) || is_own_affair(operation),
                "{name}: no permission"
            ),
        }
        let responses = what["responses"].as_object().unwrap();
        for status in ["500", "503"] {
            assert!(responses.contains_key(status), "{name}: {status}");
        }
        assert!(
            responses.contains_key("401") || operation.path == "/api/v1/auth/jwks.json",
            "{name}"
        );
        let mut examples = 0;
        for (status, response) in responses {
            for (media, content) in response["content"].as_object().into_iter().flatten() {
                let example = content.get("example");
                assert!(example.is_some(), "{name} {status} {media}: no example");
                if status.starts_with('2') {
                    examples += 1;
                } else {
                    assert_eq!(media, "application/problem+json", "{name} {status}");
                }
            }
        }
        assert!(examples > 0, "{name}: no example response");
        if ["POST", "PUT", "PATCH"].contains(&operation.method.as_str())
            && let Some(request) = what.get("requestBody")
        {
            let content = request["content"].as_object().unwrap();
            let reference = content
                .values()
                .next()
                .and_then(|body| body["schema"]["$ref"].as_str())
                .unwrap();
            let schema = document().pointer(&reference[1..]).cloned().unwrap();
            assert!(
                schema.get("example").is_some(),
                "{name}: no example of its body"
            );
        }
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "an operationId stands twice");
    println!("{count} operations");
}

#[test]
fn every_route_is_described() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/routes");
    let mut described = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        described += text.matches("#[utoipa::path(").count();
        assert_eq!(
            text.matches(".route(").count(),
            0,
            "a route that OpenAPI does not know"
        );
        assert_eq!(
            text.matches("#[utoipa::path(").count(),
            text.matches("routes!(").count(),
            "a handler that no router knows"
        );
    }
    assert_eq!(described, operations().len());
}

#[test]
fn every_example_fits_its_schema() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    for (name, schema) in schemas.as_object().unwrap() {
        if let Some(example) = schema.get("example") {
            check(&document, name, example);
        }
    }
}

/// The same of an answer, for tests of other files.
pub(super) fn check_answer(schema: &str, value: &Value) {
    check(&document(), schema, value);
}

/// Validates a value against a component of the document (OpenAPI 3.1 schemas are JSON Schema 2020-12).
fn check(document: &Value, schema: &str, value: &Value) {
    let whole = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": format!("#/components/schemas/{schema}"),
        "components": { "schemas": document["components"]["schemas"] },
    });
    let validator = jsonschema::validator_for(&whole).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(value)
        .map(|error| format!("{} at {}", error, error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{schema}: {errors:?}\n{value}");
}

#[tokio::test]
async fn every_operation_refuses_who_lacks_the_permission_that_it_names() {
    let house = House::new().await;
    let nobody = house.user(&house.tenant, &[]).await;
    for operation in operations() {
        let permission = operation.permission();
        if permission.is_none() && !is_own_affair(&operation) {
            continue;
        }
        let path = operation
            .path
            .replace("{id}", "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c")
            .replace("{sha256}", "00");
        let request = |token: Option<&str>| {
            let mut request = Request::builder()
                .method(operation.method.as_str())
                .uri(&path);
            if let Some(token) = token {
                request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
            }
            request.body(Body::empty()).unwrap()
        };
        let answer = house.send(request(None)).await;
        assert_eq!(answer.problem(401), "auth.token", "{}", operation.name());
        let Some(permission) = permission else {
            continue;
        };
        let answer = house.send(request(Some(&nobody))).await;
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
    }
}

#[tokio::test]
async fn what_is_answered_fits_what_is_described() {
    let house = House::new().await;
    house.listening().await;
    let raw = house
        .report("12345", 1, vec![coded("GLU", "104"), uncoded("XYZ", "1")])
        .await;
    let patient = house.get("/api/v1/patients").await.items()[0]["id"].clone();
    let patient = patient.as_str().unwrap();
    let document = document();
    for (path, schema) in [
        ("/api/v1/patients".to_owned(), "Page_Patient"),
        (format!("/api/v1/patients/{patient}"), "Patient"),
        (
            format!("/api/v1/patients/{patient}/duplicates"),
            "Page_Duplicate",
        ),
        (
            "/api/v1/results?patient_identifier=12345".to_owned(),
            "Page_Result",
        ),
        (
            "/api/v1/reports?patient_identifier=12345".to_owned(),
            "Page_Report",
        ),
        ("/api/v1/messages".to_owned(), "Page_Message"),
        (format!("/api/v1/messages/{raw}"), "MessageDetail"),
        (
            format!("/api/v1/messages/{raw}/body?as=json"),
            "MessageBody",
        ),
        (format!("/api/v1/messages/{raw}/lineage"), "Lineage"),
        ("/api/v1/held".to_owned(), "Page_HeldItem"),
        ("/api/v1/worklists/held".to_owned(), "Page_Waiting"),
        ("/api/v1/channels".to_owned(), "Page_Channel"),
        ("/api/v1/audit".to_owned(), "Page_AuditEntry"),
        ("/api/v1/incidents".to_owned(), "Page_Incident"),
        (format!("/api/v1/commands/{raw}"), "CommandStatus"),
    ] {
        check(&document, schema, house.get(&path).await.ok());
    }
    let problem = house.get("/api/v1/results?limit=0").await;
    check(&document, "Problem", &problem.json);
}

#[tokio::test]
async fn the_document_and_its_page_come_from_the_binary_alone() {
    let house = House::new().await;
    let plain = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    let served = house.send(plain("/api/openapi.json")).await;
    assert_eq!(served.ok()["openapi"], "3.1.0");
    assert_eq!(served.json["paths"], document()["paths"]);
    let page = house.send(plain("/api/docs")).await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let text = String::from_utf8(page.bytes.to_vec()).unwrap();
    for outside in ["http://", "https://", "src=\"//", "@import"] {
        assert!(!text.contains(outside), "{outside}");
    }
    assert!(
        page.header("content-security-policy")
            .starts_with("default-src 'none'")
    );
}
