//! A facility with wards and beds of its own, and what is done in it over REST and ADT.

use serde_json::{Value, json};
use tests::{HubProcess, Mllp, Rest, World, eventually, stamp, unique};

use super::SOON;

/// All of it is told long after.
pub(super) const LATE: &str = "carried over into the hub";

/// A facility of its own with the wards A and B, each a department's, and the beds 1 and 2 in each.
pub(super) struct House {
    world: std::sync::Arc<World>,
    pub(super) rest: Rest,
    pub(super) facility: String,
    pub(super) department: String,
    pub(super) wards: [(String, String); 2],
    pub(super) beds: [[String; 2]; 2],
}

impl House {
    pub(super) async fn new() -> Self {
        let world = tests::shared().await;
        let rest = world.hub.sign_in().await;
        let facility = unique("F");
        let made = make(
            &rest,
            "facilities",
            &json!({ "code": facility, "name": "Test hospital", "zone": "Asia/Kolkata" }),
        )
        .await;
        let mut departments = Vec::new();
        let mut wards = Vec::new();
        let mut beds = Vec::new();
        for name in ["A", "B"] {
            let department = make(
                &rest,
                "departments",
                &json!({ "facility_id": made, "code": format!("DEP-{name}"), "name": name }),
            )
            .await;
            let code = unique(&format!("W{name}"));
            let ward = make(
                &rest,
                "wards",
                &json!({ "department_id": department, "code": code, "name": name }),
            )
            .await;
            let mut of_ward = Vec::new();
            for bed in ["1", "2"] {
                let bed = json!({ "ward_id": ward, "code": bed });
                of_ward.push(make(&rest, "beds", &bed).await);
            }
            beds.push(of_ward.try_into().unwrap());
            wards.push((code, ward));
            departments.push(department);
        }
        Self {
            world,
            rest,
            facility,
            department: departments.remove(0),
            wards: wards.try_into().unwrap(),
            beds: beds.try_into().unwrap(),
        }
    }

    pub(super) fn hub(&self) -> &HubProcess {
        &self.world.hub
    }

    /// Sends ADT and waits until it is in the ledger.
    pub(super) async fn adt(
        &self,
        trigger: &str,
        patient: &str,
        class: &str,
        place: &str,
        visit: &str,
    ) {
        let id = unique("ST");
        let at = stamp();
        let message = format!(
            "MSH|^~\\&|HIS|HOSP|HUB|HOSP|{at}||ADT^{trigger}|{id}|P|2.5.1\rEVN|{trigger}|{at}\r\
             PID|1||{patient}^^^HOSP^MR||Family{patient}^Given||19800517|F\rPV1|1|{class}|{place}||||||||||||||||{visit}\r"
        );
        let answer = Mllp::connect(self.hub().mllp("adt"))
            .await
            .send(&message)
            .await;
        assert_eq!(answer.code, "AA");
        self.rest.message(&id).await;
    }

    /// A patient whom the index knows.
    pub(super) async fn patient(&self) -> String {
        let patient = unique("SP");
        self.adt("A28", &patient, "N", "", "").await;
        let path = format!("/api/v1/patients?mrn={patient}");
        eventually("the patient is known", SOON, || async {
            (!self.rest.items(&path).await.is_empty()).then_some(())
        })
        .await;
        patient
    }

    /// A stay that is asked for; its id.
    pub(super) async fn request(&self, patient: &str) -> String {
        let admission = json!({
            "patient_identifier": patient, "department_id": self.department, "reason": "pneumonia",
            "at": "2026-07-01T09:00:00+05:30", "late_reason": LATE,
        });
        let (status, answer) = outcome(&self.rest, "/api/v1/admissions", &admission).await;
        assert_eq!(status, 201, "{answer}");
        answer["id"].as_str().unwrap().to_owned()
    }

    pub(super) async fn step(&self, stay: &str, step: &str, body: &Value) -> (u16, Value) {
        outcome(
            &self.rest,
            &format!("/api/v1/encounters/{stay}/{step}"),
            body,
        )
        .await
    }

    /// A step that must be possible; the stage that it leads to.
    pub(super) async fn steps(&self, stay: &str, step: &str, body: &Value) -> String {
        let (status, answer) = self.step(stay, step, body).await;
        assert_eq!(status, 200, "{step}: {answer}");
        answer["answer"]["stage"].as_str().unwrap().to_owned()
    }

    pub(super) async fn admitted(&self, bed: &str, at: &str) -> (String, String) {
        let patient = self.patient().await;
        let stay = self.request(&patient).await;
        let stage = self
            .steps(
                &stay,
                "admit",
                &json!({ "bed_id": bed, "at": at, "late_reason": LATE }),
            )
            .await;
        assert_eq!(stage, "admitted");
        (patient, stay)
    }

    pub(super) async fn bed(&self, id: &str) -> String {
        let bed = self.rest.get(&format!("/api/v1/beds/{id}")).await;
        bed["state"].as_str().unwrap().to_owned()
    }

    /// The stay that has the bed, on the ward's board.
    pub(super) async fn has(&self, ward: usize, bed: &str) -> Option<String> {
        let board = self
            .rest
            .get(&format!("/api/v1/wards/{}/board", self.wards[ward].1))
            .await;
        let found = board["beds"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["id"] == bed)?;
        found["patient"]["encounter_id"].as_str().map(str::to_owned)
    }

    /// Home, through all gates, out of the bed at `at`.
    pub(super) async fn goes_home(&self, stay: &str, at: &str) {
        self.steps(stay, "discharge", &json!({ "disposition": "home" }))
            .await;
        for gate in ["clinical", "pharmacy", "billing"] {
            self.steps(stay, &format!("gates/{gate}"), &json!({})).await;
        }
        assert_eq!(
            self.steps(stay, "leave", &json!({ "at": at, "late_reason": LATE }))
                .await,
            "left"
        );
    }

    pub(super) async fn days(&self, stay: &str, policy: &str) -> u64 {
        let path = format!("/api/v1/encounters/{stay}/bed-days?policy={policy}");
        self.rest.get(&path).await["days"].as_u64().unwrap()
    }
}

/// Something of the house; its id.
pub(super) async fn make(rest: &Rest, what: &str, body: &Value) -> String {
    let (status, answer) = outcome(rest, &format!("/api/v1/{what}"), body).await;
    assert_eq!(status, 201, "{what}: {answer}");
    answer["id"].as_str().unwrap().to_owned()
}

/// Status and answer of a write. One that is answered with 202 is asked for until it is decided.
pub(super) async fn outcome(rest: &Rest, path: &str, body: &Value) -> (u16, Value) {
    let (status, answer) = rest.post(path, body).await;
    if status != 202 {
        return (status, answer);
    }
    let url = answer["status_url"].as_str().unwrap().to_owned();
    let decided = eventually("the command is decided", SOON, || async {
        let state = rest.get(&url).await;
        (state["state"] != "pending").then_some(state)
    })
    .await;
    match decided["state"].as_str() {
        Some("refused") => (409, decided),
        _ if path.matches('/').count() == 3 => {
            // a thing that was made: its view is what the answer says
            let mut made = decided["answer"].clone();
            if made["id"].is_null() {
                made["id"] = made["encounter_id"].clone();
            }
            (201, made)
        }
        _ => (200, decided),
    }
}
