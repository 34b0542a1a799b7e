//! Appointment, in: somebody is to have a slot.

use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::outcome::Issue;
use crate::reading::{Reader, Subject, items, local, owned, subject};
use crate::resource::Kind;

/// What somebody writes with an Appointment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookingRequest {
    pub subject: Subject,
    pub slot: Uuid,
    /// True (`pending`): the place is kept for some minutes.
    pub hold: bool,
    /// As the caller believes them to be.
    pub start: Option<OffsetDateTime>,
    pub end: Option<OffsetDateTime>,
    pub reason: Option<String>,
    pub note: Option<String>,
}

/// Reads an Appointment that [`crate::check`] found well-formed.
///
/// # Errors
/// Everything in it that the hub would not keep, each with its place.
pub fn read_booking(json: &Value) -> Result<BookingRequest, Vec<Issue>> {
    let taken = [
        "status",
        "slot",
        "start",
        "end",
        "reasonCode",
        "comment",
        "participant",
    ];
    let mut reader = Reader::new(Kind::Appointment, json, &taken);
    if !matches!(json["status"].as_str(), Some("booked" | "pending")) {
        reader.wrong(
            "status",
            "a new appointment is `booked`, or `pending`: the place is kept for some minutes",
        );
    }
    let slot = slot_of(json);
    reader.only_one("slot");
    if slot.is_none() {
        reader.wrong(
            "slot",
            "must be one slot, Slot/[id]: a search of Slot with status=free tells which are free",
        );
    }
    let mut patient = None;
    for (index, participant) in items(&json["participant"]).enumerate() {
        let place = format!("participant[{index}]");
        reader.only(&place, participant, &["actor", "status", "required"]);
        let found = subject(&participant["actor"]);
        if found.is_none() || patient.is_some() {
            reader.unkept(
                &place,
                "must be the patient, and nobody else: who else takes part follows from the slot",
            );
        }
        patient = patient.or(found);
    }
    if patient.is_none() {
        reader.wrong("participant", "must have the patient as its actor");
    }
    let reason = reader.only_one("reasonCode");
    let reason = reader.words("reasonCode", reason);
    let read = patient.zip(slot).map(|(subject, slot)| BookingRequest {
        subject,
        slot,
        hold: json["status"] == "pending",
        start: instant(&json["start"]),
        end: instant(&json["end"]),
        reason,
        note: owned(&json["comment"]),
    });
    reader.done(read)
}

/// The slot that is named, as a reference or by its id alone.
#[must_use]
pub fn slot_of(json: &Value) -> Option<Uuid> {
    let slot = items(&json["slot"]).next()?;
    local(slot, Kind::Slot).or_else(|| slot["identifier"]["value"].as_str()?.parse().ok())
}

fn instant(value: &Value) -> Option<OffsetDateTime> {
    schemas::moment::read(value.as_str()?)
}
