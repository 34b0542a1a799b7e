//! `POST [base]`: a bundle of requests, each answered as if it had come alone.
//!
//! A batch is what it says. A transaction must be all or nothing, and two commands to workers can't be: so one is taken only
//! where it can be kept, which is reads alone, or one write alone. Any other is refused before anything is done.

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts as _, MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use hub_fhir::{Bundle, BundleKind, Entry, MEDIA_TYPE};
use serde_json::Value;
use time::OffsetDateTime;
use tower::ServiceExt as _;

use super::call::{self, Call};
use super::writes::IF_NONE_EXIST;
use super::{answer, refusal};
use crate::auth::permission::SignedIn;
use crate::caller;
use crate::looks::on_record;
use crate::problem::Problem;
use crate::state::ApiState;

/// Entries of one bundle.
const MOST: usize = 100;

/// One request of a bundle.
struct Asked {
    method: Method,
    url: String,
    headers: Vec<(header::HeaderName, String)>,
    resource: Option<Value>,
}

pub(crate) async fn run(
    State(state): State<ApiState>,
    request: Request,
) -> Result<Response, Problem> {
    let (mut call, body) = Call::begin(request).await?;
    let SignedIn(who) = SignedIn::from_request_parts(&mut call.parts, &state).await?;
    let json = call::json(body).await?;
    if json["resourceType"] != "Bundle" {
        return Err(Problem::invalid("resourceType", "must be Bundle"));
    }
    let kind = match json["type"].as_str() {
        Some("batch") => BundleKind::BatchResponse,
        Some("transaction") => BundleKind::TransactionResponse,
        _ => {
            return Err(Problem::invalid(
                "Bundle.type",
                "must be batch or transaction",
            ));
        }
    };
    let entries = json["entry"].as_array().map_or(&[][..], Vec::as_slice);
    if entries.len() > MOST {
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "request.too_large",
            format!("a bundle may have {MOST} entries"),
        ));
    }
    let asked = entries
        .iter()
        .enumerate()
        .map(|(index, entry)| read(&call, index, entry))
        .collect::<Result<Vec<Asked>, Problem>>()?;
    let is_transaction = kind == BundleKind::TransactionResponse;
    if is_transaction {
        keepable(&asked)?;
    }
    let mut answers = Vec::with_capacity(asked.len());
    for (index, one) in asked.into_iter().enumerate() {
        // the bundle was counted when it came: that is its first entry
        let counted = match index {
            0 => Ok(()),
            _ => caller::one_more(&state, &who).map(drop),
        };
        let response = match counted {
            Ok(()) => ask(&state, &call, one).await?,
            Err(refused) => refused.problem().into_response(),
        };
        let fine = response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED;
        if is_transaction && !fine {
            // nothing was done: reads change nothing, and a write stands alone
            return Err(undone(index, &response));
        }
        answers.push(answered(&call, response).await?);
    }
    let bundle = Bundle {
        kind,
        at: OffsetDateTime::now_utc(),
        total: None,
        links: Vec::new(),
        entries: answers,
    };
    Ok(answer::json(StatusCode::OK, &bundle.json()))
}

fn read(call: &Call, index: usize, entry: &Value) -> Result<Asked, Problem> {
    let place = |name: &str| format!("Bundle.entry[{index}].request{name}");
    let request = &entry["request"];
    let method = match request["method"].as_str() {
        Some("GET") => Method::GET,
        Some("HEAD") => Method::HEAD,
        Some("POST") => Method::POST,
        Some("PUT") => Method::PUT,
        Some("PATCH") => Method::PATCH,
        Some("DELETE") => Method::DELETE,
        _ => {
            return Err(Problem::invalid(
                place(".method"),
                "must be a method of FHIR",
            ));
        }
    };
    let url = request["url"].as_str().unwrap_or_default();
    let path = url
        .strip_prefix(call.base.as_str())
        .unwrap_or(url)
        .trim_start_matches('/');
    // an address is ours and below the façade, or none
    let strange = path.is_empty()
        || path.contains("://")
        || path.split(['/', '?']).any(|part| part == "..")
        || path.chars().any(|c| c.is_control() || c.is_whitespace());
    if strange {
        return Err(Problem::invalid(
            place(".url"),
            "must be an address of this server, as Patient/[id]",
        ));
    }
    // with any other request it would be a condition that nobody looks at
    let unless = &request["ifNoneExist"];
    let creates = method == Method::POST && !path.contains('/');
    let fits = unless.is_null() || (creates && unless.is_string());
    if !fits {
        return Err(Problem::invalid(
            place(".ifNoneExist"),
            "is a search, as identifier=[system]|[value], and goes with a POST to [type]",
        ));
    }
    let mut headers = Vec::new();
    for (name, header) in [
        ("ifMatch", header::IF_MATCH),
        ("ifNoneMatch", header::IF_NONE_MATCH),
        ("ifNoneExist", IF_NONE_EXIST),
    ] {
        if let Some(value) = request[name].as_str() {
            headers.push((header, value.to_owned()));
        }
    }
    Ok(Asked {
        method,
        url: path.to_owned(),
        headers,
        resource: Some(entry["resource"].clone()).filter(|resource| !resource.is_null()),
    })
}

