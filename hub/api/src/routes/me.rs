//! One's own affairs: who am I, my password, my sessions, my second factor. No permission is needed.

use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemas::identity::{ConfirmFactor, EndSessions, EnrolFactor, RemoveFactor, SetPassword};
use serde::Deserialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;
use worker_identity::queries;

use crate::auth::identity::Identity;
use crate::auth::permission::SignedIn;
use crate::auth::sign_in::{self, Origin, Shown};
use crate::auth::throttle::Try;
use crate::auth::{password, policy, secrets, totp};
use crate::command::{Accepted, Asking, Sender};
use crate::extract::{Body, Segment};
use crate::page::Page;
use crate::problem::Problem;
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::identity::{HeldPermission, Me, RecoveryCodes, Session, TotpSecret};
use crate::views::integration::Applied;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(me))
        .routes(routes!(change_password))
        .routes(routes!(sessions))
        .routes(routes!(end_session))
        .routes(routes!(enrol))
        .routes(routes!(confirm))
        .routes(routes!(remove))
}

/// The user; a program has no affairs of its own.
fn user_of(who: &Identity) -> Result<Uuid, Problem> {
    who.user_id().ok_or_else(|| {
        Problem::new(
            StatusCode::FORBIDDEN,
            "auth.person",
            "this is for people; an API client is managed at /clients",
        )
    })
}

/// Who am I
///
/// And what may I do at this moment, and where.
#[utoipa::path(get, path = "/me", tag = "sign-in", security(("bearer" = [])),
    responses(
        (status = 200, description = "the caller", body = Me),
        (status = 401, description = "no token, or one that is not valid any more (`auth.token`)")))]
async fn me(SignedIn(who): SignedIn) -> Json<Me> {
    Json(Me {
        id: who.id,
        tenant: who.tenant.to_string(),
        amr: who.amr.clone(),
        must_change_password: who.must_change_password(),
        permissions: who.held().into_iter().map(HeldPermission::of).collect(),
        username: who.username,
    })
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
    SignedIn(who): SignedIn,
    State(state): State<ApiState>,
    origin: Origin,
    trace: Trace,
    Body(change): Body<PasswordChange>,
) -> Result<Response, Problem> {
    let user = user_of(&who)?;
    let account = {
        let mut tx = state.read(&who.tenant).await?;
        let row = queries::user(tx.conn(), user).await?;
        let account = queries::account(tx.conn(), &who.username).await?;
        account.zip(row)
    };
    let (account, row) = account.ok_or_else(Problem::internal)?;
    let guess = guessing(&who, &origin);
    let name = guess.0.clone();
    let attempt = Try {
        user: &name,
        from: guess.1,
        known: None,
    };
    state
        .throttle
        .attempt(attempt, Instant::now())
        .map_err(too_many)?;
    let fits = change.current_password.len() <= password::MAX_PASSWORD
        && password::verify(
            change.current_password.clone(),
            Some(account.password_hash.clone()),
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
    state.throttle.succeeded(attempt);
    let known = [
        who.username.as_str(),
        &row.display_name,
        who.tenant.as_str(),
    ];
    let objection = if change.new_password == change.current_password {
        Some("is the one that was".to_owned())
    } else {
        policy::objection(&change.new_password, &known, account.factor_id.is_some())
    };
    if let Some(objection) = objection {
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "password.weak",
            format!("the new password {objection}"),
        ));
    }
    let command = SetPassword {
        user_id: user,
        password_hash: password::hash(change.new_password)
            .await
            .map_err(|_| Problem::internal())?,
        replaces: Some(secrets::hex_digest_of(&account.password_hash)),
        one_time_until: None,
        keep_session: who.session,
        actor: who.username.clone(),
    };
    let written = Sender::new(&state, &who, &trace)
        .send_access(sign_in::aggregate(user), &command)
        .await?;
    Ok(written.respond(Applied::with))
}

