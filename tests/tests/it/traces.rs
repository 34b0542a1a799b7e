//! What a collector sees of the hub: whole traces from the edge to the effect, nothing of a patient, and a hub that does
//! not care when the collector is away, slow or refuses.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use tests::{
    Collector, Exported, HubProcess, HubSettings, Mllp, Mood, Servers, adt, eventually, oru,
    parents_missing, unique,
};

const SOON: Duration = Duration::from_secs(30);
/// `SpanKind`
const SERVER: i32 = 2;
const CONSUMER: i32 = 5;

fn named<'a>(spans: &'a [Exported], name: &str) -> Vec<&'a Exported> {
    spans.iter().filter(|span| span.name == name).collect()
}

/// Sends one result and returns the trace that it must have: the message's own id.
async fn send_result(hub: &HubProcess, patient: &str, value: &str) -> String {
    let control = unique("C");
    let message = oru(&control, patient, &unique("S"), &[("GLU", value, "mg/dL")]);
    let mut peer = Mllp::connect(hub.mllp("lab")).await;
    peer.accepted(message).await;
    let row = hub.sign_in().await.message(&control).await;
    row["id"].as_str().unwrap().replace('-', "")
}

/// The number after a metric's name and labels; 0 when it was never counted.
async fn counted(hub: &HubProcess, begins: &str) -> f64 {
    let text = hub.sign_in().await.text("/metrics").await;
    text.lines()
        .filter(|line| line.starts_with(begins))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

#[tokio::test]
async fn a_result_is_one_joined_trace_from_the_edge_to_its_effect() {
    let servers = Servers::start().await;
    let collector = Collector::start(Mood::Taking).await;
    let mut settings = HubSettings::new(&servers);
    let secret = servers.folder().join("otlp.secret");
    std::fs::write(&secret, "s3cret\n").unwrap();
    settings.more = format!(
        "{}otlp_headers = {{ \"x-hospital\" = \"file:{}\" }}\n",
        collector.settings(),
        secret.display()
    );
    let mut hub = HubProcess::start(&servers, &settings).await;
    let patient = unique("TRP");
    let trace = send_result(&hub, &patient, "104").await;
    hub.sign_in().await.results(&patient, 1).await;

    let spans = collector
        .trace(&trace, |spans| {
            let has = |name: &str| spans.iter().any(|span| span.name == name);
            has("receive")
                && has("store")
                && has("translate")
                && has("apply clinical")
                && has("apply patient")
                && has("apply integration")
                && spans.iter().any(|span| span.name.starts_with("relay "))
        })
        .await;
    assert_eq!(parents_missing(&spans), Vec::<String>::new(), "{spans:#?}");
    let roots: Vec<&Exported> = spans.iter().filter(|s| s.parent.is_empty()).collect();
    assert_eq!(roots.len(), 1, "{roots:#?}");
    let edge = roots[0];
    assert_eq!((edge.name.as_str(), edge.kind), ("receive", SERVER));
    assert_eq!(
        (
            edge.get("hub.tenant"),
            edge.get("hub.channel"),
            edge.get("hub.outcome")
        ),
        ("demo", "lab", "stored")
    );
    assert_eq!(edge.resource["service.name"], "sangam-hub");

    // durable before answered, translated after durable, applied after translated
    let write = named(&spans, "store")[0];
    assert_eq!(write.parent, edge.id);
    assert!(
        edge.start <= write.start && write.end <= edge.end,
        "{spans:#?}"
    );
    let translated = named(&spans, "translate");
    assert_eq!(translated.len(), 1);
    assert_eq!(translated[0].parent, edge.id);
    assert_eq!(translated[0].get("hub.outcome"), "translated");
    assert!(translated[0].start >= write.start);
    let clinical = named(&spans, "apply clinical");
    let filed = clinical
        .iter()
        .find(|span| span.parent == translated[0].id)
        .unwrap();
    assert_eq!(filed.kind, CONSUMER);
    assert_eq!(filed.get("hub.outcome"), "applied");
    assert!(
        filed.get("hub.message_type").starts_with("lis."),
        "{filed:?}"
    );
    assert!(filed.get("hub.queue_ms").parse::<u64>().unwrap() < 30_000);
    assert!(filed.end >= translated[0].end);
    let mut ids: Vec<&str> = spans.iter().map(|span| span.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), spans.len(), "an id stands twice: {spans:#?}");
    assert!(
        spans
            .iter()
            .all(|span| span.end >= span.start && span.failed.is_none())
    );
    assert!(
        collector
            .heads()
            .iter()
            .all(|head| head.contains("x-hospital: s3cret"))
    );
    assert!(!hub.log().contains("s3cret"));

    // the same bytes again: the same trace, and spans of their own
    let before = spans.len();
    let again = {
        let rows = servers
            .count("select count(*) from integration.messages")
            .await;
        let rest = hub.sign_in().await;
        let id = rest.items("/api/v1/messages?channel=lab").await[0]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let bytes = rest.bytes(&format!("/api/v1/messages/{id}/body")).await;
        Mllp::connect(hub.mllp("lab")).await.accepted(bytes).await;
        eventually("the repeat is in the ledger", SOON, || async {
            (servers
                .count("select count(*) from integration.messages")
                .await
                > rows)
                .then_some(())
        })
        .await;
        collector
            .trace(&trace, |spans| {
                named(spans, "translate").len() == 2
                    && spans.iter().any(|span| span.get("hub.outcome") == "repeat")
            })
            .await
    };
    assert!(again.len() > before);
    assert_eq!(named(&again, "receive").len(), 2);
    assert_eq!(parents_missing(&again), Vec::<String>::new(), "{again:#?}");

    // what was recorded just before the end is there after it
    let last = send_result(&hub, &unique("TRP"), "1").await;
    let (status, _) = hub.terminate().await;
    assert!(status.success());
    collector
        .trace(&last, |spans| !named(spans, "translate").is_empty())
        .await;
}

