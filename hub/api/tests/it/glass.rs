//! Charts: places, relationships, emergencies.

use axum::http::StatusCode;
use schemas::Patch;
use schemas::care::{EncounterAction, EncounterReported, Location};
use serde_json::{Value, json};

use super::backbone::Mood;
use super::house::{House, PASSWORD};
use super::samples::{coded, identifier};

/// A patient with a result, and with an encounter on a ward; the patient's id.
pub(crate) async fn patient_on(house: &House, number: &str, seq: u64, ward: &str) -> String {
    house.report(number, seq, vec![coded("GLU", "104")]).await;
    let admitted = EncounterReported {
        action: EncounterAction::Admitted,
        subject: identifier(&house.tenant, number),
        visit_number: Some(format!("V-{number}")),
        class: Patch::Set("I".to_owned()),
        location: Patch::Set(Location {
            point_of_care: Some(ward.to_owned()),
            facility: Some("MAIN".to_owned()),
            ..Location::default()
        }),
        prior_location: Patch::Keep,
        attending: Patch::Keep,
        referring: Patch::Keep,
        service: Patch::Keep,
        admitted_at: Patch::Set("2026-03-01T08:00:00Z".to_owned()),
        discharged_at: Patch::Keep,
        disposition: Patch::Keep,
        occurred_at: Some("2026-03-01T08:00:00Z".to_owned()),
    };
    house.event(&admitted).await;
    let found = house
        .get(&format!("/api/v1/patients?identifier={number}"))
        .await;
    found.items()[0]["id"].as_str().unwrap().to_owned()
}

async fn nurse(house: &House, name: &str, department: &str) -> (String, String) {
    let (id, tokens) = house.staff(name).await;
    let grant = json!({ "role": "nurse", "facility": "MAIN", "department": department });
    house.grant(&id, &grant).await;
    (id, tokens["access_token"].as_str().unwrap().to_owned())
}

const PARTS: [&str; 4] = ["encounters", "orders", "results", "reports"];

