//! What bedside devices say: measurements, what of them is nobody's, alarms.

use schemas::care::{Code, Location, Value};
use schemas::devices::AlarmValue;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_clinical::queries::{AlarmEventRow, AlarmRow, UnmatchedVitalsRow, VitalRow};

use super::canonical;
use super::of_care::{canonical, code, parted, value_from};

/// One measurement, of a bedside device or of a person (`channel` is `staff` and `matched_by` is `entry`).
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "5f0c1b9e-2f1d-5f0a-8a56-1c2d3e4f5a6b", "version": 1, "current": true,
    "patient_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8d", "matched_by": "bed",
    "code": { "code": "147842", "text": "MDC_ECG_HEART_RATE", "system": "MDC" }, "loinc": "8867-4", "loinc_display": "Heart rate",
    "value": { "kind": "quantity", "number": "86" }, "raw_value": "86", "unit": "264864", "ucum": "/min", "ucum_value": "86",
    "observed_at": "2026-01-13T02:45:00Z", "timed_by": "report", "channel": "icu", "device": "0009FB0A0B0C0001",
    "path": "1.2.1.147842", "container": "MDC_DEV_ECG_VMD", "location": { "point_of_care": "ICU", "bed": "5" }, "status": "R",
    "source_event": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c"
}))]
pub(crate) struct Vital {
    /// The same for every version of the measurement.
    pub id: Uuid,
    pub version: i16,
    /// False for versions that a later one replaced.
    pub current: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient_id: Option<Uuid>,
    /// `message`: it names the patient; `bed`: exactly one patient was in the bed; `claim`: a person said so;
    /// `entry`: a person measured it. Absent while it is
    /// nobody's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matched_by: Option<String>,
    /// As sent.
    #[schema(schema_with = canonical::code)]
    pub code: Code,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loinc: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loinc_display: Option<String>,
    #[schema(schema_with = canonical::value)]
    pub value: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_value: Option<String>,
    /// As sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ucum: Option<String>,
    /// The value in `ucum`, decimal text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ucum_value: Option<String>,
    /// The limits that were set at the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// OBX-11: `R` and `F` measured, `C` corrected, `D` and `W` taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Why it waits for a person: `unknown_code` or `unknown_unit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub observed_at: OffsetDateTime,
    /// What that time was taken from: `observation` (OBX-14), `report` (OBR-7), `message` (MSH-7), or `arrival` where the
    /// message has none.
    pub timed_by: String,
    pub channel: String,
    /// EUI-64 where the device has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// OBX-4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The nearest part of the device that contains it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// How it was measured (OBX-17): `APERIODIC` …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Where on the body (OBX-20).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = canonical::code)]
    pub site: Option<Code>,
    /// PV1-3 of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = canonical::location)]
    pub location: Option<Location>,
    /// Who entered this version, where a person did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entered_by: Option<String>,
    /// Why it was corrected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change_reason: Option<String>,
    pub source_event: Uuid,
}

impl Vital {
    pub(crate) fn of(row: VitalRow, patient_id: Option<Uuid>) -> Self {
        Self {
            value: value_from(
                &row.value_kind,
                row.value_text.as_deref(),
                row.value_json.as_ref(),
                row.comparator.as_deref(),
            ),
            id: row.vital_key,
            version: row.version,
            current: row.current,
            patient_id,
            matched_by: row.matched_by,
            code: code(row.code, row.code_text, row.code_system),
            loinc: row.loinc,
            loinc_display: row.loinc_display,
            raw_value: row.raw_value,
            unit: row.unit,
            ucum: row.ucum,
            ucum_value: row.ucum_value,
            range: row.range_text,
            flags: parted(row.flags.as_deref(), '~'),
            status: row.status,
            held: row.held,
            observed_at: row.observed_at,
            timed_by: row.timed_by,
            channel: row.channel,
            device: row.device,
            path: row.path,
            container: row.container,
            method: row.method,
            site: canonical(row.site),
            location: canonical(row.place),
            entered_by: row.entered_by,
            change_reason: row.change_reason,
            source_event: row.source_event,
        }
    }
}

/// Measurements of one origin that are on nobody's chart, for one reason.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": 4, "reason": "bed_empty", "channel": "icu", "location": { "point_of_care": "ICU", "bed": "9" },
    "device": "0009FB0A0B0C0009", "first_at": "2026-01-13T03:00:00Z", "last_at": "2026-01-13T03:41:00Z", "waiting": 246,
    "state": "open", "at": "2026-01-13T03:00:01Z"
}))]
pub(crate) struct UnmatchedVitals {
    pub id: i64,
    /// `no_bed`: neither patient nor bed is named; `bed_unknown`: no movement ever named the bed; `bed_ambiguous`: several rooms or
    /// facilities have a bed of that name; `bed_empty`: nobody was in it at that time; `two_patients`: more than one was;
    /// `patient_mismatch`: another patient is named than was in the bed; `clock`: the time lies ahead of the arrival.
    pub reason: String,
    pub channel: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = canonical::location)]
    pub location: Option<Location>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The patient that the messages name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub named_patient_id: Option<Uuid>,
    /// Period of the measurements that wait.
    #[serde(with = "time::serde::rfc3339")]
    pub first_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub last_at: OffsetDateTime,
    /// How many wait.
    pub waiting: i32,
    /// `open`, `explained` (by movements that arrived later), `claimed` or `discarded`.
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved_by: Option<String>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub resolved_at: Option<OffsetDateTime>,
    /// Why they were discarded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Since when it is on the list.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

