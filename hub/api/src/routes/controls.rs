//! Control material: what it should measure, and the QC worklist.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemas::ChannelId;
use schemas::controls::{ControlDecision, DecideControl, DefineControl};
use serde::Deserialize;
use utoipa::ToSchema;
use worker_clinical::queries::ControlFilter;

use crate::auth::identity::Identity;
use crate::auth::permission::{Can, QcDecide, QcDefine, WorklistsRead};
use crate::command::{Accepted, Sender};
use crate::extract::{Body, Params, Segment};
use crate::page::{Cursor, Limit, Page};
use crate::problem::Problem;
use crate::reads::worklists as reads;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::integration::Applied;
use crate::views::worklists::{Control, ControlTarget};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(targets))
        .routes(routes!(define))
        .routes(routes!(list))
        .routes(routes!(accept))
        .routes(routes!(reject))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TargetSearch {
    channel: Option<String>,
}

/// List targets of control material
#[utoipa::path(get, path = "/qc/targets", tag = "worklists", params(TargetSearch), security(("bearer" = ["worklists:read"])),
    responses((status = 200, description = "by channel, material and code; the list is whole", body = Page<ControlTarget>)))]
async fn targets(
    can: Can<WorklistsRead>,
    State(state): State<ApiState>,
    Params(search): Params<TargetSearch>,
) -> Result<Json<Page<ControlTarget>>, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    reads::control_targets(&mut tx, search.channel.as_deref())
        .await
        .map(Json)
}

/// What one analyte of one material should measure on one channel.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "channel": "lab", "material": "QC1", "lot": "45821", "level": "1", "code": "GLU", "mean": "99.5", "sd": "2.1", "unit": "mg/dL"
}))]
struct Target {
    channel: String,
    /// Sample number under which the instrument reports it.
    material: String,
    /// Lot number of the maker. A new lot begins its own series.
    lot: String,
    level: String,
    /// As the instrument sends it.
    code: String,
    /// Decimal text.
    mean: String,
    /// Decimal text above zero.
    sd: String,
    /// As the instrument sends it; results in another unit are not judged.
    #[serde(default)]
    unit: Option<String>,
}

/// Define a target of control material
///
/// Counts from now on, and replaces what was said before of this channel, material and code. What was judged stays as it was.
#[utoipa::path(post, path = "/qc/targets", tag = "worklists", request_body = Target, security(("bearer" = ["qc:define"])),
    responses(
        (status = 200, description = "defined", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 422, description = "mean or standard deviation are no numbers (`clinical.control_target`)")))]
async fn define(
    can: Can<QcDefine>,
    State(state): State<ApiState>,
    trace: Trace,
    Body(target): Body<Target>,
) -> Result<Response, Problem> {
    let channel = ChannelId::new(target.channel.as_str())
        .map_err(|_| Problem::invalid("channel", "is no name of a channel"))?;
    let command = DefineControl {
        channel,
        material: super::text("material", target.material)?,
        lot: super::text("lot", target.lot)?,
        level: super::text("level", target.level)?,
        code: super::text("code", target.code)?,
        mean: super::text("mean", target.mean)?,
        sd: super::text("sd", target.sd)?,
        unit: target.unit.filter(|unit| !unit.is_empty()),
        actor: can.who.username.clone(),
    };
    let aggregate = format!("control/{}/{}", command.channel, command.material);
    let written = Sender::new(&state, &can.who, &trace)
        .send(aggregate, &command)
        .await?;
    Ok(written.respond(Applied::with))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Search {
    /// `open` (as if absent), `accepted`, `rejected`, `none` (in control, nothing to decide) or `all`.
    state: Option<String>,
    /// `in_control`, `warning`, `rejected` or `not_checked`.
    verdict: Option<String>,
    channel: Option<String>,
    /// Analyte, as sent.
    code: Option<String>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// List control results
///
/// Those that broke a rule, or that could not be checked, are open until somebody decides.
#[utoipa::path(get, path = "/worklists/qc", tag = "worklists", params(Search), security(("bearer" = ["worklists:read"])),
    responses((status = 200, description = "oldest first", body = Page<Control>)))]
async fn list(
    can: Can<WorklistsRead>,
    State(state): State<ApiState>,
    Params(search): Params<Search>,
) -> Result<Json<Page<Control>>, Problem> {
    let filter = ControlFilter {
        state: super::state_or_open(search.state, &["open", "accepted", "rejected", "none"])?,
        verdict: search.verdict,
        channel: search.channel,
        code: search.code,
        ..ControlFilter::default()
    };
    let mut tx = state.read(&can.who.tenant).await?;
    reads::controls(&mut tx, filter, search.cursor.as_ref(), search.limit)
        .await
        .map(Json)
}

/// What was found and done.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "comment": "air bubble in the probe, repeated in control" }))]
struct Remark {
    comment: String,
}

/// Accept a control result
///
/// It counts in the series of its level.
#[utoipa::path(post, path = "/worklists/qc/{id}/accept", tag = "worklists", params(("id" = i64, Path, description = "the control result")),
    request_body = Remark, security(("bearer" = ["qc:decide"])),
    responses(
        (status = 200, description = "accepted", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no control result has this id (`clinical.control_unknown`)"),
        (status = 409, description = "nothing is to be decided of it (`clinical.control_not_open`)")))]
async fn accept(
    can: Can<QcDecide>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<i64>,
    Body(remark): Body<Remark>,
) -> Result<Response, Problem> {
    decide(
        &state,
        &can.who,
        &trace,
        id,
        ControlDecision::Accepted,
        remark,
    )
    .await
}

/// Reject a control result
///
/// It stays visible and does not count in the series of its level.
#[utoipa::path(post, path = "/worklists/qc/{id}/reject", tag = "worklists", params(("id" = i64, Path, description = "the control result")),
    request_body = Remark, security(("bearer" = ["qc:decide"])),
    responses(
        (status = 200, description = "rejected", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no control result has this id (`clinical.control_unknown`)"),
        (status = 409, description = "nothing is to be decided of it (`clinical.control_not_open`)")))]
async fn reject(
    can: Can<QcDecide>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<i64>,
    Body(remark): Body<Remark>,
) -> Result<Response, Problem> {
    decide(
        &state,
        &can.who,
        &trace,
        id,
        ControlDecision::Rejected,
        remark,
    )
    .await
}

async fn decide(
    state: &ApiState,
    who: &Identity,
    trace: &Trace,
    id: i64,
    decision: ControlDecision,
    remark: Remark,
) -> Result<Response, Problem> {
    let command = DecideControl {
        control_id: id,
        decision,
        comment: super::text("comment", remark.comment)?,
        actor: who.username.clone(),
    };
    let written = Sender::new(state, who, trace)
        .send(format!("control/{id}"), &command)
        .await?;
    Ok(written.respond(Applied::with))
}
