//! Messages, and what they did.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_integration::queries;

/// One arrival, as the ledger has it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "6f1f2a0e-55b1-5c1c-9d3c-0b6f3f1a2b3c", "channel": "lab", "received_at": "2026-01-31T08:30:00.125Z",
    "size": 1493, "outcome": "translated", "message_type": "ORU^R01", "control_id": "MSG00001",
    "patient_number": "12345", "accession": "A-778", "order_number": "ORD-9"
}))]
pub(crate) struct Message {
    /// Digest of tenant, channel and bytes: the same bytes have the same id however often they arrive.
    pub id: Uuid,
    pub channel: String,
    #[serde(with = "time::serde::rfc3339")]
    pub received_at: OffsetDateTime,
    /// Bytes as received.
    pub size: i32,
    /// `translated`, `not_translated`, `query` (an instrument asks), `answer` (it acknowledges what we sent), `dead` or
    /// `duplicate`.
    pub outcome: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accession: Option<String>,
    /// The other patients of a message about several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub more_patients: Vec<String>,
    /// The other specimens of a message about several; each finds it as `accession` does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub more_accessions: Vec<String>,
    /// The other orders of a message about several; each finds it as `order_number` does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub more_orders: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visit_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bill_number: Option<String>,
    /// The message of which this is a deliberate child (edited resend).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<Uuid>,
}

impl Message {
    pub(crate) fn of(row: queries::Message) -> Self {
        Self {
            id: row.raw_id,
            channel: row.channel,
            received_at: row.received_at,
            size: row.size,
            outcome: row.outcome,
            message_type: row.message_type,
            control_id: row.control_id,
            patient_number: row.patient_number,
            accession: row.accession,
            more_patients: row.more_patients.unwrap_or_default(),
            more_accessions: row.more_accessions.unwrap_or_default(),
            more_orders: row.more_orders.unwrap_or_default(),
            order_number: row.order_number,
            visit_number: row.visit_number,
            bill_number: row.bill_number,
            parent: row.parent,
        }
    }
}

/// One arrival with all that is known of it but its bytes.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "6f1f2a0e-55b1-5c1c-9d3c-0b6f3f1a2b3c", "channel": "lab", "received_at": "2026-01-31T08:30:00.125Z",
    "size": 1493, "outcome": "translated", "message_type": "ORU^R01", "control_id": "MSG00001",
    "patient_number": "12345", "peer": "10.0.0.7:50122", "stream_seq": 4711, "record_index": 3,
    "events": [{ "id": "0b0e8a52-3a52-5f1c-8a50-5a54f0cf7d7d", "type": "lis.result.received" }],
    "unmapped": ["PV1-18"], "notes": ["charset: fallback to windows-1252"],
    "arrivals": [{ "received_at": "2026-01-31T08:30:00.125Z", "outcome": "translated", "stream_seq": 4711, "record_index": 3 }]
}))]
pub(crate) struct MessageDetail {
    #[serde(flatten)]
    pub message: Message,
    /// Address of the peer, or the path of its serial port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Place of the bytes in the stream RAW.
    pub stream_seq: i64,
    pub record_index: i16,
    /// Events made of it, in order.
    pub events: Vec<EventRef>,
    /// Fields that carry a value and that no mapping reads.
    pub unmapped: Vec<String>,
    /// What was odd about it.
    pub notes: Vec<String>,
    /// How a query was answered, each time it was asked, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<QueryAnswer>,
    /// Every arrival of the same bytes on this channel, this one included.
    pub arrivals: Vec<Arrival>,
}

/// What an instrument that asked was told.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "outcome": "found", "specimens": 1, "tests": 3, "took_ms": 12, "at": "2026-01-31T08:30:00.137Z", "stream_seq": 4711,
    "record_index": 3
}))]
pub(crate) struct QueryAnswer {
    /// `found`; `nothing`: nothing to be done for it; `unknown`: no such specimen; `failed`: it was told of an error;
    /// `refused`: what it asks for is not offered; `withdrawn`: it took a query back; `undelivered`: it did not get the answer.
    pub outcome: String,
    pub specimens: i32,
    pub tests: i32,
    /// From the last byte of the query to the answer.
    pub took_ms: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The arrival that it answers.
    pub stream_seq: i64,
    pub record_index: i16,
}

impl QueryAnswer {
    fn of(row: queries::QueryAnswer) -> Self {
        Self {
            outcome: row.outcome,
            specimens: row.specimens,
            tests: row.tests,
            took_ms: row.took_ms,
            reason: row.reason,
            at: row.at,
            stream_seq: row.stream_seq,
            record_index: row.record_index,
        }
    }
}

/// One arrival of the same bytes.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Arrival {
    #[serde(with = "time::serde::rfc3339")]
    pub received_at: OffsetDateTime,
    pub outcome: String,
    pub stream_seq: i64,
    pub record_index: i16,
}

impl MessageDetail {
    /// The first arrival of those bytes, and when they came again; `None` when there is none.
    pub(crate) fn of(
        rows: Vec<queries::Message>,
        answers: Vec<queries::QueryAnswer>,
    ) -> Option<Self> {
        let arrivals = rows
            .iter()
            .map(|row| Arrival {
                received_at: row.received_at,
                outcome: row.outcome.clone(),
                stream_seq: row.stream_seq,
                record_index: row.record_index,
            })
            .collect();
        let mut row = rows.into_iter().next()?;
        let events = (0..)
            .zip(std::mem::take(&mut row.events))
            .map(|(place, kind)| EventRef {
                id: schemas::event_id(row.raw_id, place),
                kind,
            })
            .collect();
        Some(Self {
            peer: row.peer.take(),
            stream_seq: row.stream_seq,
            record_index: row.record_index,
            events,
            unmapped: std::mem::take(&mut row.unmapped),
            notes: std::mem::take(&mut row.notes),
            answers: answers.into_iter().map(QueryAnswer::of).collect(),
            arrivals,
            message: Message::of(row),
        })
    }
}

