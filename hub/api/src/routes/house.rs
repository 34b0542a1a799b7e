//! Facilities and their departments. The clinical worker owns them: beds and stays hang on them, in its transactions. Codes never
//! change, because grants, HL7 messages and encounters name places by them.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemas::house::{DefineDepartment, DefineFacility};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_clinical::queries;

use crate::auth::permission::{Can, CanSomewhere, FacilitiesManage, FacilitiesRead};
use crate::command::{Accepted, Placed, Sender};
use crate::extract::{Body, Params, Segment};
use crate::if_match::{IfMatch, tagged};
use crate::page::{Cursor, Limit, Page};
use crate::problem::Problem;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::house::{Defined, Department, Facility};

/// The house is defined in one lane: what is defined first is there for what hangs on it.
const LANE: &str = "house";

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(facilities))
        .routes(routes!(make_facility))
        .routes(routes!(facility))
        .routes(routes!(change_facility))
        .routes(routes!(departments))
        .routes(routes!(make_department))
        .routes(routes!(department))
        .routes(routes!(change_department))
}

/// A code as HL7 PL and grants carry it: letters, digits and `. _ - /`, single blanks inside, 1 to 32.
pub(crate) fn code(field: &'static str, text: &str) -> Result<String, Problem> {
    let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let fits = (1..=32).contains(&plain.len())
        && plain
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || " ._-/".contains(c));
    if fits && plain == text {
        Ok(plain)
    } else {
        Err(Problem::invalid(
            field,
            "must be 1 to 32 letters, digits, `.`, `_`, `-`, `/` and single blanks inside",
        ))
    }
}

pub(super) fn named(text: &str) -> Result<String, Problem> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > 200 || text.chars().any(char::is_control) {
        return Err(Problem::invalid(
            "name",
            "must have from 1 to 200 characters, none of them a control character",
        ));
    }
    Ok(text.to_owned())
}

/// A page of places, of one facility or of all.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OfFacility {
    /// Only of this facility.
    pub(super) facility_id: Option<Uuid>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    pub(super) cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    pub(super) limit: Limit,
}

/// Code and id of the last row of a full page.
pub(super) fn next<R>(
    limit: Limit,
    rows: &[R],
    key: impl Fn(&R) -> (String, Uuid),
) -> Option<(String, Uuid)> {
    rows.last().filter(|_| limit.is_full(rows.len())).map(key)
}

fn no_facility() -> Problem {
    Problem::unknown("facilities.unknown", "no facility has this id")
}

pub(super) fn no_department() -> Problem {
    Problem::unknown("departments.unknown", "no department has this id")
}

/// List facilities
#[utoipa::path(get, path = "/facilities", tag = "house", params(super::care::Listing), security(("bearer" = ["facilities:read"])),
    responses((status = 200, description = "by code", body = Page<Facility>)))]
async fn facilities(
    can: CanSomewhere<FacilitiesRead>,
    State(state): State<ApiState>,
    Params(listing): Params<super::care::Listing>,
) -> Result<Json<Page<Facility>>, Problem> {
    let after = Cursor::key(listing.cursor.as_ref())?;
    let mut tx = state.read(&can.who.tenant).await?;
    let rows = queries::facilities(tx.conn(), after, listing.limit.rows()).await?;
    let next = next(listing.limit, &rows, |row| (row.code.clone(), row.id));
    Ok(Json(Page::of(rows, next, Facility::of)))
}

/// A new facility.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "code": "MAIN", "name": "Main hospital", "zone": "Asia/Kolkata" }))]
struct NewFacility {
    /// As HL7 PL.4 and grants name it. It never changes; letter case does not tell two apart.
    #[schema(min_length = 1, max_length = 32)]
    code: String,
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// IANA: tokens, bed-days and the midnight census go by it.
    #[serde(default = "india")]
    #[schema(default = "Asia/Kolkata")]
    zone: String,
}

fn india() -> String {
    "Asia/Kolkata".to_owned()
}

/// Define a facility
#[utoipa::path(post, path = "/facilities", tag = "house", request_body = NewFacility, security(("bearer" = ["facilities:manage"])),
    responses(
        (status = 201, description = "made; Location is the facility", body = Defined),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 409, description = "a facility has this code (`adt.place_exists`)"),
        (status = 422, description = "there is no such time zone (`adt.zone`)")))]
