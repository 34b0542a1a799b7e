//! What changed: as a page and as a stream.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{Request, header};
use futures::StreamExt as _;
use serde_json::{Value, json};
use test_support::tenant;
use tower::ServiceExt as _;

use super::house::House;
use super::samples::{coded, person};
use super::stays::{made, patient, places, request};

/// A stream that is read piece by piece.
struct Stream {
    pieces: BodyDataStream,
    text: String,
}

/// One event of it.
#[derive(Debug)]
struct Event {
    id: String,
    name: String,
    data: Value,
}

impl Stream {
    async fn open(house: &House, token: &str, query: &str, last: Option<&str>) -> Self {
        let mut request = Request::get(format!("/api/v1/stream{query}"))
            .header(header::AUTHORIZATION, format!("Bearer {token}"));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = house.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        Self {
            pieces: response.into_body().into_data_stream(),
            text: String::new(),
        }
    }

    /// The next event; comments are passed over. `None` at the end of the stream.
    async fn next(&mut self) -> Option<Event> {
        let wait = Duration::from_secs(30);
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let mut lines = event.lines().filter_map(|line| line.split_once(": "));
                    let found = lines.rfind(|(field, _)| *field == name);
                    found.map(|(_, value)| value.to_owned())
                };
                let read = Event {
                    id: field("id").unwrap_or_default(),
                    name: field("event").unwrap_or_default(),
                    data: field("data")
                        .map(|data| serde_json::from_str(&data).unwrap())
                        .unwrap_or_default(),
                };
                self.text = rest.to_owned();
                if !read.name.is_empty() {
                    return Some(read);
                }
                continue;
            }
            let piece = tokio::time::timeout(wait, self.pieces.next())
                .await
                .expect("a piece within the deadline")?
                .unwrap();
            self.text.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }
}

#[tokio::test]
async fn what_changed_since_is_read_page_by_page_and_names_things_only() {
    let house = House::new().await;
    let start = house.get("/api/v1/changes").await;
    assert_eq!(start.items().len(), 0);
    let since = start.json["position"].as_str().unwrap().to_owned();
    for seq in 1..=3 {
        house.report("12345", seq, vec![coded("GLU", "104")]).await;
    }
    let all = house.get(&format!("/api/v1/changes?since={since}")).await;
    assert_eq!(all.json["more"], false);
    let topics: Vec<&str> = all
        .items()
        .iter()
        .map(|change| change["topic"].as_str().unwrap())
        .collect();
    assert!(
        topics.contains(&"patients") && topics.contains(&"reports"),
        "{topics:?}"
    );
    let text = all.json.to_string();
    for word in ["Sharma", "Asha", "104", "12345"] {
        assert!(!text.contains(word), "{word}: {text}");
    }
    let report = all
        .items()
        .iter()
        .find(|one| one["topic"] == "reports")
        .unwrap();
    let read = house.get(report["resource"].as_str().unwrap()).await;
    assert_eq!(read.ok()["id"], report["id"]);
    assert_eq!(report["version"], 1);

    let (mut walked, mut from) = (Vec::new(), since.clone());
    loop {
        let page = house
            .get(&format!("/api/v1/changes?since={from}&limit=1"))
            .await;
        walked.extend(page.items().clone());
        from = page.json["position"].as_str().unwrap().to_owned();
        if page.json["more"] == false {
            break;
        }
    }
    assert_eq!(&walked, all.items());
    let none = house.get(&format!("/api/v1/changes?since={from}")).await;
    assert!(none.items().is_empty());
    assert_eq!(none.json["position"], from.as_str());

    let only = house
        .get(&format!("/api/v1/changes?since={since}&topics=patients"))
        .await;
    assert!(only.items().iter().all(|one| one["topic"] == "patients"));
    for (query, field) in [
        ("since=x", "since"),
        ("since=1", "since"),
        ("topics=secrets", "topics"),
    ] {
        let answer = house.get(&format!("/api/v1/changes?{query}")).await;
        assert_eq!(answer.problem(400), "request.invalid", "{query}");
        assert_eq!(answer.json["errors"][0]["field"], field);
    }
    let ahead = house.get("/api/v1/changes?since=999999.0").await;
    assert_eq!(ahead.problem(410), "changes.gone");
    *house.backbone.aged_out.lock().unwrap() = 3;
    let old = house.get("/api/v1/changes?since=1.0").await;
    assert_eq!(old.problem(410), "changes.gone");
}

