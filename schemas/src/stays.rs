//! Encounters as staff lead them: out-patients from token to done, in-patients from request to closed.
//!
//! The events are said of every encounter, whether a hospital system spoke of it (ADT) or staff did (REST).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::care::{Location, Practitioner};
use crate::house::BedState;
use crate::patients::Identifier;
use crate::{Body, Patch};

/// Out-patient or emergency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VisitClass {
    Outpatient,
    Emergency,
}

/// Who pays: an insurer adds its own gate to a discharge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Payer {
    #[serde(rename = "self")]
    Oneself,
    Insurer,
}

/// `adt.encounter.open`: an out-patient is here; he gets a token of the department.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpenEncounter {
    pub encounter_id: Uuid,
    pub subject: Identifier,
    /// The hospital's number of the visit; absent: the worker makes one. ADT messages about it meet this encounter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visit_number: Option<String>,
    pub department_id: Uuid,
    pub class: VisitClass,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub practitioner: Option<Practitioner>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payer: Option<Payer>,
    /// RFC 3339; absent: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Why it is told so late; needed of what lies more than a day back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_reason: Option<String>,
    pub actor: String,
}

impl Body for OpenEncounter {
    const NAME: &'static str = "adt.encounter.open";
}

/// How soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AdmissionPriority {
    Routine,
    Urgent,
    Emergency,
}

/// `adt.admission.request`: somebody is to be admitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestAdmission {
    pub encounter_id: Uuid,
    pub subject: Identifier,
    /// As for [`OpenEncounter`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visit_number: Option<String>,
    pub department_id: Uuid,
    /// What kind of ward: `general`, `icu` …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ward_class: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<AdmissionPriority>,
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consultant: Option<Practitioner>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payer: Option<Payer>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub medico_legal: bool,
    /// RFC 3339; absent: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Why it is told so late; needed of what lies more than a day back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_reason: Option<String>,
    pub actor: String,
}

impl Body for RequestAdmission {
    const NAME: &'static str = "adt.admission.request";
}

/// What must be done before a patient may leave.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    Clinical,
    /// Returns of medicines.
    Pharmacy,
    Billing,
    /// The insurer's final word; only where an insurer pays.
    Tpa,
}

impl Gate {
    /// All there are, in the order in which they are shown.
    pub const ALL: [Self; 4] = [Self::Clinical, Self::Pharmacy, Self::Billing, Self::Tpa];

    /// The word of it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clinical => "clinical",
            Self::Pharmacy => "pharmacy",
            Self::Billing => "billing",
            Self::Tpa => "tpa",
        }
    }
}

/// How a stay ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    Home,
    /// Left against medical advice.
    Lama,
    Absconded,
    Death,
    /// To another hospital.
    TransferOut,
}

impl Disposition {
    /// The word of it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Home => "home",
            Self::Lama => "lama",
            Self::Absconded => "absconded",
            Self::Death => "death",
            Self::TransferOut => "transfer_out",
        }
    }
}

/// One step of an encounter. Which steps are possible from where is a table (workers/clinical/src/stays/stage.rs).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// The token is called.
    Call,
    /// The patient is with the doctor.
    StartConsultation,
    /// The consultation is over.
    Finish,
    NoShow,
    /// Back among those who wait.
    Requeue,
    /// A bed is kept for the patient; one kept before is let go.
    Reserve {
        bed_id: Uuid,
    },
    /// The bed is let go.
    Release,
    /// The patient is in the bed.
    Admit {
        bed_id: Uuid,
    },
    /// The patient is in another bed.
    Transfer {
        bed_id: Uuid,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The patient may go when the gates are cleared. His bed stays his.
    InitiateDischarge {
        disposition: Disposition,
        /// RFC 3339.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expected_at: Option<String>,
    },
    /// The patient stays after all.
    CancelDischarge {
        reason: String,
    },
    ClearGate {
        gate: Gate,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        /// Why open orders do not stand in the way of the clinical gate; it is on record.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        despite: Option<String>,
    },
    /// The patient has gone out of the bed: only this frees it. Against advice, absconded, dead or to another hospital also
    /// without cleared gates.
    Leave {
        /// Absent: as it was initiated.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        disposition: Option<Disposition>,
        /// Needed at death.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause_of_death: Option<String>,
        /// Number of the certificate (MCCD form 4).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        form: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// Nothing is left to do.
    Close,
    Cancel {
        reason: String,
    },
}

/// `adt.encounter.move`: take one step of an encounter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MoveEncounter {
    pub encounter_id: Uuid,
    pub step: Step,
    /// RFC 3339, when it happened; absent: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Why it is told so late; needed of what lies more than a day back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_reason: Option<String>,
    /// Only if the encounter stands at this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    /// Keys of all identifiers of the patient: he is admitted once, by whichever he is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub family: Vec<Uuid>,
    pub actor: String,
}

