//! Documents: what they are stands in the chart, their bytes in the object store under their digest.

use axum::Json;
use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use schemas::chart::{self, EntryAction, FileDocument};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::asking::Desk;
use super::charting::{self, Doing, Search};
use crate::ApiLimits;
use crate::auth::permission::{ChartsRead, DocumentsWrite};
use crate::backbone::BackboneError;
use crate::command::Accepted;
use crate::extract::{Body, Params, Segment};
use crate::if_match::IfMatch;
use crate::looks::ShownOf;
use crate::page::Page;
use crate::problem::Problem;
use crate::routing::{Routes, routes};
use crate::views::chart::Document;
use crate::views::integration::Applied;

pub(crate) fn routes(limits: &ApiLimits) -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(file).layer(DefaultBodyLimit::max(limits.resend_bytes)))
        .routes(routes!(read))
        .routes(routes!(content))
        .routes(routes!(retract))
}

/// Largest document. In base64 it fits the largest request that the hub takes.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// Media types that are taken, and how their bytes begin: what a name says must be so.
const TYPES: &[(&str, &[&[u8]])] = &[
    ("application/pdf", &[b"%PDF-"]),
    ("image/jpeg", &[b"\xFF\xD8\xFF"]),
    ("image/png", &[b"\x89PNG\r\n\x1A\n"]),
    ("image/tiff", &[b"II*\0", b"MM\0*"]),
    // text has no beginning of its own: it must be text
    ("text/plain", &[]),
];

pub(crate) fn checked(media_type: &str, bytes: &[u8]) -> Result<(), Problem> {
    let Some((_, beginnings)) = TYPES.iter().find(|(name, _)| *name == media_type) else {
        let names: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
        return Err(Problem::invalid(
            "media_type",
            format!("must be one of: {}", names.join(", ")),
        ));
    };
    if bytes.is_empty() {
        return Err(Problem::invalid("content_base64", "must not be empty"));
    }
    if bytes.len() > MOST_BYTES {
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "documents.too_large",
            format!("a document has at most {MOST_BYTES} bytes"),
        ));
    }
    let fits = if beginnings.is_empty() {
        std::str::from_utf8(bytes).is_ok_and(|text| !text.contains('\0'))
    } else {
        beginnings
            .iter()
            .any(|beginning| bytes.starts_with(beginning))
    };
    if fits {
        Ok(())
    } else {
        Err(Problem::invalid(
            "content_base64",
            format!("is not {media_type}, by how it begins"),
        ))
    }
}

/// A patient's documents
#[utoipa::path(get, path = "/patients/{id}/documents", tag = "charts",
    params(("id" = Uuid, Path, description = "the patient"), Search), security(("bearer" = ["charts:read"])),
    responses(
        (status = 200, description = "newest first", body = Page<Document>),
        (status = 404, description = "no patient has this id (`patients.unknown`)")))]
async fn list(
    desk: Desk<ChartsRead>,
    Segment(id): Segment<Uuid>,
    Params(search): Params<Search>,
) -> Result<Json<Page<Document>>, Problem> {
    charting::list(&desk, id, &search).await
}

/// A document.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "title": "Referral letter", "document_kind": "referral", "media_type": "application/pdf", "content_base64": "JVBERi0xLjcK" }))]
struct NewDocument {
    #[schema(min_length = 1, max_length = 500)]
    title: String,
    /// `referral`, `consent`, `scan`, `photo`, `report` or `other`.
    document_kind: String,
    /// `application/pdf`, `image/jpeg`, `image/png`, `image/tiff` or `text/plain`.
    media_type: String,
    /// At most 16 MiB before the encoding.
    content_base64: String,
    #[serde(default)]
    visit_number: Option<String>,
}

/// File a document
///
/// Its bytes are stored first, under their digest; then the chart names them.
#[utoipa::path(post, path = "/patients/{id}/documents", tag = "charts", params(("id" = Uuid, Path, description = "the patient")),
    request_body = NewDocument, security(("bearer" = ["documents:write"])),
    responses(
        (status = 201, description = "filed; Location is the document", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no patient has this id (`patients.unknown`)"),
        (status = 413, description = "it is too large (`documents.too_large`)"),
        (status = 422, description = "it is of no known kind (`clinical.entry_word`)")))]
