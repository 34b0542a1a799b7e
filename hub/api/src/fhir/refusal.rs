//! Every error below `/fhir` as an OperationOutcome.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hub_fhir::{Issue, MEDIA_TYPE, Outcome, Severity};
use serde_json::Value;

use crate::problem::Problem;

/// True when whoever asks for this path speaks FHIR.
pub(crate) fn speaks(path: &str) -> bool {
    path == "/fhir" || path.starts_with("/fhir/")
}

/// The whole response, as [`Problem::render`] makes it for REST.
pub(crate) fn outcome(problem: &Problem, trace_id: &str) -> Response {
    let mut response = (
        problem.status,
        [
            (header::CONTENT_TYPE, MEDIA_TYPE),
            (header::CACHE_CONTROL, "no-store"),
        ],
        hub_fhir::to_bytes(&document(problem, Some(trace_id))),
    )
        .into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if problem.status == StatusCode::UNAUTHORIZED {
        headers.insert(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"hub\""),
        );
    }
    if let Some(seconds) = problem.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// The problem in FHIR's words: one issue for each field that is wrong, or one for the whole.
pub(crate) fn document(problem: &Problem, trace_id: Option<&str>) -> Value {
    let code = issue_code(problem);
    let severity = if problem.status == StatusCode::INTERNAL_SERVER_ERROR {
        Severity::Fatal
    } else {
        Severity::Error
    };
    let whole = |words: &str, expression: Option<String>| Issue {
        severity,
        code,
        hub_code: Some(problem.code.clone().into_owned()),
        words: words.to_owned(),
        diagnostics: trace_id.map(|trace| format!("trace {trace}")),
        expression,
    };
    let issues = if problem.fields.is_empty() {
        vec![whole(&problem.detail, None)]
    } else {
        problem
            .fields
            .iter()
            .map(|field| {
                whole(
                    &format!("{}: {}", field.field, field.detail),
                    // a name with a dot is an element, any other one a parameter
                    Some(field.field.clone()),
                )
            })
            .collect()
    };
    let others = others(problem);
    Outcome {
        issues: issues.into_iter().chain(others).collect(),
    }
    .json()
}

/// Who is meant perhaps, and what could be had instead.
fn others(problem: &Problem) -> Vec<Issue> {
    let Some(extension) = &problem.extension else {
        return Vec::new();
    };
    let issue = |code: &'static str, words: String| Issue {
        severity: Severity::Information,
        hub_code: Some(problem.code.clone().into_owned()),
        ..Issue::error(code, words)
    };
    let alike = extension.lookalikes.iter().map(|one| {
        issue(
            "duplicate",
            format!(
                "Patient/{} may be this person: {} of 100, {}",
                one.patient_id,
                one.score,
                one.reasons.join(", ")
            ),
        )
    });
    let free = extension.alternatives.iter().map(|one| {
        issue(
            "informational",
            format!(
                "Slot/{} is free: from {} to {}",
                one.slot_id, one.starts_at, one.ends_at
            ),
        )
    });
    alike.chain(free).collect()
}

/// Value set issue-type.
fn issue_code(problem: &Problem) -> &'static str {
    if problem.code == "fhir.too_costly" {
        return "too-costly";
    }
    if problem.code == "fhir.not_supported" {
        return "not-supported";
    }
    if problem.code == "fhir.several_fit" {
        return "multiple-matches";
    }
    if problem.code == "patients.likely_duplicate" {
        return "duplicate";
    }
    match problem.status.as_u16() {
        400 => "invalid",
        401 => "login",
        402 | 403 => "forbidden",
        404 => "not-found",
        405 | 406 | 415 | 501 => "not-supported",
        409 | 412 => "conflict",
        410 => "deleted",
        413 => "too-long",
        422 => "processing",
        429 => "throttled",
        503 | 504 => "transient",
        _ => "exception",
    }
}
