//! The second factor: asked for at sign-in, enrolled, confirmed and removed by its owner.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemas::identity::{ConfirmFactor, EnrolFactor, RemoveFactor};
use serde::Deserialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_identity::queries::{self, Factor};

use super::account::{Account, Own};
use super::me::guessing;
use super::proof::{Proven, WithProof};
use crate::auth::sign_in::{self, Origin, Proved, Shown, Tokens, by_password, may_come_in_by};
use crate::auth::tokens::{self, Bearer, Kind, Purpose};
use crate::auth::{secrets, totp};
use crate::command::{Accepted, Asking, Sender};
use crate::extract::Body;
use crate::problem::Problem;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::identity::{RecoveryCodes, TotpSecret};
use crate::views::integration::Applied;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(sign_in_with))
        .routes(routes!(enrol))
        .routes(routes!(confirm))
        .routes(routes!(remove))
}

/// The second factor: either a code of the authenticator app or a recovery code.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "ticket": "eyJ0eXAiOiJKV1Qi…", "code": "492039" }))]
pub(crate) struct SecondFactor {
    /// `mfa_ticket` of the sign-in.
    #[schema(max_length = 4096)]
    ticket: String,
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    recovery_code: Option<String>,
}

/// Sign in: second factor
///
/// A code is good once (RFC 6238 §5.2), a step early or late. A recovery code is good once and then never.
#[utoipa::path(post, path = "/auth/mfa", tag = "sign-in", request_body = SecondFactor, security(()),
    responses(
        (status = 200, description = "signed in", body = Tokens),
        (status = 401, description = "the code does not fit or was used (`auth.mfa`), or the ticket is none any more (`auth.ticket`)"),
        (status = 429, description = "too many failures (`auth.throttled`); Retry-After tells how long"),
    ))]
async fn sign_in_with(
    State(state): State<ApiState>,
    origin: Origin,
    trace: Trace,
    Body(given): Body<SecondFactor>,
) -> Result<Json<Tokens>, Problem> {
    let shown = Shown::either(given.code.as_deref(), given.recovery_code.as_deref())?;
    let bearer = proved_before(&state, &given.ticket).await?;
    let name = format!("mfa/{}/{}", bearer.tenant, bearer.name);
    let who = origin.attempt(&state, &name, None)?;
    let (account, factor) = {
        let mut tx = state.read(&bearer.tenant).await?;
        let account = queries::account(tx.conn(), &bearer.name).await?;
        (
            account.filter(|account| may_come_in_by(account, &bearer.amr)),
            queries::factor_of(tx.conn(), bearer.id, "active").await?,
        )
    };
    let (Some(account), Some(factor)) = (account, factor) else {
        return Err(no_ticket());
    };
    let asking = Asking {
        state: &state,
        trace: &trace,
        tenant: &bearer.tenant,
        actor: &bearer.name,
    };
    let Some(amr) = sign_in::prove(&state, &asking, &factor, shown).await? else {
        sign_in::record_failure(&asking, Some(bearer.id), "auth.mfa_failed").await;
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "auth.mfa",
            "the code does not fit, or was used before",
        ));
    };
    state.throttle.succeeded(who);
    let proved = Proved {
        tenant: bearer.tenant.clone(),
        user: account.id,
        username: account.username,
        must_change: account.must_change && by_password(&bearer.amr),
        amr: bearer.amr.into_iter().chain([amr.to_owned()]).collect(),
    };
    sign_in::admit(&state, &trace, &origin, proved)
        .await
        .map(Json)
}

/// Whom the ticket of a sign-in names: his first factor is proved.
pub(super) async fn proved_before(state: &ApiState, ticket: &str) -> Result<Bearer, Problem> {
    tokens::verify(&state.keys, &state.pool, ticket, Purpose::SecondFactor)
        .await?
        .filter(|bearer| bearer.kind == Kind::User)
        .ok_or_else(no_ticket)
}

pub(super) fn no_ticket() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "auth.ticket",
        "the ticket is not valid or has expired; sign in again",
    )
}

