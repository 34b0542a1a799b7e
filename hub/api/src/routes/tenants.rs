//! Customers of the installation: made, changed, suspended, closed. For those who run it: users of the tenant `platform`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use schemas::TenantId;
use schemas::platform::{
    ChangeTenant, CreateTenant, DefinePlan, FirstAdministrator, PLATFORM, SetTenantState,
    TenantState,
};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_identity::queries::{self, TenantRow};
use worker_identity::tenants::aggregate;
use worker_identity::users::is_username;

use super::users::one_time;
use crate::auth::identity::Identity;
use crate::auth::permission::{Can, TenantsManage, TenantsRead};
use crate::command::{Accepted, Placed, Sender};
use crate::extract::{Body, Params, Segment};
use crate::if_match::{IfMatch, Seen, tagged};
use crate::page::{Cursor, Limit, Page};
use crate::problem::Problem;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::integration::Applied;
use crate::views::tenants::{NewTenant, Plan, Tenant};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(create))
        .routes(routes!(read))
        .routes(routes!(change))
        .routes(routes!(set_state))
        .routes(routes!(plans))
        .routes(routes!(read_plan))
        .routes(routes!(define_plan))
}

fn no_tenant() -> Problem {
    Problem::unknown("tenants.unknown", "there is no such tenant")
}

/// A customer's administrator may do everything in his hospital, and this is not in it.
fn only_platform(who: &Identity) -> Result<(), Problem> {
    if who.tenant.as_str() == PLATFORM {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "auth.platform",
        "this is for those who run the installation: users of the tenant `platform`",
    ))
}

async fn known(state: &ApiState, who: &Identity, id: &str) -> Result<TenantRow, Problem> {
    only_platform(who)?;
    let mut tx = state.read(&who.tenant).await?;
    queries::tenant(tx.conn(), id).await?.ok_or_else(no_tenant)
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Search {
    /// A state; all when absent.
    state: Option<String>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// List tenants
#[utoipa::path(get, path = "/platform/tenants", tag = "platform", params(Search), security(("bearer" = ["tenants:read"])),
    responses(
        (status = 200, description = "by id", body = Page<Tenant>),
        (status = 403, description = "the permission is missing (`auth.permission`), or you are not of the tenant `platform` (`auth.platform`)")))]
async fn list(
    can: Can<TenantsRead>,
    State(state): State<ApiState>,
    Params(search): Params<Search>,
) -> Result<Json<Page<Tenant>>, Problem> {
    only_platform(&can.who)?;
    if search
        .state
        .as_deref()
        .is_some_and(|state| TenantState::parse(state).is_none())
    {
        let all: Vec<&str> = TenantState::ALL
            .iter()
            .map(|state| state.as_str())
            .collect();
        return Err(Problem::invalid(
            "state",
            format!("must be one of: {}", all.join(", ")),
        ));
    }
    let after = Cursor::key::<String>(search.cursor.as_ref())?;
    let mut tx = state.read(&can.who.tenant).await?;
    let rows = queries::tenants(
        tx.conn(),
        search.state.as_deref(),
        after.as_deref(),
        search.limit.rows(),
    )
    .await?;
    let next = search
        .limit
        .is_full(rows.len())
        .then(|| rows.last().map(|row| row.tenant_id.clone()))
        .flatten();
    Ok(Json(Page::of(rows, next, Tenant::of)))
}

/// A new customer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "id": "apollo", "name": "Apollo Clinic", "plan": "trial", "provisioning_key": "crm-order-4711" }))]
struct TenantOrder {
    /// Stands in subjects and rows; never changed.
    #[schema(value_type = String, pattern = "^[a-z0-9][a-z0-9_-]{0,31}$")]
    id: TenantId,
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    plan: String,
    /// Over those of the plan; null takes one away.
    #[serde(default)]
    limits: BTreeMap<String, Option<u32>>,
    /// Whoever asks twice under one key gets one tenant.
    #[schema(min_length = 1, max_length = 200)]
    provisioning_key: String,
    /// Note it only: nobody can sign in until the same key comes again without this.
    #[serde(default)]
    draft: bool,
    /// User name of the first person. Default: `admin`.
    #[serde(default)]
    administrator: Option<String>,
}

fn name_of(text: &str) -> Result<String, Problem> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > 200 || text.chars().any(char::is_control) {
        return Err(Problem::invalid(
            "name",
            "must have from 1 to 200 characters, none of them a control character",
        ));
    }
    Ok(text.to_owned())
}

/// Make a tenant
///
/// With its first administrator, whose one-time password is shown this once. It begins its trial. Repeating the request with the
/// same provisioning key makes nothing and tells what stands.
#[utoipa::path(post, path = "/platform/tenants", tag = "platform", request_body = TenantOrder, security(("bearer" = ["tenants:manage"])),
    responses(
        (status = 201, description = "made; Location is the tenant", body = NewTenant),
        (status = 200, description = "this key has made it before", body = NewTenant),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or you are not of the tenant `platform` (`auth.platform`)"),
        (status = 409, description = "the id was given under another key (`tenants.exists`), or the key to another id (`tenants.key_in_use`)"),
        (status = 422, description = "there is no such plan (`tenants.plan`) or limit (`tenants.limit_name`)")))]
