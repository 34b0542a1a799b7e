//! Encounters, orders, reports and results, by the patient's identifier or by their own numbers.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use hub_core::Tx;
use schemas::care::Value;
use serde::Deserialize;

use uuid::Uuid;

use crate::auth::chart::Sight;
use crate::auth::permission::{
    Can, CanSomewhere, EncountersRead, OrdersRead, Permission as _, ResultsRead,
};
use crate::backbone::BackboneError;
use crate::extract::{Params, Segment};
use crate::if_match::tagged;
use crate::looks::ShownOf;
use crate::page::{Cursor, Limit, Moment, Page};
use crate::problem::Problem;
use crate::reads::care::{self as reads, OrderFilter, ResultFilter, Scope, Versions};
use crate::reads::patients::{self, Keys};
use crate::reads::{specimens, stays};
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::care::{
    Encounter, EncounterDetail, LabResult, Order, OrderDetail, Report, ReportDetail,
};
use crate::views::specimens::ResultDetail;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(results))
        .routes(routes!(result))
        .routes(routes!(orders))
        .routes(routes!(encounters))
        .routes(routes!(reports))
        .routes(routes!(report))
        .routes(routes!(attachment))
        .routes(routes!(order))
        .routes(routes!(encounter))
}

/// A page of a list that has no further conditions.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Listing {
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    pub(super) cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    pub(super) limit: Limit,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ResultSearch {
    /// PID-3 as sent: its value (`12345`), the whole CX text (`12345^^^HOSP^MR`), or `system|value`.
    patient_identifier: Option<String>,
    /// Specimen or accession number: whoever the patient is.
    specimen: Option<String>,
    /// Code as sent.
    code: Option<String>,
    /// LOINC code that the mapping tables gave.
    loinc: Option<String>,
    /// Status as sent (OBX-11): `F`, `P`, `C` …
    status: Option<String>,
    /// true: only those that wait for a person; false: only those that do not.
    held: Option<bool>,
    /// true: only those that may be acted on; false: only those that wait for their verification, or were rejected.
    released: Option<bool>,
    /// Observed (or, where that is unknown, received) at or after this time.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Moment>,
    /// Observed before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Moment>,
    /// `current` (as if absent) or `all`: also those that a correction replaced.
    #[serde(default)]
    #[param(inline, value_type = Option<Versions>)]
    versions: Versions,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// Search results
///
/// Coded and uncoded alike: what no mapping explains has its value as sent, no `loinc`, and `held` says why it
/// waits. A result of an analyzer is seen at once, and `verification` says whether it may be acted on. A patient identifier leads to the person, so results that came under another of his identifiers are
/// found too. An identifier that nobody has gives an empty list. Results in a restricted chart are left out for who does not care for
/// the patient; whoever works on specimens (`specimens:all`) finds them by the specimen. As for orders, encounters and reports.
#[utoipa::path(get, path = "/results", tag = "results", params(ResultSearch), security(("bearer" = ["results:read"])),
    responses(
        (status = 200, description = "newest report first", body = Page<LabResult>),
        (status = 403, description = "the permission is missing (`auth.permission`), or the chart is closed to you (`auth.relationship`)")))]
async fn results(
    can: Can<ResultsRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Params(search): Params<ResultSearch>,
) -> Result<Json<Page<LabResult>>, Problem> {
    let sight = Sight::new(&state, &trace, &can.who, ResultsRead::NAME);
    let mut tx = state.read(&can.who.tenant).await?;
    let scope = match (search.patient_identifier, search.specimen) {
        (Some(identifier), None) => {
            let keys = patients::keys_of_identifier(&mut tx, &identifier).await?;
            Scope::Person(sight.narrowed(&mut tx, keys).await?)
        }
        (None, Some(number)) => Scope::Specimen(number),
        (Some(_), Some(_)) => {
            return Err(Problem::invalid(
                "specimen",
                "give either patient_identifier or specimen",
            ));
        }
        (None, None) => return Err(reads::unscoped("patient_identifier", "specimen")),
    };
    let filter = ResultFilter {
        code: search.code,
        loinc: search.loinc,
        status: search.status,
        held: search.held,
        released: search.released,
        from: search.from.map(|moment| moment.0),
        to: search.to.map(|moment| moment.0),
        versions: search.versions,
    };
    let listing = Listing {
        cursor: search.cursor,
        limit: search.limit,
    };
    list_results(&mut tx, &sight, &scope, &filter, &listing).await
}

