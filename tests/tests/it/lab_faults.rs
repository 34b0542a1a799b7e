//! What goes wrong between an instrument and its host: noise, storms, silence, pulled cables, and samples that say nothing
//! of whose they are. A kill while a frame is unacknowledged is in `astm.rs`, damaged serial blocks in `serial.rs`.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::{
    Astm, ChannelToml, HubProcess, HubSettings, Mllp, Rest, Servers, adt_named, astm_frame, encode,
    eventually, unique,
};
use tokio::sync::Mutex;

mod noise;
mod samples;

const SOON: Duration = Duration::from_secs(30);
/// Silence after which the channels here give up a message.
const SILENCE_MS: u64 = 700;

/// A hub with two instruments that speak ASTM (`one`, `two`) and one that speaks HL7 (`lab`).
struct World {
    hub: HubProcess,
    // after the hub: fields are dropped in this order
    _servers: Servers,
}

/// One test's view of the hub that all tests here share.
struct Lab {
    world: Arc<World>,
    rest: Rest,
}

impl World {
    async fn start() -> Self {
        let servers = Servers::start().await;
        let link = format!("[channel.settings.link]\nreceive_timeout_ms = {SILENCE_MS}\n");
        let astm = |id| ChannelToml::new(id).kind("astm").tables(&link);
        let settings = HubSettings::new(&servers)
            .channel(astm("one"))
            .channel(astm("two"));
        let hub = HubProcess::start(&servers, &settings).await;
        Self {
            hub,
            _servers: servers,
        }
    }
}

impl Lab {
    async fn open() -> Self {
        static WORLD: Mutex<Weak<World>> = Mutex::const_new(Weak::new());
        let world = {
            let mut known = WORLD.lock().await;
            if let Some(running) = known.upgrade() {
                running
            } else {
                let started = Arc::new(World::start().await);
                *known = Arc::downgrade(&started);
                started
            }
        };
        let rest = world.hub.sign_in().await;
        Self { world, rest }
    }

    fn address(&self, channel: &str) -> SocketAddr {
        self.world.hub.mllp(channel)
    }

    async fn line(&self, channel: &str) -> Astm {
        Astm::connect(self.address(channel)).await
    }

    /// The row of the worklist for a report with this number, once it is there.
    async fn waits(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        eventually(what, SOON, || async {
            let rows = self
                .rest
                .all_items("/api/v1/worklists/unmatched?limit=500")
                .await;
            rows.into_iter().find(|row| is(row))
        })
        .await
    }

    /// A patient with this family name who is registered.
    async fn patient(&self, family: &str) -> String {
        let patient = unique("MRN");
        let message = adt_named("A04", &unique("C"), &patient, family);
        let sent = Mllp::connect(self.address("lab")).await.send(message).await;
        assert_eq!(sent.code, "AA");
        let path = format!("/api/v1/patients?identifier={}", encode(&patient));
        eventually("the patient is registered", SOON, || async {
            (!self.rest.items(&path).await.is_empty()).then_some(())
        })
        .await;
        patient
    }

    async fn order(&self, patient: &str, tube: &str) {
        let order = json!({ "patient_identifier": patient, "code": { "code": "CBC" }, "specimen": { "number": tube } });
        let (status, answer) = self.rest.post("/api/v1/orders", &order).await;
        assert_eq!(status, 201, "{answer}");
    }

    /// A dead letter whose bytes hold this text.
    async fn dead_letter(&self, channel: &str, text: &str) -> Option<Value> {
        let list = format!("/api/v1/dead-letters?channel={channel}&limit=500");
        for letter in self.rest.all_items(&list).await {
            let path = format!("/api/v1/messages/{}/body", letter["raw_id"].as_str()?);
            let body = self.rest.response(Method::GET, &path, None, &[]).await;
            // the dead letter may be there a moment before the ledger's row
            if body.status() != StatusCode::OK {
                continue;
            }
            let body = body.bytes().await.unwrap();
            if String::from_utf8_lossy(&body).contains(text) {
                return Some(letter);
            }
        }
        None
    }

