//! Every error has one form, and says what is wrong without saying too much.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::json;

use super::backbone::Mood;
use super::house::House;

#[tokio::test]
async fn paths_methods_and_parameters_that_do_not_exist_are_problems() {
    let house = House::new().await;
    assert_eq!(house.get("/nowhere").await.problem(404), "request.no_route");
    assert_eq!(
        house.get("/api/v1/nowhere").await.problem(404),
        "request.no_route"
    );
    assert_eq!(
        house.get("/api/v1/patients/not-a-uuid").await.problem(404),
        "request.no_route"
    );
    let answer = house.post("/api/v1/results", &json!({})).await;
    assert_eq!(answer.problem(405), "request.method");
    assert!(answer.header("allow").contains("GET"));

    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=x", "limit"),
        ("cursor=%25", "cursor"),
        ("nmae=x", "nmae"),
        ("name=a&name=b", "name"),
        ("name=%00", "name"),
    ] {
        let answer = house.get(&format!("/api/v1/patients?{query}")).await;
        assert_eq!(answer.problem(400), "request.invalid", "{query}");
        let named = answer.json["errors"][0].to_string();
        assert!(named.contains(field), "{query}: {named}");
    }
    let answer = house.get("/api/v1/messages?from=yesterday").await;
    assert_eq!(answer.problem(400), "request.invalid");
    assert_eq!(answer.json["errors"][0]["field"], "from");
    let answer = house.get("/api/v1/results").await;
    assert_eq!(answer.json["errors"][0]["field"], "patient_identifier");
}

#[tokio::test]
async fn bodies_that_can_not_be_read_are_problems() {
    let house = House::new().await;
    let login = |body: String, kind: &'static str| {
        Request::post("/api/v1/auth/login")
            .header(header::CONTENT_TYPE, kind)
            .body(Body::from(body))
            .unwrap()
    };
    let deep = "[".repeat(2_000);
    for (body, kind, status, code) in [
        ("{".to_owned(), "application/json", 400, "request.invalid"),
        (deep, "application/json", 400, "request.invalid"),
        ("{}".to_owned(), "application/json", 400, "request.invalid"),
        ("{}".to_owned(), "text/plain", 415, "request.media_type"),
        (
            "x".repeat(5_000),
            "application/json",
            413,
            "request.too_large",
        ),
        (
            r#"{"username":"a","password":"b"} trailing"#.to_owned(),
            "application/json",
            400,
            "request.invalid",
        ),
    ] {
        let answer = house.send(login(body, kind)).await;
        assert_eq!(answer.problem(status), code);
    }
    for (name, field) in [(json!(1), "username"), (json!("a\u{0}"), "username")] {
        let answer = house
            .login(&json!({ "username": name, "password": "x" }))
            .await;
        assert_eq!(answer.json["errors"][0]["field"], field);
    }
}

/// Postgres neither keeps nor compares text that has one.
#[tokio::test]
async fn a_nul_is_refused_wherever_it_stands() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    let house = House::new().await;
    for path in [
        "/api/v1/roles/%00",
        "/api/v1/roles/a%00b",
        "/api/v1/channels/%00",
        "/api/v1/number-series/%00",
        "/api/v1/platform/tenants/%00",
        "/api/v1/platform/plans/%00",
    ] {
        let answer = house.get(path).await;
        assert!(
            matches!(answer.status.as_u16(), 403..=405),
            "{path}: {}",
            answer.json
        );
    }
    let answer = house.get("/api/v1/roles/%00").await;
    assert_eq!(answer.problem(404), "request.no_route");
    let nil = "00000000-0000-0000-0000-000000000000";
    for key in [
        json!("\0"),
        json!(["\0", "\0"]),
        json!(["\0", nil]),
        json!(["\0", "\0", "\0"]),
        json!(["\0", "\0", nil]),
        json!(["\0", "\0", "\0", "\0"]),
        json!(["\0", "\0", "\0", nil]),
        json!({ "Row": "\0" }),
    ] {
        let cursor = URL_SAFE_NO_PAD.encode(key.to_string());
        for list in [
            "users",
            "clients",
            "roles",
            "facilities",
            "departments",
            "wards",
            "beds",
            "held",
            "audit",
        ] {
            let answer = house.get(&format!("/api/v1/{list}?cursor={cursor}")).await;
            assert_eq!(answer.problem(400), "request.invalid", "{list} {key}");
        }
        let answer = house
            .get(&format!("/fhir/Practitioner?_cursor={cursor}"))
            .await;
        assert_eq!(answer.status.as_u16(), 400, "{key}: {}", answer.json);
    }
    for (body, field) in [
        (
            json!({ "identifiers": [{ "value": "1" }], "demographics": { "name": { "family": "A\0" } } }),
            "demographics.name.family",
        ),
        (
            json!({ "identifiers": [{ "value": "1" }, { "value": "\0" }], "demographics": { "name": { "family": "A" } } }),
            "identifiers[1].value",
        ),
    ] {
        let answer = house.post("/api/v1/patients", &body).await;
        assert_eq!(answer.problem(400), "request.invalid", "{body}");
        assert_eq!(answer.json["errors"][0]["field"], field);
    }
}

