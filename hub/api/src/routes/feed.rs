//! What changed: as a page since a position, and as a stream.

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use hub_core::Position;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use crate::auth::permission::{CanSomewhere, ChangesRead};
use crate::extract::Params;
use crate::feed::{self, Change, Followed, Session};
use crate::page::Limit;
use crate::problem::Problem;
use crate::routing::{Routes, routes};
use crate::serve::Stopping;
use crate::state::ApiState;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(changes))
        .routes(routes!(stream))
}

/// What changed after a position.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "items": [{
        "position": "20714.3", "topic": "orders", "type": "clinical.order.changed", "at": "2026-01-31T08:30:00Z",
        "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "resource": "/api/v1/orders/018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c"
    }],
    "position": "20714.3", "more": false
}))]
struct Changes {
    /// Oldest first.
    items: Vec<Change>,
    /// The next `since`.
    position: String,
    /// True: there are more already.
    more: bool,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Search {
    /// `position` of the answer before, or of a change. Absent: from now on, to begin with. `0.0`: the oldest that is kept.
    since: Option<String>,
    /// Some topics, with commas. Absent: all that the caller may list, in the whole hospital or at his places.
    topics: Option<String>,
    /// 1 to 500; some more may come.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// What changed since
///
/// For programs that keep a copy. A change names what changed and says nothing of it: read it at `resource`, with your own
/// rights. Topics: {topics}; each needs the permission to list such things, and who has it at some places only is told of what
/// happens there: of `encounters`, `beds`, `appointments`, `queues`, `waitlist` and `schedules`; the others have no places. A change
/// may be told twice, none is left out; changes are kept as long as events are (90 days, as configured).
#[utoipa::path(get, path = "/changes", tag = "changes", params(Search), security(("bearer" = ["changes:read"])),
    responses(
        (status = 200, description = "oldest first", body = Changes),
        (status = 403, description = "the permission is missing (`auth.permission`), of the topic too, or is held at some places and the \
            topic has none (`auth.scope`)"),
        (status = 410, description = "what changed since then is no longer kept (`changes.gone`)")))]
async fn changes(
    can: CanSomewhere<ChangesRead>,
    State(state): State<ApiState>,
    Params(search): Params<Search>,
) -> Result<Json<Changes>, Problem> {
    let followed = Followed::of(&state, &can.who, search.topics.as_deref())?;
    let after = match search.since.as_deref() {
        Some(text) => position("since", text)?,
        None => {
            let newest = state.backbone.newest_fact().await?;
            return Ok(Json(Changes {
                items: Vec::new(),
                position: feed::write(newest),
                more: false,
            }));
        }
    };
    let names = followed.events();
    let limit = usize::from(search.limit.count());
    let page = state
        .backbone
        .facts(&can.who.tenant, &names, after, limit)
        .await
        .map_err(feed::gone)?;
    let mut items = Vec::with_capacity(page.facts.len());
    for change in page.facts.iter().filter_map(Change::of) {
        if followed.has(&state, &can.who, &change).await? {
            items.push(change);
        }
    }
    Ok(Json(Changes {
        items,
        position: feed::write(page.reached),
        more: !page.is_last,
    }))
}

fn position(field: &'static str, text: &str) -> Result<Position, Problem> {
    feed::read(text.trim())
        .ok_or_else(|| Problem::invalid(field, "is no position that this hub gave"))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Following {
    /// Where to go on; the header `Last-Event-ID`, which browsers send, comes first. Absent: from now on.
    since: Option<String>,
    /// Some topics, with commas. Absent: all that the caller may list, in the whole hospital or at his places.
    topics: Option<String>,
}

/// One event of the stream (WHATWG HTML §9.2.6), its fields as members.
#[derive(Debug, ToSchema)]
#[schema(example = json!({
    "id": "20714.3", "event": "orders",
    "data": "{\"position\":\"20714.3\",\"topic\":\"orders\",\"type\":\"clinical.order.changed\",\"at\":\"2026-01-31T08:30:00Z\",\"id\":\"018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c\",\"resource\":\"/api/v1/orders/018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c\"}"
}))]
#[expect(
    dead_code,
    reason = "says in the OpenAPI file what the frames of a session hold"
)]
struct StreamEvent {
    /// Position after this event: what `Last-Event-ID` gives back. `end` has none of its own.
    id: Option<String>,
    /// A topic, `hello` or `end`.
    event: String,
    /// A change as `GET /api/v1/changes` has it; with `hello` the position of the beginning; with `end` a code.
    #[schema(content_media_type = "application/json")]
    data: String,
    /// Milliseconds after which to come back; with `hello`.
    retry: Option<u32>,
}

/// Follow what changes
///
/// Server-sent events (WHATWG HTML §9.2): `event` is the topic ({topics}), `data` a change as `GET /api/v1/changes` has it, `id` its
/// position. First comes `hello` with the position of the beginning. A caller who comes back with `Last-Event-ID` (or
/// `since`) is told what he missed. A comment comes every ten seconds. `end` with a code comes when the token has expired or
/// the right is gone: come back with a new one. Who takes nothing for thirty seconds is let go.
#[utoipa::path(get, path = "/stream", tag = "changes",
    params(Following, ("Last-Event-ID" = Option<String>, Header, description = "id of the last event that was seen")),
    security(("bearer" = ["changes:read"])),
    responses(
        (status = 200, description = "without end; the schema is that of one event", body = StreamEvent, content_type = "text/event-stream"),
        (status = 403, description = "the permission is missing (`auth.permission`), of the topic too, or is held at some places and the \
            topic has none (`auth.scope`)"),
        (status = 410, description = "what changed since then is no longer kept (`changes.gone`)"),
        (status = 503, description = "as many streams as this process serves are open (`stream.full`), or something is away")))]
async fn stream(
    can: CanSomewhere<ChangesRead>,
    State(state): State<ApiState>,
    Params(following): Params<Following>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let since = match parts.headers.get("last-event-id") {
        Some(value) => Some(position("Last-Event-ID", value.to_str().unwrap_or("?"))?),
        None => following
            .since
            .as_deref()
            .map(|text| position("since", text))
            .transpose()?,
    };
    let stopping = parts
        .extensions
        .get::<Stopping>()
        .map_or_else(CancellationToken::new, |Stopping(token)| token.clone());
    let session = Session::open(state, parts, can.who, following.topics, since, stopping).await?;
    let frames = futures::stream::unfold(session, Session::next);
    Ok((
        [
            (header::CONTENT_TYPE, "text/event-stream"),
            (header::CACHE_CONTROL, "no-store"),
            // proxies that gather answers would tell nobody anything
            (header::HeaderName::from_static("x-accel-buffering"), "no"),
        ],
        Body::from_stream(frames),
    )
        .into_response())
}
