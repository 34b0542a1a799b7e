//! What others hear of an entry: facts and digests, no words of a note.

use schemas::care::Code;
use schemas::chart::{
    ConditionRecorded, Content, DocumentFiled, EntryRetracted, NoteAddended, NoteSigned,
    PrescriptionSigned, PrescriptionStopped,
};

use super::entry::Entry;
use crate::batch::Batch;

/// Says what follows from `action`. Drafts are nobody's business but their author's.
pub(super) fn say(batch: &mut Batch<'_>, slot: usize, entry: &Entry, action: &str) {
    match &entry.content {
        Content::Allergy(allergy) => {
            let body = super::allergy(entry.id, entry.subject, &entry.state, Some(allergy));
            batch.say(slot, &body);
        }
        Content::Condition(condition) => {
            let icd10 = condition
                .code
                .as_ref()
                .filter(|code: &&Code| code.system.as_deref() == Some("I10"))
                .map(|code| code.code.clone());
            batch.say(
                slot,
                &ConditionRecorded {
                    entry_id: entry.id,
                    subject_key: entry.subject,
                    state: entry.state.clone(),
                    icd10,
                },
            );
        }
        Content::Note(note) => match (action, note.addenda.last(), &note.signature) {
            ("sign", _, Some(signature)) => batch.say(
                slot,
                &NoteSigned {
                    entry_id: entry.id,
                    subject_key: entry.subject,
                    note_kind: note.note_kind.clone(),
                    sha256: signature.sha256.clone(),
                },
            ),
            ("addend", Some(addendum), _) => batch.say(
                slot,
                &NoteAddended {
                    entry_id: entry.id,
                    subject_key: entry.subject,
                    addendum_id: addendum.id,
                    note_kind: note.note_kind.clone(),
                },
            ),
            ("retract", _, Some(_)) => retracted(batch, slot, entry),
            _ => {}
        },
        Content::Prescription(prescription) => match action {
            "sign" => batch.say(
                slot,
                &PrescriptionSigned {
                    entry_id: entry.id,
                    subject_key: entry.subject,
                    lines: prescription.lines.clone(),
                    checks: prescription.checks.clone(),
                },
            ),
            "cancel" | "stop" | "retract" if prescription.signature.is_some() => batch.say(
                slot,
                &PrescriptionStopped {
                    entry_id: entry.id,
                    subject_key: entry.subject,
                    state: entry.state.clone(),
                    reason: entry.reason.clone().unwrap_or_default(),
                },
            ),
            _ => {}
        },
        Content::Document(document) => match action {
            "retract" => retracted(batch, slot, entry),
            _ => batch.say(
                slot,
                &DocumentFiled {
                    entry_id: entry.id,
                    subject_key: entry.subject,
                    document_kind: document.document_kind.clone(),
                    media_type: document.media_type.clone(),
                    sha256: document.sha256.clone(),
                },
            ),
        },
    }
}

fn retracted(batch: &mut Batch<'_>, slot: usize, entry: &Entry) {
    batch.say(
        slot,
        &EntryRetracted {
            entry_id: entry.id,
            subject_key: entry.subject,
            kind: entry.kind.as_str().to_owned(),
        },
    );
}
