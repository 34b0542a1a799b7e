//! Charts from outside: EM1 to EM6 of specs/hms-modules.md §1.14, over REST and a monitor's socket, on the built program.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use serde_json::{Value, json};
use tests::{ChannelToml, HubProcess, HubSettings, Mllp, Rest, Servers, eventually, unique};

const SOON: Duration = Duration::from_secs(20);

/// A hub with a monitor's channel, and patients who are registered at its desk.
struct Ward {
    hub: HubProcess,
    rest: Rest,
    nats: async_nats::Client,
    // after the hub: fields are dropped in this order
    _servers: Servers,
}

impl Ward {
    async fn start() -> Self {
        let servers = Servers::start().await;
        let settings = HubSettings::new(&servers).channel(ChannelToml::new("icu"));
        let hub = HubProcess::start(&servers, &settings).await;
        let rest = hub.sign_in().await;
        let nats = async_nats::connect(servers.nats.url()).await.unwrap();
        Self {
            hub,
            rest,
            nats,
            _servers: servers,
        }
    }

    /// A new patient: the id and the number.
    async fn patient(&self) -> (String, String) {
        let number = unique("MRN");
        let body = json!({
            "identifiers": [{ "value": number }],
            "demographics": { "name": { "family": number, "given": ["Asha"] }, "birth_date": "1980-05-17", "sex": "female" } });
        let (status, answer) = self.rest.post("/api/v1/patients", &body).await;
        assert_eq!(status, 201, "{answer}");
        let id = answer["answer"]["id"].as_str().unwrap().to_owned();
        (id, number)
    }

    async fn enter(&self, patient: &str, round: &Value) -> (u16, Value) {
        self.rest
            .post(&format!("/api/v1/patients/{patient}/observations"), round)
            .await
    }
}

/// A round in which only what is exchanged is not normal; an empty value leaves the part out.
fn round(minute: u32, exchanged: &[(&str, &str)]) -> Value {
    let well = [
        ("9279-1", "16", "/min"),
        ("59408-5", "97", "%"),
        ("3151-8", "0", "L/min"),
        ("8480-6", "120", "mm[Hg]"),
        ("8867-4", "70", "/min"),
        ("80288-4", "A", ""),
        ("8310-5", "37.0", "Cel"),
    ];
    let values: Vec<Value> = well
        .iter()
        .filter_map(|(loinc, normal, ucum)| {
            let value = exchanged
                .iter()
                .find(|(which, _)| which == loinc)
                .map_or(*normal, |(_, value)| *value);
            let mut one = json!({ "loinc": loinc, "value": value });
            if !ucum.is_empty() {
                one["ucum"] = json!(ucum);
            }
            (!value.is_empty()).then_some(one)
        })
        .collect();
    let (hour, minute) = (8 + minute / 60, minute % 60);
    json!({ "observed_at": format!("2026-03-01T{hour:02}:{minute:02}:00Z"), "pregnant": false, "values": values })
}

/// EM1: each part at both sides of each edge of its bands, alone against a round that has no other point. The table is the
/// published chart's, written out here once more, apart from the pack and its goldens.
#[tokio::test]
async fn em1_every_band_edge_has_its_points() {
    let ward = Ward::start().await;
    let (patient, _) = ward.patient().await;
    let edges: [(&str, &[(&str, i64)]); 6] = [
        (
            "9279-1",
            &[
                ("8", 3),
                ("9", 1),
                ("11", 1),
                ("12", 0),
                ("20", 0),
                ("21", 2),
                ("24", 2),
                ("25", 3),
            ],
        ),
        (
            "59408-5",
            &[
                ("91", 3),
                ("92", 2),
                ("93", 2),
                ("94", 1),
                ("95", 1),
                ("96", 0),
            ],
        ),
        (
            "8480-6",
            &[
                ("90", 3),
                ("91", 2),
                ("100", 2),
                ("101", 1),
                ("110", 1),
                ("111", 0),
                ("219", 0),
                ("220", 3),
            ],
        ),
        (
            "8867-4",
            &[
                ("40", 3),
                ("41", 1),
                ("50", 1),
                ("51", 0),
                ("90", 0),
                ("91", 1),
                ("110", 1),
                ("111", 2),
                ("130", 2),
                ("131", 3),
            ],
        ),
        (
            "8310-5",
            &[
                ("35.0", 3),
                ("35.1", 1),
                ("36.0", 1),
                ("36.1", 0),
                ("38.0", 0),
                ("38.1", 1),
                ("39.0", 1),
                ("39.1", 2),
            ],
        ),
        (
            "80288-4",
            &[("A", 0), ("C", 3), ("V", 3), ("P", 3), ("U", 3)],
        ),
    ];
    let mut minute = 0;
    for (loinc, cases) in edges {
        for (value, points) in cases {
            let (status, answer) = ward
                .enter(&patient, &round(minute, &[(loinc, value)]))
                .await;
            assert_eq!(status, 201, "{loinc} {value}: {answer}");
            assert_eq!(
                answer["answer"]["score"]["total"], *points,
                "{loinc} {value}"
            );
            minute += 1;
        }
    }
    // what was scored is kept with the pack's version and the rows that matched
    let scores = ward
        .rest
        .all_items(&format!("/api/v1/patients/{patient}/scores"))
        .await;
    assert_eq!(scores.len(), minute as usize);
    assert!(
        scores
            .iter()
            .all(|score| score["pack"] == "news2" && score["pack_version"] == "2026.1")
    );
}

