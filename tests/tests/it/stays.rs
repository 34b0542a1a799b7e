//! Stays against the whole program: IP1 to IP6 of specs/hms-modules.md §1.9, AU3 for stays made over REST, and how a hospital
//! system's ADT meets them.

use std::time::Duration;

use serde_json::{Value, json};
use tests::{eventually, unique};

mod glass;
mod house;

use house::{House, LATE, make, outcome};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn ip1_51_hours_and_a_half_are_3_2_2_and_2_days() {
    let house = House::new().await;
    let (_, stay) = house
        .admitted(&house.beds[0][0], "2026-07-01T10:00:00+05:30")
        .await;
    house.goes_home(&stay, "2026-07-03T13:30:00+05:30").await;
    for (policy, days) in [
        ("rolling&grace_hours=2", 3),
        ("rolling&grace_hours=4", 2),
        ("calendar", 2),
        ("census", 2),
        ("checkout&checkout=12:00", 4),
    ] {
        assert_eq!(house.days(&stay, policy).await, days, "{policy}");
    }
    let counted = house
        .rest
        .get(&format!("/api/v1/encounters/{stay}/bed-days"))
        .await;
    assert_eq!(counted["policy"], "census");
    assert_eq!(counted["minutes"], 3_090);
    assert_eq!(counted["zone"], "Asia/Kolkata");
    assert_eq!(counted["by_day"][1]["date"], "2026-07-02");
    assert_eq!(counted["by_day"][1]["bed_id"], house.beds[0][0].as_str());
}

#[tokio::test]
async fn ip2_in_and_out_on_the_same_day_is_one_day() {
    let house = House::new().await;
    let (_, stay) = house
        .admitted(&house.beds[0][0], "2026-07-01T10:00:00+05:30")
        .await;
    house.goes_home(&stay, "2026-07-01T11:30:00+05:30").await;
    for policy in ["rolling&grace_hours=2", "calendar", "census", "checkout"] {
        assert_eq!(house.days(&stay, policy).await, 1, "{policy}");
    }
}

#[tokio::test]
async fn ip3_a_discharge_that_is_ordered_frees_no_bed_and_leaving_does() {
    let house = House::new().await;
    let bed = &house.beds[0][0];
    let (_, stay) = house.admitted(bed, "2026-07-01T10:00:00+05:30").await;
    let stage = house
        .steps(&stay, "discharge", &json!({ "disposition": "home" }))
        .await;
    assert_eq!(stage, "discharge_initiated");
    assert_eq!(house.bed(bed).await, "occupied");
    assert_eq!(house.has(0, bed).await, Some(stay.clone()));
    for gate in ["clinical", "pharmacy", "billing"] {
        house
            .steps(&stay, &format!("gates/{gate}"), &json!({}))
            .await;
    }
    assert_eq!(house.bed(bed).await, "occupied", "cleared is not gone");
    house.steps(&stay, "leave", &json!({})).await;
    assert_eq!(house.bed(bed).await, "cleaning");
    assert_eq!(house.has(0, bed).await, None);
    let (status, problem) = house
        .step(&stay, "transfer", &json!({ "bed_id": bed }))
        .await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (409, Some("adt.stage_conflict"))
    );
    let detail = problem["detail"].as_str().unwrap();
    for part in ["from: left", "to: ", "allowed: "] {
        assert!(detail.contains(part), "{detail}");
    }
    let (status, _) = outcome(
        &house.rest,
        &format!("/api/v1/beds/{bed}/state"),
        &json!({ "to": "vacant" }),
    )
    .await;
    assert_eq!(status, 200);
    assert_eq!(house.bed(bed).await, "vacant");
}

