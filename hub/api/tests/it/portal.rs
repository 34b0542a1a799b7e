//! Patients' own log-ins: what a desk makes, what a patient sees with it, what he does not, and what a merge leaves (EM7).

use axum::http::StatusCode;
use schemas::care::Observation;
use serde_json::{Value, json};

use super::appointments::{booked, patient, schedule};
use super::house::{House, PASSWORD};
use super::operations::{check, operations};
use super::samples::{coded, uncoded};
use super::verification::measured;

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

fn login_of(patient: &str) -> String {
    format!("/api/v1/patients/{patient}/login")
}

/// A log-in that this desk made, with a password of the patient's own; his token.
pub(crate) async fn portal(house: &House, desk: &str, patient: &str, name: &str) -> String {
    let wanted = json!({ "username": name });
    let made = house.post_as(desk, &login_of(patient), &wanted).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
    assert_eq!(made.header("location"), login_of(patient));
    let one_time = text(&made.json, "one_time_password");
    let first = house.sign_in(name, one_time, None).await;
    let early = house.get_as(&first, "/api/v1/me/record").await;
    assert_eq!(early.problem(403), "auth.password_change");
    let change = json!({ "current_password": one_time, "new_password": PASSWORD });
    house
        .post_as(&first, "/api/v1/me/password", &change)
        .await
        .ok();
    house.sign_in(name, PASSWORD, None).await
}

/// Somebody of the front desk.
async fn desk(house: &House) -> String {
    let (id, tokens) = house.staff("clerk").await;
    house.grant(&id, &json!({ "role": "front_desk" })).await;
    text(&tokens, "access_token").to_owned()
}

async fn id_of(house: &House, number: &str) -> String {
    let path = format!("/api/v1/patients?identifier={number}");
    text(&house.get(&path).await.items()[0], "id").to_owned()
}

fn with_status(status: &str, name: &str) -> Observation {
    Observation {
        status: Some(status.to_owned()),
        ..coded(name, "5")
    }
}

/// Numbers of the results that he is shown, sorted as text.
async fn values(house: &House, token: &str) -> Vec<String> {
    let page = house.get_as(token, "/api/v1/me/results").await;
    let mut values: Vec<String> = page
        .items()
        .iter()
        .map(|item| text(&item["value"], "number").to_owned())
        .collect();
    values.sort_unstable();
    values
}

#[tokio::test]
async fn a_patient_sees_his_record_and_of_his_results_those_that_were_released() {
    let house = House::new().await;
    let of_him = vec![
        coded("GLU", "104"),
        uncoded("XYZ", "1"),
        with_status("P", "NA"),
        with_status("W", "K"),
    ];
    house.report("12345", 1, of_him).await;
    house.report("777", 2, vec![coded("GLU", "66")]).await;
    let waits = measured(&house, "T1", Some("12345"), vec![coded("GLU", "98")]);
    house.event(&waits).await;
    let asha = id_of(&house, "12345").await;
    let token = portal(&house, &desk(&house).await, &asha, "asha.1980").await;

    let record = house.get_as(&token, "/api/v1/me/record").await;
    check("OwnRecord", record.ok());
    assert_eq!(record.json["patient_id"], asha.as_str());
    assert_eq!(record.json["birth_date"], "1980-05-17");
    assert_eq!(
        record.json["identifiers"],
        json!([{ "system": "HOSP", "value": "12345", "kind": "MR" }])
    );
    assert_eq!(values(&house, &token).await, ["104"]);
    let list = "/api/v1/worklists/verification";
    let waiting = house.get(&format!("{list}?specimen=T1")).await;
    let verify = format!("{list}/{}/verify", waiting.items()[0]["id"]);
    let done = house.post(&verify, &json!({ "revision": 1 })).await;
    assert_eq!(done.ok()["answer"]["state"], "released");
    assert_eq!(values(&house, &token).await, ["104", "98"]);
    let shown = house.get_as(&token, "/api/v1/me/results").await;
    for of_the_house in ["verification", "channel", "decided_by", "raw_value"] {
        assert!(
            shown.items()[0].get(of_the_house).is_none(),
            "{of_the_house}"
        );
    }

    // he himself is on record as who looked
    let seen = house
        .get(&format!("/api/v1/audit?patient={asha}&actor=asha.1980"))
        .await;
    let mut looks: Vec<(&str, &str)> = seen
        .items()
        .iter()
        .map(|row| (text(row, "action"), text(row, "object")))
        .filter(|(action, _)| action.starts_with("read."))
        .collect();
    looks.sort_unstable();
    looks.dedup();
    assert_eq!(
        looks,
        [
            ("read.own_record", "/api/v1/me/record"),
            ("read.own_record", "/api/v1/me/results")
        ]
    );
    // who is no patient has nothing of his own, whatever he may do
    for path in ["record", "results", "appointments"] {
        let answer = house.get(&format!("/api/v1/me/{path}")).await;
        assert_eq!(answer.problem(404), "me.no_record", "{path}");
    }
}

