//! New visits, a department's queue, and what else is known of an encounter. Admissions are beside it.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use hub_core::Tx;
use schemas::Patch;
use schemas::care::Practitioner;
use schemas::patients::Identifier;
use schemas::stays::{ChangeEncounter, OpenEncounter, Payer, VisitClass};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_clinical::queries;

use super::house::no_department;
use crate::auth::identity::Identity;
use crate::auth::permission::{
    BedsRead, CanSomewhere, EncountersManage, EncountersOpen, Permission as _,
};
use crate::command::{Accepted, Placed, Sender};
use crate::extract::{Body, Params, Segment};
use crate::if_match::IfMatch;
use crate::page::{Cursor, Limit, Moment, Page};
use crate::problem::Problem;
use crate::reads::{care, patients, stays as reads};
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::canonical;
use crate::views::care::Encounter;
use crate::views::integration::Applied;
use crate::views::stays::Opened;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(open))
        .routes(routes!(queue))
        .routes(routes!(change))
}

/// Longest visit number that HL7 peers hold without cutting it.
const NUMBER_BYTES: usize = 50;

pub(crate) fn visit_number(text: Option<String>) -> Result<Option<String>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let text = text.trim().to_owned();
    if text.is_empty() || text.len() > NUMBER_BYTES || text.chars().any(char::is_control) {
        return Err(Problem::invalid(
            "visit_number",
            format!("must have 1 to {NUMBER_BYTES} bytes, none of them a control character"),
        ));
    }
    Ok(Some(text))
}

/// The one person whom the identifier means.
pub(crate) async fn patient(tx: &mut Tx<'_>, text: &str) -> Result<Identifier, Problem> {
    match patients::named(tx, text).await? {
        patients::Named::One(identifier) => Ok(identifier),
        patients::Named::Several => Err(Problem::new(
            StatusCode::CONFLICT,
            "encounters.ambiguous_patient",
            "several people have this identifier; name its system: `system|value`",
        )),
        patients::Named::Nobody => Err(no_patient()),
    }
}

pub(crate) fn no_patient() -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "encounters.no_patient",
        "nobody has this identifier",
    )
}

/// The caller may open encounters in the department.
pub(crate) async fn may_open(
    tx: &mut Tx<'_>,
    who: &Identity,
    department: Uuid,
) -> Result<(), Problem> {
    let department = queries::department(tx.conn(), department)
        .await?
        .ok_or_else(no_department)?;
    reads::may_at(
        who,
        EncountersOpen::NAME,
        &department.facility,
        &[&department.code],
    )
}

/// The patient, once it is clear that the caller may open encounters in the department.
pub(super) async fn admitted_to(
    state: &ApiState,
    who: &Identity,
    department: Uuid,
    identifier: &str,
) -> Result<Identifier, Problem> {
    let mut tx = state.read(&who.tenant).await?;
    may_open(&mut tx, who, department).await?;
    patient(&mut tx, identifier).await
}

/// A visit.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "patient_identifier": "12345", "department_id": "018f3c1e-7a5c-5c3e-9b1a-2f4d5e6a7b8d",
    "practitioner": { "id": "D12", "name": "R. Rao" }, "reason": "fever"
}))]
struct NewVisit {
    /// PID-3: its value (`12345`), the whole CX text (`12345^^^HOSP^MR`), or `system|value`. Must lead to one person.
    patient_identifier: String,
    department_id: Uuid,
    /// `outpatient` (as if absent) or `emergency`
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    class: Option<VisitClass>,
    #[serde(default)]
    #[schema(schema_with = canonical::practitioner)]
    practitioner: Option<Practitioner>,
    #[serde(default)]
    reason: Option<String>,
    /// `self` or `insurer`
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    payer: Option<Payer>,
    /// The hospital's own number; absent: the hub makes one. HL7 messages with it (PV1-19) meet this encounter.
    #[serde(default)]
    visit_number: Option<String>,
    /// When the patient came; absent: now.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Moment>,
    /// Why it is told so late; needed where `at` lies more than a day back.
    #[serde(default)]
    #[schema(max_length = 500)]
    late_reason: Option<String>,
}

/// Open a visit
///
/// An out-patient is here and gets the next token of the department's day.
#[utoipa::path(post, path = "/encounters", tag = "stays", request_body = NewVisit, security(("bearer" = ["encounters:open"])),
    responses(
        (status = 201, description = "opened; Location is the encounter", body = Opened),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or held elsewhere only (`auth.scope`)"),
        (status = 404, description = "no department has this id (`departments.unknown`)"),
        (status = 409, description = "an encounter has the visit number (`adt.visit_exists`), or the identifier is that of several people \
            (`encounters.ambiguous_patient`)"),
        (status = 422, description = "nobody has the identifier (`encounters.no_patient`), it lies in the future (`adt.time_ahead`) or too far \
            back (`adt.time_late`), or it is not possible; `code` says why")))]
