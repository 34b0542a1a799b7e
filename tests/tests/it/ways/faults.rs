//! A process, PostgreSQL or NATS dies: what is acknowledged meanwhile, and that it takes effect once and in order.

use std::time::{Duration, Instant};

use tests::{HubProcess, HubSettings, Mllp, Servers, eventually, oru, unique};

use super::SOON;

#[tokio::test]
async fn two_processes_share_the_lanes_and_when_one_is_killed_the_other_finishes_in_order() {
    const PATIENTS: usize = 24;
    const UPDATES: usize = 25;
    let servers = Servers::start().await;
    let settings = HubSettings::new(&servers);
    let mut first = HubProcess::start(&servers, &settings).await;
    let second = HubProcess::start(&servers, &settings.elsewhere()).await;
    eventually("both own lanes", SOON, || async {
        second
            .log()
            .lines()
            .any(|line| line.contains("lanes owned") && line.contains("members=2"))
            .then_some(())
    })
    .await;

    let prefix = unique("TWO");
    let mut peer = Mllp::connect(second.mllp("lab")).await;
    let mut sent = 0;
    for update in 1..=UPDATES {
        for patient in 0..PATIENTS {
            let message = tests::adt_named(
                "A08",
                &unique("TW"),
                &format!("{prefix}P{patient}"),
                &format!("Version{update}"),
            );
            peer.write(&tests::frame(message.as_bytes())).await.unwrap();
            sent += 1;
        }
        if update == UPDATES / 2 {
            first.kill9().await;
        }
    }
    assert!(
        peer.answers(sent)
            .await
            .iter()
            .all(|answer| answer.code == "AA")
    );

    let rest = second.sign_in().await;
    let last = format!("Version{UPDATES}");
    for patient in 0..PATIENTS {
        let number = format!("{prefix}P{patient}");
        let record = eventually(
            &format!("the last update of {number}"),
            Duration::from_secs(60),
            || async {
                let found = rest.items(&format!("/api/v1/patients?mrn={number}")).await;
                found
                    .into_iter()
                    .find(|record| record["name"]["family"] == last.as_str())
            },
        )
        .await;
        assert_eq!(
            record["version"], UPDATES,
            "each update has one effect: {record}"
        );
    }
}

#[tokio::test]
async fn with_postgres_down_mllp_acknowledges_and_the_work_is_done_in_order_after() {
    let servers = Servers::start().await;
    let hub = HubProcess::start(&servers, &HubSettings::new(&servers)).await;
    let mut peer = Mllp::connect(hub.mllp("lab")).await;
    let patient = unique("PGD");
    peer.accepted(tests::adt_named("A08", &unique("C"), &patient, "Before"))
        .await;
    servers.postgres.kill9().await.unwrap();
    for n in 1..=40 {
        peer.accepted(tests::adt_named(
            "A08",
            &unique("C"),
            &patient,
            &format!("Version{n}"),
        ))
        .await;
    }
    servers.postgres.restart().await.unwrap();
    let rest = hub.sign_in().await;
    let record = eventually("the last update", Duration::from_secs(60), || async {
        rest.items(&format!("/api/v1/patients?mrn={patient}"))
            .await
            .into_iter()
            .find(|record| record["name"]["family"] == "Version40")
    })
    .await;
    assert_eq!(
        record["version"], 41,
        "each update has one effect, in order"
    );
}

#[tokio::test]
async fn with_nats_down_nothing_is_acknowledged_and_with_nats_back_it_is_again() {
    let servers = Servers::start().await;
    let hub = HubProcess::start(&servers, &HubSettings::new(&servers)).await;
    let address = hub.mllp("lab");
    let mut peer = Mllp::connect(address).await;
    let (patient, id) = (unique("ND"), unique("NDC"));
    let message = oru(&id, &patient, &unique("S"), &[("GLU", "5", "mg/dL")]);
    servers.nats.kill9().await.unwrap();
    for _ in 0..3 {
        let began = Instant::now();
        let answer = peer.send(&message).await;
        assert_eq!(
            (answer.code.as_str(), answer.control_id.as_str()),
            ("AE", id.as_str()),
            "{}",
            answer.text
        );
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );
    }
    // new connections are taken and told the same
    assert_eq!(Mllp::connect(address).await.send(&message).await.code, "AE");
    servers.nats.restart().await.unwrap();
    eventually("it is acknowledged again", SOON, || async {
        (Mllp::connect(address).await.try_send(&message).await?.code == "AA").then_some(())
    })
    .await;
    assert_eq!(hub.sign_in().await.results(&patient, 1).await.len(), 1);
}
