//! Whose stays a nurse of one ward sees, and what breaking the glass opens (AU3).

use serde_json::{Value, json};
use tests::{Rest, eventually, unique};

use super::SOON;
use super::house::{House, outcome};

const PASSWORD: &str = "blue kettle under the stairs";

/// AU3, for stays that staff made over REST.
#[tokio::test]
async fn au3_a_nurse_of_ward_a_opens_a_chart_of_ward_b_only_by_breaking_the_glass() {
    let house = House::new().await;
    let (_, hers) = house
        .admitted(&house.beds[0][0], "2026-07-01T10:00:00+05:30")
        .await;
    let (number, other) = house
        .admitted(&house.beds[1][0], "2026-07-01T10:00:00+05:30")
        .await;
    let nurse = nurse(&house, &house.wards[0].0).await;
    let path = |stay: &str| format!("/api/v1/encounters/{stay}");
    let board = |ward: usize| format!("/api/v1/wards/{}/board", house.wards[ward].1);
    eventually("the grant holds", SOON, || async {
        (nurse.try_get(&path(&hers)).await.0 == 200).then_some(())
    })
    .await;
    assert_eq!(nurse.try_get(&board(0)).await.0, 200);
    for (path, code) in [
        (path(&other), "auth.relationship"),
        (format!("{}/gates", path(&other)), "auth.relationship"),
        (format!("{}/bed-days", path(&other)), "auth.relationship"),
        (board(1), "auth.scope"),
    ] {
        let (status, problem) = nurse.try_get(&path).await;
        assert_eq!(
            (status, problem["code"].as_str()),
            (403, Some(code)),
            "{path}"
        );
    }
    let body = json!({ "bed_id": house.beds[0][1] });
    let (status, problem) = nurse
        .post(&format!("{}/transfer", path(&other)), &body)
        .await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (403, Some("auth.relationship"))
    );
    let listed = nurse.items("/api/v1/admissions").await;
    assert!(
        listed
            .iter()
            .all(|stay| stay["location"]["point_of_care"] == house.wards[0].0.as_str())
    );
    assert!(listed.iter().any(|stay| stay["id"] == hers.as_str()));
    emergency(&house, &nurse, &number, &path(&other)).await;
    // who is transferred to her ward is hers, and whom she gives away is not
    let into = json!({ "bed_id": house.beds[0][1] });
    assert_eq!(house.steps(&other, "transfer", &into).await, "admitted");
    assert_eq!(nurse.try_get(&path(&other)).await.0, 200);
    let away = json!({ "bed_id": house.beds[1][1] });
    let (status, answer) = outcome(&nurse, &format!("{}/transfer", path(&hers)), &away).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(nurse.try_get(&path(&hers)).await.0, 403);
}

/// The glass is broken: the chart opens, and that is on record, waits for its review and is told to who reviews.
async fn emergency(house: &House, nurse: &Rest, number: &str, chart: &str) {
    let found = house
        .rest
        .items(&format!("/api/v1/patients?mrn={number}"))
        .await;
    let patient = &found[0]["id"];
    let me = nurse.get("/api/v1/me").await["username"].clone();
    let since = house.rest.get("/api/v1/changes").await["position"].clone();
    let body = json!({ "patient_id": patient, "reason": "unconscious, allergies unknown" });
    let (status, broken) = nurse.post("/api/v1/break-glass", &body).await;
    assert_eq!(status, 201, "{broken}");
    eventually("the chart opens", SOON, || async {
        (nurse.try_get(chart).await.0 == 200).then_some(())
    })
    .await;
    let rest = &house.rest;
    let patient = patient.as_str().unwrap();
    let rows = rest
        .items(&format!(
            "/api/v1/audit?action=auth.break_glass&touched={patient}"
        ))
        .await;
    assert_eq!(
        (&rows[0]["actor"], &rows[0]["reason"]),
        (&me, &body["reason"])
    );
    let looks = rest
        .items(&format!(
            "/api/v1/audit?action=chart.read_in_emergency&actor={}",
            me.as_str().unwrap()
        ))
        .await;
    assert!(!looks.is_empty(), "each look through it is on record");
    let officer = staff(house, &json!({ "role": "auditor" })).await;
    let open = officer.all_items("/api/v1/break-glass").await;
    assert!(
        open.iter().any(|one| one["patient_id"] == patient
            && one["username"] == me
            && one["state"] == "open"),
        "{open:?}"
    );
    let path = format!(
        "/api/v1/changes?topics=emergencies&since={}",
        since.as_str().unwrap()
    );
    eventually("the privacy officer is told", SOON, || async {
        let told = officer.items(&path).await;
        told.iter()
            .any(|change| {
                change["type"] == "auth.glass.broken"
                    && change["related"].to_string().contains(patient)
            })
            .then_some(())
    })
    .await;
}

/// A nurse whose grant is of one ward, signed in.
async fn nurse(house: &House, ward: &str) -> Rest {
    let grant = json!({ "role": "nurse", "facility": house.facility, "department": ward });
    staff(house, &grant).await
}

/// Somebody with this grant, signed in.
async fn staff(house: &House, grant: &Value) -> Rest {
    let name = unique("staff").to_lowercase();
    let user = json!({ "username": name, "display_name": "Asha Sharma" });
    let (status, made) = house.rest.post("/api/v1/users", &user).await;
    assert_eq!(status, 201, "{made}");
    let path = format!("/api/v1/users/{}/grants", made["id"].as_str().unwrap());
    let (status, given) = outcome(&house.rest, &path, grant).await;
    assert!([200, 201].contains(&status), "{given}");
    let one_time = made["one_time_password"].as_str().unwrap();
    let first = Rest::new(house.hub().api())
        .sign_in(&name, one_time, None)
        .await;
    let change = json!({ "current_password": one_time, "new_password": PASSWORD });
    let (status, answer) = first.post("/api/v1/me/password", &change).await;
    assert!([200, 202].contains(&status), "{answer}");
    let login = json!({ "username": name, "password": PASSWORD });
    let nobody = Rest::new(house.hub().api());
    eventually("the password is changed", SOON, || async {
        (nobody.post("/api/v1/auth/login", &login).await.0 == 200).then_some(())
    })
    .await;
    nobody.sign_in(&name, PASSWORD, None).await
}