/// AU3
#[tokio::test]
async fn a_nurse_opens_the_charts_of_her_ward_and_another_one_only_by_breaking_the_glass() {
    let house = House::new().await;
    let hers = patient_on(&house, "1001", 1, "WARD-A").await;
    let other = patient_on(&house, "1002", 2, "WARD-B").await;
    let (_, token) = nurse(&house, "asha", "WARD-A").await;
    for part in PARTS {
        let path = format!("/api/v1/patients/{hers}/{part}");
        house.get_as(&token, &path).await.ok();
        let path = format!("/api/v1/patients/{other}/{part}");
        let refused = house.get_as(&token, &path).await;
        assert_eq!(refused.problem(403), "auth.relationship", "{part}");
    }
    // she finds both at the desk, and no list shows what stands in charts
    house
        .get_as(&token, &format!("/api/v1/patients/{other}"))
        .await
        .ok();
    for path in [
        "/api/v1/results?patient_identifier=1002",
        "/api/v1/results?patient_identifier=1001",
        "/api/v1/worklists/criticals",
    ] {
        let refused = house.get_as(&token, path).await;
        assert_eq!(refused.problem(403), "auth.scope", "{path}");
    }

    // she orders for her own patients
    let order = |number: &str| json!({ "patient_identifier": number, "code": { "code": "2345-7", "system": "LN" } });
    let placed = house
        .post_as(&token, "/api/v1/orders", &order("1001"))
        .await;
    assert_eq!(placed.status, StatusCode::CREATED, "{}", placed.json);
    let refused = house
        .post_as(&token, "/api/v1/orders", &order("1002"))
        .await;
    assert_eq!(refused.problem(403), "auth.relationship");

    let path = "/api/v1/break-glass";
    let short = json!({ "patient_id": other, "reason": "because" });
    let refused = house.post_as(&token, path, &short).await;
    assert_eq!(refused.problem(400), "request.invalid");
    let nobody = json!({ "patient_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "reason": "unconscious, allergies unknown" });
    let refused = house.post_as(&token, path, &nobody).await;
    assert_eq!(refused.problem(404), "patients.unknown");
    let emergency = json!({ "patient_id": other, "reason": "unconscious, allergies unknown" });
    let broken = house.post_as(&token, path, &emergency).await;
    assert_eq!(broken.status, StatusCode::CREATED, "{}", broken.json);
    let results = format!("/api/v1/patients/{other}/results");
    let shown = house.get_as(&token, &results).await;
    assert_eq!(shown.items().len(), 1);

    // the breaking and each look are on record; without the record nothing is shown
    let rows = house
        .get(&format!(
            "/api/v1/audit?action=auth.break_glass&touched={other}"
        ))
        .await;
    assert_eq!(rows.items()[0]["reason"], "unconscious, allergies unknown");
    assert_eq!(rows.items()[0]["actor"], "asha");
    let rows = house
        .get("/api/v1/audit?action=chart.read_in_emergency&actor=asha")
        .await;
    assert_eq!(rows.items().len(), 1);
    house.backbone.be(Mood::Down);
    let refused = house.get_as(&token, &results).await;
    assert_eq!(refused.problem(503), "audit.unavailable");
    house.backbone.be(Mood::Willing);

    // four hours later
    let mut tx = house.database.tx(&house.tenant).await;
    sqlx::query("update users.broken_glass set expires_at = now() - interval '1 second'")
        .execute(tx.conn())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let token = house.sign_in("asha", PASSWORD, None).await;
    let refused = house.get_as(&token, &results).await;
    assert_eq!(refused.problem(403), "auth.relationship");
}

/// AU5, for what this domain has to approve.
#[tokio::test]
async fn who_broke_the_glass_does_not_review_it() {
    let house = House::new().await;
    let other = patient_on(&house, "1002", 2, "WARD-B").await;
    let (id, token) = nurse(&house, "asha", "WARD-A").await;
    house.grant(&id, &json!({ "role": "auditor" })).await;
    let emergency = json!({ "patient_id": other, "reason": "unconscious, allergies unknown" });
    let broken = house
        .post_as(&token, "/api/v1/break-glass", &emergency)
        .await;
    assert_eq!(broken.status, StatusCode::CREATED);
    // the privacy officer is told, and finds it
    let (officer, tokens) = house.staff("officer").await;
    house.grant(&officer, &json!({ "role": "auditor" })).await;
    let officer = tokens["access_token"].as_str().unwrap();
    let told = house
        .get_as(officer, "/api/v1/changes?topics=emergencies&since=0.0")
        .await;
    assert_eq!(told.items()[0]["type"], "auth.glass.broken");
    let listed = house.get_as(officer, "/api/v1/break-glass").await;
    let item = &listed.items()[0];
    assert_eq!(
        (&item["username"], &item["state"], &item["patient_id"]),
        (&json!("asha"), &json!("open"), &json!(other))
    );
    let path = format!(
        "/api/v1/break-glass/{}/review",
        item["id"].as_str().unwrap()
    );
    let finding = json!({ "finding": "justified", "note": "brought in by ambulance" });
    let own = house.post_as(&token, &path, &finding).await;
    assert_eq!(own.problem(403), "approval.own_work_forbidden");
    house.post_as(officer, &path, &finding).await.ok();
    let again = house.post(&path, &finding).await;
    assert_eq!(again.problem(409), "glass.already_reviewed");
    assert!(house.get("/api/v1/break-glass").await.items().is_empty());
    let all = house.get("/api/v1/break-glass?state=all").await;
    assert_eq!(all.items()[0]["reviewed_by"], "officer");
    assert_eq!(all.items()[0]["finding"], "justified");
    let page = house.get("/api/v1/break-glass?state=all&limit=1").await;
    let cursor = page.ok()["next_cursor"].as_str().unwrap();
    let rest = house
        .get(&format!("/api/v1/break-glass?state=all&cursor={cursor}"))
        .await;
    assert!(rest.items().is_empty());
}

#[tokio::test]
async fn where_a_relationship_is_demanded_a_role_alone_opens_no_chart() {
    let house = House::with(|state| state.with_care_relationship(true)).await;
    let patient = patient_on(&house, "1001", 1, "WARD-A").await;
    let (id, tokens) = house.staff("ravi").await;
    house.grant(&id, &json!({ "role": "doctor" })).await;
    let token = tokens["access_token"].as_str().unwrap();
    let results = format!("/api/v1/patients/{patient}/results");
    for path in [&results, "/api/v1/results?patient_identifier=1001"] {
        let refused = house.get_as(token, path).await;
        assert_eq!(refused.problem(403), "auth.relationship", "{path}");
    }
    house
        .get_as(token, "/api/v1/patients?identifier=1001")
        .await
        .ok();
    let here = json!({ "role": "doctor", "facility": "MAIN" });
    let grant = house.grant(&id, &here).await;
    // a grant of the whole hospital takes nothing from one of the place
    house.get_as(token, &results).await.ok();
    house
        .post(
            &format!("/api/v1/grants/{grant}/end"),
            &json!({ "reason": "x" }),
        )
        .await
        .ok();
    let emergency = json!({ "patient_id": patient, "reason": "unconscious, allergies unknown" });
    let broken = house
        .post_as(token, "/api/v1/break-glass", &emergency)
        .await;
    assert_eq!(broken.status, StatusCode::CREATED);
    house.get_as(token, &results).await.ok();
    // who has the right to all charts needs none of it
    house.get(&results).await.ok();
    house
        .get("/api/v1/results?patient_identifier=1001")
        .await
        .ok();
}

/// Off, as it is by default, all is as before.
#[tokio::test]
async fn where_none_is_demanded_a_role_for_the_whole_hospital_opens_every_chart() {
    let house = House::new().await;
    let patient = patient_on(&house, "1001", 1, "WARD-A").await;
    let (id, tokens) = house.staff("ravi").await;
    house.grant(&id, &json!({ "role": "doctor" })).await;
    let token = tokens["access_token"].as_str().unwrap();
    for part in PARTS {
        house
            .get_as(token, &format!("/api/v1/patients/{patient}/{part}"))
            .await
            .ok();
    }
    let me: Value = house.get_as(token, "/api/v1/me").await.ok().clone();
    assert!(
        me["permissions"]
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one.get("facility").is_none())
    );
}
