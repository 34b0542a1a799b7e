//! What arrives.

use schemas::care::{Code, HoldReason, Mapped, Observation, Value as Measured};
use schemas::integration::{MessageTranslated, SearchKeys, TranslationOutcome};
use schemas::patients::{Assertion, HumanName, Identifier, PatientReported};
use schemas::{ChannelId, IdentifierKey, Patch, RawId, TenantId};

pub(crate) fn translated(raw_id: RawId, seq: u64, patient: &str, size: usize) -> MessageTranslated {
    MessageTranslated {
        raw_id,
        channel: ChannelId::new("lab").unwrap(),
        stream_seq: seq,
        index: 0,
        received_at: time::OffsetDateTime::now_utc()
            .format(&time::format_description::well_known::Rfc3339)
            .unwrap(),
        size: u32::try_from(size).unwrap(),
        peer: Some("10.0.0.7:50122".to_owned()),
        outcome: TranslationOutcome::Translated,
        keys: SearchKeys {
            patient_number: Some(patient.to_owned()),
            accession: Some(format!("A-{seq}")),
            control_id: Some(format!("MSG{seq}")),
            message_type: Some("ORU^R01".to_owned()),
            ..SearchKeys::default()
        },
        events: vec![
            "patients.patient.reported".to_owned(),
            "lis.result.received".to_owned(),
        ],
        unmapped: vec!["PV1-18".to_owned()],
        notes: Vec::new(),
        parent: None,
        refused: None,
    }
}

pub(crate) fn identifier(tenant: &TenantId, value: &str) -> Identifier {
    Identifier {
        key: IdentifierKey::of(tenant, "HOSP", value),
        system: "HOSP".to_owned(),
        value: value.to_owned(),
        kind: Some("MR".to_owned()),
    }
}

pub(crate) fn person(tenant: &TenantId, number: &str) -> PatientReported {
    PatientReported {
        assertion: Assertion::Asserted,
        identifiers: vec![identifier(tenant, number)],
        name: Patch::Set(HumanName {
            family: Some("Sharma".to_owned()),
            given: vec!["Asha".to_owned()],
            ..HumanName::default()
        }),
        other_names: Vec::new(),
        birth_date: Patch::Set("1980-05-17".to_owned()),
        sex: Patch::Keep,
        telecoms: Patch::Keep,
        addresses: Patch::Keep,
        mother_maiden_name: Patch::Keep,
        marital_status: Patch::Keep,
        deceased: Patch::Keep,
        occurred_at: None,
    }
}

pub(crate) fn code(text: &str) -> Code {
    Code {
        code: text.to_owned(),
        text: None,
        system: None,
    }
}

/// A number that no table explains.
pub(crate) fn uncoded(name: &str, value: &str) -> Observation {
    Observation {
        held: Some(HoldReason::UnknownCode),
        mapped: None,
        ..coded(name, value)
    }
}

/// A number with its LOINC code.
pub(crate) fn coded(name: &str, value: &str) -> Observation {
    Observation {
        code: code(name),
        alternate: None,
        sub_id: None,
        value_type: Some("NM".to_owned()),
        value: Measured::Quantity {
            comparator: None,
            number: value.to_owned(),
        },
        raw_value: Some(value.to_owned()),
        unit: Some("mg/dl".to_owned()),
        range: None,
        flags: vec!["H".to_owned()],
        status: Some("F".to_owned()),
        observed_at: None,
        device: None,
        notes: Vec::new(),
        mapped: Some(Mapped {
            loinc: "2345-7".to_owned(),
            display: Some("Glucose".to_owned()),
            ucum: Some("mg/dL".to_owned()),
            factor: None,
        }),
        held: None,
    }
}
