//! The guarantees of design.md §4, as far as they can be seen from outside. Those that need a kill -9 under load are in
//! `faults`.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use async_nats::jetstream;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt as _;
use serde_json::json;
use tests::{
    ChannelToml, Collector, HubProcess, HubSettings, Mllp, Mood, PASSWORD, Rest, Servers, adt,
    adt_named, encode, eventually, oru, shared, stamp, unique,
};

const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn g1_an_acknowledgement_means_on_disk_for_what_was_acknowledged_before_a_power_cut_of_nats_is_there_after()
 {
    let servers = Servers::start().await;
    let hub = HubProcess::start(&servers, &HubSettings::new(&servers)).await;
    let (patient, mut acknowledged) = (unique("G1"), 0);
    let mut peer = Mllp::connect(hub.mllp("lab")).await;
    // a pipelined burst, and NATS is killed in the middle of it
    for n in 0..60 {
        peer.write(&tests::frame(
            oru(
                &unique("C"),
                &patient,
                &format!("{patient}S{n}"),
                &[("GLU", "1", "mg/dL")],
            )
            .as_bytes(),
        ))
        .await
        .unwrap();
    }
    servers.nats.kill9().await.unwrap();
    let mut refused = 0;
    while acknowledged + refused < 60 {
        let Some(answer) = peer.answer(Duration::from_secs(10)).await else {
            break;
        };
        match answer.code.as_str() {
            "AA" => acknowledged += 1,
            "AE" => refused += 1,
            other => panic!("{other} is neither stored nor repeatable"),
        }
    }
    assert_eq!(
        acknowledged + refused,
        60,
        "a sender was left without an answer"
    );
    servers.nats.restart().await.unwrap();

    let rest = hub.sign_in().await;
    let kept = rest.results(&patient, acknowledged).await.len();
    assert!(
        kept >= acknowledged,
        "{acknowledged} acknowledged, {kept} kept"
    );
}

#[tokio::test]
async fn g1_the_streams_are_synced_on_every_write_and_the_hub_says_so() {
    let world = shared().await;
    eventually("the hub says that every write is synced", SOON, || async {
        world
            .hub
            .log()
            .contains("NATS syncs every write")
            .then_some(())
    })
    .await;
    let metrics = Rest::new(world.hub.api()).text("/metrics").await;
    assert!(!metrics.contains("hub_nats_sync_weak 1"));
}

#[tokio::test]
async fn g1_a_server_that_does_not_sync_is_said_loudly() {
    let servers = Servers::start_with(|options| options.sync_always = false).await;
    let hub = HubProcess::start(&servers, &HubSettings::new(&servers)).await;
    eventually("the log says it at error level", SOON, || async {
        hub.log()
            .lines()
            .any(|line| line.contains("ERROR") && line.contains("NATS durability"))
            .then_some(())
    })
    .await;
    assert!(
        Rest::new(hub.api())
            .text("/metrics")
            .await
            .contains("hub_nats_sync_weak 1")
    );
}

#[tokio::test]
async fn g2_nothing_received_is_dropped_every_acknowledged_message_has_its_row_in_the_ledger() {
    let world = shared().await;
    let rest = world.hub.sign_in().await;
    let patient = unique("G2");
    let mut peer = Mllp::connect(world.hub.mllp("lab")).await;
    let mut ids = Vec::new();
    for kind in ["ORU^R01", "ADT^A08", "MDM^T02", "QRY^Q99", "DFT^P03"] {
        let id = unique("G2");
        assert_eq!(peer.send(format!("MSH|^~\\&|A|B|C|D|{}||{kind}|{id}|P|2.5\rPID|1||{patient}^^^HOSP^MR||A^B\rOBR|1|||X\rOBX|1|ST|Y||z||||||F\r", stamp())).await.code, "AA");
        ids.push(id);
    }
    for id in ids {
        let message = rest.message(&id).await;
        assert!(
            ["translated", "not_translated", "query"]
                .contains(&message["outcome"].as_str().unwrap()),
            "{message}"
        );
    }
}

