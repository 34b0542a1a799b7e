//! Messages: search, body, lineage.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::json;

use super::backbone::Mood;
use super::house::House;
use super::samples::coded;

#[tokio::test]
async fn a_message_is_found_by_each_of_its_numbers() {
    let house = House::new().await;
    let raw = house.report("12345", 7, vec![coded("GLU", "104")]).await;
    house.report("999", 8, vec![coded("GLU", "90")]).await;
    for query in [
        "patient_number=12345",
        "accession=A-7",
        "control_id=MSG7",
        "channel=lab&q=12345",
        "q=A-7",
        "q=MSG7&patient_number=12345",
        "type=ORU%5ER01&patient_number=12345",
        "outcome=translated&accession=A-7",
        &format!("q={raw}"),
    ] {
        let answer = house.get(&format!("/api/v1/messages?{query}")).await;
        assert_eq!(answer.items().len(), 1, "{query}");
        assert_eq!(answer.items()[0]["id"], raw.to_string(), "{query}");
    }
    for query in ["q=nothing", "channel=other", "to=2020-01-01T00:00:00Z"] {
        assert!(
            house
                .get(&format!("/api/v1/messages?{query}"))
                .await
                .items()
                .is_empty(),
            "{query}"
        );
    }
    let detail = house.get(&format!("/api/v1/messages/{raw}")).await;
    assert_eq!(detail.ok()["unmapped"], json!(["PV1-18"]));
    assert_eq!(detail.json["events"][1]["type"], "lis.result.received");
}

#[tokio::test]
async fn pages_of_a_search_over_all_numbers_follow_each_other() {
    let house = House::new().await;
    for seq in 1..=5 {
        house.report("12345", seq, vec![]).await;
    }
    for filter in ["q=12345", "patient_number=12345"] {
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/api/v1/messages?{filter}&limit=2{cursor}");
            let answer = house.get(&path).await;
            seen.extend(
                answer
                    .items()
                    .iter()
                    .map(|item| item["control_id"].to_string()),
            );
            match answer.json["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(
            seen,
            ["\"MSG5\"", "\"MSG4\"", "\"MSG3\"", "\"MSG2\"", "\"MSG1\""],
            "{filter}"
        );
    }
}

#[tokio::test]
async fn a_body_is_shown_only_after_the_access_is_on_record() {
    let house = House::new().await;
    let raw = house.report("12345", 7, vec![]).await;
    let path = format!("/api/v1/messages/{raw}/body");
    let token = house.user(&house.tenant, &["messages:body"]).await;
    let answer = house
        .send(
            Request::get(&path)
                .header(header::AUTHORIZATION, format!("Bearer {token}"))
                .header("hub-access-reason", "result disputed")
                .body(Body::empty())
                .unwrap(),
        )
        .await;
    assert_eq!(answer.header("content-type"), "application/octet-stream");
    assert_eq!(
        answer.bytes.as_ref(),
        b"MSH|^~\\&|LAB\rPID|||12345\rOBX|7\r"
    );
    let audit = house.get("/api/v1/audit?action=message.body_read").await;
    assert_eq!(audit.items()[0]["actor"], "nurse");
    assert_eq!(audit.items()[0]["object"], format!("message {raw}"));
    assert_eq!(audit.items()[0]["reason"], "result disputed");

    let json = house.get(&format!("{path}?as=json")).await;
    assert_eq!(
        json.ok()["lines"][1],
        json!({ "offset": 13, "text": "PID|||12345" })
    );
    let text = house.get(&format!("{path}?as=text")).await;
    assert_eq!(text.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(
        house.get(&format!("{path}?as=xml")).await.json["errors"][0]["field"],
        "as"
    );

    // on disk is enough; not on disk is not
    house.backbone.be(Mood::Busy);
    assert_eq!(house.get(&path).await.status, 200);
    house.backbone.be(Mood::Down);
    assert_eq!(house.get(&path).await.problem(503), "audit.unavailable");
    house.backbone.be(Mood::Willing);
    house.backbone.kept.lock().unwrap().clear();
    assert_eq!(house.get(&path).await.problem(410), "messages.gone");
}

#[tokio::test]
async fn a_message_is_followed_to_its_effects() {
    let house = House::new().await;
    let raw = house.report("12345", 7, vec![coded("GLU", "104")]).await;
    let lineage = house.get(&format!("/api/v1/messages/{raw}/lineage")).await;
    let events = lineage.ok()["events"].as_array().unwrap();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["applied"][0]["worker"], "patient");
    assert_eq!(events[1]["applied"][0]["outcome"], "applied");
    let kinds: Vec<&str> = lineage.json["effects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|effect| effect["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["patient", "report"]);
    let report = lineage.json["effects"][1]["id"].as_str().unwrap();
    house.get(&format!("/api/v1/reports/{report}")).await.ok();
}

#[tokio::test]
async fn a_message_about_several_patients_is_followed_to_the_effects_on_each() {
    let house = House::new().await;
    let results = [coded("GLU", "104")];
    let rack = [Some("12345"), Some("777"), None, Some("12345")];
    let raw = house.rack(&rack, 7, &results).await;
    // of one of the patients, and of another message
    house.report("777", 8, results.to_vec()).await;
    let lineage = house.get(&format!("/api/v1/messages/{raw}/lineage")).await;
    let effects = lineage.ok()["effects"].as_array().unwrap().clone();
    let of = |kind: &str| effects.iter().filter(|one| one["kind"] == kind).count();
    assert_eq!((of("patient"), of("report")), (2, 4), "{effects:?}");
    let mut numbers = Vec::new();
    for effect in effects.iter().filter(|one| one["kind"] == "report") {
        let id = effect["id"].as_str().unwrap();
        let report = house.get(&format!("/api/v1/reports/{id}")).await;
        numbers.push(report.ok()["filler_number"].as_str().unwrap().to_owned());
    }
    numbers.sort();
    assert_eq!(numbers, ["LAB-7", "LAB-7.1", "LAB-7.2", "LAB-7.3"]);
}
