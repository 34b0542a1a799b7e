//! Beds: defining them, and what housekeeping and the bed desk say of empty ones.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemas::house::{BedState, DefineBed, SetBedState};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_clinical::queries::{self, BedFilter};

use super::house::{add, alter, code, next};
use crate::auth::permission::{
    BedsManage, Can, CanSomewhere, FacilitiesManage, FacilitiesRead, Permission as _,
};
use crate::command::{Accepted, Sender};
use crate::extract::{Body, Params, Segment};
use crate::if_match::{IfMatch, tagged};
use crate::page::{Cursor, Limit, Page};
use crate::problem::Problem;
use crate::reads::stays as reads;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::house::{Bed, Defined};
use crate::views::integration::Applied;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(make))
        .routes(routes!(read))
        .routes(routes!(change))
        .routes(routes!(set_state))
}

fn no_bed() -> Problem {
    Problem::unknown("beds.unknown", "no bed has this id")
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Search {
    /// Only of this ward.
    ward_id: Option<Uuid>,
    /// Only of this facility.
    facility_id: Option<Uuid>,
    /// `vacant`, `reserved`, `occupied`, `cleaning`, `blocked`
    #[param(value_type = Option<String>)]
    state: Option<BedState>,
    /// Only of wards of this class.
    class: Option<String>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// Search beds
///
/// Not who is in them: that is on the ward's board.
#[utoipa::path(get, path = "/beds", tag = "house", params(Search), security(("bearer" = ["facilities:read"])),
    responses((status = 200, description = "by code", body = Page<Bed>)))]
async fn list(
    can: CanSomewhere<FacilitiesRead>,
    State(state): State<ApiState>,
    Params(search): Params<Search>,
) -> Result<Json<Page<Bed>>, Problem> {
    let after = Cursor::key(search.cursor.as_ref())?;
    let filter = BedFilter {
        ward: search.ward_id,
        facility: search.facility_id,
        state: search.state.map(|state| state.as_str().to_owned()),
        class: search.class,
    };
    let mut tx = state.read(&can.who.tenant).await?;
    let rows = queries::beds(tx.conn(), &filter, after, search.limit.rows()).await?;
    let next = next(search.limit, &rows, |row| (row.code.clone(), row.id));
    Ok(Json(Page::of(rows, next, Bed::of)))
}

/// A new bed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "ward_id": "018f3c1e-7a5c-5c3e-9b1a-2f4d5e6a7b8e", "code": "12" }))]
struct NewBed {
    ward_id: Uuid,
    /// As HL7 PL.3 names it.
    #[schema(min_length = 1, max_length = 32)]
    code: String,
    /// PL.2; absent where rooms have no names.
    #[serde(default)]
    room: Option<String>,
}

/// Define a bed
///
/// Whom a hospital system has put into it before is in it from now on.
#[utoipa::path(post, path = "/beds", tag = "house", request_body = NewBed, security(("bearer" = ["facilities:manage"])),
    responses(
        (status = 201, description = "made; Location is the bed", body = Defined),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no ward in use has this id (`adt.ward_unknown`)"),
        (status = 409, description = "a bed of the ward and room has this code (`adt.place_exists`)")))]
async fn make(
    can: Can<FacilitiesManage>,
    State(state): State<ApiState>,
    trace: Trace,
    Body(new): Body<NewBed>,
) -> Result<Response, Problem> {
    let command = DefineBed {
        ward_id: new.ward_id,
        code: code("code", &new.code)?,
        room: new
            .room
            .as_deref()
            .map(|room| code("room", room))
            .transpose()?,
        retired: false,
        version: Some(0),
        actor: can.who.username.clone(),
    };
    let sender = Sender::new(&state, &can.who, &trace);
    add(&sender, "beds", &command).await
}

/// Read a bed
#[utoipa::path(get, path = "/beds/{id}", tag = "house", params(("id" = Uuid, Path, description = "the bed")),
    security(("bearer" = ["facilities:read"])),
    responses(
        (status = 200, description = "the bed; ETag is its version", body = Bed),
        (status = 404, description = "no bed has this id (`beds.unknown`)")))]
async fn read(
    can: CanSomewhere<FacilitiesRead>,
    State(state): State<ApiState>,
    Segment(id): Segment<Uuid>,
) -> Result<Response, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let row = queries::bed(tx.conn(), id).await?.ok_or_else(no_bed)?;
    let version = row.version;
    Ok(tagged(&Bed::of(row), version))
}

/// What changes of a bed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "retired": true }))]
struct BedChange {
    /// True: it is not given any more. Not while somebody has it.
    retired: bool,
}

/// Retire a bed, or take it back into use
///
/// Only as it was seen: `If-Match` names the version.
#[utoipa::path(patch, path = "/beds/{id}", tag = "house",
    params(("id" = Uuid, Path, description = "the bed"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = BedChange, security(("bearer" = ["facilities:manage"])),
    responses(
        (status = 200, description = "changed", body = Defined),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no bed has this id (`beds.unknown`)"),
        (status = 409, description = "somebody has it (`adt.bed_conflict`)"),
        (status = 412, description = "somebody changed it meanwhile (`adt.place_stale`)")))]
async fn change(
    can: Can<FacilitiesManage>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    IfMatch(version): IfMatch,
    Body(change): Body<BedChange>,
) -> Result<Response, Problem> {
    let row = {
        let mut tx = state.read(&can.who.tenant).await?;
        queries::bed(tx.conn(), id).await?.ok_or_else(no_bed)?
    };
    let command = DefineBed {
        ward_id: row.ward_id,
        code: row.code,
        room: Some(row.room).filter(|room| !room.is_empty()),
        retired: change.retired,
        version: Some(version.unwrap_or(row.version)),
        actor: can.who.username.clone(),
    };
    alter(&Sender::new(&state, &can.who, &trace), &command).await
}

/// How an empty bed is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "to": "vacant" }))]
struct BedStateChange {
    /// `vacant`, `cleaning` or `blocked`. Patients and reservations have their own steps.
    #[schema(value_type = String)]
    to: BedState,
    #[serde(default)]
    reason: Option<String>,
}

/// Say how an empty bed is
///
/// Cleaned, to be cleaned, out of use, in use again. With `If-Match` only when nobody changed it meanwhile.
#[utoipa::path(post, path = "/beds/{id}/state", tag = "house",
    params(("id" = Uuid, Path, description = "the bed"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = BedStateChange, security(("bearer" = ["beds:manage"])),
    responses(
        (status = 200, description = "so it is now", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or held elsewhere only (`auth.scope`)"),
        (status = 404, description = "no bed has this id (`beds.unknown`)"),
        (status = 409, description = "it is in no state for this; the detail names from, to and allowed (`adt.bed_conflict`)"),
        (status = 412, description = "somebody changed it meanwhile (`adt.place_stale`)")))]
async fn set_state(
    can: CanSomewhere<BedsManage>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    IfMatch(version): IfMatch,
    Body(change): Body<BedStateChange>,
) -> Result<Response, Problem> {
    {
        let mut tx = state.read(&can.who.tenant).await?;
        let row = queries::bed(tx.conn(), id).await?.ok_or_else(no_bed)?;
        reads::may_at(
            &can.who,
            BedsManage::NAME,
            &row.facility,
            &[&row.department, &row.ward],
        )?;
    }
    let command = SetBedState {
        bed_id: id,
        to: change.to,
        reason: change.reason.map(super::reason).transpose()?,
        version,
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send(id.to_string(), &command)
        .await?;
    Ok(written.respond(Applied::with))
}
