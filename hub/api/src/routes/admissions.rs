//! Requests for admission, and the list of who is in the house or to come.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemas::care::Practitioner;
use schemas::stays::{AdmissionPriority, Payer, RequestAdmission};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_clinical::queries::{self, AdmissionFilter};

use super::house::code;
use super::stays::{admitted_to, opened, visit_number};
use crate::auth::permission::{BedsRead, CanSomewhere, EncountersOpen, Permission as _};
use crate::command::{Accepted, Sender};
use crate::extract::{Body, Params};
use crate::page::{Cursor, Limit, Moment, Page};
use crate::problem::Problem;
use crate::reads::{care, stays as reads};
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::canonical;
use crate::views::care::Encounter;
use crate::views::stays::Opened;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(request))
        .routes(routes!(admissions))
}

/// A request for admission.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "patient_identifier": "12345", "department_id": "018f3c1e-7a5c-5c3e-9b1a-2f4d5e6a7b8d", "ward_class": "general",
    "priority": "urgent", "reason": "pneumonia", "consultant": { "id": "D12", "name": "R. Rao" }, "payer": "insurer"
}))]
struct NewAdmission {
    /// As for a visit.
    patient_identifier: String,
    department_id: Uuid,
    /// What kind of ward: `general`, `private`, `icu` …
    #[serde(default)]
    ward_class: Option<String>,
    /// `routine`, `urgent`, `emergency`
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    priority: Option<AdmissionPriority>,
    reason: String,
    #[serde(default)]
    #[schema(schema_with = canonical::practitioner)]
    consultant: Option<Practitioner>,
    /// `self` or `insurer`: an insurer has a gate of its own before a discharge.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    payer: Option<Payer>,
    #[serde(default)]
    medico_legal: bool,
    /// As for a visit.
    #[serde(default)]
    visit_number: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Moment>,
    /// Why it is told so late; needed where `at` lies more than a day back.
    #[serde(default)]
    #[schema(max_length = 500)]
    late_reason: Option<String>,
}

/// Ask for an admission
///
/// The bed desk reserves a bed or admits at once. An encounter from now on, planned.
#[utoipa::path(post, path = "/admissions", tag = "stays", request_body = NewAdmission, security(("bearer" = ["encounters:open"])),
    responses(
        (status = 201, description = "asked for; Location is the encounter", body = Opened),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or held elsewhere only (`auth.scope`)"),
        (status = 404, description = "no department has this id (`departments.unknown`)"),
        (status = 409, description = "an encounter has the visit number (`adt.visit_exists`), or the identifier is that of several people \
            (`encounters.ambiguous_patient`)"),
        (status = 422, description = "nobody has the identifier (`encounters.no_patient`), it lies in the future (`adt.time_ahead`) or too far \
            back (`adt.time_late`), or it is not possible; `code` says why")))]
async fn request(
    can: CanSomewhere<EncountersOpen>,
    State(state): State<ApiState>,
    trace: Trace,
    Body(admission): Body<NewAdmission>,
) -> Result<Response, Problem> {
    let subject = admitted_to(
        &state,
        &can.who,
        admission.department_id,
        &admission.patient_identifier,
    )
    .await?;
    let aggregate = subject.key.0.to_string();
    let command = RequestAdmission {
        encounter_id: Uuid::now_v7(),
        subject,
        visit_number: visit_number(admission.visit_number)?,
        department_id: admission.department_id,
        ward_class: admission
            .ward_class
            .as_deref()
            .map(|class| code("ward_class", class))
            .transpose()?,
        priority: admission.priority,
        reason: super::reason(admission.reason)?,
        consultant: admission.consultant,
        payer: admission.payer,
        medico_legal: admission.medico_legal,
        at: admission.at.and_then(Moment::text),
        late_reason: super::optional("late_reason", admission.late_reason)?,
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send(aggregate, &command)
        .await?;
    Ok(written.respond_placed(|answer| opened(answer.as_ref())))
}

/// Where stays stand that are listed.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum InHouse {
    Requested,
    BedReserved,
    Admitted,
    DischargeInitiated,
    Cleared,
    Left,
}

impl InHouse {
    fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::BedReserved => "bed_reserved",
            Self::Admitted => "admitted",
            Self::DischargeInitiated => "discharge_initiated",
            Self::Cleared => "cleared",
            Self::Left => "left",
        }
    }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Search {
    /// Absent: everybody who is in the house or to come. `left`: who left and is not closed yet.
    #[param(inline, value_type = Option<InHouse>)]
    stage: Option<InHouse>,
    /// Only of this ward.
    ward_id: Option<Uuid>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// List stays
///
/// Requested to cleared, whoever reported them; narrowed to the caller's places.
#[utoipa::path(get, path = "/admissions", tag = "stays", params(Search), security(("bearer" = ["beds:read"])),
    responses(
        (status = 200, description = "newest first", body = Page<Encounter>),
        (status = 404, description = "no ward has this id (`wards.unknown`)")))]
async fn admissions(
    can: CanSomewhere<BedsRead>,
    State(state): State<ApiState>,
    Params(search): Params<Search>,
) -> Result<Json<Page<Encounter>>, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let ward = match search.ward_id {
        None => None,
        Some(id) => {
            let ward = queries::ward(tx.conn(), id)
                .await?
                .ok_or_else(super::wards::no_ward)?;
            Some((ward.facility, ward.code))
        }
    };
    let demanded = state.demands_relationship(&can.who);
    let filter = AdmissionFilter {
        stage: search.stage.map(|stage| stage.as_str().to_owned()),
        ward,
        places: reads::narrowed(&can.who, BedsRead::NAME, demanded),
    };
    care::admissions(&mut tx, &filter, search.cursor.as_ref(), search.limit)
        .await
        .map(Json)
}
