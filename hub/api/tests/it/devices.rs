//! Measurements of bedside devices, what of them is nobody's, and alarms.

use hub_core::Envelope;
use schemas::care::EncounterAction::Admitted;
use schemas::care::{EncounterReported, Location, Mapped, Value};
use schemas::devices::{
    AlarmPhase, AlarmReported, Bed, BedChanged, TimedBy, VitalObservation, VitalsObserved,
};
use schemas::{ChannelId, Patch};
use serde_json::json;
use test_support::envelope;

use super::house::House;
use super::samples::{code, identifier, person};
use super::unmatched::discarded_once;

fn icu(bed: &str) -> Location {
    Location {
        point_of_care: Some("ICU".to_owned()),
        bed: Some(bed.to_owned()),
        ..Location::default()
    }
}

pub(crate) fn observation(name: &str, loinc: &str, value: &str, at: &str) -> VitalObservation {
    VitalObservation {
        code: code(name),
        alternate: None,
        path: Some(format!("1.1.1.{name}")),
        container: None,
        value_type: Some("NM".to_owned()),
        value: Value::Quantity {
            comparator: None,
            number: value.to_owned(),
        },
        raw_value: Some(value.to_owned()),
        unit: Some("/min".to_owned()),
        range: None,
        flags: Vec::new(),
        status: Some("R".to_owned()),
        observed_at: Some(at.to_owned()),
        timed_by: TimedBy::Observation,
        method: None,
        device: Some("0009FB0A0B0C0001".to_owned()),
        site: None,
        mapped: Some(Mapped {
            loinc: loinc.to_owned(),
            display: None,
            ucum: Some("/min".to_owned()),
            factor: None,
        }),
        held: None,
    }
}

pub(crate) async fn measure(house: &House, bed: &str, observations: Vec<VitalObservation>) {
    measure_of(house, None, bed, observations).await;
}

/// The same by a device that names a patient.
pub(crate) async fn measure_of(
    house: &House,
    patient: Option<&str>,
    bed: &str,
    observations: Vec<VitalObservation>,
) {
    let body = VitalsObserved {
        channel: ChannelId::new("icu").unwrap(),
        subject: patient.map(|number| identifier(&house.tenant, number)),
        visit_number: None,
        location: Some(icu(bed)),
        device: Some("0009FB0A0B0C0001".to_owned()),
        observations,
        occurred_at: None,
    };
    let bed = Bed::of(&icu(bed)).unwrap().key(&house.tenant);
    let message = Envelope {
        aggregate: bed.to_string(),
        ..envelope(&house.tenant, "/channel/demo/icu", &body)
    };
    house.backbone.deliver(message).await;
}

pub(crate) async fn admit(house: &House, number: &str, bed: &str, at: &str) {
    house.event(&person(&house.tenant, number)).await;
    let body = EncounterReported {
        action: Admitted,
        subject: identifier(&house.tenant, number),
        visit_number: Some(format!("V-{number}")),
        class: Patch::Keep,
        location: Patch::Set(icu(bed)),
        prior_location: Patch::Keep,
        attending: Patch::Keep,
        referring: Patch::Keep,
        service: Patch::Keep,
        admitted_at: Patch::Keep,
        discharged_at: Patch::Keep,
        disposition: Patch::Keep,
        occurred_at: None,
    };
    let mut message = envelope(&house.tenant, "/channel/demo/his", &body);
    message.occurred_at =
        time::OffsetDateTime::parse(at, &time::format_description::well_known::Rfc3339).unwrap();
    house.backbone.deliver(message).await;
    house
        .event(&BedChanged {
            bed_key: Bed::of(&icu(bed)).unwrap().key(&house.tenant),
            since: at.to_owned(),
        })
        .await;
}