/// What is guessed with somebody's own token counts apart from sign-ins.
fn guessing(who: &Identity, origin: &Origin) -> (String, Option<std::net::IpAddr>) {
    (format!("me/{}/{}", who.tenant, who.username), origin.peer)
}

fn too_many(seconds: u64) -> Problem {
    let mut problem = Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "auth.throttled",
        format!("too many failures; try again in {seconds} seconds"),
    );
    problem.retry_after = Some(seconds);
    problem
}

/// List my sessions
#[utoipa::path(get, path = "/me/sessions", tag = "sign-in", security(("bearer" = [])),
    responses(
        (status = 200, description = "open ones, newest first; the list is whole", body = Page<Session>),
        (status = 401, description = "no token, or one that is not valid any more (`auth.token`)")))]
async fn sessions(
    SignedIn(who): SignedIn,
    State(state): State<ApiState>,
) -> Result<Json<Page<Session>>, Problem> {
    let user = user_of(&who)?;
    let mut tx = state.read(&who.tenant).await?;
    let rows = queries::sessions(tx.conn(), user, true).await?;
    Ok(Json(Page::whole(
        rows.into_iter()
            .map(|row| Session::of(row, who.session))
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
async fn end_session(
    SignedIn(who): SignedIn,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
) -> Result<Response, Problem> {
    let user = user_of(&who)?;
    let command = EndSessions {
        user_id: user,
        session_id: Some(id),
        reason: "ended_by_user".to_owned(),
        actor: who.username.clone(),
    };
    let written = Sender::new(&state, &who, &trace)
        .send_access(sign_in::aggregate(user), &command)
        .await?;
    Ok(written.respond(Applied::with))
}

/// Begin to enrol a second factor
///
/// A secret for an authenticator app (RFC 6238). It counts when its first code was sent to `/me/totp/confirm`.
#[utoipa::path(post, path = "/me/totp", tag = "sign-in", security(("bearer" = [])),
    responses(
        (status = 200, description = "the secret, this once", body = TotpSecret),
        (status = 202, description = "accepted, no outcome yet; begin again", body = Accepted),
        (status = 401, description = "no token, or one that is not valid any more (`auth.token`)"),
        (status = 409, description = "there is one already (`factors.exists`), or the hub has no secret that lasts (`auth.no_secret`)")))]
async fn enrol(
    SignedIn(who): SignedIn,
    State(state): State<ApiState>,
    trace: Trace,
) -> Result<Response, Problem> {
    let user = user_of(&who)?;
    let sealer = state.keys.sealer().ok_or_else(|| {
        Problem::new(
            StatusCode::CONFLICT,
            "auth.no_secret",
            "[api] token_secret is not set: what is sealed now could not be opened after a restart",
        )
    })?;
    let secret = totp::secret();
    let factor = Uuid::now_v7();
    let sealed = sealer
        .seal(&sign_in::belongs(factor), &secret)
        .map_err(|_| Problem::internal())?;
    let command = EnrolFactor {
        factor_id: factor,
        user_id: user,
        sealed: STANDARD.encode(sealed),
        actor: who.username.clone(),
    };
    let written = Sender::new(&state, &who, &trace)
        .send(sign_in::aggregate(user), &command)
        .await?;
    Ok(written.respond(|_| {
        let secret = totp::base32(&secret);
        TotpSecret {
            uri: totp::uri(&secret, who.tenant.as_str(), &who.username),
            secret,
        }
    }))
}

/// A code of the authenticator app.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "code": "492039" }))]
struct Code {
    #[schema(max_length = 32)]
    code: String,
}

/// Confirm a second factor
///
/// From now on sign-ins need it, and other sessions end. The recovery codes are shown this once; each is good once.
#[utoipa::path(post, path = "/me/totp/confirm", tag = "sign-in", request_body = Code, security(("bearer" = [])),
    responses(
        (status = 200, description = "it counts", body = RecoveryCodes),
        (status = 202, description = "accepted, no outcome yet; begin again", body = Accepted),
        (status = 401, description = "no token, or one that is not valid any more (`auth.token`)"),
        (status = 403, description = "the code does not fit (`auth.mfa`)"),
        (status = 404, description = "none waits to be confirmed (`factors.unknown`)")))]
