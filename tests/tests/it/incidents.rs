//! Alerts from outside: failures that are alike are one incident, which a person sees or which is escalated.

use std::time::Duration;

use serde_json::{Value, json};
use tests::{ChannelToml, HubProcess, HubSettings, Mllp, Rest, Servers, adt, eventually, unique};

const SOON: Duration = Duration::from_secs(60);

/// Messages that are taken and can't be translated, all for the same reason.
async fn fail(hub: &HubProcess, channel: &str, count: usize) {
    let mut line = Mllp::connect(hub.mllp(channel)).await;
    for _ in 0..count {
        let nameless = adt("A01", &unique("T5"), "").replace("^^^HOSP^MR", "");
        line.accepted(nameless).await;
    }
}

/// The open incident of a channel, once it counts as many.
async fn incident(rest: &Rest, channel: &str, count: i64) -> Value {
    eventually(&format!("{count} failures of {channel}"), SOON, || async {
        let open = rest.items("/api/v1/incidents").await;
        let found = open.into_iter().find(|one| {
            one["kind"] == "repeated_failures"
                && one["detail"]
                    .as_str()
                    .unwrap()
                    .contains(&format!("channel {channel}:"))
        })?;
        (found["count"] == count).then_some(found)
    })
    .await
}

/// T5: fifty equal failures are one alert with the count 50; who acknowledges it in time is not passed over, and what nobody
/// acknowledges is escalated and told.
#[tokio::test]
async fn t5_fifty_equal_failures_are_one_alert_that_is_escalated_when_nobody_sees_it() {
    let servers = Servers::start().await;
    let mut settings = HubSettings::new(&servers).channel(ChannelToml::new("second"));
    settings.more = "\n[incidents]\nescalate_after_seconds = 15\n".to_owned();
    let hub = HubProcess::start(&servers, &settings).await;
    let rest = hub.sign_in().await;
    let since = rest.get("/api/v1/changes").await["position"]
        .as_str()
        .unwrap()
        .to_owned();

    // nine are dead letters and nothing more
    fail(&hub, "second", 9).await;
    eventually("nine dead letters", SOON, || async {
        let letters = rest.items("/api/v1/dead-letters?channel=second").await;
        (letters.len() == 9).then_some(())
    })
    .await;
    assert!(rest.items("/api/v1/incidents").await.is_empty());
    fail(&hub, "second", 1).await;
    let seen = incident(&rest, "second", 10).await;
    let path = format!("/api/v1/incidents/{}/acknowledge", seen["id"]);
    let note = json!({ "note": "its maker is told" });
    rest.command(&path, &note).await;
    let (status, problem) = rest.post(&path, &note).await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (409, Some("integration.incident_conflict"))
    );

    fail(&hub, "lab", 50).await;
    let unseen = incident(&rest, "lab", 50).await;
    let open = rest.items("/api/v1/incidents").await;
    assert_eq!(open.len(), 2, "one for each cause: {open:?}");
    let escalated = eventually("it is escalated", SOON, || async {
        let open = rest.items("/api/v1/incidents").await;
        open.into_iter()
            .find(|one| one["id"] == unseen["id"] && one["escalated_at"].is_string())
    })
    .await;
    assert_eq!(escalated["count"], 50);
    let open = rest.items("/api/v1/incidents").await;
    let seen = open.iter().find(|one| one["id"] == seen["id"]).unwrap();
    assert_eq!(
        (
            &seen["acknowledged_by"],
            &seen["note"],
            &seen["escalated_at"]
        ),
        (&json!("admin"), &note["note"], &Value::Null)
    );
    let changes = format!("/api/v1/changes?topics=incidents&since={since}");
    let told = eventually("who looks on is told", SOON, || async {
        let told = rest.items(&changes).await;
        (!told.is_empty()).then_some(told)
    })
    .await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["type"], "integration.incident.escalated");
    assert_eq!(told[0]["id"], unseen["id"].to_string());
    assert!(hub.log().contains("nobody has acknowledged"));
}
