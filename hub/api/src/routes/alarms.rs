//! Alarms of bedside devices. Secondary notification only: the bedside is the alarm of record.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use uuid::Uuid;
use worker_clinical::queries::AlarmFilter;

use crate::auth::chart::Sight;
use crate::auth::permission::{AlarmsRead, Can, Permission as _};
use crate::extract::{Params, Segment};
use crate::page::{Cursor, Limit, Moment, Page};
use crate::problem::Problem;
use crate::reads::{devices as reads, patients};
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::devices::{Alarm, AlarmDetail};

pub(crate) fn routes() -> Routes {
    Routes::new().routes(routes!(list)).routes(routes!(one))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Search {
    /// `open` (as if absent: active and latched), `active`, `latched`, `ended` or `all`.
    state: Option<String>,
    /// PID-3 as sent.
    patient_identifier: Option<String>,
    channel: Option<String>,
    /// Begun at or after this time.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Moment>,
    /// Begun before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Moment>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// List alarms
///
/// One item an alarm, however many messages speak of it; heartbeats are none. **Secondary notification only**: messages may be
/// late or missing, and an alarm whose device was cut off stays open with an old `last_at`. The bedside is the alarm of record.
#[utoipa::path(get, path = "/alarms", tag = "bedside", params(Search), security(("bearer" = ["alarms:read"])),
    responses((status = 200, description = "the one that began last first", body = Page<Alarm>)))]
async fn list(
    can: Can<AlarmsRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Params(search): Params<Search>,
) -> Result<Json<Page<Alarm>>, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let subjects = match search.patient_identifier.as_deref() {
        None => None,
        Some(text) => {
            let sight = Sight::new(&state, &trace, &can.who, AlarmsRead::NAME);
            let keys = patients::keys_of_identifier(&mut tx, text).await?;
            Some(sight.narrowed(&mut tx, keys).await?.into_keys().collect())
        }
    };
    let filter = AlarmFilter {
        status: super::state_or_open(search.state, &["open", "active", "latched", "ended"])?,
        subjects,
        channel: search.channel,
        from: search.from.map(|moment| moment.0),
        to: search.to.map(|moment| moment.0),
        ..AlarmFilter::default()
    };
    reads::alarms(&mut tx, filter, search.cursor.as_ref(), search.limit)
        .await
        .map(Json)
}

/// Read an alarm
///
/// With its history: the messages that changed it. **Secondary notification only**: the bedside is the alarm of record.
#[utoipa::path(get, path = "/alarms/{id}", tag = "bedside", params(("id" = Uuid, Path, description = "the alarm")),
    security(("bearer" = ["alarms:read"])),
    responses(
        (status = 200, description = "the alarm", body = AlarmDetail),
        (status = 404, description = "no alarm has this id (`alarms.unknown`)")))]
async fn one(
    can: Can<AlarmsRead>,
    State(state): State<ApiState>,
    Segment(id): Segment<Uuid>,
) -> Result<Json<AlarmDetail>, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let alarm = reads::alarm(&mut tx, id)
        .await?
        .ok_or_else(|| Problem::unknown("alarms.unknown", "no alarm has this id"))?;
    Ok(Json(alarm))
}
