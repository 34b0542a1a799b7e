//! What people decide: held items, dead letters, channels; and writes whose outcome is not known yet.

use schemas::integration::{DeadLettered, Stage};
use schemas::{ChannelId, RawId};
use serde_json::json;
use uuid::Uuid;

use super::backbone::Mood;
use super::house::House;
use super::samples::uncoded;

#[tokio::test]
async fn one_mapping_releases_all_held_results_that_it_explains() {
    let house = House::new().await;
    house.report("1", 1, vec![uncoded("GLU", "104")]).await;
    house.report("2", 2, vec![uncoded("GLU", "98")]).await;
    let held = house.get("/api/v1/held").await;
    assert_eq!(held.items().len(), 1);
    assert_eq!(held.items()[0]["waiting"], 2);
    assert_eq!(held.items()[0]["sample_value"], "104");
    let id = &held.items()[0]["id"];
    house.get(&format!("/api/v1/held/{id}")).await.ok();

    let map = format!("/api/v1/held/{id}/map");
    let wrong = json!({ "loinc": "glucose" });
    assert_eq!(
        house.post(&map, &wrong).await.json["errors"][0]["field"],
        "loinc"
    );
    let answer = house
        .post(
            &map,
            &json!({ "loinc": "2345-7", "display": "Glucose", "ucum": "mg/dL" }),
        )
        .await;
    assert_eq!(answer.ok()["answer"]["released"], 2);
    let result = house
        .get("/api/v1/results?patient_identifier=1")
        .await
        .items()[0]
        .clone();
    assert_eq!(result["loinc"], "2345-7");
    assert!(result.get("held").is_none());

    assert!(house.get("/api/v1/held").await.items().is_empty());
    assert_eq!(house.get("/api/v1/held?state=all").await.items().len(), 1);
    let again = house.post(&map, &json!({ "loinc": "2345-7" })).await;
    assert_eq!(again.problem(409), "held.resolved");
    assert_eq!(
        house.get("/api/v1/held/999").await.problem(404),
        "held.unknown"
    );
    assert_eq!(
        house.get("/api/v1/held?state=odd").await.problem(400),
        "request.invalid"
    );
}

#[tokio::test]
async fn a_held_item_is_closed_without_a_mapping_once() {
    let house = House::new().await;
    house.report("1", 1, vec![uncoded("QC", "1")]).await;
    let id = house.get("/api/v1/held").await.items()[0]["id"].clone();
    let path = format!("/api/v1/held/{id}/resolve");
    let body = json!({ "resolution": "control material" });
    house.post(&path, &body).await.ok();
    assert_eq!(
        house.post(&path, &body).await.problem(409),
        "integration.held_not_open"
    );
    let unknown = house.post("/api/v1/held/999/resolve", &body).await;
    assert_eq!(unknown.problem(404), "integration.held_unknown");
}

pub(crate) fn dead(raw: u128, by: &str) -> DeadLettered {
    DeadLettered {
        stage: Stage::Translate,
        by: by.to_owned(),
        reason: "hl7.no_msh".to_owned(),
        detail: "the first segment is not MSH".to_owned(),
        event_id: None,
        event_type: None,
        raw_id: Some(RawId(Uuid::from_u128(raw))),
        channel: Some(ChannelId::new("lab").unwrap()),
        stream: "RAW".to_owned(),
        stream_seq: 41,
        index: 2,
        attempts: 1,
        in_ledger: false,
    }
}

