//! Requests that may be refused. Each goes to the worker that owns the state.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::integration::DesiredState;
use crate::{Body, ChannelId};

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
