//! What staff write into a chart: allergies, conditions, notes, prescriptions and documents as canonical bodies, the commands
//! that write them, and what is said of it. Observations by staff, scores and tasks are in `rounds`.
//!
//! Ids are the caller's (UUIDv7), so that a repeat of a command finds the same entry. Events carry facts and digests, never the
//! words of a note.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::IdentifierKey;
use crate::care::Code;
use crate::patients::Identifier;

bodies! {
    RecordAllergy = "clinical.allergy.record",
    StateNoAllergies = "clinical.allergy.state_none",
    EndNoAllergies = "clinical.allergy.end_none",
    RecordCondition = "clinical.condition.record",
    DraftNote = "clinical.note.draft",
    AddToNote = "clinical.note.addend",
    DraftPrescription = "rx.prescription.draft",
    SignPrescription = "rx.prescription.sign",
    FileDocument = "clinical.document.file",
    ChangeEntry = "clinical.entry.change",
    AllergyRecorded = "clinical.allergy.recorded",
    ConditionRecorded = "clinical.condition.recorded",
    NoteSigned = "clinical.note.signed",
    NoteAddended = "clinical.note.addended",
    PrescriptionSigned = "rx.prescription.signed",
    PrescriptionStopped = "rx.prescription.stopped",
    DocumentFiled = "clinical.document.filed",
    EntryRetracted = "clinical.entry.retracted",
}

/// An allergy or intolerance (FHIR AllergyIntolerance).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Allergy {
    /// What it is to: a code with its system, or words alone.
    pub substance: Code,
    /// `drug`, `food`, `environment`, `other`.
    pub category: String,
    /// What happened, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reactions: Vec<String>,
    /// `mild`, `moderate`, `severe`, `unknown`.
    pub severity: String,
    /// `confirmed`, `unconfirmed`.
    pub certainty: String,
    /// ISO 8601 date, as exact as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
}

/// A problem or diagnosis (FHIR Condition).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Condition {
    /// ICD-10 (system `I10`) or ICD-10-CM (`I10C`): looked up in the release in force, where one is imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    pub text: String,
    /// ISO 8601 date, as exact as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
    /// What is known of the code. Written by the worker, whatever a caller says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_check: Option<CodeCheck>,
}

/// Whether a code was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CodeCheck {
    /// `known`: in the release; `retired`: it was in an earlier one, and stood on this entry before; `not_checked`: no release of
    /// its system is imported.
    pub result: String,
    /// The release that was in force (`2019`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
}

/// A note (FHIR Composition, DocumentReference).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Note {
    /// `progress`, `admission`, `consultation`, `nursing`, `procedure`, `discharge_summary`, `other`.
    pub note_kind: String,
    pub title: String,
    pub text: String,
    /// Written by the worker when it is signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addenda: Vec<Addendum>,
}

/// Who signed what when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Signature {
    pub by: String,
    /// RFC 3339.
    pub at: String,
    /// Of kind, title and text, or of the items: lower-case hex.
    pub sha256: String,
}

/// What was added to a signed note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Addendum {
    pub id: Uuid,
    pub text: String,
    pub by: String,
    /// RFC 3339.
    pub at: String,
}

/// A prescription: what one prescriber orders at one time (FHIR MedicationRequest, one a line).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Prescription {
    pub lines: Vec<PrescriptionLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
    /// What was looked at when it was signed, and what was not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<DrugCheck>,
}

/// One drug of a prescription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PrescriptionLine {
    pub drug: Code,
    /// `500 mg`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dose: Option<String>,
    /// `oral`, `iv` …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// `1-0-1`, or words.
    pub frequency: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u16>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub as_needed: bool,
    /// Units to dispense, where frequency and days say it; written by the worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
}

/// One check of a prescription: done with its outcome, or not done with the reason. Unknown is a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DrugCheck {
    /// `allergy`, `interaction`, `duplicate`, `dose`, `pregnancy`, `renal`.
    pub check: String,
    /// `passed`, `alert`, `not_checked`.
    pub outcome: String,
    pub reason: String,
    /// Why it was signed in spite of an alert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overridden: Option<String>,
}

/// A document beside the notes: a scan, a letter, a picture. Its bytes are in the object store under their digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Document {
    pub title: String,
    /// `referral`, `consent`, `scan`, `photo`, `report`, `other`.
    pub document_kind: String,
    pub media_type: String,
    pub bytes: u64,
    /// Lower-case hex.
    pub sha256: String,
}

/// `clinical.allergy.record`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordAllergy {
    pub entry_id: Uuid,
    pub subject: Identifier,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visit_number: Option<String>,
    pub allergy: Allergy,
    pub actor: String,
}

/// `clinical.allergy.state_none`: somebody asked, and no allergies are known. Refused while an allergy stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StateNoAllergies {
    pub statement_id: Uuid,
    pub subject: Identifier,
    /// Keys of all the person's identifiers: an allergy under another of them stands too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Uuid>,
    pub actor: String,
}

/// `clinical.allergy.end_none`: the statement holds no longer, or never did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndNoAllergies {
    pub keys: Vec<Uuid>,
    pub reason: String,
    pub actor: String,
}

/// `clinical.condition.record`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordCondition {
    pub entry_id: Uuid,
    pub subject: Identifier,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visit_number: Option<String>,
    pub condition: Condition,
    /// False: provisional.
    pub confirmed: bool,
    pub actor: String,
}

