//! Simulated instruments that ask what is ordered and send results of just that, in every protocol that `hub simulate` plays: the
//! loop from order to done is closed by the simulator alone.

use serde_json::{Value, json};
use tests::{ChannelToml, HubSettings, unique};

use super::super::lab::Lab;
use super::simulated::{simulate, unmatched};

/// What a laboratory would map: a code as sent, the channels that send it, and its LOINC code.
const CODES: [(&str, &str, &str); 5] = [
    ("1", r#""mindray-bs", "mindray-bs-astm""#, "2345-7"),
    ("GLUCOSE", r#""biosystems-ba400""#, "2345-7"),
    ("GLUC", r#""siemens-dimension""#, "2345-7"),
    ("097", r#""beckman-au""#, "2951-2"),
    ("891", r#""roche-c111""#, "4548-4"),
];

/// A counter's panel.
const PANEL: &str = r#"
[[order]]
id = "x-cbc"
code = "CBC"
channels = ["mindray-bc"]
instrument = ["6690-2", "718-7"]
"#;

fn rows() -> String {
    let codes = CODES.map(|(code, channels, loinc)| {
        format!(
            "[[code]]\nid = \"x-{}\"\ncode = \"{code}\"\nchannels = [{channels}]\nloinc = \"{loinc}\"\n",
            code.to_lowercase()
        )
    });
    codes.concat() + PANEL
}

/// A hub with a listening channel for each pack.
async fn lab(packs: &[(&'static str, &'static str)]) -> Lab {
    Lab::with(&rows(), |servers| {
        packs
            .iter()
            .fold(HubSettings::new(servers), |settings, &(pack, kind)| {
                settings.channel(ChannelToml::new(pack).kind(kind).pack(Some(pack)))
            })
    })
    .await
}

async fn play(lab: &Lab, pack: &str, tube: &str, flags: &[&str]) -> (bool, Vec<Value>) {
    let to = lab.hub.mllp(pack).to_string();
    let arguments = [&[pack, "--to", &to, "--specimen", tube][..], flags].concat();
    simulate(&arguments).await
}

fn events<'t>(told: &'t [Value], event: &str) -> Vec<&'t Value> {
    told.iter().filter(|one| one["event"] == event).collect()
}

/// Asks for a tube that nobody knows: that is an answer, nothing is measured.
async fn nobody_knows(lab: &Lab, pack: &str) {
    for flag in ["--ask", "--work"] {
        let (good, told) = play(lab, pack, &unique("U"), &[flag]).await;
        assert!(good, "{pack} {flag}: {told:#?}");
        assert!(
            !events(&told, "received").is_empty() && events(&told, "unanswered").is_empty(),
            "{pack} {flag}: {told:#?}"
        );
        let sent = events(&told, "sent");
        assert_eq!(sent.len(), 1, "{pack} {flag}: only the query: {told:#?}");
    }
}

/// Orders a test, lets the instrument ask and measure it, and sees the order done with so many results.
async fn closes(lab: &Lab, pack: &str, code: Value, taken: &str, results: usize) -> Vec<Value> {
    let (patient, tube) = (lab.patient().await, unique("S"));
    let order = lab.place(&patient, code, &tube).await;
    let (good, told) = play(lab, pack, &tube, &["--ask"]).await;
    assert!(good, "{pack} --ask: {told:#?}");
    assert!(
        lab.order(&order).await["status"] != "completed",
        "asking alone does nothing"
    );
    let (good, told) = play(lab, pack, &tube, &["--work"]).await;
    assert!(good, "{pack} --work: {told:#?}");
    let plays: Vec<&str> = events(&told, "sent")
        .iter()
        .map(|sent| sent["play"].as_str().unwrap())
        .collect();
    assert_eq!(plays, ["query", "results"], "{pack}: {told:#?}");
    lab.sent(&order, pack, "perform", taken).await;
    let filed = lab.rest.results(&patient, results).await;
    assert_eq!(filed.len(), results, "{pack}: just what was ordered");
    assert_eq!(filed[0]["specimen_number"], tube.as_str(), "{pack}");
    lab.completed(&order).await;
    filed
}

#[tokio::test]
async fn simulated_instruments_that_speak_hl7_ask_and_measure_what_is_ordered() {
    let lab = lab(&[
        ("mindray-bc", "hl7v2"),
        ("mindray-bs", "hl7v2"),
        ("biosystems-ba400", "hl7v2"),
    ])
    .await;
    let glucose = json!({ "code": "2345-7", "system": "LN" });
    for pack in ["mindray-bc", "mindray-bs", "biosystems-ba400"] {
        nobody_knows(&lab, pack).await;
    }
    // a counter is told how to count, and sends all that it counts
    closes(
        &lab,
        "mindray-bc",
        json!({ "code": "CBC" }),
        "delivered",
        11,
    )
    .await;
    // the hub's DSR is acknowledged, else it would be sent again
    closes(&lab, "mindray-bs", glucose.clone(), "accepted", 1).await;
    let filed = closes(&lab, "biosystems-ba400", glucose, "accepted", 1).await;
    assert!(
        filed[0]["placer_number"].is_string(),
        "the step's number came back: {:#}",
        filed[0]
    );
}

#[tokio::test]
async fn simulated_instruments_that_speak_in_blocks_ask_and_measure_what_is_ordered() {
    let lab = lab(&[("siemens-dimension", "astm"), ("beckman-au", "astm")]).await;
    for pack in ["siemens-dimension", "beckman-au"] {
        nobody_knows(&lab, pack).await;
    }
    let glucose = json!({ "code": "2345-7", "system": "LN" });
    closes(&lab, "siemens-dimension", glucose, "delivered", 1).await;
    let sodium = json!({ "code": "2951-2", "system": "LN" });
    closes(&lab, "beckman-au", sodium, "delivered", 1).await;
    // what the hub says to the first copy is not taken for its word on the second
    for (pack, tests) in [("siemens-dimension", 2), ("beckman-au", 4)] {
        for fault in ["repeat", "drop"] {
            let tube = unique("T");
            let (good, told) = play(&lab, pack, &tube, &["--fault", fault]).await;
            assert!(good, "{pack} {fault}: {told:#?}");
            let item = unmatched(&lab.rest, &tube).await;
            assert_eq!(
                item["tests"].as_array().unwrap().len(),
                tests,
                "{pack} {fault}: {item:#}"
            );
        }
        let (good, told) = play(&lab, pack, &unique("U"), &["--ask", "--fault", "repeat"]).await;
        assert!(good, "{pack} asks twice: {told:#?}");
    }
}

#[tokio::test]
async fn simulated_instruments_that_speak_astm_ask_with_the_samples_of_their_packs() {
    let lab = lab(&[("mindray-bs-astm", "astm"), ("roche-c111", "astm")]).await;
    for pack in ["mindray-bs-astm", "roche-c111"] {
        nobody_knows(&lab, pack).await;
    }
    let glucose = json!({ "code": "2345-7", "system": "LN" });
    closes(&lab, "mindray-bs-astm", glucose, "delivered", 1).await;
    let glycated = json!({ "code": "4548-4", "system": "LN" });
    closes(&lab, "roche-c111", glycated, "delivered", 1).await;
}