impl UnmatchedVitals {
    pub(crate) fn of(row: UnmatchedVitalsRow, named_patient_id: Option<Uuid>) -> Self {
        Self {
            id: row.id,
            reason: row.reason,
            channel: row.channel,
            location: canonical(row.place),
            device: row.device,
            named_patient_id,
            first_at: row.first_at,
            last_at: row.last_at,
            waiting: row.waiting,
            state: row.state,
            resolved_by: row.resolved_by,
            resolved_at: row.resolved_at,
            comment: row.comment,
            at: row.at,
        }
    }
}

/// An alarm of a bedside device as it stands. Secondary notification only: the bedside is the alarm of record.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "status": "active", "priority": "PH", "kind": "SP", "state": "active",
    "inactivation": ["audio-paused"], "code": { "code": "196674", "text": "MDC_EVT_LO_VAL_LT_LIM", "system": "MDC" },
    "text": "SpO2 low", "abnormality": "L", "location": { "point_of_care": "ICU", "bed": "5" },
    "patient_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8d", "channel": "icu", "device": "0009FB0A0B0C0001",
    "begun_at": "2026-01-13T03:10:00Z", "last_at": "2026-01-13T03:10:30Z", "messages": 2
}))]
pub(crate) struct Alarm {
    pub id: Uuid,
    /// `active`, `latched` (its cause is gone, nobody at the bedside has seen it yet) or `ended`.
    pub status: String,
    /// `PH` high, `PM` medium, `PL` low, `PN` none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// `SP` physiological, `ST` technical, `SA` advisory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// As the device calls it: `active`, `inactive`, `latched`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// `enabled`, `audio-paused`, `alarm-off`, `alert-acknowledged` …
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inactivation: Vec<String>,
    #[schema(schema_with = canonical::code)]
    pub code: Code,
    /// The words that the device shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// `L` or `H`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abnormality: Option<String>,
    /// The value beyond its limits, as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = canonical::alarm_value)]
    pub measured: Option<AlarmValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = canonical::location)]
    pub location: Option<Location>,
    /// The patient named, else who was alone in the bed when it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient_id: Option<Uuid>,
    pub channel: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The part of the device that raised it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub begun_at: OffsetDateTime,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub ended_at: Option<OffsetDateTime>,
    /// The newest message about it: an open alarm that has been silent for long may have lost its device.
    #[serde(with = "time::serde::rfc3339")]
    pub last_at: OffsetDateTime,
    /// Messages about it, with those that only say that it goes on.
    pub messages: i32,
}

impl Alarm {
    pub(crate) fn of(row: AlarmRow, patient_id: Option<Uuid>) -> Self {
        Self {
            id: row.id,
            status: row.status,
            priority: row.priority,
            kind: row.kind,
            state: row.state,
            inactivation: row.inactivation,
            code: code(row.code, row.code_text, row.code_system),
            text: row.text,
            abnormality: row.abnormality,
            measured: canonical(row.measured),
            location: canonical(row.place),
            patient_id,
            channel: row.channel,
            device: row.device,
            source: row.source,
            begun_at: row.begun_at,
            ended_at: row.ended_at,
            last_at: row.last_at,
            messages: row.messages,
        }
    }
}

/// An alarm and what became of it, oldest first.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "status": "ended", "priority": "PH",
    "code": { "code": "196674", "text": "MDC_EVT_LO_VAL_LT_LIM", "system": "MDC" }, "channel": "icu",
    "begun_at": "2026-01-13T03:10:00Z", "ended_at": "2026-01-13T03:11:10Z", "last_at": "2026-01-13T03:11:10Z", "messages": 9,
    "history": [
        { "at": "2026-01-13T03:10:00Z", "phase": "start", "state": "active", "priority": "PH", "value": "87" },
        { "at": "2026-01-13T03:11:10Z", "phase": "end", "state": "inactive", "value": "93" }
    ]
}))]
pub(crate) struct AlarmDetail {
    #[serde(flatten)]
    pub alarm: Alarm,
    pub history: Vec<AlarmEvent>,
}

/// A message that changed an alarm.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct AlarmEvent {
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// `start`, `continue`, `update`, `end` or `point`.
    pub phase: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inactivation: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// The value beyond its limits, as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl AlarmEvent {
    pub(crate) fn of(row: AlarmEventRow) -> Self {
        Self {
            at: row.at,
            phase: row.phase,
            state: row.state,
            inactivation: row.inactivation,
            priority: row.priority,
            value: row.value,
            text: row.text,
        }
    }
}