/// `clinical.note.draft`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DraftNote {
    pub entry_id: Uuid,
    pub subject: Identifier,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visit_number: Option<String>,
    pub note: Note,
    pub actor: String,
}

/// `clinical.note.addend`: adds to a signed note; what was signed stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AddToNote {
    pub entry_id: Uuid,
    pub addendum_id: Uuid,
    pub text: String,
    pub actor: String,
}

/// `rx.prescription.draft`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DraftPrescription {
    pub entry_id: Uuid,
    pub subject: Identifier,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visit_number: Option<String>,
    pub prescription: Prescription,
    pub actor: String,
}

/// `rx.prescription.sign`: the checks run then. An alert needs `override_reason`, a check that could not run needs
/// `accept_unchecked`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignPrescription {
    pub entry_id: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<i32>,
    /// Keys of all the person's identifiers: allergies under each of them count.
    pub keys: Vec<Uuid>,
    #[serde(default)]
    pub accept_unchecked: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub override_reason: Option<String>,
    pub actor: String,
}

/// `clinical.document.file`: the bytes are in the object store already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileDocument {
    pub entry_id: Uuid,
    pub subject: Identifier,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visit_number: Option<String>,
    pub document: Document,
    pub actor: String,
}

/// What is done to an entry that stands. Which action a kind knows in which state is the worker's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntryAction {
    /// Exchanges the content; the state stays.
    Edit,
    /// A condition: it is certain.
    Confirm,
    /// A condition or an allergy: it is not so.
    Refute,
    /// It is over.
    Resolve,
    /// It is back.
    Reactivate,
    /// A note.
    Sign,
    /// A prescription, before it was dispensed.
    Cancel,
    /// A prescription: a pharmacy outside the hub has dispensed it.
    Dispense,
    /// A prescription that was dispensed: no more of it.
    Stop,
    /// Whatever it is: it should never have been written. It stays, marked.
    Retract,
}

impl EntryAction {
    /// The word as stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Edit => "edit",
            Self::Confirm => "confirm",
            Self::Refute => "refute",
            Self::Resolve => "resolve",
            Self::Reactivate => "reactivate",
            Self::Sign => "sign",
            Self::Cancel => "cancel",
            Self::Dispense => "dispense",
            Self::Stop => "stop",
            Self::Retract => "retract",
        }
    }
}

/// The content of an entry, exchanged whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", content = "content", rename_all = "snake_case")]
pub enum Content {
    Allergy(Allergy),
    Condition(Condition),
    Note(Note),
    Prescription(Prescription),
    Document(Document),
}

/// `clinical.entry.change`: edits an entry, or brings it into another state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeEntry {
    pub entry_id: Uuid,
    /// The version that was seen; absent: whatever it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<i32>,
    pub action: EntryAction,
    /// With [`EntryAction::Edit`]; of the entry's own kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// Needed where the table of states says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub actor: String,
}

/// `clinical.allergy.recorded`: an allergy was recorded or changed, or "none known" was stated or ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AllergyRecorded {
    /// The entry, or the statement.
    pub entry_id: Uuid,
    /// Key of the patient identifier that the row carries.
    pub subject_key: IdentifierKey,
    /// `active`, `resolved`, `refuted`, `entered_in_error`; `none_known`, `none_known_ended`.
    pub state: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub substance: Option<Code>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
}

/// `clinical.condition.recorded`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConditionRecorded {
    pub entry_id: Uuid,
    /// Key of the patient identifier that the row carries.
    pub subject_key: IdentifierKey,
    /// `provisional`, `confirmed`, `resolved`, `refuted`, `entered_in_error`.
    pub state: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icd10: Option<String>,
}

/// `clinical.note.signed`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NoteSigned {
    pub entry_id: Uuid,
    /// Key of the patient identifier that the row carries.
    pub subject_key: IdentifierKey,
    pub note_kind: String,
    pub sha256: String,
}

/// `clinical.note.addended`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NoteAddended {
    pub entry_id: Uuid,
    /// Key of the patient identifier that the row carries.
    pub subject_key: IdentifierKey,
    pub addendum_id: Uuid,
    pub note_kind: String,
}

/// `rx.prescription.signed`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PrescriptionSigned {
    pub entry_id: Uuid,
    /// Key of the patient identifier that the row carries.
    pub subject_key: IdentifierKey,
    pub lines: Vec<PrescriptionLine>,
    /// Done and not done.
    pub checks: Vec<DrugCheck>,
}

/// `rx.prescription.stopped`: signed once, and not to be given (any more).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PrescriptionStopped {
    pub entry_id: Uuid,
    /// Key of the patient identifier that the row carries.
    pub subject_key: IdentifierKey,
    /// `cancelled`, `stopped`, `entered_in_error`.
    pub state: String,
    pub reason: String,
}

/// `clinical.document.filed`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DocumentFiled {
    pub entry_id: Uuid,
    /// Key of the patient identifier that the row carries.
    pub subject_key: IdentifierKey,
    pub document_kind: String,
    pub media_type: String,
    pub sha256: String,
}

/// `clinical.entry.retracted`: a note or document that stood should never have been written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EntryRetracted {
    pub entry_id: Uuid,
    /// Key of the patient identifier that the row carries.
    pub subject_key: IdentifierKey,
    /// `note`, `document`.
    pub kind: String,
}
