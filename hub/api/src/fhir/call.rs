//! A request to the façade: what form of answer it wants, and where the façade is from its point of view.

use axum::body::Bytes;
use axum::extract::{FromRequest as _, FromRequestParts as _, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use hub_fhir::{Kind, MEDIA_TYPE};
use serde_json::Value;

use crate::auth::identity::Identity;
use crate::auth::permission::{
    AllergiesWrite, AppointmentsBook, AppointmentsRead, AuditRead, Can, CanSomewhere, ChartsRead,
    ConditionsWrite, DocumentsWrite, EncountersManage, EncountersOpen, EncountersRead, OrdersPlace,
    OrdersRead, PatientsRead, PatientsWrite, PrescriptionsWrite, ResultsRead, SchedulesRead,
    StaysManage, UsersRead, VitalsRead, VitalsRecord,
};
use crate::extract::unreadable;
use crate::nul;
use crate::problem::Problem;
use crate::state::ApiState;
use crate::trace::Trace;

/// The proof that a permission asks for, as whoever has it.
macro_rules! who {
    ($call:ident, $state:ident, $proof:ident<$permission:ident>) => {
        $proof::<$permission>::from_request_parts(&mut $call.parts, $state)
            .await
            .map(|can| can.who)
    };
}

/// The same of either permission; that the first is missing is what is said.
macro_rules! either {
    ($call:ident, $state:ident, $first:ident, $second:ident) => {
        match who!($call, $state, CanSomewhere<$first>) {
            Err(problem) if problem.code == "auth.permission" => {
                who!($call, $state, CanSomewhere<$second>).map_err(|_| problem)
            }
            other => other,
        }
    };
}

/// A request whose form of answer is agreed on.
pub(crate) struct Call {
    pub(crate) parts: Parts,
    pub(crate) trace: Trace,
    /// `https://hub.example/fhir`
    pub(crate) base: String,
    /// Unknown parameters are errors (`Prefer: handling=strict`).
    pub(crate) strict: bool,
    /// Pairs of the query, decoded.
    pub(crate) query: Vec<(String, String)>,
}

impl Call {
    /// Reads head and query, and keeps the body for [`Call::json`] or [`Call::form`].
    pub(crate) async fn begin(request: Request) -> Result<(Self, Request), Problem> {
        let (mut parts, body) = request.into_parts();
        let query = pairs(parts.uri.query().unwrap_or_default().as_bytes())?;
        acceptable(&parts.headers, &query)?;
        let trace = Trace::from_request_parts(&mut parts, &()).await?;
        let mut again = Request::new(body);
        *again.headers_mut() = parts.headers.clone();
        *again.extensions_mut() = parts.extensions.clone();
        Ok((
            Self {
                base: base(&parts.headers),
                strict: prefers(&parts.headers, "handling=strict"),
                trace,
                query,
                parts,
            },
            again,
        ))
    }

    /// Who asks, once it is clear that he may see resources of this type somewhere.
    pub(crate) async fn enter(
        &mut self,
        state: &ApiState,
        kind: Kind,
    ) -> Result<Identity, Problem> {
        match kind {
            Kind::Patient | Kind::Organization | Kind::Provenance => {
                who!(self, state, CanSomewhere<PatientsRead>)
            }
            Kind::Encounter | Kind::Location => who!(self, state, CanSomewhere<EncountersRead>),
            Kind::ServiceRequest | Kind::Specimen => who!(self, state, CanSomewhere<OrdersRead>),
            Kind::DiagnosticReport => who!(self, state, CanSomewhere<ResultsRead>),
            Kind::Observation => either!(self, state, ResultsRead, VitalsRead),
            Kind::Condition
            | Kind::AllergyIntolerance
            | Kind::MedicationRequest
            | Kind::DocumentReference => who!(self, state, CanSomewhere<ChartsRead>),
            Kind::Appointment => who!(self, state, CanSomewhere<AppointmentsRead>),
            Kind::Schedule | Kind::Slot => who!(self, state, CanSomewhere<SchedulesRead>),
            Kind::Practitioner => who!(self, state, Can<UsersRead>),
            Kind::AuditEvent => who!(self, state, Can<AuditRead>),
        }
    }

    /// Who asks, once it is clear that he may create resources of this type somewhere.
    pub(crate) async fn enter_to_create(
        &mut self,
        state: &ApiState,
        kind: Kind,
    ) -> Result<Identity, Problem> {
        match kind {
            Kind::Encounter => who!(self, state, CanSomewhere<EncountersOpen>),
            kind => self.enter_to_write(state, kind).await,
        }
    }

    /// The same of changing them.
    pub(crate) async fn enter_to_update(
        &mut self,
        state: &ApiState,
        kind: Kind,
    ) -> Result<Identity, Problem> {
        match kind {
            // what he may do with it, the change itself asks
            Kind::Encounter => either!(self, state, EncountersManage, StaysManage),
            kind => self.enter_to_write(state, kind).await,
        }
    }

    async fn enter_to_write(&mut self, state: &ApiState, kind: Kind) -> Result<Identity, Problem> {
        match kind {
            Kind::Patient => who!(self, state, Can<PatientsWrite>),
            Kind::ServiceRequest => who!(self, state, CanSomewhere<OrdersPlace>),
            Kind::Condition => who!(self, state, CanSomewhere<ConditionsWrite>),
            Kind::AllergyIntolerance => who!(self, state, CanSomewhere<AllergiesWrite>),
            Kind::MedicationRequest => who!(self, state, CanSomewhere<PrescriptionsWrite>),
            Kind::Appointment => who!(self, state, CanSomewhere<AppointmentsBook>),
            Kind::DocumentReference => who!(self, state, CanSomewhere<DocumentsWrite>),
            Kind::Observation => who!(self, state, CanSomewhere<VitalsRecord>),
            _ => Err(Problem::unknown(
                "fhir.unknown_type",
                "this type is not written here",
            )),
        }
    }

    /// True when the header `Prefer` asks for it.
    pub(crate) fn prefers(&self, what: &str) -> bool {
        prefers(&self.parts.headers, what)
    }

    pub(crate) fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    }
}

