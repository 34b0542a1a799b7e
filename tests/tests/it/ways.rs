//! The ways of a message through the whole program.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    ChannelToml, HubProcess, HubSettings, Mllp, Rest, Servers, adt, encode, eventually, oru,
    shared, unique,
};

pub(crate) mod tls;

const SOON: Duration = Duration::from_secs(30);

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

    assert_eq!(peer.send(&message).await.code, "AA");
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
        assert_eq!(
            peer.send(oru(
                &unique("C"),
                &format!("{prefix}{n}"),
                &unique("S"),
                &[(&code, "5.5", "mmol/L")]
            ))
            .await
            .code,
            "AA"
        );
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
    assert_eq!(
        peer.send(oru(
            &unique("C"),
            &patient,
            &unique("S"),
            &[(&code, "6", "mmol/L")]
        ))
        .await
        .code,
        "AA"
    );
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
    assert_eq!(
        peer.send(oru(
            &unique("C"),
            &patient,
            &unique("S"),
            &[(&code, "12", "g/dL")]
        ))
        .await
        .code,
        "AA"
    );
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
    assert_eq!(
        Mllp::connect(hub.mllp("lab"))
            .await
            .send(oru(
                &unique("C"),
                &patient,
                &unique("S"),
                &[("GLU", "5", "mg/dL")]
            ))
            .await
            .code,
        "AA"
    );
    assert_eq!(rest.results(&patient, 1).await[0]["loinc"], "2345-7");
}

#[tokio::test]
async fn a_dead_letter_is_corrected_and_sent_again_as_a_linked_child() {
    let world = shared().await;
    let rest = world.hub.sign_in().await;
    let (id, patient) = (unique("DL"), unique("DLP"));
    let bad = adt("A01", &id, &patient).replace(&format!("{patient}^^^HOSP^MR"), "");
    assert_eq!(
        Mllp::connect(world.hub.mllp("adt"))
            .await
            .send(&bad)
            .await
            .code,
        "AA"
    );
    let letter = letter_of(&rest, &id).await;
    assert_eq!(
        (
            letter["reason"].as_str(),
            letter["stage"].as_str(),
            letter["state"].as_str()
        ),
        (Some("hl7.no_patient"), Some("translate"), Some("open"))
    );

    let answer = rest
        .command(
            &format!("/api/v1/dead-letters/{}/resend", letter["id"]),
            &json!({"body": adt("A01", &id, &patient)}),
        )
        .await;
    let child = answer["answer"]["child"].as_str().unwrap().to_owned();
    eventually("the child took effect", SOON, || async {
        (!rest
            .items(&format!("/api/v1/patients?mrn={patient}"))
            .await
            .is_empty())
        .then_some(())
    })
    .await;
    let parent = letter["raw_id"].as_str().unwrap();
    // the ledger may be a moment behind the effect
    let of_child = format!("/api/v1/messages/{child}");
    eventually("the child is in the ledger", SOON, || async {
        let (status, body) = rest.try_get(&of_child).await;
        (status == 200).then(|| assert_eq!(body["parent"], parent))
    })
    .await;
    let lineage = rest
        .get(&format!("/api/v1/messages/{parent}/lineage"))
        .await;
    assert_eq!(lineage["children"], json!([child]));
    assert_eq!(lineage["dead_letters"], json!([letter["id"]]));
    let closed = rest
        .get(&format!("/api/v1/dead-letters/{}", letter["id"]))
        .await;
    assert_eq!(
        (
            closed["state"].as_str(),
            closed["child"].as_str(),
            closed["resolved_by"].as_str()
        ),
        (Some("resent"), Some(child.as_str()), Some("admin"))
    );
    assert_eq!(
        rest.bytes(&format!("/api/v1/messages/{parent}/body")).await,
        bad.as_bytes(),
        "the original stays"
    );
    let (status, problem) = rest
        .post(
            &format!("/api/v1/dead-letters/{}/resend", letter["id"]),
            &json!({"body": "MSH|"}),
        )
        .await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (409, Some("dead.closed"))
    );
}

