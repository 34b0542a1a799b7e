//! Documents: filed with their bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::house::House;
use super::charts::{created, patient_of, status};
use super::{outcome, patient_on, send};

fn letter(patient: &str, bytes: &[u8]) -> Value {
    json!({ "resourceType": "DocumentReference", "status": "current", "subject": patient_of(patient),
        "type": { "coding": [{ "system": "http://loinc.org", "code": "57133-1" }] },
        "content": [{ "attachment": { "contentType": "application/pdf", "title": "Letter", "data": STANDARD.encode(bytes) } }] })
}

#[tokio::test]
async fn a_document_is_filed_with_its_bytes_or_not_at_all() {
    let house = House::new().await;
    let patient = patient_on(&house, "1001", 1, "ICU").await;
    // larger than other requests may be
    let mut bytes = b"%PDF-1.7".to_vec();
    bytes.resize(6_000, b' ');
    let filed = created(&house, &letter(&patient, &bytes)).await;
    assert_eq!(filed["type"]["coding"][0]["code"], "referral");
    let file = &filed["content"][0]["attachment"];
    assert_eq!(
        (&file["title"], &file["size"]),
        (&json!("Letter"), &json!(6_000))
    );
    let url = file["url"].as_str().unwrap();
    let read = house.get(&url[url.find("/api").unwrap()..]).await;
    assert_eq!(&read.bytes[..], bytes);

    house.backbone.commands.lock().unwrap().clear();
    let kind = |code: &str| json!({ "coding": [{ "system": "urn:hub:code:hub-document-kind", "code": code }] });
    for (pointer, value, expected, code) in [
        ("/type", status("referral"), 422, "fhir.content"),
        (
            "/content/0/attachment/data",
            json!(STANDARD.encode("<html>")),
            400,
            "request.invalid",
        ),
        (
            "/content/0/attachment/data",
            json!("%%"),
            400,
            "fhir.structure",
        ),
        (
            "/content/0/attachment/contentType",
            json!("text/html"),
            400,
            "request.invalid",
        ),
        (
            "/subject",
            patient_of("018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c"),
            422,
            "fhir.no_patient",
        ),
    ] {
        let mut body = letter(&patient, b"%PDF-1.7");
        *body.pointer_mut(pointer).unwrap() = value;
        let refused = send(&house, "POST", "/fhir/DocumentReference", &[], &body).await;
        assert_eq!(outcome(&refused, expected), code, "{pointer}");
    }
    assert!(house.backbone.commands.lock().unwrap().is_empty());
    let mut unknown = letter(&patient, b"%PDF-1.7");
    unknown["type"] = kind("recipe");
    let refused = send(&house, "POST", "/fhir/DocumentReference", &[], &unknown).await;
    assert_eq!(outcome(&refused, 422), "clinical.entry_word");
    let token = house
        .user(&house.tenant, &["charts:read", "conditions:write"])
        .await;
    let refused = house
        .post_as(
            &token,
            "/fhir/DocumentReference",
            &letter(&patient, b"%PDF-1.7"),
        )
        .await;
    assert_eq!(outcome(&refused, 403), "auth.permission");
}