/// EM1, second scale, and EM2: without a doctor's order it is refused, and nothing of the round is filed.
#[tokio::test]
async fn em2_the_second_oxygen_scale_is_refused_without_an_order() {
    let ward = Ward::start().await;
    let (patient, _) = ward.patient().await;
    let mut asked = round(0, &[]);
    asked["oxygen_scale"] = json!(2);
    let (status, problem) = ward.enter(&patient, &asked).await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (422, Some("clinical.oxygen_scale_not_ordered"))
    );
    let observations = format!("/api/v1/patients/{patient}/observations");
    assert!(ward.rest.items(&observations).await.is_empty());

    let targets = format!("/api/v1/patients/{patient}/oxygen-targets");
    let why = json!({ "reason": "COPD with hypercapnia" });
    let (status, ordered) = ward.rest.post(&targets, &why).await;
    assert_eq!(status, 201, "{ordered}");
    // the points of saturation and of oxygen together
    for (minute, (saturation, flow, points)) in (0..).zip([
        ("83", "0", 3),
        ("84", "0", 2),
        ("85", "0", 2),
        ("86", "0", 1),
        ("87", "0", 1),
        ("88", "0", 0),
        ("92", "0", 0),
        ("97", "0", 0),
        ("83", "2", 5),
        ("87", "2", 3),
        ("88", "2", 2),
        ("92", "2", 2),
        ("93", "2", 3),
        ("94", "2", 3),
        ("95", "2", 4),
        ("96", "2", 4),
        ("97", "2", 5),
    ]) {
        let mut round = round(minute, &[("59408-5", saturation), ("3151-8", flow)]);
        round["oxygen_scale"] = json!(2);
        let (status, answer) = ward.enter(&patient, &round).await;
        assert_eq!(status, 201, "{answer}");
        assert_eq!(
            answer["answer"]["score"]["total"], points,
            "{saturation} % at {flow} L/min"
        );
    }
    let id = ordered["answer"]["id"].as_str().unwrap();
    let end = json!({ "reason": "not hypercapnic" });
    ward.rest
        .command(&format!("/api/v1/oxygen-targets/{id}/end"), &end)
        .await;
    asked["observed_at"] = json!("2026-03-01T12:00:00Z");
    assert_eq!(ward.enter(&patient, &asked).await.0, 422);
}

/// EM3
#[tokio::test]
async fn em3_without_a_pulse_there_is_no_total() {
    let ward = Ward::start().await;
    let (patient, _) = ward.patient().await;
    let (status, answer) = ward.enter(&patient, &round(0, &[("8867-4", "")])).await;
    assert_eq!(status, 201, "{answer}");
    let score = &answer["answer"]["score"];
    assert!(score["total"].is_null(), "{score}");
    assert_eq!(
        (&score["state"], &score["missing"]),
        (&json!("incomplete"), &json!(["pulse"]))
    );
    let scores = ward
        .rest
        .items(&format!("/api/v1/patients/{patient}/scores"))
        .await;
    assert!(scores[0].get("total").is_none() && scores[0].get("next_due_at").is_none());
}

/// EM4: counted from the moment the round is sent.
#[tokio::test]
async fn em4_a_total_of_seven_is_a_task_and_an_event_within_two_seconds() {
    let ward = Ward::start().await;
    let (patient, _) = ward.patient().await;
    // an idle worker has gone to sleep: the first command wakes it
    ward.enter(&patient, &round(0, &[])).await;
    let mut events = ward
        .nats
        .subscribe("event.demo.*.clinical.deterioration.flagged")
        .await
        .unwrap();
    ward.nats.flush().await.unwrap();
    let began = Instant::now();
    let bad = [("9279-1", "25"), ("3151-8", "2"), ("8867-4", "115")];
    let (status, answer) = ward.enter(&patient, &round(10, &bad)).await;
    assert_eq!(status, 201, "{answer}");
    assert_eq!(answer["answer"]["score"]["total"], 7);
    let task = answer["answer"]["score"]["task_id"].clone();
    let tasks = ward.rest.items("/api/v1/tasks").await;
    let took = began.elapsed();
    assert_eq!(tasks.len(), 1);
    assert_eq!(
        (&tasks[0]["id"], &tasks[0]["trigger"], &tasks[0]["state"]),
        (&task, &json!("emergency"), &json!("open"))
    );
    assert_eq!(tasks[0]["patient_id"], patient.as_str());
    assert!(took < Duration::from_secs(2), "{took:?}");
    let event = tokio::time::timeout(
        Duration::from_secs(2).saturating_sub(began.elapsed()),
        events.next(),
    )
    .await
    .expect("the event within two seconds")
    .unwrap();
    let event: Value = serde_json::from_slice(&event.payload).unwrap();
    assert_eq!((&event["task_id"], &event["total"]), (&task, &json!(7)));
    println!(
        "the task was there after {took:?}, the event after {:?}",
        began.elapsed()
    );
    let path = format!("/api/v1/tasks/{}", task.as_str().unwrap());
    ward.rest
        .command(&format!("{path}/acknowledge"), &json!({}))
        .await;
    ward.rest
        .command(
            &format!("{path}/complete"),
            &json!({ "outcome": "moved to ICU" }),
        )
        .await;
    let done = ward.rest.items("/api/v1/tasks?state=done").await;
    assert_eq!(done[0]["outcome"], "moved to ICU");
}