    /// How often these bytes arrived, once it is so often.
    async fn arrivals(&self, tube: &str, count: usize) -> Vec<String> {
        let path = format!("/api/v1/messages?accession={}", encode(tube));
        let rows = eventually(&format!("{count} messages of {tube}"), SOON, || async {
            let rows = self.rest.items(&path).await;
            (rows.len() >= count).then_some(rows)
        })
        .await;
        let mut outcomes: Vec<String> = rows
            .iter()
            .map(|row| row["outcome"].as_str().unwrap().to_owned())
            .collect();
        outcomes.sort();
        outcomes
    }
}

/// One leucocyte count.
fn message(control: &str, patient: &str, tube: &str, value: &str, at: &str) -> Vec<String> {
    vec![
        format!("H|\\^&|{control}||XN-350^1|||||||P|1|{at}"),
        format!("P|1|{patient}"),
        format!("O|1|{tube}||^^^WBC|R||||||N||||||||||||||F"),
        format!("R|1|^^^WBC|{value}|10*3/uL|4.0-10.0|N||F||||20260115120334"),
        "L|1|N".to_owned(),
    ]
}

const AT: &str = "20260115120400";

#[tokio::test]
async fn a_storm_of_enquiries_is_answered_and_disturbs_neither_the_line_nor_its_neighbour() {
    const STORM: usize = 5_000;
    let lab = Lab::open().await;
    let mut line = lab.line("one").await;
    let mut neighbour = lab.line("two").await;
    let (stormy, calm) = (unique("MRN"), unique("MRN"));
    let storm = async {
        line.write(&[Astm::ENQ; STORM]).await;
        for n in 0..STORM {
            assert_eq!(line.hear().await, Astm::ACK, "answer {n}");
        }
        let records = message(&unique("C"), &stormy, &unique("T"), "7.4", AT);
        line.write(&[Astm::EOT]).await;
        line.session(&records).await;
    };
    let talk = async {
        let began = Instant::now();
        let records = message(&unique("C"), &calm, &unique("T"), "5.1", AT);
        neighbour.session(&records).await;
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );
    };
    tokio::join!(storm, talk);
    assert_eq!(lab.rest.results(&stormy, 1).await[0]["raw_value"], "7.4");
    assert_eq!(lab.rest.results(&calm, 1).await[0]["raw_value"], "5.1");
}

#[tokio::test]
async fn silence_in_mid_frame_is_reported_with_what_had_come_and_the_repeat_is_filed_once() {
    let lab = Lab::open().await;
    let (patient, tube) = (unique("MRN"), unique("T"));
    let records = message(&unique("C"), &patient, &tube, "7.4", AT);
    let mut line = lab.line("one").await;
    assert_eq!(line.say(&[Astm::ENQ]).await, Astm::ACK);
    for (n, record) in records[..3].iter().enumerate() {
        assert_eq!(line.say(&astm_frame(n + 1, record)).await, Astm::ACK);
    }
    let broken = astm_frame(4, &records[3]);
    line.write(&broken[..broken.len() / 2]).await;
    let letter = eventually("the broken message is a dead letter", SOON, || {
        lab.dead_letter("one", &tube)
    })
    .await;
    assert_eq!(letter["stage"], "edge");
    assert!(
        letter["detail"].as_str().unwrap().contains("astm_timeout"),
        "{letter}"
    );

    line.session(&records).await;
    let results = lab.rest.results(&patient, 1).await;
    assert_eq!((results.len(), &results[0]["version"]), (1, &json!(1)));
}

