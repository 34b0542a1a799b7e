//! What staff write into charts: allergies, conditions, notes, prescriptions, documents.
//!
//! An entry is one row, and every version of it one more in its history; nothing is deleted. What may be done in which state
//! is the table of [`states`], which words are sealed [`words`] says. It never reads what stands in a note, and never says that a check passed which did not run.

use hub_core::{Envelope, Refusal, Tx};
use schemas::chart::{
    AddToNote, Addendum, AllergyRecorded, ChangeEntry, Content, DraftNote, DraftPrescription,
    EndNoAllergies, EntryAction, FileDocument, RecordAllergy, RecordCondition, SignPrescription,
    Signature, StateNoAllergies,
};
use schemas::{Body, IdentifierKey};
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::batch::Batch;
use crate::{audit, body};

mod checks;
mod coded;
mod content;
mod entry;
mod events;
mod none_known;
mod states;
pub(crate) mod words;

use content::{kind_of, sealed};
use entry::{Entry, New};
use states::{Act, Kind};

/// Names of the commands that are applied here.
pub(crate) const COMMANDS: [&str; 10] = [
    RecordAllergy::NAME,
    StateNoAllergies::NAME,
    EndNoAllergies::NAME,
    RecordCondition::NAME,
    DraftNote::NAME,
    AddToNote::NAME,
    DraftPrescription::NAME,
    SignPrescription::NAME,
    FileDocument::NAME,
    ChangeEntry::NAME,
];

/// What a command came to: done, or refused without a trace.
pub(crate) type Outcome = Result<Result<(), Refusal>, sqlx::Error>;

/// One after the other: people write seldom, and what follows may rest on what goes before.
pub(crate) async fn command(tx: &mut Tx<'_>, batch: &mut Batch<'_>) -> Result<(), sqlx::Error> {
    for slot in 0..batch.envelopes.len() {
        let name = batch.envelopes[slot].name.as_str();
        if !COMMANDS.contains(&name) {
            continue;
        }
        if let Err(refusal) = one(tx, batch, slot).await? {
            batch.refuse(slot, refusal);
        }
    }
    Ok(())
}

async fn one(tx: &mut Tx<'_>, batch: &mut Batch<'_>, slot: usize) -> Outcome {
    macro_rules! decoded {
        ($envelope:expr) => {
            match body::decode($envelope) {
                Ok(command) => command,
                Err(refusal) => return Ok(Err(refusal)),
            }
        };
    }
    let envelope = &batch.envelopes[slot];
    match envelope.name.as_str() {
        RecordAllergy::NAME => {
            let command: RecordAllergy = decoded!(envelope);
            let subject = command.subject.key;
            let new = New {
                id: command.entry_id,
                subject,
                state: "active",
                content: Content::Allergy(command.allergy),
                visit_number: command.visit_number,
                actor: command.actor.clone(),
            };
            if let Err(refusal) = write(tx, batch, slot, new).await? {
                return Ok(Err(refusal));
            }
            // "none known" is over by itself: what is recorded is the newer word
            let ended =
                none_known::end(tx, &[subject.0], &command.actor, "an allergy was recorded")
                    .await?;
            for statement in ended {
                batch.say(slot, &none_known::ended(statement, subject));
            }
            Ok(Ok(()))
        }
        RecordCondition::NAME => {
            let command: RecordCondition = decoded!(envelope);
            let new = New {
                id: command.entry_id,
                subject: command.subject.key,
                state: if command.confirmed {
                    "confirmed"
                } else {
                    "provisional"
                },
                content: Content::Condition(command.condition),
                visit_number: command.visit_number,
                actor: command.actor,
            };
            write(tx, batch, slot, new).await
        }
        DraftNote::NAME => {
            let command: DraftNote = decoded!(envelope);
            let new = New {
                id: command.entry_id,
                subject: command.subject.key,
                state: "draft",
                content: content::unsigned(Content::Note(command.note)),
                visit_number: command.visit_number,
                actor: command.actor,
            };
            write(tx, batch, slot, new).await
        }
        DraftPrescription::NAME => {
            let command: DraftPrescription = decoded!(envelope);
            let new = New {
                id: command.entry_id,
                subject: command.subject.key,
                state: "draft",
                content: content::unsigned(Content::Prescription(command.prescription)),
                visit_number: command.visit_number,
                actor: command.actor,
            };
            write(tx, batch, slot, new).await
        }
        FileDocument::NAME => {
            let command: FileDocument = decoded!(envelope);
            let new = New {
                id: command.entry_id,
                subject: command.subject.key,
                state: "filed",
                content: Content::Document(command.document),
                visit_number: command.visit_number,
                actor: command.actor,
            };
            write(tx, batch, slot, new).await
        }
        AddToNote::NAME => {
            let command: AddToNote = decoded!(envelope);
            addend(tx, batch, slot, command).await
        }
        SignPrescription::NAME => {
            let command: SignPrescription = decoded!(envelope);
            sign_prescription(tx, batch, slot, command).await
        }
        StateNoAllergies::NAME => {
            let command: StateNoAllergies = decoded!(envelope);
            none_known::state(tx, batch, slot, command).await
        }
        EndNoAllergies::NAME => {
            let command: EndNoAllergies = decoded!(envelope);
            none_known::end_by_person(tx, batch, slot, command).await
        }
        _ => {
            let command: ChangeEntry = decoded!(envelope);
            change(tx, batch, slot, command).await
        }
    }
}

