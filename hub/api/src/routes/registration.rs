//! Registration at a desk: patients, their identifiers, restriction of charts, what a merge would do.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemas::TenantId;
use schemas::registration::{ChangePatient, RegisterPatient, RestrictPatient};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_patient::queries::{self, WARNING};

use super::demographics::Demographics;
pub(crate) use super::demographics::is_birth_date;
use super::identifiers::GivenIdentifier;
use super::patients::no_patient;
use crate::auth::permission::{Can, PatientsMerge, PatientsRestrict, PatientsWrite};
use crate::command::{Accepted, Placed, Sender};
use crate::extract::{Body, Params, Segment};
use crate::if_match::IfMatch;
use crate::problem::{Lookalike, Problem};
use crate::reads::{patients as reads, registration as previews};
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::integration::Applied;
use crate::views::registration::MergePreview;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(register))
        .routes(routes!(change))
        .routes(routes!(restrict))
        .routes(routes!(preview))
}

/// A new patient.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "facility": "SGM", "demographics": { "name": { "family": "Sharma", "given": ["Asha"] }, "age": 45, "sex": "female",
    "mobile": "+91 98450 12345" } }))]
struct NewPatient {
    /// The first is the primary one. None: the facility's series gives the number.
    #[serde(default)]
    identifiers: Vec<GivenIdentifier>,
    /// Whose series gives the number, and the authority of it.
    #[serde(default)]
    facility: Option<String>,
    #[schema(inline)]
    demographics: Demographics,
    /// Why it is registered although somebody on file looks like it.
    #[serde(default)]
    force: Option<String>,
}

/// Register a patient
///
/// Refused when a patient on file looks like it (the same ABHA number, the same name and date of birth, or the same mobile and
/// given name); the problem names them. With `force` it is registered all the same, and the pair is suggested as duplicates.
#[utoipa::path(post, path = "/patients", tag = "patients", request_body = NewPatient, security(("bearer" = ["patients:write"])),
    responses(
        (status = 201, description = "registered; Location is the patient", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 409, description = "somebody on file looks like it, `lookalikes` names them (`patients.likely_duplicate`), or an identifier \
            is somebody's (`patients.identifier_exists`)"),
        (status = 422, description = "there is neither an identifier nor a facility (`patients.no_identifier`), or no name (`patients.no_name`)")))]
async fn register(
    can: Can<PatientsWrite>,
    State(state): State<ApiState>,
    trace: Trace,
    Body(new): Body<NewPatient>,
) -> Result<Response, Problem> {
    let identifiers = new
        .identifiers
        .into_iter()
        .map(|one| one.canonical(&can.who.tenant))
        .collect::<Result<Vec<_>, _>>()?;
    let facility = new
        .facility
        .map(|facility| super::text("facility", facility.trim().to_owned()))
        .transpose()?;
    let aggregate = match (identifiers.first(), &facility) {
        // the lane of what sources say of the same identifier
        (Some(first), _) => first.key.0.to_string(),
        (None, Some(facility)) => format!("series {facility}"),
        (None, None) => "series".to_owned(),
    };
    let command = RegisterPatient {
        identifiers,
        facility,
        stated: new.demographics.canonical()?,
        force: new
            .force
            .map(|words| super::text("force", words))
            .transpose()?,
        actor: can.who.username.clone(),
    };
    let sent = Sender::new(&state, &can.who, &trace)
        .send(aggregate, &command)
        .await;
    let written = match sent {
        Ok(written) => written,
        Err(problem) => {
            return Err(naming_lookalikes(&state, &can.who.tenant, &command, problem).await);
        }
    };
    Ok(written.respond_placed(|answer| {
        let id = answer
            .as_ref()
            .and_then(|answer| answer["id"].as_str())
            .unwrap_or_default();
        Placed {
            location: format!("/api/v1/patients/{id}"),
            created: true,
            view: Applied::with(answer.clone()),
        }
    }))
}

/// A refusal of a registration; when it was for likeness, with those who look like the new patient.
pub(crate) async fn naming_lookalikes(
    state: &ApiState,
    tenant: &TenantId,
    command: &RegisterPatient,
    problem: Problem,
) -> Problem {
    if problem.code != "patients.likely_duplicate" {
        return problem;
    }
    match lookalikes(state, tenant, command).await {
        Ok(like) => problem.alike(like),
        Err(away) => away,
    }
}

async fn lookalikes(
    state: &ApiState,
    tenant: &TenantId,
    command: &RegisterPatient,
) -> Result<Vec<Lookalike>, Problem> {
    let mut tx = state.read(tenant).await?;
    let like = queries::alike(tx.conn(), &command.stated, &command.identifiers).await?;
    Ok(like
        .into_iter()
        .filter(|one| one.score >= WARNING)
        .map(|one| Lookalike {
            patient_id: one.patient_id,
            score: one.score,
            reasons: one.reasons.into_iter().map(str::to_owned).collect(),
        })
        .collect())
}

