//! Requests that may be refused. Each goes to the worker that owns the state.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::care::{Code, Practitioner, Specimen};
use crate::integration::DesiredState;
use crate::patients::Identifier;
use crate::{Body, ChannelId, Patch};

/// `patients.patient.merge`: join two records of one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MergePatients {
    pub survivor: Uuid,
    pub retired: Uuid,
    pub reason: String,
    pub actor: String,
}

impl Body for MergePatients {
    const NAME: &'static str = "patients.patient.merge";
}

/// `patients.patient.unmerge`: take a merge back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnmergePatient {
    /// The record that was retired by the merge.
    pub retired: Uuid,
    pub reason: String,
    pub actor: String,
}

impl Body for UnmergePatient {
    const NAME: &'static str = "patients.patient.unmerge";
}

/// `clinical.code.map`: say what an analyzer's code means; releases every held result it explains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MapCode {
    pub channel: ChannelId,
    /// As sent; empty when the sender gave none.
    pub code_system: String,
    pub code: String,
    /// Unit as sent that this mapping is for; absent = whatever unit, none converted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    pub loinc: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ucum: Option<String>,
    /// Decimal text; value in `ucum` = value as sent × factor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<String>,
    pub actor: String,
}

impl Body for MapCode {
    const NAME: &'static str = "clinical.code.map";
}

/// `clinical.order.place`: order a test for a patient. Refused when a number on a tube carries another patient's open orders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlaceOrder {
    pub subject: Identifier,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visit_number: Option<String>,
    /// The caller's number: patient, number and code together are one order, so a repeat places nothing twice.
    /// Absent: the worker makes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placer_number: Option<String>,
    /// LOINC (system `LN`), or the placer's own code.
    pub code: Code,
    /// `routine`, `urgent`, `stat`, `asap`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// The tubes it is to be done from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub specimens: Vec<Specimen>,
    /// Channels whose instruments may do it. Empty: every channel that knows the test.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<ChannelId>,
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered_by: Option<Practitioner>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    pub actor: String,
}

impl Body for PlaceOrder {
    const NAME: &'static str = "clinical.order.place";
}

/// `clinical.order.cancel`: revoke an order that is still open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CancelOrder {
    pub order_id: Uuid,
    pub reason: String,
    pub actor: String,
}

impl Body for CancelOrder {
    const NAME: &'static str = "clinical.order.cancel";
}

/// `clinical.order.change`: what else is known of an order that is still open; absent fields stay, null deletes. What was ordered, for
/// whom and from which tube is another order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeOrder {
    pub order_id: Uuid,
    /// `routine`, `urgent`, `stat`, `asap`.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub priority: Patch<String>,
    /// Only before a specimen is collected, as all that follows.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub notes: Patch<Vec<String>>,
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub ordered_at: Patch<String>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub ordered_by: Patch<Practitioner>,
    /// Only if the order stands at this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    pub actor: String,
}

impl Body for ChangeOrder {
    const NAME: &'static str = "clinical.order.change";
}

/// What agreed with the patient's record when a report was claimed, besides the identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecondIdentifier {
    BirthDate,
    Name,
}

/// `clinical.report.claim`: say whose an unmatched report is. Sent only after two identifiers agreed with one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClaimReport {
    pub report_id: Uuid,
    pub subject: Identifier,
    pub second: SecondIdentifier,
    pub actor: String,
}

impl Body for ClaimReport {
    const NAME: &'static str = "clinical.report.claim";
}

/// `clinical.report.discard`: an unmatched report is nobody's (a control without its mark, an instrument's own test). It stays on
/// file, on nobody's chart; a claim takes it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiscardReport {
    pub report_id: Uuid,
    pub reason: String,
    pub actor: String,
}

impl Body for DiscardReport {
    const NAME: &'static str = "clinical.report.discard";
}

/// `integration.held.resolve`: close a held item without a mapping (accepted as it is, or rejected).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResolveHeld {
    pub held_id: i64,
    pub resolution: String,
    pub actor: String,
}

impl Body for ResolveHeld {
    const NAME: &'static str = "integration.held.resolve";
}

/// `integration.dead.resolve`: mark a dead letter as dealt with (replayed, resent as a child, discarded with a reason).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResolveDead {
    pub dead_id: i64,
    /// `replayed`, `resent`, `discarded`.
    pub resolution: String,
    /// RAW id of the linked child, if one was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub child: Option<Uuid>,
    pub reason: String,
    pub actor: String,
}

impl Body for ResolveDead {
    const NAME: &'static str = "integration.dead.resolve";
}

/// `integration.channel.set`: start, pause or stop a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetChannelState {
    pub channel: ChannelId,
    pub state: DesiredState,
    pub actor: String,
}

impl Body for SetChannelState {
    const NAME: &'static str = "integration.channel.set";
}

/// `integration.access.record`: a person read a body or signed in; kept in the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordAccess {
    /// `message.body_read`, `auth.login` …
    pub action: String,
    /// What it was done to, by opaque id.
    pub object: String,
    pub actor: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Body for RecordAccess {
    const NAME: &'static str = "integration.access.record";
}
