//! Who saw whose data: each look at patients' data leaves a row, and what can't be recorded is not shown.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};
use sqlx::Connection as _;

use super::house::{House, PASSWORD};
use super::samples::coded;

async fn rows(house: &House, path: &str) -> Vec<Value> {
    house.get(path).await.items().clone()
}

#[tokio::test]
async fn every_look_at_a_chart_leaves_a_row_that_names_the_patient() {
    let house = House::new().await;
    house.report("12345", 1, vec![coded("GLU", "104")]).await;
    house.report("67890", 2, vec![coded("GLU", "95")]).await;
    let nurse = house
        .user(
            &house.tenant,
            &[
                "patients:read",
                "results:read",
                "orders:read",
                "encounters:read",
                "channels:read",
            ],
        )
        .await;
    let list = house.get_as(&nurse, "/api/v1/patients").await;
    let of = |number: &str| {
        list.items()
            .iter()
            .find(|patient| patient.to_string().contains(number))
            .unwrap()["id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (patient, other) = (of("12345"), of("67890"));
    let results = house
        .get_as(&nurse, "/api/v1/results?patient_identifier=12345")
        .await;
    let report = results.items()[0]["report_id"].as_str().unwrap().to_owned();
    for path in [
        format!("/api/v1/patients/{patient}"),
        format!("/api/v1/patients/{patient}/results"),
        format!("/api/v1/patients/{patient}/reports"),
        format!("/api/v1/patients/{patient}/orders"),
        format!("/api/v1/patients/{patient}/encounters"),
        format!("/api/v1/reports/{report}"),
    ] {
        house.get_as(&nurse, &path).await.ok();
    }
    // nothing was shown, or nothing of a patient
    house.get_as(&nurse, "/api/v1/channels").await.ok();
    house
        .get_as(
            &nurse,
            "/api/v1/patients/018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c",
        )
        .await
        .problem(404);
    house.get_as(&nurse, "/api/v1/messages").await.problem(403);

    let seen = rows(
        &house,
        &format!("/api/v1/audit?patient={patient}&actor=nurse"),
    )
    .await;
    let mut objects: Vec<&str> = seen
        .iter()
        .map(|row| row["object"].as_str().unwrap())
        .collect();
    objects.sort_unstable();
    let mut expected = vec![
        "/api/v1/patients".to_owned(),
        format!("/api/v1/patients/{patient}"),
        format!("/api/v1/patients/{patient}/encounters"),
        format!("/api/v1/patients/{patient}/orders"),
        format!("/api/v1/patients/{patient}/reports"),
        format!("/api/v1/patients/{patient}/results"),
        format!("/api/v1/reports/{report}"),
        "/api/v1/results".to_owned(),
    ];
    expected.sort_unstable();
    assert_eq!(objects, expected);
    assert!(
        seen.iter().all(|row| !row.to_string().contains("12345")),
        "the words of a search stay out of the trail"
    );
    let others = rows(
        &house,
        &format!("/api/v1/audit?patient={other}&actor=nurse"),
    )
    .await;
    assert_eq!(others.len(), 1, "the list named both: {others:?}");
    let all = rows(&house, "/api/v1/audit?actor=nurse&limit=500").await;
    assert_eq!(
        all.iter()
            .filter(|row| row["action"].as_str().unwrap().starts_with("read."))
            .count(),
        8
    );
    house
        .get("/api/v1/audit?patient=018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c")
        .await
        .problem(404);
}

/// Looks of `nurse` on record.
async fn looks(house: &House) -> Vec<Value> {
    let rows = rows(house, "/api/v1/audit?actor=nurse&limit=500").await;
    rows.into_iter()
        .filter(|row| row["action"].as_str().unwrap().starts_with("read."))
        .collect()
}

/// What the handler told is on record, whatever of it is narrowed away afterwards; what was not told is not.
#[tokio::test]
async fn on_record_is_what_was_shown_and_nothing_else() {
    let house = House::new().await;
    house.report("12345", 1, vec![coded("GLU", "104")]).await;
    let nurse = house
        .user(&house.tenant, &["patients:read", "results:read"])
        .await;
    let patient = house.get("/api/v1/patients?identifier=12345").await.items()[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let results = "/api/v1/results?patient_identifier=12345";
    let narrowed = house
        .get_as(&nurse, &format!("{results}&fields=code"))
        .await;
    assert!(!narrowed.json.to_string().contains(&patient));
    let seen = rows(
        &house,
        &format!("/api/v1/audit?patient={patient}&actor=nurse"),
    )
    .await;
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0]["object"], "/api/v1/results");

    // refused, unknown, not asked as it must be, not changed: nothing was shown
    let resource = format!("/fhir/Patient/{patient}");
    let shown = house.get_as(&nurse, &resource).await;
    let tag = shown.header("etag").to_owned();
    assert!(!tag.is_empty());
    assert_eq!(looks(&house).await.len(), 2);
    for path in [
        format!("{results}&fields=no_such_member"),
        format!("{results}&limit=0"),
        format!("/api/v1/patients/{patient}/encounters"),
        "/api/v1/reports/018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c".to_owned(),
    ] {
        assert!(house.get_as(&nurse, &path).await.status.is_client_error());
    }
    let unchanged = Request::get(&resource)
        .header(header::AUTHORIZATION, format!("Bearer {nurse}"))
        .header(header::IF_NONE_MATCH, &tag)
        .body(Body::empty())
        .unwrap();
    assert_eq!(house.send(unchanged).await.status, 304);
    assert_eq!(looks(&house).await.len(), 2);

    // a search by POST is a look each time, also under a key
    let search = || {
        Request::post("/fhir/Patient/_search")
            .header(header::AUTHORIZATION, format!("Bearer {nurse}"))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("idempotency-key", "one")
            .body(Body::from("identifier=12345"))
            .unwrap()
    };
    for count in 3..5 {
        let found = house.send(search()).await;
        assert_eq!(found.json["entry"].as_array().unwrap().len(), 1);
        let looks = looks(&house).await;
        assert_eq!(looks.len(), count);
        assert_eq!(looks[0]["object"], "/fhir/Patient/_search");
    }
}

/// The trail of a bundle says of each entry what was shown under which permission, as if it had come alone.
#[tokio::test]
async fn each_entry_of_a_bundle_is_a_look_of_its_own() {
    let house = House::new().await;
    house.report("12345", 1, vec![coded("GLU", "104")]).await;
    house.report("67890", 2, vec![coded("GLU", "95")]).await;
    let id = async |number: &str| {
        let path = format!("/api/v1/patients?identifier={number}");
        house.get(&path).await.items()[0]["id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (patient, other) = (id("12345").await, id("67890").await);
    let nurse = house
        .user(&house.tenant, &["patients:read", "results:read"])
        .await;
    let get = |url: String| json!({ "request": { "method": "GET", "url": url } });
    let bundle = json!({ "resourceType": "Bundle", "type": "batch", "entry": [
        get(format!("Patient/{patient}")),
        get(format!("Observation?patient={other}")),
        get("Encounter".to_owned()),
    ] });
    house.post_as(&nurse, "/fhir", &bundle).await.ok();
    let mut seen = looks(&house).await;
    seen.sort_by_key(|row| row["action"].as_str().unwrap().to_owned());
    let told: Vec<(&str, &str, &str)> = seen
        .iter()
        .map(|row| {
            (
                row["action"].as_str().unwrap(),
                row["object"].as_str().unwrap(),
                row["detail"]["permission"].as_str().unwrap(),
            )
        })
        .collect();
    let resource = format!("/fhir/Patient/{patient}");
    assert_eq!(
        told,
        [
            ("read.patients", resource.as_str(), "patients:read"),
            ("read.results", "/fhir/Observation", "results:read"),
        ]
    );
    assert_eq!(seen[0]["detail"]["route"], "/fhir/Patient/{id}");
    for (whose, action) in [(&patient, "read.patients"), (&other, "read.results")] {
        let path = format!("/api/v1/audit?patient={whose}&actor=nurse");
        let rows = rows(&house, &path).await;
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert_eq!(rows[0]["action"], action);
    }
}

#[tokio::test]
async fn what_can_not_be_recorded_is_not_shown() {
    let house = House::new().await;
    house.report("12345", 1, vec![coded("GLU", "104")]).await;
    let mut owner = sqlx::PgConnection::connect_with(house.database.owner_options())
        .await
        .unwrap();
    sqlx::raw_sql("revoke insert on audit.entries from hub_app")
        .execute(&mut owner)
        .await
        .unwrap();
    let refused = house.get("/api/v1/patients").await;
    assert_eq!(refused.problem(503), "audit.unavailable");
    assert!(!refused.json.to_string().contains("12345"));
    // what is of nobody is shown
    house.get("/api/v1/channels").await.ok();
    sqlx::raw_sql("grant insert on audit.entries to hub_app")
        .execute(&mut owner)
        .await
        .unwrap();
    assert_eq!(house.get("/api/v1/patients").await.items().len(), 1);
}

#[tokio::test]
async fn looks_at_the_same_moment_are_all_on_record() {
    let house = std::sync::Arc::new(House::new().await);
    house.report("12345", 1, vec![coded("GLU", "104")]).await;
    let token = house.user(&house.tenant, &["patients:read"]).await;
    let mut looks = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let (house, token) = (house.clone(), token.clone());
        looks.spawn(async move { house.get_as(&token, "/api/v1/patients").await.status });
    }
    assert!(looks.join_all().await.iter().all(|status| *status == 200));
    let mut tx = house.database.tx(&house.tenant).await;
    let count: i64 = sqlx::query_scalar(
        "select count(*) from audit.entries where action = 'read.patients' and actor = 'nurse'",
    )
    .fetch_one(tx.conn())
    .await
    .unwrap();
    assert_eq!(count, 200);
}

#[tokio::test]
async fn the_trail_is_verified_over_rest_and_the_altered_row_is_named() {
    let house = House::new().await;
    house.report("12345", 1, vec![coded("GLU", "104")]).await;
    for _ in 0..3 {
        house.get("/api/v1/patients").await.ok();
    }
    worker_integration::maintain::seal(house.database.pool(), &house.tenant)
        .await
        .unwrap();
    let found = house.get("/api/v1/audit/verify").await;
    assert_eq!(found.ok()["whole"], true, "{}", found.json);
    assert!(found.json["intact"].as_i64().unwrap() >= 3);
    let mut owner = sqlx::PgConnection::connect_with(house.database.owner_options())
        .await
        .unwrap();
    sqlx::raw_sql("alter table audit.entries no force row level security")
        .execute(&mut owner)
        .await
        .unwrap();
    let altered: i64 = sqlx::query_scalar(
        "update audit.entries set actor = 'nobody' where id = (select max(id) - 1 from audit.entries where action = 'read.patients') returning id",
    )
    .fetch_one(&mut owner)
    .await
    .unwrap();
    sqlx::raw_sql("alter table audit.entries force row level security")
        .execute(&mut owner)
        .await
        .unwrap();
    let found = house.get("/api/v1/audit/verify").await;
    assert_eq!(found.ok()["whole"], false);
    assert_eq!(found.json["broken"]["what"], "altered");
    assert_eq!(found.json["broken"]["entry_id"], altered);
    assert!(house.get("/api/v1/audit/roots").await.items().is_empty());
    house
        .get("/api/v1/audit/verify?from=yesterday")
        .await
        .problem(400);
}

#[tokio::test]
async fn a_suspended_tenant_reads_and_does_not_write_and_a_closed_one_does_neither() {
    let house = House::new().await;
    worker_identity::tenants::ensure(
        house.database.pool(),
        &[(house.tenant.clone(), "Demo".to_owned())],
    )
    .await
    .unwrap();
    hub_api::bootstrap_admin(
        house.database.pool(),
        &schemas::platform::platform(),
        Some(PASSWORD.to_owned()),
    )
    .await
    .unwrap();
    let root = house.sign_in("admin", PASSWORD, Some("platform")).await;
    let change = |to: &'static str| json!({ "state": to, "reason": "three invoices unpaid" });
    let path = "/api/v1/platform/tenants/demo/state";
    // a customer's administrator has every permission, and this is not his
    assert_eq!(
        house.post(path, &change("suspended")).await.problem(403),
        "auth.platform"
    );
    let seen = house.get_as(&root, "/api/v1/platform/tenants/demo").await;
    assert_eq!(seen.ok()["state"], "active");
    house.post_as(&root, path, &change("suspended")).await.ok();

    house.get("/api/v1/patients").await.ok();
    let order = json!({ "username": "asha", "display_name": "Asha" });
    assert_eq!(
        house.post("/api/v1/users", &order).await.problem(403),
        "tenant.suspended"
    );
    house.post_as(&root, path, &change("active")).await.ok();
    let made = house.post("/api/v1/users", &order).await;
    assert_eq!(made.status, 201, "{}", made.json);

    let refused = house.post_as(&root, path, &change("draft")).await;
    assert_eq!(refused.problem(409), "tenants.state_conflict");
    assert!(
        refused.json["detail"]
            .as_str()
            .unwrap()
            .contains("allowed: past_due, suspended")
    );

    // limits hold
    let limits = json!({ "limits": { "users": 2 } });
    let patched = house
        .write_as(&root, "PATCH", "/api/v1/platform/tenants/demo", &limits)
        .await;
    assert_eq!(patched.status, 200, "{}", patched.json);
    let third = json!({ "username": "ravi", "display_name": "Ravi" });
    assert_eq!(
        house.post("/api/v1/users", &third).await.problem(402),
        "limit.users"
    );
    // and who administers the hospital sees them come
    let me = house.get("/api/v1/me").await;
    assert_eq!(
        me.ok()["plan_limits"],
        json!([{ "limit": "users", "used": 2, "most": 2, "near": true }])
    );
    let nurse = house.user(&house.tenant, &["patients:read"]).await;
    let me = house.get_as(&nurse, "/api/v1/me").await;
    assert!(me.ok().get("plan_limits").is_none());
    let limits = json!({ "limits": { "api_per_minute": 10 } });
    house
        .write_as(&root, "PATCH", "/api/v1/platform/tenants/demo", &limits)
        .await
        .ok();
    let mut last = house.get("/api/v1/channels").await;
    for _ in 0..3 {
        last = house.get("/api/v1/channels").await;
    }
    assert_eq!(last.problem(429), "limit.api_per_minute");
}

#[tokio::test]
async fn a_tenant_is_made_over_rest_once_a_key() {
    let house = House::new().await;
    let root = schemas::platform::platform();
    hub_api::bootstrap_admin(house.database.pool(), &root, Some(PASSWORD.to_owned()))
        .await
        .unwrap();
    let root = house.sign_in("admin", PASSWORD, Some("platform")).await;
    let order = json!({ "id": "apollo", "name": "Apollo Clinic", "plan": "trial", "provisioning_key": "crm-4711" });
    let made = house
        .post_as(&root, "/api/v1/platform/tenants", &order)
        .await;
    assert_eq!(made.status, 201, "{}", made.json);
    let again = house
        .post_as(&root, "/api/v1/platform/tenants", &order)
        .await;
    assert_eq!(again.ok()["created"], false);
    assert!(again.json.get("one_time_password").is_none());
    let one_time = made.json["one_time_password"].as_str().unwrap();
    let token = house.sign_in("admin", one_time, Some("apollo")).await;
    assert_eq!(
        house.get_as(&token, "/api/v1/channels").await.problem(403),
        "auth.password_change"
    );
    assert_eq!(
        house.get_as(&token, "/api/v1/me").await.ok()["features"],
        json!([])
    );
    let clinic = "/api/v1/platform/plans/clinic";
    let wrong = json!({ "name": "Clinic", "features": ["Pharmacy!"] });
    let refused = house.write_as(&root, "PUT", clinic, &wrong).await;
    assert_eq!(refused.problem(400), "request.invalid");
    let plan = json!({ "name": "Clinic", "limits": { "users": 40 }, "features": ["pharmacy", "appointments", "pharmacy"] });
    house.write_as(&root, "PUT", clinic, &plan).await.ok();
    // what its plan shows is read by the hospital's apps
    let change = json!({ "plan": "clinic" });
    house
        .write_as(&root, "PATCH", "/api/v1/platform/tenants/apollo", &change)
        .await
        .ok();
    assert_eq!(
        house.get_as(&token, "/api/v1/me").await.ok()["features"],
        json!(["appointments", "pharmacy"])
    );
    let plans = house.get_as(&root, "/api/v1/platform/plans").await;
    assert_eq!(plans.items().len(), 3);
    let listed = house.get_as(&root, "/api/v1/platform/tenants").await;
    let names: Vec<&str> = listed
        .items()
        .iter()
        .map(|one| one["id"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["apollo", "platform"]);
}
