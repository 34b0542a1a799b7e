//! DocumentReference: a file is put into a chart. Its bytes are stored first, under their digest; then the chart names them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hub_fhir::read_document;
use schemas::care::Code;
use schemas::chart::{self, FileDocument};
use serde_json::Value;
use uuid::Uuid;

use super::{Desk, Made, refused, short};
use crate::auth::permission::{DocumentsWrite, Permission as _};
use crate::fhir::source::document_kind;
use crate::problem::Problem;
use crate::routes::documents::checked;

/// What a document is that nobody says the kind of.
const NO_KIND: &str = "other";
const DATA: &str = "content[0].attachment.data";

pub(super) async fn file(desk: &Desk<'_>, json: &Value) -> Result<Made, Problem> {
    let asked = read_document(json).map_err(refused)?;
    let kind = kind(desk, &asked.kinds)?;
    let title = short(desk.place("description"), Some(asked.title))?.unwrap_or_default();
    let bytes = STANDARD
        .decode(asked.data.as_bytes())
        .map_err(|_| desk.wrong(DATA, "is not base64"))?;
    checked(&asked.media_type, &bytes).map_err(|mut problem| {
        for one in &mut problem.fields {
            let member = if one.field == "media_type" {
                "content[0].attachment.contentType"
            } else {
                DATA
            };
            one.field = desk.place(member);
        }
        problem
    })?;
    let (subject, visit_number) = desk
        .chart(&asked.subject, asked.encounter, DocumentsWrite::NAME)
        .await?;
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let sha256 = desk
        .state
        .backbone
        .keep(&desk.who.tenant, Bytes::from(bytes))
        .await?;
    let command = FileDocument {
        entry_id: Uuid::now_v7(),
        subject: subject.identifier.clone(),
        visit_number,
        document: chart::Document {
            title,
            document_kind: kind,
            media_type: asked.media_type,
            bytes: size,
            sha256,
        },
        actor: desk.actor(),
    };
    desk.make(subject.aggregate(), &command, ("id", command.entry_id))
        .await
}

/// The kind that all codes mean; that there is such a kind, the worker says.
fn kind(desk: &Desk<'_>, codes: &[Code]) -> Result<String, Problem> {
    let mut kinds = codes.iter().map(document_kind);
    let Some(first) = kinds.next() else {
        return Ok(NO_KIND.to_owned());
    };
    match first {
        Some(kind) if kinds.all(|other| other == Some(kind)) => Ok(kind.to_owned()),
        _ => Err(desk.wrong(
            "type",
            "must have one code of urn:hub:code:hub-document-kind (referral, consent, scan, photo, report, other), or one of LOINC \
             that is known to mean one of them (57133-1, 59284-0)",
        )),
    }
}
