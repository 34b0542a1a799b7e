//! What is the same for every operation and is no handler's affair: a query has no names but those that are described, `fields`
//! narrows an answer to members, a version that has passed is 412, and what is going to end says so.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use crate::operations::{self, Deprecated, Operation};
use crate::problem::Problem;

/// The parameter that every read has.
pub(crate) const FIELDS: &str = "fields";

/// The layer around all described operations.
pub(crate) async fn keep(mut request: Request, next: Next) -> Response {
    let Some(operation) = operations::of(&request) else {
        return next.run(request).await;
    };
    // the answer to a HEAD has no members
    let reads = request.method() == Method::GET;
    let conditional = request.headers().contains_key(header::IF_MATCH);
    let fields = match look_at_query(operation, &mut request) {
        Ok(fields) => fields,
        Err(problem) => return problem.into_response(),
    };
    let mut response = next.run(request).await;
    if conditional {
        failed_precondition(&mut response);
    }
    if let Some(fields) = fields.filter(|_| reads) {
        response = narrowed(response, &fields).await;
    }
    if let Some(deprecated) = &operation.deprecated {
        announce(&mut response, deprecated);
    }
    response
}

/// Says, in every answer, since when it is deprecated and until when it is there.
fn announce(response: &mut Response, deprecated: &Deprecated) {
    for (name, value) in [
        ("deprecation", deprecated.since),
        ("sunset", deprecated.sunset),
        ("link", "</api/docs>; rel=\"deprecation\""),
    ] {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().append(name, value);
        }
    }
}

/// Refuses names that are not described, and takes `fields` out: handlers know nothing of it.
fn look_at_query(
    operation: &Operation,
    request: &mut Request,
) -> Result<Option<Vec<String>>, Problem> {
    let Some(query) = request.uri().query().filter(|query| !query.is_empty()) else {
        return Ok(None);
    };
    let mut rest = form_urlencoded::Serializer::new(String::new());
    let mut fields: Option<String> = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if !operation.query.contains(&*name) {
            return Err(Problem::invalid(
                name.replace('\0', ""),
                "this operation has no such parameter",
            ));
        }
        if name != FIELDS {
            rest.append_pair(&name, &value);
        } else if fields.replace(value.into_owned()).is_some() {
            return Err(Problem::invalid(FIELDS, "stands twice"));
        }
    }
    let Some(fields) = fields else {
        return Ok(None);
    };
    let fields: Vec<String> = fields
        .split(',')
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    if let Some(other) = fields
        .iter()
        .find(|name| !operation.members.contains(name.as_str()))
    {
        let known: Vec<&str> = operation.members.iter().copied().collect();
        let other: String = other.chars().filter(|c| !c.is_control()).take(80).collect();
        return Err(Problem::invalid(
            FIELDS,
            format!("`{other}` is no member; there are: {}", known.join(", ")),
        ));
    }
    let path = request.uri().path();
    let rest = rest.finish();
    let uri = if rest.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{rest}")
    };
    *request.uri_mut() = uri.parse::<Uri>().map_err(|_| Problem::internal())?;
    Ok(Some(fields).filter(|fields| !fields.is_empty()))
}

/// A refusal because of the version that `If-Match` named is 412 (RFC 9110 §13.1.1), whatever it is elsewhere.
fn failed_precondition(response: &mut Response) {
    let stale = response
        .extensions()
        .get::<Problem>()
        .is_some_and(|problem| {
            let last = problem.code.rsplit('.').next().unwrap_or_default();
            problem.status == StatusCode::CONFLICT && (last == "stale" || last.ends_with("_stale"))
        });
    if stale && let Some(problem) = response.extensions_mut().get_mut::<Problem>() {
        problem.status = StatusCode::PRECONDITION_FAILED;
        *response.status_mut() = StatusCode::PRECONDITION_FAILED;
    }
}

/// The answer with these members only; of a page, its items.
async fn narrowed(response: Response, fields: &[String]) -> Response {
    let is_json = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if response.status() != StatusCode::OK || !is_json {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // bodies are made whole before they are sent, and a page has a bound
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        return Problem::internal().into_response();
    };
    let narrow = narrow(&bytes, fields);
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(narrow))
}

fn narrow(bytes: &Bytes, fields: &[String]) -> Vec<u8> {
    let Ok(mut value) = serde_json::from_slice::<Value>(bytes) else {
        return bytes.to_vec();
    };
    let keep = |value: &mut Value| {
        if let Some(object) = value.as_object_mut() {
            object.retain(|name, _| fields.iter().any(|field| field == name));
        }
    };
    match value.get_mut("items").and_then(Value::as_array_mut) {
        Some(items) => items.iter_mut().for_each(keep),
        None => keep(&mut value),
    }
    serde_json::to_vec(&value).unwrap_or_else(|_| bytes.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deprecated_operation_says_so_in_its_answers_and_keeps_its_own_links() {
        let mut response = ([(header::LINK, "</next>; rel=\"next\"")], "").into_response();
        let deprecated = Deprecated {
            since: "@1767225600",
            sunset: "Wed, 01 Jul 2026 00:00:00 GMT",
        };
        announce(&mut response, &deprecated);
        assert_eq!(response.headers()["deprecation"], "@1767225600");
        assert_eq!(
            response.headers()["sunset"],
            "Wed, 01 Jul 2026 00:00:00 GMT"
        );
        assert_eq!(response.headers().get_all(header::LINK).iter().count(), 2);
    }

    #[test]
    fn a_page_keeps_what_is_its_own_and_other_answers_are_cut_whole() {
        let fields = ["id".to_owned()];
        let cut = |text: &'static str| {
            String::from_utf8(narrow(&Bytes::from_static(text.as_bytes()), &fields)).unwrap()
        };
        assert_eq!(
            cut(r#"{"items":[{"id":1,"x":2},{"x":3}],"next_cursor":"c"}"#),
            r#"{"items":[{"id":1},{}],"next_cursor":"c"}"#
        );
        assert_eq!(cut(r#"{"id":1,"x":{"id":2}}"#), r#"{"id":1}"#);
        assert_eq!(cut("[1]"), "[1]");
    }
}
