//! Break-glass: a chart in an emergency, and the look that is taken at it afterwards.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use schemas::identity::{BreakGlass, Finding, ReviewGlass};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_identity::queries;

use super::patients::no_patient;
use crate::auth::permission::{Can, CanSomewhere, GlassBreak, GlassReview};
use crate::auth::sign_in;
use crate::command::{Accepted, Placed, Sender};
use crate::extract::{Body, Params, Segment};
use crate::page::{Cursor, Limit, Page};
use crate::problem::Problem;
use crate::reads::patients as reads;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::identity::BrokenGlass;
use crate::views::integration::Applied;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(break_glass))
        .routes(routes!(list))
        .routes(routes!(review))
}

/// How long the chart is open (specs/hms-modules.md §1.6).
const OPEN: time::Duration = time::Duration::hours(4);
/// A reason of two letters is none.
const REASON: usize = 10;

/// Whose chart, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "patient_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b92", "reason": "unconscious, allergies unknown" }))]
struct Emergency {
    patient_id: Uuid,
    /// For the privacy officer, in a few words.
    #[schema(min_length = 10, max_length = 500)]
    reason: String,
}

/// Open a chart in an emergency
///
/// For four hours, for what the caller may see of his own patients. It is on record, every look through it too, and
/// somebody else will ask.
#[utoipa::path(post, path = "/break-glass", tag = "emergencies", request_body = Emergency, security(("bearer" = ["glass:break"])),
    responses(
        (status = 201, description = "the chart is open", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no patient has this id (`patients.unknown`)")))]
async fn break_glass(
    can: CanSomewhere<GlassBreak>,
    State(state): State<ApiState>,
    trace: Trace,
    Body(emergency): Body<Emergency>,
) -> Result<Response, Problem> {
    let user = can.who.user_id().ok_or_else(|| {
        Problem::new(
            StatusCode::FORBIDDEN,
            "auth.person",
            "a program has no emergencies",
        )
    })?;
    let reason = super::reason(emergency.reason)?;
    if reason.trim().chars().count() < REASON {
        return Err(Problem::invalid(
            "reason",
            format!("must say why, in {REASON} characters or more"),
        ));
    }
    let patient = {
        let mut tx = state.read(&can.who.tenant).await?;
        let found = reads::one(&mut tx, emergency.patient_id)
            .await?
            .ok_or_else(no_patient)?;
        found.merged_into.unwrap_or(found.id)
    };
    let until = OffsetDateTime::now_utc() + OPEN;
    let command = BreakGlass {
        id: Uuid::now_v7(),
        user_id: user,
        patient_id: patient,
        reason,
        expires_at: until.format(&Rfc3339).map_err(|_| Problem::internal())?,
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send_access(sign_in::aggregate(user), &command)
        .await?;
    Ok(written.respond_placed(|answer| Placed {
        location: format!("/api/v1/patients/{patient}"),
        created: true,
        view: Applied::with(answer),
    }))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Search {
    /// `open` (as if absent: nobody has looked at it) or `all`.
    state: Option<String>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// List charts opened in emergencies
#[utoipa::path(get, path = "/break-glass", tag = "emergencies", params(Search), security(("bearer" = ["glass:review"])),
    responses((status = 200, description = "newest first", body = Page<BrokenGlass>)))]
async fn list(
    can: Can<GlassReview>,
    State(state): State<ApiState>,
    Params(search): Params<Search>,
) -> Result<Json<Page<BrokenGlass>>, Problem> {
    let open_only = super::state_or_open(search.state, &["open"])?.is_some();
    // microseconds: what the database keeps of a time
    let after = Cursor::key::<(i64, Uuid)>(search.cursor.as_ref())?
        .map(|(micros, id)| {
            OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000)
                .map(|at| (at, id))
                .map_err(|_| Cursor::refused())
        })
        .transpose()?;
    let mut tx = state.read(&can.who.tenant).await?;
    let rows = queries::glass_search(tx.conn(), open_only, after, search.limit.rows()).await?;
    let next = search
        .limit
        .is_full(rows.len())
        .then(|| rows.last())
        .flatten()
        .and_then(|row| {
            let micros = row.opened_at.unix_timestamp_nanos() / 1_000;
            Some((i64::try_from(micros).ok()?, row.id))
        });
    Ok(Json(Page::of(rows, next, BrokenGlass::of)))
}

/// What it came to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "finding": "justified", "note": "brought in by ambulance, no admission yet" }))]
struct Review {
    /// `justified` or `not_justified`
    #[schema(value_type = String)]
    finding: Finding,
    #[serde(default)]
    note: Option<String>,
}

/// Review a chart opened in an emergency
///
/// By somebody else than who opened it.
#[utoipa::path(post, path = "/break-glass/{id}/review", tag = "emergencies", params(("id" = Uuid, Path, description = "of the list")),
    request_body = Review, security(("bearer" = ["glass:review"])),
    responses(
        (status = 200, description = "on record", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or you opened it (`approval.own_work_forbidden`)"),
        (status = 404, description = "nothing of this kind has this id (`glass.unknown`)"),
        (status = 409, description = "it was reviewed before (`glass.already_reviewed`)")))]
async fn review(
    can: Can<GlassReview>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    Body(review): Body<Review>,
) -> Result<Response, Problem> {
    let opened_by = {
        let mut tx = state.read(&can.who.tenant).await?;
        queries::broken_glass(tx.conn(), id)
            .await?
            .ok_or_else(|| Problem::unknown("glass.unknown", "nothing of this kind has this id"))?
            .user_id
    };
    let command = ReviewGlass {
        id,
        finding: review.finding,
        note: review
            .note
            .map(|note| super::text("note", note))
            .transpose()?,
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send(sign_in::aggregate(opened_by), &command)
        .await?;
    Ok(written.respond(Applied::with))
}