/// Read a result
///
/// As it is now, with all its versions, its report, its specimen, and where its verification stands. A value that a correction
/// replaced is among the versions.
#[utoipa::path(get, path = "/results/{id}", tag = "results",
    params(("id" = String, Path, description = "the result: its report and its place in it, as lists show it (`018f….1`)")),
    security(("bearer" = ["results:read"])),
    responses(
        (status = 200, description = "the result", body = ResultDetail),
        (status = 403, description = "the permission is missing (`auth.permission`), or the chart is closed to you (`auth.relationship`)"),
        (status = 404, description = "no result has this id (`results.unknown`)")))]
async fn result(
    can: Can<ResultsRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<String>,
) -> Result<Json<ResultDetail>, Problem> {
    let sight = Sight::new(&state, &trace, &can.who, ResultsRead::NAME);
    let mut tx = state.read(&can.who.tenant).await?;
    specimens::result(&mut tx, &sight, &id)
        .await?
        .map(Json)
        .ok_or_else(|| Problem::unknown("results.unknown", "no result has this id"))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OrderSearch {
    /// PID-3 as sent.
    patient_identifier: Option<String>,
    /// Placer or filler number.
    number: Option<String>,
    /// Number of a specimen that the order is to be done from.
    specimen: Option<String>,
    /// `active`, `on_hold`, `revoked`, `completed`, `cancel_requested`, `unknown` or `entered_in_error`.
    status: Option<String>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// Search orders
#[utoipa::path(get, path = "/orders", tag = "results", params(OrderSearch), security(("bearer" = ["orders:read"])),
    responses(
        (status = 200, description = "newest first", body = Page<Order>),
        (status = 403, description = "the permission is missing (`auth.permission`), or the chart is closed to you (`auth.relationship`)")))]
async fn orders(
    can: Can<OrdersRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Params(search): Params<OrderSearch>,
) -> Result<Json<Page<Order>>, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let sight = Sight::new(&state, &trace, &can.who, OrdersRead::NAME);
    let keys = keys(&mut tx, &sight, search.patient_identifier.as_deref()).await?;
    let listing = Listing {
        cursor: search.cursor,
        limit: search.limit,
    };
    let filter = OrderFilter {
        number: search.number,
        specimen: search.specimen,
        status: search.status,
    };
    list_orders(&mut tx, &sight, keys.as_ref(), &filter, &listing).await
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EncounterSearch {
    /// PID-3 as sent.
    patient_identifier: Option<String>,
    /// Visit number.
    visit: Option<String>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// Search encounters
#[utoipa::path(get, path = "/encounters", tag = "results", params(EncounterSearch), security(("bearer" = ["encounters:read"])),
    responses(
        (status = 200, description = "newest first", body = Page<Encounter>),
        (status = 403, description = "the permission is missing (`auth.permission`), or the chart is closed to you (`auth.relationship`)")))]
async fn encounters(
    can: Can<EncountersRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Params(search): Params<EncounterSearch>,
) -> Result<Json<Page<Encounter>>, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let sight = Sight::new(&state, &trace, &can.who, EncountersRead::NAME);
    let keys = keys(&mut tx, &sight, search.patient_identifier.as_deref()).await?;
    let listing = Listing {
        cursor: search.cursor,
        limit: search.limit,
    };
    list_encounters(
        &mut tx,
        &sight,
        keys.as_ref(),
        search.visit.as_deref(),
        &listing,
    )
    .await
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ReportSearch {
    /// PID-3 as sent.
    patient_identifier: Option<String>,
    /// Specimen or accession number.
    specimen: Option<String>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// Search reports
#[utoipa::path(get, path = "/reports", tag = "results", params(ReportSearch), security(("bearer" = ["results:read"])),
    responses(
        (status = 200, description = "newest first", body = Page<Report>),
        (status = 403, description = "the permission is missing (`auth.permission`), or the chart is closed to you (`auth.relationship`)")))]