/// EM5
#[tokio::test]
async fn em5_a_signed_note_is_not_edited_and_an_addendum_is_made() {
    let ward = Ward::start().await;
    let (patient, _) = ward.patient().await;
    let note = json!({ "note_kind": "progress", "title": "Ward round", "text": "Better today." });
    let (status, made) = ward
        .rest
        .post(&format!("/api/v1/patients/{patient}/notes"), &note)
        .await;
    assert_eq!(status, 201, "{made}");
    let path = format!("/api/v1/notes/{}", made["answer"]["id"].as_str().unwrap());
    ward.rest.command(&format!("{path}/sign"), &json!({})).await;
    let signed = ward.rest.get(&path).await;
    let changed = json!({ "note_kind": "progress", "title": "Ward round", "text": "Much better." });
    let response = ward
        .rest
        .response(
            reqwest::Method::PATCH,
            &path,
            Some(&changed),
            &[("if-match", "*")],
        )
        .await;
    assert_eq!(response.status(), 409);
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["code"], "clinical.state_conflict");
    assert!(problem["detail"].as_str().unwrap().contains("addend"));
    let addendum = json!({ "text": "Potassium came back normal." });
    let (status, answer) = ward.rest.post(&format!("{path}/addenda"), &addendum).await;
    assert_eq!(status, 201, "{answer}");
    let after = ward.rest.get(&path).await;
    assert_eq!(after["content"]["text"], "Better today.");
    assert_eq!(
        after["content"]["signature"],
        signed["content"]["signature"]
    );
    assert_eq!(after["content"]["addenda"][0]["text"], addendum["text"]);
    // the words of a note are in no log
    assert!(!ward.hub.log().contains("Potassium came back"));
}

/// EM6: of a monitor, and of a person.
#[tokio::test]
async fn em6_what_is_sent_again_is_one_observation() {
    let ward = Ward::start().await;
    let (patient, number) = ward.patient().await;
    let observations = format!("/api/v1/patients/{patient}/observations?versions=all");
    let monitor = |control: &str| {
        format!(
            "MSH|^~\\&|CENTRAL^0009FB0A0B0C0D0E^EUI-64||||20260301081000+0000||ORU^R01^ORU_R01|{control}|P|2.6|||AL|NE|||||\
             IHE_PCD_001^IHE PCD^1.3.6.1.4.1.19376.1.6.1.1.1^ISO\rPID|||{number}^^^^MR\rPV1||I\r\
             OBR|1||1|182777000^monitoring of patient^SCT|||20260301081000+0000\r\
             OBX|1||69965^MDC_DEV_MON_PHYSIO_MULTI_PARAM_MDS^MDC|1.0.0.0|||||||X|||||||M5^^0009FB0A0B0C0001^EUI-64\r\
             OBX|2|NM|147842^MDC_ECG_HEART_RATE^MDC|1.2.1.147842|88|264864^MDC_DIM_BEAT_PER_MIN^MDC|||||R\r"
        )
    };
    let mut line = Mllp::connect(ward.hub.mllp("icu")).await;
    // a retry is the same message; a restarted monitor sends it under another control id
    for control in ["R1", "R1", "R2"] {
        let answer = line.send(monitor(control)).await;
        assert_eq!(answer.code, "CA");
    }
    for control in ["R1", "R2"] {
        ward.rest.message(control).await;
    }
    eventually("the monitor's value is on the chart", SOON, || async {
        (ward.rest.items(&observations).await.len() == 1).then_some(())
    })
    .await;
    let rate = round(15, &[]);
    let (first, made) = ward.enter(&patient, &rate).await;
    let (again, same) = ward.enter(&patient, &rate).await;
    assert_eq!((first, again), (201, 200), "{same}");
    assert_eq!(
        made["answer"]["observations"],
        same["answer"]["observations"]
    );
    let all = ward.rest.items(&observations).await;
    assert_eq!(all.len(), 8, "one of the monitor, seven of the round");
    let other = round(15, &[("8867-4", "71")]);
    let (status, problem) = ward.enter(&patient, &other).await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (409, Some("clinical.observation_exists"))
    );
}
