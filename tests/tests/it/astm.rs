//! Instruments that speak ASTM, against the whole program.

use std::time::{Duration, Instant};

use serde_json::json;
use tests::{
    Astm, ChannelToml, HubProcess, HubSettings, Mllp, Servers, adt, astm_frame, corpus, encode,
    eventually, unique,
};

const SOON: Duration = Duration::from_secs(30);

/// A count of one patient, one record a line.
fn count(patient: &str, specimen: &str) -> Vec<String> {
    vec![
        format!("H|\\^&|{}||XN-350^1|||||||P|1|20260115120334", unique("C")),
        format!("P|1|{patient}|||Rao^Sita||19800517|F"),
        format!("O|1|{specimen}||^^^WBC\\^^^HGB|R||||||N||||||||||||||F"),
        "R|1|^^^WBC|7.4|10*3/uL|4.0-10.0|N||F||||20260115120334".to_owned(),
        "R|2|^^^HGB|128|g/L|120-160|N||F||||20260115120334".to_owned(),
        "L|1|N".to_owned(),
    ]
}

async fn hub(servers: &Servers) -> HubProcess {
    let astm = ChannelToml::new("analyzer").kind("astm");
    HubProcess::start(servers, &HubSettings::new(servers).channel(astm)).await
}

#[tokio::test]
async fn a_result_of_an_analyzer_is_visible_over_rest_within_two_seconds_and_a_repeat_changes_nothing()
 {
    let servers = Servers::start().await;
    let hub = hub(&servers).await;
    let rest = hub.sign_in().await;
    let (patient, specimen) = (unique("MRN"), unique("T"));
    let records = count(&patient, &specimen);
    let mut line = Astm::connect(hub.mllp("analyzer")).await;
    line.session(&records).await;
    let acknowledged = Instant::now();
    let path = format!("/api/v1/results?patient_identifier={}", encode(&patient));
    let results = eventually("both results", Duration::from_secs(2), || async {
        let items = rest.items(&path).await;
        (items.len() == 2).then_some(items)
    })
    .await;
    assert!(acknowledged.elapsed() <= Duration::from_secs(2));
    let of = |code: &str| results.iter().find(|r| r["code"]["code"] == code).unwrap();
    assert_eq!(of("WBC")["loinc"], "6690-2");
    assert_eq!(of("HGB")["loinc"], "718-7", "g/L is converted");

    // the same bytes, and the same results under a new control id
    line.session(&records).await;
    line.session(&[&count(&patient, &specimen)[..1], &records[1..]].concat())
        .await;
    eventually("all three messages in the ledger", SOON, || async {
        let messages = rest
            .items(&format!("/api/v1/messages?accession={}", encode(&specimen)))
            .await;
        (messages.len() == 3).then_some(())
    })
    .await;
    let results = rest.items(&path).await;
    assert_eq!(results.len(), 2, "filed once");
    assert!(
        results
            .iter()
            .all(|r| r["version"].as_i64().is_none_or(|v| v == 1))
    );

    // a host query that nobody answers yet is told as an error, never as "nothing to do"
    let query: Vec<String> = [
        "H|\\^&|||XN",
        &format!("Q|1|^{specimen}||||||||||O"),
        "L|1|N",
    ]
    .map(str::to_owned)
    .into();
    line.session(&query).await;
    let asked = Instant::now();
    let answer = line.take().await;
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "{:?}",
        asked.elapsed()
    );
    assert!(answer[0].starts_with("H|\\^&|||HUB"), "{answer:?}");
    assert!(answer.last().unwrap().starts_with("L|1|"), "{answer:?}");
}

#[tokio::test]
async fn the_last_frame_is_refused_while_nothing_can_be_stored_and_a_kill_loses_and_doubles_nothing()
 {
    let servers = Servers::start().await;
    let mut hub = hub(&servers).await;
    let (patient, specimen) = (unique("MRN"), unique("T"));
    let records = count(&patient, &specimen);
    let mut line = Astm::connect(hub.mllp("analyzer")).await;
    assert_eq!(line.say(&[Astm::ENQ]).await, Astm::ACK);
    let last = records.len();
    for (n, record) in records[..last - 1].iter().enumerate() {
        assert_eq!(line.say(&astm_frame(n + 1, record)).await, Astm::ACK);
    }
    servers.nats.freeze();
    let began = Instant::now();
    assert_eq!(
        line.say(&astm_frame(last, &records[last - 1])).await,
        Astm::NAK
    );
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    // killed while the frame is unacknowledged
    line.write(&astm_frame(last, &records[last - 1])).await;
    hub.kill9().await;
    servers.nats.thaw();
    hub.restart().await;
    let mut line = Astm::connect(hub.mllp("analyzer")).await;
    line.session(&records).await;
    let rest = hub.sign_in().await;
    let results = rest.results(&patient, 2).await;
    assert_eq!(results.len(), 2);
}

