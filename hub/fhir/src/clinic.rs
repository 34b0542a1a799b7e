//! Schedule and Slot: whose time is given away, and what of it is free. Nothing here tells of a patient.

use serde_json::{Value, json};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use crate::element::{coding, concept_of, element, list, maybe, moment, reference, text};
use crate::resource::{Kind, Meta, Resource};

/// Services are the hospital's own words.
const SERVICE: &str = "urn:hub:code:hub-service";

/// Whose time it is.
#[derive(Debug, Clone)]
pub struct Schedule {
    pub id: Uuid,
    pub meta: Meta,
    pub active: bool,
    pub name: String,
    /// The hospital's code, and the name. Of practitioner, room and service there is one at least.
    pub practitioner: Option<String>,
    pub practitioner_name: Option<String>,
    pub room: Option<String>,
    pub service: Option<String>,
    pub facility: Option<String>,
    pub department: Option<String>,
    /// Slots stand up to and including this day.
    pub until: Option<Date>,
}

impl Schedule {
    #[must_use]
    pub fn resource(&self) -> Resource {
        let mut place: Vec<String> = [&self.facility, &self.department]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        place.extend(self.room.as_ref().map(|room| format!("room {room}")));
        let actors = [
            actor(
                "Practitioner",
                self.practitioner.as_ref(),
                self.practitioner_name.as_deref(),
            ),
            actor("HealthcareService", self.service.as_ref(), None),
            actor("Location", None, Some(&place.join(", "))),
        ];
        Resource::new(
            Kind::Schedule,
            self.id,
            self.meta.clone(),
            [
                ("active", json!(self.active)),
                ("serviceType", service(self.service.as_ref())),
                ("actor", list(actors)),
                (
                    "planningHorizon",
                    element([(
                        "end",
                        self.until
                            .map_or(Value::Null, |day| Value::from(day.to_string())),
                    )]),
                ),
                ("comment", text(&self.name)),
            ],
        )
    }
}

/// Whose it is, by the hospital's code: there is no resource of his own.
fn actor(kind: &str, code: Option<&String>, name: Option<&str>) -> Value {
    let actor = element([
        ("identifier", element([("value", maybe(code))])),
        ("display", name.map_or(Value::Null, text)),
    ]);
    match actor {
        Value::Object(mut members) => {
            members.insert("type".to_owned(), json!(kind));
            Value::Object(members)
        }
        _ => Value::Null,
    }
}

fn service(code: Option<&String>) -> Value {
    list([code.map_or(Value::Null, |code| {
        concept_of([coding(SERVICE, code, None)], Some(code))
    })])
}

/// A time that can be booked, or could.
#[derive(Debug, Clone)]
pub struct Slot {
    pub id: Uuid,
    pub meta: Meta,
    pub schedule: Uuid,
    pub service: Option<String>,
    /// `open`, `closed`, `withdrawn`.
    pub state: String,
    /// Places that may be booked now, of so many.
    pub free: i16,
    pub capacity: i16,
    pub start: OffsetDateTime,
    pub end: OffsetDateTime,
}

impl Slot {
    #[must_use]
    pub fn resource(&self) -> Resource {
        let status = match self.state.as_str() {
            "open" if self.free > 0 => "free",
            "open" => "busy",
            // the schedule has it no longer, and who is booked there stays booked
            "closed" | "withdrawn" => "busy-unavailable",
            _ => "entered-in-error",
        };
        let places = format!("{} of {} places free", self.free, self.capacity);
        Resource::new(
            Kind::Slot,
            self.id,
            self.meta.clone(),
            [
                ("serviceType", service(self.service.as_ref())),
                ("schedule", reference(Kind::Schedule, self.schedule)),
                ("status", json!(status)),
                ("start", moment(self.start)),
                ("end", moment(self.end)),
                ("comment", text(&places)),
            ],
        )
    }
}
