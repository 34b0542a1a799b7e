//! Who may see what: as in REST, and no other way in.

use axum::body::Body;
use axum::http::Request;
use serde_json::json;
use test_support::tenant;

use super::super::backbone::Mood;
use super::super::house::House;
use super::{charted, matches, of_mode, order, outcome, patient_on, pulse, resource};

const PARTS: [&str; 10] = [
    "Encounter",
    "ServiceRequest",
    "Specimen",
    "DiagnosticReport",
    "Observation",
    "Condition",
    "AllergyIntolerance",
    "MedicationRequest",
    "Appointment",
    "DocumentReference",
];

async fn nurse(house: &House, name: &str, department: &str) -> String {
    let (id, tokens) = house.staff(name).await;
    house
        .grant(
            &id,
            &json!({ "role": "nurse", "facility": "MAIN", "department": department }),
        )
        .await;
    tokens["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_chart_opens_by_the_caller_s_places_and_an_emergency_is_on_record() {
    let house = House::new().await;
    let hers = patient_on(&house, "1001", 1, "WARD-A").await;
    let other = patient_on(&house, "1002", 2, "WARD-B").await;
    charted(&house, &other).await;
    let mut ids = Vec::new();
    for kind in PARTS {
        order(&house, "1002", &format!("T-{kind}")).await;
        let found = house.get(&format!("/fhir/{kind}?patient={other}")).await;
        ids.push(format!(
            "/fhir/{kind}/{}",
            matches(&found)[0]["id"].as_str().unwrap()
        ));
    }
    let token = nurse(&house, "asha", "WARD-A").await;
    for (kind, id) in PARTS.iter().zip(&ids) {
        let own = house
            .get_as(&token, &format!("/fhir/{kind}?patient={hers}"))
            .await;
        resource(&own);
        for path in [
            format!("/fhir/{kind}?patient={other}"),
            id.clone(),
            format!("{id}/_history"),
        ] {
            let refused = house.get_as(&token, &path).await;
            assert_eq!(outcome(&refused, 403), "auth.relationship", "{path}");
            assert_eq!(refused.json["issue"][0]["code"], "forbidden");
        }
        // a search by number shows of the charts that are not hers nothing
        let by_id = house
            .get_as(
                &token,
                &format!("/fhir/{kind}?_id={}", id.rsplit('/').next().unwrap()),
            )
            .await;
        assert!(matches(&by_id).is_empty(), "{kind}");
    }
    let both = house
        .get_as(&token, "/fhir/Encounter?identifier=V-1,V-2")
        .await;
    assert_eq!(matches(&both).len(), 1);
    let everything = house
        .get_as(&token, &format!("/fhir/Patient/{other}/$everything"))
        .await;
    assert_eq!(outcome(&everything, 403), "auth.relationship");
    let provenance = house
        .get_as(
            &token,
            &format!("/fhir/Provenance?target={}", &ids[0]["/fhir/".len()..]),
        )
        .await;
    assert!(matches(&provenance).is_empty());
    for path in ["/fhir/AuditEvent", "/fhir/Practitioner"] {
        let code = outcome(&house.get_as(&token, path).await, 403).to_owned();
        assert!(code.starts_with("auth."), "{path}: {code}");
    }

    let emergency = json!({ "patient_id": other, "reason": "unconscious, allergies unknown" });
    let broken = house
        .post_as(&token, "/api/v1/break-glass", &emergency)
        .await;
    assert_eq!(broken.status.as_u16(), 201, "{}", broken.json);
    let path = format!("/fhir/Observation?patient={other}&category=laboratory");
    assert_eq!(matches(&house.get_as(&token, &path).await).len(), 2);
    let rows = house
        .get("/fhir/AuditEvent?subtype=chart.read_in_emergency")
        .await;
    let row = matches(&rows)[0];
    assert_eq!(row["agent"][0]["who"]["identifier"]["value"], "asha");
    assert_eq!(row["purposeOfEvent"][0]["coding"][0]["code"], "BTG");
    house.backbone.be(Mood::Down);
    assert_eq!(
        outcome(&house.get_as(&token, &path).await, 503),
        "audit.unavailable"
    );
}

/// Everything of a chart as this caller finds it: by the patient, by its own id, with its history.
async fn parts_of(house: &House, patient: &str) -> Vec<String> {
    let mut paths = vec![format!("/fhir/Patient/{patient}/$everything")];
    for kind in PARTS {
        let list = format!("/fhir/{kind}?patient={patient}");
        let found = house.get(&list).await;
        let id = matches(&found)[0]["id"].as_str().unwrap();
        paths.push(format!("/fhir/{kind}/{id}"));
        paths.push(format!("/fhir/{kind}/{id}/_history"));
        paths.push(list);
    }
    paths
}

#[tokio::test]
async fn a_restricted_chart_is_as_closed_here_as_anywhere() {
    let house = House::new().await;
    let patient = patient_on(&house, "1001", 1, "WARD-A").await;
    let other = patient_on(&house, "1002", 2, "WARD-A").await;
    order(&house, "1001", "T-1").await;
    pulse(&house, "1001", "72", "2026-03-01T09:00:00Z").await;
    charted(&house, &patient).await;
    let paths = parts_of(&house, &patient).await;
    let rights = [
        "patients:read",
        "encounters:read",
        "orders:read",
        "results:read",
        "vitals:read",
        "charts:read",
        "appointments:read",
        "glass:break",
    ];
    let token = house.user(&house.tenant, &rights).await;
    let nurse = nurse(&house, "asha", "WARD-A").await;
    for path in &paths {
        resource(&house.get_as(&token, path).await);
    }
    let restriction = format!("/api/v1/patients/{patient}/restriction");
    let restrict =
        |restricted: bool| json!({ "restricted": restricted, "reason": "member of staff" });
    house.post(&restriction, &restrict(true)).await.ok();
    for path in &paths {
        let refused = house.get_as(&token, path).await;
        assert_eq!(outcome(&refused, 403), "auth.relationship", "{path}");
        // who cares for him, and who may open restricted charts
        resource(&house.get_as(&nurse, path).await);
        resource(&house.get(path).await);
    }
    // a search that names no patient shows the others only
    for visits in ["Encounter?identifier=V-1,V-2", "Encounter?identifier=V-1"] {
        let found = house.get_as(&token, &format!("/fhir/{visits}")).await;
        let expected = usize::from(visits.contains("V-2"));
        assert_eq!(matches(&found).len(), expected, "{visits}");
        assert!(!found.json.to_string().contains(&patient), "{visits}");
    }
    resource(
        &house
            .get_as(&token, &format!("/fhir/Patient/{other}/$everything"))
            .await,
    );
    let emergency = json!({ "patient_id": patient, "reason": "unconscious, allergies unknown" });
    let broken = house
        .post_as(&token, "/api/v1/break-glass", &emergency)
        .await;
    assert_eq!(broken.status.as_u16(), 201, "{}", broken.json);
    resource(&house.get_as(&token, &paths[1]).await);
    house.post(&restriction, &restrict(false)).await.ok();
    for path in &paths {
        resource(&house.get_as(&token, path).await);
    }
}

#[tokio::test]
async fn who_works_on_specimens_comes_to_them_by_the_tube_and_to_no_restricted_chart() {
    let house = House::new().await;
    let patient = patient_on(&house, "1001", 1, "WARD-A").await;
    let order = order(&house, "1001", "T-1").await;
    pulse(&house, "1001", "72", "2026-03-01T09:00:00Z").await;
    let first = |found: &super::super::house::Answer| matches(found)[0]["id"].clone();
    let mut tubes = vec![format!("/fhir/ServiceRequest/{order}")];
    for kind in ["Specimen", "DiagnosticReport", "Observation"] {
        let list = format!("/fhir/{kind}?patient={patient}");
        let id = first(&house.get(&list).await);
        tubes.push(format!("/fhir/{kind}/{}", id.as_str().unwrap()));
    }
    let restrict = json!({ "restricted": true, "reason": "member of staff" });
    let path = format!("/api/v1/patients/{patient}/restriction");
    house.post(&path, &restrict).await.ok();
    let (id, tokens) = house.staff("lab").await;
    house.grant(&id, &json!({ "role": "pathologist" })).await;
    let lab = tokens["access_token"].as_str().unwrap();
    let plain = ["patients:read", "orders:read", "results:read"];
    let plain = house.user(&house.tenant, &plain).await;
    for path in &tubes {
        resource(&house.get_as(lab, path).await);
        let refused = house.get_as(&plain, path).await;
        assert_eq!(outcome(&refused, 403), "auth.relationship", "{path}");
        let (kind, id) = path["/fhir/".len()..].split_once('/').unwrap();
        for (token, count) in [(lab, 1), (plain.as_str(), 0)] {
            let found = house.get_as(token, &format!("/fhir/{kind}?_id={id}")).await;
            assert_eq!(matches(&found).len(), count, "{path}");
        }
        // by the patient it is his chart
        let list = format!("/fhir/{kind}?patient={patient}");
        let refused = house.get_as(lab, &list).await;
        assert_eq!(outcome(&refused, 403), "auth.relationship", "{list}");
    }
    for (token, count) in [(lab, 1), (plain.as_str(), 0)] {
        let found = house.get_as(token, "/fhir/Specimen?accession=T-1").await;
        assert_eq!(matches(&found).len(), count);
    }
    let everything = house
        .get_as(lab, &format!("/fhir/Patient/{patient}/$everything"))
        .await;
    assert_eq!(outcome(&everything, 403), "auth.relationship");
    let visit = house.get_as(lab, "/fhir/Encounter?identifier=V-1").await;
    assert!(matches(&visit).is_empty(), "a visit is no tube's");
}

#[tokio::test]
async fn the_trail_is_asked_for_a_patient_and_for_who_did_it() {
    let house = House::new().await;
    let patient = patient_on(&house, "1001", 1, "WARD-A").await;
    let other = patient_on(&house, "1002", 2, "WARD-A").await;
    let token = nurse(&house, "asha", "WARD-A").await;
    for seen in [&patient, &other] {
        let path = format!("/fhir/Observation?patient={seen}&category=laboratory");
        resource(&house.get_as(&token, &path).await);
    }
    house
        .get(&format!("/fhir/Encounter?patient={patient}"))
        .await;
    let actors = |found: &super::super::house::Answer| -> Vec<String> {
        let who = |event: &&serde_json::Value| {
            event["agent"][0]["who"]["identifier"]["value"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        matches(found).iter().map(who).collect()
    };
    let users = house.get("/fhir/Practitioner").await;
    let asha = matches(&users)
        .iter()
        .find(|one| one.to_string().contains("asha"))
        .unwrap()["id"]
        .clone();
    let asha = asha.as_str().unwrap();
    let base = "/fhir/AuditEvent?";
    for query in [
        format!("patient={patient}&agent=Practitioner/{asha}"),
        format!("patient=Patient/{patient}&agent={asha}"),
        format!("patient={patient}&agent:identifier=urn:hub:user|asha"),
        format!("patient={patient}&agent:identifier=asha"),
    ] {
        let found = house.get(&format!("{base}{query}")).await;
        assert_eq!(actors(&found), ["asha"], "{query}");
        let said = matches(&found)[0].to_string();
        assert!(said.contains(&patient) && !said.contains(&other), "{said}");
    }
    let found = house
        .get(&format!(
            "{base}patient={patient}&agent=Practitioner/{asha}"
        ))
        .await;
    let entry = matches(&found)[0]["id"].as_str().unwrap().to_owned();
    // together with its id each of them still has to hold
    for (query, fits) in [
        (format!("_id={entry}"), true),
        (format!("_id={entry}&patient={patient}"), true),
        (
            format!("_id=1,{entry},x&patient=Patient/{patient}&_summary=count"),
            true,
        ),
        (format!("_id={entry}&agent=Practitioner/{asha}"), true),
        (
            format!("_id={entry}&patient={patient}&agent:identifier=asha&_sort=-date"),
            true,
        ),
        (format!("_id={entry}&patient={other}"), false),
        (format!("_id={entry}&agent:identifier=admin"), false),
        (
            format!("_id={entry}&patient={patient}&agent:identifier=admin"),
            false,
        ),
        (format!("_id={entry}&patient={patient}&date=lt2020"), false),
        (format!("_id={entry}&_id=1&patient={patient}"), false),
        (format!("_id=%2B{entry}&patient={patient}"), false),
        (format!("_id=x&patient={patient}"), false),
    ] {
        let found = house.get(&format!("{base}{query}")).await;
        assert_eq!(resource(&found)["total"], u64::from(fits), "{query}");
    }
    let all = house.get(&format!("{base}patient={patient}")).await;
    let all = actors(&all);
    assert!(all.contains(&"asha".to_owned()) && all.contains(&"admin".to_owned()));
    let hers = house
        .get(&format!("{base}agent=Practitioner/{asha}&_count=100"))
        .await;
    assert!(actors(&hers).len() >= 2 && actors(&hers).iter().all(|who| who == "asha"));
    for nobody in [
        "agent=Practitioner/018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c",
        "agent:identifier=nobody",
        "agent=Patient/018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c",
        "patient=018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c",
    ] {
        let found = house.get(&format!("{base}{nobody}")).await;
        assert!(matches(&found).is_empty(), "{nobody}");
    }
}

#[tokio::test]
async fn where_a_relationship_is_demanded_a_role_alone_opens_no_chart_here_either() {
    let house = House::with(|state| state.with_care_relationship(true)).await;
    let patient = patient_on(&house, "1001", 1, "WARD-A").await;
    order(&house, "1001", "T-1").await;
    charted(&house, &patient).await;
    let paths = parts_of(&house, &patient).await;
    let (id, tokens) = house.staff("ravi").await;
    house.grant(&id, &json!({ "role": "doctor" })).await;
    let doctor = tokens["access_token"].as_str().unwrap();
    let nurse = nurse(&house, "asha", "WARD-A").await;
    for path in &paths {
        let refused = house.get_as(doctor, path).await;
        assert_eq!(outcome(&refused, 403), "auth.relationship", "{path}");
        resource(&house.get_as(&nurse, path).await);
    }
    let by_number = house.get_as(doctor, "/fhir/Encounter?identifier=V-1").await;
    assert!(matches(&by_number).is_empty());
}

#[tokio::test]
async fn what_one_permission_does_not_show_is_left_out_aloud() {
    // what a user may do is believed for some seconds: a house for each
    for (permission, found) in [("results:read", 2), ("vitals:read", 1)] {
        let house = House::new().await;
        let patient = patient_on(&house, "1001", 1, "ICU").await;
        pulse(&house, "1001", "72", "2026-03-01T09:00:00Z").await;
        let path = format!("/fhir/Observation?patient={patient}&_include=Observation:patient");
        let token = house.user(&house.tenant, &[permission]).await;
        let answer = house.get_as(&token, &path).await;
        assert_eq!(matches(&answer).len(), found, "{permission}");
        assert_eq!(
            of_mode(&answer, "outcome")[0]["issue"][0]["code"],
            "suppressed"
        );
        assert!(
            of_mode(&answer, "include").is_empty(),
            "patients:read is missing"
        );
        let refused = house.get_as(&token, "/fhir/Patient").await;
        assert_eq!(outcome(&refused, 403), "auth.permission");
    }
    let house = House::new().await;
    let patient = patient_on(&house, "1001", 1, "ICU").await;
    let path = format!("/fhir/Observation?patient={patient}");
    let token = house.user(&house.tenant, &["patients:read"]).await;
    assert_eq!(
        outcome(&house.get_as(&token, &path).await, 403),
        "auth.permission"
    );
    let everything = house
        .get_as(&token, &format!("/fhir/Patient/{patient}/$everything"))
        .await;
    assert_eq!(matches(&everything).len(), 1);
    assert!(!of_mode(&everything, "outcome").is_empty());
}

#[tokio::test]
async fn another_tenant_s_ids_are_unknown_and_his_lists_are_empty() {
    let house = House::new().await;
    let patient = patient_on(&house, "1001", 1, "ICU").await;
    let order = order(&house, "1001", "T-9").await;
    charted(&house, &patient).await;
    let other = tenant("other");
    let token = house.user(&other, &["*"]).await;
    let mut paths = vec![
        format!("/fhir/Patient/{patient}"),
        format!("/fhir/ServiceRequest/{order}"),
        format!("/fhir/Provenance/ServiceRequest.{order}"),
        format!("/fhir/Patient/{patient}/$everything"),
    ];
    for kind in PARTS {
        let found = house.get(&format!("/fhir/{kind}?patient={patient}")).await;
        paths.push(format!(
            "/fhir/{kind}/{}",
            matches(&found)[0]["id"].as_str().unwrap()
        ));
        let none = house
            .get_as(&token, &format!("/fhir/{kind}?patient={patient}"))
            .await;
        assert!(matches(&none).is_empty(), "{kind}");
    }
    for list in [
        "Organization?_count=1",
        "Location?_count=1",
        "Practitioner?_count=1",
        "AuditEvent?_count=1",
        "Schedule?_count=1",
        "Slot?start=ge2026&_count=1",
    ] {
        let found = house.get(&format!("/fhir/{list}")).await;
        let (kind, _) = list.split_once('?').unwrap();
        paths.push(format!(
            "/fhir/{kind}/{}",
            matches(&found)[0]["id"].as_str().unwrap()
        ));
    }
    for path in &paths {
        assert_eq!(
            outcome(&house.get_as(&token, path).await, 404),
            "fhir.unknown",
            "{path}"
        );
    }
    let none = house.get_as(&token, "/fhir/Patient?identifier=1001").await;
    assert!(matches(&none).is_empty());
    let body = json!({ "resourceType": "ServiceRequest", "status": "active", "intent": "order",
        "code": { "coding": [{ "code": "X" }] }, "subject": { "reference": format!("Patient/{patient}") } });
    let refused = house.post_as(&token, "/fhir/ServiceRequest", &body).await;
    assert_eq!(outcome(&refused, 422), "orders.no_patient");
}

#[tokio::test]
async fn without_a_token_only_the_capability_statement_is_shown() {
    let house = House::new().await;
    let plain = |path: &str| Request::get(path.to_owned()).body(Body::empty()).unwrap();
    for path in [
        "/fhir/Patient",
        "/fhir/Patient/x",
        "/fhir/Observation?patient=x",
        "/fhir/Patient/x/$everything",
    ] {
        let refused = house.send(plain(path)).await;
        assert_eq!(outcome(&refused, 401), "auth.token", "{path}");
        assert_eq!(refused.header("www-authenticate"), "Bearer realm=\"hub\"");
        assert_eq!(refused.json["issue"][0]["code"], "login");
    }
    let batch = Request::post("/fhir")
        .header("content-type", "application/fhir+json")
        .body(Body::from("{}"))
        .unwrap();
    assert_eq!(outcome(&house.send(batch).await, 401), "auth.token");
    let open = house.send(plain("/fhir/metadata")).await;
    assert_eq!(resource(&open)["resourceType"], "CapabilityStatement");
}
