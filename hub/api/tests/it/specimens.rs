//! Specimens over REST: found, labelled, collected, received, rejected; one result with all that it stands on.

use schemas::patients::PatientReported;
use serde_json::{Value, json};

use super::house::{Answer, House};
use super::orders::order;
use super::samples::{coded, person};
use super::verification::measured;

async fn house() -> House {
    let house = House::new().await;
    for patient in ["12345", "777"] {
        let registered: PatientReported = person(&house.tenant, patient);
        house.event(&registered).await;
    }
    house
}

async fn ordered(house: &House, patient: &str, number: &str) -> String {
    let placed = house.post("/api/v1/orders", &order(patient, number)).await;
    assert_eq!(placed.status.as_u16(), 201, "{}", placed.json);
    placed.json["id"].as_str().unwrap().to_owned()
}

async fn specimen(house: &House, number: &str) -> Value {
    let found = house
        .get(&format!("/api/v1/specimens?number={number}"))
        .await;
    found.items()[0].clone()
}

async fn step(house: &House, number: &str, step: &str, body: &Value) -> Answer {
    let id = specimen(house, number).await["id"].clone();
    let path = format!("/api/v1/specimens/{}/{step}", id.as_str().unwrap());
    house.post(&path, body).await
}

async fn numbers(house: &House, token: &str, query: &str) -> Vec<Value> {
    let found = house
        .get_as(token, &format!("/api/v1/specimens?{query}"))
        .await;
    found
        .items()
        .iter()
        .map(|item| item["number"].clone())
        .collect()
}

#[tokio::test]
async fn a_specimen_goes_from_the_order_to_the_laboratory_and_back() {
    let house = house().await;
    let order_id = ordered(&house, "12345", "A-1").await;
    let tube = specimen(&house, "A-1").await;
    assert_eq!(tube["state"], "accessioned");
    assert_eq!(tube["orders"], json!([order_id]));
    assert_eq!(tube["next_steps"], json!(["collect", "receive", "reject"]));
    assert!(tube["patient_id"].is_string());

    let done = step(&house, "A-1", "collect", &json!({ "collector": "m.das" })).await;
    assert_eq!(done.ok()["answer"]["state"], "collected");
    let again = step(&house, "A-1", "collect", &json!({})).await;
    assert_eq!(again.problem(409), "clinical.specimen_conflict");
    let late = json!({ "at": "2020-01-01T08:00:00Z" });
    let late = step(&house, "A-1", "receive", &late).await;
    assert_eq!(late.problem(422), "clinical.time_late");
    let path = format!("/api/v1/specimens/{}", tube["id"].as_str().unwrap());
    let read = house.get(&path).await;
    assert_eq!(read.header("etag"), "\"2\"");
    let token = house.token().to_owned();
    let stale = house
        .write_with(
            &token,
            "POST",
            &format!("{path}/receive"),
            &json!({}),
            &[("if-match", "\"1\"")],
        )
        .await;
    assert_eq!(stale.problem(412), "clinical.specimen_stale");
    let container = json!({ "container": { "code": "RT", "text": "red top" } });
    house
        .write_as(&token, "PATCH", &path, &container)
        .await
        .ok();
    let read = house.get(&path).await;
    assert_eq!(read.ok()["container"]["code"], "RT");
    assert_eq!(read.header("etag"), "\"3\"");
    step(&house, "A-1", "receive", &json!({})).await.ok();

    let why = json!({ "reason": "haemolysed", "text": "plasma red" });
    let done = step(&house, "A-1", "reject", &why).await;
    assert_eq!(done.ok()["answer"]["orders"], json!([order_id]));
    let tube = specimen(&house, "A-1").await;
    assert_eq!(tube["rejection"]["reason"], "haemolysed");
    assert_eq!(tube["rejection"]["by"], "admin");
    assert_eq!(tube["next_steps"], json!([]));
    let late = house.write_as(&token, "PATCH", &path, &container).await;
    assert_eq!(late.problem(409), "clinical.specimen_conflict");
    let detail = house.get(&format!("/api/v1/orders/{order_id}")).await;
    assert_eq!(detail.ok()["held"], "specimen_rejected");
    assert_eq!(detail.json["specimens"][0]["state"], "rejected");
    let tasks = house.get("/api/v1/tasks").await;
    assert_eq!(tasks.items()[0]["kind"], "recollection");

    let same = json!({ "number": "A-1", "orders": [order_id] });
    let refused = house.post("/api/v1/specimens", &same).await;
    assert_eq!(refused.problem(409), "clinical.specimen_rejected_conflict");
    let other = json!({ "number": "A-2", "kind": { "code": "SER" }, "orders": [order_id] });
    let made = house.post("/api/v1/specimens", &other).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.json);
    let tube = house.get(made.header("location")).await;
    assert_eq!(tube.ok()["number"], "A-2");
    let detail = house.get(&format!("/api/v1/orders/{order_id}")).await;
    assert!(detail.ok()["held"].is_null());
    assert!(house.get("/api/v1/tasks").await.items().is_empty());
    for (body, field) in [
        (json!({ "number": "", "orders": [order_id] }), "number"),
        (json!({ "number": "A-3", "orders": [] }), "orders"),
    ] {
        let refused = house.post("/api/v1/specimens", &body).await;
        assert_eq!(refused.problem(400), "request.invalid");
        assert_eq!(refused.json["errors"][0]["field"], field);
    }
}