#[tokio::test]
async fn a_request_continues_its_callers_trace_into_the_worker_and_keeps_to_its_decision() {
    let servers = Servers::start().await;
    let collector = Collector::start(Mood::Taking).await;
    let mut settings = HubSettings::new(&servers);
    // the standard variable does as well as the file
    settings.environment.push((
        "OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(),
        format!("http://{}", collector.address),
    ));
    let hub = HubProcess::start(&servers, &settings).await;
    let rest = hub.sign_in().await;
    eventually("the channel has reported", SOON, || async {
        (rest.try_get("/api/v1/channels/lab").await.0 == 200).then_some(())
    })
    .await;
    let (wanted, unwanted) = (
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "4bf92f3577b34da6a3ce929d0e0e4737",
    );
    for (trace, flags) in [(unwanted, "00"), (wanted, "01")] {
        let parent = format!("00-{trace}-00f067aa0ba902b7-{flags}");
        let answer = rest
            .response(
                Method::POST,
                "/api/v1/channels/lab/pause",
                Some(&json!({})),
                &[("traceparent", &parent)],
            )
            .await;
        assert!(answer.status().is_success(), "{answer:?}");
        let returned = answer.headers()["traceparent"].to_str().unwrap().to_owned();
        assert!(returned.starts_with(&format!("00-{trace}-")) && returned.ends_with(flags));
    }
    const REQUEST: &str = "POST /api/v1/channels/{id}/pause";
    let spans = collector
        .trace(wanted, |spans| {
            let has = |begins: &str| spans.iter().any(|span| span.name.starts_with(begins));
            has(REQUEST) && has("publish ") && has("apply integration")
        })
        .await;
    let request = named(&spans, REQUEST)[0];
    assert_eq!(request.parent, "00f067aa0ba902b7", "the caller's span");
    assert_eq!(request.get("http.request.method"), "POST");
    assert_eq!(request.get("http.response.status_code"), "200");
    assert_eq!(
        parents_missing(&spans),
        [request.name.as_str()],
        "only the caller's own span is not ours: {spans:#?}"
    );
    let command = spans
        .iter()
        .find(|span| span.name.starts_with("publish "))
        .unwrap();
    assert_eq!(command.parent, request.id);
    assert!(
        named(&spans, "apply integration")
            .iter()
            .any(|applied| applied.parent == command.id),
        "{spans:#?}"
    );
    // the first of the two had its effect before the second, so its spans would have come first
    assert!(collector.spans().iter().all(|span| span.trace != unwanted));
    assert!(
        collector
            .spans()
            .iter()
            .all(|span| !span.name.contains("/readyz")),
        "what machines ask every few seconds is no trace"
    );
}

#[tokio::test]
async fn only_the_part_that_is_asked_for_is_exported() {
    let servers = Servers::start().await;
    let collector = Collector::start(Mood::Taking).await;
    let mut settings = HubSettings::new(&servers);
    settings.more = format!("{}otlp_sample = 0.3\n", collector.settings());
    let hub = HubProcess::start(&servers, &settings).await;
    let patient = unique("TRS");
    let mut peer = Mllp::connect(hub.mllp("lab")).await;
    for n in 0..60 {
        let message = oru(
            &unique("C"),
            &patient,
            &format!("{patient}S{n}"),
            &[("GLU", "1", "mg/dL")],
        );
        peer.accepted(message).await;
    }
    hub.sign_in().await.results(&patient, 60).await;
    let all = servers
        .sql("select replace(raw_id::text, '-', '') from integration.messages")
        .await;
    assert_eq!(all.len(), 60);
    // by the rule of W3C trace context: the last 56 bits, and the higher ones are in
    let from = ((1.0 - 0.3) * (1_u64 << 56) as f64) as u64;
    let mut expected: Vec<&String> = all
        .iter()
        .filter(|id| u64::from_str_radix(&id[18..], 16).unwrap() >= from)
        .collect();
    expected.sort();
    assert!(
        !expected.is_empty() && expected.len() < 60,
        "{}",
        expected.len()
    );
    for trace in &expected {
        let spans = collector
            .trace(trace, |spans| !named(spans, "apply clinical").is_empty())
            .await;
        assert_eq!(parents_missing(&spans), Vec::<String>::new());
    }
    let spans = collector.spans();
    let mut exported: Vec<&String> = named(&spans, "receive").iter().map(|s| &s.trace).collect();
    exported.sort();
    assert_eq!(exported, expected);
}

