//! The program starts, with or without its servers, and stops when it is told to.

use std::time::{Duration, Instant};

use tests::{HubProcess, HubSettings, Mllp, Rest, Servers, eventually, oru, unique};

use super::SOON;

#[tokio::test]
async fn told_to_stop_the_hub_answers_what_is_in_flight_and_is_gone_within_ten_seconds() {
    let servers = Servers::start().await;
    let mut hub = HubProcess::start(&servers, &HubSettings::new(&servers)).await;
    let patient = unique("TERM");
    let mut peer = Mllp::connect(hub.mllp("lab")).await;
    let mut idle = Mllp::connect(hub.mllp("lab")).await;
    idle.accepted(oru(
        &unique("C"),
        &unique("P"),
        &unique("S"),
        &[("GLU", "5", "mg/dL")],
    ))
    .await;
    for n in 0..200 {
        peer.write(&tests::frame(
            oru(
                &unique("C"),
                &patient,
                &format!("{patient}S{n}"),
                &[("GLU", "5", "mg/dL")],
            )
            .as_bytes(),
        ))
        .await
        .unwrap();
    }
    let (reading, stopping) = tokio::join!(
        async {
            let mut accepted = 0;
            while let Some(answer) = peer.answer(Duration::from_secs(12)).await {
                assert!(["AA", "AE"].contains(&answer.code.as_str()));
                accepted += usize::from(answer.code == "AA");
            }
            accepted
        },
        hub.terminate()
    );
    let (status, took) = stopping;
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(reading > 0);
    hub.restart().await;
    let kept = hub.sign_in().await.results(&patient, reading).await.len();
    assert!(
        kept >= reading,
        "{reading} acknowledged, {kept} took effect"
    );
}

#[tokio::test]
async fn the_hub_comes_up_without_nats_and_postgres_and_works_when_they_are_there() {
    let servers = Servers::start().await;
    let settings = HubSettings::new(&servers);
    // the database is migrated once, then both are down
    let mut hub = HubProcess::start(&servers, &settings).await;
    hub.terminate().await;
    tokio::join!(async { servers.nats.stop().await.unwrap() }, async {
        servers.postgres.stop().await.unwrap();
    });
    hub.launch_again();
    eventually("it lives", SOON, || async {
        reachable(hub.api()).await.then_some(())
    })
    .await;
    assert!(!Rest::new(hub.api()).is_ready().await);
    tokio::join!(async { servers.nats.restart().await.unwrap() }, async {
        servers.postgres.restart().await.unwrap();
    });
    hub.wait_ready().await;
    let patient = unique("UP");
    Mllp::connect(hub.mllp("lab"))
        .await
        .accepted(oru(
            &unique("C"),
            &patient,
            &unique("S"),
            &[("GLU", "5", "mg/dL")],
        ))
        .await;
    hub.sign_in().await.results(&patient, 1).await;
}

#[tokio::test]
async fn from_process_start_to_the_first_accepted_message_passes_little_time() {
    let servers = Servers::start().await;
    let mut hub = HubProcess::start(&servers, &HubSettings::new(&servers)).await;
    hub.terminate().await;
    let began = Instant::now();
    hub.launch_again();
    let address = hub.mllp("lab");
    eventually("the first message is accepted", SOON, || async {
        let mut peer = Mllp::try_connect(address).await.ok()?;
        (peer
            .try_send(oru(
                &unique("C"),
                &unique("P"),
                &unique("S"),
                &[("GLU", "5", "mg/dL")],
            ))
            .await?
            .code
            == "AA")
            .then_some(())
    })
    .await;
    // one second is promised of a release build on an idle machine; this one may be neither
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
}

async fn reachable(api: std::net::SocketAddr) -> bool {
    tokio::net::TcpStream::connect(api).await.is_ok()
}
