//! Sign-in, refresh, sign-out, and the keys that others check tokens with.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use schemas::TenantId;
use schemas::identity::EndSessions;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use worker_identity::queries::{self, Account};

use crate::auth::password;
use crate::auth::permission::SignedIn;
use crate::auth::secrets;
use crate::auth::sign_in::{self, Origin, Proved, Tokens, may_come_in, not_admitted};
use crate::auth::tokens::{self, Bearer, Kind, Purpose, TICKET_LIFETIME};
use crate::command::{Accepted, Asking, Sender};
use crate::extract::Body;
use crate::problem::Problem;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::integration::Applied;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(login))
        .routes(routes!(refresh))
        .routes(routes!(logout))
        .routes(routes!(jwks))
}

/// Name of whoever tries under a name that nobody has.
const NOBODY: &str = "unknown";

/// Who wants in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "username": "admin", "password": "the password that was printed" }))]
pub(crate) struct Login {
    #[schema(max_length = 128)]
    username: String,
    #[schema(max_length = 1024)]
    password: String,
    /// The hospital; the installation's own when absent.
    #[serde(default)]
    tenant: Option<String>,
    /// Any refresh token of an earlier session of this user, also one that is used up or ended: whoever was in before is
    /// not shut out by the guesses of strangers.
    #[serde(default)]
    known_session: Option<String>,
}

/// Tokens, or what is still missing.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(example = json!({
    "access_token": "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiIsImtpZCI6…", "token_type": "Bearer", "expires_in": 900,
    "refresh_token": "hr.demo.mZ0v…", "refresh_expires_in": 43200, "must_change_password": false
}))]
pub(crate) enum SignIn {
    Done(Tokens),
    SecondFactor(Ticket),
}

/// The password was right, and a second factor is enrolled.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "mfa_required": true, "mfa_ticket": "eyJ0eXAiOiJKV1Qi…", "methods": ["otp", "passkey"], "expires_in": 300 }))]
pub(crate) struct Ticket {
    /// `true`
    mfa_required: bool,
    /// For `POST /auth/mfa` or `POST /auth/passkey`; no access token.
    mfa_ticket: String,
    /// `otp`: a code of the app, or a recovery code; `passkey`.
    methods: Vec<&'static str>,
    /// Seconds.
    expires_in: u64,
}

/// Sign in
///
/// Changes user name and password for an access token that lives for fifteen minutes and a refresh token that is good
/// once. Who has enrolled a second factor gets `mfa_required` and a ticket instead. After five failures within five
/// minutes from one address the pair of user and address has to wait.
#[utoipa::path(post, path = "/auth/login", tag = "sign-in", request_body = Login, security(()),
    responses(
        (status = 200, description = "signed in, or the second factor is to come", body = SignIn),
        (status = 401, description = "user name and password do not fit (`auth.login`)"),
        (status = 429, description = "too many failures (`auth.throttled`); Retry-After tells how long"),
    ))]
async fn login(
    State(state): State<ApiState>,
    origin: Origin,
    trace: Trace,
    Body(login): Body<Login>,
) -> Result<Json<SignIn>, Problem> {
    let tenant = match &login.tenant {
        None => Some(state.default_tenant.clone()),
        Some(text) => TenantId::new(text.as_str()).ok(),
    };
    if login.username.len() > 128 || login.password.len() > password::MAX_PASSWORD {
        return Err(not_admitted());
    }
    let username = login.username.to_lowercase();
    let account = match &tenant {
        Some(tenant) => account(&state, tenant, &username).await?,
        None => None,
    };
    let known = match (&tenant, &account, &login.known_session) {
        (Some(tenant), Some(account), Some(token)) => {
            known_session(&state, tenant, account.id, token).await?
        }
        _ => None,
    };
    // the brake counts for the tenant's own user: names of two tenants may be equal
    let name = format!(
        "{}/{username}",
        tenant.as_ref().map_or("", TenantId::as_str)
    );
    let who = origin.attempt(&state, &name, known)?;

    // a user who may not come in takes as long as one who may
    let known_user = account.as_ref().map(|account| account.id);
    let active = account.filter(may_come_in);
    let hash = active.as_ref().map(|account| account.password_hash.clone());
    let fits = password::verify(login.password, hash)
        .await
        .map_err(|_| Problem::internal())?;
    let (Some(tenant), Some(account), true) = (tenant.clone(), active, fits) else {
        // a name that nobody has says nothing of whose it might be, and must not make rows of a tenant that there is not
        let (tenant, actor) = match (tenant, known_user) {
            (Some(tenant), Some(_)) => (tenant, username.as_str()),
            _ => (state.default_tenant.clone(), NOBODY),
        };
        let asking = Asking {
            state: &state,
            trace: &trace,
            tenant: &tenant,
            actor,
        };
        sign_in::record_failure(&asking, known_user, "auth.login_failed").await;
        return Err(not_admitted());
    };
    state.throttle.succeeded(who);
    let amr = vec!["pwd".to_owned()];
    if account.needs_second_factor() {
        return ticket(&state, tenant, &account, amr).await.map(Json);
    }
    let proved = Proved {
        tenant,
        user: account.id,
        username: account.username,
        amr,
        must_change: account.must_change,
    };
    sign_in::admit(&state, &trace, &origin, proved)
        .await
        .map(|tokens| Json(SignIn::Done(tokens)))
}

