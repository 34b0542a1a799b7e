//! The three kinds of failure, and no more: transient, refused, held (design.md §3).

/// This message will never work: it becomes a dead letter with this reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Refusal {
    /// Stable code for programs: `hl7.no_msh`, `patients.unknown` …
    pub code: &'static str,
    /// What, where, what to do, for people. Never patient data.
    pub detail: String,
}

impl Refusal {
    /// A refusal with its code and a sentence.
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }
}
