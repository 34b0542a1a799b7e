//! Observations that staff enter, the score that a rule pack makes of a round of them, and the tasks that follow.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::IdentifierKey;
use crate::patients::Identifier;

bodies! {
    RecordObservations = "clinical.observation.record",
    CorrectObservation = "clinical.observation.correct",
    OrderOxygenTarget = "clinical.oxygen_target.order",
    EndOxygenTarget = "clinical.oxygen_target.end",
    AdvanceTask = "clinical.task.advance",
    AmendResult = "clinical.result.amend",
    VitalsRecorded = "clinical.vitals.recorded",
    ScoreComputed = "clinical.score.computed",
    DeteriorationFlagged = "clinical.deterioration.flagged",
}

/// One value that a person measured or saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EnteredValue {
    /// LOINC code.
    pub loinc: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
    /// Decimal text, or the code of a coded value (`A`, `C`, `V`, `P`, `U` of 80288-4).
    pub value: String,
    /// UCUM; absent: the value is coded. `[degF]` is converted, and kept as it was entered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ucum: Option<String>,
}

/// `clinical.observation.record`: a round of observations of one patient at one time. The same value of the same term and time
/// again is the same observation; another value is refused, because it must be a correction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordObservations {
    pub subject: Identifier,
    /// Keys of all the person's identifiers: what devices measured under each of them may fill the round.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visit_number: Option<String>,
    /// RFC 3339.
    pub observed_at: String,
    pub values: Vec<EnteredValue>,
    /// Which oxygen scale the caller means; absent: as ordered, else the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<i16>,
    /// Date of birth as the index knows it (ISO 8601, possibly partial): the score is for grown-ups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub birth_date: Option<String>,
    /// As the caller says; absent: nobody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pregnant: Option<bool>,
    pub actor: String,
}

/// `clinical.observation.correct`: another value, or none: it should not have been entered. The score of its round is made anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CorrectObservation {
    pub observation_id: Uuid,
    /// Keys of all the person's identifiers, as in [`RecordObservations::keys`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<i32>,
    /// Absent: entered in error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<EnteredValue>,
    pub reason: String,
    pub actor: String,
}

/// `clinical.oxygen_target.order`: saturation is to be kept at 88 to 92 %; the second oxygen scale counts from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderOxygenTarget {
    pub target_id: Uuid,
    pub subject: Identifier,
    /// Keys of all the person's identifiers: an order under another of them stands too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Uuid>,
    pub reason: String,
    pub actor: String,
}

/// `clinical.oxygen_target.end`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndOxygenTarget {
    pub target_id: Uuid,
    pub reason: String,
    pub actor: String,
}

/// What is done about a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskAction {
    /// Somebody has seen it and goes.
    Acknowledge,
    /// It is done; says what came of it.
    Complete,
}

/// `clinical.task.advance`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AdvanceTask {
    pub task_id: Uuid,
    pub action: TaskAction,
    /// With [`TaskAction::Complete`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    pub actor: String,
}

/// `clinical.result.amend`: a person corrects a result of a report. The version before stays, marked as superseded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AmendResult {
    pub report_id: Uuid,
    pub item: i16,
    /// The version that was seen.
    pub version: i16,
    /// Decimal text or words, of the kind that the result has.
    pub value: String,
    pub reason: String,
    pub actor: String,
}

/// `clinical.vitals.recorded`: what a person entered is on the chart. No values: readers fetch them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VitalsRecorded {
    /// Key of the patient identifier that the row carries.
    pub subject_key: IdentifierKey,
    /// RFC 3339.
    pub observed_at: String,
    /// Observations that are new or corrected.
    pub observations: Vec<Uuid>,
    /// LOINC codes of them.
    pub codes: Vec<String>,
}

/// `clinical.score.computed`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScoreComputed {
    pub score_id: Uuid,
    pub version: i16,
    /// Key of the patient identifier that the row carries.
    pub subject_key: IdentifierKey,
    /// `news2`
    pub pack: String,
    pub pack_version: String,
    /// `computed`, `incomplete`, `not_applicable`.
    pub state: String,
    /// Absent when a part is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<i16>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// `clinical.deterioration.flagged`: a score asks that somebody looks after the patient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeteriorationFlagged {
    pub task_id: Uuid,
    pub score_id: Uuid,
    /// Key of the patient identifier that the row carries.
    pub subject_key: IdentifierKey,
    /// The response of the pack: `emergency`, `urgent`, `urgent_single`.
    pub trigger: String,
    /// Absent when a part is missing: then what is known is enough to ask for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<i16>,
    /// RFC 3339.
    pub due_at: String,
}
