//! From the rows of `worker_clinical::queries` to the views.

use schemas::care::{Code, Value};
use serde::de::DeserializeOwned;
use serde_json::json;
use uuid::Uuid;
use worker_clinical::queries::{
    EncounterPlace, EncounterRow, OrderRow, ReportRow, ResultRow, SendingRow, SpecimenRow,
};

use super::care::{
    Encounter, LabResult, Order, OrderPlaced, Place, Range, Released, Report, Sending, Specimen,
    SpecimenRejection, Verified,
};

/// A canonical value as the worker stored it; what does not have its shape is left out rather than guessed.
pub(crate) fn canonical<T: DeserializeOwned>(stored: Option<serde_json::Value>) -> Option<T> {
    stored.and_then(|value| serde_json::from_value(value).ok())
}

pub(crate) fn code(code: String, text: Option<String>, system: Option<String>) -> Code {
    Code { code, text, system }
}

/// Several lines or repetitions that one column holds.
pub(crate) fn parted(text: Option<&str>, by: char) -> Vec<String> {
    text.map(|text| text.split(by).map(str::to_owned).collect())
        .unwrap_or_default()
}

impl Encounter {
    pub(crate) fn of(row: EncounterRow, patient_id: Option<Uuid>) -> Self {
        Self {
            id: row.id,
            patient_id,
            visit_number: row.visit_number,
            class: row.class,
            status: row.status,
            location: canonical(row.location),
            prior_location: canonical(row.prior_location),
            attending: canonical(row.attending),
            referring: canonical(row.referring),
            service: row.service,
            disposition: row.disposition,
            started_at: row.started_at,
            ended_at: row.ended_at,
            next_steps: worker_clinical::queries::next_steps(row.stage.as_deref()),
            stage: row.stage,
            department_id: row.department_id,
            token_day: row.token_day,
            token: row.token,
            reason: row.reason,
            priority: row.priority,
            payer: row.payer,
            ward_class: row.ward_class,
            medico_legal: row.medico_legal,
            expected_at: row.expected_at,
            ending: row.ending,
            version: row.version,
            updated_at: row.updated_at,
        }
    }
}

impl Place {
    pub(crate) fn of(row: EncounterPlace) -> Self {
        Self {
            location: canonical(Some(row.location)).unwrap_or_default(),
            status: row.status,
            from_at: row.from_at,
            to_at: row.to_at,
        }
    }
}

impl Sending {
    pub(crate) fn of(row: SendingRow) -> Self {
        Self {
            channel: row.channel,
            action: row.action,
            answer: row.answer,
            reason: row.reason,
            occasion: row.occasion,
            control_id: row.control_id,
            times: row.times,
            first_at: row.first_at,
            at: row.at,
        }
    }
}

impl Order {
    pub(crate) fn of(row: OrderRow, patient_id: Option<Uuid>, sent: Vec<Sending>) -> Self {
        Self {
            id: row.id,
            patient_id,
            visit_number: row.visit_number,
            placer_number: row.placer_number,
            filler_number: row.filler_number,
            group_number: row.group_number,
            code: code(row.code, row.code_text, row.code_system),
            status: row.status,
            priority: row.priority,
            ordered_by: canonical(row.ordered_by),
            ordered_at: row.ordered_at,
            notes: parted(row.notes.as_deref(), '\n'),
            targets: row.targets.unwrap_or_default(),
            held: row.held,
            sent,
            version: row.version,
            updated_at: row.updated_at,
        }
    }
}

impl OrderPlaced {
    /// From what the clinical worker answers.
    pub(crate) fn of(answer: Option<&serde_json::Value>) -> Self {
        let member = |name| answer.and_then(|answer| answer.get(name));
        let text = |name| {
            member(name)
                .and_then(serde_json::Value::as_str)
                .unwrap_or_default()
        };
        Self {
            id: text("order_id").parse().unwrap_or_default(),
            placer_number: text("placer_number").to_owned(),
            status: text("status").to_owned(),
            created: member("created").and_then(serde_json::Value::as_bool) == Some(true),
        }
    }
}

impl Specimen {
    pub(crate) fn of(row: SpecimenRow) -> Self {
        Self {
            id: row.id,
            number: row.number,
            filler_number: row.filler_number,
            kind: canonical(row.kind),
            body_site: canonical(row.body_site),
            role: row.role,
            container: canonical(row.container),
            condition: canonical(row.condition),
            collected_at: row.collected_at,
            received_at: row.received_at,
            state: row.state,
            collected_by: row.collected_by,
            received_by: row.received_by,
            rejection: row.rejected_at.map(|at| SpecimenRejection {
                reason: row.reject_reason.unwrap_or_default(),
                text: row.reject_text,
                recollect: row.recollect.unwrap_or_default(),
                by: row.rejected_by.unwrap_or_default(),
                at,
            }),
            version: row.version,
        }
    }
}