async fn open(
    can: CanSomewhere<EncountersOpen>,
    State(state): State<ApiState>,
    trace: Trace,
    Body(visit): Body<NewVisit>,
) -> Result<Response, Problem> {
    let subject = admitted_to(
        &state,
        &can.who,
        visit.department_id,
        &visit.patient_identifier,
    )
    .await?;
    let aggregate = subject.key.0.to_string();
    let command = OpenEncounter {
        encounter_id: Uuid::now_v7(),
        subject,
        visit_number: visit_number(visit.visit_number)?,
        department_id: visit.department_id,
        class: visit.class.unwrap_or(VisitClass::Outpatient),
        practitioner: visit.practitioner,
        reason: visit.reason.map(super::reason).transpose()?,
        payer: visit.payer,
        at: visit.at.and_then(Moment::text),
        late_reason: super::optional("late_reason", visit.late_reason)?,
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send(aggregate, &command)
        .await?;
    Ok(written.respond_placed(|answer| opened(answer.as_ref())))
}

pub(super) fn opened(answer: Option<&serde_json::Value>) -> Placed<Opened> {
    let view = Opened::of(answer);
    Placed {
        location: format!("/api/v1/encounters/{}", view.id),
        created: true,
        view,
    }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Day {
    /// `2026-07-01`; absent: today at the place.
    #[param(format = Date)]
    day: Option<String>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// A department's queue
///
/// The tokens of a day in their order, each with its stage.
#[utoipa::path(get, path = "/departments/{id}/queue", tag = "stays", params(("id" = Uuid, Path, description = "the department"), Day),
    security(("bearer" = ["beds:read"])),
    responses(
        (status = 200, description = "by token", body = Page<Encounter>),
        (status = 403, description = "the permission is missing (`auth.permission`), or held elsewhere only (`auth.scope`)"),
        (status = 404, description = "no department has this id (`departments.unknown`)")))]
async fn queue(
    can: CanSomewhere<BedsRead>,
    State(state): State<ApiState>,
    Segment(id): Segment<Uuid>,
    Params(search): Params<Day>,
) -> Result<Json<Page<Encounter>>, Problem> {
    let day = search
        .day
        .map(|text| {
            time::Date::parse(
                &text,
                time::macros::format_description!("[year]-[month]-[day]"),
            )
            .map_err(|_| Problem::invalid("day", "must be a date as 2026-07-01"))
        })
        .transpose()?;
    let after = Cursor::key::<i32>(search.cursor.as_ref())?.unwrap_or(0);
    let mut tx = state.read(&can.who.tenant).await?;
    let department = queries::department(tx.conn(), id)
        .await?
        .ok_or_else(no_department)?;
    reads::may_at(
        &can.who,
        BedsRead::NAME,
        &department.facility,
        &[&department.code],
    )?;
    let rows = queries::queue(tx.conn(), id, day, after, search.limit.rows()).await?;
    let next = rows
        .last()
        .filter(|_| search.limit.is_full(rows.len()))
        .and_then(|row| row.token)
        .map(|token| crate::page::encode(&token));
    let items = care::with_patients(&mut tx, rows).await?;
    Ok(Json(Page {
        items,
        next_cursor: next,
    }))
}

/// What changes of an encounter: absent members stay, null deletes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "expected_at": "2026-02-02T10:00:00Z", "attending": { "id": "D14", "name": "S. Iyer" } }))]
struct EncounterChange {
    #[serde(default)]
    #[schema(schema_with = canonical::practitioner)]
    attending: Patch<Practitioner>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    service: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    reason: Patch<String>,
    /// `self` or `insurer`
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    payer: Patch<Payer>,
    /// When the patient is expected to leave.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    expected_at: Patch<Moment>,
    #[serde(default)]
    medico_legal: Option<bool>,
}

/// Change an encounter
///
/// What else is known of it; where it stands changes by its steps only. Only as it was seen: `If-Match` names the version.
#[utoipa::path(patch, path = "/encounters/{id}", tag = "stays",
    params(("id" = Uuid, Path, description = "the encounter"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = EncounterChange, security(("bearer" = ["encounters:manage"])),
    responses(
        (status = 200, description = "changed", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or the patient is not yours (`auth.relationship`)"),
        (status = 404, description = "no encounter has this id (`encounters.unknown`)"),
        (status = 412, description = "somebody changed it meanwhile (`adt.encounter_stale`)")))]
async fn change(
    can: CanSomewhere<EncountersManage>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    IfMatch(version): IfMatch,
    Body(change): Body<EncounterChange>,
) -> Result<Response, Problem> {
    let known = {
        let mut tx = state.read(&can.who.tenant).await?;
        reads::open(
            &state,
            &trace,
            &can.who,
            EncountersManage::NAME,
            &mut tx,
            id,
        )
        .await?
    };
    let short = |field: &'static str, patch: Patch<String>| match patch {
        Patch::Set(text) => super::text(field, text).map(Patch::Set),
        other => Ok(other),
    };
    let command = ChangeEncounter {
        encounter_id: id,
        attending: change.attending,
        service: short("service", change.service)?,
        reason: short("reason", change.reason)?,
        payer: change.payer,
        expected_at: match change.expected_at {
            Patch::Keep => Patch::Keep,
            Patch::Clear => Patch::Clear,
            Patch::Set(at) => at.text().into(),
        },
        medico_legal: change.medico_legal,
        version,
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send(known.aggregate(), &command)
        .await?;
    Ok(written.respond(Applied::with))
}
