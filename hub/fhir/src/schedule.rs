//! Appointment.

use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::element::{element, list, maybe, maybe_moment, reference, text, words};
use crate::resource::{Kind, Meta, Resource};

/// A booked, or once booked, time.
#[derive(Debug, Clone)]
pub struct Appointment {
    pub id: Uuid,
    pub meta: Meta,
    /// `proposed`, `pending`, `booked`, `arrived`, `checked_in`, `fulfilled`, `cancelled`, `no_show`, `entered_in_error`,
    /// `waitlist`.
    pub status: String,
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
    pub display: Option<String>,
    /// `accepted`, `declined`, `tentative`, `needs_action`.
    pub status: String,
}

impl Appointment {
    #[must_use]
    pub fn resource(&self) -> Resource {
        let status = match self.status.as_str() {
            "proposed" => "proposed",
            "pending" | "held" => "pending",
            "booked" | "confirmed" => "booked",
            "arrived" => "arrived",
            "checked_in" => "checked-in",
            "fulfilled" | "completed" => "fulfilled",
            "cancelled" => "cancelled",
            "no_show" => "noshow",
            "waitlist" | "waitlisted" => "waitlist",
            _ => "entered-in-error",
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
                ("reasonCode", list([words(self.reason.as_ref())])),
                ("description", maybe(self.description.as_ref())),
                ("start", maybe_moment(start)),
                ("end", maybe_moment(end)),
                ("minutesDuration", minutes.map_or(Value::Null, Value::from)),
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