/// The body as JSON; no more than the route's limit is read.
pub(crate) async fn json(request: Request) -> Result<Value, Problem> {
    let media = media_type(request.headers());
    if !matches!(
        media.as_str(),
        "application/fhir+json" | "application/json" | "application/json+fhir"
    ) {
        return Err(wrong_media(MEDIA_TYPE));
    }
    let bytes = Bytes::from_request(request, &())
        .await
        .map_err(|rejection| unreadable(&rejection))?;
    let value: Value = serde_json::from_slice(&bytes)
        .map_err(|error| Problem::invalid("body", format!("is no JSON: {}", place(&error))))?;
    if nul::within(&value).is_some() {
        return Err(Problem::invalid("body", "holds a NUL character"));
    }
    Ok(value)
}

/// The pairs of a form.
pub(crate) async fn form(request: Request) -> Result<Vec<(String, String)>, Problem> {
    let media = media_type(request.headers());
    let bytes = Bytes::from_request(request, &())
        .await
        .map_err(|rejection| unreadable(&rejection))?;
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    if media != "application/x-www-form-urlencoded" {
        return Err(wrong_media("application/x-www-form-urlencoded"));
    }
    pairs(&bytes)
}

fn wrong_media(wanted: &str) -> Problem {
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "request.media_type",
        format!("send content-type: {wanted}"),
    )
}

/// Without its parameters, in lower case. FHIR of another version is another type.
fn media_type(headers: &HeaderMap) -> String {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_ascii_lowercase();
    let mut parts = value.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default().to_owned();
    match parts.find_map(|part| part.strip_prefix("fhirversion=")) {
        Some(version) if !speaks_version(version) => format!("{media}; fhirversion={version}"),
        _ => media,
    }
}

fn speaks_version(version: &str) -> bool {
    matches!(version.trim_matches('"'), "4.0" | "4.0.1")
}