#[tokio::test]
async fn a_dead_letter_is_replayed_as_it_is_and_opens_again_when_it_is_refused_again() {
    let world = shared().await;
    let rest = world.hub.sign_in().await;
    let id = unique("RP");
    let bad = adt("A01", &id, "").replace("^^^HOSP^MR", "");
    assert_eq!(
        Mllp::connect(world.hub.mllp("adt"))
            .await
            .send(&bad)
            .await
            .code,
        "AA"
    );
    let letter = letter_of(&rest, &id).await;
    rest.command(
        &format!("/api/v1/dead-letters/{}/replay", letter["id"]),
        &json!({}),
    )
    .await;
    eventually(
        "it was refused once more and is open again",
        SOON,
        || async {
            let now = rest
                .get(&format!("/api/v1/dead-letters/{}", letter["id"]))
                .await;
            (now["state"] == "open" && now["attempts"].as_i64()? >= 2).then_some(())
        },
    )
    .await;
    rest.command(
        &format!("/api/v1/dead-letters/{}/discard", letter["id"]),
        &json!({"reason": "a test"}),
    )
    .await;
    assert_eq!(
        rest.get(&format!("/api/v1/dead-letters/{}", letter["id"]))
            .await["state"],
        "discarded"
    );
}

#[tokio::test]
async fn a_paused_channel_acknowledges_and_processes_after_it_is_started_and_a_stopped_one_does_not_listen()
 {
    let servers = Servers::start().await;
    let hub = HubProcess::start(
        &servers,
        &HubSettings::new(&servers).channel(ChannelToml::new("second")),
    )
    .await;
    let rest = hub.sign_in().await;
    let patient = unique("PAU");
    // a channel is known once its edge has reported
    eventually("the channel has reported", SOON, || async {
        (rest.try_get("/api/v1/channels/lab").await.1["link"] == "listening").then_some(())
    })
    .await;

    rest.command("/api/v1/channels/lab/pause", &json!({})).await;
    eventually("the pause has arrived", SOON, || async {
        hub.log().contains("state=\"paused\"").then_some(())
    })
    .await;
    let mut peer = Mllp::connect(hub.mllp("lab")).await;
    let id = unique("C");
    assert_eq!(
        peer.send(oru(&id, &patient, &unique("S"), &[("GLU", "5", "mg/dL")]))
            .await
            .code,
        "AA"
    );
    // what came later on another channel is through: the paused one is not merely slow
    let later = unique("PAUL");
    assert_eq!(
        Mllp::connect(hub.mllp("second"))
            .await
            .send(oru(
                &unique("C"),
                &later,
                &unique("S"),
                &[("GLU", "5", "mg/dL")]
            ))
            .await
            .code,
        "AA"
    );
    rest.results(&later, 1).await;
    assert!(
        rest.items(&format!("/api/v1/results?patient_identifier={patient}"))
            .await
            .is_empty()
    );
    assert_eq!(rest.get("/api/v1/channels/lab").await["desired"], "paused");

    rest.command("/api/v1/channels/lab/start", &json!({})).await;
    rest.results(&patient, 1).await;

    rest.command("/api/v1/channels/lab/stop", &json!({})).await;
    assert!(
        peer.is_closed_within(Duration::from_secs(10)).await,
        "open connections of a stopped channel are closed"
    );
    eventually("nobody listens", SOON, || async {
        Mllp::try_connect(hub.mllp("lab")).await.err()
    })
    .await;
    assert_eq!(
        Mllp::connect(hub.mllp("second"))
            .await
            .send(oru(
                &unique("C"),
                &later,
                &unique("S"),
                &[("GLU", "6", "mg/dL")]
            ))
            .await
            .code,
        "AA"
    );
    rest.command("/api/v1/channels/lab/start", &json!({})).await;
    let mut peer = eventually("it listens again", SOON, || async {
        Mllp::try_connect(hub.mllp("lab")).await.ok()
    })
    .await;
    assert_eq!(
        peer.send(oru(
            &unique("C"),
            &patient,
            &unique("S"),
            &[("GLU", "7", "mg/dL")]
        ))
        .await
        .code,
        "AA"
    );
    rest.results(&patient, 2).await;
}

