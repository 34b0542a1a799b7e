//! One effect (g3), in order (g4), said once (g5), and exclusive by constraints (g6).

use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tests::{Mllp, Rest, adt, adt_named, encode, eventually, oru, shared, unique};

use super::{SOON, stored};

#[tokio::test]
async fn g3_the_same_message_three_times_over_three_connections_has_one_effect() {
    let world = shared().await;
    let rest = world.hub.sign_in().await;
    let (id, patient) = (unique("G3"), unique("G3P"));
    let message = oru(&id, &patient, &unique("S"), &[("GLU", "104", "mg/dL")]);
    let address = world.hub.mllp("lab");
    let codes = futures::future::join_all((0..3).map(|_| {
        let message = message.clone();
        async move { Mllp::connect(address).await.send(&message).await.code }
    }))
    .await;
    assert_eq!(codes, ["AA", "AA", "AA"]);

    let raw = rest.message(&id).await["id"].as_str().unwrap().to_owned();
    eventually("three arrivals in the ledger", SOON, || async {
        let detail = rest.get(&format!("/api/v1/messages/{raw}")).await;
        (detail["arrivals"].as_array()?.len() == 3).then_some(())
    })
    .await;
    let results = rest.results(&patient, 1).await;
    let all = rest
        .items(&format!(
            "/api/v1/results?patient_identifier={}&versions=all",
            encode(&patient)
        ))
        .await;
    assert_eq!((results.len(), all.len()), (1, 1), "{all:?}");
    assert_eq!(
        rest.items(&format!("/api/v1/patients?mrn={patient}")).await[0]["version"],
        1
    );
}

#[tokio::test]
async fn g3_the_same_control_id_with_other_content_is_another_message() {
    let world = shared().await;
    let rest = world.hub.sign_in().await;
    let (id, patient) = (unique("G3B"), unique("G3Q"));
    let mut peer = Mllp::connect(world.hub.mllp("lab")).await;
    for value in ["104", "105"] {
        peer.accepted(oru(
            &id,
            &patient,
            &format!("{patient}{value}"),
            &[("GLU", value, "mg/dL")],
        ))
        .await;
    }
    let mut values: Vec<String> = rest
        .results(&patient, 2)
        .await
        .iter()
        .map(|result| result["raw_value"].as_str().unwrap().to_owned())
        .collect();
    values.sort();
    assert_eq!(values, ["104", "105"]);
}

#[tokio::test]
async fn g4_a_thousand_updates_of_twenty_patients_end_in_the_last_of_each_and_a_refused_one_stops_nobody()
 {
    const PATIENTS: usize = 20;
    const UPDATES: usize = 50;
    let world = shared().await;
    let rest = world.hub.sign_in().await;
    let prefix = unique("G4");
    let address = world.hub.mllp("adt");
    // a record that leads to another one already: nobody else can take it over
    let (taken_by, taken) = (format!("{prefix}X"), format!("{prefix}Y"));
    let merge = |survivor: &str, retired: &str| {
        adt("A40", &unique("G4M"), survivor)
            .replace("PV1|1|O\r", &format!("MRG|{retired}^^^HOSP^MR\r"))
    };
    let mut peer = Mllp::connect(address).await;
    peer.accepted(merge(&taken_by, &taken)).await;
    eventually("both numbers lead to one person", SOON, || async {
        let (survivor, retired) = (
            person(&rest, &taken_by).await?,
            person(&rest, &taken).await?,
        );
        (survivor == retired).then_some(())
    })
    .await;
    let refused = merge(&format!("{prefix}P3"), &taken);

    // each connection speaks for five patients: what arrives of one patient has an order
    let connections = (0..4).map(|connection| {
        let (prefix, refused) = (prefix.clone(), refused.clone());
        async move {
            let mut peer = Mllp::connect(address).await;
            let mut sent = 0;
            for update in 1..=UPDATES {
                for patient in (connection * 5..connection * 5 + 5).take(PATIENTS) {
                    let number = format!("{prefix}P{patient}");
                    let message =
                        adt_named("A08", &unique("G4"), &number, &format!("Version{update}"));
                    peer.write(&tests::frame(message.as_bytes())).await.unwrap();
                    sent += 1;
                    if patient == 3 && update == UPDATES / 2 {
                        // the worker refuses the first, the translator the second: there nobody is named
                        peer.write(&tests::frame(refused.as_bytes())).await.unwrap();
                        let bad = adt("A08", &unique("G4B"), "").replace("^^^HOSP^MR", "");
                        peer.write(&tests::frame(bad.as_bytes())).await.unwrap();
                        sent += 2;
                    }
                }
                // bounded: as many in flight as the hub answers
                while sent > 20 {
                    assert_eq!(peer.answer(SOON).await.unwrap().code, "AA");
                    sent -= 1;
                }
            }
            for answer in peer.answers(sent).await {
                assert_eq!(answer.code, "AA");
            }
        }
    });
    futures::future::join_all(connections).await;

    for patient in 0..PATIENTS {
        let number = format!("{prefix}P{patient}");
        let path = format!("/api/v1/patients?mrn={number}");
        let last = format!("Version{UPDATES}");
        eventually(
            &format!("the last update of {number}"),
            Duration::from_secs(60),
            || async {
                let found = rest.items(&path).await;
                found
                    .iter()
                    .any(|record| record["name"]["family"] == last.as_str())
                    .then_some(())
            },
        )
        .await;
    }
    for (stage, reason) in [
        ("translate", "hl7.no_patient"),
        ("work", "patients.already_merged"),
    ] {
        eventually(
            &format!("what was refused at {stage} is parked"),
            SOON,
            || async {
                let letters = rest
                    .all_items("/api/v1/dead-letters?channel=adt&limit=500")
                    .await;
                letters
                    .iter()
                    .any(|letter| letter["stage"] == stage && letter["reason"] == reason)
                    .then_some(())
            },
        )
        .await;
    }
    // and it stays so: nothing older came after
    for patient in 0..PATIENTS {
        let record = rest
            .items(&format!("/api/v1/patients?mrn={prefix}P{patient}"))
            .await
            .remove(0);
        assert_eq!(
            record["name"]["family"],
            format!("Version{UPDATES}"),
            "{record}"
        );
    }
}