#[tokio::test]
async fn g2_fields_that_nothing_reads_are_listed_with_the_message() {
    let world = shared().await;
    let rest = world.hub.sign_in().await;
    let id = unique("G2U");
    let mut peer = Mllp::connect(world.hub.mllp("lab")).await;
    let message =
        oru(&id, &unique("P"), &unique("S"), &[("GLU", "1", "mg/dL")]) + "ZZZ|1|vendor value\r";
    assert_eq!(peer.send(message).await.code, "AA");
    let id = rest.message(&id).await["id"].as_str().unwrap().to_owned();
    let detail = rest.get(&format!("/api/v1/messages/{id}")).await;
    assert!(
        detail["unmapped"]
            .as_array()
            .unwrap()
            .iter()
            .any(|path| path.as_str().unwrap().contains("ZZZ")),
        "{detail}"
    );
}

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
        assert_eq!(
            peer.send(oru(
                &id,
                &patient,
                &format!("{patient}{value}"),
                &[("GLU", value, "mg/dL")]
            ))
            .await
            .code,
            "AA"
        );
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
    assert_eq!(peer.send(merge(&taken_by, &taken)).await.code, "AA");
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
        assert_eq!(
            peer.send(oru(
                &unique("G5"),
                &patient,
                &format!("{patient}S{n}"),
                &[(&odd, "1", "")]
            ))
            .await
            .code,
            "AA"
        );
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
        assert_eq!(
            peer.send(adt("A28", &unique("G6C"), number)).await.code,
            "AA"
        );
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

#[tokio::test]
async fn g7_tenants_never_meet_though_their_numbers_are_the_same() {
    let world = shared().await;
    let rest = world.hub.sign_in().await;
    world
        .servers
        .sql("insert into users.users (tenant_id, id, username, password_hash, permissions, state) select 'other', gen_random_uuid(), username, password_hash, permissions, state from users.users where tenant_id = 'demo' and username = 'admin' on conflict do nothing")
        .await;
    let other = Rest::new(world.hub.api())
        .sign_in("admin", PASSWORD, Some("other"))
        .await;
    let (patient, specimen, id) = (unique("G7"), unique("G7S"), unique("G7C"));
    let message = oru(&id, &patient, &specimen, &[("GLU", "104", "mg/dL")]);
    assert_eq!(
        Mllp::connect(world.hub.mllp("lab"))
            .await
            .send(&message)
            .await
            .code,
        "AA"
    );
    let mine = rest.results(&patient, 1).await;

    // the same number at the other tenant is another person
    let theirs_before = other
        .items(&format!("/api/v1/results?patient_identifier={patient}"))
        .await;
    assert!(theirs_before.is_empty(), "{theirs_before:?}");
    assert_eq!(
        Mllp::connect(world.hub.mllp("other"))
            .await
            .send(message.replace("|104|", "|205|"))
            .await
            .code,
        "AA"
    );
    let theirs = other.results(&patient, 1).await;
    assert_eq!(
        (
            mine[0]["raw_value"].as_str(),
            theirs[0]["raw_value"].as_str()
        ),
        (Some("104"), Some("205"))
    );
    assert_ne!(mine[0]["patient_id"], theirs[0]["patient_id"]);

    // nothing of the one is there for the other, under no address
    let raw = rest.message(&id).await["id"].as_str().unwrap().to_owned();
    let person = mine[0]["patient_id"].as_str().unwrap();
    let report = mine[0]["report_id"].as_str().unwrap();
    for path in [
        format!("/api/v1/messages/{raw}"),
        format!("/api/v1/messages/{raw}/body"),
        format!("/api/v1/messages/{raw}/lineage"),
        format!("/api/v1/patients/{person}"),
        format!("/api/v1/patients/{person}/results"),
        format!("/api/v1/reports/{report}"),
        "/api/v1/channels/lab".to_owned(),
    ] {
        assert_eq!(
            rest.response(reqwest::Method::GET, &path, None, &[])
                .await
                .status(),
            200,
            "{path}"
        );
        assert_eq!(
            other
                .response(reqwest::Method::GET, &path, None, &[])
                .await
                .status(),
            404,
            "{path}"
        );
    }
    let (status, _) = other.post("/api/v1/channels/lab/stop", &json!({})).await;
    assert_eq!(status, 404);
    assert!(
        other
            .all_items("/api/v1/messages?limit=500")
            .await
            .iter()
            .all(|message| message["channel"] == "other")
    );
    assert!(
        other
            .items("/api/v1/channels")
            .await
            .iter()
            .all(|channel| channel["channel"] == "other")
    );
    // a token says which tenant it is for; one that was tampered with is none
    let forged = other.token().unwrap().replace('.', ".A");
    assert_eq!(
        other
            .clone()
            .with_token(Some(&forged))
            .try_get("/api/v1/channels")
            .await
            .0,
        401
    );
}

