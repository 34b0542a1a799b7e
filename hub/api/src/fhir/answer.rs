//! Answers: one resource with its version, or a bundle.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hub_fhir::{MEDIA_TYPE, Resource};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::call::Call;
use super::table::Wired;
use crate::problem::Problem;

/// RFC 9110 §5.6.7, IMF-fixdate.
const HTTP_DATE: &[BorrowedFormatItem<'_>] = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

/// JSON of FHIR.
pub(crate) fn json(status: StatusCode, body: &Value) -> Response {
    (
        status,
        [
            (header::CONTENT_TYPE, MEDIA_TYPE),
            (header::CACHE_CONTROL, "no-store"),
        ],
        hub_fhir::to_bytes(body),
    )
        .into_response()
}

/// `W/"3-1f…"`
pub(crate) fn etag(version: &str) -> String {
    format!("W/\"{version}\"")
}

/// Puts version and time of a resource into the head.
pub(crate) fn version_of(resource: &Resource, headers: &mut HeaderMap) {
    if let Ok(value) = HeaderValue::from_str(&etag(&resource.meta.version)) {
        headers.insert(header::ETAG, value);
    }
    let date = resource
        .meta
        .updated
        .to_offset(time::UtcOffset::UTC)
        .format(HTTP_DATE)
        .ok()
        .and_then(|text| HeaderValue::from_str(&text).ok());
    if let Some(date) = date {
        headers.insert(header::LAST_MODIFIED, date);
    }
}

/// One resource, or 304 when the caller has it (FHIR R4 §3.1.0.3 conditional read).
pub(crate) fn one(call: &Call, wired: &Wired, resource: &Resource) -> Result<Response, Problem> {
    let mut response = if has_it(call, wired, resource) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let elements = super::asked::elements(&call.query);
        let shown = match &elements {
            Some(elements) => resource.only(elements, wired.mandatory),
            None => resource.clone(),
        };
        sound(&shown)?;
        json(StatusCode::OK, shown.json())
    };
    version_of(resource, response.headers_mut());
    Ok(response)
}

/// What would not pass a client's check is not sent: that it can't is a fault of ours, to be seen and mended.
pub(crate) fn sound(resource: &Resource) -> Result<(), Problem> {
    resource.check().map_err(|unfit| {
        metrics::counter!("hub_fhir_unfit_total", "type" => resource.kind.as_str()).increment(1);
        tracing::error!(resource = %resource.reference(), %unfit, "a resource is not valid FHIR");
        Problem::internal()
    })
}

fn has_it(call: &Call, wired: &Wired, resource: &Resource) -> bool {
    if let Some(tags) = call.header(header::IF_NONE_MATCH) {
        return tags.split(',').any(|tag| {
            let tag = tag.trim();
            tag == "*" || tag.trim_start_matches("W/").trim_matches('"') == resource.meta.version
        });
    }
    // where a change may leave the time as it was, only the tag tells
    if !wired.dated {
        return false;
    }
    call.header(header::IF_MODIFIED_SINCE)
        .and_then(|text| time::PrimitiveDateTime::parse(text, HTTP_DATE).ok())
        .is_some_and(|since| whole_second(resource.meta.updated) <= since.assume_utc())
}

fn whole_second(at: OffsetDateTime) -> OffsetDateTime {
    at.replace_nanosecond(0).unwrap_or(at)
}