#[tokio::test]
async fn a_caller_is_told_of_what_he_may_list_and_of_his_own_hospital_only() {
    let house = House::new().await;
    let stranger = house.user(&tenant("other"), &["*"]).await;
    house.report("12345", 1, vec![coded("GLU", "104")]).await;
    let other = house.get_as(&stranger, "/api/v1/changes?since=0.0").await;
    assert!(other.items().is_empty(), "{}", other.json);
    let clerk = house
        .user(&house.tenant, &["changes:read", "patients:read"])
        .await;
    let seen = house.get_as(&clerk, "/api/v1/changes?since=0.0").await;
    assert!(!seen.items().is_empty());
    assert!(seen.items().iter().all(|one| one["topic"] == "patients"));
    let named = house
        .get_as(&clerk, "/api/v1/changes?since=0.0&topics=reports")
        .await;
    assert_eq!(named.problem(403), "auth.permission");
    assert_eq!(named.json["permission"], "results:read");
}

#[tokio::test]
async fn a_stream_tells_what_comes_and_after_a_break_what_was_missed() {
    let house = House::new().await;
    house.event(&person(&house.tenant, "1")).await;
    let mut stream = Stream::open(&house, house.token(), "", None).await;
    let hello = stream.next().await.unwrap();
    assert_eq!(hello.name, "hello");
    assert_eq!(hello.data["position"], hello.id.as_str());
    house.event(&person(&house.tenant, "2")).await;
    let first = stream.next().await.unwrap();
    assert_eq!(first.name, "patients", "not what was before: {first:?}");
    assert_eq!(first.data["type"], "patients.patient.registered");
    assert_eq!(first.data["position"], first.id.as_str());
    drop(stream);
    // while nobody looks on
    house.event(&person(&house.tenant, "3")).await;
    house.event(&person(&house.tenant, "4")).await;
    let mut stream = Stream::open(&house, house.token(), "?topics=patients", Some(&first.id)).await;
    assert_eq!(stream.next().await.unwrap().name, "hello");
    let missed = [stream.next().await.unwrap(), stream.next().await.unwrap()];
    assert_ne!(missed[0].data["id"], missed[1].data["id"]);
    assert!(
        missed
            .iter()
            .all(|event| event.data["id"] != first.data["id"])
    );
    house.event(&person(&house.tenant, "5")).await;
    let live = stream.next().await.unwrap();
    assert_ne!(live.data["id"], missed[1].data["id"]);
}

#[tokio::test]
async fn who_reads_slowly_misses_nothing_and_holds_up_nobody() {
    let house = House::new().await;
    let mut slow = Stream::open(&house, house.token(), "", None).await;
    let mut quick = Stream::open(&house, house.token(), "", None).await;
    assert_eq!(slow.next().await.unwrap().name, "hello");
    assert_eq!(quick.next().await.unwrap().name, "hello");
    // more than a place in the queue holds
    let many = 700;
    for number in 0..many {
        house
            .event(&person(&house.tenant, &format!("P{number}")))
            .await;
        if number % 100 == 0 {
            quick.next().await.unwrap();
        }
    }
    let mut last = String::new();
    for _ in 0..many {
        let event = slow.next().await.unwrap();
        assert_ne!(event.id, last);
        last = event.id;
    }
}

