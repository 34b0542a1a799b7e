//! Roles, and grants of them. Nobody gives, by whatever way, what he does not have himself.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use schemas::identity::{DefineRole, EndGrant, GiveGrant};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_identity::{queries, roles as built_in};

use super::account::OfUser;
use crate::auth::identity::Identity;
use crate::auth::permission::{
    ALL, Can, GrantsManage, PERMISSIONS, RolesManage, RolesRead, UsersRead,
};
use crate::auth::sign_in;
use crate::command::{Accepted, Placed, Sender};
use crate::extract::{Body, Segment};
use crate::if_match::{Seen, tagged};
use crate::page::{Moment, Page};
use crate::problem::Problem;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::identity::{Grant, Role};
use crate::views::integration::Applied;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(read))
        .routes(routes!(define))
        .routes(routes!(grants))
        .routes(routes!(give))
        .routes(routes!(end))
}

/// Every text is a permission there is; `*` is one.
pub(super) fn permissions(field: &'static str, given: &[String]) -> Result<(), Problem> {
    if given.is_empty() {
        return Err(Problem::invalid(field, "must name one permission at least"));
    }
    match given
        .iter()
        .find(|one| *one != ALL && !PERMISSIONS.contains(&one.as_str()))
    {
        None => Ok(()),
        Some(_) => Err(Problem::invalid(
            field,
            "holds what is no permission; /api/docs names them with each operation",
        )),
    }
}

/// Nobody gives what he does not have in the whole hospital.
pub(super) fn within_own(who: &Identity, given: &[String]) -> Result<(), Problem> {
    if who.may_all(given) {
        Ok(())
    } else {
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            "grants.exceeds_own",
            "this would give permissions that you do not have yourself",
        ))
    }
}

/// List roles
#[utoipa::path(get, path = "/roles", tag = "users", security(("bearer" = ["roles:read"])),
    responses((status = 200, description = "built-in ones first; the list is whole", body = Page<Role>)))]
async fn list(
    can: Can<RolesRead>,
    State(state): State<ApiState>,
) -> Result<Json<Page<Role>>, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let own = queries::roles(tx.conn()).await?;
    let roles = built_in::built_in().iter().map(Role::built_in);
    Ok(Json(Page::whole(
        roles.chain(own.into_iter().map(Role::own)).collect(),
    )))
}

/// Read a role
#[utoipa::path(get, path = "/roles/{id}", tag = "users", params(("id" = String, Path, description = "the role's code")),
    security(("bearer" = ["roles:read"])),
    responses(
        (status = 200, description = "the role; ETag is the version of one of the hospital's own", body = Role),
        (status = 404, description = "no role has this code (`roles.unknown`)")))]
async fn read(
    can: Can<RolesRead>,
    State(state): State<ApiState>,
    Segment(code): Segment<String>,
) -> Result<Response, Problem> {
    if let Some(role) = built_in::find(&code) {
        return Ok(Json(Role::built_in(role)).into_response());
    }
    let mut tx = state.read(&can.who.tenant).await?;
    let role = queries::role(tx.conn(), &code)
        .await?
        .ok_or_else(|| Problem::unknown("roles.unknown", "no role has this code"))?;
    let version = role.version;
    Ok(tagged(&Role::own(role), version))
}

/// A role of one's own.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "Nurse, night", "permissions": ["patients:read", "results:read"] }))]
struct NewRole {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// `resource:action`
    #[schema(max_items = 200)]
    permissions: Vec<String>,
    /// True: grants of it give nothing any more.
    #[serde(default)]
    retired: bool,
}

/// Make, change or retire a role
///
/// Of the hospital's own; those that come with the program can't be changed. Who holds it has the change within seconds. A role
/// that is there is changed only with `If-Match`.
#[utoipa::path(put, path = "/roles/{id}", tag = "users",
    params(
        ("id" = String, Path, description = "the role's code: a-z, 0-9 and _, 2 to 40"),
        ("If-Match" = Option<String>, Header, description = "ETag of what was read; absent to make a new one")),
    request_body = NewRole, security(("bearer" = ["roles:manage"])),
    responses(
        (status = 200, description = "so it is now", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or it would give what you do not have (`grants.exceeds_own`)"),
        (status = 409, description = "a built-in role has this code (`roles.code_in_use`), or somebody made it meanwhile (`roles.stale`)"),
        (status = 412, description = "somebody changed it meanwhile (`roles.stale`)")))]
async fn define(
    can: Can<RolesManage>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(code): Segment<String>,
    seen: Seen,
    Body(role): Body<NewRole>,
) -> Result<Response, Problem> {
    let is_code = (2..=40).contains(&code.len())
        && code.starts_with(|c: char| c.is_ascii_lowercase())
        && code
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if !is_code {
        return Err(Problem::invalid(
            "id",
            "must be 2 to 40 of a-z, 0-9 and _, beginning with a letter",
        ));
    }
    permissions("permissions", &role.permissions)?;
    within_own(&can.who, &role.permissions)?;
    // whoever changes a role takes from it too: not from one that may do more than he may
    let before = {
        let mut tx = state.read(&can.who.tenant).await?;
        queries::role(tx.conn(), &code).await?
    };
    if let Some(before) = &before {
        within_own(&can.who, &before.permissions)?;
    }
    let version = seen.of_definition(before.is_some(), "roles.stale")?;
    let command = DefineRole {
        name: super::text("name", role.name)?,
        permissions: role.permissions,
        retired: role.retired,
        version,
        actor: can.who.username.clone(),
        code: code.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send_access(format!("role/{code}"), &command)
        .await?;
    Ok(written.respond(Applied::with))
}

/// List a user's grants
#[utoipa::path(get, path = "/users/{id}/grants", tag = "users", params(("id" = Uuid, Path, description = "the user")),
    security(("bearer" = ["users:read"])),
    responses(
        (status = 200, description = "newest first, also ended ones; at most 500", body = Page<Grant>),
        (status = 404, description = "no user has this id (`users.unknown`)")))]