async fn make_facility(
    can: Can<FacilitiesManage>,
    State(state): State<ApiState>,
    trace: Trace,
    Body(new): Body<NewFacility>,
) -> Result<Response, Problem> {
    let command = DefineFacility {
        code: code("code", &new.code)?,
        name: named(&new.name)?,
        zone: new.zone,
        retired: false,
        version: Some(0),
        actor: can.who.username.clone(),
    };
    let sender = Sender::new(&state, &can.who, &trace);
    add(&sender, "facilities", &command).await
}

/// Read a facility
#[utoipa::path(get, path = "/facilities/{id}", tag = "house", params(("id" = Uuid, Path, description = "the facility")),
    security(("bearer" = ["facilities:read"])),
    responses(
        (status = 200, description = "the facility; ETag is its version", body = Facility),
        (status = 404, description = "no facility has this id (`facilities.unknown`)")))]
async fn facility(
    can: CanSomewhere<FacilitiesRead>,
    State(state): State<ApiState>,
    Segment(id): Segment<Uuid>,
) -> Result<Response, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let row = queries::facility(tx.conn(), id)
        .await?
        .ok_or_else(no_facility)?;
    let version = row.version;
    Ok(tagged(&Facility::of(row), version))
}

/// What changes of a facility; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "Main hospital, old town" }))]
struct FacilityChange {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    zone: Option<String>,
    /// `retired` when nothing in use hangs on it.
    #[serde(default)]
    state: Option<Use>,
}

/// In use or not any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Use {
    Active,
    Retired,
}

impl Use {
    /// The state after a change that may not name one.
    pub(super) fn retired(change: Option<Self>, stands: &str) -> bool {
        change.map_or(stands == "retired", |state| state == Self::Retired)
    }
}

/// Change or retire a facility
///
/// Only as it was seen: `If-Match` names the version.
#[utoipa::path(patch, path = "/facilities/{id}", tag = "house",
    params(("id" = Uuid, Path, description = "the facility"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = FacilityChange, security(("bearer" = ["facilities:manage"])),
    responses(
        (status = 200, description = "changed", body = Defined),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no facility has this id (`facilities.unknown`)"),
        (status = 409, description = "it has departments in use (`adt.place_in_use`)"),
        (status = 412, description = "somebody changed it meanwhile (`adt.place_stale`)"),
        (status = 422, description = "there is no such time zone (`adt.zone`)")))]
async fn change_facility(
    can: Can<FacilitiesManage>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    IfMatch(version): IfMatch,
    Body(change): Body<FacilityChange>,
) -> Result<Response, Problem> {
    let row = {
        let mut tx = state.read(&can.who.tenant).await?;
        queries::facility(tx.conn(), id)
            .await?
            .ok_or_else(no_facility)?
    };
    let command = DefineFacility {
        code: row.code,
        name: change.name.as_deref().map_or(Ok(row.name), named)?,
        zone: change.zone.unwrap_or(row.zone),
        retired: Use::retired(change.state, &row.state),
        // what was not said is taken from what was read: it must still stand
        version: Some(version.unwrap_or(row.version)),
        actor: can.who.username.clone(),
    };
    alter(&Sender::new(&state, &can.who, &trace), &command).await
}

/// List departments
#[utoipa::path(get, path = "/departments", tag = "house", params(OfFacility), security(("bearer" = ["facilities:read"])),
    responses((status = 200, description = "by code", body = Page<Department>)))]
async fn departments(
    can: CanSomewhere<FacilitiesRead>,
    State(state): State<ApiState>,
    Params(of): Params<OfFacility>,
) -> Result<Json<Page<Department>>, Problem> {
    let after = Cursor::key(of.cursor.as_ref())?;
    let mut tx = state.read(&can.who.tenant).await?;
    let rows = queries::departments(tx.conn(), of.facility_id, after, of.limit.rows()).await?;
    let next = next(of.limit, &rows, |row| (row.code.clone(), row.id));
    Ok(Json(Page::of(rows, next, Department::of)))
}

