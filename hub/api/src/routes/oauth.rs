//! The token endpoint of programs: OAuth 2.0 client credentials (RFC 6749 §4.4).

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemas::TenantId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use worker_identity::queries::{self, ClientRow};

use crate::auth::identity::{client_actor, may_come_from};
use crate::auth::secrets;
use crate::auth::sign_in::{self, Origin};
use crate::auth::tokens::{self, Bearer, Kind, Purpose, TOKEN_LIFETIME};
use crate::command::Asking;
use crate::extract::unreadable;
use crate::limits::Refused;
use crate::problem::Problem;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;

pub(crate) fn routes() -> Routes {
    Routes::new().routes(routes!(token))
}

/// What a program asks for, form-encoded (RFC 6749 §4.4.2).
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(example = json!({ "grant_type": "client_credentials", "client_id": "demo.018f3c1e7a5c7c3e9b1a2f4d5e6a7b8f", "client_secret": "hs.mZ0v…", "scope": "encounters:read" }))]
pub(crate) struct TokenRequest {
    /// `client_credentials`
    #[serde(default)]
    grant_type: String,
    /// Or as user name of HTTP Basic.
    #[serde(default)]
    client_id: Option<String>,
    #[serde(default)]
    client_secret: Option<String>,
    /// Permissions, separated by spaces; all of the client's when absent.
    #[serde(default)]
    scope: Option<String>,
}

/// A token (RFC 6749 §5.1).
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "access_token": "eyJ0eXAiOiJKV1Qi…", "token_type": "Bearer", "expires_in": 900, "scope": "encounters:read" }))]
pub(crate) struct ClientToken {
    access_token: String,
    /// `Bearer`
    token_type: &'static str,
    /// Seconds.
    expires_in: u64,
    scope: String,
}

/// Get a token for a program
///
/// OAuth 2.0 client credentials (RFC 6749 §4.4). The client is named in the form or by HTTP Basic. Errors carry the `error`
/// of the standard beside the members of every problem. Also at `/oauth/token`.
#[utoipa::path(post, path = "/oauth/token", tag = "sign-in", security(()),
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "a token", body = ClientToken),
        (status = 400, description = "the request is none of the standard (`oauth.invalid_request`, `oauth.unsupported_grant_type`), or a scope is \
            not the client's (`oauth.invalid_scope`)"),
        (status = 401, description = "client and secret do not fit, or the client may not come from this address (`oauth.invalid_client`)"),
        (status = 429, description = "too many failures, or too many requests (`auth.throttled`, `auth.rate`); Retry-After tells how long")))]
pub(super) async fn token(
    State(state): State<ApiState>,
    origin: Origin,
    trace: Trace,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ClientToken>, Problem> {
    let body = body.map_err(|rejection| unreadable(&rejection))?;
    let request = read_form(&headers, &body)?;
    if request.grant_type != "client_credentials" {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "oauth.unsupported_grant_type",
            "grant_type must be client_credentials",
        ));
    }
    let (name, secret) = credentials(&headers, &request)?;
    let who = origin.attempt(&state, &name, None)?;
    let found = match secrets::client_of_name(&name) {
        Some((tenant, id)) => fitting(&state, &tenant, id, &secret)
            .await?
            .map(|row| (tenant, row)),
        None => None,
    };
    let Some((tenant, row)) = found.filter(|(_, row)| may_come_from(row, origin.peer)) else {
        let asking = Asking {
            state: &state,
            trace: &trace,
            tenant: &state.default_tenant,
            actor: "client:unknown",
        };
        sign_in::record_failure(&asking, None, "auth.client_failed").await;
        return Err(invalid_client());
    };
    state.throttle.succeeded(who);
    let rate = u32::try_from(row.rate_per_minute).unwrap_or(1);
    state
        .counts
        .caller(row.id, "client", rate)
        .map_err(Refused::problem)?;
    let scope = scope(&row, request.scope.as_deref())?;
    let bearer = Bearer {
        tenant,
        kind: Kind::Client,
        id: row.id,
        name: client_actor(&row.name),
        session: None,
        amr: Vec::new(),
        scope: scope.clone(),
    };
    let access_token = tokens::issue(&state.keys, &state.pool, &bearer, Purpose::Access).await?;
    Ok(Json(ClientToken {
        access_token,
        token_type: "Bearer",
        expires_in: TOKEN_LIFETIME.as_secs(),
        scope: if scope.is_empty() {
            row.permissions.join(" ")
        } else {
            scope.join(" ")
        },
    }))
}

fn read_form(headers: &HeaderMap, body: &Bytes) -> Result<TokenRequest, Problem> {
    let invalid =
        |detail: &str| Problem::new(StatusCode::BAD_REQUEST, "oauth.invalid_request", detail);
    let is_form = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|media| {
            media
                .trim()
                .eq_ignore_ascii_case("application/x-www-form-urlencoded")
        });
    if !is_form {
        return Err(invalid(
            "send a form, with content-type: application/x-www-form-urlencoded",
        ));
    }
    serde_urlencoded::from_bytes(body)
        .map_err(|_| invalid("the form can't be read, or holds a parameter twice"))
}

/// Name and secret, from the form or the header, never from both (RFC 6749 §2.3).
fn credentials(headers: &HeaderMap, request: &TokenRequest) -> Result<(String, String), Problem> {
    let in_header = headers.get(header::AUTHORIZATION).map(|value| {
        let text = value.to_str().ok()?;
        let (scheme, encoded) = text.split_once(' ')?;
        let plain = scheme
            .eq_ignore_ascii_case("basic")
            .then(|| STANDARD.decode(encoded.trim()).ok())??;
        let plain = String::from_utf8(plain).ok()?;
        let (name, secret) = plain.split_once(':')?;
        Some((name.to_owned(), secret.to_owned()))
    });
    let in_form = request.client_id.clone().zip(request.client_secret.clone());
    match (in_header, in_form) {
        (Some(Some(found)), None) | (None, Some(found)) if found.0.len() <= 128 => Ok(found),
        _ => Err(invalid_client()),
    }
}

fn invalid_client() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "oauth.invalid_client",
        "client and secret do not fit",
    )
}

/// The client, when it is active and the secret is one of its own.
async fn fitting(
    state: &ApiState,
    tenant: &TenantId,
    id: Uuid,
    secret: &str,
) -> Result<Option<ClientRow>, Problem> {
    let mut tx = state.read(tenant).await?;
    let row = queries::client(tx.conn(), id).await?;
    let kept = queries::client_secrets(tx.conn(), id).await?;
    let shown = secrets::digest_of(secret);
    // digests of random secrets: how far two of them agree tells nothing of either secret
    let fits = kept.iter().any(|one| one.digest == shown);
    Ok(row.filter(|row| fits && row.state == "active"))
}

/// The scopes asked for, when all of them are the client's; empty: all.
fn scope(row: &ClientRow, asked: Option<&str>) -> Result<Vec<String>, Problem> {
    let asked: Vec<String> = asked
        .unwrap_or_default()
        .split_ascii_whitespace()
        .map(str::to_owned)
        .collect();
    let all = row.permissions.iter().any(|one| one == "*");
    if all || asked.iter().all(|one| row.permissions.contains(one)) {
        Ok(asked)
    } else {
        Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "oauth.invalid_scope",
            "a scope is not one of the client's permissions",
        ))
    }
}