#[tokio::test]
async fn a_stopped_channel_stays_stopped_over_a_restart() {
    let servers = Servers::start().await;
    let mut hub = HubProcess::start(
        &servers,
        &HubSettings::new(&servers).channel(ChannelToml::new("second")),
    )
    .await;
    let rest = hub.sign_in().await;
    eventually("the channel has reported", SOON, || async {
        (rest.try_get("/api/v1/channels/lab").await.1["link"] == "listening").then_some(())
    })
    .await;
    rest.command("/api/v1/channels/lab/stop", &json!({})).await;
    eventually("nobody listens", SOON, || async {
        Mllp::try_connect(hub.mllp("lab")).await.err()
    })
    .await;
    hub.terminate().await;
    hub.launch_again();
    let second = hub.mllp("second");
    eventually("the other channel listens", SOON, || async {
        Mllp::try_connect(second).await.ok()
    })
    .await;
    let lab = hub.mllp("lab");
    eventually(
        "the stop is known again and nobody listens",
        SOON,
        || async { Mllp::try_connect(lab).await.err() },
    )
    .await;
}

#[tokio::test]
async fn the_lineage_leads_from_the_raw_message_over_events_and_effects_to_what_was_sent_on() {
    let world = shared().await;
    let rest = world.hub.sign_in().await;
    let (id, patient, odd) = (unique("LIN"), unique("LINP"), unique("LINC"));
    assert_eq!(
        Mllp::connect(world.hub.mllp("lab"))
            .await
            .send(oru(
                &id,
                &patient,
                &unique("S"),
                &[("GLU", "5", "mg/dL"), (&odd, "1", "")]
            ))
            .await
            .code,
        "AA"
    );
    rest.results(&patient, 2).await;
    let raw = rest.message(&id).await["id"].as_str().unwrap().to_owned();
    let lineage = eventually("all of it is applied", SOON, || async {
        let lineage = rest.get(&format!("/api/v1/messages/{raw}/lineage")).await;
        let events = lineage["events"].as_array()?;
        let applied = events
            .iter()
            .all(|event| !event["applied"].as_array().unwrap().is_empty());
        let sent = lineage["outgoing"].as_array()?;
        (applied && !sent.is_empty() && sent.iter().all(|one| one["published_at"].is_string()))
            .then_some(lineage)
    })
    .await;
    let types: Vec<&str> = lineage["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert!(types.contains(&"lis.result.received"), "{types:?}");
    let kinds: Vec<&str> = lineage["effects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|effect| effect["kind"].as_str().unwrap())
        .collect();
    assert!(
        kinds.contains(&"report") && kinds.contains(&"patient"),
        "{kinds:?}"
    );
    assert_eq!(lineage["arrivals"][0]["control_id"], id.as_str());
}

#[tokio::test]
async fn reading_a_body_gives_the_bytes_and_leaves_an_audit_row_with_the_reason() {
    let world = shared().await;
    let rest = world.hub.sign_in().await;
    let id = unique("BODY");
    let message = oru(&id, &unique("P"), &unique("S"), &[("GLU", "5", "mg/dL")]);
    assert_eq!(
        Mllp::connect(world.hub.mllp("lab"))
            .await
            .send(&message)
            .await
            .code,
        "AA"
    );
    let raw = rest.message(&id).await["id"].as_str().unwrap().to_owned();
    let response = rest
        .response(
            Method::GET,
            &format!("/api/v1/messages/{raw}/body"),
            None,
            &[("hub-access-reason", "result disputed")],
        )
        .await;
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.bytes().await.unwrap(), message.as_bytes());
    let entry = eventually("the audit row", SOON, || async {
        rest.items(&format!(
            "/api/v1/audit?action=message.body_read&object={}",
            encode(&format!("message {raw}"))
        ))
        .await
        .into_iter()
        .next()
    })
    .await;
    assert_eq!(
        (entry["actor"].as_str(), entry["reason"].as_str()),
        (Some("admin"), Some("result disputed"))
    );
}

#[tokio::test]
async fn two_records_are_merged_and_parted_again_over_rest_and_both_numbers_lead_to_the_person() {
    let world = shared().await;
    let rest = world.hub.sign_in().await;
    let (kept, retired) = (unique("MGA"), unique("MGB"));
    let mut adt_peer = Mllp::connect(world.hub.mllp("adt")).await;
    let mut ids = Vec::new();
    for number in [&kept, &retired] {
        assert_eq!(
            adt_peer.send(adt("A28", &unique("C"), number)).await.code,
            "AA"
        );
        ids.push(
            eventually("the patient", SOON, || async {
                Some(
                    rest.items(&format!("/api/v1/patients?mrn={number}"))
                        .await
                        .first()?["id"]
                        .as_str()?
                        .to_owned(),
                )
            })
            .await,
        );
    }
    let mut lab = Mllp::connect(world.hub.mllp("lab")).await;
    assert_eq!(
        lab.send(oru(
            &unique("C"),
            &retired,
            &unique("S"),
            &[("GLU", "5", "mg/dL")]
        ))
        .await
        .code,
        "AA"
    );
    rest.results(&retired, 1).await;

    rest.command(
        &format!("/api/v1/patients/{}/merge", ids[0]),
        &json!({"retired": ids[1], "reason": "registered twice"}),
    )
    .await;
    for number in [&kept, &retired] {
        assert_eq!(rest.results(number, 1).await.len(), 1, "{number}");
        assert_eq!(
            rest.items(&format!("/api/v1/patients?mrn={number}")).await[0]["id"],
            ids[0].as_str(),
            "{number}"
        );
    }
    assert_eq!(
        rest.get(&format!("/api/v1/patients/{}", ids[1])).await["merged_into"],
        ids[0].as_str()
    );

    rest.command(
        &format!("/api/v1/patients/{}/unmerge", ids[1]),
        &json!({"reason": "two people"}),
    )
    .await;
    assert_eq!(rest.results(&retired, 1).await.len(), 1);
    assert!(
        rest.items(&format!("/api/v1/results?patient_identifier={kept}"))
            .await
            .is_empty()
    );
    let trail = rest
        .items(&format!("/api/v1/audit?touched={}", ids[1]))
        .await;
    assert!(
        trail.len() >= 2,
        "merge and unmerge are in the trail: {trail:?}"
    );
}

#[tokio::test]
async fn a_merge_that_was_made_already_is_answered_as_the_api_documents_it() {
    let world = shared().await;
    let rest = world.hub.sign_in().await;
    let mut peer = Mllp::connect(world.hub.mllp("adt")).await;
    let mut ids = Vec::new();
    for number in [unique("MGC"), unique("MGD")] {
        assert_eq!(
            peer.send(adt("A28", &unique("C"), &number)).await.code,
            "AA"
        );
        let path = format!("/api/v1/patients?mrn={number}");
        ids.push(
            eventually("the patient", SOON, || async {
                Some(rest.items(&path).await.first()?["id"].as_str()?.to_owned())
            })
            .await,
        );
    }
    let (path, body) = (
        format!("/api/v1/patients/{}/merge", ids[0]),
        json!({"retired": ids[1], "reason": "registered twice"}),
    );
    rest.command(&path, &body).await;
    let (status, answer) = rest.post(&path, &body).await;
    let document = rest.get("/api/openapi.json").await;
    let documented =
        document["paths"]["/api/v1/patients/{id}/merge"]["post"]["responses"]["409"]["description"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
    assert!(
        !documented.contains("merged already") || status == 409,
        "documented is 409 ({documented}), answered was {status}: {answer}"
    );
}

#[tokio::test]
async fn errors_are_problem_documents_and_nobody_comes_in_without_a_token() {
    let world = shared().await;
    let stranger = Rest::new(world.hub.api());
    for path in [
        "/api/v1/patients",
        "/api/v1/results?patient_identifier=1",
        "/api/v1/messages",
        "/api/v1/held",
        "/api/v1/dead-letters",
        "/api/v1/channels",
        "/api/v1/audit",
    ] {
        let response = stranger.response(Method::GET, path, None, &[]).await;
        assert_eq!(response.status(), 401, "{path}");
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json",
            "{path}"
        );
    }
    let (status, problem) = stranger
        .post(
            "/api/v1/auth/login",
            &json!({"username": "admin", "password": "wrong"}),
        )
        .await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (401, Some("auth.login"))
    );
    let rest = world.hub.sign_in().await;
    for (path, status) in [
        ("/api/v1/messages?limit=0", 400),
        ("/api/v1/messages/no-uuid", 404),
        ("/api/v1/nothing", 404),
        ("/api/v1/patients/018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", 404),
        ("/api/v1/results", 400),
        ("/api/v1/messages?control_id=a%00b", 400),
    ] {
        let response = rest.response(Method::GET, path, None, &[]).await;
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json",
            "{path}"
        );
        let code = response.status().as_u16();
        let body: Value = response.json().await.unwrap();
        assert_eq!(code, status, "{path}: {body}");
        for member in [
            "type", "title", "status", "detail", "instance", "code", "trace_id",
        ] {
            assert!(!body[member].is_null(), "{path} has no {member}: {body}");
        }
    }
    let document = rest.get("/api/openapi.json").await;
    assert!(document["paths"].as_object().unwrap().len() >= 25);
    assert_eq!(
        rest.response(Method::GET, "/api/docs", None, &[])
            .await
            .status(),
        200
    );
}