#[tokio::test]
async fn a_collector_that_never_answers_changes_no_acknowledgement_and_what_is_dropped_is_counted()
{
    let servers = Servers::start().await;
    let collector = Collector::start(Mood::Hanging).await;
    let mut settings = HubSettings::new(&servers);
    settings.more = format!("{}otlp_queue = 16\n", collector.settings());
    let mut hub = HubProcess::start(&servers, &settings).await;
    let patient = unique("TRH");
    let mut peer = Mllp::connect(hub.mllp("lab")).await;
    eventually("the collector hangs with a request", SOON, || async {
        peer_is_answered(&hub).await;
        (collector.requests() > 0).then_some(())
    })
    .await;
    let mut slowest = Duration::ZERO;
    for n in 0..300 {
        let message = oru(
            &unique("C"),
            &patient,
            &format!("{patient}S{n}"),
            &[("GLU", "1", "mg/dL")],
        );
        let began = Instant::now();
        peer.accepted(message).await;
        slowest = slowest.max(began.elapsed());
    }
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    hub.sign_in().await.results(&patient, 300).await;
    let dropped = counted(&hub, "hub_otlp_spans_dropped_total{reason=\"queue_full\"}").await;
    assert!(dropped >= 300.0, "{dropped}");
    eventually("it is said", SOON, || async {
        hub.log().contains("spans were not exported").then_some(())
    })
    .await;
    let said = hub.log().matches("spans were not exported").count();
    assert!(said <= 2, "once a minute, not {said} times");

    let (status, took) = hub.terminate().await;
    assert!(status.success());
    assert!(
        took < Duration::from_secs(6),
        "the end waits for the collector a second at most: {took:?}"
    );
}

/// One message goes its way, so that there is something to export.
async fn peer_is_answered(hub: &HubProcess) {
    let mut peer = Mllp::connect(hub.mllp("lab")).await;
    let answer = peer.send(adt("A28", &unique("C"), &unique("TRA"))).await;
    assert_eq!(answer.code, "AA");
}

#[tokio::test]
async fn a_collector_that_is_away_refuses_for_a_while_or_takes_a_part_loses_no_more_than_it_says() {
    let servers = Servers::start().await;
    let collector = Collector::start(Mood::Refusing(503)).await;
    let mut settings = HubSettings::new(&servers);
    settings.more = collector.settings();
    let hub = HubProcess::start(&servers, &settings).await;
    let trace = send_result(&hub, &unique("TRW"), "1").await;
    eventually("it was asked and refused", SOON, || async {
        (collector.requests() > 0).then_some(())
    })
    .await;
    // 503 is tried again: nothing is lost
    collector.be(Mood::Slow(Duration::from_millis(300)));
    let spans = collector
        .trace(&trace, |spans| !named(spans, "apply clinical").is_empty())
        .await;
    assert_eq!(parents_missing(&spans), Vec::<String>::new());
    eventually("what was taken is counted", SOON, || async {
        (counted(&hub, "hub_otlp_spans_exported_total").await > 0.0).then_some(())
    })
    .await;
    assert!(counted(&hub, "hub_otlp_requests_failed_total").await >= 1.0);
    assert_eq!(counted(&hub, "hub_otlp_spans_dropped_total").await, 0.0);

    // the answer says that some were not taken
    collector.be(Mood::Partly(2));
    peer_is_answered(&hub).await;
    eventually("what was not taken is counted", SOON, || async {
        (counted(&hub, "hub_otlp_spans_dropped_total{reason=\"refused\"}").await >= 2.0)
            .then_some(())
    })
    .await;

    // 400 never becomes better: given up at once
    collector.be(Mood::Refusing(400));
    let (before, asked) = (
        counted(&hub, "hub_otlp_spans_dropped_total").await,
        collector.requests(),
    );
    peer_is_answered(&hub).await;
    eventually("what is refused is counted", SOON, || async {
        let dropped = counted(&hub, "hub_otlp_spans_dropped_total").await;
        (collector.requests() > asked && dropped > before + 2.0).then_some(())
    })
    .await;
    assert!(hub.log().contains("spans were not exported"));
}

#[tokio::test]
async fn a_wrong_setting_of_the_export_is_said_by_hub_check_with_its_line() {
    let servers = Servers::start().await;
    let mut settings = HubSettings::new(&servers);
    settings.more = "\n[telemetry]\notlp_endpoint = \"https://collector:4318\"\n".to_owned();
    let file = servers.folder().join("wrong.toml");
    let good = HubProcess::start(&servers, &HubSettings::new(&servers)).await;
    let text = std::fs::read_to_string(good.config()).unwrap() + &settings.more;
    std::fs::write(&file, &text).unwrap();
    let line = text
        .lines()
        .position(|line| line.starts_with("otlp_endpoint"))
        .unwrap()
        + 1;
    let output = std::process::Command::new(tests::hub_binary())
        .args(["check", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.contains(&format!("wrong.toml:{line}: otlp_endpoint is https")),
        "{said}"
    );
}