async fn reports(
    can: Can<ResultsRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Params(search): Params<ReportSearch>,
) -> Result<Json<Page<Report>>, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let sight = Sight::new(&state, &trace, &can.who, ResultsRead::NAME);
    let keys = keys(&mut tx, &sight, search.patient_identifier.as_deref()).await?;
    let listing = Listing {
        cursor: search.cursor,
        limit: search.limit,
    };
    list_reports(
        &mut tx,
        &sight,
        keys.as_ref(),
        search.specimen.as_deref(),
        &listing,
    )
    .await
}

/// Read a report
///
/// With its results, all versions of each: a correction keeps the old value.
#[utoipa::path(get, path = "/reports/{id}", tag = "results", params(("id" = Uuid, Path, description = "the report")),
    security(("bearer" = ["results:read"])),
    responses(
        (status = 200, description = "the report", body = ReportDetail),
        (status = 403, description = "the permission is missing (`auth.permission`), or the chart is closed to you (`auth.relationship`)"),
        (status = 404, description = "no report has this id (`reports.unknown`)")))]
async fn report(
    can: Can<ResultsRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
) -> Result<Json<ReportDetail>, Problem> {
    let sight = Sight::new(&state, &trace, &can.who, ResultsRead::NAME);
    let mut tx = state.read(&can.who.tenant).await?;
    let report = reads::report(&mut tx, &sight, id)
        .await?
        .ok_or_else(|| Problem::unknown("reports.unknown", "no report has this id"))?;
    Ok(Json(report))
}

/// Read a document or an image of a report
///
/// Its digest stands in the value of the result that it belongs to.
#[utoipa::path(get, path = "/reports/{id}/attachments/{sha256}", tag = "results",
    params(("id" = Uuid, Path, description = "the report"), ("sha256" = String, Path, description = "lower-case hex SHA-256")),
    security(("bearer" = ["results:read"])),
    responses(
        (status = 200, description = "the bytes as the sender encoded them", content((String = "application/octet-stream", example = json!("%PDF-1.7 …")))),
        (status = 403, description = "the permission is missing (`auth.permission`), or the chart is closed to you (`auth.relationship`)"),
        (status = 404, description = "the report has no such attachment (`attachments.unknown`)"),
        (status = 410, description = "the bytes are no longer kept (`messages.gone`)")))]
async fn attachment(
    can: Can<ResultsRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment((id, sha256)): Segment<(Uuid, String)>,
) -> Result<Response, Problem> {
    let sight = Sight::new(&state, &trace, &can.who, ResultsRead::NAME);
    let unknown = || Problem::unknown("attachments.unknown", "the report has no such attachment");
    // bytes are found by digest alone: that they belong to this tenant, its report says
    let report = {
        let mut tx = state.read(&can.who.tenant).await?;
        reads::report(&mut tx, &sight, id)
            .await?
            .ok_or_else(unknown)?
    };
    let attachment = report
        .results
        .iter()
        .find_map(|result| match &result.value {
            Value::Attachment { attachment } if attachment.sha256 == sha256 => Some(attachment),
            _ => None,
        })
        .ok_or_else(unknown)?;
    let bytes = state
        .backbone
        .attachment(&can.who.tenant, &attachment.sha256)
        .await?
        .ok_or(BackboneError::Gone)?;
    // a sender's media type is his word: a browser must not open what it names
    let disposition = format!("attachment; filename=\"{sha256}.bin\"");
    Ok((
        ShownOf::these([report.report.patient_id]),
        [
            (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
            (header::CONTENT_DISPOSITION, disposition),
        ],
        bytes,
    )
        .into_response())
}

/// Read an order
///
/// With its specimens.
#[utoipa::path(get, path = "/orders/{id}", tag = "results", params(("id" = Uuid, Path, description = "the order")),
    security(("bearer" = ["orders:read"])),
    responses(
        (status = 200, description = "the order", body = OrderDetail),
        (status = 403, description = "the permission is missing (`auth.permission`), or the chart is closed to you (`auth.relationship`)"),
        (status = 404, description = "no order has this id (`orders.unknown`)")))]
