//! Dead letters: replay, resend corrected, discard. The original stays whatever is done.

use axum::Json;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use schemas::commands::ResolveDead;
use schemas::{ChannelId, RawId, TenantId};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_integration::queries::DeadSearch;

use super::messages::position_of;
use crate::ApiLimits;
use crate::auth::permission::{Can, DeadRead, DeadResolve};
use crate::backbone::ReplayRequest;
use crate::command::{Accepted, Sender, Written};
use crate::extract::{Body, Params, Segment};
use crate::page::{Cursor, Limit, Page};
use crate::problem::Problem;
use crate::reads::integration as reads;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::integration::{Applied, DeadLetter};

pub(crate) fn routes(limits: &ApiLimits) -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(read))
        .routes(routes!(replay))
        .routes(routes!(resend).layer(DefaultBodyLimit::max(limits.resend_bytes)))
        .routes(routes!(discard))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Search {
    /// `open` (as if absent), `replayed`, `resent`, `discarded` or `all`.
    state: Option<String>,
    channel: Option<String>,
    /// Stable code of the refusal.
    reason: Option<String>,
    /// Worker or translator that refused it.
    refused_by: Option<String>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// List dead letters
#[utoipa::path(get, path = "/dead-letters", tag = "dead letters", params(Search), security(("bearer" = ["dead:read"])),
    responses((status = 200, description = "newest first", body = Page<DeadLetter>)))]
async fn list(
    can: Can<DeadRead>,
    State(state): State<ApiState>,
    Params(search): Params<Search>,
) -> Result<Json<Page<DeadLetter>>, Problem> {
    let wanted = DeadSearch {
        state: super::state_or_open(search.state, &["open", "replayed", "resent", "discarded"])?,
        channel: search.channel,
        reason: search.reason,
        refused_by: search.refused_by,
        ..DeadSearch::default()
    };
    let mut tx = state.read(&can.who.tenant).await?;
    reads::dead(&mut tx, wanted, search.cursor.as_ref(), search.limit)
        .await
        .map(Json)
}

/// Read a dead letter
#[utoipa::path(get, path = "/dead-letters/{id}", tag = "dead letters", params(("id" = i64, Path, description = "the dead letter")),
    security(("bearer" = ["dead:read"])),
    responses(
        (status = 200, description = "the dead letter", body = DeadLetter),
        (status = 404, description = "no dead letter has this id (`dead.unknown`)")))]
async fn read(
    can: Can<DeadRead>,
    State(state): State<ApiState>,
    Segment(id): Segment<i64>,
) -> Result<Json<DeadLetter>, Problem> {
    letter(&state, &can.who.tenant, id).await.map(Json)
}

async fn letter(state: &ApiState, tenant: &TenantId, id: i64) -> Result<DeadLetter, Problem> {
    let mut tx = state.read(tenant).await?;
    reads::dead_letter(&mut tx, id)
        .await?
        .ok_or_else(|| Problem::unknown("dead.unknown", "no dead letter has this id"))
}

fn closed(letter: &DeadLetter) -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "dead.closed",
        format!("this dead letter is {} already", letter.state),
    )
}

/// Process it once more, as it is
///
/// For when the cause is mended (a mapping, a release). It keeps its id: what took effect before does not take effect
/// twice. If it is refused again the dead letter is open again.
#[utoipa::path(post, path = "/dead-letters/{id}/replay", tag = "dead letters", params(("id" = i64, Path, description = "the dead letter")),
    security(("bearer" = ["dead:resolve"])),
    responses(
        (status = 200, description = "it is on its way again", body = Applied),
        (status = 202, description = "it is on its way again; the dead letter is not marked yet", body = Accepted),
        (status = 404, description = "no dead letter has this id (`dead.unknown`)"),
        (status = 409, description = "it was resent or discarded (`dead.closed`)"),
        (status = 410, description = "the original is no longer kept (`messages.gone`)")))]
async fn replay(
    can: Can<DeadResolve>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<i64>,
) -> Result<Response, Problem> {
    let letter = letter(&state, &can.who.tenant, id).await?;
    let sender = Sender::new(&state, &can.who, &trace);
    // Marked first: a second refusal may come faster than the mark, and must not be closed by it. Asked again after
    // a failure, a letter that is marked already is published all the same: its id keeps that harmless.
    let written = match letter.state.as_str() {
        "open" => mark(&sender, &letter, "replayed", None, "replay").await?,
        "replayed" => Written::Applied(None),
        _ => return Err(closed(&letter)),
    };
    let position = position_of(letter.stream_seq, letter.record_index)?;
    state
        .backbone
        .replay(ReplayRequest {
            tenant: can.who.tenant.clone(),
            stream: letter.stream,
            position,
            refused_by: letter.refused_by,
            actor: can.who.username.clone(),
            traceparent: trace.parent(),
        })
        .await?;
    Ok(written.respond(Applied::with))
}

