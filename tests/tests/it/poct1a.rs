//! Bedside devices that speak POCT1-A, against the whole program.

use std::time::{Duration, Instant};

use tests::{ChannelToml, HubProcess, HubSettings, Poct1a, Servers, encode, eventually, unique};

const SOON: Duration = Duration::from_secs(30);

fn glucose(value: &str) -> String {
    format!(
        "   <OBS>\r\n    <OBS.observation_id V=\"2339-0\" DN=\"Glucose\" SN=\"LN\"/>\r\n    <OBS.value V=\"{value}\" U=\"mg/dL\"/>\r\n    \
         <OBS.method_cd V=\"M\"/>\r\n    <OBS.status_cd V=\"A\"/>\r\n   </OBS>\r\n"
    )
}

fn of_patient(patient: &str, value: &str, reason: &str) -> String {
    format!(
        " <SVC>\r\n  <SVC.role_cd V=\"OBS\"/>\r\n  <SVC.observation_dttm V=\"2026-01-15T11:57:30+05:30\"/>\r\n  \
         <SVC.reason_cd V=\"{reason}\"/>\r\n  <PT>\r\n   <PT.patient_id V=\"{patient}\"/>\r\n{}  </PT>\r\n  <OPR>\r\n   \
         <OPR.operator_id V=\"N-2201\"/>\r\n  </OPR>\r\n </SVC>",
        glucose(value)
    )
}

fn of_material(object: &str, lot: &str, value: &str) -> String {
    format!(
        " <SVC>\r\n  <SVC.role_cd V=\"OBS\"/>\r\n  <SVC.observation_dttm V=\"2026-01-15T07:51:00+05:30\"/>\r\n  <{object}>\r\n   \
         <{object}.lot_number V=\"{lot}\"/>\r\n   <{object}.level_cd V=\"1\"/>\r\n{}  </{object}>\r\n </SVC>",
        glucose(value)
    )
}

#[tokio::test]
async fn a_bedside_result_is_on_the_chart_and_controls_are_on_their_worklist() {
    let servers = Servers::start().await;
    let ward = ChannelToml::new("ward").kind("poct1a");
    let mut hub = HubProcess::start(&servers, &HubSettings::new(&servers).channel(ward)).await;
    let rest = hub.sign_in().await;
    let (patient, lot) = (unique("MRN"), unique("QC"));
    let mut device = Poct1a::connect(hub.mllp("ward")).await;
    device.begin("GP-1").await;
    assert_eq!(
        device
            .send("OBS.R01", &of_patient(&patient, "184", "NEW"))
            .await,
        "AA"
    );
    let path = format!("/api/v1/results?patient_identifier={}", encode(&patient));
    let results = eventually("the result", Duration::from_secs(2), || async {
        let items = rest.items(&path).await;
        (items.len() == 1).then_some(items)
    })
    .await;
    assert_eq!(results[0]["loinc"], "2339-0");
    assert_eq!(results[0]["status"], "F");
    assert_eq!(results[0]["device"], "EXAMPLE GP2 GP-1");

    // control and calibration material, which the device calls OBS like everything else
    assert_eq!(
        device
            .send("OBS.R02", &of_material("CTC", &lot, "52"))
            .await,
        "AA"
    );
    assert_eq!(
        device
            .send("OBS.R02", &of_material("CVC", &lot, "301"))
            .await,
        "AA"
    );
    let controls = eventually("both on the worklist", SOON, || async {
        let items = rest.items("/api/v1/worklists/qc").await;
        (items.len() == 2).then_some(items)
    })
    .await;
    let material = format!("{lot}/1");
    assert!(
        controls
            .iter()
            .all(|c| c["material"] == material.as_str() && c["verdict"] == "not_checked"),
        "{controls:?}"
    );
    assert!(
        rest.items("/api/v1/worklists/unmatched").await.is_empty(),
        "no control is looked for among patients"
    );

    // the same observation once more, under another control id, in another session, after a kill
    hub.kill9().await;
    hub.restart().await;
    let rest = hub.sign_in().await;
    let mut device = Poct1a::connect(hub.mllp("ward")).await;
    device.begin("GP-1").await;
    let again = of_patient(&patient, "184", "RES");
    assert_eq!(device.send("OBS.R01", &again).await, "AA");
    // and a result after it, which proves that it was worked off
    let other = unique("MRN");
    assert_eq!(
        device
            .send("OBS.R01", &of_patient(&other, "99", "NEW"))
            .await,
        "AA"
    );
    eventually("all results of the ward in the ledger", SOON, || async {
        let found = rest
            .items(&format!(
                "/api/v1/messages?patient_number={}",
                encode(&patient)
            ))
            .await;
        (found.len() == 2).then_some(())
    })
    .await;
    rest.results(&other, 1).await;
    let results = rest.items(&path).await;
    assert_eq!(results.len(), 1, "filed once");
    assert!(
        results[0]["version"].as_i64().is_none_or(|v| v == 1),
        "{results:?}"
    );
}

#[tokio::test]
async fn nothing_is_accepted_while_nothing_can_be_stored_and_what_is_broken_is_shown() {
    let servers = Servers::start().await;
    let ward = ChannelToml::new("ward").kind("poct1a");
    let hub = HubProcess::start(&servers, &HubSettings::new(&servers).channel(ward)).await;
    let rest = hub.sign_in().await;
    let patient = unique("MRN");
    let mut device = Poct1a::connect(hub.mllp("ward")).await;
    device.begin("GP-2").await;
    servers.nats.freeze();
    let body = of_patient(&patient, "101", "NEW");
    assert_eq!(device.send("OBS.R01", &body).await, "AE");
    servers.nats.thaw();
    let thawed = Instant::now();
    while device.send("OBS.R01", &body).await != "AA" {
        assert!(thawed.elapsed() < SOON, "the store is back");
    }
    rest.results(&patient, 1).await;

    // half a document, then the line is cut
    let text = device.message("OBS.R01", &body);
    device.write(&text[..text.len() / 2]).await;
    drop(device);
    let letter = eventually("the part is kept as a dead letter", SOON, || async {
        rest.items("/api/v1/dead-letters?channel=ward").await.pop()
    })
    .await;
    assert_eq!(letter["stage"], "edge", "{letter}");
    let detail = letter["detail"].as_str().unwrap();
    assert!(detail.ends_with("poct1a_incomplete"), "{letter}");
}
