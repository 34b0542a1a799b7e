//! DiagnosticReport and Specimen.

use schemas::care::{Attachment, Code};
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::element::{
    coding, concept, concept_of, element, list, maybe, maybe_concept, maybe_moment,
    maybe_reference, number, reference, text,
};
use crate::resource::{Kind, Meta, Resource};

/// One report (one OBR).
#[derive(Debug, Clone)]
pub struct Report {
    pub id: Uuid,
    pub meta: Meta,
    pub patient: Option<Uuid>,
    pub encounter: Option<Uuid>,
    pub order: Option<Uuid>,
    pub specimen: Option<Uuid>,
    pub placer_number: Option<String>,
    pub filler_number: Option<String>,
    pub code: Code,
    /// OBR-25 as sent.
    pub status: Option<String>,
    /// `open`, `released`, `rejected`; none where its source has verified it.
    pub release: Option<String>,
    /// How often it was released.
    pub releases: i32,
    pub observed_at: Option<OffsetDateTime>,
    pub issued_at: Option<OffsetDateTime>,
    pub notes: Vec<String>,
    /// Ids of the Observations.
    pub results: Vec<String>,
    /// Documents, each with the address that its bytes are at.
    pub documents: Vec<(Attachment, String)>,
    pub channel: String,
}

impl Report {
    #[must_use]
    pub fn resource(&self) -> Resource {
        let notes = text(&self.notes.join("\n"));
        // R4 has no note on a report: as the element of R5, in the form for R4 (HL7 cross-version extensions)
        let note = if notes.is_null() {
            Value::Null
        } else {
            json!({
                "url": "http://hl7.org/fhir/5.0/StructureDefinition/extension-DiagnosticReport.note",
                "valueAnnotation": { "text": notes },
            })
        };
        let code = match concept(&self.code) {
            Value::Null => json!({ "text": "not named by its source" }),
            code => code,
        };
        Resource::new(
            Kind::DiagnosticReport,
            self.id,
            self.meta.clone(),
            [
                ("extension", list([note])),
                (
                    "identifier",
                    list([
                        number("PLAC", "Placer Identifier", self.placer_number.as_ref()),
                        number("FILL", "Filler Identifier", self.filler_number.as_ref()),
                    ]),
                ),
                (
                    "basedOn",
                    list([maybe_reference(Kind::ServiceRequest, self.order)]),
                ),
                ("status", json!(self.status())),
                (
                    "category",
                    list([concept_of(
                        [coding(
                            "http://terminology.hl7.org/CodeSystem/v2-0074",
                            "LAB",
                            Some("Laboratory"),
                        )],
                        None,
                    )]),
                ),
                ("code", code),
                ("subject", maybe_reference(Kind::Patient, self.patient)),
                (
                    "encounter",
                    maybe_reference(Kind::Encounter, self.encounter),
                ),
                ("effectiveDateTime", maybe_moment(self.observed_at)),
                ("issued", maybe_moment(self.issued_at)),
                (
                    "performer",
                    list([element([("display", text(&self.channel))])]),
                ),
                (
                    "specimen",
                    list([maybe_reference(Kind::Specimen, self.specimen)]),
                ),
                (
                    "result",
                    list(
                        self.results
                            .iter()
                            .map(|id| reference(Kind::Observation, id)),
                    ),
                ),
                ("presentedForm", list(self.documents.iter().map(document))),
            ],
        )
    }

    /// Table 0123 as diagnostic-report-status (specs/hl7-fhir.md §3.4); a report that is verified here is what was decided here.
    fn status(&self) -> &'static str {
        let sent = match self.status.as_deref().map(str::trim) {
            Some("F") => "final",
            Some("C") => "corrected",
            Some("A" | "R") => "partial",
            Some("P" | "M") => "preliminary",
            Some("O" | "I" | "S" | "N") => "registered",
            Some("X") => "cancelled",
            _ => "unknown",
        };
        match self.release.as_deref() {
            None => sent,
            Some("released") if self.releases > 1 => "corrected",
            Some("released") => "final",
            Some("rejected") => "cancelled",
            Some(_) if sent == "cancelled" => "cancelled",
            Some(_) => "preliminary",
        }
    }
}

fn document((attachment, url): &(Attachment, String)) -> Value {
    // without a name the encoding decides: `hash` of FHIR is SHA-1, ours is SHA-256 and stands in the address
    element([
        ("contentType", text(&attachment.media_type)),
        ("url", text(url)),
        (
            "size",
            u32::try_from(attachment.bytes).map_or(Value::Null, Value::from),
        ),
        (
            "title",
            attachment.label.as_deref().map_or(Value::Null, text),
        ),
    ])
}

/// A tube.
#[derive(Debug, Clone)]
pub struct Specimen {
    pub id: Uuid,
    pub meta: Meta,
    pub patient: Option<Uuid>,
    pub number: Option<String>,
    pub filler_number: Option<String>,
    /// FHIR specimen-status: `available`, `unsatisfactory`.
    pub status: Option<&'static str>,
    /// Why the laboratory could not use it.
    pub rejection: Option<String>,
    pub kind: Option<Code>,
    pub body_site: Option<Code>,
    pub container: Option<Code>,
    pub condition: Option<Code>,
    pub collected_at: Option<OffsetDateTime>,
    pub received_at: Option<OffsetDateTime>,
    /// Orders that it is for.
    pub orders: Vec<Uuid>,
}

impl Specimen {
    #[must_use]
    pub fn resource(&self) -> Resource {
        Resource::new(
            Kind::Specimen,
            self.id,
            self.meta.clone(),
            [
                (
                    "identifier",
                    list([number(
                        "FILL",
                        "Filler Identifier",
                        self.filler_number.as_ref(),
                    )]),
                ),
                (
                    "accessionIdentifier",
                    number("ACSN", "Accession ID", self.number.as_ref()),
                ),
                ("status", self.status.map_or(Value::Null, Value::from)),
                ("type", maybe_concept(self.kind.as_ref())),
                ("subject", maybe_reference(Kind::Patient, self.patient)),
                ("receivedTime", maybe_moment(self.received_at)),
                (
                    "request",
                    list(
                        self.orders
                            .iter()
                            .map(|id| reference(Kind::ServiceRequest, id)),
                    ),
                ),
                (
                    "collection",
                    element([
                        ("collectedDateTime", maybe_moment(self.collected_at)),
                        ("bodySite", maybe_concept(self.body_site.as_ref())),
                    ]),
                ),
                (
                    "container",
                    list([element([("type", maybe_concept(self.container.as_ref()))])]),
                ),
                ("condition", list([maybe_concept(self.condition.as_ref())])),
                (
                    "note",
                    list([element([("text", maybe(self.rejection.as_ref()))])]),
                ),
            ],
        )
    }
}
