//! Wards and their boards.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemas::house::DefineWard;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_clinical::queries;

use super::house::{OfFacility, Use, add, alter, code, named, next};
use crate::auth::permission::{
    BedsRead, Can, CanSomewhere, FacilitiesManage, FacilitiesRead, Permission as _,
};
use crate::command::{Accepted, Sender};
use crate::extract::{Body, Params, Segment};
use crate::if_match::{IfMatch, tagged};
use crate::page::{Cursor, Page};
use crate::problem::Problem;
use crate::reads::stays as reads;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::house::{Board, Defined, Ward};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(make))
        .routes(routes!(read))
        .routes(routes!(change))
        .routes(routes!(board))
}

pub(super) fn no_ward() -> Problem {
    Problem::unknown("wards.unknown", "no ward has this id")
}

/// List wards
#[utoipa::path(get, path = "/wards", tag = "house", params(OfFacility), security(("bearer" = ["facilities:read"])),
    responses((status = 200, description = "by code", body = Page<Ward>)))]
async fn list(
    can: CanSomewhere<FacilitiesRead>,
    State(state): State<ApiState>,
    Params(of): Params<OfFacility>,
) -> Result<Json<Page<Ward>>, Problem> {
    let after = Cursor::key(of.cursor.as_ref())?;
    let mut tx = state.read(&can.who.tenant).await?;
    let rows = queries::wards(tx.conn(), of.facility_id, after, of.limit.rows()).await?;
    let next = next(of.limit, &rows, |row| (row.code.clone(), row.id));
    Ok(Json(Page::of(rows, next, Ward::of)))
}

/// A new ward.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "department_id": "018f3c1e-7a5c-5c3e-9b1a-2f4d5e6a7b8d", "code": "WARD-A", "name": "Ward A", "class": "general" }))]
struct NewWard {
    department_id: Uuid,
    /// As HL7 PL.1 names it. Unlike the code of another department: grants name departments and wards in one word.
    #[schema(min_length = 1, max_length = 32)]
    code: String,
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// `general`, `private`, `icu` …: what an admission asks for.
    #[serde(default)]
    class: Option<String>,
}

/// Define a ward
#[utoipa::path(post, path = "/wards", tag = "house", request_body = NewWard, security(("bearer" = ["facilities:manage"])),
    responses(
        (status = 201, description = "made; Location is the ward", body = Defined),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no department has this id (`departments.unknown`)"),
        (status = 409, description = "a ward of the facility has this code (`adt.place_exists`), or another department (`adt.code_in_use`)")))]
async fn make(
    can: Can<FacilitiesManage>,
    State(state): State<ApiState>,
    trace: Trace,
    Body(new): Body<NewWard>,
) -> Result<Response, Problem> {
    let facility_id = {
        let mut tx = state.read(&can.who.tenant).await?;
        queries::department(tx.conn(), new.department_id)
            .await?
            .ok_or_else(super::house::no_department)?
            .facility_id
    };
    let command = DefineWard {
        facility_id,
        department_id: new.department_id,
        code: code("code", &new.code)?,
        name: named(&new.name)?,
        class: new
            .class
            .as_deref()
            .map(|class| code("class", class))
            .transpose()?,
        retired: false,
        version: Some(0),
        actor: can.who.username.clone(),
    };
    let sender = Sender::new(&state, &can.who, &trace);
    add(&sender, "wards", &command).await
}

/// Read a ward
#[utoipa::path(get, path = "/wards/{id}", tag = "house", params(("id" = Uuid, Path, description = "the ward")),
    security(("bearer" = ["facilities:read"])),
    responses(
        (status = 200, description = "the ward; ETag is its version", body = Ward),
        (status = 404, description = "no ward has this id (`wards.unknown`)")))]
async fn read(
    can: CanSomewhere<FacilitiesRead>,
    State(state): State<ApiState>,
    Segment(id): Segment<Uuid>,
) -> Result<Response, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let row = queries::ward(tx.conn(), id).await?.ok_or_else(no_ward)?;
    let version = row.version;
    Ok(tagged(&Ward::of(row), version))
}

/// What changes of a ward; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "Ward A, first floor" }))]
struct WardChange {
    #[serde(default)]
    name: Option<String>,
    /// Another department of the facility.
    #[serde(default)]
    department_id: Option<Uuid>,
    #[serde(default)]
    class: Option<String>,
    /// `retired` when no bed of it is in use.
    #[serde(default)]
    state: Option<Use>,
}

/// Change or retire a ward
///
/// Only as it was seen: `If-Match` names the version.
#[utoipa::path(patch, path = "/wards/{id}", tag = "house",
    params(("id" = Uuid, Path, description = "the ward"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = WardChange, security(("bearer" = ["facilities:manage"])),
    responses(
        (status = 200, description = "changed", body = Defined),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no ward has this id (`wards.unknown`), or the facility has no such department (`adt.department_unknown`)"),
        (status = 409, description = "it has beds in use (`adt.place_in_use`)"),
        (status = 412, description = "somebody changed it meanwhile (`adt.place_stale`)")))]
async fn change(
    can: Can<FacilitiesManage>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    IfMatch(version): IfMatch,
    Body(change): Body<WardChange>,
) -> Result<Response, Problem> {
    let row = {
        let mut tx = state.read(&can.who.tenant).await?;
        queries::ward(tx.conn(), id).await?.ok_or_else(no_ward)?
    };
    let class = change
        .class
        .as_deref()
        .map(|class| code("class", class))
        .transpose()?;
    let command = DefineWard {
        facility_id: row.facility_id,
        department_id: change.department_id.unwrap_or(row.department_id),
        code: row.code,
        name: change.name.as_deref().map_or(Ok(row.name), named)?,
        class: class.or(row.class),
        retired: Use::retired(change.state, &row.state),
        version: Some(version.unwrap_or(row.version)),
        actor: can.who.username.clone(),
    };
    alter(&Sender::new(&state, &can.who, &trace), &command).await
}

/// A ward's board
///
/// Every bed with its state and who is in it or for whom it is kept, and the ward's patients who are in no bed of the register. For who
/// has the permission at this ward, its department or its facility.
#[utoipa::path(get, path = "/wards/{id}/board", tag = "stays", params(("id" = Uuid, Path, description = "the ward")),
    security(("bearer" = ["beds:read"])),
    responses(
        (status = 200, description = "as it is now", body = Board),
        (status = 403, description = "the permission is missing (`auth.permission`), or held elsewhere only (`auth.scope`)"),
        (status = 404, description = "no ward has this id (`wards.unknown`)")))]
async fn board(
    can: CanSomewhere<BedsRead>,
    State(state): State<ApiState>,
    Segment(id): Segment<Uuid>,
) -> Result<Json<Board>, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let ward = queries::ward(tx.conn(), id).await?.ok_or_else(no_ward)?;
    reads::may_at(
        &can.who,
        BedsRead::NAME,
        &ward.facility,
        &[&ward.department, &ward.code],
    )?;
    reads::board(&mut tx, ward).await.map(Json)
}
