//! Bundles of requests.

use serde_json::{Value, json};

use super::super::house::House;
use super::{outcome, patient_on, resource, send};

fn bundle(kind: &str, entries: &[Value]) -> Value {
    json!({ "resourceType": "Bundle", "type": kind, "entry": entries })
}

fn get(url: impl Into<String>) -> Value {
    json!({ "request": { "method": "GET", "url": url.into() } })
}

fn order(patient: &str, tube: &str) -> Value {
    json!({ "request": { "method": "POST", "url": "ServiceRequest" }, "resource": {
        "resourceType": "ServiceRequest", "status": "active", "intent": "order",
        "code": { "coding": [{ "system": "http://loinc.org", "code": "2345-7" }] },
        "subject": { "reference": format!("Patient/{patient}") },
        "contained": [{ "resourceType": "Specimen", "id": "t", "accessionIdentifier": { "value": tube } }],
        "specimen": [{ "reference": "#t" }] } })
}

#[tokio::test]
async fn each_entry_of_a_batch_is_answered_as_if_it_had_come_alone() {
    let house = House::new().await;
    let patient = patient_on(&house, "1001", 1, "ICU").await;
    let entries = [
        get(format!("Patient/{patient}")),
        get(format!("Observation?patient={patient}&_count=1")),
        get("Patient/nobody"),
        order(&patient, "T-1"),
        json!({ "request": { "method": "DELETE", "url": format!("Patient/{patient}") } }),
        get("Teapot/1"),
    ];
    let answer = send(&house, "POST", "/fhir", &[], &bundle("batch", &entries)).await;
    let bundle = resource(&answer);
    assert_eq!(bundle["type"], "batch-response");
    let said: Vec<&str> = bundle["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["response"]["status"].as_str().unwrap())
        .collect();
    assert_eq!(
        said,
        [
            "200 OK",
            "200 OK",
            "404 Not Found",
            "201 Created",
            "405 Method Not Allowed",
            "404 Not Found"
        ]
    );
    assert_eq!(bundle["entry"][0]["resource"]["id"], patient.as_str());
    assert_eq!(bundle["entry"][1]["resource"]["type"], "searchset");
    assert_eq!(
        bundle["entry"][2]["response"]["outcome"]["resourceType"],
        "OperationOutcome"
    );
    assert!(
        bundle["entry"][3]["response"]["location"]
            .as_str()
            .unwrap()
            .contains("/ServiceRequest/")
    );
    assert!(bundle["entry"][3]["response"]["etag"].is_string());
}

#[tokio::test]
async fn a_transaction_is_kept_or_refused_before_anything_is_done() {
    let house = House::new().await;
    let patient = patient_on(&house, "1001", 1, "ICU").await;
    let placed = |house: &House| house.backbone.commands.lock().unwrap().len();
    let two = [order(&patient, "T-1"), order(&patient, "T-2")];
    let mixed = [order(&patient, "T-1"), get(format!("Patient/{patient}"))];
    for entries in [&two, &mixed] {
        let refused = send(
            &house,
            "POST",
            "/fhir",
            &[],
            &bundle("transaction", entries),
        )
        .await;
        assert_eq!(outcome(&refused, 422), "fhir.not_supported");
        assert_eq!(placed(&house), 0);
    }
    let reads = [get(format!("Patient/{patient}")), get("Organization")];
    let answer = send(
        &house,
        "POST",
        "/fhir/",
        &[],
        &bundle("transaction", &reads),
    )
    .await;
    assert_eq!(resource(&answer)["type"], "transaction-response");
    // one that fails fails the whole
    let reads = [get(format!("Patient/{patient}")), get("Patient/nobody")];
    let refused = send(&house, "POST", "/fhir", &[], &bundle("transaction", &reads)).await;
    assert_eq!(outcome(&refused, 404), "fhir.unknown");
    assert!(refused.json.to_string().contains("Bundle.entry[1]"));
    let one = [order(&patient, "T-1")];
    let answer = send(&house, "POST", "/fhir", &[], &bundle("transaction", &one)).await;
    assert_eq!(
        resource(&answer)["entry"][0]["response"]["status"],
        "201 Created"
    );
    assert_eq!(placed(&house), 1);
}

#[tokio::test]
async fn a_bundle_that_leads_elsewhere_is_refused() {
    let house = House::new().await;
    for (entry, field) in [
        (
            get("https://evil.example/fhir/Patient/1"),
            "Bundle.entry[0].request.url",
        ),
        (get("../api/v1/users"), "Bundle.entry[0].request.url"),
        (get("Patient/.."), "Bundle.entry[0].request.url"),
        (get(""), "Bundle.entry[0].request.url"),
        (get("Patient\r\nx: y"), "Bundle.entry[0].request.url"),
        (
            json!({ "request": { "method": "TRACE", "url": "Patient" } }),
            "Bundle.entry[0].request.method",
        ),
        (json!({}), "Bundle.entry[0].request.method"),
        (
            json!({ "request": { "method": "PUT", "url": "Patient/1", "ifNoneExist": "identifier=x" } }),
            "Bundle.entry[0].request.ifNoneExist",
        ),
        (
            json!({ "request": { "method": "POST", "url": "Patient/_search", "ifNoneExist": "identifier=x" } }),
            "Bundle.entry[0].request.ifNoneExist",
        ),
        (
            json!({ "request": { "method": "POST", "url": "Patient", "ifNoneExist": 1 } }),
            "Bundle.entry[0].request.ifNoneExist",
        ),
    ] {
        let refused = send(&house, "POST", "/fhir", &[], &bundle("batch", &[entry])).await;
        assert_eq!(outcome(&refused, 400), "request.invalid");
        assert_eq!(refused.json["issue"][0]["expression"][0], field);
    }
    for body in [
        json!({ "resourceType": "Bundle", "type": "document" }),
        json!({ "resourceType": "Patient" }),
    ] {
        assert_eq!(
            outcome(&send(&house, "POST", "/fhir", &[], &body).await, 400),
            "request.invalid"
        );
    }
    // no way to what is beside the façade, and no bundle in a bundle
    let entries = [
        get("metadata"),
        json!({ "request": { "method": "POST", "url": "api/v1/users" } }),
    ];
    let answer = send(&house, "POST", "/fhir", &[], &bundle("batch", &entries)).await;
    for entry in resource(&answer)["entry"].as_array().unwrap() {
        assert_eq!(entry["response"]["status"], "404 Not Found");
    }
    let many: Vec<Value> = (0..101).map(|_| get("Organization")).collect();
    let refused = send(&house, "POST", "/fhir", &[], &bundle("batch", &many)).await;
    assert_eq!(outcome(&refused, 413), "request.too_large");
    let token = house.user(&house.tenant, &["patients:read"]).await;
    let lacking = house
        .post_as(&token, "/fhir", &bundle("batch", &[get("AuditEvent")]))
        .await;
    assert_eq!(
        resource(&lacking)["entry"][0]["response"]["status"],
        "403 Forbidden"
    );
}
