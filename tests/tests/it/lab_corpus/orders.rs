//! Orders for the tubes of the corpus, so that their results find somebody.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use tests::{Mllp, Rest, adt, eventually, unique};

const SOON: Duration = Duration::from_secs(30);

/// Whose the tubes are; invented here, one patient a number.
pub(super) struct Patients {
    address: SocketAddr,
    /// Whether something could be ordered on it.
    tubes: HashMap<String, bool>,
}

impl Patients {
    /// `address`: of an HL7 channel, where patients are registered.
    pub(super) fn new(address: SocketAddr) -> Self {
        let tubes = HashMap::new();
        Self { address, tubes }
    }

    /// Orders something on the tube; false where the corpus has orders of somebody else on it.
    pub(super) async fn order(&mut self, rest: &Rest, number: &str) -> bool {
        if let Some(placed) = self.tubes.get(number) {
            return *placed;
        }
        let patient = unique("LAB");
        let message = adt("A04", &unique("C"), &patient);
        let sent = Mllp::connect(self.address).await.send(message).await;
        assert_eq!(sent.code, "AA");
        let path = format!("/api/v1/patients?identifier={patient}");
        eventually("the patient is registered", SOON, || async {
            (!rest.items(&path).await.is_empty()).then_some(())
        })
        .await;
        let order = json!({ "patient_identifier": patient, "code": { "code": "CORPUS" }, "specimen": { "number": number } });
        let (status, answer) = rest.post("/api/v1/orders", &order).await;
        let placed = status == 201;
        assert!(
            placed || answer["code"] == "clinical.specimen_in_use",
            "{number}: {answer}"
        );
        self.tubes.insert(number.to_owned(), placed);
        placed
    }
}
