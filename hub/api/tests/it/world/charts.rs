//! A chart with something of every kind on it, what its patient agreed to, and a customer of the installation.

use serde_json::{Value, json};

use super::World;
use crate::it::house::{House, PASSWORD};

struct Chart<'h> {
    house: &'h House,
    /// `/api/v1/patients/{id}`
    of: String,
}

impl Chart<'_> {
    /// Makes something on the chart; its id.
    async fn made(&self, part: &str, body: &Value) -> String {
        let path = format!("{}/{part}", self.of);
        let answer = self.house.post(&path, body).await;
        assert_eq!(answer.status.as_u16(), 201, "{part}: {}", answer.json);
        // what can't be read alone is placed in its list
        let place = answer.header("location").rsplit('/').next();
        let id = answer.json["answer"]["id"].as_str().or(place);
        id.unwrap().to_owned()
    }

    async fn step(&self, path: &str, body: &Value) {
        let path = format!("/api/v1/{path}");
        self.house.post(&path, body).await.ok();
    }
}

fn allergy(substance: &str) -> Value {
    json!({ "substance": { "text": substance }, "category": "drug", "severity": "severe", "certainty": "confirmed" })
}

fn note(title: &str) -> Value {
    json!({ "note_kind": "progress", "title": title, "text": "Better today." })
}

fn drug() -> Value {
    json!({ "lines": [{ "drug": { "text": "Paracetamol 500 mg tablet" }, "frequency": "1-0-1", "days": 5 }] })
}

fn condition() -> Value {
    json!({ "code": { "code": "I10", "system": "I10" }, "text": "Hypertension" })
}

fn round(at: &str, breaths: &str) -> Value {
    json!({ "observed_at": at, "values": [
        { "loinc": "9279-1", "value": breaths, "ucum": "/min" }, { "loinc": "80288-4", "value": "A" } ] })
}

pub(super) async fn fill(world: &mut World) {
    let patient = world.ids["/api/v1/patients/{id}"][0].clone();
    written(world, &patient).await;
    measured(world, &patient).await;
    registered(world, &patient).await;
    agreed(world, &patient).await;
    customer(world).await;
}

/// What staff write: of each kind one in the state that a step begins from.
async fn written(world: &mut World, patient: &str) {
    let chart = Chart {
        house: &world.house,
        of: format!("/api/v1/patients/{patient}"),
    };
    let latex = chart
        .made("allergies", &json!({ "content": allergy("latex") }))
        .await;
    let condition_id = chart
        .made("conditions", &json!({ "content": condition() }))
        .await;
    let mut notes = Vec::new();
    for title in ["Monday", "Tuesday", "Wednesday", "Thursday"] {
        notes.push(chart.made("notes", &note(title)).await);
    }
    for signed in &notes[2..] {
        chart
            .step(&format!("notes/{signed}/sign"), &json!({}))
            .await;
    }
    let mut drugs = Vec::new();
    for _ in 0..3 {
        drugs.push(chart.made("prescriptions", &drug()).await);
    }
    let checked = json!({ "accept_unchecked": true });
    chart
        .step(&format!("prescriptions/{}/sign", drugs[2]), &checked)
        .await;
    let letter = json!({ "title": "Letter", "document_kind": "referral", "media_type": "application/pdf", "content_base64": "JVBERi0xLjcK" });
    let letter = chart.made("documents", &letter).await;

    world.known("/allergies/{id}", &latex);
    world.known("/chart-entries/{id}", &latex);
    world.known("/conditions/{id}", &condition_id);
    world.known("/notes/{id}", &notes[0]);
    for (step, id) in [("sign", 1), ("addenda", 2), ("retract", 3)] {
        world.at(&format!("POST /notes/{{id}}/{step}"), &notes[id]);
    }
    world.known("/prescriptions/{id}", &drugs[0]);
    world.at("POST /prescriptions/{id}/sign", &drugs[1]);
    world.at("POST /prescriptions/{id}/state", &drugs[2]);
    world.known("/documents/{id}", &letter);
    world.says(
        "PATCH /allergies/{id}",
        json!({ "action": "edit", "content": allergy("latex") }),
    );
    world.says(
        "PATCH /conditions/{id}",
        json!({ "action": "edit", "content": condition() }),
    );
    world.says("PATCH /notes/{id}", note("Monday, again"));
    world.says("POST /patients/{id}/notes", note("Friday"));
    world.says("PATCH /prescriptions/{id}", drug());
    world.says("POST /patients/{id}/prescriptions", drug());
    // of somebody of whom none is on file
    let other = world.other_patient.clone();
    for operation in ["none-known", "none-known/end"] {
        world.at(
            &format!("POST /patients/{{id}}/allergies/{operation}"),
            &other,
        );
    }
}

