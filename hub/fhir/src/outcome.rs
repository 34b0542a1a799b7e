//! OperationOutcome: what went wrong, in FHIR's words.

use serde_json::{Value, json};

use crate::element::{element, list, text};

/// How bad (value set issue-severity).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Fatal,
    Error,
    Warning,
    Information,
}

impl Severity {
    fn as_str(self) -> &'static str {
        match self {
            Self::Fatal => "fatal",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Information => "information",
        }
    }
}

/// One thing that is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    pub severity: Severity,
    /// Of the value set issue-type.
    pub code: &'static str,
    /// The hub's own code, as in the problems of REST.
    pub hub_code: Option<String>,
    /// For people.
    pub words: String,
    /// For whoever looks into it: the trace id.
    pub diagnostics: Option<String>,
    /// Where: FHIRPath of an element, or the name of a parameter.
    pub expression: Option<String>,
}

impl Issue {
    #[must_use]
    pub fn error(code: &'static str, words: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            hub_code: None,
            words: words.into(),
            diagnostics: None,
            expression: None,
        }
    }

    #[must_use]
    pub fn warning(code: &'static str, words: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, words)
        }
    }

    #[must_use]
    pub fn at(mut self, expression: impl Into<String>) -> Self {
        self.expression = Some(expression.into());
        self
    }

    pub(crate) fn value(place: impl Into<String>, words: impl Into<String>) -> Self {
        Self::error("value", words).at(place)
    }

    pub(crate) fn not_supported(place: impl Into<String>, words: impl Into<String>) -> Self {
        Self::error("not-supported", words).at(place)
    }

    fn json(&self) -> Value {
        let code = self.hub_code.as_ref().map_or(
            Value::Null,
            |code| json!([{ "system": "urn:hub:problem", "code": code }]),
        );
        element([
            ("severity", json!(self.severity.as_str())),
            ("code", json!(self.code)),
            (
                "details",
                element([("coding", code), ("text", text(&self.words))]),
            ),
            (
                "diagnostics",
                self.diagnostics.as_deref().map_or(Value::Null, text),
            ),
            (
                "expression",
                list([self.expression.as_deref().map_or(Value::Null, text)]),
            ),
        ])
    }
}

/// What is said of a request. It always says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub issues: Vec<Issue>,
}

impl Outcome {
    #[must_use]
    pub fn of(issue: Issue) -> Self {
        Self {
            issues: vec![issue],
        }
    }

    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "resourceType": "OperationOutcome",
            "issue": list(self.issues.iter().map(Issue::json)),
        })
    }
}