#[tokio::test]
async fn a_patient_comes_to_nothing_that_staff_come_to() {
    let house = House::new().await;
    house.report("12345", 1, vec![coded("GLU", "104")]).await;
    let asha = id_of(&house, "12345").await;
    let token = portal(&house, house.token(), &asha, "asha.1980").await;
    let mut refused = 0;
    for operation in operations() {
        let Some(permission) = operation.permission() else {
            continue;
        };
        if permission == "own_record:read" {
            continue;
        }
        let path = operation
            .path
            .replace("{id}", &asha)
            .replace("{sha256}", "00");
        let body = operation.example().unwrap_or_else(|| json!({}));
        let answer = house
            .write_with(
                &token,
                &operation.method,
                &path,
                &body,
                &[("if-match", "*")],
            )
            .await;
        assert_eq!(
            answer.problem(403),
            "auth.permission",
            "{}",
            operation.name()
        );
        refused += 1;
    }
    assert!(refused > 150, "{refused}");
    for path in [
        format!("/fhir/Patient/{asha}"),
        format!("/fhir/Observation?patient={asha}"),
        format!("/fhir/Patient/{asha}/$everything"),
    ] {
        let answer = house.get_as(&token, &path).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
    }
    // his own affairs are his, as any user's
    let me = house.get_as(&token, "/api/v1/me").await;
    assert_eq!(
        me.ok()["permissions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| text(one, "permission"))
            .collect::<Vec<_>>(),
        ["own_record:read"]
    );
    house.get_as(&token, "/api/v1/me/sessions").await.ok();
    // and no role makes him staff
    let user = text(&me.json, "id");
    let grants = format!("/api/v1/users/{user}/grants");
    let nurse = json!({ "role": "nurse" });
    assert_eq!(
        house.post(&grants, &nurse).await.problem(409),
        "grants.patient_conflict"
    );
    let users = house.get("/api/v1/users").await;
    assert!(
        users
            .items()
            .iter()
            .all(|one| one["username"] != "asha.1980")
    );
}

#[tokio::test]
async fn a_desk_gives_one_log_in_makes_new_passwords_for_it_and_ends_it() {
    let house = House::new().await;
    let desk = desk(&house).await;
    let asha = patient(&house, "12345").await;
    let path = login_of(&asha);
    assert!(house.get_as(&desk, &path).await.items().is_empty());
    for odd in ["A", "Asha Rao", "client:asha"] {
        let wanted = json!({ "username": odd });
        let answer = house.post_as(&desk, &path, &wanted).await;
        assert_eq!(answer.problem(400), "request.invalid", "{odd}");
    }
    let unknown = login_of("018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c");
    let answer = house
        .post_as(&desk, &unknown, &json!({ "username": "asha.1980" }))
        .await;
    assert_eq!(answer.problem(404), "patients.unknown");
    let reset = format!("{path}/reset-password");
    let none = house.post_as(&desk, &reset, &json!({})).await;
    assert_eq!(none.problem(404), "logins.unknown");

    let token = portal(&house, &desk, &asha, "asha.1980").await;
    let second = json!({ "username": "asha.two" });
    let answer = house.post_as(&desk, &path, &second).await;
    assert_eq!(answer.problem(409), "logins.exists");
    let listed = house.get_as(&desk, &path).await;
    check("PatientLogin", &listed.items()[0]);
    assert_eq!(listed.items()[0]["username"], "asha.1980");
    assert_eq!(listed.items()[0]["created_by"], "clerk");
    assert!(!listed.json.to_string().contains("argon2"));

    // a new password ends what was open with the old one
    let made = house.post_as(&desk, &reset, &json!({})).await;
    let one_time = text(made.ok(), "one_time_password").to_owned();
    let answer = house.get_as(&token, "/api/v1/me/record").await;
    assert_eq!(answer.problem(401), "auth.token");
    let old = json!({ "username": "asha.1980", "password": PASSWORD });
    assert_eq!(house.login(&old).await.problem(401), "auth.login");
    house.sign_in("asha.1980", &one_time, None).await;

    let end = format!("{path}/end");
    let why = json!({ "reason": "asked for it" });
    let stale = house
        .write_with(&desk, "POST", &end, &why, &[("if-match", "\"9\"")])
        .await;
    assert_eq!(stale.problem(412), "logins.stale");
    house.post_as(&desk, &end, &why).await.ok();
    let again = json!({ "username": "asha.1980", "password": one_time });
    assert_eq!(house.login(&again).await.problem(401), "auth.login");
    let answer = house.post_as(&desk, &end, &why).await;
    assert_eq!(answer.problem(404), "logins.unknown");
    let listed = house.get_as(&desk, &path).await;
    assert_eq!(listed.items()[0]["ended_as"], "desk");
    assert_eq!(listed.items()[0]["end_reason"], "asked for it");
    // nobody lets him in again by the way for staff
    let user = text(&listed.items()[0], "id").to_owned();
    let active = json!({ "state": "active", "reason": "by mistake" });
    let state = format!("/api/v1/users/{user}/state");
    assert_eq!(
        house.post(&state, &active).await.problem(409),
        "logins.ended_conflict"
    );
    assert_eq!(
        house.post_as(&desk, &path, &second).await.status,
        StatusCode::CREATED
    );
}

#[tokio::test]
async fn a_restricted_chart_is_open_to_whom_it_is_about_and_to_no_desk_by_a_password_of_his() {
    let house = House::new().await;
    let desk = desk(&house).await;
    house.report("12345", 1, vec![coded("GLU", "104")]).await;
    let asha = id_of(&house, "12345").await;
    let token = portal(&house, &desk, &asha, "asha.1980").await;
    let restrict = json!({ "restricted": true, "reason": "member of staff" });
    let path = format!("/api/v1/patients/{asha}/restriction");
    house.post(&path, &restrict).await.ok();
    house.get_as(&token, "/api/v1/me/record").await.ok();
    assert_eq!(values(&house, &token).await, ["104"]);
    let reset = format!("{}/reset-password", login_of(&asha));
    let refused = house.post_as(&desk, &reset, &json!({})).await;
    assert_eq!(refused.problem(403), "auth.relationship");
    let end = format!("{}/end", login_of(&asha));
    let why = json!({ "reason": "telephone stolen" });
    house.post_as(&desk, &end, &why).await.ok();
    let wanted = json!({ "username": "asha.two" });
    let refused = house.post_as(&desk, &login_of(&asha), &wanted).await;
    assert_eq!(refused.problem(403), "auth.relationship");
    // who may restrict charts opens them
    let made = house.post(&login_of(&asha), &wanted).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
}

#[tokio::test]
async fn a_patient_sees_his_appointments_and_nobody_elses() {
    let house = House::new().await;
    let (_, slots) = schedule(&house, "OPD").await;
    let (asha, ravi) = (patient(&house, "1001").await, patient(&house, "1002").await);
    booked(&house, &slots[0], &asha).await;
    booked(&house, &slots[1], &ravi).await;
    let token = portal(&house, house.token(), &asha, "asha.1980").await;
    let mine = house.get_as(&token, "/api/v1/me/appointments").await;
    assert_eq!(mine.items().len(), 1, "{}", mine.json);
    let one = &mine.items()[0];
    check("OwnAppointment", one);
    assert_eq!(one["patient_id"], asha.as_str());
    assert_eq!(one["starts_at"], slots[0]["starts_at"]);
    assert_eq!(one["reason"], "a private matter");
    assert!(one.get("note").is_none() && one.get("created_by").is_none());
}

/// A log-in goes along with its record: with a record of his own making, and a log-in for it, a clerk would come into any chart.
#[tokio::test]
async fn no_desk_comes_into_a_restricted_chart_by_a_merge_with_a_record_that_has_a_log_in() {
    let house = House::new().await;
    let desk = desk(&house).await;
    let (made, closed) = (patient(&house, "1001").await, patient(&house, "1002").await);
    let token = portal(&house, &desk, &made, "clerks.own").await;
    let restrict = json!({ "restricted": true, "reason": "member of staff" });
    let path = format!("/api/v1/patients/{closed}/restriction");
    house.post(&path, &restrict).await.ok();
    for (kept, retired) in [(&made, &closed), (&closed, &made)] {
        let merge = json!({ "retired": retired, "reason": "registered twice" });
        let path = format!("/api/v1/patients/{kept}/merge");
        let refused = house.post_as(&desk, &path, &merge).await;
        assert_eq!(refused.problem(403), "auth.relationship");
    }
    let record = house.get_as(&token, "/api/v1/me/record").await;
    assert_eq!(record.ok()["patient_id"], made.as_str());
    // who may restrict charts opens them; and what is merged with one nobody else parts from it
    let merge = json!({ "retired": made, "reason": "registered twice" });
    let path = format!("/api/v1/patients/{closed}/merge");
    house.post(&path, &merge).await.ok();
    let path = format!("/api/v1/patients/{made}/unmerge");
    let why = json!({ "reason": "two people" });
    let refused = house.post_as(&desk, &path, &why).await;
    assert_eq!(refused.problem(403), "auth.relationship");
    house.post(&path, &why).await.ok();
}

/// EM7
#[tokio::test]
async fn of_two_log_ins_one_survives_a_merge_which_is_not_refused() {
    let house = House::new().await;
    let desk = desk(&house).await;
    let (kept, retired) = (patient(&house, "1001").await, patient(&house, "1002").await);
    let gone = portal(&house, &desk, &retired, "asha.old").await;
    let own = portal(&house, &desk, &kept, "asha.1980").await;
    let merge = json!({ "retired": retired, "reason": "registered twice" });
    house
        .post_as(&desk, &format!("/api/v1/patients/{kept}/merge"), &merge)
        .await
        .ok();
    let record = house.get_as(&own, "/api/v1/me/record").await;
    assert_eq!(record.ok()["patient_id"], kept.as_str());
    assert_eq!(record.json["identifiers"].as_array().unwrap().len(), 2);
    // at another process his token is known for some seconds, and shows nothing
    let answer = house.get_as(&gone, "/api/v1/me/record").await;
    assert!(
        [401, 404].contains(&answer.status.as_u16()),
        "{}",
        answer.json
    );
    let old = json!({ "username": "asha.old", "password": PASSWORD });
    assert_eq!(house.login(&old).await.problem(401), "auth.login");
    for patient in [&kept, &retired] {
        let listed = house.get_as(&desk, &login_of(patient)).await;
        let stands: Vec<(&str, &Value)> = listed
            .items()
            .iter()
            .map(|one| (text(one, "username"), &one["ended_as"]))
            .collect();
        assert_eq!(
            stands,
            [("asha.1980", &Value::Null), ("asha.old", &json!("merge"))]
        );
    }
    let trail = house
        .get(&format!(
            "/api/v1/audit?action=users.patient_login.end&touched={retired}"
        ))
        .await;
    assert_eq!(
        trail.items()[0]["reason"],
        "records of one patient were merged: registered twice"
    );
}
