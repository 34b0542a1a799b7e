//! The shape of the API through the whole program: keys that several processes share, and what is told while it happens.

use std::time::Duration;

use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use tests::{ChannelToml, HubProcess, HubSettings, Mllp, Rest, Servers, adt, eventually, unique};

const SOON: Duration = Duration::from_secs(30);

async fn make(rest: &Rest, key: &str, name: &str) -> (u16, String, Value) {
    let user = json!({ "username": name, "display_name": "Somebody Else" });
    let headers = [("idempotency-key", key)];
    let answer = rest
        .response(Method::POST, "/api/v1/users", Some(&user), &headers)
        .await;
    let replayed = answer
        .headers()
        .get("idempotent-replayed")
        .map_or("", |value| value.to_str().unwrap())
        .to_owned();
    let status = answer.status().as_u16();
    (status, replayed, answer.json().await.unwrap_or_default())
}

/// A key is known at every process, and after all of them have died.
#[tokio::test]
async fn a_request_under_a_key_is_carried_out_once_by_all_processes_and_over_restarts() {
    let servers = Servers::start().await;
    let settings = HubSettings::new(&servers);
    let mut hub = HubProcess::start(&servers, &settings).await;
    let second = HubProcess::start_only(&servers, &settings.elsewhere(), Some("api")).await;
    let here = hub.sign_in().await;
    let there = here.at(second.api());
    let (name, key) = (unique("u").to_lowercase(), unique("K"));

    // both at once, again and again: whoever is told "in flight" asks once more
    let both = [&here, &there].map(|rest| async {
        eventually("an answer", SOON, || async {
            let (status, _, body) = make(rest, &key, &name).await;
            let waits = body["code"] == "idempotency.in_flight";
            assert!(waits || status == 201 || status == 202, "{status} {body}");
            (!waits).then_some((status, body))
        })
        .await
    });
    let [one, other] = both;
    let (one, other) = tokio::join!(one, other);
    assert_eq!(one, other);
    let path = format!("/api/v1/users?name={name}");
    let users = eventually("the user is there", SOON, || async {
        let users = here.items(&path).await;
        (!users.is_empty()).then_some(users)
    })
    .await;
    assert_eq!(users.len(), 1);

    hub.kill9().await;
    hub.restart().await;
    let here = hub.sign_in().await;
    for rest in [&here, &there] {
        let (status, replayed, body) = make(rest, &key, &name).await;
        assert_eq!((status, replayed.as_str(), &body), (one.0, "true", &one.1));
        let (status, _, body) = make(rest, &key, "another").await;
        assert_eq!((status, &body["code"]), (422, &json!("idempotency.reused")));
    }
}

/// Reads a stream of events.
pub(crate) struct Stream {
    response: Response,
    text: String,
}

impl Stream {
    pub(crate) async fn open(hub: &HubProcess, rest: &Rest, last: Option<&str>) -> Self {
        // without the deadline that other requests have
        let mut request = Client::builder()
            .no_proxy()
            .build()
            .unwrap()
            .get(format!("http://{}/api/v1/stream", hub.api()))
            .bearer_auth(rest.token().unwrap());
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        Self {
            response,
            text: String::new(),
        }
    }

    /// The next event of this topic: its id and its data. `None` when the stream ends before.
    pub(crate) async fn next(&mut self, topic: &str) -> Option<(String, Value)> {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let lines = event.lines().filter_map(|line| line.split_once(": "));
                    let mut found = lines.filter(|(field, _)| *field == name);
                    found.next().map(|(_, value)| value.to_owned())
                };
                let (name, id, data) = (field("event"), field("id"), field("data"));
                self.text = rest.to_owned();
                if name.as_deref() == Some(topic) {
                    let data = serde_json::from_str(&data.unwrap()).unwrap();
                    return Some((id.unwrap_or_default(), data));
                }
            }
            let piece = tokio::time::timeout(SOON, self.response.chunk()).await;
            let piece = piece.expect("a piece of the stream in time").ok()??;
            self.text.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }
}

async fn register(hub: &HubProcess, channel: &str, patient: &str) {
    let mut peer = Mllp::connect(hub.mllp(channel)).await;
    let answer = peer.send(adt("A04", &unique("C"), patient)).await;
    assert_eq!(answer.code, "AA");
}

/// What an HL7 message changed is told to who looks on, here and at another process, of his hospital only; who was away is
/// told what he missed, also after a restart; and a hub that stops ends its streams and stops in time.
#[tokio::test]
async fn what_changes_is_told_while_it_happens_and_afterwards() {
    let servers = Servers::start().await;
    let mut settings = HubSettings::new(&servers).channel(ChannelToml::new("lab2").tenant("other"));
    settings.tenants.push("other".to_owned());
    let mut hub = HubProcess::start(&servers, &settings).await;
    let second = HubProcess::start_only(&servers, &settings.elsewhere(), Some("api")).await;
    let rest = hub.sign_in().await;
    let start = rest.get("/api/v1/changes").await["position"].clone();
    let start = start.as_str().unwrap().to_owned();
    let mut here = Stream::open(&hub, &rest, None).await;
    let mut there = Stream::open(&second, &rest, None).await;
    for stream in [&mut here, &mut there] {
        stream.next("hello").await.unwrap();
    }

    // of another hospital first: it would be the first that is seen
    register(&hub, "lab2", &unique("OTHER")).await;
    let patient = unique("MRN");
    register(&hub, "lab", &patient).await;
    let path = format!("/api/v1/patients?identifier={patient}");
    let known = eventually("the patient is registered", SOON, || async {
        rest.items(&path).await.into_iter().next()
    })
    .await;
    let mut seen = String::new();
    for stream in [&mut here, &mut there] {
        let (id, change) = stream.next("patients").await.unwrap();
        assert_eq!(change["type"], "patients.patient.registered");
        assert_eq!(change["id"], known["id"], "{change}");
        assert!(!change.to_string().contains(&patient));
        seen = id;
    }

    // a hub that is told to stop lets nobody hold it up
    let (status, took) = hub.terminate().await;
    assert!(status.success());
    assert!(took < Duration::from_secs(8), "{took:?}");
    assert!(here.next("none").await.is_none(), "its streams have ended");
    hub.restart().await;
    let rest = hub.sign_in().await;
    let missed = unique("MRN");
    register(&hub, "lab", &missed).await;
    let mut here = Stream::open(&hub, &rest, Some(&seen)).await;
    let (_, change) = here.next("patients").await.unwrap();
    assert_eq!(change["type"], "patients.patient.registered");
    assert_ne!(
        change["id"], known["id"],
        "what was seen does not come again"
    );

    // the same as pages
    let mut walked = Vec::new();
    let mut since = start;
    loop {
        let page = rest
            .get(&format!(
                "/api/v1/changes?topics=patients&limit=1&since={since}"
            ))
            .await;
        walked.extend(page["items"].as_array().unwrap().clone());
        since = page["position"].as_str().unwrap().to_owned();
        if page["more"] == false {
            break;
        }
    }
    let mut ids: Vec<String> = walked.iter().map(|one| one["id"].to_string()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 2, "two patients of this hospital: {walked:?}");
    let (status, gone) = rest.try_get("/api/v1/changes?since=99999999.0").await;
    assert_eq!((status, &gone["code"]), (410, &json!("changes.gone")));
}