#[tokio::test]
async fn pages_of_messages_follow_each_other_without_gap_or_repeat() {
    let world = shared().await;
    let rest = world.hub.sign_in().await;
    let patient = unique("PAGE");
    let mut peer = Mllp::connect(world.hub.mllp("lab")).await;
    for n in 0..25 {
        peer.write(&tests::frame(
            oru(
                &unique("PG"),
                &patient,
                &format!("{patient}S{n}"),
                &[("GLU", "5", "mg/dL")],
            )
            .as_bytes(),
        ))
        .await
        .unwrap();
    }
    peer.answers(25).await;
    rest.results(&patient, 25).await;
    eventually("all are in the ledger", SOON, || async {
        (rest
            .items(&format!(
                "/api/v1/messages?patient_number={patient}&limit=500"
            ))
            .await
            .len()
            == 25)
            .then_some(())
    })
    .await;
    let pages = rest
        .all_items(&format!(
            "/api/v1/messages?patient_number={patient}&limit=4"
        ))
        .await;
    let ids: std::collections::HashSet<&str> = pages
        .iter()
        .map(|item| item["id"].as_str().unwrap())
        .collect();
    assert_eq!((pages.len(), ids.len()), (25, 25));
    assert_eq!(
        rest.all_items(&format!("/api/v1/messages?q={patient}&limit=7"))
            .await
            .len(),
        25
    );
}

