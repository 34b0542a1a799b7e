//! One's own affairs: who am I, my password, my sessions. No permission is needed.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use schemas::identity::{EndSessions, SetPassword};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_identity::queries::{self, TenantRow};

use super::account::Own;
use crate::auth::Access;
use crate::auth::identity::Identity;
use crate::auth::permission::{Permission as _, SignedIn, UsersRead};
use crate::auth::sign_in::Origin;
use crate::auth::{password, policy, secrets};
use crate::command::Accepted;
use crate::extract::{Body, Segment};
use crate::page::Page;
use crate::problem::Problem;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::views::identity::{HeldPermission, Me, Session};
use crate::views::integration::Applied;
use crate::views::tenants::PlanLimit;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(me))
        .routes(routes!(change_password))
        .routes(routes!(sessions))
        .routes(routes!(end_session))
}

/// The user; a program has no affairs of its own.
pub(super) fn user_of(who: &Identity) -> Result<Uuid, Problem> {
    who.user_id().ok_or_else(|| {
        Problem::new(
            StatusCode::FORBIDDEN,
            "auth.person",
            "this is for people; an API client is managed at /clients",
        )
    })
}

/// What is guessed with somebody's own token counts apart from sign-ins.
pub(super) fn guessing(who: &Identity) -> String {
    format!("me/{}/{}", who.tenant, who.username)
}

/// Who am I
///
/// And what may I do at this moment, and where, and what of the product my hospital's plan shows. Who may see users in the whole
/// hospital also sees what the plan limits.
#[utoipa::path(get, path = "/me", tag = "sign-in", security(("bearer" = [])),
    responses(
        (status = 200, description = "the caller", body = Me),
        (status = 401, description = "no token, or one that is not valid any more (`auth.token`)")))]
async fn me(SignedIn(who): SignedIn, State(state): State<ApiState>) -> Result<Json<Me>, Problem> {
    // a tenant that the start has not written down yet has no plan
    let tenant = Access::tenant(&state, &who.tenant).await?;
    let (features, plan_limits) = match &*tenant {
        Some(row) => (row.features.clone(), plan_limits(&state, &who, row).await?),
        None => (Vec::new(), Vec::new()),
    };
    Ok(Json(Me {
        features,
        plan_limits,
        id: who.id,
        tenant: who.tenant.to_string(),
        amr: who.amr.clone(),
        must_change_password: who.must_change_password(),
        permissions: who.held().into_iter().map(HeldPermission::of).collect(),
        username: who.username,
    }))
}

async fn plan_limits(
    state: &ApiState,
    who: &Identity,
    plan: &TenantRow,
) -> Result<Vec<PlanLimit>, Problem> {
    let mut limits = Vec::new();
    if !who.may(UsersRead::NAME) {
        return Ok(limits);
    }
    if let Some(most) = plan.limit("users") {
        let mut tx = state.read(&who.tenant).await?;
        let used = queries::counted_users(tx.conn(), None).await?;
        limits.push(PlanLimit::of("users", used, most));
    }
    if let Some(most) = plan.limit("api_per_minute") {
        let used = state.counts.asked(&who.tenant);
        limits.push(PlanLimit::of("api_per_minute", used, most));
    }
    Ok(limits)
}

/// The password that was, and the one that shall be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "current_password": "kW7pZ2mXq9RtB4vNcY6d", "new_password": "blue kettle under the stairs" }))]
struct PasswordChange {
    #[schema(max_length = 1024)]
    current_password: String,
    #[schema(max_length = 1024)]
    new_password: String,
}

/// Change my password
///
/// At least 15 characters (8 with a second factor), none that everybody tries, no rule about kinds of characters. Ends all
/// other sessions.
#[utoipa::path(post, path = "/me/password", tag = "sign-in", request_body = PasswordChange, security(("bearer" = [])),
    responses(
        (status = 200, description = "changed", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 401, description = "no token, or one that is not valid any more (`auth.token`)"),
        (status = 403, description = "the current password does not fit (`auth.password`)"),
        (status = 422, description = "the new one is none (`password.weak`); the detail says why"),
        (status = 429, description = "too many failures (`auth.throttled`)")))]
async fn change_password(
    Own(account): Own,
    origin: Origin,
    Body(change): Body<PasswordChange>,
) -> Result<Response, Problem> {
    let who = &account.who;
    let on_file = {
        let mut tx = account.tx().await?;
        let row = queries::user(tx.conn(), account.user).await?;
        queries::account(tx.conn(), &who.username).await?.zip(row)
    };
    let (on_file, row) = on_file.ok_or_else(Problem::internal)?;
    let name = guessing(who);
    let attempt = origin.attempt(&account.state, &name, None)?;
    let fits = change.current_password.len() <= password::MAX_PASSWORD
        && password::verify(
            change.current_password.clone(),
            Some(on_file.password_hash.clone()),
        )
        .await
        .map_err(|_| Problem::internal())?;
    if !fits {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "auth.password",
            "the current password does not fit",
        ));
    }
    account.state.throttle.succeeded(attempt);
    let known = [
        who.username.as_str(),
        &row.display_name,
        who.tenant.as_str(),
    ];
    let objection = if change.new_password == change.current_password {
        Some("is the one that was".to_owned())
    } else {
        policy::objection(&change.new_password, &known, on_file.factor_id.is_some())
    };
    if let Some(objection) = objection {
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "password.weak",
            format!("the new password {objection}"),
        ));
    }
    let command = SetPassword {
        user_id: account.user,
        password_hash: password::hash(change.new_password)
            .await
            .map_err(|_| Problem::internal())?,
        replaces: Some(secrets::hex_digest_of(&on_file.password_hash)),
        one_time_until: None,
        keep_session: who.session,
        actor: account.actor(),
    };
    Ok(account.send_access(&command).await?.respond(Applied::with))
}

/// List my sessions
#[utoipa::path(get, path = "/me/sessions", tag = "sign-in", security(("bearer" = [])),
    responses(
        (status = 200, description = "open ones, newest first; the list is whole", body = Page<Session>),
        (status = 401, description = "no token, or one that is not valid any more (`auth.token`)")))]
async fn sessions(Own(account): Own) -> Result<Json<Page<Session>>, Problem> {
    let mut tx = account.tx().await?;
    let rows = queries::sessions(tx.conn(), account.user, true).await?;
    Ok(Json(Page::whole(
        rows.into_iter()
            .map(|row| Session::of(row, account.who.session))
            .collect(),
    )))
}

/// End one of my sessions
#[utoipa::path(post, path = "/me/sessions/{id}/end", tag = "sign-in", params(("id" = Uuid, Path, description = "the session")),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "it has ended", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 401, description = "no token, or one that is not valid any more (`auth.token`)"),
        (status = 404, description = "no session of yours has this id (`sessions.unknown`)")))]
async fn end_session(Own(account): Own, Segment(id): Segment<Uuid>) -> Result<Response, Problem> {
    let command = EndSessions {
        user_id: account.user,
        session_id: Some(id),
        reason: "ended_by_user".to_owned(),
        actor: account.actor(),
    };
    Ok(account.send_access(&command).await?.respond(Applied::with))
}
