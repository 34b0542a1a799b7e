//! The OpenAPI document is whole, and the server does what it says.

use std::path::{Path, PathBuf};

use axum::body::Body;
use axum::http::Request;

use super::house::House;
use super::operations::{PUBLIC, check, document, is_own_affair, operations};
use super::samples::{coded, uncoded};

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
            responses.contains_key("401")
                || ["/api/v1/auth/jwks.json", "/api/v1/auth/oidc/providers"]
                    .contains(&operation.path.as_str()),
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
    let mut described = 0;
    for (_, text) in sources("src/routes") {
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

/// Source files of a folder of this crate and all below it.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                files.push((path, text));
            }
        }
    }
    files
}

/// The words `struct` or `enum` and the name after each `derive` of a schema.
fn schemas_of(text: &str) -> Vec<&str> {
    let mut rest = text.lines();
    let mut names = Vec::new();
    while let Some(line) = rest.find(|line| line.starts_with("#[derive(")) {
        let item = rest.find(|line| line.contains("struct ") || line.contains("enum "));
        let name = item.and_then(|item| item.split_once("struct ").or(item.split_once("enum ")));
        if let (true, Some((_, name))) = (line.contains("ToSchema"), name) {
            let end = name.find(|c: char| !c.is_alphanumeric());
            names.push(&name[..end.unwrap_or(name.len())]);
        }
    }
    names
}

/// Of two types with one name the document has one, and an operation would show the body of another.
#[test]
fn no_two_types_of_the_document_have_one_name() {
    let mut seen = std::collections::HashMap::new();
    for (path, text) in sources("src") {
        for name in schemas_of(&text) {
            if let Some(other) = seen.insert(name.to_owned(), path.clone()) {
                panic!("{name}: {} and {}", other.display(), path.display());
            }
        }
    }
    assert!(seen.contains_key("NewBed") && seen.contains_key("Patient"));
    println!("{} types", seen.len());
}

/// A client that is made of the document would have a type for each place where a code stands.
#[test]
fn canonical_types_are_described_once() {
    for (name, schema) in document()["components"]["schemas"].as_object().unwrap() {
        let members = schema["properties"].as_object();
        for (member, described) in members.into_iter().flatten() {
            assert!(
                described.get("title").is_none() || described["type"] == "array",
                "{name}.{member}: another component is called {}",
                described["title"]
            );
        }
    }
}

#[test]
fn every_example_fits_its_schema() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    for (name, schema) in schemas.as_object().unwrap() {
        if let Some(example) = schema.get("example") {
            check(name, example);
        }
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
        check(schema, house.get(&path).await.ok());
    }
    let problem = house.get("/api/v1/results?limit=0").await;
    check("Problem", &problem.json);
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