#[tokio::test]
async fn two_processes_share_the_lanes_and_when_one_is_killed_the_other_finishes_in_order() {
    const PATIENTS: usize = 24;
    const UPDATES: usize = 25;
    let servers = Servers::start().await;
    let settings = HubSettings::new(&servers);
    let mut first = HubProcess::start(&servers, &settings).await;
    let second = HubProcess::start(&servers, &settings.elsewhere()).await;
    eventually("both own lanes", SOON, || async {
        second
            .log()
            .lines()
            .any(|line| line.contains("lanes owned") && line.contains("members=2"))
            .then_some(())
    })
    .await;

    let prefix = unique("TWO");
    let mut peer = Mllp::connect(second.mllp("lab")).await;
    let mut sent = 0;
    for update in 1..=UPDATES {
        for patient in 0..PATIENTS {
            let message = tests::adt_named(
                "A08",
                &unique("TW"),
                &format!("{prefix}P{patient}"),
                &format!("Version{update}"),
            );
            peer.write(&tests::frame(message.as_bytes())).await.unwrap();
            sent += 1;
        }
        if update == UPDATES / 2 {
            first.kill9().await;
        }
    }
    assert!(
        peer.answers(sent)
            .await
            .iter()
            .all(|answer| answer.code == "AA")
    );

    let rest = second.sign_in().await;
    let last = format!("Version{UPDATES}");
    for patient in 0..PATIENTS {
        let number = format!("{prefix}P{patient}");
        let record = eventually(
            &format!("the last update of {number}"),
            Duration::from_secs(60),
            || async {
                let found = rest.items(&format!("/api/v1/patients?mrn={number}")).await;
                found
                    .into_iter()
                    .find(|record| record["name"]["family"] == last.as_str())
            },
        )
        .await;
        assert_eq!(
            record["version"], UPDATES,
            "each update has one effect: {record}"
        );
    }
}