#[tokio::test]
async fn g8_patient_data_is_in_no_log_line_no_metric_and_no_subject() {
    let servers = Servers::start().await;
    let mut settings = HubSettings::new(&servers);
    settings
        .channels
        .push(ChannelToml::new("small").tables("[channel.settings.frame]\nlimit = 4096\n"));
    settings
        .environment
        .push(("HUB_LOG".to_owned(), "debug".to_owned()));
    let collector = Collector::start(Mood::Taking).await;
    settings.more = collector.settings();
    let hub = HubProcess::start(&servers, &settings).await;
    let rest = hub.sign_in().await;
    // nothing of this may be seen anywhere but in the stores
    let (number, family, given, mobile, city, value, odd) = (
        "XMRN7788990",
        "Zzyzxnamex",
        "Qwertgivenx",
        "9876501234",
        "Blorpvillex",
        "7777313",
        "XCODEX99",
    );
    let needles = [
        number,
        family,
        given,
        mobile,
        city,
        value,
        "XCLIN0001",
        "XSPEC0001",
        "Xnotetextx",
    ];
    let person = format!(
        "PID|1||{number}^^^HOSP^MR||{family}^{given}||19810203|M|||1 Street^^{city}||{mobile}\r"
    );
    let header =
        |kind: &str, id: &str| format!("MSH|^~\\&|A|B|C|D|{}||{kind}|{id}|P|2.5\r", stamp());
    let results = format!(
        "OBR|1|XORD0001|XFIL0001|P^P^L\rSPM|1|XSPEC0001\rOBX|1|NM|{odd}^T^L||{value}|mg/dL|||||F\rNTE|1||Xnotetextx\r"
    );
    let mut peer = Mllp::connect(hub.mllp("lab")).await;
    let mut small = Mllp::connect(hub.mllp("small")).await;
    for message in [
        format!(
            "{}EVN|A01\r{person}PV1|1|I|W^1^2||||D1^Xdocx||||||||||||XVIS0001\r",
            header("ADT^A01", "G8-1")
        ),
        format!("{}{person}{results}", header("ORU^R01", "G8-2")),
        // refused by the translator, by the worker, by the edge
        format!(
            "{}{}{results}",
            header("ADT^A01", "G8-3"),
            person.replace(&format!("{number}^^^HOSP^MR"), "")
        ),
        format!(
            "{}{person}MRG|{number}^^^HOSP^MR\r",
            header("ADT^A40", "G8-4")
        ),
        format!("{person}{results}"),
        format!(
            "{}{person}{results}OBX|2|TX|N||{}\r",
            header("ORU^R01", "G8-5"),
            "^".repeat(100_100)
        ),
        format!(
            "{}{person}OBX|1|NM|{odd}^T^L||\\X{value}||{}\r",
            header("ORU^R01", "G8-6"),
            "\u{0}"
        ),
        format!(
            "{}{}{results}",
            header("ORU^R01", "G8-7"),
            person.replace("19810203", value)
        ),
    ] {
        assert!(["AA", "AR"].contains(&peer.send(&message).await.code.as_str()));
    }
    peer.write(&[b"\x0b", person.as_bytes(), b"\x0b", person.as_bytes()].concat())
        .await
        .unwrap();
    drop(peer);
    let large = format!(
        "{}{person}{results}OBX|2|TX|N||{}\r",
        header("ORU^R01", "G8-8"),
        family.repeat(1000)
    );
    assert_eq!(small.send(large).await.code, "AR");
    rest.results(number, 2).await;
    eventually("the dead letters are there", SOON, || async {
        (rest.items("/api/v1/dead-letters").await.len() >= 4).then_some(())
    })
    .await;
    // reads leave lines as well
    for path in [
        format!("/api/v1/patients?mrn={number}"),
        format!("/api/v1/patients?name={family}"),
        format!("/api/v1/patients?mobile={mobile}"),
        format!("/api/v1/nothing/{family}?x={number}"),
    ] {
        rest.try_get(&path).await;
    }
    let raw = rest.message("G8-2").await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    rest.bytes(&format!("/api/v1/messages/{raw}/body")).await;
    let held = rest.items("/api/v1/held").await;
    assert!(!held.is_empty());
    rest.command(
        &format!("/api/v1/held/{}/map", held[0]["id"]),
        &json!({"loinc": "2345-7", "ucum": "mg/dL"}),
    )
    .await;

    let metrics = rest.text("/metrics").await;
    let client = async_nats::connect(servers.nats.url()).await.unwrap();
    let context = jetstream::new(client);
    let mut subjects = String::new();
    for name in ["RAW", "EVENTS", "COMMANDS", "DEAD"] {
        for (subject, headers, _) in stored(&context, name).await {
            subjects.push_str(&subject);
            subjects.push('\n');
            // headers are shown by tools and traces
            subjects.push_str(&headers);
        }
    }
    let dead: String = rest
        .items("/api/v1/dead-letters")
        .await
        .iter()
        .map(|letter| letter["detail"].to_string())
        .collect();
    let places = [
        ("the log", hub.log()),
        ("the metrics", metrics),
        ("subjects and headers", subjects),
        ("reasons of dead letters", dead),
        ("exported spans", collector.text().await),
    ];
    for (place, text) in places {
        assert!(!text.is_empty(), "{place} is empty");
        for needle in needles {
            let line = text.lines().find(|line| line.contains(needle));
            assert!(
                line.is_none(),
                "{needle} stands in {place}: {}",
                line.unwrap_or_default()
            );
        }
    }
}