#[tokio::test]
async fn specimens_are_found_by_number_patient_order_and_state() {
    let house = house().await;
    let first = ordered(&house, "12345", "A-1").await;
    ordered(&house, "12345", "A-2").await;
    ordered(&house, "777", "A-3").await;
    let at = json!({ "at": "2026-01-01T08:00:00Z", "late_reason": "written down on paper" });
    step(&house, "A-2", "collect", &at).await.ok();
    step(&house, "A-3", "reject", &json!({ "reason": "clotted" }))
        .await
        .ok();
    // an instrument measured something that nobody waits for
    let stray = measured(&house, "A-4", Some("12345"), vec![coded("GLU", "104")]);
    house.event(&stray).await;
    let token = house.token().to_owned();
    for (query, expected) in [
        ("number=A-1".to_owned(), vec!["A-1"]),
        (
            "patient_identifier=12345".to_owned(),
            vec!["A-4", "A-2", "A-1"],
        ),
        (format!("order={first}"), vec!["A-1"]),
        ("state=accessioned".to_owned(), vec!["A-1"]),
        ("state=collected".to_owned(), vec!["A-2"]),
        ("state=rejected".to_owned(), vec!["A-3"]),
        (
            "patient_identifier=12345&collected_from=2026-01-01T07:00:00Z&collected_to=2026-01-01T09:00:00Z"
                .to_owned(),
            vec!["A-2"],
        ),
        ("number=A-1&state=collected".to_owned(), vec![]),
    ] {
        assert_eq!(numbers(&house, &token, &query).await, expected, "{query}");
    }
    for query in [
        "",
        "?state=received",
        "?collected_from=2026-01-01T07:00:00Z",
    ] {
        let refused = house.get(&format!("/api/v1/specimens{query}")).await;
        assert_eq!(refused.problem(400), "request.invalid", "{query}");
    }
    // page by page
    let list = "/api/v1/specimens?patient_identifier=12345&limit=2";
    let page = house.get(list).await;
    assert_eq!(page.items().len(), 2);
    let cursor = page.json["next_cursor"].as_str().unwrap();
    let rest = house.get(&format!("{list}&cursor={cursor}")).await;
    assert_eq!(rest.items()[0]["number"], "A-1");
    let narrow = house.get(&format!("{list}&fields=number,state")).await;
    assert_eq!(narrow.items()[0].as_object().unwrap().len(), 2);
}

#[tokio::test]
async fn a_result_is_read_with_its_versions_its_report_and_its_specimen() {
    let house = house().await;
    ordered(&house, "12345", "T1").await;
    step(&house, "T1", "reject", &json!({ "reason": "clotted" }))
        .await
        .ok();
    let result = measured(&house, "T1", Some("12345"), vec![coded("GLU", "104")]);
    house.event(&result).await;
    let listed = house.get("/api/v1/results?specimen=T1").await;
    let id = listed.items()[0]["id"].as_str().unwrap();
    let path = format!("/api/v1/results/{id}");
    let result = house.get(&path).await;
    assert_eq!(result.ok()["value"]["number"], "104");
    assert_eq!(result.json["released"], false);
    assert_eq!(result.json["verification"]["failed"], "specimen");
    assert_eq!(result.json["specimen"]["state"], "rejected");
    assert_eq!(result.json["report"]["id"], result.json["report_id"]);
    assert_eq!(result.json["versions"].as_array().unwrap().len(), 1);
    let (report, _) = id.split_once('.').unwrap();
    for wrong in [
        "x".to_owned(),
        report.to_owned(),
        format!("{report}.9"),
        format!("{report}.00"),
    ] {
        let answer = house.get(&format!("/api/v1/results/{wrong}")).await;
        assert_eq!(answer.problem(404), "results.unknown", "{wrong}");
    }
}

