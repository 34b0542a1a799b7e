//! What `Idempotency-Key` has to know of the façade, which the OpenAPI document does not describe.

use hub_fhir::Kind;
use serde_json::Value;

use crate::auth::permission::{
    AllergiesWrite, AppointmentsBook, ConditionsWrite, DocumentsWrite, EncountersOpen, OrdersPlace,
    PatientsWrite, Permission as _, PrescriptionsWrite, VitalsRecord,
};

/// The permission without which a POST to this path is refused: of a create, as [`super::call`] asks for it.
pub(crate) fn permission(path: &str) -> Option<&'static str> {
    let kind: Kind = path.strip_prefix("/fhir/")?.parse().ok()?;
    Some(match kind {
        Kind::Patient => PatientsWrite::NAME,
        Kind::Encounter => EncountersOpen::NAME,
        Kind::ServiceRequest => OrdersPlace::NAME,
        Kind::Observation => VitalsRecord::NAME,
        Kind::Condition => ConditionsWrite::NAME,
        Kind::AllergyIntolerance => AllergiesWrite::NAME,
        Kind::MedicationRequest => PrescriptionsWrite::NAME,
        Kind::Appointment => AppointmentsBook::NAME,
        Kind::DocumentReference => DocumentsWrite::NAME,
        _ => return None,
    })
}

/// Bundles are posted there: under many permissions at once, and what they tell may be anything.
pub(crate) fn takes_bundles(path: &str) -> bool {
    matches!(path, "/fhir" | "/fhir/")
}

/// A bundle that changes nothing, also because it can't be read.
pub(crate) fn only_reads(body: &[u8]) -> bool {
    let Ok(bundle) = serde_json::from_slice::<Value>(body) else {
        return true;
    };
    let entries = bundle["entry"].as_array();
    entries.into_iter().flatten().all(|entry| {
        let request = &entry["request"];
        let url = request["url"].as_str().unwrap_or_default();
        let path = url.split('?').next().unwrap_or_default();
        match request["method"].as_str() {
            Some("POST") => path.ends_with("/_search"),
            Some("PUT" | "PATCH" | "DELETE") => false,
            _ => true,
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fhir::table::{Interaction, WIRED};

    #[test]
    fn whatever_is_created_needs_a_permission() {
        let created = WIRED.iter().filter(|one| one.does(Interaction::Create));
        for wired in created {
            let path = format!("/fhir/{}", wired.kind);
            let permission = permission(&path).unwrap_or_else(|| panic!("{path}"));
            assert!(!permission.ends_with(":read"), "{path}");
        }
        for other in ["/fhir/Patient/_search", "/fhir/Patient/1", "/fhir", "/x"] {
            assert_eq!(permission(other), None, "{other}");
        }
    }

    #[test]
    fn a_bundle_reads_only_when_every_entry_does() {
        let of = |asked: &[(&str, &str)]| {
            let entries: Vec<Value> = asked
                .iter()
                .map(|(method, url)| json!({ "request": { "method": method, "url": url } }))
                .collect();
            only_reads(json!({ "entry": entries }).to_string().as_bytes())
        };
        assert!(of(&[]));
        assert!(of(&[
            ("GET", "Patient/1"),
            ("POST", "Patient/_search?_count=1")
        ]));
        assert!(!of(&[("GET", "Patient/1"), ("POST", "ServiceRequest")]));
        assert!(!of(&[("PUT", "Patient/1")]));
        assert!(!of(&[("POST", "ServiceRequest?x=/_search")]));
        assert!(only_reads(b"{"));
    }
}
