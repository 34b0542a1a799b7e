//! Notes, with their words, and documents, whose bytes are read over REST.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hub_fhir::{Document, Meta, Part, Resource};
use schemas::care::Code;
use schemas::chart;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Context, staff};

/// The hub's own system of kinds.
const OWN: &str = "hub-document-kind";

/// Kinds that LOINC's document ontology has a plain name for.
const LOINC: [(&str, &str, &str); 7] = [
    ("progress", "11506-3", "Progress note"),
    ("consultation", "11488-4", "Consult note"),
    ("nursing", "34746-8", "Nurse Note"),
    ("procedure", "28570-0", "Procedure note"),
    ("discharge_summary", "18842-5", "Discharge summary"),
    ("referral", "57133-1", "Referral note"),
    ("consent", "59284-0", "Consent Document"),
];

fn code(code: &str, text: Option<&str>, system: &str) -> Code {
    Code {
        code: code.to_owned(),
        text: text.map(str::to_owned),
        system: Some(system.to_owned()),
    }
}

/// The kind that a code means, of the hub's own or of LOINC's that is sent out beside one. Whether it is a kind of
/// document, the worker says.
pub(crate) fn document_kind(code: &Code) -> Option<&str> {
    match code.system.as_deref() {
        Some(OWN) => Some(&code.code),
        Some("LN") => LOINC
            .iter()
            .find(|(_, loinc, _)| *loinc == code.code)
            .map(|(own, _, _)| *own),
        _ => None,
    }
}

/// The hub's own code, and LOINC's.
fn kinds(kind: &str) -> Vec<Code> {
    let loinc = LOINC
        .iter()
        .find(|(own, _, _)| *own == kind)
        .map(|(_, loinc, name)| code(loinc, Some(*name), "LN"));
    std::iter::once(code(kind, None, OWN))
        .chain(loinc)
        .collect()
}

fn common(of: &Context<'_>, kind: &str, title: String, parts: Vec<Part>) -> Document {
    let row = of.row;
    Document {
        id: row.id,
        meta: Meta::new(row.version, row.updated_at),
        patient: of.patient,
        encounter: of.encounter,
        status: row.state.clone(),
        doc_status: None,
        kinds: kinds(kind),
        kind_words: Some(kind.replace('_', " ")),
        category: Some(code(&row.kind, None, "hub-document")),
        written_at: Some(row.recorded_at),
        author: staff(&row.recorded_by),
        description: Some(title),
        parts,
        replaces: None,
    }
}

pub(super) fn document(of: &Context<'_>, content: chart::Document) -> Resource {
    let part = Part {
        media_type: content.media_type,
        size: content.bytes,
        title: Some(content.title.clone()),
        url: Some(format!(
            "{}/api/v1/documents/{}/content",
            of.origin, of.row.id
        )),
        ..Part::default()
    };
    common(of, &content.document_kind, content.title, vec![part]).resource()
}

pub(super) fn note(of: &Context<'_>, content: chart::Note) -> Resource {
    let mut parts = vec![written(&content.title, &content.text, None)];
    parts.extend(content.addenda.iter().map(|addendum| {
        let title = format!("Addendum by {}", addendum.by);
        written(&title, &addendum.text, Some(&addendum.at))
    }));
    let doc_status = match of.row.state.as_str() {
        "draft" => "preliminary",
        "signed" => "final",
        "addended" => "amended",
        other => other,
    };
    Document {
        doc_status: Some(doc_status.to_owned()),
        author: content
            .signature
            .map_or_else(|| staff(&of.row.recorded_by), |signed| staff(&signed.by)),
        ..common(of, &content.note_kind, content.title, parts)
    }
    .resource()
}

/// Words, in the resource itself: a note has no file.
fn written(title: &str, words: &str, at: Option<&str>) -> Part {
    Part {
        media_type: "text/plain; charset=utf-8".to_owned(),
        size: u64::try_from(words.len()).unwrap_or(u64::MAX),
        title: Some(title.to_owned()),
        written_at: at.and_then(|at| OffsetDateTime::parse(at, &Rfc3339).ok()),
        url: None,
        data: Some(STANDARD.encode(words.as_bytes())),
    }
}
