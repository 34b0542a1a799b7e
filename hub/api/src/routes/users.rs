//! Users, as administrators see them.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemas::identity::{
    ChangeUser, CreateUser, EndSessions, RemoveFactor, SetPassword, SetUserState, UserState,
};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_identity::queries;
use worker_identity::users::is_username;

use super::account::OfUser;
use crate::auth::permission::{Can, UsersManage, UsersRead};
use crate::auth::{password, secrets, sign_in};
use crate::command::{Accepted, Placed, Sender};
use crate::extract::{Body, Params};
use crate::if_match::{IfMatch, tagged};
use crate::page::{Cursor, Limit, Page};
use crate::problem::Problem;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::identity::{OneTimePassword, Session, User};
use crate::views::integration::Applied;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(create))
        .routes(routes!(read))
        .routes(routes!(change))
        .routes(routes!(set_state))
        .routes(routes!(reset_password))
        .routes(routes!(remove_factor))
        .routes(routes!(sessions))
        .routes(routes!(end_sessions))
}

/// A one-time password is good for this long.
const ONE_TIME: time::Duration = time::Duration::hours(72);

/// A name for people: 1 to 200 characters, none of them a control character.
fn display_name(text: &str) -> Result<String, Problem> {
    let text = text.trim().to_owned();
    if text.is_empty() || text.chars().count() > 200 {
        return Err(Problem::invalid(
            "display_name",
            "must have from 1 to 200 characters",
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(Problem::invalid(
            "display_name",
            "holds a control character",
        ));
    }
    Ok(text)
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Search {
    /// `active`, `locked`, `disabled`; all when absent.
    state: Option<String>,
    /// Beginning of the user name, or part of the display name.
    name: Option<String>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// List users
///
/// Those who work here: log-ins of patients are listed at their patients (`GET /patients/{id}/login`).
#[utoipa::path(get, path = "/users", tag = "users", params(Search), security(("bearer" = ["users:read"])),
    responses((status = 200, description = "by user name", body = Page<User>)))]
async fn list(
    can: Can<UsersRead>,
    State(state): State<ApiState>,
    Params(search): Params<Search>,
) -> Result<Json<Page<User>>, Problem> {
    let wanted = match search.state.as_deref() {
        None | Some("all") => None,
        Some(state) if ["active", "locked", "disabled"].contains(&state) => Some(state),
        Some(_) => {
            return Err(Problem::invalid(
                "state",
                "must be one of: active, locked, disabled, all",
            ));
        }
    };
    let after = Cursor::key::<String>(search.cursor.as_ref())?;
    let mut tx = state.read(&can.who.tenant).await?;
    let rows = queries::users(
        tx.conn(),
        wanted,
        search.name.as_deref(),
        after.as_deref(),
        search.limit.rows(),
    )
    .await?;
    let next = search
        .limit
        .is_full(rows.len())
        .then(|| rows.last().map(|row| row.username.clone()))
        .flatten();
    Ok(Json(Page::of(rows, next, User::of)))
}

/// A new user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "username": "asha.sharma", "display_name": "Asha Sharma" }))]
struct NewUser {
    /// 2 to 64 of `a-z 0-9 . _ - @`; never changed.
    #[schema(
        min_length = 2,
        max_length = 64,
        pattern = "^[a-z0-9][a-z0-9._@-]{1,63}$"
    )]
    username: String,
    #[schema(min_length = 1, max_length = 200)]
    display_name: String,
}

/// Make a user
///
/// Answers with a one-time password, shown this once, which must be changed at the first sign-in within 72 hours. The user
/// may do nothing until a grant is given.
#[utoipa::path(post, path = "/users", tag = "users", request_body = NewUser, security(("bearer" = ["users:manage"])),
    responses(
        (status = 201, description = "made; Location is the user", body = OneTimePassword),
        (status = 202, description = "accepted, no outcome yet; reset the password when it is done", body = Accepted),
        (status = 409, description = "somebody has, or had, this name (`users.username_exists`)")))]
