//! Tenants never meet (g7), and patient data stays inside (g8).

use async_nats::jetstream;
use serde_json::json;
use tests::{
    ChannelToml, Collector, HubProcess, HubSettings, Mllp, Mood, PASSWORD, Rest, Servers,
    eventually, oru, shared, stamp, unique,
};

use super::{SOON, stored};

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
    Mllp::connect(world.hub.mllp("lab"))
        .await
        .accepted(&message)
        .await;
    let mine = rest.results(&patient, 1).await;

    // the same number at the other tenant is another person
    let theirs_before = other
        .items(&format!("/api/v1/results?patient_identifier={patient}"))
        .await;
    assert!(theirs_before.is_empty(), "{theirs_before:?}");
    Mllp::connect(world.hub.mllp("other"))
        .await
        .accepted(message.replace("|104|", "|205|"))
        .await;
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
