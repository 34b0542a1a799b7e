//! What is acknowledged is on disk (g1), and nothing that was received is dropped (g2).

use std::time::Duration;

use tests::{HubProcess, HubSettings, Mllp, Rest, Servers, eventually, oru, shared, stamp, unique};

use super::SOON;

#[tokio::test]
async fn g1_an_acknowledgement_means_on_disk_for_what_was_acknowledged_before_a_power_cut_of_nats_is_there_after()
 {
    let servers = Servers::start().await;
    let hub = HubProcess::start(&servers, &HubSettings::new(&servers)).await;
    let (patient, mut acknowledged) = (unique("G1"), 0);
    let mut peer = Mllp::connect(hub.mllp("lab")).await;
    // a pipelined burst, and NATS is killed in the middle of it
    for n in 0..60 {
        peer.write(&tests::frame(
            oru(
                &unique("C"),
                &patient,
                &format!("{patient}S{n}"),
                &[("GLU", "1", "mg/dL")],
            )
            .as_bytes(),
        ))
        .await
        .unwrap();
    }
    servers.nats.kill9().await.unwrap();
    let mut refused = 0;
    while acknowledged + refused < 60 {
        let Some(answer) = peer.answer(Duration::from_secs(10)).await else {
            break;
        };
        match answer.code.as_str() {
            "AA" => acknowledged += 1,
            "AE" => refused += 1,
            other => panic!("{other} is neither stored nor repeatable"),
        }
    }
    assert_eq!(
        acknowledged + refused,
        60,
        "a sender was left without an answer"
    );
    servers.nats.restart().await.unwrap();

    let rest = hub.sign_in().await;
    let kept = rest.results(&patient, acknowledged).await.len();
    assert!(
        kept >= acknowledged,
        "{acknowledged} acknowledged, {kept} kept"
    );
}

#[tokio::test]
async fn g1_the_streams_are_synced_on_every_write_and_the_hub_says_so() {
    let world = shared().await;
    eventually("the hub says that every write is synced", SOON, || async {
        world
            .hub
            .log()
            .contains("NATS syncs every write")
            .then_some(())
    })
    .await;
    let metrics = Rest::new(world.hub.api()).text("/metrics").await;
    assert!(!metrics.contains("hub_nats_sync_weak 1"));
}

#[tokio::test]
async fn g1_a_server_that_does_not_sync_is_said_loudly() {
    let servers = Servers::start_with(|options| options.sync_always = false).await;
    let hub = HubProcess::start(&servers, &HubSettings::new(&servers)).await;
    eventually("the log says it at error level", SOON, || async {
        hub.log()
            .lines()
            .any(|line| line.contains("ERROR") && line.contains("NATS durability"))
            .then_some(())
    })
    .await;
    assert!(
        Rest::new(hub.api())
            .text("/metrics")
            .await
            .contains("hub_nats_sync_weak 1")
    );
}

#[tokio::test]
async fn g2_nothing_received_is_dropped_every_acknowledged_message_has_its_row_in_the_ledger() {
    let world = shared().await;
    let rest = world.hub.sign_in().await;
    let patient = unique("G2");
    let mut peer = Mllp::connect(world.hub.mllp("lab")).await;
    let mut ids = Vec::new();
    for kind in ["ORU^R01", "ADT^A08", "MDM^T02", "QRY^Q99", "DFT^P03"] {
        let id = unique("G2");
        peer.accepted(format!("MSH|^~\\&|A|B|C|D|{}||{kind}|{id}|P|2.5\rPID|1||{patient}^^^HOSP^MR||A^B\rOBR|1|||X\rOBX|1|ST|Y||z||||||F\r", stamp())).await;
        ids.push(id);
    }
    for id in ids {
        let message = rest.message(&id).await;
        assert!(
            ["translated", "not_translated", "query"]
                .contains(&message["outcome"].as_str().unwrap()),
            "{message}"
        );
    }
}

#[tokio::test]
async fn g2_fields_that_nothing_reads_are_listed_with_the_message() {
    let world = shared().await;
    let rest = world.hub.sign_in().await;
    let id = unique("G2U");
    let mut peer = Mllp::connect(world.hub.mllp("lab")).await;
    let message =
        oru(&id, &unique("P"), &unique("S"), &[("GLU", "1", "mg/dL")]) + "ZZZ|1|vendor value\r";
    peer.accepted(message).await;
    let id = rest.message(&id).await["id"].as_str().unwrap().to_owned();
    let detail = rest.get(&format!("/api/v1/messages/{id}")).await;
    assert!(
        detail["unmapped"]
            .as_array()
            .unwrap()
            .iter()
            .any(|path| path.as_str().unwrap().contains("ZZZ")),
        "{detail}"
    );
}