async fn create(
    can: Can<TenantsManage>,
    State(state): State<ApiState>,
    trace: Trace,
    Body(order): Body<TenantOrder>,
) -> Result<Response, Problem> {
    only_platform(&can.who)?;
    let username = order.administrator.unwrap_or_else(|| "admin".to_owned());
    if !is_username(&username) {
        return Err(Problem::invalid(
            "administrator",
            "must be 2 to 64 of a-z, 0-9, `.`, `_`, `-` and `@`, beginning with a letter or digit",
        ));
    }
    let made = one_time().await?;
    let administrator = (!order.draft).then(|| FirstAdministrator {
        user_id: Uuid::now_v7(),
        username: username.clone(),
        display_name: "Administrator".to_owned(),
        password_hash: made.hash,
        one_time_until: made.until_text,
    });
    let command = CreateTenant {
        tenant: order.id.clone(),
        name: name_of(&order.name)?,
        plan: order.plan,
        limits: order.limits,
        provisioning_key: order.provisioning_key,
        administrator,
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send_access(aggregate(&order.id), &command)
        .await?;
    Ok(written.respond_placed(|answer| {
        let answer = answer.unwrap_or_default();
        let is = |name: &str| answer[name].as_bool().unwrap_or(false);
        let provisioned = is("provisioned");
        Placed {
            location: format!("/api/v1/platform/tenants/{}", order.id),
            created: is("created"),
            view: NewTenant {
                id: order.id.to_string(),
                state: answer["state"].as_str().unwrap_or_default().to_owned(),
                created: is("created"),
                administrator: provisioned.then_some(username),
                one_time_password: provisioned.then_some(made.password),
            },
        }
    }))
}

/// Read a tenant
#[utoipa::path(get, path = "/platform/tenants/{id}", tag = "platform", params(("id" = String, Path, description = "the tenant")),
    security(("bearer" = ["tenants:read"])),
    responses(
        (status = 200, description = "the tenant; ETag is the version", body = Tenant),
        (status = 403, description = "the permission is missing (`auth.permission`), or you are not of the tenant `platform` (`auth.platform`)"),
        (status = 404, description = "there is no such tenant (`tenants.unknown`)")))]
async fn read(
    can: Can<TenantsRead>,
    State(state): State<ApiState>,
    Segment(id): Segment<String>,
) -> Result<Response, Problem> {
    let tenant = Tenant::of(known(&state, &can.who, &id).await?);
    Ok(tagged(&tenant, tenant.version))
}

/// What changes; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "plan": "unlimited", "limits": { "users": 40 } }))]
struct TenantChange {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    plan: Option<String>,
    /// All of the tenant's own.
    #[serde(default)]
    limits: Option<BTreeMap<String, Option<u32>>>,
}

/// Change a tenant's name, plan or limits
///
/// With `If-Match` only when nobody changed it meanwhile. Holds in every process within ten seconds.
#[utoipa::path(patch, path = "/platform/tenants/{id}", tag = "platform", params(("id" = String, Path, description = "the tenant"),
        ("If-Match" = Option<String>, Header, description = "ETag of the version that was seen")),
    request_body = TenantChange, security(("bearer" = ["tenants:manage"])),
    responses(
        (status = 200, description = "changed", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or you are not of the tenant `platform` (`auth.platform`)"),
        (status = 404, description = "there is no such tenant (`tenants.unknown`)"),
        (status = 412, description = "somebody changed it meanwhile (`tenants.stale`)"),
        (status = 422, description = "there is no such plan (`tenants.plan`) or limit (`tenants.limit_name`)")))]
async fn change(
    can: Can<TenantsManage>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<String>,
    IfMatch(version): IfMatch,
    Body(change): Body<TenantChange>,
) -> Result<Response, Problem> {
    let tenant = token(&known(&state, &can.who, &id).await?)?;
    let command = ChangeTenant {
        tenant: tenant.clone(),
        name: change.name.as_deref().map(name_of).transpose()?,
        plan: change.plan,
        limits: change.limits,
        version,
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send_access(aggregate(&tenant), &command)
        .await?;
    Ok(written.respond(Applied::with))
}

fn token(row: &TenantRow) -> Result<TenantId, Problem> {
    TenantId::new(row.tenant_id.as_str()).map_err(|_| no_tenant())
}

/// Where a tenant goes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "state": "suspended", "reason": "three invoices unpaid" }))]
struct TenantStep {
    /// `trial`, `active`, `past_due`, `suspended`, `closed`
    #[schema(value_type = String)]
    state: TenantState,
    reason: String,
}

/// Move a tenant to another state
///
/// Suspended: what it has can be read, what instruments send is filed, nothing else is written. Closed: nobody can sign in; before that
/// everything is exported (`hub tenant export`) while it is suspended. What instruments send is kept in every state.
#[utoipa::path(post, path = "/platform/tenants/{id}/state", tag = "platform", params(("id" = String, Path, description = "the tenant")),
    request_body = TenantStep, security(("bearer" = ["tenants:manage"])),
    responses(
        (status = 200, description = "it is so now", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or you are not of the tenant `platform` (`auth.platform`)"),
        (status = 404, description = "there is no such tenant (`tenants.unknown`)"),
        (status = 409, description = "no way leads there from its state (`tenants.state_conflict`), or it was not exported (`tenants.export_conflict`)")))]
