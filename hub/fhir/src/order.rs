//! ServiceRequest, out and in.

use schemas::care::{Code, Practitioner};
use schemas::moment;
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::element::{
    concept, list, maybe_moment, maybe_reference, named, notes, number, reference, whose,
};
use crate::outcome::Issue;
use crate::reading::{NO_TIME, Reader, Subject, items, local, owned};
use crate::resource::{Kind, Meta, Resource};
use crate::systems::system_asked;

/// A test that was ordered.
#[derive(Debug, Clone)]
pub struct Order {
    pub id: Uuid,
    pub meta: Meta,
    pub patient: Option<Uuid>,
    pub encounter: Option<Uuid>,
    pub placer_number: Option<String>,
    pub filler_number: Option<String>,
    pub group_number: Option<String>,
    pub code: Code,
    /// `active`, `on_hold`, `cancel_requested`, `revoked`, `completed`, `entered_in_error`, `unknown`.
    pub status: String,
    /// `routine`, `urgent`, `stat`, `asap`.
    pub priority: Option<String>,
    pub ordered_by: Option<Practitioner>,
    pub ordered_at: Option<OffsetDateTime>,
    pub notes: Vec<String>,
    pub specimens: Vec<Uuid>,
}

impl Order {
    #[must_use]
    pub fn resource(&self) -> Resource {
        // a request to cancel is none yet: the order stands until it is revoked (specs/hl7-fhir.md §3.2)
        let status = match self.status.as_str() {
            "active" | "cancel_requested" => "active",
            "on_hold" => "on-hold",
            "revoked" => "revoked",
            "completed" => "completed",
            "entered_in_error" => "entered-in-error",
            _ => "unknown",
        };
        let priority = self
            .priority
            .as_deref()
            .filter(|priority| ["routine", "urgent", "asap", "stat"].contains(priority));
        Resource::new(
            Kind::ServiceRequest,
            self.id,
            self.meta.clone(),
            [
                (
                    "identifier",
                    list([
                        number("PLAC", "Placer Identifier", self.placer_number.as_ref()),
                        number("FILL", "Filler Identifier", self.filler_number.as_ref()),
                    ]),
                ),
                (
                    "requisition",
                    number("PGN", "Placer Group Number", self.group_number.as_ref()),
                ),
                ("status", json!(status)),
                ("intent", json!("order")),
                ("priority", priority.map_or(Value::Null, Value::from)),
                ("code", concept(&self.code)),
                ("subject", whose(self.patient)),
                (
                    "encounter",
                    maybe_reference(Kind::Encounter, self.encounter),
                ),
                ("authoredOn", maybe_moment(self.ordered_at)),
                ("requester", named(self.ordered_by.as_ref())),
                (
                    "specimen",
                    list(
                        self.specimens
                            .iter()
                            .map(|id| reference(Kind::Specimen, id)),
                    ),
                ),
                ("note", notes(&self.notes)),
            ],
        )
    }
}

/// What somebody asks for with a ServiceRequest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderRequest {
    pub subject: Subject,
    pub code: Code,
    pub placer_number: Option<String>,
    pub priority: Option<String>,
    pub ordered_at: Option<String>,
    pub ordered_by: Option<Practitioner>,
    pub encounter: Option<Uuid>,
    pub tubes: Vec<Tube>,
    pub notes: Vec<String>,
}

/// From which tube.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tube {
    /// A Specimen that the hub has.
    Known(Uuid),
    /// One that is contained in the request.
    New {
        number: String,
        kind: Option<Code>,
        collected_at: Option<String>,
    },
}

/// Reads a ServiceRequest that [`crate::check`] found well-formed.
///
/// # Errors
/// Everything in it that the hub can't do, each with its place: what is left out of an order may be what mattered.
pub fn read_order(json: &Value) -> Result<OrderRequest, Vec<Issue>> {
    let taken = [
        "contained",
        "identifier",
        "status",
        "intent",
        "priority",
        "code",
        "subject",
        "encounter",
        "authoredOn",
        "requester",
        "specimen",
        "note",
    ];
    let mut reader = Reader::new(Kind::ServiceRequest, json, &taken);
    for (name, value) in [("status", "active"), ("intent", "order")] {
        if json[name] != value {
            reader.wrong(name, format!("a new order has the {name} `{value}`"));
        }
    }
    let subject = reader.subject("subject");
    let code = code(&json["code"]);
    if code.is_none() {
        reader.wrong("code", "must have a coding with a code");
    }
    let mut tubes = Vec::new();
    for (index, reference) in items(&json["specimen"]).enumerate() {
        let tube = tube(json, reference);
        if tube.is_none() {
            reader.wrong(
                &format!("specimen[{index}]"),
                "must be a Specimen of this server, or a contained one with an identifier or accessionIdentifier",
            );
        }
        if let Some(Tube::New {
            collected_at: Some(at),
            ..
        }) = &tube
            && moment::plausible(at).is_none()
        {
            reader.wrong(
                &format!("specimen[{index}]"),
                format!("collectedDateTime of the contained Specimen {NO_TIME}"),
            );
        }
        tubes.extend(tube);
    }
    let encounter = reader.encounter();
    let ordered_at = reader.moment("authoredOn", &json["authoredOn"]);
    let read = subject.zip(code).map(|(subject, code)| OrderRequest {
        subject,
        code,
        placer_number: placer(&json["identifier"]),
        priority: owned(&json["priority"]),
        ordered_at,
        ordered_by: practitioner(&json["requester"]),
        encounter,
        tubes,
        notes: items(&json["note"])
            .filter_map(|note| owned(&note["text"]))
            .collect(),
    });
    reader.done(read)
}

/// The first coding that has a code.
fn code(concept: &Value) -> Option<Code> {
    items(&concept["coding"]).find_map(|coding| {
        Some(Code {
            code: owned(&coding["code"])?,
            text: owned(&coding["display"]).or_else(|| owned(&concept["text"])),
            system: owned(&coding["system"]).map(|system| system_asked(&system)),
        })
    })
}

/// The identifier that is marked as the placer's, else the only one.
fn placer(identifiers: &Value) -> Option<String> {
    let is_placer = |identifier: &&Value| {
        items(&identifier["type"]["coding"]).any(|coding| coding["code"] == "PLAC")
    };
    let marked = items(identifiers).find(is_placer);
    let only = (items(identifiers).count() == 1)
        .then(|| items(identifiers).next())
        .flatten();
    owned(&marked.or(only)?["value"])
}

fn practitioner(reference: &Value) -> Option<Practitioner> {
    let person = Practitioner {
        id: owned(&reference["identifier"]["value"]).or_else(|| owned(&reference["reference"])),
        name: owned(&reference["display"]),
    };
    (person != Practitioner::default()).then_some(person)
}

fn tube(order: &Value, reference: &Value) -> Option<Tube> {
    let text = reference["reference"].as_str()?;
    let Some(inside) = text.strip_prefix('#') else {
        return local(reference, Kind::Specimen).map(Tube::Known);
    };
    let specimen = items(&order["contained"]).find(|contained| {
        contained["id"] == inside && contained["resourceType"] == Kind::Specimen.as_str()
    })?;
    let number = owned(&specimen["accessionIdentifier"]["value"]).or_else(|| {
        items(&specimen["identifier"]).find_map(|identifier| owned(&identifier["value"]))
    })?;
    Some(Tube::New {
        number,
        kind: code(&specimen["type"]),
        collected_at: owned(&specimen["collection"]["collectedDateTime"]),
    })
}
