//! The house, visits and stays over REST: what is made where, by whom, with which version.

use axum::body::Body;
use axum::http::{Request, header};
use schemas::care::{EncounterAction, EncounterReported, Location};
use schemas::{Patch, TenantId};
use serde_json::{Value, json};

use super::house::House;
use super::samples::{identifier, person};

/// The ids of a facility MAIN with the department MED, its ward WARD-A and bed 1, and the department SUR.
pub(crate) struct Places {
    pub(crate) facility: String,
    pub(crate) med: String,
    pub(crate) sur: String,
    pub(crate) ward: String,
    pub(crate) bed: String,
}

pub(crate) async fn made(house: &House, what: &str, body: &Value) -> String {
    let answer = house.post(&format!("/api/v1/{what}"), body).await;
    assert_eq!(answer.status.as_u16(), 201, "{}", answer.json);
    let id = answer.json["id"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("location"), format!("/api/v1/{what}/{id}"));
    id
}

pub(crate) async fn places(house: &House) -> Places {
    let facility = made(
        house,
        "facilities",
        &json!({ "code": "MAIN", "name": "Main" }),
    )
    .await;
    let department = |code: &str| json!({ "facility_id": facility, "code": code, "name": format!("Department {code}") });
    let med = made(house, "departments", &department("MED")).await;
    let sur = made(house, "departments", &department("SUR")).await;
    let ward =
        json!({ "department_id": med, "code": "WARD-A", "name": "Ward A", "class": "general" });
    let ward = made(house, "wards", &ward).await;
    let bed = made(
        house,
        "beds",
        &json!({ "ward_id": ward, "code": "1", "room": "101" }),
    )
    .await;
    Places {
        facility,
        med,
        sur,
        ward,
        bed,
    }
}

pub(crate) async fn patient(house: &House, number: &str) {
    house.event(&person(&house.tenant, number)).await;
}

pub(crate) async fn request(house: &House, number: &str, department: &str) -> String {
    let body =
        json!({ "patient_identifier": number, "department_id": department, "reason": "pneumonia" });
    let answer = house.post("/api/v1/admissions", &body).await;
    assert_eq!(answer.status.as_u16(), 201, "{}", answer.json);
    let id = answer.json["id"].as_str().unwrap().to_owned();
    assert_eq!(
        answer.header("location"),
        format!("/api/v1/encounters/{id}")
    );
    id
}

/// A hospital system says that this patient is in bed 1 of WARD-A.
pub(crate) fn double(tenant: &TenantId, number: &str) -> EncounterReported {
    EncounterReported {
        action: EncounterAction::Admitted,
        subject: identifier(tenant, number),
        visit_number: Some(format!("V-{number}")),
        class: Patch::Set("I".to_owned()),
        location: Patch::Set(Location {
            point_of_care: Some("WARD-A".to_owned()),
            bed: Some("1".to_owned()),
            facility: Some("MAIN".to_owned()),
            room: None,
        }),
        prior_location: Patch::Keep,
        attending: Patch::Keep,
        referring: Patch::Keep,
        service: Patch::Keep,
        admitted_at: Patch::Keep,
        discharged_at: Patch::Keep,
        disposition: Patch::Keep,
        occurred_at: None,
    }
}

async fn change_if(
    house: &House,
    method: &str,
    path: &str,
    tag: &str,
    body: &Value,
) -> super::house::Answer {
    house
        .send(
            Request::builder()
                .method(method)
                .uri(path)
                .header(header::AUTHORIZATION, format!("Bearer {}", house.token()))
                .header(header::CONTENT_TYPE, "application/json")
                .header(header::IF_MATCH, tag)
                .body(Body::from(body.to_string()))
                .unwrap(),
        )
        .await
}

