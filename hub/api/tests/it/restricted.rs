//! Restricted charts: closed by every way to who does not care for the patient, and no obstacle to the laboratory's work.

use schemas::IdentifierKey;
use schemas::patients::Identifier;
use serde_json::{Value, json};

use super::criticals::potassium;
use super::devices::{admit, measure_of, observation};
use super::glass::patient_on;
use super::house::House;
use super::samples::{coded, person};
use super::verification::measured;

/// A patient whose chart is restricted, with a result, an order, a visit and a critical value, and another like him.
struct Ward {
    house: House,
    restricted: String,
    report: String,
    order: String,
    placer: &'static str,
}

async fn ward() -> Ward {
    let house = House::new().await;
    let restricted = patient_on(&house, "1001", 1, "WARD-A").await;
    patient_on(&house, "1002", 2, "WARD-A").await;
    house.report("1001", 3, vec![potassium("6.8")]).await;
    house.report("1002", 4, vec![potassium("6.9")]).await;
    let placer = "ORD-9";
    let order = json!({ "patient_identifier": "1001", "code": { "code": "2345-7", "system": "LN" },
        "specimen": { "number": "T-1" }, "placer_number": placer });
    let order = house.post("/api/v1/orders", &order).await;
    assert_eq!(order.status.as_u16(), 201, "{}", order.json);
    let report = house.get("/api/v1/reports?specimen=A-1").await.items()[0]["id"].clone();
    let restrict = json!({ "restricted": true, "reason": "member of staff" });
    let path = format!("/api/v1/patients/{restricted}/restriction");
    house.post(&path, &restrict).await.ok();
    Ward {
        report: report.as_str().unwrap().to_owned(),
        order: order.header("location").to_owned(),
        house,
        restricted,
        placer,
    }
}

impl Ward {
    async fn staff(&self, name: &str, role: &str) -> (String, String) {
        let (id, tokens) = self.house.staff(name).await;
        self.house.grant(&id, &json!({ "role": role })).await;
        (id, tokens["access_token"].as_str().unwrap().to_owned())
    }

    /// Ways to what the laboratory works on.
    fn tubes(&self) -> Vec<String> {
        vec![
            "/api/v1/results?specimen=A-1".to_owned(),
            "/api/v1/reports?specimen=A-1".to_owned(),
            "/api/v1/orders?specimen=T-1".to_owned(),
            format!("/api/v1/orders?number={}", self.placer),
            format!("/api/v1/reports/{}", self.report),
            format!("/api/v1/reports/{}/amendments", self.report),
            self.order.clone(),
        ]
    }

    /// Ways to the chart.
    fn chart(&self) -> Vec<String> {
        let mut ways = vec!["/api/v1/encounters?visit=V-1001".to_owned()];
        for part in ["results", "reports", "orders", "encounters"] {
            ways.push(format!("/api/v1/{part}?patient_identifier=1001"));
            ways.push(format!("/api/v1/patients/{}/{part}", self.restricted));
        }
        ways
    }

    /// Patients whose critical values somebody sees.
    async fn criticals(&self, token: &str) -> Vec<Value> {
        let list = self
            .house
            .get_as(token, "/api/v1/worklists/criticals")
            .await;
        list.items()
            .iter()
            .map(|item| item["value"].clone())
            .collect()
    }
}

#[tokio::test]
async fn a_doctor_comes_to_a_restricted_chart_by_no_list_and_by_no_number() {
    let ward = ward().await;
    let (id, doctor) = ward.staff("ravi", "doctor").await;
    for path in ward.tubes().iter().chain(&ward.chart()) {
        let refused = ward.house.get_as(&doctor, path).await;
        assert_eq!(refused.problem(403), "auth.relationship", "{path}");
    }
    let refused = ward
        .house
        .post_as(
            &doctor,
            &format!("{}/cancel", ward.order),
            &json!({ "reason": "x" }),
        )
        .await;
    assert_eq!(refused.problem(403), "auth.relationship");
    assert_eq!(ward.criticals(&doctor).await, [json!("6.9")]);
    // the other patient's are his to see
    for path in [
        "/api/v1/results?specimen=A-2",
        "/api/v1/reports?specimen=A-2",
        "/api/v1/encounters?visit=V-1002",
    ] {
        let shown = ward.house.get_as(&doctor, path).await;
        assert_eq!(shown.items().len(), 1, "{path}");
    }
    // a place where the patient is opens all of it
    let here = json!({ "role": "doctor", "facility": "MAIN" });
    let grant = ward.house.grant(&id, &here).await;
    for path in ward.tubes().iter().chain(&ward.chart()) {
        ward.house.get_as(&doctor, path).await.ok();
    }
    ward.house
        .post(
            &format!("/api/v1/grants/{grant}/end"),
            &json!({ "reason": "x" }),
        )
        .await
        .ok();
    // and so does an emergency, each look of which is on record
    let emergency =
        json!({ "patient_id": ward.restricted, "reason": "unconscious, allergies unknown" });
    let broken = ward
        .house
        .post_as(&doctor, "/api/v1/break-glass", &emergency)
        .await;
    assert_eq!(broken.status.as_u16(), 201, "{}", broken.json);
    for path in ward.tubes() {
        ward.house.get_as(&doctor, &path).await.ok();
    }
    let looks = ward
        .house
        .get("/api/v1/audit?action=chart.read_in_emergency&actor=ravi")
        .await;
    assert_eq!(looks.items().len(), ward.tubes().len());
}

