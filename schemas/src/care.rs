//! Encounters, orders, specimens and results as source systems report them, and what the clinical
//! worker says once they are filed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::patients::Identifier;
use crate::{Body, ChannelId, Patch};

/// A code with its text and its code system (HL7 CWE; FHIR Coding).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Code {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// HL7 table 0396 name (`LN`, `L`, `SCT`, `99MRC` …).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
}

/// What happened to an encounter (HL7 table 0003, the ADT triggers that the hub translates).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EncounterAction {
    /// A01
    Admitted,
    /// A04
    Registered,
    /// A05
    Preadmitted,
    /// A02
    Transferred,
    /// A03
    Discharged,
    /// A08
    Updated,
    /// A11
    AdmitCancelled,
    /// A12
    TransferCancelled,
    /// A13
    DischargeCancelled,
}

/// Where a patient is (HL7 PL).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Location {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point_of_care: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bed: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facility: Option<String>,
}

/// A practitioner as named in a message (HL7 XCN).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Practitioner {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// `adt.encounter.reported`: a source system reported an admission, transfer, discharge …
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EncounterReported {
    pub action: EncounterAction,
    /// Primary identifier of the patient.
    pub subject: Identifier,
    /// PV1-19.1, or PID-18.1 when PV1-19 is empty. Absent: the encounter is keyed by subject and admit time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visit_number: Option<String>,
    /// PV1-2, HL7 table 0004 (`I`, `O`, `E`, `P` …).
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub class: Patch<String>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub location: Patch<Location>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub prior_location: Patch<Location>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub attending: Patch<Practitioner>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub referring: Patch<Practitioner>,
    /// PV1-10.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub service: Patch<String>,
    /// PV1-44, RFC 3339.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub admitted_at: Patch<String>,
    /// PV1-45, RFC 3339.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub discharged_at: Patch<String>,
    /// PV1-36.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub disposition: Patch<String>,
    /// EVN-6, EVN-2 or MSH-7, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<String>,
}

impl Body for EncounterReported {
    const NAME: &'static str = "adt.encounter.reported";
}

/// Specimen as reported (HL7 SPM, or OBR-15 of older versions).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Specimen {
    /// Accession or container number: the exact-match key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filler_number: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Code>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_site: Option<Code>,
    /// SPM-11, HL7 table 0369 (`P` patient, `Q` control, `U` unknown …).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Code>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Code>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collected_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_at: Option<String>,
    /// SPM-21, HL7 table 0490: the laboratory can't use it, and why; empty where it does not say so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected_for: Vec<Code>,
}

/// What the order message asks for (HL7 table 0119, ORC-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderControl {
    /// NW, SN, and anything that places an order.
    New,
    /// XO, RP, PA …: change.
    Change,
    /// CA: a request to cancel.
    CancelRequest,
    /// OC, CR: cancelled.
    Cancelled,
    /// DC, OD, DR: discontinued.
    Discontinued,
    /// HD, OH, HR: on hold.
    Hold,
    /// RL, OE: released from hold.
    Release,
    /// SC, SR, OK, UA, RE …: status only (OBR-25 / ORC-5 tell which).
    Status,
}

/// `clinical.order.reported`: one ordered test or service (one OBR).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderReported {
    pub control: OrderControl,
    /// Primary identifier of the patient; absent when the message names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Identifier>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visit_number: Option<String>,
    /// ORC-2.1 / OBR-2.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placer_number: Option<String>,
    /// ORC-3.1 / OBR-3.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filler_number: Option<String>,
    /// ORC-4.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_number: Option<String>,
    /// OBR-4.
    pub code: Code,
    /// HL7 table 0038 (ORC-5), as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// `routine`, `urgent`, `stat`, `asap`; from OBR-5 / TQ1-9 / ORC-7.6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered_by: Option<Practitioner>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub specimens: Vec<Specimen>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// A result that came without an order brings this one, and looks first for an open order of the patient on the same code
    /// (ORU^R31).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub or_open: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<String>,
}

impl Body for OrderReported {
    const NAME: &'static str = "clinical.order.reported";
}

/// Comparator of a measured value (FHIR quantity-comparator).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Comparator {
    #[serde(rename = "<")]
    Less,
    #[serde(rename = "<=")]
    LessOrEqual,
    #[serde(rename = ">")]
    Greater,
    #[serde(rename = ">=")]
    GreaterOrEqual,
}

impl Comparator {
    /// The sign.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

/// A result's value. Numbers keep the decimal text that was sent (precision is meaning).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Value {
    /// NM, SN with one number, or a number with a comparator.
    Quantity {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        comparator: Option<Comparator>,
        /// Decimal text with `.` as the mark: `7.41`.
        number: String,
    },
    /// SN `low^-^high`, NR.
    Range { low: String, high: String },
    /// SN `1^:^128`, `1^/^2`.
    Ratio {
        numerator: String,
        denominator: String,
    },
    /// CE, CWE, CNE, CF, IS, ID.
    Coded { codes: Vec<Code> },
    /// ST, FT, TX and whatever has no better form.
    Text { text: String },
    /// DT, TM, DTM, TS: ISO 8601, precision as sent.
    DateTime { value: String },
    /// ED, RP: bytes are in the object store under the digest.
    Attachment { attachment: Attachment },
    /// No value: the device sent none (`----`, empty with status X …).
    Absent { reason: String },
}

