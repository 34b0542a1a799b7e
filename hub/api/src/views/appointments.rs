//! Appointments and all that happened to them.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_scheduling::queries;

/// The record that stands for each identifier's person, where the index knows one.
pub(crate) type People = HashMap<Uuid, Option<Uuid>>;

/// An appointment. In lists of a clinic without what it is about.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b90", "patient_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b92", "state": "booked",
    "kind": "slot", "mode": "in_person", "schedule_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "schedule": "Dr Rao, general OPD",
    "slot_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8f", "practitioner": "D-7", "facility": "MAIN", "day": "2026-02-02",
    "starts_at": "2026-02-02T02:30:00Z", "ends_at": "2026-02-02T02:40:00Z", "version": 1, "created_by": "asha",
    "created_at": "2026-01-31T08:30:00Z", "updated_at": "2026-01-31T08:30:00Z"
}))]
pub(crate) struct Appointment {
    pub id: Uuid,
    /// The standing record of the patient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient_id: Option<Uuid>,
    /// `held`, `booked`, `confirmed`, `arrived`, `in_consult`, `done`, `cancelled`, `no_show` or `expired`.
    pub state: String,
    /// `slot`, `overbook` or `walk_in`.
    pub kind: String,
    /// `in_person`, `video` or `phone`.
    pub mode: String,
    pub schedule_id: Uuid,
    pub schedule: String,
    /// Absent for a walk-in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub practitioner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub practitioner_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facility: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub department: Option<String>,
    /// Where the schedule is.
    pub day: String,
    #[serde(with = "time::serde::rfc3339")]
    pub starts_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub ends_at: OffsetDateTime,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub held_until: Option<OffsetDateTime>,
    /// Its number in the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_id: Option<Uuid>,
    /// Somebody must find another time: `leave` or `hours` (the schedule was changed).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exception_id: Option<Uuid>,
    /// What it is about; only in the appointment itself and in the patient's own list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Why it was cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<String>,
    pub version: i32,
    pub created_by: String,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

impl Appointment {
    /// With what it is about.
    pub(crate) fn of(row: queries::AppointmentRow, people: &People) -> Self {
        Self {
            patient_id: people.get(&row.subject_key).copied().flatten(),
            id: row.id,
            state: row.state,
            kind: row.kind,
            mode: row.mode,
            schedule_id: row.schedule_id,
            schedule: row.schedule,
            slot_id: row.slot_id,
            practitioner: row.practitioner,
            practitioner_name: row.practitioner_name,
            service: row.service,
            room: row.room,
            facility: row.facility,
            department: row.department,
            day: row.day.to_string(),
            starts_at: row.starts_at,
            ends_at: row.ends_at,
            held_until: row.held_until,
            token: row.token,
            queue_id: row.queue_id,
            attention: row.attention,
            exception_id: row.exception_id,
            reason: row.reason,
            note: row.note,
            end_reason: row.end_reason,
            version: row.version,
            created_by: row.created_by,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }

    /// As a desk sees it: when and who, not what about.
    pub(crate) fn at_the_desk(row: queries::AppointmentRow, people: &People) -> Self {
        Self {
            reason: None,
            note: None,
            end_reason: None,
            ..Self::of(row, people)
        }
    }
}

/// A step of an appointment.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Step {
    pub action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    pub to: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_slot: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_slot: Option<Uuid>,
    /// `hub`: by the clock.
    pub by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// A reminder that was due.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Reminder {
    pub minutes_before: i32,
    /// Of the time that the appointment had then.
    #[serde(with = "time::serde::rfc3339")]
    pub starts_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub said_at: OffsetDateTime,
}

/// An appointment with all that happened to it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b90", "patient_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b92", "state": "booked",
    "kind": "slot", "mode": "in_person", "schedule_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "schedule": "Dr Rao, general OPD",
    "slot_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8f", "day": "2026-02-02", "starts_at": "2026-02-02T02:30:00Z",
    "ends_at": "2026-02-02T02:40:00Z", "reason": "cough", "version": 1, "created_by": "asha", "created_at": "2026-01-31T08:30:00Z",
    "updated_at": "2026-01-31T08:30:00Z",
    "steps": [{ "action": "book", "to": "booked", "by": "asha", "at": "2026-01-31T08:30:00Z" }],
    "reminders": [{ "minutes_before": 1440, "starts_at": "2026-02-02T02:30:00Z", "said_at": "2026-02-01T02:30:02Z" }]
}))]
pub(crate) struct AppointmentDetail {
    #[serde(flatten)]
    pub appointment: Appointment,
    pub steps: Vec<Step>,
    pub reminders: Vec<Reminder>,
}

impl AppointmentDetail {
    pub(crate) fn of(
        appointment: Appointment,
        steps: Vec<queries::StepRow>,
        reminders: Vec<queries::ReminderRow>,
    ) -> Self {
        Self {
            appointment,
            steps: steps
                .into_iter()
                .map(|row| Step {
                    action: row.action,
                    from: row.from_state,
                    to: row.to_state,
                    from_slot: row.from_slot,
                    to_slot: row.to_slot,
                    by: row.actor,
                    reason: row.reason,
                    at: row.at,
                })
                .collect(),
            reminders: reminders
                .into_iter()
                .map(|row| Reminder {
                    minutes_before: row.minutes_before,
                    starts_at: row.starts_at,
                    said_at: row.said_at,
                })
                .collect(),
        }
    }
}

/// An appointment that was written.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "appointment_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b90", "state": "booked", "version": 1,
    "schedule_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "slot_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8f",
    "starts_at": "2026-02-02T02:30:00Z"
}))]
pub(crate) struct AppointmentWritten {
    pub appointment_id: Uuid,
    pub state: String,
    pub version: i32,
    pub schedule_id: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot_id: Option<Uuid>,
    pub starts_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_until: Option<String>,
    /// Its number in the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_id: Option<Uuid>,
}