#[tokio::test]
async fn the_house_is_defined_read_searched_changed_and_retired() {
    let house = House::new().await;
    let places = places(&house).await;
    let again = json!({ "code": "main", "name": "Another" });
    let refused = house.post("/api/v1/facilities", &again).await;
    assert_eq!(refused.problem(409), "adt.place_exists");
    let bad = json!({ "code": "A^B", "name": "Another" });
    assert_eq!(
        house.post("/api/v1/facilities", &bad).await.problem(400),
        "request.invalid"
    );
    let zone = json!({ "code": "TWO", "name": "Another", "zone": "Moon/Sea" });
    assert_eq!(
        house.post("/api/v1/facilities", &zone).await.problem(422),
        "adt.zone"
    );

    let path = format!("/api/v1/wards/{}", places.ward);
    let ward = house.get(&path).await;
    assert_eq!(ward.ok()["department"], "MED");
    let tag = ward.header("etag").to_owned();
    assert_eq!(tag, "\"1\"");
    let name = json!({ "name": "Ward A, first floor" });
    let changed = change_if(&house, "PATCH", &path, &tag, &name).await;
    assert_eq!(changed.ok()["version"], 2);
    let stale = change_if(&house, "PATCH", &path, &tag, &name).await;
    assert_eq!(stale.problem(412), "adt.place_stale");
    let ward = house.get(&path).await;
    assert_eq!(ward.json["class"], "general", "what is absent stays");

    let found = house
        .get(&format!(
            "/api/v1/beds?ward_id={}&state=vacant&class=general",
            places.ward
        ))
        .await;
    assert_eq!(found.items()[0]["id"], places.bed.as_str());
    assert_eq!(found.items()[0]["room"], "101");
    let none = house.get("/api/v1/beds?state=blocked").await;
    assert!(none.items().is_empty());
    let first = house.get("/api/v1/departments?limit=1").await;
    assert_eq!(first.items()[0]["code"], "MED");
    let cursor = first.json["next_cursor"].as_str().unwrap();
    let second = house
        .get(&format!("/api/v1/departments?limit=1&cursor={cursor}"))
        .await;
    assert_eq!(second.items()[0]["code"], "SUR");

    // from the bed up, and nothing that is in use
    let retired = json!({ "state": "retired" });
    let facility = format!("/api/v1/facilities/{}", places.facility);
    for path in [&facility, &path] {
        let refused = house.write_as(house.token(), "PATCH", path, &retired).await;
        assert_eq!(refused.problem(409), "adt.place_in_use", "{path}");
    }
    let bed = format!("/api/v1/beds/{}", places.bed);
    let gone = house
        .write_as(house.token(), "PATCH", &bed, &json!({ "retired": true }))
        .await;
    gone.ok();
    house
        .write_as(house.token(), "PATCH", &path, &retired)
        .await
        .ok();
    assert_eq!(house.get(&path).await.json["state"], "retired");
    assert_eq!(house.get("/api/v1/facilities").await.items().len(), 1);
    for unknown in ["facilities", "departments", "wards", "beds"] {
        let path = format!("/api/v1/{unknown}/018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c");
        assert_eq!(
            house.get(&path).await.problem(404),
            format!("{unknown}.unknown")
        );
    }
}

