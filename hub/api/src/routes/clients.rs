//! API clients: programs, their secrets, and the token endpoint (OAuth 2.0 client credentials, RFC 6749 §4.4).

use std::time::Instant;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemas::TenantId;
use schemas::identity::{ChangeClient, CreateClient, RotateClientSecret};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;
use worker_identity::network::Network;
use worker_identity::queries::{self, ClientRow};
use worker_identity::users::is_username;

use super::roles::{permissions, within_own};
use crate::auth::identity::{client_actor, may_come_from, too_often};
use crate::auth::permission::{Can, ClientsManage, ClientsRead};
use crate::auth::secrets;
use crate::auth::sign_in::{self, Origin};
use crate::auth::throttle::Try;
use crate::auth::tokens::{self, Bearer, Kind, Purpose, TOKEN_LIFETIME};
use crate::command::{Accepted, Asking, Placed, Sender};
use crate::extract::{Body, Params, Segment};
use crate::if_match::{IfMatch, tagged};
use crate::page::{Cursor, Limit, Page};
use crate::problem::Problem;
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::identity::{Client, NewSecret};
use crate::views::integration::Applied;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(create))
        .routes(routes!(read))
        .routes(routes!(change))
        .routes(routes!(rotate_secret))
        .routes(routes!(token))
}

/// Requests a minute of a client, when nothing is said.
const RATE: i32 = 600;
/// How long an old secret may hold beside a new one, hours.
const OVERLAP: u32 = 24;
const MOST_OVERLAP: u32 = 30 * 24;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Search {
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// List API clients
#[utoipa::path(get, path = "/clients", tag = "users", params(Search), security(("bearer" = ["clients:read"])),
    responses((status = 200, description = "by name", body = Page<Client>)))]
async fn list(
    can: Can<ClientsRead>,
    State(state): State<ApiState>,
    Params(search): Params<Search>,
) -> Result<Json<Page<Client>>, Problem> {
    let after = Cursor::key::<String>(search.cursor.as_ref())?;
    let mut tx = state.read(&can.who.tenant).await?;
    let rows = queries::clients(tx.conn(), after.as_deref(), search.limit.rows()).await?;
    let next = search
        .limit
        .is_full(rows.len())
        .then(|| rows.last().map(|row| row.name.clone()))
        .flatten();
    Ok(Json(Page::of(rows, next, |row| {
        Client::of(&can.who.tenant, row, Vec::new())
    })))
}

fn no_client() -> Problem {
    Problem::unknown("clients.unknown", "no API client has this id")
}

/// Read an API client
#[utoipa::path(get, path = "/clients/{id}", tag = "users", params(("id" = Uuid, Path, description = "the client")),
    security(("bearer" = ["clients:read"])),
    responses(
        (status = 200, description = "the client; ETag is the version", body = Client),
        (status = 404, description = "no API client has this id (`clients.unknown`)")))]
async fn read(
    can: Can<ClientsRead>,
    State(state): State<ApiState>,
    Segment(id): Segment<Uuid>,
) -> Result<Response, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let row = queries::client(tx.conn(), id)
        .await?
        .ok_or_else(no_client)?;
    let secrets = queries::client_secrets(tx.conn(), id).await?;
    let client = Client::of(&can.who.tenant, row, secrets);
    Ok(tagged(&client, client.version))
}

/// A new program.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "ward-board", "permissions": ["encounters:read"], "allowed_from": ["10.1.0.0/16"], "rate_per_minute": 600 }))]
struct NewClient {
    /// 2 to 64 of `a-z 0-9 . _ - @`; the audit trail names it `client:<name>`.
    #[schema(
        min_length = 2,
        max_length = 64,
        pattern = "^[a-z0-9][a-z0-9._@-]{1,63}$"
    )]
    name: String,
    /// What it may do; its scopes.
    permissions: Vec<String>,
    /// Networks it may come from (`10.1.0.0/16`); none: from anywhere.
    #[serde(default)]
    allowed_from: Vec<String>,
    /// Requests a minute; 600 when absent.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 60000)]
    rate_per_minute: Option<i32>,
}

