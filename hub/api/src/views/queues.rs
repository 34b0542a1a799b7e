//! Waiting lists and queues.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_scheduling::queries;

use super::appointments::{Appointment, People};

/// Somebody who waits for a place.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b94", "patient_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b92",
    "schedule_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "schedule": "Dr Rao, general OPD", "priority": 0, "rank": 1,
    "from": "2026-02-02T02:30:00Z", "to": "2026-02-06T14:30:00Z", "mode": "in_person", "state": "offered", "version": 2,
    "appointment_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b90", "slot_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8f",
    "expires_at": "2026-01-31T09:00:00Z", "created_by": "asha", "created_at": "2026-01-31T08:30:00Z",
    "updated_at": "2026-01-31T08:30:00Z"
}))]
pub(crate) struct WaitlistEntry {
    pub id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient_id: Option<Uuid>,
    pub schedule_id: Uuid,
    pub schedule: String,
    /// 0 to 9: the higher, the sooner.
    pub priority: i16,
    /// Among those who wait for the schedule; absent when it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank: Option<i64>,
    /// Slots that begin from then …
    #[serde(with = "time::serde::rfc3339")]
    pub from: OffsetDateTime,
    /// … and before then.
    #[serde(with = "time::serde::rfc3339")]
    pub to: OffsetDateTime,
    pub mode: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// `waiting`, `offered`, `booked`, `withdrawn` or `lapsed`.
    pub state: String,
    /// The appointment that is held for him, or that he took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub appointment_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot_id: Option<Uuid>,
    /// Until then the place is his.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub expires_at: Option<OffsetDateTime>,
    pub version: i32,
    pub created_by: String,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

impl WaitlistEntry {
    pub(crate) fn of(row: queries::WaitlistRow, people: &People) -> Self {
        Self {
            patient_id: people.get(&row.subject_key).copied().flatten(),
            id: row.id,
            schedule_id: row.schedule_id,
            schedule: row.schedule,
            priority: row.priority,
            rank: row.rank,
            from: row.from_at,
            to: row.to_at,
            mode: row.mode,
            note: row.note,
            state: row.state,
            appointment_id: row.appointment_id,
            slot_id: row.slot_id,
            expires_at: row.expires_at,
            version: row.version,
            created_by: row.created_by,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }

    /// As a desk sees it.
    pub(crate) fn at_the_desk(row: queries::WaitlistRow, people: &People) -> Self {
        Self {
            note: None,
            ..Self::of(row, people)
        }
    }
}

/// An entry that was written.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "entry_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b94", "state": "waiting", "version": 1
}))]
pub(crate) struct WaitlistWritten {
    pub entry_id: Uuid,
    pub state: String,
    pub version: i32,
    /// The appointment that the offer is, or was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appointment_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// A queue of a schedule and day.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b96", "schedule_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c",
    "schedule": "Dr Rao, general OPD", "practitioner_name": "Dr Rao", "room": "12", "facility": "MAIN", "day": "2026-02-02",
    "waiting": 3, "expected": 21, "last_number": 7, "walk_ins": 2, "walk_in_limit": 20, "delay_minutes": 0
}))]
pub(crate) struct Queue {
    pub id: Uuid,
    pub schedule_id: Uuid,
    pub schedule: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub practitioner_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facility: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub department: Option<String>,
    pub day: String,
    /// Are there and were not seen yet.
    pub waiting: i64,
    /// Are booked and not there yet.
    pub expected: i64,
    /// The last number that was given.
    pub last_number: i32,
    pub walk_ins: i32,
    pub walk_in_limit: i16,
    /// What was told to everybody who waits.
    pub delay_minutes: i32,
}

impl Queue {
    pub(crate) fn of(row: queries::QueueRow) -> Self {
        Self {
            id: row.id,
            schedule_id: row.schedule_id,
            schedule: row.schedule,
            practitioner_name: row.practitioner_name,
            room: row.room,
            facility: row.facility,
            department: row.department,
            day: row.day.to_string(),
            waiting: row.waiting,
            expected: row.expected,
            last_number: row.last_number,
            walk_ins: row.walk_ins,
            walk_in_limit: row.walk_in_limit,
            delay_minutes: row.delay_minutes,
        }
    }
}

/// A number of a queue.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Token {
    pub number: i32,
    /// `waiting`, `called`, `in_consult`, `done` or `gone`.
    pub state: String,
    pub appointment_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient_id: Option<Uuid>,
    /// `slot`, `overbook` or `walk_in`.
    pub kind: String,
    #[serde(with = "time::serde::rfc3339")]
    pub starts_at: OffsetDateTime,
    pub calls: i16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub given_at: OffsetDateTime,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub called_at: Option<OffsetDateTime>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub ended_at: Option<OffsetDateTime>,
}

impl Token {
    pub(crate) fn of(row: queries::TokenRow, people: &People) -> Self {
        Self {
            patient_id: people.get(&row.subject_key).copied().flatten(),
            number: row.number,
            state: row.state,
            appointment_id: row.appointment_id,
            kind: row.kind,
            starts_at: row.starts_at,
            calls: row.calls,
            room: row.room,
            given_at: row.given_at,
            called_at: row.called_at,
            ended_at: row.ended_at,
        }
    }
}

/// A queue with everybody in it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b96", "schedule_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c",
    "schedule": "Dr Rao, general OPD", "day": "2026-02-02", "waiting": 1, "expected": 0, "last_number": 1, "walk_ins": 0,
    "walk_in_limit": 20, "delay_minutes": 0,
    "tokens": [{ "number": 1, "state": "waiting", "appointment_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b90",
                 "patient_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b92", "kind": "slot", "starts_at": "2026-02-02T02:30:00Z",
                 "calls": 0, "given_at": "2026-02-02T02:21:00Z" }],
    "expected_appointments": []
}))]
pub(crate) struct QueueDetail {
    #[serde(flatten)]
    pub queue: Queue,
    /// Lowest number first.
    pub tokens: Vec<Token>,
    /// Booked and not there yet, by time.
    pub expected_appointments: Vec<Appointment>,
}

/// A number that was called.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "queue_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b96", "token": 7, "appointment_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b90",
    "calls": 1, "room": "12"
}))]
pub(crate) struct Called {
    pub queue_id: Uuid,
    pub token: i32,
    pub appointment_id: Uuid,
    /// 1 the first time.
    pub calls: i16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
}