#[tokio::test]
async fn a_cable_pulled_between_the_last_acknowledgement_and_eot_loses_and_doubles_nothing() {
    let lab = Lab::open().await;
    let (patient, tube) = (unique("MRN"), unique("T"));
    let records = message(&unique("C"), &patient, &tube, "7.4", AT);
    let mut line = lab.line("one").await;
    assert_eq!(line.say(&[Astm::ENQ]).await, Astm::ACK);
    for (n, record) in records.iter().enumerate() {
        assert_eq!(line.say(&astm_frame(n + 1, record)).await, Astm::ACK);
    }
    drop(line);
    assert_eq!(
        lab.rest.results(&patient, 1).await.len(),
        1,
        "acknowledged is filed"
    );
    // the instrument did not get to its end: it sends all of it again
    let mut line = lab.line("one").await;
    line.session(&records).await;
    assert_eq!(lab.arrivals(&tube, 2).await, ["duplicate", "translated"]);
    let results = lab.rest.results(&patient, 1).await;
    assert_eq!((results.len(), &results[0]["version"]), (1, &json!(1)));
}

#[tokio::test]
async fn a_cable_pulled_before_the_end_of_a_message_leaves_what_is_whole_and_says_so() {
    let lab = Lab::open().await;
    let (patient, tube) = (unique("MRN"), unique("T"));
    let records = message(&unique("C"), &patient, &tube, "7.4", AT);
    let mut line = lab.line("one").await;
    assert_eq!(line.say(&[Astm::ENQ]).await, Astm::ACK);
    // all but L: each of these frames was acknowledged
    for (n, record) in records[..4].iter().enumerate() {
        assert_eq!(line.say(&astm_frame(n + 1, record)).await, Astm::ACK);
    }
    drop(line);
    assert_eq!(lab.rest.results(&patient, 1).await[0]["raw_value"], "7.4");
    assert_eq!(lab.arrivals(&tube, 1).await, ["translated"]);
    let path = format!("/api/v1/messages?accession={}", encode(&tube));
    let id = lab.rest.items(&path).await[0]["id"].clone();
    let message = lab
        .rest
        .get(&format!("/api/v1/messages/{}", id.as_str().unwrap()))
        .await;
    assert!(
        message["notes"].to_string().contains("without an L"),
        "{message}"
    );
    // and again, whole: other bytes, the same report
    let mut line = lab.line("one").await;
    line.session(&records).await;
    lab.arrivals(&tube, 2).await;
    assert_eq!(lab.rest.results(&patient, 1).await.len(), 1);
}

#[tokio::test]
async fn what_was_acknowledged_frame_by_frame_is_stored_when_the_hub_is_stopped() {
    let servers = Servers::start().await;
    let settings = HubSettings::new(&servers).channel(ChannelToml::new("one").kind("astm"));
    let mut hub = HubProcess::start(&servers, &settings).await;
    let mut lines = Vec::new();
    let mut whole = Vec::new();
    // every other instrument writes no L; the rest are in the midst of a message
    for instrument in 0..40 {
        let patient = unique("MRN");
        let frames = if instrument % 2 == 0 { 4 } else { 3 };
        let mut line = Astm::connect(hub.mllp("one")).await;
        assert_eq!(line.say(&[Astm::ENQ]).await, Astm::ACK);
        let records = message(&unique("C"), &patient, &unique("T"), "7.4", AT);
        for (n, record) in records[..frames].iter().enumerate() {
            assert_eq!(line.say(&astm_frame(n + 1, record)).await, Astm::ACK);
        }
        lines.push(line);
        if frames == 4 {
            whole.push(patient);
        }
    }
    let (status, took) = hub.terminate().await;
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    hub.restart().await;
    let rest = hub.sign_in().await;
    for patient in &whole {
        assert_eq!(rest.results(patient, 1).await[0]["raw_value"], "7.4");
    }
    eventually("the partial messages are dead letters", SOON, || async {
        let letters = rest
            .items("/api/v1/dead-letters?channel=one&limit=500")
            .await;
        let lost = |one: &&Value| one["detail"].to_string().contains("astm_link_lost");
        (letters.iter().filter(lost).count() == 40 - whole.len()).then_some(())
    })
    .await;
}