#[tokio::test]
async fn a_sysmex_of_the_corpus_ends_as_held_results_under_its_tube() {
    let Some(corpus) = corpus::folder() else {
        return;
    };
    let bytes = std::fs::read(corpus.join("lab/senaite-astm/sysmex_xp100.txt")).unwrap();
    let servers = Servers::start().await;
    let sysmex = ChannelToml::new("sysmex")
        .kind("astm")
        .tables("[channel.settings.dialect]\nspecimen = [\"O.4.3\"]");
    let hub = HubProcess::start(&servers, &HubSettings::new(&servers).channel(sysmex)).await;
    let rest = hub.sign_in().await;
    let mut line = Astm::connect(hub.mllp("sysmex")).await;
    assert_eq!(line.say(&[Astm::ENQ]).await, Astm::ACK);
    assert_eq!(line.say(&bytes).await, Astm::ACK, "its checksum is right");
    line.write(&[Astm::EOT]).await;
    let message = eventually("the message by its tube", SOON, || async {
        rest.items("/api/v1/messages?accession=113").await.pop()
    })
    .await;
    assert_eq!(message["outcome"], "translated");
    assert_eq!(message["channel"], "sysmex");
    let id = message["id"].as_str().unwrap();
    let kept = rest.bytes(&format!("/api/v1/messages/{id}/body")).await;
    let end = bytes.iter().rposition(|b| *b == 3).unwrap();
    assert_eq!(
        kept,
        bytes[..end + 3],
        "STX to checksum, as it was on the wire"
    );
}

/// The acknowledgement of a whole message, synced write included: 20 ms at the 99th of 100. Run it alone, on a release
/// build: `cargo test --release -p tests --test it astm::speed -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "a measurement"]
async fn speed() {
    let servers = Servers::start().await;
    let hub = hub(&servers).await;
    let mut line = Astm::connect(hub.mllp("analyzer")).await;
    let mut waits = Vec::new();
    for n in 0..2_000 {
        let records = count(&format!("SPEED{}", n % 100), &format!("T{n}"));
        assert_eq!(line.say(&[Astm::ENQ]).await, Astm::ACK);
        for (number, record) in records.iter().enumerate() {
            let began = Instant::now();
            assert_eq!(line.say(&astm_frame(number + 1, record)).await, Astm::ACK);
            if number + 1 == records.len() {
                waits.push(began.elapsed());
            }
        }
        line.write(&[Astm::EOT]).await;
    }
    waits.sort_unstable();
    let at = |share: usize| waits[waits.len() * share / 100];
    println!(
        "last ACK: p50 {:?}, p99 {:?}, max {:?}",
        at(50),
        at(99),
        waits[waits.len() - 1]
    );
    assert!(at(99) < Duration::from_millis(20));
}

#[tokio::test]
async fn an_analyzer_that_does_not_ask_is_told_of_an_order_once_also_after_the_hub_was_killed() {
    let servers = Servers::start().await;
    let settings = HubSettings::new(&servers).channel(
        ChannelToml::new("analyzer")
            .kind("astm")
            .tables("[channel.settings.orders]\nmode = \"download\"\nevery_s = 1\n"),
    );
    std::fs::write(
        settings.mappings.join("site/lab.toml"),
        "[[order]]\nid = \"x-glu\"\ncode = \"GLUC\"\nchannels = [\"analyzer\"]\ninstrument = [\"GLU\"]\n",
    )
    .unwrap();
    let mut hub = HubProcess::start(&servers, &settings).await;
    let mut rest = hub.sign_in().await;
    let patient = unique("MRN");
    let admitted = adt("A04", &unique("C"), &patient);
    Mllp::connect(hub.mllp("lab"))
        .await
        .accepted(admitted)
        .await;
    let path = format!("/api/v1/patients?identifier={}", encode(&patient));
    eventually("the patient is registered", SOON, || async {
        (!rest.items(&path).await.is_empty()).then_some(())
    })
    .await;
    let mut orders = Vec::new();
    for round in 0..2 {
        let mut line = Astm::connect(hub.mllp("analyzer")).await;
        let tube = unique("T");
        let order = json!({
            "patient_identifier": patient, "code": { "code": "GLUC" }, "specimen": { "number": tube },
        });
        let (status, placed) = rest.post("/api/v1/orders", &order).await;
        assert_eq!(status, 201, "{placed}");
        let records = line.take().await;
        assert!(
            records.iter().any(|record| record.contains(&tube)),
            "round {round}: the order before it is not sent again: {records:?}"
        );
        let path = format!("/api/v1/orders/{}", placed["id"].as_str().unwrap());
        eventually("it is on record that it was taken", SOON, || async {
            let sent = rest.get(&path).await["sent"][0].clone();
            (sent["answer"] == "delivered" && sent["times"] == 1).then_some(())
        })
        .await;
        orders.push(path);
        hub.kill9().await;
        hub.restart().await;
        rest = hub.sign_in().await;
    }
    for path in orders {
        assert_eq!(rest.get(&path).await["sent"][0]["times"], 1);
    }
}