#[tokio::test]
async fn a_stay_has_its_versions_its_board_and_its_gates() {
    let house = House::new().await;
    let places = places(&house).await;
    patient(&house, "12345").await;
    let stay = request(&house, "12345", &places.med).await;
    let path = format!("/api/v1/encounters/{stay}");
    let read = house.get(&path).await;
    assert_eq!(read.ok()["stage"], "requested");
    assert_eq!(
        read.json["next_steps"],
        json!(["reserve", "admit", "cancel"])
    );
    let tag = read.header("etag").to_owned();
    let into = json!({ "bed_id": places.bed });
    let admitted = change_if(&house, "POST", &format!("{path}/admit"), &tag, &into).await;
    assert_eq!(admitted.ok()["answer"]["stage"], "admitted");
    let again = change_if(&house, "POST", &format!("{path}/admit"), &tag, &into).await;
    assert_eq!(again.problem(412), "adt.encounter_stale");
    let change = json!({ "expected_at": "2026-02-02T10:00:00Z", "payer": "insurer" });
    let changed = change_if(&house, "PATCH", &path, "\"2\"", &change).await;
    assert_eq!(changed.ok()["answer"]["version"], 3);
    let cleared = house
        .write_as(
            house.token(),
            "PATCH",
            &path,
            &json!({ "expected_at": null }),
        )
        .await;
    cleared.ok();
    let read = house.get(&path).await;
    assert!(read.json["expected_at"].is_null());
    assert_eq!(read.json["payer"], "insurer");
    assert_eq!(read.json["location"]["room"], "101");

    let board = house
        .get(&format!("/api/v1/wards/{}/board", places.ward))
        .await;
    assert_eq!(board.ok()["occupied"], 1);
    let shown = &board.json["beds"][0];
    assert_eq!(shown["patient"]["encounter_id"], stay.as_str());
    assert_eq!(shown["patient"]["identifier"], "12345");
    assert!(shown["patient"]["name"].is_object(), "{shown}");
    let listed = house
        .get(&format!(
            "/api/v1/admissions?stage=admitted&ward_id={}",
            places.ward
        ))
        .await;
    assert_eq!(listed.items()[0]["id"], stay.as_str());
    assert!(
        house
            .get("/api/v1/admissions?stage=requested")
            .await
            .items()
            .is_empty()
    );

    assert!(house.get(&format!("{path}/gates")).await.items().is_empty());
    house
        .post(
            &format!("{path}/discharge"),
            &json!({ "disposition": "home" }),
        )
        .await
        .ok();
    let gates = house.get(&format!("{path}/gates")).await;
    assert_eq!(gates.items().len(), 4);
    assert_eq!(gates.items()[3]["state"], "open", "an insurer pays");
    let wrong = json!({ "despite": "why not" });
    let refused = house.post(&format!("{path}/gates/billing"), &wrong).await;
    assert_eq!(refused.problem(400), "request.invalid");
    let days = house
        .get(&format!("{path}/bed-days?policy=rolling&grace_hours=2"))
        .await;
    assert_eq!(days.ok()["days"], 1);
    assert_eq!(days.json["open"], true);
    for wrong in [
        "policy=none",
        "grace_hours=25",
        "grace_hours=NaN",
        "checkout=noon",
        "zone=Moon/Sea",
    ] {
        let refused = house.get(&format!("{path}/bed-days?{wrong}")).await;
        assert_eq!(refused.problem(400), "request.invalid", "{wrong}");
    }
    let other = request(&house, "12345", &places.sur).await;
    let none = house
        .get(&format!("/api/v1/encounters/{other}/bed-days"))
        .await;
    assert_eq!(none.problem(409), "encounters.bed_missing_conflict");
    let twice = house
        .post(&format!("/api/v1/encounters/{other}/admit"), &into)
        .await;
    assert_eq!(twice.problem(409), "adt.already_admitted");
    let late = json!({ "at": "2199-01-01T00:00:00Z" });
    let refused = house.post(&format!("{path}/leave"), &late).await;
    assert_eq!(refused.problem(422), "adt.time_ahead");
}

#[tokio::test]
async fn what_lies_far_back_needs_a_reason() {
    let house = House::new().await;
    let places = places(&house).await;
    patient(&house, "1001").await;
    let back = |days: i64| {
        (time::OffsetDateTime::now_utc() - time::Duration::days(days))
            .format(&time::format_description::well_known::Rfc3339)
            .unwrap()
    };
    let asked = json!({ "patient_identifier": "1001", "department_id": places.med, "reason": "pneumonia", "at": back(3) });
    let refused = house.post("/api/v1/admissions", &asked).await;
    assert_eq!(refused.problem(422), "adt.time_late");
    let mut asked = asked;
    asked["late_reason"] = json!("the network was down");
    let asked = house.post("/api/v1/admissions", &asked).await;
    assert_eq!(asked.status.as_u16(), 201, "{}", asked.json);
    let stay = asked.json["id"].as_str().unwrap();
    let admit = format!("/api/v1/encounters/{stay}/admit");
    for (at, reason, code) in [
        (
            "0001-01-01T00:00:00Z".to_owned(),
            Some("carried over"),
            "clinical.time",
        ),
        (back(4_000), Some("carried over"), "adt.time_late"),
        (back(2), None, "adt.time_late"),
    ] {
        let mut body = json!({ "bed_id": places.bed, "at": at });
        if let Some(reason) = reason {
            body["late_reason"] = json!(reason);
        }
        let refused = house.post(&admit, &body).await;
        assert_eq!(refused.problem(422), code, "{body}");
    }
    let blank = json!({ "bed_id": places.bed, "at": back(2), "late_reason": " " });
    let refused = house.post(&admit, &blank).await;
    assert_eq!(refused.problem(400), "request.invalid");
    let told =
        json!({ "bed_id": places.bed, "at": back(2), "late_reason": "the network was down" });
    house.post(&admit, &told).await.ok();
    let days = house
        .get(&format!("/api/v1/encounters/{stay}/bed-days"))
        .await;
    assert_eq!(days.ok()["days"], 2);
}