async fn account(
    state: &ApiState,
    tenant: &TenantId,
    username: &str,
) -> Result<Option<Account>, Problem> {
    let mut tx = state.read(tenant).await?;
    Ok(queries::account(tx.conn(), username).await?)
}

/// The session, when the token is one of this user's.
async fn known_session(
    state: &ApiState,
    tenant: &TenantId,
    user: Uuid,
    token: &str,
) -> Result<Option<Uuid>, Problem> {
    if secrets::tenant_of_refresh(token).as_ref() != Some(tenant) {
        return Ok(None);
    }
    let mut tx = state.read(tenant).await?;
    Ok(
        queries::session_of_token(tx.conn(), &secrets::digest_of(token))
            .await?
            .filter(|found| found.user_id == user)
            .map(|found| found.session_id),
    )
}

/// The second factor is to come, after what was proved in these ways.
pub(super) async fn ticket(
    state: &ApiState,
    tenant: TenantId,
    account: &Account,
    amr: Vec<String>,
) -> Result<SignIn, Problem> {
    let bearer = Bearer {
        tenant,
        kind: Kind::User,
        id: account.id,
        name: account.username.clone(),
        session: None,
        amr,
        scope: Vec::new(),
    };
    let mut methods = Vec::new();
    if account.factor_id.is_some() {
        methods.push("otp");
    }
    if account.has_passkey {
        methods.push("passkey");
    }
    let mfa_ticket =
        tokens::issue(&state.keys, &state.pool, &bearer, Purpose::SecondFactor).await?;
    Ok(SignIn::SecondFactor(Ticket {
        mfa_required: true,
        mfa_ticket,
        methods,
        expires_in: TICKET_LIFETIME.as_secs(),
    }))
}

/// What a session is carried on with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "refresh_token": "hr.demo.mZ0v…" }))]
pub(crate) struct Refresh {
    #[schema(max_length = 256)]
    refresh_token: String,
}

/// Carry a session on
///
/// A refresh token is good once. One that comes a second time was stolen, or its successor was: the whole session ends, and
/// both have to sign in.
#[utoipa::path(post, path = "/auth/refresh", tag = "sign-in", request_body = Refresh, security(()),
    responses(
        (status = 200, description = "the next pair of tokens", body = Tokens),
        (status = 401, description = "not valid, used, or its session has ended (`auth.refresh`)"),
    ))]
async fn refresh(
    State(state): State<ApiState>,
    origin: Origin,
    trace: Trace,
    Body(given): Body<Refresh>,
) -> Result<Json<Tokens>, Problem> {
    sign_in::carry_on(&state, &trace, &origin, &given.refresh_token)
        .await
        .map(Json)
}

/// Sign out
///
/// Ends the session of the token: its refresh token is no good at once, access tokens within seconds.
#[utoipa::path(post, path = "/auth/logout", tag = "sign-in", security(("bearer" = [])),
    responses(
        (status = 200, description = "signed out", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 401, description = "no token, or one that is not valid any more (`auth.token`)")))]
async fn logout(
    SignedIn(who): SignedIn,
    State(state): State<ApiState>,
    trace: Trace,
) -> Result<Response, Problem> {
    let (Some(user), Some(session)) = (who.user_id(), who.session) else {
        return Ok(Json(Applied::with(None)).into_response());
    };
    let command = EndSessions {
        user_id: user,
        session_id: Some(session),
        reason: "signed_out".to_owned(),
        actor: who.username.clone(),
    };
    let written = Sender::new(&state, &who, &trace)
        .send_access(sign_in::aggregate(user), &command)
        .await?;
    Ok(written.respond(Applied::with))
}

/// Public keys (RFC 7517).
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "keys": [{ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
    "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQ…", "e": "AQAB" }] }))]
pub(crate) struct Jwks {
    #[schema(value_type = Vec<Object>)]
    keys: Vec<serde_json::Value>,
}

/// Public keys of access tokens
///
/// For programs that check tokens themselves: RS256, `iss` is `hub`, `aud` is `hub-api`. A new key is here ten minutes before
/// it signs, an old one for an hour after. Also at `/.well-known/jwks.json`.
#[utoipa::path(get, path = "/auth/jwks.json", tag = "sign-in", security(()),
    responses((status = 200, description = "a JWK set", body = Jwks)))]
pub(super) async fn jwks(State(state): State<ApiState>) -> Result<Response, Problem> {
    let ring = state.keys.current(&state.pool).await?;
    let mut response = Json(Jwks { keys: ring.jwks() }).into_response();
    response.headers_mut().insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=300"),
    );
    Ok(response)
}