#[tokio::test]
async fn a_stream_ends_when_the_session_is_ended() {
    let house = House::new().await;
    let token = house
        .user(&house.tenant, &["changes:read", "patients:read"])
        .await;
    let mut stream = Stream::open(&house, &token, "", None).await;
    assert_eq!(stream.next().await.unwrap().name, "hello");
    let users = house.get("/api/v1/users?name=nurse").await;
    let id = users.items()[0]["id"].as_str().unwrap();
    let out = json!({ "state": "locked", "reason": "lost badge" });
    house
        .post(&format!("/api/v1/users/{id}/state"), &out)
        .await
        .ok();
    let end = stream.next().await.unwrap();
    assert_eq!(
        (end.name.as_str(), &end.data["code"]),
        ("end", &json!("auth.token"))
    );
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn another_hospitals_changes_are_never_on_a_stream() {
    let house = House::new().await;
    let other = tenant("other");
    let stranger = house.user(&other, &["*"]).await;
    let mut stream = Stream::open(&house, &stranger, "", None).await;
    assert_eq!(stream.next().await.unwrap().name, "hello");
    house.event(&person(&house.tenant, "1")).await;
    let message = test_support::envelope(&other, "/channel/other/lab", &person(&other, "2"));
    house.backbone.deliver(message).await;
    let told = stream.next().await.unwrap();
    let read = house
        .get_as(&stranger, told.data["resource"].as_str().unwrap())
        .await;
    read.ok();
    // his own is the first that came
    assert_eq!(told.name, "patients");
}

/// The board of a ward is its staff's: of the others they are told nothing.
#[tokio::test]
async fn who_works_at_a_place_is_told_of_what_happens_there() {
    let house = House::new().await;
    let places = places(&house).await;
    let ward = json!({ "department_id": places.sur, "code": "WARD-B", "name": "Ward B", "class": "general" });
    let other_ward = made(&house, "wards", &ward).await;
    let other_bed = made(
        &house,
        "beds",
        &json!({ "ward_id": other_ward, "code": "1", "room": "201" }),
    )
    .await;
    let (nurse, tokens) = house.staff("asha").await;
    let grant = json!({ "role": "nurse", "facility": "MAIN", "department": "WARD-A" });
    house.grant(&nurse, &grant).await;
    let token = tokens["access_token"].as_str().unwrap();
    let mut stream = Stream::open(&house, token, "?topics=beds,encounters", None).await;
    assert_eq!(stream.next().await.unwrap().name, "hello");

    let mut stays = Vec::new();
    // the other ward first: what it is told of comes after what it is not
    for (number, department, bed) in [
        ("1002", &places.sur, &other_bed),
        ("1001", &places.med, &places.bed),
    ] {
        patient(&house, number).await;
        let stay = request(&house, number, department).await;
        let into = json!({ "bed_id": bed });
        house
            .post(&format!("/api/v1/encounters/{stay}/admit"), &into)
            .await
            .ok();
        stays.push(stay);
    }
    let told = stream.next().await.unwrap();
    assert!(
        [&places.bed, &stays[1]].contains(&&told.data["id"].as_str().unwrap().to_owned()),
        "{told:?}"
    );

    let beds = house
        .get_as(token, "/api/v1/changes?since=0.0&topics=beds&limit=500")
        .await;
    let of: Vec<&Value> = beds.items().iter().map(|one| &one["id"]).collect();
    assert!(!of.is_empty(), "{}", beds.json);
    assert!(of.iter().all(|id| **id == json!(places.bed)), "{of:?}");
    let encounters = house
        .get_as(
            token,
            "/api/v1/changes?since=0.0&topics=encounters&limit=500",
        )
        .await;
    let of: Vec<&Value> = encounters.items().iter().map(|one| &one["id"]).collect();
    assert!(!of.is_empty(), "{}", encounters.json);
    assert!(of.iter().all(|id| **id == json!(stays[1])), "{of:?}");
    // all that is hers, without a name
    let all = house
        .get_as(token, "/api/v1/changes?since=0.0&limit=500")
        .await;
    assert!(all.items().len() >= beds.items().len() + encounters.items().len());
    assert!(all.items().iter().all(|one| one["topic"] != "orders"));
    // what has no place is the whole hospital's
    for path in ["changes", "stream"] {
        let refused = house
            .get_as(token, &format!("/api/v1/{path}?topics=orders"))
            .await;
        assert_eq!(refused.problem(403), "auth.scope", "{path}");
        assert_eq!(refused.json["permission"], "orders:read");
    }
    // the whole hospital's beds are all of them
    let whole = house
        .get("/api/v1/changes?since=0.0&topics=beds&limit=500")
        .await;
    assert!(
        whole
            .items()
            .iter()
            .any(|one| one["id"] == other_bed.as_str())
    );
}

/// A stream that never tells anything is no answer.
#[tokio::test]
async fn who_may_follow_nothing_is_told_so_at_once() {
    let house = House::new().await;
    let token = house.user(&house.tenant, &["changes:read"]).await;
    for path in ["changes", "changes?since=0.0", "stream"] {
        let refused = house.get_as(&token, &format!("/api/v1/{path}")).await;
        assert_eq!(refused.problem(403), "auth.scope", "{path}");
    }
}