async fn create(
    can: Can<UsersManage>,
    State(state): State<ApiState>,
    trace: Trace,
    Body(user): Body<NewUser>,
) -> Result<Response, Problem> {
    if !is_username(&user.username) {
        return Err(Problem::invalid(
            "username",
            "must be 2 to 64 of a-z, 0-9, `.`, `_`, `-` and `@`, beginning with a letter or digit",
        ));
    }
    let display_name = display_name(&user.display_name)?;
    let (id, made) = (Uuid::now_v7(), one_time().await?);
    let command = CreateUser {
        user_id: id,
        username: user.username,
        display_name,
        password_hash: made.hash,
        one_time_until: made.until_text,
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send_access(sign_in::aggregate(id), &command)
        .await?;
    Ok(written.respond_placed(|_| Placed {
        location: format!("/api/v1/users/{id}"),
        created: true,
        view: OneTimePassword {
            id,
            one_time_password: made.password,
            expires_at: made.until,
        },
    }))
}

pub(super) struct OneTime {
    pub(super) password: String,
    pub(super) hash: String,
    pub(super) until: OffsetDateTime,
    pub(super) until_text: String,
}

pub(super) async fn one_time() -> Result<OneTime, Problem> {
    let password = secrets::one_time_password();
    let until = OffsetDateTime::now_utc() + ONE_TIME;
    Ok(OneTime {
        hash: password::hash(password.clone())
            .await
            .map_err(|_| Problem::internal())?,
        until_text: until.format(&Rfc3339).map_err(|_| Problem::internal())?,
        password,
        until,
    })
}

/// Read a user
#[utoipa::path(get, path = "/users/{id}", tag = "users", params(("id" = Uuid, Path, description = "the user")),
    security(("bearer" = ["users:read"])),
    responses(
        (status = 200, description = "the user; ETag is the version", body = User),
        (status = 404, description = "no user has this id (`users.unknown`)")))]
async fn read(OfUser { account, .. }: OfUser<UsersRead>) -> Result<Response, Problem> {
    let user = User::of(account.known().await?);
    Ok(tagged(&user, user.version))
}

/// What changes of a user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "display_name": "Asha Sharma-Rao" }))]
struct UserChange {
    #[schema(min_length = 1, max_length = 200)]
    display_name: String,
}

/// Change a user
///
/// Only when nobody changed it since the version that `If-Match` names.
#[utoipa::path(patch, path = "/users/{id}", tag = "users",
    params(("id" = Uuid, Path, description = "the user"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = UserChange, security(("bearer" = ["users:manage"])),
    responses(
        (status = 200, description = "changed", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or the user may do more than you (`users.outranked`)"),
        (status = 404, description = "no user has this id (`users.unknown`)"),
        (status = 412, description = "somebody changed it meanwhile (`users.stale`)")))]
async fn change(
    OfUser { account, .. }: OfUser<UsersManage>,
    IfMatch(version): IfMatch,
    Body(change): Body<UserChange>,
) -> Result<Response, Problem> {
    let display_name = display_name(&change.display_name)?;
    account.outranks().await?;
    let command = ChangeUser {
        user_id: account.user,
        display_name,
        version,
        actor: account.actor(),
    };
    Ok(account.send(&command).await?.respond(Applied::with))
}

/// May he come in, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "state": "disabled", "reason": "left on 31 January" }))]
struct StateChange {
    /// `active`, `locked`, `disabled`
    #[schema(value_type = String)]
    state: UserState,
    reason: String,
}

/// Lock, unlock, disable or enable a user
///
/// Whoever is not active is out within seconds, with all sessions. `active` also forgives failed sign-ins. Nobody does it
/// to himself.
#[utoipa::path(post, path = "/users/{id}/state", tag = "users", params(("id" = Uuid, Path, description = "the user")),
    request_body = StateChange, security(("bearer" = ["users:manage"])),
    responses(
        (status = 200, description = "done", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), the user may do more than you (`users.outranked`), or is you \
            (`users.own_state_not_allowed`)"),
        (status = 404, description = "no user has this id (`users.unknown`)"),
        (status = 409, description = "it was a patient's log-in and was ended for good (`logins.ended_conflict`)")))]
async fn set_state(
    OfUser { account, .. }: OfUser<UsersManage>,
    Body(change): Body<StateChange>,
) -> Result<Response, Problem> {
    let user = account.known().await?;
    account.outranks().await?;
    let command = SetUserState {
        user_id: account.user,
        state: change.state,
        reason: super::reason(change.reason)?,
        actor: account.actor(),
    };
    let written = account.send_access(&command).await?;
    if change.state == UserState::Active {
        account
            .state
            .throttle
            .forgive(&format!("{}/{}", account.who.tenant, user.username));
    }
    Ok(written.respond(Applied::with))
}

