//! Codes on their way to LOINC: known, held, and released by a mapping over REST or by a file.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::{
    HubProcess, HubSettings, Mllp, Rest, Servers, encode, eventually, oru, shared, unique,
};

use super::SOON;

#[tokio::test]
async fn a_result_is_visible_over_rest_within_two_seconds_coded_and_uncoded() {
    let world = shared().await;
    let rest = world.hub.sign_in().await;
    let mut peer = Mllp::connect(world.hub.mllp("lab")).await;
    let (patient, specimen, odd) = (unique("MRN"), unique("S"), unique("ODD"));
    let message = oru(
        &unique("C"),
        &patient,
        &specimen,
        &[("GLU", "104", "mg/dL"), (&odd, "7", "")],
    );

    peer.accepted(&message).await;
    let acknowledged = Instant::now();
    let path = format!("/api/v1/results?patient_identifier={}", encode(&patient));
    let results = eventually("both results", Duration::from_secs(2), || async {
        let items = rest.items(&path).await;
        (items.len() == 2).then_some(items)
    })
    .await;

    assert!(
        acknowledged.elapsed() <= Duration::from_secs(2),
        "{:?}",
        acknowledged.elapsed()
    );
    assert_eq!(
        results
            .iter()
            .find(|result| result["code"]["code"] == "GLU")
            .unwrap()["loinc"],
        "2345-7"
    );
    let uncoded = results
        .iter()
        .find(|result| result["code"]["code"] == odd.as_str())
        .unwrap();
    assert_eq!(
        (uncoded["raw_value"].as_str(), uncoded["held"].as_str()),
        (Some("7"), Some("unknown_code"))
    );
}

#[tokio::test]
async fn an_unknown_code_is_held_and_one_mapping_over_rest_releases_all_results_that_wait() {
    let world = shared().await;
    let rest = world.hub.sign_in().await;
    let (code, prefix) = (unique("HELD"), unique("HP"));
    let mut peer = Mllp::connect(world.hub.mllp("lab")).await;
    for n in 0..3 {
        peer.accepted(oru(
            &unique("C"),
            &format!("{prefix}{n}"),
            &unique("S"),
            &[(&code, "5.5", "mmol/L")],
        ))
        .await;
    }
    let item = held_item(&rest, &code, 3).await;
    assert_eq!(
        (item["reason"].as_str(), item["sample_value"].as_str()),
        (Some("unknown_code"), Some("5.5"))
    );

    let answer = rest
        .command(
            &format!("/api/v1/held/{}/map", item["id"]),
            &json!({"loinc": "2345-7", "ucum": "mg/dL", "factor": "18.016"}),
        )
        .await;
    assert_eq!(answer["answer"]["released"], 3, "{answer}");
    for n in 0..3 {
        let result = rest.results(&format!("{prefix}{n}"), 1).await.remove(0);
        assert_eq!(
            (result["loinc"].as_str(), result["held"].as_str()),
            (Some("2345-7"), None),
            "{result}"
        );
        assert_eq!(result["raw_value"], "5.5", "what was sent stays");
    }
    // and the next one is known at once
    let patient = unique("HPN");
    peer.accepted(oru(
        &unique("C"),
        &patient,
        &unique("S"),
        &[(&code, "6", "mmol/L")],
    ))
    .await;
    assert_eq!(rest.results(&patient, 1).await[0]["loinc"], "2345-7");
    assert_eq!(
        rest.get(&format!("/api/v1/held/{}", item["id"])).await["state"],
        "resolved"
    );
}

#[tokio::test]
async fn a_mapping_file_that_changes_releases_held_results_without_a_restart() {
    let world = shared().await;
    let rest = world.hub.sign_in().await;
    let (code, patient) = (unique("FILE"), unique("FP"));
    let mut peer = Mllp::connect(world.hub.mllp("lab")).await;
    peer.accepted(oru(
        &unique("C"),
        &patient,
        &unique("S"),
        &[(&code, "12", "g/dL")],
    ))
    .await;
    held_item(&rest, &code, 1).await;

    let file = world
        .hub
        .settings()
        .mappings
        .join(format!("site/{}.toml", code.to_lowercase()));
    let row = format!(
        "[[code]]\nid = \"{}\"\ncode = \"{code}\"\nloinc = \"718-7\"\ndisplay = \"Hemoglobin\"\nucum = \"g/dL\"\n",
        code.to_lowercase()
    );
    std::fs::write(&file, row).unwrap();
    eventually("the result is released", SOON, || async {
        let result = rest.results(&patient, 1).await.remove(0);
        (result["loinc"] == "718-7" && result["held"].is_null()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_broken_mapping_file_changes_nothing_that_is_in_use() {
    let servers = Servers::start().await;
    let hub = HubProcess::start(&servers, &HubSettings::new(&servers)).await;
    let rest = hub.sign_in().await;
    std::fs::write(
        hub.settings().mappings.join("site/broken.toml"),
        "[[code]]\nid = \n",
    )
    .unwrap();
    eventually("the hub says so", SOON, || async {
        hub.log()
            .contains("mapping files have a problem")
            .then_some(())
    })
    .await;
    let patient = unique("BM");
    Mllp::connect(hub.mllp("lab"))
        .await
        .accepted(oru(
            &unique("C"),
            &patient,
            &unique("S"),
            &[("GLU", "5", "mg/dL")],
        ))
        .await;
    assert_eq!(rest.results(&patient, 1).await[0]["loinc"], "2345-7");
}

/// The open held item of a code, once so many results wait behind it.
async fn held_item(rest: &Rest, code: &str, waiting: i64) -> Value {
    eventually("the held item", SOON, || async {
        rest.items(&format!("/api/v1/held?code={code}"))
            .await
            .into_iter()
            .find(|item| item["waiting"] == waiting)
    })
    .await
}
