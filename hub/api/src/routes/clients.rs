//! API clients: programs and their secrets, as administrators see them.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemas::TenantId;
use schemas::identity::{ChangeClient, CreateClient, RotateClientSecret};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_identity::network::Network;
use worker_identity::queries::{self, ClientRow};
use worker_identity::users::is_username;

use super::roles::{permissions, within_own};
use crate::auth::permission::{Can, ClientsManage, ClientsRead};
use crate::auth::secrets;
use crate::command::{Accepted, Placed, Sender};
use crate::extract::{Body, Params, Segment};
use crate::if_match::{IfMatch, tagged};
use crate::page::{Cursor, Limit, Page};
use crate::problem::Problem;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::identity::{Client, NewSecret};
use crate::views::integration::Applied;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(create))
        .routes(routes!(read))
        .routes(routes!(change))
        .routes(routes!(rotate_secret))
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
/// Only when nobody changed it since the version that `If-Match` names.
#[utoipa::path(patch, path = "/clients/{id}", tag = "users",
    params(("id" = Uuid, Path, description = "the client"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = ClientChange, security(("bearer" = ["clients:manage"])),
    responses(
        (status = 200, description = "changed", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or it would give what you do not have (`grants.exceeds_own`)"),
        (status = 404, description = "no API client has this id (`clients.unknown`)"),
        (status = 412, description = "somebody changed it meanwhile (`clients.stale`)")))]
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