/// A new department.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "facility_id": "018f3c1e-7a5c-5c3e-9b1a-2f4d5e6a7b8c", "code": "MED", "name": "Medicine" }))]
struct NewDepartment {
    facility_id: Uuid,
    /// As grants name it, for all its wards. Unlike the code of any ward of another department.
    #[schema(min_length = 1, max_length = 32)]
    code: String,
    #[schema(min_length = 1, max_length = 200)]
    name: String,
}

/// Define a department
#[utoipa::path(post, path = "/departments", tag = "house", request_body = NewDepartment, security(("bearer" = ["facilities:manage"])),
    responses(
        (status = 201, description = "made; Location is the department", body = Defined),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no facility has this id (`adt.facility_unknown`)"),
        (status = 409, description = "a department of the facility has this code (`adt.place_exists`), or a ward of another one (`adt.code_in_use`)")))]
async fn make_department(
    can: Can<FacilitiesManage>,
    State(state): State<ApiState>,
    trace: Trace,
    Body(new): Body<NewDepartment>,
) -> Result<Response, Problem> {
    let command = DefineDepartment {
        facility_id: new.facility_id,
        code: code("code", &new.code)?,
        name: named(&new.name)?,
        retired: false,
        version: Some(0),
        actor: can.who.username.clone(),
    };
    let sender = Sender::new(&state, &can.who, &trace);
    add(&sender, "departments", &command).await
}

/// Read a department
#[utoipa::path(get, path = "/departments/{id}", tag = "house", params(("id" = Uuid, Path, description = "the department")),
    security(("bearer" = ["facilities:read"])),
    responses(
        (status = 200, description = "the department; ETag is its version", body = Department),
        (status = 404, description = "no department has this id (`departments.unknown`)")))]
async fn department(
    can: CanSomewhere<FacilitiesRead>,
    State(state): State<ApiState>,
    Segment(id): Segment<Uuid>,
) -> Result<Response, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let row = queries::department(tx.conn(), id)
        .await?
        .ok_or_else(no_department)?;
    let version = row.version;
    Ok(tagged(&Department::of(row), version))
}

/// What changes of a department; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "Internal medicine" }))]
struct DepartmentChange {
    #[serde(default)]
    name: Option<String>,
    /// `retired` when no ward of it is in use.
    #[serde(default)]
    state: Option<Use>,
}

/// Change or retire a department
///
/// Only as it was seen: `If-Match` names the version.
#[utoipa::path(patch, path = "/departments/{id}", tag = "house",
    params(("id" = Uuid, Path, description = "the department"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = DepartmentChange, security(("bearer" = ["facilities:manage"])),
    responses(
        (status = 200, description = "changed", body = Defined),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no department has this id (`departments.unknown`)"),
        (status = 409, description = "it has wards in use (`adt.place_in_use`)"),
        (status = 412, description = "somebody changed it meanwhile (`adt.place_stale`)")))]
async fn change_department(
    can: Can<FacilitiesManage>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    IfMatch(version): IfMatch,
    Body(change): Body<DepartmentChange>,
) -> Result<Response, Problem> {
    let row = {
        let mut tx = state.read(&can.who.tenant).await?;
        queries::department(tx.conn(), id)
            .await?
            .ok_or_else(no_department)?
    };
    let command = DefineDepartment {
        facility_id: row.facility_id,
        code: row.code,
        name: change.name.as_deref().map_or(Ok(row.name), named)?,
        retired: Use::retired(change.state, &row.state),
        version: Some(version.unwrap_or(row.version)),
        actor: can.who.username.clone(),
    };
    alter(&Sender::new(&state, &can.who, &trace), &command).await
}

/// Sends what defines a new part of the house; 201 with its place.
pub(super) async fn add<B: schemas::Body>(
    sender: &Sender<'_>,
    folder: &str,
    command: &B,
) -> Result<Response, Problem> {
    let written = sender.send(LANE, command).await?;
    Ok(written.respond_placed(|answer| {
        let view = Defined::of(answer.as_ref());
        Placed {
            location: format!("/api/v1/{folder}/{}", view.id),
            created: view.created,
            view,
        }
    }))
}

/// Sends what defines a part of the house anew.
pub(super) async fn alter<B: schemas::Body>(
    sender: &Sender<'_>,
    command: &B,
) -> Result<Response, Problem> {
    let written = sender.send(LANE, command).await?;
    Ok(written.respond(|answer| Defined::of(answer.as_ref())))
}