/// The corrected message: one of the two.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "body": "MSH|^~\\&|LAB|HOSP|HUB|HOSP|20260131083000||ORU^R01|MSG00001|P|2.5.1\rPID|1||12345\r" }))]
struct Resend {
    /// As text, sent as UTF-8.
    #[serde(default)]
    body: Option<String>,
    /// As bytes, in base64: keeps any charset.
    #[serde(default)]
    body_base64: Option<String>,
}

impl Resend {
    fn bytes(self) -> Result<Bytes, Problem> {
        let bytes = match (self.body, self.body_base64) {
            (Some(text), None) => Bytes::from(text),
            (None, Some(text)) => STANDARD
                .decode(text)
                .map(Bytes::from)
                .map_err(|_| Problem::invalid("body_base64", "is not base64"))?,
            _ => {
                return Err(Problem::invalid(
                    "body",
                    "give either body or body_base64, not both",
                ));
            }
        };
        if bytes.is_empty() {
            return Err(Problem::invalid("body", "is empty"));
        }
        Ok(bytes)
    }
}

/// Send a corrected message in its place
///
/// The corrected bytes go in on the same channel as a child that names the original; the original stays as it is.
#[utoipa::path(post, path = "/dead-letters/{id}/resend", tag = "dead letters", params(("id" = i64, Path, description = "the dead letter")),
    request_body = Resend, security(("bearer" = ["dead:resolve"])),
    responses(
        (status = 200, description = "sent; `answer.child` is the new message's id", body = Applied),
        (status = 202, description = "sent; the dead letter is not marked yet", body = Accepted),
        (status = 404, description = "no dead letter has this id (`dead.unknown`)"),
        (status = 409, description = "it is closed (`dead.closed`), or did not come in on a channel (`dead.no_message`)"),
        (status = 422, description = "the mark was refused; `code` says why")))]
async fn resend(
    can: Can<DeadResolve>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<i64>,
    Body(resend): Body<Resend>,
) -> Result<Response, Problem> {
    let bytes = resend.bytes()?;
    let letter = letter(&state, &can.who.tenant, id).await?;
    if letter.state != "open" {
        return Err(closed(&letter));
    }
    let (Some(raw_id), Some(channel)) = (letter.raw_id, letter.channel.as_deref()) else {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "dead.no_message",
            "this dead letter is a request of the hub itself: there is no message to correct",
        ));
    };
    let channel = ChannelId::new(channel).map_err(|_| Problem::internal())?;
    // the letter is the request: asked twice with the same bytes, it is the same child
    let request = Uuid::new_v5(&raw_id, &id.to_be_bytes());
    let stored = state
        .backbone
        .inject(&can.who.tenant, &channel, bytes, RawId(raw_id), request)
        .await?;
    let child = stored.id.0;
    let sender = Sender::new(&state, &can.who, &trace);
    let written = mark(&sender, &letter, "resent", Some(child), "edited resend").await?;
    Ok(written.respond(|_| Applied::with(Some(serde_json::json!({ "child": child })))))
}

/// Why it may be dropped.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "test message of the vendor" }))]
struct Discard {
    reason: String,
}

/// Close a dead letter without effect
///
/// The original stays in the archive; only the open item goes.
#[utoipa::path(post, path = "/dead-letters/{id}/discard", tag = "dead letters", params(("id" = i64, Path, description = "the dead letter")),
    request_body = Discard, security(("bearer" = ["dead:resolve"])),
    responses(
        (status = 200, description = "closed", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no dead letter has this id (`dead.unknown`)"),
        (status = 409, description = "it is closed already (`dead.closed`)"),
        (status = 422, description = "it is not possible; `code` says why")))]
async fn discard(
    can: Can<DeadResolve>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<i64>,
    Body(discard): Body<Discard>,
) -> Result<Response, Problem> {
    let reason = super::reason(discard.reason)?;
    let letter = letter(&state, &can.who.tenant, id).await?;
    if letter.state != "open" {
        return Err(closed(&letter));
    }
    let sender = Sender::new(&state, &can.who, &trace);
    let written = mark(&sender, &letter, "discarded", None, &reason).await?;
    Ok(written.respond(Applied::with))
}

async fn mark(
    sender: &Sender<'_>,
    letter: &DeadLetter,
    resolution: &str,
    child: Option<Uuid>,
    reason: &str,
) -> Result<Written, Problem> {
    let command = ResolveDead {
        dead_id: letter.id,
        resolution: resolution.to_owned(),
        child,
        reason: reason.to_owned(),
        actor: sender.who.username.clone(),
    };
    sender.send(format!("dead/{}", letter.id), &command).await
}