#[tokio::test]
async fn the_laboratory_sees_every_tube_and_opens_no_restricted_chart() {
    let ward = ward().await;
    for (name, role) in [("lab", "lab_technician"), ("path", "pathologist")] {
        let (_, token) = ward.staff(name, role).await;
        for path in ward.tubes() {
            ward.house.get_as(&token, &path).await.ok();
        }
        assert_eq!(
            ward.criticals(&token).await,
            [json!("6.8"), json!("6.9")],
            "{role}"
        );
        for path in ward.chart() {
            let refused = ward.house.get_as(&token, &path).await;
            assert_eq!(refused.problem(403), "auth.relationship", "{path}");
        }
    }
    // who may restrict charts opens them
    for path in ward.tubes().iter().chain(&ward.chart()) {
        ward.house.get(path).await.ok();
    }
}

#[tokio::test]
async fn nobody_decides_by_its_id_what_his_list_does_not_show_him() {
    let ward = ward().await;
    let house = &ward.house;
    let waits = measured(house, "T-9", Some("1001"), vec![coded("GLU", "98")]);
    house.event(&waits).await;
    let (_, doctor) = ward.staff("ravi", "doctor").await;
    let (_, lab) = ward.staff("lab", "lab_technician").await;
    let list = house.get("/api/v1/worklists/criticals").await;
    let high = list.items().iter().find(|item| item["value"] == "6.8");
    let path = format!(
        "/api/v1/worklists/criticals/{}/acknowledge",
        high.unwrap()["id"]
    );
    let call = json!({ "told": "Sr. Mary", "read_back": "potassium 6.8" });
    let refused = house.post_as(&doctor, &path, &call).await;
    assert_eq!(refused.problem(403), "auth.relationship");
    house.post_as(&lab, &path, &call).await.ok();

    // a role of the hospital's own: it verifies, and does not see every tube
    let role = json!({ "name": "Reviewer", "permissions": ["worklists:read", "results:verify"] });
    house
        .write_as(house.token(), "PUT", "/api/v1/roles/reviewer", &role)
        .await
        .ok();
    let (_, reviewer) = ward.staff("asha", "reviewer").await;
    let list = "/api/v1/worklists/verification";
    assert!(house.get_as(&reviewer, list).await.items().is_empty());
    let item = house.get(list).await.items()[0].clone();
    let (id, revision) = (&item["id"], &item["revision"]);
    let seen = json!({ "revision": revision, "comment": "agrees" });
    for (path, body) in [
        (format!("{list}/{id}/verify"), seen.clone()),
        (format!("{list}/{id}/reject"), seen.clone()),
        (format!("{list}/{id}/rerun"), seen),
        (
            format!("{list}/{id}/comment"),
            json!({ "comment": "agrees" }),
        ),
        (
            format!("{list}/verify"),
            json!({ "items": [{ "id": id, "revision": revision }] }),
        ),
    ] {
        let refused = house.post_as(&reviewer, &path, &body).await;
        assert_eq!(refused.problem(403), "auth.relationship", "{path}");
    }
    let now = house.get(list).await.items()[0].clone();
    assert_eq!(&now["revision"], revision);
}