#[tokio::test]
async fn an_order_is_changed_by_who_saw_it() {
    let house = house().await;
    let id = ordered(&house, "12345", "A-1").await;
    let path = format!("/api/v1/orders/{id}");
    let token = house.token().to_owned();
    let change = |seen: String, body: Value| {
        let (house, token, path) = (&house, &token, &path);
        async move {
            let headers = [("if-match", seen.as_str())];
            house
                .write_with(token, "PATCH", path, &body, &headers)
                .await
        }
    };
    let tag = house.get(&path).await.header("etag").to_owned();
    let notes = json!({ "priority": "urgent", "notes": ["fasting"] });
    change(tag.clone(), notes).await.ok();
    let read = house.get(&path).await;
    assert_eq!(read.ok()["priority"], "urgent");
    assert_eq!(read.json["notes"], json!(["fasting"]));
    let stale = change(tag, json!({ "notes": null })).await;
    assert_eq!(stale.problem(412), "clinical.order_stale");
    step(&house, "A-1", "collect", &json!({})).await.ok();
    let late = change("*".to_owned(), json!({ "notes": null })).await;
    assert_eq!(late.problem(409), "clinical.order_collected_conflict");
    change("*".to_owned(), json!({ "priority": "stat" }))
        .await
        .ok();
}

#[tokio::test]
async fn a_ward_collects_the_laboratory_receives_and_a_restricted_chart_stays_closed() {
    let house = house().await;
    ordered(&house, "12345", "A-1").await;
    ordered(&house, "777", "A-2").await;
    let patient = specimen(&house, "A-1").await["patient_id"].clone();
    let restriction = format!("/api/v1/patients/{}/restriction", patient.as_str().unwrap());
    let restrict = json!({ "restricted": true, "reason": "member of staff" });
    house.post(&restriction, &restrict).await.ok();
    let mut tokens = Vec::new();
    for (name, role) in [("asha", "nurse"), ("ravi", "lab_technician")] {
        let (id, signed_in) = house.staff(name).await;
        house.grant(&id, &json!({ "role": role })).await;
        tokens.push(signed_in["access_token"].as_str().unwrap().to_owned());
    }
    let (nurse, technician) = (&tokens[0], &tokens[1]);
    assert_eq!(numbers(&house, nurse, "state=accessioned").await, ["A-2"]);
    assert_eq!(
        numbers(&house, technician, "state=accessioned").await,
        ["A-2", "A-1"]
    );
    let path = |number: &str, tube: &Value| {
        let id = tube["id"].as_str().unwrap().to_owned();
        assert_eq!(tube["number"], number);
        format!("/api/v1/specimens/{id}")
    };
    let closed = path("A-1", &specimen(&house, "A-1").await);
    let open = path("A-2", &specimen(&house, "A-2").await);
    for by_number in [
        house.get_as(nurse, &closed).await,
        house.get_as(nurse, "/api/v1/specimens?number=A-1").await,
        house
            .post_as(nurse, &format!("{closed}/collect"), &json!({}))
            .await,
    ] {
        assert_eq!(by_number.problem(403), "auth.relationship");
    }
    house
        .post_as(nurse, &format!("{open}/collect"), &json!({}))
        .await
        .ok();
    let refused = house
        .post_as(nurse, &format!("{open}/receive"), &json!({}))
        .await;
    assert_eq!(refused.problem(403), "auth.permission");
    for tube in [&closed, &open] {
        house
            .post_as(technician, &format!("{tube}/receive"), &json!({}))
            .await
            .ok();
    }
}

#[tokio::test]
async fn the_trail_of_a_patient_names_what_was_written_on_his_chart() {
    let house = house().await;
    ordered(&house, "12345", "A-1").await;
    ordered(&house, "777", "A-2").await;
    step(&house, "A-1", "collect", &json!({})).await.ok();
    let patient = specimen(&house, "A-1").await["patient_id"].clone();
    let patient = patient.as_str().unwrap();
    for (action, count) in [("clinical.order.place", 1), ("lis.specimen.move", 1)] {
        let path = format!("/api/v1/audit?patient={patient}&action={action}");
        assert_eq!(house.get(&path).await.items().len(), count, "{action}");
        let path = format!("/fhir/AuditEvent?patient={patient}&subtype={action}");
        let found = house.get(&path).await;
        let entries = found.json["entry"].as_array().into_iter().flatten();
        let events = entries.filter(|one| one["resource"]["resourceType"] == "AuditEvent");
        assert_eq!(events.count(), count, "{}", found.json);
    }
}