/// One wrong year on one chart must not cost anybody a page.
#[tokio::test]
async fn a_time_of_no_zone_s_calendar_is_refused_and_one_that_stands_is_left_out() {
    let house = House::new().await;
    let never = "9999-12-31T23:59:59-01:00";
    let born = |deceased: &str| {
        json!({ "identifiers": [{ "value": "77" }],
            "demographics": { "name": { "family": "Rao" }, "deceased": deceased } })
    };
    for wrong in [never, "9999-12-30T00:00:00Z", "0001-01-01T00:00:00Z"] {
        let answer = house.post("/api/v1/patients", &born(wrong)).await;
        assert_eq!(answer.problem(400), "request.invalid", "{wrong}");
        assert_eq!(answer.json["errors"][0]["field"], "deceased");
    }
    // as an older release kept it
    let mut person = super::samples::person(&house.tenant, "12345");
    person.deceased = schemas::Patch::Set(never.to_owned());
    house.event(&person).await;
    let found = house.get("/fhir/Patient?identifier=12345").await;
    assert_eq!(found.status.as_u16(), 200, "{}", found.json);
    let patient = &found.json["entry"][0]["resource"];
    assert!(patient.get("deceasedDateTime").is_none(), "{patient}");
    assert_eq!(patient["deceasedBoolean"], true, "dead all the same");
    let id = patient["id"].as_str().unwrap();
    for path in [
        format!("/fhir/Patient/{id}"),
        format!("/fhir/Patient/{id}/$everything"),
    ] {
        let answer = house.get(&path).await;
        assert_eq!(answer.status.as_u16(), 200, "{path}: {}", answer.json);
    }
    let condition = json!({ "content": { "text": "Asthma", "since": never } });
    let answer = house
        .post(&format!("/api/v1/patients/{id}/conditions"), &condition)
        .await;
    assert_eq!(answer.problem(422), "clinical.entry_time");
    let allergy = json!({ "content": { "substance": { "text": "latex" }, "category": "drug", "severity": "mild",
        "certainty": "confirmed", "since": "9999-12-31" } });
    let answer = house
        .post(&format!("/api/v1/patients/{id}/allergies"), &allergy)
        .await;
    assert_eq!(answer.problem(422), "clinical.entry_time");
    for (order, field) in [
        (
            json!({ "ordered_at": "9999-12-31T23:59:59Z" }),
            "ordered_at",
        ),
        (
            json!({ "specimen": { "number": "T-1", "collected_at": "2201-01-01T00:00:00Z" } }),
            "specimen.collected_at",
        ),
    ] {
        let mut order = order;
        order["patient_identifier"] = json!("12345");
        order["code"] = json!({ "code": "GLU" });
        let answer = house.post("/api/v1/orders", &order).await;
        assert_eq!(answer.problem(400), "request.invalid", "{order}");
        assert_eq!(answer.json["errors"][0]["field"], field);
    }
    let asked =
        json!({ "kind": "access", "detail": "all of it", "received_at": "9999-12-31T00:00:00Z" });
    let answer = house
        .post(&format!("/api/v1/patients/{id}/privacy-requests"), &asked)
        .await;
    assert_eq!(answer.problem(422), "privacy.time");
}

#[tokio::test]
async fn a_panic_is_caught_and_nothing_of_it_leaks() {
    let house = House::new().await;
    house.listening().await;
    house.backbone.be(Mood::Panicking);
    let answer = house.post("/api/v1/channels/lab/stop", &json!({})).await;
    assert_eq!(answer.problem(500), "internal");
    assert!(!String::from_utf8_lossy(&answer.bytes).contains("12345"));
}

#[tokio::test]
async fn a_database_that_is_away_is_a_503_that_may_be_tried_again() {
    let house = House::new().await;
    house.database.pool().close().await;
    let answer = house.get("/api/v1/patients").await;
    assert_eq!(answer.problem(503), "database.unavailable");
    assert_eq!(answer.header("retry-after"), "2");
}

#[tokio::test]
async fn a_trace_is_continued_and_returned() {
    let house = House::new().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let answer = house
        .send(
            Request::get("/nowhere")
                .header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"))
                .body(Body::empty())
                .unwrap(),
        )
        .await;
    assert_eq!(answer.json["trace_id"], trace);
}

#[tokio::test]
async fn health_and_metrics_need_no_token() {
    let house = House::new().await;
    let plain = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    assert_eq!(house.send(plain("/healthz")).await.ok()["status"], "alive");
    assert_eq!(house.send(plain("/readyz")).await.ok()["nats"], "ok");
    let metrics = house.send(plain("/metrics")).await;
    assert_eq!(metrics.bytes.as_ref(), b"hub_up 1\n");
    house.backbone.be(Mood::Down);
    let answer = house.send(plain("/readyz")).await;
    assert_eq!(answer.problem(503), "readiness");
    assert_eq!(
        answer.json["detail"],
        "nats: not connected; postgres: ok; migrations: ok; keys: ok"
    );
    assert_eq!(house.send(plain("/healthz")).await.ok()["status"], "alive");
}