/// Begin to enrol a second factor
///
/// A secret for an authenticator app (RFC 6238). It counts when its first code was sent to `/me/totp/confirm`. It is given to who
/// proves that it is still he: its codes are proofs themselves.
#[utoipa::path(post, path = "/me/totp", tag = "sign-in", request_body = WithProof, security(("bearer" = [])),
    responses(
        (status = 200, description = "the secret, this once", body = TotpSecret),
        (status = 202, description = "accepted, no outcome yet; begin again", body = Accepted),
        (status = 401, description = "no token, or one that is not valid any more (`auth.token`)"),
        (status = 403, description = "the proof does not fit (`auth.proof`), or is a password where there is a second factor \
            (`auth.proof_weak`); the password must be changed first (`auth.password_change`), or a program asks (`auth.person`)"),
        (status = 409, description = "there is one already (`factors.exists`), or the hub has no secret that lasts (`auth.no_secret`)"),
        (status = 422, description = "the ceremony of the proof is none any more (`auth.ceremony`)"),
        (status = 429, description = "too many proofs that did not fit (`auth.throttled`); Retry-After tells how long")))]
async fn enrol(
    State(state): State<ApiState>,
    trace: Trace,
    Proven { who, user, .. }: Proven<WithProof>,
) -> Result<Response, Problem> {
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
struct AppCode {
    #[schema(max_length = 32)]
    code: String,
}

/// Confirm a second factor
///
/// From now on sign-ins need it, and other sessions end. The recovery codes are shown this once; each is good once.
#[utoipa::path(post, path = "/me/totp/confirm", tag = "sign-in", request_body = AppCode, security(("bearer" = [])),
    responses(
        (status = 200, description = "it counts", body = RecoveryCodes),
        (status = 202, description = "accepted, no outcome yet; begin again", body = Accepted),
        (status = 401, description = "no token, or one that is not valid any more (`auth.token`)"),
        (status = 403, description = "the code does not fit (`auth.mfa`)"),
        (status = 404, description = "none waits to be confirmed (`factors.unknown`)"),
        (status = 429, description = "too many failures (`auth.throttled`)")))]
async fn confirm(
    Own(account): Own,
    origin: Origin,
    Body(given): Body<AppCode>,
) -> Result<Response, Problem> {
    let factor = factor(&account, "pending").await?;
    // the answer is ten proofs that it is he: whoever found a token must not come to them by trying all codes
    let name = guessing(&account.who);
    let attempt = origin.attempt(&account.state, &name, None)?;
    let secret = sign_in::open_secret(&account.state, &factor)?;
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let step = totp::step_of(&secret, &given.code, now, factor.last_step).ok_or_else(wrong_code)?;
    account.state.throttle.succeeded(attempt);
    let codes = secrets::recovery_codes();
    let command = ConfirmFactor {
        factor_id: factor.id,
        user_id: account.user,
        step,
        recovery: codes
            .iter()
            .map(|code| secrets::hex_digest_of(code))
            .collect(),
        keep_session: account.who.session,
        actor: account.actor(),
    };
    let written = account.send_access(&command).await?;
    Ok(written.respond(|_| RecoveryCodes {
        recovery_codes: codes,
    }))
}

/// The owner's, `pending` or `active`.
async fn factor(account: &Account, state: &str) -> Result<Factor, Problem> {
    let mut tx = account.tx().await?;
    queries::factor_of(tx.conn(), account.user, state)
        .await?
        .ok_or_else(|| Problem::unknown("factors.unknown", "there is no such second factor"))
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
    Own(account): Own,
    origin: Origin,
    Body(given): Body<Removal>,
) -> Result<Response, Problem> {
    let shown = Shown::either(given.code.as_deref(), given.recovery_code.as_deref())?;
    let factor = factor(&account, "active").await?;
    let name = guessing(&account.who);
    let attempt = origin.attempt(&account.state, &name, None)?;
    let asking = Asking {
        state: &account.state,
        trace: &account.trace,
        tenant: &account.who.tenant,
        actor: &account.who.username,
    };
    if sign_in::prove(&account.state, &asking, &factor, shown)
        .await?
        .is_none()
    {
        return Err(wrong_code());
    }
    account.state.throttle.succeeded(attempt);
    let command = RemoveFactor {
        user_id: account.user,
        reason: "removed_by_user".to_owned(),
        actor: account.actor(),
    };
    Ok(account.send(&command).await?.respond(Applied::with))
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