async fn set_state(
    can: Can<TenantsManage>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<String>,
    Body(step): Body<TenantStep>,
) -> Result<Response, Problem> {
    let tenant = token(&known(&state, &can.who, &id).await?)?;
    let command = SetTenantState {
        tenant: tenant.clone(),
        state: step.state,
        reason: super::reason(step.reason)?,
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send_access(aggregate(&tenant), &command)
        .await?;
    Ok(written.respond(Applied::with))
}

/// List plans
#[utoipa::path(get, path = "/platform/plans", tag = "platform", security(("bearer" = ["tenants:read"])),
    responses(
        (status = 200, description = "by code; the list is whole", body = Page<Plan>),
        (status = 403, description = "the permission is missing (`auth.permission`), or you are not of the tenant `platform` (`auth.platform`)")))]
async fn plans(
    can: Can<TenantsRead>,
    State(state): State<ApiState>,
) -> Result<Json<Page<Plan>>, Problem> {
    only_platform(&can.who)?;
    let mut tx = state.read(&can.who.tenant).await?;
    let rows = queries::plans(tx.conn()).await?;
    Ok(Json(Page::whole(rows.into_iter().map(Plan::of).collect())))
}

/// What a plan gives.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "Clinic", "limits": { "users": 40, "api_per_minute": 12000 }, "features": ["lab"] }))]
struct PlanOrder {
    name: String,
    /// What is absent is not limited.
    #[serde(default)]
    limits: BTreeMap<String, Option<u32>>,
    /// Parts of the product that apps show (`appointments`, `pharmacy` …): every user of the tenant reads them at `GET /api/v1/me`.
    /// The hub itself refuses nothing for them.
    #[serde(default)]
    features: Vec<String>,
}

/// Names of features are codes that apps compare: in lower case, each once.
fn features(mut given: Vec<String>) -> Result<Vec<String>, Problem> {
    let is_code = |name: &String| {
        (1..=40).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    if given.len() > 100 || !given.iter().all(is_code) {
        return Err(Problem::invalid(
            "features",
            "are at most 100 names of 1 to 40 of a-z, 0-9 and _",
        ));
    }
    given.sort_unstable();
    given.dedup();
    Ok(given)
}

/// Read a plan
#[utoipa::path(get, path = "/platform/plans/{id}", tag = "platform", params(("id" = String, Path, description = "the plan's code")),
    security(("bearer" = ["tenants:read"])),
    responses(
        (status = 200, description = "the plan; ETag is the version", body = Plan),
        (status = 403, description = "the permission is missing (`auth.permission`), or you are not of the tenant `platform` (`auth.platform`)"),
        (status = 404, description = "there is no such plan (`plans.unknown`)")))]
async fn read_plan(
    can: Can<TenantsRead>,
    State(state): State<ApiState>,
    Segment(code): Segment<String>,
) -> Result<Response, Problem> {
    only_platform(&can.who)?;
    let mut tx = state.read(&can.who.tenant).await?;
    let plan = queries::plan(tx.conn(), &code)
        .await?
        .map(Plan::of)
        .ok_or_else(|| Problem::unknown("plans.unknown", "there is no such plan"))?;
    Ok(tagged(&plan, plan.version))
}

/// Make or change a plan
///
/// Changing wants `If-Match`, making has none. It holds for every tenant that has it, within ten seconds. Limits there are: `users`, `api_per_minute`.
#[utoipa::path(put, path = "/platform/plans/{id}", tag = "platform", params(("id" = String, Path, description = "the plan's code"),
        ("If-Match" = Option<String>, Header, description = "ETag of the version that was seen; absent when it is made")),
    request_body = PlanOrder, security(("bearer" = ["tenants:manage"])),
    responses(
        (status = 200, description = "it is so now", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or you are not of the tenant `platform` (`auth.platform`)"),
        (status = 412, description = "somebody changed it meanwhile (`plans.stale`)"),
        (status = 422, description = "the code has not the form (`plans.code_form`), or there is no such limit (`tenants.limit_name`)")))]
async fn define_plan(
    can: Can<TenantsManage>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(code): Segment<String>,
    seen: Seen,
    Body(plan): Body<PlanOrder>,
) -> Result<Response, Problem> {
    only_platform(&can.who)?;
    let is_there = {
        let mut tx = state.read(&can.who.tenant).await?;
        queries::plan(tx.conn(), &code).await?.is_some()
    };
    let command = DefinePlan {
        version: seen.of_definition(is_there, "plans.stale")?,
        code: code.clone(),
        name: name_of(&plan.name)?,
        limits: plan.limits,
        features: features(plan.features)?,
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send_access(format!("plan:{code}"), &command)
        .await?;
    Ok(written.respond(Applied::with))
}