impl Report {
    pub(crate) fn of(row: ReportRow, patient_id: Option<Uuid>) -> Self {
        Self {
            id: row.id,
            patient_id,
            channel: row.channel,
            visit_number: row.visit_number,
            placer_number: row.placer_number,
            filler_number: row.filler_number,
            specimen_number: row.specimen_number,
            code: code(row.code, row.code_text, row.code_system),
            status: row.status,
            observed_at: row.observed_at,
            issued_at: row.issued_at,
            received_at: row.received_at,
            notes: parted(row.notes.as_deref(), '\n'),
            version: row.version,
            updated_at: row.updated_at,
            released: row.released,
            release: row.release_state.map(|state| Released {
                state,
                number: row.releases.unwrap_or_default(),
                at: row.released_at,
            }),
        }
    }
}

impl LabResult {
    pub(crate) fn of(row: ResultRow, patient_id: Option<Uuid>) -> Self {
        Self {
            id: result_id(row.report_id, row.item),
            value: value_of(&row),
            report_id: row.report_id,
            item: row.item,
            version: row.version,
            current: row.current,
            patient_id,
            code: code(row.code, row.code_text, row.code_system),
            alternate: canonical(row.alternate),
            sub_id: row.sub_id,
            value_type: row.value_type,
            raw_value: row.raw_value,
            unit: row.unit,
            loinc: row.loinc,
            loinc_display: row.loinc_display,
            ucum: row.ucum,
            ucum_value: row.ucum_value,
            range: row.range_text.map(|text| Range {
                text,
                low: row.range_low,
                high: row.range_high,
            }),
            flags: parted(row.flags.as_deref(), '~'),
            status: row.status,
            held: row.held,
            observed_at: row.observed_at,
            received_at: row.received_at,
            superseded_at: row.superseded_at,
            channel: row.channel,
            specimen_number: row.specimen_number,
            placer_number: row.placer_number,
            filler_number: row.filler_number,
            source_event: row.source_event,
            device: row.device,
            notes: parted(row.notes.as_deref(), '\n'),
            released: row.released,
            verification: row
                .verification_id
                .zip(row.verification)
                .map(|(id, state)| Verified {
                    id,
                    state,
                    failed: row.failed,
                    reason: row.reason,
                    by: row.decided_by,
                    at: row.decided_at,
                }),
        }
    }
}

/// `018f….3`: a result has no id but its place in its report.
pub(crate) fn result_id(report: Uuid, item: i16) -> String {
    format!("{report}.{item}")
}

/// The place that such an id names; another way to write it is no id.
pub(crate) fn result_place(id: &str) -> Option<(Uuid, i16)> {
    let (report, item) = id.split_once('.')?;
    let place = (report.parse().ok()?, item.parse().ok()?);
    (result_id(place.0, place.1) == id).then_some(place)
}

/// The value in its canonical form.
fn value_of(row: &ResultRow) -> Value {
    value_from(
        &row.value_kind,
        row.value_text.as_deref(),
        row.value_json.as_ref(),
        row.comparator.as_deref(),
    )
}

/// The value in its canonical form, put together from the columns that the worker laid it out in.
pub(crate) fn value_from(
    kind: &str,
    text: Option<&str>,
    json: Option<&serde_json::Value>,
    comparator: Option<&str>,
) -> Value {
    let text = text.unwrap_or_default();
    let mut parts = match (kind, json) {
        ("quantity", _) => json!({ "number": text }),
        ("date_time", _) => json!({ "value": text }),
        ("coded", Some(codes)) => json!({ "codes": codes }),
        ("attachment", Some(attachment)) => json!({ "attachment": attachment }),
        ("range" | "ratio" | "absent", Some(parts)) => parts.clone(),
        _ => json!({ "text": text }),
    };
    if let Some(object) = parts.as_object_mut() {
        object.insert("kind".to_owned(), json!(kind));
        if let Some(comparator) = comparator {
            object.insert("comparator".to_owned(), json!(comparator));
        }
    }
    serde_json::from_value(parts).unwrap_or_else(|_| match kind {
        "absent" => Value::Absent {
            reason: "unknown".to_owned(),
        },
        _ => Value::Text {
            text: text.to_owned(),
        },
    })
}
