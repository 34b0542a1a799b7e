//! Specimens on their way: labelled, collected, received in the laboratory, rejected.
//!
//! A specimen has a number, and a number that was rejected is not used again: a result that comes late with it could not be told
//! from one of the next tube.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::care::Code;
use crate::{Body, Patch};

/// Why the laboratory can't use a specimen (HL7 table 0490).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RejectReason {
    /// EX
    Expired,
    /// QS
    QuantityNotSufficient,
    /// RB
    BrokenContainer,
    /// RC
    Clotted,
    /// RD
    CollectionDateMissing,
    /// RA
    PatientNumberMissing,
    /// RE
    PatientNameMissing,
    /// RH
    Haemolysed,
    /// RI
    WrongIdentification,
    /// RM
    WrongLabel,
    /// RN
    Contaminated,
    /// RP
    CollectorMissing,
    /// RR
    WronglyStored,
    /// RS
    NameMisspelt,
    /// None of them: the text says it.
    Other,
}

impl RejectReason {
    /// All there are.
    pub const ALL: [Self; 15] = [
        Self::Expired,
        Self::QuantityNotSufficient,
        Self::BrokenContainer,
        Self::Clotted,
        Self::CollectionDateMissing,
        Self::PatientNumberMissing,
        Self::PatientNameMissing,
        Self::Haemolysed,
        Self::WrongIdentification,
        Self::WrongLabel,
        Self::Contaminated,
        Self::CollectorMissing,
        Self::WronglyStored,
        Self::NameMisspelt,
        Self::Other,
    ];

    /// The word of it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::QuantityNotSufficient => "quantity_not_sufficient",
            Self::BrokenContainer => "broken_container",
            Self::Clotted => "clotted",
            Self::CollectionDateMissing => "collection_date_missing",
            Self::PatientNumberMissing => "patient_number_missing",
            Self::PatientNameMissing => "patient_name_missing",
            Self::Haemolysed => "haemolysed",
            Self::WrongIdentification => "wrong_identification",
            Self::WrongLabel => "wrong_label",
            Self::Contaminated => "contaminated",
            Self::CollectorMissing => "collector_missing",
            Self::WronglyStored => "wrongly_stored",
            Self::NameMisspelt => "name_misspelt",
            Self::Other => "other",
        }
    }

    /// The reason that a code of HL7 table 0490 stands for; `None` where the table has no such code.
    #[must_use]
    pub fn of_code(code: &str) -> Option<Self> {
        Some(match code {
            "EX" => Self::Expired,
            "QS" => Self::QuantityNotSufficient,
            "RA" => Self::PatientNumberMissing,
            "RB" => Self::BrokenContainer,
            "RC" => Self::Clotted,
            "RD" => Self::CollectionDateMissing,
            "RE" => Self::PatientNameMissing,
            "RH" => Self::Haemolysed,
            "RI" => Self::WrongIdentification,
            "RM" => Self::WrongLabel,
            "RN" => Self::Contaminated,
            "RP" => Self::CollectorMissing,
            "RR" => Self::WronglyStored,
            "RS" => Self::NameMisspelt,
            _ => return None,
        })
    }
}

/// `lis.specimen.accession`: a tube with this number is for these orders, all of one patient. Orders whose tube was rejected get
/// another one so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccessionSpecimen {
    /// As on the label.
    pub number: String,
    /// HL7 table 0487.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Code>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_site: Option<Code>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Code>,
    pub orders: Vec<Uuid>,
    pub actor: String,
}

impl Body for AccessionSpecimen {
    const NAME: &'static str = "lis.specimen.accession";
}

/// One step. Which are possible from where is a table (workers/clinical/src/specimens/state.rs).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum SpecimenStep {
    /// It was taken.
    Collect {
        /// Who took it; absent: who says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        collector: Option<String>,
    },
    /// The laboratory has it.
    Receive,
    /// The laboratory can't use it.
    Reject {
        reason: RejectReason,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// Its orders wait for another one; else they are revoked.
        recollect: bool,
    },
}

/// `lis.specimen.move`: take one step of a specimen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MoveSpecimen {
    pub specimen_id: Uuid,
    pub step: SpecimenStep,
    /// RFC 3339, when it happened; absent: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Why it is told so late; needed of what lies more than a day back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_reason: Option<String>,
    /// Only if the specimen stands at this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    pub actor: String,
}

impl Body for MoveSpecimen {
    const NAME: &'static str = "lis.specimen.move";
}

/// `lis.specimen.change`: what it is and in what, while the laboratory has not rejected it; absent fields stay, null deletes. A wrong number
/// or patient is another specimen: this one is rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeSpecimen {
    pub specimen_id: Uuid,
    /// HL7 table 0487.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub kind: Patch<Code>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub body_site: Patch<Code>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub container: Patch<Code>,
    /// HL7 table 0493.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub condition: Patch<Code>,
    /// Only if the specimen stands at this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    pub actor: String,
}

impl Body for ChangeSpecimen {
    const NAME: &'static str = "lis.specimen.change";
}

/// `lis.specimen.changed`: what is known of it is otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpecimenChanged {
    pub specimen_id: Uuid,
    pub version: i32,
}

impl Body for SpecimenChanged {
    const NAME: &'static str = "lis.specimen.changed";
}

/// `lis.specimen.accessioned`: a tube was labelled for orders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpecimenAccessioned {
    pub specimen_id: Uuid,
    pub orders: Vec<Uuid>,
}

impl Body for SpecimenAccessioned {
    const NAME: &'static str = "lis.specimen.accessioned";
}

/// `lis.specimen.collected`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpecimenCollected {
    pub specimen_id: Uuid,
    /// RFC 3339.
    pub at: String,
}

impl Body for SpecimenCollected {
    const NAME: &'static str = "lis.specimen.collected";
}

/// `lis.specimen.received`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpecimenReceived {
    pub specimen_id: Uuid,
    /// RFC 3339.
    pub at: String,
}

impl Body for SpecimenReceived {
    const NAME: &'static str = "lis.specimen.received";
}

/// `lis.specimen.rejected`: the laboratory can't use it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpecimenRejected {
    pub specimen_id: Uuid,
    pub reason: RejectReason,
    /// These orders wait for another one.
    pub recollect: bool,
    /// Orders that lost their tube.
    pub orders: Vec<Uuid>,
    /// Of who has to collect again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<Uuid>,
}

impl Body for SpecimenRejected {
    const NAME: &'static str = "lis.specimen.rejected";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_one_code_but_for_what_only_words_say() {
        const CODES: [&str; 14] = [
            "EX", "QS", "RB", "RC", "RD", "RA", "RE", "RH", "RI", "RM", "RN", "RP", "RR", "RS",
        ];
        let read: Vec<RejectReason> = CODES
            .into_iter()
            .filter_map(RejectReason::of_code)
            .collect();
        assert_eq!(read, RejectReason::ALL[..14]);
        assert_eq!(RejectReason::of_code("rh"), None);
        assert_eq!(RejectReason::of_code(""), None);
    }

    #[test]
    fn a_reason_is_stored_by_the_word_that_it_is_sent_by() {
        for reason in RejectReason::ALL {
            assert_eq!(
                serde_json::to_value(reason).unwrap(),
                serde_json::json!(reason.as_str())
            );
        }
    }
}
