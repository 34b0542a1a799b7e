//! A hospital in which something of every kind has happened, so that every operation has something to do. A new route gets
//! its ids, its query and its body here (`known` or `at`, `query`, `says`); the tests of `calls.rs` say when they are missing.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::devices::{admit, alarm, measure, observation};
use super::house::{House, PASSWORD};
use super::operations::Operation;
use super::samples::{coded, uncoded};
use super::{controls, criticals, decisions, orders, passkeys, unmatched, verification};

mod charts;
mod clinic;
mod laboratory;
mod portal;
mod stays;

pub(crate) struct World {
    pub(crate) house: House,
    /// Ids of what stands at a path: of `/patients/{id}` and of all below it. Several where operations use them up.
    ids: HashMap<String, Vec<String>>,
    /// The one that is as an operation wants it, where not every one at its path is.
    at: HashMap<String, String>,
    /// What an operation is sent, where the example of the document is about something that is not in this world.
    says: HashMap<String, Value>,
    /// Another record of a person.
    other_patient: String,
    revoked_session: String,
    /// Token of somebody who runs the installation.
    platform: String,
    /// Token of a patient, with his own log-in.
    patient: String,
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        let house = House::new().await;
        house.listening().await;
        admit(&house, "12345", "5", "2026-03-01T08:00:00Z").await;
        let raw = house
            .report("12345", 1, vec![coded("GLU", "104"), uncoded("XYZ", "1")])
            .await;
        house
            .report("777", 2, vec![criticals::potassium("6.8")])
            .await;
        house.report("12345", 3, vec![uncoded("ABC", "1")]).await;
        for raw in 1..=3 {
            house.event(&decisions::dead(raw, "hl7v2")).await;
        }
        for tube in ["T1", "T2", "T3", "T4", "T5", "T6"] {
            let results = vec![coded("GLU", "104")];
            let measured = verification::measured(&house, tube, Some("12345"), results);
            house.event(&measured).await;
        }
        let target = json!({
            "channel": "lab", "material": "QC1", "lot": "L1", "level": "1", "code": "GLU", "mean": "100", "sd": "2", "unit": "mg/dl"
        });
        house.post("/api/v1/qc/targets", &target).await.ok();
        for (value, minute) in [("107", 1), ("108", 2)] {
            house.event(&controls::control(value, minute)).await;
        }
        for tube in ["A-98", "A-99"] {
            house.event(&unmatched::nameless(tube)).await;
        }
        for (bed, minute) in [("9", "10"), ("10", "11")] {
            let at = format!("2026-03-01T09:{minute}:00Z");
            measure(&house, bed, vec![observation("HR", "8867-4", "60", &at)]).await;
        }
        let phase = schemas::devices::AlarmPhase::Start;
        house
            .event(&alarm("A1", phase, "2026-03-01T09:00:00Z"))
            .await;

        let mut tx = house.database.tx(&house.tenant).await;
        let gap = "RAW holds sequences 100 to 102 that the ledger does not";
        worker_integration::maintain::raise_incident(
            tx.conn(),
            &house.tenant,
            "ledger_gap",
            "lab",
            gap,
        )
        .await
        .unwrap();
        tx.commit().await.unwrap();