async fn grants(OfUser { account, .. }: OfUser<UsersRead>) -> Result<Json<Page<Grant>>, Problem> {
    account.known().await?;
    let mut tx = account.tx().await?;
    let rows = queries::grants(tx.conn(), account.user).await?;
    Ok(Json(Page::whole(rows.into_iter().map(Grant::of).collect())))
}

/// A role at a place for a time.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "role": "nurse", "facility": "MAIN", "department": "ICU", "ends_at": "2026-12-31T18:30:00Z" }))]
struct NewGrant {
    /// Code of a role.
    role: String,
    /// As encounters name it (HL7 PL.4). Absent: the whole hospital.
    #[serde(default)]
    facility: Option<String>,
    /// As encounters name the point of care (HL7 PL.1). Absent: the whole facility.
    #[serde(default)]
    department: Option<String>,
    /// Absent: from now.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    starts_at: Option<Moment>,
    /// Absent: until it is ended.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    ends_at: Option<Moment>,
}

/// Give a role
///
/// Holds within seconds, also for tokens that are about. Only what the giver has himself in the whole hospital.
#[utoipa::path(post, path = "/users/{id}/grants", tag = "users", params(("id" = Uuid, Path, description = "the user")),
    request_body = NewGrant, security(("bearer" = ["grants:manage"])),
    responses(
        (status = 201, description = "given", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or it would give what you do not have (`grants.exceeds_own`)"),
        (status = 404, description = "no user has this id (`users.unknown`)"),
        (status = 409, description = "he is a patient, or it is the role of patients (`grants.patient_conflict`)"),
        (status = 422, description = "there is no such role (`grants.role`), or it would end before it starts (`grants.time`)")))]
async fn give(
    OfUser { account, .. }: OfUser<GrantsManage>,
    Body(grant): Body<NewGrant>,
) -> Result<Response, Problem> {
    if grant.department.is_some() && grant.facility.is_none() {
        return Err(Problem::invalid(
            "facility",
            "a department needs its facility",
        ));
    }
    let place = |field, text: Option<String>| text.map(|text| super::text(field, text)).transpose();
    account.known().await?;
    let given = given_by(&account.state, &account.who, &grant.role).await?;
    within_own(&account.who, &given)?;
    let grant_id = Uuid::now_v7();
    let command = GiveGrant {
        grant_id,
        user_id: account.user,
        role: grant.role,
        facility: place("facility", grant.facility)?,
        department: place("department", grant.department)?,
        starts_at: grant.starts_at.and_then(Moment::text),
        ends_at: grant.ends_at.and_then(Moment::text),
        actor: account.actor(),
    };
    let written = account.send_access(&command).await?;
    Ok(written.respond_placed(|answer| Placed {
        location: format!("/api/v1/users/{}/grants", account.user),
        created: true,
        view: Applied::with(answer),
    }))
}

/// What a role gives; nothing when there is no such role, which the worker then says.
async fn given_by(state: &ApiState, who: &Identity, role: &str) -> Result<Vec<String>, Problem> {
    if let Some(role) = built_in::find(role) {
        return Ok(role.permissions.clone());
    }
    let mut tx = state.read(&who.tenant).await?;
    Ok(queries::role(tx.conn(), role)
        .await?
        .map(|role| role.permissions)
        .unwrap_or_default())
}

/// Why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "moved to another ward" }))]
struct GrantEnd {
    reason: String,
}

/// End a grant
///
/// What it gave is gone within seconds, also for tokens that are about.
#[utoipa::path(post, path = "/grants/{id}/end", tag = "users", params(("id" = Uuid, Path, description = "the grant")),
    request_body = GrantEnd, security(("bearer" = ["grants:manage"])),
    responses(
        (status = 200, description = "it has ended", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or it gives what you do not have (`grants.exceeds_own`)"),
        (status = 404, description = "no grant has this id (`grants.unknown`)")))]
async fn end(
    can: Can<GrantsManage>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    Body(end): Body<GrantEnd>,
) -> Result<Response, Problem> {
    let grant = {
        let mut tx = state.read(&can.who.tenant).await?;
        queries::grant(tx.conn(), id).await?
    }
    .ok_or_else(|| Problem::unknown("grants.unknown", "no grant has this id"))?;
    let given = given_by(&state, &can.who, &grant.role).await?;
    within_own(&can.who, &given)?;
    let command = EndGrant {
        grant_id: id,
        reason: super::reason(end.reason)?,
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send_access(sign_in::aggregate(grant.user_id), &command)
        .await?;
    Ok(written.respond(Applied::with))
}
