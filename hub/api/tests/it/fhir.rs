//! The FHIR façade: the same state by the same rights, in FHIR's words.

mod appointments;
mod batches;
mod charts;
mod conditional;
mod documents;
mod encounters;
mod forms;
mod observations;
mod orders;
mod patients;
mod prescriptions;
mod reading;
mod rights;
mod searching;

use axum::body::Body;
use axum::http::{Request, header};
use schemas::Patch;
use schemas::care::{EncounterAction, EncounterReported, Location, Mapped, Value as Measured};
use schemas::devices::{TimedBy, VitalObservation, VitalsObserved};
use schemas::{ChannelId, TenantId};
use serde_json::{Value, json};

use super::appointments::{booked, schedule};
use super::house::{Answer, House};
use super::samples::{code, coded, identifier};

/// The resource, after a look at its form.
#[track_caller]
fn resource(answer: &Answer) -> &Value {
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.json);
    assert_eq!(answer.header("content-type"), "application/fhir+json");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(hub_fhir::check(&answer.json), Ok(()), "{}", answer.json);
    &answer.json
}

/// The hub's code in an OperationOutcome, after a look at its form.
#[track_caller]
fn outcome(answer: &Answer, status: u16) -> &str {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.json);
    assert_eq!(answer.header("content-type"), "application/fhir+json");
    assert_eq!(answer.json["resourceType"], "OperationOutcome");
    assert_eq!(hub_fhir::check(&answer.json), Ok(()), "{}", answer.json);
    let issue = &answer.json["issue"][0];
    let trace = issue["diagnostics"].as_str().unwrap();
    let trace = trace.strip_prefix("trace ").unwrap();
    assert!(answer.header("traceparent").contains(trace));
    issue["details"]["coding"][0]["code"].as_str().unwrap()
}

/// Resources of a searchset that fit, without what is said of it.
#[track_caller]
fn matches(answer: &Answer) -> Vec<&Value> {
    of_mode(answer, "match")
}

#[track_caller]
fn of_mode<'a>(answer: &'a Answer, mode: &str) -> Vec<&'a Value> {
    let bundle = resource(answer);
    assert_eq!(
        (&bundle["resourceType"], &bundle["type"]),
        (&json!("Bundle"), &json!("searchset"))
    );
    assert_eq!(bundle["link"][0]["relation"], "self");
    bundle["entry"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|entry| entry["search"]["mode"] == mode)
        .inspect(|entry| {
            if mode != "outcome" {
                let (kind, id) = (&entry["resource"]["resourceType"], &entry["resource"]["id"]);
                let end = format!("/fhir/{}/{}", kind.as_str().unwrap(), id.as_str().unwrap());
                assert!(entry["fullUrl"].as_str().unwrap().ends_with(&end));
            }
        })
        .map(|entry| &entry["resource"])
        .collect()
}

/// The address of the next page, below the host.
fn next(answer: &Answer) -> Option<String> {
    answer.json["link"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|link| link["relation"] == "next")
        .map(|link| {
            let url = link["url"].as_str().unwrap();
            url[url.find("/fhir").unwrap()..].to_owned()
        })
}

