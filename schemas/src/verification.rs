//! Verification: whether a result that came from an analyzer may be acted on, and who says so.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Body;

/// What a person decides of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It may be acted on.
    Verify,
    /// It must not; it stays visible, marked.
    Reject,
    /// A rejection is taken back: it is to be decided again.
    Reopen,
}

/// One item of the worklist, as the person saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Seen {
    pub verification_id: i64,
    /// Of the item when it was looked at; another one in force refuses the decision.
    pub revision: i32,
}

/// `clinical.result.decide`: verify, reject or reopen results. Each is decided by itself; the answer lists the outcomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DecideResults {
    pub items: Vec<Seen>,
    pub decision: Decision,
    /// Needed to reject, to reopen, and to verify against a flag that blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// A refusal is the outcome of its item, also when there is one only; else one item alone is refused as a command is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub item_by_item: bool,
    pub actor: String,
}

impl Body for DecideResults {
    const NAME: &'static str = "clinical.result.decide";
}

/// `clinical.result.rerun`: have it measured again. The instrument of its channel is told, where an ordered test leads to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RerunResult {
    pub item: Seen,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    pub actor: String,
}

impl Body for RerunResult {
    const NAME: &'static str = "clinical.result.rerun";
}

/// `clinical.result.comment`: a remark on a result that waits for its verification, or had it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommentResult {
    pub verification_id: i64,
    pub comment: String,
    pub actor: String,
}

impl Body for CommentResult {
    const NAME: &'static str = "clinical.result.comment";
}

/// `clinical.report.released`: every result of a report that needed it is decided, and at least one may be acted on. Carries
/// no values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReportReleased {
    pub report_id: Uuid,
    /// 1, and one more each time that it is released again after a correction: what was printed before is superseded.
    pub release: i32,
    pub released: u32,
    pub rejected: u32,
}

impl Body for ReportReleased {
    const NAME: &'static str = "clinical.report.released";
}

/// `clinical.report.reopened`: a report that was released has a result that waits for its verification: a correction, another
/// run, or one that came later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReportReopened {
    pub report_id: Uuid,
    /// The release that is in doubt.
    pub release: i32,
}

impl Body for ReportReopened {
    const NAME: &'static str = "clinical.report.reopened";
}
