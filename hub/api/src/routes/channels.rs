//! Channels: how they are, and what an operator wants of them.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemas::ChannelId;
use schemas::commands::SetChannelState;
use schemas::integration::DesiredState;

use crate::auth::identity::Identity;
use crate::auth::permission::{Can, ChannelsControl, ChannelsRead};
use crate::command::{Accepted, Sender};
use crate::extract::Segment;
use crate::page::Page;
use crate::problem::Problem;
use crate::reads::integration as reads;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::integration::{Applied, Channel};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(read))
        .routes(routes!(start))
        .routes(routes!(stop))
        .routes(routes!(pause))
}

fn no_channel() -> Problem {
    Problem::unknown("channels.unknown", "no channel has this name")
}

/// List channels
#[utoipa::path(get, path = "/channels", tag = "channels", security(("bearer" = ["channels:read"])),
    responses((status = 200, description = "by name; the list is whole", body = Page<Channel>)))]
async fn list(
    can: Can<ChannelsRead>,
    State(state): State<ApiState>,
) -> Result<Json<Page<Channel>>, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    Ok(Json(Page::whole(reads::channels(&mut tx).await?)))
}

/// Read a channel
#[utoipa::path(get, path = "/channels/{id}", tag = "channels", params(("id" = String, Path, description = "the channel's name")),
    security(("bearer" = ["channels:read"])),
    responses(
        (status = 200, description = "the channel", body = Channel),
        (status = 404, description = "no channel has this name (`channels.unknown`)")))]
async fn read(
    can: Can<ChannelsRead>,
    State(state): State<ApiState>,
    Segment(id): Segment<String>,
) -> Result<Json<Channel>, Problem> {
    known(&state, &can.who, &id)
        .await
        .map(|(_, channel)| Json(channel))
}

async fn known(
    state: &ApiState,
    who: &Identity,
    name: &str,
) -> Result<(ChannelId, Channel), Problem> {
    let id = ChannelId::new(name).map_err(|_| no_channel())?;
    let mut tx = state.read(&who.tenant).await?;
    let channel = reads::channel(&mut tx, name)
        .await?
        .ok_or_else(no_channel)?;
    Ok((id, channel))
}

/// Start a channel
///
/// It listens (or dials) and processes; what was stored while it was paused is processed now.
#[utoipa::path(post, path = "/channels/{id}/start", tag = "channels", params(("id" = String, Path, description = "the channel's name")),
    security(("bearer" = ["channels:control"])),
    responses(
        (status = 200, description = "it shall run", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no channel has this name (`channels.unknown`)")))]
async fn start(
    can: Can<ChannelsControl>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<String>,
) -> Result<Response, Problem> {
    set(&state, &can.who, &trace, &id, DesiredState::Running).await
}

/// Stop a channel
///
/// It no longer listens: peers can't connect and keep their messages.
#[utoipa::path(post, path = "/channels/{id}/stop", tag = "channels", params(("id" = String, Path, description = "the channel's name")),
    security(("bearer" = ["channels:control"])),
    responses(
        (status = 200, description = "it shall stop", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no channel has this name (`channels.unknown`)")))]
async fn stop(
    can: Can<ChannelsControl>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<String>,
) -> Result<Response, Problem> {
    set(&state, &can.who, &trace, &id, DesiredState::Stopped).await
}

/// Pause a channel
///
/// It receives, stores and acknowledges, and processes nothing until it is started.
#[utoipa::path(post, path = "/channels/{id}/pause", tag = "channels", params(("id" = String, Path, description = "the channel's name")),
    security(("bearer" = ["channels:control"])),
    responses(
        (status = 200, description = "it shall pause", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no channel has this name (`channels.unknown`)")))]
async fn pause(
    can: Can<ChannelsControl>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<String>,
) -> Result<Response, Problem> {
    set(&state, &can.who, &trace, &id, DesiredState::Paused).await
}

async fn set(
    state: &ApiState,
    who: &Identity,
    trace: &Trace,
    name: &str,
    desired: DesiredState,
) -> Result<Response, Problem> {
    let (channel, _) = known(state, who, name).await?;
    let command = SetChannelState {
        channel,
        state: desired,
        actor: who.username.clone(),
    };
    let written = Sender::new(state, who, trace)
        .send(format!("channel/{name}"), &command)
        .await?;
    Ok(written.respond(Applied::with))
}
