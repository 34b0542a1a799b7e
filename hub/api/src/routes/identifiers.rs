//! Identifiers of a patient: given, added and ended. One that was ended still leads to the patient.

use axum::extract::State;
use axum::response::Response;
use schemas::patients::Identifier;
use schemas::registration::{AddIdentifier, EndIdentifier};
use schemas::{IdentifierKey, TenantId};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::registration::aggregate;
use crate::auth::permission::{Can, PatientsWrite};
use crate::command::{Accepted, Sender};
use crate::extract::{Body, Segment};
use crate::problem::Problem;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::integration::Applied;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(add_identifier))
        .routes(routes!(end_identifier))
}

/// An identifier.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "system": "HOSP", "value": "12345", "kind": "MR" }))]
pub(super) struct GivenIdentifier {
    /// Assigning authority; absent: `mrn`.
    #[serde(default)]
    system: Option<String>,
    #[schema(min_length = 1, max_length = 100)]
    value: String,
    /// HL7 table 0203: `MR`, `ABHA`, `SS` …
    #[serde(default)]
    kind: Option<String>,
}

impl GivenIdentifier {
    pub(super) fn canonical(self, tenant: &TenantId) -> Result<Identifier, Problem> {
        let trimmed = |field: &'static str, text: String| {
            let text = text.trim().to_owned();
            if text.is_empty() || text.len() > 100 || text.chars().any(char::is_control) {
                Err(Problem::invalid(
                    field,
                    "must have 1 to 100 bytes and no control character",
                ))
            } else {
                Ok(text)
            }
        };
        let system = match self.system {
            Some(system) => trimmed("identifiers.system", system)?,
            None => "mrn".to_owned(),
        };
        let value = trimmed("identifiers.value", self.value)?;
        Ok(Identifier {
            key: IdentifierKey::of(tenant, &system, &value),
            system,
            value,
            kind: self.kind,
        })
    }
}

/// Add an identifier to a patient
///
/// One that was ended is taken into use again.
#[utoipa::path(post, path = "/patients/{id}/identifiers", tag = "patients", params(("id" = Uuid, Path, description = "the patient")),
    request_body = GivenIdentifier, security(("bearer" = ["patients:write"])),
    responses(
        (status = 200, description = "added", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no patient has this id (`patients.unknown`)"),
        (status = 409, description = "the identifier is somebody's already (`patients.identifier_exists`)")))]
async fn add_identifier(
    can: Can<PatientsWrite>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    Body(identifier): Body<GivenIdentifier>,
) -> Result<Response, Problem> {
    let command = AddIdentifier {
        patient_id: id,
        identifier: identifier.canonical(&can.who.tenant)?,
        actor: can.who.username.clone(),
    };
    let aggregate = aggregate(&state, &can.who.tenant, id).await?;
    let written = Sender::new(&state, &can.who, &trace)
        .send(aggregate, &command)
        .await?;
    Ok(written.respond(Applied::with))
}

/// Which identifier, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "identifier": { "system": "HOSP", "value": "12345" }, "reason": "number of a lost card" }))]
struct Ending {
    #[schema(inline)]
    identifier: GivenIdentifier,
    reason: String,
}

/// End the use of an identifier
///
/// It still leads to the patient, and never to anybody else.
#[utoipa::path(post, path = "/patients/{id}/identifiers/end", tag = "patients", params(("id" = Uuid, Path, description = "the patient")),
    request_body = Ending, security(("bearer" = ["patients:write"])),
    responses(
        (status = 200, description = "ended", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no patient has this id (`patients.unknown`), or the record has no such identifier (`patients.identifier_unknown`)"),
        (status = 409, description = "it is ended (`patients.identifier_closed`), or the last one in use (`patients.identifier_last_conflict`)")))]
async fn end_identifier(
    can: Can<PatientsWrite>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    Body(ending): Body<Ending>,
) -> Result<Response, Problem> {
    let command = EndIdentifier {
        patient_id: id,
        identifier: ending.identifier.canonical(&can.who.tenant)?,
        reason: super::reason(ending.reason)?,
        actor: can.who.username.clone(),
    };
    let aggregate = aggregate(&state, &can.who.tenant, id).await?;
    let written = Sender::new(&state, &can.who, &trace)
        .send(aggregate, &command)
        .await?;
    Ok(written.respond(Applied::with))
}
