//! Forms of requests and answers, and what the hub says that it can.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};

use super::super::backbone::Mood;
use super::super::house::House;
use super::{get_with, outcome, patient_on, resource, send};

#[tokio::test]
async fn the_capability_statement_is_true() {
    let house = House::new().await;
    let patient = patient_on(&house, "1001", 1, "ICU").await;
    let statement = house.get("/fhir/metadata").await;
    let rest = &resource(&statement)["rest"][0];
    assert_eq!(statement.json["fhirVersion"], "4.0.1");
    let resources = rest["resource"].as_array().unwrap();
    assert_eq!(resources.len(), 18);
    for one in resources {
        let kind = one["type"].as_str().unwrap();
        let does = |code: &str| {
            one["interaction"]
                .as_array()
                .unwrap()
                .iter()
                .any(|interaction| interaction["code"] == code)
        };
        // what it names is there: a route answers, and a parameter is understood
        let id = "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c";
        for (code, path) in [
            ("read", format!("/fhir/{kind}/{id}")),
            ("vread", format!("/fhir/{kind}/{id}/_history/1")),
            ("history-instance", format!("/fhir/{kind}/{id}/_history")),
        ] {
            let expected = if does(code) {
                "fhir.unknown"
            } else {
                "fhir.unknown_type"
            };
            assert_eq!(outcome(&house.get(&path).await, 404), expected, "{path}");
        }
        for param in one["searchParam"].as_array().unwrap() {
            let name = param["name"].as_str().unwrap();
            let value = match param["type"].as_str().unwrap() {
                "date" => "2026",
                _ => "x",
            };
            let scope = match kind {
                "Patient" if !name.starts_with('_') => "&identifier=1001",
                "Encounter" | "ServiceRequest" | "Specimen" | "DiagnosticReport"
                | "Observation" | "Condition" | "AllergyIntolerance" | "MedicationRequest"
                | "Appointment" | "DocumentReference" => &format!("&patient={patient}"),
                "Provenance" => &format!("&target=Patient/{patient}"),
                "Slot" if !matches!(name, "start" | "schedule") => "&start=2026",
                _ => "",
            };
            let path = format!("/fhir/{kind}?{name}={value}{scope}");
            let found = get_with(&house, &path, &[("prefer", "handling=strict")]).await;
            resource(&found);
        }
        for include in one["searchInclude"].as_array().into_iter().flatten() {
            let path = format!("/fhir/{kind}?_id=x&_include={}", include.as_str().unwrap());
            resource(&get_with(&house, &path, &[("prefer", "handling=strict")]).await);
        }
        let create = send(&house, "POST", &format!("/fhir/{kind}"), &[], &json!({})).await;
        assert_eq!(
            create.status.as_u16(),
            if does("create") { 400 } else { 405 },
            "{kind}"
        );
        assert_eq!(one["conditionalCreate"], json!(does("create")), "{kind}");
        let update = send(&house, "PUT", &format!("/fhir/{kind}/x"), &[], &json!({})).await;
        assert_eq!(
            update.status.as_u16(),
            if does("update") { 400 } else { 405 },
            "{kind}"
        );
        let keeps = [
            "Observation",
            "Condition",
            "AllergyIntolerance",
            "MedicationRequest",
            "DocumentReference",
        ];
        assert_eq!(one["readHistory"], json!(keeps.contains(&kind)));
    }
}

#[tokio::test]
async fn json_of_r4_is_spoken_and_nothing_else() {
    let house = House::new().await;
    for (accept, status) in [
        ("application/fhir+json", 200),
        ("application/json", 200),
        ("application/fhir+json; fhirVersion=4.0", 200),
        ("text/html, */*;q=0.1", 200),
        ("application/fhir+xml", 406),
        ("application/fhir+json; fhirVersion=5.0", 406),
        ("text/turtle", 406),
    ] {
        let answer = get_with(&house, "/fhir/Patient", &[("accept", accept)]).await;
        assert_eq!(answer.status.as_u16(), status, "{accept}");
        if status == 406 {
            assert_eq!(outcome(&answer, 406), "request.not_acceptable");
        }
    }
    for (format, status) in [
        ("json", 200),
        ("application/fhir%2Bjson", 200),
        ("application/fhir+json", 200),
        ("xml", 406),
    ] {
        let path = format!("/fhir/Patient?_format={format}");
        let answer = get_with(&house, &path, &[("accept", "application/fhir+xml")]).await;
        assert_eq!(answer.status.as_u16(), status, "{format}");
    }
    let post = |media: &'static str, body: String| {
        house.send(
            Request::post("/fhir/ServiceRequest")
                .header(header::AUTHORIZATION, format!("Bearer {}", house.token()))
                .header(header::CONTENT_TYPE, media)
                .body(Body::from(body))
                .unwrap(),
        )
    };
    for media in [
        "application/fhir+xml",
        "text/plain",
        "application/fhir+json; fhirVersion=5.0",
    ] {
        let answer = post(media, "{}".to_owned()).await;
        assert_eq!(outcome(&answer, 415), "request.media_type", "{media}");
    }
    for body in [
        "",
        "{",
        "[]",
        "null",
        "{\"resourceType\":\"Patient\"}",
        "{\"x\":\"\\u0000\"}",
    ] {
        let answer = post("application/fhir+json; charset=utf-8", body.to_owned()).await;
        assert_eq!(outcome(&answer, 400), "request.invalid", "{body}");
    }
    let deep = format!("{}1{}", "[".repeat(2_000), "]".repeat(2_000));
    assert_eq!(
        outcome(&post("application/json", deep).await, 400),
        "request.invalid"
    );
    let large = format!("{{\"x\":\"{}\"}}", "x".repeat(5_000));
    assert_eq!(
        outcome(&post("application/json", large).await, 413),
        "request.too_large"
    );
    let form = house
        .send(
            Request::post("/fhir/Patient/_search")
                .header(header::AUTHORIZATION, format!("Bearer {}", house.token()))
                .header(header::CONTENT_TYPE, "application/fhir+json")
                .body(Body::from("{}"))
                .unwrap(),
        )
        .await;
    assert_eq!(outcome(&form, 415), "request.media_type");
}

#[tokio::test]
async fn every_error_is_an_outcome_whoever_makes_it() {
    let house = House::new().await;
    let wrong = send(&house, "DELETE", "/fhir/Patient/x", &[], &Value::Null).await;
    assert_eq!(outcome(&wrong, 405), "request.method");
    assert!(wrong.header("allow").contains("GET"));
    assert_eq!(
        outcome(&send(&house, "GET", "/fhir", &[], &Value::Null).await, 405),
        "request.method"
    );
    assert_eq!(outcome(&house.get("/fhir/").await, 405), "request.method");
    patient_on(&house, "1001", 1, "ICU").await;
    house.backbone.be(Mood::Panicking);
    let body = json!({ "resourceType": "ServiceRequest", "status": "active", "intent": "order",
        "code": { "coding": [{ "code": "X" }] }, "subject": { "identifier": { "value": "1001" } } });
    let answer = house.post("/fhir/ServiceRequest", &body).await;
    assert_eq!(outcome(&answer, 500), "internal");
    assert_eq!(answer.json["issue"][0]["severity"], "fatal");
    assert!(
        !answer.json.to_string().contains("12345"),
        "what the panic said"
    );
    // beside the façade errors are what they were
    let beside = house.get("/fhirx").await;
    assert_eq!(beside.problem(404), "request.no_route");
}