#[tokio::test]
async fn g9_a_correction_keeps_the_old_value_and_the_program_may_delete_nothing_clinical() {
    let world = shared().await;
    let rest = world.hub.sign_in().await;
    let (patient, specimen) = (unique("G9"), unique("G9S"));
    let mut peer = Mllp::connect(world.hub.mllp("lab")).await;
    assert_eq!(
        peer.send(oru(
            &unique("C"),
            &patient,
            &specimen,
            &[("GLU", "104", "mg/dL")]
        ))
        .await
        .code,
        "AA"
    );
    rest.results(&patient, 1).await;
    let correction = oru(
        &unique("C"),
        &patient,
        &specimen,
        &[("GLU", "140", "mg/dL")],
    )
    .replace("|||||F\r", "|||||C\r");
    assert_eq!(peer.send(correction).await.code, "AA");
    let path = format!("/api/v1/results?patient_identifier={patient}&versions=all");
    let versions = eventually("two versions", SOON, || async {
        let items = rest.items(&path).await;
        (items.len() == 2).then_some(items)
    })
    .await;
    let value = |current: bool| {
        versions
            .iter()
            .find(|one| one["current"] == current)
            .unwrap()["raw_value"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        (value(true), value(false)),
        ("140".to_owned(), "104".to_owned())
    );

    let deletable = world
        .servers
        .sql("select table_schema || '.' || table_name from information_schema.role_table_grants where grantee = 'hub_app' and privilege_type in ('DELETE', 'TRUNCATE') and table_schema in ('patients', 'clinical', 'billing', 'accounting', 'audit') order by 1")
        .await;
    assert!(
        deletable
            .iter()
            .all(|table| ["patients.match_keys"].contains(&table.as_str())),
        "the program may delete from {deletable:?}"
    );
    let changeable = world.servers.sql("select privilege_type from information_schema.role_table_grants where grantee = 'hub_app' and table_schema = 'audit' and privilege_type not in ('SELECT', 'INSERT')").await;
    assert!(changeable.is_empty(), "{changeable:?}");
}

#[tokio::test]
async fn g9_the_audit_trail_is_sealed_link_by_link() {
    let world = shared().await;
    world.hub.sign_in().await;
    eventually("the trail is sealed", SOON, || async {
        let open = world.servers.count("select count(*) from audit.entries e where not exists (select 1 from audit.chain c where c.entry_id = e.id) and e.recorded_at < now() - interval '20 seconds'").await;
        (world.servers.count("select count(*) from audit.chain").await > 0 && open == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn g11_unknown_is_a_state_what_could_not_be_checked_says_so() {
    let servers = Servers::start().await;
    let hub = HubProcess::start(&servers, &HubSettings::new(&servers)).await;
    servers.postgres.stop().await.unwrap();
    let (status, body) = Rest::new(hub.api()).try_get("/readyz").await;
    assert_eq!(status, 503, "{body}");
    let text = body.to_string();
    assert!(
        text.contains("not_checked") || text.contains("not checked"),
        "migrations can't be checked without Postgres: {body}"
    );
    assert_eq!(Rest::new(hub.api()).try_get("/healthz").await.0, 200);
    // a channel that has not reported yet is unknown, not stopped
    servers.postgres.restart().await.unwrap();
}

#[tokio::test]
async fn g12_every_wait_has_a_deadline_with_nats_frozen_the_sender_hears_ae_within_its_patience() {
    let servers = Servers::start().await;
    let hub = HubProcess::start(&servers, &HubSettings::new(&servers)).await;
    let mut peer = Mllp::connect(hub.mllp("lab")).await;
    let (patient, id) = (unique("G12"), unique("G12C"));
    let message = oru(&id, &patient, &unique("S"), &[("GLU", "1", "mg/dL")]);
    assert_eq!(
        peer.send(oru(
            &unique("C"),
            &patient,
            &unique("S"),
            &[("GLU", "1", "mg/dL")]
        ))
        .await
        .code,
        "AA"
    );
    servers.nats.freeze();
    let began = Instant::now();
    let answer = peer.send(&message).await;
    let waited = began.elapsed();
    let rest = hub.sign_in();
    let login = tests::within("sign-in without NATS", Duration::from_secs(10), rest).await;
    let (status, body) = login.try_get("/readyz").await;
    servers.nats.thaw();
    assert_eq!(answer.code, "AE");
    assert!(
        waited < Duration::from_secs(5),
        "instruments give up after five seconds; this took {waited:?}"
    );
    assert_eq!(status, 503, "{body}");

    let address = hub.mllp("lab");
    eventually("the repeat is acknowledged", SOON, || async {
        (Mllp::connect(address).await.try_send(&message).await?.code == "AA").then_some(())
    })
    .await;
    let results = login.results(&patient, 2).await;
    assert_eq!(
        results.len(),
        2,
        "the frame that was refused and repeated has one effect"
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

/// Subject, headers as text and payload of everything in a stream.
async fn stored(context: &jetstream::Context, stream: &str) -> Vec<(String, String, Vec<u8>)> {
    let stream = context.get_stream(stream).await.unwrap();
    let last = stream.cached_info().state.last_sequence;
    let mut all = Vec::new();
    if stream.cached_info().state.messages == 0 {
        return all;
    }
    let consumer = stream
        .create_consumer(jetstream::consumer::pull::OrderedConfig::default())
        .await
        .unwrap();
    let mut messages = consumer.messages().await.unwrap();
    while let Some(message) = tests::within("the stream is read", SOON, messages.next()).await {
        let message = message.unwrap();
        let sequence = message.info().unwrap().stream_sequence;
        all.push((
            message.subject.to_string(),
            format!("{:?}\n", message.headers),
            message.payload.to_vec(),
        ));
        if sequence >= last {
            break;
        }
    }
    all
}
