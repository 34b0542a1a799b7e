//! What an update asks to be otherwise: the resource that is sent beside the one that stands. Pure.

use axum::http::StatusCode;
use hub_fhir::{Issue, Kind, Resource};
use serde_json::Value;

use super::not_supported;
use crate::problem::{FieldProblem, Problem};

/// Members that are the server's to write, or for people's eyes.
const NOT_COMPARED: [&str; 2] = ["meta", "text"];

pub(super) struct Change<'a> {
    kind: Kind,
    pub(super) sent: &'a Value,
    pub(super) stands: Value,
}

impl<'a> Change<'a> {
    pub(super) fn of(sent: &'a Value, stands: &Resource) -> Result<Self, Problem> {
        Ok(Self {
            kind: stands.kind,
            sent,
            // as it went out: what the caller has read and sends back
            stands: serde_json::from_slice(&hub_fhir::to_bytes(stands.json()))
                .map_err(|_| Problem::internal())?,
        })
    }

    /// One of these members is otherwise.
    pub(super) fn differs(&self, names: &[&str]) -> bool {
        names
            .iter()
            .any(|name| self.sent[*name] != self.stands[*name])
    }

    /// The code of one of these is otherwise: a status is its code, whatever a client writes beside it.
    pub(super) fn differs_in_code(&self, names: &[&str]) -> bool {
        let code = |json: &Value, name: &str| json[name]["coding"][0]["code"].clone();
        names
            .iter()
            .any(|name| code(self.sent, name) != code(&self.stands, name))
    }

    /// Nothing but these members is otherwise.
    pub(super) fn only(&self, free: &[&str]) -> Result<(), Problem> {
        let members = |value: &Value| -> Vec<String> {
            value
                .as_object()
                .into_iter()
                .flat_map(|members| members.keys().cloned())
                .collect()
        };
        let mut names = members(self.sent);
        names.extend(members(&self.stands));
        names.sort_unstable();
        names.dedup();
        let fields: Vec<FieldProblem> = names
            .into_iter()
            .filter(|name| {
                !free.contains(&name.as_str())
                    && !NOT_COMPARED.contains(&name.as_str())
                    && self.differs(&[name.as_str()])
            })
            .map(|name| FieldProblem {
                field: format!("{}.{name}", self.kind),
                detail: "can't be changed here".to_owned(),
            })
            .collect();
        if fields.is_empty() {
            return Ok(());
        }
        let mut problem = not_supported("the update changes what can't be changed here");
        problem.fields = fields;
        Err(problem)
    }

    /// The resource that was sent, with these members only.
    pub(super) fn with_only(&self, names: &[&str]) -> Value {
        only(self.sent, names)
    }

    /// The one that stands, with these members only.
    pub(super) fn before(&self, names: &[&str]) -> Value {
        only(&self.stands, names)
    }

    /// The same, read: those that may be otherwise, and beside them those that a reader needs.
    pub(super) fn read<T>(
        &self,
        free: &[&[&str]],
        beside: &[&str],
        read: fn(&Value) -> Result<T, Vec<Issue>>,
    ) -> Result<T, Problem> {
        let mut names = free.concat();
        self.only(&names)?;
        names.extend(beside);
        read(&self.with_only(&names)).map_err(super::refused)
    }

    /// The words of a concept that says why.
    pub(super) fn reason_in(&self, name: &str) -> Result<Option<String>, Problem> {
        let words = self.sent[name]["text"]
            .as_str()
            .map(|words| words.trim().to_owned())
            .filter(|words| !words.is_empty());
        super::short(format!("{}.{name}", self.kind), words)
    }

    /// The code of a status concept.
    pub(super) fn code_sent(&self, name: &str) -> Option<&str> {
        self.sent[name]["coding"][0]["code"].as_str()
    }

    /// The notes that were added, as a reason. Those that stand must stay.
    pub(super) fn reason_in_notes(&self) -> Result<Option<String>, Problem> {
        let notes = |value: &Value| -> Vec<String> {
            value["note"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|note| note["text"].as_str().map(str::to_owned))
                .collect()
        };
        let (sent, stands) = (notes(self.sent), notes(&self.stands));
        if stands.iter().any(|note| !sent.contains(note)) {
            return Err(self.one_at_a_time());
        }
        let added: Vec<String> = sent
            .into_iter()
            .filter(|note| !stands.contains(note) && !note.trim().is_empty())
            .collect();
        let reason = (!added.is_empty()).then(|| added.join("; "));
        super::short(format!("{}.note", self.kind), reason)
    }

    /// Two commands would be needed, and could not be kept together.
    pub(super) fn one_at_a_time(&self) -> Problem {
        not_supported(format!(
            "an update of {} changes its state or its content, not both: send two updates",
            self.kind
        ))
    }

    /// The state can't become what is asked for.
    pub(super) fn conflict(&self, words: impl Into<String>) -> Problem {
        Problem::new(StatusCode::CONFLICT, "fhir.status_conflict", words)
    }
}

fn only(json: &Value, names: &[&str]) -> Value {
    let mut json = json.clone();
    if let Some(members) = json.as_object_mut() {
        members.retain(|name, _| name == "resourceType" || names.contains(&name.as_str()));
    }
    json
}