async fn order(
    can: Can<OrdersRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
) -> Result<Response, Problem> {
    let sight = Sight::new(&state, &trace, &can.who, OrdersRead::NAME);
    let mut tx = state.read(&can.who.tenant).await?;
    let order = reads::order(&mut tx, &sight, id)
        .await?
        .ok_or_else(|| Problem::unknown("orders.unknown", "no order has this id"))?;
    Ok(tagged(&order, order.order.version))
}

/// Read an encounter
///
/// With the places the patient was in, its stage and the steps that are possible. Whoever has the permission at some places only
/// reads those of patients there.
#[utoipa::path(get, path = "/encounters/{id}", tag = "results", params(("id" = Uuid, Path, description = "the encounter")),
    security(("bearer" = ["encounters:read"])),
    responses(
        (status = 200, description = "the encounter; ETag is its version", body = EncounterDetail),
        (status = 404, description = "no encounter has this id (`encounters.unknown`)")))]
async fn encounter(
    can: CanSomewhere<EncountersRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
) -> Result<Response, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    stays::open(&state, &trace, &can.who, EncountersRead::NAME, &mut tx, id).await?;
    let encounter = reads::encounter(&mut tx, id)
        .await?
        .ok_or_else(stays::no_encounter)?;
    Ok(tagged(&encounter, encounter.encounter.version))
}

/// Whose rows are asked for, when an identifier says so; of several people those whose charts are open.
async fn keys(
    tx: &mut Tx<'_>,
    sight: &Sight<'_>,
    identifier: Option<&str>,
) -> Result<Option<Keys>, Problem> {
    match identifier {
        None => Ok(None),
        Some(text) => {
            let keys = patients::keys_of_identifier(tx, text).await?;
            sight.narrowed(tx, keys).await.map(Some)
        }
    }
}

pub(super) async fn list_results(
    tx: &mut Tx<'_>,
    sight: &Sight<'_>,
    scope: &Scope,
    filter: &ResultFilter,
    listing: &Listing,
) -> Result<Json<Page<LabResult>>, Problem> {
    reads::results(
        tx,
        sight,
        scope,
        filter,
        listing.cursor.as_ref(),
        listing.limit,
    )
    .await
    .map(Json)
}

pub(super) async fn list_orders(
    tx: &mut Tx<'_>,
    sight: &Sight<'_>,
    keys: Option<&Keys>,
    filter: &OrderFilter,
    listing: &Listing,
) -> Result<Json<Page<Order>>, Problem> {
    reads::orders(
        tx,
        sight,
        keys,
        filter,
        listing.cursor.as_ref(),
        listing.limit,
    )
    .await
    .map(Json)
}

pub(super) async fn list_encounters(
    tx: &mut Tx<'_>,
    sight: &Sight<'_>,
    keys: Option<&Keys>,
    visit: Option<&str>,
    listing: &Listing,
) -> Result<Json<Page<Encounter>>, Problem> {
    reads::encounters(
        tx,
        sight,
        keys,
        visit,
        listing.cursor.as_ref(),
        listing.limit,
    )
    .await
    .map(Json)
}

pub(super) async fn list_reports(
    tx: &mut Tx<'_>,
    sight: &Sight<'_>,
    keys: Option<&Keys>,
    specimen: Option<&str>,
    listing: &Listing,
) -> Result<Json<Page<Report>>, Problem> {
    reads::reports(
        tx,
        sight,
        keys,
        specimen,
        listing.cursor.as_ref(),
        listing.limit,
    )
    .await
    .map(Json)
}
