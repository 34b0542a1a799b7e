//! A laboratory around one hub: patients, orders, and what becomes of them over REST. It knows no instrument's protocol.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tests::{HubProcess, HubSettings, Mllp, Rest, Servers, adt, encode, eventually, unique};

pub(super) const SOON: Duration = Duration::from_secs(20);

pub(super) struct Lab {
    pub(super) hub: HubProcess,
    pub(super) rest: Rest,
    // after the hub: fields are dropped in this order
    pub(super) servers: Servers,
}

impl Lab {
    /// A hub with these mapping rows of its site; it has a channel `lab` (HL7) at least.
    pub(super) async fn with(rows: &str, settings: impl FnOnce(&Servers) -> HubSettings) -> Self {
        let servers = Servers::start().await;
        let settings = settings(&servers);
        std::fs::write(settings.mappings.join("site/lab.toml"), rows).unwrap();
        let hub = HubProcess::start(&servers, &settings).await;
        let rest = hub.sign_in().await;
        Self { hub, rest, servers }
    }

    /// Where the instrument of a serial channel is plugged in.
    pub(super) fn port(&self, channel: &str) -> PathBuf {
        port(&self.servers, channel)
    }

    /// Registers somebody; gives the number.
    pub(super) async fn patient(&self) -> String {
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

    /// Orders a test on a tube of serum, stat; gives the order's id.
    pub(super) async fn place(&self, patient: &str, code: Value, tube: &str) -> String {
        let order = json!({
            "patient_identifier": patient, "code": code, "specimen": { "number": tube, "kind": { "code": "SER" } },
            "priority": "stat",
        });
        let (status, answer) = self.rest.post("/api/v1/orders", &order).await;
        assert_eq!(status, 201, "{answer}");
        answer["id"].as_str().unwrap().to_owned()
    }

    pub(super) async fn cancel(&self, order: &str) {
        let cancel = format!("/api/v1/orders/{order}/cancel");
        let why = json!({ "reason": "not needed" });
        self.rest.command(&cancel, &why).await;
    }

    pub(super) async fn order(&self, id: &str) -> Value {
        self.rest.get(&format!("/api/v1/orders/{id}")).await
    }

    /// The order once an instrument on this channel took it so.
    pub(super) async fn sent(&self, id: &str, channel: &str, action: &str, answer: &str) -> Value {
        eventually(&format!("{action} is {answer}"), SOON, || async {
            let order = self.order(id).await;
            let sent = order["sent"].as_array().cloned().unwrap_or_default();
            sent.into_iter().find(|one| {
                one["channel"] == channel && one["action"] == action && one["answer"] == answer
            })
        })
        .await
    }

    pub(super) async fn completed(&self, id: &str) {
        eventually("the order is completed", SOON, || async {
            (self.order(id).await["status"] == "completed").then_some(())
        })
        .await;
    }

    /// A person looks at the patient's results, verifies each, and the reports go out.
    pub(super) async fn released(&self, patient: &str, count: usize) {
        let results = self.rest.results(patient, count).await;
        let list = "/api/v1/worklists/verification";
        let waiting = self.rest.items(&format!("{list}?limit=500")).await;
        for result in &results {
            assert_eq!(result["released"], false, "{result}");
            let id = &result["verification"]["id"];
            let item = waiting.iter().find(|item| item["id"] == *id).unwrap();
            let verify = format!("{list}/{id}/verify");
            let seen = json!({ "revision": item["revision"] });
            let (status, answer) = self.rest.post(&verify, &seen).await;
            assert_eq!(status, 200, "{answer}");
        }
        for result in &self.rest.results(patient, count).await {
            assert_eq!(result["released"], true, "{result}");
            let report = result["report_id"].as_str().unwrap();
            let report = self.rest.get(&format!("/api/v1/reports/{report}")).await;
            assert_eq!(report["released"], true, "{report}");
        }
    }

    /// How the ledger says that a query about this tube was answered: outcome and tests.
    pub(super) async fn answered(&self, tube: &str, count: usize) -> Vec<(String, i64)> {
        let list = format!("/api/v1/messages?outcome=query&accession={}", encode(tube));
        eventually("the query's answer is in the ledger", SOON, || async {
            let mut all = Vec::new();
            for message in self.rest.items(&list).await {
                let path = format!("/api/v1/messages/{}", message["id"].as_str().unwrap());
                let detail = self.rest.get(&path).await;
                for answer in detail["answers"].as_array().into_iter().flatten() {
                    let outcome = answer["outcome"].as_str().unwrap().to_owned();
                    all.push((outcome, answer["tests"].as_i64().unwrap()));
                }
            }
            (all.len() >= count).then_some(all)
        })
        .await
    }
}

/// Where the instrument of a serial channel will be plugged in.
pub(super) fn port(servers: &Servers, channel: &str) -> PathBuf {
    servers.folder().join(format!("usb-{channel}"))
}
