//! Organization, Location and Practitioner.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::element::{coding, concept_of, element, list, maybe, maybe_reference, text};
use crate::resource::{Kind, Meta, Resource};

/// The customer, or a facility of it.
#[derive(Debug, Clone)]
pub struct Organization {
    pub id: Uuid,
    pub meta: Meta,
    pub active: bool,
    /// Its name in the hub.
    pub code: String,
    pub name: String,
    pub part_of: Option<Uuid>,
}

impl Organization {
    #[must_use]
    pub fn resource(&self) -> Resource {
        Resource::new(
            Kind::Organization,
            self.id,
            self.meta.clone(),
            [
                (
                    "identifier",
                    list([element([
                        ("system", json!("urn:hub:organization")),
                        ("value", text(&self.code)),
                    ])]),
                ),
                ("active", json!(self.active)),
                (
                    "type",
                    list([concept_of(
                        [coding(
                            "http://terminology.hl7.org/CodeSystem/organization-type",
                            "prov",
                            Some("Healthcare Provider"),
                        )],
                        None,
                    )]),
                ),
                ("name", text(&self.name)),
                ("partOf", maybe_reference(Kind::Organization, self.part_of)),
            ],
        )
    }
}

/// What a place is (code system location-physical-type).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocationKind {
    Facility,
    Ward,
    Room,
    Bed,
}

/// A place where patients are.
#[derive(Debug, Clone)]
pub struct Location {
    pub id: String,
    pub meta: Meta,
    pub kind: LocationKind,
    pub active: bool,
    pub code: String,
    pub name: String,
    pub part_of: Option<String>,
    pub organization: Option<Uuid>,
}

impl Location {
    #[must_use]
    pub fn resource(&self) -> Resource {
        let (code, display) = match self.kind {
            LocationKind::Facility => ("si", "Site"),
            LocationKind::Ward => ("wa", "Ward"),
            LocationKind::Room => ("ro", "Room"),
            LocationKind::Bed => ("bd", "Bed"),
        };
        Resource::new(
            Kind::Location,
            &self.id,
            self.meta.clone(),
            [
                (
                    "identifier",
                    list([element([
                        ("system", json!("urn:hub:location")),
                        ("value", text(&self.code)),
                    ])]),
                ),
                (
                    "status",
                    json!(if self.active { "active" } else { "inactive" }),
                ),
                ("name", text(&self.name)),
                ("mode", json!("instance")),
                (
                    "physicalType",
                    concept_of(
                        [coding(
                            "http://terminology.hl7.org/CodeSystem/location-physical-type",
                            code,
                            Some(display),
                        )],
                        None,
                    ),
                ),
                (
                    "managingOrganization",
                    maybe_reference(Kind::Organization, self.organization),
                ),
                (
                    "partOf",
                    self.part_of.as_ref().map_or(Value::Null, |id| {
                        crate::element::reference(Kind::Location, id)
                    }),
                ),
            ],
        )
    }
}

/// A member of the staff who has an account.
#[derive(Debug, Clone)]
pub struct Practitioner {
    pub id: Uuid,
    pub meta: Meta,
    pub active: bool,
    pub username: String,
    pub name: Option<String>,
}

impl Practitioner {
    #[must_use]
    pub fn resource(&self) -> Resource {
        Resource::new(
            Kind::Practitioner,
            self.id,
            self.meta.clone(),
            [
                (
                    "identifier",
                    list([element([
                        ("system", json!("urn:hub:user")),
                        ("value", text(&self.username)),
                    ])]),
                ),
                ("active", json!(self.active)),
                (
                    "name",
                    list([element([("text", maybe(self.name.as_ref()))])]),
                ),
            ],
        )
    }
}