/// What changes, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "demographics": { "birth_date": "1980-05-17", "marital_status": null }, "reason": "passport shown" }))]
struct PatientChange {
    #[schema(inline)]
    demographics: Demographics,
    #[serde(default)]
    reason: Option<String>,
}

/// Correct or complete a patient
///
/// With `If-Match` only when nobody changed it meanwhile. A member that is absent stays, null deletes it.
#[utoipa::path(patch, path = "/patients/{id}", tag = "patients",
    params(("id" = Uuid, Path, description = "the patient"), ("If-Match" = Option<String>, Header, description = "version of what was read")),
    request_body = PatientChange, security(("bearer" = ["patients:write"])),
    responses(
        (status = 200, description = "changed; the answer names the fields", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no patient has this id (`patients.unknown`)"),
        (status = 409, description = "it was merged into another (`patients.merged_conflict`)"),
        (status = 412, description = "somebody changed it meanwhile (`patients.stale`)")))]
async fn change(
    can: Can<PatientsWrite>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    IfMatch(seen): IfMatch,
    Body(change): Body<PatientChange>,
) -> Result<Response, Problem> {
    let command = ChangePatient {
        patient_id: id,
        seen,
        stated: change.demographics.canonical()?,
        reason: change
            .reason
            .map(|words| super::text("reason", words))
            .transpose()?,
        actor: can.who.username.clone(),
    };
    let aggregate = aggregate(&state, &can.who.tenant, id).await?;
    let written = Sender::new(&state, &can.who, &trace)
        .send(aggregate, &command)
        .await?;
    Ok(written.respond(Applied::with))
}

/// The lane of a patient's first identifier: what sources say of him is there too.
pub(super) async fn aggregate(
    state: &ApiState,
    tenant: &TenantId,
    id: Uuid,
) -> Result<String, Problem> {
    let mut tx = state.read(tenant).await?;
    let record = queries::record(tx.conn(), id)
        .await?
        .ok_or_else(no_patient)?;
    Ok(record
        .identifiers
        .first()
        .map_or(id, |first| first.key)
        .to_string())
}

/// Whether, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "restricted": true, "reason": "member of staff" }))]
struct Restriction {
    restricted: bool,
    reason: String,
}

/// Restrict a patient's chart, or lift that
///
/// A restricted chart opens to who cares for the patient, to who broke the glass, and to who has `patients:restrict`; permission
/// for the whole hospital alone does not open it.
#[utoipa::path(post, path = "/patients/{id}/restriction", tag = "patients",
    params(("id" = Uuid, Path, description = "the patient"), ("If-Match" = Option<String>, Header, description = "version of what was read")),
    request_body = Restriction, security(("bearer" = ["patients:restrict"])),
    responses(
        (status = 200, description = "done", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no patient has this id (`patients.unknown`)"),
        (status = 409, description = "it was merged into another (`patients.merged_conflict`)"),
        (status = 412, description = "somebody changed it meanwhile (`patients.stale`)")))]
async fn restrict(
    can: Can<PatientsRestrict>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    IfMatch(seen): IfMatch,
    Body(restriction): Body<Restriction>,
) -> Result<Response, Problem> {
    let command = RestrictPatient {
        patient_id: id,
        seen,
        restricted: restriction.restricted,
        reason: super::reason(restriction.reason)?,
        actor: can.who.username.clone(),
    };
    let aggregate = aggregate(&state, &can.who.tenant, id).await?;
    let written = Sender::new(&state, &can.who, &trace)
        .send(aggregate, &command)
        .await?;
    Ok(written.respond(Applied::with))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Retiring {
    /// The record that would lead to this one.
    retired: Uuid,
}

/// See what a merge would do
///
/// Changes nothing. What differs is shown side by side: a merge copies nothing, so readers see the record that stays. Both keep
/// their identifiers, and everything on either chart is on the chart of the one person.
#[utoipa::path(get, path = "/patients/{id}/merge-preview", tag = "patients",
    params(("id" = Uuid, Path, description = "the record that would stay"), Retiring), security(("bearer" = ["patients:merge"])),
    responses(
        (status = 200, description = "what would be", body = MergePreview),
        (status = 404, description = "one of the records is unknown (`patients.unknown`)")))]
async fn preview(
    can: Can<PatientsMerge>,
    State(state): State<ApiState>,
    Segment(id): Segment<Uuid>,
    Params(retiring): Params<Retiring>,
) -> Result<Json<MergePreview>, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let survivor = reads::one(&mut tx, id).await?.ok_or_else(no_patient)?;
    let retired = reads::one(&mut tx, retiring.retired)
        .await?
        .ok_or_else(no_patient)?;
    previews::merge(&mut tx, survivor, retired).await.map(Json)
}
