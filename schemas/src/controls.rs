//! Control material: what it should measure, what it did, and what a person decided of it. Never about a patient.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Body, ChannelId};

/// `clinical.control.define`: mean and standard deviation of one analyte of one lot on one channel. Said again it counts from
/// then on; what was judged stays as it was judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DefineControl {
    pub channel: ChannelId,
    /// Sample number under which the instrument reports this material: its lot, or the number on its vial.
    pub material: String,
    /// Lot number of the maker.
    pub lot: String,
    /// `1`, `2`, `low`, `high` …
    pub level: String,
    /// Code of the analyte, as the instrument sends it.
    pub code: String,
    /// Decimal text, in the unit that the instrument sends.
    pub mean: String,
    /// Decimal text above zero.
    pub sd: String,
    /// As sent; a result in another unit is not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    pub actor: String,
}

impl Body for DefineControl {
    const NAME: &'static str = "clinical.control.define";
}

/// What a person decides of a control result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ControlDecision {
    /// It counts, with what was remarked.
    Accepted,
    /// It does not count; it stays visible.
    Rejected,
}

impl ControlDecision {
    /// The decision as stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
        }
    }
}

/// `clinical.control.decide`: close an item of the QC worklist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DecideControl {
    pub control_id: i64,
    pub decision: ControlDecision,
    pub comment: String,
    pub actor: String,
}

impl Body for DecideControl {
    const NAME: &'static str = "clinical.control.decide";
}

/// `clinical.control.recorded`: control results are on file, apart from those of patients. Carries no values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ControlRecorded {
    pub run_id: Uuid,
    pub channel: ChannelId,
    pub results: u32,
    pub warnings: u32,
    pub rejected: u32,
    /// Results that no target or no number let judge.
    pub not_checked: u32,
}

impl Body for ControlRecorded {
    const NAME: &'static str = "clinical.control.recorded";
}
