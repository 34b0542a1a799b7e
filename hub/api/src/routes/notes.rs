//! Notes: drafts of their authors, signed once, added to afterwards.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use schemas::chart::{self, AddToNote, Content, DraftNote, EntryAction};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::asking::Desk;
use super::charting::{self, Doing, Search};
use crate::auth::permission::{ChartsRead, NotesWrite};
use crate::command::{Accepted, Written};
use crate::extract::{Body, Params, Segment};
use crate::if_match::IfMatch;
use crate::page::Page;
use crate::problem::Problem;
use crate::routing::{Routes, routes};
use crate::views::chart::Note;
use crate::views::integration::Applied;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(draft))
        .routes(routes!(read))
        .routes(routes!(edit))
        .routes(routes!(sign))
        .routes(routes!(addend))
        .routes(routes!(retract))
}

/// A patient's notes
///
/// Drafts are shown too, as drafts.
#[utoipa::path(get, path = "/patients/{id}/notes", tag = "charts",
    params(("id" = Uuid, Path, description = "the patient"), Search), security(("bearer" = ["charts:read"])),
    responses(
        (status = 200, description = "newest first", body = Page<Note>),
        (status = 404, description = "no patient has this id (`patients.unknown`)")))]
async fn list(
    desk: Desk<ChartsRead>,
    Segment(id): Segment<Uuid>,
    Params(search): Params<Search>,
) -> Result<Json<Page<Note>>, Problem> {
    charting::list(&desk, id, &search).await
}

/// What a note says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "note_kind": "progress", "title": "Ward round", "text": "Better today.", "visit_number": "V1" }))]
struct NoteText {
    /// `progress`, `admission`, `consultation`, `nursing`, `procedure`, `discharge_summary` or `other`.
    note_kind: String,
    #[schema(min_length = 1)]
    title: String,
    text: String,
    /// When it is drafted; an edit does not change it.
    #[serde(default)]
    visit_number: Option<String>,
}

impl NoteText {
    fn canonical(self) -> chart::Note {
        chart::Note {
            note_kind: self.note_kind,
            title: self.title,
            text: self.text,
            signature: None,
            addenda: Vec::new(),
        }
    }
}

/// Draft a note
#[utoipa::path(post, path = "/patients/{id}/notes", tag = "charts", params(("id" = Uuid, Path, description = "the patient")),
    request_body = NoteText, security(("bearer" = ["notes:write"])),
    responses(
        (status = 201, description = "drafted; Location is the note", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no patient has this id (`patients.unknown`)"),
        (status = 422, description = "it has no title (`clinical.entry_empty`), or is of no known kind (`clinical.entry_word`)")))]
async fn draft(
    desk: Desk<NotesWrite>,
    Segment(id): Segment<Uuid>,
    Body(mut new): Body<NoteText>,
) -> Result<Response, Problem> {
    let subject = desk.patient(id).await?;
    let command = DraftNote {
        entry_id: Uuid::now_v7(),
        subject: subject.identifier.clone(),
        visit_number: new.visit_number.take(),
        note: new.canonical(),
        actor: desk.actor(),
    };
    charting::make(&desk, &subject, command.entry_id, "notes", &command).await
}

/// Read a note
#[utoipa::path(get, path = "/notes/{id}", tag = "charts", params(("id" = Uuid, Path, description = "the note")),
    security(("bearer" = ["charts:read"])),
    responses(
        (status = 200, description = "the note with its addenda; ETag is the version", body = Note),
        (status = 404, description = "no note has this id (`clinical.entry_unknown`)")))]
async fn read(desk: Desk<ChartsRead>, Segment(id): Segment<Uuid>) -> Result<Response, Problem> {
    charting::read::<Note, _>(&desk, id).await
}

/// Edit a draft
///
/// A draft is its author's. What was signed is not edited: an addendum says what is to be said.
#[utoipa::path(patch, path = "/notes/{id}", tag = "charts",
    params(("id" = Uuid, Path, description = "the note"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = NoteText, security(("bearer" = ["notes:write"])),
    responses(
        (status = 200, description = "edited", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "it is another's draft (`clinical.author_not_allowed`)"),
        (status = 404, description = "no note has this id (`clinical.entry_unknown`)"),
        (status = 409, description = "it was signed (`clinical.state_conflict`)"),
        (status = 412, description = "somebody changed it meanwhile (`clinical.entry_stale`)"),
        (status = 422, description = "it has no title (`clinical.entry_empty`), or is of no known kind (`clinical.entry_word`)")))]