#[tokio::test]
async fn who_has_a_place_works_there_and_nowhere_else() {
    let house = House::new().await;
    let places = places(&house).await;
    patient(&house, "1001").await;
    patient(&house, "1002").await;
    let (id, tokens) = house.staff("desk").await;
    house
        .grant(
            &id,
            &json!({ "role": "front_desk", "facility": "MAIN", "department": "MED" }),
        )
        .await;
    let desk = tokens["access_token"].as_str().unwrap();
    let visit =
        |department: &str| json!({ "patient_identifier": "1001", "department_id": department });
    let opened = house
        .post_as(desk, "/api/v1/encounters", &visit(&places.med))
        .await;
    assert_eq!(opened.status.as_u16(), 201, "{}", opened.json);
    assert_eq!(opened.json["token"], 1);
    let refused = house
        .post_as(desk, "/api/v1/encounters", &visit(&places.sur))
        .await;
    assert_eq!(refused.problem(403), "auth.scope");
    let id = opened.json["id"].as_str().unwrap();
    house
        .get_as(desk, &format!("/api/v1/encounters/{id}"))
        .await
        .ok();
    let called = house
        .post_as(desk, &format!("/api/v1/encounters/{id}/call"), &json!({}))
        .await;
    assert_eq!(called.ok()["answer"]["stage"], "called");
    // a stay in the other department is none of theirs; one in a ward of their department is
    let elsewhere = request(&house, "1002", &places.sur).await;
    let path = format!("/api/v1/encounters/{elsewhere}");
    assert_eq!(
        house.get_as(desk, &path).await.problem(403),
        "auth.relationship"
    );
    let refused = house
        .post_as(
            desk,
            &format!("{path}/admit"),
            &json!({ "bed_id": places.bed }),
        )
        .await;
    assert_eq!(refused.problem(403), "auth.relationship");
    house
        .post(&format!("{path}/admit"), &json!({ "bed_id": places.bed }))
        .await
        .ok();
    house.get_as(desk, &path).await.ok();
    house
        .get_as(desk, &format!("/api/v1/wards/{}/board", places.ward))
        .await
        .ok();
    let queue = house
        .get_as(desk, &format!("/api/v1/departments/{}/queue", places.sur))
        .await;
    assert_eq!(queue.problem(403), "auth.scope");
    let listed = house.get_as(desk, "/api/v1/admissions").await;
    assert_eq!(listed.items().len(), 1);
    let refused = house.get_as(desk, "/api/v1/adt-differences").await;
    assert_eq!(
        refused.problem(403),
        "auth.scope",
        "they are the whole hospital's"
    );
    let nobody = json!({ "patient_identifier": "9999", "department_id": places.med });
    let refused = house.post("/api/v1/encounters", &nobody).await;
    assert_eq!(refused.problem(422), "encounters.no_patient");
}

#[tokio::test]
async fn what_a_hospital_system_says_of_a_bed_that_is_taken_is_listed_and_closed_by_a_person() {
    let house = House::new().await;
    let places = places(&house).await;
    patient(&house, "12345").await;
    let stay = request(&house, "12345", &places.med).await;
    house
        .post(
            &format!("/api/v1/encounters/{stay}/admit"),
            &json!({ "bed_id": places.bed }),
        )
        .await
        .ok();
    house.event(&double(&house.tenant, "777")).await;
    let listed = house.get("/api/v1/adt-differences").await;
    assert_eq!(listed.items().len(), 1);
    let item = &listed.items()[0];
    assert_eq!(item["reason"], "bed_occupied");
    assert_eq!(item["place"]["bed"], "1");
    let path = format!("/api/v1/adt-differences/{}/resolve", item["id"]);
    let comment = json!({ "comment": "the ward had swapped the beds" });
    house.post(&path, &comment).await.ok();
    assert_eq!(
        house.post(&path, &comment).await.problem(409),
        "adt.difference_resolved"
    );
    assert!(
        house
            .get("/api/v1/adt-differences")
            .await
            .items()
            .is_empty()
    );
    let all = house.get("/api/v1/adt-differences?state=all").await;
    assert_eq!(all.items()[0]["resolved_by"], "admin");
    let unknown = house
        .post("/api/v1/adt-differences/999/resolve", &comment)
        .await;
    assert_eq!(unknown.problem(404), "adt.difference_unknown");
}