fn networks(given: &[String]) -> Result<(), Problem> {
    if given.len() > 100 || given.iter().any(|text| Network::parse(text).is_none()) {
        return Err(Problem::invalid(
            "allowed_from",
            "must be at most 100 networks as 10.1.0.0/16 or 2001:db8::/32",
        ));
    }
    Ok(())
}

fn rate(given: i32) -> Result<i32, Problem> {
    if (1..=60_000).contains(&given) {
        Ok(given)
    } else {
        Err(Problem::invalid(
            "rate_per_minute",
            "must be from 1 to 60000",
        ))
    }
}

/// Make an API client
///
/// Answers with its secret, shown this once. It gets its tokens at `POST /oauth/token`.
#[utoipa::path(post, path = "/clients", tag = "users", request_body = NewClient, security(("bearer" = ["clients:manage"])),
    responses(
        (status = 201, description = "made; Location is the client", body = NewSecret),
        (status = 202, description = "accepted, no outcome yet; make another secret when it is done", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or it would give what you do not have (`grants.exceeds_own`)"),
        (status = 409, description = "a client has this name (`clients.name_exists`)")))]
async fn create(
    can: Can<ClientsManage>,
    State(state): State<ApiState>,
    trace: Trace,
    Body(client): Body<NewClient>,
) -> Result<Response, Problem> {
    if !is_username(&client.name) {
        return Err(Problem::invalid(
            "name",
            "must be 2 to 64 of a-z, 0-9, `.`, `_`, `-` and `@`, beginning with a letter or digit",
        ));
    }
    permissions("permissions", &client.permissions)?;
    within_own(&can.who, &client.permissions)?;
    networks(&client.allowed_from)?;
    let (id, secret) = (Uuid::now_v7(), secrets::client_secret());
    let command = CreateClient {
        client_id: id,
        name: client.name,
        permissions: client.permissions,
        allowed_from: client.allowed_from,
        rate_per_minute: rate(client.rate_per_minute.unwrap_or(RATE))?,
        secret_id: Uuid::now_v7(),
        secret_digest: secrets::hex_digest_of(&secret),
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send_access(aggregate(id), &command)
        .await?;
    Ok(written.respond_placed(|_| Placed {
        location: format!("/api/v1/clients/{id}"),
        created: true,
        view: shown_once(&can.who.tenant, id, secret),
    }))
}

fn aggregate(client: Uuid) -> String {
    format!("client/{client}")
}

fn shown_once(tenant: &TenantId, id: Uuid, client_secret: String) -> NewSecret {
    NewSecret {
        id,
        client_id: secrets::client_name(tenant, id),
        client_secret,
    }
}

/// What changes of a program; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "rate_per_minute": 1200, "disabled": false }))]
struct ClientChange {
    #[serde(default)]
    permissions: Option<Vec<String>>,
    #[serde(default)]
    allowed_from: Option<Vec<String>>,
    #[serde(default)]
    #[schema(minimum = 1, maximum = 60000)]
    rate_per_minute: Option<i32>,
    /// True: it comes in no more, within seconds.
    #[serde(default)]
    disabled: Option<bool>,
}

/// Change an API client
///
/// With `If-Match` only when nobody changed it meanwhile.
#[utoipa::path(patch, path = "/clients/{id}", tag = "users",
    params(("id" = Uuid, Path, description = "the client"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = ClientChange, security(("bearer" = ["clients:manage"])),
    responses(
        (status = 200, description = "changed", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or it would give what you do not have (`grants.exceeds_own`)"),
        (status = 404, description = "no API client has this id (`clients.unknown`)"),
        (status = 409, description = "somebody changed it meanwhile (`clients.stale`)")))]
async fn change(
    can: Can<ClientsManage>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    IfMatch(version): IfMatch,
    Body(change): Body<ClientChange>,
) -> Result<Response, Problem> {
    own(&state, &can, id).await?;
    if let Some(given) = &change.permissions {
        permissions("permissions", given)?;
        within_own(&can.who, given)?;
    }
    networks(change.allowed_from.as_deref().unwrap_or_default())?;
    let command = ChangeClient {
        client_id: id,
        permissions: change.permissions,
        allowed_from: change.allowed_from,
        rate_per_minute: change.rate_per_minute.map(rate).transpose()?,
        disabled: change.disabled,
        version,
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send_access(aggregate(id), &command)
        .await?;
    Ok(written.respond(Applied::with))
}

/// The client, when it may do no more than who manages it: whoever makes its secret can come in as it.
async fn own(state: &ApiState, can: &Can<ClientsManage>, id: Uuid) -> Result<ClientRow, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let row = queries::client(tx.conn(), id)
        .await?
        .ok_or_else(no_client)?;
    within_own(&can.who, &row.permissions)?;
    Ok(row)
}

/// How long the secrets before it hold.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "overlap_hours": 24 }))]
struct Rotation {
    /// 0: they end at once, because one was stolen. 24 when absent.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 720)]
    overlap_hours: Option<u32>,
}

/// Make another secret
///
/// Answers with it, this once. Those before it hold on for the overlap, so that a program can be changed without a gap.
#[utoipa::path(post, path = "/clients/{id}/rotate-secret", tag = "users", params(("id" = Uuid, Path, description = "the client")),
    request_body = Rotation, security(("bearer" = ["clients:manage"])),
    responses(
        (status = 200, description = "the new secret", body = NewSecret),
        (status = 202, description = "accepted, no outcome yet; make another when it is done", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or the client may do more than you (`grants.exceeds_own`)"),
        (status = 404, description = "no API client has this id (`clients.unknown`)")))]
async fn rotate_secret(
    can: Can<ClientsManage>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    Body(rotation): Body<Rotation>,
) -> Result<Response, Problem> {
    own(&state, &can, id).await?;
    let hours = rotation.overlap_hours.unwrap_or(OVERLAP);
    if hours > MOST_OVERLAP {
        return Err(Problem::invalid("overlap_hours", "must be from 0 to 720"));
    }
    let until = OffsetDateTime::now_utc() + time::Duration::hours(i64::from(hours));
    let secret = secrets::client_secret();
    let command = RotateClientSecret {
        client_id: id,
        secret_id: Uuid::now_v7(),
        secret_digest: secrets::hex_digest_of(&secret),
        others_until: until.format(&Rfc3339).map_err(|_| Problem::internal())?,
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send_access(aggregate(id), &command)
        .await?;
    Ok(written.respond(|_| shown_once(&can.who.tenant, id, secret)))
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
    body: Bytes,
) -> Result<Json<ClientToken>, Problem> {
    let request = read_form(&headers, &body)?;
    if request.grant_type != "client_credentials" {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "oauth.unsupported_grant_type",
            "grant_type must be client_credentials",
        )
        .oauth("unsupported_grant_type"));
    }
    let (name, secret) = credentials(&headers, &request)?;
    let who = Try {
        user: &name,
        from: origin.peer,
        known: None,
    };
    state
        .throttle
        .attempt(who, Instant::now())
        .map_err(|seconds| {
            let mut problem = Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "auth.throttled",
                format!("too many failures; try again in {seconds} seconds"),
            );
            problem.retry_after = Some(seconds);
            problem
        })?;
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
        .rates
        .take(row.id, rate, Instant::now())
        .map_err(too_often)?;
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
    let invalid = |detail: &str| {
        Problem::new(StatusCode::BAD_REQUEST, "oauth.invalid_request", detail)
            .oauth("invalid_request")
    };
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
    .oauth("invalid_client")
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
        )
        .oauth("invalid_scope"))
    }
}