impl Body for MoveEncounter {
    const NAME: &'static str = "adt.encounter.move";
}

/// `adt.encounter.change`: what else is known of an encounter; absent fields stay, null deletes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeEncounter {
    pub encounter_id: Uuid,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub attending: Patch<Practitioner>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub service: Patch<String>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub reason: Patch<String>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub payer: Patch<Payer>,
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub expected_at: Patch<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub medico_legal: Option<bool>,
    /// Only if the encounter stands at this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    pub actor: String,
}

impl Body for ChangeEncounter {
    const NAME: &'static str = "adt.encounter.change";
}

/// `adt.difference.resolve`: somebody looked at where a hospital system's word and the house's register differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResolveDifference {
    pub difference_id: i64,
    pub comment: String,
    pub actor: String,
}

impl Body for ResolveDifference {
    const NAME: &'static str = "adt.difference.resolve";
}

/// `adt.encounter.opened`: a visit or a stay is known from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EncounterOpened {
    pub encounter_id: Uuid,
    /// HL7 table 0004.
    pub class: String,
    pub stage: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub practitioner: Option<Practitioner>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payer: Option<Payer>,
}

impl Body for EncounterOpened {
    const NAME: &'static str = "adt.encounter.opened";
}

/// `adt.encounter.staged`: an encounter went from one stage to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EncounterStaged {
    pub encounter_id: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    pub to: String,
    /// RFC 3339.
    pub at: String,
}

impl Body for EncounterStaged {
    const NAME: &'static str = "adt.encounter.staged";
}

/// `adt.admission.requested`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AdmissionRequested {
    pub encounter_id: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ward_class: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
}

impl Body for AdmissionRequested {
    const NAME: &'static str = "adt.admission.requested";
}

/// `adt.patient.admitted`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PatientAdmitted {
    pub encounter_id: Uuid,
    /// RFC 3339.
    pub at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Location>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consultant: Option<Practitioner>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub medico_legal: bool,
}

impl Body for PatientAdmitted {
    const NAME: &'static str = "adt.patient.admitted";
}

/// `adt.bed.assigned`: a patient came into a bed of the register, or out of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BedAssigned {
    pub encounter_id: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_bed: Option<Uuid>,
    /// Absent: into none of the register.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_bed: Option<Uuid>,
    /// RFC 3339.
    pub at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Body for BedAssigned {
    const NAME: &'static str = "adt.bed.assigned";
}

/// `adt.bed.state_changed`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BedStateChanged {
    pub bed_id: Uuid,
    pub ward_id: Uuid,
    pub from: BedState,
    pub to: BedState,
}

impl Body for BedStateChanged {
    const NAME: &'static str = "adt.bed.state_changed";
}

/// `adt.discharge.initiated`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DischargeInitiated {
    pub encounter_id: Uuid,
    pub disposition: Disposition,
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_at: Option<String>,
    /// What must be cleared.
    pub gates: Vec<Gate>,
}

impl Body for DischargeInitiated {
    const NAME: &'static str = "adt.discharge.initiated";
}

/// `adt.discharge.gate_cleared`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GateCleared {
    pub encounter_id: Uuid,
    pub gate: Gate,
    pub by: String,
    /// What still must be.
    pub open: Vec<Gate>,
}

impl Body for GateCleared {
    const NAME: &'static str = "adt.discharge.gate_cleared";
}

/// `adt.patient.left`: the patient is out of the bed, and it is free.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PatientLeft {
    pub encounter_id: Uuid,
    /// RFC 3339.
    pub at: String,
    /// As staff or the hospital system say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disposition: Option<String>,
}

impl Body for PatientLeft {
    const NAME: &'static str = "adt.patient.left";
}

/// `adt.difference.found`: a hospital system says what the house's register does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DifferenceFound {
    pub difference_id: i64,
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encounter_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bed_id: Option<Uuid>,
}

impl Body for DifferenceFound {
    const NAME: &'static str = "adt.difference.found";
}