#[tokio::test]
async fn with_postgres_down_mllp_acknowledges_and_the_work_is_done_in_order_after() {
    let servers = Servers::start().await;
    let hub = HubProcess::start(&servers, &HubSettings::new(&servers)).await;
    let mut peer = Mllp::connect(hub.mllp("lab")).await;
    let patient = unique("PGD");
    assert_eq!(
        peer.send(tests::adt_named("A08", &unique("C"), &patient, "Before"))
            .await
            .code,
        "AA"
    );
    servers.postgres.kill9().await.unwrap();
    for n in 1..=40 {
        assert_eq!(
            peer.send(tests::adt_named(
                "A08",
                &unique("C"),
                &patient,
                &format!("Version{n}")
            ))
            .await
            .code,
            "AA"
        );
    }
    servers.postgres.restart().await.unwrap();
    let rest = hub.sign_in().await;
    let record = eventually("the last update", Duration::from_secs(60), || async {
        rest.items(&format!("/api/v1/patients?mrn={patient}"))
            .await
            .into_iter()
            .find(|record| record["name"]["family"] == "Version40")
    })
    .await;
    assert_eq!(
        record["version"], 41,
        "each update has one effect, in order"
    );
}

#[tokio::test]
async fn with_nats_down_nothing_is_acknowledged_and_with_nats_back_it_is_again() {
    let servers = Servers::start().await;
    let hub = HubProcess::start(&servers, &HubSettings::new(&servers)).await;
    let address = hub.mllp("lab");
    let mut peer = Mllp::connect(address).await;
    let (patient, id) = (unique("ND"), unique("NDC"));
    let message = oru(&id, &patient, &unique("S"), &[("GLU", "5", "mg/dL")]);
    servers.nats.kill9().await.unwrap();
    for _ in 0..3 {
        let began = Instant::now();
        let answer = peer.send(&message).await;
        assert_eq!(
            (answer.code.as_str(), answer.control_id.as_str()),
            ("AE", id.as_str()),
            "{}",
            answer.text
        );
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );
    }
    // new connections are taken and told the same
    assert_eq!(Mllp::connect(address).await.send(&message).await.code, "AE");
    servers.nats.restart().await.unwrap();
    eventually("it is acknowledged again", SOON, || async {
        (Mllp::connect(address).await.try_send(&message).await?.code == "AA").then_some(())
    })
    .await;
    assert_eq!(hub.sign_in().await.results(&patient, 1).await.len(), 1);
}

#[tokio::test]
async fn a_full_store_is_a_repeatable_refusal_and_is_over_when_there_is_space_again() {
    let servers =
        Servers::start_with(|options| options.max_file_bytes = Some(16 * 1024 * 1024)).await;
    let hub = HubProcess::start(&servers, &HubSettings::new(&servers)).await;
    // somebody else takes most of the space
    let context =
        async_nats::jetstream::new(async_nats::connect(servers.nats.url()).await.unwrap());
    let filler = async_nats::jetstream::stream::Config {
        name: "FILLER".to_owned(),
        subjects: vec!["filler".to_owned()],
        ..Default::default()
    };
    context.create_stream(filler).await.unwrap();
    while context
        .publish("filler", vec![b'x'; 500_000].into())
        .await
        .unwrap()
        .await
        .is_ok()
    {}

    let patient = unique("FULL");
    let refused = refused_message(&hub, &patient).await;
    assert_eq!(Rest::new(hub.api()).try_get("/healthz").await.0, 200);
    context.delete_stream("FILLER").await.unwrap();
    accepted_again(&hub, &patient, &refused).await;
}

#[tokio::test]
async fn a_full_disk_is_a_repeatable_refusal_and_is_over_when_there_is_space_again() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("skipped: a tmpfs can't be mounted here (needs root)");
        return;
    };
    let folder = disk.folder.path().to_owned();
    let servers = Servers::start_with(|options| {
        options.store_dir = Some(folder.clone());
        // what local-servers does on a real disk keeps JetStream from this; here it must not
        options.max_file_bytes = Some(1024 * 1024 * 1024);
    })
    .await;
    let hub = HubProcess::start(&servers, &HubSettings::new(&servers)).await;
    let filler = folder.join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 65536]).is_ok() {}

    let patient = unique("DISK");
    let refused = refused_message(&hub, &patient).await;
    std::fs::remove_file(&filler).unwrap();
    drop(file);
    // nats-server remembers the failed write until it starts anew; its keeper sees to that
    accepted_again(&hub, &patient, &refused).await;
    drop(hub);
    drop(servers);
}