#[tokio::test]
async fn g5_every_row_of_the_outbox_is_published_once_with_its_own_id() {
    let world = shared().await;
    let (patient, odd) = (unique("G5"), unique("G5CODE"));
    let mut peer = Mllp::connect(world.hub.mllp("lab")).await;
    for n in 0..5 {
        peer.accepted(oru(
            &unique("G5"),
            &patient,
            &format!("{patient}S{n}"),
            &[(&odd, "1", "")],
        ))
        .await;
    }
    world.hub.sign_in().await.results(&patient, 5).await;
    eventually("nothing waits in the outbox", SOON, || async {
        (world
            .servers
            .count("select count(*) from integration.outbox where published_at is null")
            .await
            == 0)
            .then_some(())
    })
    .await;
    // other tests share this hub: what they say meanwhile may still wait
    let said = world.servers.sql("select subject, translate(encode(body, 'base64'), E'\\n', '') from integration.outbox where published_at is not null and subject not like '$KV%'").await;
    assert!(
        !said.is_empty(),
        "held results are told to the integration worker through the outbox"
    );
    let context = jetstream::new(async_nats::connect(world.servers.nats.url()).await.unwrap());
    let mut published: HashMap<String, usize> = HashMap::new();
    for name in ["EVENTS", "COMMANDS", "DEAD"] {
        for (subject, _, payload) in stored(&context, name).await {
            *published
                .entry(format!("{subject}|{}", STANDARD.encode(payload)))
                .or_default() += 1;
        }
    }
    let mut expected: HashMap<&String, usize> = HashMap::new();
    for row in &said {
        *expected.entry(row).or_default() += 1;
    }
    for (row, count) in expected {
        assert_eq!(
            published.get(row),
            Some(&count),
            "an outbox row of {}",
            row.split('|').next().unwrap_or_default()
        );
    }
}

#[tokio::test]
async fn g6_exclusivity_is_a_constraint_two_at_once_register_one_patient_and_one_merge_wins() {
    let world = shared().await;
    let rest = world.hub.sign_in().await;
    let patient = unique("G6");
    let address = world.hub.mllp("adt");
    // the same new patient from eight connections, each under another control id
    futures::future::join_all((0..8).map(|_| {
        let message = adt("A28", &unique("G6C"), &patient);
        async move { assert_eq!(Mllp::connect(address).await.send(message).await.code, "AA") }
    }))
    .await;
    eventually("the patient is registered", SOON, || async {
        (!rest
            .items(&format!("/api/v1/patients?mrn={patient}"))
            .await
            .is_empty())
        .then_some(())
    })
    .await;
    assert_eq!(
        world
            .servers
            .count(&format!(
                "select count(*) from patients.identifiers where value = '{patient}'"
            ))
            .await,
        1
    );

    // two merges of one record into two others at the same moment
    let (left, right) = (unique("G6L"), unique("G6R"));
    let mut peer = Mllp::connect(address).await;
    for number in [&left, &right] {
        peer.accepted(adt("A28", &unique("G6C"), number)).await;
    }
    let (retired, one, two) = (
        patient_id(&rest, &patient).await,
        patient_id(&rest, &left).await,
        patient_id(&rest, &right).await,
    );
    let body = json!({"retired": retired, "reason": "test"});
    let (paths, bodies) = (
        [
            format!("/api/v1/patients/{one}/merge"),
            format!("/api/v1/patients/{two}/merge"),
        ],
        [&body, &body],
    );
    let outcomes = futures::future::join(
        rest.post(&paths[0], bodies[0]),
        rest.post(&paths[1], bodies[1]),
    )
    .await;
    let mut statuses = [outcomes.0.0, outcomes.1.0];
    statuses.sort_unstable();
    assert!(
        statuses == [200, 409] || statuses == [200, 422],
        "{outcomes:?}"
    );
}

/// The id of the person that a number leads to.
async fn person(rest: &Rest, number: &str) -> Option<String> {
    let found = rest
        .items(&format!("/api/v1/patients?mrn={}", encode(number)))
        .await;
    Some(found.first()?["id"].as_str()?.to_owned())
}

async fn patient_id(rest: &Rest, number: &str) -> String {
    eventually(&format!("the patient {number}"), SOON, || {
        person(rest, number)
    })
    .await
}