async fn send(
    house: &House,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> Answer {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {}", house.token()))
        .header(header::CONTENT_TYPE, "application/fhir+json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = if body.is_null() {
        Body::empty()
    } else {
        Body::from(body.to_string())
    };
    house.send(request.body(body).unwrap()).await
}

async fn get_with(house: &House, path: &str, headers: &[(&str, &str)]) -> Answer {
    send(house, "GET", path, headers, &Value::Null).await
}

/// A patient with two results in one report, and an encounter on a ward; his id.
async fn patient_on(house: &House, number: &str, seq: u64, ward: &str) -> String {
    let mut sodium = coded("NA", "139.0");
    sodium.mapped = Some(Mapped {
        loinc: "2951-2".to_owned(),
        display: Some("Sodium".to_owned()),
        ucum: Some("mmol/L".to_owned()),
        factor: None,
    });
    house
        .report(number, seq, vec![coded("GLU", "104.50"), sodium])
        .await;
    house
        .event(&admitted(&house.tenant, number, seq, ward))
        .await;
    let found = house
        .get(&format!("/api/v1/patients?identifier={number}"))
        .await;
    found.items()[0]["id"].as_str().unwrap().to_owned()
}

fn admitted(tenant: &TenantId, number: &str, seq: u64, ward: &str) -> EncounterReported {
    EncounterReported {
        action: EncounterAction::Admitted,
        subject: identifier(tenant, number),
        visit_number: Some(format!("V-{seq}")),
        class: Patch::Set("I".to_owned()),
        location: Patch::Set(Location {
            point_of_care: Some(ward.to_owned()),
            bed: Some("4".to_owned()),
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
    }
}

/// A heart rate of the patient.
async fn pulse(house: &House, number: &str, value: &str, at: &str) {
    let body = VitalsObserved {
        channel: ChannelId::new("icu").unwrap(),
        subject: Some(identifier(&house.tenant, number)),
        visit_number: None,
        location: None,
        device: Some("MON-1".to_owned()),
        observations: vec![VitalObservation {
            code: code("HR"),
            alternate: None,
            path: None,
            container: None,
            value_type: Some("NM".to_owned()),
            value: Measured::Quantity {
                comparator: None,
                number: value.to_owned(),
            },
            raw_value: Some(value.to_owned()),
            unit: Some("/min".to_owned()),
            range: None,
            flags: Vec::new(),
            status: Some("F".to_owned()),
            observed_at: Some(at.to_owned()),
            timed_by: TimedBy::Observation,
            method: None,
            device: Some("MON-1".to_owned()),
            site: None,
            mapped: Some(Mapped {
                loinc: "8867-4".to_owned(),
                display: Some("Heart rate".to_owned()),
                ucum: Some("/min".to_owned()),
                factor: None,
            }),
            held: None,
        }],
        occurred_at: None,
    };
    house.event(&body).await;
}

async fn order(house: &House, number: &str, tube: &str) -> String {
    let body = json!({ "patient_identifier": number, "code": { "code": "2345-7", "system": "LN", "text": "Glucose" },
        "specimen": { "number": tube, "kind": { "code": "SER" } }, "visit_number": "V-1" });
    let placed = house.post("/api/v1/orders", &body).await;
    assert_eq!(placed.status.as_u16(), 201, "{}", placed.json);
    placed.json["id"].as_str().unwrap().to_owned()
}

/// Something on the chart that staff wrote; its id.
async fn written(house: &House, patient: &str, part: &str, body: &Value) -> String {
    let path = format!("/api/v1/patients/{patient}/{part}");
    let made = house.post(&path, body).await;
    assert_eq!(made.status.as_u16(), 201, "{part}: {}", made.json);
    let place = made.header("location");
    place.rsplit('/').next().unwrap().to_owned()
}

/// Of everything that staff write one on the chart, and an appointment at another department.
async fn charted(house: &House, patient: &str) {
    for (part, body) in [
        (
            "conditions",
            json!({ "content": { "code": { "code": "E11.9", "system": "I10" }, "text": "Type 2 diabetes" }, "visit_number": "V-1" }),
        ),
        (
            "allergies",
            json!({ "content": { "substance": { "text": "Penicillin" }, "category": "drug", "severity": "severe",
                                 "reactions": ["rash"], "certainty": "confirmed", "since": "1999" } }),
        ),
        (
            "prescriptions",
            json!({ "lines": [{ "drug": { "text": "Metformin 500 mg tablet" }, "dose": "1 tablet", "route": "oral",
                                "frequency": "1-0-1", "days": 5 }] }),
        ),
        (
            "notes",
            json!({ "note_kind": "progress", "title": "Monday", "text": "Better today." }),
        ),
    ] {
        written(house, patient, part, &body).await;
    }
    let (_, slots) = schedule(house, "OPD").await;
    booked(house, &slots[0], patient).await;
}