#[tokio::test]
async fn ip4_each_blocking_gate_is_listed_with_its_link_and_a_cancelled_order_blocks_nothing() {
    let house = House::new().await;
    let (patient, stay) = house
        .admitted(&house.beds[0][0], "2026-07-01T10:00:00+05:30")
        .await;
    let mut orders = Vec::new();
    for code in ["2345-7", "718-7"] {
        let order = json!({ "patient_identifier": patient, "code": { "code": code, "system": "LN", "text": "Test" } });
        let (status, placed) = outcome(&house.rest, "/api/v1/orders", &order).await;
        assert_eq!(status, 201, "{placed}");
        orders.push(placed["id"].as_str().unwrap().to_owned());
    }
    let cancel = format!("/api/v1/orders/{}/cancel", orders[1]);
    let (status, _) = outcome(&house.rest, &cancel, &json!({ "reason": "ordered twice" })).await;
    assert_eq!(status, 200);
    house
        .steps(&stay, "discharge", &json!({ "disposition": "home" }))
        .await;
    let path = format!("/api/v1/encounters/{stay}/gates");
    let gates = house.rest.items(&path).await;
    let shown: Vec<(&str, &str)> = gates
        .iter()
        .map(|gate| {
            (
                gate["gate"].as_str().unwrap(),
                gate["state"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("clinical", "open"),
            ("pharmacy", "open"),
            ("billing", "open"),
            ("tpa", "not_required")
        ]
    );
    for gate in &gates[..3] {
        assert!(gate["link"].as_str().unwrap().starts_with(&path), "{gate}");
    }
    let blocking = gates[0]["blocking"].as_array().unwrap();
    assert_eq!(blocking.len(), 1, "{blocking:?}");
    let link = format!("/api/v1/orders/{}", orders[0]);
    assert_eq!(blocking[0]["link"], link.as_str());
    assert_eq!(house.rest.get(&link).await["status"], "active");
    let (status, problem) = house.step(&stay, "gates/clinical", &json!({})).await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (409, Some("adt.gate_conflict"))
    );
    assert!(problem["detail"].as_str().unwrap().contains(&link));
    let (status, problem) = house.step(&stay, "leave", &json!({})).await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (409, Some("adt.gates_conflict"))
    );
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("clinical, pharmacy, billing")
    );
    let errors = problem["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 3, "{errors:?}");
    for (error, gate) in errors.iter().zip(&gates) {
        assert_eq!(
            (&error["field"], &error["detail"]),
            (&gate["gate"], &gate["link"])
        );
    }
    // the order is cancelled: nothing stands before the gate any more
    let cancel = format!("{link}/cancel");
    let (status, _) = outcome(&house.rest, &cancel, &json!({ "reason": "not needed" })).await;
    assert_eq!(status, 200);
    assert!(
        house.rest.items(&path).await[0]["blocking"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    house.steps(&stay, "gates/clinical", &json!({})).await;
}

#[tokio::test]
async fn ip5_of_two_parallel_admissions_to_one_bed_one_is_409() {
    let house = House::new().await;
    for round in 0..3 {
        let bed = make(
            &house.rest,
            "beds",
            &json!({ "ward_id": house.wards[1].1, "code": format!("R{round}") }),
        )
        .await;
        let mut stays = Vec::new();
        for _ in 0..2 {
            stays.push(house.request(&house.patient().await).await);
        }
        let body = json!({ "bed_id": bed });
        let (one, two) = tokio::join!(
            house.step(&stays[0], "admit", &body),
            house.step(&stays[1], "admit", &body)
        );
        let mut statuses = [one.0, two.0];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "{one:?} {two:?}");
        let (winner, refused) = if one.0 == 200 {
            (0, &two.1)
        } else {
            (1, &one.1)
        };
        assert_eq!(refused["code"], "adt.bed_conflict");
        assert_eq!(house.has(1, &bed).await.as_ref(), Some(&stays[winner]));
        let loser = house
            .rest
            .get(&format!("/api/v1/encounters/{}", stays[1 - winner]))
            .await;
        assert_eq!(loser["stage"], "requested");
        assert_eq!(loser["places"], json!([]));
    }
}

#[tokio::test]
async fn ip6_two_transfers_of_a_day_leave_neither_gap_nor_overlap() {
    let house = House::new().await;
    let (_, stay) = house
        .admitted(&house.beds[0][0], "2026-07-01T10:00:00+05:30")
        .await;
    for (bed, at) in [
        (&house.beds[1][0], "2026-07-01T14:00:00+05:30"),
        (&house.beds[0][1], "2026-07-01T19:30:00+05:30"),
    ] {
        let body =
            json!({ "bed_id": bed, "at": at, "reason": "needs a monitor", "late_reason": LATE });
        assert_eq!(house.steps(&stay, "transfer", &body).await, "admitted");
    }
    let encounter = house.rest.get(&format!("/api/v1/encounters/{stay}")).await;
    let places = encounter["places"].as_array().unwrap();
    let shown: Vec<(&str, &str, Option<&str>)> = places
        .iter()
        .map(|place| {
            (
                place["location"]["point_of_care"].as_str().unwrap(),
                place["from_at"].as_str().unwrap(),
                place["to_at"].as_str(),
            )
        })
        .collect();
    let (a, b) = (house.wards[0].0.as_str(), house.wards[1].0.as_str());
    assert_eq!(
        shown,
        [
            (a, "2026-07-01T04:30:00Z", Some("2026-07-01T08:30:00Z")),
            (b, "2026-07-01T08:30:00Z", Some("2026-07-01T14:00:00Z")),
            (a, "2026-07-01T14:00:00Z", None),
        ]
    );
    // what was left is to be cleaned, where he is is his
    assert_eq!(house.bed(&house.beds[0][0]).await, "cleaning");
    assert_eq!(house.bed(&house.beds[1][0]).await, "cleaning");
    assert_eq!(house.bed(&house.beds[0][1]).await, "occupied");
    // the day of the transfers is one day, of the bed at midnight
    house.goes_home(&stay, "2026-07-02T09:00:00+05:30").await;
    let path = format!("/api/v1/encounters/{stay}/bed-days?policy=calendar");
    let counted = house.rest.get(&path).await;
    assert_eq!(counted["days"], 1);
    assert_eq!(counted["by_day"][0]["bed_id"], house.beds[0][1].as_str());
}

#[tokio::test]
async fn an_adt_admission_into_a_bed_that_somebody_has_is_filed_listed_and_followed_when_it_is_free()
 {
    let house = House::new().await;
    let bed = &house.beds[0][0];
    let (_, stay) = house.admitted(bed, "2026-07-01T10:00:00+05:30").await;
    let (patient, visit) = (unique("SP"), unique("V"));
    let place = format!("{}^^1^{}", house.wards[0].0, house.facility);
    house.adt("A01", &patient, "I", &place, &visit).await;
    let path = format!("/api/v1/encounters?visit={visit}");
    let other = eventually("the admission is filed", SOON, || async {
        house.rest.items(&path).await.into_iter().next()
    })
    .await;
    assert_eq!(other["stage"], "admitted");
    assert_eq!(other["location"]["bed"], "1");
    assert_eq!(house.has(0, bed).await, Some(stay.clone()));
    let of_it = |items: Vec<Value>| {
        items
            .into_iter()
            .find(|item| item["encounter_id"] == other["id"])
    };
    let listed = of_it(house.rest.items("/api/v1/adt-differences?limit=500").await).unwrap();
    assert_eq!(listed["reason"], "bed_occupied");
    assert_eq!(listed["bed_id"], bed.as_str());
    let board = house
        .rest
        .get(&format!("/api/v1/wards/{}/board", house.wards[0].1))
        .await;
    assert_eq!(board["elsewhere"][0]["encounter_id"], other["id"]);
    // the bed becomes free: he has it
    house
        .steps(&stay, "transfer", &json!({ "bed_id": house.beds[1][0] }))
        .await;
    assert_eq!(house.has(0, bed).await.as_deref(), other["id"].as_str());
    let settled = house
        .rest
        .items("/api/v1/adt-differences?state=settled&limit=500")
        .await;
    assert!(of_it(settled).is_some());
    // a discharge in ADT frees the bed as a leave over REST does
    house.adt("A03", &patient, "I", &place, &visit).await;
    eventually("the bed is free", SOON, || async {
        (house.bed(bed).await == "cleaning").then_some(())
    })
    .await;
    assert_eq!(house.rest.items(&path).await[0]["stage"], "left");
}

#[tokio::test]
async fn an_out_patient_goes_from_token_to_done() {
    let house = House::new().await;
    let patient = house.patient().await;
    let mut visits = Vec::new();
    for expected in [1, 2] {
        let visit = json!({ "patient_identifier": patient, "department_id": house.department, "reason": "fever" });
        let (status, opened) = outcome(&house.rest, "/api/v1/encounters", &visit).await;
        assert_eq!(
            (status, &opened["token"]),
            (201, &json!(expected)),
            "{opened}"
        );
        visits.push(opened["id"].as_str().unwrap().to_owned());
    }
    for (step, stage) in [
        ("call", "called"),
        ("start-consultation", "in_consult"),
        ("finish", "done"),
    ] {
        assert_eq!(house.steps(&visits[0], step, &json!({})).await, stage);
    }
    assert_eq!(
        house.steps(&visits[1], "no-show", &json!({})).await,
        "no_show"
    );
    let queue = house
        .rest
        .items(&format!("/api/v1/departments/{}/queue", house.department))
        .await;
    let shown: Vec<(&Value, &str)> = queue
        .iter()
        .map(|visit| (&visit["token"], visit["stage"].as_str().unwrap()))
        .collect();
    assert_eq!(shown, [(&json!(1), "done"), (&json!(2), "no_show")]);
    let (status, problem) = house.step(&visits[0], "call", &json!({})).await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (409, Some("adt.stage_conflict"))
    );
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("from: done; to: called; allowed: nothing")
    );
}