/// A tmpfs of 24 MiB, unmounted when dropped.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = Servers::folder_for_tests();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"])
            .arg(folder.path())
            .stderr(Stdio::null())
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then_some(Self { folder })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg("-l")
            .arg(self.folder.path())
            .status();
    }
}

/// Sends until the store takes no more; the message that was refused. What was acknowledged before is there.
async fn refused_message(hub: &HubProcess, patient: &str) -> String {
    let mut peer = Mllp::connect(hub.mllp("lab")).await;
    let mut stored = 0;
    let refused = loop {
        let message = oru(
            &unique("FC"),
            patient,
            &format!("{patient}S{stored}"),
            &[("GLU", "5", "mg/dL")],
        ) + &format!("OBX|2|TX|N^N^L||{}||||||F\r", "x".repeat(50_000));
        let answer = peer.send(&message).await;
        match answer.code.as_str() {
            "AA" => stored += 1,
            "AE" => break message,
            other => panic!("{other}: {}", answer.text),
        }
        assert!(stored < 500, "the limit does nothing");
    };
    assert_eq!(peer.send(&refused).await.code, "AE", "still so");
    refused
}

async fn accepted_again(hub: &HubProcess, patient: &str, refused: &str) {
    eventually("it is acknowledged again", SOON, || async {
        let code = Mllp::connect(hub.mllp("lab"))
            .await
            .try_send(refused)
            .await?
            .code;
        (code == "AA").then_some(())
    })
    .await;
    let rest = hub.sign_in().await;
    rest.message(refused.split('|').nth(9).unwrap()).await;
    let last = refused
        .split('|')
        .find(|field| field.starts_with("PL"))
        .unwrap()
        .trim_start_matches("PL");
    let results = eventually("all of it took effect", SOON, || async {
        let results = rest
            .all_items(&format!(
                "/api/v1/results?patient_identifier={patient}&limit=500"
            ))
            .await;
        results
            .iter()
            .any(|result| {
                result["placer_number"]
                    .as_str()
                    .is_some_and(|number| number.ends_with(last))
            })
            .then_some(results)
    })
    .await;
    let mut numbers: Vec<&str> = results
        .iter()
        .map(|result| result["placer_number"].as_str().unwrap())
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(
        results.len(),
        numbers.len() * 2,
        "each message has one effect"
    );
}

#[tokio::test]
async fn tls_lets_in_who_has_a_certificate_of_ours_and_nobody_else() {
    let servers = Servers::start().await;
    let pki = tls::Pki::new(servers.folder());
    let channel = |id: &str, lines: String| ChannelToml::new(id).server(&lines);
    let common = format!(
        "tls = {{ certificate = \"{}\", key = \"{}\", client_ca = \"{}\" }}",
        pki.certificate.display(),
        pki.key.display(),
        pki.ca.display()
    );
    let settings = HubSettings::new(&servers)
        .channel(channel("secure", common))
        .channel(channel("walled", "allow = [\"10.99.0.0/16\"]".to_owned()));
    let hub = HubProcess::start(&servers, &settings).await;
    let (patient, id) = (unique("TLS"), unique("TLSC"));
    let message = oru(&id, &patient, &unique("S"), &[("GLU", "5", "mg/dL")]);

    assert_eq!(
        pki.send(hub.mllp("secure"), true, message.as_bytes())
            .await
            .map(|answer| answer.code),
        Some("AA".to_owned())
    );
    assert_eq!(
        pki.send(hub.mllp("secure"), false, message.as_bytes())
            .await,
        None,
        "without a client certificate"
    );
    let mut plain = Mllp::connect(hub.mllp("secure")).await;
    assert_eq!(plain.try_send(&message).await, None, "without TLS");
    let mut walled = Mllp::connect(hub.mllp("walled")).await;
    assert_eq!(
        walled.try_send(&message).await,
        None,
        "from a network that is not allowed"
    );
    assert_eq!(hub.sign_in().await.results(&patient, 1).await.len(), 1);
}