/// Reports, codes and measurements that wait for a person.
#[tokio::test]
async fn what_waits_of_a_restricted_chart_is_seen_by_the_laboratory_only() {
    let ward = ward().await;
    let house = &ward.house;
    // an order of the other on the tube of the restricted one, and the reverse
    let order = json!({ "patient_identifier": "1002", "code": { "code": "2345-7", "system": "LN" },
        "specimen": { "number": "T-2" } });
    let placed = house.post("/api/v1/orders", &order).await;
    assert_eq!(placed.status.as_u16(), 201, "{}", placed.json);
    let mismatch = measured(house, "T-2", Some("1001"), vec![coded("GLU", "98")]);
    house.event(&mismatch).await;
    house
        .report("1001", 8, vec![super::samples::uncoded("XYZ", "17.5")])
        .await;
    let (_, doctor) = ward.staff("ravi", "doctor").await;
    let (_, lab) = ward.staff("lab", "lab_technician").await;
    let list = "/api/v1/worklists/unmatched";
    assert!(house.get_as(&doctor, list).await.items().is_empty());
    let seen = house.get_as(&lab, list).await;
    assert_eq!(
        seen.items()[0]["named_patient_id"],
        ward.restricted.as_str()
    );

    let list = "/api/v1/worklists/held";
    let doctors = house.get_as(&doctor, list).await;
    assert!(
        doctors.items().iter().all(|item| item["kind"] == "code"),
        "{}",
        doctors.json
    );
    let sample = |seen: &super::house::Answer| {
        let item = seen.items().iter().find(|item| item["kind"] == "code");
        item.unwrap()["held"]["sample_value"].clone()
    };
    assert!(sample(&doctors).is_null(), "{}", doctors.json);
    let labs = house.get_as(&lab, list).await;
    assert_eq!(sample(&labs), "17.5");
    assert!(labs.items().iter().any(|item| item["kind"] == "patient"));
    let list = house.get_as(&lab, "/api/v1/held").await;
    assert_eq!(list.items()[0]["sample_value"], "17.5");
}

#[tokio::test]
async fn measurements_that_name_a_restricted_patient_are_not_shown_to_who_does_not_care_for_him() {
    let house = House::new().await;
    house.event(&person(&house.tenant, "1001")).await;
    admit(&house, "1002", "5", "2026-03-01T08:00:00Z").await;
    let at = "2026-03-01T09:10:00Z";
    let pulse = || vec![observation("HR", "8867-4", "60", at)];
    // the bed is another's
    measure_of(&house, Some("1001"), "5", pulse()).await;
    measure_of(&house, None, "9", pulse()).await;
    let found = house.get("/api/v1/patients?identifier=1001").await;
    let id = found.items()[0]["id"].as_str().unwrap();
    let restrict = json!({ "restricted": true, "reason": "member of staff" });
    let path = format!("/api/v1/patients/{id}/restriction");
    house.post(&path, &restrict).await.ok();
    let (user, tokens) = house.staff("ravi").await;
    house.grant(&user, &json!({ "role": "doctor" })).await;
    let doctor = tokens["access_token"].as_str().unwrap();

    let list = "/api/v1/worklists/vitals";
    let all = house.get(list).await;
    let reasons: Vec<&Value> = all.items().iter().map(|item| &item["reason"]).collect();
    assert_eq!(reasons, ["patient_mismatch", "bed_unknown"]);
    let seen = house.get_as(doctor, list).await;
    let reasons: Vec<&Value> = seen.items().iter().map(|item| &item["reason"]).collect();
    assert_eq!(reasons, ["bed_unknown"]);
    for (item, status) in all.items().iter().zip([403, 200]) {
        let path = format!("{list}/{}", item["id"]);
        let read = house.get_as(doctor, &path).await;
        assert_eq!(read.status.as_u16(), status, "{}", read.json);
    }
}

/// Two systems gave one number to two people: the way to one of them is none to the other.
#[tokio::test]
async fn of_two_people_with_one_number_the_one_whose_chart_is_open_is_shown() {
    let ward = ward().await;
    let house = &ward.house;
    let namesake = Identifier {
        key: IdentifierKey::of(&house.tenant, "CLINIC", "1001"),
        system: "CLINIC".to_owned(),
        value: "1001".to_owned(),
        kind: Some("MR".to_owned()),
    };
    let mut other = person(&house.tenant, "1001");
    other.identifiers = vec![namesake.clone()];
    house.event(&other).await;
    let mut result = measured(house, "T-9", Some("1001"), vec![coded("GLU", "98")]);
    result.subject = Some(namesake);
    house.event(&result).await;
    let (_, doctor) = ward.staff("ravi", "doctor").await;
    let shown = house
        .get_as(&doctor, "/api/v1/results?patient_identifier=1001")
        .await;
    let values: Vec<&Value> = shown
        .items()
        .iter()
        .map(|item| &item["value"]["number"])
        .collect();
    assert_eq!(values, [&json!("98")]);
    let all = house.get("/api/v1/results?patient_identifier=1001").await;
    assert_eq!(all.items().len(), 3);
}
