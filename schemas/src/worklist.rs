//! What an instrument asks the hub now, and the answer: which tests are ordered for which specimens.
//!
//! Asked by NATS request/reply with a deadline (design.md §5); neither question nor answer is an event. Sources: IHE LAW
//! (LAB-27, LAB-28), LIS02-A2 §6.6 (request information record), HL7 v2.3.1 QRY^Q02 and ORM^O01 as Mindray uses them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::care::Code;
use crate::patients::{HumanName, Identifier};
use crate::{ChannelId, TenantId};

/// Subject of the question; the tenant is a token of it.
#[must_use]
pub fn worklist_subject(tenant: &TenantId) -> String {
    format!("ask.{tenant}.worklist")
}

/// Which tests are to be done?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorklistQuestion {
    /// The channel that asks: its tables say what the instrument calls a test.
    pub channel: ChannelId,
    /// Numbers on the tubes, exactly as the instrument read them. Empty: everything pending for this channel (LAW `WOS_ALL`,
    /// ASTM `ALL`, and the download to instruments that do not ask), oldest first.
    pub specimens: Vec<String>,
    /// How many specimens to answer at most when all are asked for.
    pub limit: u32,
    /// Only what this channel's instrument was not told yet: for those that are told and do not ask. Absent: everything
    /// pending, also what was sent, so that a query that is repeated is answered the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untold: Option<Untold>,
    /// A test that no table names for the instrument is told by the code with which it was ordered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub as_ordered: bool,
}

/// What counts as not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Untold {
    /// What got no answer is told again after so many seconds; what the instrument took or refused is not.
    pub again_after_s: u32,
}

/// What is to be done, one entry a specimen; the order of the question, where it named specimens.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct WorklistAnswer {
    pub specimens: Vec<WorklistSpecimen>,
}

/// What is known of a specimen that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SpecimenStanding {
    /// At least one test is to be done or to be taken back.
    Pending,
    /// The specimen is known; nothing is to be done for this instrument.
    Nothing,
    /// No such specimen.
    Unknown,
}

/// One specimen and its tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorklistSpecimen {
    pub number: String,
    pub standing: SpecimenStanding,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient: Option<WorklistPatient>,
    /// HL7 table 0487 or 0070.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Code>,
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collected_at: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<WorklistTest>,
}

/// As much of the patient as an instrument may print.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct WorklistPatient {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<Identifier>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<HumanName>,
    /// ISO 8601 date, precision as known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub birth_date: Option<String>,
    /// HL7 table 0001.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sex: Option<String>,
}

/// To be done or taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TestAction {
    Perform,
    Cancel,
}

/// One ordered test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorklistTest {
    pub order: Uuid,
    pub action: TestAction,
    /// As ordered.
    pub code: Code,
    /// What this channel's instrument calls it; several when a panel is ordered test by test. Empty: the tables know no
    /// name for it, so it is not sent.
    pub instrument_codes: Vec<String>,
    /// `routine`, `urgent`, `stat`, `asap`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placer_number: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filler_number: Option<String>,
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered_at: Option<String>,
}
