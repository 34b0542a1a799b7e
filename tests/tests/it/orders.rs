//! The way of an order: placed over REST or by message, asked for by an instrument, closed by its result.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::{HubSettings, Mllp, eventually, unique};

use super::lab::{Lab, SOON};

/// The channel `lab` calls glucose `580` and the lipid panel `CHOL` and `TRIG`.
const ROWS: &str = "[[code]]\nid = \"lab-glu\"\ncode = \"580\"\nchannels = [\"lab\"]\nloinc = \"2345-7\"\n\
    [[order]]\nid = \"lab-lipid\"\ncode = \"LIPID\"\nchannels = [\"lab\"]\ninstrument = [\"CHOL\", \"TRIG\"]\n";

/// An adapter's question, asked without an adapter.
struct Asking {
    lab: Lab,
    nats: async_nats::Client,
}

impl Asking {
    async fn start() -> Self {
        let lab = Lab::with(ROWS, HubSettings::new).await;
        let nats = async_nats::connect(lab.servers.nats.url()).await.unwrap();
        Self { lab, nats }
    }

    async fn ask(&self, specimens: &[&str]) -> Vec<Value> {
        self.ask_with(specimens, false).await
    }

    async fn ask_with(&self, specimens: &[&str], as_ordered: bool) -> Vec<Value> {
        let question = json!({
            "channel": "lab", "specimens": specimens, "limit": 10, "as_ordered": as_ordered,
        });
        let asked = self
            .nats
            .request("ask.demo.worklist", question.to_string().into());
        let answer = tokio::time::timeout(Duration::from_secs(5), asked)
            .await
            .expect("an answer in time")
            .expect("somebody answers");
        let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
        answer["specimens"].as_array().unwrap().clone()
    }
}