#[tokio::test]
async fn a_dead_letter_is_replayed_resent_or_discarded() {
    let house = House::new().await;
    for raw in 1..=3 {
        house.event(&dead(raw, "hl7v2")).await;
    }
    let ids: Vec<i64> = house
        .get("/api/v1/dead-letters?channel=lab")
        .await
        .items()
        .iter()
        .map(|letter| letter["id"].as_i64().unwrap())
        .collect();
    let [resent, discarded, replayed] = ids[..] else {
        panic!("{ids:?}")
    };

    let replay = format!("/api/v1/dead-letters/{replayed}/replay");
    house.post(&replay, &json!({})).await.ok();
    house.post(&replay, &json!({})).await.ok();
    {
        let asked = house.backbone.replayed.lock().unwrap();
        assert_eq!(asked.len(), 2);
        assert_eq!((asked[0].position.seq, asked[0].position.index), (41, 2));
    }
    let state = house.get(&format!("/api/v1/dead-letters/{replayed}")).await;
    assert_eq!(state.ok()["state"], "replayed");
    // refused again: it is open again
    house.event(&dead(1, "hl7v2")).await;
    let state = house.get(&format!("/api/v1/dead-letters/{replayed}")).await;
    assert_eq!(state.ok()["state"], "open");

    let resend = format!("/api/v1/dead-letters/{resent}/resend");
    for wrong in [
        json!({}),
        json!({ "body": "" }),
        json!({ "body": "a", "body_base64": "YQ==" }),
        json!({ "body_base64": "%" }),
    ] {
        assert_eq!(
            house.post(&resend, &wrong).await.problem(400),
            "request.invalid"
        );
    }
    let answer = house
        .post(&resend, &json!({ "body_base64": "TVNIfA==" }))
        .await;
    let child = answer.ok()["answer"]["child"].clone();
    assert_eq!(
        house.backbone.injected.lock().unwrap()[0].1.as_ref(),
        b"MSH|"
    );
    let letter = house.get(&format!("/api/v1/dead-letters/{resent}")).await;
    assert_eq!(letter.ok()["state"], "resent");
    assert_eq!(letter.json["child"], child);
    assert_eq!(
        house
            .post(&resend, &json!({ "body": "x" }))
            .await
            .problem(409),
        "dead.closed"
    );

    let discard = format!("/api/v1/dead-letters/{discarded}/discard");
    let body = json!({ "reason": "test of the vendor" });
    house.post(&discard, &body).await.ok();
    assert_eq!(
        house.post(&discard, &body).await.problem(409),
        "dead.closed"
    );
    let replay = format!("/api/v1/dead-letters/{discarded}/replay");
    assert_eq!(
        house.post(&replay, &json!({})).await.problem(409),
        "dead.closed"
    );
    assert_eq!(
        house.get("/api/v1/dead-letters/999").await.problem(404),
        "dead.unknown"
    );
}

#[tokio::test]
async fn a_resend_takes_a_whole_message_and_other_routes_do_not() {
    let house = House::new().await;
    house.event(&dead(1, "hl7v2")).await;
    let id = house.get("/api/v1/dead-letters").await.items()[0]["id"].clone();
    let large = json!({ "body": "x".repeat(8_000) });
    house
        .post(&format!("/api/v1/dead-letters/{id}/resend"), &large)
        .await
        .ok();
    let too_large = json!({ "body": "x".repeat(20_000) });
    let answer = house
        .post(&format!("/api/v1/dead-letters/{id}/resend"), &too_large)
        .await;
    assert_eq!(answer.problem(413), "request.too_large");
    let answer = house
        .post(&format!("/api/v1/dead-letters/{id}/discard"), &large)
        .await;
    assert_eq!(answer.problem(413), "request.too_large");
}

#[tokio::test]
async fn a_channel_is_seen_stopped_paused_and_started() {
    let house = House::new().await;
    house.listening().await;
    house.report("1", 1, vec![]).await;
    let channel = house.get("/api/v1/channels/lab").await;
    assert_eq!(channel.ok()["link"], "listening");
    assert_eq!(channel.json["messages"], 1);
    assert!(channel.json["last_message_age_seconds"].as_f64().unwrap() < 60.0);
    for (action, desired) in [
        ("stop", "stopped"),
        ("pause", "paused"),
        ("start", "running"),
    ] {
        house
            .post(&format!("/api/v1/channels/lab/{action}"), &json!({}))
            .await
            .ok();
        let channels = house.get("/api/v1/channels").await;
        assert_eq!(channels.items()[0]["desired"], desired);
    }
    for name in ["other", "Not*A*Name"] {
        let answer = house
            .post(&format!("/api/v1/channels/{name}/stop"), &json!({}))
            .await;
        assert_eq!(answer.problem(404), "channels.unknown");
    }
}

#[tokio::test]
async fn a_write_without_an_outcome_yet_is_accepted_and_can_be_asked_for() {
    let house = House::new().await;
    house.listening().await;
    house.backbone.be(Mood::Busy);
    let answer = house.post("/api/v1/channels/lab/stop", &json!({})).await;
    assert_eq!(answer.status, 202);
    let location = answer.header("location").to_owned();
    assert_eq!(answer.json["status_url"], location);
    assert_eq!(house.get(&location).await.ok()["state"], "pending");
    {
        let commands = house.backbone.commands.lock().unwrap();
        let command = commands.last().unwrap();
        assert_eq!(command.actor, "admin");
        let trace = &answer.header("traceparent")[3..35];
        assert!(command.traceparent.contains(trace));
    }
    // the worker comes back
    let command = house
        .backbone
        .commands
        .lock()
        .unwrap()
        .last()
        .cloned()
        .unwrap();
    house.backbone.be(Mood::Willing);
    let wait = std::time::Duration::ZERO;
    hub_api::Backbone::command(&*house.backbone, command, wait)
        .await
        .unwrap();
    let status = house.get(&location).await;
    assert_eq!(status.ok()["state"], "applied");
    assert_eq!(status.json["worker"], "integration");

    house.backbone.be(Mood::Down);
    let answer = house.post("/api/v1/channels/lab/start", &json!({})).await;
    assert_eq!(answer.problem(503), "backbone.unavailable");
}