fn pairs(text: &[u8]) -> Result<Vec<(String, String)>, Problem> {
    let pairs: Vec<(String, String)> = form_urlencoded::parse(text)
        .into_owned()
        // an empty parameter is one that a form left empty
        .filter(|(_, value)| !value.is_empty())
        .collect();
    match pairs
        .iter()
        .find(|(name, value)| name.contains('\0') || value.contains('\0'))
    {
        Some((name, _)) => Err(Problem::invalid(
            name.replace('\0', ""),
            "holds a NUL character",
        )),
        None => Ok(pairs),
    }
}

/// Where, and never what: the body may name a patient.
fn place(error: &serde_json::Error) -> String {
    format!("line {}, column {}", error.line(), error.column())
}

fn prefers(headers: &HeaderMap, what: &str) -> bool {
    headers.get_all("prefer").iter().any(|value| {
        value.to_str().is_ok_and(|text| {
            text.split([',', ';'])
                .any(|part| part.trim().eq_ignore_ascii_case(what))
        })
    })
}

/// JSON is the one form there is; `_format` outweighs the header (FHIR R4 §3.1.0.1.11).
fn acceptable(headers: &HeaderMap, query: &[(String, String)]) -> Result<(), Problem> {
    let format = query
        .iter()
        .find(|(name, _)| name == "_format")
        .map(|(_, value)| value.as_str());
    let fine = match format {
        Some(format) => is_json(format),
        None => {
            let accepts: Vec<&str> = headers
                .get_all(header::ACCEPT)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .collect();
            accepts.is_empty() || accepts.iter().flat_map(|line| line.split(',')).any(is_json)
        }
    };
    if fine {
        Ok(())
    } else {
        Err(Problem::new(
            StatusCode::NOT_ACCEPTABLE,
            "request.not_acceptable",
            format!("resources are sent as {MEDIA_TYPE}"),
        ))
    }
}

fn is_json(media: &str) -> bool {
    // a `+` that was not escaped in `_format` arrives as a blank
    let media = media
        .trim()
        .to_ascii_lowercase()
        .replace("fhir json", "fhir+json");
    let mut parts = media.split(';').map(str::trim);
    let known = matches!(
        parts.next(),
        Some(
            "json"
                | "application/json"
                | "application/fhir+json"
                | "application/json+fhir"
                | "text/json"
                | "application/*"
                | "*/*"
        )
    );
    known
        && parts.all(|part| {
            part.strip_prefix("fhirversion=").is_none_or(speaks_version)
                && !matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
        })
}

/// Where the caller found us, as far as it can be told without believing what could break a link.
fn base(headers: &HeaderMap) -> String {
    let plain = |text: &&str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b".-:[]_".contains(&b))
    };
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let host = header("x-forwarded-host")
        .filter(plain)
        .or_else(|| header("host").filter(plain))
        .unwrap_or("localhost");
    let scheme = match header("x-forwarded-proto") {
        Some("https") => "https",
        _ => "http",
    };
    format!("{scheme}://{host}/fhir")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_of_r4_is_acceptable_and_nothing_else() {
        for (media, fine) in [
            ("json", true),
            ("application/fhir+json", true),
            ("application/fhir json", true),
            ("application/fhir+json; fhirVersion=4.0", true),
            ("application/fhir+json; fhirVersion=4.3", false),
            ("application/fhir+json;q=0", false),
            ("*/*;q=0.1", true),
            ("application/fhir+xml", false),
            ("xml", false),
            ("text/turtle", false),
        ] {
            assert_eq!(is_json(media), fine, "{media}");
        }
    }

    #[test]
    fn a_host_that_would_break_a_link_is_not_believed() {
        let mut headers = HeaderMap::new();
        headers.insert("host", "hub.example:8080".parse().unwrap());
        assert_eq!(base(&headers), "http://hub.example:8080/fhir");
        headers.insert("x-forwarded-proto", "https".parse().unwrap());
        headers.insert("x-forwarded-host", "evil\"/../".parse().unwrap());
        assert_eq!(base(&headers), "https://hub.example:8080/fhir");
    }
}