#[tokio::test]
async fn an_instrument_that_asks_is_told_what_is_ordered_in_its_own_words() {
    let asking = Asking::start().await;
    let lab = &asking.lab;
    let (patient, tube) = (lab.patient().await, unique("S"));
    assert_eq!(asking.ask(&[&tube]).await[0]["standing"], "unknown");
    let glucose = lab
        .place(&patient, json!({ "code": "2345-7", "system": "LN" }), &tube)
        .await;
    lab.place(&patient, json!({ "code": "LIPID" }), &tube).await;
    lab.place(&patient, json!({ "code": "CULTURE" }), &tube)
        .await;

    let began = Instant::now();
    let answer = asking.ask(&[&tube, "nothing-of-this-name"]).await;
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(answer[0]["standing"], "pending", "{}", answer[0]);
    assert_eq!(answer[0]["number"], tube.as_str());
    assert_eq!(
        answer[0]["patient"]["identifier"]["value"],
        patient.as_str()
    );
    assert!(answer[0]["patient"]["name"]["family"].is_string());
    let codes: Vec<&Value> = answer[0]["tests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|test| &test["instrument_codes"])
        .collect();
    assert_eq!(
        codes,
        [&json!(["580"]), &json!(["CHOL", "TRIG"]), &json!([])]
    );
    assert_eq!(answer[1]["standing"], "unknown");
    assert_eq!(asking.ask(&[]).await.len(), 1, "everything that waits");
    // an instrument whose codes are those of the orders
    let other = unique("S");
    lab.place(&patient, json!({ "code": "CULTURE" }), &other)
        .await;
    assert_eq!(asking.ask(&[&other]).await[0]["standing"], "nothing");
    let answer = asking.ask_with(&[], true).await;
    assert_eq!(answer.len(), 2, "{answer:?}");
    assert_eq!(
        answer[1]["tests"][0]["instrument_codes"],
        json!(["CULTURE"])
    );

    lab.cancel(&glucose).await;
    let answer = asking.ask(&[&tube]).await;
    assert_eq!(answer[0]["tests"][0]["action"], "cancel");
    let metrics = lab.rest.text("/metrics").await;
    assert!(
        metrics.contains("hub_worklist_questions_total"),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_result_that_knows_only_its_tube_finds_the_patient_and_closes_the_order() {
    let asking = Asking::start().await;
    let lab = &asking.lab;
    let (patient, tube, early) = (lab.patient().await, unique("S"), unique("S"));
    let glucose = json!({ "code": "2345-7", "system": "LN" });
    let order = lab.place(&patient, glucose.clone(), &tube).await;
    let mut peer = Mllp::connect(lab.hub.mllp("lab")).await;
    for number in [&tube, &early] {
        peer.accepted(nameless(&unique("C"), number)).await;
    }
    let results = lab.rest.results(&patient, 1).await;
    assert_eq!(results[0]["specimen_number"], tube.as_str());
    assert!(results[0]["held"].is_null(), "{}", results[0]);
    let path = format!("/api/v1/orders/{order}");
    eventually("the order is closed", SOON, || async {
        (lab.rest.get(&path).await["status"] == "completed").then_some(())
    })
    .await;
    assert_eq!(asking.ask(&[&tube]).await[0]["standing"], "nothing");

    // the other waits for somebody to say whose it is; an order for its tube says so
    let list = "/api/v1/worklists/unmatched";
    let waiting = eventually("the other is on the worklist", SOON, || async {
        lab.rest.items(list).await.into_iter().next()
    })
    .await;
    assert_eq!(waiting["specimen_number"], early.as_str());
    lab.place(&patient, glucose, &early).await;
    lab.rest.results(&patient, 2).await;
    assert!(lab.rest.items(list).await.is_empty());
}

#[tokio::test]
async fn an_order_goes_on_with_another_tube_when_the_laboratory_rejects_the_first() {
    let asking = Asking::start().await;
    let lab = &asking.lab;
    let (patient, first, second) = (lab.patient().await, unique("S"), unique("S"));
    let glucose = json!({ "code": "2345-7", "system": "LN" });
    let order = lab.place(&patient, glucose, &first).await;
    let list = format!("/api/v1/specimens?number={first}");
    let tube = lab.rest.items(&list).await.remove(0);
    assert_eq!(tube["state"], "accessioned", "{tube}");
    let id = tube["id"].as_str().unwrap();
    for (step, body) in [
        ("collect", json!({ "collector": "m.das" })),
        ("receive", json!({})),
        ("reject", json!({ "reason": "haemolysed" })),
    ] {
        let path = format!("/api/v1/specimens/{id}/{step}");
        lab.rest.command(&path, &body).await;
    }
    let tube = lab.rest.get(&format!("/api/v1/specimens/{id}")).await;
    assert_eq!(tube["rejection"]["reason"], "haemolysed", "{tube}");
    let shown = lab.rest.get(&format!("/fhir/Specimen/{id}")).await;
    assert_eq!(shown["status"], "unsatisfactory", "{shown}");
    assert_eq!(lab.order(&order).await["held"], "specimen_rejected");
    let tasks = lab.rest.items("/api/v1/tasks").await;
    assert!(
        tasks.iter().any(|task| task["kind"] == "recollection"),
        "{tasks:?}"
    );

    // the instrument that asks is told to leave it, and measures it all the same
    let answer = asking.ask(&[&first]).await;
    assert_eq!(answer[0]["tests"][0]["action"], "cancel", "{}", answer[0]);
    let mut peer = Mllp::connect(lab.hub.mllp("lab")).await;
    peer.accepted(nameless(&unique("C"), &first)).await;
    let results = lab.rest.results(&patient, 1).await;
    let result = &results[0];
    assert_eq!(result["released"], false, "{result}");
    assert_eq!(result["verification"]["failed"], "specimen", "{result}");
    let path = format!("/api/v1/results/{}", result["id"].as_str().unwrap());
    let detail = lab.rest.get(&path).await;
    assert_eq!(detail["specimen"]["state"], "rejected", "{detail}");
    assert_eq!(lab.order(&order).await["status"], "active");

    let another = json!({ "number": second, "kind": { "code": "SER" }, "orders": [order] });
    let (status, made) = lab.rest.post("/api/v1/specimens", &another).await;
    assert_eq!(status, 201, "{made}");
    let answer = asking.ask(&[&second]).await;
    let test = &answer[0]["tests"][0];
    assert_eq!(test["action"], "perform", "{test}");
    assert_eq!(test["instrument_codes"], json!(["580"]));
    peer.accepted(nameless(&unique("C"), &second)).await;
    lab.completed(&order).await;
    let results = lab.rest.results(&patient, 2).await;
    for result in &results {
        let good = result["specimen_number"] == second.as_str();
        assert_eq!(result["released"], good, "{result}");
    }
}

#[tokio::test]
async fn a_result_whose_message_rejects_its_tube_is_held_back_and_another_is_to_be_collected() {
    let asking = Asking::start().await;
    let lab = &asking.lab;
    let (patient, tube) = (lab.patient().await, unique("S"));
    let glucose = json!({ "code": "2345-7", "system": "LN" });
    let order = lab.place(&patient, glucose, &tube).await;
    let said = format!("SPM|1|{tube}||SER");
    // SPM-20 and SPM-21
    let rejected = format!("{said}||||||||||||||||N|RH^Hemolysis^HL70490");
    let message = nameless(&unique("C"), &tube).replace(&said, &rejected);
    let mut peer = Mllp::connect(lab.hub.mllp("lab")).await;
    peer.accepted(message).await;
    let results = lab.rest.results(&patient, 1).await;
    let result = &results[0];
    assert_eq!(result["released"], false, "{result}");
    assert_eq!(result["verification"]["failed"], "specimen", "{result}");
    let list = format!("/api/v1/specimens?number={tube}");
    let kept = lab.rest.items(&list).await.remove(0);
    assert_eq!(kept["state"], "rejected", "{kept}");
    assert_eq!(kept["rejection"]["reason"], "haemolysed", "{kept}");
    let order = lab.order(&order).await;
    assert_eq!(order["status"], "active", "{order}");
    assert_eq!(order["held"], "specimen_rejected", "{order}");
    let tasks = lab.rest.items("/api/v1/tasks").await;
    assert!(
        tasks.iter().any(|task| task["kind"] == "recollection"),
        "{tasks:?}"
    );
    let answer = asking.ask(&[&tube]).await;
    assert_eq!(answer[0]["tests"][0]["action"], "cancel", "{}", answer[0]);
}

#[tokio::test]
async fn a_name_that_was_written_into_the_mapping_files_is_known_to_the_very_next_question() {
    let asking = Asking::start().await;
    let lab = &asking.lab;
    let (patient, tube) = (lab.patient().await, unique("S"));
    let site = lab.servers.folder().join("mappings/site");
    lab.place(&patient, json!({ "code": "CULTURE" }), &tube)
        .await;
    // by the tube, then everything that waits: never "nothing" of what the files know
    for (code, specimens) in [("CULTURE", vec![tube.as_str()]), ("SWAB", Vec::new())] {
        let order = json!({ "code": code });
        if code != "CULTURE" {
            lab.place(&patient, order, &tube).await;
        }
        let told = |answer: &[Value]| {
            let specimen = answer.iter().find(|one| one["number"] == tube.as_str());
            let tests = specimen.and_then(|one| one["tests"].as_array().cloned());
            let mut tests = tests.unwrap_or_default().into_iter();
            tests.any(|test| test["instrument_codes"] == json!([format!("I-{code}")]))
        };
        assert!(!told(&asking.ask(&specimens).await), "nobody knows it yet");
        let row = format!(
            "[[order]]\nid = \"{code}\"\ncode = \"{code}\"\nchannels = [\"lab\"]\ninstrument = [\"I-{code}\"]\n"
        );
        std::fs::write(site.join(format!("{code}.toml")), row).unwrap();
        let answer = asking.ask(&specimens).await;
        assert!(told(&answer), "{answer:?}");
    }
}

/// An analyzer's result without a patient identifier.
fn nameless(control: &str, tube: &str) -> String {
    format!(
        "MSH|^~\\&|LIS|LAB|HUB|HOSP|20260301120000||ORU^R01|{control}|P|2.5.1\r\
         OBR|1||{control}|CHEM^Chemistry^L|||20260301115500||||||||||||||||||F\r\
         OBX|1|NM|580^Glucose^L||5.4|mg/dL|||||F\r\
         SPM|1|{tube}||SER\r"
    )
}