async fn edit(
    desk: Desk<NotesWrite>,
    Segment(id): Segment<Uuid>,
    IfMatch(seen): IfMatch,
    Body(text): Body<NoteText>,
) -> Result<Response, Problem> {
    let doing = Doing {
        kind: "note",
        seen,
        action: EntryAction::Edit,
        content: Some(Content::Note(text.canonical())),
        reason: None,
    };
    charting::change(&desk, id, doing).await
}

/// Sign a note
///
/// By its author. The digest of what is signed is kept with it.
#[utoipa::path(post, path = "/notes/{id}/sign", tag = "charts",
    params(("id" = Uuid, Path, description = "the note"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    security(("bearer" = ["notes:write"])),
    responses(
        (status = 200, description = "signed", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "it is another's draft (`clinical.author_not_allowed`)"),
        (status = 404, description = "no note has this id (`clinical.entry_unknown`)"),
        (status = 409, description = "it was signed before (`clinical.state_conflict`)"),
        (status = 412, description = "somebody changed it meanwhile (`clinical.entry_stale`)")))]
async fn sign(
    desk: Desk<NotesWrite>,
    Segment(id): Segment<Uuid>,
    IfMatch(seen): IfMatch,
) -> Result<Response, Problem> {
    let doing = Doing {
        kind: "note",
        seen,
        action: EntryAction::Sign,
        content: None,
        reason: None,
    };
    charting::change(&desk, id, doing).await
}

/// What is to be added.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "text": "Potassium came back normal." }))]
struct NewAddendum {
    #[schema(min_length = 1)]
    text: String,
}

/// Add to a signed note
///
/// What was signed stays as it is.
#[utoipa::path(post, path = "/notes/{id}/addenda", tag = "charts", params(("id" = Uuid, Path, description = "the note")),
    request_body = NewAddendum, security(("bearer" = ["notes:write"])),
    responses(
        (status = 201, description = "added", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no note has this id (`clinical.entry_unknown`)"),
        (status = 409, description = "it is not signed, or was taken back (`clinical.state_conflict`)"),
        (status = 422, description = "it has no words (`clinical.note_empty`)")))]
async fn addend(
    desk: Desk<NotesWrite>,
    Segment(id): Segment<Uuid>,
    Body(new): Body<NewAddendum>,
) -> Result<Response, Problem> {
    let row = {
        let mut tx = desk.tx().await?;
        desk.entry(&mut tx, Some("note"), id).await?.0
    };
    let command = AddToNote {
        entry_id: id,
        addendum_id: Uuid::now_v7(),
        text: new.text,
        actor: desk.actor(),
    };
    let written = desk
        .sender()
        .send(row.subject_key.to_string(), &command)
        .await?;
    Ok(match written {
        Written::Applied(answer) => {
            (StatusCode::CREATED, Json(Applied::with(answer))).into_response()
        }
        pending @ Written::Pending(_) => pending.respond(Applied::with),
    })
}

/// Why it should not have been written.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "another patient's" }))]
struct NoteRetraction {
    reason: String,
}

/// Mark a note as entered in error
///
/// It stays readable, marked.
#[utoipa::path(post, path = "/notes/{id}/retract", tag = "charts",
    params(("id" = Uuid, Path, description = "the note"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = NoteRetraction, security(("bearer" = ["notes:write"])),
    responses(
        (status = 200, description = "marked", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no note has this id (`clinical.entry_unknown`)"),
        (status = 409, description = "it is marked already (`clinical.state_conflict`)"),
        (status = 412, description = "somebody changed it meanwhile (`clinical.entry_stale`)")))]
async fn retract(
    desk: Desk<NotesWrite>,
    Segment(id): Segment<Uuid>,
    IfMatch(seen): IfMatch,
    Body(why): Body<NoteRetraction>,
) -> Result<Response, Problem> {
    let doing = Doing {
        kind: "note",
        seen,
        action: EntryAction::Retract,
        content: None,
        reason: Some(why.reason),
    };
    charting::change(&desk, id, doing).await
}