async fn confirm(
    SignedIn(who): SignedIn,
    State(state): State<ApiState>,
    trace: Trace,
    Body(given): Body<Code>,
) -> Result<Response, Problem> {
    let user = user_of(&who)?;
    let factor = {
        let mut tx = state.read(&who.tenant).await?;
        queries::factor_of(tx.conn(), user, "pending").await?
    }
    .ok_or_else(no_factor)?;
    let secret = sign_in::open_secret(&state, &factor)?;
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let step = totp::step_of(&secret, &given.code, now, factor.last_step).ok_or_else(wrong_code)?;
    let codes = secrets::recovery_codes();
    let command = ConfirmFactor {
        factor_id: factor.id,
        user_id: user,
        step,
        recovery: codes
            .iter()
            .map(|code| secrets::hex_digest_of(code))
            .collect(),
        keep_session: who.session,
        actor: who.username.clone(),
    };
    let written = Sender::new(&state, &who, &trace)
        .send_access(sign_in::aggregate(user), &command)
        .await?;
    Ok(written.respond(|_| RecoveryCodes {
        recovery_codes: codes,
    }))
}

fn no_factor() -> Problem {
    Problem::unknown("factors.unknown", "there is no such second factor")
}

fn wrong_code() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "auth.mfa",
        "the code does not fit, or was used before",
    )
}

/// Remove my second factor
///
/// Needs a code of it, or a recovery code: whoever finds an open screen can't take it off.
#[utoipa::path(post, path = "/me/totp/remove", tag = "sign-in", request_body = Removal, security(("bearer" = [])),
    responses(
        (status = 200, description = "it is gone", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 401, description = "no token, or one that is not valid any more (`auth.token`)"),
        (status = 403, description = "the code does not fit (`auth.mfa`)"),
        (status = 404, description = "none is enrolled (`factors.unknown`)"),
        (status = 429, description = "too many failures (`auth.throttled`)")))]
async fn remove(
    SignedIn(who): SignedIn,
    State(state): State<ApiState>,
    origin: Origin,
    trace: Trace,
    Body(given): Body<Removal>,
) -> Result<Response, Problem> {
    let user = user_of(&who)?;
    let shown = match (&given.code, &given.recovery_code) {
        (Some(code), None) => Shown::Code(code),
        (None, Some(code)) => Shown::Recovery(code),
        _ => {
            return Err(Problem::invalid(
                "code",
                "give either code or recovery_code",
            ));
        }
    };
    let factor = {
        let mut tx = state.read(&who.tenant).await?;
        queries::factor_of(tx.conn(), user, "active").await?
    }
    .ok_or_else(no_factor)?;
    let (name, from) = guessing(&who, &origin);
    let attempt = Try {
        user: &name,
        from,
        known: None,
    };
    state
        .throttle
        .attempt(attempt, Instant::now())
        .map_err(too_many)?;
    let asking = Asking {
        state: &state,
        trace: &trace,
        tenant: &who.tenant,
        actor: &who.username,
    };
    if sign_in::prove(&state, &asking, &factor, shown)
        .await?
        .is_none()
    {
        return Err(wrong_code());
    }
    state.throttle.succeeded(attempt);
    let command = RemoveFactor {
        user_id: user,
        reason: "removed_by_user".to_owned(),
        actor: who.username.clone(),
    };
    let written = Sender::new(&state, &who, &trace)
        .send(sign_in::aggregate(user), &command)
        .await?;
    Ok(written.respond(Applied::with).into_response())
}

/// Either a code of the authenticator app or a recovery code.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "code": "492039" }))]
struct Removal {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    recovery_code: Option<String>,
}
