//! Channels are paused, stopped and started while the rest runs.

use std::time::Duration;

use serde_json::json;
use tests::{ChannelToml, HubProcess, HubSettings, Mllp, Servers, eventually, oru, unique};

use super::SOON;

#[tokio::test]
async fn a_paused_channel_acknowledges_and_processes_after_it_is_started_and_a_stopped_one_does_not_listen()
 {
    let servers = Servers::start().await;
    let hub = HubProcess::start(
        &servers,
        &HubSettings::new(&servers).channel(ChannelToml::new("second")),
    )
    .await;
    let rest = hub.sign_in().await;
    let patient = unique("PAU");
    // a channel is known once its edge has reported
    eventually("the channel has reported", SOON, || async {
        (rest.try_get("/api/v1/channels/lab").await.1["link"] == "listening").then_some(())
    })
    .await;

    rest.command("/api/v1/channels/lab/pause", &json!({})).await;
    eventually("the pause has arrived", SOON, || async {
        hub.log().contains("state=\"paused\"").then_some(())
    })
    .await;
    let mut peer = Mllp::connect(hub.mllp("lab")).await;
    let id = unique("C");
    peer.accepted(oru(&id, &patient, &unique("S"), &[("GLU", "5", "mg/dL")]))
        .await;
    // what came later on another channel is through: the paused one is not merely slow
    let later = unique("PAUL");
    Mllp::connect(hub.mllp("second"))
        .await
        .accepted(oru(
            &unique("C"),
            &later,
            &unique("S"),
            &[("GLU", "5", "mg/dL")],
        ))
        .await;
    rest.results(&later, 1).await;
    assert!(
        rest.items(&format!("/api/v1/results?patient_identifier={patient}"))
            .await
            .is_empty()
    );
    assert_eq!(rest.get("/api/v1/channels/lab").await["desired"], "paused");

    rest.command("/api/v1/channels/lab/start", &json!({})).await;
    rest.results(&patient, 1).await;

    rest.command("/api/v1/channels/lab/stop", &json!({})).await;
    assert!(
        peer.is_closed_within(Duration::from_secs(10)).await,
        "open connections of a stopped channel are closed"
    );
    eventually("nobody listens", SOON, || async {
        Mllp::try_connect(hub.mllp("lab")).await.err()
    })
    .await;
    Mllp::connect(hub.mllp("second"))
        .await
        .accepted(oru(
            &unique("C"),
            &later,
            &unique("S"),
            &[("GLU", "6", "mg/dL")],
        ))
        .await;
    rest.command("/api/v1/channels/lab/start", &json!({})).await;
    let mut peer = eventually("it listens again", SOON, || async {
        Mllp::try_connect(hub.mllp("lab")).await.ok()
    })
    .await;
    peer.accepted(oru(
        &unique("C"),
        &patient,
        &unique("S"),
        &[("GLU", "7", "mg/dL")],
    ))
    .await;
    rest.results(&patient, 2).await;
}

#[tokio::test]
async fn a_stopped_channel_stays_stopped_over_a_restart() {
    let servers = Servers::start().await;
    let mut hub = HubProcess::start(
        &servers,
        &HubSettings::new(&servers).channel(ChannelToml::new("second")),
    )
    .await;
    let rest = hub.sign_in().await;
    eventually("the channel has reported", SOON, || async {
        (rest.try_get("/api/v1/channels/lab").await.1["link"] == "listening").then_some(())
    })
    .await;
    rest.command("/api/v1/channels/lab/stop", &json!({})).await;
    eventually("nobody listens", SOON, || async {
        Mllp::try_connect(hub.mllp("lab")).await.err()
    })
    .await;
    hub.terminate().await;
    hub.launch_again();
    let second = hub.mllp("second");
    eventually("the other channel listens", SOON, || async {
        Mllp::try_connect(second).await.ok()
    })
    .await;
    let lab = hub.mllp("lab");
    eventually(
        "the stop is known again and nobody listens",
        SOON,
        || async { Mllp::try_connect(lab).await.err() },
    )
    .await;
}