/// Reads alone, or one write alone.
fn keepable(asked: &[Asked]) -> Result<(), Problem> {
    let is_read = |one: &Asked| {
        matches!(one.method, Method::GET | Method::HEAD)
            || (one.method == Method::POST
                && one
                    .url
                    .split('?')
                    .next()
                    .is_some_and(|path| path.ends_with("/_search")))
    };
    let writes = asked.iter().filter(|one| !is_read(one)).count();
    if writes == 0 || (writes == 1 && asked.len() == 1) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "fhir.not_supported",
        "this transaction could not be kept, so nothing was done: one may have reads alone, or one write alone; a batch takes \
         them all, each for itself",
    ))
}

/// The same router as for requests that come alone; the bundle's own rights and trace. Each entry is a look of its own: the trail
/// names its path, its permission and whose data it showed.
async fn ask(state: &ApiState, call: &Call, one: Asked) -> Result<Response, Problem> {
    let body = one
        .resource
        .as_ref()
        .map_or_else(Body::empty, |resource| Body::from(resource.to_string()));
    let mut request = Request::builder()
        .method(one.method)
        .uri(format!("/fhir/{}", one.url))
        .body(body)
        .map_err(|_| Problem::invalid("Bundle.entry.request.url", "can't be read"))?;
    *request.extensions_mut() = call.parts.extensions.clone();
    // else the entry's route would be put behind the bundle's
    request.extensions_mut().remove::<MatchedPath>();
    let headers = request.headers_mut();
    for name in [
        header::AUTHORIZATION,
        header::HOST,
        header::HeaderName::from_static("x-forwarded-host"),
        header::HeaderName::from_static("x-forwarded-proto"),
        header::HeaderName::from_static("prefer"),
    ] {
        if let Some(value) = call.parts.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    for (name, value) in one.headers {
        let value = HeaderValue::from_str(&value)
            .map_err(|_| Problem::invalid("Bundle.entry.request", "a condition can't be read"))?;
        headers.insert(name, value);
    }
    let resources = super::resources(super::BATCH_BYTES)
        .method_not_allowed_fallback(crate::observe::wrong_method)
        .fallback(super::unknown_kind);
    let router = axum::Router::new()
        .nest("/fhir", resources)
        .fallback(super::unknown_kind)
        .layer(from_fn_with_state(state.clone(), on_record))
        .with_state(state.clone());
    match router.oneshot(request).await {
        Ok(response) => Ok(response),
        Err(never) => match never {},
    }
}

/// The problem of the entry at fault, as the problem of the whole.
fn undone(index: usize, response: &Response) -> Problem {
    let status = response.status();
    let mut problem = response
        .extensions()
        .get::<Problem>()
        .cloned()
        .unwrap_or_else(|| Problem::new(status, "fhir.entry", "an entry could not be answered"));
    problem.detail = format!(
        "Bundle.entry[{index}]: {}; nothing was done",
        problem.detail
    );
    problem
}

async fn answered(call: &Call, mut response: Response) -> Result<Entry, Problem> {
    let mut entry = head_of(&response);
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        entry.outcome = Some(refusal::document(&problem, Some(&call.trace.trace_id)));
        return Ok(entry);
    }
    let bytes = to_bytes(response.into_body(), usize::MAX)
        .await
        .map_err(|_| Problem::internal())?;
    if bytes.is_empty() {
        return Ok(entry);
    }
    let resource: Value = serde_json::from_slice(&bytes).map_err(|_| Problem::internal())?;
    let whole = hub_fhir::kept(&bytes);
    if resource["resourceType"] == "OperationOutcome" {
        entry.outcome = whole;
        return Ok(entry);
    }
    if let (Some(kind), Some(id)) = (resource["resourceType"].as_str(), resource["id"].as_str()) {
        entry.full_url = Some(format!("{}/{kind}/{id}", call.base));
    }
    entry.resource = whole;
    Ok(entry)
}

fn head_of(response: &Response) -> Entry {
    let text = |name: header::HeaderName| {
        response
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    let status = response.status();
    Entry {
        status: Some(format!(
            "{} {}",
            status.as_u16(),
            status.canonical_reason().unwrap_or_default()
        )),
        location: text(header::LOCATION),
        etag: text(header::ETAG),
        ..Entry::default()
    }
}