async fn file(
    desk: Desk<DocumentsWrite>,
    Segment(id): Segment<Uuid>,
    Body(new): Body<NewDocument>,
) -> Result<Response, Problem> {
    let title = super::text("title", new.title)?;
    let bytes = Bytes::from(
        STANDARD
            .decode(new.content_base64.as_bytes())
            .map_err(|_| Problem::invalid("content_base64", "is not base64"))?,
    );
    checked(&new.media_type, &bytes)?;
    let subject = desk.patient(id).await?;
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let sha256 = desk.state.backbone.keep(&desk.who().tenant, bytes).await?;
    let command = FileDocument {
        entry_id: Uuid::now_v7(),
        subject: subject.identifier.clone(),
        visit_number: new.visit_number,
        document: chart::Document {
            title,
            document_kind: new.document_kind,
            media_type: new.media_type,
            bytes: size,
            sha256,
        },
        actor: desk.actor(),
    };
    charting::make(&desk, &subject, command.entry_id, "documents", &command).await
}

/// Read what a document is
#[utoipa::path(get, path = "/documents/{id}", tag = "charts", params(("id" = Uuid, Path, description = "the document")),
    security(("bearer" = ["charts:read"])),
    responses(
        (status = 200, description = "the document; ETag is the version", body = Document),
        (status = 404, description = "no document has this id (`clinical.entry_unknown`)")))]
async fn read(desk: Desk<ChartsRead>, Segment(id): Segment<Uuid>) -> Result<Response, Problem> {
    charting::read::<Document, _>(&desk, id).await
}

/// Read a document's bytes
///
/// As they were filed. Browsers are told to save it, not to open it.
#[utoipa::path(get, path = "/documents/{id}/content", tag = "charts", params(("id" = Uuid, Path, description = "the document")),
    security(("bearer" = ["charts:read"])),
    responses(
        (status = 200, description = "the bytes, under the media type they were filed with", content(
            (String = "application/pdf", example = json!("%PDF-1.7 …")),
            (String = "image/jpeg", example = json!("JFIF …")),
            (String = "image/png", example = json!("PNG …")),
            (String = "image/tiff", example = json!("II* …")),
            (String = "text/plain", example = json!("To whom it may concern …")))),
        (status = 404, description = "no document has this id (`clinical.entry_unknown`)"),
        (status = 410, description = "the bytes are damaged or gone (`messages.gone`)")))]
async fn content(desk: Desk<ChartsRead>, Segment(id): Segment<Uuid>) -> Result<Response, Problem> {
    let (document, patient) = {
        let mut tx = desk.tx().await?;
        let (row, patient, _) = desk.entry(&mut tx, Some("document"), id).await?;
        let view = crate::reads::chart::view::<Document>(row, patient)?;
        // one that can't be opened was an error before
        (view.content.ok_or_else(Problem::internal)?, patient)
    };
    let bytes = desk
        .state
        .backbone
        .attachment(&desk.who().tenant, &document.sha256)
        .await?
        .ok_or(BackboneError::Gone)?;
    Ok((
        ShownOf::these([patient]),
        [
            (header::CONTENT_TYPE, document.media_type.clone()),
            (
                header::CONTENT_DISPOSITION,
                format!("attachment; filename=\"{id}\""),
            ),
            (header::ETAG, format!("\"{}\"", document.sha256)),
        ],
        bytes,
    )
        .into_response())
}

/// Why it should not have been filed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "another patient's" }))]
struct DocumentRetraction {
    reason: String,
}

/// Mark a document as entered in error
///
/// It stays readable, marked.
#[utoipa::path(post, path = "/documents/{id}/retract", tag = "charts",
    params(("id" = Uuid, Path, description = "the document"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = DocumentRetraction, security(("bearer" = ["documents:write"])),
    responses(
        (status = 200, description = "marked", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no document has this id (`clinical.entry_unknown`)"),
        (status = 409, description = "it is marked already (`clinical.state_conflict`)"),
        (status = 412, description = "somebody changed it meanwhile (`clinical.entry_stale`)")))]
async fn retract(
    desk: Desk<DocumentsWrite>,
    Segment(id): Segment<Uuid>,
    IfMatch(seen): IfMatch,
    Body(why): Body<DocumentRetraction>,
) -> Result<Response, Problem> {
    let doing = Doing {
        kind: "document",
        seen,
        action: EntryAction::Retract,
        content: None,
        reason: Some(why.reason),
    };
    charting::change(&desk, id, doing).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_document_is_called_must_be_what_it_is() {
        for (media_type, bytes, good) in [
            ("application/pdf", &b"%PDF-1.7"[..], true),
            ("application/pdf", b"<html>", false),
            ("image/png", b"\x89PNG\r\n\x1A\nx", true),
            ("image/jpeg", b"\x89PNG\r\n\x1A\nx", false),
            ("text/plain", "आशा".as_bytes(), true),
            ("text/plain", b"\xFF\xFE", false),
            ("text/plain", b"", false),
            ("text/html", b"<html>", false),
            ("application/x-msdownload", b"MZ", false),
        ] {
            assert_eq!(checked(media_type, bytes).is_ok(), good, "{media_type}");
        }
    }
}