/// Rounds, one of which asks for somebody.
async fn measured(world: &mut World, patient: &str) {
    let chart = Chart {
        house: &world.house,
        of: format!("/api/v1/patients/{patient}"),
    };
    chart
        .made("observations", &round("2026-01-31T08:30:00Z", "25"))
        .await;
    let listed = world.house.get(&format!("{}/observations", chart.of)).await;
    let breaths = listed
        .items()
        .iter()
        .find(|one| one["loinc"] == "9279-1")
        .unwrap();
    let breaths = breaths["id"].as_str().unwrap().to_owned();
    let scores = world.house.get(&format!("{}/scores", chart.of)).await;
    let score = scores.items()[0]["id"].as_str().unwrap().to_owned();
    let tasks = world.house.get(&format!("{}/tasks", chart.of)).await;
    let task = tasks.items()[0]["id"].as_str().unwrap().to_owned();
    let target = chart
        .made(
            "oxygen-targets",
            &json!({ "reason": "COPD with hypercapnia" }),
        )
        .await;
    let results = world
        .house
        .get("/api/v1/results?patient_identifier=12345&held=false&status=F")
        .await;
    // the others are for the steps of verification
    let result = results
        .items()
        .iter()
        .find(|result| result["verification"].is_null())
        .unwrap();
    let amended = result["report_id"].as_str().unwrap().to_owned();
    world.says(
        "POST /reports/{id}/amend",
        json!({ "item": result["item"], "version": result["version"], "value": "4.2", "reason": "haemolysed, measured again" }),
    );
    world.at("POST /reports/{id}/amend", &amended);
    world.known("/observations/{id}", &breaths);
    world.known("/scores/{id}", &score);
    world.known("/tasks/{id}", &task);
    world.known("/oxygen-targets/{id}", &target);
    world.says(
        "POST /patients/{id}/observations",
        round("2026-01-31T12:30:00Z", "16"),
    );
    world.says(
        "PATCH /observations/{id}",
        json!({ "value": { "loinc": "9279-1", "value": "26", "ucum": "/min" }, "reason": "counted again" }),
    );
}

/// Who comes to the desk.
async fn registered(world: &mut World, patient: &str) {
    let chart = Chart {
        house: &world.house,
        of: format!("/api/v1/patients/{patient}"),
    };
    let card = |value: &str| json!({ "system": "CARD", "value": value });
    chart
        .step(&format!("patients/{patient}/identifiers"), &card("77"))
        .await;
    let rule = json!({ "prefix": "N", "width": 4, "next": 100 });
    let series = "/api/v1/number-series/NORTH";
    let house = chart.house;
    house
        .write_as(house.token(), "PUT", series, &rule)
        .await
        .ok();
    world.known("/number-series/{id}", "NORTH");
    world.says("PUT /number-series/{id}", rule);
    world.says("POST /patients/{id}/identifiers", card("78"));
    world.says(
        "POST /patients/{id}/identifiers/end",
        json!({ "identifier": card("77"), "reason": "lost" }),
    );
    world.says(
        "PATCH /patients/{id}",
        json!({ "demographics": { "mobile": "9845012345" } }),
    );
    world.says(
        "POST /patients",
        json!({ "identifiers": [{ "value": "N-900" }], "demographics": {
            "name": { "family": "Iyer", "given": ["Meena"] }, "birth_date": "1950-01-01", "sex": "female" } }),
    );
}

/// Consents and requests about data.
async fn agreed(world: &mut World, patient: &str) {
    let chart = Chart {
        house: &world.house,
        of: format!("/api/v1/patients/{patient}"),
    };
    let consent = json!({ "purpose": "messages", "notice_version": "2026-1", "notice_language": "hi", "given_by": "patient" });
    let consent = chart.made("consents", &consent).await;
    let asked = json!({ "kind": "access", "detail": "what is kept of me" });
    let asked = chart.made("privacy-requests", &asked).await;
    world.known("/consents/{id}", &consent);
    world.known("/privacy-requests/{id}", &asked);
}

/// A customer, and somebody who runs the installation.
async fn customer(world: &mut World) {
    let house = &world.house;
    let platform = schemas::platform::platform();
    hub_api::bootstrap_admin(house.database.pool(), &platform, Some(PASSWORD.to_owned()))
        .await
        .unwrap();
    let token = house.sign_in("admin", PASSWORD, Some("platform")).await;
    let order =
        json!({ "id": "clinic", "name": "Clinic", "plan": "trial", "provisioning_key": "crm-1" });
    let made = house
        .post_as(&token, "/api/v1/platform/tenants", &order)
        .await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.json);
    world.platform = token;
    world.known("/platform/tenants/{id}", "clinic");
    world.known("/platform/plans/{id}", "trial");
}