/// A new entry.
async fn write(tx: &mut Tx<'_>, batch: &mut Batch<'_>, slot: usize, mut new: New) -> Outcome {
    if let Err(refusal) = content::checked(&new.content) {
        return Ok(Err(refusal));
    }
    if let Err(refusal) = coded::look_up(tx, &mut new.content, None).await? {
        return Ok(Err(refusal));
    }
    let envelope = &batch.envelopes[slot];
    let entry = match entry::insert(tx, envelope, new).await? {
        Ok(entry) => entry,
        Err(refusal) => return Ok(Err(refusal)),
    };
    said(tx, batch, slot, &entry, "record").await?;
    Ok(Ok(()))
}

/// Edits an entry, or brings it into another state.
async fn change(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    command: ChangeEntry,
) -> Outcome {
    let mut entry = match entry::open(tx, command.entry_id, command.seen).await? {
        Ok(entry) => entry,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let act = Act::of(command.action);
    // a prescription is signed by its own command, which brings what the checks need
    if entry.kind == Kind::Prescription && command.action == EntryAction::Sign {
        return Ok(Err(Refusal::new(
            "clinical.entry_kind",
            "a prescription is signed with rx.prescription.sign",
        )));
    }
    let to = match states::next(&entry, act, &command.actor, command.reason.as_deref()) {
        Ok(to) => to,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if command.action == EntryAction::Edit {
        let Some(mut content) = command.content.map(content::unsigned) else {
            return Ok(Err(Refusal::new(
                "clinical.entry_kind",
                "an edit needs the content",
            )));
        };
        if kind_of(&content) != entry.kind {
            return Ok(Err(Refusal::new(
                "clinical.entry_kind",
                format!("the entry is of another kind: {}", entry.kind.as_str()),
            )));
        }
        if let Err(refusal) = content::checked(&content) {
            return Ok(Err(refusal));
        }
        if let Err(refusal) = coded::look_up(tx, &mut content, Some(&entry.content)).await? {
            return Ok(Err(refusal));
        }
        entry.content = content;
    }
    let envelope = &batch.envelopes[slot];
    if command.action == EntryAction::Sign {
        let signed = signature(envelope, &command.actor, &entry.content);
        sealed(&mut entry.content, signed);
    }
    entry.state = to.to_owned();
    entry.updated_by = command.actor;
    entry.reason = command.reason;
    if let Err(refusal) = entry::update(tx, envelope, &mut entry, act).await? {
        return Ok(Err(refusal));
    }
    said(tx, batch, slot, &entry, act.as_str()).await?;
    Ok(Ok(()))
}

async fn addend(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    command: AddToNote,
) -> Outcome {
    let mut entry = match entry::open(tx, command.entry_id, None).await? {
        Ok(entry) => entry,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let to = match states::next(&entry, Act::Addend, &command.actor, None) {
        Ok(to) => to,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let Content::Note(note) = &mut entry.content else {
        return Ok(Err(Refusal::new(
            "clinical.entry_kind",
            "only a note has addenda",
        )));
    };
    if command.text.trim().is_empty() {
        return Ok(Err(Refusal::new(
            "clinical.note_empty",
            "the addendum has no words",
        )));
    }
    let envelope = &batch.envelopes[slot];
    note.addenda.push(Addendum {
        id: command.addendum_id,
        text: command.text,
        by: command.actor.clone(),
        at: at(envelope),
    });
    entry.state = to.to_owned();
    entry.updated_by = command.actor;
    entry.reason = None;
    if let Err(refusal) = entry::update(tx, envelope, &mut entry, Act::Addend).await? {
        return Ok(Err(refusal));
    }
    said(tx, batch, slot, &entry, "addend").await?;
    Ok(Ok(()))
}

async fn sign_prescription(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    command: SignPrescription,
) -> Outcome {
    let mut entry = match entry::open(tx, command.entry_id, command.seen).await? {
        Ok(entry) => entry,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let act = Act::Sign;
    let to = match states::next(&entry, act, &command.actor, None) {
        Ok(to) => to,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let subject = entry.subject;
    let Content::Prescription(prescription) = &mut entry.content else {
        return Ok(Err(Refusal::new(
            "clinical.entry_kind",
            "it is no prescription",
        )));
    };
    let mut keys = command.keys.clone();
    keys.push(subject.0);
    let found = checks::run(tx, &keys, prescription).await?;
    match checks::decide(
        found,
        command.accept_unchecked,
        command.override_reason.as_deref(),
    ) {
        Ok(checks) => prescription.checks = checks,
        Err(refusal) => return Ok(Err(refusal)),
    }
    for line in &mut prescription.lines {
        line.quantity = content::quantity(line);
    }
    let envelope = &batch.envelopes[slot];
    let signed = signature(envelope, &command.actor, &entry.content);
    sealed(&mut entry.content, signed);
    entry.state = to.to_owned();
    entry.updated_by = command.actor;
    entry.reason = command.override_reason;
    if let Err(refusal) = entry::update(tx, envelope, &mut entry, act).await? {
        return Ok(Err(refusal));
    }
    said(tx, batch, slot, &entry, act.as_str()).await?;
    Ok(Ok(()))
}

/// Event, answer and audit row of what was done.
async fn said(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    entry: &Entry,
    action: &str,
) -> Result<(), sqlx::Error> {
    batch.applied(slot);
    events::say(batch, slot, entry, action);
    batch.answer(
        slot,
        serde_json::json!({ "id": entry.id, "state": entry.state, "version": entry.version }),
    );
    let envelope = &batch.envelopes[slot];
    audit::entry(
        tx,
        &entry.updated_by,
        &envelope.name,
        &format!("{}:{}", entry.kind.as_str(), entry.id),
        &[envelope.id],
        Some(serde_json::json!({
            "action": action, "state": entry.state, "version": entry.version, "reason": entry.reason,
        })),
    )
    .await
}

fn signature(envelope: &Envelope, actor: &str, signed: &Content) -> Signature {
    Signature {
        by: actor.to_owned(),
        at: at(envelope),
        sha256: content::digest(signed),
    }
}

fn at(envelope: &Envelope) -> String {
    envelope.occurred_at.format(&Rfc3339).unwrap_or_default()
}

/// An event about an allergy, or about there being none.
fn allergy(
    id: Uuid,
    subject_key: IdentifierKey,
    state: &str,
    allergy: Option<&schemas::chart::Allergy>,
) -> AllergyRecorded {
    AllergyRecorded {
        entry_id: id,
        subject_key,
        state: state.to_owned(),
        substance: allergy.map(|allergy| allergy.substance.clone()),
        category: allergy.map(|allergy| allergy.category.clone()),
        severity: allergy.map(|allergy| allergy.severity.clone()),
    }
}
