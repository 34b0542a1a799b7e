//! The ledger of messages: what became of each, its bytes, and pages of them.

use reqwest::Method;
use tests::{Mllp, encode, eventually, oru, shared, unique};

use super::SOON;

#[tokio::test]
async fn the_lineage_leads_from_the_raw_message_over_events_and_effects_to_what_was_sent_on() {
    let world = shared().await;
    let rest = world.hub.sign_in().await;
    let (id, patient, odd) = (unique("LIN"), unique("LINP"), unique("LINC"));
    Mllp::connect(world.hub.mllp("lab"))
        .await
        .accepted(oru(
            &id,
            &patient,
            &unique("S"),
            &[("GLU", "5", "mg/dL"), (&odd, "1", "")],
        ))
        .await;
    rest.results(&patient, 2).await;
    let raw = rest.message(&id).await["id"].as_str().unwrap().to_owned();
    let lineage = eventually("all of it is applied", SOON, || async {
        let lineage = rest.get(&format!("/api/v1/messages/{raw}/lineage")).await;
        let events = lineage["events"].as_array()?;
        let applied = events
            .iter()
            .all(|event| !event["applied"].as_array().unwrap().is_empty());
        let sent = lineage["outgoing"].as_array()?;
        (applied && !sent.is_empty() && sent.iter().all(|one| one["published_at"].is_string()))
            .then_some(lineage)
    })
    .await;
    let types: Vec<&str> = lineage["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert!(types.contains(&"lis.result.received"), "{types:?}");
    let kinds: Vec<&str> = lineage["effects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|effect| effect["kind"].as_str().unwrap())
        .collect();
    assert!(
        kinds.contains(&"report") && kinds.contains(&"patient"),
        "{kinds:?}"
    );
    assert_eq!(lineage["arrivals"][0]["control_id"], id.as_str());
}

#[tokio::test]
async fn reading_a_body_gives_the_bytes_and_leaves_an_audit_row_with_the_reason() {
    let world = shared().await;
    let rest = world.hub.sign_in().await;
    let id = unique("BODY");
    let message = oru(&id, &unique("P"), &unique("S"), &[("GLU", "5", "mg/dL")]);
    Mllp::connect(world.hub.mllp("lab"))
        .await
        .accepted(&message)
        .await;
    let raw = rest.message(&id).await["id"].as_str().unwrap().to_owned();
    let response = rest
        .response(
            Method::GET,
            &format!("/api/v1/messages/{raw}/body"),
            None,
            &[("hub-access-reason", "result disputed")],
        )
        .await;
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.bytes().await.unwrap(), message.as_bytes());
    let entry = eventually("the audit row", SOON, || async {
        rest.items(&format!(
            "/api/v1/audit?action=message.body_read&object={}",
            encode(&format!("message {raw}"))
        ))
        .await
        .into_iter()
        .next()
    })
    .await;
    assert_eq!(
        (entry["actor"].as_str(), entry["reason"].as_str()),
        (Some("admin"), Some("result disputed"))
    );
}

#[tokio::test]
async fn pages_of_messages_follow_each_other_without_gap_or_repeat() {
    let world = shared().await;
    let rest = world.hub.sign_in().await;
    let patient = unique("PAGE");
    let mut peer = Mllp::connect(world.hub.mllp("lab")).await;
    for n in 0..25 {
        peer.write(&tests::frame(
            oru(
                &unique("PG"),
                &patient,
                &format!("{patient}S{n}"),
                &[("GLU", "5", "mg/dL")],
            )
            .as_bytes(),
        ))
        .await
        .unwrap();
    }
    peer.answers(25).await;
    rest.results(&patient, 25).await;
    eventually("all are in the ledger", SOON, || async {
        (rest
            .items(&format!(
                "/api/v1/messages?patient_number={patient}&limit=500"
            ))
            .await
            .len()
            == 25)
            .then_some(())
    })
    .await;
    let pages = rest
        .all_items(&format!(
            "/api/v1/messages?patient_number={patient}&limit=4"
        ))
        .await;
    let ids: std::collections::HashSet<&str> = pages
        .iter()
        .map(|item| item["id"].as_str().unwrap())
        .collect();
    assert_eq!((pages.len(), ids.len()), (25, 25));
    assert_eq!(
        rest.all_items(&format!("/api/v1/messages?q={patient}&limit=7"))
            .await
            .len(),
        25
    );
}
