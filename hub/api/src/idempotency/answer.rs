//! An answer as it is kept for its key, and made again from what was kept.

use axum::body::Bytes;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::auth::permission::PERMISSIONS;
use crate::looks::Recorded;
use crate::problem::{Alternative, Extension, FieldProblem, Lookalike, Problem};

/// An answer, as it is sealed.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    /// base64
    pub(super) body: String,
    /// It is written anew, with the trace of who asks now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) refusal: Option<Refusal>,
    /// What was put on record when it was shown: so it is each time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) looks: Vec<Recorded>,
    /// The answer was too large to be kept, or is none that is kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) gone: bool,
}

impl Answer {
    /// As it was but for its trace.
    pub(super) fn rebuilt(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if let Some(refusal) = self.refusal {
            return refusal.problem(status).into_response();
        }
        let body: Bytes = STANDARD.decode(self.body).unwrap_or_default().into();
        let mut response = (status, body).into_response();
        response.headers_mut().remove(header::CONTENT_TYPE);
        for (name, value) in self.headers {
            if let (Ok(name), Ok(value)) = (
                HeaderName::try_from(name.as_str()),
                HeaderValue::from_str(&value),
            ) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// A refusal with all that its problem had. Entries of the day before an update have a list of code and detail: what they lack is
/// empty.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Refusal {
    code: String,
    detail: String,
    fields: Vec<FieldProblem>,
    permission: Option<String>,
    retry_after: Option<u64>,
    alternatives: Vec<Alternative>,
    lookalikes: Vec<Lookalike>,
}

impl Refusal {
    pub(super) fn of(problem: &Problem) -> Self {
        let Extension {
            alternatives,
            lookalikes,
        } = problem.extension.as_deref().cloned().unwrap_or_default();
        Self {
            code: problem.code.to_string(),
            detail: problem.detail.clone(),
            fields: problem.fields.clone(),
            permission: problem.permission.map(str::to_owned),
            retry_after: problem.retry_after,
            alternatives,
            lookalikes,
        }
    }

    fn problem(self, status: StatusCode) -> Problem {
        let mut problem = Problem::new(status, self.code, self.detail);
        problem.fields = self.fields;
        problem.permission = self
            .permission
            .and_then(|held| PERMISSIONS.iter().copied().find(|name| *name == held));
        problem.retry_after = self.retry_after;
        if !(self.alternatives.is_empty() && self.lookalikes.is_empty()) {
            problem.extension = Some(Box::new(Extension {
                alternatives: self.alternatives,
                lookalikes: self.lookalikes,
            }));
        }
        problem
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_refusal_is_kept_with_all_that_it_says_and_one_of_before_is_read() {
        let mut problem = Problem::forbidden("patients:read").alike(vec![Lookalike {
            patient_id: Uuid::from_u128(1),
            score: 90,
            reasons: vec!["same_mobile".to_owned()],
        }]);
        problem.retry_after = Some(7);
        problem.fields.push(FieldProblem {
            field: "limit".to_owned(),
            detail: "is wrong".to_owned(),
        });
        let kept = serde_json::to_string(&Refusal::of(&problem)).unwrap();
        let read: Refusal = serde_json::from_str(&kept).unwrap();
        let again = read.problem(problem.status);
        let told = |problem: &Problem| {
            let document = problem.document("/x", "1");
            (serde_json::to_value(document).unwrap(), problem.retry_after)
        };
        assert_eq!(told(&again), told(&problem));
        let before: Refusal = serde_json::from_str(r#"["users.stale","read it again"]"#).unwrap();
        assert_eq!(
            (before.code.as_str(), before.lookalikes),
            ("users.stale", Vec::new())
        );
    }
}
