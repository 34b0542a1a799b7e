//! Patients and their care.

use schemas::care::{Attachment, Value};
use serde_json::json;
use test_support::tenant;

use super::backbone::ATTACHMENT;
use super::house::House;
use super::samples::{coded, person, uncoded};

#[tokio::test]
async fn coded_and_uncoded_results_are_found_by_pid_3_in_each_of_its_forms() {
    let house = House::new().await;
    house
        .report(
            "12345",
            1,
            vec![coded("GLU", "104"), uncoded("XYZ", "5.10")],
        )
        .await;
    for identifier in [
        "12345",
        "12345%5E%5E%5EHOSP%5EMR",
        "12345%5E%5E%5EOTHERNAME%5EMR",
        "HOSP%7C12345",
    ] {
        let path = format!("/api/v1/results?patient_identifier={identifier}");
        let answer = house.get(&path).await;
        let items = answer.items();
        assert_eq!(items.len(), 2, "{identifier}");
        assert_eq!(items[0]["loinc"], "2345-7");
        assert_eq!(
            items[0]["value"],
            json!({ "kind": "quantity", "number": "104" })
        );
        assert_eq!(items[0]["ucum"], "mg/dL");
        assert_eq!(items[0]["flags"], json!(["H"]));
        assert_eq!(items[1]["held"], "unknown_code");
        assert_eq!(items[1]["raw_value"], "5.10");
        assert!(items[1].get("loinc").is_none(), "absent is left out");
        assert!(items[1]["patient_id"].is_string());
    }
    for (query, expected) in [
        ("loinc=2345-7", 1),
        ("code=XYZ", 1),
        ("code=GLU&loinc=2345-7", 1),
        ("code=XYZ&loinc=2345-7", 0),
        ("held=true", 1),
        ("held=false", 1),
        ("status=P", 0),
        ("from=2026-03-01T12:00:01Z", 0),
        ("versions=all", 2),
    ] {
        let path = format!("/api/v1/results?patient_identifier=12345&{query}");
        assert_eq!(house.get(&path).await.items().len(), expected, "{query}");
    }
    let by_specimen = house.get("/api/v1/results?specimen=A-1").await;
    assert_eq!(by_specimen.items().len(), 2);
    assert!(by_specimen.items()[0]["patient_id"].is_string());
}