/// A document, image or curve kept out of the message body (design.md §5, claim check).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attachment {
    /// Lower-case hex SHA-256 of the decoded bytes; also the object's name.
    pub sha256: String,
    pub bytes: u64,
    /// Media type, `application/octet-stream` when the sender's words say nothing.
    pub media_type: String,
    /// Source application, type and subtype as sent (ED.1-ED.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// Reference range as sent, with numbers where they could be read without guessing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ReferenceRange {
    pub text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<String>,
}

/// What the mapping tables made of the sender's code and unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mapped {
    /// LOINC code.
    pub loinc: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
    /// UCUM unit the value is in after `factor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ucum: Option<String>,
    /// Value in `ucum` = number as sent × factor, decimal text; absent = 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<String>,
}

/// Why a result waits for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    /// No mapping for this channel and code.
    UnknownCode,
    /// The code is mapped but not with this unit.
    UnknownUnit,
    /// The message names no patient identifier, and no order explains its specimen.
    NoPatient,
    /// The message names another patient than the orders on its specimen.
    PatientMismatch,
}

impl HoldReason {
    /// The reason as stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownCode => "unknown_code",
            Self::UnknownUnit => "unknown_unit",
            Self::NoPatient => "no_patient",
            Self::PatientMismatch => "patient_mismatch",
        }
    }

    /// True when the question is whose the result is, and not what it means.
    #[must_use]
    pub fn is_about_patient(self) -> bool {
        matches!(self, Self::NoPatient | Self::PatientMismatch)
    }
}

/// One observation (one OBX).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Observation {
    /// OBX-3 first triplet; the alternate when the first is empty.
    pub code: Code,
    /// OBX-3 second triplet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alternate: Option<Code>,
    /// OBX-4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_id: Option<String>,
    /// OBX-2 as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_type: Option<String>,
    pub value: Value,
    /// OBX-5 as sent, unescaped; absent for attachments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_value: Option<String>,
    /// OBX-6 as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<ReferenceRange>,
    /// OBX-8, each flag as sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// OBX-11 as sent (`F`, `P`, `C`, `X` …); `F` when empty is NOT assumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// OBX-14, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<String>,
    /// OBX-18 or the sending device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// NTE lines that follow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Present when the tables know code and unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapped: Option<Mapped>,
    /// Present when the result must wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<HoldReason>,
}

/// `lis.result.received`: one report with its results (one OBR and its OBX).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResultReceived {
    pub channel: ChannelId,
    /// Primary identifier of the patient; absent when the message names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Identifier>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visit_number: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placer_number: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filler_number: Option<String>,
    /// OBR-4.
    pub code: Code,
    /// OBR-25 as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// OBR-7, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<String>,
    /// OBR-22, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub specimen: Option<Specimen>,
    pub results: Vec<Observation>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<String>,
}

impl Body for ResultReceived {
    const NAME: &'static str = "lis.result.received";
}

/// `clinical.report.filed`: a report and its results are on file. Carries no values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReportFiled {
    pub report_id: Uuid,
    pub version: i32,
    pub results: u32,
    pub held: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// True: its results must be verified before anybody may act on them; `clinical.report.released` says when they are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub to_verify: bool,
}

impl Body for ReportFiled {
    const NAME: &'static str = "clinical.report.filed";
}

/// `clinical.report.amended`: results on file were corrected or completed; old values are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReportAmended {
    pub report_id: Uuid,
    pub version: i32,
    /// Results that got a new version.
    pub changed: u32,
    /// Results that are new in this version.
    pub added: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// True: its results must be verified before anybody may act on them; `clinical.report.released` says when they are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub to_verify: bool,
}

impl Body for ReportAmended {
    const NAME: &'static str = "clinical.report.amended";
}

/// Who said whose a report is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MatchedBy {
    /// An order on its specimen, which came after it.
    Order,
    /// A person.
    Claim,
}

/// `clinical.report.matched`: a report that was on nobody's chart is on its patient's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReportMatched {
    pub report_id: Uuid,
    pub by: MatchedBy,
}

impl Body for ReportMatched {
    const NAME: &'static str = "clinical.report.matched";
}

/// `clinical.encounter.changed`: the state of an encounter changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EncounterChanged {
    pub encounter_id: Uuid,
    pub action: EncounterAction,
    pub status: String,
}

impl Body for EncounterChanged {
    const NAME: &'static str = "clinical.encounter.changed";
}

/// `clinical.order.changed`: an order was placed or its state changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderChanged {
    pub order_id: Uuid,
    pub status: String,
}

impl Body for OrderChanged {
    const NAME: &'static str = "clinical.order.changed";
}