        let mut world = Self {
            house,
            ids: HashMap::new(),
            at: HashMap::new(),
            says: HashMap::new(),
            other_patient: String::new(),
            revoked_session: String::new(),
            platform: String::new(),
            patient: String::new(),
        };
        world.make_what_people_make().await;
        world.find_ids(&raw.to_string()).await;
        stays::fill(&mut world).await;
        clinic::fill(&mut world).await;
        charts::fill(&mut world).await;
        laboratory::fill(&mut world).await;
        portal::fill(&mut world).await;
        super::codes::import(&world.house, "2.80").await;
        world
    }

    /// What stands at a path below `/api/v1`.
    fn known(&mut self, path: &str, id: &str) {
        self.ids
            .insert(format!("/api/v1{path}"), vec![id.to_owned()]);
    }

    /// An operation (`POST /beds/{id}/state`) is about this one.
    fn at(&mut self, operation: &str, id: &str) {
        let operation = operation.replacen(' ', " /api/v1", 1);
        self.at.insert(operation, id.to_owned());
    }

    /// An operation is sent this.
    fn says(&mut self, operation: &str, body: Value) {
        let operation = operation.replacen(' ', " /api/v1", 1);
        self.says.insert(operation, body);
    }

    /// A step of an encounter is taken by this one.
    fn step(&mut self, step: &str, id: &str, body: Value) {
        let operation = format!("POST /encounters/{{id}}/{step}");
        self.at(&operation, id);
        self.says(&operation, body);
    }

    async fn make_what_people_make(&mut self) {
        let house = &self.house;
        let placed = house
            .post("/api/v1/orders", &orders::order("12345", "A-70"))
            .await;
        let (user, _) = house.staff("asha").await;
        let grant = house.grant(&user, &json!({ "role": "nurse" })).await;
        let client = json!({ "name": "lab-board", "permissions": ["held:read"] });
        let client = house.post("/api/v1/clients", &client).await;
        let role = json!({ "name": "Night", "permissions": ["held:read"] });
        house
            .write_as(house.token(), "PUT", "/api/v1/roles/night", &role)
            .await
            .ok();
        let patients = house.get("/api/v1/patients?identifier=777").await;
        let other = text(&patients.items()[0]["id"]);
        let emergency = json!({ "patient_id": other, "reason": "unconscious, allergies unknown" });
        let doctor = self.somebody_else().await;
        let opened = house
            .post_as(&doctor, "/api/v1/break-glass", &emergency)
            .await;
        assert_eq!(opened.status.as_u16(), 201, "{}", opened.json);
        house.sign_in("admin", PASSWORD, None).await;
        let sessions = house.get("/api/v1/me/sessions").await;
        let session = sessions
            .items()
            .iter()
            .find(|session| session["current"] != true)
            .unwrap();
        self.revoked_session = text(&session["id"]);
        self.other_patient = other;
        self.known("/orders/{id}", &text(&placed.json["id"]));
        self.known("/users/{id}", &user);
        // nobody here has any: what is done to them is shown by tests of their own
        self.known("/me/passkeys/{id}", &user);
        self.known("/me/identities/{id}", &user);
        for path in [
            "/me/totp",
            "/me/passkeys/options",
            "/me/passkeys/{id}/remove",
            "/me/identities/{id}/remove",
        ] {
            self.says(&format!("POST {path}"), passkeys::by_password());
        }
        let mut link = passkeys::by_password();
        link["provider"] = json!("staff");
        self.says("POST /me/identities/start", link);
        self.known("/grants/{id}", &grant);
        self.known("/clients/{id}", &text(&client.json["id"]));
        self.known("/roles/{id}", "night");
        self.known("/channels/{id}", "lab");
    }

    /// Somebody who works with patients.
    async fn somebody_else(&self) -> String {
        let (id, tokens) = self.house.staff("ravi").await;
        self.house.grant(&id, &json!({ "role": "doctor" })).await;
        text(&tokens["access_token"])
    }

    async fn find_ids(&mut self, raw: &str) {
        for (path, list, id) in [
            (
                "/api/v1/patients/{id}",
                "/api/v1/patients?identifier=12345",
                "id",
            ),
            (
                "/api/v1/encounters/{id}",
                "/api/v1/patients/{id}/encounters",
                "id",
            ),
            (
                "/api/v1/reports/{id}",
                "/api/v1/reports?patient_identifier=12345",
                "id",
            ),
            (
                "/api/v1/results/{id}",
                "/api/v1/results?patient_identifier=12345",
                "id",
            ),
            ("/api/v1/alarms/{id}", "/api/v1/alarms?state=all", "id"),
            ("/api/v1/held/{id}", "/api/v1/held", "id"),
            ("/api/v1/dead-letters/{id}", "/api/v1/dead-letters", "id"),
            ("/api/v1/incidents/{id}", "/api/v1/incidents", "id"),
            ("/api/v1/break-glass/{id}", "/api/v1/break-glass", "id"),
            (
                "/api/v1/worklists/criticals/{id}",
                "/api/v1/worklists/criticals",
                "id",
            ),
            ("/api/v1/worklists/qc/{id}", "/api/v1/worklists/qc", "id"),
            (
                "/api/v1/worklists/unmatched/{id}",
                "/api/v1/worklists/unmatched",
                "report_id",
            ),
            (
                "/api/v1/worklists/verification/{id}",
                "/api/v1/worklists/verification",
                "id",
            ),
            (
                "/api/v1/worklists/vitals/{id}",
                "/api/v1/worklists/vitals",
                "id",
            ),
        ] {
            let patient = self
                .ids
                .get("/api/v1/patients/{id}")
                .map(|ids| ids[0].as_str());
            let list = list.replace("{id}", patient.unwrap_or_default());
            let found = self.house.get(&list).await;
            let ids = found.items().iter().map(|item| text(&item[id])).collect();
            self.ids.insert(path.to_owned(), ids);
        }
        for path in ["/messages/{id}", "/commands/{id}"] {
            self.known(path, raw);
        }
        let session = self.revoked_session.clone();
        self.known("/me/sessions/{id}", &session);
    }

    /// The path of an operation on something that is there. What changes a thing takes another one than the reads, where
    /// there are several.
    pub(crate) fn path(&mut self, operation: &Operation) -> String {
        let Some((at, _)) = operation.path.split_once('}') else {
            return operation.path.clone();
        };
        if let Some(id) = self.at.get(&operation.name()) {
            return operation.path.replace("{id}", id);
        }
        let at = format!("{at}}}");
        let ids = self
            .ids
            .get_mut(at.as_str())
            .filter(|ids| !ids.is_empty())
            .unwrap_or_else(|| panic!("{}: no id of {at} in the world", operation.name()));
        let id = if operation.method != "GET" && ids.len() > 1 {
            ids.pop().unwrap()
        } else {
            ids[0].clone()
        };
        operation
            .path
            .replace("{id}", &id)
            .replace("{sha256}", super::backbone::ATTACHMENT)
    }

    /// Who may do it, where `own` may do all in his hospital.
    pub(crate) fn token(&self, operation: &Operation, own: &str) -> String {
        let is_platform = operation.path.starts_with("/api/v1/platform/");
        let is_patient = operation.permission() == Some("own_record:read");
        match (is_platform, is_patient) {
            (true, _) => self.platform.as_str(),
            (_, true) => self.patient.as_str(),
            _ => own,
        }
        .to_owned()
    }

    /// Token of somebody who runs the installation.
    pub(crate) fn platform(&self) -> &str {
        &self.platform
    }

    /// What a list must be asked for.
    pub(crate) fn query(&self, operation: &Operation) -> String {
        let query = match operation.path.as_str() {
            "/api/v1/patients/{id}/merge-preview" => {
                return format!("?retired={}", self.other_patient);
            }
            "/api/v1/results" | "/api/v1/reports" | "/api/v1/vitals" | "/api/v1/vitals/latest" => {
                "?patient_identifier=12345"
            }
            "/api/v1/orders" | "/api/v1/encounters" if operation.method == "GET" => {
                "?patient_identifier=12345"
            }
            "/api/v1/specimens" if operation.method == "GET" => "?number=A-80",
            "/api/v1/changes" => "?since=0.0",
            "/api/v1/codes" => "?system=LN",
            _ => "",
        };
        query.to_owned()
    }

    /// The example of the document, or, where it names what is not in this world, something that is.
    pub(crate) fn body(&self, operation: &Operation) -> Option<Value> {
        if let Some(body) = self.says.get(&operation.name()) {
            return Some(body.clone());
        }
        let person = json!({ "patient_identifier": "12345", "birth_date": "1980-05-17" });
        let path = operation.path.strip_prefix("/api/v1").unwrap();
        let own = match path {
            "/auth/login" => json!({ "username": "admin", "password": PASSWORD }),
            "/break-glass" if operation.method == "POST" => {
                json!({ "patient_id": self.other_patient, "reason": "unconscious, allergies unknown" })
            }
            "/orders" if operation.method == "POST" => orders::order("12345", "A-71"),
            "/patients/{id}/merge" => {
                json!({ "retired": self.other_patient, "reason": "same person" })
            }
            "/worklists/unmatched/{id}/claim" | "/worklists/vitals/{id}/claim" => person,
            "/users/{id}/state" => json!({ "state": "locked", "reason": "left" }),
            _ => return operation.example(),
        };
        Some(own)
    }
}