#[tokio::test]
async fn an_identifier_that_nobody_has_gives_an_empty_list() {
    let house = House::new().await;
    for list in ["results", "orders", "encounters", "reports"] {
        let path = format!("/api/v1/{list}?patient_identifier=nobody");
        assert!(house.get(&path).await.items().is_empty(), "{list}");
    }
    assert!(
        house
            .get("/api/v1/patients?identifier=nobody")
            .await
            .items()
            .is_empty()
    );
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repeat() {
    let house = House::new().await;
    for seq in 1..=3 {
        house
            .report("12345", seq, vec![coded("GLU", "104"), coded("NA", "140")])
            .await;
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/v1/results?patient_identifier=12345&limit=4{cursor}");
        let answer = house.get(&path).await;
        seen.extend(
            answer
                .items()
                .iter()
                .map(|item| format!("{} {}", item["report_id"], item["item"])),
        );
        match answer.json["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 6);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 6);
}

#[tokio::test]
async fn a_patient_is_found_read_and_followed_to_his_care() {
    let house = House::new().await;
    house.report("12345", 1, vec![coded("GLU", "104")]).await;
    for query in ["name=sha+ash", "identifier=12345", "mrn=12345"] {
        let found = house.get(&format!("/api/v1/patients?{query}")).await;
        assert_eq!(found.items().len(), 1, "{query}");
    }
    let id = house.get("/api/v1/patients").await.items()[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let patient = house.get(&format!("/api/v1/patients/{id}")).await;
    assert_eq!(patient.ok()["name"]["family"], "Sharma");
    assert_eq!(patient.json["identifiers"][0]["value"], "12345");
    assert_eq!(patient.header("cache-control"), "no-store");
    for (list, count) in [
        ("results", 1),
        ("reports", 1),
        ("orders", 0),
        ("encounters", 0),
        ("duplicates", 0),
    ] {
        let answer = house.get(&format!("/api/v1/patients/{id}/{list}")).await;
        assert_eq!(answer.items().len(), count, "{list}");
    }
    let report = house.get("/api/v1/reports?specimen=A-1").await.items()[0].clone();
    assert_eq!(report["patient_id"], id.as_str());
    let path = format!("/api/v1/reports/{}", report["id"].as_str().unwrap());
    assert_eq!(house.get(&path).await.ok()["results"][0]["version"], 1);

    let nobody = "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c";
    for list in [
        "",
        "/results",
        "/reports",
        "/orders",
        "/encounters",
        "/duplicates",
    ] {
        let answer = house.get(&format!("/api/v1/patients/{nobody}{list}")).await;
        assert_eq!(answer.problem(404), "patients.unknown", "{list}");
    }
    for list in ["reports", "orders", "encounters"] {
        let answer = house.get(&format!("/api/v1/{list}/{nobody}")).await;
        assert_eq!(answer.problem(404), format!("{list}.unknown"));
    }
}

#[tokio::test]
async fn a_merge_joins_what_is_seen_and_an_unmerge_takes_it_back() {
    let house = House::new().await;
    house.report("1", 1, vec![coded("GLU", "104")]).await;
    house.report("2", 2, vec![coded("NA", "140")]).await;
    let id_of = async |number: &str| {
        let answer = house
            .get(&format!("/api/v1/patients?identifier={number}"))
            .await;
        answer.items()[0]["id"].as_str().unwrap().to_owned()
    };
    let (one, two) = (id_of("1").await, id_of("2").await);
    let duplicates = house
        .get(&format!("/api/v1/patients/{one}/duplicates"))
        .await;
    assert_eq!(duplicates.items()[0]["patient"]["id"], two.as_str());

    let merge = format!("/api/v1/patients/{one}/merge");
    let body = json!({ "retired": two, "reason": "registered twice" });
    assert_eq!(house.post(&merge, &body).await.ok()["state"], "applied");
    let seen = house.get("/api/v1/results?patient_identifier=1").await;
    assert_eq!(seen.items().len(), 2);
    let patient = house.get(&format!("/api/v1/patients/{one}")).await;
    assert_eq!(patient.ok()["merged"], json!([two]));
    assert_eq!(patient.json["identifiers"].as_array().unwrap().len(), 2);
    let retired = house.get(&format!("/api/v1/patients/{two}")).await;
    assert_eq!(retired.ok()["merged_into"], one.as_str());

    let unmerge = format!("/api/v1/patients/{two}/unmerge");
    let body = json!({ "reason": "two people" });
    house.post(&unmerge, &body).await.ok();
    let seen = house.get("/api/v1/results?patient_identifier=1").await;
    assert_eq!(seen.items().len(), 1);
    assert_eq!(
        house.post(&unmerge, &body).await.problem(409),
        "patients.not_merged"
    );

    let nobody = json!({ "retired": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "reason": "x" });
    assert_eq!(
        house.post(&merge, &nobody).await.problem(404),
        "patients.unknown"
    );
    let itself = json!({ "retired": one, "reason": "x" });
    assert_eq!(
        house.post(&merge, &itself).await.problem(422),
        "patients.self_merge"
    );
    let silent = json!({ "retired": two, "reason": " " });
    assert_eq!(
        house.post(&merge, &silent).await.json["errors"][0]["field"],
        "reason"
    );
}

#[tokio::test]
async fn another_tenant_sees_nothing() {
    let house = House::new().await;
    let raw = house.report("12345", 1, vec![uncoded("XYZ", "5")]).await;
    house.listening().await;
    let id = house.get("/api/v1/patients").await.items()[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let stranger = house.user(&tenant("other"), &["*"]).await;
    for list in [
        "patients",
        "results?patient_identifier=12345",
        "results?specimen=A-1",
        "reports?specimen=A-1",
        "messages",
        "held",
        "dead-letters",
        "channels",
        "incidents",
        "audit?object=lab",
    ] {
        let answer = house.get_as(&stranger, &format!("/api/v1/{list}")).await;
        assert!(answer.items().is_empty(), "{list}: {}", answer.json);
    }
    for (thing, code) in [
        (format!("patients/{id}"), "patients.unknown"),
        (format!("patients/{id}/results"), "patients.unknown"),
        (format!("messages/{raw}"), "messages.unknown"),
        (format!("messages/{raw}/body"), "messages.unknown"),
        (format!("messages/{raw}/lineage"), "messages.unknown"),
        ("held/1".to_owned(), "held.unknown"),
        ("channels/lab".to_owned(), "channels.unknown"),
    ] {
        let answer = house.get_as(&stranger, &format!("/api/v1/{thing}")).await;
        assert_eq!(answer.problem(404), code, "{thing}");
    }
}

#[tokio::test]
async fn a_person_is_followed_by_name_to_the_end_of_the_list() {
    let house = House::new().await;
    for number in ["1", "2", "3"] {
        house.event(&person(&house.tenant, number)).await;
    }
    let first = house.get("/api/v1/patients?name=sharma&limit=2").await;
    assert_eq!(first.items().len(), 2);
    let next = first.json["next_cursor"].as_str().unwrap();
    let path = format!("/api/v1/patients?name=sharma&limit=2&cursor={next}");
    let second = house.get(&path).await;
    assert_eq!(second.items().len(), 1);
    assert!(second.json.get("next_cursor").is_none());
}

#[tokio::test]
async fn an_attachment_is_read_through_the_report_that_it_belongs_to() {
    let house = House::new().await;
    let mut document = coded("PDF", "");
    document.raw_value = None;
    document.value = Value::Attachment {
        attachment: Attachment {
            sha256: ATTACHMENT.to_owned(),
            bytes: 8,
            media_type: "application/pdf".to_owned(),
            label: None,
        },
    };
    house.report("1", 1, vec![document]).await;
    house.report("2", 2, vec![coded("GLU", "104")]).await;
    let report = async |specimen: &str| {
        let answer = house
            .get(&format!("/api/v1/reports?specimen={specimen}"))
            .await;
        answer.items()[0]["id"].as_str().unwrap().to_owned()
    };
    let path = format!(
        "/api/v1/reports/{}/attachments/{ATTACHMENT}",
        report("A-1").await
    );
    let answer = house.get(&path).await;
    assert_eq!(answer.bytes.as_ref(), b"%PDF-1.7");
    assert_eq!(answer.header("content-type"), "application/octet-stream");
    let path = format!(
        "/api/v1/reports/{}/attachments/{ATTACHMENT}",
        report("A-2").await
    );
    assert_eq!(house.get(&path).await.problem(404), "attachments.unknown");
}
