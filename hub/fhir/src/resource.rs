//! A resource with its type, id and version.

use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::check::{Unfit, check};
use crate::element::{element, moment};
use crate::systems::TAGS;

macro_rules! kinds {
    ($($name:ident),+ $(,)?) => {
        /// The types of resources that the hub can write.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind { $($name),+ }

        impl Kind {
            /// Every type.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// As it stands in `resourceType` and in paths.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }
        }
    };
}

kinds! {
    AllergyIntolerance,
    Appointment,
    AuditEvent,
    Condition,
    DiagnosticReport,
    DocumentReference,
    Encounter,
    Location,
    MedicationRequest,
    Observation,
    Organization,
    Patient,
    Practitioner,
    Provenance,
    Schedule,
    ServiceRequest,
    Slot,
    Specimen,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.as_str() == text)
            .ok_or(())
    }
}

/// The id of a resource: 1 to 64 of letters, digits, `-` and `.`.
#[must_use]
pub fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}

/// Which version of a thing this is, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// An id of FHIR.
    pub version: String,
    pub updated: OffsetDateTime,
    /// What the hub says of it beside its content: `provisional`, `held` …
    pub tags: Vec<&'static str>,
}

impl Meta {
    #[must_use]
    pub fn new(version: impl fmt::Display, updated: OffsetDateTime) -> Self {
        Self {
            version: version.to_string(),
            updated,
            tags: Vec::new(),
        }
    }

    /// With one more tag.
    #[must_use]
    pub fn tagged(mut self, tag: Option<&'static str>) -> Self {
        self.tags.extend(tag);
        self
    }
}

/// FNV-1a of the document: tells two versions of one resource apart, and nothing else is asked of it.
fn digest(fields: &Value) -> u32 {
    fields.to_string().bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// A resource. Its JSON may hold decimals in the form of [`crate::to_bytes`].
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    pub kind: Kind,
    pub id: String,
    pub meta: Meta,
    json: Value,
}

impl Resource {
    /// `fields` are the resource's own; type, id and meta are put before them. The version that is told is the row's and a
    /// digest of what is told: a mapping, a verification or a merge changes what a resource says and not the row it is of.
    pub(crate) fn new<const N: usize>(
        kind: Kind,
        id: impl fmt::Display,
        meta: Meta,
        fields: [(&str, Value); N],
    ) -> Self {
        let id = id.to_string();
        let fields = element(fields);
        let meta = Meta {
            version: format!("{}-{:08x}", meta.version, digest(&fields)),
            ..meta
        };
        let mut json = json!({
            "resourceType": kind.as_str(),
            "id": id,
            "meta": element([
                ("versionId", Value::from(meta.version.as_str())),
                ("lastUpdated", moment(meta.updated)),
                (
                    "tag",
                    meta.tags
                        .iter()
                        .map(|tag| json!({ "system": TAGS, "code": tag }))
                        .collect::<Vec<_>>()
                        .into(),
                ),
            ]),
        });
        if let (Value::Object(json), Value::Object(fields)) = (&mut json, fields) {
            json.extend(fields);
        }
        Self {
            kind,
            id,
            meta,
            json,
        }
    }

    /// As it is sent; to be written with [`crate::to_bytes`].
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// `Patient/018f…`
    #[must_use]
    pub fn reference(&self) -> String {
        format!("{}/{}", self.kind, self.id)
    }

    /// Looked at with fhir-sdk's types.
    ///
    /// # Errors
    /// It is no resource of FHIR, or they would drop a part of it.
    pub fn check(&self) -> Result<(), Unfit> {
        check(&self.json)
    }

    /// Only these elements, those that must be there, and a tag that says so (FHIR R4 §3.1.1.5.8 `_elements`).
    #[must_use]
    pub fn only(&self, elements: &[String], mandatory: &[&str]) -> Self {
        let mut json = self.json.clone();
        if let Value::Object(fields) = &mut json {
            fields.retain(|name, _| {
                let name = name.as_str();
                let bare = name.strip_prefix('_').unwrap_or(name);
                matches!(name, "resourceType" | "id" | "meta")
                    || mandatory.contains(&name)
                    || elements.iter().any(|element| element == bare)
            });
            if let Some(Value::Object(meta)) = fields.get_mut("meta") {
                let tags = meta
                    .entry("tag")
                    .or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(tags) = tags {
                    tags.push(json!({
                        "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
                        "code": "SUBSETTED",
                    }));
                }
            }
        }
        Self {
            json,
            ..self.clone()
        }
    }
}
