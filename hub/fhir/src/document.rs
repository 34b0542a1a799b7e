//! DocumentReference.

use schemas::care::{Attachment, Code, Practitioner};
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::element::{
    element, list, maybe, maybe_concept, maybe_moment, maybe_reference, named, reference, text,
};
use crate::resource::{Kind, Meta, Resource};

/// A document or a note of a chart.
#[derive(Debug, Clone)]
pub struct Document {
    pub id: Uuid,
    pub meta: Meta,
    pub patient: Uuid,
    pub encounter: Option<Uuid>,
    /// `current`, `superseded`, `entered_in_error`.
    pub status: String,
    /// `preliminary` (a draft), `final`, `amended`.
    pub doc_status: Option<String>,
    pub kind: Option<Code>,
    pub category: Option<Code>,
    pub written_at: Option<OffsetDateTime>,
    pub author: Option<Practitioner>,
    pub description: Option<String>,
    pub content: Attachment,
    /// The address that the bytes are at.
    pub url: String,
    /// The document that this one stands in for.
    pub replaces: Option<Uuid>,
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
            .filter(|status| ["preliminary", "final", "amended"].contains(status));
        let attachment = element([
            ("contentType", text(&self.content.media_type)),
            ("url", text(&self.url)),
            (
                "size",
                u32::try_from(self.content.bytes).map_or(Value::Null, Value::from),
            ),
            ("title", maybe(self.content.label.as_ref())),
        ]);
        Resource::new(
            Kind::DocumentReference,
            self.id,
            self.meta.clone(),
            [
                ("status", json!(status)),
                ("docStatus", doc_status.map_or(Value::Null, Value::from)),
                ("type", maybe_concept(self.kind.as_ref())),
                ("category", list([maybe_concept(self.category.as_ref())])),
                ("subject", reference(Kind::Patient, self.patient)),
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
                ("content", list([element([("attachment", attachment)])])),
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
