//! Held items, dead letters, channels, commands, incidents and the audit trail.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_integration::queries;

/// Something that waits for a person.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": 17, "reason": "unknown_code", "channel": "lab", "code_system": "99ACME", "code": "GLU-X",
    "code_text": "Glucose fasting", "unit": "mg/dl", "sample_value": "104",
    "sample_report": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "waiting": 12, "state": "open",
    "first_at": "2026-01-31T08:30:00Z", "last_at": "2026-01-31T09:12:00Z"
}))]
pub(crate) struct HeldItem {
    pub id: i64,
    /// `unknown_code` or `unknown_unit`.
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

impl HeldItem {
    pub(crate) fn of(row: queries::HeldItem) -> Self {
        Self {
            id: row.id,
            reason: row.reason,
            channel: row.channel,
            code_system: row.code_system,
            code: row.code,
            unit: row.unit,
            code_text: row.code_text,
            sample_value: row.sample_value,
            sample_report: row.sample_report,
            waiting: row.waiting,
            state: row.state,
            resolution: row.resolution,
            resolved_by: row.resolved_by,
            resolved_at: row.resolved_at,
            first_at: row.first_at,
            last_at: row.last_at,
        }
    }
}

/// A message that could not be processed.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": 5, "stage": "translate", "refused_by": "hl7v2", "reason": "hl7.no_msh",
    "detail": "the first segment is not MSH", "channel": "lab", "raw_id": "6f1f2a0e-55b1-5c1c-9d3c-0b6f3f1a2b3c",
    "stream": "RAW", "stream_seq": 4711, "record_index": 0, "attempts": 1, "state": "open",
    "first_at": "2026-01-31T08:30:00Z", "last_at": "2026-01-31T08:30:00Z"
}))]
pub(crate) struct DeadLetter {
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

impl DeadLetter {
    pub(crate) fn of(row: queries::DeadLetter) -> Self {
        Self {
            id: row.id,
            stage: row.stage,
            refused_by: row.refused_by,
            reason: row.reason,
            detail: row.detail,
            event_id: row.event_id,
            event_type: row.event_type,
            raw_id: row.raw_id,
            channel: row.channel,
            stream: row.stream,
            stream_seq: row.stream_seq,
            record_index: row.record_index,
            attempts: row.attempts,
            state: row.state,
            child: row.child,
            resolution: row.resolution,
            resolved_by: row.resolved_by,
            resolved_at: row.resolved_at,
            first_at: row.first_at,
            last_at: row.last_at,
        }
    }
}

/// A link to one outside system, and how it is.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "channel": "lab", "kind": "hl7v2", "desired": "running", "link": "connected", "connections": 2,
    "address": "127.0.0.1:2575", "link_at": "2026-01-31T08:00:00Z", "messages": 4711,
    "last_message_at": "2026-01-31T08:30:00Z", "last_message_age_seconds": 12.5,
    "held": 1, "dead": 0
}))]
pub(crate) struct Channel {
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
    pub last_message_age_seconds: Option<f64>,
    /// Held items that are open.
    pub held: i64,
    /// Dead letters that are open.
    pub dead: i64,
    /// Who last started, paused or stopped it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<String>,
}

impl Channel {
    pub(crate) fn of(row: queries::Channel) -> Self {
        Self {
            channel: row.channel,
            kind: row.kind,
            desired: row.desired,
            link: row.link,
            connections: row.connections,
            address: row.address,
            error: row.error,
            link_at: row.link_at,
            messages: row.messages,
            last_message_at: row.last_message_at,
            held: row.held,
            dead: row.dead,
            changed_by: row.changed_by,
            last_message_age_seconds: row.last_message_age,
        }
    }
}

/// What became of a command.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "command_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "state": "applied", "worker": "clinical",
    "decided_at": "2026-01-31T08:30:00Z", "answer": { "released": 12 }
}))]
pub(crate) struct CommandStatus {
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
    /// What the worker tells of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub answer: Option<serde_json::Value>,
    /// Why it was refused: stable code …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// … and a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl CommandStatus {
    /// From the worker's inbox: its row holds the outcome in the form in which the waiting caller is told
    /// (hub/core, worker: `CommandOutcome`).
    pub(crate) fn of(command_id: Uuid, decided: Option<queries::Applied>) -> Self {
        let Some(decided) = decided else {
            return Self {
                command_id,
                state: "pending".to_owned(),
                worker: None,
                decided_at: None,
                answer: None,
                code: None,
                detail: None,
            };
        };
        let told = decided.answer.as_ref();
        let text = |name| {
            told.and_then(|told| told.get(name))
                .and_then(serde_json::Value::as_str)
                .map(str::to_owned)
        };
        Self {
            command_id,
            answer: told.and_then(|told| told.get("answer")).cloned(),
            code: text("code"),
            detail: text("detail"),
            state: decided.outcome,
            worker: Some(decided.worker),
            decided_at: Some(decided.applied_at),
        }
    }
}

/// A command that was carried out.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({ "state": "applied", "answer": { "released": 12 } }))]
pub(crate) struct Applied {
    /// `applied`
    pub state: &'static str,
    /// What the worker tells of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
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
pub(crate) struct Incident {
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
    /// Who has seen it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged_by: Option<String>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub acknowledged_at: Option<OffsetDateTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Nobody had seen it in time.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub escalated_at: Option<OffsetDateTime>,
}

impl Incident {
    pub(crate) fn of(row: queries::Incident) -> Self {
        Self {
            id: row.id,
            kind: row.kind,
            detail: row.detail,
            count: row.count,
            first_at: row.first_at,
            last_at: row.last_at,
            resolved_at: row.resolved_at,
            acknowledged_by: row.acknowledged_by,
            acknowledged_at: row.acknowledged_at,
            note: row.note,
            escalated_at: row.escalated_at,
        }
    }
}

/// Who did what to what.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": 42, "recorded_at": "2026-01-31T08:30:00Z", "actor": "admin", "action": "message.body_read",
    "object": "message 6f1f2a0e-55b1-5c1c-9d3c-0b6f3f1a2b3c", "reason": "result disputed", "sealed": true
}))]
pub(crate) struct AuditEntry {
    pub id: i64,
    #[serde(with = "time::serde::rfc3339")]
    pub recorded_at: OffsetDateTime,
    pub actor: String,
    pub action: String,
    pub object: String,
    /// Ids of all that was touched.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Events or commands that caused it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub detail: Option<serde_json::Value>,
    /// A link of the hash chain covers it.
    pub sealed: bool,
}

impl AuditEntry {
    pub(crate) fn of(row: queries::AuditEntry) -> Self {
        Self {
            id: row.id,
            recorded_at: row.recorded_at,
            actor: row.actor,
            action: row.action,
            object: row.object,
            objects: row.objects,
            reason: row.reason,
            causes: row.causes,
            detail: row.detail,
            sealed: row.sealed,
        }
    }
}