/// Reset a user's password
///
/// Answers with a one-time password, shown this once, which must be changed at the next sign-in within 72 hours. Ends all
/// sessions of the user. A second factor stays. Nobody does it to himself.
#[utoipa::path(post, path = "/users/{id}/reset-password", tag = "users", params(("id" = Uuid, Path, description = "the user")),
    security(("bearer" = ["users:manage"])),
    responses(
        (status = 200, description = "reset", body = OneTimePassword),
        (status = 202, description = "accepted, no outcome yet; reset it again when it is done", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), the user may do more than you (`users.outranked`), or is \
            you (`users.own_not_allowed`)"),
        (status = 404, description = "no user has this id (`users.unknown`)")))]
async fn reset_password(OfUser { account, .. }: OfUser<UsersManage>) -> Result<Response, Problem> {
    account.outranks_another().await?;
    let made = one_time().await?;
    let command = SetPassword {
        user_id: account.user,
        password_hash: made.hash,
        replaces: None,
        one_time_until: Some(made.until_text),
        keep_session: None,
        actor: account.actor(),
    };
    let written = account.send_access(&command).await?;
    Ok(written.respond(|_| OneTimePassword {
        id: account.user,
        one_time_password: made.password,
        expires_at: made.until,
    }))
}

/// Why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "telephone lost, identity checked in person" }))]
struct Why {
    reason: String,
}

/// Remove a user's second factor
///
/// For a telephone that is lost together with the recovery codes. Nobody does it to himself.
#[utoipa::path(post, path = "/users/{id}/remove-second-factor", tag = "users", params(("id" = Uuid, Path, description = "the user")),
    request_body = Why, security(("bearer" = ["users:manage"])),
    responses(
        (status = 200, description = "it is gone", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), the user may do more than you (`users.outranked`), or is \
            you (`users.own_not_allowed`)"),
        (status = 404, description = "no user has this id (`users.unknown`), or none is enrolled (`factors.unknown`)")))]
async fn remove_factor(
    OfUser { account, .. }: OfUser<UsersManage>,
    Body(why): Body<Why>,
) -> Result<Response, Problem> {
    account.outranks_another().await?;
    let command = RemoveFactor {
        user_id: account.user,
        reason: super::reason(why.reason)?,
        actor: account.actor(),
    };
    Ok(account.send_access(&command).await?.respond(Applied::with))
}

/// List a user's sessions
#[utoipa::path(get, path = "/users/{id}/sessions", tag = "users", params(("id" = Uuid, Path, description = "the user")),
    security(("bearer" = ["users:read"])),
    responses(
        (status = 200, description = "newest first, also ended ones; at most 500", body = Page<Session>),
        (status = 404, description = "no user has this id (`users.unknown`)")))]
async fn sessions(
    OfUser { account, .. }: OfUser<UsersRead>,
) -> Result<Json<Page<Session>>, Problem> {
    account.known().await?;
    let mut tx = account.tx().await?;
    let rows = queries::sessions(tx.conn(), account.user, false).await?;
    Ok(Json(Page::whole(
        rows.into_iter()
            .map(|row| Session::of(row, account.who.session))
            .collect(),
    )))
}

/// End all sessions of a user
#[utoipa::path(post, path = "/users/{id}/end-sessions", tag = "users", params(("id" = Uuid, Path, description = "the user")),
    request_body = Why, security(("bearer" = ["users:manage"])),
    responses(
        (status = 200, description = "they have ended", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or the user may do more than you (`users.outranked`)"),
        (status = 404, description = "no user has this id (`users.unknown`)")))]
async fn end_sessions(
    OfUser { account, .. }: OfUser<UsersManage>,
    Body(why): Body<Why>,
) -> Result<Response, Problem> {
    account.outranks().await?;
    let command = EndSessions {
        user_id: account.user,
        session_id: None,
        reason: super::reason(why.reason)?,
        actor: account.actor(),
    };
    Ok(account.send_access(&command).await?.respond(Applied::with))
}
