//! DocumentReference, in: one file that somebody puts into a chart, with its bytes.

use schemas::care::Code;
use serde_json::Value;
use uuid::Uuid;

use crate::outcome::Issue;
use crate::reading::{Reader, Subject, code_of, items, local, owned};
use crate::resource::Kind;
use crate::systems::system_asked;

/// What somebody files with a DocumentReference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentRequest {
    pub subject: Subject,
    pub encounter: Option<Uuid>,
    /// Codes of what kind it is, all of the same.
    pub kinds: Vec<Code>,
    pub title: String,
    pub media_type: String,
    /// The bytes in base64.
    pub data: String,
}

/// Reads a new DocumentReference that [`crate::check`] found well-formed.
///
/// # Errors
/// Everything in it that the hub would not keep, each with its place.
pub fn read_document(json: &Value) -> Result<DocumentRequest, Vec<Issue>> {
    let taken = [
        "status",
        "type",
        "category",
        "subject",
        "description",
        "content",
        "context",
    ];
    let mut reader = Reader::new(Kind::DocumentReference, json, &taken);
    if json["status"] != "current" {
        reader.wrong("status", "of a new document is current");
    }
    let category = reader.only_one("category");
    if !category.is_null() && code_of(category) != Some("document") {
        reader.unkept(
            "category",
            "what is filed here is a document: send that, or none; notes are written over REST",
        );
    }
    let subject = reader.subject("subject");
    let encounter = encounter(&mut reader);
    let kinds = kinds(&mut reader);
    let content = reader.only_one("content");
    reader.only("content[0]", content, &["attachment"]);
    let file = &content["attachment"];
    let at = "content[0].attachment";
    reader.only(at, file, &["contentType", "data", "title"]);
    let title = title(&mut reader, owned(&file["title"]));
    let media_type = owned(&file["contentType"]);
    if media_type.is_none() {
        reader.wrong(&format!("{at}.contentType"), "must say what the bytes are");
    }
    let data = owned(&file["data"]);
    if data.is_none() {
        reader.wrong(
            &format!("{at}.data"),
            "must hold the bytes: the hub fetches none from elsewhere",
        );
    }
    let file = title.zip(media_type).zip(data);
    let read = subject
        .zip(file)
        .map(|(subject, ((title, media_type), data))| DocumentRequest {
            subject,
            encounter,
            kinds,
            title,
            media_type,
            data,
        });
    reader.done(read)
}

fn encounter(reader: &mut Reader<'_>) -> Option<Uuid> {
    let json = reader.json;
    let context = &json["context"];
    reader.only("context", context, &["encounter"]);
    let mut all = items(&context["encounter"]);
    let reference = all.next()?;
    let id = local(reference, Kind::Encounter);
    if id.is_none() || all.next().is_some() {
        reader.wrong("context.encounter", "must be one Encounter of this server");
    }
    id
}

/// All codings: who reads a document here and files it again sends the hub's own and another's.
fn kinds(reader: &mut Reader<'_>) -> Vec<Code> {
    let json = reader.json;
    let concept = &json["type"];
    // its text is the hub's own word for the code
    reader.only("type", concept, &["coding", "text"]);
    let kinds: Vec<Code> = items(&concept["coding"])
        .filter_map(|coding| {
            Some(Code {
                code: owned(&coding["code"])?,
                text: None,
                system: owned(&coding["system"]).map(|uri| system_asked(&uri)),
            })
        })
        .collect();
    if !concept.is_null() && kinds.is_empty() {
        reader.unkept("type", "a code is kept, and no words alone");
    }
    kinds
}

/// The hub keeps one name of a document and its file.
fn title(reader: &mut Reader<'_>, of_file: Option<String>) -> Option<String> {
    let json = reader.json;
    let title = match (owned(&json["description"]), of_file) {
        (Some(one), Some(other)) if one != other => {
            reader.unkept(
                "description",
                "one title is kept: send the same as the attachment's, or one of them",
            );
            None
        }
        (one, other) => one.or(other),
    };
    if title.is_none() {
        reader.wrong(
            "description",
            "must say what it is, or the attachment's title",
        );
    }
    title
}