#[tokio::test]
async fn measurements_are_listed_newest_first_page_by_page_and_the_latest_of_each() {
    let house = House::new().await;
    admit(&house, "12345", "5", "2026-03-01T08:00:00Z").await;
    for minute in ["10", "11", "12"] {
        let at = format!("2026-03-01T09:{minute}:00Z");
        measure(
            &house,
            "5",
            vec![
                observation("HR", "8867-4", minute, &at),
                observation("RR", "9279-1", minute, &at),
            ],
        )
        .await;
    }
    let base = "/api/v1/vitals?patient_identifier=12345";
    let mut seen = Vec::new();
    let mut path = format!("{base}&limit=4");
    loop {
        let page = house.get(&path).await;
        seen.extend(page.items().clone());
        let Some(next) = page.json["next_cursor"].as_str() else {
            break;
        };
        path = format!("{base}&limit=4&cursor={next}");
    }
    let shown: Vec<String> = seen
        .iter()
        .map(|item| {
            format!(
                "{}{}",
                item["code"]["code"].as_str().unwrap(),
                item["raw_value"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(shown.len(), 6);
    for (place, minute) in [(0, "12"), (2, "11"), (4, "10")] {
        let mut pair = [shown[place].clone(), shown[place + 1].clone()];
        pair.sort();
        assert_eq!(pair, [format!("HR{minute}"), format!("RR{minute}")]);
    }
    assert_eq!(seen[0]["matched_by"], "bed");
    assert_eq!(
        seen[0]["location"],
        json!({ "point_of_care": "ICU", "bed": "5" })
    );
    assert_eq!(
        seen[0]["value"],
        json!({ "kind": "quantity", "number": "12" })
    );
    let one = house
        .get(&format!(
            "{base}&code=8867-4&from=2026-03-01T09:11:00Z&to=2026-03-01T09:12:00Z"
        ))
        .await;
    assert_eq!(one.items().len(), 1);
    assert_eq!(one.items()[0]["raw_value"], "11");
    let latest = house
        .get("/api/v1/vitals/latest?patient_identifier=12345")
        .await;
    let latest: Vec<_> = latest
        .items()
        .iter()
        .map(|item| (item["loinc"].clone(), item["raw_value"].clone()))
        .collect();
    assert_eq!(
        latest,
        [
            (json!("8867-4"), json!("12")),
            (json!("9279-1"), json!("12"))
        ]
    );
    let since = "/api/v1/vitals/latest?patient_identifier=12345&since=2026-03-01T10:00:00Z";
    assert!(house.get(since).await.items().is_empty());
    // they are no laboratory results
    assert!(
        house
            .get("/api/v1/results?patient_identifier=12345")
            .await
            .items()
            .is_empty()
    );
    assert_eq!(
        house.get("/api/v1/vitals").await.problem(400),
        "request.invalid"
    );
}

#[tokio::test]
async fn unmatched_measurements_are_claimed_for_a_period_and_the_rest_discarded() {
    let house = House::new().await;
    house.event(&person(&house.tenant, "12345")).await;
    for minute in ["10", "11", "12"] {
        let at = format!("2026-03-01T09:{minute}:00Z");
        measure(&house, "9", vec![observation("HR", "8867-4", minute, &at)]).await;
    }
    let list = house.get("/api/v1/worklists/vitals").await;
    let item = &list.items()[0];
    assert_eq!(
        (&item["reason"], &item["waiting"]),
        (&json!("bed_unknown"), &json!(3))
    );
    let path = format!("/api/v1/worklists/vitals/{}", item["id"]);
    assert_eq!(house.get(&path).await.items().len(), 3);
    let claim = format!("{path}/claim");
    let disagrees = json!({ "patient_identifier": "12345", "birth_date": "1980-05-18" });
    assert_eq!(
        house.post(&claim, &disagrees).await.problem(422),
        "unmatched.disagrees"
    );
    let body = json!({
        "patient_identifier": "12345", "birth_date": "1980-05-17", "to": "2026-03-01T09:12:00Z"
    });
    let answer = house.post(&claim, &body).await;
    assert_eq!(
        answer.ok()["answer"],
        json!({ "item_id": item["id"], "state": "open", "claimed": 2, "waiting": 1 })
    );
    let chart = house.get("/api/v1/vitals?patient_identifier=12345").await;
    assert_eq!(chart.items().len(), 2);
    assert_eq!(chart.items()[0]["matched_by"], "claim");
    assert!(chart.items()[0]["patient_id"].is_string());
    assert_eq!(
        house.post(&claim, &body).await.problem(422),
        "clinical.vitals_none"
    );
    let reason = json!({ "reason": "simulator" });
    discarded_once(&house, &path, &reason, "clinical.vitals_not_open").await;
    assert!(
        house
            .get("/api/v1/worklists/vitals")
            .await
            .items()
            .is_empty()
    );
    let done = house.get("/api/v1/worklists/vitals?state=discarded").await;
    assert_eq!(
        (&done.items()[0]["comment"], &done.items()[0]["resolved_by"]),
        (&json!("simulator"), &json!("admin"))
    );
    assert_eq!(
        house
            .post("/api/v1/worklists/vitals/999/claim", &body)
            .await
            .problem(404),
        "vitals.unknown"
    );
}

pub(crate) fn alarm(name: &str, phase: AlarmPhase, at: &str) -> AlarmReported {
    AlarmReported {
        channel: ChannelId::new("icu").unwrap(),
        event_name: name.to_owned(),
        parent_name: None,
        subject: None,
        location: Some(icu("5")),
        device: None,
        code: code("196674"),
        text: Some("SpO2 low".to_owned()),
        path: None,
        source: None,
        measured: None,
        phase,
        state: None,
        inactivation: Vec::new(),
        priority: Some("PH".to_owned()),
        kind: None,
        abnormality: None,
        at: Some(at.to_owned()),
        occurred_at: None,
    }
}

#[tokio::test]
async fn open_alarms_are_listed_and_an_alarm_keeps_its_history() {
    let house = House::new().await;
    admit(&house, "12345", "5", "2026-03-01T08:00:00Z").await;
    for (name, phase, at) in [
        ("A", AlarmPhase::Start, "2026-03-01T09:00:00Z"),
        ("B", AlarmPhase::Start, "2026-03-01T09:01:00Z"),
        ("A", AlarmPhase::End, "2026-03-01T09:02:00Z"),
    ] {
        house.event(&alarm(name, phase, at)).await;
    }
    let open = house.get("/api/v1/alarms").await;
    assert_eq!(open.items().len(), 1);
    assert_eq!(open.items()[0]["begun_at"], "2026-03-01T09:01:00Z");
    assert!(open.items()[0]["patient_id"].is_string());
    let all = house
        .get("/api/v1/alarms?state=all&patient_identifier=12345&limit=1")
        .await;
    let next = all.json["next_cursor"].as_str().unwrap();
    let ended = house
        .get(&format!(
            "/api/v1/alarms?state=all&patient_identifier=12345&limit=1&cursor={next}"
        ))
        .await;
    let ended = &ended.items()[0];
    assert_eq!(ended["status"], "ended");
    let detail = house
        .get(&format!("/api/v1/alarms/{}", ended["id"].as_str().unwrap()))
        .await;
    let phases: Vec<_> = detail.ok()["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["phase"].clone())
        .collect();
    assert_eq!(phases, ["start", "end"]);
    assert!(
        house
            .get("/api/v1/alarms?patient_identifier=999")
            .await
            .items()
            .is_empty()
    );
    let unknown = "/api/v1/alarms/018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c";
    assert_eq!(house.get(unknown).await.problem(404), "alarms.unknown");
    let text = serde_json::to_string(&hub_api::openapi()).unwrap();
    assert!(text.contains("Secondary notification only"));
}
