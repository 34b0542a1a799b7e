//! The way of an order: placed over REST or by message, asked for by an instrument, closed by its result.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::{HubProcess, HubSettings, Mllp, Rest, Servers, adt, encode, eventually, unique};

const SOON: Duration = Duration::from_secs(20);

struct Lab {
    hub: HubProcess,
    nats: async_nats::Client,
    rest: Rest,
    // after the hub: fields are dropped in this order
    _servers: Servers,
}

impl Lab {
    /// A hub whose channel `lab` calls glucose `580` and the lipid panel `CHOL` and `TRIG`.
    async fn start() -> Self {
        let servers = Servers::start().await;
        let settings = HubSettings::new(&servers);
        std::fs::write(
            settings.mappings.join("site/lab.toml"),
            "[[code]]\nid = \"lab-glu\"\ncode = \"580\"\nchannels = [\"lab\"]\nloinc = \"2345-7\"\n\
             [[order]]\nid = \"lab-lipid\"\ncode = \"LIPID\"\nchannels = [\"lab\"]\ninstrument = [\"CHOL\", \"TRIG\"]\n",
        )
        .unwrap();
        let hub = HubProcess::start(&servers, &settings).await;
        let rest = hub.sign_in().await;
        let nats = async_nats::connect(servers.nats.url()).await.unwrap();
        Self {
            hub,
            nats,
            rest,
            _servers: servers,
        }
    }

    async fn ask(&self, specimens: &[&str]) -> Vec<Value> {
        let question = json!({ "channel": "lab", "specimens": specimens, "limit": 10 });
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

    async fn patient(&self) -> String {
        let patient = unique("MRN");
        let sent = Mllp::connect(self.hub.mllp("lab"))
            .await
            .send(&adt("A04", &unique("C"), &patient))
            .await;
        assert_eq!(sent.code, "AA");
        let path = format!("/api/v1/patients?identifier={}", encode(&patient));
        eventually("the patient is registered", SOON, || async {
            (!self.rest.items(&path).await.is_empty()).then_some(())
        })
        .await;
        patient
    }

    async fn place(&self, patient: &str, code: Value, tube: &str) -> String {
        let order = json!({
            "patient_identifier": patient, "code": code, "specimen": { "number": tube, "kind": { "code": "SER" } },
            "priority": "stat",
        });
        let (status, answer) = self.rest.post("/api/v1/orders", &order).await;
        assert_eq!(status, 201, "{answer}");
        answer["id"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn an_instrument_that_asks_is_told_what_is_ordered_in_its_own_words() {
    let lab = Lab::start().await;
    let (patient, tube) = (lab.patient().await, unique("S"));
    assert_eq!(lab.ask(&[&tube]).await[0]["standing"], "unknown");
    let glucose = lab
        .place(&patient, json!({ "code": "2345-7", "system": "LN" }), &tube)
        .await;
    lab.place(&patient, json!({ "code": "LIPID" }), &tube).await;
    lab.place(&patient, json!({ "code": "CULTURE" }), &tube)
        .await;

    let began = Instant::now();
    let answer = lab.ask(&[&tube, "nothing-of-this-name"]).await;
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
    assert_eq!(lab.ask(&[]).await.len(), 1, "everything that waits");

    let cancel = format!("/api/v1/orders/{glucose}/cancel");
    lab.rest
        .command(&cancel, &json!({ "reason": "not needed" }))
        .await;
    let answer = lab.ask(&[&tube]).await;
    assert_eq!(answer[0]["tests"][0]["action"], "cancel");
    let metrics = lab.rest.text("/metrics").await;
    assert!(
        metrics.contains("hub_worklist_questions_total"),
        "{metrics}"
    );
}
