//! Schedules and slots.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_scheduling::queries;

/// What a worker answered, in the form that is shown.
pub(crate) fn told<T: DeserializeOwned + Default>(answer: Option<serde_json::Value>) -> T {
    answer
        .and_then(|answer| serde_json::from_value(answer).ok())
        .unwrap_or_default()
}

/// Working hours on one day of the week, wall-clock times where the schedule is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Hours {
    /// 1 is Monday (ISO 8601).
    pub weekday: i16,
    pub from: String,
    /// `24:00` is the end of the day.
    pub to: String,
}

/// Whose time it is, and how it is given away.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "name": "Dr Rao, general OPD", "facility": "MAIN", "department": "OPD",
    "practitioner": "D-7", "practitioner_name": "Dr Rao", "room": "12", "service": "general", "zone": "Asia/Kolkata",
    "slot_minutes": 10, "capacity": 1, "overbook": 0, "walk_ins": 20, "horizon_days": 60, "hold_seconds": 300,
    "offer_seconds": 1800, "reminder_minutes": [1440, 120], "hours": [{ "weekday": 1, "from": "08:00", "to": "20:00" }],
    "state": "active", "slots_until": "2026-04-01", "version": 1, "created_by": "asha", "created_at": "2026-01-31T08:30:00Z",
    "updated_at": "2026-01-31T08:30:00Z"
}))]
pub(crate) struct Schedule {
    pub id: Uuid,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facility: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub department: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub practitioner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub practitioner_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// IANA name of the zone of its hours.
    pub zone: String,
    pub slot_minutes: i16,
    /// Places in a slot.
    pub capacity: i16,
    /// Places beyond the capacity.
    pub overbook: i16,
    /// Walk-in tokens a day.
    pub walk_ins: i16,
    /// So many days ahead slots can be booked.
    pub horizon_days: i16,
    /// How long a place is held.
    pub hold_seconds: i32,
    /// How long an offer of the waiting list stands.
    pub offer_seconds: i32,
    /// Minutes before the beginning at which a reminder is due.
    pub reminder_minutes: Vec<i32>,
    pub hours: Vec<Hours>,
    /// `active` or `retired`.
    pub state: String,
    /// Slots stand up to and including this day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slots_until: Option<String>,
    pub version: i32,
    pub created_by: String,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

impl Schedule {
    pub(crate) fn of(row: queries::ScheduleRow, hours: &[queries::HoursRow]) -> Self {
        Self {
            hours: hours
                .iter()
                .filter(|one| one.schedule_id == row.id)
                .map(|one| Hours {
                    weekday: one.weekday,
                    from: one.from_time.clone(),
                    to: one.to_time.clone(),
                })
                .collect(),
            id: row.id,
            name: row.name,
            facility: row.facility,
            department: row.department,
            practitioner: row.practitioner,
            practitioner_name: row.practitioner_name,
            room: row.room,
            service: row.service,
            zone: row.zone,
            slot_minutes: row.slot_minutes,
            capacity: row.capacity,
            overbook: row.overbook,
            walk_ins: row.walk_ins,
            horizon_days: row.horizon_days,
            hold_seconds: row.hold_seconds,
            offer_seconds: row.offer_seconds,
            reminder_minutes: row.reminder_minutes,
            state: row.state,
            slots_until: row.generated_until.map(|day| day.to_string()),
            version: row.version,
            created_by: row.created_by,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// How many slots changed.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct SlotCounts {
    pub added: i64,
    pub withdrawn: i64,
    /// Stay, closed, because somebody is booked there.
    pub kept: i64,
}

/// A schedule that was changed.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "schedule_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "version": 2, "slots": { "added": 0, "withdrawn": 47, "kept": 1 },
    "affected": ["018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8d"]
}))]
pub(crate) struct ScheduleWritten {
    pub schedule_id: Uuid,
    /// Of the schedule; absent for exceptions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    /// Of the exception.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception_id: Option<Uuid>,
    pub slots: SlotCounts,
    /// Appointments whose time the schedule does not have any more. They stay booked: find them another.
    pub affected: Vec<Uuid>,
}

/// Leave or extra hours.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8e", "schedule_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "kind": "leave",
    "first_day": "2026-02-02", "last_day": "2026-02-06", "reason": "conference", "affected": 12, "created_by": "asha",
    "created_at": "2026-01-31T08:30:00Z"
}))]
pub(crate) struct ScheduleException {
    pub id: Uuid,
    pub schedule_id: Uuid,
    /// `leave` or `extra`.
    pub kind: String,
    pub first_day: String,
    pub last_day: String,
    /// Of each day; absent: the whole day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    pub reason: String,
    /// Appointments that it still leaves without a time: `GET /appointments?exception_id=…` lists them.
    pub affected: i64,
    pub created_by: String,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub ended_at: Option<OffsetDateTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<String>,
}

impl ScheduleException {
    pub(crate) fn of(row: queries::ExceptionRow) -> Self {
        Self {
            id: row.id,
            schedule_id: row.schedule_id,
            kind: row.kind,
            first_day: row.first_day.to_string(),
            last_day: row.last_day.to_string(),
            from: row.from_time,
            to: row.to_time,
            reason: row.reason,
            affected: row.affected,
            created_by: row.created_by,
            created_at: row.created_at,
            ended_at: row.ended_at,
            ended_by: row.ended_by,
        }
    }
}

/// A slot and what is free in it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8f", "schedule_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c",
    "schedule": "Dr Rao, general OPD", "practitioner": "D-7", "service": "general", "facility": "MAIN", "day": "2026-02-02",
    "starts_at": "2026-02-02T02:30:00Z", "ends_at": "2026-02-02T02:40:00Z", "capacity": 1, "free": 1, "overbook_left": 0,
    "state": "open"
}))]
pub(crate) struct Slot {
    pub id: Uuid,
    pub schedule_id: Uuid,
    pub schedule: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub practitioner: Option<String>,
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
    pub capacity: i16,
    pub free: i16,
    /// Places beyond the capacity that may still be given.
    pub overbook_left: i16,
    /// `open`; `closed`: the schedule does not have it any more, but somebody is booked there.
    pub state: String,
}

impl Slot {
    pub(crate) fn of(row: queries::SlotRow) -> Self {
        Self {
            id: row.id,
            schedule_id: row.schedule_id,
            schedule: row.schedule,
            practitioner: row.practitioner,
            service: row.service,
            room: row.room,
            facility: row.facility,
            department: row.department,
            day: row.day.to_string(),
            starts_at: row.starts_at,
            ends_at: row.ends_at,
            capacity: row.capacity,
            free: row.free,
            overbook_left: row.overbook_left,
            state: row.state,
        }
    }
}
