//! Sign-in.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use axum::Json;
use axum::extract::{ConnectInfo, FromRequestParts, State};
use axum::http::{StatusCode, request::Parts};
use schemas::commands::RecordAccess;
use schemas::{Body as _, TenantId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::auth::identity::Identity;
use crate::auth::{TOKEN_LIFETIME, password};
use crate::backbone::CommandRequest;
use crate::extract::Body;
use crate::problem::Problem;
use crate::state::ApiState;
use crate::trace::Trace;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(login))
}

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
}

/// A token for the `Authorization` header of what follows.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "access_token": "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9…", "token_type": "Bearer", "expires_in": 3600 }))]
pub(crate) struct Token {
    access_token: String,
    /// `Bearer`
    token_type: &'static str,
    /// Seconds.
    expires_in: u64,
}

/// Sign in
///
/// Changes user name and password for an access token that lives for an hour. After five failures
/// within five minutes from one address the pair of user and address has to wait.
#[utoipa::path(post, path = "/auth/login", tag = "sign-in", request_body = Login, security(()),
    responses(
        (status = 200, description = "signed in", body = Token),
        (status = 401, description = "user name and password do not fit (`auth.login`)"),
        (status = 429, description = "too many failures (`auth.throttled`); Retry-After tells how long"),
    ))]
async fn login(
    State(state): State<ApiState>,
    Peer(peer): Peer,
    trace: Trace,
    Body(login): Body<Login>,
) -> Result<Json<Token>, Problem> {
    let tenant = match &login.tenant {
        None => Some(state.default_tenant.clone()),
        Some(text) => TenantId::new(text.as_str()).ok(),
    };
    if login.username.len() > 128 || login.password.len() > password::MAX_PASSWORD {
        return Err(refused());
    }
    // the brake counts for the tenant's own user: names of two tenants may be equal
    let pair = format!(
        "{}/{}",
        tenant.as_ref().map_or("", TenantId::as_str),
        login.username
    );
    state
        .throttle
        .attempt(&pair, peer, Instant::now())
        .map_err(throttled)?;

    let user = match &tenant {
        Some(tenant) => find(&state, tenant, &login.username).await?,
        None => None,
    };
    // a user who may not come in takes as long as one who may
    let active = user.filter(|user| user.state == "active");
    let hash = active.as_ref().map(|user| user.password_hash.clone());
    let fits = password::verify(login.password, hash)
        .await
        .map_err(|_| Problem::internal())?;
    let (Some(tenant), Some(user), true) = (tenant, active, fits) else {
        metrics::counter!("hub_api_logins_total", "outcome" => "refused").increment(1);
        return Err(refused());
    };
    state.throttle.succeeded(&pair, peer);
    metrics::counter!("hub_api_logins_total", "outcome" => "accepted").increment(1);
    let identity = Identity {
        tenant,
        username: user.username,
        permissions: user.permissions,
    };
    record(&state, &identity, &trace).await;
    let access_token = state.keys.issue(&identity).ok_or_else(Problem::internal)?;
    Ok(Json(Token {
        access_token,
        token_type: "Bearer",
        expires_in: TOKEN_LIFETIME.as_secs(),
    }))
}

#[derive(sqlx::FromRow)]
struct User {
    username: String,
    password_hash: String,
    permissions: Vec<String>,
    state: String,
}

async fn find(
    state: &ApiState,
    tenant: &TenantId,
    username: &str,
) -> Result<Option<User>, Problem> {
    let mut tx = state.read(tenant).await?;
    let user = sqlx::query_as(
        "select username, password_hash, permissions, state from users.users where username = $1",
    )
    .bind(username)
    .fetch_optional(tx.conn())
    .await?;
    Ok(user)
}

/// Leaves the audit row of a sign-in. An operator must be able to come in while NATS is down and see
/// what is wrong, so a failure is told in the log and stops nobody.
async fn record(state: &ApiState, identity: &Identity, trace: &Trace) {
    let body = RecordAccess {
        action: "auth.login".to_owned(),
        object: identity.username.clone(),
        actor: identity.username.clone(),
        reason: None,
    };
    let Ok(body) = serde_json::to_vec(&body) else {
        return;
    };
    let command = CommandRequest {
        id: Uuid::now_v7(),
        tenant: identity.tenant.clone(),
        name: RecordAccess::NAME,
        version: RecordAccess::VERSION,
        aggregate: identity.username.clone(),
        body,
        actor: identity.username.clone(),
        traceparent: trace.parent(),
    };
    if let Err(error) = state
        .backbone
        .command(command, std::time::Duration::ZERO)
        .await
    {
        metrics::counter!("hub_api_audit_lost_total").increment(1);
        tracing::warn!(%error, "a sign-in is not in the audit trail");
    }
}

fn refused() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "auth.login",
        "user name and password do not fit",
    )
}

fn throttled(seconds: u64) -> Problem {
    let mut problem = Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "auth.throttled",
        format!("too many failures; try again in {seconds} seconds"),
    );
    problem.retry_after = Some(seconds);
    problem
}

/// Address of the caller, if the listener told it. Headers that claim another are not believed.
struct Peer(Option<IpAddr>);

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self(
            parts
                .extensions
                .get::<ConnectInfo<SocketAddr>>()
                .map(|ConnectInfo(peer)| peer.ip()),
        ))
    }
}