#[tokio::test]
async fn told_to_stop_the_hub_answers_what_is_in_flight_and_is_gone_within_ten_seconds() {
    let servers = Servers::start().await;
    let mut hub = HubProcess::start(&servers, &HubSettings::new(&servers)).await;
    let patient = unique("TERM");
    let mut peer = Mllp::connect(hub.mllp("lab")).await;
    let mut idle = Mllp::connect(hub.mllp("lab")).await;
    assert_eq!(
        idle.send(oru(
            &unique("C"),
            &unique("P"),
            &unique("S"),
            &[("GLU", "5", "mg/dL")]
        ))
        .await
        .code,
        "AA"
    );
    for n in 0..200 {
        peer.write(&tests::frame(
            oru(
                &unique("C"),
                &patient,
                &format!("{patient}S{n}"),
                &[("GLU", "5", "mg/dL")],
            )
            .as_bytes(),
        ))
        .await
        .unwrap();
    }
    let (reading, stopping) = tokio::join!(
        async {
            let mut accepted = 0;
            while let Some(answer) = peer.answer(Duration::from_secs(12)).await {
                assert!(["AA", "AE"].contains(&answer.code.as_str()));
                accepted += usize::from(answer.code == "AA");
            }
            accepted
        },
        hub.terminate()
    );
    let (status, took) = stopping;
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(reading > 0);
    hub.restart().await;
    let kept = hub.sign_in().await.results(&patient, reading).await.len();
    assert!(
        kept >= reading,
        "{reading} acknowledged, {kept} took effect"
    );
}

#[tokio::test]
async fn the_hub_comes_up_without_nats_and_postgres_and_works_when_they_are_there() {
    let servers = Servers::start().await;
    let settings = HubSettings::new(&servers);
    // the database is migrated once, then both are down
    let mut hub = HubProcess::start(&servers, &settings).await;
    hub.terminate().await;
    tokio::join!(async { servers.nats.stop().await.unwrap() }, async {
        servers.postgres.stop().await.unwrap();
    });
    hub.launch_again();
    eventually("it lives", SOON, || async {
        reachable(hub.api()).await.then_some(())
    })
    .await;
    assert!(!Rest::new(hub.api()).is_ready().await);
    tokio::join!(async { servers.nats.restart().await.unwrap() }, async {
        servers.postgres.restart().await.unwrap();
    });
    hub.wait_ready().await;
    let patient = unique("UP");
    assert_eq!(
        Mllp::connect(hub.mllp("lab"))
            .await
            .send(oru(
                &unique("C"),
                &patient,
                &unique("S"),
                &[("GLU", "5", "mg/dL")]
            ))
            .await
            .code,
        "AA"
    );
    hub.sign_in().await.results(&patient, 1).await;
}

#[tokio::test]
async fn from_process_start_to_the_first_accepted_message_passes_little_time() {
    let servers = Servers::start().await;
    let mut hub = HubProcess::start(&servers, &HubSettings::new(&servers)).await;
    hub.terminate().await;
    let began = Instant::now();
    hub.launch_again();
    let address = hub.mllp("lab");
    eventually("the first message is accepted", SOON, || async {
        let mut peer = Mllp::try_connect(address).await.ok()?;
        (peer
            .try_send(oru(
                &unique("C"),
                &unique("P"),
                &unique("S"),
                &[("GLU", "5", "mg/dL")],
            ))
            .await?
            .code
            == "AA")
            .then_some(())
    })
    .await;
    // one second is promised of a release build on an idle machine; this one may be neither
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
}

async fn reachable(api: std::net::SocketAddr) -> bool {
    tokio::net::TcpStream::connect(api).await.is_ok()
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

/// The dead letter of the message with this control id.
async fn letter_of(rest: &Rest, control_id: &str) -> Value {
    let raw = rest.message(control_id).await["id"].clone();
    eventually("the dead letter", SOON, || async {
        rest.all_items("/api/v1/dead-letters?state=all&limit=500")
            .await
            .into_iter()
            .find(|letter| letter["raw_id"] == raw)
    })
    .await
}
