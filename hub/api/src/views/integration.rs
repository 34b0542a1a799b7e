//! Held items, dead letters, channels, commands, incidents and the audit trail.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

/// Something that waits for a person.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": 17, "reason": "unknown_code", "channel": "lab", "code_system": "99ACME", "code": "GLU-X",
    "code_text": "Glucose fasting", "unit": "mg/dl", "sample_value": "104",
    "sample_report": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "waiting": 12, "state": "open",
    "first_at": "2026-01-31T08:30:00Z", "last_at": "2026-01-31T09:12:00Z"
}))]
pub struct HeldItem {
    pub id: i64,
    /// `unknown_code`, `unknown_unit` or `no_patient`.
    pub reason: String,
    pub channel: String,
    /// Code system as sent, empty when none.
    pub code_system: String,
    pub code: String,
    /// Unit as sent, empty when none.
    pub unit: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_text: Option<String>,
    /// A value as sent, to help the person who decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_report: Option<Uuid>,
    /// Results that wait behind it.
    pub waiting: i32,
    /// `open` or `resolved`.
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolution: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved_by: Option<String>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub resolved_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    pub first_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub last_at: OffsetDateTime,
}

/// A message that could not be processed.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": 5, "stage": "translate", "refused_by": "hl7v2", "reason": "hl7.no_msh",
    "detail": "the first segment is not MSH", "channel": "lab", "raw_id": "6f1f2a0e-55b1-5c1c-9d3c-0b6f3f1a2b3c",
    "stream": "RAW", "stream_seq": 4711, "record_index": 0, "attempts": 1, "state": "open",
    "first_at": "2026-01-31T08:30:00Z", "last_at": "2026-01-31T08:30:00Z"
}))]
pub struct DeadLetter {
    pub id: i64,
    /// `edge`, `translate`, `work` or `deliver`.
    pub stage: String,
    /// Worker or translator that refused it.
    pub refused_by: String,
    /// Stable code.
    pub reason: String,
    /// What, where, what to do.
    pub detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// The message it came from: `GET /api/v1/messages/{raw_id}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Where the original is kept.
    pub stream: String,
    pub stream_seq: i64,
    pub record_index: i16,
    pub attempts: i32,
    /// `open`, `replayed`, `resent` or `discarded`.
    pub state: String,
    /// The message that was sent in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub child: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolution: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved_by: Option<String>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub resolved_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    pub first_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub last_at: OffsetDateTime,
}

/// A link to one outside system, and how it is.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "channel": "lab", "kind": "hl7v2", "desired": "running", "link": "connected", "connections": 2,
    "address": "127.0.0.1:2575", "link_at": "2026-01-31T08:00:00Z", "messages": 4711,
    "last_message_at": "2026-01-31T08:30:00Z", "last_message_age_seconds": 12
}))]
pub struct Channel {
    pub channel: String,
    pub kind: String,
    /// What an operator wants: `running`, `paused` or `stopped`.
    pub desired: String,
    /// What the edge reports: `listening`, `connected`, `lost`, `failed`, `stopped`, or `unknown` before its first report.
    pub link: String,
    /// Peers connected now.
    pub connections: i32,
    /// Address listened on or dialled.
    pub address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When the edge last reported.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub link_at: Option<OffsetDateTime>,
    /// Messages in the ledger.
    pub messages: i64,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_message_at: Option<OffsetDateTime>,
    /// Absent when there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_message_age_seconds: Option<i64>,
    /// Who last started, paused or stopped it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<String>,
}

/// What became of a command.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "command_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "state": "applied", "worker": "clinical",
    "decided_at": "2026-01-31T08:30:00Z", "answer": { "released": 12 }
}))]
pub struct CommandStatus {
    pub command_id: Uuid,
    /// `pending` (no outcome on record: it waits, or was never sent), `applied`, `unchanged` or `refused`.
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub decided_at: Option<OffsetDateTime>,
    /// What the worker tells the caller: of a refusal its `code` and `detail`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<serde_json::Value>,
}

/// A command that was carried out.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({ "state": "applied", "answer": { "released": 12 } }))]
pub struct Applied {
    /// `applied`
    pub state: &'static str,
    /// What the worker tells of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<serde_json::Value>,
}

impl Applied {
    pub(crate) fn with(answer: Option<serde_json::Value>) -> Self {
        Self {
            state: "applied",
            answer,
        }
    }
}

/// A difference or a weakness that the backbone found in itself.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": 3, "kind": "ledger_gap", "detail": "RAW holds sequences 100 to 102 that the ledger does not",
    "count": 2, "first_at": "2026-01-31T08:30:00Z", "last_at": "2026-01-31T08:31:00Z"
}))]
pub struct Incident {
    pub id: i64,
    pub kind: String,
    pub detail: String,
    /// How often it was seen.
    pub count: i32,
    #[serde(with = "time::serde::rfc3339")]
    pub first_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub last_at: OffsetDateTime,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub resolved_at: Option<OffsetDateTime>,
}

/// Who did what to what.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": 42, "recorded_at": "2026-01-31T08:30:00Z", "actor": "admin", "action": "message.body_read",
    "object": "message 6f1f2a0e-55b1-5c1c-9d3c-0b6f3f1a2b3c", "reason": "result disputed"
}))]
pub struct AuditEntry {
    pub id: i64,
    #[serde(with = "time::serde::rfc3339")]
    pub recorded_at: OffsetDateTime,
    pub actor: String,
    pub action: String,
    pub object: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Events or commands that caused it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<serde_json::Value>,
}