/// An event by id and type.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct EventRef {
    pub id: Uuid,
    #[serde(rename = "type")]
    pub kind: String,
}

/// A message's body in a form for people. Offsets are of the original bytes.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "6f1f2a0e-55b1-5c1c-9d3c-0b6f3f1a2b3c", "size": 20, "decoded_as": "utf-8",
    "lines": [{ "offset": 0, "text": "MSH|^~\\&|LAB" }, { "offset": 13, "text": "PID|||1" }],
    "dump": [{ "offset": "00000000", "hex": "4d 53 48 7c 5e 7e 5c 26 7c 4c 41 42 0d 50 49 44", "text": "MSH|^~\\&|LAB.PID" }],
    "dump_truncated": false, "notes": []
}))]
pub(crate) struct MessageBody {
    pub id: Uuid,
    pub size: usize,
    /// `utf-8`, or `iso-8859-1` when the bytes are not UTF-8: then each byte is one sign, nothing is lost.
    pub decoded_as: &'static str,
    pub lines: Vec<BodyLine>,
    /// The first 64 KiB, sixteen bytes a row.
    pub dump: Vec<DumpRow>,
    pub dump_truncated: bool,
    pub notes: Vec<String>,
}

/// One line (one segment).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct BodyLine {
    pub offset: usize,
    pub text: String,
}

/// Sixteen bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct DumpRow {
    /// Eight hex digits.
    pub offset: String,
    pub hex: String,
    /// Printable ASCII, `.` for the rest.
    pub text: String,
}

/// The way of a message: raw → events → effects → outgoing.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "arrivals": [{
        "id": "6f1f2a0e-55b1-5c1c-9d3c-0b6f3f1a2b3c", "channel": "lab", "received_at": "2026-01-31T08:30:00.125Z",
        "size": 1493, "outcome": "translated", "message_type": "ORU^R01"
    }],
    "events": [{
        "id": "0b0e8a52-3a52-5f1c-8a50-5a54f0cf7d7d", "type": "lis.result.received",
        "applied": [{ "worker": "clinical", "outcome": "applied", "applied_at": "2026-01-31T08:30:00.180Z" }]
    }],
    "effects": [{ "kind": "report", "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "event_id": "0b0e8a52-3a52-5f1c-8a50-5a54f0cf7d7d" }],
    "outgoing": [{ "id": 991, "subject": "event.demo.3.clinical.report.filed", "created_at": "2026-01-31T08:30:00.180Z", "published_at": "2026-01-31T08:30:00.191Z" }],
    "dead_letters": [], "children": []
}))]
pub(crate) struct Lineage {
    /// The raw message: each arrival of its bytes, the first first.
    pub arrivals: Vec<Message>,
    pub events: Vec<LineageEvent>,
    /// Rows that these events made or changed last.
    pub effects: Vec<Effect>,
    /// Messages that followed from them.
    pub outgoing: Vec<Outgoing>,
    /// Dead letters of this message or of its events.
    pub dead_letters: Vec<i64>,
    /// Messages that were made from this one on purpose.
    pub children: Vec<Uuid>,
}

impl Lineage {
    /// Puts together what the ledger knows and the effects found elsewhere.
    pub(crate) fn of(found: queries::Lineage, effects: Vec<Effect>) -> Self {
        let mut applied = found.applied;
        let events = found
            .events
            .into_iter()
            .map(|event| LineageEvent {
                applied: applied
                    .extract_if(.., |one| one.event_id == event.event_id)
                    .map(|one| Application {
                        worker: one.worker,
                        outcome: one.outcome,
                        applied_at: one.applied_at,
                    })
                    .collect(),
                id: event.event_id,
                kind: event.name,
            })
            .collect();
        Self {
            arrivals: found.arrivals.into_iter().map(Message::of).collect(),
            events,
            effects,
            outgoing: found
                .said
                .into_iter()
                .map(|one| Outgoing {
                    id: one.id,
                    subject: one.subject,
                    created_at: one.created_at,
                    published_at: one.published_at,
                })
                .collect(),
            dead_letters: found.dead.into_iter().map(|letter| letter.id).collect(),
            children: found
                .children
                .into_iter()
                .map(|child| child.raw_id)
                .collect(),
        }
    }
}

/// An event and who applied it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct LineageEvent {
    pub id: Uuid,
    #[serde(rename = "type")]
    pub kind: String,
    /// Empty while it waits.
    pub applied: Vec<Application>,
}

/// What a worker did with an event.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Application {
    pub worker: String,
    /// `applied`, `unchanged`, `refused` or `held`.
    pub outcome: String,
    #[serde(with = "time::serde::rfc3339")]
    pub applied_at: OffsetDateTime,
}

/// A row that an event made or changed last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Effect {
    /// `patient`, `encounter`, `order` or `report`.
    pub kind: &'static str,
    pub id: Uuid,
    pub event_id: Uuid,
}

/// A message that followed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Outgoing {
    pub id: i64,
    pub subject: String,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Absent while the relay has not published it.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub published_at: Option<OffsetDateTime>,
}
