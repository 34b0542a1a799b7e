//! Instruments that `hub simulate` plays, against a hub whose channels name their packs: over TCP and over a pseudo terminal,
//! well-behaved or not.

use std::time::Duration;

use serde_json::{Value, json};
use tests::{
    HubProcess, HubSettings, Mllp, Rest, Servers, adt, encode, eventually, free_address,
    hub_binary, unique,
};

use super::project;

const SOON: Duration = Duration::from_secs(30);

/// A hub with one channel a pack, beside `lab`.
async fn analyzers(servers: &Servers, channels: &str) -> HubProcess {
    let mut settings = HubSettings::new(servers);
    settings.more = channels.to_owned();
    HubProcess::start(servers, &settings).await
}

fn channel(pack: &str, kind: &str, link: &str) -> String {
    format!(
        "\n[[channel]]\nid = \"{pack}\"\ntenant = \"demo\"\nkind = \"{kind}\"\npack = \"{pack}\"\n{link}\n"
    )
}

/// Plays an instrument; what it told, an event each.
pub(super) async fn simulate(arguments: &[&str]) -> (bool, Vec<Value>) {
    let output = tokio::process::Command::new(hub_binary())
        .arg("simulate")
        .args(arguments)
        .arg("--json")
        .env("HUB_MAPPINGS", project().join("mappings"))
        .env_remove("HUB_CONFIG")
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(120), output)
        .await
        .expect("the play ends")
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let said = String::from_utf8_lossy(&output.stderr);
    if !said.is_empty() {
        println!("{said}");
    }
    (output.status.success(), told)
}

/// The report of a tube that nobody ordered anything on.
pub(super) async fn unmatched(rest: &Rest, tube: &str) -> Value {
    eventually(&format!("{tube} waits"), SOON, || async {
        let items = rest.items("/api/v1/worklists/unmatched").await;
        items
            .into_iter()
            .find(|item| item["specimen_number"] == tube)
    })
    .await
}

#[tokio::test]
async fn a_simulated_sysmex_asks_for_its_order_over_tcp_and_its_result_closes_it() {
    let servers = Servers::start().await;
    let address = free_address();
    let listen = format!("[channel.settings.server]\nlisten = \"{address}\"");
    let hub = analyzers(&servers, &channel("sysmex-xp", "astm", &listen)).await;
    let rest = hub.sign_in().await;
    let (patient, tube) = (unique("MRN"), unique("T"));
    let sent = Mllp::connect(hub.mllp("lab"))
        .await
        .send(&adt("A04", &unique("C"), &patient))
        .await;
    assert_eq!(sent.code, "AA");
    let path = format!("/api/v1/patients?identifier={}", encode(&patient));
    eventually("the patient is registered", SOON, || async {
        (!rest.items(&path).await.is_empty()).then_some(())
    })
    .await;
    let order = json!({
        "patient_identifier": patient, "code": { "code": "718-7", "system": "LN" },
        "specimen": { "number": tube, "kind": { "code": "BLD" } }, "priority": "routine",
    });
    let (status, placed) = rest.post("/api/v1/orders", &order).await;
    assert_eq!(status, 201, "{placed}");

    let to = address.to_string();
    let (good, told) = simulate(&["sysmex-xp", "--to", &to, "--work", "--specimen", &tube]).await;
    assert!(good, "{told:#?}");
    let answer = told
        .iter()
        .find(|event| event["event"] == "received")
        .unwrap();
    assert!(
        answer.to_string().contains("^^^^HGB"),
        "in the instrument's own words: {answer:#}"
    );
    let results = rest.results(&patient, 1).await;
    assert_eq!(results[0]["loinc"], "718-7", "only what was ordered");
    let path = format!("/api/v1/orders/{}", placed["id"].as_str().unwrap());
    eventually("the order is closed", SOON, || async {
        (rest.get(&path).await["status"] == "completed").then_some(())
    })
    .await;

    // nothing is ordered on this one, and it misbehaves in every way that a line allows
    for fault in ["checksum", "repeat", "drop"] {
        let tube = unique("T");
        let (good, told) = simulate(&[
            "sysmex-xp",
            "--to",
            &to,
            "--fault",
            fault,
            "--specimen",
            &tube,
        ])
        .await;
        assert!(good, "{fault}: {told:#?}");
        let item = unmatched(&rest, &tube).await;
        assert_eq!(
            item["tests"].as_array().unwrap().len(),
            10,
            "{fault}: {item:#}"
        );
    }
}

#[tokio::test]
async fn a_simulated_mindray_over_tcp_is_read_by_its_pack() {
    let servers = Servers::start().await;
    let address = free_address();
    let listen = format!("[channel.settings.server]\nlisten = \"{address}\"");
    let hub = analyzers(&servers, &channel("mindray-bc", "hl7v2", &listen)).await;
    let rest = hub.sign_in().await;
    let (patient, tube) = (unique("MRN"), unique("T"));
    let to = address.to_string();
    let arguments = [
        "mindray-bc",
        "--to",
        &to,
        "--specimen",
        &tube,
        "--patient",
        &patient,
        "--fault",
        "repeat",
    ];
    let (good, told) = simulate(&arguments).await;
    assert!(good, "{told:#?}");
    let results = rest.results(&patient, 11).await;
    let haemoglobin = results.iter().find(|r| r["loinc"] == "718-7").unwrap();
    assert_eq!(
        haemoglobin["specimen_number"],
        tube.as_str(),
        "OBR-3: {haemoglobin:#}"
    );
    assert_eq!(haemoglobin["ucum"], "g/dL", "from g/L: {haemoglobin:#}");
    assert!(
        results.iter().all(|r| r["code"]["code"] != "08001"),
        "settings are no results"
    );
    assert!(
        results.iter().any(|r| r["loinc"] == "51637-7"),
        "PCT is a plateletcrit here"
    );

    let (good, told) = simulate(&["mindray-bc", "--to", &to, "--qc", "--specimen", "LOT1"]).await;
    assert!(good, "{told:#?}");
    let controls = eventually("both controls are on their own list", SOON, || async {
        let items = rest.items("/api/v1/worklists/qc?state=all").await;
        (items.len() == 2).then_some(items)
    })
    .await;
    assert!(
        controls.iter().all(|item| item["material"] == "LOT1"),
        "{controls:#?}"
    );
}

#[tokio::test]
async fn a_simulated_horiba_on_a_serial_line_is_heard_after_it_was_unplugged() {
    let servers = Servers::start().await;
    let port = servers.folder().join("usb-horiba");
    let serial = format!(
        "[channel.settings.serial]\nport = \"{}\"\nretry_first_ms = 50\nretry_longest_ms = 200",
        port.display()
    );
    let hub = analyzers(&servers, &channel("horiba-yumizen", "astm", &serial)).await;
    let rest = hub.sign_in().await;
    let path = port.to_str().unwrap();
    for fault in [None, Some("drop")] {
        let (patient, tube) = (unique("MRN"), unique("T"));
        let mut arguments = vec![
            "horiba-yumizen",
            "--pty",
            path,
            "--specimen",
            &tube,
            "--patient",
            &patient,
            "--patience",
            "4",
        ];
        if let Some(fault) = fault {
            arguments.extend(["--fault", fault]);
        }
        let (good, told) = simulate(&arguments).await;
        assert!(good, "{told:#?}");
        let item = unmatched(&rest, &tube).await;
        assert_eq!(item["tests"].as_array().unwrap().len(), 5, "{item:#}");
        assert!(!port.exists(), "unplugged at the end");
    }
}
