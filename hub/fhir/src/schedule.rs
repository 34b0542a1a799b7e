//! Appointment.

use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::element::{
    coding, concept_of, element, list, maybe, maybe_moment, maybe_reference, reference, text, words,
};
use crate::resource::{Kind, Meta, Resource};

/// A booked, or once booked, time.
#[derive(Debug, Clone)]
pub struct Appointment {
    pub id: Uuid,
    pub meta: Meta,
    /// As the hub keeps it (`schemas::scheduling::AppointmentState`).
    pub status: String,
    /// Nobody made an appointment: he was there.
    pub walk_in: bool,
    pub slot: Option<Uuid>,
    pub cancel_reason: Option<String>,
    pub service: Option<String>,
    pub reason: Option<String>,
    pub description: Option<String>,
    pub start: Option<OffsetDateTime>,
    pub end: Option<OffsetDateTime>,
    pub created: Option<OffsetDateTime>,
    pub comment: Option<String>,
    pub instruction: Option<String>,
    pub participants: Vec<Participant>,
}

/// Who takes part.
#[derive(Debug, Clone)]
pub struct Participant {
    /// Patient, Practitioner or Location.
    pub actor: Option<(Kind, String)>,
    /// What the hospital calls somebody who is no resource.
    pub identifier: Option<String>,
    pub display: Option<String>,
    /// `accepted`, `declined`, `tentative`, `needs_action`.
    pub status: String,
}

impl Appointment {
    #[must_use]
    pub fn resource(&self) -> Resource {
        let status = match self.status.as_str() {
            "held" => "pending",
            // that the patient confirmed it says his participation
            "booked" | "confirmed" => "booked",
            "arrived" => "arrived",
            // its planning is over: what follows stands in the encounter
            "in_consult" | "done" => "fulfilled",
            // a hold that ran out was never more than an offer
            "cancelled" | "expired" => "cancelled",
            "no_show" => "noshow",
            _ => "entered-in-error",
        };
        let kind = if self.walk_in {
            concept_of(
                [coding(
                    "http://terminology.hl7.org/CodeSystem/v2-0276",
                    "WALKIN",
                    Some("A previously unscheduled walk-in visit"),
                )],
                None,
            )
        } else {
            Value::Null
        };
        // app-3: only these may be without times; app-2: both or none
        let (start, end) = match (self.start, self.end) {
            (Some(start), Some(end)) => (Some(start), Some(end.max(start))),
            _ => (None, None),
        };
        let minutes = start
            .zip(end)
            .map(|(start, end)| (end - start).whole_minutes())
            .filter(|minutes| *minutes > 0);
        // app-4: a reason only with a cancellation
        let cancelled = matches!(status, "cancelled" | "noshow");
        let participants = match list(self.participants.iter().map(participant)) {
            Value::Null => {
                json!([{ "actor": { "display": "not known" }, "status": "needs-action" }])
            }
            participants => participants,
        };
        Resource::new(
            Kind::Appointment,
            self.id,
            self.meta.clone(),
            [
                ("status", json!(status)),
                (
                    "cancelationReason",
                    if cancelled {
                        words(self.cancel_reason.as_ref())
                    } else {
                        Value::Null
                    },
                ),
                ("serviceType", list([words(self.service.as_ref())])),
                ("appointmentType", kind),
                ("reasonCode", list([words(self.reason.as_ref())])),
                ("description", maybe(self.description.as_ref())),
                ("start", maybe_moment(start)),
                ("end", maybe_moment(end)),
                ("minutesDuration", minutes.map_or(Value::Null, Value::from)),
                ("slot", list([maybe_reference(Kind::Slot, self.slot)])),
                ("created", maybe_moment(self.created)),
                ("comment", maybe(self.comment.as_ref())),
                ("patientInstruction", maybe(self.instruction.as_ref())),
                ("participant", participants),
            ],
        )
    }
}

fn participant(one: &Participant) -> Value {
    let mut actor = one
        .actor
        .as_ref()
        .map_or_else(|| json!({}), |(kind, id)| reference(*kind, id));
    let identifier = element([("value", maybe(one.identifier.as_ref()))]);
    if !identifier.is_null() {
        actor["identifier"] = identifier;
    }
    if let Some(display) = &one.display {
        actor["display"] = text(display);
    }
    let status = match one.status.as_str() {
        "accepted" => "accepted",
        "declined" => "declined",
        "tentative" => "tentative",
        _ => "needs-action",
    };
    element([("actor", actor), ("status", json!(status))])
}
