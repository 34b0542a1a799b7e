//! DocumentReference.

use schemas::care::{Code, Practitioner};
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::element::{
    coding_of, concept_of, element, list, maybe, maybe_concept, maybe_moment, maybe_reference,
    named, reference, text, whose,
};
use crate::resource::{Kind, Meta, Resource};

/// A document or a note of a chart.
#[derive(Debug, Clone)]
pub struct Document {
    pub id: Uuid,
    pub meta: Meta,
    pub patient: Option<Uuid>,
    pub encounter: Option<Uuid>,
    /// `current`, `superseded`, `entered_in_error`.
    pub status: String,
    /// `preliminary` (a draft), `final`, `amended`, `entered_in_error`.
    pub doc_status: Option<String>,
    /// What kind of document it is, in one code system or several.
    pub kinds: Vec<Code>,
    pub kind_words: Option<String>,
    pub category: Option<Code>,
    pub written_at: Option<OffsetDateTime>,
    pub author: Option<Practitioner>,
    pub description: Option<String>,
    /// One at least.
    pub parts: Vec<Part>,
    /// The document that this one stands in for.
    pub replaces: Option<Uuid>,
}

/// What stands in a document: the bytes themselves, or where they are.
#[derive(Debug, Clone, Default)]
pub struct Part {
    pub media_type: String,
    /// Bytes of it.
    pub size: u64,
    pub title: Option<String>,
    /// When it was written, where that is not when the document was.
    pub written_at: Option<OffsetDateTime>,
    /// The address that the bytes are at.
    pub url: Option<String>,
    /// The bytes, in base64.
    pub data: Option<String>,
}

impl Part {
    fn json(&self) -> Value {
        let attachment = element([
            ("contentType", text(&self.media_type)),
            (
                "data",
                self.data.as_deref().map_or(Value::Null, Value::from),
            ),
            ("url", maybe(self.url.as_ref())),
            (
                "size",
                u32::try_from(self.size).map_or(Value::Null, Value::from),
            ),
            ("title", maybe(self.title.as_ref())),
            ("creation", maybe_moment(self.written_at)),
        ]);
        element([("attachment", attachment)])
    }
}

impl Document {
    #[must_use]
    pub fn resource(&self) -> Resource {
        let status = match self.status.as_str() {
            "superseded" => "superseded",
            "entered_in_error" => "entered-in-error",
            _ => "current",
        };
        let doc_status = self
            .doc_status
            .as_deref()
            .map(|status| status.replace('_', "-"))
            .filter(|status| {
                ["preliminary", "final", "amended", "entered-in-error"].contains(&status.as_str())
            });
        let kind = concept_of(self.kinds.iter().map(coding_of), self.kind_words.as_deref());
        Resource::new(
            Kind::DocumentReference,
            self.id,
            self.meta.clone(),
            [
                ("status", json!(status)),
                ("docStatus", doc_status.map_or(Value::Null, Value::from)),
                ("type", kind),
                ("category", list([maybe_concept(self.category.as_ref())])),
                ("subject", whose(self.patient)),
                ("date", maybe_moment(self.written_at)),
                ("author", list([named(self.author.as_ref())])),
                (
                    "relatesTo",
                    list([self.replaces.map_or(Value::Null, |id| {
                        element([
                            ("code", json!("replaces")),
                            ("target", reference(Kind::DocumentReference, id)),
                        ])
                    })]),
                ),
                ("description", maybe(self.description.as_ref())),
                ("content", list(self.parts.iter().map(Part::json))),
                (
                    "context",
                    element([(
                        "encounter",
                        list([maybe_reference(Kind::Encounter, self.encounter)]),
                    )]),
                ),
            ],
        )
    }
}
